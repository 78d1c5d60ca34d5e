"""Stage `draw` of Markov chains: the sequences of all chains of one seed, to learn and to test with."""

from palimpsest.benchmarks.base import Resolved
from palimpsest.benchmarks.markov.data import draw, write
from palimpsest.benchmarks.markov.settings import ChainSettings
from palimpsest.contract.job import Job, run_stage
from palimpsest.names import ModelId
from palimpsest.settings import Settings


class Spec(Settings):
    """How many sequences of which length, and the seed."""

    chains: ChainSettings
    seed: int


def spec(study: Resolved, of: ModelId) -> Spec:
    """Return the spec of the sequences of a seed."""
    chains = study.benchmark(of.benchmark).model_dump(include=set(ChainSettings.model_fields))
    return Spec(chains=ChainSettings(**chains), seed=of.needed_seed)


def work(job: Job[Spec]) -> None:
    """Write the sequences and the laws that they follow."""
    write(job.out, draw(job.spec.chains, job.spec.seed))


if __name__ == "__main__":
    run_stage("palimpsest.benchmarks.markov.stages.draw", Spec, work)
