"""A real ledger through the product: 36 months of 64 sites and 11 products, and every closing balance of it.

The data is not ours to ship: where the shared folder is not there, these tests are left out.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ivorian
import pytest
from conftest import NOW, SHARED, connect
from sqlalchemy import Engine

from reserve import catalogue, coverage, database, policy, stock, verify
from reserve.entry import Entry
from reserve.imports import Imported, import_sheet
from reserve.model import Category, PolicyKind

FOLDER = SHARED / "data" / "ci_contraceptive_ledger"
ABIDJAN = ZoneInfo("Africa/Abidjan")
LAST_DAY = date(2018, 12, 31)
ENTRY = Entry("import", NOW, ABIDJAN, back_dating_days=None)

pytestmark = [pytest.mark.long, pytest.mark.skipif(not FOLDER.exists(), reason="the shared ledger is not here")]


@pytest.fixture(scope="module")
def published() -> ivorian.Ledger:
    return ivorian.convert(FOLDER)


@pytest.fixture(scope="module")
def books(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("ivorian") / "reserve.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = connect(f"sqlite:///{path}")
    yield engine
    database.close(engine)


@pytest.fixture(scope="module", autouse=True)
def loaded(books: Engine, published: ivorian.Ledger) -> dict[str, Imported]:
    """All of it, through the product's importer."""
    return load(books, published)


def load(engine: Engine, ledger: ivorian.Ledger) -> dict[str, Imported]:
    with database.writing(engine) as session:
        kinds = ("items", "locations", "movements")
        return {kind: import_sheet(session, ENTRY, kind, getattr(ledger, kind)) for kind in kinds}


def test_every_row_of_the_ledger_can_be_told_as_movements(published: ivorian.Ledger) -> None:
    assert len(published.months) == 11_880
    assert published.unloadable == []
    assert published.openings == 130
    assert sum(month.adjustment < 0 for month in published.months) == 200
    assert published.movement_rows == 8_736
    # 59 months open with something else than the one before closed with: findings, each with its row
    assert len(published.breaks) == 59
    assert published.breaks[0] == ivorian.Break(567, "C1027", "AS27132", date(2016, 5, 1), expected=0, found=10)
    assert sum(abs(seam.found - seam.expected) for seam in published.breaks) == 5_799


def test_every_closing_balance_of_every_month_is_the_published_one(books: Engine, published: ivorian.Ledger) -> None:
    assert closings_compared(books, published) == 11_880


def test_the_same_holds_for_a_few_sites_on_either_database(engine: Engine) -> None:
    few = ivorian.convert(FOLDER, sites=8)
    found = load(engine, few)
    assert (found["movements"].rows, found["movements"].recorded) == (909, 909)
    assert closings_compared(engine, few) == 1_380
    with database.reading(engine) as session:
        assert verify.verify(session) == []


def closings_compared(engine: Engine, published: ivorian.Ledger) -> int:
    """Ask the books for the end of every month; answers how many closing balances were the published ones."""
    by_month: dict[date, dict[tuple[str, str], int]] = defaultdict(dict)
    for month in published.months:
        by_month[month.last][month.site, month.product] = month.end
    assert len(by_month) == 36
    with database.reading(engine) as session:
        for last, closing in by_month.items():
            question = stock.StockQuestion(day=last, at=stock.end_of_day(last, ABIDJAN))
            kept = {(row.location, row.item): row.on_hand for row in stock.rows(session, question)}
            assert {key: kept.get(key, 0) for key in closing} == closing
    return sum(len(closing) for closing in by_month.values())


def test_the_ledger_was_taken_whole_and_the_books_are_whole(loaded: dict[str, Imported], books: Engine) -> None:
    assert {kind: (i.rows, i.recorded) for kind, i in loaded.items()} == {
        "items": (11, 11),
        "locations": (86, 86),
        "movements": (8_736, 8_736),
    }
    assert len(loaded["movements"].documents) == 3_149
    with database.reading(books) as session:
        assert verify.verify(session) == []


def test_the_ledger_imported_again_changes_nothing(books: Engine, published: ivorian.Ledger) -> None:
    again = load(books, published)
    assert [(i.recorded, i.unchanged) for i in again.values()] == [(0, 11), (0, 86), (0, 8_736)]
    assert len(again["movements"].documents) == 3_149


def assessed(engine: Engine) -> list[dict[str, Any]]:
    """The coverage row of every item in every scope under a rule of 30 days, on the last day of the ledger."""
    with database.writing(engine) as session:
        rule = policy.NewPolicy(
            code="30D",
            scope=ivorian.COUNTRY,
            kind=PolicyKind.DAYS,
            effective_from=date(2016, 1, 1),
            source_text="not less than a month",
            category=Category.OTHER,
            required_days=30,
        )
        policy.add(session, ENTRY, rule)
        moment = coverage.when(LAST_DAY, now=NOW, zone=ABIDJAN)
        world = coverage.board(session, moment)
        rows = []
        for item in catalogue.items(session):
            scopes = coverage.scopes_of(session, world, item)
            found = coverage.assess_item(session, world, item, scopes, moment)
            assert [a.scope for a in found] == scopes
            rows += [a.row for a in found]
        session.rollback()
        return rows


def test_coverage_over_all_sites_stands_on_the_published_stock(books: Engine, published: ivorian.Ledger) -> None:
    rows = {(row["scope"], row["item"]): row for row in assessed(books)}
    last, moved = {}, set()
    for month in sorted(published.months, key=lambda m: m.first):
        last[month.site, month.product] = month.end
        if month.initial or month.received or month.adjustment:
            moved.add((month.site, month.product))
    with database.reading(books) as session:
        world = {place.id: place for place in catalogue.places(session)}
    above = {place.code: world[place.parent_id].code for place in world.values() if place.parent_id is not None}
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for site, product in moved:  # a site is assessed for what it ever had, so is its region, so is the country
        for scope in (site, above[site], ivorian.COUNTRY):
            expected[scope, product] += last[site, product]
    for product in {product for _, product in last}:
        expected[ivorian.COUNTRY, product] += 0  # the rule names every item there, also one that nobody ever had
    assert {key: row["on_hand"] for key, row in rows.items()} == expected
    assert len(rows) == 534
    assert sum(month.last == LAST_DAY for month in published.months) == 390


def test_days_are_unknown_only_where_nothing_is_used(books: Engine) -> None:
    rows = assessed(books)
    assert len(rows) == 534
    assert sum(row["days_of_coverage"] is None for row in rows) == 72
    for row in rows:
        assert (row["days_of_coverage"] is None) == (not row["peak_daily"])
        assert row["required_days"] == 30
        assert row["on_hand"] == row["usable"]
        if row["peak_daily"]:
            assert row["shortfall"] == max(0, row["required"] - row["usable"])
            assert (row["days_of_coverage"] < 30) == (row["level"] in {"red", "orange"})
        else:
            assert row["level"] == "unknown"
