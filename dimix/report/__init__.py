"""A run explained on one page: settings, curves, results, games, and what looks wrong."""

from dimix.report.write import report

__all__ = ["report"]
