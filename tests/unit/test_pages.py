"""What README and docs/ name exists: files, options of commands, and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import options
from keyviz_grpc.errors import FailureKind
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


def rows_below(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_failure_is_in_both_tables_of_faults() -> None:
    """In the README in the words that the page has for it, in production.md as it is called in answers and logs."""
    source = (ROOT / "gateway/page/src/panels/nodes.ts").read_text(encoding="utf-8")
    words = dict(re.findall(r'^  (\w+): "(.*)",$', source.partition("const KINDS")[2].partition("};")[0], re.MULTILINE))
    assert set(words) == set(FailureKind)
    shown = [row[1] for row in rows_below(ROOT / "README.md", "When something is wrong")]
    assert {kind for kind, said in words.items() if any(said in cell for cell in shown)} == set(FailureKind)
    called = [row[1] for row in rows_below(ROOT / "docs/production.md", "When something is wrong")]
    assert {kind for kind in FailureKind if any(f"`{kind}`" in cell for cell in called)} == set(FailureKind)
    assert all(any(said in cell for said in words.values()) or "nobody" in cell for cell in shown), shown
