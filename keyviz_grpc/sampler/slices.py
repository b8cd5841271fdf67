"""Where a route is cut into slices: a function of its range alone, so that all nodes cut alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from keyviz_grpc.sampler.types import Route

_WORD = 8
_FINE_STEPS = 1 << 16
"""Numbers between two cuts, at least, where the range has room for them: cuts then lie evenly."""


@dataclass(frozen=True)
class Division:
    """A route's range in slices: `cuts` ascend strictly within it, cut i is the first key of slice i + 1.

    One without cuts is the route in one piece.
    """

    start: bytes
    end: bytes
    cuts: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.cuts) + 1

    @cached_property
    def ranges(self) -> tuple[tuple[bytes, bytes], ...]:
        """[start, end) of every slice in key order; together the route's range."""
        return tuple(zip((self.start, *self.cuts), (*self.cuts, self.end), strict=True))

    @cached_property
    def shared_bytes(self) -> int:
        """How many first bytes all keys of the range share, a key that ends before them being filled up with zeros."""
        return shared_bytes(self.start, self.end)

    @cached_property
    def common_bytes(self) -> int:
        """How many first bytes all keys of the range share that are longer than that; shared_bytes or more."""
        return _common_bytes(self.start, self.end, self.shared_bytes)


def division_of(route: Route, default_slices: int) -> Division:
    """How a route is counted: by its own cuts, or in its own or else the default number of slices."""
    if route.cuts:
        return Division(route.start, route.end, route.cuts)
    wanted = default_slices if route.slices is None else route.slices
    return Division(route.start, route.end, even_cuts(route.start, route.end, wanted))


def even_cuts(start: bytes, end: bytes, slices: int) -> tuple[bytes, ...]:
    """Slices - 1 keys at even distances between start and end (empty = unbounded), read as binary fractions.

    What follows the shared bytes is read as one number, as many bytes of it as tell the cuts apart; a cut does not end
    in zero bytes. The only ranges without room for cuts are those of a key followed by zero bytes alone, [a, a00) or
    [a, a0000): they hold a handful of keys, and stay in one piece: ().
    """
    if slices < 2:
        return ()
    shared = shared_bytes(start, end)
    if end and shared == len(end):
        return ()
    longest = max(len(start), len(end)) - shared + _WORD
    width = _WORD
    low, high = _number(start, shared, width), _top(end, shared, width)
    while high - low < slices * _FINE_STEPS and width < longest:
        width = min(2 * width, longest)
        low, high = _number(start, shared, width), _top(end, shared, width)
    prefix = end[:shared]
    numbers = (low + (high - low) * number // slices for number in range(1, slices))
    return tuple((prefix + number.to_bytes(width, "big")).rstrip(b"\x00") for number in numbers)


def shared_bytes(start: bytes, end: bytes) -> int:
    """How many first bytes of `end` are those of `start`, filled up with zeros; 0 where the range is unbounded."""
    padded = start[: len(end)].ljust(len(end), b"\x00")
    if padded == end:
        return len(end)
    low, high = 0, len(end)
    # The largest n with equal first n bytes, by bisection: keys may be a megabyte long.
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if padded[:middle] == end[:middle] else (low, middle)
    return low


def _common_bytes(start: bytes, end: bytes, shared: int) -> int:
    # Below [p 5, p 6) every longer key begins with p 5; below [p 5 ff, p 6) it goes on with ff.
    short = end.rstrip(b"\x00")
    first = start[shared] if shared < len(start) else 0
    if len(short) != shared + 1 or short[shared] != first + 1:
        return shared
    common = shared + 1
    while common < len(start) and start[common] == 0xFF:
        common += 1
    # Between an end without its zeros and itself there are keys as well, but none as long as the end.
    return common if len(end) <= common + 1 else shared


def _number(key: bytes, first: int, width: int) -> int:
    return int.from_bytes(key[first : first + width].ljust(width, b"\x00"), "big")


def _top(end: bytes, first: int, width: int) -> int:
    return _number(end, first, width) if end else 1 << (8 * width)
