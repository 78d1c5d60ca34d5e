"""What attacks do to weights and data, apart from the stage that runs them."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.attacks import base, list_attacks, load_attack
from palimpsest.attacks.quantise import round_rows
from palimpsest.errors import UserError

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


def test_attacks_are_found_by_their_files_and_an_unknown_one_is_one_line() -> None:
    files = {path.stem.replace("_", "-") for path in Path(base.__file__).parent.glob("*.py")}
    assert set(list_attacks()) == files - {"--init--", "base"}
    with pytest.raises(UserError) as caught:
        load_attack("quantize")
    assert str(caught.value) == f"unknown attack 'quantize'; allowed: {', '.join(list_attacks())}"
