"""The official architecture: its numbers against the official code's, and what a causal model that is saved must do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from palimpsest.benchmarks.markov.chains import STATES, sample
from palimpsest.benchmarks.markov.loading import load_chain_model
from palimpsest.benchmarks.markov.models import build_model, encode
from palimpsest.benchmarks.markov.official import OfficialConfig, OfficialModel
from palimpsest.benchmarks.markov.settings import ChainModel
from palimpsest.errors import UserError
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.packing import Layout
from palimpsest.models.scoring import score
from palimpsest.streams import stream

OFFICIAL = ChainModel(kind="chain", architecture="official", layers=2, heads=1, width=32)
# Logits of `TransformerModel` in synthetic/model.py of OPTML-Group/Unlearn-Simple (commit f1a355d) with two layers of width 8, in
# double precision, after the first, third and last of the states 3, 1, 4, 1, 5, 9; its weights are those of `waves`.
GOLDEN = [
    [1.8018968, -4.7155057, -1.7449493, 4.8400384, 1.2376237, -3.8431786, 0.4460052, 2.9672092, -2.6810545, -2.9229881],
    [1.2805885, -4.4447996, -1.3024165, 4.4405553, 0.9113406, -3.3487470, 0.6284087, 2.4196981, -2.7041323, -2.3687614],
    [0.8207913, -3.6282527, -1.0802346, 3.5593534, 0.9455884, -2.4775113, 0.3406312, 1.6322057, -2.1871944, -1.7316979],
]


def waves(number: int, *shape: int) -> torch.Tensor:
    """The weight with this number: the sines of the number and those that follow."""
    length = int(torch.tensor(shape).prod())
    return torch.sin(number + torch.arange(length, dtype=torch.float64)).view(shape)


def wavy(width: int = 8, layers: int = 2, context: int = 6) -> OfficialModel:
    """A model with the weights of the golden numbers; query, key and value, which the official code keeps apart, are one here."""
    config = OfficialConfig(vocab_size=STATES, max_position_embeddings=context, hidden_size=width, num_hidden_layers=layers)
    model = OfficialModel(config).double().eval()
    weights = {
        "states.weight": waves(1, STATES, width),
        "positions.weight": waves(2, context, width),
        "head.weight": waves(3, STATES, width),
        "head.bias": waves(4, STATES),
    }
    for block in range(layers):
        first = 100 * (block + 1)
        weights[f"blocks.{block}.attention.weight"] = torch.cat([waves(first + part, width, width) for part in range(3)])
        names = ["attention_norm.weight", "attention_norm.bias", "mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"]
        for number, name in enumerate([*names, "mlp_norm.weight", "mlp_norm.bias"], first + 3):
            is_matrix = name in ("mlp.0.weight", "mlp.2.weight")
            weights[f"blocks.{block}.{name}"] = waves(number, *[width] * (2 if is_matrix else 1))
    model.load_state_dict(weights)
    return model


def test_its_predictions_are_those_of_the_official_code() -> None:
    logits = wavy()(input_ids=torch.tensor([[3, 1, 4, 1, 5, 9]])).logits[0, [0, 2, 5]]
    torch.testing.assert_close(logits, torch.tensor(GOLDEN, dtype=torch.float64), rtol=0, atol=1e-7)


def test_it_has_as_many_weights_as_the_official_model() -> None:
    model = build_model(ChainModel(kind="chain", architecture="official", heads=1), 20, seed=0)
    assert sum(weight.numel() for weight in model.parameters()) == 335_882


def test_it_starts_as_torch_s_layers_do_with_small_positions() -> None:
    model = build_model(ChainModel(kind="chain", architecture="official", heads=1, width=256), 100, seed=0)
    assert model.states.weight.std().item() == pytest.approx(1.0, rel=0.05)
    assert model.positions.weight.std().item() == pytest.approx(0.02, rel=0.05)
    bound = 256**-0.5
    for layer in (model.head, model.blocks[0].attention, model.blocks[3].mlp[2]):
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert layer.weight.abs().max() <= bound
    assert all(norm.weight.eq(1).all() and norm.bias.eq(0).all() for norm in model.modules() if isinstance(norm, nn.LayerNorm))


def test_a_prediction_depends_on_all_earlier_states_and_on_no_later_one() -> None:
    model = build_model(OFFICIAL, 8, seed=0).eval()
    ids = torch.arange(8)[None]
    before = model(input_ids=ids).logits[0]
    for changed in range(8):
        other = ids.clone()
        other[0, changed] = 9
        moved = (model(input_ids=other).logits[0] - before).abs().amax(-1) > 1e-6
        assert moved.tolist() == [place >= changed for place in range(8)]


def test_sequences_of_several_lengths_share_a_pass_and_have_the_scores_of_each_alone() -> None:
    model = build_model(OFFICIAL, 8, seed=0).eval()
    items = [item for length in (8, 3) for item in encode(sample("retain", 3, length, 0.2, stream(0)))]
    assert exact_layouts(model).of(items) is Layout.PACKED
    together = [scores.nll[0] for scores in score(model, items)]
    assert together == pytest.approx([next(iter(score(model, [item]))).nll[0] for item in items], rel=1e-5)


def test_a_seed_decides_its_weights_and_a_saved_one_is_loaded_with_them(tmp_path: Path) -> None:
    first, again, other = (build_model(OFFICIAL, 8, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(weight.equal(again[name]) for name, weight in first.items())
    assert not first["head.weight"].equal(other["head.weight"])
    build_model(OFFICIAL, 8, seed=3).save_pretrained(tmp_path)
    loaded = load_chain_model(tmp_path)
    assert isinstance(loaded, OfficialModel)
    assert all(weight.equal(loaded.state_dict()[name]) for name, weight in first.items())


def test_a_folder_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    model = build_model(OFFICIAL, 8, seed=0)
    weights = {name: weight for name, weight in model.state_dict().items() if name != "head.bias"}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(UserError, match=r"lacks weights, which would be random: head\.bias"):
        load_chain_model(tmp_path)
