"""Stock day by day: at the peak, the rule's own view, and along the paths of the forecast, with what is to come."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from forecasting import depletion, paths
from reserve import evidence, figures
from reserve.evidence import Json, floored, iso, rounded
from reserve.figures import Found, Situation, day_of
from reserve.judging import shown
from reserve.outlook import DATES_AT, USABLE_AT, Ahead, Use
from reserve.policy import MAX_LOOK_AHEAD_DAYS
from reserve.supply import Coming

NAMES = ("p05", "p25", "p50", "p75", "p95")


def project(case: Situation, days: int, *, receipts: bool) -> Json:
    """The projection of one row over `days` days; with `receipts`, what is under way arrives on its day.

    The forecast reaches 90 days; what lies beyond is told at the peak only.
    """
    found = figures.find(case, days=min(days, MAX_LOOK_AHEAD_DAYS))
    path = None if found.peak.peak is None else depletion.at_peak(found.held.dated, found.peak.peak, days)
    shown_by = found.shown
    required, required_days = _required(found)
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "as_of": iso(case.as_of),
        "dates": [iso(case.as_of + timedelta(days=n)) for n in range(days + 1)],
        "at_peak": path and [rounded(units) for units in path.on_hand],
        "days_at_peak": path and path.coverage and [floored(d) for d in path.coverage],
        "required": required,
        "required_days": required_days,
        "expiring": path and [rounded(units) for units in path.lost],
        "receipts_counted": receipts,
        "receipts": _receipts(found, days),
        "late": [_coming(coming) for coming in found.supply.late],
        "look_ahead_days": found.look_ahead_days,
        "probability_below_required": None,
        "falls_below_on": {"p05": None, "p50": None, "p95": None, "at_peak": iso(found.falls_below_on)},
        "runs_out_on": iso(found.runs_out_on),
        "stock_out_on": {"p05": None, "p50": None, "p95": None},
        "usable": None,
        "use": None,
        "stock_alone": {
            "probability_below_required": None
            if shown_by is None or shown_by.probability is None
            else float(shown_by.probability),
        },
        "forecast": {**evidence.forecast(found), "history": _history(found)},
        **(_likely(found, found.ahead, min(days, MAX_LOOK_AHEAD_DAYS), days, receipts=receipts) if found.ahead else {}),
    }


def _likely(found: Found, ahead: Ahead, followed: int, days: int, *, receipts: bool) -> Json:
    """Quantiles over the paths of stock, of use and of the dates; null beyond the days that are forecast."""
    as_of, rate, required = found.case.as_of, *_rule(found)
    ahead = ahead._replace(arrivals=tuple(found.supply.orders) if receipts else ())
    along = ahead.along(rate, max(followed, found.look_ahead_days))
    used = np.cumsum(ahead.demand[:, :followed], axis=1)
    told: Json = {
        "usable": _bands(along.on_hand[:, : followed + 1], days + 1),
        "use": _bands(np.concatenate([np.zeros((len(used), 1)), used], axis=1), days + 1),
        "stock_out_on": _dates(as_of, _first(along.unmet[:, :followed] > 0)),
    }
    judged = along.coverage
    by = found.shown
    if by is not None and by.policy.quantity is not None:
        judged, required = along.on_hand, Fraction(by.parts[0].required)
    if judged is None or not required:
        return told
    below = paths.first_below(judged[:, : followed + 1], required, DATES_AT)
    near = paths.first_below(judged[:, : found.look_ahead_days + 1], required)
    return {
        **told,
        "probability_below_required": float(shown(near)),
        "falls_below_on": {**_dates(as_of, below.quantiles), "at_peak": iso(found.falls_below_on)},
    }


def _rule(found: Found) -> tuple[Fraction, Fraction | None]:
    """The rate and the days that the row is judged by."""
    by = found.shown
    if by is None or by.rate is None:
        return found.peak.peak or Fraction(0), None
    return by.rate, by.policy.physical or None


def _required(found: Found) -> tuple[int | None, float | int | None]:
    """What stock itself must hold by the policy that the row shows: units, as far as its rate is known, and days."""
    by = found.shown
    if by is None or by.policy.physical is None:
        return None, None
    days = _tidy(float(by.policy.physical))
    return (None if by.rate is None else ceil(by.rate * by.policy.physical)), days


def _bands(values: NDArray[np.float64], length: int) -> Json:
    """Quantiles over the paths, a list a quantile; whole units, and null past the horizon."""
    ordered = np.sort(values, axis=0)
    told: Json = {}
    for name, share in zip(NAMES, USABLE_AT, strict=True):
        place = max(0, -int(-share * len(ordered) // 1) - 1)
        told[name] = [*np.rint(ordered[place]).astype(np.int64).tolist(), *[None] * (length - values.shape[1])]
    return told


def _first(out: NDArray[np.bool_]) -> tuple[int | None, ...]:
    """The day by which each share of the paths has come to it; None where fewer have."""
    first = np.sort(np.where(out.any(axis=1), out.argmax(axis=1), out.shape[1]))
    ranks = [max(0, -int(-share * len(first) // 1) - 1) for share in DATES_AT]
    return tuple(int(first[rank]) if first[rank] < out.shape[1] else None for rank in ranks)


def _dates(as_of: date, days: Sequence[int | None]) -> Json:
    return {name: iso(day_of(as_of, day)) for name, day in zip(("p05", "p50", "p95"), days, strict=True)}


def _receipts(found: Found, days: int) -> list[Json]:
    """What is under way and reckoned with, each by itself."""
    late = {coming.number for coming in found.supply.late}
    last = day_of(found.case.as_of, days) or date.max
    return [
        _coming(coming)
        for coming in found.case.coming
        if coming.number not in late and coming.expected_on is not None and coming.expected_on <= last
    ]


def _coming(coming: Coming) -> Json:
    return {
        "number": coming.number,
        "kind": coming.kind,
        "units": coming.units,
        "expected_on": iso(coming.expected_on),
        "units_per_day": coming.units_per_day,
        "expires_on": iso(coming.expires_on),
        "commitment": coming.commitment,
        "supplier": coming.supplier,
    }


def _history(found: Found) -> Json | None:
    """The series that the forecast was made from, day by day, and how much of each day is an estimate."""
    use = found.use
    if not isinstance(use, Use):
        return None
    return {
        "from": iso(use.first),
        "units": [_tidy(float(n)) for n in use.values],
        "estimated": [_tidy(float(n)) for n in use.filled],
    }


def _tidy(number: float) -> float | int:
    return int(number) if number == int(number) else round(number, 4)
