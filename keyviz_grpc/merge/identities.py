"""One table of identities for several matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.kept import KeptByIdentity
from keyviz_grpc.model import NO_IDENTITIES
from keyviz_grpc.traffic import begins
from keyviz_grpc.unchanging import unchanging

United: TypeAlias = "tuple[NDArray[np.uint64], list[NDArray[np.uint32] | None]]"

# Leaders change rarely, and what decodes answers hands out the same table for the same bytes.
_united: KeptByIdentity[United] = KeptByIdentity(8)


@unchanging(frozen=True, slots=True, eq=False)
class Standing:
    """Which of two identities leads where both counted as much: that of the higher term, then of the higher group.

    ranks: uint64[I], of every code; codes: uint32[I], of every rank. Unknown is the lowest, code 0 with rank 0.
    """

    ranks: NDArray[np.uint64]
    codes: NDArray[np.uint32]


_standing: KeptByIdentity[Standing] = KeptByIdentity(4)


def standing(united: NDArray[np.uint64]) -> Standing:
    """Of a table as `unite` returns it."""
    return _standing.get((united,), lambda: _ranked(united))


def _ranked(united: NDArray[np.uint64]) -> Standing:
    codes = np.lexsort((united[:, 0], united[:, 1])).astype(np.uint32)
    ranks = np.empty(len(codes), np.uint64)
    ranks[codes] = np.arange(len(codes))
    return Standing(ranks, codes)


def unite(tables: Sequence[NDArray[np.uint64]]) -> United:
    """(the united table, for each table the new code of its codes, or None where codes stay).

    The united table is sorted by (group, term), so that ascending codes are ascending identities; half-known
    identities become (0, 0), which is code 0. Tables must not be written to once they were given here.
    """
    return _united.get(tuple(tables), lambda: _unite(tables))


def _unite(tables: Sequence[NDArray[np.uint64]]) -> United:
    first = tables[0] if tables else NO_IDENTITIES
    if all(table is first or np.array_equal(table, first) for table in tables) and _is_canonical(first):
        return first, [None] * len(tables)
    stacked = np.concatenate([NO_IDENTITIES, *tables])
    stacked = np.where((stacked == 0).any(axis=1, keepdims=True), np.uint64(0), stacked)
    order = np.lexsort((stacked[:, 1], stacked[:, 0]))
    ordered = stacked[order]
    fresh = begins(ordered[:, 0], ordered[:, 1])
    codes = np.empty(len(stacked), np.uint32)
    codes[order] = (np.cumsum(fresh) - 1).astype(np.uint32)
    remaps: list[NDArray[np.uint32] | None] = []
    at = 1
    for table in tables:
        remaps.append(codes[at : at + len(table)])
        at += len(table)
    return ordered[fresh], remaps


def _is_canonical(table: NDArray[np.uint64]) -> bool:
    if len(table) == 0 or table[0].any() or not table[1:].all():
        return False
    groups, terms = table[:, 0], table[:, 1]
    ascending = (groups[1:] > groups[:-1]) | ((groups[1:] == groups[:-1]) & (terms[1:] > terms[:-1]))
    return bool(ascending.all())
