"""What must be held: effective-dated rules that are never edited, each judged on its own day."""

import threading
from contextlib import contextmanager
from datetime import date, timedelta
from fractions import Fraction

import pytest
from conftest import NOW, TODAY, entry
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reserve import catalogue, database, policy
from reserve.errors import AlreadyThere, Invalid, UnknownItem, UnknownLocation
from reserve.model import Category, PolicyKind
from reserve.policy import NewPolicy


def rule(**changes):
    terms = {
        "code": "N95-30D",
        "scope": "371400",
        "kind": PolicyKind.DAYS,
        "effective_from": date(2026, 1, 1),
        "source_text": "不少于1个月用量",
        "item": "N95",
        "required_days": 30,
    }
    return NewPolicy(**{**terms, **changes})


def add(engine, new, **changes):
    return database.transact(engine, lambda session: policy.add(session, entry(**changes), new))


def in_force(engine, day, known_at=None):
    with database.reading(engine) as session:
        return policy.in_force(session, day, known_at)


def waiting(engine):
    """The queue of the worker, emptied."""
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT location.code, item.code FROM coveragedue JOIN location ON location.id = location_id"
                " JOIN item ON item.id = item_id"
            )
        )
        found = sorted(tuple(row) for row in rows)
        connection.execute(text("DELETE FROM coveragedue"))
    return found


@contextmanager
def refused(engine, kind, code=None):
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == (code or kind.code)
    assert caught.value.detail.endswith(".")
    with database.reading(engine) as session:
        assert policy.versions(session) == []
    assert waiting(engine) == []


# -- from its day on --------------------------------------------------------------------------------------------------


def test_a_policy_rules_from_its_day_on(city):
    made = add(city, rule(effective_from=date(2026, 2, 1), source_title="国务院办公厅"))
    assert in_force(city, date(2026, 1, 31)) == []
    assert in_force(city, date(2026, 2, 1)) == [made]
    assert (made.source_text, made.source_title, made.actor, made.recorded_at) == (
        "不少于1个月用量",
        "国务院办公厅",
        "Li Wei",
        NOW,
    )


def test_a_new_version_never_rewrites_the_days_before_it(city):
    old = add(city, rule())
    new = add(city, rule(effective_from=date(2026, 5, 1), required_days=45))
    assert in_force(city, date(2026, 4, 30)) == [old]
    assert in_force(city, date(2026, 5, 1)) == [new]
    with database.reading(city) as session:
        assert policy.versions(session) == [old, new]


def test_a_policy_ends_after_its_last_day(city):
    made = add(city, rule(effective_until=date(2026, 3, 31)))
    assert in_force(city, date(2026, 3, 31)) == [made]
    assert in_force(city, date(2026, 4, 1)) == []


def test_a_version_that_has_ended_does_not_bring_the_one_before_it_back(city):
    add(city, rule())
    long_ago = NOW - timedelta(days=90)
    add(city, rule(effective_from=date(2026, 2, 1), effective_until=date(2026, 2, 28)), now=long_ago)
    assert in_force(city, date(2026, 3, 1)) == []


def test_p06_a_new_version_never_rewrites_the_days_before_it_was_made(city):
    add(city, rule())
    with pytest.raises(Invalid) as refused:
        add(city, rule(effective_from=TODAY - timedelta(days=1), required_days=10))
    assert refused.value.code == "policy_in_the_past"
    assert len(in_force(city, TODAY)) == 1


def test_what_we_knew_then_can_be_asked_again(city):
    old = add(city, rule())
    later = TODAY + timedelta(days=5)
    new = add(city, rule(effective_from=later, required_days=45), now=NOW + timedelta(days=3))
    assert in_force(city, later) == [new]
    assert in_force(city, later, known_at=NOW) == [old]
    assert in_force(city, TODAY, known_at=NOW - timedelta(seconds=1)) == []


# -- what it speaks of ------------------------------------------------------------------------------------------------


def applying(engine, scope, item="N95"):
    with database.reading(engine) as session:
        places = {p.id: p for p in catalogue.places(session)}
        place = next(p for p in places.values() if p.code == scope)
        found = policy.applying(policy.in_force(session, TODAY), catalogue.item(session, item), place, places)
    return [p.code for p in found]


def test_a_rule_of_the_city_is_a_measure_for_everything_below_and_nothing_beside(city):
    add(city, rule(code="CITY"))
    add(city, rule(code="QIHE", scope="371425"))
    add(city, rule(code="ALL", item=None, category=Category.PROTECTIVE))
    assert applying(city, "371400") == ["ALL", "CITY"]
    assert applying(city, "371425-H1") == ["ALL", "CITY", "QIHE"]
    assert applying(city, "371402-H1") == ["ALL", "CITY"]
    assert applying(city, "371425", item="VENT") == []


def test_a_quantity_of_the_city_is_not_asked_of_each_county(city):
    fixed = rule(code="FIXED", kind=PolicyKind.QUANTITY, required_days=None, quantity=3000)
    people = rule(code="PEOPLE", kind=PolicyKind.PERSONS, persons=100, norm=Fraction(1))
    add(city, fixed)
    add(city, people)
    assert applying(city, "371400") == ["FIXED", "PEOPLE"]
    assert applying(city, "371425") == []


def test_everything_a_policy_speaks_of_is_assessed_again(city):
    add(city, rule(scope="371425"))
    assert waiting(city) == [("371425", "N95"), ("371425-H1", "N95"), ("371425-W1", "N95")]
    add(city, rule(code="H", scope="371402-H1", item=None, category=Category.TREATMENT))
    assert waiting(city) == [("371402-H1", "VENT")]


# -- terms ------------------------------------------------------------------------------------------------------------


def test_each_kind_keeps_its_terms_exactly(city):
    persons = {"required_days": 70, "persons": 2500, "norm": Fraction("1.125")}
    made = [
        add(city, rule()),
        add(city, rule(code="P", kind=PolicyKind.PERSONS, **persons)),
        add(city, rule(code="F", kind=PolicyKind.FULL_LOAD, **persons)),
        add(city, rule(code="Q", kind=PolicyKind.QUANTITY, required_days=None, quantity=10**15)),
    ]
    assert [p.rate for p in made] == [None, Fraction(5625, 2), Fraction(5625, 2), None]
    assert made[3].quantity == 10**15


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"required_days": None}, ["/required_days"]),
        ({"required_days": 0}, ["/required_days"]),
        ({"required_days": -30}, ["/required_days"]),
        ({"quantity": 5}, ["/quantity"]),
        ({"persons": 5}, ["/persons"]),
        ({"kind": PolicyKind.PERSONS}, ["/persons", "/norm"]),
        ({"kind": PolicyKind.PERSONS, "persons": 5, "norm": Fraction("0.0001")}, ["/norm", "/norm"]),
        ({"kind": PolicyKind.PERSONS, "persons": 0, "norm": Fraction(1)}, ["/persons"]),
        ({"kind": PolicyKind.FULL_LOAD, "persons": 5, "norm": Fraction(-1)}, ["/norm"]),
        ({"kind": PolicyKind.QUANTITY}, ["/required_days", "/quantity"]),
        ({"kind": PolicyKind.QUANTITY, "required_days": None, "quantity": 10**15 + 1}, ["/quantity"]),
        ({"item": None}, ["/item"]),
        ({"category": Category.PROTECTIVE}, ["/item"]),
        ({"look_back_days": 27}, ["/look_back_days"]),
        ({"look_back_days": 3661}, ["/look_back_days"]),
        ({"lead_time_days": -1}, ["/lead_time_days"]),
        ({"margin_days": -1}, ["/margin_days"]),
        ({"effective_until": date(2025, 12, 31)}, ["/effective_until"]),
        ({"method": "median"}, ["/method"]),
        ({"method": "rolling_mean_max:0"}, ["/method"]),
        ({"method": "rolling_mean_max:60", "look_back_days": 28}, ["/method"]),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(city, changes, pointers):
    with refused(city, Invalid, "policy_terms") as caught:
        add(city, rule(**changes))
    assert [fault.pointer for fault in caught.value.faults] == pointers


def test_unknown_codes_are_refused(city):
    with refused(city, UnknownLocation):
        add(city, rule(scope="371499"))
    with refused(city, UnknownLocation):
        add(city, rule(scope="CONSUMER"))
    with refused(city, UnknownItem):
        add(city, rule(item="N96"))


def test_a_second_version_of_the_same_day_is_refused(city):
    kept = add(city, rule())
    with pytest.raises(AlreadyThere, match="choose another day") as caught:
        add(city, rule(required_days=60))
    assert caught.value.code == "policy_exists"
    assert in_force(city, TODAY) == [kept]


def test_of_many_that_add_the_same_version_one_succeeds(city):
    answers = []

    def work(days):
        try:
            answers.append(add(city, rule(required_days=days)).required_days)
        except AlreadyThere as refusal:
            answers.append(refusal.code)

    threads = [threading.Thread(target=work, args=[days]) for days in (30, 31, 32, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, answers))[1:] == ["policy_exists"] * 3
    assert len(in_force(city, TODAY)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'some'",
        "item_id = NULL",
        "category = 'protective'",
        "required_days = 0",
        "required_days = NULL",
        "look_back_days = 27",
        "effective_until = '2025-12-31'",
    ],
)
def test_the_database_refuses_a_policy_that_can_never_be(city, change):
    add(city, rule())
    with pytest.raises(IntegrityError), city.begin() as connection:
        connection.execute(text(f"UPDATE policy SET {change}"))
