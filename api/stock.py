"""Asking about stock: what lies where, and what moved."""

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import Session

from api import exports
from api.bodies import read_body
from api.desk import AtDesk, answer, moment, page, place_in_path, read_cursor, unchanged
from reserve import catalogue, stock
from reserve.entry import day_bounds
from reserve.errors import Invalid, Unknown
from reserve.posting import Posted, Recorded

router = APIRouter(prefix="/v1")

Body = Annotated[bytes, Depends(read_body)]
Limit = Annotated[int, Query(ge=1, le=1000)]
CodeAsked = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
LotAsked = Annotated[str | None, Query(pattern=r"^[\x21-\x7e]{1,20}$")]


def document(posted: Posted) -> dict[str, Any]:
    return {"document": posted.document, "movements": [movement(row) for row in posted.movements], **posted.more}


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
    owner: Annotated[str | None, Query(max_length=120, pattern=r"^[^\x00]*$")] = None,
    include_zero: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """What lies where, lot by lot; `as_of` sums the ledger up to the end of that day; `owner=reserve` is one's own."""
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
                owner=owner,
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
