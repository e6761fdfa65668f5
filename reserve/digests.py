"""What is hashed of a row of history: every column in one order and one spelling, by codes and never by ids.

So a row has the same digest on SQLite and PostgreSQL, after a restore and after a move to another database where the
ids are others. Names are left out (they may be put right), and so are the dates of a lot (`redating` keeps those).

A row's text is a JSON array without spaces: NFC text as it is, numbers as they are, days `2026-04-01`, moments in UTC
with microseconds `2026-04-01 02:00:00.000000`, nothing as null. A kind that gets another column gets a version 2 beside
its version 1, and a row is whole when it has the digest of either.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple
from unicodedata import normalize

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    any_,
    bindparam,
    case,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import OperationalError

from reserve.catalogue import ITEM, PLACE
from reserve.consumption import CONSUMPTION
from reserve.journal import JOURNAL
from reserve.lots import LOT
from reserve.model import Requisition, table
from reserve.posting import DOCUMENT, MOVEMENT

REQUISITION = table(Requisition)


class Kind(StrEnum):
    """What is sealed."""

    DOCUMENT = "document"
    MOVEMENT = "movement"
    CONSUMPTION = "consumption"
    JOURNAL = "journal"


class Digested(NamedTuple):
    """A row by the name that people know it by, and its digest."""

    name: str
    digest: str


def digested(connection: Connection, kind: Kind, ids: Collection[int]) -> dict[int, Digested]:
    """The rows of these ids that are there, by id: one statement, whatever their number."""
    if not ids:
        return {}
    dialect = connection.dialect.name
    statement = _statement(dialect, kind)
    asked = listed(ids, dialect)
    try:
        rows: Iterable[Any] = connection.execute(statement, asked).all()
    except OperationalError as error:
        if "decode to UTF-8" not in str(error.orig):
            raise
        with _any_bytes(connection):
            rows = connection.execute(statement, asked).all()
    name = _NAMES[kind]
    return {row[0]: Digested(name(row), digest(kind, row[1:])) for row in rows}


def digest(kind: Kind, values: tuple[object, ...]) -> str:
    """The digest of a row's values in the order of its kind.

    >>> digest(Kind.JOURNAL, ("2026-04-01 02:00:00.000000", "Li", "item.made", "item N95", None, "{}"))[:16]
    '525c7a2d4811ba1b'
    """
    # json.dumps says the same and takes four times as long; what is no value of ours comes out as no JSON at all
    cells = [quoted(value) if type(value) is str else "null" if value is None else str(value) for value in values]
    text = f"[{','.join(cells)}]"
    if not text.isascii():
        text = normalize("NFC", text)  # the quotes around a text compose with nothing: whole is as good as one by one
    return sha256(_PREFIX[kind] + text.encode("utf-8", "surrogatepass")).hexdigest()


def moment_text(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """A moment as it is hashed. SQLite keeps it in that form; nothing is parsed, so that nothing fails to be."""
    if dialect == "sqlite":
        return type_coerce(column, String)
    return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS.US")


def among(column: ColumnElement[int], dialect: str) -> ColumnElement[bool]:
    """One of the `ids`, in one parameter: SQLite would take 32,766, and each would be written out."""
    if dialect == "sqlite":
        return column.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value))
    return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))


def listed(ids: Iterable[int], dialect: str) -> dict[str, object]:
    """The parameter of `among`."""
    return {"ids": json.dumps(list(ids)) if dialect == "sqlite" else list(ids)}


def as_text(moment: datetime) -> str:
    """A moment as `moment_text` reads it from the database."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _named(number: ColumnElement[Any], reference: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of what a row refers to; `?` where it refers to something that is not there."""
    return case((number.is_not(None), number), (reference.is_not(None), literal("?")))


def _day_text(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    return type_coerce(column, String) if dialect == "sqlite" else func.to_char(column, "YYYY-MM-DD")


_PREFIX = {kind: f"reserve-{kind}-v1\0".encode() for kind in Kind}
_NAMES: dict[Kind, Callable[[Any], str]] = {
    Kind.DOCUMENT: lambda row: f"Document {row[1]}",
    Kind.MOVEMENT: lambda row: f"Movement {row[1]} line {row[2]}",
    Kind.CONSUMPTION: lambda row: f"Consumption of {row[1]} at {row[2]} on {row[3]} revision {row[4]}",
    Kind.JOURNAL: lambda row: f"Journal entry {row[0]} ({row[3]} {row[4]})",
}


@contextmanager
def _any_bytes(connection: Connection) -> Iterator[None]:
    """SQLite hands out text that is not UTF-8 too, as somebody left it: its digest differs, and says where it is."""
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = str


# -- the columns ------------------------------------------------------------------------------------------------------


@cache
def _statement(dialect: str, kind: Kind) -> Select[Any]:
    return _STATEMENTS[kind](dialect)


def _documents(dialect: str) -> Select[Any]:
    followed = DOCUMENT.alias("followed")
    rows: FromClause = (
        DOCUMENT.outerjoin(PLACE, PLACE.c.id == DOCUMENT.c.location_id)
        .outerjoin(followed, followed.c.id == DOCUMENT.c.follows_id)
        .outerjoin(REQUISITION, REQUISITION.c.id == DOCUMENT.c.requisition_id)
    )
    columns = (
        DOCUMENT.c.number,
        DOCUMENT.c.kind,
        PLACE.c.code,
        moment_text(DOCUMENT.c.occurred_at, dialect),
        moment_text(DOCUMENT.c.recorded_at, dialect),
        DOCUMENT.c.actor,
        DOCUMENT.c.reference,
        DOCUMENT.c.purpose,
        DOCUMENT.c.recipient,
        DOCUMENT.c.reason,
        DOCUMENT.c.party,
        DOCUMENT.c.restriction,
        _named(followed.c.number, DOCUMENT.c.follows_id),
        _named(REQUISITION.c.number, DOCUMENT.c.requisition_id),
    )
    return select(DOCUMENT.c.id, *columns).select_from(rows).where(among(DOCUMENT.c.id, dialect))


def _movements(dialect: str) -> Select[Any]:
    source, target = PLACE.alias("source"), PLACE.alias("target")
    undone, undone_document = MOVEMENT.alias("undone"), DOCUMENT.alias("undone_document")
    rows = (
        MOVEMENT.outerjoin(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .outerjoin(LOT, LOT.c.id == MOVEMENT.c.lot_id)
        .outerjoin(ITEM, ITEM.c.id == LOT.c.item_id)
        .outerjoin(source, source.c.id == MOVEMENT.c.source_id)
        .outerjoin(target, target.c.id == MOVEMENT.c.target_id)
        .outerjoin(undone, undone.c.id == MOVEMENT.c.reverses)
        .outerjoin(undone_document, undone_document.c.id == undone.c.document_id)
    )
    columns = (
        DOCUMENT.c.number,
        MOVEMENT.c.line,
        ITEM.c.code,
        LOT.c.lot_number,
        source.c.code,
        target.c.code,
        MOVEMENT.c.quantity,
        moment_text(MOVEMENT.c.occurred_at, dialect),
        _named(undone_document.c.number, MOVEMENT.c.reverses),
        undone.c.line,
        MOVEMENT.c.reason,
        MOVEMENT.c.unit_cost,
    )
    return select(MOVEMENT.c.id, *columns).select_from(rows).where(among(MOVEMENT.c.id, dialect))


def _consumption(dialect: str) -> Select[Any]:
    rows = CONSUMPTION.outerjoin(ITEM, ITEM.c.id == CONSUMPTION.c.item_id).outerjoin(
        PLACE, PLACE.c.id == CONSUMPTION.c.location_id
    )
    columns = (
        ITEM.c.code,
        PLACE.c.code,
        _day_text(CONSUMPTION.c.day, dialect),
        CONSUMPTION.c.revision,
        CONSUMPTION.c.quantity,
        moment_text(CONSUMPTION.c.recorded_at, dialect),
        CONSUMPTION.c.actor,
    )
    return select(CONSUMPTION.c.id, *columns).select_from(rows).where(among(CONSUMPTION.c.id, dialect))


def _journal(dialect: str) -> Select[Any]:
    columns = (
        moment_text(JOURNAL.c.recorded_at, dialect),
        JOURNAL.c.actor,
        JOURNAL.c.verb,
        JOURNAL.c.subject,
        JOURNAL.c.before,
        JOURNAL.c.after,
    )
    return select(JOURNAL.c.id, *columns).where(among(JOURNAL.c.id, dialect))


_STATEMENTS: dict[Kind, Callable[[str], Select[Any]]] = {
    Kind.DOCUMENT: _documents,
    Kind.MOVEMENT: _movements,
    Kind.CONSUMPTION: _consumption,
    Kind.JOURNAL: _journal,
}
