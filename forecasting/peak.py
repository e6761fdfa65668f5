"""The highest daily use a location, or a scope of locations, has shown: the peak that days of coverage divide by."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import compress
from math import ceil, lcm, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forecasting import exact
from forecasting.windows import (
    Exact,
    History,
    Mask,
    Means,
    exact_type,
    latest_max,
    outliers,
    quantile,
    read_history,
    rolling,
    window_means,
)

Basis = Literal["history", "lower_bound", "norm", "unknown"]


Statistic = Literal["max", "quantile", "day_quantile", "mean_upper", "mean", "norm"]


class Method(NamedTuple):
    """How a peak is read from history: the statistic, its window in days and, where it has one, its probability."""

    statistic: Statistic
    width: int
    p: Fraction | None


class LocationPeak(NamedTuple):
    """The peak of one location, in units/day; days are indices into the look-back.

    The window is where the highest use was seen (None: nothing was reported, or the method has no window), also when a
    larger norm, or nothing, follows from it. `lower_bound` is the highest mean that takes missing days for zero.
    """

    peak: Fraction | None
    basis: Basis
    window_from: int | None
    window_to: int | None
    days_reported: int
    lower_bound: Fraction


class ScopePeak(NamedTuple):
    """The peak of a scope, in units/day; days are indices into the look-back, locations indices of rows.

    `window_filled` holds the daily sums of the chosen window as they entered its mean, in units: silent locations
    filled with their own peak, or left at zero where the lower bound was higher. `reported_share` is that window's, or
    the latest window's where none was chosen. On `days_reported` days at least `min_share` of the scope, by weight,
    reported.
    """

    peak: Fraction | None
    basis: Basis
    window_from: int | None
    window_to: int | None
    window_filled: tuple[Fraction, ...]
    reported_share: Fraction
    days_reported: int
    lower_bound: Fraction
    sum_of_peaks: Fraction
    known: bool
    own: tuple[LocationPeak, ...]
    unknown: tuple[int, ...]
    last_reported: tuple[int | None, ...]
    flagged: tuple[tuple[int, int], ...]


def location_peak(
    values: ArrayLike,
    reported: ArrayLike,
    *,
    censored: ArrayLike | None = None,
    active: ArrayLike | None = None,
    norm: Fraction | int | None = None,
    method: str = "rolling_mean_max",
    width: int = 7,
    min_days: int = 28,
) -> LocationPeak:
    """Peak of one location: by default the highest mean of any `width` consecutive days of the look-back.

    A window with enough reported days has the mean of those: missing days are left out, and a day on which stock ran
    out counts only where it exceeds the mean of the rest. Every window has the lower bound that takes missing days for
    zero. The peak is the largest of both; of equals a mean goes before a lower bound, then the latest window.

    Parameters
    ----------
    values : array_like of int of shape (T,), units
        Use of each day of the look-back, oldest first; read only where reported.
    reported : array_like of bool of shape (T,)
        A day not reported is unknown, never zero.
    censored : array_like of bool of shape (T,), optional
        Stock ran out that day: the value is a lower bound of demand.
    active : array_like of bool of shape (T,), optional
        Days on which the location existed; the others count as not reported.
    norm : Fraction or int, units/day, optional
        Declared use; enters only below `min_days` reported days.
    method : str
        See `parse_method`.
    width, min_days : int, days

    Returns
    -------
    LocationPeak

    Raises
    ------
    ValueError
        If the method is not known, a quantity is negative or not whole, the shapes differ, or a setting is not what it
        says (`forecasting.exact`).

    Examples
    --------
    One odd day is diluted by the six beside it, and the two missing days after it are not zeros:

    >>> county = location_peak([10] * 20 + [100] + [0] * 2 + [10] * 12, [True] * 21 + [False] * 2 + [True] * 12)
    >>> county.peak, county.basis, county.window_from, county.window_to
    (Fraction(28, 1), 'history', 20, 26)
    """
    rule = parse_method(method, width)
    rows = [None if days is None else np.asarray(days)[None] for days in (censored, active)]
    history = read_history(np.asarray(values)[None], np.asarray(reported)[None], rows[0], rows[1], rule.width)
    return _own_peaks(history, rule, [norm], min_days)[0]


def scope_peak(  # noqa: PLR0913  (the policy's settings, each with the default the rule has)
    values: ArrayLike,
    reported: ArrayLike,
    *,
    censored: ArrayLike | None = None,
    active: ArrayLike | None = None,
    norm: Sequence[Fraction | int | None] | None = None,
    method: str = "rolling_mean_max",
    width: int = 7,
    min_days: int = 28,
    min_share: Fraction = Fraction(7, 10),
    silent_after_days: int = 7,
    scope_peak: Literal["peak_of_sum", "sum"] = "peak_of_sum",
) -> ScopePeak:
    """Peak of a scope: the peak of the sum, a silent location filled with its own peak.

    Counties do not peak on the same day and the scope's stock serves whichever does, so the sum of the peaks would ask
    too much. Silence must not lower the peak: a location that did not report counts with its own peak, one that ran out
    with at least that, and a window is used only if `min_share` of the scope, weighted by own peaks, reported in it.
    The peak is the highest mean of a used window, or the highest lower bound with missing days as zero if larger.

    Parameters
    ----------
    values : array_like of int of shape (N, T), units
        Use of each location and day of the look-back, oldest day first; read only where reported.
    reported, censored, active : array_like of bool of shape (N, T)
        As in `location_peak`; a location counts only on days on which it was active.
    norm : sequence of N Fraction, int or None, units/day, optional
    method : str
        See `parse_method`.
    width, min_days, silent_after_days : int, days
    min_share : Fraction
    scope_peak : {"peak_of_sum", "sum"}
        "sum" takes the sum of the locations' own peaks instead; it has no window.

    Returns
    -------
    ScopePeak
        `known` is false when the peak is None, when a location cannot be bounded (`unknown`), or when no window ending
        in the last `silent_after_days` was reported well enough to be used; a location by its norm counts as reporting.

    Raises
    ------
    ValueError
        If the method is not known, a quantity is negative or not whole, the shapes differ, or a setting is not what it
        says (`forecasting.exact`).

    Notes
    -----
    A location without a peak of its own weighs nothing and adds what it reported; it is not called unknown if it closed
    within the look-back. Where no window is used because most of the scope is declared and not reported, the own peaks
    are added up, basis "norm". Where the peaks of all active locations are zero they weigh the same. In a scope of one
    location the location's own peak stands too: its norm is not lost.

    Examples
    --------
    The second county surges a week after the first; together they never used 40 + 60 a day:

    >>> first, second = [10] * 7 + [40] * 7 + [10] * 28, [20] * 14 + [60] * 7 + [20] * 21
    >>> city = scope_peak([first, second], np.ones((2, 42), dtype=bool))
    >>> city.peak, city.window_to, city.sum_of_peaks
    (Fraction(70, 1), 20, Fraction(100, 1))
    """
    rule = parse_method(method, width)
    min_share, silent_after_days = (
        exact.share("min_share", min_share),
        exact.units("silent_after_days", silent_after_days),
    )
    exact.one_of("scope_peak", scope_peak, ("peak_of_sum", "sum"))
    history = read_history(values, reported, censored, active, rule.width)
    own = _own_peaks(history, rule, norm if norm is not None else [None] * len(history.values), min_days)
    daily = _daily_sums(history, own)
    shares = _shares(daily, rule.width)
    used = shares.at_least(min_share)
    unknown = _unknown(history, own)
    found = _sum_of_peaks(own) if scope_peak == "sum" else _peak_of_sum(history, rule, own, daily, min_share)
    lately = _shares(_declared_as_reported(history, own, daily), rule.width).at_least(min_share)
    recent = lately[max(0, len(used) - silent_after_days) :].any() or rule.statistic == "norm"
    start = None if found.window is None else found.window - history.padding
    return ScopePeak(
        peak=found.peak,
        basis="lower_bound" if unknown and found.peak is not None else found.basis,
        window_from=None if start is None else max(0, start),
        window_to=None if start is None else start + rule.width - 1,
        window_filled=tuple(Fraction(units, daily.scale) for units in found.days),
        reported_share=shares.of(-1 if found.window is None else found.window),
        days_reported=int(_shares(daily, 1).at_least(min_share).sum()),
        lower_bound=_lower_bound(daily, rule.width),
        sum_of_peaks=sum((peak.peak for peak in own if peak.peak is not None), Fraction(0)),
        known=found.peak is not None and not unknown and bool(recent),
        own=own,
        unknown=unknown,
        last_reported=_last_reported(history),
        flagged=outliers(history),
    )


def parse_method(method: str, width: int = 7) -> Method:
    """Read a method's name, with its argument after a colon.

    `rolling_mean_max`, `rolling_mean_max:30` (a width in days), `rolling_mean_quantile:0.99` (type 7 quantile of the
    means of `width` days), `day_max`, `day_quantile:0.95`, `mean_upper:0.95` (mean + z s / sqrt(days / 7), an upper
    confidence bound), `mean`, `norm` (as declared). The first is the rule; `mean` and `mean_upper` only compare.

    Raises
    ------
    ValueError
        If the name or its argument is not one of these, or the width is not a number of days.

    Examples
    --------
    >>> parse_method("rolling_mean_max:30")
    Method(statistic='max', width=30, p=None)
    >>> parse_method("day_quantile")
    Method(statistic='day_quantile', width=7, p=Fraction(19, 20))
    >>> parse_method("median")
    Traceback (most recent call last):
    ValueError: Unknown peak method 'median'. Use rolling_mean_max[:days], rolling_mean_quantile[:p], day_max, \
day_quantile[:p], mean_upper[:p], mean or norm.
    """
    width = exact.days("width", width, least=1)
    name, _, argument = method.partition(":")
    if name == "rolling_mean_max" and re.fullmatch("[1-9][0-9]{0,3}|", argument):
        return Method("max", int(argument or width), None)
    if name == "day_max" and not argument:
        return Method("max", 1, None)
    if name in _PLAIN and not argument:
        return Method(_PLAIN[name], width, None)
    if name in _WITH_PROBABILITY and re.fullmatch(r"0?\.(?=[0-9]*[1-9])[0-9]{1,6}|", argument):
        statistic, usual = _WITH_PROBABILITY[name]
        return Method(statistic, width, Fraction(argument or usual))
    raise ValueError(
        f"Unknown peak method {method!r}. Use rolling_mean_max[:days], rolling_mean_quantile[:p], day_max, "
        "day_quantile[:p], mean_upper[:p], mean or norm."
    )


_PLAIN: dict[str, Statistic] = {"mean": "mean", "norm": "norm"}
_WITH_PROBABILITY: dict[str, tuple[Statistic, str]] = {
    "rolling_mean_quantile": ("quantile", "0.99"),
    "day_quantile": ("day_quantile", "0.95"),
    "mean_upper": ("mean_upper", "0.95"),
}


class _Seen(NamedTuple):
    """What a location's history shows, in units/day, and the window it is the mean of, if it has one."""

    value: Fraction
    basis: Basis
    window: int | None


class _Found(NamedTuple):
    """A scope's peak, the window it is the mean of and that window's daily sums as `scale` x units, if it has one."""

    peak: Fraction | None
    basis: Basis
    window: int | None = None
    days: tuple[int, ...] = ()


class _Daily(NamedTuple):
    """A scope day by day: exact integers of shape (T,), as `scale` x units except where they count locations."""

    filled: Exact
    reported: Exact
    weight: Exact
    weight_active: Exact
    heads: Exact
    heads_active: Exact
    scale: int


class _Shares(NamedTuple):
    """How much of the scope reported in each window, and how much was there to report; both of shape (W,)."""

    reported: Exact
    active: Exact

    def at_least(self, share: Fraction) -> Mask:
        kind = exact_type(int(self.active.max(initial=0)) * max(share.numerator, share.denominator))
        reported: Exact = self.reported.astype(kind) * share.denominator
        enough: Mask = (reported >= self.active.astype(kind) * share.numerator) & (self.active > 0)
        return enough

    def of(self, window: int) -> Fraction:
        return Fraction(int(self.reported[window]), int(self.active[window]) or 1)


def _own_peaks(
    history: History, rule: Method, norms: Sequence[Fraction | int | None], min_days: int
) -> tuple[LocationPeak, ...]:
    declared = [None if norm is None else exact.rate("norm", norm) for norm in norms]
    min_days = exact.units("min_days", min_days)
    exact.as_many("norm", declared, len(history.values), "location")
    means = window_means(history, rule.width)
    units, at = latest_max(means.lower)
    bounds = [_Seen(Fraction(low, means.scale), "lower_bound", window) for low, window in zip(units, at, strict=True)]
    seen = _seen(history, rule, means, bounds)
    days = history.reported.sum(axis=1).tolist()
    rows = zip(seen, bounds, days, declared, strict=True)
    if rule.statistic == "norm":
        return tuple(_declared(norm, reported, bound) for _, bound, reported, norm in rows)
    shift = rule.width - 1 - history.padding
    return tuple(_own_peak(*row, enough=row[2] >= min_days, width=rule.width, shift=shift) for row in rows)


def _declared(norm: Fraction | int | None, days: int, bound: _Seen) -> LocationPeak:
    basis: Basis = "unknown" if norm is None else "norm"
    return LocationPeak(None if norm is None else Fraction(norm), basis, None, None, days, bound.value)


def _own_peak(
    seen: _Seen, bound: _Seen, days: int, norm: Fraction | int | None, *, enough: bool, width: int, shift: int
) -> LocationPeak:
    """What was seen if there was enough of it, else the larger of it and the norm, else nothing."""
    peak: Fraction | None = seen.value
    basis: Basis = seen.basis
    if not enough and norm is None:
        peak, basis = None, "unknown"
    elif not enough and norm is not None and (norm > seen.value or not days):
        peak, basis = Fraction(norm), "norm"
    if seen.window is None or not days:
        return LocationPeak(peak, basis, None, None, days, bound.value)
    last = seen.window + shift
    return LocationPeak(peak, basis, max(0, last - width + 1), last, days, bound.value)


def _seen(history: History, rule: Method, means: Means, bounds: list[_Seen]) -> list[_Seen]:
    """Per location, what the method sees in its history; its lower bound where that is all there is."""
    if rule.statistic == "norm":
        return bounds
    if rule.statistic == "max":
        top = zip(*latest_max(np.where(means.valid, means.mean, -1)), strict=True)
        highest = [_Seen(Fraction(units, means.scale), "history", at) for units, at in top]
        return [bound if bound.value > mean.value else mean for bound, mean in zip(bounds, highest, strict=True)]
    if rule.statistic == "quantile":
        scale, windows = means.scale, zip(means.mean.tolist(), means.valid, strict=True)
        samples = [list(compress(*window)) for window in windows]
    else:
        scale, days = 1, zip(history.values, history.reported, history.censored, strict=True)
        samples = [_usable_days(*day) for day in days]
    return [
        _Seen(_statistic(sample, scale, rule), "history", None) if sample else bound
        for sample, bound in zip(samples, bounds, strict=True)
    ]


def _usable_days(values: Exact, reported: Mask, censored: Mask) -> list[int]:
    """Reported days without those on which stock ran out, unless they exceed the mean of the others."""
    free: list[int] = values[reported & ~censored].tolist()
    return free + [units for units in values[censored].tolist() if units * len(free) > sum(free)] if free else []


def _statistic(sample: list[int], scale: int, rule: Method) -> Fraction:
    """Quantile, mean or upper bound of the mean of whole numbers that are `scale` x units."""
    if rule.p is not None and rule.statistic != "mean_upper":
        return quantile(sample, rule.p) / scale
    mean = Fraction(sum(sample), len(sample) * scale)
    if rule.p is None or len(sample) < 2:
        return mean
    n = len(sample)
    variance = Fraction(n * sum(units * units for units in sample) - sum(sample) ** 2, n * (n - 1) * scale**2)
    upper = float(mean) + NormalDist().inv_cdf(float(rule.p)) * sqrt(variance * 7 / n)
    return _rounded_up(upper)


def _rounded_up(rate: float) -> Fraction:
    """A float becomes a rational once, upwards to 1e-6, so that it never asks for less than the method said."""
    return Fraction(ceil(Fraction(rate) * 10**6), 10**6)


def _daily_sums(history: History, own: Sequence[LocationPeak]) -> _Daily:
    """Sum a scope's days, silence filled with own peaks; exact, over the peaks' common denominator."""
    known = np.array([peak.peak is not None for peak in own], dtype=bool)[:, None]
    peaks = [peak.peak or Fraction(0) for peak in own]
    scale = lcm(*(peak.denominator for peak in peaks))
    scaled = [peak.numerator * (scale // peak.denominator) for peak in peaks]
    seen = history.values.max(axis=1, initial=0).tolist()
    largest = sum(max(fill, scale * units) for fill, units in zip(scaled, seen, strict=True))
    kind = exact_type(largest * history.values.shape[1])
    fill: Exact = np.array(scaled, dtype=kind)[:, None]
    values: Exact = history.values.astype(kind) * scale
    filled = np.where(history.reported, values, np.where(history.active, fill, 0))
    if history.censored.any():
        filled = np.where(history.censored, np.maximum(values, fill), filled)
    counted = known if known.any() else ~known
    return _Daily(
        filled=filled.sum(axis=0),
        reported=values.sum(axis=0),
        weight=np.where(history.reported, fill, 0).sum(axis=0),
        weight_active=np.where(history.active, fill, 0).sum(axis=0),
        heads=(history.reported & counted).sum(axis=0),
        heads_active=(history.active & counted).sum(axis=0),
        scale=scale,
    )


def _declared_as_reported(history: History, own: Sequence[LocationPeak], daily: _Daily) -> _Daily:
    """The scope's weights with a location by its norm taken as reporting: a declaration does not fall silent."""
    by_norm = [n for n, peak in enumerate(own) if peak.basis == "norm"]
    if not by_norm:
        return daily
    silent = history.active[by_norm] & ~history.reported[by_norm]
    weights = np.array([int((own[n].peak or 0) * daily.scale) for n in by_norm], dtype=daily.weight.dtype)[:, None]
    return daily._replace(
        weight=daily.weight + np.where(silent, weights, 0).sum(axis=0), heads=daily.heads + silent.sum(axis=0)
    )


def _shares(daily: _Daily, width: int) -> _Shares:
    """Reported share of every window by weight; by number of locations where none of the active ones ever used any."""
    reported, active = rolling(daily.weight, width), rolling(daily.weight_active, width)
    if (weightless := active == 0).any():
        reported = np.where(weightless, rolling(daily.heads, width), reported)
        active = np.where(weightless, rolling(daily.heads_active, width), active)
    return _Shares(reported, active)


def _peak_of_sum(
    history: History, rule: Method, own: Sequence[LocationPeak], daily: _Daily, min_share: Fraction
) -> _Found:
    if all(peak.peak is None for peak in own):
        return _Found(None, "unknown")
    if rule.statistic == "norm":
        return _sum_of_peaks([peak for peak, gone in zip(own, _closed(history), strict=True) if not gone])
    width = rule.width if rule.statistic in ("max", "quantile") else 1
    used = _shares(daily, width).at_least(min_share)
    found = _of_used(daily, rule, width, used) if used.any() else _Found(None, "unknown")
    if len(own) == 1 and (alone := own[0].peak) is not None and (found.peak is None or alone > found.peak):
        return _alone(history, own[0], daily, width)
    standing = [peak for peak, gone in zip(own, _closed(history), strict=True) if not gone]
    if found.peak is None and any(peak.basis == "norm" for peak in standing):
        # too little is reported beside what is declared: every location's own peak, most of them by their norm
        added, low = _sum_of_peaks(standing), _lower_bound(daily, width)
        return _Found(low, "lower_bound") if added.peak is None or low > added.peak else added
    return found


def _of_used(daily: _Daily, rule: Method, width: int, used: Mask) -> _Found:
    """Read the method's statistic from the windows (or days) that enough of the scope reported in."""
    sums, scale = rolling(daily.filled, width), daily.scale * width
    if rule.statistic != "max":
        return _Found(_statistic(sums[used].tolist(), scale, rule), "history")
    (top,), (at,) = latest_max(np.where(used, sums, -1)[None])
    (low,), (low_at,) = latest_max(rolling(daily.reported, width)[None])
    if top >= low:
        return _Found(Fraction(top, scale), "history", at, tuple(daily.filled[at : at + width].tolist()))
    return _Found(Fraction(low, scale), "lower_bound", low_at, tuple(daily.reported[low_at : low_at + width].tolist()))


def _alone(history: History, own: LocationPeak, daily: _Daily, width: int) -> _Found:
    """A scope of one location whose own peak says more than its days do: a norm, or reports too sparse for a window."""
    if own.basis == "norm" or own.window_to is None:
        return _Found(own.peak, own.basis)
    at = own.window_to + history.padding - width + 1
    days = daily.reported if own.basis == "lower_bound" else daily.filled
    return _Found(own.peak, own.basis, at, tuple(days[at : at + width].tolist()))


def _sum_of_peaks(own: Sequence[LocationPeak]) -> _Found:
    peaks = [peak.peak for peak in own if peak.peak is not None]
    if not peaks:
        return _Found(None, "unknown")
    bases = {peak.basis for peak in own}
    basis: Basis = "lower_bound" if "lower_bound" in bases else "norm" if "norm" in bases else "history"
    return _Found(sum(peaks, Fraction(0)), basis)


def _lower_bound(daily: _Daily, width: int) -> Fraction:
    return Fraction(int(rolling(daily.reported, width).max()), daily.scale * width)


def _closed(history: History) -> list[bool]:
    """Locations that were active in the look-back and no longer are."""
    closed: list[bool] = (~history.active[:, -1]).tolist()
    return closed


def _unknown(history: History, own: Sequence[LocationPeak]) -> tuple[int, ...]:
    pairs = zip(own, _closed(history), strict=True)
    return tuple(row for row, (peak, closed) in enumerate(pairs) if peak.peak is None and not closed)


def _last_reported(history: History) -> tuple[int | None, ...]:
    days = np.arange(history.reported.shape[1]) - history.padding
    last: list[int] = np.where(history.reported, days, -1).max(axis=1, initial=-1).tolist()
    return tuple(day if day >= 0 else None for day in last)
