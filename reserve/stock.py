"""Questions to the ledger: what lies where, now or at the end of any day, and what moved. Reads only."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import lots
from reserve.catalogue import ITEM, PLACE, Place
from reserve.entry import day_bounds
from reserve.lots import HOLD, LOT, is_expired
from reserve.model import OUTSIDE, Allocation, table
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT, Recorded

ALLOCATION = table(Allocation)

OWN = "reserve"
INSPECTION = "inspection"
"""Why goods in a bay are not usable yet."""


class StockRow(NamedTuple):
    """One lot at one place. `usable` is 0 for a lot past its last usable day, on hold, or waiting for inspection.

    `allocated` of it is promised to requisitions; `owner` is whose it is where it is not the reserve's.
    """

    location_id: int
    lot_id: int
    item_id: int
    location: str
    item: str
    lot_number: str
    expires_on: date | None
    on_hand: int
    hold: str | None
    allocated: int
    owner: str | None
    expired: bool = False

    @property
    def usable(self) -> int:
        return 0 if self.expired or self.hold else self.on_hand

    @property
    def available(self) -> int:
        """What a clerk may still hand out without breaking a promise."""
        return max(0, self.usable - self.allocated)


class StockQuestion(NamedTuple):
    """`day` is the civil day on which lots are judged; `at` the moment whose books are asked, None for now."""

    day: date
    scope: Place | None = None
    item_id: int | None = None
    lot_number: str | None = None
    at: datetime | None = None
    known_at: datetime | None = None
    include_zero: bool = False
    after: tuple[int, int] | None = None
    limit: int | None = None
    owner: str | None = None
    """`reserve`: what is the reserve's own; else whose it is by name."""


def rows(session: Session, question: StockQuestion) -> list[StockRow]:
    """Lots at places, in the order of (place, lot): from the balances, or summed from the movements for a past day."""
    past = question.at is not None or question.known_at is not None
    balances = select(BALANCE.c.location_id, BALANCE.c.lot_id, BALANCE.c.on_hand)
    source = _summed(question, by_place=_by_place(session, question)) if past else balances
    held = source.subquery("held")
    statement = (
        select(
            PLACE.c.id,
            LOT.c.id,
            LOT.c.item_id,
            PLACE.c.code,
            ITEM.c.code,
            LOT.c.lot_number,
            LOT.c.expires_on,
            held.c.on_hand,
            _hold_reason(question),
            _allocated(past=past),
            PLACE.c.owner,
        )
        .select_from(held)
        .join(PLACE, PLACE.c.id == held.c.location_id)
        .join(LOT, LOT.c.id == held.c.lot_id)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .where(*_asked(question, held.c.on_hand))
        .order_by(PLACE.c.id, LOT.c.id)
    )
    if question.limit is not None:
        statement = statement.limit(question.limit)
    known = {} if question.known_at is None else lots.dates_known(session, question.known_at)
    return [_stock_row(row, question.day, known) for row in session.connection().execute(statement)]


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment after a civil day: the books `as_of` a day hold everything that happened before it."""
    return day_bounds(day, zone)[1]


def _stock_row(row: Row[*tuple[Any, ...]], day: date, known: Mapping[int, lots.Dates]) -> StockRow:
    found = StockRow(*row)
    until = known[found.lot_id].expires_on if found.lot_id in known else found.expires_on
    return found._replace(
        on_hand=int(found.on_hand),
        allocated=int(found.allocated),
        expires_on=until,
        expired=is_expired(until, day),
    )


def _asked(question: StockQuestion, on_hand: ColumnElement[int]) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [PLACE.c.kind.not_in(OUTSIDE)]
    if question.scope is not None:
        wanted.append(PLACE.c.path.like(f"{question.scope.path}%"))
    if question.item_id is not None:
        wanted.append(LOT.c.item_id == question.item_id)
    if question.lot_number is not None:
        wanted.append(LOT.c.lot_number == question.lot_number)
    if question.owner is not None:
        wanted.append(PLACE.c.owner.is_(None) if question.owner == OWN else PLACE.c.owner == question.owner)
    if not question.include_zero:
        wanted.append(on_hand != 0)
    if question.after is not None:
        place, lot = question.after
        wanted.append(or_(PLACE.c.id > place, and_(PLACE.c.id == place, LOT.c.id > lot)))
    return wanted


def _hold_reason(question: StockQuestion) -> ColumnElement[str | None]:
    """The gravest hold that stood at the moment asked about, as far as it was known then: recall, quarantine, damage.

    What lies in a bay waits for inspection, which holds it like any other reason.
    """
    standing: list[ColumnElement[bool]] = [HOLD.c.lot_id == LOT.c.id]
    not_lifted: list[ColumnElement[bool]] = [HOLD.c.lifted_at.is_(None)]
    if question.at is not None:
        standing.append(HOLD.c.placed_at < question.at)
        not_lifted.append(HOLD.c.lifted_at >= question.at)
    if question.known_at is not None:
        standing.append(HOLD.c.placed_at <= question.known_at)
        not_lifted.append(HOLD.c.lifted_at > question.known_at)
    standing.append(or_(*not_lifted))
    gravest = select(func.max(HOLD.c.reason)).where(*standing).scalar_subquery()
    return func.coalesce(gravest, case((PLACE.c.bay_of.is_not(None), INSPECTION)))


def _allocated(*, past: bool) -> ColumnElement[int]:
    """What is promised of the lot at the place; of the past nobody can promise."""
    if past:
        return literal(0)
    promised = select(func.sum(ALLOCATION.c.quantity)).where(
        ALLOCATION.c.location_id == PLACE.c.id, ALLOCATION.c.lot_id == LOT.c.id
    )
    return func.coalesce(promised.scalar_subquery(), 0)


_TAIL = 50_000
"""Movements since a moment that are read faster by their time than those of the places asked about by their place."""


def _rolled_back(question: StockQuestion) -> bool:
    return question.known_at is None and not question.include_zero


def _by_place(session: Session, question: StockQuestion) -> bool:
    """Whether what has moved since is found by place and lot, or by time: for a day long ago, by time is nearly all."""
    if question.item_id is not None or question.lot_number is not None or not _rolled_back(question):
        return True
    if question.scope is None or question.scope.parent_id is None:
        return False
    since = select(MOVEMENT.c.id).where(MOVEMENT.c.occurred_at >= question.at).limit(_TAIL + 1).subquery()
    return session.connection().execute(select(func.count()).select_from(since)).scalar_one() > _TAIL


def _summed(question: StockQuestion, *, by_place: bool) -> Select[tuple[int, int, int]]:
    """What lay there at a moment: today's balances less what has moved since, or, as known at a moment, every movement.

    The first costs what has moved since, not what the ledger holds. It cannot tell a lot that had been used up from one
    that was first received later, so with `include_zero` every movement is summed too.
    """
    if _rolled_back(question):
        balances = select(BALANCE.c.location_id, BALANCE.c.lot_id, BALANCE.c.on_hand.label("change"))
        balances = balances.where(*_narrowed(question, BALANCE.c.location_id, BALANCE.c.lot_id))
        since = (_half(question, end, sign, by_place=by_place) for end, sign in (("target", -1), ("source", 1)))
        parts = union_all(balances, *since).subquery("flow")
    else:
        before = (_half(question, end, sign, by_place=True) for end, sign in (("target", 1), ("source", -1)))
        parts = union_all(*before).subquery("flow")
    return select(parts.c.location_id, parts.c.lot_id, func.sum(parts.c.change).label("on_hand")).group_by(
        parts.c.location_id, parts.c.lot_id
    )


def _half(question: StockQuestion, end: str, sign: int, *, by_place: bool) -> Select[tuple[int, int, int]]:
    """Movements at one of their ends: those before the moment that were known then, or all since it."""
    column = MOVEMENT.c[f"{end}_id"]
    statement = select(column.label("location_id"), MOVEMENT.c.lot_id, (MOVEMENT.c.quantity * sign).label("change"))
    if _rolled_back(question):
        statement = statement.where(MOVEMENT.c.occurred_at >= question.at)
        # by time, the places are chosen where the sum is taken: named here, they would be looked up first
        return statement.where(*_narrowed(question, column, MOVEMENT.c.lot_id)) if by_place else statement
    if question.at is not None:
        statement = statement.where(MOVEMENT.c.occurred_at < question.at)
    if question.known_at is not None:
        statement = statement.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
            DOCUMENT.c.recorded_at <= question.known_at
        )
    return statement.where(*_narrowed(question, column, MOVEMENT.c.lot_id))


def _narrowed(question: StockQuestion, place: ColumnElement[int], lot: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """The places and lots that are asked about."""
    wanted: list[ColumnElement[bool]] = []
    named = [
        column == value
        for column, value in ((LOT.c.item_id, question.item_id), (LOT.c.lot_number, question.lot_number))
        if value is not None
    ]
    if named:
        wanted.append(lot.in_(select(LOT.c.id).where(*named)))
    if question.scope is not None:
        wanted.append(place.in_(select(PLACE.c.id).where(PLACE.c.path.like(f"{question.scope.path}%"))))
    return wanted


# -- movements --------------------------------------------------------------------------------------------------------


class MovementQuestion(NamedTuple):
    scope: Place | None = None
    item_id: int | None = None
    lot_number: str | None = None
    document: str | None = None
    movement_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, int] | None = None
    limit: int = 100


def movements(session: Session, question: MovementQuestion) -> list[Recorded]:
    """The ledger, newest first by (occurred_at, id)."""
    source, target = aliased(PLACE, name="source"), aliased(PLACE, name="target")
    statement = (
        select(
            MOVEMENT.c.id,
            DOCUMENT.c.number,
            DOCUMENT.c.kind,
            ITEM.c.code,
            LOT.c.lot_number,
            LOT.c.expires_on,
            source.c.code,
            target.c.code,
            MOVEMENT.c.quantity,
            MOVEMENT.c.occurred_at,
            DOCUMENT.c.recorded_at,
            DOCUMENT.c.actor,
            MOVEMENT.c.reason,
            DOCUMENT.c.reference,
            DOCUMENT.c.purpose,
            DOCUMENT.c.recipient,
            MOVEMENT.c.reverses,
            DOCUMENT.c.party,
        )
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .join(source, source.c.id == MOVEMENT.c.source_id)
        .join(target, target.c.id == MOVEMENT.c.target_id)
        .order_by(MOVEMENT.c.occurred_at.desc(), MOVEMENT.c.id.desc())
        .limit(question.limit)
    )
    if question.scope is not None:
        pattern = f"{question.scope.path}%"
        statement = statement.where(or_(source.c.path.like(pattern), target.c.path.like(pattern)))
    equal = (
        (question.item_id, LOT.c.item_id),
        (question.lot_number, LOT.c.lot_number),
        (question.document, DOCUMENT.c.number),
        (question.movement_id, MOVEMENT.c.id),
    )
    statement = statement.where(*(column == value for value, column in equal if value is not None))
    if question.since is not None:
        statement = statement.where(MOVEMENT.c.occurred_at >= question.since)
    if question.until is not None:
        statement = statement.where(MOVEMENT.c.occurred_at < question.until)
    if question.before is not None:
        at, movement_id = question.before
        earlier = and_(MOVEMENT.c.occurred_at == at, MOVEMENT.c.id < movement_id)
        statement = statement.where(or_(MOVEMENT.c.occurred_at < at, earlier))
    return [Recorded._make(row) for row in session.connection().execute(statement)]
