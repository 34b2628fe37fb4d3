"""Trains the teams that `teams.json` lists, measures them, and writes their weights beside it.

``python -m dizoo.teams [NAME]...``; without names, all of them. Each trains until its config's stop rule or
``env_step``, and is then measured in `GAMES` games of each kind of start, as it is stored: in half precision.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dimix.entry import eval_pipeline, serial_pipeline
from dimix.machine.checkpoint_file import FINAL, save_checkpoint
from dimix.team.files import ZooTeam, read_any, zoo_teams

GAMES = 128
LIST = Path(__file__).with_name("teams.json")


def make(team: ZooTeam) -> ZooTeam:
    """Train a team, write its checkpoint, and return it with its win rates."""
    with TemporaryDirectory() as folder:
        run = serial_pipeline(
            team.config,
            team.seed,
            exp_name=f"{folder}/run",
            env_step=team.env_step,
            overrides=[*team.overrides, "run.tensorboard=False"],
            explain=False,
        )
        save_checkpoint(team.path, weights_only(read_any(Path(run.run_folder) / "ckpt" / FINAL), team.name))
    games = eval_pipeline(load_path=team.path, n_episode=GAMES)
    moved = games.jitter
    return replace(team, won=games.nominal.battle_won, won_jitter=None if moved is None else moved.battle_won)


def weights_only(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A policy checkpoint's content with nothing but the network that evaluations play with, in half precision."""
    config, learn = content["config"], content["rooms"]["policy"]["learn"]
    averaged = config["main"]["policy"]["learn"]["average_theta"] < 1
    network = learn["averaged_model" if averaged else "model"]
    return {
        "kind": "team",
        "config": {**config, "main": {**config["main"], "exp_name": f"{name}_result"}},
        "env": content["env"],
        "inputs": {},  # a team of the zoo plays a map of the zoo
        "rooms": {"policy": {"learn": {"model": {key: value.half() for key, value in network.items()}}}},
        "env_step": content["env_step"],
    }


def write_list(teams: Sequence[ZooTeam]) -> None:
    """Write `teams.json`, one team per line."""
    rows = [{key: value for key, value in asdict(team).items() if key != "path"} for team in teams]
    LIST.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dizoo.teams", description="Train the teams of the zoo again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    names = parser.parse_args(argv).names
    teams = zoo_teams()
    if unknown := set(names) - teams.keys():
        parser.error(f"{', '.join(sorted(unknown))}: not in {LIST}, which lists {', '.join(teams)}.")
    for name in names or list(teams):
        teams[name] = make(teams[name])
        write_list(list(teams.values()))
        print(f"zoo:{name}: {teams[name]} ({teams[name].path.stat().st_size / 1000:.0f} kB)")
    return 0
