"""The stock card: every line with its balance, page by page, the same figures as stock and as the balances."""

import re
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest
from books import W1, W2, adjust, issue, receive
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from test_invariants import LATER

from reserve import cards, catalogue, database, ledger, stock, verify
from reserve.cards import CardQuestion
from reserve.entry import day_bounds
from reserve.errors import Conflict, Invalid, Unknown

MIDDAY = NOW.replace(hour=4)


def said(days_ago=0, hour=4, now=NOW):
    """An entry of some days ago, told at the time or now."""
    occurred = MIDDAY.replace(hour=hour) - timedelta(days=days_ago)
    return entry(now=max(now, occurred), occurred=occurred)


def card(session, location=W1, item="N95", **asked):
    place, article = catalogue.place(session, location), catalogue.item(session, item)
    return cards.card(session, CardQuestion(place, article, **asked))


def ask(engine, location=W1, item="N95", **asked):
    with database.reading(engine) as session:
        return card(session, location, item, **asked)


def told(found):
    return [(row.line.document[:2], row.received, row.issued, row.balance) for row in found.rows]


@pytest.fixture
def busy(city):
    """A week of masks at the city's store, one lot put right, one issue undone."""
    with database.writing(city) as session:
        receive(session, ("N95", "A", 100, LATER), told=said(6))
        receive(session, ("N95", "B", 50, LATER + timedelta(days=30)), ("VENT", "V1", 3, None), told=said(5))
        issue(session, ("N95", 30), told=said(4))
        wrong = issue(session, ("N95", 20), told=said(3))
        adjust(session, ("N95", "B", -5, "damaged"), told=said(2))
        ledger.reverse(session, said(1, now=NOW), movement_id=wrong.movements[0].id, reason="wrong truck")
        receive(session, ("N95", "A", 7, LATER), location=W2, told=said(1))
    return city


def test_a_card_shows_each_line_in_order_with_the_balance_after_it(busy):
    found = ask(busy)
    assert told(found) == [
        ("RC", 100, 0, 100),
        ("RC", 50, 0, 150),
        ("IS", 0, 30, 120),
        ("IS", 0, 20, 100),
        ("AD", 0, 5, 95),
        ("RV", 20, 0, 115),
    ]
    assert (found.opening, found.closing, found.following) == (0, 115, None)
    assert found.period == (0, 170, 55, 115, 6)


def test_both_sides_of_a_reversal_name_each_other(busy):
    rows = ask(busy).rows
    undone, undo = rows[3].line, rows[5].line
    assert (undone.reversed_by, undone.reversed_by_document) == (undo.id, undo.document)
    assert (undo.reverses, undo.reverses_document) == (undone.id, undone.document)
    assert undo.reason == "wrong truck"


def test_a_card_is_of_exactly_one_place_and_item(busy):
    assert told(ask(busy, W2)) == [("RC", 7, 0, 7)]
    assert told(ask(busy, item="VENT")) == [("RC", 3, 0, 3)]
    assert ask(busy, "371402-H1").rows == []


def test_with_a_lot_number_the_balance_is_of_that_lot(busy):
    assert told(ask(busy, lot_number="B")) == [("RC", 50, 0, 50), ("AD", 0, 5, 45)]
    assert ask(busy, lot_number="NOPE").period == (0, 0, 0, 0, 0)


def test_a_period_opens_with_what_lay_there(busy):
    since, until = (
        day_bounds(TODAY - timedelta(days=4), SHANGHAI)[0],
        day_bounds(TODAY - timedelta(days=3), SHANGHAI)[1],
    )
    found = ask(busy, since=since, until=until)
    assert (found.opening, told(found), found.closing) == (150, [("IS", 0, 30, 120), ("IS", 0, 20, 100)], 100)


def test_known_at_shows_the_card_as_it_stood_at_a_moment(city):
    with database.writing(city) as session:
        moved = receive(session, ("N95", "A", 100, LATER), told=entry(now=NOW - timedelta(days=2)))
    before = NOW - timedelta(days=1)
    with database.writing(city) as session:
        ledger.reverse(session, entry(), movement_id=moved.movements[0].id, reason="never came")
    (row,) = ask(city, known_at=before).rows
    assert (row.balance, row.line.reversed_by, row.line.reversed_by_document) == (100, None, None)
    assert ask(city).closing == 0


def test_each_day_the_card_says_what_stock_said_that_day(busy):
    with database.reading(busy) as session:
        item = catalogue.item(session, "N95")
        place = catalogue.place(session, W1)
        for days in range(8):
            day = TODAY - timedelta(days=days)
            end = stock.end_of_day(day, SHANGHAI)
            question = stock.StockQuestion(day=day, scope=place, item_id=item.id, at=end)
            rows = stock.rows(session, question)
            assert card(session, until=end).closing == sum(row.on_hand for row in rows)
            for row in rows:
                assert card(session, until=end, lot_number=row.lot_number).closing == row.on_hand
        now = stock.rows(session, stock.StockQuestion(day=TODAY, scope=place, item_id=item.id))
        assert card(session).closing == sum(row.on_hand for row in now)
        assert verify.verify(session) == []


def pages(engine, limit, between=lambda _: None, **asked):
    after, found = None, []
    for n in range(100):
        one = ask(engine, limit=limit, after=after, **asked)
        found.append(one)
        if one.following is None:
            return found
        after = one.following
        between(n)
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_pages_carry_the_balance_forward(busy, limit):
    found = pages(busy, limit)
    assert [row for one in found for row in told(one)] == told(ask(busy))
    for before, after in pairwise(found):
        assert before.closing == after.opening
    assert {one.period for one in found} == {ask(busy).period}


def test_lines_that_are_recorded_between_two_pages_are_neither_doubled_nor_lose_others(busy):
    """One far before the page, one at its very moment, one after: the balance stays right each time."""
    whole = {row.line.id for row in ask(busy).rows}

    def meanwhile(n):
        with database.writing(busy) as session:
            receive(session, ("N95", f"X{n}", 1000, LATER), told=said(6, hour=3))
            receive(session, ("N95", f"Y{n}", 1, LATER), told=said(4))
            receive(session, ("N95", f"Z{n}", 1, LATER), told=said(0, hour=1))

    found = pages(busy, 2, meanwhile)
    ids = [row.line.id for one in found for row in one.rows]
    assert len(ids) == len(set(ids))
    assert whole <= set(ids)
    last = found[-1]
    assert last.closing == ask(busy).closing == last.period.closing


def test_documents_of_one_moment_stand_in_the_order_of_their_numbers_over_pages(city):
    with database.writing(city) as session:
        for n in range(7):
            receive(session, ("N95", f"L{n}", 2**n, LATER), told=said(1))
    found = pages(city, 3)
    assert [row.received for one in found for row in one.rows] == [2**n for n in range(7)]
    assert found[-1].closing == 127


def test_a_region_has_no_card_and_the_refusal_names_its_stores(busy):
    with database.reading(busy) as session:
        place, item = catalogue.place(session, "371400"), catalogue.item(session, "N95")
        with pytest.raises(Invalid) as refused:
            cards.card(session, CardQuestion(place, item))
    assert refused.value.code == "not_a_store"
    assert refused.value.extra == {"stores": [W1, W2]}


LINES = st.lists(
    st.tuples(
        st.sampled_from(["receive", "issue", "gain", "loss", "reverse"]),
        st.sampled_from(["A", "B"]),
        st.integers(1, 60),
        st.integers(0, 9),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.integers(0, 9), st.integers(0, 9), st.integers(1, 6))
def test_opening_and_in_and_out_are_closing_whatever_was_done(city, lines, first, length, limit):
    """Random lines on random days at a place of their own in each example; against a plain list."""
    with city.connect() as connection:
        number = connection.exec_driver_sql("SELECT count(*) FROM location").scalar_one()
    code = f"371400-R{number}"
    with database.writing(city) as session:
        catalogue.add_location(
            session, catalogue.NewLocation(code, code, code, catalogue.LocationKind.WAREHOUSE, "371400")
        )
    done = []
    for verb, lot, quantity, days in lines:
        told_ = said(days)
        try:
            with database.writing(city) as session:
                if verb == "receive":
                    posted = receive(session, ("N95", lot, quantity, LATER), location=code, told=told_)
                elif verb == "issue":
                    posted = issue(session, ("N95", quantity), location=code, told=told_)
                elif verb == "reverse":
                    movement = done[quantity % len(done)].id if done else 0
                    posted = ledger.reverse(session, entry(), movement_id=movement, reason="no")
                else:
                    reason, sign = ("count_gain", 1) if verb == "gain" else ("count_loss", -1)
                    line = ("N95", lot, sign * quantity, reason, LATER if sign > 0 else None)
                    posted = adjust(session, line, location=code, told=told_)
        except (Conflict, Invalid, Unknown):
            continue
        done += posted.movements
    history = sorted(done, key=lambda m: (m.occurred_at, m.id))
    start, end = TODAY - timedelta(days=first), TODAY - timedelta(days=first) + timedelta(days=length)
    since, until = day_bounds(start, SHANGHAI)[0], day_bounds(end, SHANGHAI)[1]
    change = defaultdict(int)
    for m in history:
        change[m.id] = m.quantity if m.target == code else -m.quantity
    opening = sum(change[m.id] for m in history if m.occurred_at < since)
    inside = [m for m in history if since <= m.occurred_at < until]
    found = pages(city, limit, location=code, since=since, until=until)
    rows = [row for one in found for row in one.rows]
    assert [row.line.id for row in rows] == [m.id for m in inside]
    balance = opening
    for row in rows:
        balance += row.received - row.issued
        assert row.balance == balance >= 0
        assert row.received - row.issued == change[row.line.id]
    for one in found:
        assert one.opening + sum(r.received - r.issued for r in one.rows) == one.closing
        assert one.period.opening + one.period.received - one.period.issued == one.period.closing
    assert (found[0].opening, found[-1].closing) == (opening, balance)
    assert found[0].period[:4] == (
        opening,
        sum(change[m.id] for m in inside if change[m.id] > 0),
        -sum(change[m.id] for m in inside if change[m.id] < 0),
        balance,
    )


# -- how it is read ---------------------------------------------------------------------------------------------------

BIG = re.compile(
    r"SCAN (movement|document|balance|lot|transfer|undo|original|first|moved|road|mine|other)\b"
    r"(?! USING INDEX movement_when)"
)


class Statements:
    """What is asked of the database, and how it would look for the rows."""

    def __init__(self, engine):
        self.engine, self.asked = engine, []
        event.listen(engine, "before_cursor_execute", self._keep)

    def _keep(self, _connection, _cursor, statement, parameters, _context, _many):
        if statement.lstrip().startswith(("SELECT", "WITH")):
            self.asked.append((statement, parameters))

    def plans(self):
        asked, self.asked = self.asked, []
        assert asked
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                return [
                    row[3] for s, p in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", p).all()
                ]
            connection.exec_driver_sql("SET enable_seqscan = off")  # small tables: what would it do in a large one
            return [row[0].strip() for s, p in asked for row in connection.exec_driver_sql(f"EXPLAIN {s}", p).all()]

    def scans(self):
        return [
            plan
            for plan in self.plans()
            if BIG.search(plan) or re.search(r"Seq Scan on (movement|document|balance|lot|transfer)\b", plan)
        ]


def test_a_card_never_reads_the_whole_ledger(busy):
    statements = Statements(busy)
    since = NOW - timedelta(days=4)
    for asked in ({}, {"since": since, "until": NOW}, {"known_at": NOW}, {"lot_number": "A"}):
        first = ask(busy, limit=2, **asked)
        ask(busy, limit=2, after=first.following, **asked)
    assert statements.scans() == []


def test_a_card_costs_the_same_statements_however_long_it_is(busy):
    statements = Statements(busy)
    ask(busy, limit=1)
    few = len(statements.asked)
    statements.asked.clear()
    ask(busy, limit=None)
    assert len(statements.asked) == few <= 7
