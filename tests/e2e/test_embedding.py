"""The README's example is a program that runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_example_works(tmp_path: Path) -> None:
    """Copied from the README into a file, it serves a sampler and ends without a warning."""
    [example] = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(example)
    ran = subprocess.run(
        [sys.executable, "-W", "error", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"grpcurl -plaintext 127\.0\.0\.1:[1-9]\d* keyviz\.v1\.KeyViz/GetKeyVizMatrix", ran.stdout)
