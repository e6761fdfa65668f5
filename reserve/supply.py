"""What is to come: orders and agreements called up (预计到货), what of them came, and what is on the road.

A planned receipt and its changes are appended; what came is the movements of the receipts that name it, less what of
them was reversed, so that undoing a receipt opens it again by itself.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Date, Select, and_, bindparam, case, func, insert, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import catalogue, journal, lots, transit
from reserve.catalogue import ITEM, PLACE, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, OutOfBounds, Unknown, UnknownItem
from reserve.lots import LOT
from reserve.model import (
    QUANTITY_MAX,
    Commitment,
    CommitmentEnding,
    CommitmentKind,
    Moment,
    PlannedArrival,
    PlannedChange,
    PlannedReceipt,
    table,
)
from reserve.posting import DOCUMENT, MOVEMENT, Posted, mark_due, next_number

PLANNED, CHANGE, ARRIVAL = table(PlannedReceipt), table(PlannedChange), table(PlannedArrival)
COMMITMENT, ENDING = table(Commitment), table(CommitmentEnding)

PLANNED_PREFIX, COMMITMENT_PREFIX = "PR", "CM"

OVERDUE_AFTER_DAYS = 7
"""What is late by more is left out of what is to come, and named."""

SPREAD_DAYS_MAX = 3660
"""A batch at so many units a day takes at most this long."""

FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2100, 12, 31)
EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than anything: the cut of a question about now."""


class NewPlanned(NamedTuple):
    """An order as it is entered; `units_per_day` where it comes in daily parts from `expected_on` on."""

    item: str
    location: str
    quantity: int
    expected_on: date
    supplier: str | None = None
    reference: str | None = None
    units_per_day: int | None = None
    expires_on: date | None = None
    ordered_on: date | None = None
    reason: str | None = None


class PlannedRow(NamedTuple):
    """A planned receipt as it stands: `quantity` and `expected_on` by its last change, `came` by its receipts."""

    id: int
    number: str
    item_id: int
    item: str
    location_id: int
    location: str
    path: str
    quantity: int
    expected_on: date
    units_per_day: int | None
    expires_on: date | None
    ordered_on: date
    commitment_id: int | None
    commitment: str | None
    supplier: str | None
    reference: str | None
    reason: str | None
    recorded_at: datetime
    actor: str
    came: int

    @property
    def left(self) -> int:
        """Units still to come."""
        return max(0, self.quantity - self.came)

    @property
    def taken(self) -> int:
        """Units it takes of its agreement: what was called, or what came where that is more."""
        return max(self.quantity, self.came)

    @property
    def next_on(self) -> date:
        """The day on which the next unit should come: of a batch in daily parts, after the days that have been met."""
        if self.units_per_day is None or not self.left:
            return self.expected_on
        return self.expected_on + timedelta(days=self.came // self.units_per_day)


class Coming(NamedTuple):
    """Units on their way to a place. `expected_on` None: nobody said when."""

    number: str
    kind: Literal["planned", "call_up", "transfer"]
    location_id: int
    units: int
    expected_on: date | None
    units_per_day: int | None
    expires_on: date | None
    commitment: str | None
    supplier: str | None


Arrival = tuple[int, int, int | None]
"""Units, the day at the start of which they can be used, and their life counted from day 0; None: no expiry."""


class Rated(NamedTuple):
    """Units on each day from a first to a last, counted from day 0."""

    units_per_day: int
    first_day: int
    last_day: int


class Lines(NamedTuple):
    """What is to come, a batch in daily parts told by its days and not part by part."""

    dated: list[Arrival]
    """By day; of a batch its last part, where that is a smaller one."""
    rated: list[Rated]
    late: list[Coming]


# -- what is to come --------------------------------------------------------------------------------------------------


def coming(
    session: Session, item_id: int, *, as_of: date, at: datetime | None = None, known_at: datetime | None = None
) -> list[Coming]:
    """All of an item that is on its way to the reserve's own places: two statements.

    Of a past day: what was ordered by then and had not come before `at`; and of that what had been told by `known_at`.
    """
    asked = {"item": item_id, **cut(as_of, at, known_at)}
    found = [
        Coming(
            number=row.number,
            kind="planned" if row.commitment_id is None else "call_up",
            location_id=row.location_id,
            units=row.left,
            expected_on=row.next_on,
            units_per_day=row.units_per_day,
            expires_on=row.expires_on,
            commitment=row.commitment,
            supplier=row.supplier,
        )
        for row in map(_row, session.connection().execute(_OF_ITEM, asked))
        if row.left
    ]
    found += [
        Coming(row.number, "transfer", row.target_id, row.units, row.expected_on, None, row.expires_on, None, None)
        for row in transit.lots_on_the_road(session, item_id, at=at, known_at=known_at)
    ]
    return found


def schedule(
    coming: Iterable[Coming],
    as_of: date,
    *,
    overdue_after_days: int = OVERDUE_AFTER_DAYS,
    within_days: int = SPREAD_DAYS_MAX,
) -> tuple[list[Arrival], list[Coming]]:
    """The days on which what is to come comes, counted from `as_of`, and what is too late to be counted on.

    What is overdue by at most `overdue_after_days` comes on day 0; what is overdue by more, or was never given a day,
    is answered apart. A batch in daily parts is spread over its days, and batches of one agreement follow each other:
    a line makes one at a time. Goods that expire before they come are neither. What comes on day `within_days` or
    later is left out: give the days that are looked at, a batch has up to 3,660 of them.
    """
    placed, late = _placed(coming, as_of, overdue_after_days)
    arrivals: list[Arrival] = []
    for one, day, life in placed:
        parts = [(one.units, day)]
        if one.units_per_day is not None:
            parts = _spread(one.units, one.units_per_day, day, within_days)
        arrivals += [(units, n, life) for units, n in parts if n < within_days and (life is None or life > n)]
    return sorted(arrivals, key=lambda a: a[1]), late


def lines(
    coming: Iterable[Coming],
    as_of: date,
    *,
    overdue_after_days: int = OVERDUE_AFTER_DAYS,
    within_days: int = SPREAD_DAYS_MAX,
) -> Lines:
    """`schedule`, where nobody asks for each day: as many figures as there are batches, however slow they are.

    Parts of a batch that expire before they come are left out; how long the others keep is not told.
    """
    placed, late = _placed(coming, as_of, overdue_after_days)
    dated: list[Arrival] = []
    rated: list[Rated] = []
    for one, first, life in placed:
        end = within_days if life is None else min(within_days, life)
        if one.units_per_day is None:
            dated += [(one.units, first, life)] if first < end else []
            continue
        whole, rest = divmod(one.units, one.units_per_day)
        last = min(first + whole, end) - 1
        if last >= first:
            rated.append(Rated(one.units_per_day, first, last))
        if rest and first + whole < end:
            dated.append((rest, first + whole, life))
    return Lines(sorted(dated, key=lambda a: a[1]), rated, late)


def _placed(
    coming: Iterable[Coming], as_of: date, overdue_after_days: int
) -> tuple[list[tuple[Coming, int, int | None]], list[Coming]]:
    """Each with its first day and its life, one batch of a line after the other; and those that are too late."""
    placed: list[tuple[Coming, int, int | None]] = []
    late: list[Coming] = []
    free: dict[str, int] = {}
    for one in sorted(coming, key=_by_day):
        if one.expected_on is None or (as_of - one.expected_on).days > overdue_after_days:
            late.append(one)
            continue
        day = max(0, (one.expected_on - as_of).days)
        if one.units_per_day is not None:
            line = one.commitment or one.number
            day = max(day, free.get(line, 0))
            free[line] = day + _days(one.units, one.units_per_day)
        placed.append((one, day, lots.life(one.expires_on, as_of)))
    return placed, late


def _by_day(one: Coming) -> tuple[date, str]:
    return one.expected_on or date.max, one.number


def _days(units: int, per_day: int) -> int:
    return -(-units // per_day)


def _spread(units: int, per_day: int, first: int, within_days: int) -> list[tuple[int, int]]:
    days = min(_days(units, per_day), max(0, within_days - first))
    return [(min(per_day, units - n * per_day), first + n) for n in range(days)]


def line_until(calls: Iterable[PlannedRow], as_of: date) -> date | None:
    """The last day on which batches that were called still occupy a line, one after the other; None: it is free."""
    until: date | None = None
    for call in sorted(calls, key=lambda call: (call.next_on, call.number)):
        if call.left and call.units_per_day is not None:
            first = max(as_of, call.next_on, as_of if until is None else until + timedelta(days=1))
            until = first + timedelta(days=_days(call.left, call.units_per_day) - 1)
    return until


# -- planning and changing --------------------------------------------------------------------------------------------


def plan(session: Session, entry: Entry, new: NewPlanned) -> PlannedRow:
    """Enter an order: what should come, where, from when on.

    Refused: an unknown item or place; a place of another owner; quantities that are not 1 to 10^15; days that cannot
    be; a batch that would take longer than ten years.
    """
    item = catalogue.item(session, new.item)
    if item is None:
        detail = f"There is no item {new.item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    place = own_place(catalogue.require_place(session, new.location))
    ordered_on = new.ordered_on or entry.today
    if ordered_on > entry.today:
        raise fault("/ordered_on", "An order that was not made yet is none: give the day on which it was, or leave it.")
    return make(session, entry, new._replace(ordered_on=ordered_on), item.id, place)


def own_place(place: Place) -> Place:
    """A place where the reserve's own goods come in."""
    if place.owner is not None:
        detail = f"What lies at {place.code} belongs to {place.owner}: name a place of the reserve's own."
        raise Invalid(detail, code="another_owner", faults=[Fault("/location", "another_owner", detail)])
    return place


def make(
    session: Session, entry: Entry, new: NewPlanned, item_id: int, place: Place, commitment_id: int | None = None
) -> PlannedRow:
    """Append a planned receipt; of an agreement where it was called up. Who calls has found item and place."""
    refuse_units(new.quantity, "/quantity")
    if new.units_per_day is not None:
        refuse_units(new.units_per_day, "/units_per_day")
        _refuse_too_slow(new.quantity, new.units_per_day)
    ordered_on = new.ordered_on or entry.today
    refuse_days({"/ordered_on": ordered_on, "/expected_on": new.expected_on, "/expires_on": new.expires_on})
    if new.expected_on < ordered_on:
        raise fault("/expected_on", f"It was ordered on {ordered_on}: nothing of it comes before.")
    if new.expires_on is not None and new.expires_on < new.expected_on:
        raise fault("/expires_on", "Goods that expire before they come are of no use: check both days.")
    number = next_number(session, PLANNED_PREFIX, entry.today)
    values = {name: value for name, value in new._asdict().items() if name not in {"item", "location"}}
    session.connection().execute(
        insert(PLANNED).values(
            **{**values, "ordered_on": ordered_on},
            number=number,
            item_id=item_id,
            location_id=place.id,
            commitment_id=commitment_id,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    mark_due(session, [(place.id, item_id)], entry.now)
    made = find(session, number)
    after = {**new._asdict(), "ordered_on": ordered_on, "commitment": made.commitment}
    _journal(session, entry, number, "planned.made", after={k: v for k, v in after.items() if v is not None})
    return made


def change(
    session: Session,
    entry: Entry,
    number: str,
    *,
    quantity: int | None = None,
    expected_on: date | None = None,
    reason: str,
) -> PlannedRow:
    """Another day, or another quantity in all, 0 if none of it will come; what a call-up loses is promised again.

    Refused: neither of the two; less than came; a day that has been; one that came or was ended; for a call-up, more
    than is left of its agreement.
    """
    found = find(session, number)
    agreement = None if found.commitment_id is None else lock_terms(session, found.commitment_id)
    session.connection().execute(_LOCK, {"number": number})
    found = find(session, number)
    if quantity is None and expected_on is None:
        raise Invalid("Say a quantity, a day, or both.", code="nothing_to_change")
    if not found.left:
        detail = f"Nothing of {number} is still to come; plan another, or reverse the receipt that was wrong."
        raise Conflict(detail, code="planned_ended")
    units = found.quantity if quantity is None else quantity
    day = found.expected_on if expected_on is None else expected_on
    if units != 0:
        refuse_units(units, "/quantity")
    if units < found.came:
        detail = f"{found.came} of {number} have come: a quantity in all is never less. Say {found.came} to end it."
        raise Conflict(detail, code="less_than_came", faults=[Fault("/quantity", "less_than_came", detail)])
    refuse_days({"/expected_on": day})
    if expected_on is not None and expected_on < entry.today:
        raise fault("/expected_on", f"{expected_on} has been; say the day on which it is expected.")
    if found.units_per_day is not None and units:
        _refuse_too_slow(units, found.units_per_day)
    changed = found._replace(quantity=units, expected_on=day)
    if agreement is not None and units > found.quantity:
        others = [call for call in calls(session, [agreement.id]) if call.id != found.id]
        came = 0 if changed.units_per_day is None else changed.came
        batch = Batch(changed.taken - came, changed.next_on, changed.units_per_day)
        refuse_beyond(agreement, others, batch, entry.today)
    session.connection().execute(
        insert(CHANGE).values(
            planned_id=found.id,
            quantity=units,
            expected_on=day,
            reason=reason,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    due = [(found.location_id, found.item_id)]
    if agreement is not None:
        due.append((agreement.scope_id, found.item_id))
    mark_due(session, due, entry.now)
    before = {"quantity": found.quantity, "expected_on": found.expected_on}
    after = {"quantity": units, "expected_on": day, "reason": reason}
    _journal(session, entry, number, "planned.changed", before=before, after=after)
    return changed


def link(session: Session, entry: Entry, number: str, *, receipt: Posted, location: str) -> PlannedRow:
    """Say that a receipt, recorded in this transaction, is what was planned. More than was left is fine.

    Refused: an unknown planned receipt, or one of elsewhere; no line of its item; a day before it was ordered.
    """
    place = catalogue.require_place(session, location)
    row = session.connection().execute(_BY_NUMBER, {"number": number, **cut()}).one_or_none()
    found = None if row is None else _row(row)
    if found is None or not (place.path.startswith(found.path) or found.path.startswith(place.path)):
        # in the same words, so that nobody hears what is planned elsewhere
        detail = f"There is no planned receipt {number} for {location}; see GET /v1/planned-receipts."
        raise Unplanned(detail, faults=[Fault("/planned_receipt", Unplanned.code, detail)])
    if all(movement.item != found.item for movement in receipt.movements):
        detail = f"{number} is of {found.item}, and no line is: name another, or leave it out."
        raise Invalid(detail, code="item_not_planned", faults=[Fault("/planned_receipt", "item_not_planned", detail)])
    came_on = entry.day_of(receipt.movements[0].occurred_at)
    if came_on < found.ordered_on:
        detail = f"{number} was ordered on {found.ordered_on}: nothing of it came before. Enter the day it came."
        raise OutOfBounds(detail, faults=[Fault("/occurred_at", OutOfBounds.code, detail)])
    session.connection().execute(insert(ARRIVAL).values(document_id=receipt.id, planned_id=found.id))
    mark_due(session, [(found.location_id, found.item_id)], entry.now)
    units = sum(movement.quantity for movement in receipt.movements if movement.item == found.item)
    _journal(session, entry, number, "planned.came", after={"document": receipt.document, "quantity": units})
    return found._replace(came=found.came + units)


class Unplanned(Invalid):
    """No such planned receipt where goods came in."""

    code = "unknown_planned_receipt"
    title = "Unknown planned receipt"


# -- what an agreement has left ---------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """What a supplier promised; `valid_until` is cut by an ending."""

    id: int
    number: str
    kind: CommitmentKind
    item_id: int
    scope_id: int
    units: int
    lead_time_days: int
    valid_from: date
    valid_until: date
    supplier: str
    reference: str | None
    ended: bool


def lock_terms(session: Session, commitment_id: int) -> Terms:
    """An agreement, locked: what was called of it is read after this, and nobody calls more meanwhile."""
    session.connection().execute(_LOCK_COMMITMENT, {"id": commitment_id})
    row = session.connection().execute(_TERMS, {"id": commitment_id}).one()
    until = row.valid_until if row.ended_on is None else min(row.valid_until, row.ended_on)
    return Terms(
        id=row.id,
        number=row.number,
        kind=CommitmentKind(row.kind),
        item_id=row.item_id,
        scope_id=row.scope_id,
        units=row.units,
        lead_time_days=row.lead_time_days,
        valid_from=row.valid_from,
        valid_until=until,
        supplier=row.supplier,
        reference=row.reference,
        ended=row.ended_on is not None,
    )


def calls(session: Session, commitment_ids: Sequence[int]) -> list[PlannedRow]:
    """Every call-up of some agreements, as it stands."""
    asked = {"commitments": sorted(commitment_ids), **cut()}
    return [_row(row) for row in session.connection().execute(_OF_COMMITMENTS, asked)] if commitment_ids else []


def calls_of_item(
    session: Session, item_id: int, *, as_of: date, at: datetime | None, known_at: datetime | None
) -> list[PlannedRow]:
    """Every call-up of an item, as it stood."""
    asked = {"item": item_id, **cut(as_of, at, known_at)}
    return [_row(row) for row in session.connection().execute(_CALLS_OF_ITEM, asked)]


class Batch(NamedTuple):
    """Units to be called: so many a day from a day on, or all at once."""

    units: int
    first: date
    units_per_day: int | None


def refuse_beyond(terms: Terms, others: Sequence[PlannedRow], wanted: Batch, today: date) -> None:
    """Refuse a call-up by which more would be called than was promised.

    Of a contract all units called count; of a line, what it can make until its last day, one batch after the other.
    """
    if wanted.units_per_day is None:
        left = max(0, terms.units - sum(call.taken for call in others))
    else:
        until = line_until(others, today)
        first = max(today, wanted.first, wanted.first if until is None else until + timedelta(days=1))
        left = wanted.units_per_day * max(0, (terms.valid_until - first).days + 1)
    if wanted.units > left:
        detail = f"{left} are left of {terms.number}; {wanted.units} were asked for and nothing was called."
        fault = Fault("/quantity", "more_than_left", detail)
        raise Conflict(detail, code="more_than_left", faults=[fault], extra={"left": left})


# -- reading ----------------------------------------------------------------------------------------------------------


def find(session: Session, number: str) -> PlannedRow:
    """A planned receipt by its number, as it stands.

    Raises
    ------
    Unknown
        there is none.
    """
    row = session.connection().execute(_BY_NUMBER, {"number": number, **cut()}).one_or_none()
    if row is None:
        raise Unknown(f"There is no planned receipt {number}.", code="unknown_planned_receipt")
    return _row(row)


class PlannedQuestion(NamedTuple):
    """Planned receipts of a scope's places, newest first, below an id; `open`: something is (or nothing is) to come."""

    scope: Place
    item_id: int | None = None
    commitment: str | None = None
    open: bool | None = None
    before: int | None = None
    limit: int = 100


def planned(session: Session, question: PlannedQuestion) -> list[PlannedRow]:
    """Planned receipts, the newest first."""
    wanted: list[ColumnElement[bool]] = [PLACE.c.path.startswith(question.scope.path)]
    if question.item_id is not None:
        wanted.append(PLANNED.c.item_id == question.item_id)
    if question.commitment is not None:
        wanted.append(COMMITMENT.c.number == question.commitment)
    if question.open is not None:
        wanted.append((_quantity > _came) if question.open else (_quantity <= _came))
    if question.before is not None:
        wanted.append(PLANNED.c.id < question.before)
    statement = _STANDING.where(*wanted).order_by(None).order_by(PLANNED.c.id.desc()).limit(question.limit)
    return [_row(row) for row in session.connection().execute(statement, cut())]


class Change(NamedTuple):
    planned_id: int
    quantity: int
    expected_on: date
    reason: str
    recorded_at: datetime
    actor: str


class Came(NamedTuple):
    """A receipt on which a planned one came: its units of the item, less what was reversed."""

    planned_id: int
    document: str
    location: str
    occurred_at: datetime
    quantity: int


def described(session: Session, rows: Sequence[PlannedRow], today: date) -> list[dict[str, Any]]:
    """Planned receipts whole: how each was changed, and what came of it; three statements however many there are."""
    ids = [row.id for row in rows]
    asked = {"ids": ids, **cut()}
    changes: list[Change] = []
    receipts: list[Came] = []
    if ids:
        changes = [Change._make(row) for row in session.connection().execute(_CHANGES, {"ids": ids})]
        receipts = [_came_row(row) for row in session.connection().execute(_RECEIPTS, asked)]
    return [
        {
            **told(row, today),
            "changes": [_without_id(c) for c in changes if c.planned_id == row.id],
            "receipts": [_without_id(c) for c in receipts if c.planned_id == row.id],
        }
        for row in rows
    ]


def told(row: PlannedRow, today: date) -> dict[str, Any]:
    """A planned receipt as it is answered."""
    overdue = max(0, (today - row.next_on).days) if row.left else 0
    return {
        "number": row.number,
        "item": row.item,
        "location": row.location,
        "quantity": row.quantity,
        "came": row.came,
        "left": row.left,
        "expected_on": row.expected_on,
        "units_per_day": row.units_per_day,
        "expires_on": row.expires_on,
        "ordered_on": row.ordered_on,
        "overdue_days": overdue,
        "late": overdue > 0,
        "counted": bool(row.left) and overdue <= OVERDUE_AFTER_DAYS,
        "commitment": row.commitment,
        "supplier": row.supplier,
        "reference": row.reference,
        "reason": row.reason,
        "recorded_at": row.recorded_at,
        "actor": row.actor,
    }


def _without_id(row: Change | Came) -> dict[str, Any]:
    answered = row._asdict()
    del answered["planned_id"]
    return answered


# -- details ----------------------------------------------------------------------------------------------------------


def refuse_units(units: int, pointer: str) -> None:
    """Whole units from 1 to 10^15."""
    if not isinstance(units, int) or isinstance(units, bool) or not 1 <= units <= QUANTITY_MAX:
        raise fault(pointer, "A quantity is a whole number of base units, 1 to 10^15.")


def refuse_days(days: dict[str, date | None]) -> None:
    """Days as the API takes them, whoever calls."""
    for pointer, day in days.items():
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            raise fault(pointer, "A day lies between 1990 and 2100.")


def fault(pointer: str, detail: str) -> Invalid:
    return Invalid(detail, faults=[Fault(pointer, Invalid.code, detail)])


def _refuse_too_slow(units: int, per_day: int) -> None:
    if _days(units, per_day) > SPREAD_DAYS_MAX:
        raise fault("/units_per_day", "At so few a day it would take more than ten years: check both numbers.")


def _journal(
    session: Session,
    entry: Entry,
    number: str,
    verb: str,
    *,
    after: journal.Facts,
    before: journal.Facts | None = None,
) -> None:
    journal.write(session, actor=entry.actor, now=entry.now, verb=verb, subject=number, before=before, after=after)


def cut(
    as_of: date = LAST_DAY, at: datetime | None = None, known_at: datetime | None = None
) -> dict[str, date | datetime]:
    """Up to when a question asks: what was ordered by a day, had happened before `at`, was told by `known_at`."""
    return {"as_of": as_of, "at": at or EVER, "known_at": known_at or EVER}


def _row(row: Any) -> PlannedRow:  # noqa: ANN401 - a row of any of the statements below
    found = PlannedRow._make(row)
    return found._replace(came=int(found.came))  # PostgreSQL sums whole numbers to a decimal


def _came_row(row: Any) -> Came:  # noqa: ANN401 - a row
    found = Came._make(row)
    return found._replace(quantity=int(found.quantity))


_AT, _KNOWN = bindparam("at", type_=Moment), bindparam("known_at", type_=Moment)
_undo, _undo_document = aliased(MOVEMENT, name="undo"), aliased(DOCUMENT, name="undo_document")
_came_units = func.coalesce(func.sum(case((_undo_document.c.id.is_not(None), 0), else_=MOVEMENT.c.quantity)), 0)


def _of_receipts(*columns: ColumnElement[Any]) -> Select[Any]:
    """Movements of the receipts on which planned ones came, those that were undone among them."""
    return (
        select(*columns)
        .select_from(ARRIVAL)
        .join(DOCUMENT, DOCUMENT.c.id == ARRIVAL.c.document_id)
        .join(MOVEMENT, MOVEMENT.c.document_id == DOCUMENT.c.id)
        .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .outerjoin(_undo, and_(_undo.c.reverses == MOVEMENT.c.id, _undo.c.occurred_at < _AT))
        .outerjoin(
            _undo_document, and_(_undo_document.c.id == _undo.c.document_id, _undo_document.c.recorded_at <= _KNOWN)
        )
        .where(MOVEMENT.c.occurred_at < _AT, DOCUMENT.c.recorded_at <= _KNOWN, LOT.c.item_id == PLANNED.c.item_id)
    )


_came = _of_receipts(_came_units).where(ARRIVAL.c.planned_id == PLANNED.c.id).correlate(PLANNED).scalar_subquery()
_known = aliased(CHANGE, name="known")
_last_change = (
    select(func.max(_known.c.id))
    .where(_known.c.planned_id == PLANNED.c.id, _known.c.recorded_at < _AT, _known.c.recorded_at <= _KNOWN)
    .correlate(PLANNED)
    .scalar_subquery()
)
_quantity = func.coalesce(CHANGE.c.quantity, PLANNED.c.quantity)
_STANDING = (
    select(
        PLANNED.c.id,
        PLANNED.c.number,
        PLANNED.c.item_id,
        ITEM.c.code,
        PLANNED.c.location_id,
        PLACE.c.code.label("location"),
        PLACE.c.path,
        _quantity.label("quantity"),
        func.coalesce(CHANGE.c.expected_on, PLANNED.c.expected_on).label("expected_on"),
        PLANNED.c.units_per_day,
        PLANNED.c.expires_on,
        PLANNED.c.ordered_on,
        PLANNED.c.commitment_id,
        COMMITMENT.c.number.label("commitment"),
        PLANNED.c.supplier,
        PLANNED.c.reference,
        PLANNED.c.reason,
        PLANNED.c.recorded_at,
        PLANNED.c.actor,
        _came.label("came"),
    )
    .join(ITEM, ITEM.c.id == PLANNED.c.item_id)
    .join(PLACE, PLACE.c.id == PLANNED.c.location_id)
    .outerjoin(COMMITMENT, COMMITMENT.c.id == PLANNED.c.commitment_id)
    .outerjoin(CHANGE, CHANGE.c.id == _last_change)
    .where(PLANNED.c.ordered_on <= bindparam("as_of", type_=Date), PLANNED.c.recorded_at <= _KNOWN)
    .order_by(PLANNED.c.id)
)
CALLED_BEYOND = (
    select(COMMITMENT.c.number, COMMITMENT.c.quantity, func.sum(_quantity))
    .join(PLANNED, PLANNED.c.commitment_id == COMMITMENT.c.id)
    .outerjoin(
        CHANGE,
        CHANGE.c.id
        == select(func.max(_known.c.id))
        .where(_known.c.planned_id == PLANNED.c.id)
        .correlate(PLANNED)
        .scalar_subquery(),
    )
    .where(COMMITMENT.c.kind == CommitmentKind.CONTRACT.value)
    .group_by(COMMITMENT.c.id, COMMITMENT.c.number, COMMITMENT.c.quantity)
    .having(func.sum(_quantity) > COMMITMENT.c.quantity)
    .order_by(COMMITMENT.c.id)
)
"""Contracts of which more is called than was promised: number, promised, called. For `verify`."""

_BY_NUMBER = _STANDING.where(PLANNED.c.number == bindparam("number"))
# what goes to a place of another owner is no more the reserve's than what lies there
_OF_ITEM = _STANDING.where(PLANNED.c.item_id == bindparam("item"), PLACE.c.owner.is_(None))
_CALLS_OF_ITEM = _STANDING.where(PLANNED.c.item_id == bindparam("item"), PLANNED.c.commitment_id.is_not(None))
_OF_COMMITMENTS = _STANDING.where(PLANNED.c.commitment_id.in_(bindparam("commitments", expanding=True)))
_LOCK = select(PLANNED.c.id).where(PLANNED.c.number == bindparam("number")).with_for_update(key_share=True)
_LOCK_COMMITMENT = select(COMMITMENT.c.id).where(COMMITMENT.c.id == bindparam("id")).with_for_update(key_share=True)
_TERMS = (
    select(
        COMMITMENT.c.id,
        COMMITMENT.c.number,
        COMMITMENT.c.kind,
        COMMITMENT.c.item_id,
        COMMITMENT.c.scope_id,
        func.coalesce(COMMITMENT.c.quantity, COMMITMENT.c.units_per_day).label("units"),
        COMMITMENT.c.lead_time_days,
        COMMITMENT.c.valid_from,
        COMMITMENT.c.valid_until,
        COMMITMENT.c.supplier,
        COMMITMENT.c.reference,
        ENDING.c.ended_on,
    )
    .outerjoin(ENDING, ENDING.c.commitment_id == COMMITMENT.c.id)
    .where(COMMITMENT.c.id == bindparam("id"))
)
_CHANGES = (
    select(*(CHANGE.c[name] for name in Change._fields))
    .where(CHANGE.c.planned_id.in_(bindparam("ids", expanding=True)))
    .order_by(CHANGE.c.id)
)
_RECEIPTS = (
    _of_receipts(
        ARRIVAL.c.planned_id,
        DOCUMENT.c.number,
        PLACE.c.code,
        DOCUMENT.c.occurred_at,
        _came_units.label("quantity"),
    )
    .join(PLANNED, PLANNED.c.id == ARRIVAL.c.planned_id)
    .join(PLACE, PLACE.c.id == DOCUMENT.c.location_id)
    .where(ARRIVAL.c.planned_id.in_(bindparam("ids", expanding=True)))
    .group_by(ARRIVAL.c.planned_id, DOCUMENT.c.id, DOCUMENT.c.number, PLACE.c.code, DOCUMENT.c.occurred_at)
    .order_by(DOCUMENT.c.id)
)
