"""Logging to stderr, one line an event, as text or JSON. Configured once, before anything else starts."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from keyviz_grpc.request_id import REQUEST_ID

LogFormat = Literal["text", "json"]

_OF_CLIENTS: Final = {
    "asyncio": "socket.send() raised exception.",  # whoever is written to has gone
    "uvicorn.error": "Invalid HTTP request received.",  # the client gets a 400 that says so
}
"""What libraries warn of once for each client that leaves or speaks something else: nothing is wrong here."""

_OWN_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def configure_logging(
    log_format: LogFormat = "text", *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Replaces whatever handlers the root logger has. `stream` None = stderr.

    Fields given as `extra={...}` follow the message (`name=value`) or become members of the JSON object.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _OF_CLIENTS:
        logging.getLogger(name).addFilter(_worth_a_line)


def _worth_a_line(record: logging.LogRecord) -> bool:
    return record.msg != _OF_CLIENTS.get(record.name)


class TextLines(logging.Formatter):
    """`TIME LEVEL logger: message name=value`; line ends inside are escaped, so an event stays one line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        parts = [f"{_time_of(record)} {record.levelname} {record.name}: {record.getMessage()}"]
        parts += [f"{name}={_plain(value)}" for name, value in _extra(record).items()]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append("exception=" + _traceback_of(record.exc_info[1]))
        return _one_line(" ".join(parts))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event: dict[str, object] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {name: value for name, value in _extra(record).items() if name not in event}
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = _traceback_of(record.exc_info[1])
        return json.dumps(event, default=str, ensure_ascii=False)


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _extra(record: logging.LogRecord) -> dict[str, object]:
    extra = {name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS}
    request_id = REQUEST_ID.get()
    return extra | {"request_id": request_id} if request_id else extra


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n\r\t') else text


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _traceback_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
