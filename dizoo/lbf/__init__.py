"""Level-based foraging: teams that have to lift food together."""
