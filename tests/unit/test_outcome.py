"""Answers are values."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, History, LeafRange


def test_an_answer_with_its_moments_is_otherwise_the_same() -> None:
    """Every field stays, in its place."""
    one = cluster(Shape(1, 4, 3))[0]
    told: dict[str, Any] = {
        "incarnation": 5,
        "step_ms": 6,
        "generated_at_unix_ms": 7,
        "oldest_unix_ms": 8,
        "merged": True,
        "column_nodes": np.ones(3, np.int64),
        "leaf_sets": ((0,),),
        "row_leaf_set": np.zeros(4, np.int64),
        "leaf_ranges": (LeafRange(0, 0, b"a", b"b"),),
        "leaf_answers": ((0, one),),
        "revision": 9,
        "history": History(1),
    }
    answer = replace(one, node_id="n", **told)
    timed, expected = answer.between(11, 12), replace(answer, asked_unix_ms=11, received_unix_ms=12)
    assert [f.name for f in fields(Answer) if getattr(timed, f.name) is not getattr(expected, f.name)] == []
    assert not any(getattr(timed, f.name) is f.default for f in fields(Answer)), "else a lost field is not seen"
    other = replace(one.matrix, series=Series.READS)
    changed = timed.of(other)
    assert [f.name for f in fields(Answer) if getattr(changed, f.name) is not getattr(timed, f.name)] == ["matrix"]
    assert changed.matrix is other
