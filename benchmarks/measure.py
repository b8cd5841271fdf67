"""Timing two sides in turn, and turning samples into rows of the table of results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

FEWEST_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Result:
    """One row: `ratio` = ours / floor; `target` = "<= limit" or "<= limit unit", the largest acceptable figure, or "".

    A limit with a unit is one of `ours`; one without is one of the ratio, or of `ours` where there is no ratio.
    """

    case: str
    metric: str
    ours: float
    floor: float | None
    ratio: float | None
    target: str
    spread: str = ""

    @property
    def measured(self) -> float:
        """What the target speaks of."""
        _, *unit = self.target.removeprefix("<= ").split(" ")
        return self.ours if unit or self.ratio is None else self.ratio

    @property
    def missed(self) -> bool:
        """Whether there is a target that this row is over."""
        return bool(self.target) and self.measured > float(self.target.removeprefix("<= ").split(" ")[0])


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the samples lie, by nearest rank."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(samples: Sequence[float]) -> str:
    """Minimum, quartiles and maximum, in the samples' unit."""
    return " / ".join(f"{percentile(samples, share):.3g}" for share in (0.0, 0.25, 0.5, 0.75, 1.0))


def ratio(ours: Sequence[float], floor: Sequence[float]) -> float:
    """Median over median; raises ValueError for fewer than 20 samples on either side."""
    if min(len(ours), len(floor)) < FEWEST_SAMPLES:
        raise ValueError(f"{len(ours)} and {len(floor)} samples do not make a ratio, {FEWEST_SAMPLES} are needed")
    return statistics.median(ours) / statistics.median(floor)


async def in_turn(
    ours: Callable[[], Awaitable[object]],
    floor: Callable[[], Awaitable[object]],
    *,
    samples: int,
    warm_up: int = 3,
) -> tuple[list[float], list[float]]:
    """Milliseconds of both sides, one after the other, `samples` times each, after `warm_up` uncounted rounds."""
    first: list[float] = []
    second: list[float] = []
    for number in range(samples + warm_up):
        for side, kept in ((ours, first), (floor, second)):
            start = perf_counter()
            await side()
            if number >= warm_up:
                kept.append((perf_counter() - start) * 1_000)
    return first, second


def in_turn_cpu(
    ours: Callable[[], object], floor: Callable[[], object], *, samples: int, warm_up: int = 2
) -> tuple[list[float], list[float]]:
    """As `in_turn` for plain calls."""
    first: list[float] = []
    second: list[float] = []
    for number in range(samples + warm_up):
        for side, kept in ((ours, first), (floor, second)):
            start = perf_counter()
            side()
            if number >= warm_up:
                kept.append((perf_counter() - start) * 1_000)
    return first, second


def compare(
    case: str, ours: Sequence[float], floor: Sequence[float], *, target: str, metric: str = "p50 ms"
) -> list[Result]:
    """The rows of one comparison: the median with its ratio, and our 95th percentile."""
    middle, base = statistics.median(ours), statistics.median(floor)
    return [
        Result(case, metric, middle, base, ratio(ours, floor), target, spread(ours)),
        Result(case, metric.replace("p50", "p95"), percentile(ours, 0.95), base, None, ""),
    ]


def as_table(results: Iterable[Result]) -> str:
    """Markdown, one line a case: its first row is what the case is about, others stand beside it; then what missed."""
    results = list(results)
    cases: dict[str, list[Result]] = {}
    for row in results:
        cases.setdefault(row.case, []).append(row)
    heads = ("case", "metric", "ours", "p95", "floor", "ratio", "target", "CPU ms", "peak MB", "also", "spread of ours")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(_cells(case, rows)) + " |" for case, rows in cases.items()]
    legend = "CPU and memory: ours / floor. Spread: minimum / quartiles / maximum."
    return "\n".join([*lines, "", legend, "", *_verdict(results)])


def _verdict(results: Sequence[Result]) -> list[str]:
    aimed = [row for row in results if row.target]
    missed = [row for row in aimed if row.missed]
    over = [f"- {row.case}: {row.metric.split(',')[0]}, {row.measured:.3g} for {row.target}" for row in missed]
    within = f"{len(aimed) - len(missed)} of {len(aimed)} figures with a target are within it"
    return [f"{within}, over it:", "", *over] if over else [f"{within}."]


def _cells(case: str, rows: Sequence[Result]) -> list[str]:
    first, *others = rows
    beside = {"p95": "", "CPU": "", "peak": ""}
    also = []
    for row in others:
        word = row.metric.split(" ", 1)[0]
        figure = f"{row.ours:.3g}" + (f" / {row.floor:.3g}" if row.floor is not None and word != "p95" else "")
        figure += f" ({row.target})" if row.target else ""
        if word in beside:
            beside[word] = figure
        else:
            also.append(f"{row.metric} {figure}")
    floor = "" if first.floor is None else f"{first.floor:.3g}"
    share = "" if first.ratio is None else f"{first.ratio:.2f}"
    main = [case, first.metric, f"{first.ours:.4g}", beside["p95"], floor, share, first.target]
    return [*main, beside["CPU"], beside["peak"], "; ".join(also), first.spread]


def write_json(results: Iterable[Result], path: Path) -> None:
    """`path` = a list of {case, metric, ours, floor, ratio, target}, other keys may follow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in results], indent=1) + "\n", encoding="utf-8")
