"""The command `palimpsest init`: a commented config to start from, for each of a few tasks; its texts lie beside this file."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from palimpsest.arguments import filled, filled_path
from palimpsest.errors import UserError
from palimpsest.helps import with_examples
from palimpsest.mistakes import suggest
from palimpsest.names import SAFE_NAME, checked_name
from palimpsest.study.places import BASE

if TYPE_CHECKING:
    from palimpsest.arguments import Parser

HERE = Path(__file__).parent
# The task that also writes code, into the folders of a checkout.
METHOD = "method"
METHODS, TESTS = Path("src", "palimpsest", "methods"), Path("tests", "unit")


def add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to `palimpsest`."""
    text = "Write a commented config for a task, or list the tasks."
    examples = with_examples("init", "init documents", "init tofu studies/my-model.yaml", "init method bounded-ga.yaml")
    init = commands.add_parser("init", help="write a config to start from", description=text, **examples)
    init.add_argument("task", nargs="?", type=filled, metavar="TASK", help=f"{', '.join(tasks())} (default: list them)")
    init.add_argument("file", nargs="?", type=filled_path, metavar="FILE", help="the config to write (default: my-TASK.yaml)")
    init.set_defaults(run=_init, prog=init.prog)


def tasks() -> dict[str, str]:
    """Return each task with its first line."""
    return {path.stem: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in sorted(HERE.glob("*.yaml"))}


def _init(args: argparse.Namespace) -> int:
    known = tasks()
    if args.task is None:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {text}" for name, text in known.items()))
        return 0
    if args.task not in known:
        raise UserError(suggest("task", args.task, known))
    for path in write_task(args.task, args.file or Path(f"my-{args.task}.yaml")):
        print(f"{path}: written")
    return 0


def write_task(task: str, file: Path) -> list[Path]:
    """Write the files of a task and return their paths; raises UserError where one exists or cannot be written."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*" if task == METHOD else SAFE_NAME, file.stem):
        of_method = "a method: use small letters, digits and -, and start with a letter"
        of_study = "a study: use letters, digits, . _ + and -, and start with a letter or a digit"
        raise UserError(f"{file}: {file.stem!r} is not a name of {of_method if task == METHOD else of_study}")
    try:
        checked_name(file.stem)
    except PydanticCustomError as error:
        raise UserError(f"{file}: {error.message()}") from None
    words = {"file": file.as_posix(), "name": file.stem}
    texts = {file: f"{task}.yaml"}
    if task == METHOD:
        stem = file.stem.replace("-", "_")
        module, test = METHODS / f"{stem}.py", TESTS / f"test_method_{stem}.py"
        texts |= {module: "method.py.txt", test: "method_test.py.txt"}
        label = "".join(word.capitalize() for word in stem.split("_"))
        words |= {"stem": stem, "label": label, "module": module.as_posix(), "test": test.as_posix()}
        words["base"] = Path(os.path.relpath(BASE, file.parent)).as_posix()
    for path in texts:
        if path.exists():
            raise UserError(f"{path}: there is such a file already; nothing was written")
        if not path.parent.is_dir():
            hint = "; run this command in a checkout of Palimpsest" if task == METHOD else ""
            raise UserError(f"{path}: there is no folder {path.parent}{hint}")
    for path, template in texts.items():
        text = Template((HERE / template).read_text(encoding="utf-8")).substitute(words)
        path.write_text(text, encoding="utf-8")
    return list(texts)
