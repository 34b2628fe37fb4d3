"""Moved: `dizoo.smac.battle.teams.floors`."""

from dizoo.smac.battle.teams.floors import *  # noqa: F403
from dizoo.smac.battle.teams.floors import main

if __name__ == "__main__":
    raise SystemExit(main())
