"""The work of one benchmark process: train a cell, play the final games, write its row."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dimix
from benchmark.provenance import machine, versions
from benchmark.win_rate.cells import Cell, MapCell
from benchmark.win_rate.rows import flat_config, path_of, read_metrics, write_row
from dimix.entry import Result, serial_pipeline
from dimix.entry.checkpoints import load_weights
from dimix.entry.rooms import jitter_games, make_agent_input, make_env, make_policy
from dimix.entry.run_folder import RunFolder
from dimix.errors import CheckpointError, OutputError
from dimix.worker import Evaluator
from dizoo.smac.battle.kernels.compiler import source_digest
from dizoo.smac.battle.maps.scenario import task_names

#: Final games: environment role, probability of a random action, and what differs from the cell's config; "random"
#: where starts cannot be moved, "near" (the opponent that SMACv2's teams do not train on) on tasks.
FINAL: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "greedy": ("evaluate", 0.0, ()),
    "epsilon": ("evaluate", 0.05, ()),
    "jitter": ("evaluate_jitter", 0.0, ()),
    "random": ("evaluate", 1.0, ()),
    "near": ("evaluate", 0.0, ("env.opponent=near",)),
}
#: Added to the seed for the final games, which nothing was trained or selected on.
FINAL_SEED = 1_000_000
#: Nobody reads the TensorBoard files of hundreds of runs.
QUIET = ("run.tensorboard=False",)
WAIT_S = 20.0  # time for a process of a killed queue to notice and release the folder


def train_cell(
    cell: Cell,
    work: Path,
    rows: Path,
    jobs: int,
    final_games: int,
    started: float,
    code: str | None,
    out: Callable[[str], None],
) -> dict[str, Any]:
    """Train a cell, or resume it, and write its row.

    Args:
        cell: what to train.
        work: the run folder is created in ``work/<cell name>/``.
        rows: folder of the row.
        jobs: runs at a time, for the row.
        final_games: games of each kind that the trained team plays.
        started: `time.time` when this process was started.
        code: revision of the code then, before the checkout changes; a node of a cluster has no checkout.
        out: called with lines for the user.

    Returns:
        ``{"state": "finished" | "stopped" | "busy"}``; if finished, also the final games' results.

    Raises:
        DimixError: the training failed.
    """
    folder = work / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    lock = RunFolder(folder)
    if not _locked(lock):
        return {"state": "busy"}
    try:
        if path_of(cell, rows).exists():  # another queue was faster
            return {"state": "busy"}
        result, revisions, resumed = _train(cell, folder, code, out)
        start_up_s = None if resumed else round(time.time() - started - result.seconds, 1)
        if result.interrupted:
            return {"state": "stopped"}
        out("playing the final games")
        run_folder = RunFolder(Path(result.run_folder))
        final = play_final(cell, run_folder.final, final_games)
        row = make_row(cell, result, revisions, jobs, final)
        row["training"]["start_up_s"] = start_up_s
        write_row(row, rows)
        run_folder.keep_resumable(0)
        return {"state": "finished", "final": final, "seconds": result.seconds}
    finally:
        lock.unlock()


def _locked(folder: RunFolder) -> bool:
    """Lock the folder; returns False if another process holds it."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            folder.lock()
            return True
        except OutputError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)


def _train(
    cell: Cell, folder: Path, code: str | None, out: Callable[[str], None]
) -> tuple[Result, list[str | None], bool]:
    """Train; returns the result, the revisions of the code used, and whether the run was resumed."""
    history = folder / "revisions.json"
    options: dict[str, Any] = dict(
        env_step=cell.env_steps, overrides=(*cell.overrides, *QUIET), announce=False, explain=False, out=out
    )
    config, wanted = cell.sources()[1], str(folder / "run")
    try:
        resume = RunFolder.last_of(wanted)
        before = json.loads(history.read_text()) if history.exists() else []
        revisions = _remember(history, before, code)
        return serial_pipeline(config, cell.seed, resume=resume, **options), revisions, True
    except CheckpointError as e:
        if any(folder.glob("run*")):
            out(f"cannot go on with the run that was begun, starts anew ({e})")
    revisions = _remember(history, [], code)
    return serial_pipeline(config, cell.seed, exp_name=wanted, **options), revisions, False


def _remember(history: Path, revisions: list[str | None], now: str | None) -> list[str | None]:
    """Store the revisions with this process's for the next resume."""
    if not revisions or revisions[-1] != now:
        revisions = [*revisions, now]
    history.write_text(json.dumps(revisions))
    return revisions


def play_final(cell: Cell, checkpoint: Path, games: int) -> dict[str, dict[str, Any]]:
    """Play the final games, ``games`` of each kind, with the policy used in evaluation.

    Returns the numbers of `EvalResult` by kind, see `FINAL`.
    """
    cell, found = replace(cell, seed=cell.seed + FINAL_SEED), dict[str, dict[str, Any]]()
    left_out = {"random" if jitter_games(cell.compile()) else "jitter"}
    if not (isinstance(cell, MapCell) and cell.map in task_names()):
        left_out.add("near")
    for name, (role, epsilon, options) in FINAL.items():
        if name in left_out:
            continue
        compiled = replace(cell, options=(*cell.options, *options)).compile()
        policy = make_policy(compiled)
        load_weights(policy, checkpoint, compiled)
        env = make_env(compiled, role)
        result = Evaluator(env, policy.eval_mode, make_agent_input(compiled)).evaluate(games, epsilon)
        env.close()
        numbers = {figure: value for figure, value in asdict(result).items() if figure != "by_label"}
        found[name] = {figure: round(value, 3) for figure, value in numbers.items()}
        if result.by_label:
            found[name]["by_label"] = dict(result.by_label)
    return found


def make_row(
    cell: Cell, result: Result, revisions: list[str | None], jobs: int, final: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the row of a finished run; see `benchmark.win_rate.rows`."""
    evaluations, replay_ratio = read_metrics(Path(result.run_folder))
    return {
        "cell": cell.fields(),
        "files": cell.sources()[0],
        "code": revisions,
        "versions": {"dimix": dimix.__version__, "engine": source_digest()[:12], **versions("torch", "numpy", "numba")},
        "machine": machine(),
        "jobs": jobs,
        "finished": time.strftime("%Y-%m-%d", time.gmtime()),
        "training": {
            "reason": result.reason,
            "env_steps": result.env_step,
            "updates": result.train_iter,
            "episodes": result.episode_count,
            "seconds": result.seconds,
            "cpu_seconds": result.cpu_seconds,
            "env_steps_per_s": round(result.env_step / max(result.seconds, 1e-9), 1),
            "replay_ratio": replay_ratio,
        },
        "final": final,
        "evaluations": evaluations,
        "config": flat_config(cell.compile().cfg),
    }
