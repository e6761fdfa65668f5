"""The first screens: the overview of a scope and, behind each number, the page that explains it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, Literal, Protocol

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api import charts, words
from api.words import Fact, Reader

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
CSP: Final = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
LEVELS: Final = ("red", "unknown", "orange", "yellow", "blue", "normal")
KINDS: Final = ("below", "unknown", "falling", "normal")
HORIZONS: Final = (30, 90, 180)
ALERTS_SHOWN: Final = 8
ALERTS_READ: Final = 200
SHOWN_WHOLE: Final = 12
FEW: Final = 6
SILENT_AFTER_SECONDS: Final = 15 * 60


class Board(Protocol):
    """What the pages ask of the domain; rows are those of the HTTP contract, with names and both languages.

    `projection["expiring"][d]` is what expired unused by the start of day d and is already missing from
    `at_peak[d]`. Alerts come newest first.
    """

    def scopes(self) -> list[Fact]: ...
    def coverage(self, scope: str) -> list[Fact] | None: ...
    def explained(self, scope: str, item: str) -> Fact | None: ...
    def projection(self, scope: str, item: str, days: int) -> Fact | None: ...
    def tiles(self, scope: str) -> list[Fact]: ...
    def alerts(self, scope: str, limit: int) -> list[Fact]: ...
    def freshness(self) -> Fact: ...


def pages(board: Board) -> APIRouter:
    """Make the routes of the overview, the item pages and their charts over a board."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def overview(request: Request, scope: str = "", category: str = "") -> Response:
        reader = Reader.of(request, board.freshness())
        scopes = board.scopes()
        place = chosen(scopes, scope)
        rows = board.coverage(place["code"]) if place else None
        if place is None or rows is None:
            return (
                missing_scope(reader, scopes, scope) if scope else render(reader, "empty.html", place=None, places=[])
            )
        around = surroundings(reader, scopes, place)
        if not rows:
            return render(reader, "empty.html", **around)
        alerts = board.alerts(place["code"], ALERTS_READ)
        names = {row["item"]: reader.name(row) for row in rows}
        return render(
            reader,
            "overview.html",
            **around,
            **listing(reader, place, rows, alerts, category),
            tiles=[tile(reader, one, names) for one in sorted(board.tiles(place["code"]), key=tile_order)],
            alerts=[alert(reader, one, names, place, scopes) for one in alerts[:ALERTS_SHOWN]],
            unfolded="all" in reader.params,
        )

    @router.get("/items/{item}")
    def explanation(request: Request, item: str, scope: str = "", days: str = "") -> Response:
        reader = Reader.of(request, board.freshness())
        scopes = board.scopes()
        place = chosen(scopes, scope)
        if place is None:
            return missing_scope(reader, scopes, scope)
        row = board.explained(place["code"], item)
        if row is None:
            return missing_item(reader, scopes, place, item)
        horizon = horizon_of(days)
        outlook = board.projection(place["code"], item, horizon) if judged(row) else None
        return render(
            reader,
            "item.html",
            **surroundings(reader, scopes, place, item),
            **reasoning(reader, scopes, row),
            row=told(reader, row, since_when(board.alerts(place["code"], ALERTS_READ), place["code"])),
            outlook=outlook,
            chart=charts.links(reader, row, horizon) if outlook else {},
            horizons=[(n, n == horizon, reader.item_link(item, scope=place["code"], days=str(n))) for n in HORIZONS],
        )

    @router.get("/items/{item}/projection.svg")
    def chart(request: Request, item: str, scope: str = "", days: str = "") -> Response:
        reader = Reader.of(request, {})
        place = chosen(board.scopes(), scope)
        row = board.explained(place["code"], item) if place else None
        outlook = board.projection(place["code"], item, horizon_of(days)) if place and row and judged(row) else None
        if row is None or outlook is None:
            return PlainTextResponse(reader.t("calculation.none"), 404)
        size: Literal[360, 960] = 360 if reader.params.get("width") == "360" else 960
        drawing = charts.drawing(row, outlook, lang=reader.lang, width=size, dark=reader.params.get("theme") == "dark")
        return unchanged_or(request, charts.svg(drawing), "image/svg+xml")

    return router


def chosen(scopes: list[Fact], code: str) -> Fact | None:
    """Return the scope of a code; without a code the first, which is the city."""
    return next((scope for scope in scopes if code in ("", scope["code"])), None)


def horizon_of(days: str) -> int:
    return next((horizon for horizon in HORIZONS if str(horizon) == days), 90)


def judged(row: Fact) -> bool:
    return row["level"] != "unknown" and row["days_of_coverage"] is not None


def surroundings(reader: Reader, scopes: list[Fact], place: Fact, item: str = "") -> Fact:
    """Return the chosen scope and the tree to choose another from, which on an item page stays with the item."""
    under: dict[str | None, list[Fact]] = {}
    for scope in scopes:
        under.setdefault(scope["parent"], []).append(scope)
    known = {scope["code"] for scope in scopes}
    waiting = [(scope, 0) for scope in reversed(scopes) if scope["parent"] not in known]
    tree: list[tuple[Fact, int]] = []
    while waiting:
        scope, depth = waiting.pop()
        tree.append((scope, depth))
        waiting += [(child, depth + 1) for child in reversed(under.get(scope["code"], []))]
    return {
        "place": place,
        "places": [
            {
                "name": reader.name(scope),
                "code": scope["code"],
                "depth": min(depth, 3),
                "here": scope["code"] == place["code"],
                "href": reader.item_link(item, scope=scope["code"]) if item else reader.link("/", scope=scope["code"]),
            }
            for scope, depth in tree
        ],
    }


def listing(reader: Reader, place: Fact, rows: list[Fact], alerts: list[Fact], category: str) -> Fact:
    """Return the verdict on a scope's items, or one category of them, and the items in order of urgency."""
    held = sorted({row["category"] for row in rows})
    rows = [row for row in rows if category in ("", row["category"])]
    rows.sort(key=urgency)
    counts = Counter(row["level"] for row in rows)
    since = since_when(alerts, place["code"])
    shown = [told(reader, row, since) for row in rows]
    choices = [
        ("", reader.t("category.all")),
        *((code, words.category(reader.lang, code, title=True)) for code in held),
    ]
    return {
        "verdict": verdict(reader, place, rows, category),
        "lead": lead(reader, rows) if rows else "",
        "worst": next((level for level in LEVELS if counts[level]), "normal"),
        "counts": [(level, counts[level]) for level in LEVELS if counts[level]],
        "attention": [row for row in shown if row["level"] != "normal"],
        "normal": [row for row in shown if row["level"] == "normal"],
        "categories": [
            (label, code == category, reader.link("/", scope=place["code"], category=code)) for code, label in choices
        ],
    }


def urgency(row: Fact) -> tuple[int, str, str, str]:
    return LEVELS.index(row["level"]), row["falls_below_on"] or "9999", row["runs_out_on"] or "9999", row["item"]


def kind_of(row: Fact) -> str:
    """Tell, for the verdict, what is already below its requirement from what is only on its way there."""
    if row["level"] in ("unknown", "normal"):
        return str(row["level"])
    return "below" if row["shortfall"] > 0 else "falling"


def verdict(reader: Reader, place: Fact, rows: list[Fact], category: str) -> list[str]:
    """Say, clause by clause of one sentence, how many items are below, unknown, about to fall and well."""
    subject = reader.t(
        "verdict.total.category" if category else "verdict.total",
        scope=reader.name(place),
        category=words.category(reader.lang, category),
        n=len(rows),
    )
    kinds = Counter(kind_of(row) for row in rows)
    if kinds["normal"] == len(rows):
        clauses = [reader.t("verdict.all")]
    else:
        clauses = [reader.t(f"verdict.{kind}", n=kinds[kind]) for kind in KINDS if kinds[kind]]
    ends = [reader.t("colon"), *[reader.t("comma")] * (len(clauses) - 1), reader.t("stop")]
    return [clause + end for clause, end in zip([subject, *clauses], ends, strict=True)]


def lead(reader: Reader, rows: list[Fact]) -> str:
    """Say which item is most urgent, how long it lasts and what is missing."""
    kind = next(kind for kind in KINDS if any(kind_of(row) == kind for row in rows))
    candidates = (row for row in rows if kind_of(row) == kind)
    row = min(candidates, key=lambda row: row["falls_below_on" if kind == "falling" else "runs_out_on"] or "9999")
    lang, item, as_of = reader.lang, reader.name(row), row["as_of"]
    opening = reader.t(f"lead.{kind}") + reader.t("colon")
    if kind == "unknown" or row["days_of_coverage"] is None:
        return f"{opening}{item}{reader.t('colon')}{row['reason'][lang]}"
    days, required = words.days(row["days_of_coverage"]), required_days(row)
    parts = [reader.t("lead.days" if required else "lead.days.only", item=item, days=days, required=required)]
    if kind == "below":
        parts.append(reader.t("lead.short", units=words.units(lang, row["shortfall"], row["base_unit"])))
    if kind == "below" and row["runs_out_on"]:
        parts.append(reader.t("lead.runs_out", day=words.short_day(lang, row["runs_out_on"], as_of)))
    if kind == "falling" and row["falls_below_on"]:
        parts.append(reader.t("lead.falls", day=words.short_day(lang, row["falls_below_on"], as_of)))
    return opening + reader.sentence(parts)


def since_when(alerts: list[Fact], scope: str) -> dict[str, Fact]:
    """Return the scope's own latest alert of each item: it says since when the item has its level."""
    latest: dict[str, Fact] = {}
    for one in alerts:
        if one.get("scope", scope) == scope:
            latest.setdefault(one["item"], one)
    return latest


def required_days(row: Fact) -> float | None:
    """The days that stock at the peak is held against: of a policy in parts those that must lie there."""
    judged = row.get("judged")  # rows of an earlier version have none
    days: float | None = judged["required_days"] if judged and judged["peak"] else row["required_days"]
    return days


def told(reader: Reader, row: Fact, since: Mapping[str, Fact]) -> Fact:
    """Return a coverage row as it is written on a page."""
    days, required, peak = row["days_of_coverage"], required_days(row), row["peak_daily"]
    last = since.get(row["item"])
    bound = "≤ " if row["level"] == "unknown" else ""
    return {
        "item": row["item"],
        "level": row["level"],
        "name": reader.name(row),
        "standard": row["standard"] or "",
        "href": reader.item_link(row["item"], scope=row["scope"]),
        "days": None if days is None else bound + words.days(days),
        "required_days": required,
        "fill": charts.bar_share(days, required),
        "usable": words.number(row["usable"]),
        "peak": None if peak is None else words.rate(peak),
        "shortfall": words.number(row["shortfall"]) if row["shortfall"] else None,
        "unit": words.unit(reader.lang, row["base_unit"]),
        "falls": row["falls_below_on"],
        "already": bool(row["falls_below_on"]) and row["falls_below_on"] <= row["as_of"],
        "runs_out": row["runs_out_on"],
        "why": row["reason"][reader.lang],
        "since": reader.moment(last["raised_at"]) if last and last["level"] == row["level"] else None,
        "stale": stale(reader, row),
        "as_of": row["as_of"],
    }


def stale(reader: Reader, row: Fact) -> str | None:
    if not row["stale"]:
        return None
    age = (reader.now - words.moment(row["assessed_at"], reader.fresh["timezone"])).days if row["assessed_at"] else 0
    return reader.t("stale.days", n=age) if age else reader.t("stale.due")


def tile_order(one: Fact) -> tuple[int, float, str]:
    fewest = one["fewest_days"]
    return LEVELS.index(one["worst"]), 1e9 if fewest is None else fewest, one["code"]


def tile(reader: Reader, one: Fact, names: Mapping[str, str]) -> Fact:
    return {
        "name": reader.name(one),
        "level": one["worst"],
        "days": None if one["fewest_days"] is None else words.days(one["fewest_days"]),
        "item": names.get(one["fewest_item"], one["fewest_item"]),
        "counts": [(level, one["counts"][level]) for level in LEVELS if one["counts"].get(level)],
        "href": reader.link("/", scope=one["code"]),
    }


def alert(reader: Reader, one: Fact, names: Mapping[str, str], place: Fact, scopes: list[Fact]) -> Fact:
    """Return an alert as it is written on the page; one of a place below says which."""
    where = chosen(scopes, str(one.get("scope") or place["code"])) or place
    return {
        "level": one["level"],
        "previous": one["previous_level"],
        "item": names.get(one["item"], one["item"]),
        "where": "" if where["code"] == place["code"] else reader.name(where),
        "href": reader.item_link(one["item"], scope=where["code"]),
        "when": reader.moment(one["raised_at"]),
        "why": one["reason"][reader.lang],
        "notices": [notice(reader, sent) for sent in one["notices"]],
    }


def notice(reader: Reader, sent: Fact) -> tuple[str, str]:
    """Say what became of one message; anything not proved delivered is not called delivered."""
    who, tries = sent["receiver"], sent["attempts"]
    if sent["state"] == "delivered":
        when = reader.clock(sent["delivered_at"]) if sent["delivered_at"] else ""
        return "delivered", reader.t("notices.delivered", receiver=who, when=when).strip()
    if sent["state"] in ("failed", "dead", "refused", "expired"):
        return "failed", reader.t("notices.failed", receiver=who, n=tries)
    return "pending", reader.t("notices.retrying" if tries else "notices.pending", receiver=who, n=tries)


def reasoning(reader: Reader, scopes: list[Fact], row: Fact) -> Fact:
    """Return everything that went into the number, by names people know, the telling lots and places first."""
    because = row["explanation"]
    peak = because["peak"]
    silent, unknown = set(peak["silent_locations"]), set(peak["unknown_locations"])
    places = {one["code"]: reader.name(one) for one in scopes}
    for one in peak["locations"]:
        code = one["location"]
        one["state"] = "unknown" if code in unknown else "silent" if code in silent else "yes"
        places.setdefault(code, one.get(f"name_{reader.lang}") or code)
    return {
        "facts": row,
        "because": because,
        "lines": because["lines"][reader.lang],
        "peak": peak,
        "window_peak": words.rate(peak["peak_daily"]) if peak["basis"] != "norm" and peak["peak_daily"] else None,
        "window_sum": sum(day["total"] for day in peak["window"]),
        "share": None if peak["reported_share"] is None else int(peak["reported_share"] * 100),
        "divisor": len(peak["window"]) or peak["width"],
        "lots": folded(because["lots"], lambda lot: not lot["counted"] or lot["wasted"]),
        "reporters": folded(peak["locations"], lambda one: one["state"] != "yes"),
        "place_name": lambda code: places.get(code, code),
        "when": words.long_day(reader.lang, row["as_of"]),
    }


def folded(rows: list[Fact], telling: Callable[[Fact], bool]) -> tuple[list[Fact], list[Fact]]:
    """Part a long list into the rows that say something, shown, and the rest, a tap away."""
    if len(rows) <= SHOWN_WHOLE:
        return sorted(rows, key=lambda row: not telling(row)), []
    first, rest = [row for row in rows if telling(row)], [row for row in rows if not telling(row)]
    return (first, rest) if first else (rest[:FEW], rest[FEW:])


def missing_scope(reader: Reader, scopes: list[Fact], code: str) -> Response:
    around = surroundings(reader, scopes, scopes[0]) if scopes else {"place": None, "places": []}
    for place in around["places"]:
        place["here"] = False
    title, cure = reader.t("missing.scope", code=code), reader.t("missing.scope.do")
    return render(reader, "error.html", 404, **{**around, "place": None}, title=title, cure=cure, back="", listed=True)


def missing_item(reader: Reader, scopes: list[Fact], place: Fact, item: str) -> Response:
    title = reader.t("missing.item", scope=reader.name(place), code=item)
    back = reader.link("/", scope=place["code"])
    around = surroundings(reader, scopes, place)
    return render(
        reader, "error.html", 404, **around, title=title, cure=reader.t("missing.item.do"), back=back, listed=False
    )


def banner(reader: Reader) -> tuple[str, str] | None:
    """Say that the watcher is silent, split around the command that cures it."""
    beat = reader.fresh["worker_beat_at"]
    if beat is None:
        text = reader.t("watch.never", command="\0")
    else:
        age = (datetime.fromisoformat(reader.fresh["now"]) - words.moment(beat, "UTC")).total_seconds()
        if age <= SILENT_AFTER_SECONDS:
            return None
        text = reader.t("watch.silent", since=words.elapsed(reader.lang, age), command="\0")
    before, after = text.split("\0")
    return before, after


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=asset, words=words)
    made.filters["whole_dates"] = words.whole_dates
    return made


@cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with its content, so it may be kept for ever."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def render(reader: Reader, template: str, status: int = 200, **context: object) -> HTMLResponse:
    other = "en" if reader.lang == "zh" else "zh"
    html = (
        environment()
        .get_template(template)
        .render(
            **context,
            r=reader,
            t=reader.t,
            lang=reader.lang,
            other=other,
            html_lang=words.HTML_LANG[reader.lang],
            banner=banner(reader),
        )
    )
    response = HTMLResponse(
        html, status, {"Content-Language": words.HTML_LANG[reader.lang], "Vary": "Accept-Language, Cookie"}
    )
    response.headers["Content-Security-Policy"] = CSP
    response.headers["Cache-Control"] = "private, no-cache"
    if reader.language_asked:
        response.set_cookie("lang", reader.lang, max_age=365 * 86400, httponly=True, samesite="lax")
    return response


def unchanged_or(request: Request, body: bytes, media_type: str) -> Response:
    """Answer 304 when the reader already has these bytes."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": CSP,
        "Vary": "Accept-Language, Cookie",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
