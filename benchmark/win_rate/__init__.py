"""How well trainings learn: cells of map, policy and seed, their queue, rows, report."""
