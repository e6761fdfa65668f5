"""The figures of one item in one scope, pure: from a `Situation` all that its row and explanation tell."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import depletion
from forecasting.peak import ScopePeak, scope_peak
from reserve import commitments, judging, levels, outlook, supply
from reserve.catalogue import ItemRow, Place
from reserve.changes import ChangeRow
from reserve.commitments import Counted, Promise
from reserve.consumption import History
from reserve.judging import Judged, Part
from reserve.levels import Verdict
from reserve.lots import life
from reserve.model import CommitmentKind, Level, PolicyKind
from reserve.model import ScopePeak as ScopePeakKind
from reserve.outlook import Ahead, Unforeseen, Use
from reserve.policy import DEFAULT_LEAD_TIME_DAYS, MAX_LOOK_AHEAD_DAYS, PolicyRow
from reserve.stock import StockRow
from reserve.supply import Coming

DEFAULT_METHOD = "rolling_mean_max"
DEFAULT_LOOK_BACK_DAYS = 365
DEFAULT_LOOK_AHEAD_DAYS = 30
SILENT_AFTER_DAYS = 7


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
    promises: Sequence[Promise] = ()
    coming: Sequence[Coming] = ()
    """Planned receipts, called-up agreements and goods on the road to the scope."""
    changes: Sequence[ChangeRow] = ()
    """Known changes of use that apply, each with its days and its reason."""
    factor: NDArray[np.float64] | None = None
    """What they multiply the use of each day ahead by; None where none applies."""


class Held(NamedTuple):
    """What lies there."""

    on_hand: int
    usable: int
    on_hold: int
    expired: int
    dated: list[tuple[int, int | None]]
    """(units, life in days) of the usable lots, in the order of `lots`."""
    lots: list[StockRow]


class Supply(NamedTuple):
    """What is promised and what is to come, in day numbers from `as_of`."""

    counted: Sequence[Counted]
    contracts: list[tuple[int, int]]
    """(units, day): contracts as if they were called today, and those that were."""
    capacity: list[tuple[int, int, int | None]]
    batches: list[tuple[int, int]]
    """(units, day) of capacity that was called up."""
    orders: list[outlook.Arrival]
    """Everything under way, with the day it comes."""
    late: Sequence[Coming]
    """Under way, and not reckoned with any more."""

    @property
    def contract_units(self) -> int:
        return sum(units for units, _ in self.contracts)


class Found(NamedTuple):
    """What is worked out once and told three times: in the row, the reason and the explanation."""

    case: Situation
    held: Held
    method: str
    look_back: int
    peak: ScopePeak
    cover: depletion.Cover | None
    supply: Supply
    with_contract: depletion.Arrivals | None
    with_capacity: depletion.Arrivals | None
    use: Use | Unforeseen
    ahead: Ahead | None
    judged: Sequence[Judged]
    bound: depletion.Binding
    ruling: PolicyRow | None
    required_days: int | None
    look_ahead_days: int
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

    @property
    def shown(self) -> Judged | None:
        """The policy whose days, date and probability the row shows: in days at the peak, or the one that asks most."""
        if self.ruling is not None:
            return next(j for j in self.judged if j.policy is self.ruling)
        return _asking(self.judged)

    @property
    def deciding(self) -> tuple[Judged, Part] | None:
        """Whose verdict is the row's, where it is not that of stock against the days that the row shows."""
        same = [j for j in self.judged if j.verdict == self.verdict]
        if not same or any(j.policy is self.ruling and not j.policy.in_parts for j in same):
            return None
        judged = max(same, key=lambda j: (j.shortfall, j.required))
        return judged, judged.worst


def find(case: Situation, *, days: int | None = None) -> Found:
    """Everything about one row; the forecast reaches `days` ahead, or as far as its policies look."""
    held, ruling = _held(case), _ruling(case.policies)
    peaks = _Peaks(case)
    method = case.method or (ruling.method if ruling else DEFAULT_METHOD)
    look_back = ruling.look_back_days if ruling else DEFAULT_LOOK_BACK_DAYS
    peak = peaks.of(method, look_back, ruling.scope_peak if ruling else ScopePeakKind.PEAK_OF_SUM)
    strictest = min((rule.verified_within_days for rule in case.policies), default=commitments.VERIFIED_WITHIN_DAYS)
    under_way = _supply(case, strictest)
    use = outlook.use_of(case.history, case.as_of)
    ahead = None
    if isinstance(use, Use) and (peak.peak or any(rule.rate or rule.quantity for rule in case.policies)):
        furthest = max([days or 0, *(rule.looks_ahead for rule in case.policies)]) or DEFAULT_LOOK_AHEAD_DAYS
        ahead = outlook.ahead(
            use,
            held.dated,
            as_of=case.as_of,
            question=f"{case.scope.code}/{case.item.code}",
            days=furthest,
            factor=case.factor,
        )
    judged = [_judge(rule, case, held, peaks, ahead) for rule in case.policies]
    # where no policy counts in days at the peak, the row shows the days and the date of the one that asks for most
    asking = _asking(judged)
    required_days = ruling.required_days if ruling else asking.policy.required_days if asking else None
    physical = ruling.physical if ruling else None
    cover = None if peak.peak is None else depletion.cover(held.dated, peak.peak, physical or required_days or 0)
    falls_below_on, runs_out_on = _dates(case.as_of, cover, has_rule=ruling is not None and physical != 0)
    if ruling is None and asking is not None:
        falls_below_on = day_of(case.as_of, asking.facts[0].falls_below_day)
    return Found(
        case=case,
        held=held,
        method=method,
        look_back=look_back,
        peak=peak,
        cover=cover,
        supply=under_way,
        with_contract=_unbroken(held, peak, cover, under_way.contracts),
        with_capacity=_unbroken(held, peak, cover, [*under_way.contracts, *under_way.batches], under_way.capacity),
        use=use,
        ahead=ahead,
        judged=judged,
        bound=depletion.binding(judged),
        ruling=ruling,
        required_days=required_days,
        look_ahead_days=ruling.looks_ahead if ruling else asking.policy.looks_ahead if asking else 30,
        lead_time_days=ruling.lead_time_days if ruling else DEFAULT_LEAD_TIME_DAYS,
        verdict=levels.worst(j.verdict for j in judged) if judged else _unruled(peak),
        falls_below_on=falls_below_on,
        runs_out_on=runs_out_on,
    )


def _asking(judged: Sequence[Judged]) -> Judged | None:
    """Of the policies that can be judged, one that counts in days before one of a quantity, the one that asks most."""
    return max((j for j in judged if j.facts), key=lambda j: (j.rate is not None, j.required), default=None)


class _Peaks:
    """The peaks that the policies of one row ask for, each worked out once."""

    def __init__(self, case: Situation) -> None:
        self._history, self._found = case.history, dict[tuple[str, int, str], ScopePeak]()

    def of(self, method: str, look_back_days: int, kind: ScopePeakKind) -> ScopePeak:
        key = (method, look_back_days, kind)
        if key not in self._found:
            self._found[key] = peak_of(self._history, method, look_back_days, kind)
        return self._found[key]


def peak_of(
    history: History, method: str, look_back_days: int, kind: ScopePeakKind = ScopePeakKind.PEAK_OF_SUM
) -> ScopePeak:
    """The peak of a history's places by a method, over its last days; days are counted from the look-back's first.

    Nothing is looked at before anybody's first report: days of a book that was not kept yet are not days of silence.
    """
    start = max(0, history.values.shape[1] - look_back_days)
    seen = history.reported[:, start:].any(axis=0)
    unkept = int(seen.argmax()) if seen.any() else 0
    window = slice(start + unkept, None)
    found = scope_peak(
        history.values[:, window],
        history.reported[:, window],
        censored=history.censored[:, window],
        active=history.active[:, window],
        norm=history.declared or None,
        method=method,
        silent_after_days=SILENT_AFTER_DAYS,
        scope_peak="sum" if kind == ScopePeakKind.SUM else "peak_of_sum",
    )
    return _later(found, unkept) if unkept else found


def _later(found: ScopePeak, days: int) -> ScopePeak:
    """The same peak, its days counted from so many days before."""

    def moved(day: int | None) -> int | None:
        return None if day is None else day + days

    return found._replace(
        window_from=moved(found.window_from),
        window_to=moved(found.window_to),
        own=tuple(o._replace(window_from=moved(o.window_from), window_to=moved(o.window_to)) for o in found.own),
        last_reported=tuple(moved(day) for day in found.last_reported),
        flagged=tuple((n, day + days) for n, day in found.flagged),
    )


def _held(case: Situation) -> Held:
    lots = sorted(case.lots, key=lambda r: (r.expires_on or date.max, r.item, r.lot_number, r.location))
    expired = sum(r.on_hand for r in lots if r.expired)
    on_hold = sum(r.on_hand for r in lots if r.hold and not r.expired)
    dated = [(r.usable, life(r.expires_on, case.as_of)) for r in lots if r.usable]
    usable = sum(units for units, _ in dated)
    return Held(usable + on_hold + expired, usable, on_hold, expired, dated, lots)


def _ruling(policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """The policy whose days the row shows: of those in days at the peak, the one that asks for most."""
    by_days = [p for p in policies if p.kind == PolicyKind.DAYS]
    return max(by_days, key=lambda p: (p.required_days or 0, p.code), default=None)


def _supply(case: Situation, verified_within_days: int) -> Supply:
    counted = [commitments.counted(promise, case.as_of, verified_within_days) for promise in case.promises]
    kinds = {promise.number: promise.kind for promise in case.promises}
    orders, late = supply.schedule(case.coming, case.as_of, within_days=MAX_LOOK_AHEAD_DAYS + 1)
    called = {kind: [c for c in case.coming if kinds.get(c.commitment or "") == kind] for kind in CommitmentKind}
    come, _ = supply.schedule(called[CommitmentKind.CONTRACT], case.as_of)
    made = supply.lines(called[CommitmentKind.CAPACITY], case.as_of)
    contracts = [(c.units, c.first_day) for c in counted if c.units and c.promise.kind == CommitmentKind.CONTRACT]
    return Supply(
        counted=counted,
        contracts=[*contracts, *((units, day) for units, day, _ in come)],
        capacity=[
            *(
                (c.units, c.first_day, c.last_day)
                for c in counted
                if c.units and c.promise.kind == CommitmentKind.CAPACITY
            ),
            *((rate, first, last) for rate, first, last in made.rated),
        ],
        batches=[(units, day) for units, day, _ in made.dated],
        orders=orders,
        late=late,
    )


def _judge(rule: PolicyRow, case: Situation, held: Held, peaks: _Peaks, ahead: Ahead | None) -> Judged:
    peak = peaks.of(case.method or rule.method, rule.look_back_days, rule.scope_peak)
    promised = judging.Promised(0, ())
    if rule.in_parts:
        by_rule = _supply(case, rule.verified_within_days)
        promised = judging.Promised(by_rule.contract_units, by_rule.contracts)
    return judging.judge(rule, held.dated, judging.Peak(peak.peak, peak.known), promised, ahead)


def _unbroken(
    held: Held,
    peak: ScopePeak,
    cover: depletion.Cover | None,
    contracts: Sequence[tuple[int, int]],
    capacity: Sequence[tuple[int, int, int | None]] = (),
) -> depletion.Arrivals | None:
    """Days met without a gap once promises are counted; without any, those of stock alone."""
    if cover is None or not peak.peak:
        return None
    if not contracts and not capacity:
        return depletion.Arrivals(cover.days, cover.whole_days, ())
    return depletion.with_arrivals(held.dated, peak.peak, contracts, capacity)


def _unruled(peak: ScopePeak) -> Verdict:
    if peak.peak is None or not peak.known:
        return Verdict(Level.UNKNOWN, "consumption_unknown")
    return Verdict(Level.UNKNOWN, "no_policy" if peak.peak else "no_consumption")


def _dates(as_of: date, cover: depletion.Cover | None, *, has_rule: bool) -> tuple[date | None, date | None]:
    """`falls_below_on` and `runs_out_on`; a calendar ends, so a date beyond it is none."""
    if cover is None:
        return None, None
    below = day_of(as_of, cover.falls_below_day) if has_rule else None
    return below, day_of(as_of, cover.runs_out_day)


def day_of(as_of: date, days: int | None) -> date | None:
    """So many days on; None where the calendar ends before."""
    if days is None or days > (date.max - as_of).days:
        return None
    return as_of + timedelta(days=days)
