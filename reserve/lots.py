"""Lots found or made, and held (冻结): a held lot is not usable anywhere from the moment its hold commits."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import journal
from reserve.catalogue import ITEM, PLACE
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, LotConflict, UnknownLot
from reserve.model import Balance, CoverageDue, Document, Hold, Location, Lot, Movement, Redating, table

LOT, HOLD, MOVEMENT, DOCUMENT, REDATING = (table(model) for model in (Lot, Hold, Movement, Document, Redating))
_BALANCE, _DUE = table(Balance), table(CoverageDue)


def is_expired(expires_on: date | None, day: date) -> bool:
    """Whether a lot may no longer be used on `day`: `expires_on` is its last usable day, none means never."""
    return expires_on is not None and expires_on < day


def life(expires_on: date | None, day: date) -> int | None:
    """Days on which a lot may still be used, `day` included; 0 or less has expired, None never expires."""
    return None if expires_on is None else (expires_on - day).days + 1


class LotRow(NamedTuple):
    id: int
    item_id: int
    lot_number: str
    manufactured_on: date | None
    expires_on: date | None


class WantedLot(NamedTuple):
    """A lot as somebody names it; `pointer` says where in the request."""

    item_id: int
    lot_number: str
    manufactured_on: date | None
    expires_on: date | None
    pointer: str


_COLUMNS = (LOT.c.id, LOT.c.item_id, LOT.c.lot_number, LOT.c.manufactured_on, LOT.c.expires_on)
_BY_NUMBER = select(*_COLUMNS).where(tuple_(LOT.c.item_id, LOT.c.lot_number).in_(bindparam("numbers", expanding=True)))
_BY_ID = select(*_COLUMNS).where(LOT.c.id.in_(bindparam("ids", expanding=True))).order_by(LOT.c.id)
_PLACE = table(Location)
_LAIN = (
    select(_BALANCE.c.lot_id)
    .join(_PLACE, _PLACE.c.id == _BALANCE.c.location_id)
    .where(_BALANCE.c.lot_id == bindparam("lot"), _PLACE.c.path.like(bindparam("below")))
    .limit(1)
)
_FOR_SHARE = _BY_ID.with_for_update(read=True)
_HELD = select(HOLD.c.lot_id).where(HOLD.c.lifted_at.is_(None), HOLD.c.lot_id.in_(bindparam("ids", expanding=True)))
_undo = aliased(MOVEMENT, name="undo")
_STANDING = (  # a movement of the lot that was told before today, or that is neither a reversal nor reversed
    select(MOVEMENT.c.id)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .where(
        MOVEMENT.c.lot_id == bindparam("lot"),
        or_(
            DOCUMENT.c.recorded_at < bindparam("today"),
            MOVEMENT.c.occurred_at < bindparam("today"),
            and_(
                MOVEMENT.c.reverses.is_(None),
                ~select(_undo.c.id).where(_undo.c.reverses == MOVEMENT.c.id).exists(),
            ),
        ),
    )
    .limit(1)
)
_MAKE = {
    "sqlite": sqlite.insert(LOT).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(LOT).on_conflict_do_nothing(),
}


def by_number(session: Session, numbers: Iterable[tuple[int, str]]) -> dict[tuple[int, str], LotRow]:
    """Lots by (item id, lot number); those that do not exist are left out."""
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    rows = (LotRow._make(row) for row in session.connection().execute(_BY_NUMBER, {"numbers": wanted}))
    return {(row.item_id, row.lot_number): row for row in rows}


def find_or_make(session: Session, wanted: Iterable[WantedLot], entry: Entry) -> dict[tuple[int, str], LotRow]:
    """The lots named, made where they are new.

    Raises
    ------
    LotConflict
        a lot that is known, or named twice here, with another expiry: one of the two labels was misread. A lot that
        came in today and whose every movement has been reversed takes the new dates: that is how a misread label is
        put right at the gate. Later it is `redate`, by a manager and with a reason.
    """
    wanted = list(wanted)
    _refuse_conflicts(wanted, {})
    known = by_number(session, ((lot.item_id, lot.lot_number) for lot in wanted))
    known |= _redate_empty(session, wanted, known, entry)
    _refuse_conflicts(wanted, known)
    new = {(w.item_id, w.lot_number): w for w in wanted if (w.item_id, w.lot_number) not in known}
    if new:
        connection = session.connection()
        connection.execute(
            _MAKE[connection.dialect.name],
            [{k: v for k, v in new[key]._asdict().items() if k != "pointer"} for key in sorted(new)],
        )
        made = by_number(session, new)
        _refuse_conflicts(new.values(), made)  # somebody else may have made it just now
        _journal_made(session, made.values(), entry)
        known |= made
    return known


def _journal_made(session: Session, made: Iterable[LotRow], entry: Entry) -> None:
    """The dates of a lot are sealed like a movement: who changes them behind our back is found."""
    made = list(made)
    codes = _item_codes(session, {lot.item_id for lot in made})
    journal.write_all(
        session,
        [
            journal.Change(
                entry.actor, entry.now, "lot.made", f"{codes[lot.item_id]}/{lot.lot_number}", after=_dates(lot)
            )
            for lot in sorted(made, key=lambda lot: lot.id)
        ],
    )


def _dates(lot: LotRow) -> journal.Facts:
    return {"manufactured_on": lot.manufactured_on, "expires_on": lot.expires_on}


def _item_codes(session: Session, ids: Iterable[int]) -> dict[int, str]:
    rows = session.connection().execute(select(ITEM.c.id, ITEM.c.code).where(ITEM.c.id.in_(sorted(set(ids)))))
    return {row.id: row.code for row in rows}


def _redate_empty(
    session: Session, wanted: Iterable[WantedLot], known: dict[tuple[int, str], LotRow], entry: Entry
) -> dict[tuple[int, str], LotRow]:
    """Give lots that nothing stands of any more the dates they are now received with."""
    changed = {}
    for lot in wanted:
        there = known.get((lot.item_id, lot.lot_number))
        if there is None or there.expires_on == lot.expires_on:
            continue
        share(session, [there.id])
        if session.connection().execute(_STANDING, {"lot": there.id, "today": entry.day_start}).first() is None:
            right = there._replace(manufactured_on=lot.manufactured_on, expires_on=lot.expires_on)
            _set_dates(session, entry, there, right, "received again after every movement of it was reversed")
            changed[lot.item_id, lot.lot_number] = right
    return changed


def redate(
    session: Session,
    entry: Entry,
    *,
    item_id: int,
    lot_number: str,
    manufactured_on: date | None,
    expires_on: date | None,
    reason: str,
) -> LotRow:
    """Put the dates of a lot right where a label was misread. Figures as they were known before keep the old dates.

    Refused: a lot that would end before it was made, or never though its item expires.
    """
    lot = _locked(session, item_id, lot_number)
    if expires_on is None and _shelf_life_days(session, item_id) is not None:
        detail = f"This item expires: give lot {lot_number} its last usable day."
        raise Invalid(detail, code="expiry_required", faults=[Fault("/expires_on", "expiry_required", detail)])
    if manufactured_on and expires_on and manufactured_on > expires_on:
        detail = f"Lot {lot_number} would expire before it was made: check both dates."
        raise Invalid(detail, code="dates_reversed", faults=[Fault("/expires_on", "dates_reversed", detail)])
    right = lot._replace(manufactured_on=manufactured_on, expires_on=expires_on)
    if right != lot:
        _set_dates(session, entry, lot, right, reason)
        _mark_due(session, lot, entry.now)
    return right


def _shelf_life_days(session: Session, item_id: int) -> int | None:
    statement = select(ITEM.c.shelf_life_days).where(ITEM.c.id == item_id)
    days: int | None = session.connection().execute(statement).scalar_one()
    return days


def _set_dates(session: Session, entry: Entry, lot: LotRow, right: LotRow, reason: str) -> None:
    connection = session.connection()
    connection.execute(update(LOT).where(LOT.c.id == lot.id).values(**_dates(right)))
    connection.execute(
        insert(REDATING).values(
            lot_id=lot.id,
            made_before=lot.manufactured_on,
            expires_before=lot.expires_on,
            made_after=right.manufactured_on,
            expires_after=right.expires_on,
            reason=reason,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    subject = f"{_item_codes(session, [lot.item_id])[lot.item_id]}/{lot.lot_number}"
    told = {**_dates(right), "reason": reason}
    journal.write(
        session, actor=entry.actor, now=entry.now, verb="lot.redated", subject=subject, before=_dates(lot), after=told
    )


class Dates(NamedTuple):
    manufactured_on: date | None
    expires_on: date | None


def dates_known(session: Session, known_at: datetime) -> dict[int, Dates]:
    """Lots that were dated otherwise at a moment: by lot, when they were made and when they expire as known then."""
    rows = session.connection().execute(
        select(REDATING.c.lot_id, REDATING.c.made_before, REDATING.c.expires_before)
        .where(REDATING.c.recorded_at > known_at)
        .order_by(REDATING.c.id.desc())
    )
    return {row.lot_id: Dates(row.made_before, row.expires_before) for row in rows}  # the first change after it stands


def _refuse_conflicts(wanted: Iterable[WantedLot], known: dict[tuple[int, str], LotRow]) -> None:
    seen = {key: lot.expires_on for key, lot in known.items()}
    faults = []
    for lot in wanted:
        there = seen.setdefault((lot.item_id, lot.lot_number), lot.expires_on)
        if there != lot.expires_on:
            detail = (
                f"Lot {lot.lot_number} is known with expiry {there or 'none'}, this entry says "
                f"{lot.expires_on or 'none'}: read the label again."
            )
            faults.append(Fault(f"{lot.pointer}/expires_on", LotConflict.code, detail))
    if faults:
        raise LotConflict(faults[0].detail, faults=faults)


def by_ids(session: Session, lot_ids: Iterable[int]) -> dict[int, LotRow]:
    rows = session.connection().execute(_BY_ID, {"ids": sorted(set(lot_ids))})
    return {row.id: LotRow._make(row) for row in rows}


def has_lain(session: Session, lot_id: int, path: str) -> bool:
    """Whether a lot lies, or has lain, at a place below a path: its balances stay when they are used up."""
    return session.connection().execute(_LAIN, {"lot": lot_id, "below": f"{path}%"}).first() is not None


def share(session: Session, lot_ids: Iterable[int]) -> dict[int, LotRow]:
    """Lots locked against a hold that is being placed, until this transaction ends."""
    rows = session.connection().execute(_FOR_SHARE, {"ids": sorted(set(lot_ids))})
    return {row.id: LotRow._make(row) for row in rows}


def held(session: Session, lot_ids: Iterable[int]) -> set[int]:
    """Which of these lots are on hold now."""
    return set(session.connection().execute(_HELD, {"ids": sorted(set(lot_ids))}).scalars())


class Standing(NamedTuple):
    """A hold as it stands; `scope_id` is from where it was placed."""

    reason: str
    note: str | None
    placed_by: str
    placed_at: datetime
    scope_id: int | None


def holds(session: Session, lot_id: int) -> list[Standing]:
    """The holds that stand on a lot, the latest first."""
    rows = session.connection().execute(
        select(HOLD.c.reason, HOLD.c.note, HOLD.c.placed_by, HOLD.c.placed_at, HOLD.c.scope_id)
        .where(HOLD.c.lot_id == lot_id, HOLD.c.lifted_at.is_(None))
        .order_by(HOLD.c.id.desc())
    )
    return [Standing._make(row) for row in rows]


def place_hold(
    session: Session,
    *,
    item_id: int,
    lot_number: str,
    reason: str,
    actor: str,
    now: datetime,
    note: str | None = None,
    scope_id: int | None = None,
) -> LotRow:
    """Stop a lot everywhere, for a reason. Waits for issues that are picking it, and every later one sees the hold.

    Refused: a reason for which it is held already.
    """
    lot = _locked(session, item_id, lot_number)
    if any(standing.reason == reason for standing in holds(session, lot.id)):
        raise Conflict(f"Lot {lot_number} is on hold already ({reason}).", code="already_on_hold")
    _place(session, lot, reason=reason, actor=actor, now=now, note=note, scope_id=scope_id)
    return lot


def keep_held(
    session: Session,
    *,
    item_id: int,
    lot_number: str,
    reason: str,
    actor: str,
    now: datetime,
    note: str | None,
    scope_id: int,
) -> LotRow:
    """Stop a lot for a reason, from a place; held for it already, it stays so and nothing changes.

    A hold from elsewhere or from below is taken over from where both are reached: who lifts it must reach both.
    """
    lot = _locked(session, item_id, lot_number)
    before = next((standing for standing in holds(session, lot.id) if standing.reason == reason), None)
    if before is None:
        _place(session, lot, reason=reason, actor=actor, now=now, note=note, scope_id=scope_id)
        return lot
    above = _above(session, before.scope_id, scope_id)
    if above != before.scope_id:
        _lift(session, lot, [reason], actor, now)
        _place(session, lot, reason=reason, actor=actor, now=now, note=note or before.note, scope_id=above)
    return lot


def _above(session: Session, one: int | None, other: int) -> int:
    """The lowest place that reaches both."""
    if one is None:
        return other
    rows = session.connection().execute(select(PLACE.c.path).where(PLACE.c.id.in_([one, other]))).scalars()
    paths = [path.strip("/").split("/") for path in rows]
    shared = [int(a) for a, b in zip(paths[0], paths[-1], strict=False) if a == b]
    return shared[-1] if shared else one


def _place(
    session: Session, lot: LotRow, *, reason: str, actor: str, now: datetime, note: str | None, scope_id: int | None
) -> None:
    session.connection().execute(
        insert(HOLD).values(lot_id=lot.id, reason=reason, note=note, placed_by=actor, placed_at=now, scope_id=scope_id)
    )
    _journal_hold(session, lot, "hold.placed", actor, now, {"reason": reason, "note": note})
    _mark_due(session, lot, now)


def lift_hold(
    session: Session, *, item_id: int, lot_number: str, actor: str, now: datetime, reason: str | None = None
) -> LotRow:
    """Let a lot go again: for one reason, or for all that stand."""
    lot = _locked(session, item_id, lot_number)
    standing = [one.reason for one in holds(session, lot.id) if reason in {None, one.reason}]
    if not standing:
        raise Conflict(f"Lot {lot_number} is not on hold.", code="not_on_hold")
    _lift(session, lot, standing, actor, now)
    return lot


def _lift(session: Session, lot: LotRow, reasons: Sequence[str], actor: str, now: datetime) -> None:
    session.connection().execute(
        update(HOLD)
        .where(HOLD.c.lot_id == lot.id, HOLD.c.lifted_at.is_(None), HOLD.c.reason.in_(reasons))
        .values(lifted_by=actor, lifted_at=now)
    )
    _journal_hold(session, lot, "hold.lifted", actor, now, {"reasons": sorted(reasons)})
    _mark_due(session, lot, now)


def _journal_hold(session: Session, lot: LotRow, verb: str, actor: str, now: datetime, after: journal.Facts) -> None:
    subject = f"{_item_codes(session, [lot.item_id])[lot.item_id]}/{lot.lot_number}"
    journal.write(session, actor=actor, now=now, verb=verb, subject=subject, after=after)


def _mark_due(session: Session, lot: LotRow, now: datetime) -> None:
    """Wherever the lot lies, coverage has changed."""
    where = select(_BALANCE.c.location_id, literal(lot.item_id), literal(now, _DUE.c.recorded_at.type)).where(
        _BALANCE.c.lot_id == lot.id, _BALANCE.c.on_hand > 0
    )
    session.connection().execute(insert(_DUE).from_select(["location_id", "item_id", "recorded_at"], where))


def _locked(session: Session, item_id: int, lot_number: str) -> LotRow:
    row = (
        session.connection()
        .execute(select(*_COLUMNS).where(LOT.c.item_id == item_id, LOT.c.lot_number == lot_number).with_for_update())
        .one_or_none()
    )
    if row is None:
        raise UnknownLot(f"There is no lot {lot_number} of this item.")
    return LotRow._make(row)
