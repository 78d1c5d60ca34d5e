"""The scores of one run: what its evaluations, attacks and trajectories come to, as tables."""
