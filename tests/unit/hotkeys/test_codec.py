"""What an answer for hot keys may hold, and what is left out of one on its way up."""

from __future__ import annotations

from dataclasses import replace

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


def test_the_newest_window_of_all_leaves_stands_in_for_that_of_one_which_is_not_stated() -> None:
    """By an aggregator that does not know of it; leaves that hold nothing hold nothing."""
    merged = answer(0, 3)
    held = (1000, 1000, 0)
    leaves = [replace(leaf, oldest_unix_ms=oldest) for leaf, oldest in zip(merged.outcomes, held, strict=True)]
    message = encode_hot_keys(replace(merged, outcomes=tuple(leaves), oldest_unix_ms=1000, newest_unix_ms=3000))
    message.outcomes[1].newest_unix_ms = 2000
    found = decode_hot_keys(message, outcome=LEAF).outcomes
    assert [leaf.newest_unix_ms for leaf in found] == [3000, 2000, 0]


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
