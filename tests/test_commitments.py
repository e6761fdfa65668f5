"""Agreements: what of a promise counts, who looked, what was called, and that no unit is ever counted twice."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from conftest import NOW, TODAY, entry
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import given
from hypothesis import strategies as st
from refusing import at_once, refused, scalar, sound
from served import Served, receipt
from sqlalchemy import Engine, text

from reserve import catalogue, commitments, database, supply
from reserve.commitments import NewCommitment, Promise, counted, ends_within
from reserve.model import CommitmentKind

CITY, COUNTY = "371400-W1", "371425-W1"
SIGNED, UNTIL = date(2026, 1, 1), date(2026, 12, 31)


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def contract(quantity: int = 20000, **more: object) -> dict:
    return {
        "kind": "contract",
        "item": "N95",
        "scope": "371400",
        "supplier": "稳健医疗",
        "quantity": quantity,
        "lead_time_days": 10,
        "valid_from": "2026-01-01",
        "valid_until": "2026-12-31",
        "reference": "协议 2026-7",
        **more,
    }


def capacity(rate: int = 400, **more: object) -> dict:
    body = contract(**more) | {"kind": "capacity", "units_per_day": rate, "lead_time_days": 20, **more}
    del body["quantity"]
    return body


def sign(client: TestClient, body: dict | None = None) -> str:
    answer = client.post("/v1/commitments", json=body or contract())
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


def does(client: TestClient, number: str, act: str, **body: object) -> dict:
    answer = client.post(f"/v1/commitments/{number}/{act}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def call(client: TestClient, number: str, quantity: int, **more: object) -> dict:
    return does(client, number, "call-ups", **{"quantity": quantity, "location": CITY, "reason": "疫情", **more})


def calling(client: TestClient, number: str, act: str, **body: object) -> Callable[[], Response]:
    return lambda: client.post(f"/v1/commitments/{number}/{act}", json=body)


def seen(client: TestClient, number: str, units: int, day: str = "2026-04-01") -> dict:
    return does(client, number, "visits", visited_on=day, visitor="王科长", seen=units)


def look(client: TestClient, number: str) -> dict:
    return client.get(f"/v1/commitments/{number}").json()


# -- what counts, by hand ---------------------------------------------------------------------------------------------

A_CONTRACT = Promise(
    number="CM-20260101-000001",
    kind=CommitmentKind.CONTRACT,
    item_id=1,
    scope_id=1,
    supplier="稳健医疗",
    units=20000,
    lead_time_days=10,
    valid_from=SIGNED,
    valid_until=UNTIL,
    seen_on=date(2026, 3, 1),
    seen=None,
    called=0,
    called_since_seen=0,
    busy_until=None,
    reference=None,
)
A_LINE = A_CONTRACT._replace(kind=CommitmentKind.CAPACITY, units=400, lead_time_days=20)

COUNTED = {
    "a contract counts whole after its lead time": (A_CONTRACT, (20000, 10, 10, None)),
    "less what was called": (A_CONTRACT._replace(called=5000), (15000, 10, 10, None)),
    "no more than the last visit saw": (A_CONTRACT._replace(seen=12000), (12000, 10, 10, None)),
    "of that less what was called since": (
        A_CONTRACT._replace(seen=12000, called=5000, called_since_seen=2000),
        (10000, 10, 10, None),
    ),
    "what was called before the visit limits only what was promised": (
        A_CONTRACT._replace(seen=18000, called=5000),
        (15000, 10, 10, None),
    ),
    "all called": (A_CONTRACT._replace(called=20000), (0, 10, 10, "all_called")),
    "more came than was called": (A_CONTRACT._replace(called=20001), (0, 10, 10, "all_called")),
    "all that was seen was called": (
        A_CONTRACT._replace(seen=3000, called=3000, called_since_seen=3000),
        (0, 10, 10, "all_called"),
    ),
    "nothing was there": (A_CONTRACT._replace(seen=0), (0, 10, 10, "nothing_seen")),
    "its first day": (A_CONTRACT._replace(valid_from=TODAY, seen_on=TODAY), (20000, 10, 10, None)),
    "the day before its first": (
        A_CONTRACT._replace(valid_from=TODAY + timedelta(1)),
        (0, 10, 10, "not_yet_valid"),
    ),
    "its last day": (A_CONTRACT._replace(valid_until=TODAY), (20000, 10, 10, None)),
    "the day after its last": (A_CONTRACT._replace(valid_until=TODAY - timedelta(1)), (0, 10, 10, "ended")),
    "seen 180 days ago": (A_CONTRACT._replace(seen_on=TODAY - timedelta(180)), (20000, 10, 10, None)),
    "seen 181 days ago": (A_CONTRACT._replace(seen_on=TODAY - timedelta(181)), (0, 10, 10, "not_verified")),
    "a line makes so many a day until it ends": (A_LINE, (400, 20, 274, None)),
    "of a line no more than was seen": (A_LINE._replace(seen=250), (250, 20, 274, None)),
    "a line is busy with what was called": (
        A_LINE._replace(called=9000, called_since_seen=9000, busy_until=TODAY + timedelta(30)),
        (400, 31, 274, None),
    ),
    "a line that is free before its lead time is over": (
        A_LINE._replace(busy_until=TODAY + timedelta(3)),
        (400, 20, 274, None),
    ),
    "a line that is busy until it ends": (A_LINE._replace(busy_until=UNTIL), (0, 275, 274, "all_called")),
    "a line that ends before it could begin": (
        A_LINE._replace(valid_until=TODAY + timedelta(19)),
        (0, 20, 19, "ended"),
    ),
    "a line that begins on its last day": (A_LINE._replace(valid_until=TODAY + timedelta(20)), (400, 20, 20, None)),
    "a line that stands still": (A_LINE._replace(seen=0), (0, 20, 274, "nothing_seen")),
}


@pytest.mark.parametrize("case", COUNTED)
def test_what_counts_of_a_promise(case: str) -> None:
    promise, expected = COUNTED[case]
    assert counted(promise, TODAY, 180) == (promise, *expected)


@given(
    units=st.integers(1, 10**15),
    called=st.integers(0, 10**15),
    since=st.integers(0, 10**15),
    look=st.none() | st.integers(0, 10**15),
    kind=st.sampled_from(CommitmentKind),
)
def test_no_promise_counts_for_more_than_was_signed_or_seen(
    units: int, called: int, since: int, look: int | None, kind: CommitmentKind
) -> None:
    promise = A_CONTRACT._replace(
        kind=kind, units=units, called=called, called_since_seen=min(since, called), seen=look
    )
    found = counted(promise, TODAY, 180)
    assert 0 <= found.units <= min(units, units if look is None else look)
    assert (found.units == 0) == (found.why is not None)
    if kind == CommitmentKind.CONTRACT:
        assert found.units <= max(0, units - called)


def test_an_agreement_says_60_days_before_that_it_ends() -> None:
    days = [ends_within(A_CONTRACT._replace(valid_until=TODAY + timedelta(n)), TODAY) for n in (-1, 0, 60, 61)]
    assert days == [False, True, True, False]


# -- entering ---------------------------------------------------------------------------------------------------------


def test_an_agreement_is_entered_and_counts_at_once(served: Served, manager: TestClient) -> None:
    answer = manager.post("/v1/commitments", json=contract(), headers={"Idempotency-Key": "k"})
    told = answer.json()
    assert told["number"] == "CM-20260401-000001"
    assert (told["counted"], told["left"], told["called"], told["why"]) == (20000, 20000, 0, None)
    assert (told["first_on"], told["last_on"], told["ends_soon"]) == ("2026-04-11", "2026-04-11", False)
    assert (told["seen_on"], told["seen"], told["verified_within_days"]) == ("2026-01-01", None, 180)
    assert (told["visits"], told["call_ups"]) == ([], [])
    again = manager.post("/v1/commitments", json=contract(), headers={"Idempotency-Key": "k"})
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (told, "true")
    line = manager.post("/v1/commitments", json=capacity()).json()
    assert (line["counted"], line["first_on"], line["last_on"]) == (400, "2026-04-21", "2026-12-31")
    assert line["left"] == 400 * 255
    journal = served.client("admin").get("/v1/journal", params={"subject": told["number"]}).json()["items"]
    assert [row["verb"] for row in journal] == ["commitment.made"]
    assert scalar(served.engine, "SELECT count(*) FROM coveragedue") == 2
    sound(served.engine)


BAD = {
    "an unknown item": (contract(item="N96"), 422, "unknown_item", "/item"),
    "an unknown scope": (contract(scope="371499"), 422, "unknown_location", "/scope"),
    "a contract without a quantity": (contract(quantity=None), 422, "wrong_terms", "/quantity"),
    "a contract with a rate": (contract(units_per_day=4), 422, "wrong_terms", "/units_per_day"),
    "capacity with a quantity": (capacity() | {"quantity": 4}, 422, "wrong_terms", "/quantity"),
    "capacity without a rate": (capacity(None), 422, "wrong_terms", "/units_per_day"),
    "nothing": (contract(0), 422, "invalid_value", "/quantity"),
    "more than 10^15": (contract(10**15 + 1), 422, "invalid_value", "/quantity"),
    "a fraction": (contract() | {"quantity": 1.5}, 422, "invalid_value", "/quantity"),
    "an end before its beginning": (contract(valid_until="2025-12-31"), 422, "invalid_value", "/valid_until"),
    "no such day": (contract(valid_until="2026-02-30"), 422, "invalid_value", "/valid_until"),
    "a lead time below zero": (contract(lead_time_days=-1), 422, "invalid_value", "/lead_time_days"),
    "a lead time of eleven years": (contract(lead_time_days=3661), 422, "invalid_value", "/lead_time_days"),
    "seen tomorrow": (contract(verified_on="2026-04-02"), 422, "invalid_value", "/verified_on"),
    "a renewal of nothing": (contract(renews="CM-20260401-000009"), 422, "unknown_commitment", "/renews"),
    "another field": (contract(price=3), 422, "invalid_value", "/price"),
    "no supplier": ({k: v for k, v in contract().items() if k != "supplier"}, 422, "invalid_value", "/supplier"),
}


@pytest.mark.parametrize("case", BAD)
def test_p15_an_agreement_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    body, status, code, pointer = BAD[case]
    problem = refused(served.engine, lambda: manager.post("/v1/commitments", json=body), status, code)
    assert problem["errors"][0]["pointer"] == pointer


def test_a_renewal_is_a_new_row_after_the_old_one(served: Served, manager: TestClient) -> None:
    old = sign(manager)
    after = {"valid_from": "2027-01-01", "valid_until": "2027-12-31"}
    for wrong in (contract(item="VENT", renews=old, **after), capacity(renews=old, **after)):
        refused(served.engine, lambda body=wrong: manager.post("/v1/commitments", json=body), 422, "unknown_commitment")
    overlapping = contract(renews=old) | after | {"valid_from": "2026-12-31"}
    problem = refused(served.engine, lambda: manager.post("/v1/commitments", json=overlapping), 422, "invalid_value")
    assert problem["errors"][0]["pointer"] == "/valid_from"
    new = look(manager, sign(manager, contract(renews=old) | after))
    assert (new["renews"], new["counted"], new["why"]) == (old, 0, "not_yet_valid")
    served.clock.pass_by(days=275)
    assert (look(manager, old)["why"], look(manager, new["number"])["counted"]) == ("ended", 20000)


def test_an_agreement_outside_its_days_counts_nothing_and_says_so_before(served: Served, manager: TestClient) -> None:
    number = sign(manager, contract(valid_until="2026-06-01"))
    assert look(manager, number)["ends_soon"] is False
    served.clock.pass_by(days=1)
    assert (look(manager, number)["ends_soon"], look(manager, number)["counted"]) == (True, 20000)
    served.clock.pass_by(days=60)
    assert look(manager, number)["counted"] == 20000
    served.clock.pass_by(days=1)
    told = look(manager, number)
    assert (told["ends_soon"], told["counted"], told["why"]) == (False, 0, "ended")


# -- verification -----------------------------------------------------------------------------------------------------


def test_an_unverified_agreement_fades_and_a_visit_brings_back_what_was_seen(
    served: Served, manager: TestClient
) -> None:
    number = sign(manager)
    served.clock.pass_by(days=91)
    told = look(manager, number)
    assert (told["counted"], told["why"], told["seen_on"]) == (0, "not_verified", "2026-01-01")
    told = seen(manager, number, 12000, "2026-06-30")
    assert (told["counted"], told["why"], told["seen_on"], told["seen"]) == (12000, None, "2026-06-30", 12000)
    assert [(v["visited_on"], v["visitor"], v["seen"]) for v in told["visits"]] == [("2026-06-30", "王科长", 12000)]
    told = seen(manager, number, 30000, "2026-07-01")
    assert told["counted"] == 20000
    earlier = seen(manager, number, 1, "2026-05-01")
    assert (earlier["counted"], earlier["seen"], len(earlier["visits"])) == (20000, 30000, 3)


def test_the_strictest_policy_says_how_long_a_look_counts(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    rule = {
        "code": "N95-30D",
        "item": "N95",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-04-01",
        "source_text": "三十天",
    }
    answer = manager.post("/v1/policies", json=rule | {"verified_within_days": 60})
    assert answer.status_code == 201, answer.text
    told = look(manager, number)
    assert (told["verified_within_days"], told["counted"], told["why"]) == (60, 0, "not_verified")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"visited_on": "2026-04-02", "visitor": "王", "seen": 1}, "/visited_on"),
        ({"visited_on": "2026-04-01", "visitor": "王", "seen": -1}, "/seen"),
        ({"visited_on": "2026-04-01", "visitor": "王", "seen": 10**15 + 1}, "/seen"),
        ({"visited_on": "2026-04-01", "visitor": " ", "seen": 1}, "/visitor"),
        ({"visited_on": "2026-04-01", "visitor": "王"}, "/seen"),
    ],
)
def test_p15_a_visit_that_cannot_be_is_refused(served: Served, manager: TestClient, body: dict, pointer: str) -> None:
    number = sign(manager)
    problem = refused(served.engine, calling(manager, number, "visits", **body), 422, "invalid_value")
    assert problem["errors"][0]["pointer"] == pointer


# -- ending -----------------------------------------------------------------------------------------------------------


def test_an_agreement_ends_once_and_what_was_called_stays_ordered(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    call(manager, number, 5000)
    told = does(manager, number, "ending", ended_on="2026-04-01", reason="停产")
    assert (told["ended_on"], told["ended_because"], told["valid_until"]) == ("2026-04-01", "停产", "2026-12-31")
    assert (told["counted"], told["ends_soon"]) == (15000, True)
    served.clock.pass_by(days=1)
    told = look(manager, number)
    assert (told["counted"], told["why"], told["call_ups"][0]["left"]) == (0, "ended", 5000)
    again = calling(manager, number, "ending", ended_on="2026-04-03", reason="x")
    refused(served.engine, again, 409, "commitment_ended")
    more = calling(manager, number, "call-ups", quantity=1, location=CITY, reason="x")
    refused(served.engine, more, 409, "commitment_ended")


@pytest.mark.parametrize("day", ["2026-03-30", "2026-12-31", "2027-01-01"])
def test_an_ending_never_rewrites_the_past_nor_lengthens(served: Served, manager: TestClient, day: str) -> None:
    number = sign(manager)
    problem = refused(served.engine, calling(manager, number, "ending", ended_on=day, reason="x"), 422, "invalid_value")
    assert problem["errors"][0]["pointer"] == "/ended_on"


def test_an_agreement_entered_by_mistake_counts_no_more_from_today_on(manager: TestClient) -> None:
    number = sign(manager)
    told = does(manager, number, "ending", ended_on="2026-03-31", reason="录入错误")
    assert (told["counted"], told["why"]) == (0, "ended")


def test_eight_who_end_it_at_once_end_it_once(served: Served) -> None:
    managers = [served.client("manager") for _ in range(8)]
    number = sign(managers[0])
    answers = at_once([calling(m, number, "ending", ended_on="2026-05-01", reason="x") for m in managers])
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    sound(served.engine)


# -- calling up -------------------------------------------------------------------------------------------------------


def test_what_is_called_leaves_the_promise_and_is_to_come(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    planned = call(manager, number, 5000)
    assert planned["number"] == "PR-20260401-000001"
    assert (planned["commitment"], planned["supplier"], planned["item"]) == (number, "稳健医疗", "N95")
    assert (planned["expected_on"], planned["left"], planned["came"]) == ("2026-04-11", 5000, 0)
    told = look(manager, number)
    assert (told["called"], told["left"], told["counted"]) == (5000, 15000, 15000)
    assert [(c["number"], c["left"], c["late"]) for c in told["call_ups"]] == [(planned["number"], 5000, False)]
    with database.reading(served.engine) as session:
        [one] = supply.coming(session, told_item(session), as_of=TODAY)
        [promise] = commitments.promised(session, told_item(session), as_of=TODAY)
    assert (one.kind, one.units, one.commitment, promise.called) == ("call_up", 5000, number, 5000)
    sound(served.engine)


def told_item(session: object) -> int:
    found = catalogue.item(session, "N95")  # type: ignore[arg-type]  # a session
    assert found is not None
    return found.id


def test_what_comes_of_a_call_up_and_what_is_late_is_told(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    planned = call(manager, number, 5000)
    served.clock.pass_by(days=10)
    answer = manager.post("/v1/receipts", json=receipt(2000, planned_receipt=planned["number"]))
    assert answer.status_code == 201, answer.text
    assert (answer.json()["planned_receipt"]["came"], answer.json()["planned_receipt"]["left"]) == (2000, 3000)
    served.clock.pass_by(days=2)
    [called] = look(manager, number)["call_ups"]
    assert (called["came"], called["left"], called["late"], called["overdue_days"]) == (2000, 3000, True, 2)
    assert [(r["document"], r["location"], r["quantity"]) for r in called["receipts"]] == [
        (answer.json()["document"], CITY, 2000)
    ]
    assert called["counted"] is True
    served.clock.pass_by(days=6)
    assert look(manager, number)["call_ups"][0]["counted"] is False


def test_a_call_up_sent_again_calls_once(manager: TestClient) -> None:
    number = sign(manager)
    body = {"quantity": 15000, "location": CITY, "reason": "x"}
    first, again = (
        manager.post(f"/v1/commitments/{number}/call-ups", json=body, headers={"Idempotency-Key": "k"}) for _ in "12"
    )
    assert (first.status_code, again.json(), look(manager, number)["left"]) == (201, first.json(), 5000)


def change(client: TestClient, planned: str, **body: object) -> Response:
    return client.post(f"/v1/planned-receipts/{planned}/changes", json={"reason": "x", **body})


def test_what_a_call_up_loses_is_promised_again_and_it_gains_no_more_than_is_left(
    served: Served, manager: TestClient
) -> None:
    number = sign(manager)
    planned = call(manager, number, 5000)["number"]
    assert change(manager, planned, quantity=3000).status_code == 201
    assert (look(manager, number)["called"], look(manager, number)["counted"]) == (3000, 17000)
    call(manager, number, 16000)
    problem = refused(served.engine, lambda: change(manager, planned, quantity=4001), 409, "more_than_left")
    assert problem["left"] == 4000
    assert change(manager, planned, quantity=4000).status_code == 201
    assert look(manager, number)["why"] == "all_called"


def test_what_came_beyond_a_call_up_is_taken_off_the_promise(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    planned = call(manager, number, 5000)["number"]
    came = manager.post("/v1/receipts", json=receipt(6000, planned_receipt=planned)).json()["document"]
    assert (look(manager, number)["called"], look(manager, number)["counted"]) == (6000, 14000)
    assert manager.post(f"/v1/documents/{came}/reversal", json={"reason": "误录"}).status_code == 201
    assert (look(manager, number)["called"], look(manager, number)["counted"]) == (5000, 15000)
    sound(served.engine)


def test_a_batch_is_made_no_larger_than_its_line_can_make_until_its_last_day(
    served: Served, manager: TestClient
) -> None:
    number = sign(manager, capacity(100, valid_until="2026-04-30"))
    planned = call(manager, number, 300)["number"]
    assert change(manager, planned, quantity=1000).status_code == 201
    refused(served.engine, lambda: change(manager, planned, quantity=1001), 409, "more_than_left")
    served.clock.pass_by(days=22)
    manager.post("/v1/receipts", json=receipt(200, planned_receipt=planned))
    assert look(manager, number)["busy_until"] == "2026-04-30"
    [batch] = look(manager, number)["call_ups"]
    assert (batch["late"], batch["left"]) == (False, 800)
    served.clock.pass_by(days=3)
    [batch] = look(manager, number)["call_ups"]
    assert (batch["late"], batch["overdue_days"]) == (True, 3)
    assert look(manager, number)["busy_until"] == "2026-05-03"


BAD_CALLS = {
    "more than is left": ({"quantity": 20001}, 409, "more_than_left", "/quantity"),
    "nothing": ({"quantity": 0}, 422, "invalid_value", "/quantity"),
    "an unknown place": ({"location": "371499-W1"}, 422, "unknown_location", "/location"),
    "yesterday": ({"expected_on": "2026-03-31"}, 422, "invalid_value", "/expected_on"),
    "no reason": ({"reason": None}, 422, "invalid_value", "/reason"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_p15_a_call_up_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    change, status, code, pointer = BAD_CALLS[case]
    number = sign(manager)
    body = {"quantity": 1, "location": CITY, "reason": "x", **change}
    problem = refused(served.engine, calling(manager, number, "call-ups", **body), status, code)
    assert problem["errors"][0]["pointer"] == pointer


def test_an_agreement_of_a_county_is_called_to_that_county_only(served: Served, manager: TestClient) -> None:
    number = sign(manager, contract(scope="371425"))
    outside = calling(manager, number, "call-ups", quantity=1, location=CITY, reason="x")
    assert refused(served.engine, outside, 422, "outside_scope")["errors"][0]["pointer"] == "/location"
    assert call(manager, number, 1, location=COUNTY)["location"] == COUNTY


def test_nothing_is_called_of_an_agreement_before_it_begins(served: Served, manager: TestClient) -> None:
    number = sign(manager, contract(valid_from="2026-04-02"))
    early = calling(manager, number, "call-ups", quantity=1, location=CITY, reason="x")
    refused(served.engine, early, 409, "commitment_not_in_force")


def test_goods_are_not_called_to_a_place_of_another_owner(served: Served, manager: TestClient) -> None:
    own = {"code": "371400-W2", "name_zh": "企业库", "name_en": "Company store", "kind": "warehouse"}
    answer = manager.post("/v1/locations", json=own | {"parent": "371400", "owner": "稳健医疗"})
    assert answer.status_code == 201, answer.text
    number = sign(manager)
    theirs = calling(manager, number, "call-ups", quantity=1, location="371400-W2", reason="x")
    refused(served.engine, theirs, 422, "another_owner")


def test_a_line_makes_one_batch_after_the_other_until_its_last_day(served: Served, manager: TestClient) -> None:
    number = sign(manager, capacity(valid_until="2026-05-20"))
    assert look(manager, number)["left"] == 400 * 30
    first = call(manager, number, 4100)
    assert (first["expected_on"], first["units_per_day"]) == ("2026-04-21", 400)
    told = look(manager, number)
    assert (told["busy_until"], told["first_on"], told["left"]) == ("2026-05-01", "2026-05-02", 400 * 19)
    busy = calling(manager, number, "call-ups", quantity=1, location=CITY, reason="x", expected_on="2026-05-01")
    refused(served.engine, busy, 409, "line_busy")
    too_much = calling(manager, number, "call-ups", quantity=7601, location=CITY, reason="x")
    assert refused(served.engine, too_much, 409, "more_than_left")["left"] == 7600
    assert call(manager, number, 7600)["expected_on"] == "2026-05-02"
    told = look(manager, number)
    assert (told["left"], told["counted"], told["why"]) == (0, 0, "all_called")
    with database.reading(served.engine) as session:
        coming = supply.coming(session, told_item(session), as_of=TODAY)
    arrivals, late = supply.schedule(coming, TODAY)
    assert late == []
    assert [day for _, day, _ in arrivals] == list(range(20, 50))
    assert [units for units, _, _ in arrivals] == [400] * 10 + [100] + [400] * 19


def test_of_a_line_no_more_is_expected_a_day_than_was_seen(manager: TestClient) -> None:
    number = sign(manager, capacity())
    seen(manager, number, 150)
    assert call(manager, number, 300)["units_per_day"] == 150
    assert look(manager, number)["busy_until"] == "2026-04-22"


def test_what_was_called_on_the_day_of_a_visit_is_taken_off_what_it_saw(manager: TestClient) -> None:
    number = sign(manager)
    call(manager, number, 5000)
    assert seen(manager, number, 15000, "2026-03-31")["counted"] == 10000
    assert seen(manager, number, 15000, "2026-04-01")["counted"] == 10000


def test_p03_call_ups_racing_for_what_is_left_never_call_more(served: Served) -> None:
    managers = [served.client("manager") for _ in range(8)]
    number = sign(managers[0], contract(100))
    body = {"quantity": 30, "location": CITY, "reason": "x"}
    answers = at_once([calling(m, number, "call-ups", **body) for m in managers])
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 5
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"more_than_left"}
    assert scalar(served.engine, "SELECT sum(quantity) FROM plannedreceipt") == 90
    sound(served.engine)


def test_p03_batches_racing_for_a_line_never_overlap(served: Served) -> None:
    managers = [served.client("manager") for _ in range(6)]
    number = sign(managers[0], capacity(100, valid_until="2026-04-30"))  # ten days: 1,000 units
    body = {"quantity": 300, "location": CITY, "reason": "x"}
    answers = at_once([calling(m, number, "call-ups", **body) for m in managers])
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 3
    days = sorted(a.json()["expected_on"] for a in answers if a.status_code == 201)
    assert days == ["2026-04-21", "2026-04-24", "2026-04-27"]


def test_p03_call_ups_and_raised_ones_race_and_never_call_more(served: Served) -> None:
    managers = [served.client("manager") for _ in range(6)]
    number = sign(managers[0], contract(100))
    planned = [call(managers[0], number, 20)["number"] for _ in range(3)]
    raises = [
        lambda m=m, n=n: m.post(f"/v1/planned-receipts/{n}/changes", json={"quantity": 50, "reason": "x"})
        for m, n in zip(managers[:3], planned, strict=True)
    ]
    body = {"quantity": 30, "location": CITY, "reason": "x"}
    answers = at_once([*raises, *(calling(m, number, "call-ups", **body) for m in managers[3:])])
    assert sorted(a.status_code for a in answers) == [201] + [409] * 5
    told = look(managers[0], number)
    assert (told["called"], told["left"]) == (90, 10)
    sound(served.engine)


def test_verify_names_a_contract_of_which_too_much_is_called(served: Served, manager: TestClient) -> None:
    from reserve.verify import verify

    number = sign(manager, contract(100))
    call(manager, number, 100)
    with served.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO plannedchange (planned_id, quantity, expected_on, reason, recorded_at, actor)"
                " SELECT id, 101, expected_on, 'x', recorded_at, actor FROM plannedreceipt"
            )
        )
    with database.reading(served.engine) as session:
        [finding] = verify(session)
    assert (finding.code, number in finding.sentence) == ("called_beyond", True)


# -- who may ----------------------------------------------------------------------------------------------------------


def test_only_a_manager_of_the_scope_writes_and_outside_nothing_is_told(served: Served, manager: TestClient) -> None:
    number = sign(manager)
    clerk, county = served.client("clerk"), served.client("manager", "371425")
    writes = {
        "visits": {"visited_on": "2026-04-01", "visitor": "王", "seen": 1},
        "ending": {"ended_on": "2026-05-01", "reason": "x"},
        "call-ups": {"quantity": 1, "location": COUNTY, "reason": "x"},
    }
    for client in (clerk, county):
        refused(served.engine, lambda c=client: c.post("/v1/commitments", json=contract()), 403, "forbidden")
        for act, body in writes.items():
            refused(served.engine, calling(client, number, act, **body), 403, "forbidden")
    assert clerk.get(f"/v1/commitments/{number}").status_code == 200
    hidden, absent = (county.get(f"/v1/commitments/{n}") for n in (number, "CM-20260401-000099"))
    assert (hidden.status_code, hidden.json()["detail"]) == (403, absent.json()["detail"])
    assert county.get("/v1/commitments").json()["items"] == []
    refused(
        served.engine, calling(manager, "CM-20260401-000099", "ending", **writes["ending"]), 404, "unknown_commitment"
    )


def test_a_county_does_not_change_what_was_called_of_the_citys_agreement(served: Served, manager: TestClient) -> None:
    planned = call(manager, sign(manager), 10, location=COUNTY)["number"]
    county = served.client("manager", "371425")
    assert county.get(f"/v1/planned-receipts/{planned}").status_code == 200
    change = {"quantity": 20, "reason": "x"}
    refused(
        served.engine, lambda: county.post(f"/v1/planned-receipts/{planned}/changes", json=change), 403, "forbidden"
    )


def test_agreements_are_listed_by_scope_item_and_kind_page_by_page_and_as_a_sheet(manager: TestClient) -> None:
    numbers = [
        sign(manager),
        sign(manager, contract(scope="371425")),
        sign(manager, capacity(item="VENT")),
    ]
    ask = lambda **asked: manager.get("/v1/commitments", params=asked).json()  # noqa: E731 - said once
    assert [row["number"] for row in ask()["items"]] == numbers[::-1]
    assert [row["number"] for row in ask(scope="371425")["items"]] == [numbers[1]]
    assert [row["number"] for row in ask(item="VENT")["items"]] == [numbers[2]]
    assert [row["number"] for row in ask(kind="contract")["items"]] == numbers[1::-1]
    first = ask(limit=2)
    rest = ask(limit=2, cursor=first["next_cursor"])
    assert [row["number"] for row in first["items"] + rest["items"]] == numbers[::-1]
    assert rest["next_cursor"] is None
    sheet = manager.get("/v1/commitments", params={"format": "csv"}).text
    assert sheet.startswith("\ufeffnumber,kind,item,scope,supplier,")
    assert len(sheet.splitlines()) == 4
    assert manager.get("/v1/commitments", params={"item": "N96"}).status_code == 404


# -- then, and as known then ------------------------------------------------------------------------------------------


def test_a_past_day_is_told_as_it_was_and_as_it_was_known(city: Engine) -> None:
    later = entry(now=NOW + timedelta(days=10))
    with database.writing(city) as session:
        new = NewCommitment(CommitmentKind.CONTRACT, "N95", "371400", "A", 5, SIGNED, UNTIL, quantity=100)
        number = commitments.add(session, entry(), new).promise.number
    with database.writing(city) as session:
        commitments.visit(session, later, number, visited_on=date(2026, 4, 5), visitor="王", seen=60)
        commitments.call_up(session, later, number, quantity=10, location=CITY, reason="x")
        commitments.end(session, later, number, ended_on=date(2026, 4, 20), reason="x")
    with database.reading(city) as session:
        item = told_item(session)
        [now] = commitments.promised(session, item, as_of=later.today)
        [then] = commitments.promised(session, item, as_of=date(2026, 4, 6))
        [before] = commitments.promised(session, item, as_of=date(2026, 4, 4))
        [known] = commitments.promised(session, item, as_of=date(2026, 4, 6), known_at=NOW)
        assert commitments.promised(session, item, as_of=TODAY, known_at=NOW - timedelta(seconds=1)) == []
    assert (now.seen, now.called, now.called_since_seen, now.valid_until) == (60, 10, 10, date(2026, 4, 20))
    assert (then.seen, then.called, then.seen_on) == (60, 0, date(2026, 4, 5))
    assert (before.seen, before.seen_on) == (None, SIGNED)
    assert (known.seen, known.called, known.valid_until) == (None, 0, UNTIL)


def test_h1_a_renewal_tells_nobody_what_was_agreed_elsewhere(served, manager):
    number, county = sign(manager), served.client("manager", "371425")
    told = [
        county.post("/v1/commitments", json=contract(scope="371425", renews=named)).json()["detail"]
        for named in (number, "CM-20260401-000099")
    ]
    assert told[0].replace(number, "") == told[1].replace("CM-20260401-000099", "")
