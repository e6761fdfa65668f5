"""Clerks who write down every answer, a server that is killed under them, and what must be true of the books then."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import IO, Any, NamedTuple

import httpx
from sqlalchemy import Engine, text
from sqlmodel import Session

from reserve import database, verify

STORE, HOSPITAL = "371400-W1", "371402-H1"

Process = subprocess.Popen[bytes]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(database_url: str) -> Iterator[tuple[Process, str]]:
    """A server process of our own, ready; killed when the block ends."""
    with servers(database_url, 1) as started:
        yield started[0]


@contextmanager
def servers(database_url: str, number: int) -> Iterator[list[tuple[Process, str]]]:
    """So many servers on one database, started together."""
    environment = os.environ | {"RESERVE_DATABASE_URL": database_url, "RESERVE_BEAT_SECONDS": "0.2"}
    started = []
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            said = stack.enter_context(tempfile.TemporaryFile())
            port = free_port()
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", "--port", str(port)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            stack.callback(_kill, process)
            started.append((process, f"http://127.0.0.1:{port}", said))
        for process, address, said in started:
            _wait(process, address, said)
        yield [(process, address) for process, address, _ in started]


def _kill(process: Process) -> None:
    process.kill()
    process.wait()


def _wait(process: Process, address: str, said: IO[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    said.seek(0)
    raise AssertionError(f"the server did not start (exit status {process.poll()}): {said.read().decode()[-2000:]}")


class Sent(NamedTuple):
    """A request: its path and the very bytes of its body."""

    path: str
    raw: bytes


class Heard(NamedTuple):
    """What was answered to it."""

    status: int
    body: bytes
    document: str
    told: dict[str, Any]


@dataclass
class Book:
    """What clerks sent and heard, by Idempotency-Key. `unheard` was sent and not answered when the server died."""

    sent: dict[str, Sent] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    unheard: set[str] = field(default_factory=set)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)

    def kinds(self) -> set[str]:
        return {heard.document[:2] for heard in self.heard.values()}


class Clerk(Thread):
    """Receives two lots, issues, sends to a hospital, takes half of that in and then the rest; until told to stop."""

    def __init__(self, secret: str, book: Book, *, lot: str, seed: int) -> None:
        super().__init__()
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self.book, self.lot = book, lot
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable test
        self.address = ""
        self.stopped = Event()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=20, base_url=self.address) as self.client:
            while not self.stopped.is_set():
                try:
                    self.work()
                except httpx.TransportError:
                    return

    def work(self) -> None:
        expires = "2036-01-31"
        lots = [self.lot, f"{self.lot}B"]
        lines = [{"item": "N95", "lot_number": lot, "expires_on": expires, "quantity": 30} for lot in lots]
        self.post("/v1/receipts", {"location": STORE, "lines": lines})
        taken = [{"item": "N95", "quantity": self.chance.randint(1, 3)}]
        self.post("/v1/issues", {"location": STORE, "purpose": "use", "lines": taken})
        moved = [{"item": "N95", "quantity": self.chance.randint(2, 9)}]
        sent = self.post("/v1/transfers", {"source": STORE, "target": HOSPITAL, "lines": moved})
        if sent is None or self.stopped.is_set():
            return
        path = f"/v1/transfers/{sent.document}/receipt"
        first = sent.told["movements"][0]
        if first["quantity"] > 1:
            some = {"item": "N95", "lot_number": first["lot_number"], "quantity": first["quantity"] // 2}
            self.post(path, {"lines": [some]})
        self.post(path, {})

    def post(self, path: str, body: dict[str, Any]) -> Heard | None:
        key, request = uuid.uuid4().hex, self.client.build_request("POST", path, json=body)
        self.book.sent[key] = Sent(path, request.content)
        self.book.unheard.add(key)
        heard = ask(self.client, self.headers, key, self.book.sent[key])
        self.book.unheard.discard(key)
        if heard.status == 201:
            self.book.heard[key] = heard
            return heard
        self.book.refused[heard.status, heard.told.get("code", "")] += 1
        if heard.status >= 500:
            time.sleep(0.05)
        return None


def ask(client: httpx.Client, headers: dict[str, str], key: str, sent: Sent) -> Heard:
    answer = client.post(sent.path, content=sent.raw, headers={**headers, "Idempotency-Key": key})
    told = answer.json()
    return Heard(answer.status_code, answer.content, told.get("document", ""), told)


def kill_while_recording(
    database_url: str, clerks: Sequence[Clerk], *, after: float, strike: Callable[[Process], None] | None = None
) -> None:
    """Let clerks get going, then record for so many seconds more; kill the server (or `strike`) and let them go home.

    They have got going when each has heard five answers, which is once round its work.
    """
    book = clerks[0].book
    enough = len(book.heard) + 5 * len(clerks)
    with server(database_url) as (process, address):
        for clerk in clerks:
            clerk.address = address
            clerk.start()
        deadline = time.monotonic() + 20
        while len(book.heard) < enough and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(after)
        if strike is None:
            process.send_signal(signal.SIGKILL)
        else:
            strike(process)
        for clerk in clerks:
            clerk.stopped.set()
        for clerk in clerks:
            clerk.join(60)
            assert not clerk.is_alive()


def refuse_loss(engine: Engine, book: Book) -> int:
    """Every answered document is there whole, every document was asked for once, numbers have no gap.

    Answers how many documents there are. A refusal that a clerk heard was none of the server's mistakes.
    """
    assert {status for status, _ in book.refused} <= {409, 503}, book.refused
    with database.reading(engine) as session:
        verify.snapshot(session)
        kept = _kept(session)
        answers = {row.key: row.body for row in session.connection().execute(text("SELECT key, body FROM replay"))}
        for key, heard in book.heard.items():
            assert kept.get(heard.document) == [_line(movement) for movement in heard.told["movements"]], key
            assert answers[key].encode() == heard.body
        numbers: dict[str, list[int]] = defaultdict(list)
        for number in kept:
            numbers[number[:11]].append(int(number[12:]))
        # nothing doubled, nothing that nobody asked for: a document for each key that was taken, and no other
        assert set(answers) <= set(book.sent)
        assert len(kept) == len(answers)
        assert all(sorted(given) == list(range(1, len(given) + 1)) for given in numbers.values())
        findings = verify.verify(session)
    assert findings == []
    return len(kept)


def _kept(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    rows = session.connection().execute(
        text(
            "SELECT d.number, m.id, lot_number, s.code AS source, t.code AS target, quantity FROM document d"
            " LEFT JOIN movement m ON m.document_id = d.id LEFT JOIN lot ON lot.id = m.lot_id"
            " LEFT JOIN location s ON s.id = source_id LEFT JOIN location t ON t.id = target_id ORDER BY m.id"
        )
    )
    kept: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for number, *line in rows:
        kept[number].append(tuple(line))
    return kept


def _line(movement: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(movement[name] for name in ("id", "lot_number", "source", "target", "quantity"))


def send_again(database_url: str, secret: str, book: Book, *, last: int) -> int:
    """Repeat the last answered requests and all that were never answered, each twice.

    The answer is the old one, byte for byte; what was never answered is answered once and then the same for good.
    Answers how many of the unanswered had been recorded nevertheless.
    """
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    recorded = 0
    with server(database_url) as (_, address), httpx.Client(trust_env=False, base_url=address, timeout=20) as client:
        for key in list(book.heard)[-last:]:
            _ask_again(client, headers, key, book.sent[key], book.heard[key])
        for key in sorted(book.unheard):
            with database_of(database_url) as engine, engine.connect() as connection:
                found = connection.execute(text("SELECT 1 FROM replay WHERE key = :key"), {"key": key}).first()
            heard = ask(client, headers, key, book.sent[key])
            recorded += found is not None
            if heard.status == 201:
                _ask_again(client, headers, key, book.sent[key], heard)
                book.heard[key] = heard
            else:  # a transfer's goods that have all come by another request since
                assert (heard.status, found) == (409, None), heard
        book.unheard.clear()
    return recorded


def _ask_again(client: httpx.Client, headers: dict[str, str], key: str, sent: Sent, heard: Heard) -> None:
    again = client.post(sent.path, content=sent.raw, headers={**headers, "Idempotency-Key": key})
    assert (again.status_code, again.content) == (heard.status, heard.body)
    assert again.headers["idempotent-replayed"] == "true"


@contextmanager
def database_of(url: str) -> Iterator[Engine]:
    engine = database.connect(url)
    try:
        yield engine
    finally:
        database.close(engine)
