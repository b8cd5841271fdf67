"""`python -m benchmarks [--quick]`: prints a table and writes build/bench.json."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.hot import hot_keys
from benchmarks.measure import as_table, write_json
from benchmarks.page import the_page
from benchmarks.parts import single_parts
from benchmarks.request import whole_requests
from benchmarks.ring import full_ring
from benchmarks.tree import tree_and_flat
from benchmarks.warm import warm_polls


def main() -> None:
    """Single parts in this process, whole requests against real servers on loopback."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases and samples, within two minutes")
    quick: bool = parser.parse_args().quick
    results = [
        *single_parts(quick=quick),
        *full_ring(quick=quick),
        *hot_keys(quick=quick),
        *whole_requests(quick=quick),
        *warm_polls(quick=quick),
    ]
    results += asyncio.run(the_page(quick=quick))
    if not quick:
        results += tree_and_flat()
    print(as_table(results))
    write_json(results, Path("build/bench.json"))


if __name__ == "__main__":
    main()
