"""The lm-eval suite: stock tasks, or task configs with local data, through `lm_eval.simple_evaluate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.packages import package_folder
from palimpsest.evaluation.lm_eval.stock import downloaded, task_manager

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
    from palimpsest.evaluation.subject import Subject

# lm-eval does not return items, only the numbers of tasks and groups.
SCHEMA = pa.schema([("task", pa.string()), ("metric", pa.string()), ("value", pa.float64())])


def measure(
    subject: Subject, suite: LmEvalSuite, data: Path, scratch: Path, datasets: Path | None = None
) -> list[dict[str, Any]]:
    """Return one row per number of every task and group; `datasets` is the folder with the data sets of stock tasks."""
    from palimpsest.data.prompts import PromptEncoder

    end = PromptEncoder(subject.tokenizer, subject.used.prompt).end
    results = evaluate_lm_eval(subject.model, subject.tokenizer, suite, data, cache=scratch, datasets=datasets, end=end)
    return [
        {"task": task, "metric": metric, "value": value} for task, values in results.items() for metric, value in values.items()
    ]


def evaluate_lm_eval(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    suite: LmEvalSuite,
    data: Path,
    cache: Path,
    datasets: Path | None = None,
    end: int | None = None,
) -> dict[str, dict[str, float]]:
    """Return the numbers of every task and group, {task: {metric: value}}; `end` is the token that ends the model's answers.

    In a task config, `{data}` becomes the data folder, and `{package:NAME}` the folder of a package that the suite names.
    `cache` is the cache for their data, so that runs do not share one; the data sets of stock tasks are in the folder `datasets`.
    Raises UserError for an unknown task, and for a package that is missing or has another version.
    """
    from lm_eval import simple_evaluate

    places = {"{data}": str(data)} | {
        f"{{package:{name}}}": str(package_folder(name, requirement)) for name, requirement in suite.packages.items()
    }
    tasks = [task if isinstance(task, str) else _local(task, places, cache) for task in suite.tasks]
    manager = task_manager(suite.stock)
    from palimpsest.data.prompts import added_tokens
    from palimpsest.evaluation.lm_eval.harness import SharedHFLM

    if added_tokens(tokenizer)[1]:
        raise UserError(
            "suites: the tokenizer appends a token to every text (add_eos_token), which lm-eval would take for a part"
            " of each question; save the tokenizer without it"
        )
    harness = SharedHFLM(pretrained=model, tokenizer=tokenizer)
    harness.end = end
    folders = {name: datasets / name for name in suite.datasets} if datasets else {}
    with downloaded(folders, cache):
        result = simple_evaluate(model=harness, tasks=tasks, task_manager=manager, limit=suite.limit, log_samples=False)
    # lm-eval returns the result only to the main process.
    return {task: _numbers(values) for task, values in sorted(result["results"].items())} if result else {}


def _local(config: dict[str, Any], places: dict[str, str], cache: Path) -> Any:
    """Return the config of a task with its placeholders filled in, or a group made from its config."""
    if "group" in config:
        return _group(config, places, cache)
    return _filled({**config, "dataset_kwargs": {**config.get("dataset_kwargs", {}), "cache_dir": str(cache)}}, places)


def _group(config: dict[str, Any], places: dict[str, str], cache: Path) -> Any:
    """Return a group of local tasks, which lm-eval cannot make: it passes a group's keys on to its tasks and then refuses them.

    The group's other keys apply to all its tasks; `{task}` is the name of each task, prefixed with the group's name in results.
    """
    from lm_eval.api.group import Group
    from lm_eval.api.task import ConfigurableTask

    own = {key: config[key] for key in ("group", "group_alias", "aggregate_metric_list", "metadata") if key in config}
    shared = {key: value for key, value in config.items() if key not in own}
    group = Group.from_config(own)
    for member in config["task"]:
        task = {**shared, **({"task": member} if isinstance(member, str) else member)}
        named = {**task, "task": f"{group.name}_{task['task']}"}
        group.add(ConfigurableTask(config=_local(named, {**places, "{task}": task["task"]}, cache)))
    return group


def _filled(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, places) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, places) for inner in value]
    if isinstance(value, str):
        for place, path in places.items():
            # Double braces name a field of the question.
            value = re.sub(r"(?<!\{)" + re.escape(place), path.replace("\\", r"\\"), value)
    return value


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Keep only the metrics: lm-eval writes 'acc,none' for metric and filter, and adds a name and a count."""
    metrics = {key.removesuffix(",none"): value for key, value in values.items() if "," in key}
    return {key: float(value) for key, value in sorted(metrics.items()) if isinstance(value, int | float)}
