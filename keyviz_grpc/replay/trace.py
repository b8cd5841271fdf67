"""The trace reader: what was asked of the store, operation by operation."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import TraceError
from keyviz_grpc.replay.table import Table

COLUMNS: Final = ("time_s", "op", "key", "value_bytes")
VALUE_LIMIT: Final = 1 << 33
_IS_WRITE: Final = {"read": 0, "write": 1}


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """n >= 1 operations in the file's order; operation i happened time_ms[i] after the trace's time 0.

    time_ms: int64[n], never falling, from 0. writes: uint8[n], 1 = write, 0 = read. value_bytes: int64[n].
    keys: n byte strings.
    """

    path: Path
    time_ms: NDArray[np.int64]
    writes: NDArray[np.uint8]
    keys: list[bytes]
    value_bytes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def last_ms(self) -> int:
        """The moment of the last operation after the trace's time 0: the trace's span."""
        return int(self.time_ms[-1])


def read_trace(path: Path) -> Trace:
    """Reads `time_s,op,key,value_bytes`, plain or gzip; a key `0x…` is raw bytes in hex, any other its own UTF-8.

    Raises TraceError, naming file, line, column and value, for anything that is not exactly that: also for time that
    goes back, and for a file without operations.
    """
    table = Table(path, COLUMNS)
    times: list[int] = []
    writes: list[int] = []
    keys: list[bytes] = []
    sizes: list[int] = []
    before = 0
    for line, (time_s, op, key, value_bytes) in table.rows():
        moment = table.time_ms(line, time_s)
        if moment < before:
            raise table.refusal(line, "time_s", time_s, f"time goes back (the line before is at {before / 1000:g})")
        before = moment
        is_write = _IS_WRITE.get(op)
        if is_write is None:
            raise table.refusal(line, "op", op, "expected read or write")
        times.append(moment)
        writes.append(is_write)
        keys.append(_key(table, line, key))
        sizes.append(table.whole(line, "value_bytes", value_bytes, below=VALUE_LIMIT))
    if not keys:
        raise TraceError(f"{path}:2: there are no operations")
    return Trace(path, np.array(times, np.int64), np.array(writes, np.uint8), keys, np.array(sizes, np.int64))


def _key(table: Table, line: int, text: str) -> bytes:
    if text.startswith("0x"):
        try:
            return binascii.unhexlify(text[2:])
        except ValueError as error:
            problem = "an odd number of hex digits" if len(text) % 2 else "not hex digits"
            raise table.refusal(line, "key", text, problem) from error
    if not text:
        raise table.refusal(line, "key", text, "is empty (the empty key is written 0x)")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise table.refusal(line, "key", raw, "is not UTF-8 (raw bytes are written 0x…)") from error
