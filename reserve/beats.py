"""The workers' heartbeats: when each last lived."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from reserve.model import Beat, table
from reserve.posting import DUE

BEAT = table(Beat)


def live(session: Session, worker: str, now: datetime) -> None:
    """This worker lives."""
    connection = session.connection()
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(BEAT).values(worker=worker, beat_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["worker"], set_={"beat_at": now}))


def latest(session: Session) -> datetime | None:
    """When any worker last lived."""
    found: datetime | None = session.connection().execute(select(func.max(BEAT.c.beat_at))).scalar_one()
    return found


def due(session: Session) -> tuple[int, datetime | None]:
    """How many changes wait to be assessed, and since when."""
    row = session.connection().execute(select(func.count(), func.min(DUE.c.recorded_at)).select_from(DUE)).one()
    return row[0], row[1]
