"""Lots over HTTP: held and let go everywhere at once, dates put right, scans read, labels printed, picks explained."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from api.bodies import LOT_PATTERN, Code, Day, Strict, Words, body_of, parse
from api.desk import AtDesk, Recording, answer, moment, place_in_path
from api.stock import Body
from reserve import access, catalogue, ledger, lots, scans, stock
from reserve.access import Verb
from reserve.catalogue import ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Unknown
from reserve.lots import LotRow
from reserve.model import QUANTITY_MAX
from reserve.stock import StockRow

router = APIRouter(prefix="/v1")

Reason = Literal["quarantine", "recall", "damage"]
ItemCode = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
LotNumberInPath = Annotated[str, Path(pattern=LOT_PATTERN)]


class HoldIn(Strict):
    reason: Reason
    note: Words | None = None


class Redating(Strict):
    """The dates as the label says them, read again."""

    expires_on: Day | None
    manufactured_on: Day | None = None
    reason: Words


class ScanIn(Strict):
    data: Annotated[str, Field(max_length=512)]
    location: Code | None = None


# -- held -------------------------------------------------------------------------------------------------------------


@router.put("/lots/{item}/{lot_number:path}/hold", openapi_extra=body_of(HoldIn), tags=["recording"])
def put_hold(desk: AtDesk, request: Request, item: ItemCode, lot_number: LotNumberInPath, raw: Body) -> Response:
    """冻结. Stop a lot everywhere at once; the answer says where it lies. Sent again it changes nothing."""
    body = parse(HoldIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        access.require(recording.actor, Verb.RECORD, None)
        found, lot = _lot(recording, item, lot_number)
        lots.keep_held(
            recording.session,
            item_id=found.id,
            lot_number=lot_number,
            reason=body.reason,
            note=body.note,
            actor=recording.actor.signature,
            now=recording.now,
            scope_id=recording.actor.place.id,
        )
        return _held(recording, found, lot)

    return desk.record(request, raw, work, status=200)


@router.delete("/lots/{item}/{lot_number:path}/hold", tags=["recording"])
def delete_hold(
    desk: AtDesk,
    request: Request,
    item: ItemCode,
    lot_number: LotNumberInPath,
    raw: Body,
    reason: Reason | None = None,
) -> Response:
    """解冻. Let a lot go: for one reason, or for all. A manager of the place it was held from, or above it."""

    def work(recording: Recording) -> dict[str, Any]:
        access.require(recording.actor, Verb.MANAGE, None)
        found, lot = _lot(recording, item, lot_number)
        places = {place.id: place for place in catalogue.places(recording.session)}
        for standing in lots.holds(recording.session, lot.id):
            if standing.scope_id is not None and reason in {None, standing.reason}:
                access.require(recording.actor, Verb.MANAGE, places[standing.scope_id])
        lots.lift_hold(
            recording.session,
            item_id=found.id,
            lot_number=lot_number,
            reason=reason,
            actor=recording.actor.signature,
            now=recording.now,
        )
        return _held(recording, found, lot)

    return desk.record(request, raw, work, status=200, parameters={"reason"})


@router.patch("/lots/{item}/{lot_number:path}/dates", openapi_extra=body_of(Redating), tags=["recording"])
def patch_dates(desk: AtDesk, request: Request, item: ItemCode, lot_number: LotNumberInPath, raw: Body) -> Response:
    """更正效期. Put the dates of a misread label right; what was known before keeps the old ones."""
    body = parse(Redating, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        access.require(recording.actor, Verb.MANAGE, None)
        found, lot = _lot(recording, item, lot_number)
        question = stock.StockQuestion(day=recording.entry().today, item_id=found.id, lot_number=lot_number)
        places = {place.id: place for place in catalogue.places(recording.session)}
        for row in stock.rows(recording.session, question):  # the dates count wherever the lot lies
            # what is on the road is on its way to a place that may be anybody's: for a manager of the top
            access.require(
                recording.actor, Verb.MANAGE, places[row.location_id] if _lies(places, row) else _top(places)
            )
        lots.redate(
            recording.session,
            recording.entry(),
            item_id=found.id,
            lot_number=lot_number,
            manufactured_on=body.manufactured_on if "manufactured_on" in body.model_fields_set else lot.manufactured_on,
            expires_on=body.expires_on,
            reason=body.reason,
        )
        return _held(recording, *_lot(recording, item, lot_number))

    return desk.record(request, raw, work, status=200)


def _lies(places: dict[int, Place], row: StockRow) -> bool:
    return places[row.location_id].stocked


def _top(places: dict[int, Place]) -> Place:
    return next(place for place in places.values() if place.parent_id is None and place.stocked)


def _lot(recording: Recording, code: str, lot_number: str) -> tuple[ItemRow, LotRow]:
    """A lot the actor may know: below the top one that lies, or has lain, in their subtree."""
    session, actor = recording.session, recording.actor
    item = catalogue.item(session, code)
    if item is None:
        raise Unknown(f"There is no item {code}.", code="unknown_item")
    lot = lots.by_number(session, [(item.id, lot_number)]).get((item.id, lot_number))
    if lot is None or (actor.place.parent_id is not None and not lots.has_lain(session, lot.id, actor.place.path)):
        raise Unknown(f"There is no lot {lot_number} of {code}.", code="unknown_lot")
    return item, lot


def _held(recording: Recording, item: ItemRow, lot: LotRow) -> dict[str, Any]:
    """A lot with its holds, and where it lies as far as the actor may see."""
    question = stock.StockQuestion(day=recording.entry().today, item_id=item.id, lot_number=lot.lot_number)
    places = {place.id: place for place in catalogue.places(recording.session)}
    rows = stock.rows(recording.session, question)
    below_the_top = recording.actor.place.parent_id is not None  # what lies outside one's subtree is not told
    seen = [row for row in rows if access.may(recording.actor, Verb.READ, places[row.location_id])]
    return {
        "item": item.code,
        "lot_number": lot.lot_number,
        "manufactured_on": lot.manufactured_on,
        "expires_on": lot.expires_on,
        "holds": [
            {"reason": one.reason, "note": one.note, "placed_by": one.placed_by, "placed_at": moment(one.placed_at)}
            for one in lots.holds(recording.session, lot.id)
        ],
        "lies_at": [{"location": row.location, "on_hand": row.on_hand} for row in seen],
        "elsewhere": None if below_the_top else sum(row.on_hand for row in rows) - sum(row.on_hand for row in seen),
    }


# -- read and picked --------------------------------------------------------------------------------------------------


@router.post("/scan", openapi_extra=body_of(ScanIn), tags=["asking"])
def post_scan(desk: AtDesk, request: Request, raw: Body) -> Response:
    """扫码. What a scan is: item, pack, lot, expiry, and what lies of it here. Records nothing."""
    body = parse(ScanIn, request, raw)
    with desk.asking(request) as (session, actor):
        place = None if body.location is None else place_in_path(session, actor, body.location)
        today = desk.clock().astimezone(desk.zone).date()
        told = scans.describe(session, scans.understand(session, body.data, today), place or actor.place, today)
    return answer(told)


@router.get("/stock/{location}/{item}/picking", tags=["asking"])
def get_picking(
    desk: AtDesk,
    request: Request,
    location: ItemCode,
    item: ItemCode,
    quantity: Annotated[int, Query(ge=1, le=QUANTITY_MAX)],
) -> Response:
    """为什么是这个批号. Which lots an issue of now would take and why; promises nothing."""
    with desk.asking(request) as (session, actor):
        place_in_path(session, actor, location)
        if catalogue.item(session, item) is None:
            raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
        entry = Entry(actor.signature, desk.clock(), desk.zone)
        told = ledger.picking(session, entry, location=location, item=item, quantity=quantity)
    return answer(told)
