"""The warehouse's paperwork: numbers without gaps, transfers, counts, requisitions, owners and bays; journal and seals.

Every document, report and journal entry puts itself in the queue for the next seal, by a trigger: no writer can forget.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

APPEND_ONLY = ("tally", "redating", "journal", "seal", "sealentry")
SEALED = ("document", "consumption", "journal")

OLD_KINDS = "kind IN ('receipt', 'issue', 'adjustment', 'reversal')"
NEW_KINDS = "kind IN ('receipt', 'issue', 'adjustment', 'reversal', 'transfer', 'arrival', 'settlement', 'disposal', 'count', 'inspection')"


def _whole(column: str, name: str) -> sa.CheckConstraint:
    """SQLite keeps fractions and text in an INTEGER column unless told not to."""
    return sa.CheckConstraint(f"typeof({column}) = 'integer'", name=name).ddl_if(dialect="sqlite")


def upgrade() -> None:
    _places()
    _requisitions()
    _documents()
    _transfers()
    _counts()
    _redatings()
    _numbers()
    _history()
    for table in APPEND_ONLY:
        _append_only(table)
    for table in SEALED:
        _sealed(table)


def _places() -> None:
    op.add_column("location", sa.Column("owner", sa.String(length=120), nullable=True))
    op.add_column("location", sa.Column("keeper", sa.String(length=120), nullable=True))
    op.add_column("location", sa.Column("inspects", sa.Boolean(), server_default=sa.false(), nullable=False))
    _add_reference("location", "bay_of", "location")
    op.create_index("location_bay", "location", ["bay_of"], unique=True)
    op.add_column("hold", sa.Column("note", sa.String(length=200), nullable=True))
    _add_reference("hold", "scope_id", "location")
    standing = sa.text("lifted_at IS NULL")
    op.create_index(
        "hold_standing", "hold", ["lot_id", "reason"], unique=True, sqlite_where=standing, postgresql_where=standing
    )


def _requisitions() -> None:
    op.create_table(
        "requisition",
        sa.Column("id", ID, nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("recipient", sa.String(length=120), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=True),
        sa.Column("needed_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=120), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.String(length=120), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'refused', 'closed', 'cancelled')", name="requisition_state"
        ),
        sa.CheckConstraint("purpose IN ('use', 'allocation', 'donation')", name="requisition_purpose"),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index(op.f("ix_requisition_location_id"), "requisition", ["location_id"], unique=False)
    op.create_table(
        "requisitionline",
        sa.Column("requisition_id", ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000000000000000", name="requisition_line_quantity"),
        sa.CheckConstraint("issued BETWEEN 0 AND quantity", name="requisition_line_issued"),
        _whole("quantity", "requisition_line_quantity_whole"),
        _whole("issued", "requisition_line_issued_whole"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["requisition_id"], ["requisition.id"]),
        sa.PrimaryKeyConstraint("requisition_id", "line"),
        sa.UniqueConstraint("requisition_id", "item_id", name="requisition_line_item"),
    )
    op.create_table(
        "allocation",
        sa.Column("requisition_id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000000000000000", name="allocation_quantity"),
        _whole("quantity", "allocation_quantity_whole"),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"]),
        sa.ForeignKeyConstraint(["requisition_id"], ["requisition.id"]),
        sa.PrimaryKeyConstraint("requisition_id", "lot_id"),
    )
    op.create_index("allocation_lot", "allocation", ["location_id", "lot_id", "quantity"], unique=False)


def _documents() -> None:
    op.add_column("document", sa.Column("party", sa.String(length=120), nullable=True))
    op.add_column("document", sa.Column("restriction", sa.String(length=200), nullable=True))
    _add_reference("document", "follows_id", "document")
    _add_reference("document", "requisition_id", "requisition")
    op.create_index(op.f("ix_document_follows_id"), "document", ["follows_id"], unique=False)
    op.create_index(op.f("ix_document_requisition_id"), "document", ["requisition_id"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _rewrite_check()
        return
    op.drop_constraint("document_kind", "document", type_="check")
    op.create_check_constraint("document_kind", "document", NEW_KINDS)


def _rewrite_check() -> None:
    """SQLite alters no CHECK. Its documentation's way for one that only grows: the text of the table is rewritten.

    Making the table anew would need foreign keys off, outside of this transaction, and every trigger made again.
    """
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    changed = op.get_bind().execute(
        sa.text("UPDATE sqlite_master SET sql = replace(sql, :old, :new) WHERE type = 'table' AND name = 'document'"),
        {"old": OLD_KINDS, "new": NEW_KINDS},
    )
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")
    made = op.get_bind().execute(sa.text("SELECT sql FROM sqlite_master WHERE name = 'document'")).scalar_one()
    if changed.rowcount != 1 or NEW_KINDS not in made:
        raise RuntimeError("the kinds of documents could not be widened: the table is not as version 0001 made it")


def _transfers() -> None:
    op.create_table(
        "transfer",
        sa.Column("document_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('in_transit', 'short', 'closed')", name="transfer_state"),
        sa.CheckConstraint("source_id <> target_id", name="transfer_two_ends"),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["target_id"], ["location.id"]),
        sa.PrimaryKeyConstraint("document_id"),
    )
    op.create_index(op.f("ix_transfer_target_id"), "transfer", ["target_id"], unique=False)
    op.create_index("transfer_state_index", "transfer", ["state", "document_id"], unique=False)


def _counts() -> None:
    op.create_table(
        "countsheet",
        sa.Column("id", ID, nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=True),
        sa.Column("opened_by", sa.String(length=120), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.String(length=120), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("document_id", ID, nullable=True),
        sa.CheckConstraint("state IN ('open', 'approved', 'cancelled')", name="count_sheet_state"),
        sa.CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="count_sheet_decided"),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index(op.f("ix_countsheet_location_id"), "countsheet", ["location_id"], unique=False)
    op.create_table(
        "countline",
        sa.Column("sheet_id", ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("book", sa.BigInteger(), nullable=False),
        _whole("book", "count_line_book_whole"),
        sa.ForeignKeyConstraint(["sheet_id"], ["countsheet.id"]),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"]),
        sa.PrimaryKeyConstraint("sheet_id", "line"),
        sa.UniqueConstraint("sheet_id", "lot_id", name="count_line_lot"),
    )
    op.create_table(
        "tally",
        sa.Column("sheet_id", ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("remark", sa.String(length=200), nullable=True),
        sa.CheckConstraint("counted BETWEEN 0 AND 1000000000000000", name="tally_counted"),
        _whole("counted", "tally_counted_whole"),
        sa.CheckConstraint("revision >= 1", name="tally_revision"),
        sa.ForeignKeyConstraint(["sheet_id"], ["countsheet.id"]),
        sa.PrimaryKeyConstraint("sheet_id", "line", "revision"),
    )
    op.create_table(
        "lastcount",
        sa.Column("location_id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("counted_at", MOMENT, nullable=False),
        sa.Column("sheet_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"]),
        sa.ForeignKeyConstraint(["sheet_id"], ["countsheet.id"]),
        sa.PrimaryKeyConstraint("location_id", "lot_id"),
    )


def _redatings() -> None:
    op.create_table(
        "redating",
        sa.Column("id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("made_before", sa.Date(), nullable=True),
        sa.Column("expires_before", sa.Date(), nullable=True),
        sa.Column("made_after", sa.Date(), nullable=True),
        sa.Column("expires_after", sa.Date(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_redating_lot_id"), "redating", ["lot_id"], unique=False)


def _numbers() -> None:
    """Counting goes on above the numbers that were given before, which have gaps."""
    op.create_table(
        "counter",
        sa.Column("kind", sa.String(length=2), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "day"),
    )
    day = "substr(number, 4, 4) || '-' || substr(number, 8, 2) || '-' || substr(number, 10, 2)"
    day = day if op.get_bind().dialect.name == "sqlite" else f"CAST({day} AS DATE)"
    op.execute(
        "INSERT INTO counter (kind, day, first, last) "
        "SELECT kind, day, max(n) + 1, max(n) FROM ("
        f"SELECT substr(number, 1, 2) AS kind, {day} AS day, CAST(substr(number, 13) AS INTEGER) AS n FROM document"
        ") AS given GROUP BY kind, day"
    )


def _history() -> None:
    op.create_table(
        "journal",
        sa.Column("id", ID, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("verb", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("journal_subject", "journal", ["subject", "id"], unique=False)
    op.create_table(
        "unsealed",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("row_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "seal",
        sa.Column("number", ID, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=True),
        sa.Column("sealed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("seal_when", "seal", ["sealed_at"], unique=False)
    op.create_table(
        "sealentry",
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("row_id", ID, nullable=False),
        sa.Column("number", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("row_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["seal.number"]),
        sa.PrimaryKeyConstraint("kind", "row_id"),
        sa.UniqueConstraint("number", "position", name="seal_entry_position"),
    )
    _lots_known()
    for table in ("document", "consumption", "journal"):
        op.execute(f"INSERT INTO unsealed (kind, row_id) SELECT '{table}', id FROM {table} ORDER BY id")


def _lots_known() -> None:
    """The dates of the lots there are, as this version finds them: from here on they are sealed like everything else."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if sqlite else "now()"
    dates = "json_object('expires_on', lot.expires_on, 'manufactured_on', lot.manufactured_on)"
    dates = (
        dates
        if sqlite
        else (
            "'{\"expires_on\":' || coalesce(to_json(lot.expires_on)::text, 'null')"
            " || ',\"manufactured_on\":' || coalesce(to_json(lot.manufactured_on)::text, 'null') || '}'"
        )
    )
    op.execute(
        "INSERT INTO journal (recorded_at, actor, verb, subject, after) "
        f"SELECT {now}, 'reserve migrate', 'lot.made', item.code || '/' || lot.lot_number, {dates} "
        "FROM lot JOIN item ON item.id = lot.item_id ORDER BY lot.id"
    )


def _add_reference(table: str, column: str, target: str) -> None:
    """A column that names a row of another table, or none. SQLite takes the reference only with the column."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER REFERENCES {target} (id)")
        return
    op.add_column(table, sa.Column(column, ID, nullable=True))
    op.create_foreign_key(f"{table}_{column}_fkey", table, target, [column], ["id"])


def _sealed(table: str) -> None:
    """Whatever is written waits for the next seal."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_unsealed AFTER INSERT ON {table} "
            f"BEGIN INSERT INTO unsealed (kind, row_id) VALUES ('{table}', NEW.id); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {table}_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO unsealed (kind, row_id) SELECT '{table}', id FROM added ORDER BY id; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_unsealed AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_unsealed()"
    )


def _append_only(table: str) -> None:
    sentence = f"{table} is append-only: what was recorded stays"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )
