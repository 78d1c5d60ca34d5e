"""The items of the TOFU suite as inputs of metrics: the results of one model on each set."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from palimpsest.benchmarks.tofu import HOLDOUT
from palimpsest.benchmarks.tofu.metrics import log_truth_ratio
from palimpsest.benchmarks.tofu.questions import plain_question
from palimpsest.benchmarks.tofu.values import Names, Numbers, check_counts, check_losses, check_shares
from palimpsest.errors import UserError
from palimpsest.evaluation.completing import with_memorisation, with_rouge
from palimpsest.evaluation.items import count_unicode
from palimpsest.metrics.spread import Array

UTILITY_SETS = ("retain", "real_authors", "world_facts")
SETS = ("forget", *UTILITY_SETS)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Items:
    """The results of one model on one set: losses in nats per token, ROUGE-L recall and, if known, the questions.

    Shapes: `answer` and `base` (items,), `perturbed` (items, perturbations), `rouge` (items,) or None if nothing was generated.
    `base` is the right answer of the truth ratio: the paraphrased answer or, for real authors and world facts, the answer itself.
    """

    answer: Array
    base: Array
    perturbed: Array
    rouge: Array | None = None
    questions: tuple[str, ...] | None = None
    unicode_words: int = 0
    """The number of items whose answer ROUGE does not compare by the words of `rouge_score` (`metrics.rouge`)."""
    rows: pd.DataFrame | None = None
    """The rows of the suite's table; None for a log in another format."""

    def __len__(self) -> int:
        return len(self.answer)

    @cached_property
    def log_truth_ratio(self) -> Array:
        """The logarithm of the truth ratio, shape (items,)."""
        return log_truth_ratio(self.base, self.perturbed)

    def once(self, compute: Callable[[pd.DataFrame], Result]) -> Result:
        """Return what a function makes of the rows of the suite's table; several metrics read it, it is computed once."""
        assert self.rows is not None
        if compute not in self._computed:
            self._computed[compute] = compute(self.rows)
        found: Result = self._computed[compute]
        return found

    @cached_property
    def _computed(self) -> dict[Callable[[pd.DataFrame], Any], Any]:
        return {}

    def part(self, ids: Collection[str]) -> "Items":
        """Return the items with these ids, from a set of the suite's table."""
        assert self.rows is not None
        kept = self.rows["id"].isin(ids).to_numpy()
        return Items(
            answer=self.answer[kept],
            base=self.base[kept],
            perturbed=self.perturbed[kept],
            rouge=None if self.rouge is None else self.rouge[kept],
            questions=self.questions and tuple(compress(self.questions, kept)),
            rows=self.rows[kept],
        )


Sets = Mapping[str, Items]


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the suite with ROUGE and memorisation of each answer, as far as it has texts and hits."""

    def recalls(name: str, generation: str, answer: str) -> Sequence[float]:
        from palimpsest.metrics.rouge import rouge_recalls

        return rouge_recalls(generation, answer)

    return with_memorisation(with_rouge(table, ["rouge_1_recall", "rouge_l_recall"], recalls), "answer_hits")


def sets_from_table(frame: pd.DataFrame, source: object) -> dict[str, Items]:
    """Return the sets in a table of the suite; raises UserError that begins with `source` if the table is invalid."""
    if "set" not in frame:
        raise UserError(f"{source}: no column 'set'")
    frame = completed(frame)
    groups = {str(name): group for name, group in frame.groupby("set", sort=False, dropna=False)}
    if not groups or not set(groups) <= {*SETS, HOLDOUT}:
        raise UserError(
            f"{source}: column 'set' holds {', '.join(groups) or 'nothing'}: allowed are {', '.join((*SETS, HOLDOUT))}"
        )
    return {
        name: (holdout_from_table if name == HOLDOUT else items_from_table)(group, f"{source}: {name}")
        for name, group in groups.items()
    }


def holdout_from_table(frame: pd.DataFrame, source: object) -> Items:
    """Return the items of the holdout set, which have no wrong answers and no generated text; raises UserError like others."""
    try:
        ids = _ids(frame, source)
        answer = _per_token(_floats(frame["answer_nll"]), _floats(frame["answer_tokens"]), "answer", source, ids)
    except KeyError as error:
        raise UserError(f"{source}: no column {error}") from None
    return Items(answer=answer, base=answer, perturbed=np.empty((len(frame), 0)), rows=frame)


def items_from_table(frame: pd.DataFrame, source: object) -> Items:
    """Return the items of one set from rows with summed losses in nats and token counts; raises UserError like `read_sets`."""
    try:
        ids = _ids(frame, source)
        answer = _per_token(_floats(frame["answer_nll"]), _floats(frame["answer_tokens"]), "answer", source, ids)
        given = frame["paraphrased_tokens"].notna().to_numpy() | frame["paraphrased_nll"].notna().to_numpy()
        paraphrases, base = frame[given], answer.copy()
        base[given] = _per_token(
            _floats(paraphrases["paraphrased_nll"]), _floats(paraphrases["paraphrased_tokens"]), "paraphrased", source, ids[given]
        )
        perturbed = _per_token(
            matrix(frame["perturbed_nll"], source, "perturbed_nll"),
            matrix(frame["perturbed_tokens"], source, "perturbed_tokens"),
            "perturbed",
            source,
            ids,
        )
        rouge = _floats(frame["rouge_l_recall"]) if "rouge_l_recall" in frame else None
        if rouge is not None:
            check_shares(rouge, f"{source}: rouge_l_recall", ids)
        return Items(
            answer=answer,
            base=base,
            perturbed=perturbed,
            rouge=rouge,
            questions=tuple(plain_question(text) for text in frame["question"]),
            unicode_words=count_unicode(frame),
            rows=frame,
        )
    except KeyError as error:
        raise UserError(f"{source}: no column {error}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: not a table of losses and token counts: {error}") from None


def check_forget_sets(sets: Sets, source: object, retrain: Sets, retrain_source: object) -> None:
    """Raise UserError if a model and Retrain have different forget questions, or if one of them has none."""
    for given, place in ((sets, source), (retrain, retrain_source)):
        if "forget" not in given:
            raise UserError(f"{place}: no forget set, which forget quality needs; it has {', '.join(given)}")
    if mismatch := question_mismatch(sets["forget"], retrain["forget"]):
        raise UserError(f"{source}: other forget questions than Retrain in {retrain_source}: {mismatch}")


def question_mismatch(items: Items, other: Items) -> str | None:
    """Return the difference between the questions of two sets, regardless of their order; empty if there is none.

    If a set does not know its questions, the numbers of items are compared.
    """
    if len(items) != len(other):
        return f"{len(items)} items against {len(other)}"
    if items.questions and other.questions:
        alone = Counter(items.questions) - Counter(other.questions)
        if alone:
            return f"{alone.total()} of {len(items)} only in one, such as {next(iter(alone))!r}"
    return None


def _ids(frame: pd.DataFrame, source: object) -> NDArray[np.object_]:
    """Return the ids of a set's rows, or their numbers in a table without ids; raises UserError for a duplicate."""
    if "id" not in frame:
        return np.arange(len(frame)).astype(object)
    if (again := frame["id"].duplicated()).any():
        several = next((f": the table holds more than one {name}" for name in ("epoch", "draw") if name in frame), "")
        raise UserError(f"{source}: item {frame.loc[again, 'id'].iloc[0]} stands twice{several}")
    return frame["id"].to_numpy(dtype=object)


def _per_token(nll: Numbers, tokens: Numbers, name: str, source: object, ids: Names) -> Numbers:
    if nll.shape != tokens.shape:
        raise UserError(f"{source}: {name}_nll and {name}_tokens are not of equal length")
    check_losses(nll, f"{source}: {name}_nll", ids)
    check_counts(tokens, f"{source}: {name}_tokens", ids)
    return nll / tokens


def matrix(rows: Iterable[Sequence[float]], source: object, name: str) -> Numbers:
    """Return values of shape (items, wrong answers); raises UserError if the items have different numbers of wrong answers."""
    rows = list(rows)
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"{source}: {name}: the items differ in their number of perturbed answers")
    if rows and not len(rows[0]):
        raise UserError(f"{source}: {name}: no perturbed answers, but the truth ratio needs at least one")
    return np.array([list(row) for row in rows], dtype=np.float64)


def _floats(column: "pd.Series[Any]") -> Numbers:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
