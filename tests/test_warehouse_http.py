"""The warehouse's routes over HTTP: disposals, origins, back-dating, reversals, numbers, owners; and no 5xx ever."""

import json
from random import Random
from uuid import uuid4

import pytest
from conftest import NOW, TODAY, entry
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusing import at_once, refused, scalar, sound, unchanged
from served import Served, issue, receipt
from sqlalchemy import Engine, text

from reserve import catalogue, counting, coverage, database
from reserve.counting import CountedLine, Selection
from reserve.model import LocationKind

CITY, COUNTY = "371400-W1", "371425-W1"


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def lot(number: str, quantity: int, item: str = "N95", **more: object) -> dict:
    return {"item": item, "lot_number": number, "quantity": quantity, **more}


def disposal(*lines: dict, reason: str = "damaged", **more: object) -> dict:
    return {"location": CITY, "reason": reason, "lines": list(lines), **more}


def adjustment(*lines: dict, **more: object) -> dict:
    return {"location": CITY, "lines": [{"reason": "lost", **line} for line in lines], **more}


def there(client: TestClient, location: str = CITY) -> dict[str, int]:
    rows = client.get("/v1/stock", params={"location": location}).json()["items"]
    return {row["lot_number"]: row["on_hand"] for row in rows}


def undo(client: TestClient, number: str, reason: str = "typed twice"):
    return client.post(f"/v1/documents/{number}/reversal", json={"reason": reason})


# -- disposals --------------------------------------------------------------------------------------------------------


def test_expired_damaged_and_recalled_goods_are_destroyed_with_a_document(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(10, "OLD", "2026-03-25", occurred_at="2026-03-20"))
    manager.post("/v1/receipts", json=receipt(10, "HELD"))
    manager.put("/v1/lots/N95/HELD/hold", json={"reason": "recall"})
    told = manager.post("/v1/disposals", json=disposal(lot("OLD", 4), reason="expired", reference="报 1")).json()
    assert told["document"] == "DS-20260401-000001"
    (moved,) = told["movements"]
    assert (moved["source"], moved["target"], moved["reason"], moved["kind"]) == (CITY, "WASTE", "expired", "disposal")
    assert manager.post("/v1/disposals", json=disposal(lot("HELD", 10), reason="recalled")).status_code == 201
    assert there(manager) == {"OLD": 6}
    sound(served.engine)


DISPOSALS = {
    "fresh goods as expired": (disposal(lot("A", 1), reason="expired"), 422, "not_expired"),
    "undated goods as expired": (disposal(lot("V", 1, "VENT"), reason="expired"), 422, "not_expired"),
    "goods that expire today": (disposal(lot("TODAY", 1), reason="expired"), 422, "not_expired"),
    "one fresh among expired": (disposal(lot("OLD", 1), lot("A", 1), reason="expired"), 422, "not_expired"),
    "more than there is": (disposal(lot("A", 101)), 409, "insufficient_stock"),
    "more than there is, in two lines": (disposal(lot("A", 60), lot("A", 41)), 409, "insufficient_stock"),
    "before they came": (disposal(lot("A", 1), occurred_at="2026-03-31"), 409, "insufficient_stock"),
    "before they expired": (
        disposal(lot("OLD", 1), reason="expired", occurred_at="2026-03-25"),
        422,
        "not_expired",
    ),
    "what went out since": (disposal(lot("GONE", 5), occurred_at="2026-03-22"), 409, "would_go_negative"),
    "an unknown lot": (disposal(lot("Z", 1)), 422, "unknown_lot"),
    "an unknown item": (disposal(lot("A", 1, "N96")), 422, "unknown_item"),
    "an unknown place": (disposal(lot("A", 1)) | {"location": "371499-W1"}, 422, "unknown_location"),
    "for fun": (disposal(lot("A", 1), reason="fun"), 422, "invalid_value"),
    "nothing": (disposal(), 422, "invalid_value"),
    "less than nothing": (disposal(lot("A", -1)), 422, "invalid_value"),
}


@pytest.mark.parametrize("case", DISPOSALS)
def test_p15_a_disposal_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    body, status, code = DISPOSALS[case]
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/receipts", json=receipt(10, "TODAY", TODAY.isoformat()))
    manager.post("/v1/receipts", json=receipt(10, "OLD", "2026-03-25", occurred_at="2026-03-20"))
    manager.post("/v1/receipts", json=receipt(10, "GONE", occurred_at="2026-03-20"))
    named = issue(10, occurred_at="2026-03-23")
    named["lines"][0] |= {"lot_number": "GONE", "override_reason": "as asked"}
    assert manager.post("/v1/issues", json=named).status_code == 201
    manager.post("/v1/receipts", json={"location": CITY, "lines": [lot("V", 1, "VENT")]})
    refused(served.engine, lambda: manager.post("/v1/disposals", json=body), status, code)


def test_p14_only_a_manager_of_the_place_destroys(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    body = disposal(lot("A", 1))
    for client in (served.client("clerk"), served.client("admin", "371425")):
        refused(served.engine, lambda c=client: c.post("/v1/disposals", json=body), 403, "forbidden")


# -- where goods came from --------------------------------------------------------------------------------------------


def test_c8_a_gift_keeps_its_donor_and_what_it_was_given_for(served: Served, manager: TestClient) -> None:
    gift = receipt(100, donor="德州市慈善总会", restriction="仅用于齐河县")
    told = manager.post("/v1/receipts", json=gift).json()
    assert [(m["source"], m["party"]) for m in told["movements"]] == [("DONOR", "德州市慈善总会")]
    (moved,) = manager.get("/v1/movements").json()["items"]
    assert moved["party"] == "德州市慈善总会"
    assert scalar(served.engine, "SELECT restriction FROM document") == "仅用于齐河县"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"supplier": "a", "donor": "b"}, "two_origins"),
        ({"donor": "a", "returned_by": "b"}, "two_origins"),
        ({"restriction": "x"}, "restriction_without_donor"),
        ({"supplier": "a", "restriction": "x"}, "restriction_without_donor"),
        ({"donor": ""}, "invalid_value"),
        ({"donor": "x" * 121}, "invalid_value"),
        ({"source": "DONOR"}, "invalid_value"),
    ],
)
def test_p15_a_receipt_has_one_origin(served: Served, manager: TestClient, more: dict, code: str) -> None:
    refused(served.engine, lambda: manager.post("/v1/receipts", json=receipt(1, **more)), 422, code)


def test_c1_what_belongs_to_another_never_counts_as_the_reserves(served: Served, manager: TestClient) -> None:
    with database.writing(served.engine) as session:
        for code, owner in (("371400-K1", "国药控股"), ("371400-K2", "九州通")):
            kept = catalogue.NewLocation(code, "库", "Kept", LocationKind.WAREHOUSE, "371400", owner=owner)
            catalogue.add_location(session, kept)
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/receipts", json=receipt(40) | {"location": "371400-K1"})
    manager.post("/v1/receipts", json=receipt(7) | {"location": "371400-K2"})
    asked = {
        owner: {r["location"]: r["on_hand"] for r in manager.get("/v1/stock", params={"owner": owner}).json()["items"]}
        for owner in ("reserve", "国药控股", "九州通", "nobody")
    }
    assert asked == {
        "reserve": {CITY: 100},
        "国药控股": {"371400-K1": 40},
        "九州通": {"371400-K2": 7},
        "nobody": {},
    }
    assert len(manager.get("/v1/stock").json()["items"]) == 3
    with database.reading(served.engine) as session:
        moment = coverage.when(None, now=NOW, zone=served.desk.zone)
        place, item = catalogue.place(session, "371400"), catalogue.item(session, "N95")
        assert place is not None
        assert item is not None
        (found,) = coverage.assess_item(session, coverage.board(session, moment), item, [place], moment)
    assert (found.row["on_hand"], found.row["usable"]) == (100, 100)
    manager.patch("/v1/locations/371400-K1", json={"inspects": True})
    manager.post("/v1/receipts", json=receipt(3) | {"location": "371400-K1"})
    bay = manager.get("/v1/stock", params={"owner": "国药控股"}).json()["items"]
    assert {r["location"]: r["on_hand"] for r in bay} == {"371400-K1": 40, "371400-K1.BAY": 3}


# -- nothing is entered behind a count --------------------------------------------------------------------------------


def counted(engine: Engine, figure: int) -> None:
    """Lot A at the city's store was counted and approved at NOW."""
    li, wang = entry(actor="Li Wei (1)"), entry(actor="Wang Fang (2)")
    with database.writing(engine) as session:
        number = counting.open_sheet(session, li, location=CITY, selection=Selection()).head.number
        counting.count(session, li, number, [CountedLine("N95", "A", figure)])
        counting.approve(session, wang, number)


BEHIND = {
    "a receipt": ("receipts", receipt(1)),
    "an issue": ("issues", issue(1)),
    "a transfer": ("transfers", {"source": CITY, "target": COUNTY, "lines": [{"item": "N95", "quantity": 1}]}),
    "a disposal": ("disposals", disposal(lot("A", 1))),
    "a gain": ("adjustments", adjustment(lot("A", 1, reason="found"))),
    "a loss": ("adjustments", adjustment(lot("A", -1))),
}


@pytest.mark.parametrize("case", BEHIND)
def test_a5_nothing_is_entered_behind_an_approved_count(served: Served, manager: TestClient, case: str) -> None:
    route, body = BEHIND[case]
    for place in (CITY, COUNTY):
        manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20") | {"location": place})
    counted(served.engine, 98)
    served.clock.pass_by(days=2)
    for moment in ("2026-03-25", "2026-03-31T10:00:00+08:00", "2026-04-01T02:00:00Z"):
        late = body | {"occurred_at": moment}
        problem = refused(
            served.engine, lambda late=late: manager.post(f"/v1/{route}", json=late), 409, "before_last_count"
        )
        assert problem["errors"][0]["pointer"] == "/lines/0"
        assert "2026-04-01" in problem["detail"]
    after = body | {"occurred_at": "2026-04-01T02:00:01Z"}
    assert manager.post(f"/v1/{route}", json=after).status_code == 201
    assert manager.post(f"/v1/{route}", json=body).status_code == 201
    sound(served.engine)


@pytest.mark.parametrize("case", ["a receipt", "an issue", "a disposal", "a loss"])
def test_a5_a_count_binds_its_own_lot_and_place_alone(served: Served, manager: TestClient, case: str) -> None:
    route, body = BEHIND[case]
    for place in (CITY, COUNTY):
        manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20") | {"location": place})
    counted(served.engine, 100)
    elsewhere = body | {"location": COUNTY, "occurred_at": "2026-03-25"}
    assert manager.post(f"/v1/{route}", json=elsewhere).status_code == 201
    other = receipt(5, "B", "2026-12-31", occurred_at="2026-03-25")
    assert manager.post("/v1/receipts", json=other).status_code == 201


def test_a5_an_arrival_and_an_inspection_are_not_entered_behind_a_count(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    manager.post("/v1/receipts", json=receipt(50, occurred_at="2026-03-20") | {"location": COUNTY})
    sent = {"source": COUNTY, "target": CITY, "lines": [{"item": "N95", "quantity": 20}], "occurred_at": "2026-03-22"}
    number = manager.post("/v1/transfers", json=sent).json()["document"]
    counted(served.engine, 100)
    served.clock.pass_by(days=1)
    address = f"/v1/transfers/{number}/receipt"
    late = {"occurred_at": "2026-03-30"}
    refused(served.engine, lambda: manager.post(address, json=late), 409, "before_last_count")
    line = lot("A", 20, outcome="lost", reason="x")
    assert manager.post(f"/v1/transfers/{number}/settlement", json={"lines": [line], **late}).status_code == 201
    sound(served.engine)


def test_five_thousand_lines_may_be_dated_back(served: Served, manager: TestClient) -> None:
    lines = [lot(f"L{n}", 1, expires_on="2027-01-31") for n in range(5000)]
    body = {"location": CITY, "lines": lines, "occurred_at": "2026-03-25"}
    told = manager.post("/v1/receipts", json=body)
    assert told.status_code == 201
    undone = undo(manager, told.json()["document"])
    assert undone.status_code == 201
    assert len(undone.json()["movements"]) == 5000
    assert there(manager) == {}


# -- documents undone -------------------------------------------------------------------------------------------------


def test_a6_a_document_is_undone_whole_once_and_what_was_undone_before_is_left_out(
    served: Served, manager: TestClient
) -> None:
    body = receipt(10)
    body["lines"] += [lot("B", 20, expires_on="2027-02-28"), lot("C", 30, expires_on="2027-03-31")]
    told = manager.post("/v1/receipts", json=body).json()
    one = told["movements"][1]["id"]
    assert manager.post(f"/v1/movements/{one}/reversal", json={"reason": "x"}).status_code == 201
    undone = undo(manager, told["document"]).json()
    assert undone["document"] == "RV-20260401-000002"
    assert sorted((m["lot_number"], m["quantity"]) for m in undone["movements"]) == [("A", 10), ("C", 30)]
    assert {m["reason"] for m in undone["movements"]} == {"typed twice"}
    assert there(manager) == {}
    refused(served.engine, lambda: undo(manager, told["document"]), 409, "already_reversed")
    refused(served.engine, lambda: undo(manager, undone["document"]), 409, "not_reversible")
    sound(served.engine)


def test_p04_a_document_of_which_one_line_is_gone_is_not_half_undone(served: Served, manager: TestClient) -> None:
    body = receipt(10)
    body["lines"].append(lot("B", 20, expires_on="2027-02-28"))
    told = manager.post("/v1/receipts", json=body).json()
    manager.post("/v1/issues", json=issue(11))
    refused(served.engine, lambda: undo(manager, told["document"]), 409, "insufficient_stock")
    assert there(manager) == {"B": 19}


def test_a_document_undone_by_eight_at_once_is_undone_once(served: Served, manager: TestClient) -> None:
    number = manager.post("/v1/receipts", json=receipt(10)).json()["document"]
    clerks = [served.client("clerk") for _ in range(8)]
    answers = at_once([lambda c=c: undo(c, number) for c in clerks])
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"already_reversed"}
    sound(served.engine)


def test_p14_what_a_manager_recorded_a_manager_undoes_and_nobody_foreign(served: Served, manager: TestClient) -> None:
    clerk, county = served.client("clerk"), served.client("admin", "371425")
    came = manager.post("/v1/receipts", json=receipt(100)).json()["document"]
    burnt = manager.post("/v1/disposals", json=disposal(lot("A", 1))).json()["document"]
    lost = manager.post("/v1/adjustments", json=adjustment(lot("A", -1))).json()["document"]
    for number in (burnt, lost):
        refused(served.engine, lambda number=number: undo(clerk, number), 403, "forbidden")
        assert undo(manager, number).status_code == 201
    for number in (came, burnt, lost, "RC-20260401-000999"):
        refused(served.engine, lambda number=number: undo(county, number), 403, "forbidden")
        assert undo(county, number).content == undo(county, "RC-20260401-000998").content
    refused(served.engine, lambda: undo(manager, "RC-20260401-000999"), 404, "unknown_document")
    for bad in ("x", "RC-2026-1", "RC-20260401-", "rc-20260401-000001"):
        assert undo(manager, bad).status_code == 422
    address = f"/v1/documents/{came}/reversal"
    for body in ({}, {"reason": ""}, {"reason": "x", "actor": "y"}):
        refused(served.engine, lambda body=body: manager.post(address, json=body), 422, "invalid_value")
    assert undo(clerk, came).status_code == 201


def test_a_return_is_undone_like_any_receipt(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100))
    manager.post("/v1/issues", json=issue(40))
    back = manager.post("/v1/receipts", json=receipt(10, returned_by="急诊")).json()
    assert there(manager) == {"A": 70}
    undone = undo(manager, back["document"]).json()
    assert [(m["source"], m["target"]) for m in undone["movements"]] == [(CITY, "CONSUMER")]
    assert there(manager) == {"A": 60}
    sound(served.engine)


# -- numbers ----------------------------------------------------------------------------------------------------------


def patiently(client: TestClient, path: str, body: dict) -> Response:
    """As a terminal sends: told that the server is busy, it sends again, with the same key."""
    headers = {"Idempotency-Key": uuid4().hex}
    for _ in range(20):
        answer = client.post(path, json=body, headers=headers)
        if answer.status_code != 503:
            break
    return answer


def test_numbers_have_no_gaps_under_sixteen_clients_and_refusals_between(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(100_000))
    clients = [served.client("manager") for _ in range(16)]

    def mixed(n: int) -> list[tuple[int, str]]:
        client, seen = clients[n], []
        for k in range(3):
            step = (n + k) % 3
            sent = {"source": CITY, "target": COUNTY, "lines": [{"item": "N95", "quantity": 1}]}
            answers = [
                patiently(client, "/v1/receipts", receipt(1, "Z" if step else "A")),
                patiently(client, "/v1/issues", issue(1 if step else 10**9)),
                patiently(client, "/v1/disposals", disposal(lot("A" if step else "NOPE", 1))),
                patiently(client, "/v1/transfers", sent),
            ]
            seen += [(a.status_code, a.json().get("document", "")) for a in answers]
        return seen

    found = [pair for seen in at_once([lambda n=n: mixed(n) for n in range(16)]) for pair in seen]
    assert {status for status, _ in found} <= {201, 409, 422}
    assert sum(status == 201 for status, _ in found) > 100
    numbers = sorted(number for status, number in found if status == 201)
    kinds = {number[:2] for number in numbers}
    assert kinds == {"RC", "IS", "DS", "TR"}
    for kind in kinds:
        own = [int(number[-6:]) for number in numbers if number.startswith(kind)]
        first = 2 if kind == "RC" else 1
        assert own == list(range(first, len(own) + first))
    sound(served.engine)


# -- everything at once -----------------------------------------------------------------------------------------------


class Hand:
    """A clerk and a manager who do whatever the dice say, and write down how each call was answered."""

    def __init__(self, served: Served, seed: int) -> None:
        self.manager, self.clerk = served.client("manager"), served.client("clerk")
        self.dice = Random(seed)  # noqa: S311 - no secret
        self.seen: list[int] = []

    def call(self, client: TestClient, route: str, body: dict, method: str = "post") -> str | None:
        answer = client.request(method, f"/v1/{route}", json=body)
        self.seen.append(answer.status_code)
        return answer.json().get("document") or answer.json().get("number")

    def undo(self, number: str | None, chance: float = 0.5) -> None:
        if number and self.dice.random() < chance:
            self.call(self.manager, f"documents/{number}/reversal", {"reason": "x"})

    def lines(self, **more: object) -> list[dict]:
        return [lot(name, self.dice.randint(1, 9), **more) for name in self.dice.sample("ABC", 3)]

    def send(self) -> None:
        here, other = self.dice.sample((CITY, COUNTY), 2)
        lines = self.lines()
        picked = [{**line, "override_reason": "as asked"} for line in lines]
        sent = self.call(self.clerk, "transfers", {"source": here, "target": other, "lines": picked})
        self.call(self.clerk, f"transfers/{sent}/receipt", {"lines": lines[:2]})
        back = [{**lines[2], "outcome": "returned", "reason": "x"}]
        self.undo(self.call(self.manager, f"transfers/{sent}/settlement", {"lines": back}))
        self.undo(sent)

    def inspect(self) -> None:
        body = {"location": COUNTY, "inspector": "x", "lines": self.lines(outcome="passed")}
        self.undo(self.call(self.manager, "inspections", body))

    def hand_out(self) -> None:
        here = self.dice.choice((CITY, COUNTY))
        lines = self.lines(override_reason="as asked")
        self.undo(self.call(self.clerk, "issues", {"location": here, "purpose": "use", "lines": lines}), chance=1)
        self.call(self.manager, "adjustments", {"location": here, "lines": self.lines(reason="found")})

    def promise(self) -> None:
        lines = [{"item": "N95", "quantity": 5}]
        asked = {"location": self.dice.choice((CITY, COUNTY)), "purpose": "use", "recipient": "x", "lines": lines}
        number = self.call(self.clerk, "requisitions", asked)
        self.call(self.manager, f"requisitions/{number}/approval", {})
        self.undo(self.call(self.clerk, f"requisitions/{number}/issue", {}))

    def hold(self) -> None:
        if self.dice.random() < 0.3:
            self.call(self.clerk, f"lots/N95/{self.dice.choice('ABC')}/hold", {"reason": "damage"}, "put")
            self.call(self.manager, f"lots/N95/{self.dice.choice('ABC')}/hold", {}, "delete")

    def work(self, rounds: int) -> list[int]:
        for _ in range(rounds):
            for act in self.dice.sample([self.send, self.inspect, self.hand_out, self.promise, self.hold], 5):
                act()
        return self.seen


def test_p03_eight_clerks_doing_everything_at_once_meet_no_deadlock_and_leave_sound_books(
    served: Served, manager: TestClient
) -> None:
    for place in (CITY, COUNTY):
        for name in ("A", "B", "C"):
            manager.post("/v1/receipts", json=receipt(300, name) | {"location": place})
    manager.patch(f"/v1/locations/{COUNTY}", json={"inspects": True})
    hands = [Hand(served, n) for n in range(8)]
    codes = [code for seen in at_once([lambda h=hand: h.work(5) for hand in hands]) for code in seen]
    assert set(codes) <= {200, 201, 409, 422}
    assert codes.count(201) > len(codes) / 3
    promised = "SELECT count(*) FROM allocation a JOIN balance b USING (location_id, lot_id) WHERE quantity > on_hand"
    assert scalar(served.engine, promised) == 0
    sound(served.engine)


# -- never a 5xx ------------------------------------------------------------------------------------------------------

ROUTES = {
    "/v1/receipts": receipt(5, supplier="x"),
    "/v1/issues": issue(1),
    "/v1/adjustments": adjustment(lot("A", -1)),
    "/v1/disposals": disposal(lot("A", 1)),
    "/v1/inspections": {
        "location": CITY,
        "inspector": "x",
        "lines": [lot("A", 1, outcome="downgraded", reason="x", into_item="VENT")],
    },
    "/v1/transfers": {"source": CITY, "target": COUNTY, "lines": [{"item": "N95", "quantity": 1}]},
    "/v1/transfers/TR-20260401-000001/receipt": {"lines": [lot("A", 1)]},
    "/v1/transfers/TR-20260401-000001/settlement": {"lines": [lot("A", 1, outcome="lost", reason="x")]},
    "/v1/requisitions": {
        "location": CITY,
        "purpose": "use",
        "recipient": "x",
        "lines": [{"item": "N95", "quantity": 1}],
    },
    "/v1/requisitions/RQ-20260401-000001/approval": {"lines": [{"item": "N95", "quantity": 1}]},
    "/v1/requisitions/RQ-20260401-000001/issue": {"lines": [{"item": "N95", "quantity": 1}]},
    "/v1/requisitions/RQ-20260401-000001/cancellation": {"reason": "x"},
    "/v1/requisitions/RQ-20260401-000001/reallocation": {},
    "/v1/documents/RC-20260401-000001/reversal": {"reason": "x"},
    "/v1/movements/1/reversal": {"reason": "x"},
    "/v1/scan": {"data": "6901234567892"},
}

WORDS = ["N95", "VENT", CITY, COUNTY, "TRANSIT", "SUPPLIER", "A", "B", "2026-03-25", "2026-02-30", "0001-01-01", "%"]
WORDS += ["2026-04-01T02:00:00Z", "9999-12-31T23:59:59-23:59", "passed", "lost", "use", "expired", "' OR 1=1"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.sampled_from([0, 1, -1, 10**15, 10**15 + 1, 2**63, 5.0, 1e300]),
    st.text(max_size=8),
    st.sampled_from(WORDS),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@st.composite
def bent(draw: st.DrawFn) -> tuple[str, object]:
    """A good body of a route with one to three of its values, anywhere, replaced, added or taken away."""
    route = draw(st.sampled_from(sorted(ROUTES)))
    body = json.loads(json.dumps(ROUTES[route]))
    for _ in range(draw(st.integers(1, 3))):
        node = body
        if node.get("lines") and isinstance(node["lines"], list) and draw(st.booleans()):
            if draw(st.booleans()):
                node["lines"].append(json.loads(json.dumps(node["lines"][0])))
            node = node["lines"][-1]
        if not isinstance(node, dict):
            continue
        name = draw(st.sampled_from([*node, "occurred_at", "lot_number", "lines", "reason", "expires_on", "scan"]))
        if draw(st.integers(0, 4)) == 0:
            node.pop(name, None)
        else:
            node[name] = draw(VALUES)
    return route, body


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(case=bent())
def test_p13_no_bent_body_makes_the_server_fail(served: Served, manager: TestClient, case: tuple[str, object]) -> None:
    if not scalar(served.engine, "SELECT count(*) FROM document"):
        clerk = served.client("clerk")
        manager.post("/v1/receipts", json=receipt(1000))
        manager.patch(f"/v1/locations/{COUNTY}", json={"inspects": True})
        manager.post("/v1/transfers", json=ROUTES["/v1/transfers"] | {"lines": [{"item": "N95", "quantity": 500}]})
        clerk.post("/v1/requisitions", json=ROUTES["/v1/requisitions"])
    route, body = case
    headers = {"Content-Type": "application/json"}
    content = json.dumps(body).encode()
    answer = manager.post(route, content=content, headers=headers)
    assert answer.status_code < 500, (route, body, answer.text)
    if answer.status_code >= 400:
        assert answer.json()["code"]
        with unchanged(served.engine):
            manager.post(route, content=content, headers=headers)


def test_p15_every_route_refuses_a_body_that_is_none(served: Served, manager: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for route, body in ROUTES.items():
        for content, status in ((b"", 400), (b"[]", 422), (b"null", 422), (b'{"a": NaN}', 400), (b"\xff", 400)):
            with unchanged(served.engine):
                answer = manager.post(route, content=content, headers=headers)
            assert answer.status_code == status, (route, content, answer.text)
        with unchanged(served.engine):
            assert manager.post(route, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
        if route != "/v1/scan":  # asks, and records nothing
            misspelt = f"{route}?force=1"
            refused(served.engine, lambda m=misspelt, b=body: manager.post(m, json=b), 422, "unknown_parameter")


def test_p14_nobody_records_without_a_key(served: Served) -> None:
    stranger = served.client(None)
    for route, body in ROUTES.items():
        refused(served.engine, lambda r=route, b=body: stranger.post(r, json=b), 401, "unauthenticated")
    with served.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM movement")).scalar_one() == 0
