"""Undoing by the opposite (冲销): once, complete, both sides visible."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, lots, promises, transit
from reserve.catalogue import PLACE, Place
from reserve.entry import Entry
from reserve.errors import AlreadyReversed, InsufficientStock, NotReversible, Unknown
from reserve.lots import LotRow
from reserve.model import DocumentKind, LocationKind
from reserve.posting import DOCUMENT, MOVEMENT, Move, Particulars, Posted, post
from reserve.shelf import lock, not_before


def reverse(session: Session, entry: Entry, *, movement_id: int, reason: str) -> Posted:
    """Undo one movement by its opposite, once. Both stay visible. Both halves of a downgrade are undone together.

    Refused: a movement that was reversed before, or that is itself a reversal; goods that are no longer there.
    """
    ids = [movement_id, *session.connection().execute(_OTHER_HALF, {"id": movement_id}).scalars()]
    originals = session.connection().execute(_MOVEMENTS, {"ids": ids}).all()
    if not originals:
        raise Unknown(f"There is no movement {movement_id}.", code="unknown_movement")
    return _reverse(session, entry, originals, reason)


def reverse_document(session: Session, entry: Entry, *, number: str, reason: str) -> Posted:
    """Undo whatever of a document still stands, in one document.

    Refused: a document of which nothing stands, a reversal, goods that are no longer there; nothing is half undone.
    """
    ids = session.connection().execute(_LINES_OF, {"number": number}).scalars().all()
    if not ids:
        raise Unknown(f"There is no document {number}.", code="unknown_document")
    undone = {row.reverses for row in session.connection().execute(_REVERSALS, {"ids": ids})}
    standing = [i for i in ids if i not in undone]
    if not standing:
        raise AlreadyReversed(f"Everything of document {number} was reversed before.")
    return _reverse(session, entry, session.connection().execute(_MOVEMENTS, {"ids": standing}).all(), reason)


def _reverse(session: Session, entry: Entry, originals: Sequence[Any], reason: str) -> Posted:
    if any(original.reverses is not None for original in originals):
        raise NotReversible("This movement is itself a reversal; record what really happened instead.")
    root = originals[0].follows_id or originals[0].document_id
    on_its_way = transit.lock(session, root)
    if originals[0].requisition_id is not None:
        promises.lock(session, originals[0].requisition_id)
    places = {place.id: place for place in catalogue.places(session)}
    touched = _lock_touched(session, originals, places)
    again = session.connection().execute(_REVERSALS, {"ids": [row.id for row in originals]}).first()
    if again is not None:
        raise AlreadyReversed(f"Movement {again.reverses} was reversed by document {again.number}.")
    items = catalogue.items_by_id(session, {row.item_id for row in originals})
    moves = [
        Move(
            items[row.item_id],
            LotRow(row.lot_id, row.item_id, row.lot_number, row.manufactured_on, row.expires_on),
            places[row.target_id],
            places[row.source_id],
            row.quantity,
            reason=reason,
            reverses=row.id,
        )
        for row in reversed(originals)
    ]
    if on_its_way and transit.overdrawn(session, root, moves):
        raise InsufficientStock(
            "Part of this transfer has arrived or been settled; nothing was moved. Reverse that document first."
        )
    ends = [end for move in moves for end in (move.source, move.target)]
    # it belongs to where goods leave, else to where they come back to; a loss on the road, to where it was settled
    home = next((end for end in ends if end.stocked), places[originals[0].location_id])
    occurred_at = max(not_before(session, entry.now, place_id, sorted(ids)) for place_id, ids in touched.items())
    told = Particulars(reason=reason, follows_id=root)
    posted = post(session, entry, DocumentKind.REVERSAL, home, moves, occurred_at, told=told)
    if on_its_way:
        transit.refresh(session, root)
    if originals[0].requisition_id is not None:
        promises.give_back(session, entry, originals[0].requisition_id, originals)
    return posted


def _lock_touched(session: Session, originals: Sequence[Any], places: Mapping[int, Place]) -> dict[int, set[int]]:
    """The lots that change by place; their balances locked, but for those on the road, which their transfer guards."""
    touched: dict[int, set[int]] = defaultdict(set)
    for row in originals:
        for end in (row.source_id, row.target_id):
            if places[end].inside:
                touched[end].add(row.lot_id)
    for place_id in sorted(touched):
        if places[place_id].stocked:
            lock(session, place_id, sorted(touched[place_id]))
    return touched


def home(session: Session, number: str) -> Place | None:
    """Where a document belongs: its store, the sender of a transfer, the receiver of an arrival."""
    row = session.connection().execute(_HOME, {"number": number}).one_or_none()
    return None if row is None else Place._make(row)


_MOVEMENTS = (
    select(
        MOVEMENT.c.id,
        MOVEMENT.c.lot_id,
        MOVEMENT.c.source_id,
        MOVEMENT.c.target_id,
        MOVEMENT.c.quantity,
        MOVEMENT.c.reverses,
        MOVEMENT.c.document_id,
        DOCUMENT.c.follows_id,
        DOCUMENT.c.location_id,
        DOCUMENT.c.requisition_id,
        lots.LOT.c.item_id,
        lots.LOT.c.lot_number,
        lots.LOT.c.manufactured_on,
        lots.LOT.c.expires_on,
    )
    .join(lots.LOT, lots.LOT.c.id == MOVEMENT.c.lot_id)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .where(MOVEMENT.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(MOVEMENT.c.id)
)
_REVERSALS = (
    select(MOVEMENT.c.reverses, DOCUMENT.c.number)
    .join(MOVEMENT, MOVEMENT.c.document_id == DOCUMENT.c.id)
    .where(MOVEMENT.c.reverses.in_(bindparam("ids", expanding=True)))
)
_one, _ends = aliased(MOVEMENT, name="one"), aliased(PLACE, name="ends")
# of a downgrade: the movement after the one that takes goods out as what they were, or before the one that brings them
_OTHER_HALF = (
    select(MOVEMENT.c.id)
    .join(_one, _one.c.document_id == MOVEMENT.c.document_id)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .join(_ends, _ends.c.kind == LocationKind.VARIANCE.value)
    .where(
        _one.c.id == bindparam("id"),
        DOCUMENT.c.kind == DocumentKind.INSPECTION.value,
        or_(
            and_(_one.c.target_id == _ends.c.id, MOVEMENT.c.line == _one.c.line + 1),
            and_(_one.c.source_id == _ends.c.id, MOVEMENT.c.line == _one.c.line - 1),
        ),
    )
)
_HOME = (
    select(*catalogue.PLACE_COLUMNS)
    .join(DOCUMENT, DOCUMENT.c.location_id == PLACE.c.id)
    .where(DOCUMENT.c.number == bindparam("number"))
)
_LINES_OF = (
    select(MOVEMENT.c.id)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .where(DOCUMENT.c.number == bindparam("number"))
    .order_by(MOVEMENT.c.id)
)
