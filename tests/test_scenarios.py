"""An outbreak stated by a person: what it uses, how long the dated stock lasts under it, and how they can check it."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from fractions import Fraction
from hashlib import sha256
from math import ceil, floor
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from conftest import NOW
from hypothesis import given
from hypothesis import strategies as st
from outbreaks import census, dezhou, lombardia, manager, model, row
from refusing import at_once, refused, scalar, sound, unchanged
from served import Served, issue, receipt, rows_of_use
from sqlalchemy import text
from typed import Typed, typed

from api.console import call
from forecasting import epidemic
from reserve import catalogue, database, outbreak, scenarios
from reserve.access import Operator
from reserve.catalogue import ItemRow
from reserve.model import Category, NormBasis
from reserve.norms import NormRow
from reserve.outbreak import Course, Outbreak


def state(client, body: dict) -> dict:
    answer = client.post("/v1/scenarios", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


# -- figures that are known -------------------------------------------------------------------------------------------


def test_a_hundred_health_workers_and_thirty_cleaners_use_in_a_week_what_esft_says(served: Served) -> None:
    """ESFT, inpatient part: one shift a patient and day beside 100 patients, and 0.3 of a cleaner's."""
    hours = {"health_worker": {"moderate": 8}, "cleaner": {"moderate": 2.4}}
    week = census(cases={"census": {"moderate": [100] * 7}}, staff={"hours": hours})
    told = state(manager(served), week)
    assert told["result"]["by_day"]["staff"] == {"health_worker": [100] * 7, "cleaner": [30] * 7}
    totals = {line["item"]: line["total"] for line in told["result"]["items"]}
    assert totals == {
        "EXAM-GLOVES": 16_800,
        "SURGICAL-MASK": 3_640,
        "GOWN": 910,
        "N95": 700,
        "GOGGLES": 130,
        "VENTILATOR": 0,
    }
    assert row(told, "GOGGLES")["demand"] == [130, 0, 0, 0, 0, 0, 0]  # once, not seven times


def test_dezhou_2020_never_strains_the_rule(served: Served) -> None:
    ill = dezhou()
    client = manager(served)
    assert max(ill) == 29
    peak = ill.index(29)
    on_the_day = {"severe": [max(n - 1, 0) for n in ill], "critical": [min(n, 1) for n in ill]}
    told = state(client, census("DEZHOU", cases={"census": on_the_day}))
    assert row(told)["demand"][peak] == pytest.approx(67.9, abs=0.05)
    shares = {"severe": [0.95 * n for n in ill], "critical": [0.05 * n for n in ill]}
    told = state(client, census("DEZHOU-5", cases={"census": shares}))
    respirators, gloves = row(told)["worst_30_days"], row(told, "EXAM-GLOVES")["worst_30_days"]
    first = date.fromisoformat(respirators["from"]) - date.fromisoformat(told["result"]["starts_on"])
    assert sum(ill[first.days : first.days + 30]) == 698
    assert respirators["units"] == pytest.approx(1_650, abs=5)
    assert gloves["units"] == pytest.approx(39_700, abs=50)


def test_lombardia_2020_is_what_no_quiet_year_foretells(served: Served) -> None:
    client = manager(served)
    assert client.post("/v1/receipts", json=receipt(100_000, expires="2028-01-31")).status_code == 201
    ours = {"low_factor": 0.56, "high_factor": 1}  # Dezhou has 56 % of Lombardia's people
    told = state(client, census("LOMBARDIA", cases={"csv": lombardia(120)}, bands=ours))
    found, line = told["result"], row(told)
    assert found["beds"]["peak"]["patients"] == 13_328
    assert found["beds"]["peak"]["day"] == (date(2020, 4, 4) - date(2020, 2, 24)).days
    assert line["peak_day"]["units"] == pytest.approx(32_760, abs=5)
    assert line["seven_day_peak"] == pytest.approx(32_590, abs=5)
    assert line["worst_30_days"]["units"] == pytest.approx(918_000, abs=500)
    assert sum(line["demand"][:30]) == pytest.approx(318_000, abs=500)
    assert line["at_scenario_peak"]["required"] == pytest.approx(977_700, abs=800)  # one month at that peak
    assert line["at_scenario_peak"]["days"] == floor(100_000 / line["at_scenario_peak"]["peak_daily"] * 100) / 100
    assert floor(line["days_met"]) == 20
    assert line["runs_out_on"] == (date.fromisoformat(found["as_of"]) + timedelta(days=20)).isoformat()
    assert floor(line["bands"]["low"]["days_met"]) == 24
    assert "replayed" in [w["code"] for w in found["warnings"]]


# -- a model, from end to end -----------------------------------------------------------------------------------------


def test_a_model_is_worked_out_kept_and_run_again_on_new_stock(served: Served) -> None:
    client = manager(served, "who-esft", "nm-mat-2020")
    client.post("/v1/receipts", json=receipt(50_000, lot="SHORT", expires="2026-04-30"))
    client.post("/v1/receipts", json=receipt(20_000, lot="LONG", expires="2028-01-31"))
    told = state(client, model(bands={"low_factor": 0.5, "high_factor": 2}))
    found, line = told["result"], row(told)
    assert (told["run"], found["as_of"], found["starts_on"], found["days"]) == (1, "2026-04-01", "2026-04-01", 180)
    assert set(found["by_day"]["census"]) == {"moderate", "severe", "critical"}
    assert found["cases"]["total"] == pytest.approx(sum(found["by_day"]["cases"]), abs=0.1)
    assert found["runs_out_first"][0]["days_met"] <= found["runs_out_first"][-1]["days_met"]
    bands = line["bands"]
    assert bands["high"]["days_met"] <= line["days_met"] <= bands["low"]["days_met"]
    assert bands["low"]["total"] < line["total"] < bands["high"]["total"]
    over = next(w for w in found["warnings"] if w["code"] == "beds_over")
    assert over["zh"].startswith("危重型床位不足")
    assert over["en"].startswith("More critical beds are needed")
    assert found["by_day"]["occupancy"]["critical"] == pytest.approx(
        [n / 300 for n in found["by_day"]["census"]["critical"]], abs=1e-3
    )
    (other,) = line["other_norms"]
    assert other["preset"] == "nm-mat-2020"
    assert other["times"] == pytest.approx(other["outbreak_total"] / line["outbreak_total"], rel=1e-3)

    client.post("/v1/receipts", json=receipt(80_000, lot="NEW", expires="2028-01-31"))
    again = client.post("/v1/scenarios/MODEL/runs", json={})
    assert (again.status_code, again.json()["run"]) == (201, 2)
    assert row(again.json())["days_met"] > line["days_met"]
    assert client.get("/v1/scenarios/MODEL?run=1").json()["result"] == found
    assert client.get("/v1/scenarios/MODEL").json() == again.json()
    (listed,) = client.get("/v1/scenarios").json()["items"]
    assert (listed["code"], listed["run"], listed["norms"]) == ("MODEL", 2, "who-esft")
    assert listed["runs_out_first"] == again.json()["result"]["runs_out_first"][:1]
    sound(served.engine)


def test_the_model_is_that_of_the_recursion(served: Served) -> None:
    told = state(manager(served), model())["result"]
    gamma = epidemic.rate_of(5)
    factors = np.where(np.arange(180) >= 40, 0.7, 1)
    wanted = epidemic.seir(5.6e6, 0, 20, epidemic.beta_of(2.2, gamma), 1 / 3, gamma, 180, factors).new_infectious
    assert told["by_day"]["cases"] == pytest.approx(wanted.tolist(), abs=1e-3)
    admitted = epidemic.admissions(wanted, 0.05, 4)
    for name, share, stay in (("moderate", 0.4, 8), ("severe", 0.5, 12), ("critical", 0.1, 16)):
        assert told["by_day"]["census"][name] == pytest.approx(
            epidemic.census(share * admitted, stay).tolist(), abs=1e-3
        )


# -- what a person can check ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_figure_can_be_redone_from_the_answer_alone(served: Served, language: str) -> None:
    client = manager(served)
    reports = rows_of_use("371402-H1", "N95", lambda n: 400 + n % 7, 120, date(2026, 4, 1))
    assert client.post("/v1/consumption", json=reports).status_code == 201
    client.post("/v1/receipts", json=receipt(9_000, lot="A", expires="2026-04-12"))
    client.post("/v1/receipts", json=receipt(30_000, lot="B", expires="2028-01-31"))
    told = state(client, model(ordinary_use=True))
    for line in told["result"]["items"]:
        left, right = line["explanation"]["check"].split(" = ")
        assert eval(left, {"__builtins__": {}}) == pytest.approx(float(right), abs=1e-3)  # noqa: S307 - our own sum
        day = line["peak_day"]["day"]
        assert line["demand"][day] == max(line["demand"]) == pytest.approx(float(right), abs=1e-2)
        if line["usable"]:
            assert line["days_met"] == floor(met(line) * 100) / 100
        for kept in line["explanation"]["reusable"]:
            if kept["basis"] == "staff_shift":
                assert kept["units"] == pytest.approx(max(kept["most_at_once"], kept["norm"] * kept["person_days"]))
        lines = line["explanation"]["lines"]
        assert len(lines["zh"]) == len(lines["en"]) >= 2
        assert right in lines[language][0]
    assert row(told)["ordinary_daily"] == pytest.approx(403, abs=1)
    assert any("日常用量" in said for said in row(told)["explanation"]["lines"]["zh"])


def met(line: dict) -> float:
    """Days met by dated stock, day by day and lot by lot, from nothing but the row."""
    lots = [[lot["life"], lot["units"]] for lot in line["lots"]]
    for day, wanted in enumerate(line["demand"]):
        left = wanted
        for lot in lots:
            if lot[0] is None or lot[0] > day:
                taken = min(left, lot[1])
                lot[1] -= taken
                left -= taken
        if left > 1e-2:
            return day + (wanted - left) / wanted
    return len(line["demand"])


def test_expired_stock_does_not_help_and_what_expires_unused_is_told(served: Served) -> None:
    client = manager(served)
    client.post("/v1/receipts", json=receipt(500, lot="SOON", expires="2026-04-02"))  # two days of life
    client.post("/v1/receipts", json=receipt(30, lot="LATER", expires="2028-01-31"))
    told = state(client, census(items=["N95"], cases={"census": {"severe": [10] * 6}}))
    line = row(told)
    assert line["demand"] == [22.78] * 6
    assert line["expires_unused"] == round(500 - 2 * 22.78)
    assert line["days_met"] == floor((2 + 30 / 22.78) * 100) / 100
    assert line["unmet"] == 62  # 6 x 22.78 less 45.56 and 30, rounded up
    assert line["runs_out_on"] == "2026-04-04"


def test_today_s_rule_stands_beside(served: Served) -> None:
    client = manager(served)
    policy = {
        "code": "P30",
        "item": "N95",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-01-01",
        "source_text": "一个月储备",
    }
    assert client.post("/v1/policies", json=policy).status_code == 201
    reports = rows_of_use("371402-H1", "N95", lambda _: 100, 200, date(2026, 4, 1))
    client.post("/v1/consumption", json=reports)
    client.post("/v1/receipts", json=receipt(3_500, expires="2028-01-31"))
    told = state(client, census(ordinary_use=True))
    assert row(told)["rule"] == {
        "as_of": "2026-04-01",
        "stale": False,
        "peak_daily": 100.0,
        "days_of_coverage": 35.0,
        "required_days": 30,
        "required": 3000,
        "level": row(told)["rule"]["level"],
    }
    assert row(told)["ordinary_daily"] == 100
    assert row(told)["at_scenario_peak"]["required_days"] == 30
    used = np.cumsum([0, *row(told)["demand"]])
    first = next(day for day, units in enumerate(used) if 3_500 - units < 30 * 100)
    assert row(told)["falls_below_on"] == (date(2026, 4, 1) + timedelta(days=first)).isoformat()


def judged_by(served: Served, **terms: object) -> dict:
    """A scenario beside a policy of these terms, over 3,500 respirators and an ordinary use of 100 a day."""
    client = manager(served)
    policy = {"code": "P", "item": "N95", "scope": "371400", "effective_from": "2026-01-01", "source_text": "储备"}
    made = client.post("/v1/policies", json={**policy, **terms})
    assert made.status_code == 201, made.text
    reports = rows_of_use("371402-H1", "N95", lambda _: 100, 200, date(2026, 4, 1))
    client.post("/v1/consumption", json=reports)
    client.post("/v1/receipts", json=receipt(3_500, expires="2028-01-31"))
    return row(state(client, census(ordinary_use=True)))


def first_day_below(line: dict, units: float) -> str | None:
    """The first day on which no more than so many units, of which less is too little, are left."""
    left = 3_500 - np.cumsum([0, *line["demand"]])
    found = np.flatnonzero(left < units)
    return (date(2026, 4, 1) + timedelta(days=int(found[0]))).isoformat() if found.size else None


def test_a_rule_in_parts_asks_of_stock_its_own_days_only(served: Served) -> None:
    line = judged_by(served, kind="days", required_days=60, physical_percent=55)
    assert line["at_scenario_peak"]["required_days"] == 33
    peak = line["at_scenario_peak"]["peak_daily"]
    assert line["at_scenario_peak"]["rate"] == peak
    assert line["at_scenario_peak"]["required"] == ceil(33 * Fraction(str(peak)))
    assert line["falls_below_on"] == first_day_below(line, 33 * 100) != first_day_below(line, 60 * 100)


def test_a_rule_that_asks_nothing_of_stock_itself_is_never_fallen_below(served: Served) -> None:
    line = judged_by(served, kind="days", required_days=60, physical_days=0)
    assert line["falls_below_on"] is None
    assert [line["at_scenario_peak"][name] for name in ("required_days", "required", "shortfall")] == [0, 0, 0]


def test_a_rule_of_persons_asks_for_its_own_rate_whatever_the_peak_is(served: Served) -> None:
    line = judged_by(served, kind="persons", persons=300, norm=0.5, required_days=23)
    at_peak = line["at_scenario_peak"]
    assert at_peak["peak_daily"] > 150 == at_peak["rate"]
    assert (at_peak["required_days"], at_peak["required"], at_peak["shortfall"]) == (23, 23 * 150, 0)
    assert at_peak["days"] == floor(3_500 / at_peak["peak_daily"] * 100) / 100
    assert line["falls_below_on"] == first_day_below(line, 23 * 150) != first_day_below(line, 23 * 100)


def test_a_row_that_does_not_say_what_judges_it_is_read_as_it_was(served: Served) -> None:
    assert outbreak.judged_by(None) is None
    assert outbreak.judged_by({"judged": None, "peak_daily": 0.0, "required_days": 30}) is None
    assert outbreak.judged_by({"judged": None, "peak_daily": None, "required_days": None}) is None
    assert outbreak.judged_by({"peak_daily": 12.5, "required_days": 30}) == (30, Fraction(25, 2), True)
    told = {"policy": "P", "required_days": 16.5, "rate": "1000/7", "peak": False}
    assert outbreak.judged_by({"judged": told, "peak_daily": 9.0, "required_days": 30}) == (
        Fraction(33, 2),
        Fraction(1000, 7),
        False,
    )


def test_cases_without_beds_use_what_is_used_a_case(served: Served) -> None:
    client = manager(served)
    norms = [{"basis": "case", "item": "N95", "amount": 2.5, "source_text": "采样"}]
    assert client.post("/v1/norms", json={"preset": "tests", "norms": norms}).status_code == 201
    told = state(client, census(cases={"curve": [4, 0, 10.5]}, norms="tests"))
    assert row(told)["demand"] == [10, 0, 26.25]
    assert told["result"]["beds"]["classes"] == {}
    assert row(told)["explanation"]["check"] == "10.5 * 2.5 = 26.25"
    assert client.get("/v1/scenarios/WAVE/chart.svg?item=N95").status_code == 200
    beside = census("BOTH", cases={"curve": [4, 0, 10.5], "census": {"severe": [1, 1, 1]}}, norms="tests")
    assert row(state(client, beside))["demand"] == [10, 0, 26.25]
    told = state(client, census("NONE", norms="tests"))["result"]
    assert "case_norms_unused" in [w["code"] for w in told["warnings"]]


def test_staff_whose_hours_nobody_says_is_refused(served: Served) -> None:
    client = manager(served)
    norms = [{"basis": "staff_shift", "role": "nurse", "item": "N95", "amount": 1, "source_text": "院感科"}]
    assert client.post("/v1/norms", json={"preset": "tests", "norms": norms}).status_code == 201
    bare = census(norms="tests")
    problem = refused(served.engine, lambda: client.post("/v1/scenarios", json=bare), 422, "no_staff_hours")
    assert [fault["pointer"] for fault in problem["errors"]] == [
        "/staff/hours/nurse/severe",
        "/staff/hours/nurse/critical",
    ]
    hours = {"nurse": {"severe": 12, "critical": 24}}
    told = state(client, bare | {"staff": {"hours_per_shift": 12, "hours": hours}})
    assert row(told)["demand"] == [30, 34, 26]


def test_use_that_nobody_reports_is_said_to_be_unknown(served: Served) -> None:
    told = state(manager(served), census(ordinary_use=True))
    assert row(told)["ordinary_known"] is False
    warned = {w["code"]: w for w in told["result"]["warnings"]}
    assert "N95" in warned["ordinary_use_unknown"]["en"]
    assert "norms_differ" in warned
    assert "who-esft" in warned["norms_differ"]["zh"]


# -- days -------------------------------------------------------------------------------------------------------------


def test_a_scenario_that_begins_later_uses_what_is_ordinary_until_then(served: Served) -> None:
    client = manager(served)
    client.post("/v1/consumption", json=rows_of_use("371402-H1", "N95", lambda _: 10, 200, date(2026, 4, 1)))
    client.post("/v1/receipts", json=receipt(1_000, expires="2028-01-31"))
    told = state(client, census(starts_on="2026-04-11", ordinary_use=True))
    line = row(told)
    assert line["peak_day"]["date"] == "2026-04-12"
    assert line["usable_by_day"][:11] == [1000 - 10 * n for n in range(11)]
    assert len(line["usable_by_day"]) == 10 + 3 + 1


def test_the_days_of_a_running_outbreak_that_are_over_are_not_used_again(served: Served) -> None:
    client = manager(served)
    client.post("/v1/receipts", json=receipt(1_000, expires="2028-01-31"))
    state(client, census(starts_on="2026-04-01", cases={"census": {"severe": [10, 20, 30]}}))
    served.clock.pass_by(days=2)
    client.post("/v1/issues", json=issue(60))
    again = client.post("/v1/scenarios/WAVE/runs", json={}).json()
    line = row(again)
    assert line["usable"] == 940
    assert line["usable_by_day"] == [940, floor(940 - 30 * 2.278)]
    assert "partly_over" in [w["code"] for w in again["result"]["warnings"]]
    served.clock.pass_by(days=1)
    refused(served.engine, lambda: client.post("/v1/scenarios/WAVE/runs", json={}), 409, "scenario_over")


def test_cases_after_the_file_are_none_and_patients_stay_on(served: Served) -> None:
    beds = {"hospital_share": 0.5, "delay_days": 1, "critical_share": 0.0, "stay_days": {"severe": 2}}
    sheet = "日期,新增病例\n2020-02-01,10\n2020-02-02,20\n"
    told = state(manager(served), census(cases={"csv": sheet}, beds=beds, days=5))["result"]
    assert told["by_day"]["cases"] == [10, 20, 0, 0, 0]
    assert told["by_day"]["census"] == {"severe": [0, 5, 15, 10, 0]}
    assert {"curve_ended", "replayed"} <= {w["code"] for w in told["warnings"]}


# -- several scenarios ------------------------------------------------------------------------------------------------


def test_scenarios_stand_side_by_side_with_today(served: Served) -> None:
    client = manager(served, "who-esft", "nm-mat-2020")
    client.post("/v1/receipts", json=receipt(200, expires="2028-01-31"))
    mild = state(client, census("MILD"))
    hard = state(client, census("HARD", cases={"census": {"severe": [60] * 5, "critical": [10] * 5}}))
    sparing = state(client, census("SPARING", norms="nm-mat-2020"))
    found = client.get("/v1/scenarios/comparison?codes=MILD,HARD,SPARING").json()
    assert [told["code"] for told in found["scenarios"]] == ["MILD", "HARD", "SPARING"]
    assert [told["beds"]["peak"]["patients"] for told in found["scenarios"]] == [32, 70, 32]
    n95 = next(item for item in found["items"] if item["item"] == "N95")
    for told in (mild, hard, sparing):
        under, line = n95["under"][told["code"]], row(told)
        assert (under["total"], under["days_met"], under["runs_out_on"], under["unmet"]) == (
            line["total"],
            line["days_met"],
            line["runs_out_on"],
            line["unmet"],
        )
    assert n95["under"]["SPARING"]["total"] < n95["under"]["MILD"]["total"] < n95["under"]["HARD"]["total"]
    gloves = next(item for item in found["items"] if item["item"] == "EXAM-GLOVES")
    assert gloves["under"]["MILD"]["total"] > 6 * gloves["under"]["SPARING"]["total"]
    masks = next(item for item in found["items"] if item["item"] == "SURGICAL-MASK")
    assert masks["under"]["SPARING"] is None
    assert client.get("/v1/scenarios/comparison?codes=MILD,NONE").status_code == 404
    many = ",".join(f"C{n}" for n in range(21))
    for codes in (many, "", "a b", "MILD,,HARD"):
        answer = client.get("/v1/scenarios/comparison", params={"codes": codes})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_codes")


def test_a_list_shows_of_each_latest_run_what_the_run_itself_says(served: Served) -> None:
    """Also where somebody's words look like what a list stops at."""
    client = manager(served)
    named = state(client, census("FIRST", name='a ,"by_day": b', norms="who-esft"))
    state(client, model())
    client.post("/v1/receipts", json=receipt(40, expires="2028-01-31"))
    again = client.post("/v1/scenarios/FIRST/runs", json={}).json()
    assert again["run"] == 2
    listed = client.get("/v1/scenarios").json()["items"]
    assert [line["code"] for line in listed] == ["MODEL", "FIRST"]
    for line in listed:
        whole = client.get(f"/v1/scenarios/{line['code']}").json()
        for name in ("as_of", "starts_on", "days", "norms", "cases"):
            assert line[name] == whole["result"][name]
        assert line["beds_peak"] == whole["result"]["beds"]["peak"]
        assert line["runs_out_first"] == whole["result"]["runs_out_first"][:1]
        assert (line["run"], line["name"]) == (whole["run"], whole["name"])
    assert (listed[1]["name"], listed[1]["run"]) == (named["name"], 2)
    with database.reading(served.engine) as session:
        heads = scenarios.scenarios(session, catalogue.place(session, "371400"), before=None, limit=10)
    assert all("items" not in one.head and "by_day" not in one.head for one in heads)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chart_says_in_words_what_its_lines_show(served: Served, lang: str, theme: str) -> None:
    client = manager(served)
    client.post("/v1/receipts", json=receipt(9_000, expires="2028-01-31"))
    told = state(client, model())
    state(client, census())
    drawn = client.get(f"/v1/scenarios/MODEL/chart.svg?item=N95&lang={lang}&theme={theme}")
    assert drawn.headers["content-type"] == "image/svg+xml"
    words = " ".join(ET.fromstring(drawn.content).itertext())  # noqa: S314 - our own drawing
    assert row(told)["runs_out_on"] in words
    assert ("每日用量" if lang == "zh" else "Use a day") in words
    together = client.get(f"/v1/scenarios/comparison/chart.svg?codes=MODEL,WAVE&item=N95&lang={lang}&theme={theme}")
    words = " ".join(ET.fromstring(together.content).itertext())  # noqa: S314 - our own drawing
    assert "MODEL" in words
    assert "WAVE" in words
    assert b"style=" not in drawn.content + together.content
    assert client.get("/v1/scenarios/MODEL/chart.svg?item=VENT").status_code == 404


def test_what_a_run_gave_is_under_the_seal_of_the_journal(served: Served) -> None:
    client = manager(served)
    state(client, census("CITY"))
    client.post("/v1/scenarios/CITY/runs", json={})
    with served.engine.connect() as connection:
        kept = connection.execute(text("SELECT result FROM scenariorun ORDER BY run")).scalars()
        digests = [sha256(result.encode()).hexdigest() for result in kept]
        told = connection.execute(
            text("SELECT after FROM journal WHERE subject = 'scenario CITY' AND verb = 'scenario.run' ORDER BY id")
        ).scalars()
        entries = [json.loads(after) if isinstance(after, str) else after for after in told]
    assert [entry["result_sha256"] for entry in entries] == digests
    assert len(digests) == 2


def test_a_county_sees_its_own_scenarios_and_no_other(served: Served) -> None:
    client = manager(served)
    state(client, census("CITY"))
    state(client, census("QIHE", scope="371425"))
    county = served.client("clerk", "371425")
    assert [s["code"] for s in county.get("/v1/scenarios").json()["items"]] == ["QIHE"]
    for path in ("CITY", "NOWHERE", "CITY/chart.svg?item=N95", "comparison?codes=QIHE,CITY"):
        assert county.get(f"/v1/scenarios/{path}").status_code == 403
    refused(served.engine, lambda: county.post("/v1/scenarios/CITY/runs", json={}), 403, "forbidden")
    refused(served.engine, lambda: county.post("/v1/scenarios", json=census("X")), 403, "forbidden")
    viewer = served.client("viewer")
    assert viewer.get("/v1/scenarios/CITY").status_code == 200
    refused(served.engine, lambda: viewer.post("/v1/scenarios", json=census("X")), 403, "forbidden")


# -- what is refused --------------------------------------------------------------------------------------------------

FLOW = {"hospital_share": 0.1, "delay_days": 3, "critical_share": 0.2, "stay_days": {"severe": 5, "critical": 9}}
SEIR = model()["cases"]["seir"]
BAD: list[tuple[dict, str, str]] = [
    ({"code": "a b"}, "invalid_value", "/code"),
    ({"code": "comparison"}, "reserved_code", "/code"),
    ({"scope": "999999"}, "unknown_location", "/scope"),
    ({"extra": 1}, "invalid_value", "/extra"),
    ({"days": 0}, "invalid_value", "/days"),
    ({"days": 367}, "invalid_value", "/days"),
    ({"days": 2}, "scenario_terms", "/days"),
    ({"days": 9}, "scenario_terms", "/cases"),
    ({"starts_on": "2027-12-01"}, "scenario_days", "/starts_on"),
    ({"starts_on": "2026-03-29"}, "scenario_days", "/starts_on"),
    ({"starts_on": "2026-02-30"}, "invalid_value", "/starts_on"),
    ({"cases": {}}, "scenario_terms", "/cases"),
    ({"cases": {"curve": [1], "csv": "x"}}, "scenario_terms", "/cases"),
    ({"cases": {"curve": []}}, "invalid_value", "/cases/curve"),
    ({"cases": {"curve": [-1]}}, "invalid_value", "/cases/curve/0"),
    ({"cases": {"curve": [True]}}, "invalid_value", "/cases/curve/0"),
    ({"cases": {"curve": ["5"]}}, "invalid_value", "/cases/curve/0"),
    ({"cases": {"curve": [1e11]}}, "invalid_value", "/cases/curve/0"),
    ({"cases": {"curve": [1] * 367}}, "invalid_value", "/cases/curve"),
    ({"cases": {"census": {}}}, "scenario_terms", "/cases/census"),
    ({"cases": {"census": {"severe": [1, 2], "critical": [1]}}}, "scenario_terms", "/cases/census/critical"),
    ({"cases": {"census": {"mild": [1]}}}, "invalid_value", "/cases/census/mild"),
    ({"cases": {"curve": [1, 2], "census": {"severe": [1]}}}, "scenario_terms", "/cases/curve"),
    ({"cases": {"seir": SEIR}}, "scenario_terms", "/days"),
    ({"days": 30, "cases": {"seir": SEIR | {"beta": 0.5}}}, "scenario_terms", "/cases/seir/r0"),
    ({"days": 30, "cases": {"seir": SEIR | {"r0": 0}}}, "invalid_value", "/cases/seir/r0"),
    ({"days": 30, "cases": {"seir": SEIR | {"people": 10}}}, "scenario_terms", "/cases/seir/people"),
    ({"days": 30, "cases": {"seir": SEIR | {"people": 1e11}}}, "invalid_value", "/cases/seir/people"),
    ({"days": 30, "cases": {"seir": SEIR}}, "scenario_terms", "/cases/seir/measures/0/from_day"),
    (
        {"days": 90, "cases": {"seir": SEIR | {"measures": [{"from_day": 9, "factor": 1}] * 2}}},
        "scenario_terms",
        "/cases/seir/measures",
    ),
    ({"beds": FLOW}, "scenario_terms", "/beds/hospital_share"),
    ({"beds": {"available": {"critical": -1}}}, "invalid_value", "/beds/available/critical"),
    ({"cases": {"curve": [1]}, "beds": {"hospital_share": 0.1}}, "scenario_terms", "/beds/delay_days"),
    ({"cases": {"curve": [1]}, "beds": FLOW | {"hospital_share": 1.1}}, "invalid_value", "/beds/hospital_share"),
    ({"cases": {"curve": [1]}, "beds": FLOW | {"severe_share": 0.9}}, "scenario_terms", "/beds/severe_share"),
    ({"cases": {"curve": [1]}, "beds": FLOW | {"severe_share": 0.5}}, "scenario_terms", "/beds/stay_days/moderate"),
    ({"staff": {"hours_per_shift": 0}}, "invalid_value", "/staff/hours_per_shift"),
    ({"staff": {"hours": {"nurse": {"severe": 300}}}}, "invalid_value", "/staff/hours/nurse/severe"),
    ({"norms": "nobody"}, "unknown_norms", "/norms"),
    ({"items": ["N95", "NONE"]}, "unknown_item", "/items/1"),
    ({"items": ["VENT"]}, "no_norm", "/items/0"),
    ({"items": []}, "invalid_value", "/items"),
    ({"items": ["N95"] * 201}, "invalid_value", "/items"),
    ({"bands": {"low_factor": 2, "high_factor": 1}}, "scenario_terms", "/bands/low_factor"),
    ({"ordinary_use": 1}, "invalid_value", "/ordinary_use"),
    ({"cases": {"csv": "日期,新增病例\n2020-02-01,1\n2020-02-03,1\n"}}, "sheet_refused", "/rows/3/date"),
    ({"cases": {"csv": "date,cases\n2020-02-01,1\n2020-02-01,1\n"}}, "sheet_refused", "/rows/3/date"),
    ({"cases": {"csv": "date,cases\n2020-02-01,-1\n"}}, "sheet_refused", "/rows/2/cases"),
    ({"cases": {"csv": "date,cases\n2020-02-01,\n"}}, "sheet_refused", "/rows/2/cases"),
    ({"cases": {"csv": "date\n2020-02-01\n"}}, "sheet_refused", "/rows/1"),
    ({"cases": {"csv": "date,deaths\n2020-02-01,1\n"}}, "sheet_refused", "/rows/1/deaths"),
    (
        {"cases": {"csv": "date,cases\n2020-02-01,1\n"}, "beds": {"hospital_share": 0.1}},
        "scenario_terms",
        "/beds/delay_days",
    ),
]


def test_what_cannot_be_is_refused_with_its_place_and_leaves_no_trace(served: Served) -> None:
    client = manager(served)
    for change, code, pointer in BAD:
        body = census() | change
        problem = refused(served.engine, lambda body=body: client.post("/v1/scenarios", json=body), 422, code)
        assert pointer in [fault["pointer"] for fault in problem["errors"]], (change, problem)


def test_a_number_that_is_none_is_refused(served: Served) -> None:
    client = manager(served)
    for number in ("NaN", "1e999", "Infinity"):
        raw = json.dumps(census()).replace("[28", f"[{number}")
        answer = client.post("/v1/scenarios", content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}


def test_a_scenario_is_never_edited(served: Served) -> None:
    client = manager(served)
    state(client, census())
    refused(served.engine, lambda: client.post("/v1/scenarios", json=census()), 409, "scenario_exists")
    refused(served.engine, lambda: client.post("/v1/scenarios/NONE/runs", json={}), 404, "unknown_scenario")
    assert client.get("/v1/scenarios/WAVE?run=9").json()["code"] == "unknown_run"


def test_a_call_sent_twice_states_one_scenario(served: Served) -> None:
    client = manager(served)
    first, second = (client.post("/v1/scenarios", json=census(), headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.content == second.content
    assert scalar(served.engine, "SELECT count(*) FROM scenariorun") == 1


def test_a_refusal_is_said_in_chinese(served: Served) -> None:
    manager(served)
    client = served.client("manager", language="zh")
    told = client.post("/v1/scenarios", json=census(beds=FLOW)).json()
    assert told["errors"][0]["detail"] == "在院人数已说明谁住院：此处只能另外给出 `available`。"


def test_the_largest_scenario_is_answered_with_numbers(served: Served) -> None:
    people = model(days=366, cases={"seir": SEIR | {"people": 1e10, "infectious": 1e9, "r0": 20, "measures": []}})
    told = state(manager(served), people)["result"]
    assert told["cases"]["total"] <= 9e9 + 1
    assert all(line["total"] < 10**15 for line in told["items"])


# -- reusable items ---------------------------------------------------------------------------------------------------


def norm(basis: NormBasis, amount: int, *, role: str = "", bed_class: str = "", reusable: bool = False) -> NormRow:
    return NormRow(1, "p", basis, bed_class, role, "X", amount, reusable, "somebody's", NOW, "Li")


ITEM = ItemRow(1, "X", "物", "thing", Category.PROTECTIVE, "只", None, None)


@given(
    persons=st.integers(1, 1000), days=st.integers(1, 90), wear=st.integers(1, 3000), hours=st.sampled_from([4, 8, 12])
)
def test_reusables_of_a_steady_staff_are_persons_times_the_larger_of_one_and_wear(
    persons: int, days: int, wear: int, hours: int
) -> None:
    beds = Outbreak(
        days, census={"severe": (float(persons),) * days}, hours_per_shift=hours, hours={"r": {"severe": hours}}
    )
    found = outbreak.course(beds)
    rows = [norm(NormBasis.STAFF_SHIFT, wear, role="r", reusable=True)]
    (need,) = outbreak.needs([ITEM], rows, found, outbreak.staff(beds, found, rows))
    assert need.units.sum() == pytest.approx(epidemic.reusable(persons, wear / 1000, days))
    assert (need.units >= -1e-9).all()


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=30),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.integers(0, 5000),
)
def test_use_is_that_of_the_arithmetic(beds: list[float], shift: int, patient: int, case: int) -> None:
    days = len(beds)
    assumed = Outbreak(days, curve=tuple(beds), census={"critical": tuple(beds)}, hours={"r": {"critical": 12.5}})
    found = outbreak.course(assumed)
    rows = [
        norm(NormBasis.STAFF_SHIFT, shift, role="r"),
        norm(NormBasis.PATIENT_DAY, patient, bed_class="critical"),
        norm(NormBasis.PATIENT_DAY, 99_000),  # a norm of the class stands before one of every class
        norm(NormBasis.CASE, case),
    ]
    on_shift = outbreak.staff(assumed, found, rows)
    (need,) = outbreak.needs([ITEM], rows, found, on_shift)
    wanted = epidemic.use(
        [beds], on_shift.of("r"), [shift / 1000], norm_patient=[patient / 1000], cases=beds, norm_case=case / 1000
    )[:, 0]
    assert need.units == pytest.approx(wanted, rel=1e-9, abs=1e-6)


def test_ventilators_are_lent_to_patients_and_come_back() -> None:
    found = Course(None, ("critical",), np.array([[2.0, 6.0, 3.0, 6.0, 8.0]]))
    rows = [norm(NormBasis.PATIENT_DAY, 500, reusable=True)]
    beds = Outbreak(5, census={"critical": (2, 6, 3, 6, 8)})
    (need,) = outbreak.needs([ITEM], rows, found, outbreak.staff(beds, found, rows))
    assert need.units.tolist() == [1, 2, 0, 0, 1]


# -- at the machine ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_an_operator_states_runs_again_lists_and_compares(tmp_path: Path) -> None:
    where = {"RESERVE_DATABASE_URL": f"sqlite:///{tmp_path}/r.db"}

    def reserve(*words: str, stdin: str = "") -> Typed:
        return typed(*words, folder=tmp_path, stdin=stdin, **where)

    (tmp_path / "places.csv").write_text(
        "code,name_zh,name_en,kind,parent\n371400,德州市,Dezhou,region,\n371400-W1,市级储备库,Store,warehouse,371400\n",
        encoding="utf-8",
    )
    item = {"code": "N95", "name_zh": "口罩", "name_en": "Respirator", "category": "protective", "base_unit": "只"}
    assert reserve("migrate").returncode == 0
    assert reserve("import", "locations", str(tmp_path / "places.csv")).returncode == 0
    assert reserve("record", "items", stdin=json.dumps(item)).returncode == 0
    assert reserve("record", "norms/presets/who-esft", stdin="{}").returncode == 0
    stated, sheet = tmp_path / "wave.json", tmp_path / "census.csv"
    body = census()
    del body["cases"]
    stated.write_text(json.dumps(body), encoding="utf-8")
    sheet.write_bytes("日期,病房,重症监护\n2020-02-01,28,1\n2020-02-02,30,2\n".encode("gb18030"))
    made = reserve("scenario", "run", str(stated), "--cases", str(sheet), "--as", "王强")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[1].startswith("N95\t0\t")
    assert "who-esft" in made.stderr
    refused_twice = reserve("scenario", "run", str(stated), "--cases", str(sheet))
    assert (refused_twice.returncode, refused_twice.stdout) == (1, "")
    assert "scenario_exists" in refused_twice.stderr
    again = json.loads(reserve("scenario", "again", "WAVE", "--json").stdout)
    assert again["run"] == 2
    assert json.loads(reserve("scenario", "show", "WAVE", "--run", "1", "--json").stdout)["actor"] == "王强 (cli)"
    assert reserve("scenario", "list").stdout.splitlines()[1].startswith("WAVE\t")
    compare = [sys.executable, "-m", "api.cli", "scenario", "compare", "WAVE", "WAVE"]
    compared = subprocess.run(compare, env=os.environ | where, capture_output=True, text=True, check=True)
    assert compared.stdout.splitlines()[1].startswith("N95\t")


def test_the_command_line_states_what_http_states(served: Served) -> None:
    client = manager(served)
    over_http = state(client, census("A"))
    at_machine = call(served.desk, "POST", "scenarios", Operator("Li"), json.dumps(census("B")).encode())
    assert at_machine.status == 201
    assert json.loads(at_machine.body)["result"] == over_http["result"]


def test_a_dry_reading_leaves_nothing(served: Served) -> None:
    client = manager(served)
    state(client, census())
    with unchanged(served.engine):
        for path in ("", "/WAVE", "/comparison?codes=WAVE", "/WAVE/chart.svg?item=N95"):
            assert client.get(f"/v1/scenarios{path}").status_code == 200


def test_who_states_or_runs_it_at_the_same_time_is_told_or_waits(served: Served) -> None:
    client = manager(served)
    answers = at_once([lambda: client.post("/v1/scenarios", json=census())] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    runs = at_once([lambda: client.post("/v1/scenarios/WAVE/runs", json={})] * 4)
    assert sorted(answer.json()["run"] for answer in runs) == [2, 3, 4, 5]
    sound(served.engine)
