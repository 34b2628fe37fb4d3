"""PettingZoo as dimix environments."""
