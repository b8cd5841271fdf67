"""Who leads the rows of a picture once columns have gone and come, found from those columns alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.model import Matrix
from keyviz_grpc.remembered.joining import united_leaders
from keyviz_grpc.traffic import Leaders

Codes = NDArray[np.uint32]


def lead_on(before: Matrix, dropped: int, more: Matrix, recoded: tuple[Codes | None, Codes | None]) -> Leaders:
    """Of `before` without its first columns, and `more`, both with their leaders ready or without any.

    recoded: the new codes of either, None where they stay. Rows stay mixed that need not be any more, for to see that
    all their cells would have to be looked at; what is said of each cell is right.
    """
    known, told = _recoded(before, recoded[0]), _recoded(more, recoded[1])
    of, mixing = _single(known.of, told.of, before, dropped, more)
    codes = known.codes[:, dropped:]
    if len(mixing):
        led = np.maximum(known.of.take(mixing), 0).astype(np.uint32)
        fresh = (before.narrowest.take(mixing, axis=0)[:, dropped:] != 0) * led[:, np.newaxis]
        of[mixing] = -1 - np.arange(len(codes), len(codes) + len(mixing))
        codes = np.concatenate([codes, fresh])
    mixed = np.flatnonzero(of < 0)
    newest = np.empty((len(codes), len(more.columns)), np.uint32)
    if len(mixed):
        newest[-1 - of.take(mixed)] = told.take(mixed).spread(more.narrowest.take(mixed, axis=0))
    whole = _whole(known.whole & told.whole, of, before, dropped, more)
    return Leaders(of, np.concatenate([codes, newest], axis=1), whole)


def _recoded(matrix: Matrix, codes: Codes | None) -> Leaders:
    if matrix.leaders is not None:
        return united_leaders(matrix.leaders, codes)
    rows, columns = matrix.shape
    return Leaders(np.zeros(rows, np.int64), np.empty((0, columns), np.uint32), np.zeros(rows, np.bool_))


def _single(
    of: NDArray[np.int64], told: NDArray[np.int64], before: Matrix, dropped: int, more: Matrix
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(`of`, with the leaders of rows that had no traffic until now; the rows that become mixed)."""
    differing = np.flatnonzero((told != of) & (of >= 0))
    # Without traffic nobody leads.
    heard = differing[more.narrowest.take(differing, axis=0).any(axis=1)]
    if not len(heard):
        return of, heard
    # Of rows that have one leader all are, of others those that had traffic, and those that have several at once.
    mixing = (of.take(heard) > 0) | (told.take(heard) < 0)
    silent = np.flatnonzero(~mixing)
    mixing[silent] = before.narrowest.take(heard.take(silent), axis=0)[:, dropped:].any(axis=1)
    began = heard[~mixing]
    of = of.copy()
    of[began] = told.take(began)
    return of, heard[mixing]


def _whole(
    whole: NDArray[np.bool_], of: NDArray[np.int64], before: Matrix, dropped: int, more: Matrix
) -> NDArray[np.bool_]:
    """Which rows have traffic throughout, of those that have one leader. whole: which had and have."""
    if not dropped:
        return whole
    # What a row lacked may have been in columns that are gone. Those that are kept are many, and looked at last.
    maybe = np.flatnonzero(~whole & (of > 0))
    if len(maybe):
        gone = before.narrowest[:, :dropped].take(maybe, axis=0).all(axis=1)
        maybe = maybe[~gone & more.narrowest.take(maybe, axis=0).all(axis=1)]
    if len(maybe):
        whole[maybe] = before.narrowest.take(maybe, axis=0)[:, dropped:].all(axis=1)
    return whole
