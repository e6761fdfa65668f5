"""The same rows as a sheet: CSV and XLSX that open in Chinese and cannot smuggle a formula in."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from fastapi import Response

from api.codes import plain
from api.problems import NotAcceptable

if TYPE_CHECKING:
    from xlsxwriter.format import Format as CellFormat
    from xlsxwriter.worksheet import Worksheet

Format = Literal["json", "csv", "xlsx", "parquet"]
Row = dict[str, Any]

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ROWS_MAX: Final = 1_048_575
"""Rows of one worksheet below its header; more go to a second worksheet."""

_DANGEROUS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
"""A cell of text that begins so, after spaces and quotes, is run as a formula by a spreadsheet; full-width ones too."""
_TEXT_MAX: Final = 32_767
"""Of one cell, counted in UTF-16 units."""
_WHOLE_MAX: Final = 10**15
"""A spreadsheet keeps 15 digits of a number; longer ones stay whole as text."""
_FIRST_DAY: Final = date(1900, 3, 1)
"""Spreadsheets believe in 29 February 1900, so days before it are written as text."""
_MADE: Final = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""Every workbook says it was made then, so that the same rows are the same bytes."""


def sheet(rows: Sequence[Row], wanted: Format, name: str, columns: Sequence[str] | None = None) -> Response:
    """Rows as a file to keep; `columns` gives an empty list its header, else the rows tell.

    Raises
    ------
    NotAcceptable
        a form that this installation does not write.
    """
    header = list(columns) if columns is not None else columns_of(rows)
    if wanted == "csv":
        return _file(csv_of(rows, header), "text/csv; charset=utf-8", name, "csv")
    if wanted == "xlsx":
        return _file(xlsx_of(rows, header, name), XLSX, name, "xlsx")
    raise NotAcceptable(
        f"{wanted} is not written by this installation; ask for format=csv or leave format out for JSON.",
        code="format_not_installed",
    )


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Name the columns of the first row, leaving out those that hold a list or an object in any row."""
    nested = {key for row in rows for key, value in row.items() if isinstance(value, dict | list)}
    return [key for key in rows[0] if key not in nested] if rows else []


def csv_of(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    """CSV with a BOM: numbers stay numbers, text that could be a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def xlsx_of(rows: Sequence[Row], columns: Sequence[str], name: str) -> bytes:
    """Return a workbook with the cells of the CSV: numbers and days as such, everything else as inert text."""
    import xlsxwriter

    out = io.BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties({"created": _MADE})
    bold, day = book.add_format({"bold": True, "bottom": 1}), book.add_format({"num_format": "yyyy-mm-dd"})
    for number, part in enumerate(_parts(rows), start=1):
        page = book.add_worksheet(_title(name, number))
        page.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            page.set_column(at, at, _width(column, part))
        for at, column in enumerate(columns):
            page.write_string(0, at, column, bold)
        for line, row in enumerate(part, start=1):
            for at, column in enumerate(columns):
                _put(page, line, at, _day(column, row.get(column)), day)
    book.close()
    return out.getvalue()


def _file(content: bytes, media_type: str, name: str, ending: str) -> Response:
    """Name the file twice: plainly for old readers, and in UTF-8 as RFC 6266 wants it."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).strip("_") or "sheet"
    disposition = f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{quote(name, safe='')}.{ending}"
    return Response(content, media_type=media_type, headers={"Content-Disposition": disposition})


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.lstrip(" '\"\u3000").startswith(_DANGEROUS):
        return f"'{value}"
    return value


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut the rows into what one worksheet holds; no rows are still one worksheet."""
    for start in range(0, max(len(rows), 1), ROWS_MAX):
        yield rows if len(rows) <= ROWS_MAX else rows[start : start + ROWS_MAX]


def _title(name: str, number: int) -> str:
    """Name a worksheet within 31 characters and without those that a spreadsheet refuses."""
    title = re.sub(r"[\[\]:*?/\\'\x00-\x1f]", "_", name)[:25] or "_"
    return title if number == 1 else f"{title} {number}"


def _width(column: str, rows: Sequence[Row]) -> float:
    """Fit the header and the first rows, in characters; a Chinese one is two wide."""
    texts = [column, *(str(_cell(row.get(column))) for row in islice(rows, 100))]
    return min(60, max(8, *(sum(1 if c < "\u2e80" else 2 for c in text[:60]) for text in texts)) + 2)


def _day(column: str, value: object) -> object:
    """Read a day told as text, in columns that hold days only: a lot number may look like one."""
    if column.endswith("_on") and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return value
    return value


def _put(page: "Worksheet", line: int, at: int, value: object, day: "CellFormat") -> None:
    if value is None or value == "":
        return
    if isinstance(value, bool):
        page.write_boolean(line, at, value)
    elif _is_number(value):
        page.write_number(line, at, value)
    elif isinstance(value, date) and not isinstance(value, datetime) and value >= _FIRST_DAY:
        page.write_datetime(line, at, value, day)
    else:
        page.write_string(line, at, _text(value))


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < _WHOLE_MAX
    return isinstance(value, float | Decimal) and math.isfinite(value)


def _text(value: object) -> str:
    """Text as a worksheet can hold it: guarded as in the CSV, what XML forbids shown as U+FFFD, and never too long."""
    text = plain(str(_cell(value)))
    if len(text) * 2 <= _TEXT_MAX:
        return text
    units = text.encode("utf-16-le")
    return text if len(units) // 2 <= _TEXT_MAX else units[: 2 * _TEXT_MAX - 2].decode("utf-16-le", "ignore") + "…"
