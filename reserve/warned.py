"""How breaks of the rule were announced, from the kept trend: was each warned of in time, did each warning come true.

A break is the first day on which a rule is broken (orange or red) after a day on which none was. A warning is the
first day of a run of days that are blue or worse while the rule still holds. Days that cannot be judged count as none.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlmodel import Session

from reserve import figures, policy
from reserve.catalogue import ItemRow, Place
from reserve.coverage import COVERAGE_DAY, Board
from reserve.explain import Sentence
from reserve.levels import SEVERITY
from reserve.model import Level, PolicyKind


class Day(NamedTuple):
    """A judged day of the trend: whether the rule held, and whether a warning stood."""

    day: date
    broken: bool
    warned: bool


class Score(NamedTuple):
    """`open` warnings have time left to come true and are not among the `warnings`."""

    breaks: int
    announced: int
    warnings: int
    came_true: int
    open: int

    @property
    def told(self) -> dict[str, Any]:
        return {**self._asdict(), "words": words(self)._asdict()}


NOTHING = Score(0, 0, 0, 0, 0)


def of_item(session: Session, world: Board, item: ItemRow, scope: Place, *, first: date, last: date) -> Score:
    """The warnings of one row from `first` to `last`, by the lead time and look-ahead of the policy in force today."""
    applying = policy.applying(world.policies, item, scope, dict(world.places))
    ruling = max((p for p in applying if p.kind == PolicyKind.DAYS), key=lambda p: p.required_days or 0, default=None)
    lead = policy.DEFAULT_LEAD_TIME_DAYS if ruling is None else ruling.lead_time_days
    ahead = figures.DEFAULT_LOOK_AHEAD_DAYS if ruling is None else ruling.looks_ahead
    return score(_kept(session, item, scope, first, last), lead_time_days=lead, look_ahead_days=ahead)


def score(days: Sequence[Day], *, lead_time_days: int, look_ahead_days: int) -> Score:
    """Count breaks and warnings of one row.

    A break is announced when a warning stood on a day that lay at least the lead time before it, and no further than
    the look-ahead (or the lead time, where that is longer), while the rule held.
    A warning came true when a break followed within the look-ahead.
    """
    pairs = list(pairwise(days))
    breaks = [now.day for before, now in pairs if now.broken and not before.broken]
    warned = [d.day for d in days if d.warned]
    begun = [days[0].day] if days and days[0].warned else []
    begun += [now.day for before, now in pairs if now.warned and not before.warned]
    reach = max(lead_time_days, look_ahead_days)
    announced = sum(any(lead_time_days <= (broken - day).days <= reach for day in warned) for broken in breaks)
    true = {day for day in begun if any(0 < (broken - day).days <= look_ahead_days for broken in breaks)}
    end = days[-1].day if days else date.min
    waiting = sum(day not in true and end < day + timedelta(days=look_ahead_days) for day in begun)
    return Score(len(breaks), announced, len(begun) - waiting, len(true), waiting)


def total(scores: Iterable[Score]) -> Score:
    return Score(*(sum(numbers) for numbers in zip(NOTHING, *scores, strict=True)))


def words(found: Score) -> Sentence:
    zh, en = "此期间没有跌破", "no break in this time"
    if found.breaks:
        zh = f"跌破 {found.breaks} 次，其中 {found.announced} 次提前预警"
        en = f"{found.announced} of {found.breaks} breaks announced in time"
    if found.warnings:
        zh += f"；预警 {found.warnings} 次，应验 {found.came_true} 次"
        en += f"; {found.came_true} of {found.warnings} warnings came true"
    return Sentence(zh, en)


def _kept(session: Session, item: ItemRow, scope: Place, first: date, last: date) -> list[Day]:
    asked = {"scope": scope.id, "item": item.id, "first": first, "last": last}
    rows = session.connection().execute(_DAYS, asked)
    return [_day(day, Level(level)) for day, level in rows if level != Level.UNKNOWN]


def _day(day: date, level: Level) -> Day:
    """By the level alone: orange and red are a rule that is broken, whatever it counts in and of whichever part."""
    broken = SEVERITY[level] >= SEVERITY[Level.ORANGE]
    return Day(day, broken, not broken and level != Level.NORMAL)


_DAYS = (
    select(COVERAGE_DAY.c.day, COVERAGE_DAY.c.level)
    .where(
        COVERAGE_DAY.c.scope_id == bindparam("scope"),
        COVERAGE_DAY.c.item_id == bindparam("item"),
        COVERAGE_DAY.c.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(COVERAGE_DAY.c.day)
)
