"""Speed against the usual way and against a bare loop, in one run; both sides alternate, and their results are compared.

    python scripts/benchmark.py [scoring|suite|training|references|chains|start|plan ...] [--model DIR --data DIR] [--repeats 3]

The usual way, as in common frameworks: an answer is a sequence of its own, batches of 32 in file order are padded to their
longest sequence, every position has logits, the cross-entropy is computed twice (by the model and for each answer), and texts are
generated in batches of 32 by `generate`. The bare loop: items sorted by length, no padding beyond the batch, logits only where
there are labels, and nothing else that a training needs. Times are CPU seconds, the median of the repetitions.

DIR is the folder of a model and of a split (results/tofu/tiny/forget10/seed0/original/model, results/tofu/splits/forget10); by
default a random model and a fictional world.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rouge_score.rouge_scorer import RougeScorer
from torch import nn
from torch.nn import functional as F
from transformers.activations import NewGELUActivation

from palimpsest.arguments import Parser, filled_path, refuse, whole
from palimpsest.benchmarks.markov.data import draw
from palimpsest.benchmarks.markov.models import ChainTraining, encode
from palimpsest.benchmarks.markov.models import build_model as build_chain_model
from palimpsest.benchmarks.markov.settings import ChainModel, ChainSettings
from palimpsest.benchmarks.tofu.sources.world import WorldSource
from palimpsest.benchmarks.tofu.suite import evaluate_tofu
from palimpsest.benchmarks.tofu.suite_settings import TofuSuite
from palimpsest.benchmarks.tofu.world import make_dataset
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Question, read_rows
from palimpsest.errors import UserError
from palimpsest.methods import make_method
from palimpsest.methods.problem import Unlearning
from palimpsest.models.loading import load_model, load_tokenizer
from palimpsest.models.scoring import TOKENS_PER_PASS, score
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.references import compute_references
from palimpsest.training.settings import TrainSettings, UnlearnSettings
from palimpsest.warm import NO, WARM

ROOT = Path(__file__).resolve().parents[1]
BATCH, NEW_TOKENS = 32, 128
CHAINS, STEPS = 128, 4
# Answers of each set in an optimiser step, and epochs with the reference stage.
ROWS, EPOCHS = 16, 10
METHODS = ("simnpo", "npo", "graddiff")
# The reference NLL of every answer, for NPO.
REFERENCE = 50.0


class Case(NamedTuple):
    """What both ways work on."""

    model: Any
    tokenizer: Any
    rows: list[Question]
    repeats: int

    @property
    def encoder(self) -> PromptEncoder:
        """The encoder of prompts."""
        return PromptEncoder(self.tokenizer, PromptSettings())

    def everything(self) -> list[Encoded]:
        """Return each question with all of its answers."""
        answers = [[row.answer, row.paraphrased_answer or "", *(row.perturbed_answers or ())] for row in self.rows]
        return [self.encoder.encode(row.question, given) for row, given in zip(self.rows, answers, strict=True)]

    def halves(self) -> tuple[list[Encoded], list[Encoded]]:
        """Return a forget set and a retain set, each question with its answer."""
        single = [self.encoder.encode(row.question, [row.answer]) for row in self.rows]
        return single[: len(single) // 2], single[len(single) // 2 :]


class Compared(NamedTuple):
    """A line of the table."""

    what: str
    baseline: str
    theirs: float
    ours: float
    agreement: str = ""


def alternate(theirs: Callable[[], object], ours: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median CPU seconds of both, which alternate after one run of each to warm up."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for repeat in range(-1, repeats):
        for side, work in enumerate((theirs, ours)):
            started = time.process_time()
            work()
            if repeat >= 0:
                times[side].append(time.process_time() - started)
    return statistics.median(times[0]), statistics.median(times[1])


# The usual way.


def padded(items: Sequence[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, mask and labels of (prompt, answer) pairs, padded on the right."""
    width = max(len(prompt) + len(answer) for prompt, answer in items)
    ids = torch.zeros(len(items), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(items):
        length = len(prompt) + len(answer)
        ids[row, :length] = torch.tensor(prompt + answer)
        mask[row, :length] = 1
        labels[row, len(prompt) : length] = torch.tensor(answer)
    return ids, mask, labels


def usual_nll(model: nn.Module, items: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Return the summed NLL of each answer; the model, which is given the labels, computes its own loss too."""
    ids, mask, labels = padded(items)
    logits = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).logits
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
    return losses.sum(-1)


@torch.no_grad()
def usual_scores(model: nn.Module, items: Sequence[Encoded]) -> list[float]:
    """Return the summed NLL of every answer."""
    pairs = [(item.prompt, answer) for item in items for answer in item.answers]
    return [value for at in range(0, len(pairs), BATCH) for value in usual_nll(model, pairs[at : at + BATCH]).tolist()]


@torch.no_grad()
def usual_suite(case: Case) -> list[str]:
    """Score all answers, generate a text for each question, and compute ROUGE; return the texts."""
    usual_scores(case.model, case.everything())
    prompts, pad, said = [case.encoder.prompt(row.question) for row in case.rows], case.tokenizer.pad_token_id, []
    for at in range(0, len(prompts), BATCH):
        batch = prompts[at : at + BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in batch])
        tokens = {"eos_token_id": case.tokenizer.eos_token_id, "pad_token_id": pad, "max_new_tokens": NEW_TOKENS}
        out = case.model.generate(input_ids=ids, attention_mask=mask, do_sample=False, **tokens)
        said += [text.strip() for text in case.tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    for text, row in zip(said, case.rows, strict=True):
        scorer.score(row.answer, text)
    return said


# The bare loop.


def bare_nll(model: Any, items: Sequence[Encoded]) -> torch.Tensor:
    """Return the summed NLL of each answer, with logits only where there are labels."""
    ids, mask, labels = padded([(item.prompt, item.answers[0]) for item in items])
    rows, places = (labels[:, 1:] != -100).nonzero(as_tuple=True)
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    losses = F.cross_entropy(model.lm_head(hidden[rows, places]), labels[rows, places + 1], reduction="none")
    return torch.zeros(len(items)).index_add(0, rows, losses)


def bare_passes(items: Sequence[Encoded]) -> Iterator[list[int]]:
    """Yield the positions of the items of each pass, sorted by length, as many as fit into the tokens of a pass."""
    lengths = [len(item.prompt) + len(item.answers[0]) for item in items]
    order, batch = sorted(range(len(items)), key=lambda i: lengths[i]), []
    for index in order:
        if batch and lengths[index] * (len(batch) + 1) > TOKENS_PER_PASS:
            yield batch
            batch = []
        batch.append(index)
    yield batch


def bare_loss(method: str, nll: torch.Tensor, tokens: torch.Tensor, mean_tokens: float, settings: Any) -> torch.Tensor:
    """Return the forget loss of each answer."""
    if method == "graddiff":
        return -nll / mean_tokens
    beta = settings.beta
    if method == "npo":
        return -2 / beta * F.logsigmoid(beta * (nll - REFERENCE))
    return -2 / beta * F.logsigmoid(beta * nll / tokens - settings.gamma)


def bare_steps(model: Any, method: str, forget: Sequence[Encoded], retain: Sequence[Encoded], steps: int) -> list[float]:
    """Train on random items; return the losses."""
    optimizer, settings, told = torch.optim.AdamW(model.parameters(), lr=1e-5), make_method(method, {}), []
    for step in range(steps):
        random.seed(step)
        total = 0.0
        for items, is_forget in ((forget, True), (retain, False)):
            part = random.sample(list(items), ROWS)
            mean_tokens = sum(len(item.answers[0]) for item in part) / ROWS
            for indices in bare_passes(part):
                batch = [part[index] for index in indices]
                nll, tokens = bare_nll(model, batch), torch.tensor([float(len(item.answers[0])) for item in batch])
                losses = bare_loss(method, nll, tokens, mean_tokens, settings) if is_forget else nll / mean_tokens
                loss = losses.sum() / ROWS
                loss.backward()
                total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        told.append(total)
    return told


# The comparisons.


def scoring(case: Case) -> Iterator[Compared]:
    """Score the answers of a TOFU suite."""
    items = case.everything()
    ours = [value for scores in score(case.model, items, TOKENS_PER_PASS) for value in scores.nll]
    apart = max(abs(a - b) for a, b in zip(ours, usual_scores(case.model, items), strict=True))
    times = alternate(
        lambda: usual_scores(case.model, items), lambda: list(score(case.model, items, TOKENS_PER_PASS)), case.repeats
    )
    yield Compared(f"scoring {len(ours)} answers", "the usual way", *times, f"largest difference {apart:.0e} nats")


def suite(case: Case) -> Iterator[Compared]:
    """Run a whole TOFU suite: scores, generation, ROUGE."""
    settings = TofuSuite(kind="tofu", max_new_tokens=NEW_TOKENS)

    def ours() -> list[str]:
        rows = evaluate_tofu(case.model, case.tokenizer, PromptSettings(), {"retain": case.rows}, settings)
        return [row["generation"] for row in rows]

    same = sum(a == b for a, b in zip(ours(), usual_suite(case), strict=True))
    times = alternate(lambda: usual_suite(case), ours, case.repeats)
    yield Compared(f"the suite for {len(case.rows)} questions", "the usual way", *times, f"{same} texts equal")


def problem(case: Case, method: str, steps: int) -> Unlearning:
    """Return the problem of a method, with as many items as the steps need."""
    forget, retain = case.halves()
    settings = UnlearnSettings(learning_rate=1e-5, epochs=1, batch_size=ROWS, tokens_per_pass=TOKENS_PER_PASS)
    repeated = (forget * (steps * ROWS // len(forget) + 1))[: ROWS * steps]
    references = [REFERENCE] * len(repeated)
    return Unlearning(make_method(method, {}), settings, forget=repeated, retain=retain, references=references, seed=0)


def trained(case: Case, method: str, steps: int) -> Callable[[], object]:
    """Return the real training."""
    of = problem(case, method, steps)
    return lambda: train(case.model, of, of.settings, UsedSettings(), seed=0, label=method)


def training(case: Case) -> Iterator[Compared]:
    """Take optimiser steps."""
    forget, retain = case.halves()
    for method in METHODS:
        apart = _loss_difference(case, method)
        times = alternate(
            lambda m=method: bare_steps(case.model, m, forget, retain, STEPS), trained(case, method, STEPS), case.repeats
        )
        yield Compared(f"{STEPS} steps of {method}", "a bare loop", *times, f"largest difference {apart:.0e} in a loss")


def _loss_difference(case: Case, method: str) -> float:
    """Return the largest difference between the losses of the bare loop and of the real loop on the same items."""
    forget, _ = case.halves()
    items, of = forget[:ROWS], problem(case, method, 1)
    mean_tokens = sum(len(item.answers[0]) for item in items) / ROWS
    tokens = torch.tensor([float(len(item.answers[0])) for item in items])
    with torch.no_grad():
        theirs = bare_loss(method, bare_nll(case.model, items), tokens, mean_tokens, make_method(method, {})).mean()
    weights = {name: value.clone() for name, value in case.model.state_dict().items()}
    of.forget = items
    log = train(case.model, of, of.settings, UsedSettings(), seed=0, label=method)
    case.model.load_state_dict(weights)
    return abs(float(theirs) - log[0]["forget_loss"])


def references(case: Case) -> Iterator[Compared]:
    """Compare NPO, with the stage that computes its reference log-probabilities, with SimNPO, which needs none."""
    forget, _ = case.halves()
    steps = EPOCHS * (len(forget) // ROWS)
    names = [str(number) for number in range(len(forget))]
    npo = trained(case, "npo", steps)

    def both() -> None:
        compute_references(case.model, names, forget, [[]] * len(forget), TOKENS_PER_PASS)
        npo()

    times = alternate(trained(case, "simnpo", steps), both, case.repeats)
    yield Compared(f"NPO and its references, {EPOCHS} epochs", "SimNPO", *times)


def chains(case: Case) -> Iterator[Compared]:
    """Train on Markov chains, where one in four sequences is short."""
    drawn = draw(ChainSettings(), seed=0)
    lengths = {"retain": 20, "forget1": 20, "forget2": 5}
    everything = [item for chain, length in lengths.items() for item in encode(drawn[chain].train[:, :length])]
    items = random.Random(0).sample(everything, STEPS * CHAINS)
    usual, model = (build_chain_model(ChainModel(kind="chain", architecture="gpt2"), 20, seed=0) for _ in range(2))
    for block in usual.transformer.h:
        block.mlp.act = NewGELUActivation()

    def theirs() -> None:
        optimizer = torch.optim.AdamW(usual.parameters(), lr=5e-4)
        for step in range(STEPS):
            batch = items[step * CHAINS : (step + 1) * CHAINS]
            nll = usual_nll(usual, [(item.prompt, item.answers[0]) for item in batch])
            (nll.sum() / sum(len(item.answers[0]) for item in batch)).backward()
            optimizer.step()
            optimizer.zero_grad()

    settings = TrainSettings(learning_rate=5e-4, epochs=1, batch_size=CHAINS, tokens_per_pass=2560)
    times = alternate(
        theirs, lambda: train(model, ChainTraining(items), settings, UsedSettings(), seed=0, label="chains"), case.repeats
    )
    yield Compared(f"{STEPS} steps of {CHAINS} chains", "padded, GPT-2 unchanged", *times)


def start(case: Case) -> Iterator[Compared]:
    """Run the smallest study with a Python for each job, and with forks of the warm process; once, for it takes minutes."""
    spent = {}
    for name in ("plain", "warm"):
        env = {key: value for key, value in os.environ.items() if key != WARM} | ({WARM: NO} if name == "plain" else {})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as folder:
            configs = ["--configfile", str(ROOT / "config" / "test" / "tiny.yaml")]
            there = ["--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
            command = [sys.executable, "-m", "snakemake", "--cores", "1", *there, *configs]
            ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if ran.returncode:
            sys.exit(ran.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent[name] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    yield Compared("a tiny study", "a Python per job", spent["plain"], spent["warm"])


def plan(case: Case) -> Iterator[Compared]:
    """Plan ten thousand jobs, once."""
    bare, ours = runpy.run_path(str(ROOT / "scripts" / "scale.py"))["plan_both"]().values()
    yield Compared(f"a dry run of {ours[0]} jobs", "a bare Snakefile", bare[2], ours[2])


PARTS = {part.__name__: part for part in (scoring, suite, training, references, chains, start, plan)}


def main() -> None:
    """Run the comparisons and print the table."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--model", type=filled_path, metavar="DIR")
    parser.add_argument("--data", type=filled_path, metavar="DIR")
    for name, default, least in (("width", 256, 8), ("layers", 4, 1), ("items", 100, 2 * ROWS), ("repeats", 3, 1)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    args = parser.parse_args()
    if wrong := [part for part in args.parts if part not in PARTS]:
        parser.error(f"{wrong[0]!r}: allowed are {', '.join(PARTS)}")
    if args.width % 8:
        parser.error(f"argument --width: {args.width}: must be a multiple of 8")
    try:
        case = make_case(args)
    except (UserError, OSError) as error:
        sys.exit(refuse(parser.prog, error))
    # Warm-ups that are longer than these few steps.
    logging.disable(logging.WARNING)
    size = sum(parameter.numel() for parameter in case.model.parameters()) / 1e6
    print(f"{size:.1f} M parameters, {torch.get_num_threads()} thread(s), {case.repeats} repetitions, CPU seconds\n")
    print(f"{'':36s} {'compared with':24s} {'theirs':>8s} {'ours':>8s} {'theirs/ours':>12s} {'ours/theirs':>12s}")
    for part in args.parts or PARTS:
        for row in PARTS[part](case):
            ratios = f"{row.theirs / row.ours:12.2f} {row.ours / row.theirs:12.2f}"
            print(f"{row.what:36s} {row.baseline:24s} {row.theirs:8.2f} {row.ours:8.2f} {ratios}  {row.agreement}", flush=True)


def make_case(args: argparse.Namespace) -> Case:
    """Return the model and the questions; raises UserError for too few questions."""
    given = read_rows(args.data / "forget.jsonl", Question) if args.data else make_dataset(WorldSource(kind="world")).authors
    rows = [row for row in given if row.perturbed_answers][: args.items]
    if len(rows) < 2 * ROWS:
        raise UserError(f"{args.data}: {len(rows)} questions, but {2 * ROWS} are needed")
    if args.model:
        return Case(load_model(args.model, UsedSettings()), load_tokenizer(args.model), rows, args.repeats)
    texts = [text for row in rows for text in (row.question, row.answer, *(row.perturbed_answers or ()))]
    tokenizer = train_tokenizer(texts, 2048)
    architecture = TinyArchitecture(vocabulary=2048, width=args.width, layers=args.layers, heads=4)
    return Case(build_model(architecture, tokenizer, 0).eval(), tokenizer, rows, args.repeats)


if __name__ == "__main__":
    main()
