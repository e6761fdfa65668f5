"""Use read from what a place issues, with what was asked of it in writing and not issued."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import lots
from reserve.catalogue import ITEM
from reserve.entry import day_bounds
from reserve.journal import JOURNAL
from reserve.lots import HOLD, LOT
from reserve.model import QUANTITY_MAX, DocumentKind, Purpose, RequisitionState
from reserve.posting import DOCUMENT, MOVEMENT
from reserve.promises import LINE, REQUISITION
from reserve.shelf import ALLOCATION

EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""What is known at this moment is all that is known."""


class Window(NamedTuple):
    """The days looked back on, as far as they were known at a moment (None: as known now)."""

    first: date
    days: int
    zone: ZoneInfo
    known_at: datetime | None

    @property
    def end(self) -> datetime:
        return day_bounds(self.first + timedelta(days=self.days - 1), self.zone)[1]

    def day_index(self, moment: datetime) -> int:
        """The day of a moment, counted from the first; below zero before it."""
        return (moment.astimezone(self.zone).date() - self.first).days


class Use(NamedTuple):
    """Use of one item at N places over T days, all of shape (N, T)."""

    issued: NDArray[np.int64]
    unmet: NDArray[np.int64]
    """Units asked for in writing that day and not granted."""
    empty: NDArray[np.bool_]
    """The day began or ended with nothing usable: more may have been wanted than was there."""
    recorded: NDArray[np.bool_]
    """From the place's first movement on: a day without an issue is a true zero."""

    @property
    def wanted(self) -> NDArray[np.int64]:
        wanted: NDArray[np.int64] = np.minimum(self.issued + self.unmet, QUANTITY_MAX)
        return wanted


def use(session: Session, item_id: int, places: Sequence[int], window: Window) -> Use:
    """What was issued for use or allocation, less what was reversed, and what was asked for and not granted.

    A reversal undoes an issue on its own day. Goods that came back unused stay counted: a return names who brought
    them, not the day on which they went out.
    """
    line = {place: n for n, place in enumerate(places)}
    ids = sorted(line)
    shape = (len(places), window.days)
    found = Use(
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.bool_),
        np.zeros(shape, dtype=np.bool_),
    )
    usable = _usable_by_day(session, item_id, ids, window)
    for place, moment in _first_movements(session, ids, window):
        found.recorded[line[place], max(0, window.day_index(moment)) :] = True
    for place in ids:
        close = usable[place]
        found.empty[line[place]] = (close[1:] <= 0) | (close[:-1] <= 0)
    for into, rows in (
        (found.issued, _issues(session, item_id, ids, window)),
        (found.unmet, _unmet(session, item_id, ids, window)),
    ):
        for (place, index), units in _by_day(rows, window).items():
            into[line[place], index] = min(units, QUANTITY_MAX)  # beyond that a typing error, and beyond 64 bits
    return found


def _by_day(rows: Sequence[tuple[int, datetime, int]], window: Window) -> dict[tuple[int, int], int]:
    units: dict[tuple[int, int], int] = defaultdict(int)
    for place, moment, quantity in rows:
        index = window.day_index(moment)
        if 0 <= index < window.days:
            units[place, index] += quantity
    return units


def _usable_by_day(session: Session, item_id: int, ids: list[int], window: Window) -> dict[int, NDArray[np.int64]]:
    """Units in date and not on hold at the close of the day before the window and of each of its days, by place."""
    moved: dict[tuple[int, int], NDArray[np.int64]] = {}
    expiry: dict[int, date | None] = {}
    for location_id, lot_id, expires_on, occurred_at, change in _flows(session, item_id, ids, window):
        row = moved.setdefault((location_id, lot_id), np.zeros(window.days + 1, dtype=np.int64))
        row[max(0, window.day_index(occurred_at) + 1)] += change
        expiry[lot_id] = expires_on
    if window.known_at is not None:
        expiry |= {lot: dates.expires_on for lot, dates in lots.dates_known(session, window.known_at).items()}
    held = _held_by_day(session, item_id, window)
    usable = {location_id: np.zeros(window.days + 1, dtype=np.int64) for location_id in ids}
    for (location_id, lot_id), row in moved.items():
        close = np.cumsum(row)
        last = expiry[lot_id]
        if last is not None:
            close[max(0, (last - window.first).days + 2) :] = 0
        for begin, end in held.get(lot_id, ()):
            close[begin:end] = 0
        usable[location_id] += close
    return usable


def _held_by_day(session: Session, item_id: int, window: Window) -> dict[int, list[tuple[int, int]]]:
    """By lot, the closes at which it was on hold: the first of each hold and the one after its last."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    asked = {"item": item_id, "end": window.end, "known_at": window.known_at or EVER}
    for lot_id, placed_at, lifted_at in session.connection().execute(_HOLDS, asked):
        lifted = lifted_at is not None and lifted_at <= (window.known_at or EVER)
        begin = max(0, window.day_index(placed_at) + 1)
        end = max(0, window.day_index(lifted_at) + 1) if lifted else window.days + 1
        found[lot_id].append((begin, end))
    return found


def _flows(
    session: Session, item_id: int, ids: list[int], window: Window
) -> Iterator[tuple[int, int, date | None, datetime, int]]:
    halves = []
    for column, sign in ((MOVEMENT.c.target_id, 1), (MOVEMENT.c.source_id, -1)):
        half = (
            select(
                column.label("location_id"),
                MOVEMENT.c.lot_id,
                LOT.c.expires_on,
                MOVEMENT.c.occurred_at,
                (MOVEMENT.c.quantity * sign).label("change"),
            )
            .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
            .where(LOT.c.item_id == item_id, column.in_(ids), MOVEMENT.c.occurred_at < window.end)
        )
        if window.known_at is not None:
            half = half.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
                DOCUMENT.c.recorded_at <= window.known_at
            )
        halves.append(half)
    for row in session.connection().execute(union_all(*halves)):
        yield row[0], row[1], row[2], row[3], row[4]


def _first_movements(session: Session, ids: list[int], window: Window) -> list[tuple[int, datetime]]:
    statement = (
        select(MOVEMENT.c.target_id, func.min(MOVEMENT.c.occurred_at))
        .where(MOVEMENT.c.target_id.in_(ids), MOVEMENT.c.occurred_at < window.end)
        .group_by(MOVEMENT.c.target_id)
    )
    if window.known_at is not None:
        statement = statement.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
            DOCUMENT.c.recorded_at <= window.known_at
        )
    return [(row[0], row[1]) for row in session.connection().execute(statement)]


def _issues(session: Session, item_id: int, ids: list[int], window: Window) -> list[tuple[int, datetime, int]]:
    """Issues for use or allocation, less those reversed."""
    undo, undo_document = aliased(MOVEMENT, name="undo"), aliased(DOCUMENT, name="undo_document")
    undone = select(undo.c.id).where(undo.c.reverses == MOVEMENT.c.id)
    if window.known_at is not None:
        undone = undone.join(undo_document, undo_document.c.id == undo.c.document_id).where(
            undo_document.c.recorded_at <= window.known_at
        )
    statement = (
        select(MOVEMENT.c.source_id, MOVEMENT.c.occurred_at, MOVEMENT.c.quantity)
        .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where(
            LOT.c.item_id == item_id,
            MOVEMENT.c.source_id.in_(ids),
            MOVEMENT.c.occurred_at < window.end,
            DOCUMENT.c.kind == DocumentKind.ISSUE.value,
            DOCUMENT.c.purpose.in_(_COUNTED),
            ~undone.exists(),
        )
    )
    if window.known_at is not None:
        statement = statement.where(DOCUMENT.c.recorded_at <= window.known_at)
    return [(row[0], row[1], row[2]) for row in session.connection().execute(statement)]


def _unmet(session: Session, item_id: int, ids: list[int], window: Window) -> list[tuple[int, datetime, int]]:
    """Units asked for by requisition and not granted, from the decision on: refused, or approved for less.

    What is promised will be issued and is use of that day. A cancelled requisition was withdrawn: it was no need, once
    that was known.
    """
    asked = {
        "item": item_id,
        "places": ids,
        "begin": day_bounds(window.first, window.zone)[0],
        "end": window.end,
        "known_at": window.known_at or EVER,
    }
    found = [(row[0], row[1], int(row[2])) for row in session.connection().execute(_UNMET, asked)]
    if window.known_at is not None:
        found += _not_withdrawn_yet(session, asked)
    return [row for row in found if row[2] > 0]


def _not_withdrawn_yet(session: Session, asked: Mapping[str, object]) -> list[tuple[int, datetime, int]]:
    """What had not been granted of the requisitions that were cancelled later, by the journal of their approval.

    The approval is overwritten where a requisition stands, and what was granted is gone with the promise. One that the
    journal does not know as approved by then had not been decided, and was no unmet need yet.
    """
    rows = session.connection().execute(_WITHDRAWN, asked).all()
    if not rows:
        return []
    wanted = {"numbers": [row.number for row in rows], "known_at": asked["known_at"]}
    granted = {row.subject: json.loads(row.after) for row in session.connection().execute(_APPROVALS, wanted)}
    return [
        (row.location_id, row.requested_at, row.quantity - granted[row.number].get(row.code, 0))
        for row in rows
        if row.number in granted
    ]


_COUNTED = [Purpose.USE.value, Purpose.ALLOCATION.value]
_promised = (
    select(func.coalesce(func.sum(ALLOCATION.c.quantity), 0))
    .join(LOT, LOT.c.id == ALLOCATION.c.lot_id)
    .where(ALLOCATION.c.requisition_id == REQUISITION.c.id, LOT.c.item_id == LINE.c.item_id)
    .scalar_subquery()
)
_UNMET = (
    select(REQUISITION.c.location_id, REQUISITION.c.requested_at, LINE.c.quantity - LINE.c.issued - _promised)
    .join(LINE, LINE.c.requisition_id == REQUISITION.c.id)
    .where(
        LINE.c.item_id == bindparam("item"),
        REQUISITION.c.location_id.in_(bindparam("places", expanding=True)),
        REQUISITION.c.requested_at >= bindparam("begin"),
        REQUISITION.c.requested_at < bindparam("end"),
        REQUISITION.c.purpose.in_(_COUNTED),
        REQUISITION.c.state.in_(
            [RequisitionState.APPROVED.value, RequisitionState.REFUSED.value, RequisitionState.CLOSED.value]
        ),
        REQUISITION.c.decided_at <= bindparam("known_at"),
    )
)
_WITHDRAWN = (
    select(REQUISITION.c.number, REQUISITION.c.location_id, REQUISITION.c.requested_at, LINE.c.quantity, ITEM.c.code)
    .join(LINE, LINE.c.requisition_id == REQUISITION.c.id)
    .join(ITEM, ITEM.c.id == LINE.c.item_id)
    .where(
        LINE.c.item_id == bindparam("item"),
        REQUISITION.c.location_id.in_(bindparam("places", expanding=True)),
        REQUISITION.c.requested_at >= bindparam("begin"),
        REQUISITION.c.requested_at < bindparam("end"),
        REQUISITION.c.purpose.in_(_COUNTED),
        REQUISITION.c.state == RequisitionState.CANCELLED.value,
        REQUISITION.c.decided_at > bindparam("known_at"),
    )
)
_APPROVALS = select(JOURNAL.c.subject, JOURNAL.c.after).where(
    JOURNAL.c.subject.in_(bindparam("numbers", expanding=True)),
    JOURNAL.c.verb == "requisition.approved",
    JOURNAL.c.recorded_at <= bindparam("known_at"),
)
_HOLDS = (
    select(HOLD.c.lot_id, HOLD.c.placed_at, HOLD.c.lifted_at)
    .join(LOT, LOT.c.id == HOLD.c.lot_id)
    .where(
        LOT.c.item_id == bindparam("item"),
        HOLD.c.placed_at < bindparam("end"),
        HOLD.c.placed_at <= bindparam("known_at"),
    )
)
