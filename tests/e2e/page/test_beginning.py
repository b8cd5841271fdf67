"""What the page shows while it has no picture: that it asks, what was refused, or the form alone."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Browser, Route, expect

from gateway.session import EphemeralKey, Sessions
from keyviz_grpc.model import Row
from tests.e2e.page_fixtures import Opened, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


def node() -> ScriptedNode:
    """One row, one window."""
    return ScriptedNode("n1", [last_minute()], [Told(Row("route:1", b"a", b""), [5])])


async def has_no_picture(page: Opened) -> None:
    """No part of a picture is to be seen, and no legend: there are no numbers for it."""
    await expect(page.get("heatmap")).to_be_hidden()
    await expect(page.page.locator("#frame > *:visible")).to_have_count(0)
    await expect(page.get("legend")).to_be_empty()


async def test_before_the_first_answer_the_page_says_that_it_asks(browser: Browser) -> None:
    """Quiet words in place of the picture; with the answer they go, and picture and legend are there."""
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    async with page_cluster([node()]) as cluster, opened(browser, "about:blank") as page:
        await page.page.context.route("**/keyviz/matrix*", hold)
        await page.page.goto(cluster.url)
        await expect(page.get("empty")).to_have_text("Asking the nodes…")
        await has_no_picture(page)
        held.set()
        await page.drawn()
        await expect(page.get("empty")).to_have_count(0)
        await expect(page.get("heatmap")).to_be_visible()
        await expect(page.get("legend-numbers")).to_contain_text("0.0833")


async def test_a_question_that_is_refused_leaves_words_alone(browser: Browser) -> None:
    """Keys the wrong way round: what the gateway says, and the way back to all keys."""
    async with (
        page_cluster([node()]) as cluster,
        opened(browser, cluster.view(keys="eg==~YQ=="), expected=["400 .*matrix"]) as page,
    ):
        await expect(page.get("empty")).to_contain_text("The gateway refuses this question")
        await has_no_picture(page)
        await page.get("keys-note").get_by_role("button", name="Show all keys").click()
        await page.drawn()


async def test_behind_the_form_there_is_nothing_to_read(browser: Browser) -> None:
    """Whoever must sign in reads it in the dialog, and nothing shines out from behind it."""
    sessions = Sessions([EphemeralKey()])
    async with page_cluster([node()], sessions=sessions) as cluster, opened(browser, cluster.url) as page:
        await expect(page.get("sign-in")).to_be_visible()
        await has_no_picture(page)
        await expect(page.get("empty")).to_have_count(0)


async def test_a_range_of_another_year_is_told_with_it_in_full(browser: Browser) -> None:
    """Nothing is cut off, and the words for no data name the choice as it is called."""
    async with (
        page_cluster([node()]) as cluster,
        opened(browser, cluster.view(range="1000-2000", utc=1), size=(1400, 760)) as page,
    ):
        await expect(page.get("empty")).to_contain_text("Choose “all there is”")
        chosen = page.get("range").locator("option:checked")
        await expect(chosen).to_have_text(re.compile("^1 Jan 1970 00:00:01 . 00:00:02$"))
        await expect(page.get("range").locator("option", has_text="all there is")).to_have_count(1)
        room, wide = await page.get("range").evaluate(
            """one => {
                const [style, context] = [getComputedStyle(one), document.createElement('canvas').getContext('2d')];
                context.font = style.font;
                const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
                return [room, context.measureText(one.selectedOptions[0].text).width];
            }"""
        )
        assert wide <= room + 1
