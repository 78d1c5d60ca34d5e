"""Markov chains, of which the truth is known (SimNPO, arXiv 2410.07163, App. H)."""
