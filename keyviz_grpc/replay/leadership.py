"""The leadership reader: who led which Raft group from when, under which term."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyviz_grpc.errors import TraceError
from keyviz_grpc.replay.table import Table

COLUMNS: Final = ("time_s", "raft_group_id", "leader", "term")
GONE: Final = -1
_LEADER_LIMIT: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class LeadershipRow:
    """From `time_ms` after time 0 on, node index `leader` leads the group under `term`; GONE = the group is no more."""

    time_ms: int
    raft_group_id: int
    leader: int
    term: int


@dataclass(frozen=True, slots=True)
class Leadership:
    """At least one row, time never falling, terms strictly rising within a group; nothing follows a group's end.

    The first row of a group has a leader; its end may repeat its last term.
    """

    path: Path
    rows: tuple[LeadershipRow, ...]

    @property
    def last_ms(self) -> int:
        """The moment of the last row after time 0: the span of the leadership clock."""
        return self.rows[-1].time_ms

    def groups(self) -> tuple[list[int], list[int]]:
        """(groups whose first row is before the first row of a group that is gone, later ones), by first row."""
        first_end = next((n for n, row in enumerate(self.rows) if row.leader == GONE), len(self.rows))
        initial = list(dict.fromkeys(row.raft_group_id for row in self.rows[:first_end]))
        known = set(initial)
        later = dict.fromkeys(row.raft_group_id for row in self.rows[first_end:] if row.raft_group_id not in known)
        return initial, list(later)


def read_leadership(path: Path) -> Leadership:
    """Reads `time_s,raft_group_id,leader,term`, plain or gzip.

    Raises TraceError, naming file, line, column and value, for anything that breaks the laws of `Leadership`.
    """
    table = Table(path, COLUMNS)
    rows: list[LeadershipRow] = []
    newest: dict[int, LeadershipRow] = {}
    for line, (time_s, group, leader, term) in table.rows():
        row = LeadershipRow(
            table.time_ms(line, time_s),
            table.whole(line, "raft_group_id", group, below=1 << 64),
            GONE if leader == "-1" else table.whole(line, "leader", leader, below=_LEADER_LIMIT),
            table.whole(line, "term", term, below=1 << 64),
        )
        if rows and row.time_ms < rows[-1].time_ms:
            problem = f"time goes back (the line before is at {rows[-1].time_ms / 1000:g})"
            raise table.refusal(line, "time_s", time_s, problem)
        if row.raft_group_id == 0:
            raise table.refusal(line, "raft_group_id", group, "must be positive (0 means unknown)")
        if row.term == 0:
            raise table.refusal(line, "term", term, "must be positive (0 means unknown)")
        before = newest.get(row.raft_group_id)
        if before is None and row.leader == GONE:
            raise table.refusal(line, "leader", leader, f"group {group} is gone before it ever had a leader")
        if before is not None and before.leader == GONE:
            raise table.refusal(line, "raft_group_id", group, "this group is gone since an earlier line")
        if before is not None and row.term < before.term + (row.leader != GONE):
            problem = f"terms of a group must rise (group {group} has had {before.term})"
            raise table.refusal(line, "term", term, problem)
        newest[row.raft_group_id] = row
        rows.append(row)
    if not rows:
        raise TraceError(f"{path}:2: there are no rows")
    return Leadership(path, tuple(rows))
