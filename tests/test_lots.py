"""Lots: held everywhere at once and let go by who may, their dates put right without rewriting what was known."""

import json
import time
from datetime import UTC, date, datetime
from threading import Thread
from urllib.parse import quote

import pytest
from conftest import SHANGHAI, TODAY
from fastapi.testclient import TestClient
from refusing import at_once, everything, refused, scalar, sound
from served import Served, issue, receipt
from sqlalchemy import Engine, text

from reserve import catalogue, coverage, database

CITY, COUNTY = "371400-W1", "371425-W1"


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def address(lot: str, what: str = "hold", item: str = "N95") -> str:
    return f"/v1/lots/{item}/{quote(lot, safe='')}/{what}"


def hold(client: TestClient, lot: str = "A", reason: str = "recall", **more: object) -> dict:
    answer = client.put(address(lot), json={"reason": reason, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def let_go(client: TestClient, lot: str = "A", reason: str | None = None) -> dict:
    answer = client.delete(address(lot), params={"reason": reason} if reason else {})
    assert answer.status_code == 200, answer.text
    return answer.json()


def redate(client: TestClient, lot: str = "A", expires_on: str | None = "2027-12-31", **more: object) -> dict:
    answer = client.patch(address(lot, "dates"), json={"expires_on": expires_on, "reason": "label read again", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def reasons(told: dict) -> list[str]:
    return sorted(one["reason"] for one in told["holds"])


def row(client: TestClient, lot: str = "A", **asked: object) -> dict:
    rows = client.get("/v1/stock", params={"lot_number": lot, **asked}).json()["items"]
    return rows[0]


def journal(engine: Engine, subject: str) -> list[tuple[str, dict | None, dict | None]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT verb, before, after FROM journal WHERE subject = :s ORDER BY id"), {"s": subject}
        ).all()
    return [(r.verb, r.before and json.loads(r.before), r.after and json.loads(r.after)) for r in rows]


# -- held -------------------------------------------------------------------------------------------------------------


def test_b3_a_held_lot_is_stopped_everywhere_and_the_answer_says_where_it_lies(
    served: Served, manager: TestClient
) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/receipts", json=receipt(40) | {"location": COUNTY})
    told = hold(served.client("clerk"), note="公告 2026-8")
    assert (told["item"], told["lot_number"], told["expires_on"]) == ("N95", "A", "2027-01-31")
    assert told["lies_at"] == [{"location": CITY, "on_hand": 100}, {"location": COUNTY, "on_hand": 40}]
    (one,) = told["holds"]
    assert (one["reason"], one["note"], one["placed_at"]) == ("recall", "公告 2026-8", "2026-04-01T02:00:00Z")
    for place in (CITY, COUNTY):
        out = issue(1) | {"location": place}
        refused(served.engine, lambda out=out: manager.post("/v1/issues", json=out), 409, "insufficient_stock")
    assert (row(manager)["usable"], row(manager)["hold"]) == (0, "recall")
    let_go(manager)
    assert manager.post("/v1/issues", json=issue(1)).status_code == 201
    sound(served.engine)


def test_a_county_sees_its_own_shelf_and_nothing_of_what_lies_elsewhere(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/receipts", json=receipt(40) | {"location": COUNTY})
    told = hold(served.client("clerk", "371425"))
    assert (told["lies_at"], told["elsewhere"]) == ([{"location": COUNTY, "on_hand": 40}], None)
    city = hold(served.client("clerk"))
    assert (len(city["lies_at"]), city["elsewhere"]) == (2, 0)


def test_p14_a_county_does_not_hold_what_never_lay_there_nor_learn_that_it_exists(
    served: Served, manager: TestClient
) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    county = served.client("manager", "371425")
    answers = [county.put(address(lot), json={"reason": "recall"}) for lot in ("A", "Z")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("lot A", "lot Z") == answers[1].text
    manager.post("/v1/receipts", json=receipt(40) | {"location": COUNTY})
    manager.post("/v1/issues", json=issue(40) | {"location": COUNTY})
    assert reasons(hold(county)) == ["recall"]  # used up, and its users have it


def test_a_lot_held_for_several_reasons_is_free_when_the_last_is_lifted(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    hold(manager, reason="damage")
    hold(manager, reason="recall")
    assert reasons(hold(manager, reason="quarantine")) == ["damage", "quarantine", "recall"]
    assert row(manager)["hold"] == "recall"
    assert reasons(let_go(manager, reason="recall")) == ["damage", "quarantine"]
    assert row(manager)["hold"] == "quarantine"
    refused(served.engine, lambda: manager.delete(address("A"), params={"reason": "recall"}), 409, "not_on_hold")
    assert reasons(let_go(manager)) == []
    assert (row(manager)["hold"], row(manager)["usable"]) == (None, 100)
    refused(served.engine, lambda: manager.delete(address("A")), 409, "not_on_hold")
    assert [verb for verb, _, _ in journal(served.engine, "N95/A")] == [
        "lot.made",
        "hold.placed",
        "hold.placed",
        "hold.placed",
        "hold.lifted",
        "hold.lifted",
    ]


def test_the_same_hold_sent_twice_changes_nothing(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    first = hold(manager, note="first")
    before = everything(served.engine)
    served.clock.pass_by(hours=1)
    assert hold(manager, note="again") == first
    assert everything(served.engine) == before


def test_the_same_hold_by_eight_at_once_stands_once(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    clerks = [served.client("clerk") for _ in range(8)]
    answers = at_once([lambda c=c: c.put(address("A"), json={"reason": "recall"}) for c in clerks])
    assert {a.status_code for a in answers} == {200}
    assert scalar(served.engine, "SELECT count(*) FROM hold") == 1


def test_p14_a_county_cannot_lift_what_the_city_holds(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100) | {"location": COUNTY})
    county = served.client("manager", "371425")
    hold(county, reason="damage")
    hold(served.client("clerk"), reason="recall")
    refused(served.engine, lambda: county.delete(address("A")), 403, "forbidden")
    refused(served.engine, lambda: county.delete(address("A"), params={"reason": "recall"}), 403, "forbidden")
    assert reasons(let_go(county, reason="damage")) == ["recall"]
    clerk = served.client("clerk")
    refused(served.engine, lambda: clerk.delete(address("A")), 403, "forbidden")
    assert reasons(let_go(manager)) == []


def test_p14_a_hold_that_the_city_repeats_is_the_citys_from_then_on(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100) | {"location": COUNTY})
    county = served.client("manager", "371425")
    hold(county, note="county's")
    hold(manager, note="the city's")
    refused(served.engine, lambda: county.delete(address("A")), 403, "forbidden")
    hold(county)
    refused(served.engine, lambda: county.delete(address("A")), 403, "forbidden")
    assert reasons(let_go(manager)) == []


def test_p14_a_hold_of_two_counties_is_lifted_above_both(served: Served, manager: TestClient) -> None:
    for place in (COUNTY, "371402-H1"):
        manager.post("/v1/receipts", json=receipt(100) | {"location": place})
    one, two = served.client("manager", "371425"), served.client("manager", "371402")
    hold(one)
    hold(two)
    for client in (one, two):
        refused(served.engine, lambda client=client: client.delete(address("A")), 403, "forbidden")
    let_go(manager)


UNKNOWN = {
    "an unknown lot": ("Z", "N95", {"reason": "recall"}, 404, "unknown_lot"),
    "an unknown item": ("A", "N96", {"reason": "recall"}, 404, "unknown_item"),
    "a lot of another item": ("A", "VENT", {"reason": "recall"}, 404, "unknown_lot"),
    "a reason that is none": ("A", "N95", {"reason": "bad mood"}, 422, "invalid_value"),
    "no reason": ("A", "N95", {}, 422, "invalid_value"),
    "a field of ours": ("A", "N95", {"reason": "recall", "placed_by": "x"}, 422, "invalid_value"),
    "a long lot number": ("A" * 21, "N95", {"reason": "recall"}, 422, "invalid_value"),
    "a space": ("A B", "N95", {"reason": "recall"}, 422, "invalid_value"),
    "another script": ("\u6279", "N95", {"reason": "recall"}, 422, "invalid_value"),
    "NUL": ("A\0", "N95", {"reason": "recall"}, 422, "invalid_value"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_p15_a_hold_of_what_nobody_knows_is_refused(served: Served, manager: TestClient, case: str) -> None:
    lot, item, body, status, code = UNKNOWN[case]
    manager.post("/v1/receipts", json=receipt(100))
    refused(served.engine, lambda: manager.put(address(lot, item=item), json=body), status, code)


ODD_LOTS = ["A/1", "A/hold", "/", "50%", "a+b&c=d", "?x", "(10)A", "A;B:C,D", "'\"", "A!*_<>", "-.-", "N95/A/dates"]


@pytest.mark.parametrize("lot", ODD_LOTS)
def test_every_lot_number_of_a_gs1_label_can_be_held_redated_and_let_go(
    served: Served, manager: TestClient, lot: str
) -> None:
    assert manager.post("/v1/receipts", json=receipt(100, lot)).status_code == 201
    assert hold(manager, lot)["lot_number"] == lot
    assert redate(manager, lot)["expires_on"] == "2027-12-31"
    assert let_go(manager, lot)["holds"] == []
    assert row(manager, lot)["lot_number"] == lot


def test_b3_no_issue_answered_after_a_hold_holds_the_lot(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100_000))
    manager.post("/v1/receipts", json=receipt(100_000, "B", "2028-12-31"))
    clerks = [served.client("clerk") for _ in range(4)]
    started: list[tuple[float, list[str]]] = []
    stopped: list[float] = []

    def hand_out(client: TestClient) -> None:
        while not stopped or time.monotonic() - stopped[0] < 0.3:
            begun = time.monotonic()
            answer = client.post("/v1/issues", json=issue(1))
            assert answer.status_code == 201, answer.text
            started.append((begun, [m["lot_number"] for m in answer.json()["movements"]]))

    threads = [Thread(target=hand_out, args=(client,)) for client in clerks]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    hold(manager)
    stopped.append(time.monotonic())
    for thread in threads:
        thread.join()
    assert {lot for begun, lots in started if begun > stopped[0] for lot in lots} == {"B"}
    assert any(lots == ["A"] for _, lots in started)  # or the hold was never in anybody's way
    sound(served.engine)


def test_a_hold_shows_in_stock_of_the_days_it_stood(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    hold(manager)
    served.clock.pass_by(days=2)
    let_go(manager)
    assert row(manager, as_of="2026-03-31")["hold"] is None
    assert row(manager, as_of="2026-04-01")["hold"] == "recall"
    assert row(manager, as_of="2026-04-03")["hold"] is None
    known = {"known_at": "2026-04-02T00:00:00Z", "as_of": "2026-04-02"}
    assert row(manager, **known)["hold"] == "recall"


def test_a_day_beyond_the_hold_is_due_for_assessment(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    before = scalar(served.engine, "SELECT count(*) FROM coveragedue")
    hold(manager)
    assert scalar(served.engine, "SELECT count(*) FROM coveragedue") == before + 1
    let_go(manager)
    assert scalar(served.engine, "SELECT count(*) FROM coveragedue") == before + 2


# -- redated ----------------------------------------------------------------------------------------------------------


def usable(served: Served, known_at: datetime | None = None, day: date | None = None) -> int:
    with database.reading(served.engine) as session:
        moment = coverage.when(day, now=served.clock(), zone=SHANGHAI, known_at=known_at)
        place, item = catalogue.place(session, "371400"), catalogue.item(session, "N95")
        assert place is not None
        assert item is not None
        (found,) = coverage.assess_item(session, coverage.board(session, moment), item, [place], moment)
        return int(found.row["usable"])


def test_d7_figures_as_known_before_keep_the_old_date(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, expires="2026-12-31"))
    told = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
    served.clock.pass_by(days=2)
    redate(manager, expires_on="2026-04-02")
    served.clock.pass_by(days=2)
    redate(manager, expires_on="2026-04-04")
    between = datetime(2026, 4, 4, 3, 0, tzinfo=UTC)
    assert (row(manager)["expires_on"], row(manager)["usable"]) == ("2026-04-04", 0)
    asked = {"as_of": "2026-04-03", "known_at": told.isoformat()}
    assert (row(manager, **asked)["expires_on"], row(manager, **asked)["usable"]) == ("2026-12-31", 100)
    asked = {"as_of": "2026-04-03", "known_at": between.isoformat()}
    assert (row(manager, **asked)["expires_on"], row(manager, **asked)["usable"]) == ("2026-04-02", 0)
    asked = {"as_of": "2026-04-03"}
    assert (row(manager, **asked)["expires_on"], row(manager, **asked)["usable"]) == ("2026-04-04", 100)
    assert usable(served) == 0
    assert usable(served, told, date(2026, 4, 3)) == 100
    assert usable(served, between, date(2026, 4, 3)) == 0
    assert usable(served, day=date(2026, 4, 3)) == 100
    sound(served.engine)


def test_first_expired_first_out_follows_the_date_put_right(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10, "A", "2027-01-31"))
    manager.post("/v1/receipts", json=receipt(10, "B", "2027-06-30"))
    redate(manager, "B", "2026-06-30")
    moved = manager.post("/v1/issues", json=issue(1)).json()["movements"]
    assert [(m["lot_number"], m["expires_on"]) for m in moved] == [("B", "2026-06-30")]


def test_after_a_redating_the_right_label_is_taken_and_the_wrong_one_refused(
    served: Served, manager: TestClient
) -> None:
    manager.post("/v1/receipts", json=receipt(10, expires="2072-01-31"))
    redate(manager, expires_on="2027-01-31")
    assert manager.post("/v1/receipts", json=receipt(10, expires="2027-01-31")).status_code == 201
    wrong = receipt(10, expires="2072-01-31")
    refused(served.engine, lambda: manager.post("/v1/receipts", json=wrong), 409, "lot_conflict")


def test_what_a_redating_does_is_written_once(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10))
    manager.post("/v1/receipts", json=receipt(10))
    redate(manager, manufactured_on="2025-01-01")
    before = everything(served.engine)
    redate(manager)  # the same dates again: nothing is put right
    assert everything(served.engine) == before
    assert journal(served.engine, "N95/A") == [
        ("lot.made", None, {"manufactured_on": None, "expires_on": "2027-01-31"}),
        (
            "lot.redated",
            {"manufactured_on": None, "expires_on": "2027-01-31"},
            {"manufactured_on": "2025-01-01", "expires_on": "2027-12-31", "reason": "label read again"},
        ),
    ]
    assert scalar(served.engine, "SELECT count(*) FROM redating") == 1


def test_only_what_is_sent_of_the_dates_changes(served: Served, manager: TestClient) -> None:
    body = receipt(10)
    body["lines"][0]["manufactured_on"] = "2025-02-03"
    manager.post("/v1/receipts", json=body)
    assert redate(manager)["manufactured_on"] == "2025-02-03"
    assert redate(manager, manufactured_on=None)["manufactured_on"] is None


@pytest.mark.parametrize(
    ("lot", "body", "status", "code"),
    [
        ("A", {"expires_on": "2025-01-01", "manufactured_on": "2025-01-02"}, 422, "dates_reversed"),
        ("A", {"expires_on": "2024-01-01"}, 422, "dates_reversed"),
        ("A", {"expires_on": None}, 422, "expiry_required"),
        ("A", {"expires_on": "2027-02-30"}, 422, "invalid_value"),
        ("A", {"expires_on": "2027-12-31", "reason": ""}, 422, "invalid_value"),
        ("A", {}, 422, "invalid_value"),
        ("Z", {"expires_on": "2027-12-31"}, 404, "unknown_lot"),
    ],
)
def test_p15_dates_that_cannot_be_are_refused(
    served: Served, manager: TestClient, lot: str, body: dict, status: int, code: str
) -> None:
    made = receipt(10)
    made["lines"][0]["manufactured_on"] = "2024-06-01"
    manager.post("/v1/receipts", json=made)
    body = {"reason": "read again", **body}
    refused(served.engine, lambda: manager.patch(address(lot, "dates"), json=body), status, code)


def test_a_lot_of_an_item_that_never_expires_may_lose_its_date(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10, item="VENT"))
    answer = manager.patch(address("A", "dates", "VENT"), json={"expires_on": None, "reason": "no date on it"})
    assert (answer.status_code, answer.json()["expires_on"]) == (200, None)


def test_p14_dates_are_put_right_by_who_reaches_every_shelf_of_the_lot(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10))
    manager.post("/v1/receipts", json=receipt(10) | {"location": COUNTY})
    manager.post("/v1/receipts", json=receipt(10, "OURS") | {"location": COUNTY})
    county, clerk = served.client("manager", "371425"), served.client("clerk")
    body = {"expires_on": "2027-12-31", "reason": "x"}
    refused(served.engine, lambda: county.patch(address("A", "dates"), json=body), 403, "forbidden")
    for lot in ("A", "Z"):
        refused(served.engine, lambda lot=lot: clerk.patch(address(lot, "dates"), json=body), 403, "forbidden")
    redate(county, "OURS")


def test_a_promise_on_a_lot_that_turns_out_expired_is_not_kept(served: Served, manager: TestClient) -> None:
    clerk = served.client("clerk")
    manager.post("/v1/receipts", json=receipt(100))
    lines = [{"item": "N95", "quantity": 10}]
    wanted = {"location": CITY, "purpose": "use", "recipient": "x", "lines": lines}
    number = clerk.post("/v1/requisitions", json=wanted).json()["number"]
    manager.post(f"/v1/requisitions/{number}/approval", json={})
    redate(manager, expires_on="2026-03-31")
    act = f"/v1/requisitions/{number}/issue"
    refused(served.engine, lambda: clerk.post(act, json={}), 409, "lot_expired")
    assert row(manager)["usable"] == 0
    assert date(2026, 3, 31) < TODAY


def test_p14_goods_on_the_road_are_redated_by_a_manager_of_the_top(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/receipts", json=receipt(10) | {"location": COUNTY})
    sent = {"source": "371400-W1", "target": "371402-H1", "lines": [{"item": "N95", "quantity": 100}]}
    assert manager.post("/v1/transfers", json=sent).status_code == 201
    dates = {"expires_on": "2026-05-01", "reason": "x"}
    where = address("A", "dates")
    county = served.client("manager", "371425")
    refused(served.engine, lambda: county.patch(where, json=dates), 403, "forbidden")
    assert manager.patch(where, json=dates).status_code == 200
