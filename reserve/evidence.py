"""What is found about a row, as it is answered: the row, and the explanation with every number that went in."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

from forecasting import depletion
from forecasting.peak import ScopePeak, parse_method
from reserve import commitments, explain, figures
from reserve.catalogue import Place
from reserve.commitments import Counted
from reserve.consumption import Excluded, History
from reserve.explain import PromiseTold
from reserve.figures import SILENT_AFTER_DAYS, Found, day_of
from reserve.judging import Judged, Part
from reserve.lots import life
from reserve.model import CommitmentKind, PolicyKind
from reserve.model import ScopePeak as ScopePeakKind
from reserve.outlook import BLOCK_DAYS, PATHS, USE_AT, Use
from reserve.supply import Coming

Json = dict[str, Any]

USE_TOLD = (0.5, 0.9, 0.95)


# -- the row ----------------------------------------------------------------------------------------------------------


def row(found: Found, told: explain.Told) -> Json:
    """One row as it is stored and answered, without what depends on the reader."""
    case, held, cover, peak = found.case, found.held, found.cover, found.peak
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "category": case.item.category,
        "as_of": iso(case.as_of),
        "on_hand": held.on_hand,
        "usable": held.usable,
        "on_hold": held.on_hold,
        "expired": held.expired,
        "in_transit": case.in_transit,
        "peak_daily": None if peak.peak is None else float(peak.peak),
        "binding_policy": found.binding and found.binding.code,
        "peak_basis": _peak_basis(found, told),
        "days_of_coverage": None if cover is None else floored(cover.days),
        "required_days": found.required_days,
        "required": found.bound.required if found.can_tell else None,
        "shortfall": found.bound.shortfall if found.can_tell else None,
        "wasted_by_expiry": 0 if cover is None else cover.wasted_units,
        "days_with_contract": _unbroken_days(found.with_contract),
        "days_with_capacity": _unbroken_days(found.with_capacity),
        "gaps": _gaps(found),
        "commitments": [_commitment(found, counted) for counted in found.supply.counted],
        "falls_below_on": iso(found.falls_below_on),
        "runs_out_on": iso(found.runs_out_on),
        "probability_below_required": _probability(found),
        "expected": _expected(found),
        "judged": _judged_by(found),
        "level": found.verdict.level.value,
        "reason_code": found.verdict.reason,
        "sealed": None,
    }


def _peak_basis(found: Found, told: explain.Told) -> Json:
    peak = found.peak
    window_from, window_to = _window(found)
    return {
        "method": found.method,
        "from": iso(found.first),
        "to": iso(found.case.as_of - timedelta(days=1)),
        "window_from": iso(window_from),
        "window_to": iso(window_to),
        "days_reported": peak.days_reported,
        "basis": peak.basis,
        "reported_share": _share(peak.reported_share),
        "known": peak.known,
        "unknown_locations": [place.code for place in told.unknown],
        "silent_locations": [place.code for place in told.silent],
        "flagged": len(peak.flagged),
        "excluded": len(_excluded(found)),
    }


def _unbroken_days(arrivals: depletion.Arrivals | None) -> float | None:
    return None if arrivals is None else floored(arrivals.days_unbroken)


def _gaps(found: Found) -> list[Json]:
    """Days not met in full that something promised ends: first, last, and the units missing."""
    if found.with_capacity is None:
        return []
    rows = []
    for gap in found.with_capacity.gaps:
        first, last = day_of(found.case.as_of, gap.first), day_of(found.case.as_of, gap.last)
        rows.append({"from": iso(first), "to": iso(last), "units": ceil(gap.units)})
    return rows


def _commitment(found: Found, counted: Counted) -> Json:
    promise, as_of = counted.promise, found.case.as_of
    return {
        "number": promise.number,
        "kind": promise.kind,
        "supplier": promise.supplier,
        "units": counted.units,
        "from": iso(day_of(as_of, counted.first_day)) if counted.units else None,
        "valid_until": iso(promise.valid_until),
        "seen_on": iso(promise.seen_on),
        "why": counted.why,
        "ends_soon": commitments.ends_within(promise, as_of),
    }


def _probability(found: Found) -> float | None:
    shown = found.shown
    return None if shown is None or shown.probability is None else float(shown.probability)


def _expected(found: Found) -> Json:
    """What the forecast says beside the rule's own dates."""
    use, shown = found.use, found.shown
    below = shown.below if shown is not None else None
    dates = [None, None, None] if below is None else [day_of(found.case.as_of, d) for d in below.quantiles]
    told: Json = {
        "look_ahead_days": found.look_ahead_days,
        "falls_below_on": {name: iso(day) for name, day in zip(("p05", "p50", "p95"), dates, strict=True)},
        "use_30_days": None,
        "reason": None,
    }
    if not isinstance(use, Use):
        return {**told, "reason": use.reason}
    mean, quantiles = use.mean, use.quantiles(USE_TOLD)
    if found.ahead is not None and found.case.factor is not None and found.ahead.demand.shape[1] >= BLOCK_DAYS:
        mean, quantiles = found.ahead.use_of_days(BLOCK_DAYS, USE_TOLD)
    told["use_30_days"] = {"mean": round(mean), **_percentiles(quantiles)}
    if shown is None or shown.probability is None:
        told["reason"] = (
            "no_policy" if not found.judged else "no_consumption" if not found.peak.peak else "nothing_asked"
        )
    return told


def _judged_by(found: Found) -> Json | None:
    """The days and the rate that stock is judged by, where a policy in days does: as scenarios and pages need them."""
    by = found.shown
    if by is None or by.rate is None or by.policy.physical is None:
        return None
    days = by.policy.physical
    return {
        "policy": by.policy.code,
        "required_days": int(days) if days.denominator == 1 else float(days),
        "rate": explain.exact(by.rate),
        "peak": by.policy.kind == PolicyKind.DAYS,
    }


def _percentiles(quantiles: dict[float, int]) -> Json:
    return {f"p{round(100 * share):02d}": units for share, units in quantiles.items()}


# -- the peak by every method -----------------------------------------------------------------------------------------

METHODS = (
    "rolling_mean_max",
    "rolling_mean_max:30",
    "rolling_mean_quantile:0.99",
    "day_max",
    "day_quantile:0.95",
    "mean_upper:0.95",
    "norm",
    "mean",
)
"""Those with a name; `mean_upper` and `mean` are for comparison only: they cover badly."""


def peaks(found: Found) -> list[Json]:
    """The peak by the row's method and by every named one, with the days and the shortfall each would give."""
    case, required = found.case, (found.ruling.physical if found.ruling else None) or 0
    kind = found.ruling.scope_peak if found.ruling else ScopePeakKind.PEAK_OF_SUM
    rows = []
    for method in dict.fromkeys([found.method, *METHODS]):
        width = parse_method(method).width
        if width > found.look_back:
            continue
        peak = figures.peak_of(case.history, method, found.look_back, kind)
        cover = None if peak.peak is None else depletion.cover(found.held.dated, peak.peak, required)
        start, end = peak.window_from, peak.window_to
        rows.append(
            {
                "method": method,
                "peak_daily": None if peak.peak is None else float(peak.peak),
                "basis": peak.basis,
                "known": peak.known,
                "window_from": None if start is None else iso(found.first + timedelta(days=start)),
                "window_to": None if end is None else iso(found.first + timedelta(days=end)),
                "days_of_coverage": None if cover is None else floored(cover.days),
                "required": cover.required if cover is not None and found.ruling else None,
                "shortfall": cover.shortfall if cover is not None and found.ruling else None,
                "ruling": method == found.method,
                "for_comparison_only": method.split(":")[0] in {"mean", "mean_upper"},
            }
        )
    return rows


# -- what sentences speak of ------------------------------------------------------------------------------------------


def told(found: Found) -> explain.Told:
    """The figures that sentences speak of."""
    case, held, cover, peak = found.case, found.held, found.cover, found.peak
    places = case.history.places
    return explain.Told(
        item=case.item,
        as_of=case.as_of,
        level=found.verdict.level,
        reason=found.verdict.reason,
        on_hand=held.on_hand,
        usable=held.usable,
        on_hold=held.on_hold,
        expired=held.expired,
        peak=peak.peak,
        days=None if cover is None else cover.days,
        required_days=found.required_days,
        required=found.bound.required,
        shortfall=found.bound.shortfall,
        wasted=Fraction(0) if cover is None else cover.wasted,
        wasted_units=0 if cover is None else cover.wasted_units,
        falls_below_on=found.falls_below_on,
        runs_out_on=found.runs_out_on,
        lead_time_days=found.lead_time_days,
        silent=[places[n] for n in _silent(case.history, peak, found.look_back)],
        unknown=[places[n] for n in peak.unknown],
        deciding=_deciding(found),
        probability=None if found.shown is None else found.shown.probability,
        look_ahead_days=found.look_ahead_days,
        short_by=None if found.binding is None or found.binding is found.ruling else found.binding.code,
        below=_below(found),
    )


def _below(found: Found) -> explain.Below | None:
    rule = None if found.shown is None else found.shown.policy
    if rule is None or rule.physical is None:
        return None
    return explain.Below(rule.physical, rule.code, rule.rate)


def _deciding(found: Found) -> explain.Deciding | None:
    if found.deciding is None:
        return None
    judged, part = found.deciding
    whole = not judged.policy.in_parts
    return explain.Deciding(
        code=judged.policy.code,
        part=None if whole else part.name,
        days=part.days,
        required_days=part.required_days,
        units=part.units,
        required=part.required,
        shortfall=part.shortfall,
        probability=judged.probability if part.name == "physical" else None,
        falls_below_on=None if part.facts is None else day_of(found.case.as_of, part.facts.falls_below_day),
        lead_time_days=judged.policy.lead_time_days,
        look_ahead_days=judged.policy.looks_ahead,
    )


def _silent(history: History, peak: ScopePeak, look_back: int) -> list[int]:
    """Places that are open and have not reported for a week."""
    return [
        n
        for n, last in enumerate(peak.last_reported)
        if history.active[n, -1] and (last is None or last < look_back - SILENT_AFTER_DAYS)
    ]


# -- the explanation --------------------------------------------------------------------------------------------------


def explanation(found: Found, said: explain.Told) -> Json:
    """Every number that went in, and sentences with which a person can redo the number."""
    case, cover = found.case, found.cover
    tightest = None
    if cover is not None and cover.tightest_life is not None:
        last = day_of(case.as_of, cover.tightest_life - 1) or date.max
        tightest = (last, cover.tightest_life, cover.outlives)
    policies = [_policy_told(j) for j in found.judged]
    lines = [
        *explain.lines(said, _peak_told(found), policies, tightest),
        *explain.promise_lines(said, _promises_told(found), _with_promises(found)),
        *explain.forecast_lines(said, _forecast_told(found)),
    ]
    return {
        "check": _check(said),
        "formula": "days = (usable - wasted_by_expiry) / peak_daily"
        " = min(usable / peak_daily, min over expiry days k of (k + stock that outlives k / peak_daily))",
        "wasted_exact": explain.exact(said.wasted),
        "lots": _lot_rows(found),
        "peak": _peak_rows(found, said),
        "policies": [_policy_row(j, binding=j.policy is found.binding) for j in found.judged],
        "tightest": tightest and {"expires_on": iso(tightest[0]), "life": tightest[1], "outlives": tightest[2]},
        "promises": _promise_rows(found),
        "forecast": forecast(found),
        "lines": {"zh": [s.zh for s in lines], "en": [s.en for s in lines]},
    }


def _policy_told(judged: Judged) -> explain.PolicyTold:
    rule = judged.policy
    parts = [explain.PartTold(p.name, p.required_days, p.required, p.days, p.units) for p in judged.parts]
    return explain.PolicyTold(
        rule.code, rule.required_days, judged.required, rule.source_text, judged.rate, parts if rule.in_parts else ()
    )


def _promise_rows(found: Found) -> Json:
    """What promises add: each with the day it comes, and the days without a gap."""
    as_of = found.case.as_of

    def dated(arrivals: Sequence[tuple[int, int]]) -> list[Json]:
        return [{"units": units, "day": day, "date": iso(day_of(as_of, day))} for units, day in arrivals]

    return {
        "agreements": [_commitment(found, counted) for counted in found.supply.counted],
        "contracts": dated(found.supply.contracts),
        "capacity": [
            {"units_per_day": units, "first_day": first, "last_day": last}
            for units, first, last in found.supply.capacity
        ],
        "capacity_called": dated(found.supply.batches),
        "days_with_contract": _exact_days(found.with_contract),
        "days_with_capacity": _exact_days(found.with_capacity),
        "gaps": _gaps(found),
    }


def _exact_days(arrivals: depletion.Arrivals | None) -> str | None:
    return None if arrivals is None or arrivals.days_unbroken is None else explain.exact(arrivals.days_unbroken)


def forecast(found: Found) -> Json:
    """How use is expected to go on, with the moments it was made from; and what is known to change."""
    use = found.use
    changes = [
        {
            "from": iso(change.first_day),
            "to": iso(change.last_day),
            "factor": float(change.factor),
            "reason": change.reason,
            "actor": change.actor,
        }
        for change in found.case.changes
    ]
    if not isinstance(use, Use):
        return {
            "reason": use.reason,
            "share_filled": round(use.share_filled, 4),
            "usable_days": use.usable_days,
            "changes": changes,
        }
    return {
        "reason": None,
        "method": "nb",
        "horizon_days": BLOCK_DAYS,
        "from": iso(use.first),
        "to": iso(found.case.as_of - timedelta(days=1)),
        "window_days": use.window_days,
        "share_filled": round(use.share_filled, 4),
        "usable_days": use.usable_days,
        "level": float(use.moments.level[0]),
        "window_mean": float(use.moments.window_mean[0]),
        "mean": use.mean,
        "variance": use.variance,
        "use": _percentiles(use.quantiles(USE_AT)),
        "weekdays": [round(float(factor), 4) for factor in use.pattern.factors],
        "concentration": round(use.pattern.concentration, 2),
        "paths": PATHS,
        "seed": None if found.ahead is None else str(found.ahead.seed),
        "changes": changes,
    }


def _promises_told(found: Found) -> list[PromiseTold]:
    as_of = found.case.as_of
    called = {kind: _called_of(found, kind) for kind in CommitmentKind}
    agreements = [
        PromiseTold(
            promise.number,
            promise.kind,
            promise.supplier,
            counted.units,
            counted.first_day,
            day_of(as_of, counted.first_day),
            promise.valid_until,
            promise.seen_on,
            counted.why,
        )
        for counted in found.supply.counted
        for promise in [counted.promise]
    ]
    under_way = [
        PromiseTold(coming.number, kind, coming.supplier or "", coming.units, 0, coming.expected_on, None, None, None)
        for kind, rows in called.items()
        for coming in rows
    ]
    too_late = [
        PromiseTold(c.number, promise.kind, c.supplier or "", 0, 0, c.expected_on, None, None, "too_late")
        for c in found.supply.late
        for promise in found.case.promises
        if promise.number == c.commitment
    ]
    return [*agreements, *under_way, *too_late]


def _called_of(found: Found, kind: CommitmentKind) -> list[Coming]:
    """What was called of agreements and is reckoned with; what is too late is not."""
    kinds = {promise.number: promise.kind for promise in found.case.promises}
    late = {coming.number for coming in found.supply.late}
    return [c for c in found.case.coming if kinds.get(c.commitment or "") == kind and c.number not in late]


def _with_promises(found: Found) -> explain.WithPromises | None:
    if found.with_contract is None or found.with_capacity is None:
        return None
    return explain.WithPromises(
        found.with_contract.days_unbroken,
        found.with_capacity.days_unbroken,
        [
            (day_of(found.case.as_of, gap.first), day_of(found.case.as_of, gap.last), ceil(gap.units))
            for gap in found.with_capacity.gaps
        ],
    )


def _forecast_told(found: Found) -> explain.ForecastTold:
    use, shown = found.use, found.shown
    if not isinstance(use, Use):
        return explain.ForecastTold(use.reason, use.share_filled, use.usable_days)
    below = shown.below if shown is not None else None
    return explain.ForecastTold(
        None,
        use.share_filled,
        use.usable_days,
        mean=use.mean,
        deviation=use.variance**0.5,
        level=float(use.moments.level[0]),
        window_mean=float(use.moments.window_mean[0]),
        window_days=use.window_days,
        horizon_days=BLOCK_DAYS,
        quantiles=use.quantiles((0.5, 0.9, 0.95)),
        falls_below=None if below is None else tuple(day_of(found.case.as_of, day) for day in below.quantiles),
        paths=PATHS,
        changes=[(c.first_day, c.last_day, Fraction(c.factor_per_1000, 1000), c.reason) for c in found.case.changes],
    )


def _window(found: Found) -> tuple[date | None, date | None]:
    start, end = found.peak.window_from, found.peak.window_to
    return (
        None if start is None else found.first + timedelta(days=start),
        None if end is None else found.first + timedelta(days=end),
    )


def _peak_told(found: Found) -> explain.PeakTold:
    window_from, window_to = _window(found)
    return explain.PeakTold(
        method=found.method,
        first=found.first,
        last=found.case.as_of - timedelta(days=1),
        window_from=window_from,
        window_to=window_to,
        window_sum=sum(found.peak.window_filled, Fraction(0)),
        width=len(found.peak.window_filled) or parse_method(found.method).width,
        days_reported=found.peak.days_reported,
        days=found.look_back,
        flagged=_flagged(found),
        excluded=[
            (found.case.history.places[day.row], found.case.history.day(day.index), day.quantity, day.reason)
            for day in _left_out(found)
        ],
        with_excluded=_with_excluded(found),
        declared=[
            (place, own.peak)
            for place, own in zip(found.case.history.places, found.peak.own, strict=True)
            if own.basis == "norm" and own.peak is not None
        ],
    )


def _peak_rows(found: Found, told: explain.Told) -> Json:
    peak, history = found.peak, found.case.history
    window_from, window_to = _window(found)
    return {
        "method": found.method,
        "width": parse_method(found.method).width,
        "from": iso(found.first),
        "to": iso(found.case.as_of - timedelta(days=1)),
        "window_from": iso(window_from),
        "window_to": iso(window_to),
        "window": _window_rows(found),
        "fraction": None if peak.peak is None else explain.exact(peak.peak),
        "peak_daily": None if peak.peak is None else float(peak.peak),
        "basis": peak.basis,
        "reported_share": _share(peak.reported_share),
        "lower_bound": float(peak.lower_bound),
        "sum_of_peaks": float(peak.sum_of_peaks),
        "days_reported": peak.days_reported,
        "locations": _location_rows(found),
        "unknown_locations": [place.code for place in told.unknown],
        "silent_locations": [place.code for place in told.silent],
        "flagged": [
            {"location": place.code, "date": iso(day), "quantity": units} for place, day, units in _flagged(found)
        ],
        "excluded": _excluded(found),
        "peak_with_excluded": None if (peak_with := _with_excluded(found)) is None else float(peak_with),
        "declared": [
            {"location": place.code, "units_per_day": explain.exact(norm)}
            for place, norm in zip(history.places, history.declared, strict=False)
            if norm
        ],
    }


def _excluded(found: Found) -> list[Json]:
    """Days that a manager took out of the look-back, with the reason."""
    history = found.case.history
    return [
        {
            "location": history.places[day.row].code,
            "date": iso(history.day(day.index)),
            "quantity": day.quantity,
            "reason": day.reason,
            "actor": day.actor,
        }
        for day in _left_out(found)
    ]


def _left_out(found: Found) -> list[Excluded]:
    return [day for day in found.case.history.excluded if found.case.history.day(day.index) >= found.first]


def _flagged(found: Found) -> list[tuple[Place, date, int]]:
    """Reported days that stand far out of their place's use."""
    history = found.case.history
    values = _windowed(history.values, found.look_back)
    return [(history.places[n], found.first + timedelta(days=d), int(values[n, d])) for n, d in found.peak.flagged]


def _with_excluded(found: Found) -> Fraction | None:
    """The peak as it would be with those days: both are shown."""
    history = found.case.history
    if not _left_out(found):
        return None
    values, reported = history.values.copy(), history.reported.copy()
    for day in history.excluded:
        values[day.row, day.index], reported[day.row, day.index] = day.quantity, True
    kind = found.ruling.scope_peak if found.ruling else ScopePeakKind.PEAK_OF_SUM
    return figures.peak_of(history._replace(values=values, reported=reported), found.method, found.look_back, kind).peak


def _policy_row(judged: Judged, *, binding: bool) -> Json:
    rule = judged.policy
    return {
        "code": rule.code,
        "kind": rule.kind,
        "required_days": rule.required_days,
        "required": judged.required,
        "shortfall": judged.shortfall,
        "rate": None if judged.rate is None else explain.exact(judged.rate),
        "days": floored(judged.days),
        "level": judged.verdict.level.value,
        "probability_below_required": None if judged.probability is None else float(judged.probability),
        "look_ahead_days": rule.looks_ahead,
        "parts": [_part_row(part) for part in judged.parts] if rule.in_parts else [],
        "source_title": rule.source_title,
        "source_text": rule.source_text,
        "effective_from": iso(rule.effective_from),
        "binding": binding,
    }


def _part_row(part: Part) -> Json:
    return {
        "part": part.name,
        "required_days": None if part.required_days is None else floored(part.required_days),
        "required": part.required,
        "days": floored(part.days),
        "units": part.units,
        "shortfall": part.shortfall,
        "level": part.verdict.level.value,
    }


def _check(told: explain.Told) -> str | None:
    """The number as one line that a calculator understands."""
    if told.days is None or not told.peak:
        return None
    wasted, peak = (explain.plain(number, grouped=False) for number in (told.wasted, told.peak))
    return f"({told.usable} - {wasted}) / {peak} = {explain.down(told.days, 2)}"


def _lot_rows(found: Found) -> list[Json]:
    held, rate = found.held, found.peak.peak
    wasted = iter(depletion.waste_by_lot(held.dated, rate) if rate else ())
    rows = []
    for lot in held.lots:
        counted = lot.usable > 0
        lost = next(wasted, Fraction(0)) if counted else Fraction(0)
        rows.append(
            {
                "location": lot.location,
                "lot_number": lot.lot_number,
                "expires_on": iso(lot.expires_on),
                "life": life(lot.expires_on, found.case.as_of),
                "on_hand": lot.on_hand,
                "counted": counted,
                "reason": "expired" if lot.expired else "on_hold" if lot.hold else None,
                "wasted": rounded(lost),
            }
        )
    return rows


def _window_rows(found: Found) -> list[Json]:
    last = found.peak.window_to
    if last is None:
        return []
    history = found.case.history
    values = _windowed(history.values * history.reported, found.look_back)
    rows = []
    for day, total in enumerate(found.peak.window_filled, last - len(found.peak.window_filled) + 1):
        reported = int(values[:, day].sum()) if day >= 0 else 0  # a wide window may begin before the look-back
        rows.append(
            {
                "date": iso(found.first + timedelta(days=day)),
                "total": _number(total),
                "reported": reported,
                "filled": _number(total - reported),
            }
        )
    return rows


def _location_rows(found: Found) -> list[Json]:
    history, peak = found.case.history, found.peak
    reported = _windowed(history.reported, found.look_back)
    active = _windowed(history.active, found.look_back)
    return [
        {
            "location": place.code,
            "name_zh": place.name_zh,
            "name_en": place.name_en,
            "own_peak": None if own.peak is None else float(own.peak),
            "basis": own.basis,
            "days_reported": own.days_reported,
            "days_missing": int((active[n] & ~reported[n]).sum()),
            "last_reported_on": None if last is None else iso(found.first + timedelta(days=last)),
        }
        for n, (place, own, last) in enumerate(zip(history.places, peak.own, peak.last_reported, strict=True))
    ]


def _windowed(array: Any, look_back: int) -> Any:  # noqa: ANN401 - an array in, the same kind out
    return array[:, max(0, array.shape[1] - look_back) :]


def floored(days: Fraction | None) -> float | None:
    """Two decimals, never up: JSON carries what the screen may show."""
    return None if days is None else floor(days * 100) / 100


def rounded(units: Fraction) -> int:
    """To the nearest unit, halves up."""
    return floor(units + Fraction(1, 2))


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _share(share: Fraction) -> float:
    return floor(share * 10000) / 10000


def iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
