"""Lots found or made, and held (冻结): a held lot is not usable anywhere from the moment its hold commits."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve.errors import Conflict, Fault, LotConflict, UnknownLot
from reserve.model import Balance, CoverageDue, Document, Hold, Lot, Movement, table

LOT, HOLD, MOVEMENT, DOCUMENT = (table(model) for model in (Lot, Hold, Movement, Document))
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
_FOR_SHARE = (
    select(*_COLUMNS)
    .where(LOT.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(LOT.c.id)
    .with_for_update(read=True)
)
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


def find_or_make(session: Session, wanted: Iterable[WantedLot], *, today: datetime) -> dict[tuple[int, str], LotRow]:
    """The lots named, made where they are new.

    Raises
    ------
    LotConflict
        a lot that is known, or named twice here, with another expiry: one of the two labels was misread. A lot that
        came in `today` (its first moment) and whose every movement has been reversed takes the new dates: that is how
        a misread label is put right. Later it is not: figures of past days rest on the old date.
    """
    wanted = list(wanted)
    _refuse_conflicts(wanted, {})
    known = by_number(session, ((lot.item_id, lot.lot_number) for lot in wanted))
    known |= _redate(session, wanted, known, today)
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
        known |= made
    return known


def _redate(
    session: Session, wanted: Iterable[WantedLot], known: dict[tuple[int, str], LotRow], today: datetime
) -> dict[tuple[int, str], LotRow]:
    """Give lots that nothing stands of any more the dates they are now received with."""
    changed = {}
    for lot in wanted:
        there = known.get((lot.item_id, lot.lot_number))
        if there is None or there.expires_on == lot.expires_on:
            continue
        share(session, [there.id])
        if session.connection().execute(_STANDING, {"lot": there.id, "today": today}).first() is None:
            made, ends = lot.manufactured_on, lot.expires_on
            session.connection().execute(
                update(LOT).where(LOT.c.id == there.id).values(manufactured_on=made, expires_on=ends)
            )
            changed[lot.item_id, lot.lot_number] = there._replace(manufactured_on=made, expires_on=ends)
    return changed


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


def share(session: Session, lot_ids: Iterable[int]) -> dict[int, LotRow]:
    """Lots locked against a hold that is being placed, until this transaction ends."""
    rows = session.connection().execute(_FOR_SHARE, {"ids": sorted(set(lot_ids))})
    return {row.id: LotRow._make(row) for row in rows}


def held(session: Session, lot_ids: Iterable[int]) -> set[int]:
    """Which of these lots are on hold now."""
    return set(session.connection().execute(_HELD, {"ids": sorted(set(lot_ids))}).scalars())


def place_hold(session: Session, *, item_id: int, lot_number: str, reason: str, actor: str, now: datetime) -> LotRow:
    """Stop a lot everywhere. Waits for issues that are picking it, and every later one sees the hold."""
    lot = _locked(session, item_id, lot_number)
    if held(session, [lot.id]):
        raise Conflict(f"Lot {lot_number} is on hold already.", code="already_on_hold")
    session.connection().execute(insert(HOLD).values(lot_id=lot.id, reason=reason, placed_by=actor, placed_at=now))
    _mark_due(session, lot, now)
    return lot


def lift_hold(session: Session, *, item_id: int, lot_number: str, actor: str, now: datetime) -> LotRow:
    lot = _locked(session, item_id, lot_number)
    lifted = session.connection().execute(
        update(HOLD).where(HOLD.c.lot_id == lot.id, HOLD.c.lifted_at.is_(None)).values(lifted_by=actor, lifted_at=now)
    )
    if lifted.rowcount == 0:
        raise Conflict(f"Lot {lot_number} is not on hold.", code="not_on_hold")
    _mark_due(session, lot, now)
    return lot


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
