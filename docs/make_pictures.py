"""Makes the pictures of the documentation: real clusters in a real browser. Run it with the project's environment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import numpy as np
from playwright.async_api import Browser, Page, async_playwright, expect

from keyviz_grpc.model import Row
from tests.e2e.page_fixtures import STEP_MS, ScriptedNode, Told, last_minute, page_cluster

PICTURES = Path(__file__).parent / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WARM_UP_S = 12
RAGGED = 15
LARGEST_BYTES = 300_000
WINDOW = (1280, 720)
TALL = (1280, 1040)
DETAIL_COLUMNS = 110
PHONE = (390, 844)
Theme = Literal["dark", "light"]


async def main() -> None:
    """The demo in both themes, with a pinned cell and on a phone; then a cluster that has lost a node."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium") or "chromium", args=FLAGS)
        async with demo() as url:
            await asyncio.sleep(WARM_UP_S)
            await demo_pictures(browser, url, range_without_gap(url))
        await degraded_picture(browser)
    for picture in PICTURES.glob("*.png"):
        if picture.stat().st_size > LARGEST_BYTES:
            sys.exit(f"{picture.name} has {picture.stat().st_size} bytes, at most {LARGEST_BYTES} are wanted")


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """The address of the page of a demo on a free port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo", "--http", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE
    )
    try:
        ready = (await process.stdout.readline()).decode() if process.stdout else ""
        yield f"http://{ready.split('http=')[1].split()[0]}/admin/"
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


def range_without_gap(url: str) -> str:
    """The longest time without a missing window, as the page's address has it: `from-to` in unix ms.

    Nodes of a busy machine begin to count some seconds after the history that they replayed has ended, and not all
    at once, so some windows at both ends are left out.
    """
    body = asked(f"{url}api/v1/keyviz/matrix?rows=1")
    stamps, step_ms = np.array(body["column_unix_ms"]), body["step_ms"]
    runs = np.split(stamps, np.flatnonzero(np.diff(stamps) != step_ms) + 1)
    longest = max(runs, key=len)
    return f"{longest[0] + RAGGED * step_ms}-{longest[-1] - RAGGED * step_ms}"


async def demo_pictures(browser: Browser, url: str, range_of_time: str) -> None:
    """Four pictures of the demo."""
    shown = f"{url}?range={range_of_time}"
    await photograph(browser, shown, "demo-dark.png", "dark")
    await photograph(browser, shown, "demo-light.png", "light")
    await photograph(browser, f"{url}?{hot_cell(url, range_of_time)}", "detail.png", "dark", size=TALL)
    await photograph(browser, shown, "phone.png", "dark", size=PHONE)


def hot_cell(url: str, range_of_time: str) -> str:
    """The busiest window of the busiest single range in the last part of a time, as the page's address has it."""
    from_ms, to_ms = map(int, range_of_time.split("-"))
    body = asked(f"{url}api/v1/keyviz/matrix?from_unix_ms={from_ms}&to_unix_ms={to_ms}")
    stamps = body["column_unix_ms"][-DETAIL_COLUMNS:]
    rows = [(row["bucket_id"], row["values"][-DETAIL_COLUMNS:]) for row in body["rows"] if not row["aggregate"]]
    bucket_id, values = max(rows, key=lambda row: sum(row[1]))
    return urlencode({"range": f"{stamps[0]}-{to_ms}", "cell": f"{stamps[int(np.argmax(values))]}@{bucket_id}"})


def asked(url: str) -> dict[str, Any]:
    """The gateway's answer."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - own loopback address
        body: dict[str, Any] = json.load(answer)
    return body


async def degraded_picture(browser: Browser) -> None:
    """A node is gone, another one holds a stale copy of what the first one leads."""
    sources = [scripted(number) for number in range(3)]
    async with page_cluster(sources) as cluster:
        await cluster.servers[2].drain(0)
        cell = f"{last_minute() - 9 * STEP_MS}@route:6"
        await photograph(browser, cluster.view(cell=cell), "degraded.png", "dark")


ROUTES = 16
COLUMNS = 60
HOT, STALE = 6, range(45, 55)


def scripted(number: int) -> ScriptedNode:
    """Leads every third route, with a hot one that grows; n2 has an older count of part of it under the same term."""
    random = np.random.default_rng(7)
    traffic = random.gamma(4, 40, (ROUTES, COLUMNS)) * random.lognormal(0, 1.2, (ROUTES, 1))
    traffic[HOT] = 400 + 60 * np.arange(COLUMNS) + random.normal(0, 120, COLUMNS)
    traffic = np.maximum(traffic, 0).astype(int)
    end = last_minute()
    told = []
    for route in range(ROUTES):
        key = b"tenant/%02d/" % route
        last = route + 1 == ROUTES
        row = Row(f"route:{route}", key, b"" if last else b"tenant/%02d/" % (route + 1))
        if route % 3 == number:
            told.append(Told(row, traffic[route].tolist(), (route + 1, 7)))
        elif route == HOT and number == 1:
            stale = [int(count * 0.8) if at in STALE else 0 for at, count in enumerate(traffic[HOT])]
            told.append(Told(row, stale, (route + 1, 7)))
        else:
            told.append(Told(row, [0] * COLUMNS))
    stamps = [end - STEP_MS * at for at in reversed(range(COLUMNS))]
    return ScriptedNode(f"n{number + 1}", stamps, told)


async def photograph(
    browser: Browser,
    url: str,
    name: str,
    theme: Theme,
    *,
    size: tuple[int, int] = WINDOW,
) -> None:
    """One picture of the whole window once all is told."""
    page = await browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
    await page.goto(url)
    await page.get_by_test_id("counter").filter(has_text="/").wait_for()
    await page.locator("#frame[data-port]:not([data-pending])").wait_for()
    if "cell=" in url:
        await page.get_by_test_id("hot-keys").or_(page.get_by_test_id("no-keys")).wait_for()
    await page.mouse.move(1, 1)
    await settled(page)
    await page.screenshot(path=PICTURES / name)
    await page.close()


async def settled(page: Page) -> None:
    """Waits until no part of the page waits for an answer."""
    await expect(page.get_by_text("Asking")).to_have_count(0, timeout=15_000)
    await expect(page.get_by_test_id("tooltip")).to_be_hidden()


if __name__ == "__main__":
    asyncio.run(main())
