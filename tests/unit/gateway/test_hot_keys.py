"""The hot keys endpoint, without a network."""

from __future__ import annotations

import base64
import logging
import threading
from typing import Any

import pytest

from gateway.hot_keys import render_hot_keys
from gateway.session import EphemeralKey, Role, Sessions
from keyviz_grpc.errors import HotKeysDisabled, SamplerDisabled
from keyviz_grpc.hotkeys import HotKeysAnswer, HotKeysQuery
from keyviz_grpc.outcome import NoUsablePeers
from tests.unit.gateway.scripted import API, DEAD, OK, ScriptedCluster, asking, hot_answer_of
from tests.unit.gateway.test_openapi import check

HOT = f"{API}/keyviz/hotkeys"


async def ask(cluster: ScriptedCluster | None = None, /, **params: object) -> tuple[int, dict[str, Any]]:
    """Status and body; route 7 unless told otherwise."""
    async with asking(cluster) as client:
        response = await client.get(HOT, params={"route_id": "7", **{k: str(v) for k, v in params.items()}})
    body: dict[str, Any] = response.json()
    return response.status_code, body


async def test_the_body_has_every_field_of_the_wire_format() -> None:
    """Names, types, order of keys; what was not asked for is not there."""
    status, body = await ask()
    assert status == 200
    check(body, "HotKeys")
    assert body["route_id"] == 7
    assert body["series"] == "writes"
    assert not {"label", "sub_bucket"} & set(body)
    assert [(base64.b64decode(item["key_b64"]), item["count"]) for item in body["keys"]] == [
        (b"b", 400),
        (b"a", 40),
        (b"\xff\x00", 40),
    ]
    assert (body["keys"][0]["lower"], body["keys"][0]["upper"], body["confidence"]) == (308, 502, 0.95)
    assert (body["approximate"], body["sample_rate"], body["sampled_n"], body["error_bound"]) == (True, 4, 150, 40)
    assert body["unlisted_bound"] == 40
    assert (body["dropped_samples"], body["skipped_long_keys"], body["degraded"]) == (0, 0, False)
    assert body["snapshot_at"] == "1970-01-01T00:02:00.000Z"
    assert body["fanout"]["responded"] == 1


async def test_what_was_asked_for_is_repeated_and_reaches_the_cluster() -> None:
    """All parameters; `top` stays here, for the cluster gives every candidate."""
    cluster = ScriptedCluster()
    status, body = await ask(
        cluster, label="hot", sub_bucket=0, series="reads", top=1, from_unix_ms=5, to_unix_ms=130_000, node="n1"
    )
    assert status == 200
    check(body, "HotKeys")
    assert (body["label"], body["sub_bucket"], body["series"], len(body["keys"])) == ("hot", 0, "reads", 1)
    assert body["unlisted_bound"] > body["error_bound"], "it covers those that `top` cut off"
    assert (await ask(label="a-Z_" * 32))[0] == 200
    [query] = cluster.hot_queries
    assert (query.route_id, query.label, query.sub_bucket, query.series) == (7, "hot", 0, "reads")
    assert (query.window.from_unix_ms, query.window.to_unix_ms, query.node_id) == (5, 130_000, "n1")


async def test_intervals_are_found_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a thousand sampled keys would hold everybody else up for 18 ms."""
    threads: list[int] = []

    def noting(answer: HotKeysAnswer, query: HotKeysQuery) -> bytes:
        threads.append(threading.get_ident())
        return render_hot_keys(answer, query)

    monkeypatch.setattr("gateway.api.render_hot_keys", noting)
    assert (await ask(top=1024))[0] == 200
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize(("top", "asked"), [("", 20), ("1024", 1024), ("9999999999999999999999", 1024)])
async def test_top_is_20_and_never_more_than_1024(top: str, asked: int) -> None:
    """Larger means 1024, as for rows."""
    cluster = ScriptedCluster()
    assert (await ask(cluster, top=top))[0] == 200
    assert cluster.hot_queries[0].top == asked


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"route_id": ""}, "route_id=''"),
        ({"route_id": "x"}, "route_id='x'"),
        ({"route_id": "0"}, "route_id=0"),
        ({"route_id": str(2**64)}, "route_id"),
        ({"route_id": "9" * 30}, "route_id='" + "9" * 30),
        ({"series": "write_bytes"}, "series='write_bytes'"),
        ({"series": "x"}, "series='x'"),
        ({"top": "0"}, "top='0'"),
        ({"top": "-1"}, "top='-1'"),
        ({"sub_bucket": "-1"}, "sub_bucket=-1"),
        ({"sub_bucket": "2"}, "sub_bucket=2"),
        ({"sub_bucket": str(2**20)}, "sub_bucket='1048576'"),
        ({"sub_bucket": "9" * 30}, "sub_bucket='" + "9" * 30),
        ({"label": "a b"}, "label='a b'"),
        ({"label": "h#1"}, "label='h#1'"),
        ({"label": "é"}, "label='é'"),
        ({"label": "hot\n"}, r"label='hot\n'"),
        ({"label": "x" * 129}, "label='" + "x" * 129),
        ({"from_unix_ms": "9", "to_unix_ms": "8"}, "from_unix_ms=9"),
        ({"node": "nobody"}, "node='nobody'"),
        ({"node": "nobody", "absent": "200"}, "node='nobody'"),
        ({"absent": "404"}, "absent='404'"),
    ],
)
async def test_a_wrong_parameter_is_named_with_its_value(params: dict[str, str], named: str) -> None:
    """400 invalid_query, a slice that the route does not have included."""
    status, body = await ask(None, **params)
    assert (status, body["error"]) == (400, "invalid_query")
    assert named in body["message"]
    check(body, "Error")


@pytest.mark.parametrize("params", [{"from_unix_ms": 120_001}, {"to_unix_ms": 60_000}])
async def test_a_time_of_which_nothing_is_held_is_refused(params: dict[str, int]) -> None:
    """It says what is held."""
    status, body = await ask(None, **params)
    assert (status, body["error"]) == (400, "out_of_snapshot_window")
    assert "60000" in body["message"]
    assert "120000" in body["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observed": False, "keys": ()}, "no window held has writes of route 7"),
        ({"newest_unix_ms": 0, "oldest_unix_ms": 0, "observed": False, "keys": ()}, "no window has closed"),
    ],
)
async def test_nothing_to_show_is_404(changes: dict[str, object], words: str) -> None:
    """Of the route, or at all."""
    status, body = await ask(ScriptedCluster(hot=hot_answer_of(**changes)))
    assert (status, body["error"]) == (404, "no_snapshot")
    assert words in body["message"]


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (SamplerDisabled(), 503, "keyviz_disabled"),
        (HotKeysDisabled(), 503, "hotkeys_disabled"),
        (NoUsablePeers((DEAD,)), 502, "no_peers"),
    ],
)
async def test_what_is_off_says_what_is_off(raised: Exception, status: int, code: str) -> None:
    """The sampler, hot keys, or everybody."""
    got, body = await ask(ScriptedCluster(raised))
    assert (got, body["error"]) == (status, code)
    check(body, "Error")


@pytest.mark.parametrize(
    ("cluster", "params", "code"),
    [
        (ScriptedCluster(SamplerDisabled()), {}, "keyviz_disabled"),
        (ScriptedCluster(HotKeysDisabled()), {"label": "hot", "sub_bucket": 1}, "hotkeys_disabled"),
        (ScriptedCluster(hot=hot_answer_of(observed=False, keys=())), {}, "no_snapshot"),
        (None, {"from_unix_ms": 120_001}, "out_of_snapshot_window"),
    ],
)
async def test_that_there_are_no_keys_may_come_as_an_answer(
    cluster: ScriptedCluster | None, params: dict[str, object], code: str
) -> None:
    """With the code and the message that the error has."""
    _, error = await ask(cluster, **params)
    status, body = await ask(cluster, absent=200, **params)
    assert (status, body["keys"], body["absent"]) == (200, [], error)
    assert body["absent"]["error"] == code
    check(body, "NoHotKeys")


@pytest.mark.parametrize("changes", [{"observed": False, "keys": ()}, {"newest_unix_ms": 60_000}])
async def test_nodes_that_are_missing_are_told_where_there_are_no_keys(changes: dict[str, object]) -> None:
    """They may have them: in words in the error, one by one in the answer."""
    for outcomes, words in (((OK, DEAD, DEAD), "; 2 of 3 nodes did not answer"), ((OK,), "")):
        hot = hot_answer_of(outcomes=outcomes, **changes)
        status, error = await ask(ScriptedCluster(hot=hot), from_unix_ms=100_000)
        assert (status, error["error"]) in ((404, "no_snapshot"), (400, "out_of_snapshot_window"))
        assert error["message"].endswith(words)
        assert ("did not answer" in error["message"]) == bool(words)
        _, body = await ask(ScriptedCluster(hot=hot), from_unix_ms=100_000, absent=200)
        assert body["absent"]["message"] == error["message"]
        assert [node["ok"] for node in body["fanout"]["nodes"]] == [outcome.ok for outcome in outcomes]
        check(body, "NoHotKeys")


async def test_nobody_to_be_reached_is_an_error_all_the_same() -> None:
    """Only what is known to be absent is an answer."""
    assert (await ask(ScriptedCluster(NoUsablePeers((DEAD,))), absent=200))[0] == 502


async def test_an_answer_without_a_node_is_degraded_and_says_who_is_missing() -> None:
    """Still 200."""
    status, body = await ask(ScriptedCluster(hot=hot_answer_of(outcomes=(OK, DEAD))))
    assert (status, body["degraded"]) == (200, True)
    assert (body["fanout"]["responded"], body["fanout"]["expected"]) == (1, 2)


async def test_a_local_node_alone_has_no_fan_out() -> None:
    """As for the heatmap."""
    own = hot_answer_of(outcomes=(OK.__class__("self", "n1"),))
    assert "fanout" not in (await ask(ScriptedCluster(hot=own)))[1]


async def looking(role: Role | None, caplog: pytest.LogCaptureFixture) -> tuple[int, str, list[logging.LogRecord]]:
    """Status, code and audit lines of a look with a session of that role, where sessions are required."""
    sessions = Sessions([EphemeralKey()])
    cookies = {} if role is None else {"admin_session": sessions.mint("ann", role)[0]}
    with caplog.at_level(logging.INFO, "keyviz.audit"):
        async with asking(sessions=sessions) as client:
            client.cookies.update(cookies)
            response = await client.get(HOT, params={"route_id": "7", "label": "x"})
    lines = [record for record in caplog.records if record.name == "keyviz.audit"]
    return response.status_code, response.json().get("error", ""), lines


async def test_only_the_full_role_sees_user_keys_and_leaves_an_audit_line(caplog: pytest.LogCaptureFixture) -> None:
    """Who looked at what, and nothing of what was seen."""
    status, _, [line] = await looking(Role.FULL, caplog)
    assert (status, line.levelname, line.getMessage()) == (200, "INFO", "hot keys")
    told = vars(line)
    assert (told["who"], told["outcome"], told["route_id"], told["label"], told["keys"]) == ("ann", "ok", 7, "x", 3)


@pytest.mark.parametrize(
    ("role", "status", "code"), [(Role.READ_ONLY, 403, "forbidden"), (None, 401, "unauthenticated")]
)
async def test_others_are_refused_with_an_audit_line(
    role: Role | None, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking at the heatmap is not enough."""
    got, error, [line] = await looking(role, caplog)
    assert (got, error, line.levelname, vars(line)["outcome"]) == (status, code, "WARNING", code)


async def test_where_nobody_needs_a_session_everybody_sees_them() -> None:
    """Whatever old cookie the browser still sends."""
    sessions = Sessions.not_required()
    async with asking(sessions=sessions) as client:
        client.cookies.update({"admin_session": sessions.mint("ann", Role.READ_ONLY)[0]})
        assert (await client.get(HOT, params={"route_id": "7"})).status_code == 200
