"""Stage `markov_data`: the sequences of all chains of one seed, to learn and to test with."""

from palimpsest.benchmarks.markov.data import draw, write
from palimpsest.benchmarks.markov.settings import ChainSettings
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """How many sequences of which length, and the seed."""

    chains: ChainSettings
    seed: int


def work(job: Job[Spec]) -> None:
    """Write the sequences and the laws that they follow."""
    write(job.out, draw(job.spec.chains, job.spec.seed))


if __name__ == "__main__":
    run_stage("markov_data", Spec, work)
