"""Sheets into the books: items, places, movements and daily use of a CSV, all of it or nothing.

A sheet is judged whole before anything is recorded, and each thing wrong is told with its row, its column and what to
write instead. The caller opens the transaction, and commits it or, for a dry run, rolls it back.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import NamedTuple

from sqlalchemy import func, insert, select
from sqlmodel import Session

from reserve import catalogue, journal, ledger, lots, posting, replay, reporting
from reserve.catalogue import PACK, ItemRow, NewItem, NewLocation, NewPack, Place
from reserve.columns import COLUMNS, KINDS, REASONS, Answer, SheetKind, adjustment_reason
from reserve.consumption import CONSUMPTION
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, OutOfBounds, Refusal, SheetRefused
from reserve.lots import LotRow
from reserve.model import ConsumptionSource, DocumentKind, Purpose
from reserve.sheets import Faults, Row, Sheet, read

__all__ = ["COLUMNS", "KINDS", "Imported", "SheetKind", "SheetRefused", "import_sheet"]

AS_RECORDED = "as the imported book has it"
"""Why another lot than the first to expire went out, where a sheet names it and does not say."""

DOCUMENT_ACTOR = "import-document"
"""Under this name the replay table keeps which documents of sheets were recorded."""

ACTOR = "import"
"""Under this name the replay table keeps which sheets of movements were recorded."""

LINES_MAX = 1_000
"""Lines of one document; what a sheet records together beyond that becomes several."""

NO_LOT = "NO-LOT"
"""The lot of goods that have neither a lot number nor a last usable day."""

_BATCH = 5_000

Progress = Callable[[int, int], None]
"""Called with the rows done and the rows there are."""


class Imported(NamedTuple):
    """What became of a sheet: each of its rows was either recorded or was in the books already."""

    kind: SheetKind
    rows: int
    recorded: int
    unchanged: int
    documents: tuple[str, ...]
    encoding: str


def import_sheet(
    session: Session, entry: Entry, kind: str, data: bytes, *, progress: Progress | None = None
) -> Imported:
    """Record a sheet, all of it or nothing; the caller commits, or rolls back for a dry run.

    A sheet of movements with the same rows as one recorded before answers that one's documents and records nothing,
    whatever its encoding; the other kinds compare each row with the books.

    Raises
    ------
    SheetRefused
        with everything that is wrong in it, up to a thousand places; the transaction must be rolled back.
    ValueError
        when the kind is none of `KINDS`.
    """
    wanted = SheetKind(kind)
    sheet = read(data, COLUMNS[wanted])
    return _RECORD[wanted](session, entry, sheet, progress or _silent)


def _silent(_done: int, _rows: int) -> None:
    """Nobody watches."""


# -- items ------------------------------------------------------------------------------------------------------------

_ITEM_FIELDS = ("name_zh", "name_en", "category", "base_unit", "standard", "shelf_life_days")
_PACK_FIELDS = {"units_per_pack": "units_per_pack", "pack_name": "name"}


def _items(session: Session, entry: Entry, sheet: Sheet, progress: Progress) -> Imported:
    """One row an item, or several with the same item and another pack."""
    known = {item.code: item for item in catalogue.items(session)}
    packs = {pack.gtin: pack for pack in catalogue.packs(session)}
    codes = {item.id: item.code for item in known.values()}
    first: dict[str, Row] = {}
    new_items: dict[str, NewItem] = {}
    new_packs: dict[str, list[NewPack]] = defaultdict(list)
    seen_packs: dict[str, Row] = {}
    recorded = 0
    for row in (r for r in sheet.rows if r.whole):
        item, pack = row.values["code"], _pack(row, sheet.faults)
        _refuse_repeated(row, pack, first, seen_packs, sheet)
        kept = known.get(item)
        if kept is not None:
            _refuse_other(row, kept._asdict(), _ITEM_FIELDS, sheet)
        elif item not in new_items:
            new_items[item] = NewItem(item, **{name: row.values[name] for name in _ITEM_FIELDS})
        there = packs.get(pack.gtin) if pack else None
        if pack and there is None:
            new_packs[item].append(pack)
        elif pack and there is not None:
            _refuse_other_pack(row, pack, there, codes, sheet)
        recorded += (row is first[item] and kept is None) or (pack is not None and there is None)
    sheet.faults.refuse()
    made = [new._replace(packs=new_packs.pop(new.code, ())) for new in new_items.values()]
    for new in made:
        catalogue.add_item(session, new)
    _journal_items(session, entry, made, new_packs)
    _add_packs(session, {known[item].id: added for item, added in new_packs.items()})
    progress(len(sheet.rows), len(sheet.rows))
    return _told(SheetKind.ITEMS, sheet, recorded)


def _journal_items(
    session: Session, entry: Entry, made: Iterable[NewItem], packed: Mapping[str, Sequence[NewPack]]
) -> None:
    new = [
        journal.Change(
            entry.actor, entry.now, "item.made", item.code, after={**_facts(item), "packs": [*map(_facts, item.packs)]}
        )
        for item in made
    ]
    more = [
        journal.Change(entry.actor, entry.now, "item.packed", code, after={"packs": [*map(_facts, packs)]})
        for code, packs in packed.items()
    ]
    journal.write_all(session, [*new, *more])


def _facts(new: NewItem | NewPack | NewLocation) -> dict[str, object]:
    return {name: value for name, value in new._asdict().items() if name != "code"}


def _pack(row: Row, faults: Faults) -> NewPack | None:
    gtin, units = row.values["gtin"], row.values["units_per_pack"]
    if gtin is None:
        for name in ("units_per_pack", "pack_name"):
            if row.values[name] is not None:
                faults.add(row.number, "gtin", "missing", f"{name} is of a pack: write its gtin, or leave both empty.")
        return None
    if units is None:
        faults.add(row.number, "units_per_pack", "missing", "Write how many base units the pack holds.")
        return None
    try:
        return NewPack(catalogue.normal_gtin(gtin, "/gtin"), units, row.values["pack_name"])
    except Invalid as refusal:
        faults.at(row, "gtin", refusal.code, refusal.detail)
        return None


def _refuse_repeated(
    row: Row, pack: NewPack | None, first: dict[str, Row], seen_packs: dict[str, Row], sheet: Sheet
) -> None:
    """A code may come again with the same item and another pack."""
    item = row.values["code"]
    before = first.setdefault(item, row)
    if before is not row:
        for name in _ITEM_FIELDS:
            if before.values[name] != row.values[name]:
                detail = f"{item} has {name} {_said(before.values[name])} in row {before.number}: write the same."
                sheet.faults.at(row, name, "conflict", detail)
        if pack is None:
            sheet.faults.at(row, "code", "duplicate_row", f"{item} stands in row {before.number} already.")
    if pack is not None:
        other = seen_packs.setdefault(pack.gtin, row)
        if other is not row:
            sheet.faults.at(row, "gtin", "duplicate_row", f"This gtin stands in row {other.number} already.")


def _refuse_other(row: Row, kept: Mapping[str, object], fields: Iterable[str], sheet: Sheet) -> None:
    """What the books have under this code is never changed by a sheet."""
    for name in fields:
        if name in sheet.columns and row.values[name] != kept[name]:
            detail = (
                f"{row.values['code']} is in the books with {name} {_said(kept[name])}: write that, "
                "or choose another code."
            )
            sheet.faults.at(row, name, "conflict", detail)


def _refuse_other_pack(
    row: Row, pack: NewPack, there: catalogue.PackRow, codes: Mapping[int, str], sheet: Sheet
) -> None:
    if codes[there.item_id] != row.values["code"]:
        detail = f"The gtin is a pack of {codes[there.item_id]}: read it again."
        sheet.faults.at(row, "gtin", "conflict", detail)
        return
    for column, name in _PACK_FIELDS.items():
        kept = getattr(there, name)
        if column in sheet.columns and getattr(pack, name) != kept:
            detail = f"The pack is in the books with {column} {_said(kept)}: write that."
            sheet.faults.at(row, column, "conflict", detail)


def _add_packs(session: Session, added: Mapping[int, Sequence[NewPack]]) -> None:
    rows = [{"item_id": item_id, **pack._asdict()} for item_id, packs in added.items() for pack in packs]
    if rows:
        session.connection().execute(insert(PACK), rows)


def _said(value: object) -> str:
    return "empty" if value is None else str(value)


# -- locations --------------------------------------------------------------------------------------------------------


def _locations(session: Session, entry: Entry, sheet: Sheet, progress: Progress) -> Imported:
    """Places in any order: a parent may stand below its children."""
    known = {place.code: place for place in catalogue.places(session)}
    codes = {place.id: place.code for place in known.values()}
    wanted: dict[str, Row] = {}
    for row in (r for r in sheet.rows if r.whole):
        found = row.values["code"]
        if wanted.setdefault(found, row) is not row:
            sheet.faults.at(row, "code", "duplicate_row", f"{found} stands in row {wanted[found].number} already.")
        if found in known:
            kept = known[found]._asdict() | {"parent": codes.get(known[found].parent_id or 0)}
            _refuse_other(row, kept, ("name_zh", "name_en", "kind", "parent", "consumption_source"), sheet)
    new = {found: row for found, row in wanted.items() if found not in known}
    named = {row.values["code"] for row in sheet.rows}  # also those with a bad cell: their children are not wrong
    for row in wanted.values():
        parent = row.values["parent"]
        if parent is not None and parent not in named and not (parent in known and known[parent].inside):
            detail = f"There is no location {parent}, neither in the books nor in this sheet."
            sheet.faults.at(row, "parent", "unknown_location", detail)
    sheet.faults.refuse()
    ordered = _parents_first(new, sheet.faults)
    sheet.faults.refuse()
    made = [NewLocation(**row.values) for row in ordered]
    for done, new_place in enumerate(made, start=1):
        catalogue.add_location(session, new_place)
        progress(done, len(ordered))
    journal.write_all(
        session,
        [journal.Change(entry.actor, entry.now, "location.made", place.code, after=_facts(place)) for place in made],
    )
    return _told(SheetKind.LOCATIONS, sheet, len(ordered))


def _parents_first(new: Mapping[str, Row], faults: Faults) -> list[Row]:
    below: dict[str, list[Row]] = defaultdict(list)
    for row in new.values():
        below[row.values["parent"] if row.values["parent"] in new else ""].append(row)
    ordered = below.pop("", [])
    for row in ordered:  # grows while it is read: each row brings its children
        ordered += below.pop(row.values["code"], [])
    for row in (row for rows in below.values() for row in rows):
        detail = f"{row.values['code']} lies below itself: write the place that is really above it."
        faults.at(row, "parent", "parent_cycle", detail)
    return ordered


# -- consumption ------------------------------------------------------------------------------------------------------


def _consumption(session: Session, entry: Entry, sheet: Sheet, progress: Progress) -> Imported:
    """Daily use: a day that is sent again replaces the earlier figure, the same figure changes nothing."""
    items, places = _codes(session)
    seen: dict[tuple[str, str, date], int] = {}
    for row in sheet.rows:
        _refuse_unknown(row, items, places, sheet.faults)
        place = places.get(row.values["location"] or "")
        if place is not None and place.consumption_source == ConsumptionSource.ISSUES:
            detail = f"The use of {place.code} is read from its issues and cannot be reported too."
            sheet.faults.at(row, "location", "consumption_from_issues", detail)
        wanted, units = row.values["asked"], row.values["quantity"]
        if wanted is not None and units is not None and wanted < units:
            detail = f"{wanted} asked for and {units} used: what was asked for is at least what was used."
            sheet.faults.at(row, "asked", "asked_below_used", detail)
        used = row.values["date"]
        if used is not None and used > entry.today:
            sheet.faults.at(row, "date", "future_date", f"{used} lies in the future; use is reported for past days.")
        if row.whole:
            first = seen.setdefault((row.values["location"], row.values["item"], used), row.number)
            if first != row.number:
                sheet.faults.at(row, "date", "duplicate_row", f"This place, item and day stand in row {first} already.")
    sheet.faults.refuse()
    before = session.connection().execute(select(func.coalesce(func.max(CONSUMPTION.c.id), 0))).scalar_one()
    reports = iter(
        reporting.Report(
            r.values["location"],
            r.values["item"],
            r.values["date"],
            r.values["quantity"],
            r.values["out_of_stock"] == Answer.YES,
            r.values["asked"],
        )
        for r in sheet.rows
    )
    done = 0
    while batch := list(islice(reports, _BATCH)):
        reporting.report(session, entry, batch)
        done += len(batch)
        progress(done, len(sheet.rows))
    ours = (CONSUMPTION.c.id > before, CONSUMPTION.c.recorded_at == entry.now, CONSUMPTION.c.actor == entry.actor)
    recorded = session.connection().execute(select(func.count()).select_from(CONSUMPTION).where(*ours)).scalar_one()
    return _told(SheetKind.CONSUMPTION, sheet, recorded)


def _codes(session: Session) -> tuple[dict[str, ItemRow], dict[str, Place]]:
    items = {item.code: item for item in catalogue.items(session)}
    return items, {place.code: place for place in catalogue.places(session) if place.inside}


def _refuse_unknown(row: Row, items: Mapping[str, ItemRow], places: Mapping[str, Place], faults: Faults) -> None:
    item, place = row.values["item"], row.values["location"]
    if item is not None and item not in items:
        faults.at(row, "item", "unknown_item", f"There is no item {item}: import it first, or correct the code.")
    if place is not None and place not in places:
        detail = f"There is no location {place}: import it first, or correct the code."
        faults.at(row, "location", "unknown_location", detail)


# -- movements --------------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """A row of movements with everything a document needs."""

    row: Row
    item: str
    lot_number: str | None
    expires_on: date | None
    quantity: int
    reason: str | None


class _Sheaf(NamedTuple):
    """What rows of one document have in common, in the order in which documents are recorded."""

    day: date
    leaves: bool
    """Within a day what comes in is recorded before what goes out."""
    location: str
    kind: DocumentKind
    reference: str | None
    purpose: Purpose | None
    recipient: str | None


def _movements(session: Session, entry: Entry, sheet: Sheet, progress: Progress) -> Imported:
    """Receipts, issues and adjustments, recorded day by day.

    Rows of one day, place, kind, reference, purpose and recipient are one document. Without a lot an issue goes first
    expired, first out; other goods without one must have no shelf life and get the lot NO-LOT. An issue without a
    purpose is for use.
    """
    key = _digest(sheet)
    if not sheet.faults.found:
        answer = replay.begin(session, actor=ACTOR, key=key, request_digest=key, now=entry.now)
        if answer is not None:
            progress(len(sheet.rows), len(sheet.rows))
            return _told(SheetKind.MOVEMENTS, sheet, 0, json.loads(answer.body)["documents"])
    items, places = _codes(session)
    days = {r.values["date"] for r in sheet.rows} - {None}
    beyond = {when: sentence for when in days if (sentence := _out_of_bounds(entry, when))}
    for row in sheet.rows:
        _refuse_unknown(row, items, places, sheet.faults)
        if row.values["date"] in beyond:
            sheet.faults.at(row, "date", OutOfBounds.code, beyond[row.values["date"]])
        if row.whole:
            _refuse_by_kind(row, items, sheet.faults)
    _refuse_other_lots(session, sheet, items)
    sheet.faults.refuse()
    documents = _record(session, entry, sheet, progress)
    body = json.dumps({"rows": len(sheet.rows), "documents": documents})
    replay.finish(session, actor=ACTOR, key=key, answer=replay.Answer(201, body))
    return _told(SheetKind.MOVEMENTS, sheet, len(sheet.rows), documents)


def _out_of_bounds(entry: Entry, when: date) -> str | None:
    try:
        replace(entry, occurred=when).occurred_at(incoming=True)
    except OutOfBounds as refusal:
        return refusal.detail
    return None


_NOT_OF = {
    DocumentKind.RECEIPT: ("reason", "recipient", "purpose"),
    DocumentKind.ISSUE: (),
    DocumentKind.ADJUSTMENT: ("recipient", "purpose"),
}


def _refuse_by_kind(row: Row, items: Mapping[str, ItemRow], faults: Faults) -> None:
    """What a receipt, an issue and an adjustment each need, and what would be lost if it were let pass."""
    cells, kind = row.values, row.values["kind"]
    for name in _NOT_OF[kind]:
        if cells[name] is not None:
            faults.at(row, name, "not_of_this_kind", f"A row of kind {kind} has no {name}: leave the cell empty.")
    if kind != DocumentKind.ADJUSTMENT and cells["quantity"] < 0:
        detail = f"{cells['quantity']} is below zero: the kind says which way goods go, write the quantity unsigned."
        faults.at(row, "quantity", "negative", detail)
    if cells["quantity"] == 0:
        faults.at(row, "quantity", "zero", "Nothing moved: write a quantity, or take the row out.")
    if kind == DocumentKind.ADJUSTMENT and adjustment_reason(row) is None:
        detail = f"Write why: one of {', '.join(f'{r} ({also[0]})' for r, also in REASONS.items())}."
        faults.at(row, "reason", "missing" if cells["reason"] is None else "unknown_reason", detail)
    item = items.get(cells["item"])
    if item is not None:
        _refuse_by_item(row, item, faults)


def _refuse_by_item(row: Row, item: ItemRow, faults: Faults) -> None:
    cells, kind = row.values, row.values["kind"]
    if cells["lot_number"] is None:
        if cells["expires_on"] is not None:
            faults.at(row, "lot_number", "lot_required", "A last usable day belongs to a lot: write its number.")
        elif item.shelf_life_days is not None and kind != DocumentKind.ISSUE:
            faults.at(row, "lot_number", "lot_required", f"{item.code} expires: write the lot number.")
    elif kind == DocumentKind.RECEIPT and cells["expires_on"] is None and item.shelf_life_days is not None:
        faults.at(row, "expires_on", "expiry_required", f"{item.code} expires: write the lot's last usable day.")
    if kind == DocumentKind.RECEIPT and cells["expires_on"] is not None and cells["expires_on"] < cells["date"]:
        detail = f"The lot expired on {cells['expires_on']}, before it came in: check both days."
        faults.at(row, "expires_on", "lot_expired", detail)


def _refuse_other_lots(session: Session, sheet: Sheet, items: Mapping[str, ItemRow]) -> None:
    """One lot has one last usable day, in the books and over the whole sheet; what leaves must have come."""
    named = [r for r in sheet.rows if r.whole and r.values["item"] in items and r.values["lot_number"]]
    keys = [(items[r.values["item"]].id, r.values["lot_number"]) for r in named]
    wanted, known = sorted(set(keys)), dict[tuple[int, str], LotRow]()
    for start in range(0, len(wanted), _BATCH):
        known |= lots.by_number(session, wanted[start : start + _BATCH])
    came = known.keys() | {key for key, row in zip(keys, named, strict=True) if not _leaves(row)}
    seen = {key: (lot.expires_on, "the books") for key, lot in known.items()}
    for key, row in zip(keys, named, strict=True):
        if key not in came:
            detail = f"There is no lot {key[1]} of {row.values['item']}, neither in the books nor in this sheet."
            sheet.faults.at(row, "lot_number", "unknown_lot", detail)
        expires_on = row.values["expires_on"]
        if expires_on is None and row.values["kind"] != DocumentKind.RECEIPT:
            continue
        there, where = seen.setdefault(key, (expires_on, f"row {row.number}"))
        if there != expires_on:
            detail = f"Lot {key[1]} has the last usable day {there or 'none'} in {where}: read the label again."
            sheet.faults.at(row, "expires_on", "lot_conflict", detail)


def _record(session: Session, entry: Entry, sheet: Sheet, progress: Progress) -> list[str]:
    """The documents, each recorded as if it had come alone. What the ledger refuses is told by row.

    Once something is refused nothing will be kept, and the lines of that document are judged one by one. A place and
    item that was refused is not judged again: what follows from a first mistake would only be noise.
    """
    posting.alone(session)
    documents: list[str] = []
    refused: set[tuple[str, str]] = set()
    done = 0
    for sheaf, lines in _sheaves(sheet):
        key = _document_digest(sheaf, lines)
        if _refuse_known(session, key, lines, entry, sheet.faults):
            continue
        number = _judge(session, entry, sheaf, lines, refused, sheet.faults)
        if number is None:
            for line in lines:
                _judge(session, entry, sheaf, [line], refused, sheet.faults)
        else:
            documents.append(number)
            replay.finish(
                session, actor=DOCUMENT_ACTOR, key=key, answer=replay.Answer(201, json.dumps({"document": number}))
            )
        done += len(lines)
        progress(done, len(sheet.rows))
    sheet.faults.refuse()
    return documents


def _refuse_known(session: Session, key: str, lines: Sequence[_Line], entry: Entry, faults: Faults) -> bool:
    """A book that has grown since it was imported begins with what is recorded: those documents never double."""
    before = replay.begin(session, actor=DOCUMENT_ACTOR, key=key, request_digest=key, now=entry.now)
    if before is None:
        return False
    rows = ", ".join(str(line.row.number) for line in lines[:5]) + (", ..." if len(lines) > 5 else "")
    number = json.loads(before.body)["document"]
    detail = f"This is in the books as {number}: take out row {rows}, or, if the same came twice, give it a reference."
    faults.add(lines[0].row.number, None, "already_imported", detail)
    return True


def _document_digest(sheaf: _Sheaf, lines: Sequence[_Line]) -> str:
    """The same for the same document, wherever its rows stand in whichever sheet."""
    told = sorted(
        json.dumps([line.item, line.lot_number, str(line.expires_on), line.quantity, line.reason]) for line in lines
    )
    return hashlib.sha256(json.dumps([[str(part) for part in sheaf], told]).encode()).hexdigest()


def _judge(
    session: Session,
    entry: Entry,
    sheaf: _Sheaf,
    lines: Sequence[_Line],
    refused: set[tuple[str, str]],
    faults: Faults,
) -> str | None:
    """The number of the document made of the lines that still stand; None where the ledger refused one."""
    standing = [line for line in lines if (sheaf.location, line.item) not in refused]
    if not standing or faults.full:
        return None
    try:
        return _post(session, entry, sheaf, standing)
    except (Conflict, Invalid) as refusal:
        refused |= {(sheaf.location, line.item) for line in _refuse_lines(refusal, standing, faults)}
        if refusal.code == "quantity_too_large":
            faults.refuse()  # the database may have said so, and takes nothing more in this transaction
        return None


def _issue_line(line: _Line) -> ledger.IssueLine:
    reason = line.reason or (AS_RECORDED if line.lot_number is not None else None)
    return ledger.IssueLine(line.item, line.quantity, line.lot_number, reason)


def _sheaves(sheet: Sheet) -> Iterator[tuple[_Sheaf, list[_Line]]]:
    found: dict[_Sheaf, list[_Line]] = defaultdict(list)
    for row in sheet.rows:
        found[_sheaf(row)].append(_line(row))
    for sheaf in sorted(found, key=lambda s: (s.day, s.leaves)):  # a stable sort: within that, as the sheet has them
        lines = found[sheaf]
        for start in range(0, len(lines), LINES_MAX):
            yield sheaf, lines[start : start + LINES_MAX]


def _sheaf(row: Row) -> _Sheaf:
    cells, kind = row.values, row.values["kind"]
    return _Sheaf(
        day=cells["date"],
        leaves=_leaves(row),
        location=cells["location"],
        kind=kind,
        reference=cells["reference"],
        purpose=(cells["purpose"] or Purpose.USE) if kind == DocumentKind.ISSUE else None,
        recipient=cells["recipient"],
    )


def _leaves(row: Row) -> bool:
    return bool(row.values["kind"] == DocumentKind.ISSUE or row.values["quantity"] < 0)


def _line(row: Row) -> _Line:
    cells = row.values
    issued = cells["kind"] == DocumentKind.ISSUE
    return _Line(
        row=row,
        item=cells["item"],
        lot_number=cells["lot_number"] or (None if issued else NO_LOT),
        expires_on=cells["expires_on"],
        quantity=cells["quantity"],
        reason=adjustment_reason(row) if cells["kind"] == DocumentKind.ADJUSTMENT else cells["reason"],
    )


def _post(session: Session, entry: Entry, sheaf: _Sheaf, lines: Sequence[_Line]) -> str:
    entry = replace(entry, occurred=sheaf.day, reference=sheaf.reference or entry.reference)
    if sheaf.kind == DocumentKind.ISSUE:
        return ledger.issue(
            session,
            entry,
            location=sheaf.location,
            lines=[_issue_line(line) for line in lines],
            purpose=sheaf.purpose or Purpose.USE,
            recipient=sheaf.recipient,
        ).document
    if sheaf.kind == DocumentKind.RECEIPT:
        received = [
            ledger.ReceiptLine(line.lot_number or NO_LOT, line.expires_on, item=line.item, quantity=line.quantity)
            for line in lines
        ]
        return ledger.receive(session, entry, location=sheaf.location, lines=received).document
    adjusted = [
        ledger.AdjustmentLine(line.item, line.lot_number or NO_LOT, line.quantity, line.reason or "", line.expires_on)
        for line in lines
    ]
    return ledger.adjust(session, entry, location=sheaf.location, lines=adjusted).document


def _refuse_lines(refusal: Refusal, lines: Sequence[_Line], faults: Faults) -> list[_Line]:
    """Put what the ledger refused beside the rows that asked for it; answers those lines."""
    told: list[_Line] = []
    for fault in refusal.faults or (Fault("", refusal.code, refusal.detail),):
        parts = fault.pointer.strip("/").split("/")
        by_line = len(parts) > 1 and parts[0] == "lines" and parts[1].isdigit()
        line = lines[int(parts[1])] if by_line else lines[0]
        column = _COLUMN_OF.get(parts[-1], "quantity")
        faults.at(line.row, column, fault.code or refusal.code, _sentence(refusal, fault, parts))
        told += [line] if by_line else lines
    return told


_COLUMN_OF = {
    "item": "item",
    "lot_number": "lot_number",
    "expires_on": "expires_on",
    "reason": "reason",
    "override_reason": "reason",
    "location": "location",
    "occurred_at": "date",
}


def _sentence(refusal: Refusal, fault: Fault, parts: Sequence[str]) -> str:
    short = refusal.extra.get("lines")
    for found in short if isinstance(short, list) else ():
        if parts[1:2] == [str(found["line"])]:
            return (
                f"{found['requested']} of {found['item']} cannot leave: {found['usable']} usable of {found['on_hand']} "
                "there at that time. Write less, or add what came in before."
            )
    return fault.detail.replace("in override_reason", "in the column reason")


def _digest(sheet: Sheet) -> str:
    """The same for the same rows in the same order, however the file was saved."""
    found = hashlib.sha256(SheetKind.MOVEMENTS.encode())
    for row in sheet.rows:
        found.update(json.dumps([str(value or "") for value in row.values.values()]).encode())
    return found.hexdigest()


def _told(kind: SheetKind, sheet: Sheet, recorded: int, documents: Sequence[str] = ()) -> Imported:
    rows = len(sheet.rows)
    return Imported(kind, rows, recorded, rows - recorded, tuple(documents), sheet.encoding)


_RECORD: dict[SheetKind, Callable[[Session, Entry, Sheet, Progress], Imported]] = {
    SheetKind.ITEMS: _items,
    SheetKind.LOCATIONS: _locations,
    SheetKind.MOVEMENTS: _movements,
    SheetKind.CONSUMPTION: _consumption,
}
