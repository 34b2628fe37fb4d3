"""Environments, stepped as batches of games."""
