"""Stage `evaluate`: one process runs one model over all its suites."""

from palimpsest.benchmarks.suites import AnySuite, load
from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import read_lessons
from palimpsest.evaluation.items import PROMPT, PROMPT_TABLE, TABLE, write_table
from palimpsest.evaluation.subject import Subject, SuiteModule
from palimpsest.evaluation.suite import further_models
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings


class Spec(Settings):
    """The suites, by name, and how the model is loaded."""

    suites: dict[str, AnySuite]
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write the table of items of each suite, and a prompt. For corpus benchmarks the input `split` is the full data set."""
    from palimpsest.evaluation.shown import shown_item
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.models.precision import autocast
    from palimpsest.stages.loading import load_input

    used = job.spec.model
    for remark in job.remarks_of("model"):
        job.remark(remark)
    subject = Subject(load_input(job, "model", used, frozen=True), load_tokenizer(job.input("model")), used)
    others = {role: load_input(job, role, used, frozen=True) for role in further_models(job.spec.suites.values())}
    for name, suite in job.spec.suites.items():
        module: SuiteModule = load(suite.kind, "suite")
        fetched = {"datasets": job.inputs("datasets")[name]} if name in job.inputs("datasets") else {}
        read = {role: others[role] for role in suite.models}
        with autocast(subject.model.device, used):
            rows = module.measure(subject, suite, job.input("split"), job.scratch, **fetched, **read)
        write_table(job.out / name / TABLE, rows, module.SCHEMA)
    first = read_lessons(job.input("split") / "forget.jsonl", 1)
    write_table(job.out / PROMPT_TABLE, [piece for row in first for piece in shown_item(subject, row)], PROMPT)


if __name__ == "__main__":
    run_stage("evaluate", Spec, work)
