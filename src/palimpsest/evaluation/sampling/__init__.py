"""A suite that samples several answers to each forget question, and estimates what the best of k of them gives away."""
