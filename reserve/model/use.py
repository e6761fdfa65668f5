"""What is known of use beside its reports: days stock ran out, days left out, declared norms, known changes."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text
from sqlmodel import Field, SQLModel

from reserve.model.kinds import QUANTITY_MAX, Category, Id, Moment, whole


class ShortDay(SQLModel, table=True):
    """A report that says stock ran out (缺货): what was used is less than what was wanted. Belongs to one revision."""

    consumption_id: int = Field(primary_key=True, foreign_key="consumption.id", sa_type=Id)
    asked: int | None = Field(default=None, sa_type=BigInteger)
    """Units asked for that day; not known where none."""

    __table_args__ = (CheckConstraint(f"asked BETWEEN 0 AND {QUANTITY_MAX}", name="short_day_asked"),)


class ExcludedDay(SQLModel, table=True):
    """A manager's word on a reported day: left out of the peak with a reason, or put back. The latest counts."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    day: date
    excluded: bool
    reason: str = Field(max_length=200)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    # days left out of an item's look-back (consumption.history)
    __table_args__ = (Index("excluded_day_item", "item_id", "location_id", "day"),)


class DeclaredUse(SQLModel, table=True):
    """Use of a place by a norm (定额), for where too little was reported: a version from its day on, never edited."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    per_day_per_1000: int = Field(sa_type=BigInteger)
    """Units a day, in thousandths; 0 takes a declaration back."""
    effective_from: date
    source_text: str = Field(max_length=1000)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        CheckConstraint("per_day_per_1000 >= 0", name="declared_use_rate"),
        whole("per_day_per_1000", "declared_use_rate_whole"),
        # what is declared for an item (consumption.history)
        Index("declared_use_item", "item_id", "location_id", "effective_from"),
    )


class DemandChange(SQLModel, table=True):
    """A known change (已知变化): an opening, a campaign, a holiday. Forecast use times a factor on its days."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    item_id: int | None = Field(default=None, foreign_key="item.id", sa_type=Id)
    category: Category | None = Field(default=None, sa_type=Text)
    first_day: date
    last_day: date
    factor_per_1000: int
    reason: str = Field(max_length=200)
    ends_id: int | None = Field(default=None, foreign_key="demandchange.id", sa_type=Id)
    """The change that this row takes back; its other fields repeat that one."""
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        CheckConstraint("last_day >= first_day", name="demand_change_days"),
        CheckConstraint("factor_per_1000 BETWEEN 0 AND 100000", name="demand_change_factor"),
        CheckConstraint("item_id IS NULL OR category IS NULL", name="demand_change_subject"),
    )
