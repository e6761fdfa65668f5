"""The warehouse's paperwork beside the ledger: numbers, transfers, counts, requisitions, dates put right."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from reserve.model.kinds import (
    QUANTITY_MAX,
    CountState,
    Id,
    Moment,
    Purpose,
    RequisitionState,
    TransferState,
    one_of,
    whole,
)


class Counter(SQLModel, table=True):
    """The last number given to a kind of document on a day: numbers have no gaps, since this rolls back with them."""

    kind: str = Field(primary_key=True, max_length=2)
    day: date = Field(primary_key=True)
    first: int = 1
    """Below it, numbers were given by an earlier version, with gaps."""
    last: int = 1


class Transfer(SQLModel, table=True):
    """A dispatch on its way (调拨在途). What is still on the road is summed from the documents that follow it."""

    document_id: int = Field(primary_key=True, foreign_key="document.id", sa_type=Id)
    source_id: int = Field(foreign_key="location.id", sa_type=Id)
    target_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    expected_on: date | None = None
    state: TransferState = Field(default=TransferState.IN_TRANSIT, sa_type=Text)

    __table_args__ = (
        one_of("state", TransferState, "transfer_state"),
        CheckConstraint("source_id <> target_id", name="transfer_two_ends"),
        # what is on the road (transfers.under_way)
        Index("transfer_state_index", "state", "document_id"),
    )


class CountSheet(SQLModel, table=True):
    """A count of what lies at one place (盘点表): opened, counted by some, decided by another."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    number: str = Field(max_length=40, unique=True)
    location_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    state: CountState = Field(default=CountState.OPEN, sa_type=Text)
    reference: str | None = Field(default=None, max_length=120)
    opened_by: str = Field(max_length=120)
    opened_at: datetime = Field(sa_type=Moment)
    decided_by: str | None = Field(default=None, max_length=120)
    decided_at: datetime | None = Field(default=None, sa_type=Moment)
    reason: str | None = Field(default=None, max_length=200)
    document_id: int | None = Field(default=None, foreign_key="document.id", sa_type=Id)
    """The variances as they were posted; none while open, cancelled, or where nothing differed."""

    __table_args__ = (
        one_of("state", CountState, "count_sheet_state"),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="count_sheet_decided"),
    )


class CountLine(SQLModel, table=True):
    """A lot to be counted. `book` is what the books said when the line was made; nobody who counts is shown it."""

    sheet_id: int = Field(primary_key=True, foreign_key="countsheet.id", sa_type=Id)
    line: int = Field(primary_key=True)
    lot_id: int = Field(foreign_key="lot.id", sa_type=Id)
    book: int = Field(sa_type=BigInteger)

    __table_args__ = (
        UniqueConstraint("sheet_id", "lot_id", name="count_line_lot"),
        whole("book", "count_line_book_whole"),
    )


class Tally(SQLModel, table=True):
    """What somebody counted of a line, as it was saved. A recount is a later revision; append-only."""

    sheet_id: int = Field(primary_key=True, foreign_key="countsheet.id", sa_type=Id)
    line: int = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    counted: int = Field(sa_type=BigInteger)
    counted_at: datetime = Field(sa_type=Moment)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)
    remark: str | None = Field(default=None, max_length=200)

    __table_args__ = (
        CheckConstraint(f"counted BETWEEN 0 AND {QUANTITY_MAX}", name="tally_counted"),
        whole("counted", "tally_counted_whole"),
        CheckConstraint("revision >= 1", name="tally_revision"),
    )


class LastCount(SQLModel, table=True):
    """When a lot at a place was last counted and approved: no later entry may be dated before it."""

    location_id: int = Field(primary_key=True, foreign_key="location.id", sa_type=Id)
    lot_id: int = Field(primary_key=True, foreign_key="lot.id", sa_type=Id)
    counted_at: datetime = Field(sa_type=Moment)
    sheet_id: int = Field(foreign_key="countsheet.id", sa_type=Id)


class Requisition(SQLModel, table=True):
    """A request for goods of a place (请领单): approved by another, it reserves lots until they are issued."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    number: str = Field(max_length=40, unique=True)
    location_id: int = Field(foreign_key="location.id", sa_type=Id, index=True)
    purpose: Purpose = Field(sa_type=Text)
    recipient: str = Field(max_length=120)
    reference: str | None = Field(default=None, max_length=120)
    needed_on: date | None = None
    state: RequisitionState = Field(default=RequisitionState.REQUESTED, sa_type=Text)
    requested_by: str = Field(max_length=120)
    requested_at: datetime = Field(sa_type=Moment)
    decided_by: str | None = Field(default=None, max_length=120)
    decided_at: datetime | None = Field(default=None, sa_type=Moment)
    reason: str | None = Field(default=None, max_length=200)

    __table_args__ = (
        one_of("state", RequisitionState, "requisition_state"),
        one_of("purpose", Purpose, "requisition_purpose"),
    )


class RequisitionLine(SQLModel, table=True):
    """Units of an item that were asked for, and how many were issued: the difference is need not met."""

    requisition_id: int = Field(primary_key=True, foreign_key="requisition.id", sa_type=Id)
    line: int = Field(primary_key=True)
    item_id: int = Field(foreign_key="item.id", sa_type=Id)
    quantity: int = Field(sa_type=BigInteger)
    issued: int = Field(default=0, sa_type=BigInteger)

    __table_args__ = (
        UniqueConstraint("requisition_id", "item_id", name="requisition_line_item"),
        CheckConstraint(f"quantity BETWEEN 1 AND {QUANTITY_MAX}", name="requisition_line_quantity"),
        CheckConstraint("issued BETWEEN 0 AND quantity", name="requisition_line_issued"),
        whole("quantity", "requisition_line_quantity_whole"),
        whole("issued", "requisition_line_issued_whole"),
    )


class Allocation(SQLModel, table=True):
    """Units of a lot at a place promised to a requisition (已分配): nobody else is offered them."""

    requisition_id: int = Field(primary_key=True, foreign_key="requisition.id", sa_type=Id)
    lot_id: int = Field(primary_key=True, foreign_key="lot.id", sa_type=Id)
    location_id: int = Field(foreign_key="location.id", sa_type=Id)
    quantity: int = Field(sa_type=BigInteger)

    __table_args__ = (
        CheckConstraint(f"quantity BETWEEN 1 AND {QUANTITY_MAX}", name="allocation_quantity"),
        whole("quantity", "allocation_quantity_whole"),
        # what is promised of the lots of a place (shelf, stock)
        Index("allocation_lot", "location_id", "lot_id", "quantity"),
    )


class Redating(SQLModel, table=True):
    """The dates of a lot put right: a label was misread. What was known before is read from here; append-only."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    lot_id: int = Field(foreign_key="lot.id", sa_type=Id, index=True)
    made_before: date | None = None
    expires_before: date | None = None
    made_after: date | None = None
    expires_after: date | None = None
    reason: str = Field(max_length=200)
    recorded_at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=120)
