"""The API on the command line: what `reserve record` and `reserve ask` send goes through the same routes as HTTP.

The operator at the machine owns the database file anyway, so no key is asked for: their name is written into what they
record. The request never leaves this process.
"""

import asyncio
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from starlette.types import Message, Scope

from api.app import create_app
from api.desk import OPERATOR, Desk
from reserve.access import Operator

JSON = "application/json"


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def refused(self) -> bool:
        return self.status >= 400


def call(
    desk: Desk, method: str, target: str, operator: Operator, body: bytes = b"", key: str | None = None
) -> Answered:
    """Answer one request as the server would; `target` is what follows `/v1/`, with its query."""
    parts = urlsplit(target if target.startswith("/") else f"/v1/{target}")
    headers = [(b"host", b"localhost"), (b"content-type", JSON.encode())]
    if key is not None:
        headers.append((b"idempotency-key", key.encode("ascii", "replace")))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": quote(parts.path, safe="/%").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 0),
        OPERATOR: operator,
    }
    return asyncio.run(_answer(create_app(desk.engine, desk.settings, desk.clock), scope, body))


async def _answer(app: Any, scope: Scope, body: bytes) -> Answered:  # noqa: ANN401 - any ASGI application
    told: list[Message] = []
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        told.append(message)

    await app(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in told[0].get("headers", [])}
    return Answered(told[0]["status"], headers, b"".join(message.get("body", b"") for message in told[1:]))
