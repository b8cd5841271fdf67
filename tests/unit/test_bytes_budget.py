"""What a request holds goes back exactly once, and not while somebody still works with it."""

from __future__ import annotations

from keyviz_grpc import bytes_budget
from keyviz_grpc.bytes_budget import BytesBudget


def left(budget: BytesBudget) -> int:
    """The most that still fits."""
    return max(size for size in range(1001) if budget.fits(size))


def test_what_a_request_held_goes_back_once() -> None:
    """When it is closed; what its parts give back later, or take, changes nothing."""
    held = BytesBudget(1000, shared=True)
    request = BytesBudget(800, held)
    part = request.part()
    assert part.take(300)
    assert request.take(100)
    request.close()
    assert left(held) == 1000
    assert not part.take(1)
    assert not request.take(1)
    part.give_back()
    request.put_back(100)
    request.close()
    assert left(held) == 1000
    assert not held.take(1001)


def test_nothing_goes_back_while_a_thread_works_with_it() -> None:
    """Its request may be over long before: a caller left."""
    held = BytesBudget(1000, shared=True)
    request = BytesBudget(800, held)
    assert request.take(300)
    with request.in_use():
        request.close()
        assert left(held) == 700
        assert not request.take(1)
        request.put_back(50)
        assert left(held) == 750
    assert left(held) == 1000


def test_what_is_handed_on_is_held_as_long_as_its_holder_exists() -> None:
    """The rest goes back at once; closing it again, or its parts, changes nothing. Nothing is left of it then."""

    class Holder:
        pass

    held = BytesBudget(1000, shared=True)
    request = BytesBudget(800, held)
    part = request.part()
    assert part.take(300)
    assert request.take(200)
    holder = Holder()
    request.hand_on(400, holder)
    assert left(held) == 600
    assert not part.take(1)
    part.give_back()
    request.close()
    assert left(held) == 600
    [watched] = [key for key, seen in bytes_budget._watched.items() if seen() is holder]
    del holder
    assert left(held) == 1000
    assert watched not in bytes_budget._watched


def test_no_more_is_handed_on_than_was_taken() -> None:
    """Whatever is said to be held."""
    held = BytesBudget(1000, shared=True)
    request = BytesBudget(800, held)
    assert request.take(100)
    holder = {1}
    request.hand_on(900, holder)
    assert left(held) == 900


def test_all_that_stand_between_know_who_refused() -> None:
    """Whoever paid from a part asks the wider one why: others hold it, or it is too much for one request."""
    held = BytesBudget(100, shared=True)
    request = BytesBudget(80, held)
    part = request.part()
    inner = part.part()
    assert held.take(50)
    assert not inner.take(60)
    assert [one.others_hold_it for one in (inner, part, request)] == [True] * 3
    assert request.take(45)
    assert not inner.take(40)
    assert [one.others_hold_it for one in (inner, part, request)] == [False] * 3
    assert left(held) == 5
