"""The ring keeps columns packed and says the same as before."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.model import Matrix, Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.block import Block, Packed
from keyviz_grpc.sampler.column import Column
from keyviz_grpc.sampler.ring import BLOCK_COLUMNS, FRESH_COLUMNS, Place, Ring
from keyviz_grpc.sampler.window import OpenWindow

STEP_MS = 1000


def _window(rng: np.random.Generator, slots: int, one_in: int = 1) -> Column:
    window = OpenWindow(slots, one_in)
    count = int(rng.integers(0, 60))
    kinds = rng.integers(0, 2 * slots, count)
    window.count(kinds, rng.integers(0, 1 << int(rng.integers(1, 34)), count).astype(np.uint64))
    if rng.random() < 0.5:
        window.stamp(np.arange(slots), np.full(slots, int(rng.integers(0, 4)), np.uint32))
        window.count(rng.integers(0, 2 * slots, count), np.ones(count, np.uint64))
    return window.close(rng.integers(0, 4, slots).astype(np.uint32))


def _says(column: Column, slots: int) -> list[list[int]]:
    """All that a column means: counts by slot, identities of slots with writes, shares, soft marks."""
    said = [[*values.tolist(), *[0] * (slots - len(values))] for values in column.counts.values()]
    writes = column.counts[Series.WRITES]
    said.append([int(code) if count else 0 for code, count in zip(column.codes, writes, strict=True)])
    said[-1] += [0] * (slots - len(writes))
    frozen = column.frozen
    said += [frozen.slots.tolist(), frozen.codes.tolist(), frozen.writes.tolist(), frozen.write_bytes.tolist()]
    for marks in (column.soft or {}).values():
        said.append([*marks.tolist(), *[False] * (slots - len(marks))])
    return said


@given(
    arrays.arrays(
        np.uint64,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
        elements=st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]),
    )
)
def test_packing_loses_nothing(values: np.ndarray[tuple[int, int], np.dtype[np.uint64]]) -> None:
    """Every width of value comes back as it was, in any shape, also from a transposed array."""
    assert np.array_equal(Packed.of(values).unpacked(), values)
    assert np.array_equal(Packed.of(values.T).unpacked(), values.T)


@pytest.mark.parametrize("one_in", [1, 4])
def test_a_block_says_what_its_columns_said(one_in: int) -> None:
    """Counts, identities, shares and soft marks of columns of different lengths survive packing."""
    rng = np.random.default_rng(7)
    columns = [_window(rng, int(slots), one_in) for slots in rng.integers(1, 30, BLOCK_COLUMNS)]
    block = Block.of(columns)
    assert block.slots == max(len(column.codes) for column in columns)
    for before, after in zip(columns, block.unpacked(), strict=True):
        assert _says(after, block.slots) == _says(before, block.slots)


class _Both:
    """Two samplers with the same traffic; one never packs."""

    def __init__(self, columns: int) -> None:
        self.clock = SteppedClock(10 * STEP_MS)
        self.packed, self.loose = (
            Sampler(
                node_id="n1",
                step_ms=STEP_MS,
                columns=columns,
                incarnation=1,
                stall_s=1e9,
                clock=self.clock,
                wall_clock=self.clock,
                drain_interval_s=3600,
            )
            for _ in range(2)
        )
        self.loose.tidy = lambda: None  # type: ignore[method-assign]

    @property
    def samplers(self) -> tuple[Sampler, Sampler]:
        """Both."""
        return self.packed, self.loose

    def close(self) -> None:
        """Ends their threads."""
        for sampler in self.samplers:
            sampler.close()


def _same(left: Matrix, right: Matrix) -> bool:
    identities = [matrix.identity_arrays() for matrix in (left, right)]
    same = left.catalogue == right.catalogue and np.array_equal(left.columns, right.columns)
    same = same and np.array_equal(left.values, right.values) and (identities[0] is None) == (identities[1] is None)
    if identities[0] is not None and identities[1] is not None:
        same = same and all(np.array_equal(a, b) for a, b in zip(identities[0], identities[1], strict=True))
    shares = zip(left.shares.__slots__, strict=True)
    return same and all(np.array_equal(getattr(left.shares, n), getattr(right.shares, n)) for (n,) in shares)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_answers_are_the_same_packed_and_loose(seed: int) -> None:
    """Under flips, splits, late operations and a ring that runs over, packing changes no answer and no history."""
    rng = np.random.default_rng(seed)
    both = _Both(columns=int(rng.integers(70, 200)))
    routes = [Route(n, b"%02d" % n, b"%02d" % (n + 1), n % 3 + 1) for n in range(1, 9)]
    for sampler in both.samplers:
        sampler.register_routes(routes)
    term = 1
    for _ in range(230):
        now = both.clock.unix_ms
        ids = rng.integers(1, 9, 20).astype(np.uint64)
        ops, sizes = rng.integers(0, 2, 20), rng.integers(0, 1 << 20, 20)
        late = rng.random() < 0.03
        at = np.maximum(1, now - rng.integers(0, 150 * STEP_MS, 20)) if late else np.full(20, now)
        flip = int(rng.integers(1, 4)) if rng.random() < 0.1 else 0
        term += 1
        moved = Route(3, b"03", b"035" if rng.random() < 0.5 else b"04", int(rng.integers(1, 4)))
        change = rng.random() < 0.02
        for sampler in both.samplers:
            sampler.observe_many(ids, [b"k"] * 20, ops, sizes, at_unix_ms=at)
            if flip:
                sampler.set_leader(flip, term)
            if change:
                sampler.register_routes([moved])
        both.clock.move_to(now + STEP_MS)
        for sampler in both.samplers:
            sampler.tick()
            sampler.tidy()
    kinds = {type(held) for _, held in both.packed._counting.ring.between(0, 0)}
    assert kinds == {Column, Place}
    assert {type(held) for _, held in both.loose._counting.ring.between(0, 0)} == {Column}
    first = both.packed._counting.ring.oldest_unix_ms
    for series in Series:
        for window in ((0, 0), (first + 37 * STEP_MS, first + 66 * STEP_MS)):
            query = MatrixQuery(series, type(MatrixQuery().window)(*window))
            packed, loose = (sampler.matrix(query) for sampler in both.samplers)
            assert _same(packed.matrix, loose.matrix)
            assert packed.revision == loose.revision
    both.close()


def test_a_column_that_changes_while_it_is_packed_stays_loose() -> None:
    """A late count that comes between taking columns and putting the block in their place is not lost."""
    ring = Ring(200)
    rng = np.random.default_rng(1)
    for number in range(BLOCK_COLUMNS + FRESH_COLUMNS):
        ring.put((number + 1) * STEP_MS, _window(rng, 5))
    due = ring.due()
    block = Block.of([column for _, column in due])
    ring.put(3 * STEP_MS, _window(rng, 5))
    before = [_says(held, 5) for _, held in ring.between(0, 0) if isinstance(held, Column)]
    ring.pack(due, block)
    assert [_says(held, 5) for _, held in ring.between(0, 0) if isinstance(held, Column)] == before
    assert len(before) == BLOCK_COLUMNS + FRESH_COLUMNS
    ring.pack(ring.due(), Block.of([column for _, column in ring.due()]))
    assert sum(isinstance(held, Place) for _, held in ring.between(0, 0)) == BLOCK_COLUMNS


def test_few_columns_are_not_packed() -> None:
    """While there are fewer than a block and the newest, nothing is due."""
    ring = Ring(200)
    for number in range(BLOCK_COLUMNS + FRESH_COLUMNS - 1):
        ring.put((number + 1) * STEP_MS, _window(np.random.default_rng(1), 5))
    assert ring.due() == []


def test_nobody_waits_for_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a block is made, operations are counted, windows close and questions are answered."""
    both = _Both(columns=200)
    sampler, clock = both.packed, both.clock
    sampler.register_routes([Route(1, b"", b"", 1)])
    entered, leave = threading.Event(), threading.Event()
    make = Block.of

    def slowly(columns: list[Column]) -> Block:
        entered.set()
        if not leave.wait(60):
            raise TimeoutError("nobody let the packing go on")
        return make(columns)

    monkeypatch.setattr(Block, "of", slowly)
    clock.move_to(clock.unix_ms + (BLOCK_COLUMNS + FRESH_COLUMNS) * STEP_MS)
    sampler.tick()
    packing = threading.Thread(target=sampler.tidy)
    packing.start()
    try:
        assert entered.wait(60)
        sampler.observe(1, b"key", Op.WRITE, 10)
        clock.move_to(clock.unix_ms + STEP_MS)
        sampler.tick()
        assert int(sampler.matrix(MatrixQuery(Series.WRITES)).matrix.values[0, -1]) == 1
    finally:
        leave.set()
        packing.join()
    assert any(isinstance(held, Place) for _, held in sampler._counting.ring.between(0, 0))
    both.close()
