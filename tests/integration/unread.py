"""A gRPC caller that sends calls and never takes an answer: its flow control window stays shut. In plain HTTP/2."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Self

from google.protobuf.message import Message

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE: Final = 4


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _header(name: str, value: str) -> bytes:
    """One field that is in no table, lengths below 127."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


@dataclass
class Unread:
    """One connection. ended: the streams that the server ended. data_bytes: what it sent all the same."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    begun: int = 0
    ended: set[int] = field(default_factory=set)
    data_bytes: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, address: str) -> AsyncIterator[Self]:
        """A connection over which nothing but heads of answers can come."""
        host, _, port = address.rpartition(":")
        made = cls(*await asyncio.open_connection(host, int(port)))
        made.writer.write(PREFACE + _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)))
        reading = asyncio.create_task(made._read())
        try:
            yield made
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            made.writer.close()

    def call(self, address: str, path: str, request: Message | None, *, timeout_ms: int | None = None) -> None:
        """Sends one call whole, or without a request its head alone."""
        stream = 2 * self.begun + 1
        self.begun += 1
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", address)]
        fields += [("te", "trailers"), ("content-type", "application/grpc")]
        if timeout_ms is not None:
            fields.append(("grpc-timeout", f"{timeout_ms}m"))
        self.writer.write(_frame(HEADERS, END_HEADERS, stream, b"".join(_header(*one) for one in fields)))
        if request is not None:
            body = request.SerializeToString()
            self.writer.write(_frame(DATA, END_STREAM, stream, struct.pack(">BI", 0, len(body)) + body))

    async def all_ended(self, within_s: float) -> None:
        """Returns once the server has given up every call."""
        async with asyncio.timeout(within_s):
            await self.some_ended(self.begun)

    async def some_ended(self, count: int) -> None:
        """Returns once the server has given up so many."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.ended) >= count)

    async def _read(self) -> None:
        while True:
            head = await self.reader.readexactly(9)
            size, (kind, flags, stream) = int.from_bytes(head[:3]), struct.unpack(">BBI", head[3:])
            payload = await self.reader.readexactly(size)
            if kind == SETTINGS and not flags & ACK:
                self.writer.write(_frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.writer.write(_frame(PING, ACK, 0, payload))
            elif kind == DATA:
                self.data_bytes += size
            if kind == RESET or (kind in (HEADERS, DATA) and flags & END_STREAM):
                async with self.changed:
                    self.ended.add(stream)
                    self.changed.notify_all()
