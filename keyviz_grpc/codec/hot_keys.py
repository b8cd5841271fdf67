"""Requests for hot keys and their answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

from keyviz_grpc.codec.outcomes import decode_outcomes, encode_outcome
from keyviz_grpc.codec.queries import MAX_NAMES, NUMBER_OF_SERIES, SERIES_OF_NUMBER, check_names
from keyviz_grpc.codec.times import moment_ms, step_ms
from keyviz_grpc.errors import InvalidRequest, MalformedAnswer
from keyviz_grpc.hotkeys.answer import LARGEST, MAX_CANDIDATES, HotKey, HotKeysAnswer
from keyviz_grpc.hotkeys.query import MAX_SLICES, HotKeysQuery
from keyviz_grpc.model import Window
from keyviz_grpc.outcome import Outcome
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.query import MAX_VIA

LARGEST_RATE: Final = 1 << 20


def decode_hot_keys_query(request: pb.GetHotKeysRequest) -> HotKeysQuery:
    """Raises InvalidRequest that names the field and its value."""
    series = SERIES_OF_NUMBER.get(request.series)
    if series is None:
        raise InvalidRequest("series", int(request.series), "is not a series (0 to 4)")
    check_names(
        ("via", request.via, MAX_VIA),
        ("exclude", [leaf.node_id for leaf in request.exclude], MAX_NAMES),
        ("node_id", [request.node_id], 1),
    )
    return HotKeysQuery(
        request.route_id,
        label=request.label,
        series=series,
        window=Window(request.from_unix_ms, request.to_unix_ms),
        sub_bucket=request.sub_bucket if request.HasField("sub_bucket") else None,
        top=request.top,
        max_bytes=request.max_bytes,
        via=tuple(request.via),
        node_id=request.node_id,
        exclude=tuple((leaf.node_id, leaf.incarnation) for leaf in request.exclude),
    )


def encode_hot_keys_query(query: HotKeysQuery) -> pb.GetHotKeysRequest:
    """The message for a query."""
    return pb.GetHotKeysRequest(
        series=NUMBER_OF_SERIES[query.series],
        from_unix_ms=query.window.from_unix_ms,
        to_unix_ms=query.window.to_unix_ms,
        route_id=query.route_id,
        label=query.label,
        sub_bucket=query.sub_bucket,
        top=query.top,
        max_bytes=query.max_bytes,
        via=query.via,
        node_id=query.node_id,
        exclude=[pb.LeafKey(node_id=node_id, incarnation=life) for node_id, life in query.exclude],
    )


def encode_hot_keys(answer: HotKeysAnswer, *, bounds: bool = True) -> pb.GetHotKeysResponse:
    """The message for an answer; sums beyond 64 bits read as the largest number.

    bounds False: without lower and upper of each key, which whoever merges finds anew.
    """
    start, end = answer.slice_range or (b"", b"")
    return pb.GetHotKeysResponse(
        keys=[
            pb.HotKey(
                key=item.key,
                count=min(item.count, LARGEST),
                lower=min(item.lower, LARGEST) if bounds else 0,
                upper=min(item.upper, LARGEST) if bounds else 0,
                sketch_lower=min(item.sketch_lower, LARGEST),
                sketch_upper=min(item.sketch_upper, LARGEST),
            )
            for item in answer.keys
        ],
        sample_rate=answer.sample_rate,
        sampled_n=min(answer.sampled_n, LARGEST),
        dropped_samples=min(answer.dropped_samples, LARGEST),
        skipped_long_keys=min(answer.skipped_long_keys, LARGEST),
        error_bound=min(answer.error_bound, LARGEST),
        unlisted_bound=min(answer.unlisted_bound, LARGEST),
        snapshot_at_unix_ms=answer.snapshot_at_unix_ms,
        confidence=answer.confidence,
        degraded=answer.degraded,
        node_id=answer.node_id,
        incarnation=answer.incarnation,
        step_ms=answer.step_ms,
        generated_at_unix_ms=answer.generated_at_unix_ms,
        oldest_unix_ms=answer.oldest_unix_ms,
        newest_unix_ms=answer.newest_unix_ms,
        observed=answer.observed,
        outcomes=[encode_outcome(outcome) for outcome in answer.outcomes] if answer.merged else [],
        slices=answer.slices,
        sketch_error=min(answer.sketch_error, LARGEST),
        left_out_keys=min(answer.left_out_keys, LARGEST),
        slice_start=start,
        slice_end=end,
        slices_differ=answer.slices_differ,
    )


def decode_hot_keys(message: pb.GetHotKeysResponse, *, outcome: Outcome) -> HotKeysAnswer:
    """outcome: address and latency of whoever was asked. Raises MalformedAnswer naming what cannot be."""
    # An aggregator that does not tell the newest window of each leaf tells that of all.
    leaves = tuple(
        replace(leaf, newest_unix_ms=leaf.newest_unix_ms or message.newest_unix_ms) if leaf.oldest_unix_ms else leaf
        for leaf in decode_outcomes(message.outcomes)
    )
    most = MAX_CANDIDATES * max(1, len(leaves))
    if len(message.keys) > most:
        raise MalformedAnswer(f"keys: {len(message.keys)} entries, at most {most} of so many nodes are believed")
    keys = tuple(
        HotKey(item.key, item.count, item.sketch_lower, item.sketch_upper, message.sample_rate) for item in message.keys
    )
    _check(message, keys)
    own = replace(
        outcome,
        node_id=message.node_id or outcome.node_id,
        incarnation=message.incarnation or outcome.incarnation,
        step_ms=message.step_ms,
        generated_at_unix_ms=message.generated_at_unix_ms,
        oldest_unix_ms=message.oldest_unix_ms,
        newest_unix_ms=message.newest_unix_ms,
    )
    return HotKeysAnswer(
        keys,
        leaves or (own,),
        sample_rate=message.sample_rate,
        sampled_n=message.sampled_n,
        dropped_samples=message.dropped_samples,
        skipped_long_keys=message.skipped_long_keys,
        sketch_error=message.sketch_error,
        error_bound=message.error_bound,
        unlisted_bound=message.unlisted_bound,
        snapshot_at_unix_ms=message.snapshot_at_unix_ms,
        oldest_unix_ms=message.oldest_unix_ms,
        newest_unix_ms=message.newest_unix_ms,
        observed=message.observed,
        slices=message.slices,
        left_out_keys=message.left_out_keys,
        # Unbounded at both ends is one slice alone, and what older nodes say: there is nothing to compare.
        slice_range=(message.slice_start, message.slice_end) if message.slice_start or message.slice_end else None,
        slices_differ=message.slices_differ,
        step_ms=message.step_ms,
        generated_at_unix_ms=message.generated_at_unix_ms,
        node_id=message.node_id,
        incarnation=message.incarnation,
        merged=bool(leaves),
    )


def _check(message: pb.GetHotKeysResponse, keys: tuple[HotKey, ...]) -> None:
    for number, item in enumerate(keys):
        if not item.sketch_lower <= item.count <= item.sketch_upper:
            raise MalformedAnswer(
                f"keys: entry {number} counts {item.count}, outside of {item.sketch_lower} to {item.sketch_upper}"
            )
    for number, (left, right) in enumerate(pairwise(keys)):
        if (-left.count, left.key) >= (-right.count, right.key):
            raise MalformedAnswer(f"keys: entries {number} and {number + 1} are out of order")
    if len({item.key for item in keys}) != len(keys):
        raise MalformedAnswer("keys: one key occurs twice")
    _check_numbers(message)


def _check_numbers(message: pb.GetHotKeysResponse) -> None:
    if message.sample_rate > LARGEST_RATE or (message.keys and not message.sample_rate):
        raise MalformedAnswer(f"sample_rate={message.sample_rate} is not from 1 to {LARGEST_RATE}")
    if message.slices > MAX_SLICES:
        raise MalformedAnswer(f"slices={message.slices}, at most {MAX_SLICES} are believed")
    if message.slice_end and message.slice_start >= message.slice_end:
        raise MalformedAnswer("slice_start is not below slice_end")
    step_ms("step_ms", message.step_ms)
    for field in ("snapshot_at_unix_ms", "oldest_unix_ms", "newest_unix_ms", "generated_at_unix_ms"):
        moment_ms(field, getattr(message, field))
    if message.oldest_unix_ms > message.newest_unix_ms or bool(message.oldest_unix_ms) != bool(message.newest_unix_ms):
        raise MalformedAnswer(f"oldest_unix_ms={message.oldest_unix_ms} with newest_unix_ms={message.newest_unix_ms}")
