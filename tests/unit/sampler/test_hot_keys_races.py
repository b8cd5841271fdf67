"""A route that changes in the middle of an operation: its key is where its count is, before the change or after it."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from keyviz_grpc.clock import SteppedClock
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery, HotKeysSettings
from keyviz_grpc.model import Series
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.sampler import Op, Route, Sampler
from keyviz_grpc.sampler.counting import SPARE_SLOTS

STEP_MS = 1000
START_MS = 1_000_000
WHOLE, HALF = Route(1, b"a", b"m"), Route(1, b"a", b"g")
KEY = b"h"
"""Of the whole, and not of the half."""

THREADS, TURNS = 4, 40


class Interrupted:
    """A clock and dice that make a change the next time that somebody looks at one of them."""

    def __init__(self) -> None:
        self.now = SteppedClock(START_MS)
        self.on_clock: Callable[[], None] | None = None
        self.on_dice: list[Callable[[], None] | None] = []

    def clock(self) -> float:
        """Unix seconds."""
        hook, self.on_clock = self.on_clock, None
        if hook is not None:
            hook()
        return self.now()

    def dice(self) -> float:
        """Every operation is looked at, and counted."""
        hook = self.on_dice.pop(0) if self.on_dice else None
        if hook is not None:
            hook()
        return 0.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """Whose dice every sampler throws."""
    made = Interrupted()
    monkeypatch.setattr("keyviz_grpc.sampler.observing.random", made)
    monkeypatch.setattr(Interrupted, "random", Interrupted.dice, raising=False)
    return made


@pytest.fixture
def sampler(world: Interrupted) -> Iterator[Sampler]:
    """Counts one in two, looks at the keys of one in two; nothing but the test moves it."""
    with Sampler(
        node_id="n",
        step_ms=STEP_MS,
        clock=world.clock,
        stall_s=math.inf,
        drain_interval_s=3600.0,
        sample_one_in=2,
        hot_keys=HotKeysSettings(sample_one_in=2),
    ) as made:
        made.register_routes([WHOLE])
        yield made


def writes(sampler: Sampler) -> dict[str, int]:
    """By bucket id."""
    matrix = sampler.matrix(MatrixQuery(Series.WRITES)).matrix
    return {
        row.bucket_id: int(total) for row, total in zip(matrix.catalogue.rows, matrix.values.sum(axis=1), strict=True)
    }


def told(answer: HotKeysAnswer) -> int:
    """Operations that the hot keys of a route are about."""
    return answer.sample_rate * (answer.sampled_n + answer.dropped_samples + answer.skipped_long_keys)


@pytest.mark.parametrize("moment", ["before it is looked up", "before it is noted", "before it is counted"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new to the hot path"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("long", [False, True], ids=["", "too long"])
def test_an_operation_in_whose_middle_its_route_changes(
    sampler: Sampler, world: Interrupted, moment: str, *, known: bool, times: int, long: bool
) -> None:
    """The range shrinks, once or to and fro: wherever it counts, the route's hot keys are those of its row."""
    if known:
        sampler.observe(1, KEY, Op.WRITE, 1)

    def change() -> None:
        for number in range(times):
            sampler.replace_routes(remove=(), add=[WHOLE if number % 2 else HALF])

    if moment == "before it is looked up":
        world.on_clock = change
    else:
        world.on_dice = [change] if moment == "before it is noted" else [None, change]
    sampler.observe(1, KEY * 2000 if long else KEY, Op.WRITE, 1)
    assert not world.on_clock
    assert not any(world.on_dice)
    world.now.move_to(START_MS + STEP_MS)
    sampler.tick()
    shown, answer = writes(sampler), sampler.hot_keys(HotKeysQuery(1))
    assert sum(shown.values()) == 2 * (1 + known), "none is lost, none is there twice"
    assert told(answer) == shown.get("route:1", 0)


def test_no_other_range_gets_the_slot_of_an_operation_that_is_not_counted_yet(
    sampler: Sampler, world: Interrupted
) -> None:
    """Slots that nothing shows are used again, of which there are many: but not while a thread still knows one."""

    def move(end: bytes) -> None:
        sampler.register_routes([Route(1, b"a", end)])
        writes(sampler)  # whoever looks at a row gives it a slot

    def change() -> None:
        move(b"y")
        move(b"z")

    for number in range(2 * SPARE_SLOTS):
        move(b"x%03d" % number)
    for _ in range(2):
        world.now.move_to(world.now.unix_ms + STEP_MS)
        sampler.tick()
        move(b"x")
        world.on_dice = [None, change]
        sampler.observe(1, KEY, Op.WRITE, 1)
    world.now.move_to(world.now.unix_ms + STEP_MS)
    sampler.tick()
    shown = writes(sampler)
    assert sum(shown.values()) == 4
    assert told(sampler.hot_keys(HotKeysQuery(1))) == shown["route:1"] == 0


def test_what_was_noted_of_a_route_that_did_not_change_is_never_lost(sampler: Sampler, world: Interrupted) -> None:
    """Another one did in the middle of it, and all that was noted until then was claimed more than once."""

    def change() -> None:
        sampler.register_routes([Route(2, b"m", b"x%d" % len(world.on_dice))])
        for _ in range(3):
            sampler.tick()

    for number in range(5):
        world.on_dice = [change]
        sampler.observe(1, b"%d" % number, Op.WRITE, 1)
    world.now.move_to(START_MS + STEP_MS)
    sampler.tick()
    assert told(sampler.hot_keys(HotKeysQuery(1))) == writes(sampler)["route:1"] == 10


@pytest.fixture
def _often() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_often")
def test_threads_that_note_while_routes_change_all_the_time() -> None:
    """Whenever they rest, the row of the last range and its hot keys are about the same operations."""
    now = SteppedClock(START_MS)

    def work(sampler: Sampler, key: bytes, over: threading.Event) -> None:
        while not over.is_set():
            sampler.observe(1, key, Op.WRITE, 1)

    with Sampler(
        node_id="n", step_ms=STEP_MS, clock=now, stall_s=math.inf, drain_interval_s=0.001, hot_keys=HotKeysSettings()
    ) as sampler:
        sampler.register_routes([WHOLE])
        for turn in range(TURNS):
            over = threading.Event()
            threads = [threading.Thread(target=work, args=(sampler, b"%d" % number, over)) for number in range(THREADS)]
            for thread in threads:
                thread.start()
            for number in range(30):
                sampler.register_routes([Route(1, b"a", b"b%05d" % (30 * turn + number))])
            over.set()
            for thread in threads:
                thread.join()
            now.move_to(now.unix_ms + STEP_MS)
            sampler.tick()
            assert told(sampler.hot_keys(HotKeysQuery(1))) == writes(sampler).get("route:1", 0)
