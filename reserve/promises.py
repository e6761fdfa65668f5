"""Promises of requisitions given back: an issue that is undone puts its goods where they were promised to."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from reserve import journal
from reserve.entry import Entry
from reserve.model import Requisition, RequisitionLine, RequisitionState, table
from reserve.shelf import ALLOCATION

REQUISITION, LINE = table(Requisition), table(RequisitionLine)


def lock(session: Session, requisition_id: int) -> None:
    """Lock a requisition: its promises change only under this lock, taken before that of any balance."""
    session.connection().execute(_LOCK, {"requisition": requisition_id})


def give_back(session: Session, entry: Entry, requisition_id: int, undone: Sequence[Any]) -> None:
    """Undo what issuing did to a requisition: less is issued of each line, and the lots are promised to it again.

    `undone` are movements of the issue. One that was closed because all had been issued is open again; of one that was
    cancelled since, nothing is promised any more.
    """
    connection = session.connection()
    found = connection.execute(_LOCK, {"requisition": requisition_id}).one()
    rows = [
        {
            "requisition": requisition_id,
            "item": row.item_id,
            "place": row.source_id,
            "lot": row.lot_id,
            "units": row.quantity,
        }
        for row in undone
    ]
    connection.execute(_LESS_ISSUED, rows)
    if found.state not in {RequisitionState.APPROVED, RequisitionState.CLOSED}:
        return
    for row in rows:
        connection.execute(_PROMISE[connection.dialect.name], row)
    if found.state == RequisitionState.CLOSED:
        connection.execute(_REOPEN, {"requisition": requisition_id})
        journal.write(
            session, actor=entry.actor, now=entry.now, verb="requisition.reopened", subject=found.number, after={}
        )


_LOCK = (
    select(REQUISITION.c.number, REQUISITION.c.state)
    .where(REQUISITION.c.id == bindparam("requisition"))
    .with_for_update()
)
_LESS_ISSUED = (
    update(LINE)
    .where(LINE.c.requisition_id == bindparam("requisition"), LINE.c.item_id == bindparam("item"))
    .values(issued=LINE.c.issued - bindparam("units"))
)
_REOPEN = (
    update(REQUISITION)
    .where(REQUISITION.c.id == bindparam("requisition"))
    .values(state=RequisitionState.APPROVED.value)
)


def _promise(dialect: Any) -> Any:  # noqa: ANN401 - two dialects, one form
    statement = dialect.insert(ALLOCATION).values(
        requisition_id=bindparam("requisition"),
        lot_id=bindparam("lot"),
        location_id=bindparam("place"),
        quantity=bindparam("units"),
    )
    return statement.on_conflict_do_update(
        index_elements=[ALLOCATION.c.requisition_id, ALLOCATION.c.lot_id],
        set_={"quantity": ALLOCATION.c.quantity + statement.excluded.quantity},
    )


_PROMISE = {name: _promise(dialect) for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))}
