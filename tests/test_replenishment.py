"""What to order, how much and until when: worked cases, tables of refusals, and what must hold of any order."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecasting.depletion import cover
from forecasting.replenishment import (
    Order,
    OrderBy,
    Supply,
    expiry_cap,
    lives_long_enough,
    need_days,
    order,
    order_by,
    replenish,
)

CASES = json.loads((Path(__file__).parent / "cases" / "11_replenishment.json").read_text())["cases"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_an_order_is_worked_out_by_hand(case):
    told, expected = dict(case["inputs"]), case["expected"]
    if "coverage_at_end" in told:
        told["need_days"] = need_days(told.pop("required_days"), told.pop("coverage_at_end"), told.pop("service_level"))
        assert told["need_days"] == pytest.approx(expected["need_days"], abs=case["tolerance"])
    found = order(**told)
    assert found.units == expected["order"]
    assert found.at_risk == expected.get("at_risk", 0)
    assert found.packs * told["pack"] == found.units


def test_an_order_is_exact_to_the_unit():
    assert order(12.4, 3500).units == 43_400
    assert order(Fraction(1, 3), 3).units == 1
    assert order(Fraction(1, 3), Fraction(1000, 7)).units == 48
    assert order(7, Fraction(1000, 7)).units == 1000
    assert order(7, 1000 / 7).units == 1001
    assert order(30, 10**15).units == 30 * 10**15
    assert order(np.int64(10**12), np.int64(10**12)).units == 10**24


def test_nothing_is_ordered_at_a_peak_of_zero():
    assert order(30, 0, pack=10, minimum=500) == Order(0, 0, 0)


def test_the_minimum_too_comes_in_whole_packs():
    assert order(1, 10, pack=400, minimum=1000) == Order(1200, 3, 0)


@given(
    st.fractions(-100, 100, max_denominator=1000),
    st.fractions(0, 10**6, max_denominator=1000),
    st.integers(1, 5000),
    st.integers(0, 10**5),
    st.one_of(st.none(), st.integers(0, 10**6)),
)
@settings(deadline=None)
def test_an_order_covers_the_need_in_the_fewest_packs(need, peak, pack, minimum, cap):
    found = order(need, peak, pack, minimum, cap)
    assert found.units == found.packs * pack
    if need <= 0 or peak == 0:
        assert found == Order(0, 0, 0)
        return
    wanted = max(need * peak, minimum)
    assert wanted <= found.units < wanted + pack + 1
    assert found.at_risk == (0 if cap is None else max(0, found.units - cap))


@given(st.lists(st.integers(-10, 60), min_size=1, max_size=300), st.integers(1, 100))
@example([30] * 19 + [20], 95)
@settings(deadline=None)
def test_an_order_of_the_need_keeps_the_rule_in_the_promised_share_of_paths(coverage, percent):
    need = need_days(30, coverage, percent / 100)
    kept = [days for days in coverage if days + need >= 30]
    assert 100 * len(kept) >= percent * len(coverage)
    fewer = [days for days in coverage if days + need - 1 >= 30]
    assert 100 * len(fewer) < percent * len(coverage)


def test_the_service_level_is_a_decimal_and_not_the_float_beside_it():
    coverage = np.arange(1000.0)
    assert need_days(2000, coverage, 0.95) == 2000 - 50
    assert need_days(2000, coverage, 0.07) == 2000 - 930
    assert need_days(2000, coverage, 1) == 2000
    assert need_days(30, 17.6) == Fraction(62, 5)
    assert need_days(30, [30 - 1e-12]) == 0


def test_what_can_be_used_before_it_expires_is_the_cap():
    # 60 of 160 expire on hand at 10 a day: 100 will be used, 50 are on order, 10 x (14 + 60) are used until the end.
    assert expiry_cap([(160, 10)], 10, 50, 14, 60) == 740 - 100 - 50
    assert expiry_cap([(160, 10)], 10, 50, (7, 14), 60) == 590
    assert expiry_cap([(160, None)], Fraction(1000, 7), 0, 14, 60) == math.floor(Fraction(74_000, 7)) - 160
    assert expiry_cap([(10_000, None)], 10, 0, 14, 60) == 0
    assert expiry_cap([(160, 10)], 10, 50, 14, None) is None
    assert expiry_cap([(160, None)], 0, 0, 14, 60) == 0


@given(
    st.lists(st.tuples(st.integers(0, 300), st.one_of(st.none(), st.integers(-1, 80))), max_size=5),
    st.integers(1, 20),
    st.integers(0, 200),
    st.integers(0, 30),
    st.integers(1, 90),
)
@settings(deadline=None)
def test_an_order_within_the_cap_is_used_up_in_time(lots, rate, on_order, lead, life):
    cap = expiry_cap(lots, rate, on_order, lead, life)
    before = cover(lots, rate, 0)
    used_before = before.usable - before.wasted + on_order
    assert cap == max(0, rate * (lead + life) - used_before)
    if cap:
        assert used_before + cap <= rate * (lead + life)


@pytest.mark.parametrize(
    ("below", "lead", "told"),
    [
        (20, 14, OrderBy(6, 0, None)),
        (14, 14, OrderBy(0, 0, None)),
        (13, 14, OrderBy(-1, 1, (13, 13))),
        (0, 14, OrderBy(-14, 14, (0, 13))),
        (20, (7, 30), OrderBy(-10, 10, (20, 29))),
        (0, 0, OrderBy(0, 0, None)),
        (None, 14, None),
    ],
)
def test_the_last_day_to_order_and_the_gap_when_it_has_passed(below, lead, told):
    assert order_by(below, lead) == told


MASKS = Supply(lead_time_days=14, review_days=7, pack=400, minimum=0, life_on_arrival_days=720)
ASKED = {"peak": 3500, "required_days": 30, "coverage_at_end": [17.6], "rate": 1200, "falls_below_day": 3}


def test_a_replenishment_says_what_why_and_by_when():
    found = replenish([(70_000, None)], MASKS, **ASKED)
    assert found.order == Order(43_600, 109, 0)
    assert (found.reason, found.need_days) == ("rule", Fraction(62, 5))
    assert found.cap == 1200 * (14 + 720) - 70_000
    assert found.order_by == OrderBy(-11, 11, (3, 13))


def test_the_rule_comes_before_the_cap():
    found = replenish([(70_000, None)], MASKS, **{**ASKED, "rate": 100}, on_order=1000)
    assert found.cap == 73_400 - 70_000 - 1000
    assert found.order == Order(43_600, 109, 41_200)


@pytest.mark.parametrize(
    ("supply", "asked", "reason", "units"),
    [
        ({}, {"coverage_at_end": [31, 30]}, "enough", 0),
        ({}, {"peak": 0, "rate": 0}, "no_use", 0),
        ({"life_on_arrival_days": 36}, {}, "life_too_short", 0),
        ({"life_on_arrival_days": 37}, {}, "rule", 43_600),
        ({"life_on_arrival_days": None}, {}, "rule", 43_600),
        ({"life_on_arrival_days": 36}, {"coverage_at_end": [31]}, "enough", 0),
        ({"minimum": 43_400}, {}, "rule", 43_600),
        ({"minimum": 43_401}, {}, "supplier_minimum", 43_600),
        ({"minimum": 50_000}, {}, "supplier_minimum", 50_000),
    ],
)
def test_every_order_has_its_reason(supply, asked, reason, units):
    found = replenish([(70_000, None)], MASKS._replace(**supply), **{**ASKED, **asked})
    assert (found.reason, found.order.units) == (reason, units)


def test_goods_must_keep_the_rule_until_the_next_review():
    assert lives_long_enough(37, 30, 7)
    assert not lives_long_enough(36, 30, 7)
    assert not lives_long_enough(37, Fraction(61, 2), 7)
    assert lives_long_enough(None, 30, 7)


BAD = [math.nan, math.inf, -1, 10**19, "many", None]


@pytest.mark.parametrize("value", BAD)
def test_a_number_that_is_none_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^peak must"):
        order(1, value)
    with pytest.raises(ValueError, match=r"^pack must"):
        order(1, 1, pack=value)
    with pytest.raises(ValueError, match=r"^minimum must"):
        order(1, 1, minimum=value)
    with pytest.raises(ValueError, match=r"^required_days must"):
        need_days(value, [1])
    with pytest.raises(ValueError, match=r"^service_level must"):
        need_days(30, [1], value)
    with pytest.raises(ValueError, match=r"^rate must"):
        expiry_cap([], value, 0, 14, 60)
    with pytest.raises(ValueError, match=r"^on_order must"):
        expiry_cap([], 1, value, 14, 60)
    with pytest.raises(ValueError, match=r"^lead_time_days must"):
        order_by(3, value)
    with pytest.raises(ValueError, match=r"^review_days must"):
        lives_long_enough(30, 30, value)
    if value is not None:
        with pytest.raises(ValueError, match=r"^cap must"):
            order(1, 1, cap=value)
        with pytest.raises(ValueError, match=r"^falls_below_day must"):
            order_by(value, 14)
        with pytest.raises(ValueError, match=r"^life_on_arrival_days must"):
            lives_long_enough(value, 30, 7)
        with pytest.raises(ValueError, match=r"^life_on_arrival_days must"):
            expiry_cap([], 1, 0, 14, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -(10**19), "many", None])
def test_a_need_may_be_negative_but_must_be_a_number(value):
    with pytest.raises(ValueError, match=r"^need_days must"):
        order(value, 1)


@pytest.mark.parametrize("coverage", [[], [math.nan], [math.inf], [[1, 2]], ["x"], [1, None]])
def test_coverage_is_one_row_of_days(coverage):
    with pytest.raises(ValueError, match=r"^coverage_at_end must"):
        need_days(30, coverage)


@pytest.mark.parametrize("level", [0, 1.01, -0.5])
def test_a_service_level_is_a_share_above_zero(level):
    with pytest.raises(ValueError, match=r"^service_level must"):
        need_days(30, [1], level)


@pytest.mark.parametrize("lead", [(30, 7), (7, 14, 21), (7,), 2.5, (1, 2.5)])
def test_a_lead_time_is_whole_days_or_the_least_and_the_most(lead):
    with pytest.raises(ValueError, match=r"^lead_time_days must"):
        order_by(3, lead)
