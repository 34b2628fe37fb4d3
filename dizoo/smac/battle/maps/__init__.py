"""Maps, units, rules, and the scenario that combines them."""
