"""The public stock ledger of Côte d'Ivoire's contraceptives (USAID, 2016-2019) as sheets of ours.

A month of one site and product becomes movements: what came in stands on its first day, what went out on its last.
Where a month does not open with what the one before closed with, the difference is an adjustment of its own, listed.
"""

import csv
import gzip
import io
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

COUNTRY = "CI"


class Month(NamedTuple):
    """One row of the published ledger; `row` as a spreadsheet would show it."""

    row: int
    site: str
    product: str
    first: date
    last: date
    initial: int
    received: int
    distributed: int
    adjustment: int
    end: int


class Break(NamedTuple):
    """A month that opens with something else than the one before closed with."""

    row: int
    site: str
    product: str
    month: date
    expected: int
    found: int


class Unloadable(NamedTuple):
    """A row that cannot be told as movements, and why."""

    row: int
    reason: str


class Ledger(NamedTuple):
    items: bytes
    locations: bytes
    movements: bytes
    months: list[Month]
    openings: int
    breaks: list[Break]
    unloadable: list[Unloadable]
    movement_rows: int


_KINDS = {"Hospital": "hospital", "Health Center": "station", "University Hospital/National Institute": "hospital"}
_AMOUNTS = ("stock_initial", "stock_received", "stock_distributed", "stock_adjustment", "stock_end")
_HEADER = ("date", "location", "kind", "item", "quantity", "reason", "purpose")


def convert(folder: Path, *, sites: int | None = None) -> Ledger:
    """The folder's three tables as our three sheets; `sites` takes only so many of them."""
    places = _table(folder / "sites.csv")[:sites]
    wanted = {place["site_code"] for place in places}
    rows = [
        (n, row)
        for n, row in enumerate(_table(folder / "ledger.csv.gz"), start=2)
        if sites is None or row["site_code"] in wanted
    ]
    months, unloadable = _months(rows)
    openings, breaks = _seams(months)
    movements = list(_movements(months, openings, breaks))
    return Ledger(
        items=_items(_table(folder / "products.csv")),
        locations=_locations(places),
        movements=_sheet(_HEADER, movements),
        months=months,
        openings=len(openings),
        breaks=list(breaks.values()),
        unloadable=unloadable,
        movement_rows=len(movements),
    )


def _table(path: Path) -> list[dict[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _months(rows: Iterable[tuple[int, Mapping[str, str]]]) -> tuple[list[Month], list[Unloadable]]:
    months, unloadable = [], []
    for n, row in rows:
        try:
            initial, received, distributed, adjustment, end = (int(row[name]) for name in _AMOUNTS)
        except ValueError as error:
            unloadable.append(Unloadable(n, f"not a number: {error}"))
            continue
        year, month = int(row["year"]), int(row["month"])
        if min(initial, received, distributed, end) < 0:
            unloadable.append(Unloadable(n, "an amount below zero"))
        elif initial + received - distributed + adjustment != end:
            unloadable.append(Unloadable(n, "the closing stock is not what the row sums to"))
        else:
            first, last = date(year, month, 1), date(year, month, monthrange(year, month)[1])
            amounts = (initial, received, distributed, adjustment, end)
            months.append(Month(n, row["site_code"], row["product_code"], first, last, *amounts))
    return months, unloadable


def _seams(months: Sequence[Month]) -> tuple[dict[int, int], dict[int, Break]]:
    """By row: what a site opened its first month with, and every later month that opens with another figure."""
    series: dict[tuple[str, str], list[Month]] = defaultdict(list)
    for month in months:
        series[month.site, month.product].append(month)
    openings, breaks = {}, {}
    for run in series.values():
        run.sort(key=lambda m: m.first)
        if run[0].initial:
            openings[run[0].row] = run[0].initial
        for before, month in pairwise(run):
            if month.initial != before.end:
                breaks[month.row] = Break(month.row, month.site, month.product, month.first, before.end, month.initial)
    return openings, breaks


def _movements(
    months: Iterable[Month], openings: Mapping[int, int], breaks: Mapping[int, Break]
) -> Iterator[tuple[object, ...]]:
    for month in sorted(months, key=lambda m: (m.first, m.site, m.product)):
        seam = breaks.get(month.row)
        adjusted = (
            (openings.get(month.row, 0), "opening"),
            (seam.found - seam.expected if seam else 0, "data_correction"),
            (month.adjustment, "other"),
        )
        if month.received:
            yield month.first, month.site, "receipt", month.product, month.received, None, None
        for quantity, reason in adjusted:
            if quantity:
                day = month.first if quantity > 0 else month.last
                yield day, month.site, "adjustment", month.product, quantity, reason, None
        if month.distributed:
            yield month.last, month.site, "issue", month.product, month.distributed, None, "use"


def _items(products: Iterable[Mapping[str, str]]) -> bytes:
    """The base unit is the last word of a name: a box, or one piece."""
    rows = [
        (p["product_code"], p["product_name"], p["product_type"], "other", p["product_name"].split()[-1].lower())
        for p in products
    ]
    return _sheet(("code", "name_zh", "name_en", "category", "base_unit"), rows)


def _locations(sites: Sequence[Mapping[str, str]]) -> bytes:
    """The country, its regions (named, not coded, so they are numbered), the sites; children first, to be unkind."""
    names = sorted({site["site_region"] for site in sites})
    code = {name: f"{COUNTRY}-{n:02d}" for n, name in enumerate(names, start=1)}
    rows = [
        (s["site_code"], s["site_code"], s["site_district"], _KINDS[s["site_type"]], code[s["site_region"]], "issues")
        for s in sites
    ]
    rows += [(code[name], name, name, "region", COUNTRY, None) for name in names]
    rows.append((COUNTRY, "科特迪瓦", "Côte d'Ivoire", "region", None, None))
    return _sheet(("code", "name_zh", "name_en", "kind", "parent", "consumption_source"), rows)


def _sheet(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")
