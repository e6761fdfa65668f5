"""Whether the books are whole: every invariant worked out again from the rows, one finding a line. Reads only.

Each check is one statement, so that it sees one moment of the books even where other transactions commit meanwhile.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, Subquery, cast, func, literal, null, or_, select, text, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import paperwork, seals, supply
from reserve.catalogue import ITEM, PLACE
from reserve.findings import Finding
from reserve.lots import LOT
from reserve.model import OUTSIDE, DocumentKind
from reserve.paperwork import COUNT_SHEET
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT
from reserve.replay import REPLAY

__all__ = ["APPEND_ONLY", "QUEUED", "Finding", "facts", "snapshot", "verify"]

APPEND_ONLY = (
    "document", "movement", "consumption", "alert", "tally", "redating", "journal", "seal", "sealentry",
    "commitment", "commitmentvisit", "commitmentending", "plannedreceipt", "plannedchange", "plannedarrival",
    "shortday", "excludedday", "declareduse", "demandchange", "usagenorm", "scenario", "scenariorun",
)  # fmt: skip
"""Tables whose rows triggers keep from being changed or deleted."""

QUEUED = ("document", "consumption", "journal")
"""Tables whose new rows a trigger puts in the queue for the next seal."""

_BATCH = 5_000
_Check = Callable[[Session], Iterator[Finding]]


def verify(session: Session, *, key: bytes | None = None, anchors: Iterable[str] = ()) -> list[Finding]:
    """Everything that is wrong with the books, the file itself first. An empty list is the promise kept.

    `key` is the one that seals are signed with, `anchors` are seals as they were written down elsewhere.
    """
    anchors = list(anchors)
    sqlite = _dialect(session) == "sqlite"
    findings = list(_file(session)) if sqlite else []
    if not sqlite:
        session.connection().execute(text("SET LOCAL statement_timeout = 0"))  # a large ledger takes its time
    sealed = partial(_seals, key=key, anchors=anchors)
    checks: Sequence[_Check] = (*_CHECKS, sealed, _triggers, partial(_anchors, anchors=anchors))
    for check in checks:
        try:
            findings += check(session)
        except (DBAPIError, ValueError) as error:
            if not sqlite:
                raise  # PostgreSQL keeps no value that it cannot hand out; whatever this is, it is no finding
            told = f"A check could not be made: {_one_line(str(getattr(error, 'orig', error)))}"
            if Finding("unreadable", told) not in findings:
                findings.append(Finding("unreadable", told))
    return findings


def snapshot(session: Session) -> None:
    """Let all that this session asks see one moment of the books; said before its first question.

    A session on SQLite does so by itself. Nobody who writes waits for it on either.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def facts(session: Session) -> dict[str, str]:
    """What the books are kept with: not right or wrong by itself, but worth a look."""
    if _dialect(session) == "sqlite":
        told = {"database": "sqlite", "version": _asked(session, "SELECT sqlite_version()")}
        modes = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
        return told | {
            "journal_mode": _asked(session, "PRAGMA journal_mode"),
            "synchronous": modes[_asked(session, "PRAGMA synchronous")],
            "foreign_keys": "ON" if _asked(session, "PRAGMA foreign_keys") == "1" else "OFF",
        }
    return {
        "database": "postgresql",
        "version": _asked(session, "SHOW server_version"),
        "isolation": _asked(session, "SHOW transaction_isolation"),
        "synchronous_commit": _asked(session, "SHOW synchronous_commit"),
        "fsync": _asked(session, "SHOW fsync"),
    }


def _asked(session: Session, statement: str) -> str:
    return str(session.connection().execute(text(statement)).scalar_one())


def _dialect(session: Session) -> str:
    return session.connection().dialect.name


def _one_line(words: str) -> str:
    return " ".join(words.split())


# -- the file ---------------------------------------------------------------------------------------------------------


def _file(session: Session) -> Iterator[Finding]:
    """What SQLite says about its own file; a broken page can break the question itself."""
    try:
        for said in session.connection().execute(text("PRAGMA integrity_check")).scalars().all():
            if said != "ok":
                yield Finding("sqlite_integrity", f"SQLite: {_one_line(said)}")
        for table, row, parent, _key in session.connection().execute(text("PRAGMA foreign_key_check")).all():
            yield Finding("sqlite_foreign_key", f"Row {row} of {table} names a row of {parent} that is not there.")
    except DBAPIError as error:
        yield Finding("sqlite_integrity", f"SQLite: {_one_line(str(error.orig))}")


# -- balances ---------------------------------------------------------------------------------------------------------


def _balances(session: Session) -> Iterator[Finding]:
    """A balance is what the movements of its lot at its place sum to, and every sum has one."""
    flow = _flows()
    nothing = cast(null(), BigInteger)
    ends = union_all(
        select(flow.c.location_id, flow.c.lot_id, flow.c.change, nothing.label("on_hand")),
        select(BALANCE.c.location_id, BALANCE.c.lot_id, literal(0), BALANCE.c.on_hand),
    ).subquery("ends")
    moved, kept = func.sum(ends.c.change), func.max(ends.c.on_hand)
    sums = (
        select(ends.c.location_id, ends.c.lot_id, moved.label("moved"), kept.label("kept"))
        .join(PLACE, PLACE.c.id == ends.c.location_id)
        .where(PLACE.c.kind.not_in(OUTSIDE))
        .group_by(ends.c.location_id, ends.c.lot_id)
        .having(or_(kept.is_(None), moved != kept))
        .cte("sums")
    )
    for lot, moved_units, kept_units in _lots(session, sums, sums.c.moved, sums.c.kept):
        if kept_units is None:
            yield Finding("balance_missing", f"{lot}: no balance, and the movements sum to {moved_units}.")
        else:
            yield Finding(
                "balance_differs", f"{lot}: a balance of {kept_units}, and the movements sum to {moved_units}."
            )


def _outside(session: Session) -> Iterator[Finding]:
    """Nothing is counted outside the reserve."""
    held = (
        select(BALANCE.c.location_id, BALANCE.c.lot_id, BALANCE.c.on_hand)
        .join(PLACE, PLACE.c.id == BALANCE.c.location_id)
        .where(PLACE.c.kind.in_(OUTSIDE))
        .cte("held")
    )
    for lot, units in _lots(session, held, held.c.on_hand):
        yield Finding("balance_outside", f"{lot}: a balance of {units}, where nothing is counted.")


def _history(session: Session) -> Iterator[Finding]:
    """The running balance by (occurred_at, id), told once a lot and place: where it is first below zero."""
    flow = _flows()
    each, order = (flow.c.location_id, flow.c.lot_id), (flow.c.occurred_at, flow.c.id)
    total = func.sum(flow.c.change).over(partition_by=each, order_by=order, rows=(None, 0))
    running = select(flow, total.label("units")).subquery("running")
    place = func.row_number().over(
        partition_by=(running.c.location_id, running.c.lot_id), order_by=(running.c.occurred_at, running.c.id)
    )
    below = select(running, place.label("place")).where(running.c.units < 0).subquery("below")
    first = select(below).where(below.c.place == 1).cte("first_below")
    for lot, units, moment, movement in _lots(session, first, first.c.units, first.c.occurred_at, first.c.id):
        yield Finding("below_zero", f"{lot}: {units} after movement {movement} at {_said(moment)}.")


def _flows() -> Subquery:
    """Every movement by the places inside the reserve that it changes."""
    halves = [
        select(
            column.label("location_id"),
            MOVEMENT.c.lot_id,
            MOVEMENT.c.id,
            MOVEMENT.c.occurred_at,
            (MOVEMENT.c.quantity * sign).label("change"),
        )
        .join(PLACE, PLACE.c.id == column)
        .where(PLACE.c.kind.not_in(OUTSIDE))
        for column, sign in ((MOVEMENT.c.source_id, -1), (MOVEMENT.c.target_id, 1))
    ]
    return union_all(*halves).subquery("flow")


def _lots(session: Session, found: CTE, *columns: ColumnElement[Any]) -> list[tuple[Any, ...]]:
    """What was found of (place, lot), with a name for both in front; a name that is gone is told by its id."""
    statement = (
        select(PLACE.c.code, ITEM.c.code, LOT.c.lot_number, found.c.location_id, found.c.lot_id, *columns)
        .select_from(found)
        .outerjoin(PLACE, PLACE.c.id == found.c.location_id)
        .outerjoin(LOT, LOT.c.id == found.c.lot_id)
        .outerjoin(ITEM, ITEM.c.id == LOT.c.item_id)
        .order_by(found.c.location_id, found.c.lot_id)
    )
    named = []
    for place, item, lot, location_id, lot_id, *told in session.connection().execute(statement):
        name = f"{item or 'item ?'} lot {lot or f'id {lot_id}'} at {place or f'id {location_id}'}"
        named.append((name, *told))
    return named


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# -- documents --------------------------------------------------------------------------------------------------------


def _reversals(session: Session) -> Iterator[Finding]:
    """A reversal is the opposite of one movement, equal to it and alone; only documents of that kind hold one."""
    undo = aliased(MOVEMENT, name="undo")
    pairs = select(undo.c.id, MOVEMENT.c.id).join(MOVEMENT, MOVEMENT.c.id == undo.c.reverses).order_by(undo.c.id)
    other = or_(
        undo.c.lot_id != MOVEMENT.c.lot_id,
        undo.c.source_id != MOVEMENT.c.target_id,
        undo.c.target_id != MOVEMENT.c.source_id,
        undo.c.quantity != MOVEMENT.c.quantity,
    )
    connection = session.connection()
    for movement, original in connection.execute(pairs.where(other)):
        yield Finding("reversal_differs", f"Movement {movement} is not the opposite of {original}, which it reverses.")
    for movement, original in connection.execute(pairs.where(MOVEMENT.c.reverses.is_not(None))):
        yield Finding("reversal_reversed", f"Movement {movement} reverses {original}, which is itself a reversal.")
    repeated = select(MOVEMENT.c.reverses, func.count()).group_by(MOVEMENT.c.reverses).having(func.count() > 1)
    for original, times in connection.execute(repeated.where(MOVEMENT.c.reverses.is_not(None))):
        yield Finding("reversal_repeated", f"Movement {original} is reversed {times} times.")
    kinds = (
        select(MOVEMENT.c.id, DOCUMENT.c.number, DOCUMENT.c.kind)
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where((DOCUMENT.c.kind == DocumentKind.REVERSAL.value) != MOVEMENT.c.reverses.is_not(None))
        .order_by(MOVEMENT.c.id)
    )
    for movement, number, kind in connection.execute(kinds):
        told = "reverses nothing" if kind == DocumentKind.REVERSAL else "reverses another"
        yield Finding("reversal_kind", f"Movement {movement} of {number}, of kind {kind}, {told}.")


def _documents(session: Session) -> Iterator[Finding]:
    """A document has its lines 1, 2, 3 and so on, and they happened when it did."""
    lines, last = func.count(MOVEMENT.c.id), func.max(MOVEMENT.c.line)
    torn = (
        select(DOCUMENT.c.number, lines, last)
        .outerjoin(MOVEMENT, MOVEMENT.c.document_id == DOCUMENT.c.id)
        .group_by(DOCUMENT.c.id, DOCUMENT.c.number)
        .having(or_(lines == 0, last != lines, func.min(MOVEMENT.c.line) != 1))
        .order_by(DOCUMENT.c.id)
    )
    for number, count, highest in session.connection().execute(torn):
        if count == 0:
            yield Finding("document_empty", f"Document {number} has no movement.")
        else:
            yield Finding("document_lines", f"Document {number} has {count} movements; the last is line {highest}.")
    moved = (
        select(MOVEMENT.c.id, DOCUMENT.c.number, MOVEMENT.c.occurred_at, DOCUMENT.c.occurred_at)
        .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
        .where(MOVEMENT.c.occurred_at != DOCUMENT.c.occurred_at)
        .order_by(MOVEMENT.c.id)
    )
    for movement, number, moment, of_document in session.connection().execute(moved):
        sentence = f"Movement {movement} says {_said(moment)}, its document {number} {_said(of_document)}."
        yield Finding("document_moment", sentence)


def _answers(session: Session) -> Iterator[Finding]:
    """What was answered to an Idempotency-Key names documents, or count sheets, that are there."""
    rows = iter(session.connection().execute(_ANSWERS, execution_options={"yield_per": _BATCH}))
    while batch := list(islice(rows, _BATCH)):
        named: list[tuple[str, str]] = []
        for actor, key, status, body in batch:
            answer = f"The answer kept for key {key} of {actor}"
            documents = _documents_of(body)
            if status is None or documents is None:
                yield Finding("replay_unreadable", f"{answer} is not whole.")
            named += [(number, answer) for number in documents or ()]
        numbers = {number for number, _ in named}
        asked = union_all(
            *(select(source.c.number).where(source.c.number.in_(numbers)) for source in (DOCUMENT, COUNT_SHEET))
        )
        there = set(session.connection().execute(asked).scalars())
        for number, answer in named:
            if number not in there:
                yield Finding("replay_document", f"{answer} names document {number}, which is not there.")


def _documents_of(body: str | None) -> list[str] | None:
    """The documents an answer names; None where it cannot be read."""
    try:
        answer = json.loads(body or "")
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return []
    named = [answer.get("document"), *(answer.get("documents") or ())]
    return [number for number in named if isinstance(number, str)]


_ANSWERS = select(REPLAY.c.actor, REPLAY.c.key, REPLAY.c.status, REPLAY.c.body).order_by(REPLAY.c.actor, REPLAY.c.key)


# -- agreements -------------------------------------------------------------------------------------------------------


def _calls(session: Session) -> Iterator[Finding]:
    """Of a contract no more is called than was promised."""
    for number, promised, called in session.connection().execute(supply.CALLED_BEYOND):
        yield Finding("called_beyond", f"{called} units of {number} are called up; {promised} were promised.")


# -- seals ------------------------------------------------------------------------------------------------------------


def _seals(session: Session, *, key: bytes | None, anchors: Sequence[str]) -> Iterator[Finding]:
    """The chain over all history. What a good anchor vouches for may be older than the key."""
    good = [seals.parse_anchor(anchor)[0] for anchor in anchors if not list(seals.check_anchor(session, anchor))]
    yield from seals.check(session, key=key, vouched=max(good, default=0))


def _anchors(session: Session, *, anchors: Sequence[str]) -> Iterator[Finding]:
    for anchor in anchors:
        yield from seals.check_anchor(session, anchor)


# -- triggers ---------------------------------------------------------------------------------------------------------


def _triggers(session: Session) -> Iterator[Finding]:
    """History is append-only because triggers refuse what would rewrite it."""
    there = _TRIGGERS[_dialect(session)](session)
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            if (table, verb) not in there:
                yield Finding("trigger_missing", f"No trigger refuses {verb} on {table}: its rows can be rewritten.")
    for table in QUEUED:
        if (table, "INSERT") not in there:
            sentence = f"No trigger queues what is written to {table}: no seal will hold it."
            yield Finding("trigger_missing", sentence)


def _sqlite_triggers(session: Session) -> set[tuple[str, str]]:
    """A trigger counts when it refuses every row, whatever it is called."""
    made = session.connection().execute(text("SELECT sql FROM sqlite_master WHERE type = 'trigger'")).scalars()
    plain = [_one_line(sql).lower() for sql in made]
    refused = {
        (table, verb)
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
        if any(f" before {verb.lower()} on {table} begin select raise(abort" in sql for sql in plain)
    }
    queues = " after insert on {0} begin insert into unsealed (kind, row_id) values ('{0}', new.id); end"
    return refused | {(table, "INSERT") for table in QUEUED if any(queues.format(table) in sql for sql in plain)}


def _postgresql_triggers(session: Session) -> set[tuple[str, str]]:
    return {(row.name, row.verb) for row in session.connection().execute(_ENABLED, {"tables": list(APPEND_ONLY)})}


# tgtype: 1 for each row, 2 before, 4 insert, 8 delete, 16 update. A trigger counts when it is on, for every row and
# column; the one that queues runs once a statement, after it.
_ENABLED = text("""
    SELECT t.relname AS name, v.verb
    FROM pg_trigger g
    JOIN pg_class t ON t.oid = g.tgrelid
    JOIN pg_proc p ON p.oid = g.tgfoid
    JOIN (VALUES ('UPDATE', 19), ('DELETE', 11)) AS v (verb, bits) ON (g.tgtype & v.bits) = v.bits
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(:tables)
      AND g.tgenabled IN ('O', 'A') AND g.tgqual IS NULL AND g.tgattr::text = ''
      AND p.prosrc LIKE '%RAISE EXCEPTION%'
    UNION
    SELECT t.relname, 'INSERT'
    FROM pg_trigger g
    JOIN pg_class t ON t.oid = g.tgrelid
    JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(:tables) AND g.tgtype = 4
      AND g.tgenabled IN ('O', 'A') AND g.tgqual IS NULL AND g.tgattr::text = '' AND g.tgnewtable IS NOT NULL
      AND btrim(p.prosrc) LIKE
        'BEGIN INSERT INTO unsealed (kind, row_id) SELECT ''' || t.relname || ''', id FROM added%'
""")
_TRIGGERS: dict[str, Callable[[Session], set[tuple[str, str]]]] = {
    "sqlite": _sqlite_triggers,
    "postgresql": _postgresql_triggers,
}

_CHECKS: tuple[_Check, ...] = (
    _balances,
    _outside,
    _history,
    _reversals,
    paperwork.numbers,
    paperwork.transit,
    _documents,
    _answers,
    _calls,
    paperwork.lot_dates,
    paperwork.redatings,
    paperwork.holds,
)
