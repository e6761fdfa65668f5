"""The row as other systems read it: their published examples, and the city's own rows by their formulas."""

from datetime import timedelta
from fractions import Fraction

import pytest
from conftest import TODAY
from hypothesis import given
from situations import lying, rule, situation, situations, used

from forecasting.readings import (
    BHIMA_MONTH,
    adjusted_consumption,
    average_by_months,
    average_monthly,
    maximum_stock,
    need,
    us_class,
)
from reserve import figures, readings


@pytest.mark.parametrize(
    ("days", "name"),
    [
        ("0", "0"), ("0.9", "0"), ("1", "1-3"), ("3.9", "1-3"), ("4", "4-6"), ("6.9", "4-6"), ("7", "7-14"),
        ("14.9", "7-14"), ("15", "15-30"), ("30.0", "15-30"), ("30.9", "15-30"), ("31", ">30"), ("900", ">30"),
    ],
)  # fmt: skip
def test_k8_us_classes_go_by_whole_days_completed(days, name):
    assert us_class(Fraction(days)) == name


def test_k9_published_examples_of_the_peers_come_out():
    assert adjusted_consumption(20, 90, 5) == 22
    assert maximum_stock(2, Fraction("7.25")) == 15
    assert float(average_monthly(10, 180, 69)) == pytest.approx(2.70, abs=0.005)
    assert float(average_monthly(270, 273 + 92, 92, BHIMA_MONTH)) == pytest.approx(30.16, abs=0.005)
    assert float(average_by_months(270, 12, 92)) == pytest.approx(30.05, abs=0.005)
    assert need(5_000, 20_000, 360_000, 36, 5).surplus == -385_000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: us_class(-1),
        lambda: us_class(float("nan")),
        lambda: adjusted_consumption(20, 90, 91),
        lambda: adjusted_consumption(-20, 90, 1),
        lambda: average_monthly(1.5, 90, 1),
        lambda: need(1, 1, 1, 0, 1),
        lambda: maximum_stock(2, -1),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|at most"):
        wrong()


def test_a_year_without_stock_has_no_average_and_is_no_division_by_zero():
    assert adjusted_consumption(20, 90, 90) == 20
    assert average_monthly(20, 90, 90) is None
    assert average_by_months(20, 12, 366) is None
    assert need(10, 0, 0, 12, 3).months_of_stock is None


def test_the_row_is_read_by_each_of_them_and_the_formula_says_how():
    found = figures.find(situation([lying(3000, 20), lying(900, number="B")], used([[100]]), [rule(required_days=30)]))
    by = {row["system"]: row for row in readings.told(found)}
    assert by["US HHS"] == {"system": "US HHS", "class": "15-30", "formula": "29 whole days -> 15-30"}
    assert by["OpenLMIS"]["formula"] == "ceil(9000 x 90 / (90 - 0)) = 9000; / 3 a month"
    assert (by["OpenLMIS"]["average_monthly"], by["OpenLMIS"]["months_of_stock"]) == (3000, 1.3)
    assert by["OpenLMIS"]["maximum_stock"] == 3000
    assert by["open mSupply"]["average_monthly"] == 3000
    assert by["BHIMA"]["average_monthly"] == 3050
    assert (by["QAT"]["average_monthly"], by["QAT"]["surplus"]) == (3041.66, 3900 - 36500 - 3042)
    assert all("formula" in row for row in by.values())


def test_days_on_which_everybody_had_run_out_are_days_out():
    history = used([[100]])
    history.censored[0, -9:] = True
    found = figures.find(situation([lying(900)], history, [rule(required_days=30)]))
    by = {row["system"]: row for row in readings.told(found)}
    assert by["OpenLMIS"]["formula"].startswith("ceil(9000 x 90 / (90 - 9)) = 10000")


@given(situations())
def test_every_row_can_be_read(case):
    assert len(readings.told(figures.find(case))) == 5


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_peaks_readings_and_a_method_too_wide_over_http(served):
    client = served.client("manager", "371400")
    days = [(TODAY - timedelta(days=n)).isoformat() for n in range(1, 41)]
    rows = [{"location": "371402-H1", "item": "N95", "date": day, "quantity": 10 + n % 7} for n, day in enumerate(days)]
    assert client.post("/v1/consumption", json={"rows": rows}).status_code == 201
    receipt = {
        "location": "371400-W1",
        "lines": [{"item": "N95", "lot_number": "A", "expires_on": "2027-06-30", "quantity": 900}],
    }
    assert client.post("/v1/receipts", json=receipt).status_code == 201
    address = "/v1/coverage/371400/N95"
    peaks = {row["method"]: row for row in client.get(f"{address}/peaks").json()["items"]}
    assert (peaks["rolling_mean_max"]["peak_daily"], peaks["day_max"]["peak_daily"]) == (13.0, 16.0)
    readings_ = {row["system"]: row for row in client.get(f"{address}/readings").json()["items"]}
    assert readings_["OpenLMIS"]["adjusted_consumption"] == sum(row["quantity"] for row in rows)
    wide = client.get(address, params={"method": "rolling_mean_max:9999"})
    assert (wide.status_code, wide.json()["code"]) == (422, "unknown_method")
    path = client.get(f"{address}/projection", params={"days": 30, "receipts": "false"}).json()
    assert path["forecast"]["history"]["units"] == [row["quantity"] for row in reversed(rows)]
    assert path["held"]["too_short"] is True
    assert client.get(f"{address}/projection", params={"days": 0}).status_code == 422
