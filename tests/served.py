"""A server over a test database, with a clock that stands still until it is moved, and keys for every role."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from conftest import NOW
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.app import create_app
from api.desk import Desk
from api.settings import Settings
from reserve import access, database
from reserve.model import Role


@dataclass
class Clock:
    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@dataclass
class Served:
    """The server, and a client for each role at a place."""

    engine: Engine
    clock: Clock = field(default_factory=Clock)
    settings: Settings = field(default_factory=lambda: Settings(worker="off", receiver_allow="127.0.0.1"))

    def __post_init__(self) -> None:
        self.app = create_app(self.engine, self.settings, self.clock)
        self.desk: Desk = self.app.state.desk

    def client(self, role: str | None = "admin", location: str = "371400", language: str = "en") -> TestClient:
        headers = {"Accept-Language": language}
        if role is not None:
            headers["Authorization"] = f"Bearer {self.key(role, location)}"
        return TestClient(
            self.app,
            headers=headers,
            raise_server_exceptions=False,
            client=("127.0.0.1", 50000),
            base_url="http://127.0.0.1",
        )

    def key(self, role: str, location: str = "371400", expires_on: date | None = None) -> str:
        made = database.transact(
            self.engine,
            lambda session: access.create_key(
                session, role=Role(role), location=location, name=f"{role} Li", expires_on=expires_on, now=self.clock()
            ),
        )
        return made.secret


def receipt(
    quantity: int = 100, lot: str = "A", expires: str = "2027-01-31", item: str = "N95", **more: object
) -> dict:
    line = {"item": item, "lot_number": lot, "expires_on": expires, "quantity": quantity}
    return {"location": "371400-W1", "lines": [line], **more}


def issue(quantity: int = 10, item: str = "N95", **more: object) -> dict:
    return {"location": "371400-W1", "purpose": "use", "lines": [{"item": item, "quantity": quantity}], **more}


def rows_of_use(location: str, item: str, quantity: Callable[[int], int], days: int, today: date) -> dict:
    """Daily use over the days before today, the last of them yesterday."""
    return {
        "rows": [
            {
                "location": location,
                "item": item,
                "date": (today - timedelta(days=n)).isoformat(),
                "quantity": quantity(n),
            }
            for n in range(days, 0, -1)
        ]
    }
