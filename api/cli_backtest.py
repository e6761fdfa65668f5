"""`reserve backtest`: how well the forecasts of the own past held, through the route of HTTP."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

if TYPE_CHECKING:
    from rich.console import Console

PROMISED = 0.9

HEAD = (
    "物资 item",
    "预测 n",
    "独立期 periods",
    "90%守住 held",
    "区间 interval",
    "95%",
    "50%",
    "损失比 loss/plain",
    "损失/用量 loss/use",
    "最大超出 worst miss",
    "结论 verdict",
    "预警 alerts",
)


def backtest(
    scope: Annotated[
        str | None, typer.Option("--scope", help="A location with everything below it; default: the top.")
    ] = None,
    item: Annotated[str | None, typer.Option("--item", help="One item.")] = None,
    months: Annotated[int, typer.Option("--months", min=1, max=36, help="How far back.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the API would answer.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """How often the limits of the own forecasts held, the worst item first, and whether breaks were announced."""
    from api.cli import _call, _print_answer

    pages: list[dict[str, Any]] = []
    cursor = None
    while not pages or cursor is not None:
        asked = {"scope": scope, "item": item, "months": months, "limit": 100, "cursor": cursor}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        answered = _call("GET", f"backtests?{query}", None, None)
        if answered.refused or as_json:
            _print_answer(answered, None)
        pages.append(json.loads(answered.body))
        cursor = pages[-1]["next_cursor"]
    if not as_json:
        _print(pages)


def _print(pages: list[dict[str, Any]]) -> None:
    """All items, the worst first, and a line over those of each page."""
    from api import tables
    from reserve.backtests import worst_first

    rows = sorted((row for found in pages for row in found["items"]), key=worst_first)
    for n, found in enumerate(pages, 1):
        part = f" {n}/{len(pages)}" if len(pages) > 1 else ""
        rows.append({"item": f"全部 all{part}", **found["together"]})
    if sys.stdout.isatty():
        print_table(rows)
    else:
        tables.print_rows(HEAD, [_cells(row) for row in rows])


def print_table(rows: list[dict[str, Any]], console: "Console | None" = None) -> None:
    """The numbers as a table, and below it what they come to, a Chinese and an English line an item."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
    table = Table(header_style="bold", pad_edge=False)
    for name in HEAD[:-2]:
        first = name == HEAD[0]
        table.add_column(name.replace(" ", "\n", 1), no_wrap=not first, justify="left" if first else "right")
    for row in rows:
        table.add_row(*_cells(row)[:-2])
    console.print(table)
    for row in rows:
        style = "bold red" if _below(row) else ""
        for language, stop in (("zh", "；"), ("en", "; ")):
            said = row["words"][language] + stop + row["alerts"]["words"][language]
            console.print(Text(f"{row['item'] if language == 'zh' else '':<12} {said}", style))


def _below(row: dict[str, Any]) -> bool:
    """Whether the whole interval lies below what was promised."""
    return not row["too_short"] and row["interval"]["p90"][1] < PROMISED


def _cells(row: dict[str, Any]) -> list[str]:
    covered, interval, missed = row["coverage"], row["interval"], row["worst"]
    losses, of_use = row["loss_to_empirical"], row["loss_to_use"]
    bounds = "-" if interval is None else f"{interval['p90'][0]:.2f}-{interval['p90'][1]:.2f}"
    return [
        row["item"],
        str(row["n"]),
        f"{row['periods']:g}",
        *[_share(covered, "p90"), bounds, _share(covered, "p95"), _share(covered, "p50")],
        _pair(losses, 2),
        _pair(of_use, 3),
        "-" if missed is None else f"{missed.get('item', '')} {missed['from']} +{missed['units']:,}".strip(),
        f"{row['words']['zh']} / {row['words']['en']}",
        f"{row['alerts']['words']['zh']} / {row['alerts']['words']['en']}",
    ]


def _share(shares: dict[str, float] | None, name: str) -> str:
    return "-" if shares is None else f"{shares[name]:.3f}"


def _pair(losses: dict[str, float | None] | None, digits: int) -> str:
    if losses is None:
        return "-"
    return " ".join("-" if n is None else f"{n:.{digits}f}" for n in (losses["p90"], losses["p95"]))
