"""Score one TOFU evaluation log, optionally against Retrain's log."""

import math
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.tofu.items import SETS, Items, question_mismatch
from palimpsest.benchmarks.tofu.logs import Log, open_log
from palimpsest.benchmarks.tofu.scores import compare_forget_sets, tofu_scores
from palimpsest.benchmarks.tofu.undefined import COPY, PARTS, SCORES, are_copies, undefined_quality, undefined_scores
from palimpsest.errors import UserError


def score_log(path: Path, retrain: Path | None, *, allow_mismatch: bool = False) -> dict[str, Any]:
    """Return `model_utility`, its nine `parts`, the `forget` set's scores, `forget_quality`, `ks_statistic` and `items`.

    An undefined score is None, and `undefined` has the reason by its name; `notes` has other facts that a reader must know.
    Raises UserError for a log that cannot be read or has no forget set to compare, and for two logs with different forget
    questions unless `allow_mismatch`.
    """
    log = open_log(path)
    scores = {name: value for name, value in tofu_scores(log.sets).items() if math.isfinite(value)}
    result: dict[str, Any] = {
        "model_utility": scores.get("model_utility"),
        "parts": {part: scores.get(part) for part in PARTS},
        "forget": {part: scores.get(f"forget_{part}") for part in SCORES},
        "forget_quality": None,
        "ks_statistic": None,
        "items": {name: len(log.sets[name]) if name in log.sets else 0 for name in SETS} | {"retrain_forget": None},
        "undefined": undefined_scores(log),
        "notes": list(log.notes),
    }
    if retrain is None:
        why = "no log of Retrain was given (--retrain)"
    else:
        unlearned, other = _forget_set(log, path), open_log(retrain)
        reference = _forget_set(other, retrain)
        result["notes"] += [f"Retrain's log: {note}" for note in other.notes]
        result["notes"] += _compared(unlearned, reference, path, retrain, allow_mismatch=allow_mismatch)
        result["items"]["retrain_forget"] = len(reference)
        if not (why := undefined_quality(unlearned, reference)):
            quality = compare_forget_sets(unlearned, reference)
            result |= {"forget_quality": quality.p_value, "ks_statistic": quality.statistic}
    if why:
        result["undefined"] |= {"forget_quality": why, "ks_statistic": why}
    return result


def format_score(result: dict[str, Any]) -> str:
    """Return the scores as a small table for a terminal."""
    rows = [("model utility", "model_utility", result["model_utility"])]
    rows += [(f"  {part.replace('_', ' ')}", part, value) for part, value in result["parts"].items()]
    rows += [(f"forget {part.replace('_', ' ')}", f"forget_{part}", value) for part, value in result["forget"].items()]
    rows += [("forget quality", "forget_quality", result["forget_quality"])]
    rows += [("KS statistic", "ks_statistic", result["ks_statistic"])]
    undefined = result["undefined"]
    lines = [f"{label:28}{f'- ({undefined[name]})' if value is None else format(value, '.4g')}" for label, name, value in rows]
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result["items"].items() if count is not None)
    return "\n".join([*lines, f"{'items':28}{counts}", *(f"note: {note}" for note in result["notes"])])


def _compared(items: Items, retrain: Items, path: Path, other: Path, *, allow_mismatch: bool) -> list[str]:
    """Return notes on a comparison with Retrain; raises UserError if the questions differ."""
    notes = []
    if mismatch := question_mismatch(items, retrain):
        if not allow_mismatch:
            hint = "--allow-mismatch compares them all the same"
            raise UserError(f"{path} and {other}: not the same forget questions: {mismatch} ({hint})")
        notes.append(f"the two logs are not of the same forget questions: {mismatch}")
    elif not (items.questions and retrain.questions):
        notes.append("the forget questions are not in both logs: their number alone was compared")
    if are_copies(items, retrain):
        notes.append(COPY)
    if items.perturbed.shape[1] != retrain.perturbed.shape[1]:
        notes.append(
            f"the truth ratio is over {items.perturbed.shape[1]} wrong answers an item, in Retrain's log over"
            f" {retrain.perturbed.shape[1]}"
        )
    return notes


def _forget_set(log: Log, path: Path) -> Items:
    if "forget" not in log.sets:
        raise UserError(f"{path}: no forget set, which forget quality needs: it has {', '.join(log.sets)}")
    return log.sets["forget"]
