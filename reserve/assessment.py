"""The verdict on one item in one scope, pure: a `Situation` in, an `Assessment` with its explanation out."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

from forecasting import depletion
from forecasting.peak import ScopePeak, parse_method, scope_peak
from reserve import explain, levels
from reserve.catalogue import ItemRow, Place
from reserve.consumption import History
from reserve.explain import Sentence
from reserve.levels import Facts, Verdict
from reserve.lots import life
from reserve.model import Level, PolicyKind
from reserve.policy import PolicyRow
from reserve.stock import StockRow

DEFAULT_METHOD = "rolling_mean_max"
DEFAULT_LOOK_BACK_DAYS = 365
SILENT_AFTER_DAYS = 7

Json = dict[str, Any]


class Situation(NamedTuple):
    """All that one row is made from."""

    scope: Place
    item: ItemRow
    as_of: date
    lots: Sequence[StockRow]
    in_transit: int
    history: History
    policies: Sequence[PolicyRow]
    declared: bool
    """Whether a policy names this very scope: only then does a change of level raise an alert."""
    method: str | None = None
    """Asked for by hand; None takes the policy's."""


class Assessment(NamedTuple):
    scope: Place
    item: ItemRow
    as_of: date
    verdict: Verdict
    judged: Sequence[Facts]
    falls_below_on: date | None
    declared: bool
    reason: Sentence
    row: Json
    explanation: Json

    @property
    def level(self) -> Level:
        return self.verdict.level


class _Judged(NamedTuple):
    policy: PolicyRow
    required: int
    shortfall: int
    rate: Fraction | None
    days: Fraction | None
    facts: Facts | None
    verdict: Verdict


class _Stock(NamedTuple):
    on_hand: int
    usable: int
    on_hold: int
    expired: int
    dated: list[tuple[int, int | None]]
    """(units, life in days) of the usable lots, in the order of `lots`."""
    lots: list[StockRow]


class _Found(NamedTuple):
    """What is worked out once and told three times: in the row, the reason and the explanation."""

    case: Situation
    held: _Stock
    method: str
    look_back: int
    peak: ScopePeak
    cover: depletion.Cover | None
    judged: Sequence[_Judged]
    bound: depletion.Binding
    ruling: PolicyRow | None
    required_days: int | None
    lead_time_days: int
    verdict: Verdict
    falls_below_on: date | None
    runs_out_on: date | None

    @property
    def first(self) -> date:
        """The first day of the look-back."""
        return self.case.as_of - timedelta(days=self.look_back)

    @property
    def can_tell(self) -> bool:
        """Whether anything says how much is required: a policy in days does not while the peak is unknown."""
        return not self.judged or any(j.rate is not None or j.policy.quantity is not None for j in self.judged)

    @property
    def binding(self) -> PolicyRow | None:
        return None if self.bound.place is None else self.judged[self.bound.place].policy


def assess(case: Situation) -> Assessment:
    """One row with its explanation."""
    found = _find(case)
    told = _told(found)
    return Assessment(
        scope=case.scope,
        item=case.item,
        as_of=case.as_of,
        verdict=found.verdict,
        judged=[j.facts for j in found.judged if j.facts is not None],
        falls_below_on=found.falls_below_on,
        declared=case.declared,
        reason=explain.reason(told),
        row=_row(found, told),
        explanation=_explanation(found, told),
    )


def projection(case: Situation, days: int) -> Json:
    """Stock day by day if it is used at the peak: the rule's own view, not a forecast."""
    found = _find(case)
    path = None if found.peak.peak is None else depletion.at_peak(found.held.dated, found.peak.peak, days)
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "as_of": _iso(case.as_of),
        "dates": [_iso(case.as_of + timedelta(days=n)) for n in range(days + 1)],
        "usable": None,
        "at_peak": path and [_rounded(units) for units in path.on_hand],
        "days_at_peak": path and path.coverage and [_floored(d) for d in path.coverage],
        "required": found.cover.required if found.cover and found.required_days else None,
        "required_days": found.required_days,
        "expiring": path and [_rounded(units) for units in path.lost],
        "receipts": [],
        "probability_below_required": None,
        "falls_below_on": {"p05": None, "p50": None, "p95": None, "at_peak": _iso(found.falls_below_on)},
        "runs_out_on": _iso(found.runs_out_on),
    }


def _find(case: Situation) -> _Found:
    held, ruling = _stock(case), _ruling(case.policies)
    method = case.method or (ruling.method if ruling else DEFAULT_METHOD)
    look_back = ruling.look_back_days if ruling else DEFAULT_LOOK_BACK_DAYS
    peaks = {(method, look_back): _peak(case.history, method, look_back)}
    for rule in case.policies:
        key = (case.method or rule.method, rule.look_back_days)
        if key not in peaks:
            peaks[key] = _peak(case.history, *key)
    judged = [_judge(r, held, peaks[case.method or r.method, r.look_back_days]) for r in case.policies]
    peak = peaks[method, look_back]
    # where no policy counts in days at the peak, the row shows the days and the date of the one that asks for most
    asking = max((j for j in judged if j.facts is not None), key=lambda j: j.required, default=None)
    required_days = ruling.required_days if ruling else asking.policy.required_days if asking else None
    cover = None if peak.peak is None else depletion.cover(held.dated, peak.peak, required_days or 0)
    falls_below_on, runs_out_on = _dates(case.as_of, cover, has_rule=ruling is not None)
    if ruling is None and asking is not None and asking.facts is not None:
        falls_below_on = _day(case.as_of, asking.facts.falls_below_day)
    return _Found(
        case=case,
        held=held,
        method=method,
        look_back=look_back,
        peak=peak,
        cover=cover,
        judged=judged,
        bound=depletion.binding(judged),
        ruling=ruling,
        required_days=required_days,
        lead_time_days=ruling.lead_time_days if ruling else 14,
        verdict=levels.worst(j.verdict for j in judged) if judged else _unruled(peak),
        falls_below_on=falls_below_on,
        runs_out_on=runs_out_on,
    )


def _row(found: _Found, told: explain.Told) -> Json:
    case, held, cover, peak = found.case, found.held, found.cover, found.peak
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "category": case.item.category,
        "as_of": _iso(case.as_of),
        "on_hand": held.on_hand,
        "usable": held.usable,
        "on_hold": held.on_hold,
        "expired": held.expired,
        "in_transit": case.in_transit,
        "peak_daily": None if peak.peak is None else float(peak.peak),
        "binding_policy": found.binding and found.binding.code,
        "peak_basis": {
            "method": found.method,
            "from": _iso(found.first),
            "to": _iso(case.as_of - timedelta(days=1)),
            "days_reported": peak.days_reported,
            "basis": peak.basis,
            "reported_share": _share(peak.reported_share),
            "known": peak.known,
            "unknown_locations": [place.code for place in told.unknown],
        },
        "days_of_coverage": None if cover is None else _floored(cover.days),
        "required_days": found.required_days,
        "required": found.bound.required if found.can_tell else None,
        "shortfall": found.bound.shortfall if found.can_tell else None,
        "wasted_by_expiry": 0 if cover is None else cover.wasted_units,
        "days_with_contract": None,
        "days_with_capacity": None,
        "gaps": [],
        "falls_below_on": _iso(found.falls_below_on),
        "runs_out_on": _iso(found.runs_out_on),
        "probability_below_required": None,
        "level": found.verdict.level.value,
        "reason_code": found.verdict.reason,
        "sealed": None,
    }


def _stock(case: Situation) -> _Stock:
    lots = sorted(case.lots, key=lambda r: (r.expires_on or date.max, r.item, r.lot_number, r.location))
    expired = sum(r.on_hand for r in lots if r.expired)
    on_hold = sum(r.on_hand for r in lots if r.hold and not r.expired)
    dated = [(r.usable, life(r.expires_on, case.as_of)) for r in lots if r.usable]
    usable = sum(units for units, _ in dated)
    return _Stock(usable + on_hold + expired, usable, on_hold, expired, dated, lots)


def _ruling(policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """The policy whose days the row shows: of those in days at the peak, the one that asks for most."""
    by_days = [p for p in policies if p.kind == PolicyKind.DAYS]
    return max(by_days, key=lambda p: (p.required_days or 0, p.code), default=None)


def _peak(history: History, method: str, look_back_days: int) -> ScopePeak:
    window = slice(max(0, history.values.shape[1] - look_back_days), None)
    return scope_peak(
        history.values[:, window],
        history.reported[:, window],
        censored=history.censored[:, window],
        active=history.active[:, window],
        method=method,
        silent_after_days=SILENT_AFTER_DAYS,
    )


def _judge(rule: PolicyRow, held: _Stock, peak: ScopePeak) -> _Judged:
    """One policy alone."""
    if rule.quantity is not None:
        fixed = depletion.judge_quantity(held.dated, rule.quantity)
        verdict = levels.judge_quantity(held.usable, rule.quantity)
        return _Judged(rule, fixed.required, fixed.shortfall, None, None, None, verdict)
    rate, known = (rule.rate, True) if rule.rate is not None else (peak.peak, peak.known)
    required_days = rule.required_days or 0
    if rate is None:
        facts = Facts(None, Fraction(required_days), held.usable, known=False, peak_known=False)
        return _Judged(rule, 0, 0, None, None, facts, levels.judge(facts))
    cover = depletion.cover(held.dated, rate, required_days)
    facts = Facts(
        cover.days,
        Fraction(required_days),
        held.usable,
        known=known,
        falls_below_day=cover.falls_below_day,
        lead_time_days=rule.lead_time_days,
        margin_days=rule.margin_days,
    )
    return _Judged(rule, cover.required, cover.shortfall, rate, cover.days, facts, levels.judge(facts))


def _unruled(peak: ScopePeak) -> Verdict:
    if peak.peak is None or not peak.known:
        return Verdict(Level.UNKNOWN, "consumption_unknown")
    return Verdict(Level.UNKNOWN, "no_policy" if peak.peak else "no_consumption")


def _dates(as_of: date, cover: depletion.Cover | None, *, has_rule: bool) -> tuple[date | None, date | None]:
    """`falls_below_on` and `runs_out_on`; a calendar ends, so a date beyond it is none."""
    if cover is None:
        return None, None
    below = _day(as_of, cover.falls_below_day) if has_rule else None
    return below, _day(as_of, cover.runs_out_day)


def _day(as_of: date, days: int | None) -> date | None:
    if days is None or days > (date.max - as_of).days:
        return None
    return as_of + timedelta(days=days)


def _told(found: _Found) -> explain.Told:
    case, held, cover, peak = found.case, found.held, found.cover, found.peak
    places = case.history.places
    deciding = _deciding(found)
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
        deciding=None
        if deciding is None
        else explain.Deciding(deciding.policy.code, deciding.days, deciding.policy.required_days, deciding.required),
    )


def _deciding(found: _Found) -> _Judged | None:
    """The policy whose verdict is the row's, where it is not the one in days at the peak that the row shows."""
    same = [j for j in found.judged if j.verdict == found.verdict]
    if not same or any(j.policy is found.ruling for j in same):
        return None
    return max(same, key=lambda j: (j.shortfall, j.required))


def _silent(history: History, peak: ScopePeak, look_back: int) -> list[int]:
    """Places that are open and have not reported for a week."""
    return [
        n
        for n, last in enumerate(peak.last_reported)
        if history.active[n, -1] and (last is None or last < look_back - SILENT_AFTER_DAYS)
    ]


def _explanation(found: _Found, told: explain.Told) -> Json:
    case, cover = found.case, found.cover
    tightest = None
    if cover is not None and cover.tightest_life is not None:
        last = _day(case.as_of, cover.tightest_life - 1) or date.max
        tightest = (last, cover.tightest_life, cover.outlives)
    policies = [
        explain.PolicyTold(j.policy.code, j.policy.required_days, j.required, j.policy.source_text, j.rate)
        for j in found.judged
    ]
    said = explain.lines(told, _peak_told(found), policies, tightest)
    return {
        "check": _check(told),
        "formula": "days = (usable - wasted_by_expiry) / peak_daily"
        " = min(usable / peak_daily, min over expiry days k of (k + stock that outlives k / peak_daily))",
        "wasted_exact": explain.exact(told.wasted),
        "lots": _lot_rows(found),
        "peak": _peak_rows(found, told),
        "policies": [_policy_row(j, binding=j.policy is found.binding) for j in found.judged],
        "tightest": tightest and {"expires_on": _iso(tightest[0]), "life": tightest[1], "outlives": tightest[2]},
        "lines": {"zh": [s.zh for s in said], "en": [s.en for s in said]},
    }


def _window(found: _Found) -> tuple[date | None, date | None]:
    start, end = found.peak.window_from, found.peak.window_to
    return (
        None if start is None else found.first + timedelta(days=start),
        None if end is None else found.first + timedelta(days=end),
    )


def _peak_told(found: _Found) -> explain.PeakTold:
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
    )


def _peak_rows(found: _Found, told: explain.Told) -> Json:
    peak, history = found.peak, found.case.history
    window_from, window_to = _window(found)
    return {
        "method": found.method,
        "width": parse_method(found.method).width,
        "from": _iso(found.first),
        "to": _iso(found.case.as_of - timedelta(days=1)),
        "window_from": _iso(window_from),
        "window_to": _iso(window_to),
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
            {
                "location": history.places[n].code,
                "date": _iso(found.first + timedelta(days=d)),
                "quantity": int(_windowed(history.values, found.look_back)[n, d]),
            }
            for n, d in peak.flagged
        ],
    }


def _policy_row(judged: _Judged, *, binding: bool) -> Json:
    rule = judged.policy
    return {
        "code": rule.code,
        "kind": rule.kind,
        "required_days": rule.required_days,
        "required": judged.required,
        "shortfall": judged.shortfall,
        "rate": None if judged.rate is None else explain.exact(judged.rate),
        "days": _floored(judged.days),
        "level": judged.verdict.level.value,
        "source_title": rule.source_title,
        "source_text": rule.source_text,
        "effective_from": _iso(rule.effective_from),
        "binding": binding,
    }


def _check(told: explain.Told) -> str | None:
    """The number as one line that a calculator understands."""
    if told.days is None or not told.peak:
        return None
    wasted, peak = (explain.plain(number, grouped=False) for number in (told.wasted, told.peak))
    return f"({told.usable} - {wasted}) / {peak} = {explain.down(told.days, 2)}"


def _lot_rows(found: _Found) -> list[Json]:
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
                "expires_on": _iso(lot.expires_on),
                "life": life(lot.expires_on, found.case.as_of),
                "on_hand": lot.on_hand,
                "counted": counted,
                "reason": "expired" if lot.expired else "on_hold" if lot.hold else None,
                "wasted": _rounded(lost),
            }
        )
    return rows


def _window_rows(found: _Found) -> list[Json]:
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
                "date": _iso(found.first + timedelta(days=day)),
                "total": _number(total),
                "reported": reported,
                "filled": _number(total - reported),
            }
        )
    return rows


def _location_rows(found: _Found) -> list[Json]:
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
            "last_reported_on": None if last is None else _iso(found.first + timedelta(days=last)),
        }
        for n, (place, own, last) in enumerate(zip(history.places, peak.own, peak.last_reported, strict=True))
    ]


def _windowed(array: Any, look_back: int) -> Any:  # noqa: ANN401 - an array in, the same kind out
    return array[:, max(0, array.shape[1] - look_back) :]


def _floored(days: Fraction | None) -> float | None:
    """Two decimals, never up: JSON carries what the screen may show."""
    return None if days is None else floor(days * 100) / 100


def _rounded(units: Fraction) -> int:
    """To the nearest unit, halves up."""
    return floor(units + Fraction(1, 2))


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _share(share: Fraction) -> float:
    return floor(share * 10000) / 10000


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
