"""A manager's word on use: a day left out of the peak with a reason, a norm where little was reported (定额)."""

from datetime import date, datetime
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, insert, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, consumption, journal
from reserve.catalogue import ITEM, PLACE, ItemRow, Place
from reserve.consumption import CONSUMPTION, DECLARED, EXCLUDED
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, UnknownItem
from reserve.model import QUANTITY_MAX, ConsumptionSource, LocationKind
from reserve.posting import mark_due


class ExclusionRow(NamedTuple):
    """The last word on a day: left out, or put back."""

    id: int
    location: str
    item: str
    date: date
    excluded: bool
    reason: str
    recorded_at: datetime
    actor: str


class Norm(NamedTuple):
    """Units a day, said outright or as persons x shifts x units, or beds x units a bed and day."""

    units_per_day: Fraction | None = None
    persons: int | None = None
    shifts: Fraction | None = None
    units_per_shift: Fraction | None = None
    beds: int | None = None
    units_per_bed_day: Fraction | None = None

    @property
    def stated(self) -> dict[str, Fraction]:
        return {name: Fraction(value) for name, value in self._asdict().items() if value is not None}


class NormTotal(NamedTuple):
    """What a norm comes to, in thousandths of a unit a day (rounded up), and how: `120 x 2 x 1.5 = 360`."""

    per_day_per_1000: int
    formula: str


class DeclaredRow(NamedTuple):
    """A declaration; `in_force` says whether it is the one that counts today."""

    id: int
    location: str
    item: str
    per_day_per_1000: int
    effective_from: date
    source_text: str
    recorded_at: datetime
    actor: str
    in_force: bool


# -- days left out ----------------------------------------------------------------------------------------------------


def exclude(
    session: Session, entry: Entry, *, location: str, item: str, day: date, reason: str, excluded: bool
) -> ExclusionRow:
    """Leave a reported day out of the peak, or put it back. It counts as not reported from now on, whatever is sent.

    Refused: an unknown place or item, a day on which nothing is known, a day that is left out (or counts) already.
    """
    place, thing = _named(session, location, item)
    _lock(session, place)
    found = consumption.history(session, item_id=thing.id, places=[place], last=day, days=1, zone=entry.zone)
    if bool(found.excluded) == excluded and (found.excluded or found.reported.any()):
        said = "is left out already" if excluded else "is not left out"
        raise Conflict(f"{day} of {item} at {location} {said}; nothing was changed.", code="exclusion_stands")
    if not found.excluded and not found.reported.any():
        detail = f"Nothing is known of the use of {item} at {location} on {day}: there is no day to leave out."
        raise Conflict(detail, code="nothing_reported", faults=[Fault("/date", "nothing_reported", detail)])
    session.connection().execute(
        insert(EXCLUDED).values(
            item_id=thing.id,
            location_id=place.id,
            day=day,
            excluded=excluded,
            reason=reason,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    units = found.excluded[0].quantity if found.excluded else int(found.values[0, 0])
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="use.excluded" if excluded else "use.put_back",
        subject=f"{location} {item}",
        after={"date": day, "units": units, "reason": reason},
    )
    mark_due(session, [(place.id, thing.id)], entry.now)
    return exclusions(session, place, item_id=thing.id, limit=1)[0]


def exclusions(
    session: Session, scope: Place, *, item_id: int | None = None, before: int | None = None, limit: int = 100
) -> list[ExclusionRow]:
    """The last word on every day of a scope that was ever left out, the newest first."""
    wanted: list[ColumnElement[bool]] = [PLACE.c.path.startswith(scope.path)]
    if item_id is not None:
        wanted.append(EXCLUDED.c.item_id == item_id)
    if before is not None:
        wanted.append(EXCLUDED.c.id < before)
    statement = _EXCLUSIONS.where(*wanted).order_by(EXCLUDED.c.id.desc()).limit(limit)
    return [ExclusionRow._make(row) for row in session.connection().execute(statement)]


# -- declared use -----------------------------------------------------------------------------------------------------


def total(norm: Norm) -> NormTotal:
    """What a norm comes to.

    Refused: none or more than one of the three forms, a form with a term missing, more than 10^15 units a day.

    >>> total(Norm(persons=120, shifts=Fraction(2), units_per_shift=Fraction(3, 2)))
    NormTotal(per_day_per_1000=360000, formula='120 x 2 x 1.5 = 360')
    """
    stated = norm.stated
    if set(stated) not in _FORMS:
        detail = (
            "State the norm in one of three ways: units_per_day; persons, shifts and units_per_shift;"
            " or beds and units_per_bed_day."
        )
        raise Invalid(detail, code="norm_terms", faults=[Fault("/units_per_day", "norm_terms", detail)])
    product = Fraction(1)
    for term in stated.values():
        product *= term
    if product > QUANTITY_MAX:
        detail = "More than 10^15 units a day cannot be real: check the norm."
        raise Invalid(detail, code="quantity_too_large", faults=[Fault("/units_per_day", "quantity_too_large", detail)])
    thousandths = ceil(product * 1000)
    terms = " x ".join(_decimal(term) for term in stated.values())
    result = _decimal(Fraction(thousandths, 1000))
    return NormTotal(thousandths, f"{terms} = {result}" if len(stated) > 1 else result)


def declare(
    session: Session, entry: Entry, *, location: str, item: str, norm: Norm, effective_from: date, source_text: str
) -> DeclaredRow:
    """Declare what a place uses a day, from a day on, by which text; 0 units take a declaration back.

    It counts where fewer than 28 days of the look-back are reported, and never lowers what was seen.
    Refused: an unknown place or item, a place that uses nothing of its own, terms that cannot be, taking back what is
    not there.
    """
    place, thing = _named(session, location, item)
    found = total(norm)
    _lock(session, place)
    if found.per_day_per_1000:
        _refuse_idle(session, place)
    standing = consumption.declared(session, item_id=thing.id, day=effective_from).get(place.id)
    if standing is None and not found.per_day_per_1000:
        detail = f"No use of {item} at {location} is declared for {effective_from}: there is nothing to take back."
        raise Conflict(detail, code="no_declared_use")
    session.connection().execute(
        insert(DECLARED).values(
            item_id=thing.id,
            location_id=place.id,
            per_day_per_1000=found.per_day_per_1000,
            effective_from=effective_from,
            source_text=source_text,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="use.declared",
        subject=f"{location} {item}",
        before=None if standing is None else {"per_day": _decimal(standing)},
        after={"per_day": found.formula, "effective_from": effective_from, "source_text": source_text},
    )
    mark_due(session, [(place.id, thing.id)], entry.now)
    return declarations(session, place, entry.today, item_id=thing.id, limit=1)[0]


def _refuse_idle(session: Session, place: Place) -> None:
    """Refuse a norm for a place that would count as a user by it: what it hands out is used, and counted, elsewhere.

    A region counts where it is set to, or has reported use before; a warehouse only where a manager set it to.
    """
    if place.consumption_source == ConsumptionSource.NONE:
        detail = f"{place.code} is set to use nothing, its norm would not count."
    elif place.consumption_source is not None:
        return
    elif place.kind == LocationKind.WAREHOUSE:
        detail = (
            f"{place.code} is a warehouse, what leaves it is used elsewhere: declare the use of those it supplies,"
            " or set its consumption_source."
        )
    elif place.kind == LocationKind.REGION and not session.connection().execute(_EVER, {"place": place.id}).first():
        detail = (
            f"{place.code} is a region that never reported use: declare the use of the places in it, or set its"
            " consumption_source."
        )
    else:
        return
    raise Conflict(
        detail, code="consumption_not_counted", faults=[Fault("/location", "consumption_not_counted", detail)]
    )


def declarations(
    session: Session,
    scope: Place,
    today: date,
    *,
    item_id: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[DeclaredRow]:
    """Every declaration for the places of a scope, the newest first."""
    wanted: list[ColumnElement[bool]] = [PLACE.c.path.startswith(scope.path)]
    if item_id is not None:
        wanted.append(DECLARED.c.item_id == item_id)
    if before is not None:
        wanted.append(DECLARED.c.id < before)
    statement = _DECLARATIONS.where(*wanted).order_by(DECLARED.c.id.desc()).limit(limit)
    rows = session.connection().execute(statement, {"today": today})
    return [DeclaredRow(*row[:-1], bool(row[-1])) for row in rows]


_FORMS = (
    {"units_per_day"},
    {"persons", "shifts", "units_per_shift"},
    {"beds", "units_per_bed_day"},
)


def _decimal(value: Fraction) -> str:
    """A number of at most three decimals, as people write it."""
    whole, thousandths = divmod(int(value * 1000), 1000)
    return f"{whole}.{thousandths:03}".rstrip("0").rstrip(".")


def _named(session: Session, location: str, item: str) -> tuple[Place, ItemRow]:
    place, found = catalogue.require_place(session, location), catalogue.item(session, item)
    if found is None:
        detail = f"There is no item {item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    return place, found


def _lock(session: Session, place: Place) -> None:
    """One word at a time on a place's use: two managers do not both leave out the same day."""
    session.connection().execute(_LOCK, {"place": place.id})


_LOCK = select(PLACE.c.id).where(PLACE.c.id == bindparam("place")).with_for_update(key_share=True)
_EVER = select(CONSUMPTION.c.id).where(CONSUMPTION.c.location_id == bindparam("place")).limit(1)
_later = aliased(EXCLUDED, name="later")
_EXCLUSIONS = (
    select(
        EXCLUDED.c.id,
        PLACE.c.code,
        ITEM.c.code,
        EXCLUDED.c.day,
        EXCLUDED.c.excluded,
        EXCLUDED.c.reason,
        EXCLUDED.c.recorded_at,
        EXCLUDED.c.actor,
    )
    .join(PLACE, PLACE.c.id == EXCLUDED.c.location_id)
    .join(ITEM, ITEM.c.id == EXCLUDED.c.item_id)
    .where(
        ~exists().where(
            _later.c.item_id == EXCLUDED.c.item_id,
            _later.c.location_id == EXCLUDED.c.location_id,
            _later.c.day == EXCLUDED.c.day,
            _later.c.id > EXCLUDED.c.id,
        )
    )
)
_newer = aliased(DECLARED, name="newer")
_superseded = exists().where(
    _newer.c.item_id == DECLARED.c.item_id,
    _newer.c.location_id == DECLARED.c.location_id,
    _newer.c.effective_from <= bindparam("today"),
    or_(
        _newer.c.effective_from > DECLARED.c.effective_from,
        and_(_newer.c.effective_from == DECLARED.c.effective_from, _newer.c.id > DECLARED.c.id),
    ),
)
_counts = and_(DECLARED.c.effective_from <= bindparam("today"), DECLARED.c.per_day_per_1000 > 0, ~_superseded)
_DECLARATIONS = (
    select(
        DECLARED.c.id,
        PLACE.c.code,
        ITEM.c.code,
        DECLARED.c.per_day_per_1000,
        DECLARED.c.effective_from,
        DECLARED.c.source_text,
        DECLARED.c.recorded_at,
        DECLARED.c.actor,
        case((_counts, 1), else_=0),
    )
    .join(PLACE, PLACE.c.id == DECLARED.c.location_id)
    .join(ITEM, ITEM.c.id == DECLARED.c.item_id)
)
