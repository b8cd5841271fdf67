"""The replay of a recorded trace and recorded leadership changes, so that the truth of every cell is known."""

from keyviz_grpc.replay.feed import Feed
from keyviz_grpc.replay.leadership import Leadership, LeadershipRow, read_leadership
from keyviz_grpc.replay.plan import Change, LeaderChange, Plan, RouteMove, plan_replay
from keyviz_grpc.replay.trace import Trace, read_trace

__all__ = [
    "Change",
    "Feed",
    "LeaderChange",
    "Leadership",
    "LeadershipRow",
    "Plan",
    "RouteMove",
    "Trace",
    "plan_replay",
    "read_leadership",
    "read_trace",
]
