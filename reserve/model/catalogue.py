"""Items, packs and places: what is kept and where."""

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, false
from sqlmodel import Field, SQLModel

from reserve.model.kinds import QUANTITY_MAX, Category, ConsumptionSource, Id, LocationKind, one_of, whole


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
        one_of("category", Category, "item_category"),
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
        whole("units_per_pack", "pack_units_whole"),
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
    owner: str | None = Field(default=None, max_length=120)
    """Whose goods lie here; none: the reserve's own. What belongs to others never counts as the reserve's."""
    keeper: str | None = Field(default=None, max_length=120)
    """Who keeps the goods where it is not their owner (代储企业)."""
    inspects: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """What is received here waits in the place's own bay until somebody has inspected it (验收待检)."""
    bay_of: int | None = Field(default=None, foreign_key="location.id", sa_type=Id)
    """The bay where goods of that place wait for inspection."""

    __table_args__ = (
        one_of("kind", LocationKind, "location_kind"),
        one_of("consumption_source", ConsumptionSource, "location_consumption_source"),
        CheckConstraint("closed_on >= opened_on", name="location_days"),
        # a place has one bay (catalogue.bay)
        Index("location_bay", "bay_of", unique=True),
    )
