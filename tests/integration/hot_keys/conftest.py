"""What all tests of hot keys over the wire begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.hot_keys.house import House


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    """Empty."""
    async with House.empty() as made:
        yield made
