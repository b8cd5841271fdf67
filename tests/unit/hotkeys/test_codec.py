"""What an answer for hot keys may hold, and what is left out of one on its way up."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec import decode_hot_keys, encode_hot_keys
from keyviz_grpc.errors import MalformedAnswer
from keyviz_grpc.hotkeys.answer import MAX_CANDIDATES, HotKey, HotKeysAnswer
from keyviz_grpc.outcome import Outcome

LEAF = Outcome("n1:1", node_id="n1", incarnation=1)


def answer(keys: int, leaves: int, *, sample_rate: int = 4) -> HotKeysAnswer:
    """Keys by number, all as hot; of one node itself, or of so many merged."""
    listed = tuple(HotKey(b"%08d" % number, 40, 40, 48, sample_rate) for number in range(keys))
    outcomes = tuple(Outcome(f"n{n}:1", node_id=f"n{n}", incarnation=1) for n in range(max(1, leaves)))
    return HotKeysAnswer(listed, outcomes, sample_rate=sample_rate, merged=leaves > 0)


@pytest.mark.parametrize(("leaves", "most"), [(0, MAX_CANDIDATES), (1, MAX_CANDIDATES), (2, 2 * MAX_CANDIDATES)])
def test_a_node_is_believed_so_many_keys(leaves: int, most: int) -> None:
    """One more, and nothing of the answer is read."""
    fits = encode_hot_keys(answer(most, leaves), bounds=False)
    assert len(decode_hot_keys(fits, outcome=LEAF).keys) == most
    with pytest.raises(MalformedAnswer, match=f"{most + 1} entries, at most {most}"):
        decode_hot_keys(encode_hot_keys(answer(most + 1, leaves), bounds=False), outcome=LEAF)


def test_who_merges_finds_the_intervals_anew() -> None:
    """They need not travel, and what travels is not believed."""
    whole = answer(3, 0)
    [key, *_] = encode_hot_keys(whole).keys
    assert (key.lower, key.upper) == whole.keys[0].bounds
    assert 0 < key.lower < key.sketch_lower < key.sketch_upper < key.upper
    message = encode_hot_keys(whole, bounds=False)
    assert {(item.lower, item.upper) for item in message.keys} == {(0, 0)}
    message.keys[0].lower, message.keys[0].upper = 39, 41
    assert decode_hot_keys(message, outcome=LEAF).keys == whole.keys
