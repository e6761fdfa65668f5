"""What every request shares: the database, the clock, who is asking, and one transaction around what is recorded.

Everything under a transaction happens in plain functions, run again whole when PostgreSQL says so; the answer leaves
only after the commit.
"""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from sqlalchemy import Engine
from sqlmodel import Session

from api.settings import Settings
from reserve import access, database, replay
from reserve.access import Actor, Verb
from reserve.catalogue import Place
from reserve.entry import Entry
from reserve.errors import Invalid, Malformed, Unknown, UnknownLocation

OPERATOR = "reserve.operator"
"""Where `console` says in a request's scope who sits at the machine."""

_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


class DryRun(Exception):  # noqa: N818 - not an error: it ends a transaction of which nothing is kept
    """Raised by `work` when everything was tried and nothing shall stay; carries what would have been answered."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__("nothing is kept of a dry run")
        self.found = found


class Recording(NamedTuple):
    """What a recording works with: the transaction's session, the moment, and who records."""

    session: Session
    now: datetime
    actor: Actor
    desk: "Desk"

    def entry(self, occurred: datetime | date | None = None, reference: str | None = None) -> Entry:
        return Entry(
            self.actor.signature, self.now, self.desk.zone, occurred, reference, self.desk.settings.back_dating_days
        )


@dataclass(frozen=True, slots=True)
class Desk:
    engine: Engine
    settings: Settings
    clock: Callable[[], datetime]

    @property
    def zone(self) -> ZoneInfo:
        return self.settings.zone

    def who(self, session: Session, request: Request, now: datetime) -> Actor:
        """Whose key the request carries; or who sits at this machine, which no request from outside can say."""
        operator = request.scope.get(OPERATOR)
        if operator is not None:
            return access.at_the_machine(session, operator)
        return access.authenticate(session, bearer(request), now=now, zone=self.zone)

    @contextlib.contextmanager
    def asking(self, request: Request) -> Iterator[tuple[Session, Actor]]:
        """A session that only reads, for somebody whose key is good."""
        with database.reading(self.engine) as session:
            actor = self.who(session, request, self.clock())
            access.require(actor, Verb.READ, None)
            yield session, actor

    def record(
        self,
        request: Request,
        raw: bytes,
        work: Callable[[Recording], dict[str, Any]],
        *,
        status: int = 201,
        parameters: AbstractSet[str] = frozenset(),
    ) -> Response:
        """Run `work` in one transaction and answer what it returns; the same Idempotency-Key gets the same answer.

        The key is checked before the write gate is asked for, so that nobody without one can make writers wait, and
        again inside the transaction: a key that lost its rights must not read an old answer.
        """
        unknown = set(request.query_params) - parameters
        if unknown:
            detail = f"{min(unknown)[:40]} is no parameter of a recording; nothing was recorded."
            raise Invalid(detail, code="unknown_parameter")
        with database.reading(self.engine) as session:
            self.who(session, request, self.clock())
        key = idempotency_key(request)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        digest = replay.digest(request.method, path, raw)

        read: list[datetime] = []

        def once(session: Session) -> tuple[replay.Answer, bool]:
            if not read:
                read.append(self.clock())  # once the gate is passed; a second run records the same moment
            now = read[0]
            actor = self.who(session, request, now)
            if key is not None:
                before = replay.begin(session, actor=actor.id, key=key, request_digest=digest, now=now)
                if before is not None:
                    return before, True
            answer = replay.Answer(status, as_json(work(Recording(session, now, actor, self))))
            if key is not None:
                replay.finish(session, actor=actor.id, key=key, answer=answer)
            return answer, False

        answer, replayed = database.transact(self.engine, once)
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        return Response(answer.body, status_code=answer.status, media_type="application/json", headers=headers)


def desk_of(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


AtDesk = Annotated[Desk, Depends(desk_of)]


def bearer(request: Request) -> str | None:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and secret.strip() else None


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Malformed("An Idempotency-Key has 1 to 200 printable ASCII characters.", code="bad_idempotency_key")
    return key


def language_of(request: Request) -> Literal["zh", "en"]:
    """`zh` or `en`: what the caller asked for, Chinese where it did not say."""
    accepted = request.headers.get("accept-language", "")
    ranked = []
    for n, part in enumerate(accepted.split(",")):
        tag, _, quality = part.partition(";q=")
        with contextlib.suppress(ValueError):
            ranked.append((-float(quality or 1), n, tag.strip().lower()[:2]))
    first = next((tag for _, _, tag in sorted(ranked) if tag in {"zh", "en"}), "zh")
    return "en" if first == "en" else "zh"


# -- places, as a caller may name them --------------------------------------------------------------------------------


def place_in_path(session: Session, actor: Actor, code: str) -> Place:
    """A place in the address or a query: 404 where it does not exist and the actor may know."""
    found = access.reach(session, actor, Verb.READ, code)
    if found is None or not found.inside:
        raise Unknown(f"There is no location {code}.", code="unknown_location")
    return found


def place_in_body(recording: Recording, verb: Verb, code: str, pointer: str = "/location") -> Place:
    """A place in a body: 422 where it does not exist, 403 outside the actor's subtree."""
    found = access.reach(recording.session, recording.actor, verb, code)
    if found is None or not found.inside:
        from reserve.errors import Fault

        detail = f"There is no location {code}; see GET /v1/locations."
        raise UnknownLocation(detail, faults=[Fault(pointer, UnknownLocation.code, detail)])
    return found


# -- answers ----------------------------------------------------------------------------------------------------------


def as_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def answer(value: Any, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - any JSON value
    return Response(as_json(value), media_type="application/json", headers=headers)


def moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return str(moment(value))
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def page(rows: list[Any], limit: int, cursor_of: Callable[[Any], list[Any]]) -> tuple[list[Any], str | None]:
    """The rows to answer (one more than `limit` was asked for) and where the next page begins."""
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    return kept, base64.urlsafe_b64encode(as_json(cursor_of(kept[-1])).encode()).decode().rstrip("=")


def read_cursor(text: str | None, kinds: tuple[type, ...]) -> list[Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, list) or [type(v) for v in found] != list(kinds) or not all(map(_storable, found)):
        raise Invalid("This cursor is not one of ours; use next_cursor as it was answered.", code="bad_cursor")
    return found


def _storable(value: object) -> bool:
    """What a database takes: no number beyond 64 bits, no NUL."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else "\0" not in str(value)


def unchanged(request: Request, etag: str) -> Response | None:
    """304 where the caller has this very answer."""
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in asked or "*" in asked:
        return Response(status_code=304, headers={"ETag": etag})
    return None
