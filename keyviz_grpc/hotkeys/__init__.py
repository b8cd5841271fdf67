"""Hot keys: which keys of a route are read and written most, from sketches of bounded memory with stated bounds."""

from keyviz_grpc.hotkeys.answer import HotKey, HotKeysAnswer
from keyviz_grpc.hotkeys.query import HotKeysQuery
from keyviz_grpc.hotkeys.settings import HotKeysSettings

__all__ = ["HotKey", "HotKeysAnswer", "HotKeysQuery", "HotKeysSettings"]
