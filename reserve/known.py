"""What was known of the use of an item at each of many past days, read at once: the past as a forecast then saw it.

What was told later does not enter: a report counts from its recording on, a correction and a day left out too. Only a
history that was brought in afterwards has no such moments: the first report of a day that was over before its place
told anything counts from its day on.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, cast, extract, func, select
from sqlmodel import Session

from reserve import consumption, issued
from reserve.catalogue import Place
from reserve.consumption import CONSUMPTION, DECLARED, EXCLUDED
from reserve.entry import day_bounds
from reserve.model import ConsumptionSource

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Span(NamedTuple):
    """The days of a backtest: `first` is day 0, the last is the day before it is asked; origins are day numbers."""

    first: date
    days: int
    origins: tuple[int, ...]
    zone: ZoneInfo

    def day(self, index: int) -> date:
        return self.first + timedelta(days=index)

    def ends(self, indices: Sequence[int]) -> Ints:
        """The ends of days, in seconds of the epoch."""
        return np.array([int(day_bounds(self.day(n), self.zone)[1].timestamp()) for n in indices], dtype=np.int64)


class Use(NamedTuple):
    """Daily use of N places as it is known at one moment, all of shape (..., N, T)."""

    values: Ints
    reported: Mask
    censored: Mask
    active: Mask


def stacked(moments: Sequence[Use]) -> Use:
    """Use at several moments, of shape (k, N, T)."""
    return Use(
        np.stack([use.values for use in moments]),
        np.stack([use.reported for use in moments]),
        np.stack([use.censored for use in moments]),
        np.stack([use.active for use in moments]),
    )


class Known(NamedTuple):
    """All that was ever told of the use of an item, each with the first origin that knew it; as many is: none did."""

    span: Span
    from_the_start: Use
    """What stands at every origin: use read from issues, which is taken as it is known now."""
    reports: Ints
    """(R, 5): origin, place, day, units, stock ran out and no more is known; in the order in which they count."""
    left_out: Ints
    """(E, 4): origin, place, day, left out (1) or put back (0)."""
    norms: tuple[tuple[int, int, date, float], ...]
    """Origin, place, first day and units a day, the later ones overruling."""


class State:
    """What is known of use, brought forward from origin to origin."""

    def __init__(self, known: Known) -> None:
        self._known = known
        start = known.from_the_start
        self._values, self._reported, self._censored = start.values.copy(), start.reported.copy(), start.censored.copy()
        self._out = np.zeros(start.values.shape, dtype=np.bool_)
        self._told = 0

    def at(self, number: int, days: slice) -> Use:
        """Some days as they were known at an origin; the origins must be asked for in order."""
        told = int(np.searchsorted(self._known.reports[:, 0], number, side="right"))
        _, place, day, units, bound = self._known.reports[self._told : told].T
        # in the order in which they count: of several for one day the last is kept
        self._values[place, day], self._reported[place, day], self._censored[place, day] = units, True, bound
        self._told = told
        for since, place, day, out in self._known.left_out:
            if since <= number:
                self._out[place, day] = out
        reported = self._reported[:, days] & ~self._out[:, days]
        return Use(
            self._values[:, days].copy(),
            reported,
            self._censored[:, days] & reported,
            self._known.from_the_start.active[:, days],
        )


def norms_at(known: Known, number: int) -> dict[int, float]:
    """Units a day by the norm in force on an origin's day, as known then, by place; 0 took a declaration back."""
    origins = known.span.origins
    today = known.span.day(origins[number] if number < len(origins) else known.span.days)
    found = {line: rate for since, line, first, rate in known.norms if since <= number and first <= today}
    return {line: rate for line, rate in found.items() if rate}


def read(session: Session, item_id: int, places: Sequence[Place], span: Span) -> Known | None:
    """Every report, exclusion and norm of an item's places, in one statement each; None where no use was ever told."""
    by_issues = [p for p in places if p.consumption_source == ConsumptionSource.ISSUES]
    asked = [p for p in places if p.consumption_source not in {ConsumptionSource.ISSUES, ConsumptionSource.NONE}]
    last = span.day(span.days - 1)
    question = {"item": item_id, "places": [p.id for p in asked], "first": span.first, "last": last}
    connection = session.connection()
    rows = _told(connection, question)
    norms = connection.execute(_DECLARED[connection.dialect.name], {"item": item_id}).all()
    reporting = consumption.reporters(
        asked, {int(place) for place in np.unique(rows[:, 0])} | {row[0] for row in norms}
    )
    lines = sorted([*reporting, *by_issues], key=lambda p: p.code)
    line = {place.id: n for n, place in enumerate(lines)}
    ends = span.ends(span.origins)
    start = _from_issues(session, item_id, lines, span)
    if not len(rows) and not start.values.any():
        return None
    left_out = connection.execute(_EXCLUDED[connection.dialect.name], {**question, "places": list(line)}).all()
    return Known(
        span,
        start,
        _reports(rows, line, span, ends),
        np.array(
            [
                [_since(ends, told_at), line[place], (day - span.first).days, out]
                for place, day, out, told_at in left_out
            ],
            dtype=np.int64,
        ).reshape(-1, 4),
        tuple(
            (_since(ends, told_at), line[place], day, thousandths / 1000)
            for place, day, thousandths, told_at in norms
            if place in line
        ),
    )


def _since(ends: Ints, seconds: int) -> int:
    """The first origin on whose day something told at a moment was known."""
    return int(np.searchsorted(ends, seconds, side="right"))


def _told(connection: Connection, question: dict[str, Any]) -> Ints:
    """(R, 7): place, day as an ordinal, revision, units, stock ran out, units asked for (-1: not said), second told.

    Read a thousand at a time: twenty thousand rows held at once set off a full collection, which takes as long again.
    """
    parts = [np.zeros((0, 7), dtype=np.int64)]
    found = connection.execute(_REPORTS[connection.dialect.name], question, execution_options={"yield_per": 1000})
    for rows in found.partitions():
        places, days, revisions, units, short, wanted, seconds = (list(map(itemgetter(n), rows)) for n in range(7))
        parts.append(
            np.column_stack(
                (
                    places,
                    [day.toordinal() for day in days],
                    revisions,
                    units,
                    [mark is not None for mark in short],
                    [-1 if asked is None else asked for asked in wanted],
                    seconds,
                )
            ).astype(np.int64)
        )
    return np.concatenate(parts)


def _reports(rows: Ints, line: dict[int, int], span: Span, ends: Ints) -> Ints:
    """Reports with the origin from which each counts, in the order in which they count."""
    if not len(rows):
        return np.zeros((0, 5), dtype=np.int64)
    places, ordinals, revisions, units, short, wanted, told_at = rows.T
    known_places, which = np.unique(places, return_inverse=True)
    place = np.array([line[n] for n in known_places.tolist()])[which]
    day = ordinals - span.first.toordinal()
    since = np.searchsorted(ends, told_at, side="right")
    began = np.full(len(line), np.iinfo(np.int64).max)
    np.minimum.at(began, place, told_at)
    first = revisions == 1
    since[first & (span.ends(range(span.days))[day] <= began[place])] = 0
    for n in np.flatnonzero(~first):  # a correction never counts before what it corrects
        since[n] = max(since[n], since[n - 1])
    amount, bound = np.where(wanted < 0, units, wanted), (short == 1) & (wanted < 0)
    found = np.column_stack((since, place, day, amount, bound))
    return found[np.argsort(since, kind="stable")]


def _from_issues(session: Session, item_id: int, lines: Sequence[Place], span: Span) -> Use:
    shape = (len(lines), span.days)
    start = Use(
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.bool_),
        np.zeros(shape, dtype=np.bool_),
        consumption.active_days(lines, span.first, span.days),
    )
    rows = [n for n, place in enumerate(lines) if place.consumption_source == ConsumptionSource.ISSUES]
    if rows:
        window = issued.Window(span.first, span.days, span.zone, None)
        use = issued.use(session, item_id, [lines[n].id for n in rows], window)
        start.values[rows], start.reported[rows] = use.wanted, use.recorded
        start.censored[rows] = use.empty & use.recorded
    return start


def _seconds(dialect: str, moment: ColumnElement[Any]) -> ColumnElement[int]:
    """Whole seconds of the epoch, never up: reading them costs a third of reading moments."""
    epoch: ColumnElement[Any] = extract("epoch", moment)
    return cast(func.floor(epoch), BigInteger) if dialect == "postgresql" else epoch


_DIALECTS = ("sqlite", "postgresql")
_REPORTS = {
    dialect: consumption.REPORTS.add_columns(_seconds(dialect, CONSUMPTION.c.recorded_at)) for dialect in _DIALECTS
}
_EXCLUDED = {
    dialect: select(
        EXCLUDED.c.location_id, EXCLUDED.c.day, EXCLUDED.c.excluded, _seconds(dialect, EXCLUDED.c.recorded_at)
    )
    .where(
        EXCLUDED.c.item_id == bindparam("item"),
        EXCLUDED.c.location_id.in_(bindparam("places", expanding=True)),
        EXCLUDED.c.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(EXCLUDED.c.id)
    for dialect in _DIALECTS
}
_DECLARED = {
    dialect: select(
        DECLARED.c.location_id,
        DECLARED.c.effective_from,
        DECLARED.c.per_day_per_1000,
        _seconds(dialect, DECLARED.c.recorded_at),
    )
    .where(DECLARED.c.item_id == bindparam("item"))
    .order_by(DECLARED.c.location_id, DECLARED.c.effective_from, DECLARED.c.id)
    for dialect in _DIALECTS
}
