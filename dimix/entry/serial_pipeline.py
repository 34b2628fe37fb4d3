"""Train, from a config to the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dimix.callbacks import Callback
from dimix.config.compile import CompiledConfig, compile_all
from dimix.config.inputs import find_strays, from_origin
from dimix.entry.banner import banner
from dimix.entry.checkpoints import check_same_config, find_checkpoint, load_weights, read_run
from dimix.entry.rooms import Rooms, make_callbacks
from dimix.entry.run_folder import RunFolder
from dimix.entry.training_run import Result, TrainingRun
from dimix.entry.workers import follow, leading
from dimix.errors import ConfigError
from dimix.machine.ranks import torchrun_place
from dimix.machine.signals import StopSignals, say


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
    workers: int | str | None = None,
    callbacks: Sequence[Callback] = (),
    announce: bool = True,
    explain: bool = True,
    out: Callable[[str], None] = say,
) -> Result:
    """Train with a config.

    Args:
        input_cfg: path of a config file, or ``(main_config, create_config)``; None with ``resume=FOLDER``.
        seed: seed of every random stream; None uses the config's.
        exp_name: run folder; None uses the config's.
        env_step: stop after this many env steps.
        train_iter: stop after this many updates.
        load_path: checkpoint with the initial network weights, or a run folder (see `find_checkpoint`).
        resume: run folder to resume (or a checkpoint in it); True or an empty string: the last run of this config.
        overrides: ``dotted.key=value`` texts.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        workers: processes that train together, or ``auto``; None uses the config's, or all that torchrun started.
        callbacks: used in addition to ``run.callbacks`` of the config; see `dimix.callbacks.Callback`. Of
            several workers the first calls them.
        announce: print at the start what is trained, with its sizes.
        explain: print at the end what the run folder contains and how to use it.
        out: called with each line of output.

    Returns:
        How the run ended; ``result.json`` holds the same.

    Raises:
        ConfigError: the config is invalid; lists all problems.
        CheckpointError: ``load_path`` or ``resume`` cannot be used.
        TrainingError: the loss is no longer a number.
        OutputError: the run folder cannot be written.
        RankError: one of several processes is gone.
    """
    place = torchrun_place()
    if place is not None and place.rank > 0:
        return follow(place, out)
    if place is not None and workers not in (None, place.size):
        raise ConfigError(f"--workers {workers}: torchrun has started {place.size} processes. Leave the option out.")
    named: dict[str, Any] = dict(
        overrides=overrides, seed=seed, env_step=env_step, train_iter=train_iter, device=device
    )
    named["workers"] = place.size if place is not None else workers
    if resume is None or resume is False:
        if input_cfg is None:
            raise ConfigError("-c: no config. Give a config file, or a run folder to resume.")
        folder, compiled, saved = None, compile_all(input_cfg, exp_name=exp_name, **named), None
    else:
        if load_path is not None:
            raise ConfigError("--load-path with --resume: a resumed run has its own weights. Give one of the two.")
        folder, compiled, saved = _reopen(input_cfg, resume, exp_name, named)
    listed = make_callbacks(compiled)
    torch.set_num_threads(compiled.cfg.run.torch_threads)
    if notice := compiled.env_class.compile_notice():
        out(notice)
    with (
        StopSignals() as signals,
        leading(compiled, place, out) as ranks,
        closing(Rooms(compiled, out, ranks, signals)) as rooms,
    ):
        if load_path is not None:
            load_weights(rooms.policy, find_checkpoint(load_path), compiled, out)
            rooms.share_weights()
        folder = folder or RunFolder.create(compiled.cfg.exp_name)  # only now, when everything else is known to work
        with folder.locked():
            run = TrainingRun(compiled, rooms, folder, signals, [*listed, *callbacks], out)
            if saved is not None:
                run.load_state_dict(saved)
            if announce:
                out("\n".join(banner(compiled, rooms, str(folder.path))))
            if saved is not None:
                run.go_on(asked=_limits(saved["config"]["main"]["run"]) != _limits(compiled.cfg.run))
            result = run.train()
            rooms.end(result)
            if explain and not result.interrupted:
                out(folder.explain())
            return result


def _limits(run: Mapping[str, Any]) -> list[int | None]:
    return [run["env_step"], run["train_iter"]]


def _reopen(
    input_cfg: Any, resume: str | Path | bool, exp_name: str | None, named: dict[str, Any]
) -> tuple[RunFolder, CompiledConfig, dict[str, Any]]:
    """Folder, config and saved state of the run to resume."""
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
    inputs = saved.get("inputs", {})
    notes = [*compiled.notes, *find_strays(inputs, folder.path)]
    return folder, replace(compiled, inputs=from_origin(compiled.inputs, inputs), notes=notes), saved
