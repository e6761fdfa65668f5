"""The warehouse's papers over HTTP: the stock card of a place, documents, and where a lot came from and went."""

import contextlib
from collections.abc import Iterator
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, NamedTuple

from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import Session

from api import exports, papers_print
from api.desk import AtDesk, Desk, answer, language_of, moment, page, place_in_path, read_cursor, unchanged
from api.stock import CodeAsked, Limit, LotAsked, aware
from reserve import access, cards, catalogue, database, documents, trace
from reserve.access import Actor, Verb
from reserve.cards import Card, CardQuestion, CardRow
from reserve.catalogue import ItemRow, Place
from reserve.documents import DocumentsQuestion, Header, Line, Paper
from reserve.entry import day_bounds
from reserve.errors import Forbidden, Invalid, Unknown
from reserve.model import DocumentKind
from reserve.trace import LotsQuestion, LotTotal, Road, Step, Trace

router = APIRouter(prefix="/v1")

CodeNamed = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
LotNamed = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,20}$")]
"""A lot number may hold a slash: its address ends in a word of ours."""
ReferenceAsked = Annotated[str | None, Query(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
Paged = Annotated[int | None, Query(ge=1, le=1000)]
Format = Literal["json", "csv", "xlsx", "pdf"]
FileFormat = Literal["csv", "xlsx", "pdf"]

FILE_ROWS_MAX: Final = 50_000
PRINTED_ROWS_MAX: Final = 1_000
"""About three seconds of typesetting."""


@contextlib.contextmanager
def one_moment(desk: Desk) -> Iterator[Session]:
    """Read all of a paper as of one moment: its sums and its rows must agree whatever commits meanwhile."""
    with database.reading(desk.engine) as session:
        if desk.engine.dialect.name == "postgresql":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


@contextlib.contextmanager
def asking(desk: Desk, request: Request) -> Iterator[tuple[Session, Actor]]:
    with one_moment(desk) as session:
        actor = desk.who(session, request, desk.clock())
        access.require(actor, Verb.READ, None)
        yield session, actor


# -- the stock card ---------------------------------------------------------------------------------------------------


@router.get("/stock/{location}/{item}/card", tags=["asking"])
def get_card(
    desk: AtDesk,
    request: Request,
    location: CodeNamed,
    item: CodeNamed,
    since: date | None = None,
    until: date | None = None,
    lot_number: LotAsked = None,
    known_at: datetime | None = None,
    limit: Paged = None,
    cursor: str | None = None,
    format: Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """库存台账. Every movement of an item at exactly this place with the running balance, oldest first.

    `since` and `until` are civil days, both counted in. A region has no card: choose a store. A file holds the whole
    period unless `limit` asks for a page of it.
    """
    mark, when = read_cursor(cursor, (str, int)), bounds(desk, since, until)
    with asking(desk, request) as (session, actor):
        question = CardQuestion(
            place=place_in_path(session, actor, location),
            item=item_in_path(session, item),
            lot_number=lot_number,
            since=when.since,
            until=when.until,
            known_at=aware(known_at),
            after=None if mark is None else (cursor_moment(mark[0]), mark[1]),
            limit=limit or (100 if format == "json" else None),
        )
        found = cards.card(session, question) if format == "json" else whole_card(session, question, format)
    if format != "json":
        return card_file(desk, found, since, until, format, language_of(request))
    made = answer(card_body(found, since, until))
    etag = f'"{sha256(bytes(made.body)).hexdigest()[:32]}"'
    made.headers["ETag"] = etag
    return unchanged(request, etag) or made


class Bounds(NamedTuple):
    """The first moment of a period and the first after it; None is no bound."""

    since: datetime | None
    until: datetime | None


def bounds(desk: Desk, since: date | None, until: date | None) -> Bounds:
    """The moments that bound civil days, both counted in."""
    for day in (since, until):
        if day is not None and not 1990 <= day.year <= 2100:
            raise Invalid("A day lies between 1990 and 2100.")
    if since is not None and until is not None and since > until:
        raise Invalid(f"The period ends on {until}, before it begins on {since}.", code="period_reversed")
    return Bounds(
        None if since is None else day_bounds(since, desk.zone)[0],
        None if until is None else day_bounds(until, desk.zone)[1],
    )


def whole_card(session: Session, question: CardQuestion, wanted: FileFormat) -> Card:
    """The card for a file: all of its period, or the page asked for; never a part that looks like the whole."""
    most = PRINTED_ROWS_MAX if wanted == "pdf" else FILE_ROWS_MAX
    if wanted == "pdf":
        question = question._replace(after=None, limit=None)
    found = cards.card(session, question if question.limit else question._replace(limit=most))
    if question.limit is None and found.following is not None:
        raise Invalid(
            f"This period has {found.period.rows} rows, a file holds {most}: ask for a shorter one.",
            code="too_many_rows",
        )
    return found


def card_file(
    desk: Desk, found: Card, since: date | None, until: date | None, wanted: FileFormat, lang: str
) -> Response:
    place, item = found.question.place, found.question.item
    name = f"card-{place.code}-{item.code}"
    if wanted != "pdf":
        return exports.sheet([card_row(row) for row in found.rows], wanted, name, _CARD_COLUMNS)
    from api.printing import stock_card_pdf

    now = desk.clock()
    today = now.astimezone(desk.zone).date()
    first = found.rows[0].line.occurred_at.astimezone(desk.zone).date() if found.rows else today
    printed = papers_print.card(found, since=since or first, until=until or today)
    return papers_print.pdf(stock_card_pdf(printed, language(lang), papers_print.printed(now, desk.zone)), name)


def card_body(found: Card, since: date | None, until: date | None) -> dict[str, Any]:
    question, sums = found.question, found.period
    return {
        **_named("location", question.place),
        "item": question.item.code,
        "item_name_zh": question.item.name_zh,
        "item_name_en": question.item.name_en,
        "base_unit": question.item.base_unit,
        "lot_number": question.lot_number,
        "since": since,
        "until": until,
        "period": {"opening": sums.opening, "in": sums.received, "out": sums.issued, "closing": sums.closing},
        "opening": found.opening,
        "closing": found.closing,
        "items": [card_row(row) for row in found.rows],
        "next_cursor": card_cursor(found),
    }


def card_cursor(found: Card) -> str | None:
    """Where the next page begins: after the last row, whatever is recorded before it meanwhile."""
    if found.following is None:
        return None
    rows = [*found.rows, None]  # one more than is shown, as `page` wants it
    return page(rows, len(found.rows), lambda row: [moment(row.line.occurred_at), row.line.id])[1]


def card_row(row: CardRow) -> dict[str, Any]:
    line = row.line
    return {
        "id": line.id,
        "document": line.document,
        "kind": line.kind,
        "occurred_at": moment(line.occurred_at),
        "recorded_at": moment(line.recorded_at),
        **_named("source", line.source),
        **_named("target", line.target),
        **_named("counterpart", row.counterpart),
        "lot_number": line.lot_number,
        "expires_on": line.expires_on,
        "in": row.received,
        "out": row.issued,
        "balance": row.balance,
        **_told(line),
    }


def _told(line: Line) -> dict[str, Any]:
    """What a document and its reversals say about a line."""
    return {
        "reason": line.reason,
        "reference": line.reference,
        "purpose": line.purpose,
        "recipient": line.recipient,
        "party": line.party,
        "actor": line.actor,
        "reverses": line.reverses,
        "reverses_document": line.reverses_document,
        "reversed_by": line.reversed_by,
        "reversed_by_document": line.reversed_by_document,
    }


# -- documents --------------------------------------------------------------------------------------------------------


@router.get("/documents", tags=["asking"])
def get_documents(
    desk: AtDesk,
    request: Request,
    kind: DocumentKind | None = None,
    location: CodeAsked = None,
    since: date | None = None,
    until: date | None = None,
    reference: ReferenceAsked = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """Documents, what happened last first; those of both ends of a movement or transfer."""
    mark, when = read_cursor(cursor, (str, int)), bounds(desk, since, until)
    with asking(desk, request) as (session, actor):
        found = documents.listed(
            session,
            DocumentsQuestion(
                scope=actor.place if location is None else place_in_path(session, actor, location),
                kind=kind,
                reference=reference,
                since=when.since,
                until=when.until,
                before=None if mark is None else (cursor_moment(mark[0]), mark[1]),
                limit=limit + 1,
            ),
        )
    kept, following = page(found, limit, lambda row: [moment(row.mark[0]), row.mark[1]])
    rows = [header_body(row.header) for row in kept]
    if format != "json":
        return exports.sheet(rows, format, "documents")
    return answer({"items": rows, "next_cursor": following})


@router.get("/documents/{number}", tags=["asking"])
def get_document(
    desk: AtDesk,
    request: Request,
    number: CodeNamed,
    format: Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """One document with its lines, what it follows and what follows it; `format=pdf` prints it."""
    with asking(desk, request) as (session, actor):
        found = documents.paper(session, number)
        if found is None or not any(access.may(actor, Verb.READ, end) for end in found.ends):
            raise _nothing(actor, f"There is no document {number}.", "unknown_document")
    if format != "json":
        return document_file(desk, found, format, language_of(request))
    return answer(document_body(found))


def document_file(desk: Desk, found: Paper, wanted: FileFormat, lang: str) -> Response:
    number = found.header.number
    if wanted != "pdf":
        return exports.sheet([line_body(line) for line in found.lines], wanted, number)
    from api.printing import document_pdf

    printing = papers_print.printed(desk.clock(), desk.zone, found)
    return papers_print.pdf(document_pdf(papers_print.document(found, lang), language(lang), printing), number)


def document_body(found: Paper) -> dict[str, Any]:
    return {
        **header_body(found.header),
        "source": found.source and found.source.code,
        "target": found.target and found.target.code,
        "followed_by": found.followed_by,
        "approved_by": found.approved_by,
        "approved_at": moment(found.approved_at),
        "sealed": None if found.sealed is None else found.sealed._asdict(),
        "lines": [line_body(line) for line in found.lines],
        "counted": [line._asdict() for line in found.counted],
    }


def header_body(header: Header) -> dict[str, Any]:
    told = {key: value for key, value in header._asdict().items() if key not in {"id", "place", "lines"}}
    return {
        "number": header.number,
        "kind": header.kind,
        **_named("location", header.place),
        **told,
        "occurred_at": moment(header.occurred_at),
        "recorded_at": moment(header.recorded_at),
        "line_count": header.lines,
    }


def line_body(line: Line) -> dict[str, Any]:
    return {
        "id": line.id,
        "item": line.item,
        "item_name_zh": line.item_name_zh,
        "item_name_en": line.item_name_en,
        "base_unit": line.base_unit,
        "lot_number": line.lot_number,
        "manufactured_on": line.manufactured_on,
        "expires_on": line.expires_on,
        **_named("source", line.source),
        **_named("target", line.target),
        "quantity": line.quantity,
        "reason": line.reason,
        "reverses": line.reverses,
        "reverses_document": line.reverses_document,
        "reversed_by": line.reversed_by,
        "reversed_by_document": line.reversed_by_document,
    }


# -- lots -------------------------------------------------------------------------------------------------------------


@router.get("/lots", tags=["asking"])
def get_lots(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    lot_number: LotAsked = None,
    expiring_within: Annotated[int | None, Query(ge=0, le=36_500)] = None,
    held: bool | None = None,  # noqa: FBT001 - a query parameter
    include_zero: bool | None = None,  # noqa: FBT001 - a query parameter
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """Lots with what there is of each, those that expire first before the others.

    `expiring_within` days: usable until then and not after. A lot asked for by its number is shown even where none is
    left, for every item that has the number: who got it is a question of its trace.
    """
    mark = read_cursor(cursor, (str, int))
    with asking(desk, request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        found = trace.lots(
            session,
            LotsQuestion(
                scope=scope,
                day=desk.clock().astimezone(desk.zone).date(),
                item_id=None if item is None else item_in_path(session, item).id,
                lot_number=lot_number,
                expiring_within_days=expiring_within,
                held=held,
                include_zero=lot_number is not None if include_zero is None else include_zero,
                after=None if mark is None else (_day_of(mark[0]), mark[1]),
                limit=limit + 1,
            ),
        )
    kept, following = page(found, limit, lambda row: list(row.mark))
    rows = [lot_body(row) for row in kept]
    if format != "json":
        return exports.sheet(rows, format, "lots")
    return answer({"items": rows, "next_cursor": following})


@router.get("/lots/{item}/{lot_number:path}/trace", tags=["asking"])
def get_trace(
    desk: AtDesk,
    request: Request,
    item: CodeNamed,
    lot_number: LotNamed,
    format: Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """召回追溯. Where a lot came from, where it lies, who got it, and whether that adds up.

    A key of a part of the reserve gets that part, and `complete` is false: nothing is told about elsewhere.
    """
    with asking(desk, request) as (session, actor):
        article = item_in_path(session, item)
        today = desk.clock().astimezone(desk.zone).date()
        found = trace.trace(session, article, lot_number, day=today, within=actor.place)
        if found is None:
            raise _nothing(actor, f"There is no lot {lot_number} of {item}.", "unknown_lot")
    if format != "json":
        return trace_file(desk, found, format, language_of(request))
    return answer(trace_body(found))


def trace_file(desk: Desk, found: Trace, wanted: FileFormat, lang: str) -> Response:
    name = f"trace-{found.item.code}-{found.lot_number}"
    if wanted != "pdf":
        return exports.sheet(trace_rows(found), wanted, name, _TRACE_COLUMNS)
    from api.printing import recall_pdf

    printing = papers_print.printed(desk.clock(), desk.zone)
    plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    return papers_print.pdf(recall_pdf(papers_print.recall(found, lang), language(lang), printing), plain)


def lot_body(row: LotTotal) -> dict[str, Any]:
    return {key: value for key, value in row._asdict().items() if key != "lot_id"}


def trace_body(found: Trace) -> dict[str, Any]:
    return {
        "item": found.item.code,
        "item_name_zh": found.item.name_zh,
        "item_name_en": found.item.name_en,
        "base_unit": found.item.base_unit,
        "lot_number": found.lot_number,
        "manufactured_on": found.manufactured_on,
        "expires_on": found.expires_on,
        "expired": found.expired,
        "hold": found.hold,
        "holds": [
            {**hold._asdict(), "placed_at": moment(hold.placed_at), "lifted_at": moment(hold.lifted_at)}
            for hold in found.holds
        ],
        "lies": [
            {**_named("location", row.place), "on_hand": row.on_hand, "hold": row.hold, "owner": row.place.owner}
            for row in found.lies
        ],
        "in_transit": [_road(road) for road in found.in_transit],
        "renamed": [row._asdict() for row in found.renamed],
        "recipients": [row._asdict() for row in found.recipients],
        "transfers": [_road(road) for road in found.transfers],
        **{part: [_step(step) for step in getattr(found, part)] for part in _PARTS},
        "sums": {**found.sums._asdict(), "balanced": found.sums.balanced},
        "complete": found.complete,
    }


def trace_rows(found: Trace) -> list[dict[str, Any]]:
    """Everything in one sheet, each row saying which part it belongs to."""
    rows = [
        {"part": "lies", **_named("location", row.place), "quantity": row.on_hand, "net": row.on_hand, "hold": row.hold}
        for row in found.lies
    ]
    rows += [
        {
            "part": "in_transit",
            "document": road.document,
            "occurred_at": moment(road.occurred_at),
            **_named("location", road.source),
            "target": road.target and road.target.code,
            "quantity": road.sent,
            "net": road.on_the_road,
        }
        for road in found.in_transit
    ]
    return rows + [{"part": part, **_step(step)} for part in _PARTS for step in getattr(found, part)]


def _step(step: Step) -> dict[str, Any]:
    line = step.line
    return {
        "document": line.document,
        "kind": line.kind,
        "occurred_at": moment(line.occurred_at),
        **_named("location", step.place),
        "source": line.source.code,
        "target": line.target.code,
        "quantity": line.quantity,
        "net": step.net,
        "restriction": line.restriction,
        **_told(line),
    }


def _road(road: Road) -> dict[str, Any]:
    return {
        "document": road.document,
        "occurred_at": moment(road.occurred_at),
        **_named("source", road.source),
        "target": road.target and road.target.code,
        "target_name_zh": road.target and road.target.name_zh,
        "target_name_en": road.target and road.target.name_en,
        "sent": road.sent,
        "arrived": road.arrived,
        "lost": road.lost,
        "on_the_road": road.on_the_road,
    }


_PARTS: Final = ("receipts", "issues", "moves", "disposals", "adjustments", "downgrades", "returns")
_TRACE_COLUMNS: Final = (
    "part", "document", "kind", "occurred_at", "location", "location_name_zh", "location_name_en", "source", "target",
    "quantity", "net", "hold", "purpose", "recipient", "party", "restriction", "reason", "reference", "actor",
    "reversed_by_document",
)  # fmt: skip
_CARD_COLUMNS: Final = (
    "id", "document", "kind", "occurred_at", "recorded_at", "source", "source_name_zh", "source_name_en", "target",
    "target_name_zh", "target_name_en", "counterpart", "counterpart_name_zh", "counterpart_name_en", "lot_number",
    "expires_on", "in", "out", "balance", "reason", "reference",
    "purpose", "recipient", "party", "actor", "reverses", "reverses_document", "reversed_by", "reversed_by_document",
)  # fmt: skip


# -- what they share --------------------------------------------------------------------------------------------------


def item_in_path(session: Session, code: str) -> ItemRow:
    found = catalogue.item(session, code)
    if found is None:
        raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
    return found


def _nothing(actor: Actor, detail: str, code: str) -> Forbidden | Unknown:
    """The same words for what is not there and for what is elsewhere; only at the top are they different."""
    return access.forbidden() if actor.place.parent_id is not None else Unknown(detail, code=code)


def _named(key: str, place: Place) -> dict[str, Any]:
    return {key: place.code, f"{key}_name_zh": place.name_zh, f"{key}_name_en": place.name_en}


def language(code: str) -> Literal["zh", "en"]:
    return "en" if code == "en" else "zh"


def cursor_moment(text: str) -> datetime:
    with _a_cursor_of_ours():
        found = aware(datetime.fromisoformat(text))
        assert found is not None  # noqa: S101 - of a text it never is
        return found


def _day_of(text: str) -> date:
    with _a_cursor_of_ours():
        return date.fromisoformat(text)


@contextlib.contextmanager
def _a_cursor_of_ours() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError, Invalid):
        detail = "This cursor is not one of ours; use next_cursor as it was answered."
        raise Invalid(detail, code="bad_cursor") from None
