"""Adapters are put on the layers that are named, all of them, and merging leaves the model that was trained."""

from typing import Any

import pytest
import torch
from example_study import CONFIG, changed
from example_study import spec as told
from families import build_family
from small_models import build

from palimpsest.errors import Diverged, UserError
from palimpsest.models.merging import merge_adapters
from palimpsest.models.settings import PromptSettings
from palimpsest.study.study import Study
from palimpsest.training.adapters import WithoutAdapters, add_adapters
from palimpsest.training.settings import LoraSettings

IDS = torch.arange(20)[None]


@pytest.mark.parametrize(
    ("family", "targets", "reason"),
    [
        (
            "llama",
            ["c_attn"],
            r"the model has no layer 'c_attn'; its layers are down_proj, embed_tokens, gate_proj, ",
        ),
        ("llama", ["q_proj", "nonsense"], r"the model has no layer 'nonsense'"),
        ("llama", ["proj"], r"the model has no layer 'proj'"),
        ("llama", ["mlp"], r"the model has no layer 'mlp'"),
        ("llama", ["norm"], r"the model has no layer 'norm'"),
        ("llama", ["lm_head"], r"'lm_head' shares its weight with another layer"),
        ("llama", ["q_proj", "embed_tokens"], r"'embed_tokens' shares its weight with another layer"),
        ("gpt2", ["q_proj"], r"the model has no layer 'q_proj'; its layers are c_attn, c_fc, c_proj, lm_head, wpe, wte"),
    ],
)
def test_layers_that_get_no_adapter_are_refused(family: str, targets: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=f"^lora: target_modules: {reason}"):
        add_adapters(build(family, 2), LoraSettings(target_modules=targets), 0)


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("llama", "all-linear"),
        ("llama", ["q_proj", "model.layers.0.mlp.down_proj"]),
        ("gpt2", ["c_attn", "c_proj"]),
    ],
)
def test_merging_leaves_the_model_that_was_trained(family: str, targets: Any) -> None:
    adapted: Any = add_adapters(build(family, 2), LoraSettings(target_modules=targets), 0)
    for name, weight in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.3)
    before = adapted.eval()(IDS).logits.detach().clone()
    assert torch.allclose(merge_adapters(adapted)(IDS).logits, before, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "targets", "layers", "per_layer"),
    [("llama", "all-linear", [1], 7), ("llama", ["q_proj", "v_proj"], [2, 0], 2), ("gpt2", "all-linear", [0, 2], 4)],
)
def test_adapters_are_in_the_chosen_decoder_layers_alone(family: str, targets: Any, layers: list[int], per_layer: int) -> None:
    start, adapted = build(family, 3), add_adapters(build(family, 3), LoraSettings(target_modules=targets, layers=layers), 0)
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert len(trained) == 2 * per_layer * len(layers) and all("lora_" in name for name in trained)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    moved = {
        name
        for (name, before), after in zip(start.named_parameters(), merge_adapters(adapted).parameters(), strict=True)
        if not torch.equal(before, after)
    }
    assert {int(name.split(".")[2]) for name in moved} == {*layers} and len(moved) == per_layer * len(layers)


@pytest.mark.parametrize(
    ("targets", "layers", "reason"),
    [
        ("all-linear", [0, 2], "the model has no decoder layer 2; its layers are 0 to 1"),
        (["q_proj"], [9], "the model has no decoder layer 9; its layers are 0 to 1"),
        (["q_proj", "model.layers.0.mlp.down_proj"], [1], "'model.layers.0.mlp.down_proj' of target_modules is in none of the "),
        (["q_proj", "lm_head"], [1], "'lm_head' of target_modules is in none of the decoder layers"),
    ],
)
def test_decoder_layers_that_get_no_adapter_are_refused(targets: Any, layers: list[int], reason: str) -> None:
    with pytest.raises(UserError, match=f"^lora: layers: {reason}"):
        add_adapters(build("llama", 2, tied=False), LoraSettings(target_modules=targets, layers=layers), 0)


def test_a_layer_that_a_tiny_model_lacks_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^config: models: tiny: lora: layers: 7: the layers of this model are 0 to \d$"):
        Study(changed(("models", "tiny", "lora"), {"layers": [0, 7]}))


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_a_layer_with_a_weight_of_its_own_may_have_one(target: str) -> None:
    adapted: Any = add_adapters(build("llama", 1, tied=False), LoraSettings(target_modules=[target]), 0)
    assert any("lora" in name and target in name for name, _ in adapted.named_parameters())


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("jamba", r"merging would change what the adapters of dt_proj have learnt: name other layers"),
        ("llama4_text", r"merging would change what the adapters of router have learnt: name other layers"),
        ("longcat_flash", r"merging would change what the adapters of classifier have learnt: name other layers"),
        ("mamba", r".*Module 'out_proj' is incompatible with Mamba-based models"),
    ],
)
def test_a_layer_that_is_no_plain_product_with_its_weight_gets_no_adapter(family: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^lora: target_modules: \w+: {reason}"):
        add_adapters(build_family(family), LoraSettings(), 0)


@pytest.mark.parametrize("family", ["llama", "deepseek_v3", "qwen3_moe"])
def test_in_half_precision_rounding_is_no_fault(family: str) -> None:
    add_adapters(build_family(family).to(torch.bfloat16), LoraSettings(), 0)
    with pytest.raises(UserError, match="the adapters of dt_proj"):
        add_adapters(build_family("jamba").to(torch.bfloat16), LoraSettings(), 0)


def test_to_try_a_merge_changes_nothing() -> None:
    model = build("llama", 2).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    adapted: Any = add_adapters(model, LoraSettings(), 0)
    for name, weight in adapted.state_dict().items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert torch.equal(weight, before[plain]) if plain in before else bool(weight.any()) == ("lora_A" in name)
    assert adapted.training and not any(getattr(module, "merged", False) for module in adapted.modules())
    assert all(weight.requires_grad == ("lora" in name) for name, weight in adapted.named_parameters())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_without_adapters_a_model_in_training_is_the_start_model_and_then_itself_again(family: str) -> None:
    start, model = build(family, 2).eval(), build(family, 2)
    without = WithoutAdapters(model)
    adapted: Any = add_adapters(model, LoraSettings(dropout=0.5), 0).train()
    for name, weight in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.3)
    trained = [weight.requires_grad for weight in adapted.parameters()]
    torch.manual_seed(0)
    before = adapted(IDS).logits
    assert torch.equal(without(input_ids=IDS).logits, start(IDS).logits)
    torch.manual_seed(0)
    assert torch.equal(adapted(IDS).logits, before) and not torch.equal(before, start(IDS).logits)
    assert adapted.training and [weight.requires_grad for weight in adapted.parameters()] == trained


def test_a_merge_that_is_not_finite_is_a_divergence() -> None:
    adapted: Any = add_adapters(build("llama", 1), LoraSettings(), 0)
    for name, weight in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.constant_(weight, 1e30)
    with pytest.raises(Diverged, match="not finite after merging the adapters"):
        merge_adapters(adapted)


def test_the_base_is_told_what_is_asked_of_it_and_nothing_else_of_prompts_and_adapters() -> None:
    def needs(**settings: Any) -> Any:
        study = Study(changed(("models", "tiny"), CONFIG["models"]["tiny"] | settings))
        return told(study, "tofu/tiny/base")["needs"]

    nothing = {"chat": None, "lora_targets": None, "optimizer": "adamw"}
    assert needs() == needs(lora={"rank": 2}) == needs(prompt={"template": "Q: {question}"}) == nothing
    chat = {"kind": "chat", "system": "Be brief.", "variables": {"enable_thinking": False}, "date": "2024-07-26"}
    assert needs(prompt=chat) == nothing | {"chat": PromptSettings(**chat).model_dump()}
    assert needs(lora={"rank": 2, "target_modules": ["q_proj"]}) == nothing | {"lora_targets": ["q_proj"]}
    assert needs(lora={"layers": [1, 0]}) == nothing | {"lora_layers": [1, 0]}
    assert needs(optimizer="adamw-8bit") == nothing | {"optimizer": "adamw-8bit"}
