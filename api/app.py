"""The server put together: one database, one clock, the routes, the pages, the refusals, and the worker beside them."""

import contextlib
import ipaddress
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
from fastapi import Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import (
    alerts,
    backtests,
    catalogue,
    commitments,
    counts,
    coverage,
    exchange,
    health,
    labels,
    lots,
    papers,
    plans,
    problems,
    recording,
    requisitions,
    scenarios,
    seals,
    stock,
    transfers,
    use,
)
from api.board import DatabaseBoard
from api.desk import Desk
from api.pages import CSP, pages
from api.settings import Settings, read_settings
from api.warehouse_pages import warehouse_pages
from api.worker import Worker
from reserve import database
from reserve.errors import Forbidden

THREADS = 8
"""Requests worked on at once. More would only take turns at Python's lock and SQLite's."""

_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


_ROOMS = (
    stock,
    recording,
    transfers,
    counts,
    requisitions,
    lots,
    labels,
    papers,
    catalogue,
    commitments,
    coverage,
    backtests,
    plans,
    use,
    scenarios,
    alerts,
    exchange,
    seals,
    health,
)


def now() -> datetime:
    return datetime.now(UTC)


def create_app(engine: Engine, settings: Settings, clock: Callable[[], datetime] = now) -> FastAPI:
    """The server over one database. The schema must be current: `reserve migrate` makes it so."""
    desk = Desk(engine, settings, clock)

    @contextlib.asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        worker = Worker(desk) if settings.runs_worker else None
        if worker is not None:
            worker.start()
        yield
        if worker is not None:
            await anyio.to_thread.run_sync(worker.stop)

    app = FastAPI(
        title="Reserve monitor",
        version="0.3.0",
        summary="储备监测: every lot of a city's medical reserve, days of coverage at peak use, alerts below a month",
        lifespan=life,
        docs_url=None,  # FastAPI's page loads its scripts from a CDN
        redoc_url=None,
    )
    app.state.desk = desk
    problems.install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    board = DatabaseBoard(desk)
    for screens in (pages(board), warehouse_pages(desk, board)):
        app.include_router(screens, dependencies=[Depends(_page_reader)])
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.add_middleware(SecurityHeaders)
    return app


def from_environment() -> FastAPI:
    """What `uvicorn --factory` starts, in each of its processes."""
    settings = read_settings(os.environ)
    engine = database.connect(settings.database_url)
    database.require_current_schema(engine)
    return create_app(engine, settings)


def _page_reader(request: Request) -> None:
    """Pages are for this machine until somebody opens them: people sign in from a later version on."""
    setting = request.app.state.desk.settings.pages
    near = _is_loopback(request.client.host if request.client else "") and request.url.hostname in _LOCAL_NAMES
    if setting == "open" or (setting == "loopback" and near):
        return
    raise Forbidden(
        "The pages are open to this machine only; the operator can open them by RESERVE_PAGES=open. The API takes keys."
    )


_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
"""A page asked for under another name comes from a browser that was led here by somebody's DNS."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SecurityHeaders:
    """The same headers on every answer, refusals too; dates and numbers of stock are never kept by a shared cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        await self._app(scope, receive, with_headers)
