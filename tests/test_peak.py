"""The peak: worked cases, a plain reference written from the text, and what must hold of any history."""

import json
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, sqrt
from pathlib import Path
from statistics import NormalDist, mean, median, stdev

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from forecasting.peak import location_peak, parse_method, scope_peak

CASES = Path(__file__).parent / "cases"


def cases(name):
    return [pytest.param(case, id=case["name"]) for case in json.loads((CASES / name).read_text())["cases"]]


def day_of(start, index):
    return None if index is None else (date.fromisoformat(start) + timedelta(days=index)).isoformat()


def read(row):
    """Values and mask of a list with None for silence."""
    return [0 if x is None else x for x in row], [x is not None for x in row]


def expected_number(number, tolerance):
    return None if number is None else pytest.approx(number, abs=tolerance)


@pytest.mark.parametrize("case", cases("01_peak_one_location.json"))
def test_the_peak_of_one_location_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    values, reported = read(given_["values"])
    found = location_peak(values, reported, censored=given_.get("censored"), norm=given_.get("norm"))
    assert found.peak == expected_number(expected["peak_daily"], case["tolerance"])
    assert found.basis == expected["basis"]
    assert day_of(given_["start"], found.window_to) == expected["window_to"]


@pytest.mark.parametrize("case", cases("02_peak_of_a_scope.json"))
def test_the_peak_of_a_scope_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    names = list(given_["series"])
    rows = [read(row) for row in given_["series"].values()]
    norms = [given_.get("norms", {}).get(name) for name in names]
    found = scope_peak([v for v, _ in rows], [r for _, r in rows], norm=norms)
    about = {"abs": case["tolerance"]}
    assert found.peak == pytest.approx(expected["peak_daily"], **about)
    assert day_of(given_["start"], found.window_to) == expected["window_to"]
    assert float(found.reported_share) == pytest.approx(expected["reported_share"], **about)
    assert found.lower_bound == pytest.approx(expected["lower_bound"], **about)
    own = {name: peak.peak for name, peak in zip(names, found.own, strict=True) if peak.peak is not None}
    assert own == pytest.approx(expected["own_peaks"], **about)
    assert [names[row] for row in found.unknown] == expected["unknown_locations"]
    assert sum(found.window_filled) / 7 == found.peak


def plain_window(days, width, least):
    """(value or None, lower bound) of one window: days are (units or None, ran out)."""
    free = [units for units, out in days if units is not None and not out]
    lower = Fraction(sum(units for units, _ in days if units is not None), width)
    if len(free) < least:
        return None, lower
    m0 = Fraction(sum(free), len(free))
    kept = free + [units for units, out in days if units is not None and out and units > m0]
    return Fraction(sum(kept), len(kept)), lower


def plain_location(days, norm, width, min_days):
    """(peak, basis, last day of the window, lower bound)."""
    least = ceil(Fraction(7, 10) * width)
    padded = [(None, False)] * max(0, width - len(days)) + days
    value = bound = (Fraction(-1), -1)
    for last in range(width - 1, len(padded)):
        mean_, lower = plain_window(padded[last - width + 1 : last + 1], width, least)
        at = last - (len(padded) - len(days))
        bound = max(bound, (lower, at))
        value = max(value, (mean_, at)) if mean_ is not None else value
    (peak, at), basis = (value, "history") if value[0] >= bound[0] else (bound, "lower_bound")
    count = sum(units is not None for units, _ in days)
    if count < min_days and norm is None:
        peak, basis = None, "unknown"
    elif count < min_days and (norm > peak or not count):
        peak, basis = Fraction(norm), "norm"
    return peak, basis, at if count else None, bound[0]


def plain_scope(rows, active, norms, width, min_days):
    """(peak, last day of the window, share, known) for two locations or more, over look-backs of a window or more."""
    judged = [plain_location(row, norm, width, min_days) for row, norm in zip(rows, norms, strict=True)]
    own, by_norm = [found[0] for found in judged], [found[1] == "norm" for found in judged]
    total = len(rows[0])
    used, recent = [], False
    lowers = []
    for last in range(width - 1, total):
        window = range(last - width + 1, last + 1)
        filled, lower, weight, whole, heads, members, declared = [Fraction(0)] * 7
        for row, alive, u, norm in zip(rows, active, own, by_norm, strict=True):
            for day in window:
                units, out = row[day]
                if not alive[day]:
                    continue
                filled += (u or 0) if units is None else max(units, u or 0) if out else units
                lower += units or 0
                weight += (u or 0) if units is not None else 0
                whole += u or 0
                heads += u is not None and units is not None
                members += u is not None
                declared += norm and units is None and (u if any(own) else 1)
        reported, there = (weight, whole) if whole else (heads, members)
        lowers.append((lower / width, last))
        if there and reported / there >= Fraction(7, 10):
            used.append((filled / width, last, reported / there))
        if there and (reported + declared) / there >= Fraction(7, 10):
            recent = recent or last >= total - 7
    unknown = [u is None and alive[-1] for u, alive in zip(own, active, strict=True)]
    if not used:
        standing = [(u, norm) for u, norm, alive in zip(own, by_norm, active, strict=True) if alive[-1]]
        if not any(norm for _, norm in standing):
            return None, None, False
        added = max(sum(u for u, _ in standing if u is not None), max(lowers)[0])
        return added, None, recent and not any(unknown)
    best = max(used, key=lambda window: window[:2])
    best = max(lowers) if max(lowers)[0] > best[0] else best
    return best[0], best[1], recent and not any(unknown)


units = st.one_of(st.none(), st.integers(0, 3), st.integers(0, 60), st.just(10**15))
some_days = st.lists(st.tuples(units, st.booleans()), max_size=24)
norms = st.one_of(st.none(), st.integers(0, 40), st.fractions(0, 40, max_denominator=9))


def columns(days):
    values, reported = read([units for units, _ in days])
    return values, reported, [out for _, out in days]


@settings(max_examples=600, deadline=None)
@given(days=some_days, norm=norms, width=st.sampled_from([1, 2, 7, 10]), min_days=st.sampled_from([0, 3, 28]))
def test_a_location_is_judged_as_the_text_says(days, norm, width, min_days):
    values, reported, out = columns(days)
    found = location_peak(
        np.array(values, dtype=np.int64), reported, censored=out, norm=norm, width=width, min_days=min_days
    )
    peak, basis, last, lower = plain_location(days, norm, width, min_days)
    assert (found.peak, found.basis, found.window_to, found.lower_bound) == (peak, basis, last, lower)


@st.composite
def scopes(draw, min_rows=2, max_rows=4):
    total = draw(st.integers(7, 18))
    day = st.tuples(
        st.one_of(st.none(), st.integers(0, 30), st.integers(0, 2)), st.integers(0, 5).map(lambda n: n == 5)
    )
    row = st.lists(day, min_size=total, max_size=total)
    rows = draw(st.lists(row, min_size=min_rows, max_size=max_rows))
    opened = [draw(st.integers(-30, total)) for _ in rows]
    closed = [draw(st.integers(0, 60)) for _ in rows]
    active = [[start <= d < stop for d in range(total)] for start, stop in zip(opened, closed, strict=True)]
    rows = [
        [day if alive else (None, False) for day, alive in zip(*pair, strict=True)]
        for pair in zip(rows, active, strict=True)
    ]
    return rows, active, [draw(norms) for _ in rows]


@settings(max_examples=300, deadline=None)
@given(scope=scopes(), min_days=st.sampled_from([0, 5, 10]))
def test_a_scope_is_judged_as_the_text_says(scope, min_days):
    rows, active, norm = scope
    values, reported, out = zip(*(columns(row) for row in rows), strict=True)
    found = scope_peak(values, reported, censored=out, active=active, norm=norm, min_days=min_days)
    peak, last, known = plain_scope(rows, active, norm, 7, min_days)
    assert (found.peak, found.window_to, found.known) == (peak, last, known)
    assert [own.peak for own in found.own] == [
        plain_location(*pair, 7, min_days)[0] for pair in zip(rows, norm, strict=True)
    ]
    if peak is not None and last is not None:
        assert sum(found.window_filled) / 7 == peak


@settings(max_examples=80, deadline=None)
@given(scope=scopes())
def test_a_silent_county_does_not_lower_the_peak(scope):
    """Silence on a day of ordinary use, in a week that enough of the scope still reported, leaves at least the peak."""
    rows, active, _ = scope
    values, reported, out = (np.array(part) for part in zip(*(columns(row) for row in rows), strict=True))
    before = scope_peak(values, reported, censored=out, active=active, min_days=0)
    if before.basis != "history":
        return
    for row, day in np.argwhere(reported[:, before.window_from : before.window_to + 1]):
        if values[row, before.window_from + day] > before.own[row].peak:
            continue
        silent = reported.copy()
        silent[row, before.window_from + day] = False
        after = scope_peak(values, silent, censored=out, active=active, min_days=0)
        weight, whole = share_of(before.window_from, silent, active, after.own)
        if [own.peak for own in after.own] == [own.peak for own in before.own] and 10 * weight >= 7 * whole > 0:
            assert after.peak >= before.peak


def share_of(first, reported, active, own):
    week = slice(first, first + 7)
    peaks = [peak.peak for peak in own]
    there = [
        sum(u * int(n) for u, n in zip(peaks, np.array(a)[:, week].sum(axis=1), strict=True))
        for a in (reported, active)
    ]
    return there[0], there[1]


@settings(max_examples=300, deadline=None)
@given(days=some_days, data=st.data())
def test_silence_never_raises_the_lower_bound(days, data):
    assume(days)
    values, reported, out = columns(days)
    day = data.draw(st.integers(0, len(days) - 1))
    silent = [r and d != day for d, r in enumerate(reported)]
    before, after = (location_peak(values, r, censored=out, min_days=0) for r in (reported, silent))
    assert after.lower_bound <= before.lower_bound
    assert after.days_reported == before.days_reported - reported[day]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**15), min_size=30, max_size=30), min_size=1, max_size=4))
def test_where_all_report_the_peak_of_the_sum_is_at_most_the_sum_of_the_peaks(rows):
    found = scope_peak(rows, np.ones((len(rows), 30), dtype=bool))
    assert found.peak <= found.sum_of_peaks
    assert found.peak == found.lower_bound
    assert (found.known, found.reported_share, found.days_reported) == (True, 1, 30)


@settings(max_examples=200, deadline=None)
@given(days=some_days, times=st.sampled_from([2, 1000, 10**9]))
def test_counting_in_smaller_units_scales_the_peak_exactly(days, times):
    assume(all(units is None or units <= 60 for units, _ in days))
    values, reported, out = columns(days)
    one, many = (
        location_peak(np.array(values, dtype=np.int64) * n, reported, censored=out, min_days=0) for n in (1, times)
    )
    assert many.peak == one.peak * times


def test_a_city_of_no_locations_has_no_peak():
    found = scope_peak(np.zeros((0, 365), dtype=int), np.zeros((0, 365), dtype=bool))
    assert (found.peak, found.basis, found.known, found.own, found.unknown) == (None, "unknown", False, (), ())


def test_a_weekday_only_county_is_read_at_its_working_days_mean():
    values, reported = read([10, 10, 10, 10, 10, None, None] * 6)
    assert location_peak(values, reported).peak == 10


def test_a_county_silent_for_a_week_makes_the_peak_unsure_but_not_lower():
    values = np.full((2, 60), 10)
    reported = np.ones((2, 60), dtype=bool)
    talking = scope_peak(values, reported)
    reported[:, -13:] = False
    silent = scope_peak(values, reported)
    assert (talking.peak, talking.known) == (20, True)
    assert (silent.peak, silent.known, silent.unknown) == (20, False, ())
    assert silent.last_reported == (46, 46)
    assert silent.days_reported == 47


def test_two_silent_days_in_the_last_week_do_not_make_the_peak_unsure():
    reported = np.ones((3, 60), dtype=bool)
    reported[:, -2:] = False
    assert scope_peak(np.full((3, 60), 10), reported).known


def test_a_known_zero_needs_reports_not_silence():
    reported = np.ones((2, 60), dtype=bool)
    talking = scope_peak(np.zeros((2, 60), dtype=int), reported)
    assert (talking.peak, talking.basis, talking.known) == (0, "history", True)
    reported[:, -20:] = False
    silent = scope_peak(np.zeros((2, 60), dtype=int), reported)
    assert (silent.peak, silent.known) == (0, False)


def test_a_location_that_never_reported_makes_the_peak_a_lower_bound():
    reported = np.array([[True] * 40, [False] * 40])
    found = scope_peak(np.full((2, 40), 10), reported)
    assert (found.peak, found.basis, found.known, found.unknown) == (10, "lower_bound", False, (1,))


def test_a_closed_location_without_history_does_not_keep_the_peak_unknown():
    reported = np.ones((2, 60), dtype=bool)
    active = np.ones((2, 60), dtype=bool)
    active[1, 20:] = False
    found = scope_peak(np.full((2, 60), 10), reported, active=active)
    assert (found.unknown, found.known) == ((), True)


def test_days_before_a_location_opened_are_neither_filled_nor_missed():
    values = np.full((2, 60), 10)
    reported = np.ones((2, 60), dtype=bool)
    reported[1, :30] = False
    active = reported.copy()
    values[0, :10] = 90
    found = scope_peak(values, reported, active=active)
    assert (found.peak, found.window_to, found.reported_share) == (90, 9, 1)


def test_a_single_location_keeps_its_norm_where_nothing_was_reported():
    found = scope_peak(np.zeros((1, 60), dtype=int), np.zeros((1, 60), dtype=bool), norm=[40])
    assert (found.peak, found.basis, found.window_to, found.known) == (40, "norm", None, True)


def test_declared_norms_carry_a_scope_of_which_little_is_reported():
    silent, used = np.zeros(60, dtype=int), np.full(60, 10)
    values, reported = np.array([silent, silent]), np.zeros((2, 60), dtype=bool)
    found = scope_peak(values, reported, norm=[10, 100])
    assert (found.peak, found.basis, found.known) == (110, "norm", True)
    one = scope_peak(np.array([used, silent]), np.array([reported[0] | True, reported[1]]), norm=[None, 100])
    assert (one.peak, one.basis, one.known) == (110, "norm", True)
    nobody = scope_peak(values, reported, norm=[10, None])
    assert (nobody.peak, nobody.known, nobody.unknown) == (10, False, (1,))


def test_the_policy_may_choose_the_sum_of_the_peaks():
    values = np.full((2, 60), 10)
    values[0, :7] = values[1, 20:27] = 70
    found = scope_peak(values, np.ones((2, 60), dtype=bool), scope_peak="sum")
    assert (found.peak, found.window_to, found.window_filled, found.known) == (140, None, (), True)


def test_the_chosen_week_can_be_added_up_by_hand():
    values = np.array([[10] * 40, [20] * 40])
    reported = np.ones((2, 40), dtype=bool)
    values[1, 9], reported[1, 10] = 50, False
    found = scope_peak(values, reported)
    u = Fraction(5 * 20 + 50, 6)
    assert found.own[1].peak == u
    assert (found.window_from, found.window_to) == (9, 15)
    assert found.window_filled == (60, 10 + u, 30, 30, 30, 30, 30)
    assert found.peak == sum(found.window_filled) / 7


def test_a_day_far_out_of_the_usual_is_flagged_and_stays_in():
    values = [9, 10, 11, 10, 9, 11, 10] * 5
    values[17] = 1000
    found = scope_peak([values, [0] * 35], np.ones((2, 35), dtype=bool))
    assert found.flagged == ((0, 17),)
    assert found.peak > 100


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 12), st.integers(0, 10**15)), min_size=1, max_size=20))
@example([10, 10, 10, 100])
@example([10, 10, 10, 101])
def test_outliers_are_those_beyond_ten_robust_deviations(values):
    positive = [Fraction(x) for x in values if x > 0]
    flagged = ()
    if positive:
        m = median(positive)
        mad = median(abs(x - m) for x in positive)
        limit = m + 10 * Fraction("1.4826") * mad if mad else 10 * m
        flagged = tuple((0, day) for day, x in enumerate(values) if x > limit)
    assert scope_peak([values], np.ones((1, len(values)), dtype=bool)).flagged == flagged


YEAR = np.random.default_rng(7).poisson(40, 365)


def by(method, values=YEAR, **settings_):
    return location_peak(values, np.ones(len(values), dtype=bool), method=method, **settings_).peak


def test_every_method_reads_the_same_year_in_its_own_way():
    weeks = np.convolve(YEAR, np.ones(7), "valid") / 7
    months = np.convolve(YEAR, np.ones(30), "valid") / 30
    assert by("rolling_mean_max") == pytest.approx(weeks.max(), abs=1e-9)
    assert by("rolling_mean_max:30") == pytest.approx(months.max(), abs=1e-9)
    assert by("rolling_mean_quantile:0.99") == pytest.approx(np.quantile(weeks, 0.99), abs=1e-9)
    assert by("day_max") == YEAR.max()
    assert by("day_quantile:0.95") == pytest.approx(np.quantile(YEAR, 0.95), abs=1e-9)
    assert by("mean") == Fraction(int(YEAR.sum()), 365)
    assert by("norm", norm=40) == 40
    assert by("norm") is None


def test_a_float_is_rounded_up_to_a_millionth():
    days = YEAR.tolist()
    exact = mean(days) + NormalDist().inv_cdf(0.95) * stdev(days) / sqrt(365 / 7)
    found = by("mean_upper:0.95")
    assert 0 <= found - Fraction(exact) <= Fraction(2, 10**6)
    assert (found * 10**6).denominator == 1


@pytest.mark.parametrize(
    "method", ["rolling_mean_max:30", "rolling_mean_quantile", "day_max", "day_quantile", "mean", "mean_upper", "norm"]
)
def test_a_scope_of_one_reporting_location_has_that_locations_peak_by_any_method(method):
    every = np.ones((1, 365), dtype=bool)
    found = scope_peak(YEAR[None], every, method=method, norm=[50])
    assert found.peak == location_peak(YEAR, every[0], method=method, norm=50).peak
    assert found.known


def test_norms_of_a_scope_add_up_and_do_not_need_reports():
    found = scope_peak(np.zeros((2, 60), int), np.zeros((2, 60), bool), norm=[40, Fraction(1, 2)], method="norm")
    assert (found.peak, found.basis, found.known) == (Fraction(81, 2), "norm", True)


@pytest.mark.parametrize(
    "method",
    [
        "median",
        "",
        "rolling_mean_max:0",
        "rolling_mean_max:x",
        "day_max:3",
        "mean_upper:1.5",
        "norm:4",
        "day_quantile:0",
    ],
)
def test_an_unknown_method_is_refused_with_the_list_of_those_there_are(method):
    with pytest.raises(ValueError, match="Use rolling_mean_max"):
        parse_method(method)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [([1, -1], "negative"), ([1.0, 2.5], "whole units"), ([1, 2, 3], "same shape"), ([1, None], "whole units")],
)
def test_quantities_that_cannot_be_are_refused_at_the_door(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        location_peak(values, [True, True])


def test_a_hospital_that_closed_long_ago_or_opens_next_month_makes_nobody_unknown():
    used, told = [[10] * 60, [0] * 60], np.array([[True] * 60, [False] * 60])
    found = scope_peak(used, told, active=np.array([[True] * 60, [False] * 60]))
    assert (found.peak, found.unknown, found.known) == (10, (), True)
