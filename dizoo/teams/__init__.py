"""Trained teams by name, ``zoo:NAME``; `dizoo.teams.make` trains them again."""
