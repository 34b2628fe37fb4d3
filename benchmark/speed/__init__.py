"""How fast and how large: simulator, learner, training, environments, replay memory."""
