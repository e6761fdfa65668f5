"""Daily use as places report it: a correction is a new revision, the latest is the day's.

A report may say that stock ran out that day (缺货), and how much was asked for: where that is known, it is the day's
demand; where not, what was used is a lower bound of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, insert, select
from sqlmodel import Session

from reserve import catalogue, consumption, issued, journal
from reserve.catalogue import ItemRow, Place
from reserve.consumption import CONSUMPTION, REPORTS, SHORT_DAY
from reserve.entry import Entry, day_bounds
from reserve.errors import Conflict, Fault, Invalid, OutOfBounds, UnknownItem, UnknownLocation
from reserve.model import QUANTITY_MAX, ConsumptionSource
from reserve.posting import mark_due

EARLIEST = date(1990, 1, 1)
_BATCH = 5000


class Report(NamedTuple):
    """Units of an item used at a location on a civil day; what was asked for, where more was wanted than was there."""

    location: str
    item: str
    day: date
    quantity: int
    out_of_stock: bool = False
    asked: int | None = None

    @property
    def short(self) -> bool:
        """Less was used than was wanted, or than may have been."""
        return self.out_of_stock or (self.asked is not None and self.asked > self.quantity)

    @property
    def told(self) -> tuple[int, bool, int | None]:
        """What it says: the same again changes nothing. What was asked for and used is not worth a mark."""
        return (self.quantity, self.short, self.asked if self.short else None)


class Reported(NamedTuple):
    """A report as it was taken; `revision` above 1 replaced an earlier one."""

    location: str
    item: str
    day: date
    quantity: int
    out_of_stock: bool
    asked: int | None
    revision: int


class DayOfUse(NamedTuple):
    """A day as it stands: what was used and what was asked for, both where known; None is unknown, never zero.

    `revision` is a report's; use that is read from issues has none.
    """

    day: date
    used: int | None
    asked: int | None
    out_of_stock: bool
    revision: int | None
    excluded: str | None


# -- reporting --------------------------------------------------------------------------------------------------------


def report(session: Session, entry: Entry, reports: Iterable[Report]) -> list[Reported]:
    """Record daily use. A day sent again replaces the earlier figure and keeps it; the same figure changes nothing.

    Refused, all or nothing: an unknown place or item, a day in the future, a day twice, a quantity that is not 0 to
    10^15, less asked for than used, a place whose use is read from its issues.
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


def _codes(session: Session, batch: Sequence[Report], offset: int) -> tuple[dict[str, Place], dict[str, ItemRow]]:
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
        faults += _wrong_units(row, n)
        first = seen.setdefault((row.location, row.item, row.day), n)
        if first != n or repeated[n - offset]:
            where = f"row {first}" if first != n else "an earlier row"
            detail = f"{row.location} {row.item} {row.day} stands in {where} already; send each day once."
            faults.append(Fault(pointer, "duplicate_row", detail))
    if faults:
        kind = OutOfBounds if faults[0].code == "future_date" else Invalid
        raise kind(faults[0].detail, code=faults[0].code, faults=faults)


def _wrong_units(row: Report, n: int) -> list[Fault]:
    faults = []
    for name, units in (("quantity", row.quantity), ("asked", row.asked)):
        if units is None and name == "asked":
            continue
        if not isinstance(units, int) or isinstance(units, bool) or units < 0:
            detail = "Use is a whole number of base units, 0 or more."
            faults.append(Fault(f"/rows/{n}/{name}", Invalid.code, detail))
        elif units > QUANTITY_MAX:
            detail = "More than 10^15 units a day cannot be real: check the quantity."
            faults.append(Fault(f"/rows/{n}/{name}", "quantity_too_large", detail))
    if not faults and row.asked is not None and row.asked < row.quantity:
        detail = f"{row.asked} asked for and {row.quantity} used: what was asked for is at least what was used."
        faults.append(Fault(f"/rows/{n}/asked", "asked_below_used", detail))
    return faults


def _append(
    session: Session,
    entry: Entry,
    batch: Sequence[Report],
    places: dict[str, Place],
    items: dict[str, ItemRow],
    due: set[tuple[int, int]],
) -> list[Reported]:
    latest = _latest(session, batch, places, items)
    values: list[dict[str, Any]] = []
    taken, short = [], []
    for row in batch:
        key = (items[row.item].id, places[row.location].id, row.day)
        revision, told = latest.get(key, (0, None))
        quantity, is_short, asked = row.told
        if told == row.told:
            taken.append(Reported(row.location, row.item, row.day, quantity, is_short, asked, revision))
            continue
        taken.append(Reported(row.location, row.item, row.day, quantity, is_short, asked, revision + 1))
        due.add((key[1], key[0]))
        values.append(
            {
                "item_id": key[0],
                "location_id": key[1],
                "day": row.day,
                "revision": revision + 1,
                "quantity": quantity,
                "recorded_at": entry.now,
                "actor": entry.actor,
            }
        )
        if is_short:
            short.append((taken[-1], values[-1]))
    if values:
        session.connection().execute(_INSERT, values)
    _mark_short(session, entry, short)
    return taken


def _mark_short(session: Session, entry: Entry, short: Sequence[tuple[Reported, dict[str, Any]]]) -> None:
    """Keep that stock ran out beside its reports; the journal holds the same, which seals it."""
    if not short:
        return
    marks = [
        {
            "item": row["item_id"],
            "location": row["location_id"],
            "on": row["day"],
            "nth": row["revision"],
            "wanted": taken.asked,
        }
        for taken, row in short
    ]
    session.connection().execute(_INSERT_SHORT, marks)
    rows = [[r.location, r.item, r.day, r.revision, r.quantity, r.asked] for r, _ in short]
    columns = ["location", "item", "date", "revision", "quantity", "asked"]
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="consumption.short",
        subject="consumption",
        after={"columns": columns, "rows": rows},
    )


def _latest(
    session: Session, batch: Sequence[Report], places: dict[str, Place], items: dict[str, ItemRow]
) -> dict[tuple[int, int, date], tuple[int, tuple[int, bool, int | None]]]:
    """The revision now standing for each (item, place, day) of the batch, and what it says."""
    ranges: dict[int, list[date]] = defaultdict(list)
    for row in batch:
        ranges[items[row.item].id].append(row.day)
    found: dict[tuple[int, int, date], tuple[int, tuple[int, bool, int | None]]] = {}
    where = sorted({places[row.location].id for row in batch})
    for item_id, days in ranges.items():
        rows = session.connection().execute(
            REPORTS, {"item": item_id, "places": where, "first": min(days), "last": max(days)}
        )
        for location_id, day, revision, quantity, short, asked in rows:  # revisions in order, the last one stands
            found[item_id, location_id, day] = (revision, (quantity, short is not None, asked))
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


# -- reading ----------------------------------------------------------------------------------------------------------


def last_day(session: Session) -> date | None:
    """The last day for which anything was reported."""
    found: date | None = session.connection().execute(select(func.max(CONSUMPTION.c.day))).scalar_one()
    return found


def days_of_use(
    session: Session, *, item_id: int, place: Place, first: date, last: date, zone: ZoneInfo
) -> list[DayOfUse]:
    """Both readings of a place's days: what was used, and what was asked for, where it is known."""
    days = (last - first).days + 1
    history = consumption.history(session, item_id=item_id, places=[place], last=last, days=days, zone=zone)
    left_out = {left.index: left.reason for left in history.excluded}
    if place.consumption_source == ConsumptionSource.ISSUES:
        return _issued_days(session, item_id, place, issued.Window(first, days, zone, None), left_out)
    asked = {"item": item_id, "places": [place.id], "first": first, "last": last}
    latest = {row.day: row for row in session.connection().execute(REPORTS, asked)}
    told = []
    for n in range(days):
        day = first + timedelta(days=n)
        if (row := latest.get(day)) is None:
            told.append(DayOfUse(day, None, None, False, None, None))
        else:
            short = row.consumption_id is not None
            wanted = row.asked if short else row.quantity
            told.append(DayOfUse(day, row.quantity, wanted, short, row.revision, left_out.get(n)))
    return told


def _issued_days(
    session: Session, item_id: int, place: Place, window: issued.Window, left_out: dict[int, str]
) -> list[DayOfUse]:
    use = issued.use(session, item_id, [place.id], window)
    told = []
    for n in range(window.days):
        day = window.first + timedelta(days=n)
        if not use.recorded[0, n]:
            told.append(DayOfUse(day, None, None, False, None, None))
            continue
        used, wanted, empty = int(use.issued[0, n]), int(use.wanted[0, n]), bool(use.empty[0, n])
        told.append(DayOfUse(day, used, wanted if wanted > used or not empty else None, empty, None, left_out.get(n)))
    return told


_INSERT = insert(CONSUMPTION)
_INSERT_SHORT = insert(SHORT_DAY).from_select(
    ["consumption_id", "asked"],
    select(CONSUMPTION.c.id, bindparam("wanted", type_=SHORT_DAY.c.asked.type)).where(
        CONSUMPTION.c.item_id == bindparam("item"),
        CONSUMPTION.c.location_id == bindparam("location"),
        CONSUMPTION.c.day == bindparam("on"),
        CONSUMPTION.c.revision == bindparam("nth"),
    ),
)
