"""What the fuzzer calls with bytes of its own making: only the refusals that a reader documents may come out."""

from __future__ import annotations

import contextlib
import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from google.protobuf.message import DecodeError
from starlette.datastructures import QueryParams
from starlette.requests import Request

from gateway import encodings
from gateway.clients import client_of
from gateway.gate import _cookies
from gateway.hot_keys import read_hot_keys_request, render_hot_keys
from gateway.matrix_body import MatrixRenderer
from gateway.params import read_cell_request, read_matrix_request
from gateway.settings import parse_networks
from keyviz_grpc.codec import (
    decode_answer,
    decode_hot_keys,
    decode_hot_keys_query,
    decode_overview,
    decode_query,
    encode_answer,
    encode_hot_keys,
    encode_hot_keys_query,
    encode_overview,
    encode_query,
    parse_response,
)
from keyviz_grpc.errors import InvalidRequest, MalformedAnswer, TooLarge, TraceError
from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.hotkeys.answer import top_of, within_bytes
from keyviz_grpc.hotkeys.merge import merge_hot_keys
from keyviz_grpc.merge import fold, merge
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.replay import read_leadership, read_trace
from tests.fuzz.messages import Take, nearly_right

SERIES: Final = tuple(Series)
ROWS: Final = ()
COLUMNAR: Final = (pb.MATRIX_ENCODING_COLUMNAR,)
NOW_MS: Final = 1_777_290_360_000
MAX_CELLS: Final = 200_000
KNOWN: Final = Catalogue((Row("route:1", b"", b"m"), Row("route:2", b"m", b"")))
HONEST: Final = Answer(
    Matrix(Series.READS, np.array([NOW_MS], np.int64), KNOWN, np.array([[1], [2]], np.uint64)),
    (Outcome("honest:1", node_id="honest", incarnation=1, step_ms=60_000),),
    node_id="honest",
    incarnation=1,
    step_ms=60_000,
)


def picture(answer: Answer) -> dict[str, Any]:
    """All that an answer says, in plain values, whichever form it came in."""
    matrix, shares = answer.matrix, answer.matrix.shares
    identities = matrix.identity_arrays()
    pairs = [tuple(pair) for pair in matrix.identities[shares.codes].tolist()]
    return {
        "columns": matrix.columns.tolist(),
        "rows": matrix.catalogue.rows,
        "values": matrix.values.tolist(),
        "identities": None if identities is None else [one.tolist() for one in identities],
        "shares": list(zip(shares.rows.tolist(), shares.columns.tolist(), pairs, shares.values.tolist(), strict=True)),
        "soft": _marks(matrix.soft),
        "conflicts": _marks(matrix.conflicts),
        "outcomes": answer.outcomes,
        "stated": (answer.node_id, answer.incarnation, answer.step_ms, answer.generated_at_unix_ms),
        "oldest": (answer.oldest_unix_ms, answer.revision, answer.history, answer.merged),
        "column_nodes": None if answer.column_nodes is None else answer.column_nodes.tolist(),
        "leaf_sets": answer.leaf_sets if answer.row_leaf_set is not None else (),
        "row_leaf_set": None if answer.row_leaf_set is None else answer.row_leaf_set.tolist(),
        "leaf_ranges": answer.leaf_ranges,
        "leaf_answers": [(number, picture(own)) for number, own in answer.leaf_answers],
    }


def _marks(marks: np.ndarray[Any, np.dtype[np.bool_]] | None) -> list[list[int]]:
    return [] if marks is None else np.argwhere(marks).tolist()


def answer(data: bytes) -> None:
    """A peer's answer in either form: refused, or kept by both encodings, and merged and folded without trouble."""
    series, outcome, rows = SERIES[data[0] & 3], Outcome("peer:1"), KNOWN if data[0] & 4 else None

    def read(parse: Callable[[bytes], pb.GetKeyVizMatrixResponse]) -> Answer | None:
        try:
            return decode_answer(parse(data[1:]), series=series, outcome=outcome, max_cells=MAX_CELLS, rows=rows)
        except (DecodeError, MalformedAnswer, TooLarge):
            return None

    decoded, one_by_one = read(parse_response), read(pb.GetKeyVizMatrixResponse.FromString)
    if decoded is None or one_by_one is None or picture(decoded) != picture(one_by_one):
        if decoded is not one_by_one:
            raise AssertionError(f"read at once {decoded!r:.500}, one by one {one_by_one!r:.500}")
        return
    partial = decoded.history is not None and decoded.history.left_out_below_unix_ms > 0
    for accept in (COLUMNAR,) if partial else (ROWS, COLUMNAR):
        again = pb.GetKeyVizMatrixResponse.FromString(encode_answer(decoded, accept=accept).SerializeToString())
        back = decode_answer(again, series=series, outcome=outcome, rows=rows)
        if (one := picture(back)) != (other := picture(decoded)):
            changed = [
                f"{name}: {other[name]!r:.300} became {one[name]!r:.300}" for name in other if one[name] != other[name]
            ]
            raise AssertionError(f"{accept}: {'; '.join(changed)}")
    if not partial:
        _merged(decoded, series)


def built(data: bytes) -> None:
    """As `answer`, of messages that are nearly right: the bytes choose what is in them and which length is wrong."""
    raw = nearly_right(Take(data)).SerializeToString()
    answer(data[:1] + raw if data else b"\0")


def _merged(decoded: Answer, series: Series) -> None:
    for unmerged in (False, True):
        query = MatrixQuery(series, unmerged=unmerged)
        for answers in ([decoded], [HONEST, decoded]):
            merged = merge(answers, query=query, now_unix_ms=NOW_MS, node_id="gw", incarnation=1)
            fold(merged, 2)
            encode_answer(merged, accept=COLUMNAR)
            orjson.loads(MatrixRenderer().render(merged, identity=True))


def _asked(read: Callable[[], Any], kept: Callable[[Any], Any]) -> None:
    try:
        decoded = read()
    except (DecodeError, InvalidRequest) as refused:
        if len(str(refused)) > 1000 or not str(refused).isprintable():
            raise AssertionError(f"not fit to send back: {str(refused)!r}") from refused
        return
    if (back := kept(decoded)) != decoded:
        raise AssertionError(f"{decoded} became {back}")


def query(data: bytes) -> None:
    """A caller's request: refused by field, or kept."""
    _asked(
        lambda: decode_query(pb.GetKeyVizMatrixRequest.FromString(data)),
        lambda decoded: decode_query(encode_query(decoded, accept=COLUMNAR)),
    )


def overview(data: bytes) -> None:
    """What a node says of the cluster: refused, or kept."""
    try:
        decoded = decode_overview(pb.GetClusterOverviewResponse.FromString(data))
    except (DecodeError, MalformedAnswer):
        return
    back = decode_overview(encode_overview(decoded))
    if back != decoded:
        raise AssertionError(f"{decoded} became {back}")


def hot_keys(data: bytes) -> None:
    """A peer's hot keys: refused, or kept, and merged with themselves and written without trouble."""
    try:
        decoded = decode_hot_keys(pb.GetHotKeysResponse.FromString(data), outcome=Outcome("peer:1"))
    except (DecodeError, MalformedAnswer):
        return
    asked = HotKeysQuery(1, sub_bucket=len(data) % 3 or None)
    merged = merge_hot_keys([decoded, decoded], query=asked, now_unix_ms=NOW_MS, node_id="gw", incarnation=1)
    counts = [key.count for key in merged.keys]
    if counts != sorted(counts, reverse=True):
        raise AssertionError(f"out of order: {counts}")
    orjson.loads(render_hot_keys(top_of(merged, 20), asked))
    cut = within_bytes(merged, len(data))
    if len(cut.keys) + cut.left_out_keys != len(merged.keys) + merged.left_out_keys:
        raise AssertionError(f"{merged} cut to {len(data)} bytes is {cut}")
    for one in (decoded, merged, cut):
        again = encode_hot_keys(one, bounds=False).SerializeToString()
        back = decode_hot_keys(pb.GetHotKeysResponse.FromString(again), outcome=Outcome("peer:1"))
        if one is decoded and back != decoded:
            raise AssertionError(f"{decoded} became {back}")


def hot_keys_query(data: bytes) -> None:
    """The same of a request for hot keys."""
    _asked(
        lambda: decode_hot_keys_query(pb.GetHotKeysRequest.FromString(data)),
        lambda decoded: decode_hot_keys_query(encode_hot_keys_query(decoded)),
    )


def _in_file(data: bytes, read: Callable[[Path], object]) -> None:
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - memory, thousands of times
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(data)
        file.flush()
        try:
            read(Path(file.name))
        except TraceError as refused:
            if len(str(refused)) > 2000 or "\n" in str(refused):
                raise AssertionError(f"not one line for people: {str(refused)!r}") from refused


def trace(data: bytes) -> None:
    """A trace file, plain and as what is inside a gzip stream."""
    _in_file(data, read_trace)
    _in_file(gzip.compress(data, 1), read_trace)


def leadership(data: bytes) -> None:
    """A leadership file, likewise."""
    _in_file(data, read_leadership)
    _in_file(gzip.compress(data, 1), read_leadership)


def http(data: bytes) -> None:
    """Query string, then lines of headers, as a client may send them."""
    line, *lines = data.split(b"\n")
    for read in (read_matrix_request, read_cell_request, read_hot_keys_request):
        with contextlib.suppress(InvalidRequest):
            read(QueryParams(line))
    names = (b"cookie", b"x-forwarded-for", b"x-forwarded-proto", b"accept-encoding", b"x-request-id")
    headers = [(names[number % len(names)], value) for number, value in enumerate(lines)]
    request = Request({"type": "http", "path": "/", "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http"})
    _cookies(request)
    client_of(request, parse_networks("127.0.0.0/8"))
    encodings.choose(request.headers.get("accept-encoding", ""))


def planted(data: bytes) -> None:
    """A fault that only somebody finds who watches which branches are taken; proves that the fuzzer does."""
    if len(data) > 3 and data[0] == ord("K") and data[1] == ord("V") and data[2] == ord("i") and data[3] == ord("z"):
        raise RuntimeError("the planted fault was found")


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "built": built,
    "answer": lambda data: answer(data or b"\0"),
    "query": query,
    "overview": overview,
    "hot_keys": hot_keys,
    "hot_keys_query": hot_keys_query,
    "trace": trace,
    "leadership": leadership,
    "http": http,
    "planted": planted,
}
