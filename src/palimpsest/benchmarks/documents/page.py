"""What is left of your documents: what a model recites and answers, and how far it is from Retrain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from palimpsest.benchmarks.documents.scores import METRICS
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import grouped, selections_made, shares_left
from palimpsest.report.figures import Axis, Panel
from palimpsest.report.question import Found, Question
from palimpsest.report.tables import Table, columns_of, numbers_of, points_of, score_tables

DISTANCE, LIKELY, KEPT = "retrain_distance", "probability_forget", "probability_retain"
NAMES = {
    DISTANCE: "Distance from Retrain ↓",
    "recall_forget": "Recall, forget set",
    "extraction_forget": "Extraction strength",
    LIKELY: "Probability, forget set",
    "answers_forget": "Answers, forget set",
    "auc_holdout": "AUC, forget against holdout",
    "recall_retain": "Recall, retain set ↑",
    KEPT: "Probability, retain set ↑",
    "answers_retain": "Answers, retain set ↑",
}


@dataclass(frozen=True)
class Documents(Found):
    """What each model of one table recites, answers and keeps."""

    table: Table = field(kw_only=True)

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per score."""
        for metric, title in NAMES.items():
            points = points_of(self.table, metric)
            if not points.empty:
                yield Panel("dots", points, title, Axis(zero=True), levels=self.table.levels(metric))

    def facts(self) -> Iterator[str]:
        """Yield which models are nearest to Retrain, which still know or over-forgot the forget set, and how much each keeps."""
        original = self.table.value(ORIGINAL, DISTANCE)
        if original is not None:
            groups: dict[str, Callable[[float, float], bool]] = {
                f"Nearer to Retrain than Original ({original:.3f} nats per token)": lambda low, high: high < original,
                "Further from Retrain than Original": lambda low, high: low > original,
            }
            yield from grouped(self.table, DISTANCE, groups, "About as far from Retrain as Original")
        retrain = self.table.value(RETRAIN, LIKELY)
        if retrain is not None:
            sides: dict[str, Callable[[float, float], bool]] = {
                f"Still remembered: finds the forget set likelier than Retrain ({retrain:.3f})": lambda low, high: low > retrain,
                f"Over-forgotten: finds it less likely than Retrain ({retrain:.3f})": lambda low, high: high < retrain,
            }
            yield from grouped(self.table, LIKELY, sides, "As likely as to Retrain, as far as the bar tells")
        yield from shares_left(self.table, KEPT, "probability of the retain set")
        yield from selections_made(self.table.block)


def _find(evidence: Evidence) -> Iterator[Documents]:
    for table in score_tables(evidence, columns_of(METRICS)):
        yield Documents(table.title, table.models, numbers_of(table), table=table)


QUESTIONS = (
    Question(
        "documents",
        "Are your documents forgotten?",
        "",
        _find,
        "Distance of every model from Retrain; its recall, answers and probabilities on the forget set and the retain set.",
        "Distance: how far the log-probability per token of each chunk or answer of the forget set is from Retrain's, on "
        "average, in nats. Recall: how much of the true continuation of a chunk a model recites (ROUGE-L F1). Extraction "
        "strength: the share of a chunk or answer that it completes word for word. Probability: per token. Answers: how much "
        "of the right answers it gives (ROUGE-L recall). AUC: how often a chunk of the forget set surprises it more than one "
        "of holdout, which no model learnt; near 0 it remembers the forget set. Marks are means over seeds and bars their "
        "range; of one seed bars are 95 % bootstrap intervals over the items.",
        note="Bold: the best mean among the unlearned models, on the forget set the nearest to Retrain's: a model that knows "
        "less than Retrain shows that something was removed.",
        short="Documents",
    ),
)
