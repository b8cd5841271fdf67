"""The page over known traffic: real nodes and a real gateway in this loop, a real browser beside it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from gateway.app import create_app
from gateway.serving import http_server
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.errors import SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, GroupLeader, Member, Outcome, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.server import RunningServer, serve_node
from keyviz_grpc.source import Source

FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STEP_MS: Final = 60_000


def last_minute() -> int:
    """The end of the latest whole minute: traffic that ends there is in every range that the page offers."""
    return int(time.time() * 1000) // STEP_MS * STEP_MS


@dataclass(frozen=True, slots=True)
class Told:
    """What a scripted node says of one row. counts: by series, one a column (or one list for every series).

    identity: (group, term) of all cells with traffic, (0, 0) = unknown. soft: columns whose cell is an estimate.
    """

    row: Row
    counts: Mapping[Series, Sequence[int]] | Sequence[int]
    identity: tuple[int, int] = (0, 0)
    soft: tuple[int, ...] = ()

    def values(self, series: Series) -> NDArray[np.uint64]:
        """One a column."""
        counts = self.counts[series] if isinstance(self.counts, Mapping) else self.counts
        return np.array(counts, np.uint64)


@dataclass(slots=True)
class ScriptedNode:
    """A source that says what it is told to: `columns` are stamps in unix ms; both may be changed between requests.

    off: as if there were no sampler. asked: every query so far.
    """

    node_id: str
    columns: list[int]
    rows: list[Told]
    step_ms: int = STEP_MS
    oldest_unix_ms: int = 0
    generated_at: Callable[[], float] = time.time
    off: bool = False
    asked: list[MatrixQuery] = field(default_factory=list)

    def matrix(self, query: MatrixQuery) -> Answer:
        """See Source."""
        self.asked.append(query)
        if self.off:
            raise SamplerDisabled
        told = sorted(self.rows, key=lambda one: one.row.key_order)
        columns = np.array(self.columns, np.int64)
        held = query.window.bounds(columns)
        shape = (len(told), len(columns[held]))
        values = np.array([one.values(query.series)[held] for one in told], np.uint64).reshape(shape)
        soft = np.array([[at in one.soft for at in range(len(columns))][held] for one in told], bool).reshape(shape)
        known = sorted({one.identity for one in told} - {(0, 0)})
        codes = np.array([0 if one.identity == (0, 0) else known.index(one.identity) + 1 for one in told], np.uint32)
        matrix = Matrix(
            query.series,
            columns[held].copy(),
            Catalogue(tuple(one.row for one in told)),
            values,
            identities=np.array([(0, 0), *known], np.uint64),
            codes=np.where(values > 0, codes[:, None], np.uint32(0)).astype(np.uint32),
            soft=soft if soft.any() else None,
        )
        now_ms = int(self.generated_at() * 1000)
        outcome = Outcome(
            "",
            node_id=self.node_id,
            incarnation=1,
            step_ms=self.step_ms,
            generated_at_unix_ms=now_ms,
            oldest_unix_ms=self.oldest_unix_ms,
        )
        return Answer(
            matrix,
            (outcome,),
            node_id=self.node_id,
            incarnation=1,
            step_ms=self.step_ms,
            generated_at_unix_ms=now_ms,
            oldest_unix_ms=self.oldest_unix_ms,
        )

    def overview(self) -> Overview:
        """See Source."""
        groups = sorted({one.identity for one in self.rows} - {(0, 0)})
        leaders = tuple(GroupLeader(group, self.node_id, term) for group, term in groups)
        return Overview(Member(self.node_id, ""), group_leaders=leaders, incarnation=1)


@dataclass(slots=True)
class Counted:
    """A real sampler whose clock stands where it is put, `columns` windows of traffic in it."""

    sampler: Sampler
    clock: SteppedClock

    def window(self, operations: Sequence[tuple[int, bytes, Op, int]]) -> None:
        """Counts (route, key, op, times) in the open window, 100 bytes of value each, and closes it."""
        self.count(operations)
        self.close()

    def count(self, operations: Sequence[tuple[int, bytes, Op, int]]) -> None:
        """Counts (route, key, op, times) in the open window."""
        for route, key, op, times in operations:
            for _ in range(times):
                self.sampler.observe(route, key, op, 100)

    def close(self) -> None:
        """Ends the open window."""
        closed = self.clock.unix_ms + self.sampler.step_ms
        self.clock.move_to(closed)
        self.sampler.advance_to(closed)


def counting(
    node_id: str,
    routes: Sequence[Route],
    *,
    columns: int,
    end_ms: int,
    hot_keys: HotKeysSettings | None = None,
    incarnation: int | None = None,
    step_ms: int = STEP_MS,
) -> Counted:
    """A sampler whose first window begins so that `columns` windows end at `end_ms`; `incarnation` as Sampler."""
    clock = SteppedClock(end_ms - columns * step_ms)
    sampler = Sampler(
        node_id=node_id,
        step_ms=step_ms,
        clock=clock,
        wall_clock=time.time,
        stall_s=math.inf,
        hot_keys=hot_keys,
        incarnation=incarnation,
    )
    sampler.register_routes(routes)
    return Counted(sampler, clock)


@dataclass(frozen=True, slots=True)
class PageCluster:
    """url: of the page. servers: of the nodes, in configured order."""

    url: str
    servers: list[RunningServer]
    aggregator: Aggregator

    def view(self, **parameters: object) -> str:
        """The address of the page with a view in it."""
        return f"{self.url}?{urlencode(parameters)}"


@contextlib.asynccontextmanager
async def page_cluster(sources: Sequence[Source | None], **of_app: Any) -> AsyncIterator[PageCluster]:
    """Nodes that serve these sources (None: its sampler is off), and a gateway over them; `of_app` as create_app."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(await serve_node(one, listen="127.0.0.1:0")) for one in sources]
        peers = StaticPeers([server.address for server in servers], ClientShared())
        aggregator = Aggregator(peers, settings=FanoutSettings(), node_id="gateway")
        stack.push_async_callback(aggregator.close)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        await stack.enter_async_context(http_server(create_app(aggregator, **of_app), listener, grace_s=2))
        yield PageCluster(f"http://{address_of(listener)}/admin/", servers, aggregator)


@contextlib.asynccontextmanager
async def a_browser(chromium: str) -> AsyncIterator[Browser]:
    """A real chromium without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(slots=True)
class Opened:
    """A page and all that it complained about: console errors, exceptions, refusals by the content policy."""

    page: Page
    complaints: list[str]

    def get(self, name: str) -> Locator:
        """An element by its test id."""
        return self.page.get_by_test_id(name)

    async def drawn(self) -> None:
        """Waits until the picture shows everything that the page knows."""
        await expect(self.page.locator("#frame[data-port]:not([data-pending])")).to_have_count(1, timeout=15_000)

    async def port(self) -> tuple[float, float, float, float]:
        """First and last column, first and last row in view, as fractions."""
        await self.drawn()
        x0, x1, y0, y1 = (await self.page.locator("#frame").get_attribute("data-port") or "").split(",")
        return float(x0), float(x1), float(y0), float(y1)

    async def until(self, holds: Callable[[float, float, float, float], bool], *, within_s: float = 10) -> None:
        """Waits until what is in view is as wanted."""
        async with asyncio.timeout(within_s):
            while not holds(*await self.port()):  # noqa: ASYNC110 - the page announces nothing
                await asyncio.sleep(0.02)

    async def cell(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of a cell in CSS pixels of the heatmap; rows and columns as drawn, from 0."""
        x0, x1, y0, y1 = await self.port()
        area = await self.get("heatmap").bounding_box()
        assert area is not None
        assert x0 <= column < x1, f"column {column} is not in view"
        assert y0 <= row < y1, f"row {row} is not in view"
        wide, high = area["width"] / (x1 - x0), area["height"] / (y1 - y0)
        return (column - x0) * wide, (row - y0) * high, wide, high

    async def colours(self, row: int, column: int) -> set[tuple[int, ...]]:
        """Every colour (red, green, blue, alpha) inside of a cell, a pixel or two away from its edges."""
        ratio = float(await self.page.evaluate("window.devicePixelRatio"))
        box = [side * ratio for side in await self.cell(row, column)]
        pixels: list[int] = await self.page.evaluate(
            """([left, top, width, height]) => {
                const canvas = document.querySelector('[data-testid=heatmap]');
                const [x, y] = [Math.ceil(left) + 1, Math.ceil(top) + 1];
                const [w, h] = [Math.max(1, Math.floor(width) - 3), Math.max(1, Math.floor(height) - 3)];
                return [...new Set(new Uint32Array(canvas.getContext('2d').getImageData(x, y, w, h).data.buffer))];
            }""",
            box,
        )
        return {(one & 255, one >> 8 & 255, one >> 16 & 255, one >> 24 & 255) for one in pixels}

    async def point_at(self, row: int, column: int) -> tuple[float, float]:
        """The middle of a cell in CSS pixels of the window."""
        left, top, width, height = await self.cell(row, column)
        area = await self.get("heatmap").bounding_box()
        assert area is not None
        return area["x"] + left + width / 2, area["y"] + top + height / 2

    async def pass_time(self, ms: int) -> None:
        """Moves the clock of a page that was opened with `clock` on; what falls due meanwhile happens."""
        await self.page.clock.run_for(ms)

    async def questions(self) -> int:
        """How many pictures the page has asked for since it was loaded, answered or not."""
        asked: int = await self.page.evaluate("window.questions")
        return asked

    def parameters(self) -> dict[str, str]:
        """The view as the address says it."""
        return dict(parse_qsl(urlsplit(self.page.url).query))


def _complaint_of(message: ConsoleMessage, expected: Sequence[re.Pattern[str]]) -> str | None:
    """What was said, unless it is no error or an answer that was to be expected ("404 http://…")."""
    if message.type != "error":
        return None
    refused = re.match(r"Failed to load resource: the server responded with a status of (\d+)", message.text)
    if refused is None:
        return f"{message.text} ({message.location['url']})"
    answer = f"{refused[1]} {message.location['url']}"
    return None if any(one.search(answer) for one in expected) else answer


# What the page asks its worker for it asks at once, whereas a question is late at the gateway.
COUNT_QUESTIONS: Final = """
window.questions = 0;
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (asked, ...rest) {
    if (asked.kind === 'matrix') window.questions += 1;
    return post.call(this, asked, ...rest);
};
"""


@contextlib.asynccontextmanager
async def opened(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = (1280, 760),
    theme: Literal["dark", "light"] = "dark",
    ratio: float = 1,
    reduced_motion: bool = False,
    zone: str = "Europe/Athens",
    clock: bool = False,
    expected: Sequence[str] = (),
) -> AsyncIterator[Opened]:
    """A fresh page at an address, in a context of its own.

    clock: timers can be made to fall due, see Opened.pass_time.
    expected: answers that are no complaint ("401 .*matrix").
    """
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,
        device_scale_factor=ratio,
        reduced_motion="reduce" if reduced_motion else "no-preference",
        timezone_id=zone,
        locale="en-GB",
    )
    try:
        page = await context.new_page()
        await page.add_init_script(COUNT_QUESTIONS)
        if clock:
            await page.clock.install()
        complaints: list[str] = []
        patterns = [re.compile(one) for one in expected]

        def hear(message: ConsoleMessage) -> None:
            if (complaint := _complaint_of(message, patterns)) is not None:
                complaints.append(complaint)

        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        yield Opened(page, complaints)
    finally:
        await context.close()
