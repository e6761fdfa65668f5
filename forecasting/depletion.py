"""How long dated lots last at a constant peak, first-expired-first-out: exactly, in whole numbers and fractions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil, floor
from typing import NamedTuple, Protocol

from forecasting import exact

Lot = tuple[int, int | None]
"""Units, and the whole days for which they may still be issued (None: no expiry; 0 or less: expired)."""
Contract = tuple[int, int]
"""Units, and the day at the start of which they arrive."""
Capacity = tuple[int, int] | tuple[int, int, int | None]
"""Units a day, the first day at the start of which they arrive and, where there is one, the last."""


class Cover(NamedTuple):
    """What dated stock is worth at a constant peak: quantities in units, coverage and lives in days from day 0."""

    usable: int
    days: Fraction | None
    whole_days: int | None
    required: int
    shortfall: int
    wasted: Fraction
    wasted_units: int
    falls_below_day: int | None
    runs_out_day: int | None
    tightest_life: int | None
    outlives: int


class AtPeak(NamedTuple):
    """Dated stock day by day at a constant peak, at the start of days 0..H, after that day's expiry.

    `coverage` (days) is None at a peak of zero. `lost` is what expires unused that morning, `on_hand` what is left.
    """

    on_hand: tuple[Fraction, ...]
    lost: tuple[Fraction, ...]
    coverage: tuple[Fraction, ...] | None


class Gap(NamedTuple):
    """A run of days not met in full that a known arrival ends: first and last day, and the units missing."""

    first: int
    last: int
    units: Fraction


class Arrivals(NamedTuple):
    """Days met without a gap once known arrivals are counted, and the gaps they close.

    `days_unbroken` and `whole_days` are None at a peak of zero, and where what arrives keeps up with the peak for good
    (`unlimited`).
    """

    days_unbroken: Fraction | None
    whole_days: int | None
    gaps: tuple[Gap, ...]
    unlimited: bool = False


class FixedQuantity(NamedTuple):
    """Usable stock beside a fixed quantity, in units."""

    usable: int
    required: int
    shortfall: int


class Judged(Protocol):
    """Anything a policy says about stock: what it asks and what is missing, in units."""

    @property
    def required(self) -> int: ...

    @property
    def shortfall(self) -> int: ...


class Binding(NamedTuple):
    """What several policies ask together, in units, and the place of the one that binds (None: no policy)."""

    required: int
    shortfall: int
    place: int | None


def cover(lots: Sequence[Lot], peak: Fraction | int, required_days: Fraction | int) -> Cover:
    """Days of coverage, and all that follows from it.

    Issuing first-expired-first-out at rate c, what has left by time t is c t + max over s <= t of (E(s) - c s), where
    E(s) is stock with life <= s (the one-sided reflection), so stock lasts
    min(Q / c, min over expiry days k of (k + S(k) / c)) days, S(k) being what outlives day k.

    Parameters
    ----------
    lots : sequence of (units, days)
        Days of life as in `Lot`; expired and empty lots count nowhere.
    peak : Fraction or int, units/day
        Zero means known not to be used: days and dates are then None and nothing is required. Not a float: 1000/7
        units a day for 30 days must be exactly 30 days.
    required_days : Fraction or int, days

    Returns
    -------
    Cover
        `wasted` is exact, `wasted_units` the nearest unit (halves up); `tightest_life` is the expiry day that binds
        (the earliest of equals; None when nothing is wasted) and `outlives` the units with a longer life.

    Raises
    ------
    ValueError
        If the peak, a quantity or the required days are negative or no exact number, or a life is not whole.

    References
    ----------
    Skorokhod (1961), Theory Probab. Appl. 6; Harrison (1985), Brownian Motion and Stochastic Flow Systems, ch. 2.

    Examples
    --------
    105,000 gloves at 3,500 a day look like 30 days, but 60,000 of them end after 10:

    >>> cover([(60000, 10), (45000, None)], 3500, 30).days
    Fraction(160, 7)
    """
    c, r = exact.rate("peak", peak), exact.rate("required_days", required_days)
    usable, steps = _steps(lots)
    if c == 0:
        return Cover(usable, None, None, 0, 0, Fraction(0), 0, None, None, None, 0)
    days, life, outlives = _tightest(usable, steps, c)
    wasted = usable - c * days
    return Cover(
        usable=usable,
        days=days,
        whole_days=floor(days),
        required=ceil(c * r),
        shortfall=max(0, ceil(c * (r - days))),
        wasted=wasted,
        wasted_units=floor(wasted + Fraction(1, 2)),
        falls_below_day=0 if days < r else floor(days - r) + 1,
        runs_out_day=floor(days),
        tightest_life=life,
        outlives=outlives,
    )


def judge_quantity(lots: Sequence[Lot], quantity: int) -> FixedQuantity:
    """Usable stock against a fixed quantity, whatever the pace of use.

    Parameters
    ----------
    lots : sequence of (units, days)
    quantity : int, units

    Returns
    -------
    FixedQuantity

    Raises
    ------
    ValueError
        If a quantity is negative or not whole, or a life is not whole.

    Examples
    --------
    >>> judge_quantity([(60, 10), (45, None), (500, 0)], 120)
    FixedQuantity(usable=105, required=120, shortfall=15)
    """
    required = exact.units("quantity", quantity)
    usable, _ = _steps(lots)
    return FixedQuantity(usable, required, max(0, required - usable))


def binding(judgements: Sequence[Judged]) -> Binding:
    """What several policies ask together: the largest requirement, the largest shortfall, and who binds.

    The policy with the largest shortfall binds; of equals the one that requires more, then the first.

    Examples
    --------
    >>> rule, fixed = cover([(180, None)], 35, 3), judge_quantity([(180, None)], 175)
    >>> binding([rule, fixed])
    Binding(required=175, shortfall=0, place=1)
    """
    if not judgements:
        return Binding(0, 0, None)
    index = max(range(len(judgements)), key=lambda i: (judgements[i].shortfall, judgements[i].required, -i))
    return Binding(max(j.required for j in judgements), judgements[index].shortfall, index)


def waste_by_lot(lots: Sequence[Lot], rate: Fraction | int) -> tuple[Fraction, ...]:
    """Units of each lot that expire unused at a constant rate, use being spent once across all lots.

    What is lost on an expiry day is the growth of the loss W that day, taken from that day's lots, later ones first.

    Parameters
    ----------
    lots : sequence of (units, days)
    rate : Fraction or int, units/day
        Zero means no use at all: every dated lot is lost.

    Returns
    -------
    tuple of L Fraction, units
        In the order of `lots`; 0 for a lot that is expired already: it is no longer at stake.

    Raises
    ------
    ValueError
        If the rate or a quantity is negative or no exact number, or a life is not whole.

    Examples
    --------
    >>> waste_by_lot([(50, 3), (70, 5), (40, 12)], 10)
    (Fraction(20, 1), Fraction(50, 1), Fraction(0, 1))
    """
    c = exact.rate("rate", rate)
    _, steps = _steps(lots)
    lost = {life: grown for (life, _), grown in zip(steps, _losses(steps, c), strict=True) if grown}
    waste = [Fraction(0)] * len(lots)
    for i in reversed(range(len(lots))):
        units, life = lots[i]
        if life is not None and life in lost:
            waste[i] = min(Fraction(int(units)), lost[life])
            lost[life] -= waste[i]
    return tuple(waste)


def at_peak(lots: Sequence[Lot], peak: Fraction | int, days: int) -> AtPeak:
    """Stock and coverage day by day, used at the peak: the line of a chart.

    Parameters
    ----------
    lots : sequence of (units, days)
    peak : Fraction or int, units/day
    days : int
        Horizon H; the state is given for the start of days 0..H.

    Returns
    -------
    AtPeak

    Raises
    ------
    ValueError
        If the peak or a quantity is negative or no exact number, a life is not whole, or the horizon is longer than
        `exact.LONGEST`.

    Examples
    --------
    >>> chart = at_peak([(50, 3), (60, None)], 10, 4)
    >>> [int(units) for units in chart.on_hand], [int(units) for units in chart.lost]
    ([110, 100, 90, 60, 50], [0, 0, 0, 20, 0])
    >>> [int(left) for left in chart.coverage]
    [9, 8, 7, 6, 5]
    """
    c, days = exact.rate("peak", peak), exact.days("days", days)
    usable, steps = _steps(lots)
    losses = {life: grown for (life, _), grown in zip(steps, _losses(steps, c), strict=True)}
    nothing, one = Fraction(0), c.denominator
    lost = tuple(losses.get(day, nothing) for day in range(days + 1))
    left = usable * one
    on_hand = []
    for gone in lost:
        left -= int(gone * one) if gone else 0
        on_hand.append(Fraction(left, one) if left > 0 else nothing)
        left -= c.numerator
    if c == 0:
        return AtPeak(tuple(on_hand), lost, None)
    total, _, _ = _tightest(usable, steps, c)
    return AtPeak(tuple(on_hand), lost, tuple(max(total - day, nothing) for day in range(days + 1)))


def with_arrivals(
    lots: Sequence[Lot],
    peak: Fraction | int,
    contracts: Sequence[Contract] = (),
    capacity: Sequence[Capacity] = (),
    horizon: int = 400,
) -> Arrivals:
    """Days met at the peak without a gap, once contracts and capacity deliver; exactly.

    Arrivals are usable from the start of their day and outlive what they are needed for, so they are spent after the
    dated stock. That lasts T days whatever arrives, so day d >= floor(T) is met in full as long as c (d + 1) - c T <=
    A_d, A_d being what has arrived by then: a line between the days on which something changes. Where it first is not,
    T + A_d / c days are met.

    Parameters
    ----------
    lots : sequence of (units, days)
    peak : Fraction or int, units/day
    contracts : sequence of (units, day of arrival)
        A day before day 0 counts as day 0.
    capacity : sequence of (units/day, first day) or (units/day, first day, last day)
        Without a last day: for good.
    horizon : int, days
        Gaps are looked for on days 0..horizon-1; it does not limit the days.

    Returns
    -------
    Arrivals
        Whole days met from day 0 on, plus the part met of the first that is not: never less than the stock alone lasts.

    Raises
    ------
    ValueError
        If a quantity or rate is negative or no exact number, a day is not whole, or the horizon is longer than
        `exact.LONGEST`.

    Examples
    --------
    Twelve days of stock, and a contract that comes on day 15: three days are not met.

    >>> with_arrivals([(12000, None)], 1000, contracts=[(20000, 15)]).gaps
    (Gap(first=12, last=14, units=Fraction(3000, 1)),)

    With 400 a day from day 5 on the same stock lasts until day 17, and 600 of that day's 1,000 are met:

    >>> found = with_arrivals([(12000, None)], 1000, capacity=[(400, 5)])
    >>> found.days_unbroken, found.whole_days, found.unlimited
    (Fraction(84, 5), 16, False)
    >>> with_arrivals([(12000, None)], 1000, capacity=[(1000, 5)]).unlimited
    True
    """
    c, horizon = exact.rate("peak", peak), exact.days("horizon", horizon)
    usable, steps = _steps(lots)
    once, daily = _contracts(contracts), _capacity(capacity)
    if c == 0:
        return Arrivals(None, None, ())
    days, _, _ = _tightest(usable, steps, c)
    gaps = tuple(_gaps(_unmet(usable, steps, c, _arriving(once, daily, horizon))))
    arrived = _arrived_when_short(days, c, once, daily)
    if arrived is None:
        return Arrivals(None, None, gaps, unlimited=True)
    unbroken = days + arrived / c
    return Arrivals(unbroken, floor(unbroken), gaps)


def _contracts(contracts: Sequence[Contract]) -> list[Contract]:
    return [
        (exact.units("contracts: units", units), max(0, exact.whole("contracts: the day of arrival", day)))
        for units, day in contracts
    ]


def _capacity(capacity: Sequence[Capacity]) -> list[tuple[int, int, int | None]]:
    """Units a day, first day and last; without those that end before they begin."""
    read = []
    for units, first, *rest in capacity:
        last = exact.whole("capacity: the last day", rest[0]) if rest and rest[0] is not None else None
        start = max(0, exact.whole("capacity: the first day", first))
        daily = exact.units("capacity: units a day", units)
        if last is None or last >= start:
            read.append((daily, start, last))
    return read


def _steps(lots: Iterable[Lot]) -> tuple[int, list[tuple[int, int]]]:
    """Units usable today, and (life, units ending with it) in order of expiry."""
    usable, ending = 0, dict[int, int]()
    for lot in lots:
        units, life = lot
        # a million lots are plain ints, and a look at the type is quicker than reading each
        if type(units) is not int or (life is not None and type(life) is not int):
            units, life = exact.whole("lots: units", units), None if life is None else exact.whole("lots: life", life)
        if units < 0:
            raise ValueError(f"lots: units must not be negative: not {units}.")
        if not units or (life is not None and life <= 0):
            continue
        usable += units
        if life is not None:
            ending[life] = ending.get(life, 0) + units
    return usable, sorted(ending.items())


def _tightest(usable: int, steps: list[tuple[int, int]], c: Fraction) -> tuple[Fraction, int | None, int]:
    """Days of coverage, the expiry day that binds and the units that outlive it; in whole numbers of c's numerator."""
    best, life, outlives = usable * c.denominator, None, 0
    left = usable
    for k, units in steps:
        left -= units
        if (bound := k * c.numerator + left * c.denominator) < best:
            best, life, outlives = bound, k, left
    return Fraction(best, c.numerator), life, outlives


def _losses(steps: list[tuple[int, int]], c: Fraction) -> Iterator[Fraction]:
    """What is lost on each expiry day: the growth of W = max over k of (E(k) - c k)^+."""
    ended, lost = 0, Fraction(0)
    for life, units in steps:
        ended += units
        before, lost = lost, max(lost, ended - c * life)
        yield lost - before


def _arrived_when_short(
    days: Fraction, c: Fraction, once: list[Contract], daily: list[tuple[int, int, int | None]]
) -> Fraction | None:
    """What has arrived by the first day that is not met in full; None if every day is.

    What would be missing by the end of day d is c (d + 1 - T) less what has arrived. Between two days on which arrivals
    change it grows by the same amount a day, so its first day above zero there is found by division.
    """
    start = floor(days)
    jumps, paces = _changes(once, daily)
    known = sorted({start, *jumps, *paces})
    arrived = pace = 0
    for day, following in zip(known, [*known[1:], None], strict=True):
        pace += paces.get(day, 0)
        arrived += jumps.get(day, 0) + pace
        # days start.. are asked for; on earlier ones the stock lasts
        short = c * (day + 1 - days) - arrived
        if day >= start and short > 0:
            return Fraction(arrived)
        if day >= start and c > pace:
            later = floor(-short / (c - pace)) + 1
            if following is None or day + later < following:
                return Fraction(arrived + pace * later)
        if following is not None:
            arrived += pace * (following - 1 - day)
    return None


def _changes(once: list[Contract], daily: list[tuple[int, int, int | None]]) -> tuple[dict[int, int], dict[int, int]]:
    """Units that arrive at once, and by how much the units a day change, by day."""
    jumps, paces = defaultdict[int, int](int), defaultdict[int, int](int)
    for units, day in once:
        jumps[day] += units
    for units, first, last in daily:
        paces[first] += units
        if last is not None:
            paces[last + 1] -= units
    return jumps, paces


def _arriving(once: list[Contract], daily: list[tuple[int, int, int | None]], horizon: int) -> Iterator[int]:
    """Units that arrive at the start of each day of the horizon."""
    jumps, paces = _changes(once, daily)
    pace = 0
    for day in range(horizon):
        pace += paces.get(day, 0)
        yield pace + jumps.get(day, 0)


def _unmet(usable: int, steps: list[tuple[int, int]], c: Fraction, arriving: Iterable[int]) -> list[Fraction]:
    """Units missing on each day at the peak; in whole numbers of 1 / c's denominator.

    What the dated stock leaves unmet by the start of day h is U_h = (c h - (Q - W_h))^+, and missing in all is
    max over g < h of (U_{g+1} - A_g)^+, W being what expires and A what has arrived.
    """
    ending, one = dict(steps), c.denominator
    ended = wasted = arrived = lost = 0
    nothing, unmet = Fraction(0), []
    for day, units in enumerate(arriving):
        used = c.numerator * (day + 1)
        ended += ending.get(day + 1, 0) * one
        wasted = max(wasted, ended - used)
        arrived += units * one
        before, lost = lost, max(lost, used - (usable * one - wasted) - arrived)
        unmet.append(Fraction(lost - before, one) if lost > before else nothing)
    return unmet


def _gaps(unmet: list[Fraction]) -> Iterator[Gap]:
    """Runs of unmet days that end within the horizon: only an arrival can end one."""
    days = enumerate(unmet)
    for missing, run in groupby(days, key=lambda day: day[1] > 0):
        gap = list(run)
        if missing and gap[-1][0] < len(unmet) - 1:
            yield Gap(gap[0][0], gap[-1][0], sum((units for _, units in gap), Fraction(0)))
