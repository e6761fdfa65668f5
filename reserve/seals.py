"""The chain of seals over all history (封存): written by the worker, recomputed by `reserve verify`.

Whatever is written to history puts itself in a queue, by a trigger. `seal` takes the queue and writes one link: the
digests of the rows in their order, and a digest over them, the moment and the link before. Whoever then changes a row
must write every later link anew; a number and digest that he cannot reach (an anchor) or a key that he has not (the
mac) tell of that too.
"""

import hmac
import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, select, text, tuple_
from sqlmodel import Session

from reserve import beats
from reserve.consumption import CONSUMPTION
from reserve.digests import Digested, Kind, among, as_text, digested, listed, moment_text
from reserve.errors import Invalid
from reserve.findings import Finding
from reserve.journal import JOURNAL
from reserve.model import Seal, SealEntry, Unsealed, table
from reserve.posting import DOCUMENT, MOVEMENT

if TYPE_CHECKING:
    from hashlib import _Hash

UNSEALED, SEAL, ENTRY = (table(model) for model in (Unsealed, Seal, SealEntry))

ROWS_A_SEAL = 2_000
"""Holds SQLite's write gate for 30 to 50 ms on two shared cores."""

GENESIS = "0" * 64
"""What the first seal follows."""

LATE = timedelta(minutes=10)
"""How long a row may wait for a seal while a worker lives."""

_PREFIX = b"reserve-seal-v1\0"
_BATCH = 1_000  # larger ones keep the collector of garbage busy: measured, a fifth slower at 10,000
_ENDLESS = 2**63 - 1


class Sealed(NamedTuple):
    """A seal, as it is written down elsewhere to hold the chain against later: an anchor."""

    number: int
    digest: str
    sealed_at: datetime

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @property
    def told(self) -> dict[str, int | str]:
        """As it stands beside a figure."""
        return {"number": self.number, "digest": self.digest}


class Waiting(NamedTuple):
    """What no seal holds yet: rows in the queue, and when the first of them was recorded."""

    rows: int
    since: datetime | None
    newest: int
    """The last place in the queue: what comes later has a higher one."""


class SealRow(NamedTuple):
    """A seal as it is answered."""

    number: int
    rows: int
    prev: str
    digest: str
    signed: bool
    sealed_at: datetime


# -- sealing ----------------------------------------------------------------------------------------------------------


def seal(
    session: Session, now: datetime, *, key: bytes | None = None, limit: int = ROWS_A_SEAL, until: int = _ENDLESS
) -> Sealed | None:
    """Seal what waits up to `until`, oldest first, until about `limit` rows are taken; None when nothing waited.

    One at a time over all workers. A document is sealed with all its movements, however many. The caller commits: after
    a crash before that the queue is as it was.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)  # on SQLite whoever writes is alone
    rows = _taken(connection, limit, until)
    if not rows:
        return None
    before = last(session)
    number, prev = (before.number + 1, before.digest) if before else (1, GENESIS)
    link = _link(prev, number, now)
    for _, _, row_digest in rows:
        link.update(b"\n" + row_digest.encode())
    made = Sealed(number, link.hexdigest(), now)
    mac = None if key is None else _mac(key, made.digest)
    connection.execute(
        insert(SEAL).values(number=number, rows=len(rows), prev=prev, digest=made.digest, mac=mac, sealed_at=now)
    )
    connection.execute(
        insert(ENTRY),
        [
            {"kind": kind, "row_id": row_id, "number": number, "position": position, "row_digest": row_digest}
            for position, (kind, row_id, row_digest) in enumerate(rows, start=1)
        ],
    )
    return made


def _taken(connection: Connection, limit: int, until: int) -> list[tuple[str, int, str]]:
    """(kind, id, digest) of the rows taken from the queue, in their order: taken first, read afterwards."""
    cut, total = 0, 0
    for waiting_id, lines in connection.execute(_FIRST, {"limit": limit, "until": until}):
        cut, total = waiting_id, total + 1 + lines
        if total >= limit:
            break
    taken = sorted(connection.execute(_TAKE, {"cut": cut}).all())
    queued = {kind: {row_id for _, of, row_id in taken if of == kind} for kind in Kind}
    fresh = {kind: ids - _sealed_already(connection, kind, ids) for kind, ids in queued.items()}
    lines_of: dict[int, list[int]] = {document: [] for document in fresh[Kind.DOCUMENT]}
    for document, movement in connection.execute(
        _LINES[connection.dialect.name], listed(lines_of, connection.dialect.name)
    ):
        lines_of[document].append(movement)
    fresh[Kind.MOVEMENT] = {movement for movements in lines_of.values() for movement in movements}
    found = {kind: digested(connection, kind, ids) for kind, ids in fresh.items()}
    rows: list[tuple[str, int, str]] = []
    for _, kind, row_id in taken:
        row = found.get(kind, {}).pop(row_id, None)  # popped: a row that waits twice is sealed once
        if row is not None:
            rows.append((kind, row_id, row.digest))
            movements = lines_of[row_id] if kind == Kind.DOCUMENT else ()
            rows += [(Kind.MOVEMENT, movement, found[Kind.MOVEMENT][movement].digest) for movement in movements]
    return rows


def _sealed_already(connection: Connection, kind: Kind, ids: Collection[int]) -> set[int]:
    """A row that somebody put in the queue again must not stop the worker."""
    if not ids:
        return set()
    asked = {"kind": kind, **listed(ids, connection.dialect.name)}
    return set(connection.execute(_ALREADY[connection.dialect.name], asked).scalars())


def _link(prev: str, number: int, sealed_at: datetime | str) -> "_Hash":
    """The beginning of a seal's digest; its row digests follow, a line each."""
    moment = sealed_at if isinstance(sealed_at, str) else as_text(sealed_at)
    return sha256(_PREFIX + f"{prev}\n{number}\n{moment}".encode("utf-8", "surrogatepass"))


def _mac(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode("utf-8", "surrogatepass"), sha256).hexdigest()


_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('reserve seal'))")
_lines_of = select(func.count()).where(MOVEMENT.c.document_id == UNSEALED.c.row_id).correlate(UNSEALED)
_FIRST = (
    select(UNSEALED.c.id, case((UNSEALED.c.kind == Kind.DOCUMENT, _lines_of.scalar_subquery()), else_=0))
    .where(UNSEALED.c.id <= bindparam("until"))
    .order_by(UNSEALED.c.id)
    .limit(bindparam("limit"))
)
_TAKE = (
    delete(UNSEALED)
    .where(UNSEALED.c.id <= bindparam("cut"))
    .returning(UNSEALED.c.id, UNSEALED.c.kind, UNSEALED.c.row_id)
)
_LINES = {
    dialect: select(MOVEMENT.c.document_id, MOVEMENT.c.id)
    .where(among(MOVEMENT.c.document_id, dialect))
    .order_by(MOVEMENT.c.document_id, MOVEMENT.c.line)
    for dialect in ("sqlite", "postgresql")
}
_ALREADY = {
    dialect: select(ENTRY.c.row_id).where(ENTRY.c.kind == bindparam("kind"), among(ENTRY.c.row_id, dialect))
    for dialect in ("sqlite", "postgresql")
}


# -- asking -----------------------------------------------------------------------------------------------------------


def last(session: Session) -> Sealed | None:
    """The newest seal."""
    row = session.connection().execute(_SEALS.order_by(SEAL.c.number.desc()).limit(1)).one_or_none()
    return row and Sealed._make(row)


def at(session: Session, moment: datetime) -> Sealed | None:
    """The last seal at a moment: what was known then is what it and those before it hold."""
    newest = _SEALS.where(SEAL.c.sealed_at <= moment).order_by(SEAL.c.sealed_at.desc(), SEAL.c.number.desc()).limit(1)
    row = session.connection().execute(newest).one_or_none()
    return row and Sealed._make(row)


def rows(session: Session, *, before: int | None = None, limit: int) -> list[SealRow]:
    """Seals, newest first, below a number."""
    statement = (
        select(SEAL.c.number, SEAL.c.rows, SEAL.c.prev, SEAL.c.digest, SEAL.c.mac.is_not(None), SEAL.c.sealed_at)
        .order_by(SEAL.c.number.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(SEAL.c.number < before)
    return [SealRow._make(row) for row in session.connection().execute(statement)]


def over_all_since(session: Session, before: Sealed | None) -> Sealed | None:
    """The seal over all that could be read since `before` was the last one; None where something waits, or was added.

    A transaction that read rows while others committed asks this at its end: what it saw lies under the seal, or a
    newer seal or the queue says that it may not.
    """
    now = last(session)
    return now if now == before and not waiting(session).rows else None


def waiting(session: Session) -> Waiting:
    """How many rows of the queue wait for a seal (a document is one), and since when the first does."""
    connection = session.connection()
    count, newest = connection.execute(select(func.count(), func.coalesce(func.max(UNSEALED.c.id), 0))).one()
    first = connection.execute(
        select(UNSEALED.c.kind, UNSEALED.c.row_id).order_by(UNSEALED.c.id).limit(1)
    ).one_or_none()
    if first is None or first.kind not in _QUEUED:
        return Waiting(count, None, newest)
    source = _QUEUED[first.kind]
    since = connection.execute(select(source.c.recorded_at).where(source.c.id == first.row_id)).scalar_one_or_none()
    return Waiting(count, since, newest)


_SEALS = select(SEAL.c.number, SEAL.c.digest, SEAL.c.sealed_at)
_QUEUED = {Kind.DOCUMENT: DOCUMENT, Kind.CONSUMPTION: CONSUMPTION, Kind.JOURNAL: JOURNAL}
"""What puts itself in the queue: movements come with their document."""


# -- checking ---------------------------------------------------------------------------------------------------------


class _Link(NamedTuple):
    """A seal as it lies there."""

    number: int
    rows: int
    prev: str
    digest: str
    mac: str | None
    sealed_at: str


class _Entry(NamedTuple):
    """A row under a seal, as the entry has it and as it is now; None where it is gone."""

    number: int
    position: int
    kind: str
    row_id: int
    row_digest: str
    row: Digested | None


def check(session: Session, *, key: bytes | None = None, since: int = 0, vouched: int = 0) -> Iterator[Finding]:
    """Every row and every link after seal `since` worked out again, a batch at a time; then what no seal holds.

    With a key every seal carries its mac; those up to `vouched`, which an anchor proves, may be older than the key.
    """
    yield from _chain(session, key, since, vouched)
    yield from _unsealed(session)


def check_anchor(session: Session, anchor: str) -> Iterator[Finding]:
    """Whether the seal that was written down as `NUMBER:DIGEST` is still that one.

    Raises
    ------
    Invalid
        something that is no anchor.
    """
    number, digest = parse_anchor(anchor)
    there = session.connection().execute(select(SEAL.c.digest).where(SEAL.c.number == number)).scalar_one_or_none()
    if there is None:
        yield Finding("anchor_missing", f"Seal {number} of the anchor is not there: the newest seals were cut off.")
    elif there != digest:
        yield Finding("anchor_differs", f"Seal {number} is not the one of the anchor: the chain was written anew.")


def parse_anchor(anchor: str) -> tuple[int, str]:
    found = _ANCHOR.fullmatch(anchor.strip())
    if found is None:
        raise Invalid(
            f"{anchor[:80]} is no anchor: write NUMBER:DIGEST as `reserve seals` prints it.", code="bad_anchor"
        )
    return int(found[1]), found[2].lower()


def _chain(session: Session, key: bytes | None, since: int, vouched: int) -> Iterator[Finding]:
    """The seals and the rows under them, both in their order; rows whose seal is gone lie between."""
    before = select(SEAL.c.digest).where(SEAL.c.number == since)
    link, prev = since, session.connection().execute(before).scalar_one_or_none() if since else GENESIS
    newest = last(session)
    until = newest.number if newest else since  # seals written meanwhile are for the next time
    groups = groupby(_entries(session, since, until), key=attrgetter("number"))
    group = next(groups, None)
    for seal in _links(session, since, until):
        while group is not None and group[0] < seal.number:
            yield _without(group[0])
            group = next(groups, None)
        if seal.number > link + 1:
            gone = f"Seal {link + 1} is" if seal.number == link + 2 else f"Seals {link + 1} to {seal.number - 1} are"
            yield Finding("seal_missing", f"{gone} not there.")
        elif seal.prev != prev:
            yield Finding("seal_prev", f"Seal {seal.number} does not follow the seal {link} that is there.")
        link, prev = seal.number, seal.digest
        mine = group is not None and group[0] == seal.number
        yield from _judge(seal, group[1] if group is not None and mine else iter(()))
        if key is not None and seal.mac is None and seal.number > vouched:
            yield Finding("seal_unsigned", f"Seal {seal.number} carries no mac: it was written without the key.")
        elif key is not None and seal.mac not in {None, _mac(key, seal.digest)}:
            yield Finding("seal_mac", f"Seal {seal.number} carries another key's mac.")
        group = next(groups, None) if mine else group
    for number in session.connection().execute(_BEYOND, {"until": until}).scalars():
        yield _without(number)


def _without(number: int) -> Finding:
    return Finding("seal_without", f"Rows are kept under seal {number}, which is not there.")


def _judge(seal: _Link, entries: Iterator[_Entry]) -> Iterator[Finding]:
    """One seal: its rows as they were, all there, under the digest that they make."""
    link, count, document = _link(seal.prev, seal.number, seal.sealed_at), 0, None
    for entry in entries:
        link.update(b"\n" + entry.row_digest.encode("utf-8", "surrogatepass"))
        count += 1
        where = f"seal {entry.number}, row {entry.position}"
        if entry.row is None:
            yield Finding("row_missing", f"{_name(entry, document)} is gone: {where}, digest {entry.row_digest}.")
        elif entry.row.digest != entry.row_digest:
            yield Finding("row_changed", f"{entry.row.name} is not as it was sealed: {where}.")
        if entry.kind == Kind.DOCUMENT:
            document = entry
    if count != seal.rows:
        yield Finding("seal_rows", f"Seal {seal.number} was made over {seal.rows} rows, and {count} are there.")
    elif link.hexdigest() != seal.digest:
        yield Finding("seal_digest", f"The digest of seal {seal.number} is not that of its rows.")


def _name(entry: _Entry, document: _Entry | None) -> str:
    """A row that is gone; a movement is told by its document, which lies before it under the same seal."""
    if entry.kind == Kind.MOVEMENT and document is not None and document.row is not None:
        number = document.row.name.removeprefix("Document ")
        return f"Movement {number} line {entry.position - document.position}"
    return f"{entry.kind.capitalize()} with the id {entry.row_id}"


def _links(session: Session, since: int, until: int) -> Iterator[_Link]:
    connection = session.connection()
    columns = (SEAL.c.number, SEAL.c.rows, SEAL.c.prev, SEAL.c.digest, SEAL.c.mac)
    moment = moment_text(SEAL.c.sealed_at, connection.dialect.name)
    within = SEAL.c.number > bindparam("after"), SEAL.c.number <= bindparam("until")
    following = select(*columns, moment).where(*within).order_by(SEAL.c.number).limit(_BATCH)
    while batch := connection.execute(following, {"after": since, "until": until}).all():
        yield from map(_Link._make, batch)
        since = batch[-1][0]


def _entries(session: Session, since: int, until: int) -> Iterator[_Entry]:
    """The rows under seals after `since` up to `until`, in the order of their sealing, read and hashed again."""
    connection = session.connection()
    after = {"until": until, "number": since, "position": 2**31 - 1}
    while batch := connection.execute(_FOLLOWING, after).all():
        ids: dict[str, list[int]] = {kind: [] for kind in Kind}
        for _, _, kind, row_id, _ in batch:
            ids.setdefault(kind, []).append(row_id)
        found = {kind: digested(connection, kind, ids[kind]) for kind in Kind}
        for number, position, kind, row_id, row_digest in batch:
            yield _Entry(number, position, kind, row_id, row_digest, found[kind].get(row_id) if kind in found else None)
        after |= {"number": batch[-1][0], "position": batch[-1][1]}


def _unsealed(session: Session) -> Iterator[Finding]:
    """What was written past the queue, and what waits in it though a worker lives."""
    connection = session.connection()
    for kind, source in _QUEUED.items():
        sealed = select(ENTRY.c.row_id).where(ENTRY.c.kind == kind, ENTRY.c.row_id == source.c.id)
        queued = select(UNSEALED.c.row_id).where(UNSEALED.c.kind == kind)
        loose = select(source.c.id).where(~sealed.exists(), source.c.id.not_in(queued)).order_by(source.c.id)
        for ids in connection.execute(loose).scalars().partitions(_BATCH):
            names = digested(connection, kind, ids)
            for row_id in ids:
                yield Finding("unsealed_unknown", f"{names[row_id].name} is under no seal and waits for none.")
    for number, line in connection.execute(_SLIPPED_IN):
        yield Finding("movement_slipped_in", f"Movement {number} line {line} was added after its document was sealed.")
    lived, newest = beats.latest(session), last(session)
    if lived is None or (newest is not None and newest.sealed_at >= lived - LATE):
        return  # nobody seals, which /readyz tells; or sealing goes on, and a long queue takes its time
    for kind, source in _QUEUED.items():
        late = (
            select(func.count(), func.min(source.c.recorded_at))
            .join(UNSEALED, and_(UNSEALED.c.kind == kind, UNSEALED.c.row_id == source.c.id))
            .where(source.c.recorded_at < lived - LATE)
        )
        count, first = connection.execute(late).one()
        if count:
            told = f"{count} rows of {kind} wait for a seal, the first since {as_text(first)} UTC; a worker lives."
            yield Finding("unsealed_late", told)


_ANCHOR = re.compile(r"(\d{1,18}):([0-9a-fA-F]{64})", re.ASCII)
_FOLLOWING = (
    select(ENTRY.c.number, ENTRY.c.position, ENTRY.c.kind, ENTRY.c.row_id, ENTRY.c.row_digest)
    .where(
        tuple_(ENTRY.c.number, ENTRY.c.position) > tuple_(bindparam("number"), bindparam("position")),
        ENTRY.c.number <= bindparam("until"),
    )
    .order_by(ENTRY.c.number, ENTRY.c.position)
    .limit(_BATCH)
)
_BEYOND = (
    select(ENTRY.c.number)
    .distinct()
    .where(ENTRY.c.number > bindparam("until"), ENTRY.c.number.not_in(select(SEAL.c.number)))
    .order_by(ENTRY.c.number)
)
_of_document, _of_movement = ENTRY.alias("of_document"), ENTRY.alias("of_movement")
_SLIPPED_IN = (
    select(DOCUMENT.c.number, MOVEMENT.c.line)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .join(_of_document, and_(_of_document.c.kind == Kind.DOCUMENT, _of_document.c.row_id == DOCUMENT.c.id))
    .outerjoin(_of_movement, and_(_of_movement.c.kind == Kind.MOVEMENT, _of_movement.c.row_id == MOVEMENT.c.id))
    .where(_of_movement.c.row_id.is_(None))
    .order_by(MOVEMENT.c.id)
)
