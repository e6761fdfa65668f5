"""What is recorded at one place: receive, issue, adjust, dispose; and `reverse`, which undoes any of it.

Every function takes an open session, records all of its lines or refuses, and never commits. Order inside one
transaction: find the codes, lock every balance row that may change (sorted, so that two documents cannot wait for each
other), decide, append the document and its movements, shift the balances by conditional updates, and put what changed
in the worker's queue.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from reserve import catalogue, fefo, lots
from reserve.catalogue import ItemRow
from reserve.entry import Entry
from reserve.errors import Fault, Invalid
from reserve.fefo import Candidate, Picked
from reserve.lines import ADJUSTMENT_REASONS, DISPOSAL_REASONS, AdjustmentLine, IssueLine, LotLine, ReceiptLine
from reserve.lots import WantedLot
from reserve.model import DocumentKind, Purpose
from reserve.picking import pick_lines, refuse_losses
from reserve.posting import Move, Particulars, Posted, post
from reserve.resolve import (
    adjusted_lots,
    ends,
    items_of,
    named_lots,
    receipt_lines,
    refuse_bad_quantities,
    refuse_undated_or_expired,
)
from reserve.reversal import reverse, reverse_document
from reserve.shelf import lock_lots, lock_shelf, look

__all__ = [
    "ADJUSTMENT_REASONS",
    "AdjustmentLine",
    "IssueLine",
    "LotLine",
    "Purpose",
    "ReceiptLine",
    "adjust",
    "dispose",
    "issue",
    "picking",
    "receive",
    "reverse",
    "reverse_document",
]


def receive(
    session: Session,
    entry: Entry,
    *,
    location: str,
    lines: Sequence[ReceiptLine],
    source: str = "SUPPLIER",
    told: Particulars = Particulars(),  # noqa: B008 - an immutable tuple
) -> Posted:
    """Put goods in stock (入库), all lines or none; where the place inspects, into its bay, not usable yet.

    Refused: a quantity that is not 1 to 10^15; an unknown item, GTIN or place; a lot that is known with another expiry;
    a lot past its last usable day; no expiry for an item that has a shelf life; more than one lot and place can hold.
    """
    place, outside = ends(session, location, source)
    occurred_at = entry.occurred_at(incoming=True)
    items, quantities = receipt_lines(session, lines)
    refuse_bad_quantities(quantities)
    wanted = [
        WantedLot(item.id, line.lot_number, line.manufactured_on, line.expires_on, f"/lines/{n}")
        for n, (line, item) in enumerate(zip(lines, items, strict=True))
    ]
    refuse_undated_or_expired(wanted, items, entry.day_of(occurred_at))
    found = lots.find_or_make(session, wanted, entry)
    shelf = catalogue.incoming(session, place)
    moves = [
        Move(item, found[item.id, line.lot_number], outside, shelf, quantity, unit_cost=line.unit_cost)
        for line, item, quantity in zip(lines, items, quantities, strict=True)
    ]
    return post(session, entry, DocumentKind.RECEIPT, place, moves, occurred_at, told=told)


def issue(
    session: Session,
    entry: Entry,
    *,
    location: str,
    lines: Sequence[IssueLine],
    purpose: Purpose,
    recipient: str | None = None,
) -> Posted:
    """Hand goods out (出库), first expired first out over usable lots, all lines or none; says why each lot.

    Refused: too little usable stock (says how much there is); an expired or held lot; another lot than the first to
    expire without a reason; a back-dated issue that would leave a later day below zero (names the day).
    """
    place, consumer = ends(session, location, "CONSUMER")
    occurred_at = entry.occurred_at(incoming=False)
    refuse_bad_quantities([line.quantity for line in lines])
    items = items_of(session, lines)
    # What has been used up since counts too when the entry is of the past: the refusal names the day it was.
    least = 1 if entry.occurred is None else 0
    shelf = lock_shelf(session, place, {item.id for item in items}, least)
    occurred_at = shelf.open_at(session, occurred_at, explicit=entry.occurred is not None)
    candidates = shelf.candidates(entry.day_of(occurred_at))
    picked = pick_lines(lines, items, candidates, shelf, entry)
    moves = [
        Move(items[p.line], shelf.lots[p.lot_id], place, consumer, p.quantity, reason=lines[p.line].override_reason)
        for p in picked
    ]
    told = Particulars(purpose=purpose, recipient=recipient)
    posted = post(session, entry, DocumentKind.ISSUE, place, moves, occurred_at, told=told)
    return posted._replace(more={"picking": explained(lines, items, candidates, picked)})


def explained(
    lines: Sequence[IssueLine], items: Sequence[ItemRow], candidates: Sequence[Candidate], picked: Sequence[Picked]
) -> list[dict[str, object]]:
    """Why these lots (为什么是这个批号): by line, what it takes and what was passed over on the way to it."""
    shelves: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in fefo.order(candidates):
        shelves[candidate.item_id].append(candidate)
    taken: list[dict[int, int]] = [{} for _ in lines]
    for p in picked:
        taken[p.line][p.lot_id] = p.quantity
    gone: dict[int, int] = defaultdict(int)
    answer: list[dict[str, object]] = []
    for n, (line, item) in enumerate(zip(lines, items, strict=True)):
        named = line.lot_number is not None
        because = line.override_reason if named else None
        looked = fefo.explain(shelves[item.id], taken[n], gone=gone, named=named, because=because)
        told = [why._asdict() for why in looked.lots]
        answer.append({"line": n, "item": item.code, "lots": told, "more": looked.more})
        for lot_id, units in taken[n].items():
            gone[lot_id] += units
    return answer


def picking(session: Session, entry: Entry, *, location: str, item: str, quantity: int) -> dict[str, object]:
    """Which lots an issue of now would take and why, recording nothing; `short` where there is too little."""
    place = catalogue.require_place(session, location)
    [found] = items_of(session, [IssueLine(item, quantity)])
    shelf = fefo.order(look(session, place, {found.id}).candidates(entry.today))
    picked = fefo.pick(shelf, quantity)
    looked = fefo.explain(shelf, {p.lot_id: p.quantity for p in picked})
    told = [why._asdict() for why in (*looked.lots, *fefo.later(shelf, looked))]
    short = quantity - sum(p.quantity for p in picked)
    return {"location": location, "item": item, "quantity": quantity, "short": short, "lots": told}


def adjust(session: Session, entry: Entry, *, location: str, lines: Sequence[AdjustmentLine]) -> Posted:
    """Correct the books (调整): a gain comes from VARIANCE, a loss goes there. Gains count before losses.

    Refused: an unknown reason or lot; a loss of more than there is, then or at any later moment.
    """
    place, variance = ends(session, location, "VARIANCE")
    refuse_bad_quantities([abs(line.quantity) for line in lines])
    incoming = all(line.quantity > 0 for line in lines)
    occurred_at = entry.occurred_at(incoming=incoming)
    items = items_of(session, lines)
    faults = [
        Fault(f"/lines/{n}/reason", "unknown_reason", f"Use one of {', '.join(ADJUSTMENT_REASONS)}.")
        for n, line in enumerate(lines)
        if line.reason not in ADJUSTMENT_REASONS
    ]
    if faults:
        raise Invalid(faults[0].detail, code="unknown_reason", faults=faults)
    found = adjusted_lots(session, entry, lines, items)
    shelf = lock_lots(session, place, found.values())
    occurred_at = shelf.open_at(session, occurred_at, explicit=entry.occurred is not None)
    refuse_losses(lines, items, found, shelf, entry)
    moves = [
        Move(
            item,
            found[item.id, line.lot_number],
            variance if line.quantity > 0 else place,
            place if line.quantity > 0 else variance,
            abs(line.quantity),
            reason=line.reason,
        )
        for line, item in sorted(zip(lines, items, strict=True), key=lambda pair: pair[0].quantity < 0)
    ]
    return post(session, entry, DocumentKind.ADJUSTMENT, place, moves, occurred_at)


def dispose(session: Session, entry: Entry, *, location: str, lines: Sequence[LotLine], reason: str) -> Posted:
    """Destroy goods (报废), held and expired ones too, all lines or none.

    Refused: an unknown reason or lot; more than lies there, then or at any later moment; `expired` for a lot that may
    still be used.
    """
    place, waste = ends(session, location, "WASTE")
    refuse_bad_quantities([line.quantity for line in lines])
    if reason not in DISPOSAL_REASONS:
        detail = f"Use one of {', '.join(DISPOSAL_REASONS)}."
        raise Invalid(detail, code="unknown_reason", faults=[Fault("/reason", "unknown_reason", detail)])
    occurred_at = entry.occurred_at(incoming=False)
    items = items_of(session, lines)
    found = named_lots(session, lines, items, "here")
    shelf = lock_lots(session, place, found.values())
    occurred_at = shelf.open_at(session, occurred_at, explicit=entry.occurred is not None)
    taken = [AdjustmentLine(line.item, line.lot_number, -line.quantity, reason) for line in lines]
    refuse_losses(taken, items, found, shelf, entry)
    moves = [
        Move(item, found[item.id, line.lot_number], place, waste, line.quantity, reason=reason)
        for line, item in zip(lines, items, strict=True)
    ]
    if reason == "expired":
        _refuse_fresh(moves, entry, occurred_at)
    return post(session, entry, DocumentKind.DISPOSAL, place, moves, occurred_at, told=Particulars(reason=reason))


def _refuse_fresh(moves: Sequence[Move], entry: Entry, occurred_at: datetime) -> None:
    day = entry.day_of(occurred_at)
    faults = [
        Fault(
            f"/lines/{n}/lot_number",
            "not_expired",
            f"Lot {move.lot.lot_number} of {move.item.code} may be used until {move.lot.expires_on or 'ever'} and has "
            "not expired. If it cannot be used, say damaged or recalled.",
        )
        for n, move in enumerate(moves)
        if not lots.is_expired(move.lot.expires_on, day)
    ]
    if faults:
        raise Invalid(faults[0].detail, code="not_expired", faults=faults)
