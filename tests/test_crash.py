"""The server killed in the middle of its work: what was answered 201 is there, what was not is whole or absent."""

import os
import random

import pytest
from crashing import Book, Clerk, kill_while_recording, refuse_loss, send_again
from served import Served
from sqlalchemy import Engine

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("CRASH_KILLS", "2"))


@pytest.mark.usefixtures("city")
def test_p01_p02_p04_a_server_killed_while_recording_loses_nothing_it_answered(
    engine: Engine, database_url: str
) -> None:
    """Receipts, issues, transfers and their receipts; every answer is written down and looked for afterwards."""
    secret = Served(engine).key("clerk")
    book, chance = Book(), random.Random(1)  # noqa: S311 - a repeatable test
    for n in range(KILLS):
        clerks = [Clerk(secret, book, lot=f"K{n}-{m}", seed=KILLS * m + n) for m in range(4)]
        kill_while_recording(database_url, clerks, after=0.4 * chance.random())
    assert book.kinds() == {"RC", "IS", "TR", "TA"}, book.refused
    refuse_loss(engine, book)
    # a terminal that never heard the answer sends again: the same answer, and nothing doubled
    send_again(database_url, secret, book, last=20)
    refuse_loss(engine, book)
