"""Level-based foraging behind dimix's contract."""
