"""What the page tells of one cell and its row, and what it gives out: files, a picture, a link."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.session import EphemeralKey, Role, Sessions
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.model import Row, Series
from keyviz_grpc.sampler import Op, Route
from tests.e2e.page_fixtures import (
    STEP_MS,
    Counted,
    Opened,
    ScriptedNode,
    Told,
    counting,
    last_minute,
    opened,
    page_cluster,
)

pytestmark = pytest.mark.e2e

ROUTES = [Route(1, b"a", b"m", raft_group_id=4), Route(2, b"m", b"", raft_group_id=5)]


@pytest.fixture
def cluster_of_three() -> Iterator[list[Counted]]:
    """Three nodes, three windows: n1 leads group 4 under term 7, n2 from the second window on under term 8.

    Every node serves reads of `apple`; `second` is second everywhere and first in the cluster.
    """
    end = last_minute()
    with ExitStack() as stack:
        nodes = [
            counting(f"n{number}", ROUTES, columns=3, end_ms=end, hot_keys=HotKeysSettings()) for number in (1, 2, 3)
        ]
        for node in nodes:
            stack.enter_context(node.sampler)
        for window in range(3):
            for number, node in enumerate(nodes):
                leads = number == (0 if window == 0 else 1)
                if leads:
                    node.sampler.set_leader(4, 7 if window == 0 else 8)
                writes = [(1, b"apple", Op.WRITE, 30), (1, b"banana", Op.WRITE, 10)] if leads else []
                own = b"own/%d" % number
                node.window([*writes, (1, own, Op.READ, 12), (1, b"second", Op.READ, 10)])
        yield nodes


async def pin(page: Opened, row: int, column: int) -> None:
    """Clicks a cell."""
    await page.page.mouse.click(*await page.point_at(row, column))
    await expect(page.get("detail")).to_be_visible()


async def test_the_tooltip_says_what_a_cell_is_and_holds(browser: Browser) -> None:
    """Range, label, window, the value as a rate and as a count, its share of the column; gone beside the picture."""
    rows = [Row("route:1:hot", b"a", b"m", "hot"), Row("route:2", b"m", b"")]
    node = ScriptedNode("n1", [last_minute()], [Told(rows[0], [120]), Told(rows[1], [360])])
    async with page_cluster([node]) as cluster, opened(browser, cluster.view(utc=1)) as page:
        await page.page.mouse.move(*await page.point_at(0, 0))
        tip = page.get("tooltip")
        for said in ("route:1:hot", "a … m", "UTC", "2 ops/s", "120", "25"):
            await expect(tip).to_contain_text(said)
        await page.page.mouse.move(2, 2)
        await expect(tip).to_be_hidden()


async def test_a_click_pins_the_cell_and_the_link_keeps_it(browser: Browser, cluster_of_three: list[Counted]) -> None:
    """Ids, window, value, share, route; the address has the cell, so a reload shows it again; closing takes it away."""
    async with (
        page_cluster([node.sampler for node in cluster_of_three]) as cluster,
        opened(browser, cluster.view(utc=1)) as page,
    ):
        await pin(page, 0, 1)
        detail = page.get("detail")
        await expect(detail.get_by_role("heading", name="route:1", exact=True)).to_be_visible()
        await expect(page.get("detail-numbers")).to_contain_text("0.6667 ops/s · 40 writes")
        await expect(page.get("detail-numbers")).to_contain_text("100% of all writes in this window")
        await expect(page.page).to_have_url(re.compile("cell=.*route%3A1"))
        await page.page.reload()
        await expect(page.get("detail-numbers")).to_contain_text("40 writes")
        await detail.get_by_role("button", name="Close details").click()
        await expect(detail).to_have_count(0)
        await expect(page.page).not_to_have_url(re.compile("cell="))


async def test_the_detail_tells_who_counted_and_what_was_counted(
    browser: Browser, cluster_of_three: list[Counted]
) -> None:
    """Contributions of each node with group and term; all four series; each leader with its own windows."""
    async with (
        page_cluster([node.sampler for node in cluster_of_three]) as cluster,
        opened(browser, cluster.view(utc=1)) as page,
    ):
        await pin(page, 0, 1)
        table = page.get("detail-contributions").locator("tbody tr")
        await expect(table.nth(1)).to_contain_text("n240")
        await expect(table.nth(1)).to_contain_text("4 · 8")
        await expect(table.nth(1)).to_contain_text("yes: the leader's count under this term")
        await expect(table.nth(0)).to_contain_text("no: no traffic here")
        series = page.get("detail-series")
        for name, peak in (
            ("writes", "0.6667 ops/s"),
            ("reads", "1.1 ops/s"),
            ("write_bytes", "70"),
            ("read_bytes", "1"),
        ):
            spark = series.locator(f"[data-series={name}]")
            await expect(spark).to_contain_text(f"peak {peak}")
            assert await spark.locator("path").get_attribute("d")
        led = page.get("detail-leaders").locator("tbody tr")
        await expect(led).to_have_count(2)
        assert [(await row.locator("td").all_text_contents())[i] for row in await led.all() for i in (0, 1, 3)] == [
            *("4", "8", "2"),
            *("4", "7", "1"),
        ]


def disagreeing() -> list[ScriptedNode]:
    """Two nodes that disagree about route:1 in the second of three windows, under one identity."""
    stamps = [last_minute() - STEP_MS * at for at in (2, 1, 0)]
    row = Row("route:1", b"a", b"m")
    return [
        ScriptedNode("n1", stamps, [Told(row, [9, 9, 9], (4, 7))]),
        ScriptedNode("n2", stamps, [Told(row, [0, 7, 0], (4, 7))]),
    ]


async def test_a_conflict_is_a_pill_of_its_cell_and_the_table_says_between_whom(browser: Browser) -> None:
    """The cell that nodes disagree about, and other cells of its row, are told apart."""
    async with page_cluster(disagreeing()) as cluster, opened(browser, cluster.url) as page:
        await pin(page, 0, 1)
        await expect(page.get("conflict-pill")).to_be_visible()
        lost = page.get("detail-contributions").locator("tbody tr").nth(1)
        await expect(lost).to_contain_text("n27")
        await expect(lost).to_contain_text("no: smaller than n1's under the same identity")
        await pin(page, 0, 2)
        await expect(page.get("conflict-pill")).to_have_count(0)
        await expect(page.get("detail")).to_contain_text("nodes disagree in other windows of this row")


async def clipboard(page: Page) -> str:
    """What was copied last."""
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def test_the_ends_of_a_range_are_copied_in_three_forms(browser: Browser) -> None:
    """Text only where the key is text; hexadecimal and base64 always; an unbounded end has nothing to copy."""
    told = [Told(Row("route:1", b"user/7", b"z\x00\xff"), [5]), Told(Row("route:2", b"z\x00\xff", b""), [5])]
    node = ScriptedNode("n1", [last_minute()], told)
    async with page_cluster([node]) as cluster, opened(browser, cluster.url) as page:
        await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await pin(page, 0, 0)
        ends = page.get("detail-range")
        for name, copied in (("text", "user/7"), ("hex", b"user/7".hex()), ("base64", "dXNlci83")):
            await ends.get_by_role("button", name=f"Copy first key as {name}").click()
            await expect(ends.get_by_text("copied").first).to_be_visible()
            assert await clipboard(page.page) == copied
        await expect(ends.get_by_role("button", name="Copy end of the range as text")).to_have_count(0)
        await ends.get_by_role("button", name="Copy end of the range as hex").click()
        assert await clipboard(page.page) == "7a00ff"
        await pin(page, 1, 0)
        await expect(ends).to_contain_text("the last key there is")
        await expect(ends.get_by_role("button", name="Copy end of the range")).to_have_count(0)


async def test_an_aggregate_says_what_it_holds_and_opens(browser: Browser) -> None:
    """50 routes in 3 rows; opening one asks for its keys alone, and its routes are rows of their own."""
    told = [
        Told(Row(f"route:{n}", b"%02d" % n, b"%02d" % (n + 1)), [900 if n == 30 else 5], (1, 1)) for n in range(1, 51)
    ]
    async with (
        page_cluster([ScriptedNode("n1", [last_minute()], told)]) as cluster,
        opened(browser, cluster.view(rows=3)) as page,
    ):
        await pin(page, 0, 0)
        detail = page.get("detail")
        await expect(detail).to_contain_text("Holds 29 routes")
        await expect(page.get("detail-contributions")).to_contain_text("open them to see who counted")
        await detail.get_by_role("button", name="Open these ranges").click()
        await expect(page.get("keys-note")).to_contain_text("Only keys 01 … 30")
        await pin(page, 6, 0)
        await expect(detail.get_by_role("heading", name="route:7", exact=True)).to_be_visible()
        await page.get("keys-note").get_by_role("button").click()
        await expect(page.get("keys-note")).to_have_count(0)
        assert "keys" not in page.parameters()


async def test_an_aggregate_that_nodes_made_cannot_be_opened_and_says_so(browser: Browser) -> None:
    """What the nodes count together nobody can take apart, and the page does not offer it twice."""
    row = Row("virtual:99", b"a", b"m", aggregate=True, route_ids=(1, 2, 3), route_count=3)
    node = ScriptedNode("n1", [last_minute()], [Told(row, [5], (1, 1)), Told(Row("route:9", b"m", b""), [9], (1, 1))])
    async with page_cluster([node]) as cluster, opened(browser, cluster.url) as page:
        await pin(page, 0, 0)
        await page.get("detail").get_by_role("button", name="Open these ranges").click()
        await expect(page.get("keys-note")).to_be_visible()
        await pin(page, 0, 0)
        await expect(page.get("detail-aggregate")).to_contain_text("nobody can tell them apart")


async def test_slices_are_grouped_under_their_route(browser: Browser) -> None:
    """The slices of one route, in order, with their parts of it; another is pinned from the list."""
    told = [Told(Row(f"route:1#{n}", b"a%d" % n, b"a%d" % (n + 1)), [10 * (n + 1)]) for n in range(3)]
    node = ScriptedNode("n1", [last_minute()], [*told, Told(Row("route:2#0", b"b", b""), [50])])
    async with page_cluster([node]) as cluster, opened(browser, cluster.url) as page:
        await pin(page, 2, 0)
        slices = page.get("detail-slices")
        await expect(slices).to_contain_text("Slices of route:1")
        assert await slices.get_by_role("listitem").all_inner_texts() == ["#0\n16.7%", "#1\n33.3%", "#2\n50%"]
        await slices.get_by_role("button").first.click()
        await expect(page.get("detail").get_by_role("heading", name="route:1#0", exact=True)).to_be_visible()


async def test_the_keys_behind_a_row_with_share_and_bounds(browser: Browser, cluster_of_three: list[Counted]) -> None:
    """The key that is second on every node is first; writes and reads by the series shown; shares are of the cell."""
    async with (
        page_cluster([node.sampler for node in cluster_of_three]) as cluster,
        opened(browser, cluster.url) as page,
    ):
        await pin(page, 0, 1)
        keys = page.get("hot-keys").get_by_role("listitem")
        await expect(keys).to_have_count(2)
        await expect(keys.nth(0)).to_contain_text("apple")
        await expect(keys.nth(0)).to_contain_text("30 · 75%")
        await expect(keys.nth(0).get_by_role("img")).to_have_attribute("aria-label", "30, exact")
        await expect(page.get("detail-hotkeys")).to_contain_text("Newest in it: the window")
        await page.get("series").select_option("reads")
        await pin(page, 0, 1)
        await expect(keys).to_have_count(4)
        await expect(keys.nth(0)).to_contain_text("second")
        await expect(keys.nth(0)).to_contain_text("30 · 45.5%")
        widths = [await key.locator(".whisker-bar").evaluate("bar => bar.style.width") for key in await keys.all()]
        assert widths == ["100%", "40%", "40%", "40%"]


async def test_where_there_are_no_keys_a_sentence_says_why(browser: Browser) -> None:
    """Off on the nodes; several routes in one row; a role that may only look."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute())
    with counted.sampler:
        counted.window([(1, b"a", Op.WRITE, 5)])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Hot keys are off on these nodes")
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.view(rows=1)) as page:
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Zoom in to one of them")
    sessions = Sessions([EphemeralKey()])
    token, _ = sessions.mint("someone", Role.READ_ONLY)
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=HotKeysSettings())
    with counted.sampler:
        counted.window([(1, b"a", Op.WRITE, 5)])
        async with page_cluster([counted.sampler], sessions=sessions) as cluster, opened(browser, cluster.url) as page:
            cookie: Any = {"name": "admin_session", "value": token, "url": cluster.url}
            await page.page.context.add_cookies([cookie])
            await page.page.reload()
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Not allowed")


async def test_a_window_without_keys_says_whether_it_had_none_or_they_are_gone(browser: Browser) -> None:
    """A row that never had traffic; a window that is older than the ones whose keys are held."""
    counted = counting("n1", ROUTES, columns=3, end_ms=last_minute(), hot_keys=HotKeysSettings(windows=1))
    with counted.sampler:
        for times in (5, 6, 7):
            counted.window([(1, b"a", Op.WRITE, times)])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 1, 2)
            await expect(page.get("no-keys")).to_contain_text("No keys yet")
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("no longer held")
            await pin(page, 0, 2)
            await expect(page.get("hot-keys").get_by_role("listitem")).to_have_count(1)


async def test_an_approximate_count_has_a_whisker_as_wide_as_its_bounds(browser: Browser) -> None:
    """More keys than counters: bounds in words, a line from the lower to the upper one, and the advice below."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=HotKeysSettings(counters=8))
    cold = [(1, b"cold/%03d" % number, Op.WRITE, 1) for number in range(120)]
    with counted.sampler:
        counted.window([(1, b"hot", Op.WRITE, 200), *cold])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 0, 0)
            first = page.get("hot-keys").get_by_role("listitem").first
            await expect(first).to_contain_text("hot")
            said = await first.get_by_role("img").get_attribute("aria-label") or ""
            bounds = re.fullmatch(r"(\d+), between (\d+) and (\d+)", said)
            assert bounds is not None, said
            count, lower, upper = (int(number) for number in bounds.groups())
            assert lower <= 200 <= upper
            assert lower < upper
            line, whole = (
                await first.locator(".whisker-line").bounding_box(),
                await first.get_by_role("img").bounding_box(),
            )
            assert line is not None
            assert whole is not None
            assert abs(line["width"] - whole["width"] * (upper - lower) / upper) <= 1
            assert abs(line["x"] + line["width"] - whole["x"] - whole["width"]) <= 1
            assert lower <= count <= upper
            await expect(page.get("detail-hotkeys")).to_contain_text("A key that is not listed may have up to")


async def test_a_pinned_cell_on_a_phone(browser: Browser, cluster_of_three: list[Counted]) -> None:
    """360 pixels wide: the panel is below the picture, nothing is cut off, and its button closes it."""
    async with (
        page_cluster([node.sampler for node in cluster_of_three]) as cluster,
        opened(browser, cluster.url, size=(360, 740)) as page,
    ):
        await pin(page, 0, 1)
        await expect(page.get("hot-keys").get_by_role("listitem")).to_have_count(2)
        detail, picture = await page.get("detail").bounding_box(), await page.get("heatmap").bounding_box()
        assert detail is not None
        assert picture is not None
        assert picture["width"] > 180
        assert detail["y"] >= picture["y"] + picture["height"]
        assert (detail["x"], detail["width"]) == (0, 360)
        where, shares = await page.page.locator(".footer").bounding_box(), await page.get("shares").bounding_box()
        assert where is not None
        assert shares is not None
        assert shares["y"] >= where["y"] + where["height"]
        last = await page.page.locator(".footer .whereabouts").bounding_box()
        assert last is not None
        assert last["y"] + last["height"] <= shares["y"]
        cut_off = await page.page.evaluate(
            """() => [document.documentElement, document.body, ...document.querySelectorAll('#detail *')]
                .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scrolls'))
                .map((one) => one.outerHTML.slice(0, 200))"""
        )
        assert cut_off == []
        await page.get("hot-keys").scroll_into_view_if_needed()
        await expect(page.get("hot-keys")).to_be_in_viewport()
        await page.get("detail").get_by_role("button", name="Close details").click()
        await expect(page.get("detail")).to_have_count(0)


async def test_numbers_of_what_is_shown_as_files(browser: Browser, tmp_path: Path) -> None:
    """CSV and JSON hold exactly the cells in view; unknown is empty and null, zero is 0."""
    end = last_minute()
    stamps = [end - STEP_MS * at for at in (3, 2, 0)]
    told = [Told(Row("route:1", b"a", b"m"), [1, 2, 3]), Told(Row("route:2", b"m", b""), [0, 5, 0])]
    async with page_cluster([ScriptedNode("n1", stamps, told)]) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        saved = await saved_as(page, "Numbers (CSV)", tmp_path)
        assert saved.name.startswith("keyviz-writes-")
        lines = list(csv.DictReader(io.StringIO(saved.read_text(encoding="utf-8"))))
        values = [list(line.values())[7:] for line in lines]
        assert [line["bucket_id"] for line in lines] == ["route:1", "route:2"]
        assert [line["start_hex"] for line in lines] == ["0x61", "0x6d"]
        assert values == [["1", "2", "", "3"], ["0", "5", "", "0"]]
        body = json.loads((await saved_as(page, "Numbers (JSON)", tmp_path)).read_bytes())
        assert [row["values"] for row in body["rows"]] == [[1, 2, None, 3], [0, 5, None, 0]]
        assert body["column_unix_ms"] == [end - STEP_MS * at for at in (3, 2, 1, 0)]
        assert body["series"] == Series.WRITES.value


async def saved_as(page: Opened, item: str, folder: Path) -> Path:
    """Chooses an item of the menu and waits for the file."""
    await page.get("out").locator("summary").click()
    async with page.page.expect_download() as download:
        await page.get("out").get_by_role("button", name=item).click()
    file = await download.value
    path = folder / file.suggested_filename
    await file.save_as(path)
    return path


@pytest.mark.parametrize("ratio", [1, 2])
async def test_the_picture_as_a_file_has_cells_legend_and_caption(
    browser: Browser, tmp_path: Path, ratio: float
) -> None:
    """At the screen's own sharpness: the hot cell's colour, the ramp of the legend, words above and axes beside."""
    told = [Told(Row("route:1", b"a", b"m"), [1000]), Told(Row("route:2", b"m", b""), [0])]
    async with (
        page_cluster([ScriptedNode("n1", [last_minute()], told)]) as cluster,
        opened(browser, cluster.url, ratio=ratio) as page,
    ):
        await page.drawn()
        content = (await saved_as(page, "Picture (PNG)", tmp_path)).read_bytes()
        frame = await page.page.locator("#frame").bounding_box()
        assert frame is not None
        seen = await page.page.evaluate(COLOURS_OF, base64.b64encode(content).decode())
        assert seen["width"] == round((frame["width"] + 32) * ratio)
        hot, cold, ground = (252, 255, 164), (10, 7, 34), (16, 18, 24)
        assert {tuple(colour) for colour in seen["plot"]} >= {hot, cold}
        assert len(seen["ramp"]) > 100
        assert tuple(seen["ramp"][0]) == cold
        assert seen["inkAbove"] > 500 * ratio
        assert max(abs(one - other) for one, other in zip(seen["corner"], ground, strict=True)) <= 2


COLOURS_OF = """async (encoded) => {
    const blob = new Blob([Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0))], { type: 'image/png' });
    const image = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(x, y, 1, 1).data.slice(0, 3)];
    const ratio = devicePixelRatio;
    const [middle, height] = [Math.round(image.width / 2), image.height];
    const column = (x) => [...Array(height).keys()].map((y) => at(x, y));
    const rampLine = height - Math.round(27 * ratio);
    const ramp = [...Array(Math.round(256 * ratio)).keys()].map((x) => at(Math.round(16 * ratio) + x, rampLine));
    const head = context.getImageData(0, 0, image.width, Math.round(60 * ratio)).data;
    let inkAbove = 0;
    for (let i = 0; i < head.length; i += 4) if (head[i] > 120) inkAbove += 1;
    return { width: image.width, plot: column(middle), ramp: [...new Map(ramp.map((c) => [c.join(), c])).values()],
             inkAbove, corner: at(0, 0) };
}"""


async def test_the_link_button_copies_the_view(browser: Browser) -> None:
    """What is copied opens the same view elsewhere."""
    node = ScriptedNode("n1", [last_minute()], [Told(Row("route:1", b"a", b""), [5])])
    async with page_cluster([node]) as cluster, opened(browser, cluster.view(series="reads", scale="linear")) as page:
        await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await pin(page, 0, 0)
        await page.get("out").locator("summary").click()
        await page.get("out").get_by_role("button", name="Copy link").click()
        await expect(page.get("out-said")).to_have_text("Link copied")
        link = await clipboard(page.page)
        await expect(page.page).to_have_url(link)
        async with opened(browser, link) as other:
            await expect(other.get("detail")).to_be_visible()
            await expect(other.get("series")).to_have_value("reads")


async def test_the_table_of_the_hottest_ranges(browser: Browser) -> None:
    """In words and numbers what the picture shows; a row of it pins the hottest window of that range."""
    end = last_minute()
    told = [Told(Row("route:1", b"a", b"m"), [60, 60]), Told(Row("route:2", b"m", b""), [120, 600])]
    node = ScriptedNode("n1", [end - STEP_MS, end], told)
    async with page_cluster([node]) as cluster, opened(browser, cluster.view(utc=1)) as page:
        await page.get("hottest").locator("summary").click()
        lines = page.get("hottest").locator("tbody tr")
        await expect(lines).to_have_count(2)
        assert (await lines.nth(0).locator("th,td").all_inner_texts())[:5] == [
            *("route:2", "m … (last key)", "85.7%", "6", "10"),
        ]
        await expect(page.page.locator("#heatmap-summary")).to_contain_text(
            "Hottest: route:2, m … (last key), with 85.7%"
        )
        await lines.nth(0).get_by_role("button").click()
        await expect(page.get("detail-numbers")).to_contain_text("600 writes")
