"""A model that comes with its weights: from a folder, with a chat template, adapters, half precision and a KL retain term."""

import json
from pathlib import Path

import torch
from checkout import Checkout
from transformers import Qwen2Config, Qwen2ForCausalLM

from palimpsest.models.tiny import train_tokenizer

CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_model(folder: Path, seed: int = 0) -> None:
    """Write a small model of another family than the tiny one, untied, with several key/value groups."""
    tokenizer = train_tokenizer(["Who wrote the book?", "Mira Tolvane wrote it."] * 10, 300)
    tokenizer.chat_template = CHAT
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_a_folder_runs_through_the_whole_dag(checkout: Checkout) -> None:
    make_model(checkout.path / "models" / "small")
    arguments = checkout.overlay(
        """
models:
  small:
    kind: pretrained
    name: models/small
    prompt: {kind: chat}
    precision: bf16-mixed
    gradient_checkpointing: true
    lora: {rank: 2, alpha: 4.0, dropout: 0.1}
finetuning: {"tofu/*/small": {learning_rate: 1.0e-3, epochs: 1}}
methods: {"tofu/*/small/*": {learning_rate: 1.0e-3, epochs: 1, retain_loss: kl}}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [small], seeds: [0], methods: [npo], suites: [tofu], attacks: [relearn-random]}
"""
    )
    ran = checkout.snakemake(*arguments)
    assert ran.returncode == 0, ran.stdout
    run = checkout.path / "results/tofu/small/forget10/seed0"
    manifest = json.loads((run / "unlearn/npo/default/model/manifest.json").read_text())
    assert manifest["spec"]["model"]["lora"]["rank"] == 2
    # Adapters are kept, no merged model, and who reads them reads what they lie over.
    results = checkout.path / "results"
    kept = {path.relative_to(results).as_posix() for path in results.glob("tofu/**/*.safetensors")}
    trained = ("original", "retrain", "unlearn/npo/default")
    adapters = {f"tofu/small/forget10/seed0/{name}/model/adapter_model.safetensors" for name in trained}
    assert kept == adapters | {"tofu/small/base/model.safetensors"}
    read = json.loads((run / "unlearn/npo/default/eval/tofu/manifest.json").read_text())["inputs"]
    assert {"model", "model_over:1", "model_over:2"} < read.keys()
    assert "small" in (checkout.path / "results/report.html").read_text()
    # Another base wakes everything that lies over it.
    manifest = results / "tofu/small/base/manifest.json"
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "0', 1))
    jobs = checkout.jobs(*arguments)
    assert {rule: jobs[rule] for rule in ("finetune", "unlearn", "evaluate")} == {"finetune": 2, "unlearn": 1, "evaluate": 3}


def test_a_name_without_revision_is_refused_before_any_work(checkout: Checkout) -> None:
    arguments = checkout.overlay(
        """
models: {mine: {kind: pretrained, name: org/name}}
blocks: [{benchmark: tofu, splits: [forget10], models: [mine], seeds: [0], methods: [npo], suites: [tofu]}]
"""
    )
    ran = checkout.snakemake("-n", *arguments)
    assert ran.returncode == 2
    assert ran.stdout.splitlines()[-1] == (
        "palimpsest: config: models: mine: name: there is no folder 'org/name'; for the Hub run `palimpsest pin FILE` once"
    )
