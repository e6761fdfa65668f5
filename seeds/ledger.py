"""Receipts and issues of the demonstration year, in an order and in amounts that a ledger accepts.

The issues are laid out first. Each takes from the lot that goes first at its place, so a receipt must bring what lies
there today and all that was issued from it: nothing is ever short and nothing expired is ever issued.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Literal

from seeds.catalogue import ITEMS
from seeds.chance import Chance
from seeds.consumption import DAYS
from seeds.lots import Batch
from seeds.norms import NORMS, Norm
from seeds.outbreak import waves
from seeds.places import CITY, REPORTERS, WAREHOUSES, Place

_MAIN = "371400-W1"
"""It issues every week, and gifts come here."""
_SHARE_OF_USE = 0.12
"""The part of the city's use that is met from the reserve, to rotate it; hospitals buy the rest themselves."""


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    item: str
    lot_number: str
    manufactured_on: date
    expires_on: date | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Goods that came to a warehouse on a day (入库)."""

    location: str
    day: date
    kind: Literal["purchase", "donation"]
    reference: str
    lines: tuple[ReceiptLine, ...]


@dataclass(frozen=True, slots=True)
class IssueLine:
    item: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Issue:
    """Goods that left a warehouse on a day for a reporter (出库), without lots: first expired, first out."""

    location: str
    day: date
    recipient: str
    lines: tuple[IssueLine, ...]


@dataclass(slots=True)
class _Holding:
    """A lot at a place: from when, what lies there today, and what was issued from it before."""

    item: str
    batch: Batch
    since: date
    quantity: int
    issued: int = 0

    def goes_on(self, day: date) -> bool:
        batch = self.batch
        last = min(batch.expires_on or date.max, batch.used_up_by or date.max)
        return self.since <= day <= last


Shelf = dict[str, list[_Holding]]
"""The holdings of a place by item, in the order in which they go."""


def ledger(
    seed: int, as_of: date, lots: Mapping[str, list[Batch]], units: Mapping[str, int]
) -> tuple[tuple[Receipt, ...], tuple[Issue, ...]]:
    """Answer all receipts and issues before `as_of`, each in order of day; on one day receipts come first."""
    shelves = _shelves(seed, as_of, lots, units)
    issues = [
        issue
        for index, place in enumerate(WAREHOUSES)
        for issue in _issues(seed, as_of, place, index, shelves[place.code], units)
    ]
    receipts = [receipt for place in WAREHOUSES for receipt in _receipts(place, as_of, shelves[place.code])]
    in_order = attrgetter("day", "location")
    return tuple(sorted(receipts, key=in_order)), tuple(sorted(issues, key=in_order))


def _shelves(seed: int, as_of: date, lots: Mapping[str, list[Batch]], units: Mapping[str, int]) -> dict[str, Shelf]:
    shelves: dict[str, Shelf] = {place.code: {} for place in WAREHOUSES}
    for item, batches in lots.items():
        chance = Chance(seed, "places", item)
        for batch in batches:
            parts = _spread(batch, units[item], chance)
            for index, (place, quantity) in enumerate(zip(WAREHOUSES, parts, strict=True)):
                if quantity or batch.used_up_by:
                    since = _arrival(batch, as_of, index)
                    shelves[place.code].setdefault(item, []).append(_Holding(item, batch, since, quantity))
    return shelves


def _spread(batch: Batch, step: int, chance: Chance) -> list[int]:
    """Share a lot among the warehouses by their weight, whole packs each, to the last unit."""
    weights = [place.weight * (0.7 + 0.6 * chance.share()) for place in WAREHOUSES]
    if batch.donated:
        weights = [weight * (place.code == _MAIN) for weight, place in zip(weights, WAREHOUSES, strict=True)]
    elif batch.near:
        weights = [
            weight * (place.parent == CITY or chance.share() < 0.5)
            for weight, place in zip(weights, WAREHOUSES, strict=True)
        ]
    packs, total = batch.quantity // step, sum(weights)
    exact = [packs * weight / total for weight in weights]
    whole = [int(part) for part in exact]
    behind = sorted(range(len(whole)), key=lambda i: (whole[i] - exact[i], i))
    for i in behind[: packs - sum(whole)]:
        whole[i] += 1
    return [part * step for part in whole]


def _arrival(batch: Batch, as_of: date, index: int) -> date:
    """A county's lorry comes up to four days after the city's, and never at a weekend; balances were opened at once."""
    if batch.arrives_on == as_of - timedelta(days=DAYS):
        return batch.arrives_on
    return _working(batch.arrives_on + timedelta(days=index % 5))


def _working(day: date) -> date:
    return day + timedelta(days=(0, 0, 0, 0, 0, 2, 1)[day.weekday()])


def _issues(
    seed: int, as_of: date, place: Place, index: int, shelf: Shelf, units: Mapping[str, int]
) -> Iterator[Issue]:
    """Yield a place's issues, half of the items in turn, and note on each lot what left it."""
    chance = Chance(seed, "issues", place.code)
    recipients = [reporter for reporter in REPORTERS if reporter.parent == place.parent]
    wave = waves(seed, DAYS)[place.parent or CITY]
    every = 7 if place.code == _MAIN else 14
    for turn, before in enumerate(range(DAYS - 10 - index, 3, -every)):
        day = _working(as_of - timedelta(days=before))
        height = float(wave[max(0, DAYS - before - 2 * every) : DAYS - before].mean())
        lines = []
        for norm in NORMS[turn % 2 :: 2]:
            asked = _asked(norm, place, height, 2 * every, chance)
            quantity = asked // units[norm.item] * units[norm.item]
            holding = _first_out(shelf.get(norm.item, ()), day)
            if quantity and holding:
                holding.issued += quantity
                lines.append(IssueLine(norm.item, quantity))
        if lines:
            yield Issue(place.code, day, recipients[turn // 2 % len(recipients)].code, tuple(lines))


def _asked(norm: Norm, place: Place, height: float, days: int, chance: Chance) -> int:
    use = norm.per_day * place.weight * (1 + (norm.surge - 1) * height) * days
    return int(_SHARE_OF_USE * use * (0.6 + 0.8 * chance.share()) + chance.share())


def _first_out(holdings: Iterable[_Holding], day: date) -> _Holding | None:
    """Find the lot that goes first that day. It is never short: what it still has to give is part of its receipt."""
    return next((holding for holding in holdings if holding.goes_on(day)), None)


def _receipts(place: Place, as_of: date, shelf: Shelf) -> Iterator[Receipt]:
    holdings = [lot for item in ITEMS for lot in shelf.get(item.code, ()) if lot.quantity + lot.issued]
    key = attrgetter("since", "batch.donated")
    for (day, donated), came in groupby(sorted(holdings, key=key), key):
        opening = day == as_of - timedelta(days=DAYS)
        reference = "社会捐赠(演示)" if donated else "期初库存(演示)" if opening else f"采购合同 {day:%Y%m}(演示)"
        lines = tuple(
            ReceiptLine(
                lot.item,
                lot.batch.lot_number,
                lot.batch.manufactured_on,
                lot.batch.expires_on,
                lot.quantity + lot.issued,
            )
            for lot in came
        )
        yield Receipt(place.code, day, "donation" if donated else "purchase", reference, lines)
