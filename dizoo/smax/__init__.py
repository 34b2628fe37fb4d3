"""JaxMARL's SMAX."""
