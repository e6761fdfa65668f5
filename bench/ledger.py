"""Receipts through the ledger beside the same rows by the raw driver, both durable, both in the same schema."""

import random
import sqlite3
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from bench import clients
from bench.common import ITEMS, PLACES, about, city, entry, in_turns
from reserve import database, ledger

SECONDS = 1.5
ROUNDS = 3


def main() -> None:
    about()
    print("documents a second, fsync at every commit (ours / raw):")
    for lines in (1, 10, 100):
        with tempfile.TemporaryDirectory() as folder:
            ours, raw = _Ours(Path(folder) / "ours.db", lines), _Raw(Path(folder) / "raw.db", lines)
            rate = in_turns(ROUNDS, ours.run, raw.run)
            assert ours.lines_recorded() == ours.documents * lines
            assert raw.lines_recorded() == raw.documents * lines
            print(f"  {lines:>3} lines: {rate[0]:8.0f} / {rate[1]:8.0f} = {rate[0] / rate[1]:.2f}")
    clients.main()


class _Ours:
    def __init__(self, path: Path, lines: int) -> None:
        self.engine = city(path)
        self.lines, self.documents = lines, 0
        self.random = random.Random(1)  # noqa: S311 - a benchmark, no secret

    def run(self) -> float:
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            place = f"W{self.random.randrange(PLACES)}"
            items = self.random.sample(range(ITEMS), self.lines)
            asked = [
                ledger.ReceiptLine(f"L{i}", date(2028, 1, 1) + timedelta(i), item=f"I{i}", quantity=5) for i in items
            ]
            with database.writing(self.engine) as session:
                ledger.receive(session, entry(), location=place, lines=asked)
            done += 1
        self.documents += done
        return done / (time.perf_counter() - start)

    def lines_recorded(self) -> int:
        return _count(Path(str(self.engine.url.database)))


class _Raw:
    """BEGIN IMMEDIATE, the document, its movements, the balances, the queue, COMMIT: by the driver alone."""

    def __init__(self, path: Path, lines: int) -> None:
        database.close(city(path))
        self.path, self.lines, self.documents = path, lines, 0
        self.random = random.Random(1)  # noqa: S311 - a benchmark, no secret
        self.connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        self.places = dict(self.connection.execute("SELECT code, id FROM location"))
        items = dict(self.connection.execute("SELECT code, id FROM item"))
        self.lots = {}
        for i in range(ITEMS):
            found = self.connection.execute(
                "INSERT INTO lot (item_id, lot_number, expires_on) VALUES (?, ?, '2028-01-01') RETURNING id",
                (items[f"I{i}"], f"L{i}"),
            )
            self.lots[i] = (found.fetchone()[0], items[f"I{i}"])

    def run(self) -> float:
        done, start = 0, time.perf_counter()
        at = "2026-04-01 02:00:00.000000"
        while time.perf_counter() - start < SECONDS:
            place = self.places[f"W{self.random.randrange(PLACES)}"]
            lots = [self.lots[i] for i in self.random.sample(range(ITEMS), self.lines)]
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            self.documents += 1
            connection.execute(
                "INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)"
                " VALUES (?, ?, 'receipt', ?, ?, ?, 'bench')",
                (self.documents, f"RC-20260401-{self.documents:06d}", place, at, at),
            )
            connection.executemany(
                "INSERT INTO movement (document_id, line, lot_id, source_id, target_id, quantity, occurred_at)"
                " VALUES (?, ?, ?, 1, ?, 5, ?)",
                [(self.documents, n, lot, place, at) for n, (lot, _) in enumerate(lots)],
            )
            connection.executemany(
                "INSERT INTO balance (location_id, lot_id, on_hand) VALUES (?, ?, 5)"
                " ON CONFLICT (location_id, lot_id) DO UPDATE SET on_hand = on_hand + excluded.on_hand",
                [(place, lot) for lot, _ in lots],
            )
            connection.executemany(
                "INSERT INTO coveragedue (location_id, item_id, recorded_at) VALUES (?, ?, ?)",
                [(place, item, at) for _, item in lots],
            )
            connection.execute("COMMIT")
            done += 1
        return done / (time.perf_counter() - start)

    def lines_recorded(self) -> int:
        return _count(self.path)


def _count(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM movement").fetchone()[0])
