"""`python -m benchmarks [--quick] [--only SECTION …]`: prints a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from benchmarks.hot import hot_keys
from benchmarks.measure import Result, as_table, write_json
from benchmarks.page import the_page
from benchmarks.parts import single_parts
from benchmarks.request import whole_requests
from benchmarks.ring import full_ring
from benchmarks.tree import tree_and_flat
from benchmarks.warm import warm_polls


def _page(*, quick: bool) -> list[Result]:
    return asyncio.run(the_page(quick=quick))


def _tree(*, quick: bool) -> list[Result]:
    return [] if quick else tree_and_flat()


class _Section(Protocol):
    def __call__(self, *, quick: bool) -> Iterable[Result]: ...


SECTIONS: Final[dict[str, _Section]] = {
    "parts": single_parts,
    "ring": full_ring,
    "hot": hot_keys,
    "requests": whole_requests,
    "warm": warm_polls,
    "page": _page,
    "tree": _tree,
}


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases and samples, within two minutes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="these sections alone")
    return parser


def main() -> None:
    """Single parts in this process, whole requests against real servers on loopback."""
    asked = options().parse_args()
    results = [row for name, rows in SECTIONS.items() if name in asked.only for row in rows(quick=asked.quick)]
    print(as_table(results))
    write_json(results, Path("build/bench.json"))


if __name__ == "__main__":
    main()
