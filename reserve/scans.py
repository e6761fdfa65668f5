"""What a scan means here (扫码): the code read by `gs1`, its pack and item found, its lot compared with the books."""

import re
from datetime import date
from typing import Any, NamedTuple

from sqlmodel import Session

from reserve import catalogue, gs1, lots, stock
from reserve.catalogue import ItemRow, PackRow, Place
from reserve.errors import Fault, Invalid, LotConflict, UnknownPack
from reserve.gs1 import Reason, Scan, UnreadableScan

REFERENCE_PREFIX = "R:"
"""Before the code of a place or the number of a document, on labels of our own."""

LOT_PREFIX = "L:"
"""Before `ITEM/LOT`, on our labels of lots whose item has no GTIN."""


_LOT_NUMBER = re.compile(r"[!-\"%-?A-Z_a-z]{1,20}", re.ASCII)


class Meaning(NamedTuple):
    """A scan and what the catalogue knows of it; `item` is None where no pack has its number."""

    form: str
    scan: Scan
    item: ItemRow | None
    pack: PackRow | None
    lot_number: str | None
    reference: str | None = None
    """The place or document an `R:` code names."""

    @property
    def quantity(self) -> int | None:
        """Base units, where the code counts its packs."""
        return None if self.pack is None else gs1.base_units(self.scan, self.pack.units_per_pack)


def understand(session: Session, data: str, today: date) -> Meaning:
    """What a scan says, by the catalogue.

    Raises
    ------
    UnreadableScan
        a code that cannot be read, or that could be read in two ways; says why and what to do.
    """
    text = data.strip()
    if text.startswith(REFERENCE_PREFIX):
        return Meaning("reference", Scan("reference"), None, None, None, _named(text))
    if text.startswith(LOT_PREFIX):
        code, _, number = _named(text).partition("/")
        item = catalogue.item(session, code)
        if item is None or not _LOT_NUMBER.fullmatch(number):
            raise UnreadableScan("This label names no lot of the catalogue; type item and lot.", Reason.ELEMENT)
        return Meaning("label", Scan("label", lot_number=number), item, None, number)
    scan = gs1.read(data, today=today)
    gtin = scan.counted_gtin
    pack = None if gtin is None else catalogue.packs_by_gtin(session, [gtin]).get(gtin)
    item = None if pack is None else catalogue.items_by_id(session, [pack.item_id])[pack.item_id]
    return Meaning(scan.form, scan, item, pack, scan.lot_number)


def _named(text: str) -> str:
    name = text[2:].strip()
    if not name or len(name) > 61 or not name.isascii() or not name.isprintable():
        raise UnreadableScan("This label of ours is torn: type what it stands for.", Reason.FORM)
    return name


def describe(session: Session, meaning: Meaning, place: Place | None, today: date) -> dict[str, Any]:
    """A scan as it is answered: what it is, what the books say of its lot, and what lies of it at `place`."""
    scan, item = meaning.scan, meaning.item
    told: dict[str, Any] = {
        "form": meaning.form,
        "reference": meaning.reference,
        "gtin": scan.counted_gtin,
        "item": item and item.code,
        "name_zh": item and item.name_zh,
        "name_en": item and item.name_en,
        "base_unit": item and item.base_unit,
        "pack": meaning.pack
        and {
            "gtin": meaning.pack.gtin,
            "units_per_pack": meaning.pack.units_per_pack,
            "name": meaning.pack.name,
        },
        "lot_number": meaning.lot_number,
        "expires_on": scan.expires_on,
        "manufactured_on": scan.manufactured_on,
        "serial": scan.serial,
        "count": scan.count,
        "quantity": meaning.pack.units_per_pack if meaning.pack and scan.count is None else meaning.quantity,
        "sscc": scan.sscc,
        "issuer": scan.issuer,
        "device_identifier": scan.device_identifier,
        "others": dict(scan.others),
    }
    warnings = [w for w in (scan.doubt,) if w]
    if scan.counted_gtin is not None and item is None:
        warnings.append("unknown_gtin")
    return {**told, **_of_the_books(session, meaning, place, today, warnings), "warnings": warnings}


def _of_the_books(
    session: Session, meaning: Meaning, place: Place | None, today: date, warnings: list[str]
) -> dict[str, Any]:
    """What is known of the lot, and what lies here of the item and of the lot."""
    item, expires_on = meaning.item, meaning.scan.expires_on
    known = None
    if item is not None and meaning.lot_number is not None:
        known = lots.by_number(session, [(item.id, meaning.lot_number)]).get((item.id, meaning.lot_number))
    if known is not None and expires_on not in {None, known.expires_on}:
        warnings.append("lot_conflict")
    held = [] if known is None else [standing.reason for standing in lots.holds(session, known.id)]
    until = known.expires_on if known is not None else expires_on
    if until is not None and lots.is_expired(until, today):
        warnings.append("expired")
    if held:
        warnings.append("on_hold")
    told: dict[str, Any] = {
        "known": known is not None,
        "expires_on": expires_on or until,
        "holds": held,
        "location": place and place.code,
        "on_hand": None,
        "usable": None,
        "lot_on_hand": None,
    }
    if item is not None and place is not None:
        here = stock.rows(session, stock.StockQuestion(day=today, scope=place, item_id=item.id))
        told["on_hand"] = sum(row.on_hand for row in here)
        told["usable"] = sum(row.usable for row in here)
        told["lot_on_hand"] = sum(row.on_hand for row in here if known is not None and row.lot_id == known.id)
    return told


class Named(NamedTuple):
    """What a line names after its scan was read into it."""

    item: str | None
    gtin: str | None
    lot_number: str | None
    expires_on: date | None
    manufactured_on: date | None
    quantity: int | None


def into_line(session: Session, data: str, given: Named, today: date, pointer: str) -> Named:
    """A line filled from a scan. What was typed beside it must say the same.

    Refused: an unreadable code; a code that leaves a doubt about its lot while none was typed; a GTIN no pack has; a
    typed value that differs from the scanned one.
    """
    try:
        meaning = understand(session, data, today)
    except UnreadableScan as refused:
        raise UnreadableScan(refused.detail, refused.reason, pointer=f"{pointer}/scan") from None
    scan = meaning.scan
    if meaning.reference is not None:
        detail = "This is the label of a place or document, not of goods."
        raise UnreadableScan(detail, Reason.ELEMENT, f"{pointer}/scan")
    if scan.doubt is not None and given.lot_number is None:
        detail = (
            f"The code has no separators: {scan.lot_number} may hold more than the lot. Compare it with the label and "
            "send lot_number beside the scan."
        )
        raise Invalid(detail, code=scan.doubt, faults=[Fault(f"{pointer}/scan", scan.doubt, detail)])
    if meaning.item is None and scan.counted_gtin is not None:
        detail = f"No pack has the GTIN {scan.counted_gtin}; add it to its item first."
        raise UnknownPack(detail, faults=[Fault(f"{pointer}/scan", UnknownPack.code, detail)])
    read = Named(
        meaning.item and meaning.item.code,
        None if meaning.pack is None else meaning.pack.gtin,
        meaning.lot_number,
        scan.expires_on,
        scan.manufactured_on,
        meaning.quantity,
    )
    if meaning.form == "label" and meaning.item is not None and meaning.lot_number is not None:
        read = _dated(session, read, meaning.item.id, meaning.lot_number)
    for name, typed, scanned in zip(Named._fields[:5], given, read, strict=False):
        if typed is not None and scanned is not None and _differs(name, typed, scanned, scan):
            detail = f"{name} was typed as {typed}, and the code says {scanned}: read the label again."
            raise Invalid(detail, code="scan_disagrees", faults=[Fault(f"{pointer}/{name}", "scan_disagrees", detail)])
    return given._replace(**{name: value for name, value in read._asdict().items() if getattr(given, name) is None})


def _dated(session: Session, read: Named, item_id: int, lot_number: str) -> Named:
    """Our own label names a lot of ours, whose dates the books know."""
    known = lots.by_number(session, [(item_id, lot_number)]).get((item_id, lot_number))
    if known is None:
        return read
    return read._replace(expires_on=known.expires_on, manufactured_on=known.manufactured_on)


def refuse_other_dates(session: Session, read: Named, pointer: str) -> None:
    """Goods whose code says another expiry than the books know of their lot are not handed out as that lot."""
    item = None if read.item is None else catalogue.item(session, read.item)
    if item is None or read.lot_number is None or read.expires_on is None:
        return
    known = lots.by_number(session, [(item.id, read.lot_number)]).get((item.id, read.lot_number))
    if known is not None and known.expires_on != read.expires_on:
        detail = (
            f"Lot {read.lot_number} is known with expiry {known.expires_on or 'none'}, and this code says "
            f"{read.expires_on}: keep the goods apart and let a manager put the dates right."
        )
        raise LotConflict(detail, faults=[Fault(f"{pointer}/scan", LotConflict.code, detail)])


def _differs(name: str, typed: object, scanned: object, scan: Scan) -> bool:
    if name == "gtin":
        return str(typed).zfill(14) != scanned
    return typed != scanned and not (name == "lot_number" and scan.doubt is not None)
