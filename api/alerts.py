"""HTTP about alerts and who is told: the whole history of each, and receivers with their test."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field
from sqlmodel import Session

from api import notify
from api.bodies import Code, Short, Strict, body_of, parse
from api.desk import AtDesk, Recording, answer, language_of, moment, page, place_in_body, place_in_path, read_cursor
from api.stock import Body, CodeAsked, Limit
from reserve import access, alerts, catalogue, journal
from reserve.access import Verb
from reserve.errors import Fault, Invalid, Unknown
from reserve.model import Level

router = APIRouter(prefix="/v1", tags=["alerts"])

ReceiverId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class ReceiverIn(Strict):
    name: Short
    kind: Literal["webhook"] = "webhook"
    url: Annotated[str, Field(min_length=8, max_length=2000)]
    secret: Annotated[str, Field(min_length=16, max_length=200, pattern=r"^[\x21-\x7e]+$")] | None = None
    scope: Code
    levels: Annotated[list[Level], Field(default_factory=lambda: list(Level), min_length=1, max_length=6)]
    language: Literal["zh", "en"] = "zh"


@router.get("/alerts")
def get_alerts(
    desk: AtDesk,
    request: Request,
    state: Literal["open", "resolved"] | None = None,
    level: Level | None = None,
    scope: CodeAsked = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """预警. Changes of level, newest first, with who was told, when, and what they answered."""
    language, before = language_of(request), read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        place = actor.place if scope is None else place_in_path(session, actor, scope)
        rows = alerts.told(
            session,
            within=place.path,
            level=level,
            state=state,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    kept, following = page(rows, limit, lambda row: [row.id])
    return answer({"items": [_alert(row, language) for row in kept], "next_cursor": following})


@router.get("/receivers")
def get_receivers(desk: AtDesk, request: Request) -> Response:
    """Who is told; secrets are never shown again."""
    with desk.asking(request) as (session, actor):
        access.require(actor, Verb.ADMINISTER, None)
        rows = [r for r in alerts.active_receivers(session) if r.scope_path.startswith(actor.place.path)]
    return answer({"items": [_receiver(row) for row in rows], "next_cursor": None})


@router.post("/receivers", status_code=201, openapi_extra=body_of(ReceiverIn))
def post_receiver(desk: AtDesk, request: Request, raw: Body) -> Response:
    """Add a receiver. Its address must be public https, or allowed by the operator's RESERVE_RECEIVER_ALLOW."""
    body = parse(ReceiverIn, request, raw)
    _require_admin(desk, request)
    try:
        notify.judge_address(body.url, desk.settings)
    except notify.AddressRefused as refused:
        faults = [Fault("/url", "receiver_address_refused", str(refused))]
        raise Invalid(str(refused), code="receiver_address_refused", faults=faults) from None

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.ADMINISTER, body.scope, "/scope")
        new = alerts.NewReceiver(**body.model_dump())
        made = alerts.add_receiver(recording.session, new, recording.now)
        write_receiver(recording.session, recording.actor.signature, recording.now, "receiver.made", made)
        return _receiver(made)

    return desk.record(request, raw, work)


@router.delete("/receivers/{receiver_id}", status_code=204)
def delete_receiver(desk: AtDesk, request: Request, receiver_id: ReceiverId) -> Response:
    """Tell it nothing more. Its history stays."""

    def work(recording: Recording) -> dict[str, Any]:
        own = _own(recording, receiver_id)
        write_receiver(recording.session, recording.actor.signature, recording.now, "receiver.retired", own)
        alerts.retire_receiver(recording.session, receiver_id, recording.now)
        return {}

    desk.record(request, b"", work, status=204)
    return Response(status_code=204)


@router.post("/receivers/{receiver_id}/test")
def post_receiver_test(desk: AtDesk, request: Request, receiver_id: ReceiverId) -> Response:
    """Send a test to a receiver now and answer how it went."""
    with desk.asking(request) as (session, actor):
        access.require(actor, Verb.ADMINISTER, None)
        row = next((r for r in alerts.active_receivers(session) if r.id == receiver_id), None)
        if row is None or not row.scope_path.startswith(actor.place.path):
            raise Unknown(f"There is no receiver {receiver_id}.", code="unknown_receiver")
    outcome = notify.send_test(row, now=desk.clock(), settings=desk.settings)
    return answer({"delivered": outcome.delivered, "error": outcome.error})


def write_receiver(session: Session, actor: str, now: datetime, verb: str, row: alerts.ReceiverRow) -> None:
    """What became of a receiver, in the journal. Of its address only the host: the rest may be a token."""
    parts = urlsplit(row.url)
    told = {
        "name": row.name,
        "kind": row.kind,
        "url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        "signed": row.secret is not None,
        "scope": row.scope,
        "levels": sorted(row.levels),
        "language": row.language,
    }
    facts: dict[str, Any] = {"before": told} if verb == "receiver.retired" else {"after": told}
    journal.write(session, actor=actor, now=now, verb=verb, subject=f"receiver {row.id}", **facts)


def _require_admin(desk: AtDesk, request: Request) -> None:
    """Before an address is looked up: only an admin may make us resolve names."""
    with desk.asking(request) as (_session, actor):
        access.require(actor, Verb.ADMINISTER, None)


def _own(recording: Recording, receiver_id: int) -> alerts.ReceiverRow:
    access.require(recording.actor, Verb.ADMINISTER, None)
    rows = alerts.active_receivers(recording.session)
    row = next((r for r in rows if r.id == receiver_id), None)
    if row is None:
        raise Unknown(f"There is no receiver {receiver_id}.", code="unknown_receiver")
    access.require(recording.actor, Verb.ADMINISTER, catalogue.place(recording.session, row.scope))
    return row


def _receiver(row: alerts.ReceiverRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "url": row.url,
        "signed": row.secret is not None,
        "scope": row.scope,
        "levels": sorted(row.levels),
        "language": row.language,
        "created_at": moment(row.created_at),
    }


def _alert(row: alerts.AlertTold, language: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "scope": row.scope,
        "item": row.item,
        "sequence": row.sequence,
        "level": row.level,
        "previous_level": row.previous_level,
        "change": row.change,
        "reason": row.reason_zh if language == "zh" else row.reason_en,
        "state": "open" if row.latest and row.level != Level.NORMAL else "resolved",
        "raised_at": moment(row.raised_at),
        "coverage": json.loads(row.coverage),
        "notices": [_notice(n) for n in row.notices],
    }


def _notice(row: alerts.NoticeTold) -> dict[str, Any]:
    delivered: datetime | None = row.delivered_at
    return {**row._asdict(), "delivered_at": moment(delivered)}
