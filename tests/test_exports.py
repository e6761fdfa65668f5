"""Sheets out: what a spreadsheet shows is what the ledger said, and nothing in it runs."""

import csv
import io
import re
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from api import exports
from api.exports import Format
from api.problems import NotAcceptable

ROWS: list[dict[str, Any]] = [
    {
        "location": "371400-W1",
        "lot_number": "2026-01-02",
        "expires_on": date(2028, 6, 30),
        "on_hand": 118_000,
        "days": 33.6,
        "name": "医用防护口罩",
        "held": True,
        "hold": None,
    },
    {
        "location": "371425-H1",
        "lot_number": "007",
        "expires_on": None,
        "on_hand": 0,
        "days": None,
        "name": "see https://example.test/",
        "held": False,
        "hold": "recalled",
    },
]
DDE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
    "\t=1",
    "\r=1",
    "  =1",
    "'=1",
    '"=1',
]


def read_back(content: bytes, sheet: int = 0) -> list[list[Any]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(sheet).to_python()


def xlsx(rows: list[dict[str, Any]], name: str = "stock", columns: list[str] | None = None) -> bytes:
    return bytes(exports.sheet(rows, "xlsx", name, columns).body)


def xml_of(content: bytes) -> str:
    return zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml").decode()


def test_a_workbook_holds_the_same_cells_with_numbers_days_and_codes_as_such() -> None:
    header, first, second = read_back(xlsx(ROWS))
    assert header == list(ROWS[0])
    assert first == ["371400-W1", "2026-01-02", date(2028, 6, 30), 118_000, 33.6, "医用防护口罩", True, ""]
    assert second == ["371425-H1", "007", "", 0, "", "see https://example.test/", False, "recalled"]


def test_a_day_told_as_text_is_a_day_only_in_a_column_of_days() -> None:
    rows = [{"falls_below_on": "2026-04-05", "reference": "2026-04-05"}, {"falls_below_on": "soon", "reference": ""}]
    _, first, second = read_back(xlsx(rows))
    assert first == [date(2026, 4, 5), "2026-04-05"]
    assert second == ["soon", ""]


def test_the_header_is_bold_and_stays_in_sight_and_days_are_wide_enough_for_their_year() -> None:
    xml = xml_of(xlsx(ROWS))
    assert 'state="frozen"' in xml
    assert 'ySplit="1"' in xml
    assert '<c r="A1" s="1"' in xml
    columns = re.findall(r'<col min="(\d+)" max="(\d+)" width="([\d.]+)"', xml)
    width = {at: float(w) for first, last, w in columns for at in range(int(first), int(last) + 1)}
    assert width[3] >= 12  # expires_on
    assert width[6] >= 14  # seven Chinese characters


@pytest.mark.parametrize("text", DDE)
def test_text_that_looks_like_a_formula_is_text_in_a_workbook_and_marked_as_in_the_csv(text: str) -> None:
    content = xlsx([{"reference": text}])
    assert "<f>" not in xml_of(content)
    assert read_back(content)[1] == [f"'{text}"]
    told = bytes(exports.sheet([{"reference": text}], "csv", "stock").body).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(told, newline="")))[1] == [f"'{text}"]


def test_an_address_is_not_a_link() -> None:
    content = xlsx(ROWS)
    assert "hyperlink" not in xml_of(content)
    assert not [name for name in zipfile.ZipFile(io.BytesIO(content)).namelist() if "worksheets/_rels" in name]


def test_characters_that_no_workbook_may_hold_do_not_break_it() -> None:
    content = xlsx([{"text": "a\x00b\x0bc\ud800d\uffff", "plain": "_x0041_ <&>"}])
    assert read_back(content)[1] == ["a\ufffdb\ufffdc\ufffdd\ufffd", "_x0041_ <&>"]


@settings(deadline=None)  # the first workbook loads its library
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_any_text_comes_back(texts: list[str]) -> None:
    rows = [{"n": n, "text": text} for n, text in enumerate(texts)]
    back = [row[1] for row in read_back(xlsx(rows))[1:]]
    for text, found in zip(texts, back, strict=True):
        shown = exports._text(text)  # noqa: SLF001 - the guard itself is what is compared with
        assert found.replace("\r\n", "\n").replace("\r", "\n") == shown.replace("\r\n", "\n").replace("\r", "\n")


def test_a_very_long_text_is_cut_where_a_workbook_ends_and_never_dropped() -> None:
    for character in ("a", "口", "\U0001f9a0"):
        (found,) = read_back(xlsx([{"text": character * 40_000}]))[1]
        assert found.startswith(character * 1000)
        assert found.endswith("…")


def test_a_number_of_more_than_fifteen_digits_stays_whole_as_text() -> None:
    rows = [{"n": 10**15 - 1, "long": 2**63 - 1, "none": float("inf")}]
    assert read_back(xlsx(rows))[1] == [10**15 - 1, str(2**63 - 1), "inf"]


def test_a_moment_stays_text_because_a_spreadsheet_knows_no_zone() -> None:
    rows = [{"occurred_at": "2026-04-01T01:30:00Z", "at": datetime(2026, 4, 1, 1, 30, tzinfo=UTC)}]
    assert read_back(xlsx(rows))[1] == ["2026-04-01T01:30:00Z", "2026-04-01 01:30:00+00:00"]


def test_the_same_rows_are_the_same_bytes() -> None:
    assert xlsx(ROWS) == xlsx([dict(row) for row in ROWS])


def test_no_rows_are_still_a_sheet_with_its_header_where_that_is_known() -> None:
    assert read_back(xlsx([], columns=["location", "item"])) == [["location", "item"]]
    assert read_back(xlsx([])) == []
    assert bytes(exports.sheet([], "csv", "stock", ["location", "item"]).body) == b"\xef\xbb\xbflocation,item\r\n"


def test_columns_asked_for_are_the_columns_given() -> None:
    assert read_back(xlsx(ROWS, columns=["name", "location"]))[1] == ["医用防护口罩", "371400-W1"]


def test_lists_and_objects_are_left_out_whichever_row_holds_them() -> None:
    rows = [{"item": "N95", "explanation": None}, {"item": "GOWN", "explanation": {"lots": []}}]
    assert read_back(xlsx(rows)) == [["item"], ["N95"], ["GOWN"]]


def test_more_rows_than_a_worksheet_holds_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_MAX", 2)
    content = xlsx([{"n": n} for n in range(5)], name="a[b]:" + "x" * 40)
    assert len(CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names) == 3
    assert [read_back(content, sheet)[1:] for sheet in range(3)] == [[[0], [1]], [[2], [3]], [[4]]]


@pytest.mark.parametrize(
    ("wanted", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_the_file_is_named_for_old_readers_and_in_chinese(wanted: Format, media_type: str) -> None:
    made = exports.sheet(ROWS, wanted, "库存 2026")
    assert made.headers["content-type"] == media_type
    assert made.headers["content-disposition"] == (
        f"attachment; filename=\"2026.{wanted}\"; filename*=UTF-8''{quote('库存')}%202026.{wanted}"
    )


def test_a_form_that_is_not_written_here_is_refused() -> None:
    with pytest.raises(NotAcceptable) as refused:
        exports.sheet(ROWS, "parquet", "stock")
    assert refused.value.code == "format_not_installed"
