"""How a node process lives and ends."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from keyviz_grpc.cli.serving import Plan, serve
from keyviz_grpc.sampler import Sampler
from keyviz_grpc.server import ServerSettings


class Long:
    """A past that ends when it is told to, and after which nothing may follow."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def prepare(self, stop: threading.Event) -> None:
        """Is in the middle of it when the signal comes."""
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)

    def run(self, stop: threading.Event) -> None:
        """Nobody was asked for this."""
        pytest.fail("fed after it was to end")


async def test_a_node_that_takes_in_its_past_ends_when_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    """It neither finishes that nor serves half of it."""
    with Sampler(node_id="n1") as sampler:
        plan = Plan("127.0.0.1:0", ServerSettings(), None, None, None, until_stdin_closes=False)
        await serve(Long(sampler), plan)
    assert capsys.readouterr().out == ""
