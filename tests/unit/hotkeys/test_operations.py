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
    piece = KeyRun.of(b"".join(keys), np.cumsum([0, *map(len, keys)]))
    labels = [label for _, label, _, _ in operations]
    return Columns(
        np.array([route_id for route_id, *_ in operations], np.uint64),
        np.array([write for _, _, write, _ in operations], np.bool_),
        labels if any(labels) else None,
        piece if run else keys,
        sum(len(key) // 256 for key in keys),
    )


def noted(operations: list[Operation]) -> Noted:
    """As the hot path notes them."""
    places: list[Operation | None] = []
    for operation in operations:
        places += [operation, *[None] * (len(operation[3]) // 256)]
    return Noted(places)


def sorted_groups(groups: dict[Kind, list[bytes]]) -> dict[Kind, list[bytes]]:
    """Any order is right."""
    return {kind: sorted(keys) for kind, keys in groups.items()}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("run", [False, True])
def test_arrays_have_the_same_groups_and_counts_as_a_list(ids: list[int], *, labelled: bool, run: bool) -> None:
    """Whole, and each part of one that was split."""
    operations = random_operations(ids, labelled=labelled)
    operations[100:120] = [(ids[0], "", True, bytes(100 * number)) for number in range(20)]
    for units in (-5, 0, 1, 123, 150, 10_000):
        lists, arrays = noted(operations).split(units), columns_of(operations, run=run).split(units)
        assert lists[0].units - max(units, 0) < 1900 // 256
        for one, other in zip(lists, arrays, strict=True):
            assert one.units == other.units
            assert one.counts() == other.counts()
            assert sorted_groups(one.groups()) == sorted_groups(other.groups())


def test_what_is_owned_keeps_nothing_of_the_whole_and_nothing_changes_it() -> None:
    """What is dropped is free at once, and whoever made the batch may use its arrays again."""
    data = np.frombuffer(b"x" * 1000 * 100, np.uint8).copy()
    ids = np.ones(100, np.uint64)
    whole = Columns(ids, np.ones(100, np.bool_), None, KeyRun.of(data.data, np.arange(101) * 1000), 300)
    first, _ = whole.split(9)
    own = first.owned()
    data[:] = ord("y")
    ids[:] = 7
    assert isinstance(own.keys, KeyRun)
    assert len(own.keys.data) == 3000
    assert own.groups() == {(1, "", True): [b"x" * 1000] * 3}
    assert own.route_ids.base is None


@pytest.mark.parametrize("run", [False, True])
def test_owned_ones_are_the_same(*, run: bool) -> None:
    """All of them, a part, some, and none."""
    operations = random_operations(IDS["small"], labelled=True)
    whole = columns_of(operations, run=run)
    for columns in (whole, *whole.split(100), whole.split(0)[0]):
        assert sorted_groups(columns.owned().groups()) == sorted_groups(columns.groups())
        assert columns.owned().units == columns.units
    if isinstance(whole.keys, KeyRun):
        numbers = np.array([5, 3, 400])
        owned = whole.keys.chosen(numbers).owned()
        assert owned.own_keys() == [operations[number][3] for number in numbers.tolist()]
        assert owned.is_whole
