"""One client an address, for as long as the address is listed."""

from __future__ import annotations

from keyviz_grpc.client import ClientShared
from keyviz_grpc.peers.clients import Clients


async def test_an_address_keeps_its_client_whatever_else_is_listed() -> None:
    """Also where the same list says something else than before, and none is kept that was closed."""
    clients, listed = Clients(ClientShared()), ["127.0.0.1:1", "127.0.0.1:2"]
    first, second = clients.of(listed)
    assert (first.address, second.address) == tuple(listed)
    assert [*clients.of(listed)] == [first, second]
    listed.reverse()
    assert [*clients.of(listed)] == [second, first]
    listed.pop()
    assert [*clients.of(listed)] == [second]
    assert [*clients.of(tuple(listed))] == [second]
    await clients.close()
    (anew,) = clients.of(listed)
    assert anew is not second
    await clients.close()
