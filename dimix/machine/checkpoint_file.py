"""Checkpoint files, written atomically and read only with torch's safe loader.

A file holds tensors, numbers, strings, lists and dicts. Numpy arrays are stored as bytes with dtype and shape, so they
load exactly as they were saved.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dimix.errors import CheckpointError, OutputError, first_line
from dimix.machine.files import written_whole
from dimix.machine.plain import plain

#: Names of the files in a run's folder of checkpoints.
LATEST, PREVIOUS, BEST, FINAL = "latest.pth.tar", "previous.pth.tar", "best.pth.tar", "final.pth.tar"

FORMAT = "dimix checkpoint"
VERSION = 1
_ARRAY = "__array__"


def save_checkpoint(path: str | Path, content: Mapping[str, Any], previous: str | Path | None = None) -> None:
    """Write a checkpoint so that a crash at any moment leaves either the old file or the new one intact.

    Args:
        path: the file; its folder is created if missing.
        content: nested dicts, lists and tuples of tensors, numpy arrays, numbers, strings, bools and None.
        previous: where to keep the old file at ``path``; None discards it.

    Raises:
        CheckpointError: something in ``content`` is of another type; nothing is written.
        OutputError: the disk is full, or the folder is not writable; the old file remains.
    """
    path = Path(path)
    payload = {"format": FORMAT, "version": VERSION, "content": _pack(content, "")}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, None if previous is None else Path(previous)) as file:
            torch.save(payload, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        there = "the earlier checkpoint there is untouched" if path.exists() else "no checkpoint is there"
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise OutputError(f"checkpoint {path} cannot be written: {reason}; {there}.") from error


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything in the file.

    Returns:
        What was saved, with tensors on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, not a dimix checkpoint, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}.{_others(path)}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not verify the checksums that it writes
            bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(bad)
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"checkpoint {path}: holds objects that the safe loader refuses, or is damaged. Right is a file that "
            f"dimix wrote."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        size = path.stat().st_size
        raise CheckpointError(f"checkpoint {path}: damaged or cut off ({size} bytes).{_others(path)}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path}: not written by dimix. Right is a file from a run's ckpt folder.")
    if payload["version"] > VERSION:
        raise CheckpointError(
            f"checkpoint {path}: version {payload['version']}. This dimix reads up to {VERSION}: use a newer one."
        )
    return _unpack(payload["content"])


def _others(path: Path) -> str:
    """Names of other checkpoints in the folder, as the end of a message."""
    names = sorted(p.name for p in path.parent.glob("*") if p.suffix in (".tar", ".pt", ".pth") and p != path)
    return f" Others there: {', '.join(names)}." if names else ""


def _pack(value: Any, where: str) -> Any:
    """Convert a value to types that the safe loader accepts; it rejects their subclasses."""
    if isinstance(value, np.ndarray):
        return _pack_array(value, where)
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor)
    if isinstance(value, Mapping):
        return {
            _pack_leaf(key, where): _pack(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        items = [_pack(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    return _pack_leaf(value, where)


def _pack_array(value: np.ndarray, where: str) -> dict[str, Any]:
    if value.dtype.hasobject:
        raise CheckpointError(f"checkpoint content {where}: array of objects. Right is an array of numbers.")
    flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    if not flat.flags.writeable:  # torch shares memory only with writeable arrays
        flat = flat.copy()
    return {_ARRAY: torch.from_numpy(flat), "dtype": value.dtype.str, "shape": list(value.shape)}


def _pack_leaf(value: Any, where: str) -> bool | int | float | str | None:
    own = plain(value)
    if own is None or type(own) in (bool, int, float, str):
        return own
    raise CheckpointError(
        f"checkpoint content {where}: {type(value).__name__}. Right: tensors, arrays, numbers, strings, lists, dicts."
    )


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            return value[_ARRAY].numpy().view(np.dtype(value["dtype"])).reshape(value["shape"])
        return {key: _unpack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_unpack(item) for item in value])
    return value
