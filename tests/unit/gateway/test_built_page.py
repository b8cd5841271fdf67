"""The built page: small, hashed, all of it our own."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[3] / "gateway" / "static"
MOST_BYTES = 150_000


@pytest.fixture
def built() -> list[Path]:
    """Every file of the page; a skip where it was not built."""
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    if not files:
        pytest.skip("the page is not built: make ui")
    return files


def test_the_whole_page_is_under_150_kb_gzipped(built: list[Path]) -> None:
    """Index, scripts, worker, styles and icon together."""
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in built) < MOST_BYTES


def test_every_asset_is_named_by_its_content(built: list[Path]) -> None:
    """So that it can be kept for ever: a hash in each name, and only the index outside of assets."""
    outside = [path.name for path in built if path.parent.name != "assets"]
    assert outside == ["index.html"]
    for path in built:
        if path.parent.name == "assets":
            assert re.search(r"-[A-Za-z0-9_-]{8}\.(js|css|svg)$", path.name), path.name


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_inline(built: list[Path]) -> None:
    """The index has no script of its own, and no file names another host as a source."""
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", index) == []
    assert re.findall(r'(?:src|href)="(?!/admin/assets/)[^"]*"', index) == []
    for path in built:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert re.findall(r"(?:import|fetch|url)\(\s*[\"'`]?https?://", text) == [], path.name
