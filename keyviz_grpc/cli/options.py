"""Option types with units, and one way of declaring options: each has an environment variable and shows its default."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from keyviz_grpc.addresses import parse_address
from keyviz_grpc.outcome import Member
from keyviz_grpc.version import VERSION

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration(text: str) -> float:
    """Seconds of `2s`, `500ms`, `1m`, `1.5h` or `1d`; ValueError, whose text says what is expected, otherwise."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected a number and a unit, such as 500ms, 2s, 1m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Bytes of `512B`, `16KiB`, `64MiB` or `1GiB`; ValueError, whose text says what is expected, otherwise."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected a whole number and a unit, such as 512B, 16KiB or 64MiB")
    return int(found[1]) * _BYTES[found[2]]


class Duration(click.ParamType[float]):
    """Text such as `2s` to float seconds, from `at_least_s` to `at_most_s`, both included."""

    name = "duration"

    def __init__(self, *, at_least_s: float = 0.001, at_most_s: float = 366 * 86400.0) -> None:
        self._at_least_s = at_least_s
        self._at_most_s = at_most_s

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Fails with a usage error that names option and value."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not self._at_least_s <= seconds <= self._at_most_s:
            self.fail(f"{value!r} is not between {self._at_least_s:g}s and {self._at_most_s:g}s", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """Text such as `64MiB` to bytes, from `at_least` to `at_most`, both included; a plain 0 where that is allowed."""

    name = "size"

    def __init__(self, *, at_least: int = 1, at_most: int = (1 << 31) - 1) -> None:
        self._at_least = at_least
        self._at_most = at_most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails with a usage error that names option and value."""
        if isinstance(value, int):
            return value
        try:
            size = 0 if self._at_least == 0 and str(value).strip() == "0" else parse_size(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not self._at_least <= size <= self._at_most:
            self.fail(f"{value!r} is not between {self._at_least} and {self._at_most} bytes", param, ctx)
        return size


class Address(click.ParamType[str]):
    """Text such as `127.0.0.1:50051` or `[::1]:0` to the same text in its plain form; port 0 only if `port_zero`."""

    name = "host:port"

    def __init__(self, *, port_zero: bool = True) -> None:
        self._port_zero = port_zero

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Fails with a usage error that names option and value."""
        try:
            address = parse_address(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not self._port_zero and address.endswith(":0"):
            self.fail(f"{value!r}: nobody can be reached at port 0", param, ctx)
        return address


class Addresses(click.ParamType[tuple[str, ...]]):
    """Text such as `A:1,B:2` to a tuple of addresses that can be reached, at least one."""

    name = "host:port,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Fails with a usage error that names option and value."""
        if isinstance(value, tuple):
            return value
        parts = [part for part in str(value).split(",") if part.strip()]
        if not parts:
            self.fail(f"{value!r}: expected HOST:PORT,HOST:PORT,…", param, ctx)
        return tuple(PEER_ADDRESS.convert(part, param, ctx) for part in parts)


class NodeId(click.ParamType[str]):
    """What a node is called: some text in which everything can be seen."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Fails with a usage error that names option and value."""
        name = str(value).strip()
        if not name or not name.isprintable():
            self.fail(f"{value!r}: expected a name that can be read", param, ctx)
        return name


class MemberOf(click.ParamType[Member]):
    """Text such as `n2=10.0.0.2:50051` to another node of the cluster."""

    name = "node_id=host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Member:
        """Fails with a usage error that names option and value."""
        if isinstance(value, Member):
            return value
        name, equals, address = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r}: expected NODE_ID=HOST:PORT, such as n2=10.0.0.2:50051", param, ctx)
        return Member(NODE_ID.convert(name, param, ctx), PEER_ADDRESS.convert(address, param, ctx))


class Speed(click.ParamType[float]):
    """A positive multiple of real time, or `max`, which becomes infinity."""

    name = "speed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Fails with a usage error that names option and value."""
        if value == "max":
            return math.inf
        try:
            speed = float(str(value))
        except ValueError:
            speed = math.nan
        if not 0 < speed < 1e9:
            self.fail(f"{value!r}: expected max or a positive multiple of real time, such as 60", param, ctx)
        return speed


SIZE: Final = Size()
MEMORY: Final = Size(at_most=1 << 40)
ADDRESS: Final = Address()
PEER_ADDRESS: Final = Address(port_zero=False)
ADDRESSES: Final = Addresses()
NODE_ID: Final = NodeId()
MEMBER: Final = MemberOf()
SPEED: Final = Speed()
FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
FOLDER: Final = click.Path(exists=True, file_okay=False, readable=True, path_type=Path)


def option(flag: str, *, help: str, **attributes: Any) -> Callable[[_Command], _Command]:  # noqa: A002 - click's own word
    """A click option that also reads `KEYVIZ_<NAME>` and says so, with its default, in --help.

    flag: such as `--max-message` (or `--one/--other`), whose variable is then KEYVIZ_MAX_MESSAGE. `help` states the
    unit where there is one.
    """
    variable = "KEYVIZ_" + flag.partition("/")[0].removeprefix("--").replace("-", "_").upper()
    given = {"envvar": variable, "show_envvar": True, "show_default": True, "help": help, **attributes}
    return click.option(flag, **given)


def given_options() -> list[str]:
    """The flags that the command line or the environment gives to the command that runs, in the order of its help."""
    context = click.get_current_context()
    told = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return [
        param.opts[0]
        for param in context.command.params
        if param.name is not None and context.get_parameter_source(param.name) in told
    ]


def check_goes_with(needed: str, *flags: str, met: bool) -> None:
    """Raises UsageError where one of the flags was given and would do nothing, because `needed` is not met."""
    for flag in () if met else given_options():
        if flag in flags:
            raise click.UsageError(f"{flag} goes with {needed}")


def version_option(command: _Command) -> _Command:
    """Adds `--version`."""
    declare: Callable[[_Command], _Command] = click.version_option(VERSION, message="%(prog)s %(version)s")
    return declare(command)


def check_otlp(text: str | None) -> None:
    """Raises UsageError for a collector's address that is none; None = no traces."""
    if text is not None and not text.startswith(("http://", "https://")):
        raise click.UsageError(f"--otlp {text!r}: expected http://HOST:PORT or https://HOST:PORT")


def log_format_option(command: _Command) -> _Command:
    """Adds `--log-format`."""
    declare: Callable[[_Command], _Command] = option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Form of the log on stderr, one line an event.",
    )
    return declare(command)


def until_stdin_closes_option(command: _Command) -> _Command:
    """Adds `--until-stdin-closes`, for processes that must not outlive the one that started them."""
    declare: Callable[[_Command], _Command] = option(
        "--until-stdin-closes",
        is_flag=True,
        default=False,
        help="Also drain and end when standard input closes, so as not to outlive the process at its other end.",
    )
    return declare(command)
