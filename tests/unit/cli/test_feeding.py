"""What drives a node process's sampler."""

from __future__ import annotations

import logging
import math
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keyviz_grpc.cli import feeding
from keyviz_grpc.cli.feeding import (
    Feeder,
    Idle,
    Place,
    Replaying,
    SamplerSettings,
    Synthetic,
    TrafficSettings,
    feeder_of,
)
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.replay import Feed
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.workload import WorkloadFeed

SETTINGS = SamplerSettings(node_id="n1", step_ms=1000, columns=100, max_tracked_routes=100)
ALONE = Place(index=0, count=1, node_ids=("n1",))
START_MS = 1_700_000_000_000


def traffic_of(
    tmp_path: Path | None = None, *, workload: str = "none", speed: float = math.inf, history_s: float = 5.0
) -> TrafficSettings:
    """Settings with a trace of two writes, two seconds apart, if a folder is given."""
    trace = leadership = None
    if tmp_path is not None:
        trace, leadership = tmp_path / "t.csv", tmp_path / "l.csv"
        trace.write_text("time_s,op,key,value_bytes\n0,write,a,1\n2,write,b,1\n")
        leadership.write_text("time_s,raft_group_id,leader,term\n0,1,0,1\n")
    return TrafficSettings(
        workload="demo" if workload == "demo" else "none",
        seed=1,
        rate=100,
        history_s=history_s,
        trace=trace,
        leadership=leadership,
        speed=speed,
        trace_start_unix_ms=None if trace is None else START_MS + 1,
    )


def totals(feeder: Feeder) -> list[int]:
    """Writes by column."""
    totals: list[int] = feeder.sampler.matrix(MatrixQuery()).matrix.values.sum(axis=0).tolist()
    return totals


@pytest.mark.parametrize("kind", [Idle, Synthetic, Replaying])
def test_the_settings_choose(kind: type[Feeder], tmp_path: Path) -> None:
    """A trace comes before the workload, and none means an idle node."""
    settings = traffic_of(tmp_path if kind is Replaying else None, workload="none" if kind is Idle else "demo")
    feeder = feeder_of(SETTINGS, ALONE, settings)
    assert isinstance(feeder, kind)
    feeder.sampler.close()


def test_full_speed_is_all_in_preparation(tmp_path: Path) -> None:
    """The start is rounded down to the step, every window is closed, and running has nothing left to do."""
    feeder = feeder_of(SETTINGS, ALONE, traffic_of(tmp_path))
    feeder.prepare(threading.Event())
    assert totals(feeder) == [1, 0, 1]
    assert feeder.sampler.matrix(MatrixQuery()).matrix.columns[0] == START_MS + 1000
    feeder.run(threading.Event())
    feeder.sampler.close()


def test_a_multiple_of_real_time(tmp_path: Path) -> None:
    """A number feeds as time goes by, faster than time, to the same end."""
    feeder = feeder_of(SETTINGS, ALONE, traffic_of(tmp_path, speed=30.0))
    feeder.prepare(threading.Event())
    assert totals(feeder) == []
    began = time.monotonic()
    feeder.run(threading.Event())
    assert 0.09 <= time.monotonic() - began < 2
    assert totals(feeder) == [1, 0, 1]
    feeder.sampler.close()


def test_stopping_ends_a_slow_replay(tmp_path: Path) -> None:
    """Nobody has to wait for the end of a trace."""
    feeder = feeder_of(SETTINGS, ALONE, traffic_of(tmp_path, speed=0.001))
    stop = threading.Event()
    thread = threading.Thread(target=feeder.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    feeder.sampler.close()


def test_a_trace_longer_than_the_ring_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What will be dropped is said before it happens."""
    small = SamplerSettings(node_id="n1", step_ms=1000, columns=2, max_tracked_routes=100)
    with caplog.at_level(logging.WARNING):
        feeder = feeder_of(small, ALONE, traffic_of(tmp_path))
    assert "more windows than are held" in caplog.text
    feeder.sampler.close()


def test_the_workload_has_a_past_at_once() -> None:
    """A demo is worth looking at from its first second."""
    feeder = feeder_of(SETTINGS, ALONE, traffic_of(workload="demo", history_s=20.0))
    feeder.prepare(threading.Event())
    assert len(totals(feeder)) >= 19
    assert all(totals(feeder))
    feeder.sampler.close()


@pytest.mark.parametrize("slowness", [0.5, 2.0])
def test_the_past_has_no_hole_where_making_it_takes_long(
    slowness: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes by meanwhile is made too; a machine that only falls behind further does not try for ever."""
    now = [float(START_MS // 1000)]
    advance = WorkloadFeed.advance

    def slowly(feed: WorkloadFeed, sampler: Sampler, unix_ms: int) -> None:
        now[0] += max(0.0, unix_ms - feed.clock.unix_ms) / 1000 * slowness
        advance(feed, sampler, unix_ms)

    monkeypatch.setattr(WorkloadFeed, "advance", slowly)
    monkeypatch.setattr(feeding, "time", SimpleNamespace(time=lambda: now[0]))
    feeder = feeder_of(SETTINGS, ALONE, traffic_of(workload="demo", history_s=20.0))
    feeder.prepare(threading.Event())
    columns = feeder.sampler.matrix(MatrixQuery()).matrix.columns
    assert set((columns[1:] - columns[:-1]).tolist()) == {1000}
    behind_ms = now[0] * 1000 - columns[-1]
    if slowness < 1:
        assert behind_ms < 2000
        assert len(columns) >= 39
    else:
        assert behind_ms > 5000
        assert len(columns) == 20
    assert "did not run" not in caplog.text
    feeder.sampler.close()


@pytest.mark.parametrize("kind", [Synthetic, Replaying])
def test_a_node_that_is_to_end_does_not_finish_its_past(
    kind: type[Feeder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of it takes minutes: it ends after the piece that was begun."""
    monkeypatch.setattr(feeding, "_PIECE_MS", 1000)
    monkeypatch.setattr(feeding, "_PIECE_WINDOWS", 1)
    traffic = traffic_of(tmp_path if kind is Replaying else None, workload="demo", history_s=20.0)
    feeder = feeder_of(SETTINGS, ALONE, traffic)
    stop, pieces = threading.Event(), []
    feed = Feed if kind is Replaying else WorkloadFeed
    advance = feed.advance

    def stopped(own: Any, sampler: Sampler, unix_ms: int) -> None:
        pieces.append(unix_ms)
        stop.set()
        advance(own, sampler, unix_ms)

    monkeypatch.setattr(feed, "advance", stopped)
    feeder.prepare(stop)
    assert len(pieces) == 1
    feeder.sampler.close()
