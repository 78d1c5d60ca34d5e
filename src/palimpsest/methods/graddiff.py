"""Gradient difference (GradDiff): gradient ascent on the forget set, the usual loss on the retain set."""

from palimpsest.methods.ga import GA


class GradDiff(GA):
    """Gradient ascent on the forget answers with a retain loss (TOFU, Sec. 3.2)."""

    colour = "#56B4E9"
    marker = "v"
    retain_loss = "ce"
