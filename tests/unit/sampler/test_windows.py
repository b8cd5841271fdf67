"""How many windows are open at once is bounded, and no count is lost by it."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series, Window
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Route, Sampler
from keyviz_grpc.sampler.windows import FEW_LATE

STEP_MS = 1000
START_MS = 1_000_000
COLUMNS = 500


def sampler_at(clock: SteppedClock, columns: int = COLUMNS) -> Sampler:
    """With hot keys, and a drainer that sleeps."""
    made = Sampler(
        node_id="n",
        step_ms=STEP_MS,
        columns=columns,
        clock=clock,
        stall_s=math.inf,
        drain_interval_s=3600.0,
        hot_keys=HotKeysSettings(),
    )
    made.register_routes([Route(1, b"", b"")])
    return made


def count_at(sampler: Sampler, *moments_ms: int) -> None:
    """One write each, of a key that is the moment's."""
    ones = [1] * len(moments_ms)
    sampler.observe_many(ones, [b"%d" % at for at in moments_ms], ones, ones, at_unix_ms=list(moments_ms))


def shown(sampler: Sampler) -> Counter[int]:
    """Writes by the stamp of their window."""
    matrix = sampler.matrix(MatrixQuery(Series.WRITES)).matrix
    totals = zip(matrix.columns.tolist(), matrix.values.sum(axis=0).tolist(), strict=True)
    return Counter({stamp: times for stamp, times in totals if times})


MOST_LATE = 60


@pytest.fixture
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """For so many windows of one route that are over, and a few bytes."""
    monkeypatch.setattr("keyviz_grpc.sampler.windows.LATE_BYTES", MOST_LATE * (1024 + 32) + 500)


@pytest.mark.usefixtures("_little_room")
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_operations_of_many_windows_that_are_over_open_so_many_at_most(*, in_one_batch: bool) -> None:
    """Each counts where it belongs, among the cells and among the hot keys, twice over."""
    clock = SteppedClock(START_MS)
    moments = [START_MS - STEP_MS * number - 1 for number in range(300)]
    with sampler_at(clock) as sampler:
        for _ in "ab":
            for part in [moments] if in_one_batch else [moments[n : n + 7] for n in range(0, 300, 7)]:
                count_at(sampler, *part)
                assert sampler.stats().windows_open <= MOST_LATE + 1
        clock.move_to(START_MS + STEP_MS)
        sampler.tick()
        assert sampler.stats().windows_open == 1
        assert shown(sampler) == Counter({at + 1: 2 for at in moments})
        for at in moments[::50]:
            answer = sampler.hot_keys(HotKeysQuery(1, window=Window(at + 1, at + 2)))
            assert [(item.key, item.lower, item.upper) for item in answer.keys] == [(b"%d" % at, 2, 2)]


def test_operations_of_windows_to_come_open_no_more_than_there_are_columns() -> None:
    """And the ring has in the end what it would have if the clock had gone there first."""
    clock = SteppedClock(START_MS)
    columns = 20
    moments = [START_MS + STEP_MS * number for number in range(100)]
    with sampler_at(clock, columns) as sampler:
        count_at(sampler, *moments)
        assert sampler.stats().windows_open <= columns + 1
        sampler.advance_to(START_MS + 100 * STEP_MS)
        assert shown(sampler) == Counter({at + STEP_MS: 1 for at in moments[-columns:]})


@pytest.mark.parametrize(("columns", "room", "late"), [(500, 64 << 20, 299), (20, 64 << 20, 20), (500, 1, FEW_LATE)])
def test_how_many_are_late_is_a_matter_of_memory(
    monkeypatch: pytest.MonkeyPatch, columns: int, room: int, late: int
) -> None:
    """A backfill opens all that it needs while there is room, though no more than there are columns; else a few."""
    monkeypatch.setattr("keyviz_grpc.sampler.windows.LATE_BYTES", room)
    with sampler_at(SteppedClock(START_MS), columns) as sampler:
        count_at(sampler, *[START_MS - STEP_MS * number - 1 for number in range(299)])
        assert sampler.stats().windows_open == late + 1


@pytest.mark.usefixtures("_little_room")
def test_the_window_of_the_moment_never_closes_early() -> None:
    """Whatever comes late or early besides."""
    clock = SteppedClock(START_MS)
    with sampler_at(clock) as sampler:
        count_at(sampler, START_MS)
        count_at(sampler, *[START_MS + STEP_MS * number for number in range(-200, 700)])
        assert START_MS + STEP_MS not in shown(sampler)
        count_at(sampler, START_MS)
        clock.move_to(START_MS + STEP_MS)
        sampler.tick()
        assert shown(sampler)[START_MS + STEP_MS] == 3
