"""Messages to model and back; distrusts every length that came over the wire."""

from keyviz_grpc.codec.answers import decode_answer
from keyviz_grpc.codec.apart import Apart, set_apart
from keyviz_grpc.codec.crowd import HARMLESS_BYTES, MESSAGE_BYTES, messages_in_response
from keyviz_grpc.codec.hot_keys import (
    decode_hot_keys,
    decode_hot_keys_query,
    encode_hot_keys,
    encode_hot_keys_query,
)
from keyviz_grpc.codec.outgoing import Ready, answer_bytes, encode_answer, ready_before
from keyviz_grpc.codec.overviews import (
    decode_overview,
    decode_overview_via,
    encode_overview,
    encode_overview_request,
)
from keyviz_grpc.codec.parsing import parse
from keyviz_grpc.codec.queries import Question, decode_query, encode_query, known_bytes, query_bytes, question_of
from keyviz_grpc.codec.rows_as_bytes import parse_response
from keyviz_grpc.codec.weight import Weight, leaves_bytes, weight_of

__all__ = [
    "HARMLESS_BYTES",
    "MESSAGE_BYTES",
    "Apart",
    "Question",
    "Ready",
    "Weight",
    "answer_bytes",
    "decode_answer",
    "decode_hot_keys",
    "decode_hot_keys_query",
    "decode_overview",
    "decode_overview_via",
    "decode_query",
    "encode_answer",
    "encode_hot_keys",
    "encode_hot_keys_query",
    "encode_overview",
    "encode_overview_request",
    "encode_query",
    "known_bytes",
    "leaves_bytes",
    "messages_in_response",
    "parse",
    "parse_response",
    "query_bytes",
    "question_of",
    "ready_before",
    "set_apart",
    "weight_of",
]
