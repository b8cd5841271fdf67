"""Reading traces and leadership files: what is understood, and one clear error for everything else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from keyviz_grpc.errors import TraceError
from keyviz_grpc.replay import LeadershipRow, read_leadership, read_trace

HEADER = "time_s,op,key,value_bytes\n"
SECOND = "time_s,raft_group_id,leader,term\n"


def write(path: Path, text: str | bytes) -> Path:
    """The path, after writing to it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_trace_is_read(tmp_path: Path) -> None:
    """Times are cut to milliseconds, hex keys are raw bytes, other keys their UTF-8, quotes and CRLF are CSV's."""
    body = '0,write,0x00ff,512\r\n1.0059,read,schlüssel,0\r\n1.0059,read,"a,b",7\r\n2,read,0x,1\r\n'
    text = "time_s,op,key,value_bytes\r\n" + body
    trace = read_trace(write(tmp_path / "t.csv", text))
    assert trace.time_ms.tolist() == [0, 1005, 1005, 2000]
    assert trace.writes.tolist() == [1, 0, 0, 0]
    assert trace.keys == [b"\x00\xff", "schlüssel".encode(), b"a,b", b""]
    assert trace.value_bytes.tolist() == [512, 0, 7, 1]
    assert trace.last_ms == 2000


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv"])
def test_gzip_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    """A gzip stream is unpacked whatever the file is called."""
    trace = read_trace(write(tmp_path / name, gzip.compress((HEADER + "0,write,k,1\n").encode())))
    assert trace.keys == [b"k"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("0,write,k,1\n1,delete,k,1\n", r":3: column 2 \(op\) is 'delete': expected read or write"),
        ("x,write,k,1\n", r":2: column 1 \(time_s\) is 'x': expected seconds"),
        ("1e3,write,k,1\n", r":2: column 1 \(time_s\) is '1e3'"),
        ("nan,write,k,1\n", r":2: column 1 \(time_s\) is 'nan'"),
        ("-1,write,k,1\n", r":2: column 1 \(time_s\) is '-1': must not be negative"),
        ("5,write,k,1\n4.5,read,k,1\n", r":3: column 1 \(time_s\) is '4.5': time goes back"),
        ("0,write,k,-1\n", r":2: column 4 \(value_bytes\) is '-1': must not be negative"),
        ("0,write,k,1.5\n", r":2: column 4 \(value_bytes\) is '1.5': expected a whole number"),
        ("0,write,k,99999999999\n", r":2: column 4 \(value_bytes\) is '99999999999': must be below"),
        ("0,write,k,\n", r":2: column 4 \(value_bytes\) is '': expected a whole number"),
        ("0,write,k\n", r":2: column 4 \(value_bytes\) is missing: found 3 columns"),
        ("0,write,k,1,2\n", r":2: column 5 is one too many"),
        ("\n", r":2: column 1 \(time_s\) is missing"),
        ("0,write,0xabc,1\n", r":2: column 3 \(key\) is '0xabc': an odd number of hex digits"),
        ("0,write,0xzz,1\n", r":2: column 3 \(key\) is '0xzz': not hex digits"),
        ("0,write,,1\n", r":2: column 3 \(key\) is '': is empty"),
        ("", r":2: there are no operations"),
        ("0,write,k,1\n1,write,k,51", r":3: the file ends in the middle of this line"),
        ("0,write,k,1\n1,wri", r":3: the file ends in the middle of this line"),
        ('0,write,"k,1\n', r":2: "),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, body: str, place: str) -> None:
    """An error names file, line, column and value."""
    path = write(tmp_path / "bad.csv", HEADER + body)
    with pytest.raises(TraceError, match=r"bad\.csv" + place):
        read_trace(path)


@pytest.mark.parametrize("text", ["", "time,op,key,value_bytes\n0,write,k,1\n", "0,write,k,1\n"])
def test_the_header_is_demanded(tmp_path: Path, text: str) -> None:
    """A file without the header, or with another one, is refused at line 1."""
    with pytest.raises(TraceError, match=r"t\.csv:1: .*time_s,op,key,value_bytes"):
        read_trace(write(tmp_path / "t.csv", text))


def test_keys_must_be_utf8(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are refused where they stand."""
    with pytest.raises(TraceError, match=r":3: column 3 \(key\) is .*ff.*not UTF-8"):
        read_trace(write(tmp_path / "t.csv", HEADER.encode() + b"0,read,k,1\n0,read,\xff,1\n"))


def test_a_gzip_stream_cut_short(tmp_path: Path) -> None:
    """A truncated download is refused, not half replayed."""
    whole = gzip.compress((HEADER + "".join(f"{n},write,key{n * 7919},1\n" for n in range(2000))).encode())
    with pytest.raises(TraceError, match=r"t\.gz:\d+: the gzip stream is cut short"):
        read_trace(write(tmp_path / "t.gz", whole[: len(whole) // 2]))


def test_damaged_gzip(tmp_path: Path) -> None:
    """A file called .gz that is none, and one whose checksum is wrong, are refused."""
    with pytest.raises(TraceError, match="not a sound gzip stream"):
        read_trace(write(tmp_path / "t.gz", HEADER + "0,write,k,1\n"))
    packed = bytearray(gzip.compress((HEADER + "0,write,k,1\n").encode()))
    packed[-8] ^= 1
    with pytest.raises(TraceError, match="not a sound gzip stream"):
        read_trace(write(tmp_path / "t.gz", bytes(packed)))


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is the same kind of error."""
    with pytest.raises(TraceError, match=r"none\.csv: No such file"):
        read_trace(tmp_path / "none.csv")


def test_leadership_is_read(tmp_path: Path) -> None:
    """Rows come in order; a group's end may repeat its last term."""
    path = write(tmp_path / "l.csv", SECOND + "0,3,2,52\n0.5,3,0,53\n1,4,1,1\n2,3,-1,53\n")
    read = read_leadership(path)
    assert read.rows[1] == LeadershipRow(500, 3, 0, 53)
    assert read.groups() == ([3, 4], [])
    assert read.last_ms == 2000


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("0,1,0,5\n1,1,1,5\n", r":3: column 4 \(term\) is '5': terms of a group must rise \(group 1 has had 5\)"),
        ("0,1,0,5\n1,1,-1,4\n", r":3: column 4 \(term\) is '4': terms of a group must rise"),
        ("0,1,0,5\n1,1,-1,5\n2,1,0,6\n", r":4: column 2 \(raft_group_id\) is '1': this group is gone"),
        ("0,1,-1,5\n", r":2: column 3 \(leader\) is '-1': group 1 is gone before"),
        ("0,1,-2,5\n", r":2: column 3 \(leader\) is '-2': must not be negative"),
        ("0,0,1,5\n", r":2: column 2 \(raft_group_id\) is '0': must be positive"),
        ("0,1,1,0\n", r":2: column 4 \(term\) is '0': must be positive"),
        ("0,1,1,99999999999999999999\n", r":2: column 4 \(term\) is '9+': must be below"),
        ("2,1,1,1\n1,2,1,1\n", r":3: column 1 \(time_s\) is '1': time goes back"),
        ("", r":2: there are no rows"),
        ("0,1,1,1", r":2: the file ends in the middle of this line"),
    ],
)
def test_bad_leadership_is_named(tmp_path: Path, body: str, place: str) -> None:
    """An error names file, line, column and value."""
    with pytest.raises(TraceError, match=r"l\.csv" + place):
        read_leadership(write(tmp_path / "l.csv", SECOND + body))
