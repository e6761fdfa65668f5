"""Writes documents, movements and balances: the only place that does. `ledger` decides, this appends.

A document is a few prebuilt statements whatever its lines: its number, itself, its movements, the balances, and what
became due in the worker's queue.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Executable, bindparam, insert, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from reserve.catalogue import ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Fault, InsufficientStock, Invalid
from reserve.lots import LotRow
from reserve.model import NUMBER_PREFIX, Balance, CoverageDue, Document, DocumentKind, Movement, Purpose, table

DOCUMENT, MOVEMENT, BALANCE, DUE = (table(model) for model in (Document, Movement, Balance, CoverageDue))


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


class Posted(NamedTuple):
    document: str
    movements: list[Recorded]


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


def post(
    session: Session,
    entry: Entry,
    kind: DocumentKind,
    place: Place,
    moves: Sequence[Move],
    occurred_at: datetime,
    *,
    purpose: Purpose | None = None,
    recipient: str | None = None,
) -> Posted:
    """Append the document and its movements, shift the balances, queue the assessment: four statements."""
    connection = session.connection()
    document_id, first_movement = connection.execute(_NEXT[connection.dialect.name]).one()
    number = f"{NUMBER_PREFIX[kind]}-{entry.today:%Y%m%d}-{document_id:06d}"
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
            "purpose": purpose and purpose.value,
            "recipient": recipient,
            "reason": None,
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
    _shift(session, moves)
    due = sorted({(end.id, move.item.id) for move in moves for end in (move.source, move.target) if end.inside})
    mark_due(session, due, entry.now)
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
            purpose=purpose and purpose.value,
            recipient=recipient,
            reverses=move.reverses,
        )
        for movement_id, move in zip(ids, moves, strict=True)
    ]
    return Posted(number, recorded)


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
    """Balances follow: out by a conditional update, in by an upsert, both in the order of (place, lot)."""
    change: dict[tuple[int, int], int] = defaultdict(int)
    for move in moves:
        if move.source.inside:
            change[move.source.id, move.lot.id] -= move.quantity
        if move.target.inside:
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


# Statements are prepared once: building them per call costs more than running them.
_NEXT: dict[str, Executable] = {
    # the next document's id, and the next movement's where it is ours to count
    "sqlite": text(
        "SELECT (SELECT coalesce(max(id), 0) + 1 FROM document), (SELECT coalesce(max(id), 0) + 1 FROM movement)"
    ),
    "postgresql": text("SELECT nextval(pg_get_serial_sequence('document', 'id')), NULL"),
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
