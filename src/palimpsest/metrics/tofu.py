"""The scores of the TOFU suite, composed from the metrics beside this module as the official aggregation does."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from palimpsest.metrics.forget_quality import ForgetQuality, forget_quality
from palimpsest.metrics.probability import answer_probability, choice_probability
from palimpsest.metrics.spread import mean_share
from palimpsest.metrics.truth_ratio import Array, forget_truth_ratio, log_truth_ratio, utility_truth_ratio
from palimpsest.metrics.utility import model_utility

UTILITY_SETS = ("retain", "real_authors", "world_facts")
SETS = ("forget", *UTILITY_SETS)
PARTS = tuple(f"{name}_{score}" for name in UTILITY_SETS for score in ("probability", "rouge", "truth_ratio"))


@dataclass(frozen=True)
class Items:
    """What one model says of one set: losses in nats per token, ROUGE-L recall and, where known, the questions.

    `answer` and `base` (items,), `perturbed` (items, perturbations), `rouge` (items,), or None where nothing was generated.
    `base` is the right answer of the truth ratio: the paraphrased one, or for real authors and world facts the answer itself.
    """

    answer: Array
    base: Array
    perturbed: Array
    rouge: Array | None = None
    questions: tuple[str, ...] | None = None
    unicode_words: int = 0
    """Of how many items ROUGE compares other words than those of `rouge_score` (`metrics.rouge`)."""

    def __len__(self) -> int:
        return len(self.answer)

    @cached_property
    def log_truth_ratio(self) -> Array:
        """The logarithm of the truth ratio, shape (items,)."""
        return log_truth_ratio(self.base, self.perturbed)


def tofu_scores(sets: Mapping[str, Items]) -> dict[str, float]:
    """Return probability, ROUGE and truth ratio of each set there is, and `model_utility` where all its parts are there.

    A set whose answers `rouge_score` cannot read all has `*_rouge_unicode_items` too, the number of those that it cannot.
    """
    scores: dict[str, float] = {}
    for name, items in sets.items():
        if name in ("forget", "retain"):
            scores[f"{name}_probability"] = answer_probability(items.answer)
        else:
            scores[f"{name}_probability"] = choice_probability(items.answer, items.perturbed)
        if items.rouge is not None:
            scores[f"{name}_rouge"] = mean_share(items.rouge)
        if items.unicode_words:
            scores[f"{name}_rouge_unicode_items"] = float(items.unicode_words)
        form = forget_truth_ratio if name == "forget" else utility_truth_ratio
        scores[f"{name}_truth_ratio"] = form(items.log_truth_ratio)
    if all(part in scores for part in PARTS):
        scores["model_utility"] = model_utility([scores[part] for part in PARTS])
    return scores


def compare_forget_sets(unlearned: Items, retrain: Items) -> ForgetQuality:
    """Return forget quality; the caller has seen to it that both cover the same questions."""
    return forget_quality(unlearned.log_truth_ratio, retrain.log_truth_ratio)
