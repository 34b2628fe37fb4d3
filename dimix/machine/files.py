"""Files that are written whole or not at all, and folders that can be written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def written_whole(path: Path, previous: Path | None = None) -> Iterator[IO[Any]]:
    """A binary file that takes its place at the end: a crash at any moment leaves the old file or the new one.

    Args:
        path: the file; its folder has to be there.
        previous: where the file that stood at ``path`` is kept; None keeps nothing.

    Raises:
        OSError: it cannot be written; the old file is still there.
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
        with contextlib.suppress(OSError):  # what went wrong is what matters
            partial.unlink(missing_ok=True)
        raise


def make_writable_folder(path: Path) -> None:
    """Make a folder where it is missing, and see that files can be made in it.

    Raises:
        OSError: it cannot be made or written.
    """
    path.mkdir(parents=True, exist_ok=True)
    probe = path / ".probe"
    probe.write_bytes(b"")
    probe.unlink()


def _keep(path: Path, previous: Path) -> None:
    """Give the present file a second name, so that ``path`` exists at every moment."""
    link = previous.with_name(f".{previous.name}.partial")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links: for a moment only ``previous`` exists
        os.replace(path, previous)
    else:
        os.replace(link, previous)


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself last through a power cut."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
