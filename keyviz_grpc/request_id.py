"""The id of the request that is being worked on, for logs and for the calls that it causes."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from itertools import count
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("keyviz_request_id", default="")
"""Set at the edge for the length of one request; "" outside of any. Tasks inherit it from whoever starts them."""

HEADER: Final = "x-request-id"

_NUMBERS: Final = count(int.from_bytes(os.urandom(8)) >> 1)
"""From a start that no other process has: a number more takes a tenth of what random bytes do."""

MAX_CHARS: Final = 64
_SANE: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_CHARS}}}", re.ASCII)


def sane_request_id(offered: str) -> str:
    """What the caller offers if it is 1 to 64 letters, digits, dots, dashes or underscores, else a new one."""
    # What our own gateways say, and nothing at all, is told without the expression, whose code is in no cache.
    plain = len(offered) <= MAX_CHARS and offered.isascii() and offered.isalnum()
    if plain or (offered and _SANE.fullmatch(offered)):
        return offered
    return f"{next(_NUMBERS):016x}"
