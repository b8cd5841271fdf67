"""Catalogues that were read before are found again, by their bytes and nothing less."""

from __future__ import annotations

import pytest

from keyviz_grpc.codec import known
from keyviz_grpc.codec.catalogues import decode_catalogue
from keyviz_grpc.codec.spans import Span, all_of
from keyviz_grpc.kept import Kept
from keyviz_grpc.model import Catalogue
from keyviz_grpc.proto import keyviz_pb2 as pb


def packed(*names: str) -> Span:
    """Of rows with those names."""
    return all_of(pb.KeyVizCatalogue(rows=[pb.KeyVizRow(bucket_id=name) for name in names]).SerializeToString())


def names_of(catalogue: Catalogue) -> list[str]:
    """Of its rows."""
    return [row.bucket_id for row in catalogue.rows]


def test_catalogues_of_one_length_are_told_apart_and_found_again() -> None:
    """Whichever was met last, and however they take turns."""
    pair = ["route:1", "route:2"], ["route:1", "route:3"]
    first = [decode_catalogue(packed(*names)) for names in pair]
    assert [names_of(catalogue) for catalogue in first] == [*pair]
    for turn in (0, 0, 1, 0, 1, 1):
        assert decode_catalogue(packed(*pair[turn])) is first[turn]


def test_what_was_met_last_is_found_when_all_else_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is read anew where that is forgotten too, to an equal one."""
    kept = decode_catalogue(packed("route:4"))
    monkeypatch.setattr(known, "_catalogues", Kept(0))
    assert decode_catalogue(packed("route:4")) is kept
    monkeypatch.setattr(known, "_recent", Kept(0))
    again = decode_catalogue(packed("route:4"))
    assert again == kept
    assert again is not kept


def test_each_node_finds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many of one length take turns; what a node says it is called is only where to look first."""
    sent = {f"n{number}": packed(f"route:5{number}") for number in range(9)}
    first = {node: decode_catalogue(raw, node_id=node) for node, raw in sent.items()}
    monkeypatch.setattr(known, "_catalogues", Kept(0))
    for node, raw in sent.items():
        assert decode_catalogue(raw, node_id=node) is first[node]
    other = decode_catalogue(sent["n3"], node_id="n4")
    assert names_of(other) == ["route:53"]
    assert other is not first["n4"]


def test_names_of_nodes_are_weighed() -> None:
    """A peer may call itself anything, and have next to no rows."""
    long, most = 1 << 20, known.RECENT_BYTES >> 20
    for number in range(most + 1):
        decode_catalogue(packed(f"route:6{number:03d}"), node_id=f"{number}".rjust(long))
    held = [place for place in known._recent._values if len(place[1]) == long]
    assert 0 < len(held) <= most
