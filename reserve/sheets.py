"""A sheet as people save it (CSV): bytes in, checked rows out, every bad cell with what to write instead. Pure.

Nothing is guessed: what can be read in two ways is refused, and so is a number that somebody has to think about.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from reserve.errors import SheetFault, SheetRefused
from reserve.model import QUANTITY_MAX

BYTES_MAX = 50_000_000
CELLS_MAX = 2_000_000
FAULTS_MAX = 1_000
"""So many faults are listed; the others are counted."""

YEARS = range(1990, 2101)
_SEPARATORS = (",", ";", "\t")
_SHOWN = 80

Word = TypeVar("Word", bound=StrEnum)


class Bad(Exception):  # noqa: N818 - what a cell says, not an error of ours
    """A cell that cannot be taken: a stable code and a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Column(NamedTuple):
    """A column of a kind of sheet: its English code, what else it is called, how a cell of it is read."""

    name: str
    also: tuple[str, ...]
    parse: Callable[[str], object]
    required: bool = False
    """The column is there, and no cell of it is empty."""


class Row(NamedTuple):
    """One row; `values` has every column of the kind, None where the cell is empty or bad."""

    number: int
    values: dict[str, Any]
    record: Sequence[str]
    """Its cells as they were written."""
    places: Mapping[str, int]
    """The place of each column in `record`; one mapping for the whole sheet."""
    whole: bool
    """No cell of it is bad."""

    def cell(self, column: str) -> str:
        place = self.places.get(column, len(self.record))
        return self.record[place] if place < len(self.record) else ""


class Faults:
    """What is wrong so far, in the order found; the first thousand are kept, all are counted."""

    def __init__(self) -> None:
        self.listed: list[SheetFault] = []
        self.found = 0

    def add(self, row: int | None, column: str | None, code: str, detail: str, value: str | None = None) -> None:
        self.found += 1
        if len(self.listed) < FAULTS_MAX:
            self.listed.append(SheetFault(row, column, None if value is None else shown(value), code, detail))

    def at(self, row: Row, column: str, code: str, detail: str) -> None:
        """Something wrong with a cell that could be read."""
        self.add(row.number, column, code, detail, row.cell(column))

    @property
    def full(self) -> bool:
        return self.found >= FAULTS_MAX

    def refuse(self) -> None:
        """Raise what was found, in the order of the sheet."""
        if self.found:
            raise SheetRefused(sorted(self.listed, key=lambda f: f.row or 0), found=self.found)


class Sheet(NamedTuple):
    rows: list[Row]
    columns: frozenset[str]
    """Those that the sheet has."""
    encoding: str
    faults: Faults


def read(data: bytes, columns: Sequence[Column]) -> Sheet:
    """The rows of a sheet. Bad cells are collected in `faults`.

    Raises
    ------
    SheetRefused
        where no row can be read at all: torn or unclear text, other columns, only column names, too large.
    """
    text, encoding = decode(data)
    records = _records(text, _separator(text, columns))
    header = _header(next(records, (1, []))[1], columns)
    places = {column.name: place for place, column in enumerate(header) if column is not None}
    faults = Faults()
    rows = [
        _row(number, cells, places, columns, faults)
        for number, cells in records
        if any(cell.strip() for cell in cells)  # a spreadsheet leaves empty rows behind
    ]
    if not rows:
        raise _unreadable("no_rows", "The sheet has column names only: write at least one row below them.")
    return Sheet(rows, frozenset(places), encoding, faults)


def shown(text: str) -> str:
    """A cell as an answer may repeat it: short, and printable anywhere."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:_SHOWN])


def _unreadable(code: str, detail: str, row: int | None = None) -> SheetRefused:
    return SheetRefused([SheetFault(row, None, None, code, detail)])


# -- bytes to text ----------------------------------------------------------------------------------------------------


def decode(data: bytes) -> tuple[str, str]:
    """The text and its encoding: UTF-8, else GB18030, which Chinese spreadsheets write; never a guess between them."""
    if not data.strip():
        raise _unreadable("empty", "The file is empty.")
    if len(data) > BYTES_MAX:
        raise _unreadable("too_large", f"The file is larger than {BYTES_MAX // 10**6} MB: divide it.")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise _unreadable("workbook", 'This is a workbook: save its sheet as "CSV UTF-8" and send that file.')
    if b"\0" in data:
        raise _unreadable("nul_bytes", 'The file is not plain text: save the sheet as "CSV UTF-8".')
    marked = data.startswith(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if marked or _torn(data, error):
            line = data.count(b"\n", 0, error.start) + 1
            detail = f'The text is damaged in line {line}, at byte {error.start}: save the sheet again as "CSV UTF-8".'
            raise _unreadable("torn_text", detail) from error
        return _gb18030(data), "gb18030"
    if not marked and _could_be_gb18030(text, data):
        raise _unreadable(
            "encoding_unclear",
            'The file can be read as UTF-8 and as GB18030: save it as "CSV UTF-8", which says which it is.',
        )
    return text, "utf-8"


def _gb18030(data: bytes) -> str:
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise _unreadable(
            "unknown_encoding", 'The text is neither UTF-8 nor GB18030: save it as "CSV UTF-8".'
        ) from error


def _torn(data: bytes, error: UnicodeDecodeError) -> bool:
    """UTF-8 cut off or patched, rather than another encoding: most of its Chinese still reads."""
    if error.reason == "unexpected end of data":
        return True
    text = data.decode("utf-8", errors="replace")
    return len(re.sub("[\0-\u07ff\ufffd]+", "", text)) >= text.count("\ufffd")


def _could_be_gb18030(text: str, data: bytes) -> bool:
    """`双` and `只` in GB18030 are also good UTF-8, for a letter that nobody meant."""
    if text.isascii() or max(text) > "\u07ff":
        return False
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


# -- text to rows -----------------------------------------------------------------------------------------------------


def _separator(text: str, columns: Sequence[Column]) -> str:
    """The separator with which the first row names the most columns."""
    known = _names(columns)

    def named(separator: str) -> int:
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
        except csv.Error:
            return -1
        return sum(_plain(cell) in known for cell in header)

    return max(_SEPARATORS, key=named)


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Row number and cells, as a spreadsheet counts rows: a line break inside quotation marks starts none."""
    number, cells = 0, 0
    try:
        for number, record in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1):
            cells += len(record)
            if cells > CELLS_MAX:
                raise _unreadable("too_large", f"The sheet has more than {CELLS_MAX:,} cells: divide it.", number)
            yield number, record
    except csv.Error as error:
        raise _unreadable(
            "broken_quoting",
            "A quotation mark is opened and not closed, stands in the middle of a cell, or the cell is too long.",
            number + 1,
        ) from error


def _names(columns: Sequence[Column]) -> dict[str, Column]:
    return {_plain(name): column for column in columns for name in (column.name, *column.also)}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _header(cells: Sequence[str], columns: Sequence[Column]) -> list[Column | None]:
    """The column of each place; None for one without a name, which must stay empty."""
    known, faults = _names(columns), Faults()
    header = [known.get(_plain(cell)) for cell in cells]
    expected = ", ".join(f"{c.name} ({c.also[0]})" for c in columns)
    for cell, column in zip(cells, header, strict=True):
        if column is None and cell.strip():
            faults.add(
                1, shown(cell), "unknown_column", f"There is no column {shown(cell)}; the columns are {expected}."
            )
    for column in columns:
        if header.count(column) > 1:
            faults.add(
                1, column.name, "duplicate_column", f"The column {column.name} ({column.also[0]}) is there twice."
            )
        if column.required and column not in header:
            detail = f"The first row must name a column {column.name} ({column.also[0]}); the columns are {expected}."
            faults.add(1, column.name, "missing_column", detail)
    faults.refuse()
    return header


def _row(
    number: int, record: Sequence[str], places: Mapping[str, int], columns: Sequence[Column], faults: Faults
) -> Row:
    before, values = faults.found, {}
    for column in columns:
        place = places.get(column.name, len(record))
        values[column.name] = _value(number, column, record[place] if place < len(record) else "", faults)
    named = set(places.values())
    for place, cell in enumerate(record):
        if place not in named and cell.strip():
            detail = "This cell has no column name above it: is there a separator too many in the row?"
            faults.add(number, f"column {place + 1}", "cell_without_column", detail, cell)
    return Row(number, values, record, places, whole=faults.found == before)


def _value(number: int, column: Column, cell: str, faults: Faults) -> object:
    if not cell.strip():
        if column.required:
            faults.add(number, column.name, "missing", f"{column.name} ({column.also[0]}) is empty: write it.", cell)
        return None
    try:
        return column.parse(cell)
    except Bad as bad:
        faults.add(number, column.name, bad.code, bad.detail, cell)
        return None


# -- cells ------------------------------------------------------------------------------------------------------------


def whole(*, least: int, most: int = QUANTITY_MAX) -> Callable[[str], int]:
    """A whole number in plain digits."""

    def parse(cell: str) -> int:
        if re.fullmatch("-?[0-9]+", cell) is None:
            raise _not_whole(cell)
        digits = cell.lstrip("-").lstrip("0") or "0"
        if len(digits) > len(str(most)) or int(digits) > most:
            raise Bad("too_large", f"{shown(cell)} is more than {most:,}: check the number.")
        value = -int(digits) if cell.startswith("-") else int(digits)
        if value < 0 <= least:
            raise Bad("negative", f"{value} is below zero: write the quantity without a sign.")
        if value < least:
            raise Bad("zero", f"Write at least {least}.")
        return value

    return parse


def _not_whole(cell: str) -> Bad:
    """Why a cell is not a whole number, in the words of the person who has to mend it."""
    said, bare = shown(cell), cell.strip()
    plain = unicodedata.normalize("NFKC", bare[:_SHOWN])
    number = "[+-]?[0-9]+"
    if bare != cell and re.fullmatch(number, bare):
        return Bad("spaces", f"There are spaces around the number: write {bare}.")
    if plain != bare and re.fullmatch(number, plain):
        return Bad("full_width", f"{said} is in full-width digits: write {plain}.")
    if re.fullmatch(r"[+-]?[0-9]{1,3}([,' ][0-9]{3})+", plain):
        together = re.sub("[,' ]", "", plain)
        return Bad("thousands_separator", f"{said} has separators: write {together}.")
    if re.fullmatch(r"[+-]?[0-9]*\.[0-9]*", plain):
        return Bad("fraction", f"{said} is not whole: quantities are whole base units, without a decimal point.")
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", plain):
        return Bad("exponent", f"{said} was shortened by the spreadsheet: write all digits.")
    if re.fullmatch(r"[+-]?[0-9]+\s*[^\W\d_].*", plain):
        return Bad("unit", f"{said} has a unit: write the number of base units alone; packs are not converted.")
    return Bad("not_a_number", f"{said} is not a whole number: write digits, such as 1200.")


def day(cell: str) -> date:
    """A civil day: 2026-04-01, 2026/4/1 or 2026年4月1日."""
    bare, said = cell.strip(), shown(cell)
    found = _DAY.fullmatch(bare)
    if found is None:
        raise _not_a_day(bare)
    year, month, of_month = (int(part) for part in found.groups() if part is not None and part.isdigit())
    try:
        value = date(year, month, of_month)
    except ValueError:
        raise Bad("no_such_day", f"There is no day {said}: look at the calendar.") from None
    if value.year not in YEARS:
        raise Bad("day_out_of_bounds", f"{said} is before {YEARS[0]} or after {YEARS[-1]}: check the year.")
    return value


def _not_a_day(bare: str) -> Bad:
    said, plain = shown(bare), unicodedata.normalize("NFKC", bare[:_SHOWN])
    if plain != bare and _DAY.fullmatch(plain):
        return Bad("full_width", f"{said} is in full-width digits: write {plain}.")
    if re.fullmatch("[0-9]{5}", bare):
        return Bad("not_a_day", f"{said} is how a spreadsheet counts days: format the column as 2026-04-01.")
    if re.fullmatch("[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}", bare):
        return Bad("not_a_day", f"{said} can be read in two ways: write year, month, day, such as 2026-04-01.")
    return Bad("not_a_day", f"{said} is not a day: write it as 2026-04-01.")


_DAY = re.compile("([0-9]{4})(?:([-/])([0-9]{1,2})\\2([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日)")


def text(length_max: int) -> Callable[[str], str]:
    """Text as people write it: composed and trimmed; control, bidirectional and invisible characters are refused."""

    def parse(cell: str) -> str:
        found = unicodedata.normalize("NFC", unmarked(cell))
        for place, character in enumerate(found, start=1):
            if unicodedata.category(character) in _REFUSED or character == "\ufffd":
                detail = (
                    f"Character {place} is {_named(character)}, which cannot be seen or was damaged: type it again."
                )
                raise Bad("invisible_character", detail)
        if len(found) > length_max:
            raise Bad("too_long", f"At most {length_max} characters, this has {len(found)}.")
        return found

    return parse


_REFUSED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _named(character: str) -> str:
    return f"U+{ord(character):04X}"


def code(cell: str) -> str:
    """The code of an item or a location."""
    found = unmarked(cell)
    if not _CODE.fullmatch(found):
        detail = f"{shown(found)} is not a code: 1 to 40 letters, digits, dots, underscores and hyphens."
        raise Bad("invalid_code", _with_narrow(detail, found, _CODE))
    return found


def lot_number(cell: str) -> str:
    """A lot number as GS1 allows it: 1 to 20 characters of its set 82."""
    found = unmarked(cell)
    if not _LOT_NUMBER.fullmatch(found):
        detail = f"{shown(found)} is not a lot number: 1 to 20 letters, digits and !\"%&'()*+,-./:;<=>?_"
        raise Bad("invalid_lot_number", _with_narrow(detail, found, _LOT_NUMBER))
    return found


def _with_narrow(detail: str, found: str, pattern: re.Pattern[str]) -> str:
    """Full-width letters look right and are others: say what to write."""
    narrow = unicodedata.normalize("NFKC", found[:_SHOWN])
    return f"{detail} Write {narrow}." if narrow != found and pattern.fullmatch(narrow) else detail


_CODE = re.compile("[A-Za-z0-9._-]{1,40}")
_LOT_NUMBER = re.compile("[A-Za-z0-9!\"%&'()*+,\\-./:;<=>?_]{1,20}")  # GS1 General Specifications 7.11


def gtin_text(cell: str) -> str:
    """A GTIN; whether its check digit is right is the catalogue's to say."""
    found = unmarked(cell)
    if re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", found):
        raise Bad("exponent", f"{shown(found)} was shortened by the spreadsheet: format the column as text.")
    return found


def word(words: Mapping[Word, Sequence[str]]) -> Callable[[str], Word]:
    """One of a list, by its English code or by what it is called in Chinese."""
    known = {_plain(name): member for member, also in words.items() for name in (member.value, *also)}
    expected = ", ".join(f"{member.value} ({also[0]})" for member, also in words.items())

    def parse(cell: str) -> Word:
        found = known.get(_plain(unmarked(cell)))
        if found is None:
            raise Bad("unknown_word", f"{shown(cell.strip())} is not known here: write {expected}.")
        return found

    return parse


def unmarked(cell: str) -> str:
    """The cell trimmed, and without the mark that our own exports put before what a spreadsheet would calculate."""
    return re.sub(r"""^'(?=[\s'"＇＂]*[=+\-@＝＋－＠])""", "", cell.strip())
