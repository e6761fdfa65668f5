"""The answer once given to an Idempotency-Key, kept for good: a terminal that sends twice records once.

The row is inserted first, inside the business transaction: of two that send the same key at once the loser waits for
the winner and reads its answer. Only what was recorded is kept; a refusal rolls its row back, so the same key may be
sent again when stock has come.
"""

import hashlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from reserve.errors import KeyReused
from reserve.model import Replay, table

REPLAY = table(Replay)


class Answer(NamedTuple):
    status: int
    body: str


def digest(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same: their method, path and raw body."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).hexdigest()


def begin(session: Session, *, actor: str, key: str, request_digest: str, now: datetime) -> Answer | None:
    """Take the key for this transaction, or give back what was answered to it.

    Raises
    ------
    KeyReused
        the key belongs to another request of the same actor.
    """
    connection = session.connection()
    taken = connection.execute(
        _TAKE[connection.dialect.name],
        {"actor": actor, "key": key, "request_digest": request_digest, "recorded_at": now},
    )
    if taken.first() is not None:
        return None
    row = connection.execute(_FIND, {"actor": actor, "key": key}).one()
    if row.request_digest != request_digest:
        raise KeyReused("This Idempotency-Key was used for another request; make a new key for a new entry.")
    return Answer(row.status, row.body)


def finish(session: Session, *, actor: str, key: str, answer: Answer) -> None:
    session.connection().execute(_FINISH, {"by": actor, "with": key, "status": answer.status, "body": answer.body})


_TAKE = {
    "sqlite": sqlite.insert(REPLAY).on_conflict_do_nothing().returning(REPLAY.c.key),
    "postgresql": postgresql.insert(REPLAY).on_conflict_do_nothing().returning(REPLAY.c.key),
}
_FIND = select(REPLAY.c.request_digest, REPLAY.c.status, REPLAY.c.body).where(
    REPLAY.c.actor == bindparam("actor"), REPLAY.c.key == bindparam("key")
)
_FINISH = (
    update(REPLAY)
    .where(REPLAY.c.actor == bindparam("by"), REPLAY.c.key == bindparam("with"))
    .values(status=bindparam("status"), body=bindparam("body"))
)
