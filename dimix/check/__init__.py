"""Checks that this installation computes what the papers say: oracles, invariances, and games with known answers."""

from dimix.check.kit import CHECKS, Outcome, run_checks, table

__all__ = ["CHECKS", "Outcome", "run_checks", "table"]
