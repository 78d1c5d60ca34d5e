"""Data that all benchmarks share: rows, prompts, splits, and checks of overlaps."""
