"""How deep unlearning goes: the depth score of each model, and what the head reads from each layer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from palimpsest.evaluation.depth.scores import METRICS
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Panel
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import of_models
from palimpsest.report.tables import Table, columns_of, numbers_of, points_of, score_tables

SCORE, LENS = "depth_score", "lens_probability_"


@dataclass(frozen=True)
class Depth(Found):
    """The depth score of each model of one table, and the probability of forget answers by layer."""

    scored: Table = field(kw_only=True)
    lens: pd.DataFrame = field(kw_only=True)

    def panels(self) -> Iterator[Panel]:
        """Yield a panel of scores and one of the logit lens."""
        yield Panel("dots", points_of(self.scored, SCORE), "Depth score", Axis(zero=True), levels=self.scored.levels(SCORE))
        yield Panel("curves", self.lens, "Logit lens", Axis("Layer"), Axis("Probability", zero=True))

    def facts(self) -> Iterator[str]:
        """Yield which method goes deepest."""
        if best := self.scored.best(self.scored.columns[0]):
            scores = ", ".join(f"{row.label} {row.cells[SCORE].mean:.2f}" for row in best)
            yield f"Deepest: {scores} (Original 0, Retrain 1)."


def _find(evidence: Evidence) -> Iterator[Depth]:
    for table in score_tables(evidence, columns_of(METRICS)):
        places = [place for place in evidence.finished(SCORE) if (place.block, place.suite) == (table.block, table.suite)]
        rows = of_models(pd.concat([place.rows for place in places]), table.models)
        rows = rows[rows["metric"].str.startswith(LENS)]
        lens = rows.assign(x=rows["metric"].str.removeprefix(LENS).astype(int), y=rows["value"]).sort_values(
            ["method", "seed", "x"]
        )
        yield Depth(table.title, table.models, numbers_of(table), scored=table, lens=lens)


QUESTIONS = (
    Question(
        "depth",
        "How deep does unlearning go?",
        "",
        _find,
        "Depth score of every model, and the probability of forget answers that the output head reads from each layer.",
        "Depth score (arXiv 2605.24614): the output of each layer of Original is replaced by the output of the model's layer, "
        "where the answer is predicted. The score is the share of the loss in probability that Retrain's layers cause: 0 if the "
        "model's layers hold as much of the forget set as Original's, 1 if they hold as little as Retrain's. Logit lens: the "
        "probability of forget answers if the output head reads a layer directly. Marks and lines are means over seeds.",
        short="Depth",
    ),
)
