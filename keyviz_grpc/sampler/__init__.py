"""The sampler: hot-path counters, windows by the wall clock, and the ring of closed columns."""

from keyviz_grpc.sampler.sampler import Sampler
from keyviz_grpc.sampler.stats import SamplerStats
from keyviz_grpc.sampler.types import MAX_SLICES, Op, PackedKeys, Route

__all__ = ["MAX_SLICES", "Op", "PackedKeys", "Route", "Sampler", "SamplerStats"]
