"""Which endpoint answers which path, also inside of another application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.app import create_app
from gateway.paths import BELOW, Paths
from tests.unit.gateway.scripted import ScriptedCluster


def telling(name: str, told: list[Any]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An application that notes that it was asked, and for what below its own path."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        told.append((name, scope.get("path_params", {}).get(BELOW)))

    return app


async def nothing() -> Message:
    """Nobody says anything."""
    raise RuntimeError("nobody was to be asked")


async def nowhere(message: Message) -> None:
    """Nobody is told."""
    raise RuntimeError(f"nobody was to be told {message}")


@pytest.mark.parametrize(
    ("scope", "answers"),
    [
        ({"path": "/a"}, ("a", None)),
        ({"path": "/a/"}, ("below a", "")),
        ({"path": "/a/b/c"}, ("b", "c")),
        ({"path": "/a/bb/c"}, ("below a", "bb/c")),
        ({"path": "/ab"}, ("other", None)),
        ({"path": ""}, ("other", None)),
        ({"path": "/in/a", "root_path": "/in"}, ("a", None)),
        ({"path": "/in/a/b/c", "root_path": "/in"}, ("b", "c")),
        ({"path": "/inner/a", "root_path": "/in"}, ("other", None)),
        ({"path": "/in", "root_path": "/in"}, ("other", None)),
        ({"path": "/a", "root_path": "/a"}, ("other", None)),
        ({"path": "/a/b/c", "root_path": "/a/"}, ("b", "c")),
        ({"path": "/a", "type": "websocket"}, ("other", None)),
    ],
)
async def test_the_nearest_answers(scope: dict[str, str], answers: tuple[str, str | None]) -> None:
    """The path itself before those above it; where another application mounts this one, by what is left of the path."""
    told: list[Any] = []
    above = {"/a/b/": telling("b", told), "/a/": telling("below a", told)}
    paths = Paths({"/a": telling("a", told)}, above, telling("other", told))
    await paths({"type": "http", **scope}, nothing, nowhere)
    assert told == [answers]


async def test_there_is_nothing_to_start_and_to_end() -> None:
    """A server asks all the same."""
    asked = iter(["startup", "shutdown"])
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": f"lifespan.{next(asked)}"}

    async def send(message: Message) -> None:
        told.append(message)

    await create_app(ScriptedCluster())({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in told] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
