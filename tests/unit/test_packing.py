"""Packed scoring gives each answer what it would get alone, whatever lies beside it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import VOCABULARY, build
from torch.nn import functional as F

from palimpsest.data.prompts import Encoded
from palimpsest.models.packing import Layouts, label_logits, pack, plan_passes, token_nll
from palimpsest.models.scoring import score

tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12)
encoded = st.builds(Encoded, tokens, st.lists(tokens, min_size=1, max_size=4))
mixed = st.lists(encoded, min_size=1, max_size=4)


@st.composite
def alike(draw: st.DrawFn) -> list[Encoded]:
    """Return questions of one shape with one answer each, which are a batch without a mask."""
    trunk, length, count = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(2, 5))
    ids = st.integers(0, VOCABULARY - 1)
    one = st.builds(
        lambda prompt, answer: Encoded(prompt, [answer]),
        st.lists(ids, min_size=trunk, max_size=trunk),
        st.lists(ids, min_size=length, max_size=length),
    )
    return draw(st.lists(one, min_size=count, max_size=count))


# Packed, padded, and rows of one length.
LAYOUTS = (Layouts(), Layouts(window=0), Layouts(window=0, reach=0))
MODELS = {name: build(name, 2, tied=False) for name in ("llama", "gpt2", "qwen2")}


def alone(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """The plain way, label by label: one sequence, the whole logits, the prompt's labels left out."""
    ids = torch.tensor([prompt + answer])
    logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    return F.cross_entropy(logits, torch.tensor(answer), reduction="none")


@pytest.mark.parametrize("name", MODELS)
@given(items=mixed | alike(), budget=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_every_answer_scores_as_if_alone(name: str, items: list[Encoded], budget: int) -> None:
    model = MODELS[name]
    with torch.no_grad():
        for item, scores in zip(items, score(model, items, budget), strict=True):
            expected = [alone(model, item.prompt, answer) for answer in item.answers]
            assert scores.nll == pytest.approx([float(losses.sum()) for losses in expected], abs=1e-4, rel=1e-5)
            for own, losses in zip(scores.losses, expected, strict=True):
                assert own == pytest.approx(losses.tolist(), abs=1e-4, rel=1e-5)
            assert scores.tokens == [len(answer) for answer in item.answers]


@pytest.mark.parametrize("layouts", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
@given(items=mixed | alike())
@settings(max_examples=10, deadline=None)
def test_in_every_layout_a_label_has_the_loss_that_it_has_alone(name: str, items: list[Encoded], layouts: Layouts) -> None:
    """Scoring falls back on another layout where one is not exact for a model; here each is taken as it is."""
    model = MODELS[name]
    with torch.no_grad():
        row = pack(items, layouts)
        losses = token_nll(label_logits(model, row), row)
        expected = torch.cat([alone(model, item.prompt, answer) for item in items for answer in item.answers])
    assert torch.allclose(losses, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layouts", LAYOUTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_question_without_a_prompt_is_not_laid_out(layouts: Layouts, place: int) -> None:
    items = [Encoded([4, 5, 6], [[11, 12]]), Encoded([3], [[7], [8, 9]])]
    items.insert(place, Encoded([], [[7, 8]]))
    with pytest.raises(ValueError, match="a question without a prompt"):
        pack(items, layouts)


@given(items=mixed | alike())
@settings(max_examples=20, deadline=None)
def test_gradients_do_not_depend_on_what_is_packed_together(items: list[Encoded]) -> None:
    # In double precision, so that what is left is a wrong mask and not the order of single-precision sums.
    model = copy.deepcopy(MODELS["llama"]).double()

    def gradient(runs: list[list[Encoded]]) -> torch.Tensor:
        model.zero_grad()
        for run in runs:
            row = pack(run, Layouts())
            token_nll(label_logits(model, row), row).sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    each = [[Encoded(item.prompt, [answer])] for item in items for answer in item.answers]
    together, apart = gradient([items]), gradient(each)
    assert torch.allclose(together, apart, atol=1e-4, rtol=1e-4)


@given(items=st.lists(encoded, max_size=20), budget=st.integers(1, 100))
def test_passes_cover_all_items_in_order_within_the_budget(items: list[Encoded], budget: int) -> None:
    runs = list(plan_passes(items, budget, Layouts()))
    assert [item for run in runs for item in items[run]] == items
    for run in runs:
        assert run.stop > run.start
        assert run.stop - run.start == 1 or sum(item.tokens for item in items[run]) <= budget
