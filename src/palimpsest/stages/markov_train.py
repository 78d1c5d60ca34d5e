"""Stage `markov_train`: a GPT-2 that learns some chains: an original, or Retrain, which knows the retain chain alone."""

from palimpsest import processes
from palimpsest.benchmarks.markov.settings import ChainModel
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage
from palimpsest.training.settings import TrainSettings


class Spec(Settings):
    """The model, and how many states of each sequence of which chains it learns."""

    model: ChainModel
    learnt: dict[str, int]
    training: TrainSettings
    seed: int


def work(job: Job[Spec]) -> None:
    """Write the model's folder with its training log."""
    from palimpsest.benchmarks.markov.data import read
    from palimpsest.markov.models import ChainTraining, build_model, encode
    from palimpsest.models.settings import UsedSettings
    from palimpsest.stages.training import logged, write_log
    from palimpsest.training.loop import train

    spec = job.spec
    chains = read(job.input("data"))
    items = [item for chain, length in spec.learnt.items() for item in encode(chains[chain].train[:, :length])]
    model = build_model(spec.model, chains["retain"].train.shape[1], spec.seed)
    problem, label = ChainTraining(items), "chains"
    with logged(job.out):
        log = train(
            model, problem, spec.training, UsedSettings(), seed=spec.seed, label=label, scratch=job.scratch, remark=job.remark
        )
    if processes.is_main():
        model.save_pretrained(job.out)
    write_log(job.out, log)


if __name__ == "__main__":
    run_stage("markov_train", Spec, work)
