"""Agreements with suppliers (协议储备、产能储备): what is promised, what was seen of it, what of it still counts.

Promises are counted apart from stock and only while they hold: between their days, seen lately enough, less what was
called. A call-up (启动) moves units from the promise to what is to come in one transaction, so that none is counted
twice. Everything is appended.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Date, bindparam, insert, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, journal, supply
from reserve.catalogue import ITEM, PLACE, ItemRow, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, Unknown, UnknownItem
from reserve.model import QUANTITY_MAX, CommitmentKind, CommitmentVisit, Moment, table
from reserve.policy import PolicyRow
from reserve.posting import mark_due, next_number
from reserve.supply import (
    COMMITMENT,
    COMMITMENT_PREFIX,
    ENDING,
    NewPlanned,
    PlannedRow,
    Terms,
    fault,
    refuse_days,
    refuse_units,
)

VISIT = table(CommitmentVisit)

LEAD_TIME_DAYS_MAX = 3660
VERIFIED_WITHIN_DAYS = 180
"""How long a look counts where no policy says otherwise."""

ENDS_SOON_DAYS = 60
"""From how long before its last day an agreement says that it ends."""


class NewCommitment(NamedTuple):
    """An agreement as it is entered: a contract's `quantity`, or a line's `units_per_day`."""

    kind: CommitmentKind
    item: str
    scope: str
    supplier: str
    lead_time_days: int
    valid_from: date
    valid_until: date
    quantity: int | None = None
    units_per_day: int | None = None
    verified_on: date | None = None
    reference: str | None = None
    renews: str | None = None


class Promise(NamedTuple):
    """An agreement as it stands on a day; `units` of a contract, or units a day of a line."""

    number: str
    kind: CommitmentKind
    item_id: int
    scope_id: int
    supplier: str
    units: int
    lead_time_days: int
    valid_from: date
    valid_until: date
    """Its last day; an ending cuts it."""
    seen_on: date
    """When somebody last looked: a visit, `verified_on`, else the day from which it holds."""
    seen: int | None
    """What the last visit saw; None: nobody has counted."""
    called: int
    """Units called in all, or that came where that is more."""
    called_since_seen: int
    """Of those, the units called on the day of the last visit or later."""
    busy_until: date | None
    """The last day on which batches that were called occupy a line; None: it is free."""
    reference: str | None


Why = Literal["not_yet_valid", "ended", "not_verified", "all_called", "nothing_seen"]


class Counted(NamedTuple):
    """What counts of a promise, in days from `as_of`.

    A contract's units arrive whole on `first_day`, which is also its last; a line makes `units` on each day from the
    first to the last. `why` says why nothing counts.
    """

    promise: Promise
    units: int
    first_day: int
    last_day: int
    why: Why | None


# -- what counts ------------------------------------------------------------------------------------------------------


def counted(promise: Promise, as_of: date, verified_within_days: int) -> Counted:
    """What of a promise counts on a day, where a promise that nobody looked at for longer counts for nothing.

    Examples
    --------
    >>> promise = Promise("CM-1", CommitmentKind.CONTRACT, 1, 1, "A", 20000, 10, date(2026, 1, 1), date(2026, 12, 31),
    ...     date(2026, 3, 1), 15000, 6000, 4000, None, None)
    >>> counted(promise, date(2026, 4, 1), 180)[1:]
    (11000, 10, 10, None)
    >>> counted(promise, date(2026, 4, 1), 30)[1:]
    (0, 10, 10, 'not_verified')
    """
    contract = promise.kind == CommitmentKind.CONTRACT
    first = promise.lead_time_days
    last = first if contract else (promise.valid_until - as_of).days
    if not contract and promise.busy_until is not None:
        first = max(first, (promise.busy_until - as_of).days + 1)
    units = _units(promise)
    why: Why | None = None
    if as_of > promise.valid_until:
        why = "ended"
    elif as_of < promise.valid_from:
        why = "not_yet_valid"
    elif (as_of - promise.seen_on).days > verified_within_days:
        why = "not_verified"
    elif promise.seen == 0:
        why = "nothing_seen"
    elif not contract and first > last:
        why = "all_called" if promise.lead_time_days <= last else "ended"
    elif not units:
        why = "all_called"
    return Counted(promise, 0 if why else units, first, last, why)


def _units(promise: Promise) -> int:
    """No more than the last visit saw, less what was called since; of a line, its units a day."""
    called, since = (promise.called, promise.called_since_seen) if promise.kind == CommitmentKind.CONTRACT else (0, 0)
    units = promise.units - called
    return max(0, units if promise.seen is None else min(units, promise.seen - since))


def ends_within(promise: Promise, as_of: date, days: int = ENDS_SOON_DAYS) -> bool:
    """Whether its last day is today or one of the next `days`."""
    return 0 <= (promise.valid_until - as_of).days <= days


def left(promise: Promise, as_of: date) -> int:
    """Units that can still be called: of a line, what it can make from its first free day to its last."""
    if promise.kind == CommitmentKind.CONTRACT:
        return max(0, promise.units - promise.called)
    first = as_of + timedelta(days=promise.lead_time_days)
    if promise.busy_until is not None:
        first = max(first, promise.busy_until + timedelta(days=1))
    return promise_rate(promise.units, promise.seen) * max(0, (promise.valid_until - first).days + 1)


def promise_rate(units_per_day: int, seen: int | None) -> int:
    """Units a day at which a batch is expected: what was seen where that is less, unless nothing was."""
    return min(units_per_day, seen) if seen else units_per_day


def promised(
    session: Session, item_id: int, *, as_of: date, at: datetime | None = None, known_at: datetime | None = None
) -> list[Promise]:
    """Every agreement on an item, whatever counts of it, as it stood on a day: two statements.

    Give `at` and `known_at` as they are given to `supply.coming`, so that both stand on the same moment.
    """
    asked = supply.cut(as_of, at, known_at)
    rows = session.connection().execute(_OF_ITEM, {"item": item_id, **asked}).all()
    if not rows:
        return []
    called = supply.calls_of_item(session, item_id, as_of=as_of, at=at, known_at=known_at)
    return [row.promise for row in _with_calls(rows, called, as_of)]


# -- entering, looking, ending ----------------------------------------------------------------------------------------


def add(session: Session, entry: Entry, new: NewCommitment) -> "CommitmentRow":
    """Enter an agreement.

    Refused: an unknown item or scope; terms that its kind does not have; days that cannot be; a visit in the future; a
    renewal of what is unknown, of another item or kind, or still in force.
    """
    item = catalogue.item(session, new.item)
    if item is None:
        detail = f"There is no item {new.item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    scope = catalogue.require_place(session, new.scope, "/scope")
    _refuse_bad_terms(new)
    _refuse_bad_days(new, entry.today)
    renewed = None if new.renews is None else _renewed(session, new, scope, entry.today)
    number = next_number(session, COMMITMENT_PREFIX, entry.today)
    values = {k: v for k, v in new._asdict().items() if k not in {"item", "scope", "renews"}}
    session.connection().execute(
        insert(COMMITMENT).values(
            **{**values, "kind": new.kind.value},
            number=number,
            item_id=item.id,
            scope_id=scope.id,
            renews_id=renewed and renewed.id,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    after = {name: value for name, value in new._asdict().items() if value is not None}
    _note(session, entry, number, "commitment.made", after=after)
    mark_due(session, [(scope.id, item.id)], entry.now)
    return find(session, number, entry.today)


def visit(
    session: Session,
    entry: Entry,
    number: str,
    *,
    visited_on: date,
    visitor: str,
    seen: int,
    note: str | None = None,
) -> "CommitmentRow":
    """Record that somebody looked (核查) and what was there beyond what was called before: units, or units a day.

    Refused: a day that has not been; a quantity that is not 0 to 10^15.
    """
    found = find(session, number, entry.today)
    refuse_days({"/visited_on": visited_on})
    if visited_on > entry.today:
        raise fault("/visited_on", f"{visited_on} has not been yet: record a visit after it was made.")
    if not isinstance(seen, int) or isinstance(seen, bool) or not 0 <= seen <= QUANTITY_MAX:
        raise fault("/seen", "What was seen is a whole number of base units, 0 to 10^15.")
    told = {"visited_on": visited_on, "visitor": visitor, "seen": seen, "note": note}
    session.connection().execute(
        insert(VISIT).values(commitment_id=found.id, **told, recorded_at=entry.now, actor=entry.actor)
    )
    _note(session, entry, number, "commitment.visited", after=told)
    mark_due(session, [(found.promise.scope_id, found.promise.item_id)], entry.now)
    return find(session, number, entry.today)


def end(session: Session, entry: Entry, number: str, *, ended_on: date, reason: str) -> "CommitmentRow":
    """End an agreement before its time (解除): `ended_on` is its last day. What was called stays ordered.

    What past days were told stays as it was: the earliest last day is yesterday, by which it counts no more from today
    on, also where it was entered by mistake. Refused: ended before; an earlier day; its own last day, or one after it.
    """
    found = find(session, number, entry.today)
    agreement = supply.lock_terms(session, found.id)
    if agreement.ended:
        detail = f"{number} was ended before: its last day is {agreement.valid_until}."
        raise Conflict(detail, code="commitment_ended")
    refuse_days({"/ended_on": ended_on})
    if ended_on < entry.today - timedelta(days=1):
        raise fault(
            "/ended_on", "What past days were told stays: say yesterday if it shall count no more from today on."
        )
    if ended_on >= agreement.valid_until:
        raise fault("/ended_on", f"{agreement.valid_until} is its last day anyway: say an earlier one.")
    session.connection().execute(
        insert(ENDING).values(
            commitment_id=found.id, ended_on=ended_on, reason=reason, recorded_at=entry.now, actor=entry.actor
        )
    )
    before, after = {"valid_until": agreement.valid_until}, {"valid_until": ended_on, "reason": reason}
    _note(session, entry, number, "commitment.ended", before=before, after=after)
    mark_due(session, [(agreement.scope_id, agreement.item_id)], entry.now)
    return find(session, number, entry.today)


def call_up(
    session: Session,
    entry: Entry,
    number: str,
    *,
    quantity: int,
    location: str,
    expected_on: date | None = None,
    reason: str,
) -> PlannedRow:
    """Call an agreement up (启动、动用): the units leave the promise and are to come, in one act.

    Without a day: after the lead time, and of a line after the batches called before. Refused: outside its days; more
    than is left; a place outside its scope or of another owner; a day that has been, or on which the line is busy.
    """
    found = find(session, number, entry.today)
    agreement = supply.lock_terms(session, found.id)
    refuse_units(quantity, "/quantity")
    place = supply.own_place(_within(session, agreement, location))
    _refuse_outside(agreement, entry.today)
    others = supply.calls(session, [agreement.id])
    busy = supply.line_until(others, entry.today)
    day = _expected(agreement, entry.today, busy, expected_on)
    rate = None
    if agreement.kind == CommitmentKind.CAPACITY:
        rate = promise_rate(agreement.units, find(session, number, entry.today).promise.seen)
    new = NewPlanned(
        item=found.item,
        location=place.code,
        quantity=quantity,
        expected_on=day,
        supplier=agreement.supplier,
        reference=agreement.reference,
        units_per_day=rate,
        ordered_on=entry.today,
        reason=reason,
    )
    supply.refuse_beyond(agreement, others, supply.Batch(quantity, day, rate), entry.today)
    made = supply.make(session, entry, new, agreement.item_id, place, agreement.id)
    told = {"planned_receipt": made.number, "quantity": quantity, "location": location, "reason": reason}
    _note(session, entry, number, "commitment.called", after=told)
    mark_due(session, [(agreement.scope_id, agreement.item_id)], entry.now)
    return made


def _within(session: Session, agreement: Terms, location: str) -> Place:
    place = catalogue.require_place(session, location)
    scope = next(p for p in catalogue.places(session) if p.id == agreement.scope_id)
    if not scope.holds(place):
        detail = f"{agreement.number} is for {scope.code}, and {location} lies outside: name a place of that scope."
        raise Invalid(detail, code="outside_scope", faults=[Fault("/location", "outside_scope", detail)])
    return place


def _refuse_outside(agreement: Terms, today: date) -> None:
    if today > agreement.valid_until:
        detail = f"{agreement.number} ended on {agreement.valid_until}; nothing can be called of it."
        raise Conflict(detail, code="commitment_ended")
    if today < agreement.valid_from:
        detail = f"{agreement.number} begins on {agreement.valid_from}; nothing can be called of it before."
        raise Conflict(detail, code="commitment_not_in_force")


def _expected(agreement: Terms, today: date, busy: date | None, wanted: date | None) -> date:
    """The day asked for, or the first on which it can come."""
    free = None if busy is None else busy + timedelta(days=1)
    if wanted is None:
        soonest = today + timedelta(days=agreement.lead_time_days)
        return soonest if free is None else max(soonest, free)
    if wanted < today:
        raise fault("/expected_on", f"{wanted} has been; say the day on which it is expected.")
    if free is not None and wanted < free:
        detail = f"The line is busy until {busy} with what was called before: say {free} or later."
        raise Conflict(detail, code="line_busy", faults=[Fault("/expected_on", "line_busy", detail)])
    return wanted


def _refuse_bad_terms(new: NewCommitment) -> None:
    if new.kind == CommitmentKind.CONTRACT:
        own, other, detail = "quantity", "units_per_day", "A contract promises a quantity, and no units_per_day."
    else:
        own, other, detail = "units_per_day", "quantity", "Capacity promises units_per_day, and no quantity."
    if getattr(new, own) is None or getattr(new, other) is not None:
        wrong = own if getattr(new, own) is None else other
        raise Invalid(detail, code="wrong_terms", faults=[Fault(f"/{wrong}", "wrong_terms", detail)])
    refuse_units(getattr(new, own), f"/{own}")
    days = new.lead_time_days
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= LEAD_TIME_DAYS_MAX:
        raise fault("/lead_time_days", f"A lead time is 0 to {LEAD_TIME_DAYS_MAX} days.")


def _refuse_bad_days(new: NewCommitment, today: date) -> None:
    refuse_days({"/valid_from": new.valid_from, "/valid_until": new.valid_until, "/verified_on": new.verified_on})
    if new.valid_until < new.valid_from:
        raise fault("/valid_until", f"It would end before it begins on {new.valid_from}: check both days.")
    if new.verified_on is not None and new.verified_on > today:
        raise fault("/verified_on", f"{new.verified_on} has not been yet: record a visit after it was made.")


def _renewed(session: Session, new: NewCommitment, scope: Place, today: date) -> "CommitmentRow":
    """The agreement that is renewed: of the same item and kind, within the scope, over before the new one begins."""
    assert new.renews is not None  # noqa: S101 - the caller looked
    try:
        found = find(session, new.renews, today)
    except Unknown:
        found = None
    same = found is not None and (found.item, found.promise.kind) == (new.item, new.kind)
    if found is None or not same or not found.scope_path.startswith(scope.path):
        # in the same words, so that nobody hears what was agreed elsewhere
        detail = f"There is no agreement {new.renews} of this kind on {new.item} to renew; see GET /v1/commitments."
        raise Invalid(detail, code="unknown_commitment", faults=[Fault("/renews", "unknown_commitment", detail)])
    if new.valid_from <= found.promise.valid_until:
        raise fault("/valid_from", f"{new.renews} holds until {found.promise.valid_until}; a renewal begins after it.")
    return found


# -- reading ----------------------------------------------------------------------------------------------------------


class CommitmentRow(NamedTuple):
    """An agreement with its codes and its promise as it stands."""

    id: int
    item: str
    scope: str
    scope_path: str
    quantity: int | None
    units_per_day: int | None
    signed_until: date
    ended_on: date | None
    ended_because: str | None
    verified_on: date | None
    renews: str | None
    recorded_at: datetime
    actor: str
    promise: Promise


class CommitmentQuestion(NamedTuple):
    """Agreements of a scope and everything below it, newest first, below an id."""

    scope: Place
    item_id: int | None = None
    kind: CommitmentKind | None = None
    before: int | None = None
    limit: int = 100


def find(session: Session, number: str, as_of: date) -> CommitmentRow:
    """An agreement by its number, as it stands on a day.

    Raises
    ------
    Unknown
        there is none.
    """
    found = _read(session, [COMMITMENT.c.number == number], as_of, limit=1)
    if not found:
        raise Unknown(f"There is no agreement {number}.", code="unknown_commitment")
    return found[0]


def commitments(session: Session, question: CommitmentQuestion, as_of: date) -> list[CommitmentRow]:
    """Agreements, the newest first."""
    wanted: list[ColumnElement[bool]] = [PLACE.c.path.startswith(question.scope.path)]
    if question.item_id is not None:
        wanted.append(COMMITMENT.c.item_id == question.item_id)
    if question.kind is not None:
        wanted.append(COMMITMENT.c.kind == question.kind.value)
    if question.before is not None:
        wanted.append(COMMITMENT.c.id < question.before)
    return _read(session, wanted, as_of, limit=question.limit)


class Visit(NamedTuple):
    visited_on: date
    visitor: str
    seen: int
    note: str | None
    recorded_at: datetime
    actor: str


def visits(session: Session, commitment_id: int) -> list[Visit]:
    """Every visit, the latest first."""
    return [Visit._make(row) for row in session.connection().execute(_VISITS, {"id": commitment_id})]


def verified_within(row: CommitmentRow, item: ItemRow, policies: Iterable[PolicyRow], places: dict[int, Place]) -> int:
    """Days for which a look counts, by the strictest policy in force that speaks of the item at or above its scope."""
    speaking = [p for p in policies if p.speaks_of(item) and row.scope_path.startswith(places[p.scope_id].path)]
    return min((p.verified_within_days for p in speaking), default=VERIFIED_WITHIN_DAYS)


def told(row: CommitmentRow, as_of: date, verified_within_days: int) -> dict[str, Any]:
    """An agreement as it is answered, with what counts of it."""
    promise = row.promise
    count = counted(promise, as_of, verified_within_days)
    return {
        "number": promise.number,
        "kind": promise.kind,
        "item": row.item,
        "scope": row.scope,
        "supplier": promise.supplier,
        "quantity": row.quantity,
        "units_per_day": row.units_per_day,
        "lead_time_days": promise.lead_time_days,
        "valid_from": promise.valid_from,
        "valid_until": row.signed_until,
        "verified_on": row.verified_on,
        "reference": promise.reference,
        "renews": row.renews,
        "ended_on": row.ended_on,
        "ended_because": row.ended_because,
        "seen_on": promise.seen_on,
        "seen": promise.seen,
        "verified_within_days": verified_within_days,
        "called": promise.called,
        "left": left(promise, as_of),
        "busy_until": promise.busy_until,
        "counted": count.units,
        "why": count.why,
        "first_on": None if count.why else as_of + timedelta(days=count.first_day),
        "last_on": None if count.why else as_of + timedelta(days=count.last_day),
        "ends_soon": ends_within(promise, as_of),
        "recorded_at": row.recorded_at,
        "actor": row.actor,
    }


def _read(session: Session, wanted: Sequence[ColumnElement[bool]], as_of: date, *, limit: int) -> list[CommitmentRow]:
    statement = _STANDING.where(*wanted).order_by(COMMITMENT.c.id.desc()).limit(limit)
    rows = session.connection().execute(statement, supply.cut(as_of)).all()
    return _with_calls(rows, supply.calls(session, [row.id for row in rows]), as_of)


def _with_calls(rows: Iterable[Any], called: Iterable[PlannedRow], as_of: date) -> list[CommitmentRow]:
    of: dict[int | None, list[PlannedRow]] = defaultdict(list)
    for call in called:
        of[call.commitment_id].append(call)
    return [_row(row, of[row.id], as_of) for row in rows]


def _row(row: Any, calls: Sequence[PlannedRow], as_of: date) -> CommitmentRow:  # noqa: ANN401 - a row
    verified = row.verified_on if row.verified_on is not None and row.verified_on <= as_of else None
    sights = [day for day in (row.visited_on, verified) if day is not None]
    promise = Promise(
        number=row.number,
        kind=CommitmentKind(row.kind),
        item_id=row.item_id,
        scope_id=row.scope_id,
        supplier=row.supplier,
        units=row.quantity or row.units_per_day,
        lead_time_days=row.lead_time_days,
        valid_from=row.valid_from,
        valid_until=row.valid_until if row.ended_on is None else min(row.valid_until, row.ended_on),
        seen_on=max(sights, default=row.valid_from),
        seen=row.seen,
        called=sum(call.taken for call in calls),
        # of the same day too: nobody can say which of the two was first
        called_since_seen=sum(c.taken for c in calls if row.visited_on is not None and c.ordered_on >= row.visited_on),
        busy_until=supply.line_until(calls, as_of),
        reference=row.reference,
    )
    return CommitmentRow(
        id=row.id,
        item=row.item,
        scope=row.scope,
        scope_path=row.path,
        quantity=row.quantity,
        units_per_day=row.units_per_day,
        signed_until=row.valid_until,
        ended_on=row.ended_on,
        ended_because=row.reason,
        verified_on=row.verified_on,
        renews=row.renews,
        recorded_at=row.recorded_at,
        actor=row.actor,
        promise=promise,
    )


def _note(
    session: Session,
    entry: Entry,
    number: str,
    verb: str,
    *,
    after: journal.Facts,
    before: journal.Facts | None = None,
) -> None:
    journal.write(session, actor=entry.actor, now=entry.now, verb=verb, subject=number, before=before, after=after)


_AT, _KNOWN = bindparam("at", type_=Moment), bindparam("known_at", type_=Moment)
_looked, _old = aliased(VISIT, name="looked"), aliased(COMMITMENT, name="old")
_last_visit = (
    select(_looked.c.id)
    .where(
        _looked.c.commitment_id == COMMITMENT.c.id,
        _looked.c.visited_on <= bindparam("as_of", type_=Date),
        _looked.c.recorded_at <= _KNOWN,
    )
    .order_by(_looked.c.visited_on.desc(), _looked.c.id.desc())
    .limit(1)
    .correlate(COMMITMENT)
    .scalar_subquery()
)
_STANDING = (
    select(
        COMMITMENT.c.id,
        COMMITMENT.c.number,
        COMMITMENT.c.kind,
        COMMITMENT.c.item_id,
        ITEM.c.code.label("item"),
        COMMITMENT.c.scope_id,
        PLACE.c.code.label("scope"),
        PLACE.c.path,
        COMMITMENT.c.supplier,
        COMMITMENT.c.quantity,
        COMMITMENT.c.units_per_day,
        COMMITMENT.c.lead_time_days,
        COMMITMENT.c.valid_from,
        COMMITMENT.c.valid_until,
        COMMITMENT.c.verified_on,
        COMMITMENT.c.reference,
        _old.c.number.label("renews"),
        ENDING.c.ended_on,
        ENDING.c.reason,
        VISIT.c.visited_on,
        VISIT.c.seen,
        COMMITMENT.c.recorded_at,
        COMMITMENT.c.actor,
    )
    .join(ITEM, ITEM.c.id == COMMITMENT.c.item_id)
    .join(PLACE, PLACE.c.id == COMMITMENT.c.scope_id)
    .outerjoin(_old, _old.c.id == COMMITMENT.c.renews_id)
    .outerjoin(
        ENDING,
        # ending is an act of its day: a day before it was told what held then
        (ENDING.c.commitment_id == COMMITMENT.c.id) & (ENDING.c.recorded_at < _AT) & (ENDING.c.recorded_at <= _KNOWN),
    )
    .outerjoin(VISIT, VISIT.c.id == _last_visit)
    .where(COMMITMENT.c.recorded_at <= _KNOWN)
)
_OF_ITEM = _STANDING.where(COMMITMENT.c.item_id == bindparam("item")).order_by(COMMITMENT.c.id)
_VISITS = (
    select(*(VISIT.c[name] for name in Visit._fields))
    .where(VISIT.c.commitment_id == bindparam("id"))
    .order_by(VISIT.c.visited_on.desc(), VISIT.c.id.desc())
)
