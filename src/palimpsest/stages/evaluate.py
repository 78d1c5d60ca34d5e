"""Stage `evaluate`: one process runs one model over one suite."""

from palimpsest.benchmarks.suites import AnySuite, load
from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import read_lessons
from palimpsest.errors import UserError
from palimpsest.evaluation.items import PROMPT, PROMPT_TABLE, TABLE, write_table
from palimpsest.evaluation.subject import Subject, SuiteModule
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Option, Settings


class Spec(Settings):
    """The suite, how the model is loaded, and the hashes of the user's own files that the suite reads."""

    suite: AnySuite
    model: UsedSettings
    files: Option[dict[str, str]] = None


def work(job: Job[Spec]) -> None:
    """Write the table of items, and a prompt. For corpus benchmarks the input `split` is the full data set."""
    from palimpsest.evaluation.shown import shown_item
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.models.precision import autocast
    from palimpsest.stages.loading import data_sets, load_input

    used, suite = job.spec.model, job.spec.suite
    if (files := suite.hash_own_files()) != (job.spec.files or {}):
        raise UserError(f"suite: {', '.join(files)}: edited after Snakemake planned the job; run it again")
    for remark in job.remarks_of("model"):
        job.remark(remark)
    subject = Subject(load_input(job, "model", used, frozen=True), load_tokenizer(job.input("model")), used)
    read = {role: load_input(job, role, used, frozen=True) for role in suite.models}
    module: SuiteModule = load(suite.kind, "suite")
    with autocast(subject.model.device, used):
        rows = module.measure(subject, suite, job.input("split"), job.scratch, **data_sets(job), **read)
    write_table(job.out / TABLE, rows, module.SCHEMA)
    first = read_lessons(job.input("split") / "forget.jsonl", 1)
    write_table(job.out / PROMPT_TABLE, [piece for row in first for piece in shown_item(subject, row)], PROMPT)


if __name__ == "__main__":
    run_stage("evaluate", Spec, work)
