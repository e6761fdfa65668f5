"""Who is told what: alerts, receivers, notices, and the sign that a worker lives."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from reserve.model.kinds import Id, Level, Moment, NoticeState, one_of


class Alert(SQLModel, table=True):
    """A change of level of one item in one scope, with the coverage that caused it. Append-only.

    `sequence` counts the changes of one thread (scope, item); being unique, two workers cannot raise the same one.
    """

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    sequence: int
    level: Level = Field(sa_type=Text)
    previous_level: Level | None = Field(default=None, sa_type=Text)
    change: str = Field(max_length=20)
    reason_zh: str = Field(sa_type=Text)
    reason_en: str = Field(sa_type=Text)
    coverage: str = Field(sa_type=Text)
    raised_at: datetime = Field(sa_type=Moment)

    __table_args__ = (
        UniqueConstraint("scope_id", "item_id", "sequence", name="alert_thread"),
        one_of("level", Level, "alert_level"),
        CheckConstraint("level <> previous_level", name="alert_is_a_change"),
    )


class Receiver(SQLModel, table=True):
    """Who is told, and how. Taken out of use by `retired_at`, never deleted: its notices stay readable."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    name: str = Field(max_length=120)
    kind: str = Field(max_length=20)
    url: str = Field(sa_type=Text)
    secret: str | None = Field(default=None, max_length=200)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    levels: str = Field(sa_type=Text)
    language: str = Field(default="zh", max_length=2)
    created_at: datetime = Field(sa_type=Moment)
    retired_at: datetime | None = Field(default=None, sa_type=Moment)

    __table_args__ = (
        CheckConstraint("kind IN ('webhook')", name="receiver_kind"),
        CheckConstraint("language IN ('zh', 'en')", name="receiver_language"),
    )


class Notice(SQLModel, table=True):
    """One alert to one receiver: the outbox. Its id is the receiver's deduplication key."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    alert_id: int = Field(foreign_key="alert.id", sa_type=Id)
    receiver_id: int = Field(foreign_key="receiver.id", sa_type=Id)
    state: NoticeState = Field(default=NoticeState.PENDING, sa_type=Text)
    attempts: int = 0
    created_at: datetime = Field(sa_type=Moment)
    next_attempt_at: datetime = Field(sa_type=Moment)
    lease_token: str | None = Field(default=None, max_length=40)
    lease_until: datetime | None = Field(default=None, sa_type=Moment)
    delivered_at: datetime | None = Field(default=None, sa_type=Moment)
    last_error: str | None = Field(default=None, max_length=500)

    __table_args__ = (
        UniqueConstraint("alert_id", "receiver_id", name="notice_once"),
        one_of("state", NoticeState, "notice_state"),
        # what is to be sent now (alerts.claim)
        Index("notice_next", "state", "next_attempt_at"),
    )


class Beat(SQLModel, table=True):
    """When a worker last lived, one row a worker name."""

    worker: str = Field(primary_key=True, max_length=80)
    beat_at: datetime = Field(sa_type=Moment)
