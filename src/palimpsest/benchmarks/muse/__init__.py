"""MUSE: news and books (arXiv 2407.06460)."""
