"""The benchmark of kind muse."""
