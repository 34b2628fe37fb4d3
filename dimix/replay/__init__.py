"""Training data: batches, the replay buffer and its packed storage."""
