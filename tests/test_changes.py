"""Known changes of demand: dated, reasoned, ending by themselves or taken back, and what they multiply."""

from datetime import date, timedelta

import numpy as np
import pytest
from conftest import NOW, TODAY, entry
from hypothesis import given
from hypothesis import strategies as st
from refusing import refused, scalar, sound, unchanged
from sqlalchemy import text

from reserve import catalogue, changes, database, seals
from reserve.catalogue import ItemRow, Place
from reserve.changes import ChangeRow, NewChange
from reserve.errors import Conflict, Invalid, Unknown, UnknownItem, UnknownLocation
from reserve.model import Category, LocationKind

LATER = NOW + timedelta(hours=3)
WEEK = TODAY + timedelta(days=6)
CITY, COUNTY, OTHER = "371400", "371402", "371425"


def new(factor=1500, scope=CITY, item="N95", first=TODAY, last=WEEK, reason="新院区开业", **terms):
    return NewChange(scope, first, last, factor, reason, item, **terms)


def make(engine, change, **told):
    return database.transact(engine, lambda session: changes.make(session, entry(**told), change))


def end(engine, change_id, **told):
    return database.transact(engine, lambda session: changes.end(session, entry(**told), change_id, "put off"))


def standing(engine, known_at=None):
    with database.reading(engine) as session:
        return [row.id for row in changes.standing(session, known_at=known_at)]


def due(engine):
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT DISTINCT location.code, item.code FROM coveragedue"
                " JOIN location ON location.id = location_id JOIN item ON item.id = item_id"
            )
        )
        return {tuple(row) for row in rows}


# -- stated and taken back --------------------------------------------------------------------------------------------


def test_a_change_keeps_its_author_and_reason_and_what_it_moves_is_assessed_again(city):
    found = make(city, new(scope=COUNTY), actor="Wang Fang")
    assert (found.scope, found.item, found.category, found.factor) == (COUNTY, "N95", None, 1.5)
    assert (found.first_day, found.last_day, found.reason, found.actor) == (TODAY, WEEK, "新院区开业", "Wang Fang")
    assert due(city) == {(COUNTY, "N95"), ("371402-H1", "N95")}
    assert standing(city) == [found.id]


def test_a_change_of_a_category_or_of_all_items_is_due_for_each(city):
    make(city, new(scope=COUNTY, item=None, category=Category.TREATMENT))
    assert due(city) == {(COUNTY, "VENT"), ("371402-H1", "VENT")}
    make(city, new(scope=COUNTY, item=None))
    assert due(city) == {(code, item) for code in (COUNTY, "371402-H1") for item in ("N95", "VENT")}


def test_a_change_taken_back_stands_no_more_but_stood_before(city):
    first, second = make(city, new()), make(city, new(2000), now=LATER)
    ended = end(city, first.id, now=LATER + timedelta(hours=1), actor="Wang Fang")
    assert (ended.ended_by, ended.ended_because) == ("Wang Fang", "put off")
    assert standing(city) == [second.id]
    assert standing(city, known_at=LATER) == [first.id, second.id]
    assert standing(city, known_at=NOW) == [first.id]
    assert standing(city, known_at=NOW - timedelta(microseconds=1)) == []
    with unchanged(city), pytest.raises(Conflict) as caught:
        end(city, first.id)
    assert caught.value.code == "demand_change_ended"


def test_a_row_that_takes_back_is_no_change_of_its_own(city):
    first = make(city, new())
    end(city, first.id, now=LATER)
    with database.reading(city) as session:
        assert [row.id for row in changes.changes(session, catalogue.place(session, CITY))] == [first.id]
    ending = scalar(city, "SELECT id FROM demandchange WHERE ends_id = :first", first=first.id)
    for unknown in (ending, 999):
        with unchanged(city), pytest.raises(Unknown) as caught:
            end(city, unknown)
        assert caught.value.code == "unknown_demand_change"


@pytest.mark.parametrize(
    ("terms", "kind", "code", "pointer"),
    [
        ({"last": TODAY - timedelta(days=1)}, Invalid, "demand_change_days", "/last_day"),
        (
            {"first": TODAY - timedelta(days=9), "last": TODAY - timedelta(days=1)},
            Invalid,
            "demand_change_days",
            "/last_day",
        ),
        ({"last": TODAY + timedelta(days=366)}, Invalid, "demand_change_days", "/last_day"),
        ({"factor": -1}, Invalid, "invalid_value", "/factor"),
        ({"factor": 100_001}, Invalid, "invalid_value", "/factor"),
        ({"category": Category.TREATMENT}, Invalid, "demand_change_subject", "/category"),
        ({"item": "N96"}, UnknownItem, "unknown_item", "/item"),
        ({"scope": "371499"}, UnknownLocation, "unknown_location", "/scope"),
        ({"scope": "CONSUMER"}, UnknownLocation, "unknown_location", "/scope"),
    ],
)
def test_what_cannot_be_is_refused(city, terms, kind, code, pointer):
    with unchanged(city), pytest.raises(kind) as caught:
        make(city, new(**terms))
    assert (caught.value.code, caught.value.faults[0].pointer) == (code, pointer)


def test_the_longest_change_and_the_largest_factor_are_taken(city):
    make(city, new(100_000, last=TODAY + timedelta(days=365)))
    make(city, new(0, first=TODAY, last=TODAY))


def test_both_words_are_in_the_journal_and_under_the_seal(city):
    found = make(city, new())
    end(city, found.id, now=LATER)
    with city.connect() as connection:
        rows = connection.execute(text("SELECT verb, subject FROM journal ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("demand_change.made", f"demand change {found.id}"),
        ("demand_change.ended", f"demand change {found.id}"),
    ]
    database.transact(city, lambda session: seals.seal(session, LATER, key=None))
    sound(city)


# -- what they multiply -----------------------------------------------------------------------------------------------

MASK = ItemRow(7, "N95", "口罩", "Mask", Category.PROTECTIVE, "只", None, None)


def place(number, path, kind=LocationKind.REGION):
    return Place(number, f"P{number}", "", "", kind, None, path, None, None, None)


PLACES = {1: place(1, "/1/"), 2: place(2, "/1/2/"), 3: place(3, "/1/3/"), 4: place(4, "/1/2/4/")}
FIRST = date(2026, 4, 1)


def change(scope=1, begin=0, last=3, factor=2000, item=None, category=None):
    days = [FIRST + timedelta(days=n) for n in (begin, last)]
    told = (*days, factor, "campaign", NOW, "Li", None, None, None)
    return ChangeRow(1, scope, f"P{scope}", item, None, category, *told)


def factors(*stated, scope=1, days=5):
    return changes.factors(stated, MASK, PLACES[scope], PLACES, FIRST, days).tolist()


def test_a_change_multiplies_its_days_both_ends_counted_in():
    assert factors(change(begin=1, last=3)) == [1, 2, 2, 2, 1]
    assert factors(change(begin=-9, last=0)) == [2, 1, 1, 1, 1]
    assert factors(change(begin=4, last=90)) == [1, 1, 1, 1, 2]
    assert factors(change(begin=-9, last=-1)) == factors(change(begin=5, last=9)) == factors() == [1] * 5


def test_changes_that_meet_multiply_each_other():
    assert factors(change(last=2), change(begin=1, last=4, factor=500)) == [2, 1, 1, 0.5, 0.5]


def test_a_closed_day_has_no_demand_whatever_else_is_stated():
    assert factors(*[change(factor=100_000)] * 400, change(begin=1, last=1, factor=0)) == [100, 0, 100, 100, 1]


def test_a_change_weighs_on_its_scope_and_below_it_and_nowhere_else():
    def weighs(on):
        return [scope for scope in PLACES if factors(change(scope=on), scope=scope) != [1] * 5]

    assert weighs(1) == [1, 2, 3, 4]
    assert weighs(2) == [2, 4]
    assert weighs(4) == [4]


def test_a_change_speaks_of_an_item_of_a_category_or_of_all():
    stated = [
        change(item=7),
        change(item=8),
        change(category=Category.PROTECTIVE),
        change(category=Category.TESTING),
        change(),
    ]
    assert [c.speaks_of(MASK) for c in stated] == [True, False, True, False, True]
    assert changes.applying(stated, MASK, PLACES[1], PLACES, FIRST, 5) == [stated[0], stated[2], stated[4]]


CHANGES = st.builds(
    change,
    scope=st.sampled_from([1, 2, 3, 4]),
    begin=st.integers(-5, 9),
    last=st.integers(9, 20),
    factor=st.integers(0, 100_000),
    item=st.sampled_from([None, 7, 8]),
)


@given(stated=st.lists(CHANGES, max_size=6), scope=st.sampled_from([1, 2, 3, 4]), data=st.data())
def test_the_order_in_which_changes_were_stated_is_of_no_weight(stated, scope, data):
    found = factors(*stated, scope=scope, days=15)
    assert found == pytest.approx(factors(*data.draw(st.permutations(stated)), scope=scope, days=15))
    for day, factor in enumerate(found):
        on = FIRST + timedelta(days=day)
        speaking = [c for c in stated if c.item_id in {None, 7} and PLACES[c.scope_id].holds(PLACES[scope])]
        product = np.prod([c.factor for c in speaking if c.first_day <= on <= c.last_day])
        assert factor == pytest.approx(min(100, product))


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_a_manager_states_a_campaign_and_takes_it_back(served):
    manager, viewer = served.client("manager", COUNTY), served.client("viewer", COUNTY)
    body = {
        "scope": COUNTY,
        "item": "N95",
        "first_day": "2026-04-03",
        "last_day": "2026-04-12",
        "factor": 1.25,
        "reason": "接种周",
    }
    made = manager.post("/v1/demand-changes", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["factor"], made.json()["actor"][:10]) == (1.25, "manager Li")
    assert made.json()["weighs_on"].startswith("371402 and what lies below it.")
    chinese = served.client("manager", COUNTY, language="zh").post("/v1/demand-changes", json=body)
    assert chinese.json()["weighs_on"].startswith("371402 及其下级")
    number = made.json()["id"]
    for bad in (1.2345, -1, 100.5, "2", True, None):
        refused(
            served.engine,
            lambda bad=bad: manager.post("/v1/demand-changes", json={**body, "factor": bad}),
            422,
            "invalid_value",
        )
    far = {**body, "last_day": "2027-04-30"}
    refused(served.engine, lambda: manager.post("/v1/demand-changes", json=far), 422, "demand_change_days")
    both = {**body, "category": "protective"}
    refused(served.engine, lambda: manager.post("/v1/demand-changes", json=both), 422, "demand_change_subject")
    refused(served.engine, lambda: viewer.post("/v1/demand-changes", json=body), 403, "forbidden")
    above = {**body, "scope": CITY}
    refused(served.engine, lambda: manager.post("/v1/demand-changes", json=above), 403, "forbidden")
    ending = f"/v1/demand-changes/{number}/ending"
    other = served.client("manager", OTHER)
    for path in (ending, "/v1/demand-changes/999/ending"):
        refused(served.engine, lambda path=path: other.post(path, json={"reason": "no"}), 403, "forbidden")
    assert manager.post(ending, json={"reason": "put off"}).json()["ended_because"] == "put off"
    refused(served.engine, lambda: manager.post(ending, json={"reason": "again"}), 409, "demand_change_ended")
    top = served.client("manager")
    refused(
        served.engine,
        lambda: top.post("/v1/demand-changes/999/ending", json={"reason": "no"}),
        404,
        "unknown_demand_change",
    )
    assert [row["ended_by"] is None for row in viewer.get("/v1/demand-changes").json()["items"]] == [True, False]
    first = viewer.get("/v1/demand-changes?limit=1").json()
    second = viewer.get(f"/v1/demand-changes?limit=1&cursor={first['next_cursor']}").json()
    assert [row["id"] for row in first["items"] + second["items"]] == [chinese.json()["id"], number]


def test_a_county_sees_the_changes_of_the_city_and_not_those_of_its_neighbour(served):
    for scope in (CITY, COUNTY, OTHER):
        make(served.engine, new(scope=scope))
    found = served.client("viewer", COUNTY).get("/v1/demand-changes").json()["items"]
    assert [row["scope"] for row in found] == [COUNTY, CITY]
