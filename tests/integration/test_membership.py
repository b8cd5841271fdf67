"""Who is in the cluster, with real nodes on loopback: a DNS server, a file, seeds, and one node under several names."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from keyviz_grpc.addresses import parse_address
from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.client import ClientShared
from keyviz_grpc.codec import encode_answer
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Answer, Member, Overview
from keyviz_grpc.peers import DnsPeers, DnsServerResolver, FilePeers, SeedPeers, StaticPeers, clients
from keyviz_grpc.proto import admin_pb2_grpc
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.server import ServerSettings, serve_node
from tests.integration.guarded import ANSWERS, Guarded, Prepared, outcomes, picture
from tests.integration.odd_nodes import Older, holding, served
from tests.integration.wire import wire


class Zone(BaseResolver):  # type: ignore[misc]  # the library has no types
    """One name and its addresses; none: it does not exist."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.asked = 0

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """See dnslib."""
        self.asked += 1
        reply = request.reply()
        if not self.addresses:
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.A:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=60))
        return reply


@pytest.fixture
def zone() -> Iterator[tuple[Zone, str]]:
    """A DNS server on loopback, and where it is."""
    made = Zone()
    server = DNSServer(made, address="127.0.0.1", port=0, logger=None)
    server.start_thread()
    yield made, f"127.0.0.1:{server.server.server_address[1]}"
    server.stop()
    server.server.server_close()
    server.thread.join()


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials on both hops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Guarded(tmp_path, stack)


def free_port(*hosts: str) -> int:
    """A port that is free on all of these addresses."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(socket.socket())
        first.bind((hosts[0], 0))
        port = int(first.getsockname()[1])
        for host in hosts[1:]:
            stack.enter_context(socket.socket()).bind((host, port))
    return port


async def test_every_address_of_a_name_is_a_node(house: Guarded, zone: tuple[Zone, str]) -> None:
    """Sorted; one more and one fewer take effect without a restart; when the name fails, who was known stays."""
    names, server = zone
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    port = free_port(*hosts)
    for number, host in enumerate(hosts):
        await house.node(number, f"{host}:{port}")
    now = 0.0
    peers = DnsPeers(f"nodes.test:{port}", house.shared(), resolver=DnsServerResolver(server), clock=lambda: now)
    gateway = await house.gateway_over(peers)
    refused = await gateway.get()
    assert (refused.status_code, refused.json()["error"]) == (502, "no_peers")
    assert "does not resolve" in refused.text
    names.addresses, now = ["127.0.0.2", "127.0.0.1"], 10.0
    body = await gateway.ask()
    assert [node["node"] for node in body["fanout"]["nodes"]] == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
    asked = names.asked
    await gateway.ask()
    assert names.asked == asked
    names.addresses, now = hosts, 20.0
    assert outcomes(await gateway.ask()) == [(True, "")] * 3
    names.addresses, now = [], 30.0
    body = await gateway.ask()
    assert outcomes(body) == [(True, "")] * 3 + [(False, "unreachable")]
    assert body["fanout"]["nodes"][3]["node"] == f"nodes.test:{port}"
    names.addresses, now = hosts[1:], 40.0
    body = await gateway.ask()
    assert [node["node"] for node in body["fanout"]["nodes"]] == [f"127.0.0.2:{port}", f"127.0.0.3:{port}"]


async def test_a_lost_node_is_looked_up_anew_at_once(house: Guarded, zone: tuple[Zone, str]) -> None:
    """It may have another address by now, long before the name would be resolved again."""
    names, server = zone
    hosts = ["127.0.0.1", "127.0.0.2"]
    port = free_port(*hosts)
    node = await house.node(0, f"{hosts[0]}:{port}")
    names.addresses, now = hosts[:1], 0.0
    peers = DnsPeers(f"nodes.test:{port}", house.shared(), resolver=DnsServerResolver(server), clock=lambda: now)
    gateway = await house.gateway_over(peers)
    assert outcomes(await gateway.ask()) == [(True, "")]
    await node.drain(0)
    await house.node(0, f"{hosts[1]}:{port}")
    names.addresses = hosts[1:]
    assert outcomes((await gateway.get()).json()) == [(False, "unreachable")]
    now = 1.1  # not before, however many requests miss it
    async with asyncio.timeout(20):
        while (await gateway.get()).status_code != 200:
            pass
    assert outcomes(await gateway.ask()) == [(True, "")]


async def test_a_file_takes_effect_when_it_changes(house: Guarded, tmp_path: Path) -> None:
    """A line more is a node more; a bad file is not used."""
    nodes = [await house.node(number) for number in range(2)]
    path = tmp_path / "peers"
    path.write_text(f"{nodes[0].address}  # the first\n")
    gateway = await house.gateway_over(FilePeers(path, house.shared(), parse=parse_address))
    assert outcomes(await gateway.ask()) == [(True, "")]
    path.write_text(f"{nodes[0].address}\n\n{nodes[1].address}\n")
    assert outcomes(await gateway.ask()) == [(True, "")] * 2
    path.write_text("not an address\n")
    assert outcomes(await gateway.ask()) == [(True, "")] * 2


@pytest.mark.parametrize("by", ["file", "dns"])
async def test_a_request_under_way_survives_a_change_of_members(
    house: Guarded, zone: tuple[Zone, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The node that left answers it all the same, and counts; the next request asks the new one instead."""
    monkeypatch.setattr(clients, "CLOSE_AFTER_S", 0.0)
    names, server = zone
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    port = free_port(*hosts)
    for number, host in ((1, hosts[0]), (2, hosts[2])):
        await house.node(number, f"{host}:{port}")
    leaving, _ = await holding(house, f"{hosts[1]}:{port}")
    now, path = 0.0, tmp_path / "peers"

    def lists(*members: str) -> None:
        path.write_text("".join(f"{member}:{port}\n" for member in members) + "\n" * int(now))
        names.addresses = list(members)

    lists(*hosts[:2])
    peers = (
        FilePeers(path, house.shared(), parse=parse_address)
        if by == "file"
        else DnsPeers(f"nodes.test:{port}", house.shared(), resolver=DnsServerResolver(server), clock=lambda: now)
    )
    gateway = await house.gateway_over(peers, timeout_s=20)
    under_way = asyncio.create_task(gateway.ask())
    await leaving.entered.wait()
    now = 10.0
    lists(hosts[0], hosts[2])
    body = await gateway.ask(rows=7)
    assert [(node["node"], node["ok"]) for node in body["fanout"]["nodes"]] == [
        (f"{host}:{port}", True) for host in (hosts[0], hosts[2])
    ]
    await asyncio.sleep(2 * clients.IDLE_LOOK_S)  # the client of the one that left looks whether it may go
    leaving.go.set()
    body = await under_way
    assert [(node["node"], node["ok"]) for node in body["fanout"]["nodes"]] == [
        (f"{host}:{port}", True) for host in hosts[:2]
    ]


class Knowing(Prepared):
    """A node that knows others."""

    members: tuple[Member, ...] = ()

    def overview(self) -> Overview:
        """Itself and them."""
        return Overview(Member(self.answer.node_id, ""), self.members, incarnation=self.answer.incarnation)


async def test_seeds_tell_of_the_others_and_a_silent_seed_is_seen(house: Guarded) -> None:
    """A member that nobody listed is asked; a seed that nobody tells of does not vanish from the picture."""
    other = await house.node(1)
    source = Knowing(ANSWERS[0])
    source.members = (Member(ANSWERS[1].node_id, other.address),)
    seed = await house.node(0, source=source)
    gateway = await house.gateway_over(SeedPeers([seed.address, "127.0.0.1:1"], house.shared()))
    body = await gateway.ask()
    assert sorted(node["node"] for node in body["fanout"]["nodes"] if node["ok"]) == sorted(
        [seed.address, other.address]
    )
    assert [(node["node"], node["kind"]) for node in body["fanout"]["nodes"] if not node["ok"]] == [
        ("127.0.0.1:1", "unreachable")
    ]


async def test_members_are_looked_for_again_after_a_while_and_soon_where_one_is_lost(house: Guarded) -> None:
    """A new one within fifteen seconds; one that moved is asked where it is now as soon as it is missed."""
    source, second, third = Knowing(ANSWERS[0]), await house.node(1), await house.node(2)
    source.members = (Member("b", second.address),)
    seed = await house.node(0, source=source)
    now = 0.0
    gateway = await house.gateway_over(SeedPeers([seed.address], house.shared(), clock=lambda: now))

    async def told() -> set[tuple[str, bool]]:
        return {(node["node"], node["ok"]) for node in (await gateway.ask())["fanout"]["nodes"]}

    async def soon(expected: set[tuple[str, bool]]) -> None:
        async with asyncio.timeout(20):  # nobody waits long for a look when there is somebody to ask
            while await told() != expected:
                pass

    both = {(seed.address, True), (second.address, True)}
    assert await told() == both
    source.members = (Member("b", second.address), Member("c", third.address))
    now = 14.9
    assert await told() == both, "what was told is believed for a while"
    now = 15.1
    await soon({*both, (third.address, True)})
    await second.drain(0)
    moved = await house.node(1)
    source.members = (Member("b", moved.address), Member("c", third.address))
    now = 16.0
    assert await told() == {(seed.address, True), (second.address, False), (third.address, True)}
    now = 16.2
    await soon({(seed.address, True), (moved.address, True), (third.address, True)})


async def test_a_member_that_fails_is_shown_by_the_name_that_a_seed_told(house: Guarded) -> None:
    """For people alone: it makes nobody a duplicate, and who answers is called what it calls itself, be it nothing."""
    source, other = Knowing(ANSWERS[0]), await house.node(1)
    mine, its, gone = ANSWERS[0].node_id, ANSWERS[1].node_id, "127.0.0.1:1"
    older = await served(house, older_without_a_name)
    source.members = (Member(its, gone), Member("lied about", older), Member("wrong name", other.address))
    seed = await house.node(0, source=source)
    gateway = await house.gateway_over(SeedPeers([seed.address, "127.0.0.1:3"], house.shared()))
    nodes = (await gateway.ask())["fanout"]["nodes"]
    assert {node["node"]: (node["ok"], node["node_id"]) for node in nodes} == {
        seed.address: (True, mine),
        gone: (False, its),
        older: (True, ""),
        other.address: (True, its),
        "127.0.0.1:3": (False, ""),
    }
    assert not [warning for node in nodes for warning in node["warnings"] if "duplicate" in warning["code"]]
    both = picture(await gateway.ask(node=its))
    assert both == picture(await (await house.gateway(other.address)).ask())


def older_without_a_name(server: grpc.aio.Server) -> None:
    """A node that tells nobody who it is."""

    class Nameless(Older):
        async def GetKeyVizMatrix(self, request: Any, context: Any) -> pb.GetKeyVizMatrixResponse:  # noqa: N802
            message = encode_answer(ANSWERS[1])
            message.ClearField("node_id")
            return message

        async def GetClusterOverview(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name on the wire
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

    admin_pb2_grpc.add_AdminServicer_to_server(Nameless(), server)


async def test_a_look_for_members_says_who_looks(house: Guarded) -> None:
    """So that aggregators that are each other's seeds find out; a look of nobody in particular has no way."""
    ways: list[list[str]] = []

    class Asked(Older):
        async def GetClusterOverview(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name on the wire
            ways.append(list(request.via))
            return pb.GetClusterOverviewResponse(self=pb.NodeIdentity(node_id="n1"))

    address = await served(house, lambda server: admin_pb2_grpc.add_AdminServicer_to_server(Asked(), server))
    for shared in (ClientShared(node_id="looker"), ClientShared()):
        seeds = SeedPeers([address], shared)
        await seeds.peers(Deadline.after(10))
        await seeds.close()
    assert ways == [["looker"], []]


class Boasting(Prepared):
    """Tells of thousands of members, and of some that no gateway should dial."""

    def overview(self) -> Overview:
        """Those."""
        wild = ["unix:/tmp/x", "xds:///x", "a\x00b:1", "127.0.0.1", "127.0.0.1:99999", "http://h:1", "h:1/../x", ""]
        members = [Member(f"w{number}", address) for number, address in enumerate(wild)]
        members += [Member(f"m{number}", f"127.0.0.1:{number % 60_000 + 1}") for number in range(9_000)]
        return Overview(Member(self.answer.node_id, ""), tuple(members), incarnation=self.answer.incarnation)


async def test_a_seed_is_not_believed_whatever_it_says() -> None:
    """Addresses are HOST:PORT, and there are so many members at most; the seed itself is one of them."""
    async with await serve_node(Boasting(ANSWERS[0]), listen="127.0.0.1:0") as node:
        seeds = SeedPeers([node.address], ClientShared())
        peers = await seeds.peers(Deadline.after(10))
        addresses = [peer.address for peer in peers]
        await seeds.close()
    assert node.address in addresses
    assert 1000 < len(addresses) <= 1024
    assert all(re.fullmatch(r"127\.0\.0\.1:[0-9]{1,5}", address) for address in addresses)


def test_a_name_service_that_hangs_does_not_hold_up_the_end() -> None:
    """Of the process; a lookup of the system cannot be called off."""
    code = """
import asyncio, socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait(600)
from keyviz_grpc.peers.dns_peers import resolve
async def main():
    try:
        async with asyncio.timeout(0.2):
            await resolve("name")
    except TimeoutError:
        print("given up", flush=True)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "given up\n"


async def test_one_node_under_many_names_counts_once(house: Guarded) -> None:
    """Listed twice, by an alias, and through a proxy: one node, and two duplicates that say so."""
    alone = await house.node(0)
    port = alone.address.rpartition(":")[2]
    proxy = await house.stack.enter_async_context(wire(alone.address))
    names = [alone.address, f"localhost:{port}", proxy.address, alone.address]
    single = await (await house.gateway(alone.address)).ask()
    body = await (await house.gateway(*names)).ask()
    nodes = body["fanout"]["nodes"]
    duplicates = [[w["code"] for w in node["warnings"]].count("duplicate_node") for node in nodes]
    assert duplicates == [0, 1, 1]
    assert [row["values"] for row in body["rows"]] == [row["values"] for row in single["rows"]]


async def test_a_node_on_every_address_is_one_node() -> None:
    """Bound to the wildcard, and listed by two of the addresses that it has and by a name."""
    settings = ServerSettings(insecure=True)
    async with await serve_node(Prepared(ANSWERS[0]), listen="0.0.0.0:0", settings=settings) as node:
        port = node.address.rpartition(":")[2]
        names = [f"127.0.0.2:{port}", f"127.0.0.1:{port}", f"localhost:{port}"]
        aggregator = Aggregator(StaticPeers(names, ClientShared()), settings=FanoutSettings(), node_id="agg")
        answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
        await aggregator.close()
    assert [outcome.contributes for outcome in answer.outcomes] == [True, False, False]
    assert answer.matrix.values.sum() == ANSWERS[0].matrix.values.sum()
    assert "counted once, as 127.0.0.2" in answer.outcomes[2].warnings[-1].detail


async def test_a_local_node_is_first_and_its_own_address_counts_once(house: Guarded) -> None:
    """`self`, without a network hop; listed by its address as well it is a duplicate."""
    source = Prepared(ANSWERS[0])
    served = await house.node(0, source=source)
    aggregator = Aggregator(
        StaticPeers([served.address], house.shared()), settings=FanoutSettings(), node_id="x", local=source
    )
    answer = await aggregator.matrix(MatrixQuery(), Deadline.after(10))
    await aggregator.close()
    assert isinstance(answer, Answer)
    assert [outcome.address for outcome in answer.outcomes] == ["self", served.address]
    assert [outcome.contributes for outcome in answer.outcomes] == [True, False]
