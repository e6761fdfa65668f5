"""Coverage read and kept: the rows of one item for any number of scopes at once, judged, and stored by the worker."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BindParameter, Row, Select, bindparam, delete, func, null, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from reserve import assessment, catalogue, changes, commitments, consumption, policy, stock, supply, transit
from reserve.assessment import DEFAULT_LOOK_BACK_DAYS, Assessment, Json, Situation
from reserve.catalogue import ITEM, PLACE, ItemRow, Place
from reserve.changes import ChangeRow
from reserve.lots import LOT
from reserve.model import Coverage, CoverageDay, LocationKind, table
from reserve.policy import MAX_LOOK_AHEAD_DAYS, PolicyRow
from reserve.posting import BALANCE, DUE
from reserve.seals import Sealed

COVERAGE, COVERAGE_DAY = (table(model) for model in (Coverage, CoverageDay))

STALE_AFTER = timedelta(hours=26)
"""A day's assessment comes after each midnight; two hours of grace."""


class When(NamedTuple):
    """Which day is judged, and with whose knowledge: `at` is the end of a past day, None for the books of now."""

    as_of: date
    now: datetime
    zone: ZoneInfo
    at: datetime | None = None
    known_at: datetime | None = None


def when(as_of: date | None, *, now: datetime, zone: ZoneInfo, known_at: datetime | None = None) -> When:
    """Today by the live books, or a past day by what had happened at its end (and been told by `known_at`)."""
    today = now.astimezone(zone).date()
    day = as_of or today
    return When(day, now, zone, None if day == today and known_at is None else stock.end_of_day(day, zone), known_at)


class Board(NamedTuple):
    """What is the same for every item of a pass: places, and the policies in force on the day."""

    places: Mapping[int, Place]
    policies: Sequence[PolicyRow]
    changes: Sequence[ChangeRow] = ()
    """Known changes of use."""


def board(session: Session, moment: When) -> Board:
    places = {place.id: place for place in catalogue.places(session)}
    rules = policy.in_force(session, moment.as_of, moment.known_at)
    # stating and taking back are acts of their day: what was said after a past day did not weigh on it
    said_by = min((m for m in (moment.at, moment.known_at) if m is not None), default=None)
    return Board(places, rules, changes.standing(session, known_at=said_by))


def read(
    session: Session,
    world: Board,
    item: ItemRow,
    scopes: Sequence[Place],
    moment: When,
    method: str | None = None,
) -> list[Situation]:
    """The rows of one item for all `scopes`, in so many queries however many scopes there are."""
    inside = [place for place in world.places.values() if place.inside and place.kind != LocationKind.TRANSIT]
    question = stock.StockQuestion(day=moment.as_of, item_id=item.id, at=moment.at, known_at=moment.known_at)
    lots = [
        row
        for row in stock.rows(session, question)
        if row.owner is None and world.places[row.location_id].kind != LocationKind.TRANSIT
    ]
    on_the_road = transit.on_the_road(session, item.id, at=moment.at, known_at=moment.known_at)
    promises = commitments.promised(session, item.id, as_of=moment.as_of, at=moment.at, known_at=moment.known_at)
    coming = supply.coming(session, item.id, as_of=moment.as_of, at=moment.at, known_at=moment.known_at)
    speaking = [p for p in world.policies if p.speaks_of(item)]
    look_back = max([DEFAULT_LOOK_BACK_DAYS, *(p.look_back_days for p in speaking)])
    history = consumption.history(
        session,
        item_id=item.id,
        places=inside,
        last=moment.as_of - timedelta(days=1),
        days=look_back,
        zone=moment.zone,
        known_at=moment.known_at,
    )
    situations = []
    for scope in scopes:
        applying = policy.applying(speaking, item, scope, dict(world.places))
        ahead = (moment.as_of, MAX_LOOK_AHEAD_DAYS)
        known = changes.applying(world.changes, item, scope, world.places, *ahead)
        situations.append(
            Situation(
                scope=scope,
                item=item,
                as_of=moment.as_of,
                lots=[row for row in lots if scope.holds(world.places[row.location_id])],
                in_transit=sum(n for place, n in on_the_road.items() if scope.holds(world.places[place])),
                history=history.below(scope),
                policies=applying,
                declared=any(p.scope_id == scope.id for p in applying),
                method=method,
                promises=[p for p in promises if scope.holds(world.places[p.scope_id])],
                coming=[c for c in coming if scope.holds(world.places[c.location_id])],
                changes=known,
                factor=changes.factors(world.changes, item, scope, world.places, *ahead) if known else None,
            )
        )
    return situations


def scopes_of(session: Session, world: Board, item: ItemRow) -> list[Place]:
    """Where an item is assessed: every scope that has held it, that a policy names it for, or that has a row of it.

    A row that was kept stays up to date when its policy has ended: it then says that no policy rules.
    """
    ids = {p.scope_id for p in world.policies if p.speaks_of(item)}
    ids.update(session.connection().execute(_KEPT, {"item": item.id}).scalars())
    for location_id in session.connection().execute(_STOCKED, {"item": item.id}).scalars():
        ids.update(_ancestors(world.places[location_id]))
    inside = [world.places[i] for i in ids if world.places[i].inside]
    return sorted((p for p in inside if p.kind != LocationKind.TRANSIT), key=lambda p: p.path)


def assess_item(
    session: Session, world: Board, item: ItemRow, scopes: Sequence[Place], moment: When
) -> list[Assessment]:
    return [assessment.assess(case) for case in read(session, world, item, scopes, moment)]


def _ancestors(place: Place) -> list[int]:
    """The ids from the top down to the place itself."""
    return [int(part) for part in place.path.strip("/").split("/")]


_STOCKED = (
    select(BALANCE.c.location_id).join(LOT, LOT.c.id == BALANCE.c.lot_id).where(LOT.c.item_id == bindparam("item"))
).distinct()
_KEPT = select(COVERAGE.c.scope_id).where(COVERAGE.c.item_id == bindparam("item"))


# -- keeping (the worker) ---------------------------------------------------------------------------------------------


def items_due(session: Session, limit: int) -> list[int]:
    """Items with changes that wait, those that have waited longest first."""
    statement = select(DUE.c.item_id).group_by(DUE.c.item_id).order_by(func.min(DUE.c.id)).limit(limit)
    return list(session.connection().execute(statement).scalars())


def take_due(session: Session, item_id: int) -> set[int]:
    """Take an item's waiting changes off the queue: the places where something changed.

    Deleted first and the ledger read afterwards, in the same READ COMMITTED transaction: a movement that is not
    visible to the reading has not been deleted here either, and keeps its own row for the next beat. The item stays
    locked against a second worker until this transaction ends: an older reading must not be stored over a newer one.
    """
    session.connection().execute(_LOCK_ITEM, {"item": item_id})
    gone = session.connection().execute(delete(DUE).where(DUE.c.item_id == item_id).returning(DUE.c.location_id))
    return set(gone.scalars())


_LOCK_ITEM = select(ITEM.c.id).where(ITEM.c.id == bindparam("item")).with_for_update(key_share=True)


def scopes_due(world: Board, scopes: Sequence[Place], changed: Iterable[int]) -> list[Place]:
    """Of the scopes of an item, those at or above a place where something changed."""
    touched = {i for location_id in changed for i in _ancestors(world.places[location_id])}
    return [scope for scope in scopes if scope.id in touched]


def out_of_date(session: Session, world: Board, today: date) -> set[int]:
    """Items to assess without any movement: last judged on an earlier day, or never though a policy names them."""
    rows = session.connection().execute(select(COVERAGE.c.scope_id, COVERAGE.c.item_id, COVERAGE.c.as_of)).all()
    old = {row.item_id for row in rows if row.as_of < today}
    kept = {(row.scope_id, row.item_id) for row in rows}
    items = catalogue.items(session)
    new = {i.id for p in world.policies for i in items if p.speaks_of(i) and (p.scope_id, i.id) not in kept}
    return old | new


def store(session: Session, found: Sequence[Assessment], now: datetime, sealed: Sealed | None = None) -> None:
    """Keep the rows of one item; each gets a number above its last, and its day's place in the trend.

    `sealed` is the seal under which everything lies that the rows rest on, where one holds all of it.
    """
    if not found:
        return
    connection = session.connection()
    item_id = found[0].item.id
    scopes = sorted(a.scope.id for a in found)
    last = {row.scope_id: row.number for row in connection.execute(_NUMBERS, {"item": item_id, "scopes": scopes})}
    rows = [
        {
            "scope_id": a.scope.id,
            "item_id": item_id,
            "number": last.get(a.scope.id, 0) + 1,
            "as_of": a.as_of,
            "assessed_at": now,
            "level": a.level.value,
            "falls_below_on": a.falls_below_on,
            "reason_code": a.verdict.reason,
            "reason_zh": a.reason.zh,
            "reason_en": a.reason.en,
            "row": compact({**a.row, "sealed": None if sealed is None else sealed.told}),
            "explanation": compact(a.explanation),
        }
        for a in sorted(found, key=lambda a: a.scope.id)
    ]
    connection.execute(_KEEP[connection.dialect.name], rows)
    days = [
        {"scope_id": r["scope_id"], "item_id": item_id, "day": r["as_of"], "level": r["level"], "row": r["row"]}
        for r in rows
    ]
    connection.execute(_KEEP_DAY[connection.dialect.name], days)


def _upsert(dialect: Any, into: Any, keys: Sequence[str]) -> Any:  # noqa: ANN401 - two dialects, one form
    statement = dialect.insert(into)
    changed = {c.name: statement.excluded[c.name] for c in into.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_KEEP = {name: _upsert(dialect, COVERAGE, ("scope_id", "item_id")) for name, dialect in _DIALECTS.items()}
_KEEP_DAY = {
    name: _upsert(dialect, COVERAGE_DAY, ("scope_id", "item_id", "day")) for name, dialect in _DIALECTS.items()
}
_NUMBERS = (
    select(COVERAGE.c.scope_id, COVERAGE.c.number)
    .where(COVERAGE.c.item_id == bindparam("item"), COVERAGE.c.scope_id.in_(bindparam("scopes", expanding=True)))
    .order_by(COVERAGE.c.scope_id)
    .with_for_update()
)


# -- asking -----------------------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A kept row: `row` and `explanation` are JSON text; `stale` when a later movement waits, or it is too old."""

    scope: str
    item: str
    number: int
    level: str
    assessed_at: datetime
    reason_zh: str
    reason_en: str
    row: str
    explanation: str | None
    stale: bool

    def text(self, language: str) -> str:
        """The row as it is answered, without parsing what was stored."""
        reason = json.dumps(self.reason_zh if language == "zh" else self.reason_en, ensure_ascii=False)
        assessed = self.assessed_at.isoformat().replace("+00:00", "Z")
        stale = "true" if self.stale else "false"
        return f'{self.row[:-1]},"stale":{stale},"reason":{reason},"assessed_at":"{assessed}"}}'


class TableQuestion(NamedTuple):
    scope: str | None = None
    within: Place | None = None
    """Nothing outside this subtree is told."""
    item: str | None = None
    category: str | None = None
    level: str | None = None
    after: tuple[int, int] | None = None
    limit: int | None = None


def stored(session: Session, question: TableQuestion, now: datetime, *, explained: bool = False) -> list[Stored]:
    """Kept rows in the order of (scope, item): answered as they were stored. Explanations are long: only when asked."""
    given: dict[str, object] = {
        "scope": question.scope,
        "within": question.within and f"{question.within.path}%",
        "item": question.item,
        "category": question.category,
        "level": question.level,
        "after_scope": question.after and question.after[0],
        "after_item": question.after and question.after[1],
        "limit": question.limit,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    waiting = _waiting(session)
    rows = session.connection().execute(_rows_asked(frozenset(asked), explained=explained), asked)
    return [_stored(row, waiting, now) for row in rows]


@lru_cache(maxsize=256)
def _rows_asked(names: frozenset[str], *, explained: bool) -> Select[*tuple[Any, ...]]:
    """The statement for these filters, built once: building it costs more than the database takes to answer."""
    statement = (
        select(
            PLACE.c.code,
            ITEM.c.code,
            COVERAGE.c.number,
            COVERAGE.c.level,
            COVERAGE.c.assessed_at,
            COVERAGE.c.reason_zh,
            COVERAGE.c.reason_en,
            COVERAGE.c.row,
            COVERAGE.c.explanation if explained else null(),
            PLACE.c.path,
            COVERAGE.c.item_id,
        )
        .join(PLACE, PLACE.c.id == COVERAGE.c.scope_id)
        .join(ITEM, ITEM.c.id == COVERAGE.c.item_id)
        .order_by(COVERAGE.c.scope_id, COVERAGE.c.item_id)
    )
    scope: BindParameter[int] = bindparam("after_scope")
    item: BindParameter[int] = bindparam("after_item")
    conditions = {
        "scope": PLACE.c.code == bindparam("scope"),
        "within": PLACE.c.path.like(bindparam("within")),
        "item": ITEM.c.code == bindparam("item"),
        "category": ITEM.c.category == bindparam("category"),
        "level": COVERAGE.c.level == bindparam("level"),
        "after_scope": (COVERAGE.c.scope_id > scope) | ((COVERAGE.c.scope_id == scope) & (COVERAGE.c.item_id > item)),
    }
    statement = statement.where(*(condition for name, condition in conditions.items() if name in names))
    return statement.limit(bindparam("limit")) if "limit" in names else statement


def _stored(row: Row[*tuple[Any, ...]], waiting: Mapping[int, list[str]], now: datetime) -> Stored:
    *fields, path, item_id = row
    found = Stored._make([*fields, False])
    changed = any(below.startswith(path) for below in waiting.get(item_id, ()))
    return found._replace(stale=changed or now - found.assessed_at > STALE_AFTER)


def _waiting(session: Session) -> dict[int, list[str]]:
    """Places with a change that is not assessed yet, by item."""
    found: dict[int, list[str]] = defaultdict(list)
    for item_id, path in session.connection().execute(_WAITING):
        found[item_id].append(path)
    return found


_WAITING = select(DUE.c.item_id, PLACE.c.path).join(PLACE, PLACE.c.id == DUE.c.location_id).distinct()


def compact(value: Json) -> str:
    """JSON text as it is stored and answered."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def last_assessed(session: Session) -> datetime | None:
    """When anything was last assessed."""
    found: datetime | None = session.connection().execute(select(func.max(COVERAGE.c.assessed_at))).scalar_one()
    return found
