"""Where an answer is read: on the event loop where that is little work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.codec import apart
from keyviz_grpc.codec.fields import as_field
from keyviz_grpc.model import Catalogue, Series
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.reading import read_raw

STAMPS = [1000, 2000, 3000]


class Memory:
    """In place of what is recalled of a node without rows. asked: of how many new columns it was asked."""

    def __init__(self) -> None:
        self.query, self.rows, self.held = MatrixQuery(Series.READS), Catalogue(()), object()
        self.asked: list[int] = []

    def copies_much(self, columns: int, oldest: int) -> bool:
        """See Recalled."""
        del oldest
        self.asked.append(columns)
        return False

    def whole(self, answer: Answer, wire_bytes: int) -> Answer:
        """See Recalled."""
        del wire_bytes
        return answer


def left_out() -> bytes:
    """New columns of no rows, which are said to be those that are known: an odd peer has an empty field for them."""
    message = pb.GetKeyVizMatrixResponse(node_id="n", incarnation=1, column_unix_ms=STAMPS)
    message.history.number, message.history.left_out_below_unix_ms = 5, 1000
    empty = [*as_field(2, [b""]), *as_field(4, [b""])]
    return message.SerializeToString() + b"".join(as_field(28, [b"\x08\x01", *empty]))


async def test_columns_that_are_known_by_their_bytes_count_as_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copying what is remembered goes by them, whether or not the message has them."""
    monkeypatch.setattr(apart, "LARGE", 1)
    memory: Any = Memory()
    with ThreadPoolExecutor(1) as threads:
        for _ in range(2):
            await read_raw(left_out(), memory, Outcome("p"), BytesBudget(1 << 20), threads=threads)
    assert memory.asked == [len(STAMPS)] * 2
