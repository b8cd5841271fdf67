"""The least that a client can do: one connection kept open, one GET, the body read to its last byte."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

PATH = "/admin/api/v1/keyviz/matrix"


class RawClient:
    """For answers with a content-length, as the gateway's are."""

    def __init__(self, address: str, *, timeout_s: float = 60.0) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout_s)
        self._host = address
        self._buffer = bytearray(1 << 20)

    def get(self, query: str = "") -> tuple[float, bytes]:
        """(milliseconds from the first byte sent to the last received, the body); RuntimeError unless it is 200."""
        head = f"GET {PATH}{query} HTTP/1.1\r\nhost: {self._host}\r\naccept-encoding: identity\r\n\r\n".encode()
        began = time.perf_counter()
        self._socket.sendall(head)
        got, end = 0, -1
        while end < 0:
            got += self._receive(got)
            end = self._buffer.find(b"\r\n\r\n", 0, got)
        header = bytes(self._buffer[:end]).lower()
        length = int(header.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        total = end + 4 + length
        if total > len(self._buffer):
            self._buffer.extend(bytes(total - len(self._buffer)))
        while got < total:
            got += self._receive(got)
        took_ms = (time.perf_counter() - began) * 1000
        body = bytes(self._buffer[end + 4 : total])
        if not header.startswith(b"http/1.1 200"):
            raise RuntimeError(body[:500].decode())
        return took_ms, body

    def _receive(self, at: int) -> int:
        count = self._socket.recv_into(memoryview(self._buffer)[at:])
        if count == 0:
            raise RuntimeError("the gateway closed the connection")
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
