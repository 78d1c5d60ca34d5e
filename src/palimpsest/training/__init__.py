"""The training loop, its losses and checkpoints, and the reference log-probabilities."""
