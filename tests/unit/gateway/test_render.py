"""From the model to bytes, compared with a rendering by plain loops."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.matrix_body import MatrixRenderer
from gateway.render import render_cell, render_fanout, render_overview, rfc3339
from keyviz_grpc.model import Catalogue, Matrix, Row, Series
from keyviz_grpc.outcome import Answer, Cell, Contribution, Outcome, PeerWarning, WarningCode
from tests.unit.gateway.scripted import DEAD, MOMENT_MS, OK, ScriptedCluster, answer_of

IDENTITIES = np.array([[0, 0], [7, 3], [8, 2**64 - 1]], np.uint64)


def rendered(answer: Answer, *, identity: bool = True) -> dict[str, Any]:
    """The body, decoded."""
    body: dict[str, Any] = json.loads(MatrixRenderer().render(answer, identity=identity))
    return body


def plainly(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a body by loops over cells."""
    matrix, rows = answer.matrix, []
    for i, row in enumerate(matrix.catalogue.rows):
        width = range(len(matrix.columns))
        shown: dict[str, Any] = {"bucket_id": row.bucket_id}
        if row.label:
            shown["label"] = row.label
        shown |= {"start": base64.b64encode(row.start).decode(), "end": base64.b64encode(row.end).decode()}
        shown["aggregate"] = row.aggregate
        if row.aggregate:
            shown["route_ids"] = list(row.route_ids)
        if row.route_ids_truncated:
            shown["route_ids_truncated"] = True
        shown |= {"route_count": row.route_count, "values": [int(matrix.values[i, j]) for j in width]}
        conflicts = [matrix.conflicts is not None and bool(matrix.conflicts[i, j]) for j in width]
        soft = [matrix.soft is not None and bool(matrix.soft[i, j]) for j in width]
        shown["conflict"] = any(conflicts)
        if any(conflicts):
            shown["conflicts"] = conflicts
        if any(soft):
            shown["soft"] = soft
        codes = [0 if matrix.codes is None else int(matrix.codes[i, j]) for j in width]
        if any(codes):
            shown["raft_group_ids"] = [int(matrix.identities[code, 0]) for code in codes]
            shown["leader_terms"] = [int(matrix.identities[code, 1]) for code in codes]
        rows.append(shown)
    return rows


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Small answers with everything that a row may show."""
    count = draw(st.integers(0, 5))
    shape = (count, draw(st.integers(0, 4)) if count else 0)
    flags = st.none() | arrays.arrays(np.bool_, shape)
    values = draw(arrays.arrays(np.uint64, shape))
    codes = arrays.arrays(np.uint32, shape, elements=st.integers(0, 2)).map(lambda each: each * (values != 0))
    rows = []
    for number in range(shape[0]):
        aggregate = draw(st.booleans())
        rows.append(
            Row(
                f"route:{number}" + draw(st.sampled_from(["", ":a-b_C", "#3"])),
                b"%d" % number,
                draw(st.sampled_from([b"", b"x\xff\x00"])),
                label=draw(st.sampled_from(["", "a-b_C"])),
                aggregate=aggregate,
                route_ids=(1, 2**64 - 1) if aggregate else (),
                route_ids_truncated=aggregate and draw(st.booleans()),
                route_count=draw(st.integers(0, 2**64 - 1)),
            )
        )
    return answer_of(
        values.tolist() if shape[1] else [[] for _ in rows],
        catalogue=Catalogue(tuple(rows)),
        identities=IDENTITIES,
        codes=draw(st.none() | codes),
        soft=draw(flags),
        conflicts=draw(flags),
    )


@given(answers())
def test_bytes_from_arrays_say_what_loops_say(answer: Answer) -> None:
    """Every key present and absent, every number, key order included."""
    rows = rendered(answer)["rows"]
    assert rows == plainly(answer)
    assert [list(row) for row in rows] == [list(row) for row in plainly(answer)]


def test_the_frame_around_the_rows() -> None:
    """Top-level keys, the moment with milliseconds, every leaf in order."""
    body = rendered(answer_of([[1, 2], [3, 4]], outcomes=(OK, DEAD)))
    rows = body.pop("rows")
    assert [row["values"] for row in rows] == [[1, 2], [3, 4]]
    assert body == {
        "column_unix_ms": [60_000, 120_000],
        "step_ms": 60_000,
        "series": "writes",
        "generated_at": "2026-04-27T11:45:00.123Z",
        "column_nodes": [2, 2],
        "fanout": {
            "nodes": [
                {
                    "node": "10.0.0.1:50051",
                    "ok": True,
                    "error": "",
                    "kind": "",
                    "node_id": "n1",
                    "latency_ms": 3.1,
                    "generated_at": "2026-04-27T11:45:00.123Z",
                    "warnings": [],
                },
                {
                    "node": "10.0.0.2:50051",
                    "ok": False,
                    "error": "connection refused",
                    "kind": "unreachable",
                    "node_id": "",
                    "latency_ms": 0.0,
                    "generated_at": "",
                    "warnings": [],
                },
            ],
            "responded": 1,
            "expected": 2,
        },
    }


def test_an_empty_matrix() -> None:
    """No rows and no columns are empty lists."""
    body = rendered(Answer(Matrix.empty(Series.READS), (OK,), merged=True, generated_at_unix_ms=MOMENT_MS))
    assert (body["rows"], body["column_unix_ms"], body["column_nodes"]) == ([], [], [])
    assert (body["series"], body["step_ms"]) == ("reads", 0)


@pytest.mark.parametrize(
    "answer", [answer_of([[1]], merged=False), answer_of([[1]], outcomes=(Outcome("self", "n1"),))]
)
def test_a_local_node_alone_has_no_fanout(answer: Answer) -> None:
    """The key is absent, and `conflict` is there nevertheless."""
    body = rendered(answer)
    assert "fanout" not in body
    assert body["rows"][0]["conflict"] is False


def test_one_leaf_alone_holds_every_column() -> None:
    """An answer that does not count nodes comes from one."""
    assert rendered(replace(answer_of([[1, 2]], merged=False), column_nodes=None))["column_nodes"] == [1, 1]


def test_identities_can_be_left_out() -> None:
    """identity=0 leaves out both arrays and nothing else."""
    answer = answer_of([[1, 2]], identities=IDENTITIES, codes=np.array([[1, 2]], np.uint32))
    whole = rendered(answer)
    bare = rendered(answer, identity=False)
    assert whole["rows"][0].pop("raft_group_ids") == [7, 8]
    assert whole["rows"][0].pop("leader_terms") == [3, 2**64 - 1]
    assert bare == whole


def test_a_catalogue_is_rendered_once() -> None:
    """Equal catalogues share their heads, other catalogues do not get them."""
    renderer = MatrixRenderer(remembered=2)
    first, same, other = answer_of([[1], [2]]), answer_of([[3], [4]]), answer_of([[5]])
    heads = renderer._heads_of(first.matrix.catalogue)
    assert renderer._heads_of(same.matrix.catalogue) is heads
    for answer in (other, answer_of([[1], [2], [3]])):
        bodies = [row["bucket_id"] for row in json.loads(renderer.render(answer))["rows"]]
        assert bodies == [row.bucket_id for row in answer.matrix.catalogue.rows]
    assert len(renderer._heads) == 2


def test_equal_catalogues_are_compared_once() -> None:
    """The one that was shown last is found by being the same object, and takes no other's room."""
    renderer = MatrixRenderer(remembered=2)
    catalogues = [answer_of([[1], [2]]).matrix.catalogue for _ in range(3)]
    other = answer_of([[5]]).matrix.catalogue
    heads = [renderer._heads_of(catalogue) for catalogue in (other, *catalogues)]
    assert heads[1] is heads[2] is heads[3]
    assert [known.catalogue for known in renderer._heads] == [catalogues[2], other]
    assert renderer._heads[0].catalogue is catalogues[2]


def test_arrays_in_any_memory_order() -> None:
    """Columns cut from the middle and transposed arrays come out right."""
    answer = answer_of([[1, 2, 3], [4, 5, 6]])
    cut = Matrix(
        Series.WRITES,
        answer.matrix.columns[1:],
        answer.matrix.catalogue,
        np.asfortranarray(answer.matrix.values)[:, 1:],
    )
    rows = rendered(replace(answer, matrix=cut, column_nodes=None))["rows"]
    assert [row["values"] for row in rows] == [[2, 3], [5, 6]]


def test_warnings_are_always_a_list() -> None:
    """Code, bucket and detail of each."""
    warned = replace(OK, warnings=(PeerWarning(WarningCode.CATALOG_DIVERGENCE, "route:4", "other end"),))
    [node] = json.loads(render_fanout([warned]))["nodes"]
    assert node["warnings"] == [{"code": "catalog_divergence", "bucket_id": "route:4", "detail": "other end"}]


def test_a_failure_without_words_says_its_kind() -> None:
    """`error` of a node that failed is never empty."""
    [node] = json.loads(render_fanout([replace(DEAD, detail="")]))["nodes"]
    assert node["error"] == "unreachable"


def test_a_cell_and_who_says_what() -> None:
    """The whole body."""
    said = Contribution("self", "n1", 7, 4, 9, counted=True, reason="why")
    body = json.loads(render_cell(Cell("route:1", 60_000, Series.READS, 7, conflict=True, contributions=(said,))))
    assert body == {
        "bucket_id": "route:1",
        "column_unix_ms": 60_000,
        "series": "reads",
        "value": 7,
        "conflict": True,
        "contributions": [
            {
                "node": "self",
                "node_id": "n1",
                "value": 7,
                "raft_group_id": 4,
                "leader_term": 9,
                "counted": True,
                "reason": "why",
            }
        ],
    }


async def test_an_overview() -> None:
    """Groups with their leaders; whoever answers leads those that name it."""
    overview = await ScriptedCluster().overview(None)  # type: ignore[arg-type]
    body = json.loads(render_overview(overview, version="0", now_unix_ms=MOMENT_MS))
    assert (body["node_id"], body["version"], body["timestamp"]) == ("gw", "1.2.3", "2026-04-27T11:45:00.123Z")
    assert [(group["group_id"], group["leader_id"], group["is_leader"]) for group in body["groups"]] == [
        (1, "n1", False),
        (2, "gw", True),
        (3, "", False),
    ]
    assert [group["members"] for group in body["groups"]] == [[], [], []]


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (1, "1970-01-01T00:00:00.001Z"),
        (1_777_290_300_000, "2026-04-27T11:45:00.000Z"),
        (1_777_290_300_120, "2026-04-27T11:45:00.120Z"),
        (1_777_290_300_999, "2026-04-27T11:45:00.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_moments_are_written_to_the_millisecond(moment: int, written: str) -> None:
    """Up to the last one that four digits of a year can tell."""
    assert rfc3339(moment) == written


@pytest.mark.parametrize("moment", [0, -1, 253_402_300_800_000, 2**63 - 1])
def test_moments_that_cannot_be_written_are_empty(moment: int) -> None:
    """Whatever a node states, rendering goes on."""
    assert rfc3339(moment) == ""
