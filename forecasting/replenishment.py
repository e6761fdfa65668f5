"""What to order so that the rule still holds when the next order could arrive, and by which day.

Reading order: `need_days` (how many days are missing, in nearly every future?), `order` (units, packs, minimum),
`expiry_cap` (how much of it can be used in time?), `order_by` (until when?), and `replenish`, which asks all four.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor, isfinite
from operator import index
from typing import Literal, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from forecasting.depletion import Lot, cover

Rational = Fraction | int | float
LeadTime = int | tuple[int, int]
"""Whole days from order to arrival; or the least and the most, of which the most is planned with."""
Reason = Literal["enough", "no_use", "life_too_short", "rule", "supplier_minimum"]
"""Why this much is ordered: nothing is missing; nothing is used; what arrives would expire too soon to keep the rule
until the next review; the rule asks for it; the supplier sells no less."""

_LARGEST = 10**18
_DAYS_MAX = 36_600
_GRID = 10**9


class Order(NamedTuple):
    """What to order, in units; `at_risk` of them are expected to expire unless they are rotated."""

    units: int
    packs: int
    at_risk: int


class OrderBy(NamedTuple):
    """The last day on which an order arrives before the rule is broken, in days from day 0.

    Attributes
    ----------
    day : int, days
        Negative when it has passed.
    days_late : int, days
        0 while there is time.
    gap : tuple of int, or None
        First and last day below the rule even if the order goes out today; None while there is time.
    """

    day: int
    days_late: int
    gap: tuple[int, int] | None


class Supply(NamedTuple):
    """How an item is bought: days from order to arrival, days to the next review, units of a pack and of an order.

    `life_on_arrival_days` are the days on which what arrives may still be issued, that of its arrival included (None:
    no expiry).
    """

    lead_time_days: LeadTime
    review_days: int
    pack: int = 1
    minimum: int = 0
    life_on_arrival_days: int | None = None


class Replenishment(NamedTuple):
    """What to order, why, and by when.

    Attributes
    ----------
    order : Order
    reason : Reason
    need_days : Fraction, days
        Coverage missing at the end of lead time and review; zero or less when nothing is.
    cap : int or None, units
        What can be used before it expires; None where nothing expires.
    order_by : OrderBy or None
        None when the rule is not seen to be broken.
    """

    order: Order
    reason: Reason
    need_days: Fraction
    cap: int | None
    order_by: OrderBy | None


def need_days(required_days: Rational, coverage_at_end: ArrayLike, service_level: float = 0.95) -> Fraction:
    """Days of coverage missing at the end of lead time and review in all but the worst futures.

    Parameters
    ----------
    required_days : Fraction, int or float, days
    coverage_at_end : array_like of shape (S,), days
        Coverage at the peak at the start of day `lead_time_days + review_days` of each path, with what is on order
        arriving. One number where there is no forecast.
    service_level : float
        Share of the paths in which the rule is to hold then: above 0, at most 1.

    Returns
    -------
    Fraction, days
        The ceil(service_level x S)-th smallest need; zero or less when nothing is missing. Simulated days are read to
        1e-9, as the rule reads them.

    Raises
    ------
    ValueError
        If the coverage is empty, not finite or not one row, required days are negative, or the service level is not a
        share above 0.

    Examples
    --------
    >>> need_days(30, [31, 33, 28, 25.5, 30, 29, 27, 32, 26, 34], service_level=0.9)
    Fraction(4, 1)
    """
    required = _rational("required_days", required_days)
    try:
        coverage = np.atleast_1d(np.asarray(coverage_at_end, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        coverage = np.array([np.nan])
    if coverage.ndim != 1 or not coverage.size or not (np.abs(coverage) <= _LARGEST).all():
        raise ValueError("coverage_at_end must be one row of days, one number for each path.")
    if not 0 < _rational("service_level", service_level) <= 1:
        raise ValueError("service_level must be a share above 0 and at most 1.")
    # 0.95 x 1,000 is 950.0000000000001 in floats and must not become the 951st.
    rank = max(1, ceil(_read(service_level) * len(coverage)))
    # The rank-th smallest need belongs to the rank-th largest coverage from the top.
    return required - _read(float(np.sort(coverage)[len(coverage) - rank]))


def order(need_days: Rational, peak: Rational, pack: int = 1, minimum: int = 0, cap: int | None = None) -> Order:
    """Units to order: the days that are missing at the peak, no less than the supplier sells, in whole packs.

    Parameters
    ----------
    need_days : Fraction, int or float, days
        From `need_days`; zero or less orders nothing, not even the minimum.
    peak : Fraction, int or float, units/day
        At a peak of zero nothing is required and nothing ordered. A float is rounded up to 1e-6.
    pack : int, units
        At least 1.
    minimum : int, units
        What the supplier sells at least.
    cap : int, optional, units
        From `expiry_cap`. The rule comes before it: the order stands, and what exceeds the cap is said to be at risk.

    Returns
    -------
    Order

    Raises
    ------
    ValueError
        If a number is negative (but for the need), not finite or above 10^18.

    Examples
    --------
    >>> order(12.4, 3500, pack=400, cap=40_000)
    Order(units=43600, packs=109, at_risk=3600)
    """
    need, c = _rational("need_days", need_days, signed=True), _peak(peak)
    each, least = _whole("pack", pack, least=1), _whole("minimum", minimum)
    most = None if cap is None else _whole("cap", cap)
    if need <= 0 or c == 0:
        return Order(0, 0, 0)
    packs = -(-max(ceil(c * need), least) // each)
    units = packs * each
    return Order(units, packs, 0 if most is None else max(0, units - most))


def expiry_cap(
    lots: Sequence[Lot],
    rate: Rational,
    on_order: int,
    lead_time_days: LeadTime,
    life_on_arrival_days: int | None,
) -> int | None:
    """Units that can be ordered today and used before they expire, at the expected rate of use.

    Until the order expires rate x (lead time + life on arrival) units are used; what is there and will not expire
    first, and what is on order already, is used before it.

    Parameters
    ----------
    lots : sequence of (units, days)
        What is on hand, as in `forecasting.depletion.Lot`.
    rate : Fraction, int or float, units/day
        Expected use; zero leaves room for nothing.
    on_order : int, units
    lead_time_days : int, or (int, int), days
    life_on_arrival_days : int or None, days
        None: no expiry.

    Returns
    -------
    int, units, or None where what arrives does not expire

    Raises
    ------
    ValueError
        If a number is negative, not finite, not whole where it must be, or above 10^18.

    Examples
    --------
    Ten a day for 30 + 180 days, of which 500 are on hand and 300 on order:

    >>> expiry_cap([(500, None)], 10, 300, 30, 180)
    1300
    """
    pace, coming = _rational("rate", rate), _whole("on_order", on_order)
    lead = _longest(lead_time_days)
    if life_on_arrival_days is None:
        return None
    life = _whole("life_on_arrival_days", life_on_arrival_days, most=_DAYS_MAX)
    if pace == 0:
        return 0
    there = cover(lots, pace, 0)
    return max(0, floor(pace * (lead + life) - (there.usable - there.wasted) - coming))


def order_by(falls_below_day: int | None, lead_time_days: LeadTime) -> OrderBy | None:
    """Last day to order: what is ordered then arrives on the morning of the day the rule would be broken.

    Parameters
    ----------
    falls_below_day : int or None, days from day 0
        First day below the rule, on the early path; at the peak where there is no forecast. None: not seen.
    lead_time_days : int, or (int, int), days

    Returns
    -------
    OrderBy or None

    Raises
    ------
    ValueError
        If a day is negative, not whole or beyond a hundred years.

    Examples
    --------
    >>> order_by(20, 14)
    OrderBy(day=6, days_late=0, gap=None)
    >>> order_by(5, (7, 14))
    OrderBy(day=-9, days_late=9, gap=(5, 13))
    """
    lead = _longest(lead_time_days)
    if falls_below_day is None:
        return None
    below = _whole("falls_below_day", falls_below_day)
    day = below - lead
    return OrderBy(day, max(0, -day), (below, lead - 1) if day < 0 else None)


def lives_long_enough(life_on_arrival_days: int | None, required_days: Rational, review_days: int) -> bool:
    """Whether what arrives can still keep the rule at the next review: life on arrival >= required + review days.

    Parameters
    ----------
    life_on_arrival_days : int or None, days
        None: no expiry.
    required_days : Fraction, int or float, days
    review_days : int, days

    Raises
    ------
    ValueError
        If a number is negative, not finite, or not whole where it must be.

    Examples
    --------
    >>> lives_long_enough(60, 30, 30), lives_long_enough(59, 30, 30), lives_long_enough(None, 30, 30)
    (True, False, True)
    """
    needed = _rational("required_days", required_days) + _whole("review_days", review_days, most=_DAYS_MAX)
    if life_on_arrival_days is None:
        return True
    return _whole("life_on_arrival_days", life_on_arrival_days, most=_DAYS_MAX) >= needed


def replenish(
    lots: Sequence[Lot],
    supply: Supply,
    *,
    peak: Rational,
    required_days: Rational,
    coverage_at_end: ArrayLike,
    rate: Rational,
    falls_below_day: int | None,
    on_order: int = 0,
    service_level: float = 0.95,
) -> Replenishment:
    """What to order, why, and by when.

    Parameters
    ----------
    lots : sequence of (units, days)
        What is on hand.
    supply : Supply
    peak : Fraction, int or float, units/day
    required_days : Fraction, int or float, days
    coverage_at_end : array_like of shape (S,), days
        As in `need_days`.
    rate : Fraction, int or float, units/day
        Expected use.
    falls_below_day : int or None, days from day 0
    on_order : int, units
    service_level : float

    Returns
    -------
    Replenishment
        Nothing is ordered, for the reason `life_too_short`, where what arrives would not keep the rule until the next
        review.

    Raises
    ------
    ValueError
        As the functions above.

    Examples
    --------
    >>> masks = Supply(lead_time_days=14, review_days=7, pack=400, life_on_arrival_days=720)
    >>> replenish([(70_000, None)], masks, peak=3500, required_days=30, coverage_at_end=[17.6], rate=1200,
    ...           falls_below_day=0).order
    Order(units=43600, packs=109, at_risk=0)
    """
    need = need_days(required_days, coverage_at_end, service_level)
    cap = expiry_cap(lots, rate, on_order, supply.lead_time_days, supply.life_on_arrival_days)
    wanted = order(need, peak, supply.pack, supply.minimum, cap)
    reason: Reason = "rule"
    if need <= 0:
        reason = "enough"
    elif not wanted.units:
        reason = "no_use"
    elif not lives_long_enough(supply.life_on_arrival_days, required_days, supply.review_days):
        wanted, reason = Order(0, 0, 0), "life_too_short"
    elif ceil(_peak(peak) * need) < supply.minimum:
        reason = "supplier_minimum"
    return Replenishment(wanted, reason, need, cap, order_by(falls_below_day, supply.lead_time_days))


def _read(value: Rational) -> Fraction:
    """Simulated numbers are read to 1e-9: 12.4 is 62/5 and not the binary fraction beside it."""
    if isinstance(value, float):
        return Fraction(value).limit_denominator(_GRID)
    # A numpy integer inside a Fraction would overflow.
    return Fraction(int(value.numerator), int(value.denominator))


def _rational(name: str, value: Rational, *, signed: bool = False) -> Fraction:
    try:
        number = _read(float(value) if isinstance(value, np.floating) else value) if isfinite(value) else None
    except (TypeError, ValueError, OverflowError, AttributeError):
        number = None
    if number is None or not (-_LARGEST if signed else 0) <= number <= _LARGEST:
        raise ValueError(f"{name} must be a number {'' if signed else 'from 0 '}to 10^18.")
    return number


def _peak(peak: Rational) -> Fraction:
    c = _rational("peak", peak)
    return Fraction(ceil(c * 10**6), 10**6) if isinstance(peak, float) else c


def _whole(name: str, value: SupportsIndex, *, least: int = 0, most: int = _LARGEST) -> int:
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most:,}.")
    return number


def _longest(lead_time_days: LeadTime) -> int:
    """Upper end of a lead time."""
    ends = lead_time_days if isinstance(lead_time_days, tuple) else (lead_time_days, lead_time_days)
    if len(ends) != 2:
        raise ValueError("lead_time_days must be whole days, or the least and the most.")
    least, most = (_whole("lead_time_days", end, most=_DAYS_MAX) for end in ends)
    if least > most:
        raise ValueError("lead_time_days must give the least before the most.")
    return most
