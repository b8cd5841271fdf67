"""From a query string to a typed request."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from gateway.params import read_cell_request, read_matrix_request
from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import KeyRange, Series, Window
from keyviz_grpc.query import MatrixQuery


def test_nothing_asked_for_is_all_writes() -> None:
    """Defaults: writes, unbounded, 1024 rows, every node, identities shown."""
    asked = read_matrix_request(QueryParams(""))
    assert asked.query == MatrixQuery(Series.WRITES, Window(0, 0), rows=1024, for_display=True)
    assert asked.identity


def test_everything_asked_for() -> None:
    """Each parameter reaches the query."""
    asked = read_matrix_request(
        QueryParams("series=read_bytes&from_unix_ms=5&to_unix_ms=9&rows=7&node=n%201&identity=0&colour=red")
    )
    assert asked.query == MatrixQuery(Series.READ_BYTES, Window(5, 9), rows=7, node_id="n 1", for_display=True)
    assert not asked.identity


@pytest.mark.parametrize("rows", ["0", "-1", "1025", "9" * 5000, "-" + "9" * 5000, "0000000000000000000000001024"])
def test_a_budget_out_of_range_means_1024(rows: str) -> None:
    """0, negative and larger mean the cap, however many digits they have."""
    assert read_matrix_request(QueryParams({"rows": rows})).query.rows == 1024


def test_of_repeats_the_first_counts_and_an_empty_value_is_absent() -> None:
    """Also when the first of repeats is the empty one."""
    assert read_matrix_request(QueryParams("series=reads&series=bogus")).query.series is Series.READS
    assert read_matrix_request(QueryParams("series=&series=reads&rows=")).query.series is Series.WRITES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("series=qps", "series='qps'"),
        ("series=READS", "series='READS'"),
        ("rows=many", "rows='many'"),
        ("rows=1.5", "rows='1.5'"),
        ("rows=%201", "rows=' 1'"),
        ("rows=%D9%A3", "rows='٣'"),
        ("from_unix_ms=-1", "from_unix_ms='-1'"),
        ("from_unix_ms=soon", "from_unix_ms='soon'"),
        ("to_unix_ms=9223372036854775808", "to_unix_ms='9223372036854775808'"),
        ("from_unix_ms=10&to_unix_ms=9", "from_unix_ms=10"),
        ("identity=no", "identity='no'"),
        ("node=" + "n" * 1025, "node='nnn"),
        ("node=%00", r"node='\x00'"),
        ("start=YQ%3D%3Da", "start='YQ==a'"),
        ("start=YWJj%21", "start='YWJj!'"),
        ("end=%C3%A4", "end='ä'"),
        ("start=" + "A" * 16388, "start='AAA"),
        ("start=Yg%3D%3D&end=YQ%3D%3D", "start=b'b'"),
    ],
)
def test_anything_else_wrong_is_refused_by_name_and_value(text: str, named: str) -> None:
    """Parameter and value are in the message, which stays short."""
    with pytest.raises(InvalidRequest) as refused:
        read_matrix_request(QueryParams(text))
    assert named in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["start=YQ%3D%3D&end=_%2F8%3D", "start=YQ&end=_%2F8"])
def test_a_range_of_keys_is_base64_with_or_without_padding(text: str) -> None:
    """Both alphabets, since a link may hold either."""
    assert read_matrix_request(QueryParams(text)).query.keys == KeyRange(b"a", b"\xff\xff")


def test_the_largest_moment_is_taken() -> None:
    """int64, to its end."""
    assert read_matrix_request(QueryParams(f"to_unix_ms={2**63 - 1}")).query.window.to_unix_ms == 2**63 - 1


def test_a_cell_is_named_by_bucket_and_column() -> None:
    """Both are needed, the series is not."""
    asked = read_cell_request(QueryParams("bucket_id=route:7:a%231&column_unix_ms=60000"))
    assert (asked.bucket_id, asked.column_unix_ms, asked.series) == ("route:7:a#1", 60_000, Series.WRITES)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("column_unix_ms=1", "bucket_id"),
        ("bucket_id=&column_unix_ms=1", "bucket_id"),
        ("bucket_id=route:1", "column_unix_ms"),
        ("bucket_id=route:1&column_unix_ms=0", "column_unix_ms='0'"),
        ("bucket_id=route:1&column_unix_ms=1&series=x", "series='x'"),
    ],
)
def test_half_a_cell_is_refused(text: str, named: str) -> None:
    """The message names what is missing."""
    with pytest.raises(InvalidRequest) as refused:
        read_cell_request(QueryParams(text))
    assert named in str(refused.value)


@given(st.lists(st.tuples(st.sampled_from(["series", "rows", "from_unix_ms", "node", "identity"]), st.text())))
def test_whatever_comes_it_is_a_request_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    """No text makes anything else happen."""
    with contextlib.suppress(InvalidRequest):
        assert 1 <= read_matrix_request(QueryParams(pairs)).query.rows <= 1024
