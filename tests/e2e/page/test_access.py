"""Nobody is shut out: axe finds nothing of levels A and AA in any state of the page, in both themes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, expect

from gateway.session import EphemeralKey, Sessions
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.model import Row
from keyviz_grpc.sampler import Op, Route
from tests.e2e.page_fixtures import STEP_MS, Opened, ScriptedNode, Told, counting, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

AXE = Path(__file__).resolve().parents[3] / "gateway" / "page" / "node_modules" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
Theme = Literal["dark", "light"]
THEMES: list[Theme] = ["dark", "light"]


async def violations(page: Opened) -> list[str]:
    """What axe finds on the page as it is now: rule, element, and what is wrong with it."""
    await page.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.page.evaluate(
        "levels => axe.run(document, {runOnly: {type: 'tag', values: levels}, resultTypes: ['violations']})", LEVELS
    )
    return [
        f"{rule['id']}: {node['target']}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def node(name: str, *counts: int) -> ScriptedNode:
    """Three rows of which one is an aggregate; n2 counted the first one under the same term as n1, but otherwise."""
    stamps = [last_minute() - STEP_MS * at for at in reversed(range(3))]
    first = [40, counts[0], 9]
    told = [
        Told(Row("route:1:checkout", b"a", b"m", "checkout"), first, (1, 7), soft=(2,)),
        Told(Row("route:2", b"m", b"t"), [5, 0, 5], (2, 7)),
        Told(Row("virtual:77", b"t", b"", aggregate=True, route_ids=(8, 9), route_count=2), [3, 3, 3], (3, 7)),
    ]
    return ScriptedNode(name, stamps, told)


@pytest.mark.parametrize("theme", THEMES)
async def test_the_scan_finds_what_is_wrong(browser: Browser, theme: Theme) -> None:
    """A text that can hardly be read and a picture without a name do not pass, so the other tests can fail."""
    async with page_cluster([node("n1", 5)]) as cluster, opened(browser, cluster.url, theme=theme) as page:
        await page.drawn()
        await page.page.evaluate(
            """() => {
                const text = document.createElement('p');
                text.textContent = 'hardly to be read';
                text.style.color = '#777'; text.style.background = '#888';
                document.querySelector('main').append(text, document.createElement('img'));
            }"""
        )
        found = " ".join(await violations(page))
        assert "color-contrast" in found
        assert "image-alt" in found


@pytest.mark.parametrize("theme", THEMES)
async def test_the_picture_and_everything_that_opens_over_it(browser: Browser, theme: Theme) -> None:
    """A conflict, an estimate and a missing node; menus, the strip, the table, the list of nodes, the sheet of keys."""
    async with (
        page_cluster([node("n1", 5), node("n2", 6), None]) as cluster,
        opened(browser, cluster.view(range="1h"), theme=theme) as page,
    ):
        await expect(page.get("banner")).to_be_visible()
        await page.drawn()
        assert await violations(page) == []
        for summary in await page.page.locator("details:not([open]) > summary").all():
            if await summary.is_visible():
                await summary.click()
        assert await violations(page) == []
        await page.get("counter").click()
        await expect(page.get("nodes")).to_be_visible()
        assert await violations(page) == []
        await page.page.keyboard.press("Escape")
        await page.get("heatmap").focus()
        await page.page.keyboard.press("?")
        await expect(page.page.get_by_role("dialog")).to_be_visible()
        assert await violations(page) == []


@pytest.mark.parametrize("theme", THEMES)
async def test_a_cell_that_is_pinned(browser: Browser, theme: Theme) -> None:
    """Contributions, sparklines, the group's terms and the keys behind it; then a row of several routes."""
    routes = [Route(1, b"a", b"m", raft_group_id=4), Route(2, b"m", b"", raft_group_id=5)]
    counted = counting("n1", routes, columns=2, end_ms=last_minute(), hot_keys=HotKeysSettings())
    with counted.sampler:
        counted.sampler.set_leader(4, 7)
        for _ in range(2):
            counted.window([(1, b"apple", Op.WRITE, 9), (1, b"pear", Op.WRITE, 4)])
        async with (
            page_cluster([counted.sampler]) as cluster,
            opened(browser, cluster.url, theme=theme) as page,
        ):
            await page.page.mouse.click(*await page.point_at(0, 1))
            await expect(page.get("detail")).to_contain_text(re.compile("apple"))
            await expect(page.get("detail")).not_to_contain_text("Asking")
            assert await violations(page) == []


@pytest.mark.parametrize("theme", THEMES)
async def test_the_form_that_asks_for_keys(browser: Browser, theme: Theme) -> None:
    """As it opens, and with an error in it."""
    guarded = {"sessions": Sessions([EphemeralKey()])}
    async with page_cluster([node("n1", 5)], **guarded) as cluster, opened(browser, cluster.url, theme=theme) as page:
        form = page.get("sign-in")
        await expect(form).to_be_visible()
        assert await violations(page) == []
        await form.get_by_label("Access key").fill("nobody")
        await form.get_by_label("Secret key").fill("nothing")
        await form.get_by_role("button", name="Sign in").click()
        await expect(form.get_by_role("alert")).to_be_visible()
        assert await violations(page) == []
