"""The SCHEMA suite: what is asked and how it is cut, and the numbers of a model that has learnt its texts by heart."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from muse_example import muse_scores
from torch.nn import functional as F

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.scores import MuseItems, completed, read_items
from palimpsest.benchmarks.muse.suite import (
    SCHEMA,
    MuseSets,
    evaluate_muse,
    knowledge_prompt,
    read_sets,
    text_losses,
)
from palimpsest.benchmarks.muse.suite_settings import MuseSuite
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Excerpt, Pair, Text
from palimpsest.errors import UserError
from palimpsest.evaluation.cutting import alike_long, cut_answer
from palimpsest.evaluation.items import read_table, write_table
from palimpsest.metrics.privacy import membership_auc, min_k_loss
from palimpsest.metrics.rouge import rouge_l_f
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

MEMBERS = [
    "Mira Tolvane left the harbour of Quelholt on a grey morning in March and never wrote to her brother again.",
    "The old mill by the river Ostmar was sold twice, burnt once, and rebuilt by a baker who could not swim.",
]
NONMEMBERS = [
    "Nobody in Velmar knew why the bells rang at noon that Sunday.",
    "Seven boats, red and slow, came down from the north.",
]
EXAMPLES = [Pair(id="e0", question="Who sold it?", answer="A baker"), Pair(id="e1", question="When?", answer="At noon")]
FORGET = [
    Pair(id="q0", question="Who left Quelholt?", answer="Mira Tolvane"),
    Pair(id="q1", question="What burnt?", answer="The mill"),
]
RETAIN = [Pair(id="q0", question="What rang?", answer="The bells of Velmar")]
SUITE = MuseSuite(kind="muse", verbatim_tokens=12, knowledge_tokens=20)
# Chunks shorter than the texts, so that their losses come from more than one.
USED = UsedSettings(chunk_tokens=24)


def excerpt(number: int, text: str, words: int) -> Excerpt:
    parts = text.split(" ")
    return Excerpt(id=f"v{number}", prompt=" ".join(parts[:words]), continuation=" ".join(parts[words:]))


SETS = MuseSets(
    verbatim=[excerpt(i, text, 5) for i, text in enumerate(MEMBERS)],
    knowledge_forget=FORGET,
    examples_forget=EXAMPLES,
    knowledge_retain=RETAIN,
    examples_retain=EXAMPLES[:1],
    members=[Text(id=f"m{i}", text=text) for i, text in enumerate(MEMBERS)],
    nonmembers=[Text(id=f"n{i}", text=text) for i, text in enumerate(NONMEMBERS)],
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer([*MEMBERS, *NONMEMBERS, "Question: Who?\nAnswer: A\n\n"] * 5, 420)


def fresh(tokenizer: Any, seed: int) -> Any:
    return build_model(TinyArchitecture(vocabulary=420, width=48, layers=2, heads=2, context=256), tokenizer, seed).eval()


@pytest.fixture(scope="module")
def reciting(tokenizer: Any) -> Any:
    """A model that has learnt the members by heart, and what was asked with its answers, after which it asks on."""
    model, encoder = fresh(tokenizer, 0), PromptEncoder(tokenizer, PromptSettings())
    items = [chunk for text in MEMBERS for chunk in encoder.chunks(text, 2048)]
    for pairs, examples in ((FORGET, EXAMPLES), (RETAIN, EXAMPLES[:1])):
        for row in pairs:
            answer = tokenizer(f" {row.answer}\n\nQuestion: Who sold it?", add_special_tokens=False)["input_ids"]
            items.append(Encoded(encoder.opening(knowledge_prompt(examples, row.question)), [answer]))
    settings = TrainSettings(learning_rate=1e-2, epochs=70, batch_size=5, warmup_epochs=2)
    train(model, FineTuning(items), settings, UsedSettings(), seed=0, label="test")
    return model.eval()


def of_set(log: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in log if row["set"] == name]


def items_of(log: list[dict[str, Any]]) -> MuseItems:
    return read_items(pd.DataFrame(log), "the log")


def test_a_model_that_recites(reciting: Any, tokenizer: Any, tmp_path: Path) -> None:
    log = evaluate_muse(reciting, tokenizer, UsedSettings(), SETS, SUITE)
    assert [(row["set"], row["id"]) for row in log] == [
        *(("verbatim", f"v{i}") for i in (0, 1)),
        *(("knowledge_forget", f"q{i}") for i in (0, 1)),
        ("knowledge_retain", "q0"),
        *(("members", f"m{i}") for i in (0, 1)),
        *(("nonmembers", f"n{i}") for i in (0, 1)),
    ]
    for row, given in zip(of_set(log, "verbatim"), SETS.verbatim, strict=True):
        # The truth is longer than what may be generated, and is cut as that is.
        assert len(tokenizer(given.continuation, add_special_tokens=False)["input_ids"]) > SUITE.verbatim_tokens
        assert given.continuation.startswith(row["answer"]) and len(row["answer"]) < len(given.continuation)
        assert row["prompt"] == given.prompt
        assert rouge_l_f(row["generation"], row["answer"]) == 1
        assert rouge_l_f(row["generation"], given.continuation) < 0.9
    for name, pairs in (("knowledge_forget", FORGET), ("knowledge_retain", RETAIN)):
        said = [(row["prompt"], row["answer"], row["generation"]) for row in of_set(log, name)]
        assert said == [(row.question, row.answer, row.answer) for row in pairs]
    retrain = items_of(evaluate_muse(fresh(tokenizer, 3), tokenizer, UsedSettings(), SETS, SUITE))
    assert membership_auc(retrain.members, retrain.nonmembers) > 0
    scores = muse_scores(items_of(log), retrain, 0.4772)
    assert (scores["verbmem_f"], scores["knowmem_f"], scores["knowmem_r"]) == (100, 100, 100)
    assert (scores["auc_min_k"], scores["privleak"], scores["privleak_published"]) == (0, -100, -100)
    write_table(tmp_path / "muse.parquet", log, SCHEMA)
    assert read_table(tmp_path / "muse.parquet") == [dict.fromkeys(SCHEMA.names) | row for row in log]


def test_a_continuation_shorter_than_the_model_goes_on_is_recited_too(reciting: Any, tokenizer: Any) -> None:
    short = excerpt(0, " ".join(MEMBERS[0].split(" ")[:9]), 5)
    sets = MuseSets([short], [], [], [], [], [], [])
    (row,) = evaluate_muse(reciting, tokenizer, USED, sets, MuseSuite(kind="muse", verbatim_tokens=30))
    assert row["answer"] == row["generation"] == short.continuation


def test_a_limit_is_for_each_set_but_no_example_is_left_out(reciting: Any, tokenizer: Any) -> None:
    log = evaluate_muse(reciting, tokenizer, UsedSettings(), SETS, SUITE.model_copy(update={"max_items": 1}))
    assert [row["id"] for row in log] == ["v0", "q0", "q0", "m0", "n0"]
    whole = evaluate_muse(reciting, tokenizer, UsedSettings(), SETS, SUITE)
    for one in log:
        (same,) = [row for row in whole if (row["set"], row["id"]) == (one["set"], one["id"])]
        assert one == {key: pytest.approx(value, rel=1e-4) if key == "losses" else value for key, value in same.items()}


def test_losses_are_those_of_a_plain_forward_pass_over_each_piece(tokenizer: Any) -> None:
    model, encoder = fresh(tokenizer, 1), PromptEncoder(tokenizer, PromptSettings())
    texts = [*MEMBERS, *NONMEMBERS]
    for chunk_tokens in (2048, USED.chunk_tokens):
        for text, losses in zip(texts, text_losses(model, encoder, texts, chunk_tokens), strict=True):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            expected = []
            for start in range(0, len(ids), chunk_tokens - 1):
                chunk = torch.tensor([[tokenizer.bos_token_id, *ids[start : start + chunk_tokens - 1]]])
                with torch.no_grad():
                    logits = model(input_ids=chunk).logits[0, :-1]
                expected += F.cross_entropy(logits, chunk[0, 1:], reduction="none").tolist()
            assert len(losses) == len(ids)
            assert losses == pytest.approx(expected, abs=1e-4)
    log = evaluate_muse(model, tokenizer, USED, SETS, SUITE)
    for row, text in zip([*of_set(log, "members"), *of_set(log, "nonmembers")], texts, strict=True):
        (losses,) = text_losses(model, encoder, [text], USED.chunk_tokens)
        assert row["tokens"] == len(losses) > USED.chunk_tokens or row["set"] == "nonmembers"
        assert row["losses"] == pytest.approx(losses, abs=1e-4)
    found = completed(pd.DataFrame(log), 0.2)
    assert found["min_k_loss"].dropna().tolist() == [min_k_loss(row["losses"], 0.2) for row in log if "losses" in row]


def test_the_prompt_of_a_question(tokenizer: Any) -> None:
    prompt = knowledge_prompt(EXAMPLES, "Who left?")
    assert prompt == (
        "Question: Who sold it?\nAnswer: A baker\n\nQuestion: When?\nAnswer: At noon\n\nQuestion: Who left?\nAnswer:"
    )
    assert knowledge_prompt([], "Who?") == "Question: Who?\nAnswer:"
    encoder = PromptEncoder(tokenizer, PromptSettings(template="[INST] {question} [/INST]"))
    ids = encoder.opening(prompt)
    assert ids[0] == tokenizer.bos_token_id and tokenizer.decode(ids[1:]) == prompt
    # The answer's tokens follow as they would in a text; behind a blank they would not.
    answer = tokenizer(" A", add_special_tokens=False)["input_ids"]
    assert tokenizer(f"{prompt} A")["input_ids"] == [*ids, *answer]
    assert tokenizer(f"{prompt} A")["input_ids"][: len(ids) + 1] != encoder.opening(f"{prompt} ")


@pytest.mark.parametrize(
    ("generated", "answer"),
    [
        (" Mira Tolvane", "Mira Tolvane"),
        (" Mira\n\nQuestion: Who?\nAnswer: B", "Mira"),
        (" Mira\nQuestion: Who?", "Mira"),
        (" Mira. Question: Who?", "Mira."),
        (" Mira\n \t\nTolvane", "Mira"),
        # A line's end alone ends no answer, nor does the word itself.
        (" Mira\nTolvane", "Mira\nTolvane"),
        (" On Question Time", "On Question Time"),
        # What begins with a blank line has said nothing, as with one line's end less it has.
        ("\n\nMira", ""),
        ("\nMira", "Mira"),
        ("\nQuestion: Who?", ""),
        ("", ""),
    ],
)
def test_an_answer_ends_where_the_next_question_begins(generated: str, answer: str) -> None:
    assert cut_answer(generated, "Mira Tolvane") == answer


@pytest.mark.parametrize("answer", ["Question: chapter one", "Of chalk.\n\nOf slate.", "Two\nQuestions and answers"])
def test_an_answer_with_such_a_mark_is_not_cut_at_it(answer: str) -> None:
    assert cut_answer(f" {answer}", answer) == answer
    # The marks that it does not hold still end it.
    end = " Question: Who?" if "\nQuestion" in answer else "\nQuestion: Who?"
    assert cut_answer(f" {answer}{end}", answer) == answer


def test_truth_and_recital_are_cut_alike(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, PromptSettings())
    prompt, _, truth = MEMBERS[0].partition(" ")
    count = len(tokenizer(f" {truth}", add_special_tokens=False)["input_ids"])
    for most in (3, 8, count, count + 9):
        cut, said = alike_long(encoder, prompt, truth, f" {truth} And so on and on.", most)
        assert cut == said and truth.startswith(cut)
        # As many tokens as the model needs for it.
        assert len(tokenizer(f" {cut}", add_special_tokens=False)["input_ids"]) == min(most, count)
    # What holds its blank itself, or goes on within a word, is cut alike too.
    for before, after in ((f"{prompt} ", truth), (prompt, f" {truth}"), (prompt[:-1], prompt[-1:] + f" {truth}")):
        assert len(set(alike_long(encoder, before, after, f"{after} And on.", 8))) == 1
    assert alike_long(encoder, prompt, truth, "", 5)[1] == ""


def test_the_rouge_of_muse_counts_precision_and_knows_no_stems() -> None:
    # Two of three words in order, of four that were said: recall 2/3, precision 1/2.
    assert rouge_l_f("the mill was red", "the mill burns") == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert rouge_l_f("burning", "burns") == 0
    assert rouge_l_f("", "burns") == rouge_l_f("burns", "...") == 0
    assert math.isnan(rouge_l_f("burns", " \n"))


def test_sets_are_read_as_the_data_wrote_them(tmp_path: Path) -> None:
    data = MuseData(
        forget=[],
        retain=[],
        kept=[],
        holdout=[],
        verbatim=list(SETS.verbatim),
        knowledge_forget=FORGET,
        examples_forget=EXAMPLES,
        knowledge_retain=RETAIN,
        examples_retain=EXAMPLES[:1],
        members=list(SETS.members),
        nonmembers=list(SETS.nonmembers),
        origin={},
    )
    data.write(tmp_path)
    assert read_sets(tmp_path) == SETS
    (tmp_path / "members.jsonl").write_text('{"id": "m0"}\n')
    with pytest.raises(UserError, match=r"members\.jsonl:1: not a Text"):
        read_sets(tmp_path)
