"""A paper resolved into cells and set by typst: tables, facts, signatures, with the words of both languages."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from api import codes
from api.codes import Code

if TYPE_CHECKING:
    from typst import Fonts


Language = Literal["zh", "en"]


class Named(NamedTuple):
    """An item or a place: its code, and its name in both languages."""

    code: str
    zh: str = ""
    en: str = ""


class Printing(NamedTuple):
    """What every paper says of itself at its foot: when it was printed, and the seal of the ledger it was read from."""

    at: datetime
    zone: ZoneInfo
    owner: str = ""
    """Who keeps the reserve; the line above the title."""
    seal: str = ""
    digest: str = ""


class Cell(NamedTuple):
    text: str
    small: str = ""
    """A second, smaller line."""
    tight: bool = False
    """Never broken: drawn narrower when its column is."""


class Column(NamedTuple):
    title: str
    width_mm: float = 0
    """0 takes what the others leave."""
    number: bool = False


class Row(NamedTuple):
    cells: Sequence[Cell]
    struck: bool = False
    strong: bool = False


class Table(NamedTuple):
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    empty: str = ""


class Sheet(NamedTuple):
    """A paper with all its words resolved: for typst, and for a page that shows the same."""

    language: Language
    owner: str
    title: str
    number: str
    mark: str
    code: Code | None
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    signatures: Sequence[str]
    foot: Sequence[str]
    landscape: bool = False


def sheet_pdf(sheet: Sheet, printing: Printing) -> bytes:
    """Set a resolved paper as PDF/A-2a."""
    code = sheet.code
    data = {
        **sheet._asdict(),
        "code": codes.svg(code) if code else "",
        "code_text": codes.readable(code) if code else "",
        "tables": [
            {
                **table._asdict(),
                "columns": [column._asdict() for column in table.columns],
                "rows": [{**row._asdict(), "cells": [cell._asdict() for cell in row.cells]} for row in table.rows],
            }
            for table in sheet.tables
        ],
        "page_of": say(sheet.language, "page_of").split("{}"),
        "signed_on": say(sheet.language, "signed_on"),
    }
    return typeset("sheet", data, printing.at)


def foot_lines(language: Language, printing: Printing, about: str) -> list[str]:
    printed = f"{say(language, 'printed')} {moment_text(printing.at, printing.zone)} ({printing.zone})"
    sealed = [f"{say(language, label)} {value}" for label, value in seal_facts(printing) if value]
    return [breakable(line) for line in (f"{about} · {printed}", " · ".join(sealed)) if line]


def seal_facts(printing: Printing) -> list[tuple[str, str]]:
    return [("seal", printing.seal), ("digest", printing.digest)]


def name_in(thing: Named | None, language: Language) -> str:
    if thing is None:
        return ""
    return (thing.zh if language == "zh" else thing.en) or thing.zh or thing.en or thing.code


def other_name_in(thing: Named, language: Language) -> str:
    other = thing.en if language == "zh" else thing.zh
    return "" if other == name_in(thing, language) else other


def with_code(thing: Named | None, language: Language) -> str:
    if thing is None:
        return ""
    name = name_in(thing, language)
    return name if name == thing.code else f"{name} {thing.code}"


def moment_text(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else ""


def day_text(day: date | None, language: Language) -> str:
    return str(day) if day else say(language, "no_expiry")


def count_cell(units: int | None) -> Cell:
    return Cell("" if units is None else f"{units:,}", tight=True)


def code_cell(code: str) -> Cell:
    """A code in one piece, unless that would make it too narrow to read."""
    return Cell(breakable(code, 10), tight=False) if len(code) > 20 else Cell(code, tight=True)


def signed_text(units: int) -> str:
    return f"{units:+,}" if units else "0"


def fitting_mm(texts: Iterable[str], least: float, most: float) -> float:
    """Width in mm of a column of codes in 9 pt, with its white edges."""
    widest = max((text_width(text) for text in texts), default=0) * 3.175 + 3.4
    return round(min(most, max(least, widest)), 1)


def breakable(text: str, longest: int = 24) -> str:
    """Let a run of letters without a space break at the end of a line, where it would leave its column."""
    return " ".join(
        word if len(word) <= longest or any(map(is_wide, word)) else "\u200b".join(_chunks(word, longest))
        for word in text.split(" ")
    )


def _chunks(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def say(language: str, key: str) -> str:
    return _WORDS[key][0 if language == "zh" else 1]


_HERE: Final = Path(__file__).parent


@lru_cache(maxsize=1)
def _fonts() -> "Fonts":
    """Read our own font once, and no other: a paper must look the same on every machine."""
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[_HERE / "fonts"])


def typeset(template: str, data: Mapping[str, Any], printed_at: datetime) -> bytes:
    """Compile a template with the data as JSON; the moment of printing is the only clock it sees."""
    import typst

    def compiled(standards: list[Any]) -> bytes:
        made = typst.compile(
            _HERE / "print" / f"{template}.typ",
            root=_HERE / "print",
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"sheet": json.dumps(_printable(data), ensure_ascii=False)},
            timestamp=int(printed_at.timestamp()),
            format="pdf",
            pdf_standards=standards,
        )
        assert isinstance(made, bytes)  # noqa: S101 - one file, because no output path is given
        return made

    try:
        return compiled(["a-2a"])
    except typst.TypstError:
        # an archive's PDF may not hold a character that its font lacks; a paper must print all the same
        return compiled([])


def _printable(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return codes.plain(value)
    if isinstance(value, Mapping):
        return {key: _printable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(part) for part in value]
    return value


# key -> (zh, en)
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title.receipt": ("入库单", "Receipt note"),
    "title.issue": ("出库单", "Issue note"),
    "title.transfer": ("调拨单", "Transfer note"),
    "title.count_sheet": ("盘点表（盲盘）", "Count sheet (blind)"),
    "title.count": ("盘点表（核准）", "Count sheet (approved)"),
    "title.disposal": ("报废单", "Disposal note"),
    "title.adjustment": ("调整单", "Adjustment note"),
    "title.reversal": ("冲销单", "Reversal note"),
    "title.inspection": ("验收单", "Inspection note"),
    "title.stock_card": ("库存台账", "Stock card"),
    "title.recall": ("召回追溯单", "Recall trace"),
    "labels": ("标签", "Labels"),
    "draft": ("草稿", "DRAFT"),
    "reversed": ("已冲销", "REVERSED"),
    "partly_reversed": ("部分冲销", "PARTLY REVERSED"),
    "held": ("已冻结", "ON HOLD"),
    "not_held": ("未冻结", "not on hold"),
    "number": ("单号", "Number"),
    "occurred": ("业务时间", "Date and time"),
    "place": ("地点", "Location"),
    "actor": ("制单人", "Recorded by"),
    "source": ("调出地点", "From"),
    "target": ("调入地点", "To"),
    "supplier": ("供货/捐赠方", "Supplier or donor"),
    "recipient": ("领用单位", "Recipient"),
    "purpose": ("用途", "Purpose"),
    "purpose.use": ("使用", "Use"),
    "purpose.allocation": ("调拨", "Allocation"),
    "purpose.donation": ("捐赠", "Donation"),
    "reference": ("参考号", "Reference"),
    "reverses": ("冲销单据", "Reverses"),
    "reason": ("原因", "Reason"),
    "approved": ("核准", "Approved"),
    "no": ("序号", "No."),
    "item": ("物资", "Item"),
    "code": ("编码", "Code"),
    "lot": ("批号", "Lot"),
    "expiry": ("有效期至", "Use by"),
    "made": ("生产日期", "Made on"),
    "no_expiry": ("无效期", "No expiry"),
    "unit": ("单位", "Unit"),
    "quantity": ("数量", "Quantity"),
    "adjusted": ("调整数量", "Change"),
    "remark": ("备注", "Remark"),
    "book": ("账面数", "Book"),
    "counted": ("实盘数", "Counted"),
    "recounted": ("复盘数", "Recount"),
    "variance": ("差异", "Variance"),
    "result": ("结论", "Result"),
    "result.passed": ("合格", "Passed"),
    "result.downgraded": ("降级", "Down-graded"),
    "result.rejected": ("不合格", "Rejected"),
    "no_lines": ("没有明细。", "No lines."),
    "totals": ("各物资合计", "Totals by item"),
    "lines": ("行数", "Lines"),
    "total": ("合计", "Total"),
    "subtotal": ("小计", "Subtotal"),
    "of_which_reversed": ("其中已冲销", "Of which reversed"),
    "when": ("时间", "Date and time"),
    "document": ("单号", "Document"),
    "from_to": ("来源/去向", "From / to"),
    "in": ("收入", "In"),
    "out": ("发出", "Out"),
    "balance": ("结存", "Balance"),
    "person": ("经手人", "Person"),
    "opening": ("期初结存", "Opening balance"),
    "closing": ("期末结存", "Closing balance"),
    "period": ("期间", "Period"),
    "state": ("状态", "State"),
    "hold": ("冻结", "Hold"),
    "balance_of": ("数量核对", "Does it add up?"),
    "came.sum": ("入库", "Received"),
    "lies.sum": ("现存", "On hand"),
    "in_transit.sum": ("在途", "In transit"),
    "went.sum": ("已发出", "Issued"),
    "disposed.sum": ("已报废", "Disposed"),
    "unexplained": ("其他（调整等）", "Other (adjustments)"),
    "part.lies": ("现存地点", "Where it lies now"),
    "part.in_transit": ("在途", "In transit"),
    "part.came": ("从哪里来", "Where it came from"),
    "part.went": ("发给了谁", "Who received it"),
    "part.disposed": ("已报废", "Disposed"),
    "nothing": ("没有记录。", "None."),
    "sign.prepared": ("制单", "Prepared by"),
    "sign.checked": ("审核", "Checked by"),
    "sign.approved": ("批准", "Approved by"),
    "sign.handed_out": ("发货经手", "Handed out by"),
    "sign.delivered": ("送货人", "Delivered by"),
    "sign.received": ("领用签收", "Received by"),
    "sign.received_in": ("收货签收", "Received by"),
    "sign.sent": ("调出经手", "Sent by"),
    "sign.carried": ("承运", "Carried by"),
    "sign.counted": ("盘点人", "Counted by"),
    "sign.recounted": ("复盘人", "Recounted by"),
    "sign.witnessed": ("监督人", "Witnessed by"),
    "sign.carried_out": ("执行人", "Carried out by"),
    "sign.inspected": ("验收人", "Inspected by"),
    "signed_on": ("签名 / 日期", "Signature / date"),
    "page_of": ("第 {} 页 共 {} 页", "Page {} of {}"),
    "printed": ("打印于", "Printed"),
    "seal": ("封存", "Seal"),
    "digest": ("摘要", "Digest"),
    "label.lot": ("批号", "Lot"),
    "label.use_by": ("有效期至", "Use by"),
    "label.pack": ("每包 {n} {unit}", "{n} {unit} a pack"),
    "label.within": ("隶属", "In"),
}


def text_width(text: str) -> float:
    """Estimate the width of a text in heights of its letters."""
    return sum(1.0 if is_wide(c) else 0.7 if c.isupper() or c in "mw@%—" else 0.56 for c in text)


def is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
