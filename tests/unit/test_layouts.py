"""Each answer has one NLL, whatever shares its forward pass, in any family of models."""

import copy
import logging
from collections.abc import Iterator
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from families import VOCABULARY, build_family, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import CONFIG_MAPPING

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.evaluation.divergence import mean_divergence
from palimpsest.models import layouts as module
from palimpsest.models.attention import PACKED_ROWS
from palimpsest.models.layouts import exact_layouts, limits
from palimpsest.models.loading import load_model
from palimpsest.models.packing import Layout, Layouts, _forest, label_logits, pack, plan_passes, plan_shares, token_nll
from palimpsest.models.scoring import score
from palimpsest.models.settings import UsedSettings
from palimpsest.training.adapters import add_adapters
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import LoraSettings, TrainSettings

LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
# A family of each sort, with bounds that the items below pass, and the layouts that are exact for it.
KINDS: dict[str, tuple[dict[str, Any], float, float]] = {
    "llama": ({}, inf, inf),
    "gpt2": ({}, inf, inf),
    "mistral": ({"sliding_window": 8}, 8, inf),
    "gemma3_text": ({"sliding_window": 8}, 8, inf),
    "llama4_text": ({"attention_chunk_size": 8, "floor_scale": 32}, 8, 32),
    "phi3": ({"rope_parameters": LONGROPE, "original_max_position_embeddings": 10, "sliding_window": None}, 10, 10),
    "mixtral": ({"sliding_window": 8}, 8, inf),
    "deepseek_v32": ({"index_topk": 8}, 8, 8),
    # Attention in which a mask is added to the scores, not one of truth values.
    "gemma2": ({"sliding_window": 8}, 0, inf),
    # Attention of the family's own, which the argument of packed rows does not reach.
    "falcon": ({}, 0, inf),
    # Positions that no argument sets (ALiBi), a convolution over the row, and a state.
    "bloom": ({}, 0, inf),
    "lfm2": ({}, 0, inf),
    "recurrent_gemma": ({}, 0, inf),
}
tokens = st.lists(st.integers(3, VOCABULARY - 5), min_size=1, max_size=12)
encoded = st.builds(Encoded, tokens, st.lists(tokens, min_size=1, max_size=3))
batches = st.lists(encoded, min_size=1, max_size=4)


@cache
def _model_of(kind: str) -> Any:
    return build_family(kind, **KINDS[kind][0])


def model_of(kind: str) -> Any:
    return copy.deepcopy(_model_of(kind))


def items(count: int, seed: int = 0, answers: int = 3, longest: int = 12) -> list[Encoded]:
    generator = torch.Generator().manual_seed(seed)

    def ids() -> list[int]:
        size = int(torch.randint(1, longest + 1, (1,), generator=generator))
        return torch.randint(3, VOCABULARY - 5, (size,), generator=generator).tolist()

    return [Encoded(ids(), [ids() for _ in range(answers)]) for _ in range(count)]


def alone(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """The plain way, label by label: one sequence, no mask, the whole logits."""
    logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return F.cross_entropy(logits.float(), torch.tensor(answer), reduction="none")


def assert_alone(model: torch.nn.Module, of: list[Encoded], *budgets: int) -> None:
    with torch.no_grad():
        expected = [[alone(model, item.prompt, answer).tolist() for answer in item.answers] for item in of]
        for budget in budgets:
            for losses, scores in zip(expected, score(model, of, budget), strict=True):
                assert scores.nll == pytest.approx(list(map(sum, losses)), abs=1e-4, rel=1e-4)
                for found, wanted in zip(scores.losses, losses, strict=True):
                    assert found == pytest.approx(wanted, abs=1e-4, rel=1e-4)


# What is exact.


@pytest.mark.parametrize("kind", KINDS)
def test_the_layouts_of_a_family_are_found(kind: str) -> None:
    found = exact_layouts(model_of(kind))
    assert (found.window, found.reach) == KINDS[kind][1:]


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_of_any_family_scores_as_if_alone(kind: str) -> None:
    assert_alone(model_of(kind), items(6), 1, 60, 500)


HYBRID = ["llama", "gpt2", "mistral", "gemma3_text", "lfm2"]
PROPERTY = {kind: model_of(kind) for kind in HYBRID}


@pytest.mark.parametrize("kind", PROPERTY)
@given(of=batches, budget=st.integers(1, 150))
@settings(max_examples=8, deadline=None)
def test_whatever_shares_a_pass_an_answer_scores_as_if_alone(kind: str, of: list[Encoded], budget: int) -> None:
    assert_alone(PROPERTY[kind], of, budget)


@pytest.mark.parametrize("kind", PROPERTY)
@given(of=batches, budget=st.integers(1, 150))
@settings(max_examples=4, deadline=None)
def test_whatever_shares_a_pass_the_gradient_is_that_of_each_answer_alone(kind: str, of: list[Encoded], budget: int) -> None:
    # In double precision, so that what is left is a token too many and not the order of single-precision sums.
    model = copy.deepcopy(PROPERTY[kind]).double()
    layouts = exact_layouts(model)

    def gradient(losses: Iterator[torch.Tensor]) -> torch.Tensor:
        model.zero_grad()
        for loss in losses:
            loss.sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    rows = (pack(of[run], layouts) for run in plan_passes(of, budget, layouts))
    together = gradient(token_nll(label_logits(model, row), row) for row in rows)
    apart = gradient(alone(model, item.prompt, answer) for item in of for answer in item.answers)
    assert torch.allclose(together, apart, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2)], ids=["full", "lora"])
@pytest.mark.parametrize("kind", ["llama", "mistral", "phi3", "lfm2"])
@pytest.mark.parametrize("budget", [60])
def test_a_training_step_has_the_loss_and_the_gradient_of_its_items_alone(kind: str, lora: Any, budget: int) -> None:
    of, used = items(6, answers=1), UsedSettings(lora=lora)
    model = add_adapters(model_of(kind), lora, 0)
    plain = add_adapters(model_of(kind), lora, 0).eval()
    training = TrainSettings(epochs=1, batch_size=6, tokens_per_pass=budget, max_grad_norm=None)
    (entry,) = train(model, FineTuning(of), training, used, seed=0, label="test")
    loss = torch.cat([alone(plain, item.prompt, item.answers[0]) for item in of]).mean()
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None]).norm()
    assert entry["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert entry["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)


def test_the_divergence_of_two_models_is_that_of_each_answer_alone() -> None:
    start, model = model_of("mistral"), build_family("mistral", sliding_window=8, std=0.2)
    of, terms = items(5), []
    with torch.no_grad():
        for item in of:
            for answer in item.answers:
                ids = torch.tensor([item.prompt + answer])
                p, q = (m(input_ids=ids).logits[0, len(item.prompt) - 1 : -1].softmax(-1) for m in (start, model))
                terms += (p * (p / q).log()).sum(-1).tolist()
    assert mean_divergence(start, model, of) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_adapters_change_nothing_of_how_a_model_is_read() -> None:
    model = model_of("mistral")
    adapted = add_adapters(model, LoraSettings(rank=2), 0)
    assert exact_layouts(adapted) == exact_layouts(model_of("mistral"))
    assert_alone(adapted.eval(), items(6), 100)


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_the_same_layouts_are_exact(kind: str) -> None:
    found = exact_layouts(model_of(kind).to(torch.bfloat16))
    assert (found.window, found.reach) == KINDS[kind][1:]


def test_a_trial_leaves_the_model_and_the_random_numbers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_found", {})
    model = model_of("llama").train()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    exact_layouts(model)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


# What is not.


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert", {"is_decoder": False}),
        ("gemma3_text", {"use_bidirectional_attention": True}),
        ("doge", {"is_moe": True}),
        ("xlnet", {}),
    ],
)
def test_a_model_that_reads_what_it_predicts_is_refused(kind: str, changes: dict[str, Any]) -> None:
    message = r"^\w+: its predictions depend on later tokens, so it is not a causal language model$"
    with pytest.raises(UserError, match=message):
        exact_layouts(build_family(kind, **changes))


def test_a_model_that_fails_on_a_text_is_refused() -> None:
    model = model_of("llama")
    model.model.layers[0].mlp.down_proj.weight = torch.nn.Parameter(torch.zeros(3, 3))
    model.config.vocab_size -= 1
    with pytest.raises(UserError, match=r"^LlamaForCausalLM: it cannot score a text: RuntimeError: "):
        exact_layouts(model)


def test_a_model_that_heeds_no_other_token_is_not_packed() -> None:
    """With such weights a trial shows nothing, and training may change them."""
    model = build_family("llama", vocab_size=VOCABULARY - 1)
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    assert exact_layouts(model).window == 0


def test_a_model_whose_forward_fails_on_a_mask_is_not_packed() -> None:
    assert exact_layouts(build_family("mixtral", output_router_logits=True)).window == 0


def test_the_log_says_how_and_why_a_model_is_not_packed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_found", {})
    caplog.set_level(logging.INFO, "palimpsest")
    for kind in ("llama", "bloom", "mistral", "mistral", "phi3"):
        exact_layouts(model_of(kind))
    assert caplog.messages == [
        "BloomForCausalLM: packing changes its losses: each answer has its own row",
        "MistralForCausalLM: sliding_window 8: each answer of a longer question has its own row",
        "Phi3ForCausalLM: rope_type longrope: each answer of a longer question has its own row",
        "Phi3ForCausalLM: rope_type longrope: longer answers share a forward pass only with answers of equal length",
    ]


@pytest.mark.parametrize(
    ("kind", "changes", "window", "reach"),
    [
        ("llama", {}, inf, inf),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, 2048, 2048),
        ("mistral", {}, 4096, inf),
        ("mistral", {"sliding_window": None}, inf, inf),
        # Qwen has a window in its config, and a number of layers with a window, and uses neither unless it is told to.
        ("qwen2", {"sliding_window": 4096, "max_window_layers": 28}, inf, inf),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 512, "max_window_layers": 2}, 512, inf),
        ("exaone4", {"sliding_window": 1024, "sliding_window_pattern": 4}, 1024, inf),
        ("gpt_neo", {}, 256, inf),
        ("recurrent_gemma", {}, 2048, inf),
        ("modernbert-decoder", {}, 64, inf),
        ("gemma3", {}, 4096, inf),
        ("llama4_text", {}, 8192, 8192),
        ("deepseek_v32", {}, 2048, 2048),
        ("doge", {}, 2048, 2048),
        ("gpt_oss", {}, 128, inf),
        ("mamba", {}, inf, inf),
        ("deepseek_v4", {}, 0, 0),
    ],
)
def test_the_bounds_in_a_config(kind: str, changes: dict[str, Any], window: float, reach: float) -> None:
    found = limits(CONFIG_MAPPING[kind](**changes))
    assert (found[0][0], found[1][0]) == (window, reach)


def test_a_kind_of_layer_that_is_not_known_is_bounded_everywhere() -> None:
    config = small_config("llama")
    config.layer_types = ["full_attention", "folded_attention"]
    assert limits(config) == ((0, "layer_types folded_attention"), (0, "layer_types folded_attention"))
    config.layer_types = ["full_attention", "sliding_attention"]
    assert limits(config) == ((0, "layer_types sliding_attention"), (inf, ""))


# Loading.


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def test_a_family_without_sdpa_is_loaded_with_the_attention_that_it_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "palimpsest")
    assert load_model(saved(model_of("llama"), tmp_path / "llama"), UsedSettings()).config._attn_implementation == "sdpa"
    assert not caplog.messages
    model = load_model(saved(model_of("gemma2"), tmp_path / "gemma2"), UsedSettings())
    assert model.config._attn_implementation == "eager"
    assert caplog.messages[0] == "Gemma2ForCausalLM: no sdpa attention; loaded with eager attention, which is slower"
    assert_alone(model, items(4), 100)


def test_a_model_that_is_not_causal_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    folder = saved(build_family("bert", is_decoder=False, vocab_size=VOCABULARY - 1), tmp_path / "bert")
    with pytest.raises(UserError, match=r"^BertLMHeadModel: its predictions depend"):
        load_model(folder, UsedSettings())


# Passes.


@given(of=st.lists(encoded, max_size=12), budget=st.integers(1, 100), window=st.integers(0, 24), reach=st.integers(0, 24))
def test_passes_cover_all_items_in_order_and_compute_no_more_than_the_budget(
    of: list[Encoded], budget: int, window: int, reach: int
) -> None:
    layouts = Layouts(window, reach)
    runs = list(plan_passes(of, budget, layouts))
    assert [item for run in runs for item in of[run]] == of
    if of:
        shared = [run for share in plan_shares(of, budget, layouts, 3) for run in share]
        assert [item for run in shared for item in of[run]] == of
    for run in runs:
        part = of[run]
        layout, row = layouts.of(part), pack(part, layouts)
        assert all(layouts.of([item]) is layout for item in part)
        if len(part) > 1:
            assert len(row.calls) == 1
            assert row.calls[0]["input_ids"].numel() <= budget
        if layout is Layout.PACKED:
            assert sum(item.tokens for item in part) <= reach
        if layout is Layout.EVEN:
            ids = [call["input_ids"] for call in row.calls]
            assert sum(map(torch.Tensor.numel, ids)) == sum(len(i.prompt) + len(a) for i in part for a in i.answers)


@given(of=st.lists(encoded, min_size=1, max_size=4), window=st.integers(0, 24), reach=st.integers(0, 24), keeps=st.booleans())
def test_a_pass_predicts_the_labels_in_order_and_knows_its_items_tokens(
    of: list[Encoded], window: int, reach: int, keeps: bool
) -> None:
    layouts = Layouts(window, reach, frozenset({"logits_to_keep"} if keeps else ()))
    row = pack(of, layouts)

    def told(input_ids: torch.Tensor, logits_to_keep: torch.Tensor | None = None, **_: Any) -> Any:
        """A model that says of each position which token it is of which row."""
        kept = input_ids if logits_to_keep is None else input_ids[:, logits_to_keep]
        return type("Output", (), {"logits": kept[..., None]})

    before = [token for item in of for answer in item.answers for token in [item.prompt[-1], *answer[:-1]]]
    assert label_logits(told, row)[:, 0].tolist() == before
    assert row.labels.tolist() == [token for item in of for answer in item.answers for token in answer]
    assert row.lengths == [len(answer) for item in of for answer in item.answers]
    if len(row.calls) == 1:
        flat = row.calls[0]["input_ids"].flatten()
        of_items = [token for item in of for token in [*item.prompt, *(t for answer in item.answers for t in answer)]]
        assert (flat if row.tokens is None else flat[row.tokens]).tolist() == of_items


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_packed_row_is_one_row_with_the_mask_of_its_trees(kind: str) -> None:
    model, of = model_of(kind), items(4)
    ids, positions, owners = [], [], []
    for number, item in enumerate(of):
        for branch, part in enumerate([item.prompt, *item.answers]):
            ids += part
            start = len(item.prompt) if branch else 0
            positions += range(start, start + len(part))
            owners += [(number, branch)] * len(part)
    mask = [
        [c <= r and owners[c][0] == owners[r][0] and owners[c][1] in (0, owners[r][1]) for c in range(len(ids))]
        for r in range(len(ids))
    ]
    row = pack(of, exact_layouts(model))
    (call,) = row.calls
    with torch.no_grad():
        expected = model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor([positions]),
            attention_mask=torch.tensor(mask)[None, None],
            logits_to_keep=call["logits_to_keep"],
            use_cache=False,
        ).logits[0]
        assert torch.allclose(label_logits(model, row), expected, atol=1e-5)


@given(of=batches)
def test_attention_in_a_packed_row_has_no_mask_and_little_padding(of: list[Encoded]) -> None:
    rows = _forest(of, Layouts()).calls[0][PACKED_ROWS]
    expected, tokens = [], 0
    for item in of:
        prompt = [*range(tokens, tokens + len(item.prompt))]
        tokens += len(prompt)
        for answer in item.answers:
            expected.append([*prompt, *range(tokens, tokens + len(answer))])
            tokens += len(answer)
    found = sorted((row for group in rows.groups for row in group.tolist()), key=max)
    for padded, row in zip(found, expected, strict=True):
        assert padded == row + row[-1:] * (len(padded) - len(row))
        assert len(padded) < 2 * len(row)
    assert torch.cat([group.flatten() for group in rows.groups])[rows.places].tolist() == list(range(tokens))


def test_a_batch_of_one_shape_has_neither_mask_nor_padding() -> None:
    of = [Encoded([3, 4], [[5, 6, 7]]), Encoded([8, 9], [[3, 4, 5]])]
    for layouts in (Layouts(), Layouts(window=0), Layouts(0, 0)):
        row = pack(of, layouts)
        (call,) = row.calls
        assert call.keys() == {"input_ids", "logits_to_keep", "use_cache"}
        assert call["input_ids"].tolist() == [[3, 4, 5, 6, 7], [8, 9, 3, 4, 5]]
        assert call["logits_to_keep"].tolist() == [1, 2, 3]
        assert row.predictors is None and row.tokens is None
