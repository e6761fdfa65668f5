"""How long dated lots last: worked cases, a plain day-by-day reference, and what must hold of any stock."""

import json
import math
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecasting.depletion import (
    at_peak,
    binding,
    cover,
    coverage_along,
    deplete,
    first_below,
    judge_quantity,
    pool_along,
    waste_by_lot,
    with_arrivals,
)

CASES = Path(__file__).parent / "cases"


def cases(*names):
    found = [case for name in names for case in json.loads((CASES / name).read_text())["cases"]]
    return [pytest.param(case, id=case["name"]) for case in found]


def lots_of(case):
    return [tuple(lot) for lot in case["inputs"]["lots"]]


def close(case):
    return {"abs": case["tolerance"]}


def same_number(found, expected, case):
    return found is None if expected is None else found == pytest.approx(expected, **close(case))


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


ALONG = [case for case in cases("05_falls_below.json") if "path" in case.values[0]["inputs"]]


@pytest.mark.parametrize("case", ALONG)
def test_stock_along_a_path_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    units, lives = zip(*lots_of(case), strict=True)
    state = deplete(units, lives, given_["path"])
    coverage = coverage_along(units, lives, state.on_hand, given_["peak"])
    assert state.on_hand[0].tolist() == pytest.approx(expected["on_hand"], **close(case))
    assert state.waste[0].tolist() == pytest.approx(expected["waste"], **close(case))
    assert coverage[0].tolist() == pytest.approx(expected["days_of_coverage"], **close(case))
    assert first_below(coverage, given_["required_days"]).day.tolist() == [expected["falls_below_day"]]


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


@pytest.mark.parametrize("case", [case for case in cases("10_projection.json") if "paths" in case.values[0]["inputs"]])
def test_first_passage_over_known_paths_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    units, lives = zip(*lots_of(case), strict=True)
    coverage = coverage_along(units, lives, deplete(units, lives, given_["paths"]).on_hand, given_["peak"])
    found = first_below(coverage, given_["required_days"], given_["p"])
    assert list(found.quantiles) == expected["falls_below_day"]
    assert found.probability == pytest.approx(expected["probability_below"], **close(case))
    if "days_of_coverage" in expected:
        assert coverage == pytest.approx(np.array(expected["days_of_coverage"]), **close(case))


@pytest.mark.parametrize("case", [case for case in cases("10_projection.json") if "use" in case.values[0]["inputs"]])
def test_the_share_of_drawn_paths_is_the_probability(case):
    given_, expected = case["inputs"], case["expected"]
    units, lives = zip(*lots_of(case), strict=True)
    use = np.random.default_rng(1).poisson(given_["use"]["mean"], (20_000, given_["horizon"]))
    coverage = coverage_along(units, lives, deplete(units, lives, use).on_hand, given_["peak"])
    found = first_below(coverage, given_["required_days"])
    assert found.probability == pytest.approx(expected["probability_below"], **close(case))


@pytest.mark.parametrize("case", cases("14_expiry_loss.json"))
def test_the_units_of_each_lot_that_expire_are_worked_out_by_hand(case):
    numerator, _, denominator = str(case["inputs"]["rate"]).partition("/")
    rate = Fraction(numerator) / Fraction(denominator or "1")
    waste = waste_by_lot(lots_of(case), rate)
    assert [float(units) for units in waste] == pytest.approx(case["expected"]["waste_by_lot"], **close(case))
    assert float(sum(waste)) == pytest.approx(case["expected"]["waste"], **close(case))
    assert math.floor(sum(waste) + Fraction(1, 2)) == case["expected"]["rounded"]


class Plain(list):
    """A day-by-day reserve: lots as [life, units], issued first-expired-first-out, as one would on paper."""

    def __init__(self, lots):
        super().__init__(
            sorted([life or math.inf, Fraction(units)] for units, life in lots if life is None or life > 0)
        )

    def expire(self, day):
        lost = sum(units for life, units in self if life <= day)
        self[:] = [lot for lot in self if lot[0] > day]
        return lost

    def issue(self, asked):
        for lot in self:
            given_ = min(lot[1], asked)
            lot[1] -= given_
            asked -= given_
        return asked

    def on_hand(self):
        return sum(units for _, units in self)


def plain_days(lots, peak):
    """(days, wasted): how long it lasts at the peak and what expires until then."""
    stock, wasted = Plain(lots), Fraction(0)
    for day in range(10**6):
        wasted += stock.expire(day)
        unmet = stock.issue(peak)
        if unmet:
            return day + 1 - unmet / peak, wasted
    raise AssertionError


lives = st.one_of(st.none(), st.integers(-2, 25), st.integers(1, 4))
stocks = st.lists(st.tuples(st.integers(0, 60), lives), max_size=7)
peaks = st.builds(Fraction, st.integers(1, 60), st.integers(1, 7))


@settings(max_examples=1000, deadline=None)
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
        today = [(units, life if life == math.inf else life - day) for life, units in stock]
        left = plain_days([(units, None if life == math.inf else life) for units, life in today if units], peak)[0]
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


@settings(max_examples=200, deadline=None)
@given(lots=stocks, peak=peaks, lot=st.tuples(st.integers(0, 90), lives))
def test_more_stock_never_shortens_coverage(lots, peak, lot):
    assert cover([*lots, lot], peak, 30).days >= cover(lots, peak, 30).days


@settings(max_examples=200, deadline=None)
@given(lots=stocks, peak=peaks, units=st.integers(0, 90), life=lives, sooner=st.integers(0, 20))
def test_an_earlier_expiry_never_lengthens_coverage(lots, peak, units, life, sooner):
    earlier = sooner if life is None else life - sooner
    assert cover([*lots, (units, earlier)], peak, 30).days <= cover([*lots, (units, life)], peak, 30).days


@settings(max_examples=200, deadline=None)
@given(lots=stocks, peak=peaks, units=st.integers(0, 90), life=lives, part=st.integers(0, 90))
def test_splitting_a_lot_changes_nothing(lots, peak, units, life, part):
    part = min(part, units)
    whole = cover([*lots, (units, life)], peak, 30)
    assert cover([(part, life), *lots, (units - part, life)], peak, 30) == whole


@settings(max_examples=200, deadline=None)
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
    assert with_arrivals([(500, None)], 0) == (None, None, ())


def test_a_wasted_half_unit_is_shown_as_one():
    assert cover([(3, 1)], Fraction(5, 2), 1).wasted_units == 1


def test_no_policy_binds_where_there_is_none():
    assert binding([]) == (0, 0, None)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: cover([(1, None)], -1, 30),
        lambda: cover([(-1, None)], 1, 30),
        lambda: judge_quantity([], -1),
        lambda: waste_by_lot([], Fraction(-1, 2)),
        lambda: coverage_along([1], [None], [[1.0]], 0),
    ],
)
def test_quantities_and_rates_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"negative|above zero"):
        wrong()


uses = st.lists(st.lists(st.one_of(st.just(0), st.integers(0, 40)), min_size=12, max_size=12), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(lots=stocks, use=uses, peak=peaks)
def test_every_path_equals_issuing_it_day_by_day_on_paper(lots, use, peak):
    units, ends = [units for units, _ in lots], [life for _, life in lots]
    state = deplete(units, ends, use)
    coverage = coverage_along(units, ends, state.on_hand, peak)
    for path, days in enumerate(use):
        stock, wasted, met = Plain(lots), 0, True
        whole_days = 0
        for day, asked in enumerate([*days, 0]):
            wasted += stock.expire(day)
            assert state.on_hand[path, day] == pytest.approx(stock.on_hand(), abs=1e-9)
            assert state.waste[path, day] == pytest.approx(wasted, abs=1e-9)
            left = [(units, None if life == math.inf else life - day) for life, units in stock if units]
            assert coverage[path, day] == pytest.approx(float(plain_days(left, peak)[0]), abs=1e-9)
            met = not stock.issue(Fraction(asked)) and met
            whole_days += met and day < len(days)
        assert state.whole_days[path] == whole_days


@settings(max_examples=120, deadline=None)
@given(lots=stocks, use=uses, coming=st.lists(st.integers(0, 60), min_size=13, max_size=13))
def test_arrivals_that_last_are_spent_after_the_dated_stock(lots, use, coming):
    units, ends = [units for units, _ in lots], [life for _, life in lots]
    state = deplete(units, ends, use)
    pool = pool_along(state, use, coming)
    for path, days in enumerate(use):
        stock = Plain(lots)
        for day, asked in enumerate([*days, 0]):
            stock.append([10**6, Fraction(coming[day])])
            stock.expire(day)
            assert state.on_hand[path, day] + pool.on_hand[path, day] == pytest.approx(stock.on_hand(), abs=1e-9)
            unmet = stock.issue(Fraction(asked))
            assert day == len(days) or pool.unmet[path, day] == pytest.approx(unmet, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    lots=stocks,
    peak=peaks,
    contracts=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 14)), max_size=3),
    capacity=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 14), st.one_of(st.none(), st.integers(0, 22))), max_size=2
    ),
)
def test_contracts_and_capacity_equal_a_day_by_day_issue_on_paper(lots, peak, contracts, capacity):
    horizon = 25
    found = with_arrivals(lots, peak, contracts, capacity, horizon)
    stock, unmet = Plain(lots), []
    for day in range(horizon):
        stock.expire(day)
        stock += [[10**6, Fraction(units)] for units, lead in contracts if lead == day]
        stock += [
            [10**6, Fraction(units)]
            for units, first, last in capacity
            if first <= day and (last is None or day <= last)
        ]
        unmet.append(stock.issue(peak))
    whole = next((day for day, missing in enumerate(unmet) if missing), horizon)
    assert found.whole_days == whole
    assert found.days_unbroken == whole + (1 - unmet[whole] / peak if whole < horizon else 0)
    in_gaps = [day for gap in found.gaps for day in range(gap.first, gap.last + 1)]
    ended = [day for day, missing in enumerate(unmet) if missing and not all(unmet[day:])]
    assert in_gaps == ended
    assert sum(gap.units for gap in found.gaps) == sum(unmet[day] for day in ended)


def test_order_statistics_count_paths_not_fractions_of_them():
    coverage = np.full((100, 3), 31.0)
    coverage[:7, 1:] = 29
    found = first_below(coverage, 30, quantiles=(0.07, 0.08, 0.0))
    assert found.quantiles == (1, None, 1)
    assert first_below(coverage, 30, look_ahead_days=0).probability == 0
    assert first_below(coverage, 30, look_ahead_days=1).probability == 0.07


def test_a_path_exactly_at_the_rule_is_not_below_it():
    coverage = coverage_along([30], [None], deplete([30], [None], [[0.1] * 3]).on_hand, Fraction(1, 10))
    assert first_below(coverage, 297).day.tolist() == [-1]


def test_nothing_in_stock_is_nothing_on_hand():
    state = deplete([], [], [[1, 1]])
    assert state.on_hand.tolist() == [[0, 0, 0]]
    assert state.whole_days.tolist() == [0]
    assert coverage_along([], [], state.on_hand, 5).tolist() == [[0, 0, 0]]
