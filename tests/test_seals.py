"""Whoever changes history in the database is found, and the row is named: the table of section 4, line by line."""

import json
import shutil
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from served import Served, issue, receipt
from sqlalchemy import Engine, create_engine, event, text
from sqlmodel import Session, SQLModel
from test_verify import take_triggers_off
from typer.testing import CliRunner

from api import cli, worker
from api.settings import Settings, SettingsError, explained, read_settings
from api.worker import assess_due, seal_waiting
from reserve import catalogue, database, journal, ledger, lots, reporting, seals, verify
from reserve.digests import Kind, as_text, digest
from reserve.errors import Invalid
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.model import Category, LocationKind, Purpose
from reserve.verify import Finding

W1 = "371400-W1"
EXPIRES = date(2027, 6, 30)
KEY = b"a key of thirty-two characters.."
LATER = NOW + timedelta(minutes=1)


def fill(session: Session) -> None:
    """Three seals: a receipt of two lots and what came of it, a day's use and the journal, a receipt alone."""
    catalogue.add_location(session, catalogue.NewLocation(W1, "市级储备库", "Store", LocationKind.WAREHOUSE))
    for code, life in (("N95", 1095), ("VENT", None)):
        catalogue.add_item(
            session, catalogue.NewItem(code, code, code, Category.PROTECTIVE, "只", shelf_life_days=life)
        )
    first = entry(occurred=date(2026, 3, 20), reference="采购单 é")
    ledger.receive(
        session,
        first,
        location=W1,
        lines=[ReceiptLine(lot, EXPIRES, item="N95", quantity=100, unit_cost=12500) for lot in ("A1", "A2")],
    )
    ledger.issue(session, entry(), location=W1, lines=[IssueLine("N95", 150)], purpose=Purpose.USE)
    extra = ledger.adjust(session, entry(), location=W1, lines=[AdjustmentLine("VENT", "V1", 9, "found")])
    ledger.reverse(session, entry(), movement_id=extra.movements[0].id, reason="typing error")
    seals.seal(session, NOW, key=KEY)
    reporting.report(session, entry(), [reporting.Report(W1, "N95", TODAY - timedelta(days=1), 7)])
    journal.write(session, actor="Li Wei", now=NOW, verb="policy.made", subject="P-1", after={"days": 30})
    seals.seal(session, LATER, key=KEY)
    ledger.receive(session, entry(), location=W1, lines=[ReceiptLine("A3", EXPIRES, item="N95", quantity=5)])
    seals.seal(session, LATER, key=KEY)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Sealed books of each kind for all damages: each is done and judged in a transaction that is rolled back."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("seals") / "reserve.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        engine = database.connect(f"sqlite:///{path}")
    else:
        engine = database.connect(request.getfixturevalue("postgres").bare())
        database.migrate(engine)
    with database.writing(engine) as session:
        fill(session)
    yield engine
    database.close(engine)


def after(
    books: Engine, *statements: str, key: bytes | None = None, anchors: tuple[str, ...] = (), chain: str = ""
) -> list[Finding]:
    """What is found when somebody has taken the triggers off, done this, and put them back; `chain` forges one."""
    with database.reading(books) as session:
        put_back = take_triggers_off(session)
        run(session, *statements)
        if chain:
            forge(session, None if chain == "unsigned" else chain.encode())
        run(session, *put_back)
        return verify.verify(session, key=key, anchors=anchors)


def run(session: Session, *statements: str) -> None:
    for statement in statements:
        moved = statement
        if session.connection().dialect.name == "postgresql":
            moved = statement.replace(".000000'", ".000000+00'")
        session.connection().execute(text(moved))


def forge(session: Session, key: bytes | None) -> None:
    """The whole chain made anew over what lies there now, by the product's own means."""
    kept = session.connection().execute(text("SELECT number, sealed_at FROM seal ORDER BY number")).all()
    run(
        session,
        "INSERT INTO unsealed (kind, row_id) SELECT kind, row_id FROM sealentry WHERE kind <> 'movement'"
        " ORDER BY number, position",
        "DELETE FROM sealentry",
        "DELETE FROM seal",
    )
    assert kept
    assert seals.seal(session, LATER, key=key) is not None


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def anchors_of(books: Engine) -> list[str]:
    with database.reading(books) as session:
        return [f"{row.number}:{row.digest}" for row in reversed(seals.rows(session, limit=10))]


def test_sealed_books_are_whole_with_their_key_and_every_anchor(books: Engine) -> None:
    with database.reading(books) as session:
        assert verify.verify(session, key=KEY, anchors=anchors_of(books)) == []
        assert verify.verify(session) == []
        assert [row.number for row in seals.rows(session, limit=10)] == [3, 2, 1]
        assert seals.waiting(session) == (0, None, 0)


def test_every_row_of_history_lies_under_exactly_one_seal(books: Engine) -> None:
    with database.reading(books) as session:
        for kind in Kind:
            rows = session.connection().execute(text(f"SELECT id FROM {kind} ORDER BY id")).scalars().all()
            asked = text("SELECT row_id FROM sealentry WHERE kind = :kind ORDER BY row_id")
            assert session.connection().execute(asked, {"kind": kind}).scalars().all() == rows != []


# -- the table of section 4 -------------------------------------------------------------------------------------------

RC = "RC-20260401-000001"
SEALS = {"row_changed", "row_missing", "seal_rows", "seal_digest", "seal_prev", "seal_missing", "seal_without"}
COLUMNS = "id, document_id, line, lot_id, source_id, target_id, quantity, occurred_at"
SEALS |= {"seal_mac", "seal_unsigned", "movement_slipped_in", "unsealed_unknown", "lot_dates"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            [
                "UPDATE movement SET quantity = 101 WHERE id = 1",
                "UPDATE balance SET on_hand = on_hand + 1 WHERE lot_id = 1",
            ],
            [("row_changed", f"Movement {RC} line 1 is not as it was sealed: seal 1, row 4.")],
            id="a quantity changed, and the balance with it",
        ),
        pytest.param(
            ["UPDATE movement SET unit_cost = 1 WHERE id = 2"],
            [("row_changed", f"Movement {RC} line 2 is not as it was sealed: seal 1, row 5.")],
            id="a price changed",
        ),
        pytest.param(
            [
                "UPDATE document SET occurred_at = '2026-03-18 00:00:00.000000' WHERE id = 1",
                "UPDATE movement SET occurred_at = '2026-03-18 00:00:00.000000' WHERE document_id = 1",
            ],
            [
                ("row_changed", f"Document {RC} is not as it was sealed: seal 1, row 3."),
                ("row_changed", f"Movement {RC} line 1 is not as it was sealed: seal 1, row 4."),
                ("row_changed", f"Movement {RC} line 2 is not as it was sealed: seal 1, row 5."),
            ],
            id="back-dated",
        ),
        pytest.param(
            ["UPDATE consumption SET quantity = 0"],
            [
                (
                    "row_changed",
                    f"Consumption of N95 at {W1} on 2026-03-31 revision 1 is not as it was sealed: seal 2, row 1.",
                )
            ],
            id="a day's use changed",
        ),
        pytest.param(
            ["""UPDATE journal SET after = '{"days"\\:3}' WHERE subject = 'P-1'"""],
            [("row_changed", "Journal entry 4 (policy.made P-1) is not as it was sealed: seal 2, row 2.")],
            id="the journal changed",
        ),
        pytest.param(
            ["UPDATE lot SET lot_number = 'A9' WHERE lot_number = 'A3'"],
            [("row_changed", "Movement RC-20260401-000002 line 1 is not as it was sealed: seal 3, row 3.")],
            id="a lot renamed",
        ),
        pytest.param(
            ["UPDATE lot SET expires_on = '2029-12-31' WHERE lot_number = 'A3'"],
            [
                (
                    "lot_dates",
                    (
                        "N95 lot A3 has not the dates that the journal says: "
                        '{"expires_on":"2027-06-30","manufactured_on":null}.'
                    ),
                )
            ],
            id="a lot's last day moved",
        ),
        pytest.param(
            ["DELETE FROM sealentry WHERE kind = 'movement' AND row_id = 1", "DELETE FROM movement WHERE id = 1"],
            [("seal_rows", "Seal 1 was made over 13 rows, and 12 are there.")],
            id="a movement deleted with its entry",
        ),
        pytest.param(
            [
                "DELETE FROM sealentry WHERE kind = 'movement' AND row_id = 1",
                "DELETE FROM movement WHERE id = 1",
                "UPDATE seal SET rows = 12 WHERE number = 1",
            ],
            [("seal_digest", "The digest of seal 1 is not that of its rows.")],
            id="a movement deleted with its entry, and the seal's count put right",
        ),
        pytest.param(
            [
                "DELETE FROM sealentry WHERE number = 2",
                "DELETE FROM seal WHERE number = 2",
                "DELETE FROM consumption",
                "DELETE FROM journal WHERE subject = 'P-1'",
            ],
            [("seal_missing", "Seal 2 is not there.")],
            id="a seal cut out of the middle",
        ),
        pytest.param(
            [f"UPDATE seal SET prev = '{'0' * 64}' WHERE number = 2"],
            [
                ("seal_prev", "Seal 2 does not follow the seal 1 that is there."),
                ("seal_digest", "The digest of seal 2 is not that of its rows."),
            ],
            id="a seal hung elsewhere",
        ),
        pytest.param(
            [f"UPDATE seal SET digest = '{'f' * 64}' WHERE number = 2"],
            [
                ("seal_digest", "The digest of seal 2 is not that of its rows."),
                ("seal_prev", "Seal 3 does not follow the seal 2 that is there."),
            ],
            id="another digest",
        ),
        pytest.param(
            ["UPDATE seal SET sealed_at = '2026-01-01 00:00:00.000000' WHERE number = 3"],
            [("seal_digest", "The digest of seal 3 is not that of its rows.")],
            id="another moment of a seal",
        ),
        pytest.param(
            [f"UPDATE sealentry SET row_digest = '{'e' * 64}' WHERE number = 3 AND position = 3"],
            [
                ("row_changed", "Movement RC-20260401-000002 line 1 is not as it was sealed: seal 3, row 3."),
                ("seal_digest", "The digest of seal 3 is not that of its rows."),
            ],
            id="another digest of a row",
        ),
        pytest.param(
            [
                (
                    f"INSERT INTO movement ({COLUMNS})"
                    " SELECT 99, document_id, 3, lot_id, source_id, target_id, 5, occurred_at FROM movement"
                    " WHERE id = 1"
                ),
                "UPDATE balance SET on_hand = on_hand + 5 WHERE lot_id = 1",
            ],
            [("movement_slipped_in", f"Movement {RC} line 3 was added after its document was sealed.")],
            id="a movement slipped into a sealed document",
        ),
        pytest.param(
            [
                (
                    "INSERT INTO journal (id, recorded_at, actor, verb, subject)"
                    " SELECT 99, recorded_at, actor, verb, subject"
                    " FROM journal WHERE subject = 'P-1'"
                )
            ],
            [("unsealed_unknown", "Journal entry 99 (policy.made P-1) is under no seal and waits for none.")],
            id="an entry written past the queue",
        ),
    ],
)
def test_what_was_done_to_history_is_found_and_named(
    books: Engine, statements: list[str], expected: list[tuple[str, str]]
) -> None:
    found = after(books, *statements, key=KEY)
    named = [finding for finding in found if finding.code in SEALS and finding.code != "seal_mac"]
    assert named == [Finding(*finding) for finding in expected]


def test_a_deleted_movement_is_named_by_its_document_and_its_digest(books: Engine) -> None:
    with database.reading(books) as session:
        row = session.connection().execute(
            text("SELECT row_digest FROM sealentry WHERE kind = 'movement' AND row_id = 2")
        )
        kept = row.scalar_one()
    found = after(books, "DELETE FROM movement WHERE id = 2", "UPDATE balance SET on_hand = 0 WHERE lot_id = 2")
    assert Finding("row_missing", f"Movement {RC} line 2 is gone: seal 1, row 5, digest {kept}.") in found


def test_a_deleted_document_is_found_with_its_number_and_its_movements(books: Engine) -> None:
    found = after(books, "DELETE FROM movement WHERE document_id = 5", "DELETE FROM document WHERE id = 5")
    assert Finding("number_missing", "Document RC-20260401-000002 is not there; its number was given.") in found
    assert codes(found).count("row_missing") == 2


CUT = (
    "DELETE FROM sealentry WHERE number = 3",
    "DELETE FROM seal WHERE number = 3",
    "DELETE FROM movement WHERE document_id = 5",
    "DELETE FROM document WHERE id = 5",
    "DELETE FROM journal WHERE subject = 'N95/A3'",
    "DELETE FROM balance WHERE lot_id = 4",
    "DELETE FROM lot WHERE lot_number = 'A3'",
    "UPDATE counter SET last = 1 WHERE kind = 'RC'",
)


def test_the_newest_seals_cut_off_with_their_movements_are_found_by_an_anchor_only(books: Engine) -> None:
    assert after(books, *CUT) == []
    assert after(books, *CUT, key=KEY) == []
    newest = anchors_of(books)[-1]
    expected = Finding("anchor_missing", "Seal 3 of the anchor is not there: the newest seals were cut off.")
    assert after(books, *CUT, anchors=(newest,)) == [expected]


FORGED = ("UPDATE movement SET quantity = 99 WHERE id = 1", "UPDATE balance SET on_hand = on_hand - 1 WHERE lot_id = 1")
SHORT = ("UPDATE movement SET unit_cost = 1 WHERE id = 1",)


@pytest.mark.parametrize("chain", ["unsigned", "another key of thirty-two letters"])
def test_a_chain_written_anew_is_found_from_the_oldest_anchor_on_and_by_the_mac(books: Engine, chain: str) -> None:
    assert after(books, *SHORT, chain=chain) == []
    oldest, *_ = anchors_of(books)
    assert codes(after(books, *SHORT, chain=chain, anchors=(oldest,))) == ["anchor_differs"]
    assert codes(after(books, *SHORT, chain=chain, key=KEY)) == ["seal_unsigned" if chain == "unsigned" else "seal_mac"]


def test_who_has_the_key_too_is_found_by_the_anchor(books: Engine) -> None:
    chain = KEY.decode()
    assert after(books, *SHORT, chain=chain, key=KEY) == []
    assert codes(after(books, *SHORT, chain=chain, key=KEY, anchors=(anchors_of(books)[0],))) == ["anchor_differs"]


GENUINE = (
    (
        "INSERT INTO document (id, number, kind, location_id, occurred_at, recorded_at, actor)"
        " SELECT 99, 'RC-20260401-000003', kind, location_id, occurred_at, recorded_at, actor FROM document"
        " WHERE id = 5"
    ),
    (
        f"INSERT INTO movement ({COLUMNS})"
        " SELECT 99, 99, 1, lot_id, source_id, target_id, 5, occurred_at FROM movement WHERE document_id = 5"
    ),
    "UPDATE balance SET on_hand = on_hand + 5 WHERE lot_id = 4",
    "UPDATE counter SET last = 3 WHERE kind = 'RC'",
)


def test_a_well_formed_document_put_in_directly_is_sealed_as_genuine(books: Engine) -> None:
    """Only counts and the second person find that: neither anchor nor mac can."""
    with database.reading(books) as session:
        run(session, *GENUINE)
        sealed = seals.seal(session, LATER, key=KEY)
        assert sealed is not None
        assert verify.verify(session, key=KEY, anchors=[*anchors_of(books), str(sealed)]) == []


def test_what_is_changed_before_its_seal_is_not_found(books: Engine) -> None:
    with database.reading(books) as session:
        put_back = take_triggers_off(session)
        run(session, *GENUINE, "INSERT INTO unsealed (kind, row_id) VALUES ('document', 99)")
        run(session, "UPDATE movement SET unit_cost = 3 WHERE id = 99", *put_back)
        seals.seal(session, LATER, key=KEY)
        assert verify.verify(session, key=KEY, anchors=anchors_of(books)) == []


def test_a_changed_balance_is_found(books: Engine) -> None:
    assert codes(after(books, "UPDATE balance SET on_hand = on_hand + 1 WHERE lot_id = 1")) == ["balance_differs"]


def test_an_entry_taken_out_of_the_queue_is_found(books: Engine) -> None:
    with database.reading(books) as session:
        journal.write(session, actor="Li", now=NOW, verb="item.made", subject="X")
        assert verify.verify(session) == []
        run(session, "DELETE FROM unsealed")
        assert codes(verify.verify(session)) == ["unsealed_unknown"]


def test_macs_are_not_asked_for_without_the_key_and_are_all_asked_for_with_it(books: Engine) -> None:
    gone = ("UPDATE seal SET mac = NULL WHERE number <= 2",)
    assert after(books, *gone) == []
    assert codes(after(books, *gone, key=KEY)) == ["seal_unsigned"] * 2
    assert after(books, *gone, key=KEY, anchors=(anchors_of(books)[1],)) == []
    assert codes(after(books, *gone, key=KEY, anchors=(anchors_of(books)[0],))) == ["seal_unsigned"]
    assert codes(after(books, key=b"x" * 32)) == ["seal_mac"] * 3


def test_names_may_be_put_right_and_lots_redated_without_breaking_a_seal(books: Engine) -> None:
    with database.reading(books) as session:
        run(session, "UPDATE item SET name_zh = 'x', name_en = 'y'", "UPDATE location SET name_zh = 'x'")
        item = catalogue.item(session, "N95")
        assert item is not None
        lots.redate(
            session,
            entry(),
            item_id=item.id,
            lot_number="A3",
            manufactured_on=None,
            expires_on=date(2027, 5, 31),
            reason="misread",
        )
        assert verify.verify(session, key=KEY) == []


def test_an_anchor_that_is_none_is_refused(books: Engine) -> None:
    with database.reading(books) as session:
        for written in ("", "3", f"3:{'z' * 64}", f"-1:{'0' * 64}", f"٣:{'0' * 64}", f"3:{'0' * 63}"):
            with pytest.raises(Invalid):
                list(seals.check_anchor(session, written))


def test_rows_left_under_a_seal_that_is_gone_are_told(sqlite_template: Path, tmp_path: Path) -> None:
    file = sealed_file(sqlite_template, tmp_path)
    with sqlite3.connect(file) as connection:  # foreign keys are off there
        connection.execute("DROP TRIGGER seal_no_delete")
        connection.execute("DELETE FROM seal WHERE number IN (1, 3)")
    connection.close()
    engine = database.connect(f"sqlite:///{file}")
    with database.reading(engine) as session:
        assert codes(list(seals.check(session))) == ["seal_without", "seal_missing", "seal_without"]
    database.close(engine)


# -- any byte ---------------------------------------------------------------------------------------------------------


def sealed_file(template: Path, folder: Path) -> Path:
    path = folder / "reserve.db"
    shutil.copy(template, path)
    engine = database.connect(f"sqlite:///{path}")
    with database.writing(engine) as session:
        fill(session)
    database.close(engine)
    return path


@pytest.fixture(scope="module")
def bare_file(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """As whoever has the file sees it: no triggers, no foreign keys, no checks."""
    path = sealed_file(sqlite_template, tmp_path_factory.mktemp("bytes"))
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _bare(connection: sqlite3.Connection, _entry: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA ignore_check_constraints = ON")

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with engine.begin() as connection:
        for name in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
            connection.execute(text(f"DROP TRIGGER {name}"))
    yield engine
    engine.dispose()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_changed_in_any_column_of_any_sealed_row_is_found_and_located(
    bare_file: Engine, data: st.DataObject
) -> None:
    with Session(bare_file) as session:
        connection = session.connection()
        kind = data.draw(st.sampled_from(list(Kind)))
        columns = [column.name for column in SQLModel.metadata.tables[kind].columns if column.name != "id"]
        ids = connection.execute(text(f"SELECT id FROM {kind} ORDER BY id")).scalars().all()
        row_id, column = data.draw(st.sampled_from(ids)), data.draw(st.sampled_from(columns))
        where, asked = f"FROM {kind} WHERE id = :id", {"id": row_id}
        before, was_text = connection.execute(
            text(f"SELECT CAST({column} AS BLOB), typeof({column}) = 'text' {where}"), asked
        ).one()
        if before is None:
            to = data.draw(st.sampled_from(["1", "'x'"]))
        elif was_text:
            raw = bytearray(before)
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
            with_care = [unicodedata.normalize("NFC", t.decode("utf-8", "replace")) for t in (before, bytes(raw))]
            assume(with_care[0] != with_care[1])
            to = f"CAST(x'{raw.hex()}' AS TEXT)"
        else:
            to = str(int(before) ^ (1 << data.draw(st.integers(0, 40))))
        try:
            connection.execute(text(f"UPDATE {kind} SET {column} = {to} WHERE id = :id"), asked)
        except Exception as error:  # a unique key stands in the way of this one
            assume("UNIQUE" not in str(error))
            raise
        number, position = connection.execute(
            text("SELECT number, position FROM sealentry WHERE kind = :kind AND row_id = :id"),
            {"kind": kind, "id": row_id},
        ).one()
        told = [finding.sentence for finding in seals.check(session, key=KEY) if finding.code == "row_changed"]
        assert any(f"seal {number}, row {position}." in sentence for sentence in told), (to, told)


def test_every_column_of_every_sealed_row_is_watched(books: Engine) -> None:
    """The same on PostgreSQL, whose rules are taken off first; one change a column, found wherever it was made."""
    if books.dialect.name != "postgresql":
        pytest.skip("any byte of SQLite's file is changed above")
    with database.reading(books) as session:
        take_triggers_off(session)
        rules = text(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u')"
        )
        run(session, *session.connection().execute(rules).scalars().all())
        columns = text(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_name = ANY(:kinds) AND column_name <> 'id'"
        )
        for kind, column, of in session.connection().execute(columns, {"kinds": list(Kind)}).all():
            changed = {
                "text": f"coalesce({column}, '') || 'x'",
                "character varying": f"coalesce({column}, '') || 'x'",
                "timestamp with time zone": f"{column} + interval '1 microsecond'",
                "date": f"{column} + 1",
            }
            whole = session.connection().begin_nested()
            run(session, f"UPDATE {kind} SET {column} = {changed.get(of, f'coalesce({column}, 0) + 1')}")
            found = codes(list(seals.check(session, key=KEY))).count("row_changed")
            assert found >= session.connection().execute(text(f"SELECT count(*) FROM {kind}")).scalar_one(), column
            whole.rollback()


def test_text_that_is_not_utf8_is_a_finding_not_a_crash(sqlite_template: Path, tmp_path: Path) -> None:
    file = sealed_file(sqlite_template, tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TRIGGER document_no_update")
        connection.execute("UPDATE document SET actor = CAST(x'ff' AS TEXT), occurred_at = 'then' WHERE id = 5")
    connection.close()
    engine = database.connect(f"sqlite:///{file}")
    with database.reading(engine) as session:
        found = verify.verify(session)
    assert {"row_changed", "unreadable", "trigger_missing"} <= set(codes(found))
    database.close(engine)


# -- one digest -------------------------------------------------------------------------------------------------------

PINNED = {
    Kind.DOCUMENT: "3c84e361e2c4add40a826f8f685f927539f19ec40592d68ab148889863afedd1",
    Kind.MOVEMENT: "b0062e04cbeb6a3da47e49da5cd109b8206578ec8fb5f3e44c9776ecc9ada5b3",
    Kind.CONSUMPTION: "d47ba6b6fb15501439c2d0d4e729596cce2bc26413ba93e6248685f32bd3100e",
    Kind.JOURNAL: "b11e6be5a08fd53909e490cd497ad9976267c8474b9ea116ad49d7828dde2e51",
}


def test_a_row_has_one_digest_on_every_database_for_good(books: Engine) -> None:
    """Version 1: whoever changes these breaks every chain that was ever written."""
    journaled = "SELECT id FROM journal WHERE subject = 'P-1'"
    with database.reading(books) as session:
        found = session.connection().execute(
            text(
                "SELECT kind, row_digest FROM sealentry WHERE kind <> 'journal' AND row_id = 1"
                f" OR kind = 'journal' AND row_id IN ({journaled})"
            )
        )
        assert {row.kind: row.row_digest for row in found} == PINNED


def test_a_seal_has_one_digest_on_every_database_for_good(engine: Engine) -> None:
    note(engine, "N95")
    sealed = database.transact(engine, lambda session: seals.seal(session, NOW, key=KEY))
    assert str(sealed) == "1:ad8670d00f2860b252289459f1cf4af63592ce50e5ccffdd9554039b4620602d"


def test_the_same_moment_and_the_same_text_have_one_digest() -> None:
    plain = (as_text(NOW), "Lí Wei", "item.made", "储备", None, None)
    other = (as_text(NOW.astimezone(SHANGHAI)), unicodedata.normalize("NFD", "Lí Wei"), *plain[2:])
    assert digest(Kind.JOURNAL, plain) == digest(Kind.JOURNAL, other)
    assert digest(Kind.JOURNAL, plain) != digest(Kind.DOCUMENT, plain)


@given(st.lists(st.one_of(st.none(), st.integers(), st.text()), max_size=14))
def test_a_row_is_hashed_as_the_json_that_everybody_writes(values: list[object]) -> None:
    from hashlib import sha256

    written = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    expected = sha256(b"reserve-journal-v1\0" + unicodedata.normalize("NFC", written).encode("utf-8", "surrogatepass"))
    assert digest(Kind.JOURNAL, tuple(values)) == expected.hexdigest()


@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_move_to_another_database_under_other_ids_verifies(
    books: Engine, to: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if to == "sqlite":
        target = database.connect(f"sqlite:///{tmp_path / 'moved.db'}")
    else:
        target = database.connect(request.getfixturevalue("postgres").bare())
    database.migrate(target)
    expected = anchors_of(books)
    with database.reading(books) as source, database.writing(target) as session:
        put_back = take_triggers_off(session)
        run(session, "DELETE FROM location")
        for table in SQLModel.metadata.sorted_tables:
            rows = source.connection().execute(table.select().order_by(*table.primary_key.columns)).mappings()
            moved = [{name: shifted(table.columns[name], value) for name, value in row.items()} for row in rows]
            if moved:
                session.connection().execute(table.insert(), moved)
        run(session, *put_back)
    with database.reading(target) as session:
        assert verify.verify(session, key=KEY, anchors=expected) == []
        assert session.connection().execute(text("SELECT min(id) FROM document")).scalar_one() == 1001
    database.close(target)


def shifted(column: object, value: object) -> object:
    """Ids a thousand higher, wherever they stand."""
    name = f"{column.table.name}.{column.name}"
    if value is None:
        return None
    if name == "location.path":
        return "/".join(part and str(int(part) + 1000) for part in value.split("/"))
    refers = {key.target_fullname.split(".")[1] for key in column.foreign_keys}
    if column.name == "id" or (refers and refers <= {"id", "document_id"}) or name == "sealentry.row_id":
        return value + 1000
    return value


# -- sealing ----------------------------------------------------------------------------------------------------------


def note(engine: Engine, subject: str) -> None:
    database.transact(
        engine, lambda session: journal.write(session, actor="Li", now=NOW, verb="item.made", subject=subject)
    )


def test_nothing_to_seal_writes_no_seal(engine: Engine) -> None:
    with database.writing(engine) as session:
        assert seals.seal(session, NOW) is None
        assert seals.last(session) is None
        assert seals.at(session, NOW) is None


def test_the_first_seal_has_the_number_one_and_each_follows_the_last(engine: Engine) -> None:
    made = []
    for n in range(3):
        note(engine, f"X{n}")
        made.append(database.transact(engine, lambda session, n=n: seals.seal(session, NOW + timedelta(hours=n))))
    assert [seal.number for seal in made] == [1, 2, 3]
    with database.reading(engine) as session:
        newest, middle, first = seals.rows(session, limit=10)
        assert (first.prev, middle.prev, newest.prev) == (seals.GENESIS, first.digest, middle.digest)
        assert not newest.signed
        assert seals.last(session) == made[2]
        assert seals.at(session, NOW + timedelta(minutes=90)) == made[1]
        assert seals.at(session, NOW - timedelta(seconds=1)) is None
        assert [row.number for row in seals.rows(session, before=3, limit=1)] == [2]


def test_a_seal_takes_about_as_many_rows_as_it_may_and_a_document_whole(city: Engine) -> None:
    with database.writing(city) as session:
        for lot in ("A", "B", "C"):
            lines = [ReceiptLine(f"{lot}{n}", EXPIRES, item="N95", quantity=1) for n in range(4)]
            ledger.receive(session, entry(), location=W1, lines=lines)
    counts = []
    while database.transact(city, lambda session: seals.seal(session, NOW, limit=5)) is not None:
        with database.reading(city) as session:
            counts.append(seals.rows(session, limit=1)[0].rows)
    assert sum(counts) == 3 * 5 + 12  # 12 lots are made in the journal
    assert max(counts) <= 5 + 4
    with database.reading(city) as session:
        assert verify.verify(session) == []


def test_a_crash_before_the_commit_loses_nothing(engine: Engine) -> None:
    note(engine, "X")

    def crash(session: Session) -> None:
        assert seals.seal(session, NOW) is not None
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.transact(engine, crash)
    with database.reading(engine) as session:
        assert (seals.last(session), seals.waiting(session)) == (None, (1, NOW, 1))
    sealed = database.transact(engine, lambda session: seals.seal(session, NOW))
    assert sealed is not None
    assert sealed.number == 1


def test_a_row_put_in_the_queue_again_stops_nobody_and_is_sealed_once(books: Engine) -> None:
    with database.reading(books) as session:
        run(
            session,
            "INSERT INTO unsealed (kind, row_id) SELECT kind, row_id FROM sealentry",
            "INSERT INTO unsealed (kind, row_id) VALUES ('document', 4711), ('nonsense', 1)",
        )
        assert seals.seal(session, LATER) is None
        assert seals.waiting(session).rows == 0
        journal.write(session, actor="Li", now=NOW, verb="item.made", subject="X")
        run(session, "INSERT INTO unsealed (kind, row_id) SELECT kind, row_id FROM unsealed")
        assert seals.seal(session, LATER, key=KEY) is not None
        assert verify.verify(session, key=KEY) == []


def together(*works: Callable[[], None]) -> None:
    """Each in a thread of its own; the first failure is told here."""
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def test_seals_written_while_clients_write_lose_no_row_and_make_one_chain(city: Engine) -> None:
    """Four clerks and two workers at once."""
    working = [4]

    def clerk(name: str) -> None:
        try:
            for n in range(12):
                lines = [ReceiptLine(f"{name}{n}{end}", EXPIRES, item="N95", quantity=2) for end in "ab"]
                database.transact(city, lambda s, lines=lines: ledger.receive(s, entry(), location=W1, lines=lines))
        finally:
            working[0] -= 1

    def worker() -> None:
        while working[0] > 0:
            database.transact(city, lambda session: seals.seal(session, NOW, key=KEY, limit=7))

    together(worker, worker, *(partial(clerk, name) for name in "ABCD"))
    while database.transact(city, lambda session: seals.seal(session, NOW, key=KEY)) is not None:
        pass
    with database.reading(city) as session:
        assert verify.verify(session, key=KEY) == []
        rows = seals.rows(session, limit=1000)
        assert sum(row.rows for row in rows) == 4 * 12 * (1 + 2 + 2)
        assert len(rows) > 1


def test_a_seal_written_while_the_books_are_verified_is_no_finding(engine: Engine) -> None:
    """PostgreSQL shows it to the later questions of one who asked for no snapshot."""
    note(engine, "X")
    database.transact(engine, lambda session: seals.seal(session, NOW))
    with database.reading(engine) as session:
        found = seals.check(session)
        note(engine, "Y")
        database.transact(engine, lambda other: seals.seal(other, NOW))
        assert list(found) == []
    with database.reading(engine) as session:
        verify.snapshot(session)
        assert seals.last(session).number == 2
        note(engine, "Z")
        database.transact(engine, lambda other: seals.seal(other, NOW))
        assert seals.last(session).number == 2
        assert verify.verify(session) == []


def test_the_check_goes_on_from_a_seal_that_was_verified_before(books: Engine) -> None:
    with database.reading(books) as session:
        take_triggers_off(session)
        run(session, "UPDATE movement SET unit_cost = 1 WHERE id = 1", "UPDATE consumption SET quantity = 1")
        assert len([f for f in seals.check(session) if f.code == "row_changed"]) == 2
        assert codes(list(seals.check(session, since=1))) == ["row_changed"]
        assert list(seals.check(session, since=2)) == []


# -- the worker, the routes and the command ---------------------------------------------------------------------------


def test_a_long_queue_is_sealed_over_several_beats_and_is_no_finding_meanwhile(
    city: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SEALS_A_BEAT", 1)
    served = Served(city)
    for n in range(seals.ROWS_A_SEAL // 1000 + 1):
        days = [
            reporting.Report("371402-H1", f"{item}", TODAY - timedelta(days=d), 1)
            for item in ("N95", "VENT")
            for d in range(n * 600, n * 600 + 600)
        ]
        database.transact(city, lambda session, days=days: reporting.report(session, entry(), days))
    served.clock.pass_by(hours=1)
    for left in (1600, 0):
        assess_due(served.desk)
        with database.reading(city) as session:
            assert (seals.waiting(session).rows, verify.verify(session)) == (left, [])


@pytest.fixture
def served(city: Engine) -> Served:
    return Served(city, settings=Settings(worker="off", receiver_allow="127.0.0.1", seal_key=KEY.decode()))


def test_a_beat_seals_what_was_written_signed_and_before_it_assesses(served: Served) -> None:
    client = served.client()
    assert client.post("/v1/receipts", json=receipt()).status_code == 201
    assess_due(served.desk)
    with database.reading(served.engine) as session:
        assert seals.waiting(session).rows == 0
        assert verify.verify(session, key=KEY) == []
    assert seal_waiting(served.desk) == 0


def test_a_fault_in_sealing_does_not_leave_the_city_unwatched(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert served.client().post("/v1/receipts", json=receipt()).status_code == 201

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(seals, "seal", broken)
    rows, _ = assess_due(served.desk)
    assert rows > 0
    assert "could not be sealed" in caplog.text


def test_rows_that_wait_though_a_worker_lives_are_a_finding_and_on_readyz(served: Served) -> None:
    client = served.client()
    client.post("/v1/receipts", json=receipt())
    with database.reading(served.engine) as session:
        assert verify.verify(session) == []  # no worker has lived yet
    assess_due(served.desk)
    client.post("/v1/issues", json=issue(1))
    ready = client.get("/readyz").json()
    assert (ready["unsealed"], ready["oldest_unsealed_seconds"]) == (1, 0)
    assert ready["seal"]["number"] == 1
    served.clock.pass_by(minutes=11)
    assert client.get("/readyz").json()["oldest_unsealed_seconds"] == 660
    with database.writing(served.engine) as session:
        from reserve import beats

        beats.live(session, "worker", served.clock())
    with database.reading(served.engine) as session:
        (found,) = verify.verify(session)
    assert found.code == "unsealed_late"
    assert "1 rows of document wait" in found.sentence
    assess_due(served.desk)
    with database.reading(served.engine) as session:
        assert verify.verify(session) == []


def test_anybody_with_a_key_reads_the_seals_page_by_page(served: Served) -> None:
    viewer = served.client("viewer", "371425")
    assert viewer.get("/v1/seals/last").json() == {"number": None, "digest": None, "sealed_at": None, "unsealed": 1}
    for n in range(3):
        served.client().post("/v1/receipts", json=receipt(lot=f"L{n}"))
        seal_waiting(served.desk)
    first = viewer.get("/v1/seals", params={"limit": 2}).json()
    second = viewer.get("/v1/seals", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    rows = [*first["items"], *second["items"]]
    assert [row["number"] for row in rows] == [3, 2, 1]
    assert all(row["signed"] and "mac" not in row for row in rows)
    assert rows[0]["prev"] == rows[1]["digest"]
    last = viewer.get("/v1/seals/last").json()
    assert (last["number"], last["digest"], last["unsealed"]) == (3, rows[0]["digest"], 0)
    sheet = viewer.get("/v1/seals", params={"format": "csv"})
    assert sheet.content.decode("utf-8-sig").splitlines()[0] == "number,rows,prev,digest,signed,sealed_at"
    assert served.client(None).get("/v1/seals").status_code == 401


def test_the_journal_tells_who_did_what_and_no_secret(served: Served) -> None:
    client = served.client()
    item = {"code": "GOWN", "name_zh": "防护服", "name_en": "Gown", "category": "protective", "base_unit": "件"}
    assert client.post("/v1/items", json=item).status_code == 201
    place = {"code": "371402-W2", "name_zh": "库", "name_en": "Store", "kind": "warehouse", "parent": "371402"}
    assert client.post("/v1/locations", json=place).status_code == 201
    rule = {
        "code": "P-30",
        "category": "protective",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-04-01",
        "source_text": "不少于1个月",
    }
    assert client.post("/v1/policies", json=rule).status_code == 201
    later = rule | {"required_days": 45, "effective_from": "2026-05-01"}
    assert client.post("/v1/policies", json=later).status_code == 201
    hook = {
        "name": "duty",
        "url": "http://user:pass@127.0.0.1:9/hook/very-secret-token",
        "scope": "371400",
        "secret": "whsec_0123456789abcdef",
    }
    made = client.post("/v1/receivers", json=hook | {"url": "http://127.0.0.1:9/hook/very-secret-token"})
    assert made.status_code == 201
    assert client.delete(f"/v1/receivers/{made.json()['id']}").status_code == 204
    told = client.get("/v1/journal").json()["items"]
    verbs = [row["verb"] for row in told]
    assert verbs == [
        "receiver.retired",
        "receiver.made",
        "policy.made",
        "policy.made",
        "location.made",
        "item.made",
        "key.made",
    ]
    assert told[1]["after"]["url"] == "http://127.0.0.1:9"
    assert (told[2]["before"]["required_days"], told[2]["after"]["required_days"]) == (30, 45)
    assert told[3]["before"] is None
    assert told[3]["actor"].startswith("admin Li (")
    assert told[5]["subject"] == "GOWN"
    written = json.dumps(told, ensure_ascii=False)
    for secret in ("very-secret-token", "whsec_", "rsv_"):
        assert secret not in written
    only = client.get("/v1/journal", params={"subject": "P-30", "limit": 1}).json()
    assert [row["verb"] for row in only["items"]] == ["policy.made"]
    rest = client.get("/v1/journal", params={"subject": "P-30", "cursor": only["next_cursor"]}).json()
    assert rest["next_cursor"] is None
    assert client.get("/v1/journal", params={"until": "2026-03-31"}).json()["items"] == []
    sheet = client.get("/v1/journal", params={"format": "csv", "since": "2026-04-01"}).content.decode("utf-8-sig")
    assert sheet.splitlines()[0] == "id,recorded_at,actor,verb,subject,before,after"


@pytest.mark.parametrize(
    ("role", "place", "status"), [("clerk", "371400", 403), ("manager", "371425", 403), ("manager", "371400", 200)]
)
def test_the_journal_is_for_managers_of_the_whole_tree(served: Served, role: str, place: str, status: int) -> None:
    assert served.client(role, place).get("/v1/journal").status_code == status


def test_a_seal_key_is_long_and_never_shown() -> None:
    with pytest.raises(SettingsError, match="32 characters or more"):
        read_settings({"RESERVE_SEAL_KEY": "too short"})
    kept = read_settings({"RESERVE_SEAL_KEY": KEY.decode()})
    assert kept.sealing_key == KEY
    assert KEY.decode() not in repr(kept)
    assert ("RESERVE_SEAL_KEY", "***") in [row[:2] for row in explained(kept)]
    assert read_settings({}).sealing_key is None


def test_the_commands_print_an_anchor_and_hold_the_books_against_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESERVE_DATABASE_URL", database_url)
    monkeypatch.setenv("RESERVE_SEAL_KEY", KEY.decode())
    run_cli = CliRunner().invoke
    assert run_cli(cli.app, ["seals"]).exit_code == 1
    engine = database.connect(database_url)
    with database.writing(engine) as session:
        fill(session)
    newest = run_cli(cli.app, ["seals"])
    anchor = newest.stdout.strip()
    assert (newest.exit_code, anchor[:2], len(anchor)) == (0, "3:", 66)
    assert run_cli(cli.app, ["verify", "--anchor", anchor]).exit_code == 0
    wrong = run_cli(cli.app, ["verify", "--json", "--anchor", f"3:{'0' * 64}", "--anchor", f"9:{'0' * 64}"])
    assert wrong.exit_code == 1
    assert [found["code"] for found in json.loads(wrong.stdout)["findings"]] == ["anchor_differs", "anchor_missing"]
    assert isinstance(run_cli(cli.app, ["verify", "--anchor", "nonsense"]).exception, Invalid)
    database.close(engine)
