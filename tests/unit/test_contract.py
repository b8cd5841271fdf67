"""The wire, pinned: a change of any number, type or label of the contract fails here."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor

from keyviz_grpc.proto import admin_pb2, keyviz_pb2

TYPES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_DOUBLE: "double",
}

CONTRACT = {
    "GetKeyVizMatrixRequest": """
        series=1 KeyVizSeries; from_unix_ms=2 int64; to_unix_ms=3 int64; rows=4 uint32; via=16 repeated string;
        accept=17 repeated MatrixEncoding; unmerged=18 bool; bucket_ids=19 repeated string; node_id=20 string;
        exclude=21 repeated LeafKey; known=22 KnownColumns; without_roles=23 bool""",
    "KnownColumns": "node_id=1 string; incarnation=2 int64; history=3 uint64; below_unix_ms=4 int64",
    "LeafKey": "node_id=1 string; incarnation=2 int64",
    "GetKeyVizMatrixResponse": """
        column_unix_ms=1 repeated int64; rows=2 repeated KeyVizRow; node_id=16 string; incarnation=17 int64;
        step_ms=18 int64; generated_at_unix_ms=19 int64; oldest_unix_ms=20 int64; shares=21 repeated KeyVizShare;
        conflicts=22 repeated KeyVizConflicts; outcomes=23 repeated KeyVizOutcome; column_nodes=24 repeated uint32;
        leaf_sets=25 repeated LeafSet; row_leaf_set=26 repeated uint32; leaf_ranges=27 repeated LeafRange;
        columnar=28 KeyVizColumnar; leaf_answers=29 repeated LeafAnswer; revision=30 uint64;
        history=31 KeyVizHistory""",
    "KeyVizHistory": """
        number=1 uint64; newest_unix_ms=2 int64; left_out_below_unix_ms=3 int64; left_out_columns=4 uint32""",
    "KeyVizRow": """
        bucket_id=1 string; start=2 bytes; end=3 bytes; label=4 string; aggregate=5 bool; route_ids=6 repeated uint64;
        route_ids_truncated=7 bool; route_count=8 uint64; sample_roles=9 repeated SampleRole; lineage_id=10 string;
        values=11 repeated uint64; soft_columns=12 repeated bool; raft_group_ids=13 repeated uint64;
        leader_terms=14 repeated uint64""",
    "KeyVizShare": "row=1 uint32; column=2 uint32; raft_group_id=3 uint64; leader_term=4 uint64; value=5 uint64",
    "KeyVizConflicts": "row=1 uint32; columns=2 repeated uint32",
    "KeyVizOutcome": """
        node_id=1 string; address=2 string; kind=3 OutcomeKind; detail=4 string; warnings=5 repeated KeyVizWarning;
        generated_at_unix_ms=6 int64; latency_ms=7 double; incarnation=8 int64; step_ms=9 int64;
        oldest_unix_ms=10 int64; newest_unix_ms=11 int64""",
    "KeyVizWarning": "code=1 string; bucket_id=2 string; detail=3 string",
    "LeafSet": "leaves=1 repeated uint32",
    "LeafRange": "row=1 uint32; leaf=2 uint32; start=3 bytes; end=4 bytes",
    "LeafAnswer": "leaf=1 uint32; answer=2 GetKeyVizMatrixResponse",
    "KeyVizColumnar": """
        version=1 uint32; catalogue=2 bytes; widths=3 bytes; values=4 bytes; identity_groups=5 repeated uint64;
        identity_terms=6 repeated uint64; run_codes=7 repeated uint32; run_lengths=8 repeated uint32; soft=9 bytes;
        conflicts=10 bytes; share_cell_deltas=11 repeated uint64; share_codes=12 repeated uint32;
        share_values=13 repeated uint64""",
    "KeyVizCatalogue": "rows=1 repeated KeyVizRow",
    "GetHotKeysRequest": """
        series=1 KeyVizSeries; from_unix_ms=2 int64; to_unix_ms=3 int64; route_id=4 uint64; label=5 string;
        sub_bucket=6 uint32; top=7 uint32; via=16 repeated string; node_id=20 string; exclude=21 repeated LeafKey;
        max_bytes=22 uint64""",
    "HotKey": """
        key=1 bytes; count=2 uint64; lower=3 uint64; upper=4 uint64; sketch_lower=5 uint64; sketch_upper=6 uint64""",
    "GetHotKeysResponse": """
        keys=1 repeated HotKey; sample_rate=2 uint64; sampled_n=3 uint64; dropped_samples=4 uint64;
        skipped_long_keys=5 uint64; error_bound=6 uint64; snapshot_at_unix_ms=7 int64; confidence=8 double;
        degraded=9 bool; node_id=16 string; incarnation=17 int64; step_ms=18 int64; generated_at_unix_ms=19 int64;
        oldest_unix_ms=20 int64; newest_unix_ms=21 int64; observed=22 bool; outcomes=23 repeated KeyVizOutcome;
        slices=24 uint32; sketch_error=25 uint64; unlisted_bound=26 uint64; left_out_keys=27 uint64;
        slice_start=28 bytes; slice_end=29 bytes; slices_differ=30 bool""",
    "GetClusterOverviewRequest": "via=16 repeated string",
    "GetClusterOverviewResponse": """
        self=1 NodeIdentity; members=2 repeated NodeIdentity; group_leaders=3 repeated GroupLeader;
        aggregate_qps=4 uint64; capabilities=5 repeated CapabilitiesEntry; incarnation=16 int64; version=17 string""",
    "NodeIdentity": "node_id=1 string; grpc_address=2 string",
    "GroupLeader": "raft_group_id=1 uint64; leader_node_id=2 string; leader_term=3 uint64",
}

ENUMS = {
    "KeyVizSeries": ["UNSPECIFIED", "READS", "WRITES", "READ_BYTES", "WRITE_BYTES"],
    "SampleRole": ["UNSPECIFIED", "LEADER_WRITE", "LEADER_READ", "FOLLOWER_READ"],
    "MatrixEncoding": ["UNSPECIFIED", "ROWS", "COLUMNAR"],
    "OutcomeKind": [
        *("UNSPECIFIED", "OK", "UNREACHABLE", "DEADLINE_EXCEEDED", "MESSAGE_TOO_LARGE", "OVERLOADED"),
        *("UNAUTHENTICATED", "MALFORMED", "INCOMPATIBLE", "DISABLED", "INTERNAL"),
    ],
}


def written(field: FieldDescriptor) -> str:
    """A field as the table above writes it."""
    named = field.message_type or field.enum_type
    label = "repeated " if field.is_repeated else ""
    return f"{field.name}={field.number} {label}{named.name if named else TYPES[field.type]}"


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_field_keeps_its_number_type_and_label(name: str) -> None:
    """Bytes of other versions stay readable."""
    fields = keyviz_pb2.DESCRIPTOR.message_types_by_name[name].fields
    expected = [" ".join(part.split()) for part in CONTRACT[name].split(";") if part.strip()]
    assert [written(field) for field in fields] == expected


def test_no_message_is_left_unpinned() -> None:
    """A new message belongs into the table."""
    assert sorted(keyviz_pb2.DESCRIPTOR.message_types_by_name) == sorted(CONTRACT)


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_every_enum_value_keeps_its_number(name: str) -> None:
    """Numbers count up from 0 in this order."""
    prefix = {"KeyVizSeries": "KEYVIZ_SERIES_"}.get(
        name, "".join("_" + c if c.isupper() else c.upper() for c in name).lstrip("_") + "_"
    )
    values = keyviz_pb2.DESCRIPTOR.enum_types_by_name[name].values
    assert [(value.name, value.number) for value in values] == [
        (prefix + word, number) for number, word in enumerate(ENUMS[name])
    ]


def test_a_slice_is_asked_for_or_not() -> None:
    """Slice 0 and no slice are different questions."""
    asked = keyviz_pb2.DESCRIPTOR.message_types_by_name["GetHotKeysRequest"]
    assert asked.fields_by_name["sub_bucket"].has_presence


def test_both_services_have_all_methods_over_the_same_messages() -> None:
    """/keyviz.v1.KeyViz/… and /Admin/… are interchangeable."""
    keyviz = keyviz_pb2.DESCRIPTOR.services_by_name["KeyViz"]
    admin = admin_pb2.DESCRIPTOR.services_by_name["Admin"]
    assert (keyviz.full_name, admin.full_name) == ("keyviz.v1.KeyViz", "Admin")
    methods = [
        [(m.name, m.input_type.name, m.output_type.name) for m in service.methods] for service in (keyviz, admin)
    ]
    assert methods[0] == methods[1]
    assert [name for name, *_ in methods[0]] == ["GetKeyVizMatrix", "GetClusterOverview", "GetHotKeys"]
