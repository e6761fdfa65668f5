"""HTTP about what proves that history was not rewritten: the seals, and the journal of all that is not a movement."""

import json
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import exports
from api.desk import AtDesk, answer, moment, page, read_cursor
from api.stock import Limit
from reserve import access, journal, seals
from reserve.access import Verb
from reserve.entry import day_bounds
from reserve.errors import Invalid
from reserve.journal import Entry
from reserve.seals import SealRow

router = APIRouter(prefix="/v1", tags=["history"])

Subject = Annotated[str | None, Query(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]


@router.get("/seals")
def get_seals(
    desk: AtDesk,
    request: Request,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """封存. The seals over all history, newest first: each a digest over its rows and the seal before."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, _actor):
        rows = seals.rows(session, before=None if before is None else before[0], limit=limit + 1)
    kept, following = page(rows, limit, lambda row: [row.number])
    told = [_seal(row) for row in kept]
    if format != "json":
        return exports.sheet(told, format, "seals", SealRow._fields)
    return answer({"items": told, "next_cursor": following})


@router.get("/seals/last")
def get_last_seal(desk: AtDesk, request: Request) -> Response:
    """The newest seal, to be kept where the database's owner cannot reach, and how many rows wait for one."""
    with desk.asking(request) as (session, _actor):
        last, unsealed = seals.last(session), seals.waiting(session).rows
    return answer(
        {
            "number": last and last.number,
            "digest": last and last.digest,
            "sealed_at": last and moment(last.sealed_at),
            "unsealed": unsealed,
        }
    )


@router.get("/journal")
def get_journal(
    desk: AtDesk,
    request: Request,
    subject: Subject = None,
    since: date | None = None,
    until: date | None = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """日志. Who changed what, before and after, newest first: for managers of the whole tree.

    `since` and `until` are civil days, both counted in.
    """
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        access.require(actor, Verb.MANAGE, None)
        if actor.place.parent_id is not None:
            raise access.forbidden()
        rows = journal.entries(
            session,
            subject=subject,
            since=None if since is None else day_bounds(_sane(since), desk.zone)[0],
            until=None if until is None else day_bounds(_sane(until), desk.zone)[1],
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    kept, following = page(rows, limit, lambda row: [row.id])
    if format != "json":
        flat = [{**row._asdict(), "recorded_at": moment(row.recorded_at)} for row in kept]
        return exports.sheet(flat, format, "journal", Entry._fields)
    return answer({"items": [_entry(row) for row in kept], "next_cursor": following})


def _sane(day: date) -> date:
    if not 1990 <= day.year <= 2100:
        raise Invalid("A day lies between 1990 and 2100.")
    return day


def _seal(row: SealRow) -> dict[str, Any]:
    return {**row._asdict(), "sealed_at": moment(row.sealed_at)}


def _entry(row: Entry) -> dict[str, Any]:
    facts = {name: value and json.loads(value) for name, value in (("before", row.before), ("after", row.after))}
    return {**row._asdict(), "recorded_at": moment(row.recorded_at), **facts}
