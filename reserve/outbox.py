"""Notices that wait to be sent: claimed with a lease, sent by the edge with no transaction open, settled.

A notice is delivered at least once; its id, the same in every repeat, is the receiver's deduplication key.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve.alerts import ALERT, NOTICE, RECEIVER
from reserve.catalogue import ITEM, PLACE
from reserve.model import NoticeState

LEASE = timedelta(seconds=60)
RETRY_AFTER = tuple(timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600))
"""Then every ten minutes, for three days."""
GIVE_UP_AFTER = timedelta(hours=72)


class Claimed(NamedTuple):
    """A notice that is ours to send until the lease ends."""

    id: int
    token: str
    attempts: int
    created_at: datetime
    receiver_id: int
    kind: str
    url: str
    secret: str | None
    language: str
    alert_id: int
    sequence: int
    scope: str
    scope_name_zh: str
    scope_name_en: str
    item: str
    item_name_zh: str
    item_name_en: str
    level: str
    previous_level: str | None
    change: str
    reason_zh: str
    reason_en: str
    coverage: str
    raised_at: datetime


class Outcome(NamedTuple):
    """How a sending went; `final` refusals are not tried again."""

    delivered: bool
    error: str | None = None
    final: bool = False
    retry_after: timedelta | None = None


def claim(session: Session, *, now: datetime, token: str, limit: int = 8) -> list[Claimed]:
    """Take due notices for this worker by a conditional update, at most one a receiver; commit before sending.

    A slow receiver has one sending under way and delays nobody else. A lease that ran out belongs to a worker that
    died between claim and settle: the notice is sent again under the same id.
    """
    connection = session.connection()
    free = or_(NOTICE.c.lease_until.is_(None), NOTICE.c.lease_until < now)
    due = and_(NOTICE.c.state == NoticeState.PENDING.value, NOTICE.c.next_attempt_at <= now, free)
    busy = select(NOTICE.c.receiver_id).where(NOTICE.c.state == NoticeState.PENDING.value, NOTICE.c.lease_until >= now)
    first = (
        select(func.min(NOTICE.c.id))
        .where(due, NOTICE.c.receiver_id.not_in(busy))
        .group_by(NOTICE.c.receiver_id)
        .limit(limit)
    )
    ids = list(connection.execute(first).scalars())
    if not ids:
        return []
    connection.execute(
        update(NOTICE)
        .where(NOTICE.c.id.in_(ids), due)
        .values(lease_token=token, lease_until=now + LEASE, attempts=NOTICE.c.attempts + 1)
    )
    return [Claimed._make(row) for row in connection.execute(_CLAIMED, {"token": token, "ids": ids})]


def settle(session: Session, notice: Claimed, outcome: Outcome, now: datetime) -> None:
    """Write down how it went, where our lease still stands."""
    error = outcome.error and outcome.error[:500]  # as much as the column holds
    values: dict[str, object] = {"lease_token": None, "lease_until": None, "last_error": error}
    if outcome.delivered:
        values |= {"state": NoticeState.DELIVERED.value, "delivered_at": now, "last_error": None}
    elif outcome.final or now - notice.created_at > GIVE_UP_AFTER:
        values |= {"state": NoticeState.FAILED.value}
    else:
        pause = RETRY_AFTER[min(notice.attempts, len(RETRY_AFTER)) - 1]
        values |= {"next_attempt_at": now + max(pause, outcome.retry_after or timedelta(0))}
    session.connection().execute(
        update(NOTICE).where(NOTICE.c.id == notice.id, NOTICE.c.lease_token == notice.token).values(**values)
    )


_scope, _item = aliased(PLACE, name="scope"), aliased(ITEM, name="item")
_CLAIMED = (
    select(
        NOTICE.c.id,
        NOTICE.c.lease_token,
        NOTICE.c.attempts,
        NOTICE.c.created_at,
        RECEIVER.c.id,
        RECEIVER.c.kind,
        RECEIVER.c.url,
        RECEIVER.c.secret,
        RECEIVER.c.language,
        ALERT.c.id,
        ALERT.c.sequence,
        _scope.c.code,
        _scope.c.name_zh,
        _scope.c.name_en,
        _item.c.code,
        _item.c.name_zh,
        _item.c.name_en,
        ALERT.c.level,
        ALERT.c.previous_level,
        ALERT.c.change,
        ALERT.c.reason_zh,
        ALERT.c.reason_en,
        ALERT.c.coverage,
        ALERT.c.raised_at,
    )
    .join(RECEIVER, RECEIVER.c.id == NOTICE.c.receiver_id)
    .join(ALERT, ALERT.c.id == NOTICE.c.alert_id)
    .join(_scope, _scope.c.id == ALERT.c.scope_id)
    .join(_item, _item.c.id == ALERT.c.item_id)
    .where(NOTICE.c.id.in_(bindparam("ids", expanding=True)), NOTICE.c.lease_token == bindparam("token"))
    .order_by(NOTICE.c.id)
)
