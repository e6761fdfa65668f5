"""OpenLMIS's public demonstration ledger (stock cards, counts, reasons) told through reserve's own verbs.

A card is one lot, made up and undated, of one product at one facility. Of a day the lines happen in the order in which
OpenLMIS processed them, each at a moment of its own. A transfer comes from, or goes to, one made-up store.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlmodel import Session

from reserve import catalogue, counting, ledger, stock, transfers
from reserve.entry import Entry
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.lines import LotLine
from reserve.model import Category, LocationKind, Purpose

CITY, ELSEWHERE = "DEMO", "ELSEWHERE"
LONG_BEFORE = datetime(2016, 1, 1, tzinfo=UTC)


class Line(NamedTuple):
    """One line of a stock card; `change` None is a physical count, which sets the stock to `quantity`."""

    card: str
    day: date
    moment: datetime
    processed_at: str
    reason: str
    quantity: int
    change: int | None


class Card(NamedTuple):
    code: str
    facility: str
    product: str


class Published(NamedTuple):
    cards: dict[str, Card]
    lines: list[Line]
    stock: dict[tuple[str, date], int]


def read(folder: Path) -> Published:
    """The folder's three tables; lines by the moment they happened."""
    cards = {
        row["card"]: Card(row["card"], row["facility"], row["product_code"])
        for row in _table(folder / "stock_cards.csv")
    }
    days: dict[tuple[str, date], list[tuple[str, int, dict[str, str]]]] = defaultdict(list)
    for n, row in enumerate(_table(folder / "stock_card_lines.csv.gz")):
        processed = row["processed_at"].replace("T", " ")
        days[row["card"], date.fromisoformat(row["occurred_date"])].append((processed, n, row))
    lines = []
    for (card, day), rows in days.items():
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for rank, (processed, _, row) in enumerate(sorted(rows, key=lambda found: found[:2]), start=1):
            change = None if row["kind"] == "COUNT" else int(float(row["signed_quantity"]))
            moment = start + timedelta(seconds=rank)
            lines.append(Line(card, day, moment, processed, row["reason"], int(row["quantity"]), change))
    told = {
        (row["card"], date.fromisoformat(row["occurreddate"])): int(row["stockonhand"])
        for row in _table(folder / "calculated_soh.csv.gz")
    }
    return Published(cards, sorted(lines, key=lambda line: (line.moment, line.card)), told)


def only(published: Published, cards: set[str]) -> Published:
    """The same ledger with some of its cards."""
    return Published(
        {code: card for code, card in published.cards.items() if code in cards},
        [line for line in published.lines if line.card in cards],
        {(card, day): units for (card, day), units in published.stock.items() if card in cards},
    )


def _table(path: Path) -> Iterator[dict[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def build(session: Session, published: Published) -> None:
    """The facilities, the store that transfers come from, the products; that store has plenty of every lot."""
    add = catalogue.add_location
    add(session, catalogue.NewLocation(CITY, "演示", "Demonstration", LocationKind.REGION))
    for code in (*sorted({card.facility for card in published.cards.values()}), ELSEWHERE):
        add(session, catalogue.NewLocation(code, code, code, LocationKind.WAREHOUSE, CITY))
    for code in sorted({card.product for card in published.cards.values()}):
        catalogue.add_item(session, catalogue.NewItem(code, code, code, Category.OTHER, "u", shelf_life_days=None))
    plenty = [
        ReceiptLine(card.code, None, item=card.product, quantity=10**6)
        for card in sorted(published.cards.values())
        if any(line.card == card.code and line.reason.startswith("Transfer") for line in published.lines)
    ]
    if plenty:
        entry = Entry("OpenLMIS", LONG_BEFORE, UTC)
        ledger.receive(session, entry, location=ELSEWHERE, lines=plenty)


def book(session: Session, card: Card, moment: datetime) -> int:
    """What the ledger says lay there before a moment."""
    question = stock.StockQuestion(
        day=moment.date(),
        scope=catalogue.place(session, card.facility),
        item_id=catalogue.items_by_code(session, [card.product])[card.product].id,
        lot_number=card.code,
        at=moment,
    )
    return sum(row.on_hand for row in stock.rows(session, question))


def move(session: Session, entry: Entry, card: Card, reason: str, change: int) -> None:
    """A line that is no count, by the verb that is meant; its lot is undated, so `Expired` is told as damaged."""
    here, item, lot, units = card.facility, card.product, card.code, abs(change)
    if reason == "Receipts":
        ledger.receive(session, entry, location=here, lines=[ReceiptLine(lot, None, item=item, quantity=units)])
    elif reason == "Consumed":
        ledger.issue(session, entry, location=here, lines=[IssueLine(item, units, lot)], purpose=Purpose.USE)
    elif reason in {"Transfer In", "Transfer Out"}:
        source, target = (ELSEWHERE, here) if change > 0 else (here, ELSEWHERE)
        sent = transfers.send(session, entry, source=source, target=target, lines=[IssueLine(item, units, lot)])
        transfers.receive(session, entry, number=sent.document, lines=[LotLine(item, lot, units)])
    elif reason in {"Damage", "Expired", "Cold chain failure", "Passed open-vial time limit"}:
        ledger.dispose(session, entry, location=here, lines=[LotLine(item, lot, units)], reason="damaged")
    else:
        adjust(session, entry, card, change, _ADJUSTED[reason])


def adjust(session: Session, entry: Entry, card: Card, change: int, reason: str) -> None:
    line = AdjustmentLine(card.product, card.code, change, reason)
    ledger.adjust(session, entry, location=card.facility, lines=[line])


_ADJUSTED = {"Lost": "lost", "Stolen": "lost", "Facility return": "returned", "": "other"}


def count(session: Session, entry: Entry, card: Card, counted: int) -> None:
    """A physical count by a sheet of its own: opened and counted by one, approved by another."""
    selection = counting.Selection(items=[card.product])
    number = counting.open_sheet(session, entry, location=card.facility, selection=selection).head.number
    counting.count(session, entry, number, [counting.CountedLine(card.product, card.code, counted)])
    manager = Entry("The manager", entry.now, entry.zone)
    counting.approve(session, manager, number)
