"""Ready-made training configs of level-based foraging."""
