"""LoRA models for others: an adapter that peft itself loads over the base, or the merged model; never a mixture."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from export_example import BASE, RUN, TEXTS, Study
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from local_hub import Hub, serving
from small_models import build
from test_adapter_files import LORA, TOKENIZER, adapted
from transformers import AutoModelForCausalLM

from palimpsest.cli import main
from palimpsest.errors import UserError
from palimpsest.evaluating import with_whole_weights
from palimpsest.models.loading import load_model, save_model
from palimpsest.models.merging import ADAPTER, WEIGHTS, save_adapters
from palimpsest.models.settings import UsedSettings

UNLEARNED, IDS = RUN.of("simnpo", "default").path, torch.arange(20)[None]
USED = UsedSettings(lora=LORA)
LOCAL = {"kind": "tiny"}


class Adapters(Study):
    """A study whose original, Retrain and unlearned model are kept as adapters."""

    used = USED.model_dump()

    def write_base(self, folder: Path) -> None:
        save_model(build("llama", 2, vocabulary=300), TOKENIZER, folder)

    def write_weights(self, folder: Path, method: str, start: Path) -> None:
        over = [self.root / "tofu/tiny/base"] if "base" not in start.parts else []
        save_adapters(adapted(load_model(start, USED, over=over), LORA, len(method)), TOKENIZER, folder)

    @property
    def merged(self) -> Any:
        """The unlearned model as the stages load it."""
        over = [self.root / RUN.of("original").path / "model", self.root / "tofu/tiny/base"]
        return load_model(self.root / UNLEARNED / "model", USED, over=over)


FILES = {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json"}
FILES |= {"tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.txt", "merges.txt", "chat_template.jinja"}


class Whole(Study):
    """A study whose models have whole weights, and files of all kinds of tokenizers."""

    def write_weights(self, folder: Path, method: str, start: Path) -> None:
        for name in FILES:
            (folder / name).write_text(method)


@pytest.fixture
def study(tmp_path: Path) -> Adapters:
    return Adapters(tmp_path / "results", base=LOCAL)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub({})) as server:
        monkeypatch.setenv("HF_TOKEN", "hf_token")
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        disable_progress_bars()
        yield server
        enable_progress_bars()


def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(IDS).logits.detach()
    return found


def test_peft_alone_loads_an_exported_model_and_predicts_what_the_stages_measured(study: Adapters, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    assert main(["export", str(study.root), "--to", "models", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / UNLEARNED
    files = {path.name for path in folder.iterdir()}
    assert {ADAPTER, WEIGHTS, "tokenizer.json", "training_log.jsonl"} <= files and not files & {
        "config.json",
        "model.safetensors",
    }
    # Two adapters of rank 3 over each other.
    assert json.loads((folder / ADAPTER).read_text())["r"] == 6
    read = logits(AutoPeftModelForCausalLM.from_pretrained(folder))
    assert torch.allclose(read, logits(study.merged), atol=1e-3)
    original = load_model(study.root / RUN.of("original").path / "model", USED, over=[study.root / "tofu/tiny/base"])
    assert not torch.allclose(read, logits(original), atol=0.1)


@pytest.mark.parametrize("kind", [Study, Adapters])
def test_an_export_has_no_texts_of_the_forget_set(kind: type[Study], tmp_path: Path) -> None:
    root = kind(tmp_path / "results", base=LOCAL).root
    assert {path.name for path in (root / UNLEARNED / "model").iterdir()} > TEXTS
    assert main(["export", str(root), "--to", "models", str(tmp_path / "out")]) == 0
    files = {path.name for path in (tmp_path / "out" / UNLEARNED).iterdir()}
    assert "training_log.jsonl" in files and not files & TEXTS


def test_every_file_that_loads_a_model_is_exported(tmp_path: Path) -> None:
    assert main(["export", str(Whole(tmp_path / "results").root), "--to", "models", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out" / UNLEARNED).iterdir()} == FILES | {"training_log.jsonl"}


def test_a_merged_export_is_a_plain_model_with_the_bytes_that_the_stages_load(study: Adapters, tmp_path: Path) -> None:
    assert main(["export", str(study.root), "--to", "models", str(tmp_path / "out"), "--merged"]) == 0
    folder = tmp_path / "out" / UNLEARNED
    assert not (folder / ADAPTER).exists()
    found, wanted = AutoModelForCausalLM.from_pretrained(folder).state_dict(), study.merged.state_dict()
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_push_names_the_base_on_the_hub_or_merges(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(Adapters(tmp_path / "results", base=BASE).root / UNLEARNED / "model")
    assert main(["push", model, "org/adapter"]) == 0
    adapter = hub.pushed["org/adapter"]
    assert {ADAPTER, WEIGHTS, "README.md", "manifest.json"} < adapter.keys() and "model.safetensors" not in adapter
    settings = json.loads(adapter[ADAPTER])
    assert (settings["base_model_name_or_path"], settings["revision"]) == (BASE["name"], BASE["revision"])
    card = adapter["README.md"].decode()
    assert "library_name: peft" in card and "base_model: org/base" in card and "It is a LoRA adapter" in card
    assert f"sha256 of {RUN.of('original').path}/model/{WEIGHTS}" in card and str(tmp_path) not in card
    assert not any(str(tmp_path).encode() in content for content in adapter.values())

    # The machine's folder for temporary files may be too small for a whole model.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert main(["push", model, "org/merged", "--merged"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    merged = hub.pushed["org/merged"]
    assert {"model.safetensors", "config.json", "README.md"} < merged.keys() and not merged.keys() & {ADAPTER, WEIGHTS}
    assert "library_name: transformers" in merged["README.md"].decode()
    assert "merged into its weights" in merged["README.md"].decode()


def test_the_command_evaluate_takes_a_model_of_a_study_as_a_merged_copy(study: Adapters, tmp_path: Path) -> None:
    model, results = study.root / UNLEARNED / "model", str(tmp_path / "evaluated")
    copy = with_whole_weights(str(model), results)
    found, wanted = AutoModelForCausalLM.from_pretrained(copy).state_dict(), study.merged.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    written = (Path(copy) / "model.safetensors").stat().st_mtime_ns
    assert with_whole_weights(str(model), results) == copy
    assert (Path(copy) / "model.safetensors").stat().st_mtime_ns == written
    # Anything else is taken as it is named.
    for other in (str(study.root / "tofu/tiny/base"), "org/name@" + "a" * 40):
        assert with_whole_weights(other, results) == other
    (study.root / "run_config.yaml").unlink()
    said = r"this adapter lies in no results of a study \(no run_config\.yaml\); --over names the model it changes"
    with pytest.raises(UserError, match=said):
        with_whole_weights(str(model), results)


def test_what_cannot_be_published_is_one_line(
    study: Adapters, tmp_path: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str) -> str:
        assert main([*arguments]) == 2
        return capsys.readouterr().err

    model, whole = str(study.root / UNLEARNED / "model"), Study(tmp_path / "whole").root
    other = str(whole / UNLEARNED / "model")
    assert "an adapter, whose base is not on the Hub; use --merged" in refused("push", model, "org/name")
    assert "has whole weights and no adapter to merge; leave out --merged" in refused("push", other, "org/name", "--merged")
    out = str(tmp_path / "out")
    assert "no unlearned model is kept as adapters" in refused("export", str(whole), "--to", "models", out, "--merged")
    assert "--merged: not with --to card" in refused("export", str(whole), "--to", "card", out, "--merged")
    base = study.root / "tofu/tiny/base/model.safetensors"
    base.write_bytes(base.read_bytes()[:-1] + b"x")
    assert "model.safetensors: sha256 is " in refused("push", model, "org/name", "--merged")
    assert not hub.created and not Path(out).exists()
