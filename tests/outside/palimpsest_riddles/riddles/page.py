"""The page of the report: how near each method comes to Retrain, and what it keeps."""

from collections.abc import Iterator

from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Panel, metric_panels
from palimpsest.report.question import Found, Question

SHOWN = {"riddle_gap": "Gap to Retrain", "riddle_retained": "Probability of what is retained"}


class Riddles(Found):
    """The scores of one place."""

    def panels(self) -> list[Panel]:
        """Return a panel per metric, a mark per model."""
        return metric_panels("dots", self.numbers, SHOWN)


def _find(evidence: Evidence) -> Iterator[Riddles]:
    for place in evidence.finished(*SHOWN):
        yield Riddles(place.title, (), place.rows)


QUESTIONS = (
    Question(
        "riddles",
        "Are the riddles forgotten?",
        "palimpsest-riddles",
        _find,
        "Gap to Retrain on the forget set, and probability of the retain set, a mark a model.",
        "Left: by how much the riddles to be forgotten are likelier than Retrain finds them; 0 is best. Right: the mean "
        "probability of the answers that are retained; more is better.",
    ),
)
