"""What becomes of exceptions that reach the edge."""

from __future__ import annotations

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gateway.edge import Edge
from gateway.metrics import Metrics
from gateway.problems import Refused
from keyviz_grpc.errors import Overloaded

SCOPE = {"type": "http", "method": "GET", "path": "/x", "headers": []}


async def _nothing_comes() -> Message:
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "status"), [(Overloaded("full"), 503), (Refused("not_found", "no"), 404), (ClientDisconnect(), 499)]
)
@pytest.mark.parametrize("begun", [False, True])
async def test_what_a_handler_raises_is_an_answer_unless_one_has_begun(
    caplog: pytest.LogCaptureFixture, error: Exception, status: int, *, begun: bool
) -> None:
    """Then it goes no further, and is logged whatever it is: its caller has half of an answer."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def send(message: Message) -> None:
        sent.append(message)

    await Edge(app, metrics=Metrics())(dict(SCOPE), _nothing_comes, send)
    assert [message["status"] for message in sent if "status" in message] == [200 if begun else status]
    assert len(sent) == (1 if begun else 2)
    assert [record.message for record in caplog.records if record.exc_info] == ["a request failed"] * begun


@pytest.mark.parametrize(("status", "level"), [(200, "DEBUG"), (404, "INFO"), (499, "DEBUG")])
async def test_a_request_leaves_a_line_at_the_level_of_its_end(
    caplog: pytest.LogCaptureFixture, status: int, level: str
) -> None:
    """Those that went well only where somebody wants to see them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Message) -> None:
        del message

    for wanted, lines in (("DEBUG", [level]), ("INFO", [level] * (level == "INFO"))):
        caplog.clear()
        with caplog.at_level(wanted, logger="gateway.edge"):
            await Edge(app, metrics=Metrics())(dict(SCOPE), _nothing_comes, send)
        assert [record.levelname for record in caplog.records if record.message == "request"] == lines
