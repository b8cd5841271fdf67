"""Signing in and out of the page, against the real gate with a real users file."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from gateway.session import EphemeralKey, Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from keyviz_grpc.model import Row
from tests.e2e.page_fixtures import STEP_MS, Opened, ScriptedNode, Told, last_minute, opened, page_cluster

pytestmark = pytest.mark.e2e

SOON_MS = 20_000
ROUND_MS = 15_000
"""After which the page asks again where windows are a minute long."""


@dataclass(slots=True)
class Guarded:
    """What makes a gateway ask for keys. offset_s: how far its clock is ahead, to let sessions end."""

    users: Users
    offset_s: float = 0
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions([EphemeralKey()], clock=lambda: time.time() + self.offset_s)

    def of_app(self, **settings: Any) -> dict[str, Any]:
        """For create_app."""
        return {"sessions": self.sessions, "users": self.users, "settings": GatewaySettings(**settings)}


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """`ann` may do everything, `bob` has no role."""
    people = [
        {"access_key": "ann", "secret_key": "right horse", "role": "full"},
        {"access_key": "bob", "secret_key": "known but idle"},
    ]
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"users": people}), encoding="utf-8")
    return Guarded(Users(file))


def node() -> ScriptedNode:
    """Two rows, two windows."""
    stamps = [last_minute() - STEP_MS, last_minute()]
    told = [Told(Row("route:1", b"a", b"m"), [5, 50]), Told(Row("route:2", b"m", b""), [9, 9])]
    return ScriptedNode("n1", stamps, told)


async def sign_in(page: Opened, access_key: str, secret_key: str) -> None:
    """Fills the form and sends it."""
    form = page.get("sign-in")
    await form.get_by_label("Access key").fill(access_key)
    await form.get_by_label("Secret key").fill(secret_key)
    await form.get_by_role("button", name="Sign in").click()


async def test_right_keys_lead_to_the_picture(browser: Browser, guarded: Guarded) -> None:
    """The form has the focus at once; nothing is asked while it waits; afterwards the picture is there."""
    one = node()
    async with page_cluster([one], **guarded.of_app()) as cluster, opened(browser, cluster.url) as page:
        await expect(page.get("sign-in").get_by_label("Access key")).to_be_focused()
        assert one.asked == []
        await sign_in(page, "ann", "right horse")
        await expect(page.get("sign-in")).to_have_count(0)
        await page.drawn()
        await expect(page.get("sign-out")).to_be_visible()


async def test_an_unanswered_form_is_not_answered_with_questions(
    browser: Browser, guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    """Every refused look is audited, so a page that waits for keys must not go on asking."""
    caplog.set_level(logging.INFO, "keyviz.audit")
    async with (
        page_cluster([node()], **guarded.of_app()) as cluster,
        opened(browser, cluster.view(refresh="1s"), clock=True) as page,
    ):
        await expect(page.get("sign-in")).to_be_visible()
        assert len(caplog.records) == 1
        await page.pass_time(60_000)
        assert await page.questions() == 1


@pytest.mark.parametrize(
    ("access_key", "secret_key", "said"),
    [
        ("ann", "wrong", "These keys are not right"),
        ("nobody", "right horse", "These keys are not right"),
        ("bob", "known but idle", "no role here"),
    ],
)
async def test_what_is_wrong_is_said_plainly(
    browser: Browser, guarded: Guarded, access_key: str, secret_key: str, said: str
) -> None:
    """Beside the form, which stays; a second attempt with right keys works."""
    async with page_cluster([node()], **guarded.of_app()) as cluster, opened(browser, cluster.url) as page:
        await sign_in(page, access_key, secret_key)
        await expect(page.get("sign-in-error")).to_contain_text(said)
        await sign_in(page, "ann", "right horse")
        await page.drawn()


async def test_too_many_attempts_say_when_to_try_again(browser: Browser, guarded: Guarded) -> None:
    """The wait counts down, and until then the button cannot be pressed."""
    async with (
        page_cluster([node()], **guarded.of_app(login_attempts=1)) as cluster,
        opened(browser, cluster.url) as page,
    ):
        await sign_in(page, "ann", "wrong")
        await expect(page.get("sign-in-error")).to_contain_text("not right")
        await sign_in(page, "ann", "right horse")
        await expect(page.get("sign-in-error")).to_contain_text("Too many attempts. Try again in")
        await expect(page.get("sign-in").get_by_role("button", name="Sign in")).to_be_disabled()


async def test_a_session_that_ends_in_the_middle_keeps_the_view_and_asks_again(
    browser: Browser, guarded: Guarded
) -> None:
    """Address, pinned cell and last pixels stay under the form; the same view is fresh again after signing in."""
    async with page_cluster([node()], **guarded.of_app()) as cluster:
        stamp = last_minute()
        address = cluster.view(scale="linear", cell=f"{stamp}@route:1")
        async with opened(browser, address, clock=True) as page:
            await sign_in(page, "ann", "right horse")
            await expect(page.get("detail-numbers")).to_contain_text("50 writes")
            before, hot = page.page.url, await page.colours(0, 1)
            guarded.offset_s = 2 * 3600
            await page.pass_time(ROUND_MS)
            await expect(page.get("sign-in")).to_be_visible(timeout=SOON_MS)
            await expect(page.get("sign-in")).to_contain_text("The session has ended")
            assert page.page.url == before
            assert await page.colours(0, 1) == hot
            guarded.offset_s = 0
            await sign_in(page, "ann", "right horse")
            await expect(page.get("sign-in")).to_have_count(0)
            await expect(page.get("age")).not_to_contain_text("stale", timeout=SOON_MS)
            await expect(page.get("detail-numbers")).to_contain_text("50 writes")


async def test_signing_out_ends_the_session_and_clears_the_screen(browser: Browser, guarded: Guarded) -> None:
    """Both cookies are gone, nothing of the cluster is left to read, and a reload asks for keys."""
    async with page_cluster([node()], **guarded.of_app()) as cluster, opened(browser, cluster.url) as page:
        await sign_in(page, "ann", "right horse")
        await page.drawn()
        await page.get("sign-out").click()
        await expect(page.get("sign-in")).to_be_visible()
        await expect(page.get("counter")).to_be_empty()
        await expect(page.get("hottest")).not_to_contain_text("route:")
        await expect(page.get("heatmap")).to_be_hidden()
        assert await page.page.evaluate("sessionStorage.length") == 0
        assert [cookie.get("name") for cookie in await page.page.context.cookies()] == []
        await page.page.reload()
        await expect(page.get("sign-in")).to_be_visible()


async def test_an_open_gateway_asks_for_nothing(browser: Browser) -> None:
    """No form and no button where everybody may look."""
    async with page_cluster([node()]) as cluster, opened(browser, cluster.url) as page:
        await page.drawn()
        await expect(page.get("sign-in")).to_have_count(0)
        await expect(page.get("sign-out")).to_have_count(0)
