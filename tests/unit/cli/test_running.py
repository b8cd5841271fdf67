"""Exit statuses and the ready line."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import click
import pytest

from keyviz_grpc.cli.running import announce_ready, as_usage_error, run, stop_requested
from keyviz_grpc.errors import SettingError, TraceError


def fails(error: BaseException) -> Callable[[], None]:
    """A command body that raises."""

    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (TraceError("trace.csv:3: bad"), 1, "keyviz-x: trace.csv:3: bad"),
        (OSError(98, "address in use"), 1, "keyviz-x: [Errno 98] address in use"),
        (click.ClickException("no\nway"), 1, "keyviz-x: no way"),
        (ZeroDivisionError("oops"), 1, "keyviz-x: internal error at test_running.py:"),
        (click.UsageError("wrong"), 2, "Error: wrong"),
        (KeyboardInterrupt(), 0, ""),
    ],
)
def test_exit_status_and_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every way of ending has its status, and no traceback is shown."""
    with pytest.raises(SystemExit) as left:
        run(click.Command("keyviz-x", callback=fails(error)), [])
    told = capsys.readouterr().err
    assert left.value.code == status
    assert line in told
    assert "Traceback" not in told
    if status == 1:
        assert told.count("\n") == 1


def test_settings_from_options_are_usage_errors() -> None:
    """A wrong combination of options is a wrong command line."""
    with pytest.raises(click.UsageError, match="--listen"), as_usage_error():
        raise SettingError("--listen needs TLS")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_ask_to_stop(number: signal.Signals) -> None:
    """Both signals set the event, and the old handler is back afterwards."""
    before = signal.getsignal(number)
    async with stop_requested() as stop:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
    assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)


def test_the_ready_line_has_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, gRPC first."""
    announce_ready(grpc="127.0.0.1:1", http="127.0.0.1:2")
    announce_ready(grpc="127.0.0.1:1")
    assert capsys.readouterr().out == "ready grpc=127.0.0.1:1 http=127.0.0.1:2\nready grpc=127.0.0.1:1\n"
