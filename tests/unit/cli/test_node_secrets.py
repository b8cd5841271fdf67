"""Secrets between nodes as both commands take them, and what becomes of them."""

from __future__ import annotations

import base64
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.__main__ import command as gateway
from keyviz_grpc.auth.tokens import Refused
from keyviz_grpc.cli.node import command as node
from keyviz_grpc.cli.node_secrets import NodeSecrets


@pytest.mark.parametrize("command", [node, gateway], ids=lambda command: command.name)
@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--key-file", "--token-file"), "--key-file and --token-file exclude each other"),
        (("--previous-key-file",), "--previous-key-file goes with --key-file"),
        (("--previous-key-file", "--token-file"), "--previous-key-file goes with --key-file"),
    ],
)
def test_secrets_of_two_kinds_are_a_wrong_command_line(
    command: click.Command, flags: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    """Status 2 with both options, the same from either command."""
    file = tmp_path / "file"
    file.touch()
    peers = ["--peers", "127.0.0.1:1"] if command is gateway else []
    outcome = CliRunner().invoke(command, [*peers, *(word for flag in flags for word in (flag, str(file)))])
    assert outcome.exit_code == 2, outcome.output
    assert named in " ".join(outcome.output.split())


def test_what_is_sent_is_what_is_let_in(tmp_path: Path) -> None:
    """By the key, by the one before it while it counts, and by a token; without any of them nothing is asked."""
    old, new, token = tmp_path / "old", tmp_path / "new", tmp_path / "token"
    for number, key in enumerate((old, new)):
        key.write_bytes(base64.b64encode(bytes([number]) * 64))
    token.write_text("a" * 40)
    of_old, of_new, of_token = (
        NodeSecrets(old, None, None),
        NodeSecrets(new, None, None),
        NodeSecrets(None, None, token),
    )
    changing = NodeSecrets(new, old, None)
    sent = {}
    for secrets in (of_old, of_new, of_token):
        told = secrets.credentials("n7")
        assert told is not None
        sent[secrets] = dict(told.metadata())
    letting_in = {
        of_old: {of_old},
        of_new: {of_new},
        changing: {of_old, of_new},
        of_token: {of_token},
    }
    for secrets, let_in in letting_in.items():
        verifier = secrets.verifier()
        assert verifier is not None
        for sender, metadata in sent.items():
            if sender in let_in:
                assert verifier.verify(metadata["authorization"]) in ("n7", "bearer")
            else:
                with pytest.raises(Refused):
                    verifier.verify(metadata["authorization"])
    nothing = NodeSecrets(None, None, None)
    assert (nothing.credentials("n7"), nothing.verifier()) == (None, None)
