"""Bounded memories."""

from __future__ import annotations

from keyviz_grpc.kept import Kept, KeptByIdentity, KeptOfLast


def test_the_longest_unused_goes_first() -> None:
    """Looking at a value is using it."""
    kept: Kept[str, int] = Kept(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)


def test_weights_add_up_and_are_given_back() -> None:
    """A heavy value takes the room of several; one put anew counts once; one that never fits is not kept."""
    kept: Kept[str, int] = Kept(10)
    for name, weight in (("a", 4), ("a", 5), ("b", 5), ("c", 11)):
        kept.put(name, weight, weight)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (5, 5, None)
    kept.put("d", 6, 6)
    assert (kept.get("a"), kept.get("b"), kept.get("d")) == (None, None, 6)


def test_results_are_found_by_the_objects_themselves() -> None:
    """Equal objects are not the same; the objects stay alive, so their place in memory stays theirs."""
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    kept: KeptByIdentity[int] = KeptByIdentity(8)
    one, other = [1], [1]
    assert [kept.get((one,), make), kept.get((one,), make), kept.get((other,), make)] == [1, 1, 2]
    assert kept.get((one, other), make) == 3


def test_of_a_list_only_what_is_new_is_made() -> None:
    """Found by the objects themselves, of the last list alone; an object may stand in it twice."""
    made: list[str] = []

    def make(part: list[str]) -> str:
        made.extend(part)
        return part[0].upper()

    kept: KeptOfLast[list[str], str] = KeptOfLast()
    a, b, c, other = ["a"], ["b"], ["c"], ["b"]
    assert kept.of([a, b], make) == ["A", "B"]
    assert kept.of([c, b, b, a], make) == ["C", "B", "B", "A"]
    assert kept.of([other, a], make) == ["B", "A"]
    assert kept.of([c], make) == ["C"]
    assert made == ["a", "b", "c", "b"], "also of lists before the last one"
    assert kept.of([], make) == []
    assert kept.of([c, a], make) == ["C", "A"]
    assert made == ["a", "b", "c", "b", "c", "a"], "but no more than a few times as many as that has"
