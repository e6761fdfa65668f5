"""Whether the paperwork around the movements is whole: numbers, goods on the road, the dates of lots. Reads only."""

import json
from collections import Counter as Counts
from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlmodel import Session

from reserve.catalogue import ITEM, PLACE
from reserve.digests import as_text
from reserve.findings import Finding
from reserve.journal import JOURNAL
from reserve.lots import HOLD, LOT, REDATING
from reserve.model import Counter, CountSheet, LocationKind, Requisition, Transfer, TransferState, table
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT, REQUISITION_PREFIX
from reserve.supply import COMMITMENT, COMMITMENT_PREFIX, PLANNED, PLANNED_PREFIX

COUNTER, COUNT_SHEET, REQUISITION, TRANSFER = (table(m) for m in (Counter, CountSheet, Requisition, Transfer))

COUNT_PREFIX = "CT"
"""A count sheet has the number; the document of its variances takes it over."""

_OTHER_PREFIXES = (REQUISITION_PREFIX, COUNT_PREFIX, COMMITMENT_PREFIX, PLANNED_PREFIX)
"""What is numbered and is no document."""

_BATCH = 5_000


# -- numbers ----------------------------------------------------------------------------------------------------------


def numbers(session: Session) -> Iterator[Finding]:
    """Numbers of a kind and day run from the first to the last that was given, and none was given otherwise."""
    for noun, source, mine in (
        ("document", DOCUMENT, COUNTER.c.kind.not_in(_OTHER_PREFIXES)),
        ("requisition", REQUISITION, COUNTER.c.kind == REQUISITION_PREFIX),
        ("count sheet", COUNT_SHEET, COUNTER.c.kind == COUNT_PREFIX),
        ("agreement", COMMITMENT, COUNTER.c.kind == COMMITMENT_PREFIX),
        ("planned receipt", PLANNED, COUNTER.c.kind == PLANNED_PREFIX),
    ):
        for head, first, last in session.connection().execute(_torn(session, source, mine)).all():
            yield from _missing(session, noun, source, head, first, last)
        for number in session.connection().execute(_strange(session, source)).scalars():
            yield Finding("number_unknown", f"{noun.capitalize()} {number} has a number that was never given.")


def _torn(session: Session, source: FromClause, mine: ColumnElement[bool]) -> Select[Any]:
    """The kinds and days of which not every number is there, or one beyond the last."""
    number, head = _plain(session, source.c.number), _head(session)
    given = (
        select(COUNTER.c.kind, COUNTER.c.day, func.count().label("count"), func.max(number).label("highest"))
        .join(source, _counted(session, source))
        .where(number >= head + _six(session, COUNTER.c.first))
        .group_by(COUNTER.c.kind, COUNTER.c.day)
        .subquery("given")
    )
    count = func.coalesce(given.c.count, 0)
    return (
        select(head, COUNTER.c.first, COUNTER.c.last)
        .outerjoin(given, and_(given.c.kind == COUNTER.c.kind, given.c.day == COUNTER.c.day))
        .where(
            mine,
            or_(
                count != COUNTER.c.last - COUNTER.c.first + 1,
                given.c.highest != head + _six(session, COUNTER.c.last),
            ),
        )
        .order_by(COUNTER.c.kind, COUNTER.c.day)
    )


def _missing(session: Session, noun: str, source: FromClause, head: str, first: int, last: int) -> Iterator[Finding]:
    there = select(source.c.number).where(source.c.number.startswith(head, autoescape=True))
    given = {f"{head}{serial:06d}" for serial in range(first, last + 1)}
    found = {number for number in session.connection().execute(there).scalars() if number >= f"{head}{first:06d}"}
    for number in sorted(given - found):
        yield Finding("number_missing", f"{noun.capitalize()} {number} is not there; its number was given.")
    for number in sorted(found - given):
        yield Finding("number_unknown", f"{noun.capitalize()} {number} has a number that was never given.")


def _strange(session: Session, source: FromClause) -> Select[Any]:
    """Rows of a kind and day of which no number was given."""
    given = select(COUNTER.c.kind).where(_counted(session, source))
    return select(source.c.number).where(~given.exists()).order_by(source.c.id)


def _counted(session: Session, source: FromClause) -> ColumnElement[bool]:
    """The counter that gave a number."""
    number, kind = source.c.number, COUNTER.c.kind == func.substr(source.c.number, 1, 2)
    if session.connection().dialect.name == "sqlite":
        parts = func.substr(number, 4, 4), func.substr(number, 8, 2), func.substr(number, 10, 2)
        day = parts[0] + literal("-") + parts[1] + literal("-") + parts[2]
        return and_(kind, type_coerce(COUNTER.c.day, String) == day)
    return and_(kind, func.to_char(COUNTER.c.day, "YYYYMMDD") == func.substr(number, 4, 8))


def _head(session: Session) -> ColumnElement[str]:
    """What the numbers of a kind and day begin with: `RC-20260401-`."""
    if session.connection().dialect.name == "sqlite":
        day = func.replace(type_coerce(COUNTER.c.day, String), "-", "")
    else:
        day = func.to_char(COUNTER.c.day, "YYYYMMDD")
    return COUNTER.c.kind + literal("-") + day + literal("-")


def _six(session: Session, serial: ColumnElement[int]) -> ColumnElement[str]:
    if session.connection().dialect.name == "sqlite":
        return func.printf("%06d", serial, type_=String)
    return func.to_char(serial, "FM000000", type_=String)


def _plain(session: Session, number: ColumnElement[str]) -> ColumnElement[str]:
    """Compared byte by byte, whatever the language of the database."""
    return number if session.connection().dialect.name == "sqlite" else number.collate("C")


# -- on the road ------------------------------------------------------------------------------------------------------


def transit(session: Session) -> Iterator[Finding]:
    """What lies on the road is what was sent by open transfers and has not come; closed ones have nothing there."""
    road = select(PLACE.c.id).where(PLACE.c.kind == LocationKind.TRANSIT.value)
    family = func.coalesce(DOCUMENT.c.follows_id, DOCUMENT.c.id)
    change = case((MOVEMENT.c.target_id.in_(road), MOVEMENT.c.quantity), else_=-MOVEMENT.c.quantity)
    moved = (
        select(TRANSFER.c.document_id, TRANSFER.c.state, MOVEMENT.c.lot_id, func.sum(change).label("units"))
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .join(TRANSFER, TRANSFER.c.document_id == family)
        .where(or_(MOVEMENT.c.target_id.in_(road), MOVEMENT.c.source_id.in_(road)))
        .group_by(TRANSFER.c.document_id, TRANSFER.c.state, MOVEMENT.c.lot_id)
    )
    yield from _by_transfer(session, moved)
    yield from _by_lot(session, moved, road)
    yield from _ends(session)


def _ends(session: Session) -> Iterator[Finding]:
    """A transfer goes where its document, which is sealed, says: the movement itself names only the road."""
    target = PLACE.alias("target")
    other = (
        select(DOCUMENT.c.number, target.c.code, DOCUMENT.c.recipient)
        .join(TRANSFER, TRANSFER.c.document_id == DOCUMENT.c.id)
        .join(target, target.c.id == TRANSFER.c.target_id)
        .where(
            or_(
                DOCUMENT.c.recipient.is_distinct_from(target.c.code),
                DOCUMENT.c.location_id != TRANSFER.c.source_id,
            )
        )
        .order_by(DOCUMENT.c.id)
    )
    for number, code, told in session.connection().execute(other):
        sentence = (
            f"Transfer {number} is kept with other ends than it was sent with: {code}, and {told} by its document."
        )
        yield Finding("transfer_ends", sentence)


def _by_transfer(session: Session, moved: Select[Any]) -> Iterator[Finding]:
    sums = moved.subquery("moved")
    closed = sums.c.state == TransferState.CLOSED.value
    wrong = (
        select(DOCUMENT.c.number, ITEM.c.code, LOT.c.lot_number, sums.c.units)
        .join(DOCUMENT, DOCUMENT.c.id == sums.c.document_id)
        .join(LOT, LOT.c.id == sums.c.lot_id)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .where(or_(sums.c.units < 0, and_(closed, sums.c.units != 0)))
        .order_by(sums.c.document_id, sums.c.lot_id)
    )
    for number, item, lot, units in session.connection().execute(wrong):
        if units < 0:
            yield Finding("transit_overdrawn", f"Of {item} lot {lot}, {-units} more came than transfer {number} sent.")
        else:
            sentence = f"Transfer {number} is closed with {units} of {item} lot {lot} still on the road."
            yield Finding("transit_left", sentence)


def _by_lot(session: Session, moved: Select[Any], road: Select[Any]) -> Iterator[Finding]:
    sums = moved.subquery("moved")
    sides = union_all(
        select(sums.c.lot_id, sums.c.units.label("sent"), literal(0).label("kept")).where(
            sums.c.state != TransferState.CLOSED.value
        ),
        select(BALANCE.c.lot_id, literal(0), BALANCE.c.on_hand).where(BALANCE.c.location_id.in_(road)),
    ).subquery("sides")
    sent, kept = func.sum(sides.c.sent), func.sum(sides.c.kept)
    differing = (
        select(sides.c.lot_id, sent.label("sent"), kept.label("kept"))
        .group_by(sides.c.lot_id)
        .having(sent != kept)
        .subquery("differing")
    )
    named = (
        select(ITEM.c.code, LOT.c.lot_number, differing.c.sent, differing.c.kept)
        .join(LOT, LOT.c.id == differing.c.lot_id)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .order_by(differing.c.lot_id)
    )
    for item, lot, of_transfers, balance in session.connection().execute(named):
        sentence = f"{item} lot {lot}: {balance} on the road, and open transfers have {of_transfers} under way."
        yield Finding("transit_differs", sentence)


# -- the dates of lots ------------------------------------------------------------------------------------------------


def lot_dates(session: Session) -> Iterator[Finding]:
    """A lot has the dates that the journal, which is sealed, had last; lots older than the journal have none there."""
    subject = ITEM.c.code + literal("/") + LOT.c.lot_number
    newest = (
        select(JOURNAL.c.subject, func.max(JOURNAL.c.id).label("id"))
        .where(JOURNAL.c.verb.in_(("lot.made", "lot.redated")))
        .group_by(JOURNAL.c.subject)
        .subquery("newest")
    )
    told = (
        select(
            ITEM.c.code,
            LOT.c.lot_number,
            _text(session, LOT.c.manufactured_on),
            _text(session, LOT.c.expires_on),
            JOURNAL.c.after,
        )
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .join(newest, newest.c.subject == subject)
        .join(JOURNAL, JOURNAL.c.id == newest.c.id)
        .order_by(LOT.c.id)
    )
    for item, lot, made, expires, after in session.connection().execute(told, execution_options={"yield_per": _BATCH}):
        facts = _facts(after)
        if facts is None:
            yield Finding("journal_unreadable", f"What the journal says of {item} lot {lot} is not whole.")
        elif (made, expires) != (facts.get("manufactured_on"), facts.get("expires_on")):
            yield Finding("lot_dates", f"{item} lot {lot} has not the dates that the journal says: {after}.")


def redatings(session: Session) -> Iterator[Finding]:
    """Each correction of a lot's dates is kept as the journal has it: what was known before is read from it."""
    told = [
        (row.subject, as_text(row.recorded_at), *_both(row.before, row.after))
        for row in session.connection().execute(
            select(JOURNAL.c.subject, JOURNAL.c.recorded_at, JOURNAL.c.before, JOURNAL.c.after).where(
                JOURNAL.c.verb == "lot.redated"
            )
        )
    ]
    kept = [
        (f"{row.code}/{row.lot_number}", as_text(row.recorded_at), *(day and day.isoformat() for day in row[3:]))
        for row in session.connection().execute(
            select(
                ITEM.c.code,
                LOT.c.lot_number,
                REDATING.c.recorded_at,
                REDATING.c.made_before,
                REDATING.c.expires_before,
                REDATING.c.made_after,
                REDATING.c.expires_after,
            )
            .join(LOT, LOT.c.id == REDATING.c.lot_id)
            .join(ITEM, ITEM.c.id == LOT.c.item_id)
        )
    ]
    differing = (Counts(told) - Counts(kept)) + (Counts(kept) - Counts(told))
    for subject in sorted({str(row[0]) for row in differing}):
        yield Finding("lot_redated", f"The corrections of the dates of {subject} are not kept as the journal says.")


def _both(before: str | None, after: str | None) -> tuple[object, ...]:
    facts = (_facts(before) or {}, _facts(after) or {})
    return tuple(told.get(name) for told in facts for name in ("manufactured_on", "expires_on"))


# -- holds ------------------------------------------------------------------------------------------------------------


def holds(session: Session) -> Iterator[Finding]:
    """A hold stands, or has been lifted, as the journal had it last; holds older than the journal have none there."""
    connection = session.connection()
    told: dict[tuple[str, str], bool] = {}
    for subject, verb, after in connection.execute(
        select(JOURNAL.c.subject, JOURNAL.c.verb, JOURNAL.c.after)
        .where(JOURNAL.c.verb.in_(("hold.placed", "hold.lifted")))
        .order_by(JOURNAL.c.id)
    ):
        facts = _facts(after) or {}
        for reason in facts.get("reasons") or [facts.get("reason")]:
            told[subject, str(reason)] = verb == "hold.placed"
    standing = {
        (f"{item}/{lot}", reason)
        for item, lot, reason in connection.execute(
            select(ITEM.c.code, LOT.c.lot_number, HOLD.c.reason)
            .join(LOT, LOT.c.id == HOLD.c.lot_id)
            .join(ITEM, ITEM.c.id == LOT.c.item_id)
            .where(HOLD.c.lifted_at.is_(None))
        )
    }
    for (subject, reason), placed in sorted(told.items()):
        if placed != ((subject, reason) in standing):
            said = "placed" if placed else "lifted"
            yield Finding("hold_differs", f"The hold of {subject} ({reason}) was {said} by the journal, and is not so.")


def _text(session: Session, day: ColumnElement[date | None]) -> ColumnElement[str]:
    """A day as the journal writes it."""
    if session.connection().dialect.name == "sqlite":
        return type_coerce(day, String)
    return func.to_char(day, "YYYY-MM-DD", type_=String)


def _facts(written: str | None) -> dict[str, Any] | None:
    try:
        facts = json.loads(written or "")
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None
