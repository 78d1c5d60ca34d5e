"""Generation is greedy with our settings alone, whatever a model's folder asks for; a text that spells marks stays text."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from palimpsest.benchmarks.tofu.items import completed
from palimpsest.benchmarks.tofu.suite import evaluate_tofu
from palimpsest.benchmarks.tofu.suite_settings import TofuSuite
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Question
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.lm_eval.suite import evaluate_lm_eval
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.models.loading import load_model, load_tokenizer, save_model
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

TEXTS = ["Where does the ferry leave from?", "The ferry leaves from pier nine."] * 10
PROMPTS = [[0, 40, 50], [0, 60]]
NEW = 12
HIDDEN: dict[str, dict[str, Any]] = {
    "repetition": {"repetition_penalty": 1.8},
    "n-grams": {"no_repeat_ngram_size": 1},
    "suppressed": {"suppress_tokens": list(range(0, 300, 2))},
    "suppressed at first": {"begin_suppress_tokens": list(range(0, 300, 2))},
    "forced": {"forced_bos_token_id": 7, "forced_eos_token_id": 9},
    "bad words": {"bad_words_ids": [[token] for token in range(2, 200)]},
    "biased": {"sequence_bias": [[[token], 50.0] for token in range(20, 24)]},
    "sampled": {"do_sample": True, "temperature": 50.0, "top_k": 0, "top_p": 0.9, "typical_p": 0.2, "min_p": 0.1},
    "beams": {"num_beams": 4, "length_penalty": 3.0, "early_stopping": True},
    "lengths": {"min_length": 40, "min_new_tokens": 40, "max_length": 2},
    "decay": {"exponential_decay_length_penalty": [1, 9.0]},
    "watermark": {"watermarking_config": {"bias": 80.0, "seeding_scheme": "lefthash", "greenlist_ratio": 0.25}},
    "guided": {"guidance_scale": 4.0},
    "stopped": {"stop_strings": ["e", "o", "a", "t"]},
    "a cache": {"cache_implementation": "static"},
    "several": {"num_return_sequences": 2, "num_beams": 2},
    "as a dict": {"return_dict_in_generate": True, "output_scores": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with its tokenizer."""
    tokenizer = train_tokenizer(TEXTS, 300)
    model = build_model(TinyArchitecture(width=32, heads=2, layers=2, context=128), tokenizer, 0)
    for weight in model.parameters():
        if weight.ndim >= 2:
            torch.nn.init.normal_(weight, std=0.3)
    place = tmp_path_factory.mktemp("model")
    save_model(model, tokenizer, place)
    return place


def asking(folder: Path, settings: dict[str, Any]) -> Any:
    """The model, whose folder asks for settings of generation."""
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, **settings})
    )
    return load_model(folder, UsedSettings())


@pytest.mark.parametrize("case", HIDDEN)
def test_what_a_folder_asks_for_does_not_change_what_is_generated(case: str, folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    plain = continue_texts(asking(folder, {}), tokenizer, PROMPTS, NEW)
    assert continue_texts(asking(folder, HIDDEN[case]), tokenizer, PROMPTS, NEW) == plain
    # Nor does what an old config.json asks for, where there is no other file.
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | HIDDEN[case]))
    try:
        assert continue_texts(load_model(folder, UsedSettings()), tokenizer, PROMPTS, NEW) == plain
    finally:
        (folder / "config.json").write_text(json.dumps(config))


def test_a_model_that_asks_for_much_can_be_saved(folder: Path, tmp_path: Path) -> None:
    """As it can be loaded: a contradiction in its settings would otherwise be an error behind the training."""
    save_model(asking(folder, {"do_sample": False, "temperature": 0.6, "top_p": 0.9}), load_tokenizer(folder), tmp_path)
    assert "temperature" not in json.loads((tmp_path / "generation_config.json").read_text())


def generating(tokens: int) -> LmEvalSuite:
    task = {
        "task": "goes-on",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "{data}/rows.jsonl"}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\\0"], "max_gen_toks": tokens},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    return LmEvalSuite(kind="lm-eval", tasks=[task])


def test_lm_eval_generates_with_our_settings_too(folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(folder)
    question = "Where does the ferry"
    (answer,) = continue_texts(asking(folder, {}), tokenizer, [tokenizer(question)["input_ids"]], NEW)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": question, "answer": answer}))
    for number, case in enumerate(("repetition", "lengths", "beams")):
        model = asking(folder, HIDDEN[case])
        scores = evaluate_lm_eval(model, tokenizer, generating(NEW), tmp_path, cache=tmp_path / str(number))
        assert scores["goes-on"]["exact_match"] == 1.0, case


def test_a_task_that_asks_for_more_than_the_positions_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "Where?", "answer": "there"}))
    with pytest.raises(UserError, match=r"max tokens to generate \(128\) must be less than"):
        evaluate_lm_eval(asking(folder, {}), load_tokenizer(folder), generating(128), tmp_path, cache=tmp_path / "cache")


def test_lm_eval_is_not_run_with_a_tokenizer_that_closes_every_text(folder: Path, tmp_path: Path) -> None:
    from tokenizers import processors

    tokenizer = load_tokenizer(folder)
    marks = [("<s>", 0), ("</s>", 1)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=marks)
    with pytest.raises(UserError, match="appends a token to every text"):
        evaluate_lm_eval(asking(folder, {}), tokenizer, generating(4), tmp_path, cache=tmp_path)


def test_an_answer_that_spells_marks_is_learnt_generated_and_scored_as_text() -> None:
    answer = "It is <s>nine</s> ten."
    tokenizer = train_tokenizer([answer, "Which pier?"] * 10, 300)
    model = build_model(TinyArchitecture(width=32, heads=2, layers=1, context=128), tokenizer, 0)
    row = Question(id="q", author=0, question="Which <s>pier</s>?", answer=answer, perturbed_answers=["It is eight."])
    item = PromptEncoder(tokenizer, PromptSettings()).encode(row.question, [row.answer])
    assert item.answers[0].count(tokenizer.eos_token_id) == 1 and item.prompt.count(tokenizer.bos_token_id) == 1
    settings = TrainSettings(learning_rate=1e-2, epochs=40, batch_size=1, warmup_epochs=2)
    train(model, FineTuning([item]), settings, UsedSettings(), seed=0, label="test")
    (scored,) = evaluate_tofu(model, tokenizer, PromptSettings(), {"forget": [row]}, TofuSuite(kind="tofu", max_new_tokens=40))
    assert scored["generation"] == answer
    found = completed(pd.DataFrame([scored])).iloc[0]
    assert (found["rouge_1_recall"], found["rouge_l_recall"], found["exact_memorisation"]) == (1, 1, 1)
