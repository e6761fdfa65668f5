"""How good a forecast was: losses, coverage, calibration, and a backtest that never looks past its origin."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting import demand

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOO_FEW_PERIODS = 8
"""Independent horizons below which a coverage says nothing."""


class Backtest(NamedTuple):
    """Forecasts of H-sums made at several origins, beside what came.

    Attributes
    ----------
    horizon : int, periods
        H.
    origins : int64 of shape (O,)
        Index of the first period forecast; what lies before it was all that was known.
    p : float64 of shape (P,)
    actual : float64 of shape (N, O), units
        Sum of the H periods from the origin on.
    known : bool of shape (N, O)
        Whether all of them were reported and none ran out of stock; the others are not judged.
    ours, empirical : float64 of shape (N, O, P), units
        Quantiles by `demand.corrected`, and those of the past overlapping H-sums.
    below, at_most : float64 of shape (N, O)
        P(Y < actual) and P(Y <= actual) under the negative binomial forecast: the interval of a randomised PIT.
    """

    horizon: int
    origins: NDArray[np.int64]
    p: Floats
    actual: Floats
    known: Mask
    ours: Floats
    empirical: Floats
    below: Floats
    at_most: Floats


class Miss(NamedTuple):
    """The largest excess over the highest quantile: which series, at which origin, by how many units."""

    series: int
    origin: int
    units: float


class Judgement(NamedTuple):
    """What a backtest says, all arrays in the order of its p.

    Attributes
    ----------
    n : int
        Forecasts judged.
    independent : float
        Periods judged / H, over all series: overlapping horizons say the same thing twice.
    too_short : bool
        Fewer than 8 independent horizons: do not draw conclusions.
    p : tuple of float
    coverage : tuple of float
        Share with actual <= quantile; to be p.
    below : tuple of float
        Share with actual < quantile; for small counts p lies between the two.
    interval : tuple of (float, float)
        Wilson 95 % interval of the coverage, from the independent horizons.
    loss_to_empirical : tuple of float or None
        Pinball loss relative to that of the empirical quantiles; None where those lost nothing.
    loss_to_actual : tuple of float or None
        Pinball loss relative to what was used; None where nothing was.
    worst : Miss or None
        None where the highest quantile was never exceeded.
    """

    n: int
    independent: float
    too_short: bool
    p: tuple[float, ...]
    coverage: tuple[float, ...]
    below: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    loss_to_empirical: tuple[float | None, ...]
    loss_to_actual: tuple[float | None, ...]
    worst: Miss | None


class Uniformity(NamedTuple):
    """Chi-square test of a PIT against the uniform: counts of the bins, the statistic and its p-value."""

    counts: tuple[int, ...]
    statistic: float
    p_value: float


def pinball(y: ArrayLike, q: ArrayLike, p: ArrayLike) -> Floats:
    """Loss of the quantile q when y came: p for each unit too few, 1 - p for each unit too many.

    Parameters
    ----------
    y, q : array_like, units
        Broadcast against each other and p.
    p : array_like

    Raises
    ------
    ValueError
        If y or q is not finite, or p lies outside (0, 1).

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles.

    Examples
    --------
    >>> pinball([10, 10, 10], [8, 10, 13], 0.9).round(9)
    array([1.8, 0. , 0.3])
    """
    actual, quantile, at = _numbers("y", y), _numbers("q", q), _numbers("p", p)
    if not ((at > 0) & (at < 1)).all():
        raise ValueError("p must be probabilities between 0 and 1, both excluded")
    loss: Floats = at * np.maximum(actual - quantile, 0) + (1 - at) * np.maximum(quantile - actual, 0)
    return loss


def covered(y: ArrayLike, q: ArrayLike) -> Mask:
    """Whether the quantile was enough.

    Parameters
    ----------
    y, q : array_like, units

    Examples
    --------
    >>> covered([8, 10, 12], 10)
    array([ True,  True, False])
    """
    return np.asarray(_numbers("y", y) <= _numbers("q", q))


def pit_interval(y: float, sample: ArrayLike) -> tuple[float, float]:
    """Share of a forecast's sample below y, and at or below y.

    Parameters
    ----------
    y : float, units
    sample : array_like of shape (S,), units

    Raises
    ------
    ValueError
        If the sample is empty, or a number is not finite.

    Examples
    --------
    >>> pit_interval(2, [0, 1, 2, 2, 5])
    (0.4, 0.8)
    """
    actual, drawn = _one("y", y), _sample(sample)
    return float((drawn < actual).mean()), float((drawn <= actual).mean())


def randomised_pit(below: ArrayLike, at_most: ArrayLike, rng: np.random.Generator) -> Floats:
    """A uniform draw between P(X < y) and P(X <= y): uniform on (0, 1) when the forecast is right, for counts too.

    Parameters
    ----------
    below, at_most : array_like of one shape, probabilities
    rng : numpy Generator

    References
    ----------
    Czado, Gneiting, Held (2009), Predictive model assessment for count data, eq. 1.

    Examples
    --------
    >>> bool(0.4 <= randomised_pit(0.4, 0.8, np.random.default_rng(1)) <= 0.8)
    True
    """
    low, high = _numbers("below", below), _numbers("at_most", at_most)
    if low.shape != high.shape or not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise ValueError("below and at_most must be probabilities of one shape, below not above at_most")
    draws: Floats = low + (high - low) * rng.random(low.shape)
    return draws


def uniformity(pit: ArrayLike, bins: int = 10) -> Uniformity:
    """Pearson's chi-square of a PIT over equal bins.

    Parameters
    ----------
    pit : array_like of shape (n,), probabilities
    bins : int

    Examples
    --------
    >>> uniformity(np.arange(0.05, 1, 0.1)).statistic
    0.0
    """
    values = _numbers("pit", pit).ravel()
    if not values.size or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("pit must be probabilities from 0 to 1, at least one")
    if bins < 2:
        raise ValueError("bins must be a whole number, 2 or more")
    from scipy.special import chdtrc

    counts = np.bincount(np.minimum((values * bins).astype(np.int64), bins - 1), minlength=bins)
    expected = len(values) / bins
    statistic = float(((counts - expected) ** 2).sum() / expected)
    return Uniformity(tuple(counts.tolist()), statistic, float(chdtrc(bins - 1, statistic)))


def crps(y: float, sample: ArrayLike) -> float:
    """Continuous ranked probability score of a sample: its mean distance from y less half its own mean distance.

    Parameters
    ----------
    y : float, units
    sample : array_like of shape (S,), units

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, eq. 21; exact for the empirical distribution.

    Examples
    --------
    >>> crps(3, [1, 2, 4, 7])
    0.75
    """
    actual, ordered = _one("y", y), np.sort(_sample(sample))
    size = len(ordered)
    weights = 2 * np.arange(1, size + 1) - size - 1
    return float(np.abs(ordered - actual).mean() - weights @ ordered / size**2)


def wilson(successes: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share.

    Parameters
    ----------
    successes, n : float
        Need not be whole: overlapping horizons count in part.
    z : float
        1.96 for 95 %.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not (0 < n < np.inf and 0 <= successes <= n and 0 < z < np.inf):
        raise ValueError("successes must lie between 0 and n, n and z above 0")
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * float(np.sqrt(share * (1 - share) / n + spread / (4 * n))) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def empirical_quantiles(history: ArrayLike, horizon: int, window: int | None, p: ArrayLike) -> Floats:
    """Type 7 quantiles of the past overlapping H-sums in the window: the plain forecast ours is measured by.

    Parameters
    ----------
    history : array_like of shape (T,) or (N, T), units/period
        Without holes. A window shorter than H has one sum, scaled up.
    horizon, window : int, periods
        As in `demand.moments`.
    p : array_like of shape (P,)

    Returns
    -------
    float64 of shape (N, P), units

    Examples
    --------
    >>> empirical_quantiles([1, 2, 3, 4], 2, 4, [0.5, 0.9])
    array([[5. , 6.6]])
    """
    past = np.atleast_2d(_numbers("history", history))
    if past.ndim != 2 or not past.size:
        raise ValueError("history must have the shape (periods,) or (series, periods), and not be empty")
    if horizon < 1 or (window is not None and window < 1):
        raise ValueError("horizon and window must be whole numbers, 1 or more")
    at = _numbers("p", p).ravel()
    if not at.size or not ((at > 0) & (at < 1)).all():
        raise ValueError("p must be probabilities between 0 and 1, both excluded")
    periods = past.shape[1]
    length = min(demand.window_for(periods) if window is None else window, periods)
    width = min(horizon, length)
    total = np.cumsum(past[:, periods - length :], axis=1)
    sums = total[:, width - 1 :].copy()
    sums[:, 1:] -= total[:, :-width]
    sums.sort(axis=1)
    place = (sums.shape[1] - 1) * at
    low = place.astype(np.int64)
    high = np.minimum(low + 1, sums.shape[1] - 1)
    answer: Floats = sums[:, low] + (place - low) * (sums[:, high] - sums[:, low])
    answer *= horizon / width
    return answer


def rolling_origin(
    history: ArrayLike,
    horizon: int,
    origins: Sequence[int],
    window: int | None,
    p: ArrayLike,
    *,
    reported: ArrayLike | None = None,
    censored: ArrayLike | None = None,
    season: int = 7,
) -> Backtest:
    """Forecast the next H-sum at each origin from what lay before it, and set it beside what came.

    Holes are filled, the pool is corrected and the window is taken from the periods before the origin alone.

    Parameters
    ----------
    history : array_like of shape (T,) or (N, T), units/period
        Series of one kind.
    horizon : int, periods
    origins : sequence of int
        Index of the first period forecast, 1 to T - H.
    window : int, periods, optional
        As in `demand.moments`.
    p : array_like of shape (P,)
    reported, censored : array_like of bool of the same shape, optional
        As in `demand.fill`.
    season : int, periods
        As in `demand.fill`; 1 for monthly histories.

    Raises
    ------
    ValueError
        If an origin leaves no history or no whole horizon, or as in `demand.fill` and `demand.moments`.

    Examples
    --------
    >>> test = rolling_origin([[2, 4, 3, 3, 2, 4, 5, 1]], 2, [4, 6], 6, [0.5, 0.9])
    >>> test.actual
    array([[6., 6.]])
    >>> test.ours[0, 1]
    array([6., 9.])
    """
    units = np.atleast_2d(np.array(history, dtype=np.float64))
    at = np.atleast_1d(np.asarray(p, dtype=np.float64))
    seen = np.ones(units.shape, dtype=bool) if reported is None else np.atleast_2d(np.asarray(reported, dtype=bool))
    short = np.zeros(units.shape, dtype=bool) if censored is None else np.atleast_2d(np.asarray(censored, dtype=bool))
    if units.ndim != 2 or not units.shape == seen.shape == short.shape:
        raise ValueError("history, reported and censored must have the same shape: periods, or series x periods")
    units = np.where(seen, units, 0.0)
    if not ((units >= 0) & (units <= demand.LARGEST)).all():
        raise ValueError("history must be numbers from 0 to 10^15 units where reported")
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError("horizon must be a whole number, 1 or more")
    starts = np.asarray(list(origins), dtype=np.int64)
    if not starts.size or starts.min() < 1 or starts.max() > units.shape[1] - horizon:
        raise ValueError("origins must be one or more whole numbers from 1 to the number of periods less the horizon")
    ours, empirical, below, at_most = [], [], [], []
    ahead = starts[:, None] + np.arange(horizon)
    actual = units[:, ahead].sum(axis=2)
    for came, origin in zip(actual.T, starts.tolist(), strict=True):
        before = slice(0, origin)
        past = demand.fill(units[:, before], seen[:, before], short[:, before], season=season).values
        mean, variance, *_ = demand.moments(past, horizon, window)
        ours.append(demand.corrected(past, horizon, window, at))
        empirical.append(empirical_quantiles(past, horizon, window, at))
        below.append(demand.probability_at_most(mean, variance, np.ceil(came) - 1))
        at_most.append(demand.probability_at_most(mean, variance, came))
    return Backtest(
        horizon=int(horizon),
        origins=starts,
        p=at,
        actual=actual,
        known=(seen & ~short)[:, ahead].all(axis=2),
        ours=np.stack(ours, axis=1),
        empirical=np.stack(empirical, axis=1),
        below=np.stack(below, axis=1),
        at_most=np.stack(at_most, axis=1),
    )


def judge(test: Backtest) -> Judgement | None:
    """Say how well the forecasts of a backtest held; None where nothing could be judged.

    Series count as independent of each other; a common season makes them less so, and the interval too narrow.

    Parameters
    ----------
    test : Backtest
        Of one series, or of a pool judged as one.

    Examples
    --------
    >>> week = np.tile([3, 5, 4, 6, 2, 1, 0], 40)
    >>> verdict = judge(rolling_origin(week, 14, range(140, 266, 7), 140, [0.5, 0.9]))
    >>> verdict.n, verdict.independent, verdict.too_short, verdict.coverage
    (18, 9.5, False, (0.0, 1.0))
    """
    judged = test.known
    if not judged.any():
        return None
    y = test.actual[judged][:, None]
    ours, empirical = test.ours[judged], test.empirical[judged]
    loss, plain = pinball(y, ours, test.p).sum(axis=0), pinball(y, empirical, test.p).sum(axis=0)
    coverage = covered(y, ours).mean(axis=0).tolist()
    independent = _independent(test)
    return Judgement(
        n=int(judged.sum()),
        independent=independent,
        too_short=independent < TOO_FEW_PERIODS,
        p=tuple(test.p.tolist()),
        coverage=tuple(coverage),
        below=tuple((y < ours).mean(axis=0).tolist()),
        interval=tuple(wilson(share * independent, independent) for share in coverage),
        loss_to_empirical=_relative(loss, plain),
        loss_to_actual=_relative(loss, np.full(len(loss), y.sum())),
        worst=_worst(test),
    )


def _independent(test: Backtest) -> float:
    """Periods that lie ahead of some judged origin, in horizons, over all series."""
    marks = np.zeros((len(test.actual), int(test.origins.max()) + test.horizon + 1), dtype=np.int64)
    for column, origin in enumerate(test.origins.tolist()):
        marks[:, origin] += test.known[:, column]
        marks[:, origin + test.horizon] -= test.known[:, column]
    return int((marks.cumsum(axis=1) > 0).sum()) / test.horizon


def _relative(loss: Floats, other: Floats) -> tuple[float | None, ...]:
    return tuple(a / b if b > 0 else None for a, b in zip(loss.tolist(), other.tolist(), strict=True))


def _worst(test: Backtest) -> Miss | None:
    excess = np.where(test.known, test.actual - test.ours[:, :, int(test.p.argmax())], -np.inf)
    series, column = np.unravel_index(int(excess.argmax()), excess.shape)
    units = float(excess[series, column])
    return Miss(int(series), int(test.origins[column]), units) if units > 0 else None


def _numbers(name: str, values: ArrayLike) -> Floats:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers in one shape") from None
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite numbers, none missing")
    return numbers


def _one(name: str, value: float) -> float:
    number = _numbers(name, value)
    if number.ndim:
        raise ValueError(f"{name} must be one number")
    return float(number)


def _sample(sample: ArrayLike) -> Floats:
    drawn = _numbers("sample", sample).ravel()
    if not drawn.size:
        raise ValueError("sample must hold at least one number")
    return drawn
