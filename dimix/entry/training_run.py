"""The training loop: collect, update, evaluate and save until a stop rule or a signal ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from easydict import EasyDict

from dimix.callbacks import JITTER_SCORE, BestPolicy, Callback, Callbacks, MetricLog, StopRule
from dimix.config.checks import lookup
from dimix.config.compile import CompiledConfig
from dimix.entry.checkpoints import rank_states, run_content, run_state, weights_content
from dimix.entry.recording import GameFiles
from dimix.entry.rooms import Rooms, collect_goal, jitter_games, jitter_stop_value
from dimix.entry.run_folder import RunFolder, quote
from dimix.envs.vec_env import EnvInfo
from dimix.errors import TrainingError
from dimix.machine.checkpoint_file import save_checkpoint
from dimix.machine.signals import StopSignals
from dimix.machine.text import duration, short
from dimix.policy.base import Policy
from dimix.replay.batch import batch_fields
from dimix.worker import EvalResult, MetricLogger
from dimix.worker.evaluator import PlayedGame
from dimix.worker.logger import label_metrics

#: Metrics of an evaluation that each task of a mix has of its own, as ``eval/battle_won_<task>``.
TASK_SCORES = ("eval/battle_won", "eval/ep_reward")


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        run_folder: folder with all its files.
        seed: seed of the run.
        reason: ``stop_value``, ``env_step``, ``train_iter``, a callback's word, or the name of a signal.
        env_step: env steps made.
        train_iter: updates made.
        episode_count: training episodes finished.
        seconds: wall time, summed over all resumes.
        cpu_seconds: processor time, summed over all resumes.
        score: mean win rate (return if games cannot be won) over the latest evaluations (``run.stop_window``).
        best_score: score of the best single evaluation.
        evaluation: metrics of the last evaluation, by name.
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


class _Stopped(Exception):
    """A signal arrived while a curriculum was being prepared."""


class TrainingRun:
    """Runs the components of a run in order and calls the callbacks, to which it is the `dimix.callbacks.Run`.

    Args:
        compiled: the config.
        rooms: the components built from it.
        folder: where everything is written.
        signals: reports whether a stop was requested.
        callbacks: used in addition to the run's own logging and stopping.
        out: called with each line of output.
    """

    def __init__(
        self,
        compiled: CompiledConfig,
        rooms: Rooms,
        folder: RunFolder,
        signals: StopSignals,
        callbacks: Sequence[Callback],
        out: Callable[[str], None],
    ) -> None:
        self._compiled, self.rooms, self._folder, self._signals, self.out = compiled, rooms, folder, signals, out
        env, run = compiled.cfg.env, compiled.cfg.run
        self._stop_rule = StopRule(
            env.stop_value, run.stop_window, run.env_step, run.train_iter, jitter_stop_value(compiled)
        )
        added = Callbacks(callbacks).metric_names
        logger = MetricLogger(
            folder.log,
            [f"train/{name}" for name in (*self.policy.learn_mode.monitor_vars(), *added)]
            + [f"{score}_{task}" for task in compiled.info.tasks for score in TASK_SCORES],
            total_env_step=run.env_step,
            may_end_sooner=env.stop_value <= 1 or not compiled.info.has_win or run.train_iter is not None,
            interval_s=run.progress_interval_s,
            tensorboard=run.tensorboard,
            out=out,
            has_win=compiled.info.has_win,
            is_drawn=compiled.info.is_drawn,
            labels=compiled.info.labels,
        )
        best = BestPolicy(folder.best, run.stop_window if compiled.info.is_drawn else 1)
        self._callbacks = Callbacks([self._stop_rule, best, MetricLog(logger), *callbacks])
        before, after = (self._callbacks.bound(moment, self) for moment in ("on_update_start", "on_update_end"))
        self.rooms.learner.follow(before, after, added)
        self._games = _game_files(compiled, folder, rooms)
        self._next_eval = 0
        self._evaluation: dict[str, float] = {}
        self._seconds_before = self._cpu_before = 0.0
        self._cpu_started = rooms.cpu_seconds()
        self._started = self._saved_at = self._lap = time.monotonic()
        self._is_new = True

    # ---- what callbacks see --------------------------------------------------------------------------------------

    @property
    def cfg(self) -> EasyDict:
        """The resolved config."""
        return self._compiled.cfg

    @property
    def info(self) -> EnvInfo:
        """Sizes of the environment."""
        return self._compiled.info

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def policy(self) -> Policy:
        """The policy in training."""
        return self.rooms.policy

    @property
    def env_step(self) -> int:
        """Steps so far."""
        return self.rooms.env_step

    @property
    def train_iter(self) -> int:
        """Updates so far."""
        return self.rooms.learner.train_iter

    def save_weights(self, path: Path) -> None:
        """Write a policy checkpoint."""
        save_checkpoint(path, weights_content(self.rooms, self._compiled, self._evaluation))

    # ---- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> Result:
        """Train until a stop rule or a signal ends the run; writes the last checkpoint before returning."""
        self._folder.write_config(self._compiled)
        try:
            self._callbacks.call("on_train_start", self)
            result = self._result(self._loop())
        except Exception:
            self._callbacks.call("on_train_end", self, None)
            raise
        self._callbacks.call("on_train_end", self, result)
        self._folder.write_result(asdict(result))
        self.out(self._result_line(result))
        if result.interrupted:
            self.out(f"stopped by {result.reason}; go on with: dimix -m serial --resume {quote(self.path)}")
        else:
            self._folder.keep_resumable(self.cfg.run.resume_checkpoints)
        return result

    def _loop(self) -> str:
        """Run all rounds; returns the reason to stop."""
        self.rooms.start_others()
        with suppress(_Stopped):
            self.rooms.collector.start(self._say_or_stop)  # may take long with a curriculum: not part of any speed
        self._lap = time.monotonic()
        if self._is_new:
            self.save()
        while (reason := self._stop_reason()) is None:
            self._iterate()
            if time.monotonic() - self._saved_at >= self.cfg.run.checkpoint_interval_s:
                self.save()
        self.save()  # before the final evaluation, so that a resumed run continues as if it had never stopped
        updated_since = self._next_eval != self.train_iter + self.cfg.policy.eval.evaluator.eval_freq
        if updated_since and not self._signals.received:
            self._evaluate()
        self.save_weights(self._folder.final)
        return reason

    def _say_or_stop(self, text: str) -> None:
        """Print a curriculum's line, or stop its preparation on a signal; a resumed run prepares it again."""
        self.out(text)
        if self._signals.received:
            raise _Stopped

    def _stop_reason(self) -> str | None:
        if self._signals.received:
            return self._signals.received
        if self.train_iter >= self._next_eval:
            return None  # the evaluation that is due will decide
        return self._callbacks.stop_reason(self)

    def _iterate(self) -> None:
        """Evaluate if it is due; otherwise collect and update once."""
        rooms, policy = self.rooms, self.cfg.policy
        if self.train_iter >= self._next_eval:
            self._evaluate()
            self._next_eval = self.train_iter + policy.eval.evaluator.eval_freq
            return
        warming = rooms.episode_count < policy.random_collect_size
        epsilon = 1.0 if warming else rooms.epsilon(self.env_step)
        updates = 0 if warming else policy.learn.update_per_collect
        stats = rooms.collect(collect_goal(self.cfg), epsilon)
        self._callbacks.call("on_collect_end", self, stats)
        values = {f"rollout/{name}": value for name, value in stats.means().items()}
        values |= {"rollout/epsilon": epsilon, "rollout/num_episodes": rooms.episode_count}
        values["rollout/episodes_lost"] = rooms.episodes_lost
        values |= {f"train/{name}": value for name, value in self._update(updates).items()}
        values["train/num_updates"] = self.train_iter
        values["train/replay_ratio"] = rooms.sampled_steps / self.env_step
        values["speed/env_steps_per_s"] = self._speed(stats.env_steps)
        self._callbacks.call("on_metrics", self, values)

    def _update(self, updates: int) -> dict[str, float]:
        try:
            return self.rooms.update(updates, self.rooms.episode_count)
        except TrainingError as e:
            torch.save(batch_fields(self.rooms.learner.last_batch), self._folder.nan_batch)  # type: ignore[arg-type]
            raise TrainingError(
                f"{e} This was at env step {self.env_step}. The batch is in {self._folder.nan_batch}; "
                f"the last good checkpoint is {self._folder.latest}. A smaller policy.learn.learning_rate or "
                "clip_value may help."
            ) from e

    def _evaluate(self) -> None:
        games = self._play(False, self.cfg.env.n_evaluator_episode)
        values = _eval_values(EvalResult.of(games))
        for task, result in EvalResult.by_task(games, self.info.tasks).items():
            values |= {f"{score}_{task}": _eval_values(result)[score] for score in TASK_SCORES}
        if self.rooms.jitter_evaluator is not None:
            jitter = EvalResult.of(self._play(True, jitter_games(self._compiled)))
            values[JITTER_SCORE] = jitter.battle_won
            values["eval/games_won_jitter"] = jitter.games_won
            values["eval/games_played_jitter"] = jitter.games_played
        self._evaluation = values
        self._callbacks.call("on_eval_end", self, values)
        times = {"speed/seconds": self._seconds(), "speed/cpu_seconds": self._cpu_seconds()}
        self._callbacks.call("on_metrics", self, {**values, **times})

    def _play(self, jittered: bool, games: int) -> list[PlayedGame]:
        """One evaluation, recorded if the config asks for it."""
        with self._recording(jittered, games):
            return self.rooms.evaluate(jittered, games, self.cfg.policy.eval.epsilon)

    def _recording(self, jittered: bool, games: int) -> AbstractContextManager[None]:
        if self._games is None or len(self._stop_rule.scores) % self.cfg.env.replay.every:
            return nullcontext()
        evaluator = self.rooms.jitter_evaluator if jittered else self.rooms.evaluator
        assert evaluator is not None
        start = "jittered" if jittered else "nominal"
        info = {"trained": f"seed {self.cfg.seed}, {self.env_step} env steps", "start": start}
        games = min(self.rooms.ranks.share(games), self.cfg.env.replay.n_episode)
        return self._games.recording(evaluator.env, games, f"step{self.env_step:09d}_{start}", info)

    def _speed(self, env_steps: int) -> float:
        now = time.monotonic()
        speed = env_steps / max(now - self._lap, 1e-9)
        self._lap = now
        return speed

    # ---- the end -------------------------------------------------------------------------------------------------

    def _result(self, reason: str) -> Result:
        last = self._stop_rule.last
        return Result(
            run_folder=str(self.path),
            seed=self.cfg.seed,
            reason=reason,
            env_step=self.env_step,
            train_iter=self.train_iter,
            episode_count=self.rooms.episode_count,
            seconds=round(self._seconds(), 1),
            cpu_seconds=round(self._cpu_seconds(), 1),
            score=sum(last) / max(len(last), 1),
            best_score=max(self._stop_rule.scores, default=0.0),
            evaluation=self._evaluation,
        )

    def _result_line(self, result: Result) -> str:
        name = "win rate" if self.info.has_win else "return"
        jitter = self._stop_rule.last_jitter
        more = f"; from jittered starts {sum(jitter) / len(jitter):.3f}" if jitter else ""
        by_label = {label: result.evaluation.get(label_metrics(label)[0]) for label in self.info.labels}
        told = [f"{label} {won:.2f}" for label, won in by_label.items() if won is not None]
        more += f"; in the last one {', '.join(told)}" if told else ""
        return (
            f"result: {name} {result.score:.3f} over the last {len(self._stop_rule.last)} evaluations (best single one "
            f"{result.best_score:.3f}){more}; after {short(result.env_step)} env steps, "
            f"{short(result.train_iter)} updates, {duration(result.seconds)}; stopped by {result.reason}"
        )

    # ---- saving --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the resume checkpoint and keep the previous one."""
        content = run_content(self.rooms, self._compiled, self.state_dict())
        save_checkpoint(self._folder.latest, content, previous=self._folder.previous)
        self._saved_at = time.monotonic()
        self._callbacks.call("on_checkpoint", self, self._folder.latest)

    def state_dict(self) -> dict[str, Any]:
        """Counters and callbacks; the components' states are saved separately."""
        return {
            "next_eval": self._next_eval,
            "evaluation": dict(self._evaluation),
            "seconds": {"wall": self._seconds(), "cpu": self._cpu_seconds()},
            "callbacks": self._callbacks.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from a run's checkpoint.

        Raises:
            CheckpointError: it does not fit the components or the files in the folder.
        """
        states = rank_states(saved)
        lost_before = sum(rooms["collector"]["env"].get("episodes_lost", 0) for rooms in states)
        self.rooms.load_states(states)
        if lost := self.rooms.episodes_lost - lost_before:
            self.out(f"  {lost} running training episodes could not be restored; their games start anew")
        state = run_state(saved)
        self._next_eval, self._evaluation = state["next_eval"], dict(state["evaluation"])
        self._seconds_before, self._cpu_before = state["seconds"]["wall"], state["seconds"]["cpu"]
        self._callbacks.load_state_dict(state["callbacks"])
        self._is_new = False

    def go_on(self, asked: bool) -> None:
        """Report whether a loaded run that had ended because of its score will continue.

        If new limits were given (``asked``), it trains up to them whatever its score.
        """
        stop_value = f"the run had reached env.stop_value = {self.cfg.env.stop_value:g}"
        if asked and self._stop_rule.go_on(self):
            self.out(f"{stop_value}; it trains on to its new limit, however good it is")
        elif self._stop_reason() == "stop_value":
            self.out(f"{stop_value}; train on with another --env-step, or with -o env.stop_value=2")

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _cpu_seconds(self) -> float:
        return self._cpu_before + self.rooms.cpu_seconds() - self._cpu_started


def _game_files(compiled: CompiledConfig, folder: RunFolder, rooms: Rooms) -> GameFiles | None:
    """Writes recorded evaluation games; None if the config asks for none."""
    if not lookup(compiled.cfg, "env.replay.every"):
        return None
    return GameFiles(folder.replays, rooms.policy, {"policy": str(compiled.cfg.policy.type)})


def _eval_values(result: EvalResult) -> dict[str, float]:
    names = ("ep_reward", "std_ep_reward", "ep_length", "battle_won", "games_won", "games_played", "distinct_games")
    values = {f"eval/{name}": float(getattr(result, name)) for name in names}
    for label, (won, played) in result.by_label.items():
        values |= dict(zip(label_metrics(label), (won / played, won, played), strict=True))
    return values
