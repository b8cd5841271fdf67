"""A node that is listed directly and below an aggregator is counted once, and is still there when either way ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from keyviz_grpc.addresses import parse_address
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import NoUsablePeers, Overview
from keyviz_grpc.peers import FilePeers, StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import RunningServer, serve_cluster, serve_node
from tests.integration.http_clusters import counting


class Asked(Aggregator):
    """Counts how often it is asked for the cluster."""

    overviews = 0

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """As always."""
        self.overviews += 1
        return await super().overview(deadline, via)


class House:
    """Two nodes, an aggregator over both, and a root over the aggregator and whoever else its file lists."""

    def __init__(self, folder: Path, nodes: list[RunningServer], below: RunningServer) -> None:
        self.nodes, self.below, self.file = nodes, below, folder / "peers"
        self.lists(nodes[0].address, below.address)
        self.root = Aggregator(
            FilePeers(self.file, ClientShared(), parse=parse_address), settings=FanoutSettings(), node_id="root"
        )

    def lists(self, *addresses: str) -> None:
        """From the next request on."""
        text = "\n".join(addresses)
        self.file.write_text(text + "\n" * (1 + len(self.file.read_text()) if self.file.exists() else 1))

    async def reads(self) -> int:
        """Of all routes and windows; who counted must be well, or left out for having been counted."""
        answer = await self.root.matrix(MatrixQuery(Series.READS), Deadline.after(10))
        return int(answer.matrix.values.sum())

    async def keys(self) -> int:
        """Operations of route 1 whose key is listed."""
        answer = await self.root.hot_keys(HotKeysQuery(1, series=Series.READS), Deadline.after(10))
        return sum(key.count for key in answer.keys)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """All of it over real servers."""
    async with contextlib.AsyncExitStack() as stack:
        samplers = [stack.enter_context(counting(number, hot_keys=HotKeysSettings())) for number in (1, 2)]
        nodes = [await stack.enter_async_context(await serve_node(one, listen="127.0.0.1:0")) for one in samplers]
        peers = StaticPeers([node.address for node in nodes], ClientShared())
        low = Aggregator(peers, settings=FanoutSettings(), node_id="low")
        stack.push_async_callback(low.close)
        below = await stack.enter_async_context(await serve_cluster(low, listen="127.0.0.1:0"))
        made = House(tmp_path, nodes, below)
        stack.push_async_callback(made.root.close)
        yield made


READS, KEYS = 3 * (10 + 20), 10 + 20


async def test_who_is_no_longer_listed_directly_counts_below_again(house: House) -> None:
    """In the very next answer, and when it is listed directly again, once."""
    for _ in range(2):
        assert (await house.reads(), await house.keys()) == (READS, KEYS)
        house.lists(house.below.address)
        assert (await house.reads(), await house.keys()) == (READS, KEYS)
        house.lists(house.nodes[0].address, house.below.address)


async def test_a_direct_way_that_ends_is_no_loss(house: House) -> None:
    """The root cannot reach the node itself, the aggregator below can."""
    assert (await house.reads(), await house.keys()) == (READS, KEYS)
    house.lists("127.0.0.1:1", house.below.address)
    assert (await house.reads(), await house.keys()) == (READS, KEYS)


async def test_two_aggregators_that_point_at_each_other_refuse_at_once(tmp_path: Path) -> None:
    """FAILED_PRECONDITION to whoever asks one of them, and neither is ready; a node beside them ends both."""
    async with contextlib.AsyncExitStack() as stack:
        made, servers = [], []
        for name in ("first", "second"):
            file = tmp_path / name
            file.write_text("127.0.0.1:1\n")
            peers = FilePeers(file, ClientShared(), parse=parse_address)
            aggregator = Asked(peers, settings=FanoutSettings(), node_id=name)
            stack.push_async_callback(aggregator.close)
            made.append((aggregator, file))
            servers.append(await stack.enter_async_context(await serve_cluster(aggregator, listen="127.0.0.1:0")))
        for (_, file), other in zip(made, reversed(servers), strict=True):
            file.write_text(other.address + "\n\n")
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(servers[0].address))
        stub = rpc.KeyVizStub(channel)
        asks = (
            stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=30),
            stub.GetHotKeys(pb.GetHotKeysRequest(route_id=1), timeout=30),
            stub.GetClusterOverview(pb.GetClusterOverviewRequest(), timeout=30),
        )
        for call in asks:
            assert await call.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "aggregators ask in a ring" in await call.details()
        # The health of each asks as well. Each question goes around once; without its way it would go on and on.
        assert sum(aggregator.overviews for aggregator, _ in made) < 12
        for aggregator, _ in made:
            assert not await aggregator.ready(Deadline.after(2))
        sampler = stack.enter_context(counting(1))
        node = await stack.enter_async_context(await serve_node(sampler, listen="127.0.0.1:0"))
        made[1][1].write_text(f"{servers[0].address}\n{node.address}\n\n\n")
        assert len((await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), timeout=30)).rows) == 3
        members = (await stub.GetClusterOverview(pb.GetClusterOverviewRequest(), timeout=30)).members
        assert [member.node_id for member in members] == ["n1", "second"]
        assert await made[0][0].ready(Deadline.after(10))


async def test_an_aggregator_without_any_node_is_not_ready_and_says_why() -> None:
    """Nor is one above it: an overview of nobody is none."""
    low = Aggregator(StaticPeers(["127.0.0.1:1"], ClientShared()), settings=FanoutSettings(), node_id="low")
    async with await serve_cluster(low, listen="127.0.0.1:0") as below:
        root = Aggregator(StaticPeers([below.address], ClientShared()), settings=FanoutSettings(), node_id="root")
        assert not await root.ready(Deadline.after(10))
        with pytest.raises(NoUsablePeers, match=r"127\.0\.0\.1:1"):
            await low.overview(Deadline.after(10))
        await root.close()
    await low.close()
