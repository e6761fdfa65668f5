"""Codes of a request become rows: items, packs, places and lots found, quantities checked, every bad line named."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from sqlmodel import Session

from reserve import catalogue, lots
from reserve.catalogue import ItemRow
from reserve.entry import Entry
from reserve.errors import Fault, Invalid, LotConflict, LotExpired, UnknownItem, UnknownLot, UnknownPack
from reserve.lines import AdjustmentLine, ReceiptLine
from reserve.lots import LotRow, WantedLot
from reserve.model import QUANTITY_MAX
from reserve.posting import too_much


class NamesItem(Protocol):
    """A line that names an item by its code."""

    @property
    def item(self) -> str: ...


class NamesLot(NamesItem, Protocol):
    """A line that names a lot of an item."""

    @property
    def lot_number(self) -> str: ...


def ends(session: Session, location: str, outside: str) -> tuple[catalogue.Place, catalogue.Place]:
    """The place inside the reserve, and the outside end, of a movement."""
    found = catalogue.places_by_code(session, [location, outside])
    place, end = catalogue.inside(found.get(location), location), found.get(outside)
    if end is None or end.inside:
        raise Invalid(f"{outside} is not an outside end of the reserve.", code="unknown_location")
    return place, end


def refuse_bad_quantities(quantities: Sequence[int]) -> None:
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


def items_of(session: Session, lines: Sequence[NamesItem]) -> list[ItemRow]:
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


def receipt_lines(session: Session, lines: Sequence[ReceiptLine]) -> tuple[list[ItemRow], list[int]]:
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


def refuse_undated_or_expired(wanted: Iterable[WantedLot], items: Sequence[ItemRow], day: date) -> None:
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


def named_lots(
    session: Session, lines: Sequence[NamesLot], items: Sequence[ItemRow], where: str
) -> dict[tuple[int, str], LotRow]:
    """The lots that lines name, all of them known to the books."""
    known = lots.by_number(session, [(i.id, line.lot_number) for line, i in zip(lines, items, strict=True)])
    faults = [
        Fault(
            f"/lines/{n}/lot_number",
            UnknownLot.code,
            f"There is no lot {line.lot_number} of {item.code} {where}; see GET /v1/stock.",
        )
        for n, (line, item) in enumerate(zip(lines, items, strict=True))
        if (item.id, line.lot_number) not in known
    ]
    if faults:
        raise UnknownLot(faults[0].detail, faults=faults)
    return known


def adjusted_lots(
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
    return known | lots.find_or_make(session, new, entry) if new else known
