"""Strict reading of CSV files, plain or gzip, with errors that name file, line and column."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from keyviz_grpc.errors import TraceError

_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d+))?", re.ASCII)
_NEGATIVE = re.compile(r"-\d+(\.\d+)?", re.ASCII)
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Table:
    """A file with a header line of exactly these column names."""

    path: Path
    columns: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line number from 1, one text a column), the header left out.

        Bytes that are not UTF-8 come as lone surrogates. Raises TraceError for a wrong header, a line with more or
        fewer columns, bad quoting, and a file that ends in the middle of a line or of its gzip stream.
        """
        lines = _Lines(self.path)
        table = csv.reader(lines, strict=True)
        width = len(self.columns)
        try:
            header = next(table, None)
            if header is None:
                raise TraceError(f"{self.path}:1: the file is empty, expected the header {','.join(self.columns)}")
            if tuple(header) != self.columns:
                raise TraceError(f"{self.path}:1: header {','.join(header)!r}, expected {','.join(self.columns)!r}")
            for fields in table:
                if lines.unfinished:
                    raise self._unfinished(lines.number)
                if len(fields) != width:
                    raise self._ragged(lines.number, fields)
                yield lines.number, fields
        except csv.Error as error:
            raise TraceError(f"{self.path}:{lines.number}: {error}") from error
        if lines.unfinished:
            raise self._unfinished(lines.number)

    def refusal(self, line: int, column: str, value: str, problem: str) -> TraceError:
        """The error about one field of one line."""
        number = self.columns.index(column) + 1
        shown = value.encode("utf-8", "backslashreplace").decode()
        shown = shown if len(shown) <= 80 else shown[:80] + "…"
        return TraceError(f"{self.path}:{line}: column {number} ({column}) is {shown!r}: {problem}")

    def time_ms(self, line: int, text: str) -> int:
        """Milliseconds, cut off and never rounded up, of a `time_s` field, the first column."""
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return int(text) * 1000
        found = _SECONDS.fullmatch(text)
        if found is None:
            negative = _NEGATIVE.fullmatch(text)
            problem = "must not be negative" if negative else "expected seconds, such as 12 or 12.5"
            raise self.refusal(line, self.columns[0], text, problem)
        return int(found[1]) * 1000 + int((found[2] or "")[:3].ljust(3, "0"))

    def whole(self, line: int, column: str, text: str, *, below: int) -> int:
        """A whole number from 0."""
        if not (text.isascii() and text.isdigit()):
            problem = "must not be negative" if _NEGATIVE.fullmatch(text) else "expected a whole number"
            raise self.refusal(line, column, text, problem)
        value = int(text) if len(text) <= 20 else below
        if value >= below:
            raise self.refusal(line, column, text, f"must be below {below}")
        return value

    def _ragged(self, line: int, fields: list[str]) -> TraceError:
        found, width = len(fields), len(self.columns)
        names = ",".join(self.columns)
        what = (
            f"column {found + 1} ({self.columns[found]}) is missing"
            if found < width
            else f"column {width + 1} is one too many"
        )
        return TraceError(f"{self.path}:{line}: {what}: found {found} columns, expected {names}")

    def _unfinished(self, line: int) -> TraceError:
        return TraceError(
            f"{self.path}:{line}: the file ends in the middle of this line (no line end); is it cut short?"
        )


class _Lines:
    """The lines of a file; `number` is that of the last one given out, `unfinished` whether it has no line end."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self.unfinished = False
        self._path = path
        self._iterator = self._read()

    def __iter__(self) -> Iterator[str]:
        return self._iterator

    def _read(self) -> Iterator[str]:
        try:
            with self._path.open("rb") as raw:
                packed = raw.peek(2)[:2] == _GZIP_MAGIC or self._path.suffix == ".gz"
                stream: BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
                with io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="\n") as text:
                    for line in text:
                        self.number += 1
                        self.unfinished = not line.endswith("\n")
                        yield line
        except EOFError as error:
            raise TraceError(f"{self._path}:{self.number + 1}: the gzip stream is cut short here") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(f"{self._path}:{self.number + 1}: not a sound gzip stream: {error}") from error
        except OSError as error:
            raise TraceError(f"{self._path}: {error.strerror or error}") from error
