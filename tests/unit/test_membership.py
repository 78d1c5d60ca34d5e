"""Membership on TOFU, fluency and OpenUnlearning's summary: values of the official code, and what must hold."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from run_example import SIZES, suite_rows
from torch.nn.functional import cross_entropy

from palimpsest.benchmarks.tofu import scores as tofu
from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.metrics.fluency import n_gram_entropy
from palimpsest.metrics.privacy import membership_auc, min_k_loss, zlib_loss
from palimpsest.metrics.summary import aggregate_score, closeness, harmonic_mean, memorisation_score, privacy_score, utility_score
from palimpsest.models.scoring import standard_losses

LOGITS = torch.tensor(
    [[2.0, 0.5, -1.0, 0.0], [0.1, 0.2, 0.3, 0.4], [-3.0, 1.0, 4.0, 0.0], [1.5, 1.5, -2.0, 0.5], [0.0, 3.0, 0.0, -1.0]]
)
LABELS = torch.tensor([0, 3, 1, 2, 1])
shares = st.floats(0.001, 1)


def test_the_statistics_are_those_of_open_unlearning() -> None:
    """Its MinKPlusPlusAttack and ZLIBAttack on the same numbers, and scikit-learn's AUC, of which ours is one minus."""
    losses = standard_losses(LOGITS, cross_entropy(LOGITS, LABELS, reduction="none"))
    assert losses.tolist() == pytest.approx([-0.6100110, -1.2353743, 3.3556445, 6.3714871, -0.3408490], rel=1e-5)
    assert min_k_loss(losses.tolist(), 0.4) == pytest.approx(4.863566, rel=1e-5)
    assert zlib_loss(1.75, "Mira Tolvane wrote the book about rivers in 1931.") == pytest.approx(0.03070175438596491, rel=1e-12)
    members, others = np.array([0.2, 0.9, 1.4, 0.3]), np.array([0.8, 1.1, 0.25, 2.0, 0.3])
    assert 1 - membership_auc(members, others) == pytest.approx(0.575)


def test_a_sure_prediction_has_a_finite_standard_loss() -> None:
    sure = torch.tensor([[100.0, 0.0, 0.0]])
    assert standard_losses(sure, torch.tensor([0.0])).item() == pytest.approx(0, abs=1e-6)
    assert math.isfinite(standard_losses(sure, torch.tensor([100.0])).item())


def test_fluency_is_the_entropy_of_pairs_and_triples() -> None:
    """Values of ROME's arithmetic on the same words."""
    words = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "cat", "sat", "on", "the", "hat"]
    assert n_gram_entropy(words) == pytest.approx(2.915416660139998, rel=1e-12)
    assert n_gram_entropy(["one", "two", "three", "four"]) == pytest.approx(1.1949875002403854, rel=1e-12)
    assert n_gram_entropy(["a"] * 9) == n_gram_entropy(["a", "b"]) == n_gram_entropy([]) == 0


def test_the_summary_is_of_harmonic_means() -> None:
    """By hand."""
    assert memorisation_score(0.25, 0.4, 0.3, 0.45) == pytest.approx(4 / (1 / 0.75 + 1 / 0.6 + 1 / 0.7 + 1 / 0.55))
    # Of Retrain's AUC, 0.5, the model's is 0.1 away below and above: PrivLeak is -20 % and 20 %.
    aucs = {"loss": 0.4, "zlib": 0.6, "min_k": 0.5, "min_k_plus_plus": 0.3}
    assert privacy_score(aucs, dict.fromkeys(aucs, 0.5)) == pytest.approx(4 / (1 / 0.8 + 1 / 0.8 + 1 + 1 / 0.6))
    # Fluency 6 of 8 bits is 0.75; Original has the harmonic mean of 0.6 and 1, which is 0.75.
    assert utility_score(0.5, 6.0, 0.6, 8.0) == pytest.approx((2 / (1 / 0.5 + 1 / 0.75)) / 0.75)
    assert utility_score(0.6, 8.0, 0.6, 8.0) == utility_score(0.6, 9.0, 0.6, 8.0) == 1
    assert aggregate_score(0.31, 1.0, 0.99) == pytest.approx(3 / (1 / 0.31 + 1 + 1 / 0.99))
    assert memorisation_score(1, 0, 0, 0) == aggregate_score(0.0, 1.0, 1.0) == 0
    assert math.isnan(utility_score(0.5, 6.0, 0.6, 0.0)) and math.isnan(aggregate_score(math.nan, 1, 1))


@given(st.lists(shares, min_size=1, max_size=5))
def test_a_harmonic_mean_lies_between_its_values_and_punishes_the_smallest(values: list[float]) -> None:
    mean = harmonic_mean(values)
    assert min(values) - 1e-12 <= mean <= np.mean(values) + 1e-12
    assert harmonic_mean([*values, 0.0]) == 0 and math.isnan(harmonic_mean([*values, -0.1]))


@given(shares, shares)
def test_closeness_is_1_for_retrain_alone(auc: float, retrain: float) -> None:
    assert 0 <= closeness(auc, retrain) <= 1 == closeness(retrain, retrain)
    assert closeness(auc, retrain) < 1 or auc == pytest.approx(retrain, rel=1e-9)


def table(level: float, sizes: dict[str, int] = SIZES | {"holdout": 7}) -> list[dict[str, Any]]:
    return suite_rows(np.random.default_rng(3), level, sizes)


def scores(own: list[dict[str, Any]], retrain: list[dict[str, Any]], original: list[dict[str, Any]]) -> dict[str, float]:
    sets = [sets_from_table(pd.DataFrame(rows), "here") for rows in (own, retrain, original)]
    return tofu_scores(*sets)


def test_the_numbers_of_a_table() -> None:
    own, retrain, original = table(0.5), table(2.0), table(0.2)
    found = scores(own, retrain, original)

    def of(name: str, rows: list[dict[str, Any]] = own) -> list[dict[str, Any]]:
        return [row for row in rows if row["set"] == name]

    def auc(value: Any, rows: list[dict[str, Any]] = own) -> float:
        members, others = (np.array([value(row) for row in of(name, rows)]) for name in ("forget", "holdout"))
        return float(np.mean([(member > other) + (member == other) / 2 for member in members for other in others]))

    statistics = {
        "loss": lambda row: row["answer_nll"] / row["answer_tokens"],
        "zlib": lambda row: zlib_loss(row["answer_nll"] / row["answer_tokens"], row["answer"]),
        "min_k": lambda row: np.mean(sorted(row["answer_losses"])[-2:]),
        "min_k_plus_plus": lambda row: max(row["answer_standard_losses"]),
    }
    for name, statistic in statistics.items():
        assert found[f"forget_auc_{name}"] == pytest.approx(auc(statistic)), name
    losses = {row["id"]: statistics["loss"](row) for row in retrain}
    assert found["forget_auc_reference"] == pytest.approx(auc(lambda row: statistics["loss"](row) - losses[row["id"]]))
    other = auc(statistics["min_k"], retrain)
    assert found["forget_privleak"] == pytest.approx(100 * (found["forget_auc_min_k"] - other) / other)
    words = [n_gram_entropy(["b", *row["generation"][3:-4].split(), "b"]) for row in of("forget")]
    assert found["forget_fluency"] == pytest.approx(np.mean(words))
    assert found["forget_paraphrased_probability"] == pytest.approx(
        np.mean([math.exp(-row["paraphrased_nll"] / row["paraphrased_tokens"]) for row in of("forget")])
    )
    parts = [found[name] for name in ("memorisation_score", "privacy_score", "utility_score")]
    assert found["aggregate_score"] == pytest.approx(harmonic_mean(parts)) and min(parts) > 0


def test_retrain_is_as_private_and_original_as_useful_as_can_be() -> None:
    own = scores(table(0.5), table(0.5), table(0.5))
    assert (own["privacy_score"], own["utility_score"], own["forget_privleak"], own["forget_auc_reference"]) == (1, 1, 0, 0.5)


def test_each_text_is_read_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    for name in ("n_gram_entropy", "zlib_loss"):
        monkeypatch.setattr(tofu, name, lambda *given, name=name: read.append(name) or float(len(read)))
    scores(table(0.5), table(2.0), table(0.2))
    # Of the model and of Original, or of the model and of Retrain, whose holdout is read too.
    assert Counter(read) == {"n_gram_entropy": 2 * SIZES["forget"], "zlib_loss": 2 * (SIZES["forget"] + 7)}


def test_without_holdout_or_original_the_other_numbers_remain() -> None:
    bare = [sets_from_table(pd.DataFrame(table(level, SIZES)), "here") for level in (0.5, 2.0)]
    found = tofu_scores(*bare)
    assert {"memorisation_score", "forget_fluency", "forget_quality"} <= found.keys()
    assert not [
        name for name in found if name.startswith(("forget_auc_", "forget_privleak", "privacy", "utility_s", "aggregate"))
    ]
