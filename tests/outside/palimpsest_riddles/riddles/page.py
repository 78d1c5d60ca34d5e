"""The page of the report: how near each method comes to Retrain, and what it keeps."""

import pandas as pd

from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Grid, metric_panels
from palimpsest.report.question import Answer, Question

SHOWN = {"riddle_gap": "Gap to Retrain", "riddle_retained": "Probability of what is retained"}


def _find(evidence: Evidence) -> list[Place]:
    return evidence.finished(*SHOWN)


def _show(evidence: Evidence, places: list[Place]) -> Answer:
    return Answer(
        figure=Grid([(place.title, metric_panels("dots", place.rows, SHOWN)) for place in places]),
        alt="Gap to Retrain on the forget set, and probability of the retain set, a mark a model.",
        caption="Left: by how much the riddles to be forgotten are likelier than Retrain finds them; 0 is best. Right: the mean "
        "probability of the answers that are retained; more is better.",
        numbers=pd.concat([place.rows for place in places]),
    )


QUESTIONS = (Question("riddles", "Are the riddles forgotten?", "palimpsest-riddles", _find, _show),)
