"""AdamW with 8-bit moments: near AdamW, resumed to the same bytes, and small updates of bf16 weights are not lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from example_study import changed

from palimpsest.benchmarks.tofu.sources.world import WorldSource
from palimpsest.benchmarks.tofu.world import make_dataset
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.errors import UserError
from palimpsest.models.settings import EIGHT_BIT, PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.study.study import Study
from palimpsest.training import optimizer
from palimpsest.training.adapters import add_adapters
from palimpsest.training.eight_bit import EightBitAdamW, round_at_random
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import LoraSettings, TrainSettings

Weights = dict[str, torch.Tensor]


class World:
    """A small model, and questions about fictional authors."""

    def __init__(self) -> None:
        rows = make_dataset(WorldSource(kind="world", authors=20)).authors[:64]
        self.tokenizer = train_tokenizer([f"{row.question}\n{row.answer}" for row in rows], 512)
        encoder = PromptEncoder(self.tokenizer, PromptSettings())
        self.items: list[Encoded] = [encoder.encode(row.question, [row.answer]) for row in rows]

    def model(self, dtype: torch.dtype = torch.float32) -> Any:
        shape = TinyArchitecture(vocabulary=512, width=64, layers=2, heads=2, context=128)
        return build_model(shape, self.tokenizer, 0).to(dtype)

    def train(
        self, model: Any, name: str, settings: dict[str, Any], stop: int | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        class Stopped(FineTuning):
            def terms(self, indices: Any, step: int) -> Any:
                if step == stop:
                    raise KeyboardInterrupt
                return super().terms(indices, step)

        training = TrainSettings(batch_size=8, tokens_per_pass=1024, **settings)
        return train(model, Stopped(self.items), training, UsedSettings(optimizer=name), seed=0, label="test", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def weights(model: Any) -> Weights:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def moved(model: Any, start: Weights) -> torch.Tensor:
    return torch.cat([(weight - start[name]).float().flatten() for name, weight in weights(model).items()])


def test_200_steps_end_near_those_of_adamw(world: World) -> None:
    """Each loss within 5 %, and the weights within 15 % of the way that they went."""
    ends, losses = [], []
    for name in ("adamw", EIGHT_BIT):
        model = world.model()
        start = weights(model)
        log = world.train(model, name, {"learning_rate": 1e-3, "max_steps": 200, "epochs": 40})
        losses.append([entry["loss"] for entry in log])
        ends.append(moved(model, start))
    assert losses[0][-1] < 0.6 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert (ends[1] - ends[0]).norm() < 0.15 * ends[0].norm()


def test_moments_take_a_byte_and_those_of_small_weights_four() -> None:
    large, small = (torch.nn.Parameter(torch.ones(size)) for size in (4096, 4095))
    made = EightBitAdamW([{"params": [large, small]}], lr=0.1, eps=1e-8, seed=0)
    for weight in (large, small):
        weight.grad = torch.ones_like(weight)
    made.step()
    sizes = [{made.state[each][f"state{moment}"].element_size() for moment in (1, 2)} for each in (large, small)]
    assert sizes == [{1}, {4}]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lora", [None, LoraSettings(rank=64)], ids=["full", "adapters"])
def test_a_resumed_run_ends_with_the_same_bytes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, lora: LoraSettings | None
) -> None:
    monkeypatch.setenv("PALIMPSEST_CHECKPOINT_SECONDS", "0")
    settings = {"learning_rate": 1e-3, "max_steps": 8}
    undisturbed, first, resumed = (add_adapters(world.model(dtype), lora, 0) for _ in range(3))
    log = world.train(undisturbed, EIGHT_BIT, settings)
    with pytest.raises(KeyboardInterrupt):
        world.train(first, EIGHT_BIT, settings, stop=5, scratch=tmp_path)
    torch.manual_seed(7)
    assert world.train(resumed, EIGHT_BIT, settings, scratch=tmp_path) == log
    ended, expected = weights(resumed), weights(undisturbed)
    assert all(torch.equal(ended[name], expected[name]) for name in expected)


def test_updates_that_bf16_loses_are_kept_by_rounding_at_random(world: World) -> None:
    """How far the weights went along the way that fp32 weights go, as a share of it."""
    settings = {"learning_rate": 1e-5, "max_steps": 60, "epochs": 40, "warmup_epochs": 0, "schedule": "constant"}

    def way(name: str, dtype: torch.dtype) -> torch.Tensor:
        model = world.model(torch.bfloat16).to(dtype)
        start = weights(model)
        world.train(model, name, settings)
        return moved(model, start)

    exact = way("adamw", torch.float32)
    shares = [float(way(name, torch.bfloat16) @ exact / exact.norm() ** 2) for name in ("adamw", EIGHT_BIT)]
    assert shares[0] < 0.5
    assert shares[1] == pytest.approx(1, abs=0.05)


def test_rounding_at_random_keeps_the_mean_and_takes_a_neighbour() -> None:
    generator = torch.Generator().manual_seed(0)
    # Between two neighbours of bf16, 1 and 1 + 1/128, at a quarter of the way, and the same below zero.
    values = torch.tensor([1.0, 1 + 1 / 512, -1 - 1 / 512, 1 + 1 / 128, 0.0]).repeat_interleave(100_000)
    rounded = round_at_random(values, generator).float().view(5, -1)
    assert [sorted(row.unique().tolist()) for row in rounded] == [
        [1], [1, 1 + 1 / 128], [-1 - 1 / 128, -1], [1 + 1 / 128], [0]
    ]  # fmt: skip
    assert rounded.double().mean(1).tolist() == pytest.approx(values.view(5, -1)[:, 0].double().tolist(), abs=5e-5)


def test_what_is_drawn_depends_on_the_seed_and_the_step_alone() -> None:
    """So all processes of a job round alike."""

    def trained(seed: int, other: int) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(64, 64, dtype=torch.bfloat16))
        made = EightBitAdamW([{"params": [weight]}], lr=1e-3, eps=1e-8, seed=seed)
        steps = []
        for step in range(2):
            torch.manual_seed(other + step)
            weight.grad = torch.ones_like(weight)
            made.step()
            steps.append(weight.detach().clone())
        return torch.stack(steps)

    first = trained(0, 1)
    assert torch.equal(first, trained(0, 2)) and not torch.equal(first, trained(1, 1))
    assert not torch.equal(first[0] - 1, first[1] - first[0])


@pytest.mark.parametrize("parallel", ["fsdp", "offload"])
def test_sharded_weights_are_refused(parallel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = changed(("models", "tiny", "optimizer"), EIGHT_BIT)
    assert Study(config).subjects
    config["models"]["tiny"]["resources"] = {"gpu": 2, "parallel": parallel}
    with pytest.raises(UserError) as caught:
        Study(config)
    assert str(caught.value) == (
        "config: models: tiny: optimizer: adamw-8bit needs all weights in every process, but resources has "
        f"parallel: {parallel}; use ddp"
    )


def test_a_missing_package_is_one_line_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "find_spec", lambda name: None)
    optimizer.check_package("adamw")
    with pytest.raises(UserError) as caught:
        optimizer.check_package(EIGHT_BIT)
    assert str(caught.value) == ("optimizer: adamw-8bit needs the package bitsandbytes: pip install -e '.[adamw-8bit]'")


def test_a_stage_says_nothing_of_what_the_package_lacks_on_this_cpu() -> None:
    pytest.importorskip("bitsandbytes")
    imports = "from palimpsest.contract.job import set_up_logging; set_up_logging(); import peft, bitsandbytes"
    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True)
    assert done.stderr == ""
