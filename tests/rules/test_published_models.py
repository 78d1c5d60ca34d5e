"""The studies of published models, each run to its report on small models with random weights in place of the published ones."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from checkout import Checkout
from peft import LoraConfig  # noqa: F401  # imported before the fork
from test_pretrained import make_model
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from chat_families import tokenizer_of
from tofu_example import make_files, write_files

ROOT = Path(__file__).resolve().parents[2]


def write_model(folder: Path, seed: int, *, chat: bool) -> None:
    """Write a small model, with a chat template of Llama 3.2's shape or without one."""
    if not chat:
        return make_model(folder, seed)
    tokenizer = tokenizer_of("llama-3.2")
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 8, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, num_key_value_heads=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return None


def small(study: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the study with the same models, methods and variants on small models, few items and one epoch."""
    found: dict[str, str] = {}

    def local(node: Any, *, chat: bool) -> Any:
        if isinstance(node, list):
            return [local(each, chat=chat) for each in node]
        if not isinstance(node, dict):
            return node
        if node.get("revision", "") is None:
            path = folder / node["name"].replace("/", "-")
            if node["name"] not in found:
                write_model(path, len(found), chat=chat)
            found[node["name"]] = str(path)
            return {"name": str(path)}
        return {key: local(value, chat=chat) for key, value in node.items()}

    for section in ("models", "checkpoints"):
        for name, entry in study.get(section, {}).items():
            chat = entry.get("prompt", {}).get("kind") == "chat"
            study[section][name] = local(entry, chat=chat)
    for model in study["models"].values():
        model |= {"resources": {"gpu": 0, "threads": 1, "mem": "4GB"}}
    for settings in study["methods"].values():
        settings |= {"epochs": 1, "batch_size": 8} if "epochs" in settings else {}
    for block in study["blocks"]:
        block["seeds"] = block["seeds"][:2]
    study["suites"] = {"tofu": {"max_items": 6, "max_new_tokens": 6}}
    study["sources"] = {"hub": {"kind": "folder", "path": str(folder)}}
    return study


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tofu-forget05-llama32-1b", "tofu-forget10-llama31-8b", "simnpo-puzzle-7b"])
def test_a_study_runs_to_its_report(checkout: Checkout, tmp_path: Path, name: str) -> None:
    write_files(tmp_path, make_files())
    path = ROOT / "config" / "studies" / f"{name}.yaml"
    study = small(yaml.safe_load(path.read_text()), tmp_path)
    (checkout.path / "small.yaml").write_text(yaml.safe_dump(study))
    ran = checkout.snakemake("--configfile", "small.yaml")
    assert ran.returncode == 0, ran.stdout[-4000:]
    results = checkout.path / study["results"]
    page = (results / "report.html").read_text()
    assert "Published for" in page
    table = (results / "report" / "tables" / "table1.csv").read_text()
    if name == "simnpo-puzzle-7b":
        assert "authors (given)" in page
        assert all(f"simnpo,{variant}" in table for variant in ("paper", "paper-pairs", "readme", "repro-page-pairs"))
        print(table)
