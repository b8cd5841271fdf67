"""What every test gets: no proxies, leaked tasks and blocked loops noticed, and tools that are missing said plainly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A change is judged by the same examples every time; `make test-long` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)  # a busy machine is no failure
settings.load_profile("same")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LONGEST_STALL_S = 2.0

APART = ("tests/e2e/test_cli.py", "tests/integration/test_bench_")
"""Files whose processes are waited for one by one, and of which nothing is timed: whoever has time takes them.

Beside the tests of servers another worker computes in any case.
"""


class Rooms(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """With several workers one has everything that starts servers, one the page, and both the files of pure code."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if file.startswith("tests/e2e/page/"):
            return "page"  # one browser a session
        if file.startswith(APART):
            return file
        # Servers and faults are timed: two such tests side by side would wait for each other.
        return "servers" if file.startswith(("tests/e2e/", "tests/integration/")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Rooms:
    """See pytest-xdist. Marks of groups would do, but pytest 9.2 does not show them to it."""
    return Rooms(config, log)


def require_tool(name: str, hint: str) -> str:
    """The path of a program, else a skip that says what to install; a failure where CI must have everything."""
    found = shutil.which(name)
    if found is not None:
        return found
    message = f"{name} is not installed: {hint}"
    if os.environ.get("KEYVIZ_REQUIRE_TOOLS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def grpcurl() -> str:
    """The path of a real grpcurl."""
    return require_tool("grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a real chromium."""
    return require_tool("chromium", "apt-get install chromium")


@pytest.fixture(scope="session")
def shared_trace() -> tuple[Path, Path]:
    """The real trace and the real leadership changes, which live beside a checkout and are never shipped."""
    trace, leadership = SHARED / "block_trace.csv.gz", SHARED / "leadership.csv"
    if trace.is_file() and leadership.is_file():
        return trace, leadership
    message = f"real inputs are not beside this checkout (looked for {trace.name} in ../shared/data)"
    if os.environ.get("KEYVIZ_REQUIRE_SHARED") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in [name for name in os.environ if name.startswith("KEYVIZ_") and not name.startswith("KEYVIZ_REQUIRE_")]:
        monkeypatch.delenv(name)


class _StallWatch:
    """Beats on the loop and, from a thread, remembers the longest time between two beats.

    Time in which the machine had no processor for threads of ours is not the loop's fault and does not count.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._beat = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    async def beat(self) -> None:
        self._thread.start()
        try:
            while True:
                self._beat = time.monotonic()
                await asyncio.sleep(0.05)
        finally:
            self._stop.set()
            self._thread.join()

    def _watch(self) -> None:
        starved_s: float | None = None
        while not self._stop.wait(0.05):
            late_s = time.monotonic() - self._beat
            if late_s < 4 * 0.05:
                starved_s = None
                continue
            now_s = _starved_s()
            starved_s = now_s if starved_s is None else starved_s
            self.longest_s = max(self.longest_s, late_s - (now_s - starved_s))


def _starved_s() -> float:
    """How long threads of this process were ready to run so far and had to wait for a processor; 0.0 off Linux."""
    waited_ns = 0
    for stats in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            waited_ns += int(stats.read_text(encoding="ascii").split()[1])
    return waited_ns / 1e9


def _is_grpcs(work: object) -> bool:
    # Calls that were cut off when a server stopped end some turns of the loop later.
    return "grpc" in repr(work) or type(work).__module__.startswith("_cython")


@contextlib.asynccontextmanager
async def healthy_loop(*, grace_s: float = 0) -> AsyncIterator[None]:
    """Fails a test that blocks the running loop for seconds or leaves a task of its own behind.

    grace_s: how long tasks may take to end, on a loop that lives on after the test.
    """
    watch = _StallWatch()
    beat = asyncio.create_task(watch.beat())
    before = asyncio.all_tasks()
    yield
    new = asyncio.all_tasks() - before - {asyncio.current_task()}
    leaked = {task for task in new if not task.done() and not _is_grpcs(task.get_coro())}
    if leaked and grace_s > 0:
        _, leaked = await asyncio.wait(leaked, timeout=grace_s)
    beat.cancel()
    await asyncio.gather(beat, return_exceptions=True)
    if leaked:
        pytest.fail(f"tasks left behind: {sorted(repr(task.get_coro()) for task in leaked)}")
    if watch.longest_s > LONGEST_STALL_S:
        pytest.fail(f"the event loop stood still for {watch.longest_s:.1f} s")


@pytest_asyncio.fixture(autouse=True)
async def _healthy_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Every coroutine test runs on a loop that is watched."""
    if not isinstance(request.node, pytest.Function) or not asyncio.iscoroutinefunction(request.node.obj):
        yield
        return
    async with healthy_loop():
        yield


@pytest.fixture
def collect_garbage() -> Iterator[Callable[[], None]]:
    """Runs the collector, for tests that watch what is still alive."""
    yield lambda: (gc.collect(), None)[1]
    gc.collect()
