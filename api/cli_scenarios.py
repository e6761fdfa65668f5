"""`reserve scenario`: state an outbreak from a file, run it again, list and compare, through the routes of HTTP."""

import json
import sys
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from api.console import Answered

scenario_app = typer.Typer(no_args_is_help=True, help="Outbreaks thought through (情景).")

HEADS = {
    "scenario": "情景",
    "name": "名称",
    "scope": "范围",
    "days": "天数",
    "norms": "定额",
    "beds": "在院峰值",
    "runs_out_first": "最先用尽",
    "item": "物资",
    "usable": "可用",
    "peak": "7日峰值",
    "total": "总需",
    "days_met": "够用天",
    "runs_out_on": "不足自",
    "unmet": "缺口",
    "rule": "制度天",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print what the API would answer.")]
AsWho = Annotated[str | None, typer.Option("--as", help="Who states it; default: your name on this machine.")]


@scenario_app.command("run")
def run(
    file: Annotated[
        Path, typer.Argument(help="The scenario as POST /v1/scenarios takes it.", exists=True, dir_okay=False)
    ],
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="A CSV of cases or of patients in bed a day; becomes cases.csv.", exists=True),
    ] = None,
    name: AsWho = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """State a scenario and print what it gives: what runs out first, use, days, warnings."""
    from api.bodies import strict_json
    from reserve.sheets import decode

    stated = strict_json(file.read_bytes())
    if cases is not None and isinstance(stated, dict):
        stated["cases"] = {"csv": decode(cases.read_bytes())[0]}
    _print(_call("POST", "scenarios", name, json.dumps(stated).encode()), as_json=as_json)


@scenario_app.command("again")
def again(code: str, name: AsWho = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Run a scenario again with today's stock; its earlier runs stay."""
    _print(_call("POST", f"scenarios/{code}/runs", name, b"{}"), as_json=as_json)


@scenario_app.command("show")
def show(
    code: str,
    number: Annotated[int | None, typer.Option("--run", min=1, help="Which run; default: the latest.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """What a scenario gave."""
    query = "" if number is None else f"?run={number}"
    _print(_call("GET", f"scenarios/{code}{query}", None), as_json=as_json)


@scenario_app.command("list")
def list_(as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """The scenarios there are, the newest first, and what runs out first in each."""
    found = _told(_call("GET", "scenarios?limit=100", None), as_json=as_json)
    if found is None:
        return
    rows = [
        [
            row["code"],
            row["name"],
            row["scope"],
            f"{row['starts_on']} +{row['days']}",
            row["norms"],
            f"{row['beds_peak']['patients']:,.0f}",
            _first_out(row["runs_out_first"]),
        ]
        for row in found["items"]
    ]
    _table(["scenario", "name", "scope", "days", "norms", "beds", "runs_out_first"], rows)


@scenario_app.command("compare")
def compare(
    codes: Annotated[list[str], typer.Argument(help="The codes of two to twenty scenarios.")],
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Scenarios side by side: days that the dated stock lasts under each, beside today's rule."""
    found = _told(_call("GET", f"scenarios/comparison?codes={','.join(codes)}", None), as_json=as_json)
    if found is None:
        return
    named = [told["code"] for told in found["scenarios"]]
    rows = []
    for item in found["items"]:
        today = item["today"]["days_of_coverage"]
        under = [item["under"][code] for code in named]
        cells = ["-" if one is None else f"{one['days_met']:g} ({one['runs_out_on'] or '-'})" for one in under]
        rows.append([item["item"], "-" if today is None else f"{today:g}", *cells])
    _table(["item", "rule", *named], rows)
    _warn(found["scenarios"][0]["warnings"][:1])


def _print(answered: "Answered", *, as_json: bool) -> None:
    """A scenario and its run, for a person."""
    found = _told(answered, as_json=as_json)
    if found is None:
        return
    result = found["result"]
    beds, cases = result["beds"]["peak"], result["cases"]
    _say(f"{found['code']} · {found['name']} · {found['scope']} · run {found['run']} of {result['as_of']}")
    if cases is not None:
        _say(f"cases {cases['total']:,.0f}, at most {cases['peak']['cases']:,.0f} on {cases['peak']['date']}")
    _say(f"in hospital at most {beds['patients']:,.0f} on {beds['date']}")
    ordered = sorted(result["items"], key=lambda row: (row["runs_out_on"] is None, row["days_met"], row["item"]))
    rows = [
        [
            row["item"],
            f"{row['usable']:,}",
            f"{ceil(row['seven_day_peak']):,}",
            f"{row['total']:,}",
            f"{row['days_met']:g}",
            row["runs_out_on"] or "-",
            f"{row['unmet']:,}",
            "-" if row["rule"]["days_of_coverage"] is None else f"{row['rule']['days_of_coverage']:g}",
        ]
        for row in ordered
    ]
    _table(["item", "usable", "peak", "total", "days_met", "runs_out_on", "unmet", "rule"], rows)
    _warn(result["warnings"])


def _told(answered: "Answered", *, as_json: bool) -> Any:  # noqa: ANN401 - any JSON value
    """The answer to print as a table; None where it was printed or refused as it is."""
    from api.cli import _print_answer

    if answered.refused or as_json:
        _print_answer(answered, None)
        return None
    return json.loads(answered.body)


def _call(method: str, path: str, name: str | None, body: bytes = b"") -> "Answered":
    from api.cli import _call as through_the_routes

    return through_the_routes(method, path, name, None, body)


def _table(head: list[str], rows: list[list[str]]) -> None:
    """A table in Chinese on a terminal; tab-separated with the names of the API when piped."""
    from rich.console import Console
    from rich.table import Table

    from api import tables

    if not sys.stdout.isatty():
        tables.print_rows(head, rows)
        return
    table = Table(header_style="bold", pad_edge=False, box=None)
    for n, name in enumerate(head):
        whole = name in {"scenario", "item", "runs_out_on"}  # a day is not broken over two lines
        table.add_column(HEADS.get(name, name), justify="left" if n == 0 else "right", no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _first_out(found: list[dict[str, Any]]) -> str:
    return f"{found[0]['item']} {found[0]['runs_out_on']}" if found else "-"


def _warn(warnings: list[dict[str, str]]) -> None:
    for warning in warnings:
        _say(f"! {warning['zh']}")
        _say(f"  {warning['en']}")


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
