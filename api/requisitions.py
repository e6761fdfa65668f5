"""Requisitions over HTTP (请领): ask, approve by another person, issue what was promised."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.bodies import LINES_MAX, Code, Day, Quantity, Short, Strict, Words, body_of, parse
from api.desk import AtDesk, Recording, answer, page, place_in_body, place_in_path, read_cursor
from api.recording import Number
from api.stock import Body, CodeAsked, Limit, document
from reserve import access, catalogue, requisitions
from reserve.access import Actor, Verb
from reserve.errors import Unknown
from reserve.model import Purpose, RequisitionState
from reserve.requisitions import WantedLine

router = APIRouter(prefix="/v1")


class WantedLineIn(Strict):
    item: Code
    quantity: Quantity


Wanted = Annotated[list[WantedLineIn], Field(min_length=1, max_length=LINES_MAX)]


class RequisitionIn(Strict):
    location: Code
    purpose: Purpose
    recipient: Short
    reference: Short | None = None
    needed_on: Day | None = None
    lines: Wanted


class Granted(Strict):
    """What is granted; without lines, all that was asked for."""

    lines: Wanted | None = None


class Taken(Strict):
    """What is handed out; without lines, all that is promised."""

    reference: Short | None = None
    lines: Wanted | None = None


class Because(Strict):
    reason: Words


class Nothing(Strict):
    """No fields."""


def _lines(given: list[WantedLineIn] | None) -> list[WantedLine] | None:
    return None if given is None else [WantedLine(line.item, line.quantity) for line in given]


@router.post("/requisitions", status_code=201, openapi_extra=body_of(RequisitionIn), tags=["recording"])
def post_requisition(desk: AtDesk, request: Request, raw: Body) -> Response:
    """请领. Ask for goods of a place; nothing is promised until another person approves."""
    body = parse(RequisitionIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        made = requisitions.request(
            recording.session,
            recording.entry(reference=body.reference),
            location=body.location,
            purpose=body.purpose,
            recipient=body.recipient,
            lines=_lines(body.lines) or [],
            needed_on=body.needed_on,
        )
        return requisitions.describe(recording.session, made.number)

    return desk.record(request, raw, work)


@router.post("/requisitions/{number}/approval", status_code=201, openapi_extra=body_of(Granted), tags=["recording"])
def post_requisition_approval(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """批准. Promise the goods, lot by lot; what is promised is offered to nobody else."""
    body = parse(Granted, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.MANAGE)
        return requisitions.approve(recording.session, recording.entry(), number=number, lines=_lines(body.lines))

    return desk.record(request, raw, work)


@router.post("/requisitions/{number}/refusal", status_code=201, openapi_extra=body_of(Because), tags=["recording"])
def post_requisition_refusal(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """不批准. Say no, with the reason."""
    body = parse(Because, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.MANAGE)
        return requisitions.refuse(recording.session, recording.entry(), number=number, reason=body.reason)

    return desk.record(request, raw, work)


@router.post("/requisitions/{number}/cancellation", status_code=201, openapi_extra=body_of(Because), tags=["recording"])
def post_requisition_cancellation(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """取消. What was promised and not issued is free again."""
    body = parse(Because, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.RECORD)
        return requisitions.cancel(recording.session, recording.entry(), number=number, reason=body.reason)

    return desk.record(request, raw, work)


@router.post("/requisitions/{number}/reallocation", status_code=201, openapi_extra=body_of(Nothing), tags=["recording"])
def post_requisition_reallocation(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """重新分配. Pick anew what is promised, where lots were held, expired or lost since."""
    parse(Nothing, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.RECORD)
        return requisitions.reallocate(recording.session, recording.entry(), number=number)

    return desk.record(request, raw, work)


@router.post("/requisitions/{number}/issue", status_code=201, openapi_extra=body_of(Taken), tags=["recording"])
def post_requisition_issue(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """按单出库. Hand out what was promised, all or part of it."""
    body = parse(Taken, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require(recording, number, Verb.RECORD)
        entry = recording.entry(reference=body.reference)
        return document(requisitions.issue(recording.session, entry, number=number, lines=_lines(body.lines)))

    return desk.record(request, raw, work)


@router.get("/requisitions", tags=["asking"])
def get_requisitions(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    state: RequisitionState | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """Requisitions of one's places, the newest first."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        found = requisitions.requisitions(
            session, scope, state=state, before=None if before is None else before[0], limit=limit + 1
        )
        kept, following = page(found, limit, lambda row: [row.id])
        told = requisitions.described(session, kept)
    return answer({"items": told, "next_cursor": following})


@router.get("/requisitions/{number}", tags=["asking"])
def get_requisition(desk: AtDesk, request: Request, number: Number) -> Response:
    """One requisition: what was asked for, promised and issued."""
    with desk.asking(request) as (session, actor):
        _require_reach(session, actor, number, Verb.READ)
        told = requisitions.describe(session, number)
    return answer(told)


def _require(recording: Recording, number: str, verb: Verb) -> None:
    _require_reach(recording.session, recording.actor, number, verb)


def _require_reach(session: Any, actor: Actor, number: str, verb: Verb) -> None:  # noqa: ANN401 - a session
    """The right at its place; outside, nothing is told, not even that it exists."""
    try:
        found = requisitions.find(session, number)
    except Unknown:
        if actor.place.parent_id is not None:
            raise access.forbidden() from None
        raise
    place = catalogue.place(session, found.location)
    access.require(actor, verb, place)
