"""Moving about in the picture, with wheel, fingers and links, in a real browser over real nodes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.page.acting import COLUMNS, ROWS, WHOLE, end_gesture, zoomed_in
from tests.e2e.page_fixtures import Opened, PageCluster, opened

pytestmark = pytest.mark.e2e


async def test_the_wheel_zooms_about_the_cell_under_it(page: Opened) -> None:
    """Both directions shrink, and the cell under the pointer is still under it."""
    at = await page.point_at(20, 30)
    x0, x1, y0, y1 = await zoomed_in(page)
    assert x1 - x0 < 0.6 * COLUMNS
    assert y1 - y0 < 0.6 * ROWS
    now = await page.point_at(20, 30)
    assert now == pytest.approx(at, abs=1.5)


async def test_the_wheel_over_an_axis_zooms_that_direction_alone(page: Opened) -> None:
    """Over the key axis the rows, over the time axis the columns."""
    area = await page.get("heatmap").bounding_box()
    assert area is not None
    await page.page.mouse.move(area["x"] - 40, area["y"] + 200)
    await page.page.mouse.wheel(0, -300)
    await page.page.wait_for_url(re.compile("zoom="))
    x0, x1, y0, y1 = await page.port()
    assert (x0, x1) == (0, COLUMNS)
    assert y1 - y0 < ROWS - 5
    await end_gesture(page)
    await page.page.mouse.move(area["x"] + 300, area["y"] + area["height"] + 12)
    await page.page.mouse.wheel(0, -300)
    await page.until(lambda left, right, *_: right - left < COLUMNS)
    narrow = await page.port()
    assert narrow[1] - narrow[0] < COLUMNS - 5
    assert narrow[2:] == pytest.approx((y0, y1), abs=0.01)


async def test_dragging_moves_the_picture_with_the_pointer(page: Opened) -> None:
    """The cell that was grasped is under the pointer when it is let go."""
    await zoomed_in(page)
    x, y = await page.point_at(20, 30)
    await page.page.mouse.move(x, y)
    await page.page.mouse.down()
    await page.page.mouse.move(x + 60, y + 35, steps=6)
    await page.page.mouse.up()
    assert await page.point_at(20, 30) == pytest.approx((x + 60, y + 35), abs=1.5)
    await page.pass_time(1000)
    assert "cell" not in page.parameters(), "a drag is no click"


async def test_two_fingers_zoom(page: Opened) -> None:
    """Spread over the plot, they show less of both directions."""
    x, y = await page.point_at(20, 30)
    session = await page.page.context.new_cdp_session(page.page)

    async def touch(kind: str, *apart: float) -> None:
        points = [{"x": x - d, "y": y, "id": 0} for d in apart] + [{"x": x + d, "y": y, "id": 1} for d in apart]
        await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    await session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    await page.page.reload()
    await page.drawn()
    await touch("touchStart", 30)
    for apart in (50, 80, 120):
        await touch("touchMove", apart)
    await touch("touchEnd")
    x0, x1, y0, y1 = await page.port()
    assert x1 - x0 == pytest.approx(COLUMNS / 4, rel=0.1)
    assert y1 - y0 == pytest.approx((ROWS + 1) / 4, rel=0.1)


@pytest.mark.parametrize("how", ["shift", "tool", "key"])
async def test_a_rectangle_becomes_what_is_in_view(page: Opened, how: str) -> None:
    """Drawn with shift held or after its key; the cells in its corners are in the corners of the picture."""
    left, top = await page.point_at(10, 12)
    right, bottom = await page.point_at(29, 47)
    if how == "shift":
        await page.page.keyboard.down("Shift")
    elif how == "tool":
        await page.get("select-tool").click()
    else:
        await page.page.keyboard.press("b")
    await page.page.mouse.move(left, top)
    await page.page.mouse.down()
    await page.page.mouse.move(right, bottom, steps=5)
    await page.page.mouse.up()
    await page.page.keyboard.up("Shift")
    await page.page.wait_for_url(re.compile("zoom="))
    assert await page.port() == pytest.approx((12.5, 47.5, 10.5, 29.5), abs=0.3)
    await page.page.mouse.move(left, top)
    await page.page.mouse.down()
    await page.page.mouse.move(left + 50, top + 40, steps=3)
    await page.page.mouse.up()
    x0, x1, y0, y1 = await page.port()
    assert (x1 - x0, y1 - y0) == pytest.approx((35, 19), abs=0.3), "one rectangle, then a drag moves again"
    assert x0 < 12
    assert y0 < 10


@pytest.mark.parametrize("how", ["double click", "key", "browser", "button"])
async def test_the_view_before_comes_back(page: Opened, how: str) -> None:
    """Step by step through the views that there were, by every way back."""
    first = await zoomed_in(page)
    second = await zoomed_in(page)
    assert second != first
    back: dict[str, Callable[[], Awaitable[object]]] = {
        "double click": lambda: page.get("heatmap").dblclick(position={"x": 200, "y": 100}),
        "key": lambda: page.page.keyboard.press("Backspace"),
        "browser": page.page.go_back,
        "button": page.get("back").click,
    }
    for expected in (first, WHOLE):
        await back[how]()
        await page.until(lambda *now, wanted=expected: now == pytest.approx(wanted, abs=0.02))
    assert "cell" not in page.parameters()


async def test_a_link_reproduces_the_view(page: Opened, cluster: PageCluster, browser: Browser) -> None:
    """Another browser that opens the address shows the same part of the same series with the same settings."""
    await zoomed_in(page)
    await page.get("series").select_option("reads")
    await page.get("scale").select_option("linear")
    await page.get("unit").click()
    await page.get("display").click()
    await page.get("rows").select_option("64")
    await page.get("clock").select_option("utc")
    await page.page.keyboard.press("Escape")
    await page.page.wait_for_url(re.compile("utc=1"))
    async with opened(browser, page.page.url) as other:
        assert await other.port() == pytest.approx(await page.port(), abs=0.05)
        await expect(other.get("series")).to_have_value("reads")
        await expect(other.get("scale")).to_have_value("linear")
        await expect(other.get("unit")).to_have_text("ops a window")
        await expect(other.get("rows")).to_have_value("64")
        assert (
            await other.page.locator("#axes g.time").text_content()
            == await page.page.locator("#axes g.time").text_content()
        )
        assert await other.colours(20, 30) == await page.colours(20, 30)
        assert other.parameters() == page.parameters()


async def test_a_link_full_of_nonsense_shows_the_usual_view(cluster: PageCluster, browser: Browser) -> None:
    """Whatever a link says wrongly is left at its default; nothing breaks and nothing runs."""
    nonsense = {
        "series": "<b>", "range": "9-1", "rows": "-5", "zoom": "x-y", "top": "@", "bottom": "9@", "cell": "1",
        "scale": "cubic", "brightness": "1e9", "keys": "%%%~", "refresh": "0s", "theme": "<script>", "unit": "kg",
    }  # fmt: skip
    async with opened(browser, cluster.view(**nonsense)) as page:
        assert await page.port() == WHOLE
        await expect(page.get("series")).to_have_value("writes")
        assert page.complaints == []


async def test_the_minimap_shows_and_moves_what_is_in_view(page: Opened) -> None:
    """A press on its upper left corner brings the first rows and windows into view."""
    before = await zoomed_in(page)
    assert before[0] > 1
    await page.get("minimap").click(position={"x": 2, "y": 2})
    x0, x1, y0, y1 = await page.port()
    assert (x0, y0) == (0, 0)
    assert (x1 - x0, y1 - y0) == pytest.approx((before[1] - before[0], before[3] - before[2]), abs=0.05)
    await expect(page.get("in-view")).to_contain_text(f"of {ROWS + 1}")
