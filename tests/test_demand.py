"""Demand to come: worked cases, the text's formulas done slowly, what must hold of any history, and bad input."""

import json
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from forecasting import demand
from forecasting.demand import Pattern, corrected, fill, moments, paths, pattern, probability_at_most, quantiles

CASES = json.loads((Path(__file__).parent / "cases" / "09_demand_quantiles.json").read_text(encoding="utf-8"))["cases"]
P = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]


def cases(key):
    found = [pytest.param(case, id=case["name"]) for case in CASES if key in case["inputs"]]
    assert found
    return found


@pytest.mark.parametrize("case", cases("history"))
def test_the_sum_of_the_next_days_is_worked_out_by_hand(case):
    given_, expected = case["inputs"], case["expected"]
    found = moments(given_["history"], given_["horizon"], given_["window"])
    for name in ("level", "mean", "variance"):
        if name in expected:
            assert getattr(found, name)[0] == pytest.approx(expected[name], abs=case["tolerance"])
    assert quantiles(found.mean, found.variance, given_["p"])[0].tolist() == expected["quantiles"]


@pytest.mark.parametrize("case", cases("mean"))
def test_quantiles_agree_with_the_tables(case):
    given_ = case["inputs"]
    assert quantiles(given_["mean"], given_["variance"], given_["p"])[0].tolist() == case["expected"]["quantiles"]


@pytest.mark.parametrize("case", cases("values"))
def test_holes_are_filled_as_worked_out_by_hand(case):
    values, censored = case["inputs"]["values"], case["inputs"]["censored"]
    found = fill(values, [x is not None for x in values], censored)
    assert found.values[0].tolist() == case["expected"]["filled"]
    assert found.share[0] == pytest.approx(case["expected"]["share_filled"], abs=case["tolerance"])


# The same, done slowly and straight from the text.


def filled_slowly(values, reported, censored, season):
    usable = [r and not c for r, c in zip(reported, censored, strict=True)]
    seen = [v for v, u in zip(values, usable, strict=True) if u]
    answer = []
    for t, value in enumerate(values):
        if usable[t]:
            answer.append(value)
            continue
        before = [values[s] for s in range(t % season, t, season) if usable[s]][-8:] or seen
        estimate = sum(before) / len(before) if before else 0.0
        answer.append(max(value, estimate) if reported[t] else estimate)
    return answer


def moments_slowly(history, horizon, window):
    length = min(window, len(history))
    if length < 2 * horizon:
        h = max(1, length // 3)
        level, mean, variance = moments_slowly_for(history, h, length)
        mean, variance = mean * horizon / h, variance * (horizon / h) ** 2
        return level, mean, max(variance, 1.001 * mean)
    return moments_slowly_for(history, horizon, length)


def moments_slowly_for(history, h, length):
    rate, k = 1 - 0.5 ** (1 / (1.5 * h)), max(1, min(int(1.5 * h), len(history) // 3))
    level = sum(history[:k]) / k
    for x in history[k:]:
        level += rate * (x - level)
    kept = history[-length:]
    window_mean, n = sum(kept) / length, length / h
    sums = [sum(kept[i : i + h]) for i in range(length - h + 1)]
    middle = sum(sums) / len(sums)
    spread = sum((s - middle) ** 2 for s in sums) / len(sums)
    mean = h * (level + window_mean) / 2
    variance = spread * (1 + 1 / n) * (n - 1) / max(n - 3, 1) + (h * (level - window_mean)) ** 2 / 4
    return level, mean, max(variance, 1.001 * mean)


units = st.one_of(st.integers(0, 5), st.integers(0, 10_000), st.floats(0, 1e6, allow_subnormal=False))
histories = st.lists(units, min_size=1, max_size=120)


@st.composite
def reports(draw):
    length = draw(st.integers(1, 60))
    flags = st.lists(st.booleans(), min_size=length, max_size=length)
    values = draw(st.lists(st.integers(0, 1000), min_size=length, max_size=length))
    return values, draw(flags), draw(flags), draw(st.integers(1, 8))


@settings(max_examples=200, deadline=None)
@given(reports())
def test_holes_are_filled_as_the_text_says(report):
    values, reported, censored, season = report
    found = fill(values, reported, censored, season=season).values[0]
    assert found.tolist() == pytest.approx(filled_slowly(values, reported, censored, season))


@settings(max_examples=200, deadline=None)
@given(histories, st.integers(1, 40), st.integers(1, 150))
@example([0.0] * 30 + [7.0], 30, 365)
def test_moments_are_what_the_text_says(history, horizon, window):
    found = moments(history, horizon, window)
    level, mean, variance = moments_slowly(history, horizon, window)
    assert found.level[0] == pytest.approx(level, rel=1e-9, abs=1e-9)
    assert found.mean[0] == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert found.variance[0] == pytest.approx(variance, rel=1e-6, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(histories, min_size=1, max_size=4), st.integers(1, 20))
def test_a_series_has_the_same_answer_alone_and_among_others(rows, horizon):
    longest = max(len(row) for row in rows)
    together = np.array([[0.0] * (longest - len(row)) + row for row in rows])
    found = moments(together, horizon, 100)
    for i, row in enumerate(together):
        alone = moments(row, horizon, 100)
        assert (alone.mean[0], alone.variance[0]) == pytest.approx((found.mean[i], found.variance[i]))


# Quantiles.


@settings(max_examples=200, deadline=None)
@given(st.floats(0.001, 5000), st.floats(1.001, 300), st.floats(0.001, 0.999))
@example(2.0, 50.0, 0.999)
@example(9000.0, 1.001, 0.001)
def test_a_quantile_is_the_smallest_whole_number_that_is_enough(mean, ratio, p):
    variance = min(mean * ratio, 1e4)
    (answer,) = quantiles(mean, variance, p)[0]
    law = stats.nbinom(mean**2 / (variance - mean), mean / variance)
    assert answer == int(answer)
    assert law.cdf(answer) >= p * (1 - 1e-9)
    assert answer == 0 or law.cdf(answer - 1) < p * (1 + 1e-9)


@settings(max_examples=200, deadline=None)
@given(st.floats(11, 1e15), st.floats(1.01, 1e3), st.floats(0.01, 0.99))
def test_large_quantiles_are_those_of_the_gamma_rounded_up(mean, ratio, p):
    variance = max(mean * ratio, 2e4)
    expected = stats.gamma.ppf(p, mean**2 / variance, scale=variance / mean)
    (answer,) = quantiles(mean, variance, p)[0]
    assert answer == (pytest.approx(ceil(expected), rel=1e-12) if expected >= 1 else pytest.approx(0.5, abs=0.5))


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e6), st.floats(1, 1e4))
def test_quantiles_never_fall_in_p(mean, ratio):
    answer = quantiles(mean, max(mean * ratio, 1e-9), sorted({*P, 0.001, 0.3, 0.999}))[0]
    assert (np.diff(answer) >= 0).all()


@settings(max_examples=200, deadline=None)
@given(st.floats(0.01, 1e5), st.floats(1.1, 100), st.sampled_from(P))
def test_more_is_expected_more_is_needed(mean, ratio, p):
    """At the same size, a larger mean is stochastically larger."""
    size = mean / (ratio - 1)
    means = mean * np.array([1.0, 1.3, 2.0])
    answer = quantiles(means, means + means**2 / size, p)[:, 0]
    assert answer[1] >= answer[0] - 1
    assert answer[2] >= answer[1] - 1


@settings(max_examples=200, deadline=None)
@given(histories.filter(any), st.integers(2, 50))
def test_a_history_in_smaller_units_has_a_mean_as_many_times_as_large(history, times):
    """A box of 50 or fifty pieces: the same use."""
    boxes, pieces = moments(history, 5, 60), moments(np.array(history) * times, 5, 60)
    assert pieces.mean[0] == pytest.approx(times * boxes.mean[0])
    assert pieces.variance[0] <= times**2 * boxes.variance[0] * (1 + 1e-9)


def test_what_was_never_used_is_not_expected():
    found = moments(np.zeros((2, 200)), 30)
    assert quantiles(found.mean, found.variance, P).tolist() == [[0.0] * len(P)] * 2
    flat = pattern(np.zeros(200), 0.0, 0.0)
    assert flat.factors.tolist() == [1.0] * 7
    assert paths(0.0, 0.0, flat, 10, np.random.default_rng(1), count=3).tolist() == [[0.0] * 10] * 3


@settings(max_examples=200, deadline=None)
@given(st.floats(0.5, 2000), st.floats(1.1, 50), st.integers(-1, 300))
def test_the_probability_of_at_most_some_units_is_that_of_the_negative_binomial(mean, ratio, y):
    law = stats.nbinom(mean / (ratio - 1), 1 / ratio)
    assert probability_at_most(mean, mean * ratio, [y])[0] == pytest.approx(law.cdf(y), abs=1e-9)


def test_probabilities_of_huge_quantities_stay_numbers():
    means, variances = np.array([3e16, 3e16, 1e8]), np.array([3.003e16, 9e20, 1.2e8])
    median = quantiles(means, variances, 0.5)[:, 0]
    assert probability_at_most(means, variances, median) == pytest.approx(0.5, abs=1e-3)


# Filling.


@settings(max_examples=200, deadline=None)
@given(reports(), st.integers(0, 59), st.integers(0, 10_000))
def test_a_later_day_does_not_change_what_an_earlier_one_was_filled_with(report, cut, other):
    """Except where no day of the same weekday had been seen: that one takes the mean of all."""
    values, reported, censored, season = report
    cut = min(cut, len(values))
    changed = values[:cut] + [other] * (len(values) - cut)
    before = fill(values, reported, censored, season=season).values[0]
    after = fill(changed, reported, censored, season=season).values[0]
    usable = [r and not c for r, c in zip(reported, censored, strict=True)]
    for t in range(cut):
        if usable[t] or any(usable[s] for s in range(t % season, t, season)):
            assert before[t] == after[t]


@settings(max_examples=200, deadline=None)
@given(reports())
def test_only_holes_are_filled_and_a_lower_bound_is_never_lowered(report):
    values, reported, censored, season = report
    found = fill(values, reported, censored, season=season)
    for value, r, c, new, marked in zip(values, reported, censored, found.values[0], found.filled[0], strict=True):
        assert new >= value or not r
        if r and not c:
            assert (new, marked) == (value, False)
        elif r:
            assert marked == (new > value)
        else:
            assert marked


def test_a_location_not_yet_open_needs_no_filling():
    found = fill([0, 0, 7, 0, 9], [0, 0, 1, 0, 1], active=[0, 0, 1, 1, 1], season=1)
    assert found.values.tolist() == [[0, 0, 7, 7, 9]]
    assert found.share == pytest.approx([1 / 3])


def test_a_location_that_never_reported_is_all_estimate():
    found = fill([[5, 5], [0, 0]], [[1, 1], [0, 0]])
    assert found.values.tolist() == [[5, 5], [0, 0]]
    assert found.share.tolist() == [0, 1]


def test_the_share_looks_at_the_latest_days_only():
    reported = [False] * 50 + [True] * 91
    assert fill([3] * 141, reported).share.tolist() == [0]
    assert fill([3] * 141, reported[::-1]).share == pytest.approx([50 / 91])


def test_filling_leaves_the_callers_array_alone():
    mine = np.array([[1.0, 2.0, 3.0]])
    fill(mine, [[1, 0, 1]])
    assert mine.tolist() == [[1, 2, 3]]


# The pool.


def test_fewer_than_a_hundred_series_are_left_as_they_are():
    rng = np.random.default_rng(3)
    pool = rng.poisson(4.0, (99, 200)).astype(float)
    pool[:, -30:] *= 3
    found = moments(pool, 30, 180)
    assert corrected(pool, 30, 180, P).tolist() == quantiles(found.mean, found.variance, P).tolist()


def test_a_pool_that_was_exceeded_everywhere_is_widened():
    rng = np.random.default_rng(3)
    pool = rng.poisson(4.0, (120, 200)).astype(float)
    pool[:, -30:] *= 3
    found = moments(pool, 30, 180)
    plain, wide = quantiles(found.mean, found.variance, P), corrected(pool, 30, 180, P)
    raised = [P.index(p) for p in demand.POOLED]
    assert (wide[:, raised] > plain[:, raised]).all()
    assert wide[:, : P.index(0.75)].tolist() == plain[:, : P.index(0.75)].tolist()
    assert (np.diff(wide, axis=1) >= 0).all()
    assert (wide == np.floor(wide)).all()


def test_a_pool_that_held_is_not_touched():
    pool = np.random.default_rng(3).poisson(4.0, (120, 400)).astype(float)
    found = moments(pool, 30, 365)
    assert corrected(pool, 30, 365, P).tolist() == quantiles(found.mean, found.variance, P).tolist()


def test_a_raised_quantile_would_have_held_as_promised_h_periods_ago():
    rng = np.random.default_rng(5)
    pool = rng.poisson(rng.uniform(0.2, 6.0, 150)[:, None], (150, 200)).astype(float)
    pool[:, -60:] *= 2
    then = moments(pool[:, :-30], 30, 180)
    plain = quantiles(then.mean, then.variance, P)
    now = moments(pool, 30, 180)
    added = corrected(pool, 30, 180, P) - quantiles(now.mean, now.variance, P)
    came = pool[:, -30:].sum(axis=1)
    for n in (P.index(p) for p in demand.POOLED):
        assert (came <= plain[:, n]).mean() < P[n] - 0.05
        # what is added grows with the root of the mean: the least whole share of it, by the largest series
        shift = (added[:, n] / np.sqrt(now.mean + 1)).max()
        widened = np.floor(plain[:, n] + shift * np.sqrt(then.mean + 1) + 1e-9)
        assert (came <= widened).mean() == pytest.approx(P[n], abs=0.03)


@pytest.mark.parametrize(("missed", "raised"), [(15, False), (17, True)])
def test_a_shortfall_that_chance_explains_sets_nothing_off(missed, raised):
    """Of a hundred, 0.90 should keep 90: 85 is chance (90 less 1.96 times 3 is 84.1), 83 is not."""
    pool = np.tile([4.0, 4.0, 4.0, 4.0], (100, 30))
    pool[:missed, -10:] = 40.0
    pool[99] = 4.0
    now = moments(pool, 10, 60)
    plain, found = quantiles(now.mean, now.variance, [0.9]), corrected(pool, 10, 60, [0.9])
    assert bool((found > plain).any()) is raised


# Patterns and paths.


def test_a_weekday_pattern_is_found_again():
    rng = np.random.default_rng(5)
    week = np.array([1.4, 1.2, 1.2, 1.0, 1.2, 0.6, 0.4])
    history = rng.poisson(40 * np.resize(week, 700))
    found = moments(history, 30)
    shape = pattern(history, found.mean[0], found.variance[0], first_weekday=3)
    # The first day of the history is a Thursday: its factor stands in place 3.
    assert np.roll(shape.factors, -3) == pytest.approx(week, abs=0.05)
    assert shape.factors.mean() == pytest.approx(1)
    assert shape.concentration > 1000
    assert pattern(history, found.mean[0], found.variance[0], season=1).factors.tolist() == [1.0]


def test_uneven_days_give_a_small_concentration():
    lumpy = np.zeros(400)
    lumpy[::23] = 300
    found = moments(lumpy, 30)
    assert pattern(lumpy, found.mean[0], found.variance[0]).concentration < 5


@pytest.mark.parametrize(
    ("mean", "variance", "concentration"), [(300.0, 900.0, 40.0), (6.0, 30.0, 2.0), (0.3, 0.6, 5.0), (5e4, 4e6, 300.0)]
)
def test_the_first_block_of_the_paths_has_the_promised_distribution(mean, variance, concentration):
    shape = Pattern(np.array([1.5, 1, 1, 1, 1, 0.5, 1]), concentration)
    drawn = paths(mean, variance, shape, 30, np.random.default_rng(11), count=20_000).sum(axis=1)
    assert drawn.mean() == pytest.approx(mean, abs=5 * (variance / 20_000) ** 0.5)
    assert drawn.var() == pytest.approx(variance, rel=0.12)
    law = stats.nbinom(mean**2 / (variance - mean), mean / variance)
    for p in (0.1, 0.5, 0.9, 0.99):
        q = law.ppf(p)
        assert (drawn <= q).mean() == pytest.approx(law.cdf(q), abs=0.015)


def test_a_block_cut_short_keeps_its_share():
    shape = Pattern(np.ones(7), 8.0)
    drawn = paths(300.0, 3000.0, shape, 40, np.random.default_rng(2), count=20_000)
    assert drawn.sum(axis=1).mean() == pytest.approx(400, rel=0.01)
    assert drawn.mean(axis=0) == pytest.approx(np.full(40, 10.0), rel=0.06)
    shares = np.random.default_rng(3).dirichlet(np.full(30, 8 / 30), 20_000)[:, :10].sum(axis=1)
    assert np.var(drawn[:, 30:].sum(axis=1)) == pytest.approx(100 + 93_000 * np.var(shares) + 2700 / 9, rel=0.1)


def test_a_path_keeps_its_intensity_for_all_its_blocks():
    drawn = paths(300.0, 9000.0, Pattern(np.ones(7), 1000.0), 60, np.random.default_rng(2))
    assert np.corrcoef(drawn[:, :30].sum(axis=1), drawn[:, 30:].sum(axis=1))[0, 1] > 0.9


def test_weekdays_of_the_paths_follow_the_pattern():
    shape = Pattern(np.array([0, 0, 0, 0, 0, 0, 7.0]), 100.0)
    drawn = paths(300.0, 900.0, shape, 30, np.random.default_rng(2), count=50, first_weekday=5)
    assert np.flatnonzero(drawn.any(axis=0)).tolist() == [1, 8, 15, 22, 29]


def test_a_block_of_closed_days_still_holds_its_sum():
    shape = Pattern(np.array([1.0, 0, 0, 0, 0, 0, 0]), 100.0)
    drawn = paths(300.0, 900.0, shape, 2, np.random.default_rng(2), block=2, first_weekday=2)
    assert drawn.sum(axis=1).mean() == pytest.approx(300, rel=0.02)


def test_a_holiday_lowers_its_day_alone():
    factor = np.ones(30)
    factor[4] = 0
    factor[5] = 2
    drawn = paths(300.0, 900.0, Pattern(np.ones(7), 1e4), 30, np.random.default_rng(2), factor=factor).mean(axis=0)
    assert drawn[4] == 0
    assert drawn[5] == pytest.approx(20, rel=0.05)
    assert np.delete(drawn, [4, 5]) == pytest.approx(np.full(28, 10.0), rel=0.1)


def test_the_same_seed_draws_the_same_paths():
    shape = Pattern(np.ones(7), 40.0)
    first, second = (paths(300.0, 900.0, shape, 90, np.random.default_rng(8)) for _ in "12")
    assert (first == second).all()


# The ends of the range.


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([10**15] * 400, id="always the most"),
        pytest.param([0] * 399 + [10**15], id="once the most"),
        pytest.param([10**15] + [0] * 399, id="once, long ago"),
        pytest.param([10**15], id="one day of the most"),
        pytest.param([1], id="one day"),
        pytest.param([1e-300] * 60, id="next to nothing"),
        pytest.param([3, 1, 0, 2] * 9_131, id="a hundred years"),
    ],
)
def test_any_history_has_whole_finite_ordered_answers(history):
    found = moments(history, 30)
    answer = quantiles(found.mean, found.variance, P)
    assert np.isfinite(answer).all()
    assert (answer == np.floor(answer)).all()
    assert (np.diff(answer) >= 0).all()
    shape = pattern(history, found.mean[0], found.variance[0])
    assert 0.5 <= shape.concentration <= 1e4
    drawn = paths(found.mean[0], found.variance[0], shape, 90, np.random.default_rng(1), count=200)
    assert np.isfinite(drawn).all()
    assert (drawn >= 0).all()
    expected = 3 * found.mean[0]
    assert drawn.sum(axis=1).mean() == pytest.approx(expected, abs=6 * (9 * found.variance[0] / 200) ** 0.5 + 1)


def test_a_steady_use_of_ten_to_the_fifteen_is_known_to_the_unit_in_a_million():
    found = moments(np.full(400, 10**15), 30)
    assert quantiles(found.mean, found.variance, [0.05, 0.95])[0] == pytest.approx([3e16, 3e16], rel=1e-6)


FLAT = Pattern(np.ones(7), 40.0)
RNG = np.random.default_rng(0)
nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fill([1, -1], [1, 1]), "values"),
        (lambda: fill([1, nan], [1, 1]), "values"),
        (lambda: fill([1, None], [1, 1]), "values"),
        (lambda: fill([1, inf], [1, 1]), "values"),
        (lambda: fill([1, 2e15], [1, 1]), "values"),
        (lambda: fill([], []), "values"),
        (lambda: fill([[[1]]], [[[1]]]), "values"),
        (lambda: fill(["a"], [1]), "values"),
        (lambda: fill([[1, 2], [3]], [1, 1]), "values"),
        (lambda: fill([1, 2], [[1, 1], [1]]), "reported"),
        (lambda: fill([1, 2], [1]), "reported"),
        (lambda: fill([1, 2], [1, 1], [0]), "censored"),
        (lambda: fill([1, 2], [1, 1], active=[1]), "active"),
        (lambda: fill([1], [1], season=0), "season"),
        (lambda: fill([1], [1], recent=0), "recent"),
        (lambda: moments([], 30), "history"),
        (lambda: moments([[], []], 30), "history"),
        (lambda: moments([1, nan], 30), "history"),
        (lambda: moments([1, -1], 30), "history"),
        (lambda: moments([1, inf], 30), "history"),
        (lambda: moments([1, 10**400], 30), "history"),
        (lambda: moments([[[1]]], 30), "history"),
        (lambda: moments(5, 30), "history"),
        (lambda: moments([1], 0), "horizon"),
        (lambda: moments([1], 1.5), "horizon"),
        (lambda: moments([1], horizon=True), "horizon"),
        (lambda: moments([1], 30, 0), "window"),
        (lambda: quantiles(nan, 1, 0.5), "mean"),
        (lambda: quantiles(-1, 1, 0.5), "mean"),
        (lambda: quantiles(inf, inf, 0.5), "mean"),
        (lambda: quantiles([], [], 0.5), "mean"),
        (lambda: quantiles([1, 2], [3], 0.5), "variance"),
        (lambda: quantiles(2, 1, 0.5), "variance"),
        (lambda: quantiles(2, nan, 0.5), "variance"),
        (lambda: quantiles(2, inf, 0.5), "variance"),
        (lambda: quantiles(2, 3, 0), "p "),
        (lambda: quantiles(2, 3, 1), "p "),
        (lambda: quantiles(2, 3, nan), "p "),
        (lambda: quantiles(2, 3, []), "p "),
        (lambda: quantiles(2, 3, [[0.5]]), "p "),
        (lambda: probability_at_most(2, 3, [nan]), "y "),
        (lambda: probability_at_most([2, 2], [3, 3], [1]), "y "),
        (lambda: corrected([1, nan], 1, None, 0.5), "history"),
        (lambda: corrected([1], 1, None, 2), "p "),
        (lambda: pattern([[1, 2], [3, 4]], 1, 2), "history"),
        (lambda: pattern([1, 2], nan, 2), "mean"),
        (lambda: pattern([1, 2], 3, 2), "variance"),
        (lambda: pattern([1, 2], 1, 2, first_weekday=7), "first_weekday"),
        (lambda: pattern([1, 2], 1, 2, season=0), "season"),
        (lambda: pattern([1, 2], 1, 2, window=0), "window"),
        (lambda: paths(nan, 1, FLAT, 5, RNG), "mean"),
        (lambda: paths(1, inf, FLAT, 5, RNG), "variance"),
        (lambda: paths(1, 2, FLAT, 0, RNG), "horizon"),
        (lambda: paths(1, 2, FLAT, 5, RNG, count=0), "count"),
        (lambda: paths(1, 2, FLAT, 5, RNG, block=0), "block"),
        (lambda: paths(1, 2, FLAT, 5, RNG, first_weekday=7), "first_weekday"),
        (lambda: paths(1, 2, FLAT, 5, RNG, factor=[1]), "factor"),
        (lambda: paths(1, 2, FLAT, 2, RNG, factor=[1, -1]), "factor"),
        (lambda: paths(1, 2, FLAT, 2, RNG, factor=[1, nan]), "factor"),
        (lambda: paths(1, 2, Pattern(np.zeros(7), 40.0), 5, RNG), "pattern"),
        (lambda: paths(1, 2, Pattern(np.array([nan]), 40.0), 5, RNG), "pattern"),
        (lambda: paths(1, 2, Pattern(np.ones(7), nan), 5, RNG), "pattern"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_argument(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@settings(max_examples=25, deadline=None)
@given(histories, st.integers(1, 40), st.integers(1, 30))
def test_paths_of_any_history_are_whole_and_finite(history, horizon, block):
    found = moments(history, block)
    shape = pattern(history, found.mean[0], found.variance[0], horizon=block)
    drawn = paths(found.mean[0], found.variance[0], shape, horizon, RNG, count=20, block=block)
    assert drawn.shape == (20, horizon)
    assert np.isfinite(drawn).all()
    assert (drawn >= 0).all()
    assert (drawn == np.floor(drawn)).all()
