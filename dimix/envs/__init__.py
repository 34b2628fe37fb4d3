"""Environments as whole batches of games."""
