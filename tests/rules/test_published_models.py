"""The studies of published models, from `palimpsest pin` to their reports, on a local Hub with small models of random weights."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lm_eval.tasks
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from chat_families import tokenizer_of
from checkout import Checkout
from local_hub import NOBODY, Hub, serving
from test_data_muse import make, write
from test_pretrained import make_model
from tofu_example import make_files, write_files
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from palimpsest.benchmarks.tofu.sources.hub import HubSource
from palimpsest.benchmarks.wmdp.sources.wmdp_hub import WmdpHubSource
from palimpsest.study.files import read_configs
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
TOFU = {"locuslab/TOFU": HubSource.model_fields["revision"].default}
# As the repositories have files that are never read.
UNREAD = "pytorch_model.bin"
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
MMLU = [path.stem.removeprefix("mmlu_") for path in Path(lm_eval.tasks.__file__).parent.glob("mmlu/default/mmlu_*.yaml")]


def write_model(folder: Path, seed: int, *, chat: bool) -> None:
    """Write a small model, with a chat template of Llama 3.2's shape or without one."""
    if not chat:
        make_model(folder, seed)
        return
    tokenizer = tokenizer_of("llama-3.2")
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, num_hidden_layers=8, **SIZES)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_llama_2(folder: Path, seed: int) -> None:
    """Write a small model without a tokenizer, in several files, as MUSE's models are."""
    torch.manual_seed(seed)
    vocabulary = len(tokenizer_of("llama-2"))
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=4096, num_hidden_layers=2, **SIZES)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="50KB")
    (folder / UNREAD).write_bytes(b"pickled")


def write_zephyr(folder: Path) -> None:
    """Write a small model of Zephyr's family in bf16."""
    tokenizer = tokenizer_of("zephyr")
    torch.manual_seed(0)
    config = MistralConfig(vocab_size=len(tokenizer), max_position_embeddings=32768, num_hidden_layers=9, **SIZES)
    MistralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size="50KB")
    tokenizer.save_pretrained(folder)
    (folder / UNREAD).write_bytes(b"pickled")


def write_questions(folder: Path, configs: list[str], *splits: str) -> None:
    """Write a data set of multiple-choice questions: each question once with every answer marked as right."""
    rows = [{"question": "Where?", "choices": ["here", "there", "up", "down"], "answer": number} for number in range(4)]
    card = []
    for name in configs:
        (folder / name).mkdir(parents=True)
        for split in splits:
            pq.write_table(pa.Table.from_pylist(rows), folder / name / f"{split}-00000-of-00001.parquet")
        card.append({"config_name": name, "data_files": [{"split": each, "path": f"{name}/{each}-*"} for each in splits]})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': card})}---\n")


def repositories(node: Any) -> list[str]:
    """Return the names of the repositories without a commit."""
    if isinstance(node, list):
        return [name for each in node for name in repositories(each)]
    if not isinstance(node, dict):
        return []
    own = [node["name"]] if node.get("revision", "") is None else []
    return own + [name for each in node.values() for name in repositories(each)]


def smaller(study: dict[str, Any], training: dict[str, int], **changes: Any) -> dict[str, Any]:
    """Return what makes a study small: one seed, short trainings, no GPU; its models, methods and variants are the same."""
    resources = {"gpu": 0, "threads": 1, "mem": "4GB"}
    long = [pattern for pattern, settings in study["methods"].items() if training.keys() & settings.keys()]
    return {
        "models": {name: {"resources": resources} for name in study["models"]},
        "methods": dict.fromkeys(long, training),
        "blocks": [block | {"seeds": block["seeds"][:1]} for block in study["blocks"]],
        **changes,
    }


def read_study(checkout: Checkout, name: str) -> dict[str, Any]:
    study: dict[str, Any] = yaml.safe_load((checkout.path / "config" / "studies" / f"{name}.yaml").read_text())
    return study


def run(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, Any], hub: Hub) -> tuple[Path, str]:
    """Pin a study and run it with these changes to its report; return its results and the report.

    Only the stages that fetch have the Hub.
    """
    study, home = f"config/studies/{name}.yaml", checkout.path / "hf"
    (checkout.path / "smaller.yaml").write_text(yaml.safe_dump(changes))
    configs = (study, "smaller.yaml")
    monkeypatch.chdir(checkout.path)
    for variable, value in {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HTTPS_PROXY": NOBODY, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(variable, value)
    with serving(hub):
        environment = {**os.environ, "PYTHONPATH": str(checkout.path / "src")}
        pinned = subprocess.run(
            [sys.executable, "-m", "palimpsest", "pin", study], env=environment, capture_output=True, text=True
        )
        assert pinned.returncode == 0, pinned.stderr
        artefacts = Artefacts(Study(read_configs(map(Path, configs))))
        fetching = artefacts.made("data", "given", "base", "fetch")
        fetched = checkout.snakemake("--configfile", *configs, "--", *fetching, alone=True)
        assert fetched.returncode == 0, fetched.stdout[-4000:]
    ran = checkout.snakemake("--configfile", *configs)
    assert ran.returncode == 0, ran.stdout[-4000:]
    results = checkout.path / artefacts.study.results
    return results, (results / "report.html").read_text()


def read_numbers(results: Path, study: dict[str, Any], metrics: set[str], *roles: str) -> list[float]:
    """Return these numbers of every model that the study names; each has all of them."""
    numbers = pd.read_csv(results / "summary.csv", keep_default_na=False)
    numbers = numbers[(numbers["epoch"] == "") & numbers["metric"].isin(metrics)]
    found = {
        key: dict(zip(of["metric"], of["value"], strict=True)) for key, of in numbers.groupby(["split", "method", "variant"])
    }
    asked = {
        (split, method, variant)
        for block in study["blocks"]
        for split in block["splits"]
        for entry in block["methods"]
        for method, variants in (entry if isinstance(entry, dict) else {entry: ["default"]}).items()
        for variant in variants
    }
    assert found.keys() == asked | {("forget", role, "") for role in roles}
    assert all(values.keys() == metrics for values in found.values())
    return [float(value) for values in found.values() for value in values.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tofu-forget05-llama32-1b", "tofu-forget10-llama31-8b", "simnpo-puzzle-7b"])
def test_a_study_of_tofu_runs_to_its_report(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    study, models = read_study(checkout, name), {}
    chat = any(model.get("prompt", {}).get("kind") == "chat" for model in study["models"].values())
    for number, repository in enumerate(dict.fromkeys(repositories(study))):
        write_model(tmp_path / repository, number, chat=chat)
        models[repository] = (f"{number:040x}", tmp_path / repository)
    (tmp_path / "tofu").mkdir()
    files = {repository: (commit, write_files(tmp_path / "tofu", make_files())) for repository, commit in TOFU.items()}
    changes = smaller(study, {"epochs": 1, "batch_size": 8}, suites={"tofu": {"max_items": 6, "max_new_tokens": 6}})
    results, page = run(checkout, monkeypatch, name, changes, Hub(files, models=models))
    assert "Published for" in page and "What the models see" in page
    table = (results / "report" / "tables" / "table1.csv").read_text()
    print(table)
    for variant in ("default",) if name != "simnpo-puzzle-7b" else ("paper", "paper-pairs", "readme", "repro-page-pairs"):
        assert f"simnpo,{variant}" in table
    assert ("authors (given)" in page) == ("checkpoints" in study)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["muse-books", "muse-news"])
def test_a_study_of_muse_runs_to_its_report(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    study = read_study(checkout, name)
    source, model = study["sources"][name], study["models"]["llama2-7b"]
    corpus = make(tmp_path / "corpus", parts=name == "muse-news")
    for kind in ("forget", "holdout"):
        texts = pq.read_table(corpus / "raw" / f"{kind}-00000-of-00001.parquet")["text"].to_pylist()
        write(corpus, "privleak", kind, {"text": [f"{text} And more, {number}." for text in texts for number in range(4)]})
    tokenizer = tmp_path / "tokenizer"
    tokenizer_of("llama-2").save_pretrained(tokenizer)
    (tokenizer / "model-00001-of-00002.safetensors").write_bytes(b"never read")
    models = {model["name"]: (model["revision"], tokenizer)}
    for seed, role in enumerate(("original", "retrain")):
        write_llama_2(tmp_path / role, seed)
        models[model[role]["name"]] = (model[role]["revision"], tmp_path / role)
    changes = smaller(
        study,
        {"epochs": 2},
        reinforcing={pattern: {"epochs": 1} for pattern in study["reinforcing"]},
        suites={"muse": {"verbatim_tokens": 4, "knowledge_tokens": 4}},
    )
    hub = Hub({source["repo"]: (source["revision"], corpus)}, models=models)
    results, page = run(checkout, monkeypatch, name, changes, hub)
    assert not hub.fetched & {UNREAD, "model-00001-of-00002.safetensors"}
    metrics = {"verbmem_f", "knowmem_f", "knowmem_r", "auc_min_k", "privleak", "privleak_published"}
    assert all(map(math.isfinite, read_numbers(results, study, metrics, "original", "retrain")))
    assert len(pd.read_csv(results / "summary" / "selections.csv")) == 4
    assert 'id="muse"' in page and ('id="requests"' in page) == (name == "muse-news") and "Published for" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wmdp-bio", "wmdp-cyber"])
def test_a_study_of_wmdp_runs_to_its_report(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    study, subject = read_study(checkout, name), name.removeprefix("wmdp-")
    source = WmdpHubSource(**study["sources"][name])
    model, asked = study["models"]["zephyr-7b-beta"], study["suites"]["wmdp"]["datasets"]
    write_zephyr(tmp_path / "zephyr")
    corpora, gated = tmp_path / "corpora", tmp_path / "gated"
    texts = {kind: [f"A text of {kind}, the {number}th. " * 60 for number in range(5)] for kind in ("forget", "retain")}
    write(corpora, f"{subject}-retain-corpus", "train", {"text": texts["retain"]})
    write(*((gated, "data") if subject == "bio" else (corpora, "cyber-forget-corpus")), "train", {"text": texts["forget"]})
    write_questions(tmp_path / "wmdp", ["wmdp-bio", "wmdp-chem", "wmdp-cyber"], "test")
    write_questions(tmp_path / "mmlu", MMLU, "test", "validation", "dev")
    data = {
        source.repo: (source.revision, corpora),
        source.gated_repo: ("b" * 40, gated),
        "cais/wmdp": (asked["cais/wmdp"], tmp_path / "wmdp"),
        "cais/mmlu": (asked["cais/mmlu"], tmp_path / "mmlu"),
    }
    hub = Hub(data, models={model["name"]: (model["revision"], tmp_path / "zephyr")})
    changes = smaller(study, {"max_steps": 2}, suites={"wmdp": {"limit": 4}})
    results, page = run(checkout, monkeypatch, name, changes, hub)
    assert UNREAD not in hub.fetched
    assert {*read_numbers(results, study, {f"wmdp_{subject}/acc", "mmlu/acc"}, "original")} == {0.25}
    assert 'id="wmdp"' in page and ("Published for" in page) == (name == "wmdp-bio")
