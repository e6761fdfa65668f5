"""The refusals: each class is one sentence with a stable code. The edge alone knows their HTTP status.

Refusal
├── Malformed                 cannot be read at all (bad JSON, torn text)
├── Unauthenticated           no key, or none that is known, in date and not revoked
├── Forbidden                 outside one's role or subtree
├── Unknown                   a thing named in the address is not there
├── Conflict                  against the present state of the books
│   ├── InsufficientStock     too little usable; says how much there is
│   ├── WouldGoNegative       a back-dated entry would leave a later day below zero
│   ├── LotConflict           the same lot with another expiry
│   ├── LotExpired            after its last usable day
│   ├── LotOnHold             held everywhere
│   ├── AlreadyReversed       a movement is reversed once
│   ├── NotReversible         a reversal is not reversed
│   └── AlreadyThere          a code that is taken
├── Invalid                   a value that can never be right
│   ├── UnknownItem, UnknownLocation, UnknownLot, UnknownPack
│   ├── KeyReused             an Idempotency-Key with another body
│   ├── SheetRefused          a sheet with anything wrong in it; names every cell
│   └── OutOfBounds           back-dated too far, or in the future
└── Unavailable               not now: busy, storage full, database gone
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing wrong in a request: a JSON pointer (or a sheet's row and column), a code and a sentence."""

    pointer: str
    code: str
    detail: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """What a person did cannot be recorded; `detail` says what to do next. Nothing has been changed."""

    code = "refused"
    title = "Refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        faults: Sequence[Fault] = (),
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.faults = tuple(faults)
        self.extra = dict(extra or {})


class Malformed(Refusal):
    code = "malformed"
    title = "The request cannot be read"


class Unauthenticated(Refusal):
    code = "unauthenticated"
    title = "A key is needed"


class Forbidden(Refusal):
    code = "forbidden"
    title = "Not allowed"


class Unknown(Refusal):
    code = "not_found"
    title = "Not found"


class Conflict(Refusal):
    code = "conflict"
    title = "Conflict with the present state"


class InsufficientStock(Conflict):
    code = "insufficient_stock"
    title = "Too little usable stock"


class WouldGoNegative(Conflict):
    code = "would_go_negative"
    title = "A later day would fall below zero"


class LotConflict(Conflict):
    code = "lot_conflict"
    title = "The same lot with another date"


class LotExpired(Conflict):
    code = "lot_expired"
    title = "The lot has expired"


class LotOnHold(Conflict):
    code = "lot_on_hold"
    title = "The lot is on hold"


class AlreadyReversed(Conflict):
    code = "already_reversed"
    title = "Already reversed"


class NotReversible(Conflict):
    code = "not_reversible"
    title = "A reversal cannot be reversed"


class AlreadyThere(Conflict):
    code = "already_exists"
    title = "The code is taken"


class Invalid(Refusal):
    code = "invalid_value"
    title = "A value is not valid"


class UnknownItem(Invalid):
    code = "unknown_item"
    title = "Unknown item"


class UnknownLocation(Invalid):
    code = "unknown_location"
    title = "Unknown location"


class UnknownLot(Invalid):
    code = "unknown_lot"
    title = "Unknown lot"


class UnknownPack(Invalid):
    code = "unknown_gtin"
    title = "Unknown trade item number"


class KeyReused(Invalid):
    code = "key_reused"
    title = "The Idempotency-Key belongs to another request"


class SheetFault(NamedTuple):
    """One thing wrong in a sheet: `row` as a spreadsheet shows it (the column names are row 1), None for the file."""

    row: int | None
    column: str | None
    value: str | None
    code: str
    detail: str

    @property
    def place(self) -> str:
        """Where it is, in words: `row 4, quantity`."""
        return ", ".join(part for part in (self.row and f"row {self.row}", self.column) if part)

    @property
    def pointer(self) -> str:
        """Where it is, as a path: `/rows/4/quantity`, or empty for the file."""
        return "".join(f"/{part}" for part in (self.row and f"rows/{self.row}", self.column) if part)


class SheetRefused(Invalid):
    """Nothing of the sheet is recorded. `cells`: what is wrong, in the order of the sheet; `found`: how much in all."""

    code = "sheet_refused"
    title = "The sheet was refused"

    def __init__(self, cells: Sequence[SheetFault], *, found: int | None = None) -> None:
        self.cells = tuple(cells)
        self.found = found or len(self.cells)
        first, counted = self.cells[0], f"{self.found} things are wrong" if self.found > 1 else "One thing is wrong"
        where = f"{first.place}: " if first.place else ""
        super().__init__(
            f"{counted} in the sheet and nothing was recorded. {where}{first.detail}",
            faults=[Fault(cell.pointer, cell.code, cell.detail) for cell in self.cells],
        )


class OutOfBounds(Invalid):
    code = "occurred_at_out_of_bounds"
    title = "The day is out of bounds"


class Unavailable(Refusal):
    code = "unavailable"
    title = "Not now"


class Busy(Unavailable):
    code = "busy"
    title = "Busy"


class StorageFull(Unavailable):
    code = "storage_full"
    title = "The disk is full"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database does not answer"


class WrongSchema(Unavailable):
    """The database is older or newer than this program."""

    code = "wrong_schema"
    title = "The database is of another version"
