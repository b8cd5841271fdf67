"""The fan-out: ask every peer, merge what comes, say what did not."""

from keyviz_grpc.aggregator.aggregator import Aggregator
from keyviz_grpc.aggregator.failures import FailureLog
from keyviz_grpc.aggregator.observer import Observer, Observers

__all__ = ["Aggregator", "FailureLog", "Observer", "Observers"]
