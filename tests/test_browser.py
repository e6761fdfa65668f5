"""The pages in a real browser: nothing scrolls sideways, nothing is blocked, nothing leaves."""
# ruff: noqa: E501 - scripts for the browser read best in one line

import socket
import threading

import pytest
import uvicorn
from made_up import MadeUpCity, app_of

from api import words

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address():
    """Serve the made-up city on a loopback port of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = app_of(MadeUpCity(stale=("GOGGLE", "SAL", "CAP")))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.fixture
def visit(chromium, address):
    """Open pages, and find at the end that nothing was blocked, failed or fetched from elsewhere."""
    contexts, wrong = [], []

    def told(said):
        if said.type in ("error", "warning") and "favicon" not in said.location["url"]:
            wrong.append(said.text)

    def answered(answer):
        # a browser asks for an icon by itself where a picture, not a page, is opened
        if answer.status >= 400 and not answer.url.endswith("/favicon.ico"):
            wrong.append(f"{answer.status} {answer.url}")

    def opened(path, size=(360, 740), **settings):
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, locale="zh-CN", **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", told)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
        page.on("response", answered)
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("size", [(320, 640), (360, 740), (640, 900), (1440, 900), (1920, 1080)])
def test_no_page_scrolls_sideways_or_is_blocked(visit, address, size, lang, scheme):
    page = visit(f"/?lang={lang}", size, color_scheme=scheme)
    for path in ("/?all=1", "/items/N95", "/items/MASK", "/items/SHIELD"):
        page.goto(address + path)
        assert page.evaluate(SIDEWAYS) <= 0
        assert page.locator("h1").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize(("size", "chart_width"), [((360, 740), 360), ((1920, 1080), 960)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_item_opens_its_explanation_with_the_chart(visit, size, chart_width, scheme):
    page = visit("/?lang=en", size, color_scheme=scheme)
    page.get_by_role("link", name="Medical respirator (N95)").first.click()
    page.wait_for_load_state("networkidle")
    assert page.locator("h1").inner_text() == "Medical respirator (N95)"
    assert "(118000 - 400) / 3500 = 33.6" in page.locator("#main").inner_text()
    chart = page.get_by_role("img", name="Chart of Medical respirator")
    chart.scroll_into_view_if_needed()
    assert chart.evaluate("it => it.complete && it.naturalWidth") == chart_width
    assert f"theme={scheme}" in chart.evaluate("it => it.currentSrc")
    page.get_by_text("The same numbers, day by day").first.click()
    assert page.get_by_role("cell", name="103,600").first.is_visible()


@pytest.mark.browser
def test_the_chart_opened_by_itself_is_not_stripped_by_our_own_policy(visit):
    page = visit("/items/N95/projection.svg?lang=en&width=960")
    assert page.evaluate("() => getComputedStyle(document.querySelector('text')).fontSize") == "16px"


@pytest.mark.browser
@pytest.mark.parametrize("size", [(360, 740), (1920, 1080)])
def test_the_first_row_is_reached_by_keyboard_alone(visit, size):
    page = visit("/?lang=en", size)
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.matches('.items tbody a')"):
            break
    focused = page.evaluate(
        "() => [document.activeElement.textContent, getComputedStyle(document.activeElement).outlineWidth]"
    )
    assert focused == ["Medical goggles", "3px"]
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    assert page.locator("h1").inner_text() == "Medical goggles"


@pytest.mark.browser
def test_what_a_thumb_touches_is_large_enough(visit):
    page = visit("/?lang=zh", (360, 740))
    small = page.evaluate(
        "() => [...document.querySelectorAll('a, summary')].filter(it => it.offsetParent && !it.closest('.skip, .picker nav'))"
        ".map(it => [it.textContent.trim(), it.getBoundingClientRect()]).filter(([, box]) => box.height < 44 || box.width < 44)"
        ".map(([text, box]) => `${text} ${box.width}x${box.height}`)"
    )
    assert small == []


@pytest.mark.browser
def test_another_scope_and_language_are_chosen_without_a_script(visit):
    page = visit("/", (360, 740), java_script_enabled=False)
    page.locator(".picker summary").click()
    page.locator(".picker nav").get_by_role("link", name="齐河县 371425", exact=True).click()
    assert "齐河县" in page.locator("h1").inner_text()
    page.get_by_role("link", name="English").click()
    assert page.locator("h1").inner_text().startswith("Qihe, 21 items")
    page.get_by_role("link", name="Face shield").first.click()
    assert "Why unknown?" in page.locator("main").inner_text()


@pytest.mark.browser
def test_shapes_and_words_stay_when_colours_are_forced_off(visit):
    page = visit("/?lang=zh", (1440, 900), forced_colors="active")
    fills = page.evaluate(
        "() => [...document.querySelectorAll('.items .badge .shape')].map(it => it.getBoundingClientRect().width)"
    )
    assert len(fills) == 21
    assert page.evaluate("() => getComputedStyle(document.querySelector('#shape-red .solid')).fill") in (
        "rgb(0, 0, 0)",
        "rgb(255, 255, 255)",
    )


@pytest.mark.browser
def test_the_overview_prints_on_paper(visit):
    page = visit("/?lang=zh", (1440, 900))
    page.emulate_media(media="print")
    assert not page.locator(".picker").is_visible()
    assert page.locator(".print-only").is_visible()
    assert b"/Count 1" in page.pdf(format="A4")
