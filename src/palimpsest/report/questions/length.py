"""Short and long answers: forget quality on each half of the forget set, halved by the length of its answers."""

import pandas as pd

from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.questions._halves import Halved, Halving, draw, gap_sentence, halved, quality_sentence, text_table
from palimpsest.report.words import QUALITY, against_paper, both_fail, format_quality, under_titles, variants_shown

QUESTION = "Does forgetting depend on the length of the answer?"
PAPER = "Fig. 2"
HALVING = Halving(("shortest", "longest"), ("shorter", "longer"), "original")


def answer(evidence: Evidence) -> Answer | None:
    """Compare forgetting the shorter half of the answers with forgetting the longer."""
    found = halved(evidence, HALVING)
    if not found:
        return None
    return Answer(
        findings=under_titles([(of.place.title, sentence) for of in found for sentence in _sentences(of)]),
        figure=draw(found, "Original"),
        alt="Forget quality of each method on the shorter and the longer half of the answers, and its truth ratios.",
        caption="The forget set halved by the number of tokens in its answers. Left: forget quality on each half against "
        "Retrain; large, the mean over seeds. Right: cumulative distributions of the truth ratio over the answers of all "
        "seeds; the nearer to Retrain's, the better forgotten." + variants_shown(model for of in found for model in of.models),
        numbers=pd.concat([of.numbers for of in found], ignore_index=True),
        table=text_table(found),
    )


def _sentences(of: Halved) -> list[str]:
    sentences = []
    if of.has("npo"):
        short, long = (of.by_seed(QUALITY, "npo", side) for side in (0, 1))
        sentences.append(
            against_paper(
                (long - short).dropna(),
                "NPO forgets short answers worse than long ones",
                "NPO forgets long answers worse than short ones",
                f"forget quality {format_quality(short.mean())} on the shorter half and {format_quality(long.mean())} on the "
                f"longer{both_fail(short.mean(), long.mean())} (paper: 0.58 and 0.81)",
            )
        )
    return [
        *sentences,
        gap_sentence(of, "NPO depends more on the length than SimNPO", "NPO depends less on the length than SimNPO"),
        quality_sentence(of),
    ]
