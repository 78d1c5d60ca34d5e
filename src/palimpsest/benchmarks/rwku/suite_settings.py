"""The settings of RWKU's suite."""

from typing import Literal

from palimpsest.evaluation.suite import Aim, Reading, Suite, Tokens
from palimpsest.settings import Count

# About how many probes a person has in all.
PROBES = 100


class RwkuSuite(Suite):
    """Probes of knowledge about the people to forget and about their neighbours, and losses of texts (RWKU, arXiv 2406.10890)."""

    aims = (
        Aim("forgotten", "knowledge of the people to forget", distance="recall_questions"),
        Aim("recall_neighbour_questions", "knowledge of their neighbours"),
    )
    judged = {"questions": "forget", "neighbour_questions": "retain"}

    kind: Literal["rwku"]
    """The probes of RWKU."""
    max_items: Count | None = None
    """Ask only N probes of each kind, and score N texts, evenly spaced; null: all."""
    max_new_tokens: Tokens = 30
    """Maximum length of an answer in tokens."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: the texts for membership, and the answers to all probes."""
        return Reading(2 * forget, (5 * self.max_items if self.max_items else PROBES) * self.max_new_tokens)


SETTINGS = RwkuSuite
