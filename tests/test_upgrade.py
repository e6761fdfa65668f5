"""P11: a database that an earlier version left is brought to this one with every row, and work goes on in it."""
# ruff: noqa: E501, ISC004 - rows of SQL read best in one line

import pytest
from conftest import NOW, TODAY, entry
from sqlalchemy import text

from reserve import database, ledger, stock, transfers, verify
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import Purpose

AS_0_1_0_LEFT_IT = (
    "INSERT INTO location (id, code, name_zh, name_en, kind, path) VALUES (101, '371400', '德州市', 'Dezhou', 'region', '/101/')",
    "INSERT INTO location (id, code, name_zh, name_en, kind, parent_id, path)"
    " VALUES (102, '371400-W1', '库', 'Store', 'warehouse', 101, '/101/102/')",
    "INSERT INTO location (id, code, name_zh, name_en, kind, parent_id, path)"
    " VALUES (103, '371400-W2', '库', 'Store', 'warehouse', 101, '/101/103/')",
    "INSERT INTO item (id, code, name_zh, name_en, category, base_unit, shelf_life_days)"
    " VALUES (11, 'N95', '口罩', 'Respirator', 'protective', '只', 1095)",
    "INSERT INTO lot (id, item_id, lot_number, expires_on) VALUES (21, 11, 'A/\"1', '2027-01-31')",
    "INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)"
    " VALUES (31, 'RC-20260401-000031', 'receipt', 102, '2026-03-31 02:00:00.000000', '2026-04-01 01:00:00.000000', 'Li')",
    "INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)"
    " VALUES (37, 'RC-20260401-000037', 'receipt', 102, '2026-03-31 02:00:00.000000', '2026-04-01 01:00:00.000000', 'Li')",
    "INSERT INTO movement (id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at)"
    " SELECT 41, 31, 1, 21, id, 102, 60, '2026-03-31 02:00:00.000000' FROM location WHERE code = 'SUPPLIER'",
    "INSERT INTO movement (id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at)"
    " SELECT 42, 37, 1, 21, id, 102, 40, '2026-03-31 02:00:00.000000' FROM location WHERE code = 'SUPPLIER'",
    "INSERT INTO balance (location_id, lot_id, on_hand) VALUES (102, 21, 100)",
    "INSERT INTO consumption (id, item_id, location_id, day, revision, quantity, recorded_at, actor)"
    " VALUES (51, 11, 102, '2026-03-30', 1, 5, '2026-03-31 01:00:00.000000', 'Li')",
)  # fmt: skip


@pytest.fixture
def old(request, tmp_path):
    """A database as version 0.1.0 left it, on each engine."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
    else:
        url = request.getfixturevalue("postgres").bare()
    engine = database.connect(url)
    database.migrate(engine, "0001")
    with engine.begin() as connection:
        for statement in AS_0_1_0_LEFT_IT:
            connection.execute(text(statement))
    if request.param == "postgresql":  # ids were given by hand; the sequences go on above them
        with engine.begin() as connection:
            for table in ("location", "item", "lot", "document", "movement", "consumption"):
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000)"))
    yield engine
    database.close(engine)


on_each = pytest.mark.parametrize("old", ["sqlite", "postgresql"], indirect=True)


@on_each
def test_p11_every_row_is_there_after_the_upgrade_and_the_books_are_whole(old):
    database.migrate(old)
    assert database.schema(old) == "current"
    with database.reading(old) as session:
        assert [f.sentence for f in verify.verify(session)] == []
        [row] = stock.rows(session, stock.StockQuestion(day=TODAY))
        assert (row.location, row.item, row.lot_number, row.on_hand, row.owner) == (
            "371400-W1",
            "N95",
            'A/"1',
            100,
            None,
        )
        waiting = session.connection().execute(text("SELECT kind, row_id FROM unsealed ORDER BY id")).all()
        assert [tuple(w) for w in waiting[:3]] == [("document", 31), ("document", 37), ("consumption", 51)]
        made = session.connection().execute(text("SELECT subject, after FROM journal WHERE verb = 'lot.made'")).all()
        assert [tuple(m) for m in made] == [('N95/A/"1', '{"expires_on":"2027-01-31","manufactured_on":null}')]


@on_each
def test_p11_work_goes_on_in_an_upgraded_database(old):
    database.migrate(old)
    with database.writing(old) as session:
        line = ReceiptLine("B", TODAY.replace(year=2027), item="N95", quantity=5)
        received = ledger.receive(session, entry(), location="371400-W1", lines=[line])
        assert received.document == "RC-20260401-000038"  # above the numbers that were given
        sent = transfers.send(session, entry(), source="371400-W1", target="371400-W2", lines=[IssueLine("N95", 30)])
        assert sent.document == "TR-20260401-000001"
        transfers.receive(session, entry(), number=sent.document, lines=None)
        ledger.issue(session, entry(), location="371400-W2", lines=[IssueLine("N95", 1)], purpose=Purpose.USE)
    with database.reading(old) as session:
        assert [f.sentence for f in verify.verify(session)] == []


@on_each
def test_p11_history_stays_append_only_through_the_upgrade(old):
    database.migrate(old)
    for table in ("document", "movement", "consumption", "journal"):
        with pytest.raises(Exception, match="append-only"), old.begin() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
    with pytest.raises(Exception, match=r"(?i)check|document_kind"), old.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO document (number, kind, location_id, occurred_at, recorded_at, actor)"
                " VALUES ('XX', 'gift', 102, :now, :now, 'Li')"
            ),
            {"now": NOW.isoformat()},
        )
