"""Closed columns that need not be asked for or merged again, in bounded memory; no I/O, no clock, no transport."""

from keyviz_grpc.remembered.columns import NodeColumns, Recalled
from keyviz_grpc.remembered.continued import continues
from keyviz_grpc.remembered.look import Look
from keyviz_grpc.remembered.merged import MergedColumns, Told
from keyviz_grpc.remembered.shelf import Shelf

__all__ = ["Look", "MergedColumns", "NodeColumns", "Recalled", "Shelf", "Told", "continues"]
