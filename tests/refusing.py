"""Every table before and after a refusal, and many clients at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any

from httpx import Response
from sqlalchemy import Engine, inspect, text

from reserve import database
from reserve.verify import verify

NOT_BOOKS = {"replay", "alembic_version", "key", "beat"}


def everything(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table but keys, kept answers and beats."""
    with database.reading(engine) as session:
        connection = session.connection()
        names = sorted(set(inspect(connection).get_table_names()) - NOT_BOOKS)
        return {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')).all())) for name in names}


@contextmanager
def unchanged(engine: Engine) -> Iterator[None]:
    """P15: what is refused leaves no trace in any table."""
    before = everything(engine)
    yield
    after = everything(engine)
    assert {name for name in before if before[name] != after[name]} == set()


def refused(engine: Engine, send: Callable[[], Response], status: int, code: str) -> dict[str, Any]:
    """The problem a call is refused with; it says what to do and leaves every table as it was."""
    with unchanged(engine):
        answer = send()
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    return answer.json()


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The answers of calls that start together, each in a thread of its own."""
    barrier, answers = Barrier(len(calls)), [None] * len(calls)

    def run(n: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        answers[n] = call()

    threads = [Thread(target=run, args=(n, call)) for n, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def sound(engine: Engine) -> None:
    """Whatever was done, the books add up: `reserve verify` finds nothing."""
    with database.reading(engine) as session:
        assert verify(session) == []


def scalar(engine: Engine, statement: str, **values: object) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(statement), values).scalar_one()
