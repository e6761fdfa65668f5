"""What is to come: orders, what came of them, what is on the road, and that no unit of it is counted twice."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusing import refused, scalar, sound
from served import Served, receipt
from sqlalchemy import Engine
from sqlmodel import Session

from reserve import catalogue, commitments, database, ledger, stock, supply
from reserve.commitments import NewCommitment
from reserve.entry import Entry
from reserve.errors import Refusal
from reserve.lines import ReceiptLine
from reserve.model import CommitmentKind
from reserve.supply import Coming, PlannedRow

CITY, COUNTY = "371400-W1", "371425-W1"


@pytest.fixture
def manager(served: Served) -> TestClient:
    return served.client("manager")


def order(quantity: int = 1000, **more: object) -> dict:
    return {"item": "N95", "location": CITY, "quantity": quantity, "expected_on": "2026-04-10", **more}


def plan(client: TestClient, quantity: int = 1000, **more: object) -> str:
    answer = client.post("/v1/planned-receipts", json=order(quantity, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


def change(client: TestClient, number: str, **body: object) -> dict:
    answer = client.post(f"/v1/planned-receipts/{number}/changes", json={"reason": "厂家来函", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def changing(client: TestClient, number: str, **body: object) -> Callable[[], Response]:
    return lambda: client.post(f"/v1/planned-receipts/{number}/changes", json={"reason": "x", **body})


def comes(client: TestClient, number: str, quantity: int, **more: object) -> dict:
    answer = client.post("/v1/receipts", json=receipt(quantity, planned_receipt=number, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def look(client: TestClient, number: str) -> dict:
    return client.get(f"/v1/planned-receipts/{number}").json()


def coming(engine: Engine, item: str = "N95", **asked: object) -> list[Coming]:
    with database.reading(engine) as session:
        found = catalogue.item(session, item)
        assert found is not None
        return supply.coming(session, found.id, **{"as_of": TODAY, **asked})


# -- the days on which it comes, by hand ------------------------------------------------------------------------------


def one(units: int = 100, day: int | None = 5, **more: object) -> Coming:
    expected = None if day is None else TODAY + timedelta(day)
    return Coming("PR-1", "planned", 1, units, expected, None, None, None, None)._replace(**more)


SCHEDULED = {
    "an order comes whole on its day": ([one()], [(100, 5, None)]),
    "today": ([one(day=0)], [(100, 0, None)]),
    "what is overdue by a day comes today": ([one(day=-1)], [(100, 0, None)]),
    "by seven days too": ([one(day=-7)], [(100, 0, None)]),
    "by eight days it is left out": ([one(day=-8)], []),
    "without a day too": ([one(day=None)], []),
    "a batch is spread over its days": (
        [one(1000, 2, units_per_day=400)],
        [(400, 2, None), (400, 3, None), (200, 4, None)],
    ),
    "a late batch begins today": ([one(500, -3, units_per_day=400)], [(400, 0, None), (100, 1, None)]),
    "batches of one line follow each other": (
        [
            one(500, 0, units_per_day=400, commitment="CM-1"),
            one(400, 1, units_per_day=400, commitment="CM-1", number="PR-2"),
        ],
        [(400, 0, None), (100, 1, None), (400, 2, None)],
    ),
    "batches of two lines do not": (
        [
            one(500, 0, units_per_day=400, commitment="CM-1"),
            one(400, 1, units_per_day=400, commitment="CM-2", number="PR-2"),
        ],
        [(400, 0, None), (100, 1, None), (400, 1, None)],
    ),
    "its life is counted from today": ([one(expires_on=TODAY + timedelta(30))], [(100, 5, 31)]),
    "on the last day of its life it can be used": ([one(expires_on=TODAY + timedelta(5))], [(100, 5, 6)]),
    "what expires before it comes is of no use": ([one(expires_on=TODAY + timedelta(4))], []),
    "a batch as long as a century is cut at ten years": ([one(10**15, 3659, units_per_day=1)], [(1, 3659, None)]),
    "nothing": ([], []),
}


@pytest.mark.parametrize("case", SCHEDULED)
def test_the_days_on_which_it_comes(case: str) -> None:
    rows, expected = SCHEDULED[case]
    arrivals, late = supply.schedule(rows, TODAY)
    assert arrivals == expected
    assert {row.number for row in late} == ({"PR-1"} if "left out" in case or "without a day" in case else set())


@given(
    st.lists(
        st.builds(
            one,
            st.integers(1, 10**6),
            st.integers(-20, 200),
            units_per_day=st.none() | st.integers(1000, 10**6),
            commitment=st.none() | st.sampled_from(["CM-1", "CM-2"]),
        )
    )
)
def test_every_unit_comes_once_or_is_named_as_late(rows: list[Coming]) -> None:
    arrivals, late = supply.schedule(rows, TODAY)
    assert sum(units for units, _, _ in arrivals) + sum(row.units for row in late) == sum(row.units for row in rows)
    assert all(units > 0 and day >= 0 for units, day, _ in arrivals)


some_coming = st.lists(
    st.builds(
        one,
        st.integers(1, 300),
        st.none() | st.integers(-20, 60),
        units_per_day=st.none() | st.integers(1, 400),
        commitment=st.none() | st.sampled_from(["CM-1", "CM-2"]),
        number=st.sampled_from(["PR-1", "PR-2", "PR-3"]),
        expires_on=st.none() | st.integers(-5, 200).map(lambda n: TODAY + timedelta(n)),
    )
)


def by_day(parts: Iterable[tuple[int, int]]) -> dict[int, int]:
    units: dict[int, int] = defaultdict(int)
    for number, day in parts:
        units[day] += number
    return dict(units)


@given(some_coming, st.sampled_from([1, 30, supply.SPREAD_DAYS_MAX]))
def test_lines_say_in_few_figures_what_the_schedule_says_day_by_day(rows: list[Coming], within: int) -> None:
    arrivals, late = supply.schedule(rows, TODAY, within_days=within)
    found = supply.lines(rows, TODAY, within_days=within)
    spread = [(r.units_per_day, day) for r in found.rated for day in range(r.first_day, r.last_day + 1)]
    assert by_day([*((units, day) for units, day, _ in found.dated), *spread]) == by_day((a[0], a[1]) for a in arrivals)
    assert found.late == late
    assert all(r.units_per_day > 0 and 0 <= r.first_day <= r.last_day < within for r in found.rated)
    assert [a for a in arrivals if a[1] < 30 and within > 30] == [
        a for a in supply.schedule(rows, TODAY, within_days=30)[0] if within > 30
    ]


def test_a_slow_batch_is_two_figures_however_long_it_takes() -> None:
    rows = [one(3 * 3600 + 1, 1, units_per_day=3, number=f"PR-{n}") for n in range(300)]
    found = supply.lines(rows, TODAY)
    assert (len(found.dated), found.rated) == (300, [supply.Rated(3, 1, 3600)] * 300)
    assert found.dated[0] == (1, 3601, None)
    assert len(supply.schedule(rows, TODAY, within_days=90)[0]) == 300 * 89


def row(quantity: int, day: int, came: int = 0, number: str = "PR-1", rate: int | None = 400) -> PlannedRow:
    expected = TODAY + timedelta(day)
    facts = (quantity, expected, rate, None, TODAY, 1, "CM-1", None, None, None, NOW, "Li", came)
    return PlannedRow(1, number, 1, "N95", 1, CITY, "/1/", *facts)


@pytest.mark.parametrize(
    ("rows", "until"),
    [
        ([], None),
        ([row(1000, 2, came=1000)], None),
        ([row(1000, 2)], 4),
        ([row(1000, 2, came=800)], 4),
        ([row(1000, 2, came=400), row(400, 3, number="PR-2")], 5),
        ([row(1000, -30)], 2),
        ([row(1000, 2, rate=None)], None),
    ],
)
def test_how_long_a_line_is_busy(rows: list[PlannedRow], until: int | None) -> None:
    assert supply.line_until(rows, TODAY) == (None if until is None else TODAY + timedelta(until))


# -- ordered and changed ----------------------------------------------------------------------------------------------


def test_an_order_is_to_come_until_it_came(served: Served, manager: TestClient) -> None:
    answer = manager.post("/v1/planned-receipts", json=order(supplier="稳健医疗", reference="合同 7"))
    told = answer.json()
    assert told["number"] == "PR-20260401-000001"
    assert (told["quantity"], told["came"], told["left"], told["late"]) == (1000, 0, 1000, False)
    assert (told["ordered_on"], told["expected_on"], told["supplier"]) == ("2026-04-01", "2026-04-10", "稳健医疗")
    [found] = coming(served.engine)
    assert found[:2] == (told["number"], "planned")
    assert (found.units, found.expected_on, found.supplier) == (1000, date(2026, 4, 10), "稳健医疗")
    comes(manager, told["number"], 400)
    [found] = coming(served.engine)
    assert found.units == 600
    comes(manager, told["number"], 700, lot="B")
    assert coming(served.engine) == []
    told = look(manager, told["number"])
    assert (told["came"], told["left"], [r["quantity"] for r in told["receipts"]]) == (1100, 0, [400, 700])
    journal = served.client("admin").get("/v1/journal", params={"subject": told["number"]}).json()["items"]
    assert [r["verb"] for r in journal] == ["planned.came", "planned.came", "planned.made"]
    sound(served.engine)


def test_a_receipt_that_is_undone_opens_its_order_again(served: Served, manager: TestClient) -> None:
    number = plan(manager)
    came = comes(manager, number, 1000)
    assert look(manager, number)["left"] == 0
    undone = manager.post(f"/v1/documents/{came['document']}/reversal", json={"reason": "误录"})
    assert undone.status_code == 201, undone.text
    told = look(manager, number)
    assert (told["came"], told["left"], told["receipts"][0]["quantity"]) == (0, 1000, 0)
    assert [found.units for found in coming(served.engine)] == [1000]
    comes(manager, number, 250)
    assert look(manager, number)["left"] == 750
    sound(served.engine)


def test_only_the_lines_of_its_item_came_of_it(manager: TestClient) -> None:
    number = plan(manager, 3, item="VENT")
    lines = receipt(5)["lines"] + receipt(2, "V1", None, "VENT")["lines"]
    answer = manager.post("/v1/receipts", json={"location": CITY, "planned_receipt": number, "lines": lines})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["planned_receipt"]["came"], answer.json()["planned_receipt"]["left"]) == (2, 1)


def test_another_day_or_another_quantity_is_history(served: Served, manager: TestClient) -> None:
    number = plan(manager)
    assert change(manager, number, expected_on="2026-04-20")["expected_on"] == "2026-04-20"
    comes(manager, number, 400)
    told = change(manager, number, quantity=900)
    assert (told["quantity"], told["left"], told["expected_on"]) == (900, 500, "2026-04-20")
    assert [(c["quantity"], c["expected_on"]) for c in told["changes"]] == [(1000, "2026-04-20"), (900, "2026-04-20")]
    ended = change(manager, number, quantity=400)
    assert (ended["left"], coming(served.engine)) == (0, [])
    refused(served.engine, changing(manager, number, quantity=500), 409, "planned_ended")
    sound(served.engine)


def test_an_order_of_which_nothing_will_come_is_ended_by_0(served: Served, manager: TestClient) -> None:
    number = plan(manager)
    assert change(manager, number, quantity=0)["left"] == 0
    assert coming(served.engine) == []
    open_ones = manager.get("/v1/planned-receipts", params={"state": "open"}).json()["items"]
    done = manager.get("/v1/planned-receipts", params={"state": "done"}).json()["items"]
    assert (open_ones, [r["number"] for r in done]) == ([], [number])


BAD_CHANGES = {
    "less than came": ({"quantity": 399}, 409, "less_than_came", "/quantity"),
    "nothing at all": ({}, 422, "nothing_to_change", None),
    "a day that has been": ({"expected_on": "2026-03-31"}, 422, "invalid_value", "/expected_on"),
    "below zero": ({"quantity": -1}, 422, "invalid_value", "/quantity"),
    "more than 10^15": ({"quantity": 10**15 + 1}, 422, "invalid_value", "/quantity"),
}


@pytest.mark.parametrize("case", BAD_CHANGES)
def test_p15_a_change_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    body, status, code, pointer = BAD_CHANGES[case]
    number = plan(manager)
    comes(manager, number, 400)
    problem = refused(served.engine, changing(manager, number, **body), status, code)
    assert [fault["pointer"] for fault in problem.get("errors", [])] == ([pointer] if pointer else [])


BAD_ORDERS = {
    "an unknown item": (order(item="N96"), "unknown_item", "/item"),
    "an unknown place": (order(location="371499-W1"), "unknown_location", "/location"),
    "nothing": (order(0), "invalid_value", "/quantity"),
    "a day before it was ordered": (order(expected_on="2026-03-31"), "invalid_value", "/expected_on"),
    "ordered tomorrow": (order(ordered_on="2026-04-02"), "invalid_value", "/ordered_on"),
    "expired before it comes": (order(expires_on="2026-04-09"), "invalid_value", "/expires_on"),
    "a batch of a century": (order(10**6, units_per_day=1), "invalid_value", "/units_per_day"),
    "a call-up without a call": (order(commitment="CM-20260401-000001"), "invalid_value", "/commitment"),
}


@pytest.mark.parametrize("case", BAD_ORDERS)
def test_p15_an_order_that_cannot_be_is_refused(served: Served, manager: TestClient, case: str) -> None:
    body, code, pointer = BAD_ORDERS[case]
    problem = refused(served.engine, lambda: manager.post("/v1/planned-receipts", json=body), 422, code)
    assert problem["errors"][0]["pointer"] == pointer


# -- a receipt that names it ------------------------------------------------------------------------------------------


def test_goods_come_where_they_were_planned_or_inside(served: Served, manager: TestClient) -> None:
    for planned_at, comes_to in ((CITY, CITY), ("371400", CITY), ("371400", COUNTY), (COUNTY, "371425")):
        number = plan(manager, location=planned_at)
        assert comes(manager, number, 1, location=comes_to)["planned_receipt"]["came"] == 1
    number = plan(manager, location=COUNTY)
    elsewhere = receipt(1, planned_receipt=number)
    problem = refused(
        served.engine, lambda: manager.post("/v1/receipts", json=elsewhere), 422, "unknown_planned_receipt"
    )
    assert problem["errors"][0]["pointer"] == "/planned_receipt"


def test_a_clerk_hears_nothing_of_what_is_planned_elsewhere(served: Served, manager: TestClient) -> None:
    number = plan(manager)
    clerk = served.client("clerk", "371425")
    details = []
    for named in (number, "PR-20260401-000099"):
        body = receipt(1, planned_receipt=named) | {"location": COUNTY}
        problem = refused(
            served.engine, lambda b=body: clerk.post("/v1/receipts", json=b), 422, "unknown_planned_receipt"
        )
        details.append(problem["detail"].replace(named, "PR"))
    assert details[0] == details[1]
    assert clerk.get("/v1/planned-receipts").json()["items"] == []
    assert clerk.get(f"/v1/planned-receipts/{number}").status_code == 403
    assert clerk.get("/v1/planned-receipts/PR-20260401-000099").status_code == 403


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (receipt(2, "V", None, "VENT"), "item_not_planned", "/planned_receipt"),
        (receipt(2, occurred_at="2026-03-31"), "occurred_at_out_of_bounds", "/occurred_at"),
        (receipt(2) | {"planned_receipt": "no such thing"}, "invalid_value", "/planned_receipt"),
    ],
)
def test_p15_a_receipt_that_cannot_be_what_was_planned_is_refused_whole(
    served: Served, manager: TestClient, body: dict, code: str, pointer: str
) -> None:
    number = plan(manager)
    body = {"planned_receipt": number, **body}
    problem = refused(served.engine, lambda: manager.post("/v1/receipts", json=body), 422, code)
    assert problem["errors"][0]["pointer"] == pointer
    assert scalar(served.engine, "SELECT count(*) FROM document") == 0


def test_orders_are_listed_by_place_item_and_agreement_page_by_page_and_as_a_sheet(manager: TestClient) -> None:
    numbers = [plan(manager), plan(manager, location=COUNTY), plan(manager, 2, item="VENT")]
    ask = lambda **asked: manager.get("/v1/planned-receipts", params=asked).json()  # noqa: E731 - said once
    assert [r["number"] for r in ask()["items"]] == numbers[::-1]
    assert [r["number"] for r in ask(location="371425")["items"]] == [numbers[1]]
    assert [r["number"] for r in ask(item="VENT")["items"]] == [numbers[2]]
    assert ask(commitment="CM-20260401-000001")["items"] == []
    first = ask(limit=2)
    rest = ask(limit=2, cursor=first["next_cursor"])
    assert [r["number"] for r in first["items"] + rest["items"]] == numbers[::-1]
    sheet = manager.get("/v1/planned-receipts", params={"format": "csv"}).text
    assert sheet.startswith("\ufeffnumber,item,location,quantity,")


def test_only_a_manager_of_the_place_orders_and_changes(served: Served, manager: TestClient) -> None:
    number = plan(manager)
    for client in (served.client("clerk"), served.client("manager", "371425")):
        refused(served.engine, lambda c=client: c.post("/v1/planned-receipts", json=order()), 403, "forbidden")
        refused(served.engine, changing(client, number, quantity=1), 403, "forbidden")
    refused(served.engine, changing(manager, "PR-20260401-000099", quantity=1), 404, "unknown_planned_receipt")


# -- the worker hears of it -------------------------------------------------------------------------------------------


def test_whatever_changes_what_is_to_come_is_assessed_again(served: Served, manager: TestClient) -> None:
    def due(act: Callable[[], object]) -> int:
        before = scalar(served.engine, "SELECT coalesce(max(id), 0) FROM coveragedue")
        act()
        asked = "SELECT count(*) FROM coveragedue d JOIN location l ON l.id = d.location_id WHERE d.id > :before"
        return scalar(served.engine, f"{asked} AND l.code = '{CITY}'", before=before)

    assert due(lambda: plan(manager)) == 1
    number = plan(manager)
    assert due(lambda: change(manager, number, expected_on="2026-05-01")) == 1
    assert due(lambda: comes(manager, number, 10)) == 2


# -- what is on the road ----------------------------------------------------------------------------------------------


def test_goods_on_the_road_come_lot_by_lot_on_their_day(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(60, "A", "2026-06-30"))
    manager.post("/v1/receipts", json=receipt(60, "B", "2028-01-31"))
    line = {"item": "N95", "quantity": 100}
    sent = {"source": CITY, "target": COUNTY, "lines": [line], "expected_on": "2026-04-03"}
    number = manager.post("/v1/transfers", json=sent).json()["document"]
    found = coming(served.engine)
    assert [(c.number, c.kind, c.units, c.expected_on, c.expires_on) for c in found] == [
        (number, "transfer", 60, date(2026, 4, 3), date(2026, 6, 30)),
        (number, "transfer", 40, date(2026, 4, 3), date(2028, 1, 31)),
    ]
    came = [{"item": "N95", "lot_number": "A", "quantity": 50}]
    assert manager.post(f"/v1/transfers/{number}/receipt", json={"lines": came}).status_code == 201
    assert [c.units for c in coming(served.engine)] == [10, 40]
    manager.post(f"/v1/transfers/{number}/receipt", json={})
    assert coming(served.engine) == []
    dates = {"expires_on": "2026-07-31", "reason": "误读"}
    served.clock.pass_by(days=1)
    manager.patch("/v1/lots/N95/A/dates", json=dates)
    past = coming(served.engine, at=NOW + timedelta(seconds=1), known_at=NOW)
    assert past == []


def test_goods_on_the_road_are_told_as_they_were(served: Served, manager: TestClient) -> None:
    manager.post("/v1/receipts", json=receipt(60, "A", "2026-06-30"))
    sent = {"source": CITY, "target": COUNTY, "lines": [{"item": "N95", "quantity": 60}]}
    number = manager.post("/v1/transfers", json=sent).json()["document"]
    served.clock.pass_by(days=1)
    assert manager.post(f"/v1/transfers/{number}/receipt", json={}).status_code == 201
    answer = manager.patch("/v1/lots/N95/A/dates", json={"expires_on": "2026-07-31", "reason": "误读"})
    assert answer.status_code == 200, answer.text
    at = stock.end_of_day(TODAY, SHANGHAI)
    [then] = coming(served.engine, at=at)
    [known] = coming(served.engine, at=at, known_at=NOW)
    assert (then.units, then.expected_on, then.expires_on) == (60, None, date(2026, 7, 31))
    assert (known.units, known.expires_on) == (60, date(2026, 6, 30))
    assert supply.schedule([then], TODAY) == ([], [then])
    assert coming(served.engine) == []


def test_what_is_sent_or_ordered_to_another_owners_place_does_not_come_to_the_reserve(
    served: Served, manager: TestClient
) -> None:
    own = {"code": "371400-W2", "name_zh": "企业库", "name_en": "Company store", "kind": "warehouse"}
    manager.post("/v1/locations", json=own | {"parent": "371400", "owner": "稳健医疗"})
    manager.post("/v1/receipts", json=receipt(60))
    sent = {"source": CITY, "target": "371400-W2", "lines": [{"item": "N95", "quantity": 60}]}
    assert manager.post("/v1/transfers", json=sent).status_code == 201
    assert coming(served.engine) == []
    theirs = order(location="371400-W2")
    refused(served.engine, lambda: manager.post("/v1/planned-receipts", json=theirs), 422, "another_owner")


# -- never counted twice ----------------------------------------------------------------------------------------------

PROMISED = 1000


class Undone(Exception):  # noqa: N818 - ends a transaction of which nothing is kept
    """Raised at the end of an example."""


class Story:
    """One contract, and whatever is done to it on one day after the other."""

    def __init__(self, session: Session) -> None:
        self.session, self.day = session, 0
        found = catalogue.item(session, "N95")
        assert found is not None
        self.item = found.id
        signed, until = date(2026, 1, 1), date(2026, 12, 31)
        new = NewCommitment(CommitmentKind.CONTRACT, "N95", "371400", "A", 5, signed, until, quantity=PROMISED)
        self.number = commitments.add(session, self.now(), new).promise.number
        self.calls: dict[str, list[int]] = {}
        """By number, what a plain reckoning says: units in all, units that came."""
        self.receipts: dict[str, tuple[str, int]] = {}
        self.said: list[tuple[int, int, int]] = []

    def now(self, **more: object) -> Entry:
        return entry(now=NOW + timedelta(days=self.day), **more)

    def does(self, act: str, which: int, units: int, *, back: bool) -> None:
        {"call": self.call, "change": self.change, "receive": self.receive, "undo": self.undo}[act](which, units, back)
        self.said.append(self.counted(self.day))
        self.day += 1

    def call(self, _which: int, units: int, _back: bool) -> None:  # noqa: FBT001 - as the others
        made = commitments.call_up(self.session, self.now(), self.number, quantity=units, location=CITY, reason="x")
        self.calls[made.number] = [units, 0]

    def change(self, which: int, units: int, _back: bool) -> None:  # noqa: FBT001 - as the others
        if self.calls:
            number = sorted(self.calls)[which % len(self.calls)]
            supply.change(self.session, self.now(), number, quantity=units, reason="x")
            self.calls[number][0] = units

    def receive(self, which: int, units: int, back: bool) -> None:  # noqa: FBT001 - as the others
        if not self.calls:
            return
        number = sorted(self.calls)[which % len(self.calls)]
        ordered_on = supply.find(self.session, number).ordered_on
        day = self.now().today - timedelta(days=1)
        told = self.now(occurred=day if back and day >= ordered_on else None)
        lines = [ReceiptLine(f"L{self.day}", date(2028, 1, 1), item="N95", quantity=units)]
        posted = ledger.receive(self.session, told, location=CITY, lines=lines)
        supply.link(self.session, told, number, receipt=posted, location=CITY)
        self.receipts[posted.document] = (number, units)
        self.calls[number][1] += units

    def undo(self, which: int, _units: int, _back: bool) -> None:  # noqa: FBT001 - as the others
        if self.receipts:
            document = sorted(self.receipts)[which % len(self.receipts)]
            ledger.reverse_document(self.session, self.now(), number=document, reason="x")
            number, units = self.receipts[document]
            self.calls[number][1] -= units

    def reckoned(self) -> tuple[int, int, int]:
        """The same three as anybody would reckon them."""
        under_way = sum(max(0, called - came) for called, came in self.calls.values())
        received = sum(came for _, came in self.calls.values())
        return max(0, PROMISED - under_way - received), under_way, received

    def counted(self, day: int, *, known: bool = False) -> tuple[int, int, int]:
        """Units still promised, under way and received at the end of a day."""
        as_of, at = TODAY + timedelta(days=day), stock.end_of_day(TODAY + timedelta(days=day), SHANGHAI)
        told = {"as_of": as_of, "at": at, "known_at": NOW + timedelta(days=day) if known else None}
        [promise] = commitments.promised(self.session, self.item, **told)
        coming = supply.coming(self.session, self.item, **told)
        question = stock.StockQuestion(day=as_of, item_id=self.item, at=at, known_at=told["known_at"])
        received = sum(row.on_hand for row in stock.rows(self.session, question))
        count = commitments.counted(promise, as_of, 365)
        return count.units, sum(row.units for row in coming), received


def once(promised: int, under_way: int, received: int) -> bool:
    """All three make what was promised; more only where more came than was promised, and then nothing still is."""
    return promised == max(0, PROMISED - under_way - received)


ACTS = st.tuples(
    st.sampled_from(["call", "change", "change", "receive", "receive", "undo", "undo"]),
    st.integers(0, 5),
    st.sampled_from([0, 1, 100, 250, 400, 999, 1000, 1001]) | st.integers(1, 1000),
    st.booleans(),
)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, min_size=4, max_size=9))
def test_at_every_instant_promised_under_way_and_received_are_what_was_promised(
    city: Engine, acts: list[tuple[str, int, int, bool]]
) -> None:
    with pytest.raises(Undone):
        tell(city, acts)


def tell(city: Engine, acts: list[tuple[str, int, int, bool]]) -> None:
    with database.writing(city) as session:
        story = Story(session)
        story.does("call", 0, 400, back=False)
        for act, which, units, back in acts:
            try:
                story.does(act, which, units, back=back)
            except Refusal as refusal:
                assert refusal.code in EXPECTED, refusal  # noqa: PT017 - any other is what we look for
                continue
            assert story.said[-1] == story.reckoned()
        for day, said in enumerate(story.said):
            assert story.counted(day, known=True) == said
            assert once(*story.counted(day))
        raise Undone


EXPECTED = {
    "more_than_left",
    "less_than_came",
    "planned_ended",
    "already_reversed",
    "invalid_value",
}
