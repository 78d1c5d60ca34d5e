"""The scores of one run, as tables, from its evaluations, attacks and trajectories."""
