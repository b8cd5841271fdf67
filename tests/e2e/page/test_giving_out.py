"""What the page gives out: files, a picture, a link, a table."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row, Series
from tests.e2e.page.acting import clipboard, pin
from tests.e2e.page_fixtures import STEP_MS, Opened, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


async def test_numbers_of_what_is_shown_as_files(browser: Browser, tmp_path: Path) -> None:
    """CSV and JSON hold exactly the cells in view; unknown is empty and null, zero is 0."""
    end = last_minute()
    stamps = [end - STEP_MS * at for at in (3, 2, 0)]
    told = [Told(Row("route:1", b"a", b"m"), [1, 2, 3]), Told(Row("route:2", b"m", b""), [0, 5, 0])]
    async with page_cluster([ScriptedNode("n1", stamps, told)]) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        saved = await saved_as(page, "Numbers (CSV)", tmp_path)
        assert saved.name.startswith("keyviz-writes-")
        lines = list(csv.DictReader(io.StringIO(saved.read_text(encoding="utf-8"))))
        values = [list(line.values())[7:] for line in lines]
        assert [line["bucket_id"] for line in lines] == ["route:1", "route:2"]
        assert [line["start_hex"] for line in lines] == ["0x61", "0x6d"]
        assert values == [["1", "2", "", "3"], ["0", "5", "", "0"]]
        body = json.loads((await saved_as(page, "Numbers (JSON)", tmp_path)).read_bytes())
        assert [row["values"] for row in body["rows"]] == [[1, 2, None, 3], [0, 5, None, 0]]
        assert body["column_unix_ms"] == [end - STEP_MS * at for at in (3, 2, 1, 0)]
        assert body["series"] == Series.WRITES.value


async def saved_as(page: Opened, item: str, folder: Path) -> Path:
    """Chooses an item of the menu and waits for the file."""
    await page.get("out").locator("summary").click()
    async with page.page.expect_download() as download:
        await page.get("out").get_by_role("button", name=item).click()
    file = await download.value
    path = folder / file.suggested_filename
    await file.save_as(path)
    return path


@pytest.mark.parametrize("ratio", [1, 2])
async def test_the_picture_as_a_file_has_cells_legend_and_caption(
    browser: Browser, tmp_path: Path, ratio: float
) -> None:
    """At the screen's own sharpness: the hot cell's colour, the ramp of the legend, words above and axes beside."""
    told = [Told(Row("route:1", b"a", b"m"), [1000]), Told(Row("route:2", b"m", b""), [0])]
    async with (
        page_cluster([ScriptedNode("n1", [last_minute()], told)]) as cluster,
        opened(browser, cluster.url, ratio=ratio) as page,
    ):
        await page.drawn()
        content = (await saved_as(page, "Picture (PNG)", tmp_path)).read_bytes()
        frame = await page.page.locator("#frame").bounding_box()
        assert frame is not None
        seen = await page.page.evaluate(COLOURS_OF, base64.b64encode(content).decode())
        assert seen["width"] == round((frame["width"] + 32) * ratio)
        hot, cold, ground = (252, 255, 164), (10, 7, 34), (16, 18, 24)
        assert {tuple(colour) for colour in seen["plot"]} >= {hot, cold}
        assert len(seen["ramp"]) > 100
        assert tuple(seen["ramp"][0]) == cold
        assert seen["inkAbove"] > 500 * ratio
        assert seen["inkBeside"] > 4 * ratio, "keys of the axis"
        assert max(abs(one - other) for one, other in zip(seen["corner"], ground, strict=True)) <= 2


COLOURS_OF = """async (encoded) => {
    const blob = new Blob([Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0))], { type: 'image/png' });
    const image = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(x, y, 1, 1).data.slice(0, 3)];
    const ratio = devicePixelRatio;
    const [middle, height] = [Math.round(image.width / 2), image.height];
    const column = (x) => [...Array(height).keys()].map((y) => at(x, y));
    const rampLine = height - Math.round(27 * ratio);
    const ramp = [...Array(Math.round(256 * ratio)).keys()].map((x) => at(Math.round(16 * ratio) + x, rampLine));
    const head = context.getImageData(0, 0, image.width, Math.round(60 * ratio)).data;
    let inkAbove = 0;
    for (let i = 0; i < head.length; i += 4) if (head[i] > 120) inkAbove += 1;
    const left = context.getImageData(0, height >> 2, Math.round(170 * ratio), height >> 1).data;
    const inkBeside = left.filter((value, at) => at % 4 === 0 && value > 80).length;
    return { width: image.width, plot: column(middle), ramp: [...new Map(ramp.map((c) => [c.join(), c])).values()],
             inkAbove, inkBeside, corner: at(0, 0) };
}"""


async def test_the_link_button_copies_the_view(browser: Browser) -> None:
    """What is copied opens the same view elsewhere."""
    node = ScriptedNode("n1", [last_minute()], [Told(Row("route:1", b"a", b""), [5])])
    async with page_cluster([node]) as cluster, opened(browser, cluster.view(series="reads", scale="linear")) as page:
        await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await pin(page, 0, 0)
        await page.get("out").locator("summary").click()
        await page.get("out").get_by_role("button", name="Copy link").click()
        await expect(page.get("out-said")).to_have_text("Link copied")
        link = await clipboard(page.page)
        await expect(page.page).to_have_url(link)
        async with opened(browser, link) as other:
            await expect(other.get("detail")).to_be_visible()
            await expect(other.get("series")).to_have_value("reads")


async def test_the_table_of_the_hottest_ranges(browser: Browser) -> None:
    """In words and numbers what the picture shows; a row of it pins the hottest window of that range."""
    end = last_minute()
    told = [Told(Row("route:1", b"a", b"m"), [60, 60]), Told(Row("route:2", b"m", b""), [120, 600])]
    node = ScriptedNode("n1", [end - STEP_MS, end], told)
    async with page_cluster([node]) as cluster, opened(browser, cluster.view(utc=1)) as page:
        await page.get("hottest").locator("summary").click()
        lines = page.get("hottest").locator("tbody tr")
        await expect(lines).to_have_count(2)
        assert (await lines.nth(0).locator("th,td").all_inner_texts())[:5] == [
            *("route:2", "m … (last key)", "85.7%", "6", "10"),
        ]
        await expect(page.page.locator("#heatmap-summary")).to_contain_text(
            "Hottest: route:2, m … (last key), with 85.7%"
        )
        await lines.nth(0).get_by_role("button").click()
        await expect(page.get("detail-numbers")).to_contain_text("600 writes")
