"""The journal: every change that is not a movement, with what was before and after. Appended, never changed."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from reserve.model import Journal, table

JOURNAL = table(Journal)

Facts = Mapping[str, Any]


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
    """Append that `actor` did `verb` (`policy.made`, `hold.placed`) to `subject`, in the transaction that did it."""
    session.connection().execute(
        _APPEND,
        {
            "recorded_at": now,
            "actor": actor,
            "verb": verb,
            "subject": subject,
            "before": as_json(before),
            "after": as_json(after),
        },
    )


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
