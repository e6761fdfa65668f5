"""Opens the database, and gives transactions: one writer at a time on SQLite, retried once lost on PostgreSQL.

SQLite: write-ahead log, full synchronous, foreign keys on, `BEGIN IMMEDIATE` for every write, behind a gate (a lock in
this process, then a lock file beside the database) that is held until COMMIT has returned. The gate lets writers queue
without sleeping, and it keeps checkpoints (which run inside COMMIT) from meeting another process's commit: the
write-ahead-log reset bug of SQLite 3.7.0 to 3.51.2 can corrupt the file there, and Python mostly runs an older SQLite.

PostgreSQL: READ COMMITTED, rows locked in one order, time limits on every wait.
"""

import contextlib
import fcntl
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from reserve.errors import Busy, DatabaseUnavailable, StorageFull, WrongSchema

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

GATE_SECONDS = 5.0
"""How long a writer waits for the gate before it is told to come again."""

RETRIES = 3
_LOST_RACE = {"40001", "40P01", "23505"}
"""PostgreSQL: serialisation failure, deadlock, a unique key that another transaction took first."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA mmap_size=0",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-8000",
)


class Gate:
    """One writer at a time over all threads and processes that share a SQLite file."""

    def __init__(self, database: str) -> None:
        self._file = Path(f"{database}.write-lock")
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        deadline = time.monotonic() + GATE_SECONDS
        if not self._lock.acquire(timeout=GATE_SECONDS):
            raise Busy("Another entry is being recorded; send the same request again in a second.")
        try:
            descriptor = self._open()
            try:
                self._wait_for_other_processes(descriptor, deadline)
                yield
            finally:
                os.close(descriptor)  # gives the lock back
        finally:
            self._lock.release()

    def _open(self) -> int:
        try:
            return os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(
                f"{self._file} cannot be opened ({error.strerror}); nothing was recorded. Make its folder writable."
            ) from error

    def _wait_for_other_processes(self, descriptor: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Busy(
                        "Another program is writing to the database; send the same request again in a second."
                    ) from None
                time.sleep(0.002)
            else:
                return


_gates: WeakKeyDictionary[Engine, Gate] = WeakKeyDictionary()


def connect(url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql+psycopg://...`; opens nothing yet.

    Raises
    ------
    ValueError
        another kind of database, or SQLite in memory, whose books would end with the process.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _connect_sqlite(url, address.database)
    if address.drivername == "postgresql+psycopg":
        return create_engine(
            url,
            isolation_level="READ COMMITTED",
            pool_size=20,
            max_overflow=20,
            pool_pre_ping=True,
            pool_timeout=GATE_SECONDS,
            connect_args={
                "connect_timeout": 5,
                "options": "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=30s"
                " -c idle_in_transaction_session_timeout=60s",
            },
        )
    raise ValueError(
        f"{address.drivername} is not supported: use sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
    )


def _connect_sqlite(url: str, database: str | None) -> Engine:
    if not database or database == ":memory:":
        raise ValueError("SQLite needs a file: use sqlite:///var/reserve.db")
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    refuse_network_file_system(Path(database))
    # No overflow: a connection closed last would checkpoint outside the gate.
    engine = create_engine(url, pool_size=16, max_overflow=0, pool_timeout=GATE_SECONDS)
    _gates[engine] = Gate(database)

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - narrows the type for the next line
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("reserve_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


_NETWORK = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre", "afs", "beegfs")


def refuse_network_file_system(database: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Locks over a network file system do not hold, and SQLite's files break there; known ones are refused."""
    if not mounts.exists():
        return  # not Linux: nothing to read
    folder = database.resolve().parent
    found = [line.split(" ")[1:3] for line in mounts.read_text().splitlines()]
    here = [(Path(point.replace("\\040", " ")), kind) for point, kind in found]
    _, kind = max(
        ((p, k) for p, k in here if folder.is_relative_to(p)), key=lambda m: len(m[0].parts), default=(None, "")
    )
    if kind.startswith(_NETWORK):
        raise ValueError(
            f"{folder} lies on a network file system ({kind}), where SQLite's locks do not hold: "
            "put the file on a local disk, or use PostgreSQL"
        )


@contextlib.contextmanager
def gate(engine: Engine) -> Iterator[None]:
    """Hold the write gate of a SQLite database; nothing to hold on PostgreSQL."""
    held = _gates.get(engine)
    if held is None:
        yield
        return
    with held.held():
        yield


def close(engine: Engine) -> None:
    """Close all connections; the checkpoint that SQLite makes with the last one happens inside the gate."""
    with gate(engine):
        engine.dispose()


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only asks: one consistent snapshot on SQLite, READ COMMITTED on PostgreSQL. Ends with ROLLBACK."""
    with _refused_by_the_database(), Session(engine, autoflush=False) as session:
        yield session


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises. Not retried: see `transact`."""
    with (
        _refused_by_the_database(),
        gate(engine),
        engine.connect() as connection,
        Session(connection.execution_options(reserve_writes=True), autoflush=False) as session,
    ):
        yield session
        session.commit()


def transact(engine: Engine, work: Callable[[Session], T]) -> T:
    """Run `work` in one transaction; run it again, whole, when PostgreSQL says that it lost a race.

    A second run must record the moment of the first: `work` reads its clock once.
    """
    for attempt in range(RETRIES):
        try:
            with writing(engine) as session:
                return work(session)
        except DBAPIError as error:
            state = _sqlstate(error)
            if attempt == RETRIES - 1 and state in _LOST_RACE:
                raise Busy("Too many entries meet at once; send the same request again in a second.") from error
            if attempt == RETRIES - 1 or state not in _LOST_RACE:
                raise
            time.sleep(random.uniform(0.005, 0.05) * (attempt + 1))  # noqa: S311 - jitter, no secret
    raise AssertionError("unreachable: the last attempt returns or raises")


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


@contextlib.contextmanager
def _refused_by_the_database() -> Iterator[None]:
    """What the database cannot do now becomes a refusal that says to come again; what is our bug stays one."""
    try:
        yield
    except PoolTimeoutError as error:
        raise Busy("All connections are in use; send the same request again in a second.") from error
    except IntegrityError:
        raise
    except DBAPIError as error:
        refusal = _unavailable(error)
        if refusal is None:
            raise
        raise refusal from error


def _unavailable(error: DBAPIError) -> Busy | StorageFull | DatabaseUnavailable | None:
    state, words = _sqlstate(error), str(error.orig)
    if "database or disk is full" in words or "disk I/O error" in words or state.startswith("53"):
        return StorageFull("The disk is full; nothing was recorded. Free space and send the same request again.")
    if "database is locked" in words or state in {"55P03", "57014"}:
        return Busy("The database is busy; send the same request again in a second.")
    if error.connection_invalidated or state.startswith(("08", "57P")) or (not state and "connection" in words.lower()):
        return DatabaseUnavailable("The database does not answer; nothing was recorded. Send the same request again.")
    return None


# -- versions ---------------------------------------------------------------------------------------------------------


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the database to this program's version. Safe to run again, also after an interruption."""
    from alembic import command

    state = schema(engine)
    if state == "newer":
        raise WrongSchema(
            "This database was made by a newer version of the product: run that version, or restore a backup."
        )
    options = engine.execution_options(reserve_writes=True)
    with _refused_by_the_database(), gate(engine), options.connect() as connection:
        if connection.dialect.name == "postgresql":
            # a large table takes its time; of two servers that start at once the second waits and finds the work done
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('reserve migrate'))"))
        config = _alembic(connection)
        command.upgrade(config, revision)
        connection.commit()


def schema(engine: Engine) -> str:
    """`empty`, `older`, `current` or `newer` beside this program's migrations. Reads one row; Alembic is not loaded."""
    known = revisions()
    with reading(engine) as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return "empty"
        found = session.connection().execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found is None:
        return "empty"
    if found not in known:
        return "newer"
    return "current" if found == known[-1] else "older"


def revisions() -> list[str]:
    """The revisions of this program, oldest first: each file of `migrations/versions` begins with its own."""
    return sorted(path.stem.split("_")[0] for path in (_migrations() / "versions").glob("[0-9]*.py"))


def require_current_schema(engine: Engine) -> None:
    state = schema(engine)
    if state in {"empty", "older"}:
        raise WrongSchema(f"The database is {state}: run `reserve migrate` first.")
    if state == "newer":
        raise WrongSchema("This database was made by a newer version of the product: run that version instead.")


def _alembic(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _migrations() -> Path:
    return Path(__file__).parent / "migrations"


def ping(engine: Engine) -> None:
    """Raise a refusal when the database does not answer."""
    with reading(engine) as session:
        session.connection().execute(text("SELECT 1"))
