"""Dated stock along paths of use: worked cases, the same lot by lot on paper, and what must hold of any path."""

import math
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from on_paper import Plain, cases, close, lots_of, peaks, plain_days, stocks

from forecasting import many
from forecasting.depletion import at_peak, cover
from forecasting.many import deplete_many
from forecasting.paths import coverage_along, deplete, first_below, pool_along, project

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


def apart(lots):
    return [units for units, _ in lots], [life for _, life in lots]


def near(number):
    """Numbers are small here and float64 all but exact."""
    return pytest.approx(float(number), abs=1e-9)


def assert_near(found, expected):
    for numbers, hand in zip(found, expected, strict=True):
        np.testing.assert_allclose(numbers, np.array(hand, dtype=float), rtol=0, atol=1e-9)


def follow_on_paper(lots, days, arrivals, peak):
    """(on hand, days of coverage, wasted so far, unmet) for the start of each day of one path, and the day after."""
    stock, wasted = Plain(lots), 0
    for day, asked in enumerate([*days, 0]):
        wasted += stock.expire(day)
        stock.receive(
            (units, life) for units, at, life in arrivals if max(0, at) == day and (life is None or life > day)
        )
        coverage = plain_days(stock.seen_from(day), peak)[0]
        on_hand = stock.on_hand()
        yield on_hand, coverage, wasted, stock.issue(asked)


uses = st.lists(st.lists(st.one_of(st.just(0), st.integers(0, 40)), min_size=9, max_size=9), min_size=1, max_size=2)


@pytest.mark.long
@settings(max_examples=800, deadline=None)
@given(lots=stocks, use=uses, peak=peaks)
def test_every_path_equals_issuing_it_day_by_day_on_paper(lots, use, peak):
    state = deplete(*apart(lots), use)
    coverage = coverage_along(*apart(lots), state.on_hand, peak)
    for path, days in enumerate(use):
        on_hand, worth, wasted, unmet = zip(*follow_on_paper(lots, days, [], peak), strict=True)
        assert_near((state.on_hand[path], coverage[path], state.waste[path]), (on_hand, worth, wasted))
        assert state.whole_days[path] == next((day for day, missing in enumerate(unmet) if missing), len(days))


arrivals_ = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(-1, 11),
        st.one_of(st.none(), st.integers(0, 14), st.integers(10, 60), st.just(math.inf)),
    ),
    max_size=5,
)


@pytest.mark.long
@settings(max_examples=800, deadline=None)
@given(lots=stocks, use=uses, peak=peaks, arrivals=arrivals_)
@example(lots=[(100, None)], use=[[10] * 9], peak=Fraction(10), arrivals=[(30, 1, 3)])
@example(lots=[(5, 12)], use=[[0] * 9], peak=Fraction(1), arrivals=[(50, 2, 11), (7, 2, 10), (7, 3, None)])
@example(lots=[], use=[[3] * 9], peak=Fraction(3), arrivals=[(9, 0, 1), (9, 0, 2)])
def test_a_projection_equals_stock_and_arrivals_followed_day_by_day_on_paper(lots, use, peak, arrivals):
    found = project(*apart(lots), use, peak=peak, arrivals=arrivals)
    for path, days in enumerate(use):
        on_hand, worth, wasted, unmet = zip(*follow_on_paper(lots, days, arrivals, peak), strict=True)
        seen = (found.on_hand[path], found.coverage[path], found.waste[path], found.unmet[path])
        assert_near(seen, (on_hand, worth, wasted, unmet[:-1]))


NOTHING_THAT_ENDS_TODAY = (0, 0, 1)
"""Changes nothing, and has everything followed expiry day by expiry day."""


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    lots=stocks,
    use=uses,
    peak=st.one_of(st.none(), peaks),
    arrivals=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 11), st.sampled_from([None, math.inf, 10**9])), max_size=4
    ),
)
def test_arrivals_that_last_give_the_same_whichever_way_they_are_followed(lots, use, peak, arrivals):
    quick = project(*apart(lots), use, peak=peak, arrivals=arrivals)
    slow = project(*apart(lots), use, peak=peak, arrivals=[*arrivals, NOTHING_THAT_ENDS_TODAY])
    assert_same(quick, slow, 1e-9)


def assert_same(one, other, tolerance):
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            assert np.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=tolerance)


def drawn(seed, size=1, count=300, days=90, lots=50):
    """Stock, lives, use and a peak of the size a city has."""
    rng = np.random.default_rng(seed)
    quantity = np.floor(rng.integers(0, 2000, lots) * size)
    life = rng.integers(-5, rng.choice([30, 100, 900]), lots).astype(float)
    life[rng.random(lots) < 0.2] = math.inf
    return quantity, life, np.floor(rng.gamma(0.5, 600, (count, days)) * size), float(rng.integers(100, 1500) * size)


@pytest.mark.parametrize("size", [1, 10**6, 10**12])
@pytest.mark.parametrize("seed", range(6))
def test_both_ways_agree_at_the_size_of_a_city_and_of_a_billion_cities(seed, size):
    quantity, life, use, peak = drawn(seed, size)
    arrivals = [(float(2000 * size * n), 9 * n, None) for n in range(9)]
    quick = project(quantity, life, use, peak=peak, arrivals=arrivals)
    slow = project(quantity, life, use, peak=peak, arrivals=[*arrivals, NOTHING_THAT_ENDS_TODAY])
    assert_same(quick, slow, 1e-9 * size)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_or_made_along_a_path(seed):
    quantity, life, use, peak = drawn(seed)
    rng = np.random.default_rng(seed)
    arrivals = [(float(rng.integers(0, 9000)), int(rng.integers(0, 90)), int(rng.integers(90, 130))) for _ in range(20)]
    found = project(quantity, life, use, peak=peak, arrivals=arrivals)
    came = np.cumsum([sum(units for units, day, _ in arrivals if day == today) for today in range(91)])
    used = np.cumsum(np.pad(use - found.unmet, ((0, 0), (1, 0))), axis=1)
    usable = quantity[life > 0].sum()
    np.testing.assert_allclose(found.on_hand + used + found.waste, usable + came[None] + np.zeros((300, 1)), rtol=1e-12)
    assert (np.diff(found.waste, axis=1) >= 0).all()
    assert (found.unmet >= 0).all()
    assert (found.on_hand >= 0).all()
    assert (found.coverage <= found.on_hand / peak + 1e-9).all()


@settings(max_examples=600, deadline=None)
@given(
    lots=stocks,
    use=uses,
    peak=peaks,
    arrivals=arrivals_,
    more=st.tuples(st.integers(0, 60), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 40))),
    later=st.integers(0, 9),
)
def test_another_arrival_or_a_later_end_never_leaves_less(lots, use, peak, arrivals, more, later):
    units, day, life = more
    without = project(*apart(lots), use, peak=peak, arrivals=arrivals)
    with_it = project(*apart(lots), use, peak=peak, arrivals=[*arrivals, more])
    longer = project(
        *apart(lots), use, peak=peak, arrivals=[*arrivals, (units, day, None if life is None else life + later)]
    )
    for less, as_much in ((without, with_it), (with_it, longer)):
        assert (as_much.coverage >= less.coverage - 1e-9).all()
        assert (as_much.on_hand >= less.on_hand - 1e-9).all()
        assert (as_much.unmet <= less.unmet + 1e-9).all()


@settings(max_examples=400, deadline=None)
@given(lots=stocks, use=uses, peak=peaks, arrivals=arrivals_, at=st.integers(0, 8), extra=st.integers(0, 40))
def test_more_use_never_leaves_more(lots, use, peak, arrivals, at, extra):
    busier = [[*days[:at], days[at] + extra, *days[at + 1 :]] for days in use]
    calm = project(*apart(lots), use, peak=peak, arrivals=arrivals)
    busy = project(*apart(lots), busier, peak=peak, arrivals=arrivals)
    assert (busy.on_hand <= calm.on_hand + 1e-9).all()
    assert (busy.coverage <= calm.coverage + 1e-9).all()
    assert (busy.waste <= calm.waste + 1e-9).all()


@settings(max_examples=300, deadline=None)
@given(lots=stocks, peak=peaks)
def test_a_path_at_the_peak_is_the_chart_of_the_exact_answer(lots, peak):
    chart = at_peak(lots, peak, 20)
    found = project(*apart(lots), [[float(peak)] * 20], peak=peak)
    assert found.on_hand[0] == pytest.approx([float(units) for units in chart.on_hand], abs=1e-9)
    assert found.coverage[0] == pytest.approx([float(days) for days in chart.coverage], abs=1e-9)
    assert found.coverage[0, 0] == near(cover(lots, peak, 0).days)


@settings(max_examples=300, deadline=None)
@given(lots=stocks, use=uses, coming=st.lists(st.integers(0, 60), min_size=10, max_size=10))
def test_arrivals_that_last_are_spent_after_the_dated_stock(lots, use, coming):
    state = deplete(*apart(lots), use)
    pool = pool_along(state, use, coming)
    whole = project(*apart(lots), use, arrivals=[(units, day, None) for day, units in enumerate(coming)])
    np.testing.assert_allclose(state.on_hand + pool.on_hand, whole.on_hand, atol=1e-9)
    np.testing.assert_allclose(pool.unmet, whole.unmet, atol=1e-9)


def test_a_projection_without_a_peak_or_at_none_has_no_days_of_coverage():
    for peak in (None, 0, Fraction(0)):
        for arrivals in (None, [(5, 1, 2)]):
            assert project([5], [3], [[1, 1]], peak=peak, arrivals=arrivals).coverage is None


def test_what_arrives_expired_or_after_the_horizon_counts_nowhere():
    plain = project([5], [3], [[1, 1]], peak=1)
    assert_same(project([5], [3], [[1, 1]], peak=1, arrivals=[(9, 1, 1), (9, 2, 0), (9, 3, None), (9, 3, 4)]), plain, 0)


def test_an_overdue_arrival_is_there_on_day_0():
    assert project([0], [3], [[1, 1]], arrivals=[(5, -3, None)]).on_hand.tolist() == [[5, 4, 3]]


# -- many series at once ----------------------------------------------------------------------------------------------

WAYS = [
    "numpy",
    pytest.param("compiled", marks=pytest.mark.skipif(find_spec("numba") is None, reason="the extra is not installed")),
]

fleets = st.lists(st.tuples(stocks, uses), min_size=1, max_size=4)


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
@settings(max_examples=250, deadline=None)
@given(fleet=fleets)
def test_many_series_at_once_are_each_what_they_are_alone(kind, fleet, by):
    fewest = min(len(use) for _, use in fleet)
    use = np.array([use[:fewest] for _, use in fleet], dtype=kind)
    series = [row for row, (lots, _) in enumerate(fleet) for _ in lots]
    units, ends = apart([lot for lots, _ in fleet for lot in lots])
    stock = many.stocks(np.array(series, dtype=np.int64), units, ends, count=len(fleet), horizon=9)
    found = deplete_many(stock, np.moveaxis(use, 2, 0), by=by)
    for row, (lots, _) in enumerate(fleet):
        alone = deplete(*apart(lots), use[row])
        assert found.whole_days[row].tolist() == alone.whole_days.tolist()
        assert found.waste[row].tolist() == alone.waste[:, -1].tolist()


def drawn_many(size, horizon=90, series=5, count=40, kind=np.float64):
    rng = np.random.default_rng(1)
    rows = np.repeat(np.arange(series), 50)
    quantity = rng.integers(0, 2000, len(rows)) * size
    life = rng.integers(-3, horizon * 2, len(rows))
    use = (rng.integers(0, 1500, (horizon, series, count)) * size).astype(kind)
    return rows, quantity, life, use


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("size", [1, 10**6, 10**12])
@pytest.mark.parametrize("horizon", [1, 90, 255, 256, 400])
def test_many_series_agree_with_each_alone_at_any_size_and_horizon(size, horizon, by):
    rows, quantity, life, use = drawn_many(size, horizon)
    stock = many.stocks(rows, quantity, life, count=5, horizon=horizon)
    found = deplete_many(stock, use, by=by)
    for row in range(5):
        alone = deplete(quantity[rows == row], life[rows == row], use[:, row].T)
        assert found.whole_days[row].tolist() == alone.whole_days.tolist()
        assert found.waste[row].tolist() == alone.waste[:, -1].tolist()


def test_days_of_many_series_may_be_drawn_as_they_are_asked_for_and_arrays_used_again():
    rows, quantity, life, use = drawn_many(1, kind=np.float32)
    stock = many.stocks(rows, quantity, life, count=5, horizon=90)
    whole = deplete_many(stock, use)
    again = deplete_many(stock, use[::-1])
    found = deplete_many(stock, (use[day] for day in range(90)), out=again)
    assert found.waste is again.waste
    assert found.waste.dtype == np.float32
    assert (found.whole_days == whole.whole_days).all()
    assert (found.waste == whole.waste).all()


# -- first passage ----------------------------------------------------------------------------------------------------


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


def test_the_look_ahead_and_the_shares_are_counted_over_all_paths():
    coverage = [[30, 30, 29], [30, 29, 28], [29, 29, 29], [30, 30, 30]]
    assert [first_below(coverage, 30, look_ahead_days=day).probability for day in range(3)] == [0.25, 0.5, 0.75]
    assert first_below(coverage, 30, quantiles=(0, 0.25, 0.5, 0.75, 0.76, 1)).quantiles == (0, 0, 1, 2, None, None)
    assert first_below([[math.inf, 31]], Fraction(61, 2)).day.tolist() == [-1]


# -- what cannot be, and what is merely large -------------------------------------------------------------------------

NAN, INF, HUGE = math.nan, math.inf, 10**15
TWO = many.stocks([0, 1], [5, 6], [3, 4], count=2, horizon=1)

REFUSED = [
    ("quantity", lambda: deplete([NAN], [1], [1])),
    ("quantity", lambda: deplete([INF], [1], [1])),
    ("quantity", lambda: deplete([-1], [1], [1])),
    ("quantity", lambda: deplete([1e19], [1], [1])),
    ("quantity and life", lambda: deplete([1, 2], [1], [1])),
    ("quantity and life", lambda: deplete(5, 1, [1])),
    ("life", lambda: deplete([1], [NAN], [1])),
    ("life", lambda: deplete([1], np.array([NAN]), [1])),
    ("life", lambda: deplete([1], [2.5], [1])),
    ("life", lambda: deplete([1], [-INF], [1])),
    ("demand", lambda: deplete([1], [1], [NAN])),
    ("demand", lambda: deplete([1], [1], [INF])),
    ("demand", lambda: deplete([1], [1], [[1], [-0.5]])),
    ("demand", lambda: deplete([1], [1], [[[1]]])),
    ("demand", lambda: project([1], [1], [NAN], peak=1)),
    ("peak", lambda: project([1], [1], [1], peak=-1)),
    ("peak", lambda: project([1], [1], [1], peak=NAN)),
    ("peak", lambda: project([1], [1], [1], peak=INF)),
    ("peak", lambda: project([1], [1], [1], peak=1e-300)),
    ("peak", lambda: project([1], [1], [1], peak=Fraction(1, 10**400))),
    ("peak", lambda: project([1], [1], [1], peak=10**400)),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(NAN, 0, None)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(-1, 0, None)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(INF, 0, None)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(1, 0.5, None)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(1, NAN, None)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(1, 0, NAN)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(1, 0, 1.5)])),
    ("arrivals", lambda: project([1], [1], [1], arrivals=[(1, 0, -INF)])),
    ("on_hand", lambda: coverage_along([1], [1], [NAN], 1)),
    ("on_hand", lambda: coverage_along([1], [1], [-1], 1)),
    ("peak", lambda: coverage_along([1], [None], [[1.0]], 0)),
    ("peak", lambda: coverage_along([1], [None], [[1.0]], NAN)),
    ("arrivals", lambda: pool_along(deplete([1], [1], [1]), [1], [1])),
    ("arrivals", lambda: pool_along(deplete([1], [1], [1]), [1], [0, NAN])),
    ("demand", lambda: pool_along(deplete([1], [1], [1]), [1, 1], [0, 0])),
    ("coverage", lambda: first_below([[1, NAN]], 1)),
    ("coverage", lambda: first_below([[1, -1]], 1)),
    ("coverage", lambda: first_below(np.empty((0, 5)), 1)),
    ("coverage", lambda: first_below(np.empty((5, 0)), 1)),
    ("required_days", lambda: first_below([[1]], NAN)),
    ("required_days", lambda: first_below([[1]], -1)),
    ("quantiles", lambda: first_below([[1]], 1, [NAN])),
    ("quantiles", lambda: first_below([[1]], 1, [1.5])),
    ("look_ahead_days", lambda: first_below([[1, 1]], 1, look_ahead_days=2)),
    ("look_ahead_days", lambda: first_below([[1, 1]], 1, look_ahead_days=-1)),
    ("series", lambda: many.stocks([2], [1], [1], count=2, horizon=1)),
    ("series", lambda: many.stocks([-1], [1], [1], count=2, horizon=1)),
    ("series", lambda: many.stocks([0.5], [1], [1], count=2, horizon=1)),
    ("series", lambda: many.stocks([0, 1], [1], [1], count=2, horizon=1)),
    ("horizon", lambda: many.stocks([0], [1], [1], count=1, horizon=-1)),
    ("quantity", lambda: many.stocks([0], [NAN], [1], count=1, horizon=1)),
    ("demand", lambda: deplete_many(TWO, [])),
    ("demand", lambda: deplete_many(TWO, np.ones((1, 3, 1)))),
    ("demand", lambda: deplete_many(TWO, np.ones((2, 2, 1)))),
    ("demand", lambda: deplete_many(TWO, np.full((1, 2, 1), NAN))),
    ("demand", lambda: deplete_many(TWO, np.full((1, 2, 1), -1.0))),
    ("demand", lambda: deplete_many(TWO, np.full((1, 2, 1), INF))),
    ("demand", lambda: deplete_many(TWO, [np.ones((2, 1))] * 2)),
    ("demand", lambda: deplete_many(many.stocks([0], [1], [1], count=1, horizon=2), [np.ones((1, 1))])),
    ("demand and stock", lambda: deplete_many(TWO, np.full((1, 2, 1), 2**24, np.float32))),
    ("by", lambda: deplete_many(TWO, np.ones((1, 2, 1)), by="hand")),
    ("out", lambda: deplete_many(TWO, np.ones((1, 2, 2)), out=deplete_many(TWO, np.ones((1, 2, 1))))),
]


@pytest.mark.parametrize(("name", "wrong"), REFUSED)
def test_a_number_that_cannot_be_is_refused_by_name(name, wrong):
    with pytest.raises(ValueError, match=f"^{name}.* must "):
        wrong()


def test_no_paths_and_no_days_are_answered_with_none():
    none = project([5], [3], np.empty((0, 4)), peak=1, arrivals=[(5, 1, 2)])
    assert [array.shape for array in none] == [(0, 5), (0, 5), (0, 5), (0, 4)]
    now = project([5, 9], [3, 0], np.empty((2, 0)), peak=2, arrivals=[(5, 0, 1)])
    assert (now.on_hand.tolist(), now.coverage.tolist(), now.unmet.shape) == ([[10], [10]], [[3], [3]], (2, 0))
    assert project([], [], [[1]], peak=1).unmet.tolist() == [[1]]


MILLION = np.arange(10**6)

LARGE = [
    ("a quantity of 10^15", [HUGE, 7], [40, None], [(7, 3, 30)]),
    ("a life of 10^9 days", [HUGE, 7], [10**9, 10**9 + 1], [(HUGE, 3, 10**9 - 1)]),
    ("a million lots", MILLION % 97, 1 + MILLION % 3650, [(10**6, 3, 60)]),
    ("a million lots, each with a life of its own", np.full(10**6, HUGE), 1 + 1000 * MILLION, [(10**6, 3, 60)]),
]


@pytest.mark.parametrize(
    ("quantity", "life", "arrivals"), [case[1:] for case in LARGE], ids=[case[0] for case in LARGE]
)
@pytest.mark.parametrize("peak", [Fraction(1, 10**6), 1, Fraction(10**18, 7)])
def test_stock_of_any_size_has_its_days_of_coverage(quantity, life, arrivals, peak):
    use = np.array([[0.0] * 90, [float(peak)] * 90])
    found = project(quantity, life, use, peak=peak, arrivals=arrivals)
    exact = [(int(units), None if end is None else int(end)) for units, end in zip(quantity, life, strict=True)]
    assert found.coverage[:, 0].tolist() == pytest.approx([float(cover(exact, peak, 0).days)] * 2, rel=1e-9)
    assert all(np.isfinite(array).all() for array in found)
    alone = deplete(quantity, life, use)
    np.testing.assert_allclose(found.on_hand[:, :3], alone.on_hand[:, :3], rtol=1e-9)


def test_a_few_units_beside_very_many_that_end_before_them_keep_their_days():
    assert project([HUGE, 3], [2, None], [[0, 0, 0]], peak=1).coverage[0].tolist() == [5, 4, 3, 3 - 0.0]
    late = project([HUGE, 3], [2, None], [[0, 0, 0]], peak=1, arrivals=[(1, 0, 3)])
    assert late.coverage[0].tolist() == [6, 5, 4, 3]


def test_a_hundred_years_of_days_are_followed():
    use = np.ones((2, 36_525))
    found = project([20_000], [None], use, peak=1, arrivals=[(10_000, 100, 15_000)])
    assert found.on_hand[0, [0, 100, 15_000, 29_999, 36_525]].tolist() == [20_000, 29_900, 15_000, 1, 0]
    assert found.unmet.sum() == 2 * 6_525
    assert first_below(found.coverage, 30).day.tolist() == [29_971, 29_971]
