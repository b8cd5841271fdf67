"""Many numbers at once as protobuf packs them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 7
"""Of a number in each of its bytes, low ones first; the eighth says that more follow."""

_MOST: Final = (1 << _BITS) - 1


def varints(numbers: NDArray[np.uint32]) -> bytes:
    """The content of a packed field of these numbers, in a few passes over arrays."""
    highest = int(numbers.max(initial=0))
    if highest <= _MOST:
        return numbers.astype(np.uint8).tobytes()
    shape = (len(numbers), -(-highest.bit_length() // _BITS))
    octets, sent = np.empty(shape, np.uint8), np.ones(shape, np.bool_)
    for at in range(shape[1]):
        more = numbers > _MOST
        octets[:, at] = (numbers & _MOST).astype(np.uint8) | more.view(np.uint8) << _BITS
        sent[:, at + 1 : at + 2] = more[:, np.newaxis]
        numbers = np.right_shift(numbers, _BITS)
    return octets.ravel().take(np.flatnonzero(sent)).tobytes()
