"""Keys, and the answers once given to them."""

from datetime import date, datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from reserve.model.kinds import Id, Moment, Role, one_of


class Key(SQLModel, table=True):
    """An API key: a public prefix and the hash of a secret that was shown once."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    prefix: str = Field(max_length=8, unique=True)
    digest: str = Field(max_length=64)
    name: str = Field(max_length=120)
    role: Role = Field(sa_type=Text)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    created_at: datetime = Field(sa_type=Moment)
    expires_on: date | None = None
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)

    __table_args__ = (one_of("role", Role, "key_role"),)


class Replay(SQLModel, table=True):
    """The answer once given to an Idempotency-Key of an actor, kept for good."""

    actor: str = Field(primary_key=True, max_length=40)
    key: str = Field(primary_key=True, max_length=200)
    request_digest: str = Field(max_length=64)
    status: int | None = None
    body: str | None = Field(default=None, sa_type=Text)
    recorded_at: datetime = Field(sa_type=Moment)
