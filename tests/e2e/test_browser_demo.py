"""The page of a running demo in a real browser: traffic changes the picture, a killed node is named."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.conftest import Processes

pytestmark = pytest.mark.e2e

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    """A fresh page of a real chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def picture_changes(page: Page) -> bytes:
    """Waits until the heatmap's pixels are not what they are now; gives the new ones."""
    heatmap = page.get_by_test_id("heatmap")
    before = after = await heatmap.screenshot()
    async with asyncio.timeout(20):
        while after == before:
            after = await heatmap.screenshot()
    return after


async def test_the_page_follows_traffic_and_names_a_killed_node(processes: Processes, page: Page) -> None:
    """3/3 with pixels that change; after SIGKILL of a node 2/3 and its name; no console error all along."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    demo = await processes.start("gateway.demo", "--http", "127.0.0.1:0")
    await demo.wait_ready()
    nodes = {
        process.cmdline()[process.cmdline().index("--node-index") + 1]: process
        for process in psutil.Process(demo.process.pid).children()
        if "--node-index" in process.cmdline()
    }
    await page.goto(f"http://{demo.ready['http']}/admin/")
    await expect(page.get_by_test_id("counter")).to_contain_text("3/3", timeout=20_000)
    await picture_changes(page)
    os.kill(nodes["1"].pid, signal.SIGKILL)
    await expect(page.get_by_test_id("counter")).to_contain_text("2/3", timeout=20_000)
    await expect(page.get_by_test_id("banner")).to_contain_text("n2")
    await picture_changes(page)
    assert complaints == []
