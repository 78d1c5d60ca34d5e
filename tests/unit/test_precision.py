"""The precision of weights and of arithmetic, in training and outside it."""

from pathlib import Path

import pytest
import torch
from small_models import build

from palimpsest.models.loading import load_model
from palimpsest.models.precision import autocast
from palimpsest.models.settings import UsedSettings

FP32, BF16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize(
    ("precision", "frozen", "kept", "computed"),
    [
        ("fp32", False, FP32, FP32),
        ("fp32", True, FP32, FP32),
        ("bf16", False, BF16, BF16),
        ("bf16", True, BF16, BF16),
        ("bf16-mixed", False, FP32, BF16),
        ("bf16-mixed", True, BF16, BF16),
    ],
)
def test_only_weights_that_change_are_kept_in_32_bits(
    tmp_path: Path, precision: str, frozen: bool, kept: torch.dtype, computed: torch.dtype
) -> None:
    build("llama", 2).save_pretrained(tmp_path)
    used = UsedSettings(precision=precision)  # type: ignore[arg-type]
    model = load_model(tmp_path, used, frozen=frozen)
    assert {weight.dtype for weight in model.parameters()} == {kept}
    seen: list[torch.dtype] = []
    model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad(), autocast(model.device, used):
        logits = model(input_ids=ids).logits.float()
    assert seen == [computed]
    exact = load_model(tmp_path, UsedSettings())(input_ids=ids).logits
    assert torch.allclose(logits, exact, atol=0.15)
    assert torch.equal(logits, exact) == (computed is FP32)
