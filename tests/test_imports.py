"""Sheets as their senders save them: what is taken, what is refused and in which words, on both databases."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, SHANGHAI, TODAY, connect, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlmodel import Session, SQLModel

from reserve import catalogue, consumption, database, imports, lots, sheets, stock, verify
from reserve.errors import Refusal, SheetRefused
from reserve.imports import COLUMNS, Imported, SheetKind, import_sheet
from reserve.model import Category, ConsumptionSource, LocationKind

MOVEMENTS = "date,location,kind,item,lot_number,expires_on,quantity,reason,recipient,reference,purpose\n"
Told = tuple[int | None, str | None, str]
"""Row, column and code of one thing that is wrong."""

ITEMS = "code,name_zh,name_en,category,base_unit,standard,shelf_life_days,gtin,units_per_pack,pack_name\n"
USE = "date,location,item,quantity\n"
ONCE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def send(engine: Engine, kind: str, sheet: str | bytes, **changes: object) -> Imported:
    """The sheet recorded, as the command line does it: any past day."""
    data = sheet if isinstance(sheet, bytes) else sheet.encode("utf-8-sig")
    with database.writing(engine) as session:
        return import_sheet(session, entry(**{"back_dating_days": None, **changes}), kind, data)


def refused(engine: Engine, kind: str, sheet: str | bytes, **changes: object) -> list[Told]:
    """What is wrong with a sheet that was refused; nothing in the database has changed."""
    before = contents(engine)
    with pytest.raises(SheetRefused) as caught:
        send(engine, kind, sheet, **changes)
    assert contents(engine) == before
    assert all(fault.detail.strip() for fault in caught.value.cells)
    return [(fault.row, fault.column, fault.code) for fault in caught.value.cells]


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading(engine) as session:
        return {
            table.name: [tuple(row) for row in session.connection().execute(select(table).order_by(*table.primary_key))]
            for table in SQLModel.metadata.sorted_tables
        }


def judged(engine: Engine, kind: str, sheet: str) -> list[Told]:
    """What is wrong with a sheet that is tried and rolled back."""
    with database.reading(engine) as session, pytest.raises(SheetRefused) as caught:
        import_sheet(session, entry(back_dating_days=None), kind, sheet.encode("utf-8-sig"))
    return [(fault.row, fault.column, fault.code) for fault in caught.value.cells]


def read(kind: SheetKind, sheet: str | bytes) -> list[Told]:
    """What is wrong with the cells of a sheet, before any database is asked."""
    data = sheet if isinstance(sheet, bytes) else sheet.encode("utf-8-sig")
    try:
        found = sheets.read(data, COLUMNS[kind]).faults.listed
    except SheetRefused as refusal:
        found = list(refusal.cells)
    return [(fault.row, fault.column, fault.code) for fault in found]


@pytest.fixture(scope="module")
def town(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The city of the other tests in one SQLite file for many tries, each of which is rolled back."""
    path = tmp_path_factory.mktemp("sheets") / "reserve.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = connect(f"sqlite:///{path}")
    places = (
        "code,name_zh,name_en,kind,parent\n371400,德州市,Dezhou,region,\n371402,德城区,德城区,region,371400\n"
        "371400-W1,市级储备库,W1,warehouse,371400\n371402-H1,德城区医院,H1,hospital,371402\n"
    )
    send(engine, "locations", places)
    items = "N95,医用防护口罩,Respirator,protective,只,,1095,06901234567892,400,箱\nVENT,呼吸机,V,treatment,台,,,,,\n"
    send(engine, "items", ITEMS + items)
    yield engine
    database.close(engine)


def on_hand(engine: Engine) -> dict[tuple[str, str, str], int]:
    with database.reading(engine) as session:
        rows = stock.rows(session, stock.StockQuestion(day=TODAY))
        return {(r.location, r.item, r.lot_number): r.on_hand for r in rows}


def ledger_of(engine: Engine) -> list[tuple[str, str, str, str, int, str | None]]:
    with database.reading(engine) as session:
        rows = reversed(stock.movements(session, stock.MovementQuestion(limit=10_000)))
        return [
            (str(r.occurred_at.astimezone(SHANGHAI).date()), r.kind, r.item, r.lot_number, r.quantity, r.reason)
            for r in rows
        ]


# -- movements --------------------------------------------------------------------------------------------------------


def test_a_sheet_of_receipts_and_issues_becomes_documents_and_stock(city: Engine) -> None:
    found = send(
        city,
        "movements",
        MOVEMENTS
        + "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,400,,,PO-7,\n"
        + "2026-03-01,371400-W1,receipt,N95,A2,2027-05-31,100,,,PO-7,\n"
        + "2026-03-20,371400-W1,issue,N95,,,150,,德城区医院,,use\n"
        + "2026-03-25,371400-W1,adjustment,N95,A1,,-5,damaged,,,\n",
    )
    assert (found.rows, found.recorded, found.unchanged) == (4, 4, 0)
    assert [number[:2] for number in found.documents] == ["RC", "IS", "AD"]
    assert on_hand(city) == {("371400-W1", "N95", "A1"): 345}
    assert ledger_of(city) == [
        ("2026-03-01", "receipt", "N95", "A1", 400, None),
        ("2026-03-01", "receipt", "N95", "A2", 100, None),
        ("2026-03-20", "issue", "N95", "A2", 100, None),
        ("2026-03-20", "issue", "N95", "A1", 50, None),
        ("2026-03-25", "adjustment", "N95", "A1", 5, "damaged"),
    ]


def test_a_chinese_sheet_in_gb18030_with_semicolons_says_the_same(city: Engine) -> None:
    found = send(
        city,
        "movements",
        (
            "日期;库点;类型;物资;批号;有效期至;数量;原因;领用单位;凭证号;用途\r\n"
            "2026年3月1日;371400-W1;入库;N95;A1;2027/6/30;400;;;购-7;\r\n"
            "2026/3/20;371400-W1;出库;N95;;;150;;德城区医院;;领用\r\n"
            "2026-03-25;371400-W1;调整;N95;A1;;-5;损坏;;;\r\n"
        ).encode("gb18030"),
    )
    assert (found.recorded, found.encoding) == (3, "gb18030")
    assert on_hand(city) == {("371400-W1", "N95", "A1"): 245}


def test_a_file_with_a_bad_row_records_nothing(city: Engine) -> None:
    sheet = MOVEMENTS + (
        "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,400,,,,\n"
        "2026-02-30,371400-W1,receipt,N95,A1,2027-06-30,12.5,,,,\n"
        "2026-03-02,371400-W9,receipt,N96,A1,2027-06-30,400,,,,\n"
        "2026-04-02,371400-W1,receipt,N95,A1,2027-06-30,400,,,,\n"
    )
    assert refused(city, "movements", sheet) == [
        (3, "date", "no_such_day"),
        (3, "quantity", "fraction"),
        (4, "item", "unknown_item"),
        (4, "location", "unknown_location"),
        (5, "date", "occurred_at_out_of_bounds"),
    ]


def test_every_fault_names_row_column_value_and_what_to_write(city: Engine) -> None:
    sheet = MOVEMENTS + "\n2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,４００,,,,\n"
    with pytest.raises(SheetRefused) as caught:
        send(city, "movements", sheet)
    (fault,) = caught.value.cells
    assert fault == (
        3,
        "quantity",
        "４００",
        "full_width",
        "４００ is in full-width digits: write 400.",
    )  # row 2 is empty
    assert caught.value.faults[0].pointer == "/rows/3/quantity"
    assert "row 3, quantity" in caught.value.detail


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("12.5", "fraction"),
        ("12.0", "fraction"),
        ("1.000", "fraction"),
        ("1e3", "exponent"),
        ("1.2E+05", "exponent"),
        (" -3", "spaces"),
        ("3 ", "spaces"),
        ("-3", "negative"),
        ("TRUE", "not_a_number"),
        ("", "missing"),
        ("  ", "missing"),
        ("１２", "full_width"),
        ('"1,200"', "thousands_separator"),
        ("1 200", "thousands_separator"),
        ("2000只/箱", "unit"),
        ("5箱", "unit"),
        ("+3", "not_a_number"),
        ("'3", "not_a_number"),
        ("=1+1", "not_a_number"),
        ("²", "full_width"),
        ("٣", "not_a_number"),
        ("1" + "0" * 15 + "1", "too_large"),
        ("9" * 5000, "too_large"),
    ],
)
def test_a_quantity_is_refused_for_the_right_reason(cell: str, code: str) -> None:
    sheet = USE + f"2026-03-01,371402-H1,N95,{cell}\n"
    assert read(SheetKind.CONSUMPTION, sheet) == [(2, "quantity", code)]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("2026-02-29", "no_such_day"),
        ("2026-13-01", "no_such_day"),
        ("0000-01-01", "no_such_day"),
        ("1989-12-31", "day_out_of_bounds"),
        ("2101-01-01", "day_out_of_bounds"),
        ("01/04/2026", "not_a_day"),
        ("26-04-01", "not_a_day"),
        ("46113", "not_a_day"),
        ("2026-04-01 00:00", "not_a_day"),
        ("2026/04-01", "not_a_day"),
        ("April", "not_a_day"),
        ("２０２６-０３-０１", "full_width"),
        ("", "missing"),
    ],
)
def test_a_day_that_is_none_is_refused(cell: str, code: str) -> None:
    sheet = USE + f"{cell},371402-H1,N95,5\n"
    assert read(SheetKind.CONSUMPTION, sheet) == [(2, "date", code)]


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("item", "Ｎ９５", "invalid_code"),
        ("item", "N 95", "invalid_code"),
        ("item", "N" * 41, "invalid_code"),
        ("lot_number", "A#1", "invalid_lot_number"),
        ("lot_number", "批1", "invalid_lot_number"),
        ("lot_number", "A" * 21, "invalid_lot_number"),
        ("kind", "transfer", "unknown_word"),
        ("purpose", "fun", "unknown_word"),
        ("recipient", "a\u202eb", "invisible_character"),
        ("recipient", "a\u200bb", "invisible_character"),
        ("recipient", "a\x07b", "invisible_character"),
        ("recipient", '"a\nb"', "invisible_character"),
        ("recipient", "caf\ufffd", "invisible_character"),
        ("recipient", "院" * 121, "too_long"),
        ("reference", "R" * 121, "too_long"),
        ("reason", "r" * 201, "too_long"),
    ],
)
def test_a_word_that_cannot_be_kept_is_refused(column: str, cell: str, code: str) -> None:
    row = {"date": "2026-03-01", "location": "371400-W1", "kind": "issue", "item": "N95", "quantity": "5", column: cell}
    header = MOVEMENTS.strip().split(",")
    sheet = MOVEMENTS + ",".join(row.get(name, "") for name in header) + "\n"
    assert read(SheetKind.MOVEMENTS, sheet) == [(2, column, code)]


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,0,,,,", "quantity", "zero"),
        ("2026-03-01,371400-W1,issue,N95,,,-5,,,,", "quantity", "negative"),
        ("2026-03-01,371400-W1,receipt,N95,,,5,,,,", "lot_number", "lot_required"),
        ("2026-03-01,371400-W1,receipt,N95,A1,,5,,,,", "expires_on", "expiry_required"),
        ("2026-03-01,371400-W1,receipt,N95,A1,2026-02-28,5,,,,", "expires_on", "lot_expired"),
        ("2026-03-01,371400-W1,receipt,VENT,,2027-01-01,5,,,,", "lot_number", "lot_required"),
        ("2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,5,found,,,", "reason", "not_of_this_kind"),
        ("2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,5,,H1,,", "recipient", "not_of_this_kind"),
        ("2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,5,,,,use", "purpose", "not_of_this_kind"),
        ("2026-03-01,371400-W1,adjustment,N95,A1,2027-06-30,5,,,,", "reason", "missing"),
        ("2026-03-01,371400-W1,adjustment,N95,A1,2027-06-30,5,because,,,", "reason", "unknown_reason"),
        ("2026-03-01,371400-W1,adjustment,N95,A1,2027-06-30,0,found,,,", "quantity", "zero"),
        ("2026-03-01,371400-W1,adjustment,N95,A1,,5,found,,,", "expires_on", "expiry_required"),
        ("2026-03-01,371400-W1,adjustment,N95,A1,,-5,lost,,,", "lot_number", "unknown_lot"),
        ("2026-03-01,371400-W1,issue,N95,,,5,,,,", "quantity", "insufficient_stock"),
        ("2026-03-01,371400-W1,issue,N95,A9,,5,,,,", "lot_number", "unknown_lot"),
        ("2026-03-01,SUPPLIER,receipt,N95,A1,2027-06-30,5,,,,", "location", "unknown_location"),
    ],
)
def test_what_the_ledger_would_refuse_is_told_at_its_cell(town: Engine, row: str, column: str, code: str) -> None:
    assert judged(town, "movements", MOVEMENTS + row + "\n") == [(2, column, code)]


def test_rows_in_any_order_are_recorded_day_by_day_and_what_comes_in_first(city: Engine) -> None:
    send(
        city,
        "movements",
        MOVEMENTS
        + "2026-03-02,371400-W1,adjustment,N95,A1,,-10,lost,,,\n"
        + "2026-03-02,371400-W1,issue,N95,A1,,90,,,,\n"
        + "2026-03-02,371400-W1,adjustment,N95,A1,2027-06-30,40,found,,,\n"
        + "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,60,,,,\n",
    )
    assert [(row[0], row[1], row[4]) for row in ledger_of(city)] == [
        ("2026-03-01", "receipt", 60),
        ("2026-03-02", "adjustment", 40),
        ("2026-03-02", "adjustment", 10),
        ("2026-03-02", "issue", 90),
    ]
    assert on_hand(city) == {}


def test_too_much_handed_out_is_told_at_its_row_with_what_there_was(city: Engine) -> None:
    sheet = MOVEMENTS + (
        "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,100,,,,\n"
        "2026-03-05,371400-W1,issue,N95,,,60,,,,\n"
        "2026-03-06,371400-W1,issue,N95,,,60,,,,\n"
        "2026-03-07,371400-W1,issue,N95,,,60,,,,\n"
        "2026-03-07,371402-H1,issue,VENT,,,1,,,,\n"
    )
    with pytest.raises(SheetRefused) as caught:
        send(city, "movements", sheet)
    told = [(f.row, f.code, f.detail) for f in caught.value.cells]
    # the issue of the 7th only fails because the one of the 6th did: it is not told
    assert [(row, code) for row, code, _ in told] == [(4, "insufficient_stock"), (6, "insufficient_stock")]
    assert told[0][2].startswith("60 of N95 cannot leave: 40 usable of 40")


def test_all_bad_lines_of_one_document_are_told_at_once(city: Engine) -> None:
    sheet = MOVEMENTS + (
        "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,10,,,,\n"
        "2026-03-01,371400-W1,receipt,N95,A2,2027-07-31,10,,,,\n"
        "2026-03-01,371400-W1,receipt,VENT,,,10,,,,\n"
        "2026-03-05,371400-W1,issue,N95,A2,,15,,,,\n"
        "2026-03-05,371400-W1,issue,VENT,,,11,,,,\n"
    )
    assert refused(city, "movements", sheet) == [
        (5, "quantity", "insufficient_stock"),
        (6, "quantity", "insufficient_stock"),
    ]
    mended = sheet.replace("N95,A2,,15,", "N95,A2,,5,").replace(",,,11,", ",,,10,")
    assert send(city, "movements", mended).recorded == 5


def test_more_of_one_lot_than_can_be_real_is_refused(city: Engine) -> None:
    row = "2026-03-01,371400-W1,receipt,VENT,,,1000000000000000,,,{},\n"
    sheet = MOVEMENTS + row.format("PO-1") + row.format("PO-2") + "2026-03-02,371400-W1,receipt,VENT,,,1,,,,\n"
    assert refused(city, "movements", sheet) == [(3, "quantity", "quantity_too_large")]


def test_a_lot_on_hold_is_not_handed_out_by_a_sheet_either(city: Engine) -> None:
    send(city, "movements", MOVEMENTS + "2026-03-01,371400-W1,receipt,N95,A1,2027-06-30,5,,,,\n")
    with database.writing(city) as session:
        item = catalogue.item(session, "N95")
        assert item is not None
        lots.place_hold(session, item_id=item.id, lot_number="A1", reason="recall", actor="Li Wei", now=NOW)
    issue = MOVEMENTS + "2026-03-05,371400-W1,issue,N95,{},,1,,,,\n"
    assert refused(city, "movements", issue.format("A1")) == [(2, "lot_number", "lot_on_hold")]
    assert refused(city, "movements", issue.format("")) == [(2, "quantity", "insufficient_stock")]


def test_one_lot_with_two_expiries_is_refused_wherever_the_other_stands(city: Engine) -> None:
    receipt = "2026-03-01,371400-W1,receipt,N95,A1,{},5,,,,\n"
    twice = MOVEMENTS + receipt.format("2027-06-30") + receipt.format("2027-06-03")
    assert refused(city, "movements", twice) == [(3, "expires_on", "lot_conflict")]
    send(city, "movements", MOVEMENTS + receipt.format("2027-06-30"))
    assert refused(city, "movements", MOVEMENTS + receipt.format("2027-06-03")) == [(2, "expires_on", "lot_conflict")]
    issue = MOVEMENTS + "2026-03-05,371400-W1,issue,N95,A1,2027-06-03,1,,,,\n"
    assert refused(city, "movements", issue) == [(2, "expires_on", "lot_conflict")]


def test_goods_without_a_shelf_life_need_no_lot(city: Engine) -> None:
    send(
        city,
        "movements",
        "date,location,kind,item,quantity,reason\n"
        "2026-03-01,371400-W1,receipt,VENT,9,\n"
        "2026-03-01,371400-W1,adjustment,VENT,-2,damaged\n"
        "2026-03-03,371400-W1,issue,VENT,3,\n",
    )
    assert on_hand(city) == {("371400-W1", "VENT", "NO-LOT"): 4}


def test_a_back_dated_issue_may_not_leave_a_later_day_below_zero(city: Engine) -> None:
    send(
        city,
        "movements",
        MOVEMENTS + "2026-03-01,371400-W1,receipt,VENT,,,5,,,,\n2026-03-20,371400-W1,issue,VENT,,,5,,,,\n",
    )
    sheet = MOVEMENTS + "2026-03-10,371400-W1,issue,VENT,,,1,,,,\n"
    assert refused(city, "movements", sheet) == [(2, "quantity", "would_go_negative")]


def test_back_dating_is_limited_where_the_caller_says_so(city: Engine) -> None:
    sheet = MOVEMENTS + "2026-03-01,371400-W1,receipt,VENT,,,5,,,,\n"
    assert refused(city, "movements", sheet, back_dating_days=14) == [(2, "date", "occurred_at_out_of_bounds")]
    assert send(city, "movements", sheet, back_dating_days=31).recorded == 1


def test_the_same_sheet_again_doubles_nothing_and_answers_the_same_documents(city: Engine) -> None:
    sheet = MOVEMENTS + "2026-03-01,371400-W1,receipt,VENT,,,5,,,购-7,\n"
    first = send(city, "movements", sheet)
    before = contents(city)
    for again in (sheet.encode("utf-8-sig"), sheet.encode("gb18030"), sheet.replace("\n", "\r\n").encode("utf-8")):
        found = send(city, "movements", again, now=NOW + timedelta(days=400), actor="Wang Fang")
        assert (found.recorded, found.unchanged, found.documents) == (0, 1, first.documents)
    assert contents(city) == before
    other = send(city, "movements", sheet.replace("购-7", "购-8"))
    assert other.recorded == 1
    assert on_hand(city) == {("371400-W1", "VENT", "NO-LOT"): 10}


def test_a_refused_sheet_may_be_sent_again_when_the_goods_have_come(city: Engine) -> None:
    sheet = MOVEMENTS + "2026-03-10,371400-W1,issue,VENT,,,5,,,,\n"
    assert refused(city, "movements", sheet) == [(2, "quantity", "insufficient_stock")]
    send(city, "movements", MOVEMENTS + "2026-03-01,371400-W1,receipt,VENT,,,5,,,,\n")
    assert send(city, "movements", sheet).recorded == 1


def test_a_dry_run_judges_everything_and_leaves_nothing(city: Engine) -> None:
    sheet = (MOVEMENTS + "2026-03-01,371400-W1,receipt,VENT,,,5,,,,\n").encode()
    before = contents(city)
    with database.reading(city) as session:
        assert import_sheet(session, entry(back_dating_days=None), "movements", sheet).recorded == 1
    assert contents(city) == before


def test_more_lines_than_a_document_holds_become_several(city: Engine) -> None:
    rows = "".join(f"2026-03-01,371400-W1,receipt,N95,L{n},2027-06-30,1,,,PO-7,\n" for n in range(2001))
    found = send(city, "movements", MOVEMENTS + rows)
    assert (found.recorded, len(found.documents)) == (2001, 3)


def test_the_sender_sees_how_far_it_is(city: Engine) -> None:
    seen: list[tuple[int, int]] = []
    rows = "".join(f"2026-03-0{n},371400-W1,receipt,VENT,,,1,,,,\n" for n in range(1, 8))
    with database.writing(city) as session:
        import_sheet(
            session,
            entry(back_dating_days=None),
            "movements",
            (MOVEMENTS + rows).encode(),
            progress=lambda done, of: seen.append((done, of)),
        )
    assert seen == [(n, 7) for n in range(1, 8)]


def test_twelve_thousand_rows_are_recorded_in_seconds(town: Engine) -> None:
    """2,400 documents over 20 lots. Measured with 12,000 documents of one row over 200 lots: 9 s."""
    receipt = "2026-03-{:02d},371400-W1,receipt,N95,L{},2027-06-30,9,,,PO-{},\n"
    rows = [receipt.format(1 + n // 5 % 28, n % 20, n // 5) for n in range(6000)]
    rows += [f"2026-03-{1 + n // 5 % 28:02d},371400-W1,issue,N95,,,3,,院{n // 5},,\n" for n in range(6000)]
    start = time.perf_counter()
    with database.reading(town) as session:
        found = import_sheet(session, entry(back_dating_days=None), "movements", (MOVEMENTS + "".join(rows)).encode())
    assert (found.recorded, len(found.documents)) == (12_000, 2_400)
    assert time.perf_counter() - start < 30


# -- items and locations ----------------------------------------------------------------------------------------------


def test_items_come_with_their_packs_one_a_row(engine: Engine) -> None:
    found = send(
        engine,
        "items",
        "编码,名称,英文名称,类别,单位,标准,保质期天数,条码,每包装数量,包装\n"
        "N95,医用防护口罩,Respirator,防护,只,GB 19083-2010,1095,6901234567892,20,盒\n"
        "N95,医用防护口罩,Respirator,防护,只,GB 19083-2010,1095,16901234567899,400,箱\n"
        "VENT,呼吸机,Ventilator,救治,台,,,,,\n",
    )
    assert (found.recorded, found.unchanged) == (3, 0)
    with database.reading(engine) as session:
        items = {item.code: item for item in catalogue.items(session)}
        packs = {pack.gtin: (pack.units_per_pack, pack.name) for pack in catalogue.packs(session)}
    assert items["N95"].category == Category.PROTECTIVE
    assert (items["N95"].shelf_life_days, items["VENT"].shelf_life_days) == (1095, None)
    assert packs == {"06901234567892": (20, "盒"), "16901234567899": (400, "箱")}


def test_items_that_are_there_already_are_unchanged_and_may_get_another_pack(city: Engine) -> None:
    row = "N95,医用防护口罩,Medical respirator,protective,只,GB 19083-2010,1095,{}\n"
    same = ITEMS + row.format("06901234567892,400,箱")
    assert send(city, "items", same)[1:4] == (1, 0, 1)
    more = same + row.format("16901234567899,20,盒")
    assert send(city, "items", more)[1:4] == (2, 1, 1)
    assert send(city, "items", more)[1:4] == (2, 0, 2)


def test_an_item_that_differs_from_the_books_is_refused_by_field(city: Engine) -> None:
    sheet = ITEMS + "N95,医用防护口罩,Respirator,protective,个,GB 19083-2010,730,06901234567892,500,箱\n"
    assert refused(city, "items", sheet) == [
        (2, "name_en", "conflict"),
        (2, "base_unit", "conflict"),
        (2, "shelf_life_days", "conflict"),
        (2, "units_per_pack", "conflict"),
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("A,甲,A,other,只,,,,,", "A,甲,A,other,个,,,16901234567899,1,"), [(3, "base_unit", "conflict")]),
        (("A,甲,A,other,只,,,,,", "A,甲,A,other,只,,,,,"), [(3, "code", "duplicate_row")]),
        (
            ("A,甲,A,other,只,,,16901234567899,1,", "B,乙,B,other,只,,,16901234567899,1,"),
            [(3, "gtin", "duplicate_row")],
        ),
        (("A,甲,A,other,只,,,06901234567892,400,箱",), [(2, "gtin", "conflict")]),
        (("A,甲,A,other,只,,,6901234567891,1,",), [(2, "gtin", "invalid_gtin")]),
        (("A,甲,A,other,只,,,6.90123E+12,1,",), [(2, "gtin", "exponent")]),
        (("A,甲,A,other,只,,,16901234567899,,",), [(2, "units_per_pack", "missing")]),
        (("A,甲,A,other,只,,,,9,",), [(2, "gtin", "missing")]),
        (("A,甲,A,口罩,只,,,,,",), [(2, "category", "unknown_word")]),
        (("A,甲,A,other,只,,0,,,",), [(2, "shelf_life_days", "zero")]),
        (("A,甲,,other,只,,-1,,,",), [(2, "name_en", "missing"), (2, "shelf_life_days", "negative")]),
    ],
)
def test_an_item_row_that_is_wrong_is_told(
    town: Engine, rows: tuple[str, ...], expected: list[tuple[int, str, str]]
) -> None:
    assert judged(town, "items", ITEMS + "\n".join(rows) + "\n") == expected


def test_locations_may_stand_in_any_order(engine: Engine) -> None:
    sheet = (
        "编码,名称,英文名称,类型,上级,消耗来源\n"
        "371402-H1,德城区医院,Hospital,医院,371402,上报\n"
        "371402,德城区,Decheng,行政区,371400,\n"
        "371400,德州市,Dezhou,region,,\n"
    )
    assert send(engine, "locations", sheet)[1:4] == (3, 3, 0)
    assert send(engine, "locations", sheet)[1:4] == (3, 0, 3)
    with database.reading(engine) as session:
        city, hospital = (catalogue.require_place(session, code) for code in ("371400", "371402-H1"))
    assert city.holds(hospital)
    assert (hospital.kind, hospital.consumption_source) == (LocationKind.HOSPITAL, ConsumptionSource.REPORTS)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("A,甲,A,region,B", "B,乙,B,region,A"), [(2, "parent", "parent_cycle"), (3, "parent", "parent_cycle")]),
        (("A,甲,A,region,A",), [(2, "parent", "parent_cycle")]),
        (("A,甲,A,region,SUPPLIER",), [(2, "parent", "unknown_location")]),
        (("A,甲,A,region,NOWHERE",), [(2, "parent", "unknown_location")]),
        (("A,甲,A,region,", "A,甲,A,region,"), [(3, "code", "duplicate_row")]),
        (("A,甲,A,supplier,",), [(2, "kind", "unknown_word")]),
        (("371402,德城区,德城区,region,",), [(2, "parent", "conflict")]),
        (("371402,德城,德城区,warehouse,371400",), [(2, "name_zh", "conflict"), (2, "kind", "conflict")]),
        (("A,甲,,region,", "B,乙,B,region,A"), [(2, "name_en", "missing")]),
    ],
)
def test_a_location_row_that_is_wrong_is_told(
    town: Engine, rows: tuple[str, ...], expected: list[tuple[int, str, str]]
) -> None:
    sheet = "code,name_zh,name_en,kind,parent\n" + "\n".join(rows) + "\n"
    assert judged(town, "locations", sheet) == expected


# -- daily use --------------------------------------------------------------------------------------------------------


def test_a_day_of_use_sent_again_replaces_the_figure_and_the_same_figure_changes_nothing(city: Engine) -> None:
    assert send(city, "consumption", USE + "2026-03-30,371402-H1,N95,10\n2026-03-31,371402-H1,N95,0\n")[1:4] == (
        2,
        2,
        0,
    )
    later = NOW + timedelta(hours=1)
    changed = USE + "2026-03-30,371402-H1,N95,12\n2026-03-31,371402-H1,N95,0\n"
    assert send(city, "consumption", changed, now=later)[1:4] == (2, 1, 1)
    with database.reading(city) as session:
        item, place = catalogue.item(session, "N95"), catalogue.require_place(session, "371402-H1")
        assert item is not None
        history = consumption.history(
            session, item_id=item.id, places=[place], last=date(2026, 3, 31), days=3, zone=SHANGHAI
        )
    assert history.values.tolist() == [[0, 12, 0]]
    assert history.reported.tolist() == [[False, True, True]]


def test_an_older_sheet_of_use_sent_again_counts_again(city: Engine) -> None:
    first, second = USE + "2026-03-30,371402-H1,N95,10\n", USE + "2026-03-30,371402-H1,N95,12\n"
    assert [send(city, "consumption", sheet).recorded for sheet in (first, second, first)] == [1, 1, 1]


def test_use_that_cannot_be_is_refused(city: Engine) -> None:
    with database.writing(city) as session:
        catalogue.add_location(
            session,
            catalogue.NewLocation(
                "371425-S1", "站", "Station", LocationKind.STATION, "371425", ConsumptionSource.ISSUES
            ),
        )
    sheet = USE + (
        "2026-04-02,371402-H1,N95,1\n"
        "2026-03-30,371402-H1,N95,-1\n"
        "2026-03-30,371402-H1,N95,2\n"
        "2026-03-30,371402-H1,N95,3\n"
        "2026-03-30,371402-H9,N96,4\n"
        "2026-03-30,371425-S1,N95,5\n"
    )
    assert refused(city, "consumption", sheet) == [
        (2, "date", "future_date"),
        (3, "quantity", "negative"),
        (5, "date", "duplicate_row"),
        (6, "item", "unknown_item"),
        (6, "location", "unknown_location"),
        (7, "location", "consumption_from_issues"),
    ]


def test_a_year_of_use_comes_in_one_sheet(city: Engine) -> None:
    days = [TODAY - timedelta(days=n) for n in range(1, 3001)]
    rows = "".join(f"{day},{place},N95,{day.day}\n" for day in days for place in ("371402-H1", "371425-H1"))
    assert send(city, "consumption", USE + rows)[1:4] == (6000, 6000, 0)
    assert send(city, "consumption", USE + rows)[1:4] == (6000, 0, 6000)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\xef\xbb\xbf", "missing_column"),
        (USE.encode(), "no_rows"),
        (USE.encode() + b",,,\n\n", "no_rows"),
        (USE.encode() + b"2026-03-30,371402-H1,N95,\x00\n", "nul_bytes"),
        (USE.encode("utf-16"), "nul_bytes"),
        (b"PK\x03\x04whatever", "workbook"),
        (b"\xd0\xcf\x11\xe0whatever", "workbook"),
        (USE.encode() + b'2026-03-30,"371402-H1,N95,1\n', "broken_quoting"),
        (USE.encode() + b'2026-03-30,"371402"-H1,N95,1\n', "broken_quoting"),
        (USE.encode() + b"2026-03-30,371402-H1," + b"N" * 200_000 + b",1\n", "broken_quoting"),
        ("日期,库点,物资,数量\n".encode()[:-2], "torn_text"),
        ("日期,库点,物资,数量\n".encode().replace("库".encode(), "库".encode()[:2]), "torn_text"),
        ("\ufeff日期,库点,物资,数量\n".encode()[:-2], "torn_text"),
        (USE.encode() + b"2026-03-30,371402-H1,N95,\xff\n", "unknown_encoding"),
        (USE.encode() + "2026-03-30,371402-H1,双,1\n".encode("gb18030"), "encoding_unclear"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused_in_words(data: bytes, code: str) -> None:
    assert {found for _, _, found in read(SheetKind.CONSUMPTION, data)} == {code}


def test_columns_are_named_or_refused() -> None:
    sheet = "date,location,物资,编码,colour\n2026-03-30,371402-H1,N95,N95,blue\n"
    assert read(SheetKind.CONSUMPTION, sheet) == [
        (1, "colour", "unknown_column"),
        (1, "item", "duplicate_column"),
        (1, "quantity", "missing_column"),
    ]
    beside = "date,location,item,quantity,\n2026-03-30,371402-H1,N95,5,\n2026-03-31,371402-H1,N95,5,left over\n"
    assert read(SheetKind.CONSUMPTION, beside) == [(3, "column 5", "cell_without_column")]


def test_a_huge_sheet_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "CELLS_MAX", 100)
    rows = "".join(f"2026-03-30,371402-H1,I{n},1\n" for n in range(30))
    assert read(SheetKind.CONSUMPTION, USE + rows) == [(26, None, "too_large")]
    monkeypatch.setattr(sheets, "BYTES_MAX", 100)
    assert read(SheetKind.CONSUMPTION, USE + rows) == [(None, None, "too_large")]


def test_a_thousand_faults_are_listed_and_all_are_counted(town: Engine) -> None:
    rows = "".join(f"2026-03-30,371402-H1,I{n},1\n" for n in range(2500))
    with pytest.raises(SheetRefused) as caught:
        send(town, "consumption", USE + rows)
    assert (len(caught.value.cells), caught.value.found) == (1000, 2500)
    assert caught.value.detail.startswith("2500 things are wrong")


def test_the_mark_of_our_own_exports_is_taken_off_again(city: Engine) -> None:
    send(city, "movements", MOVEMENTS + "2026-03-01,371400-W1,receipt,N95,'-A1,2027-06-30,5,,,'=1+1,\n")
    assert on_hand(city) == {("371400-W1", "N95", "-A1"): 5}
    with database.reading(city) as session:
        assert stock.movements(session, stock.MovementQuestion())[0].reference == "=1+1"


def test_a_repeated_cell_cannot_break_an_answer(town: Engine) -> None:
    sheet = USE + "2026-03-30,371402-H1,\u202e\x1b[31m" + "X" * 500 + ",1\n"
    with pytest.raises(SheetRefused) as caught:
        send(town, "consumption", sheet)
    value = caught.value.cells[0].value
    assert value is not None
    assert value.isprintable()
    assert len(value) < 200


# -- properties -------------------------------------------------------------------------------------------------------

_WRITERS: list[Callable[[str], bytes]] = [
    lambda s: s.encode("utf-8-sig"),
    lambda s: s.encode("gb18030"),
    lambda s: s.replace("\n", "\r\n").encode("utf-8-sig"),
]
_names = st.text("医用防护口罩AbcÀ 19-'=+,;\"", min_size=1, max_size=12).map(str.strip).filter(bool)


@settings(ONCE, max_examples=200)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "date": st.dates(date(1990, 1, 1), date(2100, 12, 31)),
                "location": st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
                "kind": st.sampled_from(["receipt", "issue", "adjustment"]),
                "item": st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
                "quantity": st.integers(-(10**15), 10**15),
                "recipient": st.none() | _names,
            }
        ),
        min_size=1,
        max_size=8,
    ),
    separator=st.sampled_from(",;\t"),
    write=st.sampled_from(_WRITERS),
    styles=st.lists(
        st.sampled_from(["{:%Y-%m-%d}", "{0.year}/{0.month}/{0.day}", "{0.year}年{0.month}月{0.day}日"]),
        min_size=8,
        max_size=8,
    ),
)
def test_any_good_rows_are_read_as_they_were_written(
    rows: list[dict[str, Any]], separator: str, write: Callable[[str], bytes], styles: list[str]
) -> None:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    for row, style in zip(rows, styles, strict=False):
        recipient = row["recipient"]
        marked = f"'{recipient}" if recipient and sheets.unmarked(f"'{recipient}") == recipient else recipient
        writer.writerow(row | {"date": style.format(row["date"]), "recipient": marked})
    data = write(out.getvalue())
    try:
        sheet = sheets.read(data, COLUMNS[SheetKind.MOVEMENTS])
    except SheetRefused as refusal:
        assert refusal.cells[0].code in {"encoding_unclear", "torn_text"}  # noqa: PT017 - said, not guessed
        return
    assert sheet.faults.found == 0
    assert [{name: row.values[name] for name in rows[0]} for row in sheet.rows] == rows


def attempt(session: Session, kind: str, data: bytes) -> Imported | None:
    try:
        return import_sheet(session, entry(back_dating_days=None), kind, data)
    except Refusal as refusal:
        assert isinstance(refusal, SheetRefused)  # noqa: PT017 - every other refusal is our bug
        str(refusal.cells).encode()  # an answer can carry it
        return None


_HEADERS = [",".join(c.name for c in COLUMNS[kind]).encode() + b"\n" for kind in SheetKind]


@settings(ONCE, max_examples=300)
@given(kind=st.sampled_from(list(SheetKind)), data=st.binary(max_size=200), header=st.sampled_from([b"", *_HEADERS]))
def test_arbitrary_bytes_are_never_more_than_a_refusal(town: Engine, kind: str, data: bytes, header: bytes) -> None:
    with database.reading(town) as session:
        attempt(session, kind, header + data)


_WORDS = """N95 VENT 371400-W1 371402-H1 L1 L2 NO-LOT 1 5 -2 0 2026-03-01 2026-03-02 2027-01-01 2026-04-09
receipt issue adjustment found lost use region warehouse reports other 6901234567892"""
_cells = st.sampled_from(["", *_WORDS.split()])


@settings(ONCE, max_examples=300)
@given(kind=st.sampled_from(list(SheetKind)), rows=st.lists(st.lists(_cells, min_size=4, max_size=11), max_size=6))
def test_cells_in_the_wrong_places_are_never_more_than_a_refusal(
    town: Engine, kind: SheetKind, rows: list[list[str]]
) -> None:
    header = [c.name for c in COLUMNS[kind]]
    with database.reading(town) as session:
        attempt(session, kind, "\n".join(",".join(row) for row in [header, *rows]).encode())


_moves = st.tuples(
    st.integers(1, 28),
    st.sampled_from(["receipt", "issue", "adjustment"]),
    st.sampled_from([("N95", "L1"), ("N95", "L2"), ("VENT", ""), ("N95", "")]),
    st.integers(1, 20),
    st.booleans(),
)


@settings(ONCE, max_examples=150)
@given(moves=st.lists(_moves, min_size=1, max_size=12))
def test_whatever_is_taken_leaves_whole_books(
    town: Engine, moves: list[tuple[int, str, tuple[str, str], int, bool]]
) -> None:
    rows = []
    for day, kind, (item, lot), quantity, minus in moves:
        expires = {"L1": "2027-01-01", "L2": "2026-03-15"}.get(lot, "") if kind != "issue" else ""
        signed = -quantity if minus and kind == "adjustment" else quantity
        reason = {"adjustment": "other", "issue": "先用这批"}.get(kind, "")
        rows.append(f"2026-03-{day:02d},371400-W1,{kind},{item},{lot},{expires},{signed},{reason},,,\n")
    with database.reading(town) as session:
        found = attempt(session, "movements", (MOVEMENTS + "".join(rows)).encode("utf-8-sig"))
        if found is not None:
            assert (found.rows, found.recorded) == (len(rows), len(rows))
            assert verify.verify(session) == []


def test_every_column_is_called_something_in_chinese_and_never_two_things() -> None:
    for columns in COLUMNS.values():
        names = [name for column in columns for name in (column.name, *column.also)]
        assert len(names) == len(set(names))
        assert all(not column.also[0].isascii() for column in columns)


def test_the_lot_number_rule_is_the_set_82_of_gs1() -> None:
    taken = [chr(n) for n in range(33, 127) if sheets._LOT_NUMBER.fullmatch(chr(n))]  # noqa: SLF001 - the rule itself
    assert len(taken) == 82
    assert sheets.lot_number(imports.NO_LOT) == imports.NO_LOT


def test_a_book_that_has_grown_does_not_double_what_was_imported_before(city: Engine) -> None:
    january = "2026-01-05,371400-W1,receipt,N95,A1,2027-06-30,1000,,,,\n2026-01-09,371400-W1,issue,N95,,,100,,,,\n"
    february = "2026-02-05,371400-W1,issue,N95,,,50,,,,\n"
    assert send(city, "movements", MOVEMENTS + january).recorded == 2
    assert refused(city, "movements", MOVEMENTS + february + january) == [
        (3, None, "already_imported"),
        (4, None, "already_imported"),
    ]
    assert send(city, "movements", MOVEMENTS + february).recorded == 1


def test_the_lots_that_an_old_book_names_go_out_as_it_has_them(city: Engine) -> None:
    book = (
        "2026-01-05,371400-W1,receipt,N95,SOON,2026-06-30,10,,,,\n"
        "2026-01-05,371400-W1,receipt,N95,LATE,2027-06-30,10,,,,\n"
        "2026-01-09,371400-W1,issue,N95,LATE,,4,,,,\n"
    )
    assert send(city, "movements", MOVEMENTS + book).recorded == 3
