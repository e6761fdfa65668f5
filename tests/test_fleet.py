"""Very many series at once: the same bytes however the work is cut and spread; bad rows named; a killed run goes on."""

import csv
import io
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import SHANGHAI, TODAY, entry
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import HOSPITALS
from sqlalchemy import Engine
from typed import typed

from api import cli_forecast
from api.cli_forecast import Of, forecast
from api.fleet import Run, processes
from forecasting import demand, fleet
from forecasting.fleet import DAYS, MONTHS, Forecasts, chunks, forecast_chunk, pooled, run
from reserve import catalogue, coverage, database, histories, outlook, reporting
from reserve import fleet as books
from reserve.consumption import History
from reserve.histories import Period
from reserve.outlook import Unforeseen, Use
from reserve.reporting import Report

ROOT = Path(__file__).parents[1]
P = (0.5, 0.9, 0.95)
FIRST = date(2019, 3, 4)
DAY = date(2019, 7, 1)
"""Long past, whatever the clock says: the command goes by the real one."""
THEN = datetime(2019, 7, 1, 2, tzinfo=UTC)


# -- arrays -----------------------------------------------------------------------------------------------------------


def made(series: int, periods: int, seed: int) -> histories.Histories:
    """Histories of every kind: busy and idle, with gaps, begun late, run out, never reported."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(rng.gamma(0.5, 10 ** rng.uniform(0, 6, (series, 1))), (series, periods)).astype(float)
    reported = rng.random((series, periods)) > rng.choice([0, 0.05, 0.5], (series, 1))
    reported &= np.arange(periods) >= rng.choice([0, 3, periods // 2, periods], (series, 1), p=[0.7, 0.1, 0.15, 0.05])
    return histories.Histories(values, reported, reported & (rng.random((series, periods)) < 0.03))


def bytes_of(found: Forecasts) -> list[bytes]:
    return [field.tobytes() for field in found]


@given(
    seed=st.integers(0, 2**32),
    periods=st.sampled_from([1, 29, 61, 190, 365, 401]),
    cuts=st.lists(st.integers(1, 150), min_size=1, max_size=4),
    window=st.sampled_from([None, 60]),
)
@settings(max_examples=30, deadline=None)
def test_any_cutting_into_chunks_gives_the_same_bytes(seed, periods, cuts, window) -> None:
    whole = made(150, periods, seed)

    def work(which: range) -> Forecasts:
        part = slice(which.start, which.stop)
        cut = (field[part] for field in whole)
        return forecast_chunk(*cut, horizon=30, p=P, window=window, look_back=True)

    expected = bytes_of(run([range(150)], work, pool_at=P))
    for size in cuts:
        assert bytes_of(run(chunks(150, size), work, pool_at=P)) == expected


def test_cutting_also_leaves_alone_what_a_column_major_caller_gives() -> None:
    whole = made(40, 200, 3)
    straight = forecast_chunk(*whole, horizon=30, p=P)
    turned = forecast_chunk(*(np.asfortranarray(field) for field in whole), horizon=30, p=P)
    assert bytes_of(straight) == bytes_of(turned)


@pytest.mark.parametrize("days", [70, 180, 400])
def test_without_gaps_it_is_what_the_pool_correction_gives_for_one_table(days) -> None:
    rng = np.random.default_rng(days)
    history = rng.poisson(rng.gamma(2, 3, (150, 1)) * np.geomspace(0.02, 5, days), (150, days)).astype(float)
    found = forecast_chunk(history, np.ones_like(history), horizon=30, p=P, look_back=True)
    corrected = demand.corrected(history, 30, None, P)
    plain = demand.quantiles(*demand.moments(history, 30)[:2], P)
    assert (found.quantiles == plain).all()
    assert (pooled(found, P).quantiles == corrected).all()
    assert (corrected > plain).any()  # a rising demand: the correction has something to do


def test_fewer_than_a_hundred_series_are_no_pool() -> None:
    rng = np.random.default_rng(1)
    history = rng.poisson(np.linspace(1, 30, 200), (99, 200))
    found = forecast_chunk(history, np.ones_like(history), horizon=30, p=P, look_back=True)
    assert bytes_of(pooled(found, P)) == bytes_of(found)


@given(seed=st.integers(0, 2**32), periods=st.sampled_from([1, 27, 28, 60, 200, 365]))
@settings(max_examples=40, deadline=None)
def test_one_place_gets_the_forecast_of_its_row(seed, periods) -> None:
    values, reported, censored = made(1, periods, seed)
    first = TODAY - timedelta(periods)
    units, live = values.astype(np.int64), np.ones_like(reported)
    history = History(HOSPITALS[:1], first, units, reported, censored, live)
    row = outlook.use_of(history, TODAY)
    found = forecast_chunk(values, reported, censored, horizon=30, p=P)
    if isinstance(row, Unforeseen):
        assert found.reason[0] == row.reason
        assert np.isnan(found.mean[0])
    else:
        assert found.reason[0] == ""
        assert (found.mean[0], found.variance[0]) == pytest.approx((row.mean, row.variance), rel=1e-12)
        assert found.share_filled[0] == pytest.approx(row.share_filled)
        assert found.usable_days[0] == row.usable_days


def test_days_are_judged_as_a_row_judges_them() -> None:
    row = (7, outlook.RECENT_DAYS, outlook.FEWEST_DAYS, outlook.MOST_FILLED)
    assert (DAYS.season, DAYS.recent, DAYS.fewest, DAYS.most_filled) == row
    assert cli_forecast.HISTORY[Of.DAY] == outlook.HISTORY_DAYS
    assert cli_forecast.HORIZON[Of.DAY] == outlook.BLOCK_DAYS


@pytest.mark.parametrize(
    ("values", "reported", "changes", "word"),
    [
        ([[1, np.nan]], [[1, 1]], {}, "values"),
        ([[1, -1]], [[1, 1]], {}, "values"),
        ([[1, np.inf]], [[1, 1]], {}, "values"),
        ([[1, 1.1e15]], [[1, 1]], {}, "values"),
        ([["a", 1]], [[1, 1]], {}, "values"),
        ([], [], {}, "values"),
        ([[]], [[]], {}, "values"),
        (5, 1, {}, "values"),
        ([[1, 2]], [[1]], {}, "same shape"),
        ([[1, 2]], [[1, 1]], {"censored": [[1]]}, "same shape"),
        ([[1, 2]], [[1, 1]], {"horizon": 0}, "horizon"),
        ([[1, 2]], [[1, 1]], {"horizon": 1.5}, "horizon"),
        ([[1, 2]], [[1, 1]], {"horizon": True}, "horizon"),
        ([[1, 2]], [[1, 1]], {"horizon": 10**9}, "horizon"),
        ([[1, 2]], [[1, 1]], {"window": 0}, "window"),
        ([[1, 2]], [[1, 1]], {"p": 1}, "p must"),
        ([[1, 2]], [[1, 1]], {"p": [0.5, np.nan]}, "p must"),
        ([[1, 2]], [[1, 1]], {"p": []}, "p must"),
    ],
)
def test_what_cannot_be_a_history_is_refused_by_name(values, reported, changes, word) -> None:
    with pytest.raises(ValueError, match=word):
        forecast_chunk(values, reported, **{"horizon": 30, "p": P, **changes})


def test_what_is_not_reported_is_not_looked_at() -> None:
    found = forecast_chunk([[np.nan, -5, np.inf, *[3] * 60]], [[0, 0, 0, *[1] * 60]], horizon=30, p=P)
    assert found.mean[0] == pytest.approx(90)


def test_very_short_very_long_and_very_large_histories_have_an_answer() -> None:
    day = forecast_chunk([7], [1], horizon=30, p=P)
    assert (day.reason[0], day.usable_days[0]) == ("few_days", 1)
    century = forecast_chunk(np.full((3, 36_525), 4), np.ones((3, 36_525)), horizon=30, p=P)
    assert century.mean == pytest.approx(120)
    large = forecast_chunk(np.full((2, 400), 1e15), np.ones((2, 400)), horizon=365, p=P)
    assert large.mean == pytest.approx(3.65e17)
    assert (large.quantiles >= 3.6e17).all()
    assert np.isfinite(large.quantiles).all()
    none = forecast_chunk(np.zeros((0, 5)), np.zeros((0, 5)), horizon=30, p=P)
    assert none.quantiles.shape == (0, 3)


def test_months_need_a_year() -> None:
    assert forecast_chunk([[5] * 11], [[1] * 11], horizon=3, p=P, calendar=MONTHS).reason[0] == "few_days"
    assert forecast_chunk([[5] * 12], [[1] * 12], horizon=3, p=P, calendar=MONTHS).mean[0] == pytest.approx(15)


@pytest.mark.parametrize(("n", "size"), [(5, 0), (5, -1), (-1, 5)])
def test_chunks_have_a_size(n, size) -> None:
    with pytest.raises(ValueError, match="size"):
        chunks(n, size)


def test_no_parts_are_no_forecast() -> None:
    with pytest.raises(ValueError, match="parts"):
        run([], lambda _: pytest.fail("there is nothing to do"))


def test_errors_belong_to_the_probabilities() -> None:
    with pytest.raises(ValueError, match="errors"):
        fleet.pool_shift(np.array([""]), np.zeros((1, 2)), [0.9])


# -- files ------------------------------------------------------------------------------------------------------------


def rows_of(series: int = 60, days: int = 70, seed: int = 1) -> list[tuple[str, str, int]]:
    """Long rows, a day after the other; every series is there on the first."""
    rng = random.Random(seed)  # noqa: S311
    names = ["=1+1", "口罩 N95", *(f"S{n}" for n in range(series - 2))]
    return [
        (name, (FIRST + timedelta(day)).isoformat(), rng.randrange(40))
        for day in range(days)
        for name in names
        if day == 0 or rng.random() > 0.04
    ]


def as_csv(rows, header=("series", "date", "quantity"), separator=",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return out.getvalue().encode()


def as_wide(rows) -> bytes:
    days = sorted({day for _, day, _ in rows})
    cells = {(name, day): units for name, day, units in rows}
    return as_csv([[n, *(cells.get((n, d), "") for d in days)] for n in dict.fromkeys(r[0] for r in rows)], ["", *days])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sheet_of(data: bytes, name: str = "in.csv", **options) -> bytes:
    """What is written for a file in the working folder."""
    Path(name).write_bytes(data)
    forecast(Path(name), output=Path("out.csv"), **options)
    assert not Path("out.csv.parts").exists()
    return Path("out.csv").read_bytes()


def table(sheet: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet.decode("utf-8-sig"))))


def test_a_file_is_the_same_sheet_however_it_is_cut_ordered_and_written(desk: Path) -> None:
    rows = rows_of()
    expected = sheet_of(as_csv(rows), chunk=2000)
    later = rows[60:]
    random.Random(2).shuffle(later)  # noqa: S311
    turned = [(units, name, day.replace("-", "/")) for name, day, units in rows]
    chinese = as_csv([(u, n, d) for u, n, d in turned], ("数量", "系列", "日期"))
    for data, options in (
        (as_csv(rows), {"chunk": 1}),
        (as_csv(rows), {"chunk": 7}),
        (as_csv(rows[:60] + later), {"chunk": 59}),
        (as_csv(rows, separator=";"), {}),
        (as_csv(rows, separator="\t"), {}),
        (chinese, {"chunk": 11}),
        (chinese.decode().encode("gb18030"), {}),
        (b"\xef\xbb\xbf" + as_csv(rows).replace(b"\n", b"\r\n") + b",,\r\n\r\n", {}),
        (as_wide(rows), {"chunk": 13}),
    ):
        assert sheet_of(data, **options) == expected
    assert [row["series"] for row in table(expected)][:2] == ["'=1+1", "口罩 N95"]
    assert expected.startswith(b"\xef\xbb\xbf")


def test_parquet_is_the_same_sheet(desk: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = rows_of()
    names, days, units = zip(*rows, strict=True)
    for when, what in (
        (pa.array([date.fromisoformat(day) for day in days]), pa.array(units)),
        (pa.array(days), pa.array([float(u) for u in units])),
    ):
        parquet.write_table(pa.table({"series": names, "date": when, "quantity": what}), "in.parquet")
        assert sheet_of(Path("in.parquet").read_bytes(), "in.parquet") == sheet_of(as_csv(rows))


def test_a_damaged_parquet_file_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    assert refused(b"PAR1 and nothing else", "in.parquet") == 1
    assert "torn_parquet" in capsys.readouterr().out


def test_the_numbers_are_those_of_the_arrays(desk: Path) -> None:
    rows = [(name, day, units) for name, day, units in rows_of() if name == "S1"]
    values, reported = np.zeros(70), np.zeros(70, dtype=bool)
    for _, day, units in rows:
        at = (date.fromisoformat(day) - FIRST).days
        values[at], reported[at] = units, True
    values, reported = values[: np.flatnonzero(reported)[-1] + 1], reported[: np.flatnonzero(reported)[-1] + 1]
    (found,) = table(sheet_of(as_csv(rows), quantiles="0.9,0.975"))
    expected = forecast_chunk(values, reported, horizon=30, p=[0.9, 0.975])
    assert float(found["mean"]) == pytest.approx(expected.mean[0], rel=1e-8)
    assert [int(found["p90"]), int(found["p97.5"])] == expected.quantiles[0].tolist()
    assert int(found["usable_periods"]) == expected.usable_days[0]
    assert found["first"] == (FIRST + timedelta(len(values))).isoformat()
    assert date.fromisoformat(found["last"]) - date.fromisoformat(found["first"]) == timedelta(29)


def test_a_missing_day_is_unknown_unless_it_is_said_to_be_zero(desk: Path) -> None:
    rows = [("A", (FIRST + timedelta(day)).isoformat(), 7) for day in range(0, 140, 7)]
    (unknown,) = table(sheet_of(as_csv(rows)))
    assert (unknown["reason"], unknown["mean"], unknown["p90"]) == ("few_days", "", "")
    (zero,) = table(sheet_of(as_csv(rows), missing=cli_forecast.Missing.ZERO))
    assert float(zero["mean"]) == pytest.approx(30, abs=2)


def test_use_that_ended_long_ago_is_zero_by_now_if_missing_is_zero(desk: Path) -> None:
    rows = [("old", "2014-01-01", 9), *(("new", (FIRST + timedelta(day)).isoformat(), 9) for day in range(100))]
    found = {row["series"]: row for row in table(sheet_of(as_csv(rows), missing=cli_forecast.Missing.ZERO))}
    assert (found["old"]["mean"], found["old"]["usable_periods"], found["old"]["p95"]) == ("0.0", "365", "0")
    assert found["new"]["usable_periods"] == "100"


def test_run_out_days_count_as_at_least(desk: Path) -> None:
    days = [(FIRST + timedelta(day)).isoformat() for day in range(70)]
    rows = [("A", day, 0 if n % 10 == 9 else 10, "是" if n % 10 == 9 else "") for n, day in enumerate(days)]
    (found,) = table(sheet_of(as_csv(rows, ("series", "date", "quantity", "缺货"))))
    assert float(found["mean"]) == pytest.approx(300)


@pytest.mark.parametrize("period", [Of.WEEK, Of.MONTH])
def test_weeks_and_months_are_counted_in_their_own_periods(desk: Path, period: Of) -> None:
    numbers = [Period(period).number(date(2018, 1, 1)) + n for n in range(24)]
    days = [Period(period).first_day(n) for n in numbers]
    plain = [("A", day.isoformat(), 5) for day in days]
    short = [("A", f"{day:%G-W%V}" if period == Of.WEEK else f"{day:%Y-%m}", 5) for day in days]
    expected = sheet_of(as_csv(plain), period=period)
    assert sheet_of(as_csv(short), period=period) == expected
    (found,) = table(expected)
    assert float(found["mean"]) == pytest.approx(5 * cli_forecast.HORIZON[period])
    assert found["first"] == Period(period).first_day(numbers[-1] + 1).isoformat()


@given(day=st.dates(date(1900, 1, 1), date(2100, 12, 31)), period=st.sampled_from(list(Period)))
def test_a_period_begins_on_its_first_day(day, period) -> None:
    first = period.first_day(period.number(day))
    assert first <= day < period.first_day(period.number(day) + 1)
    assert period.number(first) == period.number(day)


def test_asked_as_of_a_past_day_nothing_later_is_looked_at(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of()
    past = FIRST + timedelta(50)
    before = [row for row in rows if row[1] < past.isoformat()]
    assert sheet_of(as_csv(rows), as_of=past.isoformat()) == sheet_of(as_csv(before), as_of=past.isoformat())
    assert f"{len(rows) - len(before)} rows are of day {past} or later and are left out" in capsys.readouterr().err


def refused(data: bytes, name: str = "in.csv", **options) -> int:
    """The exit code of a run that leaves nothing behind."""
    Path(name).write_bytes(data)
    with pytest.raises(SystemExit) as left:
        forecast(Path(name), output=Path("out.csv"), **options)
    assert sorted(path.name for path in Path().iterdir()) == [name]
    assert isinstance(left.value.code, int)
    return left.value.code


TOMORROW = (date.today() + timedelta(2)).isoformat()  # noqa: DTZ011


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("A,2019-03-04,-1", "quantity", "negative"),
        ("A,2019-03-04,NaN", "quantity", "not_a_number"),
        ("A,2019-03-04,inf", "quantity", "not_a_number"),
        ("A,2019-03-04,1.5", "quantity", "fraction"),
        ("A,2019-03-04,", "quantity", "missing"),
        ("A,2019-03-04,1000000000000001", "quantity", "too_large"),
        (f"A,2019-03-04,{'9' * 5000}", "quantity", "too_large"),
        ("A,2019-03-04,1e15", "quantity", "exponent"),
        ("A,1899-12-31,1", "date", "day_out_of_bounds"),
        ("A,2101-01-01,1", "date", "day_out_of_bounds"),
        (f"A,{TOMORROW},1", "date", "future_date"),
        ("A,2019-02-29,1", "date", "no_such_day"),
        ("A,3/4/2019,1", "date", "not_a_day"),
        ("A,,1", "date", "missing"),
        (" ,2019-03-04,1", "series", "missing"),
        ("A\u202e,2019-03-04,1", "series", "invisible_character"),
        (f"{'A' * 201},2019-03-04,1", "series", "too_long"),
        ("A,2019-03-04,1,2", "column 4", "cell_without_column"),
        ("A", "date", "missing"),
        ("B,2019-03-03,3", "date", "duplicate_row"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    desk: Path, capsys: pytest.CaptureFixture[str], row: str, column: str, code: str
) -> None:
    good = "series,date,quantity\nB,2019-03-03,2\n"
    assert refused(f"{good}{row}\nC,2019-03-03,4\n".encode()) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[0].endswith("nothing written")
    where, named, _, told, sentence = said.out.splitlines()[0].split("\t")
    assert (where, named, told) == ("row 3", column, code)
    assert sentence.endswith((".", "?"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"series,date,quantity\n", "no_rows"),
        (b"series,date,quantity\n,,\n", "no_rows"),
        (b"a,b\n1,2\n", "missing_column"),
        (b"series,date,quantity,price\nA,2019-03-03,1,2\n", "unknown_column"),
        (b"series,date,quantity,quantity\nA,2019-03-03,1,2\n", "duplicate_column"),
        (b"series,2019-03-03,2019-3-3x\nA,1,2\n", "not_a_day"),
        (b"series,2019-03-03,2019/3/3\nA,1,2\n", "duplicate_column"),
        (b"series,2019-03-03\nA,1,2\n", "cell_without_column"),
        (b"series,2019-03-03,2019-03-04\nA,1,x\n", "not_a_number"),
        (b'series,date,quantity\n"A,2019-03-03,1\n', "broken_quoting"),
        (b"PK\x03\x04 a workbook", "workbook"),
        (b"series,date,quantity\nA\0,2019-03-03,1\n", "nul_bytes"),
        ("series,date,quantity\n口罩手套口罩手套,2019-03-03,1\n".encode() + b"\xff\n", "torn_text"),
    ],
)
def test_a_file_that_is_no_such_sheet_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str], data: bytes, code: str
) -> None:
    assert refused(data) == 1
    assert code in {line.split("\t")[3] for line in capsys.readouterr().out.splitlines()}


def test_text_damaged_far_into_a_file_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"S{n},2019-03-03,1\n" for n in range(200_000))
    assert refused(f"series,date,quantity\n口罩手套,2019-03-03,1\n{rows}".encode() + b"\xff\xfe,2019-03-04,1\n") == 1
    assert "torn_text" in capsys.readouterr().out


def test_every_bad_row_is_counted_and_a_thousand_are_told(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"S{n},2019-03-03,-1\n" for n in range(1500))
    assert refused(f"series,date,quantity\n{rows}".encode()) == 1
    said = capsys.readouterr()
    assert "errors: 1500;" in said.err
    assert len(said.out.splitlines()) == 1000


def test_a_hundred_years_of_days_are_read_and_the_last_of_them_forecast_from(desk: Path) -> None:
    century = [("A", (date(1919, 1, 1) + timedelta(day)).isoformat(), 2) for day in range(36_525)]
    (found,) = table(sheet_of(as_csv(century)))
    assert (found["mean"], found["usable_periods"]) == ("60.0", "365")
    assert sheet_of(as_wide(century)) == sheet_of(as_csv(century))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"quantiles": "0.5,1"}, "--quantiles"),
        ({"quantiles": "half"}, "--quantiles"),
        ({"quantiles": "0.5,0.50"}, "--quantiles"),
        ({"quantiles": "nan"}, "--quantiles"),
        ({"as_of": "yesterday"}, "--as-of"),
        ({"as_of": "1850-01-01"}, "--as-of"),
        ({"as_of": "2099-01-01"}, "--as-of"),
        ({"scope": "371400"}, "not both"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "--scheduler"),
    ],
)
def test_a_wrong_option_is_wrong_usage(desk: Path, capsys: pytest.CaptureFixture[str], options, word) -> None:
    assert refused(as_csv(rows_of()), **options) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("output", ["in.csv", "out.xlsx", "nowhere/out.csv"])
def test_a_sheet_goes_only_where_a_sheet_belongs(desk: Path, output: str) -> None:
    Path("in.csv").write_bytes(as_csv(rows_of()))
    with pytest.raises(SystemExit) as left:
        forecast(Path("in.csv"), output=Path(output))
    assert left.value.code == 2
    assert Path("in.csv").read_bytes() == as_csv(rows_of())


def test_a_pool_is_widened_by_all_of_its_series_however_they_are_cut(desk: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"S{n}", (FIRST + timedelta(day)).isoformat(), int(units))
        for n in range(120)
        for day, units in enumerate(rng.poisson(np.linspace(1, 30, 120)))
    ]
    alone, whole = sheet_of(as_csv(rows)), sheet_of(as_csv(rows), pool=True)
    assert sheet_of(as_csv(rows), pool=True, chunk=17) == whole
    pairs = list(zip(table(alone), table(whole), strict=True))
    assert all(int(wide["p90"]) >= int(plain["p90"]) for plain, wide in pairs)
    assert any(int(wide["p90"]) > int(plain["p90"]) for plain, wide in pairs)


# -- unfinished runs --------------------------------------------------------------------------------------------------


COMMAND = ("forecast", "in.csv", "-o", "out.csv")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from api.cli import main; main()", *COMMAND, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if fields[0] != "Z" and int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_a_run_killed_in_the_middle_goes_on_where_it_was(desk: Path, workers: str) -> None:
    data = as_csv(rows_of(600, 40))
    expected = sheet_of(data)
    Path("out.csv").unlink()
    run_ = subprocess.Popen(command("--chunk", "1", "--workers", workers), env=environment(), stderr=subprocess.PIPE)
    until(lambda: len(list(Path("out.csv.parts").glob("part-*.npz"))) >= 5)
    beside = children(run_.pid)
    run_.send_signal(signal.SIGKILL)
    run_.communicate()
    finished = len(list(Path("out.csv.parts").glob("part-*.npz")))
    assert 5 <= finished < 600
    assert not Path("out.csv").exists()
    until(lambda: not [pid for pid in beside if alive(pid)])  # no worker outlives it

    again = typed(*COMMAND, "--chunk", "1", folder=desk)
    assert again.returncode == 1
    assert "--resume" in again.stderr
    assert "run_unfinished" in again.stderr
    other = typed(*COMMAND, "--resume", folder=desk)
    assert other.returncode == 1
    assert "another --chunk" in other.stderr
    assert len(list(Path("out.csv.parts").glob("part-*.npz"))) == finished

    damaged = Path("out.csv.parts/part-000002.npz")
    damaged.write_bytes(damaged.read_bytes()[:100])  # as after a power cut
    forecast(Path("in.csv"), output=Path("out.csv"), chunk=1, resume=True)
    assert Path("out.csv").read_bytes() == expected
    assert not Path("out.csv.parts").exists()


def until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_runs_do_not_share_a_sheet(desk: Path) -> None:
    Path("in.csv").write_bytes(as_csv(rows_of()))
    with Run(Path("out.csv"), {}).begun(resume=False):
        for resume, code in ((False, "run_unfinished"), (True, "run_going_on")):
            with pytest.raises(Exception, match=r"remove it|Another process") as told:
                forecast(Path("in.csv"), output=Path("out.csv"), resume=resume)
            assert told.value.code == code


def test_another_input_is_not_mixed_into_an_unfinished_run(desk: Path) -> None:
    first = Run(Path("out.csv"), {"input": "1", "--pool": False})
    with first.begun(resume=False):
        first.keep(store={})
    Path("in.csv").write_bytes(as_csv(rows_of()))
    with pytest.raises(Exception, match=r"begun with another .*input") as told:
        forecast(Path("in.csv"), output=Path("out.csv"), resume=True)
    assert told.value.code == "run_differs"


def test_a_worker_that_is_killed_is_a_sentence_with_what_to_do() -> None:
    with pytest.raises(Exception, match="--resume") as told, processes(1) as map_chunks:
        list(map_chunks(os._exit, [1]))
    assert told.value.code == "worker_died"


def test_no_scheduler_is_a_sentence(desk: Path) -> None:
    pytest.importorskip("distributed")
    Path("in.csv").write_bytes(as_csv(rows_of()))
    with pytest.raises(Exception, match="No Dask scheduler answers at nonsense") as told:
        forecast(Path("in.csv"), output=Path("out.csv"), engine=cli_forecast.Where.DASK, scheduler="nonsense://x")
    assert told.value.code == "no_scheduler"


def test_a_first_run_may_say_resume(desk: Path) -> None:
    assert sheet_of(as_csv(rows_of()), resume=True) == sheet_of(as_csv(rows_of()))


# -- engines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "2", "--chunk", "13"],
        pytest.param(["--engine", "dask", "--workers", "2", "--chunk", "7"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_where_the_work_is_done_changes_no_byte(desk: Path, arguments: list[str]) -> None:
    if "dask" in arguments:
        pytest.importorskip("distributed")
    rng = np.random.default_rng(2)
    rows = [
        (f"S{n}", (FIRST + timedelta(day)).isoformat(), int(units))
        for n in range(130)
        for day, units in enumerate(rng.poisson(np.linspace(1, 30, 90)))
        if day == 0 or rng.random() > 0.03
    ]
    expected = sheet_of(as_csv(rows), pool=True)
    Path("out.csv").unlink()
    done = subprocess.run(command("--pool", *arguments), env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == "130 of 130 series forecast: out.csv\n"
    assert Path("out.csv").read_bytes() == expected


@pytest.mark.long
def test_a_cluster_that_is_already_there_is_used(desk: Path) -> None:
    distributed = pytest.importorskip("distributed")
    del distributed  # only its commands are used
    expected = sheet_of(as_csv(rows_of()))
    Path("out.csv").unlink()
    place = ["--host", "127.0.0.1", "--no-dashboard"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *place, "--port", "0", "--scheduler-file", "at"],
            env=environment(),
            stderr=subprocess.DEVNULL,
        ),
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", *place, "--no-nanny", "--scheduler-file", "at"],
            env=environment(),
            stderr=subprocess.DEVNULL,
        ),
    ]
    try:
        until(Path("at").exists)
        import json

        until(lambda: Path("at").read_text().endswith("}"))
        address = json.loads(Path("at").read_text())["address"]
        done = subprocess.run(
            command("--engine", "dask", "--scheduler", address),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for process in started:
            process.terminate()
            process.wait()
    assert done.returncode == 0, done.stderr
    assert Path("out.csv").read_bytes() == expected


@pytest.mark.parametrize("arguments", [["--engine", "dask"], ["in.parquet"]])
def test_an_extra_that_is_not_installed_is_named_with_how_to_install_it(desk: Path, arguments: list[str]) -> None:
    """As on a machine without it: a finder that knows neither library stands before all others."""
    Path("in.csv").write_bytes(as_csv(rows_of()))
    Path("in.parquet").write_bytes(b"PAR1")
    blind = (
        "import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name in {'distributed', 'pyarrow'} else find(name, *more);"
    )
    file = [a for a in arguments if a.endswith("parquet")] or ["in.csv"]
    rest = [a for a in arguments if not a.endswith("parquet")]
    start = f"{blind} from api.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, "forecast", *file, "-o", "out.csv", *rest],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install '.[" in done.stderr
    assert not Path("out.csv.parts").exists()


# -- the database -----------------------------------------------------------------------------------------------------


@pytest.fixture
def reported(city: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, desk: Path) -> Engine:
    """Two hospitals that report masks, one of them with gaps, and ventilators that nobody reports."""
    rng = np.random.default_rng(5)
    rows = [
        Report(place, "N95", DAY - timedelta(days=day), int(rng.poisson(mean)))
        for place, mean in (("371402-H1", 40), ("371425-H1", 9))
        for day in range(1, 121)
        if place == "371402-H1" or rng.random() > 0.1
    ]
    database.transact(city, lambda session: reporting.report(session, entry(now=THEN), rows))
    monkeypatch.setenv("RESERVE_DATABASE_URL", database_url)
    return city


def from_books(**options) -> list[dict[str, str]]:
    forecast(None, output=Path("out.csv"), as_of=DAY.isoformat(), **options)
    return table(Path("out.csv").read_bytes())


def test_every_scope_and_item_gets_the_forecast_of_its_row(reported: Engine) -> None:
    found = from_books(scope="371400", quantiles="0.5,0.75,0.9,0.95,0.99")
    assert len(found) == 7 * 2
    with database.reading(reported) as session:
        moment = coverage.when(DAY, now=THEN, zone=SHANGHAI)
        world = coverage.board(session, moment)
        seen = 0
        for row in found:
            (item,) = catalogue.items_by_code(session, [row["item"]]).values()
            scope = catalogue.require_place(session, row["scope"])
            (case,) = coverage.read(session, world, item, [scope], moment)
            use = outlook.use_of(case.history, DAY)
            assert row["reason"] == (use.reason if isinstance(use, Unforeseen) else "")
            if isinstance(use, Use):
                seen += 1
                assert {name: int(row[f"p{100 * name:.10g}"]) for name in use.quantiles()} == use.quantiles()
                assert float(row["mean"]) == pytest.approx(use.mean, rel=1e-8)
    assert seen == 5  # the city, two counties, two hospitals


def test_the_books_are_the_same_sheet_however_they_are_cut(reported: Engine) -> None:
    found = from_books(scope="371400")
    assert from_books(scope="371400", chunk=1) == found
    assert from_books() == found
    assert from_books(item="N95", scope="371425") == [
        row for row in found if row["item"] == "N95" and row["scope"].startswith("371425")
    ]


def test_another_horizon_is_forecast_from_the_same_history(reported: Engine) -> None:
    month, week = (from_books(scope="371402-H1", item="N95", horizon=days) for days in (30, 7))
    assert float(week[0]["mean"]) == pytest.approx(float(month[0]["mean"]) * 7 / 30, rel=0.2)
    assert week[0]["last"] == (DAY + timedelta(6)).isoformat()


def test_reading_the_books_takes_as_many_statements_for_one_scope_as_for_all(reported: Engine) -> None:
    from sqlalchemy import event

    counts, statements = [], []
    event.listen(reported, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with database.reading(reported) as session:
        for scope in ("371402-H1", "371400"):
            found = books.fleet(session, catalogue.require_place(session, scope), None)
            asked = books.Asked(DAY, THEN, SHANGHAI, 30, P)
            statements.clear()
            books.forecast(session, found.items, found.scopes, asked)
            counts.append(len(statements))
    assert counts[0] == counts[1] <= 4 + 4 * 2


def test_a_resumed_run_sees_the_books_as_the_first_did(reported: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = from_books(scope="371400", chunk=1)
    begun = Run.work_off

    def stopped(self, keys, work, map_chunks, progress) -> None:
        begun(self, keys[:1], work, map_chunks, progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "work_off", stopped)
    with pytest.raises(KeyboardInterrupt):
        from_books(scope="371400", chunk=1)
    monkeypatch.setattr(Run, "work_off", begun)
    late = Report("371402-H1", "VENT", DAY - timedelta(days=1), 3)
    database.transact(reported, lambda session: reporting.report(session, entry(now=datetime.now(UTC)), [late]))
    assert from_books(scope="371400", chunk=1, resume=True) == expected


@pytest.mark.parametrize(
    ("options", "code"), [({"item": "NOPE"}, "unknown_item"), ({"scope": "999999"}, "unknown_location")]
)
def test_an_unknown_item_or_place_leaves_nothing_behind(reported: Engine, options, code) -> None:
    with pytest.raises(Exception, match="There is no") as told:
        from_books(**options)
    assert told.value.code == code
    assert not Path("out.csv.parts").exists()


@pytest.mark.parametrize("options", [{"pool": True}, {"period": Of.WEEK}, {"missing": cli_forecast.Missing.ZERO}])
def test_options_of_files_are_not_for_the_database(reported: Engine, options) -> None:
    with pytest.raises(SystemExit) as left:
        from_books(**options)
    assert left.value.code == 2


@pytest.mark.long
def test_workers_read_the_books_themselves(reported: Engine) -> None:
    expected = from_books()
    Path("out.csv").unlink()
    asked = ["--as-of", DAY.isoformat(), "--chunk", "1", "--workers", "2"]
    start = [sys.executable, "-c", "from api.cli import main; main()", "forecast", "-o", "out.csv", *asked]
    done = subprocess.run(start, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert table(Path("out.csv").read_bytes()) == expected
