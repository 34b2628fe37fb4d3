"""Level-based foraging: teams that collect food together."""
