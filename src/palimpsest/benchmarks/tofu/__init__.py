"""TOFU: questions about fictional authors (arXiv 2401.06121)."""

# The set of authors of whom no model learns.
HOLDOUT = "holdout"
