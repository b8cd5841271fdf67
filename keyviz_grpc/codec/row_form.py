"""The row form on its way in: read at once where it is as everybody writes it, else row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keyviz_grpc.codec.catalogues import decode_catalogue
from keyviz_grpc.codec.rows import build_matrix, decode_identities, decode_soft, decode_values
from keyviz_grpc.codec.rows_as_bytes import Traffic
from keyviz_grpc.codec.spans import all_of
from keyviz_grpc.errors import MalformedAnswer, TooLarge
from keyviz_grpc.model import Catalogue, Matrix, Series
from keyviz_grpc.proto import keyviz_pb2 as pb


def decode_rows(
    response: pb.GetKeyVizMatrixResponse,
    traffic: Traffic | None,
    series: Series,
    columns: NDArray[np.int64],
    *,
    max_cells: int,
) -> Matrix:
    """traffic: of the same rows, None where the message has them under the public schema, to be read one by one.

    Raises MalformedAnswer that names the broken law and its place, TooLarge for more than `max_cells` cells.
    """
    shape = (len(response.rows), len(columns))
    if shape[0] * shape[1] > max_cells:
        raise TooLarge(f"{shape[0]} rows x {shape[1]} columns are more than {max_cells} cells")
    conflicts = _decode_conflicts(response.conflicts, shape)
    if traffic is None:
        return _row_by_row(response, series, columns, conflicts)
    catalogue = traffic.form.catalogue()
    if not response.shares and conflicts is None:
        return traffic.matrix(series, columns, catalogue)
    return build_matrix(
        series,
        columns,
        catalogue,
        values=traffic.values,
        identities=traffic.identities() if series.is_write else None,
        shares=response.shares,
        soft=traffic.soft,
        conflicts=conflicts,
    )


def _row_by_row(
    response: pb.GetKeyVizMatrixResponse,
    series: Series,
    columns: NDArray[np.int64],
    conflicts: NDArray[np.bool_] | None,
) -> Matrix:
    values = decode_values(response.rows, len(columns))
    identities = decode_identities(response.rows, len(columns)) if series.is_write else None
    soft = decode_soft(response.rows, len(columns))
    return build_matrix(
        series,
        columns,
        _catalogue_of(response),
        values=values,
        identities=identities,
        shares=response.shares,
        soft=soft,
        conflicts=conflicts,
    )


def _catalogue_of(response: pb.GetKeyVizMatrixResponse) -> Catalogue:
    """Of rows whose traffic is read already, and which lose it here: what is left is found as in the packed form."""
    for row in response.rows:
        row.ClearField("values")
        row.ClearField("soft_columns")
        row.ClearField("raft_group_ids")
        row.ClearField("leader_terms")
    packed = pb.KeyVizCatalogue()
    packed.rows.MergeFrom(response.rows)
    return decode_catalogue(all_of(packed.SerializeToString(deterministic=True)))


def _decode_conflicts(messages: Sequence[pb.KeyVizConflicts], shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    if not messages:
        return None
    marks = np.zeros(shape, np.bool_)
    for message in messages:
        if message.row >= shape[0] or any(column >= shape[1] for column in message.columns):
            raise MalformedAnswer(f"conflicts: row {message.row}, columns {list(message.columns)[:8]} of {shape}")
        marks[message.row, list(message.columns)] = True
    return marks
