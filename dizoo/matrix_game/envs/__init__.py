"""The matrix games as a batch environment."""
