"""Daily use: corrected without losing what was said, silent where nothing was said, read from issues where it is."""

import json
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from forecasting.peak import scope_peak
from reserve import catalogue, consumption, database, imports, ledger, lots, reporting, requisitions
from reserve.catalogue import NewLocation
from reserve.errors import Conflict, Invalid, OutOfBounds, SheetRefused, UnknownItem, UnknownLocation
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.model import ConsumptionSource, LocationKind, Purpose
from reserve.reporting import Report
from reserve.requisitions import WantedLine

H1, H2 = "371402-H1", "371425-H1"
YESTERDAY = TODAY - timedelta(days=1)


def report(engine, *rows, **changes):
    told = [Report(*row) for row in rows]
    return database.transact(engine, lambda session: reporting.report(session, entry(**changes), told))


def history(engine, last=YESTERDAY, days=10, item="N95", scope="371400", known_at=None):
    with database.reading(engine) as session:
        above = catalogue.place(session, scope)
        return consumption.history(
            session,
            item_id=catalogue.item(session, item).id,
            places=[p for p in catalogue.places(session) if above.holds(p)],
            last=last,
            days=days,
            zone=SHANGHAI,
            known_at=known_at,
        )


def series(found, code=H1):
    """The days of a place: units, `?` where nothing is known, a `+` where more may have been wanted."""
    row = [place.code for place in found.places].index(code)
    said = zip(found.values[row], found.reported[row], found.censored[row], strict=True)
    return [(f"{value}+" if censored else int(value)) if reported else "?" for value, reported, censored in said]


def revisions(engine):
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT day, revision, quantity FROM consumption ORDER BY day, revision"))
        return [(str(day), revision, quantity) for day, revision, quantity in rows]


def waiting(engine):
    with engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM coveragedue")).scalar_one()


@contextmanager
def refused(engine, kind, code=None):
    before = revisions(engine), waiting(engine)
    with pytest.raises(kind) as caught:
        yield caught
    assert (revisions(engine), waiting(engine)) == before
    assert caught.value.code == (code or kind.code)
    assert caught.value.detail.endswith(".")


# -- reported ---------------------------------------------------------------------------------------------------------


def test_a_day_not_reported_is_unknown_and_a_zero_is_zero(city):
    report(city, (H1, "N95", YESTERDAY, 0), (H1, "N95", YESTERDAY - timedelta(days=2), 7))
    assert series(history(city, days=4)) == ["?", 7, "?", 0]


def test_a_day_sent_again_is_replaced_and_the_old_figure_is_kept(city):
    first = report(city, (H1, "N95", YESTERDAY, 120))
    later = NOW + timedelta(hours=3)
    second = report(city, (H1, "N95", YESTERDAY, 12), now=later)
    assert [(r.revision, r.quantity) for r in first + second] == [(1, 120), (2, 12)]
    assert revisions(city) == [("2026-03-31", 1, 120), ("2026-03-31", 2, 12)]
    assert series(history(city, days=1)) == [12]


def test_what_was_known_before_a_correction_can_be_asked_again(city):
    report(city, (H1, "N95", YESTERDAY, 120))
    later = NOW + timedelta(hours=3)
    report(city, (H1, "N95", YESTERDAY, 12), now=later)
    assert series(history(city, days=1, known_at=later)) == [12]
    assert series(history(city, days=1, known_at=later - timedelta(microseconds=1))) == [120]
    assert series(history(city, days=1, known_at=NOW - timedelta(microseconds=1))) == ["?"]


def test_the_same_figure_sent_again_changes_nothing(city):
    report(city, (H1, "N95", YESTERDAY, 120))
    before = waiting(city)
    assert report(city, (H1, "N95", YESTERDAY, 120), now=NOW + timedelta(hours=3))[0].revision == 1
    assert revisions(city) == [("2026-03-31", 1, 120)]
    assert waiting(city) == before


def test_a_correction_back_to_the_first_figure_is_a_third_revision(city):
    for n, quantity in enumerate([5, 6, 5]):
        report(city, (H1, "N95", YESTERDAY, quantity), now=NOW + timedelta(hours=n))
    assert [r[1:] for r in revisions(city)] == [(1, 5), (2, 6), (3, 5)]
    assert series(history(city, days=1)) == [5]


def test_a_report_puts_its_place_and_item_in_the_queue_once(city):
    report(city, *((H1, "N95", TODAY - timedelta(days=n), n) for n in range(20)), (H2, "N95", TODAY, 1))
    assert waiting(city) == 2


def test_todays_use_may_be_reported_and_counts_from_tomorrow(city):
    report(city, (H1, "N95", TODAY, 5))
    assert series(history(city, last=TODAY, days=1)) == [5]


def test_the_day_is_the_citys_day(city):
    evening = datetime(2026, 4, 1, 15, 59, 59, tzinfo=UTC)
    with refused(city, OutOfBounds, "future_date"):
        report(city, (H1, "N95", date(2026, 4, 2), 5), now=evening)
    report(city, (H1, "N95", date(2026, 4, 2), 5), now=evening + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("row", "kind", "code"),
    [
        ((H1, "N95", TODAY + timedelta(days=1), 5), OutOfBounds, "future_date"),
        ((H1, "N95", date(1989, 12, 31), 5), Invalid, "date_out_of_bounds"),
        ((H1, "N95", date(2026, 3, 1), 5), Invalid, "duplicate_row"),
        ((H1, "N95", YESTERDAY, -1), Invalid, "invalid_value"),
        ((H1, "N95", YESTERDAY, 1.5), Invalid, "invalid_value"),
        ((H1, "N95", YESTERDAY, True), Invalid, "invalid_value"),
        ((H1, "N95", YESTERDAY, 10**15 + 1), Invalid, "quantity_too_large"),
        (("371499-H1", "N95", YESTERDAY, 5), UnknownLocation, "unknown_location"),
        (("CONSUMER", "N95", YESTERDAY, 5), UnknownLocation, "unknown_location"),
        ((H1, "N96", YESTERDAY, 5), UnknownItem, "unknown_item"),
    ],
)
@pytest.mark.parametrize("batch", [5000, 2])
def test_one_bad_row_refuses_the_whole_sheet_and_is_named(city, monkeypatch, batch, row, kind, code):
    monkeypatch.setattr(reporting, "_BATCH", batch)
    good = [(H1, "N95", date(2026, 3, n), n) for n in (1, 2, 3)]
    with refused(city, kind, code) as caught:
        report(city, *good, row)
    assert caught.value.faults[0].pointer.startswith("/rows/3/")


def test_all_bad_rows_are_named_at_once(city):
    with refused(city, UnknownLocation) as caught:
        report(city, ("X", "N95", YESTERDAY, 5), (H1, "N95", YESTERDAY, 5), (H1, "N96", YESTERDAY, 5))
    assert [fault.pointer for fault in caught.value.faults] == ["/rows/0/location", "/rows/2/item"]


def test_a_sheet_costs_the_same_statements_however_long_it_is(city):
    counted = []

    @event.listens_for(city, "before_cursor_execute")
    def count(_connection, _cursor, statement, *_):
        counted.append(statement)

    def statements(rows):
        counted.clear()
        report(city, *rows)
        return len(counted)

    few = [(H1, "N95", date(2026, 3, 1), 1), (H1, "VENT", date(2026, 3, 1), 1)]
    many = [
        (h, i, date(2025, 1, 1) + timedelta(days=n), n) for h in (H1, H2) for i in ("N95", "VENT") for n in range(200)
    ]
    assert statements(few) == statements(many)


def test_a_year_of_opening_books_is_told_the_morning_after_each_day(city):
    with database.writing(city) as session:
        places = {p.code: p.id for p in catalogue.places(session)}
        reporting.record_history(
            session,
            item_id=catalogue.item(session, "N95").id,
            location_id=places[H1],
            reports=[(YESTERDAY - timedelta(days=n), n) for n in range(3)],
            told_after=timedelta(hours=8),
            zone=SHANGHAI,
            actor="demonstration",
        )
    assert series(history(city, days=4)) == ["?", 2, 1, 0]
    eight = datetime(2026, 3, 31, 0, 0, tzinfo=UTC)
    assert series(history(city, days=4, known_at=eight)) == ["?", 2, 1, "?"]
    with database.reading(city) as session:
        assert reporting.last_day(session) == YESTERDAY


# -- who is asked -----------------------------------------------------------------------------------------------------


def add_place(engine, code, kind=LocationKind.HOSPITAL, source=None, **days):
    new = NewLocation(code, code, code, kind, "371402", source, **days)
    return database.transact(engine, lambda session: catalogue.add_location(session, new))


def test_a_silent_hospital_is_listed_and_a_silent_warehouse_is_not(city):
    found = history(city)
    assert [place.code for place in found.places] == [H1, H2]
    assert not found.reported.any()
    report(city, ("371400-W1", "N95", YESTERDAY, 5))
    assert [place.code for place in history(city).places] == ["371400-W1", H1, H2]
    assert [place.code for place in history(city, item="VENT").places] == [H1, H2]


def test_a_place_whose_use_is_nobodys_business_is_not_asked(city):
    add_place(city, "371402-H9", source=ConsumptionSource.NONE)
    add_place(city, "371402-W9", LocationKind.WAREHOUSE, ConsumptionSource.REPORTS)
    assert [place.code for place in history(city).places] == [H1, "371402-W9", H2]


def test_a_place_counts_only_on_the_days_on_which_it_was_open(city):
    add_place(city, "371402-H9", opened_on=date(2026, 3, 25), closed_on=date(2026, 3, 29))
    found = history(city, days=10)
    row = [place.code for place in found.places].index("371402-H9")
    assert found.first == date(2026, 3, 22)
    assert found.active[row].tolist() == [False] * 3 + [True] * 5 + [False] * 2
    assert found.active[0].all()


def test_the_rows_of_a_county_are_those_below_it(city):
    report(city, (H1, "N95", YESTERDAY, 5), (H2, "N95", YESTERDAY, 7))
    found = history(city)
    with database.reading(city) as session:
        county = catalogue.place(session, "371425")
    assert series(found.below(county), H2) == series(found, H2)
    assert [place.code for place in found.below(county).places] == [H2]


# -- read from issues -------------------------------------------------------------------------------------------------

WARD = "371402-H9"


def at(day, hour=2):
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def receive(engine, quantity, day, lot="A", *, expires_on=date(2027, 1, 1), item="N95", location=WARD):
    line = ReceiptLine(lot, expires_on, item=item, quantity=quantity)
    return database.transact(
        engine, lambda session: ledger.receive(session, entry(now=at(day)), location=location, lines=[line])
    )


def issue(engine, quantity, day, purpose=Purpose.USE, location=WARD, **changes):
    told = entry(**{"now": at(day, 6), **changes})
    lines = [IssueLine("N95", quantity)]
    return database.transact(
        engine, lambda session: ledger.issue(session, told, location=location, lines=lines, purpose=purpose)
    )


def reverse(engine, posted, day):
    movement = posted.movements[0].id
    return database.transact(
        engine,
        lambda session: ledger.reverse(session, entry(now=at(day, 8)), movement_id=movement, reason="wrong ward"),
    )


@pytest.fixture
def ward(city):
    """A hospital whose use is what it hands out."""
    add_place(city, WARD, source=ConsumptionSource.ISSUES)
    return city


def use(engine, last=31, first=22, **question):
    return series(history(engine, last=date(2026, 3, last), days=last - first + 1, **question), WARD)


def test_days_without_an_issue_are_zeros_from_the_first_movement_on(ward):
    receive(ward, 1000, 24)
    issue(ward, 40, 26)
    issue(ward, 30, 26)
    issue(ward, 5, 30)
    assert use(ward) == ["?", "?", "0+", 0, 70, 0, 0, 0, 5, 0]


def test_the_first_movement_of_any_item_begins_the_record(ward):
    receive(ward, 3, 23, item="VENT", lot="V", expires_on=None)
    receive(ward, 1000, 24)
    assert use(ward)[:4] == ["?", "0+", "0+", 0]


def test_what_came_before_the_look_back_counts_as_there(ward):
    receive(ward, 1000, 10)
    issue(ward, 5, 12)
    assert use(ward) == [0] * 10


def test_a_reversal_takes_the_use_off_its_own_day(ward):
    receive(ward, 1000, 20)
    issued = issue(ward, 40, 24)
    issue(ward, 7, 24)
    reverse(ward, issued, 28)
    assert use(ward) == [0, 0, 7, 0, 0, 0, 0, 0, 0, 0]
    assert use(ward, known_at=at(28, 7)) == [0, 0, 47, 0, 0, 0, 0, 0, 0, 0]
    assert use(ward, last=26) == [0, 0, 7, 0, 0]


def test_use_and_allocation_count_and_nothing_else_does(ward):
    receive(ward, 1000, 20)
    issue(ward, 1, 24)
    issue(ward, 2, 24, Purpose.ALLOCATION)
    issue(ward, 4, 24, Purpose.DONATION)
    loss = AdjustmentLine("N95", "A", -8, "damaged")
    database.transact(ward, lambda session: ledger.adjust(session, entry(now=at(24, 7)), location=WARD, lines=[loss]))
    reverse(ward, receive(ward, 16, 24, "B"), 24)
    receive(ward, 100, 24, "C", location="371400-W1")
    issue(ward, 32, 24, location="371400-W1")
    assert use(ward)[2] == 3


def test_an_issue_entered_later_is_use_of_the_day_it_was_for(ward):
    receive(ward, 1000, 20)
    issue(ward, 9, 30, occurred=date(2026, 3, 25))
    assert use(ward) == [0, 0, 0, 9, 0, 0, 0, 0, 0, 0]
    assert use(ward, known_at=at(30, 5)) == [0] * 10


def test_a_day_that_ends_or_begins_with_an_empty_shelf_is_a_lower_bound(ward):
    receive(ward, 100, 20)
    issue(ward, 60, 23)
    issue(ward, 40, 25)
    receive(ward, 10, 28)
    issue(ward, 3, 29)
    assert use(ward) == [0, 60, 0, "40+", "0+", "0+", "0+", 3, 0, 0]


def test_a_shelf_of_expired_goods_is_empty(ward):
    receive(ward, 100, 20, expires_on=date(2026, 3, 26))
    issue(ward, 5, 25)
    assert use(ward) == [0, 0, 0, 5, 0, "0+", "0+", "0+", "0+", "0+"]


def test_a_date_put_right_later_does_not_empty_the_shelf_as_it_was_known(ward):
    receive(ward, 10, 20)
    with database.reading(ward) as session:
        item = catalogue.item(session, "N95").id

    def misread(session):
        when = entry(now=at(29))
        day = date(2026, 3, 23)
        lots.redate(session, when, item_id=item, lot_number="A", manufactured_on=None, expires_on=day, reason="misread")

    then = use(ward, known_at=at(28))
    database.transact(ward, misread)
    assert use(ward, known_at=at(28)) == then == [0] * 10
    assert use(ward) == [0, 0, *["0+"] * 8]


def test_use_that_is_read_from_issues_is_not_reported_as_well(ward):
    with refused(ward, Conflict, "consumption_from_issues"):
        report(ward, (WARD, "N95", YESTERDAY, 5))


def test_an_issue_near_midnight_is_use_of_its_civil_day(ward):
    receive(ward, 100, 20)
    issue(ward, 1, 24, now=datetime(2026, 3, 24, 15, 59, 59, 999_999, tzinfo=UTC))
    issue(ward, 2, 24, now=datetime(2026, 3, 24, 16, 0, tzinfo=UTC))
    assert use(ward)[2:4] == [1, 2]


# -- stock that ran out -----------------------------------------------------------------------------------------------


def rows_told(engine):
    with engine.connect() as connection:
        marks = connection.execute(text("SELECT asked FROM shortday ORDER BY consumption_id")).scalars().all()
        told = connection.execute(text("SELECT after FROM journal WHERE verb = 'consumption.short' ORDER BY id"))
        return marks, [json.loads(after)["rows"] for after in told.scalars()]


def test_use_of_a_day_on_which_stock_ran_out_is_a_lower_bound(city):
    report(city, (H1, "N95", YESTERDAY, 40, True))
    assert series(history(city, days=1)) == ["40+"]
    assert rows_told(city) == ([None], [[[H1, "N95", "2026-03-31", 1, 40, None]]])


def test_what_was_asked_for_is_the_days_demand_where_it_is_known(city):
    taken = report(city, (H1, "N95", YESTERDAY, 40, True, 100), (H2, "N95", YESTERDAY, 5, False, 9))
    assert [(r.out_of_stock, r.asked) for r in taken] == [(True, 100), (True, 9)]
    assert series(history(city, days=1)) == [100]
    assert series(history(city, days=1), H2) == [9]
    assert rows_told(city)[0] == [100, 9]
    assert len(rows_told(city)[1]) == 1


def test_all_that_was_asked_for_was_there_is_no_mark(city):
    taken = report(city, (H1, "N95", YESTERDAY, 40, False, 40))
    assert (taken[0].out_of_stock, taken[0].asked) == (False, None)
    assert rows_told(city) == ([], [])


def test_the_last_shelf_of_stock_that_was_just_enough_is_no_bound(city):
    report(city, (H1, "N95", YESTERDAY, 40, True, 40))
    assert series(history(city, days=1)) == [40]


def test_a_correction_replaces_the_mark_too_and_what_was_known_can_be_asked(city):
    hours = [NOW + timedelta(hours=n) for n in range(5)]
    for now, told in zip(hours, [(40, True), (40, True, 60), (40,), (40, True), (40, True)], strict=True):
        report(city, (H1, "N95", YESTERDAY, *told), now=now)
    assert [r[1:] for r in revisions(city)] == [(1, 40), (2, 40), (3, 40), (4, 40)]
    assert [series(history(city, days=1, known_at=now))[0] for now in hours] == ["40+", 60, 40, "40+", "40+"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [(4, "asked_below_used"), (-1, "invalid_value"), (7.5, "invalid_value"), (10**15 + 1, "quantity_too_large")],
)
def test_what_was_asked_for_is_at_least_what_was_used(city, asked, code):
    with refused(city, Invalid, code) as caught:
        report(city, (H1, "N95", YESTERDAY, 5, True, asked))
    assert caught.value.faults[0].pointer == "/rows/0/asked"


def test_a_sheet_may_say_that_stock_ran_out(city):
    sheet = "日期,库点,物资,消耗量,缺货,需求量\n2026-03-30,371402-H1,N95,4,是,\n2026-03-31,371402-H1,N95,4,,9\n"
    with database.writing(city) as session:
        done = imports.import_sheet(session, entry(), "consumption", sheet.encode())
    assert done.recorded == 2
    assert series(history(city, days=2)) == ["4+", 9]


def test_a_sheet_that_asks_for_less_than_was_used_is_refused_at_its_cell(city):
    sheet = "date,location,item,quantity,asked\n2026-03-31,371402-H1,N95,4,3\n"
    with database.reading(city) as session, pytest.raises(SheetRefused) as caught:
        imports.import_sheet(session, entry(), "consumption", sheet.encode())
    assert [(cell.row, cell.column, cell.code) for cell in caught.value.cells] == [(2, "asked", "asked_below_used")]


# -- both readings ----------------------------------------------------------------------------------------------------


def days_of(engine, code, days=3, last=YESTERDAY):
    with database.reading(engine) as session:
        found = reporting.days_of_use(
            session,
            item_id=catalogue.item(session, "N95").id,
            place=catalogue.place(session, code),
            first=last - timedelta(days=days - 1),
            last=last,
            zone=SHANGHAI,
        )
    return [(day.used, day.asked, day.out_of_stock, day.revision) for day in found]


def test_used_and_asked_for_are_both_read(city):
    report(city, (H1, "N95", YESTERDAY, 4, True, 9), (H1, "N95", YESTERDAY - timedelta(days=1), 5, True))
    assert days_of(city, H1) == [(None, None, False, None), (5, None, True, 1), (4, 9, True, 1)]
    report(city, (H1, "N95", YESTERDAY, 4))
    assert days_of(city, H1, 1) == [(4, 4, False, 2)]


# -- asked for in writing ---------------------------------------------------------------------------------------------


def ask_for(engine, quantity, day, purpose=Purpose.USE, granted=None, state="issued"):
    """A requisition of WARD, decided at once: granted whole or in part and issued, refused, cancelled or left open."""
    line = [WantedLine("N95", quantity)]
    number = database.transact(
        engine,
        lambda session: requisitions.request(
            session, entry(now=at(day, 3)), location=WARD, purpose=purpose, recipient="内科", lines=line
        ),
    ).number
    boss = entry(now=at(day, 4), actor="Wang Fang")
    verbs = {
        "refused": lambda s: requisitions.refuse(s, boss, number=number, reason="none left"),
        "cancelled": lambda s: requisitions.cancel(s, boss, number=number, reason="typed twice"),
        "open": lambda _s: None,
    }
    some = None if granted is None else [WantedLine("N95", granted)]
    approve = partial(requisitions.approve, number=number, lines=some)
    database.transact(engine, verbs.get(state, lambda s: approve(s, boss)))
    if state == "issued":
        return database.transact(
            engine, lambda session: requisitions.issue(session, entry(now=at(day, 5)), number=number)
        )
    return number


def test_what_was_asked_for_and_not_granted_is_demand_of_the_day(ward):
    receive(ward, 1000, 20)
    ask_for(ward, 70, 23, granted=30)
    ask_for(ward, 9, 25, state="refused")
    assert use(ward) == [0, 70, 0, 9, 0, 0, 0, 0, 0, 0]
    assert days_of(ward, WARD, 4, date(2026, 3, 25)) == [
        (0, 0, False, None),
        (30, 70, False, None),
        (0, 0, False, None),
        (0, 9, False, None),
    ]


def test_what_is_promised_withdrawn_or_not_decided_is_no_unmet_demand(ward):
    receive(ward, 1000, 20)
    ask_for(ward, 70, 23, state="approved")
    ask_for(ward, 9, 24, state="cancelled")
    ask_for(ward, 8, 25, state="open")
    ask_for(ward, 7, 26, Purpose.DONATION, state="refused")
    ask_for(ward, 6, 27, granted=4, state="approved")
    assert use(ward) == [0, 0, 0, 0, 0, 2, 0, 0, 0, 0]


def test_an_issue_undone_puts_its_promise_back_and_leaves_the_need_unmet_as_it_was(ward):
    receive(ward, 1000, 20)
    issued = ask_for(ward, 70, 23, granted=30)
    reverse(ward, issued, 24)
    assert use(ward)[1] == 40


def test_a_refusal_counts_from_when_it_was_known(ward):
    receive(ward, 1000, 20)
    ask_for(ward, 9, 25, state="refused")
    assert use(ward, known_at=at(25, 3))[3] == 0
    assert use(ward, known_at=at(25, 4))[3] == 9


def cancel(engine, number, when):
    boss = entry(now=when, actor="Wang Fang")
    database.transact(engine, lambda s: requisitions.cancel(s, boss, number=number, reason="ward closed"))


def test_what_was_withdrawn_later_was_unmet_need_until_then(ward):
    receive(ward, 1000, 20)
    number = ask_for(ward, 70, 23, granted=30, state="approved")
    then = [use(ward, known_at=at(day)) for day in (23, 24, 30)]
    assert [row[1] for row in then] == [0, 40, 40]
    cancel(ward, number, at(30, 4))
    assert [use(ward, known_at=at(day)) for day in (23, 24, 30)] == then
    assert use(ward, known_at=at(30, 4))[1] == use(ward)[1] == 0


def test_what_was_partly_issued_before_it_was_withdrawn_is_told_as_it_was_known(ward):
    receive(ward, 1000, 20)
    number = ask_for(ward, 70, 23, granted=30, state="approved")
    line = [WantedLine("N95", 10)]
    handed_out = entry(now=at(25))
    database.transact(ward, lambda s: requisitions.issue(s, handed_out, number=number, lines=line))
    database.transact(ward, lambda s: requisitions.reallocate(s, entry(now=at(26)), number=number))
    moments = [at(23), at(24), at(25, 1), at(25, 3), at(27)]
    then = [use(ward, known_at=moment) for moment in moments]
    assert [(row[1], row[3]) for row in then] == [(0, 0), (40, 0), (40, 0), (40, 10), (40, 10)]
    cancel(ward, number, at(30, 4))
    assert [use(ward, known_at=moment) for moment in moments] == then
    assert use(ward)[1] == 0


def test_what_was_never_decided_is_no_need_whenever_it_was_withdrawn(ward):
    receive(ward, 1000, 20)
    number = ask_for(ward, 70, 23, state="open")
    cancel(ward, number, at(30, 4))
    assert use(ward, known_at=at(24))[1] == use(ward)[1] == 0


def test_a_request_on_a_day_with_an_empty_shelf_is_still_a_lower_bound(ward):
    receive(ward, 10, 20)
    issue(ward, 10, 22)
    ask_for(ward, 5, 25, state="refused")
    assert use(ward)[3] == "5+"
    assert days_of(ward, WARD, 2, date(2026, 3, 26)) == [(0, 5, True, None), (0, None, True, None)]


def test_a_quantity_that_cannot_be_does_not_break_the_history(ward):
    receive(ward, 10, 20)
    for _ in range(3):
        ask_for(ward, 10**15, 25, state="refused")
    assert use(ward)[3] == 10**15


def test_a_shelf_of_goods_on_hold_is_empty_until_they_are_free(ward):
    receive(ward, 100, 20)
    with database.reading(ward) as session:
        item_id = catalogue.item(session, "N95").id
    what = {"item_id": item_id, "lot_number": "A", "actor": "Wang"}
    database.transact(ward, lambda s: lots.place_hold(s, **what, now=at(24), reason="recall"))
    database.transact(ward, lambda s: lots.lift_hold(s, **what, now=at(27)))
    assert use(ward) == [0, 0, "0+", "0+", "0+", "0+", 0, 0, 0, 0]
    assert use(ward, known_at=at(25)) == [0, 0, *["0+"] * 8]
    assert use(ward, known_at=at(23)) == [0] * 10


# -- what silence and empty shelves do to the peak --------------------------------------------------------------------

DAYS = 21
MANY = {
    "max_examples": 25,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


class NotKeptError(Exception):
    """Ends a transaction of which nothing is kept."""


def peak_of(engine, rows):
    """The history of reports that nobody keeps, and the scope's peak by it."""
    read = []

    def work(session):
        reporting.report(session, entry(), [Report(*row) for row in rows])
        above = catalogue.place(session, "371400")
        found = consumption.history(
            session,
            item_id=catalogue.item(session, "N95").id,
            places=[p for p in catalogue.places(session) if above.holds(p)],
            last=YESTERDAY,
            days=DAYS,
            zone=SHANGHAI,
        )
        read.append(found)
        raise NotKeptError

    with pytest.raises(NotKeptError):
        database.transact(engine, work)
    found = read[-1]
    return found, scope_peak(
        found.values, found.reported, censored=found.censored, active=found.active, norm=found.declared, min_days=0
    )


def day_of(n):
    return YESTERDAY - timedelta(days=DAYS - 1 - n)


def told_by(code, units, silent=()):
    return [(code, "N95", day_of(n), u) for n, u in enumerate(units) if n not in silent]


week_of_use = st.lists(st.integers(0, 30), min_size=DAYS, max_size=DAYS)


@settings(**MANY)
@given(big=st.lists(st.integers(40, 90), min_size=DAYS, max_size=DAYS), small=week_of_use, data=st.data())
def test_a_missing_reporter_does_not_lower_the_peak(city, big, small, data):
    """A county silent on days of ordinary use, while enough of the city reports and its own peak is remembered."""
    _, before = peak_of(city, told_by(H1, big) + told_by(H2, small))
    ordinary = [n for n, units in enumerate(small) if units <= before.own[1].peak]
    silent = data.draw(st.sets(st.sampled_from(ordinary), max_size=6))
    found, after = peak_of(city, told_by(H1, big) + told_by(H2, small, silent))
    assert found.reported[1].sum() == DAYS - len(silent)
    own = [peak.peak for peak in after.own]
    assume(own == [peak.peak for peak in before.own] and 7 * sum(own) <= 10 * own[0])
    assert after.peak >= before.peak


@settings(**MANY)
@given(first=week_of_use, second=week_of_use, begin=st.integers(0, 6), asked=st.none() | st.integers(1, 90))
def test_a_day_on_which_stock_ran_out_does_not_lower_the_peak(city, first, second, begin, asked):
    """The same figures, once a week with the word that stock ran out, and what was asked for where it is known."""
    plain = told_by(H1, first) + told_by(H2, second)
    marked = [
        (*row, True, asked and row[3] + asked) if row[0] == H2 and (row[2] - day_of(0)).days % 7 == begin else row
        for row in plain
    ]
    _, before = peak_of(city, plain)
    found, after = peak_of(city, marked)
    assert (found.censored.any(), after.peak >= before.peak) == (not asked, True)
    assert after.own[1].peak >= before.own[1].peak
