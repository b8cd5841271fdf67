"""Rows that were written once are written again only when the matrix is another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.synthetic import Shape, cluster
from gateway.render import MatrixRenderer
from keyviz_grpc.errors import FailureKind
from keyviz_grpc.merge import merge
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf

FAILED = Outcome("p", kind=FailureKind.UNREACHABLE)


def answer(seed: int, *, degraded: bool = False) -> Answer:
    """A merged one with conflicts and flips."""
    parts: list[Answer | Outcome] = [*cluster(Shape(2, 30, 8, seed=seed)), *([FAILED] if degraded else [])]
    return merge(parts, query=MatrixQuery(), now_unix_ms=seed)


@pytest.mark.parametrize("identity", [True, False])
def test_bodies_are_the_same_with_and_without_a_shelf(identity: bool) -> None:
    """First, second and third time; another matrix in between; times and outcomes are those of each answer."""
    shelf = Shelf(1 << 24)
    kept, plain = MatrixRenderer(shelf=shelf), MatrixRenderer()
    one, other = answer(1), answer(2)
    later = replace(one, generated_at_unix_ms=1_777_290_300_000)
    for shown in (one, one, later, other, one, later, other, other, other):
        assert kept.render(shown, identity=identity) == plain.render(shown, identity=identity)
    assert 0 < shelf.used_bytes <= 1 << 24


def test_nothing_of_a_degraded_answer_is_kept() -> None:
    """However often it is shown."""
    shelf = Shelf(1 << 24)
    renderer, degraded = MatrixRenderer(shelf=shelf), answer(1, degraded=True)
    assert renderer.render(degraded) == renderer.render(degraded) == MatrixRenderer().render(degraded)
    assert shelf.used_bytes == 0


def test_with_and_without_identities_are_two_things() -> None:
    """The one is never shown for the other."""
    renderer, one = MatrixRenderer(shelf=Shelf(1 << 24)), answer(1)
    for _ in range(3):
        assert b"leader_terms" in renderer.render(one)
        assert b"leader_terms" not in renderer.render(one, identity=False)
