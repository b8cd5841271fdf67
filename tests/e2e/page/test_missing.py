"""What the page says while a node does not answer: of that node, of a pinned cell, of how traffic spreads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from tests.e2e.page.acting import pin
from tests.e2e.page_fixtures import STEP_MS, PageCluster, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

SOON_MS = 20_000


def node(number: int) -> ScriptedNode:
    """Two windows; node n<number> led route:<number> alone, and every node served reads of all."""
    stamps = [last_minute() - STEP_MS, last_minute()]
    rows = [Row(f"route:{n}", b"%d" % n, b"%d" % (n + 1)) for n in (1, 2, 3)]
    told = [Told(row, [40, 50], (n, 7)) if n == number else Told(row, [0, 0]) for n, row in enumerate(rows, 1)]
    return ScriptedNode(f"n{number}", stamps, told)


@pytest_asyncio.fixture(loop_scope="session")
async def cluster() -> AsyncIterator[PageCluster]:
    """Three nodes that answer, for now."""
    async with page_cluster([node(1), node(2), node(3)]) as running:
        yield running


async def test_a_node_that_is_down_keeps_its_name_and_is_not_said_to_be_empty(
    browser: Browser, cluster: PageCluster
) -> None:
    """Once named by an answer it is n3 after a reload too: in the banner, the list, and as the node that is asked for.

    A name that nobody has, whose node may be the one that is down, is told from it.
    """
    async with opened(browser, cluster.url) as page:
        await expect(page.get("counter")).to_have_text("3/3 nodes")
        await cluster.servers[2].drain(0)
        await page.page.goto(cluster.view(node="n3"))
        empty, address = page.get("empty"), cluster.servers[2].address
        await expect(empty.locator("strong")).to_have_text("Node n3 cannot be reached", timeout=SOON_MS)
        await expect(empty).to_contain_text("unknown, not zero")
        await expect(empty).to_contain_text(f"{address}: ")
        await expect(page.get("banner").get_by_role("listitem")).to_have_text([f"n3 at {address} cannot be reached."])
        await page.get("counter").click()
        await expect(page.get("nodes").locator("tr[data-node=n3] th")).to_have_text("n3")
        await page.page.goto(cluster.view(node="nope", range="15m"))
        await expect(empty.locator("strong")).to_have_text("No node that answers is called nope")
        await expect(empty).to_contain_text(f"n3 at {address} cannot be reached.")


async def test_a_cell_whose_leader_is_down_is_unknown_and_who_is_missing_is_listed(
    browser: Browser, cluster: PageCluster
) -> None:
    """The number says that it is without n3, the table has a line for it, and nothing is called evenly spread."""
    async with opened(browser, cluster.url) as page:
        await expect(page.get("imbalance")).to_have_text("Evenly spread: the busiest, n1, carries 33 %.")
        await pin(page, 2, 1)
        await expect(page.get("detail-numbers")).to_contain_text("50 writes")
        await expect(page.get("without")).to_have_count(0)
        await page.page.wait_for_url(re.compile("cell="))
        await cluster.servers[2].drain(0)
        await page.page.reload()
        await expect(page.get("without")).to_have_text(
            "Counted without n3 (cannot be reached): writes that it took as leader are unknown, not zero.",
            timeout=SOON_MS,
        )
        await expect(page.get("detail-numbers")).to_contain_text("0% of all writes counted in this window")
        line = page.get("detail-contributions").locator("tr[data-missing=n3]")
        await expect(line).to_contain_text("unknown")
        await expect(line).to_contain_text("no answer: cannot be reached")
        await expect(page.get("detail-contributions").locator("tbody tr")).to_have_count(3)
        await expect(page.get("imbalance")).to_have_text(
            "Of the nodes that answered, n1 carries most: 50 %. Without n3: how all of it spreads is not known."
        )
        await expect(page.get("shares").locator("li[data-missing=n3]")).to_have_text("n3 cannot be reached")
        await page.get("series").select_option("reads")
        await expect(page.get("without")).to_contain_text("reads that it served are unknown, not zero")
        await page.page.mouse.move(*await page.point_at(2, 0))
        await expect(page.get("tooltip")).to_contain_text("without 1 node that did not answer: unknown, not zero")
