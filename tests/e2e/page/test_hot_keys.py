"""The keys behind a pinned row, and why there are none."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from gateway.session import EphemeralKey, Role, Sessions
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.sampler import Op
from tests.e2e.page.acting import clipboard, pin
from tests.e2e.page.conftest import ROUTES
from tests.e2e.page_fixtures import Counted, counting, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


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
        await expect(keys.nth(0)).to_contain_text("30 · 75.0%")
        await expect(keys.nth(0).get_by_role("img")).to_have_attribute("aria-label", "30, exact")
        await expect(page.get("detail-hotkeys")).to_contain_text("Newest in it: the window")
        await page.get("series").select_option("reads")
        await pin(page, 0, 1)
        await expect(keys).to_have_count(4)
        await expect(keys.nth(0)).to_contain_text("second")
        await expect(keys.nth(0)).to_contain_text("30 · 45.5%")
        widths = [await key.locator(".whisker-bar").evaluate("bar => bar.style.width") for key in await keys.all()]
        assert widths == ["100%", "40%", "40%", "40%"]


async def test_a_hot_key_is_copied_in_each_of_its_forms(browser: Browser) -> None:
    """Text where it is text, hexadecimal and base64 always; the bytes that were counted come back, and it is said."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=HotKeysSettings())
    keys = {b"user/42": 9, b"\xff\x00a": 5, b"line \xe2\x80\xaetxt": 3}
    with counted.sampler:
        counted.window([(2, key, Op.WRITE, times) for key, times in keys.items()])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            await pin(page, 1, 0)
            items = page.get("hot-keys").get_by_role("listitem")
            await expect(items).to_have_count(3)
            for number, key in enumerate(keys):
                forms = {"hex": key.hex(), "base64": base64.b64encode(key).decode()} | (
                    {"text": key.decode()} if number == 0 else {}
                )
                buttons = items.nth(number).get_by_role("button")
                await expect(buttons).to_have_count(len(forms))
                shown = "user/42" if number == 0 else f"0x{key.hex()}"
                await expect(items.nth(number).locator(".key-text")).to_have_text(shown)
                for form, text in forms.items():
                    button = buttons.and_(page.page.get_by_label(f"Copy key as {form}"))
                    await button.click()
                    await expect(button).to_contain_text("copied")
                    assert await clipboard(page.page) == text
            assert page.complaints == []


async def test_where_there_are_no_keys_a_sentence_says_why(browser: Browser) -> None:
    """Off on the nodes, without an error in the console; several routes in one row; a role that may only look."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute())
    with counted.sampler:
        counted.window([(1, b"a", Op.WRITE, 5)])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Hot keys are off on these nodes")
            assert page.complaints == []
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
            assert page.complaints == []
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
