"""What coverage rests on and what it was found to be: consumption, policies, assessments and their queue."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from reserve.model.kinds import QUANTITY_MAX, Category, Id, Level, Moment, PolicyKind, ScopePeak, one_of, whole


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
        whole("quantity", "consumption_quantity_whole"),
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
    physical_days: int | None = None
    """Of the required days, those that stock itself must cover; the rest may be promised. All of them where none."""
    contracted_days: int | None = None
    """Days that contracts in force must cover by themselves."""
    physical_percent: int | None = None
    """The per cent of what is required that must lie there; another way to say `physical_days`."""
    verified_within_days: int = Field(default=180, sa_column_kwargs={"server_default": "180"})
    """A promise that nobody has looked at for longer counts for nothing."""
    look_ahead_days: int = Field(default=30, sa_column_kwargs={"server_default": "30"})
    blue_percent: int = Field(default=10, sa_column_kwargs={"server_default": "10"})
    yellow_percent: int = Field(default=50, sa_column_kwargs={"server_default": "50"})
    """Probability of falling below within the days looked ahead from which a row is blue, or yellow."""
    scope_peak: ScopePeak = Field(
        default=ScopePeak.PEAK_OF_SUM, sa_type=Text, sa_column_kwargs={"server_default": "peak_of_sum"}
    )
    effective_from: date
    effective_until: date | None = None
    source_title: str | None = Field(default=None, max_length=200)
    source_text: str = Field(max_length=1000)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        UniqueConstraint("code", "effective_from", name="policy_version"),
        one_of("kind", PolicyKind, "policy_kind"),
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
        CheckConstraint("physical_days >= 0", name="policy_physical_days"),
        CheckConstraint("contracted_days >= 1", name="policy_contracted_days"),
        CheckConstraint("physical_percent BETWEEN 0 AND 100", name="policy_physical_percent"),
        CheckConstraint("verified_within_days >= 1", name="policy_verified"),
        CheckConstraint("look_ahead_days BETWEEN 1 AND 90", name="policy_look_ahead"),
        CheckConstraint("blue_percent BETWEEN 1 AND 100", name="policy_blue"),
        CheckConstraint("yellow_percent BETWEEN 1 AND 100", name="policy_yellow"),
        one_of("scope_peak", ScopePeak, "policy_scope_peak"),
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
        one_of("level", Level, "coverage_level"),
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

    __table_args__ = (one_of("level", Level, "coverage_day_level"),)
