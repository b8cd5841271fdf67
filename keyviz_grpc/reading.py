"""From the bytes of a peer's answer to the model, each step paid from a budget before it is taken."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import partial
from typing import Final

from keyviz_grpc.bytes_budget import HELD_CELL_BYTES, BytesBudget
from keyviz_grpc.codec import (
    HARMLESS_BYTES,
    MESSAGE_BYTES,
    Apart,
    Weight,
    decode_answer,
    leaves_bytes,
    messages_in_response,
    set_apart,
)
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.remembered import Recalled

READ_AT_ONCE_BYTES: Final = 256 << 10
"""So much is parsed on the event loop, besides large fields that stay where they came."""


class Unpaid(Exception):
    """A budget has less left than is needed."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes


def pay(budget: BytesBudget, size_bytes: int) -> None:
    """Raises Unpaid where the budget has less left."""
    if size_bytes > 0 and not budget.take(size_bytes):
        raise Unpaid(size_bytes)


async def read_raw(raw: bytes, recalled: Recalled, known: Outcome, budget: BytesBudget, *, threads: Executor) -> Answer:
    """As `read`: on the event loop where that is little work, else in one of the threads."""
    loop, apart = asyncio.get_running_loop(), set_apart(raw)
    if apart.parsed_bytes > READ_AT_ONCE_BYTES:
        # Parsed there too: as a message an answer may take many times its bytes, and there only a few are at once.
        return await loop.run_in_executor(threads, read, apart, recalled, known, budget)
    message = apart.message()
    weight = apart.weight_of(message)
    if weight.is_little and (recalled.held is None or _adds_little(message, apart, recalled)):
        # A third of a millisecond, or two in rows: less than what handing it to a thread and waking up again costs.
        return decode(message, apart, recalled, known, budget, weight=weight)
    work = partial(decode, message, apart, recalled, known, budget, weight=weight)
    return await loop.run_in_executor(threads, work)


def _adds_little(message: pb.GetKeyVizMatrixResponse, apart: Apart, recalled: Recalled) -> bool:
    """Whether it leaves out what is remembered, and no large part of that is copied to go on from there."""
    left_out = message.history.left_out_below_unix_ms > 0
    columns = len(message.column_unix_ms) + apart.known_columns
    return left_out and not recalled.copies_much(columns, message.oldest_unix_ms)


def read(apart: Apart, recalled: Recalled, known: Outcome, budget: BytesBudget) -> Answer:
    """The whole answer, of bytes that are paid already; it is `recalled` with what they tell.

    Raises Unpaid, MalformedAnswer, TooLarge.
    """
    # While it is read an answer is a message as well, and one of many small messages takes a hundred times its bytes.
    parsing = budget.part()
    try:
        if apart.large is None and len(apart.rest) > HARMLESS_BYTES:
            pay(parsing, MESSAGE_BYTES * messages_in_response(apart.rest, budget.total_bytes // MESSAGE_BYTES))
        message = apart.message()
        return decode(message, apart, recalled, known, budget, weight=apart.weight_of(message))
    finally:
        parsing.give_back()


def decode(
    message: pb.GetKeyVizMatrixResponse,
    apart: Apart,
    recalled: Recalled,
    known: Outcome,
    budget: BytesBudget,
    *,
    weight: Weight,
) -> Answer:
    """As `read`; message: what is parsed already, and how much that is."""
    # What is little has no leaves.
    size = weight.decoded_bytes if weight.is_little else weight.decoded_bytes + leaves_bytes(message)
    pay(budget, size)
    told = decode_answer(message, series=recalled.query.series, outcome=known, rows=recalled.rows, large=apart.large)
    answer = recalled.whole(told, apart.size_bytes)
    if answer is not told:
        # Columns that were left out come in no bytes, and take memory all the same when answers are merged.
        pay(budget, HELD_CELL_BYTES * answer.cells - size)
    return answer
