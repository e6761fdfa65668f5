"""What must be held, as data: the one-month rule with its source, and demonstration rules for the other categories."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from seeds.catalogue import Category
from seeds.places import CITY


@dataclass(frozen=True, slots=True)
class Policy:
    """So many days at the peak for every item of a category in a scope, from a day on, by a text."""

    code: str
    category: Category
    scope: str
    kind: Literal["days"]
    required_days: int
    method: str
    look_back_days: int
    effective_from: date
    source_title: str
    source_text: str


def _demonstration(code: str, category: Category, required_days: int, goods: str) -> Policy:
    return Policy(
        code,
        category,
        CITY,
        "days",
        required_days,
        "rolling_mean_max",
        365,
        date(2020, 6, 1),
        "演示设定(非正式文件)",
        f"演示设定:{goods}按日均消耗上限不少于 {required_days} 天储备。此为演示假设,请以本市正式文件替换。",
    )


POLICIES: tuple[Policy, ...] = (
    Policy(
        "PROTECTIVE-30D",
        "protective",
        CITY,
        "days",
        30,
        "rolling_mean_max",
        365,
        date(2020, 6, 1),
        "德州市 2020 年改革方案:市级医用物资战略储备库",
        "按照日均消耗上限,传染病防护物资不少于1个月储备",
    ),
    _demonstration("DISINFECTION-30D", "disinfection", 30, "消毒物资"),
    _demonstration("TESTING-15D", "testing", 15, "检测物资"),
    _demonstration("TREATMENT-20D", "treatment", 20, "救治物资"),
    _demonstration("MONITORING-20D", "monitoring", 20, "监护测温设备"),
    _demonstration("OTHER-15D", "other", 15, "其他应急物资"),
)
