"""What README and docs/ name exists: files, options of commands, and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import options
from tests.unit.test_commands_page import commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_options_and_tests_exist(page: Path) -> None:
    """A reader is never sent to nowhere."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target
    known = {
        name for command in commands() for option in command.params for name in (*option.opts, *option.secondary_opts)
    }
    known.update(name for option in options()._actions for name in option.option_strings)
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text)) <= known
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in TESTS, name
    for path in re.findall(r"`((?:tests|docs|keyviz_grpc|gateway|benchmarks)/[\w/]+\.\w+)`", text):
        assert (ROOT / path).exists(), path
