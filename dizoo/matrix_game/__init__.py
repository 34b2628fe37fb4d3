"""Games small enough to know the best return."""
