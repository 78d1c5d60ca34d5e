"""Where results go: experiment trackers, model cards, the Hub, samples of lm-eval, a description with citations."""
