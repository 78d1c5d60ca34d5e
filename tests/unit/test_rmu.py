"""RMU: its losses are those of each item alone, and nothing moves but the down-projections that it names."""

import copy
from typing import Any

import pytest
import torch
from families import build_family
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import VOCABULARY, WIDTH, build
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.methods.problem import Unlearning
from palimpsest.methods.rmu import RMU
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.packing import Layouts, label_logits, pack, plan_passes, token_nll
from palimpsest.models.settings import UsedSettings
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.loop import train
from palimpsest.training.problems import Scored, Term
from palimpsest.training.settings import UnlearnSettings

LAYERS = 4
# Where the layers are, written out.
NAMES = {
    "llama": "model.layers.{}.mlp.down_proj.",
    "mistral": "model.layers.{}.mlp.down_proj.",
    "qwen2": "model.layers.{}.mlp.down_proj.",
    "gpt2": "transformer.h.{}.mlp.c_proj.",
}

tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9)
encoded = st.builds(lambda prompt, answer: Encoded(prompt, [answer]), tokens, tokens)
# Some are alike, so that both a packed row and a batch come up.
alike = st.lists(st.integers(0, VOCABULARY - 1), min_size=5, max_size=5).map(lambda ids: Encoded(ids[:2], [ids[2:]]))
several = st.lists(encoded, min_size=1, max_size=5) | st.lists(alike, min_size=2, max_size=5)


def made(name: str) -> Any:
    return build_family("mistral", sliding_window=7) if name == "mistral with a window" else build(name, LAYERS)


def problem(model: Any, forget: list[Encoded], retain: list[Encoded], layer: int = 2, **changes: Any) -> Unlearning:
    training = UnlearnSettings(**{"retain_loss": "activations", "max_grad_norm": None, "warmup_epochs": 0} | changes)
    method = RMU(layer=layer, steering=3.0)
    layers = TrainedLayers(model, method.layers, seed=0)
    return Unlearning(method, training, forget=forget, retain=retain, layers=layers, seed=0)


def items(count: int, seed: int = 0) -> list[Encoded]:
    generator = torch.Generator().manual_seed(seed)

    def ids() -> list[int]:
        size = int(torch.randint(1, 9, (1,), generator=generator))
        return torch.randint(0, VOCABULARY, (size,), generator=generator).tolist()

    return [Encoded(ids(), [ids()]) for _ in range(count)]


def shaken(model: Any) -> Any:
    """Move what is trained away from the start, so that the retain loss is not 0."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def losses(model: Any, term: Term, budget: int) -> torch.Tensor:
    """The loop's way: pass by pass."""
    found, layouts = [], exact_layouts(model)
    for part in plan_passes(term.items, budget, layouts):
        row = pack(term.items[part], layouts)
        logits = label_logits(model, row)
        each = token_nll(logits, row)
        nll = row.per_answer(each).view(part.stop - part.start, -1)
        found.append(term.loss(Scored(part, row, logits, nll, torch.ones_like(nll), each)))
    return torch.cat(found)


def alone(model: Any, item: Encoded, layer: int) -> torch.Tensor:
    """The plain way: one sequence, no packing, no padding; what goes into the next layer is what the layer put out."""
    ids = torch.tensor([item.prompt + item.answers[0]])
    hidden: torch.Tensor = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[layer + 1][0]
    return hidden


# The method's file.


@given(
    st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.floats(0, 50),
)
def test_the_forget_loss_is_the_mean_square_of_the_distance_from_c_u(
    values: list[list[float]], direction: list[float], steering: float
) -> None:
    activations = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = RMU(steering=steering).forget_loss(activations, torch.tensor(direction, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss.sum(), activations)
    for row, got, slopes in zip(values, loss.tolist(), gradient.tolist(), strict=True):
        away = [h - steering * u for h, u in zip(row, direction, strict=True)]
        assert got == pytest.approx(sum(d * d for d in away) / 3, rel=1e-9, abs=1e-12)
        assert slopes == pytest.approx([2 * d / 3 for d in away], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("layer", "trained"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (7, [5, 6, 7])])
def test_the_layer_and_the_two_below_it_are_trained(layer: int, trained: list[int]) -> None:
    assert list(RMU(layer=layer).layers) == trained


def test_the_settings_are_those_of_wmdp_for_7b() -> None:
    assert RMU().model_dump() == {"layer": 7, "steering": 6.5}
    assert list(RMU().layers) == [5, 6, 7]


def test_the_direction_is_a_unit_vector_without_negative_entries_that_the_seed_gives() -> None:
    first, again, other = (TrainedLayers(build("llama", LAYERS), range(1), seed).direction for seed in (0, 0, 1))
    assert first.shape == (WIDTH,) and first.dtype == torch.float32
    assert float(first.norm()) == pytest.approx(1)
    assert (first >= 0).all() and first.std() > 0.05
    assert torch.equal(first, again) and not torch.equal(first, other)


# Losses.


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral with a window"])
@given(forget=several, retain=several, budget=st.integers(1, 120))
@settings(max_examples=25, deadline=None)
def test_losses_and_gradients_are_those_of_each_item_alone(
    name: str, forget: list[Encoded], retain: list[Encoded], budget: int
) -> None:
    start, model, plain = made(name), made(name), made(name)
    unlearning = problem(model, forget, retain, retain_weight=7.0)
    plain.load_state_dict(shaken(model).state_dict())
    terms = unlearning.terms(range(len(forget)), step=0)
    assert [(term.name, term.weight) for term in terms] == [("forget_loss", 1.0), ("retain_loss", 7.0)]
    direction = unlearning.layers.direction
    expected = {
        "forget_loss": [(alone(plain, item, 2) - 3.0 * direction).square().mean() for item in terms[0].items],
        "retain_loss": [
            (alone(plain, item, 2) - alone(start, item, 2).detach()).square().mean() for item in terms[1].items
        ],
    }  # fmt: skip
    for term in terms:
        found, wanted = losses(model, term, budget), torch.stack(expected[term.name])
        assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-5)
        (term.weight * found.sum() / len(term.items)).backward()
        (term.weight * wanted.sum() / len(term.items)).backward()
    for (parameter_name, parameter), (_, other) in zip(model.named_parameters(), plain.named_parameters(), strict=True):
        if any(parameter_name.startswith(NAMES[name.split()[0]].format(layer)) for layer in (0, 1, 2)):
            assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-4), parameter_name
        else:
            assert parameter.grad is None and not parameter.requires_grad, parameter_name


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_start_is_seen_without_dropout_gradient_and_what_was_learnt_since(mode: str) -> None:
    model, start = build("gpt2", LAYERS, dropout=0.5), build("gpt2", LAYERS)
    layers = TrainedLayers(model, range(1, 3), seed=0)
    shaken(model).train()
    row, item = pack(items(1), Layouts()), items(1)[0]
    label_logits(model, row)
    now = layers.activations(row)
    then = layers.start_activations(row)
    assert now.requires_grad and not then.requires_grad
    assert torch.equal(then, alone(start, item, 2).detach())
    assert model.training and all(module.training for module in model.modules())
    assert not torch.allclose(now, then)


def test_the_activations_of_the_top_layer_come_before_the_norm_above_it() -> None:
    model, seen = build("llama", LAYERS), []
    layers = TrainedLayers(model, range(2, 4), seed=0)
    model.model.norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    row = pack(items(1), Layouts())
    label_logits(model, row)
    assert torch.equal(layers.activations(row), seen[0][0])


# Training.

TRAINING = {"learning_rate": 1e-2, "epochs": 4, "batch_size": 4, "tokens_per_pass": 40}


def trained(name: str = "llama", *, layer: int = 2, used: UsedSettings | None = None, **changes: Any) -> tuple[Any, Any]:
    model = build(name, LAYERS)
    used = used or UsedSettings()
    if used.precision == "bf16":
        model = model.to(torch.bfloat16)
    task = problem(model, items(8, 1), items(20, 2), layer, **TRAINING | changes)
    return model, train(model, task, task.settings, used, seed=0, label="rmu")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("layer", "named"), [(0, [0]), (2, [0, 1, 2]), (3, [1, 2, 3])])
def test_training_changes_the_named_parameters_and_leaves_all_others_alone(name: str, layer: int, named: list[int]) -> None:
    before = build(name, LAYERS).state_dict()
    model, log = trained(name, layer=layer)
    assert log[0]["retain_loss"] == 0.0
    assert log[-1]["forget_loss"] < log[0]["forget_loss"]
    prefixes = tuple(NAMES[name].format(index) for index in named)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) is not key.startswith(prefixes), key


def test_two_runs_give_the_same_weights_and_log() -> None:
    (first, log), (second, other) = trained(), trained()
    assert log == other
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not {"weights", "items"} & set(log[0])


def test_without_a_retain_loss_there_is_no_retain_term() -> None:
    assert "retain_loss" not in trained(retain_loss="none")[1][0]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16-mixed"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_precisions_and_gradient_checkpointing_train(precision: str, checkpointing: bool) -> None:
    used = UsedSettings(precision=precision, gradient_checkpointing=checkpointing)  # type: ignore[arg-type]
    _, log = trained(used=used)
    assert log[0]["retain_loss"] == pytest.approx(0, abs=1e-6)
    assert log[-1]["forget_loss"] < log[0]["forget_loss"]


def test_gradient_checkpointing_changes_nothing() -> None:
    (plain, log), (recomputed, other) = trained(), trained(used=UsedSettings(gradient_checkpointing=True))
    assert log == other
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), recomputed.parameters(), strict=True))


def test_the_loop_that_looks_at_the_model_sees_all_of_it() -> None:
    """What is kept for the losses changes nothing of what the model says."""
    model, plain, row = build("llama", LAYERS), build("llama", LAYERS), pack(items(5), Layouts())
    TrainedLayers(model, range(3), seed=0)
    assert torch.equal(label_logits(model, row), label_logits(plain, row))


# Models that it cannot train.


@pytest.mark.parametrize("layer", [4, 7])
def test_a_layer_that_the_model_does_not_have_is_one_line(layer: int) -> None:
    with pytest.raises(UserError, match=rf"^layer {layer}: the model has 4 decoder layers, 0 to 3$"):
        TrainedLayers(build("gpt2", LAYERS), RMU(layer=layer).layers, seed=0)


def test_a_model_whose_layers_put_out_more_than_activations_is_one_line() -> None:
    model = build_family("gpt_neo")
    with pytest.raises(UserError, match=r"^GPTNeoForCausalLM: the method needs layers with output \(batch"):
        train(model, problem(model, items(4), items(4)), UnlearnSettings(), UsedSettings(), seed=0, label="rmu")


def test_a_model_whose_layers_lie_elsewhere_is_one_line() -> None:
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    )
    before = copy.deepcopy([parameter.requires_grad for parameter in model.parameters()])
    message = r"^GPTNeoXForCausalLM: neither model\.layers\[i\]\.mlp\.down_proj nor transformer\.h\[i\]\.mlp\.c_proj exists"
    with pytest.raises(UserError, match=message):
        TrainedLayers(model, range(1), seed=0)
    assert [parameter.requires_grad for parameter in model.parameters()] == before
