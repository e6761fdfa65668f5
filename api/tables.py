"""What the command line prints: tables for people on a terminal, tab-separated rows when piped."""

import json
import sys
from collections.abc import Sequence
from datetime import date
from math import ceil, floor
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlmodel import Session

from api.coverage import row_of
from api.desk import Desk, moment
from api.stock import past_day
from reserve import alerts, assessment, catalogue, coverage, database, stock
from reserve.catalogue import Place
from reserve.coverage import TableQuestion
from reserve.errors import Unknown
from reserve.model import Level

MARKS = {
    Level.RED: ("x", "红 red", "bold red"),
    Level.UNKNOWN: ("?", "未知 unknown", "bold bright_black"),
    Level.ORANGE: ("◆", "橙 orange", "dark_orange"),
    Level.YELLOW: ("▼", "黄 yellow", "yellow"),
    Level.BLUE: ("i", "蓝 blue", "blue"),
    Level.NORMAL: ("✓", "达标 normal", "green"),
}
_ORDER = {level: n for n, level in enumerate(MARKS)}


def coverage_rows(desk: Desk, scope: str | None, item: str | None, as_of: date | None) -> list[dict[str, Any]]:
    """The rows of a scope, worst first, in the form that the API answers, with both reasons and names for people."""
    now = desk.clock()
    with database.reading(desk.engine) as session:
        place = the_scope(session, scope)
        items = {i.code: i for i in catalogue.items(session)}
        if item is not None and item not in items:
            raise Unknown(f"There is no item {item}.", code="unknown_item")
        if as_of is None:
            kept = coverage.stored(session, TableQuestion(scope=place.code, item=item), now)
            rows = [json.loads(row.text("zh")) | {"reason_en": row.reason_en} for row in kept]
        else:
            at = coverage.when(past_day(as_of, now.astimezone(desk.zone).date()), now=now, zone=desk.zone)
            world = coverage.board(session, at)
            wanted = [i for i in items.values() if item in {None, i.code}]
            found = [assessment.assess(case) for i in wanted for case in coverage.read(session, world, i, [place], at)]
            rows = [row_of(a, "zh", now) | {"reason_en": a.reason.en} for a in found if a.judged or a.row["on_hand"]]
    for row in rows:
        row |= {"name_zh": items[row["item"]].name_zh, "name_en": items[row["item"]].name_en}
    return sorted(rows, key=_urgency)


def _urgency(row: dict[str, Any]) -> tuple[int, str, str, str]:
    level = _ORDER[Level(row["level"])]
    return level, row["falls_below_on"] or "9999", row["runs_out_on"] or "9999", row["item"]


def the_scope(session: Session, code: str | None) -> Place:
    """The place of a code, or the top of the tree."""
    if code is not None:
        return catalogue.require_place(session, code)
    tops = [p for p in catalogue.places(session) if p.inside and p.parent_id is None and p.kind != "transit"]
    if not tops:
        raise Unknown("There are no places yet: `reserve import locations FILE`, or `reserve demo`.", code="empty")
    return tops[0]


def print_coverage(rows: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """The table of a scope; red where there is less than what is required."""
    if not sys.stdout.isatty() and console is None:
        head = ["level", "item", "usable", "peak_daily", "days", "required_days", "falls_below_on", "reason"]
        print_rows(head, [_cells(row) for row in rows])
        return
    console = console or Console()
    table = Table(header_style="bold", pad_edge=False, expand=False)
    table.add_column("级别", no_wrap=True)
    table.add_column("物资", overflow="fold", min_width=16)
    table.add_column("可用", justify="right", no_wrap=True)
    table.add_column("峰值/日", justify="right", no_wrap=True)
    table.add_column("天数", justify="right", no_wrap=True)
    table.add_column("要求", justify="right", no_wrap=True)
    table.add_column("跌破日", no_wrap=True)
    table.add_column("原因", overflow="fold", ratio=1)
    for row in rows:
        mark, word, style = MARKS[Level(row["level"])]
        level, _item, usable, peak, days, required, below, _reason = _cells(row)
        below_rule = level in {"red", "orange"}
        table.add_row(
            Text(f"{mark} {word}", style=style),
            f"{row['item']} {row['name_zh']}",
            usable,
            peak,
            Text(days, style="bold red" if below_rule else ""),
            required,
            below,
            Text(row["reason"], style="red" if below_rule else ""),
        )
    console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    days, peak = row["days_of_coverage"], row["peak_daily"]
    return [
        row["level"],
        row["item"],
        f"{row['usable']:,}",
        "-" if peak is None else f"{ceil(peak * 10 - 1e-9) / 10:,.1f}",
        "-" if days is None else f"{floor(days * 10 + 1e-9) / 10:.1f}",
        "-" if row["required_days"] is None else str(row["required_days"]),
        row["falls_below_on"] or "-",
        row["reason"],
    ]


def print_explanation(desk: Desk, scope: str | None, item: str) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    with database.reading(desk.engine) as session:
        place, article = the_scope(session, scope), catalogue.item(session, item)
        if article is None:
            raise Unknown(f"There is no item {item}.", code="unknown_item")
        at = coverage.when(None, now=desk.clock(), zone=desk.zone)
        found = assessment.assess(coverage.read(session, coverage.board(session, at), article, [place], at)[0])
    mark, word, style = MARKS[found.level]
    console.print(Text(f"{mark} {word}  {article.name_zh} {article.name_en} · {place.name_zh} {found.as_of}", style))
    console.print(found.reason.zh)
    console.print(found.reason.en)
    for n, (zh, en) in enumerate(zip(*found.explanation["lines"].values(), strict=True), start=1):
        console.print(f"{n}. {zh}\n   {en}")
    print_rows(
        ["location", "lot", "expires_on", "life", "on_hand", "counted", "wasted"],
        [
            [
                lot["location"],
                lot["lot_number"],
                lot["expires_on"] or "-",
                "-" if lot["life"] is None else lot["life"],
                f"{lot['on_hand']:,}",
                lot["reason"] or "yes",
                f"{lot['wasted']:,}",
            ]
            for lot in found.explanation["lots"]
        ],
    )


def print_stock(desk: Desk, scope: str | None, item: str | None) -> None:
    today = desk.clock().astimezone(desk.zone).date()
    with database.reading(desk.engine) as session:
        article = None if item is None else catalogue.item(session, item)
        if item is not None and article is None:
            raise Unknown(f"There is no item {item}.", code="unknown_item")
        question = stock.StockQuestion(
            day=today, scope=the_scope(session, scope), item_id=None if article is None else article.id
        )
        rows = stock.rows(session, question)
    print_rows(
        ["location", "item", "lot", "expires_on", "on_hand", "usable", "hold"],
        [
            [r.location, r.item, r.lot_number, r.expires_on or "-", f"{r.on_hand:,}", f"{r.usable:,}", r.hold or ""]
            for r in rows
        ],
    )


def print_alerts(desk: Desk, scope: str | None, limit: int) -> None:
    with database.reading(desk.engine) as session:
        rows = alerts.told(session, within=the_scope(session, scope).path, limit=limit)
    print_rows(
        ["id", "raised", "scope", "item", "change", "level", "reason", "told"],
        [
            [
                r.id,
                moment(r.raised_at),
                r.scope,
                r.item,
                r.change,
                r.level,
                r.reason_zh,
                ", ".join(f"{n.receiver} {n.state}" for n in r.notices) or "-",
            ]
            for r in rows
        ],
    )


def print_rows(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on a terminal; tab-separated when piped, so that other programs can read it."""
    if not sys.stdout.isatty():
        sys.stdout.writelines("\t".join(str(cell) for cell in row) + "\n" for row in [head, *rows])
        return
    table = Table(header_style="bold", pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)
