"""What attacks do to weights and data, apart from the stage that runs them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from small_models import build
from test_training import SETTINGS, items, run, same, small_model, weights
from torch.nn.utils import prune

from palimpsest.attacks import base, list_attacks, load_attack
from palimpsest.attacks.noise import with_noise
from palimpsest.attacks.prune import without_smallest
from palimpsest.attacks.quantise import NF4, round_blocks, round_rows
from palimpsest.contract.job import Job
from palimpsest.errors import UserError
from palimpsest.models.editing import edit_layers
from palimpsest.models.loading import save_model
from palimpsest.models.merging import merge_adapters
from palimpsest.models.settings import UsedSettings
from palimpsest.models.tiny import train_tokenizer
from palimpsest.stages.attack import Spec, _items
from palimpsest.training.adapters import add_adapters
from palimpsest.training.settings import LoraSettings

rows = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=4)


@given(rows, st.sampled_from([4, 8]))
def test_rounding_moves_no_weight_by_more_than_half_a_step_and_is_done_once(values: list[list[float]], bits: int) -> None:
    weight = torch.tensor(values)
    rounded = round_rows(weight, bits)
    step = weight.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((rounded - weight).abs() <= step / 2 + 1e-4).all()
    assert torch.allclose(round_rows(rounded, bits), rounded, rtol=1e-5, atol=1e-5)


def test_rounding_by_hand() -> None:
    weight = torch.tensor([[7.0, 3.4, -0.6], [0.0, 0.0, 0.0]])
    assert round_rows(weight, 4).tolist() == [[7.0, 3.0, -1.0], [0.0, 0.0, 0.0]]
    assert round_rows(weight.bfloat16(), 4).dtype == torch.bfloat16


def test_the_levels_of_nf4_are_the_quantiles_of_its_paper() -> None:
    # arXiv 2305.14314, App. E: 8 positive and 7 negative quantiles of a standard normal, and 0, scaled to 1.
    offset = 0.9677083
    positive, negative = (norm.ppf(np.linspace(offset, 0.5, count)[:-1]) for count in (9, 8))
    quantiles = np.sort([*positive, 0.0, *-negative])
    assert pytest.approx(quantiles / quantiles.max(), abs=1e-6) == NF4


def test_nf4_by_bitsandbytes() -> None:
    # quantize_4bit and dequantize_4bit of bitsandbytes 0.50 on the CPU, with blocks of 64.
    weight = torch.tensor([[(-1) ** i * ((i * 37) % 64) / 32 for i in range(64)] for _ in range(2)])
    first = [0.0, -1.033738, 0.316831, -1.37063, 0.665271, -1.96875, 0.867647, -0.179255]
    last = [0.665271, -1.96875, 1.107652, -0.179255, 1.423321, -0.559994, 1.423321, -0.777494]
    rounded = round_blocks(weight)
    assert rounded[1, :8].tolist() == pytest.approx(first, abs=1e-6)
    assert rounded[0, -8:].tolist() == pytest.approx(last, abs=1e-6)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=150))
def test_nf4_keeps_the_largest_magnitude_of_each_block_and_is_done_once(values: list[float]) -> None:
    weight = torch.tensor([values])
    rounded = round_blocks(weight)
    assert rounded.shape == weight.shape
    for block, own in zip(rounded[0].split(64), weight[0].split(64), strict=True):
        scale = own.abs().max()
        assert block.abs().max() == scale
        assert ((block[:, None] - scale * torch.tensor(NF4)).abs().min(dim=1).values <= 1e-5 * scale).all()
        # Half of the widest gap between two levels.
        assert ((block - own).abs() <= 0.153 * scale + 1e-5).all()
    assert torch.allclose(round_blocks(rounded), rounded)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.9])
def test_pruning_is_that_of_torch(share: float) -> None:
    layer = torch.nn.Linear(17, 5)
    pruned = without_smallest(layer.weight.detach(), share)
    prune.l1_unstructured(layer, "weight", share)  # type: ignore[no-untyped-call]
    assert torch.equal(pruned, layer.weight)


@given(rows, st.floats(0.001, 0.999))
def test_what_is_pruned_is_the_smallest(values: list[list[float]], share: float) -> None:
    weight = torch.tensor(values) + 101
    pruned = without_smallest(weight, share)
    kept = pruned != 0
    assert int((~kept).sum()) == round(share * weight.numel())
    assert torch.equal(pruned[kept], weight[kept])
    assert kept.all() or not kept.any() or weight[~kept].max() <= weight[kept].min()


def test_noise_is_relative_to_the_sd_of_the_matrix() -> None:
    torch.manual_seed(0)
    weight, normal = 3 + 7 * torch.randn(200, 100), torch.randn(200, 100)
    noise = with_noise(weight, 0.1, normal) - weight
    assert torch.allclose(noise, 0.1 * weight.std() * normal, atol=1e-5)
    assert with_noise(weight.bfloat16(), 0.1, normal).dtype == torch.bfloat16


def target(model: Any, draw: int = 0, seed: int = 0, told: list[Any] | None = None) -> base.Target:
    steps: list[int] = []
    remark = steps.append if told is None else told.append
    return base.Target(model, None, [], seed, draw, "draw 1", steps.append, remark)  # type: ignore[arg-type]


def test_noise_depends_on_seed_draw_and_layer_alone() -> None:
    noise = load_attack("noise").model_validate({"kind": "noise", "draws": 2})

    def attacked(**of: int) -> list[torch.Tensor]:
        model = build("llama", 2)
        noise.attack(target(model, **of))
        return [layer.self_attn.q_proj.weight for layer in model.model.layers]

    first = attacked()
    assert all(map(torch.equal, first, attacked()))
    assert not torch.equal(first[0], attacked(draw=1)[0]) and not torch.equal(first[0], attacked(seed=1)[0])
    before = [layer.self_attn.q_proj.weight for layer in build("llama", 2).model.layers]
    assert not torch.allclose(first[0] - before[0], first[1] - before[1])


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2)])
def test_draws_of_relearning_train_apart_and_the_first_as_without_draws(lora: LoraSettings | None) -> None:
    training = SETTINGS.model_copy(update={"epochs": 1})
    settings = {"kind": "relearn", "select": "random", "draws": 2, "training": training, "keep_model": True}
    relearn, used = load_attack("relearn").model_validate(settings), UsedSettings(lora=lora)

    def attacked(draw: int) -> dict[str, torch.Tensor]:
        model = small_model()
        relearn.attack(base.Target(model, used, items(10), 0, draw, "draw", lambda step: None, lambda remark: None))
        return weights(model)

    plain: Any = add_adapters(small_model(), lora, 0)
    run(plain, training, used=used)
    alone = weights(merge_adapters(plain))
    assert same(attacked(0), alone) and not same(attacked(1), alone)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_edit_is_of_the_linear_layers_alone(name: str) -> None:
    model, before = build(name, 1, tied=False), dict(build(name, 1, tied=False).named_parameters())
    shapes: dict[str, tuple[int, ...]] = {}

    def edit(layer: str, weight: torch.Tensor) -> torch.Tensor:
        shapes[layer] = tuple(weight.shape)
        return weight + torch.arange(len(weight))[:, None]

    assert edit_layers(model, edit)
    layers = {
        "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
        "gpt2": {"c_attn", "c_proj", "c_fc"},
    }
    assert {layer.rpartition(".")[2] for layer in shapes} == layers[name]
    # GPT-2 stores (inputs, outputs); its attention has three outputs a unit.
    wide = {"llama": ("model.layers.0.mlp.up_proj", (48, 32)), "gpt2": ("transformer.h.0.attn.c_attn", (96, 32))}
    assert shapes[wide[name][0]] == wide[name][1]
    for parameter, weight in model.named_parameters():
        is_layer = parameter.removesuffix(".weight") in shapes
        moved = weight - before[parameter]
        if not is_layer:
            assert not moved.any()
        else:
            by_output = moved if name == "llama" else moved.T
            assert torch.allclose(by_output[:, 0], torch.arange(len(by_output)).float(), atol=1e-5)


def test_an_edit_that_moves_nothing_is_told() -> None:
    model, told = build("llama", 1), list[Any]()
    rounding = load_attack("quantise").model_validate({"kind": "quantise"})
    rounding.attack(target(model, told=told))
    assert told == []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.zeros_(layer.weight)
    rounding.attack(target(model, told=told))
    assert [remark.text for remark in told] == ["draw 1: the attack quantise moved no weight"]


def test_nf4_needs_four_bits() -> None:
    with pytest.raises(ValueError, match="levels: nf4 has 16 levels: use bits: 4, not 8"):
        load_attack("quantise").model_validate({"kind": "quantise", "levels": "nf4"})


def test_relearning_is_not_measured_between_epochs_so_its_length_is_not_given_in_steps() -> None:
    with pytest.raises(ValueError, match="training: max_steps: 3: relearning is measured by epochs; use null"):
        load_attack("relearn").model_validate({"kind": "relearn", "select": "random", "training": {"max_steps": 3}})


@pytest.mark.parametrize("select", ["shortest", "random"])
def test_an_attacker_without_data_is_one_line(tmp_path: Path, select: str) -> None:
    tokenizer = train_tokenizer(["Who?"], 300)
    save_model(build("llama", 1, vocabulary=len(tokenizer)), tokenizer, tmp_path)
    (tmp_path / "other.jsonl").touch()
    attack = {"kind": "relearn", "select": select, "data": "other"}
    spec = Spec.model_validate({"kind": "tofu", "attack": attack, "sets": ["other"], "seed": 0, "model": {}})
    job = Job(spec, {"model": {"": tmp_path}, "split": {"": tmp_path}}, tmp_path, tmp_path)
    with pytest.raises(UserError, match="attack: nothing to learn"):
        _items(job)


def test_attacks_are_found_by_their_files_and_an_unknown_one_is_one_line() -> None:
    files = {path.stem.replace("_", "-") for path in Path(base.__file__).parent.glob("*.py")}
    assert set(list_attacks()) == files - {"--init--", "base"}
    with pytest.raises(UserError) as caught:
        load_attack("quantize")
    assert str(caught.value) == f"unknown attack 'quantize'; allowed: {', '.join(list_attacks())}"
