"""Moved: `dizoo.smac.battle.recording.recorder`."""

from dizoo.smac.battle.recording.recorder import *  # noqa: F403
