"""The settings of the suite."""

from typing import Literal

from palimpsest.evaluation.suite import Suite


class RiddleSuite(Suite):
    """How likely the answers to riddles are."""

    compares_with = ("retrain",)

    kind: Literal["riddles"]
    """The riddles of both sets."""


SETTINGS = RiddleSuite
