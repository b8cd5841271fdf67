"""An existing page works unchanged: a client written from the wire format alone, against real nodes."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.session import EphemeralKey, Sessions
from gateway.settings import GatewaySettings
from gateway.users import Users
from tests.integration.http_clusters import START_MS, STEP_MS, http_cluster

PAIR = {"access_key": "ops", "secret_key": "planted-secret"}


@dataclass(frozen=True, slots=True)
class Band:
    """One row as the page draws it. end None = unbounded."""

    bucket: str
    start: bytes
    end: bytes | None
    values: tuple[int, ...]
    conflict: bool
    leaders: tuple[tuple[int, int], ...] | None


@dataclass(slots=True)
class ExistingSpa:
    """What a built page does: calls, cookies, headers, parsing, and which screen it shows for which status."""

    http: httpx.AsyncClient
    screen: str = "loading"
    bands: list[Band] = field(default_factory=list)
    counter: str = ""
    missing: list[str] = field(default_factory=list)

    async def look(self, **parameters: object) -> None:
        """Fetches the heatmap and shows it, or shows why not."""
        response = await self.http.get("/admin/api/v1/keyviz/matrix", params={k: str(v) for k, v in parameters.items()})
        if response.status_code != 200:
            self._show_error(response)
            return
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        body = response.json()
        self.screen = "heatmap"
        self.bands = [self._band(row, len(body["column_unix_ms"])) for row in body["rows"]]
        self._show_fanout(body.get("fanout"))
        datetime.fromisoformat(body["generated_at"])

    def _band(self, row: dict[str, Any], columns: int) -> Band:
        assert len(row["values"]) == columns
        leaders = None
        if "raft_group_ids" in row:
            leaders = tuple(zip(row["raft_group_ids"], row["leader_terms"], strict=True))
        end = base64.b64decode(row["end"], validate=True) or None
        conflict = row["conflict"]
        assert isinstance(conflict, bool)
        return Band(
            row["bucket_id"],
            base64.b64decode(row["start"], validate=True),
            end,
            tuple(row["values"]),
            conflict,
            leaders,
        )

    def _show_fanout(self, fanout: dict[str, Any] | None) -> None:
        self.counter = "" if fanout is None else f"{fanout['responded']}/{fanout['expected']}"
        self.missing = [] if fanout is None else [node["node"] for node in fanout["nodes"] if not node["ok"]]

    def _show_error(self, response: httpx.Response) -> None:
        body = response.json()
        assert isinstance(body["message"], str)
        screens = {
            400: "your request is wrong",
            401: "sign in",
            403: "not allowed",
            404: "this server cannot do that",
            502: "no node answers",
            503: "the sampler is off" if body["error"] == "keyviz_disabled" else "try again later",
        }
        self.screen = screens[response.status_code]
        self._show_fanout(body.get("fanout"))

    async def sign_in(self, access_key: str, secret_key: str) -> None:
        """Sends the form; the browser keeps the cookies."""
        response = await self.http.post(
            "/admin/api/v1/auth/login", json={"access_key": access_key, "secret_key": secret_key}
        )
        if response.status_code != 200:
            self.screen = {401: "wrong keys", 403: "no role", 429: "too many attempts"}[response.status_code]
            return
        assert response.json()["role"] in ("read_only", "full")
        datetime.fromisoformat(response.json()["expires_at"])
        self.screen = "loading"

    async def sign_out(self) -> None:
        """As a page must: the readable cookie goes into a header."""
        response = await self.http.post(
            "/admin/api/v1/auth/logout", headers={"X-Admin-CSRF": self.http.cookies["admin_csrf"]}
        )
        assert (response.status_code, response.content) == (204, b"")
        self.screen = "sign in"


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[ExistingSpa]:
    """The page in a browser."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
        yield ExistingSpa(http)


@pytest.fixture
def credentials(tmp_path: Path) -> dict[str, Any]:
    """A gateway on which people must sign in."""
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": [{**PAIR, "role": "read_only"}, {"access_key": "none", "secret_key": "x"}]}))
    return {"sessions": Sessions([EphemeralKey()]), "users": Users(path)}


async def test_without_credentials_the_heatmap_is_there_at_once() -> None:
    """Reads of all nodes add up; writes are the leader's, under its group and term."""
    async with http_cluster() as cluster, opened(cluster.url) as page:
        await page.look(series="reads")
        assert page.screen == "heatmap"
        assert page.counter == "3/3"
        assert [(band.bucket, band.start, band.end, band.values) for band in page.bands] == [
            (f"route:{route}", b"%d" % route, b"%d" % (route + 1), (60,)) for route in (1, 2, 3)
        ]
        assert {band.leaders for band in page.bands} == {None}
        await page.look()
        assert [band.values for band in page.bands] == [(5,), (10,), (15,)]
        assert [band.leaders for band in page.bands] == [((1, 7),), ((2, 7),), ((3, 7),)]
        assert {band.conflict for band in page.bands} == {False}


async def test_with_credentials_one_signs_in_first_and_out_at_the_end(credentials: dict[str, Any]) -> None:
    """401 leads to the form, wrong keys stay there, the right ones show the heatmap, and afterwards it is closed."""
    async with http_cluster(**credentials) as cluster, opened(cluster.url) as page:
        await page.look()
        assert page.screen == "sign in"
        await page.sign_in("ops", "guess")
        assert page.screen == "wrong keys"
        await page.sign_in("none", "x")
        assert page.screen == "no role"
        await page.sign_in(**PAIR)
        await page.look()
        assert page.screen == "heatmap"
        await page.sign_out()
        await page.look()
        assert page.screen == "sign in"
        for _ in range(6):
            await page.sign_in("ops", "guess")
        assert page.screen == "too many attempts"


async def test_parts_of_the_heatmap() -> None:
    """Windows of time, budgets, one node's own view, no identities."""
    stamp = START_MS + STEP_MS
    async with http_cluster() as cluster, opened(cluster.url) as page:
        await page.look(from_unix_ms=stamp, to_unix_ms=stamp + 1)
        assert [band.values for band in page.bands] == [(5,), (10,), (15,)]
        await page.look(from_unix_ms=stamp + 1)
        assert [band.values for band in page.bands] == [()] * 3
        await page.look(rows=1, series="reads")
        assert [(band.bucket[:8], band.values) for band in page.bands] == [("virtual:", (180,))]
        await page.look(node="n2", series="reads")
        assert [band.values for band in page.bands] == [(20,)] * 3
        await page.look(identity=0)
        assert {band.leaders for band in page.bands} == {None}
        await page.look(series="qps")
        assert page.screen == "your request is wrong"


async def test_a_missing_node_is_named_and_no_node_is_told_apart_from_off() -> None:
    """200 with 2/3; 502 with the reasons; 503 keyviz_disabled only where every sampler is off."""
    async with http_cluster() as cluster, opened(cluster.url) as page:
        await cluster.nodes[1].drain(0)
        await page.look(series="reads")
        assert (page.screen, page.counter, page.missing) == ("heatmap", "2/3", [cluster.nodes[1].address])
        assert [band.values for band in page.bands] == [(40,)] * 3
        for node in cluster.nodes:
            await node.drain(0)
        await page.look()
        assert (page.screen, page.counter) == ("no node answers", "0/3")
        assert page.missing == [node.address for node in cluster.nodes]
    async with http_cluster(samplers_on=False) as cluster, opened(cluster.url) as page:
        await page.look()
        assert page.screen == "the sampler is off"


async def test_the_cluster_screen() -> None:
    """Groups with their leaders; whatever the server does not know is 404 in the envelope."""
    async with http_cluster() as cluster, opened(cluster.url) as page:
        body = (await page.http.get("/admin/api/v1/cluster")).json()
        assert [(group["group_id"], group["leader_id"]) for group in body["groups"]] == [
            (number, f"n{number}") for number in (1, 2, 3)
        ]
        assert all(isinstance(group["members"], list) and group["is_leader"] is False for group in body["groups"])
        datetime.fromisoformat(body["timestamp"])
        unknown = await page.http.get("/admin/api/v1/dynamo/tables")
        assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_endpoint")


async def test_who_says_what_about_a_cell() -> None:
    """Three nodes, of which one counted, over real gRPC."""
    async with http_cluster() as cluster, opened(cluster.url) as page:
        body = (
            await page.http.get(
                "/admin/api/v1/keyviz/cell", params={"bucket_id": "route:2", "column_unix_ms": START_MS + STEP_MS}
            )
        ).json()
    assert (body["value"], body["conflict"], body["series"]) == (10, False, "writes")
    said = [(part["node_id"], part["value"], part["raft_group_id"], part["counted"]) for part in body["contributions"]]
    assert ("n2", 10, 2, True) in said
    assert all(not counted for node_id, _, _, counted in said if node_id != "n2")
    assert all(part["reason"] for part in body["contributions"])


async def test_a_built_page_of_ones_own_is_served_with_its_deep_links(tmp_path: Path) -> None:
    """Its index under every path, its assets under their names, and they load under the policy."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(
        '<div id=root></div><script type="module" src="/admin/assets/x-1.js"></script>'
    )
    (tmp_path / "assets" / "x-1.js").write_text("export {}")
    async with http_cluster(settings=GatewaySettings(page=tmp_path)) as cluster, opened(cluster.url) as page:
        first = await page.http.get("/", follow_redirects=True)
        deep = await page.http.get("/admin/keyviz/route/7?series=reads")
        assert first.url.path == "/admin/"
        assert first.text == deep.text
        [asset] = re.findall(r'src="([^"]+)"', first.text)
        script = await page.http.get(asset)
        assert (script.status_code, script.text) == (200, "export {}")
        assert script.headers["content-type"].startswith("text/javascript")
        missing = await page.http.get("/admin/assets/x-0.js")
        assert (missing.status_code, missing.json()["error"]) == (404, "not_found")


async def test_a_cell_where_every_sampler_is_off() -> None:
    """503 keyviz_disabled, as for the heatmap."""
    async with http_cluster(samplers_on=False) as cluster, opened(cluster.url) as page:
        where: dict[str, str | int] = {"bucket_id": "route:2", "column_unix_ms": START_MS + STEP_MS}
        response = await page.http.get("/admin/api/v1/keyviz/cell", params=where)
    assert (response.status_code, response.json()["error"]) == (503, "keyviz_disabled")
