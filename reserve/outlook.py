"""What is likely to come of an item in a scope: its use forecast from its history, and stock along it. Pure.

The history is that of the scope without holes (each place's missing days filled from its own weekdays), the sum of the
next 30 days a negative binomial by moments, the days drawn as paths. The same question draws the same paths.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from hashlib import sha256
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import demand, paths
from forecasting.demand import Moments, Pattern
from reserve.consumption import History
from reserve.policy import MAX_LOOK_AHEAD_DAYS

BLOCK_DAYS = 30
"""The days whose sum is forecast; a longer horizon is made of several."""
PATHS = 1000
HISTORY_DAYS = 365
RECENT_DAYS = 91
MOST_FILLED = 0.3
FEWEST_DAYS = 28
FEW_REPORTS = 28

USABLE_AT = (0.05, 0.25, 0.5, 0.75, 0.95)
DATES_AT = (0.05, 0.5, 0.95)
USE_AT = (0.5, 0.75, 0.9, 0.95, 0.99)

Floats = NDArray[np.float64]
Arrival = tuple[int, int, int | None]
"""Units, day and life, counted from day 0."""


class Use(NamedTuple):
    """The use of a scope as it is forecast from: daily, without holes, oldest day first."""

    first: date
    values: Floats
    """(T,) units a day."""
    filled: Floats
    """(T,) units of them that are estimates."""
    share_filled: float
    """Of the last 91 days."""
    usable_days: int
    moments: Moments
    pattern: Pattern
    window_days: int

    @property
    def mean(self) -> float:
        """Units expected in the next 30 days."""
        return float(self.moments.mean[0])

    @property
    def variance(self) -> float:
        return float(self.moments.variance[0])

    def quantiles(self, p: Sequence[float] = USE_AT) -> dict[float, int]:
        """Units used in the next 30 days that are not exceeded with each probability."""
        found = demand.quantiles([self.mean], [self.variance], p)[0]
        return {share: int(units) for share, units in zip(p, found, strict=True)}


class Ahead(NamedTuple):
    """Stock along the paths: shape (S, H + 1), at the start of days 0..H."""

    use: Use
    seed: int
    demand: Floats
    lots: tuple[Floats, Floats]
    arrivals: tuple[Arrival, ...]

    def along(self, rate: Fraction, days: int) -> paths.Projection:
        """What is on hand and covers, day by day, with coverage counted at `rate`."""
        quantity, life = self.lots
        return paths.project(quantity, life, self.demand[:, :days], peak=rate or None, arrivals=list(self.arrivals))

    def falls_below(self, rate: Fraction, required: Fraction, look_ahead_days: int) -> paths.FirstBelow | None:
        """When it falls below so many days at that rate; None at a rate of zero."""
        coverage = self.along(rate, look_ahead_days).coverage
        return None if coverage is None else paths.first_below(coverage, required, DATES_AT)

    def falls_below_units(self, quantity: int, look_ahead_days: int) -> paths.FirstBelow:
        """When less than so many units are left."""
        return paths.first_below(self.along(Fraction(0), look_ahead_days).on_hand, quantity, DATES_AT)

    def use_of_days(self, days: int, p: Sequence[float]) -> tuple[float, dict[float, int]]:
        """Mean and quantiles over the paths of what is used in the first days, known changes counted in."""
        used = np.sort(self.demand[:, :days].sum(axis=1))
        return float(used.mean()), {share: int(used[max(0, ceil(share * len(used)) - 1)]) for share in p}


class Unforeseen(NamedTuple):
    """Why nothing can be forecast: `few_days`, `many_gaps`, `no_reports` or `too_large`; and the figures of it."""

    reason: str
    share_filled: float
    usable_days: int


def use_of(history: History, as_of: date) -> Use | Unforeseen:
    """The use of a scope as its history shows it up to the day before `as_of`."""
    past = _recent(history)
    if past is None:
        return Unforeseen("no_reports", 1.0, 0)
    values, estimated, shares = _without_holes(past)
    if values.max() > demand.LARGEST:
        return Unforeseen("too_large", 0.0, 0)
    usable = int((shares <= MOST_FILLED).sum())
    recent = float(shares[-RECENT_DAYS:].mean())
    if usable < FEWEST_DAYS:
        return Unforeseen("few_days", recent, usable)
    if recent > MOST_FILLED:
        return Unforeseen("many_gaps", recent, usable)
    window = demand.window_for(len(values))
    found = demand.moments(values, BLOCK_DAYS, window)
    first = as_of - timedelta(days=len(values))
    shape = demand.pattern(
        values, float(found.mean[0]), float(found.variance[0]), window=window, first_weekday=first.weekday()
    )
    return Use(first, values, estimated, recent, usable, found, shape, min(window, len(values)))


def ahead(
    use: Use,
    lots: Sequence[tuple[int, int | None]],
    *,
    as_of: date,
    question: str,
    days: int,
    arrivals: Sequence[Arrival] = (),
    factor: Floats | None = None,
) -> Ahead:
    """Paths of use over `days` days (1 to 90) from `as_of` on, and the stock that meets them.

    `question` names what is asked about, so that the same question gets the same paths; `factor` (units 1, one a day)
    holds what is known of the days to come.
    """
    if not 1 <= days <= MAX_LOOK_AHEAD_DAYS:
        raise ValueError(f"days must be 1 to {MAX_LOOK_AHEAD_DAYS}: use is forecast no further")
    seed = int.from_bytes(sha256(f"{question} {as_of}".encode()).digest()[:8])
    whole = -(-days // BLOCK_DAYS) * BLOCK_DAYS  # whole blocks, so that a shorter question sees the same days
    times = None
    if factor is not None:
        times = np.concatenate([factor[:whole], np.ones(max(0, whole - len(factor)))])
    drawn = demand.paths(
        use.mean,
        use.variance,
        use.pattern,
        whole,
        np.random.default_rng(seed),
        count=PATHS,
        block=BLOCK_DAYS,
        first_weekday=as_of.weekday(),
        factor=times,
    )
    quantity = np.array([units for units, _ in lots], dtype=np.float64)
    life = np.array([np.inf if days is None else days for _, days in lots], dtype=np.float64)
    # a slip of the unit times a campaign may draw more in a day than stock is followed along
    return Ahead(use, seed, np.minimum(drawn, paths.MOST, out=drawn), (quantity, life), tuple(arrivals))


# -- the history ------------------------------------------------------------------------------------------------------


def _recent(history: History) -> History | None:
    """The last year, from the first day on which anybody reported; None where nobody did."""
    seen = (history.reported[:, -HISTORY_DAYS:]).any(axis=0)
    if not seen.any():
        return None
    start = max(0, history.values.shape[1] - HISTORY_DAYS) + int(seen.argmax())
    return history._replace(
        first=history.day(start),
        values=history.values[:, start:],
        reported=history.reported[:, start:],
        censored=history.censored[:, start:],
        active=history.active[:, start:],
    )


def _without_holes(history: History) -> tuple[Floats, Floats, Floats]:
    """Units a day of all places together, those of them that are estimates, and the share of the day's use these are.

    A day's share weighs each place by what it uses: one clinic in thirty that is silent leaves a day usable.
    """
    made = demand.fill(
        history.values, history.reported & history.active, history.censored, active=history.active, season=7
    )
    values, filled = made.values.copy(), made.filled
    for n, norm in enumerate(history.declared):
        if norm and int((history.reported[n] & history.active[n]).sum()) < FEW_REPORTS:
            values[n, filled[n]] = float(norm)
    typical = np.array(
        [row[live].mean() if live.any() else 0.0 for row, live in zip(values, history.active, strict=True)]
    )
    weights = (typical if typical.any() else np.ones(len(typical)))[:, None]
    weighed = (weights * history.active).sum(axis=0)
    share = np.divide((weights * filled).sum(axis=0), weighed, out=np.ones(len(weighed)), where=weighed > 0)
    return values.sum(axis=0), (values * filled).sum(axis=0), share
