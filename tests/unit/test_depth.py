"""Depth: patching against models changed by hand, the score against the paper's equation, and the suite on small models."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_models import build
from torch.nn.functional import cross_entropy

from palimpsest.data.prompts import Encoded
from palimpsest.data.rows import Pair, write_rows
from palimpsest.errors import UserError
from palimpsest.evaluation.depth.scores import SCORING
from palimpsest.evaluation.depth.suite import SCHEMA, measure
from palimpsest.evaluation.depth.suite_settings import DepthSuite
from palimpsest.evaluation.items import read_table, write_table
from palimpsest.evaluation.metric import Against, score
from palimpsest.evaluation.subject import Subject
from palimpsest.metrics.depth import depth_scores
from palimpsest.models.decoder import decoder_layers
from palimpsest.models.patching import label_losses, layer_outputs, lens_losses, patched_losses
from palimpsest.models.settings import TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer

LAYERS = 3
ITEM = Encoded([3, 5, 7, 2], [[9, 4, 11]])
costs = arrays(np.float64, (4, LAYERS), elements=st.floats(-2, 5))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_a_layer_with_its_own_output_changes_nothing(family: str) -> None:
    model = build(family, LAYERS).eval()
    plain, outputs = label_losses(model, ITEM), layer_outputs(model, ITEM)
    assert outputs.shape[:2] == (LAYERS, 3)
    for losses in patched_losses(model, ITEM, outputs):
        torch.testing.assert_close(losses, plain)
    # Behind the last layer are only the norm and the head.
    torch.testing.assert_close(lens_losses(model, ITEM, outputs)[-1], plain)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_patching_is_what_a_model_would_predict_behind_another_layer(family: str) -> None:
    """Zeros in place of the layer's output where labels are predicted, written out with a hook of PyTorch's own."""
    model = build(family, LAYERS).eval()
    found = patched_losses(model, ITEM, torch.zeros_like(layer_outputs(model, ITEM)))
    ids = torch.tensor([[*ITEM.prompt, *ITEM.answers[0]]])
    for number, (layer, _) in enumerate(decoder_layers(model)):

        def clear(module: Any, given: Any, output: Any) -> Any:
            hidden = (output[0] if isinstance(output, tuple) else output).clone()
            hidden[0, 3:6] = 0
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        handle = layer.register_forward_hook(clear)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, 3:6]
        handle.remove()
        torch.testing.assert_close(found[number], cross_entropy(logits, torch.tensor(ITEM.answers[0]), reduction="none"))
    assert not found.allclose(label_losses(model, ITEM).expand_as(found))


def test_models_that_cannot_be_patched_are_refused() -> None:
    model = build("llama", LAYERS).eval()
    with pytest.raises(UserError, match="2 layers were given for a model of 3"):
        patched_losses(model, ITEM, layer_outputs(build("llama", 2).eval(), ITEM))
    other = copy.deepcopy(model)
    del other.model.norm
    with pytest.raises(UserError, match=r"neither model\.norm nor transformer\.ln_f exists"):
        lens_losses(other, ITEM, layer_outputs(model, ITEM))


def test_the_score_by_hand() -> None:
    retrain = np.array([[2.0, 1.0, 0.01], [1.0, 1.0, 1.0], [0.0, -1.0, 0.05]])
    model = np.array([[1.0, 3.0, 9.0], [-1.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    # The first: (2 * 1/2 + 1 * 1) / 3; the second: (0 + 1/2 + 1) / 3; the third has no layer above the threshold.
    assert depth_scores(retrain, model, 0.05) == pytest.approx([2 / 3, 0.5, np.nan], nan_ok=True)


@given(costs, costs)
def test_original_has_depth_0_retrain_1_and_all_others_lie_between(retrain: Any, model: Any) -> None:
    held = (retrain > 0.05).any(axis=1)
    scores = depth_scores(retrain, model, 0.05)
    assert (np.isfinite(scores) == held).all()
    assert ((scores[held] >= 0) & (scores[held] <= 1 + 1e-12)).all()
    assert depth_scores(retrain, retrain, 0.05)[held] == pytest.approx(1)
    assert depth_scores(retrain, np.zeros_like(retrain), 0.05)[held] == pytest.approx(0)


def test_the_suite_measures_a_model_between_original_and_retrain(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["Question: Who left?\nAnswer: Mira Tolvane"] * 5, 300)
    architecture = TinyArchitecture(vocabulary=300, width=32, layers=LAYERS, heads=2, context=64)
    original, retrain = (build_model(architecture, tokenizer, seed).eval() for seed in (0, 1))
    pairs = [Pair(id=f"q{number}", question=f"Who left {number}?", answer="Mira Tolvane") for number in range(4)]
    write_rows(tmp_path / "forget.jsonl", pairs)
    suite = DepthSuite(kind="depth", max_items=2, threshold=0.001)

    def scores_of(model: Any) -> dict[str, float]:
        subject = Subject(model, tokenizer, UsedSettings())
        log = measure(subject, suite, tmp_path, tmp_path, original=original, retrain=retrain)
        assert [(row["id"], row["layer"]) for row in log] == [
            (id, layer) for id in ("q0", "q2") for layer in range(1, LAYERS + 1)
        ]
        write_table(tmp_path / "items.parquet", log, SCHEMA)
        assert read_table(tmp_path / "items.parquet") == log
        return dict(score(SCORING.metrics, SCORING.read(pd.DataFrame(log), "table"), Against()))

    of_original, of_retrain = scores_of(original), scores_of(retrain)
    assert of_original["depth_items"] > 0
    assert of_original["depth_score"] == pytest.approx(0, abs=1e-4) and of_retrain["depth_score"] == pytest.approx(1, abs=1e-4)
    assert {f"lens_probability_{layer}" for layer in range(1, LAYERS + 1)} <= of_original.keys()
    with pytest.raises(UserError, match="table: no column 'set'"):
        SCORING.read(pd.DataFrame({"id": [1]}), "table")
