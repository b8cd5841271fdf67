"""The commands as processes: ready lines, exit statuses, one clear line for every mistake."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import grpc
import pytest

from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as service
from tests.e2e.conftest import Processes, finished, loopback_address, refusal_of

pytestmark = pytest.mark.e2e

TRACE = "time_s,op,key,value_bytes\n0,write,a,1\n1,read,b,2\n"
LEADERSHIP = "time_s,raft_group_id,leader,term\n0,1,0,1\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A small trace and its leadership."""
    trace, leadership = tmp_path / "trace.csv", tmp_path / "leadership.csv"
    trace.write_text(TRACE)
    leadership.write_text(LEADERSHIP)
    return trace, leadership


@pytest.mark.parametrize("module", ["keyviz_grpc.cli.node", "keyviz_grpc.cli.token", "gateway", "gateway.demo"])
def test_help_ends_well(module: str) -> None:
    """--help is exit status 0 and names an environment variable."""
    status, told, _ = finished(module, "--help")
    assert status == 0
    assert "KEYVIZ_" in told


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        ("keyviz_grpc.cli.node", ["--listen", "nowhere"], ["--listen", "nowhere"]),
        ("keyviz_grpc.cli.node", ["--step", "5"], ["--step", "'5'"]),
        ("keyviz_grpc.cli.node", ["--workload", "heavy"], ["--workload", "heavy"]),
        ("keyviz_grpc.cli.node", ["--speed", "0"], ["--speed", "'0'"]),
        ("keyviz_grpc.cli.node", ["--trace", "/no/such/file"], ["--trace", "/no/such/file"]),
        ("keyviz_grpc.cli.node", ["--node-index", "3", "--nodes", "3"], ["--node-index 3", "--nodes 3"]),
        ("keyviz_grpc.cli.node", ["--colour"], ["--colour"]),
        ("gateway.demo", ["--nodes", "0"], ["--nodes", "0"]),
        ("gateway.demo", ["--leadership", __file__], ["--trace", "--leadership"]),
        ("gateway.__main__", ["--timeout", "soon", "--peers", "127.0.0.1:1"], ["--timeout", "soon"]),
        ("gateway.__main__", ["--peers", "127.0.0.1"], ["--peers", "127.0.0.1"]),
    ],
)
def test_a_wrong_command_line_is_status_2(module: str, arguments: list[str], named: list[str]) -> None:
    """Option and value are named, and nothing was started."""
    status, told, complaint = refusal_of(module, *arguments)
    assert (status, told) == (2, "")
    for words in named:
        assert words in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("module", ["keyviz_grpc.cli.node", "gateway", "gateway.demo"])
def test_a_process_ends_with_the_status_of_its_command(module: str) -> None:
    """That of a wrong command line, and its one complaint."""
    status, told, complaint = finished(module, "--colour")
    assert (status, told) == (2, "")
    assert "--colour" in complaint
    assert "Traceback" not in complaint


def test_a_wrong_environment_is_status_2() -> None:
    """A variable is checked as its option is."""
    status, _, complaint = finished("keyviz_grpc.cli.node", env={"KEYVIZ_STEP": "fast"})
    assert status == 2
    assert "fast" in complaint


def test_a_replay_needs_its_whole_set_of_options(files: tuple[Path, Path]) -> None:
    """A trace comes with leadership and a start."""
    trace, leadership = map(str, files)
    for arguments in (["--trace", trace], ["--trace", trace, "--leadership", leadership]):
        status, _, complaint = refusal_of("keyviz_grpc.cli.node", *arguments)
        assert status == 2
        assert "--trace-start" in complaint


@pytest.mark.parametrize("module", ["keyviz_grpc.cli.node", "gateway.demo"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TRACE + "2,delete,a,1\n", "trace.csv:4: column 2 (op) is 'delete'"),
        (TRACE + "2,write,a", "trace.csv:4: the file ends in the middle of this line"),
    ],
)
def test_a_bad_trace_line_is_one_clear_line(files: tuple[Path, Path], module: str, text: str, place: str) -> None:
    """Status 1, with file, line and column, and no traceback."""
    files[0].write_text(text)
    replay = ["--trace", str(files[0]), "--leadership", str(files[1])]
    node = ["--listen", "127.0.0.1:0", "--trace-start", "1000000000000"]
    own = node if module == "keyviz_grpc.cli.node" else ["--http", "127.0.0.1:0"]
    status, told, complaint = finished(module, *replay, *own)
    assert (status, told) == (1, "")
    assert complaint.count("\n") == 1
    assert place in complaint


@pytest.mark.parametrize("module", ["keyviz_grpc.cli.node", "gateway"])
def test_a_taken_port_is_one_clear_line(module: str) -> None:
    """Status 1 and the address, no second server on the same port."""
    with socket.socket() as taken:
        address = loopback_address(taken)
        gateway = ["--http", address, "--peers", "127.0.0.1:1"]
        own = ["--listen", address] if module == "keyviz_grpc.cli.node" else gateway
        status, told, complaint = finished(module, *own)
    assert (status, told) == (1, "")
    assert address in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_a_node_well(processes: Processes, number: signal.Signals) -> None:
    """Status 0 after a clean drain."""
    node = await processes.node("--workload", "none")
    assert list(node.ready) == ["grpc"]
    node.process.send_signal(number)
    await asyncio.wait_for(node.wait(), 10)
    assert node.process.returncode == 0


async def test_a_node_ends_with_the_one_that_started_it(processes: Processes) -> None:
    """When its standard input closes, a node that was asked to ends as after SIGTERM."""
    node = await processes.node("--until-stdin-closes")
    assert node.process.stdin is not None
    node.process.stdin.close()
    await asyncio.wait_for(node.wait(), 10)
    assert node.process.returncode == 0


async def test_logs_are_one_json_object_a_line(processes: Processes) -> None:
    """--log-format json holds for everything on stderr."""
    node = await processes.node("--log-format", "json", "--workload", "demo", "--step", "1s", "--history", "5s")
    node.ask_to_end()
    await asyncio.wait_for(node.wait(), 10)
    assert processes.log
    for line in processes.log:
        assert {"time", "level", "logger", "message"} <= set(json.loads(line.split("] ", 1)[1]))


async def test_a_demo_node_has_a_past_and_a_present(processes: Processes) -> None:
    """The synthetic workload shows history at once, and goes on."""
    node = await processes.node("--workload", "demo", "--step", "200ms", "--history", "10s", "--rate", "500")
    async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
        stub = service.KeyVizStub(channel)
        first = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
        assert len(first.column_unix_ms) >= 49
        assert len(first.rows) >= 44
        newest = first.column_unix_ms[-1]
        async with asyncio.timeout(10):
            while newest == first.column_unix_ms[-1]:
                later = await stub.GetKeyVizMatrix(pb.GetKeyVizMatrixRequest(from_unix_ms=newest))
                newest = later.column_unix_ms[-1]


async def test_a_node_without_a_sampler_says_so(processes: Processes) -> None:
    """Off is UNAVAILABLE, which is not an empty matrix."""
    node = await processes.node("--no-sampler")
    async with grpc.aio.insecure_channel(node.ready["grpc"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.KeyVizStub(channel).GetKeyVizMatrix(pb.GetKeyVizMatrixRequest())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "keyviz sampler not configured"
