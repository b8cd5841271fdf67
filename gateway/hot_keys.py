"""The hot keys of a row: from the query string to a typed request, and from the answer to JSON."""

from __future__ import annotations

import base64
from typing import Final

import orjson
from starlette.datastructures import QueryParams

from gateway.params import first_of, integer_of, moment_of, series_of, text_of
from gateway.render import fanout_of, rfc3339
from keyviz_grpc.errors import (
    ON_THE_WIRE,
    HotKeysDisabled,
    InvalidRequest,
    NoSnapshot,
    OutOfSnapshotWindow,
    SamplerDisabled,
)
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.hotkeys.query import MAX_SLICES
from keyviz_grpc.model import Window

DEFAULT_TOP = 20
MAX_TOP = 1024

NothingToTell = HotKeysDisabled | SamplerDisabled | NoSnapshot | OutOfSnapshotWindow
"""Why there may be no keys although the request is right."""
NOTHING_TO_TELL: Final = (HotKeysDisabled, SamplerDisabled, NoSnapshot, OutOfSnapshotWindow)


def read_hot_keys_request(params: QueryParams) -> HotKeysQuery:
    """Raises InvalidRequest naming the parameter and its value."""
    if not first_of(params, "route_id"):
        raise InvalidRequest("route_id", "", "is required: the number in a row's bucket id, such as 42 of route:42")
    route_id = integer_of("route_id", first_of(params, "route_id"))
    if route_id >= 2**64:
        raise InvalidRequest("route_id", first_of(params, "route_id"), "must be a positive 64-bit number")
    return HotKeysQuery(
        route_id,
        label=first_of(params, "label"),
        series=series_of(params),
        window=Window(moment_of(params, "from_unix_ms"), moment_of(params, "to_unix_ms")),
        sub_bucket=_sub_bucket(params),
        top=_top(params),
        node_id=text_of(params, "node"),
    )


def read_absent(params: QueryParams) -> bool:
    """Whether an answer that there are no keys is to come as 200. Raises InvalidRequest."""
    text = first_of(params, "absent")
    if text not in {"", "200"}:
        raise InvalidRequest("absent", text, "must be 200 or absent")
    return text == "200"


def _sub_bucket(params: QueryParams) -> int | None:
    text = first_of(params, "sub_bucket")
    if not text:
        return None
    value = integer_of("sub_bucket", text)
    if value >= MAX_SLICES:
        raise InvalidRequest("sub_bucket", text, f"must be from 0 to {MAX_SLICES - 1}")
    return value


def _top(params: QueryParams) -> int:
    text = first_of(params, "top")
    value = integer_of("top", text) if text else DEFAULT_TOP
    if value <= 0:
        raise InvalidRequest("top", text, "must be a positive number")
    return min(value, MAX_TOP)


def render_hot_keys(answer: HotKeysAnswer, query: HotKeysQuery) -> bytes:
    """The body of the hot keys endpoint. `fanout` is absent where a local node alone was asked."""
    body = _asked(query)
    body["keys"] = [
        {
            "key_b64": base64.b64encode(item.key).decode(),
            "count": _number(item.count),
            "lower": _number(item.lower),
            "upper": _number(item.upper),
        }
        for item in answer.keys
    ]
    body |= {
        "approximate": True,
        "sample_rate": answer.sample_rate,
        "sampled_n": _number(answer.sampled_n),
        "dropped_samples": _number(answer.dropped_samples),
        "skipped_long_keys": _number(answer.skipped_long_keys),
        "left_out_keys": _number(answer.left_out_keys),
        "degraded": answer.degraded,
        "error_bound": _number(answer.error_bound),
        "unlisted_bound": _number(answer.unlisted_bound),
        "confidence": answer.confidence,
        "snapshot_at": rfc3339(answer.snapshot_at_unix_ms),
        "oldest_unix_ms": answer.oldest_unix_ms,
        "newest_unix_ms": answer.newest_unix_ms,
    }
    return orjson.dumps(body | fanout_of(answer))


def render_no_hot_keys(error: NothingToTell, query: HotKeysQuery, answer: HotKeysAnswer | None) -> bytes:
    """The body that says why there are no keys, for those who want it as an answer rather than as an error.

    answer: what was found instead, None where nobody answered. Who is missing in it may have keys.
    """
    absent = {"error": ON_THE_WIRE[type(error)].http_code, "message": str(error)}
    return orjson.dumps(_asked(query) | {"keys": [], "absent": absent} | ({} if answer is None else fanout_of(answer)))


def _asked(query: HotKeysQuery) -> dict[str, object]:
    body: dict[str, object] = {"route_id": query.route_id}
    if query.label:
        body["label"] = query.label
    if query.sub_bucket is not None:
        body["sub_bucket"] = query.sub_bucket
    body["series"] = query.series.value
    return body


def _number(value: int) -> int:
    """Sums beyond 64 bits read as the largest number."""
    return min(value, 2**64 - 1)
