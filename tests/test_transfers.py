"""Transfers: sent, on the road, received short, settled; nobody's goods until they come, and never another's."""

from datetime import UTC, date, datetime, timedelta

import pytest
from conftest import NOW, SHANGHAI, TODAY
from fastapi.testclient import TestClient
from refusing import at_once, everything, refused, sound
from served import Served, issue, receipt

from reserve import catalogue, coverage, database, transit
from reserve.model import LocationKind

CITY, COUNTY, OTHER = "371400-W1", "371425-W1", "371402-H1"


@pytest.fixture
def admin(served: Served) -> TestClient:
    return served.client()


def lot(number: str, quantity: int, item: str = "N95") -> dict:
    return {"item": item, "lot_number": number, "quantity": quantity}


def transfer(*lines: dict, source: str = CITY, target: str = COUNTY, **more: object) -> dict:
    return {"source": source, "target": target, "lines": list(lines), **more}


def n95(quantity: int, **more: object) -> dict:
    return {"item": "N95", "quantity": quantity, **more}


def send(client: TestClient, *lines: dict, **more: object) -> dict:
    answer = client.post("/v1/transfers", json=transfer(*(lines or (n95(100),)), **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def arrive(client: TestClient, number: str, *lines: dict, **more: object) -> dict:
    answer = client.post(f"/v1/transfers/{number}/receipt", json={**({"lines": list(lines)} if lines else {}), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def settled(client: TestClient, number: str, *lines: dict, **more: object) -> dict:
    answer = client.post(f"/v1/transfers/{number}/settlement", json={"lines": list(lines), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def gone(number: str, quantity: int, outcome: str = "lost", reason: str = "fell off") -> dict:
    return {**lot(number, quantity), "outcome": outcome, "reason": reason}


def stock(client: TestClient, location: str, **asked: object) -> dict[str, int]:
    rows = client.get("/v1/stock", params={"location": location, **asked}).json()["items"]
    return {row["lot_number"]: row["on_hand"] for row in rows}


def reverse(client: TestClient, document: dict) -> None:
    answer = client.post(f"/v1/documents/{document['document']}/reversal", json={"reason": "typed twice"})
    assert answer.status_code == 201, answer.text


def covered(served: Served, scope: str, day: date = TODAY, known_at: datetime | None = None) -> tuple[int, int]:
    """On hand and in transit, as a coverage row says."""
    with database.reading(served.engine) as session:
        moment = coverage.when(day, now=served.clock(), zone=SHANGHAI, known_at=known_at)
        world = coverage.board(session, moment)
        place = catalogue.place(session, scope)
        item = catalogue.item(session, "N95")
        assert place is not None
        assert item is not None
        (found,) = coverage.assess_item(session, world, item, [place], moment)
    return found.row["on_hand"], found.row["in_transit"]


# -- sent -------------------------------------------------------------------------------------------------------------


def test_what_is_sent_leaves_by_first_expiry_and_lies_on_nobodys_shelf(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(30, "LATE", "2028-01-31"))
    admin.post("/v1/receipts", json=receipt(20, "SOON", "2026-05-31"))
    sent = send(admin, n95(25), carrier="顺丰", expected_on="2026-04-03", reference="调 7")
    assert sent["document"] == "TR-20260401-000001"
    assert [(m["lot_number"], m["quantity"], m["source"], m["target"]) for m in sent["movements"]] == [
        ("SOON", 20, CITY, "TRANSIT"),
        ("LATE", 5, CITY, "TRANSIT"),
    ]
    assert (sent["state"], sent["target"], sent["expected_on"]) == ("in_transit", COUNTY, "2026-04-03")
    assert {(m["party"], m["reference"], m["recipient"]) for m in sent["movements"]} == {("顺丰", "调 7", COUNTY)}
    assert [(row["lot_number"], row["outstanding"]) for row in sent["outstanding"]] == [("SOON", 20), ("LATE", 5)]
    assert [(w["lot_number"], w["code"]) for w in sent["picking"][0]["lots"]] == [
        ("SOON", "first_to_expire"),
        ("LATE", "first_to_expire"),
    ]
    assert stock(admin, "371400") == {"LATE": 25}
    sound(served.engine)


def test_goods_on_the_road_count_for_whom_they_are_sent_to_and_for_nobodys_stock(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    assert covered(served, "371400") == (100, 0)
    sent = send(admin, n95(40))
    assert covered(served, "371400") == (60, 40)
    assert covered(served, "371425") == (0, 40)
    assert covered(served, COUNTY) == (0, 40)
    assert covered(served, "371402") == (0, 0)
    arrive(admin, sent["document"], lot("A", 30))
    assert covered(served, "371425") == (30, 10)
    settled(admin, sent["document"], gone("A", 10))
    assert covered(served, "371425") == (30, 0)
    assert covered(served, "371400") == (90, 0)


def test_a_past_day_shows_what_was_on_the_road_at_its_end_as_it_was_known_then(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    sent = send(admin, n95(40), occurred_at="2026-03-25")
    arrive(admin, sent["document"], lot("A", 15), occurred_at="2026-03-28")
    told = served.clock()
    served.clock.pass_by(days=2)
    arrive(admin, sent["document"], lot("A", 25), occurred_at="2026-03-30")
    days = {day: covered(served, "371425", date(2026, 3, day)) for day in (24, 25, 27, 28, 29, 30)}
    assert days == {24: (0, 0), 25: (0, 40), 27: (0, 40), 28: (15, 25), 29: (15, 25), 30: (40, 0)}
    assert covered(served, "371425", date(2026, 3, 30), told) == (15, 25)
    assert covered(served, "371400", date(2026, 3, 24)) == (100, 0)
    sound(served.engine)


def test_goods_sent_to_a_place_of_another_owner_are_not_on_the_way_to_the_reserve(
    served: Served, admin: TestClient
) -> None:
    with database.writing(served.engine) as session:
        kept = catalogue.NewLocation("371400-K1", "代储", "Kept", LocationKind.WAREHOUSE, "371400", owner="国药")
        catalogue.add_location(session, kept)
    admin.post("/v1/receipts", json=receipt(100))
    send(admin, n95(40), target="371400-K1")
    assert covered(served, "371400") == (60, 0)


REFUSED = {
    "to itself": (transfer(n95(1), target=CITY), 422, "same_place"),
    "to a region": (transfer(n95(1), target="371425"), 422, "not_a_store"),
    "to nowhere": (transfer(n95(1), target="371499-W1"), 422, "unknown_location"),
    "to an outside end": (transfer(n95(1), target="CONSUMER"), 422, "unknown_location"),
    "to the road": (transfer(n95(1), target="TRANSIT"), 422, "unknown_location"),
    "from nowhere": (transfer(n95(1), source="371499-W1"), 422, "unknown_location"),
    "from the road": (transfer(n95(1), source="TRANSIT"), 403, "forbidden"),
    "an unknown item": (transfer({"item": "N96", "quantity": 1}), 422, "unknown_item"),
    "too much": (transfer(n95(51)), 409, "insufficient_stock"),
    "an unknown lot": (transfer(n95(1, lot_number="Z")), 422, "unknown_lot"),
    "a held lot": (transfer(n95(1, lot_number="HELD")), 409, "lot_on_hold"),
    "an expired lot": (transfer(n95(1, lot_number="OLD")), 409, "lot_expired"),
    "a later lot without a reason": (transfer(n95(1, lot_number="LATE")), 422, "override_reason_required"),
    "nothing": (transfer(), 422, "invalid_value"),
    "before it came": (transfer(n95(50), occurred_at="2026-03-31"), 409, "insufficient_stock"),
    "in the future": (transfer(n95(1), occurred_at="2026-04-02"), 422, "occurred_at_out_of_bounds"),
    "a field of ours": (transfer(n95(1), state="closed"), 422, "invalid_value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_p15_a_transfer_that_cannot_be_is_refused_and_moves_nothing(
    served: Served, admin: TestClient, case: str
) -> None:
    body, status, code = REFUSED[case]
    admin.post("/v1/receipts", json=receipt(25, "SOON", "2026-06-30"))
    admin.post("/v1/receipts", json=receipt(25, "LATE", "2028-01-31"))
    admin.post("/v1/receipts", json=receipt(25, "HELD", "2026-05-31"))
    admin.post("/v1/receipts", json=receipt(25, "OLD", "2026-03-25", occurred_at="2026-03-24"))
    admin.put("/v1/lots/N95/HELD/hold", json={"reason": "quarantine"})
    refused(served.engine, lambda: admin.post("/v1/transfers", json=body), status, code)


def test_a_bay_is_reached_through_its_store(served: Served, admin: TestClient) -> None:
    admin.patch(f"/v1/locations/{COUNTY}", json={"inspects": True})
    admin.post("/v1/receipts", json=receipt(25))
    body = transfer(n95(1), target=f"{COUNTY}.BAY")
    refused(served.engine, lambda: admin.post("/v1/transfers", json=body), 422, "not_a_store")


# -- received ---------------------------------------------------------------------------------------------------------


def test_the_first_truck_comes_short_and_the_second_brings_the_rest(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    first = arrive(admin, number, lot("A", 60))
    assert (first["document"], first["transfer"], first["state"]) == ("TA-20260401-000001", number, "short")
    assert first["outstanding"] == [
        {"item": "N95", "lot_number": "A", "expires_on": "2027-01-31", "sent": 100, "outstanding": 40}
    ]
    assert admin.get(f"/v1/transfers/{number}").json()["state"] == "short"
    second = arrive(admin, number, lot("A", 40))
    assert (second["state"], second["outstanding"][0]["outstanding"]) == ("closed", 0)
    assert stock(admin, COUNTY) == {"A": 100}
    sound(served.engine)


def test_without_lines_everything_that_is_still_on_the_road_has_come(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(50, "A"))
    admin.post("/v1/receipts", json=receipt(50, "B", "2027-02-28"))
    number = send(admin)["document"]
    arrive(admin, number, lot("A", 20))
    rest = arrive(admin, number)
    assert sorted((m["lot_number"], m["quantity"]) for m in rest["movements"]) == [("A", 30), ("B", 50)]
    assert rest["state"] == "closed"
    assert stock(admin, COUNTY) == {"A": 50, "B": 50}


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        ([lot("A", 101)], 409, "more_than_sent"),
        ([lot("A", 60), lot("A", 41)], 409, "more_than_sent"),
        ([lot("A", 1), lot("B", 1)], 409, "more_than_sent"),
        ([lot("Z", 1)], 422, "unknown_lot"),
        ([lot("A", 1, "N96")], 422, "unknown_item"),
        ([lot("A", 1, "VENT")], 422, "unknown_lot"),
        ([], 422, "invalid_value"),
        ([lot("A", 0)], 422, "invalid_value"),
        ([lot("A", 10**15)], 409, "more_than_sent"),
    ],
)
def test_p15_more_than_was_sent_or_what_was_not_sent_is_refused(
    served: Served, admin: TestClient, lines: list, status: int, code: str
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    admin.post("/v1/receipts", json=receipt(100, "B"))
    address = f"/v1/transfers/{number}/receipt"
    problem = refused(served.engine, lambda: admin.post(address, json={"lines": lines}), status, code)
    if code == "more_than_sent":
        assert problem["lines"][0]["on_the_road"] in {0, 100}
        assert problem["errors"][0]["pointer"].startswith("/lines/")


def test_two_transfers_of_one_lot_never_take_each_others_goods(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    one, two = send(admin, n95(30)), send(admin, n95(50), target=OTHER)
    first = f"/v1/transfers/{one['document']}"
    body = {"lines": [lot("A", 31)]}
    refused(served.engine, lambda: admin.post(f"{first}/receipt", json=body), 409, "more_than_sent")
    body = {"lines": [gone("A", 31)]}
    refused(served.engine, lambda: admin.post(f"{first}/settlement", json=body), 409, "more_than_sent")
    arrive(admin, one["document"], lot("A", 10))
    address = f"/v1/documents/{one['document']}/reversal"
    refused(served.engine, lambda: admin.post(address, json={"reason": "not sent at all"}), 409, "insufficient_stock")
    movement = f"/v1/movements/{one['movements'][0]['id']}/reversal"
    refused(served.engine, lambda: admin.post(movement, json={"reason": "not sent"}), 409, "insufficient_stock")
    arrive(admin, two["document"])
    arrive(admin, one["document"])
    assert (stock(admin, COUNTY), stock(admin, OTHER)) == ({"A": 30}, {"A": 50})
    sound(served.engine)


def test_a_closed_transfer_takes_nothing_more(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    arrive(admin, number)
    address = f"/v1/transfers/{number}"
    for body in ({}, {"lines": [lot("A", 1)]}):
        refused(served.engine, lambda body=body: admin.post(f"{address}/receipt", json=body), 409, "transfer_closed")
    body = {"lines": [gone("A", 1)]}
    refused(served.engine, lambda: admin.post(f"{address}/settlement", json=body), 409, "transfer_closed")


def test_p02_a_repeated_arrival_comes_once(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    sent = {"json": {"lines": [lot("A", 10)]}, "headers": {"Idempotency-Key": "truck-1"}}
    first = admin.post(f"/v1/transfers/{number}/receipt", **sent)
    before = everything(served.engine)
    again = admin.post(f"/v1/transfers/{number}/receipt", **sent)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert everything(served.engine) == before
    assert stock(admin, COUNTY) == {"A": 10}


def test_p03_eight_clerks_receiving_one_transfer_at_once_take_in_what_was_sent(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    clerks = [served.client("clerk", "371425") for _ in range(8)]
    answers = at_once(
        [lambda c=c: c.post(f"/v1/transfers/{number}/receipt", json={"lines": [lot("A", 30)]}) for c in clerks]
    )
    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 5
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"more_than_sent"}
    everything_else = at_once([lambda c=c: c.post(f"/v1/transfers/{number}/receipt", json={}) for c in clerks])
    assert sorted(a.status_code for a in everything_else) == [201] + [409] * 7
    assert {a.json()["code"] for a in everything_else if a.status_code == 409} == {"transfer_closed"}
    assert stock(admin, COUNTY) == {"A": 100}
    sound(served.engine)


def test_transfers_both_ways_at_once_end_without_a_deadlock(served: Served, admin: TestClient) -> None:
    for name in ("A", "B", "C"):
        for place in (CITY, COUNTY):
            admin.post("/v1/receipts", json=receipt(400, name, f"2027-0{ord(name) - 64}-28") | {"location": place})
    secret = {"Authorization": f"Bearer {served.key('admin')}"}

    def back_and_forth(n: int) -> list[int]:
        client = served.client(None)
        client.headers.update(secret)
        ends = (CITY, COUNTY) if n % 2 else (COUNTY, CITY)
        codes = []
        for _ in range(4):
            lots = ["A", "B", "C"] if n % 3 else ["C", "A", "B"]
            lines = [n95(7, lot_number=name, override_reason="as asked") for name in lots]
            sent = client.post("/v1/transfers", json=transfer(*lines, source=ends[0], target=ends[1]))
            codes.append(sent.status_code)
            if sent.status_code == 201:
                came = client.post(f"/v1/transfers/{sent.json()['document']}/receipt", json={})
                codes.append(came.status_code)
        return codes

    codes = [code for found in at_once([lambda n=n: back_and_forth(n) for n in range(8)]) for code in found]
    assert codes == [201] * 64
    assert stock(admin, CITY) == stock(admin, COUNTY) == {"A": 400, "B": 400, "C": 400}
    sound(served.engine)


def test_goods_that_expired_or_were_held_on_the_road_still_arrive_and_are_not_usable(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(10, "SOON", "2026-04-02"))
    admin.post("/v1/receipts", json=receipt(10, "HELD", "2027-01-31"))
    number = send(admin, n95(20))["document"]
    admin.put("/v1/lots/N95/HELD/hold", json={"reason": "recall"})
    served.clock.pass_by(days=3)
    arrive(admin, number)
    rows = admin.get("/v1/stock", params={"location": COUNTY}).json()["items"]
    assert {row["lot_number"]: (row["on_hand"], row["usable"]) for row in rows} == {"SOON": (10, 0), "HELD": (10, 0)}


def test_a_place_that_inspects_finds_what_was_sent_in_its_bay(served: Served, admin: TestClient) -> None:
    admin.patch(f"/v1/locations/{COUNTY}", json={"inspects": True})
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    came = arrive(admin, number, lot("A", 60))
    assert {m["target"] for m in came["movements"]} == {f"{COUNTY}.BAY"}
    (row,) = admin.get("/v1/stock", params={"location": COUNTY}).json()["items"]
    assert (row["on_hand"], row["usable"], row["hold"]) == (60, 0, "inspection")
    reverse(admin, came)
    assert stock(admin, COUNTY) == {}
    assert admin.get(f"/v1/transfers/{number}").json()["state"] == "in_transit"
    sound(served.engine)


# -- dated back -------------------------------------------------------------------------------------------------------


def test_an_arrival_is_never_dated_before_its_dispatch(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    sent = send(admin, occurred_at="2026-03-25T10:00:00+08:00")
    address = f"/v1/transfers/{sent['document']}"
    for day in ("2026-03-24", "2026-03-24T23:59:00+08:00"):
        body = {"occurred_at": day}
        refused(
            served.engine,
            lambda body=body: admin.post(f"{address}/receipt", json=body),
            422,
            "occurred_at_out_of_bounds",
        )
        body = {"occurred_at": day, "lines": [gone("A", 1)]}
        refused(
            served.engine,
            lambda body=body: admin.post(f"{address}/settlement", json=body),
            422,
            "occurred_at_out_of_bounds",
        )
    came = arrive(admin, sent["document"], occurred_at="2026-03-25")  # from the start of the day: not before it left
    assert came["movements"][0]["occurred_at"] == "2026-03-25T02:00:00Z"
    sound(served.engine)


def test_goods_that_had_come_and_were_put_back_on_the_road_are_not_entered_behind_that(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    number = send(admin, occurred_at="2026-03-22")["document"]
    came = arrive(admin, number, lot("A", 60), occurred_at="2026-03-28")
    reverse(admin, came)
    address = f"/v1/transfers/{number}/receipt"
    body = {"occurred_at": "2026-03-25", "lines": [lot("A", 60)]}
    problem = refused(served.engine, lambda: admin.post(address, json=body), 409, "would_go_negative")
    assert (problem["day"], problem["balance"]) == ("2026-03-28", -20)
    arrive(admin, number, lot("A", 40), occurred_at="2026-03-25")
    arrive(admin, number, lot("A", 60))
    sound(served.engine)


def test_an_arrival_told_by_a_slower_clock_comes_after_what_the_faster_one_told(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    served.clock.pass_by(minutes=4)
    came = arrive(admin, number)
    reverse(admin, came)
    served.clock.at = NOW
    again = arrive(admin, number)
    assert again["movements"][0]["occurred_at"] == "2026-04-01T02:04:00Z"
    sound(served.engine)


# -- settled ----------------------------------------------------------------------------------------------------------


def test_what_never_came_is_lost_damaged_or_back_where_it_left(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    arrive(admin, number, lot("A", 60))
    told = settled(
        admin, number, gone("A", 5, "lost", "theft"), gone("A", 3, "damaged", "rain"), gone("A", 2, "returned")
    )
    assert told["document"] == "TS-20260401-000001"
    assert [(m["source"], m["target"], m["quantity"], m["reason"]) for m in told["movements"]] == [
        ("TRANSIT", "VARIANCE", 5, "lost: theft"),
        ("TRANSIT", "WASTE", 3, "damaged: rain"),
        ("TRANSIT", CITY, 2, "returned: fell off"),
    ]
    assert (told["state"], told["outstanding"][0]["outstanding"]) == ("short", 30)
    last = settled(admin, number, gone("A", 30, "returned", "refused at the door"))
    assert last["state"] == "closed"
    assert (stock(admin, CITY), stock(admin, COUNTY)) == ({"A": 32}, {"A": 60})
    sound(served.engine)


def test_goods_that_come_back_to_a_place_that_inspects_wait_in_its_bay(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    admin.patch(f"/v1/locations/{CITY}", json={"inspects": True})
    told = settled(admin, number, gone("A", 100, "returned"))
    assert told["movements"][0]["target"] == f"{CITY}.BAY"


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (gone("A", 101), 409, "more_than_sent"),
        (gone("Z", 1), 422, "unknown_lot"),
        (gone("A", 1, "eaten"), 422, "invalid_value"),
        (gone("A", 1, reason=" "), 422, "invalid_value"),
        (lot("A", 1), 422, "invalid_value"),
    ],
)
def test_p15_a_settlement_that_cannot_be_is_refused(
    served: Served, admin: TestClient, line: dict, status: int, code: str
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    address = f"/v1/transfers/{number}/settlement"
    refused(served.engine, lambda: admin.post(address, json={"lines": [line]}), status, code)


# -- undone -----------------------------------------------------------------------------------------------------------


def test_a_dispatch_is_undone_while_all_of_it_is_on_the_road(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    sent = send(admin, n95(40))
    reverse(admin, sent)
    assert stock(admin, CITY) == {"A": 100}
    assert covered(served, "371400") == (100, 0)
    told = admin.get(f"/v1/transfers/{sent['document']}").json()
    assert (told["state"], told["outstanding"]) == ("closed", [])
    body = {"lines": [lot("A", 1)]}
    address = f"/v1/transfers/{sent['document']}/receipt"
    refused(served.engine, lambda: admin.post(address, json=body), 409, "transfer_closed")
    sound(served.engine)


def test_one_line_of_a_dispatch_is_undone_and_the_other_goes_on(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(50, "A"))
    admin.post("/v1/receipts", json=receipt(50, "B", "2027-02-28"))
    sent = send(admin)
    first = sent["movements"][0]
    assert admin.post(f"/v1/movements/{first['id']}/reversal", json={"reason": "not this"}).status_code == 201
    assert admin.get(f"/v1/transfers/{sent['document']}").json()["state"] == "in_transit"
    came = arrive(admin, sent["document"])
    assert [(m["lot_number"], m["quantity"]) for m in came["movements"]] == [("B", 50)]
    assert came["state"] == "closed"
    sound(served.engine)


def test_undoing_an_arrival_puts_its_goods_back_on_the_road(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    came = arrive(admin, number)
    reverse(admin, came)
    told = admin.get(f"/v1/transfers/{number}").json()
    assert (told["state"], told["outstanding"][0]["outstanding"]) == ("in_transit", 100)
    assert covered(served, "371425") == (0, 100)
    arrive(admin, number, lot("A", 70))
    assert stock(admin, COUNTY) == {"A": 70}
    sound(served.engine)


def test_an_arrival_whose_goods_have_gone_out_is_not_undone(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    came = arrive(admin, number)
    admin.post("/v1/issues", json=issue(1) | {"location": COUNTY})
    address = f"/v1/documents/{came['document']}/reversal"
    refused(served.engine, lambda: admin.post(address, json={"reason": "x"}), 409, "insufficient_stock")


@pytest.mark.parametrize("outcome", ["lost", "damaged", "returned"])
def test_undoing_a_settlement_opens_the_transfer_again(served: Served, admin: TestClient, outcome: str) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number = send(admin)["document"]
    arrive(admin, number, lot("A", 60))
    told = settled(admin, number, gone("A", 40, outcome))
    assert told["state"] == "closed"
    reverse(admin, told)
    assert admin.get(f"/v1/transfers/{number}").json()["state"] == "short"
    assert covered(served, "371425") == (60, 40)
    arrive(admin, number, lot("A", 40))
    assert stock(admin, COUNTY) == {"A": 100}
    sound(served.engine)


# -- who may ----------------------------------------------------------------------------------------------------------


def test_p14_a_county_receives_what_is_sent_to_it_and_sends_only_what_is_its_own(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    sent = send(admin)
    clerk, manager = served.client("clerk", "371425"), served.client("manager", "371425")
    stranger, reporter = served.client("manager", "371402"), served.client("reporter", "371425")
    city_clerk = served.client("clerk")
    address = f"/v1/transfers/{sent['document']}"
    reversal = f"/v1/documents/{sent['document']}/reversal"
    settlement = {"lines": [gone("A", 1)]}
    assert clerk.get(address).status_code == 200
    for call in (
        lambda: clerk.post("/v1/transfers", json=transfer(n95(1))),
        lambda: manager.post(f"{address}/settlement", json=settlement),
        lambda: manager.post(reversal, json={"reason": "x"}),
        lambda: stranger.post(f"{address}/receipt", json={}),
        lambda: stranger.get(address),
        lambda: city_clerk.post(f"{address}/settlement", json=settlement),
        lambda: reporter.post(f"{address}/receipt", json={}),
    ):
        refused(served.engine, call, 403, "forbidden")
    arrive(clerk, sent["document"])
    back = send(clerk, n95(10), source=COUNTY, target=CITY)
    assert [m["source"] for m in back["movements"]] == [COUNTY]


def test_p14_what_lies_outside_and_what_does_not_exist_are_refused_in_the_same_bytes(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    number, nothing = send(admin, target=OTHER)["document"], "TR-20260401-000009"
    county = served.client("manager", "371425")
    for call in (
        lambda n: county.get(f"/v1/transfers/{n}"),
        lambda n: county.post(f"/v1/transfers/{n}/receipt", json={}),
        lambda n: county.post(f"/v1/transfers/{n}/settlement", json={"lines": [gone("A", 1)]}),
        lambda n: county.post(f"/v1/documents/{n}/reversal", json={"reason": "x"}),
    ):
        there, missing = call(number), call(nothing)
        assert (there.status_code, missing.status_code) == (403, 403)
        assert there.content == missing.content
    for path in (f"/v1/transfers/{nothing}", "/v1/transfers/RC-20260401-000001"):
        assert (admin.get(path).status_code, admin.get(path).json()["code"]) == (404, "unknown_transfer")


def test_p14_a_loss_on_the_road_is_undone_by_who_settled_it_and_by_nobody_elsewhere(
    served: Served, admin: TestClient
) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    told = settled(admin, send(admin)["document"], gone("A", 40))
    for client in (served.client("manager", "371402"), served.client("manager", "371425")):
        for address in (
            f"/v1/documents/{told['document']}/reversal",
            f"/v1/movements/{told['movements'][0]['id']}/reversal",
        ):
            refused(
                served.engine,
                lambda client=client, address=address: client.post(address, json={"reason": "x"}),
                403,
                "forbidden",
            )
    assert served.client("clerk").post(address, json={"reason": "x"}).status_code == 403
    assert served.client("manager", CITY).post(address, json={"reason": "found"}).status_code == 201


def test_p14_a_twin_by_prefix_is_another_place(served: Served, admin: TestClient) -> None:
    with database.writing(served.engine) as session:
        for code in ("371400-W10", "371400-W1.X"):
            catalogue.add_location(
                session, catalogue.NewLocation(code, "库", "Store", LocationKind.WAREHOUSE, "371400")
            )
    admin.post("/v1/receipts", json=receipt(100))
    admin.post("/v1/receipts", json=receipt(100) | {"location": "371400-W10"})
    one, twin = served.client("clerk", CITY), served.client("clerk", "371400-W10")
    body = transfer(n95(10), source="371400-W10", target=CITY)
    refused(served.engine, lambda: one.post("/v1/transfers", json=body), 403, "forbidden")
    sent = send(one, n95(10), target="371400-W10")
    address = f"/v1/transfers/{sent['document']}/receipt"
    refused(served.engine, lambda: one.post(address, json={}), 403, "forbidden")
    arrive(twin, sent["document"])
    assert stock(admin, "371400-W10") == {"A": 110}
    assert stock(admin, CITY) == {"A": 90}


def test_transfers_are_listed_newest_first_for_both_ends_page_by_page(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(100))
    numbers = [send(admin, n95(10), target=COUNTY if n % 2 else OTHER)["document"] for n in range(5)]
    arrive(admin, numbers[1])
    county = served.client("viewer", "371425")
    assert [row["document"] for row in county.get("/v1/transfers").json()["items"]] == [numbers[3], numbers[1]]
    still = county.get("/v1/transfers", params={"state": "in_transit"}).json()["items"]
    assert [(row["document"], row["outstanding"][0]["outstanding"]) for row in still] == [(numbers[3], 10)]
    assert county.get("/v1/transfers", params={"location": CITY}).status_code == 403
    seen, cursor = [], None
    for _ in range(3):
        page = admin.get("/v1/transfers", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [row["document"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (numbers[::-1], None)
    assert admin.get("/v1/transfers", params={"state": "lost"}).status_code == 422


def test_what_is_on_the_road_at_any_moment_is_what_the_ledger_says(served: Served, admin: TestClient) -> None:
    admin.post("/v1/receipts", json=receipt(300, occurred_at="2026-03-20"))
    one = send(admin, n95(40), occurred_at="2026-03-25")
    two = send(admin, n95(30), target=OTHER, occurred_at="2026-03-26")
    arrive(admin, one["document"], lot("A", 15), occurred_at="2026-03-27")
    reverse(admin, two)
    with database.reading(served.engine) as session:
        item, places = catalogue.item(session, "N95"), {p.id: p.code for p in catalogue.places(session)}
        assert item is not None
        moments = [datetime(2026, 3, day, 16, tzinfo=UTC) for day in (24, 25, 26, 27)]
        found = [transit.on_the_road(session, item.id, at=moment) for moment in moments]
        now = transit.on_the_road(session, item.id)
        later = transit.on_the_road(session, item.id, at=NOW + timedelta(days=1))
    assert [{places[p]: n for p, n in road.items()} for road in found] == [
        {},
        {COUNTY: 40},
        {COUNTY: 40, OTHER: 30},
        {COUNTY: 25, OTHER: 30},
    ]
    assert {places[p]: n for p, n in now.items()} == {COUNTY: 25}
    assert dict(later) == dict(now)
