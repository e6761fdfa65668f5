"""`reserve demo`: from an empty folder to a city watched, with the alerts delivered to a receiver of its own."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlmodel import Session

from api import console, tables
from api.desk import Desk
from api.settings import Settings
from api.worker import assess_due, deliver_due
from reserve import access, alerts, database
from reserve.access import Operator
from reserve.model import Role
from seeds import load
from seeds.places import CITY
from seeds.scenarios import SCENARIOS

DATABASE = Path("var/demo.db")
KEY_NAME = "demo"
RECEIVER = "演示值班台 demo duty desk"
SECRET = "whsec_ZGVtb25zdHJhdGlvbi1vbmx5LW5vdC1hLXNlY3JldA=="  # noqa: S105 - printed for anybody to check signatures


class _DutyDesk(BaseHTTPRequestHandler):
    """A receiver that keeps what it was told."""

    told: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.told.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """The desk says nothing on the terminal; the demo does."""


def run(settings: Settings, *, seed: int, port: int, serve: bool) -> None:
    """Load, assess, deliver, print, serve. A second run finds everything done and is quick."""
    console = Console(width=None if os.isatty(1) else 160)
    started = time.monotonic()
    if serve:
        _require_port(port)
    desk_server = ThreadingHTTPServer(("127.0.0.1", 0), _DutyDesk)
    threading.Thread(target=desk_server.serve_forever, daemon=True).start()
    settings = replace(settings, database_url=f"sqlite:///{DATABASE}", receiver_allow="127.0.0.1")
    engine = database.connect(settings.database_url)
    desk = Desk(engine, settings, lambda: datetime.now(UTC))
    with _bar(console) as bar:
        _load(desk, seed, bar)
        _receiver(desk, desk_server.server_address[1])
        task = bar.add_task("评估 assessing", total=None)
        assess_due(desk, "demo", lambda done, of: bar.update(task, completed=done, total=of))
        _scenarios(desk)
        bar.update(task, completed=1, total=1)
        task = bar.add_task("送达预警 delivering alerts", total=None)
        delivered, failed = deliver_due(desk)
        bar.update(task, completed=1, total=1)
    tables.print_coverage(tables.coverage_rows(desk, CITY, None, None), console)
    for told in _DutyDesk.told:
        console.print(f"[dim]→ {RECEIVER}[/dim] {told['text']}")
    console.print(
        f"{delivered} 条预警已送达 alerts delivered, {failed} 条失败 failed"
        f" · {time.monotonic() - started:.1f} s · {DATABASE}"
    )
    if serve:
        _serve(desk, console, port)
    _retire(desk)
    desk_server.shutdown()
    database.close(engine)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True) if os.isatty(2) else console,
        transient=not os.isatty(2),
        disable=not os.isatty(2),
    )


def _load(desk: Desk, seed: int, bar: Progress) -> None:
    database.migrate(desk.engine)
    now = desk.clock()
    with database.reading(desk.engine) as session:
        there, last = load.is_loaded(session), load.last_reported(session)
    if not there:
        _require_space()
        task = bar.add_task("装入演示城市 loading the city", total=None)
        database.transact(
            desk.engine,
            lambda session: load.load(
                session,
                seed=seed,
                now=now,
                zone=desk.zone,
                progress=lambda done, of: bar.update(task, completed=done, total=of),
            ),
        )
    elif last is not None:
        database.transact(
            desk.engine, lambda session: load.extend(session, seed=seed, last_day=last, now=now, zone=desk.zone)
        )


def _scenarios(desk: Desk) -> None:
    """State the two outbreaks as anybody would; their keys keep a second run from stating them again."""
    for stated in SCENARIOS:
        operator = Operator("demo", CITY)
        body = json.dumps(stated, ensure_ascii=False).encode()
        answered = console.call(desk, "POST", "scenarios", operator, body, f"demo-{stated['code']}")
        if answered.refused:
            raise SystemExit(answered.body.decode())


def _require_port(port: int) -> None:
    """Said before the work, not after it."""
    try:
        ThreadingHTTPServer(("127.0.0.1", port), _DutyDesk).server_close()
    except OSError as error:
        raise SystemExit(
            f"Port {port} cannot be used ({error.strerror}): try `make demo PORT={port + 80}`, "
            "or `make demo SERVE=no` for the table alone."
        ) from None


def _require_space() -> None:
    free = shutil.disk_usage(DATABASE.parent).free
    if free < 300 << 20:
        raise SystemExit(f"The demonstration needs 300 MB in {DATABASE.parent}; {free >> 20} MB are free.")


def _receiver(desk: Desk, port: int) -> None:
    """The desk listens at a new port each time."""
    _retire(desk)
    new = alerts.NewReceiver(RECEIVER, f"http://127.0.0.1:{port}/alerts", CITY, SECRET)
    database.transact(desk.engine, lambda session: alerts.add_receiver(session, new, desk.clock()))


def _retire(desk: Desk) -> None:
    """The desk ends with the demonstration; whatever opens the file later must not wait for it."""
    with database.writing(desk.engine) as session:
        for old in alerts.active_receivers(session):
            if old.name == RECEIVER:
                alerts.retire_receiver(session, old.id, desk.clock())


def _serve(desk: Desk, console: Console, port: int) -> None:
    import uvicorn

    from api.app import create_app

    key = database.transact(desk.engine, lambda session: _key(session, desk.clock()))
    console.print(f"\n页面 page  http://127.0.0.1:{port}/    (Ctrl+C 停止 stops)")
    console.print(
        f"API       curl -H 'Authorization: Bearer {key.secret}' http://127.0.0.1:{port}/v1/coverage?scope={CITY}"
    )
    uvicorn.run(create_app(desk.engine, desk.settings), host="127.0.0.1", port=port, log_level="warning")


def _key(session: Session, now: datetime) -> access.NewKey:
    """A manager's key of this run; those of earlier runs are revoked."""
    for old in access.keys(session):
        if old.name == KEY_NAME and old.revoked_at is None:
            access.revoke_key(session, old.id, now)
    return access.create_key(session, role=Role.MANAGER, location=CITY, name=KEY_NAME, expires_on=None, now=now)
