"""Very many series at once: a chunk of histories in, some numbers a series out, the same bytes however it is cut."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting import demand

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Key = TypeVar("Key")

MOST_PERIODS = 8_000
"""Of a longer history the latest so many enter: 22 years of days. What is older has no weight left."""
_ROWS = 128
"""Series worked on together: their arrays stay in a cache, and memory does not grow with the chunk."""


class Calendar(NamedTuple):
    """What a history needs before it is forecast from.

    Attributes
    ----------
    season : int, periods
        A gap is filled from periods with the same index modulo this: 7 for weekdays, 1 for none.
    recent : int, periods
        The latest ones, of which not more than `most_filled` may be estimates.
    fewest : int, periods
        With a usable value.
    most_filled : float
    """

    season: int
    recent: int
    fewest: int
    most_filled: float = 0.3


DAYS = Calendar(season=7, recent=91, fewest=28)
WEEKS = Calendar(season=1, recent=13, fewest=13)
MONTHS = Calendar(season=1, recent=12, fewest=12)


class Forecasts(NamedTuple):
    """The sum of the next H periods of each series; numbers are NaN where `reason` says why there is no forecast.

    Attributes
    ----------
    mean : float64 of shape (N,), units
    variance : float64 of shape (N,), units^2
    quantiles : float64 of shape (N, P), units
        Whole numbers, never falling in p.
    level : float64 of shape (N,), units/period
    share_filled : float64 of shape (N,)
        Estimates among the latest periods; 1 where nothing was reported.
    usable_days : int64 of shape (N,), periods
        With a value that is no estimate.
    reason : str of shape (N,)
        Empty, or `no_reports`, `few_days`, `many_gaps`.
    errors : float64 of shape (N, P), roots of the mean + 1
        By how much each quantile of H periods ago was exceeded; NaN where it was not asked for or says nothing.
    """

    mean: Floats
    variance: Floats
    quantiles: Floats
    level: Floats
    share_filled: Floats
    usable_days: NDArray[np.int64]
    reason: NDArray[np.str_]
    errors: Floats


def forecast_chunk(
    values: ArrayLike,
    reported: ArrayLike,
    censored: ArrayLike | None = None,
    *,
    horizon: int,
    p: ArrayLike,
    window: int | None = None,
    calendar: Calendar = DAYS,
    look_back: bool = False,
) -> Forecasts:
    """Forecast each series of a chunk from its own history.

    A history begins with its first reported period; what is missing from then on is filled by `demand.fill`, and
    `demand.moments` and `demand.quantiles` say the rest. Each row's answer depends on that row alone, to the last
    bit: chunks may be cut and spread in any way.

    Parameters
    ----------
    values : array_like of shape (T,) or (N, T), units/period
        Oldest first; all series end with the same period. Meaningless where not reported.
    reported : array_like of bool of the same shape
    censored : array_like of bool of the same shape, optional
        Periods in which stock ran out.
    horizon : int, periods
        H.
    p : array_like of shape (P,)
        Probabilities of the quantiles, each in (0, 1).
    window : int, periods, optional
        As in `demand.moments`; None is `demand.window_for` of each history.
    calendar : Calendar
    look_back : bool
        Also look at how the same quantiles held H periods ago: what `pooled` needs.

    Raises
    ------
    ValueError
        If a reported value is negative, not finite or above 10^15, shapes differ, or a number is out of its range.

    Examples
    --------
    >>> found = forecast_chunk([[4] * 60, [0] * 59 + [4]], [[1] * 60, [0] * 59 + [1]], horizon=30, p=[0.5, 0.95])
    >>> found.mean, found.quantiles, found.reason
    (array([120.,  nan]), array([[120., 138.],
           [ nan,  nan]]), array(['', 'few_days'], dtype='<U10'))
    """
    horizon = _whole("horizon", horizon, MOST_PERIODS)
    if window is not None:
        window = _whole("window", window, MOST_PERIODS)
    at = np.atleast_1d(np.asarray(p, dtype=np.float64))
    rows, seen, short = _histories(values, reported, censored)
    nothing = demand.quantiles([0.0], [0.0], at)  # refuses what is no probability
    found = _nothing(len(rows), nothing.shape[1])
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), -1)
    for start in np.unique(first[first >= 0]).tolist():
        same = np.flatnonzero(first == start)
        for begin in range(0, len(same), _ROWS):
            part = same[begin : begin + _ROWS]
            past = _Past(rows[part, start:], seen[part, start:], None if short is None else short[part, start:])
            _forecast(found, part, past, horizon=horizon, window=window, at=at, calendar=calendar, look_back=look_back)
    known = np.flatnonzero(found.reason == "")
    if len(known):
        found.quantiles[known] = demand.quantiles(found.mean[known], found.variance[known], at)
    return found


def chunks(n: int, size: int) -> Iterator[range]:
    """Cut n series into runs of `size`, the last one shorter.

    Examples
    --------
    >>> list(chunks(5, 2))
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    if size < 1 or n < 0:
        raise ValueError("size must be a whole number, 1 or more, and n 0 or more")
    return (range(first, min(first + size, n)) for first in range(0, n, size))


def run(
    source: Iterable[Key],
    work: Callable[[Key], Forecasts],
    map_chunks: Callable[[Callable[[Key], Forecasts], Iterable[Key]], Iterable[Forecasts]] = map,
    *,
    pool_at: ArrayLike | None = None,
) -> Forecasts:
    """Forecast a source of chunks, wherever the work is done: keys go out, a few numbers a series come back.

    Parameters
    ----------
    source : iterable of keys
        A key says which series: `work` builds their arrays where it runs.
    work : callable
        Of a key; gives what `forecast_chunk` gave.
    map_chunks : callable
        Called as the builtin `map`, and like it gives results in the order of the source: `Executor.map`, or one that
        spreads the keys over a cluster.
    pool_at : array_like of shape (P,), optional
        The probabilities of the quantiles, to widen them by `pooled`; `work` must then have looked back.

    Examples
    --------
    >>> def work(which):
    ...     return forecast_chunk(np.full((len(which), 60), which.start), np.ones((len(which), 60)), horizon=9, p=0.5)
    >>> run(chunks(3, 2), work).mean
    array([ 0.,  0., 18.])
    """
    found = joined(list(map_chunks(work, source)))
    return found if pool_at is None else pooled(found, pool_at)


def joined(parts: Sequence[Forecasts]) -> Forecasts:
    """Parts one below the other.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not parts:
        raise ValueError("parts must not be empty: there is no series to forecast")
    return Forecasts(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def pooled(found: Forecasts, p: ArrayLike) -> Forecasts:
    """Widen the quantiles of series of one kind where the whole pool was lately too low.

    The correction of `demand.corrected`, from the small numbers that chunks hand back. A series takes part if it had
    a forecast, used something, and had enough history H periods ago.

    Parameters
    ----------
    found : Forecasts
        Of the whole pool, with errors: `forecast_chunk(look_back=True)`.
    p : array_like of shape (P,)
        The probabilities of its quantiles.

    Examples
    --------
    >>> few = forecast_chunk([[4] * 60], [[1] * 60], horizon=9, p=0.9, look_back=True)
    >>> bool(pooled(few, 0.9).quantiles == few.quantiles)  # one series is no pool
    True
    """
    return raised(found, pool_shift(found.reason, found.errors, p), p)


def pool_shift(reason: NDArray[np.str_], errors: Floats, p: ArrayLike) -> Floats:
    """The shift of a whole pool, in any order of its series; none where fewer than 100 have a forecast.

    Parameters
    ----------
    reason : str of shape (N,)
    errors : float64 of shape (N, P), roots of the mean + 1
    p : array_like of shape (P,)

    Returns
    -------
    float64 of shape (P,), roots of the mean + 1
    """
    shift = demand.pool_shift(errors, p)
    return shift if np.count_nonzero(reason == "") >= demand.POOL else np.zeros_like(shift)


def raised(found: Forecasts, shift: Floats, p: ArrayLike) -> Forecasts:
    """A part of a pool with its quantiles raised by the shift of the whole."""
    return found._replace(quantiles=demand.raised(found.quantiles, found.mean, shift, p))


class _Past(NamedTuple):
    """Histories that begin with the same period."""

    values: Floats
    reported: Mask
    censored: Mask | None


def _forecast(
    found: Forecasts,
    part: NDArray[np.int64],
    past: _Past,
    *,
    horizon: int,
    window: int | None,
    at: Floats,
    calendar: Calendar,
    look_back: bool,
) -> None:
    """Write the moments of these rows into `found`, or the reason why there are none."""
    whole = demand.fill(*past, season=calendar.season, recent=calendar.recent)
    periods = whole.values.shape[1]
    usable = periods - whole.filled.sum(axis=1)
    found.share_filled[part], found.usable_days[part] = whole.share, usable
    few = usable < calendar.fewest
    found.reason[part] = np.where(few, "few_days", np.where(whole.share > calendar.most_filled, "many_gaps", ""))
    good = np.flatnonzero(found.reason[part] == "")
    if not len(good):
        return
    history, rows = whole.values[good], part[good]
    now = demand.moments(history, horizon, window)
    found.mean[rows], found.variance[rows], found.level[rows] = now.mean, now.variance, now.level
    if look_back and periods - horizon >= calendar.fewest:
        found.errors[rows] = demand.pool_errors(history, horizon, window, at)


def _histories(values: ArrayLike, reported: ArrayLike, censored: ArrayLike | None) -> tuple[Floats, Mask, Mask | None]:
    """The latest periods of each as arrays in one layout; what they hold is for `demand.fill` to judge."""
    try:
        units = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("values must be numbers in one shape: periods, or series x periods") from None
    seen = np.asarray(reported, dtype=bool)
    short = None if censored is None else np.asarray(censored, dtype=bool)
    if units.ndim not in {1, 2} or units.shape[-1] == 0:
        raise ValueError("values must have the shape (periods,) or (series, periods), and not be empty")
    if seen.shape != units.shape or (short is not None and short.shape != units.shape):
        raise ValueError("values, reported and censored must have the same shape: periods, or series x periods")

    latest = slice(-MOST_PERIODS, None)
    rows = np.atleast_2d(units)[:, latest], np.atleast_2d(seen)[:, latest]
    return *rows, None if short is None else np.atleast_2d(short)[:, latest]


def _nothing(series: int, probabilities: int) -> Forecasts:
    none = [np.full(series, np.nan) for _ in range(3)]
    return Forecasts(
        mean=none[0],
        variance=none[1],
        quantiles=np.full((series, probabilities), np.nan),
        level=none[2],
        share_filled=np.ones(series),
        usable_days=np.zeros(series, dtype=np.int64),
        reason=np.full(series, "no_reports", dtype="<U10"),
        errors=np.full((series, probabilities), np.nan),
    )


def _whole(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most:,}")
    return int(value)
