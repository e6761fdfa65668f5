"""One-line receipts by 1, 8 and 32 clients at once: ours and the same by the raw driver, with and without the counter.

Part of `bench ledger`. The counter is the row a kind and day that numbers without gaps come from: whoever has counted
holds it until COMMIT, so what it costs is seen by numbering from memory instead.
"""

import contextlib
import itertools
import json
import random
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import Engine, make_url, text
from sqlmodel import Session

from bench.common import ITEMS, PLACES, city_at, entry, now, postgres
from reserve import access, database, ledger, posting
from reserve.model import Role

SECONDS, ROUNDS, CLIENTS = 1.5, 3, (1, 8, 32)
EXPIRES = date(2028, 1, 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _engine("SQLite", f"sqlite:///{folder}/reserve.db", _RawSqlite)
    with postgres() as url:
        _engine("PostgreSQL", url, _RawPostgres)


def _engine(name: str, url: str, raw: type["_Raw"]) -> None:
    engine = city_at(url)
    runs = (_Ours(engine), raw(engine, url, counter=True), raw(engine, url, counter=False), _OursUncounted(engine))
    ours, counted, uncounted, ours_uncounted = runs
    print(f"{name}: documents of one line a second, with the counter / without:")
    for clients in CLIENTS:
        rates: list[list[float]] = [[], [], [], []]
        ours.latencies.clear()
        for _ in range(ROUNDS):
            for kept, run in zip(rates, runs, strict=True):
                with run.numbering():
                    kept.append(_rate(clients, run))
        a, b, c, d = (statistics.median(kept) for kept in rates)
        p50, p99 = (sorted(ours.latencies)[int(len(ours.latencies) * q)] * 1000 for q in (0.5, 0.99))
        print(
            f"  {clients:>2} clients: ours {a:5.0f} / {d:5.0f} = {a / d:.2f}, raw {b:5.0f} / {c:5.0f} = {b / c:.2f};"
            f" ours of raw {a / b:.2f} / {d / c:.2f}; ours p50 {p50:.1f}, p99 {p99:.1f} ms"
        )
    _assert_numbered(engine, ours.documents + counted.documents, uncounted.documents + ours_uncounted.documents)
    _over_http(name, engine, url)
    database.close(engine)


def _assert_numbered(engine: Engine, counted: int, uncounted: int) -> None:
    """All did the same work, and numbers that were counted have no gap."""
    with engine.connect() as connection:
        numbers = list(connection.execute(text("SELECT number FROM document WHERE number LIKE 'RC-%'")).scalars())
        movements = connection.execute(text("SELECT count(*) FROM movement")).scalar_one()
    assert len(numbers) == counted
    assert movements == counted + uncounted
    for _, group in itertools.groupby(sorted(numbers), key=lambda number: number[:11]):
        given = [int(number[12:]) for number in group]
        assert given == list(range(1, len(given) + 1))


def _rate(clients: int, run: Callable[[int, float], int]) -> float:
    """Documents a second of so many threads, all started together."""
    together, done = threading.Barrier(clients), [0] * clients

    def work(n: int) -> None:
        together.wait()
        done[n] = run(n, time.perf_counter() + SECONDS)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


class _Ours:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.documents = 0
        self.latencies: list[float] = []

    @contextlib.contextmanager
    def numbering(self) -> Iterator[None]:
        yield

    def __call__(self, n: int, deadline: float) -> int:
        chance, done = random.Random(n), 0  # noqa: S311 - a benchmark, no secret
        while (start := time.perf_counter()) < deadline:
            i, place = chance.randrange(ITEMS), f"W{chance.randrange(PLACES)}"
            line = ledger.ReceiptLine(f"L{i}", EXPIRES + timedelta(i), item=f"I{i}", quantity=5)
            told = entry()
            database.transact(
                self.engine,
                lambda session, told=told, place=place, line=line: ledger.receive(
                    session, told, location=place, lines=[line]
                ),
            )
            self.latencies.append(time.perf_counter() - start)
            done += 1
        self.documents += done
        return done


class _OursUncounted(_Ours):
    """The same with numbers from memory; the document's id still comes from the database."""

    @contextlib.contextmanager
    def numbering(self) -> Iterator[None]:
        kept = posting._numbered  # noqa: SLF001 - what is measured

        def from_memory(session: Session, _prefix: str, day: date, _given: str | None) -> tuple[str, int, int | None]:
            return kept(session, "RX", day, f"RX-{day:%Y%m%d}-{next(_Raw.uncounted):06d}")

        posting._numbered = from_memory  # noqa: SLF001
        try:
            yield
        finally:
            posting._numbered = kept  # noqa: SLF001


class _Raw:
    """The statements of a receipt by the driver alone: balance, queue, counter, document, movement, COMMIT."""

    uncounted = itertools.count(1)

    def __init__(self, engine: Engine, url: str, *, counter: bool) -> None:
        self.url, self.counter, self.documents = url, counter, 0
        _make_lots(engine)
        today = entry().today
        self.day, self.prefix = today.isoformat(), "RC" if counter else "RX"
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT code, id FROM location WHERE code LIKE 'W_' OR code LIKE 'W__'"))
            self.places = {row.code: row.id for row in rows if row.code[1:].isdigit()}
            rows = connection.execute(text("SELECT lot.id, item_id FROM lot ORDER BY lot.id"))
            self.lots = [(row.id, row.item_id) for row in rows]
            self.supplier = connection.execute(text("SELECT id FROM location WHERE code = 'SUPPLIER'")).scalar_one()

    @contextlib.contextmanager
    def numbering(self) -> Iterator[None]:
        yield

    def __call__(self, n: int, deadline: float) -> int:
        connection = self.connect()
        chance, done = random.Random(n), 0  # noqa: S311 - a benchmark, no secret
        while time.perf_counter() < deadline:
            lot, item = chance.choice(self.lots)
            self.document(connection, lot, item, self.places[f"W{chance.randrange(PLACES)}"])
            done += 1
        connection.close()
        self.documents += done
        return done

    def number(self, last: int) -> str:
        return f"{self.prefix}-{self.day.replace('-', '')}-{last:06d}"

    def connect(self) -> Any:  # noqa: ANN401 - either driver
        raise NotImplementedError

    def document(self, connection: Any, lot: int, item: int, place: int) -> None:  # noqa: ANN401 - either driver
        raise NotImplementedError


def _make_lots(engine: Engine) -> None:
    """The lots that receipts are of, where they are not there yet."""
    from sqlmodel import select

    from reserve.lots import WantedLot, find_or_make
    from reserve.model import Item

    with database.writing(engine) as session:
        ids = {item.code: item.id for item in session.exec(select(Item))}
        wanted = [WantedLot(ids[f"I{i}"], f"L{i}", None, EXPIRES + timedelta(i), "") for i in range(ITEMS)]
        find_or_make(session, wanted, entry())


class _RawSqlite(_Raw):
    gate = threading.Lock()

    def connect(self) -> sqlite3.Connection:
        path = make_url(self.url).database
        connection = sqlite3.connect(str(path), isolation_level=None, timeout=30)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def document(self, connection: sqlite3.Connection, lot: int, item: int, place: int) -> None:
        at = f"{now():%Y-%m-%d %H:%M:%S.%f}"
        with self.gate:
            execute = connection.execute
            execute("BEGIN IMMEDIATE")
            execute(
                "INSERT INTO balance (location_id, lot_id, on_hand) VALUES (?, ?, 5)"
                " ON CONFLICT (location_id, lot_id) DO UPDATE SET on_hand = on_hand + excluded.on_hand",
                (place, lot),
            )
            execute("INSERT INTO coveragedue (location_id, item_id, recorded_at) VALUES (?, ?, ?)", (place, item, at))
            if self.counter:
                found = execute(
                    "INSERT INTO counter (kind, day, first, last) VALUES ('RC', ?, 1, 1)"
                    " ON CONFLICT (kind, day) DO UPDATE SET last = counter.last + 1 RETURNING last",
                    (self.day,),
                )
                last = found.fetchone()[0]
            else:
                last = next(self.uncounted)
            found = execute(
                "INSERT INTO document (number, kind, location_id, occurred_at, recorded_at, actor)"
                " VALUES (?, 'receipt', ?, ?, ?, 'bench')",
                (self.number(last), place, at, at),
            )
            execute(
                "INSERT INTO movement (document_id, line, lot_id, source_id, target_id, quantity, occurred_at)"
                " VALUES (?, 1, ?, ?, ?, 5, ?)",
                (found.lastrowid, lot, self.supplier, place, at),
            )
            execute("COMMIT")


class _RawPostgres(_Raw):
    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url.replace("postgresql+psycopg://", "postgresql://"))

    def document(self, connection: psycopg.Connection[Any], lot: int, item: int, place: int) -> None:
        at, execute = now(), connection.execute
        execute(
            "INSERT INTO balance (location_id, lot_id, on_hand) VALUES (%s, %s, 5)"
            " ON CONFLICT (location_id, lot_id) DO UPDATE SET on_hand = balance.on_hand + excluded.on_hand",
            (place, lot),
        )
        execute("INSERT INTO coveragedue (location_id, item_id, recorded_at) VALUES (%s, %s, %s)", (place, item, at))
        if self.counter:
            found = execute(
                "INSERT INTO counter (kind, day, first, last) VALUES ('RC', %s, 1, 1)"
                " ON CONFLICT (kind, day) DO UPDATE SET last = counter.last + 1 RETURNING last",
                (self.day,),
            ).fetchone()
            last = found[0] if found else 0
        else:
            last = next(self.uncounted)
        made = execute(
            "INSERT INTO document (number, kind, location_id, occurred_at, recorded_at, actor)"
            " VALUES (%s, 'receipt', %s, %s, %s, 'bench') RETURNING id",
            (self.number(last), place, at, at),
        ).fetchone()
        execute(
            "INSERT INTO movement (document_id, line, lot_id, source_id, target_id, quantity, occurred_at)"
            " VALUES (%s, 1, %s, %s, %s, 5, %s)",
            (made[0] if made else 0, lot, self.supplier, place, at),
        )
        connection.commit()


# -- through HTTP -----------------------------------------------------------------------------------------------------


def _over_http(name: str, engine: Engine, url: str) -> None:
    """The real server beside an empty route of the same framework, asked by the same clients."""
    from bench import http

    secret = database.transact(
        engine,
        lambda session: access.create_key(
            session, role=Role.ADMIN, location="371400", name="bench", expires_on=None, now=now()
        ),
    ).secret
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.py").write_text(http.EMPTY)
        ours = _serve(folder, url, ["-m", "api.cli", "serve", "--port", "8441"])
        peer = _serve(folder, url, ["-m", "uvicorn", "empty:app", "--port", "8442", "--log-level", "error"])
        try:
            http._wait("http://127.0.0.1:8441/healthz")  # noqa: SLF001 - a benchmark's own
            http._wait("http://127.0.0.1:8442/")  # noqa: SLF001
            receipts, empty = (
                _Posts("http://127.0.0.1:8441/v1/receipts", secret),
                _Posts("http://127.0.0.1:8442/", secret),
            )
            print(f"{name} through HTTP, receipts a second (ours / an empty POST):")
            for clients in CLIENTS:
                rates: list[list[float]] = [[], []]
                for _ in range(ROUNDS):
                    for kept, run in zip(rates, (receipts, empty), strict=True):
                        kept.append(_rate(clients, run))
                a, b = (statistics.median(kept) for kept in rates)
                print(f"  {clients:>2} clients: {a:6.0f} / {b:6.0f} = {a / b:.2f}")
            print(f"  answers that were no 201: {receipts.refused}")
        finally:
            for process in (ours, peer):
                process.kill()
                process.wait()


def _serve(folder: str, url: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    import os
    import sys

    environment = os.environ | {
        "RESERVE_DATABASE_URL": url,
        "RESERVE_WORKER": "off",  # assessing is measured by itself
        "PYTHONPATH": f"{Path(__file__).parents[1]}:{folder}",
    }
    return subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, stderr=subprocess.DEVNULL)


class _Posts:
    """Receipts by a client that does as little as it can: the standard library's, one connection each."""

    keys = itertools.count()

    def __init__(self, address: str, secret: str) -> None:
        self.address, self.secret, self.refused = urlsplit(address), secret, 0

    def __call__(self, n: int, deadline: float) -> int:
        connection = HTTPConnection(str(self.address.hostname), self.address.port, timeout=30)
        chance, done = random.Random(n), 0  # noqa: S311 - a benchmark, no secret
        while time.perf_counter() < deadline:
            i = chance.randrange(ITEMS)
            line = {"item": f"I{i}", "lot_number": f"L{i}", "expires_on": str(EXPIRES + timedelta(i)), "quantity": 5}
            body = json.dumps({"location": f"W{chance.randrange(PLACES)}", "lines": [line]})
            headers = {
                "Authorization": f"Bearer {self.secret}",
                "Content-Type": "application/json",
                "Idempotency-Key": f"{n}-{next(self.keys)}-{time.time_ns()}",
            }
            connection.request("POST", self.address.path, body, headers)
            answer = connection.getresponse()
            answer.read()
            self.refused += answer.status not in {200, 201}
            done += answer.status in {200, 201}
        connection.close()
        return done
