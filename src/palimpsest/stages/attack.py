"""Stage `attack`: all draws of one attack on one model, in one process, and what is left of the forget set after each step."""

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from palimpsest import processes
from palimpsest.attacks import load_attack
from palimpsest.attacks.base import Attack, Edit, Target
from palimpsest.benchmarks.suites import AnySuite, load
from palimpsest.contract.job import Job, log, run_stage
from palimpsest.data.rows import Lesson, Text, read_lessons
from palimpsest.errors import UserError
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings

if TYPE_CHECKING:
    from pyarrow import Schema

    from palimpsest.data.prompts import Encoded


def _as_attack(value: Any) -> Any:
    return load_attack(value["kind"]).model_validate(value) if isinstance(value, dict) and "kind" in value else value


class Spec(Settings):
    """The attack, the sets of the split that the attacker has, the seed of its draws and its training, and what measures it.

    This is `suite`, or without one the losses on the forget set, which the benchmark of this `kind` computes.
    """

    kind: str
    attack: Annotated[SerializeAsAny[Attack], BeforeValidator(_as_attack)]
    sets: list[str] = ["forget"]
    suite: AnySuite | None = None
    seed: int
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write the items before and after every step of every draw, and the model of the first draw if it is to be kept.

    The items before are the same in every draw, so they are measured once. A finished draw survives an interruption, except one
    whose model is kept.
    """
    from palimpsest.evaluation.items import TABLE, keyed, read_table, write_table

    # A run that continues after the last draw reads none of these.
    job.read.update(("model", "model_over", *(["datasets"] if job.spec.suite else [])))
    attack, suite = job.spec.attack, job.spec.suite
    schema = keyed(load(suite.kind, "suite").SCHEMA if suite else load(job.spec.kind, "losses").LOSSES, "draw", "epoch")
    rows = read_lessons(job.input("split") / "forget.jsonl")
    names, items, lengths = _items(job)
    draws = attack.drawn(lengths, job.spec.seed)
    table: list[dict[str, Any]] = []
    for draw, drawn in enumerate(draws):
        finished = job.scratch / f"draw-{draw}.parquet"
        if _keeps(attack, draw) or not processes.main_value(finished.exists()):
            log.info("attack: draw %d of %d, %d items", draw + 1, len(draws), len(drawn))
            measured = _draw(job, rows, [items[i] for i in drawn], draw, schema)
            job.keep(finished, partial(write_table, rows=measured, schema=schema))
        table += read_table(finished)
    write_table(job.out / TABLE, table, schema)
    ids = [[names[i] for i in drawn] for drawn in draws]
    (job.out / "draws.json").write_text(json.dumps(ids) + "\n", encoding="utf-8")


def _keeps(attack: Attack, draw: int) -> bool:
    return attack.keep_model and draw == 0


def _items(job: Job[Spec]) -> tuple[list[str], list["Encoded"], list[int]]:
    """Return the names, the training items and the lengths of the attacker's sets: answers in characters, chunks in tokens.

    There are none for an attack that edits the weights, which needs no data.
    """
    from palimpsest.models.encoding import named_items
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.stages.loading import open_input

    if isinstance(job.spec.attack, Edit):
        return [], [], []
    rows = [row for name in job.spec.sets for row in read_lessons(job.input("split") / f"{name}.jsonl")]
    names, items = named_items(rows, load_tokenizer(job.input("model")), job.spec.model, open_input(job, "model"))
    if not items:
        raise UserError("attack: nothing to learn: the attacker's sets have no rows, or only empty texts")
    answers = [len(row.answer) for row in rows if not isinstance(row, Text)]
    return names, items, answers or [len(item.answers[0]) for item in items]


def _draw(
    job: Job[Spec], rows: Sequence[Lesson], items: Sequence["Encoded"], draw: int, schema: "Schema"
) -> list[dict[str, Any]]:
    """Attack the model once; return the items before and after every step."""
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.evaluation.items import read_table, write_table
    from palimpsest.evaluation.subject import Subject
    from palimpsest.models.loading import load_tokenizer, save_model
    from palimpsest.models.precision import autocast
    from palimpsest.stages.loading import data_sets, load_input

    used, attack, kind, suite = job.spec.model, job.spec.attack, job.spec.kind, job.spec.suite
    tokenizer, model = load_tokenizer(job.input("model")), load_input(job, "model", used)
    encoder, subject = PromptEncoder(tokenizer, used.prompt), Subject(model, tokenizer, used)

    def measured(step: int) -> list[dict[str, Any]]:
        with autocast(model.device, used):
            if suite:
                of_step = load(suite.kind, "suite").measure(subject, suite, job.input("split"), job.scratch, **data_sets(job))
            else:
                of_step = load(kind, "losses").forget_losses(model, encoder, rows)
        return [{"draw": draw, "epoch": step, **columns} for columns in of_step]

    before = job.scratch / "before.parquet"
    if not processes.main_value(before.exists()):
        job.keep(before, partial(write_table, rows=measured(0), schema=schema))
    table = [row | {"draw": draw} for row in read_table(before)]

    def watch(step: int) -> None:
        table.extend(measured(step))

    attack.attack(Target(model, used, items, job.spec.seed, draw, f"draw {draw + 1}", watch, job.remark))
    if _keeps(attack, draw) and processes.is_main():
        save_model(model, tokenizer, job.out)
    return table


if __name__ == "__main__":
    run_stage("attack", Spec, work)
