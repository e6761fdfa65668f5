"""Demand to come: a history without holes, the sum of the next days as a distribution, and daily paths of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LARGEST = 1e15
"""Units in one period: above it a history is refused as a slip of the unit."""
POOL = 100
"""Series of one kind from which on the correction over the pool helps; below it hurts."""
POOLED = (0.75, 0.90, 0.95, 0.99)
"""Probabilities the pool correction knows; the others keep their own quantile."""


class Filled(NamedTuple):
    """A history without holes, oldest period first.

    Attributes
    ----------
    values : float64 of shape (N, T), units
    filled : bool of shape (N, T)
        Where the value is an estimate: not reported, or run out of stock with less used than usual.
    share : float64 of shape (N,)
        Filled days among the latest ones; 1 where nothing usable was ever seen.
    """

    values: Floats
    filled: Mask
    share: Floats


class Moments(NamedTuple):
    """What is expected of the sum of the next H periods.

    Attributes
    ----------
    mean : float64 of shape (N,), units
    variance : float64 of shape (N,), units^2
        At least 1.001 times the mean.
    level : float64 of shape (N,), units/period
        The smoothed present.
    window_mean : float64 of shape (N,), units/period
    """

    mean: Floats
    variance: Floats
    level: Floats
    window_mean: Floats


class Pattern(NamedTuple):
    """How the sum of a block spreads over its days.

    Attributes
    ----------
    factors : float64 of shape (season,)
        Use of a weekday relative to the mean day, Monday first where the history's `first_weekday` says so; mean 1.
    concentration : float
        Of the Dirichlet day shares: 0.5 (a few days take all) to 10,000 (even).
    """

    factors: Floats
    concentration: float


def fill(
    values: ArrayLike,
    reported: ArrayLike,
    censored: ArrayLike | None = None,
    *,
    active: ArrayLike | None = None,
    season: int = 7,
    recent: int = 91,
) -> Filled:
    """Fill the days that were not reported, and those on which stock ran out.

    Such a day takes the mean of the up to 8 latest usable values of the same weekday before it; where there is none,
    the mean of all usable days. A run-out day on which more was used than that keeps its own value.

    Nothing later than a day enters its estimate, with one exception: a weekday not yet seen takes the mean of all
    usable days, later ones too. A backtest therefore fills the history up to its origin, not the whole.

    Parameters
    ----------
    values : array_like of shape (T,) or (N, T), units
        What stands on a day not reported is not looked at: None and NaN may.
    reported : array_like of bool of the same shape
    censored : array_like of bool of the same shape, optional
        Days on which stock ran out: what was used is a lower bound of what was asked for.
    active : array_like of bool of the same shape, optional
        Other days are zero, not filled and not counted.
    season : int, days
        Days with the same index modulo `season` are the same weekday.
    recent : int, days
        The days `share` looks at.

    Raises
    ------
    ValueError
        If a reported value is negative, not finite or above 10^15, a history is empty, or the shapes differ.

    Examples
    --------
    >>> fill([10, 20, 12, None, 14, 3], [1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 1], season=2).values
    array([[10., 20., 12., 20., 14., 20.]])
    """
    season, recent = _whole("season", season), _whole("recent", recent)
    seen = _mask("reported", reported)
    live = np.ones_like(seen) if active is None else _mask("active", active)
    short = np.zeros_like(seen) if censored is None else _mask("censored", censored)
    raw = _floats("values", values)
    if not raw.shape == seen.shape == live.shape == short.shape:
        raise ValueError("values, reported, censored and active must have the same shape: periods, or series x periods")
    seen = seen & live
    units = _history("values", np.where(seen, raw, 0.0))
    usable = seen & ~short
    holes = live & ~usable
    rows, days = np.nonzero(holes)
    filled = np.zeros_like(seen)
    if len(rows):
        estimates = _same_weekday_before(units, usable, rows, days, season)
        raised = ~seen[rows, days] | (estimates > units[rows, days])
        rows, days = rows[raised], days[raised]
        units[rows, days], filled[rows, days] = estimates[raised], True
    counted = live[:, -recent:].sum(axis=1)
    share = np.divide(filled[:, -recent:].sum(axis=1), counted, out=np.ones(len(units)), where=counted > 0)
    return Filled(units, filled, np.where(usable.any(axis=1), share, 1.0))


def window_for(periods: int) -> int:
    """Days of a daily history that the moments look at: a year, or half a year where no whole year is known.

    Examples
    --------
    >>> window_for(364), window_for(365)
    (180, 365)
    """
    return 365 if periods >= 365 else 180


def moments(history: ArrayLike, horizon: int, window: int | None = None) -> Moments:
    """Mean and variance of the sum of the next H periods.

    The mean lies halfway between the window's and a level smoothed with a half-life of 1.5 H. The variance is that of
    the overlapping H-sums in the window, times (1 + 1/n) since the mean is itself estimated from n = window/H sums,
    times (n-1)/(n-3) for the variance of a t with n-1 degrees, and a quarter of the squared distance between level
    and mean: the level has moved and may be half wrong. It is at least 1.001 times the mean. A window shorter than
    2 H is looked at in thirds instead, and scaled up.

    Parameters
    ----------
    history : array_like of shape (T,) or (N, T), units/period
        Without holes: see `fill`. Oldest first.
    horizon : int, periods
        H, in periods of the history: 30 of a daily one, 3 of a monthly one.
    window : int, periods, optional
        The latest periods that enter; for a daily history the default is `window_for`.

    Raises
    ------
    ValueError
        If the history is empty, negative, not finite or above 10^15, or horizon or window is not a whole number >= 1.

    References
    ----------
    Brown (1959), Statistical forecasting for inventory control: the smoothed level. The factors: maths of this
    project, measured on the sets of docs/forecast-quality.md.

    Examples
    --------
    >>> step = moments([4] * 40 + [8] * 20, horizon=5, window=60)
    >>> step.level.round(3), step.mean.round(3), step.variance.round(1)
    (array([7.37]), array([31.758]), array([133.9]))
    """
    past, horizon = _history("history", history), _whole("horizon", horizon)
    periods = past.shape[1]
    length = min(window_for(periods) if window is None else _whole("window", window), periods)
    step = horizon if length >= 2 * horizon else max(1, length // 3)
    # Not `@`: the order in which BLAS adds depends on how many series it is given, and so would the last digit.
    weights = (_level_weights(periods, step), _window_weights(periods, length))
    level, window_mean = (np.einsum("nt,t->n", past, each) for each in weights)
    spread = _variance_of_sums(past[:, periods - length :], window_mean, step)
    n = length / step
    mean = step * (level + window_mean) / 2
    variance = spread * (1 + 1 / n) * (n - 1) / max(n - 3, 1) + (step * (level - window_mean)) ** 2 / 4
    larger = horizon / step
    mean, variance = mean * larger, np.maximum(variance, 1.001 * mean) * larger**2
    return Moments(mean, np.maximum(variance, 1.001 * mean), level, window_mean)


def quantiles(mean: ArrayLike, variance: ArrayLike, p: ArrayLike) -> Floats:
    """Quantiles of a negative binomial with the given mean and variance.

    The smallest whole y that is not exceeded with probability p. Above a variance of 10^4 the gamma distribution of
    the same moments stands in, rounded up: the difference is below the unit the answer is given in.

    Parameters
    ----------
    mean, variance : array_like of shape (N,), units and units^2
        As `moments` gives them; a variance between the mean and 1.001 times the mean is taken as the latter.
    p : array_like of shape (P,)
        Probabilities, each in (0, 1).

    Returns
    -------
    float64 of shape (N, P), units
        Whole numbers; 0 where the mean is 0. Never falling in p.

    Raises
    ------
    ValueError
        If a mean is negative or not finite, a variance is below its mean, or p lies outside (0, 1).

    Examples
    --------
    >>> quantiles([30, 2], [30.03, 6], [0.05, 0.5, 0.95])
    array([[21., 30., 39.],
           [ 0.,  1.,  7.]])
    """
    mu, v = _moments(mean, variance)
    at = _probabilities(p)
    mu, v, asked = (a.ravel() for a in np.broadcast_arrays(mu[:, None], v[:, None], at[None, :]))
    # P(Y >= 1) is at most the mean, so a mean of 1 - p or less answers 0 without further work.
    some, large = mu > 1 - asked, v > 1e4
    answer = np.zeros(len(mu))
    exact, smooth = np.flatnonzero(some & ~large), np.flatnonzero(some & large)
    answer[exact] = _negative_binomial(mu[exact], v[exact], asked[exact])
    answer[smooth] = _gamma(mu[smooth], v[smooth], asked[smooth])
    return answer.reshape(-1, len(at))


def probability_at_most(mean: ArrayLike, variance: ArrayLike, y: ArrayLike) -> Floats:
    """Probability that no more than y units are asked for, by the negative binomial of `quantiles`.

    Parameters
    ----------
    mean, variance : array_like of shape (N,), units and units^2
    y : array_like of shape (N,), units
        Rounded down to whole units; 0 below zero.

    Returns
    -------
    float64 of shape (N,)

    Examples
    --------
    >>> probability_at_most([2, 2, 0], [6, 6, 0], [0, -1, 0]).round(3)
    array([0.333, 0.   , 1.   ])
    """
    from scipy.special import betainc, gammainc

    mu, v = _moments(mean, variance)
    units = np.floor(_floats("y", y).ravel())
    if units.shape != mu.shape or not (units <= 1e100).all():
        raise ValueError("y must be numbers, one a series, none missing or infinite")
    used = np.where(mu > 0, mu, 1.0)
    excess = np.where(mu > 0, v - mu, 1.0)
    inside = betainc(used * used / excess, np.maximum(units, 0) + 1, used / (used + excess))
    # Beyond this the incomplete beta loses itself in its own parameters, and the gamma says the same.
    large = v > 1e8
    inside[large] = gammainc(mu[large] ** 2 / v[large], np.maximum(units[large], 0) * mu[large] / v[large])
    share: Floats = np.where(units < 0, 0.0, np.where(mu > 0, inside, 1.0))
    return share


def corrected(history: ArrayLike, horizon: int, window: int | None, p: ArrayLike) -> Floats:
    """Quantiles of the sum of the next H periods, widened where the whole pool was lately too low.

    With at least 100 series of one kind, the same quantiles are computed as of H periods ago and compared with what
    came. Where fewer of the series with use than p - 0.05 stayed within theirs, and fewer than chance explains (1.96
    standard errors of a share), each quantile of today is raised by the p-quantile of the scaled errors. Never
    lowered; fewer series are left as they are.

    An error is scaled by sqrt(mean + 1), what any count varies by, and not by the series' own deviation: an uncertain
    series has a wide quantile already. The raised quantile is rounded down: use is counted in whole units, and
    y <= q + s is y <= floor(q + s).

    Parameters
    ----------
    history : array_like of shape (N, T), units/period
        Series of one kind, without holes.
    horizon, window : int, periods
        As in `moments`; a window of None is `window_for` of each history's length.
    p : array_like of shape (P,)
        Of these 0.75, 0.90, 0.95 and 0.99 are corrected.

    Returns
    -------
    float64 of shape (N, P), units
        Whole numbers, never falling in p.

    References
    ----------
    Romano, Patterson, Candes (2019), Conformalized quantile regression: split conformal, here one-sided.

    Examples
    --------
    >>> corrected([[3, 0, 2, 4, 1, 3, 0, 2, 2, 5]], horizon=2, window=10, p=[0.5, 0.9])
    array([[4., 8.]])
    """
    past, horizon, at = _history("history", history), _whole("horizon", horizon), _probabilities(p)
    now = moments(past, horizon, window)
    answer = quantiles(now.mean, now.variance, at)
    if len(past) < POOL or past.shape[1] <= horizon:
        return answer
    return raised(answer, now.mean, pool_shift(pool_errors(past, horizon, window, at), at), at)


def pool_errors(history: ArrayLike, horizon: int, window: int | None, p: ArrayLike) -> Floats:
    """How far the quantiles of H periods ago were exceeded by what came: the first of three steps of `corrected`.

    Parameters
    ----------
    history, horizon, window, p
        As in `corrected`; the history is longer than H.

    Returns
    -------
    float64 of shape (N, P), roots of the mean + 1
        NaN for a series without use, and for a probability that is not corrected.

    Examples
    --------
    >>> pool_errors([[4] * 10 + [9] * 2], horizon=2, window=10, p=[0.5, 0.9])
    array([[nan,  2.]])
    """
    past, horizon, at = _history("history", history), _whole("horizon", horizon), _probabilities(p)
    if past.shape[1] <= horizon:
        raise ValueError("history must be longer than the horizon")
    came = past[:, -horizon:].sum(axis=1)
    then = moments(np.ascontiguousarray(past[:, :-horizon]), horizon, window)
    errors = np.full((len(past), len(at)), np.nan)
    used, asked = np.flatnonzero(then.mean > 0), np.flatnonzero(np.isin(at, POOLED))
    if len(used) and len(asked):
        mean, variance = then.mean[used], then.variance[used]
        found = (came[used, None] - quantiles(mean, variance, at[asked])) / np.sqrt(mean + 1)[:, None]
        errors[np.ix_(used, asked)] = found
    return errors


def pool_shift(errors: ArrayLike, p: ArrayLike) -> Floats:
    """How far each quantile is to be raised, from the errors of a pool of 100 series or more; 0 where it held.

    Parameters
    ----------
    errors : array_like of shape (N, P), roots of the mean + 1
        From `pool_errors`, in any order of the series.
    p : array_like of shape (P,)

    Returns
    -------
    float64 of shape (P,), roots of the mean + 1

    Examples
    --------
    >>> pool_shift(np.linspace(-1, 1, 101)[:, None], [0.9]).round(2)
    array([0.8])
    """
    at, scaled = _probabilities(p), _floats("errors", errors)
    if scaled.shape[1:] != at.shape:
        raise ValueError("errors must have the shape (series, probabilities)")
    shift = np.zeros(len(at))
    for i in np.flatnonzero(np.isin(at, POOLED)).tolist():
        e = scaled[~np.isnan(scaled[:, i]), i]
        if not len(e):
            continue
        by_chance = 1.96 * np.sqrt(at[i] * (1 - at[i]) / len(e))
        if (e <= 0).mean() < at[i] - max(0.05, by_chance):
            shift[i] = max(0.0, float(np.quantile(e, at[i])))
    return shift


def raised(quantiles: Floats, mean: Floats, shift: Floats, p: ArrayLike) -> Floats:
    """Quantiles raised by a shift of the pool: whole, never falling in p.

    Parameters
    ----------
    quantiles : float64 of shape (N, P), units
    mean : float64 of shape (N,), units
    shift : float64 of shape (P,), roots of the mean + 1
        From `pool_shift`.
    p : array_like of shape (P,)

    Examples
    --------
    >>> raised(np.array([[3.0, 8.0]]), np.array([3.0]), np.array([0.0, 0.6]), [0.5, 0.9])
    array([[3., 9.]])
    """
    if not shift.any():
        return quantiles
    # 1e-9: the very series that the shift was taken from must not fall short of its own sum by rounding.
    answer: Floats = np.floor(quantiles + shift * np.sqrt(mean + 1)[:, None] + 1e-9)
    order = np.argsort(_probabilities(p), kind="stable")
    answer[:, order] = np.maximum.accumulate(answer[:, order], axis=1)
    return answer


def pattern(
    history: ArrayLike,
    mean: float,
    variance: float,
    *,
    horizon: int = 30,
    window: int | None = None,
    first_weekday: int = 0,
    season: int = 7,
) -> Pattern:
    """Weekday factors, and how unevenly single days share what a block uses.

    Parameters
    ----------
    history : array_like of shape (T,), units/day
        One series, without holes.
    mean, variance : float, units and units^2
        Of the sum of the next `horizon` days, from `moments`.
    horizon : int, days
        The block those moments belong to.
    window : int, days, optional
        As in `moments`.
    first_weekday : int
        Weekday of the oldest day of the history, 0 to season - 1.
    season : int, days
        7 weekdays; 1 for none.

    Raises
    ------
    ValueError
        If the history is not one series, or a number is negative, not finite or out of its range.

    Examples
    --------
    >>> week = pattern([1, 1, 1, 1, 1, 2, 0] * 8, 30.0, 35.0)
    >>> week.factors
    array([1., 1., 1., 1., 1., 2., 0.])
    >>> week.concentration
    10000.0
    """
    past = _history("history", history)
    if len(past) != 1:
        raise ValueError("history must be one series of shape (periods,)")
    block, season = _whole("horizon", horizon), _whole("season", season)
    start = _weekday("first_weekday", first_weekday, season)
    mu, v = (float(a[0]) for a in _moments(mean, variance))
    days = past[0]
    length = min(window_for(len(days)) if window is None else _whole("window", window), len(days))
    weekday = ((start + np.arange(len(days))) % season)[-length:]
    days = days[-length:]
    factors = _weekday_factors(days, weekday, season)
    rest = float(np.var(days - days.mean() * factors[weekday]))
    # Variance of a day within a block: (v + mu^2) w (1 - w)/(a + 1) from uneven shares, mu w (1 - w) from counting.
    even = (1 - 1 / block) / block
    uneven, counting = (v + mu * mu) * even, mu * even
    if rest <= counting:
        return Pattern(factors, 1e4)
    return Pattern(factors, float(np.clip((uneven - rest) / (rest - counting), 0.5, 1e4)))


def paths(
    mean: float,
    variance: float,
    pattern: Pattern,
    horizon: int,
    rng: np.random.Generator,
    *,
    count: int = 1000,
    block: int = 30,
    first_weekday: int = 0,
    factor: ArrayLike | None = None,
) -> Floats:
    """Possible daily use of the days to come.

    Each path draws one intensity from a gamma distribution and keeps it: a busy month is followed by busy ones. Each
    block spreads it over its days by Dirichlet shares around the weekday factors; each day's units are Poisson. The
    sum of the first block is negative binomial with the given mean and variance.

    Parameters
    ----------
    mean, variance : float, units and units^2
        Of the sum of one block, from `moments` with `horizon=block`.
    pattern : Pattern
    horizon : int, days
        H.
    rng : numpy Generator
        The same seed gives the same paths.
    count : int
        S.
    block : int, days
    first_weekday : int
        Weekday of the first day to come.
    factor : array_like of shape (H,), optional
        Multiplies a day's intensity: a holiday, a campaign.

    Returns
    -------
    float64 of shape (S, H), units/day
        Whole numbers.

    Raises
    ------
    ValueError
        If a number is negative, not finite or out of its range, or `factor` has another length than the horizon.

    Examples
    --------
    >>> use = paths(300.0, 900.0, Pattern(np.ones(7), 40.0), 60, np.random.default_rng(1))
    >>> use.shape, bool(abs(use[:, :30].sum(axis=1).mean() - 300) < 4)
    ((1000, 60), True)
    """
    mu, v = (float(a[0]) for a in _moments(mean, variance))
    days, count, block = _whole("horizon", horizon), _whole("count", count), _whole("block", block)
    factors, concentration = _pattern(pattern)
    start = _weekday("first_weekday", first_weekday, len(factors))
    times = None if factor is None else _factor(factor, days)
    if mu == 0:
        return np.zeros((count, days))
    intensity = rng.gamma(mu * mu / (v - mu), (v - mu) / mu, count)
    use = np.empty((count, days))
    for first in range(0, days, block):
        weights = factors[(start + first + np.arange(block)) % len(factors)]
        # A block of nothing but closed days still holds its sum.
        weights = weights / weights.sum() if weights.any() else np.full(block, 1 / block)
        here = min(block, days - first)
        expected = _shares(weights, concentration, here, count, rng)
        expected *= intensity[:, None]
        if times is not None:
            expected *= times[first : first + here]
        # block by block, so that a longer horizon of whole blocks begins with the very days of a shorter one
        use[:, first : first + here] = _counts(expected, rng)
    return use


def _whole(name: str, value: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more")
    return int(value)


def _weekday(name: str, value: int, season: int) -> int:
    if _whole(name, value, 0) >= season:
        raise ValueError(f"{name} must be a whole number from 0 to {season - 1}")
    return int(value)


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        units = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be numbers in one shape: periods, or series x periods") from None
    return units[None, :] if units.ndim == 1 else units


def _mask(name: str, values: ArrayLike) -> Mask:
    try:
        mask = np.asarray(values, dtype=bool)
    except ValueError:
        raise ValueError(f"{name} must be true or false in one shape: periods, or series x periods") from None
    return mask[None, :] if mask.ndim == 1 else mask


def _history(name: str, values: ArrayLike) -> Floats:
    units = _floats(name, values)
    if units.ndim != 2 or units.size == 0:
        raise ValueError(f"{name} must have the shape (periods,) or (series, periods), and not be empty")
    if not (units.min() >= 0 and units.max() <= LARGEST):
        raise ValueError(f"{name} must be numbers from 0 to 10^15 units, none missing")
    return units


def _probabilities(p: ArrayLike) -> Floats:
    try:
        at = np.atleast_1d(np.asarray(p, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError("p must be probabilities between 0 and 1, both excluded") from None
    if at.ndim != 1 or at.size == 0 or not ((at > 0) & (at < 1)).all():
        raise ValueError("p must be probabilities between 0 and 1, both excluded")
    return at


def _moments(mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Check both, and lift a variance that hardly exceeds its mean to 1.001 times the mean."""
    mu, v = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (mean, variance))
    if mu.ndim != 1 or mu.size == 0 or mu.shape != v.shape:
        raise ValueError("mean and variance must be numbers, or two arrays of the same shape (series,)")
    if not ((mu >= 0) & (mu <= 1e100)).all():
        raise ValueError("mean must be numbers from 0 units on, none missing or infinite")
    if not ((v >= mu) & (v <= 1e200)).all():
        raise ValueError("variance must be at least the mean, none missing or infinite")
    # Below 1e-100 units nothing is ever used, and squares would vanish.
    mu = np.where(mu < 1e-100, 0.0, mu)
    return mu, np.maximum(v, 1.001 * mu)


def _pattern(pattern: Pattern) -> tuple[Floats, float]:
    factors = np.asarray(pattern.factors, dtype=np.float64)
    if factors.ndim != 1 or not np.isfinite(factors).all() or not (factors >= 0).all() or not factors.any():
        raise ValueError("pattern must have factors of 0 or more, not all 0")
    if not 0 < pattern.concentration <= 1e9:
        raise ValueError("pattern must have a concentration above 0")
    return factors, float(pattern.concentration)


def _factor(factor: ArrayLike, days: int) -> Floats:
    times = np.asarray(factor, dtype=np.float64)
    if times.shape != (days,) or not ((times >= 0) & (times <= 1e6)).all():
        raise ValueError("factor must be one number from 0 to 10^6 for each day of the horizon")
    return times


def _same_weekday_before(
    units: Floats, usable: Mask, rows: NDArray[np.int64], days: NDArray[np.int64], season: int
) -> Floats:
    """Mean of the up to 8 latest usable values of the same weekday, for each hole; else of all usable values."""
    weeks = -(-units.shape[1] // season)
    pad = ((0, 0), (0, weeks * season - units.shape[1]))
    # Weekday by weekday, the usable values pushed together: the latest before a hole are then neighbours.
    column = (len(units), weeks, season)
    seen = np.pad(usable, pad).reshape(column).transpose(0, 2, 1)
    value = np.pad(units, pad).reshape(column).transpose(0, 2, 1)
    before = np.cumsum(seen, axis=2) - seen
    packed = np.zeros(value.shape)
    series, weekday, week = np.nonzero(seen)
    packed[series, weekday, before[series, weekday, week]] = value[series, weekday, week]
    known = before[rows, days % season, days // season]
    total = np.zeros(len(rows))
    for back in range(1, 9):
        there = np.flatnonzero(known >= back)
        total[there] += packed[rows[there], days[there] % season, known[there] - back]
    count = usable.sum(axis=1)
    overall = np.where(usable, units, 0).sum(axis=1) / np.maximum(count, 1)
    estimates: Floats = np.where(known > 0, total / np.clip(known, 1, 8), overall[rows])
    return estimates


def _level_weights(periods: int, horizon: int) -> Floats:
    """Weight of each period in the level smoothed with a half-life of 1.5 H, begun at the mean of the first k."""
    rate = 1 - 0.5 ** (1 / (1.5 * horizon))
    first = max(1, min(int(1.5 * horizon), periods // 3))
    later = np.arange(periods - first - 1, -1, -1)
    return np.concatenate((np.full(first, (1 - rate) ** (periods - first) / first), rate * (1 - rate) ** later))


def _window_weights(periods: int, length: int) -> Floats:
    return np.concatenate((np.zeros(periods - length), np.full(length, 1 / length)))


def _variance_of_sums(days: Floats, mean: Floats, horizon: int) -> Floats:
    """Variance of the overlapping sums: centred first, so that large numbers lose nothing, in blocks a cache holds."""
    series, periods = days.shape
    answer, rows = np.empty(series), min(series, max(1, 50_000 // periods))
    total, sums = np.zeros((rows, periods + 1)), np.empty((rows, periods + 1 - horizon))
    for first in range(0, series, rows):
        part = slice(first, first + rows)
        here = len(days[part])
        running, overlapping = total[:here], sums[:here]
        np.subtract(days[part], mean[part, None], out=running[:, 1:])
        np.cumsum(running[:, 1:], axis=1, out=running[:, 1:])
        np.subtract(running[:, horizon:], running[:, :-horizon], out=overlapping)
        overlapping -= overlapping.mean(axis=1, keepdims=True)
        answer[part] = np.einsum("nw,nw->n", overlapping, overlapping) / overlapping.shape[1]
    return answer


def _negative_binomial(mu: Floats, v: Floats, p: Floats) -> Floats:
    """Smallest whole y with P(Y <= y) >= p: a good guess, then doubling steps and halving until it is certain."""
    from scipy.special import betainc

    size, success = mu * mu / (v - mu), mu / v
    # 8 ulp: a probability that is exactly p must not be missed by rounding.
    goal = p * (1 - 2**-50)
    low, high = np.full(len(mu), -1.0), np.full(len(mu), np.inf)
    at, step, open_ = _guess(mu, v, p), np.ones(len(mu)), np.arange(len(mu))
    while len(open_):
        y = at[open_]
        enough = betainc(size[open_], y + 1, success[open_]) >= goal[open_]
        high[open_[enough]], low[open_[~enough]] = y[enough], y[~enough]
        open_ = open_[high[open_] - low[open_] > 1]
        between = np.floor((low[open_] + high[open_]) / 2)
        jump = np.where(np.isinf(high[open_]), low[open_] + step[open_], np.maximum(high[open_] - step[open_], 0))
        at[open_] = np.where((jump > low[open_]) & (jump < high[open_]), jump, between)
        step[open_] *= 2
    return high


def _guess(mu: Floats, v: Floats, p: Floats) -> Floats:
    """Gamma quantile less the half a count is rounded by; by Wilson and Hilferty's cube root where that serves."""
    from scipy.special import gammaincinv, ndtri

    shape = mu * mu / v
    guess: Floats = mu * (1 - 1 / (9 * shape) + ndtri(p) / (3 * np.sqrt(shape))) ** 3
    skewed = shape < 2
    guess[skewed] = gammaincinv(shape[skewed], p[skewed]) * (v / mu)[skewed]
    whole: Floats = np.round(guess - 0.5)
    return np.maximum(whole, 0, out=whole)


def _gamma(mu: Floats, v: Floats, p: Floats) -> Floats:
    from scipy.special import gammaincinv

    y = gammaincinv(mu * mu / v, p) * (v / mu)
    # Close to zero a continuous stand-in says 1 where the count itself says 0.
    none = np.exp(mu * mu / (v - mu) * np.log(mu / v))
    whole: Floats = np.where(y < 1, np.where(none >= p, 0.0, 1.0), np.ceil(y))
    return whole


def _weekday_factors(days: Floats, weekday: NDArray[np.int64], season: int) -> Floats:
    """Mean of each weekday relative to the mean day; 1 for a weekday not seen, and for all where nothing is used."""
    number = np.bincount(weekday, minlength=season)
    mean = np.bincount(weekday, weights=days, minlength=season) / np.maximum(number, 1)
    overall = days.mean()
    if overall == 0:
        return np.ones(season)
    factors: Floats = np.where(number > 0, mean / overall, 1.0)
    factors /= factors.mean()
    return factors


def _shares(weights: Floats, concentration: float, days: int, count: int, rng: np.random.Generator) -> Floats:
    """Dirichlet shares of the first days of a block: the rest of it is one gamma, since only its sum matters."""
    drawn: Floats = rng.standard_gamma(concentration * weights[:days], size=(count, days))
    total = drawn.sum(axis=1)
    if days < len(weights):
        total += rng.standard_gamma(concentration * weights[days:].sum(), size=count)
    # Every gamma of a very uneven block may underflow; its largest share is then as good as any.
    dead = total == 0
    if dead.any():
        drawn[dead], total[dead] = weights[:days], 1.0
    drawn /= total[:, None]
    return drawn


def _counts(expected: Floats, rng: np.random.Generator) -> Floats:
    """Poisson counts; above 10^12 the rounded normal, which differs by less than the last shown digit."""
    large = expected > 1e12
    counts: Floats = rng.poisson(np.where(large, 0.0, expected)).astype(np.float64)
    if large.any():
        most = expected[large]
        counts[large] = np.maximum(np.round(most + np.sqrt(most) * rng.standard_normal(len(most))), 0)
    return counts
