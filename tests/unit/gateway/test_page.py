"""The page's files: what is kept, what is never kept, deep links, and nothing outside of the folder."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.page import inline_script_hashes
from gateway.settings import BUILT_IN_PAGE, GatewaySettings
from tests.unit.gateway.scripted import asking

INDEX = "<!doctype html><title>built</title><script type=module src=/admin/assets/app-1a2b.js></script>"
SCRIPT = "console.log(1);" * 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built page, and a file beside it that nobody may see."""
    page = tmp_path / "page"
    (page / "assets" / "deep").mkdir(parents=True)
    (page / "index.html").write_text(INDEX)
    (page / "assets" / "app-1a2b.js").write_text(SCRIPT)
    (page / "assets" / "deep" / "font.woff2").write_bytes(b"font")
    (page / "assets" / "unheard.of").write_bytes(b"?")
    (page / "robots.txt").write_text("robots")
    (tmp_path / "secret.txt").write_text("planted-secret")
    (page / "assets" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return page


@pytest_asyncio.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that serves that page."""
    async with asking(settings=GatewaySettings(page=folder)) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/admin"])
async def test_the_way_to_the_page(client: httpx.AsyncClient, path: str) -> None:
    """A redirect that is not kept."""
    response = await client.get(path)
    assert (response.status_code, response.headers["location"]) == (307, "/admin/")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "keyviz",
        "keyviz/routes/7?zoom=1",
        "%C3%A9",
        "index.html",
        "assets",
        "assets.js",
        "api",
        "api/v1",
        "api/v12",
        "a" * 5000,
    ],
)
async def test_every_other_path_is_the_index(client: httpx.AsyncClient, path: str) -> None:
    """Deep links work, and the index is never kept."""
    response = await client.get(f"/admin/{path}")
    assert (response.status_code, response.text) == (200, INDEX)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("app-1a2b.js", "text/javascript; charset=utf-8"),
        ("deep/font.woff2", "font/woff2"),
        ("unheard.of", "application/octet-stream"),
    ],
)
async def test_assets_are_kept_for_ever(client: httpx.AsyncClient, path: str, kind: str) -> None:
    """Their names change with their content."""
    response = await client.get(f"/admin/assets/{path}")
    assert response.status_code == 200
    assert response.headers["content-type"] == kind
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "path",
    [
        *("missing.js", "", "deep", "deep/", "app-1a2b.js/", "link.txt", "a" * 5000),
        *("%2e%2e/index.html", "..%2findex.html", "..%2f..%2fsecret.txt", "..%5c..%5csecret.txt"),
        *("%00", "a%00b", "/etc/passwd", "%2fetc%2fpasswd"),
    ],
)
async def test_anything_else_below_assets_is_missing(client: httpx.AsyncClient, path: str) -> None:
    """404 not_found in the envelope; folders, links and ways out of the folder are missing too."""
    response = await client.get(f"http://gateway.test/admin/assets/{path}")
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["%2e%2e%2fsecret.txt", "..%2fsecret.txt", "x/%2e%2e/%2e%2e/secret.txt"])
async def test_no_path_leads_out_of_the_folder(client: httpx.AsyncClient, path: str) -> None:
    """What is not inside is the index."""
    response = await client.get(f"http://gateway.test/admin/{path}")
    assert response.text == INDEX


async def test_other_files_are_asked_for_again(client: httpx.AsyncClient) -> None:
    """With their tag, so that only a change is sent."""
    first = await client.get("/admin/robots.txt")
    assert (first.text, first.headers["cache-control"]) == ("robots", "no-cache")
    again = await client.get("/admin/robots.txt", headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")


async def test_assets_are_packed(client: httpx.AsyncClient) -> None:
    """Smaller, with a tag of their own for each form."""
    plain = await client.get("/admin/assets/app-1a2b.js", headers={"accept-encoding": "identity"})
    packed = await client.get("/admin/assets/app-1a2b.js", headers={"accept-encoding": "br"})
    assert packed.text == plain.text == SCRIPT
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == "Accept-Encoding"


async def test_a_page_that_is_built_anew_shows_at_once(client: httpx.AsyncClient, folder: Path) -> None:
    """Without a restart."""
    await client.get("/admin/")
    (folder / "index.html").write_text(INDEX + "new")
    assert (await client.get("/admin/")).text == INDEX + "new"


async def test_without_a_page_the_answer_says_how_to_get_one(tmp_path: Path) -> None:
    """503, and the API works."""
    async with asking(settings=GatewaySettings(page=tmp_path / "nothing")) as client:
        response = await client.get("/admin/")
        assert (response.status_code, response.json()["error"]) == (503, "page_not_built")
        assert "make ui" in response.json()["message"]
        assert (await client.get("/admin/assets/x.js")).status_code == 404
        assert (await client.get("/admin/healthz")).status_code == 200


async def test_scripts_inside_another_built_page_run_by_their_hash(folder: Path) -> None:
    """Exactly those, and nothing inline besides."""
    (folder / "index.html").write_text(INDEX + "<script>let a = '<b>&amp;';\n</script><script>2</script>")
    async with asking(settings=GatewaySettings(page=folder)) as client:
        policy = (await client.get("/admin/")).headers["content-security-policy"]
    for script in ("let a = '<b>&amp;';\n", "2"):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "script-src 'self' 'sha256-" in policy


def test_our_own_page_has_no_inline_script() -> None:
    """The built index loads everything from files."""
    index = BUILT_IN_PAGE / "index.html"
    if not index.is_file():
        pytest.skip("the page is not built: make ui")
    assert inline_script_hashes(index) == ()
    text = index.read_text(encoding="utf-8")
    assert "javascript:" not in text
    assert not any(f" on{event}=" in text for event in ("load", "click", "error", "submit", "input"))
