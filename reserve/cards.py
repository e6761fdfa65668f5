"""The stock card (库存台账): every movement of an item at one place, in order, with its running balance. Reads only.

A card is of exactly one place: the bay where goods wait for inspection has its own, and so has each store of a region.
Both halves of the flow, in and out, are answered from the covering index of their end; a page begins at a sum.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, or_, select, union_all
from sqlmodel import Session

from reserve import documents
from reserve.catalogue import PLACE, ItemRow, Place
from reserve.documents import Line
from reserve.errors import Invalid
from reserve.lots import LOT
from reserve.model import LocationKind
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT

STORES_NAMED = 50
_AT_ONCE = 10_000


class CardQuestion(NamedTuple):
    """`since` is the first moment counted, `until` the first no longer; `after` the last row of the page before.

    With a `lot_number` the balance is that lot's. `limit` None: the whole period.
    """

    place: Place
    item: ItemRow
    lot_number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    known_at: datetime | None = None
    after: tuple[datetime, int] | None = None
    limit: int | None = 100


class CardRow(NamedTuple):
    line: Line
    received: int
    issued: int
    balance: int
    counterpart: Place
    """Where it came from, or went to; over the road, the other end of the transfer."""


class Period(NamedTuple):
    """What the whole period sums to: opening + received - issued is closing."""

    opening: int
    received: int
    issued: int
    closing: int
    rows: int


class Card(NamedTuple):
    """Opening balance, rows, and the balance after the last of them; of the whole period in `period`."""

    question: CardQuestion
    opening: int
    rows: list[CardRow]
    closing: int
    period: Period
    following: tuple[datetime, int] | None


def card(session: Session, question: CardQuestion) -> Card:
    """A page of the card.

    Raises
    ------
    Invalid
        `not_a_store`: a region that keeps no such goods itself; the refusal names the stores below it that do.
    """
    _refuse_a_region(session, question.place, question.item)
    period = _period(session, question)
    opening = period.opening if question.after is None else _sum_up_to(session, question, question.after)
    changes = _page(session, question)
    more = question.limit is not None and len(changes) > question.limit
    kept = changes[: question.limit]
    told = _lines(session, [movement_id for movement_id, _ in kept], question.known_at)
    far = _far_ends(session, question.place, told.values())
    rows, balance = [], opening
    for movement_id, change in kept:
        balance += change
        other = far.get(movement_id) or (told[movement_id].source if change > 0 else told[movement_id].target)
        rows.append(CardRow(told[movement_id], max(0, change), max(0, -change), balance, other))
    last = rows[-1].line if more else None
    return Card(question, opening, rows, balance, period, (last.occurred_at, last.id) if last else None)


def _far_ends(session: Session, place: Place, told: Iterable[Line]) -> dict[int, Place]:
    """The other end of the transfer, by movement, where that is not the place itself: goods that turned round."""
    travelling = [line for line in told if line.on_the_road]
    roads = documents.roads(session, travelling)
    ends = {line.id: roads.get(line.root) for line in travelling}
    found = {
        movement_id: road.target if road.source.id == place.id else road.source
        for movement_id, road in ends.items()
        if road is not None
    }
    return {movement_id: other for movement_id, other in found.items() if other.id != place.id}


def stores(session: Session, place: Place, item: ItemRow) -> list[Place]:
    """The places at and below this one where the item lies or has lain, those with most first."""
    statement = (
        select(PLACE.c.id)
        .join(BALANCE, BALANCE.c.location_id == PLACE.c.id)
        .join(LOT, LOT.c.id == BALANCE.c.lot_id)
        .where(LOT.c.item_id == item.id, PLACE.c.path.like(f"{place.path}%"))
        .group_by(PLACE.c.id)
        .order_by(func.sum(BALANCE.c.on_hand).desc(), PLACE.c.id)
        .limit(STORES_NAMED)
    )
    ids = list(session.connection().execute(statement).scalars())
    found = documents.places_by_id(session, ids)
    return [found[place_id] for place_id in ids]


def _refuse_a_region(session: Session, place: Place, item: ItemRow) -> None:
    if place.kind != LocationKind.REGION:
        return
    below = stores(session, place, item)
    if place in below:
        return
    raise Invalid(
        f"{place.code} is a region; a stock card is of one store. Ask for one of: "
        f"{', '.join(found.code for found in below[:10]) or 'none below it has ever held this item'}.",
        code="not_a_store",
        extra={"stores": [found.code for found in below]},
    )


# -- the flow ---------------------------------------------------------------------------------------------------------


def _flow(question: CardQuestion, *within: ColumnElement[bool]) -> Subquery:
    """What came (+) and went (-), both halves from the covering index of their end."""
    halves = (_half(question, "target", 1, within), _half(question, "source", -1, within))
    return union_all(*halves).subquery("flow")


def _half(
    question: CardQuestion, end: str, sign: int, within: tuple[ColumnElement[bool], ...]
) -> Select[tuple[int, datetime, int]]:
    lots = select(LOT.c.id).where(LOT.c.item_id == question.item.id)
    if question.lot_number is not None:
        lots = lots.where(LOT.c.lot_number == question.lot_number)
    statement = select(MOVEMENT.c.id, MOVEMENT.c.occurred_at, (MOVEMENT.c.quantity * sign).label("change")).where(
        MOVEMENT.c[f"{end}_id"] == question.place.id, MOVEMENT.c.lot_id.in_(lots), *within
    )
    if question.known_at is not None:
        statement = statement.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
            DOCUMENT.c.recorded_at <= question.known_at
        )
    return statement


def _until(question: CardQuestion) -> list[ColumnElement[bool]]:
    return [] if question.until is None else [MOVEMENT.c.occurred_at < question.until]


def _period(session: Session, question: CardQuestion) -> Period:
    flow = _flow(question, *_until(question))
    before = flow.c.occurred_at < question.since if question.since is not None else flow.c.id < 0
    statement = select(
        func.sum(case((before, flow.c.change), else_=0)),
        func.sum(case((and_(~before, flow.c.change > 0), flow.c.change), else_=0)),
        func.sum(case((and_(~before, flow.c.change < 0), -flow.c.change), else_=0)),
        func.sum(case((before, 0), else_=1)),
    )
    opening, received, issued, rows = (int(n or 0) for n in session.connection().execute(statement).one())
    return Period(opening, received, issued, opening + received - issued, rows)


def _sum_up_to(session: Session, question: CardQuestion, mark: tuple[datetime, int]) -> int:
    at, movement_id = mark
    here = or_(MOVEMENT.c.occurred_at < at, MOVEMENT.c.id <= movement_id)
    flow = _flow(question, MOVEMENT.c.occurred_at <= at, here)
    return int(session.connection().execute(select(func.sum(flow.c.change))).scalar_one() or 0)


def _page(session: Session, question: CardQuestion) -> list[tuple[int, int]]:
    """Movement and change of each row of the page, and one more where there is more."""
    within = _until(question)
    if question.since is not None:
        within.append(MOVEMENT.c.occurred_at >= question.since)
    if question.after is not None:
        at, movement_id = question.after
        within.append(MOVEMENT.c.occurred_at >= at)
        within.append(or_(MOVEMENT.c.occurred_at > at, MOVEMENT.c.id > movement_id))
    flow = _flow(question, *within)
    statement = select(flow.c.id, flow.c.change).order_by(flow.c.occurred_at, flow.c.id)
    if question.limit is not None:
        statement = statement.limit(question.limit + 1)
    return [(movement_id, int(change)) for movement_id, change in session.connection().execute(statement)]


def _lines(session: Session, ids: list[int], known_at: datetime | None) -> dict[int, Line]:
    """Everything about these movements, in as many statements as a database's number of parameters asks for."""
    parts = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
    return {
        line.id: line for part in parts for line in documents.lines(session, MOVEMENT.c.id.in_(part), known_at=known_at)
    }
