"""Whole requests over HTTP against the floor: the same bytes answered canned, received raw, and one JSON encoding.

Nodes, gateway and floor are processes of their own; the sides take turns. A third one, of which no target speaks, is a
gateway without work of its own: with the JSON of the floor it is the least that a gateway in this stack can take.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import mean, median

from benchmarks.children import Child
from benchmarks.http_client import RawClient
from benchmarks.measure import Result, compare, ratio
from benchmarks.synthetic import Shape

STALL_REQUESTS = 10
WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table of targets. per_process: how many nodes share a process, in the floor alike.

    launches: how often all processes are started anew. Where they lie in memory and on which cores they begin moves the
    median of a short request by more than what its samples spread by.
    """

    shape: Shape
    ratio: float
    peak_mb: float | None = None
    stall_ms: float | None = None
    node_mb: float | None = None
    older: bool = False
    per_process: int = 1
    samples: int = 40
    launches: int = 1

    @property
    def name(self) -> str:
        """As the table of results calls it."""
        kind = ", row form from older peers" if self.older else ""
        trouble = ", flips, conflicts, catalogues that differ" if self.shape.flips else ", equal nodes"
        return self.shape.name + kind + trouble


CASES = [
    Case(Shape(3, 1024, 60), 1.8, launches=3),
    Case(Shape(3, 1024, 60), 4.0, older=True),
    Case(Shape(3, 1024, 500), 1.8, peak_mb=150, stall_ms=50),
    Case(Shape(3, 1024, 1440), 2.0, peak_mb=250, samples=25),
    Case(Shape(16, 1024, 60), 2.0, per_process=8),
    Case(Shape(64, 1024, 60), 2.3, peak_mb=200, per_process=16, samples=25),
    Case(Shape(3, 10_000, 60), 2.8, node_mb=1.2, samples=25),
]
QUICK = (CASES[0], CASES[2], CASES[6])


def equal_nodes(case: Case) -> Case:
    """The same case without trouble."""
    return replace(case, shape=replace(case.shape, flips=False, divergent=False, conflict_share=0.0))


def whole_requests(*, quick: bool) -> Iterator[Result]:
    """Every case, with trouble and with equal nodes."""
    for case in QUICK if quick else CASES:
        for form in (case, equal_nodes(case)):
            yield from run_case(replace(form, samples=25) if quick else form, least=not quick)


def run_case(case: Case, *, least: bool) -> list[Result]:
    """The rows of one case. least: with the gateway that has no work."""
    launches = [_launched(case, least=least) for _ in range(case.launches)]
    told, sizes = [each for each, _ in launches], launches[0][1]
    ours, base = _joined(each.ours for each in told), _joined(each.base for each in told)
    cpu_ms = [mean(each.cpu_ms[side] for each in told) for side in range(2)]
    peak_mb = [max(each.peak_mb[side] for each in told) for side in range(2)]
    stall_ms = max(each.stall_ms for each in told)
    return [
        *compare(case.name, ours, base, target=f"<= {case.ratio}"),
        Result(case.name, "CPU ms a request", cpu_ms[0], cpu_ms[1], cpu_ms[0] / cpu_ms[1], ""),
        Result(case.name, "peak MB", peak_mb[0], peak_mb[1], None, _at_most(case.peak_mb)),
        Result(case.name, "longest loop stall ms", stall_ms, None, None, _at_most(case.stall_ms)),
        *([_least(case, _joined(each.least for each in told), base)] if least else []),
        *sizes,
    ]


@dataclass(frozen=True, slots=True)
class _Told:
    """Of one launch: milliseconds of every request, and what both sides used a request and at most."""

    ours: list[float]
    base: list[float]
    least: list[float]
    cpu_ms: tuple[float, float]
    peak_mb: tuple[float, float]
    stall_ms: float


def _launched(case: Case, *, least: bool) -> tuple[_Told, list[Result]]:
    """What one launch told, and the rows about sizes, which are the same in each."""
    with ExitStack() as stack:
        nodes = start_nodes(stack, case)
        peers = [address for node in nodes for address in node.ready["addresses"]]
        gateway = stack.enter_context(Child("gateway", peers=peers))
        client = stack.enter_context(RawClient(gateway.ready["address"]))
        _, body = client.get()
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder) / "body.json"
        path.write_bytes(body)
        canned = [address for node in nodes for address in node.ready["canned"]]
        floor = stack.enter_context(Child("floor", canned=canned, body=str(path)))
        floor_bytes = floor.ready["bytes"]
        passing = None
        if least:
            idle = stack.enter_context(Child("passing", peers=peers, body=str(path), older=case.older))
            passing = stack.enter_context(RawClient(idle.ready["address"]))
        node_bytes = max(size for node in nodes for size in node.ready["bytes"])
        sizes = [
            Result(case.name, "JSON MB", len(body) / 1e6, floor_bytes / 1e6, None, ""),
            Result(case.name, "MB a node", node_bytes / 1e6, None, None, _at_most(case.node_mb)),
        ]
        return _take_turns(case, gateway, client, floor, passing), sizes


def start_nodes(stack: ExitStack, case: Case) -> list[Child]:
    """Their processes, all ready."""
    numbers = range(case.shape.nodes)
    groups = [numbers[at : at + case.per_process] for at in range(0, len(numbers), case.per_process)]
    given = {"shape": asdict(case.shape), "older": case.older, "now_unix_ms": int(time.time() * 1000)}
    nodes = [stack.enter_context(Child("node", numbers=list(group), **given)) for group in groups]
    for node in nodes:
        _ = node.ready
    return nodes


def _take_turns(case: Case, gateway: Child, client: RawClient, floor: Child, passing: RawClient | None) -> _Told:
    ours: list[float] = []
    base: list[float] = []
    least: list[float] = []
    before = gateway.ask("used"), floor.ask("used")
    for number in range(case.samples + WARM_UP):
        took_ms, _ = client.get()
        told = floor.ask("round")
        passed_ms = 0.0 if passing is None else passing.get()[0]
        if number >= WARM_UP:
            ours.append(took_ms)
            base.append(told["ms"])
            least.append(passed_ms + told["json_ms"])
        else:
            before = gateway.ask("used"), floor.ask("used")
    after = gateway.ask("used"), floor.ask("used")
    gateway.ask("tick")
    for _ in range(STALL_REQUESTS):
        client.get()
    stall_ms = gateway.ask("tick")["stall_ms"]
    mine, theirs = (
        (late["cpu_s"] - early["cpu_s"]) / case.samples * 1000 for early, late in zip(before, after, strict=True)
    )
    return _Told(ours, base, least, (mine, theirs), (after[0]["peak_mb"], after[1]["peak_mb"]), stall_ms)


def _joined(samples: Iterable[list[float]]) -> list[float]:
    return list(chain.from_iterable(samples))


def _least(case: Case, least: list[float], base: list[float]) -> Result:
    name = "p50 ms of a gateway without work"
    return Result(case.name, name, median(least), median(base), ratio(least, base), "")


def _at_most(limit: float | None) -> str:
    return "" if limit is None else f"<= {limit:g}"
