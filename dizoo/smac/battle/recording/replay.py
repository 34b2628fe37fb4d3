r"""Recorded games as files: everything needed to show one battle, in one small file that is read only as data.

Format, version 2: the line ``dimix replay 2\n``, then two little-endian numbers of four bytes (as are all others): the
number of bytes that follow, and their CRC-32. Then come the header's length in four bytes, the header as JSON, and the
arrays listed in the header's ``arrays``, each part padded to a multiple of 4 bytes. Floats are stored as int16 in units
of their ``scale``. Arrays store only changes along the first axis: one bit per entry, set if it differs from the entry
before (from 0 in the first row), then ``changes`` differences. Compared with zlib, this takes a sixth of the time of
compressing and about a third more bytes than its fastest level.

Version 1 can be read too: after its line comes one zlib stream of the header's length, the header, and the full arrays.

Letters: T steps, F frames, U units, A agents, N actions, O observation size. Frame k of step t is row
``t * frames_per_step + k``; the last row is the end.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.kernels.state import FRAME, Array
from dizoo.smac.battle.maps.layout import DIRECTIONS, column_names
from dizoo.smac.battle.maps.scenario import Scenario, UnitType

SUFFIX = ".replay"
VERSION = 2
_READABLE = ("1", "2")
_MAGIC = b"dimix replay "
_PREFIX = struct.Struct("<II")
_MAX_BYTES = 1 << 30  # of the unpacked content: refuses files made to fill the memory
_STORED: dict[str, np.dtype[Any]] = {"<i2": np.dtype("<i2"), "|u1": np.dtype("u1")}

FRAME_FIELDS = FRAME.names or ()
"""(F, U) fields of the units in every frame: floats, ``target`` (unit id or -1) and ``in_play``."""

_DIMS = {
    **{name: "FU" for name in FRAME_FIELDS},
    "action": "TA",  # action of each agent in a step, 0 for dead agents
    "action_mask": "TAN",  # available actions
    "obs": "TAO",  # observation before the step
    "reward": "T",
    "q": "TAN",  # this and the rest only if a network played
    "q_tot": "T",
    "weight": "TA",  # d q_tot / d q of the chosen action
}
_KINDS = ("floats", "integers or flags")
_OPTIONAL = {"q", "q_tot", "weight"}
_TARGET = "target"  # in the names of actions
_INTEGERS = {"target", "in_play", "action", "action_mask"}


@dataclass
class Replay:
    """One game.

    Attributes:
        header: names and numbers: ``map``, ``units``, ``obs_names``, ``action_names``, ``frames_per_step``,
            ``outcome``, ``stream`` (the battle's random stream at its start), ``info`` (texts by name), and where they
            are drawn ``start_kind`` and ``opponent``.
        arrays: float32, or integers and flags, by name; see the top of this module.
    """

    header: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.arrays["reward"])

    @property
    def won(self) -> bool:
        """Whether the allies won."""
        return bool(self.header["outcome"]["won"])


def describe(scenario: Scenario, types: Sequence[UnitType]) -> dict[str, Any]:
    """Return the part of a header that is known at the start of a battle.

    Args:
        scenario: the map.
        types: of the battle's units (U).
    """
    s = scenario
    rows = ["".join("." if cell else "#" for cell in row) for row in s.open_cells.tolist()]
    looks = [f"look {360 * d / len(s.directions):g} degrees" for d in range(len(s.directions))]
    targets = [f"{_TARGET} {j}" for j in range(s.n_actions - s.first_target)]
    units = []
    for u, t in enumerate(types):
        units.append(
            {
                "type": t.name,
                "ally": bool(s.is_ally[u]),
                "index": int(s.index[u]),
                "hp": t.hp,
                "shield": t.shield,
                "energy": t.energy_max,
                "range": t.attack_range,
                "radius": t.radius,
                "blast": t.blast_radius,
                "healer": t.is_healer,
            }
        )
    return {
        "map": {
            "name": s.name,
            "width": s.width,
            "height": s.height,
            "terrain": rows[::-1],  # top row first, as it is read
            "attack_point": s.attack_point.tolist(),
            "episode_limit": s.episode_limit,
        },
        "rules": s.profile.name,
        "units": units,
        "obs_names": column_names(s.obs_layout),
        "action_names": ["no-op", "stop", *DIRECTIONS, *looks, *targets],
    }


def replay_bytes(replay: Replay) -> bytes:
    """Return the content of a replay's file.

    Raises:
        BattleError: an array is missing, of the wrong shape, or not finite.
    """
    sizes = _sizes(replay.header)
    for name, value in replay.arrays.items():
        if name not in _DIMS:
            raise BattleError(f"replay: array '{name}' is unknown. Known: {', '.join(_DIMS)}.")
        shape = tuple(sizes[d] for d in _DIMS[name])
        if value.shape != shape:
            raise BattleError(f"replay: '{name}' has shape {value.shape}. It is {shape}.")
        if (value.dtype.kind == "f") != (name not in _INTEGERS):
            raise BattleError(f"replay: '{name}' is {value.dtype}. It holds {_KINDS[name in _INTEGERS]}.")
    missing = _DIMS.keys() - _OPTIONAL - replay.arrays.keys()
    if missing:
        raise BattleError(f"replay: array '{min(missing)}' is missing.")
    listed, parts = [], []
    for name, value in replay.arrays.items():
        stored, scale = _stored(name, value)
        bits, changes = _differences(stored)
        listed.append({**_entry(name, stored, scale), "changes": len(changes)})
        parts += [_padded(bits.tobytes()), _padded(changes.tobytes())]
    content = _joined(replay.header, listed, parts)
    return _MAGIC + f"{VERSION}\n".encode() + _PREFIX.pack(len(content), zlib.crc32(content)) + content


def pack(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Pack a header and arrays into one zlib stream in the layout of version 1, which browsers can unpack.

    Args:
        header: anything that JSON can hold.
        arrays: by name; floats become int16 in units of a power of ten (0.001, or coarser for large numbers).

    Raises:
        BattleError: a number that is not finite or an integer that does not fit.
    """
    listed, parts = [], []
    for name, value in arrays.items():
        stored, scale = _stored(name, value)
        listed.append(_entry(name, stored, scale))
        parts.append(_padded(stored.tobytes()))
    return zlib.compress(_joined(header, listed, parts))


def save_replay(path: str | Path, replay: Replay) -> None:
    """Write a replay, completely or not at all.

    Raises:
        BattleError: the arrays do not fit, or the file cannot be written.
    """
    path = Path(path)
    content = replay_bytes(replay)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as e:
        raise BattleError(f"{path}: cannot be written ({e.strerror}).") from e


def load_replay(path: str | Path) -> Replay:
    """Read a replay; nothing in the file can run code or refer to other files.

    Raises:
        BattleError: one line that says what is wrong with the file.
    """
    path = Path(path)
    if path.is_dir():
        raise BattleError(f"{path}: a folder. Give the games in it: {path / ('*' + SUFFIX)}")
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise BattleError(f"{path}: cannot be read ({e.strerror}).") from e
    try:
        return parse_replay(raw)
    except BattleError as e:
        raise BattleError(f"{path}: {e}") from e


def parse_replay(raw: bytes) -> Replay:
    """Read a replay from its file's content; see `load_replay`.

    Raises:
        BattleError: not a replay, of an unknown version, truncated or damaged.
    """
    version, content = _unpack(raw)
    try:
        (length,) = struct.unpack_from("<I", content)
        header = json.loads(content[4 : 4 + length].decode())
        listed = header.pop("arrays")
        sizes = _sizes(header)
        _check_header(header, sizes)
        arrays, parts = {}, _Parts(content, 4 + length)
        for entry in listed:
            if entry["name"] not in _DIMS:
                raise BattleError(f"damaged: array {entry['name']!r} is unknown.")
            name, stored = entry["name"], _STORED[entry["dtype"]]
            shape = tuple(sizes[d] for d in _DIMS[name])
            if list(shape) != entry["shape"]:
                raise BattleError(f"damaged: '{name}' has shape {entry['shape']}. It is {list(shape)}.")
            if version == "1":
                value = parts.take(stored, math.prod(shape)).reshape(shape)
            else:
                bits = parts.take(np.dtype("u1"), -(-math.prod(shape) // 8))
                value = _summed(bits, parts.take(stored, int(entry["changes"])), shape)
            scale = entry["scale"]
            arrays[name] = value.astype(np.float32) * np.float32(scale) if scale else value
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, struct.error) as e:
        if isinstance(e, BattleError):
            raise
        raise BattleError(f"damaged replay ({type(e).__name__}: {e}). Record it again.") from e
    missing = _DIMS.keys() - _OPTIONAL - arrays.keys()
    if missing:
        raise BattleError(f"damaged: array '{min(missing)}' is missing.")
    return Replay(header, arrays)


def target_unit(header: Mapping[str, Any], agent: int, action: int) -> int | None:
    """Return the unit id that an agent's action targets; None if it has no target or no such unit exists."""
    units = header["units"]
    healer = next((u["healer"] for u in units if u["ally"] and u["index"] == agent), False)
    index = action - header["action_names"].index(f"{_TARGET} 0")
    return next((i for i, u in enumerate(units) if u["ally"] == healer and u["index"] == index), None)


class _Parts:
    """Reads the padded parts of a file's content one after another."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at

    def take(self, dtype: np.dtype[Any], count: int) -> Array:
        """Return the next `count` numbers; raises ValueError if there are fewer."""
        if count < 0:
            raise ValueError(f"{count} numbers")
        part = np.frombuffer(self._content, dtype, count, self._at) if count else np.empty(0, dtype)
        self._at += -(-count * dtype.itemsize // 4) * 4
        return part


def _unpack(raw: bytes) -> tuple[str, bytes]:
    line = raw[:40].split(b"\n", 1)[0]
    if not raw:
        raise BattleError("empty file. Copy or record it again.")
    if not raw.startswith(_MAGIC):
        raise BattleError(f"not a replay. Replays begin with '{_MAGIC.decode().strip()}'; dimix -m eval records them.")
    version = line[len(_MAGIC) :].decode("ascii", "replace")
    if version not in _READABLE:
        raise BattleError(
            f"replay of version {version}. This dimix reads versions {' and '.join(_READABLE)}. "
            "Show it with the dimix that recorded it, or a newer one."
        )
    body = raw[len(line) + 1 :]
    return version, _inflated(body, len(raw)) if version == "1" else _checked(body, len(raw))


def _checked(body: bytes, size: int) -> bytes:
    """Check the two numbers of version 2 and return what follows them."""
    if len(body) < _PREFIX.size:
        raise BattleError(f"cut off after {size} bytes. Copy or record it again.")
    length, checksum = _PREFIX.unpack_from(body)
    content = body[_PREFIX.size :]
    if len(content) < length:
        raise BattleError(f"cut off after {size} bytes. Copy or record it again.")
    if len(content) > length or zlib.crc32(content) != checksum:
        raise BattleError("damaged replay (its checksum does not fit). Copy or record it again.")
    return content


def _inflated(body: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(body, _MAX_BYTES)
    except zlib.error as e:
        raise BattleError(f"damaged replay ({e}). Copy or record it again.") from e
    if inflate.unconsumed_tail:
        raise BattleError(f"unpacks to more than {_MAX_BYTES >> 20} MiB. That is no battle.")
    if not inflate.eof:
        raise BattleError(f"cut off after {size} bytes. Copy or record it again.")
    return content


def _sizes(header: Mapping[str, Any]) -> dict[str, int]:
    steps = int(header["outcome"]["steps"])
    sizes = {
        "T": steps,
        "F": steps * int(header["frames_per_step"]) + 1,
        "U": len(header["units"]),
        "A": sum(u["ally"] for u in header["units"]),
        "N": len(header["action_names"]),
        "O": len(header["obs_names"]),
    }
    if min(sizes.values()) < 1:
        raise BattleError(f"damaged: sizes {sizes}. All are at least 1.")
    return sizes


def _check_header(header: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Refuse a header that a viewer could not handle."""
    board = header["map"]
    rows, width, height = board["terrain"], int(board["width"]), int(board["height"])
    if len(rows) != height or any(not isinstance(r, str) or len(r) != width or r.strip(".#") for r in rows):
        raise BattleError(f"damaged: the terrain is not {height} rows of {width} cells '.' and '#'.")
    for unit in header["units"]:
        if not float(unit["hp"]) > 0 or not isinstance(unit["type"], str):
            raise BattleError(f"damaged: unit {unit}. A unit has a type and hit points.")
    names = [board["name"], *header["obs_names"], *header["action_names"]]
    if not all(isinstance(name, str) for name in names):
        raise BattleError("damaged: a name that is not a text.")
    _, _ = (float(v) for v in board["attack_point"])
    header["info"].items(), bool(header["outcome"]["won"]), float(header["outcome"]["return"])


def _stored(name: str, value: Array) -> tuple[Array, float]:
    """Return an array in its stored type, and its scale (0 for integers)."""
    value = np.ascontiguousarray(value)
    largest = max(float(value.max(initial=0)), -float(value.min(initial=0)))
    if value.dtype.kind == "f":
        if not math.isfinite(largest):
            raise BattleError(f"replay: '{name}' holds {largest}. Only finite numbers are recorded.")
        digits = max(-3, math.ceil(math.log10(largest / 32767))) if largest > 0 else -3
        scaled = np.multiply(value, 10.0**-digits, dtype=np.float32)
        return np.rint(scaled, out=scaled).astype("<i2"), float(f"1e{digits}")
    if largest > 32767:
        raise BattleError(f"replay: '{name}' holds {largest:g}. Integers up to 32767 are recorded.")
    return value.astype("|u1" if value.dtype.kind == "b" or value.dtype == np.uint8 else "<i2"), 0


def _entry(name: str, stored: Array, scale: float) -> dict[str, Any]:
    return {"name": name, "shape": list(stored.shape), "dtype": stored.dtype.str, "scale": scale}


def _joined(header: Mapping[str, Any], listed: list[dict[str, Any]], parts: list[bytes]) -> bytes:
    text = _padded(json.dumps({**header, "arrays": listed}).encode(), b" ")
    return struct.pack("<I", len(text)) + text + b"".join(parts)


def _differences(stored: Array) -> tuple[Array, Array]:
    """Where an array changes along its first axis, as packed bits, and the differences (with wrap-around)."""
    change = stored.copy()
    np.subtract(stored[1:], stored[:-1], out=change[1:])
    change = change.reshape(-1)
    differs = change != 0
    return np.packbits(differs), change[differs]


def _summed(bits: Array, changes: Array, shape: tuple[int, ...]) -> Array:
    """Invert `_differences`; raises ValueError if bits and changes do not match."""
    change = np.zeros(math.prod(shape), changes.dtype)
    change[np.unpackbits(bits, count=len(change)).astype(bool)] = changes
    return np.cumsum(change.reshape(shape), axis=0, dtype=changes.dtype)


def _padded(raw: bytes, fill: bytes = b"\0") -> bytes:
    return raw + fill * (-len(raw) % 4)
