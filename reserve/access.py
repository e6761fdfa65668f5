"""Keys, roles and subtrees: one function answers who may do what where."""

import hashlib
import hmac
import secrets
import unicodedata
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session

from reserve import catalogue, journal
from reserve.catalogue import PLACE, Place
from reserve.errors import Forbidden, Invalid, Unauthenticated, Unknown
from reserve.model import Key, Role, table

KEY = table(Key)

COMMAND_LINE = "command line"
"""Who did what was done by the operator's own commands."""


class Verb(StrEnum):
    """What a person or device does; each role may do its own and everything before it."""

    READ = "read"
    REPORT = "report"
    RECORD = "record"
    MANAGE = "manage"
    ADMINISTER = "administer"


_RANK = {Role.VIEWER: 0, Role.REPORTER: 1, Role.CLERK: 2, Role.MANAGER: 3, Role.ADMIN: 4}
_NEEDS = {Verb.READ: 0, Verb.REPORT: 1, Verb.RECORD: 2, Verb.MANAGE: 3, Verb.ADMINISTER: 4}


class Actor(NamedTuple):
    """Who is asking: a key, its role, and the subtree it reaches."""

    id: str
    name: str
    role: Role
    place: Place

    @property
    def signature(self) -> str:
        """What is written into documents."""
        return f"{self.name} ({self.id})"


class Operator(NamedTuple):
    """Who sits at the machine itself and records by the command line, at a place or at the top."""

    name: str
    location: str | None = None


def at_the_machine(session: Session, operator: Operator) -> Actor:
    """An operator as an actor: who owns the database file may do everything, and signs with their name.

    Raises
    ------
    UnknownLocation, Invalid
        no such place; no top to stand at; a name that cannot be written.
    """
    if not operator.name.strip() or len(operator.name) > 100 or not operator.name.isprintable():
        raise Invalid("A name has 1 to 100 printable characters; it is written into every document: use --as NAME.")
    if operator.location is not None:
        return Actor("cli", operator.name, Role.ADMIN, catalogue.require_place(session, operator.location))
    tops = [place for place in catalogue.places(session) if place.parent_id is None and place.stocked]
    if len(tops) != 1:
        raise Invalid(f"There are {len(tops)} locations at the top: say --at CODE.", code="unknown_location")
    return Actor("cli", operator.name, Role.ADMIN, tops[0])


def same_person(one: str, other: str) -> bool:
    """Whether two signatures, `name (key)`, are of one person: by the key, or by the name however it is written.

    Everybody at the command line signs with `cli`, which says nothing about who they are.
    """
    (name, key), (other_name, other_key) = _signed(one), _signed(other)
    return name == other_name or (key not in {"", "cli"} and key == other_key)


def _signed(signature: str) -> tuple[str, str]:
    name, bracket, key = signature.rpartition(" (")
    name, key = (name, key.rstrip(")")) if bracket else (signature, "")
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split()), key


def may(actor: Actor, verb: Verb, place: Place | None) -> bool:
    """Whether `actor` may do `verb` at `place`; None is something that belongs to no place, such as the catalogue."""
    return _RANK[actor.role] >= _NEEDS[verb] and (place is None or actor.place.holds(place))


def require(actor: Actor, verb: Verb, place: Place | None) -> None:
    if not may(actor, verb, place):
        raise forbidden()


def forbidden() -> Forbidden:
    """The same words for what is outside and for what does not exist: nothing is told about either."""
    return Forbidden("Your key does not reach that place, or its role may not do this. Ask an admin for another key.")


def reach(session: Session, actor: Actor, verb: Verb, code: str) -> Place | None:
    """The place of a code that the actor names, or None where it does not exist and the actor may know that.

    Raises
    ------
    Forbidden
        outside the subtree, whether it exists or not.
    """
    found = catalogue.place(session, code)
    if found is None or not found.inside:
        require(actor, verb, None)
        if actor.place.parent_id is not None:
            raise forbidden()
        return None
    require(actor, verb, found)
    return found


# -- keys -------------------------------------------------------------------------------------------------------------


class KeyRow(NamedTuple):
    id: int
    prefix: str
    name: str
    role: str
    location: str
    created_at: datetime
    expires_on: date | None
    revoked_at: datetime | None


class NewKey(NamedTuple):
    """A key as it is shown, once."""

    id: int
    secret: str


_FIELDS = (
    KEY.c.id,
    KEY.c.prefix,
    KEY.c.name,
    KEY.c.role,
    PLACE.c.code,
    KEY.c.created_at,
    KEY.c.expires_on,
    KEY.c.revoked_at,
)
_HELD = (KEY.c.digest, KEY.c.name, KEY.c.role, KEY.c.expires_on, KEY.c.revoked_at)
_BY_PREFIX = (
    select(*_HELD, *catalogue.PLACE_COLUMNS)
    .join(PLACE, PLACE.c.id == KEY.c.location_id)
    .where(KEY.c.prefix == bindparam("prefix"))
)


def create_key(
    session: Session,
    *,
    role: Role,
    location: str,
    name: str,
    expires_on: date | None,
    now: datetime,
    actor: str = COMMAND_LINE,
) -> NewKey:
    """Make a key: 8 public characters and 43 random ones, of which the database keeps only the hash."""
    place = catalogue.require_place(session, location)
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise Invalid("A key's name has 1 to 100 printable characters; it is written into every document.")
    prefix = secrets.token_hex(4)
    secret = f"rsv_{prefix}_{secrets.token_urlsafe(32)}"
    key_id = (
        session.connection()
        .execute(
            insert(KEY)
            .values(
                prefix=prefix,
                digest=_digest(secret),
                name=name,
                role=role.value,
                location_id=place.id,
                created_at=now,
                expires_on=expires_on,
            )
            .returning(KEY.c.id)
        )
        .scalar_one()
    )
    told = {"prefix": prefix, "name": name, "role": role, "location": place.code, "expires_on": expires_on}
    journal.write(session, actor=actor, now=now, verb="key.made", subject=f"key {key_id}", after=told)
    return NewKey(key_id, secret)


def keys(session: Session) -> list[KeyRow]:
    statement = select(*_FIELDS).join(PLACE, PLACE.c.id == KEY.c.location_id).order_by(KEY.c.id)
    return [KeyRow._make(row) for row in session.connection().execute(statement)]


def revoke_key(session: Session, key_id: int, now: datetime, actor: str = COMMAND_LINE) -> None:
    """From the next request on, the key is nobody's."""
    changed = session.connection().execute(
        update(KEY).where(KEY.c.id == key_id, KEY.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    if changed.rowcount == 0:
        raise Unknown(f"There is no key {key_id} in use; see `reserve key list`.", code="unknown_key")
    journal.write(session, actor=actor, now=now, verb="key.revoked", subject=f"key {key_id}")


def authenticate(session: Session, secret: str | None, *, now: datetime, zone: ZoneInfo) -> Actor:
    """Whose key this is.

    Raises
    ------
    Unauthenticated
        none given, or none of ours: unknown, expired and revoked keys are told apart by nobody.
    """
    refused = Unauthenticated("Send a valid key as `Authorization: Bearer rsv_...`; `reserve key create` makes one.")
    if secret is None:
        raise refused
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != "rsv" or not parts[1].isascii():
        raise refused
    row = session.connection().execute(_BY_PREFIX, {"prefix": parts[1][:8]}).one_or_none()
    if row is None:
        raise refused
    digest, name, role, expires_on, revoked_at, *place = row
    today = now.astimezone(zone).date()
    if not hmac.compare_digest(digest, _digest(secret)) or revoked_at is not None or (expires_on or today) < today:
        raise refused
    return Actor(parts[1], name, Role(role), Place._make(place))


def _digest(secret: str) -> str:
    """SHA-256 is enough for 256 random bits; slow hashes are for passwords."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
