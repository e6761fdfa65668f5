"""The director's two words: what `make demo` runs, in an empty folder, twice."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from crashing import free_port
from typed import Typed, typed

from seeds.year import demonstration

pytestmark = pytest.mark.long


def reserve(folder: Path, *words: str, **settings: str) -> Typed:
    return typed(*words, folder=folder, **settings)


def in_a_process(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RESERVE_")} | settings
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *words],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("fresh")
    first = in_a_process(folder, "demo", "--no-serve")
    assert first.returncode == 0, first.stderr
    return folder, first.stdout


@pytest.fixture(scope="module")
def rows(shown: tuple[Path, str]) -> dict[str, dict]:
    told = in_a_process(shown[0], "coverage", "--json", RESERVE_DATABASE_URL="sqlite:///var/demo.db")
    assert told.returncode == 0, told.stderr
    return {row["item"]: row for row in json.loads(told.stdout)["items"]}


def test_the_director_sees_the_verdict_and_the_alerts_that_went_out(shown: tuple[Path, str]) -> None:
    out = shown[1]
    assert "FACE-SHIELD" in out
    assert "【红色" in out
    assert "0 条失败" in out


def test_the_table_tells_the_stories_that_were_meant(rows: dict[str, dict]) -> None:
    level = {item: row["level"] for item, row in rows.items()}
    assert level["COVERALL"] == "orange", "just below a month"
    assert level["N95"] == "yellow", "just above a month"
    assert level["FACE-SHIELD"] == "red"
    assert (level["PAPR-FILTER"], rows["PAPR-FILTER"]["reason_code"]) == ("unknown", "consumption_unknown")
    assert (level["REUSABLE-COVERALL"], rows["REUSABLE-COVERALL"]["reason_code"]) == ("unknown", "no_consumption")
    gloves = rows["EXAM-GLOVES"]
    assert gloves["days_of_coverage"] < 30 < gloves["usable"] / gloves["peak_daily"]
    assert sum(word == "normal" for word in level.values()) > 30


def test_the_numbers_are_those_the_city_was_made_with(shown: tuple[Path, str], rows: dict[str, dict]) -> None:
    from datetime import date

    city = demonstration(1, date.fromisoformat(rows["N95"]["as_of"]))
    for meant in city.expected:
        if meant.days is not None:
            row = rows[meant.item]
            one_piece = 1 / row["peak_daily"]  # a stretcher more or less is half a day
            assert row["days_of_coverage"] == pytest.approx(meant.days, abs=max(0.2, one_piece)), meant


def test_a_second_run_changes_nothing(shown: tuple[Path, str]) -> None:
    folder, _ = shown

    def counts() -> dict[str, int]:
        with closing(sqlite3.connect(folder / "var" / "demo.db")) as books:
            tables = ("document", "movement", "consumption", "alert", "item", "location")
            return {t: books.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}

    before = counts()
    assert before["alert"] > 5
    again = in_a_process(folder, "demo", "--no-serve")
    assert again.returncode == 0, again.stderr
    assert counts() == before


def test_the_books_of_the_demonstration_are_whole(shown: tuple[Path, str]) -> None:
    checked = reserve(shown[0], "verify", RESERVE_DATABASE_URL="sqlite:///var/demo.db")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout == ""


def test_a_past_day_can_be_asked_again(shown: tuple[Path, str], rows: dict[str, dict]) -> None:
    del rows
    past = reserve(
        shown[0],
        "coverage",
        "--json",
        "--item",
        "N95",
        "--as-of",
        "2026-06-01",
        RESERVE_DATABASE_URL="sqlite:///var/demo.db",
    )
    assert past.returncode == 0, past.stderr
    (row,) = json.loads(past.stdout)["items"]
    assert row["as_of"] == "2026-06-01"


def test_why_is_answered_on_the_command_line_in_both_languages(shown: tuple[Path, str]) -> None:
    told = reserve(shown[0], "explain", "EXAM-GLOVES", RESERVE_DATABASE_URL="sqlite:///var/demo.db")
    assert told.returncode == 0, told.stderr
    assert "不少于1个月" in told.stdout
    assert "First expired, first out" in told.stdout


def test_the_command_line_refuses_in_a_sentence(tmp_path: Path) -> None:
    for words, code in (
        (("coverage",), 1),
        (("serve",), 1),
        (("explain", "N95"), 1),
        (("key", "create", "--role", "king", "--location", "X"), 2),
        (("coverage", "--as-of", "2026-02-30"), 2),
        (("nonsense",), 2),
    ):
        said = reserve(tmp_path, *words)
        assert said.returncode == code, (words, said.stderr)
        assert "Traceback" not in said.stderr
        assert said.stderr.strip()


def test_settings_that_cannot_be_used_are_refused_in_a_sentence(tmp_path: Path) -> None:
    for name, value in (
        ("RESERVE_DATABASE_URL", "mysql://x"),
        ("RESERVE_DATABASE_URL", "sqlite://"),
        ("RESERVE_TIMEZONE", "Mars/Olympus"),
        ("RESERVE_WORKER", "perhaps"),
        ("RESERVE_BEAT_SECONDS", "soon"),
        ("RESERVE_BEAT_SECONDS", "-1"),
        ("RESERVE_DATABASE", "sqlite:///x"),
    ):
        said = reserve(tmp_path, "migrate", **{name: value})
        assert said.returncode == 2, said.stderr
        assert "RESERVE_" in said.stderr
        assert "Traceback" not in said.stderr


@pytest.fixture(scope="module")
def page(shown: tuple[Path, str]) -> Iterator[str]:
    """The demonstration served: the address that it says."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RESERVE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "demo", "--port", str(port)],
        cwd=shown[0],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            try:
                if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert f"{address}/" in out
    assert process.returncode == 0


def test_the_page_shows_the_numbers_that_the_api_answers(page: str, rows: dict[str, dict]) -> None:
    overview = httpx.get(f"{page}/?lang=en&all=1", trust_env=False).text
    pattern = r'data-item="([^"]+)".*?<span class="cover"><b[^>]*>([^<]+)</b>'
    days = dict(re.findall(pattern, overview, re.DOTALL))
    assert set(days) == set(rows)
    for item, row in rows.items():
        if row["days_of_coverage"] is not None:
            assert float(days[item]) == int(row["days_of_coverage"] * 10) / 10


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height", "lang"), [(360, 740, "zh"), (1920, 1080, "en")])
def test_the_director_clicks_through_to_why(page: str, chromium, width, height, lang) -> None:
    tab = chromium.new_page(viewport={"width": width, "height": height})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{page}/?lang={lang}", wait_until="networkidle")
    assert tab.locator("h1").inner_text()
    tab.get_by_role("link", name="一次性使用医用橡胶检查手套" if lang == "zh" else "Examination gloves").first.click()
    tab.wait_for_load_state("networkidle")
    assert "24.3" in tab.locator("main").inner_text()
    chart = tab.locator("img").first
    assert chart.evaluate("image => image.complete && image.naturalWidth > 0")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    assert all(url.startswith((page, "data:")) for url in asked)
    tab.close()


def test_what_is_listed_can_be_taken_out_as_a_sheet(shown: tuple[Path, str], rows: dict[str, dict]) -> None:
    for kind, least in (("coverage", len(rows)), ("stock", 500), ("movements", 10_000)):
        out = reserve(shown[0], "export", kind, RESERVE_DATABASE_URL="sqlite:///var/demo.db")
        assert out.returncode == 0, out.stderr
        assert out.stdout.count("\n") > least
    refused = reserve(shown[0], "export", "secrets", RESERVE_DATABASE_URL="sqlite:///var/demo.db")
    assert refused.returncode == 2


def test_a_port_that_is_taken_is_said_before_the_work(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        said = in_a_process(tmp_path, "demo", "--port", str(taken.getsockname()[1]))
    assert said.returncode == 1
    assert "make demo PORT=" in said.stderr
    assert not (tmp_path / "var").exists()
