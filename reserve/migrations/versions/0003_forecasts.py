"""What forecasts rest on: promises and planned receipts, what is known of use, scenarios; policies in parts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

APPEND_ONLY = (
    "commitment", "commitmentvisit", "commitmentending", "plannedreceipt", "plannedchange", "plannedarrival",
    "shortday", "excludedday", "declareduse", "demandchange", "usagenorm", "scenario", "scenariorun",
)  # fmt: skip

POLICY_COLUMNS = (
    "physical_days INTEGER CONSTRAINT policy_physical_days CHECK (physical_days >= 0)",
    "contracted_days INTEGER CONSTRAINT policy_contracted_days CHECK (contracted_days >= 1)",
    "physical_percent INTEGER CONSTRAINT policy_physical_percent CHECK (physical_percent BETWEEN 0 AND 100)",
    "verified_within_days INTEGER DEFAULT 180 NOT NULL CONSTRAINT policy_verified CHECK (verified_within_days >= 1)",
    "look_ahead_days INTEGER DEFAULT 30 NOT NULL CONSTRAINT policy_look_ahead CHECK (look_ahead_days BETWEEN 1 AND 90)",
    "blue_percent INTEGER DEFAULT 10 NOT NULL CONSTRAINT policy_blue CHECK (blue_percent BETWEEN 1 AND 100)",
    "yellow_percent INTEGER DEFAULT 50 NOT NULL CONSTRAINT policy_yellow CHECK (yellow_percent BETWEEN 1 AND 100)",
    "scope_peak TEXT DEFAULT 'peak_of_sum' NOT NULL CONSTRAINT policy_scope_peak CHECK (scope_peak IN ('peak_of_sum', 'sum'))",
)


def _whole(column: str, name: str) -> sa.CheckConstraint:
    """SQLite keeps fractions and text in an INTEGER column unless told not to."""
    return sa.CheckConstraint(f"typeof({column}) = 'integer'", name=name).ddl_if(dialect="sqlite")


def _recorded() -> list[sa.Column[object]]:
    return [
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
    ]


def _text(name: str, length: int, *, needed: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=not needed)


def upgrade() -> None:
    for column in POLICY_COLUMNS:
        op.execute(f"ALTER TABLE policy ADD COLUMN {column}")
    _commitments()
    _planned()
    _use()
    _scenarios()
    for table in APPEND_ONLY:
        _append_only(table)


def _commitments() -> None:
    op.create_table(
        "commitment",
        sa.Column("id", ID, nullable=False),
        _text("number", 40, needed=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        _text("supplier", 120, needed=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("units_per_day", sa.BigInteger(), nullable=True),
        sa.Column("lead_time_days", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("verified_on", sa.Date(), nullable=True),
        _text("reference", 120),
        sa.Column("renews_id", ID, nullable=True),
        *_recorded(),
        sa.CheckConstraint("kind IN ('contract', 'capacity')", name="commitment_kind"),
        sa.CheckConstraint(
            "(kind = 'contract' AND coalesce(quantity, 0) > 0 AND units_per_day IS NULL)"
            " OR (kind = 'capacity' AND coalesce(units_per_day, 0) > 0 AND quantity IS NULL)",
            name="commitment_terms",
        ),
        sa.CheckConstraint("quantity <= 1000000000000000", name="commitment_quantity"),
        sa.CheckConstraint("units_per_day <= 1000000000000000", name="commitment_rate"),
        sa.CheckConstraint("lead_time_days BETWEEN 0 AND 3660", name="commitment_lead_time"),
        sa.CheckConstraint("valid_until >= valid_from", name="commitment_days"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["scope_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["renews_id"], ["commitment.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("commitment_item", "commitment", ["item_id", "scope_id"], unique=False)
    op.create_table(
        "commitmentvisit",
        sa.Column("id", ID, nullable=False),
        sa.Column("commitment_id", ID, nullable=False),
        sa.Column("visited_on", sa.Date(), nullable=False),
        _text("visitor", 120, needed=True),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        _text("note", 500),
        *_recorded(),
        sa.CheckConstraint("seen BETWEEN 0 AND 1000000000000000", name="visit_seen"),
        _whole("seen", "visit_seen_whole"),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_commitmentvisit_commitment_id"), "commitmentvisit", ["commitment_id"], unique=False)
    op.create_table(
        "commitmentending",
        sa.Column("id", ID, nullable=False),
        sa.Column("commitment_id", ID, nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=False),
        _text("reason", 200, needed=True),
        *_recorded(),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("commitment_id"),
    )


def _planned() -> None:
    op.create_table(
        "plannedreceipt",
        sa.Column("id", ID, nullable=False),
        _text("number", 40, needed=True),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=False),
        sa.Column("units_per_day", sa.BigInteger(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("commitment_id", ID, nullable=True),
        _text("supplier", 120),
        _text("reference", 120),
        _text("reason", 200),
        *_recorded(),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000000000000000", name="planned_quantity"),
        _whole("quantity", "planned_quantity_whole"),
        sa.CheckConstraint("units_per_day BETWEEN 1 AND 1000000000000000", name="planned_rate"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("planned_item", "plannedreceipt", ["item_id", "location_id"], unique=False)
    for column in ("location_id", "commitment_id"):
        op.create_index(op.f(f"ix_plannedreceipt_{column}"), "plannedreceipt", [column], unique=False)
    op.create_table(
        "plannedchange",
        sa.Column("id", ID, nullable=False),
        sa.Column("planned_id", ID, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=False),
        _text("reason", 200, needed=True),
        *_recorded(),
        sa.CheckConstraint("quantity BETWEEN 0 AND 1000000000000000", name="planned_change_quantity"),
        _whole("quantity", "planned_change_quantity_whole"),
        sa.ForeignKeyConstraint(["planned_id"], ["plannedreceipt.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_plannedchange_planned_id"), "plannedchange", ["planned_id"], unique=False)
    op.create_table(
        "plannedarrival",
        sa.Column("document_id", ID, nullable=False),
        sa.Column("planned_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"]),
        sa.ForeignKeyConstraint(["planned_id"], ["plannedreceipt.id"]),
        sa.PrimaryKeyConstraint("document_id"),
    )
    op.create_index(op.f("ix_plannedarrival_planned_id"), "plannedarrival", ["planned_id"], unique=False)


def _use() -> None:
    op.create_table(
        "shortday",
        sa.Column("consumption_id", ID, nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("asked BETWEEN 0 AND 1000000000000000", name="short_day_asked"),
        sa.ForeignKeyConstraint(["consumption_id"], ["consumption.id"]),
        sa.PrimaryKeyConstraint("consumption_id"),
    )
    op.create_table(
        "excludedday",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        _text("reason", 200, needed=True),
        *_recorded(),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("excluded_day_item", "excludedday", ["item_id", "location_id", "day"], unique=False)
    op.create_table(
        "declareduse",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("location_id", ID, nullable=False),
        sa.Column("per_day_per_1000", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        _text("source_text", 1000, needed=True),
        *_recorded(),
        sa.CheckConstraint("per_day_per_1000 >= 0", name="declared_use_rate"),
        _whole("per_day_per_1000", "declared_use_rate_whole"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("declared_use_item", "declareduse", ["item_id", "location_id", "effective_from"], unique=False)
    op.create_table(
        "demandchange",
        sa.Column("id", ID, nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("factor_per_1000", sa.Integer(), nullable=False),
        _text("reason", 200, needed=True),
        sa.Column("ends_id", ID, nullable=True),
        *_recorded(),
        sa.CheckConstraint("last_day >= first_day", name="demand_change_days"),
        sa.CheckConstraint("factor_per_1000 BETWEEN 0 AND 100000", name="demand_change_factor"),
        sa.CheckConstraint("item_id IS NULL OR category IS NULL", name="demand_change_subject"),
        sa.ForeignKeyConstraint(["scope_id"], ["location.id"]),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.ForeignKeyConstraint(["ends_id"], ["demandchange.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_demandchange_scope_id"), "demandchange", ["scope_id"], unique=False)


def _scenarios() -> None:
    op.create_table(
        "usagenorm",
        sa.Column("id", ID, nullable=False),
        _text("preset", 40, needed=True),
        sa.Column("basis", sa.Text(), nullable=False),
        _text("bed_class", 40, needed=True),
        _text("role", 40, needed=True),
        sa.Column("item_id", ID, nullable=True),
        sa.Column("amount_per_1000", sa.BigInteger(), nullable=False),
        sa.Column("reusable", sa.Boolean(), nullable=False),
        _text("source_text", 1000, needed=True),
        *_recorded(),
        sa.CheckConstraint("basis IN ('staff_hours', 'staff_shift', 'patient_day', 'case')", name="norm_basis"),
        sa.CheckConstraint("amount_per_1000 BETWEEN 0 AND 1000000000000", name="norm_amount"),
        _whole("amount_per_1000", "norm_amount_whole"),
        sa.CheckConstraint("(basis = 'staff_hours') = (item_id IS NULL)", name="norm_item"),
        sa.CheckConstraint("(basis IN ('staff_hours', 'staff_shift')) = (role <> '')", name="norm_role"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("norm_preset", "usagenorm", ["preset", "id"], unique=False)
    op.create_table(
        "scenario",
        sa.Column("id", ID, nullable=False),
        _text("code", 40, needed=True),
        _text("name", 200, needed=True),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        *_recorded(),
        sa.ForeignKeyConstraint(["scope_id"], ["location.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_index(op.f("ix_scenario_scope_id"), "scenario", ["scope_id"], unique=False)
    op.create_table(
        "scenariorun",
        sa.Column("id", ID, nullable=False),
        sa.Column("scenario_id", ID, nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        *_recorded(),
        sa.ForeignKeyConstraint(["scenario_id"], ["scenario.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("scenario_id", "run", name="scenario_run_once"),
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
