"""The suites that ask in several ways and sample several answers: what the model is given, and what is counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import build
from test_batches import TOKENIZER

from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Pair, Question, Text, write_rows
from palimpsest.errors import UserError
from palimpsest.evaluation.drawing import sample_tokens
from palimpsest.evaluation.metric import Against, score
from palimpsest.evaluation.prompting import scores as prompting_scores
from palimpsest.evaluation.prompting import suite as prompting
from palimpsest.evaluation.prompting.suite_settings import PromptingSuite
from palimpsest.evaluation.sampling import scores as sampling_scores
from palimpsest.evaluation.sampling import suite as sampling
from palimpsest.evaluation.sampling.suite_settings import SamplingSuite
from palimpsest.models.settings import PromptSettings

ENCODER = PromptEncoder(TOKENIZER, PromptSettings())
ROW = Question(id="q", author=0, question="Who is it?", answer="It is the old man of the sea.", paraphrased_question="Say who.")
RETAIN = [Pair(id=f"r{i}", question=f"Which {i}?", answer=f"The {i}th.") for i in range(4)]


def suite(**settings: Any) -> PromptingSuite:
    return PromptingSuite.model_validate({"kind": "prompting", "max_new_tokens": 4} | settings)


def asked(row: Question | Pair = ROW, **settings: Any) -> dict[str, Any]:
    shots = [token for of in RETAIN[:2] for token in prompting._shot(ENCODER, of)]
    return {each.way: each for each in prompting.ways(ENCODER, row, suite(**settings), shots)}


def test_what_the_model_is_given_in_each_way() -> None:
    ways, plain = asked(), ENCODER.prompt(ROW.question)
    assert [*ways] == ["question", "paraphrase", "prefix", "few-shot", "jailbreak"]
    assert ways["question"].given == plain
    assert ways["paraphrase"].given == ENCODER.prompt("Say who.")
    # The first three of eight words are given, and the others are to be said; the given ones are those of a whole answer.
    assert ways["prefix"].answer == "old man of the sea." and ways["prefix"].question == "Who is it? It is the"
    begun = ways["prefix"].given[len(plain) :]
    assert ways["prefix"].given[: len(plain)] == plain and begun == ENCODER.answer(ROW.answer)[: len(begun)]
    assert ways["jailbreak"].given == plain + ENCODER.answer("Sure, here is the answer:")[:-1]
    assert {ways[way].answer for way in ways if way != "prefix"} == {ROW.answer}
    first, second = (ENCODER.encode(of.question, [of.answer]) for of in RETAIN[:2])
    shots = [*first.prompt, *first.answers[0], *second.prompt, *second.answers[0]]
    start = [] if TOKENIZER.bos_token_id is None else [TOKENIZER.bos_token_id]
    assert ways["few-shot"].given == shots + plain[len(start) if plain[:1] == start else 0 :]


def test_a_prefix_gives_at_most_half_of_the_words_and_a_pair_has_no_paraphrase() -> None:
    short = ROW.model_copy(update={"answer": "Old man."})
    assert asked(short)["prefix"].answer == "man." and "prefix" not in asked(short.model_copy(update={"answer": "Man."}))
    assert "paraphrase" not in asked(RETAIN[0])
    assert [*asked(prompts=["jailbreak"])] == ["question", "jailbreak"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A split of two forget questions."""
    write_rows(tmp_path / "forget.jsonl", [ROW, ROW.model_copy(update={"id": "p", "answer": "Nobody knows that."})])
    write_rows(tmp_path / "retain.jsonl", RETAIN)
    return tmp_path


SUBJECT: Any = SimpleNamespace(
    model=build("llama", 1, vocabulary=len(TOKENIZER)).eval(), tokenizer=TOKENIZER, used=SimpleNamespace(prompt=PromptSettings())
)


def test_every_question_is_asked_in_every_way(data: Path) -> None:
    rows = prompting.measure(SUBJECT, suite(shots=1), data, data)
    assert [(row["id"], row["way"]) for row in rows] == [(id, way) for id in ("q", "p") for way in asked()]
    assert {*rows[0]} == {*prompting.SCHEMA.names}
    assert len(prompting.measure(SUBJECT, suite(max_items=1, prompts=["prefix"]), data, data)) == 2


def test_the_worst_case_is_question_by_question() -> None:
    recalls = {("a", "question"): 0.1, ("a", "prefix"): 0.6, ("b", "question"): 0.5, ("b", "few-shot"): 0.2}
    rows = pd.DataFrame([{"id": id, "way": way, "rouge_l_recall": recall} for (id, way), recall in recalls.items()])
    found = dict(score(prompting_scores.METRICS, prompting_scores.read(rows, "rows"), Against()))
    assert found["prompted_worst"] == pytest.approx((0.6 + 0.5) / 2)
    assert found["prompted_question"] == pytest.approx(0.3)
    assert (found["prompted_prefix"], found["prompted_few_shot"]) == (0.6, 0.2)
    assert "prompted_paraphrase" not in found and found["prompted_worst_low"] <= found["prompted_worst_high"]


@pytest.mark.parametrize("name", ["forget", "retain"])
def test_a_set_of_texts_is_one_line(data: Path, name: str) -> None:
    write_rows(data / f"{name}.jsonl", [Text(id="t", text="A text.")])
    with pytest.raises(UserError, match=f"{name}.jsonl: not questions with answers, which this suite asks"):
        prompting.measure(SUBJECT, suite(), data, data)


def test_paraphrases_that_are_not_there_are_one_line(data: Path) -> None:
    write_rows(data / "forget.jsonl", RETAIN)
    with pytest.raises(UserError, match="no question has a paraphrased question: leave `paraphrase` out of `prompts`"):
        prompting.measure(SUBJECT, suite(), data, data)


def sampled(data: Path, **settings: Any) -> list[dict[str, Any]]:
    return sampling.measure(
        SUBJECT, SamplingSuite.model_validate({"kind": "sampling", "max_new_tokens": 4} | settings), data, data
    )


def test_a_sample_depends_on_its_seed_question_and_number_alone(data: Path) -> None:
    rows = sampled(data, samples=3)
    assert [(row["id"], row["sample"]) for row in rows] == [(id, sample) for id in ("q", "p") for sample in range(3)]
    assert {*rows[0]} == {*sampling.SCHEMA.names}
    said = {(row["id"], row["sample"]): row["generation"] for row in rows}
    alone = {(row["id"], row["sample"]): row["generation"] for row in sampled(data, samples=2, max_items=1)}
    assert alone == {key: said[key] for key in alone}
    assert len({*said.values()}) > 1 and {*said.values()} != {row["generation"] for row in sampled(data, samples=3, seed=1)}


def test_without_temperature_samples_are_greedy(data: Path) -> None:
    cold = sampled(data, samples=1, temperature=0.01)
    greedy = [row for row in prompting.measure(SUBJECT, suite(prompts=["jailbreak"]), data, data) if row["way"] == "question"]
    assert [row["generation"] for row in cold] == [row["generation"] for row in greedy]


def test_tokens_are_sampled_by_their_probabilities() -> None:
    shares = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    numbers = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens = sample_tokens(shares.log().expand(1000, -1), numbers)
    assert (torch.bincount(tokens, minlength=6) / 1000 - shares).abs().max() <= 0.001
    edges = sample_tokens(shares.log().expand(2, -1), torch.tensor([0.0, 1 - 1e-16], dtype=torch.float64))
    assert edges.tolist() == [1, 4]


def test_leaks_are_reported_for_powers_of_2_up_to_the_samples() -> None:
    recalls = {"a": (0, 0.5, 1), "b": (0, 0, 0)}
    rows = pd.DataFrame(
        [{"id": id, "sample": k, "rouge_l_recall": of[k]} for id, of in recalls.items() for k in range(3)],
    )
    found = dict(score(sampling_scores.METRICS, sampling_scores.read(rows, "rows"), Against()))
    assert found["leak_at_1"] == pytest.approx(0.25) and found["leak_at_2"] == pytest.approx(np.mean([(0.5 + 1 + 1) / 3, 0]))
    assert {name for name in found if name.startswith("leak")} == {
        f"leak_at_{k}{end}" for k in (1, 2) for end in ("", "_low", "_high")
    }
    with pytest.raises(UserError, match="rows: the questions have different numbers of samples"):
        sampling_scores.read(rows[:-1], "rows")
