"""The sampler: hot-path counters, windows by the wall clock, and the ring of closed columns."""

from keyviz_grpc.sampler.sampler import Sampler
from keyviz_grpc.sampler.stats import SamplerStats
from keyviz_grpc.sampler.types import Op, PackedKeys, Route

__all__ = ["Op", "PackedKeys", "Route", "Sampler", "SamplerStats"]
