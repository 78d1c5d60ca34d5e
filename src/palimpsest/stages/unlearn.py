"""Stage `unlearn`: one variant of a method unlearns the forget set, with the settings of the config or of a selection."""

from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palimpsest import processes
from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import UserError
from palimpsest.methods import load_method, make_method
from palimpsest.methods.base import EditMethod
from palimpsest.models.settings import UsedSettings
from palimpsest.names import WATCHING
from palimpsest.provenance.manifest import UNMOVED, Remark
from palimpsest.settings import Settings
from palimpsest.streams import seed_of_draw
from palimpsest.training.settings import UnlearnSettings


class Spec(Settings):
    """The method, its training and its own settings; both are null if the input `selection` names them.

    For a method that edits weights, `training` is null. `watched` has the fields of `watching.Watched`, and `keep` says whether
    the model is written in addition to the trajectory.
    """

    method: str
    seed: int
    training: UnlearnSettings | None
    loss: dict[str, Any] | None
    model: UsedSettings
    watched: dict[str, Any] | None = None
    keep: bool = True


class Selected(Settings, extra="ignore"):
    """The settings in a selection; its other fields are ignored."""

    training: UnlearnSettings
    loss: dict[str, Any]


def work(job: Job[Spec]) -> None:
    """Write the unlearned model and, if requested, the trajectory of the training."""
    if load_method(job.spec.method).is_trained:
        _train(job)
    else:
        _edit(job)


def _train(job: Job[Spec]) -> None:
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.stages.loading import load_input
    from palimpsest.stages.training import train_and_save
    from palimpsest.stages.unlearning import start_model, unlearning_problem

    spec, used = job.spec, job.spec.model
    selected = _settings(job)
    method, training = make_method(spec.method, selected.loss), selected.training
    for remark in job.remarks_of("alternatives") if method.reads_alternatives else ():
        job.remark(remark)
    seed = seed_of_draw(spec.seed, training.draw)
    tokenizer, model = load_tokenizer(job.input("model")), load_input(job, "model", used)
    start, watch = None, None
    if spec.watched:
        start = start_model(job, used, model)
        seen = import_module(WATCHING).Watch
        watch = seen(job, start, tokenizer, used, spec.watched, last=training.last_epoch)
    problem = unlearning_problem(job, tokenizer, used, model, method=method, training=training, seed=seed, original=start)
    train_and_save(job, model, tokenizer, problem, training, used, seed=seed, label=spec.method, watch=watch, keep=spec.keep)


def _edit(job: Job[Spec]) -> None:
    """Write the start model with edited weights; there is no training, and so no training log."""
    from palimpsest.models.editing import edit_model
    from palimpsest.models.loading import load_tokenizer, save_model
    from palimpsest.stages.loading import load_input
    from palimpsest.stages.unlearning import further_models

    spec = job.spec
    if spec.training is not None or spec.loss is None or spec.watched or not spec.keep or job.inputs("selection"):
        raise UserError(f"spec: {spec.method} edits weights: it takes only loss, keeps the model, and takes no selection")
    method = make_method(spec.method, spec.loss)
    assert isinstance(method, EditMethod)
    model = load_input(job, "model", spec.model)
    if not edit_model(model, further_models(job, spec.model, method), method.edit):
        job.remark(Remark(UNMOVED, f"{spec.method}: the edit moved no weight, so the model is the one that it started from"))
    if processes.is_main():
        save_model(model, load_tokenizer(job.input("model")), job.out)


def _settings(job: Job[Spec]) -> Selected:
    spec = job.spec
    if job.inputs("selection"):
        if spec.training is not None or spec.loss is not None:
            raise UserError("spec: training and loss must be null with the input 'selection', which names them")
        return _read_selection(job.input("selection") / "selection.json")
    if spec.training is None or spec.loss is None:
        raise UserError("spec: training and loss may be null only with the input 'selection', which then names them")
    return Selected(training=spec.training, loss=spec.loss)


def _read_selection(path: Path) -> Selected:
    try:
        return Selected.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


if __name__ == "__main__":
    run_stage("unlearn", Spec, work)
