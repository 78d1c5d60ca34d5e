"""Stage `attack`: all draws of one attack on one model, in one process, and the losses on the forget set after each step."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from palimpsest import processes
from palimpsest.attacks import load_attack
from palimpsest.attacks.base import Attack, Target
from palimpsest.contract.job import Job, log, run_stage
from palimpsest.data.rows import Question, read_rows
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings


def _as_attack(value: Any) -> Any:
    return load_attack(value["kind"]).model_validate(value) if isinstance(value, dict) and "kind" in value else value


class Spec(Settings):
    """The attack, the seed of its draws and its training, and the kind of suite whose losses it writes."""

    kind: str
    attack: Annotated[SerializeAsAny[Attack], BeforeValidator(_as_attack)]
    seed: int
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write the losses on the forget set before and after every step of every draw, and the attacked model if it is to be kept.

    A finished draw survives an interruption.
    """
    from palimpsest.benchmarks.suites import load
    from palimpsest.evaluation.items import TABLE, keyed, read_table, write_table

    attack, schema = job.spec.attack, keyed(load(job.spec.kind, "losses").LOSSES, "draw", "epoch")
    rows = read_rows(job.input("split") / "forget.jsonl", Question)
    draws = attack.drawn(rows, job.spec.seed)
    table: list[dict[str, Any]] = []
    for draw, drawn in enumerate(draws):
        finished = job.scratch / f"draw-{draw}.parquet"
        if attack.gives_model or not processes.main_value(finished.exists()):
            log.info("attack: draw %d of %d, %d questions", draw + 1, len(draws), len(drawn))
            losses = _draw(job, rows, [rows[i] for i in drawn], draw)
            job.keep(finished, partial(write_table, rows=losses, schema=schema))
        table += read_table(finished)
    write_table(job.out / TABLE, table, schema)
    ids = [[rows[i].id for i in drawn] for drawn in draws]
    (job.out / "draws.json").write_text(json.dumps(ids) + "\n", encoding="utf-8")


def _draw(job: Job[Spec], rows: Sequence[Question], items: Sequence[Question], draw: int) -> list[dict[str, Any]]:
    """Attack the model once; return the losses before and after every step."""
    from palimpsest.benchmarks.suites import load
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.models.encoding import encode_rows
    from palimpsest.models.loading import load_model, load_tokenizer, save_model
    from palimpsest.models.precision import autocast

    used, attack = job.spec.model, job.spec.attack
    tokenizer, model = load_tokenizer(job.input("model")), load_model(job.input("model"), used)
    encoder = PromptEncoder(tokenizer, used.prompt)
    table: list[dict[str, Any]] = []

    def watch(step: int) -> None:
        with autocast(model.device, used):
            losses = load(job.spec.kind, "losses").forget_losses(model, encoder, rows)
        table.extend({"draw": draw, "epoch": step, **columns} for columns in losses)

    watch(0)
    encoded = encode_rows(items, tokenizer, used, model)
    attack.attack(Target(model, used, encoded, job.spec.seed, f"draw {draw + 1}", watch, job.remark))
    if attack.gives_model and processes.is_main():
        save_model(model, tokenizer, job.out)
    return table


if __name__ == "__main__":
    run_stage("attack", Spec, work)
