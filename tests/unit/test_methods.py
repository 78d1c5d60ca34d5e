"""The forget losses against the paper's equations: values, gradients, limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.methods.altpo import AltPO
from palimpsest.methods.base import ForgetBatch
from palimpsest.methods.dpo_idk import DPOIDK
from palimpsest.methods.ga import GA
from palimpsest.methods.graddiff import GradDiff
from palimpsest.methods.idk import IDK
from palimpsest.methods.kto import KTO
from palimpsest.methods.npo import NPO
from palimpsest.methods.rkld import RKLD
from palimpsest.methods.simnpo import SimNPO
from palimpsest.methods.w_graddiff import WGradDiff

nlls = st.lists(st.floats(0.01, 60), min_size=1, max_size=6)
betas = st.floats(0.02, 8)


def leaf(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@given(nlls, st.data(), betas)
def test_npo_gradient_weight_is_equation_4(values: list[float], data: st.DataObject, beta: float) -> None:
    """Eq. 4: w = 2 p^b / (p^b + p_ref^b), and the gradient of the loss is w times that of log p."""
    reference = data.draw(st.lists(st.floats(0.01, 60), min_size=len(values), max_size=len(values)))
    nll, ref = leaf(values), torch.tensor(reference, dtype=torch.float64)
    loss = NPO(beta=beta).forget_loss(ForgetBatch(nll=nll, reference_nll=ref))
    (gradient,) = torch.autograd.grad(loss.sum(), nll)
    for x, r, got, value in zip(values, reference, gradient.tolist(), loss.tolist(), strict=True):
        # p^b / (p^b + p_ref^b), divided through by p^b so that neither underflows.
        weight = 2 / (1 + math.exp(min(700.0, beta * (x - r))))
        assert got == pytest.approx(-weight, rel=1e-9, abs=1e-12)
        # log(1 + exp(z)) written so that it does not overflow.
        z = -beta * (x - r)
        assert value == pytest.approx(2 / beta * (max(z, 0) + math.log1p(math.exp(-abs(z)))), rel=1e-9, abs=1e-12)


@given(nlls, st.data(), betas)
def test_simnpo_gradient_weight_is_equation_6(values: list[float], data: st.DataObject, beta: float) -> None:
    """Eq. 6 (gamma = 0): w' = 2 p^(b/|y|) / (1 + p^(b/|y|)) / |y|."""
    lengths = data.draw(st.lists(st.integers(1, 80), min_size=len(values), max_size=len(values)))
    nll, tokens = leaf(values), torch.tensor(lengths, dtype=torch.float64)
    loss = SimNPO(beta=beta).forget_loss(ForgetBatch(nll=nll, tokens=tokens))
    (gradient,) = torch.autograd.grad(loss.sum(), nll)
    for x, n, got in zip(values, lengths, gradient.tolist(), strict=True):
        powered = math.exp(-x * beta / n)
        assert got == pytest.approx(-2 * powered / (1 + powered) / n, rel=1e-9, abs=1e-12)


def test_simnpo_gamma_is_the_papers_and_not_times_beta() -> None:
    nll, tokens = leaf([6.0]), torch.tensor([3.0], dtype=torch.float64)
    loss = SimNPO(beta=2.0, gamma=0.5).forget_loss(ForgetBatch(nll=nll, tokens=tokens)).item()
    assert loss == pytest.approx(-2 / 2.0 * math.log(1 / (1 + math.exp(-(2.0 * 6.0 / 3.0 - 0.5)))))


@given(nlls, betas)
def test_npo_weighs_every_sample_by_one_at_the_first_step(values: list[float], beta: float) -> None:
    nll = leaf(values)
    loss = NPO(beta=beta).forget_loss(ForgetBatch(nll=nll, reference_nll=nll.detach()))
    (gradient,) = torch.autograd.grad(loss.sum(), nll)
    assert torch.allclose(gradient, torch.full_like(gradient, -1.0))


@given(nlls)
def test_npo_tends_to_graddiff_and_simnpo_to_w_graddiff_as_beta_vanishes(values: list[float]) -> None:
    nll, tokens = leaf(values), torch.arange(1, len(values) + 1, dtype=torch.float64)
    tiny = 1e-6

    def slope(loss: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(loss.sum(), nll)
        return gradient

    batch = ForgetBatch(nll=nll, tokens=tokens, divisor=tokens.mean(), reference_nll=torch.zeros_like(nll))
    graddiff = slope(GradDiff().forget_loss(batch)) * tokens.mean()
    npo = slope(NPO(beta=tiny).forget_loss(batch))
    assert torch.allclose(npo, graddiff, rtol=1e-3)
    w_graddiff = slope(WGradDiff().forget_loss(batch))
    simnpo = slope(SimNPO(beta=tiny).forget_loss(batch))
    assert torch.allclose(simnpo, w_graddiff, rtol=1e-3)


@given(nlls, st.data(), betas)
def test_dpo_idk_prefers_the_refusal(values: list[float], data: st.DataObject, beta: float) -> None:
    """At the original model both gains are 0, so the loss is (2/beta) log 2 and its two gradients are opposite."""
    refusals = data.draw(st.lists(st.floats(0.01, 60), min_size=len(values), max_size=len(values)))
    answer, refusal = leaf(values), leaf(refusals)
    batch = ForgetBatch(nll=answer, reference_nll=answer.detach(), refusal_nll=refusal, refusal_reference_nll=refusal.detach())
    loss = DPOIDK(beta=beta).forget_loss(batch)
    assert loss.detach().numpy() == pytest.approx([2 / beta * math.log(2)] * len(values))
    on_answer, on_refusal = torch.autograd.grad(loss.sum(), [answer, refusal])
    assert torch.allclose(on_answer, torch.full_like(answer, -1.0))
    assert torch.allclose(on_refusal, torch.full_like(refusal, 1.0))


@given(nlls, st.data())
def test_ga_is_the_negated_token_mean(values: list[float], data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 80), min_size=len(values), max_size=len(values)))
    tokens = torch.tensor(lengths, dtype=torch.float64)
    nll = leaf(values)
    loss = GA().forget_loss(ForgetBatch(nll=nll, divisor=tokens.mean())).mean().item()
    assert loss == pytest.approx(-sum(values) / sum(lengths))


@given(nlls, st.data())
def test_idk_is_the_token_mean_of_the_refusals(values: list[float], data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 80), min_size=len(values), max_size=len(values)))
    tokens = torch.tensor(lengths, dtype=torch.float64)
    loss = IDK().forget_loss(ForgetBatch(refusal_nll=leaf(values), refusal_divisor=tokens.mean())).mean().item()
    assert loss == pytest.approx(sum(values) / sum(lengths))


@pytest.mark.parametrize(("beta", "loss"), [(0.1, 16.440906161123255), (0.5, 6.300378574828667)])
def test_altpo_is_the_official_codes(beta: float, loss: float) -> None:
    """open-unlearning's `compute_dpo_loss` on two items, with the alternatives as the answers that win."""
    batch = ForgetBatch(
        nll=leaf([7.979914915576336, 6.774018118639581]),
        reference_nll=leaf([6.195050855425179, 8.70427264965144]),
        alternative_nll=leaf([5.593939166743386, 10.821250998828694]),
        alternative_reference_nll=leaf([4.193937974550618, 7.8170615481788115]),
    )
    assert AltPO(beta=beta).forget_loss(batch).mean().item() == pytest.approx(loss, rel=1e-12)


@given(nlls, betas, st.floats(-20, 20))
def test_altpo_raises_the_alternative_as_it_lowers_the_answer(values: list[float], beta: float, ahead: float) -> None:
    """w = 2 (1 - sigmoid(beta (how far the alternative is ahead of the answer)))."""
    answer, alternative = leaf(values), leaf(values)
    reference = answer.detach()
    batch = ForgetBatch(
        nll=answer, reference_nll=reference, alternative_nll=alternative, alternative_reference_nll=reference + ahead
    )
    loss = AltPO(beta=beta).forget_loss(batch)
    of_answer, of_alternative = torch.autograd.grad(loss.sum(), [answer, alternative])
    assert of_alternative.tolist() == pytest.approx([2 / (1 + math.exp(min(700.0, beta * ahead)))] * len(values), rel=1e-6)
    assert of_answer.tolist() == pytest.approx([-each for each in of_alternative.tolist()])


def test_a_method_has_one_kind_of_other_answers() -> None:
    with pytest.raises(TypeError, match="Both: a method reads refusals or alternatives, not both"):
        type("Both", (AltPO,), {"reads_refusals": True})


def test_kto_is_the_official_codes() -> None:
    """NPO's code at beta 1, where its form agrees with the paper's, on one item; its loss is without the constant 1."""
    nll, refusal = leaf([5.5]), leaf([7.25])
    given = {"reference_nll": torch.tensor([4.0]), "refusal_nll": refusal, "refusal_reference_nll": torch.tensor([8.0])}
    assert KTO(beta=1.0).forget_loss(ForgetBatch(nll=nll, **given)).item() == pytest.approx(1 - 0.8093010702017811, rel=1e-9)


@given(nlls, st.data(), betas)
def test_kto_gradient_weight_is_that_of_a_saturating_value(values: list[float], data: st.DataObject, beta: float) -> None:
    """w = 2 s (1 - s) with s = sigmoid(beta (z - r)); the refusals, which give z, have no gradient."""
    of_size = st.lists(st.floats(0.01, 60), min_size=len(values), max_size=len(values))
    references, refusals, refusal_references = (data.draw(of_size) for _ in range(3))
    nll, refusal = leaf(values), leaf(refusals)
    given = {"reference_nll": leaf(references), "refusal_nll": refusal, "refusal_reference_nll": leaf(refusal_references)}
    loss = KTO(beta=beta).forget_loss(ForgetBatch(nll=nll, **given))
    gradient, other = torch.autograd.grad(loss.sum(), [nll, refusal], allow_unused=True)
    assert other is None
    for x, r, y, s, got in zip(values, references, refusals, refusal_references, gradient.tolist(), strict=True):
        away = math.exp(-min(700.0, abs(beta * (max(0.0, s - y) - (r - x)))))
        assert got == pytest.approx(-2 * away / (1 + away) ** 2, rel=1e-6, abs=1e-12)


alphas = st.floats(1e-3, 4)
logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=1, max_size=5)


def rkld(model: torch.Tensor, original: torch.Tensor, reinforced: torch.Tensor, alpha: float) -> torch.Tensor:
    """The loss of answers of one label each."""
    frozen = {"original": original, "reinforced": reinforced}
    batch = ForgetBatch(logits=model, frozen=frozen, per_answer=lambda values: values, divisor=torch.tensor(1.0))
    return RKLD(alpha=alpha).forget_loss(batch)


@given(logits, st.data(), alphas)
def test_rkld_is_the_reverse_kl_to_the_teacher(values: list[list[float]], data: st.DataObject, alpha: float) -> None:
    """Against sums over the vocabulary by hand; the gradient by a logit is q (log q/p - KL)."""
    of_size = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=len(values), max_size=len(values))
    originals, reinforced = data.draw(of_size), data.draw(of_size)
    model = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    frozen = [torch.tensor(rows, dtype=torch.float64) for rows in (originals, reinforced)]
    loss = rkld(model, *frozen, alpha)
    (gradient,) = torch.autograd.grad(loss.sum(), model)
    for x, x_0, x_s, got, slopes in zip(values, originals, reinforced, loss.tolist(), gradient.tolist(), strict=True):
        teacher = [a - alpha * max(0.0, b - a) for a, b in zip(x_0, x_s, strict=True)]
        log_q = [v - math.log(sum(math.exp(w) for w in x)) for v in x]
        top = max(teacher)
        log_p = [v - top - math.log(sum(math.exp(w - top) for w in teacher)) for v in teacher]
        divergence = sum(math.exp(q) * (q - p) for q, p in zip(log_q, log_p, strict=True))
        assert got == pytest.approx(divergence, rel=1e-9, abs=1e-9)
        expected = [math.exp(q) * (q - p - divergence) for q, p in zip(log_q, log_p, strict=True)]
        assert slopes == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(logits, alphas)
def test_rkld_vanishes_at_its_teacher(values: list[list[float]], alpha: float) -> None:
    original = torch.tensor(values, dtype=torch.float64)
    reinforced = original + torch.tensor([3.0, -3.0, 0.0, 1.0], dtype=torch.float64)
    teacher = original - alpha * torch.tensor([3.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    assert torch.allclose(rkld(teacher + 5.0, original, reinforced, alpha), torch.zeros(len(values)).double(), atol=1e-9)


def test_rkld_starts_by_pushing_down_what_the_reinforced_model_says_more() -> None:
    original = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    reinforced = torch.tensor([[2.0, -1.0, 0.0, -1.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(rkld(original, original.detach(), reinforced, 1.0).sum(), original)
    assert gradient[0, 0] > 0
    assert (gradient[0, 1:] < 0).all()


def test_rkld_of_extreme_logits_is_finite() -> None:
    model = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = rkld(model, torch.tensor([[-1e4, 1e4, 0.0]]), torch.tensor([[1e4, 1e4, 1e4]]), 8.0)
    (gradient,) = torch.autograd.grad(loss.sum(), model)
    assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()
