"""A scripted node of a version that has no GetHotKeys."""

from __future__ import annotations

from typing import Any

import grpc


class WithoutHotKeys:
    """To be named before the servicer's own base class."""

    async def GetHotKeys(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name on the wire
        """As a server answers that does not know the method."""
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
