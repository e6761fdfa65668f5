"""The contract over HTTP: what is recorded, what is refused and in which words, who may do what."""

import base64
import csv
import io
import json
from datetime import timedelta
from threading import Thread

import pytest
from conftest import SHANGHAI, TODAY
from served import Served, issue, receipt, rows_of_use
from sqlalchemy import Engine, text

from reserve import database, stock


def digest(engine: Engine) -> dict:
    """Everything in the database but keys and beats: refused requests must leave it as it was."""
    with database.reading(engine) as session:
        tables = ("document", "movement", "balance", "lot", "consumption", "coverage_due", "replay", "item", "location")
        names = {"coverage_due": "coveragedue"}
        return {
            t: session.connection().execute(text(f"SELECT * FROM {names.get(t, t)} ORDER BY 1, 2")).all()
            for t in tables
        }


# -- recording --------------------------------------------------------------------------------------------------------


def test_a_receipt_is_answered_with_its_document_and_lies_in_stock(served: Served) -> None:
    client = served.client("clerk")
    answer = client.post("/v1/receipts", json=receipt(reference="PO 7"))
    assert answer.status_code == 201
    body = answer.json()
    assert body["document"].startswith("RC-20260401-")
    (movement,) = body["movements"]
    assert movement | {"id": 1, "actor": ""} == {
        "id": 1,
        "document": body["document"],
        "kind": "receipt",
        "item": "N95",
        "lot_number": "A",
        "expires_on": "2027-01-31",
        "source": "SUPPLIER",
        "target": "371400-W1",
        "quantity": 100,
        "occurred_at": "2026-04-01T02:00:00Z",
        "recorded_at": "2026-04-01T02:00:00Z",
        "actor": "",
        "reason": None,
        "reference": "PO 7",
        "purpose": None,
        "recipient": None,
        "reverses": None,
        "party": None,
    }
    assert movement["actor"].startswith("clerk Li (")
    (row,) = client.get("/v1/stock", params={"location": "371400-W1", "item": "N95"}).json()["items"]
    assert (row["on_hand"], row["usable"], row["lot_number"]) == (100, 100, "A")


def test_a_scanned_carton_counts_its_pieces(served: Served) -> None:
    line = {"gtin": "6901234567892", "packs": 3, "lot_number": "A", "expires_on": "2027-01-31"}
    answer = served.client().post("/v1/receipts", json={"location": "371400-W1", "lines": [line]})
    assert answer.json()["movements"][0]["quantity"] == 1200


def test_p02_a_repeated_scan_is_answered_the_same_and_changes_nothing(served: Served) -> None:
    client = served.client("clerk")
    first = client.post("/v1/receipts", json=receipt(), headers={"Idempotency-Key": "scan-1"})
    before = digest(served.engine)
    served.clock.pass_by(days=400)
    again = client.post("/v1/receipts", json=receipt(), headers={"Idempotency-Key": "scan-1"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert digest(served.engine) == before


def test_p02_a_key_for_another_body_is_refused(served: Served) -> None:
    client = served.client("clerk")
    client.post("/v1/receipts", json=receipt(), headers={"Idempotency-Key": "scan-1"})
    other = client.post("/v1/receipts", json=receipt(quantity=101), headers={"Idempotency-Key": "scan-1"})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_p02_another_persons_key_is_another_key(served: Served) -> None:
    for _ in range(2):
        answer = served.client("clerk").post("/v1/receipts", json=receipt(), headers={"Idempotency-Key": "1"})
        assert answer.status_code == 201
        assert "idempotent-replayed" not in answer.headers


def test_p02_a_refused_request_may_be_sent_again_with_its_key_when_stock_has_come(served: Served) -> None:
    client = served.client("clerk")
    sent = {"json": issue(50), "headers": {"Idempotency-Key": "out-1"}}
    assert client.post("/v1/issues", **sent).status_code == 409
    client.post("/v1/receipts", json=receipt())
    assert client.post("/v1/issues", **sent).status_code == 201


def test_p02_thirty_two_clients_with_one_key_record_once(served: Served) -> None:
    secret = served.key("clerk")
    answers = []

    def send() -> None:
        client = served.client(None)
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "race"}
        answers.append(client.post("/v1/receipts", json=receipt(), headers=headers))

    threads = [Thread(target=send) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    with database.reading(served.engine) as session:
        assert session.connection().execute(text("SELECT count(*) FROM document")).scalar_one() == 1


def test_p04_a_document_with_one_bad_line_records_nothing(served: Served) -> None:
    before = digest(served.engine)
    body = receipt()
    body["lines"].append({"item": "NOPE", "lot_number": "B", "expires_on": "2027-01-31", "quantity": 1})
    answer = served.client().post("/v1/receipts", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/lines/1/item", "code": "unknown_item", "detail": "There is no item NOPE; see GET /v1/items."}
    ]
    assert digest(served.engine) == before


def test_too_little_says_what_there_is_and_moves_nothing(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(30))
    before = digest(served.engine)
    answer = client.post("/v1/issues", json=issue(31))
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_stock")
    assert answer.json()["lines"] == [
        {"line": 0, "item": "N95", "lot_number": None, "on_hand": 30, "usable": 30, "requested": 31}
    ]
    assert digest(served.engine) == before


def test_the_lot_that_expires_first_goes_first_and_a_line_may_take_two(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(10, "LATE", "2028-01-31"))
    client.post("/v1/receipts", json=receipt(10, "SOON", "2026-05-31"))
    moved = client.post("/v1/issues", json=issue(15)).json()["movements"]
    assert [(m["lot_number"], m["quantity"]) for m in moved] == [("SOON", 10), ("LATE", 5)]


def test_a_movement_is_undone_once_and_both_stay_visible(served: Served) -> None:
    client = served.client("clerk")
    client.post("/v1/receipts", json=receipt())
    moved = client.post("/v1/issues", json=issue(40)).json()["movements"][0]
    undone = client.post(f"/v1/movements/{moved['id']}/reversal", json={"reason": "wrong truck"})
    assert undone.status_code == 201
    assert undone.json()["movements"][0]["reverses"] == moved["id"]
    again = client.post(f"/v1/movements/{moved['id']}/reversal", json={"reason": "wrong truck"})
    assert (again.status_code, again.json()["code"]) == (409, "already_reversed")
    kinds = [m["kind"] for m in client.get("/v1/movements").json()["items"]]
    assert kinds == ["reversal", "issue", "receipt"]
    assert client.get("/v1/stock").json()["items"][0]["on_hand"] == 100


def test_a_days_use_sent_again_replaces_it(served: Served) -> None:
    client = served.client("reporter", "371402-H1")
    body = {"rows": [{"location": "371402-H1", "item": "N95", "date": "2026-03-31", "quantity": 5}]}
    assert client.post("/v1/consumption", json=body).json()["rows"][0]["revision"] == 1
    body["rows"][0]["quantity"] = 7
    assert client.post("/v1/consumption", json=body).json()["rows"][0]["revision"] == 2


def test_an_entry_may_be_dated_back_within_bounds(served: Served) -> None:
    client = served.client()
    assert client.post("/v1/receipts", json=receipt(occurred_at="2026-03-20")).status_code == 201
    assert client.post("/v1/receipts", json=receipt(occurred_at="2026-03-20T08:00:00+08:00")).status_code == 201
    for day in ("2026-02-01", "2026-04-02", "2027-01-01T00:00:00Z"):
        answer = client.post("/v1/receipts", json=receipt(occurred_at=day))
        assert (answer.status_code, answer.json()["code"]) == (422, "occurred_at_out_of_bounds")


# -- bad input --------------------------------------------------------------------------------------------------------

BAD_QUANTITIES = ["0", "-1", "1.5", "5.0", "1e3", "1000000000000001", "true", '"5"', "null", "[]", "1" * 4000]


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
def test_a_quantity_that_is_no_whole_number_in_bounds_is_refused(served: Served, quantity: str) -> None:
    before = digest(served.engine)
    body = json.dumps(receipt()).replace("100", quantity)
    answer = served.client().post("/v1/receipts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == "/lines/0/quantity"
    assert digest(served.engine) == before


GOOD = json.dumps(receipt())
BAD_BODIES = {
    "nothing": (b"", 400, "malformed_json"),
    "half": (GOOD[:40].encode(), 400, "malformed_json"),
    "NaN": (GOOD.replace("100", "NaN").encode(), 400, "malformed_json"),
    "infinity": (GOOD.replace("100", "Infinity").encode(), 400, "malformed_json"),
    "five thousand digits": (GOOD.replace("100", "9" * 5000).encode(), 400, "malformed_json"),
    "a name twice": (GOOD.replace('"location"', '"location": "X", "location"').encode(), 400, "malformed_json"),
    "not UTF-8": (GOOD.replace("A", "\xe9").encode("latin-1"), 400, "malformed"),
    "nested": (b"[" * 100_000, 400, "malformed_json"),
    "a list": (b"[]", 422, "invalid_value"),
    "a field of ours": (
        GOOD.replace("{", '{"recorded_at": "2020-01-01T00:00:00Z", ', 1).encode(),
        422,
        "invalid_value",
    ),
    "no lines": (b'{"location": "371400-W1", "lines": []}', 422, "invalid_value"),
    "NUL in a lot": (GOOD.replace('"A"', '"A\\u0000"').encode(), 422, "invalid_value"),
    "a lone surrogate": (GOOD.replace('"A"', '"\\ud800"').encode(), 422, "invalid_value"),
    "a lone surrogate as a name": (GOOD.replace('"location"', '"\\ud800"').encode(), 422, "invalid_value"),
    "a long lot": (GOOD.replace('"A"', f'"{"A" * 21}"').encode(), 422, "invalid_value"),
    "no such day": (GOOD.replace("2027-01-31", "2027-02-30").encode(), 422, "invalid_value"),
    "a day as a number": (GOOD.replace('"2027-01-31"', "1800000000").encode(), 422, "invalid_value"),
    "a day of the year 9999": (GOOD.replace("2027-01-31", "9999-12-31").encode(), 422, "invalid_value"),
    "control characters": (json.dumps(receipt(reference="a\x07b")).encode(), 422, "invalid_value"),
    "text that turns around": (json.dumps(receipt(reference="a\u202eb")).encode(), 422, "invalid_value"),
    "a long reference": (json.dumps(receipt(reference="x" * 121)).encode(), 422, "invalid_value"),
    "an expired lot": (GOOD.replace("2027-01-31", "2026-03-31").encode(), 409, "lot_expired"),
    "no expiry": (GOOD.replace('"expires_on": "2027-01-31", ', "").encode(), 422, "expiry_required"),
    "an unknown place": (GOOD.replace("371400-W1", "371499-W1").encode(), 422, "unknown_location"),
    "an outside end": (GOOD.replace("371400-W1", "SUPPLIER").encode(), 422, "unknown_location"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_p13_p15_a_bad_body_is_refused_in_words_and_leaves_no_trace(served: Served, case: str) -> None:
    body, status, code = BAD_BODIES[case]
    before = digest(served.engine)
    answer = served.client().post("/v1/receipts", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert digest(served.engine) == before


def test_a_number_that_json_does_not_know_is_refused_with_what_to_write(served: Served) -> None:
    body, _, _ = BAD_BODIES["NaN"]
    says = {
        language: served.client()
        .post("/v1/receipts", content=body, headers={"Content-Type": "application/json", "Accept-Language": language})
        .json()["detail"]
        for language in ("en", "zh")
    }
    assert says == {
        "en": "NaN is not JSON: write a number, or leave the field out.",
        "zh": "NaN 不是 JSON：请填数字，或不填此项。",
    }


def test_p13_fifty_megabytes_are_refused(served: Served) -> None:
    answer = served.client().post(
        "/v1/receipts", content=b" " * 50_000_000, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_another_content_type_is_refused(served: Served) -> None:
    answer = served.client().post("/v1/receipts", content=GOOD, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "é".encode().decode("latin-1")])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(served: Served, key: str) -> None:
    answer = served.client().post("/v1/receipts", json=receipt(), headers={"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


ASKED_WRONG = [
    "/v1/stock?limit=0",
    "/v1/stock?limit=1001",
    "/v1/stock?as_of=2026-02-30",
    "/v1/stock?as_of=2026-04-02",
    "/v1/stock?as_of=0001-01-01",
    "/v1/stock?cursor=x",
    "/v1/stock?cursor=WzEsMl0x",
    "/v1/stock?known_at=2026-04-01T00:00:00",
    "/v1/stock?location=%00",
    "/v1/stock?item=%ED%A0%80",
    "/v1/movements?since=x",
    "/v1/movements?cursor=WyJ4IiwxXQ",
    "/v1/coverage?level=purple",
    "/v1/coverage?scope=371400&method=astrology",
    "/v1/coverage?method=mean",
    "/v1/coverage/371400/N95/projection?days=0",
    "/v1/coverage/371400/N95/projection?days=366",
]


@pytest.mark.parametrize("path", ASKED_WRONG)
def test_a_question_that_makes_no_sense_is_refused(served: Served, path: str) -> None:
    answer = served.client().get(path)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/stock?location=NOPE",
        "/v1/stock?item=NOPE",
        "/v1/coverage/371400/NOPE",
        "/v1/coverage/NOPE/N95",
    ],
)
def test_what_is_not_there_is_said_to_be_missing(served: Served, path: str) -> None:
    answer = served.client().get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


# -- who may ----------------------------------------------------------------------------------------------------------


def test_nobody_writes_or_reads_without_a_key(served: Served) -> None:
    stranger = served.client(None)
    for answer in (
        stranger.post("/v1/receipts", json=receipt()),
        stranger.get("/v1/stock"),
        stranger.get("/v1/coverage", headers={"Authorization": "Bearer rsv_00000000_" + "x" * 43}),
        stranger.get("/v1/coverage", headers={"Authorization": "Bearer é".encode("latin-1")}),
        stranger.get("/v1/coverage", headers={"Authorization": "Basic abc"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_revoked_or_expired_key_is_nobodys(served: Served) -> None:
    from reserve import access

    secret = served.key("viewer", expires_on=TODAY)
    headers = {"Authorization": f"Bearer {secret}"}
    assert served.client(None).get("/v1/stock", headers=headers).status_code == 200
    served.clock.pass_by(days=1)
    assert served.client(None).get("/v1/stock", headers=headers).status_code == 401
    other = served.key("viewer")
    database.transact(served.engine, lambda session: access.revoke_key(session, 2, served.clock()))
    assert served.client(None).get("/v1/stock", headers={"Authorization": f"Bearer {other}"}).status_code == 401


def test_the_database_keeps_no_key_that_works(served: Served) -> None:
    secret = served.key("admin")
    with database.reading(served.engine) as session:
        kept = str(session.connection().execute(text("SELECT * FROM key")).all())
    assert secret not in kept
    assert secret.split("_", 2)[2] not in kept


ROLES = {
    # call -> the least role that may
    "receipt": ("clerk", lambda c: c.post("/v1/receipts", json=receipt())),
    "issue": ("clerk", lambda c: c.post("/v1/issues", json=issue(1))),
    "reversal": ("clerk", lambda c: c.post("/v1/movements/1/reversal", json={"reason": "x"})),
    "adjustment": (
        "manager",
        lambda c: c.post(
            "/v1/adjustments",
            json={
                "location": "371400-W1",
                "lines": [{"item": "N95", "lot_number": "A", "quantity": -1, "reason": "lost"}],
            },
        ),
    ),
    "consumption": (
        "reporter",
        lambda c: c.post("/v1/consumption", json=rows_of_use("371402-H1", "N95", lambda _: 5, 1, TODAY)),
    ),
    "item": (
        "manager",
        lambda c: c.post(
            "/v1/items",
            json={"code": "X1", "name_zh": "甲", "name_en": "X", "category": "other", "base_unit": "只"},
        ),
    ),
    "location": (
        "manager",
        lambda c: c.post(
            "/v1/locations",
            json={"code": "X1", "name_zh": "甲", "name_en": "X", "kind": "warehouse", "parent": "371400"},
        ),
    ),
    "policy": (
        "manager",
        lambda c: c.post(
            "/v1/policies",
            json={
                "code": "P",
                "category": "protective",
                "scope": "371400",
                "kind": "days",
                "required_days": 30,
                "effective_from": "2026-04-01",
                "source_text": "不少于1个月",
            },
        ),
    ),
    "receiver": (
        "admin",
        lambda c: c.post("/v1/receivers", json={"name": "desk", "url": "http://127.0.0.1:9/x", "scope": "371400"}),
    ),
    "stock": ("viewer", lambda c: c.get("/v1/stock")),
    "movements": ("viewer", lambda c: c.get("/v1/movements")),
    "coverage": ("viewer", lambda c: c.get("/v1/coverage")),
    "one coverage": ("viewer", lambda c: c.get("/v1/coverage/371400/N95")),
    "projection": ("viewer", lambda c: c.get("/v1/coverage/371400/N95/projection")),
    "alerts": ("viewer", lambda c: c.get("/v1/alerts")),
    "items": ("viewer", lambda c: c.get("/v1/items")),
    "locations": ("viewer", lambda c: c.get("/v1/locations")),
    "policies": ("viewer", lambda c: c.get("/v1/policies")),
    "receivers": ("admin", lambda c: c.get("/v1/receivers")),
}
ORDER = ["viewer", "reporter", "clerk", "manager", "admin"]


@pytest.mark.parametrize("call", ROLES)
def test_p14_each_call_is_for_its_role_and_those_above(served: Served, call: str) -> None:
    least, send = ROLES[call]
    served.client("clerk").post("/v1/receipts", json=receipt())
    for role in ORDER[: ORDER.index(least)]:
        assert send(served.client(role)).status_code == 403
    assert send(served.client(least)).status_code in {200, 201}


def test_p14_outside_ones_subtree_nothing_is_told(served: Served) -> None:
    served.client().post("/v1/receipts", json=receipt())
    county = served.client("manager", "371425")
    body = {"location": "", "lines": receipt()["lines"]}
    refusals = [
        county.post("/v1/receipts", json=body | {"location": "371400-W1"}),
        county.post("/v1/receipts", json=body | {"location": "NO-SUCH-PLACE"}),
        county.get("/v1/stock", params={"location": "371400"}),
        county.get("/v1/stock", params={"location": "NO-SUCH-PLACE"}),
        county.get("/v1/coverage/371400/N95"),
        county.post("/v1/movements/1/reversal", json={"reason": "x"}),
        county.post("/v1/movements/999/reversal", json={"reason": "x"}),
        county.get("/v1/alerts", params={"scope": "371402"}),
    ]
    assert {r.status_code for r in refusals} == {403}
    assert len({r.content for r in refusals}) == 1
    assert county.get("/v1/stock").json()["items"] == []
    assert county.get("/v1/movements").json()["items"] == []
    assert {p["code"] for p in county.get("/v1/locations").json()["items"]} == {"371425", "371425-W1", "371425-H1"}


def test_p14_a_place_whose_code_begins_the_same_is_not_below(served: Served) -> None:
    admin = served.client()
    for code in ("371400-W10", "371400-W1-A"):
        admin.post(
            "/v1/locations",
            json={"code": code, "name_zh": "库", "name_en": "W", "kind": "warehouse", "parent": "371400"},
        )
    clerk = served.client("clerk", "371400-W1")
    for code in ("371400-W10", "371400-W1-A"):
        assert clerk.post("/v1/receipts", json=receipt() | {"location": code}).status_code == 403
    assert clerk.post("/v1/receipts", json=receipt()).status_code == 201


# -- asking -----------------------------------------------------------------------------------------------------------


def test_pages_of_a_list_join_without_a_gap_or_a_double(served: Served) -> None:
    client = served.client()
    for n in range(7):
        client.post("/v1/receipts", json=receipt(n + 1, f"L{n}"))
    for path in ("/v1/stock", "/v1/movements"):
        whole = client.get(path).json()
        assert whole["next_cursor"] is None
        seen, cursor = [], None
        while True:
            page = client.get(path, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == whole["items"]
        assert len(seen) == 7


def test_stock_of_a_past_day_is_what_lay_there_at_its_end(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(100, occurred_at="2026-03-20"))
    client.post("/v1/issues", json=issue(30, occurred_at="2026-03-25"))
    on = {
        day: [row["on_hand"] for row in client.get("/v1/stock", params={"as_of": day}).json()["items"]]
        for day in ("2026-03-19", "2026-03-20", "2026-03-24", "2026-03-25", "2026-04-01")
    }
    assert on == {
        "2026-03-19": [],
        "2026-03-20": [100],
        "2026-03-24": [100],
        "2026-03-25": [70],
        "2026-04-01": [70],
    }


def test_an_answer_already_seen_costs_no_bytes(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt())
    first = client.get("/v1/stock")
    again = client.get("/v1/stock", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    client.post("/v1/receipts", json=receipt(1, "B"))
    assert client.get("/v1/stock", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_every_answer_carries_the_security_headers(served: Served) -> None:
    for path in ("/v1/stock", "/v1/nothing", "/healthz", "/", "/static/app.css"):
        headers = served.client().get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_pages_are_closed_to_other_machines_until_opened(served: Served) -> None:
    from fastapi.testclient import TestClient

    far = TestClient(served.app, client=("203.0.113.9", 40000), raise_server_exceptions=False)
    assert far.get("/").status_code == 403
    assert far.get("/items/N95").status_code == 403
    assert served.client(None).get("/").status_code == 200


def test_health_says_what_is_wrong_and_what_to_do(served: Served) -> None:
    from api.worker import beat

    client = served.client(None)
    assert client.get("/healthz").json() == {"status": "ok"}
    late = client.get("/readyz")
    assert (late.status_code, late.json()["code"]) == (503, "worker_late")
    assert "reserve watch" in late.json()["detail"]
    beat(served.desk)
    assert client.get("/readyz").status_code == 200
    served.clock.pass_by(minutes=5)
    assert client.get("/readyz").status_code == 503


def test_the_openapi_document_names_every_route_and_body(served: Served) -> None:
    document = served.client(None).get("/openapi.json").json()
    body = document["paths"]["/v1/receipts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    origin = {"supplier", "donor", "restriction", "returned_by", "planned_receipt"}
    assert set(body["properties"]) == {"location", "occurred_at", "reference", "lines"} | origin
    assert "/v1/coverage/{scope}/{item}/projection" in document["paths"]


def test_a_sheet_over_http_is_recorded_or_refused_by_row(served: Served) -> None:
    client = served.client("manager")
    sheet = "location,item,date,quantity\n371402-H1,N95,2026-03-31,5\n371402-H1,N95,2026-03-30,x\n"
    headers = {"Content-Type": "text/csv"}
    refused = client.post("/v1/imports/consumption", content=sheet, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "sheet_refused")
    assert refused.json()["errors"][0]["pointer"] == "/rows/3/quantity"
    good = sheet.replace(",x", ",6")
    dry = client.post("/v1/imports/consumption?dry_run=true", content=good, headers=headers)
    assert (dry.status_code, dry.json()["recorded"], dry.json()["dry_run"]) == (200, 2, True)
    assert client.post("/v1/imports/consumption", content=good, headers=headers).json()["recorded"] == 2
    assert client.post("/v1/imports/consumption", content=good, headers=headers).json()["unchanged"] == 2
    county = served.client("manager", "371425")
    assert county.post("/v1/imports/consumption", content=good, headers=headers).status_code == 403


def test_stock_rows_over_http_are_the_books(served: Served) -> None:
    client = served.client()
    for n in range(5):
        client.post("/v1/receipts", json=receipt(10 + n, f"L{n}", f"2027-0{n + 1}-28"))
    client.post("/v1/issues", json=issue(25))
    with database.reading(served.engine) as session:
        past = stock.rows(session, stock.StockQuestion(day=TODAY, at=served.clock() + timedelta(seconds=1)))
    told = {row["lot_number"]: row["on_hand"] for row in client.get("/v1/stock").json()["items"]}
    assert told == {row.lot_number: row.on_hand for row in past}


def test_a_misread_expiry_is_put_right_by_a_reversal_and_a_new_receipt(served: Served) -> None:
    client = served.client("clerk")
    wrong = client.post("/v1/receipts", json=receipt(expires="2072-01-31")).json()["movements"][0]
    assert client.post("/v1/receipts", json=receipt(expires="2027-01-31")).json()["code"] == "lot_conflict"
    client.post(f"/v1/movements/{wrong['id']}/reversal", json={"reason": "2072 read for 2027"})
    assert client.post("/v1/receipts", json=receipt(expires="2027-01-31")).status_code == 201
    (row,) = client.get("/v1/stock").json()["items"]
    assert (row["expires_on"], row["on_hand"]) == ("2027-01-31", 100)
    assert client.post("/v1/receipts", json=receipt(expires="2072-01-31")).json()["code"] == "lot_conflict"


def test_p14_a_county_reads_the_policies_that_touch_it_and_no_neighbours(served: Served) -> None:
    rule = {
        "category": "protective",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-04-01",
        "source_text": "不少于1个月",
    }
    for code, scope in (("CITY", "371400"), ("QIHE", "371425"), ("DECHENG", "371402")):
        assert served.client().post("/v1/policies", json=rule | {"code": code, "scope": scope}).status_code == 201
    read = served.client("viewer", "371425").get("/v1/policies").json()["items"]
    assert {row["code"] for row in read} == {"CITY", "QIHE"}


def test_a_row_that_is_refused_is_named_by_its_own_number(served: Served) -> None:
    rows = rows_of_use("371402-H1", "N95", lambda _: 5, 3, TODAY)["rows"]
    rows[2]["location"] = "371499-H1"
    answer = served.client().post("/v1/consumption", json={"rows": rows})
    assert answer.json()["errors"][0]["pointer"] == "/rows/2/location"


def test_a_sheet_out_opens_in_chinese_and_smuggles_no_formula_in(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(reference="=cmd|' /C calc'!A0"))
    client.post("/v1/receipts", json=receipt(reference="\uff0b1", lot="B"))
    out = client.get("/v1/movements?format=csv")
    assert out.content.startswith(b"\xef\xbb\xbf")
    assert out.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(out.content.decode("utf-8-sig"))))
    assert [row["reference"] for row in rows] == ["'\uff0b1", "'=cmd|' /C calc'!A0"]
    assert rows[0]["quantity"] == "100"
    for path in ("/v1/stock?format=csv", "/v1/coverage?format=csv"):
        assert client.get(path).status_code == 200
    book = client.get("/v1/stock?format=xlsx")
    assert book.status_code == 200
    assert book.headers["content-type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    refused = client.get("/v1/stock?format=parquet")
    assert (refused.status_code, refused.json()["code"]) == (406, "format_not_installed")


def test_a_policy_can_be_tried_before_it_is_made(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(100, expires="2028-12-31"))
    for hospital in ("371402-H1", "371425-H1"):
        client.post("/v1/consumption", json=rows_of_use(hospital, "N95", lambda _: 5, 60, TODAY))
    rule = {
        "code": "P",
        "category": "protective",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-04-01",
        "source_text": "不少于1个月",
    }
    before = digest(served.engine)
    tried = client.post("/v1/policies?dry_run=true", json=rule).json()
    (change,) = tried["changes"]
    assert (change["item"], change["before"]["level"], change["after"]["level"]) == ("N95", "unknown", "red")
    assert change["after"]["shortfall"] == 200
    assert digest(served.engine) == before
    assert client.get("/v1/policies").json()["items"] == []


RULE = {
    "code": "P30",
    "category": "protective",
    "scope": "371400",
    "kind": "days",
    "required_days": 30,
    "effective_from": "2026-04-01",
    "source_text": "不少于1个月",
}


def test_a_county_cannot_end_the_citys_rule_by_using_its_code(served: Served) -> None:
    assert served.client().post("/v1/policies", json=RULE).status_code == 201
    mine = RULE | {"scope": "371425", "required_days": 1, "effective_from": "2026-04-02"}
    answer = served.client("manager", "371425").post("/v1/policies", json=mine)
    assert (answer.status_code, answer.json()["code"]) == (409, "policy_exists")


def test_a_policy_by_persons_keeps_its_norm_exactly(served: Served) -> None:
    rule = RULE | {"kind": "persons", "persons": 250, "norm": 1.125}
    answer = served.client().post("/v1/policies", json=rule)
    assert (answer.status_code, answer.json()["norm"]) == (201, 1.125)
    for norm in (1.12345, 0, -1, "1", True, 1e9):
        refused = served.client().post("/v1/policies", json=rule | {"code": "Q", "norm": norm})
        assert refused.status_code == 422


def test_a_misspelt_parameter_records_nothing(served: Served) -> None:
    answer = served.client().post("/v1/policies?dryrun=true", json=RULE)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter")
    assert served.client().get("/v1/policies").json()["items"] == []


def test_p14_a_clerk_does_not_undo_what_only_a_manager_may_do(served: Served) -> None:
    manager, clerk = served.client("manager"), served.client("clerk")
    manager.post("/v1/receipts", json=receipt())
    line = {"item": "N95", "lot_number": "A", "quantity": -5, "reason": "lost"}
    moved = manager.post("/v1/adjustments", json={"location": "371400-W1", "lines": [line]}).json()["movements"][0]
    address = f"/v1/movements/{moved['id']}/reversal"
    assert clerk.post(address, json={"reason": "x"}).status_code == 403
    assert manager.post(address, json={"reason": "found again"}).status_code == 201


def test_an_adjustment_refuses_another_expiry_too(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt())
    line = {"item": "N95", "lot_number": "A", "quantity": 5, "reason": "found", "expires_on": "2030-01-31"}
    answer = client.post("/v1/adjustments", json={"location": "371400-W1", "lines": [line]})
    assert (answer.status_code, answer.json()["code"]) == (409, "lot_conflict")


def test_p06_a_lot_of_an_earlier_day_keeps_its_expiry(served: Served) -> None:
    client = served.client()
    moved = client.post("/v1/receipts", json=receipt(expires="2026-05-31")).json()["movements"][0]
    served.clock.pass_by(days=1)
    client.post(f"/v1/movements/{moved['id']}/reversal", json={"reason": "misread"})
    assert client.post("/v1/receipts", json=receipt(expires="2028-05-31")).json()["code"] == "lot_conflict"


def cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CRAFTED = {
    "a moment without a zone": ("/v1/movements", ["2026-04-01T00:00:00", 1]),
    "before the first year": ("/v1/movements", ["0001-01-01T00:00:00+14:00", 1]),
    "beyond 64 bits": ("/v1/stock", [2**70, 1]),
    "NUL": ("/v1/coverage", ["a\0", "b"]),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_p13_a_crafted_cursor_is_refused(served: Served, case: str) -> None:
    path, value = CRAFTED[case]
    answer = served.client().get(path, params={"cursor": cursor(value)})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


def test_p13_a_deeply_nested_cursor_is_refused(served: Served) -> None:
    nested = base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=")
    assert served.client().get("/v1/stock", params={"cursor": nested}).status_code == 422


def test_p13_a_page_of_an_impossible_code_is_missing(served: Served) -> None:
    assert served.client().get("/items/%00").status_code == 404


def test_the_pages_answer_to_their_own_names_alone(served: Served) -> None:
    led_here = served.client().get("/", headers={"Host": "evil.example"})
    assert led_here.status_code == 403


def test_a_method_that_cannot_be_computed_is_refused(served: Served) -> None:
    for method in ("mean_upper:.9999999999999999999", "rolling_mean_quantile:0.0000000", "rolling_mean_max:0"):
        assert served.client().get("/v1/coverage", params={"scope": "371400", "method": method}).status_code == 422
        assert served.client().post("/v1/policies", json=RULE | {"method": method}).status_code == 422


def test_what_nobody_counts_is_not_taken(served: Served) -> None:
    place = {
        "code": "371402-H2",
        "name_zh": "停用",
        "name_en": "Unused",
        "kind": "hospital",
        "parent": "371402",
        "consumption_source": "none",
    }
    served.client().post("/v1/locations", json=place)
    answer = served.client().post("/v1/consumption", json=rows_of_use("371402-H2", "N95", lambda _: 5, 1, TODAY))
    assert (answer.status_code, answer.json()["code"]) == (409, "consumption_not_counted")


@pytest.mark.parametrize("path", ["/v1/receipts?dry_run=true", "/v1/issues?dry_run=1", "/v1/transfers?dry_run=true"])
def test_a_recording_that_cannot_be_tried_is_not_made_by_trying_it(served: Served, path: str) -> None:
    client = served.client("manager")
    client.post("/v1/receipts", json=receipt(10))
    before = client.get("/v1/movements").json()
    sent = {"source": "371400-W1", "target": "371425-W1", "lines": [{"item": "N95", "quantity": 1}]}
    body = receipt(5) if "receipts" in path else issue(5) if "issues" in path else sent
    refused = client.post(path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_parameter")
    assert client.get("/v1/movements").json() == before


def test_p13_a_nul_in_an_address_is_a_refusal(served: Served) -> None:
    client = served.client("manager")
    assert client.patch("/v1/locations/a%00b", json={"inspects": True}).status_code == 422
    assert client.get("/v1/stock", params={"owner": "a\0"}).status_code == 422


def test_a_past_day_does_not_know_the_lots_of_later_days(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt(1, "A"))
    then = served.clock().astimezone(SHANGHAI).date()
    served.clock.pass_by(days=3)
    client.post("/v1/receipts", json=receipt(1, "FUTURE"))
    told = client.get("/v1/stock", params={"as_of": then.isoformat(), "include_zero": True}).json()["items"]
    assert [row["lot_number"] for row in told] == ["A"]
