"""The files that hold trained teams: of a run, or of the zoo by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dimix.config.checks import without_derived
from dimix.config.file import zoo_roots
from dimix.envs.vec_env import Entities, EnvInfo
from dimix.errors import CheckpointError, nearest
from dimix.machine.checkpoint_file import BEST, FINAL, LATEST, load_checkpoint
from dimix.machine.text import short

ZOO = "zoo:"
_FOLDER, _LIST, _ENDING = "teams", "teams.json", ".pth.tar"


@dataclass(frozen=True)
class ZooTeam:
    """A trained team of the package.

    Attributes:
        name: after ``zoo:``.
        config: zoo config that it was trained with.
        seed: seed of its training.
        env_step: env steps of its training.
        overrides: settings of its training besides the config's, ``key=value``.
        won: win rate from the map's own start; None if it has not been made yet.
        won_jitter: from jittered starts.
        path: its checkpoint.
    """

    name: str
    config: str
    seed: int
    env_step: int
    overrides: tuple[str, ...]
    won: float | None
    won_jitter: float | None
    path: Path

    def __str__(self) -> str:
        rates = [f"{self.won:.2f} won" if self.won is not None else "not made yet"]
        rates += [f"{self.won_jitter:.2f} from moved starts"] if self.won_jitter is not None else []
        how = " ".join([self.config, f"-s {self.seed}", *(f"-o {text}" for text in self.overrides)])
        return f"{', '.join(rates)}; at most {short(self.env_step)} env steps of {how}"


def zoo_teams() -> dict[str, ZooTeam]:
    """The teams of the installed zoo by name."""
    lists = [root / _FOLDER / _LIST for root in zoo_roots()]
    rows = [(path, row) for path in lists if path.is_file() for row in json.loads(path.read_text("utf-8"))]
    return {row["name"]: _zoo_team(path.parent, row) for path, row in rows}


def _zoo_team(folder: Path, row: Mapping[str, Any]) -> ZooTeam:
    row = {**row, "overrides": tuple(row["overrides"])}
    return ZooTeam(**row, path=folder / f"{row['name']}{_ENDING}")


def find_checkpoint(path: str | Path) -> Path:
    """Find the checkpoint that a path names.

    Args:
        path: the file itself; a run folder, for its best, else final, else latest one; or ``zoo:NAME``.

    Raises:
        CheckpointError: the folder has none of them, or the zoo no such team.
    """
    if str(path).startswith(ZOO):
        return _find_in_zoo(str(path).removeprefix(ZOO))
    path = Path(path)
    if not path.is_dir():
        return path
    for name in (BEST, FINAL, LATEST):
        if (path / "ckpt" / name).exists():
            return path / "ckpt" / name
    raise CheckpointError(f"--load-path {path}: no checkpoint in {path / 'ckpt'}. Give a run folder, or a checkpoint.")


def _find_in_zoo(name: str) -> Path:
    teams = zoo_teams()
    if name not in teams:
        raise CheckpointError(f"{ZOO}{name}: no such team.{nearest(name, teams)} List them with: dimix -q zoo")
    if not teams[name].path.is_file():
        raise CheckpointError(f"{ZOO}{name}: not made yet. Make it with: python -m dizoo.teams {name}")
    return teams[name].path


def read_any(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of any kind; its config is returned without derived values, which older files contain.

    Raises:
        CheckpointError: missing, damaged, or not from dimix.
    """
    content = load_checkpoint(path)
    if content.get("kind") not in ("run", "policy", "team"):
        raise CheckpointError(f"checkpoint {path}: not from a training run. Right is a file from a run's ckpt folder.")
    content["config"]["main"] = without_derived(content["config"]["main"])
    return content


def saved_sizes(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `EnvInfo` that a checkpoint has of the environment it was trained in.

    Those of another version may have fewer, and some that are no longer there.
    """
    known = {field.name for field in fields(EnvInfo)}
    sizes = {name: value for name, value in content["env"].items() if name in known}
    for name in ("entities", "state_entities"):
        if sizes.get(name):
            sizes[name] = tuple(Entities(**kind) for kind in sizes[name])
    return sizes
