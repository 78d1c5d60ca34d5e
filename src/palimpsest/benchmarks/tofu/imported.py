"""The TOFU logs that the stage `external` imports: their files, their sets and their scores."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.tofu.items import Sets, check_forget_sets, sets_from_table
from palimpsest.benchmarks.tofu.logs import Log, log_files, open_log
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.benchmarks.tofu.undefined import COPY, are_copies, undefined_quality, undefined_scores
from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation.items import read_frame
from palimpsest.provenance.canonical import sha256_file


def hash_log(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of a log by name; raises UserError if there is none."""
    try:
        return {file.name: sha256_file(file) for file in log_files(path)}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


class ImportedLog:
    """A log whose files are copied byte for byte into a folder.

    Raises UserError if it cannot be read, has no forget set, or differs from the planned log (`hashes`).
    """

    def __init__(self, path: Path, hashes: Mapping[str, str], folder: Path) -> None:
        self.path, self.folder = path, folder
        self.log: Log = open_log(path)
        folder.mkdir()
        for file in log_files(path):
            shutil.copyfile(file, folder / file.name)
        if {file.name: sha256_file(file) for file in folder.iterdir()} != hashes:
            raise UserError(f"{path}: it changed after this run was planned; start the run again")
        if "forget" not in self.log.sets:
            raise UserError(f"{path}: no forget set: {self.log.missing['forget']}")

    def describe(self) -> dict[str, Any]:
        """Return the log's format, files and items, whether it has questions, and missing and unused parts."""
        log = self.log
        files = {file.name: {"sha256": sha256_file(file), "size": file.stat().st_size} for file in sorted(self.folder.iterdir())}
        items = {name: len(of) for name, of in log.sets.items()}
        known = log.sets["forget"].questions is not None
        return {
            "form": log.form,
            "files": files,
            "items": items,
            "questions": known,
            "missing": log.missing,
            "unread": log.unread,
        }

    def score(self, retrain: "ImportedLog | Path | Diverged") -> tuple[dict[str, float], dict[str, Any]]:
        """Return the log's scores, the reasons for `undefined` scores, and `notes`.

        Retrain is another log, the item table of the study's Retrain, or its divergence. Raises UserError for other questions.
        """
        log = self.log
        undefined = {name: why for name, why in undefined_scores(log).items() if not any(map(name.startswith, log.missing))}
        if isinstance(retrain, Diverged):
            undefined["forget_quality"] = f"Retrain {retrain}"
            return tofu_scores(log.sets), {"undefined": undefined, "notes": log.notes}
        source: Path
        sets: Sets
        if isinstance(retrain, Path):
            sets, source = sets_from_table(read_frame(retrain), retrain), retrain
        else:
            sets, source = retrain.log.sets, retrain.path
        check_forget_sets(log.sets, self.path, sets, source)
        if why := undefined_quality(log.sets["forget"], sets["forget"]):
            undefined["forget_quality"] = why
        copies = [COPY] if are_copies(log.sets["forget"], sets["forget"]) else []
        return tofu_scores(log.sets, sets), {"undefined": undefined, "notes": [*log.notes, *copies]}
