"""Stage `trajectory`: unlearning again, watched: a suite, the divergence and the gradient weights over its epochs."""

from pathlib import Path
from typing import Any, Literal

from palimpsest import processes
from palimpsest.benchmarks.suites import AnySuite, load
from palimpsest.data.rows import read_lessons
from palimpsest.errors import Diverged
from palimpsest.evaluation.subject import Subject, SuiteModule
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, log, run_stage
from palimpsest.training.settings import UnlearnSettings


class Spec(Settings):
    """The method with its settings, and what is watched: the suite after all epochs, from 0 (untrained), or after the last."""

    method: str
    seed: int
    training: UnlearnSettings
    loss: dict[str, float]
    model: UsedSettings
    suite: AnySuite
    epochs: Literal["all", "last"]


def work(job: Job[Spec]) -> None:
    """Write the tables of the watched epochs and the training log; a watched epoch survives an interruption.

    Of a training that diverges, the epochs before are written.
    """
    from palimpsest.evaluation import items
    from palimpsest.evaluation.divergence import mean_divergence
    from palimpsest.models.loading import load_model, load_tokenizer
    from palimpsest.stages.training import encode_rows, named_items, write_log
    from palimpsest.stages.unlearning import unlearning_problem
    from palimpsest.training.adapters import add_adapters
    from palimpsest.training.loop import train

    spec, used, training, split = job.spec, job.spec.model, job.spec.training, job.input("split")
    tokenizer = load_tokenizer(job.input("model"))
    start = load_model(job.input("model"), used)
    plain = load_model(job.input("model"), used)
    problem = unlearning_problem(
        job, tokenizer, used, plain, method=spec.method, training=training, loss=spec.loss, seed=spec.seed, original=start
    )
    model = add_adapters(plain, used.lora, spec.seed)
    subject = Subject(model, tokenizer, used)
    suite: SuiteModule = load(spec.suite.kind, "suite")
    compared = {name: encode_rows(rows, tokenizer, used, start) for name, rows in suite.compared(spec.suite, split).items()}
    tables = {items.TABLE: items.keyed(suite.SCHEMA, "epoch"), items.DIVERGENCE_TABLE: items.DIVERGENCE}
    last = training.last_epoch
    watched = range(0 if spec.epochs == "all" else last, last + 1)
    parts = {epoch: job.scratch / f"epoch-{epoch:04d}" for epoch in watched}

    def watch(epoch: int) -> None:
        if epoch not in parts or processes.main_value(parts[epoch].exists()):
            return
        log.info("trajectory: epoch %d of %d", epoch, last)
        rows = {
            items.TABLE: [{"epoch": epoch, **row} for row in suite.measure(subject, spec.suite, split, job.scratch)],
            items.DIVERGENCE_TABLE: [
                {"epoch": epoch, "set": name, "kl": mean_divergence(start, model, of_set)} for name, of_set in compared.items()
            ],
        }

        def write(folder: Path) -> None:
            for name, schema in tables.items():
                items.write_table(folder / name, rows[name], schema)

        job.keep(parts[epoch], write)

    def write(entries: list[dict[str, Any]]) -> None:
        for name, schema in tables.items():
            rows = [row for part in parts.values() if part.exists() for row in items.read_table(part / name)]
            items.write_table(job.out / name, rows, schema)
        names, _ = named_items(read_lessons(split / "forget.jsonl"), tokenizer, used, start)
        answers = [(name, len(item.answers[0])) for name, item in zip(names, problem.forget, strict=True)]
        items.write_table(job.out / items.WEIGHTS_TABLE, _weights(entries, answers), items.WEIGHTS)
        write_log(job.out, entries)

    try:
        watch(0)
        entries = train(
            model,
            problem,
            training,
            used,
            seed=spec.seed,
            label=spec.method,
            scratch=job.scratch,
            after_epoch=watch,
            remark=job.remark,
        )
    except Diverged as error:
        write(error.log)
        raise
    write(entries)


def _weights(entries: list[dict[str, Any]], answers: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return the gradient weights in a training log, one row an answer and epoch; a method without them has none."""
    return [
        {"epoch": entry["epoch"] + 1, "id": answers[index][0], "tokens": answers[index][1], "weight": weight}
        for entry in entries
        for index, weight in zip(entry.get("items", ()), entry.get("weights", ()), strict=True)
    ]


if __name__ == "__main__":
    run_stage("trajectory", Spec, work)
