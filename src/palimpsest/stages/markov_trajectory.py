"""Stage `markov_trajectory`: unlearning the two forget chains, watched after every iteration."""

from typing import Any

from palimpsest.errors import Diverged
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage
from palimpsest.training.settings import UnlearnSettings


class Spec(Settings):
    """The method with its settings, how many states of each sequence are looked at, and how many test sequences of each chain."""

    method: str
    seed: int
    training: UnlearnSettings
    loss: dict[str, float]
    lengths: dict[str, int]
    watched: int


def work(job: Job[Spec]) -> None:
    """Write the distances after every iteration, from 0 (the original), and the training log.

    It is over in a minute, so an interrupted one starts again. Of a training that diverges, the iterations before are written.
    """
    from palimpsest.benchmarks.markov.suite import SCHEMA, distances
    from palimpsest.evaluation.items import TABLE, keyed, write_table
    from palimpsest.markov.data import read
    from palimpsest.markov.models import EachStep, encode
    from palimpsest.models.loading import load_model
    from palimpsest.models.scoring import score
    from palimpsest.models.settings import UsedSettings
    from palimpsest.objectives import load_objective
    from palimpsest.stages.training import write_log
    from palimpsest.streams import stream
    from palimpsest.training.loop import train
    from palimpsest.training.problems import Unlearning

    spec, training = job.spec, job.spec.training
    chains = read(job.input("data"))
    model = load_model(job.input("model"), UsedSettings())
    objective = load_objective(spec.method)
    items = [item for chain in ("forget1", "forget2") for item in encode(chains[chain].train[:, : spec.lengths[chain]])]
    drawn = stream(spec.seed, "forget").permutation(len(items))[: training.last_epoch * training.batch_size].tolist()
    forget = [items[index] for index in drawn]
    references = [scores.nll[0] for scores in score(model, forget, training.tokens_per_pass)] if objective.needs_reference else ()
    unlearning = Unlearning(objective, spec.loss, training, forget=forget, retain=(), references=references, seed=spec.seed)

    rows: list[dict[str, Any]] = []

    def watch(iteration: int) -> None:
        rows.extend({"epoch": iteration, **row} for row in distances(model, chains, spec.lengths, most=spec.watched))

    problem = EachStep(unlearning, training.batch_size)
    try:
        watch(0)
        log = train(
            model, problem, training, UsedSettings(), seed=spec.seed, label=spec.method, after_epoch=watch, remark=job.remark
        )
    except Diverged as error:
        write_table(job.out / TABLE, rows, keyed(SCHEMA, "epoch"))
        write_log(job.out, error.log)
        raise
    write_table(job.out / TABLE, rows, keyed(SCHEMA, "epoch"))
    write_log(job.out, log)


if __name__ == "__main__":
    run_stage("markov_trajectory", Spec, work)
