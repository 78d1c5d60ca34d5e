"""Stage `unlearn` of Markov chains: the two forget chains are unlearned, watched after every iteration; no model is kept."""

from typing import Any

from palimpsest.benchmarks.base import Resolved
from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import UserError
from palimpsest.methods import make_method
from palimpsest.methods.base import LossMethod
from palimpsest.names import ModelId
from palimpsest.settings import Settings
from palimpsest.training.settings import UnlearnSettings


class Spec(Settings):
    """The method with its settings, how many states of each sequence are looked at, and how many test sequences of each chain."""

    method: str
    seed: int
    training: UnlearnSettings
    loss: dict[str, Any]
    lengths: dict[str, int]
    watched: int


def spec(study: Resolved, of: ModelId) -> Spec:
    """Return the spec of a variant."""
    chains, variant = study.benchmark(of.benchmark), study.variant(of)
    return Spec(
        method=of.method,
        seed=of.needed_seed,
        training=variant.training,
        loss=variant.loss,
        lengths=chains.lengths(of.split),
        watched=chains.watched,
    )


def work(job: Job[Spec]) -> None:
    """Write the distances after every iteration, from 0 (the original), and the training log.

    It is over in a minute, so an interrupted one starts again. Of a training that diverges, the iterations before are written.
    """
    from palimpsest.benchmarks.markov.data import read
    from palimpsest.benchmarks.markov.loading import load_chain_model
    from palimpsest.benchmarks.markov.models import EachStep, encode
    from palimpsest.benchmarks.markov.suite import SCHEMA, distances
    from palimpsest.evaluation.items import TABLE, keyed, write_table
    from palimpsest.methods.problem import Unlearning
    from palimpsest.models.scoring import score
    from palimpsest.models.settings import UsedSettings
    from palimpsest.streams import seed_of_draw, stream
    from palimpsest.training.log import Log, train_logged, write_log
    from palimpsest.training.loop import train

    spec, training = job.spec, job.spec.training
    seed = seed_of_draw(spec.seed, training.draw)
    method = make_method(spec.method, spec.loss)
    if not isinstance(method, LossMethod):
        raise UserError(f"spec: {spec.method} has no loss on forget sequences")
    chains = read(job.input("split"))
    model = load_chain_model(job.input("model"))
    items = [item for chain in ("forget1", "forget2") for item in encode(chains[chain].train[:, : spec.lengths[chain]])]
    drawn = stream(seed, "forget").permutation(len(items))[: training.last_epoch * training.batch_size].tolist()
    forget = [items[index] for index in drawn]
    references = [scores.nll[0] for scores in score(model, forget, training.tokens_per_pass)] if method.reads_reference else ()
    unlearning = Unlearning(method, training, forget=forget, retain=(), references=references, seed=seed)
    problem = EachStep(unlearning, training.batch_size)
    rows: list[dict[str, Any]] = []

    def watch(iteration: int) -> None:
        rows.extend({"epoch": iteration, **row} for row in distances(model, chains, spec.lengths, most=spec.watched))

    def unlearn() -> Log:
        watch(0)
        return train(model, problem, training, UsedSettings(), seed=seed, label=spec.method, after_epoch=watch, remark=job.remark)

    def write(log: Log) -> None:
        write_table(job.out / TABLE, rows, keyed(SCHEMA, "epoch"))
        write_log(job.out, log)

    train_logged(unlearn, write)


if __name__ == "__main__":
    run_stage("palimpsest.benchmarks.markov.stages.unlearn", Spec, work)
