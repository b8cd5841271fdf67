"""What tests of the page do again and again."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Page, expect

from keyviz_grpc.model import Row, Series
from tests.e2e.page_fixtures import STEP_MS, Opened, ScriptedNode, Told, last_minute

ROWS, COLUMNS = 40, 60
WHOLE = (0.0, float(COLUMNS), 0.0, float(ROWS + 1))


def an_hour() -> ScriptedNode:
    """Forty rows, an hour of windows; every cell of every series has traffic of its own."""
    end = last_minute() - 2 * STEP_MS
    told = [
        Told(
            Row(f"route:{n}", b"user/%03d" % n, b"user/%03d" % (n + 1)),
            {series: [1 + n + at + factor for at in range(COLUMNS)] for factor, series in enumerate(Series)},
            (1, 1),
        )
        for n in range(ROWS)
    ]
    told.append(Told(Row("route:7:login", b"user/007", b"user/008", label="login"), [3] * COLUMNS, (1, 1)))
    return ScriptedNode("n1", [end - STEP_MS * (COLUMNS - 1 - at) for at in range(COLUMNS)], told)


def add_window(scripted: ScriptedNode) -> None:
    """One more window on the node, with as much traffic as the one before."""
    scripted.columns = [*scripted.columns, scripted.columns[-1] + STEP_MS]
    scripted.rows = [
        Told(one.row, {series: [*one.values(series).tolist(), 9] for series in Series}, one.identity)
        for one in scripted.rows
    ]


async def zoomed_in(page: Opened, row: int = 20, column: int = 30) -> tuple[float, ...]:
    """Turns the wheel over a cell and waits until the address has it."""
    await page.page.mouse.move(*await page.point_at(row, column))
    await page.page.mouse.wheel(0, -500)
    await page.page.wait_for_url(re.compile("zoom="))
    await end_gesture(page)
    return await page.port()


async def end_gesture(page: Opened) -> None:
    """A gesture of the wheel ends 150 ms after its last turn, and 250 ms after it the address has it."""
    await page.pass_time(300)


async def refreshed(page: Opened, scripted: ScriptedNode) -> None:
    """Waits until an answer from now on is drawn: the page asks again only after it has taken the one before."""
    wanted = len(scripted.asked) + 2
    async with asyncio.timeout(10):
        while len(scripted.asked) < wanted:
            await page.pass_time(1000)
    await page.drawn()


async def pin(page: Opened, row: int, column: int) -> None:
    """Clicks a cell."""
    await page.page.mouse.click(*await page.point_at(row, column))
    await expect(page.get("detail")).to_be_visible()


async def clipboard(page: Page) -> str:
    """What was copied last."""
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text
