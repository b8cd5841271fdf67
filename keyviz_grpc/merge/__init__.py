"""Merging: alignment, joining, the write rule, the row budget. Pure numpy; no I/O, no clock, no logging."""

from keyviz_grpc.merge.budget import fold
from keyviz_grpc.merge.merging import MergedCells, merge
from keyviz_grpc.merge.parts import duplicate_leaves, select_range
from keyviz_grpc.merge.provenance import contributions
from keyviz_grpc.merge.slices import join_in_time

__all__ = ["MergedCells", "contributions", "duplicate_leaves", "fold", "join_in_time", "merge", "select_range"]
