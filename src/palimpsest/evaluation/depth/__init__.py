"""Depth: how much of the forget set single decoder layers still hold, by activation patching and by the logit lens."""
