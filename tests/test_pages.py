"""The pages as their readers see them, over a made-up city with items in all six levels."""

import re
import warnings
from xml.etree import ElementTree as ET

import pytest
from made_up import CITY, MadeUpCity, app_of

from api import charts, words
from api.pages import CSP, LEVELS, STATIC

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette announces a successor of httpx that is not among our pins yet
    from fastapi.testclient import TestClient


class EmptyCity(MadeUpCity):
    def scopes(self):
        return []

    def coverage(self, _scope):
        return None

    def freshness(self):
        return {**super().freshness(), "assessed_at": None, "due": 0, "worker_beat_at": None}


def reader_of(board):
    return TestClient(app_of(board))


def reader_with(pick=lambda _: True, **facts):
    """Read pages of a city with only some of the rows, or with other facts in them."""

    class Changed(MadeUpCity):
        def coverage(self, scope):
            return [{**row, **facts} for row in super().coverage(scope) if pick(row)]

    return reader_of(Changed())


@pytest.fixture(scope="module")
def city():
    return reader_of(MadeUpCity(stale=("GOGGLE", "SAL", "CAP")))


def text_of(html):
    """What a reader sees, with tags, scripts and the language link left out."""
    html = re.sub(r'<a class="language".*?</a>|<title>.*?</title>', " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


ADDRESSES = [
    "/",
    "/?all=1",
    "/?category=protective",
    "/items/N95",
    "/items/SHIELD",
    "/items/NOPE",
    "/?scope=nowhere",
    "/?scope=371423",
]
CHINESE = re.compile(r"[\u3400-\u9fff\uff01-\uff5e]")


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_is_a_shape_a_word_and_a_number(city, lang, level):
    page = city.get(f"/?lang={lang}").text
    rows = page.count(f'data-level="{level}"')
    assert rows
    chip = re.search(rf'<a class="count level-{level}".*?</a>', page, re.DOTALL)[0]
    assert f'href="#shape-{level}"' in chip
    assert text_of(chip).split() == [*words.say(lang, f"level.{level}").split(), str(rows)]
    assert f'<symbol id="shape-{level}"' in page


def test_rows_stand_by_level_with_unknown_after_red_then_by_the_days_they_fall_and_run_out(city):
    page = city.get("/").text
    assert re.findall(r'data-item="([^"]+)"', page)[:11] == [
        "GOGGLE", "VENT-KIT", "GOWN", "SHIELD", "VTM", "SWAB", "GLOVE-S", "N95", "ALC75", "SAL", "OSEL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lang", "verdict", "lead"),
    [
        (
            "zh",
            "德州市 21 种物资\uff1a5 种低于要求\uff0c2 种无法判断\uff0c4 种将跌破要求\uff0c10 种达标。",
            "最急\uff1a医用护目镜够用 5.6 天\uff0c要求 30 天\uff0c缺 10,000 个\uff0c4月6日用尽。",
        ),
        (
            "en",
            "Dezhou, 21 items: 5 below requirement, 2 unknown, 4 about to fall below, 10 OK.",
            "Most urgent: Medical goggles, 5.6 days of 30 required, short of 10,000 pieces, runs out 6 Apr.",
        ),
    ],
)
def test_the_first_line_is_the_verdict(city, lang, verdict, lead):
    page = city.get(f"/?lang={lang}").text
    assert re.sub(r"<[^>]+>", "", re.search(r"<h1>(.*?)</h1>", page)[1]) == verdict
    assert lead in page


def test_a_red_item_says_why_since_when_and_until_when(city):
    row = text_of(re.search(r'<tr[^>]*data-item="GOWN".*?</tr>', city.get("/?lang=en").text, re.DOTALL)[0])
    for said in (
        "Far below",
        "12.4 / 30 days",
        "short of 61,600",
        "since 2026-04-01 06:10",
        "43,400 pieces",
        "3,500",
        "2026-04-13",
    ):
        assert said in row


def test_the_verdict_of_a_calm_city_is_that_all_is_well():
    page = text_of(reader_with(lambda row: row["level"] == "normal").get("/?lang=en").text)
    assert "Dezhou, 10 items: all meet the requirement." in page.replace("  ", " ")


def test_orange_is_named_before_unknown_when_nothing_is_red():
    calm = reader_with(lambda row: row["level"] in ("unknown", "orange"))
    assert "Most urgent: Sampling swab, 26.8 days" in calm.get("/?lang=en").text


def test_normal_items_are_folded_until_asked_for(city):
    assert '<details class="fold">' in city.get("/").text
    assert '<details class="fold" open>' in city.get("/?all=1").text


def test_a_category_shows_only_its_items_and_says_so(city):
    page = city.get("/?category=treatment&lang=en").text
    assert set(re.findall(r'data-item="([^"]+)"', page)) == {"SAL", "OSEL", "LIAN"}
    assert "Dezhou, 3 items of treatment supplies" in page


@pytest.mark.parametrize(
    ("amount", "shown"), [(29.97, "29.9"), (30.0, "30.0"), (33.6, "33.6"), (0.09, "0.0"), (1234.56, "1,234.5")]
)
def test_days_are_rounded_down(amount, shown):
    assert words.days(amount) == shown


@pytest.mark.parametrize(("amount", "shown"), [(142.857142, "142.9"), (3500.0, "3,500"), (0.01, "0.1")])
def test_the_peak_is_rounded_up(amount, shown):
    assert words.rate(amount) == shown


def test_an_item_just_short_of_thirty_days_is_never_shown_as_thirty():
    page = reader_with(days_of_coverage=29.97, level="orange").get("/").text
    assert "<b>29.9</b>" in page
    assert "<b>30" not in page


@pytest.mark.parametrize(
    ("days", "required", "share"),
    [(12.4, 30, 20.7), (30, 30, 50.0), (500, 30, 100.0), (None, 30, None), (5, None, None), (5, 0, None)],
)
def test_bars_end_at_twice_the_requirement(days, required, share):
    assert charts.bar_share(days, required) == share


def test_what_is_stale_says_for_how_long(city):
    page = city.get("/?lang=en").text
    row = re.search(r'<tr[^>]*data-item="GOGGLE".*?</tr>', page, re.DOTALL)[0]
    assert "Not updated for 2 days" in row
    assert "bar level-red stale" in row
    assert "Data as of" in page
    assert ">08:05</time>" in page


def test_a_silent_watcher_is_said_with_its_cure():
    class Silent(MadeUpCity):
        def freshness(self):
            return {**super().freshness(), "worker_beat_at": "2026-04-01T00:20:00+00:00"}

    assert "not been heard from for 70 minutes" in reader_of(Silent()).get("/?lang=en").text
    assert "reserve watch" in reader_of(Silent()).get("/").text
    assert "reserve watch" not in reader_of(MadeUpCity()).get("/").text


def test_alerts_say_who_was_reached_and_who_was_not(city):
    page = text_of(city.get("/?lang=en").text)
    assert "delivered 06:10" in page
    assert "SMS: not delivered after 3 tries" in page
    assert "SMS: waiting to be sent" in page
    assert "No receiver" in page


def test_tiles_lead_to_each_countys_overview(city):
    page = city.get("/?lang=en").text
    tiles = re.findall(r'<a class="tile level-(\w+)" href="([^"]+)"', page)
    assert len(tiles) == 11
    assert [LEVELS.index(level) for level, _ in tiles] == sorted(LEVELS.index(level) for level, _ in tiles)
    county = city.get(tiles[0][1].replace("&amp;", "&"))
    assert county.status_code == 200
    assert "<h1>" in county.text


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_mixes_languages(city, address):
    joint = "&" if "?" in address else "?"
    english = city.get(f"{address}{joint}lang=en").text
    english = re.sub(r'<q lang="zh-CN">.*?</q>|企业微信', "", english)
    assert not CHINESE.search(text_of(english))
    chinese = text_of(city.get(f"{address}{joint}lang=zh").text)
    for word in (
        "Usable",
        "Peak",
        "days",
        "Shortfall",
        "Falls",
        "Lot",
        "Required",
        "Unknown",
        "Level",
        "Overview",
        "None",
    ):
        assert word not in chinese


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_every_page_is_sound(city, address, lang):
    answer = city.get(f"{address}{'&' if '?' in address else '?'}lang={lang}")
    page = answer.text
    assert f'<html lang="{words.HTML_LANG[lang]}">' in page
    assert page.count("<h1>") == 1
    assert page.count("<main") == page.count('<a class="skip"') == 1
    assert not re.search(r"<script|\sstyle=|<style|\son\w+=|javascript:|https?://(?!www\.w3\.org)", page)
    assert answer.headers["content-security-policy"] == CSP
    assert len(page) < 400_000
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert all("<caption" in table and 'scope="col"' in table and 'scope="row"' in table for table in tables)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_names_are_never_markup():
    client = reader_of(MadeUpCity(hostile="<script>alert(1)</script>&\x0b"))
    for address in ("/?all=1", "/items/N95", "/?lang=en"):
        page = client.get(address).text
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page
    assert "<script" not in client.get("/?scope=<script>").text
    assert "<script" not in client.get("/items/<script>alert(1)").text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "/?scope=nowhere&lang=en",
            ["No such scope: nowhere", "Choose one below", 'href="/?scope=371402&amp;lang=en"'],
        ),
        ("/items/N95?scope=nowhere&lang=en", ["No such scope: nowhere"]),
        ("/items/NOPE?lang=en", ["No such item in Dezhou: NOPE", 'href="/?scope=371400&amp;lang=en"']),
        ("/items/NOPE", ["德州市没有这种物资\uff1aNOPE", "回到德州市总览"]),
    ],
)
def test_what_does_not_exist_is_404_and_says_what_to_do(city, address, said):
    city.cookies.clear()
    answer = city.get(address)
    assert answer.status_code == 404
    for words_said in said:
        assert words_said in answer.text


def test_an_empty_city_says_which_command_loads_something():
    for address in ("/", "/items/N95"):
        answer = reader_of(EmptyCity()).get(address)
        assert "<h1>" in answer.text
    page = reader_of(EmptyCity()).get("/?lang=en")
    assert page.status_code == 200
    for command in ("reserve demo", "reserve import", "reserve watch --once", "Not assessed yet"):
        assert command in page.text


def test_a_scope_without_items_says_so(city):
    assert "Qingyun has no items to assess yet" in city.get("/?scope=371423&lang=en").text


def test_the_item_page_carries_everything_needed_to_redo_the_number(city):
    page = city.get("/items/N95?lang=en").text
    seen = text_of(page)
    for said in (
        "Why 33.6 days?", "(118000 - 400) / 3500 = 33.6", "N2300", "2026-04-04", "Left out: on hold",
        "Left out: expired",
        "2026-01-12", "24,500", "÷ 7 = peak per day", "Pingyuan", "Silent", "never", "PROTECTIVE-30D", "In force from",
        "Falls below on", "2026-04-05", "2026-05-04", "The same numbers, day by day",
    ):  # fmt: skip
        assert said in seen
    assert "不少于1个月" in page
    assert page.count("<li>On hand 120,000") == 1
    assert len(re.findall(r"<tr[^>]*><th scope=\"row\"><time datetime=\"2026-0[4-6]", page)) == 90


def test_long_lists_show_what_says_something_and_fold_the_rest():
    class Vast(MadeUpCity):
        def explained(self, scope, item):
            row = super().explained(scope, item)
            row["explanation"]["lots"] += [{**row["explanation"]["lots"][2], "lot_number": f"Z{n}"} for n in range(40)]
            return row

    page = reader_of(Vast()).get("/items/N95?lang=en").text
    shown, folded = page.split("The other 42 lots, all counted", 1)
    assert all(lot in shown for lot in ("N2300", "N2333", "N2344"))
    assert "Z39" in folded
    assert "Z39" not in shown


def test_an_alert_of_a_county_names_it_and_dates_only_its_own_row():
    class Below(MadeUpCity):
        def alerts(self, scope, limit):
            return [{**one, "scope": "371425"} for one in super().alerts(scope, limit)]

    page = reader_of(Below()).get("/?lang=en").text
    assert '<span class="where">Qihe</span>' in page
    assert 'href="/items/GOWN?scope=371425&amp;lang=en"' in page
    assert "since 2026-04-01" not in page


@pytest.mark.parametrize("days", ["30", "90", "180", "5000", "x", ""])
def test_the_horizon_is_one_of_three(city, days):
    page = city.get(f"/items/OSEL?days={days}&lang=en").text
    rows = len(re.findall(r'<th scope="row"><time datetime="2026-(?!01)', page))
    assert rows == (int(days) if days in ("30", "90", "180") else 90)


def test_an_unknown_peak_is_explained_and_not_drawn(city):
    page = city.get("/items/SHIELD?lang=en").text
    assert "no chart of a guess" in page
    assert "<picture>" not in page
    assert "<b>0" not in page
    assert city.get("/items/SHIELD/projection.svg").status_code == 404


def test_an_upper_bound_is_not_passed_off_as_a_number():
    assert "<b>≤ 33.6</b>" in reader_with(level="unknown").get("/").text


@pytest.mark.parametrize(
    ("address", "cookie", "header", "lang"),
    [
        ("/", None, None, "zh"),
        ("/", None, "en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("/", None, "fr,en;q=0.3,zh-CN;q=0.7", "zh"),
        ("/", None, "fr,de;q=oops,en;q=0", "zh"),
        ("/", "en", "zh-CN", "en"),
        ("/?lang=zh", "en", "en", "zh"),
        ("/?lang=tlh", None, "en", "en"),
    ],
)
def test_language_is_the_address_then_the_cookie_then_the_browser_then_chinese(address, cookie, header, lang):
    client = TestClient(app_of(MadeUpCity()), cookies={"lang": cookie} if cookie else {})
    answer = client.get(address, headers={"accept-language": header or ""})
    assert f'<html lang="{words.HTML_LANG[lang]}"' in answer.text
    assert "Accept-Language" in answer.headers["vary"]


def test_a_chosen_language_is_kept():
    client = reader_of(MadeUpCity())
    client.get("/?lang=en")
    assert '<html lang="en"' in client.get("/").text


@pytest.mark.parametrize("item", ["N95", "GOWN", "GLOVE-S", "GOGGLE", "ALC75", "OXI", "MASK"])
@pytest.mark.parametrize("width", ["360", "960"])
@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_the_chart_is_sound_and_speaks_the_readers_language(city, item, width, lang):
    answer = city.get(f"/items/{item}/projection.svg?lang={lang}&theme=dark&width={width}")
    root = ET.fromstring(answer.content)  # noqa: S314 - our own drawing
    assert answer.headers["content-type"] == "image/svg+xml"
    assert root.get("width") == width
    assert b"style" not in answer.content
    said = [element.text for element in root.iter(f"{{{charts.SVG}}}text")]
    assert not [text for text in said if text.startswith("@")]
    assert any(("Required 30 days" if lang == "en" else "要求 30 天") in text for text in said)
    assert bool(CHINESE.search("".join(said))) == (lang == "zh")
    assert len(answer.content) < 60_000


def test_the_chart_names_the_cliff_the_fall_and_the_end(city):
    drawn = city.get("/items/N95/projection.svg?lang=en").text
    for said in (
        "N2300: 400 expire",
        "Falls below 5 Apr",
        "Runs out 4 May",
        "Usable stock (pieces)",
        "Required 30 days = 105,000",
    ):
        assert said in drawn


def test_the_chart_is_not_sent_twice(city):
    first = city.get("/items/N95/projection.svg")
    again = city.get("/items/N95/projection.svg", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert city.get("/items/N95/projection.svg?theme=dark").headers["etag"] != first.headers["etag"]


def test_a_chart_of_what_does_not_exist_is_404(city):
    for address in ("/items/NOPE/projection.svg", "/items/N95/projection.svg?scope=nowhere"):
        assert city.get(address).status_code == 404


def test_words_of_a_chart_never_become_markup_or_formulas():
    client = reader_of(MadeUpCity(hostile="$x_1$"))
    row = MadeUpCity().explained(CITY, "N95")
    row["explanation"]["lots"][0]["lot_number"] = "<b>$\\frac{1}{2}$\x0b&"
    drawing = charts.drawing(row, MadeUpCity().projection(CITY, "N95", 90), lang="zh", width=960, dark=False)
    said = [element.text for element in ET.fromstring(charts.svg(drawing)).iter(f"{{{charts.SVG}}}text")]  # noqa: S314
    assert "<b>$\\frac{1}{2}$& 失效 400" in said
    assert client.get("/items/N95/projection.svg").status_code == 200


def test_every_word_is_there_in_both_languages_and_used():
    api = STATIC.parent
    sources = [*api.glob("templates/*.html"), api / "pages.py", api / "charts.py"]
    text = "\n".join(path.read_text() for path in sources) + (api / "words.py").read_text().split("class Reader")[1]
    asked = re.findall(r'\b(?:t|say)\((?:lang, |self\.lang, |reader\.lang, )?[\'"]([a-z_.0-9]+)[\'"]', text)
    assert {key for key in asked if not key.endswith(".")} - set(words.WORDS) == set()
    literal = set(re.findall(r"[\"']([a-z_]+(?:\.[a-z_]+)*)[\"']", text))
    families = tuple(re.findall(r"[\"f]([a-z_]+\.)(?:\"|\{)", text))
    assert [key for key in words.WORDS if key not in literal and not key.startswith(families)] == []


@pytest.mark.parametrize("key", sorted(words.WORDS))
def test_both_languages_say_the_same_thing(key):
    zh, en = words.WORDS[key]
    assert zh
    assert en
    for form in en.split("|"):
        assert set(re.findall(r"\{(\w+)\}", form)) <= set(re.findall(r"\{(\w+)\}", zh))
    assert set(re.findall(r"\{(\w+)\}", zh)) == set(re.findall(r"\{(\w+)\}", en))
    assert not CHINESE.search(en)
    assert "|" not in zh
    assert not re.search(r"[a-zA-Z]{3}", re.sub(r"\{\w+\}", "", zh))
    assert not re.search(r"[\u4e00-\u9fff][,:;?()]", zh)


def test_english_counts():
    assert [words.say("en", "items.normal", n=n) for n in (0, 1, 2)] == ["0 items OK", "1 item OK", "2 items OK"]
