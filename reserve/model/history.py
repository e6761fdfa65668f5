"""What proves that history was not rewritten: the journal of changes that are not movements, and the seals over all."""

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from reserve.model.kinds import Id, Moment


class Journal(SQLModel, table=True):
    """A change that is not a movement: what was done to which thing, by whom, before and after. Append-only."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)
    verb: str = Field(max_length=40)
    subject: str = Field(max_length=120)
    before: str | None = Field(default=None, sa_type=Text)
    after: str | None = Field(default=None, sa_type=Text)

    # the history of one thing (journal.entries)
    __table_args__ = (Index("journal_subject", "subject", "id"),)


class Unsealed(SQLModel, table=True):
    """Rows of history that wait for a seal, put here by triggers; a document stands for its movements too."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    kind: str = Field(max_length=12)
    row_id: int = Field(sa_type=Id)


class Seal(SQLModel, table=True):
    """A link of the chain over all history, written by the worker (封存). Append-only."""

    number: int = Field(primary_key=True, sa_type=Id)
    rows: int
    prev: str = Field(max_length=64)
    digest: str = Field(max_length=64)
    mac: str | None = Field(default=None, max_length=64)
    sealed_at: datetime = Field(sa_type=Moment)

    # the last seal at a moment (seals.at)
    __table_args__ = (Index("seal_when", "sealed_at"),)


class SealEntry(SQLModel, table=True):
    """One row of history under a seal. Append-only."""

    kind: str = Field(primary_key=True, max_length=12)
    row_id: int = Field(primary_key=True, sa_type=Id)
    number: int = Field(foreign_key="seal.number", sa_type=Id)
    position: int
    row_digest: str = Field(max_length=64)

    # a seal's rows in their order (seals.check)
    __table_args__ = (UniqueConstraint("number", "position", name="seal_entry_position"),)
