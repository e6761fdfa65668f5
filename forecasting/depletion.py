"""How long dated lots last, first-expired-first-out: exactly at a constant peak, and along any path of use."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil, floor, inf
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Lot = tuple[int, int | None]
"""Units, and the whole days for which they may still be issued (None: no expiry; 0 or less: expired)."""
Contract = tuple[int, int]
"""Units, and the day at the start of which they arrive."""
Capacity = tuple[int, int] | tuple[int, int, int | None]
"""Units a day, the first day at the start of which they arrive and, where there is one, the last."""
Floats = NDArray[np.float64]


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


class Depletion(NamedTuple):
    """Dated stock along S paths of use, at the start of days 0..H, after that day's expiry.

    Attributes
    ----------
    on_hand : float64 of shape (S, H + 1), units
    waste : float64 of shape (S, H + 1), units
        Expired unused up to then.
    whole_days : int64 of shape (S,), days
        Days met in full from day 0 on; H where the horizon was not enough to see the end.
    """

    on_hand: Floats
    waste: Floats
    whole_days: NDArray[np.int64]


class FirstBelow(NamedTuple):
    """When paths fall below the required days.

    Attributes
    ----------
    day : int64 of shape (S,)
        First day below, -1 for never within the horizon.
    quantiles : tuple of int or None
        The day by which each asked share of the paths has fallen below; None if fewer have.
    probability : float
        Share of paths below on some day of the look-ahead.
    """

    day: NDArray[np.int64]
    quantiles: tuple[int | None, ...]
    probability: float


class Gap(NamedTuple):
    """A run of days not met in full that a known arrival ends: first and last day, and the units missing."""

    first: int
    last: int
    units: Fraction


class Arrivals(NamedTuple):
    """Days met without a gap once known arrivals are counted (None at a peak of zero), and the gaps they close."""

    days_unbroken: Fraction | None
    whole_days: int | None
    gaps: tuple[Gap, ...]


class Pool(NamedTuple):
    """Arrivals along S paths, spent after the dated stock.

    Attributes
    ----------
    on_hand : float64 of shape (S, H + 1), units
        What has arrived and is left at the start of days 0..H; add it to `Depletion.on_hand`.
    unmet : float64 of shape (S, H), units
        Use of each day that neither met.
    """

    on_hand: Floats
    unmet: Floats


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
        Zero means known not to be used: days and dates are then None and nothing is required.
    required_days : Fraction or int, days

    Returns
    -------
    Cover
        `wasted` is exact, `wasted_units` the nearest unit (halves up); `tightest_life` is the expiry day that binds
        (the earliest of equals; None when nothing is wasted) and `outlives` the units with a longer life.

    Raises
    ------
    ValueError
        If the peak or a quantity is negative.

    References
    ----------
    Skorokhod (1961), Theory Probab. Appl. 6; Harrison (1985), Brownian Motion and Stochastic Flow Systems, ch. 2.

    Examples
    --------
    105,000 gloves at 3,500 a day look like 30 days, but 60,000 of them end after 10:

    >>> cover([(60000, 10), (45000, None)], 3500, 30).days
    Fraction(160, 7)
    """
    c, r = _not_negative(peak), Fraction(required_days)
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

    Examples
    --------
    >>> judge_quantity([(60, 10), (45, None), (500, 0)], 120)
    FixedQuantity(usable=105, required=120, shortfall=15)
    """
    if quantity < 0:
        raise ValueError("The fixed quantity must not be negative.")
    usable, _ = _steps(lots)
    return FixedQuantity(usable, quantity, max(0, quantity - usable))


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

    Examples
    --------
    >>> waste_by_lot([(50, 3), (70, 5), (40, 12)], 10)
    (Fraction(20, 1), Fraction(50, 1), Fraction(0, 1))
    """
    c = _not_negative(rate)
    _, steps = _steps(lots)
    lost = {life: grown for (life, _), grown in zip(steps, _losses(steps, c), strict=True)}
    waste = [Fraction(0)] * len(lots)
    for i in reversed(range(len(lots))):
        units, life = lots[i]
        if life is not None and life in lost:
            waste[i] = min(Fraction(units), lost[life])
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

    Examples
    --------
    >>> chart = at_peak([(50, 3), (60, None)], 10, 4)
    >>> [int(units) for units in chart.on_hand], [int(units) for units in chart.lost]
    ([110, 100, 90, 60, 50], [0, 0, 0, 20, 0])
    >>> [int(left) for left in chart.coverage]
    [9, 8, 7, 6, 5]
    """
    c = _not_negative(peak)
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


def deplete(quantity: ArrayLike, life: ArrayLike, demand: ArrayLike) -> Depletion:
    """Issue dated lots first-expired-first-out along paths of daily use.

    With D_h the use of days 0..h-1 and E_h the stock with life <= h, what has expired unused by the start of day h is
    W_h = max over g <= h of (E_g - D_g)^+ and what is on hand (Q - D_h - W_h)^+: lots enter through E only, so the cost
    is O(L + S H).

    Parameters
    ----------
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        Whole days for which each lot may still be issued; inf, nan or None for no expiry, 0 or less is expired.
    demand : array_like of shape (S, H) or (H,), units/day

    Returns
    -------
    Depletion

    References
    ----------
    Harrison (1985), Brownian Motion and Stochastic Flow Systems, ch. 2 (one-sided reflection).

    Examples
    --------
    >>> deplete([60, 40], [1, None], [[30, 30, 30, 30]])
    Depletion(on_hand=array([[100.,  40.,  10.,   0.,   0.]]), waste=array([[ 0., 30., 30., 30., 30.]]), \
whole_days=array([2]))
    """
    use = np.atleast_2d(np.asarray(demand, dtype=np.float64))
    units, lives = _usable(quantity, life)
    total, horizon = float(units.sum()), use.shape[1]
    used = _cumulative(use)
    waste: Floats = np.cumsum(_ending(units, lives, horizon)) - used
    np.maximum(waste, 0, out=waste)
    np.maximum.accumulate(waste, axis=1, out=waste)
    whole_days = (used[:, 1:] + waste[:, :-1] <= total).sum(axis=1)
    on_hand = np.subtract(total, used, out=used)
    on_hand -= waste
    return Depletion(np.maximum(on_hand, 0, out=on_hand), waste, whole_days)


def coverage_along(quantity: ArrayLike, life: ArrayLike, on_hand: ArrayLike, peak: Fraction | float) -> Floats:
    """Days of coverage at the peak at the start of each day of each path.

    On day d it is min(R_d / c, M_d - d), M_d being the least of k + S(k) / c over expiry days k > d: first-expired-
    first-out leaves min(S(k), R_d) with life > k, so the lots need not be looked at again.

    Parameters
    ----------
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        As given to `deplete`.
    on_hand : array_like of shape (S, H + 1), units
        R, from `deplete`.
    peak : Fraction or float, units/day
        Above zero.

    Returns
    -------
    float64 of shape (S, H + 1), days

    Examples
    --------
    >>> lots = [100, 250], [3, None]
    >>> coverage_along(*lots, deplete(*lots, [[0, 0, 0, 0]]).on_hand, 10)
    array([[28., 27., 26., 25., 25.]])
    """
    c = float(peak)
    if c <= 0:
        raise ValueError("Coverage along a path needs a peak above zero.")
    left = np.atleast_2d(np.asarray(on_hand, dtype=np.float64))
    units, lives = _usable(quantity, life)
    days = np.arange(left.shape[1])
    return np.minimum(left / c, _tightest_after(units, lives, days, c) - days)


def first_below(
    coverage: ArrayLike,
    required_days: Fraction | float,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    look_ahead_days: int | None = None,
) -> FirstBelow:
    """First day on which each path's coverage is less than required, and how likely that is.

    Parameters
    ----------
    coverage : array_like of shape (S, H + 1), days
    required_days : Fraction or float, days
        "Less" means by more than 1e-9: simulation is float64.
    quantiles : sequence of float
        Shares p of the paths; the answer is the ceil(p S)-th smallest first day.
    look_ahead_days : int, optional
        Days 0..look_ahead_days count for the probability; all of them by default.

    Examples
    --------
    >>> first_below([[31, 30, 29], [31, 31, 31]], 30)
    FirstBelow(day=array([ 2, -1]), quantiles=(2, 2, None), probability=0.5)
    """
    below = np.atleast_2d(np.asarray(coverage, dtype=np.float64)) < float(required_days) - 1e-9
    ever, paths = below.any(axis=1), len(below)
    first = np.where(ever, below.argmax(axis=1), below.shape[1])
    ordered = np.sort(first[ever]).tolist()
    ranks = [max(1, ceil(p * paths - 1e-9)) for p in quantiles]
    last = below.shape[1] - 1 if look_ahead_days is None else look_ahead_days
    return FirstBelow(
        day=np.where(ever, first, -1),
        quantiles=tuple(ordered[rank - 1] if rank <= len(ordered) else None for rank in ranks),
        probability=float((ever & (first <= last)).mean()) if paths else 0.0,
    )


def with_arrivals(
    lots: Sequence[Lot],
    peak: Fraction | int,
    contracts: Sequence[Contract] = (),
    capacity: Sequence[Capacity] = (),
    horizon: int = 400,
) -> Arrivals:
    """Days met at the peak without a gap, once contracts and capacity deliver; exactly.

    Arrivals are usable from the start of their day and outlive what they are needed for, so they are spent after the
    dated stock: lost_h = max over g < h of (U_{g+1} - A_g)^+ is unmet by the start of day h, U being what the dated
    stock leaves unmet and A what has arrived.

    Parameters
    ----------
    lots : sequence of (units, days)
    peak : Fraction or int, units/day
    contracts : sequence of (units, day of arrival)
    capacity : sequence of (units/day, first day) or (units/day, first day, last day)
    horizon : int, days
        Days 0..horizon-1 are followed; a reserve that lasts longer is said to last `horizon` days.

    Returns
    -------
    Arrivals
        Whole days met from day 0 on, plus the part met of the first that is not.

    Examples
    --------
    Twelve days of stock, and a contract that comes on day 15: three days are not met.

    >>> with_arrivals([(12000, None)], 1000, contracts=[(20000, 15)])
    Arrivals(days_unbroken=Fraction(12, 1), whole_days=12, gaps=(Gap(first=12, last=14, units=Fraction(3000, 1)),))
    """
    c = _not_negative(peak)
    if c == 0:
        return Arrivals(None, None, ())
    unmet = _unmet(lots, c, _arriving(contracts, capacity, horizon))
    whole = next((day for day, units in enumerate(unmet) if units), horizon)
    part = 1 - unmet[whole] / c if whole < horizon else Fraction(0)
    return Arrivals(whole + part, whole, tuple(_gaps(unmet)))


def pool_along(depletion: Depletion, demand: ArrayLike, arrivals: ArrayLike) -> Pool:
    """Arrivals along the paths of `deplete`, when they outlive the horizon: spent after the dated stock.

    Parameters
    ----------
    depletion : Depletion
    demand : array_like of shape (S, H) or (H,), units/day
        As given to `deplete`.
    arrivals : array_like of shape (H + 1,), units
        Units usable from the start of days 0..H.

    Returns
    -------
    Pool
        Divide `on_hand` by the peak and add it to `coverage_along`.

    Examples
    --------
    >>> use = [[60, 60, 60]]
    >>> pool_along(deplete([100], [None], use), use, [0, 0, 90, 0])
    Pool(on_hand=array([[ 0.,  0., 90., 30.]]), unmet=array([[ 0., 20.,  0.]]))
    """
    use = np.atleast_2d(np.asarray(demand, dtype=np.float64))
    arrived = np.cumsum(np.asarray(arrivals, dtype=np.float64))
    without = _cumulative(use)
    without += depletion.waste - depletion.on_hand[:, :1]
    np.maximum(without, 0, out=without)
    lost = np.zeros_like(without)
    np.maximum.accumulate(without[:, 1:] - arrived[:-1], axis=1, out=lost[:, 1:])
    np.maximum(lost, 0, out=lost)
    return Pool(arrived - without + lost, np.diff(lost, axis=1))


def _not_negative(rate: Fraction | int) -> Fraction:
    if rate < 0:
        raise ValueError("A peak or a rate of use must not be negative.")
    return Fraction(rate)


def _steps(lots: Iterable[Lot]) -> tuple[int, list[tuple[int, int]]]:
    """Units usable today, and (life, units ending with it) in order of expiry."""
    usable, ending = 0, dict[int, int]()
    for units, life in lots:
        if units < 0:
            raise ValueError("A lot cannot hold a negative quantity.")
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


def _arriving(contracts: Sequence[Contract], capacity: Sequence[Capacity], horizon: int) -> list[int]:
    """Units that arrive at the start of each day of the horizon."""
    arriving = [0] * horizon
    for units, day in contracts:
        if day < horizon:
            arriving[max(0, day)] += units
    for units, first, *rest in capacity:
        last = rest[0] if rest and rest[0] is not None else horizon - 1
        for day in range(max(0, first), min(last, horizon - 1) + 1):
            arriving[day] += units
    return arriving


def _unmet(lots: Sequence[Lot], c: Fraction, arriving: list[int]) -> list[Fraction]:
    """Units missing on each day at the peak; in whole numbers of 1 / c's denominator."""
    usable, steps = _steps(lots)
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


def _cumulative(use: Floats) -> Floats:
    """D_h: use of the days before each of the days 0..H, shape (S, H + 1)."""
    used = np.zeros((use.shape[0], use.shape[1] + 1))
    np.cumsum(use, axis=1, out=used[:, 1:])
    return used


def _usable(quantity: ArrayLike, life: ArrayLike) -> tuple[Floats, Floats]:
    """Lots that are not expired, with an infinite life where none is given."""
    units, lives = np.asarray(quantity, dtype=np.float64), np.asarray(life, dtype=np.float64)
    lives = np.where(np.isnan(lives), inf, lives)
    return units[lives > 0], lives[lives > 0]


def _ending(units: Floats, lives: Floats, horizon: int) -> Floats:
    """Units whose life ends at the start of each of the days 0..H."""
    within = lives <= horizon
    return np.bincount(lives[within].astype(np.int64), weights=units[within], minlength=horizon + 1).astype(np.float64)


def _tightest_after(units: Floats, lives: Floats, days: NDArray[np.int64], c: float) -> Floats:
    """Least of k + S(k) / c over the expiry days k after each day; inf where none is left."""
    order = np.argsort(lives, kind="stable")
    order = order[np.isfinite(lives[order])]
    outlives = units.sum() - np.cumsum(units[order])
    bounds = np.append(lives[order] + outlives / c, inf)
    least: Floats = np.minimum.accumulate(bounds[::-1])[::-1]
    return least[np.searchsorted(lives[order], days, side="right")]
