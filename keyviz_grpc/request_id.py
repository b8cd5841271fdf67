"""The id of the request that is being worked on, for logs and for the calls that it causes."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("keyviz_request_id", default="")
"""Set at the edge for the length of one request; "" outside of any. Tasks inherit it from whoever starts them."""

HEADER: Final = "x-request-id"

_SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def sane_request_id(offered: str) -> str:
    """What the caller offers if it is 1 to 64 letters, digits, dots, dashes or underscores, else a new one."""
    return offered if _SANE.fullmatch(offered) else os.urandom(8).hex()
