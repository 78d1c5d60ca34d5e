"""The alternatives to the forget answers: what the model is asked, what is told of the answers, and the table."""

from pathlib import Path

import pytest

from palimpsest.data.alternatives import read_alternatives, write_alternatives
from palimpsest.errors import UserError
from palimpsest.evaluation.asking import Alternatives
from palimpsest.stages.alternatives import filled, remark_on


def test_a_request_has_question_and_answer_in_their_places() -> None:
    assert filled("Q: {question} A: {answer} {question}", "What is {answer}?", "{question}") == (
        "Q: What is {answer}? A: {question} What is {answer}?"
    )
    usual = filled(Alternatives().request, "Who?", "A man.")
    assert usual.startswith("Question: Who?\nAnswer: A man.\n") and "{" not in usual


def test_alternatives_that_teach_nothing_are_told() -> None:
    assert remark_on(["A woman.", "A child."], ["A man.", "A man."]) is None
    told = remark_on(["A man.", "", "A child."], [" A man.", "A man.", "A man."])
    assert told is not None and told.text == "alternatives: of 3, 1 are the true answer itself and 1 are empty"


def test_alternatives_are_read_in_the_order_of_the_questions(tmp_path: Path) -> None:
    path = tmp_path / "alternatives.parquet"
    texts = {"b": ["one", ""], "a": ["two", "three"]}
    rows = [
        {"id": id, "sample": sample, "question": "Who?", "answer": "A man.", "generation": text}
        for id, of in texts.items()
        for sample, text in enumerate(of)
    ]
    write_alternatives(path, rows)
    assert read_alternatives(path, ["b", "a"]) == [*texts.values()]
    for others in (["a", "b"], ["b"], ["b", "a", "c"]):
        with pytest.raises(UserError, match=r"alternatives\.parquet: made for other forget items than the split has"):
            read_alternatives(path, others)
