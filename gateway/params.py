"""From a query string to a typed request. Unknown parameters are ignored, an empty one is absent, the first counts."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams

from keyviz_grpc.errors import InvalidRequest
from keyviz_grpc.model import KeyRange, Series, Window
from keyviz_grpc.query import MatrixQuery

MAX_ROWS: Final = 1024
MAX_TEXT_CHARS: Final = 1024
MAX_KEY_CHARS: Final = 16_384
_INTEGER: Final = re.compile(r"-?[0-9]+", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class MatrixRequest:
    """What the matrix endpoint was asked for. identity: whether rows show their identity arrays."""

    query: MatrixQuery
    identity: bool


@dataclass(frozen=True, slots=True)
class CellRequest:
    """What the cell endpoint was asked for."""

    bucket_id: str
    column_unix_ms: int
    series: Series


def read_matrix_request(params: QueryParams) -> MatrixRequest:
    """Raises InvalidRequest naming the parameter and its value."""
    window = Window(moment_of(params, "from_unix_ms"), moment_of(params, "to_unix_ms"))
    rows, node_id = _rows(params), text_of(params, "node")
    keys = KeyRange(_key(params, "start"), _key(params, "end"))
    query = MatrixQuery(series_of(params), window, rows=rows, node_id=node_id, keys=keys, for_display=True)
    return MatrixRequest(query, identity=_switch(params, "identity"))


def read_cell_request(params: QueryParams) -> CellRequest:
    """Raises InvalidRequest naming the parameter and its value."""
    bucket_id = text_of(params, "bucket_id")
    if not bucket_id:
        raise InvalidRequest("bucket_id", "", "is required, such as route:42")
    column_unix_ms = moment_of(params, "column_unix_ms")
    if not column_unix_ms:
        problem = "is required: the stamp of a column, a positive unix time in milliseconds"
        raise InvalidRequest("column_unix_ms", first_of(params, "column_unix_ms"), problem)
    return CellRequest(bucket_id, column_unix_ms, series_of(params))


def first_of(params: QueryParams, name: str) -> str:
    """The first value of a parameter, "" when it is absent."""
    values = params.getlist(name)
    return values[0] if values else ""


def series_of(params: QueryParams) -> Series:
    """The series asked for; writes by default."""
    text = first_of(params, "series")
    if not text:
        return Series.WRITES
    try:
        return Series(text)
    except ValueError:
        raise InvalidRequest("series", text, f"must be one of {', '.join(Series)}") from None


def moment_of(params: QueryParams, name: str) -> int:
    """Unix milliseconds, 0 when absent."""
    text = first_of(params, name)
    value = integer_of(name, text) if text else 0
    if value < 0:
        raise InvalidRequest(name, text, "must not be negative")
    if value > _INT64_MAX:
        raise InvalidRequest(name, text, f"must be at most {_INT64_MAX}")
    return value


def _rows(params: QueryParams) -> int:
    text = first_of(params, "rows")
    value = integer_of("rows", text) if text else 0
    return value if 0 < value <= MAX_ROWS else MAX_ROWS


def integer_of(name: str, text: str) -> int:
    """The number; one of more digits than anything here may have becomes 2**64 with its sign."""
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest(name, text, "must be a whole number")
    negative, digits = text.startswith("-"), text.lstrip("-").lstrip("0")
    value = int(digits or "0") if len(digits) <= 19 else 2**64
    return -value if negative else value


def text_of(params: QueryParams, name: str) -> str:
    """A text without control characters, "" when absent."""
    text = first_of(params, name)
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidRequest(name, text, f"must have at most {MAX_TEXT_CHARS} characters")
    if _CONTROL.search(text):
        raise InvalidRequest(name, text, "must not have control characters")
    return text


def _key(params: QueryParams, name: str) -> bytes:
    """A key in base64, as rows have it; the alphabet for addresses counts as well, and padding may be left out."""
    text = first_of(params, name)
    if len(text) > MAX_KEY_CHARS:
        raise InvalidRequest(name, text, f"must have at most {MAX_KEY_CHARS} characters")
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise InvalidRequest(name, text, "must be a key in base64") from None


def _switch(params: QueryParams, name: str) -> bool:
    text = first_of(params, name)
    if text not in ("", "0", "1"):
        raise InvalidRequest(name, text, "must be 0 or 1")
    return text != "0"
