"""The page without a mouse: search, arrows, the tab order, the sheet of keys."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from tests.e2e.page.acting import ROWS, pin
from tests.e2e.page_fixtures import Opened, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("typed", "bucket"),
    [
        ("route:33", "route:33"),
        ("33", "route:33"),
        ("user/0335", "route:33"),
        ("0x757365722f303333", "route:33"),
        ("login", "route:7:login"),
    ],
)
async def test_search_jumps_to_a_key_or_a_route(page: Opened, typed: str, bucket: str) -> None:
    """By bucket, number, key as text or hex, and label: the row is in view, larger, and its cell is pinned."""
    await page.page.keyboard.press("/")
    await page.page.keyboard.type(typed)
    await expect(page.get("search-found").get_by_role("option").first).to_contain_text(bucket)
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url(re.compile("cell="))
    assert page.parameters()["cell"].endswith(f"@{bucket}")
    _, _, y0, y1 = await page.port()
    row = {"route:33": 34, "route:7:login": 8}[bucket]
    assert y0 <= row < row + 1 <= y1
    assert y1 - y0 < ROWS


async def test_search_says_when_nothing_is_found(browser: Browser) -> None:
    """No route of that name, no hexadecimal, though a row would hold it as a key: Enter moves nothing."""
    told = [Told(Row("route:1", b"", b"m"), [5]), Told(Row("route:2", b"m", b"z"), [5])]
    node = ScriptedNode("n1", [last_minute()], told)
    async with page_cluster([node]) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        for typed in ("zzz", "route:99999", "route 999", "0xzz"):
            await page.get("search").fill(typed)
            await expect(page.get("search-found").get_by_role("option")).to_have_text(
                "Nothing here has that name or holds that key."
            )
            await page.get("search").press("Enter")
        assert page.parameters() == {}


async def test_the_display_menu_opens_at_its_button_and_escape_closes_it(page: Opened) -> None:
    """Below the button and inside of the window; Escape closes it alone, and what is pinned stays pinned."""
    await pin(page, 3, 3)
    button, menu = page.get("display"), page.page.locator("#display")
    for width in (360, 1400):
        await page.page.set_viewport_size({"width": width, "height": 760})
        await button.click()
        await expect(menu).to_be_visible()
        at, box = await button.bounding_box(), await menu.bounding_box()
        assert at is not None
        assert box is not None
        assert 0 <= box["y"] - (at["y"] + at["height"]) < 12
        assert box["x"] <= at["x"] + at["width"]
        assert box["x"] + box["width"] >= at["x"]
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        await page.page.keyboard.press("Escape")
        await expect(menu).to_be_hidden()
        await expect(page.get("detail")).to_be_visible()
    await page.page.keyboard.press("Escape")
    await expect(page.get("detail")).to_have_count(0)


async def test_the_whole_picture_can_be_read_by_keyboard(page: Opened) -> None:
    """Arrows move a cross that is described aloud, plus zooms about it, Enter pins it, Escape lets go."""
    await page.get("heatmap").focus()
    await page.page.keyboard.press("ArrowUp")
    await page.page.keyboard.press("ArrowDown")
    await page.page.keyboard.press("ArrowUp")
    spoken = page.get("spoken")
    await expect(spoken).to_contain_text("route:19")
    await page.page.keyboard.press("ArrowRight")
    await page.page.keyboard.press("ArrowLeft")
    await expect(spoken).to_contain_text("ops/s")
    await page.page.keyboard.press("+")
    await page.page.wait_for_url(re.compile("zoom="))
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url(re.compile("cell="))
    assert page.parameters()["cell"].endswith("@route:19")
    await page.get("heatmap").focus()
    await page.page.keyboard.press("Escape")
    await page.page.keyboard.press("Escape")
    await page.page.wait_for_url(lambda url: "cell=" not in url)


async def test_everything_on_the_page_has_a_place_in_the_tab_order_with_a_visible_ring(page: Opened) -> None:
    """Tab reaches the controls and the heatmap, each with an outline; nothing traps it."""
    seen: list[str] = []
    for _ in range(60):
        await page.page.keyboard.press("Tab")
        name, outline = await page.page.evaluate(
            """() => {
                const at = document.activeElement;
                return [at.dataset.testid ?? at.tagName, getComputedStyle(at).outlineStyle];
            }"""
        )
        if name == "BODY":
            break
        assert outline != "none", name
        seen.append(name)
    assert {"series", "range", "search", "live", "pause", "display", "heatmap", "scale", "brightness", "unit"} <= set(
        seen
    )
    assert name == "BODY", "it goes on to the browser's own controls"


async def test_question_mark_opens_a_sheet_of_every_key(page: Opened) -> None:
    """It lists the keys that work, takes the focus, and gives it back."""
    await page.get("heatmap").focus()
    await page.page.keyboard.press("?")
    sheet = page.get("help")
    await expect(sheet).to_be_visible()
    for key in ("Backspace", "Shift ←", "Enter", "/", "Esc"):
        await expect(sheet.locator("kbd", has_text=key).first).to_be_visible()
    await page.page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(page.get("heatmap")).to_be_focused()
