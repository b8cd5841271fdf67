"""Values that nobody changes, of which many are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["unchanging"]

if TYPE_CHECKING:
    from dataclasses import dataclass as unchanging
else:
    from dataclasses import dataclass

    def unchanging(*, frozen: bool, eq: bool = True, **more: Any) -> Any:  # noqa: ARG001 - for the type checker alone
        """A frozen dataclass for the type checker; nothing keeps it so at run time.

        A constructor that is to keep it goes through `object.__setattr__` field by field, which takes seven times as
        long: an answer of a peer is made of some ten such values with sixty fields, and a catalogue of its rows.
        """
        return dataclass(eq=eq, unsafe_hash=eq, **more)
