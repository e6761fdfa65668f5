"""Sheets on the command line: in, checked and recorded or refused with every bad cell; and out."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from sqlmodel import Session

from api import exports, tables
from api.desk import Desk
from api.stock import movement, stock_row
from reserve import coverage, database, imports, stock
from reserve.entry import Entry
from reserve.errors import SheetRefused
from reserve.imports import SheetKind

ALL = 10**9
"""No page: a file holds every row."""


class _NothingIsKept(Exception):  # noqa: N818 - not an error: ends a dry run's transaction
    def __init__(self, found: imports.Imported) -> None:
        super().__init__("dry run")
        self.found = found


def import_file(desk: Desk, kind: str, file: Path, *, dry_run: bool) -> int:
    """Import one file in one transaction; returns the exit code. A dry run does everything and rolls back."""
    if kind not in set(SheetKind):
        raise typer.BadParameter(f"{kind} is not a kind of sheet; use one of {', '.join(SheetKind)}")
    data = file.read_bytes()
    entry = Entry(f"import {file.name}"[:120], desk.clock(), desk.zone, back_dating_days=None)
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(f"reading {file.name}", total=None)

            def work(session: Session) -> imports.Imported:
                found = imports.import_sheet(
                    session,
                    entry,
                    SheetKind(kind),
                    data,
                    progress=lambda done, of: bar.update(task, completed=done, total=of),
                )
                return _undone(found) if dry_run else found

            found = database.transact(desk.engine, work)
    except _NothingIsKept as ended:
        _say(f"{ended.found.rows} rows are right; nothing was recorded (dry run)")
        return 0
    except SheetRefused as refused:
        _say(f"errors: {refused.found}; nothing recorded")
        for cell in refused.cells:
            place = "\t".join([f"row {cell.row or '-'}", cell.column or "-", cell.value or ""])
            typer.echo(f"{place}\t{cell.code}\t{cell.detail}")
        return 1
    if found.recorded == 0:
        _say(f"{found.rows} rows, imported before: nothing changed")
    else:
        _say(f"{found.recorded} of {found.rows} rows recorded, {found.unchanged} unchanged")
    return 0


def exported(desk: Desk, kind: str, scope: str | None) -> bytes:
    """All rows of a kind at and below a scope, as CSV."""
    now = desk.clock()
    with database.reading(desk.engine) as session:
        place = tables.the_scope(session, scope)
        if kind == "coverage":
            kept = coverage.stored(session, coverage.TableQuestion(within=place), now)
            rows = [json.loads(row.text("zh")) for row in kept]
        elif kind == "stock":
            today = now.astimezone(desk.zone).date()
            rows = [stock_row(row) for row in stock.rows(session, stock.StockQuestion(day=today, scope=place))]
        elif kind == "movements":
            question = stock.MovementQuestion(scope=place, limit=ALL)
            rows = [movement(row) for row in stock.movements(session, question)]
        else:
            raise typer.BadParameter(f"{kind} is not exported; use coverage, stock or movements")
    return bytes(exports.sheet(rows, "csv", kind).body)


def _undone(found: imports.Imported) -> NoReturn:
    raise _NothingIsKept(found)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
