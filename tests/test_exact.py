"""A history that cannot be is refused by name, and one of any length or size has its exact peak."""

import math
from fractions import Fraction

import numpy as np
import pytest

from forecasting.peak import location_peak, parse_method, scope_peak
from forecasting.windows import latest_max, quantile, read_history, rolling

NAN, INF, HUGE, CENTURY = math.nan, math.inf, 10**15, 36_525


def days(values, reported=None, **settings):
    return location_peak(values, [True] * len(values) if reported is None else reported, **settings)


def scope(**settings):
    return scope_peak([[1] * 40, [2] * 40], np.ones((2, 40), dtype=bool), **settings)


REFUSED = [
    ("values", lambda: days([NAN] * 40)),
    ("values", lambda: days([INF] * 40)),
    ("values", lambda: days([1.5] * 40)),
    ("values", lambda: days([None] * 40)),
    ("values", lambda: days([10**25] * 40)),
    ("values", lambda: days([-1] * 40)),
    ("values, reported, active and censored", lambda: days([1] * 40, [True] * 39)),
    ("values, reported, active and censored", lambda: days([[1] * 40])),
    ("values, reported, active and censored", lambda: scope_peak([], [])),
    ("reported", lambda: days([1] * 40, [NAN] * 40)),
    ("reported", lambda: days([1] * 40, [None] * 40)),
    ("reported", lambda: days([1] * 40, [2] * 40)),
    ("censored", lambda: days([1] * 40, censored=[NAN] * 40)),
    ("active", lambda: days([1] * 40, active=[NAN] * 40)),
    ("norm", lambda: days([1], norm=-1)),
    ("norm", lambda: days([1], norm=NAN)),
    ("norm", lambda: days([1], norm=2.5)),
    ("norm", lambda: scope(norm=[1])),
    ("width", lambda: days([1] * 40, width=0)),
    ("width", lambda: days([1] * 40, width=-7)),
    ("width", lambda: days([1] * 40, width=2.5)),
    ("width", lambda: days([1] * 40, width=10**9)),
    ("width", lambda: parse_method("mean", NAN)),
    ("width", lambda: read_history([[1]], [[True]], None, None, width=0)),
    ("width", lambda: rolling(np.ones(3, dtype=int), 4)),
    ("width", lambda: rolling(np.ones(3, dtype=int), 0)),
    ("min_days", lambda: days([1], min_days=-1)),
    ("min_days", lambda: days([1], min_days=NAN)),
    ("min_share", lambda: scope(min_share=NAN)),
    ("min_share", lambda: scope(min_share=Fraction(3, 2))),
    ("min_share", lambda: scope(min_share=0.7)),
    ("silent_after_days", lambda: scope(silent_after_days=-1)),
    ("scope_peak", lambda: scope(scope_peak="largest")),
    ("sample", lambda: quantile([], Fraction(1, 2))),
    ("p", lambda: quantile([1], Fraction(3, 2))),
    ("windows", lambda: latest_max(np.empty((2, 0), dtype=int))),
]


@pytest.mark.parametrize(("name", "wrong"), REFUSED)
def test_a_history_that_cannot_be_is_refused_by_name(name, wrong):
    with pytest.raises(ValueError, match=f"^{name} must "):
        wrong()


@pytest.mark.parametrize("method", ["rolling_mean_max", "rolling_mean_quantile", "day_max", "day_quantile", "mean"])
def test_a_history_of_no_day_or_of_one_says_nothing_but_its_lower_bound(method):
    assert days([], method=method)[:2] == (None, "unknown")
    one = days([7], method=method)
    assert (one.peak, one.basis, one.days_reported) == (None, "unknown", 1)
    assert one.lower_bound == (7 if method == "day_max" else 1)
    assert days([7], method=method, norm=30)[:2] == (30, "norm")
    for none in (np.empty((3, 0), dtype=int), np.empty((0, 28), dtype=int)):
        found = scope_peak(none, np.empty(none.shape, dtype=bool), method=method)
        assert (found.peak, found.known, len(found.own)) == (None, False, len(none))


@pytest.mark.parametrize(
    "method",
    ["rolling_mean_max", "rolling_mean_max:9999", "rolling_mean_quantile", "day_max", "day_quantile", "mean", "norm"],
)
def test_a_hundred_years_of_an_even_use_of_any_size_have_it_as_their_peak(method):
    found = days([HUGE] * CENTURY, method=method, norm=HUGE)
    assert (found.peak, found.days_reported) == (HUGE, CENTURY)
    city = scope_peak(np.full((3, CENTURY), HUGE), np.ones((3, CENTURY), dtype=bool), method=method, norm=[HUGE] * 3)
    assert (city.peak, city.known, city.flagged) == (3 * HUGE, True, ())


def test_the_largest_reports_there_can_be_do_not_overflow():
    assert days([2**63 - 1] * 40).peak == 2**63 - 1
    assert days(np.full(40, 2**64 - 1, dtype=np.uint64)).peak == 2**64 - 1
    city = scope_peak(np.full((50, 40), 2**63 - 1), np.ones((50, 40), dtype=bool))
    assert (city.peak, city.sum_of_peaks) == (50 * (2**63 - 1), 50 * (2**63 - 1))


def test_silence_may_be_marked_with_ones_and_noughts_and_hides_what_stands_beneath():
    assert days([5] * 35 + [-9] * 5, [1] * 35 + [0] * 5).peak == 5
