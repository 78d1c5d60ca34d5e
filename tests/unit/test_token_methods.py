"""Losses on single tokens: values of the official code, gradients of the papers' equations, limits.

The official values were computed with the public code's arithmetic on the logits of `logits_of`, as sequences with a prompt and
padding: WGA, SatImp and CE-U with open-unlearning, UNDIAL with open-unlearning on the tokens of the answers
alone, which is its authors' arithmetic, and PDU with open-unlearning on the logits that predict them.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.methods.ce_u import CEU
from palimpsest.methods.graddiff import GradDiff
from palimpsest.methods.pdu import PDU
from palimpsest.methods.satimp import SatImp
from palimpsest.methods.undial import UNDIAL
from palimpsest.methods.wga import WGA

Tensor = torch.Tensor
ANSWERS = ([3, 1, 4], [0, 2])
PROMPTS = (2, 3)
VOCABULARY = 5


def logits_of(shift: float) -> Tensor:
    """Logits of two answers' tokens, one row per token; position t predicts the token at t + 1."""
    rows = [
        [3 * math.sin(1 + 2 * item + 0.7 * (prompt - 1 + place) + 1.3 * token + shift) for token in range(VOCABULARY)]
        for item, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True))
        for place in range(len(answer))
    ]
    return torch.tensor(rows, dtype=torch.float64)


def batch_of(logits: Tensor, answers: Any = ANSWERS, frozen: Tensor | None = None) -> ForgetBatch:
    """The batch of answers that are one step, with means over all tokens."""
    lengths = [len(answer) for answer in answers]
    labels = torch.tensor([token for answer in answers for token in answer])
    token_nll = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    tokens = torch.tensor(lengths, dtype=torch.float64)

    def per_answer(values: Tensor) -> Tensor:
        return torch.stack([part.sum() for part in values.split(lengths)])

    return ForgetBatch(
        nll=per_answer(token_nll),
        tokens=tokens,
        divisor=tokens.mean().expand_as(tokens),
        token_nll=token_nll,
        logits=logits,
        labels=labels,
        frozen={} if frozen is None else {"original": frozen},
        per_answer=per_answer,
    )


def slope(method: LossMethod, logits: Tensor, **given: Any) -> Tensor:
    """The gradient of the summed losses by the logits."""
    logits = logits.detach().requires_grad_()
    (found,) = torch.autograd.grad(method.forget_loss(batch_of(logits, **given)).sum(), logits)
    return found


@pytest.mark.parametrize(
    ("method", "loss", "gradient"),
    [
        (
            WGA(alpha=1.0),
            -0.11026870873931767,
            [-0.0004047384241, -0.009231092215, 0.03269128061, -0.02240502392, -0.00065042605],
        ),
        (
            WGA(alpha=0.5),
            -0.33542577860505085,
            [-0.0004541655224, -0.01035840327, 0.03668357549, -0.0251411499, -0.0007298567894],
        ),
        (
            SatImp(),
            -0.006427139237664484,
            [-3.313889482e-05, -0.0007558170307, 0.002676674229, -0.001834463166, -5.325513757e-05],
        ),
        (
            SatImp(beta1=2.0, beta2=0.1),
            -0.05799947911845658,
            [-0.0002744372912, -0.006259242492, 0.02216667843, -0.01519197019, -0.0004410284586],
        ),
        (
            CEU(skip_first=False),
            1.2325652275715762,
            [-0.00196649591, -0.04485095558, 0.1588365862, -0.1088589204, -0.003160214328],
        ),
        (CEU(), 1.5474985401825838, [-0.003277493183, -0.07475159264, 0.2647276437, -0.181431534, -0.00526702388]),
        (UNDIAL(beta=3.0), 1.4197694081860839, [-0.003498750512, -0.1394107993, 0.1365412268, 0.006953409618, -0.0005850865676]),
        (UNDIAL(), 1.4795473128039736, [-0.004001137777, -0.1583405576, 0.1588137074, 0.004289053186, -0.000761065184]),
        (PDU(), 8.053832287421582, [-0.2456402754, -0.2456402754, 0.9825611016, -0.2456402754, -0.2456402754]),
    ],
    ids=str,
)
def test_the_loss_is_the_official_codes(method: LossMethod, loss: float, gradient: list[float]) -> None:
    """The loss of the step, and its gradient by the logits of the last token."""
    logits, frozen = logits_of(0.0).requires_grad_(), logits_of(0.5)
    found = method.forget_loss(batch_of(logits, frozen=frozen)).mean()
    (slopes,) = torch.autograd.grad(found, logits)
    assert found.item() == pytest.approx(loss, rel=1e-12)
    assert slopes[-1].tolist() == pytest.approx(gradient, rel=1e-8)


finite = st.floats(-15, 15)
rows = st.lists(st.lists(finite, min_size=VOCABULARY, max_size=VOCABULARY), min_size=5, max_size=5).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)
exponents = st.floats(0, 6)
LABELS = torch.tensor([token for answer in ANSWERS for token in answer])
HOT = torch.nn.functional.one_hot(LABELS, VOCABULARY).double()


@given(rows, exponents, exponents)
def test_the_gradient_of_a_token_is_its_weight_times_that_of_ascent(logits: Tensor, first: float, second: float) -> None:
    """d/dlogits of w log p, w held, is w (1 - p) at the token and -w q elsewhere; GradDiff has w = 1."""
    p = logits.softmax(-1)
    of_label = (p * HOT).sum(-1, keepdim=True)
    ascent = (HOT - p) / 2.5
    assert torch.allclose(slope(GradDiff(), logits), ascent, atol=1e-12)
    assert torch.allclose(slope(WGA(alpha=first), logits), of_label**first * ascent, atol=1e-9)
    both = of_label**first * (1 - of_label) ** second
    assert torch.allclose(slope(SatImp(beta1=first, beta2=second), logits), both * ascent, atol=1e-9)


@given(rows)
def test_without_exponents_both_are_graddiff(logits: Tensor) -> None:
    batch = batch_of(logits)
    plain = GradDiff().forget_loss(batch)
    assert torch.allclose(WGA(alpha=0.0).forget_loss(batch), plain)
    assert torch.allclose(SatImp(beta1=0.0, beta2=0.0).forget_loss(batch), plain)


@given(rows, rows, st.floats(0.1, 30))
def test_undial_pulls_the_prediction_to_the_lowered_teacher(logits: Tensor, original: Tensor, beta: float) -> None:
    """d/dlogits of a cross-entropy to q is p - q, with q the softmax of the original's logits less beta at the token."""
    teacher = (original - beta * HOT).softmax(-1)
    assert torch.allclose(slope(UNDIAL(beta=beta), logits, frozen=original), (logits.softmax(-1) - teacher) / 2.5, atol=1e-9)
    # The lowered token is less likely by e^beta relative to every other token.
    ratio = teacher.log() - original.log_softmax(-1)
    other = (LABELS + 1) % VOCABULARY
    fallen = ratio.gather(-1, other[:, None]) - ratio.gather(-1, LABELS[:, None])
    assert torch.allclose(fallen, torch.full_like(fallen, beta), atol=1e-6)


@given(rows)
def test_ce_u_moves_the_probability_of_the_token_to_the_others_in_their_proportions(logits: Tensor) -> None:
    """p - q is p at the token, and -p_k p / (1 - p) at token k; the teacher has no gradient of its own."""
    p = logits.softmax(-1)
    of_label = (p * HOT).sum(-1, keepdim=True)
    rest = (p * (1 - HOT)).sum(-1, keepdim=True)
    expected = torch.where(HOT.bool(), of_label, -p * of_label / rest)
    assert torch.allclose(slope(CEU(skip_first=False), logits), expected / 2.5, atol=1e-9)
    first = torch.tensor([True, False, False, True, False])
    # Three of the five tokens are left, 1.5 an answer.
    assert torch.allclose(slope(CEU(), logits), expected.masked_fill(first[:, None], 0) / 1.5, atol=1e-9)


@given(rows)
def test_ce_u_of_answers_of_one_token_is_zero(logits: Tensor) -> None:
    losses = CEU().forget_loss(batch_of(logits, answers=[[0], [1], [2], [3], [4]]))
    assert losses.tolist() == [0.0] * 5


@pytest.mark.parametrize("method", [WGA(), SatImp(), SatImp(beta1=0.0, beta2=0.1), UNDIAL(), CEU(), PDU()], ids=str)
def test_certain_and_impossible_tokens_have_finite_gradients(method: LossMethod) -> None:
    logits = torch.zeros(5, VOCABULARY)
    logits[0, 3], logits[1, 1] = 1e4, -1e4
    assert torch.isfinite(slope(method, logits, frozen=logits)).all()


@given(rows)
def test_pdu_pulls_the_greatest_logit_to_the_mean(logits: Tensor) -> None:
    """d/dl of (max l - mean l)^2 is 2 (max l - mean l) (1 at the greatest - 1/V); flat logits have no loss."""
    at = logits.argmax(-1, keepdim=True)
    margin = logits.amax(-1, keepdim=True) - logits.mean(-1, keepdim=True)
    greatest = torch.zeros_like(logits).scatter(-1, at, 1.0)
    alone = (logits == logits.amax(-1, keepdim=True)).sum(-1) == 1
    expected = 2 * margin * (greatest - 1 / VOCABULARY) / 2.5
    assert torch.allclose(slope(PDU(), logits)[alone], expected[alone], atol=1e-9)
    assert PDU().forget_loss(batch_of(torch.full_like(logits, 3.0))).tolist() == pytest.approx([0.0, 0.0])


def test_the_dual_variable_is_the_official_codes() -> None:
    method, weight, found = PDU(epsilon=0.3, dual_step=5.0, dual_warmup=2), 50.0, []
    for retain_loss in (0.7, 0.25, 0.1, -20.0):
        weight = method.next_retain_weight(weight, retain_loss, epoch=2)
        found.append(weight)
    assert found == pytest.approx([52.0, 51.75, 50.75, 0.0])
    assert method.next_retain_weight(50.0, 0.7, epoch=1) == 50.0
