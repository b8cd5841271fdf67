"""Fuzzes one target: `python -m tests.fuzz TARGET SECONDS FOLDER`. What does harm is left in FOLDER as `crash-…`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

MAX_INPUT_BYTES = 4096


def main() -> None:
    """Ends with status 0 when nothing was found in time."""
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with atheris.instrument_imports(include=["keyviz_grpc", "gateway", "tests.fuzz.targets"]):
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
