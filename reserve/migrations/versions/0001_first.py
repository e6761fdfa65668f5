"""The first tables: catalogue, places, lots, the ledger, consumption, policies, coverage, alerts, keys.

Documents, movements, consumption and alerts are append-only: triggers refuse what would rewrite them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

APPEND_ONLY = ("document", "movement", "consumption", "alert")

OUTSIDE = (
    ("SUPPLIER", "供应商", "Suppliers", "supplier"),
    ("DONOR", "捐赠方", "Donors", "donor"),
    ("CONSUMER", "使用单位", "Users", "consumer"),
    ("WASTE", "报废", "Waste", "waste"),
    ("VARIANCE", "盘盈盘亏", "Count variance", "variance"),
    ("TRANSIT", "在途", "In transit", "transit"),
)


def _whole(column: str, name: str) -> sa.CheckConstraint:
    """SQLite keeps fractions and text in an INTEGER column unless told not to."""
    return sa.CheckConstraint(f"typeof({column}) = 'integer'", name=name).ddl_if(dialect="sqlite")


def upgrade() -> None:
    _tables()
    for table in APPEND_ONLY:
        _append_only(table)
    location = sa.table("location", *(sa.column(c) for c in ("code", "name_zh", "name_en", "kind", "path")))
    op.bulk_insert(
        location,
        [{"code": c, "name_zh": zh, "name_en": en, "kind": kind, "path": ""} for c, zh, en, kind in OUTSIDE],
    )
    op.execute("UPDATE location SET path = '/' || id || '/'")


def _append_only(table: str) -> None:
    sentence = f"{table} is append-only: record a reversal or a new revision instead"
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


def _tables() -> None:
    op.create_table(
        "beat",
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("beat_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )
    op.create_table(
        "item",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name_zh", sa.String(length=120), nullable=False),
        sa.Column("name_en", sa.String(length=120), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("base_unit", sa.String(length=20), nullable=False),
        sa.Column("standard", sa.String(length=80), nullable=True),
        sa.Column("gb_class", sa.String(length=7), nullable=True),
        sa.Column("shelf_life_days", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "category IN ('protective', 'disinfection', 'testing', 'treatment', 'monitoring', 'other')",
            name="item_category",
        ),
        sa.CheckConstraint("shelf_life_days > 0", name="item_shelf_life"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_table(
        "location",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name_zh", sa.String(length=120), nullable=False),
        sa.Column("name_en", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parent_id", ID, nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("consumption_source", sa.Text(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.CheckConstraint("consumption_source IN ('reports', 'issues', 'none')", name="location_consumption_source"),
        sa.CheckConstraint(
            "kind IN ('region', 'warehouse', 'hospital', 'cdc', 'station', 'supplier', 'donor', 'consumer', 'waste', 'variance', 'transit')",
            name="location_kind",
        ),
        sa.CheckConstraint("closed_on >= opened_on", name="location_days"),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_index(op.f("ix_location_parent_id"), "location", ["parent_id"], unique=False)
    op.create_index(op.f("ix_location_path"), "location", ["path"], unique=False)
    op.create_table(
        "replay",
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key"),
    )
    op.create_table(
        "alert",
        sa.Column("id", ID, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("previous_level", sa.Text(), nullable=True),
        sa.Column("change", sa.String(length=20), nullable=False),
        sa.Column("reason_zh", sa.Text(), nullable=False),
        sa.Column("reason_en", sa.Text(), nullable=False),
        sa.Column("coverage", sa.Text(), nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.CheckConstraint("level IN ('normal', 'blue', 'yellow', 'orange', 'red', 'unknown')", name="alert_level"),
        sa.CheckConstraint("level <> previous_level", name="alert_is_a_change"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["scope_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("scope_id", "item_id", "sequence", name="alert_thread"),
    )
    op.create_table(
        "consumption",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        _whole("quantity", "consumption_quantity_whole"),
        sa.CheckConstraint("quantity BETWEEN 0 AND 1000000000000000", name="consumption_quantity"),
        sa.CheckConstraint("revision >= 1", name="consumption_revision"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("item_id", "location_id", "day", "revision", name="consumption_once"),
    )
    op.create_table(
        "coverage",
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("assessed_at", MOMENT, nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("falls_below_on", sa.Date(), nullable=True),
        sa.Column("reason_code", sa.String(length=40), nullable=False),
        sa.Column("reason_zh", sa.Text(), nullable=False),
        sa.Column("reason_en", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.CheckConstraint("level IN ('normal', 'blue', 'yellow', 'orange', 'red', 'unknown')", name="coverage_level"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["scope_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("scope_id", "item_id"),
    )
    op.create_index("coverage_item", "coverage", ["item_id", "scope_id"], unique=False)
    op.create_index("coverage_level_index", "coverage", ["level", "scope_id", "item_id"], unique=False)
    op.create_table(
        "coverageday",
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "level IN ('normal', 'blue', 'yellow', 'orange', 'red', 'unknown')", name="coverage_day_level"
        ),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["scope_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("scope_id", "item_id", "day"),
    )
    op.create_table(
        "coveragedue",
        sa.Column("id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "document",
        sa.Column("id", ID, nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("recipient", sa.String(length=120), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint("(kind = 'issue') = (purpose IS NOT NULL)", name="document_issue_purpose"),
        sa.CheckConstraint("kind IN ('receipt', 'issue', 'adjustment', 'reversal')", name="document_kind"),
        sa.CheckConstraint("purpose IN ('use', 'allocation', 'donation')", name="document_purpose"),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "key",
        sa.Column("id", ID, nullable=False),
        sa.Column("prefix", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'reporter', 'clerk', 'manager', 'admin')", name="key_role"),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.create_table(
        "lot",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("lot_number", sa.String(length=20), nullable=False),
        sa.Column("manufactured_on", sa.Date(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.CheckConstraint("manufactured_on <= expires_on", name="lot_dates"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("item_id", "lot_number", name="lot_once"),
    )
    op.create_table(
        "pack",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("gtin", sa.String(length=14), nullable=False),
        sa.Column("units_per_pack", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=True),
        _whole("units_per_pack", "pack_units_whole"),
        sa.CheckConstraint("length(gtin) = 14", name="pack_gtin"),
        sa.CheckConstraint("units_per_pack BETWEEN 1 AND 1000000000000000", name="pack_units"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("gtin"),
    )
    op.create_index(op.f("ix_pack_item_id"), "pack", ["item_id"], unique=False)
    op.create_table(
        "policy",
        sa.Column("id", ID, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("item_id", ID, nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("required_days", sa.Integer(), nullable=True),
        sa.Column("persons", sa.BigInteger(), nullable=True),
        sa.Column("norm_per_1000", sa.BigInteger(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("look_back_days", sa.Integer(), nullable=False),
        sa.Column("lead_time_days", sa.Integer(), nullable=False),
        sa.Column("margin_days", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("effective_until", sa.Date(), nullable=True),
        sa.Column("source_title", sa.String(length=200), nullable=True),
        sa.Column("source_text", sa.String(length=1000), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.CheckConstraint(
            "(kind = 'days' AND coalesce(required_days, 0) > 0) OR (kind IN ('persons', 'full_load') AND coalesce(required_days, 0) > 0 AND coalesce(persons, 0) > 0 AND coalesce(norm_per_1000, 0) > 0) OR (kind = 'quantity' AND coalesce(quantity, 0) > 0)",
            name="policy_terms",
        ),
        sa.CheckConstraint("kind IN ('days', 'persons', 'quantity', 'full_load')", name="policy_kind"),
        sa.CheckConstraint("(item_id IS NULL) <> (category IS NULL)", name="policy_subject"),
        sa.CheckConstraint("effective_until >= effective_from", name="policy_days"),
        sa.CheckConstraint("look_back_days BETWEEN 28 AND 3660", name="policy_look_back"),
        sa.ForeignKeyConstraint(
            ["item_id"],
            ["item.id"],
        ),
        sa.ForeignKeyConstraint(
            ["scope_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code", "effective_from", name="policy_version"),
    )
    op.create_table(
        "receiver",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(length=200), nullable=True),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('webhook')", name="receiver_kind"),
        sa.CheckConstraint("language IN ('zh', 'en')", name="receiver_language"),
        sa.ForeignKeyConstraint(
            ["scope_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "balance",
        sa.Column("location_id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        _whole("on_hand", "balance_on_hand_whole"),
        sa.CheckConstraint("on_hand BETWEEN 0 AND 1000000000000000", name="balance_on_hand"),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lot_id"],
            ["lot.id"],
        ),
        sa.PrimaryKeyConstraint("location_id", "lot_id"),
    )
    op.create_index("balance_lot", "balance", ["lot_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", ID, nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("placed_by", sa.String(length=120), nullable=False),
        sa.Column("placed_at", MOMENT, nullable=False),
        sa.Column("lifted_by", sa.String(length=120), nullable=True),
        sa.Column("lifted_at", MOMENT, nullable=True),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="hold_lifted"),
        sa.ForeignKeyConstraint(
            ["lot_id"],
            ["lot.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_hold_lot_id"), "hold", ["lot_id"], unique=False)
    op.create_table(
        "movement",
        sa.Column("id", ID, nullable=False),
        sa.Column("document_id", ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("lot_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("reverses", ID, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("unit_cost", sa.BigInteger(), nullable=True),
        _whole("quantity", "movement_quantity_whole"),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000000000000000", name="movement_quantity"),
        sa.CheckConstraint("source_id <> target_id", name="movement_two_ends"),
        sa.CheckConstraint("unit_cost >= 0", name="movement_cost"),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["document.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lot_id"],
            ["lot.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reverses"],
            ["movement.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["location.id"],
        ),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["location.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("document_id", "line", name="movement_line"),
        sa.UniqueConstraint("reverses"),
    )
    op.create_index("movement_in", "movement", ["target_id", "lot_id", "occurred_at", "quantity"], unique=False)
    op.create_index("movement_lot", "movement", ["lot_id"], unique=False)
    op.create_index("movement_out", "movement", ["source_id", "lot_id", "occurred_at", "quantity"], unique=False)
    op.create_index("movement_when", "movement", ["occurred_at", "id"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", ID, nullable=False),
        sa.Column("alert_id", ID, nullable=False),
        sa.Column("receiver_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("lease_token", sa.String(length=40), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="notice_state"),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alert.id"],
        ),
        sa.ForeignKeyConstraint(
            ["receiver_id"],
            ["receiver.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alert_id", "receiver_id", name="notice_once"),
    )
    op.create_index("notice_next", "notice", ["state", "next_attempt_at"], unique=False)
