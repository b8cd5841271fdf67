"""Requests that want the same at the same moment share one piece of work, which the first of them does itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from starlette.requests import Request

from gateway.endpoints import while_connected
from keyviz_grpc.aggregator.flights import Waiting

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Others(Waiting[Value | None]):
    """Those who wait for work that another request does.

    They are told None where it was cancelled: whoever of them comes first then does it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alone: Callable[[], None] | None = None

    async def wait(self) -> Value | None:
        """What the work comes to."""
        told: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self.futures.add(told)
        try:
            return await told
        finally:
            self.futures.discard(told)
            del told  # it knows the error that knows this frame
            if self._alone is not None:
                self.when_alone(self._alone)

    def when_alone(self, call: Callable[[], None]) -> None:
        """Calls it once nobody waits: now, or when the last one leaves before the work is done."""
        self._alone = call if self.futures else None
        if not self.futures:
            call()

    def tell(self, value: Value | None) -> None:
        """See `Waiting`."""
        self._alone = None
        super().tell(value)

    @property
    def any(self) -> bool:
        """Whether anybody waits."""
        return bool(self.futures)

    def fail(self, error: Exception) -> bool:
        """See `Waiting`."""
        self._alone = None
        return super().fail(error)


class SharedWork(Generic[Key, Value]):
    """Work by key. Whoever does it goes on for the others when its own client has left.

    A task for the work alone would take turns of the loop to begin and to tell that it is done. joined: called whenever
    a request waits for what another one does.
    """

    def __init__(self, joined: Callable[[], None]) -> None:
        self._joined = joined
        self._under_way: dict[Key, _Others[Value]] = {}

    async def of(
        self, request: Request, key: Key, work: Callable[[], Awaitable[Value]], *, left: Callable[[], None]
    ) -> Value:
        """The result of the work under this key; see `while_connected`.

        left: called when the client has left for whose request the work is done, while others want it too.
        """
        while (others := self._under_way.get(key)) is not None:
            self._joined()
            value = await while_connected(request, others.wait())
            if value is not None:
                return value
        others = self._under_way[key] = _Others()

        def end(cancel: Callable[[], None]) -> None:
            if others.any:
                left()
            others.when_alone(lambda: self._end(key, others, cancel))

        return await while_connected(request, self._done(key, others, work), end)

    def is_shared(self, key: Key) -> bool:
        """Whether others wait for the work under this key, while it is under way."""
        others = self._under_way.get(key)
        return others is not None and others.any

    async def _done(self, key: Key, others: _Others[Value], work: Callable[[], Awaitable[Value]]) -> Value:
        try:
            value = await work()
        except Exception as error:
            others.fail(error)
            raise
        else:
            others.tell(value)
            return value
        finally:
            self._forget(key, others)
            others.tell(None)  # cancelled, where they do not know better yet

    def _end(self, key: Key, others: _Others[Value], cancel: Callable[[], None]) -> None:
        # Who comes while it ends does not wait for it.
        self._forget(key, others)
        cancel()

    def _forget(self, key: Key, others: _Others[Value]) -> None:
        if self._under_way.get(key) is others:
            del self._under_way[key]
