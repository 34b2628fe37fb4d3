"""Export a trained team, and check it against torch on steps of real games."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dimix.entry.checkpoints import load_weights
from dimix.entry.eval_pipeline import as_trained
from dimix.entry.rooms import make_agent_input, make_env, make_policy
from dimix.errors import OutputError
from dimix.team import Team, runner
from dimix.team.files import find_checkpoint, read_any
from dimix.team.onnx import write_onnx
from dimix.team.trained import network_of, team_of

ENDINGS = (".onnx", ".npz")
RUNNER = "dimix_team.py"  # the name of the copy of `dimix.team.runner` beside an exported .npz
TOLERANCE = 1e-5  # of an exported Q-value, absolute, or relative if larger than one


@dataclass(frozen=True)
class GameStep:
    """One step of one game as torch played it.

    Attributes:
        first: whether an episode begins here.
        obs: (A, O) float32.
        action_mask: (A, N) bool.
        action: (A,) int64.
        q: (A, N) float32.
    """

    first: bool
    obs: np.ndarray
    action_mask: np.ndarray
    action: np.ndarray
    q: np.ndarray


#: Plays one step: whether it is the first of an episode, observations and masks in, actions and Q-values out.
StepFunction = Callable[[bool, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def export_pipeline(
    path: str | Path, target: str | Path, steps: int = 1000, out: Callable[[str], None] = print
) -> None:
    """Write a trained team as ``.onnx``, or as ``.npz`` with a small file that plays it with numpy alone.

    Args:
        path: checkpoint, run folder or ``zoo:NAME``.
        target: the file to write.
        steps: steps of greedy games on which the file must agree with torch; 0 does not check.
        out: called with each line of output.

    Raises:
        CheckpointError: there is no such checkpoint, or a team that cannot be exported.
        OutputError: an ending that is not one of `ENDINGS`, a file that cannot be written, or one that plays otherwise.
    """
    target = Path(target)
    if target.suffix not in ENDINGS:
        raise OutputError(f"-o {target}: ending '{target.suffix}'. Right is one of {', '.join(ENDINGS)}.")
    checkpoint = find_checkpoint(path)
    content = read_any(checkpoint)
    written = (_write_onnx if target.suffix == ".onnx" else _write_npz)(content, checkpoint, target)
    sizes = ", ".join(f"{file} ({file.stat().st_size / 1000:.0f} kB)" for file in written)
    out(f"{sizes}: the team of {checkpoint}")
    if not steps:
        return
    if target.suffix == ".onnx" and importlib.util.find_spec("onnxruntime") is None:
        out("not checked: pip install 'dimix[onnx]' brings onnxruntime, which plays it")
        return
    play = onnx_steps(target) if target.suffix == ".onnx" else npz_steps(target)
    out(check_same(recorded_steps(content, checkpoint, steps), play, target))


def recorded_steps(content: Mapping[str, Any], checkpoint: Path, steps: int) -> Iterator[GameStep]:
    """The first ``steps`` steps of greedy games that a checkpoint's team plays with torch, one game after another."""
    one_game = ("env.evaluator_env_num=1",)
    compiled = as_trained(content, checkpoint, lambda line: None, overrides=one_game, device="cpu")
    policy, agent_input = make_policy(compiled), make_agent_input(compiled)
    load_weights(policy, checkpoint, compiled)
    with closing(make_env(compiled, "evaluate")) as env:
        over = True
        for _ in range(steps):
            first = over
            if first:
                env.reset()
                hidden, last = policy.init_hidden(1), np.full((1, env.info.agent_num), -1, np.int64)
            row = agent_input.build(env.agent_state, last)
            last, hidden = policy.eval_mode.forward({"agent_state": row, "action_mask": env.action_mask}, hidden, 0.0)
            assert policy.eval_q is not None
            yield GameStep(first, env.agent_state[0].copy(), env.action_mask[0].copy(), last[0], policy.eval_q[0])
            env.step(last)
            over = bool(env.terminated[0] or env.truncated[0])


def check_same(recorded: Iterator[GameStep], play: StepFunction, target: Path) -> str:
    """Play recorded steps again and say how far the Q-values are from those recorded.

    Raises:
        OutputError: another action, or a Q-value further off than `TOLERANCE`.
    """
    worst, count = 0.0, 0
    for count, step in enumerate(recorded, 1):
        action, q = play(step.first, step.obs, step.action_mask)
        worst = max(worst, float((np.abs(q - step.q) / np.maximum(np.abs(step.q), 1)).max()))
        if worst > TOLERANCE or (action != step.action).any():
            raise OutputError(
                f"{target}: plays otherwise than torch at step {count}: actions {action.tolist()} instead of "
                f"{step.action.tolist()}, Q-values off by {worst:.1e}. Please report it, with the checkpoint."
            )
    return f"checked on {count} steps: same actions as torch, Q-values within {worst:.1e}"


def npz_steps(path: Path) -> StepFunction:
    """Plays an exported ``.npz``."""
    team = Team.load(path)

    def play(first: bool, obs: np.ndarray, action_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if first:
            team.reset()
        return team.act(obs, action_mask), team.q

    return play


def onnx_steps(path: Path) -> StepFunction:
    """Plays an exported ``.onnx`` with onnxruntime."""
    session = importlib.import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {each.name: [1, *each.shape[1:]] for each in session.get_inputs()}
    memory: dict[str, np.ndarray] = {}

    def play(first: bool, obs: np.ndarray, action_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if first:
            memory["last_action"] = np.full(shapes["last_action"], -1, np.int64)
            if "hidden" in shapes:
                memory["hidden"] = np.zeros(shapes["hidden"], np.float32)
        action, q, *hidden = session.run(None, {"obs": obs[None], "action_mask": action_mask[None], **memory})
        memory.update(last_action=action, **dict(zip(["hidden"], hidden, strict=False)))
        return action[0], q[0]

    return play


def _write_onnx(content: Mapping[str, Any], checkpoint: Path, target: Path) -> list[Path]:
    write_onnx(network_of(content, checkpoint), team_of(content, checkpoint).header, target)
    return [target]


def _write_npz(content: Mapping[str, Any], checkpoint: Path, target: Path) -> list[Path]:
    beside = target.with_name(RUNNER)
    try:
        team_of(content, checkpoint).save(target)
        shutil.copyfile(str(runner.__file__), beside)
    except OSError as e:
        raise OutputError(f"{e.filename or target}: cannot be written ({e.strerror}).") from e
    return [target, beside]
