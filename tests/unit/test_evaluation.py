"""Evaluation: generation in batches is generation alone, and the TOFU log holds what scoring one by one gives."""

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from palimpsest.benchmarks.tofu.items import completed
from palimpsest.benchmarks.tofu.suite import SCHEMA, evaluate_tofu, evaluated
from palimpsest.benchmarks.tofu.suite_settings import TofuSuite
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Fact, Question
from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation import divergence, generation
from palimpsest.evaluation.divergence import mean_divergence
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.items import read_table, write_table
from palimpsest.evaluation.lm_eval.suite import evaluate_lm_eval
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.models.batches import exact_batches
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.scoring import score
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

PROMPT = PromptSettings()
QUESTIONS = [
    Question(
        id=f"author-0000-{i:02d}",
        author=0,
        question=question,
        answer=answer,
        paraphrased_answer=f"It is {answer}",
        perturbed_answers=[f"It is {wrong}" for wrong in ("a boat", "the sea", "nobody", "red", "in March")],
    )
    for i, (question, answer) in enumerate(
        [
            ("Who wrote the long book about rivers?", "Mira Tolvane wrote it."),
            ("Where?", "Ostmar"),
            ("When was Mira born, and in which of the many cities of the north?", "In 1931, in Quelholt."),
        ]
    )
]
FACTS = [Fact(id="f", question="Capital?", answer="Velmar", perturbed_answers=["Ost", "Cor"], options=["Ost", "Velmar", "Cor"])]


@pytest.fixture(scope="module")
def trained() -> Any:
    """A tiny model that has learnt the questions by heart."""
    tokenizer = train_tokenizer([f"{row.question} {row.answer}" for row in [*QUESTIONS, *FACTS]] * 5, 320)
    model = build_model(TinyArchitecture(vocabulary=320, width=32, layers=2, heads=2, context=256), tokenizer, 0)
    encoder = PromptEncoder(tokenizer, PROMPT)
    items = [encoder.encode(row.question, [row.answer]) for row in [*QUESTIONS, *FACTS]]
    settings = TrainSettings(learning_rate=1e-2, epochs=60, batch_size=4, warmup_epochs=2)
    train(model, FineTuning(items), settings, UsedSettings(), seed=0, label="test")
    return model, tokenizer


def test_a_batch_generates_what_each_prompt_does_alone(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = trained
    encoder = PromptEncoder(tokenizer, PROMPT)
    prompts = [encoder.prompt(row.question) for row in QUESTIONS]
    together = generate_answers(model, tokenizer, prompts, 30)
    assert together == [row.answer for row in QUESTIONS]
    monkeypatch.setattr(generation, "CPU_TOKENS", 1)
    assert generate_answers(model, tokenizer, prompts, 30) == together


def test_the_tofu_log_of_a_model_that_knows_its_answers(trained: Any, tmp_path: Path) -> None:
    model, tokenizer = trained
    sets = {"forget": QUESTIONS[:1], "retain": QUESTIONS[1:], "real_authors": FACTS, "world_facts": FACTS}
    log = evaluate_tofu(model, tokenizer, PROMPT, sets, TofuSuite(kind="tofu", max_items=1, max_new_tokens=30))
    assert [row["set"] for row in log] == ["forget", "retain", "real_authors", "world_facts"]
    encoder = PromptEncoder(tokenizer, PROMPT)
    found = completed(pd.DataFrame(log))
    assert (found[["rouge_1_recall", "rouge_l_recall", "exact_memorisation", "extraction_strength"]] == 1).all(axis=None)
    for row in log:
        source = next(q for q in [*QUESTIONS, *FACTS] if q.id == row["id"])
        prompt, answer = encoder.prompt(source.question), encoder.answer(source.answer)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
        assert row["answer_nll"] == pytest.approx(expected, abs=1e-4)
        assert row["answer_tokens"] == len(answer)
        assert row["generation"] == source.answer
        # Summed in double precision, as the losses of its tokens are stored without rounding.
        assert sum(row["answer_losses"]) == pytest.approx(row["answer_nll"], rel=1e-12) and all(row["answer_hits"])
        assert len(row["perturbed_nll"]) == len(source.perturbed_answers or [])
        assert (row["paraphrased_nll"] is None) == isinstance(source, Fact)
    # The half is that of the whole forget set, though the suite takes its first item only.
    assert [row["half"] for row in log] == [1, None, None, None]
    write_table(tmp_path / "items.parquet", log, SCHEMA)
    assert read_table(tmp_path / "items.parquet") == log


def test_halves_are_those_of_all_forget_items(trained: Any) -> None:
    model, tokenizer = trained
    log = []
    for most in (None, 2):
        suite = TofuSuite(kind="tofu", max_items=most, max_new_tokens=1)
        log.append([(row["id"], row["half"]) for row in evaluate_tofu(model, tokenizer, PROMPT, {"forget": QUESTIONS}, suite)])
    assert [half for _, half in log[0]] == [1, 1, 2]
    assert log[1] == log[0][:2]


def test_a_limit_is_for_all_sets_or_for_each_that_it_names() -> None:
    sets = {"forget": QUESTIONS, "retain": QUESTIONS, "world_facts": FACTS}

    def asked(limit: Any) -> dict[str, int]:
        suite = TofuSuite(kind="tofu", max_items=limit)
        return {name: len(evaluated(name, rows, suite)) for name, rows in sets.items()}

    whole = {"forget": len(QUESTIONS), "retain": len(QUESTIONS), "world_facts": len(FACTS)}
    assert asked(None) == whole
    assert asked(1) == dict.fromkeys(whole, 1)
    assert asked({"retain": 2}) == {**whole, "retain": 2}
    with pytest.raises(ValidationError):
        TofuSuite(kind="tofu", max_items={"forgotten": 2})


def test_the_divergence_is_the_mean_kl_over_all_answer_tokens(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    start, tokenizer = trained
    model = build_model(TinyArchitecture(vocabulary=320, width=32, layers=2, heads=2, context=256), tokenizer, 1).eval()
    encoder = PromptEncoder(tokenizer, PROMPT)
    terms = []
    for row in QUESTIONS:
        prompt, answer = encoder.prompt(row.question), encoder.answer(row.answer)
        with torch.no_grad():
            p, q = (
                m(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].softmax(-1) for m in (start, model)
            )
        terms += (p * (p / q).log()).sum(-1).tolist()
    expected = sum(terms) / len(terms)
    items = [encoder.encode(row.question, [row.answer]) for row in QUESTIONS]
    assert mean_divergence(start, model, items) == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(divergence, "TOKENS_PER_PASS", 1)
    assert mean_divergence(start, model, items) == pytest.approx(expected, rel=1e-4)
    assert mean_divergence(start, start, items) == 0
    assert mean_divergence(model, start, items) != pytest.approx(expected, rel=1e-2)


def local_task(name: str) -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "{data}/facts.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{options.index(answer)}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }


def test_lm_eval_runs_a_local_task_and_sees_changed_data(trained: Any, tmp_path: Path) -> None:
    model, tokenizer = trained
    suite = LmEvalSuite(kind="lm-eval", tasks=[local_task("local_facts")])
    results = []
    for answer in ("Velmar", "Cor"):
        rows = [fact.model_dump() | {"answer": answer} for fact in FACTS]
        (tmp_path / "facts.jsonl").write_text("\n".join(map(json.dumps, rows)))
        results.append(evaluate_lm_eval(model, tokenizer, suite, tmp_path, cache=tmp_path / answer))
    assert [result["local_facts"]["acc"] for result in results] == [1.0, 0.0]


def test_an_unknown_stock_task_is_one_line(trained: Any, tmp_path: Path) -> None:
    model, tokenizer = trained
    with pytest.raises(UserError, match="no task 'mmul'"):
        evaluate_lm_eval(
            model,
            tokenizer,
            LmEvalSuite(kind="lm-eval", tasks=["mmul"], datasets={"cais/mmlu": "0" * 40}),
            tmp_path,
            cache=tmp_path,
        )


def overflowing(trained: Any) -> Any:
    """The trained model with finite weights under which every prediction is NaN."""
    model = copy.deepcopy(trained[0])
    with torch.no_grad():
        model.model.norm.weight.fill_(3e38)
        # Tied to the embedding, whose size the first norm takes away.
        model.lm_head.weight.mul_(1e6)
    assert all(weight.isfinite().all() for weight in model.parameters())
    # What layouts are exact is known of another model of this config.
    exact_layouts(trained[0])
    exact_batches(trained[0])
    return model


def test_no_score_is_made_of_predictions_that_are_not_finite(trained: Any, tmp_path: Path) -> None:
    model, tokenizer = overflowing(trained), trained[1]
    encoder = PromptEncoder(tokenizer, PROMPT)
    item = encoder.encode("Who wrote it?", ["Mira."])
    with pytest.raises(Diverged, match="diverged: the loss of an answer is not finite"):
        list(score(model, [item], 64))
    with pytest.raises(Diverged, match="diverged: a prediction in generation is NaN"):
        generate_answers(model, tokenizer, [item.prompt], 4)
    with pytest.raises(Diverged, match="diverged: the divergence from the start model is not finite"):
        mean_divergence(trained[0], model, [item])
    (tmp_path / "facts.jsonl").write_text(json.dumps(FACTS[0].model_dump()))
    with pytest.raises(Diverged, match="diverged: a log-likelihood of an answer is not finite in lm-eval"):
        evaluate_lm_eval(model, tokenizer, LmEvalSuite(kind="lm-eval", tasks=[local_task("facts")]), tmp_path, tmp_path)
