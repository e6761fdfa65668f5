"""What to order (补货): how much, in which packs, by which day, and why, from the paths of the row. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import paths, replenishment
from forecasting.replenishment import OrderBy, Replenishment, Supply
from reserve import figures, plan_words
from reserve.catalogue import PackRow, Place
from reserve.commitments import Counted
from reserve.evidence import floored, iso
from reserve.explain import exact
from reserve.figures import Found, Situation, day_of
from reserve.judging import Judged
from reserve.model import CommitmentKind
from reserve.outlook import BLOCK_DAYS, Use
from reserve.plan_words import OrderTold
from reserve.planning import LARGEST, Json, in_days, raised
from reserve.policy import MAX_LOOK_AHEAD_DAYS

EARLY_PATH = 0.05
"""The share of the futures whose day of falling below decides when to order."""
Floats = NDArray[np.float64]


class Terms(NamedTuple):
    """How one buys: days to the next review, and the share of the futures in which the rule is to hold."""

    review_days: int = 7
    service_level: float = 0.95


class Order(NamedTuple):
    """What one policy asks for."""

    judged: Judged
    found: Replenishment
    required: Fraction
    lead_days: int
    at_end: Fraction
    """Days of coverage when the order after this one could arrive, at the service level."""
    forecast: bool
    pack: PackRow | None


def plan(case: Situation, packs: Sequence[PackRow], terms: Terms) -> Json:
    """The line of one item in one scope: what to order, or why nothing, with all that it rests on."""
    rules = in_days(case.policies)
    furthest = max((rule.lead_time_days for rule in rules), default=0) + terms.review_days
    found = figures.find(case, days=min(max(furthest, 1), MAX_LOOK_AHEAD_DAYS))
    judged = [j for j in found.judged if j.policy in rules]
    if all(j.rate is None for j in judged):
        return _without(found, "peak_unknown")
    if any((j.rate or 0) > LARGEST for j in judged) or found.held.usable + _on_order(found) > LARGEST:
        return _without(found, "too_large")
    orders = [_order(found, j, packs, terms) for j in judged]
    asking = [order for order in orders if order is not None]
    if not asking:
        return _without(found, "no_use")
    # each policy is judged alone; what most is ordered for serves the others too
    order = max(asking, key=lambda one: (one.found.order.units, one.found.need_days, one.judged.policy.code))
    return _row(found, order, terms)


def _order(found: Found, judged: Judged, packs: Sequence[PackRow], terms: Terms) -> Order | None:
    rate, rule = judged.rate, judged.policy
    required = rule.physical
    if not rate or required is None:
        return None
    lead = rule.lead_time_days
    horizon = lead + terms.review_days
    coverage, forecast = _coverage(found, rate, horizon, rule.looks_ahead)
    at_end = coverage[:, horizon]
    need = replenishment.need_days(required, at_end, terms.service_level)
    lasts = found.case.item.shelf_life_days
    pack = fitting(packs, max(1, ceil(need * rate)))
    made = replenishment.replenish(
        found.held.dated,
        Supply(lead, terms.review_days, 1 if pack is None else pack.units_per_pack, 0, lasts),
        peak=rate,
        required_days=required,
        coverage_at_end=at_end,
        rate=_expected(found, rate),
        falls_below_day=falls_below(coverage, required, lead),
        on_order=_on_order(found),
        service_level=terms.service_level,
    )
    return Order(judged, made, required, lead, required - need, forecast, pack)


def fitting(packs: Sequence[PackRow], units: int) -> PackRow | None:
    """The largest pack that is not more than what is needed, or the smallest there is; None where none is known.

    >>> box, pallet = PackRow(1, "1", 400, "箱"), PackRow(1, "2", 50_000, "托")
    >>> [fitting([box, pallet], units).units_per_pack for units in (43_400, 50_000, 7)]
    [400, 50000, 400]
    """
    ordered = sorted(packs, key=lambda pack: (pack.units_per_pack, pack.gtin))
    fit = [pack for pack in ordered if pack.units_per_pack <= units]
    return fit[-1] if fit else ordered[0] if ordered else None


def falls_below(coverage: Floats, required: Fraction, lead_days: int) -> int | None:
    """The day on which the early path falls below the rule, of those days that an order could still change.

    A fall that is over before an order placed today could arrive was mended by what is on order already: it says
    nothing of when to order. Without anything on order coverage never rises, and this is the first day below.

    >>> falls_below(np.array([[25.0, 31, 31, 30, 29, 28]]), Fraction(30), 2)
    4
    >>> falls_below(np.array([[31.0, 29, 28, 27, 26, 25]]), Fraction(30), 2)
    1
    """
    below = coverage < float(required) - 1e-9
    days = np.arange(below.shape[1])
    begins = below & ~np.concatenate([np.zeros((len(below), 1), dtype=bool), below[:, :-1]], axis=1)
    began = np.maximum.accumulate(np.where(begins, days, -1), axis=1)
    reached = below[:, lead_days:]
    ever = reached.any(axis=1)
    first = lead_days + reached.argmax(axis=1)
    falls = np.sort(began[np.flatnonzero(ever), first[ever]])
    rank = ceil(EARLY_PATH * len(coverage) - 1e-9)
    return int(falls[rank - 1]) if len(falls) >= rank else None


def _coverage(found: Found, rate: Fraction, horizon: int, look_ahead: int) -> tuple[Floats, bool]:
    """Coverage along the paths of the row, or at the peak where use is not forecast so far; what is ordered arrives."""
    days, ahead = max(horizon, look_ahead), found.ahead
    if ahead is not None and days <= ahead.demand.shape[1]:
        along = ahead._replace(arrivals=tuple(found.supply.orders)).along(rate, days)
    else:
        quantity = [units for units, _ in found.held.dated]
        life = [np.inf if life is None else life for _, life in found.held.dated]
        orders = [(float(units), day, life) for units, day, life in found.supply.orders]
        steady = np.full((1, days), float(rate))
        along = paths.project(quantity, life, steady, peak=rate, arrivals=orders)
        ahead = None
    assert along.coverage is not None  # noqa: S101 - there is a rate
    return along.coverage, ahead is not None


def _expected(found: Found, rate: Fraction) -> Fraction | float:
    """Units a day that are expected to be used; the peak where nothing is forecast."""
    return found.use.mean / BLOCK_DAYS if isinstance(found.use, Use) else rate


def _on_order(found: Found) -> int:
    return sum(units for units, _, _ in found.supply.orders)


# -- as it is answered ------------------------------------------------------------------------------------------------


def _without(found: Found, reason: Literal["peak_unknown", "no_use", "too_large"]) -> Json:
    """An item of which nothing can be said, or nothing is used."""
    said = plan_words.no_order(reason, _silent(found))
    nothing = None if reason in {"peak_unknown", "too_large"} else 0
    return {
        **_heading(found),
        "policy": None,
        "units": nothing,
        "packs": nothing,
        "pack": None,
        "order_by": None,
        "days_late": 0,
        "gap": None,
        "need_days": None,
        "at_risk": nothing,
        "cap": None,
        "reason_code": reason,
        "words": said._asdict(),
        "suppliers": _suppliers(found),
        "arithmetic": None,
    }


def _row(found: Found, order: Order, terms: Terms) -> Json:
    case, made, rate = found.case, order.found, order.judged.rate
    assert rate is not None  # noqa: S101 - an order is made of one
    by, as_of, ordered = made.order_by, case.as_of, made.order.units > 0
    asked = by if ordered else None
    gap = _gap(found, asked)
    need_units = max(0, ceil(made.need_days * rate))
    on_order, expected = _on_order(found), _expected(found, rate)
    said = plan_words.order(
        OrderTold(
            item=case.item,
            reason=made.reason,
            policy=order.judged.policy.code,
            required_days=order.required,
            lead_days=order.lead_days,
            review_days=terms.review_days,
            service_level=terms.service_level,
            forecast=order.forecast,
            at_end=order.at_end,
            need_days=made.need_days,
            peak=rate,
            need_units=need_units,
            on_order=on_order,
            units=made.order.units,
            packs=made.order.packs,
            pack=order.pack,
            order_by=None if asked is None else as_of + timedelta(days=asked.day),
            days_late=0 if asked is None else asked.days_late,
            gap=gap,
            at_risk=made.order.at_risk,
            cap=made.cap,
            lasts_days=case.item.shelf_life_days,
            late=[coming.number for coming in found.supply.late],
            bound=order.judged.policy.rate is None and not found.peak.known,
        )
    )
    return {
        **_heading(found),
        "policy": order.judged.policy.code,
        "units": made.order.units,
        "packs": made.order.packs if order.pack is not None else None,
        "pack": order.pack and {"gtin": order.pack.gtin, "units": order.pack.units_per_pack, "name": order.pack.name},
        "order_by": None if asked is None else iso(as_of + timedelta(days=asked.day)),
        "days_late": 0 if asked is None else asked.days_late,
        "gap": None if gap is None else {"from": iso(gap[0]), "to": iso(gap[1])},
        "need_days": raised(made.need_days),
        "at_risk": made.order.at_risk,
        "cap": made.cap,
        "reason_code": made.reason,
        "words": said._asdict(),
        "suppliers": _suppliers(found),
        "arithmetic": {
            "basis": "forecast" if order.forecast else "peak",
            "service_level": terms.service_level,
            "required_days": exact(order.required),
            "lead_time_days": order.lead_days,
            "review_days": terms.review_days,
            "end_on": iso(day_of(as_of, order.lead_days + terms.review_days)),
            "coverage_at_end": exact(order.at_end),
            "need_days": exact(made.need_days),
            "peak_daily": exact(rate),
            "need_units": need_units,
            "expected_use_daily": round(float(expected), 4),
            "shelf_life_days": case.item.shelf_life_days,
        },
    }


def _heading(found: Found) -> Json:
    case, cover = found.case, found.cover
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "category": case.item.category,
        "base_unit": case.item.base_unit,
        "as_of": iso(case.as_of),
        "usable": found.held.usable,
        "days_of_coverage": None if cover is None else floored(cover.days),
        "on_order": _on_order(found),
        "late": [coming.number for coming in found.supply.late],
        "peak_known": found.peak.known,
    }


def _gap(found: Found, by: OrderBy | None) -> tuple[date, date] | None:
    """The first and last day below the rule though the order goes out today."""
    if by is None or by.gap is None:
        return None
    first, last = by.gap
    return found.case.as_of + timedelta(days=first), found.case.as_of + timedelta(days=last)


def _silent(found: Found) -> list[Place]:
    return [found.case.history.places[n] for n in found.peak.unknown]


def _suppliers(found: Found) -> list[Json]:
    """Who has promised the item: agreements that count today, the soonest first."""
    counted = [one for one in found.supply.counted if one.units]
    return [_supplier(one) for one in sorted(counted, key=lambda one: (one.first_day, one.promise.number))]


def _supplier(counted: Counted) -> Json:
    promise = counted.promise
    unit = "units" if promise.kind == CommitmentKind.CONTRACT else "units_per_day"
    return {
        "commitment": promise.number,
        "kind": promise.kind,
        "supplier": promise.supplier,
        unit: counted.units,
        "lead_time_days": counted.first_day,
    }
