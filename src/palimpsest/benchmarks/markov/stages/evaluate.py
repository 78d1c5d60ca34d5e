"""Stage `evaluate` of Markov chains: how far an original or Retrain is from the truth, on all test sequences of every chain."""

from palimpsest.benchmarks.base import Resolved
from palimpsest.contract.job import Job, run_stage
from palimpsest.names import ModelId
from palimpsest.settings import Settings


class Spec(Settings):
    """How many states of each sequence of each chain are looked at."""

    lengths: dict[str, int]


def spec(study: Resolved, of: ModelId) -> Spec:
    """Return the spec of an evaluation."""
    return Spec(lengths=study.benchmark(of.benchmark).lengths(of.split))


def work(job: Job[Spec]) -> None:
    """Write the table of distances."""
    from palimpsest.benchmarks.markov.data import read
    from palimpsest.benchmarks.markov.loading import load_chain_model
    from palimpsest.benchmarks.markov.suite import SCHEMA, distances
    from palimpsest.evaluation.items import TABLE, write_table

    model = load_chain_model(job.input("model"))
    rows = distances(model, read(job.input("split")), job.spec.lengths, most=None)
    write_table(job.out / TABLE, list(rows), SCHEMA)


if __name__ == "__main__":
    run_stage("palimpsest.benchmarks.markov.stages.evaluate", Spec, work)
