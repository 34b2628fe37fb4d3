"""Battles kept: replays to look at, traces to hold the engine to."""
