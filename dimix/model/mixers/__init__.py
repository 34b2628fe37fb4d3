"""From agents' values to a team value."""
