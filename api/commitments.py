"""Agreements and planned receipts over HTTP (协议储备、产能储备、预计到货): enter, verify, call up, follow."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field
from sqlmodel import Session

from api import exports
from api.bodies import Code, Day, Quantity, Short, Strict, Used, Words, body_of, clean, parse
from api.desk import AtDesk, Recording, answer, page, place_in_body, place_in_path, read_cursor
from api.recording import Number
from api.stock import Body, CodeAsked, Limit
from reserve import access, catalogue, commitments, policy, supply
from reserve.access import Actor, Verb
from reserve.commitments import CommitmentQuestion, CommitmentRow, NewCommitment
from reserve.errors import Unknown
from reserve.model import CommitmentKind
from reserve.supply import NewPlanned, PlannedQuestion, PlannedRow

router = APIRouter(prefix="/v1")

LeadTime = Annotated[int, Field(strict=True, ge=0, le=commitments.LEAD_TIME_DAYS_MAX)]
Note = Annotated[str, BeforeValidator(clean), Field(max_length=500)]


class CommitmentIn(Strict):
    """A contract has its `quantity`, capacity its `units_per_day`; `renews` names the agreement before it."""

    kind: CommitmentKind
    item: Code
    scope: Code
    supplier: Short
    quantity: Quantity | None = None
    units_per_day: Quantity | None = None
    lead_time_days: LeadTime
    valid_from: Day
    valid_until: Day
    verified_on: Day | None = None
    reference: Short | None = None
    renews: Code | None = None


class VisitIn(Strict):
    """`seen`: units that lay there beyond what was called before, or units a day that could be made."""

    visited_on: Day
    visitor: Short
    seen: Used
    note: Note | None = None


class EndingIn(Strict):
    ended_on: Day
    reason: Words


class CallUpIn(Strict):
    quantity: Quantity
    location: Code
    expected_on: Day | None = None
    reason: Words


class PlannedIn(Strict):
    """An order: `units_per_day` where it comes in daily parts from `expected_on` on."""

    item: Code
    location: Code
    quantity: Quantity
    expected_on: Day
    supplier: Short | None = None
    reference: Short | None = None
    units_per_day: Quantity | None = None
    expires_on: Day | None = None
    ordered_on: Day | None = None
    reason: Words | None = None


class ChangeIn(Strict):
    """`quantity` is the new total, never less than came; what came, or 0, ends it."""

    quantity: Used | None = None
    expected_on: Day | None = None
    reason: Words


# -- agreements -------------------------------------------------------------------------------------------------------


@router.post("/commitments", status_code=201, openapi_extra=body_of(CommitmentIn), tags=["recording"])
def post_commitment(desk: AtDesk, request: Request, raw: Body) -> Response:
    """协议备案. Enter an agreement with a supplier: a quantity within its lead time, or units a day."""
    body = parse(CommitmentIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.scope, "/scope")
        return _whole(recording, commitments.add(recording.session, recording.entry(), _new(body)))

    return desk.record(request, raw, work)


@router.get("/commitments", tags=["asking"])
def get_commitments(
    desk: AtDesk,
    request: Request,
    scope: CodeAsked = None,
    item: CodeAsked = None,
    kind: CommitmentKind | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """协议. Agreements, the newest first: what counts of each today, and why not where nothing does."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        today = desk.clock().astimezone(desk.zone).date()
        question = CommitmentQuestion(
            scope=actor.place if scope is None else place_in_path(session, actor, scope),
            item_id=_item_id(session, item),
            kind=kind,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
        kept, following = page(commitments.commitments(session, question, today), limit, lambda row: [row.id])
        within = _verified_within(session, kept, today)
    rows = [commitments.told(row, today, within[row.id]) for row in kept]
    if format != "json":
        return exports.sheet(rows, format, "commitments")
    return answer({"items": rows, "next_cursor": following})


@router.get("/commitments/{number}", tags=["asking"])
def get_commitment(desk: AtDesk, request: Request, number: Number) -> Response:
    """One agreement: who looked at it and when, every call-up, what came of each, and whether it is late."""
    with desk.asking(request) as (session, actor):
        today = desk.clock().astimezone(desk.zone).date()
        _require_agreement(session, actor, number, Verb.READ, today)
        told = _told(session, commitments.find(session, number, today), today)
    return answer(told)


@router.post("/commitments/{number}/visits", status_code=201, openapi_extra=body_of(VisitIn), tags=["recording"])
def post_commitment_visit(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """核查. Record who looked at what a supplier keeps ready, when, and how much was there."""
    body = parse(VisitIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_managed(recording, number)
        seen = commitments.visit(recording.session, recording.entry(), number, **body.model_dump())
        return _whole(recording, seen)

    return desk.record(request, raw, work)


@router.post("/commitments/{number}/ending", status_code=201, openapi_extra=body_of(EndingIn), tags=["recording"])
def post_commitment_ending(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """解除协议. End an agreement before its time; what was called of it stays ordered."""
    body = parse(EndingIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_managed(recording, number)
        ended = commitments.end(recording.session, recording.entry(), number, **body.model_dump())
        return _whole(recording, ended)

    return desk.record(request, raw, work)


@router.post("/commitments/{number}/call-ups", status_code=201, openapi_extra=body_of(CallUpIn), tags=["recording"])
def post_commitment_call_up(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """启动. Call an agreement up: the units leave the promise and are to come, in one act."""
    body = parse(CallUpIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_managed(recording, number)
        made = commitments.call_up(recording.session, recording.entry(), number, **body.model_dump())
        return _followed(recording, made)

    return desk.record(request, raw, work)


def _new(body: CommitmentIn) -> NewCommitment:
    return NewCommitment(**{name: getattr(body, name) for name in NewCommitment._fields})


def _whole(recording: Recording, row: CommitmentRow) -> dict[str, Any]:
    return _told(recording.session, row, recording.entry().today)


def _told(session: Session, row: CommitmentRow, today: date) -> dict[str, Any]:
    called = supply.calls(session, [row.id])
    within = _verified_within(session, [row], today)[row.id]
    return {
        **commitments.told(row, today, within),
        "visits": [visit._asdict() for visit in commitments.visits(session, row.id)],
        "call_ups": supply.described(session, called, today),
    }


def _verified_within(session: Session, rows: list[CommitmentRow], today: date) -> dict[int, int]:
    """For how many days a look counts, agreement by agreement."""
    if not rows:
        return {}
    policies = policy.in_force(session, today)
    places = {place.id: place for place in catalogue.places(session)}
    items = catalogue.items_by_id(session, {row.promise.item_id for row in rows})
    return {row.id: commitments.verified_within(row, items[row.promise.item_id], policies, places) for row in rows}


def _require_managed(recording: Recording, number: str) -> None:
    today = recording.entry().today
    _require_agreement(recording.session, recording.actor, number, Verb.MANAGE, today)


def _require_agreement(session: Session, actor: Actor, number: str, verb: Verb, today: date) -> None:
    """The right in its scope; outside, nothing is told, not even that it exists."""
    try:
        found = commitments.find(session, number, today)
    except Unknown:
        if actor.place.parent_id is not None:
            raise access.forbidden() from None
        raise
    access.require(actor, verb, catalogue.place(session, found.scope))


# -- planned receipts -------------------------------------------------------------------------------------------------


@router.post("/planned-receipts", status_code=201, openapi_extra=body_of(PlannedIn), tags=["recording"])
def post_planned_receipt(desk: AtDesk, request: Request, raw: Body) -> Response:
    """预计到货. Enter an order: what should come, where, from when on. A receipt names it when it comes."""
    body = parse(PlannedIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        return _followed(recording, supply.plan(recording.session, recording.entry(), NewPlanned(**body.model_dump())))

    return desk.record(request, raw, work)


@router.get("/planned-receipts", tags=["asking"])
def get_planned_receipts(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    commitment: CodeAsked = None,
    state: Literal["open", "done"] | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """Planned receipts of one's places, the newest first: what came of each, what is left, what is late."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        today = desk.clock().astimezone(desk.zone).date()
        question = PlannedQuestion(
            scope=actor.place if location is None else place_in_path(session, actor, location),
            item_id=_item_id(session, item),
            commitment=commitment,
            open=None if state is None else state == "open",
            before=None if before is None else before[0],
            limit=limit + 1,
        )
        kept, following = page(supply.planned(session, question), limit, lambda row: [row.id])
    rows = [supply.told(row, today) for row in kept]
    if format != "json":
        return exports.sheet(rows, format, "planned-receipts")
    return answer({"items": rows, "next_cursor": following})


@router.get("/planned-receipts/{number}", tags=["asking"])
def get_planned_receipt(desk: AtDesk, request: Request, number: Number) -> Response:
    """One planned receipt: how it was changed, and the receipts on which it came."""
    with desk.asking(request) as (session, actor):
        found = _require_planned(session, actor, number, Verb.READ)
        [told] = supply.described(session, [found], desk.clock().astimezone(desk.zone).date())
    return answer(told)


@router.post("/planned-receipts/{number}/changes", status_code=201, openapi_extra=body_of(ChangeIn), tags=["recording"])
def post_planned_receipt_change(desk: AtDesk, request: Request, number: Number, raw: Body) -> Response:
    """变更. Another day, or another quantity in all; what a call-up loses is promised again."""
    body = parse(ChangeIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        found = _require_planned(recording.session, recording.actor, number, Verb.MANAGE)
        if found.commitment is not None:  # what it loses or gains is the agreement's
            _require_managed(recording, found.commitment)
        changed = supply.change(recording.session, recording.entry(), number, **body.model_dump())
        return _followed(recording, changed)

    return desk.record(request, raw, work)


def _followed(recording: Recording, row: PlannedRow) -> dict[str, Any]:
    [told] = supply.described(recording.session, [row], recording.entry().today)
    return told


def _require_planned(session: Session, actor: Actor, number: str, verb: Verb) -> PlannedRow:
    """The right where it should come; outside, nothing is told, not even that it exists."""
    try:
        found = supply.find(session, number)
    except Unknown:
        if actor.place.parent_id is not None:
            raise access.forbidden() from None
        raise
    access.require(actor, verb, catalogue.place(session, found.location))
    return found


def _item_id(session: Session, code: str | None) -> int | None:
    if code is None:
        return None
    found = catalogue.item(session, code)
    if found is None:
        raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
    return found.id
