"""What `keyviz-node` takes from its command line, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keyviz_grpc.cli import node
from keyviz_grpc.outcome import Member
from keyviz_grpc.version import VERSION


@pytest.fixture(autouse=True)
def _log_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "configure_logging", lambda _: None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--tls-certificate FILE", "a TLS certificate and its key go together"),
        ("--tls-client-ca FILE", "client certificates can only be asked for over TLS"),
        ("--hot-keys-counters 64", "--hot-keys-counters goes with --hot-keys"),
        ("--hot-keys-sample 1", "--hot-keys-sample goes with --hot-keys"),
        ("--rate 10", "--rate goes with --workload demo"),
        ("--speed 2", "--speed goes with --trace"),
        ("--no-sampler --trace FILE", "--trace and --no-sampler exclude each other"),
        ("--no-sampler --workload demo", "--workload and --no-sampler exclude each other"),
        ("--no-sampler --hot-keys", "--hot-keys and --no-sampler exclude each other"),
        ("--no-sampler --member n2=h:1", "--member and --no-sampler exclude each other"),
        ("--key-file FILE --token-file FILE", "--key-file and --token-file exclude each other"),
        ("--previous-key-file FILE", "--previous-key-file goes with --key-file"),
        ("--trace FILE", "--trace, --leadership and --trace-start go together"),
        ("--node-index 1", "--node-index 1 is not below --nodes 1"),
        ("--node-id=", "'--node-id' (env var: 'KEYVIZ_NODE_ID'): '': expected a name"),
        ("--member n2", "'n2': expected NODE_ID=HOST:PORT"),
        ("--member =h:1", "'': expected a name"),
        ("--member n2=h", "'h': expected HOST:PORT"),
        ("--member n2=h:0", "'h:0': nobody can be reached at port 0"),
        ("--node-id a --member a=h:1", "--member a=h:1: a is this node itself"),
        ("--member b=h:1 --member b=h:2", "--member b=h:2: b is in --member b=h:1 already"),
        ("--member b=h:1 --member c=h:1", "--member c=h:1: h:1 is in --member b=h:1 already"),
    ],
)
def test_what_cannot_be_or_would_do_nothing_is_a_wrong_command_line(
    arguments: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2 with both options, nothing started."""
    monkeypatch.setattr(node, "feeder_of", lambda *_: pytest.fail("a sampler was made"))
    file = tmp_path / "file"
    file.touch()
    outcome = CliRunner().invoke(node.command, [a.replace("FILE", str(file)) for a in arguments.split()])
    assert outcome.exit_code == 2, outcome.output
    assert named in " ".join(outcome.output.split())


def test_a_variable_counts_as_its_option() -> None:
    """What only the environment gives would do nothing either."""
    outcome = CliRunner().invoke(node.command, [], env={"KEYVIZ_HOT_KEYS_COUNTERS": "64"})
    assert outcome.exit_code == 2
    assert "--hot-keys-counters goes with --hot-keys" in outcome.output


def test_members_reach_the_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    """From options as from the variable, whose members are apart by spaces."""
    served: list[Any] = []

    async def serve(feeder: Any, plan: Any) -> None:
        served.append(feeder.sampler.overview())
        feeder.sampler.close()

    monkeypatch.setattr(node, "serve", serve)
    for arguments, env in (
        (["--member", "n2=h:1", "--member", "n3=[::1]:2"], {}),
        ([], {"KEYVIZ_MEMBER": "n2=h:1 n3=[::1]:2"}),
    ):
        outcome = CliRunner().invoke(node.command, arguments, env=env)
        assert outcome.exit_code == 0, outcome.output
        assert served.pop().members == (Member("n2", "h:1"), Member("n3", "[::1]:2"))


def test_the_version_is_told() -> None:
    """One line, nothing started."""
    outcome = CliRunner().invoke(node.command, ["--version"], prog_name="keyviz-node")
    assert (outcome.exit_code, outcome.output) == (0, f"keyviz-node {VERSION}\n")
