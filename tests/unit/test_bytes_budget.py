"""What a request holds goes back exactly once, and not while somebody still works with it."""

from __future__ import annotations

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
