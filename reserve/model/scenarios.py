"""Outbreaks thought through (情景): norms of use with their sources, scenarios, and what each run gave."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from reserve.model.kinds import Id, Moment, NormBasis, one_of, whole


class UsageNorm(SQLModel, table=True):
    """A norm of use by its source. Of one preset, basis, class, role and item the latest row counts."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    preset: str = Field(max_length=40)
    basis: NormBasis = Field(sa_type=Text)
    bed_class: str = Field(default="", max_length=40)
    """`moderate`, `severe`, `critical`, ...; empty for every class."""
    role: str = Field(default="", max_length=40)
    """`health_worker`, `cleaner`, ...; empty where the basis is not staff."""
    item_id: int | None = Field(default=None, foreign_key="item.id", sa_type=Id)
    """None for hours of staff: they are of no item."""
    amount_per_1000: int = Field(sa_type=BigInteger)
    """Units (or hours) for each shift, patient-day or case, in thousandths."""
    reusable: bool = False
    source_text: str = Field(max_length=1000)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        one_of("basis", NormBasis, "norm_basis"),
        CheckConstraint("amount_per_1000 BETWEEN 0 AND 1000000000000", name="norm_amount"),
        whole("amount_per_1000", "norm_amount_whole"),
        CheckConstraint("(basis = 'staff_hours') = (item_id IS NULL)", name="norm_item"),
        CheckConstraint("(basis IN ('staff_hours', 'staff_shift')) = (role <> '')", name="norm_role"),
        Index("norm_preset", "preset", "id"),
    )


class Scenario(SQLModel, table=True):
    """An outbreak as somebody stated it: `definition` is JSON. Never edited: another thought is another scenario."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    code: str = Field(max_length=40, unique=True)
    name: str = Field(max_length=200)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    definition: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)


class ScenarioRun(SQLModel, table=True):
    """What a scenario gave with the stock of a day: `result` is JSON, kept as it was."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    scenario_id: int = Field(foreign_key="scenario.id", sa_type=Id)
    run: int
    as_of: date
    result: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (UniqueConstraint("scenario_id", "run", name="scenario_run_once"),)
