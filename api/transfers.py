"""Transfers over HTTP (调拨): send, receive, settle; what is on the road."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.bodies import LINES_MAX, Code, Day, LotNumber, Occurred, Quantity, Short, Strict, Words, body_of, parse
from api.desk import AtDesk, Recording, answer, moment, page, place_in_body, place_in_path, read_cursor
from api.recording import IssueLine, LotLineIn, Number, issue_lines
from api.stock import Body, CodeAsked, Limit, document
from reserve import access, catalogue, transfers, transit
from reserve.access import Actor, Verb
from reserve.catalogue import Place
from reserve.errors import Unknown
from reserve.lines import LotLine, SettledLine
from reserve.model import TransferState
from reserve.transit import TransferRow

router = APIRouter(prefix="/v1")


class TransferIn(Strict):
    source: Code
    target: Code
    occurred_at: Occurred | None = None
    reference: Short | None = None
    carrier: Short | None = None
    expected_on: Day | None = None
    lines: Annotated[list[IssueLine], Field(min_length=1, max_length=LINES_MAX)]


class Arrival(Strict):
    """What came; without lines, everything that is still on the road."""

    occurred_at: Occurred | None = None
    reference: Short | None = None
    lines: Annotated[list[LotLineIn], Field(min_length=1, max_length=LINES_MAX)] | None = None


class SettlementLine(Strict):
    item: Code
    lot_number: LotNumber
    quantity: Quantity
    outcome: Literal["lost", "damaged", "returned"]
    reason: Annotated[Words, Field(max_length=160)]


class Settlement(Strict):
    occurred_at: Occurred | None = None
    reference: Short | None = None
    lines: Annotated[list[SettlementLine], Field(min_length=1, max_length=LINES_MAX)]


@router.post("/transfers", status_code=201, openapi_extra=body_of(TransferIn), tags=["recording"])
def post_transfer(desk: AtDesk, request: Request, raw: Body) -> Response:
    """调拨出库. Put goods on the road, first expired first out; on nobody's shelf until they are received."""
    body = parse(TransferIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.source, "/source")
        _target_in_body(recording, body.target)
        posted = transfers.send(
            recording.session,
            recording.entry(body.occurred_at, body.reference),
            source=body.source,
            target=body.target,
            lines=issue_lines(recording, body.lines),
            carrier=body.carrier,
            expected_on=body.expected_on,
        )
        return document(posted)

    return desk.record(request, raw, work)


@router.post("/transfers/{number}/receipt", status_code=201, openapi_extra=body_of(Arrival), tags=["recording"])
def post_transfer_receipt(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """调拨入库. Take in what came; what is missing stays on the road until a manager settles it."""
    body = parse(Arrival, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.RECORD, "target_id")
        lines = None if body.lines is None else [LotLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        return document(transfers.receive(recording.session, entry, number=number, lines=lines))

    return desk.record(request, raw, work)


@router.post("/transfers/{number}/settlement", status_code=201, openapi_extra=body_of(Settlement), tags=["recording"])
def post_transfer_settlement(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """在途损失处理. Say what became of goods that never came; a manager of the place that sent them."""
    body = parse(Settlement, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.MANAGE, "source_id")
        lines = [SettledLine(**line.model_dump()) for line in body.lines]
        entry = recording.entry(body.occurred_at, body.reference)
        return document(transfers.settle(recording.session, entry, number=number, lines=lines))

    return desk.record(request, raw, work)


@router.get("/transfers", tags=["asking"])
def get_transfers(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    state: TransferState | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """Transfers to and from one's places, the newest first, with what of each is still on the road."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        places = {place.id: place for place in catalogue.places(session)}
        question = transit.TransferQuestion(
            frozenset(place.id for place in places.values() if scope.holds(place)),
            state,
            None if before is None else before[0],
            limit + 1,
        )
        kept, following = page(transit.transfers(session, question), limit, lambda row: [row.document_id])
        on_the_road = transfers.outstanding_of(session, [row.document_id for row in kept if _open(row)])
        told = [{**_row(row, places), "outstanding": on_the_road.get(row.document_id, [])} for row in kept]
    return answer({"items": told, "next_cursor": following})


@router.get("/transfers/{number}", tags=["asking"])
def get_transfer(desk: AtDesk, request: Request, number: Number) -> Response:
    """One transfer: where it goes, how it stands, what of it is on the road."""
    with desk.asking(request) as (session, actor):
        places = {place.id: place for place in catalogue.places(session)}
        found = transit.find(session, number)
        if found is None or not _sees(actor, places, found):
            raise _unknown(actor, number)
        left = transfers.outstanding_rows(session, found.document_id) if _open(found) else []
        told = {**_row(found, places), "outstanding": left}
    return answer(told)


def _open(row: TransferRow) -> bool:
    return row.state != TransferState.CLOSED


def _row(row: TransferRow, places: dict[int, Place]) -> dict[str, Any]:
    return {
        "document": row.number,
        "source": places[row.source_id].code,
        "target": places[row.target_id].code,
        "occurred_at": moment(row.occurred_at),
        "expected_on": row.expected_on,
        "state": row.state,
    }


def _sees(actor: Actor, places: dict[int, Place], row: TransferRow) -> bool:
    return any(access.may(actor, Verb.READ, places[end]) for end in (row.source_id, row.target_id))


def _unknown(actor: Actor, number: str) -> Exception:
    if actor.place.parent_id is not None:
        return access.forbidden()
    return Unknown(f"There is no transfer {number}.", code="unknown_transfer")


def _require(recording: Recording, number: str, verb: Verb, end: str) -> None:
    """The right at one end of a transfer; who has it at neither is told nothing, not even that it exists."""
    places = {place.id: place for place in catalogue.places(recording.session)}
    found = transit.find(recording.session, number)
    if found is None:
        raise _unknown(recording.actor, number)
    access.require(recording.actor, verb, places[getattr(found, end)])


def _target_in_body(recording: Recording, code: str) -> None:
    """Goods may be sent to any store of the reserve: that it exists is no secret to who sends goods."""
    catalogue.require_place(recording.session, code, "/target")
