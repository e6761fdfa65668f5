"""`reserve plan`: what to order, to move and to use up, through the routes of HTTP."""

import json
import sys
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

plan_app = typer.Typer(no_args_is_help=True, help="What to order, to move between places, to use up (计划).")

HEADS = {
    "item": "物资",
    "units": "数量",
    "packs": "包装数",
    "order_by": "最迟下单",
    "late": "晚",
    "need_days": "缺天数",
    "at_risk": "将过期",
    "reason": "原因",
    "from": "调出",
    "to": "调入",
    "source": "发出库",
    "target": "收货",
    "lot": "批号",
    "expires_on": "有效期至",
    "days": "天数",
    "waste": "预计过期",
    "owed": "待轮换",
    "send_by": "最迟发出",
}
REASON = "reason"

Scope = Annotated[str | None, typer.Option("--scope", help="A location with everything below it; default: the top.")]
Item = Annotated[str | None, typer.Option("--item", help="One item.")]
Everything = Annotated[bool, typer.Option("--all", help="Items that need nothing too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the API would answer.")]
TransitDays = Annotated[int, typer.Option("--transit-days", min=0, max=60, help="Days on the road.")]


@plan_app.command("replenish")
def replenish(
    scope: Scope = None,
    item: Item = None,
    service_level: Annotated[
        float, typer.Option("--service-level", help="Share of the futures in which the rule is to hold.")
    ] = 0.95,
    review_days: Annotated[int, typer.Option("--review-days", min=0, max=365, help="Days to the next order.")] = 7,
    everything: Everything = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """What to order: units, packs, by which day, and why."""
    asked = {"item": item, "service_level": service_level, "review_days": review_days}
    found = _ask("replenishment", scope, asked, everything=everything, as_json=as_json)
    if found is None:
        return
    rows = [
        [
            row["item"],
            "-" if row["units"] is None else f"{row['units']:,}",
            "-" if row["packs"] is None else f"{row['packs']:,}",
            row["order_by"] or "-",
            str(row["days_late"] or "-"),
            "-" if row["need_days"] is None else f"{row['need_days']:g}",
            "-" if row["at_risk"] is None else f"{row['at_risk']:,}",
            _words(row),
        ]
        for row in found
    ]
    _table(["item", "units", "packs", "order_by", "late", "need_days", "at_risk", "reason"], rows)


@plan_app.command("redistribute")
def redistribute(
    scope: Scope = None,
    item: Item = None,
    transit_days: TransitDays = 1,
    everything: Everything = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Who gives what to whom, with the days of the taker before and after."""
    asked = {"item": item, "transit_days": transit_days}
    found = _ask("redistribution", scope, asked, everything=everything, as_json=as_json)
    if found is None:
        return
    rows = []
    for plan in found:
        days = {part["place"]: part for part in plan["places"]}
        for line in plan["lines"]:
            taker = days[line["to"]]
            change = f"{taker['days_before']:g} → {taker['days_after']:g}"
            named = [line[name] for name in ("item", "from", "to", "source", "target", "lot_number")]
            rows.append([*named, line["expires_on"] or "-", f"{line['units']:,}", change, _words(line)])
        if not plan["lines"]:
            rows.append([plan["item"], *["-"] * 6, "0", "-", _words(plan)])
    head = ["item", "from", "to", "source", "target", "lot", "expires_on", "units", "days", "reason"]
    _table(head, rows)


@plan_app.command("rotate")
def rotate(
    scope: Scope = None,
    item: Item = None,
    transit_days: TransitDays = 1,
    floor_percent: Annotated[
        int, typer.Option("--floor-percent", min=0, max=100, help="Share of the plan that must stay.")
    ] = 70,
    within_days: Annotated[
        int, typer.Option("--within-days", min=1, max=3660, help="Lots that expire within so many days.")
    ] = 365,
    everything: Everything = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Lots that would expire unused: to which hospital by which day, and what must be replaced first."""
    asked = {"item": item, "transit_days": transit_days, "floor_percent": floor_percent, "within_days": within_days}
    found = _ask("rotation", scope, asked, everything=everything, as_json=as_json)
    if found is None:
        return
    rows = []
    for plan in found:
        for lot in plan["lots"]:
            named = [plan["item"], lot["location"], lot["lot_number"], lot["expires_on"]]
            rows.append([*named, f"{lot['waste']:,}", f"{lot['owed']:,}", "-", "-", "-", _words(lot)])
            of_lot = (lot["location"], lot["lot_number"])
            for line in plan["lines"]:
                if (line["source"], line["lot_number"]) == of_lot:
                    send = [line["target"], f"{line['units']:,}", line["send_by"], _words(line)]
                    rows.append([*named, "", "", *send])
        if plan["words"] is not None:
            rows.append([plan["item"], *["-"] * 8, _words(plan)])
    head = ["item", "source", "lot", "expires_on", "waste", "owed", "target", "units", "send_by", "reason"]
    _table(head, rows)


def _ask(
    kind: str, scope: str | None, asked: dict[str, Any], *, everything: bool, as_json: bool
) -> list[dict[str, Any]] | None:
    """The plans of all items, page after page; None where the answer was printed, or refused, as it is."""
    from api.cli import _call, _desk, _print_answer
    from api.tables import the_scope
    from reserve import database

    desk = _desk()
    with database.reading(desk.engine) as session:
        code = the_scope(session, scope).code
    database.close(desk.engine)
    query = {"scope": code, "all": str(everything).lower(), **{k: v for k, v in asked.items() if v is not None}}
    found: list[dict[str, Any]] = []
    while True:
        answered = _call("GET", f"plans/{kind}?{urlencode(query)}", None, None)
        if answered.refused:
            _print_answer(answered, None)
        told = json.loads(answered.body)
        found += told["items"]
        if told["next_cursor"] is None:
            break
        query["cursor"] = told["next_cursor"]
    if as_json:
        typer.echo(json.dumps({**told, "items": found}, ensure_ascii=False, indent=1))
        return None
    if not found:
        typer.echo("没有需要做的 nothing to do", err=True)
    return found


def _words(row: dict[str, Any]) -> str:
    return "-" if row["words"] is None else f"{row['words']['zh']} {row['words']['en']}"


def _table(head: list[str], rows: list[list[str]]) -> None:
    """A table in Chinese on a terminal; tab-separated with the names of the API when piped."""
    from rich.console import Console
    from rich.table import Table

    from api import tables

    if not sys.stdout.isatty():
        tables.print_rows(head, rows)
        return
    table = Table(header_style="bold", pad_edge=False, box=None)
    for name in head:
        wide = name == REASON
        table.add_column(
            HEADS[name],
            justify="right" if name in {"units", "packs", "need_days", "at_risk", "waste", "owed"} else "left",
            no_wrap=name in {"item", "units", "order_by", "send_by", "expires_on"},
            overflow="fold",
            ratio=1 if wide else None,
        )
    for row in rows:
        table.add_row(*row)
    Console().print(table)
