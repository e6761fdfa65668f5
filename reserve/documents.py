"""Documents as they were recorded (单据): one with its lines, and lists of them, newest first. Reads only."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve.catalogue import ITEM, PLACE, PLACE_COLUMNS, Place
from reserve.lots import LOT
from reserve.model import (
    CountLine,
    CountSheet,
    DocumentKind,
    LocationKind,
    Requisition,
    Seal,
    SealEntry,
    Tally,
    Transfer,
    table,
)
from reserve.posting import DOCUMENT, MOVEMENT

TRANSFER, REQUISITION, SEAL, SEAL_ENTRY = (table(model) for model in (Transfer, Requisition, Seal, SealEntry))
_AT_ONCE = 10_000
"""Rows named in one statement: fewer than any database has room for."""

_SHEET, _COUNT_LINE, _TALLY = (table(model) for model in (CountSheet, CountLine, Tally))


class Line(NamedTuple):
    """A movement with everything its document, its lot and its reversal say."""

    id: int
    document_id: int
    document: str
    kind: str
    follows_id: int | None
    item: str
    item_name_zh: str
    item_name_en: str
    base_unit: str
    lot_id: int
    lot_number: str
    manufactured_on: date | None
    expires_on: date | None
    source: Place
    target: Place
    quantity: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reason: str | None
    reference: str | None
    purpose: str | None
    recipient: str | None
    party: str | None
    restriction: str | None
    reverses: int | None
    """The movement that this one undoes, and the number of its document."""
    reverses_document: str | None
    reversed_by: int | None
    """The movement that undid this one, and the number of its document."""
    reversed_by_document: str | None

    @property
    def root(self) -> int:
        """The document of the transfer to whose family a line on the road belongs."""
        return self.document_id if self.follows_id is None else self.follows_id

    @property
    def on_the_road(self) -> bool:
        return LocationKind.TRANSIT in {self.source.kind, self.target.kind}


class Ends(NamedTuple):
    """A transfer's number, and whence and where to it goes."""

    number: str
    occurred_at: datetime
    source: Place
    target: Place


class Seals(NamedTuple):
    """The link of the chain that keeps a document from being rewritten."""

    number: int
    digest: str


class Header(NamedTuple):
    id: int
    number: str
    kind: str
    place: Place
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reference: str | None
    purpose: str | None
    recipient: str | None
    party: str | None
    restriction: str | None
    reason: str | None
    follows: str | None
    requisition: str | None
    lines: int


class Counted(NamedTuple):
    """What a line of an approved count rests on: what the books said, and what was counted last."""

    item: str
    item_name_zh: str
    item_name_en: str
    base_unit: str
    lot_number: str
    expires_on: date | None
    book: int
    counted: int | None
    remark: str | None


class Paper(NamedTuple):
    """A whole document. `ends`: every place whose people may read it."""

    header: Header
    lines: list[Line]
    followed_by: list[str]
    ends: list[Place]
    source: Place | None
    """Of a transfer and what follows it: whence it goes, and where to."""
    target: Place | None
    sealed: Seals | None
    counted: list[Counted]
    approved_by: str | None
    approved_at: datetime | None


class DocumentsQuestion(NamedTuple):
    """`scope`: the places whose documents are asked for; both ends of a transfer have it."""

    scope: Place | None = None
    kind: DocumentKind | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, int] | None = None
    limit: int = 100


# -- lines ------------------------------------------------------------------------------------------------------------

_undo, _undo_document = aliased(MOVEMENT, name="undo"), aliased(DOCUMENT, name="undo_document")
_original, _original_document = aliased(MOVEMENT, name="original"), aliased(DOCUMENT, name="original_document")
_LINE_COLUMNS = (
    MOVEMENT.c.id,
    MOVEMENT.c.document_id,
    DOCUMENT.c.number,
    DOCUMENT.c.kind,
    DOCUMENT.c.follows_id,
    ITEM.c.code,
    ITEM.c.name_zh,
    ITEM.c.name_en,
    ITEM.c.base_unit,
    MOVEMENT.c.lot_id,
    LOT.c.lot_number,
    LOT.c.manufactured_on,
    LOT.c.expires_on,
    MOVEMENT.c.source_id,
    MOVEMENT.c.target_id,
    MOVEMENT.c.quantity,
    MOVEMENT.c.occurred_at,
    DOCUMENT.c.recorded_at,
    DOCUMENT.c.actor,
    func.coalesce(MOVEMENT.c.reason, DOCUMENT.c.reason),
    DOCUMENT.c.reference,
    DOCUMENT.c.purpose,
    DOCUMENT.c.recipient,
    DOCUMENT.c.party,
    DOCUMENT.c.restriction,
    MOVEMENT.c.reverses,
    _original_document.c.number,
    _undo.c.id,
    _undo_document.c.number,
)
_SOURCE = 13


def lines(session: Session, *wanted: ColumnElement[bool], known_at: datetime | None = None) -> list[Line]:
    """The movements wanted, in the order in which they happened; a reversal told after `known_at` is not known."""
    told = _undo.c.document_id == _undo_document.c.id
    if known_at is not None:
        told = and_(told, _undo_document.c.recorded_at <= known_at)
    # plain left joins, one after the other: SQLite reads the whole table where they are nested
    statement = (
        select(*_LINE_COLUMNS)
        .select_from(MOVEMENT)
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .outerjoin(_original, _original.c.id == MOVEMENT.c.reverses)
        .outerjoin(_original_document, _original_document.c.id == _original.c.document_id)
        .outerjoin(_undo, _undo.c.reverses == MOVEMENT.c.id)
        .outerjoin(_undo_document, told)
        .where(*wanted)
        .order_by(MOVEMENT.c.occurred_at, MOVEMENT.c.id)
    )
    rows = session.connection().execute(statement).all()
    places = places_by_id(session, (place for row in rows for place in row[_SOURCE : _SOURCE + 2]))
    return [_line(tuple(row), places) for row in rows]


def _line(row: tuple[Any, ...], places: dict[int, Place]) -> Line:
    source, target = places[row[_SOURCE]], places[row[_SOURCE + 1]]
    found = Line._make((*row[:_SOURCE], source, target, *row[_SOURCE + 2 :]))
    return found if found.reversed_by_document is not None else found._replace(reversed_by=None)


def roads(session: Session, told: Iterable[Line]) -> dict[int, Ends]:
    """The transfers that these lines belong to, by the ids of their documents."""
    roots = sorted({line.root for line in told if line.on_the_road})
    found: dict[int, Ends] = {}
    for start in range(0, len(roots), _AT_ONCE):
        rows = session.connection().execute(_ROADS, {"ids": roots[start : start + _AT_ONCE]}).all()
        places = places_by_id(session, (end for row in rows for end in (row.source_id, row.target_id)))
        found |= {
            row.document_id: Ends(row.number, row.occurred_at, places[row.source_id], places[row.target_id])
            for row in rows
        }
    return found


def places_by_id(session: Session, ids: Iterable[int | None]) -> dict[int, Place]:
    wanted = sorted({place for place in ids if place is not None})
    if not wanted:
        return {}
    rows = session.connection().execute(_PLACES_BY_ID, {"ids": wanted})
    return {row.id: Place._make(row) for row in rows}


_ROADS = (
    select(
        TRANSFER.c.document_id, DOCUMENT.c.number, DOCUMENT.c.occurred_at, TRANSFER.c.source_id, TRANSFER.c.target_id
    )
    .join(DOCUMENT, DOCUMENT.c.id == TRANSFER.c.document_id)
    .where(TRANSFER.c.document_id.in_(bindparam("ids", expanding=True)))
)
_PLACES_BY_ID = select(*PLACE_COLUMNS).where(PLACE.c.id.in_(bindparam("ids", expanding=True)))


# -- one --------------------------------------------------------------------------------------------------------------


def paper(session: Session, number: str) -> Paper | None:
    """The document of a number, or None; the caller says who may read it."""
    found = _headers(session, _HEADERS.where(DOCUMENT.c.number == number))
    if not found:
        return None
    header = found[0]
    told = lines(session, MOVEMENT.c.document_id == header.id)
    source, target = _road(session, header)
    ends = {end.id: end for line in told for end in (line.source, line.target) if end.inside}
    ends |= {end.id: end for end in (header.place, source, target) if end is not None}
    counted, approved = _count(session, header) if header.kind == DocumentKind.COUNT else ([], None)
    return Paper(
        header=header,
        lines=sorted(told, key=lambda line: line.id),
        followed_by=list(session.connection().execute(_FOLLOWED_BY, {"id": header.id}).scalars()),
        ends=list(ends.values()),
        source=source,
        target=target,
        sealed=_seal(session, header.id),
        counted=counted,
        approved_by=approved[0] if approved else None,
        approved_at=approved[1] if approved else None,
    )


def _road(session: Session, header: Header) -> tuple[Place | None, Place | None]:
    """Both ends of the transfer that this document is, or that it follows."""
    row = session.connection().execute(_ROAD, {"id": header.id}).one_or_none()
    if row is None:
        return None, None
    places = places_by_id(session, row)
    return places[row.source_id], places[row.target_id]


def _seal(session: Session, document_id: int) -> Seals | None:
    row = session.connection().execute(_SEALED, {"id": document_id}).one_or_none()
    return None if row is None else Seals(*row)


def _count(session: Session, header: Header) -> tuple[list[Counted], tuple[str | None, datetime | None] | None]:
    """The sheet that the variances of a count were posted from: every line of it, not only those that differed."""
    sheet = session.connection().execute(_SHEET_OF, {"id": header.id}).one_or_none()
    if sheet is None:
        return [], None
    rows = session.connection().execute(_COUNTED, {"sheet": sheet.id})
    return [Counted(*row) for row in rows], (sheet.decided_by, sheet.decided_at)


_followed = aliased(DOCUMENT, name="followed")
_counted_lines = (
    select(func.count())
    .select_from(MOVEMENT)
    .where(MOVEMENT.c.document_id == DOCUMENT.c.id)
    .correlate(DOCUMENT)
    .scalar_subquery()
)
_HEADERS = (
    select(
        DOCUMENT.c.id,
        DOCUMENT.c.number,
        DOCUMENT.c.kind,
        DOCUMENT.c.location_id,
        DOCUMENT.c.occurred_at,
        DOCUMENT.c.recorded_at,
        DOCUMENT.c.actor,
        DOCUMENT.c.reference,
        DOCUMENT.c.purpose,
        DOCUMENT.c.recipient,
        DOCUMENT.c.party,
        DOCUMENT.c.restriction,
        DOCUMENT.c.reason,
        _followed.c.number.label("follows"),
        REQUISITION.c.number.label("requisition"),
        _counted_lines.label("lines"),
    )
    .select_from(DOCUMENT)
    .outerjoin(_followed, _followed.c.id == DOCUMENT.c.follows_id)
    .outerjoin(REQUISITION, REQUISITION.c.id == DOCUMENT.c.requisition_id)
)
_PLACE_AT = 3
_FOLLOWED_BY = select(DOCUMENT.c.number).where(DOCUMENT.c.follows_id == bindparam("id")).order_by(DOCUMENT.c.id)
_ROAD = (
    select(TRANSFER.c.source_id, TRANSFER.c.target_id)
    .select_from(DOCUMENT)
    .join(TRANSFER, TRANSFER.c.document_id == func.coalesce(DOCUMENT.c.follows_id, DOCUMENT.c.id))
    .where(DOCUMENT.c.id == bindparam("id"))
)
_SEALED = (
    select(SEAL.c.number, SEAL.c.digest)
    .join(SEAL_ENTRY, SEAL_ENTRY.c.number == SEAL.c.number)
    .where(SEAL_ENTRY.c.kind == "document", SEAL_ENTRY.c.row_id == bindparam("id"))
)
_SHEET_OF = select(_SHEET.c.id, _SHEET.c.decided_by, _SHEET.c.decided_at).where(
    _SHEET.c.number == select(DOCUMENT.c.number).where(DOCUMENT.c.id == bindparam("id")).scalar_subquery()
)
_later = aliased(_TALLY, name="later")
_COUNTED = (
    select(
        ITEM.c.code,
        ITEM.c.name_zh,
        ITEM.c.name_en,
        ITEM.c.base_unit,
        LOT.c.lot_number,
        LOT.c.expires_on,
        _COUNT_LINE.c.book,
        _TALLY.c.counted,
        _TALLY.c.remark,
    )
    .select_from(_COUNT_LINE)
    .join(LOT, LOT.c.id == _COUNT_LINE.c.lot_id)
    .join(ITEM, ITEM.c.id == LOT.c.item_id)
    .outerjoin(
        _TALLY,
        and_(
            _TALLY.c.sheet_id == _COUNT_LINE.c.sheet_id,
            _TALLY.c.line == _COUNT_LINE.c.line,
            _TALLY.c.revision
            == select(func.max(_later.c.revision))
            .where(_later.c.sheet_id == _COUNT_LINE.c.sheet_id, _later.c.line == _COUNT_LINE.c.line)
            .correlate(_COUNT_LINE)
            .scalar_subquery(),
        ),
    )
    .where(_COUNT_LINE.c.sheet_id == bindparam("sheet"))
    .order_by(_COUNT_LINE.c.line)
)


# -- many -------------------------------------------------------------------------------------------------------------


class Listed(NamedTuple):
    """A document in a list, and where the next page begins after it."""

    header: Header
    mark: tuple[datetime, int]


def listed(session: Session, question: DocumentsQuestion) -> list[Listed]:
    """Documents, what happened last first.

    Every document has a first line, and the ledger is indexed by when its lines happened: that gives the order, the
    days and the pages without a sort.
    """
    first = aliased(MOVEMENT, name="first")
    statement = (
        _HEADERS.add_columns(first.c.occurred_at.label("mark_at"), first.c.id.label("mark_id"))
        .join(first, and_(first.c.document_id == DOCUMENT.c.id, first.c.line == 1))
        .where(*_asked(question, first))
        .order_by(first.c.occurred_at.desc(), first.c.id.desc())
        .limit(question.limit)
    )
    rows = session.connection().execute(statement).all()
    headers = _of_rows(session, rows)
    return [Listed(header, (row.mark_at, row.mark_id)) for header, row in zip(headers, rows, strict=True)]


def _asked(question: DocumentsQuestion, first: FromClause) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if question.kind is not None:
        wanted.append(DOCUMENT.c.kind == question.kind.value)
    if question.reference is not None:
        wanted.append(DOCUMENT.c.reference == question.reference)
    if question.since is not None:
        wanted.append(first.c.occurred_at >= question.since)
    if question.until is not None:
        wanted.append(first.c.occurred_at < question.until)
    if question.before is not None:
        at, movement_id = question.before
        wanted.append(first.c.occurred_at <= at)
        wanted.append(or_(first.c.occurred_at < at, first.c.id < movement_id))
    if question.scope is not None:
        wanted.append(_touches(question.scope))
    return wanted


def _touches(scope: Place) -> ColumnElement[bool]:
    """Recorded at a place of the scope, moved to or from one, or part of a transfer to or from one."""
    inside = select(PLACE.c.id).where(PLACE.c.path.like(f"{scope.path}%"))
    moved, road = aliased(MOVEMENT, name="moved"), aliased(TRANSFER, name="road")
    # scalars, one look-up a document: PostgreSQL would answer EXISTS by reading the whole ledger first
    line = select(moved.c.id).where(
        moved.c.document_id == DOCUMENT.c.id, or_(moved.c.source_id.in_(inside), moved.c.target_id.in_(inside))
    )
    transfer = select(road.c.document_id).where(
        road.c.document_id == func.coalesce(DOCUMENT.c.follows_id, DOCUMENT.c.id),
        or_(road.c.source_id.in_(inside), road.c.target_id.in_(inside)),
    )
    return or_(
        DOCUMENT.c.location_id.in_(inside),
        line.limit(1).correlate(DOCUMENT).scalar_subquery().is_not(None),
        transfer.limit(1).correlate(DOCUMENT).scalar_subquery().is_not(None),
    )


def _headers(session: Session, statement: Select[Any]) -> list[Header]:
    return _of_rows(session, session.connection().execute(statement).all())


def _of_rows(session: Session, rows: Sequence[Any]) -> list[Header]:
    places = places_by_id(session, (row.location_id for row in rows))
    width = len(Header._fields)
    return [
        Header._make((*row[:_PLACE_AT], places[row.location_id], *row[_PLACE_AT + 1 : width]))
        for row in map(_whole, rows)
    ]


def _whole(row: Any) -> Any:  # noqa: ANN401 - a row of the columns above
    return row
