"""Scores: worked cases, what must hold of any backtest, bad input, and the bars the forecast meets on real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench import backtest
from forecasting.scoring import (
    covered,
    crps,
    empirical_quantiles,
    judge,
    pinball,
    pit_interval,
    randomised_pit,
    rolling_origin,
    uniformity,
    wilson,
)

ROOT = Path(__file__).parents[1]
CASES = json.loads((ROOT / "tests" / "cases" / "17_scoring.json").read_text(encoding="utf-8"))["cases"]
CASE = {case["name"]: (case["inputs"], case["expected"], case["tolerance"]) for case in CASES}
P = [0.5, 0.9, 0.95]


def test_pinball_is_worked_out_by_hand():
    inputs, expected, tolerance = CASE["pinball"]
    assert pinball(**inputs) == pytest.approx(expected["loss"], abs=tolerance)


def test_crps_is_worked_out_by_hand():
    inputs, expected, tolerance = CASE["crps"]
    assert crps(**inputs) == pytest.approx(expected["crps"], abs=tolerance)


def test_the_pit_interval_is_worked_out_by_hand():
    inputs, expected, tolerance = CASE["pit"]
    assert pit_interval(**inputs) == pytest.approx(expected["pit"], abs=tolerance)


def test_no_worked_case_is_left_out():
    assert set(CASE) == {"pinball", "crps", "pit"}


numbers = st.floats(-1e6, 1e6)


@settings(max_examples=200, deadline=None)
@given(numbers, st.lists(numbers, min_size=1, max_size=12))
def test_crps_is_the_distance_less_half_the_spread(y, sample):
    x = np.array(sample)
    slowly = np.abs(x - y).mean() - np.abs(x[:, None] - x[None, :]).mean() / 2
    assert crps(y, sample) == pytest.approx(slowly, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 0.9, 0.95]))
def test_no_quantile_loses_less_than_the_right_one(sample, p):
    y = np.array(sample, dtype=float)
    right = np.quantile(y, p, method="inverted_cdf")
    least = pinball(y, right, p).sum()
    for other in range(31):
        assert pinball(y, other, p).sum() >= least - 1e-9


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_the_pit_interval_is_what_is_below_and_what_is_not_above(y, sample):
    below, at_most = pit_interval(y, sample)
    assert below == sum(x < y for x in sample) / len(sample)
    assert at_most == sum(covered(sample, y)) / len(sample)


def test_the_randomised_pit_of_the_right_counts_is_uniform_and_of_wrong_ones_is_not():
    rng = np.random.default_rng(4)
    sample = rng.poisson(1.5, 4000)
    below, at_most = stats.poisson.cdf(sample - 1, 1.5), stats.poisson.cdf(sample, 1.5)
    right = uniformity(randomised_pit(below, at_most, rng))
    assert sum(right.counts) == 4000
    assert right.p_value > 0.001
    wrong = uniformity(randomised_pit(below**2, at_most**2, rng))
    assert wrong.p_value < 1e-6


def test_wilsons_interval_agrees_with_the_textbook():
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
    for successes, n, expected in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        assert wilson(successes, n) == pytest.approx(expected, abs=6e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 70))
def test_empirical_quantiles_are_those_of_the_past_sums(history, horizon, window):
    kept = history[-window:]
    width = min(horizon, len(kept))
    sums = [sum(kept[i : i + width]) * horizon / width for i in range(len(kept) - width + 1)]
    expected = np.quantile(sums, P)
    assert empirical_quantiles(history, horizon, window, P)[0] == pytest.approx(expected)


# Backtests.


@st.composite
def backtests(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    series = draw(st.sampled_from([1, 3, 110]))
    history = rng.poisson(rng.gamma(1.0, 4.0, (series, 1)), (series, 60)).astype(float)
    reported = rng.random(history.shape) > draw(st.sampled_from([0.0, 0.2]))
    censored = rng.random(history.shape) < draw(st.sampled_from([0.0, 0.1]))
    return history, reported, censored, draw(st.integers(1, 10)), rng


@settings(max_examples=40, deadline=None)
@given(backtests(), st.sampled_from([10, 25, 50]))
def test_what_came_after_an_origin_does_not_change_its_forecast(case, origin):
    history, reported, censored, horizon, rng = case
    test = rolling_origin(history, horizon, [origin], 40, P, reported=reported, censored=censored)
    later = history.copy()
    later[:, origin:] = rng.integers(0, 1000, later[:, origin:].shape)
    mask = reported.copy()
    mask[:, origin:] = ~mask[:, origin:]
    other = rolling_origin(later, horizon, [origin], 40, P, reported=mask, censored=censored)
    assert (test.ours == other.ours).all()
    assert (test.empirical == other.empirical).all()
    if (test.actual == other.actual).all():
        assert (test.below == other.below).all()


@settings(max_examples=25, deadline=None)
@given(backtests())
def test_an_origin_is_forecast_alike_alone_and_among_others(case):
    history, reported, censored, horizon, _ = case
    both = rolling_origin(history, horizon, [20, 40], None, P, reported=reported, censored=censored)
    alone = rolling_origin(history, horizon, [40], None, P, reported=reported, censored=censored)
    assert (both.ours[:, 1] == alone.ours[:, 0]).all()


@settings(max_examples=25, deadline=None)
@given(backtests())
def test_only_whole_reported_horizons_are_judged(case):
    history, reported, censored, horizon, _ = case
    test = rolling_origin(history, horizon, [20, 40], 40, P, reported=reported, censored=censored)
    for column, origin in enumerate((20, 40)):
        ahead = slice(origin, origin + horizon)
        whole = (reported & ~censored)[:, ahead].all(axis=1)
        assert (test.known[:, column] == whole).all()
        assert test.actual[whole, column] == pytest.approx(history[whole, ahead].sum(axis=1))
    verdict = judge(test)
    assert (0 if verdict is None else verdict.n) == int(test.known.sum())


def test_a_verdict_says_how_much_it_knows():
    rng = np.random.default_rng(1)
    history = rng.poisson(5.0, 400).astype(float)
    history[380:] = 50
    test = rolling_origin(history, 10, range(200, 391, 5), 180, P)
    verdict = judge(test)
    assert (verdict.n, verdict.independent, verdict.too_short) == (39, 20.0, False)
    assert verdict.worst.origin == 380
    assert verdict.worst.units == 500 - test.ours[0, 36, 2]
    held = (test.actual[0][:, None] <= test.ours[0]).mean(axis=0)
    assert verdict.coverage == pytest.approx(held)
    for share, (low, high) in zip(verdict.coverage, verdict.interval, strict=True):
        assert (low, high) == wilson(share * 20, 20)
        assert low < share < high
    loss = pinball(test.actual[0][:, None], test.ours[0], P).sum(axis=0)
    assert verdict.loss_to_actual == pytest.approx(loss / test.actual.sum())
    other = pinball(test.actual[0][:, None], test.empirical[0], P).sum(axis=0)
    assert verdict.loss_to_empirical == pytest.approx(loss / other)


def test_seven_independent_horizons_are_too_short_to_judge():
    history = np.arange(200) % 5
    assert judge(rolling_origin(history, 10, range(100, 165, 5), 100, P)).too_short is True
    assert judge(rolling_origin(history, 10, range(100, 175, 5), 100, P)).too_short is False


def test_what_was_never_used_has_no_relative_loss_and_no_miss():
    verdict = judge(rolling_origin(np.zeros(200), 10, range(100, 190, 10), 100, P))
    assert verdict.coverage == (1.0, 1.0, 1.0)
    assert verdict.below == (0.0, 0.0, 0.0)
    assert verdict.loss_to_empirical == verdict.loss_to_actual == (None, None, None)
    assert verdict.worst is None


def test_nothing_reported_ahead_is_nothing_to_judge():
    reported = np.arange(60) < 50
    assert judge(rolling_origin(np.ones(60), 10, [50], 40, P, reported=reported)) is None


nan, inf = float("nan"), float("inf")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: pinball(nan, 1, 0.5), "y "),
        (lambda: pinball(1, inf, 0.5), "q "),
        (lambda: pinball("a", 1, 0.5), "y "),
        (lambda: pinball(1, 1, 1), "p "),
        (lambda: covered([1, None], 1), "y "),
        (lambda: pit_interval(nan, [1]), "y "),
        (lambda: pit_interval([1, 2], [1]), "y "),
        (lambda: pit_interval(1, []), "sample"),
        (lambda: pit_interval(1, [nan]), "sample"),
        (lambda: crps(1, []), "sample"),
        (lambda: crps(inf, [1]), "y "),
        (lambda: randomised_pit([0.5], [0.4], RNG), "below"),
        (lambda: randomised_pit([0.5], [1.4], RNG), "at_most"),
        (lambda: randomised_pit([0.5, 0.6], [0.9], RNG), "at_most"),
        (lambda: uniformity([]), "pit"),
        (lambda: uniformity([1.5]), "pit"),
        (lambda: uniformity([0.5], 1), "bins"),
        (lambda: wilson(1, 0), "n "),
        (lambda: wilson(3, 2), "successes"),
        (lambda: wilson(nan, 2), "successes"),
        (lambda: empirical_quantiles([], 1, 1, 0.5), "history"),
        (lambda: empirical_quantiles([nan], 1, 1, 0.5), "history"),
        (lambda: empirical_quantiles([1], 0, 1, 0.5), "horizon"),
        (lambda: empirical_quantiles([1], 1, 0, 0.5), "window"),
        (lambda: empirical_quantiles([1], 1, 1, 0), "p "),
        (lambda: rolling_origin([1, 2, nan], 1, [2], 5, P), "history"),
        (lambda: rolling_origin([1, 2, -3], 1, [2], 5, P), "history"),
        (lambda: rolling_origin([1, 2, inf], 1, [2], 5, P), "history"),
        (lambda: rolling_origin([1, 2, 3], 1, [2], 5, P, reported=[1]), "reported"),
        (lambda: rolling_origin([1, 2, 3], 0, [2], 5, P), "horizon"),
        (lambda: rolling_origin([1, 2, 3], 1, [0], 5, P), "origins"),
        (lambda: rolling_origin([1, 2, 3], 1, [3], 5, P), "origins"),
        (lambda: rolling_origin([1, 2, 3], 1, [], 5, P), "origins"),
        (lambda: rolling_origin([1, 2, 3], 1, [2], 0, P), "window"),
        (lambda: rolling_origin([1, 2, 3], 1, [2], 5, [nan]), "p "),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_argument(call, named):
    with pytest.raises(ValueError, match=named):
        call()


# Real demand. The data is not ours to ship: where the shared folder is not there, these are left out.

real = [pytest.mark.long, pytest.mark.skipif(not backtest.DATA.exists(), reason="the shared demand data is not here")]


@pytest.fixture(scope="module")
def measured():
    found: dict[str, backtest.Measured] = {}

    def once(name):
        if name not in found:
            found[name] = backtest.measure(name)
        return found[name]

    return once


@pytest.mark.parametrize(
    ("name", "n", "at_90", "at_95", "losses"),
    [
        pytest.param("pharmacy", 600, (0.87, 0.93), (0.93, 0.97), (0.93, 0.93), marks=real),
        pytest.param("retail", 657, (0.85, 1), (0.89, 1), (0.92, 0.88), marks=real),
        pytest.param("raf", 1000, (0.87, 0.93), (0.93, 0.97), (0.99, 0.98), marks=real),
        pytest.param("carparts", 576, (0.87, 1), (0.93, 1), (0.88, 0.90), marks=real),
        pytest.param("ivorian", 372, (0.87, 0.93), (0.93, 0.97), (0.86, 0.94), marks=real),
        pytest.param("hospital", 800, (0.87, 0.93), (0.93, 0.97), (0.74, 0.74), marks=real),
    ],
)
def test_the_forecast_holds_on_real_demand(measured, name, n, at_90, at_95, losses):
    """At least as good as first measured, and inside the bar."""
    found = measured(name)
    verdict = found.ours
    assert verdict.n == n
    assert at_90[0] <= verdict.coverage[1] <= at_90[1]
    assert at_95[0] <= verdict.coverage[2] <= at_95[1]
    assert verdict.loss_to_empirical[1] <= losses[0]
    assert verdict.loss_to_empirical[2] <= losses[1]
    assert backtest.met(found) is True
    assert not verdict.too_short


@pytest.mark.parametrize(
    ("name", "losses"), [pytest.param("auto", (0.92, 0.79), marks=real), pytest.param("man", (1.12, 0.88), marks=real)]
)
def test_sets_that_chose_nothing_lose_no_more_than_first_measured(measured, name, losses):
    found = measured(name).ours.loss_to_empirical
    assert found[1] <= losses[0]
    assert found[2] <= losses[1]


@pytest.mark.parametrize("name", [pytest.param(n, marks=real) for n in ("carparts", "auto")])
def test_small_counts_are_calibrated_by_their_randomised_pit(measured, name):
    test = measured(name).test
    assert uniformity(randomised_pit(test.below, test.at_most, np.random.default_rng(1))).p_value > 0.01


@pytest.mark.parametrize("days", [pytest.param(d, marks=real) for d in backtest.PATH_HORIZONS])
def test_daily_paths_cover_what_they_promise_at_every_horizon(path_coverage, days):
    low, high = {90: (0.87, 0.98)}.get(days, (0.86, 0.95))
    assert low <= path_coverage[days] <= high


@pytest.fixture(scope="module")
def path_coverage():
    return backtest.path_coverage(backtest.pharmacy(backtest.DATA), backtest.PATH_HORIZONS, every=2, count=400)


@pytest.mark.parametrize("name", [pytest.param(n, marks=real) for n in backtest.SETS])
def test_the_kept_table_is_what_the_code_measures(measured, name):
    page = (ROOT / "docs" / "forecast-quality.md").read_text(encoding="utf-8").splitlines()
    *_, line = backtest.table([measured(name)])
    assert line in page
