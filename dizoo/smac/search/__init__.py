"""Search on top of the engine: plans that win a map, teams that search, starts taken from won games."""
