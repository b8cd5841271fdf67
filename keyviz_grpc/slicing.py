"""Asking a peer whose whole answer would be over the cap for consecutive slices of time instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from keyviz_grpc.errors import FailureKind, MalformedAnswer
from keyviz_grpc.merge import join_in_time
from keyviz_grpc.merge.align import guess_step_ms
from keyviz_grpc.model import Series, Window
from keyviz_grpc.outcome import Answer, Outcome
from keyviz_grpc.query import MatrixQuery
from keyviz_grpc.unchanging import unchanging

Once = Callable[[MatrixQuery], Awaitable["Reply"]]
StartOver = Callable[[], None]

FIRST_LOOK_MS = 120_000
"""How far back to look first for a column of a peer of which nothing is known but that its answer is over the cap."""

MOST_LOOKS = 24
"""Each ten times further back while there is nothing, eight times less while there is too much, and then in between."""

USUAL_COLUMNS = 1440
"""How many columns a peer is taken to hold that does not say how old its oldest is."""

MOST_CALLS = 256
"""Slices of one request; a peer that needs more stays a failure."""


@unchanging(frozen=True, slots=True)
class Reply:
    """What one call gave, and how many bytes came (0: they do not tell what such an answer weighs).

    over_cap: a failure that a shorter slice of time may not have.
    """

    result: Answer | Outcome
    size_bytes: int = 0
    over_cap: bool = False


@dataclass(slots=True)
class Sizes:
    """How large answers are: a part for the rows themselves, and a part for every column."""

    fixed_bytes: float = 0.0
    column_bytes: float = 0.0
    shortest: tuple[int, int] | None = None
    longest: tuple[int, int] | None = None

    def learn(self, columns: int, size_bytes: int) -> None:
        """From one answer; two of different lengths tell both parts, until then columns are held to be all."""
        seen = (columns, size_bytes)
        if self.shortest is None or self.longest is None:
            self.shortest = self.longest = seen
        elif columns <= self.shortest[0]:
            self.shortest = seen
        elif columns >= self.longest[0]:
            self.longest = seen
        more, fewer = self.longest, self.shortest
        if more[0] > fewer[0] and more[1] > fewer[1]:
            self.column_bytes = (more[1] - fewer[1]) / (more[0] - fewer[0])
            self.fixed_bytes = max(0.0, more[1] - self.column_bytes * more[0])
        else:
            self.column_bytes, self.fixed_bytes = max(1.0, size_bytes / columns), 0.0

    def columns_within(self, cap_bytes: int) -> int:
        """How many columns to ask for at once, at least 1: half the cap, or more of it where rows take much."""
        share = 0.5 if self.fixed_bytes < cap_bytes / 4 else 0.8
        return max(1, int((cap_bytes * share - self.fixed_bytes) / self.column_bytes))


class Slicer:
    """Asks one peer, remembering what its answers weigh. For one event loop.

    A request goes on with what was known when it began, also when the peer is forgotten meanwhile.
    """

    def __init__(self, cap_bytes: int, now_unix_ms: Callable[[], int]) -> None:
        self._cap_bytes, self._now_unix_ms = cap_bytes, now_unix_ms
        self.forget()

    def forget(self) -> None:
        """Another node may listen there now."""
        self._memory = _Memory(self._cap_bytes, self._now_unix_ms)

    def ask(
        self, query: MatrixQuery, once: Once, start_over: StartOver, known_below_unix_ms: int = 0
    ) -> Awaitable[Answer | Outcome]:
        """One answer to `query`, by one call where it fits half the cap, else by one call a slice, oldest first.

        once: makes one call. start_over: told when what came so far is thrown away: it was a look alone, or slices do
        not fit each other, since rows or nodes changed between them, and all are asked for once more.
        known_below_unix_ms: columns below this need not be sent, 0 = all must be. The first failure of a slice is the
        peer's failure, for half an answer is none.
        """
        return self._memory.ask(query, once, start_over, known_below_unix_ms)


def _between(empty_ms: int, too_much_ms: int, furthest_ms: int) -> int:
    """How far back to look next: more than where nothing was, less than where too much was (0: nowhere yet)."""
    if not too_much_ms:
        return min(10 * empty_ms, furthest_ms)
    return too_much_ms // 8 if not empty_ms else (empty_ms + too_much_ms) // 2


@dataclass(frozen=True, slots=True)
class _Torn:
    """Slices that are not of one answer."""

    told: Outcome


@dataclass(slots=True)
class _Memory:
    """What is known of one peer's answers: their sizes by series, its step, its oldest stamp."""

    cap_bytes: int
    now_unix_ms: Callable[[], int]
    sizes: dict[Series, Sizes] = field(default_factory=dict)
    step_ms: int = 0
    oldest_unix_ms: int = 0
    whole: tuple[int, int, int] | None = None
    """Of the last complete answer: from when on, how many columns, and when it came."""

    async def ask(
        self, query: MatrixQuery, once: Once, start_over: StartOver, known_below_unix_ms: int
    ) -> Answer | Outcome:
        """See `Slicer`."""
        if self._fits(query, known_below_unix_ms):
            reply = await once(query)
            self._learn(query, reply)
            if isinstance(reply.result, Answer):
                self._remember(query, reply.result)
                return reply.result
            whole = query.unmerged or bool(query.bucket_ids)  # small, and told in one piece or not at all
            if not reply.over_cap or whole or not await self._probe(query, once, start_over):
                return reply.result
        joined = await self._sliced(query, once)
        if isinstance(joined, _Torn):
            start_over()
            joined = await self._sliced(query, once)
        return joined.told if isinstance(joined, _Torn) else joined

    async def _sliced(self, query: MatrixQuery, once: Once) -> Answer | Outcome | _Torn:
        answers: list[Answer] = []
        rest = [query.window]
        stretch = 1
        for _ in range(MOST_CALLS):
            window, later = self._next(rest[0], self.sizes[query.series], stretch)
            part = replace(query, window=window)
            reply = await once(part)
            self._learn(part, reply)
            if isinstance(reply.result, Answer):
                answers.append(reply.result)
                rest = [*later, *rest[1:]]
                if not rest:
                    return self._joined(query, answers)
                # Where a node slept for weeks there is little to find, and longer slices lead over it.
                sparse = 2 * len(reply.result.matrix.columns) < self.sizes[query.series].columns_within(self.cap_bytes)
                stretch = 4 * stretch if sparse else 1
                continue
            halves = self._halves(window)
            if not reply.over_cap or len(halves) == 1:
                return reply.result
            rest = [*halves, *later, *rest[1:]]
            stretch = 1
        detail = f"its answer is over the cap of {self.cap_bytes} bytes, even in {MOST_CALLS} slices of time"
        return replace(answers[-1].outcomes[0], kind=FailureKind.MESSAGE_TOO_LARGE, detail=detail)

    def _fits(self, query: MatrixQuery, known_below_unix_ms: int) -> bool:
        sizes = self.sizes.get(query.series)
        if sizes is None or not self.step_ms or query.bucket_ids:
            return True
        most = sizes.columns_within(self.cap_bytes)
        if self.whole is not None and query.window.from_unix_ms >= self.whole[0]:
            since = max(0, self.now_unix_ms() - self.whole[2])
            if self.whole[1] + since // self.step_ms < most:
                return True
        start, end = self._span(query.window)
        return max(0, end - max(start, known_below_unix_ms)) // self.step_ms < most

    def _span(self, window: Window) -> tuple[int, int]:
        """Where columns can be expected, in unix milliseconds."""
        now = self.now_unix_ms()
        oldest = self.oldest_unix_ms or now - USUAL_COLUMNS * self.step_ms
        return max(window.from_unix_ms, oldest), window.to_unix_ms or now + self.step_ms

    def _next(self, window: Window, sizes: Sizes, stretch: int) -> tuple[Window, list[Window]]:
        """(what to ask for now, what then remains). Its ends stay those asked for, whatever is known of the span."""
        start, end = self._span(window)
        cut = start + stretch * sizes.columns_within(self.cap_bytes) * self.step_ms
        if cut >= end:
            return window, []
        return Window(window.from_unix_ms, cut), [Window(cut, window.to_unix_ms)]

    def _joined(self, query: MatrixQuery, answers: list[Answer]) -> Answer | _Torn:
        try:
            answer = join_in_time(answers)
        except MalformedAnswer as error:
            return _Torn(replace(answers[-1].outcomes[0], kind=FailureKind.MALFORMED, detail=str(error)))
        self._remember(query, answer)
        return answer

    def _remember(self, query: MatrixQuery, answer: Answer) -> None:
        if not query.bucket_ids and not query.window.to_unix_ms:
            self.whole = (query.window.from_unix_ms, len(answer.matrix.columns), self.now_unix_ms())

    async def _probe(self, query: MatrixQuery, once: Once, start_over: StartOver) -> bool:
        """Learns from the newest columns alone, whatever their step and wherever they are; whether that worked."""
        end = query.window.to_unix_ms or self.now_unix_ms()
        furthest = end - max(1, query.window.from_unix_ms)
        back, empty, too_much = min(FIRST_LOOK_MS, furthest), 0, 0
        for _ in range(MOST_LOOKS):
            probe = replace(query, window=Window(end - back, query.window.to_unix_ms))
            reply = await once(probe)
            self._learn(probe, reply)
            start_over()
            if self._told_columns(reply):
                return True
            if reply.over_cap:
                too_much = back
            elif isinstance(reply.result, Outcome):
                return False
            else:
                empty = back
            closer = _between(empty, too_much, furthest)
            if closer <= empty or closer == back:
                return False
            back = closer
        return False

    def _told_columns(self, reply: Reply) -> bool:
        return isinstance(reply.result, Answer) and len(reply.result.matrix.columns) > 0 and self.step_ms > 0

    def _halves(self, window: Window) -> list[Window]:
        """The window cut in the middle of where columns can be, or itself where there is one at most."""
        start, end = self._span(window)
        if end - start < 2 * max(1, self.step_ms):
            return [window]
        middle = start + (end - start) // 2
        return [Window(window.from_unix_ms, middle), Window(middle, window.to_unix_ms)]

    def _learn(self, query: MatrixQuery, reply: Reply) -> None:
        answer = reply.result
        if not isinstance(answer, Answer) or query.bucket_ids:
            return
        columns = answer.matrix.columns
        self.step_ms = answer.step_ms or guess_step_ms(columns) or self.step_ms
        self.oldest_unix_ms = answer.oldest_unix_ms
        if len(columns) and reply.size_bytes:
            sizes = self.sizes.get(query.series)
            if sizes is None:
                sizes = self.sizes[query.series] = Sizes()
            sizes.learn(len(columns), reply.size_bytes)
