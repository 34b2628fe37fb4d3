"""How well training runs learn: cells of map, policy and seed, their queue, rows, report."""
