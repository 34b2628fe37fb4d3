"""Trained teams outside of training: found by name, played step by step, exported."""

from dimix.team.runner import Agent, Team
from dimix.team.trained import load_team

__all__ = ["Agent", "Team", "load_team"]
