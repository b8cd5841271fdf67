"""Synthetic traffic of a whole cluster, a function of seed and time alone, so that its nodes need no coordination."""

from keyviz_grpc.workload.feed import WorkloadFeed
from keyviz_grpc.workload.keyspace import Keyspace
from keyviz_grpc.workload.traffic import TICK_MS, Operations, Traffic

__all__ = ["TICK_MS", "Keyspace", "Operations", "Traffic", "WorkloadFeed"]
