"""From bytes to a message."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from keyviz_grpc.errors import MalformedAnswer

_Reply = TypeVar("_Reply", bound=Message)


def parse(kind: type[_Reply], raw: bytes) -> _Reply:
    """The message of a peer's answer. Raises MalformedAnswer."""
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise MalformedAnswer(f"the answer is not a {kind.DESCRIPTOR.name}") from error


def merge_into(message: Message, raw: bytes) -> None:
    """The fields that stand there are the message's too. Raises MalformedAnswer."""
    try:
        message.MergeFromString(raw)
    except DecodeError as error:
        raise MalformedAnswer(f"the answer has no {message.DESCRIPTOR.name}") from error
