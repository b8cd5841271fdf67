"""What a sampler tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

from keyviz_grpc.hotkeys.stats import HotKeysStats


@dataclass(frozen=True, slots=True)
class SamplerStats:
    """One moment of a sampler. reads, writes, drains and windows_closed only grow; the rest is how it stands now.

    reads, writes: operations folded into counters so far. drains: times that recorded operations were folded.
    windows_open: that still take operations in (more than one only after the clock went back). columns: closed
    windows held, of at most columns_limit. routes: registered; buckets: counted apart, aggregates and labels included.
    newest_unix_ms, oldest_unix_ms: stamps of the outermost columns held, 0 when there is none.
    hot_keys: of their recorder, None where they are off.
    """

    reads: int
    writes: int
    drains: int
    windows_closed: int
    windows_open: int
    columns: int
    columns_limit: int
    routes: int
    buckets: int
    oldest_unix_ms: int
    newest_unix_ms: int
    hot_keys: HotKeysStats | None = None
