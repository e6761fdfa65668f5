"""What a row says of days to come: forecast use, the chance of falling below, promises, policies in parts."""

import json
import re
from datetime import timedelta
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from conftest import TODAY
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from situations import (
    HOSPITALS,
    SCOPE,
    contract,
    known,
    lying,
    order,
    rich_situations,
    rule,
    situation,
    situations,
    used,
)

from forecasting import demand, paths
from reserve import assessment, coverage, evidence, figures, outlook, projection
from reserve.consumption import Excluded
from reserve.model import CommitmentKind, PolicyKind, ScopePeak

WEEK = [50, 50, 50, 50, 50, 20, 10]
RULE = rule(required_days=30)


def noisy(mean, days=365, seed=1, places=1):
    rng = np.random.default_rng(seed)
    return used(rng.poisson(mean, (places, days)).tolist(), places=HOSPITALS[:places])


def row_of(case):
    return assessment.assess(case).row


# -- the forecast -----------------------------------------------------------------------------------------------------


def test_the_chance_is_that_of_the_paths_and_gives_the_level():
    rows = [row_of(situation([lying(units)], noisy(100), [RULE])) for units in (7500, 6400, 6300, 4000)]
    chances = [row["probability_below_required"] for row in rows]
    assert chances == sorted(chances)
    for row in rows:
        expected = "yellow" if row["probability_below_required"] >= 0.5 else None
        expected = expected or ("blue" if row["probability_below_required"] >= 0.1 else "normal")
        assert row["level"] == (expected if row["days_of_coverage"] >= 30 else row["level"])
    assert chances[0] == 0
    assert chances[-1] == 1


def test_a_policy_names_its_own_thresholds_and_how_far_it_looks():
    case = situation([lying(6360)], noisy(100), [RULE])
    usual = row_of(case)["probability_below_required"]
    assert 0.1 <= usual < 0.9, "a case between the thresholds"
    strict = rule(required_days=30, yellow_percent=round(usual * 100), blue_percent=1)
    deaf = rule(required_days=30, yellow_percent=100, blue_percent=100)
    assert row_of(case._replace(policies=[strict]))["level"] == "yellow"
    assert row_of(case._replace(policies=[deaf]))["level"] == "normal"
    far = row_of(case._replace(policies=[rule(required_days=30, look_ahead_days=60)]))
    assert far["expected"]["look_ahead_days"] == 60
    assert far["probability_below_required"] > usual
    near = row_of(case._replace(policies=[rule(required_days=30, look_ahead_days=1)]))
    assert near["expected"]["look_ahead_days"] == 21, "never less than an order takes"


def test_the_same_question_gets_the_same_answer_and_another_day_another():
    case = situation([lying(6360)], noisy(100), [RULE])
    first, again = assessment.assess(case), assessment.assess(case)
    assert (first.row, first.explanation) == (again.row, again.explanation)
    seed = first.explanation["forecast"]["seed"]
    assert assessment.assess(case._replace(as_of=TODAY + timedelta(days=1))).explanation["forecast"]["seed"] != seed


def test_the_projection_says_of_stock_alone_what_the_row_says_however_far_it_looks():
    case = situation([lying(6200, 50), lying(900, number="B")], noisy(100), [RULE], coming=[order(4000, 3)])
    row = row_of(case)
    for days in (1, 30, 45, 90, 200):
        for receipts in (True, False):
            path = projection.project(case, days, receipts=receipts)
            assert path["stock_alone"]["probability_below_required"] == row["probability_below_required"]
            chance = path["probability_below_required"]
            assert chance <= row["probability_below_required"]
            assert receipts or chance == row["probability_below_required"]


def test_a_slip_of_the_unit_under_a_campaign_is_still_assessed():
    """Some paths of this day draw more than 10^18 units: a row that raises would stay as it was for ever."""
    history = used([[0] * 130 + [10**15] + [0] * 234])
    case = situation([lying(10**15)], history, [RULE], factor=np.full(90, 100.0))
    assert row_of(case._replace(as_of=TODAY + timedelta(days=1)))["level"] == "red"


def test_few_reports_or_many_gaps_give_no_forecast_and_say_why():
    def reason(history):
        found = assessment.assess(situation([lying(9000)], history, [RULE]))
        assert found.row["probability_below_required"] is None
        assert found.explanation["lines"]["en"][-1].startswith("No forecast: ")
        return found.row["expected"]["reason"]

    assert reason(used([[5]], [[False]])) == "no_reports"
    assert reason(used([[5]], [[False] * 340 + [True] * 25])) == "few_days"
    assert reason(used([[5]], [[True] * 300 + [True, False, False] * 21 + [True, False]])) == "many_gaps"
    assert reason(used([[10**15], [10**15]], places=HOSPITALS)) == "too_large"


def test_a_silent_clinic_leaves_the_day_usable_and_is_filled_by_its_own_weekdays():
    history = used([[900] * 7, WEEK], [[True], [True] * 357 + [False] * 8], HOSPITALS)
    use = outlook.use_of(history, TODAY)
    assert use.usable_days == 365
    assert 0 < use.share_filled < 0.01
    assert use.values[-7:].tolist() == [900 + units for units in np.resize(WEEK, 365)[-7:]]


def test_a_declared_norm_stands_in_for_a_place_that_hardly_reported():
    hardly = [False] * 360 + [True] * 5
    history = used([[100], [2]], [[True], hardly], HOSPITALS)
    declared = history._replace(declared=(None, Fraction(40)))
    assert outlook.use_of(history, TODAY).values[0] == 102
    assert outlook.use_of(declared, TODAY).values[0] == 140


def test_zeros_are_known_and_are_forecast_as_none():
    found = assessment.assess(situation([lying(100)], used([[0]]), [rule(required_days=30)]))
    assert (found.row["level"], found.row["reason_code"]) == ("unknown", "no_consumption")
    assert found.row["expected"]["use_30_days"] == {"mean": 0, "p50": 0, "p90": 0, "p95": 0}


def test_e3_a_known_change_moves_the_forecast_from_its_day_and_is_named_with_its_author():
    case = situation([lying(6360)], noisy(100), [RULE])
    more = assessment.assess(case._replace(**known(2.0, 5, 25)))
    assert more.row["probability_below_required"] > row_of(case)["probability_below_required"]
    assert more.explanation["forecast"]["changes"] == [
        {
            "from": (TODAY + timedelta(days=5)).isoformat(),
            "to": (TODAY + timedelta(days=25)).isoformat(),
            "factor": 2.0,
            "reason": "接种活动",
            "actor": "Li",
        }
    ]
    said = [line for line in more.explanation["lines"]["en"] if "in the next 30 days" in line or "Of that" in line]
    assert len(said) == 2
    assert all(line.startswith("Before the known changes below: ") for line in said), "the paths use more than that"
    plain, moved = (projection.project(c, 30, receipts=False) for c in (case, case._replace(**known(0.0, 5, 9))))
    assert plain["use"]["p50"][:5] == pytest.approx(moved["use"]["p50"][:5], rel=0.03, abs=3)
    assert moved["use"]["p50"][5] == moved["use"]["p50"][10], "nothing is used on days of which that is known"


def test_weekdays_that_are_closed_stay_closed():
    use = used([[70, 70, 70, 70, 70, 0, 0]])
    path = projection.project(situation([lying(9000)], use, [RULE]), 28, receipts=False)
    daily = np.diff(path["use"]["p50"])
    opened = (TODAY - timedelta(days=365)).weekday()
    at_rest = {(opened + 5) % 7, (opened + 6) % 7}
    closed = [day for day in range(28) if (TODAY + timedelta(days=day)).weekday() in at_rest]
    assert [day for day in range(28) if daily[day] == 0] == closed


# -- redone from the explanation --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40, derandomize=True)
@given(situations())
def test_the_forecast_is_redone_from_what_is_told(case):
    found = assessment.assess(case)
    told = json.loads(coverage.compact(found.explanation))["forecast"]
    path = json.loads(coverage.compact(projection.project(case, 40, receipts=False)))
    history = path["forecast"]["history"]
    if told["reason"] is not None:
        assert (history, found.row["probability_below_required"]) == (None, None)
        return
    units = np.array(history["units"], dtype=float)
    window, h = min(told["window_days"], len(units)), told["horizon_days"]
    again = demand.moments(units, h, told["window_days"])
    assert told["mean"] == pytest.approx(float(again.mean[0]))
    assert told["mean"] == pytest.approx(h * (told["level"] + told["window_mean"]) / 2)
    assert told["window_mean"] == pytest.approx(units[-window:].mean())
    spread = told["variance"] - told["mean"]
    if told["mean"] and told["variance"] <= 1e4:
        size = told["mean"] ** 2 / spread
        for name, quantile in told["use"].items():
            p = int(name[1:]) / 100
            assert quantile == stats.nbinom.ppf(p, size, told["mean"] / told["variance"])
    if found.row["probability_below_required"] is None:
        return
    shape = demand.Pattern(np.array(told["weekdays"]), told["concentration"])
    assert shape.factors.mean() == pytest.approx(1 if told["mean"] else shape.factors.mean(), abs=1e-3)


def test_the_chance_is_redone_from_the_told_seed_and_lots():
    case = situation([lying(4200, 40), lying(2100, number="B")], noisy(100), [RULE])
    found = assessment.assess(case)
    told = json.loads(coverage.compact(found.explanation))
    units = projection.project(case, 30, receipts=False)["forecast"]["history"]["units"]
    moments = demand.moments(units, 30, told["forecast"]["window_days"])
    first = TODAY - timedelta(days=len(units))
    mean, variance = float(moments.mean[0]), float(moments.variance[0])
    shape = demand.pattern(units, mean, variance, window=365, first_weekday=first.weekday())
    rng = np.random.default_rng(int(told["forecast"]["seed"]))
    use = demand.paths(mean, variance, shape, 30, rng, first_weekday=TODAY.weekday())
    lots = [(lot["on_hand"], lot["life"]) for lot in told["lots"] if lot["counted"]]
    peak = Fraction(told["peak"]["fraction"])
    along = paths.project(*zip(*lots, strict=True), use, peak=peak)
    below = paths.first_below(along.coverage, 30)
    assert found.row["probability_below_required"] == ceil(100 * Fraction(round(below.probability * 1000), 1000)) / 100


# -- promises ---------------------------------------------------------------------------------------------------------

K1 = used([[1000]])


@pytest.mark.parametrize(
    ("promises", "with_contract", "with_capacity", "gaps"),
    [
        ([contract(20_000, 10)], 32.0, 32.0, []),
        ([contract(20_000, 15)], 12.0, 12.0, [(12, 14, 3000)]),
        ([contract(20_000, 10), contract(400, 20, kind=CommitmentKind.CAPACITY, number="CM-2")], 32.0, 40.4, []),
        ([], 12.0, 12.0, []),
    ],
)
def test_k1_c4_promises_are_counted_apart_and_without_a_gap(promises, with_contract, with_capacity, gaps):
    found = assessment.assess(situation([lying(12_000)], K1, [RULE], promises=promises))
    row = found.row
    assert (row["days_of_coverage"], row["days_with_contract"], row["days_with_capacity"]) == (
        12.0,
        with_contract,
        with_capacity,
    )
    assert row["gaps"] == [
        {
            "from": (TODAY + timedelta(days=first)).isoformat(),
            "to": (TODAY + timedelta(days=last)).isoformat(),
            "units": units,
        }
        for first, last, units in gaps
    ]
    assert row["shortfall"] == 18_000, "a promise is not stock"


def test_a_reserve_that_lasts_for_years_is_not_said_to_last_less_with_a_contract():
    row = row_of(situation([lying(900_000)], K1, [RULE], promises=[contract(1000, 10)]))
    assert (row["days_of_coverage"], row["days_with_contract"]) == (900.0, 901.0)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"valid_until": TODAY - timedelta(days=1)}, "ended"),
        ({"valid_from": TODAY + timedelta(days=1)}, "not_yet_valid"),
        ({"seen_on": TODAY - timedelta(days=181)}, "not_verified"),
        ({"seen": 0}, "nothing_seen"),
        ({"called": 20_000}, "all_called"),
    ],
)
def test_c2_c3_a_promise_that_does_not_count_says_why_in_the_row_and_in_words(changed, why):
    found = assessment.assess(situation([lying(12_000)], K1, [RULE], promises=[contract(20_000, 10, **changed)]))
    (told,) = found.row["commitments"]
    assert (told["units"], told["why"], found.row["days_with_contract"]) == (0, why, 12.0)
    (line,) = [line for line in found.explanation["lines"]["en"] if "CM-1" in line]
    assert "counts 0" in line
    assert ("since" in line) == (why == "not_verified")


def test_c3_a_look_counts_in_the_row_as_long_as_the_strictest_policy_says():
    strict = rule("PP", PolicyKind.PERSONS, required_days=30, persons=1000, norm_per_1000=1000, verified_within_days=20)
    for policies in ([strict], [RULE, strict]):
        row = row_of(situation([lying(12_000)], K1, policies, promises=[contract(20_000, 10)]))
        assert (row["commitments"][0]["why"], row["days_with_contract"]) == ("not_verified", 12.0)


def test_c5_what_was_called_is_under_way_and_counted_once():
    called = [contract(20_000, 10, called=8000)]
    under_way = [order(8000, 4, kind="call_up", commitment="CM-1")]
    row = row_of(situation([lying(12_000)], K1, [RULE], promises=called, coming=under_way))
    assert row["days_with_contract"] == 32.0
    late = [order(8000, -8, kind="call_up", commitment="CM-1")]
    found = assessment.assess(situation([lying(12_000)], K1, [RULE], promises=called, coming=late))
    assert found.row["days_with_contract"] == 24.0, "a week too late is not counted on"
    (line,) = [line for line in found.explanation["lines"]["en"] if "PR-1" in line]
    assert line.startswith("Contract PR-1 振华防护 counts 0: it was called and is more than a week late, expected on")


def test_the_days_with_promises_are_redone_from_the_explanation_alone():
    case = situation(
        [lying(9000, 6), lying(4000, number="B")],
        K1,
        [RULE],
        promises=[contract(20_000, 11), contract(400, 20, kind=CommitmentKind.CAPACITY, number="CM-2", called=900)],
        coming=[order(900, 14, kind="call_up", commitment="CM-2", per_day=300)],
    )
    found = assessment.assess(case)
    told = json.loads(coverage.compact(found.explanation))
    peak, promised = Fraction(told["peak"]["fraction"]), told["promises"]
    lots = [[lot["life"], Fraction(lot["on_hand"])] for lot in told["lots"]]

    def unbroken(arrivals, capacity):
        stock, pool = [list(lot) for lot in lots], Fraction(0)
        for day in range(10**4):
            stock = [lot for lot in stock if lot[0] is None or lot[0] > day]
            pool += sum(a["units"] for a in arrivals if a["day"] == day)
            pool += sum(c["units_per_day"] for c in capacity if c["first_day"] <= day <= c["last_day"])
            asked = peak
            for lot in sorted(stock, key=lambda lot: (lot[0] is None, lot[0])):
                given_ = min(lot[1], asked)
                lot[1], asked = lot[1] - given_, asked - given_
            given_ = min(pool, asked)
            pool, asked = pool - given_, asked - given_
            if asked:
                return day + 1 - asked / peak
        raise AssertionError

    assert Fraction(promised["days_with_contract"]) == unbroken(promised["contracts"], [])
    everything = [*promised["contracts"], *promised["capacity_called"]]
    assert Fraction(promised["days_with_capacity"]) == unbroken(everything, promised["capacity"])


# -- policies in parts ------------------------------------------------------------------------------------------------

TEN_AND_TWENTY = rule("PARTS", required_days=30, physical_days=10, contracted_days=20)


@pytest.mark.parametrize(
    ("units", "promises", "level", "part", "words"),
    [
        (60_000, [contract(25_000, 5)], "normal", None, "60.0"),
        (9_000, [contract(25_000, 5)], "red", "physical", "stock alone, 9.0 days usable, 10 required"),
        (40_000, [contract(19_000, 5)], "orange", "contracted", "contracts alone, 19.0 days promised, 20 required"),
        (40_000, [], "red", "contracted", "contracts alone"),
        (20_000, [contract(25_000, 21)], "orange", "whole", "stock and contracts, 20.0 days in all, 30 required"),
    ],
)
def test_c6_each_part_is_judged_alone_and_the_reason_names_the_worst(units, promises, level, part, words):
    found = assessment.assess(situation([lying(units)], K1, [TEN_AND_TWENTY], promises=promises))
    assert found.row["level"] == level
    (policy,) = found.explanation["policies"]
    assert [p["part"] for p in policy["parts"]] == ["physical", "contracted", "whole"]
    assert max(p["shortfall"] for p in policy["parts"]) == policy["shortfall"] == found.row["shortfall"]
    if part is not None:
        assert words in found.reason.en


def test_what_is_missing_by_another_policy_is_not_said_of_the_days():
    rules = [RULE, rule("Q", PolicyKind.QUANTITY, quantity=34_000)]
    found = assessment.assess(situation([lying(29_000)], K1, rules))
    assert found.reason.en == "29.0 days usable, 30 required; by policy Q 5,000 are missing."
    alone = assessment.assess(situation([lying(29_000)], K1, [RULE]))
    assert alone.reason.en == "29.0 days usable, 30 required; 1,000 are missing."


def test_d5_the_parts_of_a_policy_are_told_with_their_own_arithmetic():
    def line(policy):
        found = assessment.assess(situation([lying(60_000)], K1, [policy], promises=[contract(25_000, 5)]))
        (told,) = [line for line in found.explanation["lines"]["en"] if line.startswith("Policy ")]
        return told

    assert line(TEN_AND_TWENTY).startswith(
        "Policy PARTS: stock alone 10 x 1,000 = 10,000 required, 60.00 days there; contracts alone 20 x 1,000 = 20,000"
        " required, 25.00 days there; stock and contracts 30 x 1,000 = 30,000 required, 85.00 days there: “"
    )
    long = rule("LONG", required_days=30, contracted_days=60)
    assert "contracts alone 60 x 1,000 = 60,000 required" in line(long), "30 x 1,000 is not 60,000"
    plan = rule("KIND", PolicyKind.QUANTITY, quantity=10_000, physical_percent=70)
    assert "stock alone 7,000 required, 60,000 there; stock and contracts 10,000 required, 85,000 there" in line(plan)


def test_c6_seventy_per_cent_must_lie_there():
    plan = rule("KIND", PolicyKind.QUANTITY, quantity=10_000, physical_percent=70)
    days = rule("DAYS", required_days=30, physical_percent=70)

    def judged(units, contracted, policy):
        promises = [contract(contracted, 5)] if contracted else []
        use = used([[0]]) if policy is plan else K1
        return assessment.assess(situation([lying(units)], use, [policy], promises=promises))

    assert judged(7000, 3000, plan).level == "normal"
    assert judged(6999, 9000, plan).level == "orange"
    assert "stock alone, 6,999 usable, 7,000 required; 1 are missing" in judged(6999, 9000, plan).reason.en.replace(
        "只 ", ""
    )
    assert judged(7000, 2999, plan).level == "orange"
    assert judged(60_000, 9000, days).level == "normal"
    assert judged(20_999, 90_000, days).level == "orange"


@pytest.mark.parametrize("terms", [{"physical_days": 0, "contracted_days": 30}, {"physical_percent": 0}])
def test_a_policy_that_asks_for_promises_alone_is_not_held_where_nothing_is_used_and_nothing_promised(terms):
    found = assessment.assess(situation([], used([[0]]), [rule(required_days=30, **terms)]))
    assert (found.row["level"], found.row["reason_code"]) == ("unknown", "no_consumption")


def test_d5_the_line_of_dates_says_which_days_and_at_what_rate():
    def line(policy, units):
        found = assessment.assess(situation([lying(units)], K1, [policy]))
        (said,) = [line for line in found.explanation["lines"]["en"] if "first day not met in full" in line]
        return said, found.row["falls_below_on"]

    said, below = line(rule(required_days=30, physical_days=10), 15_000)
    assert said.startswith(f"Used at the peak: below 10 days from {below}"), "15 days are below 30 today"
    said, below = line(rule("PP", PolicyKind.PERSONS, required_days=70, persons=200, norm_per_1000=1000), 20_000)
    assert said.startswith(f"Used at 200 a day as policy PP plans: below 70 days from {below}; used at the peak")


@pytest.mark.parametrize(
    ("policy", "required", "days"),
    [
        (RULE, 30_000, 30),
        (rule("PARTS", required_days=30, physical_days=10), 10_000, 10),
        (rule("PP", PolicyKind.PERSONS, required_days=70, persons=200, norm_per_1000=1000), 14_000, 70),
        (rule("NONE", required_days=30, physical_days=0, contracted_days=30), 0, 0),
        (rule("KIND", PolicyKind.QUANTITY, quantity=10_000), None, None),
    ],
)
def test_the_line_that_the_projection_draws_is_what_the_policy_asks_of_stock(policy, required, days):
    case = situation([lying(20_000)], K1, [policy])
    path, row = projection.project(case, 30, receipts=False), row_of(case)
    assert (path["required"], path["required_days"]) == (required, days)
    assert path["probability_below_required"] == row["probability_below_required"]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(1, 60_000),
    st.lists(st.tuples(st.integers(1, 40_000), st.integers(0, 40)), max_size=3),
    st.integers(1, 30_000),
)
def test_more_stock_or_another_promise_never_makes_a_part_worse(units, promised, more):
    promises = [contract(n, lead, number=f"CM-{i}") for i, (n, lead) in enumerate(promised)]
    case = situation([lying(units)], K1, [TEN_AND_TWENTY], promises=promises)
    before = row_of(case)
    stocked = row_of(case._replace(lots=[lying(units + more)]))
    promised_more = row_of(case._replace(promises=[*promises, contract(more, 3, number="CM-9")]))
    for after in (stocked, promised_more):
        assert after["shortfall"] <= before["shortfall"]
        assert after["days_with_contract"] >= before["days_with_contract"]
    assert promised_more["days_of_coverage"] == before["days_of_coverage"]


# -- what is under way ------------------------------------------------------------------------------------------------


def test_planned_receipts_are_in_the_projection_switched_and_shown_and_never_in_the_row():
    orders = [
        order(3000, 5),
        order(500, -3, number="PR-2"),
        order(700, -9, number="PR-3"),
        order(9, None, number="T-4"),
    ]
    case = situation([lying(4200)], noisy(100), [RULE])
    ordered = case._replace(coming=orders)
    assert {**row_of(case)} == {**row_of(ordered)}
    without, told = (projection.project(ordered, 40, receipts=switch) for switch in (False, True))
    assert [r["number"] for r in told["receipts"]] == ["PR-1", "PR-2"]
    assert [r["number"] for r in told["late"]] == ["PR-3", "T-4"]
    assert (without["receipts_counted"], told["receipts_counted"]) == (False, True)
    assert told["usable"]["p50"][0] - without["usable"]["p50"][0] == 500
    assert told["usable"]["p50"][5] - without["usable"]["p50"][5] == 3500
    assert told["at_peak"] == without["at_peak"], "the rule's own view knows stock only"
    assert told["probability_below_required"] < without["probability_below_required"]


def test_what_comes_and_expires_soon_is_used_first_or_lost():
    case = situation([lying(20_000)], noisy(100), [RULE], coming=[order(5000, 2, expires=12)])
    usable = projection.project(case, 30, receipts=True)["usable"]["p50"]
    assert usable[2] > usable[1] + 4000
    assert usable[11] - usable[12] > 3000, "what nobody used in ten days has expired"


@settings(deadline=None, max_examples=25, derandomize=True)
@given(situations(), st.integers(1, 90), st.booleans())
def test_a_projection_is_ordered_and_never_negative(case, days, receipts):
    case = case._replace(coming=[order(1234, 3), order(99, 1, number="PR-2", expires=9)])
    path = json.loads(coverage.compact(projection.project(case, days, receipts=receipts)))
    assert len(path["dates"]) == days + 1
    if path["usable"] is None:
        assert path["forecast"]["reason"] is not None or not path["at_peak"] or not any(p.rate for p in case.policies)
        return
    bands = np.array([path["usable"][name] for name in ("p05", "p25", "p50", "p75", "p95")], dtype=float)
    assert bands.shape == (5, days + 1)
    assert (bands >= 0).all()
    assert (np.diff(bands, axis=0) >= 0).all()
    use = np.array([path["use"][name] for name in ("p05", "p25", "p50", "p75", "p95")], dtype=float)
    assert (np.diff(use, axis=1) >= 0).all()
    when = [path["falls_below_on"][name] for name in ("p05", "p50", "p95")]
    known_dates = [day for day in when if day is not None]
    assert known_dates == sorted(known_dates)
    assert when[: len(known_dates)] == known_dates


def test_figures_are_found_without_touching_the_case():
    case = situation([lying(4200, 40)], noisy(100), [RULE], promises=[contract(5, 5)])
    found = figures.find(case)
    assert found.case is case
    assert found.case.scope is SCOPE


# -- what the peak rests on, in words ---------------------------------------------------------------------------------


def lines_of(case):
    return " | ".join(assessment.assess(case).explanation["lines"]["en"])


def test_d2_who_is_silent_what_stands_out_and_what_was_left_out_is_always_said():
    calm = used([[10] * 300 + [700] + [10] * 64], [[True] * 355 + [False] * 10])
    case = situation([lying(9000)], calm, [RULE])
    assert "Silent lately, or hardly reporting: Hospital 2" in lines_of(case)
    assert "Days that stand far out, counted all the same: Hospital 2 2026-01-26 700" in lines_of(case)
    row = row_of(case)["peak_basis"]
    assert (row["silent_locations"], row["flagged"], row["excluded"]) == (["H2"], 1, 0)
    reported = calm.reported.copy()
    reported[0, 300] = False
    left_out = calm._replace(
        reported=reported, values=calm.values * reported, excluded=(Excluded(0, 300, 700, "一次性调拨", "Wang"),)
    )
    case = situation([lying(9000)], left_out, [RULE])
    assert "Left out by a manager: Hospital 2 2026-01-26 700 (一次性调拨); with them the peak would be 108.5714" in (
        lines_of(case)
    )
    found = assessment.assess(case)
    assert found.row["peak_daily"] == 10
    assert found.explanation["peak"]["peak_with_excluded"] == pytest.approx(760 / 7)
    assert found.explanation["peak"]["excluded"][0]["actor"] == "Wang"


def test_a_norm_speaks_for_a_place_that_hardly_reported_and_is_named():
    hardly = used([[100], [2]], [[True], [False] * 360 + [True] * 5], HOSPITALS)
    case = situation([lying(9000)], hardly._replace(declared=(None, Fraction(40))), [RULE])
    assert row_of(case._replace(history=hardly))["level"] == "unknown"
    assert "By a declared norm where little is reported: Hospital 3 40 a day" in lines_of(case)
    row = row_of(case)
    assert (row["peak_daily"], row["peak_basis"]["known"]) == (140.0, True)


def test_a_policy_may_add_the_peaks_of_its_places_instead():
    first, second = [[10] * 7 + [40] * 7 + [10] * 28, [20] * 14 + [60] * 7 + [20] * 21]
    use = used([first, second], places=HOSPITALS)
    together = row_of(situation([lying(9000)], use, [RULE]))
    added = row_of(situation([lying(9000)], use, [rule(required_days=30, scope_peak=ScopePeak.SUM)]))
    assert (together["peak_daily"], added["peak_daily"]) == (70.0, 100.0)


def test_every_named_method_stands_beside_the_ruling_one():
    found = figures.find(situation([lying(9000)], used([WEEK]), [RULE]))
    rows = {row["method"]: row for row in evidence.peaks(found)}
    assert list(rows) == list(evidence.METHODS)
    assert [m for m, row in rows.items() if row["ruling"]] == ["rolling_mean_max"]
    assert rows["day_max"]["peak_daily"] == 50
    assert rows["mean"]["peak_daily"] == pytest.approx(40, abs=0.1)
    assert [m for m, row in rows.items() if row["for_comparison_only"]] == ["mean_upper:0.95", "mean"]
    for row in rows.values():
        if row["peak_daily"] and row["method"] != "norm":
            assert row["days_of_coverage"] == pytest.approx(9000 / row["peak_daily"], abs=0.01)


# -- a fixed quantity, and why there is no chance ---------------------------------------------------------------------


def test_a_fixed_quantity_is_warned_of_before_it_is_broken():
    plan = rule("FIXED", PolicyKind.QUANTITY, quantity=4000)
    falling = assessment.assess(situation([lying(5000)], noisy(100), [plan]))
    assert (falling.row["level"], falling.row["probability_below_required"]) == ("yellow", 1.0)
    assert "By policy FIXED, 5,000 usable, 4,000 required; the chance of falling below within 30 days is 100%" in (
        falling.reason.en
    )
    calm = assessment.assess(situation([lying(9000)], noisy(100), [plan]))
    assert (calm.row["level"], calm.row["probability_below_required"]) == ("normal", 0.0)
    expiring = assessment.assess(situation([lying(3000, 20), lying(6000, number="B")], noisy(1), [plan]))
    assert (expiring.row["level"], expiring.row["falls_below_on"]) == ("normal", None)
    expiring = assessment.assess(situation([lying(3000, 20), lying(3500, number="B")], noisy(1), [plan]))
    assert expiring.row["falls_below_on"] == (TODAY + timedelta(days=20)).isoformat()
    assert expiring.row["level"] == "yellow"
    path = projection.project(situation([lying(5000)], noisy(100), [plan], coming=[order(9000, 5)]), 30, receipts=True)
    assert path["stock_alone"]["probability_below_required"] == 1.0
    assert path["probability_below_required"] == 0.0
    silent = used([[5]], [[True] * 300 + [False] * 40 + [True] * 25])
    by_date = assessment.assess(situation([lying(4020)], silent, [plan]))
    assert by_date.row["reason_code"] == "falls_within_lead_time"
    assert "4,020 usable, 4,000 required; at the peak it falls below on 2026-04-06" in by_date.reason.en


@pytest.mark.parametrize(
    ("history", "policies", "reason"),
    [
        (noisy(100), [], "no_policy"),
        (used([[0]]), [RULE], "no_consumption"),
        (noisy(100), [rule("NONE", required_days=30, physical_days=0, contracted_days=30)], "nothing_asked"),
        (noisy(100), [RULE], None),
    ],
)
def test_where_there_is_no_chance_the_row_says_why(history, policies, reason):
    row = row_of(situation([lying(9000)], history, policies))
    assert (row["probability_below_required"] is None) == (reason is not None)
    assert row["expected"]["reason"] == reason


def test_the_row_says_by_which_days_and_rate_stock_is_judged():
    case = situation([lying(9000)], noisy(100), [rule("PART", required_days=30, physical_percent=35)])
    assert row_of(case)["judged"]["required_days"] == 10.5
    persons = rule("P", PolicyKind.PERSONS, required_days=70, persons=200, norm_per_1000=500)
    assert row_of(case._replace(policies=[persons]))["judged"] == {
        "policy": "P", "required_days": 70, "rate": "100", "peak": False,
    }  # fmt: skip
    assert row_of(case._replace(policies=[]))["judged"] is None


def test_expected_use_counts_known_changes_in():
    case = situation([lying(9000)], noisy(100), [RULE])
    before, after = row_of(case), row_of(case._replace(**known(3.0, 0, 29)))
    assert after["expected"]["use_30_days"]["mean"] == pytest.approx(
        3 * before["expected"]["use_30_days"]["mean"], rel=0.05
    )
    path = projection.project(case._replace(**known(3.0, 0, 29)), 30, receipts=False)
    assert after["expected"]["use_30_days"]["p50"] == path["use"]["p50"][30]


# -- everything at once -----------------------------------------------------------------------------------------------

NUMBER = re.compile(r"\d[\d,./-]*\d|\d")


@settings(deadline=None, max_examples=150, derandomize=True)
@given(rich_situations())
def test_j5_whatever_comes_together_both_languages_say_the_same_numbers(case):
    found = assessment.assess(case)
    lines = found.explanation["lines"]
    for zh, en in [(found.reason.zh, found.reason.en), *zip(lines["zh"], lines["en"], strict=True)]:
        assert sorted(NUMBER.findall(zh)) == sorted(NUMBER.findall(en)), (zh, en)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(rich_situations())
def test_d5_parts_and_promises_are_redone_from_what_is_told(case):
    found = assessment.assess(case)
    row, told = json.loads(coverage.compact(found.row)), json.loads(coverage.compact(found.explanation))
    usable = sum(lot["on_hand"] for lot in told["lots"] if lot["counted"])
    if row["days_of_coverage"] is not None:
        assert row["days_of_coverage"] <= row["days_with_contract"] <= row["days_with_capacity"]
    promised = sum(arrival["units"] for arrival in told["promises"]["contracts"])
    for each in told["policies"]:
        for part in each["parts"]:
            if part["part"] == "contracted":
                assert (part["units"], part["shortfall"]) == (promised, max(0, part["required"] - promised))
            if part["part"] == "physical":
                assert part["units"] == usable
            if part["part"] == "whole" and each["kind"] == "quantity":
                assert part["shortfall"] == max(0, each["required"] - usable - promised)
        if each["parts"]:
            assert each["shortfall"] == max(part["shortfall"] for part in each["parts"])
            assert (each["level"] in {"orange", "red"}) == any(p["level"] in {"orange", "red"} for p in each["parts"])
    assert row["level"] in {"orange", "red"} or not any(p["level"] in {"orange", "red"} for p in told["policies"])
    for horizon, receipts in ((5, True), (90, False)):
        path = json.loads(coverage.compact(projection.project(case, horizon, receipts=receipts)))
        assert path["stock_alone"]["probability_below_required"] == row["probability_below_required"]
        assert receipts or path["probability_below_required"] == row["probability_below_required"]
