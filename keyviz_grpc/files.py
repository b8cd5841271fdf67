"""Files that change while we run: certificates, keys, users, peers."""

from __future__ import annotations

from pathlib import Path

FileMark = tuple[int, int, int]


def mark_of(path: Path | None) -> FileMark | None:
    """(inode, size, time of change in nanoseconds): differs after a rewrite or a rename over it; None: not there."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)
