"""What every reporter of the demonstration city says it used, day by day, and the days on which it said nothing."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from seeds.catalogue import ITEMS, Category
from seeds.chance import Chance, words
from seeds.norms import NORMS, Norm
from seeds.outbreak import waves
from seeds.places import CITY, REPORTERS, Kind, Place

DAYS = 400
SILENT_COUNTY = "371427"
"""A county that sent nothing for one week, in the past."""
SILENT_WEEK_BEFORE = 120
SILENT_LATELY = "371424-S1"
"""A reporter that has sent nothing for three days."""
CLOSED_AT_WEEKENDS = ("371423-S1", "371426-S1", "371428-S1")
"""Stations that report zeros on Saturdays and Sundays."""

_WEEK: dict[Kind, tuple[float, ...]] = {
    "hospital": (1.16, 1.10, 1.06, 1.04, 1.02, 0.86, 0.76),
    "station": (1.30, 1.16, 1.10, 1.08, 1.06, 0.80, 0.50),
    "cdc": (1.25, 1.20, 1.18, 1.15, 1.12, 0.65, 0.45),
}
"""Use of a day by the ordinary day's, from Monday to Sunday."""
_TAKES: dict[Kind, dict[Category, float]] = {
    "hospital": {},
    "station": {"testing": 0.6, "treatment": 0.5, "monitoring": 0.3, "other": 0.4},
    "cdc": {"protective": 0.8, "testing": 5.0, "treatment": 0.0, "monitoring": 0.1, "other": 0.2},
}
"""What a kind of reporter uses of a category for its size, where that is not 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Consumption:
    """Reported use: `values[item, reporter, day]` in units, to be read only where `reported` says so."""

    items: tuple[str, ...]
    reporters: tuple[str, ...]
    first_day: date
    values: NDArray[np.int32]
    reported: NDArray[np.bool_]


def consumption(seed: int, as_of: date) -> Consumption:
    """Report the 400 days before `as_of`, for each item and reporter from a stream of its own."""
    first_day = as_of - timedelta(days=DAYS)
    bits = np.stack(
        [
            np.stack(
                [words(seed, "use", place.code, norm.item, count=4 * DAYS).reshape(DAYS, 4) for place in REPORTERS]
            )
            for norm in NORMS
        ]
    )
    reported = np.broadcast_to(_sent(seed), (len(NORMS), len(REPORTERS), DAYS)).copy()
    reported[[norm.story == "no_reports" for norm in NORMS]] = False
    shapes = np.array([norm.shape for norm in NORMS])[:, None, None]
    values = np.where(reported, _counts(bits, _means(seed, first_day), shapes), 0)
    return Consumption(
        items=tuple(norm.item for norm in NORMS),
        reporters=tuple(place.code for place in REPORTERS),
        first_day=first_day,
        values=values.astype(np.int32),
        reported=reported,
    )


def _means(seed: int, first_day: date) -> NDArray[np.float64]:
    """Units expected of each item, reporter and day."""
    wave = waves(seed, DAYS)
    heights = np.stack([wave[place.parent or CITY] for place in REPORTERS])
    weekdays = (first_day.weekday() + np.arange(DAYS)) % 7
    week = np.stack([_week(place)[weekdays] for place in REPORTERS])
    ordinary = np.array([[_ordinary(norm, place, kind) for place in REPORTERS] for norm, kind in _kinds()])
    surges = np.array([norm.surge for norm in NORMS])[:, None, None]
    means: NDArray[np.float64] = ordinary[:, :, None] * week * (1 + (surges - 1) * heights)
    return means


def _kinds() -> list[tuple[Norm, Category]]:
    return [(norm, item.category) for norm, item in zip(NORMS, ITEMS, strict=True)]


def _ordinary(norm: Norm, place: Place, category: Category) -> float:
    return norm.per_day * place.weight * _TAKES[place.kind].get(category, 1.0)


def _week(place: Place) -> NDArray[np.float64]:
    week = _WEEK[place.kind]
    return np.array((*week[:5], 0.0, 0.0) if place.code in CLOSED_AT_WEEKENDS else week)


def _sent(seed: int) -> NDArray[np.bool_]:
    """Say on which days each reporter sent its sheet: all items or none."""
    sent = np.stack([_mostly(Chance(seed, "silence", place.code)) for place in REPORTERS])
    county = [place.parent == SILENT_COUNTY for place in REPORTERS]
    sent[county, DAYS - SILENT_WEEK_BEFORE : DAYS - SILENT_WEEK_BEFORE + 7] = False
    sent[[place.code == SILENT_LATELY for place in REPORTERS], -3:] = False
    return sent


def _mostly(chance: Chance) -> NDArray[np.bool_]:
    missing = 0.005 + 0.06 * chance.share()
    return np.array([chance.share() >= missing for _ in range(DAYS)])


def _counts(bits: NDArray[np.uint64], means: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw whole numbers with these means and a variance of mean + mean^2 / shape, nearly: like a negative binomial.

    Twelve uniforms make a normal, its cube a gamma (Wilson and Hilferty 1931), and a thirteenth rounds it so that the
    mean stays. Nothing but integer sums, products and a square root: the same on every machine.
    """
    uniforms = bits.astype("<u8").view("<u2").reshape(*bits.shape[:-1], 16)
    normal = (uniforms[..., :12].sum(axis=-1, dtype=np.int64) - 6 * 65535) / 65536
    ninth = np.minimum(1.0, 1 / shapes + 1 / np.maximum(means, 1e-9)) / 9
    root = np.maximum(1 - ninth + normal * np.sqrt(ninth), 0.0)
    counts: NDArray[np.int64] = np.floor(means * root * root * root + uniforms[..., 12] / 65536).astype(np.int64)
    return counts
