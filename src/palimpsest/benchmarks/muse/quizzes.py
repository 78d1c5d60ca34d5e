"""Quizzes: texts of questions and answers in varying order, because tiny models do not learn answers from prose."""

from collections.abc import Iterator, Sequence

from palimpsest.data.rows import Pair, Text
from palimpsest.streams import stream

# Questions that are mixed with each other, questions per quiz, and repetitions of each question, each time with other ones.
POOL, QUIZ, ROUNDS = 20, 5, 3


def make_quizzes(seed: int, name: str, pairs: Sequence[Pair]) -> Iterator[Text]:
    """Yield quizzes with all pairs; a blank line follows each answer, where evaluation truncates generated text.

    Additional pairs change no quiz of a full pool.
    """
    for first in range(0, len(pairs), POOL):
        pool = pairs[first : first + POOL]
        order = [i for turn in range(ROUNDS) for i in stream(seed, "quiz", name, first, turn).permutation(len(pool))]
        for number, start in enumerate(range(0, len(order), QUIZ)):
            asked = [pool[i] for i in order[start : start + QUIZ]]
            text = "".join(f"Question: {pair.question}\nAnswer: {pair.answer}\n\n" for pair in asked)
            yield Text(id=f"{name}-quiz-{first:04d}-{number:02d}", text=text)
