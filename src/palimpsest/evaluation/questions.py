"""The questions of a split, for suites that ask them and that several benchmarks may use."""

from collections.abc import Sequence
from pathlib import Path

from palimpsest.data.rows import Pair, Question, read_lessons
from palimpsest.errors import UserError


def read_questions(data: Path, name: str) -> Sequence[Question | Pair]:
    """Return the questions of a set of a split; raises UserError for a set of texts."""
    rows = read_lessons(data / f"{name}.jsonl")
    found = [row for row in rows if isinstance(row, Question | Pair)]
    if len(found) < len(rows) or not found:
        raise UserError(f"{data / name}.jsonl: not questions with answers, which this suite asks")
    return found
