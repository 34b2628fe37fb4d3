"""Logs a run's metrics: one set of named values goes to the CSV file, TensorBoard and the progress line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dimix.errors import CheckpointError, OutputError
from dimix.machine.intervals import wilson_interval
from dimix.machine.text import duration, short

#: Every metric that a run may record, and its format in the progress line.
METRICS: dict[str, str] = {
    "rollout/ep_reward": ".2f",
    "rollout/ep_length": ".1f",
    "rollout/epsilon": ".3f",
    "rollout/num_episodes": ".0f",
    "rollout/battle_won": ".2f",
    "rollout/episodes_lost": ".0f",
    "train/loss": ".4f",
    "train/grads": ".3f",
    "train/num_updates": ".0f",
    "train/learning_rate": ".2e",
    "train/q_tot": ".3f",
    "train/target_q_tot": ".3f",
    "train/td_error_abs": ".3f",
    "train/replay_ratio": ".2f",
    "eval/ep_reward": ".2f",
    "eval/std_ep_reward": ".2f",
    "eval/ep_length": ".1f",
    "eval/battle_won": ".2f",
    "eval/games_won": ".0f",
    "eval/games_played": ".0f",
    "eval/distinct_games": ".0f",
    "eval/battle_won_jitter": ".2f",
    "eval/games_won_jitter": ".0f",
    "eval/games_played_jitter": ".0f",
    "speed/env_steps_per_s": ".0f",
    "speed/seconds": ".1f",
    "speed/cpu_seconds": ".1f",
}


def label_metrics(label: str) -> tuple[str, str, str]:
    """Metrics of the games of an evaluation that have a label: win rate, games won, games played."""
    return f"eval/battle_won_{label}", f"eval/games_won_{label}", f"eval/games_played_{label}"


class MetricLogger:
    """Writes ``metrics.csv`` and TensorBoard events into a folder, and a progress line to the console.

    The CSV has the columns env_step, train_iter and one per metric. Each record is a row; metrics it lacks are empty
    cells. After a resume (``load_state_dict``), rows later than the checkpoint are dropped, so that an interrupted run
    ends with the same file as an uninterrupted one (except for ``speed/``). The file keeps its columns: metrics that it
    lacks, for it is from another version or the run had other callbacks, are in TensorBoard's events alone.

    Args:
        folder: where to write the files.
        extra_names: metrics besides `METRICS`, for example those of your own policy.
        total_env_step: env steps of the whole run, for progress and ETA; None omits them.
        may_end_sooner: whether the run may end before that; the ETA is then an upper limit.
        interval_s: seconds between two progress lines.
        tensorboard: write TensorBoard events.
        out: called with each progress line.
        has_win: whether games can be won; otherwise the progress line shows the return of evaluations.
        is_drawn: whether every game is another one; the progress line then shows the win rate's 95 % interval.
        labels: what tells games apart; those of each label have their own metrics.
        clock: time in seconds, for speed and ETA.
    """

    def __init__(
        self,
        folder: str | Path,
        extra_names: Iterable[str] = (),
        *,
        total_env_step: float | None = None,
        may_end_sooner: bool = False,
        interval_s: float = 3.0,
        tensorboard: bool = True,
        out: Callable[[str], None] = print,
        has_win: bool = True,
        is_drawn: bool = False,
        labels: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = Path(folder)
        self.latest: dict[str, float] = {}  # latest value of each metric
        by_label = [name for label in labels for name in label_metrics(label)]
        self.names = [*METRICS, *(name for name in (*by_label, *extra_names) if name not in METRICS)]
        self._total, self._may_end_sooner = total_env_step, may_end_sooner
        self._interval_s = interval_s
        self._out = out
        self._has_win, self._is_drawn, self._labels = has_win, is_drawn, labels
        self._clock = clock
        self._tensorboard = tensorboard
        self._writer: Any = None
        self._columns = self.names  # of the CSV
        self._file: BinaryIO | None = None
        self._resume_at: int | None = None  # bytes of the CSV to keep
        self._purge_step: int | None = None
        self._last_env_step = -1
        self._speed_from: tuple[float, int] | None = None  # time and env_step of the last progress line

    def record(self, env_step: int, train_iter: int, values: Mapping[str, float]) -> None:
        """Write one row with some of the metrics, by name.

        Raises:
            OutputError: a name has no column, or a file cannot be written.
        """
        unknown = [name for name in values if name not in self.names]
        if unknown:
            raise OutputError(f"metric '{unknown[0]}': no such column. Name it in extra_names when the logger is made.")
        cells = [str(env_step), str(train_iter)]
        cells += [repr(float(values[name])) if name in values else "" for name in self._columns]
        self._write((",".join(cells) + "\n").encode())
        self.latest.update({name: float(value) for name, value in values.items()})
        self._last_env_step = env_step
        if self._tensorboard:
            writer = self._tensorboard_writer()
            for name, value in values.items():
                writer.add_scalar(name, float(value), env_step)

    def progress(self, env_step: int, force: bool = False) -> None:
        """Print the progress line if ``interval_s`` has passed since the last one, or always with ``force``."""
        now = self._clock()
        if self._speed_from is None:
            self._speed_from = (now, env_step)
            if not force:
                return
        since, steps_before = self._speed_from
        if force or now - since >= self._interval_s:
            speed = (env_step - steps_before) / max(now - since, 1e-9) if env_step > steps_before else None
            self._out(self.progress_line(env_step, speed))
            self._speed_from = (now, env_step)

    def progress_line(self, env_step: int, speed: float | None) -> str:
        """The line as text: ``env_step 120k/2.0M (6%) | 9.8k steps/s | ETA 3m12s | won 0.81 (jitter 0.40) | ...``."""
        parts = [f"env_step {short(env_step)}"]
        if self._total:
            parts[0] += f"/{short(self._total)} ({min(env_step / self._total, 1):.0%})"
        if speed:
            parts.append(f"{short(speed)} steps/s")
            if self._total:
                at_most = "at most " if self._may_end_sooner else ""
                parts.append(f"ETA {at_most}{duration(max(self._total - env_step, 0) / speed)}")
        won = self._text("eval/battle_won")
        if not self._has_win and won:
            parts.append(f"greedy return {self._text('eval/ep_reward')}")
        elif won:
            parts.append(f"won {won}{self._interval()}{self._by_kind()}")
        for label, name in (("return", "rollout/ep_reward"), ("loss", "train/loss"), ("eps", "rollout/epsilon")):
            if text := self._text(name):
                parts.append(f"{label} {text}")
        return " | ".join(parts)

    def flush(self) -> None:
        """Write everything recorded so far to disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Flush and close the files."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def state_dict(self) -> dict[str, Any]:
        """Number of CSV bytes written so far; flushes them to disk first."""
        self.flush()
        size = self._file.tell() if self._file is not None else self._resume_at
        return {"csv_bytes": size, "latest": dict(self.latest), "env_step": self._last_env_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the saved point: drop later rows of the CSV and hide later TensorBoard events.

        Raises:
            CheckpointError: the CSV is shorter than it was.
        """
        path, size = self.folder / "metrics.csv", state["csv_bytes"]
        found = path.stat().st_size if path.exists() else 0
        if size is not None and found < size:
            raise CheckpointError(f"{path}: {found} bytes. Right is at least {size}, as at the checkpoint.")
        if size:
            with open(path, encoding="utf-8") as file:
                self._columns = file.readline().rstrip("\n").split(",")[2:]
        self._resume_at = size
        self._purge_step = state["env_step"] + 1
        self._last_env_step = state["env_step"]
        self.latest = dict(state["latest"])

    def _interval(self) -> str:
        """95 % interval of the win rate, as `` [.53 .70]``, where one evaluation can be luck."""
        won, played = (self.latest.get(f"eval/games_{what}", 0.0) for what in ("won", "played"))
        if not (self._is_drawn and played):
            return ""
        return " [{} {}]".format(*(f"{edge:.2f}".lstrip("0") for edge in wilson_interval(int(won), int(played))))

    def _by_kind(self) -> str:
        """Win rates from jittered starts and of each label's games, as `` (jitter 0.40)``."""
        kinds = {"jitter": "eval/battle_won_jitter"} | {label: label_metrics(label)[0] for label in self._labels}
        rates = [f"{kind} {self._text(name)}" for kind, name in kinds.items() if name in self.latest]
        return f" ({', '.join(rates)})" if rates else ""

    def _text(self, name: str) -> str:
        return format(self.latest[name], METRICS.get(name, ".2f")) if name in self.latest else ""

    def _write(self, line: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._open_csv()
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self.folder / 'metrics.csv'} cannot be written: {error.strerror}.") from error

    def _open_csv(self) -> BinaryIO:
        path = self.folder / "metrics.csv"
        self.folder.mkdir(parents=True, exist_ok=True)
        file: BinaryIO
        if self._resume_at is None:
            file = open(path, "wb")
            file.write((",".join(["env_step", "train_iter", *self._columns]) + "\n").encode())
        else:
            file = open(path, "r+b")
            file.truncate(self._resume_at)
            file.seek(self._resume_at)
        return file

    def _tensorboard_writer(self) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter  # takes half a second to import: only for runs that write events

            self._writer = SummaryWriter(str(self.folder), purge_step=self._purge_step)
        return self._writer
