"""The real server beside an empty route of the same framework: a stored coverage row, a table, a receipt."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx

from bench.common import ZONE, about, now
from reserve import access, database
from reserve.model import Role
from seeds import load

REQUESTS = 300
EMPTY = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef empty() -> dict[str, str]:\n    return {}\n"
EMPTY += "@app.post('/')\ndef post(body: dict[str, object]) -> dict[str, str]:\n    return {}\n"


def main() -> None:
    about()
    with tempfile.TemporaryDirectory() as folder:
        secret = _prepare(Path(folder))
        (Path(folder) / "empty.py").write_text(EMPTY)
        ours = _start(folder, [sys.executable, "-m", "api.cli", "serve", "--port", "8431"])
        peer = _start(folder, [sys.executable, "-m", "uvicorn", "empty:app", "--port", "8432", "--log-level", "error"])
        try:
            _wait("http://127.0.0.1:8431/healthz")
            _wait("http://127.0.0.1:8432/")
            _compare(secret)
            status = Path(f"/proc/{ours.pid}/status").read_text().split("VmRSS:")[1].split("kB")[0]
            print(f"  resident memory of the server with the demonstration: {int(status) / 1024:.0f} MiB")
        finally:
            ours.kill()
            peer.kill()


def _prepare(folder: Path) -> str:
    engine = database.connect(f"sqlite:///{folder}/demo.db")
    database.migrate(engine)
    started = time.perf_counter()
    database.transact(
        engine, lambda session: load.load(session, seed=1, now=now(), zone=ZONE, progress=lambda _done, _of: None)
    )
    print(f"  demonstration city loaded in {time.perf_counter() - started:.1f} s")
    from api.desk import Desk
    from api.settings import Settings
    from api.worker import assess_due

    started = time.perf_counter()
    rows, _ = assess_due(Desk(engine, Settings(), now))
    print(f"  {rows} coverage rows assessed in {time.perf_counter() - started:.1f} s")
    made = database.transact(
        engine,
        lambda session: access.create_key(
            session, role=Role.ADMIN, location="371400", name="bench", expires_on=None, now=now()
        ),
    )
    database.close(engine)
    return made.secret


def _start(folder: str, command: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "RESERVE_DATABASE_URL": f"sqlite:///{folder}/demo.db",
        "PYTHONPATH": f"{Path(__file__).parents[1]}:{folder}",
    }
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


def _wait(address: str) -> None:
    for _ in range(400):
        try:
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.025)
    raise RuntimeError(f"{address} did not answer")


def _compare(secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    with (
        httpx.Client(base_url="http://127.0.0.1:8431", headers=headers, trust_env=False) as ours,
        httpx.Client(base_url="http://127.0.0.1:8432", trust_env=False) as peer,
    ):
        row, table = "/v1/coverage?scope=371400&item=N95", "/v1/coverage?scope=371400"
        etag = ours.get(row).headers["etag"]
        body = {"location": "371400-W1", "lines": [{"item": "N95", "lot_number": "BENCH", "quantity": 1}]}
        body["lines"][0]["expires_on"] = (now() + timedelta(days=900)).date().isoformat()

        def receipt() -> None:
            sent = ours.post("/v1/receipts", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
            assert sent.status_code == 201, sent.text

        def empty() -> None:
            assert peer.get("/").status_code == 200

        def empty_post() -> None:
            assert peer.post("/", json=body).status_code == 200

        cases: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
            ("one stored coverage row / empty GET", lambda: ours.get(row).raise_for_status(), empty),
            ("the same, unchanged (304) / empty GET", lambda: ours.get(row, headers={"If-None-Match": etag}), empty),
            ("the city's table, 50 rows / empty GET", lambda: ours.get(table).raise_for_status(), empty),
            ("one receipt, durable / empty POST", receipt, empty_post),
        ]
        for name, call, beside in cases:
            mine, theirs = _in_turns(call), _in_turns(beside)
            for _ in range(2):
                mine, theirs = mine + _in_turns(call), theirs + _in_turns(beside)
            a, b = statistics.median(mine), statistics.median(theirs)
            p99 = sorted(mine)[int(len(mine) * 0.99)] / sorted(theirs)[int(len(theirs) * 0.99)]
            print(f"  {name}: {a * 1000:.2f} / {b * 1000:.2f} ms = {a / b:.2f} (p99 ratio {p99:.2f})")


def _in_turns(call: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
