"""Ready-made training configs, one file per map and algorithm: each states what differs from the default recipe."""
