"""Hot keys of routes that come, go and change at random: none of another range is shown, and none of its own hidden."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from keyviz_grpc.hotkeys import HotKeysQuery, HotKeysSettings
from keyviz_grpc.hotkeys.recorder import HotKeyRecorder

ids = st.integers(1, 2)
actions = st.one_of(
    st.tuples(st.just("add"), ids, st.integers(0, 1)),
    st.tuples(st.just("remove"), ids, st.just(0)),
    st.tuples(st.just("write"), ids, st.just(0)),
    st.tuples(st.just("write"), ids, st.just(0)),
    st.tuples(st.just("close"), st.just(0), st.just(0)),
)


class Remembering:
    """What a recorder is to show, by one that forgets nothing: keys of the present range since it is the id's."""

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._range: dict[int, int] = {}
        self._life: Counter[int] = Counter()
        self._registered: set[int] = set()
        self._held: list[set[tuple[int, int, bytes]]] = []
        self._open: set[tuple[int, int, bytes]] = set()
        self.late: set[int] = set()

    def add(self, route_id: int, key_range: int) -> None:
        """Another range than its last is another life."""
        if self._range.setdefault(route_id, key_range) != key_range:
            self._life[route_id] += 1
        self._range[route_id] = key_range
        self._registered.add(route_id)

    def remove(self, route_id: int) -> bool:
        """Whether it was there."""
        there = route_id in self._registered
        self._registered.discard(route_id)
        return there

    def write(self, route_id: int, key: bytes) -> None:
        """late: written to while it was not registered, by whoever had not heard of it."""
        self._open.add((route_id, self._life[route_id], key))
        if route_id not in self._registered:
            self.late.add(route_id)

    def close(self) -> None:
        """As many windows as are held."""
        self._held = [*self._held, self._open][-self._windows :]
        self._open = set()

    def shown(self, route_id: int) -> set[bytes]:
        """Of the life that the id is in."""
        life = self._life[route_id]
        return {key for window in self._held for owner, own, key in window if (owner, own) == (route_id, life)}


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, min_size=15, max_size=60), st.integers(1, 4))
def test_forgetting_routes_never_shows_a_key_of_another_range_nor_hides_one_of_its_own(
    steps: list[tuple[str, int, int]], windows: int
) -> None:
    """Routes come, go, change and are written to late. Only a late key of a route that was forgotten may be hidden."""
    made, model = HotKeyRecorder(HotKeysSettings(windows=windows)), Remembering(windows)
    stamp = 1000
    for number, (action, route_id, key_range) in enumerate([*steps, ("close", 0, 0)]):
        if action == "add":
            made.change_routes([], {route_id: (b"", b"%d" % (key_range + 1))})
            model.add(route_id, key_range)
        elif action == "remove" and model.remove(route_id):
            made.change_routes([route_id], {})
        elif action == "write":
            made.note(route_id, "", True, b"%d" % number)
            made.claim(stamp)
            model.write(route_id, b"%d" % number)
        elif action == "close":
            made.close_window(stamp)
            model.close()
            stamp += 1000
            for asked in (1, 2):
                shown = {item.key for item in made.answer(HotKeysQuery(asked), None).keys}
                assert shown <= model.shown(asked)
                assert shown == model.shown(asked) or asked in model.late
    for route_id in (1, 2):
        if model.remove(route_id):
            made.change_routes([route_id], {})
    for _ in range(windows + 1):
        made.close_window(stamp)
        stamp += 1000
    made.tick()
    assert len(made._lives) == 0
