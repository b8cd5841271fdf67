"""256 nodes at once and through 16 aggregators, side by side. The nodes are real servers with samplers that counted."""

from __future__ import annotations

from contextlib import ExitStack

import orjson

from benchmarks.children import Child
from benchmarks.http_client import RawClient
from benchmarks.measure import Result, percentile, spread
from benchmarks.request import Case, start_nodes
from benchmarks.synthetic import Shape

MIDDLE = 16
PROCESSES = 4
SAMPLES = 20
LIMIT_MS = 5_000
CASE = Case(Shape(256, 1024, 60), ratio=0.0, per_process=64)


def tree_and_flat() -> list[Result]:
    """Both in turn. Raises RuntimeError where one misses a node or the rows of both differ."""
    with ExitStack() as stack:
        peers = [address for node in start_nodes(stack, CASE) for address in node.ready["addresses"]]
        fan = len(peers) // MIDDLE
        groups = [peers[at : at + fan] for at in range(0, len(peers), fan)]
        share = MIDDLE // PROCESSES
        middle = [
            stack.enter_context(Child("aggregators", groups=groups[at : at + share], first=at))
            for at in range(0, MIDDLE, share)
        ]
        tops = [address for child in middle for address in child.ready["addresses"]]
        gateways = [stack.enter_context(Child("gateway", peers=below)) for below in (tops, peers)]
        clients = [stack.enter_context(RawClient(gateway.ready["address"])) for gateway in gateways]
        _check(*(client.get()[1] for client in clients))
        took: list[list[float]] = [[], []]
        for _ in range(SAMPLES):
            for client, samples in zip(clients, took, strict=True):
                samples.append(client.get()[0])
        peaks = [gateway.ask("used")["peak_mb"] for gateway in gateways]
    rows = []
    for form, samples, peak in zip((f"through {MIDDLE} aggregators", "flat"), took, peaks, strict=True):
        case = f"{CASE.shape.name} {form}, flips, conflicts, catalogues that differ"
        rows += [
            Result(case, "p50 ms", percentile(samples, 0.5), None, None, f"<= {LIMIT_MS}", spread(samples)),
            Result(case, "p95 ms", percentile(samples, 0.95), None, None, ""),
            Result(case, "peak MB", peak, None, None, ""),
        ]
    return rows


def _check(tree: bytes, flat: bytes) -> None:
    both = [orjson.loads(body) for body in (tree, flat)]
    for body in both:
        if body["fanout"]["responded"] != CASE.shape.nodes:
            raise RuntimeError(f"{body['fanout']['responded']} of {CASE.shape.nodes} nodes responded")
    if both[0]["rows"] != both[1]["rows"]:
        raise RuntimeError("the tree does not show what the flat aggregator shows")
