"""Stock cards, documents and traces over HTTP and as pages: what is answered, refused, printed and hidden."""

import csv
import io
import re
from datetime import timedelta
from urllib.parse import quote

import pypdf
import pytest
from conftest import NOW, TODAY
from fastapi import Depends
from python_calamine import load_workbook
from served import Served, issue, receipt
from sqlalchemy import text
from test_cards import Statements

from api import app as server
from api import papers, papers_words, warehouse_pages
from api.board import DatabaseBoard
from reserve import catalogue, database, documents
from reserve.documents import DocumentsQuestion

CARD = "/v1/stock/371400-W1/N95/card"
TRACE = "/v1/lots/N95/A/trace"
W1, W2 = "371400-W1", "371425-W1"


@pytest.fixture
def served(city) -> Served:
    made = Served(city)
    addresses = {getattr(route, "path", "") for route in made.app.routes}
    if "/v1/documents" not in addresses:
        made.app.include_router(papers.router)
    if "/documents/{number}" not in addresses:
        made.app.include_router(
            warehouse_pages.warehouse_pages(made.desk, DatabaseBoard(made.desk)),
            dependencies=[Depends(server._page_reader)],  # noqa: SLF001 - what the server itself asks of pages
        )
    return made


@pytest.fixture
def busy(served):
    """100 in, 40 out to a hospital (10 of them undone), 30 sent to a county and 20 of them there."""
    client = served.client()
    client.post("/v1/receipts", json=receipt(reference="PO 7", occurred_at="2026-03-30"))
    client.post("/v1/issues", json=issue(30, recipient="德城区医院", purpose="allocation"))
    wrong = client.post("/v1/issues", json=issue(10, recipient="齐河县医院")).json()["movements"][0]["id"]
    served.clock.pass_by(minutes=1)
    client.post(f"/v1/movements/{wrong}/reversal", json={"reason": "wrong truck"})
    sent = client.post("/v1/transfers", json={"source": W1, "target": W2, "lines": [{"item": "N95", "quantity": 30}]})
    assert sent.status_code == 201, sent.text
    served.transfer = sent.json()["document"]
    line = {"item": "N95", "lot_number": "A", "quantity": 20}
    came = client.post(f"/v1/transfers/{served.transfer}/receipt", json={"lines": [line]})
    assert came.status_code == 201, came.text
    served.arrival = came.json()["document"]
    return served


def get(served, address, role="viewer", location="371400", **params):
    return served.client(role, location).get(address, params=params)


def code(answer):
    return answer.status_code, answer.json()["code"]


# -- the stock card ---------------------------------------------------------------------------------------------------


def test_a_card_is_answered_oldest_first_with_balances_names_and_both_sides_of_a_reversal(busy):
    body = get(busy, CARD).json()
    rows = body["items"]
    assert [(r["kind"], r["in"], r["out"], r["balance"]) for r in rows] == [
        ("receipt", 100, 0, 100),
        ("issue", 0, 30, 70),
        ("issue", 0, 10, 60),
        ("reversal", 10, 0, 70),
        ("transfer", 0, 30, 40),
    ]
    assert body["period"] == {"opening": 0, "in": 110, "out": 70, "closing": 40}
    assert (body["opening"], body["closing"], body["next_cursor"]) == (0, 40, None)
    assert (rows[0]["source"], rows[0]["target_name_zh"], rows[0]["reference"]) == ("SUPPLIER", "市级储备库", "PO 7")
    assert rows[1]["recipient"] == "德城区医院"
    assert rows[2]["reversed_by"] == rows[3]["id"]
    assert (rows[3]["reverses"], rows[3]["reason"]) == (rows[2]["id"], "wrong truck")


def test_the_card_is_the_stock_and_the_movements(busy):
    stock = get(busy, "/v1/stock", location=W1, item="N95").json()["items"]
    assert get(busy, CARD).json()["closing"] == sum(row["on_hand"] for row in stock)
    moved = get(busy, "/v1/movements", location=W1, item="N95").json()["items"]
    here = [m["id"] for m in moved if W1 in (m["source"], m["target"])]
    assert [row["id"] for row in get(busy, CARD).json()["items"]] == here[::-1]
    yesterday = TODAY - timedelta(days=1)
    before = get(busy, "/v1/stock", location=W1, item="N95", as_of=str(yesterday)).json()["items"]
    assert get(busy, CARD, until=str(yesterday)).json()["closing"] == sum(row["on_hand"] for row in before) == 100


def test_a_card_comes_in_pages_that_carry_the_balance_on(busy):
    rows, params = [], {"limit": 2}
    while True:
        body = get(busy, CARD, **params).json()
        assert body["opening"] == (rows[-1]["balance"] if rows else 0)
        rows += body["items"]
        if body["next_cursor"] is None:
            break
        params["cursor"] = body["next_cursor"]
        busy.client().post("/v1/receipts", json=receipt(1, "B", occurred_at="2026-03-29"))
        rows = [{**row, "balance": row["balance"] + 1} for row in rows]
    assert [row["kind"] for row in rows] == ["receipt", "issue", "issue", "reversal", "transfer"]


def test_a_card_that_did_not_change_is_not_sent_again(busy):
    tag = get(busy, CARD).headers["etag"]
    client = busy.client("viewer")
    again = client.get(CARD, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    busy.client().post("/v1/receipts", json=receipt(1))
    assert client.get(CARD, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("address", "params", "refused"),
    [
        ("/v1/stock/371400/N95/card", {}, (422, "not_a_store")),
        ("/v1/stock/NOWHERE/N95/card", {}, (404, "unknown_location")),
        ("/v1/stock/SUPPLIER/N95/card", {}, (404, "unknown_location")),
        ("/v1/stock/371400-W1/NOPE/card", {}, (404, "unknown_item")),
        (CARD, {"since": "2026-04-02", "until": "2026-04-01"}, (422, "period_reversed")),
        (CARD, {"since": "0001-01-01"}, (422, "invalid_value")),
        (CARD, {"since": "yesterday"}, (422, "invalid_value")),
        (CARD, {"known_at": "2026-04-01T10:00:00"}, (422, "invalid_value")),
        (CARD, {"cursor": "x"}, (422, "bad_cursor")),
        (CARD, {"cursor": "WyJ4IiwxXQ"}, (422, "bad_cursor")),
        (CARD, {"limit": 0}, (422, "invalid_value")),
        (CARD, {"format": "parquet"}, (422, "invalid_value")),
        ("/v1/documents/RC-20260401-000999", {}, (404, "unknown_document")),
        ("/v1/lots/N95/NOPE/trace", {}, (404, "unknown_lot")),
        ("/v1/lots/NOPE/A/trace", {}, (404, "unknown_item")),
        ("/v1/lots", {"cursor": "WyJ4IiwxXQ"}, (422, "bad_cursor")),
        ("/v1/documents", {"kind": "gift"}, (422, "invalid_value")),
        ("/v1/documents", {"reference": "a\0b"}, (422, "invalid_value")),
    ],
)
def test_what_cannot_be_answered_says_why(busy, address, params, refused):
    assert code(get(busy, address, **params)) == refused


def test_a_region_names_the_stores_that_have_a_card(busy):
    assert get(busy, "/v1/stock/371400/N95/card").json()["stores"] == [W1, W2]


def test_nobody_reads_without_a_key(busy):
    for address in (CARD, TRACE, "/v1/lots", "/v1/documents", f"/v1/documents/{busy.transfer}"):
        assert code(busy.client(None).get(address)) == (401, "unauthenticated")


def test_a_county_reads_no_card_of_the_city(busy):
    assert code(get(busy, CARD, location="371425")) == (403, "forbidden")
    assert code(get(busy, "/v1/stock/NOWHERE/N95/card", location="371425")) == (403, "forbidden")


def test_files_hold_the_whole_period_and_the_same_figures(busy):
    rows = get(busy, CARD).json()["items"]
    sheet = list(csv.DictReader(io.StringIO(get(busy, CARD, format="csv").content.decode("utf-8-sig"))))
    assert [(r["document"], r["balance"]) for r in sheet] == [(r["document"], str(r["balance"])) for r in rows]
    book = load_workbook(io.BytesIO(get(busy, CARD, format="xlsx").content)).get_sheet_by_index(0).to_python()
    assert [row[book[0].index("balance")] for row in book[1:]] == [r["balance"] for r in rows]
    assert len(get(busy, CARD, format="csv", limit=2).content.splitlines()) == 3


def test_a_period_too_long_for_a_file_is_refused_rather_than_cut(busy, monkeypatch):
    monkeypatch.setattr(papers, "FILE_ROWS_MAX", 4)
    monkeypatch.setattr(papers, "PRINTED_ROWS_MAX", 4)
    for wanted in ("csv", "pdf"):
        assert code(get(busy, CARD, format=wanted)) == (422, "too_many_rows")
    monkeypatch.setattr(papers, "FILE_ROWS_MAX", 5)
    assert get(busy, CARD, format="csv").status_code == 200


def words_of(answer):
    assert answer.headers["content-type"] == "application/pdf", answer.text
    return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages)


def test_a_printed_card_says_what_the_answer_says(busy):
    told = words_of(get(busy, CARD, format="pdf"))
    for said in ("Stock card", "Opening balance", "RC-20260401-", "110", "70", "40"):
        assert said in told


# -- documents --------------------------------------------------------------------------------------------------------


def test_documents_are_listed_what_happened_last_first(busy):
    rows = get(busy, "/v1/documents").json()["items"]
    assert [row["kind"] for row in rows] == ["arrival", "transfer", "reversal", "issue", "issue", "receipt"]
    assert rows[-1] | {"actor": ""} == {
        "number": rows[-1]["number"],
        "kind": "receipt",
        "location": W1,
        "location_name_zh": "市级储备库",
        "location_name_en": "市级储备库",
        "occurred_at": "2026-03-29T16:00:00Z",
        "recorded_at": "2026-04-01T02:00:00Z",
        "actor": "",
        "reference": "PO 7",
        "purpose": None,
        "recipient": None,
        "party": None,
        "restriction": None,
        "reason": None,
        "follows": None,
        "requisition": None,
        "line_count": 1,
    }


def test_documents_are_found_by_kind_place_day_and_reference(busy):
    def kinds(**asked):
        return [row["kind"] for row in get(busy, "/v1/documents", **asked).json()["items"]]

    assert kinds(kind="issue") == ["issue", "issue"]
    assert kinds(location=W2) == ["arrival", "transfer"]
    assert kinds(reference="PO 7") == kinds(until="2026-03-30") == ["receipt"]
    assert kinds(since="2026-04-01", kind="receipt") == []


def test_documents_come_in_pages(busy):
    found, params = [], {"limit": 1}
    while True:
        body = get(busy, "/v1/documents", **params).json()
        found += body["items"]
        if body["next_cursor"] is None:
            break
        params["cursor"] = body["next_cursor"]
        busy.client().post("/v1/receipts", json=receipt(1))
    assert [row["kind"] for row in found] == ["arrival", "transfer", "reversal", "issue", "issue", "receipt"]


def test_a_document_has_its_lines_and_what_follows_it(busy):
    body = get(busy, f"/v1/documents/{busy.transfer}").json()
    assert (body["kind"], body["source"], body["target"]) == ("transfer", W1, W2)
    assert body["followed_by"] == [busy.arrival]
    assert body["sealed"] is None
    (line,) = body["lines"]
    assert line | {"id": 0} == {
        "id": 0,
        "item": "N95",
        "item_name_zh": "医用防护口罩",
        "item_name_en": "Medical respirator",
        "base_unit": "只",
        "lot_number": "A",
        "manufactured_on": None,
        "expires_on": "2027-01-31",
        "source": W1,
        "source_name_zh": "市级储备库",
        "source_name_en": "市级储备库",
        "target": "TRANSIT",
        "target_name_zh": "在途",
        "target_name_en": "In transit",
        "quantity": 30,
        "reason": None,
        "reverses": None,
        "reverses_document": None,
        "reversed_by": None,
        "reversed_by_document": None,
    }
    assert get(busy, f"/v1/documents/{busy.arrival}").json()["follows"] == busy.transfer


def test_both_ends_of_a_transfer_read_its_papers_and_others_learn_nothing(busy):
    for number in (busy.transfer, busy.arrival):
        for location in (W1, W2, "371425", "371400"):
            assert get(busy, f"/v1/documents/{number}", location=location).status_code == 200
    hidden = [get(busy, f"/v1/documents/{n}", location="371402-H1") for n in (busy.transfer, "RC-20260401-000999")]
    assert [code(answer) for answer in hidden] == [(403, "forbidden")] * 2
    assert hidden[0].content == hidden[1].content
    assert get(busy, "/v1/documents", location="371402-H1").json()["items"] == []


def test_a_document_under_a_seal_names_it(busy):
    with database.writing(busy.engine) as session:
        connection = session.connection()
        number = connection.execute(
            text("SELECT id FROM document WHERE number = :n"), {"n": busy.transfer}
        ).scalar_one()
        connection.execute(
            text("INSERT INTO seal (number, rows, prev, digest, sealed_at) VALUES (7, 1, '', 'abc', :at)"),
            {"at": NOW.isoformat(sep=" ")},
        )
        connection.execute(
            text(
                "INSERT INTO sealentry (kind, row_id, number, position, row_digest) VALUES ('document', :id, 7, 1, 'x')"
            ),
            {"id": number},
        )
    assert get(busy, f"/v1/documents/{busy.transfer}").json()["sealed"] == {"number": 7, "digest": "abc"}


@pytest.mark.parametrize(("lang", "title"), [("zh", "调拨单"), ("en", "Transfer note")])
def test_a_printed_document_is_in_the_readers_language(busy, lang, title):
    client = busy.client("viewer", language=lang)
    for number in (busy.transfer, busy.arrival):
        told = words_of(client.get(f"/v1/documents/{number}", params={"format": "pdf"}))
        assert title in told
        assert number in told


def test_every_kind_of_document_prints(busy):
    client = busy.client()
    line = {"item": "N95", "lot_number": "A"}
    client.post(
        "/v1/adjustments", json={"location": W1, "lines": [{**line, "quantity": -1, "reason": "damaged"}]}
    ).raise_for_status()
    client.post(
        "/v1/disposals", json={"location": W1, "reason": "damaged", "lines": [{**line, "quantity": 1}]}
    ).raise_for_status()
    lost = {**line, "quantity": 2, "outcome": "lost", "reason": "fell off"}
    client.post(f"/v1/transfers/{busy.transfer}/settlement", json={"lines": [lost]}).raise_for_status()
    rows = get(busy, "/v1/documents").json()["items"]
    assert {row["kind"] for row in rows} == {
        "receipt", "issue", "reversal", "transfer", "arrival", "adjustment", "disposal", "settlement",
    }  # fmt: skip
    for row in rows:
        assert row["number"] in words_of(get(busy, f"/v1/documents/{row['number']}", format="pdf"))


def test_an_approved_count_shows_every_line_of_its_sheet(busy):
    busy.client().post("/v1/receipts", json=receipt(5, "B"))
    counter = busy.client("clerk")
    sheet = counter.post("/v1/counts", json={"location": W1}).json()["document"]
    busy.clock.pass_by(minutes=5)
    counted = [
        {"item": "N95", "lot_number": "A", "counted": 38, "remark": "two torn"},
        {"item": "N95", "lot_number": "B", "counted": 5},
    ]
    counter.put(f"/v1/counts/{sheet}/lines", json={"lines": counted}).raise_for_status()
    assert get(busy, f"/v1/documents/{sheet}").status_code == 404  # a sheet is no document before it is approved
    chief = busy.client("manager", W1)
    busy.clock.pass_by(minutes=5)
    approved = chief.post(f"/v1/counts/{sheet}/approval", json={"reason": "seen"})
    assert approved.status_code == 201, approved.text
    body = get(busy, f"/v1/documents/{sheet}").json()
    assert [(r["lot_number"], r["book"], r["counted"]) for r in body["counted"]] == [("A", 40, 38), ("B", 5, 5)]
    assert [(r["source"], r["target"], r["quantity"]) for r in body["lines"]] == [(W1, "VARIANCE", 2)]
    assert body["approved_by"].startswith("manager Li")
    told = words_of(get(busy, f"/v1/documents/{sheet}", format="pdf"))
    for said in ("Count sheet (approved)", "Variance", "two torn", "43"):
        assert said in told
    assert "two torn" in seen(page(busy, f"/documents/{sheet}").text)


def test_an_inspection_prints_who_looked_and_what_was_found(busy):
    with database.writing(busy.engine) as session:
        catalogue.set_inspection(session, catalogue.place(session, W1), inspects=True)
    client = busy.client()
    client.post("/v1/receipts", json=receipt(10, "Q")).raise_for_status()
    line = {"item": "N95", "lot_number": "Q"}
    decided = [
        {**line, "quantity": 7, "outcome": "passed"},
        {**line, "quantity": 3, "outcome": "rejected", "reason": "torn boxes"},
    ]
    made = client.post("/v1/inspections", json={"location": W1, "inspector": "Zhao", "lines": decided})
    assert made.status_code == 201, made.text
    told = words_of(get(busy, f"/v1/documents/{made.json()['document']}", format="pdf"))
    for said in ("Inspection note", "Passed", "Rejected", "torn boxes", "inspected by Zhao"):
        assert said in told
    bay = get(busy, f"/v1/stock/{W1}.BAY/N95/card").json()
    assert [(r["kind"], r["in"], r["out"], r["balance"]) for r in bay["items"]] == [
        ("receipt", 10, 0, 10),
        ("inspection", 0, 7, 3),
        ("inspection", 0, 3, 0),
    ]
    assert bay["items"][1]["counterpart"] == W1


def test_over_the_road_a_card_names_the_other_end(busy):
    there = get(busy, f"/v1/stock/{W2}/N95/card").json()["items"]
    assert [(r["kind"], r["source"], r["counterpart"]) for r in there] == [("arrival", "TRANSIT", W1)]
    sent = get(busy, CARD).json()["items"][-1]
    assert (sent["target"], sent["counterpart"]) == ("TRANSIT", W2)


def test_lists_of_documents_do_not_read_the_ledger_whole(busy):
    statements = Statements(busy.engine)
    with database.reading(busy.engine) as session:
        scope = catalogue.place(session, "371425")
        documents.listed(session, DocumentsQuestion(scope=scope, since=NOW - timedelta(days=3), until=NOW))
        documents.listed(session, DocumentsQuestion(before=(NOW, 2**40)))
        documents.paper(session, busy.transfer)
    assert statements.scans() == []


# -- lots -------------------------------------------------------------------------------------------------------------


def test_a_trace_is_one_call(busy):
    body = get(busy, TRACE).json()
    assert body["sums"] == {
        "received": 100, "from_elsewhere": 0, "lies": 60, "in_transit": 10, "issued": 30, "disposed": 0, "lost": 0,
        "downgraded": 0, "returned": 0, "to_elsewhere": 0, "balanced": True,
    }  # fmt: skip
    assert body["complete"] is True
    assert [(r["location"], r["on_hand"]) for r in body["lies"]] == [(W1, 40), (W2, 20)]
    assert [(r["recipient"], r["quantity"]) for r in body["recipients"]] == [("德城区医院", 30), ("齐河县医院", 0)]
    assert [(r["reference"], r["quantity"], r["net"]) for r in body["receipts"]] == [("PO 7", 100, 100)]
    assert body["in_transit"][0]["on_the_road"] == 10


def test_a_county_gets_its_part_of_a_trace_and_who_has_none_learns_nothing(busy):
    body = get(busy, TRACE, location="371425").json()
    assert [row["location"] for row in body["lies"]] == [W2]
    assert (body["complete"], body["sums"]["balanced"], body["receipts"]) == (False, True, [])
    nothing = [get(busy, f"/v1/lots/N95/{lot}/trace", location="371402-H1") for lot in ("A", "NOPE")]
    assert [code(answer) for answer in nothing] == [(403, "forbidden")] * 2
    assert nothing[0].content == nothing[1].content


def test_a_lot_number_with_a_slash_is_asked_for_like_any_other(busy):
    busy.client().post("/v1/receipts", json=receipt(3, "K/2301%?"))
    address = f"/v1/lots/N95/{quote('K/2301%?', safe='')}/trace"
    assert get(busy, address).json()["sums"]["lies"] == 3
    assert get(busy, address, format="csv").status_code == 200
    assert "K/2301%?" in words_of(get(busy, address, format="pdf"))


def test_lots_are_listed_in_the_readers_part(busy):
    (row,) = get(busy, "/v1/lots").json()["items"]
    assert (row["lot_number"], row["on_hand"], row["usable"], row["places"], row["hold"]) == ("A", 60, 60, 2, None)
    assert get(busy, "/v1/lots", location="371425").json()["items"][0]["on_hand"] == 20
    busy.client().post("/v1/receipts", json=receipt(3, "B", "2028-01-31"))
    first = get(busy, "/v1/lots", limit=1).json()
    second = get(busy, "/v1/lots", limit=1, cursor=first["next_cursor"]).json()
    assert [r["lot_number"] for r in first["items"] + second["items"]] == ["A", "B"]
    assert second["next_cursor"] is None


def test_a_trace_as_a_file_has_every_part(busy):
    sheet = list(csv.DictReader(io.StringIO(get(busy, TRACE, format="csv").content.decode("utf-8-sig"))))
    assert {row["part"] for row in sheet} == {"lies", "in_transit", "receipts", "issues"}
    assert sum(int(row["net"]) for row in sheet if row["part"] != "receipts") == 100
    assert get(busy, TRACE, format="xlsx").status_code == 200
    told = words_of(get(busy, TRACE, format="pdf"))
    for said in ("Recall trace", "100", "60", "德城区医院"):
        assert said in told


# -- pages ------------------------------------------------------------------------------------------------------------

CHINESE = re.compile(r"[\u3400-\u9fff\uff01-\uff5e]")


def seen(html):
    html = re.sub(r'<a class="language".*?</a>|<title>.*?</title>|<svg.*?</svg>', " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def page(served, address, lang="en", **params):
    return served.client(None).get(address, params={"lang": lang, **params})


def test_every_word_of_the_papers_is_said_in_both_languages():
    for key, (zh, en) in papers_words.WORDS.items():
        assert zh, key
        assert en, key
        assert not CHINESE.search(en), key
        assert set(re.findall(r"{\w+}", zh)) == set(re.findall(r"{\w+}", en)), key


def test_the_card_page_shows_lines_balances_and_ways_on(busy):
    html = page(busy, "/stock/371400-W1/N95").text
    told = seen(html)
    for said in ("Stock card", "Opening balance", "Closing balance", "+ 110", "= 40", "德城区医院", "wrong truck"):
        assert said in told
    assert re.search(r'href="/documents/RC-20260401-\d+\?lang=en"', html)
    assert 'href="/lots/N95/A?lang=en"' in html
    for wanted in ("csv", "xlsx", "pdf"):
        assert f"format={wanted}" in html
    assert "<script" not in html
    assert " style=" not in html


def test_a_card_page_shows_the_last_months_until_another_period_is_asked_for(busy):
    with database.reading(busy.engine):
        busy.clock.pass_by(days=200)
    assert "Nothing moved in this period." in seen(page(busy, "/stock/371400-W1/N95").text)
    assert "PO 7" in seen(page(busy, "/stock/371400-W1/N95", since="").text)
    assert "PO 7" in seen(page(busy, "/stock/371400-W1/N95", since="2026-03-01", until="2026-03-31").text)


def test_the_card_page_comes_in_pages(busy, monkeypatch):
    monkeypatch.setattr(warehouse_pages, "ROWS", 2)
    address, balances = "/stock/371400-W1/N95?lang=en", []
    while address:
        html = busy.client(None).get(address).text
        balances += re.findall(r'data-label="Balance"><b>([\d,]+)</b>', html)[1:-1]
        more = re.search(r'href="([^"]+)" rel="next"', html)
        address = more[1].replace("&amp;", "&") if more else None
    assert balances == ["100", "70", "60", "70", "40"]


def test_files_are_had_from_the_pages_without_a_key(busy):
    for address in ("/stock/371400-W1/N95", f"/documents/{busy.transfer}", "/lots/N95/A"):
        for wanted, kind in (("csv", "text/csv"), ("xlsx", "spreadsheetml"), ("pdf", "application/pdf")):
            answer = page(busy, address, format=wanted)
            assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True)


def test_the_page_of_a_region_leads_to_its_stores(busy):
    answer = page(busy, "/stock/371400/N95")
    assert answer.status_code == 422
    assert 'href="/stock/371400-W1/N95?lang=en"' in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "/stock/NOWHERE/N95",
        "/stock/371400-W1/NOPE",
        "/documents/RC-1",
        "/lots/N95/NOPE",
        "/lots/NOPE/A",
        "/documents/%00",
    ],
)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_page_that_is_not_there_says_what_to_do(busy, address, lang):
    answer = page(busy, address, lang)
    assert answer.status_code == 404
    assert papers_words.say(lang, "missing.do") in seen(answer.text)


def test_a_document_page_can_be_signed_and_scanned(busy):
    html = page(busy, f"/documents/{busy.transfer}").text
    told = seen(html)
    for said in ("Transfer note", busy.transfer, busy.arrival, "Medical respirator", "Carried by", "Signature / date"):
        assert said in told
    assert f"<title>{busy.transfer}</title>" in html
    assert 'href="/stock/371400-W1/N95?lang=en"' in html


def test_a_lot_page_says_where_it_is_who_got_it_and_that_it_adds_up(busy):
    told = seen(page(busy, "/lots/N95/A").text)
    for said in ("Both sides agree", "Where it lies now", "Who got it", "德城区医院", "Not on hold", "On the road"):
        assert said in told


def test_a_held_lot_says_so_at_the_top_of_its_page(busy):
    hold = busy.client("manager").put("/v1/lots/N95/A/hold", json={"reason": "recall"})
    assert hold.status_code in {200, 201}, hold.text
    assert "Hold: Recall" in seen(page(busy, "/lots/N95/A").text)
    assert "ON HOLD" in words_of(page(busy, "/lots/N95/A", format="pdf"))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_pages_speak_one_language(busy, lang):
    for address in ("/stock/371400-W1/N95", f"/documents/{busy.transfer}", "/lots/N95/A"):
        html = page(busy, address, lang).text
        assert f'lang="{"zh-CN" if lang == "zh" else "en"}"' in html
        told = seen(html)
        for zh, en in (papers_words.WORDS["item"], papers_words.WORDS["balance"], papers_words.WORDS["lot"]):
            assert not re.search(rf"(?<![A-Za-z]){en if lang == 'zh' else zh}(?![A-Za-z])", told)


def test_pages_are_for_this_machine(busy):
    stranger = busy.client(None)
    for address in ("/stock/371400-W1/N95", f"/documents/{busy.transfer}", "/lots/N95/A?format=csv"):
        assert stranger.get(address, headers={"Host": "evil.example"}).status_code == 403
