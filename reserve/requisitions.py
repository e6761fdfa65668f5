"""Requisitions (请领单): asked for, approved by another person, promised lot by lot, then issued.

An approval allocates usable lots, first expired first out, under the lock of their balances; what is promised is
offered to nobody else, so two clerks never promise the same box. What was asked for and not issued stays on record: it
is need that was not met.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update
from sqlmodel import Session

from reserve import access, catalogue, journal, lots
from reserve.catalogue import ITEM, PLACE, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Forbidden, InsufficientStock, Invalid, LotExpired, LotOnHold, Unknown
from reserve.ledger import explained
from reserve.lines import IssueLine
from reserve.lots import LOT
from reserve.model import DocumentKind, Purpose, Requisition, RequisitionLine, RequisitionState, table
from reserve.picking import pick_lines
from reserve.posting import REQUISITION_PREFIX, Move, Particulars, Posted, next_number, post
from reserve.resolve import items_of, refuse_bad_quantities
from reserve.shelf import ALLOCATION, Shelf, lock_shelf

REQUISITION, LINE = table(Requisition), table(RequisitionLine)


class WantedLine(NamedTuple):
    item: str
    quantity: int


class RequisitionRow(NamedTuple):
    id: int
    number: str
    location_id: int
    location: str
    purpose: Purpose
    recipient: str
    reference: str | None
    needed_on: date | None
    state: RequisitionState
    requested_by: str
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


class SamePerson(Forbidden):
    """Who asks does not approve."""

    code = "same_person"
    title = "A second person is needed"


# -- asking for goods -------------------------------------------------------------------------------------------------


def request(
    session: Session,
    entry: Entry,
    *,
    location: str,
    purpose: Purpose,
    recipient: str,
    lines: Sequence[WantedLine],
    needed_on: date | None = None,
) -> RequisitionRow:
    """Ask for goods of a place. Nothing is promised yet.

    Refused: an unknown item or place, an item twice.
    """
    place = catalogue.require_place(session, location)
    refuse_bad_quantities([line.quantity for line in lines])
    items = items_of(session, lines)
    seen: set[int] = set()
    for n, item in enumerate(items):
        if item.id in seen:
            detail = f"{item.code} stands twice: ask for it in one line."
            raise Invalid(detail, code="item_twice", faults=[Fault(f"/lines/{n}/item", "item_twice", detail)])
        seen.add(item.id)
    number = next_number(session, REQUISITION_PREFIX, entry.today)
    connection = session.connection()
    made = connection.execute(
        insert(REQUISITION)
        .values(
            number=number,
            location_id=place.id,
            purpose=purpose.value,
            recipient=recipient,
            reference=entry.reference,
            needed_on=needed_on,
            state=RequisitionState.REQUESTED.value,
            requested_by=entry.actor,
            requested_at=entry.now,
        )
        .returning(REQUISITION.c.id)
    ).scalar_one()
    connection.execute(
        insert(LINE),
        [
            {"requisition_id": made, "line": n, "item_id": item.id, "quantity": line.quantity, "issued": 0}
            for n, (line, item) in enumerate(zip(lines, items, strict=True), start=1)
        ],
    )
    wanted = {line.item: line.quantity for line in lines}
    _journal(session, entry, number, "requisition.requested", {"location": location, "recipient": recipient, **wanted})
    return find(session, number)


# -- deciding ---------------------------------------------------------------------------------------------------------


def approve(
    session: Session, entry: Entry, *, number: str, lines: Sequence[WantedLine] | None = None
) -> dict[str, Any]:
    """Promise the goods: usable lots, first expired first out; `lines` where less is granted than was asked for.

    Refused: by whoever asked; decided before; too little that is usable and not promised yet; more than was asked for.
    """
    found = _decidable(session, number, {RequisitionState.REQUESTED})
    _refuse_same_person(found, entry)
    granted = _granted(session, found, lines)
    picked = _allocate(session, entry, found, granted)
    _decide(session, entry, found, RequisitionState.APPROVED, None)
    _journal(session, entry, number, "requisition.approved", {line.item: line.quantity for line in granted})
    return {**describe(session, number), "picking": picked}


def refuse(session: Session, entry: Entry, *, number: str, reason: str) -> dict[str, Any]:
    """Say no, with the reason."""
    found = _decidable(session, number, {RequisitionState.REQUESTED})
    _decide(session, entry, found, RequisitionState.REFUSED, reason)
    _journal(session, entry, number, "requisition.refused", {"reason": reason})
    return describe(session, number)


def cancel(session: Session, entry: Entry, *, number: str, reason: str) -> dict[str, Any]:
    """End it: what was promised and not issued is free again."""
    found = _decidable(session, number, {RequisitionState.REQUESTED, RequisitionState.APPROVED})
    session.connection().execute(delete(ALLOCATION).where(ALLOCATION.c.requisition_id == found.id))
    _decide(session, entry, found, RequisitionState.CANCELLED, reason)
    _journal(session, entry, number, "requisition.cancelled", {"reason": reason})
    return describe(session, number)


def reallocate(session: Session, entry: Entry, *, number: str) -> dict[str, Any]:
    """Pick anew what is still promised: for lots that were held, expired or lost since."""
    found = _decidable(session, number, {RequisitionState.APPROVED})
    rows = _allocated(session, found.id)
    units: dict[str, int] = {}
    for row in rows:
        units[row.item] = units.get(row.item, 0) + row.quantity
    session.connection().execute(delete(ALLOCATION).where(ALLOCATION.c.requisition_id == found.id))
    picked = _allocate(session, entry, found, [WantedLine(item, quantity) for item, quantity in units.items()])
    _journal(session, entry, number, "requisition.reallocated", units)
    return {**describe(session, number), "picking": picked}


# -- handing out ------------------------------------------------------------------------------------------------------


def issue(session: Session, entry: Entry, *, number: str, lines: Sequence[WantedLine] | None = None) -> Posted:
    """Hand out what was promised (all that is left of it, or `lines` of it), as one issue.

    Refused: not approved; more than is promised; a promised lot that has been held, expired or lost since (pick anew).
    """
    found = _decidable(session, number, {RequisitionState.APPROVED})
    places = {place.id: place for place in catalogue.places(session)}
    place = places[found.location_id]
    promised = _allocated(session, found.id)
    items = catalogue.items_by_id(session, {row.item_id for row in promised})
    shelf = lock_shelf(session, place, set(items), 0)
    occurred_at = shelf.open_at(session, entry.now, explicit=False)
    taken = _taken(promised, lines)
    _refuse_unusable(number, shelf, taken, entry.day_of(occurred_at))
    consumer = next(p for p in places.values() if p.code == "CONSUMER")
    moves = [Move(items[row.item_id], shelf.lots[row.lot_id], place, consumer, units) for row, units in taken]
    told = Particulars(purpose=Purpose(found.purpose), recipient=found.recipient, requisition_id=found.id)
    entry_of_issue = _with_reference(entry, found)
    posted = post(session, entry_of_issue, DocumentKind.ISSUE, place, moves, occurred_at, told=told)
    _settle(session, found.id, taken)
    left = _allocated(session, found.id)
    if not left:
        session.connection().execute(
            update(REQUISITION).where(REQUISITION.c.id == found.id).values(state=RequisitionState.CLOSED.value)
        )
    return posted._replace(more={"requisition": describe(session, number)})


class Promise(NamedTuple):
    """Units of a lot that a requisition was promised."""

    lot_id: int
    item_id: int
    item: str
    lot_number: str
    expires_on: date | None
    quantity: int


def _allocated(session: Session, requisition_id: int) -> list[Promise]:
    rows = session.connection().execute(_ALLOCATED, {"requisitions": [requisition_id]})
    return [Promise._make(row[1:]) for row in rows]


def _taken(promised: Sequence[Promise], lines: Sequence[WantedLine] | None) -> list[tuple[Promise, int]]:
    """Which promised lots go out, those that expire first before the others."""
    if lines is None:
        return [(row, row.quantity) for row in promised]
    refuse_bad_quantities([line.quantity for line in lines])
    left = {row.lot_id: row.quantity for row in promised}
    taken: list[tuple[Promise, int]] = []
    for n, line in enumerate(lines):
        wanted = line.quantity
        for row in promised:
            units = min(wanted, left[row.lot_id]) if row.item == line.item else 0
            if units:
                taken.append((row, units))
                left[row.lot_id] -= units
                wanted -= units
        if wanted:
            detail = (
                f"{line.quantity - wanted} of {line.item} are promised, {line.quantity} asked for; nothing was moved."
            )
            fault = Fault(f"/lines/{n}/quantity", "more_than_promised", detail)
            raise Conflict(detail, code="more_than_promised", faults=[fault])
    return taken


def _refuse_unusable(number: str, shelf: Shelf, taken: Sequence[tuple[Promise, int]], day: date) -> None:
    cure = f"Pick anew: POST /v1/requisitions/{number}/reallocation."
    asked: dict[int, int] = {}
    for row, units in taken:
        asked[row.lot_id] = asked.get(row.lot_id, 0) + units
        name, there = f"Lot {row.lot_number} of {row.item}", shelf.on_hand.get(row.lot_id, 0)
        if lots.is_expired(shelf.lots[row.lot_id].expires_on, day):
            raise LotExpired(f"{name} has expired since it was promised. {cure}")
        if row.lot_id in shelf.held:
            raise LotOnHold(f"{name} is on hold since it was promised. {cure}")
        if there < asked[row.lot_id]:
            raise InsufficientStock(f"{name}: {asked[row.lot_id]} asked for and {there} there. {cure}")


def _settle(session: Session, requisition_id: int, taken: Sequence[tuple[Promise, int]]) -> None:
    """What went out is promised no more, and issued of its line. Two lines may have taken of the same lot."""
    connection = session.connection()
    out: dict[int, int] = defaultdict(int)
    for row, units in taken:
        out[row.lot_id] += units
    for row in {promise.lot_id: promise for promise, _ in taken}.values():
        where = (ALLOCATION.c.requisition_id == requisition_id, ALLOCATION.c.lot_id == row.lot_id)
        units = out[row.lot_id]
        if units == row.quantity:
            connection.execute(delete(ALLOCATION).where(*where))
        else:
            connection.execute(update(ALLOCATION).where(*where).values(quantity=ALLOCATION.c.quantity - units))
        connection.execute(
            update(LINE)
            .where(LINE.c.requisition_id == requisition_id, LINE.c.item_id == row.item_id)
            .values(issued=LINE.c.issued + units)
        )


def _with_reference(entry: Entry, found: RequisitionRow) -> Entry:
    return replace(entry, reference=entry.reference or found.number)


# -- reading ----------------------------------------------------------------------------------------------------------


def find(session: Session, number: str) -> RequisitionRow:
    """A requisition by its number.

    Raises
    ------
    Unknown
        there is none.
    """
    row = session.connection().execute(_BY_NUMBER, {"number": number}).one_or_none()
    if row is None:
        raise Unknown(f"There is no requisition {number}.", code="unknown_requisition")
    return RequisitionRow._make(row)


def requisitions(
    session: Session,
    scope: Place,
    *,
    state: RequisitionState | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[RequisitionRow]:
    """Requisitions of a scope's places, the newest first."""
    wanted: list[ColumnElement[bool]] = [PLACE.c.path.startswith(scope.path)]
    if state is not None:
        wanted.append(REQUISITION.c.state == state.value)
    if before is not None:
        wanted.append(REQUISITION.c.id < before)
    statement = _REQUISITIONS.where(*wanted).order_by(REQUISITION.c.id.desc()).limit(limit)
    return [RequisitionRow._make(row) for row in session.connection().execute(statement)]


def describe(session: Session, number: str) -> dict[str, Any]:
    """A requisition whole: each line with what was asked for, promised and issued, and the lots promised."""
    return described(session, [find(session, number)])[0]


def described(session: Session, rows: Sequence[RequisitionRow]) -> list[dict[str, Any]]:
    """Requisitions whole, in three queries however many there are."""
    ids = [row.id for row in rows]
    promised: dict[int, list[Promise]] = {n: [] for n in ids}
    lines: dict[int, list[Any]] = {n: [] for n in ids}
    if ids:
        for requisition_id, *row in session.connection().execute(_ALLOCATED, {"requisitions": ids}):
            promised[requisition_id].append(Promise._make(row))
        for line in session.connection().execute(_LINES, {"requisitions": ids}):
            lines[line.requisition_id].append(line)
    return [_told(row, lines[row.id], promised[row.id]) for row in rows]


def _told(found: RequisitionRow, lines: Sequence[Any], promised: Sequence[Promise]) -> dict[str, Any]:
    told = found._asdict()
    del told["id"], told["location_id"]
    return {
        **told,
        "lines": [
            {
                "line": row.line,
                "item": row.code,
                "quantity": row.quantity,
                "allocated": sum(p.quantity for p in promised if p.item == row.code),
                "issued": row.issued,
            }
            for row in lines
        ],
        "allocations": [
            {"item": p.item, "lot_number": p.lot_number, "expires_on": p.expires_on, "quantity": p.quantity}
            for p in promised
        ],
    }


# -- deciding, in detail ----------------------------------------------------------------------------------------------


def _decidable(session: Session, number: str, states: set[RequisitionState]) -> RequisitionRow:
    """The requisition, locked, in one of `states`."""
    session.connection().execute(_LOCK, {"number": number})
    found = find(session, number)
    if found.state not in states:
        raise Conflict(f"Requisition {number} is {found.state}; this cannot be done to it.", code="requisition_decided")
    return found


def _refuse_same_person(found: RequisitionRow, entry: Entry) -> None:
    if access.same_person(found.requested_by, entry.actor):
        raise SamePerson(f"{found.number} was asked for by {found.requested_by}: another person approves it.")


def _granted(session: Session, found: RequisitionRow, lines: Sequence[WantedLine] | None) -> list[WantedLine]:
    asked = {row.code: row.quantity for row in session.connection().execute(_LINES, {"requisitions": [found.id]})}
    if lines is None:
        return [WantedLine(item, quantity) for item, quantity in asked.items()]
    refuse_bad_quantities([line.quantity for line in lines])
    for n, line in enumerate(lines):
        if line.quantity > asked.get(line.item, 0) or line.item in {other.item for other in lines[:n]}:
            detail = f"{asked.get(line.item, 0)} of {line.item} were asked for; grant that or less, in one line."
            fault = Fault(f"/lines/{n}/quantity", "more_than_requested", detail)
            raise Invalid(detail, code="more_than_requested", faults=[fault])
    return list(lines)


def _allocate(
    session: Session, entry: Entry, found: RequisitionRow, granted: Sequence[WantedLine]
) -> list[dict[str, object]]:
    place = catalogue.require_place(session, found.location)
    lines = [IssueLine(line.item, line.quantity) for line in granted]
    items = items_of(session, lines)
    shelf = lock_shelf(session, place, {item.id for item in items}, 1)
    shelf.open_at(session, entry.now, explicit=False)
    candidates = shelf.candidates(entry.today)
    picked = pick_lines(lines, items, candidates, shelf, entry)
    session.connection().execute(
        insert(ALLOCATION),
        [
            {"requisition_id": found.id, "location_id": place.id, "lot_id": p.lot_id, "quantity": p.quantity}
            for p in picked
        ],
    )
    return explained(lines, items, candidates, picked)


def _decide(session: Session, entry: Entry, found: RequisitionRow, state: RequisitionState, reason: str | None) -> None:
    session.connection().execute(
        update(REQUISITION)
        .where(REQUISITION.c.id == found.id)
        .values(state=state.value, decided_by=entry.actor, decided_at=entry.now, reason=reason)
    )


def _journal(session: Session, entry: Entry, number: str, verb: str, after: journal.Facts) -> None:
    journal.write(session, actor=entry.actor, now=entry.now, verb=verb, subject=number, after=after)


_REQUISITIONS = select(
    REQUISITION.c.id,
    REQUISITION.c.number,
    REQUISITION.c.location_id,
    PLACE.c.code,
    REQUISITION.c.purpose,
    REQUISITION.c.recipient,
    REQUISITION.c.reference,
    REQUISITION.c.needed_on,
    REQUISITION.c.state,
    REQUISITION.c.requested_by,
    REQUISITION.c.requested_at,
    REQUISITION.c.decided_by,
    REQUISITION.c.decided_at,
    REQUISITION.c.reason,
).join(PLACE, PLACE.c.id == REQUISITION.c.location_id)
_BY_NUMBER = _REQUISITIONS.where(REQUISITION.c.number == bindparam("number"))
_LOCK = select(REQUISITION.c.id).where(REQUISITION.c.number == bindparam("number")).with_for_update()
_LINES = (
    select(LINE.c.requisition_id, LINE.c.line, ITEM.c.code, LINE.c.quantity, LINE.c.issued)
    .join(ITEM, ITEM.c.id == LINE.c.item_id)
    .where(LINE.c.requisition_id.in_(bindparam("requisitions", expanding=True)))
    .order_by(LINE.c.requisition_id, LINE.c.line)
)
_ALLOCATED = (
    select(
        ALLOCATION.c.requisition_id,
        ALLOCATION.c.lot_id,
        LOT.c.item_id,
        ITEM.c.code,
        LOT.c.lot_number,
        LOT.c.expires_on,
        ALLOCATION.c.quantity,
    )
    .join(LOT, LOT.c.id == ALLOCATION.c.lot_id)
    .join(ITEM, ITEM.c.id == LOT.c.item_id)
    .where(ALLOCATION.c.requisition_id.in_(bindparam("requisitions", expanding=True)))
    .order_by(func.coalesce(LOT.c.expires_on, date.max), LOT.c.lot_number)
)
