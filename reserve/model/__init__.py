"""The tables and their words. Constraints in the database say what can never be.

SQLModel table classes validate nothing, so every rule that must hold whoever writes is a CHECK, UNIQUE or foreign key
here; what depends on other rows is a rule of `ledger`. The tables are made by `migrations/` alone; a test holds both
against each other.
"""

from reserve.model.access import Key, Replay
from reserve.model.alerts import Alert, Beat, Notice, Receiver
from reserve.model.catalogue import Item, Location, Pack
from reserve.model.coverage import Consumption, Coverage, CoverageDay, CoverageDue, Policy
from reserve.model.history import Journal, Seal, SealEntry, Unsealed
from reserve.model.kinds import (
    NUMBER_PREFIX,
    OUTSIDE,
    QUANTITY_MAX,
    Category,
    ConsumptionSource,
    CountState,
    DocumentKind,
    Id,
    Level,
    LocationKind,
    Moment,
    NoticeState,
    PolicyKind,
    Purpose,
    RequisitionState,
    Role,
    TransferState,
    one_of,
    table,
    whole,
)
from reserve.model.ledger import Balance, Document, Hold, Lot, Movement
from reserve.model.warehouse import (
    Allocation,
    Counter,
    CountLine,
    CountSheet,
    LastCount,
    Redating,
    Requisition,
    RequisitionLine,
    Tally,
    Transfer,
)

__all__ = [
    "NUMBER_PREFIX",
    "OUTSIDE",
    "QUANTITY_MAX",
    "Alert",
    "Allocation",
    "Balance",
    "Beat",
    "Category",
    "Consumption",
    "ConsumptionSource",
    "CountLine",
    "CountSheet",
    "CountState",
    "Counter",
    "Coverage",
    "CoverageDay",
    "CoverageDue",
    "Document",
    "DocumentKind",
    "Hold",
    "Id",
    "Item",
    "Journal",
    "Key",
    "LastCount",
    "Level",
    "Location",
    "LocationKind",
    "Lot",
    "Moment",
    "Movement",
    "Notice",
    "NoticeState",
    "Pack",
    "Policy",
    "PolicyKind",
    "Purpose",
    "Receiver",
    "Redating",
    "Replay",
    "Requisition",
    "RequisitionLine",
    "RequisitionState",
    "Role",
    "Seal",
    "SealEntry",
    "Tally",
    "Transfer",
    "TransferState",
    "Unsealed",
    "one_of",
    "table",
    "whole",
]
