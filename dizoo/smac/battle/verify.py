"""Moved: `dizoo.smac.battle.recording.verify`."""

from dizoo.smac.battle.recording.verify import *  # noqa: F403
from dizoo.smac.battle.recording.verify import main

if __name__ == "__main__":
    raise SystemExit(main())
