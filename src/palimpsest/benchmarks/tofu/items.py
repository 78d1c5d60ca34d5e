"""The items of the TOFU suite as metrics take them: what one model says of each set."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from palimpsest.benchmarks.tofu.metrics import log_truth_ratio
from palimpsest.benchmarks.tofu.questions import plain_question
from palimpsest.benchmarks.tofu.values import Names, Numbers, check_counts, check_losses, check_shares
from palimpsest.errors import UserError
from palimpsest.evaluation.items import count_unicode
from palimpsest.metrics.spread import Array

UTILITY_SETS = ("retain", "real_authors", "world_facts")
SETS = ("forget", *UTILITY_SETS)


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
    """The number of items whose answer ROUGE compares by other words than those of `rouge_score` (`metrics.rouge`)."""
    rows: pd.DataFrame | None = None
    """The rows of the suite's table that the items were read from; None for a log in another form."""

    def __len__(self) -> int:
        return len(self.answer)

    @cached_property
    def log_truth_ratio(self) -> Array:
        """The logarithm of the truth ratio, shape (items,)."""
        return log_truth_ratio(self.base, self.perturbed)

    def part(self, ids: Collection[str]) -> "Items":
        """Return the items with these ids, of a set that was read from the suite's table."""
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


def sets_from_table(frame: pd.DataFrame, source: object) -> dict[str, Items]:
    """Return the sets in the rows of a suite's table; raises UserError, `source` first, where they are not as it should be."""
    if "set" not in frame:
        raise UserError(f"{source}: no column 'set'")
    groups = {str(name): group for name, group in frame.groupby("set", sort=False, dropna=False)}
    if not groups or not set(groups) <= set(SETS):
        raise UserError(f"{source}: column 'set' holds {', '.join(groups) or 'nothing'}: allowed are {', '.join(SETS)}")
    return {name: items_from_table(group, f"{source}: {name}") for name, group in groups.items()}


def items_from_table(frame: pd.DataFrame, source: object) -> Items:
    """Return the items of one set from rows with summed losses in nats and token counts; raises UserError as above."""
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
    """Raise UserError where a model and Retrain were asked other forget questions, or one of them was asked none."""
    for given, place in ((sets, source), (retrain, retrain_source)):
        if "forget" not in given:
            raise UserError(f"{place}: no forget set, which forget quality needs: it has {', '.join(given)}")
    if mismatch := question_mismatch(sets["forget"], retrain["forget"]):
        raise UserError(f"{source}: other forget questions than Retrain in {retrain_source}: {mismatch}")


def question_mismatch(items: Items, other: Items) -> str | None:
    """Return in what two sets differ that do not hold the same questions equally often; their order does not count.

    Where one of them does not know its questions, the numbers of items decide.
    """
    if len(items) != len(other):
        return f"{len(items)} items against {len(other)}"
    if items.questions and other.questions:
        alone = Counter(items.questions) - Counter(other.questions)
        if alone:
            return f"{alone.total()} of {len(items)} only in one, such as {next(iter(alone))!r}"
    return None


def _ids(frame: pd.DataFrame, source: object) -> NDArray[np.object_]:
    """Return the names of a set's rows, in a table without ids their numbers; raises UserError where one stands twice."""
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
    """Return one number per item and wrong answer, (items, wrong answers); raises UserError where items differ in how many."""
    rows = list(rows)
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"{source}: {name}: the items differ in their number of perturbed answers")
    if rows and not len(rows[0]):
        raise UserError(f"{source}: {name}: no perturbed answers, and the truth ratio needs one at least")
    return np.array([list(row) for row in rows], dtype=np.float64)


def _floats(column: "pd.Series[Any]") -> Numbers:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
