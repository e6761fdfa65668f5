"""Count sheets read and locked: their lines with what the books say of each, and everything that was saved."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import FromClause, ScalarSelect, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from reserve import catalogue
from reserve.catalogue import PLACE, ItemRow, Place
from reserve.errors import Conflict, Unknown
from reserve.lots import LOT, LotRow
from reserve.model import (
    CountLine,
    CountSheet,
    CountState,
    LastCount,
    Tally,
    table,
)
from reserve.model.kinds import Moment
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT

SHEET, LINE, TALLY, LAST_COUNT = (table(model) for model in (CountSheet, CountLine, Tally, LastCount))


_OPEN_END = datetime(9999, 1, 1, tzinfo=UTC)


class Head(NamedTuple):
    """A sheet without its lines."""

    id: int
    number: str
    state: CountState
    reference: str | None
    opened_by: str
    opened_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    document_id: int | None
    place: Place


class TallyRow(NamedTuple):
    """What was once saved of a line. The one counted last `stands`, however late it came; of two, the later saved."""

    line: int
    revision: int
    counted: int
    counted_at: datetime
    recorded_at: datetime
    actor: str
    remark: str | None
    stands: bool


class Line(NamedTuple):
    """A lot of a sheet. `book` is what the ledger says lay there when it was counted; `moved_since` came after."""

    line: int
    item: ItemRow
    lot: LotRow
    frozen_book: int
    on_hand: int
    book: int | None
    moved_since: int
    standing: TallyRow | None
    tallies: tuple[TallyRow, ...]

    @property
    def counted(self) -> int | None:
        return None if self.standing is None else self.standing.counted

    @property
    def variance(self) -> int | None:
        return None if self.standing is None or self.book is None else self.standing.counted - self.book


class Sheet(NamedTuple):
    """A whole sheet: what is printed, and what an approver looks at. Who counts is shown no book of it."""

    head: Head
    lines: list[Line]


class SheetRow(NamedTuple):
    """A sheet in a list: of so many lines so many are counted."""

    head: Head
    lines: int
    counted: int


class SheetQuestion(NamedTuple):
    scope: Place
    state: CountState | None = None
    before: int | None = None
    limit: int = 100


def find(session: Session, number: str) -> Head | None:
    row = session.connection().execute(_HEAD.where(SHEET.c.number == number)).one_or_none()
    return None if row is None else _head(tuple(row))


def sheet(session: Session, number: str) -> Sheet:
    """A sheet with everything on it, its lines in their order."""
    head = find(session, number)
    if head is None:
        raise _unknown(number)
    return Sheet(head, lines_of(session, head))


def sheets(session: Session, question: SheetQuestion) -> list[SheetRow]:
    """Sheets of a place and all below it, the newest first."""
    total = select(func.count()).where(LINE.c.sheet_id == SHEET.c.id).scalar_subquery()
    counted = select(func.count(TALLY.c.line.distinct())).where(TALLY.c.sheet_id == SHEET.c.id).scalar_subquery()
    statement = (
        _HEAD.add_columns(total, counted)
        .where(PLACE.c.path.like(f"{question.scope.path}%"))
        .order_by(SHEET.c.id.desc())
        .limit(question.limit)
    )
    if question.state is not None:
        statement = statement.where(SHEET.c.state == question.state.value)
    if question.before is not None:
        statement = statement.where(SHEET.c.id < question.before)
    rows = [tuple(row) for row in session.connection().execute(statement)]
    return [SheetRow(_head(row[:-2]), row[-2], row[-1]) for row in rows]


def counters(found: Sheet) -> list[str]:
    """Everybody who has counted on a sheet, as they signed."""
    return sorted({tally.actor for line in found.lines for tally in line.tallies})


def locked(session: Session, number: str) -> Head:
    """An open sheet that nobody else counts on or decides until this transaction ends."""
    statement = _HEAD.where(SHEET.c.number == number).with_for_update(of=SHEET)
    row = session.connection().execute(statement).one_or_none()
    if row is None:
        raise _unknown(number)
    head = _head(tuple(row))
    if head.state != CountState.OPEN:
        raise Conflict(
            f"{number} was {head.state.value} by {head.decided_by}; open another sheet to count again.",
            code="count_decided",
        )
    return head


def _unknown(number: str) -> Unknown:
    return Unknown(f"There is no count {number}; see GET /v1/counts.", code="unknown_count")


def hold_place(session: Session, place: Place) -> None:
    """One at a time puts lots of a place on sheets; those who only move goods there do not wait."""
    session.connection().execute(select(PLACE.c.id).where(PLACE.c.id == place.id).with_for_update(key_share=True))


def lock_balances(session: Session, head: Head) -> None:
    """Lock the balance of each counted lot, made where there is none, in the order in which everybody locks them."""
    connection = session.connection()
    connection.execute(_LOCK[connection.dialect.name], {"location": head.place.id, "sheet": head.id})


def _head(row: Sequence[object]) -> Head:
    own = len(_HEAD_COLUMNS)
    head = Head._make([*row[:own], Place._make(row[own:])])
    return head._replace(state=CountState(head.state))


def tallies_of(session: Session, head: Head, numbers: Sequence[int] | None = None) -> dict[int, tuple[TallyRow, ...]]:
    """What was saved of each line, in the order in which it was."""
    statement = _TALLIES if numbers is None else _TALLIES_OF_LINES
    asked = {"sheet": head.id} if numbers is None else {"sheet": head.id, "lines": sorted(set(numbers))}
    found: dict[int, list[TallyRow]] = defaultdict(list)
    for row in session.connection().execute(statement, asked):
        found[row.line].append(TallyRow._make(row)._replace(stands=bool(row.stands)))
    return {line: tuple(rows) for line, rows in found.items()}


def lines_of(session: Session, head: Head, numbers: Sequence[int] | None = None) -> list[Line]:
    """Lines with their book: as the ledger has it now, or as it was posted.

    One statement reads the balance and what moved since, so that the book is right while others record.
    """
    asked = {
        "sheet": head.id,
        "location": head.place.id,
        "until": head.decided_at or _OPEN_END,
        "own": head.document_id or 0,
        **({} if numbers is None else {"lines": sorted(set(numbers))}),
    }
    rows = session.connection().execute(_LINES if numbers is None else _LINES_OF_NUMBERS, asked).all()
    tallies = tallies_of(session, head, numbers)
    items = catalogue.items_by_id(session, {row.item_id for row in rows})
    posted = None if head.state != CountState.APPROVED else _posted(session, head)
    found = []
    for row in rows:
        own = tallies.get(row.line, ())
        standing = next((tally for tally in own if tally.stands), None)
        moved = int(row.came) - int(row.went)
        book = None
        if standing is not None:
            book = row.on_hand - moved if posted is None else standing.counted - posted.get(row.lot_id, 0)
        lot = LotRow(row.lot_id, row.item_id, row.lot_number, row.manufactured_on, row.expires_on)
        found.append(Line(row.line, items[row.item_id], lot, row.book, row.on_hand, book, moved, standing, own))
    return found


def _posted(session: Session, head: Head) -> dict[int, int]:
    """The variances of an approved sheet, lot by lot."""
    rows = session.connection().execute(_POSTED, {"document": head.document_id or 0})
    return {row.lot_id: row.quantity if row.target_id == head.place.id else -row.quantity for row in rows}


_later = TALLY.alias("later")
_HEAD_COLUMNS = (
    SHEET.c.id,
    SHEET.c.number,
    SHEET.c.state,
    SHEET.c.reference,
    SHEET.c.opened_by,
    SHEET.c.opened_at,
    SHEET.c.decided_by,
    SHEET.c.decided_at,
    SHEET.c.reason,
    SHEET.c.document_id,
)


_HEAD = select(*_HEAD_COLUMNS, *catalogue.PLACE_COLUMNS).join(PLACE, PLACE.c.id == SHEET.c.location_id)


def _standing(line: FromClause) -> ScalarSelect[int]:
    """The revision that stands of a line: counted last, and of two at one moment the later saved."""
    return (
        select(_later.c.revision)
        .where(_later.c.sheet_id == line.c.sheet_id, _later.c.line == line.c.line)
        .order_by(_later.c.counted_at.desc(), _later.c.revision.desc())
        .limit(1)
        .correlate(line)
        .scalar_subquery()
    )


_TALLIES = (
    select(*(TALLY.c[name] for name in TallyRow._fields[:-1]), (TALLY.c.revision == _standing(TALLY)).label("stands"))
    .where(TALLY.c.sheet_id == bindparam("sheet"))
    .order_by(TALLY.c.line, TALLY.c.revision)
)


_TALLIES_OF_LINES = _TALLIES.where(TALLY.c.line.in_(bindparam("lines", expanding=True)))


def _moved(end: str) -> ScalarSelect[int]:
    """Units of a line's lot that left or reached the place after it was counted, but for the count itself."""
    return (
        select(func.coalesce(func.sum(MOVEMENT.c.quantity), 0))
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where(
            MOVEMENT.c[f"{end}_id"] == bindparam("location"),
            MOVEMENT.c.lot_id == LINE.c.lot_id,
            MOVEMENT.c.occurred_at > TALLY.c.counted_at,
            MOVEMENT.c.document_id != bindparam("own"),
            DOCUMENT.c.recorded_at <= bindparam("until", type_=Moment()),
        )
        .correlate(LINE, TALLY)
        .scalar_subquery()
    )


_LINES = (
    select(
        LINE.c.line,
        LINE.c.lot_id,
        LINE.c.book,
        LOT.c.item_id,
        LOT.c.lot_number,
        LOT.c.manufactured_on,
        LOT.c.expires_on,
        func.coalesce(BALANCE.c.on_hand, 0).label("on_hand"),
        _moved("target").label("came"),
        _moved("source").label("went"),
    )
    .select_from(LINE)
    .join(LOT, LOT.c.id == LINE.c.lot_id)
    .outerjoin(BALANCE, (BALANCE.c.location_id == bindparam("location")) & (BALANCE.c.lot_id == LINE.c.lot_id))
    .outerjoin(
        TALLY,
        (TALLY.c.sheet_id == LINE.c.sheet_id) & (TALLY.c.line == LINE.c.line) & (TALLY.c.revision == _standing(LINE)),
    )
    .where(LINE.c.sheet_id == bindparam("sheet"))
    .order_by(LINE.c.line)
)


_LINES_OF_NUMBERS = _LINES.where(LINE.c.line.in_(bindparam("lines", expanding=True)))


_POSTED = select(MOVEMENT.c.lot_id, MOVEMENT.c.quantity, MOVEMENT.c.target_id).where(
    MOVEMENT.c.document_id == bindparam("document")
)


_counted_lots = (
    select(bindparam("location", type_=BALANCE.c.location_id.type), LINE.c.lot_id, literal(0))
    .where(
        LINE.c.sheet_id == bindparam("sheet"),
        select(TALLY.c.line).where(TALLY.c.sheet_id == LINE.c.sheet_id, TALLY.c.line == LINE.c.line).exists(),
    )
    .order_by(LINE.c.lot_id)
)
_BALANCE_KEY = [BALANCE.c.location_id, BALANCE.c.lot_id]


_LOCK = {
    # written as they are: a statement that makes what is missing and locks the rest, all in one order
    name: dialect.insert(BALANCE)
    .from_select(["location_id", "lot_id", "on_hand"], _counted_lots)
    .on_conflict_do_update(index_elements=_BALANCE_KEY, set_={"on_hand": BALANCE.c.on_hand})
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
