"""Who makes the call that is being served, as far as it was proven."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

import grpc

from keyviz_grpc.auth import MAX_SHOWN_CHARS

CALLER: Final[ContextVar[str]] = ContextVar("keyviz_caller", default="")
"""Set by the credentials' check for the length of one call; "" where none were asked for."""


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The subject of the caller's token, else the name in its certificate, else ""; at most 64 characters."""
    names = context.auth_context().get("x509_common_name", ())
    certified = next(iter(names), b"").decode("utf-8", "replace")
    return (CALLER.get() or certified)[:MAX_SHOWN_CHARS]
