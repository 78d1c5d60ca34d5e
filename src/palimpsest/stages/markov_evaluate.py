"""Stage `markov_evaluate`: how far an original or Retrain is from the truth, on all test sequences of every chain."""

from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """The name of the suite, and how many states of each sequence of each chain are looked at."""

    suite: str
    lengths: dict[str, int]


def work(job: Job[Spec]) -> None:
    """Write the table of distances."""
    from palimpsest.benchmarks.markov.suite import SCHEMA, distances
    from palimpsest.evaluation.items import TABLE, write_table
    from palimpsest.markov.data import read
    from palimpsest.models.loading import load_model
    from palimpsest.models.settings import UsedSettings

    model = load_model(job.input("model"), UsedSettings())
    rows = distances(model, read(job.input("data")), job.spec.lengths, most=None)
    write_table(job.out / job.spec.suite / TABLE, list(rows), SCHEMA)


if __name__ == "__main__":
    run_stage("markov_evaluate", Spec, work)
