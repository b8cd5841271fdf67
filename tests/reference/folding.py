"""The row budget of docs/merge.md once more, in lists and loops over what a merged answer says."""

from __future__ import annotations

from dataclasses import dataclass, field

from keyviz_grpc.model import Row
from keyviz_grpc.outcome import Answer
from tests.reference.oracle import LIMIT, Identity

Shares = dict[Identity, int]


@dataclass
class Folded:
    """One row of the answer: what it covers, and every column's value, marks, identity and shares."""

    rows: list[Row]
    values: list[int]
    conflicts: list[bool]
    soft: list[bool]
    shown: list[Identity]
    shares: list[Shares] = field(default_factory=list)

    @property
    def covers(self) -> tuple[bytes, bytes]:
        """The hull of its rows; an empty end is unbounded."""
        ends = [row.end for row in self.rows]
        return min(row.start for row in self.rows), b"" if b"" in ends else max(ends)

    @property
    def routes(self) -> set[int]:
        """Every route that can be named."""
        named: set[int] = set()
        for row in self.rows:
            if row.aggregate:
                named.update(row.route_ids)
            else:
                named.add(int(row.bucket_id.split(":")[1].split("#")[0]))
        return named

    @property
    def route_count(self) -> int:
        """Distinct routes, with those that older aggregates count without naming them."""
        return len(self.routes) + sum(row.route_count - len(row.route_ids) for row in self.rows if row.aggregate)


def read(answer: Answer) -> list[Folded]:
    """A merged answer row by row; a cell without traffic has no identity and no shares."""
    matrix = answer.matrix
    table = [(int(group), int(term)) for group, term in matrix.identities]
    listed: dict[tuple[int, int], Shares] = {}
    for row, column, code, value in zip(
        matrix.shares.rows, matrix.shares.columns, matrix.shares.codes, matrix.shares.values, strict=True
    ):
        listed.setdefault((int(row), int(column)), {})[table[int(code)]] = int(value)
    found = []
    for i, row in enumerate(matrix.catalogue.rows):
        columns = range(matrix.shape[1])
        values = [int(matrix.values[i, j]) for j in columns]
        codes = [int(matrix.codes[i, j]) if matrix.codes is not None else 0 for j in columns]
        shown = [table[code] if value else (0, 0) for code, value in zip(codes, values, strict=True)]
        found.append(
            Folded(
                [row],
                values,
                [matrix.conflicts is not None and bool(matrix.conflicts[i, j]) for j in columns],
                [matrix.soft is not None and bool(matrix.soft[i, j]) for j in columns],
                shown,
                [listed.get((i, j), {shown[j]: values[j]} if values[j] else {}) for j in columns],
            )
        )
    return found


def fold(rows: list[Folded], budget: int) -> list[Folded]:
    """As many of the hottest single as fit; runs of the others become one each."""
    if len(rows) <= budget:
        return rows
    by_heat = sorted(range(len(rows)), key=lambda number: (-sum(rows[number].values), number))
    for count in range(budget, -1, -1):
        runs = runs_around(set(by_heat[:count]), len(rows))
        if len(runs) <= budget:
            return [together([rows[number] for number in run]) for run in runs]
    raise AssertionError(budget)


def runs_around(single: set[int], length: int) -> list[list[int]]:
    """Single rows alone, and their neighbours in runs."""
    runs: list[list[int]] = []
    for number in range(length):
        if runs and number not in single and runs[-1][-1] not in single:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def together(parts: list[Folded]) -> Folded:
    """Sums, marks of any, an identity if all that have traffic show it, shares by identity."""
    if len(parts) == 1:
        return parts[0]
    whole = Folded([row for part in parts for row in part.rows], [], [], [], [])
    for column in range(len(parts[0].values)):
        whole.values.append(min(LIMIT, sum(part.values[column] for part in parts)))
        whole.conflicts.append(any(part.conflicts[column] for part in parts))
        whole.soft.append(any(part.soft[column] for part in parts))
        shown = {part.shown[column] for part in parts if part.values[column]}
        whole.shown.append(shown.pop() if len(shown) == 1 else (0, 0))
        shares: Shares = {}
        for part in parts:
            for identity, value in part.shares[column].items():
                shares[identity] = min(LIMIT, shares.get(identity, 0) + value)
        whole.shares.append(shares)
    return whole
