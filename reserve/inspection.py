"""Inspection of what was received (验收): goods wait in a place's bay until a named person has decided about them.

Passed goods go on the shelf. Rejected ones go back to whoever sent them, or are destroyed. Downgraded ones become
another item, lot number and dates kept: they leave the books as what they were and come back as what they are.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select
from sqlmodel import Session

from reserve import catalogue, lots
from reserve.catalogue import ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Fault, Invalid, UnknownItem
from reserve.lines import AdjustmentLine, InspectedLine
from reserve.lots import LotRow, WantedLot
from reserve.model import DocumentKind
from reserve.picking import refuse_losses
from reserve.posting import MOVEMENT, Move, Particulars, Posted, post
from reserve.resolve import items_of, named_lots, refuse_bad_quantities
from reserve.shelf import lock, lock_lots

OUTCOMES = ("passed", "rejected", "downgraded")


def inspect(session: Session, entry: Entry, *, location: str, inspector: str, lines: Sequence[InspectedLine]) -> Posted:
    """Record what `inspector` decided of goods that wait at a place, all lines or none.

    Refused: a place without a bay; an unknown outcome; more than waits; a rejection or downgrade without its reason; a
    downgrade without the item it becomes.
    """
    place = catalogue.require_place(session, location)
    bay = catalogue.bay(session, place)
    if bay is None:
        raise Invalid(f"{location} has no bay: nothing waits for inspection there.", code="not_inspected")
    refuse_bad_quantities([line.quantity for line in lines])
    _refuse_half_decided(lines)
    items = items_of(session, lines)
    found = named_lots(session, lines, items, "waiting for inspection")
    downgraded = _downgraded(session, entry, lines, items, found)
    # in the order in which a reversal locks them: the place was made before its bay
    lock(session, place.id, sorted({lot.id for lot in [*found.values(), *(new for _, new in downgraded.values())]}))
    shelf = lock_lots(session, bay, found.values())
    occurred_at = shelf.open_at(session, entry.occurred_at(incoming=False), explicit=entry.occurred is not None)
    taken = [AdjustmentLine(line.item, line.lot_number, -line.quantity, line.outcome) for line in lines]
    refuse_losses(taken, items, found, shelf, entry)
    ends = catalogue.places_by_code(session, ["WASTE", "VARIANCE"])
    senders = _senders(
        session, bay, lines, [found[i.id, line.lot_number] for line, i in zip(lines, items, strict=True)]
    )
    moves: list[Move] = []
    for n, (line, item) in enumerate(zip(lines, items, strict=True)):
        lot, reason = found[item.id, line.lot_number], _reason(line)
        if line.outcome == "passed":
            moves.append(Move(item, lot, bay, place, line.quantity, reason=reason))
        elif line.outcome == "rejected":
            moves.append(Move(item, lot, bay, senders.get(n, ends["WASTE"]), line.quantity, reason=reason))
        else:
            into, new = downgraded[n]
            moves.append(Move(item, lot, bay, ends["VARIANCE"], line.quantity, reason=reason))
            moves.append(Move(into, new, ends["VARIANCE"], place, line.quantity, reason=reason))
    told = Particulars(party=inspector)
    return post(session, entry, DocumentKind.INSPECTION, place, moves, occurred_at, told=told)


def _senders(session: Session, bay: Place, lines: Sequence[InspectedLine], found: Sequence[LotRow]) -> dict[int, Place]:
    """By line that is rejected and not destroyed, who sent the goods: from where the lot last came into the bay."""
    back = {n: lot for n, (line, lot) in enumerate(zip(lines, found, strict=True)) if _goes_back(line)}
    if not back:
        return {}
    came = session.connection().execute(_CAME_FROM, {"bay": bay.id, "lots": sorted({lot.id for lot in back.values()})})
    last = {row.lot_id: row.source_id for row in came}  # the latest comes last
    places = {place.id: place for place in catalogue.places(session)}
    senders = {n: places[last[lot.id]] for n, lot in back.items() if lot.id in last}
    faults = [
        Fault(
            f"/lines/{n}/destroy",
            "came_by_transfer",
            f"Lot {back[n].lot_number} came from another place of the reserve: pass it and send it back by a "
            "transfer, or destroy it.",
        )
        for n, end in senders.items()
        if end.inside
    ]
    if faults:
        raise Invalid(faults[0].detail, code="came_by_transfer", faults=faults)
    return senders


def _goes_back(line: InspectedLine) -> bool:
    return line.outcome == "rejected" and not line.destroy


def _reason(line: InspectedLine) -> str:
    return line.outcome if line.reason is None else f"{line.outcome}: {line.reason}"[:200]


def _refuse_half_decided(lines: Sequence[InspectedLine]) -> None:
    faults = []
    for n, line in enumerate(lines):
        if line.outcome not in OUTCOMES:
            faults.append(Fault(f"/lines/{n}/outcome", "unknown_outcome", f"Use one of {', '.join(OUTCOMES)}."))
        elif line.outcome != "passed" and not line.reason:
            faults.append(Fault(f"/lines/{n}/reason", "missing", "Say why: a rejected lot keeps its reason."))
        if (line.outcome == "downgraded") != (line.into_item is not None):
            faults.append(Fault(f"/lines/{n}/into_item", "missing", "A downgrade, and only that, names its new item."))
    if faults:
        raise Invalid(faults[0].detail, code=faults[0].code, faults=faults)


def _downgraded(
    session: Session,
    entry: Entry,
    lines: Sequence[InspectedLine],
    items: Sequence[ItemRow],
    found: dict[tuple[int, str], LotRow],
) -> dict[int, tuple[ItemRow, LotRow]]:
    """By line, the item goods become, and the lot of it with the same number and dates."""
    named = {n: line.into_item for n, line in enumerate(lines) if line.into_item is not None}
    known = catalogue.items_by_code(session, named.values())
    faults = [
        Fault(f"/lines/{n}/into_item", UnknownItem.code, f"There is no item {code}; see GET /v1/items.")
        for n, code in named.items()
        if code not in known
    ]
    if faults:
        raise UnknownItem(faults[0].detail, faults=faults)
    _refuse_no_downgrade(named, known, items, found, lines)
    wanted = []
    for n, code in named.items():
        lot = found[items[n].id, lines[n].lot_number]
        wanted.append(WantedLot(known[code].id, lot.lot_number, lot.manufactured_on, lot.expires_on, f"/lines/{n}"))
    made = lots.find_or_make(session, wanted, entry) if wanted else {}
    return {n: (known[code], made[known[code].id, lines[n].lot_number]) for n, code in named.items()}


def _refuse_no_downgrade(
    named: Mapping[int, str],
    known: Mapping[str, ItemRow],
    items: Sequence[ItemRow],
    found: Mapping[tuple[int, str], LotRow],
    lines: Sequence[InspectedLine],
) -> None:
    """A downgrade makes another item of goods, and undated goods never become an item that expires."""
    faults = []
    for n, code in named.items():
        expires_on = found[items[n].id, lines[n].lot_number].expires_on
        if known[code].id == items[n].id:
            detail = f"The goods are {code} already: pass them, or name what they become."
            faults.append(Fault(f"/lines/{n}/into_item", "same_item", detail))
        elif expires_on is None and known[code].shelf_life_days is not None:
            detail = f"{code} expires and this lot has no date: give the lot its last usable day first."
            faults.append(Fault(f"/lines/{n}/into_item", "expiry_required", detail))
    if faults:
        raise Invalid(faults[0].detail, code=faults[0].code, faults=faults)


_CAME_FROM = (
    select(MOVEMENT.c.lot_id, MOVEMENT.c.source_id)
    .where(MOVEMENT.c.target_id == bindparam("bay"), MOVEMENT.c.lot_id.in_(bindparam("lots", expanding=True)))
    .where(MOVEMENT.c.reverses.is_(None))
    .order_by(MOVEMENT.c.occurred_at, MOVEMENT.c.id)
)
