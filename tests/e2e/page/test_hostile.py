"""Keys and ids that try to be more than text: shown as text, nothing runs, the layout holds."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from tests.e2e.page_fixtures import ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

MARKUP = b"<img src=x onerror=document.title='ran'>"


async def test_hostile_keys_and_labels_are_text_and_nothing_runs(browser: Browser) -> None:
    """HTML, right-to-left marks, NULs, emoji and 4 kB of key, in picture, table, tooltip and detail."""
    keys = sorted([MARKUP, "a\u202eb".encode(), b"n\x00ul", "🔥/日本".encode(), b"z" * 4096])
    told = [
        Told(Row(f"route:{n}:{MARKUP.decode()}", key, keys[n + 1] if n + 1 < len(keys) else b"", MARKUP.decode()), [5])
        for n, key in enumerate(keys)
    ]
    async with (
        page_cluster([ScriptedNode("<b>n1</b>", [last_minute()], told)]) as cluster,
        opened(browser, cluster.url) as page,
    ):
        await page.page.get_by_test_id("hottest").locator("summary").click()
        table = page.get("hottest").locator("tbody tr")
        await expect(table).to_have_count(len(keys))
        await expect(page.get("hottest")).to_contain_text(MARKUP.decode())
        assert "\u202e" not in await page.page.inner_text("body")
        for row in range(len(keys)):
            await page.page.mouse.move(*await page.point_at(row, 0))
            await page.page.mouse.click(*await page.point_at(row, 0))
            await expect(page.get("detail")).to_be_visible()
        await expect(page.get("scope")).to_contain_text("only <b>n1</b>")
        assert await page.page.locator("body img[src=x]").count() == 0
        assert await page.page.title() == "Key visualizer"
        wide = await page.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
