"""Stage `evaluate`: one process runs one model over all its suites."""

from palimpsest.evaluation.settings import SuiteSettings
from palimpsest.evaluation.suites import Subject, load_suite
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """The suites, by name, and how the model is read."""

    suites: dict[str, SuiteSettings]
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write each suite's folder; the input `split` is of texts their data, whatever is forgotten of them."""
    from palimpsest.models.loading import load_model, load_tokenizer

    model, used = job.input("model"), job.spec.model
    for remark in job.remarks_of("model"):
        job.remark(remark)
    subject = Subject(load_model(model, used), load_tokenizer(model), used)
    for name, suite in job.spec.suites.items():
        (job.out / name).mkdir()
        load_suite(suite.kind).run(subject, suite, job.input("split"), job.out / name, job.scratch)


if __name__ == "__main__":
    run_stage("evaluate", Spec, work)
