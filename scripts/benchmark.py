"""Speed of scoring, generation, unlearning steps and training on Markov chains, each against a straightforward implementation.

    python scripts/benchmark.py [--data DIR] [--width 256] [--layers 6] [--items 100] [--repeats 3]

DIR is the folder of a split artefact (results/tofu/splits/forget10); by default a fictional world is generated. Straightforward
scoring, as in common evaluation code, has one sequence per answer, padded batches of 32 in file order, and logits at every
position. Straightforward generation has batches of 32 in file order and transformers' own loop. A straightforward step also has
padded batches, full logits and the same losses; a bare one has short padded batches of similar length, without a mask, and logits
at labels alone. All figures are CPU seconds of this process. For Markov chains it uses an unchanged
GPT-2 and batches padded to the longest sequence.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import NewGELUActivation

from palimpsest.arguments import Parser, filled_path, refuse, whole
from palimpsest.benchmarks.markov.data import draw
from palimpsest.benchmarks.markov.models import ChainTraining, encode
from palimpsest.benchmarks.markov.models import build_model as build_chain_model
from palimpsest.benchmarks.markov.settings import ChainModel, ChainSettings
from palimpsest.benchmarks.tofu.sources.world import WorldSource
from palimpsest.benchmarks.tofu.world import make_dataset
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Question, read_rows
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import continue_texts
from palimpsest.methods import make_method
from palimpsest.methods.problem import Unlearning
from palimpsest.models.scoring import score
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.settings import TrainSettings, UnlearnSettings

BATCH = 32
CHAINS = 128
STEPS = 4
NEW_TOKENS = 100
# Answers per step from each set; the divisor of the width for four heads.
ROWS, WIDTHS = 16, 8


def plain_nll(model: nn.Module, sequences: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Return the summed NLL of each (prompt, answer), padded on the right to the longest in the batch."""
    width = max(len(prompt) + len(answer) for prompt, answer in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(sequences):
        length = len(prompt) + len(answer)
        ids[row, :length] = torch.tensor(prompt + answer)
        mask[row, :length] = 1
        labels[row, len(prompt) : length] = torch.tensor(answer)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
    return losses.sum(-1)


@torch.no_grad()
def plain_score(model: nn.Module, items: Sequence[Encoded]) -> list[float]:
    """Return the summed NLL of every answer, each as its own sequence."""
    pairs = [(item.prompt, answer) for item in items for answer in item.answers]
    batches = [pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH)]
    return [value for batch in batches for value in plain_nll(model, batch).tolist()]


def plain_steps(model: nn.Module, forget: Sequence[Encoded], retain: Sequence[Encoded]) -> None:
    """Run plain GradDiff: two padded batches per step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    for step in range(STEPS):
        random.seed(step)
        parts = [random.sample(list(items), ROWS) for items in (forget, retain)]
        losses = []
        for part in parts:
            nll = plain_nll(model, [(item.prompt, item.answers[0]) for item in part])
            losses.append(nll.sum() / sum(len(item.answers[0]) for item in part))
        (losses[1] - losses[0]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def bare_steps(model: Any, forget: Sequence[Encoded], retain: Sequence[Encoded]) -> None:
    """Run GradDiff with as little as it takes: batches of similar length and no logits but those of labels."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    for step in range(STEPS):
        random.seed(step)
        for items, sign in ((forget, -1), (retain, 1)):
            part = sorted(random.sample(list(items), ROWS), key=lambda item: item.tokens)
            total = sum(len(item.answers[0]) for item in part)
            for some in (part[: ROWS // 2], part[ROWS // 2 :]):
                width = some[-1].tokens
                ids = torch.tensor([item.prompt + item.answers[0] + [0] * (width - item.tokens) for item in some])
                hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)
                starts = [row * width + len(item.prompt) - 1 for row, item in enumerate(some)]
                places = torch.cat([start + torch.arange(len(i.answers[0])) for start, i in zip(starts, some, strict=True)])
                labels = torch.tensor([token for item in some for token in item.answers[0]])
                (sign * F.cross_entropy(model.lm_head(hidden[places]), labels, reduction="sum") / total).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def plain_generation(model: Any, tokenizer: Any, prompts: Sequence[list[int]]) -> list[str]:
    """Return the greedy continuations of padded batches in file order."""
    texts = []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        width = max(map(len, part))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompt)) + prompt for prompt in part])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part])
        said = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW_TOKENS)
        texts += tokenizer.batch_decode(said[:, width:], skip_special_tokens=True)
    return texts


def plain_chains(model: nn.Module, items: Sequence[Encoded]) -> None:
    """Train with the cross-entropy of padded batches of 128 sequences."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    for step in range(STEPS):
        batch = items[step * CHAINS : (step + 1) * CHAINS]
        nll = plain_nll(model, [(item.prompt, item.answers[0]) for item in batch])
        (nll.sum() / sum(len(item.answers[0]) for item in batch)).backward()
        optimizer.step()
        optimizer.zero_grad()


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time after one warm-up run."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def main() -> None:
    """Run all comparisons and print the results."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=filled_path)
    # One batch is drawn from each half of the items.
    for name, default, least in (("width", 256, WIDTHS), ("layers", 6, 1), ("items", 100, 2 * ROWS), ("repeats", 3, 1)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    args = parser.parse_args()
    if args.width % WIDTHS:
        parser.error(f"argument --width: {args.width}: must be a multiple of {WIDTHS}")
    try:
        rows = read_rows(args.data / "forget.jsonl", Question) if args.data else make_dataset(WorldSource(kind="world")).authors
        if len(rows) < 2 * ROWS:
            raise UserError(f"{args.data}: {len(rows)} questions, but {2 * ROWS} are needed")
    except (UserError, OSError) as error:
        sys.exit(refuse(parser.prog, error))
    rows = list(rows[: args.items])
    texts = [text for row in rows for text in (row.question, row.answer, *(row.perturbed_answers or ()))]
    tokenizer = train_tokenizer(texts, 2048)
    architecture = TinyArchitecture(vocabulary=2048, width=args.width, layers=args.layers, heads=4)
    model = build_model(architecture, tokenizer, 0).eval()
    encoder = PromptEncoder(tokenizer, PromptSettings())
    everything = [
        encoder.encode(row.question, [row.answer, row.paraphrased_answer or "", *(row.perturbed_answers or ())]) for row in rows
    ]
    single = [encoder.encode(row.question, [row.answer]) for row in rows]
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{size:.1f} M parameters, {len(rows)} questions, {torch.get_num_threads()} thread(s), median of {args.repeats}\n")

    ours = [value for scores in score(model, everything, 512) for value in scores.nll]
    difference = max(abs(a - b) for a, b in zip(ours, plain_score(model, everything), strict=True))
    plain = seconds(lambda: plain_score(model, everything), args.repeats)
    packed = seconds(lambda: list(score(model, everything, 512)), args.repeats)
    print(f"{'scoring ' + str(len(ours)) + ' answers':34s} {'seconds':>8s} {'of plain':>9s}")
    print(f"{'plain (padded, answers apart)':34s} {plain:8.2f} {1:9.2f}")
    print(f"{'packed, one prompt a question':34s} {packed:8.2f} {packed / plain:9.2f}   (largest difference {difference:.1e})\n")

    prompts = [item.prompt for item in single]
    same = sum(
        a == b
        for a, b in zip(
            continue_texts(model, tokenizer, prompts, NEW_TOKENS), plain_generation(model, tokenizer, prompts), strict=True
        )
    )
    plain = seconds(lambda: plain_generation(model, tokenizer, prompts), args.repeats)
    ours_took = seconds(lambda: continue_texts(model, tokenizer, prompts, NEW_TOKENS), args.repeats)
    print(f"{f'{len(prompts)} texts of {NEW_TOKENS} tokens':34s} {'seconds':>8s} {'of plain':>9s}")
    print(f"{'plain (batches of 32)':34s} {plain:8.2f} {1:9.2f}")
    print(f"{'memory set aside, rows dropped':34s} {ours_took:8.2f} {ours_took / plain:9.2f}   ({same} texts equal)\n")

    half = len(single) // 2
    forget, retain = single[:half], single[half:]
    plain = seconds(lambda: plain_steps(model, forget, retain), args.repeats)
    bare = seconds(lambda: bare_steps(model, forget, retain), args.repeats)
    print(f"{str(STEPS) + ' steps of 16 + 16 answers':34s} {'seconds':>8s} {'of plain':>9s} {'of bare':>9s}")
    print(f"{'plain GradDiff loop':34s} {plain:8.2f} {1:9.2f} {plain / bare:9.2f}")
    print(f"{'bare GradDiff loop':34s} {bare:8.2f} {bare / plain:9.2f} {1:9.2f}")
    for method in ("graddiff", "simnpo", "npo"):
        settings = UnlearnSettings(learning_rate=1e-5, epochs=1, batch_size=16, tokens_per_pass=512)
        repeated = (list(forget) * 64)[: 16 * STEPS]
        problem = Unlearning(
            make_method(method, {}), settings, forget=repeated, retain=retain, references=[50.0] * len(repeated), seed=0
        )
        took = seconds(lambda p=problem, s=settings: train(model, p, s, UsedSettings(), seed=0, label="x"), args.repeats)
        print(f"{method:34s} {took:8.2f} {took / plain:9.2f} {took / bare:9.2f}")
    compare_chains(args.repeats)


def compare_chains(repeats: int) -> None:
    """Compare training steps on all chains, where one in four sequences is short."""
    drawn = draw(ChainSettings(), seed=0)
    lengths = {"retain": 20, "forget1": 20, "forget2": 5}
    everything = [item for chain, length in lengths.items() for item in encode(drawn[chain].train[:, :length])]
    items = random.Random(0).sample(everything, STEPS * CHAINS)
    plain_model = build_chain_model(ChainModel(kind="gpt2"), 20, seed=0)
    for block in plain_model.transformer.h:
        block.mlp.act = NewGELUActivation()
    plain = seconds(lambda: plain_chains(plain_model, items), repeats)
    model = build_chain_model(ChainModel(kind="gpt2"), 20, seed=0)
    settings = TrainSettings(learning_rate=5e-4, epochs=1, batch_size=CHAINS, tokens_per_pass=2560)
    took = seconds(lambda: train(model, ChainTraining(items), settings, UsedSettings(), seed=0, label="x"), repeats)
    print(f"\n{f'{STEPS} steps of {CHAINS} sequences of chains':34s} {'seconds':>8s} {'of plain':>9s}")
    print(f"{'plain (padded, GPT-2 as it comes)':34s} {plain:8.2f} {1:9.2f}")
    print(f"{'a batch a length, fused GELU':34s} {took:8.2f} {took / plain:9.2f}")


if __name__ == "__main__":
    main()
