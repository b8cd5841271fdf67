"""Fuzzes targets one after another: `python -m tests.fuzz TARGET,… SECONDS FOLDER`, SECONDS for each.

What does harm is left in FOLDER as `TARGET-crash-…`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

MAX_INPUT_BYTES = 4096


def main() -> None:
    """Ends with status 0 when nothing was found in time, else with 1 once all had their turn."""
    names, seconds, folder = sys.argv[1].split(","), int(sys.argv[2]), Path(sys.argv[3])
    with atheris.instrument_imports(include=["keyviz_grpc", "gateway", "tests.fuzz.targets"]):
        import tests.fuzz.seeds
        import tests.fuzz.targets  # noqa: F401 - here, so that a process of its own for each target need not
    found_harm = False
    for name in names:
        sys.stderr.write(f"target: {name}\n")
        child = os.fork()  # a fuzzer ends its process, and to import with every branch watched takes seconds
        if child == 0:
            fuzz(name, seconds, folder)
            os._exit(1)  # a fuzzer that comes back has not done its work
        found_harm |= os.waitpid(child, 0)[1] != 0
    sys.exit(int(found_harm))


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Ends this process, with status 0 when nothing was found."""
    from tests.fuzz.seeds import write_seeds
    from tests.fuzz.targets import TARGETS

    corpus = folder / f"corpus-{name}"
    write_seeds(name, corpus)
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-seed=1",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/{name}-",
    ]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
