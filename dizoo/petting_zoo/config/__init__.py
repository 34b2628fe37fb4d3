"""Ready-made training configs of PettingZoo's environments."""
