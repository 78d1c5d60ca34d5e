"""The studies of published models, from `palimpsest pin` to their reports, on a local Hub with small models of random weights."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from chat_families import tokenizer_of
from checkout import Checkout
from local_hub import Hub, serving
from test_pretrained import make_model
from tofu_example import make_files, write_files
from transformers import LlamaConfig, LlamaForCausalLM

from palimpsest.benchmarks.tofu.sources.hub import HubSource
from palimpsest.study.files import read_configs
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
TOFU = {"locuslab/TOFU": HubSource.model_fields["revision"].default}


def write_model(folder: Path, seed: int, *, chat: bool) -> None:
    """Write a small model, with a chat template of Llama 3.2's shape or without one."""
    if not chat:
        make_model(folder, seed)
        return
    tokenizer = tokenizer_of("llama-3.2")
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 8, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, num_key_value_heads=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def repositories(node: Any) -> list[str]:
    """Return the names of the repositories without a commit."""
    if isinstance(node, list):
        return [name for each in node for name in repositories(each)]
    if not isinstance(node, dict):
        return []
    own = [node["name"]] if node.get("revision", "") is None else []
    return own + [name for each in node.values() for name in repositories(each)]


def smaller(study: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a study small: one seed and epoch, few items, no GPU; its models, methods and variants are the same."""
    blocks = [block | {"seeds": block["seeds"][:1]} for block in study["blocks"]]
    resources = {"gpu": 0, "threads": 1, "mem": "4GB"}
    return {
        "models": {name: {"resources": resources} for name in study["models"]},
        "methods": {pattern: {"epochs": 1, "batch_size": 8} for pattern in study["methods"] if pattern.endswith("*")},
        "suites": {"tofu": {"max_items": 6, "max_new_tokens": 6}},
        "blocks": blocks,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tofu-forget05-llama32-1b", "tofu-forget10-llama31-8b", "simnpo-puzzle-7b"])
def test_a_study_runs_to_its_report(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = checkout.path / "config" / "studies" / f"{name}.yaml"
    study = yaml.safe_load(path.read_text())
    (checkout.path / "smaller.yaml").write_text(yaml.safe_dump(smaller(study)))
    chat = "kind: chat" in path.read_text()
    models = {}
    for number, repository in enumerate(dict.fromkeys(repositories(study))):
        write_model(tmp_path / repository, number, chat=chat)
        models[repository] = (f"{number:040x}", tmp_path / repository)
    (tmp_path / "tofu").mkdir()
    files = {repository: (commit, write_files(tmp_path / "tofu", make_files())) for repository, commit in TOFU.items()}
    configs = (str(path.relative_to(checkout.path)), "smaller.yaml")
    with serving(Hub(files, models=models)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        environment = {**os.environ, "PYTHONPATH": str(checkout.path / "src")}
        pinned = subprocess.run(
            [sys.executable, "-m", "palimpsest", "pin", path], env=environment, capture_output=True, text=True
        )
        assert pinned.returncode == 0, pinned.stderr
        monkeypatch.chdir(checkout.path)
        artefacts = Artefacts(Study(read_configs([Path(each) for each in configs])))
        fetched = checkout.snakemake("--configfile", *configs, "--", *artefacts.made("data", "given"), alone=True)
        assert fetched.returncode == 0, fetched.stdout[-4000:]
    # The rest needs no Hub.
    ran = checkout.snakemake("--configfile", *configs)
    assert ran.returncode == 0, ran.stdout[-4000:]
    results = checkout.path / study["results"]
    page = (results / "report.html").read_text()
    assert "Published for" in page and "What the models see" in page
    table = (results / "report" / "tables" / "table1.csv").read_text()
    print(table)
    for variant in ("default",) if name != "simnpo-puzzle-7b" else ("paper", "paper-pairs", "readme", "repro-page-pairs"):
        assert f"simnpo,{variant}" in table
    assert ("authors (given)" in page) == ("checkpoints" in study)
