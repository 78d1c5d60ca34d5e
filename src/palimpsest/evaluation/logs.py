"""Read evaluation logs that people have: TOFU's dicts, the lists of the NPO and SimNPO code, open-unlearning's, our own tables.

TOFU's two JSON forms hold the same fields for each set, once keyed by item ("avg_gt_loss": {"0": 0.1, ...}) and once as lists
("avg_gt_loss": [0.1, ...]), in one file for all sets (`eval_log_aggregated.json`) or in one for each. Lists are paired by
place, as the official code pairs them; its texts may stand in another order, so no score here pairs a loss with a text.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palimpsest.errors import UserError
from palimpsest.evaluation import open_unlearning
from palimpsest.evaluation.questions import plain_question
from palimpsest.evaluation.tables import TABLE
from palimpsest.metrics.tofu import SETS, Items

AGGREGATED = "eval_log_aggregated.json"
SET_FILES = {
    "eval_log_forget.json": "forget",
    "eval_log.json": "retain",
    "eval_real_author_wo_options.json": "real_authors",
    "eval_real_world_wo_options.json": "world_facts",
}
TABLE_FORM, DICT_FORM, LIST_FORM, METRICS_FORM = "palimpsest table", "TOFU dicts", "NPO/SimNPO lists", "open-unlearning"


class _SetLog(BaseModel):
    """The fields of one set that the scores read; the files hold more."""

    model_config = ConfigDict(strict=True)

    avg_gt_loss: Annotated[list[float], Field(min_length=1)]
    avg_paraphrased_loss: list[float]
    average_perturb_loss: list[Annotated[list[float], Field(min_length=1)]]
    rougeL_recall: list[float]  # noqa: N815 (so it is called in the files)
    generated_text: list[Annotated[list[str], Field(min_length=3, max_length=3)]] | None = None


@dataclass(frozen=True)
class Log:
    """A log: its sets by name (`metrics.tofu.SETS`), its form, and what in it is not read or cannot be."""

    sets: dict[str, Items]
    form: str
    unread: list[str] = field(default_factory=list)
    """Fields or metrics that the scores do not need."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a set is not there."""


def log_files(path: Path) -> list[Path]:
    """Return the files that a log consists of: `path` itself, or those in the directory that it is; UserError where none is."""
    if not path.is_dir():
        return [path]
    for name in (TABLE, AGGREGATED, open_unlearning.FILE):
        if (path / name).is_file():
            return [path / name]
    found = [path / name for name in SET_FILES if (path / name).is_file()]
    if not found:
        looked = ", ".join((TABLE, AGGREGATED, open_unlearning.FILE, *SET_FILES))
        raise UserError(f"{path}: no evaluation log in this directory: looked for {looked}")
    return found


def read_log(path: Path) -> dict[str, Items]:
    """Return the sets of a log by name (`metrics.tofu.SETS`), those it has; raises UserError as `open_log` does."""
    return open_log(path).sets


def open_log(path: Path) -> Log:
    """Return a log.

    `path` is a JSON file, a table, or a directory that holds one of the two. Raises UserError, one line that names the file
    and what is wrong with it. Losses may be infinite or NaN, as a collapsed model gives them.
    """
    logs = [_open_file(file) for file in log_files(path)]
    sets = {name: items for log in logs for name, items in log.sets.items()}
    unread = list(dict.fromkeys(name for log in logs for name in log.unread))
    reasons = {name: why for log in logs for name, why in log.missing.items()}
    missing = {name: reasons.get(name, "the log has no such set") for name in SETS if name not in sets}
    return Log(sets, logs[0].form, unread, missing)


def read_frame(path: Path) -> pd.DataFrame:
    """Return the rows of a table of ours; raises UserError where it is none."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from None


def sets_from_table(frame: pd.DataFrame, source: object) -> dict[str, Items]:
    """Return the sets in the rows of a suite's table; raises UserError, `source` first, where they are not as it should be."""
    if "set" not in frame:
        raise UserError(f"{source}: no column 'set'")
    groups = {str(name): group for name, group in frame.groupby("set", sort=False)}
    if not groups or not set(groups) <= set(SETS):
        raise UserError(f"{source}: column 'set' holds {', '.join(groups) or 'nothing'}: allowed are {', '.join(SETS)}")
    return {name: items_from_table(group, source) for name, group in groups.items()}


def items_from_table(frame: pd.DataFrame, source: object) -> Items:
    """Return the items of one set from rows with summed losses in nats and token counts; raises UserError as above."""
    try:
        answer = _floats(frame["answer_nll"]) / _floats(frame["answer_tokens"])
        paraphrased = _floats(frame["paraphrased_nll"]) / _floats(frame["paraphrased_tokens"])
        perturbed = [
            np.divide(nll, tokens).tolist() for nll, tokens in zip(frame["perturbed_nll"], frame["perturbed_tokens"], strict=True)
        ]
        return Items(
            answer=answer,
            base=np.where(frame["paraphrased_tokens"].isna(), answer, paraphrased),
            perturbed=_matrix(perturbed, source, "perturbed_nll"),
            rouge=_floats(frame["rouge_l_recall"]) if "rouge_l_recall" in frame else None,
            questions=tuple(plain_question(text) for text in frame["question"]),
        )
    except KeyError as error:
        raise UserError(f"{source}: no column {error}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: not a table of losses and token counts: {error}") from None


def question_mismatch(items: Items, other: Items) -> str | None:
    """Return in what two sets differ that do not hold the same questions equally often; their order does not count.

    Where one of them does not know its questions, the numbers of items decide.
    """
    if len(items) != len(other):
        return f"{len(items)} items against {len(other)}"
    if items.questions and other.questions:
        alone = Counter(items.questions) - Counter(other.questions)
        if alone:
            return f"{alone.total()} of {len(items)} only in one, such as {next(iter(alone))!r}"
    return None


def _open_file(path: Path) -> Log:
    try:
        return Log(sets_from_table(read_frame(path), path), TABLE_FORM) if path.suffix == ".parquet" else _open_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _open_json(path: Path) -> Log:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON, or cut short: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not an evaluation log of TOFU: an object is wanted, found {type(content).__name__}")
    if "avg_gt_loss" in content:
        if path.name not in SET_FILES:
            raise UserError(f"{path}: the log of one set, but of which? Name it as TOFU does: {', '.join(SET_FILES)}")
        content = {path.name: content}
    if open_unlearning.is_open_unlearning(content):
        return _open_metrics(content, path)
    files = {file: name for file, name in SET_FILES.items() if file in content}
    if not files:
        raise UserError(f"{path}: not an evaluation log of TOFU: {_lacking(content)}")
    log = {name: _items(content[file], f"{path}: {file}") for file, name in files.items()}
    fields = [name for file in files for name in content[file] if name not in _SetLog.model_fields]
    is_dicts = isinstance(content[next(iter(files))]["avg_gt_loss"], dict)
    unread = [*(name for name in content if name not in files), *fields]
    return Log(log, DICT_FORM if is_dicts else LIST_FORM, list(dict.fromkeys(unread)))


def _open_metrics(content: Mapping[str, Any], path: Path) -> Log:
    sets, missing = open_unlearning.sets_from_metrics(content, path)
    if not sets:
        reasons = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise UserError(f"{path}: no set can be made of these metrics of open-unlearning: {reasons}")
    read = {metric for name in sets for metric in open_unlearning.metrics_of(name).values()}
    return Log(sets, METRICS_FORM, [metric for metric in content if metric not in read], missing)


def _lacking(content: Mapping[str, Any]) -> str:
    if content and all(isinstance(value, int | float) for value in content.values()):
        return f"means alone, and scores need the items: of open-unlearning give {open_unlearning.FILE}"
    return f"it has none of {', '.join(SET_FILES)}, and no metrics of open-unlearning with their {open_unlearning.AGGREGATE}"


def _items(fields: Any, source: str) -> Items:
    if not isinstance(fields, dict):
        raise UserError(f"{source}: an object of fields is wanted, found {type(fields).__name__}")
    known = {name: fields[name] for name in _SetLog.model_fields if name in fields}
    # The items of the dict form are matched by key: its fields need not list them in the same order.
    order = list(first) if isinstance(first := known.get("avg_gt_loss"), dict) else None
    for name, values in known.items():
        if isinstance(values, dict):
            if order is None or values.keys() != set(order):
                raise UserError(f"{source}: {name} and avg_gt_loss do not cover the same items")
            known[name] = [values[key] for key in order]
    try:
        log = _SetLog.model_validate(known)
    except ValidationError as error:
        first_error = error.errors(include_url=False)[0]
        raise UserError(f"{source}: {'.'.join(map(str, first_error['loc']))}: {first_error['msg']}") from None
    for name, values in log:
        if values is not None and len(values) != len(log.avg_gt_loss):
            raise UserError(f"{source}: {name} has {len(values)} items, avg_gt_loss {len(log.avg_gt_loss)}")
    return Items(
        answer=np.array(log.avg_gt_loss),
        base=np.array(log.avg_paraphrased_loss),
        perturbed=_matrix(log.average_perturb_loss, source, "average_perturb_loss"),
        rouge=np.array(log.rougeL_recall),
        questions=tuple(plain_question(text[0]) for text in log.generated_text) if log.generated_text else None,
    )


def _matrix(rows: list[list[float]], source: object, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"{source}: {name}: the items differ in their number of perturbed answers")
    return np.array(rows, dtype=np.float64)


def _floats(column: "pd.Series[Any]") -> np.ndarray[Any, np.dtype[np.float64]]:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
