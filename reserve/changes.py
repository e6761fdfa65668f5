"""Known changes of demand (已知变化): an opening, a campaign, a holiday, stated with author, reason and end."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, bindparam, insert, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, issued, journal
from reserve.catalogue import ITEM, PLACE, ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, Unknown, UnknownItem
from reserve.model import Category, DemandChange, table
from reserve.posting import mark_due

CHANGE = table(DemandChange)

DAYS_MAX = 366
FACTOR_MAX = 100
"""Of one change, and of all that meet on a day together."""


class NewChange(NamedTuple):
    """Demand of a scope times a factor from `first_day` to `last_day`, both counted in; of all items where none is."""

    scope: str
    first_day: date
    last_day: date
    factor_per_1000: int
    reason: str
    item: str | None = None
    category: Category | None = None


class ChangeRow(NamedTuple):
    id: int
    scope_id: int
    scope: str
    item_id: int | None
    item: str | None
    category: Category | None
    first_day: date
    last_day: date
    factor_per_1000: int
    reason: str
    recorded_at: datetime
    actor: str
    ended_at: datetime | None
    ended_by: str | None
    ended_because: str | None

    @property
    def factor(self) -> float:
        return self.factor_per_1000 / 1000

    def speaks_of(self, item: ItemRow) -> bool:
        if self.item_id is not None:
            return self.item_id == item.id
        return self.category is None or self.category == item.category


# -- making and ending ------------------------------------------------------------------------------------------------


def make(session: Session, entry: Entry, new: NewChange) -> ChangeRow:
    """State a known change. Every item it speaks of is assessed again.

    Refused: an unknown scope or item, an item and a category, days that are over, turned round or more than 366.
    """
    scope = catalogue.require_place(session, new.scope, "/scope")
    item = None if new.item is None else catalogue.item(session, new.item)
    if new.item is not None and item is None:
        detail = f"There is no item {new.item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    _refuse_bad_terms(new, entry.today)
    made = (
        session.connection()
        .execute(
            insert(CHANGE)
            .values(
                scope_id=scope.id,
                item_id=item and item.id,
                category=new.category,
                first_day=new.first_day,
                last_day=new.last_day,
                factor_per_1000=new.factor_per_1000,
                reason=new.reason,
                recorded_at=entry.now,
                actor=entry.actor,
            )
            .returning(CHANGE.c.id)
        )
        .scalar_one()
    )
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="demand_change.made",
        subject=f"demand change {made}",
        after=new._asdict(),
    )
    found = find(session, made)
    _mark_due(session, entry, found)
    return found


def end(session: Session, entry: Entry, change_id: int, reason: str) -> ChangeRow:
    """Take a change back: from now on it weighs on no day. What it weighed before can be asked again as known then.

    Refused: a change that is not there, or that was taken back before.
    """
    session.connection().execute(_LOCK, {"id": change_id})
    found = find(session, change_id)
    if found.ended_at is not None:
        detail = f"Demand change {change_id} was taken back by {found.ended_by}; nothing was changed."
        raise Conflict(detail, code="demand_change_ended")
    repeated = {name: getattr(found, name) for name in _REPEATED}
    session.connection().execute(
        insert(CHANGE).values(**repeated, reason=reason, ends_id=change_id, recorded_at=entry.now, actor=entry.actor)
    )
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="demand_change.ended",
        subject=f"demand change {change_id}",
        after={"reason": reason},
    )
    _mark_due(session, entry, found)
    return find(session, change_id)


def _refuse_bad_terms(new: NewChange, today: date) -> None:
    faults = []
    if new.item is not None and new.category is not None:
        detail = "A change speaks of an item, of a category, or of all: name one of them or none."
        faults.append(Fault("/category", "demand_change_subject", detail))
    if new.last_day < new.first_day:
        faults.append(Fault("/last_day", "demand_change_days", "A change ends on or after the day it begins."))
    elif (new.last_day - new.first_day).days >= DAYS_MAX:
        detail = f"A change lasts at most {DAYS_MAX} days; state a longer one again when the year is over."
        faults.append(Fault("/last_day", "demand_change_days", detail))
    elif new.last_day < today:
        detail = f"{new.last_day} is over: a change moves the days from today on, what was used is reported."
        faults.append(Fault("/last_day", "demand_change_days", detail))
    if not 0 <= new.factor_per_1000 <= FACTOR_MAX * 1000:
        detail = f"A factor is 0 to {FACTOR_MAX}; 1 changes nothing."
        faults.append(Fault("/factor", Invalid.code, detail))
    if faults:
        raise Invalid(faults[0].detail, code=faults[0].code, faults=faults)


def _mark_due(session: Session, entry: Entry, change: ChangeRow) -> None:
    places = catalogue.places(session)
    scope = next(place for place in places if place.id == change.scope_id)
    below = [place for place in places if scope.holds(place)]
    spoken_of = [item for item in catalogue.items(session) if change.speaks_of(item)]
    mark_due(session, ((place.id, item.id) for item in spoken_of for place in below), entry.now)


# -- reading ----------------------------------------------------------------------------------------------------------


def find(session: Session, change_id: int) -> ChangeRow:
    """A change by its number.

    Raises
    ------
    Unknown
        there is none.
    """
    statement = _CHANGES.where(CHANGE.c.id == change_id)
    row = session.connection().execute(statement, {"known_at": issued.EVER}).one_or_none()
    if row is None:
        raise Unknown(f"There is no demand change {change_id}.", code="unknown_demand_change")
    return ChangeRow._make(row)


def changes(session: Session, scope: Place, *, before: int | None = None, limit: int = 100) -> list[ChangeRow]:
    """The changes of a scope, of those above it and of those below it, ended ones too, the newest first."""
    above = [int(part) for part in scope.path.strip("/").split("/")]
    wanted: list[ColumnElement[bool]] = [or_(PLACE.c.path.startswith(scope.path), PLACE.c.id.in_(above))]
    if before is not None:
        wanted.append(CHANGE.c.id < before)
    statement = _CHANGES.where(*wanted).order_by(CHANGE.c.id.desc()).limit(limit)
    return [ChangeRow._make(row) for row in session.connection().execute(statement, {"known_at": issued.EVER})]


def standing(session: Session, *, known_at: datetime | None = None) -> list[ChangeRow]:
    """The changes that were not taken back, as known now or at a moment, in the order in which they were stated."""
    rows = session.connection().execute(_STANDING, {"known_at": known_at or issued.EVER})
    return [ChangeRow._make(row) for row in rows]


# -- what they do to a forecast ---------------------------------------------------------------------------------------


def applying(
    changes: Iterable[ChangeRow], item: ItemRow, scope: Place, places: Mapping[int, Place], first_day: date, days: int
) -> list[ChangeRow]:
    """Those that move the demand of an item in a scope on some of `days` days from `first_day` on.

    A change of a scope moves it and every scope below it. It moves none above it: how much of the city's demand a
    county's campaign is, nobody has said; whoever knows states the city's own change.
    """
    last_day = first_day + timedelta(days=days - 1)
    return [
        change
        for change in changes
        if change.speaks_of(item)
        and places[change.scope_id].holds(scope)
        and change.first_day <= last_day
        and change.last_day >= first_day
    ]


def factors(
    changes: Iterable[ChangeRow], item: ItemRow, scope: Place, places: Mapping[int, Place], first_day: date, days: int
) -> NDArray[np.float64]:
    """What each of `days` days from `first_day` on is multiplied by: the product of all that apply, at most 100."""
    found = np.ones(days)
    # the small ones first: what is cut off at 100 then is cut off whatever follows
    for change in sorted(applying(changes, item, scope, places, first_day, days), key=lambda c: c.factor_per_1000):
        begin, end = (change.first_day - first_day).days, (change.last_day - first_day).days
        found[max(0, begin) : end + 1] *= change.factor
        np.minimum(found, FACTOR_MAX, out=found)
    return found


_REPEATED = ("scope_id", "item_id", "category", "first_day", "last_day", "factor_per_1000")
_ending = aliased(CHANGE, name="ending")
_CHANGES = (
    select(
        CHANGE.c.id,
        CHANGE.c.scope_id,
        PLACE.c.code,
        CHANGE.c.item_id,
        ITEM.c.code,
        CHANGE.c.category,
        CHANGE.c.first_day,
        CHANGE.c.last_day,
        CHANGE.c.factor_per_1000,
        CHANGE.c.reason,
        CHANGE.c.recorded_at,
        CHANGE.c.actor,
        _ending.c.recorded_at,
        _ending.c.actor,
        _ending.c.reason,
    )
    .join(PLACE, PLACE.c.id == CHANGE.c.scope_id)
    .outerjoin(ITEM, ITEM.c.id == CHANGE.c.item_id)
    .outerjoin(_ending, and_(_ending.c.ends_id == CHANGE.c.id, _ending.c.recorded_at <= bindparam("known_at")))
    .where(CHANGE.c.ends_id.is_(None))
)
_STANDING = _CHANGES.where(CHANGE.c.recorded_at <= bindparam("known_at"), _ending.c.id.is_(None)).order_by(CHANGE.c.id)
_LOCK = select(CHANGE.c.id).where(CHANGE.c.id == bindparam("id")).with_for_update()
