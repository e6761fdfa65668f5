"""Units used a civil day: reported by hospitals and counties, or read from issues; what is missing stays unknown.

A correction is a new revision; the day's value is the latest revision known at the moment asked about. A day that was
not reported is unknown, never zero: zero is sent as 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, insert, select, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue
from reserve.catalogue import Place
from reserve.entry import Entry, day_bounds
from reserve.errors import Conflict, Fault, Invalid, OutOfBounds, UnknownItem, UnknownLocation
from reserve.lots import LOT
from reserve.model import QUANTITY_MAX, Consumption, ConsumptionSource, DocumentKind, LocationKind, Purpose, table
from reserve.posting import DOCUMENT, MOVEMENT, mark_due

CONSUMPTION = table(Consumption)

EARLIEST = date(1990, 1, 1)
_BATCH = 5000


class Report(NamedTuple):
    """Units of an item used at a location on a civil day."""

    location: str
    item: str
    day: date
    quantity: int


class Reported(NamedTuple):
    """A report as it was taken; `revision` above 1 replaced an earlier one."""

    location: str
    item: str
    day: date
    quantity: int
    revision: int


class History(NamedTuple):
    """Daily use of one item at N places over T days, as `forecasting.peak` reads it."""

    places: tuple[Place, ...]
    first: date
    values: NDArray[np.int64]
    """(N, T) units; meaningless where not reported."""
    reported: NDArray[np.bool_]
    censored: NDArray[np.bool_]
    active: NDArray[np.bool_]

    def day(self, index: int) -> date:
        return self.first + timedelta(days=index)

    def below(self, scope: Place) -> "History":
        """The rows of the places in a scope."""
        rows = [n for n, place in enumerate(self.places) if scope.holds(place)]
        return History(
            tuple(self.places[n] for n in rows),
            self.first,
            self.values[rows],
            self.reported[rows],
            self.censored[rows],
            self.active[rows],
        )


# -- reporting --------------------------------------------------------------------------------------------------------


def report(session: Session, entry: Entry, reports: Iterable[Report]) -> list[Reported]:
    """Record daily use. A day sent again replaces the earlier figure and keeps it; the same figure changes nothing.

    Refused, all or nothing: an unknown place or item, a day in the future, a day twice, a quantity that is not 0 to
    10^15, a place whose use is read from its issues.
    """
    taken: list[Reported] = []
    due: set[tuple[int, int]] = set()
    earlier: set[tuple[int, int, int]] = set()
    offset = 0
    iterator = iter(reports)
    while batch := list(islice(iterator, _BATCH)):
        places, items = _codes(session, batch, offset)
        keys = [(places[row.location].id, items[row.item].id, row.day.toordinal()) for row in batch]
        _refuse_bad_rows(batch, entry, offset, [key in earlier for key in keys])
        earlier.update(keys)
        taken += _append(session, entry, batch, places, items, due)
        offset += len(batch)
    mark_due(session, sorted(due), entry.now)
    return taken


def _codes(
    session: Session, batch: Sequence[Report], offset: int
) -> tuple[dict[str, Place], dict[str, catalogue.ItemRow]]:
    places = catalogue.places_by_code(session, (row.location for row in batch))
    items = catalogue.items_by_code(session, (row.item for row in batch))
    faults = []
    for n, row in enumerate(batch, start=offset):
        place = places.get(row.location)
        if place is None or not place.inside:
            detail = f"There is no location {row.location}; see GET /v1/locations."
            faults.append(Fault(f"/rows/{n}/location", UnknownLocation.code, detail))
        elif place.consumption_source == ConsumptionSource.ISSUES:
            detail = f"The use of {row.location} is read from its issues; set its consumption_source to reports first."
            faults.append(Fault(f"/rows/{n}/location", "consumption_from_issues", detail))
        elif place.consumption_source == ConsumptionSource.NONE:
            detail = f"{row.location} is set to use nothing, its reports would not count."
            faults.append(Fault(f"/rows/{n}/location", "consumption_not_counted", detail))
        if row.item not in items:
            faults.append(
                Fault(f"/rows/{n}/item", UnknownItem.code, f"There is no item {row.item}; see GET /v1/items.")
            )
    if faults:
        kinds = {UnknownLocation.code: UnknownLocation, UnknownItem.code: UnknownItem}
        raise kinds.get(faults[0].code, Conflict)(faults[0].detail, code=faults[0].code, faults=faults)
    return places, items


def _refuse_bad_rows(batch: Sequence[Report], entry: Entry, offset: int, repeated: Sequence[bool]) -> None:
    seen: dict[tuple[str, str, date], int] = {}
    faults = []
    for n, row in enumerate(batch, start=offset):
        pointer = f"/rows/{n}/date"
        if row.day > entry.today:
            faults.append(
                Fault(pointer, "future_date", f"{row.day} lies in the future; use is reported for past days.")
            )
        if row.day < EARLIEST:
            faults.append(Fault(pointer, "date_out_of_bounds", f"{row.day} is before {EARLIEST}; check the year."))
        if not isinstance(row.quantity, int) or isinstance(row.quantity, bool) or row.quantity < 0:
            detail = "Use is a whole number of base units, 0 or more."
            faults.append(Fault(f"/rows/{n}/quantity", Invalid.code, detail))
        elif row.quantity > QUANTITY_MAX:
            detail = "More than 10^15 units a day cannot be real: check the quantity."
            faults.append(Fault(f"/rows/{n}/quantity", "quantity_too_large", detail))
        first = seen.setdefault((row.location, row.item, row.day), n)
        if first != n or repeated[n - offset]:
            where = f"row {first}" if first != n else "an earlier row"
            detail = f"{row.location} {row.item} {row.day} stands in {where} already; send each day once."
            faults.append(Fault(pointer, "duplicate_row", detail))
    if faults:
        kind = OutOfBounds if faults[0].code == "future_date" else Invalid
        raise kind(faults[0].detail, code=faults[0].code, faults=faults)


def _append(
    session: Session,
    entry: Entry,
    batch: Sequence[Report],
    places: dict[str, Place],
    items: dict[str, catalogue.ItemRow],
    due: set[tuple[int, int]],
) -> list[Reported]:
    latest = _latest(session, batch, places, items)
    values, taken = [], []
    for row in batch:
        key = (items[row.item].id, places[row.location].id, row.day)
        revision, quantity = latest.get(key, (0, None))
        if quantity == row.quantity:
            taken.append(Reported(*row, revision))
            continue
        taken.append(Reported(*row, revision + 1))
        due.add((key[1], key[0]))
        values.append(
            {
                "item_id": key[0],
                "location_id": key[1],
                "day": row.day,
                "revision": revision + 1,
                "quantity": row.quantity,
                "recorded_at": entry.now,
                "actor": entry.actor,
            }
        )
    if values:
        session.connection().execute(_INSERT, values)
    return taken


def _latest(
    session: Session, batch: Sequence[Report], places: dict[str, Place], items: dict[str, catalogue.ItemRow]
) -> dict[tuple[int, int, date], tuple[int, int]]:
    """The revision and quantity now standing for each (item, place, day) of the batch."""
    ranges: dict[int, list[date]] = defaultdict(list)
    for row in batch:
        ranges[items[row.item].id].append(row.day)
    found: dict[tuple[int, int, date], tuple[int, int]] = {}
    where = sorted({places[row.location].id for row in batch})
    for item_id, days in ranges.items():
        rows = session.connection().execute(
            _REPORTS, {"item": item_id, "places": where, "first": min(days), "last": max(days)}
        )
        for location_id, day, revision, quantity in rows:  # revisions come in order, the last one stands
            found[item_id, location_id, day] = (revision, quantity)
    return found


def record_history(
    session: Session,
    *,
    item_id: int,
    location_id: int,
    reports: Iterable[tuple[date, int]],
    told_after: timedelta,
    zone: ZoneInfo,
    actor: str,
) -> None:
    """Append the first report of many days at once, each told `told_after` its day's end (seeds, opening books).

    For days that have no report yet: a second first revision breaks on its unique key.
    """
    rows = [
        {
            "item_id": item_id,
            "location_id": location_id,
            "day": day,
            "revision": 1,
            "quantity": quantity,
            "recorded_at": _next_day(day, zone) + told_after,
            "actor": actor,
        }
        for day, quantity in reports
    ]
    if rows:
        session.connection().execute(_INSERT, rows)


@lru_cache(maxsize=1000)
def _next_day(day: date, zone: ZoneInfo) -> datetime:
    return day_bounds(day, zone)[1]


def last_day(session: Session) -> date | None:
    """The last day for which anything was reported."""
    found: date | None = session.connection().execute(select(func.max(CONSUMPTION.c.day))).scalar_one()
    return found


_INSERT = insert(CONSUMPTION)
_REPORTS = (
    select(CONSUMPTION.c.location_id, CONSUMPTION.c.day, CONSUMPTION.c.revision, CONSUMPTION.c.quantity)
    .where(
        CONSUMPTION.c.item_id == bindparam("item"),
        CONSUMPTION.c.location_id.in_(bindparam("places", expanding=True)),
        CONSUMPTION.c.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(CONSUMPTION.c.location_id, CONSUMPTION.c.day, CONSUMPTION.c.revision)
)
_REPORTS_KNOWN = _REPORTS.where(CONSUMPTION.c.recorded_at <= bindparam("known_at"))


# -- reading ----------------------------------------------------------------------------------------------------------

_REPORTERS = (LocationKind.HOSPITAL, LocationKind.CDC, LocationKind.STATION)
"""Expected to report unless told otherwise; a region or warehouse reports when it has."""


def history(
    session: Session,
    *,
    item_id: int,
    places: Sequence[Place],
    last: date,
    days: int,
    zone: ZoneInfo,
    known_at: datetime | None = None,
) -> History:
    """The use of an item at those of `places` that use it, over `days` days ending with `last`."""
    first = last - timedelta(days=days - 1)
    by_issues = [p for p in places if p.consumption_source == ConsumptionSource.ISSUES]
    asked = [p for p in places if p.consumption_source not in {ConsumptionSource.ISSUES, ConsumptionSource.NONE}]
    reports = _read_reports(session, item_id, asked, first, last, known_at)
    reporting = [
        p for p in asked if p.consumption_source == ConsumptionSource.REPORTS or p.kind in _REPORTERS or p.id in reports
    ]
    rows = tuple(sorted([*reporting, *by_issues], key=lambda p: p.code))
    shape = (len(rows), days)
    found = History(
        rows,
        first,
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.bool_),
        np.zeros(shape, dtype=np.bool_),
        _active(rows, first, days),
    )
    for n, place in enumerate(rows):
        for day, quantity in reports.get(place.id, ()):
            index = (day - first).days
            found.values[n, index] = quantity
            found.reported[n, index] = True
    if by_issues:
        _read_issues(session, item_id, _Window(first, days, zone, known_at), found)
    return found


def _read_reports(
    session: Session, item_id: int, places: Sequence[Place], first: date, last: date, known_at: datetime | None
) -> dict[int, list[tuple[date, int]]]:
    asked = {"item": item_id, "places": [p.id for p in places], "first": first, "last": last}
    statement = _REPORTS
    if known_at is not None:
        statement, asked["known_at"] = _REPORTS_KNOWN, known_at
    found: dict[int, list[tuple[date, int]]] = defaultdict(list)
    for location_id, day, _revision, quantity in session.connection().execute(statement, asked):
        found[location_id].append((day, quantity))  # a later revision overwrites when the rows are laid out
    return found


def _active(rows: Sequence[Place], first: date, days: int) -> NDArray[np.bool_]:
    active = np.ones((len(rows), days), dtype=np.bool_)
    for n, place in enumerate(rows):
        if place.opened_on is not None:
            active[n, : max(0, (place.opened_on - first).days)] = False
        if place.closed_on is not None:
            active[n, max(0, (place.closed_on - first).days + 1) :] = False
    return active


class _Window(NamedTuple):
    first: date
    days: int
    zone: ZoneInfo
    known_at: datetime | None

    def day_index(self, moment: datetime) -> int:
        """The day of a moment, counted from the first; below zero before it."""
        return (moment.astimezone(self.zone).date() - self.first).days


def _read_issues(session: Session, item_id: int, window: _Window, found: History) -> None:
    """Use read from issues: days without one are true zeros from the place's first movement on.

    A day that began or ended with nothing usable is censored: more may have been wanted than was there.
    """
    end = day_bounds(window.first + timedelta(days=window.days - 1), window.zone)[1]
    line = {p.id: n for n, p in enumerate(found.places) if p.consumption_source == ConsumptionSource.ISSUES}
    ids = sorted(line)
    usable = _usable_by_day(session, item_id, ids, window, end)
    for location_id, moment in _first_movements(session, ids, end, window.known_at):
        begin = max(0, window.day_index(moment))
        found.reported[line[location_id], begin:] = True
        close = usable[location_id]
        empty = (close[1:] <= 0) | (close[:-1] <= 0)
        found.censored[line[location_id], begin:] = empty[begin:]
    for location_id, occurred_at, quantity in _issued(session, item_id, ids, end, window.known_at):
        index = window.day_index(occurred_at)
        if 0 <= index < window.days:
            found.values[line[location_id], index] += quantity


def _usable_by_day(
    session: Session, item_id: int, ids: list[int], window: _Window, end: datetime
) -> dict[int, NDArray[np.int64]]:
    """Units in date at the close of the day before the window and of each of its days, by place."""
    moved: dict[tuple[int, int], NDArray[np.int64]] = {}
    expiry: dict[int, date | None] = {}
    for location_id, lot_id, expires_on, occurred_at, change in _flows(session, item_id, ids, end, window.known_at):
        row = moved.setdefault((location_id, lot_id), np.zeros(window.days + 1, dtype=np.int64))
        row[max(0, window.day_index(occurred_at) + 1)] += change
        expiry[lot_id] = expires_on
    usable = {location_id: np.zeros(window.days + 1, dtype=np.int64) for location_id in ids}
    for (location_id, lot_id), row in moved.items():
        close = np.cumsum(row)
        last = expiry[lot_id]
        if last is not None:
            close[max(0, (last - window.first).days + 2) :] = 0
        usable[location_id] += close
    return usable


def _flows(
    session: Session, item_id: int, ids: list[int], end: datetime, known_at: datetime | None
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
            .where(LOT.c.item_id == item_id, column.in_(ids), MOVEMENT.c.occurred_at < end)
        )
        if known_at is not None:
            half = half.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
                DOCUMENT.c.recorded_at <= known_at
            )
        halves.append(half)
    for row in session.connection().execute(union_all(*halves)):
        yield row[0], row[1], row[2], row[3], row[4]


def _first_movements(
    session: Session, ids: list[int], end: datetime, known_at: datetime | None
) -> list[tuple[int, datetime]]:
    statement = (
        select(MOVEMENT.c.target_id, func.min(MOVEMENT.c.occurred_at))
        .where(MOVEMENT.c.target_id.in_(ids), MOVEMENT.c.occurred_at < end)
        .group_by(MOVEMENT.c.target_id)
    )
    if known_at is not None:
        statement = statement.join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id).where(
            DOCUMENT.c.recorded_at <= known_at
        )
    return [(row[0], row[1]) for row in session.connection().execute(statement)]


def _issued(
    session: Session, item_id: int, ids: list[int], end: datetime, known_at: datetime | None
) -> list[tuple[int, datetime, int]]:
    """Issues for use or allocation, less those reversed: a reversal undoes the issue on its own day."""
    undo, undo_document = aliased(MOVEMENT, name="undo"), aliased(DOCUMENT, name="undo_document")
    undone = select(undo.c.id).where(undo.c.reverses == MOVEMENT.c.id)
    if known_at is not None:
        undone = undone.join(undo_document, undo_document.c.id == undo.c.document_id).where(
            undo_document.c.recorded_at <= known_at
        )
    statement = (
        select(MOVEMENT.c.source_id, MOVEMENT.c.occurred_at, MOVEMENT.c.quantity)
        .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where(
            LOT.c.item_id == item_id,
            MOVEMENT.c.source_id.in_(ids),
            MOVEMENT.c.occurred_at < end,
            DOCUMENT.c.kind == DocumentKind.ISSUE.value,
            DOCUMENT.c.purpose.in_([Purpose.USE.value, Purpose.ALLOCATION.value]),
            ~undone.exists(),
        )
    )
    if known_at is not None:
        statement = statement.where(DOCUMENT.c.recorded_at <= known_at)
    return [(row[0], row[1], row[2]) for row in session.connection().execute(statement)]
