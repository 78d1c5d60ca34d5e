"""Offline directories for TensorBoard, MLflow and Weights & Biases, each written by the tool's own library.

Every model of a study becomes one run of the tool: training by step, watched metrics by epoch, final metrics, settings as
parameters, and tags. Nothing is sent anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from palimpsest.export.models import Model, Results

TRAIN, WATCHED, FINAL = "train", "watched", "final"
# What MLflow takes in one call, and the letters that it refuses in a name.
MOST_METRICS, MOST_PARAMS, UNNAMED = 1000, 100, re.compile(r"[^\w\-. :/]")
# The longest tag of Weights & Biases.
LONGEST_TAG = 64


def write_tensorboard(results: Results, out: Path) -> None:
    """Write an event file per model for TensorBoard, with settings and final metrics as hyperparameters."""
    from torch.utils.tensorboard import SummaryWriter

    for model in results.models:
        time = _time(model)
        with SummaryWriter(str(out / model.name)) as writer:
            for name, step, value in _points(model):
                writer.add_scalar(name, value, step, walltime=time)
            tags = "\n".join(f"- {name}: {value}" for name, value in model.tags.items())
            writer.add_text("tags", tags, walltime=time)
            finals = {f"{FINAL}/{name}": value for name, value in model.finals.items()}
            writer.add_hparams({**model.tags, **model.settings}, finals, run_name=".", global_step=0)


def write_mlflow(results: Results, out: Path) -> None:
    """Write an MLflow database, `mlflow.db`, with one experiment for the study."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    out.mkdir(parents=True)
    client = MlflowClient(f"sqlite:///{out.resolve() / 'mlflow.db'}")
    experiment = client.create_experiment(results.study, artifact_location=(out / "artifacts").resolve().as_uri())
    for model in results.models:
        time = round(_time(model) * 1000)
        points = [*_points(model), *((f"{FINAL}/{name}", 0, value) for name, value in model.finals.items())]
        run = client.create_run(experiment, start_time=time, run_name=model.name).info.run_id
        metrics = [Metric(UNNAMED.sub("_", name), value, time, step) for name, step, value in points]
        params = [Param(UNNAMED.sub("_", name), str(value)) for name, value in model.settings.items()]
        for start in range(0, len(metrics), MOST_METRICS):
            client.log_batch(run, metrics=metrics[start : start + MOST_METRICS])
        for start in range(0, len(params), MOST_PARAMS):
            client.log_batch(run, params=params[start : start + MOST_PARAMS])
        client.log_batch(run, tags=[RunTag(name, value) for name, value in model.tags.items()])
        client.set_terminated(run, end_time=time)


def write_wandb(results: Results, out: Path) -> None:
    """Write an offline run of Weights & Biases per model, without facts about this machine; `wandb sync` uploads them."""
    import wandb

    out.mkdir(parents=True)
    quiet = wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
    )
    for model in results.models:
        tags = [value for value in model.tags.values() if len(value) <= LONGEST_TAG]
        run = wandb.init(
            mode="offline",
            dir=str(out),
            project=results.study,
            name=model.name,
            group="/".join(model.of.place),
            tags=list(dict.fromkeys(tags)),
            config={**model.tags, **model.settings},
            settings=quiet,
        )
        for axis, counted in ((TRAIN, "step"), (WATCHED, "epoch")):
            run.define_metric(f"{axis}/*", step_metric=counted)
        for name, step, value in _points(model):
            run.log({name: value, "step" if name.startswith(TRAIN) else "epoch": step})
        run.summary.update({f"{FINAL}/{name}": value for name, value in model.finals.items()})
        run.finish()
    # The process of the library writes the last lines after `finish`.
    wandb.teardown()


def _points(model: Model) -> Iterator[tuple[str, int, float]]:
    """Yield name, step or epoch, and value of every point of a model's curves."""
    for axis, curve in ((TRAIN, model.curves), (WATCHED, model.epochs.items())):
        for step, values in curve:
            yield from ((f"{axis}/{name}", step, value) for name, value in values.items())


def _time(model: Model) -> float:
    """Return when the model was made, in seconds; 0 if that is not recorded."""
    return model.started.timestamp() if model.started else 0.0


# By target: what writes it. The extra that it needs, and the module of that extra, have the same name.
TRACKERS = {"tensorboard": write_tensorboard, "mlflow": write_mlflow, "wandb": write_wandb}
