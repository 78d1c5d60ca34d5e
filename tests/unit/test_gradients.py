"""Gradients of single terms: sharpness-aware steps and projected gradients, against the papers' equations and official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_training import Recorded, Stopped, calls, run, same, small_model, unlearn_settings, unlearning, weights
from torch import nn

from palimpsest.models.packing import Layouts, label_logits, pack, plan_passes, token_nll
from palimpsest.models.settings import UsedSettings
from palimpsest.streams import stream
from palimpsest.training.adapters import add_adapters
from palimpsest.training.gradients import cosine, moved, without_conflict
from palimpsest.training.problems import Scored, Term
from palimpsest.training.settings import LoraSettings
from palimpsest.training.sharing import Sharing

Tensor = torch.Tensor


def sharing_of(*values: Tensor) -> Sharing:
    return Sharing(nn.ParameterList([nn.Parameter(value.clone()) for value in values]), UsedSettings())


def test_the_move_is_the_official_codes() -> None:
    """The code of arXiv 2502.05374: p + rho g / |g|, the norm over all weights."""
    sharing = sharing_of(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double(), torch.tensor([5.0]).double(), torch.ones(2).double())
    gradient = [torch.tensor([[3.0, 0.0], [0.0, -4.0]]).double(), torch.tensor([12.0]).double(), None]
    before = [weight.detach().clone() for weight in sharing.trained()]
    with moved(sharing, gradient, 0.01):
        found = [weight.tolist() for weight in sharing.trained()]
        assert found[0] == [pytest.approx(row, rel=1e-7) for row in ([1.0023076923076923, 2.0], [3.0, 3.996923076923077])]
        assert found[1:] == [[pytest.approx(5.009230769230769, rel=1e-7)], [1.0, 1.0]]
    assert all(torch.equal(weight, value) for weight, value in zip(sharing.trained(), before, strict=True))


def test_a_gradient_of_zero_moves_nothing() -> None:
    sharing = sharing_of(torch.ones(3))
    with moved(sharing, [torch.zeros(3)], 0.5):
        assert torch.equal(sharing.trained()[0], torch.ones(3))


def test_the_projection_is_the_official_codes() -> None:
    """GRU's orthogonal component, on a gradient with the inner product -2.75 with the other."""
    one, other = torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.tensor([-1.0, 1.0, 2.0, -0.25])
    (found,) = without_conflict(sharing_of(one), [one], [other])
    assert found is not None
    assert found.tolist() == pytest.approx(
        [0.5463917525773196, -1.5463917525773196, 1.4072164948453607, 2.88659793814433], rel=1e-6
    )


vectors = st.lists(st.floats(-5, 5), min_size=6, max_size=6).map(torch.tensor)


@given(vectors, vectors)
def test_what_opposes_the_other_gradient_is_left_out_and_nothing_else(one: Tensor, other: Tensor) -> None:
    sharing = sharing_of(one[:4], one[4:])
    parts = without_conflict(sharing, [one[:4], one[4:]], [other[:4], other[4:]])
    found = torch.cat([part for part in parts if part is not None])
    assert found @ other >= -1e-4
    assert -1.0001 <= cosine(sharing, [one[:4], one[4:]], [other[:4], other[4:]]) <= 1.0001
    if one @ other >= 0:
        assert torch.equal(found, one)
    else:
        # The nearest such gradient: what is left out lies along the other one.
        left_out = one - found
        assert torch.allclose(left_out * (other @ other), (one @ other) * other, atol=1e-3)


def test_a_part_that_a_loss_does_not_depend_on_is_zero() -> None:
    one, other = [torch.tensor([1.0]), None, torch.tensor([2.0])], [torch.tensor([-2.0]), torch.tensor([4.0]), None]
    found = without_conflict(sharing_of(*[torch.ones(1)] * 3), one, other)
    # g - <g, h> / <h, h> h, with <g, h> = -2 and <h, h> = 20.
    assert [part.tolist() for part in found if part is not None] == [pytest.approx([x]) for x in (0.8, 0.4, 2.0)]


# In training.


def gradient_of(model: nn.Module, term: Term) -> list[Tensor]:
    """The gradient of a term by autograd, in one pass."""
    whole = slice(0, len(term.items))
    row = pack(term.items, Layouts())
    logits = label_logits(model, row)
    each = token_nll(logits, row)
    nll = row.per_answer(each).view(len(term.items), -1)
    tokens = torch.tensor(row.lengths).to(nll).view(nll.shape)
    loss = term.loss(Scored(whole, row, logits, nll, tokens, each)).mean()
    return list(torch.autograd.grad(loss, list(model.parameters())))


def first_step(monkeypatch: pytest.MonkeyPatch, method: str, lora: LoraSettings | None = None, **settings: Any) -> Any:
    """Return the problem, the gradient of the first step and its entry in the log."""
    seen: list[list[Tensor]] = []
    clip = Sharing.clip_gradients

    def look(self: Sharing, max_norm: float) -> float:
        seen.append([weight.grad.clone() for weight in self.trained() if weight.grad is not None])
        return clip(self, max_norm)

    monkeypatch.setattr(Sharing, "clip_gradients", look)
    training = unlearn_settings(epochs=1, batch_size=7, **settings)
    problem = unlearning(method, training)
    # Some items are to be forgotten and retained, so that the gradients oppose each other.
    problem.retain = [*problem.forget[:3], *problem.retain[:4]]
    log = run(add_adapters(small_model(), lora, 0), training, problem)
    return problem, seen[0], log[0]


@pytest.mark.parametrize("tokens_per_pass", [1, 10_000])
@pytest.mark.parametrize("method", ["npo", "simnpo", "undial"])
def test_the_forget_gradient_is_taken_at_moved_weights(
    monkeypatch: pytest.MonkeyPatch, method: str, tokens_per_pass: int
) -> None:
    """Eq. of arXiv 2502.05374: w_f grad L_f(theta + rho g / |g|) + w_r grad L_r(theta)."""
    changes: dict[str, Any] = {"forget_weight": 0.5, "retain_weight": 2.0, "retain_loss": "ce"}
    problem, found, _ = first_step(monkeypatch, method, sharpness=0.3, tokens_per_pass=tokens_per_pass, **changes)
    forget, retain = problem.terms(stream(0, "order", 0).permutation(7).tolist(), 0)
    model = small_model()
    gradient = gradient_of(model, forget)
    kept = gradient_of(model, retain)
    norm = torch.cat([part.flatten() for part in gradient]).norm()
    with torch.no_grad():
        for weight, part in zip(model.parameters(), gradient, strict=True):
            weight.add_(0.3 * part / norm)
    sharp = gradient_of(model, forget)
    for got, of_forget, of_retain in zip(found, sharp, kept, strict=True):
        assert torch.allclose(got, 0.5 * of_forget + 2.0 * of_retain, atol=2e-5, rtol=1e-3)
    assert not all(torch.allclose(before, after, rtol=1e-2) for before, after in zip(gradient, sharp, strict=True))


@pytest.mark.parametrize(("forget_weight", "retain_weight"), [(0.5, 2.0), (1.0, 0.0)])
def test_a_projected_step_does_not_raise_the_retain_loss(
    monkeypatch: pytest.MonkeyPatch, forget_weight: float, retain_weight: float
) -> None:
    """w_f (g_f less what opposes g_r) + w_r g_r; the retain gradient counts for the projection even if its weight is 0."""
    changes: dict[str, Any] = {"forget_weight": forget_weight, "retain_weight": retain_weight}
    problem, found, entry = first_step(monkeypatch, "graddiff", gradients="projected", **changes)
    forget, retain = problem.terms(entry["items"], 0)
    model = small_model()
    g_f, g_r = (torch.cat([part.flatten() for part in gradient_of(model, term)]) for term in (forget, retain))
    assert g_f @ g_r < 0
    assert entry["cosine"] == pytest.approx(float(g_f @ g_r / g_f.norm() / g_r.norm()), rel=1e-3)
    expected = forget_weight * (g_f - g_f @ g_r / (g_r @ g_r) * g_r) + retain_weight * g_r
    got = torch.cat([part.flatten() for part in found])
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-3)
    assert got @ g_r >= -1e-5


def test_plain_settings_take_no_gradient_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.training.loop.take_gradient", lambda *_: pytest.fail("taken apart"))
    _, _, entry = first_step(monkeypatch, "graddiff")
    assert "cosine" not in entry


SETTINGS = [{"sharpness": 0.05}, {"gradients": "projected"}, {"sharpness": 0.05, "gradients": "projected"}]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2, dropout=0.1)], ids=["full", "lora"])
def test_an_interrupted_run_ends_where_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], lora: LoraSettings | None
) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    settings = unlearn_settings(**changes)
    undisturbed, disturbed = (add_adapters(small_model(), lora, 0) for _ in range(2))
    log = run(undisturbed, settings, unlearning("npo", settings))
    with pytest.raises(Stopped):
        run(disturbed, settings, unlearning("npo", settings, stop=3), scratch=tmp_path)
    disturbed = add_adapters(small_model(), lora, 0)
    assert run(disturbed, settings, unlearning("npo", settings), scratch=tmp_path) == log
    assert same(weights(undisturbed), weights(disturbed))


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_how_a_step_is_cut_into_passes_changes_no_gradient(changes: dict[str, Any]) -> None:
    logs = []
    for tokens_per_pass in (1, 30, 10_000):
        settings = unlearn_settings(tokens_per_pass=tokens_per_pass, learning_rate=1e-3, **changes)
        logs.append(run(small_model(), settings, unlearning("npo", settings)))
    for others in zip(*logs, strict=True):
        for name in ("forget_loss", "retain_loss", "grad_norm"):
            assert [other[name] for other in others] == pytest.approx([others[0][name]] * 3, abs=1e-5, rel=1e-4)


def test_a_sharpness_aware_step_costs_one_more_pass_over_the_forget_items() -> None:
    model = small_model()

    def count(**changes: Any) -> int:
        settings = unlearn_settings(epochs=1, batch_size=7, **changes)
        problem: Recorded = unlearning("npo", settings)
        return calls(model, lambda: run(model, settings, problem))

    settings = unlearn_settings(epochs=1, batch_size=7)
    forget, _ = unlearning("npo", settings).terms(stream(0, "order", 0).permutation(7).tolist(), 0)
    assert count(sharpness=0.05) - count() == len(list(plan_passes(forget.items, 30, Layouts())))
    assert count(gradients="projected") == count()


def test_an_adapted_weight_follows_the_log_and_an_interruption_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PDU's dual variable after each step, from epoch 1 on, is the log's own arithmetic."""
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    settings, own = unlearn_settings(retain_weight=4.0), {"epsilon": 3.7, "dual_step": 2.0, "dual_warmup": 1}
    undisturbed, disturbed = small_model(), small_model()
    log = run(undisturbed, settings, unlearning("pdu", settings, **own))
    found, weight = [entry["retain_loss_weight"] for entry in log], 4.0
    for entry, got in zip(log, found, strict=True):
        assert got == pytest.approx(weight)
        weight = max(0.0, weight + 2.0 * (entry["retain_loss"] - 3.7)) if entry["epoch"] >= 1 else weight
    assert found[:3] == [4.0] * 3 and len(set(found)) > 3
    with pytest.raises(Stopped):
        run(disturbed, settings, unlearning("pdu", settings, stop=4, **own), scratch=tmp_path)
    disturbed = small_model()
    assert run(disturbed, settings, unlearning("pdu", settings, **own), scratch=tmp_path) == log
    assert same(weights(undisturbed), weights(disturbed))
