"""Markov chains, whose true distribution is known (SimNPO, arXiv 2410.07163, App. H)."""
