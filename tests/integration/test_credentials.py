"""Who is let in over the real gRPC and HTTP faces: tokens, keys that change, and cookies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
import pytest_asyncio

from gateway.session import Role, Sessions
from keyviz_grpc.auth import (
    BearerCredentials,
    BearerVerifier,
    KeyFile,
    TextFile,
    TokenCredentials,
    TokenVerifier,
    mint_token,
)
from keyviz_grpc.auth.tokens import _derived
from keyviz_grpc.client import ClientShared
from keyviz_grpc.errors import SettingError
from keyviz_grpc.peers import StaticPeers
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.server import ServerSettings, serve_cluster, serve_node
from keyviz_grpc.tls import TlsFiles
from tests.integration.certificates import Authority
from tests.integration.guarded import ANSWERS, Gateway, Guarded, Prepared, new_key, outcomes
from tests.integration.odd_nodes import serving

METHODS = [
    f"/{service}/{method}"
    for service in ("keyviz.v1.KeyViz", "Admin")
    for method in ("GetKeyVizMatrix", "GetClusterOverview", "GetHotKeys")
]
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
REFUSAL = "unauthenticated: send metadata authorization: Bearer <token>, see keyviz-token --help"

Forge = Callable[[bytes], str]


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials on both hops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Guarded(tmp_path, stack)


def altered(*, header: dict[str, str] | None = None, **claims: Any) -> Forge:
    """A token that is right but for these claims; a time is told in seconds from now, None takes a claim away."""

    def forge(key: bytes) -> str:
        now = int(time.time())
        good = jwt.decode(mint_token(key, subject="n1", now_unix_s=now), options={"verify_signature": False})
        for name, value in claims.items():
            good[name] = now + value if name in ("iat", "exp") and value is not None else value
        kept = {name: value for name, value in good.items() if value is not None}
        algorithm = (header or {}).get("alg", "HS256")
        signing: Any = None if algorithm == "none" else _derived(key)
        return jwt.encode(kept, signing, algorithm=algorithm, headers=header)

    return forge


def cut(token: str, parts: int) -> str:
    """Its first parts only."""
    return ".".join(token.split(".")[:parts])


FORGED: dict[str, Forge] = {
    "alg none": altered(header={"alg": "none"}),
    "alg none, signature of a good one": lambda key: (
        cut(altered(header={"alg": "none"})(key), 2) + "." + altered()(key).split(".")[2]
    ),
    "another algorithm": altered(header={"alg": "HS512"}),
    "another audience": altered(aud="keyviz-browser"),
    "an audience among others": altered(aud=["keyviz-node", "x"]),
    "no audience": altered(aud=None),
    "another issuer": altered(iss="somebody"),
    "no issuer": altered(iss=None),
    "no subject": altered(sub=""),
    "expired": altered(iat=-61, exp=-1),
    "no end": altered(exp=None),
    "issued in the future": altered(iat=40, exp=100),
    "longer than a minute": altered(exp=61),
    "years long": altered(exp=10**9),
    "ends before it begins": altered(iat=20, exp=10),
    "times of nonsense": altered(iat=0, exp=0),
    "truncated by one": lambda key: altered()(key)[:-1],
    "without its signature": lambda key: cut(altered()(key), 2) + ".",
    "another key": lambda key: mint_token(key[::-1], subject="n1", now_unix_s=time.time()),
    "signed with the shared key itself": lambda key: jwt.encode(
        jwt.decode(altered()(key), options={"verify_signature": False}), key, algorithm="HS256"
    ),
    "longer than any token": lambda key: altered()(key) + "x" * 4096,
    "not a token": lambda _: "hunter2",
    "nothing": lambda _: "",
}


def shown(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call with this token."""
    return (("authorization", f"Bearer {token}"),)


async def refused_everywhere(address: str, metadata: tuple[tuple[str, str], ...]) -> None:
    """By each method alike, in words that tell nothing of the reason."""
    async with grpc.aio.insecure_channel(address) as channel:
        calls: list[Any] = [channel.unary_unary(path, response_deserializer=None) for path in METHODS]
        told = await asyncio.gather(*(call(b"", metadata=metadata) for call in calls), return_exceptions=True)
        stream: Any = channel.stream_stream(REFLECTION, response_deserializer=None)
        with pytest.raises(grpc.aio.AioRpcError) as of_stream:
            # Nothing is written: gRPC makes an error of its own of a message that the refusal overtakes.
            await stream(metadata=metadata).read()
    for error in (*told, of_stream.value):
        assert isinstance(error, grpc.aio.AioRpcError), error
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, REFUSAL)


async def accepted(address: str, metadata: tuple[tuple[str, str], ...]) -> None:
    """The node answers."""
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=metadata)
    assert answer.rows


async def cluster_of(house: Guarded) -> tuple[str, Gateway]:
    """The gRPC face of a gateway over one node."""
    gateway = await house.gateway((await house.node(0)).address)
    served = await serve_cluster(gateway.aggregator, listen="127.0.0.1:0", verifier=TokenVerifier([house.key]))
    house.stack.push_async_callback(served.drain, 0)
    return served.address, gateway


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_token_that_is_not_right_opens_nothing(house: Guarded, forge: Forge) -> None:
    """Neither a node nor a gateway, under any method; the refusal is the same whatever is wrong; a good one works."""
    node, (gateway, _) = (await house.node(0)).address, await cluster_of(house)
    key = house.key.current()
    for address in (node, gateway):
        await refused_everywhere(address, shown(forge(key)))
        await accepted(address, shown(altered()(key)))


async def test_a_header_that_is_not_one_bearer_token_opens_nothing(house: Guarded) -> None:
    """No header, another scheme, a good token beside another one."""
    node = await house.node(0)
    good = altered()(house.key.current())
    for metadata in ((), (("authorization", f"Basic {good}"),), (("authorization", good),), shown(good) * 2):
        await refused_everywhere(node.address, metadata)
    await accepted(node.address, (("authorization", f"bearer {good}"),))


async def test_every_refused_call_leaves_one_audit_line(house: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    """Who it claims to be, from where, what, and the outcome; nothing of the token, be it one that was good once."""
    node = await house.node(0)
    key = house.key.current()
    forged = {"ann": altered(sub="ann", exp=61)(key), "": "hunter2" * 20, "x" * 64: altered(sub="x" * 500)(key[::-1])}
    caplog.set_level("INFO", "keyviz.audit")
    async with grpc.aio.insecure_channel(node.address) as channel:
        for token in forged.values():
            with pytest.raises(grpc.aio.AioRpcError):
                await rpc.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(), metadata=shown(token))
        with pytest.raises(grpc.aio.AioRpcError):
            await rpc.KeyVizStub(channel).GetClusterOverview(pb.GetClusterOverviewRequest())
    lines = [vars(record) for record in caplog.records if record.name == "keyviz.audit"]
    assert [line["who"] for line in lines] == [*forged, ""]
    assert [line["method"].rpartition("/")[2] for line in lines] == [*["GetKeyVizMatrix"] * 3, "GetClusterOverview"]
    for line in lines:
        assert (line["message"], line["outcome"]) == ("request refused", "unauthenticated")
        assert line["client"].startswith("ipv4:127.0.0.1:")
        assert not [token for token in forged.values() if token[-20:] in str(line)]


async def test_a_key_is_rotated_while_everybody_serves(house: Guarded) -> None:
    """New beside previous key on the node, then at the gateway, then the previous one goes: no request fails."""
    old, new = house.key.current(), new_key(house.folder / "new.key").path.read_text()
    files = [house.folder / name for name in ("node.current", "node.previous", "gateway.current")]
    for file in files:
        file.write_text(house.key.path.read_text())
    current, previous = KeyFile(files[0]), KeyFile(files[1])
    node = await serve_node(Prepared(ANSWERS[0]), listen="127.0.0.1:0", verifier=TokenVerifier([current, previous]))
    house.stack.push_async_callback(node.drain, 0)
    shared = ClientShared(credentials=TokenCredentials(KeyFile(files[2]), subject="gateway"))
    gateway = await house.gateway_over(StaticPeers([node.address], shared))
    assert outcomes(await gateway.ask()) == [(True, "")]
    for file in (files[0], files[2], files[1]):
        file.write_text(new)
        assert outcomes(await gateway.ask()) == [(True, "")]
    await refused_everywhere(node.address, shown(altered()(old)))


async def test_a_key_that_only_one_side_has_is_told_and_mended_without_a_restart(house: Guarded) -> None:
    """The peer is `unauthenticated` until the other side's file follows; a broken file changes nothing."""
    files = [house.folder / name for name in ("node.own", "gateway.own")]
    for file in files:
        file.write_text(house.key.path.read_text())
    node = await house.node(0, key=KeyFile(files[0]))
    gateway = await house.gateway_over(
        StaticPeers([node.address], ClientShared(credentials=TokenCredentials(KeyFile(files[1]), subject="gateway")))
    )
    assert outcomes(await gateway.ask()) == [(True, "")]
    files[0].write_text("half a k")
    assert outcomes(await gateway.ask()) == [(True, "")]
    new = new_key(house.folder / "new.key").path.read_text()
    files[0].write_text(new)
    told = await gateway.get()
    assert (told.status_code, outcomes(told.json())) == (502, [(False, "unauthenticated")])
    files[1].write_text(new)
    assert outcomes(await gateway.ask()) == [(True, "")]


async def test_a_static_token_is_replaced_while_serving(house: Guarded) -> None:
    """The node takes the new one and no longer the old one; the gateway sends what its file says."""
    files = [house.folder / name for name in ("node.token", "gateway.token")]
    for file in files:
        file.write_text("first-token\n")
    verifier = BearerVerifier(TextFile(files[0]))
    node = await serve_node(Prepared(ANSWERS[0]), listen="127.0.0.1:0", verifier=verifier)
    house.stack.push_async_callback(node.drain, 0)
    shared = ClientShared(credentials=BearerCredentials(TextFile(files[1])))
    gateway = await house.gateway_over(StaticPeers([node.address], shared))
    assert outcomes(await gateway.ask()) == [(True, "")]
    files[0].write_text("second-token-is-longer\n")
    await refused_everywhere(node.address, shown("first-token"))
    await refused_everywhere(node.address, shown("second-token-is-longe"))
    assert outcomes((await gateway.get()).json()) == [(False, "unauthenticated")]
    files[1].write_text("second-token-is-longer\n")
    assert outcomes(await gateway.ask()) == [(True, "")]


async def test_the_browsers_cookies_never_travel_to_a_peer(house: Guarded) -> None:
    """A node sees a token of the gateway's own with every call, whatever a signed-in browser asks and sends."""
    calls: list[tuple[str, dict[str, str]]] = []

    class Noting(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            metadata = {key: str(value) for key, value in handler_call_details.invocation_metadata}
            calls.append((handler_call_details.method.rpartition("/")[2], metadata))
            return await continuation(handler_call_details)

    gateway = await house.gateway(await serving(house, Noting()))
    full, _ = Sessions([house.session_key]).mint("ops", Role.FULL)
    gateway.client.cookies.clear()
    gateway.client.cookies.set("admin_session", full)
    gateway.client.cookies.set("admin_csrf", "planted-csrf")
    secret = {"authorization": f"Bearer {full}", "x-admin-csrf": "planted-csrf", "x-planted": "planted-header"}
    row = (await gateway.ask())["rows"][0]
    cell = {"bucket_id": row["bucket_id"], "column_unix_ms": int(ANSWERS[0].matrix.columns[0])}
    for path, query in (
        ("keyviz/matrix", {}),
        ("keyviz/cell", cell),
        ("keyviz/hotkeys", {"route_id": 1}),
        ("cluster", {}),
    ):
        answer = await gateway.client.get(f"/admin/api/v1/{path}", params=query, headers=secret)
        assert answer.status_code in (200, 503), answer.text
    await gateway.client.get("/admin/readyz", headers=secret)
    assert {method for method, _ in calls} == {"GetKeyVizMatrix", "GetClusterOverview", "GetHotKeys"}
    for method, metadata in calls:
        assert TokenVerifier([house.key]).verify(metadata["authorization"]) == "gateway"
        assert "cookie" not in metadata, method
        assert not [value for value in metadata.values() if full in value or "planted" in value], method


async def test_a_session_is_no_node_token_and_a_node_token_no_session_even_with_one_key(house: Guarded) -> None:
    """Where somebody gave people and nodes the same key file, each still opens its own face alone."""
    house.session_key = house.key
    address, gateway = await cluster_of(house)
    session, _ = Sessions([house.key]).mint("ops", Role.FULL)
    await refused_everywhere(address, shown(session))
    node = await house.node(1)
    await refused_everywhere(node.address, shown(session))
    token = mint_token(house.key.current(), subject="n1", now_unix_s=time.time())
    gateway.client.cookies.clear()
    matrix = "/admin/api/v1/keyviz/matrix"
    for path in (matrix, "/admin/api/v1/keyviz/hotkeys", "/admin/api/v1/cluster"):
        for headers in ({"cookie": f"admin_session={token}"}, {"authorization": f"Bearer {token}"}):
            assert (await gateway.client.get(path, headers=headers)).status_code == 401
    answer = await gateway.client.get(matrix, headers={"cookie": f"admin_session={session}"})
    assert answer.status_code == 200


async def test_certificates_alone_are_credentials(house: Guarded) -> None:
    """With mTLS and nothing else a node may be where others reach it; who shows none of ours stays out."""
    ours, theirs = Authority(house.folder / "ours", "ours"), Authority(house.folder / "theirs", "theirs")
    shown_by_node, mine, foreign = ours.pair("node"), ours.pair("gateway"), theirs.pair("gateway")
    settings = ServerSettings(certificate=shown_by_node.certificate, key=shown_by_node.key, client_ca=ours.ca)
    node = await serve_node(Prepared(ANSWERS[0]), listen="0.0.0.0:0", settings=settings)
    house.stack.push_async_callback(node.drain, 0)
    address = f"127.0.0.1:{node.address.rpartition(':')[2]}"
    for files, let_in in (
        (TlsFiles(ours.ca, mine.certificate, mine.key), True),
        (TlsFiles(ours.ca), False),
        (TlsFiles(ours.ca, foreign.certificate, foreign.key), False),
        (None, False),
    ):
        gateway = await house.gateway_over(StaticPeers([address], ClientShared(tls=files)))
        assert [ok for ok, _ in outcomes((await gateway.get()).json())] == [let_in], files
    with pytest.raises(SettingError, match="credentials"):
        await serve_node(Prepared(ANSWERS[0]), listen="0.0.0.0:0", settings=replace(settings, client_ca=None))
