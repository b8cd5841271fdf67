"""From a query string to a typed request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import Series, Window
from keyviz_grpc.query import MatrixQuery

MAX_ROWS: Final = 1024
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_MAX_INT64: Final = 2**63 - 1
_MAX_NAME_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class MatrixParams:
    """What one matrix request asks for; `identity` False leaves the identity arrays out of the answer."""

    query: MatrixQuery
    identity: bool


@dataclass(frozen=True, slots=True)
class CellParams:
    """Which cell is asked for."""

    bucket_id: str
    column_unix_ms: int
    series: Series


def first_of_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of repeats the first counts; an empty value is an absent one."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return {name: value for name, value in found.items() if value}


def matrix_params(given: dict[str, str]) -> MatrixParams:
    """Raises InvalidRequest naming parameter and value; unknown parameters are ignored."""
    rows = _integer(given, "rows", MAX_ROWS)
    query = MatrixQuery(
        _series(given),
        Window(_integer(given, "from_unix_ms", 0), _integer(given, "to_unix_ms", 0)),
        rows if 0 < rows <= MAX_ROWS else MAX_ROWS,
        node_id=_name(given, "node"),
    )
    identity = given.get("identity", "1")
    if identity not in ("0", "1"):
        raise InvalidRequest("identity", identity, "must be 0 or 1")
    return MatrixParams(query, identity == "1")


def cell_params(given: dict[str, str]) -> CellParams:
    """Raises InvalidRequest naming parameter and value."""
    bucket_id = _name(given, "bucket_id")
    if not bucket_id:
        raise InvalidRequest("bucket_id", "", "is needed")
    column = _integer(given, "column_unix_ms", 0)
    if column <= 0:
        raise InvalidRequest("column_unix_ms", given.get("column_unix_ms", ""), "must be a positive number")
    return CellParams(bucket_id, column, _series(given))


def _series(given: dict[str, str]) -> Series:
    name = given.get("series", Series.WRITES.value)
    try:
        return Series(name)
    except ValueError as error:
        known = ", ".join(series.value for series in Series)
        raise InvalidRequest("series", name, f"must be one of {known}") from error


def _integer(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest(name, text, "must be a whole number")
    if not -_MAX_INT64 <= (value := int(text)) <= _MAX_INT64:
        raise InvalidRequest(name, text, "must be a 64-bit number")
    return value


def _name(given: dict[str, str], name: str) -> str:
    text = given.get(name, "")
    if len(text) > _MAX_NAME_CHARS:
        raise InvalidRequest(name, text, f"must have at most {_MAX_NAME_CHARS} characters")
    return text
