"""One policy judged alone: by its days at a rate or by its quantity, each part of it by itself. Pure.

A policy may say that of what it requires only a part must lie there (实物), and that so many days must be promised
(协议). Then stock, contracts and both together are three parts, each with its own verdict; the worst is the policy's.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Literal, NamedTuple

from forecasting import depletion, paths
from reserve import levels
from reserve.levels import Facts, Verdict
from reserve.outlook import PATHS, Ahead
from reserve.policy import PolicyRow

Lot = tuple[int, int | None]
PartName = Literal["physical", "contracted", "whole"]


class Peak(NamedTuple):
    """Use a day that a policy in days is judged at, and whether it is more than a bound."""

    rate: Fraction | None
    known: bool


class Promised(NamedTuple):
    """What contracts add: units in all, and (units, day) as they would arrive."""

    units: int
    arrivals: Sequence[tuple[int, int]]


class Part(NamedTuple):
    """A part of a policy: `days` of `required_days` at its rate, or `units` of `required`; what is missing of it."""

    name: PartName
    required_days: Fraction | None
    required: int
    days: Fraction | None
    units: int
    shortfall: int
    verdict: Verdict
    facts: Facts | None


class Judged(NamedTuple):
    """A policy's verdict; `required` and `shortfall` in units, `days` what stock alone covers at its rate."""

    policy: PolicyRow
    required: int
    shortfall: int
    rate: Fraction | None
    days: Fraction | None
    parts: tuple[Part, ...]
    verdict: Verdict
    below: paths.FirstBelow | None = None

    @property
    def facts(self) -> list[Facts]:
        """What an alert remembers by."""
        return [part.facts for part in self.parts if part.facts is not None]

    @property
    def probability(self) -> Fraction | None:
        """Of falling below within the days looked ahead, to whole per cent and never down."""
        return None if self.below is None else shown(self.below)

    @property
    def worst(self) -> Part:
        """The part that gives the verdict."""
        same = [part for part in self.parts if part.verdict == self.verdict]
        return max(same, key=lambda part: part.shortfall)


def shown(below: paths.FirstBelow) -> Fraction:
    """A probability as it is shown and judged by: a thousand paths do not tell more than a per cent."""
    return Fraction(ceil(100 * Fraction(round(below.probability * PATHS), PATHS)), 100)


def judge(rule: PolicyRow, lots: Sequence[Lot], peak: Peak, promised: Promised, ahead: Ahead | None) -> Judged:
    """One policy against dated stock, promises and, where there is one, the forecast."""
    if rule.quantity is not None:
        return _by_quantity(rule, rule.quantity, lots, promised, peak, ahead)
    own = Peak(rule.rate, known=True) if rule.rate is not None else peak
    usable = sum(units for units, life in lots if life is None or life > 0)
    physical = rule.physical
    assert physical is not None and rule.required_days is not None  # noqa: PT018, S101 - the database says so
    if own.rate is None:
        facts = Facts(None, Fraction(rule.required_days), usable, known=False, peak_known=False)
        part = Part("physical", physical, 0, None, usable, 0, levels.judge(facts), facts)
        return Judged(rule, 0, 0, None, None, (part,), part.verdict)
    cover = depletion.cover(lots, own.rate, physical)
    below = None if ahead is None or physical == 0 else ahead.falls_below(own.rate, physical, rule.looks_ahead)
    parts = [_physical(rule, physical, cover, own, below)]
    if rule.contracted_days is not None:
        parts.append(_contracted(Fraction(rule.contracted_days), own, promised))
    if physical < rule.required_days:
        parts.append(_whole(Fraction(rule.required_days), lots, own, promised))
    return Judged(
        policy=rule,
        required=max(part.required for part in parts),
        shortfall=max(part.shortfall for part in parts),
        rate=own.rate,
        days=cover.days,
        parts=tuple(parts),
        # that nothing needs to lie there says nothing of what is to be promised
        verdict=levels.worst(part.verdict for part in parts if part.required_days),
        below=below,
    )


def _physical(
    rule: PolicyRow, required: Fraction, cover: depletion.Cover, peak: Peak, below: paths.FirstBelow | None
) -> Part:
    if required == 0:  # nothing needs to lie there
        return Part("physical", required, 0, cover.days, cover.usable, 0, levels.NOTHING_ASKED, None)
    facts = Facts(
        cover.days,
        required,
        cover.usable,
        known=peak.known,
        probability=None if below is None else shown(below),
        falls_below_day=cover.falls_below_day,
        lead_time_days=rule.lead_time_days,
        margin_days=rule.margin_days,
        blue=Fraction(rule.blue_percent, 100),
        yellow=Fraction(rule.yellow_percent, 100),
    )
    verdict = levels.judge(facts)
    return Part("physical", required, cover.required, cover.days, cover.usable, cover.shortfall, verdict, facts)


def _contracted(required: Fraction, peak: Peak, promised: Promised) -> Part:
    """So many days' worth of promises by themselves, whenever they come."""
    assert peak.rate is not None  # noqa: S101 - checked by the caller
    days = promised.units / peak.rate if peak.rate else None
    facts = Facts(days, required, promised.units, known=peak.known, lead_time_days=0)
    needed = ceil(peak.rate * required)
    missing = max(0, needed - promised.units)
    return Part("contracted", required, needed, days, promised.units, missing, levels.judge(facts), facts)


def _whole(required: Fraction, lots: Sequence[Lot], peak: Peak, promised: Promised) -> Part:
    """Stock and promises together: days without a gap."""
    assert peak.rate is not None  # noqa: S101 - checked by the caller
    found = depletion.with_arrivals(lots, peak.rate, promised.arrivals)
    days = found.days_unbroken
    units = sum(n for n, life in lots if life is None or life > 0) + promised.units
    facts = Facts(days, required, units, known=peak.known, lead_time_days=0)
    missing = 0 if days is None else max(0, ceil(peak.rate * (required - days)))
    return Part("whole", required, ceil(peak.rate * required), days, units, missing, levels.judge(facts), facts)


def _by_quantity(
    rule: PolicyRow, quantity: int, lots: Sequence[Lot], promised: Promised, peak: Peak, ahead: Ahead | None
) -> Judged:
    percent = 100 if rule.physical_percent is None else rule.physical_percent
    physical = ceil(Fraction(quantity * percent, 100))
    found = depletion.judge_quantity(lots, physical)
    usable = sum(units for units, life in lots if life is None or life > 0)
    below = None if ahead is None or not physical else ahead.falls_below_units(physical, rule.looks_ahead)
    facts = Facts(
        Fraction(usable),
        Fraction(physical),
        usable,
        probability=None if below is None else shown(below),
        falls_below_day=_falls_below_units(lots, peak.rate, physical, rule.looks_ahead),
        lead_time_days=rule.lead_time_days,
        margin_days=rule.margin_days,
        blue=Fraction(rule.blue_percent, 100),
        yellow=Fraction(rule.yellow_percent, 100),
        in_units=True,
    )
    verdict = levels.judge(facts) if physical else levels.NOTHING_ASKED
    parts = [Part("physical", None, physical, None, usable, found.shortfall, verdict, facts if physical else None)]
    if physical < quantity:
        both = usable + promised.units
        said = levels.judge_quantity(both, quantity)
        parts.append(Part("whole", None, quantity, None, both, max(0, quantity - both), said, None))
    return Judged(
        policy=rule,
        required=quantity,
        shortfall=max(part.shortfall for part in parts),
        rate=None,
        days=None,
        below=below,
        parts=tuple(parts),
        verdict=levels.worst(part.verdict for part in parts),
    )


def _falls_below_units(lots: Sequence[Lot], rate: Fraction | None, quantity: int, days: int) -> int | None:
    """The first day on which less than so much is left at the peak, lots expiring on the way; None within `days`."""
    if rate is None:
        return None
    left = depletion.at_peak(lots, rate, days).on_hand
    return next((day for day, units in enumerate(left) if units < quantity), None)
