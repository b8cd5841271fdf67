"""A source in this process that hangs: nothing piles up behind it."""

from __future__ import annotations

import threading

from keyviz_grpc.aggregator.local import HANGS_S, THREADS, LocalCalls
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Outcome


async def test_calls_behind_a_source_that_hangs_are_refused_at_once_until_it_wakes() -> None:
    """At first they wait for a thread and their own deadline; it may just be slow."""
    now, go, begun = [0.0], threading.Event(), threading.Semaphore(0)
    calls = LocalCalls(lambda: now[0])

    def hang() -> str:
        begun.release()
        go.wait(30)
        return "woken"

    for _ in range(THREADS):
        found = await calls.ask(hang, Deadline.after(0.01))
        assert isinstance(found, Outcome)
        assert found.detail == "no answer in time"
        assert begun.acquire(timeout=30)
    now[0] = HANGS_S - 0.1
    waited = await calls.ask(lambda: "never", Deadline.after(0.01))
    assert isinstance(waited, Outcome)
    assert waited.detail == "no answer in time"
    now[0] = HANGS_S
    refused = await calls.ask(lambda: "never", Deadline.after(600))
    assert isinstance(refused, Outcome)
    assert (refused.kind, "2 calls have not come back for 10 s" in refused.detail) == ("deadline_exceeded", True)
    go.set()
    while isinstance(found := await calls.ask(lambda: "here", Deadline.after(0.05)), Outcome):
        pass
    assert found == "here"
    calls.close()
