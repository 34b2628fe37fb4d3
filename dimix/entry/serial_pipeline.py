"""Training in one process: collect, update, evaluate, save, until a stop rule says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dimix.config import CompiledConfig, compile_all
from dimix.config_checks import lookup
from dimix.entry.banner import banner
from dimix.entry.checkpoints import check_same_config, load_weights, read_run, run_content, weights_content
from dimix.entry.recording import GameFiles
from dimix.entry.rooms import Rooms, jitter_games
from dimix.entry.run_folder import RunFolder
from dimix.entry.stopping import StopSignals, stop_reason
from dimix.errors import ConfigError, TrainingError
from dimix.types import batch_fields
from dimix.worker import EvalResult, Evaluator, MetricLogger, save_checkpoint
from dimix.worker.logger import duration, short


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        run_folder: where everything is.
        seed: of the run.
        reason: ``stop_value``, ``env_step``, ``train_iter``, or the name of the signal that stopped it.
        env_step: env steps made.
        train_iter: updates made.
        episode_count: training episodes finished.
        seconds: time spent, over all resumes.
        cpu_seconds: processor time spent, over all resumes.
        score: mean over the last evaluations (``run.stop_window``) of win rate, or of the return where nothing is won.
        best_score: the best single evaluation's.
        evaluation: the metrics of the last evaluation, by name.
    """

    run_folder: str
    seed: int
    reason: str
    env_step: int
    train_iter: int
    episode_count: int
    seconds: float
    cpu_seconds: float
    score: float
    best_score: float
    evaluation: dict[str, float]

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped it."""
        return self.reason.startswith("SIG")


def serial_pipeline(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | None,
    seed: int | None = None,
    *,
    exp_name: str | None = None,
    env_step: int | None = None,
    train_iter: int | None = None,
    load_path: str | Path | None = None,
    resume: str | Path | bool | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
    announce: bool = True,
    explain: bool = True,
    out: Callable[[str], None] = print,
) -> Result:
    """Train as a config says.

    Args:
        input_cfg: path of a config file, or ``(main_config, create_config)``; None with ``resume=FOLDER``.
        seed: seed of every random stream; None takes the config's.
        exp_name: run folder; None takes the config's.
        env_step: stop after that many env steps.
        train_iter: stop after that many updates.
        load_path: checkpoint whose network weights training starts from.
        resume: run folder (or a checkpoint in it) to go on with; True or an empty string: the last run of this config.
        overrides: ``dotted.key=value`` texts.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        announce: say at the start what is trained, with which sizes.
        explain: say at the end what is in the run folder and how to use it.
        out: takes the lines meant for people.

    Returns:
        How the run ended; ``result.json`` holds the same.

    Raises:
        ConfigError: the config, all problems at once.
        CheckpointError: ``load_path`` or ``resume`` cannot be used.
        TrainingError: the loss stopped being a number.
        OutputError: the run folder cannot be written.
    """
    named: dict[str, Any] = dict(
        overrides=overrides, seed=seed, env_step=env_step, train_iter=train_iter, device=device
    )
    if resume is None or resume is False:
        if input_cfg is None:
            raise ConfigError("-c: no config. Give a config file, or a run folder to resume.")
        compiled, saved = compile_all(input_cfg, exp_name=exp_name, **named), None
        torch.set_num_threads(compiled.cfg.run.torch_threads)
        folder = RunFolder.create(compiled.cfg.exp_name)
    else:
        if load_path is not None:
            raise ConfigError("--load-path with --resume: a resumed run has its own weights. Give one of the two.")
        folder, compiled, saved = _reopen(input_cfg, resume, exp_name, named)
        torch.set_num_threads(compiled.cfg.run.torch_threads)
    folder.lock()
    try:
        with StopSignals() as signals, closing(_Run(compiled, folder, signals, out)) as run:
            if saved is not None:
                run.load_state_dict(saved)
            elif load_path is not None:
                load_weights(run.rooms.policy, load_path, compiled)
            if announce:
                out("\n".join(banner(compiled, run.rooms, str(folder.path))))
            result = run.train()
            if explain and not result.interrupted:
                out(folder.explain())
            return result
    finally:
        folder.unlock()


def compile_notice(env_class: Any) -> str | None:
    """What an environment class says when its first use on this machine takes a while (its simulator is compiled)."""
    return env_class.compile_notice() if hasattr(env_class, "compile_notice") else None


def _reopen(
    input_cfg: Any, resume: str | Path | bool, exp_name: str | None, named: dict[str, Any]
) -> tuple[RunFolder, CompiledConfig, dict[str, Any]]:
    """Folder, config and saved state of the run to go on with."""
    if resume is True or resume == "":
        if input_cfg is None:
            raise ConfigError("--resume: which run? Give its folder, or -c FILE for the last run of that config.")
        compiled = compile_all(input_cfg, exp_name=exp_name, **named)
        folder = RunFolder.open(RunFolder.last_of(compiled.cfg.exp_name))
        path = folder.latest
    else:
        path = Path(str(resume))
        folder = RunFolder.open(path.parent.parent if path.is_file() else path)
        path = path if path.is_file() else folder.latest
    source = folder.path / "total_config.py" if input_cfg is None else input_cfg
    compiled = compile_all(source, **{**named, "exp_name": str(folder.path)})
    saved = read_run(path)
    check_same_config(saved, compiled, path)
    return folder, compiled, saved


class _Run:
    """One training run: the rooms, the counters that decide what comes next, and the files."""

    def __init__(
        self,
        compiled: CompiledConfig,
        folder: RunFolder,
        signals: StopSignals,
        out: Callable[[str], None],
    ) -> None:
        cfg = compiled.cfg
        self._compiled, self._folder, self._signals, self._out = compiled, folder, signals, out
        if notice := compile_notice(compiled.env_class):
            out(notice)
        self.rooms = Rooms(compiled)
        self._logger = MetricLogger(
            folder.log,
            [f"train/{name}" for name in self.rooms.policy.learn_mode.monitor_vars()],
            total_env_step=cfg.run.env_step,
            interval_s=cfg.run.progress_interval_s,
            tensorboard=cfg.run.tensorboard,
            out=out,
            has_win=compiled.info.has_win,
        )
        self._games = _game_files(compiled, folder, self.rooms)
        self._scores: list[float] = []  # one per evaluation
        self._best: list[float] | None = None  # win rate, win rate from jittered starts, return of the best evaluation
        self._next_eval = 0
        self._evaluation: dict[str, float] = {}
        self._seconds_before = self._cpu_before = 0.0
        self._cpu_started = time.process_time()
        self._started = self._saved_at = self._lap = time.monotonic()
        self._is_new = True

    # ---- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> Result:
        """Run until a stop rule or a signal says so; the last checkpoint is written before this returns."""
        self._folder.write_config(self._compiled)
        if self._is_new:
            self.save()
        while (reason := self._stop_reason()) is None:
            self._iterate()
            if time.monotonic() - self._saved_at >= self._compiled.cfg.run.checkpoint_interval_s:
                self.save()
        self.save()  # before the closing evaluation: a run that is resumed goes on as if it had never stopped
        return self._close(reason)

    def _stop_reason(self) -> str | None:
        run = self._compiled.cfg.run
        if self._signals.received:
            return self._signals.received
        if self.rooms.learner.train_iter >= self._next_eval:
            return None  # the evaluation that is due decides
        return stop_reason(
            self._scores,
            self.rooms.collector.env_step,
            self.rooms.learner.train_iter,
            stop_value=self._compiled.cfg.env.stop_value,
            stop_window=run.stop_window,
            max_env_step=run.env_step,
            max_train_iter=run.train_iter,
        )

    def _iterate(self) -> None:
        """Evaluate when it is due; else collect and update once."""
        rooms, policy = self.rooms, self._compiled.cfg.policy
        if rooms.learner.train_iter >= self._next_eval:
            self._evaluate()
            self._next_eval = rooms.learner.train_iter + policy.eval.evaluator.eval_freq
            return
        epsilon = rooms.epsilon(rooms.collector.env_step)
        stats = rooms.collector.collect(policy.collect.n_episode, epsilon)
        values = {f"rollout/{name}": value for name, value in stats.means().items()}
        values |= {"rollout/epsilon": epsilon, "rollout/num_episodes": rooms.collector.episode_count}
        values["rollout/episodes_lost"] = rooms.collector.episodes_lost
        values |= {f"train/{name}": value for name, value in self._update(policy.learn.update_per_collect).items()}
        values["train/num_updates"] = rooms.learner.train_iter
        values["train/replay_ratio"] = rooms.learner.sampled_steps / rooms.collector.env_step
        values["speed/env_steps_per_s"] = self._speed(stats.env_steps)
        self._record(values)
        self._logger.progress(rooms.collector.env_step)

    def _update(self, updates: int) -> dict[str, float]:
        try:
            return self.rooms.learner.train(updates)
        except TrainingError as e:
            torch.save(batch_fields(self.rooms.learner.last_batch), self._folder.nan_batch)  # type: ignore[arg-type]
            self._logger.close()
            raise TrainingError(
                f"{e} This was at env step {self.rooms.collector.env_step}. The batch is in {self._folder.nan_batch}; "
                f"the last good checkpoint is {self._folder.latest}. A smaller policy.learn.learning_rate or "
                "clip_value may help."
            ) from e

    def _evaluate(self) -> None:
        """Play the evaluation games, record them, keep the policy when it is the best so far."""
        env, info = self._compiled.cfg.env, self._compiled.info
        with self._recording(self.rooms.evaluator, env.n_evaluator_episode, "nominal"):
            result = self.rooms.evaluator.evaluate(env.n_evaluator_episode)
        values = _eval_values(result)
        if self.rooms.jitter_evaluator is not None:
            games = jitter_games(self._compiled)
            with self._recording(self.rooms.jitter_evaluator, games, "jittered"):
                jitter = self.rooms.jitter_evaluator.evaluate(games)
            values["eval/battle_won_jitter"] = jitter.battle_won
            values["eval/games_won_jitter"] = jitter.games_won
            values["eval/games_played_jitter"] = jitter.games_played
        self._evaluation = values
        self._record({**values, "speed/seconds": self._seconds(), "speed/cpu_seconds": self._cpu_seconds()})
        score = result.battle_won if info.has_win else result.ep_reward
        self._scores.append(score)
        rank = [score, values.get("eval/battle_won_jitter", 0.0), result.ep_reward]
        if self._best is None or rank > self._best:
            self._best = rank
            save_checkpoint(self._folder.best, weights_content(self.rooms, self._compiled, values))

    def _recording(self, evaluator: Evaluator, games: int, start: str) -> AbstractContextManager[None]:
        """Records the next evaluation where it is one of those that the config asks for."""
        if self._games is None or len(self._scores) % self._compiled.cfg.env.replay.every:
            return nullcontext()
        env_step = self.rooms.collector.env_step
        info = {"trained": f"seed {self._compiled.cfg.seed}, {env_step} env steps", "start": start}
        games = min(games, self._compiled.cfg.env.replay.n_episode)
        return self._games.recording(evaluator.env, games, f"step{env_step:09d}_{start}", info)

    def _record(self, values: Mapping[str, float]) -> None:
        self._logger.record(self.rooms.collector.env_step, self.rooms.learner.train_iter, values)

    def _speed(self, env_steps: int) -> float:
        now = time.monotonic()
        speed = env_steps / max(now - self._lap, 1e-9)
        self._lap = now
        return speed

    # ---- the end -------------------------------------------------------------------------------------------------

    def _close(self, reason: str) -> Result:
        rooms = self.rooms
        eval_freq = self._compiled.cfg.policy.eval.evaluator.eval_freq
        updated_since = self._next_eval != rooms.learner.train_iter + eval_freq
        if updated_since and not self._signals.received:
            self._evaluate()
        save_checkpoint(self._folder.final, weights_content(rooms, self._compiled, self._evaluation))
        self._logger.progress(rooms.collector.env_step, force=True)
        self._logger.close()
        result = self._result(reason)
        self._folder.write_result(asdict(result))
        self._out(self._result_line(result))
        if result.interrupted:
            self._out(f"stopped by {reason}; go on with: dimix -m serial --resume {self._folder.path}")
        return result

    def _result(self, reason: str) -> Result:
        last = self._scores[-self._compiled.cfg.run.stop_window :]
        return Result(
            run_folder=str(self._folder.path),
            seed=self._compiled.cfg.seed,
            reason=reason,
            env_step=self.rooms.collector.env_step,
            train_iter=self.rooms.learner.train_iter,
            episode_count=self.rooms.collector.episode_count,
            seconds=round(self._seconds(), 1),
            cpu_seconds=round(self._cpu_seconds(), 1),
            score=sum(last) / max(len(last), 1),
            best_score=max(self._scores, default=0.0),
            evaluation=self._evaluation,
        )

    def _result_line(self, result: Result) -> str:
        name = "win rate" if self._compiled.info.has_win else "return"
        window = min(len(self._scores), self._compiled.cfg.run.stop_window)
        jitter = result.evaluation.get("eval/battle_won_jitter")
        more = "" if jitter is None else f"; from jittered starts {jitter:.2f}"
        return (
            f"result: {name} {result.score:.3f} over the last {window} evaluations (best single one "
            f"{result.best_score:.3f}){more}; after {short(result.env_step)} env steps, "
            f"{short(result.train_iter)} updates, {duration(result.seconds)}; stopped by {result.reason}"
        )

    # ---- saving --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the resume checkpoint; the one before it is kept beside it."""
        content = run_content(self.rooms, self._compiled, self.state_dict())
        save_checkpoint(self._folder.latest, content, previous=self._folder.previous)
        self._saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Counters and files; the rooms' states are saved beside it."""
        return {
            "scores": list(self._scores),
            "best": self._best,
            "next_eval": self._next_eval,
            "evaluation": dict(self._evaluation),
            "seconds": {"wall": self._seconds(), "cpu": self._cpu_seconds()},
            "logger": self._logger.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a run's checkpoint.

        Raises:
            CheckpointError: it does not fit the rooms or the files beside it.
        """
        lost_before = saved["rooms"]["collector"]["env"].get("episodes_lost", 0)
        self.rooms.load_state_dict(saved["rooms"])
        if lost := self.rooms.collector.episodes_lost - lost_before:
            self._out(f"  {lost} running training episodes could not be restored; their games start anew")
        state = saved["run"]
        self._scores, self._best = list(state["scores"]), state["best"]
        self._next_eval, self._evaluation = state["next_eval"], dict(state["evaluation"])
        self._seconds_before, self._cpu_before = state["seconds"]["wall"], state["seconds"]["cpu"]
        self._logger.load_state_dict(state["logger"])
        self._is_new = False

    def close(self) -> None:
        """End what holds processes."""
        self.rooms.close()

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _cpu_seconds(self) -> float:
        return self._cpu_before + time.process_time() - self._cpu_started


def _game_files(compiled: CompiledConfig, folder: RunFolder, rooms: Rooms) -> GameFiles | None:
    """Where games of evaluations are recorded; None when the config asks for none.

    Raises:
        ConfigError: it does, and the environment cannot be recorded.
    """
    every = lookup(compiled.cfg, "env.replay.every")
    if not every:
        return None
    if not hasattr(rooms.evaluator.env, "record"):
        kind = type(rooms.evaluator.env).__name__
        raise ConfigError(f"env.replay.every: {every}, but {compiled.info.name} ({kind}) has no replays. Use 0.")
    return GameFiles(folder.replays, rooms.policy, {"policy": str(compiled.cfg.policy.type)})


def _eval_values(result: EvalResult) -> dict[str, float]:
    names = ("ep_reward", "std_ep_reward", "ep_length", "battle_won", "games_won", "games_played", "distinct_games")
    return {f"eval/{name}": float(getattr(result, name)) for name in names}
