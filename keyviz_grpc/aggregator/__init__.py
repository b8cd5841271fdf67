"""The fan-out: ask every peer, merge what comes, say what did not."""

from keyviz_grpc.aggregator.aggregator import Aggregator

__all__ = ["Aggregator"]
