"""Recordings: replays for viewing, and traces for verifying the engine."""
