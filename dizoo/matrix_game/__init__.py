"""Games small enough to know the answer."""
