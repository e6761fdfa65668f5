"""The journal: every change that is not a movement, with what was before and after. Appended, never changed."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlmodel import Session

from reserve.model import Journal, table

JOURNAL = table(Journal)

Facts = Mapping[str, Any]


class Change(NamedTuple):
    """`actor` did `verb` (`policy.made`, `hold.placed`) to `subject`."""

    actor: str
    now: datetime
    verb: str
    subject: str
    before: Facts | None = None
    after: Facts | None = None


def write(
    session: Session,
    *,
    actor: str,
    now: datetime,
    verb: str,
    subject: str,
    before: Facts | None = None,
    after: Facts | None = None,
) -> None:
    """Append one change, in the transaction that did it."""
    write_all(session, [Change(actor, now, verb, subject, before, after)])


def write_all(session: Session, changes: Sequence[Change]) -> None:
    """Append changes, in one statement, in the transaction that did them."""
    if changes:
        session.connection().execute(
            _APPEND,
            [
                {
                    "recorded_at": change.now,
                    "actor": change.actor,
                    "verb": change.verb,
                    "subject": change.subject,
                    "before": as_json(change.before),
                    "after": as_json(change.after),
                }
                for change in changes
            ],
        )


class Entry(NamedTuple):
    """A change as it was written; `before` and `after` are JSON."""

    id: int
    recorded_at: datetime
    actor: str
    verb: str
    subject: str
    before: str | None
    after: str | None


def entries(
    session: Session,
    *,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[Entry]:
    """Changes, newest first: of one thing, recorded from `since` on and before `until`, below entry `before`."""
    statement = select(*(JOURNAL.c[name] for name in Entry._fields)).order_by(JOURNAL.c.id.desc()).limit(limit)
    if subject is not None:
        statement = statement.where(JOURNAL.c.subject == subject)
    if since is not None:
        statement = statement.where(JOURNAL.c.recorded_at >= since)
    if until is not None:
        statement = statement.where(JOURNAL.c.recorded_at < until)
    if before is not None:
        statement = statement.where(JOURNAL.c.id < before)
    return [Entry._make(row) for row in session.connection().execute(statement)]


def as_json(facts: Facts | None) -> str | None:
    """The one way in which facts are written: their digest must come out the same years later."""
    return (
        None
        if facts is None
        else json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)
    )


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in the journal")


_APPEND = insert(JOURNAL)
