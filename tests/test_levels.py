"""The level of a row and of its alert: the worked cases, and what must hold of any figures."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reserve import levels
from reserve.levels import SEVERITY, Facts, Verdict, judge, judge_quantity, remember, remember_all, worst
from reserve.model import Level

CASES = json.loads((Path(__file__).parent / "cases" / "16_levels.json").read_text())["cases"]


def facts_of(case):
    told = case["inputs"]

    def exact(name):
        return None if told.get(name) is None else Fraction(str(told[name]))

    return Facts(
        days=exact("days"),
        required_days=exact("required_days"),
        usable=told.get("usable", 1),
        known=told.get("known", True),
        probability=exact("p_break"),
        falls_below_day=told.get("falls_below"),
        lead_time_days=told.get("lead_time_days", 14),
    )


def named(cases):
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", named(c for c in CASES if "level" in c["expected"]))
def test_the_level_of_a_row_is_worked_out_by_hand(case):
    assert judge(facts_of(case)).level == case["expected"]["level"]


@pytest.mark.parametrize("case", named(c for c in CASES if "alert_level" in c["expected"]))
def test_the_level_of_an_alert_is_worked_out_by_hand(case):
    facts, previous = facts_of(case), Level(case["inputs"]["previous"])
    assert remember(previous, facts) == case["expected"]["alert_level"]
    assert remember_all(previous, judge(facts).level, [facts]) == case["expected"]["alert_level"]


def test_every_case_of_the_file_is_asked():
    asked = [c for c in CASES if "level" in c["expected"] or "alert_level" in c["expected"]]
    assert len(asked) == len(CASES) == 25


# -- reasons ----------------------------------------------------------------------------------------------------------


def facts(days, required=30, **more):
    days = None if days is None else Fraction(str(days))
    return Facts(**{"days": days, "required_days": Fraction(required), "usable": 1, **more})


@pytest.mark.parametrize(
    ("found", "level", "reason"),
    [
        (facts(0, usable=0), Level.RED, "nothing_usable"),
        (facts(14.9), Level.RED, "under_half"),
        (facts(18, lead_time_days=20), Level.RED, "under_lead_time"),
        (facts(5, required=4, lead_time_days=14), Level.NORMAL, "enough"),
        (facts(3, required=4, lead_time_days=14), Level.RED, "under_lead_time"),
        (facts(29.9), Level.ORANGE, "below_required"),
        (facts(33, probability=Fraction(1, 2)), Level.YELLOW, "probably_falls"),
        (facts(33, probability=Fraction(1, 10)), Level.BLUE, "may_fall"),
        (facts(33, probability=Fraction(0), falls_below_day=1), Level.NORMAL, "enough"),
        (facts(44, falls_below_day=14), Level.YELLOW, "falls_within_lead_time"),
        (facts(45, falls_below_day=15), Level.BLUE, "falls_soon"),
        (facts(51, falls_below_day=21), Level.BLUE, "falls_soon"),
        (facts(52, falls_below_day=22), Level.NORMAL, "enough"),
        (facts(None, known=False, peak_known=False), Level.UNKNOWN, "consumption_unknown"),
        (facts(None), Level.UNKNOWN, "no_consumption"),
        (facts(99, known=False), Level.UNKNOWN, "consumption_unknown"),
        (facts(44, falls_below_day=14, known=False), Level.UNKNOWN, "consumption_unknown"),
        (facts(0, usable=0, known=False), Level.RED, "nothing_usable"),
        (facts(None, usable=0, known=False, peak_known=False), Level.UNKNOWN, "consumption_unknown"),
    ],
)
def test_the_first_condition_that_fits_gives_level_and_reason(found, level, reason):
    assert judge(found) == Verdict(level, reason)


@pytest.mark.parametrize(
    ("usable", "level", "reason"),
    [
        (0, Level.RED, "nothing_usable"),
        (49, Level.RED, "under_half"),
        (50, Level.ORANGE, "below_required"),
        (99, Level.ORANGE, "below_required"),
        (100, Level.NORMAL, "enough"),
        (10**15, Level.NORMAL, "enough"),
    ],
)
def test_a_fixed_quantity_is_judged_by_what_lies_there(usable, level, reason):
    assert judge_quantity(usable, 100) == Verdict(level, reason)


@pytest.mark.parametrize(
    ("each", "together"),
    [
        (["normal", "red", "orange"], "red"),
        (["normal", "yellow"], "yellow"),
        (["unknown", "orange"], "orange"),
        (["unknown", "yellow"], "unknown"),
        (["unknown", "normal"], "unknown"),
        (["blue"], "blue"),
    ],
)
def test_of_several_policies_the_worst_counts_and_silence_hides_no_break(each, together):
    assert worst(Verdict(Level(level), "said") for level in each).level == together


def test_a_zero_peak_says_nothing_where_another_policy_judges():
    zero = Verdict(Level.UNKNOWN, "no_consumption")
    assert worst([zero, Verdict(Level.NORMAL, "enough")]).level is Level.NORMAL
    assert worst([zero]) == zero


def test_an_alert_eases_only_when_every_policy_has_eased():
    far, near = facts(60, probability=Fraction(0)), facts(30.5, probability=Fraction(0))
    assert remember_all(Level.ORANGE, Level.NORMAL, [far, near]) is Level.ORANGE
    assert remember_all(Level.ORANGE, Level.NORMAL, [far, far]) is Level.NORMAL
    assert remember_all(Level.RED, Level.ORANGE, [far]) is Level.ORANGE  # a fixed quantity holds it there


# -- what must hold of any figures ------------------------------------------------------------------------------------

DAYS = st.fractions(0, 200, max_denominator=60)
PROBABILITIES = st.none() | st.fractions(0, 1, max_denominator=100)


@st.composite
def figures(draw):
    """Facts as an assessment makes them: at the peak, what is used falls below on the day that days and rule say."""
    days, required = draw(DAYS), draw(st.integers(1, 120))
    return Facts(
        days=days,
        required_days=Fraction(required),
        usable=0 if days == 0 else draw(st.integers(1, 10**15)),
        known=draw(st.booleans()),
        probability=draw(PROBABILITIES),
        falls_below_day=0 if days < required else int(days - required) + 1,
        lead_time_days=draw(st.integers(0, 60)),
        margin_days=draw(st.integers(0, 30)),
    )


def with_days(found, days):
    return replace(
        found,
        days=days,
        usable=max(1, found.usable),
        falls_below_day=0 if days < found.required_days else int(days - found.required_days) + 1,
    )


check = settings(deadline=None, max_examples=150, derandomize=True)


@check
@given(figures(), DAYS)
def test_more_days_never_make_the_level_worse(found, more):
    found = replace(found, known=True)
    assert SEVERITY[judge(with_days(found, found.days + more)).level] <= SEVERITY[judge(found).level]


@check
@given(figures(), st.fractions(0, 1, max_denominator=100))
def test_a_likelier_fall_never_makes_the_level_better(found, more):
    assume(found.probability is not None)
    found = replace(found, known=True)
    likelier = replace(found, probability=min(Fraction(1), found.probability + more))
    assert SEVERITY[judge(likelier).level] >= SEVERITY[judge(found).level]


@check
@given(figures())
def test_below_the_rule_is_never_shown_as_less_than_orange_and_above_it_never_as_more_than_yellow(found):
    level = judge(replace(found, known=True)).level
    assert (level in {Level.ORANGE, Level.RED}) == (found.days < found.required_days or found.usable == 0)


@check
@given(figures())
def test_silence_hides_what_is_good_and_never_what_is_bad(found):
    loud, silent = judge(replace(found, known=True)), judge(replace(found, known=False))
    if loud.level in {Level.RED, Level.ORANGE}:
        assert silent == loud
    else:
        assert silent == Verdict(Level.UNKNOWN, "consumption_unknown")


@check
@given(figures(), st.sampled_from(Level))
def test_an_alert_worsens_at_once_and_never_eases_below_the_row(found, previous):
    now, told = judge(found).level, remember(previous, found)
    if Level.UNKNOWN in {previous, now} or SEVERITY[now] >= SEVERITY[previous]:
        assert told == now
    else:
        assert SEVERITY[now] <= SEVERITY[told] <= SEVERITY[previous]


@check
@given(figures(), st.sampled_from(Level))
def test_the_same_row_asked_again_changes_nothing(found, previous):
    told = remember(previous, found)
    assert remember(told, found) == told


@check
@given(st.lists(st.sampled_from([Fraction(59, 2), Fraction(61, 2)]), min_size=2, max_size=30))
def test_a_number_trembling_around_thirty_rings_once(days):
    level, changes = None, 0
    for each in [Fraction(59, 2), *days]:
        told = remember(level, facts(each, probability=Fraction(0)))
        changes += told != level
        level = told
    assert changes == 1


@check
@given(figures(), st.sampled_from(Level))
def test_one_policy_remembers_like_many(found, previous):
    assert remember_all(previous, judge(found).level, [found]) == remember(previous, found)


def test_the_levels_are_ordered_as_their_colours_are():
    ordered = [Level.NORMAL, Level.BLUE, Level.YELLOW, Level.ORANGE, Level.RED]
    assert [SEVERITY[level] for level in ordered] == [0, 1, 2, 3, 4]
    assert Level.UNKNOWN not in levels.SEVERITY


def test_zeros_from_some_and_silence_from_others_is_not_no_use():
    facts = Facts(None, Fraction(30), usable=100, known=False)
    assert judge(facts) == Verdict(Level.UNKNOWN, "consumption_unknown")
    assert worst([judge(facts), Verdict(Level.NORMAL, "enough")]).level is Level.UNKNOWN
