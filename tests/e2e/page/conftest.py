"""One browser for all tests of the page, a context of its own for each; and the pages that several of them look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.sampler import Op, Route
from tests.conftest import healthy_loop
from tests.e2e.page.acting import an_hour
from tests.e2e.page_fixtures import (
    Counted,
    Opened,
    PageCluster,
    ScriptedNode,
    a_browser,
    counting,
    last_minute,
    opened,
    page_cluster,
)

ENDING_S = 2.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives on one loop, so all tests that use it run there."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A real chromium; `opened` gives every test a context that nobody else sees."""
    async with a_browser(chromium) as started:
        yield started


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _healthy_loop(browser: Browser) -> AsyncIterator[None]:
    """Watches the loop that all tests of the page share; what belongs to the browser is there before it looks."""
    async with healthy_loop(grace_s=ENDING_S):
        yield


@pytest.fixture
def scripted() -> ScriptedNode:
    """The one node of the cluster."""
    return an_hour()


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(scripted: ScriptedNode) -> AsyncIterator[PageCluster]:
    """A gateway over the node."""
    async with page_cluster([scripted]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(cluster: PageCluster, browser: Browser) -> AsyncIterator[Opened]:
    """The page, drawn, its clock in the test's hand; it must end without complaints."""
    async with opened(browser, cluster.url, clock=True) as page:
        await page.drawn()
        yield page
        assert page.complaints == []


ROUTES = [Route(1, b"a", b"m", raft_group_id=4), Route(2, b"m", b"", raft_group_id=5)]


@pytest.fixture
def cluster_of_three() -> Iterator[list[Counted]]:
    """Three nodes, three windows: n1 leads group 4 under term 7, n2 from the second window on under term 8.

    Every node serves reads of `apple`; `second` is second everywhere and first in the cluster.
    """
    end = last_minute()
    with ExitStack() as stack:
        nodes = [
            counting(f"n{number}", ROUTES, columns=3, end_ms=end, hot_keys=HotKeysSettings()) for number in (1, 2, 3)
        ]
        for node in nodes:
            stack.enter_context(node.sampler)
        for window in range(3):
            for number, node in enumerate(nodes):
                leads = number == (0 if window == 0 else 1)
                if leads:
                    node.sampler.set_leader(4, 7 if window == 0 else 8)
                writes = [(1, b"apple", Op.WRITE, 30), (1, b"banana", Op.WRITE, 10)] if leads else []
                own = b"own/%d" % number
                node.window([*writes, (1, own, Op.READ, 12), (1, b"second", Op.READ, 10)])
        yield nodes
