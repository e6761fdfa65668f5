"""Counts (盘点) over HTTP: a blind sheet is opened, counted line by line, and decided by somebody else."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlmodel import Session

from api import papers_print
from api.bodies import (
    LINES_MAX,
    Code,
    Day,
    LotNumber,
    Occurred,
    Short,
    Strict,
    Used,
    Words,
    body_of,
    parse,
    read_body,
)
from api.desk import AtDesk, Recording, answer, language_of, page, place_in_body, place_in_path, read_cursor
from api.stock import movement
from reserve import access, counting, countsheets
from reserve.access import Actor, Verb
from reserve.counting import CountedLine, NamedLot, Selection
from reserve.countsheets import Head, Line, SheetQuestion, SheetRow
from reserve.errors import Unknown
from reserve.model import Category, CountState

router = APIRouter(prefix="/v1")

Body = Annotated[bytes, Depends(read_body)]
Number = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


def _moment(value: datetime | date) -> datetime:
    if not isinstance(value, datetime):
        raise PydanticCustomError("moment", "write a moment with its offset, 2026-04-01T10:00:00+08:00")
    return value


class LotToCount(Strict):
    item: Code
    lot_number: LotNumber


class Opening(Strict):
    location: Code
    reference: Short | None = None
    items: Annotated[list[Code], Field(min_length=1, max_length=LINES_MAX)] | None = None
    category: Category | None = None
    lots: Annotated[list[LotToCount], Field(min_length=1, max_length=LINES_MAX)] | None = None


class LineCounted(Strict):
    item: Code
    lot_number: LotNumber
    counted: Used
    counted_at: Annotated[Occurred, AfterValidator(_moment)] | None = None
    expires_on: Day | None = None
    remark: Words | None = None


class LinesCounted(Strict):
    lines: Annotated[list[LineCounted], Field(min_length=1, max_length=LINES_MAX)]


class Approval(Strict):
    reason: Words | None = None
    note: Words | None = None


class Cancellation(Strict):
    reason: Words


# -- recording --------------------------------------------------------------------------------------------------------


@router.post("/counts", status_code=201, openapi_extra=body_of(Opening), tags=["recording"])
def post_count(desk: AtDesk, request: Request, raw: Body) -> Response:
    """盘点. Open a blind sheet with a line for each lot that lies at that very place."""
    body = parse(Opening, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.location)
        lots = None if body.lots is None else [NamedLot(lot.item, lot.lot_number) for lot in body.lots]
        opened = counting.open_sheet(
            recording.session,
            recording.entry(None, body.reference),
            location=body.location,
            selection=Selection(body.items, body.category, lots),
        )
        return {**_head(opened.head), "lines": [_blind(line) for line in opened.lines]}

    return desk.record(request, raw, work)


@router.put("/counts/{document}/lines", status_code=200, openapi_extra=body_of(LinesCounted), tags=["recording"])
def put_count_lines(desk: AtDesk, request: Request, document: Number, raw: Body) -> Response:
    """盘点. Save what was counted, as it comes; another figure for a line is a recount and both are kept."""
    body = parse(LinesCounted, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _reach(recording.session, recording.actor, Verb.RECORD, document)
        lines = [CountedLine(**line.model_dump()) for line in body.lines]
        saved = counting.count(recording.session, recording.entry(), document, lines)
        return {
            **_head(saved.head),
            "lines": [{**_blind(line), "revision": len(line.tallies)} for line in saved.lines],
            "changed": saved.changed,
            "left": saved.left,
        }

    return desk.record(request, raw, work, status=200)


@router.post("/counts/{document}/approval", status_code=201, openapi_extra=body_of(Approval), tags=["recording"])
def post_count_approval(desk: AtDesk, request: Request, document: Number, raw: Body) -> Response:
    """盘点. Post the variances as one document; by a manager who has not counted on the sheet."""
    body = parse(Approval, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _reach(recording.session, recording.actor, Verb.MANAGE, document)
        approved = counting.approve(recording.session, recording.entry(), document, reason=body.reason, note=body.note)
        lines = approved.sheet.lines
        return {
            **_head(approved.sheet.head),
            "movements": [movement(row) for row in approved.movements],
            "variances": [_open(line) for line in lines if line.variance],
            "counted": sum(line.standing is not None for line in lines),
            "uncounted": [_named(line) for line in lines if line.standing is None],
        }

    return desk.record(request, raw, work)


@router.post(
    "/counts/{document}/cancellation", status_code=201, openapi_extra=body_of(Cancellation), tags=["recording"]
)
def post_count_cancellation(desk: AtDesk, request: Request, document: Number, raw: Body) -> Response:
    """盘点. Give a sheet up; nothing is posted. By a manager, or by who opened it."""
    body = parse(Cancellation, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        found = _reach(recording.session, recording.actor, Verb.RECORD, document)
        if not access.same_person(recording.actor.signature, found.opened_by):
            access.require(recording.actor, Verb.MANAGE, found.place)
        return _head(counting.cancel(recording.session, recording.entry(), document, reason=body.reason))

    return desk.record(request, raw, work)


# -- asking -----------------------------------------------------------------------------------------------------------


@router.get("/counts", tags=["asking"])
def get_counts(
    desk: AtDesk,
    request: Request,
    location: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = None,
    state: CountState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Count sheets of a place and all below it, the newest first, with how many of their lines are counted."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        question = SheetQuestion(scope, state, None if before is None else before[0], limit + 1)
        rows = countsheets.sheets(session, question)
    kept, following = page(rows, limit, lambda row: [row.head.id])
    return answer({"items": [_row(row) for row in kept], "next_cursor": following})


@router.get("/counts/{document}", tags=["asking"])
def get_count(
    desk: AtDesk,
    request: Request,
    document: Number,
    format: Literal["json", "pdf"] = "json",  # noqa: A002 - the contract's name
) -> Response:
    """A count sheet: blind until it is approved, but for a manager of the place who has not counted on it.

    `format=pdf` prints it: blind, with room to write; or with book and variance.
    """
    with desk.asking(request) as (session, actor):
        _reach(session, actor, Verb.READ, document)
        found = countsheets.sheet(session, document)
        blind = found.head.state != CountState.APPROVED and not _may_decide(actor, found)
    if format == "pdf":
        from api.printing import document_pdf

        printed = papers_print.count_sheet(found, blind=blind)
        made = document_pdf(printed, language_of(request), papers_print.printed(desk.clock(), desk.zone))
        return papers_print.pdf(made, document)
    show = _blind if blind else _open
    return answer({**_head(found.head), "blind": blind, "lines": [show(line) for line in found.lines]})


def _may_decide(actor: Actor, found: countsheets.Sheet) -> bool:
    counted = any(access.same_person(actor.signature, signature) for signature in countsheets.counters(found))
    return access.may(actor, Verb.MANAGE, found.head.place) and not counted


def _reach(session: Session, actor: Actor, verb: Verb, document: str) -> Head:
    """The sheet, where the actor may do that at its place; outside, nothing is told, not even that it exists."""
    found = countsheets.find(session, document)
    if found is None:
        access.require(actor, verb, None)
        if actor.place.parent_id is not None:
            raise access.forbidden()
        raise Unknown(f"There is no count {document}; see GET /v1/counts.", code="unknown_count")
    access.require(actor, verb, found.place)
    return found


# -- answers ----------------------------------------------------------------------------------------------------------


def _head(head: Head) -> dict[str, Any]:
    return {
        "document": head.number,
        "state": head.state,
        "location": head.place.code,
        "reference": head.reference,
        "opened_by": head.opened_by,
        "opened_at": head.opened_at,
        "decided_by": head.decided_by,
        "decided_at": head.decided_at,
        "reason": head.reason,
    }


def _row(row: SheetRow) -> dict[str, Any]:
    return {**_head(row.head), "lines": row.lines, "counted": row.counted}


def _named(line: Line) -> dict[str, Any]:
    return {
        "line": line.line,
        "item": line.item.code,
        "lot_number": line.lot.lot_number,
        "expires_on": line.lot.expires_on,
    }


def _blind(line: Line) -> dict[str, Any]:
    """What somebody who counts may see: nothing that the books say."""
    standing = line.standing
    return {
        **_named(line),
        "counted": line.counted,
        "counted_at": standing and standing.counted_at,
        "counted_by": standing and standing.actor,
        "remark": standing and standing.remark,
    }


def _open(line: Line) -> dict[str, Any]:
    return {
        **_blind(line),
        "frozen_book": line.frozen_book,
        "book": line.book,
        "variance": line.variance,
        "moved_since": line.moved_since,
        "revisions": [
            {
                "revision": tally.revision,
                "counted": tally.counted,
                "counted_at": tally.counted_at,
                "recorded_at": tally.recorded_at,
                "counted_by": tally.actor,
                "remark": tally.remark,
                "stands": tally.stands,
            }
            for tally in line.tallies
        ],
    }
