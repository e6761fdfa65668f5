"""The columns a sheet may have, by kind, in English and Chinese, and the words their cells may hold."""

from enum import StrEnum

from reserve.model import QUANTITY_MAX, Category, ConsumptionSource, DocumentKind, LocationKind, Purpose
from reserve.sheets import Column, Row, code, day, gtin_text, lot_number, text, whole, word


class SheetKind(StrEnum):
    ITEMS = "items"
    LOCATIONS = "locations"
    MOVEMENTS = "movements"
    CONSUMPTION = "consumption"


class Answer(StrEnum):
    YES = "yes"
    NO = "no"


KINDS = tuple(SheetKind)


_KINDS: dict[DocumentKind, tuple[str, ...]] = {
    DocumentKind.RECEIPT: ("入库",),
    DocumentKind.ISSUE: ("出库", "发放"),
    DocumentKind.ADJUSTMENT: ("调整",),
}
_PURPOSES: dict[Purpose, tuple[str, ...]] = {
    Purpose.USE: ("使用", "领用"),
    Purpose.ALLOCATION: ("分配", "调拨"),
    Purpose.DONATION: ("捐赠",),
}
_CATEGORIES: dict[Category, tuple[str, ...]] = {
    Category.PROTECTIVE: ("防护", "防护用品"),
    Category.DISINFECTION: ("消杀", "消毒", "消杀用品"),
    Category.TESTING: ("检测", "检测试剂"),
    Category.TREATMENT: ("救治", "治疗", "救治设备"),
    Category.MONITORING: ("监测", "监护"),
    Category.OTHER: ("其他",),
}
_LOCATION_KINDS: dict[LocationKind, tuple[str, ...]] = {
    LocationKind.REGION: ("行政区", "地区"),
    LocationKind.WAREHOUSE: ("仓库", "储备库"),
    LocationKind.HOSPITAL: ("医院",),
    LocationKind.CDC: ("疾控", "疾控中心"),
    LocationKind.STATION: ("站点", "卫生院"),
}
_SOURCES: dict[ConsumptionSource, tuple[str, ...]] = {
    ConsumptionSource.REPORTS: ("上报",),
    ConsumptionSource.ISSUES: ("出库",),
    ConsumptionSource.NONE: ("无",),
}
_ANSWERS: dict[Answer, tuple[str, ...]] = {
    Answer.YES: ("是",),
    Answer.NO: ("否",),
}
REASONS: dict[str, tuple[str, ...]] = {
    "opening": ("期初",),
    "count_gain": ("盘盈",),
    "count_loss": ("盘亏",),
    "damaged": ("损坏",),
    "lost": ("丢失",),
    "found": ("找到",),
    "data_correction": ("数据更正", "更正"),
    "returned": ("退回",),
    "other": ("其他",),
}


def adjustment_reason(row: Row) -> str | None:
    """The code of an adjustment's reason; None where it is empty or none of ours."""
    said = row.values["reason"]
    return next((code for code, also in REASONS.items() if said == code or said in also), None)


_ITEM = Column("item", ("物资", "物资编码", "编码"), code, required=True)
_LOCATION = Column("location", ("库点", "库点编码", "仓库"), code, required=True)
_DATE = Column("date", ("日期", "业务日期"), day, required=True)

COLUMNS: dict[SheetKind, tuple[Column, ...]] = {
    SheetKind.ITEMS: (
        Column("code", ("编码", "物资编码"), code, required=True),
        Column("name_zh", ("中文名称", "名称", "物资名称"), text(120), required=True),
        Column("name_en", ("英文名称",), text(120), required=True),
        Column("category", ("类别", "分类"), word(_CATEGORIES), required=True),
        Column("base_unit", ("计量单位", "单位", "基本单位"), text(20), required=True),
        Column("standard", ("执行标准", "标准"), text(80)),
        Column("shelf_life_days", ("保质期天数", "有效期天数"), whole(least=1, most=100_000)),
        Column("gtin", ("商品条码", "条码"), gtin_text),
        Column("units_per_pack", ("每包装数量", "包装数量"), whole(least=1)),
        Column("pack_name", ("包装名称", "包装"), text(40)),
    ),
    SheetKind.LOCATIONS: (
        Column("code", ("编码", "库点编码"), code, required=True),
        Column("name_zh", ("中文名称", "名称", "库点名称"), text(120), required=True),
        Column("name_en", ("英文名称",), text(120), required=True),
        Column("kind", ("类型", "库点类型"), word(_LOCATION_KINDS), required=True),
        Column("parent", ("上级", "上级编码"), code),
        Column("consumption_source", ("消耗来源",), word(_SOURCES)),
    ),
    SheetKind.MOVEMENTS: (
        _DATE,
        _LOCATION,
        Column("kind", ("类型", "业务类型"), word(_KINDS), required=True),
        _ITEM,
        Column("lot_number", ("批号",), lot_number),
        Column("expires_on", ("有效期至", "有效期", "失效日期"), day),
        Column("quantity", ("数量",), whole(least=-QUANTITY_MAX), required=True),
        Column("reason", ("原因", "事由"), text(200)),
        Column("recipient", ("领用单位", "接收单位"), text(120)),
        Column("reference", ("凭证号", "单号"), text(120)),
        Column("purpose", ("用途",), word(_PURPOSES)),
    ),
    SheetKind.CONSUMPTION: (
        _DATE,
        _LOCATION,
        _ITEM,
        Column("quantity", ("数量", "消耗量"), whole(least=0), required=True),
        Column("asked", ("需求量", "请领量"), whole(least=0)),
        Column("out_of_stock", ("缺货",), word(_ANSWERS)),
    ),
}
