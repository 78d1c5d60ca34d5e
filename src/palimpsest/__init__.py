"""Palimpsest: a workflow that unlearns, attacks and evaluates language models and traces every number to its files."""
