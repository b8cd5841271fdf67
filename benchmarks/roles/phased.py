"""A benchmark's gateway whose phases are watched: the CPU that each takes, or what a request takes without them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from benchmarks.children import options, used
from benchmarks.roles import gateway
from gateway.matrix_body import MatrixRenderer
from gateway.row_texts import Piece
from gateway.streamed import Streamed
from keyviz_grpc.codec import decode_answer, parse_response, set_apart
from keyviz_grpc.merge import fold, merge
from keyviz_grpc.remembered import MergedColumns, Recalled
from keyviz_grpc.remembered.going_on import extended, goes_on

TIMED: Final[dict[str, Sequence[Callable[..., Any]]]] = {
    "parse": (set_apart, parse_response),
    "decode": (decode_answer,),
    "merge": (merge,),
    "fold": (fold,),
    "write": (MatrixRenderer.pieces, MatrixRenderer.streamed),
    "remember": (Recalled.whole,),
    "go on": (MergedColumns.look, extended, goes_on),
}

KEPT: Final[dict[str, tuple[Callable[..., Any], Callable[..., Hashable]]]] = {
    "decode": (decode_answer, lambda *_, outcome, **__: outcome.address),
    "merge": (merge, lambda *_, **__: None),
    "fold": (fold, lambda *_, **__: None),
    "write": (MatrixRenderer.pieces, lambda *_, **__: None),
}
"""With what tells results from each other: nodes of a benchmark say the same each time, and of one series alone."""


def replace_everywhere(own: Callable[..., Any], other: Callable[..., Any]) -> None:
    """Under every name that a module or a class of methods that are watched has for it."""
    modules = [module for name, module in sys.modules.items() if name.startswith(("keyviz_grpc", "gateway"))]
    for place in (*modules, MatrixRenderer, MergedColumns, Recalled):
        for name in [name for name, value in vars(place).items() if value is own]:
            setattr(place, name, other)


def timed(own: Callable[..., Any], name: str, took_s: dict[str, float]) -> Callable[..., Any]:
    """Adds the CPU seconds of its thread, of which several may be in it; of what is streamed, each piece too."""
    lock = Lock()

    def measured(*args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return own(*args, **named)
        finally:
            with lock:
                took_s[name] += time.thread_time() - began

    def each(pieces: Iterator[Piece]) -> Iterator[Piece]:
        following = timed(lambda: next(pieces, None), name, took_s)
        while (piece := following()) is not None:
            yield piece

    def call(*args: Any, **named: Any) -> Any:
        result = measured(*args, **named)
        return replace(result, pieces=each(iter(result))) if isinstance(result, Streamed) else result

    return call


def kept(own: Callable[..., Any], key: Callable[..., Hashable]) -> Callable[..., Any]:
    """Done the first time alone; then a copy without a copy of what it holds."""
    results: dict[Hashable, Any] = {}

    def call(*args: Any, **named: Any) -> Any:
        which = key(*args, **named)
        if which not in results:
            results[which] = own(*args, **named)
        return copy(results[which])

    return call


def main() -> None:
    """Until the parent closes its end. Of option `kept` phases are left out, without it all are timed."""
    given = options()
    if "kept" in given:
        if "write" in given["kept"]:
            # What is written while it is sent cannot be kept.
            replace_everywhere(MatrixRenderer.streams, lambda *_, **__: False)
        for name in given["kept"]:
            replace_everywhere(KEPT[name][0], kept(*KEPT[name]))
    else:
        took_s = dict.fromkeys(TIMED, 0.0)
        for name, functions in TIMED.items():
            for own in functions:
                replace_everywhere(own, timed(own, name, took_s))
        vars(gateway)["used"] = lambda: {**used(), **took_s}
    gateway.main()


if __name__ == "__main__":
    main()
