"""A gateway in a store's own process, over real HTTP: its own sampler first, without a network hop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.embedding import serve_gateway
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, MERGED_CELL_BYTES
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import HotKeysDisabled, SamplerDisabled, SettingError, TooLarge
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.protocols import GivenUp, waited_for
from keyviz_grpc.outcome import Answer, NoUsablePeers, Overview
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import serve_node
from tests.integration.guarded import ANSWERS, Prepared, outcomes

MATRIX = "/admin/api/v1/keyviz/matrix"


async def test_a_local_node_alone_has_no_fan_out() -> None:
    """Rows, and no `fanout` key, for nobody else was asked."""
    source = Prepared(ANSWERS[0])
    async with (
        serve_gateway(source, node_id="gateway", http="127.0.0.1:0") as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):
        body = (await client.get(MATRIX)).json()
    assert "fanout" not in body
    assert len(body["rows"]) == ANSWERS[0].matrix.shape[0]
    assert source.asked == 1


async def test_a_local_node_is_self_and_first() -> None:
    """Beside a peer, a dead one, and its own address, which counts once."""
    own, other = Prepared(ANSWERS[0]), Prepared(ANSWERS[1])
    async with (
        await serve_node(own, listen="127.0.0.1:0") as itself,
        await serve_node(other, listen="127.0.0.1:0") as peer,
    ):
        peers = StaticPeers([peer.address, itself.address, "127.0.0.1:1"], ClientShared())
        async with (
            serve_gateway(own, node_id="gateway", http="127.0.0.1:0", peers=peers) as address,
            httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
        ):
            body = (await client.get(MATRIX)).json()
    nodes = body["fanout"]["nodes"]
    assert [node["node"] for node in nodes] == ["self", peer.address, itself.address, "127.0.0.1:1"]
    assert outcomes(body) == [(True, ""), (True, ""), (True, ""), (False, "unreachable")]
    assert ["duplicate_node" in [w["code"] for w in node["warnings"]] for node in nodes] == [False, False, True, False]


async def test_beyond_loopback_needs_protection() -> None:
    """As with the command."""
    with pytest.raises(SettingError, match="0\\.0\\.0\\.0:0"):
        async with serve_gateway(Prepared(ANSWERS[0]), node_id="g", http="0.0.0.0:0"):
            pytest.fail("it must not serve")


class Failing(Prepared):
    """A source that hangs until it is let go, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(ANSWERS[0])
        self.error, self.go = error, threading.Event()

    def matrix(self, query: MatrixQuery) -> Answer:
        """Neither in time nor well."""
        self._fail()
        return super().matrix(query)

    def hot_keys(self, query: HotKeysQuery, given_up: GivenUp = waited_for) -> HotKeysAnswer:
        """The same."""
        self._fail()
        raise HotKeysDisabled

    def overview(self) -> Overview:
        """The same."""
        self._fail()
        return super().overview()

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error
        self.go.wait(30)


@contextlib.asynccontextmanager
async def beside_a_peer(source: Failing) -> AsyncIterator[Aggregator]:
    """An aggregator with this source of its own and one healthy peer."""
    async with await serve_node(Prepared(ANSWERS[1]), listen="127.0.0.1:0") as peer:
        aggregator = Aggregator(
            StaticPeers([peer.address], ClientShared()),
            settings=FanoutSettings(timeout_s=1.0),
            node_id="gateway",
            local=source,
        )
        try:
            yield aggregator
        finally:
            source.go.set()
            await aggregator.close()


FAILURES: list[tuple[Exception | None, str, str]] = [
    (RuntimeError("boom: secret=hunter2"), "internal", "the source in this process failed"),
    (TimeoutError("of its own"), "internal", "the source in this process failed"),
    (SamplerDisabled(), "disabled", "keyviz sampler not configured"),
    (TooLarge("an answer of 9 rows is larger than max_rows=5"), "message_too_large", "max_rows=5"),
    (None, "deadline_exceeded", "no answer in time"),
]


@pytest.mark.parametrize(("error", "kind", "words"), FAILURES, ids=["raises", "times out", "off", "too large", "hangs"])
async def test_a_local_source_that_fails_is_an_outcome(error: Exception | None, kind: str, words: str) -> None:
    """Of `self` alone: the peer's answer is whole, hanging has the peers' deadline, more requests work beside it."""
    async with beside_a_peer(Failing(error)) as aggregator:
        for rows in range(4, 7):  # more of them than threads: those that hang hold up no merge
            answer = await aggregator.matrix(MatrixQuery(rows=rows), Deadline.after(10))
            own, other = answer.outcomes
            assert (own.address, own.contributes) == ("self", False)
            assert own.kind == kind
            assert words in own.detail
            assert "hunter2" not in own.detail
            assert other.ok
            assert answer.matrix.values.sum() == ANSWERS[1].matrix.values.sum()
        overview = await aggregator.overview(Deadline.after(10))
        assert [member.node_id for member in overview.members] == [ANSWERS[1].node_id]


async def test_a_local_source_that_hangs_is_there_again_when_it_wakes() -> None:
    """The first request afterwards has it."""
    source = Failing()
    async with beside_a_peer(source) as aggregator:
        answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        assert [outcome.ok for outcome in answer.outcomes] == [False, True]
        source.go.set()
        answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        assert [outcome.ok for outcome in answer.outcomes] == [True, True]


async def test_hot_keys_of_a_local_source_that_fails_are_an_outcome() -> None:
    """As with the matrix; a peer without hot keys leaves nobody."""
    async with beside_a_peer(Failing(RuntimeError("boom"))) as aggregator:
        with pytest.raises(NoUsablePeers) as refused:
            await aggregator.hot_keys(HotKeysQuery(route_id=1), Deadline.after(10))
    assert (refused.value.outcomes[0].address, refused.value.outcomes[0].kind) == ("self", "internal")


@pytest.mark.parametrize("has_peer", [True, False])
async def test_a_local_source_that_is_off_makes_nobody_ready(has_peer: bool) -> None:
    """Its peers may; without any there is nothing to show."""
    async with beside_a_peer(Failing(SamplerDisabled())) as beside:
        local = Failing(SamplerDisabled())
        alone = Aggregator(
            StaticPeers([], ClientShared()), settings=FanoutSettings(timeout_s=1), node_id="g", local=local
        )
        assert await (beside if has_peer else alone).ready(Deadline.after(10)) is has_peer
        await alone.close()


async def test_the_local_nodes_answer_counts_as_any_others() -> None:
    """It came over no wire, and is held like those that did: where it finds no room it is a failure that says so."""
    needed = (HELD_CELL_BYTES + MERGED_CELL_BYTES) * ANSWERS[0].matrix.cells
    for room, kind in ((needed, ""), (needed - 1, "message_too_large")):
        settings = FanoutSettings(max_total_bytes=room)
        alone = Aggregator(StaticPeers([], ClientShared()), settings=settings, node_id="g", local=Prepared(ANSWERS[0]))
        try:
            [told] = (await alone.matrix(MatrixQuery(), Deadline.after(10))).outcomes
        except NoUsablePeers as nobody:
            [told] = nobody.outcomes
            assert "raise --max-total" in told.detail
        assert (told.address, told.node_id, told.kind or "") == ("self", ANSWERS[0].node_id, kind)
        await alone.close()
