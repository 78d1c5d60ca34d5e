"""Stage `attack`: all draws of one relearning attack on one unlearned model, in one process."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from palimpsest import processes
from palimpsest.attacks.settings import RelearnSettings
from palimpsest.data.rows import Question, read_rows
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, log, run_stage


class Spec(Settings):
    """The attack, the seed of its draws and its training, and the kind of suite whose losses it writes."""

    kind: str
    attack: RelearnSettings
    seed: int
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write the forget set's losses before and after every epoch of every draw; a finished draw survives an interruption."""
    from palimpsest.attacks.relearn import draw_items
    from palimpsest.benchmarks.suites import load
    from palimpsest.evaluation.items import TABLE, keyed, read_table, write_table

    schema = keyed(load(job.spec.kind, "losses").LOSSES, "draw", "epoch")
    rows = read_rows(job.input("split") / "forget.jsonl", Question)
    draws = draw_items(rows, job.spec.attack, job.spec.seed)
    table: list[dict[str, Any]] = []
    for draw, chosen in enumerate(draws):
        finished = job.scratch / f"draw-{draw}.parquet"
        if not processes.main_value(finished.exists()):
            log.info("attack: draw %d of %d, %d questions", draw + 1, len(draws), len(chosen))
            losses = _relearn(job, rows, chosen, draw)
            job.keep(finished, partial(write_table, rows=losses, schema=schema))
        table += read_table(finished)
    write_table(job.out / TABLE, table, schema)
    ids = [[rows[i].id for i in chosen] for chosen in draws]
    (job.out / "draws.json").write_text(json.dumps(ids) + "\n", encoding="utf-8")


def _relearn(job: Job[Spec], rows: Sequence[Question], chosen: list[int], draw: int) -> list[dict[str, Any]]:
    from palimpsest.benchmarks.suites import load
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.models.loading import load_model, load_tokenizer
    from palimpsest.stages.training import encode_rows
    from palimpsest.training.adapters import add_adapters
    from palimpsest.training.loop import train
    from palimpsest.training.problems import FineTuning

    used, training = job.spec.model, job.spec.attack.training
    tokenizer = load_tokenizer(job.input("model"))
    model = add_adapters(load_model(job.input("model"), used), used.lora, job.spec.seed)
    encoder = PromptEncoder(tokenizer, used.prompt)
    table: list[dict[str, Any]] = []

    def evaluate(epoch: int) -> None:
        losses = load(job.spec.kind, "losses").forget_losses(model, encoder, rows)
        table.extend({"draw": draw, "epoch": epoch, **columns} for columns in losses)

    evaluate(0)
    label = f"draw {draw + 1}"
    problem = FineTuning(encode_rows([rows[i] for i in chosen], tokenizer, used, model))
    train(model, problem, training, used, seed=job.spec.seed, label=label, after_epoch=evaluate, remark=job.remark)
    return table


if __name__ == "__main__":
    run_stage("attack", Spec, work)
