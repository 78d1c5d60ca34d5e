"""Stage `unlearn`: one method in one variant makes a model forget, with settings of the config or those that a choice names."""

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from palimpsest import processes
from palimpsest.errors import UserError
from palimpsest.models.settings import UsedSettings
from palimpsest.objectives import Objective, load_objective
from palimpsest.provenance.manifest import UNMOVED, Remark
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage
from palimpsest.training.settings import UnlearnSettings


class Spec(Settings):
    """The method, its training and its own settings; both are null where the input `choice` names them.

    A method that edits weights has no training, which is null then.
    """

    method: str
    seed: int
    training: UnlearnSettings | None
    loss: dict[str, float] | None
    model: UsedSettings


class Chosen(Settings, extra="ignore"):
    """The settings in a choice, which says more than these."""

    training: UnlearnSettings
    loss: dict[str, float]


def work(job: Job[Spec]) -> None:
    """Unlearn the forget set."""
    objective = load_objective(job.spec.method)
    if objective.is_trained:
        _train(job)
    else:
        _edit(job, objective)


def _train(job: Job[Spec]) -> None:
    from palimpsest.models.loading import load_model, load_tokenizer
    from palimpsest.stages.training import train_and_save
    from palimpsest.stages.unlearning import unlearning_problem

    spec, chosen = job.spec, _settings(job)
    tokenizer = load_tokenizer(job.input("model"))
    model = load_model(job.input("model"), spec.model)
    problem = unlearning_problem(
        job, tokenizer, spec.model, model, method=spec.method, training=chosen.training, loss=chosen.loss, seed=spec.seed
    )
    train_and_save(job, model, tokenizer, problem, chosen.training, spec.model, seed=spec.seed, label=spec.method)


def _edit(job: Job[Spec], objective: Objective) -> None:
    """Write the start model with its weights edited; there is no training, and so no log of it."""
    from palimpsest.models.editing import edit_model
    from palimpsest.models.loading import load_model, load_tokenizer, save_model

    spec = job.spec
    if spec.training is not None or spec.loss is None or "choice" in job.inputs:
        raise UserError(f"spec: {spec.method} edits weights: training is null, loss is not, and there is no choice")
    assert objective.edit_weights is not None
    model = load_model(job.input("model"), spec.model)
    other, edit = load_model(job.input("reinforced"), spec.model), partial(objective.edit_weights, **spec.loss)
    if not edit_model(model, other, edit):
        job.remark(Remark(UNMOVED, f"{spec.method}: the edit moved no weight, so the model is the one that it started from"))
    if processes.is_main():
        save_model(model, load_tokenizer(job.input("model")), job.out)


def _settings(job: Job[Spec]) -> Chosen:
    spec = job.spec
    if "choice" in job.inputs:
        if spec.training is not None or spec.loss is not None:
            raise UserError("spec: training and loss are null where the input 'choice' names them")
        return _read_choice(job.input("choice") / "choice.json")
    if spec.training is None or spec.loss is None:
        raise UserError("spec: training and loss are null only with the input 'choice', which then names them")
    return Chosen(training=spec.training, loss=spec.loss)


def _read_choice(path: Path) -> Chosen:
    try:
        return Chosen.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


if __name__ == "__main__":
    run_stage("unlearn", Spec, work)
