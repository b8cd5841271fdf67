"""What the page asks of the nodes and when: ranges, row budgets, live, paused, out of sight."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.e2e.page.acting import COLUMNS, WHOLE, add_window, refreshed, zoomed_in
from tests.e2e.page_fixtures import STEP_MS, Opened, ScriptedNode, last_minute

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("choice", "minutes"), [("5m", 5), ("15m", 15), ("1h", 60), ("6h", 360), ("24h", 1440)])
async def test_a_time_range_is_asked_of_the_nodes(
    page: Opened, scripted: ScriptedNode, choice: str, minutes: int
) -> None:
    """From the moment that long ago, without an end; the picture has the windows of that time alone."""
    scripted.asked.clear()
    async with page.page.expect_response(re.compile("matrix.*from_unix_ms=")):
        await page.get("range").select_option(choice)
    await page.until(lambda _, right, *__: right <= min(minutes, COLUMNS))
    asked = [query.window for query in scripted.asked if query.window.from_unix_ms > 0]
    assert asked, "no question had a beginning"
    assert asked[-1].to_unix_ms == 0
    assert abs(asked[-1].from_unix_ms - (last_minute() - minutes * STEP_MS)) <= 2 * STEP_MS
    assert page.parameters()["range"] == choice


async def test_a_range_of_ones_own_is_asked_with_both_ends(page: Opened, scripted: ScriptedNode) -> None:
    """From and to as typed in the clock of the page; the wrong way round is said and not asked."""
    start = scripted.columns[10]
    await page.get("range").select_option("custom")
    sheet = page.get("custom-range")
    await expect(sheet).to_be_visible()
    fields = [sheet.locator(f"input[name={name}]") for name in ("from", "to")]
    written = [
        await page.page.evaluate(
            "ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19)", ms
        )
        for ms in (start, start + 20 * STEP_MS)
    ]
    for field, text in zip(fields, reversed(written), strict=True):
        await field.fill(text)
    await sheet.get_by_role("button", name="Show").click()
    await expect(sheet.get_by_role("alert")).to_contain_text("before the end")
    for field, text in zip(fields, written, strict=True):
        await field.fill(text)
    await sheet.get_by_role("button", name="Show").click()
    await page.until(lambda _, right, *__: right == 20)
    assert page.parameters()["range"] == f"{start}-{start + 20 * STEP_MS}"


async def test_a_row_budget_is_asked_of_the_gateway(page: Opened) -> None:
    """Fewer rows come back, and the picture is that many rows high."""
    await page.get("display").click()
    await page.get("rows").select_option("32")
    await page.until(lambda *port: port[3] <= 32)
    assert page.parameters()["rows"] == "32"


async def test_live_follows_the_newest_window_and_looking_back_does_not(page: Opened, scripted: ScriptedNode) -> None:
    """At the right edge the picture moves on with time; away from it the same windows stay in view until Live."""
    await page.get("display").click()
    await page.get("refresh").select_option("1s")
    await page.page.keyboard.press("Escape")
    await zoomed_in(page, row=20, column=COLUMNS - 1)
    x0, x1, _, _ = await page.port()
    assert x1 == COLUMNS
    add_window(scripted)
    await page.until(lambda _, right, *__: right == 61)
    assert (await page.port())[0] == pytest.approx(x0 + 1, abs=0.05)
    await page.get("heatmap").focus()
    for _ in range(3):
        await page.page.keyboard.press("Shift+ArrowLeft")
    before = await page.port()
    assert before[1] < 61
    await expect(page.get("live")).to_have_attribute("aria-pressed", "false")
    add_window(scripted)
    await refreshed(page, scripted)
    assert await page.port() == pytest.approx(before, abs=0.05)
    await page.get("live").click()
    await page.until(lambda _, right, *__: right == 62)


async def test_pause_stops_asking_and_going_on_asks_at_once(page: Opened, scripted: ScriptedNode) -> None:
    """No question while paused, though the node has more; one as soon as it goes on."""
    await page.get("pause").click()
    asked = await page.questions()
    add_window(scripted)
    await page.pass_time(60_000)
    assert await page.questions() == asked
    assert await page.port() == WHOLE
    await page.get("pause").click()
    await page.until(lambda _, right, *__: right == 61)
    assert await page.questions() == asked + 1


async def test_a_tab_that_nobody_sees_asks_nothing_and_then_once(page: Opened, scripted: ScriptedNode) -> None:
    """While hidden no question goes out however long it takes; the first look asks one, not all that were missed."""
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.page.evaluate(hide, True)
    asked = await page.questions()
    add_window(scripted)
    await page.pass_time(60_000)
    assert await page.questions() == asked
    await page.page.evaluate(hide, False)
    await page.until(lambda _, right, *__: right == 61)
    assert await page.questions() == asked + 1


async def test_a_refresh_moves_nothing_on_the_page(page: Opened, scripted: ScriptedNode) -> None:
    """Every control and the plot keep place and size when new windows come in."""
    measure = """() => [...document.querySelectorAll('header *, .footer *, #frame canvas')]
        .map((one) => [one.dataset.testid ?? one.className ?? one.tagName, one.getBoundingClientRect()])
        .map(([name, {x, y, height}]) => [name, x, y, height].join())"""
    await page.get("display").click()
    await page.get("refresh").select_option("1s")
    await page.page.keyboard.press("Escape")
    before = await page.page.evaluate(measure)
    add_window(scripted)
    await page.until(lambda _, right, *__: right == 61)
    await page.drawn()
    assert await page.page.evaluate(measure) == before
