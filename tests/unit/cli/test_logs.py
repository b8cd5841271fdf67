"""Logs: one line an event, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from keyviz_grpc.cli.logs import _OF_CLIENTS, LogFormat, configure_logging


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in _OF_CLIENTS:
        logging.getLogger(name).filters.clear()


def logged(log_format: LogFormat) -> str:
    """What one event with fields, a line end and an exception looks like."""
    stream = io.StringIO()
    configure_logging(log_format, stream=stream)
    try:
        int("first\nsecond")
    except ValueError:
        logging.getLogger("keyviz.test").exception("it broke\nbadly", extra={"peer": "a b", "status": 7})
    return stream.getvalue()


def test_text_is_one_line_with_fields() -> None:
    """A text event is one line, whatever is in it."""
    line = logged("text")
    assert line.count("\n") == 1
    assert 'ERROR keyviz.test: it broke\\nbadly peer="a b" status=7 exception=Traceback' in line


def test_json_is_one_object_a_line() -> None:
    """A JSON event is one object with its fields as members."""
    line = logged("json")
    assert line.count("\n") == 1
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("error", "keyviz.test", "it broke\nbadly")
    assert (event["peer"], event["status"]) == ("a b", 7)
    assert event["exception"].endswith(r"ValueError: invalid literal for int() with base 10: 'first\nsecond'")


def test_configuring_again_does_not_double_lines() -> None:
    """Only the last configuration counts."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("text", stream=first)
    configure_logging("text", stream=second)
    logging.getLogger("keyviz.test").info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


@pytest.mark.parametrize("name", _OF_CLIENTS)
def test_what_clients_do_is_no_line_each(name: str) -> None:
    """What else the same libraries warn of is there."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    for message in (_OF_CLIENTS[name], "another"):
        logging.getLogger(name).warning(message)
    assert stream.getvalue().count("\n") == 1
    assert "another" in stream.getvalue()
