"""First expired, first out (近效期先出): which lots to take, as a pure decision."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple


class Candidate(NamedTuple):
    """A lot on the shelf. `available` is what may leave it without any later day falling below zero."""

    lot_id: int
    item_id: int
    lot_number: str
    expires_on: date | None
    available: int
    expired: bool = False
    held: bool = False

    @property
    def usable(self) -> bool:
        return not self.expired and not self.held and self.available > 0


class Picked(NamedTuple):
    """So many units of a lot for one line of a document."""

    line: int
    lot_id: int
    quantity: int


def order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Earliest expiry first, undated last; the lot number breaks ties, so that two clerks are told the same."""
    return sorted(candidates, key=lambda c: (c.expires_on or date.max, c.lot_number, c.lot_id))


def pick(candidates: Sequence[Candidate], quantity: int, line: int = 0) -> list[Picked]:
    """What to take for `quantity` units, or as much of it as there is; the caller compares the sum.

    >>> a = Candidate(1, 1, "A", date(2026, 6, 30), 5)
    >>> b = Candidate(2, 1, "B", date(2026, 5, 31), 3)
    >>> pick([a, b], 4)
    [Picked(line=0, lot_id=2, quantity=3), Picked(line=0, lot_id=1, quantity=1)]
    """
    picked = []
    for candidate in order(candidates):
        taken = min(quantity, candidate.available) if candidate.usable else 0
        if taken:
            picked.append(Picked(line, candidate.lot_id, taken))
            quantity -= taken
    return picked
