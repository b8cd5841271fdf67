"""What a label of a bucket may be: the part after the route's id in `route:<id>:<label>`."""

from __future__ import annotations

import re
from typing import Final

from keyviz_grpc.errors import InvalidRequest

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def check_label(label: str) -> None:
    """Raises InvalidRequest that names what is no label; "" stands for none."""
    if label and not _LABEL.fullmatch(label):
        raise InvalidRequest("label", label, "must be 1 to 128 of the characters A-Z, a-z, 0-9, _ and -")
