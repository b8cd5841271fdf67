"""The merge of docs/merge.md once more, written to be read: dictionaries and loops, nothing shared with the product.

Plain data: a node is what it counted, cell by cell, share by share. Stamps are milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

Identity = tuple[int, int]
Cell = tuple[str, int]
LIMIT = 2**64 - 1


@dataclass
class Node:
    """cells[bucket, stamp] = {identity: value}; ranges[bucket] = (start, end). phase_ms: how far its stamps are off."""

    node_id: str
    ranges: dict[str, tuple[bytes, bytes]]
    stamps: list[int]
    cells: dict[Cell, dict[Identity, int]] = field(default_factory=dict)
    phase_ms: int = 0


@dataclass
class Merged:
    """What the aggregator must say."""

    values: dict[Cell, int]
    conflicts: set[Cell]
    shares: dict[Cell, dict[Identity, int]]
    shown: dict[Cell, Identity]
    rows: list[str]
    stamps: list[int]
    divergences: set[tuple[str, str]]


def known(identity: Identity) -> bool:
    """Either number 0 means unknown."""
    return identity[0] != 0 and identity[1] != 0


def merge(nodes: list[Node], *, writes: bool) -> Merged:
    """Nodes in configured order, all of one step and on its grid."""
    ranges: dict[str, tuple[bytes, bytes]] = {}
    divergences = set()
    for node in nodes:
        for bucket, own in node.ranges.items():
            if ranges.setdefault(bucket, own) != own:
                divergences.add((node.node_id, bucket))
    rows = sorted(ranges, key=lambda b: (ranges[b][0], ranges[b][1] == b"", ranges[b][1], b.encode()))
    stamps = sorted({stamp for node in nodes for stamp in node.stamps})
    merged = Merged({}, set(), {}, {}, rows, stamps, divergences)
    for bucket in rows:
        for stamp in stamps:
            cell = (bucket, stamp)
            reported = [node.cells.get(cell, {}) for node in nodes]
            if writes:
                write_cell(merged, cell, reported)
            else:
                merged.values[cell] = min(LIMIT, sum(sum(shares.values()) for shares in reported))
    return merged


def write_cell(merged: Merged, cell: Cell, reported: list[dict[Identity, int]]) -> None:
    """The write rule."""
    by_identity: dict[Identity, list[int]] = defaultdict(list)
    unknown_of_peers, full_of_peers = [0], [0]
    for shares in reported:
        unknown = sum(value for identity, value in shares.items() if not known(identity))
        unknown_of_peers.append(unknown)
        full_of_peers.append(sum(shares.values()))
        for identity, value in shares.items():
            if known(identity) and value > 0:
                by_identity[identity].append(value)
    largest = {identity: max(values) for identity, values in by_identity.items()}
    total_known = min(LIMIT, sum(largest.values()))
    unknown, full = max(unknown_of_peers), min(LIMIT, max(full_of_peers))
    merged.values[cell] = max(total_known, unknown, full)
    differing = any(len(set(values)) > 1 for values in by_identity.values())
    several = sum(1 for value in full_of_peers if value > 0) >= 2
    if differing or (unknown > 0 and several):
        merged.conflicts.add(cell)
    merged.shares[cell] = dict(largest) | ({(0, 0): unknown} if unknown else {})
    ranked = sorted(largest.items(), key=lambda item: (item[1], item[0][1], item[0][0]))
    merged.shown[cell] = ranked[-1][0] if ranked else (0, 0)
