"""Stage `finetune` of Markov chains: a model learns some of the chains, as original or, of the retain chain alone, as Retrain."""

from palimpsest import processes
from palimpsest.benchmarks.base import Resolved
from palimpsest.benchmarks.markov.settings import ChainModel
from palimpsest.contract.job import Job, run_stage
from palimpsest.names import RETRAIN, ModelId
from palimpsest.settings import Settings
from palimpsest.training.settings import TrainSettings


class Spec(Settings):
    """The model, and how many states of each sequence of which chains it learns."""

    model: ChainModel
    learnt: dict[str, int]
    training: TrainSettings
    seed: int


def spec(study: Resolved, of: ModelId) -> Spec:
    """Return the spec of an original, which learns all chains but for those that the split leaves out, or of Retrain."""
    chains = study.benchmark(of.benchmark)
    learnt = {"retain": chains.length} if of.method == RETRAIN else chains.learnt_lengths(of.split)
    model = study.model(of.model).model_dump(include=set(ChainModel.model_fields))
    training = study.finetuning(*of.place).model_dump(include=set(TrainSettings.model_fields))
    return Spec(model=ChainModel(**model), learnt=learnt, training=TrainSettings(**training), seed=of.needed_seed)


def work(job: Job[Spec]) -> None:
    """Write the model's folder with its training log."""
    from functools import partial

    from palimpsest.benchmarks.markov.data import read
    from palimpsest.benchmarks.markov.models import ChainTraining, build_model, encode
    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.log import train_logged, write_log
    from palimpsest.training.loop import train

    spec, chains = job.spec, read(job.input("split"))
    items = [item for chain, length in spec.learnt.items() for item in encode(chains[chain].train[:, :length])]
    model = build_model(spec.model, chains["retain"].train.shape[1], spec.seed)
    learn = partial(train, model, ChainTraining(items), spec.training, UsedSettings(), seed=spec.seed, label="chains")
    train_logged(partial(learn, scratch=job.scratch, remark=job.remark), partial(write_log, job.out))
    if processes.is_main():
        model.save_pretrained(job.out)


if __name__ == "__main__":
    run_stage("palimpsest.benchmarks.markov.stages.finetune", Spec, work)
