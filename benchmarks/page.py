"""The page in a real browser without a graphics card: drawing, moving, taking answers in, the first picture."""

from __future__ import annotations

import contextlib
import shutil
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

from benchmarks.measure import Result, compare, spread
from benchmarks.synthetic import Shape, cluster
from gateway.app import create_app
from gateway.serving import http_server
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.merge import fold, merge
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Cell, NoUsablePeers, Overview
from keyviz_grpc.query import MatrixQuery

ROWS, COLUMNS = 1024, 1440
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LONG_TASK_MS: Final = 50.0

# Drawing is timed by the page itself; this makes each measure wait until its pixels are there.
FLUSH: Final = """
const plain = performance.measure.bind(performance);
performance.measure = (name, given) => {
    if (name !== 'keyviz-draw') return plain(name, given);
    document.querySelector('#heatmap').getContext('2d').getImageData(0, 0, 1, 1);
    return plain(name, {start: given.start, end: performance.now()});
};
window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: 'longtask', buffered: true});
"""

TAKE = """name => {
    const found = performance.getEntriesByName(name).map((one) => one.duration);
    performance.clearMeasures(name);
    return found;
}"""

FRAMES = "() => performance.getEntriesByName('keyviz-draw').length"
MORE_FRAMES = f"before => ({FRAMES})() > before"

# As many pixels to the canvas as there are cells, and nothing else.
DRAW_FLOOR = """([rows, columns, times]) => {
    const picture = document.querySelector('#heatmap');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [picture.width, picture.height];
    const [context, small] = [canvas.getContext('2d'), new OffscreenCanvas(columns, rows)];
    return Array.from({length: times}, () => {
        const began = performance.now();
        const image = new ImageData(columns, rows);
        new Uint32Array(image.data.buffer).fill(0xff336699);
        small.getContext('2d').putImageData(image, 0, 0);
        context.imageSmoothingEnabled = false;
        context.drawImage(small, 0, 0, canvas.width, canvas.height);
        context.getImageData(0, 0, 1, 1);
        return performance.now() - began;
    });
}"""

FIRST = """() => {
    const [one] = performance.getEntriesByName('keyviz-draw');
    return one.startTime + one.duration;
}"""

PARSE_FLOOR = """async ([path, times]) => {
    const text = await (await fetch(path)).text();
    return Array.from({length: times}, () => {
        const began = performance.now();
        JSON.parse(text);
        return performance.now() - began;
    });
}"""


@dataclass(slots=True)
class _Ready:
    """A cluster whose answer is there before it is asked for, and that has nothing else to tell."""

    answer: Answer
    totals: Answer
    node_id: str = "gateway"

    async def matrix(self, query: MatrixQuery, deadline: Deadline) -> Answer:
        del deadline
        return self.totals if query.rows == 1 else self.answer

    async def cell(self, *, bucket_id: str, column_unix_ms: int, series: Series, deadline: Deadline) -> Cell:
        del bucket_id, column_unix_ms, series, deadline
        raise NoUsablePeers(())

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        del query, deadline
        raise NoUsablePeers(())

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        del deadline, via
        raise NoUsablePeers(())

    async def ready(self, deadline: Deadline) -> bool:
        del deadline
        return True


async def the_page(*, quick: bool) -> list[Result]:
    """Rows of the table; none, with a line that says so, where there is no browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("the page is not measured: there is no chromium")
        return []
    results: list[Result] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            for share in (0.0, 0.02):
                for ratio in (1, 2):
                    results += await _drawing(browser, ratio=ratio, conflict_share=share, quick=quick)
            results += await _ingest(browser, quick=quick)
            results += await _first_picture(browser, quick=quick)
        finally:
            await browser.close()
    return results


@contextlib.asynccontextmanager
async def _served(conflict_share: float = 0.0) -> AsyncIterator[str]:
    parts = cluster(Shape(3, ROWS, COLUMNS, conflict_share=conflict_share, divergent=False))
    now_unix_ms = int(parts[0].matrix.columns[-1])
    answer = merge(parts, query=MatrixQuery(Series.WRITES), now_unix_ms=now_unix_ms)
    totals = fold(answer, 1, shares=False)
    listener = bind("127.0.0.1:0")
    with contextlib.closing(listener):
        async with http_server(create_app(_Ready(answer, totals)), listener, grace_s=1):
            yield f"http://{address_of(listener)}"


@contextlib.asynccontextmanager
async def _opened(browser: Browser, url: str, *, ratio: float = 1) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1600, "height": 1000}, device_scale_factor=ratio)
    try:
        page = await context.new_page()
        await page.add_init_script(FLUSH)
        await page.goto(f"{url}/admin/?paused=1")
        await page.locator("#frame[data-port]:not([data-pending])").wait_for(timeout=30_000)
        yield page
    finally:
        await context.close()


async def _drawing(browser: Browser, *, ratio: float, conflict_share: float, quick: bool) -> list[Result]:
    """Every colour anew, and frames of a zoom and of a drag, as the page times them, pixels included."""
    times = 25 if quick else 60
    marks = f", {conflict_share:.0%} in conflict" if conflict_share else ""
    case = f"page, {ROWS} x {COLUMNS} at {ratio:g}x{marks}"
    async with _served(conflict_share) as url, _opened(browser, url, ratio=ratio) as page:
        await page.evaluate(TAKE, "keyviz-draw")
        slider = page.get_by_test_id("brightness")
        for number in range(times):
            # Another brightness is another table of colours: nothing of the frame before can be used again.
            await slider.evaluate(
                "(one, value) => { one.value = value; one.dispatchEvent(new Event('input', {bubbles: true})); }",
                [-0.5, -0.4, 0.3, 0.4][number % 4],
            )
            await page.locator("#frame:not([data-pending])").wait_for()
        full: list[float] = await page.evaluate(TAKE, "keyviz-draw")
        floor: list[float] = await page.evaluate(DRAW_FLOOR, [ROWS, COLUMNS, times])
        drag = await _moving(page, "drag", times)
        zoom = await _moving(page, "zoom", times)
        near = await _moving(page, "near", times)
    return [
        *compare(f"{case}: full draw", full[-times:], floor, target="<= 16 ms", metric="p50 ms"),
        *compare(f"{case}: zoom frame", zoom, floor, target="<= 8 ms", metric="p50 ms"),
        *compare(f"{case}: zoom frame, cells of some pixels", near, floor, target="<= 8 ms", metric="p50 ms"),
        *compare(f"{case}: pan frame", drag, floor, target="<= 8 ms", metric="p50 ms"),
    ]


async def _moving(page: Page, how: str, times: int) -> list[float]:
    area = await page.get_by_test_id("heatmap").bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    await page.mouse.move(x, y)
    await page.evaluate(TAKE, "keyviz-draw")
    if how == "drag":
        # Something to drag: a little nearer, where single cells are still smaller than pixels.
        # The browser halves a turn of the wheel where a CSS pixel is two.
        await page.mouse.wheel(0, -40 * await page.evaluate("devicePixelRatio"))
        await page.wait_for_timeout(300)
        await page.evaluate(TAKE, "keyviz-draw")
        await page.mouse.down()
    if how == "near":
        await page.mouse.wheel(0, -700)
        await page.wait_for_timeout(300)
        await page.evaluate(TAKE, "keyviz-draw")
    for number in range(times):
        before = await page.evaluate(FRAMES)
        if how == "drag":
            # Never as far as an edge of the picture, where nothing moves and so nothing is drawn.
            await page.mouse.move(x + 3 * (number % 8 + 1), y + 2 * (number % 7))
        else:
            await page.mouse.wheel(0, -12)
        # The browser gathers moves for its next frame: one at a time, or there are fewer frames than moves.
        await page.wait_for_function(MORE_FRAMES, arg=before)
    if how == "drag":
        await page.mouse.up()
    frames: list[float] = await page.evaluate(TAKE, "keyviz-draw")
    return frames


async def _ingest(browser: Browser, *, quick: bool) -> list[Result]:
    """From the text of an answer to arrays, in the worker, and what the page's own thread feels of a refresh."""
    times = 20 if quick else 40
    async with _served() as url, _opened(browser, url) as page:
        await page.evaluate("window.longTasks.length = 0")
        await page.evaluate(TAKE, "keyviz-ingest")
        series = page.get_by_test_id("series")
        for number in range(times):
            asked = "**/keyviz/matrix?series=" + ("reads", "writes")[number % 2] + "*"
            async with page.expect_response(asked):
                await series.select_option(("reads", "writes")[number % 2])
            while len(await page.evaluate("performance.getEntriesByName('keyviz-ingest').map(() => 0)")) <= number:
                await page.wait_for_timeout(5)
            await page.locator("#frame:not([data-pending])").wait_for()
        took: list[float] = await page.evaluate(TAKE, "keyviz-ingest")
        tasks: list[float] = await page.evaluate("window.longTasks")
        path = "/admin/api/v1/keyviz/matrix?identity=0"
        floor: list[float] = await page.evaluate(PARSE_FLOOR, [path, times])
    case = f"page, {ROWS} x {COLUMNS}: parse and ingest"
    longest = max(tasks, default=0.0)
    return [
        *compare(case, took, floor, target="<= 250 ms"),
        Result(
            case, "longest task of the main thread, ms (0: none over 50)", longest, None, None, f"<= {LONG_TASK_MS:g}"
        ),
    ]


async def _first_picture(browser: Browser, *, quick: bool) -> list[Result]:
    """From navigation to pixels, with an empty cache each time."""
    moments: list[float] = []
    async with _served() as url:
        for _ in range(5 if quick else 15):
            async with _opened(browser, url) as page:
                moments.append(await page.evaluate(FIRST))
    case = f"page, {ROWS} x {COLUMNS}: first picture after navigation"
    return [Result(case, "p50 ms", statistics.median(moments), None, None, "<= 1000", spread(moments))]
