"""A log that others made, taken into an artefact as it is: its files, where it is said to be from, and the numbers it gives."""

import shutil
from pathlib import Path
from typing import Any

from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation.logs import Log, log_files, open_log, question_mismatch
from palimpsest.evaluation.undefined import COPY, are_copies, undefined_quality, undefined_scores
from palimpsest.metrics.forget_quality import ForgetQuality
from palimpsest.metrics.tofu import Items, compare_forget_sets, tofu_scores
from palimpsest.provenance.canonical import sha256_file
from palimpsest.scores.artefacts import Scores
from palimpsest.settings import Settings

# What tells such an artefact from all that were made here.
ORIGIN = "imported"


class LogFiles(Settings):
    """A log on this machine: its path, and the sha256 of each of its files by name, which are what it is."""

    path: str
    files: dict[str, str]


def hash_log(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of a log by name; raises UserError where there is none."""
    try:
        return {file.name: sha256_file(file) for file in log_files(path)}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def take_log(given: LogFiles, folder: Path) -> Log:
    """Return a log, its files copied byte for byte; raises UserError where it cannot be read or is not the one planned with."""
    path = Path(given.path)
    log = open_log(path)
    folder.mkdir()
    for file in log_files(path):
        shutil.copyfile(file, folder / file.name)
    copied = {file.name: sha256_file(file) for file in folder.iterdir()}
    if copied != given.files:
        raise UserError(f"{path}: its bytes are not those that this run was planned with: start it again")
    return log


def describe_log(log: Log, folder: Path) -> dict[str, Any]:
    """Return what a log with a forget set is: form, files, items, whether it has questions, what is missing or not read."""
    files = {file.name: {"sha256": sha256_file(file), "size": file.stat().st_size} for file in sorted(folder.iterdir())}
    items = {name: len(of) for name, of in log.sets.items()}
    known = log.sets["forget"].questions is not None
    return {"form": log.form, "files": files, "items": items, "questions": known, "missing": log.missing, "unread": log.unread}


def describe_doubts(log: Log, retrain: Items | Diverged) -> dict[str, Any]:
    """Return why scores of the sets in a log are `undefined`, and `notes`: what else a reader of its numbers must know.

    `retrain` is the forget set that judges it, or how the model that should have judged it diverged.
    """
    undefined = {name: why for name, why in undefined_scores(log).items() if not any(map(name.startswith, log.missing))}
    if isinstance(retrain, Diverged):
        return {"undefined": {**undefined, "forget_quality": f"Retrain {retrain}"}, "notes": log.notes}
    if why := undefined_quality(log.sets["forget"], retrain):
        undefined["forget_quality"] = why
    return {"undefined": undefined, "notes": [*log.notes, *([COPY] if are_copies(log.sets["forget"], retrain) else [])]}


def log_scores(log: Log, quality: ForgetQuality) -> Scores:
    """Return the suite's scores of a log and its forget quality."""
    return tofu_scores(log.sets) | {"forget_quality": quality.p_value, "ks_statistic": quality.statistic}


def judge_by_log(forget: Items, log: Path, retrain: Log, path: Path) -> ForgetQuality:
    """Return forget quality against the log of a Retrain; raises UserError where it was asked other questions or none."""
    if "forget" not in retrain.sets:
        raise UserError(f"{path}: no forget set, which forget quality needs: it has {', '.join(retrain.sets)}")
    if mismatch := question_mismatch(forget, retrain.sets["forget"]):
        raise UserError(f"{log}: other forget questions than Retrain in {path}: {mismatch}")
    return compare_forget_sets(forget, retrain.sets["forget"])
