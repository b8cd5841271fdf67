"""Reading columns of one series, many at a time, however they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Series
from keyviz_grpc.sampler.block import Block, stacked, stacked_marks
from keyviz_grpc.sampler.column import Column, FrozenShares
from keyviz_grpc.sampler.ring import Held, Place


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Neighbouring columns of one series: values, codes and soft are [slots, C], frozen has one entry a column.

    codes is None for a series without identity, soft where everything is exact.
    """

    values: NDArray[np.unsignedinteger]
    codes: NDArray[np.unsignedinteger] | None
    soft: NDArray[np.bool_] | None
    frozen: Sequence[FrozenShares]


def stretches(series: Series, columns: Sequence[Held]) -> Iterator[tuple[int, Stretch]]:
    """(number of its first column, stretch), one after the other, together all columns."""
    first = 0
    for _, group in groupby(columns, key=lambda held: id(held.block) if isinstance(held, Place) else 0):
        held = list(group)
        places = [item for item in held if isinstance(item, Place)]
        loose = [item for item in held if isinstance(item, Column)]
        yield first, _of_block(series, places) if places else _of_columns(series, loose)
        first += len(held)


def _of_block(series: Series, places: Sequence[Place]) -> Stretch:
    block = places[0].block
    chosen = [place.at for place in places]
    marks = block.marks(series)
    frozen = block.frozen() if series.is_write else []
    return Stretch(
        _chosen(block.counts[series].unpacked(), chosen, block),
        _chosen(block.codes.unpacked(), chosen, block) if series.is_write else None,
        None if marks is None else marks[:, chosen],
        [frozen[at] for at in chosen] if frozen else [],
    )


def _chosen(values: NDArray[np.unsignedinteger], chosen: Sequence[int], block: Block) -> NDArray[np.unsignedinteger]:
    return values if len(chosen) == block.columns else values[:, chosen]


def _of_columns(series: Series, columns: Sequence[Column]) -> Stretch:
    slots = max(len(column.codes) for column in columns)
    soft = None
    if any(column.soft is not None for column in columns):
        soft = stacked_marks(columns, series, slots).astype(np.bool_)
    return Stretch(
        stacked([column.counts[series] for column in columns], slots),
        stacked([column.codes for column in columns], slots) if series.is_write else None,
        soft,
        [column.frozen for column in columns] if series.is_write else [],
    )
