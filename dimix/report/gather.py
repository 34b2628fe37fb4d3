"""Collects what a report shows: evidence for the findings, settings that differ from the defaults, recorded games."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dimix.config.compile import CompiledConfig, compile_all, full_schema
from dimix.config.file import ConfigSource, read_written_config
from dimix.config.schema import walk
from dimix.entry.run_folder import RunFolder
from dimix.errors import DimixError
from dimix.machine.plain import flat, plain
from dimix.plot.runs import Run
from dimix.report.findings import Evidence

_STEP = re.compile(r"_step(\d+)_(nominal|jittered)_")
#: Keys that say where and how long a run trained, not how.
_NO_SETTINGS = ("exp_name", "seed", "run.tensorboard", "create_config")

Out = Callable[[str], None]


@dataclass(frozen=True)
class RunReport:
    """What a report shows of one run.

    Attributes:
        evidence: for the findings.
        settings: keys that differ from the defaults, with both values.
        replays: page with games of the first, a middle and the last evaluation; None if none were recorded.
    """

    evidence: Evidence
    settings: list[tuple[str, Any, Any]]
    replays: str | None

    @property
    def run(self) -> Run:
        """Its metrics and config."""
        return self.evidence.run


def gather(runs: Sequence[Run], out: Out) -> list[RunReport]:
    """Collect what a report shows of runs; ``out`` is called with a line about each thing that is missing."""
    compiled = [_compiled(run, out) for run in runs]
    floors = {str(c.cfg.env): dict(c.env_class.floors(c.branch("env"))) for c in compiled if c is not None}
    return [
        _gather(
            run, c, {} if c is None else floors[str(c.cfg.env)] | _open_loop(c, zip(runs, compiled, strict=True)), out
        )
        for run, c in zip(runs, compiled, strict=True)
    ]


def _gather(run: Run, compiled: CompiledConfig | None, floors: Mapping[str, float], out: Out) -> RunReport:
    if compiled is None:
        return RunReport(Evidence(run), [], None)
    by_step = _games_by_step(run.folder)
    try:
        last = compiled.env_class.game_ends(by_step[max(by_step)]) if by_step else []
        replays = _replay_page(compiled, [games[0] for games in spread(list(by_step.values()))]) if by_step else None
    except DimixError as e:
        out(f"{run.folder}: its recorded games are left out: {e}")
        last, replays = [], None
    evidence = Evidence(run, compiled.info.episode_limit, last, floors)
    return RunReport(evidence, changed_settings(compiled), replays)


def changed_settings(compiled: CompiledConfig) -> list[tuple[str, Any, Any]]:
    """Key, value and default of each setting that a run's config changes."""
    main, _ = compiled.settings()
    callbacks = main["run"]["callbacks"]
    mixer = main["policy"]["model"].get("mixer")
    schema = full_schema(compiled.env_class, compiled.policy_class, compiled.model_class, None, mixer)
    usual = {key: plain(rule.default) for key, rule in walk(schema)}
    rows = [(key, value, usual.get(key)) for key, value in flat({**main, "run": {**main["run"], "callbacks": {}}})]
    rows += [(f"run.callbacks.{name}", value, None) for name, value in callbacks.items()]
    return [row for row in rows if row[1] != row[2] and not row[0].startswith(_NO_SETTINGS)]


def spread(items: Sequence[Any], count: int = 3) -> list[Any]:
    """The first, the last and evenly spaced ones between, at most ``count``, in order."""
    places = dict.fromkeys(round(i * (len(items) - 1) / (count - 1)) for i in range(count))
    return [items[place] for place in places] if items else []


def _compiled(run: Run, out: Out) -> CompiledConfig | None:
    """A run's config with its classes; None, and a line, if they are not here."""
    path = run.folder / "total_config.py"
    try:
        return compile_all(ConfigSource(*read_written_config(path), path.name, None))
    except DimixError as e:
        out(f"{run.folder}: settings, games and floors are left out: {str(e).splitlines()[0]}")
        return None


def _open_loop(compiled: CompiledConfig, others: Iterable[tuple[Run, CompiledConfig | None]]) -> dict[str, float]:
    """The win rate of the best given run on the same map whose agents see only the time."""
    if compiled.cfg.env.get("open_loop", True):
        return {}
    blind = [
        Evidence(run).last("eval/battle_won")
        for run, other in others
        if other is not None and other.cfg.env.get("open_loop") and other.info.name == compiled.info.name
    ]
    return {"open loop": max(blind)} if blind else {}


def _games_by_step(folder: Path) -> dict[int, list[Path]]:
    """Recorded games by the env step of their evaluation, in order; those from the map's own start first."""
    found: dict[int, list[Path]] = {}
    named = [(match, path) for path in RunFolder(folder).replays.glob("*") if (match := _STEP.search(path.name))]
    for match, path in sorted(named, key=lambda item: (int(item[0][1]), item[0][2] == "jittered", item[1].name)):
        found.setdefault(int(match[1]), []).append(path)
    return found


def _replay_page(compiled: CompiledConfig, games: Sequence[Path]) -> str | None:
    with TemporaryDirectory() as folder:
        page = Path(folder) / "games.html"
        shown = compiled.env_class.show_replays(games, page, lambda line: None)
        return page.read_text("utf-8") if shown else None
