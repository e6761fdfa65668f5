"""The places of the demonstration city: Dezhou and its counties by GB/T 2260, and invented warehouses and reporters.

The area codes and names of regions are facts; people are rounded, and every warehouse, hospital and station is made
up and says so in its name (演示).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["region", "warehouse", "hospital", "cdc", "station"]

CITY = "371400"


@dataclass(frozen=True, slots=True)
class Place:
    """A place, after its parent. `weight` is its share among its kind: people of a region, stock, or use reported."""

    code: str
    name_zh: str
    name_en: str
    kind: Kind
    parent: str | None
    consumption_source: Literal["reports"] | None
    weight: float


@dataclass(frozen=True, slots=True)
class _County:
    code: str
    name_zh: str
    name_en: str
    people: int
    stocked: float
    """How well its warehouse is stocked for its people: 1 is like the others."""


_COUNTIES = (
    _County("371402", "德城区", "Decheng District", 560_000, 1.0),
    _County("371403", "陵城区", "Lingcheng District", 480_000, 1.0),
    _County("371422", "宁津县", "Ningjin County", 420_000, 1.1),
    _County("371423", "庆云县", "Qingyun County", 310_000, 0.35),
    _County("371424", "临邑县", "Linyi County", 480_000, 1.0),
    _County("371425", "齐河县", "Qihe County", 590_000, 1.2),
    _County("371426", "平原县", "Pingyuan County", 400_000, 0.9),
    _County("371427", "夏津县", "Xiajin County", 470_000, 1.0),
    _County("371428", "武城县", "Wucheng County", 350_000, 0.3),
    _County("371471", "德州天衢新区", "Tianqu New Area", 430_000, 0.9),
    _County("371481", "乐陵市", "Laoling City", 580_000, 1.1),
    _County("371482", "禹城市", "Yucheng City", 490_000, 1.0),
)
_URBAN = ("371402", "371471")
_PEOPLE = sum(county.people for county in _COUNTIES)
_STOCKED = sum(county.people * county.stocked for county in _COUNTIES)

PEOPLE: dict[str, int] = {CITY: _PEOPLE} | {county.code: county.people for county in _COUNTIES}
"""Residents of each region, rounded."""

_CITY_PLACES = (
    Place(CITY, "德州市", "Dezhou", "region", None, None, 1.0),
    Place("371400-W1", "市级物资储备库(演示)", "City reserve (demonstration)", "warehouse", CITY, None, 0.32),
    Place(
        "371400-W2", "市级备用储备库(演示)", "City reserve, second site (demonstration)", "warehouse", CITY, None, 0.12
    ),
    Place("371400-H1", "市演示第一医院", "City Demonstration Hospital No. 1", "hospital", CITY, "reports", 0.13),
    Place("371400-H2", "市演示第二医院", "City Demonstration Hospital No. 2", "hospital", CITY, "reports", 0.10),
    Place(
        "371400-H3",
        "市演示中医院",
        "City Demonstration Hospital of Chinese Medicine",
        "hospital",
        CITY,
        "reports",
        0.06,
    ),
    Place("371400-H4", "市演示妇幼保健院", "City Demonstration Maternity Hospital", "hospital", CITY, "reports", 0.05),
    Place("371400-C1", "市演示疾病预防控制中心", "City Demonstration CDC", "cdc", CITY, "reports", 0.02),
)
_COUNTY_WAREHOUSES, _COUNTY_HOSPITALS, _COUNTY_STATIONS = 0.56, 0.47, 0.17
"""The shares of the city's stock and use that lie in the counties, together."""


def _county_places(county: _County) -> tuple[Place, ...]:
    code, zh, en = county.code, county.name_zh, county.name_en
    share = county.people / _PEOPLE
    clinics = "社区卫生服务中心" if code in _URBAN else "乡镇卫生院"
    clinics_en = "community clinics" if code in _URBAN else "township clinics"
    stock = _COUNTY_WAREHOUSES * county.people * county.stocked / _STOCKED
    return (
        Place(code, zh, en, "region", CITY, None, share),
        Place(f"{code}-W1", f"{zh}演示储备库", f"{en} demonstration reserve", "warehouse", code, None, stock),
        Place(
            f"{code}-H1",
            f"{zh}演示医院",
            f"{en} Demonstration Hospital",
            "hospital",
            code,
            "reports",
            _COUNTY_HOSPITALS * share,
        ),
        Place(
            f"{code}-S1",
            f"{zh}{clinics}汇总(演示)",
            f"{en} {clinics_en} (demonstration)",
            "station",
            code,
            "reports",
            _COUNTY_STATIONS * share,
        ),
    )


PLACES: tuple[Place, ...] = (*_CITY_PLACES, *(place for county in _COUNTIES for place in _county_places(county)))
"""Parents before children."""

WAREHOUSES: tuple[Place, ...] = tuple(place for place in PLACES if place.kind == "warehouse")
REPORTERS: tuple[Place, ...] = tuple(place for place in PLACES if place.consumption_source == "reports")
