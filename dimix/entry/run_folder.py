"""The folder of a run: never shared by two runs, and described to its user."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dimix.config.compile import CompiledConfig
from dimix.config.file import write_config
from dimix.config.inputs import INPUTS, keep_inputs
from dimix.errors import CheckpointError, OutputError
from dimix.machine.checkpoint_file import BEST, FINAL, LATEST, PREVIOUS
from dimix.machine.files import make_writable_folder, written_whole


class RunFolder:
    """Paths of one run in an existing folder, and a lock that keeps other processes from writing there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock", timeout=0)

    @classmethod
    def create(cls, wanted: str | Path) -> RunFolder:
        """Create a new folder; if the requested one already holds a run, the next free ``<wanted>_2``, ``_3``, ...

        Raises:
            OutputError: the folder cannot be created or written.
        """
        base = Path(wanted) if Path(wanted).name else Path(wanted).resolve()  # "." has no name to number
        for number in range(1, 10_000):
            path = base if number == 1 else base.with_name(f"{base.name}_{number}")
            try:
                path.mkdir(parents=True, exist_ok=False)
            except FileExistsError:
                if not path.is_dir() or any(path.iterdir()):
                    continue
            except OSError as e:
                raise OutputError(f"run folder {path}: {e.strerror}. Give another place with --exp-name.") from e
            return cls(path)._prepare()
        raise OutputError(f"run folder {base}: 9999 runs are there already. Give another name with --exp-name.")

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of an existing run to resume it.

        Raises:
            CheckpointError: no such folder, or no checkpoint to resume from.
        """
        folder = cls(Path(path))
        if not folder.latest.exists():
            what = "no such folder" if not folder.path.is_dir() else f"no ckpt/{LATEST} in it, the run never saved one"
            raise CheckpointError(f"--resume {path}: {what}. Give the run folder that a training printed.")
        return folder._prepare()

    @classmethod
    def last_of(cls, wanted: str | Path) -> Path:
        """Folder of the last run with this name (``<wanted>``, ``<wanted>_2``, ...) that saved a checkpoint.

        Raises:
            CheckpointError: there is none.
        """
        base = Path(wanted)
        is_ours = re.compile(re.escape(base.name) + r"(_\d+)?").fullmatch
        runs = [cls(p).latest for p in base.parent.glob("*") if is_ours(p.name)]
        saved = [p for p in runs if p.exists()]
        if not saved:
            raise CheckpointError(
                f"--resume: no run with a checkpoint at {base}. Start one without --resume, or give its folder."
            )
        return max(saved, key=lambda p: p.stat().st_mtime).parent.parent

    @property
    def log(self) -> Path:
        """Folder of metrics."""
        return self.path / "log"

    @property
    def ckpt(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "ckpt"

    @property
    def replays(self) -> Path:
        """Folder of games recorded during training, if the config asks for them."""
        return self.path / "replays"

    @property
    def latest(self) -> Path:
        """Checkpoint to resume from."""
        return self.ckpt / LATEST

    @property
    def previous(self) -> Path:
        """The resume checkpoint before the latest."""
        return self.ckpt / PREVIOUS

    @property
    def best(self) -> Path:
        """Policy with the best evaluation, or the best mean of several, see `dimix.callbacks.BestPolicy`."""
        return self.ckpt / BEST

    @property
    def final(self) -> Path:
        """Policy at the end of the run."""
        return self.ckpt / FINAL

    @property
    def nan_batch(self) -> Path:
        """The batch on which training failed."""
        return self.path / "nan_batch.pt"

    def lock(self) -> None:
        """Lock the folder for this process until it ends.

        Raises:
            OutputError: another process holds the lock.
        """
        try:
            self._lock.acquire()
        except Timeout as e:
            raise OutputError(
                f"run folder {self.path}: another process is training there. Wait for it, or stop it."
            ) from e

    def unlock(self) -> None:
        """Release the lock."""
        self._lock.release()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the `lock` in a block."""
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    def write_config(self, compiled: CompiledConfig) -> None:
        """Write every setting to ``total_config.py``, a runnable config, next to copies of its inputs."""
        main, create = compiled.settings()
        keep_inputs(compiled.inputs, self.path)
        head = f"Settings of the run {self.path.name}; what follows from them, sizes say, is derived again."
        write_config(self.path / "total_config.py", main, create, head, compiled.inputs)

    def keep_resumable(self, count: int) -> None:
        """Delete resume checkpoints, which hold the replay buffer and are the largest files of a run.

        ``count`` of them remain: 2, both; 1, the latest; 0, none.
        """
        for path in (self.latest, self.previous)[count:]:
            path.unlink(missing_ok=True)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json`` atomically."""
        with written_whole(self.path / "result.json") as file:
            file.write((json.dumps(result, indent=2) + "\n").encode())

    def explain(self) -> str:
        """Text for the end of a run: what the folder contains and how to use it."""
        hint = "" if importlib.util.find_spec("tensorboard") else "   (pip install tensorboard first)"
        best = self.best if self.best.exists() else self.final
        games = sorted(self.replays.glob("*"))
        go_on = f"dimix -m serial --resume {quote(self.path)} --env-step MORE"
        second = f"; {PREVIOUS}: the one before, should it be damaged" if self.previous.exists() else ""
        return "\n".join(
            [
                f"run folder  {self.path}/",
                "  total_config.py      every setting of this run; python total_config.py runs it again",
                *(["  inputs/              copies of what it read besides"] if (self.path / INPUTS).is_dir() else []),
                "  result.json          how it ended",
                "  log/metrics.csv      all metrics; the same for TensorBoard in log/",
                f"  ckpt/{BEST}    policy of the best evaluation (drawn games: of the best few); {FINAL}: at the end",
                *([f"  ckpt/{LATEST}  everything, to resume{second}"] if self.latest.exists() else []),
                *([f"  replays/             {len(games)} games recorded during training"] if games else []),
                *([f"watch       dimix -m replay {quote(games[-1])} -o game.html"] if games else []),
                f"evaluate    dimix -m eval --load-path {quote(best)} -n 100",
                f"curves      dimix -m plot {quote(self.path)} -o curves.png",
                f"            tensorboard --logdir {quote(self.log)}{hint}",
                *([f"go on       {go_on}"] if self.latest.exists() else []),
            ]
        )

    def _prepare(self) -> RunFolder:
        try:
            for folder in (self.path, self.log, self.ckpt):
                make_writable_folder(folder)
        except OSError as e:
            raise OutputError(f"run folder {self.path}: {e.strerror}. It must be writable; or use --exp-name.") from e
        return self


def quote(path: Path) -> str:
    """Quote a path for a shell command that is printed."""
    return shlex.quote(str(path))
