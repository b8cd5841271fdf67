"""The endpoints that look at the cluster, without a network."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from prometheus_client import generate_latest
from prometheus_client.samples import Sample

from gateway.metrics import MAX_PEERS, Metrics
from gateway.settings import GatewaySettings
from keyviz_grpc.errors import InvalidRequest, LoopRefused, Overloaded, SamplerDisabled
from keyviz_grpc.outcome import NoUsablePeers, Outcome
from tests.unit.gateway.scripted import API, DEAD, MATRIX, OK, ScriptedCluster, answer_of, asking

CELL = f"{API}/keyviz/cell"
EVERYWHERE = ("/", "/admin", "/admin/", "/admin/healthz", "/admin/readyz", "/admin/assets/x.js", "/nothing", "/%00")
API_PATHS = (MATRIX, CELL, f"{API}/cluster", f"{API}/auth/login", f"{API}/auth/logout", f"{API}/x", f"{API}/")


async def test_a_matrix_is_json_that_nobody_keeps() -> None:
    """Status, content type and caching headers."""
    async with asking() as client:
        response = await client.get(MATRIX)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.json()["rows"][0]["values"] == [1, 2, 3]


async def test_the_query_reaches_the_cluster_with_a_deadline() -> None:
    """As typed values, with the time that one request may take."""
    cluster = ScriptedCluster()
    async with asking(cluster, settings=GatewaySettings(timeout_s=3600.0)) as client:
        await client.get(MATRIX, params={"series": "reads", "from_unix_ms": 5, "rows": 9, "node": "n1"})
    [query] = cluster.queries
    assert (query.series, query.window.from_unix_ms, query.rows, query.node_id) == ("reads", 5, 9, "n1")
    assert 3000.0 < cluster.deadlines[0].left_s() <= 3600.0  # however slow the machine is


@pytest.mark.parametrize("path", [MATRIX, f"{API}/cluster", "/admin/healthz", "/admin/readyz", "/admin/"])
async def test_head_is_get_without_a_body(path: str) -> None:
    """The same headers, length included."""
    async with asking() as client:
        got, head = await client.get(path), await client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    own = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }


@pytest.mark.parametrize(
    ("encoding", "unpack"), [("zstd", zstandard.decompress), ("gzip", gzip.decompress), ("", bytes)]
)
async def test_bodies_are_packed_as_the_client_likes(encoding: str, unpack: Callable[[bytes], bytes]) -> None:
    """Content-Encoding says how, and Vary is there always."""
    cluster = ScriptedCluster(answer_of([[n] * 100 for n in range(50)]))
    async with (
        asking(cluster) as client,
        client.stream("GET", MATRIX, headers={"accept-encoding": encoding or "identity"}) as response,
    ):
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers.get("content-encoding", "") == encoding
    assert response.headers["vary"] == "Accept-Encoding"
    assert int(response.headers["content-length"]) == len(raw)
    assert len(json.loads(unpack(raw))["rows"]) == 50


async def test_a_small_body_is_not_packed() -> None:
    """It would save nothing."""
    async with asking() as client:
        response = await client.get("/admin/healthz", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("rows", 1, "why"), 400, "invalid_query"),
        (SamplerDisabled(), 503, "keyviz_disabled"),
        (NoUsablePeers((DEAD,)), 502, "no_peers"),
        (LoopRefused("in a ring"), 502, "no_peers"),
        (Overloaded("too many", retry_after_s=2.2), 503, "overloaded"),
    ],
)
async def test_what_the_cluster_raises_is_one_error(error: Exception, status: int, code: str) -> None:
    """Status, code and message in the envelope, never kept by anybody."""
    async with asking(ScriptedCluster(error)) as client:
        response = await client.get(MATRIX)
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert response.json()["message"] == str(error)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("retry-after") == ("3" if code == "overloaded" else None)


async def test_no_peers_says_why_for_each() -> None:
    """The body also has `fanout`, as a matrix has."""
    async with asking(ScriptedCluster(NoUsablePeers((DEAD,)))) as client:
        fanout = (await client.get(MATRIX)).json()["fanout"]
    assert (fanout["responded"], fanout["expected"]) == (0, 1)
    assert fanout["nodes"][0]["kind"] == "unreachable"


async def test_a_bug_of_ours_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """500 in the envelope with the security headers; the log has the rest."""
    async with asking(ScriptedCluster(RuntimeError("the planted secret"))) as client:
        response = await client.get(MATRIX)
    assert (response.status_code, response.json()["error"]) == (500, "internal")
    assert "planted" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert any(record.exc_info for record in caplog.records)


async def test_a_wrong_parameter_is_named_with_its_value() -> None:
    """And the cluster is not asked, however often somebody asks so."""
    cluster = ScriptedCluster()
    async with asking(cluster) as client:
        for _ in range(2):
            response = await client.get(MATRIX, params={"series": "qps"})
            assert (response.status_code, response.json()["error"]) == (400, "invalid_query")
            assert "series='qps'" in response.json()["message"]
    assert cluster.queries == []


async def test_a_query_is_read_once_for_each_form_of_its_answer() -> None:
    """Polls ask with the same words; who takes another encoding, or another series, gets that."""
    asked = [("series=reads", "gzip"), ("series=reads", "identity"), ("series=writes", "identity")] * 2
    cluster, encodings = ScriptedCluster(answer_of([[7] * 200] * 50)), []
    async with asking(cluster) as client:
        for query, taken in asked:
            response = await client.get(f"{MATRIX}?{query}", headers={"accept-encoding": taken})
            encodings.append(response.headers.get("content-encoding", ""))
    assert encodings == ["gzip", "", ""] * 2
    assert [query.series for query in cluster.queries] == ["reads", "reads", "writes"] * 2
    assert len({id(query) for query in cluster.queries}) == 3


@pytest.mark.parametrize(("outcomes", "status"), [((OK,), 400), ((OK, DEAD), 200)])
async def test_a_node_that_does_not_exist(outcomes: tuple[Outcome, ...], status: int) -> None:
    """400 where that is certain; not while some node cannot say who it is."""
    async with asking(ScriptedCluster(answer_of([], outcomes=outcomes))) as client:
        response = await client.get(MATRIX, params={"node": "n9"})
    assert response.status_code == status


async def test_a_cell() -> None:
    """Who says what."""
    async with asking() as client:
        response = await client.get(CELL, params={"bucket_id": "route:1", "column_unix_ms": 60_000})
        assert response.json()["value"] == 7
        assert (await client.get(CELL)).status_code == 400


async def test_the_cluster() -> None:
    """From the overview."""
    async with asking() as client:
        body = (await client.get(f"{API}/cluster")).json()
    assert (body["node_id"], len(body["groups"])) == ("gw", 3)


async def test_ready_only_while_somebody_answers() -> None:
    """Healthz is 200 while serving, readyz only when there is something to show."""
    cluster = ScriptedCluster(is_ready=False)
    async with asking(cluster) as client:
        assert (await client.get("/admin/healthz")).status_code == 200
        refused = await client.get("/admin/readyz")
        assert (refused.status_code, refused.json()["error"]) == (503, "not_ready")
        cluster.is_ready = True
        assert (await client.get("/admin/readyz")).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/admin2", "/favicon.ico"])
async def test_elsewhere_there_is_nothing(path: str) -> None:
    """404 not_found by any method."""
    async with asking() as client:
        for method in ("GET", "POST", "PURGE"):
            response = await client.request(method, path)
            assert (response.status_code, response.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["keyviz/matrix/", "keyviz", "", "x/y", "keyviz/hotkeys2", "auth/login/"])
async def test_below_the_api_there_is_no_other_endpoint(path: str) -> None:
    """404 unknown_endpoint by any method."""
    async with asking() as client:
        for method in ("GET", "POST", "PURGE"):
            response = await client.request(method, f"{API}/{path}")
            assert (response.status_code, response.json()["error"]) == (404, "unknown_endpoint")


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (MATRIX, "POST", "GET, HEAD"),
        (CELL, "DELETE", "GET, HEAD"),
        (f"{API}/cluster", "OPTIONS", "GET, HEAD"),
        (f"{API}/auth/login", "GET", "POST"),
        (f"{API}/auth/logout", "HEAD", "POST"),
        ("/admin/healthz", "PUT", "GET, HEAD"),
        ("/admin/deep/link", "POST", "GET, HEAD"),
        ("/admin/assets/x.js", "POST", "GET, HEAD"),
        ("/", "PATCH", "GET, HEAD"),
    ],
)
async def test_another_method_is_not_allowed(path: str, method: str, allow: str) -> None:
    """405 says which are."""
    async with asking() as client:
        response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow
    if method != "HEAD":
        told = f"this path takes {allow.replace(', ', ' and ')}, not {method}"
        assert response.json() == {"error": "method_not_allowed", "message": told}


@pytest.mark.parametrize("path", [*EVERYWHERE, *API_PATHS])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_answer_carries_the_security_headers(path: str, method: str) -> None:
    """Errors and redirects included; no inline script may run, no frame may hold us."""
    async with asking() as client:
        response = await client.request(method, path)
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    if response.status_code >= 400:
        assert set(response.json()) == {"error", "message"}
        assert headers["cache-control"] == "no-store"


async def test_a_request_id_is_taken_if_sane_and_made_otherwise() -> None:
    """And sent back."""
    async with asking() as client:
        taken = await client.get(MATRIX, headers={"X-Request-Id": "abc-1.2_3"})
        made = [
            (await client.get(MATRIX, headers={"X-Request-Id": bad})).headers["x-request-id"] for bad in ("a b", "")
        ]
    assert taken.headers["x-request-id"] == "abc-1.2_3"
    assert len(set(made)) == 2
    assert all(len(text) == 16 for text in made)


async def test_many_viewers_of_one_thing_cause_one_question() -> None:
    """And one rendering, which all of them get."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with asking(cluster) as client:
        viewers = [asyncio.create_task(client.get(MATRIX)) for _ in range(50)]
        await cluster.asked.wait()
        other = asyncio.create_task(client.get(MATRIX, params={"series": "reads"}))
        await cluster.asked_for(2)
        assert cluster.held is not None
        cluster.held.set()
        answers = await asyncio.gather(*viewers, other)
    assert [query.series for query in cluster.queries] == ["writes", "reads"]
    assert {answer.status_code for answer in answers} == {200}
    await_again = ScriptedCluster()
    async with asking(await_again) as client:
        for _ in range(2):
            await client.get(MATRIX)
    assert len(await_again.queries) == 2, "what one request got is not kept for the next"


async def test_one_request_too_many_is_refused_at_once() -> None:
    """503 overloaded with Retry-After; health still answers, and the next request works."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with asking(cluster, settings=GatewaySettings(max_requests=1)) as client:
        first = asyncio.create_task(client.get(MATRIX))
        await cluster.asked.wait()
        for path in (MATRIX, f"{CELL}?bucket_id=route:1&column_unix_ms=1", f"{API}/cluster"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/admin/healthz")).status_code == 200
        assert cluster.held is not None
        cluster.held.set()
        assert (await first).status_code == 200
        assert (await client.get(MATRIX)).status_code == 200


async def test_metrics_have_bounded_labels() -> None:
    """Whatever paths and methods come, routes and methods are from a fixed set."""
    metrics = Metrics()
    async with asking(metrics=metrics) as client:
        for number in range(20):
            await client.request(f"M{number}", f"/path{number}")
            await client.get(f"/admin/page{number}")
        await client.get(MATRIX)
    samples = {(s.name, *sorted(s.labels.items())) for family in metrics.registry.collect() for s in family.samples}
    requests = [sample for sample in samples if sample[0] == "keyviz_http_requests_total"]
    assert len(requests) == 3


async def test_what_viewers_cost_is_counted() -> None:
    """Requests under way, those that share a body, the time and the size of JSON and of what is packed."""
    metrics, cluster = Metrics(), ScriptedCluster(answer_of([[2**60 + n for n in range(400)]]), held=asyncio.Event())

    def told(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(f"keyviz_{name}", labels) or 0.0

    async with asking(cluster, metrics=metrics) as client:
        packed, plain = {"accept-encoding": "gzip"}, {"accept-encoding": "identity"}
        viewers = [asyncio.create_task(client.get(MATRIX, headers=head)) for head in (packed, packed, packed, plain)]
        await cluster.asked_for(2)
        while told("coalesced_requests_total", stage="body") < 2:  # noqa: ASYNC110 - counted by the loop itself
            await asyncio.sleep(0)
        assert told("http_in_flight") == 4
        assert cluster.held is not None
        cluster.held.set()
        answers = await asyncio.gather(*viewers)
    assert told("http_in_flight") == 0
    assert told("coalesced_requests_total", stage="body") == 2
    assert told("http_requests_total", route="matrix", method="GET", status="200") == 4
    assert told("http_request_seconds_count", route="matrix") == 4
    size = len(answers[3].content)
    assert [told(f"json_bytes_{what}") for what in ("count", "sum")] == [2, 2 * size]
    assert told("render_seconds_count") == 2
    assert told("compress_seconds_count", encoding="gzip") == 1
    assert told("compressed_bytes_sum", encoding="gzip") == int(answers[0].headers["content-length"]) < size


def _samples(metrics: Metrics, name: str) -> list[Sample]:
    return [sample for family in metrics.registry.collect() for sample in family.samples if sample.name == name]


def labelled_peers(metrics: Metrics, name: str) -> set[str]:
    """The peers that have series under this name."""
    [family] = [family for family in metrics.registry.collect() if family.name == name]
    return {sample.labels["peer"] for sample in family.samples}


def test_peers_beyond_a_bound_share_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that changes its addresses all the time fills no memory, and does not blind us to new ones for ever."""
    metrics = Metrics()
    for number in range(MAX_PEERS + 10):
        metrics.asked(f"10.0.0.{number}:1", OK, 0.001)
        metrics.received(f"10.0.0.{number}:1", 1)
    for name in ("keyviz_peer_latency_seconds", "keyviz_peer_answer_bytes"):
        peers = labelled_peers(metrics, name)
        assert len(peers) == MAX_PEERS + 1
        assert "other" in peers
    monkeypatch.setattr("gateway.metrics.FORGET_S", 0.0)
    metrics.asked("10.9.9.9:1", OK, 0.001)
    peers = labelled_peers(metrics, "keyviz_peer_latency_seconds")
    assert "10.9.9.9:1" in peers
    assert "10.0.0.0:1" not in peers
    assert len(peers) == MAX_PEERS + 1
    assert b'peer="10.9.9.9:1"' in generate_latest(metrics.registry)
    for _ in range(2):
        metrics.asked("10.0.0.0:1", OK, 0.001)
    [again] = [s for s in _samples(metrics, "keyviz_peer_latency_seconds_count") if s.labels["peer"] == "10.0.0.0:1"]
    assert again.value == 2, "who comes back is counted anew"


async def test_many_probes_cause_one_question() -> None:
    """Anybody may ask whether we are ready; the nodes must not suffer from it."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with asking(cluster, settings=GatewaySettings(max_requests=1)) as client:
        probes = [asyncio.create_task(client.get("/admin/readyz")) for _ in range(20)]
        await cluster.asked.wait()
        assert cluster.held is not None
        cluster.held.set()
        answers = await asyncio.gather(*probes)
    assert {answer.status_code for answer in answers} == {200}
    assert cluster.readiness_asked == 1


async def test_a_probe_that_leaves_is_nothing_to_the_next_one() -> None:
    """The question goes on and answers both those who come meanwhile and, anew, those who come later."""
    cluster = ScriptedCluster(held=asyncio.Event())
    async with asking(cluster) as client:
        for _ in range(3):
            leaving = asyncio.create_task(client.get("/admin/readyz"))
            await cluster.asked.wait()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        staying = asyncio.create_task(client.get("/admin/readyz"))
        await asyncio.sleep(0)
        assert cluster.held is not None
        cluster.held.set()
        assert (await staying).status_code == 200
        assert (cluster.readiness_asked, cluster.cancelled) == (1, 0)
        assert (await client.get("/admin/readyz")).status_code == 200
        assert cluster.readiness_asked == 2
