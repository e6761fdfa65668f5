"""Dated stock simulated along paths of daily use, first-expired-first-out: on hand, waste, unmet and coverage."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting.expiries import Coming, after, follow

Floats = NDArray[np.float64]
Arrival = tuple[float, int, float | None]
"""Units, the day at the start of which they can be used, and their life counted from day 0 (inf, None: no expiry)."""

MOST = 1e18
"""Largest quantity and daily use, in units: no sum of them can overflow."""
LEAST_PEAK = 1e-12
"""Smallest peak that coverage is divided by, in units/day."""


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


class Projection(NamedTuple):
    """Dated stock and arrivals along S paths of use, at the start of days 0..H, after expiry and arrivals.

    Attributes
    ----------
    on_hand : float64 of shape (S, H + 1), units
    coverage : float64 of shape (S, H + 1), days, or None
        Days that what is on hand would last at the peak, arrivals still to come not counted; None without a peak.
    waste : float64 of shape (S, H + 1), units
        Expired unused up to then.
    unmet : float64 of shape (S, H), units
        Use of each day that was not met.
    """

    on_hand: Floats
    coverage: Floats | None
    waste: Floats
    unmet: Floats


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


def project(
    quantity: ArrayLike,
    life: ArrayLike,
    demand: ArrayLike,
    *,
    peak: Fraction | float | None = None,
    arrivals: Sequence[Arrival] | None = None,
) -> Projection:
    """Follow dated stock and what arrives along paths of daily use.

    Where every arrival outlives the horizon and whatever coverage could be left at its end, arrivals are spent last and
    nothing is looked at lot by lot (`deplete`, `coverage_along`, `pool_along`); otherwise day by day over expiry days,
    O(S H K), everything that has arrived being issued first-expired-first-out.

    Parameters
    ----------
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        As given to `deplete`.
    demand : array_like of shape (S, H) or (H,), units/day
    peak : Fraction or float, units/day, optional
        Coverage is counted at it. None or zero: no coverage.
    arrivals : sequence of (units, day, life), optional
        Usable from the start of `day` (a day before day 0 counts as day 0). Life is counted from day 0, as a lot's is:
        it may be used on days day..life-1. What arrives expired, or after the horizon, counts nowhere.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, a life or day is not whole, or shapes differ.

    Examples
    --------
    Thirty units come on day 1 and end after day 2, so they are used before those in stock, and ten of them are lost:

    >>> project([100], [None], [[10, 10, 10, 10]], peak=10, arrivals=[(30, 1, 3)])
    Projection(on_hand=array([[100., 120., 110.,  90.,  80.]]), coverage=array([[10., 11., 10.,  9.,  8.]]), \
waste=array([[ 0.,  0.,  0., 10., 10.]]), unmet=array([[0., 0., 0., 0.]]))
    """
    use, (units, lives) = _use(demand), _usable(quantity, life)
    c = None if peak is None or peak == 0 else _rate(peak)
    coming = _coming(arrivals or (), use.shape[1])
    # no stock can be worth more days than this at the end, so what lives as long is never what coverage turns on
    horizon = use.shape[1]
    forever = horizon + (0 if c is None else float(units.sum() + coming.units.sum()) / c)
    if (coming.lives > horizon).all() and (coming.lives >= forever).all():
        return _spent_last(units, lives, use, coming, c)
    return Projection(*follow(units, lives, use, coming, c, forever))


def deplete(quantity: ArrayLike, life: ArrayLike, demand: ArrayLike) -> Depletion:
    """Issue dated lots first-expired-first-out along paths of daily use.

    With D_h the use of days 0..h-1 and E_h the stock with life <= h, what has expired unused by the start of day h is
    W_h = max over g <= h of (E_g - D_g)^+ and what is on hand (Q - D_h - W_h)^+: lots enter through E only, so the cost
    is O(L + S H).

    Parameters
    ----------
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        Whole days for which each lot may still be issued; inf or None for no expiry, 0 or less is expired.
    demand : array_like of shape (S, H) or (H,), units/day

    Returns
    -------
    Depletion

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, a life is not whole, or shapes differ.

    References
    ----------
    Harrison (1985), Brownian Motion and Stochastic Flow Systems, ch. 2 (one-sided reflection).

    Examples
    --------
    >>> deplete([60, 40], [1, None], [[30, 30, 30, 30]])
    Depletion(on_hand=array([[100.,  40.,  10.,   0.,   0.]]), waste=array([[ 0., 30., 30., 30., 30.]]), \
whole_days=array([2]))
    """
    use, (units, lives) = _use(demand), _usable(quantity, life)
    total, used = float(units.sum()), _cumulative(use)
    waste = _wasted(units, lives, used)
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

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, a life is not whole, or shapes differ; if the peak is not above zero.

    Examples
    --------
    >>> lots = [100, 250], [3, None]
    >>> coverage_along(*lots, deplete(*lots, [[0, 0, 0, 0]]).on_hand, 10)
    array([[28., 27., 26., 25., 25.]])
    """
    c = _rate(peak)
    left = _rows("on_hand", on_hand, inf)
    units, lives = _usable(quantity, life)
    return _coverage(units, lives, left, c)


def pool_along(depletion: Depletion, demand: ArrayLike, arrivals: ArrayLike) -> Pool:
    """Arrivals along the paths of `deplete`, when they outlive the horizon: spent after the dated stock.

    With U_h what the dated stock left unmet by the start of day h and A_h what has arrived by then, lost_h = max over
    g < h of (U_{g+1} - A_g)^+ was met by neither, and A_h - U_h + lost_h is left.

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

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, or shapes differ.

    Examples
    --------
    >>> use = [[60, 60, 60]]
    >>> pool_along(deplete([100], [None], use), use, [0, 0, 90, 0])
    Pool(on_hand=array([[ 0.,  0., 90., 30.]]), unmet=array([[ 0., 20.,  0.]]))
    """
    use, coming = _use(demand), _rows("arrivals", arrivals)
    paths, days = depletion.on_hand.shape
    if use.shape != (paths, days - 1):
        raise ValueError(f"demand must have the shape depletion was made with, ({paths}, {days - 1}): not {use.shape}.")
    if coming.shape != (1, days):
        raise ValueError(f"arrivals must have shape ({days},), one number for each of the days 0..{days - 1}.")
    arrived = np.cumsum(coming[0])
    without = _cumulative(use)
    without += depletion.waste - depletion.on_hand[:, :1]
    return _pool(np.maximum(without, 0, out=without), arrived)


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
        At least one path and day.
    required_days : Fraction or float, days
        "Less" means by more than 1e-9: simulation is float64.
    quantiles : sequence of float
        Shares p of the paths, 0..1; the answer is the ceil(p S)-th smallest first day.
    look_ahead_days : int, optional
        Days 0..look_ahead_days count for the probability; all of them by default. At most H.

    Returns
    -------
    FirstBelow

    Raises
    ------
    ValueError
        If there is no path or no day, a number is NaN or negative, a share is not within 0..1, or the look-ahead
        reaches past the horizon: a probability over days that were not followed would be too low.

    Examples
    --------
    >>> first_below([[31, 30, 29], [31, 31, 31]], 30)
    FirstBelow(day=array([ 2, -1]), quantiles=(2, 2, None), probability=0.5)
    """
    days = _rows("coverage", coverage, inf)
    paths, last = days.shape[0], days.shape[1] - 1
    if not days.size:
        raise ValueError("coverage must hold at least one path and one day: a share of no paths is not a number.")
    required = float(required_days)
    if not 0 <= required < inf:
        raise ValueError(f"required_days must be 0 or more, and finite: not {required_days}.")
    if not all(0 <= p <= 1 for p in quantiles):
        raise ValueError(f"quantiles must be shares of the paths, within 0..1: not {tuple(quantiles)}.")
    if look_ahead_days is not None and not 0 <= look_ahead_days <= last:
        raise ValueError(f"look_ahead_days must lie within the horizon, 0..{last}: not {look_ahead_days}.")
    below = days < required - 1e-9
    ever = below.any(axis=1)
    first = np.where(ever, below.argmax(axis=1), last + 1)
    ordered = np.sort(first[ever]).tolist()
    ranks = [max(1, ceil(p * paths - 1e-9)) for p in quantiles]
    seen = last if look_ahead_days is None else look_ahead_days
    return FirstBelow(
        day=np.where(ever, first, -1),
        quantiles=tuple(ordered[rank - 1] if rank <= len(ordered) else None for rank in ranks),
        probability=float((first <= seen).mean()),
    )


def _spent_last(units: Floats, lives: Floats, use: Floats, coming: Coming, c: float | None) -> Projection:
    beyond = _cumulative(use)
    waste = _wasted(units, lives, beyond)
    beyond += waste
    beyond -= units.sum()
    on_hand = np.maximum(0 - beyond, 0)
    coverage = None if c is None else _coverage(units, lives, on_hand, c)
    arriving = np.bincount(coming.days, weights=coming.units, minlength=use.shape[1] + 1)
    pool = _pool(np.maximum(beyond, 0, out=beyond), np.cumsum(arriving))
    on_hand += pool.on_hand
    if coverage is not None and c is not None:
        coverage += np.divide(pool.on_hand, c, out=pool.on_hand)
    return Projection(on_hand, coverage, waste, pool.unmet)


def _pool(without: Floats, arrived: Floats) -> Pool:
    """From what the dated stock leaves unmet (written over) and what has arrived, by the start of each day."""
    lost = np.empty_like(without)
    lost[:, 0] = 0
    np.subtract(without[:, 1:], arrived[:-1], out=lost[:, 1:])
    np.maximum(lost, 0, out=lost)
    np.maximum.accumulate(lost, axis=1, out=lost)
    left = np.subtract(arrived, without, out=without)
    left += lost
    return Pool(np.maximum(left, 0, out=left), np.diff(lost, axis=1))


def _rows(name: str, values: ArrayLike, most: float = MOST) -> Floats:
    """Numbers of shape (S, days), a single row counting as one path."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if rows.ndim != 2:
        raise ValueError(f"{name} must be of shape (paths, days), or (days,) for one path: not {rows.shape}.")
    if rows.size and not (rows.min() >= 0 and rows.max() <= most):  # NaN fails both
        limit = "" if most == inf else f" and at most {most:.0e}"
        raise ValueError(f"{name} must hold numbers of 0 or more{limit}: no NaN, nothing negative.")
    return rows


def _use(demand: ArrayLike) -> Floats:
    return _rows("demand", demand)


def _rate(peak: Fraction | float) -> float:
    if not peak > 0:
        raise ValueError(f"peak must be above zero to count coverage along a path: not {peak}.")
    if not LEAST_PEAK <= peak <= MOST:
        raise ValueError(f"peak must lie within {LEAST_PEAK:.0e}..{MOST:.0e} units/day: not {peak!s:.40}.")
    return float(peak)


def _coming(arrivals: Sequence[Arrival], horizon: int) -> Coming:
    for units, day, life in arrivals:
        if not 0 <= units <= MOST:
            raise ValueError(f"arrivals must bring 0 or more units, at most {MOST:.0e}: not {units}.")
        if not isfinite(day) or day != int(day):
            raise ValueError(f"arrivals must come on a whole day: not {day}.")
        if life is not None and life != inf and not (isfinite(life) and life == int(life)):
            raise ValueError(f"arrivals must live a whole number of days, inf or None: not {life}.")
    known = [(float(units), max(0, int(day)), inf if life is None else life) for units, day, life in arrivals]
    seen = [one for one in known if one[1] <= horizon and one[2] > one[1]]
    return Coming(
        np.array([units for units, _, _ in seen], np.float64),
        np.array([day for _, day, _ in seen], np.int64),
        np.array([life for _, _, life in seen], np.float64),
    )


def _cumulative(use: Floats) -> Floats:
    """D_h: use of the days before each of the days 0..H, shape (S, H + 1)."""
    used = np.zeros((use.shape[0], use.shape[1] + 1))
    np.cumsum(use, axis=1, out=used[:, 1:])
    return used


def _usable(quantity: ArrayLike, life: ArrayLike) -> tuple[Floats, Floats]:
    """Lots that are not expired."""
    units, lives = read_lots(quantity, life)
    return units[lives > 0], lives[lives > 0]


def read_lots(quantity: ArrayLike, life: ArrayLike) -> tuple[Floats, Floats]:
    """Read lots, with an infinite life where none is given.

    Parameters
    ----------
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        As given to `deplete`.

    Returns
    -------
    tuple of float64 arrays of shape (L,)

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, a life is not whole, or shapes differ.

    Examples
    --------
    >>> read_lots([60, 40], [1, None])
    (array([60., 40.]), array([ 1., inf]))
    """
    units, lives = np.asarray(quantity, dtype=np.float64), np.asarray(life)
    if lives.dtype == object:
        never: NDArray[np.bool_] = lives == np.array(None)
        lives = np.where(never, inf, lives)
    lives = lives.astype(np.float64)
    if units.ndim != 1 or units.shape != lives.shape:
        raise ValueError(f"quantity and life must have one number a lot: not {units.shape} and {lives.shape}.")
    if units.size and not (units.min() >= 0 and units.max() <= MOST):
        raise ValueError(f"quantity must hold numbers of 0 or more and at most {MOST:.0e}: no NaN, nothing negative.")
    if not ((lives == np.floor(lives)) & (lives > -inf)).all():
        raise ValueError("life must hold whole days, inf or None for no expiry: no NaN, no part of a day.")
    return units, lives


def _wasted(units: Floats, lives: Floats, used: Floats) -> Floats:
    """W: expired unused by the start of each day, shape (S, H + 1)."""
    waste: Floats = np.cumsum(_ending(units, lives, used.shape[1] - 1)) - used
    np.maximum(waste, 0, out=waste)
    return np.maximum.accumulate(waste, axis=1, out=waste)


def _coverage(units: Floats, lives: Floats, left: Floats, c: float) -> Floats:
    days = np.arange(left.shape[1])
    worth = left / c
    return np.minimum(worth, _tightest_after(units, lives, days, c) - days, out=worth)


def _ending(units: Floats, lives: Floats, horizon: int) -> Floats:
    """Units whose life ends at the start of each of the days 0..H."""
    within = lives <= horizon
    return np.bincount(lives[within].astype(np.int64), weights=units[within], minlength=horizon + 1).astype(np.float64)


def _tightest_after(units: Floats, lives: Floats, days: NDArray[np.int64], c: float) -> Floats:
    """Least of k + S(k) / c over the expiry days k after each day; inf where none is left."""
    ends = np.unique(lives[np.isfinite(lives)])
    bounds = np.append(ends + after(ends, units, lives) / c, inf)
    least: Floats = np.minimum.accumulate(bounds[::-1])[::-1]
    return least[np.searchsorted(ends, days, side="right")]
