"""Dated stock of many series used up at once, day by day over [series, paths]: what a nation's beat asks."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting import exact
from forecasting.paths import MOST, read_lots

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]


class Stocks(NamedTuple):
    """Dated stock of N series, as `deplete_many` reads it.

    Attributes
    ----------
    total : float64 of shape (N,), units
        Usable today.
    ended : float64 of shape (H + 1, N), units
        Stock whose life ends at or before the start of each of the days 0..H.
    """

    total: Floats
    ended: Floats


class Fleet(NamedTuple):
    """N series along S paths each.

    Attributes
    ----------
    whole_days : int32 of shape (N, S), days
        Days met in full from day 0 on; H where the horizon was not enough to see the end.
    waste : float32 or float64 of shape (N, S), units
        Expired unused by the start of day H.
    """

    whole_days: NDArray[np.int32]
    waste: Reals


def stocks(series: ArrayLike, quantity: ArrayLike, life: ArrayLike, *, count: int, horizon: int) -> Stocks:
    """Bring the lots of many series into the form `deplete_many` reads; O(L + N H).

    Parameters
    ----------
    series : array_like of int of shape (L,)
        Which of the series 0..count-1 each lot belongs to.
    quantity : array_like of shape (L,), units
    life : array_like of shape (L,), days
        As given to `deplete`.
    count, horizon : int
        N, and H in days.

    Returns
    -------
    Stocks

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large, a life is not whole, shapes differ, or a lot belongs to no series.

    Examples
    --------
    >>> stocks([0, 0, 1], [60, 40, 7], [1, None, 2], count=2, horizon=2)
    Stocks(total=array([100.,   7.]), ended=array([[ 0.,  0.],
           [60.,  0.],
           [60.,  7.]]))
    """
    rows = np.asarray(series)
    units, lives = read_lots(quantity, life)
    if rows.shape != units.shape or (rows.size and rows.dtype.kind not in "iu"):
        raise ValueError(f"series must hold one whole number a lot: not {rows.dtype} of shape {rows.shape}.")
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        raise ValueError(f"series must lie within 0..{count - 1}: not {rows.min()}..{rows.max()}.")
    if horizon < 0:
        raise ValueError(f"horizon must be 0 or more days: not {horizon}.")
    usable, within = lives > 0, (lives > 0) & (lives <= horizon)
    total = np.bincount(rows[usable], weights=units[usable], minlength=count).astype(np.float64)
    cell = lives[within].astype(np.int64) * count + rows[within]
    ending = np.bincount(cell, weights=units[within], minlength=(horizon + 1) * count).astype(np.float64)
    return Stocks(total, np.cumsum(ending.reshape(horizon + 1, count), axis=0))


def deplete_many(
    stock: Stocks,
    demand: Iterable[Reals] | Reals,
    *,
    out: Fleet | None = None,
    by: Literal["numpy", "compiled"] | None = None,
) -> Fleet:
    """Issue the dated stock of many series first-expired-first-out, each along its own paths of use.

    X, what has left a series used or expired, is all that is kept of a path: at the start of a day it is at least what
    has expired, then the day's use is added, and the day is met in full as long as X does not exceed what there was.
    That is `deplete`, a day at a time over [series, paths], so that no array has three axes unless the caller has one.

    Parameters
    ----------
    stock : Stocks
        From `stocks`.
    demand : iterable of H arrays of shape (N, S), or one of shape (H, N, S), units/day
        Day by day: rows may be drawn as they are asked for. float32 is used as it is, twice as fast, and is exact for
        whole numbers below 2^24 units; anything else is taken as float64. Some 256 series of 200 paths at a time are
        quickest: what is kept of them stays in the processor's cache.
    out : Fleet, optional
        Arrays of an earlier answer of the same shape, to be written over.
    by : {"numpy", "compiled"}, optional
        "compiled" needs the extra `compiled` (numba); the answers are the same bit by bit. By default compiled where
        that is installed.

    Returns
    -------
    Fleet

    Raises
    ------
    ValueError
        If a number is NaN, negative or too large (in float32: 2^24 units or more in all), shapes differ, or "compiled"
        is asked for where it is not installed.

    Examples
    --------
    >>> stock = stocks([0, 0, 1], [60, 40, 7], [1, None, 2], count=2, horizon=4)
    >>> deplete_many(stock, np.full((4, 2, 1), 30.0))
    Fleet(whole_days=array([[2],
           [0]], dtype=int32), waste=array([[30.],
           [ 0.]]))
    """
    compiled = _compiled_or_none(by)
    days = iter(demand)
    first = np.asarray(next(days, ()))
    kind: np.dtype[np.floating[Any]] = np.dtype(np.float32 if first.dtype == np.float32 else np.float64)
    shape, horizon = first.shape, len(stock.ended) - 1
    if len(shape) != 2 or shape[0] != len(stock.total):
        raise ValueError(f"demand must be of shape ({len(stock.total)}, paths) on each of its days: not {shape}.")
    answer = Fleet(np.empty(shape, np.int32), np.empty(shape, kind)) if out is None else out
    if not answer.whole_days.shape == answer.waste.shape == shape or answer.waste.dtype != kind:
        raise ValueError(f"out must hold arrays of shape {shape}, and waste in {kind}.")
    total, ended = stock.total.astype(kind), stock.ended.astype(kind)
    gone, used, whole_days = answer.waste, np.zeros(shape, kind), answer.whole_days
    gone[:] = whole_days[:] = 0
    if compiled is None:
        _issue(gone, used, whole_days, _day_by_day(chain([first], days), shape, kind, horizon), ended, total)
    elif isinstance(demand, np.ndarray) and demand.shape == (horizon, *shape):
        # what is kept of a few series stays in the nearest cache for all of their days
        if not compiled(gone, used, whole_days, demand.astype(kind, copy=False), ended, total):
            raise ValueError("demand must not be NaN or negative.")
    else:
        for day, use in enumerate(_day_by_day(chain([first], days), shape, kind, horizon)):
            compiled(gone, used, whole_days, use[None], ended[day:], total)
    np.maximum(gone, ended[horizon, :, None], out=gone)
    most = MOST if kind == np.float64 else 2.0**24
    if gone.size and not max(gone.max(), total.max()) < most:
        raise ValueError(f"demand and stock must be less than {most:.8g} units in all in {kind}.")
    np.subtract(gone, used, out=answer.waste)
    return answer


def _issue(
    gone: Reals, used: Reals, whole_days: NDArray[np.int32], days: Iterable[Reals], ended: Reals, total: Reals
) -> None:
    """What has expired is gone, then what is used; a day counts where that was there."""
    met, run = np.empty(gone.shape, np.bool_), np.zeros(gone.shape, np.uint8)
    for day, use in enumerate(days):
        np.maximum(gone, ended[day, :, None], out=gone)
        gone += use
        used += use
        np.less_equal(gone, total[:, None], out=met)
        run += met.view(np.uint8)
        if day % 255 == 254:  # a byte can count no further, and is four times as quick to count in
            whole_days += run
            run[:] = 0
    whole_days += run


Compiled = Callable[[Reals, Reals, NDArray[np.int32], Reals, Reals, Reals], bool]


def _compiled_or_none(by: str | None) -> Compiled | None:
    if by is not None:
        exact.one_of("by", by, ("numpy", "compiled"))
    compiled = None if by == "numpy" else _compiled()
    if compiled is None and by == "compiled":
        raise ValueError('by must be "numpy" where the extra `compiled` is not installed (numba).')
    return compiled


@cache
def _compiled() -> Compiled | None:
    """`_issue` for a few series and all of their days, then the next; says whether all use was 0 or more."""
    try:
        from numba import njit
    except ImportError:
        return None

    def issue(gone: Reals, used: Reals, whole_days: NDArray[np.int32], days: Reals, ended: Reals, total: Reals) -> bool:
        # written so that the inner loop is vectorised: no max(), one width of number, rows taken out first
        rows, yes, no = gone.shape[0], np.int32(1), np.int32(0)
        wrong = no
        for first in range(0, rows, 16):
            for day in range(days.shape[0]):
                for row in range(first, min(first + 16, rows)):
                    least, most, uses = ended[day, row], total[row], days[day, row]
                    left, spent, counted = gone[row], used[row], whole_days[row]
                    for path in range(uses.shape[0]):
                        use, before = uses[path], left[path]
                        after = (before if before > least else least) + use  # noqa: FURB136
                        left[path] = after
                        spent[path] += use
                        counted[path] += yes if after <= most else no
                        wrong |= no if use >= 0 else yes
        return bool(wrong == no)

    compiled: Compiled = njit(issue)
    return compiled


def _day_by_day(
    days: Iterable[ArrayLike], shape: tuple[int, ...], kind: np.dtype[np.floating[Any]], horizon: int
) -> Iterator[Reals]:
    """Demand of days 0..H-1, each as it should be."""
    day = -1
    for day, today in enumerate(days):
        use: Reals = np.asarray(today, dtype=kind)
        if day >= horizon or use.shape != shape:
            raise ValueError(f"demand must be {horizon} days of shape {shape}: day {day} is of shape {use.shape}.")
        if use.size and not use.min() >= 0:
            raise ValueError(f"demand must not be NaN or negative: on day {day} it is.")
        yield use
    if day != horizon - 1:
        raise ValueError(f"demand must be {horizon} days: not {day + 1}.")
