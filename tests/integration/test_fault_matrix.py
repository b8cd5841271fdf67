"""Every fault of a peer, with credentials on both hops: told by kind and words, harmless to the others, and over soon.

Two healthy nodes and a faulty one behind a real gateway that wants a session. The table is what operators see.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.server import ServerSettings
from tests.integration import faults
from tests.integration.faults import Break
from tests.integration.guarded import TIMEOUT_S, Guarded, outcomes, picture
from tests.integration.secured import Secured, secured, taking_others_only, tls_of

GRACE_S = 2.0
ROW = pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[1, 2])
CAP = 100_000
NOT_IN_TIME = ("deadline_exceeded|unreachable", "no answer in time|timed? ?out|timeout|handshaker shutdown")
"""Connecting has as long as the call has here, so either may end first."""
ABORTS = {
    "CANCELLED": "unreachable",
    "UNAVAILABLE": "unreachable",
    "DEADLINE_EXCEEDED": "deadline_exceeded",
    "RESOURCE_EXHAUSTED": "overloaded",
    "UNAUTHENTICATED": "unauthenticated",
    "PERMISSION_DENIED": "unauthenticated",
    "FAILED_PRECONDITION": "incompatible",
    "UNIMPLEMENTED": "incompatible",
}
"""What each status is told as; every other one is `internal`."""


@dataclass(frozen=True)
class Fault:
    """kind, words: what is said of the faulty node (both patterns). settings: of the fan-out.

    at_once: nobody waits out the time that a node has. connecting: it is the connection that gets no answer, which is
    tried again only after a second, so that a dead host does not hold up everybody who asks meanwhile.
    """

    name: str
    peer: Break
    kind: str
    words: str
    settings: dict[str, Any] = field(default_factory=dict)
    at_once: bool = False
    connecting: bool = False


def malformed(name: str, words: str, **changes: Any) -> Fault:
    """A reply that is no answer."""
    return Fault(name, faults.replying(**changes), "malformed", words)


PLAIN: list[Fault] = [
    # nobody there, or nobody awake
    Fault("refused", faults.refusing, "unreachable", "Connection refused", at_once=True),
    Fault("SYN dropped", faults.dropping_syn, *NOT_IN_TIME, connecting=True),
    Fault("frozen process", faults.frozen, *NOT_IN_TIME, connecting=True),
    Fault("connects and says nothing", faults.through("silent"), *NOT_IN_TIME, connecting=True),
    Fault("slow handler", faults.sleeping, "deadline_exceeded", "no answer in time"),
    Fault("slow body", faults.through("drip"), *NOT_IN_TIME, connecting=True),
    Fault("torn in mid-answer", faults.through("reset"), "unreachable", "."),
    Fault("GOAWAY in mid-call", faults.going_away, "unreachable", "."),
    # somebody else there
    Fault("HTTP/1 server", faults.speaking_http1, "unreachable", "."),
    Fault("another gRPC service", faults.another_service, "incompatible", "Method not found"),
    Fault("bytes that are no message", faults.speaking_nonsense, "malformed", "not a GetKeyVizMatrixResponse"),
    # an answer that breaks the contract
    malformed("ragged", "1 values, 2 columns", rows=[pb.KeyVizRow(bucket_id="route:1", end=b"m", values=[1])]),
    malformed("columns unsorted", "ascending", column_unix_ms=[2000, 1000]),
    malformed("columns twice", "ascending", column_unix_ms=[1000, 1000]),
    malformed("bucket twice", "route:1", rows=[ROW, ROW]),
    malformed("bucket without an id", "bucket", rows=[pb.KeyVizRow(end=b"m", values=[1, 2])]),
    malformed("start not below end", "start", rows=[pb.KeyVizRow(bucket_id="r", start=b"m", end=b"m", values=[1, 2])]),
    malformed("step of nonsense", "step_ms", step_ms=-1),
    # too much
    Fault("one byte over the cap", faults.sized(CAP + 1), "message_too_large", str(CAP), {"max_message_bytes": CAP}),
    Fault("over what all may hold", faults.sized(CAP), "message_too_large", "all answers", {"max_total_bytes": CAP}),
    Fault("full", faults.full, "overloaded", "under way already", at_once=True),
    # refusals
    Fault("another key", faults.with_another_key, "unauthenticated", "compare the key or token files"),
    Fault("sampler off", faults.without_a_sampler, "disabled", "keyviz sampler not configured"),
    Fault("crash of the handler", faults.crashing, "internal", "."),
    *(
        Fault(f"abort {code.name}", faults.aborting(code), ABORTS.get(code.name, "internal"), ".")
        for code in grpc.StatusCode
        if code is not grpc.StatusCode.OK
    ),
    # TLS where plain text is expected
    Fault("TLS, asked in plain text", faults.served(tls_of), "unreachable|deadline_exceeded", "."),
]  # fmt: skip


OVER_TLS: list[Fault] = [
    Fault("plain text, asked over TLS", faults.served(lambda _: ServerSettings()), "unreachable", "."),
    Fault(
        "certificate expired",
        faults.served(lambda h: secured(h).showing(secured(h).authority.pair("old", expired=True))),
        "unreachable",
        "(?i)certificate|handshake|ssl",
    ),
    Fault("certificate of another authority", faults.served(tls_of), "unreachable", "(?i)certificate|handshake|ssl"),
    Fault(
        "certificate of another address",
        faults.served(lambda h: secured(h).showing(secured(h).authority.pair("elsewhere", address="127.0.0.9"))),
        "unreachable",
        "(?i)peer name|certificate|verif|handshake|hostname",
    ),
    Fault("our certificate refused", faults.served(taking_others_only), "unreachable", "."),
    Fault("another key inside TLS", faults.with_another_key, "unauthenticated", "compare the key or token files"),
    Fault("refused under TLS", faults.refusing, "unreachable", "Connection refused"),
]


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    """Closed in the end."""
    async with contextlib.AsyncExitStack() as made:
        yield made


async def check(house: Guarded, fault: Fault) -> None:
    """What holds whatever is wrong."""
    good = [await house.node(0), await house.node(1)]
    bad = await fault.peer(house)
    gateway = await house.gateway(good[0].address, good[1].address, bad.address, **fault.settings)
    began = time.monotonic()
    body = await gateway.ask()
    assert time.monotonic() - began < (TIMEOUT_S if fault.at_once else TIMEOUT_S + GRACE_S)
    nodes = body["fanout"]["nodes"]
    assert [node["ok"] for node in nodes] == [True, True, False]
    assert (body["fanout"]["responded"], body["fanout"]["expected"]) == (2, 3)
    told = f"{nodes[2]['kind']}: {nodes[2]['error']}"
    assert re.fullmatch(fault.kind, nodes[2]["kind"]), told
    assert re.search(fault.words, nodes[2]["error"]), told
    assert "hunter2" not in body["fanout"]["nodes"][2]["error"] or fault.name.startswith("crash"), told
    survivors = await house.gateway(good[0].address, good[1].address)
    assert picture(body) == picture(await survivors.ask())
    await bad.recover()
    body = await (gateway.whole_within(3) if fault.connecting else gateway.ask())
    assert outcomes(body) == [(True, "")] * 3, body["fanout"]


@pytest.mark.parametrize("fault", PLAIN, ids=[fault.name for fault in PLAIN])
async def test_a_fault_is_told_and_harms_nobody_else(
    tmp_path: Path, stack: contextlib.AsyncExitStack, fault: Fault
) -> None:
    """Kind and words; survivors complete; in time; and the very next request after its recovery has it again.

    Where connecting itself got no answer, one within five seconds.
    """
    await check(Guarded(tmp_path, stack), fault)


@pytest.mark.parametrize("fault", OVER_TLS, ids=[fault.name for fault in OVER_TLS])
async def test_a_fault_under_mutual_tls(tmp_path: Path, stack: contextlib.AsyncExitStack, fault: Fault) -> None:
    """The same where nodes and gateway show each other certificates besides tokens."""
    await check(Secured(tmp_path, stack), fault)
