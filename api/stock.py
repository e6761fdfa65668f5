"""Recording and asking about stock: receipts, issues, adjustments, reversals, consumption; stock and movements."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlmodel import Session

from api import exports
from api.bodies import (
    LINES_MAX,
    Code,
    Day,
    LotNumber,
    Occurred,
    Quantity,
    Short,
    Signed,
    Strict,
    Used,
    Words,
    body_of,
    parse,
    read_body,
)
from api.desk import (
    AtDesk,
    Recording,
    answer,
    moment,
    page,
    place_in_body,
    place_in_path,
    read_cursor,
    unchanged,
)
from reserve import access, catalogue, consumption, ledger, stock
from reserve.access import Verb
from reserve.entry import day_bounds
from reserve.errors import Invalid, Unknown
from reserve.model import DocumentKind, Purpose
from reserve.posting import Posted, Recorded

router = APIRouter(prefix="/v1")

Body = Annotated[bytes, Depends(read_body)]
Limit = Annotated[int, Query(ge=1, le=1000)]
CodeAsked = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
LotAsked = Annotated[str | None, Query(pattern=r"^[\x21-\x7e]{1,20}$")]


def _cost(value: object) -> int | None:
    """Yuan a base unit, at most four decimals, as whole 0.0001 yuan."""
    if value is None:
        return None
    try:
        yuan = Decimal(value if isinstance(value, str) else repr(value))
    except (InvalidOperation, ValueError):
        raise PydanticCustomError("cost", "a price in yuan is needed, such as 1.25") from None
    if isinstance(value, bool) or not yuan.is_finite() or not 0 <= yuan < 10**9 or yuan != round(yuan, 4):
        raise PydanticCustomError("cost", "a price in yuan has at most four decimals and lies below 10^9")
    return int(yuan * 10000)


Cost = Annotated[
    int | None,
    BeforeValidator(_cost),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "null"}]}),
]


class ReceiptLine(Strict):
    item: Code | None = None
    gtin: Annotated[str, Field(min_length=8, max_length=14)] | None = None
    lot_number: LotNumber
    expires_on: Day | None = None
    manufactured_on: Day | None = None
    quantity: Quantity | None = None
    packs: Quantity | None = None
    unit_cost: Cost = None


class Receipt(Strict):
    location: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    lines: Annotated[list[ReceiptLine], Field(min_length=1, max_length=LINES_MAX)]


class IssueLine(Strict):
    item: Code
    quantity: Quantity
    lot_number: LotNumber | None = None
    override_reason: Words | None = None


class Issue(Strict):
    location: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    purpose: Purpose
    recipient: Short | None = None
    lines: Annotated[list[IssueLine], Field(min_length=1, max_length=LINES_MAX)]


class AdjustmentLine(Strict):
    item: Code
    lot_number: LotNumber
    quantity: Signed
    reason: Short
    expires_on: Day | None = None


class Adjustment(Strict):
    location: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    lines: Annotated[list[AdjustmentLine], Field(min_length=1, max_length=LINES_MAX)]


class Reversal(Strict):
    reason: Words


class ConsumptionRow(Strict):
    location: Code
    item: Code
    date: Day
    quantity: Used


class ConsumptionRows(Strict):
    rows: Annotated[list[ConsumptionRow], Field(min_length=1, max_length=LINES_MAX)]


# -- recording --------------------------------------------------------------------------------------------------------


@router.post("/receipts", status_code=201, openapi_extra=body_of(Receipt), tags=["recording"])
def post_receipt(desk: AtDesk, request: Request, raw: Body) -> Response:
    """入库. Put goods in stock, all lines or none."""
    body = parse(Receipt, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        lines = [ledger.ReceiptLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        return document(ledger.receive(recording.session, entry, location=body.location, lines=lines))

    return desk.record(request, raw, work)


@router.post("/issues", status_code=201, openapi_extra=body_of(Issue), tags=["recording"])
def post_issue(desk: AtDesk, request: Request, raw: Body) -> Response:
    """出库. Hand goods out, first expired first out, all lines or none."""
    body = parse(Issue, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        lines = [ledger.IssueLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        posted = ledger.issue(
            recording.session,
            entry,
            location=body.location,
            lines=lines,
            purpose=body.purpose,
            recipient=body.recipient,
        )
        return document(posted)

    return desk.record(request, raw, work)


@router.post("/adjustments", status_code=201, openapi_extra=body_of(Adjustment), tags=["recording"])
def post_adjustment(desk: AtDesk, request: Request, raw: Body) -> Response:
    """调整. Correct the books by signed quantities, each with its reason."""
    body = parse(Adjustment, request, raw)
    if any(line.quantity == 0 for line in body.lines):
        raise Invalid("An adjustment of 0 changes nothing; leave the line out.")

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        lines = [ledger.AdjustmentLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        return document(ledger.adjust(recording.session, entry, location=body.location, lines=lines))

    return desk.record(request, raw, work)


@router.post("/movements/{movement_id}/reversal", status_code=201, openapi_extra=body_of(Reversal), tags=["recording"])
def post_reversal(
    desk: AtDesk, request: Request, movement_id: Annotated[int, Path(ge=1, le=2**63 - 1)], raw: Body
) -> Response:
    """冲销. Undo one movement by its opposite, once."""
    body = parse(Reversal, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_reach(recording, movement_id)
        entry = recording.entry()
        return document(ledger.reverse(recording.session, entry, movement_id=movement_id, reason=body.reason))

    return desk.record(request, raw, work)


def _require_reach(recording: Recording, movement_id: int) -> None:
    """Whoever may record at its place may reverse a movement; outside, nothing is told, not even that it exists."""
    question = stock.MovementQuestion(movement_id=movement_id, limit=1)
    found = stock.movements(recording.session, question)
    if not found:
        if recording.actor.place.parent_id is not None:
            raise access.forbidden()
        raise Unknown(f"There is no movement {movement_id}.", code="unknown_movement")
    verb = Verb.MANAGE if found[0].kind == DocumentKind.ADJUSTMENT else Verb.RECORD
    for code in (found[0].source, found[0].target):
        place = catalogue.place(recording.session, code)
        if place is not None and place.inside:
            access.require(recording.actor, verb, place)


@router.post("/consumption", status_code=201, openapi_extra=body_of(ConsumptionRows), tags=["recording"])
def post_consumption(desk: AtDesk, request: Request, raw: Body) -> Response:
    """消耗上报. Daily use; a day sent again replaces the figure and keeps the old one."""
    body = parse(ConsumptionRows, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        first = {row.location: n for n, row in reversed(list(enumerate(body.rows)))}
        for code, n in sorted(first.items(), key=lambda pair: pair[1]):
            place_in_body(recording, Verb.REPORT, code, f"/rows/{n}/location")
        reports = [consumption.Report(row.location, row.item, row.date, row.quantity) for row in body.rows]
        taken = consumption.report(recording.session, recording.entry(), reports)
        return {
            "rows": [
                {
                    "location": row.location,
                    "item": row.item,
                    "date": row.day,
                    "quantity": row.quantity,
                    "revision": row.revision,
                    "recorded_at": recording.now,
                }
                for row in taken
            ]
        }

    return desk.record(request, raw, work)


def document(posted: Posted) -> dict[str, Any]:
    return {"document": posted.document, "movements": [movement(row) for row in posted.movements]}


def stock_row(row: stock.StockRow) -> dict[str, Any]:
    return {
        "location": row.location,
        "item": row.item,
        "lot_number": row.lot_number,
        "expires_on": row.expires_on,
        "on_hand": row.on_hand,
        "allocated": row.allocated,
        "usable": row.usable,
        "available": row.available,
        "expired": row.expired,
        "hold": row.hold,
        "owner": row.owner,
    }


def movement(row: Recorded) -> dict[str, Any]:
    return {**row._asdict(), "occurred_at": moment(row.occurred_at), "recorded_at": moment(row.recorded_at)}


# -- asking -----------------------------------------------------------------------------------------------------------


@router.get("/stock", tags=["asking"])
def get_stock(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    lot_number: LotAsked = None,
    as_of: date | None = None,
    known_at: datetime | None = None,
    include_zero: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """What lies where, lot by lot; `as_of` sums the ledger up to the end of that day."""
    with desk.asking(request) as (session, actor):
        now = desk.clock()
        today = now.astimezone(desk.zone).date()
        day = past_day(as_of, today)
        scope = actor.place if location is None else place_in_path(session, actor, location)
        after = read_cursor(cursor, (int, int))
        live = day == today and known_at is None
        rows = stock.rows(
            session,
            stock.StockQuestion(
                day=day,
                scope=scope,
                item_id=_item_id(session, item),
                lot_number=lot_number,
                at=None if live else stock.end_of_day(day, desk.zone),
                known_at=aware(known_at),
                include_zero=include_zero,
                after=None if after is None else (after[0], after[1]),
                limit=limit + 1,
            ),
        )
    kept, following = page(rows, limit, lambda row: [row.location_id, row.lot_id])
    body: dict[str, Any] = {
        "items": [stock_row(row) for row in kept],
        "next_cursor": following,
    }
    if format != "json":
        return exports.sheet(body["items"], format, "stock")
    made = answer(body)
    etag = f'"{sha256(bytes(made.body)).hexdigest()[:32]}"'
    made.headers["ETag"] = etag
    return unchanged(request, etag) or made


@router.get("/movements", tags=["asking"])
def get_movements(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    lot_number: LotAsked = None,
    since: date | None = None,
    until: date | None = None,
    document: CodeAsked = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """The ledger, newest first. `since` and `until` are civil days, both counted in."""
    before = read_cursor(cursor, (str, int))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        rows = stock.movements(
            session,
            stock.MovementQuestion(
                scope=scope,
                item_id=_item_id(session, item),
                lot_number=lot_number,
                document=document,
                since=None if since is None else day_bounds(_sane(since), desk.zone)[0],
                until=None if until is None else day_bounds(_sane(until), desk.zone)[1],
                before=None if before is None else (_moment_of(before[0]), before[1]),
                limit=limit + 1,
            ),
        )
    kept, following = page(rows, limit, lambda row: [moment(row.occurred_at), row.id])
    told = [movement(row) for row in kept]
    if format != "json":
        return exports.sheet(told, format, "movements")
    return answer({"items": told, "next_cursor": following})


def past_day(as_of: date | None, today: date) -> date:
    """The day asked about: today, or one that has been."""
    if as_of is None:
        return today
    if as_of > today:
        raise Invalid(f"{as_of} has not been yet; today is {today}. Ask for a projection.", code="as_of_in_future")
    return _sane(as_of)


def _sane(day: date) -> date:
    if not 1990 <= day.year <= 2100:
        raise Invalid("A day lies between 1990 and 2100.")
    return day


def aware(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None or not 1990 <= value.year <= 2100:
        raise Invalid("Write a moment with its offset, 2026-04-01T10:00:00+08:00.")
    return value.astimezone(UTC)


def _moment_of(text: str) -> datetime:
    refused = Invalid("This cursor is not one of ours; use next_cursor as it was answered.", code="bad_cursor")
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused from None
    raise refused


def _item_id(session: Session, code: str | None) -> int | None:
    if code is None:
        return None
    found = catalogue.item(session, code)
    if found is None:
        raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
    return found.id
