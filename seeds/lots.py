"""The lots of an item: some long used up, some expired on the shelf, and those that make today's days of coverage.

What lies there today is made to last the days its story asks for, at the peak that was really reported: the near lots
are set, and long-dated ones make up the rest (more stock without expiry adds exactly its own days).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil

from forecasting.depletion import cover
from seeds.catalogue import Item
from seeds.chance import Chance
from seeds.norms import Norm

DELIVERIES = (400, 330, 270, 215, 160, 110, 65, 30, 9)
"""Days before `as_of` on which goods arrive; the first are the opening balances."""
_EXPIRED: dict[str, tuple[int, float]] = {
    "MEDICAL-MASK": (21, 1.1),
    "EXAM-GLOVES": (6, 0.4),
    "ALCOHOL-75": (33, 0.8),
    "BLEACH": (12, 1.4),
    "ANTIGEN-TEST": (18, 0.9),
    "SYRINGE": (45, 0.5),
}
"""Since how many days a forgotten lot has been expired, and the days of peak use it would have met."""
_NEAR: dict[str, tuple[tuple[int, float], ...]] = {
    "below_by_expiry": ((12, 22.0),),
    "just_above": ((9, 3.0), (26, 8.5)),
    "just_below": ((16, 5.0),),
    "red": ((8, 2.5),),
}
"""Lots that end soon, of a story: their life, and the days of peak use they hold."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A lot and its fate: `quantity` units lie there on `as_of`; with `used_up_by` it was issued to the last unit."""

    lot_number: str
    manufactured_on: date
    expires_on: date | None
    arrives_on: date
    quantity: int
    near: bool = False
    donated: bool = False
    used_up_by: date | None = None


@dataclass(frozen=True, slots=True)
class _Sketch:
    """A batch before it has dates: ages and lives are days, seen from `as_of`."""

    age: int
    life: int | None
    quantity: int
    near: bool = False
    donated: bool = False
    used_up_before: int | None = None


def unit(item: Item, peak: Fraction) -> int:
    """Units that lie together: the smallest pack where a day takes many of it, otherwise one."""
    smallest = min((pack.units_per_pack for pack in item.packs), default=1)
    return smallest if smallest * 40 <= peak else 1


def batches(seed: int, item: Item, norm: Norm, peak: Fraction, as_of: date) -> list[Batch]:
    """Lay out all lots of an item that came in the 400 days before `as_of`, soonest expiry first."""
    chance = Chance(seed, "lots", item.code)
    step = unit(item, peak)
    near = list(_near(item, norm, peak, step, chance))
    sketches = [*_used_up(item, norm, chance), *_expired(item, peak, step), *near]
    sketches += _far(item, norm, peak, step, chance, near)
    return [_batch(sketch, index, as_of) for index, sketch in enumerate(sorted(sketches, key=_soonest))]


def _soonest(sketch: _Sketch) -> tuple[bool, int, int]:
    return sketch.life is None, sketch.life or 0, sketch.quantity


def _batch(sketch: _Sketch, index: int, as_of: date) -> Batch:
    manufactured_on = as_of - timedelta(days=sketch.age)
    arrives = next((days for days in DELIVERIES if days + 20 <= sketch.age), DELIVERIES[-1])
    used_up = sketch.used_up_before
    return Batch(
        lot_number=f"{manufactured_on:%y%m%d}{chr(ord('A') + index)}",
        manufactured_on=manufactured_on,
        expires_on=None if sketch.life is None else as_of + timedelta(days=sketch.life - 1),
        arrives_on=as_of - timedelta(days=arrives),
        quantity=sketch.quantity,
        near=sketch.near,
        donated=sketch.donated,
        used_up_by=None if used_up is None else as_of - timedelta(days=used_up),
    )


def _used_up(item: Item, norm: Norm, chance: Chance) -> Iterator[_Sketch]:
    """Yield what the issues of the past took, each lot to its end before it expired: first expired, first out."""
    if item.shelf_life_days is None or norm.story == "no_use":
        return
    for earliest, latest in ((262, 235), (145, 112), (4, 1)):
        ended = chance.between(latest, earliest)
        yield _Sketch(item.shelf_life_days + ended, 1 - ended, 0, used_up_before=ended + 12)


def _expired(item: Item, peak: Fraction, step: int) -> Iterator[_Sketch]:
    if item.code in _EXPIRED and item.shelf_life_days is not None:
        since, days = _EXPIRED[item.code]
        yield _Sketch(item.shelf_life_days + since, 1 - since, _round(days * peak, step), near=True)


def _near(item: Item, norm: Norm, peak: Fraction, step: int, chance: Chance) -> Iterator[_Sketch]:
    """Yield lots that end within months; only where the story says so are they more than can be used in time."""
    if item.shelf_life_days is None:
        return
    lots = _NEAR.get(norm.story)
    if lots is None:
        days = norm.days or 60
        soon, later = chance.between(17, 40), chance.between(42, ceil(days) + 28)
        most = 0.15 * days
        lots = tuple((life, min(most, life * (0.15 + 0.2 * chance.share()))) for life in (soon, later))
    for life, held in lots:
        yield _Sketch(item.shelf_life_days - life + 1, life, _round(held * peak, step), near=True)


def _far(item: Item, norm: Norm, peak: Fraction, step: int, chance: Chance, near: list[_Sketch]) -> Iterator[_Sketch]:
    """Yield the long-dated lots that bring the days of coverage to those of the story."""
    days = Fraction(str(norm.days or 60))
    soon = cover([(lot.quantity, lot.life) for lot in near], peak, days)
    left = _round(peak * (days - (soon.days or 0)), step)
    ages = list(_ages(item, days, chance))
    for index, age in enumerate(ages):
        last = index == len(ages) - 1
        donated = 0 < index < len(ages) - 1 and item.category == "protective" and chance.share() < 0.5
        part = left if last else _round(left * (0.3 + 0.3 * chance.share()) * (0.3 if donated else 1), step)
        life = None if item.shelf_life_days is None else item.shelf_life_days - age + 1
        yield _Sketch(age, life, part, donated=donated)
        left -= part


def _ages(item: Item, days: Fraction, chance: Chance) -> Iterator[int]:
    """Yield ages, no two alike, that outlive the days of coverage; equipment has been there from the beginning."""
    if item.shelf_life_days is None:
        yield from (chance.between(430, 900), chance.between(180, 320), chance.between(40, 120))
        return
    oldest = min(390, item.shelf_life_days - ceil(days) - 30)
    bounds = [29 + (oldest - 29) * part // 4 for part in range(5)]
    yield from (chance.between(low, high - 1) for low, high in pairwise(bounds))


def _round(units: Fraction | float, step: int) -> int:
    return round(units / step) * step
