"""Polls with memory of closed columns against polls without, in turn, over HTTP from processes of their own.

Beside them a gateway without work polls, of which no target speaks: it asks the same nodes for what closed since its
last poll, reads no cell, and sends a ready body; where polls find a new column, so that every row is another text, it
encodes that body anew as the floor of whole requests does. A memory that does with less has to take the text of rows
over from its last body, which pays for long rows alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import cycle, permutations
from pathlib import Path
from statistics import median

from benchmarks.children import Child
from benchmarks.http_client import RawClient
from benchmarks.measure import Result, as_table, compare, ratio
from benchmarks.synthetic import STEP_MS, Shape

WARM_UP = 4
REMEMBER_BYTES = 128 << 20

SHAPES = (Shape(3, 1024, 60), Shape(3, 1024, 1440))


def warm_polls(*, quick: bool) -> Iterator[Result]:
    """Every shape with trouble and with equal nodes; polls between two columns, and polls that each find a new one."""
    for shape in SHAPES[:1] if quick else SHAPES:
        for form in (shape, replace(shape, flips=False, divergent=False, conflict_share=0.0)):
            for steps in (False, True):
                yield from run_case(form, steps=steps, samples=25)


def run_case(shape: Shape, *, steps: bool, samples: int) -> list[Result]:
    """The rows of one case; the gateways ask the same nodes, and who is first changes every time: nodes put an answer
    together for the first who asks for it.
    """
    rounds = samples + WARM_UP
    with ExitStack() as stack:
        nodes = polled_nodes(stack, shape, rounds)
        peers = [address for node in nodes for address in node.ready["addresses"]]
        gateways = [Child("gateway", peers=peers, remember=size) for size in (REMEMBER_BYTES, 0)]
        sides = [stack.enter_context(gateway) for gateway in gateways]
        clients = [stack.enter_context(RawClient(side.ready["address"])) for side in sides]
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "body.json"
        path.write_bytes(clients[1].get()[1])
        sides.append(
            stack.enter_context(Child("passing", peers=peers, body=str(path), older=False, knows=True, encodes=steps))
        )
        clients.append(stack.enter_context(RawClient(sides[2].ready["address"])))
        took: tuple[list[float], list[float], list[float]] = ([], [], [])
        before: list[dict[str, float]] = []
        for number, order in zip(range(rounds), cycle(permutations(range(3))), strict=False):
            if steps:
                for node in nodes:
                    node.ask("step")
            if number == WARM_UP:
                before = [side.ask("used") for side in sides]
            for side in order:
                ms, _ = clients[side].get()
                if number >= WARM_UP:
                    took[side].append(ms)
        after = [side.ask("used") for side in sides]
        _check_same(clients[:2])
    cpu = [(late["cpu_s"] - early["cpu_s"]) / samples * 1000 for early, late in zip(before, after, strict=True)]
    trouble = ", flips, conflicts, catalogues that differ" if shape.flips else ", equal nodes"
    name = f"poll {shape.name}{trouble}{', a new column each' if steps else ', nothing new'}, warm against cold"
    warm, cold, least = took
    return [
        *compare(name, warm, cold, target="<= 0.5"),
        Result(name, "CPU ms a request", cpu[0], cpu[1], cpu[0] / cpu[1], ""),
        Result(name, "peak MB", after[0]["peak_mb"], after[1]["peak_mb"], None, ""),
        Result(name, "p50 ms of a gateway without work", median(least), median(cold), ratio(least, cold), ""),
        Result(name, "gateway without work, CPU ms", cpu[2], cpu[1], cpu[2] / cpu[1], ""),
    ]


def polled_nodes(stack: ExitStack, shape: Shape, rounds: int) -> list[Child]:
    """A process for each, which counts a window more when told to "step", so often at most."""
    now = int(time.time() * 1000) + STEP_MS * rounds
    given = {"shape": asdict(shape), "steps": rounds, "now_unix_ms": now}
    return [stack.enter_context(Child("polled", numbers=[number], **given)) for number in range(shape.nodes)]


def _check_same(clients: list[RawClient]) -> None:
    """Raises RuntimeError where the two sides do not say the same."""
    bodies = [client.get()[1].partition(b'"generated_at"')[0] for client in clients]
    if bodies[0] != bodies[1]:
        raise RuntimeError("the answers with and without memory differ")


def main() -> None:
    """The whole table."""
    print(as_table(list(warm_polls(quick=False))))


if __name__ == "__main__":
    main()
