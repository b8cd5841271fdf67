"""How far the page says it can be believed: who is missing and what that means, warnings, age, and why it is empty."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import pytest
from playwright.async_api import Browser, expect

from keyviz_grpc.model import Row
from keyviz_grpc.sampler import Op, Route
from tests.e2e.page_fixtures import STEP_MS, ScriptedNode, Told, counting, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

SOON_MS = 20_000
ROUND_MS = 15_000
"""After which the page asks again where windows are a minute long."""


def node(name: str, counts: Sequence[int] = (5, 5, 5), *, end_ms: int | None = None, **own: object) -> ScriptedNode:
    """A node with two routes; it leads the first one where its name is n1, the second one elsewhere."""
    end = last_minute() if end_ms is None else end_ms
    stamps = [end - STEP_MS * at for at in reversed(range(len(counts)))]
    rows = [Row("route:1", b"a", b"m"), Row("route:2", b"m", b"")]
    number = 0 if name == "n1" else 1
    told = [Told(rows[number], counts, (number + 1, 7)), Told(rows[1 - number], [0] * len(counts))]
    return ScriptedNode(name, stamps, told, **own)  # type: ignore[arg-type]


async def test_a_missing_node_is_named_with_what_it_means_for_writes_and_for_reads(browser: Browser) -> None:
    """2/2 without a banner; after the end of a node 1/2, its name, and sentences that differ by series."""
    async with page_cluster([node("n1"), node("n2")]) as cluster, opened(browser, cluster.url, clock=True) as page:
        await expect(page.get("counter")).to_have_text("2/2 nodes")
        await expect(page.get("banner")).to_be_hidden()
        await page.drawn()
        await cluster.servers[1].drain(0)
        await page.pass_time(ROUND_MS)
        await expect(page.get("counter")).to_have_text("1/2 nodes", timeout=SOON_MS)
        banner = page.get("banner")
        await expect(banner).to_contain_text("1 of 2 nodes missing")
        [line, _] = await banner.get_by_role("listitem").all_inner_texts()
        assert line == f"n2 at {cluster.servers[1].address} cannot be reached."
        await expect(banner).to_contain_text("ranges that it led show too little or nothing, the others are complete")
        await page.get("series").select_option("reads")
        await expect(banner).to_contain_text("every cell may be too low")
        await expect(banner).not_to_contain_text("the others are complete")
        await banner.get_by_role("button", name="All nodes").click()
        await expect(page.get("nodes").locator("tr[data-node=n2] .raw")).not_to_be_empty()


async def test_the_counter_opens_the_list_of_nodes(browser: Browser) -> None:
    """State, error and latency of each; Escape closes it and the focus is back where it was."""
    async with page_cluster([node("n1"), node("n2"), None]) as cluster, opened(browser, cluster.url) as page:
        await expect(page.get("counter")).to_have_text("2/3 nodes")
        await page.get("counter").click()
        listed = page.get("nodes")
        await expect(listed.locator("tr[data-node=n1]")).to_contain_text("ok")
        await expect(listed.locator("tr[data-node=n1]")).to_contain_text(" ms")
        off = listed.locator("tr[data-state=missing]")
        await expect(off).to_contain_text("has its sampler off")
        await expect(off).to_contain_text(cluster.servers[2].address)
        await page.page.keyboard.press("Escape")
        await expect(listed).to_have_count(0)
        await expect(page.get("counter")).to_be_focused()


async def test_each_warning_has_a_notice_with_an_advice(browser: Browser) -> None:
    """A skewed clock, a short history and diverging ranges, each with the node that has it; one can be put away."""
    skewed = node("n1", generated_at=lambda: time.time() - 600)
    other = node("n2", oldest_unix_ms=last_minute() - STEP_MS * 2)
    other.rows[0] = Told(Row("route:2", b"n", b""), (5, 5, 5), (2, 7))
    async with (
        page_cluster([skewed, other]) as cluster,
        opened(browser, cluster.view(range="1h")) as page,
    ):
        told = page.get("notices")
        for code, title, who in (
            ("clock_skew", "A clock is off", "n1"),
            ("short_history", "History is shorter than the range", "n2"),
            ("catalog_divergence", "Nodes disagree about ranges", "n2"),
        ):
            notice = told.locator(f"details[data-code={code}]")
            await expect(notice).to_contain_text(title)
            await expect(notice.locator("summary")).to_contain_text(who)
        skew = told.locator("details[data-code=clock_skew]")
        await expect(skew.get_by_text("NTP")).to_be_hidden()
        await skew.locator("summary").click()
        await expect(skew.get_by_text("NTP")).to_be_visible()
        await skew.get_by_role("button", name="Put away").click()
        await expect(skew).to_have_count(0)
        await expect(told.locator("details")).to_have_count(2)


async def test_a_node_that_is_listed_twice_is_said_to_be_counted_once(browser: Browser) -> None:
    """The same life at two addresses is a duplicate; another life under its id is a misconfiguration."""
    one = node("n1")
    async with page_cluster([one, one]) as cluster, opened(browser, cluster.url) as page:
        await expect(page.get("notices")).to_contain_text("A node is listed twice")
        await page.get("counter").click()
        await expect(page.get("nodes").locator("tr[data-state='left out']")).to_have_count(1)


async def test_two_nodes_of_one_id_are_told_from_one_that_is_listed_twice(browser: Browser) -> None:
    """Two lives under one id are both counted, and the notice says that their names cannot be told apart."""
    end = last_minute()
    with contextlib.ExitStack() as stack:
        only = [Route(1, b"a", b"", raft_group_id=4)]
        twins = [counting("n1", only, columns=1, end_ms=end, incarnation=end - life) for life in (1, 2)]
        for twin in twins:
            stack.enter_context(twin.sampler)
            twin.window([(1, b"a", Op.READ, 5)])
        async with (
            page_cluster([twin.sampler for twin in twins]) as cluster,
            opened(browser, cluster.view(series="reads", unit="count")) as page,
        ):
            notice = page.get("notices").locator("details[data-code=duplicate_node_id]")
            await expect(notice).to_contain_text("Two nodes use one id")
            await expect(page.get("notices").locator("details[data-code=duplicate_node]")).to_have_count(0)
            await page.page.mouse.move(*await page.point_at(0, 0))
            await expect(page.get("tooltip")).to_contain_text("10")


async def test_an_older_node_that_cut_its_rows_is_named(browser: Browser) -> None:
    """A node without an id that sends as many rows as older nodes can: colder ranges may be missing."""
    told = [Told(Row(f"route:{n}", b"%05d" % n, b"%05d" % (n + 1)), [5]) for n in range(1024)]
    older = ScriptedNode("", [last_minute()], told)
    async with page_cluster([older]) as cluster, opened(browser, cluster.url) as page:
        notice = page.get("notices").locator("details[data-code=row_budget_on_peer]")
        await expect(notice).to_contain_text("An older node cut its rows")
        await expect(notice.locator("summary")).to_contain_text(cluster.servers[0].address)
        await notice.locator("summary").click()
        await expect(notice).to_contain_text("Upgrade it to see all")


@pytest.mark.parametrize("reduced", [True, False])
async def test_nothing_moves_by_itself_for_those_who_asked_for_that(browser: Browser, *, reduced: bool) -> None:
    """Whatever is told to glide or to blink does not, and does where nobody minds."""
    async with (
        page_cluster([node("n1")]) as cluster,
        opened(browser, cluster.url, reduced_motion=reduced) as page,
    ):
        await page.drawn()
        moving = await page.page.evaluate(
            """() => {
                const mark = document.createElement('span');
                mark.style.cssText = 'animation: 9s pulse infinite; transition: opacity 9s';
                document.body.append(mark);
                const { animationName, transitionDuration } = getComputedStyle(mark);
                return animationName !== 'none' || parseFloat(transitionDuration) > 0;
            }"""
        )
        assert moving is not reduced
        assert await page.page.evaluate("document.getAnimations().length") == 0


async def test_when_refreshing_fails_the_last_picture_stays_and_says_since_when(browser: Browser) -> None:
    """Pixels stay what they were, the age turns into `stale since`; when it works again the page is fresh again."""
    one = node("n1")
    async with page_cluster([one]) as cluster, opened(browser, cluster.url, clock=True) as page:
        await expect(page.get("age")).to_contain_text("old")
        hot = await page.colours(0, 1)
        one.off = True
        await page.pass_time(ROUND_MS)
        await expect(page.get("age")).to_contain_text("stale since", timeout=SOON_MS)
        assert await page.colours(0, 1) == hot
        await expect(page.get("empty")).to_have_count(0)
        one.off = False
        await page.pass_time(ROUND_MS)
        await expect(page.get("age")).not_to_contain_text("stale", timeout=SOON_MS)


async def test_a_gateway_that_does_not_answer_leaves_the_picture(browser: Browser) -> None:
    """No answer at all, as when a network is gone: the picture stays and says since when; back again, it is fresh."""
    async with page_cluster([node("n1")]) as cluster, opened(browser, cluster.url, clock=True) as page:
        await expect(page.get("age")).to_contain_text("old")
        hot = await page.colours(0, 1)
        await page.page.context.set_offline(offline=True)
        await page.pass_time(ROUND_MS)
        await expect(page.get("age")).to_contain_text("stale since", timeout=SOON_MS)
        assert await page.colours(0, 1) == hot
        await page.page.context.set_offline(offline=False)
        await page.pass_time(ROUND_MS)
        await expect(page.get("age")).not_to_contain_text("stale", timeout=SOON_MS)


@pytest.mark.parametrize(
    ("case", "view", "code"),
    [
        ("no window", {}, "no_traffic"),
        ("no window", {"range": "5m"}, "nothing_in_range"),
        ("no window", {"node": "n1"}, "no_traffic"),
        ("zeros", {}, "idle"),
        ("off", {}, "keyviz_disabled"),
        ("no such node", {"node": "n9"}, "invalid_query"),
    ],
)
async def test_an_empty_picture_says_why(browser: Browser, case: str, view: dict[str, str], code: str) -> None:
    """No traffic yet, nothing in the range, only zeros, sampler off, no such node: each with what to do."""
    counts = {"no window": (), "zeros": (0, 0, 0)}.get(case, (5, 5, 5))
    sources = [None] if case == "off" else [node("n1", counts)]
    async with page_cluster(sources) as cluster, opened(browser, cluster.view(**view)) as page:
        empty = page.get("empty")
        await expect(empty).to_have_attribute("data-code", code)
        await expect(empty.locator("p")).not_to_be_empty()


async def test_nobody_to_be_reached_says_why_for_each_node(browser: Browser) -> None:
    """A gateway whose only node is gone."""
    async with page_cluster([node("n1")]) as cluster:
        await cluster.servers[0].drain(0)
        async with opened(browser, cluster.url) as page:
            empty = page.get("empty")
            await expect(empty).to_have_attribute("data-code", "no_peers", timeout=SOON_MS)
            await expect(empty).to_contain_text("cannot be reached")


async def test_one_nodes_own_view_is_told_from_the_merged_one(browser: Browser) -> None:
    """Only its own counts are drawn, a note says whose they are, and one click leads back."""
    async with page_cluster([node("n1"), node("n2")]) as cluster, opened(browser, cluster.url) as page:
        merged = [await page.colours(row, 1) for row in (0, 1)]
        assert merged[0] == merged[1]
        await page.get("scope").select_option("n2")
        await expect(page.get("scope-note")).to_contain_text("Only what n2 counted itself")
        assert page.parameters()["node"] == "n2"
        await expect(page.page.locator("#frame[data-port]:not([data-pending])")).to_have_count(1)
        assert await page.colours(1, 1) == merged[1]
        assert await page.colours(0, 1) != merged[0]
        await page.get("scope-note").get_by_role("button").click()
        await expect(page.get("scope-note")).to_have_count(0)
        assert "node" not in page.parameters()


async def test_the_strip_shows_each_nodes_share_over_time(browser: Browser) -> None:
    """A column that one node carries alone is all of its colour, an even one half of each; words name the busy one."""
    sources = [node("n1", (90, 90, 5)), node("n2", (0, 0, 5))]
    async with page_cluster(sources) as cluster, opened(browser, cluster.url) as page:
        strip = page.get("strip")
        await expect(page.get("imbalance")).to_contain_text("n1 carries 97 %, an even part would be 50 %")
        columns: list[list[list[int]]] = await strip.evaluate(
            """canvas => [0.17, 0.5, 0.83].map((part) => [0.25, 0.75].map((down) => [...canvas.getContext('2d')
                .getImageData(Math.floor(part * canvas.width), Math.floor(down * canvas.height), 1, 1).data]))"""
        )
        n1, n2 = [0x4E, 0x79, 0xC4, 255], [0xF2, 0xB1, 0x34, 255]
        assert columns == [[n1, n1], [n1, n1], [n2, n1]]
        plot, bars = await page.get("heatmap").bounding_box(), await strip.bounding_box()
        assert plot is not None
        assert bars is not None
        assert (bars["x"], bars["width"]) == (plot["x"], plot["width"])
