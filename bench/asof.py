"""Stock as of a past day beside raw SQL that replays the movements: a lot, an item, a place, the city; as it grows.

    BENCH_SIZES=300000,1000000,3000000    movements; each is grown from the one before
    BENCH_ENGINES=sqlite,postgresql

Three years, 12 places, 200 items, 10,000 lots. Everything has come before anything leaves, so no moment is below zero.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event, text

from bench.common import ITEMS, PLACES, ZONE, about, city_at, in_turns, postgres
from reserve import catalogue, database, stock

SIZES = [int(size) for size in os.environ.get("BENCH_SIZES", "300000,1000000,3000000").split(",")]
ENGINES = os.environ.get("BENCH_ENGINES", "sqlite,postgresql").split(",")
LOTS, LINES, ROUNDS = 10_000, 100, 3
START = datetime(2023, 1, 1, tzinfo=UTC)
DAY = date.fromisoformat(os.environ.get("BENCH_DAY", "2025-01-01"))
"""The day asked about: two thirds of the ledger lie before it, or as the environment says."""

Row = tuple[int, int, int]


class Case(NamedTuple):
    name: str
    place: str | None
    item: str | None
    lot: str | None


CASES = (
    Case("one lot at one place", "W3", "I7", "L7"),
    Case("one item at one place", "W3", "I7", None),
    Case("one place", "W3", None, None),
    Case("the whole city", None, None, None),
)


def main() -> None:
    about()
    if "sqlite" in ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            _engine("SQLite", f"sqlite:///{folder}/reserve.db")
    if "postgresql" in ENGINES:
        with postgres() as url:
            _engine("PostgreSQL", url)


def _engine(name: str, url: str) -> None:
    engine = city_at(url)
    times: dict[str, list[tuple[int, float]]] = {case.name: [] for case in CASES}
    before = 0
    for size in SIZES:
        started = time.perf_counter()
        _grow(engine, before, size)
        before = size
        print(f"{name}, {size:,} movements (made in {time.perf_counter() - started:.0f} s), ms ours / raw replay:")
        for case in CASES:
            ours, peer = _Ours(engine, case), _Peer(engine, case)
            answer = ours.ask()
            assert answer == peer.ask(), case
            a, b = in_turns(ROUNDS, ours.timed, peer.timed)
            times[case.name].append((size, a))
            print(f"  {case.name} ({len(answer):,} rows): {a * 1000:.2f} / {b * 1000:.2f} = {a / b:.2f}")
    for case in CASES:
        grown = [f"{_exponent(*pair):.2f}" for pair in pairwise(times[case.name])]
        print(f"  {name}, {case.name}: time grows as movements to the power {', '.join(grown) or '(one size)'}")
    for case in CASES:
        print(f"-- {name}, {case.name}")
        for line in _Ours(engine, case).explained():
            print(f"     {line}")
    database.close(engine)


def _exponent(small: tuple[int, float], large: tuple[int, float]) -> float:
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


# -- the ledger -------------------------------------------------------------------------------------------------------


def _grow(engine: Engine, have: int, size: int) -> None:
    """Movements number `have` to `size`, a hundred a document, spread over three years whatever their number.

    The first of each lot at each place brings 1,000 in; of the others three of five bring up to 50, two take up to 10.
    """
    if have == 0:
        with database.writing(engine) as session:
            items = text("SELECT id FROM item ORDER BY id")
            ids = list(session.connection().execute(items).scalars())
            rows = [{"item": ids[n % ITEMS], "number": f"L{n}"} for n in range(LOTS)]
            made = "INSERT INTO lot (item_id, lot_number, expires_on) VALUES (:item, :number, '2030-01-01')"
            session.connection().execute(text(made), rows)
    with database.writing(engine) as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        first = connection.execute(text("SELECT min(id) FROM location WHERE code IN ('W0', 'W1')")).scalar_one()
        lot = connection.execute(text("SELECT min(id) FROM lot")).scalar_one()
        ends = {
            code: connection.execute(text("SELECT id FROM location WHERE code = :code"), {"code": code}).scalar_one()
            for code in ("SUPPLIER", "CONSUMER")
        }
        asked = {"have": have, "size": size, "first": first, "lot": lot, **ends}
        for statement in _STATEMENTS[connection.dialect.name]:
            connection.execute(text(statement), {name: asked[name] for name in asked if f":{name}" in statement})
        connection.execute(text("DELETE FROM balance"))
        connection.execute(text(_BALANCES))
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
            connection.commit()
        assert connection.execute(text("SELECT count(*) FROM movement")).scalar_one() == size


_BALANCES = """
    INSERT INTO balance (location_id, lot_id, on_hand)
    SELECT place, lot, sum(change) FROM (
        SELECT target_id AS place, lot_id AS lot, quantity AS change FROM movement
        UNION ALL SELECT source_id, lot_id, -quantity FROM movement
    ) AS flow JOIN location ON location.id = place WHERE location.kind = 'warehouse' GROUP BY place, lot
"""
# The first LOTS x PLACES movements lie in the first 30 days; a later one at a moment that its number decides.
_FLOOD = LOTS * PLACES
_SECONDS = f"(CASE WHEN d * {LINES} < {_FLOOD} THEN d * 2000 ELSE 2592000 + (d * 7919) % 91000 * 1000 + d % 997 END)"
_STATEMENTS = {
    "sqlite": (
        f"""WITH RECURSIVE n(d) AS (SELECT :have / {LINES} UNION ALL SELECT d + 1 FROM n WHERE d + 1 < :size / {LINES})
        INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)
        SELECT d + 1, 'B-' || d, 'receipt', :first,
            strftime('%Y-%m-%d %H:%M:%S.000000', {int(START.timestamp())} + {_SECONDS}, 'unixepoch'),
            '2026-01-01 00:00:00.000000', 'bench' FROM n""",  # noqa: S608 - our own numbers
        f"""WITH RECURSIVE n(i) AS (SELECT :have UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :size),
        m AS (SELECT i, i / {LINES} AS d, (i * 2654435761) % 4294967296 / 7 AS h FROM n),
        r AS (SELECT i, d, h, CASE WHEN i < {_FLOOD} THEN i % {LOTS} ELSE h % {LOTS} END AS lot,
            CASE WHEN i < {_FLOOD} THEN i / {LOTS} ELSE h / {LOTS} % {PLACES} END AS place,
            CASE WHEN i < {_FLOOD} OR h % 5 < 3 THEN 1 ELSE 0 END AS inward FROM m)
        INSERT INTO movement (id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at)
        SELECT i + 1, d + 1, i % {LINES} + 1, :lot + lot,
            CASE inward WHEN 1 THEN :SUPPLIER ELSE :first + place END,
            CASE inward WHEN 1 THEN :first + place ELSE :CONSUMER END,
            CASE WHEN i < {_FLOOD} THEN 1000 WHEN inward = 1 THEN h % 50 + 1 ELSE h % 10 + 1 END,
            strftime('%Y-%m-%d %H:%M:%S.000000', {int(START.timestamp())} + {_SECONDS}, 'unixepoch') FROM r""",  # noqa: S608
    ),
    "postgresql": (
        f"""INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)
        SELECT d + 1, 'B-' || d, 'receipt', :first, to_timestamp({int(START.timestamp())} + {_SECONDS}),
            '2026-01-01Z', 'bench' FROM generate_series(CAST(:have AS bigint) / {LINES}, :size / {LINES} - 1) AS d""",  # noqa: S608
        f"""INSERT INTO movement (id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at)
        SELECT i + 1, d + 1, i % {LINES} + 1, :lot + lot,
            CASE inward WHEN 1 THEN :SUPPLIER ELSE :first + place END,
            CASE inward WHEN 1 THEN :first + place ELSE :CONSUMER END,
            CASE WHEN i < {_FLOOD} THEN 1000 WHEN inward = 1 THEN h % 50 + 1 ELSE h % 10 + 1 END,
            to_timestamp({int(START.timestamp())} + {_SECONDS}) FROM (
            SELECT i, d, h, CASE WHEN i < {_FLOOD} THEN i % {LOTS} ELSE h % {LOTS} END AS lot,
                CASE WHEN i < {_FLOOD} THEN i / {LOTS} ELSE h / {LOTS} % {PLACES} END AS place,
                CASE WHEN i < {_FLOOD} OR h % 5 < 3 THEN 1 ELSE 0 END AS inward
            FROM (SELECT i, i / {LINES} AS d, (i * 2654435761) % 4294967296 / 7 AS h
                FROM generate_series(CAST(:have AS bigint), :size - 1) AS i) AS m) AS r""",  # noqa: S608
    ),
}


# -- the question -----------------------------------------------------------------------------------------------------


class _Ours:
    def __init__(self, engine: Engine, case: Case) -> None:
        self.engine, self.case = engine, case

        with database.reading(engine) as session:
            item = None if case.item is None else catalogue.item(session, case.item)
            self.question = stock.StockQuestion(
                day=DAY,
                scope=catalogue.place(session, case.place or "371400"),
                item_id=item and item.id,
                lot_number=case.lot,
                at=stock.end_of_day(DAY, ZONE),
            )

    def ask(self) -> list[Row]:
        with database.reading(self.engine) as session:
            return [(row.location_id, row.lot_id, row.on_hand) for row in stock.rows(session, self.question)]

    def timed(self) -> float:
        return _best_of(self.ask)

    def explained(self) -> list[str]:
        """The plan of the question's statement."""
        statements: list[tuple[str, Any]] = []

        def keep(_connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:  # noqa: ANN401
            statements.append((statement, parameters))

        event.listen(self.engine, "before_cursor_execute", keep)
        try:
            self.ask()
        finally:
            event.remove(self.engine, "before_cursor_execute", keep)
        statement, parameters = statements[-1]
        with self.engine.connect() as connection:
            lite = connection.dialect.name == "sqlite"
            said = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}" if lite else f"EXPLAIN {statement}", parameters
            )
            return [str(row[3] if lite else row[0]) for row in said]


class _Peer:
    """The same sum by the driver, with every filter where it helps most and no names joined."""

    def __init__(self, engine: Engine, case: Case) -> None:
        self.engine, self.case = engine, case
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT code, id FROM location WHERE kind = 'warehouse'"))
            places = {row.code: row.id for row in rows}
            rows = connection.execute(
                text("SELECT lot.id, code, lot_number FROM lot JOIN item ON item.id = item_id")
            ).all()
        wanted = [places[case.place]] if case.place else sorted(places.values())
        lots = [row.id for row in rows if case.item == row.code and case.lot in {None, row.lot_number}]
        only = f" AND lot_id IN ({', '.join(map(str, lots))})" if lots else ""
        halves = " UNION ALL ".join(
            f"SELECT {end} AS place, lot_id, {sign}quantity AS change FROM movement"  # noqa: S608 - our own ids
            f" WHERE {end} IN ({', '.join(map(str, wanted))}){only} AND occurred_at < :at"
            for end, sign in (("target_id", ""), ("source_id", "-"))
        )
        self.statement = text(
            f"SELECT place, lot_id, sum(change) FROM ({halves}) AS flow GROUP BY place, lot_id"  # noqa: S608
            " HAVING sum(change) <> 0 ORDER BY place, lot_id"
        )
        at = stock.end_of_day(DAY, ZONE)
        self.at: object = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if engine.dialect.name == "sqlite" else at

    def ask(self) -> list[Row]:
        with self.engine.connect() as connection:
            found = connection.execute(self.statement, {"at": self.at})
            return [(place, lot, int(units)) for place, lot, units in found]

    def timed(self) -> float:
        return _best_of(self.ask)


def _best_of(ask: Callable[[], object]) -> float:
    """Seconds of one question: the best of as many as fit in a third of a second, one at least."""
    best, until = math.inf, time.perf_counter() + 0.3
    while True:
        start = time.perf_counter()
        ask()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > until:
            return best
