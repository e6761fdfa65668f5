"""Exact arithmetic over windows of days: whole numbers throughout, a mean is a sum beside a common scale."""

from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting import exact

Exact = NDArray[Any]
"""Whole numbers: int64 where its range is enough, Python's own integers (dtype object) where it is not."""
Mask = NDArray[np.bool_]


class History(NamedTuple):
    """Use of N locations over the T days of a look-back, oldest day first.

    Attributes
    ----------
    values : exact integers of shape (N, T), units
        0 where not reported.
    reported, censored, active : bool of shape (N, T)
        Reported and censored only where active.
    padding : int, days
        Days put in front, active and not reported, where the look-back is shorter than a window.
    """

    values: Exact
    reported: Mask
    censored: Mask
    active: Mask
    padding: int


class Means(NamedTuple):
    """Means of every window of one width, times `scale`.

    Attributes
    ----------
    mean : exact integers of shape (N, W), scale x units/day
        Mean of the reported days; W = T - width + 1, the last window ends on the last day.
    valid : bool of shape (N, W)
        Whether enough days were reported for that mean.
    lower : exact integers of shape (N, W), scale x units/day
        Mean with missing days as zero: never above the true one.
    scale : int
    """

    mean: Exact
    valid: Mask
    lower: Exact
    scale: int


def read_history(
    values: ArrayLike, reported: ArrayLike, censored: ArrayLike | None, active: ArrayLike | None, width: int
) -> History:
    """Check a look-back and bring it into one form.

    Parameters
    ----------
    values : array_like of int of shape (N, T), units
    reported, censored, active : array_like of bool of shape (N, T)
        None: nowhere censored, everywhere active.
    width : int, days
        The look-back is filled up in front to one window of this width.

    Raises
    ------
    ValueError
        If a quantity is negative or not whole, a mask holds anything but true and false (or 1 and 0: NaN would count
        as true), the shapes differ, or the width is not a number of days.

    Examples
    --------
    >>> read_history([[5, 99]], [[True, False]], None, None, width=3).values
    array([[0, 5, 0]])
    """
    width = exact.days("width", width, least=1)
    units, seen = np.asarray(values), _mask("reported", reported)
    if units.size == 0:
        units = units.astype(np.int64)
    if units.dtype.kind not in "iu":
        raise ValueError(
            "values must be whole units: integers of at most 64 bits, with a mask for the days not reported."
        )
    live = np.ones(units.shape, dtype=bool) if active is None else _mask("active", active)
    short = np.zeros(units.shape, dtype=bool) if censored is None else _mask("censored", censored)
    if units.ndim != 2 or not units.shape == seen.shape == live.shape == short.shape:
        shapes = f"{units.shape}, {seen.shape}, {live.shape}, {short.shape}"
        raise ValueError(
            f"values, reported, active and censored must have the same shape, locations x days: not {shapes}."
        )
    seen = seen & live
    units = np.where(seen, units, 0)
    if units.size and units.min() < 0:
        raise ValueError("values must not be negative: correct the report.")
    missing = max(0, width - units.shape[1])
    if missing:
        front = ((0, 0), (missing, 0))
        units, seen, short = (np.pad(a, front) for a in (units, seen, short))
        live = np.pad(live, front, constant_values=True)
    largest = int(units.max(initial=0))
    return History(units.astype(exact_type(32 * largest * max(1, units.shape[1]))), seen, short & seen, live, missing)


def exact_type(largest: int) -> type:
    """Return the integer type that holds every number up to `largest` without overflow.

    Examples
    --------
    >>> exact_type(10**15).__name__, exact_type(10**19).__name__
    ('int64', 'object')
    """
    return np.int64 if largest < 2**62 else object


def rolling(days: Exact, width: int) -> Exact:
    """Sums of every `width` consecutive days.

    Parameters
    ----------
    days : integers or bool of shape (..., T)
    width : int, days
        1..T.

    Returns
    -------
    integers of shape (..., T - width + 1)

    Examples
    --------
    >>> rolling(np.array([1, 2, 3, 4]), 3)
    array([6, 9])
    """
    if not 1 <= width <= days.shape[-1]:
        raise ValueError(f"width must lie within the {days.shape[-1]} days there are, and be at least 1: not {width}.")
    total = np.cumsum(days, axis=-1, dtype=object if days.dtype == object else np.int64)
    sums: Exact = total[..., width - 1 :].copy()
    sums[..., 1:] -= total[..., :-width]
    return sums


def window_means(history: History, width: int) -> Means:
    """Mean use of every window, as far as it was reported.

    F being the reported days on which stock did not run out, a window with at least ceil(0.7 width) of them has the
    mean of F together with those run-out days that exceed the mean of F: such a day is a lower bound of demand, left
    out where it would pull the mean down.

    Parameters
    ----------
    history : History
    width : int, days

    Examples
    --------
    >>> week = read_history([[20, 20, 90, 2, 20, 20, 20]], np.ones((1, 7)), [[0, 0, 1, 1, 0, 0, 0]], None, width=7)
    >>> means = window_means(week, 7)
    >>> Fraction(int(means.mean[0, 0]), means.scale)
    Fraction(95, 3)
    """
    least = -(-7 * width // 10)
    scale = lcm(*range(least, width + 1))
    kind = exact_type(max(1, int(history.values.max(initial=0))) * scale)
    every = rolling(history.values, width)
    free = history.reported & ~history.censored
    units, days = every, rolling(free, width)
    valid: Mask = days >= least
    if history.censored.any():
        units = rolling(np.where(free, history.values, 0), width)
        _add_larger_lower_bounds(history, width, units, days)
    per_day: Exact = np.array([0] * least + [scale // n for n in range(least, width + 1)], dtype=kind)
    mean: Exact = units.astype(kind) * per_day[np.where(valid, days, 0)]
    return Means(mean, valid, every.astype(kind) * (scale // width), scale)


def latest_max(windows: Exact) -> tuple[list[int], list[int]]:
    """Largest number of each row, and the last place where it stands.

    Parameters
    ----------
    windows : exact integers of shape (N, W)
        W at least 1.

    Examples
    --------
    >>> latest_max(np.array([[3, 7, 7, 1]]))
    ([7], [2])
    """
    if not windows.shape[1]:
        raise ValueError("windows must hold at least one window a row.")
    at = windows.shape[1] - 1 - windows[:, ::-1].argmax(axis=1)
    return windows[np.arange(len(at)), at].tolist(), at.tolist()


def quantile(sample: list[int], p: Fraction) -> Fraction:
    """Type 7 quantile, exactly.

    Parameters
    ----------
    sample : list of int, not empty
    p : Fraction
        0..1.

    Raises
    ------
    ValueError
        If the sample is empty, or p is no rational within 0..1.

    References
    ----------
    Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 7.

    Examples
    --------
    >>> quantile([4, 1, 3, 2], Fraction(9, 10))
    Fraction(37, 10)
    """
    if not sample:
        raise ValueError("sample must hold at least one number.")
    p = exact.share("p", p)
    ordered = sorted(sample)
    place = (len(ordered) - 1) * p
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def outliers(history: History) -> tuple[tuple[int, int], ...]:
    """(row, day) of the reported days that stand far out of a location's positive days.

    A day is flagged above m + 10 x 1.4826 x MAD (above 10 m where MAD is zero), m being the median of the
    location's positive days and MAD the median of their distances from it. It is shown to a person, not left out.

    Parameters
    ----------
    history : History

    Examples
    --------
    >>> outliers(read_history([[9, 10, 11, 10, 0, 400]], np.ones((1, 6)), None, None, width=6))
    ((0, 5),)
    """
    values, beyond = history.values, np.iinfo(np.int64).max
    counts = (values > 0).sum(axis=1)
    if not counts.any():
        return ()
    middle = _twice_median(np.where(values > 0, values, beyond), counts)
    spread = _twice_median(np.where(values > 0, abs(2 * values - middle[:, None]), beyond), counts)
    limits = [_limit(m, s) for m, s in zip(middle.tolist(), spread.tolist(), strict=True)]
    rows, days = np.nonzero(values > np.array(limits, dtype=values.dtype)[:, None])
    return tuple(zip(rows.tolist(), (days - history.padding).tolist(), strict=True))


def _mask(name: str, values: ArrayLike) -> Mask:
    marks = np.asarray(values)
    if marks.dtype != np.bool_ and not ((marks == 0) | (marks == 1)).all():
        raise ValueError(f"{name} must hold true and false (or 1 and 0): no NaN, no None.")
    return marks.astype(np.bool_)


def _add_larger_lower_bounds(history: History, width: int, units: Exact, days: Exact) -> None:
    """Add to sums and counts, in place, the run-out days that exceed the mean of the others."""
    rows, at = np.nonzero(rolling(history.censored, width))
    kind = exact_type(int(history.values.max()) * width)
    bounds: Exact = np.where(history.censored, history.values, 0)
    inside: Exact = np.lib.stride_tricks.sliding_window_view(bounds, width, axis=1)[rows, at].astype(kind)
    larger = inside * days[rows, at, None] > units[rows, at, None]
    units[rows, at] += np.where(larger, inside, 0).sum(axis=-1)
    days[rows, at] += larger.sum(axis=-1)


def _twice_median(values: Exact, counts: NDArray[np.int64]) -> Exact:
    """Twice the median of the smallest `counts` numbers of each row: a whole number."""
    ordered, rows, last = np.sort(values, axis=1), np.arange(len(counts)), np.maximum(counts - 1, 0)
    both: Exact = ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]
    return np.where(counts > 0, both, 0)


def _limit(twice_median: int, four_times_mad: int) -> int:
    """Largest whole quantity that is not flagged."""
    if four_times_mad == 0:
        return 5 * twice_median
    return (2000 * twice_median + 14826 * four_times_mad) // 4000
