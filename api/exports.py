"""The same rows as a sheet: CSV that a spreadsheet opens in Chinese and that cannot smuggle a formula in."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import Response

from api.problems import NotAcceptable

Format = Literal["json", "csv", "xlsx", "parquet"]

_DANGEROUS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
"""A cell of text that begins so, after spaces and quotes, is run as a formula by a spreadsheet; full-width ones too."""


def sheet(rows: Sequence[dict[str, Any]], wanted: Format, name: str) -> Response:
    """Rows as CSV with a BOM: numbers stay numbers, text that could be a formula gets an apostrophe before it.

    Raises
    ------
    NotAcceptable
        a form that this installation does not write.
    """
    if wanted != "csv":
        raise NotAcceptable(
            f"{wanted} is not written by this installation; ask for format=csv or leave format out for JSON.",
            code="format_not_installed",
        )
    columns = [key for key, value in rows[0].items() if not isinstance(value, dict | list)] if rows else []
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return Response(
        b"\xef\xbb\xbf" + out.getvalue().encode(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.lstrip(" '\"\u3000").startswith(_DANGEROUS):
        return f"'{value}"
    return value
