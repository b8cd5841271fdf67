"""The row form: one KeyVizRow a bucket, values and identities in repeated fields."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.model import MAX_ROUTE_IDS, NO_IDENTITIES, Catalogue, Matrix, Row, SampleRole, Series, Shares
from keyviz_grpc.proto import keyviz_pb2 as pb
from keyviz_grpc.traffic import begins, lengths_of, where

KNOWN_ROLES: Final = frozenset(int(role) for role in SampleRole)


def encode_row(row: Row) -> pb.KeyVizRow:
    """A row's description, without traffic."""
    return pb.KeyVizRow(
        bucket_id=row.bucket_id,
        start=row.start,
        end=row.end,
        label=row.label,
        aggregate=row.aggregate,
        route_ids=row.route_ids if row.aggregate else (),
        route_ids_truncated=row.route_ids_truncated,
        route_count=row.route_count,
        sample_roles=[pb.SampleRole.ValueType(role) for role in row.sample_roles],
        lineage_id=row.lineage_id,
    )


def decode_row(message: pb.KeyVizRow) -> Row:
    """Raises MalformedAnswer for more route ids than an aggregate may list; unknown roles are passed over, and so are
    route ids of a row that is no aggregate.
    """
    if len(message.route_ids) > MAX_ROUTE_IDS:
        raise MalformedAnswer(f"bucket_id {message.bucket_id!r}: {len(message.route_ids)} route_ids, at most 256")
    told = message.sample_roles[:]
    roles = (_few_roles if len(told) <= len(KNOWN_ROLES) else _roles)(tuple(told))
    return Row(
        message.bucket_id,
        message.start,
        message.end,
        label=message.label,
        aggregate=message.aggregate,
        route_ids=tuple(message.route_ids)
        if message.aggregate
        else (),  # any other row is one route, which its id names
        route_ids_truncated=message.route_ids_truncated,
        route_count=message.route_count or len(message.route_ids) or 1,
        sample_roles=roles,
        lineage_id=message.lineage_id,
    )


def _roles(told: tuple[int, ...]) -> tuple[int, ...]:
    """Those of them that are known, in ascending order."""
    return tuple(sorted(KNOWN_ROLES.intersection(told)))


_few_roles: Final = lru_cache(256)(_roles)
"""Most rows have the same ones; a peer may send rows of many, which are not kept."""


def encode_rows(matrix: Matrix) -> list[pb.KeyVizRow]:
    """Every row with its values; soft marks and identities only where there are any in the whole row."""
    identities = matrix.identity_arrays()
    messages = []
    for number, row in enumerate(matrix.catalogue.rows):
        message = encode_row(row)
        message.values.extend(matrix.narrowest[number].tolist())
        if matrix.soft is not None and matrix.soft[number].any():
            message.soft_columns.extend(matrix.soft[number].tolist())
        if identities is not None and identities[0][number].any():
            message.raft_group_ids.extend(identities[0][number].tolist())
            message.leader_terms.extend(identities[1][number].tolist())
        messages.append(message)
    return messages


def decode_values(messages: Sequence[pb.KeyVizRow], columns: int) -> NDArray[np.uint64]:
    """uint64[rows, columns]; raises MalformedAnswer for a ragged row."""
    gathered = pb.KeyVizRow().values
    for message in messages:
        values = message.values
        if len(values) != columns:
            raise MalformedAnswer(f"bucket_id {message.bucket_id!r}: {len(values)} values, {columns} columns")
        gathered.MergeFrom(values)
    return _array(gathered).reshape(len(messages), columns)


def _array(gathered: Sequence[int]) -> NDArray[np.uint64]:
    # One list of all rows turns into an array a hundred times faster than a list a row does.
    return np.array(gathered, np.uint64)


def decode_soft(messages: Sequence[pb.KeyVizRow], columns: int) -> NDArray[np.bool_] | None:
    """bool[rows, columns], or None when no row marks anything; raises MalformedAnswer for a ragged row."""
    marked = [(number, message.soft_columns) for number, message in enumerate(messages) if message.soft_columns]
    if not marked:
        return None
    soft = np.zeros((len(messages), columns), np.bool_)
    for number, marks in marked:
        if len(marks) != columns:
            name = messages[number].bucket_id
            raise MalformedAnswer(f"bucket_id {name!r}: {len(marks)} soft_columns, {columns} columns")
        soft[number] = marks
    return soft if soft.any() else None


def decode_identities(messages: Sequence[pb.KeyVizRow], columns: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(groups, terms), uint64[rows, columns] each, both 0 where unknown or half known.

    Raises MalformedAnswer where one list is neither empty nor as long as the values.
    """
    gathered = pb.KeyVizRow()
    groups_so_far, terms_so_far = gathered.raft_group_ids, gathered.leader_terms
    known = []
    for number, message in enumerate(messages):
        groups, terms = message.raft_group_ids, message.leader_terms
        lengths = (len(groups), len(terms))
        if lengths == (columns, columns):
            groups_so_far.MergeFrom(groups)
            terms_so_far.MergeFrom(terms)
            known.append(number)
        elif lengths not in ((0, 0), (columns, 0), (0, columns)):
            raise MalformedAnswer(
                f"bucket_id {message.bucket_id!r}: {lengths[0]} raft_group_ids and {lengths[1]} leader_terms,"
                f" {columns} columns"
            )
    pair = [np.zeros((len(messages), columns), np.uint64) for _ in range(2)]
    for array, numbers in zip(pair, (groups_so_far, terms_so_far), strict=True):
        array[known] = _array(numbers).reshape(len(known), columns)
    half = (pair[0] == 0) != (pair[1] == 0)
    for array in pair:
        array[half] = 0
    return pair[0], pair[1]


def identity_runs(
    groups: NDArray[np.uint64], terms: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.int64]]:
    """(identities, the code of each run of equal pairs, how many they are), of pairs that are both 0 or neither.

    identities: uint64[I, 2] sorted by group, term, with (0, 0) first.
    """
    if not groups.any():
        one = min(1, len(groups))
        return NO_IDENTITIES, np.zeros(one, np.uint32), np.full(one, len(groups))
    starts = where(begins(groups, terms))
    pairs = np.vstack([np.column_stack([groups[starts], terms[starts]]), NO_IDENTITIES])
    if int(pairs.max()) < 2**32:
        # Two halves of one number sort five times faster than pairs do.
        halves, inverse = np.unique(pairs[:, 0] << np.uint64(32) | pairs[:, 1], return_inverse=True)
        table = np.column_stack([halves >> np.uint64(32), halves & np.uint64(2**32 - 1)])
    else:
        table, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return table, inverse.ravel()[:-1].astype(np.uint32), lengths_of(starts, len(groups))


def table_of(groups: NDArray[np.uint64], terms: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """(identities as from `identity_runs`, the code of each pair, flat)."""
    table, codes, lengths = identity_runs(groups, terms)
    return table, codes.repeat(lengths)


def decode_shares(
    messages: Sequence[pb.KeyVizShare], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """(rows, columns, groups, terms, values); raises MalformedAnswer for one outside the matrix or of value 0."""
    rows = np.array([share.row for share in messages], np.int64)
    columns = np.array([share.column for share in messages], np.int64)
    if len(rows) and (int(rows.max()) >= shape[0] or int(columns.max()) >= shape[1]):
        raise MalformedAnswer(f"shares: cell ({int(rows.max())}, {int(columns.max())}) of {shape[0]} x {shape[1]}")
    groups = np.array([share.raft_group_id for share in messages], np.uint64)
    terms = np.array([share.leader_term for share in messages], np.uint64)
    values = np.array([share.value for share in messages], np.uint64)
    if len(values) and not values.all():
        raise MalformedAnswer("shares: one has value 0")
    half = (groups == 0) | (terms == 0)
    groups[half] = 0
    terms[half] = 0
    return rows, columns, groups, terms, values


def build_matrix(
    series: Series,
    columns: NDArray[np.int64],
    catalogue: Catalogue,
    *,
    values: NDArray[np.uint64],
    identities: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None,
    shares: Sequence[pb.KeyVizShare],
    soft: NDArray[np.bool_] | None,
    conflicts: NDArray[np.bool_] | None,
) -> Matrix:
    """One matrix from decoded pieces; raises MalformedAnswer for shares that contradict themselves."""
    if not series.is_write or (identities is None and not shares):
        return Matrix(series, columns, catalogue, values, soft=soft, conflicts=conflicts)
    rows, ats, groups, terms, amounts = decode_shares(shares, values.shape)
    cell_groups, cell_terms = identities if identities is not None else (np.zeros_like(values), np.zeros_like(values))
    table, codes = table_of(np.append(cell_groups.ravel(), groups), np.append(cell_terms.ravel(), terms))
    cell_codes, share_codes = codes[: values.size].reshape(values.shape).copy(), codes[values.size :]
    cell_codes[values == 0] = 0
    order = np.lexsort((share_codes, ats, rows))
    listed = Shares(rows[order], ats[order], share_codes[order], amounts[order])
    _check_shares(listed, values)
    return Matrix(
        series,
        columns,
        catalogue,
        values,
        table,
        cell_codes if cell_codes.any() else None,
        listed,
        soft=soft,
        conflicts=conflicts,
    )


def _check_shares(shares: Shares, values: NDArray[np.uint64]) -> None:
    if len(shares) == 0:
        return
    same_cell = (np.diff(shares.rows) == 0) & (np.diff(shares.columns) == 0)
    if bool((same_cell & (np.diff(shares.codes.astype(np.int64)) == 0)).any()):
        raise MalformedAnswer("shares: one identity occurs twice in a cell")
    if bool((shares.values > values[shares.rows, shares.columns]).any()):
        raise MalformedAnswer("shares: one is larger than its cell's value")
