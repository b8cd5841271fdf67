"""Batches of arrays say of themselves what the same operations say one by one."""

from __future__ import annotations

import numpy as np
import pytest

from keyviz_grpc.hotkeys.operations import Columns, KeyRun, Kind, Noted, Operation

IDS = {"small": [1, 2, 300], "large": [1, 2**63, 2**64 - 1]}


def random_operations(ids: list[int], *, labelled: bool) -> list[Operation]:
    """Of few kinds, with keys of many lengths that repeat."""
    rng = np.random.default_rng(len(ids) + labelled)
    keys = [rng.bytes(int(size)) for size in rng.integers(0, 9, 40)]
    labels = ["", "a", "b"] if labelled else [""]
    return [
        (int(rng.choice(np.array(ids, object))), str(rng.choice(labels)), bool(rng.integers(2)), keys[rng.integers(40)])
        for _ in range(500)
    ]


def columns_of(operations: list[Operation], *, run: bool) -> Columns:
    """The same in arrays; run: with the keys in one piece."""
    keys = [key for *_, key in operations]
    piece = KeyRun(b"".join(keys), np.cumsum([0, *map(len, keys)]))
    labels = [label for _, label, _, _ in operations]
    return Columns(
        np.array([route_id for route_id, *_ in operations], np.uint64),
        np.array([write for _, _, write, _ in operations], np.bool_),
        labels if any(labels) else None,
        piece if run else keys,
    )


def sorted_groups(groups: dict[Kind, list[bytes]]) -> dict[Kind, list[bytes]]:
    """Any order is right."""
    return {kind: sorted(keys) for kind, keys in groups.items()}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("run", [False, True])
def test_arrays_have_the_same_groups_and_counts_as_a_list(ids: list[int], *, labelled: bool, run: bool) -> None:
    """Whole, and each part of one that was split."""
    operations = random_operations(ids, labelled=labelled)
    for first in (0, 1, 123, len(operations)):
        lists, arrays = Noted(operations).split(first), columns_of(operations, run=run).split(first)
        for one, other in zip(lists, arrays, strict=True):
            assert len(one) == len(other)
            assert one.counts() == other.counts()
            assert sorted_groups(one.groups()) == sorted_groups(other.groups())


def test_a_part_does_not_keep_the_keys_of_the_whole() -> None:
    """What is dropped is free at once."""
    whole = columns_of([(1, "", True, b"x" * 1000)] * 100, run=True)
    first, _ = whole.split(3)
    assert isinstance(first.keys, KeyRun)
    assert len(first.keys.data) == 3000
