"""Opening, migrating, locking and failing: what both databases must do whatever happens to them."""

import contextlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import NOW, entry
from sqlalchemy import CheckConstraint, inspect, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import SQLModel

from reserve import catalogue, database, ledger
from reserve.errors import Busy, DatabaseUnavailable, Invalid, StorageFull, WrongSchema
from reserve.ledger import ReceiptLine
from reserve.model import Category

LATER = datetime(2027, 6, 30, tzinfo=UTC).date()


def receive(session, lot_number="A", quantity=10):
    line = ReceiptLine(lot_number, LATER, item="N95", quantity=quantity)
    return ledger.receive(session, entry(), location="371400-W1", lines=[line])


def one(engine, statement, **values):
    with engine.connect() as connection:
        return connection.execute(text(statement), values).scalar_one()


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://root@localhost/reserve", "postgresql://localhost/reserve"]
)
def test_books_that_would_not_last_are_refused(url):
    with pytest.raises(ValueError, match=r"sqlite:///|postgresql\+psycopg://"):
        database.connect(url)


def test_the_directory_of_a_new_database_is_made(tmp_path):
    engine = database.connect(f"sqlite:///{tmp_path}/var/lib/reserve.db")
    database.migrate(engine)
    database.ping(engine)
    database.close(engine)
    assert (tmp_path / "var" / "lib" / "reserve.db").exists()


def test_a_database_that_does_not_answer_is_a_refusal():
    engine = database.connect("postgresql+psycopg://nobody@127.0.0.1:9/reserve")
    with pytest.raises(DatabaseUnavailable):
        database.ping(engine)
    engine.dispose()


# -- migrating --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request, tmp_path):
    """A database that nobody has migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/bare.db"
        return
    yield request.getfixturevalue("postgres").bare()


@pytest.fixture
def bare(bare_url):
    engine = database.connect(bare_url)
    yield engine
    database.close(engine)


def tables(engine):
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


MODEL = set(SQLModel.metadata.tables)


def test_migrating_again_changes_nothing(city):
    before = one(city, "SELECT count(*) FROM location")
    assert database.schema(city) == "current"
    database.migrate(city)
    database.migrate(city)
    assert one(city, "SELECT count(*) FROM location") == before
    database.require_current_schema(city)


def test_p11_a_migration_that_failed_in_the_middle_left_nothing_and_is_run_again(bare, monkeypatch):
    def fail(*_):
        raise RuntimeError("the disk of the operator's patience is full")

    with monkeypatch.context() as patch:
        patch.setattr(op, "bulk_insert", fail)  # after every table was made
        with pytest.raises(RuntimeError):
            database.migrate(bare)
    assert tables(bare) == set()
    assert database.schema(bare) == "empty"
    database.migrate(bare)
    assert tables(bare) == MODEL
    assert database.schema(bare) == "current"


MIGRATE_AND_DIE = """
import os, signal, sys
from alembic import op
from reserve import database
op.bulk_insert = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
database.migrate(database.connect(sys.argv[1]))
"""


def test_p11_a_migration_that_was_killed_in_the_middle_is_run_again(bare_url, bare):
    killed = subprocess.run([sys.executable, "-c", MIGRATE_AND_DIE, bare_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert database.schema(bare) == "empty"
    database.migrate(bare)
    assert tables(bare) == MODEL
    assert one(bare, "SELECT count(*) FROM location") == 6


def test_p11_two_servers_that_start_at_once_migrate_once(bare_url, bare):
    faults = []

    def start():
        engine = database.connect(bare_url)
        try:
            database.migrate(engine)
        except Exception as error:  # noqa: BLE001 - reported below
            faults.append(error)
        finally:
            database.close(engine)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert one(bare, "SELECT count(*) FROM location") == 6


def test_p11_a_newer_database_is_refused_with_a_sentence_and_left_alone(city):
    with city.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert database.schema(city) == "newer"
    for refuse in (database.migrate, database.require_current_schema):
        with pytest.raises(WrongSchema, match="made by a newer version of the product") as caught:
            refuse(city)
        assert caught.value.detail.endswith(".")
    assert one(city, "SELECT version_num FROM alembic_version") == "9999"


def test_p11_an_older_or_empty_database_is_refused_with_the_command_that_helps(city, bare, monkeypatch):
    with pytest.raises(WrongSchema, match="empty: run `reserve migrate` first"):
        database.require_current_schema(bare)
    known = database.revisions()
    monkeypatch.setattr(database, "revisions", lambda: [*known, "9999"])
    assert database.schema(city) == "older"
    with pytest.raises(WrongSchema, match="older: run `reserve migrate` first"):
        database.require_current_schema(city)


def test_the_model_and_the_migrations_make_the_same_tables(city):
    with city.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_model_and_the_migrations_make_the_same_checks(city):
    found = inspect(city)
    for name, table in SQLModel.metadata.tables.items():
        wanted = {
            constraint.name
            for constraint in table.constraints
            if isinstance(constraint, CheckConstraint)
            and (city.dialect.name == "sqlite" or not str(constraint.name).endswith("_whole"))
        }
        assert {check["name"] for check in found.get_check_constraints(name)} == wanted


# -- SQLite -----------------------------------------------------------------------------------------------------------


@on_sqlite
def test_sqlite_is_opened_for_books_that_must_survive_a_power_cut(city):
    pragmas = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "trusted_schema": 0,
        "mmap_size": 0,
    }
    connections = [city.connect() for _ in range(3)]
    for connection in connections:
        assert {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar_one() for p in pragmas} == pragmas
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() > 0
        connection.close()


@on_sqlite
def test_a_write_takes_the_write_lock_before_it_reads(city):
    other = sqlite3.connect(city.url.database, timeout=0, isolation_level=None)
    with database.writing(city) as session:
        session.connection()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


@on_sqlite
def test_a_reader_sees_one_state_and_never_waits_for_a_writer(city):
    counted = "SELECT count(*) FROM movement"
    with database.reading(city) as reader:
        assert reader.connection().execute(text(counted)).scalar_one() == 0
        with database.writing(city) as writer:
            receive(writer)
            assert reader.connection().execute(text(counted)).scalar_one() == 0
        assert reader.connection().execute(text(counted)).scalar_one() == 0
    assert one(city, counted) == 1


HOLD_THE_GATE = """
import sys
from reserve import database
engine = database.connect(sys.argv[1])
with database.writing(engine):
    print("held", flush=True)
    sys.stdin.readline()
"""


@on_sqlite
def test_the_gate_keeps_another_process_out_and_says_busy_after_its_time(city, monkeypatch):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_GATE, str(city.url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "held\n"
        monkeypatch.setattr(database, "GATE_SECONDS", 0.3)
        begun = time.monotonic()
        with pytest.raises(Busy, match="Another program is writing") as caught:
            database.transact(city, receive)
        assert caught.value.detail.endswith("in a second.")
        assert 0.3 <= time.monotonic() - begun < 30
        database.ping(city)  # readers go on
        monkeypatch.setattr(database, "GATE_SECONDS", 30.0)
        leaving = threading.Timer(0.1, other.stdin.close)
        leaving.start()
        database.transact(city, receive)
        leaving.join()
    assert one(city, "SELECT count(*) FROM movement") == 1


@on_sqlite
def test_the_gate_goes_with_a_process_that_is_killed(city):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_GATE, str(city.url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "held\n"
        other.kill()
    database.transact(city, receive)
    assert one(city, "SELECT count(*) FROM movement") == 1


@on_sqlite
def test_the_gate_keeps_another_thread_out_and_lets_it_in_afterwards(city, monkeypatch):
    monkeypatch.setattr(database, "GATE_SECONDS", 0.2)
    entered, leave = threading.Event(), threading.Event()

    def write():
        with database.writing(city) as session:
            receive(session)
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    assert entered.wait(30)
    with pytest.raises(Busy, match="Another entry is being recorded"):
        database.transact(city, receive)
    leave.set()
    thread.join()
    database.transact(city, receive)
    assert one(city, "SELECT count(*) FROM movement") == 2


def dump(engine):
    connection = sqlite3.connect(engine.url.database)
    found = list(connection.iterdump())
    connection.close()
    return found


@on_sqlite
def test_p04_a_transaction_that_fails_leaves_the_file_as_it_was(city):
    def work(session):
        for n in range(50):
            receive(session, f"L{n}")
        raise ZeroDivisionError

    before = dump(city)
    with pytest.raises(ZeroDivisionError):
        database.transact(city, work)
    assert dump(city) == before


@on_sqlite
def test_a_refused_document_leaves_its_connection_fit_for_the_next_one(city):
    """The books refuse inside a document whose movements are written already; the same connection records the next."""
    kept = []
    for _ in range(3):
        with pytest.raises(Invalid, match="More than") as caught:
            database.transact(city, lambda session: (receive(session, "A", 10**15), receive(session, "A", 1)))
        kept.append(caught)  # whoever logs a refusal keeps its frames alive for a while
    database.transact(city, receive)
    assert one(city, "SELECT count(*) FROM movement") == 1


@on_sqlite
def test_p04_a_full_disk_is_refused_and_writing_goes_on_when_there_is_space(city):
    limit = one(city, "PRAGMA page_count") + 3
    with city.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")
    taken = 0
    with contextlib.suppress(StorageFull):
        for n in range(500):
            database.transact(city, lambda session, n=n: receive(session, f"L{n}"))
            taken += 1
    assert 0 < taken < 500
    with pytest.raises(StorageFull, match="nothing was recorded"):
        database.transact(city, lambda session: [receive(session, f"M{n}") for n in range(500)])
    assert one(city, "SELECT count(*) FROM movement") == taken
    assert one(city, "SELECT count(*) FROM lot") == taken
    with city.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    database.transact(city, lambda session: receive(session, "LAST"))
    assert one(city, "SELECT count(*) FROM movement") == taken + 1
    assert one(city, "PRAGMA integrity_check") == "ok"


FILL_THE_DISK = """
import resource, sys
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo
from reserve import database, ledger
from reserve.entry import Entry
from reserve.errors import StorageFull

engine = database.connect(sys.argv[1])
told = Entry("Li", datetime(2026, 4, 1, 2, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
taken = refused = 0

def receive(n):
    line = ledger.ReceiptLine(f"L{n}", date(2027, 1, 1), item="N95", quantity=10)
    database.transact(engine, lambda s: ledger.receive(s, told, location="371400-W1", lines=[line]))

receive("first")
size = Path(engine.url.database + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, resource.RLIM_INFINITY))
for n in range(60):
    try:
        receive(n)
        taken += 1
    except StorageFull:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
receive("last")
print(taken, refused)
"""


@on_sqlite
def test_p04_a_file_that_may_not_grow_is_refused_and_writing_goes_on_when_it_may(city):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    database.close(city)
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(city.url)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    taken, refused = map(int, done.stdout.split())
    assert taken > 0
    assert refused > 0
    assert taken + refused == 60
    assert one(city, "SELECT count(*) FROM movement") == taken + 2
    assert one(city, "SELECT sum(on_hand) FROM balance") == 10 * (taken + 2)
    assert one(city, "PRAGMA integrity_check") == "ok"


@on_sqlite
def test_p01_a_copy_of_the_file_and_its_log_is_a_whole_database(city, tmp_path):
    """What a kill leaves behind: the file and the write-ahead log, never closed."""
    for n in range(20):
        database.transact(city, lambda session, n=n: receive(session, f"L{n}"))
    left = tmp_path / "left"
    left.mkdir()
    for name in ("reserve.db", "reserve.db-wal"):
        shutil.copy(tmp_path / name, left / name)
    engine = database.connect(f"sqlite:///{left}/reserve.db")
    assert one(engine, "SELECT count(*) FROM movement") == 20
    assert one(engine, "PRAGMA integrity_check") == "ok"
    database.close(engine)


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@on_postgresql
def test_postgresql_is_opened_with_a_limit_on_every_wait(city):
    limits = {"lock_timeout": "5s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "1min"}
    assert {name: one(city, f"SHOW {name}") for name in limits} == limits
    assert one(city, "SHOW TimeZone") == "UTC"
    assert one(city, "SHOW transaction_isolation") == "read committed"


def lost(state, times):
    """A work that loses the race so often, and counts its runs."""
    runs = []

    def work(session):
        runs.append(receive(session, f"L{len(runs)}"))
        if len(runs) <= times:
            session.connection().execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$"))
        return len(runs)

    return work


@on_postgresql
@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
def test_a_lost_race_is_run_again_whole(city, state):
    assert database.transact(city, lost(state, times=2)) == 3
    assert one(city, "SELECT count(*) FROM movement") == 1
    assert one(city, "SELECT lot_number FROM lot") == "L2"


@on_postgresql
@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_race_lost_three_times_is_a_refusal_to_come_again(city, state):
    with pytest.raises(Busy):
        database.transact(city, lost(state, times=9))
    assert one(city, "SELECT count(*) FROM movement") == 0


@on_postgresql
def test_what_the_books_forbid_is_not_tried_again(city):
    work = lost("23514", times=9)
    with pytest.raises(IntegrityError):
        database.transact(city, work)
    assert database.transact(city, lambda session: receive(session).movements[0].quantity) == 10
    assert one(city, "SELECT count(*) FROM movement") == 1


@on_postgresql
def test_two_that_wait_for_each_other_both_get_through(city):
    """A real deadlock: PostgreSQL breaks one of the two, and it is run again."""
    database.transact(city, lambda session: (receive(session, "A"), receive(session, "B")))
    both, runs = threading.Barrier(2, timeout=30), []

    def lock(first, second):
        def work(session):
            runs.append(first)
            taking = (
                "UPDATE balance SET on_hand = on_hand - 1 WHERE lot_id = (SELECT id FROM lot WHERE lot_number = :l)"
            )
            session.connection().execute(text(taking), {"l": first})
            if len(runs) <= 2:
                both.wait()
            session.connection().execute(text(taking), {"l": second})

        return lambda: database.transact(city, work)

    threads = [threading.Thread(target=lock(*pair)) for pair in (("A", "B"), ("B", "A"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 3
    assert one(city, "SELECT sum(on_hand) FROM balance") == 16


@on_postgresql
@pytest.mark.parametrize(
    "statements",
    [
        ("SET LOCAL lock_timeout = '50ms'", "UPDATE balance SET on_hand = on_hand"),
        ("SET LOCAL statement_timeout = '50ms'", "SELECT pg_sleep(30)"),
    ],
)
def test_a_wait_that_is_too_long_is_a_refusal_to_come_again(city, statements):
    database.transact(city, receive)
    with city.begin() as holder:
        holder.execute(text("SELECT * FROM balance FOR UPDATE"))
        with pytest.raises(Busy):
            database.transact(city, lambda session: [session.connection().execute(text(s)) for s in statements])


@on_postgresql
def test_a_connection_that_is_cut_is_a_refusal_and_the_next_request_gets_a_new_one(city):
    def work(session):
        receive(session)
        mine = session.connection().execute(text("SELECT pg_backend_pid()")).scalar_one()
        with city.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        receive(session, "B")

    with pytest.raises(DatabaseUnavailable, match="nothing was recorded"):
        database.transact(city, work)
    assert database.transact(city, receive).document.startswith("RC-")
    assert one(city, "SELECT count(*) FROM movement") == 1


# -- both -------------------------------------------------------------------------------------------------------------


def test_a_reading_session_keeps_nothing(city):
    with database.reading(city) as session:
        receive(session)
    assert one(city, "SELECT count(*) FROM movement") == 0


def test_moments_are_kept_in_utc_to_the_microsecond_and_need_their_zone(city):
    there = timezone(timedelta(hours=8))
    told = datetime(2026, 4, 1, 7, 59, 59, 999_999, tzinfo=there)
    with database.writing(city) as session:
        line = ReceiptLine("A", LATER, item="N95", quantity=1)
        ledger.receive(session, entry(occurred=told), location="371400-W1", lines=[line])
    with database.reading(city) as session:
        kept = session.connection().execute(SQLModel.metadata.tables["movement"].select()).one().occurred_at
    assert kept == told
    assert kept.tzinfo == UTC
    with pytest.raises(StatementError, match="a moment needs its zone"), database.writing(city) as session:
        ledger.receive(session, entry(now=NOW.replace(tzinfo=None)), location="371400-W1", lines=[line])


def test_two_that_make_the_same_item_at_once_are_told_that_it_is_there(city):
    def make(session):
        new = catalogue.NewItem("GOWN", "隔离衣", "Gown", Category.PROTECTIVE, "件")
        return catalogue.add_item(session, new).code

    answers = []

    def start():
        try:
            answers.append(database.transact(city, make))
        except Exception as error:  # noqa: BLE001 - compared below
            answers.append(getattr(error, "code", type(error)))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["GOWN", "item_exists", "item_exists", "item_exists"]


def test_a_database_on_a_network_file_system_is_refused(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/export {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(ValueError, match="network file system"):
        database.refuse_network_file_system(tmp_path / "reserve.db", mounts)
    mounts.write_text(f"server:/export / nfs rw 0 0\n/dev/vda {tmp_path} ext4 rw 0 0\n")
    database.refuse_network_file_system(tmp_path / "reserve.db", mounts)
