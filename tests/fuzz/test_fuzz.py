"""The fuzzer, for seconds; and all that it ever found. By hand and for as long as one likes: `make fuzz`."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import FOUND, SEEDS, write_seeds
from tests.fuzz.targets import TARGETS

SECONDS = 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_it_starts_from_and_what_it_once_found_does_no_harm(target: str, tmp_path: Path) -> None:
    """Every seed and every finding, without the fuzzer."""
    write_seeds(target, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert files
    for path in files:
        TARGETS[target](path.read_bytes())
    TARGETS[target](b"")


def test_every_target_has_seeds_and_every_finding_a_target() -> None:
    """Nothing is forgotten."""
    assert set(SEEDS) == set(TARGETS)
    assert {path.name for path in FOUND.iterdir()} <= set(TARGETS)


def fuzzed(targets: list[str], folder: Path, seconds: int) -> tuple[int, dict[str, str]]:
    """(exit status, what was said of each target) of a bounded run."""
    if importlib.util.find_spec("atheris") is None:
        message = "atheris, the fuzzer, has no wheel for this Python or machine"
        if os.environ.get("KEYVIZ_REQUIRE_TOOLS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    command = [sys.executable, "-m", "tests.fuzz", ",".join(targets), str(seconds), str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=110,
        check=False,
    )
    _, *parts = re.split(r"^target: (\w+)\n", done.stdout, flags=re.MULTILINE)
    return done.returncode, dict(zip(parts[::2], parts[1::2], strict=True))


def test_nothing_is_found_in_seconds(tmp_path: Path) -> None:
    """In any target, by thousands of inputs chosen by the branches that they take."""
    targets = sorted(set(TARGETS) - {"planted"})
    status, told = fuzzed(targets, tmp_path, SECONDS)
    assert sorted(told) == targets
    assert status == 0, {target: said[-3000:] for target, said in told.items() if "ERROR: libFuzzer" in said} or told
    for target, said in told.items():
        [ran] = re.findall(r"stat::number_of_executed_units: (\d+)", said)
        assert int(ran) > len(list((tmp_path / f"corpus-{target}").glob("seed-*"))), target
        covered = [int(number) for number in re.findall(r"cov: (\d+)", said)]
        assert covered[-1] > 5, target


def test_the_fuzzer_finds_a_planted_fault(tmp_path: Path) -> None:
    """Four right bytes in a row: no chance without watching branches, seconds with it. What did harm is kept."""
    status, said = fuzzed(["planted"], tmp_path, 60)
    assert status != 0
    assert "the planted fault was found" in said["planted"]
    [crash] = tmp_path.glob("planted-crash-*")
    with pytest.raises(RuntimeError, match="planted"):
        TARGETS["planted"](crash.read_bytes())
