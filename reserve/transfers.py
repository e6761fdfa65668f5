"""Transfers between places (调拨): sent, on the road, received, and what never came settled by a manager.

Goods on the road are on nobody's shelf. A short receipt leaves what is missing on the road, by name, until somebody
settles it: lost, damaged, or come back.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from reserve import catalogue, transit
from reserve.catalogue import Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, Unknown
from reserve.ledger import explained
from reserve.lines import SETTLEMENTS, IssueLine, LotLine, SettledLine
from reserve.model import DocumentKind, TransferState
from reserve.picking import pick_lines
from reserve.posting import Move, Particulars, Posted, post
from reserve.resolve import items_of, named_lots, refuse_bad_quantities
from reserve.shelf import lock_shelf
from reserve.transit import TRANSFER, TransferRow

ROAD = "TRANSIT"


def send(
    session: Session,
    entry: Entry,
    *,
    source: str,
    target: str,
    lines: Sequence[IssueLine],
    carrier: str | None = None,
    expected_on: date | None = None,
) -> Posted:
    """Put goods on the road, first expired first out over usable lots, all lines or none.

    Refused: what an issue refuses; a place to itself; a region, which has no shelf.
    """
    start = catalogue.require_place(session, source, "/source")
    end = _store(catalogue.require_place(session, target, "/target"))
    if start.id == end.id:
        detail = f"{source} cannot send to itself: name another target."
        raise Invalid(detail, code="same_place", faults=[Fault("/target", "same_place", detail)])
    occurred_at = entry.occurred_at(incoming=False)
    refuse_bad_quantities([line.quantity for line in lines])
    items = items_of(session, lines)
    shelf = lock_shelf(session, start, {item.id for item in items}, 1 if entry.occurred is None else 0)
    occurred_at = shelf.open_at(session, occurred_at, explicit=entry.occurred is not None)
    candidates = shelf.candidates(entry.day_of(occurred_at))
    picked = pick_lines(lines, items, candidates, shelf, entry)
    road = _road(session)
    moves = [
        Move(items[p.line], shelf.lots[p.lot_id], start, road, p.quantity, reason=lines[p.line].override_reason)
        for p in picked
    ]
    told = Particulars(recipient=end.code, party=carrier)
    posted = post(session, entry, DocumentKind.TRANSFER, start, moves, occurred_at, told=told)
    session.connection().execute(
        insert(TRANSFER).values(
            document_id=posted.id,
            source_id=start.id,
            target_id=end.id,
            expected_on=expected_on,
            state=TransferState.IN_TRANSIT.value,
        )
    )
    more = {
        **_told(session, posted.id, TransferState.IN_TRANSIT),
        "target": end.code,
        "expected_on": expected_on,
        "picking": explained(lines, items, candidates, picked),
    }
    return posted._replace(more=more)


def receive(session: Session, entry: Entry, *, number: str, lines: Sequence[LotLine] | None) -> Posted:
    """Take in what came of a transfer; None is everything that is still on the road. Any number of times.

    Refused: a lot that was not sent, more than is on the road then or later, a transfer that is closed; a day before
    it was sent.
    """
    sent = _open(session, number)
    places = {place.id: place for place in catalogue.places(session)}
    target = places[sent.target_id]
    if lines is None:
        lines = [
            LotLine(row.item, row.lot_number, row.quantity)
            for row in transit.outstanding(session, sent.document_id)
            if row.quantity
        ]
    moves = _off_the_road(session, sent, lines, catalogue.incoming(session, target))
    occurred_at = transit.left_at(session, sent, moves, entry, incoming=True)
    told = Particulars(follows_id=sent.document_id)
    posted = post(session, entry, DocumentKind.ARRIVAL, target, moves, occurred_at, told=told)
    state = transit.refresh(session, sent.document_id)
    return posted._replace(more={"transfer": number, **_told(session, sent.document_id, state)})


def settle(session: Session, entry: Entry, *, number: str, lines: Sequence[SettledLine]) -> Posted:
    """Say what became of goods that never came: lost, damaged, or returned to where they were sent from.

    Refused: an unknown outcome, a lot that was not sent, more than is on the road, a transfer that is closed.
    """
    sent = _open(session, number)
    faults = [
        Fault(f"/lines/{n}/outcome", "unknown_outcome", f"Use one of {', '.join(SETTLEMENTS)}.")
        for n, line in enumerate(lines)
        if line.outcome not in SETTLEMENTS
    ]
    if faults:
        raise Invalid(faults[0].detail, code="unknown_outcome", faults=faults)
    places = {place.id: place for place in catalogue.places(session)}
    source = places[sent.source_id]
    by_code = catalogue.places_by_code(session, ["VARIANCE", "WASTE"])
    ends = {
        "lost": by_code["VARIANCE"],
        "damaged": by_code["WASTE"],
        "returned": catalogue.incoming(session, source),
    }
    moves = [
        replace(move, target=ends[line.outcome], reason=f"{line.outcome}: {line.reason}"[:200])
        for line, move in zip(lines, _off_the_road(session, sent, lines, source), strict=True)
    ]
    occurred_at = transit.left_at(session, sent, moves, entry, incoming=False)
    told = Particulars(follows_id=sent.document_id)
    posted = post(session, entry, DocumentKind.SETTLEMENT, source, moves, occurred_at, told=told)
    state = transit.refresh(session, sent.document_id)
    return posted._replace(more={"transfer": number, **_told(session, sent.document_id, state)})


def _open(session: Session, number: str) -> TransferRow:
    found = transit.transfer(session, number)
    if found is None:
        raise Unknown(f"There is no transfer {number}.", code="unknown_transfer")
    if found.state == TransferState.CLOSED:
        raise Conflict(
            f"Everything of transfer {number} has arrived or been settled; nothing of it is on the road.",
            code="transfer_closed",
        )
    return found


def _off_the_road(
    session: Session, sent: TransferRow, lines: Sequence[LotLine | SettledLine], target: Place
) -> list[Move]:
    refuse_bad_quantities([line.quantity for line in lines])
    items = items_of(session, lines)
    found = named_lots(session, lines, items, f"in transfer {sent.number}")
    road = _road(session)
    moves = [
        Move(item, found[item.id, line.lot_number], road, target, line.quantity)
        for line, item in zip(lines, items, strict=True)
    ]
    transit.refuse_overdraft(session, sent.document_id, moves)
    return moves


def _road(session: Session) -> Place:
    found = catalogue.place(session, ROAD)
    assert found is not None  # noqa: S101 - made by the first migration
    return found


def _store(place: Place) -> Place:
    """A place goods can be sent to: a region has no shelf, and a bay is reached through its store."""
    if place.kind == "region" or place.bay_of is not None:
        detail = f"Goods are sent to a store; {place.code} is none."
        raise Invalid(detail, code="not_a_store", faults=[Fault("/target", "not_a_store", detail)])
    return place


def _told(session: Session, document_id: int, state: TransferState) -> dict[str, Any]:
    """How a transfer stands: its state, and what of it is still on the road."""
    return {"state": state.value, "outstanding": outstanding_rows(session, document_id)}


def outstanding_rows(session: Session, document_id: int) -> list[dict[str, Any]]:
    return outstanding_of(session, [document_id])[document_id]


def outstanding_of(session: Session, document_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What of each transfer is on the road, as it is answered."""
    found = transit.outstanding_of(session, document_ids)
    return {document_id: [_left(row) for row in rows] for document_id, rows in found.items()}


def _left(row: transit.Outstanding) -> dict[str, Any]:
    return {
        "item": row.item,
        "lot_number": row.lot_number,
        "expires_on": row.expires_on,
        "sent": row.sent,
        "outstanding": row.quantity,
    }
