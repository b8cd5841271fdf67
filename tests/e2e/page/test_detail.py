"""What the page tells of one cell and its row."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from tests.e2e.page.acting import clipboard, pin
from tests.e2e.page_fixtures import STEP_MS, Counted, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


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


async def test_one_is_not_said_as_many(browser: Browser) -> None:
    """One write of one row of one node; the frame of its cell stands out from any colour.

    Windows of half a second, a long group and term: who led it has room beside the picture.
    """
    told = [Told(Row("route:1", b"a", b""), [1], (1_234_567, 12_345))]
    node = ScriptedNode("n1", [last_minute() - 500], told, step_ms=500)
    async with page_cluster([node]) as cluster, opened(browser, cluster.url) as page:
        await pin(page, 0, 0)
        await expect(page.get("detail-numbers")).to_contain_text("· 1 writeShare")
        await expect(page.get("in-view")).to_contain_text(re.compile("1 row$"))
        await expect(page.get("counter")).to_have_text("1/1 node")
        widths = await page.page.evaluate(
            """() => ['halo', 'line'].map((name) =>
                parseFloat(getComputedStyle(document.querySelector(`.framed.pinned rect.${name}`)).strokeWidth))"""
        )
        assert widths[1] >= 2
        assert widths[0] - widths[1] >= 3, "dark on both sides of the light line"
        led = page.get("detail-leaders")
        table, room = await led.locator("table").bounding_box(), await led.bounding_box()
        assert table is not None
        assert room is not None
        assert table["x"] + table["width"] <= room["x"] + room["width"] + 0.5


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
        await page.until(lambda *port: port[3] == 29)
        await pin(page, 6, 0)
        await expect(detail.get_by_role("heading", name="route:7", exact=True)).to_be_visible()
        await page.get("keys-note").get_by_role("button").click()
        await expect(page.get("keys-note")).to_have_count(0)
        assert "keys" not in page.parameters()
        await page.page.goto(cluster.view(rows=3))
        await pin(page, 2, 0)
        await detail.get_by_role("button", name="Open these ranges").click()
        await page.until(lambda *port: port[3] == 20)


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
        assert await slices.get_by_role("listitem").all_inner_texts() == ["#0\n16.7%", "#1\n33.3%", "#2\n50.0%"]
        await slices.get_by_role("button").first.click()
        await expect(page.get("detail").get_by_role("heading", name="route:1#0", exact=True)).to_be_visible()


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
        await page.page.mouse.move(where["x"] + 4, where["y"] + where["height"] - 4)
        await page.page.mouse.wheel(0, 400)
        await page.page.wait_for_function("() => scrollY > 100")
        await page.get("hot-keys").scroll_into_view_if_needed()
        await expect(page.get("hot-keys")).to_be_in_viewport()
        await page.get("detail").get_by_role("button", name="Close details").click()
        await expect(page.get("detail")).to_have_count(0)
