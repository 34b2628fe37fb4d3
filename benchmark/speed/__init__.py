"""Speed and memory of simulator, learner, training, environments and replay memory."""
