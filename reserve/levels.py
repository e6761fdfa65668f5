"""The level of a row (蓝黄橙红), without memory, and the level of its alert, with it. Pure; `maths.md` 6 by number.

The row's level depends on the row alone, so any past day can be judged again. The alert's level worsens at once and
eases only past a margin, so that a number trembling around thirty does not ring all night.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from reserve.model import Level

SEVERITY = {
    Level.NORMAL: 0,
    Level.BLUE: 1,
    Level.YELLOW: 2,
    Level.ORANGE: 3,
    Level.RED: 4,
}

BLUE_PROBABILITY = Fraction(1, 10)
YELLOW_PROBABILITY = Fraction(1, 2)
MEMORY_DAYS = 1
MEMORY_SHARE = Fraction(4, 5)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a level is judged by. `days` None: the peak is unknown, or zero; `known` False: days are an upper bound.

    Of a fixed quantity (`in_units`) days and required days are units, and no order can come too late for them.
    """

    days: Fraction | None
    required_days: Fraction | None
    usable: int
    known: bool = True
    peak_known: bool = True
    probability: Fraction | None = None
    falls_below_day: int | None = None
    lead_time_days: int = 14
    margin_days: int = 7
    blue: Fraction = BLUE_PROBABILITY
    yellow: Fraction = YELLOW_PROBABILITY
    in_units: bool = False


class Verdict(NamedTuple):
    """A level and the code of the first condition that gave it."""

    level: Level
    reason: str


NOTHING_ASKED = Verdict(Level.NORMAL, "enough")
"""Of a part of which a policy requires nothing."""


def judge(facts: Facts) -> Verdict:
    """The row's level: the first condition that fits (6.1), then silence (6.3)."""
    verdict = _by_days(facts)
    if facts.known or verdict.level in {Level.RED, Level.ORANGE, Level.UNKNOWN}:
        return verdict
    return Verdict(Level.UNKNOWN, "consumption_unknown")


def judge_quantity(usable: int, quantity: int) -> Verdict:
    """A fixed quantity by what lies there: below half red, below it orange."""
    return judge(Facts(Fraction(usable), Fraction(quantity), usable, in_units=True))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Several policies, each judged alone. A zero peak says nothing where another policy judges; silence does."""
    verdicts = list(verdicts)
    said = [v for v in verdicts if v.reason != "no_consumption"] or verdicts
    breaks = [v for v in said if v.level in {Level.RED, Level.ORANGE}]
    silent = [v for v in said if v.level is Level.UNKNOWN]
    return max(breaks or silent or said, key=lambda v: SEVERITY.get(v.level, 0))


def remember(previous: Level | None, facts: Facts) -> Level:
    """The alert's level (6.2) of a row with one policy: see `remember_all`."""
    return remember_all(previous, judge(facts).level, [facts])


def remember_all(previous: Level | None, level: Level, facts: Iterable[Facts]) -> Level:
    """Worse at once, better only past a margin, to and from unknown without memory; eases when every policy has."""
    if previous is None or Level.UNKNOWN in {previous, level} or SEVERITY[level] >= SEVERITY[previous]:
        return level
    eased = max([SEVERITY[level], *(SEVERITY.get(judge(_past_the_margin(f)).level, 0) for f in facts)])
    if eased >= SEVERITY[previous]:
        return previous
    return next(word for word, severity in SEVERITY.items() if severity == eased)


def _by_days(facts: Facts) -> Verdict:
    days, required = facts.days, facts.required_days
    if days is None or required is None:
        if not facts.peak_known:
            return Verdict(Level.UNKNOWN, "consumption_unknown")
        if days is None and not facts.known:
            return Verdict(Level.UNKNOWN, "consumption_unknown")
        return Verdict(Level.UNKNOWN, "no_consumption" if days is None else "no_policy")
    if facts.usable == 0:
        return Verdict(Level.RED, "nothing_usable")
    if days < required / 2:
        return Verdict(Level.RED, "under_half")
    if not facts.in_units and days < min(Fraction(facts.lead_time_days), required):
        return Verdict(Level.RED, "under_lead_time")
    if days < required:
        return Verdict(Level.ORANGE, "below_required")
    return _ahead(facts)


def _ahead(facts: Facts) -> Verdict:
    if facts.probability is not None:
        if facts.probability >= facts.yellow:
            return Verdict(Level.YELLOW, "probably_falls")
        if facts.probability >= facts.blue:
            return Verdict(Level.BLUE, "may_fall")
    elif facts.falls_below_day is not None:
        if facts.falls_below_day <= facts.lead_time_days:
            return Verdict(Level.YELLOW, "falls_within_lead_time")
        if facts.falls_below_day <= facts.lead_time_days + facts.margin_days:
            return Verdict(Level.BLUE, "falls_soon")
    return Verdict(Level.NORMAL, "enough")


def _past_the_margin(facts: Facts) -> Facts:
    """The same row, a little worse: if even this is better than the last level, the alert may ease."""
    return replace(
        facts,
        days=None if facts.days is None else facts.days - MEMORY_DAYS,
        probability=None if facts.probability is None else facts.probability / MEMORY_SHARE,
        falls_below_day=None if facts.falls_below_day is None else facts.falls_below_day - MEMORY_DAYS,
    )
