"""The tables and their words. Constraints in the database say what can never be.

SQLModel table classes validate nothing, so every rule that must hold whoever writes is a CHECK, UNIQUE or foreign key
here; what depends on other rows is a rule of `ledger`. The tables are made by `migrations/` alone; a test holds both
against each other.
"""

from datetime import UTC, date, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

QUANTITY_MAX = 10**15
"""Units: the largest quantity of a line, and of one lot at one place. Far from 2**63, so that sums stay exact."""


class Moment(TypeDecorator[datetime]):
    """A moment in time: aware in Python, UTC in the database. A naive datetime is a bug and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its zone; a naive datetime was given")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's form
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Id = BigInteger().with_variant(Integer, "sqlite")


class Category(StrEnum):
    PROTECTIVE = "protective"
    DISINFECTION = "disinfection"
    TESTING = "testing"
    TREATMENT = "treatment"
    MONITORING = "monitoring"
    OTHER = "other"


class LocationKind(StrEnum):
    REGION = "region"
    WAREHOUSE = "warehouse"
    HOSPITAL = "hospital"
    CDC = "cdc"
    STATION = "station"
    SUPPLIER = "supplier"
    DONOR = "donor"
    CONSUMER = "consumer"
    WASTE = "waste"
    VARIANCE = "variance"
    TRANSIT = "transit"


OUTSIDE = (
    LocationKind.SUPPLIER,
    LocationKind.DONOR,
    LocationKind.CONSUMER,
    LocationKind.WASTE,
    LocationKind.VARIANCE,
)
"""The other end of a movement that enters or leaves the reserve; nothing is counted there."""


class ConsumptionSource(StrEnum):
    REPORTS = "reports"
    ISSUES = "issues"
    NONE = "none"


class DocumentKind(StrEnum):
    RECEIPT = "receipt"
    ISSUE = "issue"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"


NUMBER_PREFIX = {
    DocumentKind.RECEIPT: "RC",
    DocumentKind.ISSUE: "IS",
    DocumentKind.ADJUSTMENT: "AD",
    DocumentKind.REVERSAL: "RV",
}


class Purpose(StrEnum):
    USE = "use"
    ALLOCATION = "allocation"
    DONATION = "donation"


class PolicyKind(StrEnum):
    DAYS = "days"
    PERSONS = "persons"
    QUANTITY = "quantity"
    FULL_LOAD = "full_load"


class Level(StrEnum):
    NORMAL = "normal"
    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"
    UNKNOWN = "unknown"


class Role(StrEnum):
    VIEWER = "viewer"
    REPORTER = "reporter"
    CLERK = "clerk"
    MANAGER = "manager"
    ADMIN = "admin"


class NoticeState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def table(model: type[SQLModel]) -> Table:
    """The table of a class, for statements that are built once and run often."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def _one_of(column: str, words: type[StrEnum], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(w)) for w in words)})", name=name)


def _whole(column: str, name: str) -> CheckConstraint:
    """SQLite keeps fractions and text in an INTEGER column unless told not to."""
    return CheckConstraint(f"typeof({column}) = 'integer'", name=name).ddl_if(dialect="sqlite")


class Item(SQLModel, table=True):
    """An article a policy speaks of (物资品目), counted in one base unit."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    code: str = Field(max_length=40, unique=True)
    name_zh: str = Field(max_length=120)
    name_en: str = Field(max_length=120)
    category: Category = Field(sa_type=Text)
    base_unit: str = Field(max_length=20)
    standard: str | None = Field(default=None, max_length=80)
    gb_class: str | None = Field(default=None, max_length=7)
    shelf_life_days: int | None = None

    __table_args__ = (
        _one_of("category", Category, "item_category"),
        CheckConstraint("shelf_life_days > 0", name="item_shelf_life"),
    )


class Pack(SQLModel, table=True):
    """A trade item with a GTIN: so many base units of one item (包装规格)."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    item_id: int = Field(foreign_key="item.id", index=True, sa_type=Id)
    gtin: str = Field(max_length=14, unique=True)
    units_per_pack: int = Field(sa_type=BigInteger)
    name: str | None = Field(default=None, max_length=40)

    __table_args__ = (
        CheckConstraint(f"units_per_pack BETWEEN 1 AND {QUANTITY_MAX}", name="pack_units"),
        _whole("units_per_pack", "pack_units_whole"),
        CheckConstraint("length(gtin) = 14", name="pack_gtin"),
    )


class Location(SQLModel, table=True):
    """Where stock lies (库点), or an outside end of a movement. `path` is `/1/5/9/`: the ids from the top to itself."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    code: str = Field(max_length=40, unique=True)
    name_zh: str = Field(max_length=120)
    name_en: str = Field(max_length=120)
    kind: LocationKind = Field(sa_type=Text)
    parent_id: int | None = Field(default=None, foreign_key="location.id", sa_type=Id, index=True)
    path: str = Field(default="", sa_type=Text, index=True)
    consumption_source: ConsumptionSource | None = Field(default=None, sa_type=Text)
    opened_on: date | None = None
    closed_on: date | None = None

    __table_args__ = (
        _one_of("kind", LocationKind, "location_kind"),
        _one_of("consumption_source", ConsumptionSource, "location_consumption_source"),
        CheckConstraint("closed_on >= opened_on", name="location_days"),
    )


class Lot(SQLModel, table=True):
    """A batch of one item (批号). `expires_on` is the last day it may be used; none means it never expires."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    lot_number: str = Field(max_length=20)
    manufactured_on: date | None = None
    expires_on: date | None = None

    __table_args__ = (
        UniqueConstraint("item_id", "lot_number", name="lot_once"),
        CheckConstraint("manufactured_on <= expires_on", name="lot_dates"),
    )


class Hold(SQLModel, table=True):
    """A lot stopped everywhere (冻结), until lifted."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    lot_id: int = Field(foreign_key="lot.id", index=True, sa_type=Id)
    reason: str = Field(max_length=200)
    placed_by: str = Field(max_length=120)
    placed_at: datetime = Field(sa_type=Moment)
    lifted_by: str | None = Field(default=None, max_length=120)
    lifted_at: datetime | None = Field(default=None, sa_type=Moment)

    __table_args__ = (CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="hold_lifted"),)


class Document(SQLModel, table=True):
    """What was recorded together (单据). Append-only: a trigger refuses UPDATE and DELETE."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    number: str = Field(max_length=40, unique=True)
    kind: DocumentKind = Field(sa_type=Text)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    occurred_at: datetime = Field(sa_type=Moment)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)
    reference: str | None = Field(default=None, max_length=120)
    purpose: Purpose | None = Field(default=None, sa_type=Text)
    recipient: str | None = Field(default=None, max_length=120)
    reason: str | None = Field(default=None, max_length=200)

    __table_args__ = (
        _one_of("kind", DocumentKind, "document_kind"),
        _one_of("purpose", Purpose, "document_purpose"),
        CheckConstraint("(kind = 'issue') = (purpose IS NOT NULL)", name="document_issue_purpose"),
    )


class Movement(SQLModel, table=True):
    """One line of the ledger (出入库流水): a lot, from a source to a target. Append-only, like its document.

    `occurred_at` repeats the document's so that the two covering indexes answer stock at any moment by themselves.
    """

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    document_id: int = Field(foreign_key="document.id", sa_type=Id)
    line: int
    lot_id: int = Field(foreign_key="lot.id", sa_type=Id)
    source_id: int = Field(foreign_key="location.id", sa_type=Id)
    target_id: int = Field(foreign_key="location.id", sa_type=Id)
    quantity: int = Field(sa_type=BigInteger)
    occurred_at: datetime = Field(sa_type=Moment)
    reverses: int | None = Field(default=None, foreign_key="movement.id", unique=True, sa_type=Id)
    reason: str | None = Field(default=None, max_length=200)
    unit_cost: int | None = Field(default=None, sa_type=BigInteger)
    """In 0.0001 yuan, so that a price is exact."""

    __table_args__ = (
        UniqueConstraint("document_id", "line", name="movement_line"),
        CheckConstraint(f"quantity BETWEEN 1 AND {QUANTITY_MAX}", name="movement_quantity"),
        _whole("quantity", "movement_quantity_whole"),
        CheckConstraint("source_id <> target_id", name="movement_two_ends"),
        CheckConstraint("unit_cost >= 0", name="movement_cost"),
        # stock as of a moment, stock cards and consumption by issues: what left a place (ledger, stock, consumption)
        Index("movement_out", "source_id", "lot_id", "occurred_at", "quantity"),
        # the same questions: what came to a place
        Index("movement_in", "target_id", "lot_id", "occurred_at", "quantity"),
        # the ledger newest first, page by page (stock.movements)
        Index("movement_when", "occurred_at", "id"),
        # a lot everywhere it went (stock.movements by lot), and lots of an item
        Index("movement_lot", "lot_id"),
    )


class Balance(SQLModel, table=True):
    """What the movements of one lot at one place sum to, kept in the same transaction (结存)."""

    location_id: int = Field(primary_key=True, foreign_key="location.id", sa_type=Id)
    lot_id: int = Field(primary_key=True, foreign_key="lot.id", sa_type=Id)
    on_hand: int = Field(sa_type=BigInteger)

    __table_args__ = (
        CheckConstraint(f"on_hand BETWEEN 0 AND {QUANTITY_MAX}", name="balance_on_hand"),
        _whole("on_hand", "balance_on_hand_whole"),
        # all places of an item's lots (coverage)
        Index("balance_lot", "lot_id"),
    )


class Consumption(SQLModel, table=True):
    """Units of an item used at a place on a civil day, as reported (消耗量). A correction is a new revision."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    day: date
    revision: int = 1
    quantity: int = Field(sa_type=BigInteger)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        # also the look-back of an item: its reports by place and day, latest revision last (consumption.reports)
        UniqueConstraint("item_id", "location_id", "day", "revision", name="consumption_once"),
        CheckConstraint(f"quantity BETWEEN 0 AND {QUANTITY_MAX}", name="consumption_quantity"),
        _whole("quantity", "consumption_quantity_whole"),
        CheckConstraint("revision >= 1", name="consumption_revision"),
    )


class Policy(SQLModel, table=True):
    """What must be held where, from which day, by which text. Never edited: a new version takes effect on its day."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    code: str = Field(max_length=40)
    item_id: int | None = Field(default=None, foreign_key="item.id", sa_type=Id)
    category: Category | None = Field(default=None, sa_type=Text)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    kind: PolicyKind = Field(sa_type=Text)
    required_days: int | None = None
    persons: int | None = Field(default=None, sa_type=BigInteger)
    norm_per_1000: int | None = Field(default=None, sa_type=BigInteger)
    """Units a person (or bed) and day, in thousandths, so that the rule stays exact."""
    quantity: int | None = Field(default=None, sa_type=BigInteger)
    method: str = Field(default="rolling_mean_max", max_length=40)
    look_back_days: int = 365
    lead_time_days: int = 14
    margin_days: int = 7
    effective_from: date
    effective_until: date | None = None
    source_title: str | None = Field(default=None, max_length=200)
    source_text: str = Field(max_length=1000)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        UniqueConstraint("code", "effective_from", name="policy_version"),
        _one_of("kind", PolicyKind, "policy_kind"),
        CheckConstraint("(item_id IS NULL) <> (category IS NULL)", name="policy_subject"),
        CheckConstraint(
            # coalesce: a comparison with NULL is not false, and a CHECK would let it pass
            "(kind = 'days' AND coalesce(required_days, 0) > 0)"
            " OR (kind IN ('persons', 'full_load') AND coalesce(required_days, 0) > 0 AND coalesce(persons, 0) > 0"
            " AND coalesce(norm_per_1000, 0) > 0)"
            " OR (kind = 'quantity' AND coalesce(quantity, 0) > 0)",
            name="policy_terms",
        ),
        CheckConstraint("look_back_days BETWEEN 28 AND 3660", name="policy_look_back"),
        CheckConstraint("effective_until >= effective_from", name="policy_days"),
    )


class Coverage(SQLModel, table=True):
    """The last assessment of an item in a scope, whole: `row` and `explanation` are the JSON that is answered."""

    scope_id: int = Field(primary_key=True, foreign_key="location.id", sa_type=Id)
    item_id: int = Field(primary_key=True, foreign_key="item.id", sa_type=Id)
    number: int = Field(sa_type=BigInteger)
    """Grows with every assessment: the ETag."""
    as_of: date
    assessed_at: datetime = Field(sa_type=Moment)
    level: Level = Field(sa_type=Text)
    falls_below_on: date | None = None
    reason_code: str = Field(max_length=40)
    reason_zh: str = Field(sa_type=Text)
    reason_en: str = Field(sa_type=Text)
    row: str = Field(sa_type=Text)
    explanation: str = Field(sa_type=Text)

    __table_args__ = (
        _one_of("level", Level, "coverage_level"),
        # the worst rows of a nation without a scan (coverage.table by level)
        Index("coverage_level_index", "level", "scope_id", "item_id"),
        # one item in every place (coverage.table by item)
        Index("coverage_item", "item_id", "scope_id"),
    )


class CoverageDue(SQLModel, table=True):
    """The worker's queue: writers append a place and an item, the worker deletes what it has assessed."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    recorded_at: datetime = Field(sa_type=Moment)


class CoverageDay(SQLModel, table=True):
    """One assessment a day, kept: the trend."""

    scope_id: int = Field(primary_key=True, foreign_key="location.id", sa_type=Id)
    item_id: int = Field(primary_key=True, foreign_key="item.id", sa_type=Id)
    day: date = Field(primary_key=True)
    level: Level = Field(sa_type=Text)
    row: str = Field(sa_type=Text)

    __table_args__ = (_one_of("level", Level, "coverage_day_level"),)


class Alert(SQLModel, table=True):
    """A change of level of one item in one scope, with the coverage that caused it. Append-only.

    `sequence` counts the changes of one thread (scope, item); being unique, two workers cannot raise the same one.
    """

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    sequence: int
    level: Level = Field(sa_type=Text)
    previous_level: Level | None = Field(default=None, sa_type=Text)
    change: str = Field(max_length=20)
    reason_zh: str = Field(sa_type=Text)
    reason_en: str = Field(sa_type=Text)
    coverage: str = Field(sa_type=Text)
    raised_at: datetime = Field(sa_type=Moment)

    __table_args__ = (
        UniqueConstraint("scope_id", "item_id", "sequence", name="alert_thread"),
        _one_of("level", Level, "alert_level"),
        CheckConstraint("level <> previous_level", name="alert_is_a_change"),
    )


class Receiver(SQLModel, table=True):
    """Who is told, and how. Taken out of use by `retired_at`, never deleted: its notices stay readable."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    name: str = Field(max_length=120)
    kind: str = Field(max_length=20)
    url: str = Field(sa_type=Text)
    secret: str | None = Field(default=None, max_length=200)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    levels: str = Field(sa_type=Text)
    language: str = Field(default="zh", max_length=2)
    created_at: datetime = Field(sa_type=Moment)
    retired_at: datetime | None = Field(default=None, sa_type=Moment)

    __table_args__ = (
        CheckConstraint("kind IN ('webhook')", name="receiver_kind"),
        CheckConstraint("language IN ('zh', 'en')", name="receiver_language"),
    )


class Notice(SQLModel, table=True):
    """One alert to one receiver: the outbox. Its id is the receiver's deduplication key."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    alert_id: int = Field(foreign_key="alert.id", sa_type=Id)
    receiver_id: int = Field(foreign_key="receiver.id", sa_type=Id)
    state: NoticeState = Field(default=NoticeState.PENDING, sa_type=Text)
    attempts: int = 0
    created_at: datetime = Field(sa_type=Moment)
    next_attempt_at: datetime = Field(sa_type=Moment)
    lease_token: str | None = Field(default=None, max_length=40)
    lease_until: datetime | None = Field(default=None, sa_type=Moment)
    delivered_at: datetime | None = Field(default=None, sa_type=Moment)
    last_error: str | None = Field(default=None, max_length=500)

    __table_args__ = (
        UniqueConstraint("alert_id", "receiver_id", name="notice_once"),
        _one_of("state", NoticeState, "notice_state"),
        # what is to be sent now (alerts.claim)
        Index("notice_next", "state", "next_attempt_at"),
    )


class Key(SQLModel, table=True):
    """An API key: a public prefix and the hash of a secret that was shown once."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    prefix: str = Field(max_length=8, unique=True)
    digest: str = Field(max_length=64)
    name: str = Field(max_length=120)
    role: Role = Field(sa_type=Text)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    created_at: datetime = Field(sa_type=Moment)
    expires_on: date | None = None
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)

    __table_args__ = (_one_of("role", Role, "key_role"),)


class Replay(SQLModel, table=True):
    """The answer once given to an Idempotency-Key of an actor, kept for good."""

    actor: str = Field(primary_key=True, max_length=40)
    key: str = Field(primary_key=True, max_length=200)
    request_digest: str = Field(max_length=64)
    status: int | None = None
    body: str | None = Field(default=None, sa_type=Text)
    recorded_at: datetime = Field(sa_type=Moment)


class Beat(SQLModel, table=True):
    """When a worker last lived, one row a worker name."""

    worker: str = Field(primary_key=True, max_length=80)
    beat_at: datetime = Field(sa_type=Moment)
