"""Option types: units, bounds and errors that name option and value."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from keyviz_grpc.addresses import is_wildcard, parse_address
from keyviz_grpc.cli.options import (
    ADDRESS,
    ADDRESSES,
    PEER_ADDRESS,
    SIZE,
    Duration,
    Size,
    option,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("500ms", 0.5), ("1m", 60.0), ("1.5h", 5400.0), ("1d", 86400.0)]
)
def test_durations_become_seconds(text: str, seconds: float) -> None:
    """Every unit of a duration is understood."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "2", "s", "-1s", "1 s", "1w", "1e3s", "nans", "1m30s"])
def test_other_durations_are_refused(text: str) -> None:
    """A number without a unit, and anything else, says what is expected."""
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "size"), [("1B", 1), ("16KiB", 16384), ("64MiB", 67108864), ("1GiB", 1 << 30)])
def test_sizes_become_bytes(text: str, size: int) -> None:
    """Every unit of a size is understood."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "64", "64MB", "1.5MiB", "-1B", "64 MiB"])
def test_other_sizes_are_refused(text: str) -> None:
    """Decimal units and bare numbers are refused rather than guessed."""
    with pytest.raises(ValueError, match="a whole number and a unit"):
        parse_size(text)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0", "localhost:50051", "keyviz-0.keyviz.svc.cluster.local:1"])
def test_addresses_keep_their_form(text: str) -> None:
    """Names, IPv4 and IPv6 in brackets are addresses, with port 0 for listeners."""
    assert parse_address(text) == text


@pytest.mark.parametrize(
    "text", ["", ":80", "host", "host:", "host:x", "host:65536", "::1:80", "[::g]:80", "a b:80", "http://h:1"]
)
def test_other_addresses_are_refused(text: str) -> None:
    """Anything that is not HOST:PORT is refused."""
    with pytest.raises(ValueError, match=r"expected HOST:PORT|port|IPv6|host name"):
        parse_address(text)


@pytest.mark.parametrize(
    ("address", "wildcard"),
    [("0.0.0.0:1", True), ("[::]:1", True), ("127.0.0.1:1", False), ("[::1]:1", False), ("h:1", False)],
)
def test_a_wildcard_is_no_address_to_be_found_at(address: str, wildcard: bool) -> None:
    """Only the unspecified addresses of both families."""
    assert is_wildcard(address) is wildcard


@click.command()
@option("--timeout", type=Duration(), default="2s", help="How long.")
@option("--max-message", type=SIZE, default="64MiB", help="How large.")
@option("--listen", type=ADDRESS, default="127.0.0.1:0", help="Where.")
@option("--peers", type=ADDRESSES, default=None, help="Who.")
@option("--peer", type=PEER_ADDRESS, default=None, help="Which.")
@option("--step", type=Duration(at_least_s=0.1, at_most_s=10), default="1s", help="Step.")
@option("--cap", type=Size(at_least=1024), default="1KiB", help="Cap.")
def sample(**options: object) -> None:
    """Echo what was understood."""
    click.echo(repr(options))


def test_defaults_are_converted() -> None:
    """Defaults are written with units and arrive as numbers."""
    outcome = CliRunner().invoke(sample, [])
    assert "'timeout': 2.0" in outcome.output
    assert "'max_message': 67108864" in outcome.output


def test_help_names_variable_and_default() -> None:
    """--help shows the environment variable and the default as they are written."""
    text = " ".join(CliRunner().invoke(sample, ["--help"]).output.split())
    assert "env var: KEYVIZ_MAX_MESSAGE; default: 64MiB" in text


def test_the_environment_is_read() -> None:
    """A variable stands in for its option."""
    outcome = CliRunner().invoke(sample, [], env={"KEYVIZ_TIMEOUT": "1m"})
    assert "'timeout': 60.0" in outcome.output


def test_lists_of_addresses() -> None:
    """Addresses are separated by commas."""
    outcome = CliRunner().invoke(sample, ["--peers", "a:1,[::1]:2"])
    assert "'peers': ('a:1', '[::1]:2')" in outcome.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--timeout", "2"],
        ["--timeout", "0s"],
        ["--max-message", "64"],
        ["--listen", "nowhere"],
        ["--peers", "a:1,b"],
        ["--peers", ","],
        ["--peer", "a:0"],
        ["--step", "11s"],
        ["--cap", "1B"],
    ],
)
def test_errors_name_option_and_value(arguments: list[str]) -> None:
    """A wrong value is exit status 2 with the option and the value in the message."""
    outcome = CliRunner().invoke(sample, arguments)
    assert outcome.exit_code == 2
    assert f"Invalid value for '{arguments[0]}'" in outcome.output
    assert arguments[1].split(",")[-1] in outcome.output
