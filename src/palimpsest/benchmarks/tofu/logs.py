"""Read evaluation logs: TOFU's dicts, the lists of the NPO and SimNPO code, open-unlearning's metrics, and our own tables.

TOFU's two JSON formats have the same fields for each set, keyed by item ("avg_gt_loss": {"0": 0.1, ...}) or as lists
("avg_gt_loss": [0.1, ...]), in one file for all sets (`eval_log_aggregated.json`) or one file per set. Lists are paired by
position, as in the official code; its texts may be in another order, so no score here pairs a loss with a text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palimpsest.benchmarks.tofu import open_unlearning
from palimpsest.benchmarks.tofu.items import SETS, Items, completed, matrix, sets_from_table
from palimpsest.benchmarks.tofu.questions import plain_question
from palimpsest.benchmarks.tofu.values import Numbers, check_losses, check_shares
from palimpsest.errors import UserError
from palimpsest.evaluation.items import ROUGE_WORDS, TABLE, read_frame
from palimpsest.metrics.words import has_known_words
from palimpsest.strict_json import read_json

AGGREGATED = "eval_log_aggregated.json"
SET_FILES = {
    "eval_log_forget.json": "forget",
    "eval_log.json": "retain",
    "eval_real_author_wo_options.json": "real_authors",
    "eval_real_world_wo_options.json": "world_facts",
}
TABLE_FORM, DICT_FORM, LIST_FORM, METRICS_FORM = "palimpsest table", "TOFU dicts", "NPO/SimNPO lists", "open-unlearning"


class _SetLog(BaseModel):
    """The fields of one set that the scores need; the files contain more."""

    model_config = ConfigDict(strict=True)

    avg_gt_loss: Annotated[list[float], Field(min_length=1)]
    avg_paraphrased_loss: list[float]
    average_perturb_loss: list[Annotated[list[float], Field(min_length=1)]]
    rougeL_recall: list[float] | None = None  # noqa: N815 (so it is called in the files)
    generated_text: list[Annotated[list[str], Field(min_length=3, max_length=3)]] | None = None


@dataclass(frozen=True)
class Log:
    """A log: its sets by name (`items.SETS`), its format, and its unused and unreadable parts."""

    sets: dict[str, Items]
    form: str
    unread: list[str] = field(default_factory=list)
    """Fields or metrics that the scores do not use."""
    missing: dict[str, str] = field(default_factory=dict)
    """The reason for each missing set."""
    notes: list[str] = field(default_factory=list)
    """The omitted parts of sets, with reasons."""


def log_files(path: Path) -> list[Path]:
    """Return the files of a log: `path` itself, or the log files in this folder; raises UserError if there are none."""
    if not path.is_dir():
        return [path]
    whole = [path / name for name in (TABLE, AGGREGATED, open_unlearning.FILE) if (path / name).is_file()]
    if len(whole) > 1:
        raise UserError(f"{path}: holds {' and '.join(file.name for file in whole)}: name one of them")
    if whole:
        return whole
    found = [path / name for name in SET_FILES if (path / name).is_file()]
    if not found:
        looked = ", ".join((TABLE, AGGREGATED, open_unlearning.FILE, *SET_FILES))
        raise UserError(f"{path}: no evaluation log in this directory: looked for {looked}")
    return found


def read_log(path: Path) -> dict[str, Items]:
    """Return the existing sets of a log by name (`items.SETS`); raises UserError like `open_log`."""
    return open_log(path).sets


def open_log(path: Path) -> Log:
    """Return a log.

    `path` is a JSON file, a table, or a folder that contains one of them. Raises UserError that names the file and the problem.
    Losses may be infinite or NaN, as for a collapsed model.
    """
    files = log_files(path)
    logs = [_open_file(file) for file in files]
    sets: dict[str, Items] = {}
    for file, log in zip(files, logs, strict=True):
        if twice := sets.keys() & log.sets.keys():
            raise UserError(f"{file}: set {min(twice)} stands in another file of {path} too")
        sets |= log.sets
    unread = list(dict.fromkeys(name for log in logs for name in log.unread))
    reasons = {name: why for log in logs for name, why in log.missing.items()}
    missing = {name: reasons.get(name, "the log has no such set") for name in SETS if name not in sets}
    return Log(sets, logs[0].form, unread, missing, [note for log in logs for note in log.notes])


def _open_file(path: Path) -> Log:
    try:
        return _open_table(path) if path.suffix == ".parquet" else _open_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _open_table(path: Path) -> Log:
    written = read_frame(path)
    frame, notes = completed(written), list[str]()
    sets = sets_from_table(frame, path)
    # A table with ROUGE but without this column is from a version that always used rouge_score's words.
    if "rouge_l_recall" in written and ROUGE_WORDS not in written and "answer" in written:
        for name in sets:
            sets[name] = without_unread_rouge(name, sets[name], frame.loc[frame["set"] == name, "answer"].tolist(), notes)
    return Log(sets, TABLE_FORM, notes=notes)


def without_unread_rouge(name: str, items: Items, answers: Sequence[str | None], notes: list[str]) -> Items:
    """Return a set without meaningless ROUGE values of 0, where `rouge_score` finds no word in the right answer.

    A note on them is added to `notes`.
    """
    if items.rouge is None:
        return items
    strange = [bool((text or "").strip()) and not has_known_words(text or "") for text in answers]
    unknown = np.array(strange) & (items.rouge == 0)
    if not unknown.any():
        return items
    notes.append(
        f"{name}: ROUGE of {unknown.sum()} of {len(items)} items is left out: it is 0 and their right answers hold no letter"
        " a-z and no digit, which are all that rouge_score reads"
    )
    return replace(items, rouge=np.where(unknown, np.nan, items.rouge))


def _open_json(path: Path) -> Log:
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: not an evaluation log of TOFU: must be an object, not a {type(content).__name__}")
    if "avg_gt_loss" in content:
        if path.name not in SET_FILES:
            raise UserError(f"{path}: the log of an unknown set; name the file as TOFU does: {', '.join(SET_FILES)}")
        content = {path.name: content}
    files = {file: name for file, name in SET_FILES.items() if file in content}
    if open_unlearning.is_open_unlearning(content):
        if files:
            raise UserError(f"{path}: holds {next(iter(files))} of TOFU and metrics of open-unlearning: which are meant?")
        return _open_metrics(content, path)
    if not files:
        raise UserError(f"{path}: not an evaluation log of TOFU: {_lacking(content)}")
    notes: list[str] = []
    sets = {name: _items(content[file], name, f"{path}: {file}", notes) for file, name in files.items()}
    fields = [name for file in files for name in content[file] if name not in _SetLog.model_fields]
    is_dicts = isinstance(content[next(iter(files))]["avg_gt_loss"], dict)
    unread = [*(name for name in content if name not in files), *fields]
    return Log(sets, DICT_FORM if is_dicts else LIST_FORM, list(dict.fromkeys(unread)), notes=notes)


def _open_metrics(content: Mapping[str, Any], path: Path) -> Log:
    sets, missing = open_unlearning.sets_from_metrics(content, path)
    if not sets:
        reasons = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise UserError(f"{path}: no set can be made of these metrics of open-unlearning: {reasons}")
    notes: list[str] = []
    for name in sets:
        if answers := open_unlearning.right_answers(content, name):
            sets[name] = without_unread_rouge(name, sets[name], answers, notes)
    read = {metric for name in sets for metric in open_unlearning.metrics_of(name).values()}
    return Log(sets, METRICS_FORM, [metric for metric in content if metric not in read], missing, notes)


def _lacking(content: Mapping[str, Any]) -> str:
    if content and all(isinstance(value, int | float) for value in content.values()):
        return f"means alone, and scores need the items: of open-unlearning give {open_unlearning.FILE}"
    return f"it has none of {', '.join(SET_FILES)}, and no metrics of open-unlearning with their {open_unlearning.AGGREGATE}"


def _items(fields: Any, name: str, source: str, notes: list[str]) -> Items:
    """Return one set of a TOFU log."""
    if not isinstance(fields, dict):
        raise UserError(f"{source}: must be an object with fields, not a {type(fields).__name__}")
    known = {part: fields[part] for part in _SetLog.model_fields if part in fields}
    # In the dict format, items are matched by key, because fields may list them in different orders.
    order = list(first) if isinstance(first := known.get("avg_gt_loss"), dict) else None
    for part, values in known.items():
        if isinstance(values, dict):
            if order is None or values.keys() != set(order):
                raise UserError(f"{source}: {part} and avg_gt_loss do not cover the same items")
            known[part] = [values[key] for key in order]
    try:
        log = _SetLog.model_validate(known)
    except ValidationError as error:
        first_error = error.errors(include_url=False)[0]
        place = list(first_error["loc"])
        if order and len(place) > 1:
            place[1] = order[int(place[1])]
        raise UserError(f"{source}: {'.'.join(map(str, place))}: {first_error['msg']}") from None
    for part, values in log:
        if values is not None and len(values) != len(log.avg_gt_loss):
            raise UserError(f"{source}: {part} has {len(values)} items, avg_gt_loss {len(log.avg_gt_loss)}")
    keys = order or range(len(log.avg_gt_loss))

    def checked(part: str, losses: Numbers) -> Numbers:
        check_losses(losses, f"{source} ({name}): {part}", keys)
        return losses

    rouge = None if log.rougeL_recall is None else np.array(log.rougeL_recall, dtype=np.float64)
    if rouge is not None:
        check_shares(rouge, f"{source} ({name}): rougeL_recall", keys)
    items = Items(
        answer=checked("avg_gt_loss", np.array(log.avg_gt_loss, dtype=np.float64)),
        base=checked("avg_paraphrased_loss", np.array(log.avg_paraphrased_loss, dtype=np.float64)),
        perturbed=checked("average_perturb_loss", matrix(log.average_perturb_loss, source, "average_perturb_loss")),
        rouge=rouge,
        questions=tuple(plain_question(text[0]) for text in log.generated_text) if log.generated_text else None,
    )
    return without_unread_rouge(name, items, [text[2] for text in log.generated_text], notes) if log.generated_text else items
