"""A ledger with counts, reasons and back-dated entries through the product: every stock on hand it must give.

The data is not ours to ship: where the shared folder is not there, these tests are left out.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import openlmis
import pytest
from conftest import SHARED, connect
from openlmis import Line, Published
from sqlalchemy import Engine
from sqlmodel import Session

from reserve import catalogue, database, stock, verify
from reserve.entry import Entry
from reserve.errors import InsufficientStock, UnknownLot, WouldGoNegative

FOLDER = SHARED / "data" / "openlmis_demo_ledger"
AFTERWARDS = datetime(2019, 1, 1, tzinfo=UTC)
SHORTLY = timedelta(microseconds=1)

pytestmark = [pytest.mark.long, pytest.mark.skipif(not FOLDER.exists(), reason="the shared ledger is not here")]


@pytest.fixture(scope="module")
def published() -> Published:
    return openlmis.read(FOLDER)


@pytest.fixture
def books(sqlite_template, tmp_path):
    path = tmp_path / "openlmis.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = connect(f"sqlite:///{path}")
    yield engine
    database.close(engine)


@pytest.fixture(scope="module")
def few(published: Published) -> Published:
    """The three longest cards of those that were counted, and three short ones: enough for the other database."""
    lines = Counter(line.card for line in published.lines)
    counted = {line.card for line in published.lines if line.change is None}
    by_length = sorted(counted, key=lambda card: (-lines[card], card))
    return openlmis.only(published, {*by_length[:3], *by_length[-3:]})


def test_the_published_ledger_is_what_its_readme_says_and_is_never_below_zero(published: Published) -> None:
    assert (len(published.cards), len(published.lines), len(published.stock)) == (116, 4_760, 2_811)
    assert sum(line.change is None for line in published.lines) == 218
    running: dict[str, int] = defaultdict(int)
    for line in published.lines:
        running[line.card] = line.quantity if line.change is None else running[line.card] + line.change
        assert running[line.card] >= 0


def test_all_2811_stocks_on_hand_come_out_when_every_line_is_told_as_it_happens(
    books: Engine, published: Published
) -> None:
    """Clerks who record at once, counts by sheets that another approves: nothing is back-dated, nothing is refused."""
    with database.writing(books) as session:
        told_as_it_happens(session, published)
    assert published_stocks_found(books, published) == 2_811
    with database.reading(books) as session:
        assert verify.verify(session) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_same_holds_for_a_few_cards_on_the_other_database(engine: Engine, few: Published) -> None:
    with database.writing(engine) as session:
        told_as_it_happens(session, few)
    assert published_stocks_found(engine, few) == len(few.stock)
    with database.reading(engine) as session:
        assert verify.verify(session) == []


def told_as_it_happens(session: Session, published: Published) -> None:
    openlmis.build(session, published)
    for line in published.lines:
        entry, card = Entry("OpenLMIS", line.moment, UTC), published.cards[line.card]
        if line.change is None:
            openlmis.count(session, entry, card, line.quantity)
        else:
            openlmis.move(session, entry, card, line.reason, line.change)


def published_stocks_found(engine: Engine, published: Published) -> int:
    """Ask the books for the end of every day; how many of the published stocks were answered, to the unit."""
    by_day: dict[object, dict[str, int]] = defaultdict(dict)
    for (card, day), units in published.stock.items():
        by_day[day][card] = units
    found = 0
    with database.reading(engine) as session:
        inside = {place.code for place in catalogue.places(session)} - {openlmis.ELSEWHERE, "TRANSIT"}
        for day, expected in by_day.items():
            question = stock.StockQuestion(day=day, at=stock.end_of_day(day, UTC))
            kept = {row.lot_number: row.on_hand for row in stock.rows(session, question) if row.location in inside}
            found += sum(kept.get(card, 0) == units for card, units in expected.items())
    return found


class Late:
    """Every line told long after, in the order in which OpenLMIS processed it, dated back to when it happened.

    A count sets the stock of its moment, so a line entered behind a count is taken back by an adjustment just before
    that count, gains before losses.
    What the books refuse because it would leave a moment below zero is told again when all others were told, and so on:
    all of it is recorded in the end, and how many were refused each time is counted (`passes`).
    """

    def __init__(self, session: Session, published: Published) -> None:
        self.session, self.published = session, published
        self.counted: dict[str, list[datetime]] = defaultdict(list)
        self.passes: list[int] = []
        self.recorded = 0
        self.now = AFTERWARDS

    def tell_all(self) -> None:
        openlmis.build(self.session, self.published)
        waiting = sorted(self.published.lines, key=lambda line: (line.processed_at, line.card, line.moment))
        while waiting:
            again = [line for line in waiting if not self.tell(line)]
            self.passes.append(len(again))
            assert len(again) < len(waiting), again
            waiting = again

    def tell(self, line: Line) -> bool:
        self.now += timedelta(seconds=1)
        try:
            with self.session.begin_nested():
                self.record(line)
        except (InsufficientStock, UnknownLot, WouldGoNegative):
            return False
        self.recorded += 1
        if line.change is None:
            self.counted[line.card].append(line.moment)
        return True

    def record(self, line: Line) -> None:
        card = self.published.cards[line.card]
        change = line.change
        if change is None:
            change = line.quantity - openlmis.book(self.session, card, line.moment)
        later = min((moment for moment in self.counted[line.card] if moment > line.moment), default=None)
        if later is not None and change < 0:
            openlmis.adjust(self.session, self.entry(later - 2 * SHORTLY), card, -change, "data_correction")
        if line.change is not None:
            openlmis.move(self.session, self.entry(line.moment), card, line.reason, change)
        elif change:
            openlmis.adjust(self.session, self.entry(line.moment), card, change, "other")
        if later is not None and change > 0:
            openlmis.adjust(self.session, self.entry(later - SHORTLY), card, -change, "data_correction")

    def entry(self, moment: datetime) -> Entry:
        return Entry("OpenLMIS", self.now, UTC, occurred=moment, back_dating_days=None)


def test_all_2811_come_out_as_well_when_every_line_is_dated_back_in_the_order_it_was_processed(
    books: Engine, published: Published
) -> None:
    with database.writing(books) as session:
        late = Late(session, published)
        late.tell_all()
    assert late.passes == [
        462,
        0,
    ]  # refused at first, each because of what was not told yet; none at the second telling
    assert late.recorded == 4_760
    assert published_stocks_found(books, published) == 2_811
    with database.reading(books) as session:
        assert verify.verify(session) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_back_dated_in_processed_order_gives_the_same_on_the_other_database(engine: Engine, few: Published) -> None:
    with database.writing(engine) as session:
        late = Late(session, few)
        late.tell_all()
    assert late.recorded == len(few.lines)
    assert published_stocks_found(engine, few) == len(few.stock)
    with database.reading(engine) as session:
        assert verify.verify(session) == []
