"""Evaluate a trained policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dimix.config.compile import CompiledConfig, compile_all
from dimix.config.file import ConfigSource
from dimix.config.inputs import find_changes, find_strays, use_kept
from dimix.config.schema import make_key
from dimix.entry.checkpoints import find_checkpoint, load_weights, rank_states, read_any
from dimix.entry.recording import GameFiles
from dimix.entry.rooms import jitter_games, make_agent_input, make_env, make_policy
from dimix.entry.run_folder import quote
from dimix.errors import CheckpointError, ConfigError
from dimix.machine.intervals import wilson_interval
from dimix.machine.plain import plain
from dimix.worker import EvalResult, Evaluator


@dataclass(frozen=True)
class EvalSummary:
    """Results of an evaluation.

    Attributes:
        nominal: games from the map's own start.
        jitter: games from jittered starts; None if the environment has none.
        recorded: files of recorded games, those from the nominal start first.
    """

    nominal: EvalResult
    jitter: EvalResult | None
    recorded: Sequence[Path] = field(default=(), compare=False)


def eval_pipeline(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    *,
    load_path: str | Path,
    n_episode: int = 100,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
    replay_path: str | Path | None = None,
    replay_games: int = 8,
    out: Callable[[str], None] = print,
) -> EvalSummary:
    """Play games with a checkpoint and print the win rate with its 95 % interval, mean return and mean length.

    Games are greedy unless the config sets ``policy.eval.epsilon``.

    Args:
        input_cfg: config; None uses the one that the checkpoint was trained with.
        load_path: the checkpoint, or a run folder (see `find_checkpoint`).
        n_episode: games from the nominal start, and as many from jittered starts.
        seed: seed of the games; None uses the config's.
        overrides: ``dotted.key=value`` texts.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        replay_path: folder for recorded games; None records none.
        replay_games: games to record from each kind of start.
        out: called with each line of output.

    Raises:
        ConfigError: the config is invalid.
        CheckpointError: the checkpoint is missing, damaged or does not fit, or files that its run read are missing.
        OutputError: games cannot be written.
    """
    n_episode, replay_games = _count("n_episode", n_episode), _count("replay_games", replay_games)
    load_path = find_checkpoint(load_path)
    content = read_any(load_path)
    named: dict[str, Any] = dict(seed=seed, overrides=overrides, device=device)
    compiled = as_trained(content, load_path, out, **named) if input_cfg is None else compile_all(input_cfg, **named)
    if notice := compiled.env_class.compile_notice():
        out(notice)
    policy = make_policy(compiled)
    load_weights(policy, load_path, compiled, out)
    agent_input = make_agent_input(compiled)
    info = {
        "policy": str(compiled.cfg.policy.type),
        "checkpoint": Path(load_path).name,
        "trained": f"seed {content['config']['main']['seed']}, {_env_step(content)} env steps",
        "evaluation seed": str(compiled.cfg.seed),
    }
    files = None if replay_path is None else GameFiles(replay_path, policy, info)
    out(
        f"{load_path}: {compiled.cfg.policy.type} on {compiled.info.name}, "
        f"seed {content['config']['main']['seed']}, after {_env_step(content)} env steps"
    )
    roles = ["evaluate"] + (["evaluate_jitter"] if jitter_games(compiled) else [])
    results = []
    for role in roles:
        env = make_env(compiled, role, out)
        start = "nominal" if role == "evaluate" else "jittered"
        record = files and files.recording(env, min(replay_games, n_episode), start, {"start": start})
        with closing(env), record or nullcontext():
            games = Evaluator(env, policy.eval_mode, agent_input).play(n_episode, compiled.cfg.policy.eval.epsilon)
        results.append(EvalResult.of(games))
        name = "nominal start" if role == "evaluate" else "jittered starts"
        out(describe(results[-1], name, compiled.info.has_win))
        for task, result in EvalResult.by_task(games, compiled.info.tasks).items():
            out(describe(result, f"  {task}", compiled.info.has_win))
    if files is not None:
        first = quote(files.written[0])
        out(f"{len(files.written)} games recorded; show one with: dimix -m replay {first} -o game.html")
    return EvalSummary(results[0], results[1] if len(results) > 1 else None, files.written if files else ())


def as_trained(
    content: Mapping[str, Any], path: Path, out: Callable[[str], None], overrides: Sequence[str], **named: Any
) -> CompiledConfig:
    """The config of a checkpoint and the inputs of its run; ``overrides`` may name other files.

    A CheckpointError if an input has changed since the run.
    """
    overridden = {text.partition("=")[0].strip() for text in overrides}
    inputs = {name: entry for name, entry in content.get("inputs", {}).items() if name not in overridden}
    folder = path.parent.parent
    source = ConfigSource(content["config"]["main"], content["config"]["create"], f"checkpoint {path.name}", None)
    compiled = compile_all(source, overrides=(*use_kept(inputs, folder), *overrides), **named)
    if changed := find_changes(inputs, compiled.inputs):
        raise CheckpointError(
            "\n  ".join([f"checkpoint {path}: what its run read is not here.", *changed])
            + "\nLeave it in its run folder, which has copies, or give another config with -c."
        )
    for line in find_strays(inputs, folder):
        out(f"note: {line}")
    return compiled


def describe(result: EvalResult, name: str, has_win: bool) -> str:
    """Summarise an evaluation in one line, with one more for each label of games."""
    half = 1.96 * result.std_ep_reward / math.sqrt(result.games_played)
    parts = [f"return {result.ep_reward:.2f} ± {half:.2f}", f"length {result.ep_length:.1f}"]
    if has_win:
        parts.insert(0, _won(result.games_won, result.games_played))
    parts.append(f"{result.distinct_games} distinct game{'s' if result.distinct_games != 1 else ''}")
    under = "\n  " + name[: len(name) - len(name.lstrip())]
    more = [f"{under}{label}: {_won(*games)}" for label, games in result.by_label.items() if has_win]
    return f"{name}: " + ", ".join(parts) + "".join(more)


def _won(won: int, played: int) -> str:
    low, high = wilson_interval(won, played)
    return f"won {won} of {played} games ({won / played:.1%}, 95 % interval {low:.1%} to {high:.1%})"


def _count(name: str, value: Any) -> int:
    try:
        return make_key(1, "(int) Games, >= 1.").coerce(plain(value))
    except ValueError as e:
        raise ConfigError(f"{name}: {e}") from e


def _env_step(content: Mapping[str, Any]) -> int:
    if content["kind"] == "run":
        return sum(rooms["collector"]["env_step"] for rooms in rank_states(content))
    return content["env_step"]
