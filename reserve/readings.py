"""The row as other systems would read it, by their own formulas: why their screens show another number."""

from fractions import Fraction
from math import floor
from typing import Any

from forecasting import readings
from reserve.figures import Found

PERIOD_DAYS = 30
OPENLMIS_PERIODS, MSUPPLY_PERIODS, MONTHS = 3, 6, 12

Json = dict[str, Any]


def told(found: Found) -> list[Json]:
    """One reading a system: its figures, the formula with the numbers in it, and what it leaves out."""
    usable, on_hand = found.held.usable, found.held.on_hand
    wanted = -(-(found.required_days or PERIOD_DAYS) // PERIOD_DAYS)
    return [
        _us(found),
        _openlmis(*_use(found, OPENLMIS_PERIODS * PERIOD_DAYS), on_hand, wanted),
        _msupply(*_use(found, MSUPPLY_PERIODS * PERIOD_DAYS), on_hand),
        _bhima(*_use(found, 365), usable),
        _qat(found, _use(found, 365)[1], on_hand, wanted),
    ]


def _use(found: Found, days: int) -> tuple[int, int, int]:
    """(days, units reported, days out) of the last days: others take a day without a report for a day without use.

    A day is out where stock had run out at every place that used the item.
    """
    history = found.case.history
    window = slice(max(0, history.values.shape[1] - days), None)
    reported, short = history.reported[:, window], history.censored[:, window]
    used = int((history.values[:, window] * reported).sum())
    open_ = history.active[:, window].any(axis=0)
    out = (short | ~history.active[:, window]).all(axis=0) & open_
    return days, used, int(out.sum())


def _us(found: Found) -> Json:
    days = found.cover.days if found.cover is not None else None
    return {
        "system": "US HHS",
        "class": None if days is None else readings.us_class(days),
        "formula": None if days is None else f"{floor(days)} whole days -> {readings.us_class(days)}",
    }


def _openlmis(days: int, used: int, out: int, on_hand: int, wanted: int) -> Json:
    adjusted = readings.adjusted_consumption(used, days, out)
    average = Fraction(adjusted, OPENLMIS_PERIODS)
    return {
        "system": "OpenLMIS",
        "adjusted_consumption": adjusted,
        "average_monthly": _shown(average),
        "months_of_stock": _shown(on_hand / average) if average else None,
        "maximum_stock": readings.maximum_stock(wanted, average),
        "formula": f"ceil({used} x {days} / ({days} - {out})) = {adjusted}; / {OPENLMIS_PERIODS} a month",
    }


def _msupply(days: int, used: int, out: int, on_hand: int) -> Json:
    average = readings.average_monthly(used, days, out, PERIOD_DAYS)
    return {
        "system": "open mSupply",
        "average_monthly": _shown(average),
        "months_of_stock": _shown(on_hand / average) if average else None,
        "formula": f"{used} / ({days} - {out}) x {PERIOD_DAYS}",
    }


def _bhima(days: int, used: int, out: int, usable: int) -> Json:
    by_days = readings.average_monthly(used, days, out, readings.BHIMA_MONTH)
    by_months = readings.average_by_months(used, MONTHS, out)
    return {
        "system": "BHIMA",
        "average_monthly": _shown(by_days),
        "average_monthly_by_months": _shown(by_months),
        "months_of_stock": _shown(usable / by_days) if by_days else None,
        "formula": f"{used} / ({days} - {out}) x 30.5; {used} / ({MONTHS} - {out} / 30.5)",
    }


def _qat(found: Found, used: int, on_hand: int, wanted: int) -> Json:
    shipments = sum(units for units, _, _ in found.supply.orders)
    ahead = readings.need(on_hand, shipments, used, MONTHS, wanted)
    monthly = floor(ahead.monthly)
    return {
        "system": "QAT",
        "average_monthly": _shown(ahead.monthly),
        "months_of_stock": _shown(ahead.months_of_stock),
        "surplus": floor(ahead.surplus),
        "formula": f"{on_hand} + {shipments} - {used} - {wanted} x {monthly}",
    }


def _shown(number: Fraction | None) -> float | None:
    """Two decimals, down."""
    return None if number is None else floor(number * 100) / 100
