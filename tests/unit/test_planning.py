"""A plan's terms against closed forms, a real model's size, and the page that shows them."""

import json
import runpy
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest
import yaml
from pinned import read_pinned

from palimpsest.benchmarks.muse.suite_settings import RECITED
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import GPU_TOKENS
from palimpsest.models.settings import EIGHT_BIT, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.planning import (
    CACHED_TOKENS,
    GB,
    SIZES,
    Assumptions,
    Memory,
    Plan,
    Row,
    Size,
    Work,
    activation_bytes,
    adapter_parameters,
    cache_bytes,
    format_plan,
    train_operations,
    training_bytes,
    training_memory,
    weight_bytes,
)
from palimpsest.provenance.manifest import build_manifest, write_manifest
from palimpsest.study.files import read_configs
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts, Node
from palimpsest.study.study import Study
from palimpsest.training.settings import LoraSettings

ROOT = Path(__file__).resolve().parents[2]
LLAMA = SIZES["llama27b"]


def study(name: str) -> Study:
    return Study(read_configs([ROOT / "config" / "studies" / f"{name}.yaml"]))


def rows(name: str, **options: Any) -> dict[tuple[str, str], Row]:
    return {(row.stage, row.holds): row for row in Plan(study(name), **options).rows()}


def test_training_llama_2_in_full_is_16_bytes_a_parameter() -> None:
    assert training_bytes(LLAMA, "bf16-mixed", LLAMA.parameters) / GB == pytest.approx(107.8, abs=0.1)
    assert training_bytes(LLAMA, "fp32", LLAMA.parameters) == 16 * LLAMA.parameters
    assert training_bytes(LLAMA, "bf16", LLAMA.parameters) == 8 * LLAMA.parameters


def test_adapters_on_all_linear_layers_of_llama_2() -> None:
    # peft says 19,988,480 trainable parameters for rank 8 on the seven linear layers of Llama-2-7B.
    few, one = LoraSettings(rank=8, layers=[0, 5, 6]), LoraSettings(rank=8, layers=[31])
    assert adapter_parameters(LLAMA, few) == 3 * adapter_parameters(LLAMA, one)
    assert 32 * adapter_parameters(LLAMA, one) == adapter_parameters(LLAMA, LoraSettings(rank=8))
    assert adapter_parameters(LLAMA, LoraSettings(rank=8)) == pytest.approx(19_988_480, rel=0.01)


def test_a_study_of_adapters_keeps_its_base_and_the_adapters_in_fp32() -> None:
    # Originals, Retrains and halves of five seeds, reinforced models, and the unlearned models without the trials of the grids.
    kept, adapter = 15 + 5 + 95, 4 * adapter_parameters(LLAMA, LoraSettings(rank=8))
    assert Plan(study("tofu-forget05-llama2-lora")).disk(1).end == pytest.approx(2 * LLAMA.parameters + kept * adapter)


def test_8_bit_moments_take_a_byte_and_a_64th() -> None:
    for precision, rest in (("fp32", 8), ("bf16-mixed", 8), ("bf16", 4)):
        assert training_bytes(LLAMA, precision, LLAMA.parameters, EIGHT_BIT) == (rest + 2 + 1 / 32) * LLAMA.parameters


ONE, EIGHT = "meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.1-8B"
# 12 bytes per token of a pass and token of the vocabulary: logits and gradients.
LOGITS = 12 * 2048 * 128256
# Hidden states between layers in 16 bits, and 34 bytes in one layer, per token and width.
STATES = {ONE: (16 * 2 + 34) * 2048 * 2048, EIGHT: (32 * 2 + 34) * 2048 * 4096}


@pytest.mark.parametrize(
    ("name", "settings", "training", "frozen", "gpu"),
    [
        # Weights, gradients and moments of 1,235,814,400 parameters; the frozen model is in 16 bits.
        (ONE, {"precision": "bf16-mixed"}, 1_235_814_400 * 16 + LOGITS + STATES[ONE], 2 * 1_235_814_400, 40),
        (
            ONE,
            {"precision": "bf16-mixed", "optimizer": EIGHT_BIT},
            1_235_814_400 * (4 + 4 + 2 + 1 / 32) + LOGITS + STATES[ONE],
            2 * 1_235_814_400,
            24,
        ),
        # Adapters of four layers of 4096 x 4096 and three of 4096 x 2.7 x 4096, in fp32; without them it is the frozen model.
        (
            EIGHT,
            {"precision": "bf16", "lora": {"rank": 8}},
            8_030_261_248 * 2 + 32 * 8 * 4096 * (4 * 2 + 3 * 3.7) * 16 + LOGITS + STATES[EIGHT],
            0,
            24,
        ),
        # Rounding needs the embedding twice in 32 bits, when logits and states are gone.
        (
            EIGHT,
            {"precision": "bf16", "optimizer": EIGHT_BIT},
            8_030_261_248 * (2 + 2 + 2 + 1 / 32) + 8 * 128256 * 4096,
            2 * 8_030_261_248,
            80,
        ),
    ],
    ids=["1B", "1B, 8-bit moments", "8B, adapters", "8B, 8-bit moments"],
)
def test_what_one_gpu_holds_of_llama_3(name: str, settings: dict[str, Any], training: float, frozen: float, gpu: int) -> None:
    config = read_configs([ROOT / "config" / "studies" / "tofu-forget05-llama2.yaml"])
    model = config["models"]["llama2-7b-chat"]
    config["models"]["llama2-7b-chat"] = model | {"name": name, "gradient_checkpointing": True} | settings
    planned = {(row.stage, row.holds): row for row in Plan(Study(config)).rows()}
    plain, *rest = (row for (stage, _), row in planned.items() if stage == "unlearn")
    assert plain.memory.on(1) == pytest.approx(training)
    assert max(row.memory.on(1) for row in rest) == pytest.approx(training + frozen, rel=0.05)
    sizes = (12, 24, 40, 80)
    assert max(next(size for size in sizes if row.gpus(size) == 1) for row in planned.values()) == gpu
    # 8-bit moments are not sharded, so no number of smaller GPUs is enough.
    assert EIGHT_BIT not in settings.values() or plain.gpus(gpu / 2) == 0


def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer() -> None:
    size = Size(1e9, layers=10, width=100, vocabulary=0)
    assert activation_bytes(size, "bf16", 7, checkpointing=True) == 10 * 7 * 100 * 2 + 34 * 7 * 100
    assert activation_bytes(size, "bf16", 7, checkpointing=False) == 10 * 34 * 7 * 100


def test_training_is_six_operations_a_parameter_and_token() -> None:
    assert train_operations(LLAMA, UsedSettings(), 1000) == 6000 * LLAMA.parameters
    assert train_operations(LLAMA, UsedSettings(gradient_checkpointing=True), 1000) == 8000 * LLAMA.parameters
    hours = Work(operations=3600e12 * 2).hours(Assumptions(teraflops=4, utilisation=0.5, start=0))
    assert hours == pytest.approx(1)


def test_a_tiny_model_is_as_large_as_the_plan_says() -> None:
    tokenizer = train_tokenizer([" ".join(first + second for first in ascii_letters for second in ascii_letters)], 400)
    shape = {"vocabulary": len(tokenizer), "width": 40, "layers": 3, "heads": 2}
    config = read_configs([ROOT / "config.yaml"])
    config["models"]["tiny"]["architecture"] = shape
    real = build_model(TinyArchitecture.model_validate(shape), tokenizer, 0)
    assert Plan(Study(config)).size("tiny").parameters == sum(parameter.numel() for parameter in real.parameters())


def test_a_shape_is_guessed_from_the_number_of_parameters() -> None:
    guessed = Size.guess(LLAMA.parameters)
    assert (guessed.layers, guessed.width) == (LLAMA.layers, LLAMA.width)


def test_fsdp_shares_what_is_trained_and_not_what_is_frozen() -> None:
    row = Row("unlearn", "training", 1, 1.0, Memory(shared=108 * GB, each=29 * GB))
    assert [row.gpus(size) for size in (141, 80, 32, 24)] == [1, 4, 32, 0]


def test_offloaded_shards_take_no_memory_of_the_gpu_but_it_loads_all_weights_first() -> None:
    offloaded = rows("tofu-forget05-llama2")["unlearn", "training"].memory.offloaded()
    assert offloaded == pytest.approx(4 * LLAMA.parameters)


def test_a_training_in_progress_keeps_two_checkpoints_while_it_writes_one() -> None:
    """Weights and two moments in fp32."""
    of = study("tofu-forget05-llama2")
    assert rows("tofu-forget05-llama2")["unlearn", "training"].memory.checkpoint == pytest.approx(12 * LLAMA.parameters)
    ends = [Plan(of).disk(gpus, "all") for gpus in (1, 8)]
    # On one GPU the last training ends with its checkpoints; 8 train at once.
    assert ends[0].end == ends[1].end <= ends[0].peak - 4 * LLAMA.parameters
    assert ends[1].peak - ends[0].peak == pytest.approx(7 * 24 * LLAMA.parameters, rel=0.2)


@pytest.mark.parametrize("name", ["tofu-forget05-llama2-lora", "tofu-forget10-llama31-8b", "muse-news", "wmdp-cyber"])
def test_the_disk_of_a_study_with_other_methods_and_kinds_of_data(name: str, tmp_path: Path) -> None:
    """With adapters, RKLD reads the original as its start and below the reinforced adapters."""
    pinned = tmp_path / "pinned.yaml"
    pinned.write_text(yaml.safe_dump(read_pinned(ROOT / f"config/studies/{name}.yaml")), encoding="utf-8")
    disk = Plan(Study(read_configs([pinned]))).disk(2, "results")
    assert 0 <= disk.end < disk.peak


def test_the_suite_depth_loads_original_and_retrain_too() -> None:
    config = read_configs([ROOT / "config/studies/tofu-forget05-llama2.yaml"])
    (block, *_) = config["blocks"]
    block |= {"suites": ["tofu", "depth"], "methods": ["npo"]}
    config["blocks"] = [block]
    of = Study(config)
    assert Plan(of).disk(2).end > 0
    plain, depth = (
        Plan(of)._row(next(node for node in Artefacts(of).of("evaluate") if node.name == name)) for name in block["suites"]
    )
    assert depth.memory.each > 2.5 * LLAMA.parameters * 2 and plain.memory.each < 2.5 * LLAMA.parameters * 2


def test_a_checkpoint_has_no_frozen_weights() -> None:
    lora = LoraSettings(rank=8)
    adapters = training_memory(LLAMA, UsedSettings(precision="bf16", lora=lora), 2048)
    assert adapters.checkpoint == pytest.approx(12 * adapter_parameters(LLAMA, lora))
    assert adapters.frozen == weight_bytes(LLAMA, "bf16")
    partly = training_memory(LLAMA, UsedSettings(), 2048, partly=True)
    assert partly.checkpoint == pytest.approx(12 * 0.75 * LLAMA.parameters / LLAMA.layers)
    assert partly.checkpoint + partly.frozen < training_memory(LLAMA, UsedSettings(), 2048).checkpoint


def test_the_disk_of_a_study_by_hand() -> None:
    """Models of 4 bytes a parameter, but the base, which others made, of 2; a training has 24 of checkpoints."""
    of = study("tofu-forget05-llama2")
    artefacts, size = Artefacts(of), LLAMA.parameters
    seeds, attacked = 5, 2
    # Every variant leaves a model but the trials of the grids; the reference and the attacks leave none.
    variants = sum(of.training(node.of).model for node in artefacts.of("unlearn"))
    assert Plan(of).disk(1, "all").end == pytest.approx((2 + 4 * (len(artefacts.of("finetune")) + variants)) * size)
    assert Plan(of).disk(1, "attacked").end == pytest.approx(4 * seeds * (2 + attacked) * size)
    # At the peak: the base, two of original, half and Retrain, and a training with the model that it leaves.
    assert Plan(of).disk(1, "results") == (pytest.approx((2 + 2 * 4 + 4 + 24) * size), 0)
    assert Plan(of).disk(1) == Plan(of).disk(1, "attacked")


def test_every_job_with_a_model_is_planned_once() -> None:
    planned = rows("tofu-forget05-llama2")
    measured = Artefacts(study("tofu-forget05-llama2")).measured()
    for stage in {node.stage for node in measured}:
        assert sum(row.jobs for row in planned.values() if row.stage == stage) == sum(node.stage == stage for node in measured)


def test_what_one_gpu_of_80_gb_does_not_hold() -> None:
    planned = rows("tofu-forget05-llama2")
    assert {row.stage for row in planned.values() if row.gpus(80) > 1} == {"finetune", "unlearn", "attack"}
    assert all(row.gpus(80) == 1 for row in rows("tofu-forget05-llama2-lora").values())


def test_frozen_models_cost_their_weights() -> None:
    planned = rows("tofu-forget05-llama2")
    plain, kl = planned["unlearn", "training"], planned["unlearn", "training, 1 frozen"]
    assert kl.memory.on(1) - plain.memory.on(1) == pytest.approx(2 * LLAMA.parameters)


def test_generation_caches_half_a_megabyte_per_token_of_llama_2_7b() -> None:
    assert CACHED_TOKENS == GPU_TOKENS
    evaluated = rows("tofu-forget05-llama2")["evaluate", "weights"]
    assert evaluated.memory.on(1) == pytest.approx(2 * LLAMA.parameters + 2**15 * 2**19)


def test_a_watched_training_holds_the_whole_model_on_every_gpu_between_its_epochs() -> None:
    watched = rows("tofu-forget05-llama2")["unlearn", "training, 1 frozen, watched"].memory
    cache, size = 2**15 * 2**19, LLAMA.parameters
    # Weights and two moments; a frozen model and the gathered weights, both in 16 bits.
    assert watched.on(8) == pytest.approx(12 * size / 8 + 4 * size + cache)
    assert watched.offloaded() == pytest.approx(4 * size + cache)
    # On one GPU, gradients and activations need more.
    assert watched.on(1) >= 12 * size + 4 * size + cache


def test_an_attack_on_a_corpus_runs_the_suite_before_it_and_after_every_epoch() -> None:
    def hours(tokens: int) -> float:
        config = read_configs([ROOT / "config.yaml", ROOT / "config" / "studies" / "muse-books.yaml"])
        config["suites"]["muse"]["verbatim_tokens"] = tokens
        config["blocks"] = [config["blocks"][0] | {"methods": ["npo"], "attacks": ["relearn-shortest"]}]
        (row,) = (row for row in Plan(Study(config)).rows() if row.stage == "attack")
        # Keys and values of a batch that is generated between two epochs.
        assert row.jobs == 2 and row.memory.between and row.memory.between.each == cache_bytes(LLAMA, "bf16")
        return row.hours / row.jobs

    more = 100 * 4 * RECITED / Assumptions().generated / 3600
    assert hours(200) - hours(100) == pytest.approx(more)


def test_an_attack_that_learns_the_retain_set_is_longer_than_one_that_learns_the_forget_set() -> None:
    def hours(attack: str) -> float:
        config = read_configs([ROOT / "config.yaml"])
        settings = config["attacks"]["benign-retain"] | {"fraction": 0.2}
        config["attacks"] |= {"benign-retain": settings, "forget": settings | {"data": "forget"}}
        config["blocks"] = [config["blocks"][0] | {"methods": ["npo"], "attacks": [attack]}]
        (row,) = (row for row in Plan(Study(config)).rows() if row.stage == "attack")
        return row.hours / row.jobs

    assert hours("benign-retain") > hours("forget")


def test_a_model_of_unknown_size_wants_a_number() -> None:
    config = read_configs([ROOT / "config" / "studies" / "tofu-forget05-llama2.yaml"])
    config["models"]["llama2-7b-chat"]["name"] = "someone/else"
    with pytest.raises(UserError, match=r"the size of someone/else is not known here: give --parameters"):
        Plan(Study(config)).rows()
    assert Plan(Study(config), parameters=7e9).rows()


def test_finished_jobs_correct_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's finished jobs scale its other jobs. All finished jobs together scale the rows without a finished job."""
    monkeypatch.chdir(tmp_path)
    of = study("tofu-forget05-llama2")
    before = {(row.stage, row.holds): row for row in Plan(of).rows()}
    assert "measured" not in format_plan(Plan(of), 8, (80.0,))

    def finish(node: Node, times: float, device: str = "NVIDIA H100", peak: float = 60.0) -> None:
        folder = Path(of.path(node.path)).parent
        folder.mkdir(parents=True)
        seconds = times * Plan(of)._row(node).hours * 3600 / 2
        measured = {"device": device, "seconds": seconds, "processes": 2, "peak_gpu_memory_gb": peak}
        (folder / "environment.json").write_text(json.dumps(measured))
        spec = json.loads(spec_of(of, node))
        write_manifest(folder, build_manifest(folder, stage=node.stage, spec=spec, code="", inputs={}))

    first, second, *_ = Artefacts(of).of("reference")
    finish(first, 3)
    finish(second, 3, peak=70.0)
    on_cpu, attack, *_ = Artefacts(of).of("attack")
    finish(on_cpu, 100, device="cpu")
    after = {(row.stage, row.holds): row for row in Plan(of).rows()}
    assert all(after[key].hours == pytest.approx(3 * before[key].hours) for key in before)
    table = format_plan(Plan(of), 8, (80.0,))
    assert "| 2, 75.2 |" in table and "2 jobs are finished; " in table

    finish(attack, 1)
    again = {(row.stage, row.holds): row for row in Plan(of).rows()}
    # An interrupted job, and a finished one with other settings, tell nothing of the jobs to come.
    _, _, third, fourth, *_ = Artefacts(of).of("reference")
    finish(third, 100)
    Path(of.path(third.path)).unlink()
    finish(fourth, 100)
    other = Path(of.path(fourth.path)).parent
    write_manifest(other, build_manifest(other, stage="reference", spec={}, code="", inputs={}))
    assert {(row.stage, row.holds): row for row in Plan(of).rows()} == again
    assert again["attack", "training"].hours == pytest.approx(before["attack", "training"].hours)
    assert again["reference", "weights"].hours == pytest.approx(after["reference", "weights"].hours)


def test_alternatives_are_planned_by_their_number() -> None:
    config = read_configs([ROOT / "config" / "studies" / "tofu-forget05-llama2.yaml"])
    config["blocks"] = [{**config["blocks"][0], "methods": ["altpo"]}]

    def hours(number: int) -> tuple[float, ...]:
        plan = Plan(Study(config | {"alternatives": {"tofu/*/*": {"number": number}}}))
        started = plan._assumed.start / 3600
        rows = {row.stage: row for row in plan.rows()}
        return tuple(rows[stage].hours / rows[stage].jobs - started for stage in ("alternatives", "reference"))

    (few, scored_few), (many, scored_many) = hours(2), hours(8)
    assert many == pytest.approx(4 * few) and scored_many == pytest.approx(3 * scored_few)


def test_sharpness_and_projection_keep_gradients_and_sharpness_takes_a_pass_more() -> None:
    def planned(**settings: Any) -> Row:
        config = read_configs([ROOT / "config" / "studies" / "tofu-forget05-llama2.yaml"])
        config["blocks"] = [{**config["blocks"][0], "methods": ["graddiff"]}]
        config["methods"]["tofu/*/*/graddiff"] = {"retain_loss": "ce", **settings}
        (row,) = (row for row in Plan(Study(config), assumed=Assumptions(start=0)).rows() if row.stage == "unlearn")
        return row

    plain, sharp, projected = planned(), planned(sharpness=0.01), planned(gradients="projected")
    size = LLAMA.parameters
    assert projected.memory.on(1) - plain.memory.on(1) == pytest.approx(2 * 4 * size)
    assert sharp.memory.on(1) - plain.memory.on(1) == pytest.approx(3 * 4 * size)
    assert sharp.memory.checkpoint == plain.memory.checkpoint
    assert projected.hours == pytest.approx(plain.hours) and sharp.hours == pytest.approx(1.5 * plain.hours)


def test_the_base_of_a_tiny_model_is_trained_in_every_epoch() -> None:
    def hours(epochs: int) -> float:
        config = read_configs([ROOT / "config.yaml"])
        config["models"]["tiny"]["base_training"] = config["models"]["tiny"]["base_training"] | {"epochs": epochs}
        return next(row.hours for row in Plan(Study(config), assumed=Assumptions(start=0)).rows() if row.stage == "base")

    assert hours(6) == pytest.approx(3 * hours(2))


def test_the_page_shows_the_plans_as_they_are() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "plan.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["rewritten"](page) == page, "python scripts/plan.py"
