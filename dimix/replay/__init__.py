"""What is learned from: batches, the replay buffer and how its rows are packed."""
