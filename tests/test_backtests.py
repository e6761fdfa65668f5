"""Forecasts made again: only what was known enters, a regular past holds, a surge is missed, breaks were announced."""

import csv
import gzip
import json
from datetime import date, datetime, timedelta
from fractions import Fraction
from io import StringIO
from itertools import count

import numpy as np
import pytest
from conftest import NOW, SHANGHAI, SHARED, TODAY, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from served import Served
from sqlalchemy import event, insert
from typer.testing import CliRunner

from api import cli, cli_backtest
from forecasting import scoring
from reserve import backtests, catalogue, consumption, coverage, database, ledger, outlook, reporting, use, warned
from reserve.backtests import HORIZON, P, of_item, span_of
from reserve.entry import day_bounds
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import Category, ConsumptionSource, LocationKind, Purpose
from reserve.reporting import Report
from reserve.use import Norm
from reserve.warned import Day, Score

CITY, H1, H2 = "371400", "371402-H1", "371425-H1"
WEEK = [40, 52, 47, 61, 55, 12, 3]
PHARMACY = SHARED / "data" / "demand_pharmacy_daily" / "sales_daily.csv.gz"


def told(engine, values, *, code=H1, last=TODAY, now=NOW, item="N95"):
    """A past brought in at one moment: use of each day up to the day before `last`, None where nothing was sent."""
    first = last - timedelta(days=len(values))
    rows = [Report(code, item, first + timedelta(days=n), int(v)) for n, v in enumerate(values) if v is not None]
    database.transact(engine, lambda session: reporting.report(session, entry(now=now), rows))


def lived(engine, values, *, code=H1, last=TODAY):
    """The same told day by day, each on the morning after."""
    first = last - timedelta(days=len(values))
    days = [(first + timedelta(days=n), int(v)) for n, v in enumerate(values) if v is not None]
    with database.writing(engine) as session:
        reporting.record_history(
            session,
            item_id=catalogue.item(session, "N95").id,
            location_id=catalogue.place(session, code).id,
            reports=days,
            told_after=timedelta(hours=9),
            zone=SHANGHAI,
            actor="Li",
        )


def made_again(engine, *, months=12, as_of=TODAY, scope=CITY):
    with database.reading(engine) as session:
        item, place = catalogue.item(session, "N95"), catalogue.place(session, scope)
        return of_item(session, item, place, as_of=as_of, zone=SHANGHAI, months=months)


def weeks(days):
    return np.resize(np.array(WEEK), days).tolist()


# -- which days -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "months", "origins", "first", "last"),
    [
        (TODAY, 12, 48, date(2025, 4, 7), date(2026, 3, 2)),
        (date(2024, 2, 29), 12, 49, date(2023, 2, 28), date(2024, 1, 30)),
        (TODAY, 1, 1, date(2026, 3, 2), date(2026, 3, 2)),
        (date(2026, 3, 1), 1, 1, date(2026, 1, 30), date(2026, 1, 30)),
        (date(2026, 12, 31), 36, 153, date(2024, 1, 2), date(2026, 12, 1)),
    ],
)
def test_origins_lie_a_week_apart_and_the_last_horizon_is_just_over(as_of, months, origins, first, last):
    span = span_of(as_of, SHANGHAI, months)
    assert [span.day(n) for n in (span.origins[0], span.origins[-1])] == [first, last]
    assert len(span.origins) == origins
    assert {b - a for a, b in zip(span.origins, span.origins[1:], strict=False)} <= {7}
    assert span.day(span.days) == as_of
    assert span.origins[0] == 365


# -- what is said -----------------------------------------------------------------------------------------------------


def test_a_perfectly_regular_past_is_held(city):
    told(city, weeks(760))
    found = made_again(city)
    verdict = found.judgement
    assert verdict.n == 48
    assert verdict.independent == pytest.approx((47 * 7 + 30) / 30)
    assert verdict.coverage[1:] == (1.0, 1.0)
    assert verdict.worst is None
    assert backtests.words(verdict, 12).en == "held 100 % of the last 12 months"
    assert backtests.words(verdict, 12).zh == "过去 12 个月预测的 90% 上限有 100% 守住"


def test_a_last_month_of_twice_the_use_is_missed_with_its_date(city):
    values = np.array(weeks(760))
    values[-30:] *= 2
    told(city, values)
    with database.reading(city) as session:
        item, place = catalogue.item(session, "N95"), catalogue.place(session, CITY)
        found = backtests.told(of_item(session, item, place, as_of=TODAY, zone=SHANGHAI), 12)
    assert found["worst"]["from"] == "2026-03-02"
    assert found["worst"]["to"] == "2026-03-31"
    assert found["worst"]["used"] == values[-30:].sum()
    assert found["worst"]["units"] == values[-30:].sum() - found["worst"]["p95"]
    assert found["worst"]["units"] > 0.7 * values[-60:-30].sum()
    assert found["coverage"]["p90"] < 1


def test_use_that_doubled_half_a_year_ago_is_said_to_have_held_less_than_promised(city):
    values = np.array(weeks(1460), dtype=float)
    values[-1095:] *= 1.35 ** (np.arange(1095) // 30 % 6)
    told(city, values.round())
    verdict = made_again(city, months=36).judgement
    assert verdict.interval[1][1] < 0.9
    assert "less than the 90 % it promises" in backtests.words(verdict, 36).en
    assert "少于应有的 90%" in backtests.words(verdict, 36).zh


def test_three_years_that_always_held_are_said_to_have_held_more_than_promised(city):
    told(city, weeks(1460))
    verdict = made_again(city, months=36).judgement
    assert verdict.interval[1][0] > 0.9
    assert "more than the 90 % it promises" in backtests.words(verdict, 36).en


def test_a_short_past_is_too_short_to_judge_and_says_how_many_periods_there_are(city):
    told(city, weeks(240))
    found = made_again(city)
    verdict = found.judgement
    assert verdict.too_short
    assert verdict.independent == pytest.approx((26 * 7 + 30) / 30)
    assert backtests.words(verdict, 12).en == "too short to judge: 7 independent periods of 30 days, 8 are needed"
    assert "7 个独立的 30 天" in backtests.words(verdict, 12).zh


def test_periods_just_below_eight_are_not_rounded_up():
    verdict = scoring.judge(scoring.rolling_origin([WEEK[0]] * 400, 30, [100], 180, P))
    almost = verdict._replace(independent=7.99)
    assert "7.9 independent" in backtests.words(almost, 12).en
    assert backtests.judged(almost)["periods"] == 7.9


def test_a_month_with_more_than_a_tenth_missing_is_not_judged(city):
    whole, holes = weeks(760), weeks(760)
    holes[-20:-16] = [None] * 4
    told(city, whole, code=H1)
    told(city, holes, code=H2)
    assert made_again(city, scope=H1).judgement.n == 48
    alone = made_again(city, scope=H2)
    with_four_missing = [n + 30 > 740 - (760 - alone.span.days) for n in alone.span.origins]
    assert (~alone.whole).tolist() == with_four_missing
    assert made_again(city).judgement.n == 48  # half of the city's use is a twentieth of what is missing


def test_nothing_told_is_nothing_to_say(city):
    assert made_again(city) is None
    with database.reading(city) as session:
        item, place = catalogue.item(session, "N95"), catalogue.place(session, CITY)
        assert backtests.held(session, item, place, as_of=TODAY, zone=SHANGHAI) is None
        world = coverage.board(session, coverage.When(TODAY, NOW, SHANGHAI))
        found = backtests.table(session, world, [item], place, as_of=TODAY, zone=SHANGHAI)
    assert found["items"] == []
    assert found["together"]["n"] == 0
    assert found["together"]["too_short"]


def test_items_count_alike_however_much_of_them_is_used(city):
    """The line over all: the mean of the shares, the periods of the calendar, the worst by what is usually used."""
    rng = np.random.default_rng(4)
    small, large = rng.poisson(2, 760), rng.poisson(9000, 760)
    small[-30:] = 40
    for code, values in (("VENT", small), ("N95", large)):
        first = TODAY - timedelta(days=760)
        rows = [Report(H1, code, first + timedelta(days=n), int(v)) for n, v in enumerate(values)]
        database.transact(city, lambda session, rows=rows: reporting.report(session, entry(), rows))
    with database.reading(city) as session:
        world = coverage.board(session, coverage.When(TODAY, NOW, SHANGHAI))
        place, items = catalogue.place(session, CITY), catalogue.items(session)
        found = backtests.table(session, world, items, place, as_of=TODAY, zone=SHANGHAI)
    rows = {row["item"]: row for row in found["items"]}
    shares = [row["coverage"]["p90"] for row in found["items"]]
    assert shares == sorted(shares)
    together = found["together"]
    assert together["items"] == 2
    assert together["n"] == 96
    assert together["periods"] == rows["N95"]["periods"]
    assert together["coverage"]["p90"] == pytest.approx(sum(shares) / 2, abs=1e-3)
    assert together["worst"] == {"item": "VENT", **rows["VENT"]["worst"]}
    losses = [rows[code]["loss_to_use"]["p90"] for code in ("VENT", "N95")]
    assert together["loss_to_use"]["p90"] == pytest.approx(sum(losses) / 2, abs=1e-3)


# -- what was known ---------------------------------------------------------------------------------------------------


def as_then(session, span, number, scope=CITY):
    """What the projection of an origin's day was made from, read by the product's own reading of that day."""
    day = span.day(span.origins[number])
    above = catalogue.place(session, scope)
    history = consumption.history(
        session,
        item_id=catalogue.item(session, "N95").id,
        places=[p for p in catalogue.places(session) if p.inside and p.kind != LocationKind.TRANSIT and above.holds(p)],
        last=day - timedelta(days=1),
        days=outlook.HISTORY_DAYS,
        zone=SHANGHAI,
        known_at=day_bounds(day, SHANGHAI)[1] - timedelta(microseconds=1),
    )
    return outlook.use_of(history, day)


def assert_forecast_as_then(engine, found):
    with database.reading(engine) as session:
        for n in range(len(found.span.origins)):
            then = as_then(session, found.span, n)
            assert found.foreseen[n] == isinstance(then, outlook.Use)
            if found.foreseen[n]:
                assert found.test.ours[0, n].tolist() == list(then.quantiles(P).values())


def test_every_forecast_is_what_the_projection_of_its_day_said(city):
    rng = np.random.default_rng(7)
    for code, mean, start in ((H1, 40, 700), (H2, 3, 520)):
        values = [None if rng.random() < 0.08 else int(n) for n in rng.poisson(mean, start)]
        values[-200:-190] = [None] * 10
        lived(city, values, code=code)

    def later(session):
        told = entry(now=NOW - timedelta(days=90))
        day = TODAY - timedelta(days=200)
        reporting.report(session, told, [Report(H1, "N95", day, 4000), Report(H2, "N95", day, 90, out_of_stock=True)])
        use.exclude(session, entry(now=NOW - timedelta(days=60)), **left_out(day, excluded=True))
        use.exclude(session, entry(now=NOW - timedelta(days=40)), **left_out(day, excluded=False))

    database.transact(city, later)
    found = made_again(city)
    assert found.foreseen.sum() > 40
    assert_forecast_as_then(city, found)


def left_out(day, *, excluded, code=H1):
    return {"location": code, "item": "N95", "day": day, "reason": "typing error", "excluded": excluded}


def test_a_norm_stands_in_where_little_was_reported_from_the_day_it_was_declared(city):
    lived(city, weeks(500), code=H1)
    lived(city, [None] * 480 + weeks(20), code=H2)
    for days, per_day in ((300, 4), (100, 12)):
        told_at = entry(now=NOW - timedelta(days=days))
        first = TODAY - timedelta(days=days)
        norm = Norm(units_per_day=Fraction(per_day))

        def declare(session, told_at=told_at, first=first, norm=norm):
            use.declare(session, told_at, location=H2, item="N95", norm=norm, effective_from=first, source_text="定额")

        database.transact(city, declare)
    found = made_again(city)
    assert_forecast_as_then(city, found)
    means = found.test.ours[0, :, 0][found.foreseen]
    assert means[-1] > means[0] * 1.2


RUNS = count()


@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_told_after_an_origin_never_changes_what_was_forecast_there(engine, data):
    """Whatever is added, corrected or left out later: forecasts of days before it stay as they were."""
    run = next(RUNS)
    with database.writing(engine) as session:
        if catalogue.item(session, "N95") is None:
            make_city(session)
        code = f"RUN{run}"
        if catalogue.place(session, code) is None:
            catalogue.add_location(session, catalogue.NewLocation(code, code, code, LocationKind.HOSPITAL, CITY))
    missing = data.draw(st.sets(st.integers(0, 599), max_size=40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**9)))
    lived(engine, [None if n in missing else int(v) for n, v in enumerate(rng.poisson(20, 600))], code=code)
    before = made_again(engine, scope=code, months=6)
    moment = data.draw(st.integers(1, 200))
    now = NOW - timedelta(days=moment)
    days = data.draw(st.sets(st.integers(moment, 590), min_size=1, max_size=30))
    units = data.draw(st.sampled_from([0, 7, 5000]))
    short = data.draw(st.booleans())
    rows = [Report(code, "N95", TODAY - timedelta(days=n + 1), units, out_of_stock=short) for n in sorted(days)]
    database.transact(engine, lambda session: reporting.report(session, entry(now=now), rows))
    left = rows[0].day
    database.transact(
        engine, lambda session: use.exclude(session, entry(now=now), **left_out(left, excluded=True, code=code))
    )
    after = made_again(engine, scope=code, months=6)
    told_on = now.astimezone(SHANGHAI).date()
    earlier = [n for n, origin in enumerate(before.span.origins) if before.span.day(origin) < told_on]
    assert before.test.ours[0, earlier].tolist() == after.test.ours[0, earlier].tolist()
    assert before.test.empirical[0, earlier].tolist() == after.test.empirical[0, earlier].tolist()
    assert before.foreseen[earlier].tolist() == after.foreseen[earlier].tolist()


def make_city(session):
    catalogue.add_location(session, catalogue.NewLocation(CITY, "德州市", "Dezhou", LocationKind.REGION, None))
    catalogue.add_item(
        session, catalogue.NewItem("N95", "医用防护口罩", "Medical respirator", "protective", "只", "GB 19083-2010")
    )


def test_a_correction_counts_from_the_day_it_was_told_and_the_truth_is_what_is_known_today(city):
    told(city, weeks(760), now=NOW - timedelta(days=100), last=TODAY - timedelta(days=100))
    lived(city, weeks(100))
    before = made_again(city)
    day = TODAY - timedelta(days=150)
    correction = entry(now=NOW - timedelta(days=50))
    database.transact(city, lambda session: reporting.report(session, correction, [Report(H1, "N95", day, 9000)]))
    after = made_again(city)
    span = after.span
    changed = (before.test.ours != after.test.ours).any(axis=2)[0]
    assert changed.tolist() == [span.day(n) >= TODAY - timedelta(days=50) for n in span.origins]
    truer = (before.test.actual != after.test.actual)[0]
    assert truer.tolist() == [span.day(n) <= day < span.day(n + HORIZON) for n in span.origins]


def test_the_first_report_of_an_imported_day_stands_for_its_time(city):
    told(city, weeks(760))
    imported = made_again(city)
    assert imported.foreseen.all()


def test_use_read_from_issues_is_backtested_too(city):
    start = NOW - timedelta(days=420)

    def work(session):
        place = "W9"
        new = catalogue.NewLocation(place, place, place, LocationKind.WAREHOUSE, CITY)
        catalogue.add_location(session, new._replace(consumption_source=ConsumptionSource.ISSUES))
        line = [ReceiptLine("A1", date(2029, 1, 1), item="N95", quantity=10**6)]
        ledger.receive(session, entry(now=start), location=place, lines=line)
        for n in range(420):
            lines = [IssueLine("N95", WEEK[n % 7])]
            ledger.issue(
                session, entry(now=start + timedelta(days=n, hours=1)), location=place, lines=lines, purpose=Purpose.USE
            )

    database.transact(city, work)
    found = made_again(city)
    assert found.judgement.n > 40
    assert found.judgement.coverage[2] == 1.0


@pytest.mark.skipif(not PHARMACY.exists(), reason="the demand data is not here")
def test_a_pharmacy_imported_as_reports_holds_as_its_series_does(city):
    with gzip.open(PHARMACY, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    days = [date.fromisoformat(row["date"]) for row in rows]
    name = next(name for name in rows[0] if name != "date")
    series = np.array([round(10 * float(row[name])) for row in rows])
    asked = days[-1] + timedelta(days=1)
    told(city, series, last=asked, now=day_bounds(asked, SHANGHAI)[0] + timedelta(hours=9))
    found = made_again(city, months=36, as_of=asked)
    origins = [(found.span.day(n) - days[0]).days for n in found.span.origins]
    slices = [scoring.rolling_origin(series[n - 365 : n + HORIZON], HORIZON, [365], 365, P) for n in origins]
    assert found.test.ours[0].tolist() == [one.ours[0, 0].tolist() for one in slices]
    assert found.test.empirical[0].tolist() == [one.empirical[0, 0].tolist() for one in slices]
    assert found.test.actual[0].tolist() == [one.actual[0, 0] for one in slices]
    whole = scoring.judge(scoring.rolling_origin(series, HORIZON, origins, 365, P))
    assert found.judgement.coverage == whole.coverage
    assert found.judgement.independent == whole.independent
    assert found.judgement.loss_to_empirical == pytest.approx(whole.loss_to_empirical, abs=0.005)


# -- warnings ---------------------------------------------------------------------------------------------------------


def trend(pattern):
    """A day a letter: `.` normal, `w` warned, `x` broken, a blank not judged."""
    return [Day(TODAY + timedelta(days=n), c == "x", c == "w") for n, c in enumerate(pattern) if c != " "]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", Score(0, 0, 0, 0, 0)),
        ("." * 60, Score(0, 0, 0, 0, 0)),
        ("x" * 60, Score(0, 0, 0, 0, 0)),  # broken before anybody looked
        ("." * 20 + "w" * 14 + "x" * 9, Score(1, 1, 1, 1, 0)),
        ("." * 20 + "w" * 13 + "x" * 9, Score(1, 0, 1, 1, 0)),  # true, and too late
        ("." * 20 + "x" * 9, Score(1, 0, 0, 0, 0)),
        ("." * 20 + "w" * 14 + "." * 16 + "x", Score(1, 1, 1, 1, 0)),  # eased in between
        ("." * 20 + "w" * 14 + "." * 17 + "x", Score(1, 1, 1, 0, 0)),  # the warning came true a day late
        ("w" + "." * 31 + "x", Score(1, 0, 1, 0, 0)),
        ("w" + "." * 29, Score(0, 0, 0, 0, 1)),  # time left
        ("w" + "." * 30, Score(0, 0, 1, 0, 0)),
        ("." * 5 + "ww  ww" + "." * 40, Score(0, 0, 1, 0, 0)),  # days not judged end nothing
        ("w" * 14 + "x" * 3 + "w" * 3 + "x" * 3 + "." * 40, Score(2, 2, 2, 2, 0)),
    ],
)
def test_breaks_and_warnings_are_counted(pattern, expected):
    assert warned.score(trend(pattern), lead_time_days=14, look_ahead_days=30) == expected


@given(st.text(".wx ", max_size=120), st.integers(0, 40), st.integers(1, 40))
def test_no_more_is_announced_than_broke_and_no_more_came_true_than_was_said(pattern, lead, ahead):
    found = warned.score(trend(pattern), lead_time_days=lead, look_ahead_days=ahead)
    assert 0 <= found.announced <= found.breaks
    assert 0 <= found.came_true <= found.warnings
    assert found.open >= 0
    assert warned.words(found).en.startswith("no break") is (found.breaks == 0)


def keep(session, pattern, *, required=30):
    """A trend of stored days that ends today."""
    item, place = catalogue.item(session, "N95"), catalogue.place(session, CITY)
    levels = {".": ("normal", 40.0), "w": ("blue", 31.0), "x": ("orange", 29.99), "?": ("unknown", 29.0)}
    rows = []
    for n, letter in enumerate(reversed(pattern)):
        level, days = levels[letter]
        row = json.dumps({"days_of_coverage": days, "required_days": required})
        day = TODAY - timedelta(days=n)
        rows.append({"scope_id": place.id, "item_id": item.id, "day": day, "level": level, "row": row})
    session.connection().execute(insert(coverage.COVERAGE_DAY), rows)


def test_a_break_is_one_of_the_rule_that_judges_whatever_days_the_row_shows(city):
    """Ten days must lie there of thirty: 15 days are below 30 and break nothing."""
    with database.writing(city) as session:
        keep(session, "." * 20 + "w" * 20 + "x" * 10, required=60)
        item, place = catalogue.item(session, "N95"), catalogue.place(session, CITY)
        world = coverage.board(session, coverage.when(None, now=NOW, zone=SHANGHAI))
        first = TODAY - timedelta(days=60)
        assert warned.of_item(session, world, item, place, first=first, last=TODAY) == Score(1, 1, 1, 1, 0)


# -- over HTTP and at the machine -------------------------------------------------------------------------------------


@pytest.fixture
def served(city):
    told(city, [int(n) for n in np.random.default_rng(2).poisson(50, 760)])
    with database.writing(city) as session:
        keep(session, "." * 20 + "w" * 20 + "x" * 10 + "?" * 3 + "." * 2)
    return Served(city)


def test_the_table_answers_items_worst_first_and_one_line_over_all(served):
    answered = served.client().get("/v1/backtests")
    assert answered.status_code == 200
    found = answered.json()
    assert (found["scope"], found["months"], found["horizon_days"]) == (CITY, 12, 30)
    (row,) = found["items"]
    assert row["n"] == 48
    assert row["origins"] == 48
    low, high = row["interval"]["p90"]
    assert low <= row["coverage"]["p90"] <= high
    assert row["alerts"]["words"]["en"] == "1 of 1 breaks announced in time; 1 of 1 warnings came true"
    assert found["together"]["coverage"] == row["coverage"]
    assert found["together"]["periods"] == row["periods"]
    assert found["together"]["alerts"]["breaks"] == 1


def test_the_projection_says_how_well_forecasts_held(served):
    found = served.client().get(f"/v1/coverage/{CITY}/N95/projection").json()["held"]
    table = served.client().get("/v1/backtests?item=N95").json()["items"][0]
    assert found["n"] == 48
    assert found["covered_90"] == table["coverage"]["p90"]
    assert found["interval"] == table["interval"]["p90"]
    assert found["words"] == table["words"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("item=NIX", 404, "unknown_item"), ("scope=NIX", 404, "unknown_location"), ("months=37", 422, None)],
)
def test_what_is_not_there_is_refused(served, query, status, code):
    answered = served.client().get(f"/v1/backtests?{query}")
    assert answered.status_code == status
    assert code is None or answered.json()["code"] == code


def test_another_category_holds_nothing(served):
    assert served.client().get("/v1/backtests?category=testing").json()["items"] == []


def test_a_long_table_is_answered_page_by_page_by_code(served):
    """What one question costs is bounded; a page is some items by code, its line over all is of these."""
    for code in ("A1", "Z1"):
        new = catalogue.NewItem(code, "物", "Thing", Category.OTHER, "个")
        database.transact(served.engine, lambda session, new=new: catalogue.add_item(session, new))
        told(served.engine, weeks(400), item=code)
    client = served.client()
    whole = client.get("/v1/backtests").json()
    assert sorted(row["item"] for row in whole["items"]) == ["A1", "N95", "Z1"]
    assert whole["next_cursor"] is None
    seen, cursor = [], ""
    while cursor is not None:
        found = client.get(f"/v1/backtests?limit=1{cursor and '&cursor=' + cursor}").json()
        assert len(found["items"]) <= 1
        assert found["together"]["items"] == len(found["items"])
        seen += found["items"]
        cursor = found["next_cursor"]
    assert [row["item"] for row in seen] == ["A1", "N95", "Z1"]
    assert sorted(seen, key=backtests.worst_first) == whole["items"]
    for query in ("limit=0", "limit=101", "cursor=x"):
        assert client.get(f"/v1/backtests?{query}").status_code == 422


def test_places_are_read_once_however_many_items_there_are(served):
    statements = []
    event.listen(served.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def asked(times):
        with database.reading(served.engine) as session:
            place, item = catalogue.place(session, CITY), catalogue.item(session, "N95")
            world = coverage.board(session, coverage.when(None, now=NOW, zone=SHANGHAI))
            statements.clear()
            backtests.table(session, world, [item] * times, place, as_of=TODAY, zone=SHANGHAI)
        return sum(" FROM location" in statement.replace("\n", " ") for statement in statements)

    assert asked(3) == 0


def test_a_key_of_a_county_sees_its_county_only(served):
    county = served.client("viewer", "371425")
    assert county.get("/v1/backtests").json()["items"] == []
    assert county.get(f"/v1/backtests?scope={CITY}").status_code == 403


def test_at_the_machine_the_table_is_read_or_taken_as_json(database_url, city, monkeypatch):
    """The command has the machine's own clock, so the past it looks back on ends today."""
    now = datetime.now(SHANGHAI)
    told(city, weeks(760), last=now.date(), now=now)
    monkeypatch.setenv("RESERVE_DATABASE_URL", database_url)
    run = CliRunner().invoke
    printed = run(cli.app, ["backtest", "--item", "N95"])
    head, row, together = [line.split("\t") for line in printed.stdout.splitlines()]
    assert len(head) == len(row) == len(together)
    assert row[:2] == ["N95", "48"]
    assert "held 100 % of the last 12 months" in row[10]
    assert together[0] == "全部 all"
    answered = json.loads(run(cli.app, ["backtest", "--months", "3", "--json"]).stdout)
    assert answered["months"] == 3
    assert answered["items"][0]["too_short"]
    assert run(cli.app, ["backtest", "--item", "NIX"]).exit_code == 1


def test_on_a_terminal_a_number_keeps_its_line_and_both_languages_are_said(served):
    found = served.client().get("/v1/backtests").json()
    screen = StringIO()
    cli_backtest.print_table(found["items"], Console(file=screen, width=110))
    lines = screen.getvalue().splitlines()
    row = next(line for line in lines if "N95" in line)
    interval = found["items"][0]["interval"]["p90"]
    assert f"{interval[0]:.2f}-{interval[1]:.2f}" in row
    assert any("过去 12 个月" in line for line in lines)
    assert any("of the last 12 months" in line for line in lines)
