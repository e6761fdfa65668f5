"""What is known of daily use, as `forecasting.peak` reads it; what is missing stays unknown.

Use is reported by hospitals and counties (`reports`) or read from what a place issues (`issued`). A day that was not
reported is unknown, never zero; a day that a manager left out is unknown from then on.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select
from sqlmodel import Session

from reserve import issued
from reserve.catalogue import Place
from reserve.model import (
    Consumption,
    ConsumptionSource,
    DeclaredUse,
    ExcludedDay,
    LocationKind,
    ShortDay,
    table,
)

CONSUMPTION, SHORT_DAY, EXCLUDED, DECLARED = (
    table(model) for model in (Consumption, ShortDay, ExcludedDay, DeclaredUse)
)


class Excluded(NamedTuple):
    """A day that a manager left out: the row and day of a history, and the units that do not count."""

    row: int
    index: int  # type: ignore[assignment]  # a day of the look-back; nobody searches this tuple
    quantity: int
    reason: str
    actor: str


class History(NamedTuple):
    """Daily use of one item at N places over T days, as `forecasting.peak` reads it."""

    places: tuple[Place, ...]
    first: date
    values: NDArray[np.int64]
    """(N, T) units that were wanted, as far as that is known, else used; meaningless where not reported."""
    reported: NDArray[np.bool_]
    censored: NDArray[np.bool_]
    """Stock ran out and what was wanted is not known: at least `values`."""
    active: NDArray[np.bool_]
    declared: tuple[Fraction | None, ...] = ()
    """(N,) units a day by a norm, where one is declared for the day after the last."""
    excluded: tuple[Excluded, ...] = ()

    def day(self, index: int) -> date:
        return self.first + timedelta(days=index)

    def below(self, scope: Place) -> "History":
        """The rows of the places in a scope."""
        rows = [n for n, place in enumerate(self.places) if scope.holds(place)]
        now = {n: row for row, n in enumerate(rows)}
        return History(
            tuple(self.places[n] for n in rows),
            self.first,
            self.values[rows],
            self.reported[rows],
            self.censored[rows],
            self.active[rows],
            tuple(self.declared[n] for n in rows) if self.declared else (),
            tuple(left._replace(row=now[left.row]) for left in self.excluded if left.row in now),
        )


_Told = tuple[int, date, int, int, int | None, int | None]
"""A row of `REPORTS`."""
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
    norms = declared(session, item_id=item_id, day=last + timedelta(days=1), known_at=known_at)
    reporting = reporters(asked, {row[0] for row in reports} | norms.keys())
    rows = tuple(sorted([*reporting, *by_issues], key=lambda p: p.code))
    found = _empty(rows, first, days)._replace(declared=tuple(norms.get(place.id) for place in rows))
    if reports:
        _fill_reported(reports, found)
    if by_issues:
        _fill_issued(session, item_id, issued.Window(first, days, zone, known_at), found)
    return _without_excluded(session, item_id, found, last, known_at)


def reporters(places: Sequence[Place], told: AbstractSet[int]) -> list[Place]:
    """Of places that do not use what they issue, those that report: told to, expected to, or something was `told`."""
    return [
        p for p in places if p.consumption_source == ConsumptionSource.REPORTS or p.kind in _REPORTERS or p.id in told
    ]


def declared(session: Session, *, item_id: int, day: date, known_at: datetime | None = None) -> dict[int, Fraction]:
    """Units a day by the norm in force on `day`, by location; 0 took a declaration back."""
    asked = {"item": item_id, "day": day, "known_at": known_at or issued.EVER}
    # rows in order: the last that began overwrites
    latest = {row.location_id: row.per_day_per_1000 for row in session.connection().execute(_DECLARED, asked)}
    return {place: Fraction(thousandths, 1000) for place, thousandths in latest.items() if thousandths}


def _empty(rows: tuple[Place, ...], first: date, days: int) -> History:
    shape = (len(rows), days)
    return History(
        rows,
        first,
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.bool_),
        np.zeros(shape, dtype=np.bool_),
        active_days(rows, first, days),
    )


def _read_reports(
    session: Session, item_id: int, places: Sequence[Place], first: date, last: date, known_at: datetime | None
) -> Sequence[_Told]:
    asked = {"item": item_id, "places": [p.id for p in places], "first": first, "last": last}
    statement = REPORTS
    if known_at is not None:
        statement, asked["known_at"] = REPORTS_KNOWN, known_at
    rows: Sequence[Any] = session.connection().execute(statement, asked).all()
    return rows


def _fill_reported(reports: Sequence[_Told], found: History) -> None:
    """Lay the reports out. Of a day's revisions, which come in order, the last is kept: it is written last."""
    line = {place.id: n for n, place in enumerate(found.places)}
    zero = found.first.toordinal()
    latest = {(line[r[0]], r[1].toordinal() - zero): r for r in reports}
    at = tuple(np.array(list(latest), dtype=np.intp).T)
    found.values[at] = [r[3] if r[5] is None else r[5] for r in latest.values()]
    found.reported[at] = True
    found.censored[at] = [r[4] is not None and r[5] is None for r in latest.values()]


def _fill_issued(session: Session, item_id: int, window: issued.Window, found: History) -> None:
    """Use read from issues, with what was asked for in writing and not issued; of an empty shelf a lower bound."""
    lines = [n for n, p in enumerate(found.places) if p.consumption_source == ConsumptionSource.ISSUES]
    use = issued.use(session, item_id, [found.places[n].id for n in lines], window)
    found.values[lines] = use.wanted
    found.reported[lines] = use.recorded
    found.censored[lines] = use.empty & use.recorded


def _without_excluded(session: Session, item_id: int, found: History, last: date, known_at: datetime | None) -> History:
    """Take out the days that a manager left out and did not put back."""
    line = {place.id: n for n, place in enumerate(found.places)}
    asked = {"item": item_id, "first": found.first, "last": last, "known_at": known_at or issued.EVER}
    standing = {}
    for location_id, day, excluded, reason, actor in session.connection().execute(_EXCLUDED, asked):
        standing[location_id, day] = (excluded, reason, actor)  # the last word counts
    left_out = []
    for (location_id, day), (excluded, reason, actor) in sorted(standing.items()):
        row, index = line.get(location_id), (day - found.first).days
        if excluded and row is not None and found.reported[row, index]:
            left_out.append(Excluded(row, index, int(found.values[row, index]), reason, actor))
            found.reported[row, index] = found.censored[row, index] = False
    return found._replace(excluded=tuple(sorted(left_out)))


def active_days(rows: Sequence[Place], first: date, days: int) -> NDArray[np.bool_]:
    """(N, T): the days on which each place was open."""
    active = np.ones((len(rows), days), dtype=np.bool_)
    for n, place in enumerate(rows):
        if place.opened_on is not None:
            active[n, : max(0, (place.opened_on - first).days)] = False
        if place.closed_on is not None:
            active[n, max(0, (place.closed_on - first).days + 1) :] = False
    return active


REPORTS = (
    select(
        CONSUMPTION.c.location_id,
        CONSUMPTION.c.day,
        CONSUMPTION.c.revision,
        CONSUMPTION.c.quantity,
        SHORT_DAY.c.consumption_id,
        SHORT_DAY.c.asked,
    )
    .outerjoin(SHORT_DAY, SHORT_DAY.c.consumption_id == CONSUMPTION.c.id)
    .where(
        CONSUMPTION.c.item_id == bindparam("item"),
        CONSUMPTION.c.location_id.in_(bindparam("places", expanding=True)),
        CONSUMPTION.c.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(CONSUMPTION.c.location_id, CONSUMPTION.c.day, CONSUMPTION.c.revision)
)
"""Every revision of every report of an item, the latest last."""
REPORTS_KNOWN = REPORTS.where(CONSUMPTION.c.recorded_at <= bindparam("known_at"))
_DECLARED = (
    select(DECLARED.c.location_id, DECLARED.c.per_day_per_1000)
    .where(
        DECLARED.c.item_id == bindparam("item"),
        DECLARED.c.effective_from <= bindparam("day"),
        DECLARED.c.recorded_at <= bindparam("known_at"),
    )
    .order_by(DECLARED.c.location_id, DECLARED.c.effective_from, DECLARED.c.id)
)
_EXCLUDED = (
    select(EXCLUDED.c.location_id, EXCLUDED.c.day, EXCLUDED.c.excluded, EXCLUDED.c.reason, EXCLUDED.c.actor)
    .where(
        EXCLUDED.c.item_id == bindparam("item"),
        EXCLUDED.c.day.between(bindparam("first"), bindparam("last")),
        EXCLUDED.c.recorded_at <= bindparam("known_at"),
    )
    .order_by(EXCLUDED.c.id)
)
