"""Histories of very many series from a file, laid out on disk so that any run of them is read without the others.

Rows come in any order: they are dealt into blocks of series as they are read, each block is then sorted by itself. In
memory are the names of the series, a buffer, and one block.
"""

import csv
import json
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reserve import sheets
from reserve.errors import SheetFault, SheetRefused
from reserve.sheets import Bad, Faults

BLOCK = 256
"""Series in one file of the store."""
BUFFERED_ROWS = 500_000
FIRST_YEAR, LAST_YEAR = 1900, 2100
NAME_MAX = 200

_PIECE = 1 << 20
_SAMPLE = 8 << 20
_CELLS = 50_000
_LONG = {
    "series": ("series", "序列", "系列"),
    "date": ("date", "日期", "业务日期"),
    "quantity": ("quantity", "数量", "消耗量"),
    "out_of_stock": ("out_of_stock", "缺货"),
}
_ANSWERS = {"yes": ("是", 1), "no": ("否", 0)}
_FORM = "The first row must name the columns series, date and quantity, or series and then one period a column."

Record = tuple[int, Sequence[str]]
"""Row number, as a spreadsheet counts, and its cells."""


_Read = Callable[[Iterable[Record]], int]
"""Takes records in; returns the number of the last, 0 where there was none."""


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def number(self, day: date) -> int:
        """The number of the period that holds a day; weeks begin on Monday."""
        if self is Period.MONTH:
            return day.year * 12 + day.month - 1
        return day.toordinal() if self is Period.DAY else (day.toordinal() - 1) // 7

    def first_day(self, number: int) -> date:
        if self is Period.MONTH:
            return date(number // 12, number % 12 + 1, 1)
        return date.fromordinal(number if self is Period.DAY else number * 7 + 1)


class Asked(NamedTuple):
    """How a file is read."""

    period: Period
    history: int
    """The latest periods that count."""
    today: date
    as_of: date | None = None
    """The first day to forecast; None takes the period after the newest row."""
    missing_is_zero: bool = False


class Store(NamedTuple):
    """Where histories lie, and what of them is known: all that a worker needs to read some."""

    folder: str
    series: int
    as_of: int
    """The first period to forecast: histories end with the one before."""
    history: int
    missing_is_zero: bool
    left_out: int
    """Rows of that period or later ones, which nothing is made from."""


class Looked(NamedTuple):
    size: int
    digest: str
    encoding: str


def look(file: Path) -> Looked:
    """Size, SHA-256 and encoding of a file, read in pieces; refused where its text cannot be read one way only."""
    digest, size, sample = sha256(), 0, bytearray()
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            if source.peek(1):
                piece += source.readline()  # pieces end with a line, so that no character is cut
            digest.update(piece)
            if size == 0 or (not piece.isascii() and len(sample) < _SAMPLE):
                sample += piece
            size += len(piece)
    if file.suffix.lower() == ".parquet":
        return Looked(size, digest.hexdigest(), "")
    _, encoding = sheets.decode(bytes(sample))
    return Looked(size, digest.hexdigest(), "utf-8-sig" if encoding == "utf-8" else encoding)


def gather(
    records: Iterable[Record], folder: Path, asked: Asked, progress: Callable[[int], None] = lambda _: None
) -> Store:
    """Lay the histories out in `folder`; the first record names the columns.

    Raises
    ------
    SheetRefused
        with every cell that cannot be taken, by its row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("raw-*"):
        old.unlink()
    faults, dealt = Faults(), _Dealt(folder)
    rows = iter(records)
    _, header = next(rows, (1, []))
    read = _reader(header, asked, dealt, faults)
    # Never a list of records: the collector of garbage would look through it again and again.
    at_once = max(1, _CELLS // max(1, len(header)))
    while (number := read(islice(rows, at_once))) and not faults.full:
        dealt.flush_when_full()
        progress(number)
    faults.refuse()
    if not dealt.names:
        detail = "The sheet has column names only: write at least one row below them."
        raise SheetRefused([SheetFault(None, None, None, "no_rows", detail)])
    dealt.flush()
    as_of = (
        min(dealt.latest + 1, asked.period.number(asked.today))
        if asked.as_of is None
        else asked.period.number(asked.as_of)
    )
    names = list(dealt.names)
    left_out = 0
    for block in range(-(-len(names) // BLOCK)):
        left_out += _settle(folder, block, as_of, asked, names, faults)
    faults.refuse()
    (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
    return Store(str(folder), len(names), as_of, asked.history, asked.missing_is_zero, left_out)


def names(folder: Path) -> list[str]:
    """What the series are called, in the order of their numbers: as they first stood in the file."""
    found: list[str] = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    return found


class Histories(NamedTuple):
    """Of some series, (N, T), oldest period first."""

    values: NDArray[np.float64]
    reported: NDArray[np.bool_]
    censored: NDArray[np.bool_]


def histories(store: Store, which: range) -> Histories:
    """The histories of a run of series."""
    shape = (len(which), store.history)
    found = Histories(np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool))
    for block in range(which.start // BLOCK, -(-which.stop // BLOCK)):
        rows = np.load(_settled(Path(store.folder), block))
        rows = rows[(rows[:, 0] >= which.start) & (rows[:, 0] < which.stop)]
        at = rows[:, 0] - which.start, rows[:, 1] - (store.as_of - store.history)
        found.values[at], found.reported[at], found.censored[at] = rows[:, 2] >> 1, True, rows[:, 2] & 1
    if store.missing_is_zero:
        np.logical_or.accumulate(found.reported, axis=1, out=found.reported)
    return found


# -- files as records -------------------------------------------------------------------------------------------------


def csv_records(file: Path, encoding: str) -> Iterator[Record]:
    """The rows of a CSV file, one at a time; separated by commas, semicolons or tabs."""
    number = 0
    try:
        with file.open(encoding=encoding, newline="") as text:
            first = text.readline()
            separator = max(",;\t", key=first.count)
            for number, record in enumerate(csv.reader(chain([first], text), delimiter=separator, strict=True), 1):
                yield number, record
    except csv.Error:
        detail = "A quotation mark is opened and not closed, stands in the middle of a cell, or the cell is too long."
        raise SheetRefused([SheetFault(number + 1, None, None, "broken_quoting", detail)]) from None
    except UnicodeDecodeError:
        detail = f'The text is damaged after row {number}: save the sheet again as "CSV UTF-8".'
        raise SheetRefused([SheetFault(number + 1, None, None, "torn_text", detail)]) from None


def parquet_records(file: Path) -> Iterator[Record]:
    """The rows of a Parquet file as text, numbered as if the names of the columns were the first row."""
    import pyarrow as pa
    from pyarrow import parquet

    number = 1
    try:
        with parquet.ParquetFile(file) as source:
            yield number, source.schema_arrow.names
            for batch in source.iter_batches(10_000):
                for record in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, [_as_text(value) for value in record]
    except (pa.ArrowInvalid, OSError):
        detail = "This is no Parquet file, or it is damaged: write it again."
        raise SheetRefused([SheetFault(None, None, None, "torn_parquet", detail)]) from None


def _as_text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# -- records to rows --------------------------------------------------------------------------------------------------


class _Dealt:
    """Rows on their way to the blocks of their series: (series, period, twice the units + ran out, row number)."""

    def __init__(self, folder: Path) -> None:
        self.names: dict[str, int] = {}
        self.latest = 0
        self.waiting: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._folder = folder

    def series(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def flush_when_full(self) -> None:
        if sum(map(len, self.waiting.values())) >= 4 * BUFFERED_ROWS:
            self.flush()

    def flush(self) -> None:
        for block, rows in self.waiting.items():
            self.latest = max(self.latest, int(np.frombuffer(rows, dtype=np.int64)[1::4].max()))
            with _raw(self._folder, block).open("ab") as file:
                rows.tofile(file)
        self.waiting.clear()


def _settle(folder: Path, block: int, as_of: int, asked: Asked, names: Sequence[str], faults: Faults) -> int:
    """Sort one block, and keep what counts of it; returns how many rows are later than that."""
    raw, none = _raw(folder, block), np.zeros((0, 4), dtype=np.int64)
    rows = np.fromfile(raw, dtype=np.int64).reshape(-1, 4) if raw.exists() else none
    rows = rows[np.lexsort((rows[:, 3], rows[:, 1], rows[:, 0]))]
    for at in np.flatnonzero((rows[1:, :2] == rows[:-1, :2]).all(axis=1)).tolist():
        (series, period, _, earlier), number = rows[at].tolist(), int(rows[at + 1, 3])
        day, name = asked.period.first_day(period), sheets.shown(names[series])
        detail = f"{name} has the {asked.period.value} of {day} in row {earlier} already: keep one of the two."
        faults.add(number, "date", "duplicate_row", detail)
    first = as_of - asked.history
    kept = rows[(rows[:, 1] >= first) & (rows[:, 1] < as_of), :3]
    if asked.missing_is_zero:
        # What began before the periods that count was zero at their beginning, unless a row says otherwise.
        begun = np.setdiff1d(rows[rows[:, 1] < first, 0], kept[kept[:, 1] == first, 0])
        zeros = np.column_stack((begun, np.full(len(begun), first), np.zeros(len(begun), dtype=np.int64)))
        kept = np.concatenate((zeros, kept))
    np.save(_settled(folder, block), kept)
    raw.unlink(missing_ok=True)
    return int((rows[:, 1] >= as_of).sum())


def _raw(folder: Path, block: int) -> Path:
    return folder / f"raw-{block:06d}"


def _settled(folder: Path, block: int) -> Path:
    return folder / f"block-{block:06d}.npy"


class _Cells(dict[str, int]):
    """What cells mean, each worked out once; a cell that means nothing raises Bad every time."""

    def __init__(self, parse: Callable[[str], int], most: int) -> None:
        super().__init__()
        self._parse, self._most = parse, most

    def __missing__(self, cell: str) -> int:
        value = self._parse(cell)
        if len(self) < self._most:
            self[cell] = value
        return value


def _reader(header: Sequence[str], asked: Asked, dealt: _Dealt, faults: Faults) -> _Read:
    """How the rows below this header are read: one value a row, or one series a row."""
    plain = [unicodedata.normalize("NFKC", cell).strip().casefold() for cell in header]
    columns = [next((name for name, also in _LONG.items() if cell in also), cell) for cell in plain]
    series, periods = _Cells(_series(dealt), 10**9), _Cells(_period(asked), 100_000)
    units = _Cells(_units, 100_000)
    if {"series", "date", "quantity"} <= set(columns):
        return _long(columns, {"series": series, "date": periods, "quantity": units}, dealt, faults)
    return _wide(header, series, periods, units, dealt, faults)


def _long(columns: list[str], meanings: dict[str, _Cells], dealt: _Dealt, faults: Faults) -> _Read:
    _check_columns(columns, faults)
    meanings["out_of_stock"] = _Cells(_ran_out, 10)
    places = [(columns.index(name), name, meanings[name]) for name in _LONG if name in columns]
    (s, _, series), (d, _, periods), (q, _, units) = places[:3]
    short = places[3] if len(places) > 3 else None
    width = len(columns)

    waiting = dealt.waiting

    def read(records: Iterable[Record]) -> int:
        number = 0
        for number, record in records:
            if len(record) == width:
                try:
                    which, ran_out = series[record[s]], short[2][record[short[0]]] if short else 0
                    waiting[which // BLOCK].extend((which, periods[record[d]], 2 * units[record[q]] + ran_out, number))
                except Bad:
                    pass  # told below, cell by cell
                else:
                    continue
            if not any(cell.strip() for cell in record):
                continue  # a spreadsheet leaves empty rows behind
            for place, name, cells in places:
                _meaning(cells, number, name, record[place] if place < len(record) else "", faults)
            _check_width(number, record, width, faults)
        return number

    return read


def _wide(
    header: Sequence[str], series: _Cells, periods: _Cells, units: _Cells, dealt: _Dealt, faults: Faults
) -> _Read:
    named = [_meaning(periods, 1, sheets.shown(cell), cell, faults) for cell in header[1:]]
    if all(period is None for period in named):
        faults.add(1, None, "missing_column", _FORM)
    elif len(set(named)) < len(named) and None not in named:
        faults.add(1, None, "duplicate_column", "Two columns are of the same period: keep one of them.")
    faults.refuse()

    def read(records: Iterable[Record]) -> int:
        number = 0
        for number, record in records:
            if not any(cell.strip() for cell in record):
                continue
            which = _meaning(series, number, "series", record[0], faults)
            _check_width(number, record, len(header), faults)
            for column, (period, cell) in enumerate(zip(named, record[1:], strict=False), start=1):
                value = _meaning(units, number, header[column], cell, faults) if cell.strip() else None
                if value is not None and which is not None and period is not None:
                    dealt.waiting[which // BLOCK].extend((which, period, 2 * value, number))
        return number

    return read


def _meaning(cells: _Cells, number: int, column: str, cell: str, faults: Faults) -> int | None:
    try:
        return cells[cell]
    except Bad as bad:
        faults.add(number, column, bad.code, bad.detail, cell)
        return None


def _check_columns(columns: list[str], faults: Faults) -> None:
    for name in dict.fromkeys(columns):
        if name and name not in _LONG:
            detail = f"There is no column {sheets.shown(name)}; the columns are {', '.join(_LONG)}."
            faults.add(1, sheets.shown(name), "unknown_column", detail)
        elif name and columns.count(name) > 1:
            faults.add(1, name, "duplicate_column", f"The column {name} ({_LONG[name][1]}) is there twice.")
    faults.refuse()


def _check_width(number: int, record: Sequence[str], width: int, faults: Faults) -> None:
    if any(cell.strip() for cell in record[width:]):
        detail = "This cell has no column name above it: is there a separator too many in the row?"
        faults.add(number, f"column {width + 1}", "cell_without_column", detail)


# -- cells ------------------------------------------------------------------------------------------------------------

_whole = sheets.whole(least=0)
_name = sheets.text(NAME_MAX)


def _empty(column: str) -> Bad:
    return Bad("missing", f"{column} ({_LONG[column][1]}) is empty: write it.")


def _series(dealt: _Dealt) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        name = _name(cell)
        if not name:
            raise _empty("series")
        return dealt.series(name)

    return parse


def _units(cell: str) -> int:
    if not cell.strip():
        raise _empty("quantity")
    return _whole(cell)


def _ran_out(cell: str) -> int:
    said = cell.strip().casefold()
    for word, (also, ran_out) in _ANSWERS.items():
        if said in {word, also}:
            return ran_out
    if said:
        expected = ", ".join(f"{word} ({also})" for word, (also, _) in _ANSWERS.items())
        raise Bad("unknown_word", f"{sheets.shown(cell.strip())} is not known here: write {expected}.")
    return 0


def _period(asked: Asked) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        bare = cell.strip()
        if not bare:
            raise _empty("date")
        day = _day(bare, asked.period)
        if day > asked.today:
            raise Bad("future_date", f"{sheets.shown(bare)} lies in the future; use is reported for past days.")
        return asked.period.number(day)

    return parse


def _day(bare: str, period: Period) -> date:
    """A day of the period: as in every sheet of ours, or 2026-04 for a month, 2026-W14 for a week."""
    if period is Period.MONTH and re.fullmatch("[0-9]{4}-[0-9]{2}", bare, re.ASCII):
        bare = f"{bare}-01"
    iso = re.fullmatch("[0-9]{4}-([0-9]{2}-[0-9]{2})", bare, re.ASCII)
    week = period is Period.WEEK and re.fullmatch("[0-9]{4}-W[0-9]{2}", bare, re.ASCII)
    if not iso and not week:
        return sheets.day(bare)
    if not FIRST_YEAR <= int(bare[:4]) <= LAST_YEAR:
        said = sheets.shown(bare)
        raise Bad("day_out_of_bounds", f"{said} is before {FIRST_YEAR} or after {LAST_YEAR}: check the year.")
    try:
        return date.fromisoformat(bare)
    except ValueError:
        raise Bad("no_such_day", f"There is no day {sheets.shown(bare)}: look at the calendar.") from None
