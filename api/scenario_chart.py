"""A scenario drawn as an SVG: cases and beds, use a day, dated stock against the required line, on one axis of days.

Written element by element: no inline style, no script, words as text that the reader's own fonts draw. Every line has
its own dash and its own words, so that nothing hangs on colour.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from api.charts import DARK, FONTS, LIGHT, SVG, round_step

Json = dict[str, Any]

WIDTH: Final = 960
LEFT: Final = 96
RIGHT: Final = 24
DASHES: Final = ("none", "9 5", "3 4", "12 4 3 4", "1 4", "16 6", "6 2 2 2 2 2")
"""One for each line of a comparison; after the last they come again with a mark on every tenth day."""

WORDS: Final[dict[str, tuple[str, str]]] = {
    "course": ("疫情（人）", "Outbreak (persons)"),
    "cases": ("新增病例/日", "new cases a day"),
    "in_hospital": ("在院", "in hospital"),
    "critical": ("危重", "critical"),
    "use": ("每日用量（{unit}）", "Use a day ({unit})"),
    "own_peak": ("情景 7 日均峰值 {n}", "scenario's 7-day peak {n}"),
    "rule_peak": ("按制度的日均消耗上限 {n}", "the rule's peak {n}"),
    "stock": ("可用库存（{unit}）", "Usable stock ({unit})"),
    "required": ("制度要求 {days} 天 = {n}", "required, {days} days = {n}"),
    "runs_out": ("{day} 起不足（第 {n} 天）", "short from {day} (day {n})"),
    "lasts": ("情景期内够用，余 {n}", "lasts the scenario, {n} left"),
    "today": ("今天 {day}", "today {day}"),
    "days": ("距今天数", "days from today"),
    "out": ("第 {n} 天用尽", "out on day {n}"),
    "enough": ("够用", "lasts"),
    "norms": ("定额 {norms}", "norms {norms}"),
}


class Panel(NamedTuple):
    """A strip of the drawing: `top` and `height` in pixels, `most` at its upper edge."""

    top: int
    height: int
    most: float
    days: int

    def x(self, day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / max(self.days, 1)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - value / self.most)


class Sheet:
    """The drawing as it grows."""

    def __init__(self, height: int, *, lang: str, dark: bool, title: str) -> None:
        self.colour, self.lang = (DARK if dark else LIGHT), lang
        self.root = ET.Element(
            "svg",
            {
                "xmlns": SVG,
                "width": str(WIDTH),
                "height": str(height),
                "viewBox": f"0 0 {WIDTH} {height}",
                "font-family": FONTS,
                "font-size": "14",
                "role": "img",
                "aria-label": title,
            },
        )
        self.ground = "#10161d" if dark else "#ffffff"
        self.add("rect", x=0, y=0, width=WIDTH, height=height, fill=self.ground)
        self.text(LEFT, 26, title, "ink", size=18, bold=True)

    def say(self, key: str, **values: object) -> str:
        return WORDS[key][0 if self.lang == "zh" else 1].format(**values)

    def add(self, name: str, **attributes: object) -> ET.Element:
        told = {key.rstrip("_").replace("_", "-"): _plain(value) for key, value in attributes.items()}
        return ET.SubElement(self.root, name, told)

    def text(
        self, x: float, y: float, words: str, colour: str, *, size: int = 14, anchor: str = "start", bold: bool = False
    ) -> None:
        """Words with a rim of the ground around them, so that a line behind does not strike them through."""
        found = self.add(
            "text",
            x=x,
            y=y,
            fill=self.colour[colour],
            font_size=size,
            text_anchor=anchor,
            font_weight="bold" if bold else "normal",
            stroke=self.ground,
            stroke_width=4,
            stroke_linejoin="round",
            paint_order="stroke",
        )
        found.text = "".join(letter for letter in words if letter.isprintable())

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2.4, dash: str = "none"
    ) -> None:
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.add(
            "polyline", points=told, fill="none", stroke=self.colour[colour], stroke_width=width, stroke_dasharray=dash
        )

    def scale(self, panel: Panel, title: str) -> None:
        """A panel's title, its grid and numbers."""
        self.text(LEFT, panel.top - 8, title, "stock", bold=True)
        step = round_step(panel.most / 3)
        for n in range(int(panel.most / step) + 1):
            y = panel.y(n * step)
            self.line([(LEFT, y), (WIDTH - RIGHT, y)], "rule", width=1)
            self.text(LEFT - 8, y + 5, f"{n * step:,}", "muted", size=13, anchor="end")

    def days(self, panel: Panel, labels: Sequence[tuple[int, str]]) -> None:
        for day, words in labels:
            x = panel.x(day)
            bottom = panel.top + panel.height
            self.line([(x, bottom), (x, bottom + 5)], "muted", width=1)
            self.text(x, bottom + 21, words, "muted", size=13, anchor="middle")

    def bytes(self) -> bytes:
        drawn: bytes = ET.tostring(self.root, encoding="utf-8")
        return drawn


def chart(name: str, found: Json, row: Json, *, lang: str, dark: bool) -> bytes:
    """One item under one scenario."""
    item = row["name_zh"] if lang == "zh" else row["name_en"]
    sheet = Sheet(684, lang=lang, dark=dark, title=f"{name} · {item}")
    corner = f"{sheet.say('norms', norms=found['norms'])} · {sheet.say('today', day=found['path_from'])}"
    sheet.text(WIDTH - RIGHT, 26, corner, "muted", anchor="end")
    starts, today = date.fromisoformat(found["starts_on"]), date.fromisoformat(found["path_from"])
    first = min(starts, today)
    begins, now = (starts - first).days, (today - first).days
    span = max(begins + found["days"], now + len(row["usable_by_day"]) - 1)
    _course(sheet, found, begins, span)
    _use(sheet, row, begins, span)
    _stock(sheet, row, now, span, first)
    return sheet.bytes()


def _course(sheet: Sheet, found: Json, begins: int, span: int) -> None:
    by_day = found["by_day"]
    cases, census = by_day["cases"], by_day["census"]
    together = [sum(values) for values in zip(*census.values(), strict=True)] if census else []
    panel = Panel(66, 130, max([*(cases or []), *together, 1.0]) * 1.15, span)
    sheet.scale(panel, sheet.say("course"))
    keys = []
    if cases is not None:
        width = max(1.0, (WIDTH - LEFT - RIGHT) / max(span, 1) - 1)
        for day, number in enumerate(cases):
            if number:
                x, y = panel.x(begins + day), panel.y(number)
                height = panel.top + panel.height - y
                sheet.add("rect", x=x, y=y, width=width, height=height, fill=sheet.colour["muted"], fill_opacity=0.45)
        keys.append(("▮", sheet.say("cases"), "muted"))
    if together:
        sheet.line([(panel.x(begins + d), panel.y(n)) for d, n in enumerate(together)], "stock")
        keys.append(("—", sheet.say("in_hospital"), "stock"))
    if "critical" in census and len(census) > 1:
        points = [(panel.x(begins + d), panel.y(n)) for d, n in enumerate(census["critical"])]
        sheet.line(points, "below", width=2, dash="6 4")
        keys.append(("- -", sheet.say("critical"), "below"))
    _legend(sheet, panel.top - 8, keys)


def _use(sheet: Sheet, row: Json, begins: int, span: int) -> None:
    demand, rule = row["demand"], row["rule"]["peak_daily"]
    panel = Panel(244, 110, max([*demand, row["seven_day_peak"], rule or 0, 1.0]) * 1.25, span)
    sheet.scale(panel, sheet.say("use", unit=row["base_unit"]))
    width = max(1.0, (WIDTH - LEFT - RIGHT) / max(span, 1) - 1)
    for day, units in enumerate(demand):
        if units:
            x, y = panel.x(begins + day), panel.y(units)
            height = panel.top + panel.height - y
            sheet.add("rect", x=x, y=y, width=width, height=height, fill=sheet.colour["fill"], fill_opacity=0.55)
    _level(sheet, panel, row["seven_day_peak"], sheet.say("own_peak", n=_number(row["seven_day_peak"])), "3 4", "ink")
    if rule:
        _level(sheet, panel, rule, sheet.say("rule_peak", n=_number(rule)), "9 5", "below", right=True)


def _stock(sheet: Sheet, row: Json, now: int, span: int, first: date) -> None:
    left, rule = row["usable_by_day"], row["rule"]
    required = rule["required"]
    panel = Panel(402, 220, max([*left, required or 0, 1.0]) * 1.15, span)
    sheet.scale(panel, sheet.say("stock", unit=row["base_unit"]))
    points = [(panel.x(now + day), panel.y(units)) for day, units in enumerate(left)]
    base = panel.top + panel.height
    area = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(points[0][0], base), *points, (points[-1][0], base)])
    sheet.add("polygon", points=area, fill=sheet.colour["fill"], fill_opacity=0.14)
    sheet.line(points, "stock", width=2.8)
    if required:
        words = sheet.say("required", days=rule["required_days"], n=_number(required))
        _level(sheet, panel, required, words, "9 5", "ink", right=True)
    sheet.line([(panel.x(now), 46), (panel.x(now), base)], "muted", width=1, dash="2 4")
    if row["runs_out_on"] is None:
        words = sheet.say("lasts", n=f"{row['left']:,}")
        sheet.text(WIDTH - RIGHT - 4, min(points[-1][1], base - 8) - 8, words, "stock", anchor="end", bold=True)
    else:
        at = (date.fromisoformat(row["runs_out_on"]) - first).days
        x = panel.x(at)
        sheet.add("rect", x=x - 6, y=base - 6, width=12, height=12, fill=sheet.colour["out"])
        words = sheet.say("runs_out", day=row["runs_out_on"], n=at - now + 1)
        flip = x > WIDTH * 0.7
        sheet.text(x - 10 if flip else x + 10, base - 12, words, "out", anchor="end" if flip else "start", bold=True)
    every = max(1, ceil(span / 8))
    ticks = [(n, (first + timedelta(days=n)).isoformat()[5:]) for n in range(0, span + 1, every)]
    sheet.days(panel, ticks)


def comparison(lines: Sequence[tuple[str, str, Json, Json]], *, lang: str, dark: bool) -> bytes:
    """One item's stock under several scenarios, each from the day of its run on: (code, name, result, its row)."""
    _, _, _, row = lines[0]
    item = row["name_zh"] if lang == "zh" else row["name_en"]
    head = 70 + 22 * len(lines)
    sheet = Sheet(head + 330, lang=lang, dark=dark, title=item)
    span = max(len(one["usable_by_day"]) - 1 for *_, one in lines)
    required = row["rule"]["required"]
    most = max([required or 0, 1.0, *(units for *_, one in lines for units in one["usable_by_day"])])
    panel = Panel(head, 260, most * 1.1, span)
    sheet.scale(panel, sheet.say("stock", unit=row["base_unit"]))
    if required:
        words = sheet.say("required", days=row["rule"]["required_days"], n=_number(required))
        _level(sheet, panel, required, words, "2 3", "ink", right=True)
    shades = ("stock", "below", "out", "ink")
    for n, (code, name, found, one) in enumerate(lines):
        colour, dash = shades[n % len(shades)], DASHES[n % len(DASHES)]
        points = [(panel.x(day), panel.y(units)) for day, units in enumerate(one["usable_by_day"])]
        sheet.line(points, colour, dash=dash)
        mark = chr(ord("A") + n)
        apart = max(2, span // 4)
        for day in range(max(1, apart * (n + 1) // (len(lines) + 1)), len(points), apart):
            if one["usable_by_day"][day]:
                sheet.text(points[day][0], points[day][1] - 5, mark, colour, size=12, anchor="middle", bold=True)
        y = 52 + 22 * n
        sheet.line([(LEFT, y - 5), (LEFT + 46, y - 5)], colour, dash=dash)
        end = sheet.say("enough")
        if one["runs_out_on"] is not None:
            out = (date.fromisoformat(one["runs_out_on"]) - date.fromisoformat(found["path_from"])).days
            end = sheet.say("out", n=out + 1)
            x, base = panel.x(out), panel.top + panel.height
            sheet.add("rect", x=x - 5, y=base - 5, width=10, height=10, fill=sheet.colour[colour])
        words = f"{mark}  {code} · {name} · {sheet.say('norms', norms=found['norms'])} · {end}"
        sheet.text(LEFT + 56, y, words, colour, bold=True)
    every = max(1, ceil(span / 10))
    sheet.days(panel, [(n, str(n)) for n in range(0, span + 1, every)])
    sheet.text(WIDTH - RIGHT, panel.top + panel.height + 42, sheet.say("days"), "muted", size=13, anchor="end")
    return sheet.bytes()


def _level(
    sheet: Sheet, panel: Panel, value: float, words: str, dash: str, colour: str, *, right: bool = False
) -> None:
    """A horizontal line with its words above it, at its left or right end."""
    y = panel.y(value)
    sheet.line([(LEFT, y), (WIDTH - RIGHT, y)], colour, width=1.5, dash=dash)
    sheet.text(WIDTH - RIGHT - 4 if right else LEFT + 6, y - 5, words, colour, anchor="end" if right else "start")


def _legend(sheet: Sheet, y: float, keys: Sequence[tuple[str, str, str]]) -> None:
    x = WIDTH - RIGHT - 4.0
    for mark, words, colour in reversed(keys):
        told = f"{mark} {words}"
        sheet.text(x, y, told, colour, anchor="end")
        x -= 22 + sum(14 if ord(letter) > 0x2E80 else 7.6 for letter in told)


def _number(value: float) -> str:
    return f"{ceil(value * 10 - 1e-6) / 10:,.1f}".removesuffix(".0")


def _plain(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) and value >= 1 else str(value)
