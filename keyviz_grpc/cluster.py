"""The seam between a cluster's aggregator and the faces that serve it."""

from __future__ import annotations

from typing import Protocol

from keyviz_grpc.deadline import Deadline
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.model import Series
from keyviz_grpc.outcome import Answer, Cell, Overview
from keyviz_grpc.query import MatrixQuery


class Cluster(Protocol):
    """One true view of many nodes.

    Methods raise NoUsablePeers, SamplerDisabled, HotKeysDisabled, LoopRefused, Overloaded or InvalidRequest.
    """

    node_id: str

    async def matrix(self, query: MatrixQuery, deadline: Deadline) -> Answer:
        """The merged matrix, folded to the query's budget; its outcomes name every leaf."""
        ...

    async def cell(self, *, bucket_id: str, column_unix_ms: int, series: Series, deadline: Deadline) -> Cell:
        """Who says what about one cell."""
        ...

    async def hot_keys(self, query: HotKeysQuery, deadline: Deadline) -> HotKeysAnswer:
        """Every candidate of all nodes together, whatever `query.top` says; its outcomes name every leaf."""
        ...

    async def overview(self, deadline: Deadline, via: tuple[str, ...] = ()) -> Overview:
        """What the nodes know of the cluster, united. via: node ids of the aggregators passed, outermost first."""
        ...

    async def ready(self, deadline: Deadline) -> bool:
        """Whether at least one node answers, so that there is something to show."""
        ...
