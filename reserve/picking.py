"""Which lots a document takes, and what is refused when they are not enough: decided over a locked shelf."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from reserve.catalogue import ItemRow
from reserve.entry import Entry
from reserve.errors import Fault, InsufficientStock, Invalid, LotExpired, LotOnHold, UnknownLot, WouldGoNegative
from reserve.fefo import Candidate, Picked, order, pick
from reserve.lines import AdjustmentLine, IssueLine
from reserve.lots import LotRow
from reserve.shelf import Shelf


def pick_lines(
    lines: Sequence[IssueLine], items: Sequence[ItemRow], candidates: list[Candidate], shelf: Shelf, entry: Entry
) -> list[Picked]:
    """FEFO for every line, one after the other over the same shelf; every line that fails is named."""
    shelves: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        shelves[candidate.item_id].append(candidate)
    picked: list[Picked] = []
    short: list[dict[str, object]] = []
    for n, (line, item) in enumerate(zip(lines, items, strict=True)):
        there = fresh = shelves[item.id]
        if line.lot_number is not None:
            fresh = [_named(there, line, item, n)]
        taken = pick(fresh, line.quantity, n)
        if sum(p.quantity for p in taken) < line.quantity:
            short.append(_shortage(n, line, item, there, fresh, shelf))
            continue
        picked += taken
        gone = {p.lot_id: p.quantity for p in taken}
        shelves[item.id] = [c._replace(available=c.available - gone.get(c.lot_id, 0)) for c in there]
    if short:
        _refuse_shortage(short, lines, items, candidates, shelf, entry)
    return picked


def _named(there: list[Candidate], line: IssueLine, item: ItemRow, n: int) -> Candidate:
    pointer = f"/lines/{n}/lot_number"
    lot = next((c for c in there if c.lot_number == line.lot_number), None)
    if lot is None:
        detail = f"Lot {line.lot_number} of {item.code} does not lie here."
        raise UnknownLot(detail, faults=[Fault(pointer, UnknownLot.code, detail)])
    if lot.expired:
        detail = f"Lot {lot.lot_number} expired on {lot.expires_on} and may not be handed out."
        raise LotExpired(detail, faults=[Fault(pointer, LotExpired.code, detail)])
    if lot.held:
        detail = f"Lot {lot.lot_number} is on hold and may not be handed out."
        raise LotOnHold(detail, faults=[Fault(pointer, LotOnHold.code, detail)])
    first = next((c for c in order_usable(there)), None)
    earlier = first is not None and (first.expires_on or date.max) < (lot.expires_on or date.max)
    if earlier and first is not None and not line.override_reason:
        detail = (
            f"Lot {first.lot_number} expires first ({first.expires_on}); take it, or say in override_reason why "
            f"lot {lot.lot_number} goes out instead."
        )
        raise Invalid(
            detail,
            code="override_reason_required",
            faults=[Fault(f"/lines/{n}/override_reason", "override_reason_required", detail)],
        )
    return lot


def order_usable(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Usable lots in the order in which they should go."""
    return [c for c in order(candidates) if c.usable]


def _shortage(
    n: int, line: IssueLine, item: ItemRow, there: list[Candidate], fresh: list[Candidate], shelf: Shelf
) -> dict[str, object]:
    promised = sum(c.promised for c in fresh if not c.expired and not c.held)
    return {
        "line": n,
        "item": item.code,
        "lot_number": line.lot_number,
        "on_hand": sum(shelf.on_hand[c.lot_id] for c in (there if line.lot_number is None else fresh)),
        "usable": sum(c.available for c in fresh if c.usable),
        "requested": line.quantity,
        **({"promised": promised} if promised else {}),
    }


def _refuse_shortage(
    short: list[dict[str, object]],
    lines: Sequence[IssueLine],
    items: Sequence[ItemRow],
    candidates: list[Candidate],
    shelf: Shelf,
    entry: Entry,
) -> None:
    for row in short:
        n = int(str(row["line"]))
        ids = [
            c.lot_id
            for c in candidates
            if c.item_id == items[n].id and not c.expired and not c.held and lines[n].lot_number in {None, c.lot_number}
        ]
        wanted = sum(
            line.quantity
            for line, item in zip(lines, items, strict=True)
            if item.id == items[n].id and lines[n].lot_number in {None, line.lot_number}
        )
        below = shelf.first_below_zero(ids, wanted)
        if below is not None:
            raise _would_go_negative(entry, items[n].code, below, f"/lines/{n}/quantity")
    detail = "; ".join(
        f"{r['item']}: {r['requested']} requested, {r['usable']} usable of {r['on_hand']}"
        + (f" ({r['promised']} more are promised to requisitions)" if "promised" in r else "")
        for r in short
    )
    raise InsufficientStock(
        f"Too little usable stock, nothing was moved: {detail}. Ask for less, or receive more first.",
        faults=[
            Fault(f"/lines/{r['line']}/quantity", InsufficientStock.code, f"{r['usable']} usable of {r['on_hand']}")
            for r in short
        ],
        extra={"lines": short},
    )


def _would_go_negative(entry: Entry, item: str, below: tuple[datetime, int], pointer: str) -> WouldGoNegative:
    day = entry.day_of(below[0])
    detail = (
        f"With this entry {item} would fall to {below[1]} on {day}: what was there has been handed out since. "
        f"Enter less, or reverse the later entry first."
    )
    return WouldGoNegative(
        detail,
        faults=[Fault(pointer, WouldGoNegative.code, detail)],
        extra={"day": day.isoformat(), "balance": below[1]},
    )


def refuse_losses(
    lines: Sequence[AdjustmentLine],
    items: Sequence[ItemRow],
    found: Mapping[tuple[int, str], LotRow],
    shelf: Shelf,
    entry: Entry,
) -> None:
    """A loss may take what lies there and what the same document adds, and never what has left since."""
    change: dict[int, int] = defaultdict(int)
    place: dict[int, tuple[int, str, str]] = {}
    for n, (line, item) in enumerate(zip(lines, items, strict=True)):
        lot = found[item.id, line.lot_number]
        change[lot.id] += line.quantity
        place[lot.id] = (n, item.code, lot.lot_number)
    short: list[dict[str, object]] = []
    for lot_id, amount in change.items():
        n, code, lot_number = place[lot_id]
        available = shelf.available.get(lot_id, 0)
        if available + amount >= 0:
            continue
        if lot_id in shelf.on_hand:
            below = shelf.first_below_zero([lot_id], -amount)
            if below is not None:
                raise _would_go_negative(entry, code, below, f"/lines/{n}/quantity")
        short.append(
            {
                "line": n,
                "item": code,
                "lot_number": lot_number,
                "on_hand": shelf.on_hand.get(lot_id, 0),
                "usable": available,
                "requested": -amount,
            }
        )
    if short:
        detail = "; ".join(
            f"{r['item']} lot {r['lot_number']}: {r['usable']} there, {r['requested']} less" for r in short
        )
        raise InsufficientStock(
            f"The books hold too little, nothing was changed: {detail}.",
            faults=[
                Fault(f"/lines/{r['line']}/quantity", InsufficientStock.code, f"{r['usable']} there") for r in short
            ],
            extra={"lines": short},
        )
