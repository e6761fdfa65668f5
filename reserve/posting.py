"""Writes documents, movements and balances: the only place that does. `ledger` decides, this appends.

A document is a few prebuilt statements whatever its lines: the balances, what became due in the worker's queue, its
number, itself, its movements. The number comes late because it has no gaps: from then on every other document of its
kind and day waits for this transaction to end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Date, TextClause, bindparam, insert, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from reserve.catalogue import ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, InsufficientStock, Invalid
from reserve.lots import LotRow
from reserve.model import (
    NUMBER_PREFIX,
    Balance,
    CoverageDue,
    Document,
    DocumentKind,
    LastCount,
    LocationKind,
    Movement,
    Purpose,
    table,
)

REQUISITION_PREFIX = "RQ"

DOCUMENT, MOVEMENT, BALANCE, DUE, LAST_COUNT = (
    table(model) for model in (Document, Movement, Balance, CoverageDue, LastCount)
)


class Recorded(NamedTuple):
    """One movement as it is answered, codes instead of ids."""

    id: int
    document: str
    kind: str
    item: str
    lot_number: str
    expires_on: date | None
    source: str
    target: str
    quantity: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reason: str | None
    reference: str | None
    purpose: str | None
    recipient: str | None
    reverses: int | None
    party: str | None = None


class Posted(NamedTuple):
    """A document as it was recorded; `more` is what its kind tells beside its movements."""

    document: str
    movements: list[Recorded]
    more: Mapping[str, Any] = MappingProxyType({})
    id: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A movement to be recorded."""

    item: ItemRow
    lot: LotRow
    source: Place
    target: Place
    quantity: int
    reason: str | None = None
    unit_cost: int | None = None
    reverses: int | None = None


class Particulars(NamedTuple):
    """What a document says beside its lines. `number` where it was given before, to a count sheet."""

    purpose: Purpose | None = None
    recipient: str | None = None
    party: str | None = None
    restriction: str | None = None
    reason: str | None = None
    follows_id: int | None = None
    requisition_id: int | None = None
    number: str | None = None


def post(
    session: Session,
    entry: Entry,
    kind: DocumentKind,
    place: Place,
    moves: Sequence[Move],
    occurred_at: datetime,
    *,
    told: Particulars = Particulars(),  # noqa: B008 - an immutable tuple
) -> Posted:
    """Shift the balances, queue the assessment, append the document and its movements: five statements."""
    connection = session.connection()
    _shift(session, moves)
    if entry.occurred is not None:
        # after the balances are locked, so that a count approved meanwhile is seen
        _refuse_before_count(session, entry, moves, occurred_at)
    due = sorted({(end.id, move.item.id) for move in moves for end in (move.source, move.target) if end.inside})
    mark_due(session, due, entry.now)
    number, document_id, first_movement = _numbered(session, NUMBER_PREFIX[kind], entry.today, told.number)
    connection.execute(
        _INSERT_DOCUMENT,
        {
            "id": document_id,
            "number": number,
            "kind": kind.value,
            "location_id": place.id,
            "occurred_at": occurred_at,
            "recorded_at": entry.now,
            "actor": entry.actor,
            "reference": entry.reference,
            "purpose": told.purpose and told.purpose.value,
            "recipient": told.recipient,
            "reason": told.reason,
            "party": told.party,
            "restriction": told.restriction,
            "follows_id": told.follows_id,
            "requisition_id": told.requisition_id,
        },
    )
    ids = _append(
        session,
        first_movement,
        [
            {
                "document_id": document_id,
                "line": n,
                "lot_id": move.lot.id,
                "source_id": move.source.id,
                "target_id": move.target.id,
                "quantity": move.quantity,
                "occurred_at": occurred_at,
                "reverses": move.reverses,
                "reason": move.reason,
                "unit_cost": move.unit_cost,
            }
            for n, move in enumerate(moves, start=1)
        ],
    )
    recorded = [
        Recorded(
            id=movement_id,
            document=number,
            kind=kind.value,
            item=move.item.code,
            lot_number=move.lot.lot_number,
            expires_on=move.lot.expires_on,
            source=move.source.code,
            target=move.target.code,
            quantity=move.quantity,
            occurred_at=occurred_at,
            recorded_at=entry.now,
            actor=entry.actor,
            reason=move.reason,
            reference=entry.reference,
            purpose=told.purpose and told.purpose.value,
            recipient=told.recipient,
            reverses=move.reverses,
            party=told.party,
        )
        for movement_id, move in zip(ids, moves, strict=True)
    ]
    return Posted(number, recorded, id=document_id)


def _refuse_before_count(session: Session, entry: Entry, moves: Sequence[Move], occurred_at: datetime) -> None:
    """What was counted and approved stands: nothing is entered behind it."""
    touched = {
        (end.id, move.lot.id): (n, move)
        for n, move in enumerate(moves)
        for end in (move.source, move.target)
        if end.stocked
    }
    rows = session.connection().execute(_COUNTED_SINCE, {"pairs": sorted(touched), "moment": occurred_at})
    counted = [(*touched[row.location_id, row.lot_id], row.counted_at) for row in rows]
    if not counted:
        return
    faults = [
        Fault(
            f"/lines/{n}",
            "before_last_count",
            f"Lot {move.lot.lot_number} of {move.item.code} was counted on {entry.day_of(when)} and that was approved: "
            "no earlier entry is made. Record it as an adjustment of today.",
        )
        for n, move, when in sorted(counted, key=lambda found: found[0])
    ]
    raise Conflict(faults[0].detail, code="before_last_count", faults=faults)


def alone(session: Session) -> None:
    """Let no other document be recorded until this transaction ends: for many documents in one.

    A number is taken after the balances it goes with are locked. Whoever goes on to a second document would lock
    balances after a number, and could wait for somebody who waits for the number.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":  # on SQLite whoever writes is alone
        connection.execute(text("LOCK TABLE balance IN EXCLUSIVE MODE"))


def next_number(session: Session, prefix: str, day: date) -> str:
    """The next number of a kind and day, without gaps: others of that kind and day wait for this transaction."""
    return _numbered(session, prefix, day, None)[0]


def _numbered(session: Session, prefix: str, day: date, given: str | None) -> tuple[str, int, int | None]:
    """A document's number, its id, and the first movement's id where that is ours to count."""
    connection = session.connection()
    if given is not None:
        document_id, first = connection.execute(_IDS[connection.dialect.name]).one()
        return given, document_id, first
    counted = connection.execute(_NEXT[connection.dialect.name], {"kind": prefix, "day": day})
    last, document_id, first = counted.one()
    return f"{prefix}-{day:%Y%m%d}-{last:06d}", document_id, first


def _append(session: Session, first: int | None, rows: list[dict[str, object]]) -> Sequence[int]:
    """Append movements, in one statement; their ids in the order of the rows.

    RETURNING would be a statement a row on SQLite. Whoever writes there is alone, so the ids are counted from `first`.
    """
    connection = session.connection()
    if first is None:
        return connection.execute(_INSERT_MOVEMENTS, rows).scalars().all()
    ids = range(first, first + len(rows))
    connection.execute(_INSERT_NUMBERED, [{"id": n, **row} for n, row in zip(ids, rows, strict=True)])
    return ids


def _shift(session: Session, moves: Sequence[Move]) -> None:
    """Balances follow: what is on the road last, so that a dispatch and an arrival cannot wait for each other."""
    places = {end.id: end for move in moves for end in (move.source, move.target) if end.inside}
    for on_the_road in (False, True):
        ids = {i for i, place in places.items() if (place.kind == LocationKind.TRANSIT) == on_the_road}
        if ids:
            _shift_at(session, moves, ids)


def _shift_at(session: Session, moves: Sequence[Move], places: set[int]) -> None:
    """Out by a conditional update, in by an upsert, both in the order of (place, lot)."""
    change: dict[tuple[int, int], int] = defaultdict(int)
    for move in moves:
        if move.source.id in places:
            change[move.source.id, move.lot.id] -= move.quantity
        if move.target.id in places:
            change[move.target.id, move.lot.id] += move.quantity
    out = [{"location": p, "lot": t, "taken": -c} for (p, t), c in sorted(change.items()) if c < 0]
    into = [{"location_id": p, "lot_id": t, "on_hand": c} for (p, t), c in sorted(change.items()) if c > 0]
    connection = session.connection()
    if out and connection.execute(_TAKE, out).rowcount != len(out):
        raise InsufficientStock("The goods are no longer there; nothing was moved. Reverse what has taken them first.")
    if into:
        try:
            connection.execute(_PUT[connection.dialect.name], into)
        except IntegrityError as error:
            if "balance_on_hand" in str(error.orig):
                raise too_much("/lines") from error
            raise


def mark_due(session: Session, pairs: Iterable[tuple[int, int]], now: datetime) -> None:
    """Tell the worker that these (place, item) pairs changed. Appended, so that writers never wait for each other."""
    rows = [{"location_id": place, "item_id": item, "recorded_at": now} for place, item in pairs]
    if rows:
        session.connection().execute(_INSERT_DUE, rows)


def too_much(pointer: str) -> Invalid:
    detail = "More than 10^15 units of one lot at one place cannot be real: check the quantity."
    return Invalid(detail, code="quantity_too_large", faults=[Fault(pointer, "quantity_too_large", detail)])


_COUNTED_SINCE = select(LAST_COUNT.c.location_id, LAST_COUNT.c.lot_id, LAST_COUNT.c.counted_at).where(
    tuple_(LAST_COUNT.c.location_id, LAST_COUNT.c.lot_id).in_(bindparam("pairs", expanding=True)),
    LAST_COUNT.c.counted_at >= bindparam("moment"),
)
# Statements are prepared once: building them per call costs more than running them.
_NEXT_IDS = {
    # the next document's id, and the next movement's where it is ours to count
    "sqlite": "(SELECT coalesce(max(id), 0) + 1 FROM document), (SELECT coalesce(max(id), 0) + 1 FROM movement)",
    "postgresql": "nextval(pg_get_serial_sequence('document', 'id')), NULL",
}
_IDS: dict[str, TextClause] = {dialect: text(f"SELECT {ids}") for dialect, ids in _NEXT_IDS.items()}
_NEXT: dict[str, TextClause] = {
    dialect: text(
        "INSERT INTO counter (kind, day, first, last) VALUES (:kind, :day, 1, 1)"  # noqa: S608 - both texts are ours
        f" ON CONFLICT (kind, day) DO UPDATE SET last = counter.last + 1 RETURNING last, {ids}"
    ).bindparams(bindparam("day", type_=Date))
    for dialect, ids in _NEXT_IDS.items()
}
_INSERT_DOCUMENT = insert(DOCUMENT)
_INSERT_NUMBERED = insert(MOVEMENT)
_INSERT_MOVEMENTS = insert(MOVEMENT).returning(MOVEMENT.c.id, sort_by_parameter_order=True)
_INSERT_DUE = insert(DUE)
_TAKE = (
    update(BALANCE)
    .where(
        BALANCE.c.location_id == bindparam("location"),
        BALANCE.c.lot_id == bindparam("lot"),
        BALANCE.c.on_hand >= bindparam("taken"),
    )
    .values(on_hand=BALANCE.c.on_hand - bindparam("taken"))
)
_sqlite_put = sqlite.insert(BALANCE)
_postgresql_put = postgresql.insert(BALANCE)
_PUT = {
    "sqlite": _sqlite_put.on_conflict_do_update(
        index_elements=[BALANCE.c.location_id, BALANCE.c.lot_id],
        set_={"on_hand": BALANCE.c.on_hand + _sqlite_put.excluded.on_hand},
    ),
    "postgresql": _postgresql_put.on_conflict_do_update(
        index_elements=[BALANCE.c.location_id, BALANCE.c.lot_id],
        set_={"on_hand": BALANCE.c.on_hand + _postgresql_put.excluded.on_hand},
    ),
}
