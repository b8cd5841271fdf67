"""Makes the pictures of the documentation: a real demo in a real browser. Run it with the project's environment."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Literal

from playwright.async_api import Position, async_playwright

PICTURES = Path(__file__).parent / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WARM_UP_S = 12


async def main() -> None:
    """Starts a demo on a free port, waits for some live columns, and photographs its page in both themes."""
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo", "--http", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE
    )
    try:
        ready = (await demo.stdout.readline()).decode() if demo.stdout else ""
        url = f"http://{ready.split('http=')[1].split()[0]}/admin/"
        await asyncio.sleep(WARM_UP_S)
        await photograph(url, "demo-dark.png", "dark")
        await photograph(url, "demo-light.png", "light")
        await photograph(url, "detail.png", "dark", pinned=True)
        await photograph(url, "phone.png", "dark", size=(390, 844))
    finally:
        demo.send_signal(signal.SIGINT)
        await demo.wait()


async def photograph(
    url: str,
    name: str,
    theme: Literal["dark", "light"],
    *,
    size: tuple[int, int] = (1280, 760),
    pinned: bool = False,
) -> None:
    """One picture of the whole window, with a cell hovered or pinned."""
    async with async_playwright() as playwright:
        chromium = shutil.which("chromium") or "chromium"
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
        await page.goto(url)
        await page.get_by_test_id("counter").filter(has_text="/").wait_for()
        place: Position = {"x": size[0] // 4, "y": 60}
        await page.get_by_test_id("heatmap").hover(position=place)
        if pinned:
            await page.get_by_test_id("heatmap").click(position=place)
            await page.get_by_test_id("hot-keys").wait_for()
        await page.screenshot(path=PICTURES / name)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
