"""The demonstration city: its facts are right, its year is the same every time, and its rows tell their stories."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from forecasting.depletion import Cover, cover
from forecasting.peak import ScopePeak, scope_peak
from seeds.catalogue import ITEMS, check_digit
from seeds.consumption import CLOSED_AT_WEEKENDS, DAYS, SILENT_COUNTY, SILENT_LATELY, SILENT_WEEK_BEFORE
from seeds.ledger import Issue, Receipt
from seeds.norms import NORMS
from seeds.places import CITY, PLACES, REPORTERS, WAREHOUSES
from seeds.policies import POLICIES
from seeds.year import Demonstration, demonstration

YEARS = [(1, date(2026, 4, 1)), (2, date(2026, 4, 1)), (7, date(2024, 2, 29)), (20260401, date(2027, 1, 1))]
ITEM = {item.code: item for item in ITEMS}
PLACE = {place.code: place for place in PLACES}
REQUIRED = {policy.category: policy.required_days for policy in POLICIES}

year = cache(demonstration)
every_year = pytest.mark.parametrize(("seed", "as_of"), YEARS)


def digest(made: Demonstration) -> str:
    """Hash everything that is made, to the last lot and day."""
    used = made.consumption
    text = repr((made.seed, made.as_of, made.receipts, made.issues, made.expected))
    text += repr((used.items, used.reporters, used.first_day))
    values = used.values.astype("<i4").tobytes() + np.packbits(used.reported).tobytes()
    return sha256(text.encode() + values).hexdigest()


def test_every_item_has_a_code_of_its_own_and_is_told_in_both_languages():
    assert len(ITEM) == len(ITEMS) >= 45
    for item in ITEMS:
        assert item.code.isascii()
        assert item.code == item.code.upper()
        assert item.name_en.isascii()
        assert not item.name_zh.isascii()
    assert Counter(item.category for item in ITEMS)["protective"] >= 14


def test_every_pack_has_a_valid_gtin_of_its_own_from_the_range_for_use_in_one_house():
    gtins = [pack.gtin for item in ITEMS for pack in item.packs]
    assert len(set(gtins)) == len(gtins)
    for gtin in gtins:
        assert len(gtin) == 14
        assert gtin.startswith("02")
        assert check_digit(gtin[:-1]) == gtin[-1]


@pytest.mark.parametrize("gtin", ["4006381333931", "036000291452", "12345670"])
def test_the_check_digit_is_that_of_published_numbers(gtin):
    assert check_digit(gtin[:-1]) == gtin[-1]


def test_larger_packs_hold_more_and_consumables_have_a_shelf_life():
    for item in ITEMS:
        units = [pack.units_per_pack for pack in item.packs]
        assert units == sorted(units)
        assert item.shelf_life_days is None or item.shelf_life_days >= 365
        if item.base_unit == "台":
            assert item.shelf_life_days is None


def test_the_counties_of_dezhou_have_the_codes_of_gb_t_2260():
    counties = [place for place in PLACES if place.parent == CITY and place.kind == "region"]
    assert " ".join(f"{county.code}{county.name_zh}" for county in counties) == (
        "371402德城区 371403陵城区 371422宁津县 371423庆云县 371424临邑县 371425齐河县 371426平原县 371427夏津县 "
        "371428武城县 371471德州天衢新区 371481乐陵市 371482禹城市"
    )
    assert PLACE[CITY].name_zh == "德州市"


def test_a_parent_stands_before_its_children_and_codes_are_used_once():
    seen = set()
    for place in PLACES:
        assert place.parent is None or place.parent in seen
        assert place.code not in seen
        seen.add(place.code)


def test_reporters_and_warehouses_share_out_the_whole_and_say_that_they_are_a_demonstration():
    assert 26 <= len(REPORTERS) <= 30
    assert sum(place.weight for place in REPORTERS) == pytest.approx(1)
    assert sum(place.weight for place in WAREHOUSES) == pytest.approx(1)
    for place in (*REPORTERS, *WAREHOUSES):
        assert "演示" in place.name_zh
        assert "emonstration" in place.name_en
        assert (place.consumption_source == "reports") == (place.kind in {"hospital", "cdc", "station"})


def test_the_one_month_rule_stands_in_its_own_words():
    rule = next(policy for policy in POLICIES if policy.code == "PROTECTIVE-30D")
    assert rule.source_text == "按照日均消耗上限,传染病防护物资不少于1个月储备"
    assert (rule.category, rule.scope, rule.required_days, rule.method) == ("protective", CITY, 30, "rolling_mean_max")


def test_every_category_has_a_rule_and_what_is_assumed_says_so():
    assert set(REQUIRED) == {item.category for item in ITEMS}
    assert all("演示" in policy.source_text for policy in POLICIES if policy.code != "PROTECTIVE-30D")


def test_every_item_of_the_catalogue_has_a_norm():
    assert [norm.item for norm in NORMS] == [item.code for item in ITEMS]


def test_the_same_seed_and_day_make_the_same_year_also_in_another_process():
    seed, as_of = YEARS[0]
    here = digest(demonstration(seed, as_of))
    assert here == digest(year(seed, as_of))
    script = (
        "from datetime import date; from tests.test_seeds import digest, demonstration;"
        f"print(digest(demonstration({seed}, date.fromisoformat('{as_of}'))))"
    )
    there = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert there.stdout.strip() == here


def test_reported_use_is_the_same_on_every_machine():
    used = year(*YEARS[0]).consumption
    values = used.values.astype("<i4").tobytes() + np.packbits(used.reported).tobytes()
    assert sha256(values).hexdigest()[:16] == "3692cb326715275c"


def test_another_seed_makes_another_year():
    assert len({digest(year(seed, as_of)) for seed, as_of in YEARS}) == len(YEARS)


@every_year
def test_no_reporter_leaves_an_item_out_of_its_sheet(seed, as_of):
    made = year(seed, as_of)
    unreported = [index for index, told in enumerate(made.expected) if told.story == "no_reports"]
    assert len(unreported) == 1
    assert not made.consumption.reported[unreported].any()
    sheets = np.delete(made.consumption.reported, unreported, axis=0)
    assert (sheets == sheets[0]).all()
    assert (sheets[0].sum(axis=1) > 0.85 * DAYS).all()
    assert (made.consumption.values >= 0).all()
    assert (made.consumption.values[~made.consumption.reported] == 0).all()


@every_year
def test_each_reporter_misses_days_at_its_own_rate_and_two_silences_stand_out(seed, as_of):
    used = year(seed, as_of).consumption
    sent = used.reported[0]
    assert used.first_day + timedelta(days=DAYS) == as_of
    assert 0.90 < sent.mean() < 0.995
    assert len(set(sent.sum(axis=1).tolist())) > 5
    week = slice(DAYS - SILENT_WEEK_BEFORE, DAYS - SILENT_WEEK_BEFORE + 7)
    county = [PLACE[code].parent == SILENT_COUNTY for code in used.reporters]
    assert sum(county) == 2
    assert not sent[county, week].any()
    lately = sent[used.reporters.index(SILENT_LATELY)]
    assert not lately[-3:].any()
    assert lately[-7:].any()


@every_year
def test_the_week_shows(seed, as_of):
    used = year(seed, as_of).consumption
    weekday = (used.first_day.weekday() + np.arange(DAYS)) % 7
    for index, code in enumerate(used.reporters):
        row = used.reported[0, index]
        masks = used.values[used.items.index("MEDICAL-MASK"), index]
        working, weekend = masks[row & (weekday < 5)].mean(), masks[row & (weekday >= 5)].mean()
        assert weekend < (0.95 if PLACE[code].kind == "hospital" else 0.85) * working
        if code in CLOSED_AT_WEEKENDS:
            assert weekend == 0


@every_year
def test_the_outbreak_lifts_protective_items_and_peaks_in_other_weeks_in_other_counties(seed, as_of):
    used = year(seed, as_of).consumption
    masks = np.where(used.reported[0], used.values[used.items.index("N95")], 0)
    city = _weekly(masks.sum(axis=0))
    height = int(city.argmax())
    assert 150 <= DAYS - height <= 245
    assert 2 <= city[height] / np.median(city) <= 4.5
    heights = [int(_weekly(masks[index]).argmax()) // 7 for index in range(len(used.reporters))]
    assert len(set(heights)) >= 4
    quiet = used.values[used.items.index("SALINE")].sum(axis=0)
    assert _weekly(quiet).max() < 1.4 * np.median(quiet)


@every_year
def test_days_vary_more_than_chance_alone_would(seed, as_of):
    used = year(seed, as_of).consumption
    for item in ("N95", "ANTIGEN-TEST", "OSELTAMIVIR"):
        days = used.values[used.items.index(item), :, :60][:, used.reported[0, :, :60].all(axis=0)]
        busy = days.mean(axis=1) > 3
        assert (days.var(axis=1)[busy] > 1.2 * days.mean(axis=1)[busy]).mean() > 0.8


def _weekly(days):
    return np.convolve(days, np.ones(7) / 7, mode="valid")


class Replayed(NamedTuple):
    stock: dict[tuple[str, str, str], int]
    expires_on: dict[tuple[str, str], date | None]
    movements: int


@cache
def replay(seed: int, as_of: date) -> Replayed:
    """Play all documents plainly, first expired first out; refuse what a ledger would refuse."""
    shelves: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    expires_on: dict[tuple[str, str], date | None] = {}
    movements = 0
    for document in year(seed, as_of).documents:
        if isinstance(document, Receipt):
            for line in document.lines:
                assert line.quantity > 0
                assert line.manufactured_on <= document.day
                assert line.expires_on is None or document.day <= line.expires_on
                assert expires_on.setdefault((line.item, line.lot_number), line.expires_on) == line.expires_on
                shelf = shelves[document.location, line.item]
                shelf[line.lot_number] = shelf.get(line.lot_number, 0) + line.quantity
                movements += 1
        else:
            for item, quantity in ((line.item, line.quantity) for line in document.lines):
                assert quantity > 0
                left = quantity
                for lot, there in _in_order(shelves[document.location, item], item, document.day, expires_on):
                    taken = min(left, there)
                    shelves[document.location, item][lot] -= taken
                    left -= taken
                    movements += taken > 0
                assert left == 0, f"{document.location} is short of {left} {item} on {document.day}"
    stock = {(*place, lot): there for place, shelf in shelves.items() for lot, there in shelf.items() if there}
    return Replayed(stock, expires_on, movements)


def _in_order(shelf, item, day, expires_on) -> Iterator[tuple[str, int]]:
    """Lots that may be issued that day, soonest expiry first."""
    last = {lot: expires_on[item, lot] or date.max for lot in shelf}
    return iter(
        sorted(((lot, shelf[lot]) for lot in shelf if last[lot] >= day), key=lambda row: (last[row[0]], row[0]))
    )


@every_year
def test_every_issue_is_covered_by_lots_in_date_and_stock_never_goes_below_zero(seed, as_of):
    played = replay(seed, as_of)
    made = year(seed, as_of)
    assert all(there > 0 for there in played.stock.values())
    assert len(made.issues) < 1000
    assert played.movements < 40_000


@every_year
def test_documents_come_in_order_of_day_and_receipts_before_issues(seed, as_of):
    documents = year(seed, as_of).documents
    order = [(document.day, isinstance(document, Issue)) for document in documents]
    assert order == sorted(order)
    assert as_of - timedelta(days=DAYS) <= documents[0].day
    assert documents[-1].day < as_of
    assert all(document.lines for document in documents)
    assert {document.location for document in documents} == {place.code for place in WAREHOUSES}


@every_year
def test_goods_go_to_reporters_of_the_same_region(seed, as_of):
    for issue in year(seed, as_of).issues:
        assert PLACE[issue.recipient].consumption_source == "reports"
        assert PLACE[issue.recipient].parent == PLACE[issue.location].parent


@every_year
def test_a_lot_has_one_life_as_long_as_its_shelf_life_and_no_two_lots_of_an_item_end_together(seed, as_of):
    ends: dict[str, set[date]] = defaultdict(set)
    seen = set()
    for receipt in year(seed, as_of).receipts:
        for line in receipt.lines:
            shelf_life = ITEM[line.item].shelf_life_days
            if shelf_life is None:
                assert line.expires_on is None
            else:
                assert line.expires_on == line.manufactured_on + timedelta(days=shelf_life)
            assert len(line.lot_number) <= 20
            if (line.item, line.lot_number) not in seen and line.expires_on:
                assert line.expires_on not in ends[line.item]
                ends[line.item].add(line.expires_on)
            seen.add((line.item, line.lot_number))


@every_year
def test_gifts_are_told_from_purchases(seed, as_of):
    kinds = Counter(receipt.kind for receipt in year(seed, as_of).receipts)
    assert kinds["donation"] >= 1
    assert kinds["purchase"] > kinds["donation"]
    assert all(("捐赠" in r.reference) == (r.kind == "donation") for r in year(seed, as_of).receipts)


@every_year
def test_a_few_forgotten_lots_lie_there_expired_and_many_end_within_the_year(seed, as_of):
    played = replay(seed, as_of)
    ends = [played.expires_on[item, lot] for _, item, lot in played.stock]
    lots = {(item, lot) for _, item, lot in played.stock if (played.expires_on[item, lot] or date.max) < as_of}
    assert 4 <= len(lots) <= 8
    assert sum(as_of <= end < as_of + timedelta(days=365) for end in ends if end) > 100


@every_year
def test_the_city_keeps_about_half_and_two_counties_are_thin(seed, as_of):
    shares = defaultdict(list)
    for item in ITEM:
        held = Counter()
        for (place, of, _), there in replay(seed, as_of).stock.items():
            held[PLACE[place].parent] += there * (of == item)
        for region, there in held.items():
            shares[region].append(there / held.total())
    assert 0.40 <= np.mean(shares[CITY]) <= 0.55
    a_head = {r: np.mean(shares[r]) / PLACE[r].weight for r in shares if r != CITY}
    assert sorted(sorted(a_head, key=a_head.__getitem__)[:2]) == ["371423", "371428"]
    thin, *rest = sorted(a_head.values())[1:]
    assert thin < 0.6 * min(rest)


class Row(NamedTuple):
    peak: ScopePeak
    cover: Cover
    level: str


@cache
def rows(seed: int, as_of: date) -> dict[str, Row]:
    """Assess the city as the product does, without a projection."""
    made, played = year(seed, as_of), replay(seed, as_of)
    lots = defaultdict(list)
    for (_, item, lot), there in played.stock.items():
        end = played.expires_on[item, lot]
        lots[item].append((there, None if end is None else (end - as_of).days + 1))
    found = {}
    for index, code in enumerate(made.consumption.items):
        days = made.consumption.values[index, :, -365:], made.consumption.reported[index, :, -365:]
        peak, required = scope_peak(*days), REQUIRED[ITEM[code].category]
        found[code] = Row(peak, covered := cover(lots[code], peak.peak or 0, required), _level(peak, covered, required))
    return found


def _level(peak: ScopePeak, covered: Cover, required: int) -> str:
    if not peak.known or covered.days is None:
        return "unknown"
    if covered.days < required / 2 or covered.days < min(14, required):
        return "red"
    ahead = covered.falls_below_day
    return "orange" if ahead == 0 else "yellow" if ahead <= 14 else "blue" if ahead <= 21 else "normal"


LEVELS = {
    "comfortable": "normal",
    "just_above": "yellow",
    "just_below": "orange",
    "below_by_expiry": "orange",
    "red": "red",
    "falls_within_two_weeks": "yellow",
    "falls_within_three_weeks": "blue",
    "no_reports": "unknown",
    "no_use": "unknown",
}


@every_year
def test_every_item_tells_its_story(seed, as_of):
    told = rows(seed, as_of)
    for expected in year(seed, as_of).expected:
        row = told[expected.item]
        assert row.level == LEVELS[expected.story], expected
        if expected.days is not None:
            assert row.peak.known
            assert row.peak.basis == "history"
            assert float(row.cover.days) == pytest.approx(expected.days, abs=0.03 + 0.6 / float(row.peak.peak))


@every_year
def test_each_deliberate_story_is_told_by_one_protective_item(seed, as_of):
    stories = Counter(e.story for e in year(seed, as_of).expected if ITEM[e.item].category == "protective")
    for story in ("just_above", "just_below", "below_by_expiry", "red", "no_reports", "no_use"):
        assert stories[story] == 1, story
    assert stories["comfortable"] in {9, 10}
    assert stories["falls_within_two_weeks"] == 1


@every_year
def test_one_item_just_keeps_the_rule_and_one_just_breaks_it(seed, as_of):
    above, below = _told(seed, as_of, "just_above"), _told(seed, as_of, "just_below")
    assert 30 < above.cover.days < 31
    assert 29 < below.cover.days < 30


@every_year
def test_one_item_is_enough_when_divided_and_too_little_when_lots_expire(seed, as_of):
    row = _told(seed, as_of, "below_by_expiry")
    assert row.cover.usable / row.peak.peak > 33
    assert row.cover.days < 25
    assert row.cover.wasted_units > 0


@every_year
def test_one_item_is_not_reported_and_one_is_reported_but_never_used(seed, as_of):
    silent, unused = _told(seed, as_of, "no_reports"), _told(seed, as_of, "no_use")
    assert silent.peak.peak is None
    assert unused.peak.peak == 0
    assert unused.peak.known
    assert silent.cover.usable > 0
    assert unused.cover.usable > 0


@every_year
def test_nothing_that_is_meant_to_last_is_lost_to_expiry_at_the_peak(seed, as_of):
    wasteful = [item for item, row in rows(seed, as_of).items() if row.cover.wasted]
    assert wasteful == [e.item for e in year(seed, as_of).expected if e.story == "below_by_expiry"]


def _told(seed: int, as_of: date, story: str) -> Row:
    (item,) = (e.item for e in year(seed, as_of).expected if e.story == story)
    return rows(seed, as_of)[item]
