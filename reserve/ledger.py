"""The only writer of documents, movements and balances: receive, issue, adjust, reverse.

Every function takes an open session, records all of its lines or refuses, and never commits. Order inside one
transaction: find the codes, lock every balance row that may change (sorted, so that two documents cannot wait for each
other), decide, append the document and its movements, shift the balances by conditional updates, and put what changed
in the worker's queue.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from sqlalchemy import bindparam, select
from sqlmodel import Session

from reserve import catalogue, lots
from reserve.catalogue import ItemRow
from reserve.entry import Entry
from reserve.errors import (
    AlreadyReversed,
    Fault,
    Invalid,
    LotConflict,
    LotExpired,
    NotReversible,
    Unknown,
    UnknownItem,
    UnknownLot,
    UnknownPack,
)
from reserve.lines import ADJUSTMENT_REASONS, AdjustmentLine, IssueLine, ReceiptLine
from reserve.lots import LotRow, WantedLot
from reserve.model import QUANTITY_MAX, DocumentKind, Purpose
from reserve.picking import pick_lines, refuse_losses
from reserve.posting import DOCUMENT, MOVEMENT, Move, Particulars, Posted, post, too_much
from reserve.shelf import lock, lock_lots, lock_shelf, not_before

__all__ = [
    "ADJUSTMENT_REASONS",
    "AdjustmentLine",
    "IssueLine",
    "Purpose",
    "ReceiptLine",
    "adjust",
    "issue",
    "receive",
    "reverse",
]


# -- verbs ------------------------------------------------------------------------------------------------------------


def receive(
    session: Session, entry: Entry, *, location: str, lines: Sequence[ReceiptLine], source: str = "SUPPLIER"
) -> Posted:
    """Put goods in stock (入库), all lines or none.

    Refused: a quantity that is not 1 to 10^15; an unknown item, GTIN or place; a lot that is known with another expiry;
    a lot past its last usable day; no expiry for an item that has a shelf life; more than one lot and place can hold.
    """
    place, outside = _ends(session, location, source)
    occurred_at = entry.occurred_at(incoming=True)
    items, quantities = _resolve(session, lines)
    _refuse_bad_quantities(quantities)
    wanted = [
        WantedLot(item.id, line.lot_number, line.manufactured_on, line.expires_on, f"/lines/{n}")
        for n, (line, item) in enumerate(zip(lines, items, strict=True))
    ]
    _refuse_undated_or_expired(wanted, items, entry.day_of(occurred_at))
    found = lots.find_or_make(session, wanted, today=entry.day_start)
    moves = [
        Move(item, found[item.id, line.lot_number], outside, place, quantity, unit_cost=line.unit_cost)
        for line, item, quantity in zip(lines, items, quantities, strict=True)
    ]
    return post(session, entry, DocumentKind.RECEIPT, place, moves, occurred_at)


def issue(
    session: Session,
    entry: Entry,
    *,
    location: str,
    lines: Sequence[IssueLine],
    purpose: Purpose,
    recipient: str | None = None,
) -> Posted:
    """Hand goods out (出库), first expired first out over usable lots, all lines or none.

    Refused: too little usable stock (says how much there is); an expired or held lot; another lot than the first to
    expire without a reason; a back-dated issue that would leave a later day below zero (names the day).
    """
    place, consumer = _ends(session, location, "CONSUMER")
    occurred_at = entry.occurred_at(incoming=False)
    _refuse_bad_quantities([line.quantity for line in lines])
    items = _items_of(session, lines)
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
    return post(session, entry, DocumentKind.ISSUE, place, moves, occurred_at, told=told)


def adjust(session: Session, entry: Entry, *, location: str, lines: Sequence[AdjustmentLine]) -> Posted:
    """Correct the books (调整): a gain comes from VARIANCE, a loss goes there. Gains count before losses.

    Refused: an unknown reason or lot; a loss of more than there is, then or at any later moment.
    """
    place, variance = _ends(session, location, "VARIANCE")
    _refuse_bad_quantities([abs(line.quantity) for line in lines])
    incoming = all(line.quantity > 0 for line in lines)
    occurred_at = entry.occurred_at(incoming=incoming)
    items = _items_of(session, lines)
    faults = [
        Fault(f"/lines/{n}/reason", "unknown_reason", f"Use one of {', '.join(ADJUSTMENT_REASONS)}.")
        for n, line in enumerate(lines)
        if line.reason not in ADJUSTMENT_REASONS
    ]
    if faults:
        raise Invalid(faults[0].detail, code="unknown_reason", faults=faults)
    found = _adjusted_lots(session, entry, lines, items)
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


def reverse(session: Session, entry: Entry, *, movement_id: int, reason: str) -> Posted:
    """Undo one movement by its opposite (冲销), once. Both stay visible.

    Refused: a movement that was reversed before, or that is itself a reversal; goods that are no longer there.
    """
    original = session.connection().execute(_MOVEMENT_BY_ID, {"id": movement_id}).one_or_none()
    if original is None:
        raise Unknown(f"There is no movement {movement_id}.", code="unknown_movement")
    if original.reverses is not None:
        raise NotReversible("This movement is itself a reversal; record what really happened instead.")
    places = {place.id: place for place in catalogue.places(session)}
    source, target = places[original.target_id], places[original.source_id]
    if source.inside:
        lock(session, source.id, [original.lot_id])
    again = session.connection().execute(_REVERSAL_OF, {"id": movement_id}).scalar_one_or_none()
    if again is not None:
        raise AlreadyReversed(f"Movement {movement_id} was reversed by document {again}.")
    item = catalogue.items_by_id(session, [original.item_id])[original.item_id]
    lot = LotRow(original.lot_id, item.id, original.lot_number, original.manufactured_on, original.expires_on)
    move = Move(item, lot, source, target, original.quantity, reason=reason, reverses=movement_id)
    home = source if source.inside else target
    occurred_at = not_before(session, entry.now, home.id, [lot.id])
    return post(session, entry, DocumentKind.REVERSAL, home, [move], occurred_at)


# -- codes to rows ----------------------------------------------------------------------------------------------------


def _ends(session: Session, location: str, outside: str) -> tuple[catalogue.Place, catalogue.Place]:
    """The place inside the reserve, and the outside end, of a movement."""
    found = catalogue.places_by_code(session, [location, outside])
    place, end = catalogue.inside(found.get(location), location), found.get(outside)
    if end is None or end.inside:
        raise Invalid(f"{outside} is not an outside end of the reserve.", code="unknown_location")
    return place, end


def _refuse_bad_quantities(quantities: Sequence[int]) -> None:
    """Whole units from 1 to 10^15, whoever calls: PostgreSQL would round a fraction, SQLite would keep it."""
    if not quantities:
        raise Invalid("A document has at least one line.", faults=[Fault("/lines", "missing", "no lines")])
    pointers = {n: f"/lines/{n}/quantity" for n, units in enumerate(quantities) if not _whole(units)}
    if pointers:
        detail = "A quantity is a whole number of base units, 1 to 10^15."
        raise Invalid(detail, faults=[Fault(pointer, Invalid.code, detail) for pointer in pointers.values()])
    for n, units in enumerate(quantities):
        if units > QUANTITY_MAX:
            raise too_much(f"/lines/{n}/quantity")


def _whole(units: object) -> bool:
    return isinstance(units, int) and not isinstance(units, bool) and units >= 1


def _items_of(session: Session, lines: Sequence[IssueLine | AdjustmentLine]) -> list[ItemRow]:
    known = catalogue.items_by_code(session, (line.item for line in lines))
    _refuse_unknown_items({n: line.item for n, line in enumerate(lines)}, known)
    return [known[line.item] for line in lines]


def _refuse_unknown_items(codes: Mapping[int, str], known: Mapping[str, ItemRow]) -> None:
    faults = [
        Fault(f"/lines/{n}/item", UnknownItem.code, f"There is no item {code}; see GET /v1/items.")
        for n, code in codes.items()
        if code not in known
    ]
    if faults:
        raise UnknownItem(faults[0].detail, faults=faults)


def _resolve(session: Session, lines: Sequence[ReceiptLine]) -> tuple[list[ItemRow], list[int]]:
    """The item of each line and its base units."""
    by_code = catalogue.items_by_code(session, (line.item for line in lines if line.item is not None))
    _refuse_unknown_items({n: line.item for n, line in enumerate(lines) if line.item is not None}, by_code)
    gtins = {
        n: catalogue.normal_gtin(line.gtin, f"/lines/{n}/gtin") for n, line in enumerate(lines) if line.gtin is not None
    }
    packs = catalogue.packs_by_gtin(session, gtins.values()) if gtins else {}
    faults = [
        Fault(f"/lines/{n}/gtin", UnknownPack.code, f"No pack has the GTIN {gtin}; add it to its item first.")
        for n, gtin in gtins.items()
        if gtin not in packs
    ]
    if faults:
        raise UnknownPack(faults[0].detail, faults=faults)
    by_id = catalogue.items_by_id(session, (pack.item_id for pack in packs.values())) if packs else {}
    items, quantities = [], []
    for n, line in enumerate(lines):
        pack = packs[gtins[n]] if n in gtins else None
        item = by_code[line.item] if line.item is not None else None
        if pack is not None and item is not None and pack.item_id != item.id:
            detail = f"GTIN {gtins[n]} is a pack of {by_id[pack.item_id].code}, not of {item.code}."
            raise Invalid(detail, code="gtin_of_another_item", faults=[Fault(f"/lines/{n}/gtin", "", detail)])
        if item is None and pack is not None:
            item = by_id[pack.item_id]
        if item is None:
            raise Invalid("A line needs an item or a gtin.", faults=[Fault(f"/lines/{n}", "missing", "item or gtin")])
        items.append(item)
        quantities.append(_base_units(line, pack, f"/lines/{n}"))
    return items, quantities


def _base_units(line: ReceiptLine, pack: catalogue.PackRow | None, pointer: str) -> int:
    if (line.quantity is None) == (line.packs is None):
        detail = "Say how much came in either as quantity (base units) or as packs."
        raise Invalid(detail, faults=[Fault(f"{pointer}/quantity", "missing", detail)])
    if line.quantity is not None:
        return line.quantity
    if pack is None or line.packs is None:
        detail = "A number of packs needs the pack's gtin."
        raise Invalid(detail, faults=[Fault(f"{pointer}/packs", "missing", detail)])
    units = line.packs * pack.units_per_pack
    if units > QUANTITY_MAX:
        raise too_much(f"{pointer}/packs")
    return units


def _refuse_undated_or_expired(wanted: Iterable[WantedLot], items: Sequence[ItemRow], day: date) -> None:
    undated, expired = [], []
    for lot, item in zip(wanted, items, strict=True):
        pointer = f"{lot.pointer}/expires_on"
        if lot.expires_on is None and item.shelf_life_days is not None:
            undated.append(Fault(pointer, "expiry_required", f"{item.code} expires: give the lot's last usable day."))
        elif lots.is_expired(lot.expires_on, day):
            detail = f"Lot {lot.lot_number} expired on {lot.expires_on}; expired goods are not taken in."
            expired.append(Fault(pointer, LotExpired.code, detail))
        if lot.manufactured_on and lot.expires_on and lot.manufactured_on > lot.expires_on:
            detail = f"Lot {lot.lot_number} was made after it expires: check both dates."
            undated.append(Fault(f"{lot.pointer}/manufactured_on", "dates_reversed", detail))
    if undated:
        raise Invalid(undated[0].detail, code=undated[0].code, faults=undated)
    if expired:
        raise LotExpired(expired[0].detail, faults=expired)


def _adjusted_lots(
    session: Session, entry: Entry, lines: Sequence[AdjustmentLine], items: Sequence[ItemRow]
) -> dict[tuple[int, str], LotRow]:
    known = lots.by_number(session, [(i.id, line.lot_number) for line, i in zip(lines, items, strict=True)])
    new, faults = [], []
    for n, (line, item) in enumerate(zip(lines, items, strict=True)):
        there = known.get((item.id, line.lot_number))
        if there is not None:
            if line.expires_on not in {None, there.expires_on}:
                expiry = there.expires_on or "none"
                detail = f"Lot {line.lot_number} is known with expiry {expiry}: read the label again."
                raise LotConflict(detail, faults=[Fault(f"/lines/{n}/expires_on", LotConflict.code, detail)])
            continue
        if line.quantity > 0:
            new.append(WantedLot(item.id, line.lot_number, None, line.expires_on, f"/lines/{n}"))
            if line.expires_on is None and item.shelf_life_days is not None:
                detail = f"Lot {line.lot_number} is new and {item.code} expires: give its last usable day."
                raise Invalid(
                    detail,
                    code="expiry_required",
                    faults=[Fault(f"/lines/{n}/expires_on", "expiry_required", detail)],
                )
        else:
            detail = f"There is no lot {line.lot_number} of {item.code} to take from."
            faults.append(Fault(f"/lines/{n}/lot_number", UnknownLot.code, detail))
    if faults:
        raise UnknownLot(faults[0].detail, faults=faults)
    return known | lots.find_or_make(session, new, today=entry.day_start) if new else known


_MOVEMENT_BY_ID = (
    select(
        MOVEMENT.c.id,
        MOVEMENT.c.lot_id,
        MOVEMENT.c.source_id,
        MOVEMENT.c.target_id,
        MOVEMENT.c.quantity,
        MOVEMENT.c.reverses,
        lots.LOT.c.item_id,
        lots.LOT.c.lot_number,
        lots.LOT.c.manufactured_on,
        lots.LOT.c.expires_on,
    )
    .join(lots.LOT, lots.LOT.c.id == MOVEMENT.c.lot_id)
    .where(MOVEMENT.c.id == bindparam("id"))
)
_REVERSAL_OF = (
    select(DOCUMENT.c.number)
    .join(MOVEMENT, MOVEMENT.c.document_id == DOCUMENT.c.id)
    .where(MOVEMENT.c.reverses == bindparam("id"))
)
