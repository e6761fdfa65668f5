"""What would expire and who uses it up: worked cases, a plain day-by-day reference, and what must hold of any plan."""

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.depletion import cover, waste_by_lot
from forecasting.rotation import Hospital, Left, Line, room, rotate

CASES = json.loads((Path(__file__).parent / "cases" / "13_rotation.json").read_text())["cases"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_a_rotation_is_worked_out_by_hand(case):
    told, expected = case["inputs"], case["expected"]
    found = rotate(
        [tuple(lot) for lot in told["reserve"]],
        {code: Hospital([tuple(lot) for lot in of["lots"]], of["use"]) for code, of in told["hospitals"].items()},
        rate=told["reserve_use"],
        peak=told["peak"],
        required_days=told["required_days"],
    )
    assert list(found.waste_by_lot) == expected["waste_by_lot"]
    assert [list(line) for line in found.lines] == expected["lines"]
    assert {str(left.lot): left.owed + left.no_room for left in found.left} == expected["left_over"]


def test_what_no_hospital_can_use_is_told_from_what_the_reserve_cannot_spare():
    two = {"H1": Hospital([(100, 40)], 5), "H2": Hospital([], 2)}
    asked = {"rate": 1, "peak": 10, "required_days": 30}
    assert rotate([(400, 60), (10_000, None)], two, **asked).left == (Left(0, 0, 20, None),)
    assert rotate([(400, 60)], {"H1": Hospital([], 100)}, **asked).left == (Left(0, 240, 0, "required_days"),)
    assert rotate([(400, 60)], {"H1": Hospital([], 5)}, **asked).left == (Left(0, 200, 40, "required_days"),)
    assert rotate([(400, 60)], {}, **asked).left == (Left(0, 0, 340, None),)


def test_the_floor_of_the_policy_is_seven_tenths_of_the_plan():
    asked = {"rate": 1, "peak": 10, "required_days": 10}
    big = {"H1": Hospital([], 100)}
    assert rotate([(400, 60)], big, **asked, plan_units=400).lines == (Line(0, "H1", 120, 58),)
    assert rotate([(400, 60)], big, **asked, plan_units=400).left == (Left(0, 220, 0, "floor"),)
    assert rotate([(400, 60)], big, **asked, plan_units=400, floor_share=Fraction(9, 10)).lines[0].units == 40
    assert rotate([(400, 60)], big, **asked, plan_units=400, floor_share=Fraction(0)).lines[0].units == 300
    assert rotate([(400, 60)], big, **asked, plan_units=1000).lines == ()


def test_a_reserve_that_breaks_its_rule_still_sends_what_it_cannot_spend_itself():
    reserve = [(500, 10), (100, None)]
    asked = {"rate": 1, "peak": 10, "required_days": 30}
    assert cover(reserve, 10, 30).days == 20
    found = rotate(reserve, {"H1": Hospital([], 1000)}, **asked)
    assert found.lines == (Line(0, "H1", 400, 9),)
    assert found.left == (Left(0, 90, 0, "required_days"),)
    assert cover([(100, 10), (100, None)], 10, 30).days == 20


def test_goods_go_to_those_who_use_more_then_by_code_and_each_lot_makes_the_next_smaller():
    hospitals = {"B": Hospital([], 2), "A": Hospital([], 2), "C": Hospital([], 3, transit_days=2)}
    found = rotate([(100, 12), (100, 10)], hospitals, rate=0, peak=0, required_days=0)
    assert found.lines == (
        Line(1, "C", 24, 0),
        Line(1, "A", 20, 0),
        Line(1, "B", 20, 0),
        Line(0, "C", 6, 8),
        Line(0, "A", 4, 10),
        Line(0, "B", 4, 10),
    )
    assert found.left == (Left(1, 0, 36, None), Left(0, 0, 86, None))


def test_what_would_spoil_on_the_road_stays():
    asked = {"rate": 0, "peak": 0, "required_days": 0}
    assert rotate([(9, 5)], {"H": Hospital([], 9, transit_days=5)}, **asked).lines == ()
    assert rotate([(9, 5)], {"H": Hospital([], 9, transit_days=4)}, **asked).lines == (Line(0, "H", 9, 0),)


LOT = st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(-1, 25)))
RATE = st.one_of(st.integers(0, 6), st.fractions(0, 6, max_denominator=5))


def wasted(lots, rate):
    """Play day by day, first expired first out, in exact numbers."""
    left = sorted(
        ([Fraction(units), math.inf if life is None else life] for units, life in lots if life is None or life > 0),
        key=lambda lot: lot[1],
    )
    lost = Fraction(0)
    for day in range(40):
        lost += sum(units for units, life in left if life <= day)
        left = [lot for lot in left if lot[1] > day]
        use = Fraction(rate)
        for lot in left:
            taken = min(use, lot[0])
            lot[0] -= taken
            use -= taken
    return lost


@given(st.lists(LOT, max_size=5), RATE, st.integers(-2, 25))
@settings(deadline=None)
def test_a_hospital_takes_all_it_can_use_and_not_one_more(lots, use, life):
    units = room(lots, use, life)
    assert units >= 0
    if life > 0:
        assert wasted([*lots, (units, life)], use) == wasted(lots, use)
        assert wasted([*lots, (units + 1, life)], use) > wasted(lots, use)
    else:
        assert units == 0


HOSPITAL = st.builds(Hospital, st.lists(LOT, max_size=3), RATE, st.integers(0, 3))


@given(
    st.lists(LOT, max_size=5),
    st.dictionaries(st.sampled_from("ABCDE"), HOSPITAL, max_size=4),
    RATE,
    RATE,
    st.integers(0, 20),
    st.integers(0, 200),
)
@settings(deadline=None)
def test_the_reserve_keeps_its_rule_and_its_floor_and_no_hospital_wastes_more(
    reserve, hospitals, rate, peak, required, plan
):
    found = rotate(reserve, hospitals, rate=rate, peak=peak, required_days=required, plan_units=plan)
    assert found.waste_by_lot == waste_by_lot(reserve, rate)
    after = [[units, life] for units, life in reserve]
    held = {code: list(of.lots) for code, of in hospitals.items()}
    for line in found.lines:
        assert line.units > 0
        after[line.lot][0] -= line.units
        last = reserve[line.lot][1] - hospitals[line.hospital].transit_days
        assert 0 <= line.send_by < last
        held[line.hospital].append((line.units, last))
    before, now = cover(reserve, peak, required), cover([tuple(lot) for lot in after], peak, required)
    if found.lines:
        assert now.usable >= Fraction(7, 10) * plan
        if peak:
            assert now.days >= min(required, before.days)
    for code, of in hospitals.items():
        assert wasted(held[code], of.use) == wasted(of.lots, of.use)
    left = {row.lot: row for row in found.left}
    for lot, lost in enumerate(found.waste_by_lot):
        sent = sum(line.units for line in found.lines if line.lot == lot)
        row = left.get(lot, Left(lot, 0, 0, None))
        assert sent + row.owed + row.no_room == math.ceil(lost)
        assert (row.limit is None) == (row.owed == 0)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "x", None])
def test_a_rate_that_is_none_is_refused_by_name(value):
    good = {"rate": 1, "peak": 10, "required_days": 30}
    for name in good:
        with pytest.raises(ValueError, match=rf"^{name} must"):
            rotate([(1, 1)], {}, **{**good, name: value})
    with pytest.raises(ValueError, match=r"^use must"):
        room([], value, 3)
    with pytest.raises(ValueError, match=r"^use of H must"):
        rotate([(1, 1)], {"H": Hospital([], value)}, **good)


@pytest.mark.parametrize("lots", [[(-1, 5)], [(1.5, 5)], [(1, 2.5)], [(1, math.nan)], [("x", 5)]])
def test_a_lot_that_is_none_is_refused(lots):
    with pytest.raises(ValueError, match=r"^reserve: (units|life) must"):
        rotate(lots, {}, rate=1, peak=1, required_days=1)
    with pytest.raises(ValueError, match=r"^lots: (units|life) must"):
        room(lots, 1, 3)


def test_a_plan_a_share_a_road_and_a_life_are_refused_when_they_are_none():
    good = {"rate": 1, "peak": 10, "required_days": 30}
    with pytest.raises(ValueError, match=r"^plan_units must"):
        rotate([], {}, **good, plan_units=-1)
    with pytest.raises(ValueError, match=r"^floor_share must"):
        rotate([], {}, **good, floor_share=Fraction(11, 10))
    with pytest.raises(ValueError, match=r"^transit_days of H must"):
        rotate([], {"H": Hospital([], 1, -1)}, **good)
    with pytest.raises(ValueError, match=r"^life must"):
        room([], 1, 2.5)


def test_expected_use_may_be_a_float_and_what_the_rule_is_judged_by_may_not():
    third = rotate([(40, 30)], {"H": Hospital([], 1 / 3)}, rate=1 / 3, peak=0, required_days=0)
    assert third == rotate(
        [(40, 30)], {"H": Hospital([], Fraction(1, 3))}, rate=Fraction(1, 3), peak=0, required_days=0
    )
    for name in ("peak", "required_days"):
        with pytest.raises(ValueError, match=rf"^{name} must"):
            rotate([(1, 1)], {}, **{"rate": 1, "peak": 10, "required_days": 30, name: 0.1})


def test_a_million_billion_units_are_counted_to_the_last():
    found = rotate([(10**15 + 1, 10), (10**15, None)], {"H": Hospital([], 10**15)}, rate=1, peak=1, required_days=30)
    assert found.lines == (Line(0, "H", 10**15 - 9, 9),)
