"""Stages for Markov chains that replace the general stages, because their models read states instead of text."""
