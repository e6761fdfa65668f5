"""What is on the road (在途): sent and neither arrived nor settled, summed from a transfer and the documents after it.

A transfer's family is its document, its arrivals, its settlements, and the reversals of any of them: whatever follows
it. Its row is locked before any balance, by everybody who changes what is on the road.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    func,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlmodel import Session

from reserve.catalogue import PLACE
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, OutOfBounds, WouldGoNegative
from reserve.lots import LOT, dates_known
from reserve.model import LocationKind, Moment, Transfer, TransferState, table
from reserve.posting import DOCUMENT, MOVEMENT, Move

TRANSFER = table(Transfer)


class TransferRow(NamedTuple):
    document_id: int
    number: str
    source_id: int
    target_id: int
    expected_on: date | None
    state: TransferState
    occurred_at: datetime


class Outstanding(NamedTuple):
    """Units of a lot that were sent and did not come."""

    lot_id: int
    item: str
    lot_number: str
    expires_on: date | None
    sent: int
    quantity: int


def transfer(session: Session, number: str) -> TransferRow | None:
    """A transfer by its document's number, locked: what is on the road changes only under this lock."""
    row = session.connection().execute(_BY_NUMBER, {"number": number}).one_or_none()
    return None if row is None else TransferRow._make(row)


def find(session: Session, number: str) -> TransferRow | None:
    """A transfer by its document's number, to look at."""
    row = session.connection().execute(_FOUND, {"number": number}).one_or_none()
    return None if row is None else TransferRow._make(row)


def lock(session: Session, document_id: int) -> bool:
    """Lock the transfer a document belongs to; False where it belongs to none."""
    return session.connection().execute(_LOCK, {"document": document_id}).one_or_none() is not None


class TransferQuestion(NamedTuple):
    """Transfers to or from one of `places` (ids), newest first, below a document's id."""

    places: frozenset[int]
    state: TransferState | None = None
    before: int | None = None
    limit: int = 100


def transfers(session: Session, question: TransferQuestion) -> list[TransferRow]:
    """Transfers with an end in some places, the newest first."""
    wanted: list[ColumnElement[bool]] = [
        or_(TRANSFER.c.source_id.in_(question.places), TRANSFER.c.target_id.in_(question.places))
    ]
    if question.state is not None:
        wanted.append(TRANSFER.c.state == question.state.value)
    if question.before is not None:
        wanted.append(TRANSFER.c.document_id < question.before)
    statement = _TRANSFERS.where(*wanted).order_by(TRANSFER.c.document_id.desc()).limit(question.limit)
    return [TransferRow._make(row) for row in session.connection().execute(statement)]


def outstanding(session: Session, document_id: int) -> list[Outstanding]:
    """What of a transfer is still on the road, lot by lot, and what was sent in all."""
    return outstanding_of(session, [document_id])[document_id]


def outstanding_of(session: Session, document_ids: Sequence[int]) -> dict[int, list[Outstanding]]:
    """The same of several transfers at once."""
    found: dict[int, list[Outstanding]] = {document_id: [] for document_id in document_ids}
    if not found:
        return found
    for row in session.connection().execute(_OUTSTANDING, {"documents": sorted(found)}):
        found[row.root].append(
            Outstanding(row.lot_id, row.code, row.lot_number, row.expires_on, int(row.sent), int(row.quantity))
        )
    return found


class Overdraft(NamedTuple):
    """A move that would take `asked` units off the road where its transfer has `there`."""

    n: int
    move: Move
    there: int
    asked: int


def overdrawn(session: Session, document_id: int, moves: Sequence[Move]) -> list[Overdraft]:
    """Moves that take more off the road than this transfer has on it: what another transfer sent is not its own."""
    left = {row.lot_id: row.quantity for row in outstanding(session, document_id)}
    change: dict[int, int] = defaultdict(int)
    first: dict[int, int] = {}
    for n, move in enumerate(moves):
        if LocationKind.TRANSIT in (move.source.kind, move.target.kind):
            change[move.lot.id] += -move.quantity if move.source.kind == LocationKind.TRANSIT else move.quantity
            first.setdefault(move.lot.id, n)
    return [
        Overdraft(first[lot_id], moves[first[lot_id]], left.get(lot_id, 0), -amount)
        for lot_id, amount in change.items()
        if left.get(lot_id, 0) + amount < 0
    ]


def refuse_overdraft(session: Session, document_id: int, moves: Sequence[Move]) -> None:
    """Refuse more than is on the road of a transfer, line by line."""
    short = overdrawn(session, document_id, moves)
    if short:
        faults = [
            Fault(
                f"/lines/{n}/quantity",
                "more_than_sent",
                f"{move.item.code} lot {move.lot.lot_number}: {there} on the road, {asked} entered.",
            )
            for n, move, there, asked in short
        ]
        lines = [
            {"line": n, "item": m.item.code, "lot_number": m.lot.lot_number, "on_the_road": there, "requested": asked}
            for n, m, there, asked in short
        ]
        raise Conflict(
            f"More than is on the road, nothing was moved. {faults[0].detail} Goods beyond what was sent are a receipt "
            "or a count gain of their own.",
            code="more_than_sent",
            faults=faults,
            extra={"lines": lines},
        )


class Flow(NamedTuple):
    """Units of a lot put on the road, or taken off it."""

    lot_id: int
    change: int
    occurred_at: datetime


def left_at(session: Session, sent: TransferRow, moves: Sequence[Move], entry: Entry, *, incoming: bool) -> datetime:
    """When goods left the road: an entry of now comes after all that is known of this transfer.

    Refused: a day before they were sent; a moment after which an arrival, undone since, had them already.
    """
    moment = entry.occurred_at(incoming=incoming)
    if entry.occurred is not None and entry.day_of(moment) < entry.day_of(sent.occurred_at):
        detail = f"{sent.number} was sent on {entry.day_of(sent.occurred_at)}: nothing of it came before."
        raise OutOfBounds(detail, faults=[Fault("/occurred_at", OutOfBounds.code, detail)])
    moment = max(moment, sent.occurred_at)
    asked = {"document": sent.document_id, "moment": moment}
    later = [Flow._make(row) for row in session.connection().execute(_FLOWS_AFTER, asked)]
    if entry.occurred is None:
        return max([moment, *(flow.occurred_at for flow in later)])
    left = {row.lot_id: row.quantity for row in outstanding(session, sent.document_id)}
    for lot_id in {move.lot.id for move in moves}:
        flows = [flow for flow in later if flow.lot_id == lot_id]
        running = left[lot_id] - sum(flow.change for flow in flows)
        running -= sum(move.quantity for move in moves if move.lot.id == lot_id)
        for change, when in [(0, moment), *((flow.change, flow.occurred_at) for flow in flows)]:
            running += change
            if running < 0:
                raise _gone_since(entry, moves, lot_id, when, running)
    return moment


def _gone_since(entry: Entry, moves: Sequence[Move], lot_id: int, when: datetime, below: int) -> WouldGoNegative:
    n, move = next((n, move) for n, move in enumerate(moves) if move.lot.id == lot_id)
    day = entry.day_of(when)
    detail = (
        f"With this entry {move.item.code} lot {move.lot.lot_number} would fall to {below} on the road on {day}. "
        "Enter it with the day on which it came in the end."
    )
    faults = [Fault(f"/lines/{n}/quantity", WouldGoNegative.code, detail)]
    return WouldGoNegative(detail, faults=faults, extra={"day": day.isoformat(), "balance": below})


def refresh(session: Session, document_id: int) -> TransferState:
    """The state that follows from what is on the road: nothing left, nothing come yet, or short."""
    rows = outstanding(session, document_id)
    left = sum(row.quantity for row in rows)
    state = TransferState.CLOSED if not left else TransferState.SHORT
    if left and all(row.quantity == row.sent for row in rows):
        state = TransferState.IN_TRANSIT
    session.connection().execute(
        update(TRANSFER).where(TRANSFER.c.document_id == document_id).values(state=state.value)
    )
    return state


def on_the_road(
    session: Session, item_id: int, *, at: datetime | None = None, known_at: datetime | None = None
) -> Mapping[int, int]:
    """Units of an item under way, by the place they are sent to; also as of a moment, as known at one.

    What is sent to another owner's place is no more the reserve's than what lies there.
    """
    statement = (
        select(TRANSFER.c.target_id, func.sum(_FLOW.c.change).label("quantity"))
        .select_from(_FLOW)
        .join(TRANSFER, TRANSFER.c.document_id == _FLOW.c.root)
        .join(LOT, LOT.c.id == _FLOW.c.lot_id)
        .join(PLACE, PLACE.c.id == TRANSFER.c.target_id)
        .where(*_road_asked(item_id, at, known_at), PLACE.c.owner.is_(None))
        .group_by(TRANSFER.c.target_id)
    )
    return {row.target_id: int(row.quantity) for row in session.connection().execute(statement) if row.quantity}


class OnTheRoad(NamedTuple):
    """Units of a lot under way to a place. `expected_on` None: whoever sent them did not say."""

    number: str
    target_id: int
    lot_id: int
    expires_on: date | None
    expected_on: date | None
    units: int


def lots_on_the_road(
    session: Session, item_id: int, *, at: datetime | None = None, known_at: datetime | None = None
) -> list[OnTheRoad]:
    """The same transfer by transfer and lot by lot, dated as was known then."""
    statement = (
        select(
            DOCUMENT.c.number,
            TRANSFER.c.target_id,
            LOT.c.id.label("lot_id"),
            LOT.c.expires_on,
            TRANSFER.c.expected_on,
            func.sum(_FLOW.c.change).label("units"),
        )
        .select_from(_FLOW)
        .join(TRANSFER, TRANSFER.c.document_id == _FLOW.c.root)
        .join(DOCUMENT, DOCUMENT.c.id == TRANSFER.c.document_id)
        .join(LOT, LOT.c.id == _FLOW.c.lot_id)
        .join(PLACE, PLACE.c.id == TRANSFER.c.target_id)
        .where(*_road_asked(item_id, at, known_at), PLACE.c.owner.is_(None))
        .group_by(DOCUMENT.c.id, DOCUMENT.c.number, TRANSFER.c.target_id, LOT.c.id, LOT.c.expires_on)
        .group_by(TRANSFER.c.expected_on)
        .having(func.sum(_FLOW.c.change) > 0)
        .order_by(DOCUMENT.c.id, LOT.c.id)
    )
    found = [OnTheRoad._make(row) for row in session.connection().execute(statement)]
    dates = dates_known(session, known_at) if known_at is not None and found else {}
    return [
        row._replace(
            units=int(row.units), expires_on=dates[row.lot_id].expires_on if row.lot_id in dates else row.expires_on
        )
        for row in found
    ]


_ROAD = select(PLACE.c.id).where(PLACE.c.kind == LocationKind.TRANSIT.value).scalar_subquery()


def _road_moves(end: ColumnElement[int], sign: int) -> Select[tuple[int, int, int, datetime, datetime]]:
    """Movements that enter (or leave) the road, each under the transfer whose family it belongs to."""
    return (
        select(
            func.coalesce(DOCUMENT.c.follows_id, DOCUMENT.c.id).label("root"),
            MOVEMENT.c.lot_id,
            (MOVEMENT.c.quantity * sign).label("change"),
            MOVEMENT.c.occurred_at,
            DOCUMENT.c.recorded_at,
        )
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where(end == _ROAD)
    )


_FLOW = union_all(_road_moves(MOVEMENT.c.target_id, 1), _road_moves(MOVEMENT.c.source_id, -1)).subquery("flow")


def _road_asked(item_id: int, at: datetime | None, known_at: datetime | None) -> list[ColumnElement[bool]]:
    """What is asked of the road: an item, as of a moment, as known at one; of now, transfers that are not closed."""
    wanted: list[ColumnElement[bool]] = [LOT.c.item_id == item_id]
    if at is not None:
        wanted.append(_FLOW.c.occurred_at < at)
    if known_at is not None:
        wanted.append(_FLOW.c.recorded_at <= known_at)
    if at is None and known_at is None:
        wanted.append(TRANSFER.c.state != TransferState.CLOSED.value)
    return wanted


_TRANSFERS = select(
    TRANSFER.c.document_id,
    DOCUMENT.c.number,
    TRANSFER.c.source_id,
    TRANSFER.c.target_id,
    TRANSFER.c.expected_on,
    TRANSFER.c.state,
    DOCUMENT.c.occurred_at,
).join(DOCUMENT, DOCUMENT.c.id == TRANSFER.c.document_id)
_FOUND = _TRANSFERS.where(DOCUMENT.c.number == bindparam("number"))
_BY_NUMBER = _FOUND.with_for_update(of=TRANSFER)
_LOCK = select(TRANSFER.c.document_id).where(TRANSFER.c.document_id == bindparam("document")).with_for_update()
# what was sent: into the road by the transfer itself, less what of that was taken back
_OUTSTANDING = (
    text("""
    WITH family AS (
        SELECT id AS root, id FROM document WHERE id IN :documents
        UNION ALL SELECT follows_id, id FROM document WHERE follows_id IN :documents
    ), road AS (SELECT id FROM location WHERE kind = 'transit'),
    flow AS (
        SELECT root, m.lot_id, m.quantity AS change, CASE WHEN m.document_id = root THEN m.quantity ELSE 0 END AS sent
        FROM movement m JOIN family ON family.id = m.document_id JOIN road ON road.id = m.target_id
        UNION ALL
        SELECT root, m.lot_id, -m.quantity, CASE WHEN o.document_id = root THEN -m.quantity ELSE 0 END
        FROM movement m JOIN family ON family.id = m.document_id JOIN road ON road.id = m.source_id
        LEFT JOIN movement o ON o.id = m.reverses
    )
    SELECT root, flow.lot_id, item.code, lot.lot_number, lot.expires_on, sum(sent) AS sent, sum(change) AS quantity
    FROM flow JOIN lot ON lot.id = flow.lot_id JOIN item ON item.id = lot.item_id
    GROUP BY root, flow.lot_id, item.code, lot.lot_number, lot.expires_on
    ORDER BY root, item.code, lot.expires_on, lot.lot_number
""")
    .bindparams(bindparam("documents", expanding=True))
    .columns(
        column("root", Integer),
        column("lot_id", Integer),
        column("code", Text),
        column("lot_number", Text),
        column("expires_on", Date),
        column("sent", BigInteger),
        column("quantity", BigInteger),
    )
)
_FLOWS_AFTER = (
    text("""
    SELECT m.lot_id, CASE WHEN road.id = m.target_id THEN m.quantity ELSE -m.quantity END AS change, m.occurred_at
    FROM movement m JOIN document d ON d.id = m.document_id
    JOIN location road ON road.kind = 'transit' AND road.id IN (m.source_id, m.target_id)
    WHERE (d.id = :document OR d.follows_id = :document) AND m.occurred_at > :moment
    ORDER BY m.occurred_at, m.id
""")
    .bindparams(bindparam("moment", type_=Moment))
    .columns(column("lot_id", Integer), column("change", BigInteger), column("occurred_at", Moment))
)
