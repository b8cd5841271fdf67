"""Moving about in the picture, with wheel, fingers, keys and links, in a real browser over real nodes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row, Series
from tests.e2e.page_fixtures import STEP_MS, Opened, PageCluster, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

ROWS, COLUMNS = 40, 60


def node() -> ScriptedNode:
    """Forty rows, an hour of windows; every cell of every series has traffic of its own."""
    end = last_minute() - 2 * STEP_MS
    told = [
        Told(
            Row(f"route:{n}", b"user/%03d" % n, b"user/%03d" % (n + 1)),
            {series: [1 + n + at + factor for at in range(COLUMNS)] for factor, series in enumerate(Series)},
            (1, 1),
        )
        for n in range(ROWS)
    ]
    told.append(Told(Row("route:7:login", b"user/007", b"user/008", label="login"), [3] * COLUMNS, (1, 1)))
    return ScriptedNode("n1", [end - STEP_MS * (COLUMNS - 1 - at) for at in range(COLUMNS)], told)


@pytest_asyncio.fixture
async def scripted() -> ScriptedNode:
    """The one node of the cluster."""
    return node()


@pytest_asyncio.fixture
async def cluster(scripted: ScriptedNode) -> AsyncIterator[PageCluster]:
    """A gateway over the node."""
    async with page_cluster([scripted]) as running:
        yield running


@pytest_asyncio.fixture
async def page(cluster: PageCluster, browser: Browser) -> AsyncIterator[Opened]:
    """The page, drawn; it must end without complaints."""
    async with opened(browser, cluster.url) as page:
        await page.drawn()
        yield page
        assert page.complaints == []


WHOLE = (0.0, float(COLUMNS), 0.0, float(ROWS + 1))


async def zoomed_in(page: Opened, row: int = 20, column: int = 30) -> tuple[float, ...]:
    """Turns the wheel over a cell and waits until the address has it."""
    await page.page.mouse.move(*await page.point_at(row, column))
    await page.page.mouse.wheel(0, -500)
    await page.page.wait_for_url(re.compile("zoom="))
    await asyncio.sleep(0.3)  # d3-zoom ends a gesture of the wheel after 150 ms without a turn
    return await page.port()


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
    await asyncio.sleep(0.3)
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
    await page.page.wait_for_timeout(400)
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
    await page.page.mouse.move(left + 50, top, steps=3)
    await page.page.mouse.up()
    x0, x1, _, _ = await page.port()
    assert x1 - x0 == pytest.approx(35, abs=0.3), "one rectangle, then a drag moves again"


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


@pytest.mark.parametrize(("choice", "minutes"), [("5m", 5), ("15m", 15), ("1h", 60), ("6h", 360), ("24h", 1440)])
async def test_a_time_range_is_asked_of_the_nodes(
    page: Opened, scripted: ScriptedNode, choice: str, minutes: int
) -> None:
    """From the moment that long ago, without an end; the picture has the windows of that time alone."""
    scripted.asked.clear()
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


def add_window(scripted: ScriptedNode) -> None:
    """One more window on the node, with as much traffic as the one before."""
    scripted.columns = [*scripted.columns, scripted.columns[-1] + STEP_MS]
    scripted.rows = [
        Told(one.row, {series: [*one.values(series).tolist(), 9] for series in Series}, one.identity)
        for one in scripted.rows
    ]


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
    asked = len(scripted.asked)
    await page.page.wait_for_timeout(2500)
    assert len(scripted.asked) > asked, "it goes on asking"
    assert await page.port() == pytest.approx(before, abs=0.05)
    await page.get("live").click()
    await page.until(lambda _, right, *__: right == 62)


async def test_pause_stops_asking_and_going_on_asks_at_once(page: Opened, scripted: ScriptedNode) -> None:
    """No question while paused, though the node has more; one as soon as it goes on."""
    await page.get("display").click()
    await page.get("refresh").select_option("1s")
    await page.page.keyboard.press("Escape")
    await page.get("pause").click()
    await page.page.wait_for_timeout(500)
    asked = len(scripted.asked)
    add_window(scripted)
    await page.page.wait_for_timeout(2500)
    assert len(scripted.asked) == asked
    assert await page.port() == WHOLE
    await page.get("display").click()
    await page.get("refresh").select_option("5m")
    await page.page.keyboard.press("Escape")
    await page.get("pause").click()
    await page.until(lambda _, right, *__: right == 61)


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


async def test_search_says_when_nothing_is_found(page: Opened) -> None:
    """A key before every range and a name that nobody has."""
    await page.get("search").fill("aaa")
    await expect(page.get("search-found")).to_contain_text("Nothing here")


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


async def test_the_minimap_shows_and_moves_what_is_in_view(page: Opened) -> None:
    """A press on its upper left corner brings the first rows and windows into view."""
    before = await zoomed_in(page)
    assert before[0] > 1
    await page.get("minimap").click(position={"x": 2, "y": 2})
    x0, x1, y0, y1 = await page.port()
    assert (x0, y0) == (0, 0)
    assert (x1 - x0, y1 - y0) == pytest.approx((before[1] - before[0], before[3] - before[2]), abs=0.05)
    await expect(page.get("in-view")).to_contain_text(f"of {ROWS + 1}")


async def test_a_tab_that_nobody_sees_asks_nothing_and_then_once(page: Opened, scripted: ScriptedNode) -> None:
    """While hidden no question goes out however long it takes; the first look asks one, not all that were missed."""
    await page.get("display").click()
    await page.get("refresh").select_option("1s")
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.page.evaluate(hide, True)
    await page.page.wait_for_timeout(1200)
    asked = len(scripted.asked)
    await page.page.wait_for_timeout(2500)
    assert len(scripted.asked) == asked
    await page.page.evaluate(hide, False)
    await page.page.wait_for_timeout(500)
    assert len(scripted.asked) == asked + 1


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
