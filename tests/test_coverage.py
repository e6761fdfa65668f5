"""Days of coverage: redone with a pencil from the explanation alone, kept, made stale, and asked again for any day."""

import json
import re
import threading
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import lying, rule, situation, situations, used
from sqlalchemy import event, text

from reserve import (
    assessment,
    catalogue,
    changes,
    commitments,
    coverage,
    database,
    ledger,
    lots,
    policy,
    projection,
    reporting,
    stock,
)
from reserve.changes import NewChange
from reserve.commitments import NewCommitment
from reserve.coverage import TableQuestion
from reserve.errors import Busy
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import CommitmentKind, LocationKind, PolicyKind, Purpose
from reserve.policy import NewPolicy
from reserve.reporting import Report

CITY, COUNTY, H1, H2 = "371400-W1", "371425-W1", "371402-H1", "371425-H1"
LATER = date(2027, 6, 30)
CASES = json.loads((Path(__file__).parent / "cases" / "08_policies.json").read_text())["cases"]


def policy_of(name, terms):
    if "quantity" in terms:
        return rule(name, PolicyKind.QUANTITY, quantity=terms["quantity"])
    if name == "rule":
        return rule(name, required_days=terms["days"])
    return rule(name, PolicyKind.PERSONS, required_days=terms["days"], persons=terms["peak"], norm_per_1000=1000)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_k3_several_policies_are_judged_alone_and_the_largest_shortfall_binds(case):
    told, expected = case["inputs"], case["expected"]
    peak = next(p["peak"] for p in told["policies"] if p["name"] == "rule")
    found = assessment.assess(
        situation(
            [lying(units, life, number=f"L{n}") for n, (units, life) in enumerate(told["lots"])],
            used([[peak]]),
            [policy_of(p["name"], p) for p in told["policies"]],
        )
    )
    assert (found.row["required"], found.row["shortfall"], found.row["binding_policy"]) == (
        expected["required"],
        expected["shortfall"],
        expected["binding"],
    )
    each = {row["code"]: row for row in found.explanation["policies"]}
    assert [code for code, row in each.items() if row["binding"]] == [expected["binding"]]
    for name, wanted in expected["each"].items():
        assert (each[name]["required"], each[name]["shortfall"]) == (wanted["required"], wanted["shortfall"])
        days = wanted["days_of_coverage"]
        assert each[name]["days"] == (
            None if days is None else floor(Fraction(days).limit_denominator(10**6) * 100) / 100
        )


def test_k2_short_dated_stock_is_not_the_days_that_plain_division_says():
    found = assessment.assess(
        situation([lying(60_000, 10), lying(45_000, number="B")], used([[3500]]), [rule(required_days=30)])
    )
    assert found.row["days_of_coverage"] == 22.85
    assert found.row["wasted_by_expiry"] == 25_000
    assert found.row["level"] == "orange"
    assert found.explanation["check"] == "(105000 - 25000) / 3500 = 22.85"
    assert "plain division says 30.0 days, but 25,000 will expire" in found.reason.en
    assert [lot["wasted"] for lot in found.explanation["lots"]] == [25_000, 0]


# -- the pencil -------------------------------------------------------------------------------------------------------


def rational(number):
    return None if number is None else Fraction(number)


def redo(stock_, rate, days_required):
    """Days, waste and shortfall of dated lots at a rate: the hand calculation of the page."""
    total = sum(units for units, _ in stock_)
    days = Fraction(total) / rate
    for _, life in stock_:
        if life is not None:
            outlives = sum(units for units, other in stock_ if other is None or other > life)
            days = min(days, life + outlives / rate)
    return days, total - rate * days, max(0, ceil(rate * (days_required - days))), ceil(rate * days_required)


def the_day(days):
    try:
        return (TODAY + timedelta(days=days)).isoformat()
    except OverflowError:
        return None


@settings(deadline=None, max_examples=150, derandomize=True)
@given(situations())
def test_d5_the_number_is_redone_from_the_explanation_alone(case):
    found = assessment.assess(case)
    row, told = json.loads(coverage.compact(found.row)), json.loads(coverage.compact(found.explanation))
    stock_ = [(lot["on_hand"], lot["life"]) for lot in told["lots"] if lot["counted"]]
    left_out = {"expired": 0, "on_hold": 0}
    for lot in told["lots"]:
        if not lot["counted"]:
            left_out[lot["reason"]] += lot["on_hand"]
    usable = sum(units for units, _ in stock_)
    assert (row["usable"], row["expired"], row["on_hold"]) == (usable, left_out["expired"], left_out["on_hold"])
    assert row["on_hand"] == usable + row["expired"] + row["on_hold"]

    peak = rational(told["peak"]["fraction"])
    if told["peak"]["window"]:
        assert sum(day["total"] for day in told["peak"]["window"]) / told["peak"]["width"] == pytest.approx(float(peak))
    if not peak:
        assert row["days_of_coverage"] is None
        assert (row["runs_out_on"], row["wasted_by_expiry"]) == (None, 0)
    else:
        days, wasted, _, _ = redo(stock_, peak, row["required_days"] or 0)
        assert row["days_of_coverage"] == floor(days * 100) / 100
        assert Fraction(told["wasted_exact"]) == wasted
        assert row["wasted_by_expiry"] == floor(wasted + Fraction(1, 2))
        assert row["runs_out_on"] == the_day(floor(days))
        assert sum(lot["wasted"] for lot in told["lots"]) == pytest.approx(float(wasted), abs=len(told["lots"]))

    redo_the_date(row, told, stock_, peak)
    redo_the_policies(row, told, stock_, usable)


def redo_the_date(row, told, stock_, peak):
    # the date is at the peak, or where no policy counts so, at the rate of the one that asks for most
    paced = [each for each in told["policies"] if each["kind"] == "persons"]
    fixed = [each for each in told["policies"] if each["kind"] == "quantity"]
    if not any(each["kind"] == "days" for each in told["policies"]) and not paced and fixed and peak is not None:
        (policy,) = fixed
        left, day = [[life, Fraction(units)] for units, life in stock_], 0
        while day <= policy["look_ahead_days"]:
            left = [lot for lot in left if lot[0] is None or lot[0] > day]
            if sum(units for _, units in left) < policy["required"]:
                break
            asked = peak
            for lot in sorted(left, key=lambda lot: (lot[0] is None, lot[0] or 0)):
                given_ = min(lot[1], asked)
                lot[1], asked = lot[1] - given_, asked - given_
            day += 1
        assert row["falls_below_on"] == (the_day(day) if day <= policy["look_ahead_days"] else None)
        return
    rate = peak
    if not any(each["kind"] == "days" for each in told["policies"]) and paced:
        rate = rational(max(paced, key=lambda each: each["required"])["rate"])
    if rate and row["required_days"]:
        lasting = redo(stock_, rate, row["required_days"])[0]
        below = 0 if lasting < row["required_days"] else floor(lasting - row["required_days"]) + 1
        assert row["falls_below_on"] == the_day(below)
    else:
        assert row["falls_below_on"] is None


def redo_the_policies(row, told, stock_, usable):
    judged = []
    for each in told["policies"]:
        if each["kind"] == "quantity":
            missing, required = max(0, each["required"] - usable), each["required"]
        elif not (rate := rational(each["rate"])):
            missing, required = 0, 0
        else:
            _, _, missing, required = redo(stock_, rate, each["required_days"])
        assert (each["shortfall"], each["required"]) == (missing, required)
        judged.append((missing, required))
    told_by = [each for each in told["policies"] if each["kind"] == "quantity" or each["rate"] is not None]
    if told["policies"] and not told_by:
        assert (row["required"], row["shortfall"]) == (None, None), "0 would say that nothing is required"
    else:
        assert row["required"] == max((required for _, required in judged), default=0)
        assert row["shortfall"] == max((missing for missing, _ in judged), default=0)
    bound = [each["code"] for each in told["policies"] if each["binding"]]
    assert bound == ([] if row["binding_policy"] is None else [row["binding_policy"]])
    if told_by:
        assert (row["shortfall"], max(r for m, r in judged if m == row["shortfall"])) in [
            (each["shortfall"], each["required"]) for each in told["policies"] if each["binding"]
        ]


NUMBER = re.compile(r"\d[\d,./-]*\d|\d")


@settings(deadline=None, max_examples=150, derandomize=True)
@given(situations())
def test_j5_every_sentence_is_there_in_chinese_and_english_with_the_same_numbers(case):
    found = assessment.assess(case)
    lines = found.explanation["lines"]
    pairs = [(found.reason.zh, found.reason.en), *zip(lines["zh"], lines["en"], strict=True)]
    for zh, en in pairs:
        assert re.search(r"[\u4e00-\u9fff]", zh)
        assert not re.search(r"[\u4e00-\u9fff]", en.replace("不少于1个月用量", ""))
        assert sorted(NUMBER.findall(zh)) == sorted(NUMBER.findall(en))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(situations())
def test_d3_what_is_not_known_is_never_normal(case):
    row = assessment.assess(case).row
    if not row["peak_basis"]["known"] and any(p.kind == PolicyKind.DAYS for p in case.policies):
        assert row["level"] in {"unknown", "orange", "red"}
    if row["days_of_coverage"] is None and not any(p.rate or p.quantity for p in case.policies):
        assert row["level"] == "unknown"


@settings(deadline=None, max_examples=100, derandomize=True)
@given(situations(), st.integers(1, 10**6), st.none() | st.integers(1, 90))
def test_d1_more_stock_never_shortens_coverage(case, units, life):
    before = assessment.assess(case).row
    after = assessment.assess(case._replace(lots=[*case.lots, lying(units, life, number="MORE")])).row
    if before["days_of_coverage"] is not None:
        assert after["days_of_coverage"] >= before["days_of_coverage"]
    assert (after["shortfall"] or 0) <= (before["shortfall"] or 0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(situations(), st.integers(1, 60))
def test_the_projection_begins_with_the_row_and_never_gains(case, days):
    row, path = assessment.assess(case).row, projection.project(case, days, receipts=True)
    assert len(path["dates"]) == days + 1
    assert path["dates"][0] == row["as_of"]
    assert (path["falls_below_on"]["at_peak"], path["runs_out_on"]) == (row["falls_below_on"], row["runs_out_on"])
    if row["days_of_coverage"] is not None:
        assert path["days_at_peak"][0] == row["days_of_coverage"]
        assert path["days_at_peak"] == sorted(path["days_at_peak"], reverse=True)
        assert path["at_peak"] == sorted(path["at_peak"], reverse=True)
        assert path["at_peak"][0] == row["usable"]


# -- reasons ----------------------------------------------------------------------------------------------------------

PLENTY = [lying(10**6)]


@pytest.mark.parametrize(
    ("case", "level", "code", "words"),
    [
        (situation(PLENTY, used([[100]])), "unknown", "no_policy", "No policy says"),
        (situation(PLENTY, used([[0]]), [rule(required_days=30)]), "unknown", "no_consumption", "Declare a norm"),
        (
            situation(PLENTY, used([[5]], [[False]]), [rule(required_days=30)]),
            "unknown",
            "consumption_unknown",
            "Too little use has been reported",
        ),
        (
            situation(PLENTY, used([[5]], [[True] * 300 + [False] * 65]), [rule(required_days=30)]),
            "unknown",
            "consumption_unknown",
            "upper bound",
        ),
        (
            situation(PLENTY, used([[5]], [[True] * 4 + [False] * 3]), [rule(required_days=30)]),
            "unknown",
            "consumption_unknown",
            "not fully reported (on too few days of late)",
        ),
        (situation([], used([[5]]), [rule(required_days=30)]), "red", "nothing_usable", "150 are missing"),
        (situation([lying(9, 0)], used([[5]]), [rule(required_days=30)]), "red", "nothing_usable", "Nothing usable"),
        (situation([lying(74)], used([[5]]), [rule(required_days=30)]), "red", "under_half", "14.8 days usable"),
        (situation([lying(149)], used([[5]]), [rule(required_days=30)]), "orange", "below_required", "1 are missing"),
        (
            situation([lying(150)], used([[5]]), [rule(required_days=30)]),
            "yellow",
            "probably_falls",
            "the chance of falling below within 30 days is 100%",
        ),
        (
            situation([lying(150)], used([[5]], [[True] * 300 + [False] * 40 + [True] * 25]), [rule(required_days=30)]),
            "yellow",
            "falls_within_lead_time",
            "it falls below on 2026-04-02",
        ),
        (situation([lying(1500)], used([[5]]), [rule(required_days=30)]), "normal", "enough", "300.0 days usable"),
        (
            situation([lying(60)], used([[0]]), [rule("Q", PolicyKind.QUANTITY, quantity=100)]),
            "orange",
            "below_required",
            "60 usable, 100 required; 40 are missing",
        ),
        (
            situation([lying(79)], used([[5]]), [rule(required_days=30, lead_time_days=16)]),
            "red",
            "under_lead_time",
            "an order takes 16 days",
        ),
    ],
)
def test_every_level_has_a_reason_that_says_the_numbers(case, level, code, words):
    found = assessment.assess(case)
    assert (found.row["level"], found.row["reason_code"]) == (level, code)
    assert words in found.reason.en


def test_a_norm_judges_what_nobody_uses():
    found = assessment.assess(
        situation(
            [lying(174_999)],
            used([[0]]),
            [rule("N", PolicyKind.PERSONS, required_days=70, persons=2500, norm_per_1000=1000), rule(required_days=30)],
        )
    )
    assert (found.row["level"], found.row["required"], found.row["shortfall"]) == ("orange", 175_000, 1)
    assert found.row["days_of_coverage"] is None


def test_a_window_wider_than_the_look_back_is_explained_too():
    found = assessment.assess(
        situation(PLENTY, used([[10]]), [rule(required_days=30, look_back_days=28)], method="rolling_mean_max:30")
    )
    window = found.explanation["peak"]["window"]
    assert sum(day["total"] for day in window) / 30 == float(Fraction(found.explanation["peak"]["fraction"])) == 10


def test_two_methods_can_be_set_side_by_side():
    spike = used([[10] * 300 + [700] + [10] * 64])
    case = situation(PLENTY, spike, [rule(required_days=30)])
    usual = assessment.assess(case)
    assert usual.row["peak_daily"] == pytest.approx(760 / 7)
    assert assessment.assess(case._replace(method="day_max")).row["peak_daily"] == 700
    (flagged,) = usual.explanation["peak"]["flagged"]
    assert (flagged["quantity"], flagged["location"]) == (700, "H2")
    assert flagged["date"] == (TODAY - timedelta(days=65)).isoformat()


# -- rows of a real city ----------------------------------------------------------------------------------------------


def receive(engine, *rows, location=CITY, **changes):
    lines = [ReceiptLine(number, expires_on, item=item, quantity=q) for number, q, expires_on, item in rows]
    return database.transact(
        engine, lambda session: ledger.receive(session, entry(**changes), location=location, lines=lines)
    )


def issue(engine, quantity, location=CITY, item="N95", **changes):
    lines = [IssueLine(item, quantity)]
    return database.transact(
        engine,
        lambda session: ledger.issue(
            session, entry(**changes), location=location, lines=lines, purpose=Purpose.ALLOCATION
        ),
    )


def report(engine, quantity, day, location=H1, item="N95", **changes):
    rows = [Report(location, item, day, quantity)]
    return database.transact(engine, lambda session: reporting.report(session, entry(**changes), rows))


def add_policy(engine, days=30, scope="371400", item="N95", *, code="N95-30D", effective_from=date(2026, 1, 1), **more):
    new = NewPolicy(code, scope, PolicyKind.DAYS, effective_from, "不少于1个月用量", item, required_days=days)
    new = new._replace(**{k: v for k, v in more.items() if k in NewPolicy._fields})
    now = more.get("now", NOW)
    return database.transact(engine, lambda session: policy.add(session, entry(now=now), new))


def hold(engine, number, now=NOW, verb=lots.place_hold, **reason):
    def work(session):
        found = catalogue.item(session, "N95")
        return verb(session, item_id=found.id, lot_number=number, actor="Wang", now=now, **reason)

    return database.transact(engine, work)


def use(engine, quantity=100, days=60, last=TODAY - timedelta(days=1), locations=(H1, H2), **changes):
    rows = [Report(h, "N95", last - timedelta(days=n), quantity) for n in range(days) for h in locations]
    database.transact(engine, lambda session: reporting.report(session, entry(**changes), rows))


def ask(engine, scope="371400", item="N95", as_of=None, *, now=NOW, known_at=None, method=None):
    with database.reading(engine) as session:
        moment = coverage.when(as_of, now=now, zone=SHANGHAI, known_at=known_at)
        world = coverage.board(session, moment)
        place = catalogue.place(session, scope)
        (case,) = coverage.read(session, world, catalogue.item(session, item), [place], moment, method)
    return assessment.assess(case)


def beat(engine, now=NOW):
    """What the worker does, without its deliveries; returns the scopes assessed of each item."""
    moment = coverage.when(None, now=now, zone=SHANGHAI)
    with database.reading(engine) as session:
        old = coverage.out_of_date(session, coverage.board(session, moment), moment.as_of)
        items = {i.id: i for i in catalogue.items(session)}
        queue = [*coverage.items_due(session, 100), *old]

    def assess(item):
        def work(session):
            changed = coverage.take_due(session, item.id)
            world = coverage.board(session, moment)
            scopes = coverage.scopes_of(session, world, item)
            scopes = scopes if item.id in old else coverage.scopes_due(world, scopes, changed)
            found = coverage.assess_item(session, world, item, scopes, moment)
            coverage.store(session, found, now)
            return [a.scope.code for a in found]

        return work

    return {items[i].code: database.transact(engine, assess(items[i])) for i in dict.fromkeys(queue)}


def kept(engine, now=NOW, **question):
    with database.reading(engine) as session:
        return coverage.stored(session, TableQuestion(**question), now)


@pytest.fixture
def stocked(city):
    add_policy(city)
    use(city)
    receive(city, ("A", 5000, date(2026, 4, 20), "N95"), ("B", 3000, LATER, "N95"), ("V", 7, None, "VENT"))
    receive(city, ("C", 700, LATER, "N95"), location=COUNTY)
    return city


def four(row):
    return row["on_hand"], row["usable"], row["on_hold"], row["expired"]


def test_b2_the_four_numbers_add_up_and_units_move_between_them(stocked):
    assert four(ask(stocked).row) == (8700, 8700, 0, 0)
    hold(stocked, "B", reason="recall")
    assert four(ask(stocked).row) == (8700, 5700, 3000, 0)
    after = datetime(2026, 4, 20, 16, 0, tzinfo=UTC)
    assert four(ask(stocked, now=after - timedelta(microseconds=1)).row) == (8700, 5700, 3000, 0)
    assert four(ask(stocked, now=after).row) == (8700, 700, 3000, 5000)
    hold(stocked, "A", now=after, reason="damage")
    assert four(ask(stocked, now=after).row) == (8700, 700, 3000, 5000)  # expired stays expired
    hold(stocked, "B", now=after, verb=lots.lift_hold)
    assert four(ask(stocked, now=after).row) == (8700, 3700, 0, 5000)
    counted = {lot["lot_number"]: lot["reason"] for lot in ask(stocked, now=after).explanation["lots"]}
    assert counted == {"A": "expired", "B": None, "C": None}


def test_a_scope_is_what_lies_below_it(stocked):
    rows = {scope: ask(stocked, scope) for scope in ("371400", "371402", "371425", CITY, COUNTY, H1)}
    city = rows["371400"].row
    assert [ask(stocked, s).row["on_hand"] for s in (CITY, COUNTY, "371402", "371425")] == [8000, 700, 0, 700]
    assert city["on_hand"] == rows[CITY].row["on_hand"] + rows["371425"].row["on_hand"]
    below = [lot for scope in (CITY, "371425") for lot in rows[scope].explanation["lots"]]
    key = ("location", "lot_number")
    assert sorted(tuple(lot[k] for k in key) for lot in below) == sorted(
        tuple(lot[k] for k in key) for lot in rows["371400"].explanation["lots"]
    )
    assert city["peak_daily"] == rows["371402"].row["peak_daily"] + rows["371425"].row["peak_daily"] == 200
    assert rows[H1].row["peak_daily"] == 100


def test_a_code_that_begins_like_another_is_another_scope(stocked):
    database.transact(
        stocked,
        lambda session: catalogue.add_location(
            session, catalogue.NewLocation("371400-W10", "库", "Store", LocationKind.WAREHOUSE, "371400")
        ),
    )
    receive(stocked, ("Z", 50, LATER, "N95"), location="371400-W10")
    assert ask(stocked, CITY).row["on_hand"] == 8000
    assert ask(stocked, "371400-W10").row["on_hand"] == 50


def test_numbers_of_ten_to_the_fifteenth_stay_exact(city):
    add_policy(city)
    use(city, quantity=10**15)
    receive(city, ("A", 10**15, LATER, "N95"), ("B", 10**15, date(2026, 4, 1), "N95"))
    row = ask(city).row
    assert four(row) == (2 * 10**15, 2 * 10**15, 0, 0)
    assert row["peak_daily"] == 2e15
    assert (row["required"], row["shortfall"]) == (60 * 10**15, 58 * 10**15)
    assert row["days_of_coverage"] == 1.0
    (stored,) = [k for k in kept(city) if k.scope == "371400"] if beat(city) else []
    assert json.loads(stored.row)["shortfall"] == 58 * 10**15


# -- any day again ----------------------------------------------------------------------------------------------------


def morning(day):
    return datetime(2026, 4, day, 1, 0, tzinfo=UTC)


def evening(day):
    return datetime(2026, 4, day, 14, 0, tzinfo=UTC)


def live_a_week(city):
    """A week of a city: each evening its rows are stored; returns what was stored each day."""
    add_policy(city, now=morning(1))
    use(city, now=morning(1))
    receive(city, ("A", 5000, date(2026, 4, 3), "N95"), ("B", 3000, LATER, "N95"), now=morning(1))
    days = {}
    for day in range(1, 7):
        report(city, 90 + 10 * day, date(2026, 4, day - 1) if day > 1 else TODAY - timedelta(days=1), now=morning(day))
        if day == 2:
            issue(city, 1200, now=morning(2))
        if day == 3:
            hold(city, "B", now=morning(3), reason="recall")
        if day == 5:
            hold(city, "B", now=morning(5), verb=lots.lift_hold)
            receive(city, ("C", 400, LATER, "N95"), location=COUNTY, now=morning(5))
        beat(city, evening(day))
        days[date(2026, 4, day)] = {k.scope: json.loads(k.row) for k in kept(city, evening(day))}
    return days


def test_p06_a_past_day_asked_again_is_what_was_stored_that_day(city):
    days = live_a_week(city)
    for day, rows in days.items():
        for scope, row in rows.items():
            assert ask(city, scope, as_of=day, now=evening(8)).row == row
    with city.connect() as connection:
        trend = connection.execute(
            text("SELECT day, row FROM coverageday JOIN location ON location.id = scope_id WHERE code = '371400'")
        ).all()
    assert {str(day): json.loads(row) for day, row in trend} == {
        day.isoformat(): rows["371400"] for day, rows in days.items()
    }
    levels = [rows["371400"]["usable"] for rows in days.values()]
    assert levels == [8000, 6800, 3800, 0, 3400, 3400]


def test_p06_what_we_said_then_is_reproduced_after_every_kind_of_correction(city):
    days = live_a_week(city)
    late = evening(8)
    issue(city, 50, now=late, occurred=date(2026, 4, 5))
    report(city, 5, date(2026, 4, 2), now=late)
    report(city, 9999, date(2026, 4, 1), location=H2, now=late)
    add_policy(city, 45, code="LATER", now=late)
    hold(city, "C", now=late, reason="recall")
    hold(city, "A", now=late, reason="recall")
    for day, rows in days.items():
        for scope, row in rows.items():
            told = ask(city, scope, as_of=day, now=evening(9), known_at=evening(day.day))
            assert told.row == row
    corrected = ask(city, as_of=date(2026, 4, 6), now=evening(9)).row
    assert corrected != days[date(2026, 4, 6)]["371400"]
    assert corrected["usable"] == days[date(2026, 4, 6)]["371400"]["usable"] - 50


def test_d4_changing_a_policy_never_rewrites_an_earlier_day(city):
    days = live_a_week(city)
    add_policy(city, 60, effective_from=date(2026, 4, 7), now=evening(6))
    assert ask(city, as_of=date(2026, 4, 6), now=evening(9)).row == days[date(2026, 4, 6)]["371400"]
    assert ask(city, as_of=date(2026, 4, 7), now=evening(9)).row["required_days"] == 60


def test_d7_what_is_ended_or_stated_today_does_not_change_what_yesterday_was_told(city):
    add_policy(city)
    for day in range(1, 60):
        report(city, 90 + day % 20, TODAY - timedelta(days=day))
    line = NewCommitment(CommitmentKind.CAPACITY, "N95", "371400", "S", 5, TODAY, date(2026, 12, 31), units_per_day=20)
    promised = database.transact(city, lambda session: commitments.add(session, entry(), line)).promise.number
    campaign = NewChange("371400", TODAY, TODAY + timedelta(days=40), 1500, "campaign")
    stated = database.transact(city, lambda session: changes.make(session, entry(), campaign)).id
    receive(city, ("A", 3000, LATER, "N95"))
    later, yesterday = NOW + timedelta(days=5), TODAY + timedelta(days=4)
    before = ask(city, as_of=yesterday, now=later)

    def act(session):
        told = entry(now=later)
        commitments.end(session, told, promised, ended_on=told.today - timedelta(days=1), reason="gone")
        changes.end(session, told, stated, "put off")
        changes.make(session, told, NewChange("371400", told.today, told.today, 9000, "fair"))

    database.transact(city, act)
    after = ask(city, as_of=yesterday, now=later)
    assert (after.row, after.explanation) == (before.row, before.explanation)
    assert ask(city, now=later).row["commitments"][0]["why"] == "ended"


def test_known_at_reproduces_the_number_before_a_correction(stocked):
    before = ask(stocked).row
    report(stocked, 5000, TODAY - timedelta(days=1), now=NOW + timedelta(hours=2))
    after = ask(stocked, now=NOW + timedelta(hours=3)).row
    assert after["peak_daily"] > before["peak_daily"]
    assert ask(stocked, now=NOW + timedelta(hours=3), known_at=NOW + timedelta(hours=1)).row == before


def test_p06_a_hold_placed_or_lifted_later_the_same_day_was_not_known_before(stocked):
    placed, lifted = NOW + timedelta(hours=2), NOW + timedelta(hours=4)
    hold(stocked, "A", now=placed, reason="recall")
    hold(stocked, "A", now=lifted, verb=lots.lift_hold)

    def held(known_at):
        return ask(stocked, now=NOW + timedelta(hours=6), known_at=known_at).row["on_hold"]

    moment = timedelta(microseconds=1)
    assert [held(at) for at in (placed - moment, placed, lifted - moment, lifted)] == [0, 5000, 5000, 0]


# -- kept rows: due, stale, assessed ----------------------------------------------------------------------------------


def test_j3_a_movement_makes_every_scope_above_it_stale_until_it_is_assessed(stocked):
    beat(stocked)
    assert not any(row.stale for row in kept(stocked))
    receive(stocked, ("C", 1, LATER, "N95"), location=COUNTY)
    stale = {(row.scope, row.item) for row in kept(stocked) if row.stale}
    assert stale == {("371400", "N95"), ("371425", "N95"), (COUNTY, "N95")}
    assert beat(stocked) == {"N95": ["371400", "371425", COUNTY]}
    assert not any(row.stale for row in kept(stocked))


def test_every_kind_of_change_makes_its_rows_stale(stocked):
    beat(stocked)
    changes = {
        "use": lambda: report(stocked, 7, TODAY - timedelta(days=1)),
        "issue": lambda: issue(stocked, 5),
        "hold": lambda: hold(stocked, "A", reason="recall"),
        "lift": lambda: hold(stocked, "A", verb=lots.lift_hold),
        "policy": lambda: add_policy(stocked, 45, code="MORE"),
    }
    for change in changes.values():
        change()
        assert {row.stale for row in kept(stocked, scope="371400", item="N95")} == {True}
        assert {row.stale for row in kept(stocked, item="VENT")} == {False}
        beat(stocked)
        (row,) = kept(stocked, scope="371400", item="N95")
        assert not row.stale
        assert json.loads(row.row) == ask(stocked).row


def test_nothing_is_assessed_twice_when_nothing_changes(stocked):
    assert set(beat(stocked)) == {"N95", "VENT"}
    assert beat(stocked) == {}
    number = {(row.scope, row.item): row.number for row in kept(stocked)}
    assert set(number.values()) == {1}


def test_a_new_day_assesses_everything_again_because_stock_ages(stocked):
    beat(stocked)
    assert beat(stocked, NOW + timedelta(hours=13)) == {}  # 23:00, the same day
    tomorrow = NOW + timedelta(hours=14)
    assert set(beat(stocked, tomorrow)) == {"N95", "VENT"}
    assert {json.loads(row.row)["as_of"] for row in kept(stocked)} == {"2026-04-02"}
    assert {row.number for row in kept(stocked)} == {2}


def test_a_row_older_than_a_day_and_two_hours_is_stale(stocked):
    beat(stocked)
    assert not any(row.stale for row in kept(stocked, NOW + timedelta(hours=26)))
    assert all(row.stale for row in kept(stocked, NOW + timedelta(hours=26, microseconds=1)))


def test_a_scope_that_a_policy_names_has_a_row_before_anything_lies_there(city):
    add_policy(city, scope="371402")
    assert beat(city) == {"N95": ["371402"]}
    (row,) = kept(city)
    assert (row.scope, row.level) == ("371402", "unknown")


def test_a_row_whose_policy_has_ended_says_so_and_is_not_assessed_for_ever(city):
    add_policy(city, scope="371402", effective_until=TODAY)
    beat(city)
    tomorrow = NOW + timedelta(days=1)
    assert beat(city, tomorrow) == {"N95": ["371402"]}
    (row,) = kept(city, tomorrow)
    assert json.loads(row.row)["reason_code"] in {"no_policy", "consumption_unknown"}
    assert json.loads(row.row)["as_of"] == "2026-04-02"
    assert beat(city, tomorrow) == {}


def test_kept_rows_are_found_by_everything_a_page_asks_for(stocked):
    beat(stocked)
    everything = [(row.scope, row.item) for row in kept(stocked)]
    assert len(everything) == len(set(everything)) == 6
    assert [(row.scope, row.item) for row in kept(stocked, item="VENT")] == [("371400", "VENT"), (CITY, "VENT")]
    assert {row.item for row in kept(stocked, category="treatment")} == {"VENT"}
    assert {row.level for row in kept(stocked, level="unknown")} == {"unknown"}
    with database.reading(stocked) as session:
        county = catalogue.place(session, "371425")
        ids = {p.code: p.id for p in catalogue.places(session)}
        items = {i.code: i.id for i in catalogue.items(session)}
    assert {row.scope for row in kept(stocked, within=county)} == {"371425", COUNTY}
    paged, after = [], None
    while rows := kept(stocked, after=after, limit=2):
        paged += [(row.scope, row.item) for row in rows]
        after = ids[rows[-1].scope], items[rows[-1].item]
    assert paged == everything


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_kept_row_is_answered_as_json_with_its_reason_in_one_language(stocked, language):
    beat(stocked)
    (row,) = kept(stocked, scope="371400", item="N95")
    answered = json.loads(row.text(language))
    expected = ask(stocked)
    assert answered == expected.row | {
        "stale": False,
        "reason": getattr(expected.reason, language),
        "assessed_at": "2026-04-01T02:00:00Z",
    }
    assert row.explanation is None, "a table does not carry its explanations"
    question = coverage.TableQuestion(scope="371400", item="N95")
    with database.reading(stocked) as session:
        (explained,) = coverage.stored(session, question, NOW, explained=True)
    assert json.loads(explained.explanation) == expected.explanation


# -- two at once (PostgreSQL) -----------------------------------------------------------------------------------------

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def item_id(session, code="N95"):
    return catalogue.item(session, code).id


@on_postgresql
def test_p09_a_movement_between_taking_and_reading_is_read_and_keeps_its_place_in_the_queue(stocked):
    beat(stocked)
    issue(stocked, 1)
    with database.writing(stocked) as writer:
        ledger.receive(writer, entry(), location=CITY, lines=[ReceiptLine("NEW", LATER, item="N95", quantity=10_000)])
        with database.writing(stocked) as worker:
            taken = coverage.take_due(worker, item_id(worker))
            writer.commit()
            moment = coverage.when(None, now=NOW, zone=SHANGHAI)
            world = coverage.board(worker, moment)
            item = catalogue.item(worker, "N95")
            scopes = coverage.scopes_due(world, coverage.scopes_of(worker, world, item), taken)
            found = coverage.assess_item(worker, world, item, scopes, moment)
            coverage.store(worker, found, NOW)
    row = next(a.row for a in found if a.scope.code == "371400")
    assert row["on_hand"] == 18_699
    assert all(r.stale for r in kept(stocked, item="N95") if r.scope in {"371400", CITY})
    assert beat(stocked) == {"N95": ["371400", CITY]}


@on_postgresql
def test_p09_a_movement_not_committed_when_read_is_not_lost(stocked):
    beat(stocked)
    issue(stocked, 1)
    with database.writing(stocked) as writer:
        ledger.receive(writer, entry(), location=CITY, lines=[ReceiptLine("NEW", LATER, item="N95", quantity=10_000)])
        assert beat(stocked) == {"N95": ["371400", CITY]}
        assert ask(stocked).row["on_hand"] == 8699
    assert beat(stocked) == {"N95": ["371400", CITY]}
    (row,) = kept(stocked, scope="371400", item="N95")
    assert json.loads(row.row)["on_hand"] == 18_699


@on_postgresql
def test_p09_a_second_worker_waits_for_the_first_even_when_nothing_is_in_the_queue(stocked):
    beat(stocked)
    entered, leave = threading.Event(), threading.Event()

    def first():
        with database.writing(stocked) as session:
            coverage.take_due(session, item_id(session))
            entered.set()
            leave.wait(30)

    def second(session):
        session.connection().execute(text("SET LOCAL lock_timeout = '100ms'"))
        return coverage.take_due(session, item_id(session))

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)
    with pytest.raises(Busy):
        database.transact(stocked, second)
    issue(stocked, 1)  # whoever records goods never waits for a worker
    receive(stocked, ("NEW", 1, LATER, "N95"))
    leave.set()
    thread.join()
    assert len(database.transact(stocked, second)) == 1


# -- how it is read ---------------------------------------------------------------------------------------------------


class Plans:
    """The statements of SQLite while it is asked, and how each would look for its rows."""

    def __init__(self, engine):
        self.engine, self.statements = engine, []
        event.listen(engine, "before_cursor_execute", self._keep)

    def _keep(self, _connection, _cursor, statement, parameters, _context, executemany):
        if not statement.startswith(("EXPLAIN", "PRAGMA")):
            self.statements.append((statement, parameters[0] if executemany else parameters))

    def scans(self):
        asked, self.statements = self.statements, []
        assert asked
        plans = []
        with self.engine.connect() as connection:
            for statement, parameters in asked:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [(row[3], statement) for row in rows]
        self.statements = []
        big = re.compile(r"SCAN (movement|document|balance|consumption|coveragedue|lot|undo|undo_document)\b")
        return [plan for plan in plans if big.search(plan[0])]


@on_sqlite
def test_no_question_reads_the_whole_ledger(stocked):
    with database.writing(stocked) as session:
        catalogue.add_location(
            session, catalogue.NewLocation("371402-H9", "院", "H", LocationKind.HOSPITAL, "371402", "issues")
        )
    plans = Plans(stocked)
    with database.reading(stocked) as session:
        scope, item = catalogue.place(session, "371425"), catalogue.item(session, "N95")
        yesterday = stock.end_of_day(TODAY - timedelta(days=1), SHANGHAI)
        plans.statements.clear()
        for known_at in (None, NOW):
            question = stock.StockQuestion(day=TODAY, scope=scope, item_id=item.id, at=yesterday, known_at=known_at)
            stock.rows(session, question)
            stock.rows(session, question._replace(scope=None))
            stock.rows(session, question._replace(item_id=None))
    assert plans.scans() == []
    ask(stocked)
    ask(stocked, as_of=TODAY - timedelta(days=1), known_at=NOW)
    assert plans.scans() == []
    issue(stocked, 1)
    issue(stocked, 1, occurred=TODAY - timedelta(hours=0))
    receive(stocked, ("C", 1, LATER, "N95"))
    movement = receive(stocked, ("D", 1, LATER, "N95")).movements[0].id
    database.transact(
        stocked, lambda session: ledger.reverse(session, entry(), movement_id=movement, reason="typing error")
    )
    hold(stocked, "B", reason="recall")
    report(stocked, 1, TODAY)
    assert plans.scans() == []


@on_sqlite
def test_coverage_of_all_scopes_of_an_item_costs_the_same_statements_as_of_one(stocked):
    plans = Plans(stocked)
    with database.reading(stocked) as session:
        moment = coverage.when(None, now=NOW, zone=SHANGHAI)
        world, item = coverage.board(session, moment), catalogue.item(session, "N95")
        scopes = coverage.scopes_of(session, world, item)
        counts = []
        for asked in (scopes[:1], scopes):
            plans.statements.clear()
            coverage.read(session, world, item, asked, moment)
            counts.append(len(plans.statements))
    assert len(scopes) == 4
    assert counts[0] == counts[1] <= 8


@on_sqlite
def test_the_shelf_is_found_by_the_index_of_its_place(stocked):
    plans = Plans(stocked)
    issue(stocked, 1)
    taken = [s for s in plans.statements if "FROM balance JOIN lot" in s[0].replace("\n", "")]
    assert len(taken) == 1
    with stocked.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {taken[0][0]}", taken[0][1])
        plan = " / ".join(row[3] for row in rows)
    assert "SEARCH balance" in plan
    assert "location_id=?" in plan
