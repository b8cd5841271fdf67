"""The rooms of the house: who may import whom, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

IO_AND_CLOCKS = ("asyncio", "datetime", "grpc", "io", "logging", "os", "pathlib", "socket", "threading", "time")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code, by full dotted name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def files_of(room: str) -> list[Path]:
    """The files of a room, be it a module or a package."""
    path = ROOT / room
    module = path.with_suffix(".py")
    return [module] if module.is_file() else sorted(p for p in path.rglob("*.py") if "proto" not in p.parts)


def reaches(room: str, *forbidden: str) -> list[str]:
    """`file imports module` for each import of a forbidden module or of anything below it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(room)
        for name in sorted(imports_of(path))
        if any(name == bad or name.startswith(bad + ".") for bad in forbidden)
    ]


def test_the_library_never_imports_the_gateway() -> None:
    """keyviz_grpc stands alone."""
    assert reaches("keyviz_grpc", "gateway") == []


def test_the_gateway_meets_grpc_only_where_it_wires_peers() -> None:
    """Only entry points of the gateway know grpc or protobuf."""
    entry_points = {"gateway/__main__.py", "gateway/demo.py", "gateway/wiring.py"}
    transports = ("grpc", "google.protobuf", "keyviz_grpc.proto", "keyviz_grpc.codec", "keyviz_grpc.client")
    found = reaches("gateway", *transports)
    assert [line for line in found if line.split(" ")[0] not in entry_points] == []


@pytest.mark.parametrize("room", ["keyviz_grpc/merge", "keyviz_grpc/model", "keyviz_grpc/outcome", "keyviz_grpc/query"])
def test_pure_rooms_do_no_io_and_read_no_clock(room: str) -> None:
    """Merging is a function of its arguments."""
    assert files_of(room)
    assert reaches(room, *IO_AND_CLOCKS, "keyviz_grpc.proto") == []


def test_the_aggregator_sees_peers_only_through_a_protocol() -> None:
    """The aggregator can be tested with scripted peers, because it knows no transport."""
    assert files_of("keyviz_grpc/aggregator")
    assert reaches("keyviz_grpc/aggregator", "grpc", "google.protobuf", "keyviz_grpc.proto", "keyviz_grpc.client") == []


def test_the_sampler_knows_no_transport() -> None:
    """A store embeds the sampler without starting gRPC."""
    assert files_of("keyviz_grpc/sampler")
    assert reaches("keyviz_grpc/sampler", "grpc", "keyviz_grpc.proto", "keyviz_grpc.codec") == []


def test_errors_import_nothing_of_ours() -> None:
    """The exception tree is the ground floor."""
    assert reaches("keyviz_grpc/errors", "keyviz_grpc", "gateway") == []


def test_the_timeline_knows_nothing_of_what_is_on_it() -> None:
    """The ring and the windows of hot keys are kept by it, and it serves both alike."""
    assert files_of("keyviz_grpc/timeline")
    assert reaches("keyviz_grpc/timeline", "keyviz_grpc", "gateway") == []
    for room in ("keyviz_grpc/sampler/ring", "keyviz_grpc/hotkeys/held"):
        assert reaches(room, "keyviz_grpc.timeline"), room
        assert reaches(room, "bisect") == []


def test_hot_keys_do_not_know_the_sampler() -> None:
    """The sampler tells them, they ask nobody."""
    assert reaches("keyviz_grpc/hotkeys", "keyviz_grpc.sampler", "grpc", "keyviz_grpc.proto") == []


def test_production_code_never_imports_the_test_helpers() -> None:
    """`testing` is for tests and the demo."""
    found = reaches("keyviz_grpc", "keyviz_grpc.testing") + reaches("gateway", "keyviz_grpc.testing")
    assert [line for line in found if not line.startswith("keyviz_grpc/testing/")] == []
