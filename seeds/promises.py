"""Agreements, orders and known changes of the demonstration city: one of each kind, one that nobody has verified.

Every supplier is invented and says so in its name (演示).
"""

from dataclasses import dataclass

from seeds.places import CITY


@dataclass(frozen=True, slots=True)
class Agreement:
    """A promise from `began` to `ends` days around `as_of`; `quantity` in all, or `units_per_day`."""

    item: str
    supplier: str
    reference: str
    lead_time_days: int
    began_days_ago: int
    ends_in_days: int
    seen_days_ago: int
    quantity: int | None = None
    units_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Goods that are under way to a place."""

    item: str
    location: str
    supplier: str
    reference: str
    quantity: int
    ordered_days_ago: int
    expected_in_days: int


@dataclass(frozen=True, slots=True)
class Change:
    """A known change of the city's use of an item."""

    item: str
    from_in_days: int
    to_in_days: int
    factor_per_1000: int
    reason: str


AGREEMENTS: tuple[Agreement, ...] = (
    Agreement("N95", "德州振华防护用品(演示)", "协议 2026-07", 10, 150, 215, 40, quantity=60_000),
    Agreement("COVERALL", "齐河安泰医疗(演示)", "协议 2026-11", 15, 120, 45, 60, quantity=9_000),
    Agreement("SURGICAL-MASK", "临邑康洁卫材(演示)", "协议 2025-03", 7, 400, 120, 400, quantity=600_000),
    Agreement("FACE-SHIELD", "禹城瑞光塑业(演示)", "产能备案 2026-02", 12, 200, 165, 90, units_per_day=1_200),
    Agreement("COVERALL", "齐河安泰医疗(演示)", "产能备案 2026-05", 20, 90, 275, 30, units_per_day=300),
)
ORDERS: tuple[Order, ...] = (
    Order("FACE-SHIELD", f"{CITY}-W1", "禹城瑞光塑业(演示)", "采购 2026-118", 12_000, 6, 8),
    Order("EXAM-GLOVES", f"{CITY}-W1", "德州振华防护用品(演示)", "采购 2026-121", 300_000, 3, 18),
)
CHANGES: tuple[Change, ...] = (Change("SYRINGE", 7, 20, 1300, "秋冬季疫苗接种活动(演示)"),)
