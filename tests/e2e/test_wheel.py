"""The distribution: refused without the page, and complete with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PACKED = (
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "protos",
    "keyviz_grpc",
    "gateway",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The tracked files of the distribution, without anything that was built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *PACKED], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        target = tmp_path / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return tmp_path / "source"


def build(source: Path) -> subprocess.CompletedProcess[str]:
    """As `pip wheel` does it, with the build tools that are there."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=source,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_wheel_without_the_page_fails_to_build(source: Path) -> None:
    """And says what to do."""
    built = build(source)
    assert built.returncode != 0
    assert "make ui" in built.stdout + built.stderr
    assert not list(source.glob("dist/*.whl"))


def test_a_wheel_has_the_page_the_contract_and_types(source: Path) -> None:
    """Generated code, type marks, the page and its licence, and the commands."""
    page = source / "gateway" / "static" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<!doctype html>", encoding="utf-8")
    built = build(source)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = source.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        commands = packed.read(entry_points).decode()
    assert {
        "keyviz_grpc/py.typed",
        "keyviz_grpc/proto/keyviz_pb2.py",
        "keyviz_grpc/proto/keyviz_pb2_grpc.pyi",
        "gateway/static/index.html",
        "gateway/openapi/openapi.json",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "gateway/page/"))]
    for command in ("keyviz-node", "keyviz-gateway", "keyviz-demo", "keyviz-token"):
        assert command in commands
