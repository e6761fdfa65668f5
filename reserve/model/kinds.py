"""The kinds of values the tables hold: enumerations, moments, ids, and the checks that columns share."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Dialect, Integer, Table
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

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
    TRANSFER = "transfer"
    ARRIVAL = "arrival"
    SETTLEMENT = "settlement"
    DISPOSAL = "disposal"
    COUNT = "count"
    INSPECTION = "inspection"


NUMBER_PREFIX = {
    DocumentKind.RECEIPT: "RC",
    DocumentKind.ISSUE: "IS",
    DocumentKind.ADJUSTMENT: "AD",
    DocumentKind.REVERSAL: "RV",
    DocumentKind.TRANSFER: "TR",
    DocumentKind.ARRIVAL: "TA",
    DocumentKind.SETTLEMENT: "TS",
    DocumentKind.DISPOSAL: "DS",
    DocumentKind.COUNT: "CT",
    DocumentKind.INSPECTION: "IN",
}
"""How the number of a document begins; a requisition's begins with `RQ`."""


class Purpose(StrEnum):
    USE = "use"
    ALLOCATION = "allocation"
    DONATION = "donation"


class TransferState(StrEnum):
    IN_TRANSIT = "in_transit"
    SHORT = "short"
    CLOSED = "closed"


class CountState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    CANCELLED = "cancelled"


class RequisitionState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class PolicyKind(StrEnum):
    DAYS = "days"
    PERSONS = "persons"
    QUANTITY = "quantity"
    FULL_LOAD = "full_load"


class ScopePeak(StrEnum):
    """Which peak a scope has: that of what was used together, or the sum of its locations' own."""

    PEAK_OF_SUM = "peak_of_sum"
    SUM = "sum"


class CommitmentKind(StrEnum):
    CONTRACT = "contract"
    CAPACITY = "capacity"


class NormBasis(StrEnum):
    STAFF_HOURS = "staff_hours"
    STAFF_SHIFT = "staff_shift"
    PATIENT_DAY = "patient_day"
    CASE = "case"


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


def one_of(column: str, words: type[StrEnum], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(w)) for w in words)})", name=name)


def whole(column: str, name: str) -> CheckConstraint:
    """SQLite keeps fractions and text in an INTEGER column unless told not to."""
    return CheckConstraint(f"typeof({column}) = 'integer'", name=name).ddl_if(dialect="sqlite")
