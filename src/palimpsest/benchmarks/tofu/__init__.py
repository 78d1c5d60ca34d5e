"""TOFU: questions about fictional authors (arXiv 2401.06121)."""
