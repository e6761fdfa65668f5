"""Requisitions: asked by one, approved by another, promised lot by lot, and never more promised than there is."""

from collections.abc import Callable
from datetime import date

import pytest
from conftest import entry
from fastapi.testclient import TestClient
from httpx import Response
from refusing import at_once, everything, refused, scalar, sound
from served import Served, issue, receipt
from sqlalchemy import Engine

from reserve import access, database, requisitions
from reserve.errors import Forbidden
from reserve.model import Purpose, Role
from reserve.requisitions import WantedLine

CITY = "371400-W1"
HELD_BACK = "SELECT coalesce(sum(quantity), 0) FROM allocation"


@pytest.fixture
def clerk(served: Served) -> TestClient:
    return served.client("clerk")


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def wanted(quantity: int = 60, item: str = "N95", **more: object) -> dict:
    lines = [{"item": item, "quantity": quantity}]
    return {"location": CITY, "purpose": "allocation", "recipient": "德城区医院", "lines": lines, **more}


def ask(client: TestClient, quantity: int = 60, **more: object) -> str:
    answer = client.post("/v1/requisitions", json=wanted(quantity, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


def does(client: TestClient, number: str, act: str, **body: object) -> dict:
    answer = client.post(f"/v1/requisitions/{number}/{act}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def calling(client: TestClient, number: str, act: str, **body: object) -> Callable[[], Response]:
    return lambda: client.post(f"/v1/requisitions/{number}/{act}", json=body)


def line(quantity: int, item: str = "N95") -> dict:
    return {"item": item, "quantity": quantity}


def row(client: TestClient, lot: str = "A") -> dict:
    rows = client.get("/v1/stock", params={"location": CITY, "include_zero": True}).json()["items"]
    return next(found for found in rows if found["lot_number"] == lot)


# -- asked and promised -----------------------------------------------------------------------------------------------


def test_a_request_promises_nothing_until_another_person_approves(clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    answer = clerk.post("/v1/requisitions", json=wanted(needed_on="2026-04-03", reference="函 12"))
    told = answer.json()
    assert told["number"] == "RQ-20260401-000001"
    assert (told["state"], told["requested_by"].split(" (")[0], told["decided_by"]) == ("requested", "clerk Li", None)
    assert told["lines"] == [{"line": 1, "item": "N95", "quantity": 60, "allocated": 0, "issued": 0}]
    assert (told["needed_on"], told["reference"], told["recipient"]) == ("2026-04-03", "函 12", "德城区医院")
    assert (row(clerk)["allocated"], row(clerk)["available"]) == (0, 100)
    approved = does(manager, told["number"], "approval")
    assert (approved["state"], approved["decided_by"].split(" (")[0]) == ("approved", "manager Li")
    assert approved["allocations"] == [{"item": "N95", "lot_number": "A", "expires_on": "2027-01-31", "quantity": 60}]
    assert (row(clerk)["on_hand"], row(clerk)["usable"]) == (100, 100)
    assert (row(clerk)["allocated"], row(clerk)["available"]) == (60, 40)
    assert clerk.get(f"/v1/requisitions/{told['number']}").json()["state"] == "approved"


def test_the_lots_that_expire_first_are_promised_first(clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(50, "LATE", "2028-01-31"))
    clerk.post("/v1/receipts", json=receipt(50, "SOON", "2026-06-30"))
    told = does(manager, ask(clerk), "approval")
    assert [(a["lot_number"], a["quantity"]) for a in told["allocations"]] == [("SOON", 50), ("LATE", 10)]
    assert [w["code"] for w in told["picking"][0]["lots"]] == ["first_to_expire", "first_to_expire"]


def test_less_may_be_granted_than_was_asked_for_and_the_rest_stays_on_record(
    clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    told = does(manager, number, "approval", lines=[line(25)])
    assert told["lines"] == [{"line": 1, "item": "N95", "quantity": 60, "allocated": 25, "issued": 0}]
    does(clerk, number, "issue")
    last = clerk.get(f"/v1/requisitions/{number}").json()
    assert (last["state"], last["lines"][0]["quantity"], last["lines"][0]["issued"]) == ("closed", 60, 25)


BAD_REQUESTS = {
    "an unknown item": (wanted(item="N96"), 422, "unknown_item"),
    "an item twice": (wanted() | {"lines": [line(1), line(2)]}, 422, "item_twice"),
    "an unknown place": (wanted() | {"location": "371499-W1"}, 422, "unknown_location"),
    "nothing": (wanted() | {"lines": []}, 422, "invalid_value"),
    "zero": (wanted(0), 422, "invalid_value"),
    "no recipient": ({k: v for k, v in wanted().items() if k != "recipient"}, 422, "invalid_value"),
    "a lot": (wanted() | {"lines": [line(1) | {"lot_number": "A"}]}, 422, "invalid_value"),
    "a state of ours": (wanted(state="approved"), 422, "invalid_value"),
    "another purpose": (wanted(purpose="fun"), 422, "invalid_value"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_p15_a_request_that_cannot_be_is_refused(served: Served, clerk: TestClient, case: str) -> None:
    body, status, code = BAD_REQUESTS[case]
    refused(served.engine, lambda: clerk.post("/v1/requisitions", json=body), status, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"lines": [line(61)]}, 422, "more_than_requested"),
        ({"lines": [line(30), line(30)]}, 422, "more_than_requested"),
        ({"lines": [line(1, "VENT")]}, 422, "more_than_requested"),
        ({"lines": [line(1, "NOPE")]}, 422, "more_than_requested"),
        ({"lines": []}, 422, "invalid_value"),
        ({"lines": [line(0)]}, 422, "invalid_value"),
        ({"reason": "x"}, 422, "invalid_value"),
        ({}, 409, "insufficient_stock"),
    ],
)
def test_p15_an_approval_that_cannot_be_is_refused(
    served: Served, clerk: TestClient, manager: TestClient, body: dict, status: int, code: str
) -> None:
    clerk.post("/v1/receipts", json=receipt(59))
    number = ask(clerk)
    refused(served.engine, calling(manager, number, "approval", **body), status, code)


def test_held_expired_and_waiting_goods_are_not_promised(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(60, "HELD"))
    clerk.post("/v1/receipts", json=receipt(60, "OLD", "2026-03-25", occurred_at="2026-03-24"))
    clerk.put("/v1/lots/N95/HELD/hold", json={"reason": "quarantine"})
    manager.patch(f"/v1/locations/{CITY}", json={"inspects": True})
    clerk.post("/v1/receipts", json=receipt(60, "WAITS"))
    number = ask(clerk, 1)
    problem = refused(served.engine, calling(manager, number, "approval"), 409, "insufficient_stock")
    assert (problem["lines"][0]["on_hand"], problem["lines"][0]["usable"]) == (120, 0)


# -- two persons ------------------------------------------------------------------------------------------------------


def test_i5_who_asks_does_not_approve_by_any_key_or_role(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    number = ask(manager)
    another_key = served.client("manager")
    for client in (manager, another_key):
        refused(served.engine, calling(client, number, "approval"), 403, "same_person")
    does(served.client("admin"), number, "approval")


def test_i5_a_name_written_otherwise_is_the_same_name(city: Engine) -> None:
    def as_if(name: str) -> str:
        made = access.create_key(
            session, role=Role.MANAGER, location="371400", name=name, expires_on=None, now=told.now
        )
        return access.authenticate(session, made.secret, now=told.now, zone=told.zone).signature

    told = entry()
    with database.writing(city) as session:
        asking = entry(actor=as_if("Li Wei"))
        asked = requisitions.request(
            session,
            asking,
            location=CITY,
            purpose=Purpose.USE,
            recipient="x",
            lines=[WantedLine("N95", 1)],
        )
        for name in ("LI WEI", "Li Wei", "\uff2c\uff49 Wei"):
            with pytest.raises(Forbidden) as caught:
                requisitions.approve(session, entry(actor=as_if(name)), number=asked.number)
            assert caught.value.code == "same_person"


# -- kept for whom it was promised ------------------------------------------------------------------------------------


def test_what_is_promised_is_offered_to_nobody_else(served: Served, clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    does(manager, ask(clerk), "approval")
    problem = refused(served.engine, lambda: clerk.post("/v1/issues", json=issue(41)), 409, "insufficient_stock")
    assert problem["lines"] == [
        {"line": 0, "item": "N95", "lot_number": None, "on_hand": 100, "usable": 40, "requested": 41, "promised": 60}
    ]
    assert "60 more are promised" in problem["detail"]
    named = issue(41)
    named["lines"][0]["lot_number"] = "A"
    refused(served.engine, lambda: clerk.post("/v1/issues", json=named), 409, "insufficient_stock")
    sent = {"source": CITY, "target": "371425-W1", "lines": [line(41)]}
    refused(served.engine, lambda: clerk.post("/v1/transfers", json=sent), 409, "insufficient_stock")
    number = ask(clerk, 41)
    refused(served.engine, calling(manager, number, "approval"), 409, "insufficient_stock")
    back = issue(41, occurred_at="2026-04-01T09:59:59+08:00")
    assert clerk.post("/v1/issues", json=back).status_code == 409
    assert clerk.post("/v1/issues", json=issue(40)).status_code == 201
    why = clerk.get(f"/v1/stock/{CITY}/N95/picking", params={"quantity": 1}).json()
    assert (why["short"], why["lots"][0]["code"]) == (1, "promised")


def test_a_lot_that_is_all_promised_does_not_stand_before_the_next(clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(60, "SOON", "2026-06-30"))
    does(manager, ask(clerk), "approval")
    clerk.post("/v1/receipts", json=receipt(60, "LATE", "2028-01-31"))
    moved = clerk.post("/v1/issues", json=issue(10)).json()["movements"]
    assert [m["lot_number"] for m in moved] == ["LATE"]
    named = issue(10)
    named["lines"][0]["lot_number"] = "LATE"
    assert clerk.post("/v1/issues", json=named).status_code == 201  # no reason is owed for another's goods


def test_p03_two_approvals_racing_for_the_last_boxes_promise_them_once(served: Served, clerk: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    numbers = [ask(clerk, 30) for _ in range(8)]
    managers = [served.client("manager") for _ in numbers]
    answers = at_once([calling(m, n, "approval") for m, n in zip(managers, numbers, strict=True)])
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 5
    assert scalar(served.engine, HELD_BACK) == 90
    sound(served.engine)


def test_p03_issues_and_approvals_at_once_never_promise_or_hand_out_too_much(served: Served, clerk: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    numbers = [ask(clerk, 30) for _ in range(4)]
    managers = [served.client("manager") for _ in numbers]
    clerks = [served.client("clerk") for _ in range(4)]
    approvals = [calling(m, n, "approval") for m, n in zip(managers, numbers, strict=True)]
    issues = [lambda c=c: c.post("/v1/issues", json=issue(30)) for c in clerks]
    answers = at_once([call for pair in zip(approvals, issues, strict=True) for call in pair])
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 5
    assert scalar(served.engine, HELD_BACK) <= scalar(served.engine, "SELECT sum(on_hand) FROM balance")
    for number, answer in zip(numbers, answers[::2], strict=True):
        if answer.status_code == 201:
            does(clerk, number, "issue")
    assert scalar(served.engine, "SELECT sum(on_hand) FROM balance") == 10
    sound(served.engine)


def test_one_requisition_issued_by_eight_at_once_goes_out_once(served: Served, clerk: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    does(served.client("manager"), number, "approval")
    answers = at_once([calling(served.client("clerk"), number, "issue") for _ in range(8)])
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"requisition_decided"}
    assert row(clerk)["on_hand"] == 40
    sound(served.engine)


# -- issued -----------------------------------------------------------------------------------------------------------


def test_what_was_promised_is_issued_in_parts_and_the_requisition_closes(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(50, "LATE", "2028-01-31"))
    clerk.post("/v1/receipts", json=receipt(50, "SOON", "2026-06-30"))
    number = ask(clerk)
    does(manager, number, "approval")
    first = does(clerk, number, "issue", lines=[line(40)], reference="车 1")
    assert [(m["lot_number"], m["quantity"], m["reference"]) for m in first["movements"]] == [("SOON", 40, "车 1")]
    assert {(m["purpose"], m["recipient"]) for m in first["movements"]} == {("allocation", "德城区医院")}
    told = first["requisition"]
    assert (told["state"], told["lines"][0]["allocated"], told["lines"][0]["issued"]) == ("approved", 20, 40)
    assert (row(clerk, "SOON")["on_hand"], row(clerk, "SOON")["allocated"]) == (10, 10)
    over = calling(clerk, number, "issue", lines=[line(21)])
    problem = refused(served.engine, over, 409, "more_than_promised")
    assert problem["errors"][0]["pointer"] == "/lines/0/quantity"
    refused(served.engine, calling(clerk, number, "issue", lines=[line(15), line(6)]), 409, "more_than_promised")
    refused(served.engine, calling(clerk, number, "issue", lines=[line(1, "VENT")]), 409, "more_than_promised")
    last = does(clerk, number, "issue", lines=[line(15), line(5)])
    assert last["requisition"]["state"] == "closed"
    assert [(m["lot_number"], m["quantity"]) for m in last["movements"]] == [("SOON", 10), ("LATE", 5), ("LATE", 5)]
    assert (scalar(served.engine, HELD_BACK), row(clerk, "LATE")["on_hand"]) == (0, 40)
    refused(served.engine, calling(clerk, number, "issue"), 409, "requisition_decided")
    sound(served.engine)


def test_an_issue_without_a_reference_names_its_requisition(clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    does(manager, number, "approval")
    assert does(clerk, number, "issue")["movements"][0]["reference"] == number


@pytest.mark.parametrize("lost", ["disposal", "adjustment"])
def test_promised_goods_that_were_written_off_are_refused_with_the_cure(
    served: Served, clerk: TestClient, manager: TestClient, lost: str
) -> None:
    clerk.post("/v1/receipts", json=receipt(60, "SOON", "2026-06-30"))
    number = ask(clerk)
    does(manager, number, "approval")
    one = {"item": "N95", "lot_number": "SOON"}
    if lost == "disposal":
        body = {"location": CITY, "reason": "damaged", "lines": [{**one, "quantity": 25}]}
    else:
        body = {"location": CITY, "lines": [{**one, "quantity": -25, "reason": "lost"}]}
    assert manager.post(f"/v1/{lost}s", json=body).status_code == 201
    problem = refused(served.engine, calling(clerk, number, "issue"), 409, "insufficient_stock")
    assert f"/v1/requisitions/{number}/reallocation" in problem["detail"]
    assert row(clerk, "SOON")["available"] == 0
    refused(served.engine, calling(clerk, number, "reallocation"), 409, "insufficient_stock")
    clerk.post("/v1/receipts", json=receipt(100, "LATE", "2028-01-31"))
    again = does(clerk, number, "reallocation")
    assert [(a["lot_number"], a["quantity"]) for a in again["allocations"]] == [("SOON", 35), ("LATE", 25)]
    assert does(clerk, number, "issue")["requisition"]["state"] == "closed"
    sound(served.engine)


def test_a_lot_held_or_expired_after_it_was_promised_is_picked_anew(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(30, "SOON", "2026-04-02"))
    clerk.post("/v1/receipts", json=receipt(100, "LATE", "2028-01-31"))
    clerk.post("/v1/receipts", json=receipt(100, "LAST", "2029-01-31"))
    number = ask(clerk)
    does(manager, number, "approval")
    manager.put("/v1/lots/N95/LATE/hold", json={"reason": "recall"})
    refused(served.engine, calling(clerk, number, "issue"), 409, "lot_on_hold")
    served.clock.pass_by(days=2)
    problem = refused(served.engine, calling(clerk, number, "issue"), 409, "lot_expired")
    assert f"{number}/reallocation" in problem["detail"]
    again = does(clerk, number, "reallocation")
    assert [(a["lot_number"], a["quantity"]) for a in again["allocations"]] == [("LAST", 60)]
    does(clerk, number, "issue")
    assert row(clerk, "LAST")["on_hand"] == 40


# -- ended ------------------------------------------------------------------------------------------------------------


def test_a_requisition_that_is_cancelled_frees_what_it_was_promised(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    does(manager, number, "approval")
    does(clerk, number, "issue", lines=[line(10)])
    told = does(clerk, number, "cancellation", reason="road closed")
    assert (told["state"], told["reason"], told["allocations"]) == ("cancelled", "road closed", [])
    assert (told["lines"][0]["quantity"], told["lines"][0]["issued"]) == (60, 10)
    assert row(clerk)["available"] == 90
    for client, act, body in (
        (manager, "approval", {}),
        (manager, "refusal", {"reason": "x"}),
        (clerk, "cancellation", {"reason": "x"}),
        (clerk, "issue", {}),
        (clerk, "reallocation", {}),
    ):
        refused(served.engine, calling(client, number, act, **body), 409, "requisition_decided")


def test_a_requisition_that_is_refused_keeps_the_reason_and_promises_nothing(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    for act in ("issue", "reallocation"):
        refused(served.engine, calling(clerk, number, act), 409, "requisition_decided")
    told = does(manager, number, "refusal", reason="not needed")
    assert (told["state"], told["reason"]) == ("refused", "not needed")
    refused(served.engine, calling(manager, number, "approval"), 409, "requisition_decided")
    refused(served.engine, calling(clerk, number, "cancellation", reason="x"), 409, "requisition_decided")


@pytest.mark.parametrize("act", ["refusal", "cancellation"])
def test_ending_a_requisition_needs_its_reason(
    served: Served, clerk: TestClient, manager: TestClient, act: str
) -> None:
    number = ask(clerk)
    for body in ({}, {"reason": ""}, {"reason": "x" * 201}):
        refused(served.engine, calling(manager, number, act, **body), 422, "invalid_value")


# -- undone -----------------------------------------------------------------------------------------------------------


def test_undoing_the_issue_of_a_requisition_promises_its_goods_again(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(60))
    number = ask(clerk)
    does(manager, number, "approval")
    first = does(clerk, number, "issue", lines=[line(20)])
    last = does(clerk, number, "issue")
    assert last["requisition"]["state"] == "closed"
    for posted, issued, allocated in ((last, 20, 40), (first, 0, 60)):
        undone = clerk.post(f"/v1/documents/{posted['document']}/reversal", json={"reason": "wrong hospital"})
        assert undone.status_code == 201
        told = clerk.get(f"/v1/requisitions/{number}").json()
        assert (told["state"], told["lines"][0]["issued"], told["lines"][0]["allocated"]) == (
            "approved",
            issued,
            allocated,
        )
    refused(served.engine, lambda: clerk.post("/v1/issues", json=issue(1)), 409, "insufficient_stock")
    assert does(clerk, number, "issue")["requisition"]["state"] == "closed"
    sound(served.engine)


def test_undoing_the_issue_of_a_cancelled_requisition_leaves_its_goods_free(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(60))
    number = ask(clerk)
    does(manager, number, "approval")
    posted = does(clerk, number, "issue", lines=[line(20)])
    does(clerk, number, "cancellation", reason="road closed")
    moved = posted["movements"][0]["id"]
    assert clerk.post(f"/v1/movements/{moved}/reversal", json={"reason": "came back"}).status_code == 201
    told = clerk.get(f"/v1/requisitions/{number}").json()
    assert (told["state"], told["lines"][0]["issued"], told["allocations"]) == ("cancelled", 0, [])
    assert row(clerk)["available"] == 60
    sound(served.engine)


# -- numbers, rights, lists -------------------------------------------------------------------------------------------


def test_requisitions_are_numbered_without_a_gap_though_some_are_refused(served: Served) -> None:
    clerks = [served.client("clerk") for _ in range(16)]

    def some(n: int) -> list[str]:
        made = []
        for k in range(4):
            body = wanted(item="N96" if (n + k) % 3 == 0 else "N95")
            answer = clerks[n].post("/v1/requisitions", json=body)
            made += [answer.json()["number"]] if answer.status_code == 201 else []
        return made

    numbers = sorted(number for made in at_once([lambda n=n: some(n) for n in range(16)]) for number in made)
    assert numbers == [f"RQ-20260401-{n:06d}" for n in range(1, len(numbers) + 1)]
    assert len(numbers) > 40
    sound(served.engine)


def test_p02_a_repeated_request_or_approval_is_done_once(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    key = {"Idempotency-Key": "rq-1"}
    first = clerk.post("/v1/requisitions", json=wanted(), headers=key)
    number = first.json()["number"]
    assert clerk.post("/v1/requisitions", json=wanted(), headers=key).content == first.content
    approved = manager.post(f"/v1/requisitions/{number}/approval", json={}, headers=key)
    before = everything(served.engine)
    again = manager.post(f"/v1/requisitions/{number}/approval", json={}, headers=key)
    assert (again.content, again.headers["idempotent-replayed"]) == (approved.content, "true")
    assert everything(served.engine) == before


def test_p14_each_act_is_for_its_role_and_its_subtree(served: Served, clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number, nothing = ask(clerk), "RQ-20260401-000099"
    county, reporter = served.client("admin", "371425"), served.client("reporter")
    acts = {
        "approval": {},
        "refusal": {"reason": "x"},
        "cancellation": {"reason": "x"},
        "reallocation": {},
        "issue": {},
    }
    for act, body in acts.items():
        refused(served.engine, calling(county, number, act, **body), 403, "forbidden")
        assert calling(county, number, act, **body)().content == calling(county, nothing, act, **body)().content
        refused(served.engine, calling(reporter, number, act, **body), 403, "forbidden")
        assert calling(manager, nothing, act, **body)().json()["code"] == "unknown_requisition"
    for act in ("approval", "refusal"):
        refused(served.engine, calling(clerk, number, act, **acts[act]), 403, "forbidden")
    assert county.get(f"/v1/requisitions/{number}").content == county.get(f"/v1/requisitions/{nothing}").content
    assert manager.get(f"/v1/requisitions/{nothing}").status_code == 404
    refused(served.engine, lambda: county.post("/v1/requisitions", json=wanted()), 403, "forbidden")


def test_requisitions_are_listed_newest_first_for_ones_own_places(
    served: Served, clerk: TestClient, manager: TestClient
) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    numbers = [ask(clerk, n) for n in range(1, 6)]
    does(manager, numbers[2], "approval")
    assert served.client("viewer", "371425").get("/v1/requisitions").json()["items"] == []
    found = clerk.get("/v1/requisitions", params={"state": "approved"}).json()["items"]
    assert [(r["number"], r["lines"][0]["allocated"]) for r in found] == [(numbers[2], 3)]
    seen, cursor = [], None
    for _ in range(3):
        page = clerk.get("/v1/requisitions", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [r["number"] for r in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (numbers[::-1], None)


def test_every_act_on_a_requisition_is_in_the_journal(served: Served, clerk: TestClient, manager: TestClient) -> None:
    clerk.post("/v1/receipts", json=receipt(100))
    number = ask(clerk)
    does(manager, number, "approval")
    does(clerk, number, "reallocation")
    does(clerk, number, "cancellation", reason="x")
    other = ask(clerk)
    does(manager, other, "refusal", reason="x")
    with served.engine.connect() as connection:
        verbs = connection.exec_driver_sql(
            f"SELECT verb FROM journal WHERE subject IN ('{number}', '{other}') ORDER BY id"
        ).scalars()
        assert list(verbs) == [
            "requisition.requested",
            "requisition.approved",
            "requisition.reallocated",
            "requisition.cancelled",
            "requisition.requested",
            "requisition.refused",
        ]


def test_the_day_a_promise_is_needed_may_be_any_day(clerk: TestClient) -> None:
    answer = clerk.post("/v1/requisitions", json=wanted(needed_on=date(2030, 1, 1).isoformat()))
    assert answer.json()["needed_on"] == "2030-01-01"
