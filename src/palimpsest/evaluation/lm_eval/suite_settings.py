"""The settings of an lm-eval suite."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from palimpsest.errors import UserError
from palimpsest.evaluation.suite import Reading, Suite
from palimpsest.lines import texts_in
from palimpsest.provenance.canonical import sha256_file
from palimpsest.settings import Count, Revision

PackageName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Repo = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$")]
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]
_PACKAGE = re.compile(r"\{package:([^}]*)\}")
# Double braces name a field of the question.
_DATA = re.compile(r"(?<!\{)\{data\}/(.+)")


# What `dataset_path` names instead of a data set if the data are files in a format.
FORMATS = ("json", "csv", "text", "parquet", "arrow")
# Questions of stock tasks; of other tasks about 1000 are assumed.
QUESTIONS = {"mmlu": 14042, "wmdp_bio": 1273, "wmdp_cyber": 1987}


class LmEvalSuite(Suite):
    """Tasks of the lm-evaluation-harness: stock tasks by name, or complete task and group configs that read local data."""

    kind: Literal["lm-eval"]
    """Tasks of the lm-evaluation-harness."""
    tasks: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    """Names of stock tasks, or complete configs of tasks or groups; in their strings {data} stands for the folder of the split
    and {package:NAME} for the folder of an installed package. An edit of another file runs the evaluation again."""
    datasets: dict[Repo, Revision] = {}
    """The data sets of the Hub that the tasks read, by name, each with its commit; a job of its own downloads them."""
    packages: dict[PackageName, Requirement] = {}
    """The packages that `tasks` refers to, by import name, each with its pip requirement `distribution==version`."""
    limit: Count | None = None
    """Evaluate only the first N questions of each task; null: all questions."""

    @property
    def names(self) -> list[str]:
        """The names of all tasks and groups; the name of a task in a group is prefixed with the group's name."""
        return [name for task in self.tasks for name in _names(task)]

    @property
    def stock(self) -> list[str]:
        """The stock tasks; each may be a group of tasks whose names only lm-eval knows."""
        return [task for task in self.tasks if isinstance(task, str)]

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: a multiple-choice question has the tokens of four items."""
        known = [QUESTIONS.get(task, 1000) if isinstance(task, str) else 1000 for task in self.tasks]
        return Reading(4 * item * sum(min(count, self.limit or count) for count in known), 0)

    def data_files(self) -> set[str]:
        """Return the files that the tasks read, relative to `{data}`."""
        return {file for task in self.tasks for file in _data_files(task)}

    def hash_own_files(self) -> dict[str, str]:
        """Return the sha256 of each file that the tasks read outside `{data}` and packages, relative to the working directory."""
        found: dict[str, str] = {}
        for named in sorted({path for task in self.tasks for path in _own_paths(task)}):
            start = Path(Path(named).anchor)
            matching = sorted(start.glob(str(Path(named).relative_to(start)))) if Path(named).parts else []
            files = [file for path in matching for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
            if not (hashes := {str(file): sha256_file(file) for file in files if file.is_file()}):
                raise UserError(f"there is no file {named!r}")
            found |= hashes
        return found

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            text = json.dumps(self.tasks, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"tasks: a task must be expressible in JSON: {error}") from None
        if json.loads(text) != self.tasks:
            raise ValueError("tasks: a task must be expressible in JSON: its keys must be strings")
        for task in self.tasks:
            _check_task(task)
        if twice := next((name for name, count in Counter(self.names).items() if count > 1), None):
            raise ValueError(f"tasks: {twice!r} is in the list twice")
        read = {path for task in self.tasks for path in _hub_paths(task)}
        if self.stock and not self.datasets:
            raise ValueError(f"datasets: missing: name the data sets of the Hub that {self.stock[0]} reads, each with its commit")
        if missing := read - self.datasets.keys():
            raise ValueError(f"datasets: missing: a task reads {min(missing)} of the Hub; name it with its commit")
        if not self.stock and (unread := self.datasets.keys() - read):
            raise ValueError(f"datasets: no task reads {min(unread)}")
        named = set(_PACKAGE.findall(text))
        if unnamed := named - set(self.packages):
            raise ValueError(f"tasks: {{package:{min(unnamed)}}}: the package is missing under packages")
        if unread := set(self.packages) - named:
            raise ValueError(f"packages: {min(unread)}: no task reads {{package:{min(unread)}}}")
        return self


def _names(task: str | dict[str, Any]) -> list[str]:
    if isinstance(task, str):
        return [task]
    if "group" not in task:
        return [task["task"]]
    return [task["group"], *(f"{task['group']}_{name}" for name in _members(task))]


def _members(group: dict[str, Any]) -> list[str]:
    return [member if isinstance(member, str) else member["task"] for member in group["task"]]


def _configs(task: str | dict[str, Any]) -> list[dict[str, Any]]:
    """Return the config of a task, and those of a group's tasks; none of a stock task."""
    if isinstance(task, str):
        return []
    return [task, *(each for each in (task["task"] if "group" in task else []) if isinstance(each, dict))]


def _dataset_paths(task: str | dict[str, Any]) -> set[str]:
    """Return what the configs of a task name in place of a format: a data set of the Hub, or a folder."""
    return {path for config in _configs(task) if isinstance(path := config.get("dataset_path"), str) and path not in FORMATS}


def _hub_paths(task: str | dict[str, Any]) -> set[str]:
    """Return the data sets of the Hub that a complete config names."""
    return {path for path in _dataset_paths(task) if not path.startswith(("{", "/", "."))}


def _own_paths(task: str | dict[str, Any]) -> set[str]:
    """Return the paths that a complete config names outside the data and packages: files of a format, and folders."""
    given = [config.get("dataset_kwargs") for config in _configs(task)]
    named = [each["data_files"] for each in given if isinstance(each, dict) and "data_files" in each]
    files = {text for each in named for text in texts_in(list(each.values()) if isinstance(each, dict) else each)}
    folders = {path for path in _dataset_paths(task) if path.startswith(("/", "."))}
    return {path for path in files | folders if "{" not in path}


def _check_task(task: str | dict[str, Any]) -> None:
    """Refuse a task that lm-eval would refuse only after all training."""
    if isinstance(task, str):
        if not task.strip():
            raise ValueError("tasks: a name is blank")
        return
    if "group" not in task:
        if not isinstance(task.get("task"), str):
            raise ValueError("tasks: the config of a task needs its name under 'task'")
        return
    members = task.get("task")
    if not isinstance(task["group"], str) or not isinstance(members, list) or not members:
        raise ValueError("tasks: the config of a group needs its name under 'group' and a list of tasks under 'task'")
    for member in members:
        own = {"task": member} if isinstance(member, str) else member
        if not isinstance(own, dict) or not isinstance(own.get("task"), str):
            raise ValueError(f"tasks: group {task['group']}: a task must be a name, or a config with its name under 'task'")
        if "dataset_path" not in {**task, **own}:
            raise ValueError(
                f"tasks: group {task['group']}: task {own['task']} has no dataset_path: only local tasks can be grouped"
            )


def _data_files(task: str | dict[str, Any]) -> set[str]:
    if isinstance(task, str):
        return set()
    found = {file for text in texts_in(task) for file in _DATA.findall(text)}
    members = _members(task) if "group" in task else []
    return {file.replace("{task}", member) for file in found for member in (members if "{task}" in file else [""])}


SETTINGS = LmEvalSuite
