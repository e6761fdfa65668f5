"""Whether `verify` finds what somebody with the database in his hands has done, and names the row."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from conftest import NOW, entry
from sqlalchemy import Engine, text
from sqlmodel import Session

from reserve import catalogue, database, ledger, lots, replay, transfers, verify
from reserve import reversal as ledger_reversal
from reserve.imports import import_sheet
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.lines import LotLine, SettledLine
from reserve.model import Category, LocationKind, Purpose

W1 = "371400-W1"
EXPIRES = date(2027, 6, 30)


def fill(session: Session) -> None:
    """Books with everything that books have: movements 1 to 8, a reversal (7), a hold, an answer kept, a sheet."""
    catalogue.add_location(session, catalogue.NewLocation(W1, "市级储备库", "Store", LocationKind.WAREHOUSE))
    for code, life in (("N95", 1095), ("VENT", None)):
        catalogue.add_item(
            session, catalogue.NewItem(code, code, code, Category.PROTECTIVE, "只", shelf_life_days=life)
        )
    first = entry(occurred=date(2026, 3, 20))
    received = [ReceiptLine(lot, EXPIRES, item="N95", quantity=100) for lot in ("A1", "A2")]
    assert replay.begin(session, actor="Li Wei", key="k-1", request_digest="d", now=NOW) is None
    posted = ledger.receive(session, first, location=W1, lines=received)
    replay.finish(
        session, actor="Li Wei", key="k-1", answer=replay.Answer(201, json.dumps({"document": posted.document}))
    )
    issued = entry(occurred=date(2026, 3, 25))
    ledger.issue(session, issued, location=W1, lines=[IssueLine("N95", 150)], purpose=Purpose.USE)
    ledger.adjust(session, entry(), location=W1, lines=[AdjustmentLine("N95", "A2", -5, "damaged")])
    extra = ledger.adjust(session, entry(), location=W1, lines=[AdjustmentLine("VENT", "V1", 9, "found")])
    ledger.reverse(session, entry(), movement_id=extra.movements[0].id, reason="typing error")
    item = catalogue.item(session, "N95")
    assert item is not None
    lots.place_hold(session, item_id=item.id, lot_number="A2", reason="recall", actor="Li Wei", now=NOW)
    sheet = (
        b"date,location,kind,item,lot_number,expires_on,quantity\n2026-03-26,371400-W1,receipt,N95,A1,2027-06-30,8\n"
    )
    import_sheet(session, entry(), "movements", sheet)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One database of each kind for all damages: each is done and judged in a transaction that is rolled back."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("verify") / "reserve.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        engine = database.connect(f"sqlite:///{path}")
    else:
        engine = database.connect(request.getfixturevalue("postgres").bare())
        database.migrate(engine)
    with database.writing(engine) as session:
        fill(session)
    yield engine
    database.close(engine)


def after(books: Engine, *statements: str) -> list[verify.Finding]:
    """What is found when somebody has taken the triggers off, done this, and put them back."""
    with database.reading(books) as session:
        put_back = take_triggers_off(session)
        for statement in statements:
            assert session.connection().execute(text(statement)).rowcount != 0, statement
        for statement in put_back:
            session.connection().execute(text(statement))
        return verify.verify(session)


def take_triggers_off(session: Session) -> list[str]:
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _ in made:
            connection.execute(text(f"DROP TRIGGER {name}"))
        return [sql for _, sql in made]
    for table in verify.APPEND_ONLY:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    return [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in verify.APPEND_ONLY]


def test_whole_books_have_no_finding(books: Engine) -> None:
    with database.reading(books) as session:
        assert session.connection().execute(text("SELECT count(*) FROM movement")).scalar_one() == 8
        assert verify.verify(session) == []


def test_books_without_a_single_document_are_whole(engine: Engine) -> None:
    with database.reading(engine) as session:
        assert verify.verify(session) == []


# In these books lot 1 is A1, lot 2 is A2, lot 3 is V1, and the store is location 7, after the six outside ends.
@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            ["UPDATE balance SET on_hand = on_hand + 7 WHERE lot_id = 2"],
            [("balance_differs", "N95 lot A2 at 371400-W1: a balance of 52, and the movements sum to 45.")],
            id="a balance raised",
        ),
        pytest.param(
            ["UPDATE movement SET quantity = 60 WHERE lot_id = 2 AND source_id = 7 AND quantity = 50"],
            [("balance_differs", "N95 lot A2 at 371400-W1: a balance of 45, and the movements sum to 35.")],
            id="a movement changed",
        ),
        pytest.param(
            ["DELETE FROM balance WHERE lot_id = 2"],
            [("balance_missing", "N95 lot A2 at 371400-W1: no balance, and the movements sum to 45.")],
            id="a balance deleted",
        ),
        pytest.param(
            ["DELETE FROM balance WHERE on_hand = 0"],
            [("balance_missing", "VENT lot V1 at 371400-W1: no balance, and the movements sum to 0.")],
            id="an empty balance deleted",
        ),
        pytest.param(
            ["INSERT INTO balance (location_id, lot_id, on_hand) SELECT id, 1, 5 FROM location WHERE code = 'WASTE'"],
            [("balance_outside", "N95 lot A1 at WASTE: a balance of 5, where nothing is counted.")],
            id="a balance outside",
        ),
        pytest.param(
            [
                "INSERT INTO lot (item_id, lot_number) VALUES (1, 'B1')",
                "INSERT INTO balance (location_id, lot_id, on_hand) SELECT 7, id, 3 FROM lot WHERE lot_number = 'B1'",
            ],
            [("balance_differs", "N95 lot B1 at 371400-W1: a balance of 3, and the movements sum to 0.")],
            id="a balance from nothing",
        ),
        pytest.param(
            [
                "UPDATE document SET occurred_at = '2026-03-27 00:00:00.000000' WHERE id = 1",
                "UPDATE movement SET occurred_at = '2026-03-27 00:00:00.000000' WHERE document_id = 1",
            ],
            [
                ("below_zero", "N95 lot A1 at 371400-W1: -100 after movement 3 at 2026-03-25T15:59:59.999999Z."),
                ("below_zero", "N95 lot A2 at 371400-W1: -50 after movement 4 at 2026-03-25T15:59:59.999999Z."),
            ],
            id="a receipt moved behind its issue",
        ),
        pytest.param(
            [
                "UPDATE movement SET quantity = 8 WHERE id = 7",
                "UPDATE balance SET on_hand = 1 WHERE lot_id = 3",
            ],
            [("reversal_differs", "Movement 7 is not the opposite of 6, which it reverses.")],
            id="a reversal of another quantity",
        ),
        pytest.param(
            ["UPDATE movement SET reverses = 5 WHERE id = 7"],
            [("reversal_differs", "Movement 7 is not the opposite of 5, which it reverses.")],
            id="a reversal of another movement",
        ),
        pytest.param(
            ["UPDATE movement SET reverses = 7 WHERE id = 6"],
            [
                ("reversal_reversed", "Movement 6 reverses 7, which is itself a reversal."),
                ("reversal_reversed", "Movement 7 reverses 6, which is itself a reversal."),
                ("reversal_kind", "Movement 6 of AD-20260401-000002, of kind adjustment, reverses another."),
            ],
            id="a reversal reversed",
        ),
        pytest.param(
            ["UPDATE movement SET reverses = NULL WHERE id = 7"],
            [("reversal_kind", "Movement 7 of RV-20260401-000001, of kind reversal, reverses nothing.")],
            id="a reversal unhooked",
        ),
        pytest.param(
            [
                (
                    "INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)"
                    " SELECT 99, 'RC-99', kind, location_id, occurred_at, recorded_at, actor FROM document WHERE id = 1"
                ),
            ],
            [
                ("number_unknown", "Document RC-99 has a number that was never given."),
                ("document_empty", "Document RC-99 has no movement."),
                ("unsealed_unknown", "Document RC-99 is under no seal and waits for none."),
            ],
            id="a document without lines",
        ),
        pytest.param(
            ["UPDATE movement SET line = 3 WHERE id = 2"],
            [("document_lines", "Document RC-20260401-000001 has 2 movements; the last is line 3.")],
            id="a line renumbered",
        ),
        pytest.param(
            ["UPDATE movement SET line = 0 WHERE id = 1", "UPDATE movement SET line = 1 WHERE id = 2"],
            [("document_lines", "Document RC-20260401-000001 has 2 movements; the last is line 1.")],
            id="lines from nought",
        ),
        pytest.param(
            ["DELETE FROM movement WHERE id = 5", "UPDATE balance SET on_hand = on_hand + 5 WHERE lot_id = 2"],
            [("document_empty", "Document AD-20260401-000001 has no movement.")],
            id="a movement taken out with its balance",
        ),
        pytest.param(
            ["UPDATE movement SET occurred_at = '2026-03-31 00:00:00.000000' WHERE id = 5"],
            [
                (
                    "document_moment",
                    "Movement 5 says 2026-03-31T00:00:00Z, its document AD-20260401-000001 2026-04-01T02:00:00Z.",
                )
            ],
            id="a movement of another day",
        ),
        pytest.param(
            ["""UPDATE replay SET body = '{"document": "RC-20260401-000077"}' WHERE actor = 'Li Wei'"""],
            [
                (
                    "replay_document",
                    "The answer kept for key k-1 of Li Wei names document RC-20260401-000077, which is not there.",
                )
            ],
            id="an answer for nothing",
        ),
        pytest.param(
            ["""UPDATE replay SET body = '{"docu' WHERE actor = 'Li Wei'"""],
            [("replay_unreadable", "The answer kept for key k-1 of Li Wei is not whole.")],
            id="a torn answer",
        ),
        pytest.param(
            ["UPDATE replay SET status = NULL WHERE actor = 'Li Wei'"],
            [("replay_unreadable", "The answer kept for key k-1 of Li Wei is not whole.")],
            id="an answer never finished",
        ),
    ],
)
def test_what_was_done_to_the_books_is_found_and_named(
    books: Engine, statements: list[str], expected: list[tuple[str, str]]
) -> None:
    if books.dialect.name == "postgresql":
        statements = [s.replace(".000000'", ".000000+00'") for s in statements]
    assert after(books, *statements) == [verify.Finding(*finding) for finding in expected]


def test_the_documents_of_an_imported_sheet_are_looked_for_too(books: Engine) -> None:
    found = after(books, """UPDATE replay SET body = '{"rows": 1, "documents": ["RC-1"]}' WHERE actor = 'import'""")
    assert [finding.code for finding in found] == ["replay_document"]
    assert "names document RC-1," in found[0].sentence


def test_a_movement_reversed_twice_is_found(books: Engine) -> None:
    with database.reading(books) as session:
        connection = session.connection()
        take_triggers_off(session)
        if books.dialect.name == "sqlite":  # the rule cannot be dropped there; the table can be put in its place
            for statement in (
                "CREATE TABLE forged AS SELECT * FROM movement",
                "DROP TABLE movement",
                "ALTER TABLE forged RENAME TO movement",
            ):
                connection.execute(text(statement))
        else:
            connection.execute(text("ALTER TABLE movement DROP CONSTRAINT movement_reverses_key"))
        connection.execute(
            text(
                "INSERT INTO movement"
                " (id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at, reverses)"
                " SELECT 99, document_id, 2, lot_id, source_id, target_id, quantity, occurred_at, reverses"
                " FROM movement WHERE id = 7"
            )
        )
        assert verify.Finding("reversal_repeated", "Movement 6 is reversed 2 times.") in verify.verify(session)


# -- numbers, the road, lots ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            ["UPDATE document SET number = 'AD-20260401-000007' WHERE number = 'AD-20260401-000001'"],
            [
                ("number_missing", "Document AD-20260401-000001 is not there; its number was given."),
                ("number_unknown", "Document AD-20260401-000007 has a number that was never given."),
            ],
            id="another number",
        ),
        pytest.param(
            ["UPDATE counter SET last = 3 WHERE kind = 'IS'"],
            [
                ("number_missing", "Document IS-20260401-000002 is not there; its number was given."),
                ("number_missing", "Document IS-20260401-000003 is not there; its number was given."),
            ],
            id="numbers of documents that are gone",
        ),
        pytest.param(
            ["UPDATE counter SET last = 0 WHERE kind = 'RV'"],
            [("number_unknown", "Document RV-20260401-000001 has a number that was never given.")],
            id="a number that was not given",
        ),
        pytest.param(
            ["DELETE FROM counter WHERE kind = 'RV'"],
            [("number_unknown", "Document RV-20260401-000001 has a number that was never given.")],
            id="no counter at all",
        ),
        pytest.param(
            [
                (
                    "INSERT INTO counter (kind, day, first, last)"
                    " VALUES ('RQ', '2026-04-01', 1, 1), ('CT', '2026-04-01', 3, 3)"
                )
            ],
            [
                ("number_missing", "Requisition RQ-20260401-000001 is not there; its number was given."),
                ("number_missing", "Count sheet CT-20260401-000003 is not there; its number was given."),
            ],
            id="a requisition and a count sheet gone",
        ),
        pytest.param(
            ["INSERT INTO counter (kind, day, first, last) VALUES ('DS', '2026-04-01', 8, 7)"],
            [],
            id="numbers of an earlier version have gaps",
        ),
        pytest.param(
            ["UPDATE lot SET expires_on = '2030-01-01' WHERE lot_number = 'A1'"],
            [
                (
                    "lot_dates",
                    (
                        "N95 lot A1 has not the dates that the journal says: "
                        '{"expires_on":"2027-06-30","manufactured_on":null}.'
                    ),
                )
            ],
            id="the last day of a lot moved",
        ),
        pytest.param(
            ["UPDATE journal SET after = '{' WHERE subject = 'N95/A1' AND verb = 'lot.made'"],
            [("journal_unreadable", "What the journal says of N95 lot A1 is not whole.")],
            id="a torn entry of the journal",
        ),
    ],
)
def test_numbers_and_dates_that_are_not_as_they_were_given_are_found(
    books: Engine, statements: list[str], expected: list[tuple[str, str]]
) -> None:
    assert after(books, *statements) == [verify.Finding(*finding) for finding in expected]


def sent(session: Session) -> str:
    """Fifty on the road: twenty came, ten came by mistake, five were lost, and twenty-five are still under way."""
    lines = [ReceiptLine("A1", EXPIRES, item="N95", quantity=100)]
    ledger.receive(session, entry(), location=W1, lines=lines)
    posted = transfers.send(session, entry(), source=W1, target="371425-W1", lines=[IssueLine("N95", 50)])
    came = [LotLine("N95", "A1", quantity) for quantity in (20, 10)]
    transfers.receive(session, entry(), number=posted.document, lines=came[:1])
    undone = transfers.receive(session, entry(), number=posted.document, lines=came[1:])
    ledger_reversal.reverse_document(session, entry(), number=undone.document, reason="counted twice")
    lost = SettledLine("N95", "A1", 5, "lost", "fell off")
    transfers.settle(session, entry(), number=posted.document, lines=[lost])
    return posted.document


def test_goods_on_the_road_are_what_open_transfers_have_under_way(city: Engine) -> None:
    with database.writing(city) as session:
        number = sent(session)
    with database.reading(city) as session:
        assert verify.verify(session) == []
    assert after(city, "UPDATE transfer SET state = 'closed'") == [
        verify.Finding("transit_left", f"Transfer {number} is closed with 25 of N95 lot A1 still on the road."),
        verify.Finding("transit_differs", "N95 lot A1: 25 on the road, and open transfers have 0 under way."),
    ]
    road = "(SELECT id FROM location WHERE kind = 'transit')"
    found = after(city, f"UPDATE balance SET on_hand = 20 WHERE location_id = {road}")
    assert found[1:] == [
        verify.Finding("transit_differs", "N95 lot A1: 20 on the road, and open transfers have 25 under way.")
    ]
    more = after(city, f"UPDATE movement SET quantity = 60 WHERE source_id = {road} AND quantity = 20")
    assert verify.Finding("transit_overdrawn", f"Of N95 lot A1, 15 more came than transfer {number} sent.") in more
    with database.writing(city) as session:
        transfers.receive(session, entry(), number=number, lines=None)
    with database.reading(city) as session:
        assert verify.verify(session) == []


# -- triggers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", verify.QUEUED)
@pytest.mark.parametrize("how", ["gone", "weakened"])
def test_a_missing_trigger_of_the_queue_is_found(books: Engine, table: str, how: str) -> None:
    name, on = f"TRIGGER {table}_unsealed", f"ON {table}"
    if books.dialect.name == "sqlite":
        statements = [f"DROP {name}"]
        if how == "weakened":
            statements.append(
                f"CREATE {name} AFTER INSERT {on} WHEN NEW.id > 100 "
                f"BEGIN INSERT INTO unsealed (kind, row_id) VALUES ('{table}', NEW.id); END"
            )
    else:
        statements = [f"DROP {name} {on}" if how == "gone" else f"ALTER TABLE {table} DISABLE {name}"]
    with database.reading(books) as session:
        for statement in statements:
            session.connection().execute(text(statement))
        sentence = f"No trigger queues what is written to {table}: no seal will hold it."
        assert verify.verify(session) == [verify.Finding("trigger_missing", sentence)]


@pytest.mark.parametrize("table", verify.APPEND_ONLY)
@pytest.mark.parametrize("how", ["gone", "weakened"])
def test_a_missing_trigger_is_found(books: Engine, table: str, how: str) -> None:
    """Gone, or there and letting some changes pass."""
    if books.dialect.name == "sqlite":
        statements = [f"DROP TRIGGER {table}_no_update"]
        if how == "weakened":
            statements.append(
                f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN 0 "
                "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
            )
        verbs = ["UPDATE"]
    else:
        name = f"TRIGGER {table}_no_change"
        statements = [f"DROP {name} ON {table}" if how == "gone" else f"ALTER TABLE {table} DISABLE {name}"]
        verbs = ["UPDATE", "DELETE"]
    with database.reading(books) as session:
        for statement in statements:
            session.connection().execute(text(statement))
        assert verify.verify(session) == [
            verify.Finding("trigger_missing", f"No trigger refuses {verb} on {table}: its rows can be rewritten.")
            for verb in verbs
        ]


def test_a_trigger_function_that_does_nothing_is_no_trigger(books: Engine) -> None:
    if books.dialect.name != "postgresql":
        pytest.skip("SQLite's triggers have no functions")
    with database.reading(books) as session:
        session.connection().execute(
            text(
                "CREATE OR REPLACE FUNCTION movement_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NEW; END $$"
            )
        )
        assert [f.code for f in verify.verify(session)] == ["trigger_missing"] * 2


def test_the_facts_say_what_the_books_are_kept_with(books: Engine) -> None:
    with database.reading(books) as session:
        facts = verify.facts(session)
    if books.dialect.name == "sqlite":
        assert facts == {
            "database": "sqlite",
            "version": sqlite3.sqlite_version,
            "journal_mode": "wal",
            "synchronous": "FULL",
            "foreign_keys": "ON",
        }
    else:
        assert facts["database"] == "postgresql"
        assert facts["isolation"] == "read committed"
        assert facts["fsync"] in {"on", "off"}


def test_writers_go_on_while_the_books_are_verified(engine: Engine) -> None:
    with database.writing(engine) as session:
        fill(session)
    with database.reading(engine) as session:
        assert verify.verify(session) == []
        with database.writing(engine) as other:
            line = ReceiptLine("A3", EXPIRES, item="N95", quantity=1)
            ledger.receive(other, entry(), location=W1, lines=[line])
        assert verify.verify(session) == []


# -- the SQLite file --------------------------------------------------------------------------------------------------


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    path = tmp_path / "reserve.db"
    shutil.copy(sqlite_template, path)
    engine = database.connect(f"sqlite:///{path}")
    with database.writing(engine) as session:
        fill(session)
    database.close(engine)
    return path


def findings(path: Path) -> list[verify.Finding]:
    engine = database.connect(f"sqlite:///{path}")
    try:
        with database.reading(engine) as session:
            return verify.verify(session)
    finally:
        database.close(engine)


def by_hand(path: Path, *statements: str) -> None:
    """As with the sqlite3 program, which has neither our pragmas nor our gate."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_row_that_names_nothing_is_found(file: Path) -> None:
    by_hand(file, "DELETE FROM lot WHERE lot_number = 'A2'")
    found = findings(file)
    assert verify.Finding("sqlite_foreign_key", "Row 2 of movement names a row of lot that is not there.") in found


def test_a_lot_without_its_row_is_still_told_by_its_id(file: Path) -> None:
    by_hand(file, "UPDATE balance SET on_hand = 46 WHERE on_hand = 45", "DELETE FROM lot WHERE lot_number = 'A2'")
    sentence = f"item ? lot id 2 at {W1}: a balance of 46, and the movements sum to 45."
    assert verify.Finding("balance_differs", sentence) in findings(file)


def test_a_value_that_a_rule_forbids_is_found(file: Path) -> None:
    by_hand(file, "PRAGMA ignore_check_constraints = ON", "UPDATE balance SET on_hand = 44.5 WHERE on_hand = 45")
    found = findings(file)
    assert [f.code for f in found] == ["sqlite_integrity", "balance_differs"]
    assert "CHECK constraint failed in balance" in found[0].sentence


def test_a_file_with_broken_pages_is_told_not_a_crash(file: Path) -> None:
    connection = sqlite3.connect(file)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'movement'").fetchone()
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * 4096)
        opened.write(b"\x5a" * 4096)
    found = findings(file)
    assert found[0].code == "sqlite_integrity"
    assert found[-1].code == "unreadable"
    assert all("\n" not in f.sentence for f in found)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        pytest.param("UPDATE transfer SET target_id = 8", "transfer_ends", id="goods sent elsewhere on their way"),
        pytest.param(
            "UPDATE hold SET lifted_at = placed_at, lifted_by = 'x' WHERE lifted_at IS NULL",
            "hold_differs",
            id="a recall lifted",
        ),
        pytest.param("DELETE FROM hold", "hold_differs", id="a recall deleted"),
        pytest.param("DELETE FROM redating", "lot_redated", id="a correction of dates deleted"),
        pytest.param(
            "UPDATE redating SET expires_before = '2029-01-01'", "lot_redated", id="what was known before changed"
        ),
    ],
)
def test_what_the_paperwork_rests_on_is_compared_with_the_journal(engine: Engine, damage: str, code: str) -> None:
    with database.writing(engine) as session:
        fill(session)
        for store in ("371400-W2", "371400-W3"):
            catalogue.add_location(session, catalogue.NewLocation(store, "库", "Store", LocationKind.WAREHOUSE))
        other = entry()
        item = catalogue.item(session, "N95")
        assert item is not None
        received = [ReceiptLine("C1", EXPIRES, item="N95", quantity=10)]
        ledger.receive(session, other, location=W1, lines=received)
        transfers.send(session, other, source=W1, target="371400-W3", lines=[IssueLine("N95", 3, "C1", "x")])
        lots.redate(
            session,
            other,
            item_id=item.id,
            lot_number="C1",
            manufactured_on=None,
            expires_on=date(2028, 1, 31),
            reason="misread",
        )
    with database.reading(engine) as session:
        assert verify.verify(session) == []
        taken = take_triggers_off(session)
        places = "SELECT id FROM location WHERE code = '371400-W2'"
        assert session.connection().execute(text(damage.replace("= 8", f"= ({places})"))).rowcount != 0
        for statement in taken:
            session.connection().execute(text(statement))
        assert {finding.code for finding in verify.verify(session)} == {code}
