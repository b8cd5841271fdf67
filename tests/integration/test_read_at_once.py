"""Which answers are read on the event loop: those that are little work, whatever a peer puts into few bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from keyviz_grpc.bytes_budget import BytesBudget
from keyviz_grpc.client import ClientShared, PeerClient
from keyviz_grpc.codec import apart
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.outcome import Answer
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.proto import keyviz_pb2_grpc as rpc
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.remembered import Shelf, columns, pieces
from tests.integration.faults import Scripted

MANY = 5000


class Threads(ThreadPoolExecutor):
    """Tell how often they were asked."""

    asked = 0

    def submit(self, *args: Any, **more: Any) -> Any:
        """As threads do."""
        self.asked += 1
        return super().submit(*args, **more)


async def ask(*answers: pb.GetKeyVizMatrixResponse, shelf: Shelf | None = None) -> list[int]:
    """Asks one peer that answers so, in turn; how often threads had been asked after each."""
    left, told = iter(answers), []

    async def act(_: object) -> pb.GetKeyVizMatrixResponse:
        return next(left)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rpc.add_KeyVizServicer_to_server(Scripted(act), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    with Threads(1) as threads:
        client = PeerClient(address, ClientShared(threads=threads, remembered=shelf))
        try:
            for _ in answers:
                result = await client.matrix(MatrixQuery(), Deadline.after(30), BytesBudget(1 << 30))
                assert isinstance(result, Answer), result
                told.append(threads.asked)
        finally:
            await client.close()
            await server.stop(0)
    return told


def answer(rows: int = 1, width: int = 1) -> pb.GetKeyVizMatrixResponse:
    """Without traffic, packed."""
    names = [pb.KeyVizRow(bucket_id=f"r{number}", start=b"%06d" % number) for number in range(rows)]
    message = pb.GetKeyVizMatrixResponse(
        column_unix_ms=range(1000, 1000 * (width + 1), 1000),
        node_id="n1",
        incarnation=1,
        step_ms=1000,
        oldest_unix_ms=1000,
    )
    message.columnar.version, message.columnar.widths = 1, bytes(rows)
    message.columnar.catalogue = pb.KeyVizCatalogue(rows=names).SerializeToString()
    return message


def in_rows(shares: int = 0, conflicts: int = 0) -> pb.GetKeyVizMatrixResponse:
    """One cell, and what is said of it."""
    return pb.GetKeyVizMatrixResponse(
        column_unix_ms=[1000],
        node_id="n1",
        step_ms=1000,
        rows=[pb.KeyVizRow(bucket_id="r", values=[shares + 1])],
        shares=[pb.KeyVizShare(raft_group_id=1, leader_term=term, value=1) for term in range(1, shares + 1)],
        conflicts=[pb.KeyVizConflicts()] * conflicts,
    )


LITTLE: dict[str, Callable[[], pb.GetKeyVizMatrixResponse]] = {
    "packed": answer,
    "a page": lambda: answer(1024, 60),
    "in rows": in_rows,
    "in rows with shares and conflicts": lambda: in_rows(20, 20),
}
MUCH: dict[str, Callable[[], pb.GetKeyVizMatrixResponse]] = {
    "rows": lambda: answer(MANY),
    "cells": lambda: answer(500, MANY),
    "shares": lambda: in_rows(shares=MANY),
    "conflicts": lambda: in_rows(conflicts=MANY),
}


@pytest.mark.parametrize("name", LITTLE)
async def test_little_is_read_at_once(name: str) -> None:
    """No thread is asked."""
    assert await ask(LITTLE[name]()) == [0]


@pytest.mark.parametrize("name", MUCH)
async def test_much_in_few_bytes_is_read_in_a_thread(name: str) -> None:
    """All of them would be read at once by their bytes."""
    message = MUCH[name]()
    assert message.ByteSize() < 1 << 18
    assert await ask(message) == [1]


async def test_many_rows_are_read_at_once_where_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread the first time; other rows of as many bytes are read in one again."""
    monkeypatch.setattr(apart, "LARGE", 0)
    first, other = answer(MANY + 1), answer(MANY + 1)
    for message in (first, other):
        message.columnar.widths, message.columnar.values = bytes([1]) + bytes(MANY), b"1"
    other.columnar.catalogue = other.columnar.catalogue.replace(b"r0", b"q0")
    assert await ask(first, first, other, other) == [1, 1, 2, 2]


async def test_few_rows_of_many_bytes_are_read_in_a_thread_where_they_are_not_known() -> None:
    """A row may say anything of its origin, and list route ids."""
    message = answer(1)
    row = pb.KeyVizCatalogue.FromString(message.columnar.catalogue).rows[0]
    row.lineage_id = "x" * (1 << 18)
    message.columnar.catalogue = pb.KeyVizCatalogue(rows=[row]).SerializeToString()
    message.columnar.widths, message.columnar.values = bytes([1]), b"1"
    assert await ask(message, message) == [1, 1]


async def test_many_bytes_of_values_are_read_in_a_thread() -> None:
    """Nothing is read of them one by one, but all are looked through and remembered."""
    message = answer(1, MANY)
    message.columnar.widths, message.columnar.values = bytes([8]), bytes(8 * MANY)
    assert await ask(message) == [0]
    message = answer(60, MANY)
    message.columnar.widths, message.columnar.values = bytes([8] * 60), bytes(8 * 60 * MANY)
    assert await ask(message, message) == [1, 2]


async def test_a_large_table_of_identities_is_read_in_a_thread() -> None:
    """It may have millions, and stands apart as well."""
    message = answer(MANY + 2)
    message.columnar.widths, message.columnar.values = bytes([1]) + bytes(MANY + 1), b"1"
    message.columnar.identity_groups.extend(range(1, 1 << 17))
    message.columnar.identity_terms.extend(range(1, 1 << 17))
    assert await ask(message, message) == [1, 2]


async def test_pieces_are_joined_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of a node may be its whole history, however little its answer is."""
    monkeypatch.setattr(pieces, "MANY_CELLS", 0)  # few pieces are joined, as those of many rows are
    monkeypatch.setattr(columns, "FEW_CELLS", 7)  # four columns are more, three are less

    def told(number: int) -> pb.GetKeyVizMatrixResponse:
        message = answer(2, number)
        message.history.number, message.history.newest_unix_ms = 7, 1000 * number
        if number > 1:
            del message.column_unix_ms[:-1]
            message.columnar.ClearField("catalogue")
            message.history.left_out_below_unix_ms = 1000 * (number - 1) + 1
            message.history.left_out_columns = number - 1
        return message

    counts = await ask(*map(told, range(1, 10)), shelf=Shelf(1 << 24))
    assert counts == [0] * 3 + [1] * 4 + [2] * 2
