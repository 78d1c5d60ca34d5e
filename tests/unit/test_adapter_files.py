"""Adapters as files: loaded over their base, they are the model that a merge at the end of training would have saved."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from families import build_family
from small_models import build

from palimpsest.errors import Diverged, UserError
from palimpsest.models.loading import load_model, load_tokenizer, save_model
from palimpsest.models.merging import ADAPTER, WEIGHTS, merge_adapters, save_adapters
from palimpsest.models.settings import UsedSettings
from palimpsest.models.tiny import train_tokenizer
from palimpsest.training.adapters import add_adapters
from palimpsest.training.settings import LoraSettings

TOKENIZER = train_tokenizer(["The ferry leaves from pier nine at dawn."] * 10, 300)
LORA = LoraSettings(rank=3, alpha=8.0)


def small(family: str) -> Any:
    if family in ("llama", "gpt2", "qwen2"):
        return build(family, 2, tied=family != "qwen2", vocabulary=300)
    return build_family(family, vocab_size=300)


def adapted(model: Any, lora: LoraSettings, seed: int) -> Any:
    """Return the model with adapters that change it."""
    found: Any = add_adapters(model, lora, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in found.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return found


def written(base: Path, over: list[Path], used: UsedSettings, root: Path, seed: int) -> tuple[Path, Path]:
    """Train adapters over a model; return the folder of the adapters, and of the model as a merge saves it."""
    start = load_model(base, used, over=over)
    trained = adapted(start, used.lora or LORA, seed)
    save_model(merge_adapters(copy.deepcopy(trained)), TOKENIZER, root / f"merged-{seed}")
    (root / f"adapter-{seed}").mkdir()
    save_adapters(trained, TOKENIZER, root / f"adapter-{seed}")
    return root / f"adapter-{seed}", root / f"merged-{seed}"


def state(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights and all buffers, also those that no file has."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


@pytest.mark.parametrize(
    ("family", "lora", "precision"),
    [
        ("llama", {}, "fp32"),
        ("llama", {}, "bf16"),
        ("llama", {"layers": [1]}, "bf16-mixed"),
        ("gpt2", {}, "bf16"),
        ("qwen2", {"target_modules": ["embed_tokens", "lm_head", "q_proj"]}, "bf16-mixed"),
        ("qwen3_moe", {}, "bf16"),
    ],
)
def test_adapters_over_adapters_over_a_base_are_the_merged_model_to_the_bit(
    family: str, lora: dict[str, Any], precision: Any, tmp_path: Path
) -> None:
    used = UsedSettings(precision=precision, lora=LoraSettings(rank=3, alpha=8.0, **lora))
    base = tmp_path / "base"
    save_model(small(family), TOKENIZER, base)
    first, once = written(base, [], used, tmp_path, 1)
    second, twice = written(first, [base], used, tmp_path, 2)
    for folder, over, merged in ((first, [base], once), (second, [first, base], twice)):
        for frozen in (False, True):
            random = torch.get_rng_state()
            found, wanted = load_model(folder, used, over=over, frozen=frozen), load_model(merged, used, frozen=frozen)
            assert torch.equal(torch.get_rng_state(), random)
            assert type(found) is type(wanted) and found.dtype is wanted.dtype is found.config.dtype
            assert not any(hasattr(each, "peft_config") for each in (found, wanted))
            here, there = state(found), state(wanted)
            assert here.keys() == there.keys()
            assert not [name for name in there if here[name].dtype != there[name].dtype or not here[name].equal(there[name])]
            assert [weight.requires_grad for weight in found.parameters()] == [
                weight.requires_grad for weight in wanted.parameters()
            ]


def test_the_files_are_an_adapter_of_peft_and_name_no_folder(tmp_path: Path) -> None:
    from peft import PeftModel

    base, used = tmp_path / "base", UsedSettings(lora=LORA)
    save_model(small("llama"), TOKENIZER, base)
    adapter, merged = written(base, [], used, tmp_path, 1)
    again, _ = written(base, [], used, tmp_path / "merged-1", 1)
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}
    assert {ADAPTER, WEIGHTS, "config.json", "tokenizer.json"} <= {path.name for path in adapter.iterdir()}
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in adapter.iterdir())
    assert sum(path.stat().st_size for path in adapter.glob("*.safetensors")) < (base / "model.safetensors").stat().st_size / 2
    assert load_tokenizer(adapter).get_vocab() == load_tokenizer(base).get_vocab()
    ids = torch.arange(20)[None]
    read = PeftModel.from_pretrained(load_model(base, used), str(adapter)).eval()
    assert torch.allclose(read(ids).logits, load_model(merged, used)(ids).logits, atol=1e-4)


def test_adapters_are_not_loaded_without_their_base_or_over_another_model(tmp_path: Path) -> None:
    base, used = tmp_path / "base", UsedSettings(lora=LORA)
    save_model(small("llama"), TOKENIZER, base)
    adapter, _ = written(base, [], used, tmp_path, 1)
    with pytest.raises(UserError, match="an adapter is never applied automatically"):
        load_model(adapter, used)
    save_model(small("gpt2"), TOKENIZER, tmp_path / "other")
    with pytest.raises(UserError, match=f"^{adapter}: "):
        load_model(adapter, used, over=[tmp_path / "other"])
    settings = json.loads((adapter / ADAPTER).read_text())
    (adapter / ADAPTER).write_text(json.dumps(settings | {"r": 2}))
    with pytest.raises(UserError, match=f"^{adapter}: "):
        load_model(adapter, used, over=[base])
    (adapter / WEIGHTS).unlink()
    with pytest.raises(UserError, match=f"^{adapter}: an adapter without {WEIGHTS}, the only format that is read"):
        load_model(adapter, used, over=[base])


def test_adapters_whose_merge_is_not_finite_are_a_divergence_and_are_not_written(tmp_path: Path) -> None:
    trained: Any = add_adapters(small("llama"), LORA, 0)
    for name, weight in trained.named_parameters():
        if "lora" in name:
            torch.nn.init.constant_(weight, 1e30)
    with pytest.raises(Diverged, match="not finite after merging the adapters"):
        save_adapters(trained, TOKENIZER, tmp_path)
    assert not any(tmp_path.iterdir())


def test_every_stage_loads_models_the_same_way() -> None:
    """The only module of the stages that loads weights is the one that puts adapters over what they change."""
    import palimpsest.stages

    folder = Path(palimpsest.stages.__path__[0])
    loading = {path.name for path in folder.glob("*.py") if {"load_model", "open_model"} & set(words(path))}
    assert loading == {"loading.py"}


def words(path: Path) -> list[str]:
    import re

    return re.findall(r"\w+", path.read_text(encoding="utf-8"))
