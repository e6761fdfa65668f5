"""The server killed in the middle of its work: what was answered 201 is there, what was not is whole or absent."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import httpx
import pytest
from served import Served, issue, receipt
from sqlalchemy import Engine, text

from reserve import database, verify

KILLS = int(os.environ.get("CRASH_KILLS", "4"))


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(database_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    environment = os.environ | {"RESERVE_DATABASE_URL": database_url, "RESERVE_BEAT_SECONDS": "0.2"}
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "serve", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield process, address
    finally:
        process.kill()
        process.wait()


def write_until(stopped: Event, address: str, secret: str, acknowledged: dict[str, str]) -> None:
    """One clerk: receipts of two lines and issues, each with its own key; writes down what was answered."""
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(trust_env=False, timeout=5, headers=headers) as client:
        while not stopped.is_set():
            body = receipt(2)
            body["lines"].append(body["lines"][0] | {"lot_number": "B"})
            for path, sent in (("/v1/receipts", body), ("/v1/issues", issue(1))):
                key = uuid.uuid4().hex
                try:
                    answer = client.post(address + path, json=sent, headers={"Idempotency-Key": key})
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged[key] = answer.json()["document"]


@pytest.mark.usefixtures("city")
def test_p01_p02_p04_a_server_killed_while_recording_loses_nothing_it_answered(
    engine: Engine, database_url: str
) -> None:
    served = Served(engine)
    secret = served.key("clerk")
    acknowledged: dict[str, str] = {}
    for round_ in range(KILLS):
        with server(database_url) as (process, address):
            stopped = Event()
            clerks = [Thread(target=write_until, args=(stopped, address, secret, acknowledged)) for _ in range(4)]
            for clerk in clerks:
                clerk.start()
            time.sleep(0.4 + 0.17 * round_)
            process.send_signal(signal.SIGKILL)
            stopped.set()
            for clerk in clerks:
                clerk.join()
    assert len(acknowledged) > 10
    with database.reading(engine) as session:
        kept = {row.number for row in session.connection().execute(text("SELECT number FROM document"))}
        lines = session.connection().execute(
            text(
                "SELECT d.number, count(*) AS lines FROM document d JOIN movement m ON m.document_id = d.id"
                " GROUP BY d.number"
            )
        )
        counted = {row.number: row.lines for row in lines}
        findings = verify.verify(session)
    assert set(acknowledged.values()) <= kept
    assert all(counted[number] == 2 for number in kept if number.startswith("RC-"))
    assert findings == []
    # a terminal that never heard the answer sends again: the same document, and nothing doubled
    with server(database_url) as (_process, address), httpx.Client(trust_env=False) as client:
        for key, document in list(acknowledged.items())[-5:]:
            body = receipt(2)
            body["lines"].append(body["lines"][0] | {"lot_number": "B"})
            sent = body if document.startswith("RC") else issue(1)
            path = "/v1/receipts" if document.startswith("RC") else "/v1/issues"
            headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
            again = client.post(address + path, json=sent, headers=headers)
            assert again.json()["document"] == document
            assert again.headers["idempotent-replayed"] == "true"
