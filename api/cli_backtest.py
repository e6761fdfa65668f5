"""`reserve backtest`: how well the forecasts of the own past held, through the route of HTTP."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

HEAD = (
    "物资 item",
    "预测 n",
    "独立期 periods",
    "90%守住 held",
    "区间 95%",
    "95%守住 held",
    "50%",
    "损失比 loss/plain .90 .95",
    "损失/用量 loss/use .90 .95",
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
    from api import tables
    from api.cli import _call, _print_answer

    asked = {"scope": scope, "item": item, "months": months}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    answered = _call("GET", f"backtests?{query}", None, None)
    if answered.refused or as_json:
        _print_answer(answered, None)
        return
    found = json.loads(answered.body)
    together = {"item": f"全部 all {found['together']['items']}", **found["together"]}
    tables.print_rows(HEAD, [_cells(row) for row in [*found["items"], together]])


def _cells(row: dict[str, Any]) -> list[str]:
    covered, interval, missed = row["coverage"], row["interval"], row["worst"]
    losses, of_use = row["loss_to_empirical"], row["loss_to_use"]
    bounds = "-" if interval is None else f"{interval['p90'][0]:.2f}-{interval['p90'][1]:.2f}"
    return [
        row["item"],
        str(row["n"]),
        f"{row['periods']:g}",
        *[_share(covered, "p90"), bounds, _share(covered, "p95"), _share(covered, "p50")],
        _pair(losses),
        _pair(of_use),
        "-" if missed is None else f"{missed['from']} +{missed['units']:,}",
        f"{row['words']['zh']} / {row['words']['en']}",
        f"{row['alerts']['words']['zh']} / {row['alerts']['words']['en']}",
    ]


def _share(shares: dict[str, float] | None, name: str) -> str:
    return "-" if shares is None else f"{shares[name]:.3f}"


def _pair(losses: dict[str, float | None] | None) -> str:
    if losses is None:
        return "-"
    return " ".join("-" if n is None else f"{n:.2f}" for n in (losses["p90"], losses["p95"]))
