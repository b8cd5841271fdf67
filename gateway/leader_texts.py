"""Who led rows, as JSON: of most rows one leader, whose numbers are repeated over all columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.row_texts import json_of
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Matrix
from keyviz_grpc.traffic import Counts, Leaders, where

KEPT_NUMBERS: Final = 1 << 22
"""Of so many rows times columns texts are kept, twice four to ten bytes each as a rule."""

HALF_WORD: Final = (1 << 32) - 1
"""The largest number that half a word holds."""

NOBODY: Final[Counts] = np.empty((0, 0), np.uint64)

Told = TypeVar("Told")

_Rows: TypeAlias = tuple[NDArray[np.uint64], list[Told]]
"""(uint64[R, 2]: the group and term of each row, what each says)."""


def told_apart(leaders: Leaders) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(int64[R]: the code of the leader under which all cells of a row have traffic, or 0; all other rows with any).

    A row under one leader throughout is the rule: its arrays are one number repeated.
    """
    shown = leaders.of * (leaders.whole & (leaders.of > 0))
    return shown, where(leaders.of != shown)


def of_several(matrix: Matrix, leaders: Leaders, others: NDArray[np.int64]) -> tuple[NDArray[np.int64], Counts, Counts]:
    """(rows, groups[N, C], terms[N, C]): those of the other rows in which any leader is known. No rows, no C."""
    if not len(others):
        return others, NOBODY, NOBODY
    codes = leaders.of_any(others, matrix.narrowest.take(others, axis=0) != 0)
    stated = where(np.bitwise_or.reduce(codes, axis=1) != 0)
    if len(stated) < len(others):
        others, codes = others.take(stated), codes.take(stated, axis=0)
    identities = matrix.identities
    if not np.count_nonzero(identities > HALF_WORD):
        # Gathered and written in less time.
        identities = identities.astype(np.uint32)
    return others, identities[:, 0].take(codes), identities[:, 1].take(codes)


class LeaderTexts(Generic[Told]):
    """What rows of one leader say, kept for the next matrix of as many rows and columns; thread-safe.

    Only rows whose leader is another then are written. Leaders are told by group and term, for a table of identities is
    another one as soon as one leader changes anywhere.

    form: of the groups as a member without its name and the terms as a whole one. nobody: of a row without one.
    """

    def __init__(self, form: Callable[[bytes], Told], nobody: Told) -> None:
        self._form, self._nobody = form, nobody
        self._kept: Kept[tuple[int, int], _Rows[Told]] = Kept(KEPT_NUMBERS)

    def of_rows(self, identities: NDArray[np.uint64], codes: NDArray[np.int64], times: int) -> list[Told]:
        """Of every row, by the code of its leader and the number of columns (at least 1); not to be altered."""
        told = identities.take(codes, axis=0)
        before = self._kept.get((len(codes), times))
        if before is None:
            texts = [self._nobody] * len(codes)
            changed = where(told[:, 0] != 0)
        else:
            known, texts = before
            differing = told != known
            if not np.count_nonzero(differing):
                return texts
            changed, texts = where(differing.any(axis=1)), texts.copy()
        self._write(texts, changed, identities, codes, times)
        self._kept.put((len(codes), times), (told, texts), weight=len(codes) * times)
        return texts

    def _write(
        self,
        texts: list[Told],
        rows: NDArray[np.int64],
        identities: NDArray[np.uint64],
        codes: NDArray[np.int64],
        times: int,
    ) -> None:
        own = codes.take(rows).tolist()
        distinct = sorted(set(own).difference((0,)))
        forms = map(self._form, _repeated(identities[distinct], times))
        by_code = dict(zip(distinct, forms, strict=True)) | {0: self._nobody}
        for row, code in zip(rows.tolist(), own, strict=True):
            texts[row] = by_code[code]


def _repeated(identities: NDArray[np.uint64], times: int) -> Iterator[bytes]:
    """For each (group, term) both arrays, `times` numbers long."""
    # One encoding for all decimals: formatting them one by one took half of the time here.
    digits = json_of(np.ascontiguousarray(identities))[2:-2].split(b"],[")
    for pair in digits if len(identities) else ():
        group, term = pair.split(b",")
        more = times - 1
        yield b'[%b%b],"leader_terms":[%b%b]' % ((group + b",") * more, group, (term + b",") * more, term)
