"""The page on a phone, in the colours and with the motion that somebody wants, and what is folded opened up."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from tests.e2e.page_fixtures import STEP_MS, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

ROUTES, COLUMNS = 40, 4
PALE, FULL = (69, 76, 96), (127, 138, 168)


def node(name: str = "n1", columns: int = COLUMNS) -> ScriptedNode:
    """Forty rows, the later the busier; its last `columns` windows end with the latest whole minute."""
    end = last_minute()
    told = [
        Told(Row(f"route:{n}", b"user/%03d" % n, b"user/%03d" % (n + 1)), [1 + n] * columns, (1 + n, 1))
        for n in range(ROUTES)
    ]
    return ScriptedNode(name, [end - STEP_MS * (columns - 1 - at) for at in range(columns)], told)


@pytest.mark.parametrize("width", [360, 390])
async def test_a_phone_shows_the_picture_without_scrolling_sideways(browser: Browser, width: int) -> None:
    """Nothing is wider than the screen, controls take two rows at most, most of the screen is left to the heatmap."""
    async with page_cluster([node(), node("n2")]) as cluster, opened(browser, cluster.url, size=(width, 740)) as page:
        await page.drawn()
        wide, rows = await page.page.evaluate(
            """() => [document.documentElement.scrollWidth, new Set(
                [...document.querySelectorAll('header select, header input, header button, header summary')]
                    .filter((one) => one.checkVisibility() && !one.closest('[popover], .menu-items, dialog'))
                    .map((one) => one.getBoundingClientRect())
                    .map(({top, height}) => Math.round((top + height / 2) / 20))).size]"""
        )
        assert wide <= width
        assert rows <= 2
        area = await page.get("heatmap").bounding_box()
        assert area is not None
        assert area["width"] > width / 2
        assert area["y"] + area["height"] <= 740
        assert page.complaints == []


WORDS = """() => [...document.querySelectorAll('header select, header input')].flatMap((one) => {
    const style = getComputedStyle(one);
    const context = document.createElement('canvas').getContext('2d');
    context.font = style.font;
    const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const words = one.tagName === 'INPUT' ? [one.placeholder] : [...one.options].map(({text}) => text);
    return words.filter((word) => one.checkVisibility() && context.measureText(word).width > room + 1);
})"""


@pytest.mark.parametrize("width", [360, 390, 1280])
async def test_no_choice_is_cut_off(browser: Browser, width: int) -> None:
    """Whatever is chosen in the header can be read in full, on a phone in fewer words."""
    async with page_cluster([node(), node("n2")]) as cluster, opened(browser, cluster.url, size=(width, 740)) as page:
        await page.drawn()
        await expect(page.get("scope")).to_be_visible()
        assert await page.page.evaluate(WORDS) == []


@pytest.mark.parametrize("own_range", [False, True])
async def test_controls_take_one_row_on_a_laptop(browser: Browser, *, own_range: bool) -> None:
    """At 1280 px every control of the header is in line with the others, with a range of another year too."""
    view = {"range": "1000-2000"} if own_range else {}
    async with page_cluster([node(), node("n2")]) as cluster, opened(browser, cluster.view(**view)) as page:
        await page.drawn()
        await expect(page.get("counter")).to_have_text("2/2 nodes")
        middles = await page.page.evaluate(
            """() => [...document.querySelectorAll('header select, header input, header button, header summary')]
                .filter((one) => one.checkVisibility() && !one.closest('[popover], .menu-items, dialog'))
                .map((one) => one.getBoundingClientRect()).map(({top, height}) => top + height / 2)"""
        )
        assert len(middles) > 5
        assert max(middles) - min(middles) < 8


async def test_a_theme_by_hand_is_kept_and_is_no_part_of_a_link(browser: Browser) -> None:
    """Light where the system is dark, after a reload too; the address is as it was."""
    async with page_cluster([node()]) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        root = page.page.locator("html")
        await expect(root).to_have_attribute("data-theme", "dark")
        await page.get("display").click()
        await page.get("theme").select_option("light")
        await expect(root).to_have_attribute("data-theme", "light")
        await page.page.reload()
        await expect(root).to_have_attribute("data-theme", "light")
        assert page.parameters() == {}


@pytest.mark.parametrize("reduced", [True, False])
async def test_nothing_moves_for_those_who_want_no_motion(browser: Browser, *, reduced: bool) -> None:
    """A transition on any part of the page is none at all then, and one otherwise."""
    async with page_cluster([node()]) as cluster, opened(browser, cluster.url, reduced_motion=reduced) as page:
        await page.drawn()
        moves = await page.page.evaluate(
            """() => {
                const one = document.querySelector('header button');
                one.style.transition = 'opacity 5s';
                return getComputedStyle(one).transitionDuration;
            }"""
        )
        assert (moves == "0s") is reduced


async def test_a_window_that_not_every_node_holds_has_a_paler_bar(browser: Browser) -> None:
    """Two windows of one node alone, then two of both."""
    async with (
        page_cluster([node(), node("n2", columns=2)]) as cluster,
        opened(browser, cluster.url) as page,
    ):
        await page.drawn()
        colours = await page.page.evaluate(
            """columns => {
                const canvas = document.querySelector('#frame canvas.above');
                return [...Array(columns).keys()].map((at) => [...canvas.getContext('2d')
                    .getImageData((at + 0.5) * canvas.width / columns, canvas.height - 2, 1, 1).data].slice(0, 3));
            }""",
            COLUMNS,
        )
        assert [tuple(one) for one in colours] == [PALE, PALE, FULL, FULL]


async def test_what_a_row_folds_can_be_opened_and_sent_as_a_link(browser: Browser) -> None:
    """Asks for its keys alone: each of its routes becomes a row; the link does the same; one press and all are back."""
    async with page_cluster([node()]) as cluster, opened(browser, cluster.view(rows=8)) as page:
        await page.drawn()
        told = await page.page.evaluate("fetch('api/v1/keyviz/matrix?series=writes&rows=8').then((one) => one.json())")
        row = next(at for at, one in enumerate(told["rows"]) if one["aggregate"])
        routes = told["rows"][row]["route_count"]
        await page.page.mouse.click(*await page.point_at(row, 1))
        await page.get("detail").get_by_role("button", name="Open these ranges").click()
        await page.until(lambda *port: port[3] == routes)
        await page.page.wait_for_url(re.compile("keys="))
        await expect(page.get("keys-note")).to_contain_text("user/0")
        async with opened(browser, page.page.url) as other:
            assert (await other.port())[3] == routes
            assert other.complaints == []
        await page.get("keys-note").get_by_role("button").click()
        await page.until(lambda *port: port[3] == ROUTES)
