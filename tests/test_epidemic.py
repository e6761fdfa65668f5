"""What an outbreak uses: worked cases, the published norms, two real outbreaks, and what must hold of any."""

import csv
import gzip
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecasting.epidemic import (
    admissions,
    beta_of,
    census,
    patients,
    peak_day,
    rate_of,
    reusable,
    seir,
    seven_day_peak,
    shifts,
    use,
)

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parent / "cases" / "15_epidemic_burn.json").read_text())["cases"]
}
ESFT = SHARED / "data" / "who_esft_params"
DEZHOU = SHARED / "data" / "cn_epi_city_2020" / "city_daily.csv.gz"
LOMBARDIA = SHARED / "data" / "it_hospital_daily" / "regions.csv.gz"

HOURS = [[18.22, 0.5], [32.69, 0.75]]
"""Hours of health workers and cleaners beside a severe and a critical patient."""
RESPIRATORS_AND_GLOVES = [[1, 24], [0, 0]]


def inputs(name):
    return CASES[name]["inputs"], CASES[name]["expected"], {"abs": CASES[name]["tolerance"]}


# -- the worked cases --


def test_a_week_by_the_norms_of_the_world_health_organization():
    told, expected, close = inputs("esft_week")
    roles, items = list(told["staff"]), list(told["norms"])
    staff = [[told["staff"][role]] * told["days"] for role in roles]
    norms = [[told["norms"][item][role] for item in items] for role in roles]
    units = use(np.zeros((1, told["days"])), staff, norms).sum(axis=0)
    found = dict(zip(items, units.tolist(), strict=True))
    for item, norm in told["reusable"].items():
        found[item] = reusable(list(told["staff"].values()), [norm[role] for role in roles], told["days"])
    assert found == {item: pytest.approx(expected[item], **close) for item in expected}


def test_everyone_stays_the_day_of_admission_and_the_next():
    told, expected, close = inputs("census")
    assert census(told["admissions"], told["stay"]).tolist() == pytest.approx(expected["census"], **close)


@pytest.mark.parametrize("name", ["burn_dezhou_peak_day", "burn_lombardia_peak_day"])
def test_a_day_of_two_real_outbreaks_by_hand(name):
    told, expected, close = inputs(name)
    beds = [[n] for n in told["beds"]]
    # The case gives shifts beside a bed; an hour long, they are the hours.
    staff = shifts(beds, np.diag(told["staff_per_bed"]), 1)
    found = use(
        beds,
        staff,
        told["norm_staff"],
        norm_patient=[told["norm_patient"]] * 2,
        cases=[told["cases"]],
        norm_case=told["norm_case"],
    )
    assert found.item() == pytest.approx(expected["units"], **close)


def test_the_first_three_days_of_an_outbreak_by_hand():
    told, expected, close = inputs("seir_three_days")
    assert seir(**told).new_infectious.tolist() == pytest.approx(expected["new_infectious"], **close)


def test_an_outbreak_left_alone_ends_at_the_final_size():
    told, expected, close = inputs("seir_conserves")
    found = seir(**told)
    attack = found.new_infectious.sum() / told["people"]
    assert attack == pytest.approx(expected["attack"], **close)
    r0 = told["beta"] / (1 - math.exp(-told["gamma"]))
    assert attack == pytest.approx(1 - math.exp(-r0 * attack), abs=1e-3)


def test_every_worked_case_is_tested():
    assert set(CASES) == {
        "esft_week",
        "census",
        "burn_dezhou_peak_day",
        "burn_lombardia_peak_day",
        "seir_three_days",
        "seir_conserves",
    }


# -- the published norms and two real outbreaks --


@pytest.mark.skipif(not ESFT.exists(), reason="the shared norms are not here")
def test_hours_and_norms_are_those_the_world_health_organization_publishes():
    with (ESFT / "esft_hwfe.csv").open(encoding="utf-8", newline="") as file:
        occupations = list(csv.DictReader(file))

    def hours(group, patient):
        return sum(float(row[f"patient_t24_{patient}"]) for row in occupations if row["esft_group"] == group)

    assert [round(hours("HCW", p), 2) for p in ("mod", "sev", "crit")] == [11.25, 18.22, 32.69]
    assert [hours("Cleaner", p) for p in ("mod", "sev", "crit")] == [0.5, 0.5, 0.75]
    beside_one = [[hours("HCW", p), hours("Cleaner", p)] for p in ("mod", "sev", "crit")]
    staff = [shifts(np.eye(3)[:, [b]], beside_one, 8).round(2)[:, 0].tolist() for b in range(3)]
    assert staff == [[1.41, 0.06], [2.28, 0.06], [4.09, 0.09]]
    with (ESFT / "esft_equipment.csv").open(encoding="utf-8", newline="") as file:
        equipment = {row["item"]: row for row in csv.DictReader(file)}
    names = {
        "Gloves, examination": 16_800,
        "Mask, medical / surgical for healthworker": 3_640,
        "Gown, protective": 910,
        "Respirator": 700,
    }
    columns = [f"amount_per_inpatient_{role}_per_day" for role in ("hcw", "cleaner")]
    norms = [[float(equipment[name][column] or 0) for name in names] for column in columns]
    week = use(np.zeros((1, 7)), [[100] * 7, [30] * 7], norms).sum(axis=0)
    assert week.tolist() == pytest.approx(list(names.values()))
    goggles = equipment["Goggles, protective"]
    assert goggles["reusable"] == "True"
    assert reusable([100, 30], [float(goggles[column]) for column in columns], 7) == 130


def rows_of(path, column, value):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return sorted((row for row in csv.DictReader(file) if row[column] == value), key=lambda row: row["date"])


def worst(days, width):
    return np.convolve(days, np.ones(width), mode="valid").max()


@pytest.mark.skipif(not DEZHOU.exists(), reason="the shared outbreak is not here")
def test_the_outbreak_of_dezhou_in_2020_never_strains_a_month_of_stock():
    rows = rows_of(DEZHOU, "city_code", "371400")
    active = np.array([int(row["confirmed"]) - int(row["cured"]) - int(row["dead"]) for row in rows], dtype=float)
    highest = int(peak_day(active)[0])
    assert (rows[highest]["date"], active[highest], worst(active, 30)) == ("2020-02-16", 29, 698)
    one_critical = np.stack([active - np.minimum(active, 1), np.minimum(active, 1)])
    day = use(one_critical, shifts(one_critical, HOURS, 8), RESPIRATORS_AND_GLOVES)[highest]
    assert round(day[0], 1) == 67.9
    # One in twenty of those in bed is critical over the month.
    beds = np.stack([0.95 * active, 0.05 * active])
    units = use(beds, shifts(beds, HOURS, 8), RESPIRATORS_AND_GLOVES)
    assert round(worst(units[:, 0], 30), -1) == 1_650
    assert round(worst(units[:, 1], 30), -2) == 39_700


@pytest.mark.skipif(not LOMBARDIA.exists(), reason="the shared outbreak is not here")
def test_the_outbreak_of_lombardia_in_2020_says_what_a_quiet_year_does_not():
    rows = rows_of(LOMBARDIA, "denominazione_regione", "Lombardia")
    beds = np.array([[int(r["ricoverati_con_sintomi"]), int(r["terapia_intensiva"])] for r in rows], dtype=float).T
    units = use(beds, shifts(beds, HOURS, 8), RESPIRATORS_AND_GLOVES)
    respirators = units[:, 0]
    highest = int(peak_day(respirators)[0])
    assert rows[highest]["date"] == "2020-04-04"
    assert beds[:, highest].tolist() == [12_002, 1_326]
    assert respirators[highest] == pytest.approx(32_760, abs=10)
    peak = seven_day_peak(units)[0]
    assert peak == pytest.approx(32_590, abs=15)
    assert 30 * peak == pytest.approx(977_000, abs=600)
    assert worst(respirators, 30) == pytest.approx(918_000, abs=600)
    assert respirators[:30].sum() == pytest.approx(318_000, abs=600)
    assert round(respirators[:30].sum() / worst(respirators, 30), 2) == 0.35
    # 100,000 respirators at 56 % of the size: 24 days are met in full, the next is not.
    assert rows[0]["date"] == "2020-02-24"
    assert (np.cumsum(0.56 * respirators) <= 100_000).sum() == 24


# -- what must hold of any outbreak --


@st.composite
def outbreaks(draw):
    people = draw(st.integers(1, 10**15))
    exposed = draw(st.integers(0, people))
    return {
        "people": people,
        "exposed": exposed,
        "infectious": draw(st.integers(0, people - exposed)),
        "beta": draw(st.floats(0, 5)),
        "sigma": draw(st.floats(0, 5)),
        "gamma": draw(st.floats(0, 5)),
        "days": draw(st.integers(1, 400)),
    }


@given(outbreaks())
@settings(deadline=None)
def test_nobody_is_lost_and_nobody_comes_twice(outbreak):
    found = seir(**outbreak)
    states = np.stack(found[1:])
    assert (states >= 0).all()
    assert states.sum(axis=0) == pytest.approx(outbreak["people"], rel=1e-9)
    assert found.new_infectious.sum() <= (outbreak["people"] - outbreak["infectious"]) * (1 + 1e-9)
    assert (np.diff(found.susceptible) <= 0).all()
    assert (np.diff(found.removed) >= 0).all()


@given(outbreaks(), st.floats(0, 1), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_more_contacts_never_make_fewer_cases(outbreak, factor, from_day):
    measures = np.where(np.arange(outbreak["days"]) < from_day, 1.0, factor)
    more, fewer = seir(**outbreak), seir(**outbreak, measures=measures)
    ever, eased = np.cumsum(more.new_infectious), np.cumsum(fewer.new_infectious)
    assert (eased <= ever * (1 + 1e-9) + 1e-9).all()
    assert eased[:from_day].tolist() == ever[:from_day].tolist()


@given(st.floats(0, 0.95), st.floats(1, 30), st.floats(1, 30), st.integers(1, 10**6))
@settings(max_examples=40, deadline=None)
@example(0.95, 5, 3, 1000)
@example(0.95, 10, 30, 1)
@example(0.95, 30, 30, 1)
def test_an_outbreak_in_which_each_infects_fewer_than_one_dies_out(r0, ill, latent, first):
    people = 10**9
    gamma = rate_of(ill)
    found = seir(people, 0, first, beta_of(r0, gamma), rate_of(latent), gamma, days=3660)
    assert found.new_infectious.sum() <= r0 / (1 - r0) * first * (1 + 1e-9) + 1e-300  # below, floats lose their digits
    # were everybody susceptible for ever, exposed and infectious would shrink by `factor` a day in the long run
    falling, leaving = 1 - math.exp(-rate_of(latent)), 1 - math.exp(-gamma)
    factor = 1 - (falling + leaving) / 2 + math.sqrt((falling - leaving) ** 2 / 4 + falling * leaving * r0)
    assert factor < 1
    days = np.arange(1, 3661)
    assert (found.exposed + found.infectious <= first * (factor**days + 1e-9)).all()


def test_an_outbreak_in_which_each_infects_more_than_one_grows():
    gamma = rate_of(5)
    cases = seir(10**9, 0, 1, beta_of(1.5, gamma), rate_of(3), gamma, days=100).new_infectious
    assert all(later > sooner for sooner, later in pairwise(cases[10:].tolist()))


def test_one_ill_in_a_people_of_a_million_billion_still_infects_others():
    few = seir(10**6, 0, 1, 0.5, 0.25, 0.2, days=3)
    many = seir(10**15, 0, 1, 0.5, 0.25, 0.2, days=3)
    assert many.new_infectious.tolist() == pytest.approx(few.new_infectious.tolist(), rel=1e-5)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 80), st.integers(1, 80))
@settings(deadline=None)
def test_a_census_is_the_sum_of_the_last_days_admissions(cases, share, delay, stay):
    admitted = admissions(cases, share, delay)
    assert admitted.tolist() == [share * cases[t - delay] if t >= delay else 0 for t in range(len(cases))]
    by_hand = [admitted[max(0, t - stay + 1) : t + 1].sum() for t in range(len(cases))]
    assert census(admitted, stay).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_the_last_patient_leaves_an_empty_bed():
    assert census([0.1, 0.2, 0.3, 0, 0, 0], stay_days=2)[-2:].tolist() == [0, 0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1), st.integers(1, 30))
@settings(deadline=None)
def test_patients_are_of_one_class_or_the_other(cases, share, critical, stay):
    found = patients(cases, share, 3, critical, {"critical": stay, "moderate": stay})
    assert found.classes == ("critical", "moderate")
    together = census(admissions(cases, share, 3), stay)
    assert found.census.sum(axis=0) == pytest.approx(together, rel=1e-9, abs=1e-9)


def test_use_is_the_sum_of_what_staff_patients_cases_and_the_ordinary_day_use():
    beds, staff = [[10, 20], [1, 2]], [[30, 60], [5, 6]]
    found = use(
        beds,
        staff,
        [[1, 24], [0, 2]],
        norm_patient=[[2, 0], [4, 1]],
        cases=[100, 50],
        norm_case=[1, 0],
        ordinary=[7, 9],
    )
    assert found.tolist() == [[30 + 20 + 4 + 100 + 7, 720 + 10 + 1 + 9], [60 + 40 + 8 + 50 + 7, 1440 + 12 + 2 + 9]]


def test_one_item_is_told_without_a_second_axis():
    alone = use([10, 20], [30, 60], [2], norm_patient=[1], cases=[1, 1], norm_case=3, ordinary=4)
    assert alone.tolist() == [[77], [147]]


def test_an_item_that_is_cleaned_and_used_again_is_counted_once_until_it_is_worn_out():
    assert reusable(10, 0.1, 7) == 10
    assert reusable(10, 0.1, 30) == pytest.approx(30)
    assert reusable([10, 99], [0.1, 0], 30) == pytest.approx(30)


def test_the_highest_week_and_the_highest_day_need_not_meet():
    days = [0, 500, *[0] * 7, *[100] * 7]
    assert seven_day_peak(days).tolist() == [100]
    assert peak_day(days).tolist() == [1]


def test_a_scenario_shorter_than_a_week_is_one_window():
    assert seven_day_peak([[60, 0], [30, 3]]).tolist() == [45, 1.5]


# -- what is refused, by name --

SEIR = {"people": 1000, "exposed": 0, "infectious": 1, "beta": 0.5, "sigma": 0.25, "gamma": 0.2, "days": 10}
BAD_NUMBERS = [math.nan, math.inf, -math.inf, -1, 1e19, 10**400, "many", None]


@pytest.mark.parametrize("name", ["people", "exposed", "infectious", "beta", "sigma", "gamma"])
@pytest.mark.parametrize("value", [*BAD_NUMBERS, [1, 2]])
def test_a_number_of_an_outbreak_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} "):
        seir(**{**SEIR, name: value})


@pytest.mark.parametrize("days", [0, -1, 3661, 10**15, 2.5, "ten", None])
def test_days_are_one_to_ten_years(days):
    with pytest.raises(ValueError, match=r"^days must be a whole number from 1 to 3,660\.$"):
        seir(**{**SEIR, "days": days})
    with pytest.raises(ValueError, match=r"^days must"):
        reusable(1, 1, days)
    with pytest.raises(ValueError, match=r"^stay_days must"):
        census([1], days)


def test_one_day_and_ten_years_are_fine():
    assert len(seir(**{**SEIR, "days": 1}).removed) == 1
    assert np.isfinite(np.stack(seir(**{**SEIR, "days": 3660}))).all()


def test_more_ill_than_people_are_refused():
    with pytest.raises(ValueError, match="together"):
        seir(**{**SEIR, "exposed": 1000})
    with pytest.raises(ValueError, match="at least 1"):
        seir(**{**SEIR, "people": 0})


@pytest.mark.parametrize("measures", [[1] * 9, [1] * 9 + [math.nan], [1] * 9 + [-0.1], [[1] * 10], 0.6, []])
def test_measures_have_one_factor_a_day(measures):
    with pytest.raises(ValueError, match=r"^measures "):
        seir(**SEIR, measures=measures)


@pytest.mark.parametrize("share", [-0.01, 1.01, *BAD_NUMBERS])
def test_a_share_is_between_nothing_and_all(share):
    with pytest.raises(ValueError, match=r"^share "):
        admissions([1, 2], share, 0)
    with pytest.raises(ValueError, match=r"^critical_share "):
        patients([1], 0.2, 0, share, {"severe": 3, "critical": 3})


@pytest.mark.parametrize("cases", [[], [math.nan], [-1], [[1, 2]], 3, [1, "two"], [[1], [1, 2]], [1] * 3661])
def test_cases_are_one_row_of_days(cases):
    with pytest.raises(ValueError, match=r"^cases "):
        admissions(cases, 0.5, 1)


@pytest.mark.parametrize("delay", [-1, 1.5, 3661])
def test_a_delay_is_whole_days(delay):
    with pytest.raises(ValueError, match=r"^delay_days "):
        admissions([1], 0.5, delay)


@pytest.mark.parametrize("stays", [{}, {"severe": 3}, {"critical": 3}, {"severe": 3, "moderate": 3}])
def test_patients_are_critical_and_one_other_class(stays):
    with pytest.raises(ValueError, match="critical and one other"):
        patients([1], 0.5, 0, 0.1, stays)


@pytest.mark.parametrize("hours", [0, 24.5, math.nan, -8])
def test_a_shift_has_some_hours_of_a_day(hours):
    with pytest.raises(ValueError, match=r"^hours_per_shift "):
        shifts([[1]], [[8]], hours)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"census": [[1, 2, 3]]}, "shifts"),
        ({"census": []}, "census"),
        ({"shifts": [[math.nan, 1]]}, "shifts"),
        ({"norm_shift": [[1], [2]]}, "norm_shift"),
        ({"norm_shift": []}, "norm_shift"),
        ({"norm_shift": [[-1]]}, "norm_shift"),
        ({"norm_patient": [[1, 2]]}, "norm_patient"),
        ({"norm_patient": [1, 2]}, "norm_patient"),
        ({"norm_case": 1}, "norm_case"),
        ({"norm_case": 1, "cases": [1]}, "cases"),
        ({"norm_case": [1, 2], "cases": [1, 2]}, "norm_case"),
        ({"ordinary": [1, 2]}, "ordinary"),
        ({"ordinary": math.inf}, "ordinary"),
    ],
)
def test_use_says_which_argument_does_not_fit(changed, name):
    with pytest.raises(ValueError, match=rf"^{name} "):
        use(**{"census": [[1, 2]], "shifts": [[1, 2]], "norm_shift": [[1]], **changed})


def test_hours_have_a_row_for_each_class_and_reusable_a_norm_for_each_role():
    with pytest.raises(ValueError, match=r"^hours_per_patient_day "):
        shifts([[1], [1]], [[8]], 8)
    with pytest.raises(ValueError, match=r"^persons and norm "):
        reusable([1, 2], [1], 7)
    with pytest.raises(ValueError, match=r"^persons and norm "):
        reusable([], [], 7)


@pytest.mark.parametrize("days", [[], [math.nan], [-1], [[[1]]]])
def test_a_peak_needs_use(days):
    with pytest.raises(ValueError, match=r"^use "):
        seven_day_peak(days)
    with pytest.raises(ValueError, match=r"^use "):
        peak_day(days)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1e-300])
def test_a_mean_stay_is_some_days(value):
    with pytest.raises(ValueError, match=r"^mean_days "):
        rate_of(value)


def test_the_contacts_a_day_follow_from_how_many_one_case_infects():
    assert beta_of(0.6 / (1 - math.exp(-0.2)), 0.2) == pytest.approx(0.6)
    with pytest.raises(ValueError, match=r"^r0 "):
        beta_of(-1, 0.2)
    with pytest.raises(ValueError, match=r"^gamma "):
        beta_of(2, math.nan)


def test_huge_numbers_neither_overflow_nor_turn_into_nothing():
    found = seir(1e18, 1e17, 1e17, 1e18, 1e18, 1e18, days=5, measures=[1e18] * 5)
    assert np.isfinite(np.stack(found)).all()
    beds = [[1e15] * 3]
    assert use(beds, shifts(beds, [[24]], 8), [[1e3]])[0, 0] == pytest.approx(3e18)
