"""The picture: known traffic in, colours of known cells out, in a real browser over real nodes."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from keyviz_grpc.sampler import Op, Route
from tests.e2e.page_fixtures import (
    STEP_MS,
    Counted,
    ScriptedNode,
    Told,
    counting,
    last_minute,
    opened,
    page_cluster,
)

pytestmark = pytest.mark.e2e

ROUTES = [Route(n, b"key/%d" % n, b"key/%d" % (n + 1), raft_group_id=n) for n in range(1, 9)]
COLUMNS = 10
HOT_ROW, HOT_COLUMN = 5, 4
HOTTEST, NO_TRAFFIC, A_THIRD = (252, 255, 164, 255), (10, 7, 34, 255), (143, 36, 105, 255)


def node_with_a_hot_cell() -> Counted:
    """Eight rows, ten windows: ten writes in every cell of the rows 0 to 6, 1000 in one, none in the row 7."""
    counted = counting("n1", ROUTES, columns=COLUMNS, end_ms=last_minute())
    for column in range(COLUMNS):
        counted.window(
            [
                (route.route_id, route.start, Op.WRITE, 1000 if (row, column) == (HOT_ROW, HOT_COLUMN) else 10)
                for row, route in enumerate(ROUTES[:7])
            ]
        )
    return counted


@pytest.mark.parametrize("ratio", [1, 2])
async def test_known_cells_have_the_colours_of_their_traffic(browser: Browser, ratio: float) -> None:
    """The hottest cell is the palette's end, none is its beginning, ten of a thousand lie in between by logarithm."""
    counted = node_with_a_hot_cell()
    with counted.sampler:
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url, ratio=ratio) as page:
            assert await page.colours(HOT_ROW, HOT_COLUMN) == {HOTTEST}
            assert await page.colours(7, HOT_COLUMN) == {NO_TRAFFIC}
            assert await page.colours(0, 0) == {A_THIRD}
            assert page.complaints == []


async def test_a_linear_scale_and_brightness_change_the_colour_of_weak_traffic(browser: Browser) -> None:
    """One percent of the hottest cell: nearly dark on a linear scale, brighter when brightness is raised."""
    counted = node_with_a_hot_cell()
    with counted.sampler:
        async with page_cluster([counted.sampler]) as cluster:
            seen = []
            for view in ({"scale": "linear"}, {"scale": "linear", "brightness": 3}, {}):
                async with opened(browser, cluster.view(**view)) as page:
                    seen.append(max(await page.colours(0, 0)))
            assert seen[0] < seen[1] < seen[2] == A_THIRD


def disagreeing() -> list[ScriptedNode]:
    """Two nodes, three rows, five windows, the third of them held by nobody.

    They disagree about row 1 in column 3 alone; row 2's cell in column 1 is an estimate.
    """
    end = last_minute()
    columns = [end - STEP_MS * (4 - at) for at in (0, 1, 3, 4)]
    rows = [Row(f"route:{n}", b"k%d" % n, b"k%d" % (n + 1)) for n in range(3)]
    first = [Told(rows[0], [9] * 4, (1, 1)), Told(rows[1], [9] * 4, (2, 1)), Told(rows[2], [9] * 4, (3, 1), soft=(1,))]
    second = [Told(rows[1], [9, 9, 7, 9], (2, 1))]
    return [ScriptedNode("n1", columns, first), ScriptedNode("n2", columns, second)]


@pytest.mark.parametrize("ratio", [1, 2])
async def test_only_the_cell_in_conflict_is_hatched(browser: Browser, ratio: float) -> None:
    """Its colour with strokes over it; the other cells of its row and column, equal in traffic, are plain."""
    async with page_cluster(disagreeing()) as cluster, opened(browser, cluster.url, ratio=ratio) as page:
        hatched = await page.colours(1, 3)
        assert len(hatched) > 3
        assert HOTTEST in hatched
        others = [(0, 3), (1, 0), (1, 1), (1, 4), (2, 3)]
        assert [await page.colours(*cell) for cell in others] == [{HOTTEST}] * len(others)


async def test_an_estimate_is_dotted_and_nothing_else_is(browser: Browser) -> None:
    """The soft cell has its colour and a dot, which is not the strokes of a conflict."""
    async with page_cluster(disagreeing()) as cluster, opened(browser, cluster.url) as page:
        assert await page.colours(2, 1) == {HOTTEST, (255, 255, 255, 255), (6, 19, 29, 255)}
        assert await page.colours(2, 0) == {HOTTEST}


async def test_a_window_that_nobody_holds_is_no_colour_at_all(browser: Browser) -> None:
    """Unknown is transparent over a striped ground, in every row; no traffic is a colour."""
    async with page_cluster(disagreeing()) as cluster, opened(browser, cluster.url) as page:
        assert [await page.colours(row, 2) for row in range(3)] == [{(0, 0, 0, 0)}] * 3
        ground = await page.get("heatmap").evaluate("element => getComputedStyle(element).backgroundImage")
        assert "repeating-linear-gradient" in ground


@pytest.mark.parametrize("ratio", [1, 2])
async def test_one_hot_row_of_a_thousand_shows_on_a_picture_of_few_pixels(browser: Browser, ratio: float) -> None:
    """Rows that share a pixel show the hottest of them: three hot ones of 1000 on fewer pixels are all there."""
    hot = (17, 500, 998)
    told = [
        Told(Row(f"route:{n}", b"%04d" % n, b"%04d" % (n + 1)), [5000 if n in hot else 1] * 3, (1, 1))
        for n in range(1000)
    ]
    node = ScriptedNode("n1", [last_minute() - STEP_MS * n for n in (2, 1, 0)], told)
    async with page_cluster([node]) as cluster, opened(browser, cluster.url, size=(900, 420), ratio=ratio) as page:
        await page.drawn()
        lit: list[int] = await page.page.evaluate(
            """() => {
                const canvas = document.querySelector('[data-testid=heatmap]');
                const column = canvas.getContext('2d').getImageData(20, 0, 1, canvas.height).data;
                const rows = [...Array(canvas.height).keys()];
                return rows.filter((y) => column[4 * y] === 252 && column[4 * y + 1] === 255).concat(canvas.height);
            }"""
        )
    *rows, height = lit
    assert height < 1000
    assert rows == [n * height // 1000 for n in hot]


async def test_the_legend_tells_rates_in_the_unit_of_the_series_and_counts_on_demand(browser: Browser) -> None:
    """The brightest shade is the hottest cell: 1000 in a minute is 16.7 a second."""
    counted = node_with_a_hot_cell()
    with counted.sampler:
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            numbers = page.get("legend-numbers").locator("span")
            await expect(numbers.last).to_have_text("16.7")
            await expect(numbers.first).to_have_text("0")
            await expect(page.get("unit")).to_have_text("ops/s")
            await page.get("unit").click()
            await expect(numbers.last).to_have_text("1K")
            await page.get("series").select_option("write_bytes")
            await expect(page.get("unit")).to_have_text("bytes a window")


async def test_bars_tell_the_totals_of_windows_and_of_key_ranges(browser: Browser) -> None:
    """The window and the row of the hot cell have the longest bars, the row without traffic has none."""
    counted = node_with_a_hot_cell()
    with counted.sampler:
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await page.drawn()
            lengths: dict[str, list[int]] = await page.page.evaluate(
                """([rows, columns]) => {
                    const drawn = (name, x, y, w, h) => {
                        const context = document.querySelector(`#frame canvas.${name}`).getContext('2d');
                        const data = context.getImageData(x, y, w, h).data;
                        return data.filter((_, at) => at % 4 === 3).reduce((sum, alpha) => sum + (alpha > 0), 0);
                    };
                    const canvas = (name) => document.querySelector(`#frame canvas.${name}`);
                    const [above, beside] = [canvas('above'), canvas('beside')];
                    const middle = (at, of, size) => Math.floor(((at + 0.5) / of) * size);
                    return {
                        above: [...Array(columns).keys()].map((at) =>
                            drawn('above', middle(at, columns, above.width), 0, 1, above.height)),
                        beside: [...Array(rows).keys()].map((at) =>
                            drawn('beside', 0, middle(at, rows, beside.height), beside.width, 1)),
                        full: [above.height, beside.width],
                    };
                }""",
                [len(ROUTES), COLUMNS],
            )
    above, beside, full = lengths["above"], lengths["beside"], lengths["full"]
    assert [above[HOT_COLUMN], beside[HOT_ROW]] == full
    assert all(length == round(70 / 1060 * full[0]) for at, length in enumerate(above) if at != HOT_COLUMN)
    assert beside[7] == 0
    assert beside[0] == round(100 / 1090 * full[1])


async def test_the_time_axis_is_local_and_utc_on_demand(browser: Browser) -> None:
    """In a zone of half hours the words differ, at the same places."""
    node = disagreeing()[0]
    async with page_cluster([node]) as cluster, opened(browser, cluster.url, zone="Asia/Kolkata") as page:
        await page.drawn()
        ticks = page.page.locator("#axes g.time text")
        local = await ticks.all_text_contents()
        await page.get("heatmap").focus()
        await page.page.keyboard.press("u")
        await expect(ticks.first).not_to_have_text(local[0])
        there = await ticks.all_text_contents()
    clocks = [[re.findall(r"(\d\d):(\d\d)", text)[0] for text in texts] for texts in (local, there)]
    minutes = [[int(hours) * 60 + int(rest) for hours, rest in texts] for texts in clocks]
    assert [(a - b) % 1440 for a, b in zip(*minutes, strict=True)] == [330] * len(local)


async def test_an_answer_is_coloured_beside_the_pages_own_thread_and_moves_nothing(browser: Browser) -> None:
    """Neither the first one nor another series makes the page colour cells or the picture change its size."""
    count = "name => performance.getEntriesByName(name).length"
    async with page_cluster(disagreeing()) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        await expect(page.get("imbalance")).not_to_be_empty()
        assert await page.page.evaluate(count, "keyviz-colour") == 0
        await page.page.evaluate(
            """() => {
                window.sizes = 0;
                new ResizeObserver(() => (window.sizes += 1)).observe(document.querySelector('#frame'));
            }"""
        )
        await page.get("series").select_option("reads")
        await page.page.wait_for_function("() => performance.getEntriesByName('keyviz-ingest').length === 2")
        await page.drawn()
        await expect(page.get("imbalance")).not_to_be_empty()
        assert await page.colours(1, 0) == {HOTTEST}
        assert await page.page.evaluate(count, "keyviz-colour") == 0
        assert await page.page.evaluate("window.sizes") == 1, "the observer's own first look"
        await page.get("scale").select_option("linear")
        await page.drawn()
        assert await page.page.evaluate(count, "keyviz-colour") == 1, "another scale is coloured at once"
