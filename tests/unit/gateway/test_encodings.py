"""HTTP compression: what the client takes."""

from __future__ import annotations

import gzip

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.encodings import PACKERS, choose, pack


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("GZIP ; Q=0.5 , BR;q=0.4", "gzip"),
        ("br;q=0", ""),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "br"),
        ("gzip;q=0.1, identity;q=0.9", ""),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("zstd;q=nan, gzip;q=2, br;q=-1", ""),
        ("deflate, compress", ""),
        (";,;q=1,,", ""),
    ],
)
def test_the_highest_q_value_wins_and_ours_breaks_ties(header: str, chosen: str) -> None:
    """q=0 and nonsense mean no; identity is always left."""
    assert choose(header) == chosen


@given(st.text())
def test_no_header_breaks_the_choice(header: str) -> None:
    """Any text gives one of ours or none."""
    assert choose(header) in ("", *PACKERS)


def test_what_is_packed_can_be_unpacked() -> None:
    """By the decoders that clients use."""
    body = b'{"values":[1,2,3]}' * 1000
    assert zstandard.decompress(pack(body, "zstd")) == body
    assert brotli.decompress(pack(body, "br")) == body
    assert gzip.decompress(pack(body, "gzip")) == body
    assert pack(body, "") is body
