"""Ready-made training configs, one file per map and algorithm: each states its differences from the default recipe."""
