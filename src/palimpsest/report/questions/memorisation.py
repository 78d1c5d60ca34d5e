"""Strongly and weakly memorised data: unlearning the whole forget set from a model that learnt its first half alone."""

import pandas as pd

from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.names import compared, method_name
from palimpsest.report.questions._halves import (
    SIDES,
    Halved,
    Halving,
    draw,
    gap_sentence,
    halved,
    quality_sentence,
    text_table,
)
from palimpsest.report.words import against_paper, joined, under_titles, variants_shown

QUESTION = "Does NPO waste power on weakly memorised data?"
PAPER = "App. C, Fig. 1b and Table A2"
HALVING = Halving(("first_half", "second_half"), ("learnt", "unseen"), "original-half")


def answer(evidence: Evidence) -> Answer | None:
    """Compare forgetting what the start model had learnt with forgetting what it had never seen."""
    found = halved(evidence, HALVING)
    if not found:
        return None
    return Answer(
        findings=under_titles([(of.place.title, sentence) for of in found for sentence in _sentences(of)]),
        figure=draw(found, "Before unlearning"),
        alt="Forget quality and truth ratios of each method on the half of the forget set that its start model had learnt, "
        "and on the half that it had never seen.",
        caption="Unlearning the whole forget set from a model that learnt its first half alone (D_f1, learnt) and never saw "
        "the second (D_f2, unseen). Left: forget quality on each half against Retrain; large, the mean over seeds. "
        "Right: cumulative distributions of the truth ratio over the answers of all seeds; a curve to the left of Retrain's is "
        "of a model that knows less than one that never saw the data."
        + variants_shown(model for of in found for model in of.models),
        numbers=pd.concat([of.numbers for of in found], ignore_index=True),
        table=text_table(found),
    )


def _sentences(of: Halved) -> list[str]:
    sentences = [
        gap_sentence(
            of,
            "NPO forgets the two halves less evenly than SimNPO",
            "NPO forgets the two halves more evenly than SimNPO",
        )
    ]
    if of.has("npo", "simnpo"):
        npo, simnpo = (of.by_seed("shift", method, 1).abs() for method in ("npo", "simnpo"))
        sentences.append(
            against_paper(
                (npo - simnpo).dropna(),
                "NPO pushes what was never memorised further from Retrain than SimNPO does",
                "NPO leaves what was never memorised nearer to Retrain than SimNPO does",
                f"on the unseen half the mean log truth ratio is {npo.mean():.2f} and {simnpo.mean():.2f} away from Retrain's",
            )
        )
    return [*sentences, quality_sentence(of), _shift_sentence(of)]


def _shift_sentence(of: Halved) -> str:
    parts = []
    for method in compared(method for method, _ in of.models):
        learnt, unseen = (f"{of.mean('shift', method, side):+z.2f}" for side in SIDES)
        parts.append(f"{learnt} on the learnt and {unseen} on the unseen half for {method_name(method)}")
    return f"The mean log truth ratio less Retrain's is {joined(parts)} ({of.over_seeds}); less than 0 means knowing less."
