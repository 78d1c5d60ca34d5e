"""A study of models that others made: a given Original, Retrain, checkpoint and LoRA adapter, without any fine-tuning."""

from pathlib import Path

import pandas as pd
import torch
from checkout import Checkout
from peft import LoraConfig, get_peft_model
from test_pretrained import make_model
from transformers import AutoModelForCausalLM

OVERLAY = """
models:
  given:
    kind: pretrained
    original: {name: models/original}
    retrain: {forget10: {name: models/retrain}}
checkpoints:
  theirs: {name: models/theirs}
  adapter: {name: models/adapter, over: {name: models/original}}
methods: {"tofu/*/given/*": {learning_rate: 1.0e-3, epochs: 1}}
blocks:
  - benchmark: tofu
    splits: [forget10]
    models: [given]
    seeds: [0, 1]
    methods: [npo]
    checkpoints: [theirs, adapter]
    suites: [tofu]
    attacks: [relearn-random]
"""


def make_adapter(folder: Path, over: Path) -> torch.Tensor:
    """Write a LoRA adapter that changes a model, and return the predictions of the changed model."""
    torch.manual_seed(1)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(over), LoraConfig(r=2, target_modules=["q_proj", "up_proj"]))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(folder)
    logits: torch.Tensor = adapted.eval()(torch.arange(9)[None]).logits
    return logits.detach()


def test_given_models_run_through_the_whole_dag(checkout: Checkout) -> None:
    models = checkout.path / "models"
    for seed, name in enumerate(("original", "retrain", "theirs")):
        make_model(models / name, seed)
    wanted = make_adapter(models / "adapter", models / "original")
    ran = checkout.snakemake(*checkout.overlay(OVERLAY))
    assert ran.returncode == 0, ran.stdout
    run = checkout.path / "results/tofu/given/forget10/seed0"
    merged = AutoModelForCausalLM.from_pretrained(run / "adapter/model").eval()
    assert torch.allclose(merged(torch.arange(9)[None]).logits, wanted, atol=1e-5)
    # The weights of a folder are linked or copied, not changed.
    for name in ("original", "retrain", "theirs"):
        weights = run / name / "model/model.safetensors"
        assert weights.read_bytes() == (models / name / "model.safetensors").read_bytes()
    assert not (run.parent / "seed1/original").exists()

    scores = pd.read_csv(checkout.path / "results/summary/summary.csv", keep_default_na=False)
    quality = scores[(scores["metric"] == "forget_quality") & (scores["epoch"] == "")]
    finished = quality[quality["attack"] == ""].groupby("method")["seed"].nunique().to_dict()
    assert finished == {"original": 1, "retrain": 1, "theirs": 1, "adapter": 1, "npo": 2}
    attacked = quality[quality["attack"] == "relearn-random"]
    page = (checkout.path / "results/report.html").read_text()
    assert "theirs (given)" in page and "adapter (given)" in page
    assert attacked.empty or {"theirs", "adapter"} <= {*attacked["method"]}
    # A second run has nothing to do, and another checkpoint under the same name is another artefact.
    assert checkout.jobs(*checkout.overlay(OVERLAY)) == {}
    changed = OVERLAY.replace("theirs: {name: models/theirs}", "theirs: {name: models/retrain}")
    rerun = checkout.jobs(*checkout.overlay(changed))
    assert rerun["given"] == 1 and "unlearn" not in rerun


def test_an_adapter_of_another_model_is_refused(checkout: Checkout) -> None:
    models = checkout.path / "models"
    make_model(models / "original", 0)
    make_adapter(models / "adapter", models / "original")
    weights = models / "adapter/adapter_model.safetensors"
    config = models / "adapter/adapter_config.json"
    config.write_text(config.read_text().replace('"up_proj"', '"down_proj"'))
    checkpoint = "{name: models/adapter, over: {name: models/original}}"
    text = OVERLAY.replace("{name: models/retrain}", "{name: models/original}").replace("models/theirs", "models/original")
    text = text.replace("{name: models/adapter, over: {name: models/original}}", checkpoint)
    target = "results/tofu/given/forget10/seed0/adapter/model/manifest.json"
    ran = checkout.snakemake(*checkout.overlay(text), "--", target)
    assert ran.returncode != 0
    log = (checkout.path / "results/logs/tofu/given/forget10/seed0/adapter/model.log").read_text()
    assert "the adapter does not fit the model that it should change" in log, log
    assert weights.exists()
