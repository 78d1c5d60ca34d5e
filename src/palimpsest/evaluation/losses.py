"""The losses of items under a model, as rows of the table of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.models.encoding import named_items
from palimpsest.models.scoring import score
from palimpsest.progress import track

if TYPE_CHECKING:
    from palimpsest.data.rows import Lesson
    from palimpsest.evaluation.subject import Subject


def losses_of(subject: Subject, sets: Mapping[str, Sequence[Lesson]]) -> Iterator[dict[str, Any]]:
    """Yield for each question, and each chunk of a text, its set, its id, its number of labels and their summed NLL in nats."""
    named = [
        (name, id, item)
        for name, rows in sets.items()
        for id, item in zip(*named_items(rows, subject.tokenizer, subject.used, subject.model), strict=True)
    ]
    scores = track(score(subject.model, [item for *_, item in named]), "score", total=len(named))
    for (name, id, _), scored in zip(named, scores, strict=True):
        yield {"set": name, "id": id, "tokens": scored.tokens[0], "nll": scored.nll[0]}
