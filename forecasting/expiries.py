"""Stock and arrivals followed expiry day by expiry day along many paths, where which lot is issued first matters."""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Coming(NamedTuple):
    """Arrivals within the horizon that can still be used: units, day and life, each of shape (A,)."""

    units: Floats
    days: NDArray[np.int64]
    lives: Floats


class Followed(NamedTuple):
    """What `forecasting.paths.Projection` holds."""

    on_hand: Floats
    coverage: Floats | None
    waste: Floats
    unmet: Floats


def follow(units: Floats, lives: Floats, use: Floats, coming: Coming, c: float | None, forever: float) -> Followed:
    """Issue what is there day by day, first-expired-first-out over everything that has arrived.

    In blocks of paths, so that memory stays within bounds and mostly in the cache; O(S H K), K being the expiry days
    that have to be looked at along each path.

    Parameters
    ----------
    units : float64 of shape (L,), units
    lives : float64 of shape (L,), days
        Above zero; inf for no expiry.
    use : float64 of shape (S, H), units/day
    coming : Coming
    c : float, units/day, or None
        The peak; None: no coverage.
    forever : float, days
        A life that coverage never turns on.

    Returns
    -------
    Followed

    Examples
    --------
    >>> coming = Coming(np.array([30.0]), np.array([1]), np.array([3.0]))
    >>> follow(np.array([100.0]), np.array([np.inf]), np.full((1, 4), 10.0), coming, 10.0, 99.0).waste
    array([[ 0.,  0.,  0., 10., 10.]])
    """
    paths, horizon = use.shape
    buckets = _buckets(units, lives, coming, use, c, forever)
    many = len(buckets.lives)
    block = max(1, min(64, 2**22 // many), 2**15 // many)
    on_hand, waste = np.empty((2, paths, horizon + 1))
    coverage = None if c is None else np.empty_like(on_hand)
    unmet = np.empty(use.shape)
    for first in range(0, paths, block):
        some = slice(first, first + block)
        for day, state in enumerate(_days(buckets, use[some].T.copy(), c)):
            on_hand[some, day], waste[some, day] = state.on_hand, state.waste
            if coverage is not None:
                coverage[some, day] = state.coverage
            if day < horizon:
                unmet[some, day] = state.unmet
    return Followed(on_hand, coverage, waste, unmet)


class _Buckets(NamedTuple):
    """Expiry days that are looked at along each path, the last one never.

    `start` and `later` are the stock with life up to each of them, of day 0 and of the days on which some arrives.
    `rest` is the least of k + S(k) / c - d over all further expiry days, for the start of each day d.
    """

    lives: Floats
    start: Floats
    later: dict[int, Floats]
    rest: Floats


class _Day(NamedTuple):
    """The start of a day along a block of paths, and what of the day's use cannot be met."""

    on_hand: Floats
    coverage: Floats | None
    waste: Floats
    unmet: Floats


def _days(buckets: _Buckets, use: Floats, c: float | None) -> Iterator[_Day]:
    """Days 0..H; use is of shape (H, paths). The state is stock with life up to each expiry day: (K, paths)."""
    horizon, paths = use.shape
    stock = np.repeat(buckets.start[:, None], paths, axis=1)
    scratch, waste, nothing = np.empty_like(stock), np.zeros(paths), np.zeros(paths)
    first = 0
    for day in range(horizon + 1):
        if buckets.lives[first] <= day:
            waste = waste + stock[first]
            stock[first + 1 :] -= stock[first]
            first += 1
        if day in buckets.later:
            stock[first:] += buckets.later[day][first:, None]
        left = stock[-1].copy()
        coverage = None
        if c is not None:
            coverage = _worth(stock[first:], buckets.lives[first:] - day, c, scratch[first:])
            np.minimum(coverage, buckets.rest[day], out=coverage)
        asked = use[day] if day < horizon else nothing
        yield _Day(left, coverage, waste, np.maximum(asked - left, 0))
        stock[first:] -= asked
        np.maximum(stock[first:], 0, out=stock[first:])


def _worth(stock: Floats, lives: Floats, c: float, scratch: Floats) -> Floats:
    """Days at the peak: the least of k + S(k) / c over expiry days k, and Q / c."""
    outlives = np.subtract(stock[-1], stock[:-1], out=scratch[:-1])
    outlives /= c
    outlives += lives[:-1, None]
    worth: Floats = np.minimum(outlives.min(axis=0, initial=inf), stock[-1] / c)
    return worth


def _buckets(units: Floats, lives: Floats, coming: Coming, use: Floats, c: float | None, forever: float) -> _Buckets:
    """Expiry days within the horizon, and as many of the later ones as coverage could turn on.

    Beyond the horizon k' never is what it turns on if an earlier k there has k' - k >= (all that ends in between) / c:
    its bound is the larger of the two on every day of every path, since of that stock there is never more. And where
    the lots that end between the horizon and some k are enough for all that any path uses, what outlives k is never
    touched: it is the same along all paths, and looked at once.
    """
    horizon = use.shape[1]
    ends, at = np.unique(np.concatenate([lives, coming.lives]), return_inverse=True)
    keep = ends <= horizon
    if c is not None:
        ended = np.cumsum(np.bincount(at, weights=np.concatenate([units, coming.units]), minlength=len(ends)))
        later = (ends > horizon) & (ends < forever)
        bounds = ends[later] - ended[later] / c
        rounding = 4 * np.finfo(np.float64).eps * (forever + horizon)
        keep[later] = bounds < np.minimum.accumulate(np.append(inf, bounds))[:-1] + rounding
    kept = ends[keep]
    start = np.append(0.0, _up_to(kept, units, lives))
    within = int((kept <= horizon).sum())
    ample = start - start[within] >= use.sum(axis=1).max(initial=0) * (1 + 1e-9)
    reached = int(np.flatnonzero(ample[within + 1 : -1])[0]) + within + 1 if ample[within + 1 : -1].any() else len(kept)
    looked_at, rest = np.append(kept[:reached], inf), kept[reached:]
    on = {int(day): coming.days == day for day in np.unique(coming.days)}
    by_day = [(day, coming.units[these], coming.lives[these]) for day, these in on.items()]
    return _Buckets(
        looked_at,
        _up_to(kept[:reached], units, lives),
        {day: _up_to(kept[:reached], *arrived) for day, *arrived in by_day},
        _rest(rest, units, lives, by_day, horizon, c),
    )


def _rest(
    ends: Floats,
    units: Floats,
    lives: Floats,
    arriving: list[tuple[int, Floats, Floats]],
    horizon: int,
    c: float | None,
) -> Floats:
    """Least of k + S(k) / c - d over expiry days that no path reaches, for the start of each day."""
    rest = np.full(horizon + 1, inf)
    if c is None or not ends.size:
        return rest
    outlives = after(ends, units, lives)
    rest[:] = (ends + outlives / c).min()
    for day, more, until in arriving:
        outlives += after(ends, more, until)
        rest[day:] = (ends + outlives / c).min()
    return rest - np.arange(horizon + 1)


def _up_to(ends: Floats, units: Floats, lives: Floats) -> Floats:
    """Units whose life ends by each of some days, and in all; a life between two of them counts as the later."""
    return np.cumsum(_between(ends, units, lives))


def after(ends: Floats, units: Floats, lives: Floats) -> Floats:
    """Units that outlive each of some days; summed from the far end: they may be few beside 10^15 that do not.

    Parameters
    ----------
    ends : float64 of shape (K,), days
        In order.
    units : float64 of shape (L,), units
    lives : float64 of shape (L,), days

    Returns
    -------
    float64 of shape (K,), units

    Examples
    --------
    >>> after(np.array([3.0, 9.0]), np.array([5.0, 7.0, 1.0]), np.array([3.0, 4.0, np.inf]))
    array([8., 1.])
    """
    return np.cumsum(_between(ends, units, lives)[:0:-1])[::-1]


def _between(ends: Floats, units: Floats, lives: Floats) -> Floats:
    """Units with a life up to the first of some days, between each and the next, and beyond the last."""
    return np.bincount(np.searchsorted(ends, lives), weights=units, minlength=len(ends) + 1).astype(np.float64)
