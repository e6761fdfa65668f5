"""A change of level raises one alert and one notice a receiver, in the transaction that stored the coverage.

`decide` is pure. What is raised here is sent from `outbox`.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, func, insert, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, levels
from reserve.assessment import Assessment
from reserve.catalogue import ITEM, PLACE
from reserve.coverage import compact
from reserve.errors import Unknown
from reserve.model import Alert, Level, Notice, NoticeState, Receiver, table

ALERT, RECEIVER, NOTICE = (table(model) for model in (Alert, Receiver, Notice))

SILENT_REASONS = {"no_policy", "no_consumption"}
"""Unknown for a reason that nobody can mend tonight: shown on the page, not sent."""


class Change(NamedTuple):
    """What an alert says happened."""

    level: Level
    previous: Level | None
    change: str


def decide(previous: Level | None, found: Assessment) -> Change | None:
    """Whether this assessment is news. `previous` is the last alert's level, None for a row that never had one.

    A row that starts out normal is no news; one that cannot be judged for want of a policy or of any use is none
    either. Everything else follows the alert's level, which eases only past a margin.
    """
    level = levels.remember_all(previous, found.level, found.judged)
    if level == previous or (previous is None and level is Level.NORMAL):
        return None
    if level is Level.UNKNOWN and found.verdict.reason in SILENT_REASONS and previous in {None, Level.NORMAL}:
        return None
    return Change(level, previous, _word(previous, level))


def _word(previous: Level | None, level: Level) -> str:
    if level is Level.UNKNOWN:
        return "unknown"
    if level is Level.NORMAL:
        return "restored"
    if previous is None or previous in {Level.NORMAL, Level.UNKNOWN}:
        return "raised"
    return "worse" if levels.SEVERITY[level] > levels.SEVERITY[previous] else "eased"


# -- raising ----------------------------------------------------------------------------------------------------------


def consider(session: Session, found: Sequence[Assessment], now: datetime) -> int:
    """Raise what is news among the assessments of one item; returns how many alerts.

    Only a scope that a policy names can raise one: a county below a city's rule is measured by it and not rung for. A
    thread that is open is followed to its end, also when its policy has ended.
    Of two workers that see the same change, the second breaks on the thread's unique sequence and is run again.
    """
    if not found:
        return 0
    last = _last(session, found[0].item.id, [a.scope.id for a in found])
    open_threads = {scope_id for scope_id, (_, level) in last.items() if level is not Level.NORMAL}
    declared = [a for a in found if a.declared or a.scope.id in open_threads]
    if not declared:
        return 0
    receivers = active_receivers(session)
    raised = 0
    for assessed in declared:
        sequence, level = last.get(assessed.scope.id, (0, None))
        change = decide(level, assessed)
        if change is not None:
            _raise(session, assessed, change, sequence + 1, receivers, now)
            raised += 1
    return raised


def _last(session: Session, item_id: int, scope_ids: list[int]) -> dict[int, tuple[int, Level]]:
    """The newest alert of each thread: its sequence and level."""
    rows = session.connection().execute(_LAST, {"item": item_id, "scopes": scope_ids})
    return {row.scope_id: (row.sequence, Level(row.level)) for row in rows}


def _raise(
    session: Session,
    assessed: Assessment,
    change: Change,
    sequence: int,
    receivers: Iterable["ReceiverRow"],
    now: datetime,
) -> None:
    connection = session.connection()
    alert_id = connection.execute(
        insert(ALERT)
        .values(
            scope_id=assessed.scope.id,
            item_id=assessed.item.id,
            sequence=sequence,
            level=change.level.value,
            previous_level=change.previous and change.previous.value,
            change=change.change,
            reason_zh=assessed.reason.zh,
            reason_en=assessed.reason.en,
            coverage=compact(assessed.row),
            raised_at=now,
        )
        .returning(ALERT.c.id)
    ).scalar_one()
    told = _told_before(session, assessed.scope.id, assessed.item.id, sequence)
    rows = [
        {
            "alert_id": alert_id,
            "receiver_id": receiver.id,
            "state": NoticeState.PENDING.value,
            "attempts": 0,
            "created_at": now,
            "next_attempt_at": now,
        }
        for receiver in receivers
        if assessed.scope.path.startswith(receiver.scope_path)
        and (change.level.value in receiver.levels or receiver.id in told)
    ]
    if rows:
        connection.execute(insert(NOTICE), rows)


def _told_before(session: Session, scope_id: int, item_id: int, sequence: int) -> set[int]:
    """Who heard of the fall hears of all that follows up to the recovery, whatever levels they asked for."""
    asked = {"scope": scope_id, "item": item_id, "sequence": sequence}
    return set(session.connection().execute(_TOLD, asked).scalars())


def _earlier(alert: FromClause) -> ColumnElement[bool]:
    return and_(
        alert.c.scope_id == bindparam("scope"),
        alert.c.item_id == bindparam("item"),
        alert.c.sequence < bindparam("sequence"),
    )


_recovery = ALERT.alias("recovery")
_recovered = select(func.coalesce(func.max(_recovery.c.sequence), 0)).where(
    _earlier(_recovery), _recovery.c.level == Level.NORMAL.value
)
_TOLD = (
    select(NOTICE.c.receiver_id)
    .join(ALERT, ALERT.c.id == NOTICE.c.alert_id)
    .where(_earlier(ALERT), ALERT.c.sequence > _recovered.scalar_subquery())
)
_newest = (
    select(ALERT.c.scope_id, func.max(ALERT.c.sequence).label("sequence"))
    .where(ALERT.c.item_id == bindparam("item"), ALERT.c.scope_id.in_(bindparam("scopes", expanding=True)))
    .group_by(ALERT.c.scope_id)
    .subquery()
)
_LAST = select(ALERT.c.scope_id, ALERT.c.sequence, ALERT.c.level).join(
    _newest,
    and_(
        ALERT.c.scope_id == _newest.c.scope_id,
        ALERT.c.sequence == _newest.c.sequence,
        ALERT.c.item_id == bindparam("item"),
    ),
)


# -- receivers --------------------------------------------------------------------------------------------------------


class ReceiverRow(NamedTuple):
    id: int
    name: str
    kind: str
    url: str
    secret: str | None
    scope_path: str
    scope: str
    levels: frozenset[str]
    language: str
    created_at: datetime


class NewReceiver(NamedTuple):
    name: str
    url: str
    scope: str
    secret: str | None = None
    levels: Sequence[str] = tuple(Level)
    language: str = "zh"
    kind: str = "webhook"


def add_receiver(session: Session, new: NewReceiver, now: datetime) -> ReceiverRow:
    """Make a receiver for everything at and below its scope. Whether its address is allowed is the edge's to judge."""
    scope = catalogue.require_place(session, new.scope, "/scope")
    receiver_id = (
        session.connection()
        .execute(
            insert(RECEIVER)
            .values(
                name=new.name,
                kind=new.kind,
                url=new.url,
                secret=new.secret,
                scope_id=scope.id,
                levels=json.dumps(sorted(new.levels)),
                language=new.language,
                created_at=now,
            )
            .returning(RECEIVER.c.id)
        )
        .scalar_one()
    )
    return next(r for r in active_receivers(session) if r.id == receiver_id)


def active_receivers(session: Session) -> list[ReceiverRow]:
    statement = (
        select(
            RECEIVER.c.id,
            RECEIVER.c.name,
            RECEIVER.c.kind,
            RECEIVER.c.url,
            RECEIVER.c.secret,
            PLACE.c.path,
            PLACE.c.code,
            RECEIVER.c.levels,
            RECEIVER.c.language,
            RECEIVER.c.created_at,
        )
        .join(PLACE, PLACE.c.id == RECEIVER.c.scope_id)
        .where(RECEIVER.c.retired_at.is_(None))
        .order_by(RECEIVER.c.id)
    )
    rows = [ReceiverRow._make(row) for row in session.connection().execute(statement)]
    return [row._replace(levels=frozenset(json.loads(str(row.levels)))) for row in rows]


def retire_receiver(session: Session, receiver_id: int, now: datetime) -> None:
    """Tell this receiver nothing more; what waits for it is given up."""
    gone = session.connection().execute(
        update(RECEIVER).where(RECEIVER.c.id == receiver_id, RECEIVER.c.retired_at.is_(None)).values(retired_at=now)
    )
    if gone.rowcount == 0:
        raise Unknown(f"There is no receiver {receiver_id}.", code="unknown_receiver")
    session.connection().execute(
        update(NOTICE)
        .where(NOTICE.c.receiver_id == receiver_id, NOTICE.c.state == NoticeState.PENDING.value)
        .values(state=NoticeState.FAILED.value, last_error="the receiver was taken out of use")
    )


# -- asking -----------------------------------------------------------------------------------------------------------


class NoticeTold(NamedTuple):
    id: int
    receiver: str
    state: str
    attempts: int
    delivered_at: datetime | None
    last_error: str | None


class AlertTold(NamedTuple):
    id: int
    scope: str
    scope_path: str
    item: str
    sequence: int
    level: str
    previous_level: str | None
    change: str
    reason_zh: str
    reason_en: str
    coverage: str
    raised_at: datetime
    latest: bool
    notices: tuple[NoticeTold, ...] = ()


def told(
    session: Session,
    *,
    within: str | None = None,
    level: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AlertTold]:
    """Alerts, newest first, with every notice. `state` open: the thread's newest, not normal; resolved: the others."""
    newest = (
        select(func.max(ALERT.c.sequence))
        .where(ALERT.c.scope_id == (a := aliased(ALERT, name="a")).c.scope_id, ALERT.c.item_id == a.c.item_id)
        .correlate(a)
        .scalar_subquery()
    )
    latest = a.c.sequence == newest
    statement = (
        select(
            a.c.id,
            PLACE.c.code,
            PLACE.c.path,
            ITEM.c.code,
            a.c.sequence,
            a.c.level,
            a.c.previous_level,
            a.c.change,
            a.c.reason_zh,
            a.c.reason_en,
            a.c.coverage,
            a.c.raised_at,
            latest.label("latest"),
        )
        .join(PLACE, PLACE.c.id == a.c.scope_id)
        .join(ITEM, ITEM.c.id == a.c.item_id)
        .order_by(a.c.id.desc())
        .limit(limit)
    )
    if within is not None:
        statement = statement.where(PLACE.c.path.like(f"{within}%"))
    if level is not None:
        statement = statement.where(a.c.level == level)
    if before is not None:
        statement = statement.where(a.c.id < before)
    if state is not None:
        is_open = and_(latest, a.c.level != Level.NORMAL.value)
        statement = statement.where(is_open if state == "open" else ~is_open)
    found = [AlertTold._make([*row, ()]) for row in session.connection().execute(statement)]
    notices = _notices(session, [alert.id for alert in found])
    return [alert._replace(latest=bool(alert.latest), notices=tuple(notices.get(alert.id, ()))) for alert in found]


def _notices(session: Session, alert_ids: list[int]) -> dict[int, list[NoticeTold]]:
    statement = (
        select(
            NOTICE.c.alert_id,
            NOTICE.c.id,
            RECEIVER.c.name,
            NOTICE.c.state,
            NOTICE.c.attempts,
            NOTICE.c.delivered_at,
            NOTICE.c.last_error,
        )
        .join(RECEIVER, RECEIVER.c.id == NOTICE.c.receiver_id)
        .where(NOTICE.c.alert_id.in_(alert_ids))
        .order_by(NOTICE.c.id)
    )
    found: dict[int, list[NoticeTold]] = {}
    for alert_id, *rest in session.connection().execute(statement):
        found.setdefault(alert_id, []).append(NoticeTold._make(rest))
    return found
