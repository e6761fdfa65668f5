"""Every word of the pages in Chinese and English, and how days, units and dates are written in each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup, escape

Fact = dict[str, Any]
LANGUAGES: Final = ("zh", "en")
HTML_LANG: Final = {"zh": "zh-CN", "en": "en"}

# key -> (zh, en). "one|many" in English is chosen by n.
WORDS: Final[dict[str, tuple[str, str]]] = {
    # the shell
    "product": ("储备监测", "Reserve Monitor"),
    "product.line": ("医用物资战略储备", "Strategic reserve of medical supplies"),
    "skip": ("跳到正文", "Skip to content"),
    "overview": ("总览", "Overview"),
    "nav.page": ("本页内容", "On this page"),
    "nav.path": ("位置", "You are here"),
    "language": ("语言", "Language"),
    "scope": ("范围", "Scope"),
    "scope.choose": ("选择范围", "Choose a scope"),
    "as_of": ("数据截至", "Data as of"),
    "as_of.short": ("截至", "As of"),
    "as_of.never": ("尚未评估", "Not assessed yet"),
    "due": ("{n} 项待重算", "{n} item waiting to be recalculated|{n} items waiting to be recalculated"),
    "watch.silent": (
        "后台监测已 {since} 没有心跳，下面的数字可能已经过时。请运行 {command}",
        "The watcher has not been heard from for {since}; the figures below may be out of date. Run {command}",
    ),
    "watch.never": (
        "后台监测还没有运行过，数字不会自动更新。请运行 {command}",
        "The watcher has never run, so figures do not update by themselves. Run {command}",
    ),
    "minutes": ("{n} 分钟", "{n} minute|{n} minutes"),
    "hours": ("{n} 小时", "{n} hour|{n} hours"),
    "days_long": ("{n} 天", "{n} day|{n} days"),
    "stale.days": ("已 {n} 天未更新", "Not updated for {n} day|Not updated for {n} days"),
    "stale.due": ("有新流水，待重算", "Newer movements, not recalculated yet"),
    "colon": ("：", ": "),
    "comma": ("，", ", "),
    "stop": ("。", "."),
    # levels: shape and word carry, colour follows
    "level": ("级别", "Level"),
    "level.normal": ("达标", "OK"),
    "level.blue": ("蓝色 关注", "Watch"),
    "level.yellow": ("黄色 将跌破", "Falling"),
    "level.orange": ("橙色 低于要求", "Below"),
    "level.red": ("红色 严重不足", "Far below"),
    "level.unknown": ("未知", "Unknown"),
    # the verdict
    "verdict.total": ("{scope} {n} 种物资", "{scope}, {n} item|{scope}, {n} items"),
    "verdict.total.category": (
        "{scope} {n} 种{category}",
        "{scope}, {n} item of {category}|{scope}, {n} items of {category}",
    ),
    "verdict.below": ("{n} 种低于要求", "{n} below requirement"),
    "verdict.unknown": ("{n} 种无法判断", "{n} unknown"),
    "verdict.falling": ("{n} 种将跌破要求", "{n} about to fall below"),
    "verdict.normal": ("{n} 种达标", "{n} OK"),
    "verdict.all": ("全部达标", "all meet the requirement"),
    "lead.below": ("最急", "Most urgent"),
    "lead.falling": ("最早跌破", "Next to fall below"),
    "lead.unknown": ("待查", "To be cleared up"),
    "lead.normal": ("余量最少", "Least to spare"),
    "lead.days": ("{item}够用 {days} 天，要求 {required} 天", "{item}, {days} days of {required} required"),
    "lead.days.only": ("{item}够用 {days} 天", "{item}, {days} days"),
    "lead.short": ("缺 {units}", "short of {units}"),
    "lead.runs_out": ("{day}用尽", "runs out {day}"),
    "lead.falls": ("{day}跌破要求", "falls below on {day}"),
    # the list
    "items": ("物资", "Items"),
    "item": ("物资", "Item"),
    "items.attention": ("需要关注的物资", "Items that need attention"),
    "items.none": ("没有需要关注的物资。", "No item needs attention."),
    "items.normal": ("达标 {n} 种", "{n} item OK|{n} items OK"),
    "items.caption": ("按级别和跌破日排序", "Ordered by level, then by the day they fall below"),
    "category": ("类别", "Category"),
    "category.all": ("全部", "All"),
    "days": ("可用天数", "Days of coverage"),
    "days.of": ("可用天数 / 要求", "Days / required"),
    "required_days": ("要求天数", "Required days"),
    "unit.days": ("天", "days"),
    "bar": ("{days} 天，要求 {required} 天", "{days} days, {required} required"),
    "bar.unknown": ("可用天数未知", "Days of coverage unknown"),
    "usable": ("可用", "Usable"),
    "peak": ("峰值/日", "Peak/day"),
    "peak_daily": ("日均消耗上限", "Peak daily use"),
    "shortfall": ("缺口", "Shortfall"),
    "dates": ("跌破日 / 用尽日", "Falls below / runs out"),
    "falls": ("跌破", "Below"),
    "runs_out": ("用尽", "Out"),
    "falls_below_on": ("跌破日", "Falls below on"),
    "runs_out_on": ("用尽日", "Runs out on"),
    "chance": ("{days} 天内跌破的可能", "Chance to fall below in {days} days"),
    "with_promises": ("含协议 · 再含产能（天）", "Days with contracts · and capacity"),
    "already": ("已低于", "already"),
    "since": ("自 {when} 起", "since {when}"),
    "none": ("—", "—"),
    "expired": ("过期", "Expired"),
    "wasted": ("期间失效", "Expires unused"),
    "required": ("要求数量", "Required"),
    # tiles
    "tiles": ("县区", "Counties"),
    "tiles.nothing": ("没有物资", "No items"),
    # alerts
    "alerts": ("最近预警", "Recent alerts"),
    "alerts.none": ("没有预警。", "No alerts."),
    "alerts.became": ("此前{level}", "was {level}"),
    "notices.delivered": ("{receiver} {when} 送达", "{receiver}: delivered {when}"),
    "notices.failed": (
        "{receiver} 未送达，已试 {n} 次",
        "{receiver}: not delivered after {n} try|{receiver}: not delivered after {n} tries",
    ),
    "notices.pending": ("{receiver} 待送达", "{receiver}: waiting to be sent"),
    "notices.retrying": (
        "{receiver} 重试中，已试 {n} 次",
        "{receiver}: retrying after {n} try|{receiver}: retrying after {n} tries",
    ),
    "notices.none": ("没有接收人", "No receiver"),
    # empty and not found
    "empty.title": ("还没有数据", "No data yet"),
    "empty.why": (
        "这里还没有地点、物资和批次，所以没有可以评估的内容。",
        "There are no locations, items or lots here yet, so there is nothing to assess.",
    ),
    "empty.do": ("接下来可以", "What to do next"),
    "empty.demo": ("载入演示城市", "Load the demonstration city"),
    "empty.import": ("导入自己的台账", "Import your own records"),
    "empty.watch": ("重算一次", "Assess once"),
    "empty.scope": ("{scope}还没有可以评估的物资", "{scope} has no items to assess yet"),
    "empty.scope.why": (
        "这个范围内没有批次，也没有适用的要求；录入库存或导入后，再重算一次。",
        "No lots lie in this scope and no requirement applies to it. Record or import stock, then assess once.",
    ),
    "empty.category": ("这个类别没有物资。", "No items in this category."),
    "missing.scope": ("没有这个范围：{code}", "No such scope: {code}"),
    "missing.scope.do": (
        "编码可能写错，或地点尚未录入。请从下面选择。",
        "The code may be mistyped, or the location is not recorded yet. Choose one below.",
    ),
    "missing.item": ("{scope}没有这种物资：{code}", "No such item in {scope}: {code}"),
    "missing.item.do": (
        "编码可能写错，或这种物资尚未录入。请回到总览选择。",
        "The code may be mistyped, or the item is not recorded yet. Go back and choose it from the overview.",
    ),
    "missing.back": ("回到{scope}总览", "Back to the overview of {scope}"),
    "error": ("错误", "Error"),
    # the item
    "why": ("为什么是 {days} 天？", "Why {days} days?"),
    "why.unknown": ("为什么未知？", "Why unknown?"),
    "calculation": ("手算", "By hand"),
    "calculation.none": (
        "没有可靠的峰值，所以没有天数，也不画图。",
        "Without a known peak there are no days of coverage, and no chart of a guess.",
    ),
    "chart": ("按峰值消耗的走势", "Stock used at the peak"),
    "chart.days": ("{n} 天", "{n} days"),
    "chart.horizon": ("走势天数", "Days ahead"),
    "chart.note": (
        "要求 {days} 天 × 峰值 {peak} = {required}。没用完就失效的不算在天数里，跌破日可能早于曲线穿过要求线。",
        "Required {days} days × peak {peak} = {required}. Stock that expires unused does not count.",
    ),
    "chart.alt": ("{item}按峰值消耗的走势图", "Chart of {item} used at the peak"),
    "chart.alt.falls": ("{day} 跌破要求", "falls below on {day}"),
    "chart.alt.runs_out": ("{day} 用尽", "runs out on {day}"),
    "chart.usable": ("可用存量（{unit}）", "Usable stock ({unit})"),
    "chart.required": ("要求 {units}", "Required {units}"),
    "chart.required.days": ("要求 {days} 天 = {units}", "Required {days} days = {units}"),
    "chart.falls": ("{day} 跌破", "Falls below {day}"),
    "chart.runs_out": ("{day} 用尽", "Runs out {day}"),
    "chart.loss": ("失效 {units}", "{units} expire"),
    "chart.loss.lot": ("{lot} 失效 {units}", "{lot}: {units} expire"),
    "chart.table": ("同样的数字，逐日列出", "The same numbers, day by day"),
    "date": ("日期", "Date"),
    "table.start": ("日初可用", "Usable at start"),
    "table.days": ("可用天数", "Days left"),
    "table.lost": ("当日失效", "Expires"),
    "lots": ("批次", "Lots"),
    "lots.caption": ("哪些批次算在内，哪些没有，为什么", "Which lots count, which do not, and why"),
    "lots.none": ("没有批次。", "No lots."),
    "lots.rest": ("其余 {n} 批，全部计入", "The other {n} lot, counted|The other {n} lots, all counted"),
    "location": ("地点", "Location"),
    "lot": ("批号", "Lot"),
    "expiry": ("效期", "Expiry"),
    "life": ("剩余天数", "Days left"),
    "no_expiry": ("无效期", "No expiry"),
    "units": ("数量", "Units"),
    "counted": ("是否计入", "Counted"),
    "counted.yes": ("计入", "Counted"),
    "counted.expired": ("不计：已过期", "Left out: expired"),
    "counted.on_hold": ("不计：已冻结", "Left out: on hold"),
    "counted.no": ("不计", "Left out"),
    "peak.title": ("峰值从哪里来", "Where the peak comes from"),
    "peak.caption": (
        "{start} 至 {end}：连续 {width} 天中消耗最高的一段",
        "{start} to {end}: the highest run of {width} days",
    ),
    "peak.reported": ("已报", "Reported"),
    "peak.filled": ("未报，按各地峰值补", "Not reported, filled at own peak"),
    "peak.total": ("合计", "Total"),
    "peak.sum": ("{n} 天合计", "Sum of {n} days"),
    "peak.divide": ("÷ {n} = 每日峰值", "÷ {n} = peak per day"),
    "peak.lookback": ("回看 {start} 至 {end}，上报 {n} 天。", "Looked back {start} to {end}; {n} days reported."),
    "peak.share": ("这段时间内上报占比 {share} %。", "{share} % of use was reported in this window."),
    "peak.bound": (
        "有地点从未上报，峰值是下限，实际可能更高。",
        "Some locations never reported: this is a lower bound, the true peak may be higher.",
    ),
    "peak.none": ("没有足够的上报，算不出峰值。", "Too few reports to compute a peak."),
    "method": ("方法", "Method"),
    "reports": ("谁报了，谁没报", "Who reported, who was silent"),
    "reports.caption": ("各地点自己的峰值与上报情况", "Each location's own peak and reports"),
    "basis.history": ("依据上报历史", "From the reports"),
    "basis.lower_bound": ("缺报按 0 计，是下限", "Missing days as 0: a lower bound"),
    "basis.unknown": ("没有足够的上报", "Too few reports"),
    "basis.norm": ("申报的定额高于上报历史，以定额为准", "A declared norm is higher than the reports and stands"),
    "own_peak": ("自身峰值", "Own peak"),
    "days_reported": ("已报天数", "Days reported"),
    "days_missing": ("缺报天数", "Days missing"),
    "last_reported": ("最近上报", "Last report"),
    "never": ("从未", "never"),
    "reporting": ("状态", "State"),
    "reporting.yes": ("正常上报", "Reporting"),
    "reporting.silent": ("近 7 天未报", "Silent"),
    "reporting.unknown": ("无法判断", "Unknown"),
    "reports.rest": ("其余 {n} 处", "The other {n} location|The other {n} locations"),
    "reports.none": ("没有上报地点。", "No location reports."),
    "flagged": ("异常大的日报，已保留在计算中", "Unusually large days, kept in the calculation"),
    "policies": ("依据的要求", "The rules it is held to"),
    "policies.caption": (
        "现行要求与原文；缺口最大的一条起约束作用",
        "Rules in force with their text; the one with the largest shortfall binds",
    ),
    "policies.none": ("没有适用的要求。", "No rule applies."),
    "policy": ("要求", "Rule"),
    "kind.days": ("天数 × 峰值", "Days × peak"),
    "kind.persons": ("人数 × 天数 × 定额", "Persons × days × norm"),
    "kind.quantity": ("固定数量", "Fixed quantity"),
    "kind.full_load": ("床位 × 定额", "Beds × norm"),
    "kind.other": ("其他", "Other"),
    "effective": ("生效", "In force from"),
    "source_text": ("原文", "Source text"),
    "binding": ("起约束作用", "Binding"),
    # categories of the catalogue
    "category.protective": ("防护物资", "protective equipment"),
    "category.disinfection": ("消杀用品", "disinfectants"),
    "category.testing": ("检测用品", "testing supplies"),
    "category.treatment": ("救治药械", "treatment supplies"),
    "category.monitoring": ("监测设备", "monitoring devices"),
    "category.other": ("其他物资", "other supplies"),
}

# Base units as the catalogue writes them, in either language; English in one|many.
UNITS: Final[tuple[tuple[str, str], ...]] = (
    ("只", "piece|pieces"),
    ("件", "piece|pieces"),
    ("个", "piece|pieces"),
    ("副", "pair|pairs"),
    ("双", "pair|pairs"),
    ("套", "set|sets"),
    ("台", "unit|units"),
    ("条", "piece|pieces"),
    ("桶", "jug|jugs"),
    ("瓶", "bottle|bottles"),
    ("盒", "box|boxes"),
    ("箱", "case|cases"),
    ("包", "pack|packs"),
    ("袋", "bag|bags"),
    ("卷", "roll|rolls"),
    ("片", "tablet|tablets"),
    ("粒", "capsule|capsules"),
    ("支", "vial|vials"),
    ("人份", "test|tests"),
    ("升", "litre|litres"),
    ("毫升", "ml|ml"),
    ("千克", "kg|kg"),
)
WEEKDAYS: Final = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Reader:
    """Who looks: the language, where they are, and links that keep both."""

    lang: str
    language_asked: bool
    path: str
    params: Mapping[str, str]
    fresh: Fact

    @classmethod
    def of(cls, request: Request, fresh: Fact) -> "Reader":
        query = dict(request.query_params)
        asked = query.pop("lang", None)
        lang = choose_language(asked, request.cookies.get("lang"), request.headers.get("accept-language"))
        return cls(lang, asked == lang, quote(request.url.path), query, fresh)

    def t(self, key: str, **values: object) -> str:
        return say(self.lang, key, **values)

    def name(self, thing: Fact) -> str:
        return name_of(self.lang, thing)

    def link(self, path: str, **params: str) -> str:
        kept = {key: value for key, value in params.items() if value}
        if self.language_asked:
            kept.setdefault("lang", self.lang)
        return f"{path}?{urlencode(kept)}" if kept else path

    def item_link(self, item: str, **params: str) -> str:
        return self.link(f"/items/{quote(item, safe='')}", **params)

    def switch(self, lang: str) -> str:
        return f"{self.path}?{urlencode({**self.params, 'lang': lang})}"

    @property
    def now(self) -> datetime:
        return moment(self.fresh["now"], self.fresh["timezone"])

    def moment(self, iso: str) -> str:
        return f"{moment(iso, self.fresh['timezone']):%Y-%m-%d %H:%M}"

    def clock(self, iso: str) -> str:
        """Write the time alone when it is today's."""
        when = moment(iso, self.fresh["timezone"])
        return f"{when:%H:%M}" if when.date() == self.now.date() else f"{when:%Y-%m-%d %H:%M}"

    def sentence(self, parts: Iterable[str]) -> str:
        return self.t("comma").join(part for part in parts if part) + self.t("stop")


def say(lang: str, key: str, **values: object) -> str:
    """Return the word or sentence of a key; a key that does not exist is a bug and raises."""
    text = WORDS[key][LANGUAGES.index(lang)]
    if "|" in text:
        one, many = text.split("|")
        text = one if values.get("n") == 1 else many
    return text.format(**values) if values else text


def choose_language(asked: str | None, kept: str | None, accepted: str | None) -> str:
    """Take the language asked for in the address, else the cookie's, else the browser's, else Chinese."""
    for choice in (asked, kept):
        if choice in LANGUAGES:
            return choice
    wishes = [wish.split(";q=") for wish in (accepted or "").replace(" ", "").lower().split(",") if wish]
    ranked = sorted(wishes, key=lambda wish: -_quality(wish[1:]))
    for tag, *quality in ranked:
        if _quality(quality) > 0 and tag.split("-")[0] in LANGUAGES:
            return tag.split("-")[0]
    return "zh"


def name_of(lang: str, thing: Mapping[str, object]) -> str:
    """Return a thing's name in the page's language, or its code where it has none."""
    return str(thing.get(f"name_{lang}") or thing["code" if "code" in thing else "item"])


def category(lang: str, code: str, *, title: bool = False) -> str:
    name = say(lang, f"category.{code}") if f"category.{code}" in WORDS else code
    return name[:1].upper() + name[1:] if title else name


def unit(lang: str, base_unit: str, count: int | None = None) -> str:
    """Return a base unit in the page's language; one that nobody translated stays as it was recorded."""
    for zh, en in UNITS:
        one, many = en.split("|")
        if base_unit.lower() in {zh, one, many}:
            return zh if lang == "zh" else (one if count == 1 else many)
    return base_unit


def units(lang: str, count: int, base_unit: str) -> str:
    return f"{count:,} {unit(lang, base_unit, count)}"


def number(count: float | None) -> str:
    """Write a quantity with thousands separators; what is not known is a dash, never 0."""
    if count is None:
        return "—"
    return f"{count:,.0f}" if count == int(count) else f"{count:,.1f}"


def days(amount: float) -> str:
    """Round days down to one decimal: 29.97 is 29.9, because shown numbers never look better than they are."""
    return f"{Decimal(str(amount)).quantize(Decimal('0.1'), ROUND_FLOOR):,}"


def percent(share: float) -> str:
    return f"{round(share * 100)}%"


def rate(amount: float) -> str:
    """Round units a day up to one decimal, for the same reason; whole rates have none."""
    return f"{Decimal(str(amount)).quantize(Decimal('0.1'), ROUND_CEILING):,}".removesuffix(".0")


def short_day(lang: str, day: str, beside: str) -> str:
    """Write a date for a sentence; the year is left out when it is that of the date beside it."""
    when = date.fromisoformat(day)
    if lang == "zh":
        return f"{when.month}月{when.day}日" if day[:4] == beside[:4] else f"{when.year}年{when.month}月{when.day}日"
    return f"{when.day} {MONTHS[when.month - 1]}" + ("" if day[:4] == beside[:4] else f" {when.year}")


def long_day(lang: str, day: str) -> str:
    when = date.fromisoformat(day)
    weekday = WEEKDAYS[lang][when.weekday()]
    if lang == "zh":
        return f"{when.year}年{when.month}月{when.day}日 周{weekday}"
    return f"{weekday} {when.day} {MONTHS[when.month - 1]} {when.year}"


def moment(iso: str, timezone: str) -> datetime:
    """Read a stored moment as the city's clock shows it."""
    read = datetime.fromisoformat(iso)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(ZoneInfo(timezone))


def elapsed(lang: str, seconds: float) -> str:
    """Write how long ago in the largest whole unit."""
    minutes = max(1, int(seconds // 60))
    if minutes < 120:
        return say(lang, "minutes", n=minutes)
    return say(lang, "hours", n=minutes // 60) if minutes < 48 * 60 else say(lang, "days_long", n=minutes // 1440)


def whole_dates(text: str) -> Markup:
    """Keep the dates of a sentence in one piece at the end of a line."""
    return Markup(re.sub(r"\d{4}-\d\d-\d\d", r'<span class="whole">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped first


def _quality(parameters: list[str]) -> float:
    try:
        return float(parameters[0]) if parameters else 1.0
    except ValueError:
        return 0.0
