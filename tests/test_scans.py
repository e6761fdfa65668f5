"""Scans over HTTP: what a code says, what it fills of a receipt, an issue or a transfer, and when a person reads."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusing import refused, sound, unchanged
from served import Served, receipt

CITY, COUNTY = "371400-W1", "371425-W1"
BOX, OTHER_BOX = "06901234567892", "06901234567908"
GS = "\x1d"
CODE = f"]d201{BOX}1727013110A{GS}21S1"


@pytest.fixture
def client(served: Served) -> TestClient:
    return served.client("manager")


def scan(client: TestClient, data: str, location: str | None = CITY) -> dict:
    answer = client.post("/v1/scan", json={"data": data, **({"location": location} if location else {})})
    assert answer.status_code == 200, answer.text
    return answer.json()


def line(**more: object) -> dict:
    return {"location": CITY, "lines": [more]}


def out(**more: object) -> dict:
    return {"location": CITY, "purpose": "use", "lines": [{"quantity": 1, **more}]}


# -- what a scan is ---------------------------------------------------------------------------------------------------


def test_a_scan_says_item_pack_lot_expiry_and_what_lies_here(served: Served, client: TestClient) -> None:
    client.post("/v1/receipts", json=receipt(100))
    client.post("/v1/receipts", json=receipt(40, "B", "2027-06-30"))
    client.post("/v1/receipts", json=receipt(7) | {"location": COUNTY})
    with unchanged(served.engine):
        told = scan(client, CODE)
    assert (told["form"], told["item"], told["name_zh"], told["base_unit"]) == ("gs1", "N95", "医用防护口罩", "只")
    assert told["pack"] == {"gtin": BOX, "units_per_pack": 400, "name": "箱"}
    assert (told["lot_number"], told["expires_on"], told["serial"], told["known"]) == ("A", "2027-01-31", "S1", True)
    assert (told["location"], told["on_hand"], told["usable"], told["lot_on_hand"]) == (CITY, 140, 140, 100)
    assert (told["warnings"], told["holds"]) == ([], [])
    assert scan(client, CODE, "371400")["on_hand"] == 147
    assert scan(client, CODE, None)["location"] == "371400"


FORMS = {
    "an EAN of a carton": ("6901234567892", "gtin", "N95", None),
    "the same with its symbology": ("]E06901234567892", "gtin", "N95", None),
    "a DataMatrix": (CODE, "gs1", "N95", "A"),
    "typed in brackets": (f"(01){BOX}(17)270131(10)A", "gs1", "N95", "A"),
    "a digital link": (f"https://id.gs1.org/01/{BOX}/10/A?17=270131", "digital_link", "N95", "A"),
    "our label of a lot": ("L:N95/A", "label", "N95", "A"),
    "our label of a lot with a stroke": ("L:N95/A/1", "label", "N95", "A/1"),
    "our label of a place": ("R:371400-W1", "reference", None, None),
    "our label of a document": ("R:RC-20260401-000001", "reference", None, None),
    "a pallet": ("00069012345678900002", "gs1", None, None),
}


@pytest.mark.parametrize("case", FORMS)
def test_every_form_of_code_is_read(client: TestClient, case: str) -> None:
    data, form, item, lot = FORMS[case]
    told = scan(client, data)
    assert (told["form"], told["item"], told["lot_number"]) == (form, item, lot)
    assert told["reference"] == (data[2:] if form == "reference" else None)


UNREADABLE = {
    "nothing": "",
    "spaces": "  ",
    "a wrong check digit": "6901234567893",
    "a sentence": "hello",
    "a HIBC code": "+A123BJC5D6E71G",
    "a day that is none": f"01{BOX}17271331",
    "a label of ours, torn": "L:",
    "a label of an item that is none": "L:NOPE/A",
    "a label without its lot": "L:N95",
    "a label with a lot nobody can have": "L:N95/" + "A" * 21,
    "a label with a space in its lot": "L:N95/A B",
    "a place, torn": "R:",
    "a place in another script": "R:\u5e93",
    "NUL": "\x00",
    "a line break in a label": "L:N95/A\nB",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_code_that_cannot_be_read_says_why(served: Served, client: TestClient, case: str) -> None:
    body = {"data": UNREADABLE[case]}
    refused(served.engine, lambda: client.post("/v1/scan", json=body), 422, "unreadable_scan")


def test_half_a_character_is_refused_before_it_is_read(served: Served, client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for data in ("\\ud800", "L:N95/\\ud800"):
        content = f'{{"data": "{data}"}}'
        refused(
            served.engine,
            lambda content=content: client.post("/v1/scan", content=content, headers=headers),
            422,
            "invalid_value",
        )


def test_a_scan_is_asked_in_its_own_place(served: Served, client: TestClient) -> None:
    county = served.client("viewer", "371425")
    client.post("/v1/receipts", json=receipt(100))
    assert scan(county, CODE, None)["on_hand"] == 0
    for place in (CITY, "NOPE"):
        assert county.post("/v1/scan", json={"data": CODE, "location": place}).status_code == 403
    assert client.post("/v1/scan", json={"data": CODE, "location": "NOPE"}).status_code == 404
    assert client.post("/v1/scan", json={"data": "x" * 513}).status_code == 422
    assert client.post("/v1/scan", json={}).status_code == 422
    assert served.client(None).post("/v1/scan", json={"data": CODE}).status_code == 401


def test_a_scan_warns_of_what_a_clerk_must_not_miss(served: Served, client: TestClient) -> None:
    client.post("/v1/receipts", json=receipt(100))
    assert scan(client, f"01{OTHER_BOX}10A")["warnings"] == ["unknown_gtin"]
    assert scan(client, f"01{BOX}1728013110A")["warnings"] == ["lot_conflict"]
    assert scan(client, f"01{BOX}1725013110NEW")["warnings"] == ["expired"]
    client.put("/v1/lots/N95/A/hold", json={"reason": "recall"})
    told = scan(client, CODE)
    assert (told["warnings"], told["holds"], told["usable"]) == (["on_hold"], ["recall"], 0)
    served.clock.pass_by(days=365)
    assert scan(client, "L:N95/A")["warnings"] == ["expired", "on_hold"]
    assert scan(client, f"01{BOX}10A2155")["warnings"] == ["lot_may_hold_more"]


# -- into a receipt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "quantity"),
    [
        ({"scan": CODE, "packs": 3}, 1200),
        ({"scan": CODE, "quantity": 7}, 7),
        ({"scan": f"02{BOX}1727013110A{GS}3705"}, 2000),
        ({"scan": f"02{BOX}1727013110A{GS}3705", "quantity": 3}, 3),
        ({"scan": CODE, "quantity": 7, "item": "N95", "gtin": "6901234567892", "lot_number": "A"}, 7),
        ({"scan": CODE, "quantity": 7, "expires_on": "2027-01-31"}, 7),
        ({"scan": "6901234567892", "lot_number": "A", "expires_on": "2027-01-31", "packs": 1}, 400),
        ({"scan": f"(01){BOX}(11)250131(17)270131(10)A", "packs": 1}, 400),
    ],
)
def test_a_scan_fills_the_line_of_a_receipt(client: TestClient, given: dict, quantity: int) -> None:
    answer = client.post("/v1/receipts", json=line(**given))
    assert answer.status_code == 201, answer.text
    (moved,) = answer.json()["movements"]
    assert (moved["item"], moved["lot_number"], moved["expires_on"], moved["quantity"]) == (
        "N95",
        "A",
        "2027-01-31",
        quantity,
    )


DISAGREE = {
    "item": ({"item": "VENT"}, "/lines/0/item"),
    "gtin": ({"gtin": OTHER_BOX}, "/lines/0/gtin"),
    "lot": ({"lot_number": "B"}, "/lines/0/lot_number"),
    "expiry": ({"expires_on": "2028-01-31"}, "/lines/0/expires_on"),
}


@pytest.mark.parametrize("what", DISAGREE)
def test_p15_a_line_that_disagrees_with_its_scan_is_refused(served: Served, client: TestClient, what: str) -> None:
    more, pointer = DISAGREE[what]
    body = line(scan=CODE, quantity=1, **more)
    problem = refused(served.engine, lambda: client.post("/v1/receipts", json=body), 422, "scan_disagrees")
    assert problem["errors"][0]["pointer"] == pointer


BAD_LINES = {
    "unreadable": ({"scan": "6901234567893", "quantity": 1, "lot_number": "A"}, "unreadable_scan", "/lines/0/scan"),
    "empty": ({"scan": " ", "quantity": 1, "lot_number": "A"}, "unreadable_scan", "/lines/0/scan"),
    "a place": ({"scan": "R:371400-W1", "quantity": 1, "lot_number": "A"}, "unreadable_scan", "/lines/0/scan"),
    "an unknown pack": ({"scan": f"01{OTHER_BOX}10A", "quantity": 1}, "unknown_gtin", "/lines/0/scan"),
    "no lot": ({"scan": "6901234567892", "quantity": 1}, "invalid_value", "/lines/0/lot_number"),
    "a pallet": ({"scan": "00069012345678900002", "quantity": 1, "lot_number": "A"}, "invalid_value", "/lines/0"),
    "no expiry": ({"scan": f"01{BOX}10A", "quantity": 1}, "expiry_required", "/lines/0/expires_on"),
    "a doubt": ({"scan": f"01{BOX}1727013110A2155", "packs": 1}, "lot_may_hold_more", "/lines/0/scan"),
    "no quantity": ({"scan": CODE}, "invalid_value", "/lines/0/quantity"),
    "two quantities": ({"scan": CODE, "quantity": 1, "packs": 1}, "invalid_value", "/lines/0/quantity"),
    "too many packs": ({"scan": CODE, "packs": 10**15}, "quantity_too_large", "/lines/0/packs"),
    "a long code": ({"scan": "9" * 513, "quantity": 1}, "invalid_value", "/lines/0/scan"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_p15_a_scan_that_does_not_say_enough_is_refused(served: Served, client: TestClient, case: str) -> None:
    given, code, pointer = BAD_LINES[case]
    problem = refused(served.engine, lambda: client.post("/v1/receipts", json=line(**given)), 422, code)
    assert problem["errors"][0]["pointer"] == pointer


def test_a_bad_scan_is_named_by_its_own_line(served: Served, client: TestClient) -> None:
    body = line(scan=CODE, quantity=1)
    body["lines"].append({"scan": "6901234567893", "quantity": 1, "lot_number": "A"})
    problem = refused(served.engine, lambda: client.post("/v1/receipts", json=body), 422, "unreadable_scan")
    assert problem["errors"][0]["pointer"] == "/lines/1/scan"


def test_a_doubtful_lot_is_taken_once_a_person_has_read_it(client: TestClient) -> None:
    given = {"scan": f"01{BOX}1727013110A2155", "packs": 1, "lot_number": "A"}
    (moved,) = client.post("/v1/receipts", json=line(**given)).json()["movements"]
    assert (moved["lot_number"], moved["quantity"]) == ("A", 400)


def test_a_scan_with_other_dates_than_the_books_know_is_a_conflict(served: Served, client: TestClient) -> None:
    client.post("/v1/receipts", json=receipt(100))
    body = line(scan=f"01{BOX}1728013110A", packs=1)
    refused(served.engine, lambda: client.post("/v1/receipts", json=body), 409, "lot_conflict")


def test_goods_come_back_by_our_own_label(served: Served, client: TestClient) -> None:
    client.post("/v1/receipts", json=receipt(100))
    client.post("/v1/issues", json=out(item="N95", quantity=10))
    answer = client.post("/v1/receipts", json=line(scan="L:N95/A", quantity=4) | {"returned_by": "急诊"})
    (moved,) = answer.json()["movements"]
    assert (moved["source"], moved["lot_number"], moved["expires_on"], moved["party"]) == (
        "CONSUMER",
        "A",
        "2027-01-31",
        "急诊",
    )
    new = line(scan="L:N95/NEW", quantity=4)
    refused(served.engine, lambda: client.post("/v1/receipts", json=new), 422, "expiry_required")
    dated = line(scan="L:N95/A", quantity=4, expires_on="2028-01-31")
    refused(served.engine, lambda: client.post("/v1/receipts", json=dated), 422, "scan_disagrees")
    sound(served.engine)


# -- into what goes out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [CODE, "L:N95/A", f"(01){BOX}(10)A"])
def test_a_scan_names_item_and_lot_of_what_goes_out(client: TestClient, data: str) -> None:
    client.post("/v1/receipts", json=receipt(100))
    (moved,) = client.post("/v1/issues", json=out(scan=data, quantity=3)).json()["movements"]
    assert (moved["lot_number"], moved["quantity"]) == ("A", 3)
    sent = {"source": CITY, "target": COUNTY, "lines": [{"scan": data, "quantity": 2}]}
    (moved,) = client.post("/v1/transfers", json=sent).json()["movements"]
    assert (moved["lot_number"], moved["quantity"], moved["target"]) == ("A", 2, "TRANSIT")


def test_a_carton_code_without_a_lot_lets_the_first_to_expire_go(client: TestClient) -> None:
    client.post("/v1/receipts", json=receipt(10, "LATE", "2028-01-31"))
    client.post("/v1/receipts", json=receipt(10, "SOON", "2026-06-30"))
    (moved,) = client.post("/v1/issues", json=out(scan="6901234567892")).json()["movements"]
    assert moved["lot_number"] == "SOON"


OUT = {
    "unreadable": ({"scan": "6901234567893"}, 422, "unreadable_scan"),
    "another item": ({"scan": CODE, "item": "VENT"}, 422, "scan_disagrees"),
    "another lot": ({"scan": CODE, "lot_number": "LATE"}, 422, "scan_disagrees"),
    "a lot that is not here": ({"scan": f"01{BOX}10ZZZ"}, 422, "unknown_lot"),
    "not the first to expire": ({"scan": "L:N95/LATE"}, 422, "override_reason_required"),
    "an unknown pack": ({"scan": f"01{OTHER_BOX}10A"}, 422, "unknown_gtin"),
    "other dates": ({"scan": f"01{BOX}1728013110A"}, 409, "lot_conflict"),
    "a place": ({"scan": "R:371400-W1"}, 422, "unreadable_scan"),
    "a pallet": ({"scan": "00069012345678900002"}, 422, "invalid_value"),
    "nothing": ({}, 422, "invalid_value"),
}


@pytest.mark.parametrize("case", OUT)
def test_p15_a_scan_that_does_not_fit_hands_nothing_out(served: Served, client: TestClient, case: str) -> None:
    given, status, code = OUT[case]
    client.post("/v1/receipts", json=receipt(100))
    client.post("/v1/receipts", json=receipt(100, "LATE", "2028-01-31"))
    problem = refused(served.engine, lambda: client.post("/v1/issues", json=out(**given)), status, code)
    assert all(fault["pointer"].startswith("/lines/0") for fault in problem["errors"])
    sent = {"source": CITY, "target": COUNTY, "lines": [{"quantity": 1, **given}]}
    refused(served.engine, lambda: client.post("/v1/transfers", json=sent), status, code)


PARTS = [
    f"01{BOX}",
    f"02{BOX}",
    BOX,
    "01",
    "10",
    "17",
    "21",
    "30",
    "37",
    "00",
    "270131",
    GS,
    "(01)",
    "(10)",
    "L:",
    "R:",
]
PARTS += ["N95/", "A", "9", "MA.156.M0.", "https://", "]d2", "+", "/", "%", "0" * 9]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PARTS), max_size=9).map("".join)))
def test_p13_no_scan_makes_the_server_fail(served: Served, client: TestClient, data: str) -> None:
    assert client.post("/v1/scan", json={"data": data, "location": CITY}).status_code in {200, 422}
    for address, body in (("receipts", line(scan=data, quantity=1)), ("issues", out(scan=data))):
        assert client.post(f"/v1/{address}", json=body).status_code in {201, 409, 422}
