"""The ledger: lots, documents, movements, and the balances they sum to."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from reserve.model.kinds import QUANTITY_MAX, DocumentKind, Id, Moment, Purpose, one_of, whole


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
    note: str | None = Field(default=None, max_length=200)
    placed_by: str = Field(max_length=120)
    placed_at: datetime = Field(sa_type=Moment)
    lifted_by: str | None = Field(default=None, max_length=120)
    lifted_at: datetime | None = Field(default=None, sa_type=Moment)

    scope_id: int | None = Field(default=None, foreign_key="location.id", sa_type=Id)
    """From where it was placed: who reaches that place may lift it."""

    __table_args__ = (
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="hold_lifted"),
        # a reason stands once a lot (lots.place_hold)
        Index(
            "hold_standing",
            "lot_id",
            "reason",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )


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
    party: str | None = Field(default=None, max_length=120)
    """The supplier, donor or carrier by name."""
    restriction: str | None = Field(default=None, max_length=200)
    """What a donor gave it for (定向捐赠)."""
    follows_id: int | None = Field(default=None, foreign_key="document.id", sa_type=Id, index=True)
    """The document this one goes on from: a transfer's for its arrivals, a receipt's for its inspection."""
    requisition_id: int | None = Field(default=None, foreign_key="requisition.id", sa_type=Id, index=True)

    __table_args__ = (
        one_of("kind", DocumentKind, "document_kind"),
        one_of("purpose", Purpose, "document_purpose"),
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
        whole("quantity", "movement_quantity_whole"),
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
        whole("on_hand", "balance_on_hand_whole"),
        # all places of an item's lots (coverage)
        Index("balance_lot", "lot_id"),
    )
