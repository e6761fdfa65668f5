"""A manager's word on use: a day left out and put back, a norm declared and taken back."""

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusing import at_once, refused, scalar, sound, unchanged
from sqlalchemy import text

from reserve import catalogue, consumption, database, ledger, reporting, seals, use
from reserve.catalogue import NewLocation
from reserve.errors import Conflict, Invalid, UnknownItem, UnknownLocation
from reserve.ledger import ReceiptLine
from reserve.model import ConsumptionSource, LocationKind
from reserve.reporting import Report
from reserve.use import Norm

H1, H2 = "371402-H1", "371425-H1"
YESTERDAY = TODAY - timedelta(days=1)
LATER = NOW + timedelta(hours=3)


def told(engine, *days, code=H1, item="N95", **changes):
    """Daily use up to yesterday, None where nothing was sent."""
    rows = [
        Report(code, item, TODAY - timedelta(days=len(days) - n), units)
        for n, units in enumerate(days)
        if units is not None
    ]
    database.transact(engine, lambda session: reporting.report(session, entry(**changes), rows))


def exclude(engine, day=YESTERDAY, *, excluded=True, code=H1, item="N95", reason="typing error", **changes):
    return database.transact(
        engine,
        lambda session: use.exclude(
            session, entry(**changes), location=code, item=item, day=day, reason=reason, excluded=excluded
        ),
    )


def declare(engine, norm, code=H1, effective_from=TODAY, item="N95", **changes):
    return database.transact(
        engine,
        lambda session: use.declare(
            session,
            entry(**changes),
            location=code,
            item=item,
            norm=norm,
            effective_from=effective_from,
            source_text="鲁卫应急 2025 第 4 条",
        ),
    )


def history(engine, days=5, known_at=None, last=YESTERDAY, scope="371400"):
    with database.reading(engine) as session:
        return read(session, days, known_at, last, scope)


def read(session, days=5, known_at=None, last=YESTERDAY, scope="371400"):
    above = catalogue.place(session, scope)
    return consumption.history(
        session,
        item_id=catalogue.item(session, "N95").id,
        places=[p for p in catalogue.places(session) if above.holds(p)],
        last=last,
        days=days,
        zone=SHANGHAI,
        known_at=known_at,
    )


def row_of(found, code=H1):
    return [place.code for place in found.places].index(code)


def series(found, code=H1):
    row = row_of(found, code)
    return [int(v) if r else "?" for v, r in zip(found.values[row], found.reported[row], strict=True)]


def waiting(engine):
    return scalar(engine, "SELECT count(*) FROM coveragedue")


# -- days left out ----------------------------------------------------------------------------------------------------


def test_a_day_left_out_is_unknown_from_then_on_and_listed_with_its_reason(city):
    told(city, 5, 900, 7)
    day = TODAY - timedelta(days=2)
    before = waiting(city)
    row = exclude(city, day, now=LATER, actor="Wang Fang")
    assert (row.location, row.item, row.date, row.excluded, row.actor) == (H1, "N95", day, True, "Wang Fang")
    assert waiting(city) == before + 1
    found = history(city, 3)
    assert series(found) == [5, "?", 7]
    assert [tuple(left) for left in found.excluded] == [(row_of(found), 1, 900, "typing error", "Wang Fang")]
    then = history(city, 3, known_at=LATER - timedelta(microseconds=1))
    assert (series(then), then.excluded) == ([5, 900, 7], ())
    assert series(history(city, 3, known_at=LATER)) == [5, "?", 7]


def test_a_day_put_back_counts_as_before(city):
    told(city, 5, 900, 7)
    plain = history(city)
    exclude(city)
    exclude(city, excluded=False, reason="it was real", now=LATER)
    again = history(city)
    assert again.excluded == ()
    assert all(np.array_equal(getattr(again, name), getattr(plain, name)) for name in ("values", "reported"))
    with database.reading(city) as session:
        words = use.exclusions(session, catalogue.place(session, "371400"))
    assert [(word.excluded, word.reason) for word in words] == [(False, "it was real")]


def test_a_correction_does_not_put_a_day_back(city):
    told(city, 900)
    exclude(city)
    told(city, 9, now=LATER)
    found = history(city)
    assert series(found)[-1] == "?"
    assert found.excluded[0].quantity == 9


def test_a_day_on_which_stock_ran_out_may_be_left_out(city):
    row = Report(H1, "N95", YESTERDAY, 4, out_of_stock=True)
    database.transact(city, lambda session: reporting.report(session, entry(), [row]))
    exclude(city)
    found = history(city)
    assert not found.censored.any()
    assert series(found)[-1] == "?"


def test_the_days_left_out_of_a_county_are_those_below_it(city):
    told(city, 5, code=H1)
    told(city, 6, code=H2)
    exclude(city, code=H1)
    exclude(city, code=H2)
    with database.reading(city) as session:
        county = catalogue.place(session, "371425")
        below = read(session).below(county)
        asked = use.exclusions(session, county)
    assert [(left.row, left.quantity) for left in below.excluded] == [(0, 6)]
    assert [place.code for place in below.places] == [H2]
    assert [row.location for row in asked] == [H2]


def test_a_day_read_from_issues_may_be_left_out(city):
    ward = NewLocation("371402-H9", "病房", "Ward", LocationKind.HOSPITAL, "371402", ConsumptionSource.ISSUES)
    database.transact(city, lambda session: catalogue.add_location(session, ward))
    line = ReceiptLine("A", date(2027, 1, 1), item="N95", quantity=10)
    early = entry(now=NOW - timedelta(days=4))
    database.transact(city, lambda s: ledger.receive(s, early, location="371402-H9", lines=[line]))
    exclude(city, code="371402-H9")
    assert series(history(city), "371402-H9") == ["?", 0, 0, 0, "?"]
    with pytest.raises(Conflict, match="Nothing is known"):
        exclude(city, TODAY - timedelta(days=30), code="371402-H9")


@pytest.mark.parametrize(
    ("question", "kind", "code"),
    [
        ({"day": TODAY - timedelta(days=9)}, Conflict, "nothing_reported"),
        ({"day": TODAY + timedelta(days=9)}, Conflict, "nothing_reported"),
        ({"item": "VENT"}, Conflict, "nothing_reported"),
        ({"code": "371400-W1"}, Conflict, "nothing_reported"),
        ({"excluded": False}, Conflict, "exclusion_stands"),
        ({"excluded": False, "day": TODAY - timedelta(days=9)}, Conflict, "nothing_reported"),
        ({"item": "N96"}, UnknownItem, "unknown_item"),
        ({"code": "371499-H1"}, UnknownLocation, "unknown_location"),
    ],
)
def test_what_cannot_be_left_out_is_refused(city, question, kind, code):
    told(city, 5)
    with unchanged(city), pytest.raises(kind) as caught:
        exclude(city, **question)
    assert caught.value.code == code
    assert caught.value.detail.endswith(".")


def test_a_day_is_left_out_once(city):
    told(city, 5)
    exclude(city)
    with unchanged(city), pytest.raises(Conflict) as caught:
        exclude(city)
    assert caught.value.code == "exclusion_stands"


class NotKeptError(Exception):
    """Ends a transaction of which nothing is kept."""


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.none() | st.integers(0, 50), min_size=2, max_size=20).filter(any),
    marks=st.sets(st.integers(0, 19)),
    data=st.data(),
)
def test_excluding_a_day_and_putting_it_back_changes_nothing(city, days, marks, data):
    rows = [
        Report(H1, "N95", TODAY - timedelta(days=len(days) - n), units, n in marks)
        for n, units in enumerate(days)
        if units is not None
    ]
    day = data.draw(st.sampled_from([row.day for row in rows]))
    seen = []

    def work(session):
        reporting.report(session, entry(), rows)
        seen.append(read(session, 20))
        for excluded in (True, False):
            use.exclude(session, entry(), location=H1, item="N95", day=day, reason="tried", excluded=excluded)
            seen.append(read(session, 20))
        raise NotKeptError

    with pytest.raises(NotKeptError):
        database.transact(city, work)
    before, without, after = seen[-3:]
    assert before.reported.sum() - without.reported.sum() == 1
    assert [without.day(left.index) for left in without.excluded] == [day]
    for name in ("values", "reported", "censored", "active"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert (before.declared, before.excluded) == (after.declared, after.excluded)


# -- norms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "per_1000", "formula"),
    [
        (Norm(units_per_day=Fraction("12.5")), 12_500, "12.5"),
        (Norm(units_per_day=Fraction(0)), 0, "0"),
        (Norm(persons=120, shifts=Fraction(2), units_per_shift=Fraction("1.5")), 360_000, "120 x 2 x 1.5 = 360"),
        (Norm(beds=40, units_per_bed_day=Fraction("8.615")), 344_600, "40 x 8.615 = 344.6"),
        (Norm(persons=1, shifts=Fraction("0.001"), units_per_shift=Fraction("0.001")), 1, "1 x 0.001 x 0.001 = 0.001"),
    ],
)
def test_a_norm_is_worked_out_and_rounded_up(norm, per_1000, formula):
    assert tuple(use.total(norm)) == (per_1000, formula)


@pytest.mark.parametrize(
    ("norm", "code"),
    [
        (Norm(), "norm_terms"),
        (Norm(persons=3), "norm_terms"),
        (Norm(persons=3, shifts=Fraction(1)), "norm_terms"),
        (Norm(beds=3, units_per_shift=Fraction(1)), "norm_terms"),
        (Norm(units_per_day=Fraction(1), beds=3, units_per_bed_day=Fraction(1)), "norm_terms"),
        (Norm(beds=10**15, units_per_bed_day=Fraction(2)), "quantity_too_large"),
    ],
)
def test_a_norm_is_stated_in_one_of_three_ways(norm, code):
    with pytest.raises(Invalid) as caught:
        use.total(norm)
    assert caught.value.code == code


def test_a_declared_norm_is_in_the_history_from_its_day_on(city):
    declare(city, Norm(units_per_day=Fraction(40)))
    declare(city, Norm(units_per_day=Fraction(60)), effective_from=TODAY + timedelta(days=2), now=LATER)
    told(city, 5)

    def norms(**question):
        found = history(city, **question)
        return found.declared[row_of(found)]

    assert norms() == 40
    assert norms(last=YESTERDAY - timedelta(days=1)) is None
    assert norms(last=TODAY) == 40
    assert norms(last=TODAY + timedelta(days=1)) == 60
    assert norms(known_at=NOW - timedelta(microseconds=1)) is None
    assert norms(last=TODAY + timedelta(days=1), known_at=NOW) == 40


def test_a_declaration_of_the_same_day_replaces_the_one_before(city):
    declare(city, Norm(units_per_day=Fraction(40)))
    second = declare(city, Norm(units_per_day=Fraction("40.5")), now=LATER)
    assert second.in_force
    assert history(city).declared == (Fraction(81, 2), None)
    with database.reading(city) as session:
        rows = use.declarations(session, catalogue.place(session, "371400"), TODAY)
    assert [(row.per_day_per_1000, row.in_force) for row in rows] == [(40_500, True), (40_000, False)]


def test_zero_takes_a_declaration_back(city):
    declare(city, Norm(units_per_day=Fraction(40)))
    row = declare(city, Norm(units_per_day=Fraction(0)), now=LATER)
    assert not row.in_force
    assert history(city).declared == (None, None)
    with unchanged(city), pytest.raises(Conflict) as caught:
        declare(city, Norm(units_per_day=Fraction(0)), now=LATER)
    assert caught.value.code == "no_declared_use"


def test_a_station_with_a_norm_is_a_row_though_it_never_reported(city):
    station = NewLocation("371425-S1", "站", "Station", LocationKind.STATION, "371425")
    database.transact(city, lambda session: catalogue.add_location(session, station))
    declare(city, Norm(units_per_day=Fraction(7)), code="371425-S1")
    found = history(city)
    assert [place.code for place in found.places] == [H1, H2, "371425-S1"]
    assert found.declared == (None, None, 7)
    with database.reading(city) as session:
        assert found.below(catalogue.place(session, H2)).declared == (None,)


@pytest.mark.parametrize(
    ("code", "kind"), [("371400-W1", "a warehouse"), ("371425", "a region"), ("371400", "a region")]
)
def test_a_norm_makes_no_user_of_a_place_that_is_none(city, code, kind):
    """What a warehouse hands out is used elsewhere; a region's use is that of its places."""
    with unchanged(city), pytest.raises(Conflict) as caught:
        declare(city, Norm(units_per_day=Fraction(7)), code=code)
    assert caught.value.code == "consumption_not_counted"
    assert f"{code} is {kind}" in caught.value.detail
    assert [place.code for place in history(city).places] == [H1, H2]


def test_a_region_that_reports_may_have_a_norm_and_a_warehouse_does_not_by_reporting(city):
    told(city, 5, code="371425")
    told(city, 5, code="371400-W1")
    declare(city, Norm(units_per_day=Fraction(7)), code="371425")
    assert 7 in history(city).declared
    with unchanged(city), pytest.raises(Conflict):
        declare(city, Norm(units_per_day=Fraction(7)), code="371400-W1")


@pytest.mark.parametrize("kind", [LocationKind.WAREHOUSE, LocationKind.REGION])
@pytest.mark.parametrize("source", [ConsumptionSource.REPORTS, ConsumptionSource.ISSUES])
def test_a_place_that_a_manager_set_to_use_goods_may_have_a_norm(city, kind, source):
    place = NewLocation("371425-X1", "点", "Place", kind, "371425", source)
    database.transact(city, lambda session: catalogue.add_location(session, place))
    declare(city, Norm(units_per_day=Fraction(7)), code="371425-X1")
    assert history(city).declared[row_of(history(city), "371425-X1")] == 7


def test_a_norm_of_before_can_be_taken_back_wherever_it_stands(city):
    place = NewLocation("371425-X1", "库", "Store", LocationKind.WAREHOUSE, "371425", ConsumptionSource.REPORTS)
    database.transact(city, lambda session: catalogue.add_location(session, place))
    declare(city, Norm(units_per_day=Fraction(7)), code="371425-X1")
    with city.begin() as connection:
        connection.execute(text("UPDATE location SET consumption_source = NULL WHERE code = '371425-X1'"))
    declare(city, Norm(units_per_day=Fraction(0)), code="371425-X1", now=LATER)
    assert [place.code for place in history(city).places] == [H1, H2]


def test_a_place_that_uses_nothing_has_no_norm(city):
    idle = NewLocation("371402-H9", "旧院", "Old", LocationKind.HOSPITAL, "371402", ConsumptionSource.NONE)
    database.transact(city, lambda session: catalogue.add_location(session, idle))
    with unchanged(city), pytest.raises(Conflict) as caught:
        declare(city, Norm(units_per_day=Fraction(7)), code="371402-H9")
    assert caught.value.code == "consumption_not_counted"


# -- what is said is sealed -------------------------------------------------------------------------------------------


def test_every_word_on_use_is_in_the_journal_and_under_the_seal(city):
    told(city, 5)
    exclude(city)
    declare(city, Norm(units_per_day=Fraction(40)))
    with city.connect() as connection:
        verbs = connection.execute(text("SELECT verb, subject FROM journal ORDER BY id")).all()
    assert [tuple(row) for row in verbs] == [("use.excluded", f"{H1} N95"), ("use.declared", f"{H1} N95")]
    database.transact(city, lambda session: seals.seal(session, LATER, key=None))
    sound(city)


# -- over HTTP --------------------------------------------------------------------------------------------------------


def post(client, path, **body):
    return client.post(f"/v1/{path}", json=body)


def test_a_hospital_tells_a_stock_out_and_a_manager_leaves_a_day_out(served):
    reporter, manager = served.client("reporter", H1), served.client("manager", "371402")
    rows = [
        {"location": H1, "item": "N95", "date": "2026-03-30", "quantity": 900},
        {"location": H1, "item": "N95", "date": "2026-03-31", "quantity": 4, "asked": 9, "out_of_stock": True},
    ]
    answer = post(reporter, "consumption", rows=rows)
    assert answer.status_code == 201, answer.text
    assert [(row["asked"], row["out_of_stock"]) for row in answer.json()["rows"]] == [(None, False), (9, True)]
    day = {"location": H1, "item": "N95", "date": "2026-03-30", "reason": "a zero too many", "excluded": True}
    made = post(manager, "consumption/exclusions", **day)
    assert made.status_code == 201, made.text
    days = reporter.get(f"/v1/consumption?location={H1}&item=N95&since=2026-03-29").json()["items"]
    assert [row["date"] for row in days] == ["2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]
    assert [row["used"] for row in days] == [None, 900, 4, None]
    assert [row["asked"] for row in days] == [None, 900, 9, None]
    assert [row["excluded"] for row in days] == [None, "a zero too many", None, None]
    listed = reporter.get("/v1/consumption/exclusions?item=N95").json()["items"]
    assert [row["reason"] for row in listed] == ["a zero too many"]
    refused(served.engine, lambda: post(manager, "consumption/exclusions", **day), 409, "exclusion_stands")
    refused(served.engine, lambda: post(reporter, "consumption/exclusions", **day), 403, "forbidden")
    elsewhere = served.client("manager", "371425")
    refused(served.engine, lambda: post(elsewhere, "consumption/exclusions", **day), 403, "forbidden")
    assert elsewhere.get("/v1/consumption/exclusions").json()["items"] == []
    assert elsewhere.get(f"/v1/consumption?location={H1}&item=N95").status_code == 403


def test_lists_go_on_where_the_last_page_ended(served):
    manager = served.client("manager")
    told(served.engine, 1, 2, 3)
    for n in (1, 2, 3):
        exclude(served.engine, TODAY - timedelta(days=n))
        declare(served.engine, Norm(units_per_day=Fraction(n)), effective_from=TODAY + timedelta(days=n))
    for path in ("consumption/exclusions", "declared-use"):
        first = manager.get(f"/v1/{path}?limit=2").json()
        rest = manager.get(f"/v1/{path}?limit=2&cursor={first['next_cursor']}").json()
        assert [len(first["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]
        assert len({row["id"] for row in first["items"] + rest["items"]}) == 3


def test_a_norm_is_declared_with_its_arithmetic(served):
    manager = served.client("manager", "371402")
    body = {"location": H1, "item": "N95", "effective_from": "2026-04-01", "source_text": "定额表"}
    made = post(manager, "declared-use", **body, persons=120, shifts=2, units_per_shift=1.5)
    assert made.status_code == 201, made.text
    assert (made.json()["formula"], made.json()["units_per_day"], made.json()["in_force"]) == (
        "120 x 2 x 1.5 = 360",
        360.0,
        True,
    )
    listed = served.client("viewer", "371402").get(f"/v1/declared-use?location={H1}&item=N95").json()["items"]
    assert [row["units_per_day"] for row in listed] == [360.0]
    for bad, code in (
        ({"units_per_day": 1.0001}, "invalid_value"),
        ({"units_per_day": -1}, "invalid_value"),
        ({"units_per_day": "4"}, "invalid_value"),
        ({"units_per_day": True}, "invalid_value"),
        ({"units_per_day": 4, "beds": 3}, "norm_terms"),
        ({}, "norm_terms"),
    ):
        refused(served.engine, lambda bad=bad: post(manager, "declared-use", **body, **bad), 422, code)
    clerk = served.client("clerk", H1)
    refused(served.engine, lambda: post(clerk, "declared-use", **body, units_per_day=1), 403, "forbidden")


def test_days_are_asked_for_within_reason(served):
    viewer = served.client("viewer")
    base = f"/v1/consumption?location={H1}&item=N95"
    assert len(viewer.get(base).json()["items"]) == 35
    for more, code in (
        ("&since=2026-03-05&until=2026-03-01", "too_few_days"),
        ("&since=1991-01-01", "too_many_days"),
        ("&until=2026-04-02", "as_of_in_future"),
    ):
        answer = viewer.get(base + more)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert viewer.get(f"/v1/consumption?location={H1}&item=N96").json()["code"] == "unknown_item"


def test_two_managers_do_not_leave_out_the_same_day_twice(served):
    told(served.engine, 5)
    managers = [served.client("manager"), served.client("manager")]
    day = {"location": H1, "item": "N95", "date": "2026-03-31", "reason": "typing error", "excluded": True}
    answers = at_once([lambda m=m: post(m, "consumption/exclusions", **day) for m in managers])
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert scalar(served.engine, "SELECT count(*) FROM excludedday") == 1
