"""The benchmark of kind markov."""
