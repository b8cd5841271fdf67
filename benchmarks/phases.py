"""`python -m benchmarks.phases`: where the CPU of a request goes, how it grows, and what phases would bring.

Prints four tables: milliseconds of CPU by phase, exponents of a power law fitted to them, the same of polls with memory
of closed columns beside polls without, and whole requests against the floor with phases left out one after the other,
which no faster way of doing them can undercut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from benchmarks.children import Child
from benchmarks.http_client import RawClient
from benchmarks.request import CASES, WARM_UP, Case, equal_nodes, start_nodes
from benchmarks.synthetic import Shape
from benchmarks.warm import REMEMBER_BYTES, SHAPES, polled_nodes

PHASES: Final = ("parse", "decode", "merge", "fold", "write")
OF_POLLS: Final = ("parse", "decode", "remember", "merge", "go on", "write")
REQUESTS: Final = 60
LONG_WARM_UP: Final = 20

TALL: Final = Case(Shape(3, 4096, 60), 2.8)
BASE, WIDE, WIDEST, MORE, MOST, TALLEST = CASES[0], CASES[2], CASES[3], CASES[4], CASES[5], CASES[6]
TIMED: Final = (equal_nodes(BASE), BASE, WIDE, WIDEST, MORE, MOST, TALL, TALLEST, equal_nodes(TALLEST))
GROWTH: Final[dict[str, tuple[tuple[Case, ...], Callable[[Shape], int]]]] = {
    "nodes": ((BASE, MORE, MOST), lambda shape: shape.nodes),
    "rows": ((BASE, TALL, TALLEST), lambda shape: shape.rows),
    "columns": ((BASE, WIDE, WIDEST), lambda shape: shape.columns),
}
LEFT_OUT: Final = ((), ("merge",), ("merge", "fold"), ("merge", "fold", "decode"), ("merge", "fold", "decode", "write"))
"""Which phases cost nothing. A fold needs what a merge makes, and is left out only with it."""


def cpu_ms(case: Case) -> list[float]:
    """Milliseconds of CPU a request by phase, then of the whole process."""
    with ExitStack() as stack:
        gateway = stack.enter_context(Child("phased", peers=_peers(stack, case)[0]))
        client = stack.enter_context(RawClient(gateway.ready["address"]))
        for _ in range(LONG_WARM_UP):
            client.get()
        before = gateway.ask("used")
        for _ in range(REQUESTS):
            client.get()
        after = gateway.ask("used")
    return _ms_each(before, after, PHASES)


def polls_ms(shape: Shape) -> list[list[float]]:
    """As `cpu_ms` of polls that find a new column each: of a gateway with memory, and of one without."""
    with ExitStack() as stack:
        nodes = polled_nodes(stack, shape, LONG_WARM_UP + REQUESTS)
        peers = [address for node in nodes for address in node.ready["addresses"]]
        sizes = (REMEMBER_BYTES, 0)
        gateways = [stack.enter_context(Child("phased", peers=peers, remember=size)) for size in sizes]
        clients = [stack.enter_context(RawClient(gateway.ready["address"])) for gateway in gateways]
        before: list[dict[str, float]] = []
        for number in range(LONG_WARM_UP + REQUESTS):
            for node in nodes:
                node.ask("step")
            if number == LONG_WARM_UP:
                before = [gateway.ask("used") for gateway in gateways]
            for client in clients if number % 2 else clients[::-1]:
                client.get()
        after = [gateway.ask("used") for gateway in gateways]
    return [_ms_each(early, late, OF_POLLS) for early, late in zip(before, after, strict=True)]


def _ms_each(before: dict[str, float], after: dict[str, float], phases: Sequence[str]) -> list[float]:
    """Milliseconds a request by phase, then of the whole process."""
    return [(after[name] - before[name]) / REQUESTS * 1000 for name in (*phases, "cpu_s")]


def without(case: Case) -> list[float]:
    """The median of whole requests by what is left out, as ratios to that of the floor."""
    with ExitStack() as stack:
        peers, canned = _peers(stack, case)
        gateways = [stack.enter_context(Child("phased", peers=peers, kept=names)) for names in LEFT_OUT]
        clients = [stack.enter_context(RawClient(gateway.ready["address"])) for gateway in gateways]
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "body.json"
        path.write_bytes(clients[0].get()[1])
        floor = stack.enter_context(Child("floor", canned=canned, body=str(path)))
        _ = floor.ready
        took: list[list[float]] = [[] for _ in clients]
        base: list[float] = []
        for number in range(WARM_UP + case.samples):
            for client, own in zip(clients, took, strict=True):
                ms, _ = client.get()
                least = floor.ask("round")["ms"]
                if number >= WARM_UP:
                    own.append(ms)
                    base.append(least)
    return [median(own) / median(base) for own in took]


def exponents(cases: Sequence[tuple[Case, list[float]]], size: Callable[[Shape], int]) -> list[float]:
    """Of all phases together, and of each: least squares of logarithms; nan for one that takes nothing."""
    sizes = np.log([size(case.shape) for case, _ in cases])
    phases = [[sum(told[:-1]) for _, told in cases], *zip(*(told[:-1] for _, told in cases), strict=True)]
    return [float(np.polyfit(sizes, np.log(ms), 1)[0]) if min(ms) > 0 else float("nan") for ms in phases]


def _peers(stack: ExitStack, case: Case) -> tuple[list[str], list[str]]:
    """Addresses of the nodes of a case, and of what answers in their place for the floor."""
    nodes = start_nodes(stack, case)
    peers, canned = ([address for node in nodes for address in node.ready[kind]] for kind in ("addresses", "canned"))
    return peers, canned


def _print_row(name: str, figures: Sequence[float], form: str) -> None:
    print(f"| {name} | " + " | ".join(format(figure, form) for figure in figures) + " |", flush=True)


def _print_head(*names: str) -> None:
    print("\n| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")


def main() -> None:
    """Some minutes on two quiet cores."""
    told = {}
    _print_head("CPU ms a request", *PHASES, "process")
    for case in TIMED:
        told[case.name] = cpu_ms(case)
        _print_row(case.name, told[case.name], ".2g")
    _print_head("exponent over", "all", *PHASES)
    for name, (cases, size) in GROWTH.items():
        _print_row(name, exponents([(case, told[case.name]) for case in cases], size), ".2f")
    _print_head("CPU ms a poll with a new column", *OF_POLLS, "process")
    for shape in SHAPES:
        for case in (Case(shape, 0.5), equal_nodes(Case(shape, 0.5))):
            for memory, told_ms in zip(("with memory", "without"), polls_ms(case.shape), strict=True):
                _print_row(f"{case.name}, {memory}", told_ms, ".2g")
    _print_head("ratio to the floor", *(f"without {', '.join(names)}" if names else "ours" for names in LEFT_OUT))
    for case in CASES:
        for form in (case, equal_nodes(case)):
            _print_row(form.name, without(form), ".2f")


if __name__ == "__main__":
    main()
