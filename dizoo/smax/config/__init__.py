"""Ready-made training configs of SMAX."""
