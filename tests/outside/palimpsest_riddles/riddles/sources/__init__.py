"""The sources of riddles, a module each."""
