"""What a document is asked to record, line by line."""

from datetime import date
from typing import NamedTuple

ADJUSTMENT_REASONS = (
    "opening",
    "count_gain",
    "count_loss",
    "damaged",
    "lost",
    "found",
    "data_correction",
    "returned",
    "other",
)


class ReceiptLine(NamedTuple):
    """Goods that came in, by item or by the GTIN of a pack; `quantity` in base units, or `packs`."""

    lot_number: str
    expires_on: date | None
    item: str | None = None
    gtin: str | None = None
    quantity: int | None = None
    packs: int | None = None
    manufactured_on: date | None = None
    unit_cost: int | None = None


class IssueLine(NamedTuple):
    """Goods that go out; without a lot the ledger picks first-expired-first-out."""

    item: str
    quantity: int
    lot_number: str | None = None
    override_reason: str | None = None


class AdjustmentLine(NamedTuple):
    """A correction of the books by a signed quantity, with a reason from `ADJUSTMENT_REASONS`."""

    item: str
    lot_number: str
    quantity: int
    reason: str
    expires_on: date | None = None
    """Only for a lot that the books do not know yet."""


DISPOSAL_REASONS = ("expired", "damaged", "recalled")
HOLD_REASONS = ("quarantine", "recall", "damage")
SETTLEMENTS = ("lost", "damaged", "returned")


class LotLine(NamedTuple):
    """Units of a lot that is named."""

    item: str
    lot_number: str
    quantity: int


class SettledLine(NamedTuple):
    """What became of units that never arrived: an outcome from `SETTLEMENTS`, and why."""

    item: str
    lot_number: str
    quantity: int
    outcome: str
    reason: str


class InspectedLine(NamedTuple):
    """What an inspector decided of units that waited: `passed`, `rejected` or `downgraded` to another item."""

    item: str
    lot_number: str
    quantity: int
    outcome: str
    reason: str | None = None
    into_item: str | None = None
    destroy: bool = False
    """Rejected goods go back to whoever sent them, unless they are destroyed."""
