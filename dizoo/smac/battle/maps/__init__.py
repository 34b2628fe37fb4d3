"""What is fought where: maps, units, rules, and the scenario that they make."""
