"""Atomic file writes, and checks that a folder is writable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def written_whole(path: Path, previous: Path | None = None) -> Iterator[IO[Any]]:
    """A binary file that replaces ``path`` on exit; a crash at any moment leaves either the old file or the new one.

    Args:
        path: the file; its folder must exist.
        previous: where to keep the old file at ``path``; None discards it.

    Raises:
        OSError: the file cannot be written; the old one remains.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            _keep(path, previous)
        os.replace(partial, path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # keep the original error
            partial.unlink(missing_ok=True)
        raise


def make_writable_folder(path: Path) -> None:
    """Create a folder if it is missing, and check that files can be created in it.

    Raises:
        OSError: it cannot be created or written.
    """
    path.mkdir(parents=True, exist_ok=True)
    probe = path / ".probe"
    probe.write_bytes(b"")
    probe.unlink()


def _keep(path: Path, previous: Path) -> None:
    """Give the existing file a second name, so that ``path`` exists at every moment."""
    link = previous.with_name(f".{previous.name}.partial")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # no hard links on this file system: for a moment only ``previous`` exists
        os.replace(path, previous)
    else:
        os.replace(link, previous)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power failure."""
    if os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
