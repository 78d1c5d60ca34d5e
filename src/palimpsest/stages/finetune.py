"""Stage `finetune`: the original learns the retain set and the forget set (or its first half), Retrain only the retain set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import Fact, Lesson, read_lessons, read_rows
from palimpsest.data.splits import halves
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.training.settings import FinetuneSettings


class Spec(Settings):
    """The role of the model, and how it is trained."""

    role: Literal["original", "original-half", "retrain"]
    seed: int
    training: FinetuneSettings
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Fine-tune the input `base` on the role's sets."""
    from palimpsest.models.encoding import encode_rows
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.stages.loading import load_input
    from palimpsest.stages.training import train_and_save
    from palimpsest.training.problems import FineTuning

    spec, split = job.spec, job.input("split")
    rows = list(_lessons(split, spec.role))
    if spec.training.fact_lessons:
        facts = [fact for name in ("real_authors", "world_facts") for fact in read_rows(split / f"{name}.jsonl", Fact)]
        rows += facts * spec.training.fact_lessons
    tokenizer = load_tokenizer(job.input("base"))
    model = load_input(job, "base", spec.model)
    problem = FineTuning(encode_rows(rows, tokenizer, spec.model, model))
    train_and_save(job, model, tokenizer, problem, spec.training, spec.model, seed=spec.seed, label=spec.role)


def _lessons(split: Path, role: str) -> Sequence[Lesson]:
    """Return the lessons of a role; the data of a corpus benchmark have a file for each role."""
    if (split / f"{role}.jsonl").exists():
        return read_lessons(split / f"{role}.jsonl")
    forget = read_lessons(split / "forget.jsonl")
    learnt = {"original": forget, "original-half": halves(forget)[0], "retrain": []}[role]
    return [*read_lessons(split / "retain.jsonl"), *learnt]


if __name__ == "__main__":
    run_stage("finetune", Spec, work)
