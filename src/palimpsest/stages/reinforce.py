"""Stage `reinforce`: a start model learns the forget set once more, for RKLD's teacher and for task vectors."""

from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import read_lessons
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.training.settings import TrainSettings


class Spec(Settings):
    """How the start model is trained."""

    seed: int
    training: TrainSettings
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Train the input `model` on the forget set of the input `split`."""
    from palimpsest.models.encoding import encode_rows
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.stages.loading import load_input
    from palimpsest.stages.training import train_and_save
    from palimpsest.training.problems import FineTuning

    spec = job.spec
    tokenizer, model = load_tokenizer(job.input("model")), load_input(job, "model", spec.model)
    lessons = read_lessons(job.input("split") / "forget.jsonl")
    problem = FineTuning(encode_rows(lessons, tokenizer, spec.model, model))
    train_and_save(job, model, tokenizer, problem, spec.training, spec.model, seed=spec.seed, label="reinforced")


if __name__ == "__main__":
    run_stage("reinforce", Spec, work)
