"""Ready-made training configs of the matrix games."""
