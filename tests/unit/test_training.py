"""The training loop: what it computes, that it repeats, and that an interrupted run ends where an undisturbed one does."""

import math
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader
from transformers import LlamaConfig, LlamaForCausalLM

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.interruption import Interrupted
from palimpsest.methods import list_methods, load_method, make_method
from palimpsest.methods.base import Finetuned, LayerMethod, Start
from palimpsest.methods.npo import NPO
from palimpsest.methods.problem import Unlearning
from palimpsest.methods.simnpo import SimNPO
from palimpsest.models.merging import merge_adapters
from palimpsest.models.packing import Layouts, plan_passes
from palimpsest.models.scoring import score
from palimpsest.models.settings import UsedSettings
from palimpsest.provenance.manifest import Remark
from palimpsest.streams import stream
from palimpsest.training.adapters import WithoutAdapters, add_adapters
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.references import compute_references, read_references, write_references
from palimpsest.training.schedule import learning_rate
from palimpsest.training.settings import LoraSettings, TrainSettings, UnlearnSettings

VOCABULARY = 40
METHODS = {method: load_method(method) for method in list_methods()}
# Every method that is trained, with each retain loss that it can have.
TRAINED = [(name, kind) for name, each in METHODS.items() if each.is_trained for kind in each.retain_losses if kind != "none"]


def small_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def items(count: int, seed: int = 0) -> list[Encoded]:
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        size = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(0, VOCABULARY, (size,), generator=generator).tolist()

    return [Encoded(ids(2, 6), [ids(1, 8)]) for _ in range(count)]


def layers_of(method: str, model: Any) -> TrainedLayers | None:
    return TrainedLayers(model, range(2), seed=0) if issubclass(METHODS[method], LayerMethod) else None


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


SETTINGS = TrainSettings(learning_rate=1e-2, epochs=3, batch_size=4, tokens_per_pass=40)


def run(model: Any, settings: TrainSettings = SETTINGS, problem: Any = None, **options: Any) -> list[dict[str, Any]]:
    used = options.pop("used", UsedSettings())
    return train(model, problem or FineTuning(items(10)), settings, used, seed=0, label="test", **options)


def test_two_runs_give_the_same_weights_and_log() -> None:
    first, second = small_model(), small_model()
    assert run(first) == run(second)
    assert same(weights(first), weights(second))


def test_the_seed_of_the_data_order_matters() -> None:
    first, second = small_model(), small_model()
    train(first, FineTuning(items(10)), SETTINGS, UsedSettings(), seed=0, label="a")
    train(second, FineTuning(items(10)), SETTINGS, UsedSettings(), seed=1, label="b")
    assert not same(weights(first), weights(second))


def test_each_epoch_has_every_item_once_in_an_order_of_its_own() -> None:
    orders: dict[int, list[int]] = {}

    class Seen(FineTuning):
        def terms(self, indices: Any, step: int) -> Any:
            orders.setdefault(step // 3, []).extend(indices)
            return super().terms(indices, step)

    run(small_model(), problem=Seen(items(10)))
    assert [sorted(order) for order in orders.values()] == [list(range(10))] * 3
    assert len({tuple(order) for order in orders.values()}) == 3


def test_the_log_of_a_job_shows_loss_and_learning_rate(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.progress.SECONDS_BETWEEN_LINES", -1.0)
    caplog.set_level("INFO", logger="palimpsest")
    steps = run(small_model())
    told = [
        re.fullmatch(r"(.*): (\d+) of 9, epoch (\d), loss ([\d.]+), learning rate ([\d.e-]+)", text) for text in caplog.messages
    ]
    found = [match.groups() for match in told if match]
    assert [int(number) for _, number, *_ in found] == list(range(1, 10))
    for (_, _, epoch, loss, rate), step in zip(found, steps, strict=True):
        assert int(epoch) == step["epoch"] + 1
        assert (float(loss), float(rate)) == pytest.approx((step["loss"], step["learning_rate"]), rel=6e-3, abs=1e-9)


def test_dropout_is_of_training_alone() -> None:
    """What looks at the model after an epoch sees it without, and the next epoch has it again."""
    model = add_adapters(small_model(), LoraSettings(rank=2, dropout=0.2), 0)
    trained: list[bool] = []
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda module, given: trained.append(module.training))
    run(model, after_epoch=lambda epoch: seen.append(any(module.training for module in model.modules())))
    assert seen == [False] * 3 and trained and all(trained)


def test_references_are_the_losses_of_the_answer_and_of_the_others(tmp_path: Path) -> None:
    model, forget = small_model(), items(3, 1)
    others = [[[7, 8], [9, 5, 4]], [[6], [5, 5]], [[8, 4, 3], [7]]]
    found = compute_references(model, ["a", "b", "c"], forget, others, 1000)
    for item, of, nll, other_nll in zip(forget, others, found.nll, found.other_nll, strict=True):
        alone = [Encoded(item.prompt, [answer]) for answer in (item.answers[0], *of)]
        assert [nll, *other_nll] == pytest.approx(forget_nll(model, alone), rel=1e-5)
    write_references(tmp_path / "references.parquet", found)
    assert read_references(tmp_path / "references.parquet") == found and found.ids == ["a", "b", "c"]


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2, dropout=0.2)], ids=["full", "lora with dropout"])
@pytest.mark.parametrize("stop", [1, 4, 8])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, lora: LoraSettings | None
) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    undisturbed = add_adapters(small_model(), lora, 0)
    log = run(undisturbed)

    class Interrupted(FineTuning):
        def terms(self, indices: Any, step: int) -> Any:
            if step == stop:
                raise KeyboardInterrupt
            return super().terms(indices, step)

    first = add_adapters(small_model(), lora, 0)
    with pytest.raises(KeyboardInterrupt):
        run(first, problem=Interrupted(items(10)), scratch=tmp_path)
    resumed = add_adapters(small_model(), lora, 0)
    assert run(resumed, scratch=tmp_path) == log
    assert same(weights(resumed), weights(undisturbed))


def test_a_checkpoint_has_no_frozen_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    run(add_adapters(small_model(), LoraSettings(rank=2), 0), scratch=tmp_path)
    (folder,) = tmp_path.glob("step-*")
    names = {name for name in FileSystemReader(folder).read_metadata().state_dict_metadata if name.startswith("model.")}
    # Of a tied weight, torch leaves out only the first name.
    assert {name for name in names if "lora_" not in name} == {"model.base_model.model.lm_head.weight"} != names


def test_a_half_written_checkpoint_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "log.json").write_text("[{}]")
    disturbed, undisturbed = small_model(), small_model()
    assert run(disturbed, scratch=tmp_path) == run(undisturbed)


@pytest.mark.parametrize(("method", "retain_loss"), TRAINED)
def test_how_a_batch_is_cut_into_passes_changes_no_loss(method: str, retain_loss: str) -> None:
    """Gradient accumulation is exact: token means are over the whole step."""
    logs = []
    for tokens_per_pass in (1, 30, 10_000):
        settings = UnlearnSettings(
            learning_rate=1e-3,
            epochs=2,
            batch_size=5,
            retain_loss=retain_loss,  # type: ignore[arg-type]
            tokens_per_pass=tokens_per_pass,
            max_grad_norm=None,
        )
        model = small_model()
        problem = Unlearning(
            make_method(method, {}),
            settings,
            forget=items(7, 1),
            retain=items(20, 2),
            others=[[[1, 2, 3], [4, 5]]] * 7,
            references=[9.0] * 7,
            other_references=[[8.0, 7.0]] * 7,
            original=small_model(7),
            frozen={"original": small_model(7), "reinforced": small_model(8)},
            layers=layers_of(method, model),
            seed=0,
        )
        logs.append(run(model, settings, problem))
    for others in zip(*logs, strict=True):
        for name in ("forget_loss", "retain_loss", "grad_norm"):
            assert [other[name] for other in others] == pytest.approx([others[0][name]] * 3, abs=1e-5, rel=1e-5)


def test_npo_and_the_kl_term_start_at_the_original_model() -> None:
    """Where theta is the reference, NPO's loss is (2/beta) log 2 and KL is 0."""
    model = small_model()
    forget = items(4, 1)
    references = [scores.nll[0] for scores in score(model, forget, 100)]
    settings = UnlearnSettings(learning_rate=1e-3, epochs=1, batch_size=4, retain_loss="kl", warmup_epochs=0)
    problem = Unlearning(
        NPO(), settings, forget=forget, retain=items(9, 2), references=references,
        original=small_model(), seed=0,
    )  # fmt: skip
    (entry,) = run(model, settings, problem)
    assert entry["forget_loss"] == pytest.approx(20 * 0.6931471805599453, abs=1e-4)
    assert entry["retain_loss"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("tokens_per_pass", [1, 10_000])
def test_a_step_is_a_mean_over_its_tokens_or_over_its_items(tokens_per_pass: int) -> None:
    for over in ("tokens", "items"):
        settings = unlearn_settings(epochs=1, mean_over=over, tokens_per_pass=tokens_per_pass)
        problem = unlearning("graddiff", settings)
        first = run(small_model(), settings, problem)[0]
        forgotten = [problem.forget[i] for i in first["items"]]
        retained = list(problem.terms(first["items"], 0)[1].items)
        for name, items_of, sign in (("forget_loss", forgotten, -1), ("retain_loss", retained, 1)):
            nll, lengths = forget_nll(small_model(), items_of), [len(item.answers[0]) for item in items_of]
            of_items = sum(one / length for one, length in zip(nll, lengths, strict=True)) / len(nll)
            expected = of_items if over == "items" else sum(nll) / sum(lengths)
            assert first[name] == pytest.approx(sign * expected, rel=1e-5)
            assert len(set(lengths)) > 1


def test_graddiff_with_means_over_items_is_w_graddiff() -> None:
    settings, models = unlearn_settings(mean_over="items"), [small_model(), small_model()]
    logs = [
        run(model, settings, unlearning(name, settings)) for model, name in zip(models, ["graddiff", "w-graddiff"], strict=True)
    ]
    assert logs[0] == logs[1]
    assert same(*map(weights, models))


def test_training_learns_by_heart() -> None:
    model = small_model()
    log = run(model, TrainSettings(learning_rate=3e-2, epochs=40, batch_size=5))
    assert log[-1]["loss"] < 0.1 < 3.0 < log[0]["loss"]


def test_retain_items_are_drawn_freshly_at_every_step() -> None:
    settings = UnlearnSettings(batch_size=2)
    problem = Unlearning(SimNPO(), settings, forget=items(2, 1), retain=items(50, 2), seed=0)
    drawn = [problem.terms([0, 1], step)[1].items for step in range(6)]
    assert len({tuple(map(repr, batch)) for batch in drawn}) == 6


def test_in_fixed_pairs_each_forget_item_has_the_same_retain_item_in_every_step() -> None:
    settings = UnlearnSettings(batch_size=2, retain_pairing="fixed")
    problem = Unlearning(SimNPO(), settings, forget=items(4, 1), retain=items(50, 2), seed=0)
    first, later = problem.terms([0, 1, 2], 0)[1].items, problem.terms([2, 3, 0], 5)[1].items
    assert (later[0], later[2]) == (first[2], first[0])
    assert len({*map(repr, first), repr(later[1])}) == 4
    other = Unlearning(SimNPO(), settings, forget=items(4, 1), retain=items(50, 2), seed=1)
    assert other.terms([0, 1, 2], 0)[1].items != first


def test_no_retain_item_is_drawn_twice_in_a_step_unless_there_are_too_few() -> None:
    settings = UnlearnSettings(batch_size=8)

    def drawn(there: int) -> list[Encoded]:
        problem = Unlearning(SimNPO(), settings, forget=items(8, 1), retain=items(there, 2), seed=0)
        return list(problem.terms(range(8), 0)[1].items)

    assert sorted(map(repr, drawn(8))) == sorted(map(repr, items(8, 2)))
    assert len(drawn(3)) == 8


def test_lora_trains_adapters_only_and_merges_into_an_ordinary_model() -> None:
    model = small_model()
    before = weights(model)
    adapted = add_adapters(model, LoraSettings(rank=2), 0)
    run(adapted, TrainSettings(learning_rate=1e-2, epochs=2, batch_size=4))
    after = weights(merge_adapters(adapted))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("proj" in name for name in changed)


def test_with_lora_the_start_model_is_the_trained_one_without_adapters() -> None:
    """Which trains what a second model in memory would, to the bit."""

    def trained(*, second: bool) -> dict[str, torch.Tensor]:
        model, lora = small_model(), LoraSettings(rank=2, dropout=0.2)
        original = small_model().eval() if second else WithoutAdapters(model)
        settings = UnlearnSettings(learning_rate=1e-2, epochs=2, batch_size=4, retain_loss="kl")
        problem = Unlearning(SimNPO(), settings, forget=items(8, 1), retain=items(8, 2), original=original, seed=0)
        adapted = add_adapters(model, lora, 0)
        train(adapted, problem, settings, UsedSettings(lora=lora), seed=0, label="test")
        return weights(merge_adapters(adapted))

    apart, same = trained(second=True), trained(second=False)
    assert all(torch.equal(apart[name], same[name]) for name in apart)


def watched(precision: str = "fp32", *, checkpointing: bool = False) -> tuple[list[dict[str, Any]], list[torch.dtype], Any]:
    """Train; return the log, the precision of each output of the first layer's queries, and the model."""
    used = UsedSettings(precision=precision, gradient_checkpointing=checkpointing)  # type: ignore[arg-type]
    model = small_model().to(torch.bfloat16 if precision == "bf16" else torch.float32)
    seen: list[torch.dtype] = []
    model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    return run(model, TrainSettings(learning_rate=1e-2, epochs=10, batch_size=5), used=used), seen, model


@pytest.mark.parametrize(
    ("precision", "computed", "kept"),
    [
        ("fp32", torch.float32, torch.float32),
        ("bf16-mixed", torch.bfloat16, torch.float32),
        ("bf16", torch.bfloat16, torch.bfloat16),
    ],
)
def test_the_precision_is_that_of_the_computation_and_of_the_weights(
    precision: str, computed: torch.dtype, kept: torch.dtype
) -> None:
    log, seen, model = watched(precision)
    assert set(seen) == {computed}
    assert {weight.dtype for weight in weights(model).values()} == {kept}
    exact, _, _ = watched()
    assert [entry["loss"] for entry in log] == pytest.approx([entry["loss"] for entry in exact], rel=0.05)
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
def test_gradient_checkpointing_computes_every_layer_twice_and_changes_no_weight(precision: str) -> None:
    log, seen, model = watched(precision)
    other_log, seen_twice, other = watched(precision, checkpointing=True)
    assert len(seen_twice) == 2 * len(seen) and set(seen_twice) == set(seen)
    assert other_log == log and same(weights(other), weights(model))


@pytest.mark.parametrize(("batch_size", "sizes"), [(3, [3, 3]), (4, [4]), (7, [7]), (8, [7])])
def test_a_short_last_batch_is_dropped_unless_it_is_the_only_one(batch_size: int, sizes: list[int]) -> None:
    settings = unlearn_settings(batch_size=batch_size, epochs=2)
    (kept, dropped) = (
        [len(entry["items"]) for entry in run(small_model(), chosen, unlearning("npo", chosen))]
        for chosen in (settings, settings.model_copy(update={"drop_last": True}))
    )
    assert dropped == 2 * sizes
    assert sum(kept) == 2 * 7


def test_the_schedule_warms_up_and_decays_linearly() -> None:
    settings = TrainSettings(learning_rate=1.0)
    rates = [learning_rate(step, 10, 2, settings) for step in range(11)]
    assert rates == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0])
    constant = TrainSettings(learning_rate=1.0, schedule="constant")
    assert [learning_rate(step, 10, 2, constant) for step in range(4)] == [0, 0.5, 1, 1]


class Stopped(Exception):
    """Somebody killed the run."""


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2, dropout=0.2)], ids=["full", "lora with dropout"])
@pytest.mark.parametrize("stop_epoch", [1, 2, 3])
def test_a_model_stopped_at_an_epoch_is_the_full_run_s_after_that_epoch(stop_epoch: int, lora: LoraSettings | None) -> None:
    settings = unlearn_settings()
    full = add_adapters(small_model(), lora, 0)
    seen: list[Any] = []
    log = run(full, settings, unlearning("npo", settings), after_epoch=lambda epoch: seen.append((epoch, weights(full))))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]

    stopping = settings.model_copy(update={"stop_epoch": stop_epoch})
    stopped = add_adapters(small_model(), lora, 0)
    assert run(stopped, stopping, unlearning("npo", stopping)) == [entry for entry in log if entry["epoch"] < stop_epoch]
    assert same(weights(stopped), seen[stop_epoch - 1][1])


def test_a_run_stopped_before_its_last_step_has_the_schedule_of_its_steps() -> None:
    settings = unlearn_settings(max_steps=4)
    full = run(small_model(), settings, unlearning("npo", settings))
    stopping = settings.model_copy(update={"stop_epoch": 1})
    assert len(full) == 4 and run(small_model(), stopping, unlearning("npo", stopping)) == full[:2]


@pytest.mark.parametrize(("method", "retain_loss"), [("npo", "ce"), ("rmu", "activations")])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_stopped_run_that_was_interrupted_ends_at_the_same_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, method: str, retain_loss: str
) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    settings = unlearn_settings(stop_epoch=2, retain_loss=retain_loss)
    undisturbed, interrupted, resumed = small_model(), small_model(), small_model()
    log = run(undisturbed, settings, unlearning(method, settings, trained=undisturbed))
    assert len(log) == 4 and log[-1]["epoch"] == 1
    with pytest.raises(Stopped):
        run(interrupted, settings, unlearning(method, settings, trained=interrupted, stop=step), scratch=tmp_path)
    # The log is the same, so the gradient weights of the steps before the interruption are too.
    assert run(resumed, settings, unlearning(method, settings, trained=resumed), scratch=tmp_path) == log
    assert same(weights(resumed), weights(undisturbed))


def test_an_epoch_that_the_schedule_does_not_have_is_one_line() -> None:
    settings = unlearn_settings(stop_epoch=4)
    with pytest.raises(UserError, match="stop_epoch: 4: there are only 3 epochs"):
        run(small_model(), settings, unlearning("npo", settings))


@pytest.mark.parametrize("kill", [1, 2])
def test_an_epoch_is_seen_though_the_run_was_interrupted_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    """A checkpoint at the end of an epoch is written after the epoch was seen, never before."""
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    seen: dict[int, list[dict[str, torch.Tensor]]] = {}

    def see(model: Any, *, killed: int = 0) -> Any:
        def after_epoch(epoch: int) -> None:
            if epoch == killed:
                raise Stopped
            seen.setdefault(epoch, []).append(weights(model))

        return after_epoch

    undisturbed, first, resumed = small_model(), small_model(), small_model()
    run(undisturbed, after_epoch=see(undisturbed))
    with pytest.raises(Stopped):
        run(first, after_epoch=see(first, killed=kill), scratch=tmp_path)
    run(resumed, after_epoch=see(resumed), scratch=tmp_path)
    assert sorted(seen) == [1, 2, 3]
    for twice in seen.values():
        assert len(twice) == 2 and same(*twice)


@pytest.mark.parametrize("signalled", [1, 2, 3])
def test_a_sigterm_while_an_epoch_is_seen_stops_at_once_and_the_epoch_is_seen_again(tmp_path: Path, signalled: int) -> None:
    seen: list[int] = []

    def stop(epoch: int) -> None:
        if epoch == signalled:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        seen.append(epoch)

    undisturbed, first, resumed = small_model(), small_model(), small_model()
    log = run(undisturbed)
    started = time.monotonic()
    with pytest.raises(Interrupted, match=rf"stopped by SIGTERM after step {signalled * len(log) // 3}; a rerun continues"):
        run(first, after_epoch=stop, scratch=tmp_path)
    assert time.monotonic() - started < 50
    assert run(resumed, after_epoch=seen.append, scratch=tmp_path) == log
    assert seen == [1, 2, 3]
    assert same(weights(resumed), weights(undisturbed))


# Gradient weights.


def unlearn_settings(**changes: Any) -> UnlearnSettings:
    values = {"learning_rate": 1e-2, "epochs": 3, "batch_size": 4, "tokens_per_pass": 30, "warmup_epochs": 0} | changes
    return UnlearnSettings(**values)


def forget_nll(model: torch.nn.Module, forget: list[Encoded]) -> list[float]:
    return [scores.nll[0] for scores in score(model, forget, 1000)]


class Recorded(Unlearning):
    """A problem that knows the model it is about: its forget answers' NLL before every step, and when to fail."""

    model: torch.nn.Module | None = None
    stop: int | None = None

    def terms(self, indices: Any, step: int) -> Any:
        if step == self.stop:
            raise Stopped
        if self.model is not None:
            self.nll = [*getattr(self, "nll", []), forget_nll(self.model, list(self.forget))]
        return super().terms(indices, step)


def unlearning(
    method: str, settings: UnlearnSettings, *, model: Any = None, trained: Any = None, stop: int | None = None, **loss: float
) -> Recorded:
    forget, original = items(7, 1), small_model()
    problem = Recorded(
        make_method(method, loss),
        settings,
        forget=forget,
        retain=items(20, 2),
        others=[[[1, 2, 3], [4, 5]]] * 7,
        references=forget_nll(small_model(), forget),
        other_references=[[8.0, 7.0]] * 7,
        original=original,
        frozen={"original": original, "reinforced": small_model(8)},
        layers=layers_of(method, trained),
        seed=0,
    )
    problem.model, problem.stop = model, stop
    return problem


@pytest.mark.parametrize("tokens_per_pass", [1, 30, 10_000])
def test_the_logged_weights_of_npo_are_equation_4(tokens_per_pass: int) -> None:
    settings, model, beta = unlearn_settings(tokens_per_pass=tokens_per_pass), small_model(), 0.7
    problem = unlearning("npo", settings, model=model, beta=beta)
    log = run(model, settings, problem)
    assert log[0]["weights"] == pytest.approx([1.0] * 4, abs=1e-5)
    for entry, nll in zip(log, problem.nll, strict=True):
        expected = [2 / (1 + math.exp(beta * (nll[i] - problem.references[i]))) for i in entry["items"]]
        assert entry["weights"] == pytest.approx(expected, rel=1e-4)
    assert all(sorted(log[at]["items"] + log[at + 1]["items"]) == list(range(7)) for at in (0, 2, 4))
    assert max(log[-1]["weights"]) < 0.9


def test_the_logged_weights_of_simnpo_are_equation_6() -> None:
    settings, model, beta = unlearn_settings(), small_model(), 2.5
    problem = unlearning("simnpo", settings, model=model, beta=beta)
    log = run(model, settings, problem)
    lengths = [len(item.answers[0]) for item in problem.forget]
    for entry, nll in zip(log, problem.nll, strict=True):
        powered = {i: math.exp(-nll[i] * beta / lengths[i]) for i in entry["items"]}
        expected = [2 * powered[i] / (1 + powered[i]) / lengths[i] for i in entry["items"]]
        assert entry["weights"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weights_of_terms", [{}, {"forget_weight": 0.125, "retain_weight": 3.0}])
def test_the_logged_weights_tend_to_those_of_the_methods_without_beta(weights_of_terms: dict[str, float]) -> None:
    """GradDiff weighs by 1 over the step's mean length, W-GradDiff by 1/|y|; the weights of the terms do not count."""
    settings = unlearn_settings(**weights_of_terms)
    lengths = [len(item.answers[0]) for item in items(7, 1)]
    logs = {
        method: run(small_model(), settings, unlearning(method, settings, **loss))
        for method, loss in {"graddiff": {}, "npo": {"beta": 1e-6}, "w-graddiff": {}, "simnpo": {"beta": 1e-6}}.items()
    }
    for graddiff, npo, w_graddiff, simnpo in zip(*logs.values(), strict=True):
        of_step = [lengths[i] for i in graddiff["items"]]
        mean = sum(of_step) / len(of_step)
        assert graddiff["weights"] == pytest.approx([1 / mean] * len(of_step))
        assert npo["weights"] == pytest.approx([weight * mean for weight in graddiff["weights"]], rel=1e-4)
        assert w_graddiff["weights"] == pytest.approx([1 / length for length in of_step])
        assert simnpo["weights"] == pytest.approx(w_graddiff["weights"], rel=1e-4)


def test_the_weights_of_dpo_are_those_of_the_answers_and_not_of_the_refusals() -> None:
    """With reference losses as at the start, but for the refusals: the gain of a refusal r is its reference less its NLL."""
    settings, model, beta = unlearn_settings(epochs=1), small_model(), 0.5
    problem = unlearning("dpo-idk", settings, beta=beta)
    candidates = [Encoded(item.prompt, list(others)) for item, others in zip(problem.forget, problem.others, strict=True)]
    refusal_nll = [scores.nll for scores in score(model, candidates, 1000)]
    first = run(model, settings, problem)[0]
    expected = []
    for i, r in zip(first["items"], stream(0, "refusals", 0).integers(2, size=4).tolist(), strict=True):
        gain = problem.other_references[i][r] - refusal_nll[i][r]
        expected.append(2 / (1 + math.exp(beta * gain)))
    assert first["weights"] == pytest.approx(expected, rel=1e-4)


def remarks_of(method: str, **loss: float) -> list[str]:
    settings, remarks = unlearn_settings(), list[Remark]()
    run(small_model(), settings, unlearning(method, settings, **loss), remark=remarks.append)
    return [remark.text for remark in remarks]


@pytest.mark.parametrize(("method", "beta"), [("npo", 200.0), ("simnpo", 200.0), ("dpo-idk", 200.0)])
def test_weights_that_vanish_in_the_second_epoch_are_remarked(method: str, beta: float) -> None:
    (text,) = remarks_of(method, beta=beta)
    fell = re.fullmatch(r"test: .* fell from (.+) at the first step to (.+) in epoch 2, so .* a smaller beta .*", text)
    assert fell and float(fell[2]) <= 1e-3 * float(fell[1])


@pytest.mark.parametrize(
    ("method", "loss"), [("npo", {"beta": 0.1}), ("simnpo", {"beta": 2.5}), ("dpo-idk", {"beta": 0.1}), ("ga", {}), ("idk", {})]
)
def test_weights_that_do_not_vanish_are_not_remarked(method: str, loss: dict[str, float]) -> None:
    assert remarks_of(method, **loss) == []


@pytest.mark.parametrize("method", ["idk", "rkld", "wga", "satimp", "undial", "ce-u"])
def test_a_method_that_reads_no_nll_of_answers_has_no_weights(method: str) -> None:
    settings = unlearn_settings(epochs=1)
    (entry, *_) = run(small_model(), settings, unlearning(method, settings))
    assert not {"weights", "items"} & set(entry)


def calls(model: torch.nn.Module, of: Any) -> int:
    counted = []
    handle = model.register_forward_pre_hook(lambda *_: counted.append(1))
    of()
    handle.remove()
    return len(counted)


@pytest.mark.parametrize(("method", "retain_loss"), TRAINED)
def test_a_step_runs_each_model_once_a_pass(method: str, retain_loss: str) -> None:
    """Gradient weights and frozen models cost no forward pass of the trained model, which may stand in for the frozen one."""
    settings, model = unlearn_settings(epochs=1, batch_size=7, retain_loss=retain_loss), small_model()
    problem = unlearning(method, settings, trained=model)
    order = stream(0, "order", 0).permutation(7).tolist()
    passes = {term.name: len(list(plan_passes(term.items, 30, Layouts()))) for term in problem.terms(order, 0)}
    assert passes["forget_loss"] > 1
    assert problem.original is not None
    frozen = {
        problem.original: passes["retain_loss"] * (retain_loss == "kl") + passes["forget_loss"] * METHODS[method].needs(Start),
        problem.frozen["reinforced"]: passes["forget_loss"] * METHODS[method].needs(Finetuned),
    }
    before = [weights(each) for each in frozen]

    def train_counting(models: list[torch.nn.Module]) -> list[int]:
        if not models:
            run(model, settings, problem)
            return []
        rest: list[int] = []
        count = calls(models[0], lambda: rest.extend(train_counting(models[1:])))
        return [count, *rest]

    as_start = passes["retain_loss"] * (retain_loss == "activations")
    assert train_counting([model, *frozen]) == [sum(passes.values()) + as_start, *frozen.values()]
    for each, weights_before in zip(frozen, before, strict=True):
        assert same(weights(each), weights_before)
        assert all(parameter.grad is None for parameter in each.parameters())


# RKLD and LoRA.


@pytest.mark.parametrize(
    # Adapters of so small a model cannot go far: its embeddings, which are its output head, stay as they are.
    ("lora", "left"),
    [(None, 0.3), (LoraSettings(rank=2), 0.9)],
    ids=["full", "lora"],
)
def test_rkld_starts_from_the_original_and_nears_its_teacher(lora: LoraSettings | None, left: float) -> None:
    settings = unlearn_settings(epochs=30, batch_size=7, retain_loss="kl", retain_weight=0.0, learning_rate=2e-2)
    problem = unlearning("rkld", settings, alpha=2.0)
    learn = TrainSettings(learning_rate=2e-2, epochs=10, batch_size=7, warmup_epochs=0)
    run(problem.frozen["reinforced"], learn, FineTuning(problem.forget))
    log = run(add_adapters(small_model(), lora, 0), settings, problem)
    assert log[0]["retain_loss"] == pytest.approx(0.0, abs=1e-6)
    assert log[0]["forget_loss"] == pytest.approx(teacher_divergence(problem, 2.0), rel=1e-4)
    assert 0 <= log[-1]["forget_loss"] < left * log[0]["forget_loss"]


def teacher_divergence(problem: Unlearning, alpha: float) -> float:
    """The token mean of KL(original || teacher), one answer at a time, the whole logits."""
    terms: list[float] = []
    assert problem.original is not None
    for item in problem.forget:
        ids = torch.tensor([item.prompt + item.answers[0]])
        with torch.no_grad():
            own, strong = (
                m(input_ids=ids).logits[0, len(item.prompt) - 1 : -1] for m in (problem.original, problem.frozen["reinforced"])
            )
        p, q = own.softmax(-1), (own - alpha * (strong - own).clamp(min=0)).softmax(-1)
        terms += (p * (p / q).log()).sum(-1).tolist()
    return sum(terms) / len(terms)


def test_mixed_precision_is_of_training_alone() -> None:
    """What looks at the model after an epoch sees what the saved weights give, in full precision."""
    model, forget = small_model(), items(6, 1)
    seen: list[list[float]] = []
    used = UsedSettings(precision="bf16-mixed")
    run(model, SETTINGS, used=used, after_epoch=lambda epoch: seen.append(forget_nll(model, forget)))
    fresh = small_model(5)
    fresh.load_state_dict(model.state_dict())
    assert seen[-1] == forget_nll(fresh, forget)
