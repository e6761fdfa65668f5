"""Inspection: what comes in waits in a bay, is nobody's usable stock, and leaves it by a named person's decision."""

from datetime import date

import pytest
from conftest import SHANGHAI, TODAY
from fastapi.testclient import TestClient
from refusing import at_once, refused, scalar, sound
from served import Served, issue, receipt
from sqlalchemy import Engine

from reserve import catalogue, coverage, database
from reserve.model import Category

CITY, BAY = "371400-W1", "371400-W1.BAY"


@pytest.fixture
def served(city: Engine) -> Served:
    """The city's store inspects what it receives; KN95 is what a respirator may be downgraded to."""
    with database.writing(city) as session:
        place = catalogue.place(session, CITY)
        assert place is not None
        catalogue.set_inspection(session, place, inspects=True)
        kn95 = catalogue.NewItem("KN95", "防护口罩", "Mask", Category.PROTECTIVE, "只", shelf_life_days=1095)
        catalogue.add_item(session, kn95)
    return Served(city)


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def decided(quantity: int, outcome: str = "passed", lot: str = "A", item: str = "N95", **more: object) -> dict:
    return {"item": item, "lot_number": lot, "quantity": quantity, "outcome": outcome, **more}


def sheet(*lines: dict, **more: object) -> dict:
    return {"location": CITY, "inspector": "赵敏", "lines": list(lines), **more}


def inspect(client: TestClient, *lines: dict, **more: object) -> dict:
    answer = client.post("/v1/inspections", json=sheet(*lines, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def lies(client: TestClient, **asked: object) -> dict[tuple[str, str, str], tuple[int, int]]:
    rows = client.get("/v1/stock", params={"location": CITY, **asked}).json()["items"]
    return {(r["location"], r["item"], r["lot_number"]): (r["on_hand"], r["usable"]) for r in rows}


def reverse(client: TestClient, document: dict) -> int:
    return client.post(f"/v1/documents/{document['document']}/reversal", json={"reason": "x"}).status_code


# -- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [{"supplier": "3M"}, {"donor": "慈善总会"}, {"returned_by": "德城区医院"}, {}])
def test_bought_donated_and_returned_goods_alike_wait_and_are_not_usable(
    served: Served, manager: TestClient, origin: dict
) -> None:
    answer = manager.post("/v1/receipts", json=receipt(100, **origin)).json()
    (moved,) = answer["movements"]
    end = {"donor": "DONOR", "returned_by": "CONSUMER"}.get(next(iter(origin), ""), "SUPPLIER")
    assert (moved["source"], moved["target"], moved["party"]) == (end, BAY, next(iter(origin.values()), None))
    (row,) = manager.get("/v1/stock", params={"location": CITY}).json()["items"]
    assert (row["location"], row["on_hand"], row["usable"], row["hold"]) == (BAY, 100, 0, "inspection")
    refused(served.engine, lambda: manager.post("/v1/issues", json=issue(1)), 409, "insufficient_stock")


def test_naming_the_bay_does_not_open_it(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    out = issue(1) | {"location": BAY}
    refused(served.engine, lambda: manager.post("/v1/issues", json=out), 409, "insufficient_stock")
    named = issue(1) | {"location": BAY}
    named["lines"][0] |= {"lot_number": "A", "override_reason": "now"}
    refused(served.engine, lambda: manager.post("/v1/issues", json=named), 409, "lot_on_hold")
    sent = {"source": BAY, "target": "371425-W1", "lines": [{"item": "N95", "quantity": 1}]}
    refused(served.engine, lambda: manager.post("/v1/transfers", json=sent), 409, "insufficient_stock")
    refused(served.engine, lambda: manager.patch(f"/v1/locations/{BAY}", json={"inspects": True}), 422, "not_a_store")
    wanted = {"location": BAY, "purpose": "use", "recipient": "x", "lines": [{"item": "N95", "quantity": 1}]}
    number = manager.post("/v1/requisitions", json=wanted).json()["number"]
    admin = served.client("admin")
    address = f"/v1/requisitions/{number}/approval"
    refused(served.engine, lambda: admin.post(address, json={}), 409, "insufficient_stock")


def test_b2_what_waits_counts_as_held_and_the_four_numbers_add_up(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, "WAITS"))
    manager.post("/v1/receipts", json=receipt(50, "GOOD"))
    manager.post("/v1/receipts", json=receipt(25, "OLD", "2026-04-02"))
    manager.post("/v1/receipts", json=receipt(10, "HELD"))
    inspect(manager, decided(50, lot="GOOD"), decided(10, lot="HELD"), decided(5, lot="OLD"))
    manager.put("/v1/lots/N95/HELD/hold", json={"reason": "recall"})
    served.clock.pass_by(days=3)
    with database.reading(served.engine) as session:
        moment = coverage.when(None, now=served.clock(), zone=SHANGHAI)
        place, item = catalogue.place(session, "371400"), catalogue.item(session, "N95")
        assert place is not None
        assert item is not None
        (found,) = coverage.assess_item(session, coverage.board(session, moment), item, [place], moment)
    row = found.row
    assert row["on_hand"] == row["usable"] + row["on_hold"] + row["expired"] == 185
    assert (row["usable"], row["expired"], row["on_hold"]) == (50, 25, 110)


# -- decided ----------------------------------------------------------------------------------------------------------


def test_a_named_person_passes_rejects_and_destroys_part_by_part(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    told = inspect(
        manager,
        decided(60),
        decided(20, "rejected", reason="torn boxes"),
        decided(5, "rejected", reason="wet", destroy=True),
        reference="验 3",
    )
    assert told["document"] == "IN-20260401-000001"
    assert [(m["source"], m["target"], m["quantity"], m["reason"]) for m in told["movements"]] == [
        (BAY, CITY, 60, "passed"),
        (BAY, "SUPPLIER", 20, "rejected: torn boxes"),
        (BAY, "WASTE", 5, "rejected: wet"),
    ]
    assert {(m["party"], m["kind"], m["reference"]) for m in told["movements"]} == {("赵敏", "inspection", "验 3")}
    assert lies(manager) == {(CITY, "N95", "A"): (60, 60), (BAY, "N95", "A"): (15, 0)}
    sound(served.engine)


def test_a_downgrade_makes_the_same_lot_of_another_item(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    told = inspect(manager, decided(40, "downgraded", reason="no GB 19083 report", into_item="KN95"))
    assert [(m["item"], m["source"], m["target"], m["expires_on"]) for m in told["movements"]] == [
        ("N95", BAY, "VARIANCE", "2027-01-31"),
        ("KN95", "VARIANCE", CITY, "2027-01-31"),
    ]
    assert lies(manager) == {(CITY, "KN95", "A"): (40, 40), (BAY, "N95", "A"): (60, 0)}
    inspect(manager, decided(10, "downgraded", reason="the same", into_item="KN95"))
    assert lies(manager)[CITY, "KN95", "A"] == (50, 50)
    sound(served.engine)


BAD = {
    "more than waits": ([decided(101)], 409, "insufficient_stock"),
    "more than waits, over two lines": ([decided(60), decided(41, "rejected", reason="x")], 409, "insufficient_stock"),
    "rejected without a reason": ([decided(1, "rejected")], 422, "missing"),
    "downgraded without a reason": ([decided(1, "downgraded", into_item="KN95")], 422, "missing"),
    "downgraded into nothing": ([decided(1, "downgraded", reason="x")], 422, "missing"),
    "passed into another item": ([decided(1, into_item="KN95")], 422, "missing"),
    "downgraded into what is not": ([decided(1, "downgraded", reason="x", into_item="NOPE")], 422, "unknown_item"),
    "downgraded into itself": ([decided(1, "downgraded", reason="x", into_item="N95")], 422, "same_item"),
    "an outcome that is none": ([decided(1, "kept")], 422, "invalid_value"),
    "an unknown lot": ([decided(1, lot="Z")], 422, "unknown_lot"),
    "an unknown item": ([decided(1, item="N96")], 422, "unknown_item"),
    "a lot that does not wait here": ([decided(1, lot="SHELF")], 409, "insufficient_stock"),
    "nothing": ([], 422, "invalid_value"),
    "destroy as a word": ([decided(1, "rejected", reason="x", destroy="yes")], 422, "invalid_value"),
    "a long reason": ([decided(1, "rejected", reason="x" * 161)], 422, "invalid_value"),
    "the last of several lines": ([decided(1), decided(1, "rejected")], 422, "missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_p15_a_decision_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    lines, status, code = BAD[case]
    manager.post("/v1/receipts", json=receipt(100, "SHELF"))
    inspect(manager, decided(100, lot="SHELF"))
    manager.post("/v1/receipts", json=receipt(100))
    refused(served.engine, lambda: manager.post("/v1/inspections", json=sheet(*lines)), status, code)


def test_a_downgrade_into_a_lot_with_other_dates_is_refused(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10, item="KN95", expires="2028-12-31"))
    manager.post("/v1/receipts", json=receipt(10))
    body = sheet(decided(10, "downgraded", reason="x", into_item="KN95"))
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 409, "lot_conflict")


def test_undated_goods_do_not_become_an_item_that_expires(served: Served, manager: TestClient) -> None:
    line = {"item": "VENT", "lot_number": "A", "quantity": 5}
    assert manager.post("/v1/receipts", json={"location": CITY, "lines": [line]}).status_code == 201
    body = sheet(decided(5, "downgraded", item="VENT", reason="x", into_item="KN95"))
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 422, "expiry_required")


def test_a_place_that_never_inspected_has_nothing_to_inspect(served: Served, manager: TestClient) -> None:
    body = sheet(decided(1)) | {"location": "371425-W1"}
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 422, "not_inspected")
    body = sheet(decided(1)) | {"location": BAY}
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 422, "not_inspected")


def test_goods_are_not_inspected_before_they_came(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-25"))
    body = sheet(decided(1), occurred_at="2026-03-24")
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 409, "insufficient_stock")
    inspect(manager, decided(30), occurred_at="2026-03-26")
    assert lies(manager, as_of="2026-03-26") == {(CITY, "N95", "A"): (30, 30), (BAY, "N95", "A"): (70, 0)}
    assert lies(manager, as_of="2026-03-25") == {(BAY, "N95", "A"): (100, 0)}
    sound(served.engine)


def test_p03_one_lot_decided_by_eight_at_once_leaves_the_bay_once(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    managers = [served.client("manager") for _ in range(8)]
    answers = at_once([lambda m=m: m.post("/v1/inspections", json=sheet(decided(30))) for m in managers])
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 5
    assert lies(manager) == {(CITY, "N95", "A"): (90, 90), (BAY, "N95", "A"): (10, 0)}
    sound(served.engine)


def test_decisions_and_their_reversals_at_once_end_without_a_deadlock(served: Served, manager: TestClient) -> None:
    for name in ("A", "B", "C"):
        manager.post("/v1/receipts", json=receipt(1000, name))
    inspect(manager, *(decided(500, lot=name) for name in ("A", "B", "C")))
    made = [inspect(manager, *(decided(5, lot=name) for name in ("C", "A", "B")))["document"] for _ in range(12)]
    clients = [served.client("manager") for _ in range(8)]

    def undo(client: TestClient, numbers: list[str]) -> list[int]:
        addresses = [f"/v1/documents/{number}/reversal" for number in numbers]
        return [client.post(address, json={"reason": "x"}).status_code for address in addresses]

    def pass_on(client: TestClient) -> list[int]:
        lines = [decided(5, lot=name) for name in ("B", "C", "A")]
        return [client.post("/v1/inspections", json=sheet(*lines)).status_code for _ in range(3)]

    calls = [lambda n=n: undo(clients[n], made[n * 3 : n * 3 + 3]) for n in range(4)]
    calls += [lambda n=n: pass_on(clients[n]) for n in range(4, 8)]
    assert {code for codes in at_once(calls) for code in codes} == {201}
    assert scalar(served.engine, "SELECT sum(on_hand) FROM balance") == 3000
    sound(served.engine)


# -- switched, undone -------------------------------------------------------------------------------------------------


def test_switching_inspection_off_leaves_what_waits_waiting(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    answer = manager.patch(f"/v1/locations/{CITY}", json={"inspects": False})
    assert (answer.status_code, answer.json()["inspects"]) == (200, False)
    manager.post("/v1/receipts", json=receipt(10))
    assert lies(manager) == {(CITY, "N95", "A"): (10, 10), (BAY, "N95", "A"): (100, 0)}
    inspect(manager, decided(100))
    assert lies(manager) == {(CITY, "N95", "A"): (110, 110)}
    assert manager.patch(f"/v1/locations/{CITY}", json={"inspects": True}).json()["inspects"] is True
    bays = [row for row in manager.get("/v1/locations").json()["items"] if row["bay_of"] == CITY]
    assert [row["code"] for row in bays] == [BAY]


def test_switching_on_by_eight_at_once_makes_one_bay(served: Served) -> None:
    clients = [served.client("manager") for _ in range(8)]
    answers = at_once([lambda c=c: c.patch("/v1/locations/371425-W1", json={"inspects": True}) for c in clients])
    assert {a.status_code for a in answers} == {200}
    assert scalar(served.engine, "SELECT count(*) FROM location WHERE bay_of IS NOT NULL") == 2


def test_p15_who_may_not_switch_inspection_changes_nothing(served: Served, manager: TestClient) -> None:
    clerk, county = served.client("clerk"), served.client("manager", "371425")
    body = {"inspects": False}
    refused(served.engine, lambda: clerk.patch(f"/v1/locations/{CITY}", json=body), 403, "forbidden")
    refused(served.engine, lambda: county.patch(f"/v1/locations/{CITY}", json=body), 403, "forbidden")
    refused(served.engine, lambda: county.patch("/v1/locations/NOPE", json=body), 403, "forbidden")
    refused(served.engine, lambda: manager.patch("/v1/locations/NOPE", json=body), 404, "unknown_location")
    refused(served.engine, lambda: manager.patch("/v1/locations/371400", json=body), 422, "not_a_store")
    for bad in ({"inspects": 1}, {"inspects": "true"}, {}, {"inspects": True, "code": "X"}):
        refused(served.engine, lambda bad=bad: manager.patch(f"/v1/locations/{CITY}", json=bad), 422, "invalid_value")


def test_a_receipt_that_waits_is_undone_from_the_bay_and_not_once_it_was_passed(
    served: Served, manager: TestClient
) -> None:
    first = manager.post("/v1/receipts", json=receipt(100)).json()
    assert reverse(manager, first) == 201
    assert lies(manager) == {}
    second = manager.post("/v1/receipts", json=receipt(100)).json()
    passed = inspect(manager, decided(1))
    address = f"/v1/documents/{second['document']}/reversal"
    refused(served.engine, lambda: manager.post(address, json={"reason": "x"}), 409, "insufficient_stock")
    assert reverse(manager, passed) == 201
    assert reverse(manager, second) == 201
    assert lies(manager) == {}
    sound(served.engine)


def test_an_inspection_is_undone_whole_and_the_goods_wait_again(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    told = inspect(
        manager,
        decided(50),
        decided(10, "rejected", reason="x"),
        decided(20, "downgraded", reason="x", into_item="KN95"),
    )
    assert reverse(served.client("clerk"), told) == 403
    assert reverse(manager, told) == 201
    assert lies(manager) == {(BAY, "N95", "A"): (100, 0)}
    sound(served.engine)


@pytest.mark.parametrize("half", [0, 1])
def test_half_of_a_downgrade_takes_the_other_half_with_it(served: Served, manager: TestClient, half: int) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    told = inspect(manager, decided(20, "downgraded", reason="x", into_item="KN95"), decided(30))
    address = f"/v1/movements/{told['movements'][half]['id']}/reversal"
    answer = manager.post(address, json={"reason": "it was a respirator"})
    assert answer.status_code == 201
    assert len(answer.json()["movements"]) == 2
    assert lies(manager) == {(CITY, "N95", "A"): (30, 30), (BAY, "N95", "A"): (70, 0)}
    other = f"/v1/movements/{told['movements'][1 - half]['id']}/reversal"
    refused(served.engine, lambda: manager.post(other, json={"reason": "x"}), 409, "already_reversed")
    assert reverse(manager, told) == 201
    sound(served.engine)


def test_goods_that_went_out_after_they_were_passed_keep_the_decision(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    told = inspect(manager, decided(50), decided(50, "rejected", reason="x"))
    manager.post("/v1/issues", json=issue(1))
    address = f"/v1/documents/{told['document']}/reversal"
    refused(served.engine, lambda: manager.post(address, json={"reason": "x"}), 409, "insufficient_stock")


def test_p14_only_a_manager_of_the_place_decides(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    clerk, county = served.client("clerk"), served.client("admin", "371425")
    refused(served.engine, lambda: clerk.post("/v1/inspections", json=sheet(decided(1))), 403, "forbidden")
    refused(served.engine, lambda: county.post("/v1/inspections", json=sheet(decided(1))), 403, "forbidden")
    theirs = county.post("/v1/inspections", json=sheet(decided(1)) | {"location": "NOPE"})
    assert theirs.content == county.post("/v1/inspections", json=sheet(decided(1))).content
    store = served.client("clerk", CITY)
    assert store.post("/v1/receipts", json=receipt(1)).status_code == 201


def test_waiting_goods_may_be_destroyed_where_they_lie(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    lines = [{"item": "N95", "lot_number": "A", "quantity": 40}]
    body = {"location": BAY, "reason": "damaged", "lines": lines}
    assert manager.post("/v1/disposals", json=body).status_code == 201
    assert lies(manager) == {(BAY, "N95", "A"): (60, 0)}


def test_what_waited_on_a_past_day_was_not_usable_then(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-25"))
    inspect(manager, decided(100))
    assert lies(manager, as_of="2026-03-31") == {(BAY, "N95", "A"): (100, 0)}
    assert lies(manager, as_of=TODAY.isoformat()) == {(CITY, "N95", "A"): (100, 100)}
    assert date(2026, 4, 1) == TODAY


def test_rejected_goods_go_back_to_whoever_sent_them(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10, donor="慈善总会"))
    manager.post("/v1/receipts", json=receipt(10, "B", returned_by="德城区医院"))
    told = inspect(manager, decided(10, "rejected", reason="x"), decided(10, "rejected", "B", reason="x"))
    assert [movement["target"] for movement in told["movements"]] == ["DONOR", "CONSUMER"]


def test_goods_of_a_transfer_are_passed_and_sent_back_or_destroyed(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(30) | {"location": "371425-W1"})
    sent = {"source": "371425-W1", "target": CITY, "lines": [{"item": "N95", "quantity": 30}]}
    number = manager.post("/v1/transfers", json=sent).json()["document"]
    assert manager.post(f"/v1/transfers/{number}/receipt", json={}).status_code == 201
    body = sheet(decided(30, "rejected", reason="x"))
    refused(served.engine, lambda: manager.post("/v1/inspections", json=body), 422, "came_by_transfer")
    inspect(manager, decided(30, "rejected", reason="x", destroy=True))
