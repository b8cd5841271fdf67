"""The files of a built page: an index that is never kept, hashed assets that are kept for ever, deep links."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import encodings
from gateway.edge import CSP_KEY
from gateway.paths import BELOW
from gateway.problems import Refused

KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""Content types by suffix, the same on every machine."""

PACKABLE: Final = frozenset({".css", ".html", ".ico", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".wasm"})
FOR_EVER: Final = "public, max-age=31536000, immutable"
KEPT_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    encoding: str
    etag: str


class Page:
    """A folder with an index.html and, below assets/, files whose names change with their content.

    Files are read when they are asked for, so a page that is built anew shows at once; bodies are remembered by path,
    time and size, up to 16 MiB. Nothing outside of the folder is ever served.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._kept: OrderedDict[tuple[Path, int, int, str], _File] = OrderedDict()
        self._lock = threading.Lock()

    async def redirect(self, request: Request) -> Response:
        """`/` and `/admin`."""
        del request
        return RedirectResponse("/admin/", 307, headers={"Cache-Control": "no-store"})

    def asset(self, request: Request) -> Response:
        """A file below assets/. Raises Refused (404) for any other."""
        path = _inside(self._folder / "assets", str(request.path_params[BELOW]))
        if path is None:
            raise Refused("not_found", "the page has no such asset")
        return self._respond(request, path, caching=FOR_EVER)

    def other(self, request: Request) -> Response:
        """Another file of the page, or the index for every other path. Raises Refused (503) without a page."""
        path = _inside(self._folder, str(request.path_params[BELOW]))
        if path is not None and path.name != "index.html":
            return self._respond(request, path, caching="no-cache")
        index = _inside(self._folder, "index.html")
        if index is None:
            raise Refused("page_not_built", f"there is no page in {self._folder.name!r}: run `make ui`, or name one")
        response = self._respond(request, index, caching="no-store")
        request.scope[CSP_KEY] = inline_script_hashes(index)
        return response

    def _respond(self, request: Request, path: Path, *, caching: str) -> Response:
        wanted = encodings.choose(request.headers.get("accept-encoding", "")) if path.suffix in PACKABLE else ""
        file = self._read(path, wanted)
        headers = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
        if caching != "no-store":
            headers["ETag"] = file.etag
            if file.etag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
                return Response(status_code=304, headers=headers)
        if file.encoding:
            headers["Content-Encoding"] = file.encoding
        return Response(file.content, media_type=file.kind, headers=headers)

    def _read(self, path: Path, encoding: str) -> _File:
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size, encoding)
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:32]
        packed = encoding if len(content) >= encodings.SMALLEST_BYTES else ""
        etag = f'"{digest}-{packed or "plain"}"'
        kind = KINDS.get(path.suffix.lower(), "application/octet-stream")
        file = _File(encodings.pack(content, packed), kind, packed, etag)
        with self._lock:
            self._kept[key] = file
            while sum(len(one.content) for one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return file


def _inside(folder: Path, relative: str) -> Path | None:
    """The real file behind a path below a folder, None if there is none or if it is not in there."""
    if "\x00" in relative or "\\" in relative or relative.endswith("/"):
        return None
    try:
        path = (folder / relative.lstrip("/")).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None
    except OSError:  # a name that is too long, a loop of links
        return None


class _InlineScripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)
        if self._inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


def inline_script_hashes(index: Path) -> tuple[str, ...]:
    """`'sha256-…'` for each script inside the index, so that the policy can let exactly those run and no other.

    Our own page has none; a page that --page names may.
    """
    parser = _InlineScripts()
    parser.feed(index.read_text(encoding="utf-8", errors="replace"))
    digests = (hashlib.sha256(script.encode()).digest() for script in parser.found)
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
