"""A demonstration year made from one seed number: what was used, what came, what left, and what each row shall show."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from forecasting.peak import scope_peak
from seeds.catalogue import ITEMS
from seeds.consumption import Consumption, consumption
from seeds.ledger import Issue, Receipt, ledger
from seeds.lots import batches, unit
from seeds.norms import NORMS, Norm, Story

LOOK_BACK_DAYS = 365


@dataclass(frozen=True, slots=True)
class Expectation:
    """The story the stock of an item tells on `as_of`, and the days of coverage it was made for (None: none)."""

    item: str
    story: Story
    days: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """A city's year before `as_of`. Receipts and issues are each in order of day."""

    seed: int
    as_of: date
    consumption: Consumption
    receipts: tuple[Receipt, ...]
    issues: tuple[Issue, ...]
    expected: tuple[Expectation, ...]

    @property
    def documents(self) -> tuple[Receipt | Issue, ...]:
        """Everything that moved, in the order a ledger takes it: by day, and on one day what came before what left."""
        return tuple(sorted((*self.receipts, *self.issues), key=lambda document: document.day))


def demonstration(seed: int, as_of: date) -> Demonstration:
    """Make the year before `as_of`: the same seed and day give the same year, on any machine."""
    used = consumption(seed, as_of)
    peaks = {norm.item: _peak(used, index, norm) for index, norm in enumerate(NORMS)}
    lots = {
        item.code: batches(seed, item, norm, peaks[item.code], as_of) for item, norm in zip(ITEMS, NORMS, strict=True)
    }
    receipts, issues = ledger(seed, as_of, lots, {item.code: unit(item, peaks[item.code]) for item in ITEMS})
    return Demonstration(
        seed=seed,
        as_of=as_of,
        consumption=used,
        receipts=receipts,
        issues=issues,
        expected=tuple(Expectation(norm.item, norm.story, norm.days) for norm in NORMS),
    )


def _peak(used: Consumption, index: int, norm: Norm) -> Fraction:
    """The city's peak of an item as the product computes it; where it is unknown or zero, the use it was bought for."""
    values, reported = used.values[index, :, -LOOK_BACK_DAYS:], used.reported[index, :, -LOOK_BACK_DAYS:]
    peak = scope_peak(values, reported).peak if norm.days is not None else None
    return peak or Fraction(8)
