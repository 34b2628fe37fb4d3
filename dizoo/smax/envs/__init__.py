"""JaxMARL's SMAX as a batch environment."""
