"""What is promised and on order: agreements with suppliers, visits to them, planned receipts. All append-only."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text
from sqlmodel import Field, SQLModel

from reserve.model.kinds import QUANTITY_MAX, CommitmentKind, Id, Moment, one_of, whole


class Commitment(SQLModel, table=True):
    """A supplier's promise (协议, 产能储备): a quantity after its lead time, or units a day from a day on."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    number: str = Field(max_length=40, unique=True)
    kind: CommitmentKind = Field(sa_type=Text)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    scope_id: int = Field(foreign_key="location.id", sa_type=Id)
    supplier: str = Field(max_length=120)
    quantity: int | None = Field(default=None, sa_type=BigInteger)
    units_per_day: int | None = Field(default=None, sa_type=BigInteger)
    lead_time_days: int
    valid_from: date
    valid_until: date
    verified_on: date | None = None
    """A visit made before it was entered here; later ones are `CommitmentVisit`."""
    reference: str | None = Field(default=None, max_length=120)
    renews_id: int | None = Field(default=None, foreign_key="commitment.id", sa_type=Id)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        one_of("kind", CommitmentKind, "commitment_kind"),
        CheckConstraint(
            "(kind = 'contract' AND coalesce(quantity, 0) > 0 AND units_per_day IS NULL)"
            " OR (kind = 'capacity' AND coalesce(units_per_day, 0) > 0 AND quantity IS NULL)",
            name="commitment_terms",
        ),
        CheckConstraint(f"quantity <= {QUANTITY_MAX}", name="commitment_quantity"),
        CheckConstraint(f"units_per_day <= {QUANTITY_MAX}", name="commitment_rate"),
        CheckConstraint("lead_time_days BETWEEN 0 AND 3660", name="commitment_lead_time"),
        CheckConstraint("valid_until >= valid_from", name="commitment_days"),
        # all that is promised of an item (commitments.promised)
        Index("commitment_item", "item_id", "scope_id"),
    )


class CommitmentVisit(SQLModel, table=True):
    """A visit to a supplier (核查): what was seen, by whom. A promise counts for no more than its last visit saw."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    commitment_id: int = Field(foreign_key="commitment.id", sa_type=Id, index=True)
    visited_on: date
    visitor: str = Field(max_length=120)
    seen: int = Field(sa_type=BigInteger)
    """Units that lay there, or units a day that could be made."""
    note: str | None = Field(default=None, max_length=500)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        CheckConstraint(f"seen BETWEEN 0 AND {QUANTITY_MAX}", name="visit_seen"),
        whole("seen", "visit_seen_whole"),
    )


class CommitmentEnding(SQLModel, table=True):
    """An agreement that ended before its time (解除): `ended_on` is its last day."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    commitment_id: int = Field(foreign_key="commitment.id", sa_type=Id, unique=True)
    ended_on: date
    reason: str = Field(max_length=200)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)


class PlannedReceipt(SQLModel, table=True):
    """What should come (预计到货): an order, or an agreement that was called up (启动). What came is its receipts."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    number: str = Field(max_length=40, unique=True)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    quantity: int = Field(sa_type=BigInteger)
    expected_on: date
    units_per_day: int | None = Field(default=None, sa_type=BigInteger)
    """So many a day from `expected_on` on; all at once where none."""
    expires_on: date | None = None
    """Of what will come, where it is known; else it is taken to outlive what is asked."""
    ordered_on: date
    commitment_id: int | None = Field(default=None, foreign_key="commitment.id", sa_type=Id, index=True)
    supplier: str | None = Field(default=None, max_length=120)
    reference: str | None = Field(default=None, max_length=120)
    reason: str | None = Field(default=None, max_length=200)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 1 AND {QUANTITY_MAX}", name="planned_quantity"),
        whole("quantity", "planned_quantity_whole"),
        CheckConstraint(f"units_per_day BETWEEN 1 AND {QUANTITY_MAX}", name="planned_rate"),
        # all that is to come of an item (supply.coming)
        Index("planned_item", "item_id", "location_id"),
    )


class PlannedChange(SQLModel, table=True):
    """A planned receipt as it was changed: another day, another quantity in all; 0 units end it."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    planned_id: int = Field(foreign_key="plannedreceipt.id", sa_type=Id, index=True)
    quantity: int = Field(sa_type=BigInteger)
    expected_on: date
    reason: str = Field(max_length=200)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)

    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 0 AND {QUANTITY_MAX}", name="planned_change_quantity"),
        whole("quantity", "planned_change_quantity_whole"),
    )


class PlannedArrival(SQLModel, table=True):
    """A receipt on which a planned one came, whole or in part; its units are the document's, less what was reversed."""

    document_id: int = Field(primary_key=True, foreign_key="document.id", sa_type=Id)
    planned_id: int = Field(foreign_key="plannedreceipt.id", sa_type=Id, index=True)
