"""The keys behind a pinned row, and why there are none."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from gateway.session import EphemeralKey, Role, Sessions
from keyviz_grpc.hotkeys import HotKeysSettings
from keyviz_grpc.sampler import Op
from tests.e2e.page.acting import clipboard, pin
from tests.e2e.page.conftest import ROUTES
from tests.e2e.page_fixtures import STEP_MS, Counted, Opened, counting, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e


async def test_the_keys_behind_a_row_with_share_and_bounds(browser: Browser, cluster_of_three: list[Counted]) -> None:
    """The key that is second on every node is first; writes and reads by the series shown; shares are of the cell."""
    async with (
        page_cluster([node.sampler for node in cluster_of_three]) as cluster,
        opened(browser, cluster.url) as page,
    ):
        await pin(page, 0, 1)
        keys = page.get("hot-keys").get_by_role("listitem")
        await expect(keys).to_have_count(2)
        await expect(keys.nth(0)).to_contain_text("apple")
        await expect(keys.nth(0)).to_contain_text("30 · 75.0%")
        await expect(keys.nth(0).get_by_role("img")).to_have_attribute("aria-label", "30, exact")
        await expect(page.get("detail-hotkeys")).to_contain_text("Newest in it: the window")
        await page.get("series").select_option("reads")
        await pin(page, 0, 1)
        await expect(keys).to_have_count(4)
        await expect(keys.nth(0)).to_contain_text("second")
        await expect(keys.nth(0)).to_contain_text("30 · 45.5%")
        widths = [await key.locator(".whisker-bar").evaluate("bar => bar.style.width") for key in await keys.all()]
        assert widths == ["100%", "40%", "40%", "40%"]


async def test_a_hot_key_is_copied_in_each_of_its_forms(browser: Browser) -> None:
    """Text where it is text, hexadecimal and base64 always; the bytes that were counted come back, and it is said."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=HotKeysSettings())
    keys = {b"user/42": 9, b"\xff\x00a": 5, b"line \xe2\x80\xaetxt": 3}
    with counted.sampler:
        counted.window([(2, key, Op.WRITE, times) for key, times in keys.items()])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            await pin(page, 1, 0)
            items = page.get("hot-keys").get_by_role("listitem")
            await expect(items).to_have_count(3)
            for number, key in enumerate(keys):
                forms = {"hex": key.hex(), "base64": base64.b64encode(key).decode()} | (
                    {"text": key.decode()} if number == 0 else {}
                )
                buttons = items.nth(number).get_by_role("button")
                await expect(buttons).to_have_count(len(forms))
                shown = "user/42" if number == 0 else f"0x{key.hex()}"
                await expect(items.nth(number).locator(".key-text")).to_have_text(shown)
                for form, text in forms.items():
                    button = buttons.and_(page.page.get_by_label(f"Copy key as {form}"))
                    await button.click()
                    await expect(button).to_contain_text("copied")
                    assert await clipboard(page.page) == text
            assert page.complaints == []


async def test_where_there_are_no_keys_a_sentence_says_why(browser: Browser) -> None:
    """Off on the nodes, without an error in the console; several routes in one row; a role that may only look."""
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute())
    with counted.sampler:
        counted.window([(1, b"a", Op.WRITE, 5)])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Hot keys are off on these nodes")
            assert page.complaints == []
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.view(rows=1)) as page:
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Zoom in to one of them")
    sessions = Sessions([EphemeralKey()])
    token, _ = sessions.mint("someone", Role.READ_ONLY)
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=HotKeysSettings())
    with counted.sampler:
        counted.window([(1, b"a", Op.WRITE, 5)])
        async with page_cluster([counted.sampler], sessions=sessions) as cluster, opened(browser, cluster.url) as page:
            cookie: Any = {"name": "admin_session", "value": token, "url": cluster.url}
            await page.page.context.add_cookies([cookie])
            await page.page.reload()
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("Not allowed")


async def test_a_window_without_keys_says_whether_it_had_none_or_they_are_gone(browser: Browser) -> None:
    """A row that never had traffic; a window that is older than the ones whose keys are held."""
    counted = counting("n1", ROUTES, columns=3, end_ms=last_minute(), hot_keys=HotKeysSettings(windows=1))
    with counted.sampler:
        for times in (5, 6, 7):
            counted.window([(1, b"a", Op.WRITE, times)])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 1, 2)
            await expect(page.get("no-keys")).to_contain_text("No keys yet")
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("no longer held")
            await expect(page.get("keys-incomplete")).to_have_count(0)
            assert page.complaints == []
            await pin(page, 0, 2)
            await expect(page.get("hot-keys").get_by_role("listitem")).to_have_count(1)


@pytest.mark.parametrize("one_in", [1, 2])
async def test_an_approximate_count_has_a_whisker_as_wide_as_its_bounds(browser: Browser, one_in: int) -> None:
    """More keys than counters, or a sample: bounds in words, a line from the lower to the upper one, advice below."""
    hot_keys = HotKeysSettings(counters=8, sample_one_in=one_in)
    counted = counting("n1", ROUTES, columns=1, end_ms=last_minute(), hot_keys=hot_keys)
    cold = [(1, b"cold/%03d" % number, Op.WRITE, 1) for number in range(120)]
    with counted.sampler:
        counted.window([(1, b"hot", Op.WRITE, 200), *cold])
        async with page_cluster([counted.sampler]) as cluster, opened(browser, cluster.url) as page:
            await pin(page, 0, 0)
            first = page.get("hot-keys").get_by_role("listitem").first
            await expect(first).to_contain_text("hot")
            said = await first.get_by_role("img").get_attribute("aria-label") or ""
            bounds = re.fullmatch(r"(\d+), between (\d+) and (\d+)", said)
            assert bounds is not None, said
            count, lower, upper = (int(number) for number in bounds.groups())
            assert lower < upper
            assert lower < count if one_in > 1 else lower <= 200 <= upper
            line, whole = (
                await first.locator(".whisker-line").bounding_box(),
                await first.get_by_role("img").bounding_box(),
            )
            assert line is not None
            assert whole is not None
            assert abs(line["width"] - whole["width"] * (upper - lower) / upper) <= 1
            assert abs(line["x"] - whole["x"] - whole["width"] * lower / upper) <= 1
            assert abs(line["x"] + line["width"] - whole["x"] - whole["width"]) <= 1
            assert lower <= count <= upper
            await expect(page.get("detail-hotkeys")).to_contain_text("A key that is not listed may have up to")


async def test_a_column_has_the_keys_of_all_shorter_windows_in_it(browser: Browser) -> None:
    """One node counts in windows of a minute, the other in thirds of one: the sum is the cell's, as are the shares."""
    end = last_minute()
    coarse = counting("n1", ROUTES, columns=2, end_ms=end, hot_keys=HotKeysSettings())
    fine = counting("n2", ROUTES, columns=6, end_ms=end, hot_keys=HotKeysSettings(), step_ms=STEP_MS // 3)
    with coarse.sampler, fine.sampler:
        for times in (4, 5):
            coarse.window([(1, b"a", Op.READ, times)])
        for times in (1, 2, 3, 10, 20, 30):
            fine.window([(1, b"a", Op.READ, times), (1, b"b", Op.READ, 5)])
        async with (
            page_cluster([coarse.sampler, fine.sampler]) as cluster,
            opened(browser, cluster.view(series="reads")) as page,
        ):
            keys = page.get("hot-keys").get_by_role("listitem")
            for column, told in enumerate((["b 15 · 60.0%", "a 10 · 40.0%"], ["a 65 · 81.3%", "b 15 · 18.8%"])):
                await pin(page, 0, column)
                for number, words in enumerate(told):
                    key, share = words.split(" ", 1)
                    await expect(keys.nth(number).locator(".key-text")).to_have_text(key)
                    await expect(keys.nth(number)).to_contain_text(share)
                await expect(page.get("keys-incomplete")).to_have_count(0)
            assert page.complaints == []


def asked_of(page: Opened) -> list[str]:
    """Every question for hot keys from now on; the list grows."""
    asked: list[str] = []
    page.page.on("request", lambda one: asked.append(one.url) if "/keyviz/hotkeys?" in one.url else None)
    return asked


async def picture_refreshed(page: Opened) -> None:
    """Lets time pass until the next answer about the picture is drawn."""
    wanted = await page.questions() + 2
    async with asyncio.timeout(10):
        while await page.questions() < wanted:
            await page.pass_time(1000)
    await page.drawn()


async def test_the_newest_window_is_asked_for_again_until_it_has_settled(browser: Browser) -> None:
    """A node that closes it later comes in with the picture's next refresh; one that has settled does not change."""
    end = last_minute()
    first, late = (counting(f"n{n}", ROUTES, columns=4, end_ms=end, hot_keys=HotKeysSettings()) for n in (1, 2))
    with first.sampler, late.sampler:
        for number in range(4):
            first.window([(1, b"a", Op.READ, 5)])
            late.count([(1, b"a", Op.READ, 3)])
            if number < 3:
                late.close()
        async with (
            page_cluster([first.sampler, late.sampler]) as cluster,
            opened(browser, cluster.view(series="reads"), clock=True) as page,
        ):
            asked = asked_of(page)
            await pin(page, 0, 3)
            key = page.get("hot-keys").get_by_role("listitem")
            await expect(key).to_contain_text("5")
            await expect(page.get("keys-incomplete")).to_have_text(
                "Not complete: n2: it has not closed the newest window of the answer yet."
            )
            await expect(page.get("detail-hotkeys")).to_contain_text("No shares: ")
            late.close()
            await picture_refreshed(page)
            await expect(key).to_contain_text("8 · 100%")
            await expect(page.get("keys-incomplete")).to_have_count(0)
            await pin(page, 0, 0)
            await expect(key).to_contain_text("8 · 100%")
            await picture_refreshed(page)
            settled = len(asked)
            await picture_refreshed(page)
            assert len(asked) == settled
            await pin(page, 0, 3)
            await expect(key).to_contain_text("8 · 100%")
            await page.page.get_by_label("Close details").click()
            closed = len(asked)
            assert closed > settled
            await picture_refreshed(page)
            assert len(asked) == closed
            assert page.complaints == []


async def test_who_is_missing_and_what_was_skipped_are_both_said_and_then_no_key_has_a_share(browser: Browser) -> None:
    """Although the keys of those that answered are shown; whoever looks sees why there are no shares."""
    end = last_minute()
    nodes = [
        counting(f"n{n}", ROUTES, columns=2, end_ms=end, hot_keys=HotKeysSettings(max_key_bytes=8)) for n in (1, 2)
    ]
    with nodes[0].sampler, nodes[1].sampler:
        for node in nodes:
            node.window([])
            node.window([(1, b"apple", Op.READ, 6), (1, b"far too long", Op.READ, 2)])
        async with (
            page_cluster([node.sampler for node in nodes]) as cluster,
            opened(browser, cluster.view(series="reads")) as page,
        ):
            await pin(page, 0, 1)
            panel, key = page.get("detail-hotkeys"), page.get("hot-keys").get_by_role("listitem")
            await expect(key).to_contain_text("12 · 75.0%")
            await expect(page.get("keys-incomplete")).to_have_text("Not complete.")
            await cluster.servers[1].drain(0.1)
            await page.page.reload()
            await pin(page, 0, 1)
            await expect(key).to_contain_text("6")
            await expect(key).not_to_contain_text("%")
            await expect(page.get("keys-incomplete")).to_contain_text("Not complete: n2 cannot be reached.")
            await expect(panel).to_contain_text("Left out for keys longer than the limit: 2 sampled operations.")
            await expect(panel).to_contain_text("No shares: the cell was counted without n2.")
            assert page.complaints == []


async def test_that_there_are_no_keys_is_not_all_that_is_said_while_a_node_is_missing(browser: Browser) -> None:
    """It may be the one that has them."""
    end = last_minute()
    nodes = [counting(f"n{n}", ROUTES, columns=1, end_ms=end, hot_keys=HotKeysSettings()) for n in (1, 2)]
    with nodes[0].sampler, nodes[1].sampler:
        nodes[0].window([])
        nodes[1].window([(1, b"apple", Op.READ, 6)])
        async with (
            page_cluster([node.sampler for node in nodes]) as cluster,
            opened(browser, cluster.view(series="reads")) as page,
        ):
            await pin(page, 0, 0)
            await expect(page.get("hot-keys")).to_contain_text("6 · 100%")
            await cluster.servers[1].drain(0.1)
            await page.page.reload()
            await pin(page, 0, 0)
            await expect(page.get("no-keys")).to_contain_text("No keys yet")
            await expect(page.get("keys-incomplete")).to_have_text("Not complete: n2 cannot be reached.")


async def test_the_keys_in_one_nodes_own_view_lack_nobody(browser: Browser) -> None:
    """Neither nodes that hold the window too nor one that is stopped: shares are of what this node counted."""
    end = last_minute()
    nodes = [counting(f"n{n}", ROUTES, columns=2, end_ms=end, hot_keys=HotKeysSettings()) for n in (1, 2, 3)]
    with nodes[0].sampler, nodes[1].sampler, nodes[2].sampler:
        for node in nodes:
            node.window([])
            node.window([(1, b"apple", Op.READ, 6), (1, b"pear", Op.READ, 2)])
        async with page_cluster([node.sampler for node in nodes]) as cluster:
            await cluster.servers[2].drain(0.1)
            async with opened(browser, cluster.view(series="reads", node="n1")) as page:
                await pin(page, 0, 1)
                await expect(page.get("hot-keys").get_by_role("listitem").first).to_contain_text("6 · 75.0%")
                await expect(page.get("keys-incomplete")).to_have_count(0)
                await expect(page.get("detail")).not_to_contain_text("nodes hold this window")


async def test_shares_of_all_that_is_held_are_told_where_every_operation_was_looked_at(browser: Browser) -> None:
    """And of a sample they are not, for nodes may sample at different rates; of one window they are the cell's."""
    end = last_minute()
    for one_in, told in ((1, "20 · 50.0%"), (2, None)):
        hot = HotKeysSettings(sample_one_in=one_in)
        counted = counting("n1", ROUTES, columns=2, end_ms=end, hot_keys=hot)
        with counted.sampler:
            for _ in range(2):
                counted.window([(1, b"apple", Op.READ, 10), (1, b"pear", Op.READ, 10)])
            async with (
                page_cluster([counted.sampler]) as cluster,
                opened(browser, cluster.view(series="reads")) as page,
            ):
                await pin(page, 0, 1)
                panel, keys = page.get("detail-hotkeys"), page.get("hot-keys").get_by_role("listitem")
                await expect(keys.first).to_contain_text("%")
                await panel.get_by_role("combobox").select_option("latest")
                if told is None:
                    await expect(panel).to_contain_text("No shares: not every operation was looked at")
                    await expect(keys.first).not_to_contain_text("%")
                else:
                    await expect(keys.first).to_contain_text(told)
