"""Recording at one place: receipts, issues, adjustments, disposals, inspections, reversals, consumption."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

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
)
from api.desk import AtDesk, Recording, place_in_body
from api.stock import Body, document
from reserve import access, catalogue, inspection, ledger, reporting, reversal, scans, stock, supply
from reserve.access import Verb
from reserve.errors import Fault, Invalid, Unknown
from reserve.lines import InspectedLine, LotLine
from reserve.model import DocumentKind, Purpose
from reserve.posting import Particulars, Recorded

router = APIRouter(prefix="/v1")

Scanned = Annotated[str, Field(min_length=1, max_length=512)]
Number = Annotated[str, Path(pattern=r"^[A-Z]{2}-\d{8}-\d{1,9}$")]


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
    scan: Scanned | None = None
    lot_number: LotNumber | None = None
    expires_on: Day | None = None
    manufactured_on: Day | None = None
    quantity: Quantity | None = None
    packs: Quantity | None = None
    unit_cost: Cost = None

    @model_validator(mode="after")
    def _lot_is_named(self) -> Self:
        """A lot number is typed, or read from the scan."""
        if self.lot_number is None and self.scan is None:
            raise PydanticCustomError("missing", "a line needs its lot_number, or a scan that holds it")
        return self


class Receipt(Strict):
    """From a supplier, a donor (with what it was given for), or returned by somebody it was issued to."""

    location: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    supplier: Short | None = None
    donor: Short | None = None
    restriction: Words | None = None
    returned_by: Short | None = None
    planned_receipt: Code | None = None
    lines: Annotated[list[ReceiptLine], Field(min_length=1, max_length=LINES_MAX)]


class IssueLine(Strict):
    """Without a lot the first to expire is picked; a scan names item and lot."""

    item: Code | None = None
    scan: Scanned | None = None
    quantity: Quantity
    lot_number: LotNumber | None = None
    override_reason: Words | None = None

    @model_validator(mode="after")
    def _item_is_named(self) -> Self:
        if self.item is None and self.scan is None:
            raise PydanticCustomError("missing", "a line needs its item, or a scan that names it")
        return self


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
    asked: Used | None = None
    out_of_stock: Annotated[bool, Field(strict=True)] = False


class ConsumptionRows(Strict):
    rows: Annotated[list[ConsumptionRow], Field(min_length=1, max_length=LINES_MAX)]


class LotLineIn(Strict):
    item: Code
    lot_number: LotNumber
    quantity: Quantity


class Disposal(Strict):
    location: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    reason: Literal["expired", "damaged", "recalled"]
    lines: Annotated[list[LotLineIn], Field(min_length=1, max_length=LINES_MAX)]


class InspectionLine(Strict):
    item: Code
    lot_number: LotNumber
    quantity: Quantity
    outcome: Literal["passed", "rejected", "downgraded"]
    reason: Annotated[Words, Field(max_length=160)] | None = None
    into_item: Code | None = None
    destroy: Annotated[bool, Field(strict=True)] = False


class Inspection(Strict):
    location: Code
    inspector: Short
    occurred_at: Occurred | None = None
    reference: Short | None = None
    lines: Annotated[list[InspectionLine], Field(min_length=1, max_length=LINES_MAX)]


@router.post("/receipts", status_code=201, openapi_extra=body_of(Receipt), tags=["recording"])
def post_receipt(desk: AtDesk, request: Request, raw: Body) -> Response:
    """入库. Put goods in stock, all lines or none."""
    body = parse(Receipt, request, raw)
    source, told = _origin(body)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        lines = [_receipt_line(recording, line, f"/lines/{n}") for n, line in enumerate(body.lines)]
        entry = recording.entry(body.occurred_at, body.reference)
        session, location = recording.session, body.location
        posted = ledger.receive(session, entry, location=location, lines=lines, source=source, told=told)
        if body.planned_receipt is not None:
            planned = supply.link(session, entry, body.planned_receipt, receipt=posted, location=location)
            posted = posted._replace(more={"planned_receipt": supply.told(planned, entry.today)})
        return document(posted)

    return desk.record(request, raw, work)


@router.post("/issues", status_code=201, openapi_extra=body_of(Issue), tags=["recording"])
def post_issue(desk: AtDesk, request: Request, raw: Body) -> Response:
    """出库. Hand goods out, first expired first out, all lines or none."""
    body = parse(Issue, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        lines = issue_lines(recording, body.lines)
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


@router.post("/disposals", status_code=201, openapi_extra=body_of(Disposal), tags=["recording"])
def post_disposal(desk: AtDesk, request: Request, raw: Body) -> Response:
    """报废. Destroy what is expired, damaged or recalled, all lines or none."""
    body = parse(Disposal, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        lines = [LotLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        session, location = recording.session, body.location
        return document(ledger.dispose(session, entry, location=location, lines=lines, reason=body.reason))

    return desk.record(request, raw, work)


@router.post("/inspections", status_code=201, openapi_extra=body_of(Inspection), tags=["recording"])
def post_inspection(desk: AtDesk, request: Request, raw: Body) -> Response:
    """验收. What a named person decided of goods that wait: passed, rejected or downgraded."""
    body = parse(Inspection, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        lines = [InspectedLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        session, location = recording.session, body.location
        return document(inspection.inspect(session, entry, location=location, inspector=body.inspector, lines=lines))

    return desk.record(request, raw, work)


@router.post("/documents/{number}/reversal", status_code=201, openapi_extra=body_of(Reversal), tags=["recording"])
def post_document_reversal(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """冲销. Undo whatever of a document still stands, in one document."""
    body = parse(Reversal, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        question = stock.MovementQuestion(document=number, limit=LINES_MAX * 2)
        _require_reach(recording, stock.movements(recording.session, question), f"document {number}", "document")
        entry = recording.entry()
        return document(ledger.reverse_document(recording.session, entry, number=number, reason=body.reason))

    return desk.record(request, raw, work)


@router.post("/movements/{movement_id}/reversal", status_code=201, openapi_extra=body_of(Reversal), tags=["recording"])
def post_reversal(
    desk: AtDesk, request: Request, movement_id: Annotated[int, Path(ge=1, le=2**63 - 1)], raw: Body
) -> Response:
    """冲销. Undo one movement by its opposite, once."""
    body = parse(Reversal, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        found = stock.movements(recording.session, stock.MovementQuestion(movement_id=movement_id, limit=1))
        _require_reach(recording, found, f"movement {movement_id}", "movement")
        entry = recording.entry()
        return document(ledger.reverse(recording.session, entry, movement_id=movement_id, reason=body.reason))

    return desk.record(request, raw, work)


_MANAGED = {
    DocumentKind.ADJUSTMENT,
    DocumentKind.DISPOSAL,
    DocumentKind.COUNT,
    DocumentKind.SETTLEMENT,
    DocumentKind.INSPECTION,
}
"""What only a manager records, only a manager undoes."""


def _require_reach(recording: Recording, found: list[Recorded], what: str, noun: str) -> None:
    """Whoever may record at its places may undo it; outside, nothing is told, not even that it exists."""
    if not found:
        if recording.actor.place.parent_id is not None:
            raise access.forbidden()
        raise Unknown(f"There is no {what}.", code=f"unknown_{noun}")
    verb = Verb.MANAGE if any(row.kind in _MANAGED for row in found) else Verb.RECORD
    # where the document belongs too: what was lost on the road touches no place of anybody's
    access.require(recording.actor, verb, reversal.home(recording.session, found[0].document))
    for code in sorted({code for row in found for code in (row.source, row.target)}):
        place = catalogue.place(recording.session, code)
        if place is not None and place.stocked:
            access.require(recording.actor, verb, place)


def _origin(body: Receipt) -> tuple[str, Particulars]:
    """Where goods came from: the outside end, and who by name."""
    named = [name for name in ("supplier", "donor", "returned_by") if getattr(body, name) is not None]
    if len(named) > 1:
        raise Invalid(f"A receipt has one origin: {' or '.join(named)}, not both.", code="two_origins")
    if body.restriction is not None and body.donor is None:
        raise Invalid("A restriction is a donor's: name the donor.", code="restriction_without_donor")
    end = {"donor": "DONOR", "returned_by": "CONSUMER"}.get(named[0], "SUPPLIER") if named else "SUPPLIER"
    party = getattr(body, named[0]) if named else None
    return end, Particulars(party=party, restriction=body.restriction)


def _receipt_line(recording: Recording, line: ReceiptLine, pointer: str) -> ledger.ReceiptLine:
    named = scans.Named(line.item, line.gtin, line.lot_number, line.expires_on, line.manufactured_on, line.quantity)
    if line.scan is not None:
        named = scans.into_line(recording.session, line.scan, named, today_of(recording), pointer)
    if named.lot_number is None:
        detail = "The code holds no lot number; send lot_number beside it."
        raise Invalid(detail, faults=[Fault(f"{pointer}/lot_number", "missing", detail)])
    return ledger.ReceiptLine(
        named.lot_number,
        named.expires_on,
        item=named.item,
        gtin=named.gtin,
        quantity=named.quantity if line.packs is None else line.quantity,
        packs=line.packs,
        manufactured_on=named.manufactured_on,
        unit_cost=line.unit_cost,
    )


def issue_lines(recording: Recording, lines: list[IssueLine]) -> list[ledger.IssueLine]:
    """Lines that go out, their scans read."""
    taken = []
    for n, line in enumerate(lines):
        named = scans.Named(line.item, None, line.lot_number, None, None, line.quantity)
        if line.scan is not None:
            named = scans.into_line(recording.session, line.scan, named, today_of(recording), f"/lines/{n}")
            scans.refuse_other_dates(recording.session, named, f"/lines/{n}")
        if named.item is None:
            detail = "The code names no item; send item beside it."
            raise Invalid(detail, faults=[Fault(f"/lines/{n}/item", "missing", detail)])
        taken.append(ledger.IssueLine(named.item, line.quantity, named.lot_number, line.override_reason))
    return taken


def today_of(recording: Recording) -> date:
    return recording.now.astimezone(recording.desk.zone).date()


@router.post("/consumption", status_code=201, openapi_extra=body_of(ConsumptionRows), tags=["recording"])
def post_consumption(desk: AtDesk, request: Request, raw: Body) -> Response:
    """消耗上报. Daily use; a day sent again replaces the figure and keeps the old one."""
    body = parse(ConsumptionRows, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        first = {row.location: n for n, row in reversed(list(enumerate(body.rows)))}
        for code, n in sorted(first.items(), key=lambda pair: pair[1]):
            place_in_body(recording, Verb.REPORT, code, f"/rows/{n}/location")
        reports = [
            reporting.Report(row.location, row.item, row.date, row.quantity, row.out_of_stock, row.asked)
            for row in body.rows
        ]
        taken = reporting.report(recording.session, recording.entry(), reports)
        return {
            "rows": [
                {
                    "location": row.location,
                    "item": row.item,
                    "date": row.day,
                    "quantity": row.quantity,
                    "asked": row.asked,
                    "out_of_stock": row.out_of_stock,
                    "revision": row.revision,
                    "recorded_at": recording.now,
                }
                for row in taken
            ]
        }

    return desk.record(request, raw, work)
