"""Stages that Markov chains bring in the place of the general ones: their models read states, not text."""
