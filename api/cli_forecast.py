"""`reserve forecast`: the use to come of very many series, from a file or from the database, as one CSV sheet."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from api.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from api.fleet import MapChunks, Run

HISTORY = {"day": 365, "week": 520, "month": 1200}
HORIZON = {"day": 30, "week": 4, "month": 3}
WINDOW = {"day": None, "week": 52, "month": 1200}


class Of(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Missing(StrEnum):
    UNKNOWN = "unknown"
    ZERO = "zero"


class Where(StrEnum):
    LOCAL = "local"
    DASK = "dask"


class _How(NamedTuple):
    """What both kinds of run share."""

    output: Path
    horizon: int
    p: tuple[float, ...]
    chunk: int
    resume: bool
    engine: Callable[[], AbstractContextManager["MapChunks"]]
    settings: Settings
    today: date
    as_of: date | None


def forecast(
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV or Parquet: series, date, quantity. Without it: the database.", dir_okay=False),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV sheet to write.", show_default=False)] = ...,  # type: ignore[assignment]  # typer's word for needed
    period: Annotated[Of, typer.Option(help="day, week or month: what one row of a file holds.")] = Of.DAY,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Periods whose sum is forecast; default: 30 days, 4 weeks, 3 months."),
    ] = None,
    quantiles: Annotated[str, typer.Option(help="Comma-separated, between 0 and 1.")] = "0.5,0.9,0.95",
    missing: Annotated[
        Missing, typer.Option(help="unknown or zero: what a missing row of a file means.")
    ] = Missing.UNKNOWN,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The first day to forecast, YYYY-MM-DD; default: after the newest.")
    ] = None,
    pool: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--pool", help="The file's series are of one kind: widen what was lately too low.")
    ] = False,
    scope: Annotated[str | None, typer.Option("--scope", help="From the database: this place and all below.")] = None,
    item: Annotated[str | None, typer.Option("--item", help="From the database: one item.")] = None,
    engine: Annotated[Where, typer.Option(help="local: processes on this machine; dask: a cluster.")] = Where.LOCAL,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes on this machine.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Of a running Dask cluster, tcp://HOST:PORT.")
    ] = None,
    chunk: Annotated[int, typer.Option(min=1, max=50_000, help="Series worked on together.")] = 2000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was not finished.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Forecast very many series: a row each, the same bytes whatever the engine, the workers and the chunks."""
    from reserve.errors import SheetRefused

    _check(file, output, scope=scope, item=item, scheduler=scheduler, engine=engine)
    if file is None and (period != Of.DAY or missing != Missing.UNKNOWN or pool):
        _usage("--period, --missing and --pool are for a file; the database is forecast by day.")
    known = read_settings(os.environ)
    today = datetime.now(UTC).astimezone(known.zone).date()
    how = _How(
        output,
        horizon or HORIZON[period],
        _probabilities(quantiles),
        chunk,
        resume,
        _engine(engine, workers, scheduler),
        known,
        today,
        _day(as_of, today),
    )
    try:
        if file is None:
            _from_database(how, scope, item)
        else:
            _from_file(how, file, period, zero=missing == Missing.ZERO, pool=pool)
    except SheetRefused as refused:
        _say(f"errors: {refused.found}; nothing written")
        for cell in refused.cells:
            place = "\t".join([f"row {cell.row or '-'}", cell.column or "-", cell.value or ""])
            typer.echo(f"{place}\t{cell.code}\t{cell.detail}")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("Interrupted. What is finished is kept: run the same command with --resume.")
        raise
    except OSError as error:
        _say(f"{error}. What is finished is kept: run the same command with --resume.")
        sys.exit(1)


# -- two sources ------------------------------------------------------------------------------------------------------


def _from_file(how: _How, file: Path, period: Of, *, zero: bool, pool: bool) -> None:
    from api import fleet
    from forecasting.fleet import DAYS, MONTHS, WEEKS, chunks
    from reserve import histories

    looked = histories.look(file)
    run = fleet.Run(
        how.output,
        {
            "input": looked.digest,
            "--period": period.value,
            "--missing": "zero" if zero else "unknown",
            "--pool": pool,
            **_asked(how),
        },
    )
    with run.begun(resume=how.resume), _bar() as bar:
        if "store" not in run.state:
            task = bar.add_task(f"reading {file.name}", total=None)
            parquet = file.suffix.lower() == ".parquet"
            records = histories.parquet_records(file) if parquet else histories.csv_records(file, looked.encoding)
            asked = histories.Asked(
                histories.Period(period), HISTORY[period], how.today, how.as_of, missing_is_zero=zero
            )
            made = histories.gather(
                records,
                run.folder.resolve() / "histories",
                asked,
                lambda rows: bar.update(task, description=f"reading {file.name}: {rows:,} rows"),
            )
            bar.update(task, completed=1, total=1)
            run.keep(store=made._asdict())
        store = histories.Store(**run.state["store"])._replace(folder=str(run.folder.resolve() / "histories"))
        if store.left_out:
            _say(f"{store.left_out} rows are of {period} {_first(period, store.as_of)} or later and are left out")
        calendar = {Of.DAY: DAYS, Of.WEEK: WEEKS, Of.MONTH: MONTHS}[period]
        work = fleet.FileWork(store, how.horizon, how.p, WINDOW[period], calendar, pool)
        keys = list(chunks(store.series, how.chunk))
        _work_off(how, run, keys, work, bar)
        names = ({"series": name} for name in histories.names(Path(store.folder)))
        last = _first(period, store.as_of + how.horizon) - timedelta(days=1)
        more = {"first": _first(period, store.as_of), "last": last, "period": period.value}
        told = run.finish(len(keys), names, how.p, pool=pool, more=more)
    _say(f"{told} of {store.series} series forecast: {how.output}")


def _from_database(how: _How, scope: str | None, item: str | None) -> None:
    from api import fleet, tables
    from reserve import database
    from reserve import fleet as books
    from reserve.errors import Conflict

    run = fleet.Run(how.output, {"--scope": scope, "--item": item, **_asked(how)})
    opened = database.connect(how.settings.database_url)
    try:
        database.require_current_schema(opened)
        with run.begun(resume=how.resume), _bar() as bar:
            now = datetime.now(UTC)
            with database.reading(opened) as session:
                found = books.fleet(session, tables.the_scope(session, scope), item)
            told_of = json.loads(json.dumps(found._asdict()))
            if "known_at" not in run.state:
                run.keep(known_at=now.isoformat(), as_of=(how.as_of or how.today).isoformat(), fleet=told_of)
            elif run.state["fleet"] != told_of:
                raise Conflict(
                    f"Items or places were added since the unfinished run in {run.folder} began: remove the folder.",
                    code="run_differs",
                )
            first = date.fromisoformat(run.state["as_of"])
            known_at = datetime.fromisoformat(run.state["known_at"])
            asked = books.Asked(first, known_at, how.settings.zone, how.horizon, how.p)
            at_once = max(1, how.chunk // max(1, len(found.scopes)))
            keys = [found.items[n : n + at_once] for n in range(0, len(found.items), at_once)]
            if not keys or not found.scopes:
                run.forget()
                _say("There are no items yet: nothing written")
                sys.exit(1)
            _work_off(how, run, keys, fleet.DatabaseWork(found.scopes, asked), bar)
            names = ({"scope": scope, "item": item} for item, scope in product(found.items, found.scopes))
            more = {"first": first, "last": first + timedelta(days=how.horizon - 1), "period": "day"}
            told = run.finish(len(keys), names, how.p, pool=False, more=more)
    finally:
        database.close(opened)
    _say(f"{told} of {len(found.items) * len(found.scopes)} series forecast: {how.output}")


def _work_off(how: _How, run: "Run", keys: list[Any], work: Any, bar: "Progress") -> None:  # noqa: ANN401 - two kinds of work
    task = bar.add_task("forecasting", total=len(keys))
    with how.engine() as map_chunks:
        run.work_off(keys, work, map_chunks, lambda done, of: bar.update(task, completed=done, total=of))


def _first(period: Of, number: int) -> date:
    from reserve.histories import Period

    return Period(period).first_day(number)


# -- what was asked ---------------------------------------------------------------------------------------------------


def _asked(how: _How) -> dict[str, Any]:
    """What the answer depends on, or what the parts are cut by: a second try must ask the same."""
    from importlib.metadata import version

    return {
        "--horizon": how.horizon,
        "--quantiles": list(how.p),
        "--as-of": how.as_of and how.as_of.isoformat(),
        "--chunk": how.chunk,
        "version": version("reserve-monitor"),
    }


def _check(
    file: Path | None, output: Path, *, scope: str | None, item: str | None, scheduler: str | None, engine: Where
) -> None:
    if file is not None and (scope is not None or item is not None):
        _usage("Give a file, or --scope and --item for the database; not both.")
    if file is not None and not file.is_file():
        _usage(f"There is no file {file}.")
    if output.suffix.lower() != ".csv" or output.is_dir():
        _usage(f"{output} is not what is written: choose a name that ends with .csv.")
    if not output.parent.is_dir():
        _usage(f"There is no folder {output.parent}: make it first.")
    if file is not None and output.exists() and file.samefile(output):
        _usage("The sheet would take the place of what it is made from: choose another -o.")
    if file is not None and file.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        _usage(
            "Parquet needs pyarrow: `python -m pip install '.[parquet]'` where this program lies; or give a CSV file."
        )
    if scheduler is not None and engine != Where.DASK:
        _usage("--scheduler is for --engine dask.")


def _engine(engine: Where, workers: int, scheduler: str | None) -> "Callable[[], AbstractContextManager[MapChunks]]":
    from functools import partial

    from api import fleet

    if engine == Where.LOCAL:
        return partial(fleet.local, workers)
    if not fleet.has_dask():
        _usage("Dask is not installed: `python -m pip install '.[dask]'` where this program lies; or --engine local.")
    return partial(fleet.dask, workers, scheduler)


def _probabilities(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or len(found) > 20 or not all(0 < p < 1 for p in found) or len(set(found)) < len(found):
        _usage(f"--quantiles {text[:80]}: write up to 20 different numbers between 0 and 1, such as 0.5,0.9,0.95.")
    return found


def _day(text: str | None, today: date) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        _usage(f"--as-of {text[:40]} is not a day; write YYYY-MM-DD.")
    if not date(1900, 1, 1) <= day <= today:
        _usage(f"--as-of {day} is before 1900 or in the future: give today or a past day.")
    return day


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _usage(sentence: str) -> NoReturn:
    _say(sentence)
    sys.exit(2)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
