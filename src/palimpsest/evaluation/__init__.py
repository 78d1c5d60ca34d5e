"""Evaluation: run a model over the items of a suite."""
