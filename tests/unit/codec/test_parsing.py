"""Messages of answers."""

from __future__ import annotations

import gc
import weakref

from keyviz_grpc.codec import parse_response
from keyviz_grpc.proto import keyviz_pb2 as pb


def test_a_class_of_messages_outlives_them() -> None:
    """Else the first answer after garbage is collected waits until it is made anew."""
    raw = pb.GetKeyVizMatrixResponse(columnar=pb.KeyVizColumnar(version=1)).SerializeToString()
    kind = weakref.ref(type(parse_response(raw).columnar))
    gc.collect()
    assert kind() is not None
