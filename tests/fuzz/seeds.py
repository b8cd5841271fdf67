"""Sound inputs for the fuzzer to start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.synthetic import Shape, cluster
from keyviz_grpc.codec import encode_answer, encode_hot_keys, encode_hot_keys_query, encode_overview, encode_query
from keyviz_grpc.hotkeys import HotKey, HotKeysAnswer, HotKeysQuery
from keyviz_grpc.merge import merge
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import GroupLeader, Member, Outcome, Overview
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from tests.fuzz.targets import COLUMNAR, NOW_MS, ROWS, SERIES

FOUND: Final = Path(__file__).parent / "found"
"""Inputs that once did harm, one folder a target."""


def _answers() -> Iterator[bytes]:
    nodes = cluster(Shape(3, 4, 3, flips=True))
    merged = merge(nodes, query=MatrixQuery(Series.WRITES), now_unix_ms=NOW_MS, node_id="gw")
    each = merge(nodes, query=MatrixQuery(Series.WRITES, unmerged=True), now_unix_ms=NOW_MS, node_id="gw")
    for one in (nodes[0], nodes[1], merged, each):
        for accept in (ROWS, COLUMNAR):
            raw = encode_answer(one, accept=accept).SerializeToString()
            yield from (bytes([number]) + raw for number in range(len(SERIES)))
    cut = pb.GetKeyVizMatrixResponse(column_unix_ms=[1000], node_id="n1", incarnation=1, step_ms=1000)
    cut.history.number = cut.history.left_out_below_unix_ms = cut.history.left_out_columns = 1
    cut.columnar.version, cut.columnar.widths, cut.columnar.values = 1, b"\1\1", b"\3\4"
    yield b"\6" + cut.SerializeToString()


def _queries() -> Iterator[bytes]:
    full = MatrixQuery(
        Series.READS, Window(1, 9), 7, via=("a", "b"), bucket_ids=("route:1",), node_id="n", exclude=(("n", 1),)
    )
    yield encode_query(full, accept=COLUMNAR).SerializeToString()
    yield encode_query(MatrixQuery(unmerged=True)).SerializeToString()


def _overviews() -> Iterator[bytes]:
    leaders = (GroupLeader(1, "n1", 7), GroupLeader(2, "", 0))
    told = Overview(Member("n1", "h:1"), (Member("n2", "h:2"),), leaders, 5, (("a", True),), 1, "1.0")
    yield encode_overview(told).SerializeToString()


def _hot_keys() -> Iterator[bytes]:
    for rate, leaves in ((1, 1), (16, 1), (4, 3)):
        keys = tuple(HotKey(b"key-%d" % n, rate * (9 - n), rate * (8 - n), rate * 9, rate) for n in range(4))
        outcomes = tuple(Outcome(f"n{n}:1", node_id=f"n{n}", incarnation=1, step_ms=1000) for n in range(leaves))
        answer = HotKeysAnswer(
            keys,
            outcomes,
            sample_rate=rate,
            sampled_n=40,
            sketch_error=2 * rate,
            snapshot_at_unix_ms=2000,
            oldest_unix_ms=1000,
            newest_unix_ms=2000,
            observed=True,
            slices=2,
            left_out_keys=leaves - 1,
            slice_range=(b"a", b"m") if leaves == 1 else None,
            slices_differ=leaves > 1,
            step_ms=1000,
            node_id="n0",
            incarnation=1,
            merged=leaves > 1,
        )
        yield encode_hot_keys(answer).SerializeToString()


def _hot_keys_queries() -> Iterator[bytes]:
    full = HotKeysQuery(
        7, "hot", Series.READS, Window(1, 9), 3, 20, via=("a",), node_id="n", exclude=(("n", 1),), max_bytes=5
    )
    yield encode_hot_keys_query(full).SerializeToString()


def _traces() -> Iterator[bytes]:
    yield b"time_s,op,key,value_bytes\n0,read,0x00ff,1\n1.5,write,k,2\n"
    yield b'time_s,op,key,value_bytes\n0,read,"a,""b",8589934591\n'
    yield b"time_s,op,key,value_bytes\r\n0,read,0x,0\r\n"


def _leaderships() -> Iterator[bytes]:
    yield b"time_s,raft_group_id,leader,term\n0,1,0,1\n3,1,2,2\n4,1,-1,2\n5,2,1,18446744073709551615\n"


def _https() -> Iterator[bytes]:
    yield (
        b"series=reads&from_unix_ms=1&to_unix_ms=9&rows=5&node=n&identity=0&bucket_id=route:1&column_unix_ms=5&route_id=7&top=3\n"
        b'admin_session=x; a="b\\"c"\n10.0.0.1, 127.0.0.2\nhttps\nbr;q=0.5, *;q=0\nabc'
    )


SEEDS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "answer": _answers,
    "built": lambda: (bytes(range(number, number + 200)) for number in range(0, 56, 7)),
    "query": _queries,
    "overview": _overviews,
    "hot_keys": _hot_keys,
    "hot_keys_query": _hot_keys_queries,
    "trace": _traces,
    "leadership": _leaderships,
    "http": _https,
    "planted": lambda: iter([b"x"]),
}


def write_seeds(target: str, folder: Path) -> None:
    """Fills the folder with this target's seeds, and with what did harm before."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted((FOUND / target).glob("*"))
    for number, content in enumerate([*SEEDS[target](), *(path.read_bytes() for path in found)]):
        (folder / f"seed-{number:03d}").write_bytes(content)
