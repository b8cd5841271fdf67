"""A running cluster of existing nodes becomes one of new nodes, as docs/upgrade.md says, under the eyes of a viewer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.serving import http_server
from gateway.session import Sessions
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.auth import BearerCredentials, BearerVerifier, KeyFile, TextFile
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.listening import address_of, bind
from keyviz_grpc.model import Series
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.remembered import Shelf
from tests.integration.upgrading import NODES, STEP_MS, Life, Store
from tests.reference import oracle

MATRIX = "/admin/api/v1/keyviz/matrix"
BOTH = (Series.READS, Series.WRITES)
BACK_WITHIN_S = 5.0
NEW_NAME, OLD_NAME = "/keyviz.v1.KeyViz/GetKeyVizMatrix", "/Admin/GetKeyVizMatrix"

Picture = tuple[list[int], dict[str, list[int]], set[oracle.Cell]]


def shown(body: dict[str, Any]) -> Picture:
    """Columns, values by bucket, and the cells in conflict."""
    columns = body["column_unix_ms"]
    conflicts = {
        (row["bucket_id"], stamp)
        for row in body["rows"]
        for stamp, marked in zip(columns, row.get("conflicts", [False] * len(columns)), strict=True)
        if marked
    }
    return columns, {row["bucket_id"]: row["values"] for row in body["rows"]}, conflicts


def expected(lives: Iterable[Life], series: Series, until_ms: int = 2**62) -> Picture:
    """What the oracle says of those who answered, in windows that closed by then."""
    told = [life.told(series) for life in lives]
    for node in told:
        node.stamps = [stamp for stamp in node.stamps if stamp <= until_ms]
    merged = oracle.merge(told, writes=series is Series.WRITES)
    values = {bucket: [merged.values[bucket, stamp] for stamp in merged.stamps] for bucket in merged.rows}
    return merged.stamps, values, {cell for cell in merged.conflicts if cell[1] <= until_ms}


@dataclass
class House:
    """A store, one gateway over it that lives as long as the test, and a browser with a cookie that a node minted."""

    store: Store
    client: httpx.AsyncClient
    polls: int = 0
    seen: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    async def ask(self, series: Series, **window: int) -> dict[str, Any]:
        """The body of a 200 answer."""
        answer = await self.client.get(MATRIX, params={"series": series.value, **window})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def whole(self) -> None:
        """Returns once every node contributes."""
        async with asyncio.timeout(BACK_WITHIN_S):
            while (await self.ask(Series.READS))["fanout"]["responded"] != NODES:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.02)

    async def watch(self) -> None:
        """Polls what is closed, for ever; each answer must be that of exactly the nodes that it says responded."""
        for series in itertools.cycle(BOTH):
            before, until = list(self.store.lives), self.store.now_ms // STEP_MS * STEP_MS
            body = await self.ask(series, from_unix_ms=1, to_unix_ms=until + 1)
            after = list(self.store.lives)
            responded = [node["ok"] for node in body["fanout"]["nodes"]]
            # Of a node that was replaced meanwhile, either life may have answered.
            choices = [
                list({id(one): one for one in pair if one is not None}.values())
                for pair, ok in zip(zip(before, after, strict=True), responded, strict=True)
                if ok
            ]
            pictures = [expected(lives, series, until) for lives in itertools.product(*choices)]
            if shown(body) not in pictures:
                self.problems.append(f"{series}, responded {responded}: {shown(body)} is none of {pictures}")
            self.polls += 1
            self.seen.add(sum(responded))

    async def polled(self, times: int = 2) -> None:
        """Returns once the viewer, too, saw things as they are now."""
        until = self.polls + times
        async with asyncio.timeout(20):
            while self.polls < until and not self.problems:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def upgrading(folder: Path, *, named: bool) -> AsyncIterator[House]:
    """Three old nodes that want a static token, and a gateway beside them that has it."""
    token, key = folder / "token", folder / "session.key"
    token.write_text(secrets.token_hex(16))
    raw = secrets.token_bytes(64)
    key.write_text(base64.b64encode(raw).decode())
    now = int(time.time())
    claims = {"sub": "ops", "role": "read_only", "iat": now, "exp": now + 3600, "jti": "1"}
    async with contextlib.AsyncExitStack() as stack:
        store = Store(stack, BearerVerifier(TextFile(token)), named)
        for number in range(NODES):
            await store.start(number, old=True)
        shelf = Shelf(64 << 20)
        shared = ClientShared(credentials=BearerCredentials(TextFile(token)), remembered=shelf)
        aggregator = Aggregator(
            StaticPeers(store.addresses, shared),
            settings=FanoutSettings(timeout_s=5),
            node_id="gateway",
            wall_clock=store.clock,
            remembered=shelf,
        )
        stack.push_async_callback(aggregator.close)
        listener = stack.enter_context(contextlib.closing(bind("127.0.0.1:0")))
        app = create_app(aggregator, sessions=Sessions([KeyFile(key)]))
        await stack.enter_async_context(http_server(app, listener, grace_s=2))
        client = httpx.AsyncClient(
            base_url=f"http://{address_of(listener)}",
            cookies={"admin_session": jwt.encode(claims, raw, "HS256")},
            trust_env=False,
            timeout=30,
        )
        yield House(store, await stack.enter_async_context(client))


@pytest_asyncio.fixture(params=[True, False], ids=["named", "nameless"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """Old nodes that say their name when they are asked for it, or that cannot be asked."""
    async with upgrading(tmp_path, named=request.param) as made:
        yield made


@contextlib.asynccontextmanager
async def viewer(house: House) -> AsyncIterator[None]:
    """Somebody looks all the time."""
    watching = asyncio.create_task(house.watch())
    try:
        await house.polled()
        yield
        await house.polled()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    assert not house.problems, house.problems[0]


def running(house: House) -> list[Life]:
    """All three."""
    lives = [life for life in house.store.lives if life is not None]
    assert len(lives) == NODES
    return lives


async def check(house: House) -> None:
    """Reads are exact; writes are, but where the leader before a change was old; nobody is warned of or missing."""
    lives = running(house)
    for series in BOTH:
        body = await house.ask(series)
        assert shown(body) == expected(lives, series)
        nodes = body["fanout"]["nodes"]
        assert [(node["ok"], node["kind"], node["warnings"]) for node in nodes] == [(True, "", [])] * NODES
        names = [f"n{life.number}" if house.store.named or not life.old else "" for life in lives]
        assert [node["node_id"] for node in nodes] == names
        columns, values, conflicts = shown(body)
        for bucket, row in values.items():
            for stamp, value in zip(columns, row, strict=True):
                check_cell(house, series, (bucket, stamp), value, conflict=(bucket, stamp) in conflicts)


def check_cell(house: House, series: Series, cell: oracle.Cell, value: int, *, conflict: bool) -> None:
    """The promises of the page, against what was really counted."""
    lives = running(house)
    if series is Series.READS:
        assert value == sum(life.reads[cell] for life in lives)
        assert not conflict
        return
    counted = {life: life.writes[cell] for life in lives if life.writes.get(cell)}
    true = sum(shares.total() for shares in counted.values())
    assert value <= true
    former = min(counted, key=lambda life: min(term for _, term in counted[life]), default=None)
    if cell not in house.store.flipped or former is None or not former.old:
        assert (value, conflict) == (true, False), cell
    else:
        assert value == max(shares.total() for shares in counted.values()), cell
        assert conflict == (len(counted) > 1)


def served(life: Life, method: str) -> float:
    """How many calls of it a new node answered."""
    labels = {"method": method.removeprefix("/"), "code": "OK"}
    return life.registry.get_sample_value("keyviz_grpc_requests_total", labels) or 0.0


async def replace(house: House, number: int, *, old: bool) -> None:
    """In mid-window: the others go on, the new process begins with an empty ring."""
    store = house.store
    store.traffic(2, 3)
    await store.stop(number)
    body = await house.ask(Series.READS)
    assert [node["ok"] for node in body["fanout"]["nodes"]] == [other != number for other in range(NODES)]
    assert body["fanout"]["nodes"][number]["kind"] == "unreachable"
    await house.polled()
    for group, (leader, _) in store.leaders.items():
        if leader == number:
            store.flip(group)
    store.traffic(1, 2)
    await store.start(number, old=old)
    await house.whole()
    store.traffic(1, 1)
    store.close_window()
    await check(house)
    store.windows()
    await check(house)


async def test_the_walk_from_old_to_new_and_one_step_back(house: House) -> None:
    """Node by node, then one back and forth again: at every step the picture is right, and nothing else restarts."""
    store = house.store
    store.windows()
    store.windows()  # four of them, so that the step of nodes that do not state it can be told
    first = store.now_ms // STEP_MS * STEP_MS - 3 * STEP_MS
    async with viewer(house):
        await check(house)
        for life in running(house):
            assert life.methods.count(NEW_NAME) == 1
            assert life.methods.count(OLD_NAME) > 1
        for number in range(NODES):
            restarted = store.stamp
            await replace(house, number, old=False)
            life = running(house)[number]
            assert served(life, OLD_NAME) == 0
            assert served(life, NEW_NAME) > 0
            body = await house.ask(Series.READS, from_unix_ms=first)
            short = [[warning["code"] for warning in node["warnings"]] for node in body["fanout"]["nodes"]]
            assert short == [["short_history"]] * (number + 1) + [[]] * (NODES - number - 1)
            body = await house.ask(Series.READS, from_unix_ms=restarted + STEP_MS)
            assert body["fanout"]["nodes"][number]["warnings"] == []
        store.windows()
        assert not any(cell[1] > restarted for cell in shown(await house.ask(Series.WRITES))[2])
        await replace(house, 1, old=True)
        back = running(house)[1]
        asked = back.methods.count(NEW_NAME)
        await house.polled(4)
        assert back.methods.count(NEW_NAME) == asked
        assert back.methods.count(OLD_NAME) > 4
        await replace(house, 1, old=False)
    assert house.seen == {NODES - 1, NODES}


async def test_a_node_that_comes_back_with_another_step(tmp_path: Path) -> None:
    """It does not divide the one that most have: that node is `incompatible` alone, until its setting is mended."""
    async with upgrading(tmp_path, named=True) as house:
        store = house.store
        store.windows()
        store.windows()
        await store.stop(2)
        await store.start(2, old=False, step_ms=7_000)
        store.windows()
        async with asyncio.timeout(BACK_WITHIN_S):
            while True:
                nodes = (await house.ask(Series.READS))["fanout"]["nodes"]
                if nodes[2]["kind"] == "incompatible":
                    break
                await asyncio.sleep(0.02)
        assert [node["ok"] for node in nodes] == [True, True, False]
        others = [life for life in store.lives[:2] if life is not None]
        assert shown(await house.ask(Series.READS)) == expected(others, Series.READS)
        await store.stop(2)
        await store.start(2, old=False)
        await house.whole()
        store.windows()
        await check(house)
