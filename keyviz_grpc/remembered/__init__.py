"""Closed columns that need not be asked for or merged again, in bounded memory; no I/O, no clock, no transport."""

from keyviz_grpc.remembered.blocks import size_bytes_of
from keyviz_grpc.remembered.columns import NodeColumns, Recalled
from keyviz_grpc.remembered.merged import MergedColumns
from keyviz_grpc.remembered.shelf import Shelf

__all__ = ["MergedColumns", "NodeColumns", "Recalled", "Shelf", "size_bytes_of"]
