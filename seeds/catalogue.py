"""The articles a Chinese medical reserve holds: names, standards, shelf lives and pack sizes.

Standards are those the stock in a warehouse today was made to; an edition that came into force since then has its own
item when it is bought. Where no product standard is known to us there is None: we do not guess. The GTINs begin with
02, the range GS1 keeps for use inside one house, so that no company's number is taken; 371400 says whose house.
"""

from dataclasses import dataclass
from typing import Literal

Category = Literal["protective", "disinfection", "testing", "treatment", "monitoring", "other"]


@dataclass(frozen=True, slots=True)
class Pack:
    """A trade item: `units_per_pack` base units under one GTIN (包装规格)."""

    gtin: str
    units_per_pack: int
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """An article, counted in one base unit. Without `shelf_life_days` it is equipment and never expires."""

    code: str
    name_zh: str
    name_en: str
    category: Category
    base_unit: str
    standard: str | None
    shelf_life_days: int | None
    packs: tuple[Pack, ...]


def check_digit(digits: str) -> str:
    """Answer the GS1 check digit: weights 3, 1, 3 .. from the right (GS1 General Specifications, 7.9)."""
    return str(-sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))) % 10)


def _packs(article: int, *sizes: tuple[str, int]) -> tuple[Pack, ...]:
    """Number the packs of an article; its number is written beside it, so that a new item never renumbers another."""
    stems = [f"02371400{article:03d}{level:02d}" for level in range(1, len(sizes) + 1)]
    return tuple(Pack(stem + check_digit(stem), units, name) for stem, (name, units) in zip(stems, sizes, strict=True))


# A table reads better as a table: two lines an article.
# fmt: off
_PROTECTIVE = (
    Item("N95", "医用防护口罩", "Medical protective respirator", "protective", "只", "GB 19083-2010", 1095,
         _packs(101, ("盒", 20), ("箱", 1000))),
    Item("KN95", "自吸过滤式防颗粒物呼吸器(KN95)", "Particulate respirator (KN95)", "protective", "只",
         "GB 2626-2019", 1095, _packs(102, ("盒", 20), ("箱", 1000))),
    Item("SURGICAL-MASK", "医用外科口罩", "Surgical mask", "protective", "只", "YY 0469-2011", 730,
         _packs(103, ("盒", 50), ("箱", 2000))),
    Item("MEDICAL-MASK", "一次性使用医用口罩", "Single-use medical mask", "protective", "只", "YY/T 0969-2013", 730,
         _packs(104, ("盒", 50), ("箱", 2500))),
    Item("COVERALL", "医用一次性防护服", "Single-use protective coverall", "protective", "件", "GB 19082-2009", 1095,
         _packs(105, ("箱", 50))),
    Item("REUSABLE-COVERALL", "可重复使用医用防护服", "Reusable protective coverall", "protective", "件",
         "YY/T 1799-2020", 1825, _packs(106, ("箱", 20))),
    Item("GOWN", "一次性使用隔离衣", "Isolation gown", "protective", "件", None, 1095,
         _packs(107, ("包", 10), ("箱", 100))),
    Item("SURGICAL-GOWN", "一次性使用手术衣", "Surgical gown", "protective", "件", "YY/T 0506.2-2016", 1095,
         _packs(108, ("箱", 50))),
    Item("EXAM-GLOVES", "一次性使用医用橡胶检查手套", "Examination gloves", "protective", "双", "GB 10213-2006", 1095,
         _packs(109, ("盒", 50), ("箱", 500))),
    Item("SURGICAL-GLOVES", "一次性使用灭菌橡胶外科手套", "Sterile surgical gloves", "protective", "双",
         "GB/T 7543-2020", 1095, _packs(110, ("盒", 50), ("箱", 400))),
    Item("GOGGLES", "医用护目镜", "Protective goggles", "protective", "副", "GB 14866-2006", 1825,
         _packs(111, ("盒", 10), ("箱", 100))),
    Item("FACE-SHIELD", "医用隔离面罩", "Face shield", "protective", "只", None, 1095,
         _packs(112, ("包", 10), ("箱", 200))),
    Item("SHOE-COVERS", "一次性使用医用防护鞋套", "Protective shoe covers", "protective", "双",
         "YY/T 1633-2019", 1095, _packs(113, ("包", 50), ("箱", 500))),
    Item("BOOT-COVERS", "一次性使用医用防护靴套", "Protective boot covers", "protective", "双", None, 1095,
         _packs(114, ("包", 10), ("箱", 200))),
    Item("CAP", "一次性使用医用防护帽", "Protective cap", "protective", "只", "YY/T 1642-2019", 1095,
         _packs(115, ("包", 100), ("箱", 2000))),
    Item("APRON", "一次性使用防水围裙", "Waterproof apron", "protective", "件", None, 1095,
         _packs(116, ("包", 50), ("箱", 500))),
    Item("PAPR", "动力送风过滤式呼吸器", "Powered air-purifying respirator", "protective", "台",
         "GB 30864-2014", None, _packs(117, ("箱", 4))),
    Item("PAPR-FILTER", "动力送风呼吸器过滤元件", "Filter for a powered respirator", "protective", "只", None, 1825,
         _packs(118, ("盒", 10), ("箱", 100))),
)
_DISINFECTION = (
    Item("ALCOHOL-75", "75%酒精消毒液(500 mL)", "Alcohol disinfectant 75 % (500 mL)", "disinfection", "瓶",
         "GB/T 26373-2020", 730, _packs(201, ("箱", 30))),
    Item("HAND-RUB", "免洗手消毒凝胶(500 mL)", "Hand rub gel (500 mL)", "disinfection", "瓶", "GB/T 27950-2020", 730,
         _packs(202, ("箱", 24))),
    Item("CHLORINE-TABLETS", "含氯消毒片(100 片)", "Chlorine tablets (100)", "disinfection", "瓶",
         "GB/T 36758-2018", 730, _packs(203, ("箱", 50))),
    Item("BLEACH", "84 消毒液(500 mL)", "Sodium hypochlorite disinfectant (500 mL)", "disinfection", "瓶",
         "GB/T 36758-2018", 365, _packs(204, ("箱", 30))),
    Item("PEROXIDE", "过氧化氢消毒液(2.5 L)", "Hydrogen peroxide disinfectant (2.5 L)", "disinfection", "桶",
         "GB/T 26371-2020", 365, _packs(205, ("箱", 4))),
    Item("IODOPHOR", "碘伏消毒液(500 mL)", "Iodophor (500 mL)", "disinfection", "瓶", "GB/T 26368-2020", 730,
         _packs(206, ("箱", 20))),
    Item("WIPES", "消毒湿巾(80 片)", "Disinfecting wipes (80)", "disinfection", "包", None, 730,
         _packs(207, ("箱", 24))),
    Item("WASTE-BAG", "医疗废物专用包装袋", "Medical waste bag", "disinfection", "只", "HJ 421-2008", 1095,
         _packs(208, ("包", 50), ("箱", 1000))),
    Item("AIR-STERILISER", "移动式空气消毒机", "Mobile air steriliser", "disinfection", "台", "WS/T 648-2019", None,
         _packs(209, ("箱", 1))),
)
_TESTING = (
    Item("PCR-KIT", "呼吸道病毒核酸检测试剂盒(荧光 PCR 法)", "Respiratory virus PCR reagent", "testing", "人份",
         None, 365, _packs(301, ("盒", 48), ("箱", 960))),
    Item("EXTRACTION-KIT", "核酸提取试剂", "Nucleic acid extraction reagent", "testing", "人份", None, 365,
         _packs(302, ("盒", 96), ("箱", 960))),
    Item("ANTIGEN-TEST", "呼吸道病毒抗原检测试剂盒(胶体金法)", "Respiratory virus antigen test", "testing", "人份",
         None, 540, _packs(303, ("盒", 20), ("箱", 800))),
    Item("FLU-ANTIGEN", "甲型/乙型流感病毒抗原检测试剂", "Influenza A/B antigen test", "testing", "人份", None, 540,
         _packs(304, ("盒", 20), ("箱", 800))),
    Item("SAMPLING-TUBE", "一次性使用病毒采样管", "Virus sampling tube", "testing", "支", None, 540,
         _packs(305, ("盒", 50), ("箱", 1200))),
    Item("SWAB", "一次性使用采样拭子", "Sampling swab", "testing", "支", None, 730,
         _packs(306, ("包", 100), ("箱", 5000))),
    Item("SAMPLE-BOX", "生物样本转运箱", "Sample transport box", "testing", "只", None, None,
         _packs(307, ("箱", 1))),
)
_TREATMENT = (
    Item("SYRINGE", "一次性使用无菌注射器(5 mL)", "Sterile syringe (5 mL)", "treatment", "支", "GB 15810-2019", 1095,
         _packs(401, ("盒", 100), ("箱", 2000))),
    Item("INFUSION-SET", "一次性使用输液器(重力输液式)", "Gravity infusion set", "treatment", "套",
         "GB 8368-2018", 1095, _packs(402, ("包", 25), ("箱", 500))),
    Item("IV-CATHETER", "一次性使用静脉留置针", "Peripheral venous catheter", "treatment", "支", "YY 1282-2016", 1095,
         _packs(403, ("盒", 50), ("箱", 1000))),
    Item("NASAL-CANNULA", "一次性使用鼻氧管", "Nasal oxygen cannula", "treatment", "支", "YY/T 1543-2017", 1095,
         _packs(404, ("包", 50), ("箱", 500))),
    Item("OSELTAMIVIR", "磷酸奥司他韦胶囊(75 mg × 10 粒)", "Oseltamivir capsules (75 mg x 10)", "treatment", "盒",
         None, 1095, _packs(405, ("箱", 200))),
    Item("PARACETAMOL", "对乙酰氨基酚片(0.5 g × 20 片)", "Paracetamol tablets (0.5 g x 20)", "treatment", "盒",
         None, 1095, _packs(406, ("箱", 400))),
    Item("SALINE", "0.9% 氯化钠注射液(250 mL)", "Sodium chloride injection 0.9 % (250 mL)", "treatment", "袋",
         None, 730, _packs(407, ("箱", 30))),
    Item("VENTILATOR", "重症护理呼吸机", "Intensive care ventilator", "treatment", "台", "GB 9706.212-2020", None,
         _packs(408, ("箱", 1))),
    Item("OXYGEN-CONCENTRATOR", "医用分子筛制氧机", "Oxygen concentrator", "treatment", "台", None, None,
         _packs(409, ("箱", 1))),
)
_MONITORING = (
    Item("IR-THERMOMETER", "红外额温计", "Infrared forehead thermometer", "monitoring", "支", None, None,
         _packs(501, ("盒", 1), ("箱", 50))),
    Item("OXIMETER", "指夹式脉搏血氧仪", "Fingertip pulse oximeter", "monitoring", "台", "YY 0784-2010", None,
         _packs(502, ("盒", 1), ("箱", 100))),
    Item("PATIENT-MONITOR", "多参数监护仪", "Multi-parameter patient monitor", "monitoring", "台",
         "YY 0668-2008", None, _packs(503, ("箱", 1))),
    Item("ECG-ELECTRODE", "一次性使用心电电极", "Disposable ECG electrode", "monitoring", "片", "YY/T 0196-2005", 730,
         _packs(504, ("包", 50), ("箱", 2000))),
    Item("INFUSION-PUMP", "输液泵", "Infusion pump", "monitoring", "台", "GB 9706.224-2021", None,
         _packs(505, ("箱", 1))),
)
_OTHER = (
    Item("BED-SHEET", "一次性使用医用床单", "Disposable bed sheet", "other", "条", None, 1095,
         _packs(601, ("包", 20), ("箱", 200))),
    Item("ISOLATION-STRETCHER", "负压隔离担架", "Negative-pressure isolation stretcher", "other", "副", None, None,
         _packs(602, ("箱", 1))),
)
# fmt: on

ITEMS: tuple[Item, ...] = (*_PROTECTIVE, *_DISINFECTION, *_TESTING, *_TREATMENT, *_MONITORING, *_OTHER)
