"""Plans through the city's own rows: what to order, who gives what to whom, what to use up; and sending a line."""

import json
import math
import os
import subprocess
import sys
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refused, sound
from served import Served
from situations import HOSPITALS, MASKS, lying, rule, situation, situations, used
from typed import typed

from forecasting.depletion import cover
from reserve import (
    catalogue,
    coverage,
    database,
    figures,
    ledger,
    policy,
    redistributing,
    replenishing,
    reporting,
)
from reserve.catalogue import NewItem, NewLocation, NewPack, PackRow
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import Category, LocationKind, PolicyKind, Purpose
from reserve.outlook import PATHS
from reserve.policy import NewPolicy
from reserve.replenishing import Terms
from reserve.reporting import Report
from reserve.supply import Coming

CASES = {
    number: {case["name"]: case for case in json.loads((Path(__file__).parent / "cases" / name).read_text())["cases"]}
    for number, name in ((11, "11_replenishment.json"), (12, "12_redistribution.json"), (13, "13_rotation.json"))
}
CITY, WEST, EAST, SOUTH = "371400", "371402", "371425", "371428"
BOX = PackRow(1, "06901234567892", 400, "箱")
RULE = rule(required_days=30)


def ends(days):
    """The last usable day of a lot with so many days of life."""
    return None if days is None else TODAY + timedelta(days=days - 1)


def receive(engine, location, units, life, number="A", item="N95", **changes):
    line = ReceiptLine(number, ends(life), item=item, quantity=units)
    database.transact(engine, lambda s: ledger.receive(s, entry(**changes), location=location, lines=[line]))


def consume(engine, location, quantity, days=60, item="N95"):
    rows = [Report(location, item, TODAY - timedelta(days=n), quantity) for n in range(days, 0, -1)]
    database.transact(engine, lambda s: reporting.report(s, entry(), rows))


def make_rule(engine, kind=PolicyKind.DAYS, code="RULE", scope=CITY, item="N95", **terms):
    new = NewPolicy(code, scope, kind, date(2020, 6, 1), "不少于1个月用量", item=item, **terms)
    database.transact(engine, lambda s: policy.add(s, entry(), new))


def ask(served, kind, status=200, role="viewer", at=CITY, language="en", **asked):
    answer = served.client(role, at, language).get(f"/v1/plans/{kind}", params={"scope": CITY, **asked})
    assert answer.status_code == status, answer.text
    return answer.json()


def the_row(engine, scope=CITY, item="N95"):
    with database.reading(engine) as session:
        at = coverage.when(None, now=NOW, zone=SHANGHAI)
        world = coverage.board(session, at)
        place, thing = catalogue.place(session, scope), catalogue.item(session, item)
        return coverage.assess_item(session, world, thing, [place], at)[0].row


# -- what to order ----------------------------------------------------------------------------------------------------


BY_NORM = {"persons": 3500, "norm": Fraction(1), "required_days": 30}
"""3,500 a day by a norm, and nobody who reports: a peak that is known, and no forecast."""


@pytest.mark.parametrize(
    ("units", "need", "order", "packs"),
    [(135_100, 12.4, 43_600, 109), (183_750, -1.5, 0, 0), (175_000, 1.0, 3600, 9), (178_500, 0.0, 0, 0)],
)
def test_case_11_the_order_is_the_missing_days_at_the_peak_in_whole_packs(served, units, need, order, packs):
    make_rule(served.engine, PolicyKind.PERSONS, **BY_NORM)
    receive(served.engine, "371400-W1", units, 1000)
    (row,) = ask(served, "replenishment", all=True)["items"]
    assert (row["need_days"], row["units"], row["packs"], row["at_risk"]) == (need, order, packs, 0)
    assert row["arithmetic"]["basis"] == "peak"
    assert (row["reason_code"], row["policy"]) == ("rule" if order else "enough", "RULE")
    shown = [r["item"] for r in ask(served, "replenishment")["items"]]
    assert shown == (["N95"] if order else [])
    worked = CASES[11]["service_quantile"]
    if need == worked["inputs"]["need_days"]:
        assert order == worked["expected"]["order"]


def test_case_11_the_rule_comes_before_the_expiry_cap_and_what_is_at_risk_is_said(served):
    """Fresh goods last 37 days, just the 30 and the review: 3,500 x 51 days less 135,100 can be used of an order."""
    with database.writing(served.engine) as session:
        catalogue.add_item(
            session,
            NewItem(
                "SWAB",
                "拭子",
                "Swab",
                Category.TESTING,
                "支",
                shelf_life_days=37,
                packs=[NewPack("06901234567908", 400, "盒")],
            ),
        )
    make_rule(served.engine, PolicyKind.PERSONS, item="SWAB", **BY_NORM)
    receive(served.engine, "371400-W1", 135_100, 1000, item="SWAB")
    (row,) = ask(served, "replenishment")["items"]
    assert (row["units"], row["cap"], row["at_risk"]) == (43_600, 43_400, 200)
    assert "200 would expire and must be rotated" in row["reason"]
    (row,) = ask(served, "replenishment", review_days=8)["items"]
    assert (row["units"], row["reason_code"]) == (0, "life_too_short")
    assert "less than the required days and the review" in row["reason"]


def test_case_11_the_need_is_the_quantile_of_the_paths_of_the_row(city):
    consume(city, "371402-H1", 100)
    consume(city, "371425-H1", 40)
    make_rule(city, required_days=30)
    receive(city, "371400-W1", 5000, 1000)
    served = Served(city)
    with database.reading(city) as session:
        at = coverage.when(None, now=NOW, zone=SHANGHAI)
        place, thing = catalogue.place(session, CITY), catalogue.item(session, "N95")
        case = coverage.read(session, coverage.board(session, at), thing, [place], at)[0]
    found = figures.find(case, days=21)
    ends_with = np.sort(30 - found.ahead.along(found.peak.peak, 21).coverage[:, 21])
    for level in (0.5, 0.9, 0.95, 1):
        (row,) = ask(served, "replenishment", service_level=level)["items"]
        need = Fraction(ends_with[math.ceil(level * PATHS - 1e-9) - 1]).limit_denominator(10**9)
        assert Fraction(row["arithmetic"]["need_days"]) == need
        assert row["arithmetic"]["need_units"] == math.ceil(need * found.peak.peak)
        assert row["units"] == -(-row["arithmetic"]["need_units"] // 400) * 400
        assert row["arithmetic"]["basis"] == "forecast"


def test_what_is_on_order_arrives_first_and_the_same_question_gets_the_same_answer(served):
    make_rule(served.engine, PolicyKind.PERSONS, **BY_NORM)
    receive(served.engine, "371400-W1", 135_100, 1000)
    clerk = served.client("clerk")
    told = ask(served, "replenishment")
    assert ask(served, "replenishment") == told
    ordered = {"item": "N95", "location": "371400-W1", "quantity": 43_400, "expected_on": "2026-04-10"}
    answer = served.client("manager").post("/v1/planned-receipts", json=ordered)
    assert answer.status_code == 201, answer.text
    (row,) = ask(served, "replenishment", all=True)["items"]
    assert (row["on_order"], row["units"], row["need_days"]) == (43_400, 0, 0)
    assert clerk.get("/v1/plans/replenishment?scope=371400").json()["items"] == []


def test_the_last_day_to_order_and_how_late_it_is(served):
    make_rule(served.engine, PolicyKind.PERSONS, **BY_NORM)
    receive(served.engine, "371400-W1", 3500 * 50, 1000)
    (row,) = ask(served, "replenishment")["items"]
    # exactly 30 days are left on day 20; day 21 is the first below, and an order takes 14
    assert (row["order_by"], row["days_late"], row["gap"]) == ("2026-04-08", 0, None)
    served.clock.pass_by(days=12)
    (row,) = ask(served, "replenishment")["items"]
    assert (row["order_by"], row["days_late"]) == ("2026-04-20", 0), "nothing was used: the books stand still"


def test_late_is_said_with_the_days_that_no_order_can_mend():
    policy_ = rule(kind=PolicyKind.PERSONS, required_days=30, persons=3500, norm_per_1000=1000)
    line = replenishing.plan(situation([lying(3500 * 33)], used([[0]], [[False]]), [policy_]), [BOX], Terms())
    assert line["order_by"] == (TODAY - timedelta(days=10)).isoformat()
    assert line["days_late"] == 10
    assert line["gap"] == {
        "from": (TODAY + timedelta(days=4)).isoformat(),
        "to": (TODAY + timedelta(days=13)).isoformat(),
    }
    assert "10 days late" in line["words"]["en"]
    assert "已晚 10 天" in line["words"]["zh"]


def test_a_fall_that_is_mended_by_what_is_on_order_does_not_say_when_to_order():
    coming = Coming("PR-1", "planned", 2, 3500 * 30, TODAY + timedelta(days=5), None, None, None, "振华")
    case = situation([lying(3500 * 33)], used([[3500]]), [RULE], coming=[coming])
    line = replenishing.plan(case, [BOX], Terms(review_days=35))
    assert line["days_late"] == 0
    assert line["order_by"] > TODAY.isoformat()


def test_silent_places_make_an_order_unplanned_and_never_zero():
    line = replenishing.plan(situation([lying(9)], used([[5]], [[False]]), [RULE]), [], Terms())
    assert (line["units"], line["reason_code"]) == (None, "peak_unknown")
    assert "Hospital 2" in line["words"]["en"]
    nothing = replenishing.plan(situation([lying(9)], used([[0]]), [RULE]), [], Terms())
    assert (nothing["units"], nothing["reason_code"]) == (0, "no_use")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 200_000), st.integers(1, 5000), st.sampled_from([1, 7, 400, 5000]), st.integers(0, 60))
def test_the_order_brings_the_row_to_the_rule_where_nothing_is_used_and_not_a_unit_more_than_a_pack(
    units, peak, pack, lead
):
    """No use: a norm says the rate, nobody reports. What is ordered arrives, and every policy is kept."""
    policy_ = rule(kind=PolicyKind.PERSONS, required_days=30, persons=peak, norm_per_1000=1000, lead_time_days=lead)
    case = situation([lying(units)] if units else [], used([[0]], [[False]]), [policy_])
    line = replenishing.plan(case, [BOX._replace(units_per_pack=pack)], Terms(review_days=0))
    # at the peak the days of lead time are used up while one waits
    left = max(0, units - lead * peak)
    after = figures.find(case._replace(lots=[lying(left + line["units"])] if left + line["units"] else []))
    assert after.judged[0].shortfall == 0
    if line["units"] > pack:
        less = left + line["units"] - pack
        short = figures.find(case._replace(lots=[lying(less)] if less else [])).judged[0].shortfall
        assert short > 0


@settings(deadline=None, max_examples=40, derandomize=True)
@given(situations(), st.integers(0, 40), st.sampled_from([0.5, 0.95, 1.0]))
def test_any_situation_gets_a_line_that_can_be_redone(case, review, level):
    line = json.loads(coverage.compact(replenishing.plan(case, [BOX], Terms(review, level))))
    told = line["arithmetic"]
    assert line["words"]["zh"]
    assert line["words"]["en"]
    if told is None:
        assert line["reason_code"] in {"peak_unknown", "no_use", "too_large"}
        return
    need = Fraction(told["required_days"]) - Fraction(told["coverage_at_end"])
    assert Fraction(told["need_days"]) == need
    assert told["need_units"] == max(0, math.ceil(need * Fraction(told["peak_daily"])))
    assert line["need_days"] >= need
    if line["units"]:
        assert line["units"] == -(-told["need_units"] // 400) * 400
        assert line["at_risk"] == (0 if line["cap"] is None else max(0, line["units"] - line["cap"]))


# -- who gives what to whom -------------------------------------------------------------------------------------------

COUNTIES = {"A": WEST, "B": EAST, "C": SOUTH}


@pytest.fixture
def counties(city):
    """A third county; the rule of 30 days for the whole city."""
    with database.writing(city) as session:
        for code, kind, parent in (
            (SOUTH, LocationKind.REGION, CITY),
            (f"{SOUTH}-W1", LocationKind.WAREHOUSE, SOUTH),
            (f"{SOUTH}-H1", LocationKind.HOSPITAL, SOUTH),
            (f"{WEST}-W1", LocationKind.WAREHOUSE, WEST),
        ):
            catalogue.add_location(session, NewLocation(code, code, code, kind, parent))
    make_rule(city, required_days=30)
    return city


@pytest.mark.parametrize("name", ["not_enough_for_all", "near_expiry_moves_first", "a_giver_keeps_its_own_rule"])
def test_case_12_counties_of_the_city_share_as_by_hand(counties, name):
    worked = CASES[12][name]
    for letter, told in worked["inputs"]["places"].items():
        consume(counties, f"{COUNTIES[letter]}-H1", told["peak"])
        for n, (units, life) in enumerate(told["lots"]):
            if units:
                receive(counties, f"{COUNTIES[letter]}-W1", units, 900 if life is None else life, f"{letter}{n}")
    served = Served(counties)
    (plan,) = ask(served, "redistribution", item="N95", transit_days=0)["items"]
    expected, before = worked["expected"], {p["place"]: p["days_before"] for p in plan["places"]}
    after = {p["place"]: p["days_after"] for p in plan["places"]}
    assert (plan["moved"], plan["least_days"]) == (expected["moved"], expected["least_days"])
    for letter, days in expected["days"].items():
        assert after[COUNTIES[letter]] == days
        # the days before are those of the county's own row
        assert before[COUNTIES[letter]] == the_row(counties, COUNTIES[letter])["days_of_coverage"]
    moved = {(line["from"], line["lot_number"], line["to"]): line["units"] for line in plan["lines"]}
    assert moved == {(COUNTIES[a], f"{a}{lot}", COUNTIES[b]): units for a, lot, b, units in expected["plan"]}
    for line in plan["lines"]:
        assert (line["source"], line["target"]) == (f"{line['from']}-W1", f"{line['to']}-W1")
    assert_allowed(plan, counties)


def assert_allowed(plan, engine):
    """No lot gives more than lies free, no giver ends below its rule, no taker gets more than it lacks."""
    with database.reading(engine) as session:
        free = {
            (row.location, row.lot_number): row.available
            for row in coverage.stock.rows(session, coverage.stock.StockQuestion(day=TODAY))
        }
    given_ = {}
    for line in plan["lines"]:
        key = (line["source"], line["lot_number"])
        given_[key] = given_.get(key, 0) + line["units"]
    assert all(units <= free[key] for key, units in given_.items())
    for part in plan["places"]:
        assert not (part["gives"] and part["receives"])
        if part["gives"] and part["days_after"] is not None:
            assert part["days_after"] >= part["required_days"]
        if part["receives"]:
            assert part["receives"] <= part["shortfall"]
            assert part["days_after"] >= part["days_before"]


def test_the_citys_own_store_gives_all_it_has_where_it_uses_nothing_and_keeps_its_rule_where_it_does(counties):
    consume(counties, f"{WEST}-H1", 100)
    consume(counties, f"{EAST}-H1", 100)
    receive(counties, "371400-W1", 4000, 900)
    receive(counties, f"{WEST}-W1", 100, 900, "B")
    served = Served(counties)
    (plan,) = ask(served, "redistribution", item="N95", transit_days=0)["items"]
    own = plan["places"][0]
    assert (own["place"], own["role"], own["gives"], own["days_before"]) == (CITY, "giver", 4000, None)
    assert plan["least_days"] == 20.5
    with database.writing(counties) as session:
        catalogue.add_location(session, NewLocation("371400-H1", "市医院", "City", LocationKind.HOSPITAL, CITY))
    consume(counties, "371400-H1", 100)
    (plan,) = ask(served, "redistribution", item="N95", transit_days=0)["items"]
    own = plan["places"][0]
    assert (own["days_before"], own["days_after"], own["gives"]) == (40, 30, 1000)


def test_what_is_promised_or_lies_at_a_hospital_counts_and_stays(counties):
    consume(counties, f"{WEST}-H1", 100)
    consume(counties, f"{EAST}-H1", 100)
    receive(counties, f"{WEST}-W1", 1000, 900, "A")
    receive(counties, f"{WEST}-H1", 3500, 900, "H")
    served = Served(counties)
    lines = [{"item": "N95", "quantity": 600}]
    asked = {"location": f"{WEST}-W1", "purpose": "use", "recipient": "x", "lines": lines}
    made = served.client("clerk").post("/v1/requisitions", json=asked).json()["number"]
    done = served.client("manager").post(f"/v1/requisitions/{made}/approval", json={})
    assert done.status_code == 201, done.text
    (plan,) = ask(served, "redistribution", item="N95")["items"]
    assert [(line["source"], line["units"]) for line in plan["lines"]] == [(f"{WEST}-W1", 400)]
    assert_allowed(plan, counties)


def test_who_is_silent_gives_nothing_and_says_why(counties):
    consume(counties, f"{WEST}-H1", 100)
    receive(counties, f"{EAST}-W1", 9000, 900)
    (plan,) = ask(Served(counties), "redistribution")["items"]
    left_out = {p["place"]: p["left_out"] for p in plan["places"]}
    assert left_out[EAST] == "peak_unknown"
    assert (plan["reason_code"], plan["lines"]) == ("no_giver", [])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(1, 4000), st.none() | st.integers(1, 60)), max_size=3),
            st.integers(0, 120),
        ),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 3),
)
def test_any_counties_share_within_their_lots_and_rules(told, transit):
    place = SITUATION_PLACES
    parts = []
    for n, (held, peak) in enumerate(told):
        rows = [lying(units, life, number=f"L{n}{i}") for i, (units, life) in enumerate(held)]
        batches = [
            redistributing.Batch(row, row.on_hand, life, moves=True) for row, (_, life) in zip(rows, held, strict=True)
        ]
        found = cover([(units, life) for units, life in held], peak, 30)
        parts.append(
            redistributing.Part(place[n], batches, Fraction(peak), Fraction(30), "RULE", found, place[n], None)
        )
    plan = redistributing.plan(MASKS, place[0], parts, as_of=TODAY, transit_days=transit)
    gone = {}
    for line in plan["lines"]:
        gone[line["lot_number"]] = gone.get(line["lot_number"], 0) + line["units"]
    for n, part in enumerate(parts):
        held = told[n][0]
        kept = [(units - gone.get(f"L{n}{i}", 0), life) for i, (units, life) in enumerate(held)]
        assert all(units >= 0 for units, _ in kept)
        if part.peak and any(gone.get(f"L{n}{i}") for i in range(len(held))):
            assert cover(kept, part.peak, 30).days >= 30


SITUATION_PLACES = [HOSPITALS[0]._replace(id=n, code=f"C{n}", path=f"/1/{n}/") for n in range(2, 7)]


def test_a_line_becomes_the_transfer_it_stands_for_once(counties):
    consume(counties, f"{WEST}-H1", 100)
    consume(counties, f"{EAST}-H1", 100)
    receive(counties, f"{WEST}-W1", 3500, 900, "OLD")
    receive(counties, f"{WEST}-W1", 1000, 1000, "NEW")
    served = Served(counties)
    (plan,) = ask(served, "redistribution", item="N95")["items"]
    (line,) = plan["lines"]
    assert (line["units"], line["lot_number"]) == (1500, "OLD")
    viewer, clerk = served.client("viewer"), served.client("clerk", WEST)
    assert viewer.post("/v1/plans/redistribution/transfers", json=line).status_code == 403
    assert served.client("clerk", EAST).post("/v1/plans/redistribution/transfers", json=line).status_code == 403
    first = clerk.post("/v1/plans/redistribution/transfers", json=line, headers={"Idempotency-Key": "1"})
    assert first.status_code == 201, first.text
    again = clerk.post("/v1/plans/redistribution/transfers", json=line, headers={"Idempotency-Key": "1"})
    assert again.json() == first.json()
    sent = first.json()
    assert (sent["state"], sent["target"], sent["expected_on"]) == ("in_transit", f"{EAST}-W1", "2026-04-02")
    assert [(m["lot_number"], m["quantity"]) for m in sent["movements"]] == [("OLD", 1500)]
    assert sent["movements"][0]["reason"] == "plan 371400: 371402 -> 371425"
    post = "/v1/plans/redistribution/transfers"
    # the giver stands at its rule now: the same line a second time would break it
    refused(counties, lambda: clerk.post(post, json=line), 409, "plan_outdated")
    refused(counties, lambda: clerk.post(post, json={**line, "units": 9000}), 409, "insufficient_stock")
    sound(counties)
    arrived = served.client("clerk", EAST).post(f"/v1/transfers/{sent['document']}/receipt", json={})
    assert arrived.status_code == 201
    days = {p["place"]: p["days_after"] for p in plan["places"]}
    assert the_row(counties, WEST)["days_of_coverage"] == days[WEST] == 30
    assert the_row(counties, EAST)["days_of_coverage"] == days[EAST] == 15


def test_a_line_that_is_none_of_the_plan_is_refused_and_moves_nothing(counties):
    consume(counties, f"{WEST}-H1", 100)
    consume(counties, f"{EAST}-H1", 100)
    receive(counties, f"{WEST}-W1", 4500, 900)
    served = Served(counties)
    (line,) = ask(served, "redistribution", item="N95")["items"][0]["lines"]
    clerk, post = served.client("clerk"), "/v1/plans/redistribution/transfers"
    for wrong, status, code in (
        ({"from": SOUTH}, 422, "not_of_the_plan"),
        ({"to": WEST, "target": f"{WEST}-H1"}, 422, "not_of_the_plan"),
        ({"target": f"{SOUTH}-W1"}, 422, "not_of_the_plan"),
        ({"target": "371425-X"}, 422, "unknown_location"),
        ({"item": "X9"}, 422, "unknown_item"),
        ({"lot_number": "Z"}, 422, "unknown_lot"),
        ({"units": 0}, 422, "invalid_value"),
        ({"units": "5"}, 422, "invalid_value"),
        ({"extra": 1}, 422, "invalid_value"),
    ):
        refused(counties, lambda body={**line, **wrong}: clerk.post(post, json=body), status, code)


# -- what to use up ---------------------------------------------------------------------------------------------------

YEAR_AGO = NOW - timedelta(days=400)
BEFORE = NOW - timedelta(days=300)


def hand_out(engine, units):
    """So many units left the city's store within the year, and it has had the item for longer."""
    receive(engine, "371400-W1", units, 1, "OLD", now=YEAR_AGO)
    lines = [IssueLine("N95", units)]
    database.transact(
        engine,
        lambda s: ledger.issue(
            s, entry(now=BEFORE), location="371400-W1", lines=lines, purpose=Purpose.ALLOCATION, recipient="演练"
        ),
    )


TEN_A_DAY = {"persons": 10, "norm": Fraction(1), "required_days": 30}


def test_case_13_two_hospitals_use_up_what_the_reserve_would_lose(city):
    worked = CASES[13]["two_hospitals"]
    hand_out(city, 365)
    receive(city, "371400-W1", 400, 60, "SHORT")
    receive(city, "371400-W1", 10_000, 1000, "LONG")
    receive(city, "371402-H1", 100, 40, "OWN")
    consume(city, "371402-H1", 5)
    consume(city, "371425-H1", 2)
    make_rule(city, PolicyKind.PERSONS, **TEN_A_DAY)
    (plan,) = ask(Served(city), "rotation", transit_days=0, within_days=90)["items"]
    (lot,) = plan["lots"]
    names = {"371402-H1": "H1", "371425-H1": "H2"}
    assert (lot["lot_number"], lot["waste"], lot["no_room"]) == (
        "SHORT",
        worked["expected"]["waste_by_lot"][0],
        worked["expected"]["left_over"]["0"],
    )
    lines = [
        [0, names[line["target"]], line["units"], (date.fromisoformat(line["send_by"]) - TODAY).days]
        for line in plan["lines"]
    ]
    assert lines == worked["expected"]["lines"]
    assert [line["now"] for line in plan["lines"]] == [False, True]
    assert (plan["handed_out_daily"], lot["owed"]) == ("1", 0)


def test_case_13_the_reserve_keeps_its_rule_and_the_rest_is_owed(city):
    worked = CASES[13]["the_reserve_keeps_its_rule"]
    hand_out(city, 365)
    receive(city, "371400-W1", 400, 60, "SHORT")
    consume(city, "371402-H1", 100)
    consume(city, "371425-H1", 0)
    make_rule(city, PolicyKind.PERSONS, **TEN_A_DAY)
    (plan,) = ask(Served(city), "rotation", transit_days=0)["items"]
    (lot,), (line,) = plan["lots"], plan["lines"]
    assert lot["waste"] == worked["expected"]["waste_by_lot"][0]
    assert (line["target"], line["units"]) == ("371402-H1", worked["expected"]["lines"][0][2])
    assert (date.fromisoformat(line["send_by"]) - TODAY).days == worked["expected"]["lines"][0][3]
    assert (lot["owed"], lot["limit"]) == (worked["expected"]["left_over"]["0"], "required_days")
    assert "replace them first, then send" in lot["reason"]


def test_what_a_hospital_gets_from_the_reserve_already_is_not_counted_twice(city):
    receive(city, "371400-W1", 365 * 4, 1, "OLD", now=YEAR_AGO)
    lines = [IssueLine("N95", 365 * 4)]
    database.transact(
        city,
        lambda s: ledger.issue(
            s, entry(now=BEFORE), location="371400-W1", lines=lines, purpose=Purpose.USE, recipient="371402-H1"
        ),
    )
    receive(city, "371400-W1", 1000, 60, "SHORT")
    consume(city, "371402-H1", 5)
    consume(city, "371425-H1", 0)
    (plan,) = ask(Served(city), "rotation", transit_days=0)["items"]
    # 4 a day go there anyway: 760 would be lost, and only 1 a day is bought elsewhere
    assert (plan["lots"][0]["waste"], plan["lines"][0]["units"], plan["lots"][0]["no_room"]) == (760, 60, 700)


def test_a_fixed_plan_is_drawn_down_to_its_floor_and_no_further(city):
    receive(city, "371400-W1", 1000, 60, "SHORT")
    consume(city, "371402-H1", 100)
    consume(city, "371425-H1", 0)
    make_rule(city, PolicyKind.QUANTITY, quantity=1000)
    for floor, sent in ((70, 300), (100, 0), (0, 1000)):
        (plan,) = ask(Served(city), "rotation", transit_days=0, floor_percent=floor)["items"]
        assert sum(line["units"] for line in plan["lines"]) == sent
        (lot,) = plan["lots"]
        assert (lot["sent"], lot["owed"]) == (sent, 1000 - sent)


def test_of_a_reserve_whose_use_is_unknown_nothing_is_sent(city):
    receive(city, "371400-W1", 1000, 60, "SHORT")
    consume(city, "371402-H1", 100)
    make_rule(city, required_days=30)
    (plan,) = ask(Served(city), "rotation")["items"]
    assert (plan["reason_code"], plan["lines"], plan["lots"][0]["owed"]) == ("peak_unknown", [], 1000)


# -- asking -----------------------------------------------------------------------------------------------------------

KINDS = ("replenishment", "redistribution", "rotation")


@pytest.mark.parametrize("kind", KINDS)
def test_plans_are_read_by_viewers_within_their_subtree_only(served, kind):
    path = f"/v1/plans/{kind}"
    assert served.client(None).get(path, params={"scope": CITY}).status_code == 401
    county = served.client("viewer", EAST)
    assert county.get(path, params={"scope": EAST}).status_code == 200
    outside = [county.get(path, params={"scope": code}) for code in (CITY, WEST, "371402-H1", "NOWHERE")]
    assert {answer.status_code for answer in outside} == {403}
    assert len({answer.text for answer in outside}) == 1, "what is not there and what one may not see look alike"
    assert served.client("viewer").get(path, params={"scope": "NOWHERE"}).status_code == 404
    assert served.client("viewer").get(path, params={"scope": CITY, "item": "X9"}).status_code == 404


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        *[(kind, {"limit": bad}) for kind in KINDS for bad in (0, 201, "x")],
        *[(kind, {"cursor": "!"}) for kind in KINDS],
        *[(kind, {"category": "nothing"}) for kind in KINDS],
        *[(kind, {"scope": "' OR 1=1"}) for kind in KINDS],
        *[("replenishment", {"service_level": bad}) for bad in (0, -1, 1.01, "nan", "inf", "x")],
        *[("replenishment", {"review_days": bad}) for bad in (-1, 366, 1.5)],
        *[("redistribution", {"transit_days": bad}) for bad in (-1, 61, 10**20)],
        *[("rotation", {"floor_percent": bad}) for bad in (-1, 101)],
        *[("rotation", {"within_days": bad}) for bad in (0, 3661)],
    ],
)
def test_bad_questions_are_refused_in_both_languages(served, kind, asked):
    for language in ("zh", "en"):
        body = ask(served, kind, 422, language=language, **asked)
        assert body["detail"]


def test_long_plans_come_in_pages(served):
    for n in range(5):
        with database.writing(served.engine) as session:
            catalogue.add_item(session, NewItem(f"I{n}", "物", "Thing", Category.OTHER, "个", shelf_life_days=None))
        make_rule(served.engine, PolicyKind.PERSONS, f"R{n}", item=f"I{n}", **BY_NORM)
    seen, cursor = [], None
    while True:
        page = ask(served, "replenishment", limit=2, **({} if cursor is None else {"cursor": cursor}))
        seen += [row["item"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"I{n}" for n in range(5)]


def test_reasons_are_in_the_readers_language_and_in_both_beside(served):
    make_rule(served.engine, PolicyKind.PERSONS, **BY_NORM)
    said = {lang: ask(served, "replenishment", language=lang)["items"][0] for lang in ("zh", "en")}
    for language, row in said.items():
        assert row["reason"] == row["words"][language]
    assert said["zh"]["words"] == said["en"]["words"]


def test_absurd_figures_are_named_and_break_nothing(counties):
    consume(counties, f"{WEST}-H1", 10**15)
    consume(counties, f"{EAST}-H1", 1)
    consume(counties, f"{SOUTH}-H1", 1)
    receive(counties, f"{EAST}-W1", 10**15, 900)
    served = Served(counties)
    assert ask(served, "replenishment")["items"][0]["reason_code"] == "too_large"
    assert ask(served, "redistribution")["items"][0]["reason_code"] == "too_large"
    assert ask(served, "rotation")["items"][0]["reason_code"] == "too_large"


@pytest.mark.long
def test_the_command_prints_tables_and_what_the_api_answers(counties, tmp_path):
    if counties.dialect.name != "sqlite":
        pytest.skip("the command is the same over either; it is started once")
    consume(counties, f"{WEST}-H1", 100)
    consume(counties, f"{EAST}-H1", 100)
    receive(counties, f"{WEST}-W1", 4500, 200)
    where = {"RESERVE_DATABASE_URL": f"sqlite:///{counties.url.database}", "RESERVE_WORKER": "off"}

    def told(*words):
        return typed("plan", *words, folder=tmp_path, **where)

    for words in ("replenish", "redistribute", "rotate"):
        code, said, wrong = told(words, "--item", "N95", "--all")
        assert code == 0, wrong
        head, *rows = said.splitlines()
        assert head.split("\t")[0] == "item"
        assert rows
        assert all(row.startswith("N95\t") for row in rows)
    code, said, _ = told("redistribute", "--json")
    answer = json.loads(said)
    assert (code, answer["scope"], answer["next_cursor"]) == (0, CITY, None)
    code, said, wrong = told("rotate", "--scope", "NOWHERE")
    assert (code, said) == (1, "")
    assert "unknown_location" in wrong
    script = [str(Path(sys.executable).parent / "reserve"), "plan", "redistribute", "--json"]
    process = subprocess.run(script, env={**os.environ, **where}, capture_output=True, text=True, check=True)
    assert json.loads(process.stdout)["items"] == answer["items"]
