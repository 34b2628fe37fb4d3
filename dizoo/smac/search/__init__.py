"""Search above the engine: plans that win a map, teams that search, starts taken from won games."""
