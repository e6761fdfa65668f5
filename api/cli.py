"""The `reserve` command. Data on stdout, talk on stderr; 0 done, 1 refused or found wrong, 2 usage, 70 a bug of ours.

Libraries are imported by the command that needs them: `reserve --help` must answer at once.
"""

import json
import os
import sys
import traceback
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli_backtest import backtest
from api.cli_forecast import forecast
from api.cli_plans import plan_app
from api.cli_scenarios import scenario_app
from api.settings import Settings, SettingsError, explained, read_settings

if TYPE_CHECKING:
    from sqlmodel import Session

    from api.console import Answered
    from api.desk import Desk

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="储备监测 · the reserve monitor: what lies where, how many days it covers at peak use, and who was told.",
)
key_app = typer.Typer(no_args_is_help=True, help="API keys.")
receiver_app = typer.Typer(no_args_is_help=True, help="Who is told of alerts.")
app.add_typer(key_app, name="key")
app.add_typer(receiver_app, name="receiver")
app.add_typer(scenario_app, name="scenario")
app.add_typer(plan_app, name="plan")

At = Annotated[str | None, typer.Option("--at", help="The location whose subtree is yours; default: the top.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the API would answer.")]
Scope = Annotated[str | None, typer.Option("--scope", help="A location with everything below it; default: the top.")]


def main() -> None:
    """Run the command; a refusal is one sentence and exit 1."""
    from reserve.errors import Refusal

    try:
        app()
    except Refusal as refusal:
        _say(f"{refusal.detail} ({refusal.code})")
        for fault in refusal.faults[1:]:
            _say(f"  {fault.pointer}: {fault.detail} ({fault.code})")
        sys.exit(1)
    except SettingsError as error:
        _say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - whatever is left is ours to mend: all of it is shown, the exit code says so
        traceback.print_exc()
        _say("This is a fault of ours, nothing was recorded. Please report the lines above.")
        sys.exit(70)


# -- running ----------------------------------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; beyond one, use PostgreSQL.")] = 1,
) -> None:
    """The API, the pages and, unless RESERVE_WORKER=off, the worker."""
    import uvicorn

    from reserve import database

    database.close(_desk().engine)  # each process opens its own
    _say(f"http://{host}:{port}")
    uvicorn.run(
        "api.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        timeout_graceful_shutdown=10,
        server_header=False,
    )


@app.command()
def watch(once: Annotated[bool, typer.Option("--once", help="One beat, then stop.")] = False) -> None:  # noqa: FBT002 - a flag
    """The worker alone: assess what is due, raise what is news, deliver what waits."""
    import signal
    import threading

    from api.worker import Worker, beat
    from reserve import database

    desk = _desk()
    if once:
        done = beat(desk, "watch-once")
        _say(
            f"{done.rows} rows assessed, {done.alerts} alerts raised, {done.delivered} delivered, {done.failed} failed"
        )
        database.close(desk.engine)
        return
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    worker = Worker(desk)
    worker.start()
    stopped.wait()
    worker.stop()
    database.close(desk.engine)


@app.command()
def migrate() -> None:
    """Bring the database to this version; safe to run again."""
    from reserve import database

    desk = _desk(migrated=False)
    before = database.schema(desk.engine)
    database.migrate(desk.engine)
    _say("the database is current" if before == "current" else f"the database was {before} and is current now")
    database.close(desk.engine)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="The one number that the city is made from.")] = 1,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the table.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """The demonstration city on its own database file: loaded, assessed, alerts delivered, table, page."""
    from api.demo import run

    run(_settings(), seed=seed, port=port, serve=not no_serve)


# -- asking -----------------------------------------------------------------------------------------------------------


@app.command()
def coverage(
    scope: Scope = None,
    item: Annotated[str | None, typer.Option("--item", help="One item.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="A past day, YYYY-MM-DD: computed again.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """The coverage table: the worst first, each with its reason."""
    from api import tables

    day = _day(as_of)
    rows = tables.coverage_rows(_desk(), scope, item, day)
    if as_json:
        typer.echo(json.dumps({"items": rows, "next_cursor": None}, ensure_ascii=False, indent=1))
    else:
        tables.print_coverage(rows)


@app.command()
def explain(item: str, scope: Scope = None) -> None:
    """Why so many days: every number that went in, enough to redo it by hand."""
    from api import tables

    tables.print_explanation(_desk(), scope, item)


@app.command()
def stock(scope: Scope = None, item: Annotated[str | None, typer.Option("--item")] = None) -> None:
    """What lies where, lot by lot."""
    from api import tables

    tables.print_stock(_desk(), scope, item)


@app.command()
def alerts(scope: Scope = None, limit: Annotated[int, typer.Option(min=1, max=1000)] = 50) -> None:
    """Changes of level, newest first, and who was told."""
    from api import tables

    tables.print_alerts(_desk(), scope, limit)


app.command()(backtest)


app.command()(forecast)


@app.command()
def record(
    path: Annotated[str, typer.Argument(help="receipts, issues, transfers, counts/CT-.../lines ...: see docs")],
    file: Annotated[
        Path | None,
        typer.Argument(help="The JSON body; default: standard input.", exists=True, dir_okay=False, readable=True),
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="Who records; default: your name on this machine.")] = None,
    at: At = None,
    key: Annotated[str | None, typer.Option("--key", help="An Idempotency-Key: sent again, nothing doubles.")] = None,
    method: Annotated[str, typer.Option("--method", help="POST, PUT, PATCH or DELETE")] = "POST",
) -> None:
    """Record what POST /v1/PATH records, from a JSON file; prints the document."""
    body = b"" if method == "DELETE" and file is None else file.read_bytes() if file else sys.stdin.buffer.read()
    _print_answer(_call(method, path, name, at, body, key), None)


@app.command()
def ask(
    path: Annotated[str, typer.Argument(help="What follows GET /v1/, with its query: 'stock?item=N95&format=csv'")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the answer to a file.")] = None,
    at: At = None,
) -> None:
    """Print what GET /v1/PATH answers: stock cards, recall traces, documents, sheets, labels."""
    _print_answer(_call("GET", path, None, at), output)


@app.command()
def scan(
    data: Annotated[str, typer.Argument(help="What the scanner sent; {GS} for its group separator.")],
    location: Annotated[str | None, typer.Option("--location", help="Where you stand; default: the top.")] = None,
) -> None:
    """What a code says: item, pack, lot, expiry, and what lies of it here."""
    body = {"data": data} | ({"location": location} if location else {})
    _print_answer(_call("POST", "scan", None, None, json.dumps(body).encode()), None)


# -- sheets -----------------------------------------------------------------------------------------------------------


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="items, locations, movements or consumption")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, record nothing.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """A CSV sheet in, all rows or none; every bad cell is named by row and column."""
    from api import sheets

    sys.exit(sheets.import_file(_desk(), kind, file, dry_run=dry_run))


@app.command()
def export(
    kind: Annotated[str, typer.Argument(help="coverage, stock or movements")],
    scope: Scope = None,
    form: Annotated[str, typer.Option("--format", help="csv")] = "csv",
) -> None:
    """Rows out as a sheet, on stdout: CSV that a spreadsheet opens in Chinese and that runs no formula."""
    from api import sheets

    if form != "csv":
        raise typer.BadParameter(f"{form} is not written by this installation; use csv")
    sys.stdout.buffer.write(sheets.exported(_desk(), kind, scope))


@app.command()
def verify(
    anchor: Annotated[
        list[str] | None, typer.Option("--anchor", help="A seal as it was written down, NUMBER:DIGEST; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Facts and findings as JSON.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Every invariant of the books; exit 1 and one line a finding."""
    from reserve import database, seals
    from reserve import verify as books

    anchors = anchor or []
    for written in anchors:
        seals.parse_anchor(written)
    desk = _desk()
    with database.reading(desk.engine) as session:
        facts = books.facts(session)
    with database.reading(desk.engine) as session:
        books.snapshot(session)
        findings = books.verify(session, key=desk.settings.sealing_key, anchors=anchors)
    database.close(desk.engine)
    if as_json:
        typer.echo(json.dumps({"facts": facts, "findings": [f._asdict() for f in findings]}, ensure_ascii=False))
    else:
        for name, value in facts.items():
            _say(f"{name}: {value}")
        for finding in findings:
            typer.echo(f"{finding.code}\t{finding.sentence}")
        _say("the books are whole" if not findings else f"findings: {len(findings)}")
    sys.exit(1 if findings else 0)


@app.command()
def seals() -> None:
    """The newest seal as NUMBER:DIGEST: keep it where the database's owner cannot reach."""
    from reserve import database
    from reserve import seals as chain

    desk = _desk()
    with database.reading(desk.engine) as session:
        newest, waiting = chain.last(session), chain.waiting(session)
    database.close(desk.engine)
    if newest is not None:
        typer.echo(str(newest))
        _say(f"sealed at {newest.sealed_at:%Y-%m-%d %H:%M:%S} UTC; {waiting.rows} rows wait for the next")
        return
    _say(f"nothing is sealed yet; {waiting.rows} rows wait for a worker")
    sys.exit(1)


# -- keys, receivers, settings ----------------------------------------------------------------------------------------


@key_app.command("create")
def key_create(
    role: Annotated[str, typer.Option(help="viewer, reporter, clerk, manager or admin")],
    location: Annotated[str, typer.Option(help="The location whose subtree the key reaches.")],
    name: Annotated[str, typer.Option(help="Whose key it is; written into every document.")] = "",
    expires: Annotated[str | None, typer.Option(help="Last day it works, YYYY-MM-DD.")] = None,
) -> None:
    """Make a key and print it once, alone on stdout."""
    from reserve import access, database
    from reserve.model import Role

    if role not in set(Role):
        raise typer.BadParameter(f"{role} is not a role; use one of {', '.join(Role)}")
    desk = _desk()
    made = database.transact(
        desk.engine,
        lambda session: access.create_key(
            session,
            role=Role(role),
            location=location,
            name=name or f"{role} {location}",
            expires_on=_day(expires),
            now=desk.clock(),
        ),
    )
    typer.echo(made.secret)
    _say(f"key {made.id}: shown this once; keep it where only its owner reads it")


@key_app.command("list")
def key_list() -> None:
    """Keys with their role, place and state; secrets are not kept."""
    from api import tables
    from reserve import access, database

    with database.reading(_desk().engine) as session:
        rows = access.keys(session)
    tables.print_rows(
        ["id", "prefix", "name", "role", "location", "created", "expires", "revoked"],
        [
            [r.id, r.prefix, r.name, r.role, r.location, r.created_at.date(), r.expires_on or "", r.revoked_at or ""]
            for r in rows
        ],
    )


@key_app.command("revoke")
def key_revoke(key_id: int) -> None:
    """From the next request on, the key is nobody's."""
    from reserve import access, database

    desk = _desk()
    database.transact(desk.engine, lambda session: access.revoke_key(session, key_id, desk.clock()))
    _say(f"key {key_id} is revoked")


@receiver_app.command("add")
def receiver_add(
    name: Annotated[str, typer.Option()],
    url: Annotated[str, typer.Option(help="https://host/path, or an inside address that RESERVE_RECEIVER_ALLOW names")],
    scope: Annotated[str, typer.Option(help="Alerts at and below this location.")],
    secret: Annotated[str | None, typer.Option(help="Signs what is sent (Standard Webhooks).")] = None,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    levels: Annotated[str, typer.Option(help="Comma-separated; default: every level.")] = "",
) -> None:
    """Tell somebody: a webhook that gets every alert of a scope."""
    from api import notify
    from api.alerts import write_receiver
    from reserve import access, alerts, database
    from reserve.model import Level

    if language not in {"zh", "en"}:
        raise typer.BadParameter(f"{language} is not offered; use zh or en")
    desk = _desk()
    try:
        notify.judge_address(url, desk.settings)
    except notify.AddressRefused as refused:
        raise typer.BadParameter(str(refused)) from None
    asked = [word.strip() for word in levels.split(",") if word.strip()] or list(Level)
    if set(asked) - set(Level):
        raise typer.BadParameter(f"levels are {', '.join(Level)}")
    new = alerts.NewReceiver(name=name, url=url, scope=scope, secret=secret, language=language, levels=asked)

    def work(session: "Session") -> alerts.ReceiverRow:
        now = desk.clock()
        made = alerts.add_receiver(session, new, now)
        write_receiver(session, access.COMMAND_LINE, now, "receiver.made", made)
        return made

    made = database.transact(desk.engine, work)
    _say(f"receiver {made.id} is told of alerts at and below {scope}")


@receiver_app.command("list")
def receiver_list() -> None:
    """Who is told."""
    from api import tables
    from reserve import alerts, database

    with database.reading(_desk().engine) as session:
        rows = alerts.active_receivers(session)
    tables.print_rows(
        ["id", "name", "kind", "url", "scope", "language"],
        [[r.id, r.name, r.kind, r.url, r.scope, r.language] for r in rows],
    )


@receiver_app.command("retire")
def receiver_retire(receiver_id: int) -> None:
    """Tell it nothing more; its history stays."""
    from api.alerts import write_receiver
    from reserve import access, alerts, database

    desk = _desk()

    def work(session: "Session") -> None:
        now = desk.clock()
        for row in alerts.active_receivers(session):
            if row.id == receiver_id:
                write_receiver(session, access.COMMAND_LINE, now, "receiver.retired", row)
        alerts.retire_receiver(session, receiver_id, now)

    database.transact(desk.engine, work)
    _say(f"receiver {receiver_id} is told nothing more")


@receiver_app.command("test")
def receiver_test(receiver_id: int) -> None:
    """Send a test and print the receiver's own answer."""
    from api import notify
    from reserve import alerts, database

    desk = _desk()
    with database.reading(desk.engine) as session:
        row = next((r for r in alerts.active_receivers(session) if r.id == receiver_id), None)
    if row is None:
        raise typer.BadParameter(f"there is no receiver {receiver_id}")
    outcome = notify.send_test(row, now=desk.clock(), settings=desk.settings)
    _say("delivered" if outcome.delivered else f"not delivered: {outcome.error}")
    sys.exit(0 if outcome.delivered else 1)


@app.command()
def settings(as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Every setting, its value now, and what it is for."""
    rows = explained(_settings())
    if as_json:
        typer.echo(json.dumps({name: value for name, value, _ in rows}))
        return
    for name, value, words in rows:
        typer.echo(f"{name}={value}")
        typer.echo(f"    {words}")


# -- shared -----------------------------------------------------------------------------------------------------------


def _settings() -> Settings:
    return read_settings(os.environ)


def _desk(*, migrated: bool = True) -> "Desk":
    """The database that the settings name; refused in a sentence where it is of another version."""
    from api.desk import Desk
    from reserve import database

    configured = _settings()
    try:
        engine = database.connect(configured.database_url)
    except ValueError as error:
        raise SettingsError(f"RESERVE_DATABASE_URL: {error}") from None
    if migrated:
        database.require_current_schema(engine)
    return Desk(engine, configured, lambda: datetime.now(UTC))


def _call(
    method: str, path: str, name: str | None, at: str | None, body: bytes = b"", key: str | None = None
) -> "Answered":
    import getpass

    from api.console import call
    from reserve.access import Operator

    return call(_desk(), method.upper(), path, Operator(name or getpass.getuser(), at), body, key)


def _print_answer(answered: "Answered", output: Path | None) -> None:
    """The answer on stdout or into a file; a refusal in words on stderr, exit 1."""
    if answered.refused:
        problem = json.loads(answered.body)
        _say(f"{problem['detail']} ({problem['code']})")
        for fault in problem["errors"]:
            _say(f"  {fault['pointer']}: {fault['detail']} ({fault['code']})")
        sys.exit(1)
    if output is not None:
        output.write_bytes(answered.body)
    elif answered.headers.get("content-type", "").startswith("application/json"):
        typer.echo(json.dumps(json.loads(answered.body), ensure_ascii=False, indent=1))
    else:
        sys.stdout.buffer.write(answered.body)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a day; write YYYY-MM-DD") from None


def _say(sentence: Any) -> None:  # noqa: ANN401 - anything printable
    typer.echo(sentence, err=True)


if __name__ == "__main__":
    main()
