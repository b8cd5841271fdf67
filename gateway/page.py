"""Serving the page: an index that is never cached, hashed assets that are cached for ever, deep links to the index."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

from starlette.responses import Response

from gateway.render import JSON, error_json

BUILT_IN: Final = Path(__file__).parent / "static"
NO_PAGE: Final = b"The page is not built. Run: make ui\n"


class Page:
    """The files of a built page, read from `folder`, which must hold an index.html."""

    def __init__(self, folder: Path = BUILT_IN) -> None:
        self._folder = folder.resolve()

    def asset(self, path: str) -> Response:
        """A file below assets/, or 404 `not_found`."""
        found = self._inside(f"assets/{path}")
        if found is None:
            return Response(error_json("not_found", "no such asset"), 404, media_type=JSON)
        return _file(found, "public, max-age=31536000, immutable")

    def other(self, path: str) -> Response:
        """Another file of the page, or the index for everything else."""
        found = self._inside(path) if path else None
        if found is not None and found.name != "index.html":
            return _file(found, "no-cache")
        index = self._folder / "index.html"
        if not index.is_file():
            return Response(NO_PAGE, 503, media_type="text/plain")
        return _file(index, "no-store")

    def _inside(self, path: str) -> Path | None:
        if "\x00" in path:
            return None
        try:
            found = (self._folder / path).resolve()
            return found if found.is_relative_to(self._folder) and found.is_file() else None
        except OSError:
            return None


def _file(path: Path, caching: str) -> Response:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix in (".js", ".mjs"):
        kind = "text/javascript"
    return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": caching})
