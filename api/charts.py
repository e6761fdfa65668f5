"""One drawing: usable stock used at the peak, against the required line, as an SVG for a page and theme.

Matplotlib only ever sees ASCII stand-ins for words, so it needs no Chinese font and guesses no glyph; the words
are put in afterwards and the reader's own fonts draw them. Styles become attributes, because our content policy
allows no inline style even when the picture is opened by itself.
"""

import io
import re
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from api import words
from api.words import Fact, Reader

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG: Final = "http://www.w3.org/2000/svg"
XLINK: Final = "http://www.w3.org/1999/xlink"
FONTS: Final = "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'WenQuanYi Micro Hei', sans-serif"
LIGHT: Final = {
    "ink": "#16202a", "muted": "#5b6570", "rule": "#dfe3e8", "stock": "#1d4e79", "fill": "#1d4e79",
    "below": "#c2500a", "out": "#c01c1c", "loss": "#7a0c0c",
}  # fmt: skip
DARK: Final = {
    "ink": "#e6edf3", "muted": "#9aa5b1", "rule": "#2b333d", "stock": "#8cc2f5", "fill": "#5aa2f0",
    "below": "#f08a3c", "out": "#f06060", "loss": "#ffb3b3",
}  # fmt: skip
# rc settings and the font cache of matplotlib are the process's own: one drawing at a time
_lock: Final = Lock()


def bar_share(days: float | None, required: float | None) -> float | None:
    """Return the filled per cent of a bar that ends at twice the requirement, so that all required lines align."""
    if days is None or not required:
        return None
    return round(min(days / required, 2.0) * 50, 1)


def links(reader: Reader, row: Fact, horizon: int) -> dict[str, str]:
    return {
        f"{theme}_{width}": reader.link(
            f"/items/{quote(row['item'], safe='')}/projection.svg",
            scope=row["scope"],
            days=str(horizon),
            lang=reader.lang,
            theme=theme,
            width=width,
        )
        for theme in ("light", "dark")
        for width in ("360", "960")
    }


class Loss(NamedTuple):
    """Units that expire unused by the start of a day, and the words at that cliff."""

    day: int
    units: int
    label: str


class Drawing(NamedTuple):
    """All that decides the picture, and so its key in the cache."""

    stock: tuple[float, ...]
    ticks: tuple[tuple[int, str], ...]
    required: int | None
    losses: tuple[Loss, ...]
    falls: int | None
    runs_out: int | None
    labels: tuple[tuple[str, str], ...]
    width: Literal[360, 960]
    dark: bool


def drawing(
    row: Mapping[str, Any], outlook: Mapping[str, Any], *, lang: str, width: Literal[360, 960], dark: bool
) -> Drawing:
    """Gather what is drawn from a row's explanation and its projection."""
    dates: list[str] = outlook["dates"]
    index = {date: at for at, date in enumerate(dates)}
    falls, runs_out = index.get(outlook["falls_below_on"]), index.get(outlook["runs_out_on"])
    last = len(dates) - 1 if runs_out is None else min(len(dates) - 1, max(runs_out + runs_out // 8 + 2, 10))
    first = dates[0]
    labels = {"usable": words.say(lang, "chart.usable", unit=words.unit(lang, row["base_unit"]))}
    if outlook["required"] is not None:
        amount = words.number(outlook["required"])
        days = outlook["required_days"]
        key = "chart.required.days" if days else "chart.required"
        labels["required"] = words.say(lang, key, days=days, units=amount)
    if falls:
        labels["falls"] = words.say(lang, "chart.falls", day=words.short_day(lang, dates[falls], first))
    if runs_out is not None:
        labels["runs_out"] = words.say(lang, "chart.runs_out", day=words.short_day(lang, dates[runs_out], first))
    every = max(1, round(last / (4 if width == 360 else 8)))
    return Drawing(
        stock=tuple(float(units) for units in outlook["at_peak"][: last + 1]),
        ticks=tuple(
            (at, words.short_day(lang, dates[at], first))
            for at in range(0, last + 1, every)
            if at == 0 or (last - at) * width > 32 * last
        ),
        required=outlook["required"],
        losses=losses(row, outlook, lang, last),
        falls=falls if falls is not None and falls <= last else None,
        runs_out=runs_out,
        labels=tuple(labels.items()),
        width=width,
        dark=dark,
    )


def losses(row: Mapping[str, Any], outlook: Mapping[str, Any], lang: str, last: int) -> tuple[Loss, ...]:
    """Name the lots behind each cliff: those whose last usable day is the day before it."""
    found = []
    for at, lost in enumerate(outlook["expiring"][: last + 1]):
        if lost > 0:
            last_usable = (outlook["dates"][max(at - 1, 0)], outlook["dates"][at])
            lots = {
                lot["lot_number"]
                for lot in row["explanation"]["lots"]
                if lot["wasted"] and lot["expires_on"] in last_usable
            }
            units, lot = words.number(round(lost)), lots.pop() if len(lots) == 1 else ""
            text = words.say(lang, "chart.loss.lot" if lot else "chart.loss", lot=lot, units=units)
            found.append(Loss(at, round(lost), text))
    return tuple(found)


@lru_cache(maxsize=512)
def svg(drawing: Drawing) -> bytes:
    """Draw it, or answer the same bytes as before."""
    with _lock:
        spoken: list[str] = []
        return finish(plot(drawing, spoken), spoken, drawing)


def plot(drawing: Drawing, spoken: list[str]) -> bytes:
    """Let matplotlib draw, with `@0`, `@1`.. standing for the words appended to `spoken`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    frame = WIDE if drawing.width == 960 else NARROW
    top = max(*drawing.stock, drawing.required or 0, 1.0) * 1.14
    left = round(len(words.number(int(top))) * frame.font * 0.6) + 14
    span, rise = drawing.width - left - frame.right, frame.height - frame.bottom - frame.top
    box = (left / drawing.width, frame.bottom / frame.height, span / drawing.width, rise / frame.height)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "reserve", "font.size": frame.font}):
        figure = Figure(figsize=(drawing.width / 72, frame.height / 72), dpi=72)
        axes = figure.add_axes(box)
        pen = Pen(axes, drawing, frame.font, (span, rise, top), spoken)
        pen.scales()
        pen.curve()
        pen.marks()
        held = io.BytesIO()
        figure.savefig(
            held, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return held.getvalue()


class Frame(NamedTuple):
    """Height, margins and letters of a picture, in pixels."""

    height: int
    right: int
    bottom: int
    top: int
    font: int


WIDE: Final = Frame(height=420, right=24, bottom=40, top=34, font=16)
NARROW: Final = Frame(height=300, right=10, bottom=30, top=26, font=12)


class Pen:
    """Draws one picture and keeps its words from lying on each other or on the curve."""

    def __init__(
        self, axes: "Axes", drawing: Drawing, font: int, room: tuple[int, int, float], spoken: list[str]
    ) -> None:
        self.axes, self.drawing, self.font, self.spoken = axes, drawing, font, spoken
        self.colour = DARK if drawing.dark else LIGHT
        self.span, self.rise, self.top = room
        self.across, self.up = self.span / len(drawing.stock), self.rise / self.top
        self.taken: list[tuple[float, float, float, float]] = []

    def say(self, text: str) -> str:
        self.spoken.append(text)
        return f"@{len(self.spoken) - 1}"

    def scales(self) -> None:
        axes, drawing, muted = self.axes, self.drawing, self.colour["muted"]
        axes.set_xlim(-0.5, len(drawing.stock) - 0.5)
        axes.set_ylim(0, self.top)
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set(color=muted, linewidth=1)
        axes.tick_params(length=0, pad=7, labelcolor=muted)
        axes.grid(axis="y", color=self.colour["rule"], linewidth=1)
        axes.set_axisbelow(True)
        step = round_step(self.top / 4)
        heights = [step * n for n in range(int(self.top / step) + 1)]
        axes.set_yticks(heights, [self.say(words.number(height)) for height in heights])
        axes.set_xticks([at for at, _ in drawing.ticks], [self.say(text) for _, text in drawing.ticks])

        title = self.say(dict(drawing.labels)["usable"])
        axes.text(0, 1.03, title, transform=axes.transAxes, color=self.colour["stock"], fontweight="bold")

    def curve(self) -> None:
        drawing, colour = self.drawing, self.colour
        line = list(enumerate(drawing.stock))
        for day, lost, _ in reversed(drawing.losses):
            line.insert(day, (day, drawing.stock[day] + lost))
        parts = [("fill", 0.12, line)]
        if drawing.falls is not None:
            parts = [
                ("fill", 0.12, [point for point in line if point[0] <= drawing.falls]),
                ("below", 0.24, [point for point in line if point[0] >= drawing.falls]),
            ]
        for name, alpha, points in parts:
            days, heights = zip(*points, strict=True)
            self.axes.fill_between(days, heights, color=colour[name], alpha=alpha, linewidth=0)
        days, heights = zip(*line, strict=True)
        self.axes.plot(days, heights, color=colour["stock"], linewidth=2.6, solid_joinstyle="round")

    def marks(self) -> None:
        """Mark what happens, the most telling words first: they get the room."""
        drawing, colour, stock, axes = self.drawing, self.colour, self.drawing.stock, self.axes
        label = dict(drawing.labels)
        if drawing.required is not None:
            axes.axhline(drawing.required, color=colour["ink"], linewidth=1.5, dashes=(6, 4))
            self.write(len(stock) - 1, drawing.required, label["required"], colour["ink"], bold=True)
        if drawing.runs_out is not None:
            axes.plot([drawing.runs_out], [0], marker="8", markersize=11, color=colour["out"], clip_on=False, zorder=6)
            self.write(drawing.runs_out, 0, label["runs_out"], colour["out"], bold=True)
        if drawing.falls:
            height = stock[drawing.falls]
            axes.plot([drawing.falls] * 2, [0, height], color=colour["below"], linewidth=1.4)
            axes.plot([drawing.falls], [height], marker="D", markersize=8, color=colour["below"], zorder=6)
            self.write(drawing.falls, height, label["falls"], colour["below"], bold=True)
        for loss in drawing.losses:
            axes.plot([loss.day], [stock[loss.day]], marker="v", markersize=7, color=colour["loss"], zorder=5)
        for loss in sorted(drawing.losses, key=lambda loss: -loss.units)[: 6 if drawing.width == 960 else 2]:
            self.write(loss.day, stock[loss.day], loss.label, colour["loss"])

    def write(self, day: float, units: float, text: str, colour: str, *, bold: bool = False) -> None:
        """Set words above and right of a point, higher where the curve, a line or other words are in the way."""
        width = (1.06 if bold else 1.0) * self.font * sum(1.0 if ord(letter) > 0x2E80 else 0.56 for letter in text)
        height = self.font * 1.25
        point = ((day + 0.5) * self.across, units * self.up)
        x = min(max(point[0] + 6, 0.0), max(self.span - width - 2, 0.0))
        y = point[1] + 8
        while not self.free(x, y, width, height) and y < self.rise - height:
            y += 3
        y = min(y, self.rise - height)
        self.taken.append((x, y, x + width, y + height))
        if y - point[1] > 26 and x <= point[0] + 6:
            self.axes.plot([day, day], [units, (y - 2) / self.up], color=colour, linewidth=0.9, linestyle=(0, (2, 2)))
        left, base = x / self.across - 0.5, (y + height * 0.22) / self.up
        self.axes.text(left, base, self.say(text), color=colour, fontweight="bold" if bold else "normal", zorder=7)

    def free(self, x: float, y: float, width: float, height: float) -> bool:
        if any(x < right and left < x + width and y < top and low < y + height for left, low, right, top in self.taken):
            return False
        days = range(
            max(int(x / self.across - 0.5), 0), min(int((x + width) / self.across + 0.5), len(self.drawing.stock))
        )
        if any(y < (self.drawing.stock[day]) * self.up + 5 for day in days):
            return False
        required = self.drawing.required
        return required is None or not y - 3 < required * self.up < y + height + 2


def round_step(rough: float) -> int:
    """Return the step of 1, 2 or 5 times a power of ten next to a rough one."""
    power: int = 10 ** max(len(str(max(int(rough), 1))) - 1, 0)
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def finish(drawn: bytes, spoken: list[str], drawing: Drawing) -> bytes:
    """Put the words in, turn styles into attributes, and drop what a page does not need."""
    root = ET.fromstring(drawn)  # noqa: S314 - matplotlib's own output of a moment ago
    height = (WIDE if drawing.width == 960 else NARROW).height
    root.attrib.update({"width": str(drawing.width), "height": str(height), "font-family": FONTS})
    root.attrib.update({"stroke-linejoin": "round", "stroke-linecap": "butt"})
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for name, value in re.findall(r"([\w-]+):\s*([^;]+)", element.attrib.pop("style", "")):
            if name != "font-family":
                element.set(name, value)
        if element.tag == f"{{{SVG}}}text":
            element.attrib.pop("transform", None)
            element.text = re.sub(
                r"[^\t\n\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "", spoken[int((element.text or "")[1:])]
            )
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    answer: bytes = ET.tostring(root, encoding="utf-8")
    return answer
