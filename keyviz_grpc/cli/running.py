"""How a command runs and ends: exit statuses, signals, the ready line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Iterator

import click

from keyviz_grpc.errors import KeyVizError, SettingError

EXIT_FAILED = 1


def run(command: click.Command, arguments: list[str] | None = None) -> None:
    """Runs a command and leaves the process: 0 when it ended well, 2 for a wrong command line, else 1 with one line.

    `arguments` None = those of the process.
    """
    name = command.name or "keyviz"
    try:
        command.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(name, error.format_message())
    except click.Abort:
        sys.exit(0)
    except (KeyVizError, OSError) as error:
        _fail(name, str(error))
    except KeyboardInterrupt:
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the outermost edge: one line, never a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"  # noqa: PTH119 - a file name for people
        _fail(name, f"internal error at {place}: {type(error).__name__}: {error}")
    sys.exit(0)


def _fail(name: str, message: str) -> None:
    click.echo(f"{name}: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_FAILED)


@contextlib.contextmanager
def as_usage_error() -> Iterator[None]:
    """Turns a SettingError inside into a wrong command line (exit status 2), for settings built from options."""
    try:
        yield
    except SettingError as error:
        raise click.UsageError(str(error)) from error


@contextlib.asynccontextmanager
async def stop_requested(*, until_stdin_closes: bool = False) -> AsyncIterator[asyncio.Event]:
    """An event that is set by SIGINT, by SIGTERM and, if asked for, by the end of standard input.

    The handlers hold inside the block only. A second signal does nothing more: draining has a time limit of its own.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watching = until_stdin_closes and _watch_stdin(loop, stop)
    try:
        yield stop
    finally:
        if watching:
            loop.remove_reader(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> bool:
    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    try:
        loop.add_reader(0, read)
    except (OSError, PermissionError):  # a file or /dev/null: cannot be waited for and never closes later
        stop.set()
        return False
    return True


def announce_ready(*, grpc: str = "", http: str = "") -> None:
    """Prints the one ready line on stdout: `ready grpc=HOST:PORT http=HOST:PORT`, of the two what there is."""
    parts = [f"{name}={address}" for name, address in (("grpc", grpc), ("http", http)) if address]
    click.echo(" ".join(["ready", *parts]))
    sys.stdout.flush()
