"""Search for better settings with Optuna: one training per trial, several at a time, in a study that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dimix.config.checks import lookup
from dimix.config.compile import CompiledConfig, compile_all
from dimix.config.file import write_config
from dimix.config.inputs import keep_inputs
from dimix.entry.multi_seed import launcher, train_seed
from dimix.entry.rooms import compile_once, make_callbacks
from dimix.entry.run_folder import quote
from dimix.errors import ConfigError, OutputError, first_line
from dimix.machine.files import make_writable_folder
from dimix.machine.processes import Child, Job, Watcher
from dimix.machine.ray_jobs import below_here
from dimix.machine.signals import say
from dimix.machine.text import aligned, short
from dimix.plot import panel_grid, read_run

if TYPE_CHECKING:
    import optuna

SAMPLERS, PRUNERS = ("tpe", "random"), ("median", "none")
#: A trial can be compared with others, and pruned, at so many points of its env steps.
POINTS = 100
_SHOWN = 10


@dataclass(frozen=True)
class Space:
    """The values of one key among which a search chooses.

    Attributes:
        key: dotted config key.
        low, high: the ends of a range, both included; whole numbers if the key takes them.
        log: whether the range is searched on a logarithmic scale.
        choices: the values, as typed, if it is no range.
    """

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Space:
        """Parse ``KEY=LOW:HIGH``, ``KEY=log:LOW:HIGH`` or ``KEY=A,B,C``.

        Raises:
            ConfigError: it has another form, or the range is empty.
        """
        key, equals, values = (part.strip() for part in text.partition("="))
        if not (key and equals and values):
            raise ConfigError(f"--space {text}: no KEY=VALUES. Use KEY=LOW:HIGH, KEY=log:LOW:HIGH or KEY=A,B,C.")
        if ":" not in values:
            return cls(key, choices=tuple(value.strip() for value in values.split(",")))
        log = values.startswith("log:")
        try:
            low, high = (float(end) for end in values.removeprefix("log:").split(":"))
        except ValueError as e:
            raise ConfigError(f"--space {text}: no range. Use LOW:HIGH or log:LOW:HIGH, with two numbers.") from e
        if not low < high:
            raise ConfigError(f"--space {text}: an empty range. The first number must be the smaller one.")
        if log and low <= 0:
            raise ConfigError(f"--space {text}: a logarithmic range begins above 0.")
        return cls(key, low, high, log)

    def ends(self) -> tuple[Any, ...]:
        """The values to check: all choices, or both ends."""
        return self.choices or (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether a config's value is one of the space."""
        if self.choices:
            return str(value) in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def suggest(self, trial: optuna.Trial, whole: bool) -> Any:
        """The sampler's value for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)


def tune(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]],
    spaces: Sequence[str],
    *,
    trials: int = 50,
    sampler: str = "tpe",
    pruner: str = "median",
    seed: int | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    exp_name: str | None = None,
    overrides: Sequence[str] = (),
    out: Callable[[str], None] = say,
    **options: Any,
) -> int:
    """Search for the settings with the highest score at the end of training.

    A trial trains to ``run.env_step``, however good it is. Its score is the mean of its last ``run.stop_window``
    evaluations, from jittered starts where there are some. The first trial has the config's own settings.

    Args:
        input_cfg: see `serial_pipeline`.
        spaces: see `Space.parse`.
        trials: trials in all, those of earlier calls with this folder included.
        sampler: ``tpe`` (Bergstra et al. 2011) or ``random``.
        pruner: ``median`` stops a trial that is worse than half of the others at that env step, once its exploration
            has ended; ``none`` stops none.
        seed: of the sampler and of every trial; None uses the config's.
        jobs: trials at a time; None: one per core, divided by ``run.workers``.
        ray: address of a Ray cluster (see `dimix.machine.ray_jobs.RayCluster`) whose nodes train them; None: the cores
            of this machine.
        exp_name: folder of the study; None makes ``<config>_tune``. One that is there is continued.
        overrides: ``dotted.key=value`` texts, for every trial.
        out: called with each line of output.
        options: further options of `serial_pipeline`.

    Returns:
        Exit status: 0 if all trials have ended, 130 if a signal stopped them.

    Raises:
        ConfigError: Optuna or Ray is missing, a config or range is invalid, or no cluster answers; raised before
            anything starts.
    """
    optuna = _import_optuna()
    searched = [Space.parse(text) for text in spaces]
    to_the_end = [*overrides, "env.stop_value=1e9"]
    same = dict(seed=seed, **options)
    compiled = _checked(input_cfg, searched, to_the_end, same)
    folder = Path(exp_name or f"{compiled.source.stem}_tune")
    if ray is not None:
        folder = Path(below_here("--exp-name", folder))
    with launcher(compiled, ray) as (run, config, room):
        try:
            make_writable_folder(folder)
        except OSError as e:
            raise OutputError(f"{folder}: {e.strerror}. Give another place with --exp-name.") from e
        search = _Search(optuna, compiled, searched, folder, sampler, pruner, out)
        at_a_time, length = jobs or room, short(compiled.cfg.run.env_step)
        where = "" if ray is None else f" on the Ray cluster {ray}"
        out(f"{trials} trials of {length} env steps, {at_a_time} at a time{where}, in {folder}/")
        if ray is None:
            compile_once(compiled, out)
        of_all = {**same, "input_cfg": input_cfg if config is None else config, "overrides": to_the_end}
        children = run(search.jobs(trials, of_all), at_a_time, search)
    search.report()
    if search.best_first:
        best, file = search.best_first[0], folder / "best_config.py"
        chosen = [f"{key}={value}" for key, value in best.params.items()]
        winner = compile_all(input_cfg, overrides=[*overrides, *chosen], **same)
        _write(winner, file, f"Trial {best.number} of the search in {folder.name}: score {best.value:.3f}.")
        out(f"best        dimix -m serial -c {quote(file)} -s 100-102    (seeds that the search did not see)")
    return 130 if any(child.signalled and not search.gave_up(child) for child in children) else 0


def _checked(
    input_cfg: Any, spaces: Sequence[Space], overrides: Sequence[str], options: Mapping[str, Any]
) -> CompiledConfig:
    """The config, once it is known to work with all values of the spaces, too."""
    if len({space.key for space in spaces}) < len(spaces):
        raise ConfigError("--space: a key named more than once. Give each key once.")
    compiled = compile_all(input_cfg, overrides=overrides, **options)
    for space in spaces:
        for value in space.ends():
            compile_all(input_cfg, overrides=[*overrides, f"{space.key}={value}"], **options)
    if compiled.cfg.run.env_step is None:
        raise ConfigError("run.env_step: None. A search compares runs of one length; give --env-step.")
    make_callbacks(compiled)
    return compiled


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as e:
        raise ConfigError("-m tune: the package optuna is missing. Run: pip install 'dimix[tune]'") from e
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _Search(Watcher):
    """Asks the study for trials, tells it how they go, and stops the hopeless ones."""

    def __init__(
        self,
        optuna: Any,
        compiled: CompiledConfig,
        spaces: Sequence[Space],
        folder: Path,
        sampler: str,
        pruner: str,
        out: Callable[[str], None],
    ) -> None:
        self._optuna, self._states = optuna, optuna.trial.TrialState
        self._cfg, self._spaces, self._folder, self._out = compiled.cfg, spaces, folder, out
        samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        pruners = {"median": optuna.pruners.MedianPruner, "none": optuna.pruners.NopPruner}
        self.study = optuna.create_study(
            study_name="dimix",
            storage=f"sqlite:///{folder / 'study.db'}",
            sampler=samplers[sampler](seed=compiled.cfg.seed),
            pruner=pruners[pruner](),
            direction="maximize",
            load_if_exists=True,
        )
        self._metric = "eval/battle_won" if compiled.info.has_win else "eval/ep_reward"
        self._running: dict[str, Any] = {}  # trial by the name of its job
        self._hopeless: set[str] = set()  # names of jobs
        self._check_same()
        if not self.study.trials:
            own = {space.key: lookup(self._cfg, space.key) for space in spaces}
            if all(space.holds(own[space.key]) for space in spaces):
                self.study.enqueue_trial({s.key: str(own[s.key]) if s.choices else own[s.key] for s in spaces})
        for trial in self.study.trials:
            if trial.state == self._states.RUNNING:  # of a search that was killed
                self._interrupt(trial.number)

    def _check_same(self) -> None:
        mine = {"spaces": sorted(map(str, self._spaces)), "env_step": self._cfg.run.env_step}
        for name, value in mine.items():
            if (before := self.study.user_attrs.get(name, value)) != value:
                raise ConfigError(
                    f"--exp-name {self._folder}: the search there has {name} {before}, this one {value}. Give another "
                    "folder, or the same search to continue it."
                )
            self.study.set_user_attr(name, value)

    def _interrupt(self, number: int) -> None:
        """Give up a trial that was stopped; its settings are tried once more, from the start."""
        self.study.tell(number, state=self._states.FAIL)
        self.study.set_user_attr("interrupted", self._interrupted + 1)
        self.study.enqueue_trial(self.study.trials[number].params)

    @property
    def _interrupted(self) -> int:
        return self.study.user_attrs.get("interrupted", 0)

    def gave_up(self, child: Child) -> bool:
        """Whether the pruner stopped a trial."""
        return child.job.name in self._hopeless

    @property
    def best_first(self) -> list[Any]:
        """Trials that trained to the end, the best first."""
        return sorted(self.study.get_trials(states=(self._states.COMPLETE,)), key=lambda trial: -trial.value)

    def jobs(self, trials: int, same: Mapping[str, Any]) -> Iterator[Job]:
        """The trainings to do until there are so many trials, one by one."""
        begun = [trial for trial in self.study.trials if trial.state != self._states.WAITING]
        for _ in range(trials + self._interrupted - len(begun)):
            trial = self.study.ask()
            chosen = [
                f"{space.key}={space.suggest(trial, isinstance(lookup(self._cfg, space.key), int))}"
                for space in self._spaces
            ]
            name, folder = f"trial {trial.number}", self._folder / f"trial{trial.number}"
            self._running[name] = trial
            trial.set_user_attr("folder", str(folder))
            options = {**same, "overrides": [*same["overrides"], *chosen], "exp_name": str(folder), "announce": False}
            yield Job(name, train_seed, options, (f"{folder}/**/*",), {"go_on": True})

    def tick(self, running: list[Child]) -> None:
        """Report the evaluations of the running trials, and stop those that the pruner gives up."""
        for child in running:
            trial = self._running[child.job.name]
            steps, scores = self._scores(trial)
            points = {
                int(step * POINTS / self._cfg.run.env_step): score for step, score in zip(steps, scores, strict=True)
            }
            for point in sorted(points.keys() - self.study.trials[trial.number].intermediate_values.keys()):
                trial.report(points[point], point)
            if not child.signalled and self._has_explored(trial, steps) and trial.should_prune():
                self._hopeless.add(child.job.name)
                child.process.terminate()
                child.signalled = True

    def _has_explored(self, trial: Any, steps: np.ndarray) -> bool:
        """Whether epsilon has fallen to its end, given the env steps of a trial's evaluations."""
        eps = self._cfg.policy.other.eps
        decay = trial.params.get("policy.other.eps.decay", eps.decay)
        return len(steps) > 0 and (eps.type == "constant" or bool(steps[-1] > decay))

    def ended(self, child: Child) -> None:
        """Tell the study and the user how a trial ended."""
        trial, failed, result = self._running.pop(child.job.name), self._states.FAIL, child.result
        if child.error is not None:
            self.study.tell(trial, state=failed)
            said = f"failed: {first_line(child.error)}"
        elif child.job.name in self._hopeless:
            self.study.tell(trial, state=self._states.PRUNED)
            said = "pruned"
        elif result is None or result["reason"].startswith("SIG"):
            self._interrupt(trial.number)
            said = "stopped; it is tried again when the search goes on"
        else:
            score = float(np.mean(self._scores(trial)[1][-self._cfg.run.stop_window :]))
            self.study.tell(trial, score)
            said = f"score {score:.3f}"
        self._out(f"{child.job.name}: {said} ({', '.join(_settings(trial.params))})")

    def _scores(self, trial: Any) -> tuple[np.ndarray, np.ndarray]:
        """Env steps and scores of a trial's evaluations so far."""
        try:
            run = read_run(trial.user_attrs["folder"])
        except OutputError:  # it has only just begun
            return np.zeros(0), np.zeros(0)
        steps, _, scores = run.curve("eval/battle_won_jitter")
        if not len(steps):
            steps, _, scores = run.curve(self._metric)
        return steps, scores

    def report(self) -> None:
        """Print the best trials, and draw how much each key mattered."""
        best = self.best_first
        rows = [("trial", "score", *(space.key for space in self._spaces))]
        for t in best[:_SHOWN]:
            rows.append((str(t.number), f"{t.value:.3f}", *(_text(t.params[s.key]) for s in self._spaces)))
        self._out(aligned(rows))
        self._out(f"{len(best)} of {len(self.study.trials)} trials trained to the end")
        if len({trial.value for trial in best}) > 1:
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            importance = self._optuna.importance.get_param_importances(self.study, evaluator=evaluator)
            figure, (axis,) = panel_grid(1, 6.0, 1 + 0.4 * len(importance))
            axis.barh(list(importance)[::-1], list(importance.values())[::-1])
            axis.set_xlabel("share of the score's variation (PED-ANOVA)")
            figure.savefig(self._folder / "importance.png", dpi=150, bbox_inches="tight")
            self._out(f"importance  {self._folder / 'importance.png'}")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _settings(params: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_text(value)}" for key, value in params.items()]


def _write(compiled: CompiledConfig, path: Path, head: str) -> None:
    main, create = compiled.settings()
    keep_inputs(compiled.inputs, path.parent)
    write_config(path, {**main, "exp_name": None}, create, head, compiled.inputs)
