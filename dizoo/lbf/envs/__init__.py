"""Level-based foraging as a dimix environment."""
