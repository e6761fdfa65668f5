"""How long dated lots last at the peak: worked cases, a plain day-by-day reference, and what must hold of any stock."""

import math
import random
from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from on_paper import Plain, cases, close, lives, lots_of, peaks, plain_days, same_number, stocks

from forecasting.depletion import at_peak, binding, cover, judge_quantity, waste_by_lot, with_arrivals

AT_PEAK = [
    case
    for case in cases(
        "03_coverage_with_expiry.json", "04_expired_today.json", "05_falls_below.json", "06_zero_peak.json"
    )
    if "path" not in case.values[0]["inputs"]
]


@pytest.mark.parametrize("case", AT_PEAK)
def test_coverage_at_the_peak_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    found = cover(lots_of(case), Fraction(given_["peak"]), given_["required_days"])
    as_of = date.fromisoformat(given_["as_of"])

    def on(day):
        return None if day is None else (as_of + timedelta(days=day)).isoformat()

    assert same_number(found.days, expected["days_of_coverage"], case)
    assert same_number(found.wasted, expected["wasted_exact"], case)
    assert {
        "usable": found.usable,
        "whole_days": found.whole_days,
        "required": found.required,
        "shortfall": found.shortfall,
        "wasted_by_expiry": found.wasted_units,
        "falls_below_on": on(found.falls_below_day),
        "runs_out_on": on(found.runs_out_day),
    } == {name: expected[name] for name in expected if name not in ("days_of_coverage", "wasted_exact", "level")}


@pytest.mark.parametrize("case", cases("07_commitments.json"))
def test_contracts_and_capacity_are_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    found = with_arrivals(lots_of(case), given_["peak"], given_.get("contracts", ()), given_.get("capacity", ()))
    assert same_number(found.days_unbroken, expected["days_unbroken"], case)
    assert found.whole_days == expected["whole_days"]
    assert [list(gap) for gap in found.gaps] == expected["gaps"]


@pytest.mark.parametrize("case", cases("08_policies.json"))
def test_several_policies_are_judged_each_alone(case):
    policies, expected = case["inputs"]["policies"], case["expected"]
    judged = [
        judge_quantity(lots_of(case), policy["quantity"])
        if "quantity" in policy
        else cover(lots_of(case), policy["peak"], policy["days"])
        for policy in policies
    ]
    for policy, judgement in zip(policies, judged, strict=True):
        each = expected["each"][policy["name"]]
        assert (judgement.required, judgement.shortfall) == (each["required"], each["shortfall"])
        assert same_number(getattr(judgement, "days", None), each["days_of_coverage"], case)
    found = binding(judged)
    assert (found.required, found.shortfall) == (expected["required"], expected["shortfall"])
    assert policies[found.place]["name"] == expected["binding"]


@pytest.mark.parametrize("case", cases("14_expiry_loss.json"))
def test_the_units_of_each_lot_that_expire_are_worked_out_by_hand(case):
    numerator, _, denominator = str(case["inputs"]["rate"]).partition("/")
    rate = Fraction(numerator) / Fraction(denominator or "1")
    waste = waste_by_lot(lots_of(case), rate)
    assert [float(units) for units in waste] == pytest.approx(case["expected"]["waste_by_lot"], **close(case))
    assert float(sum(waste)) == pytest.approx(case["expected"]["waste"], **close(case))
    assert math.floor(sum(waste) + Fraction(1, 2)) == case["expected"]["rounded"]


@settings(max_examples=2000, deadline=None)
@given(lots=stocks, peak=peaks, required=st.integers(0, 20))
@example(lots=[(10, 1), (10, 1), (0, None)], peak=Fraction(10), required=2)
def test_coverage_equals_a_day_by_day_issue_on_paper(lots, peak, required):
    found = cover(lots, peak, required)
    days, wasted = plain_days(lots, peak)
    assert (found.days, found.wasted) == (days, wasted)
    assert found.wasted == found.usable - peak * found.days
    assert found.tightest_life is None or found.days == found.tightest_life + found.outlives / peak
    assert (found.tightest_life is None) == (wasted == 0)


@settings(max_examples=200, deadline=None)
@given(lots=stocks, peak=peaks, required=st.integers(1, 12))
def test_the_dates_at_the_peak_are_those_seen_on_paper(lots, peak, required):
    found, chart, stock = cover(lots, peak, required), at_peak(lots, peak, 14), Plain(lots)
    below = None
    for day in range(15):
        lost = stock.expire(day)
        left = plain_days(stock.seen_from(day), peak)[0]
        assert (chart.on_hand[day], chart.lost[day], chart.coverage[day]) == (stock.on_hand(), lost, left)
        below = day if below is None and left < required else below
        stock.issue(peak)
    if below is not None:
        assert found.falls_below_day == below
    else:
        assert found.falls_below_day > 14


@settings(max_examples=200, deadline=None)
@given(lots=stocks, peak=peaks, required=st.integers(0, 20))
def test_the_shortfall_is_the_fewest_long_dated_units_that_restore_the_rule(lots, peak, required):
    found = cover(lots, peak, required)
    assert cover([*lots, (found.shortfall, None)], peak, required).days >= required
    if found.shortfall:
        assert cover([*lots, (found.shortfall - 1, None)], peak, required).days < required


@settings(max_examples=250, deadline=None)
@given(lots=stocks, peak=peaks, lot=st.tuples(st.integers(0, 90), lives))
def test_more_stock_never_shortens_coverage(lots, peak, lot):
    assert cover([*lots, lot], peak, 30).days >= cover(lots, peak, 30).days


@settings(max_examples=250, deadline=None)
@given(lots=stocks, peak=peaks, units=st.integers(0, 90), life=lives, sooner=st.integers(0, 20))
def test_an_earlier_expiry_never_lengthens_coverage(lots, peak, units, life, sooner):
    earlier = sooner if life is None else life - sooner
    assert cover([*lots, (units, earlier)], peak, 30).days <= cover([*lots, (units, life)], peak, 30).days


@settings(max_examples=250, deadline=None)
@given(lots=stocks, peak=peaks, units=st.integers(0, 90), life=lives, part=st.integers(0, 90))
def test_splitting_a_lot_changes_nothing(lots, peak, units, life, part):
    part = min(part, units)
    whole = cover([*lots, (units, life)], peak, 30)
    assert cover([(part, life), *lots, (units - part, life)], peak, 30) == whole


@settings(max_examples=250, deadline=None)
@given(lots=stocks, peak=peaks, more=st.integers(0, 10**15))
def test_stock_without_expiry_adds_exactly_its_own_days(lots, peak, more):
    found = cover(lots, peak, 30)
    assert found.days <= found.usable / peak
    assert cover([*lots, (more, None)], peak, 30).days == found.days + more / peak


@settings(max_examples=400, deadline=None)
@given(lots=stocks, rate=st.one_of(st.just(Fraction(0)), peaks))
def test_the_waste_of_each_lot_is_what_is_left_of_it_on_paper(lots, rate):
    order = sorted((life, i) for i, (_, life) in enumerate(lots) if life is not None and life > 0)
    left = [Fraction(units) for units, _ in lots]
    waste = [Fraction(0)] * len(lots)
    for day in range(26):
        for life, i in order:
            if life == day:
                waste[i] = left[i]
        asked = rate
        for life, i in order:
            if life > day:
                given_ = min(left[i], asked)
                left[i] -= given_
                asked -= given_
    assert waste_by_lot(lots, rate) == tuple(waste)


def test_an_unused_item_is_neither_covered_nor_short():
    found = cover([(500, 10), (20, None)], 0, 30)
    assert (found.days, found.required, found.shortfall, found.wasted, found.usable) == (None, 0, 0, 0, 520)
    assert at_peak([(500, 2)], 0, 3).coverage is None
    assert with_arrivals([(500, None)], 0, capacity=[(1, 0)]) == (None, None, (), False)


def test_a_wasted_half_unit_is_shown_as_one():
    assert cover([(3, 1)], Fraction(5, 2), 1).wasted_units == 1


def test_no_policy_binds_where_there_is_none():
    assert binding([]) == (0, 0, None)


NAN, INF, HUGE = math.nan, math.inf, 10**15

REFUSED = [
    ("lots: units", lambda: cover([(-1, None)], 1, 30)),
    ("lots: units", lambda: cover([(NAN, None)], 1, 30)),
    ("lots: units", lambda: cover([(INF, 3)], 1, 30)),
    ("lots: units", lambda: cover([(2.5, 3)], 1, 30)),
    ("lots: units", lambda: cover([(None, 3)], 1, 30)),
    ("lots: life", lambda: cover([(5, 2.5)], 1, 30)),
    ("lots: life", lambda: cover([(5, NAN)], 1, 30)),
    ("lots: life", lambda: cover([(5, INF)], 1, 30)),
    ("peak", lambda: cover([(1, None)], -1, 30)),
    ("peak", lambda: cover([(1, None)], NAN, 30)),
    ("peak", lambda: cover([(1, None)], INF, 30)),
    ("peak", lambda: cover([(1, None)], 1000 / 7, 30)),
    ("required_days", lambda: cover([(1, None)], 1, -1)),
    ("required_days", lambda: cover([(1, None)], 1, NAN)),
    ("quantity", lambda: judge_quantity([], -1)),
    ("quantity", lambda: judge_quantity([], 0.5)),
    ("rate", lambda: waste_by_lot([], Fraction(-1, 2))),
    ("rate", lambda: waste_by_lot([(1, 1)], NAN)),
    ("days", lambda: at_peak([(1, None)], 1, -1)),
    ("days", lambda: at_peak([(1, None)], 1, 10**9)),
    ("days", lambda: at_peak([(1, None)], 1, NAN)),
    ("peak", lambda: with_arrivals([], -1)),
    ("horizon", lambda: with_arrivals([], 1, horizon=10**9)),
    ("horizon", lambda: with_arrivals([], 1, horizon=-1)),
    ("contracts: units", lambda: with_arrivals([], 1, [(-1, 0)])),
    ("contracts: units", lambda: with_arrivals([], 1, [(NAN, 0)])),
    ("contracts: the day", lambda: with_arrivals([], 1, [(1, 0.5)])),
    ("capacity: units", lambda: with_arrivals([], 1, capacity=[(-1, 0)])),
    ("capacity: the first day", lambda: with_arrivals([], 1, capacity=[(1, INF)])),
    ("capacity: the last day", lambda: with_arrivals([], 1, capacity=[(1, 0, NAN)])),
]


@pytest.mark.parametrize(("name", "wrong"), REFUSED)
def test_a_number_that_cannot_be_is_refused_by_name(name, wrong):
    with pytest.raises(ValueError, match=f"^{name}.* (must|must not) .*: not "):
        wrong()


def test_numbers_of_any_kind_are_taken_as_the_whole_numbers_they_are():
    lots = [(np.int64(HUGE), np.int32(10)), (45000.0, None)]
    assert cover(lots, np.int64(3500), 30.0) == cover([(HUGE, 10), (45000, None)], 3500, 30)
    assert waste_by_lot(lots, 3500.0) == (HUGE - 35000, 0)
    assert cover([(np.int64(2**62), None)] * 4, 1, 30).usable == 2**64


LARGE = [
    ("a quantity of 10^15", [(HUGE, None)], Fraction(1, 7), 7 * HUGE),
    ("a life of 10^9 days that is not reached", [(HUGE, 10**9)], HUGE, 1),
    ("a life of 10^9 days that is", [(HUGE, 10**9)], Fraction(1, 1000), 10**9),
    ("a tiny rate", [(1, None)], Fraction(1, 10**30), 10**30),
    ("a huge rate", [(1, None)], 10**30, Fraction(1, 10**30)),
    ("nothing in stock", [], 5, 0),
    ("nothing but expired", [(HUGE, 0), (HUGE, -(10**9))], 5, 0),
    ("a hundred years of lots, a unit for each day", [(1, day) for day in range(1, 36_526)], 1, 36_525),
    ("a million lots", [(n % 7, 1 + n % 3650) for n in range(10**6)], 500, 3650),
    ("a million lots, each with a life of its own", [(1, 1 + n) for n in range(10**6)], 1, 10**6),
]


@pytest.mark.parametrize(("lots", "peak", "days"), [case[1:] for case in LARGE], ids=[case[0] for case in LARGE])
def test_stock_of_any_size_has_its_exact_days(lots, peak, days):
    found = cover(lots, peak, 30)
    assert found.days == days
    assert found.wasted == found.usable - peak * found.days >= 0
    assert with_arrivals(lots, peak, horizon=2).days_unbroken == days


def test_a_hundred_years_of_a_chart_are_drawn():
    chart = at_peak([(HUGE, 36_000), (HUGE, None)], Fraction(HUGE, 7), 36_525)
    assert (chart.on_hand[7], chart.on_hand[13], chart.on_hand[14]) == (HUGE, Fraction(HUGE, 7), 0)
    assert (len(chart.on_hand), chart.coverage[13], chart.coverage[-1], sum(chart.lost)) == (36_526, 1, 0, 0)


contracts_ = st.lists(st.tuples(st.integers(0, 90), st.integers(-1, 40)), max_size=3)
capacity_ = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-1, 14), st.one_of(st.none(), st.integers(0, 60))), max_size=2
)


class Delivered(Plain):
    """Stock with contracts and capacity, used at the peak; in whole numbers of the peak's denominator."""

    def __init__(self, lots, peak, contracts, capacity):
        super().__init__([(units * peak.denominator, life) for units, life in lots])
        self.peak, self.contracts, self.capacity = peak, contracts, capacity

    def unmet(self, day):
        """Units missing on one day."""
        self.expire(day)
        once = sum(units for units, at in self.contracts if max(0, at) == day)
        daily = sum(units for units, first, last in self.capacity if first <= day and (last is None or day <= last))
        self.receive([((once + daily) * self.peak.denominator, None)])
        return Fraction(self.issue(self.peak.numerator), self.peak.denominator)


@settings(max_examples=2000, deadline=None)
@given(lots=stocks, peak=peaks, contracts=contracts_, capacity=capacity_)
@example(lots=[(50, 3), (60, None)], peak=Fraction(10), contracts=[(30, 2)], capacity=[(10, 9, None)])
@example(lots=[], peak=Fraction(9), contracts=[], capacity=[(9, 0, None)])
@example(lots=[], peak=Fraction(9), contracts=[], capacity=[(9, 1, None)])
@example(lots=[(900, None)], peak=Fraction(1), contracts=[(300, 901)], capacity=[])
def test_the_days_with_arrivals_equal_a_day_by_day_issue_on_paper(lots, peak, contracts, capacity):
    found, paper = with_arrivals(lots, peak, contracts, capacity), Delivered(lots, peak, contracts, capacity)
    pace = sum(units for units, first, last in capacity if last is None)
    changed_last = max([0, *(day for _, day in contracts), *(day for row in capacity for day in row[1:] if day)])
    for day in range(10**5):
        unmet = paper.unmet(day)
        if unmet:
            assert found[:2] == (day + 1 - unmet / peak, day)
            assert not found.unlimited
            break
        if day > changed_last and pace >= peak:
            assert (found.days_unbroken, found.whole_days, found.unlimited) == (None, None, True)
            break
    assert unmet or pace >= peak
    assert found.unlimited or found.days_unbroken >= cover(lots, peak, 30).days


@settings(max_examples=250, deadline=None)
@given(lots=stocks, peak=peaks, contracts=contracts_, capacity=capacity_)
def test_the_gaps_that_arrivals_close_are_those_seen_on_paper(lots, peak, contracts, capacity):
    horizon = 25
    found = with_arrivals(lots, peak, contracts, capacity, horizon)
    paper = Delivered(lots, peak, contracts, capacity)
    unmet = [paper.unmet(day) for day in range(horizon)]
    in_gaps = [day for gap in found.gaps for day in range(gap.first, gap.last + 1)]
    ended = [day for day, missing in enumerate(unmet) if missing and not all(unmet[day:])]
    assert in_gaps == ended
    assert [gap.units for gap in found.gaps] == [sum(unmet[gap.first : gap.last + 1]) for gap in found.gaps]


@settings(max_examples=250, deadline=None)
@given(
    lots=stocks, peak=peaks, contracts=contracts_, capacity=capacity_, units=st.integers(0, 90), day=st.integers(0, 60)
)
def test_another_contract_or_an_earlier_one_never_shortens_the_days(lots, peak, contracts, capacity, units, day):
    def days(contracts):
        found = with_arrivals(lots, peak, contracts, capacity)
        return math.inf if found.unlimited else found.days_unbroken

    assert days(contracts) <= days([*contracts, (units, day)]) <= days([*contracts, (units, day - 1)])
    assert days([*contracts, (units, 0)]) >= cover([*lots, (units, None)], peak, 30).days


def test_a_reserve_that_lasts_longer_than_gaps_are_looked_for_is_said_to_last_as_long_as_it_does():
    assert with_arrivals([(900, None)], 1).days_unbroken == 900
    assert with_arrivals([(900, None)], 1, contracts=[(50, 899)]).days_unbroken == 950
    assert with_arrivals([(900, None)], 1, contracts=[(50, 901)]).days_unbroken == 900
    assert with_arrivals([(900, 500)], 1, contracts=[(10**15, 10**9)]).days_unbroken == 500


def test_capacity_that_keeps_up_with_the_peak_has_no_last_day():
    assert with_arrivals([(10, None)], 1, capacity=[(1, 10)]).unlimited
    assert with_arrivals([(10, None)], 1, capacity=[(1, 11)]).days_unbroken == 10
    assert with_arrivals([(10, None)], 1, capacity=[(1, 10, 10**9)]).days_unbroken == 10**9 + 1
    assert with_arrivals([], 3, capacity=[(2, 0), (1, 0)]).unlimited
    late = with_arrivals([(10, None)], 1, capacity=[(1, 12)])
    assert (late.days_unbroken, late.gaps, late.unlimited) == (10, ((10, 11, 2),), False)


def test_ten_thousand_contracts_are_followed():
    rng = random.Random(1)  # noqa: S311 - nobody is to be kept from guessing it
    contracts = [(rng.randrange(1, HUGE), day) for day in range(10_000)]
    total = sum(units for units, _ in contracts)
    found = with_arrivals([(HUGE, None)], Fraction(total + HUGE, 10_000), contracts, horizon=20_000)
    paper, short = HUGE * 10_000, None
    for units, day in contracts:
        paper += units * 10_000 - (total + HUGE)
        short = day if short is None and paper < 0 else short
    assert found.whole_days == (10_000 if short is None else short)
