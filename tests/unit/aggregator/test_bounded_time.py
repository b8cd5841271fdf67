"""How long a whole fan-out takes whatever its peers do, exactly, on a clock that only moves while everybody waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyviz_grpc.aggregator import Aggregator
from keyviz_grpc.aggregator.turns import GRACE_S
from keyviz_grpc.config import FanoutSettings
from keyviz_grpc.deadline import Deadline
from keyviz_grpc.errors import FailureKind, HotKeysDisabled
from keyviz_grpc.hotkeys import HotKeysQuery
from keyviz_grpc.outcome import NoUsablePeers
from keyviz_grpc.query import MatrixQuery
from tests.unit.aggregator.leaping import (
    DEAF,
    FROZEN,
    OTHER,
    WELL,
    Fixed,
    Scripted,
    on_a_clock_of_its_own,
)


@pytest.mark.parametrize(
    ("peers", "left_s", "in_flight", "took_s", "responded"),
    [
        ([WELL, OTHER], 100.0, 9, 1.5, 2),
        ([WELL, OTHER, FROZEN], 100.0, 9, 2.0, 2),
        ([WELL, OTHER, DEAF], 100.0, 9, 2.0 + GRACE_S, 2),
        ([WELL, OTHER, FROZEN], 1.0, 9, 0.8, 1),
        ([WELL, DEAF], 1.0, 9, 0.8 + GRACE_S, 1),
        ([WELL, *[FROZEN] * 30], 100.0, 3, 2.0, 1),
        ([DEAF, WELL, OTHER], 100.0, 1, 2.0 + GRACE_S, 0),
        ([FROZEN, DEAF], 100.0, 9, 2.0 + GRACE_S, 0),
    ],
)
def test_a_fan_out_takes_its_deadline_and_a_quarter_of_a_second_at_most(
    peers: list[Scripted], left_s: float, in_flight: int, took_s: float, responded: int
) -> None:
    """Peers that keep to their deadline or not, a caller in a hurry, and turns that never come; who answered counts."""

    async def work(clock: Callable[[], float]) -> None:
        settings = FanoutSettings(timeout_s=2.0, max_in_flight_peers=in_flight)
        aggregator = Aggregator(Fixed(peers), settings=settings, node_id="agg")
        try:
            outcomes = (await aggregator.matrix(MatrixQuery(), Deadline.after(left_s, clock))).outcomes
        except NoUsablePeers as nobody:
            outcomes = nobody.outcomes
        assert sum(outcome.ok for outcome in outcomes) == responded
        assert {outcome.kind for outcome in outcomes if not outcome.ok} <= {FailureKind.DEADLINE_EXCEEDED}
        assert clock() == pytest.approx(took_s)
        began = clock()
        if responded:
            await aggregator.overview(Deadline.after(left_s, clock))
        assert clock() - began <= took_s + 1e-9
        began = clock()
        with pytest.raises((HotKeysDisabled, NoUsablePeers)):
            await aggregator.hot_keys(HotKeysQuery(1), Deadline.after(left_s, clock))
        assert clock() - began <= took_s + 1e-9
        await aggregator.close()

    on_a_clock_of_its_own(work)
