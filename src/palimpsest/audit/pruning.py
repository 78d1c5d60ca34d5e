"""The command `palimpsest prune`: remove the weights of a finished study, or of the finished part of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from palimpsest.audit.status import CURRENT, status
from palimpsest.contract.pruning import freed_by, is_left, prune
from palimpsest.contract.store import store_of
from palimpsest.errors import UserError
from palimpsest.study.keeping import prunable
from palimpsest.study.models import Keep
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

LOCKS = Path(".snakemake", "locks")


@dataclass(frozen=True)
class Pruning:
    """What may be pruned of results, with the bytes that it frees, and the models that unfinished jobs still read."""

    results: str
    freed: dict[str, int]
    needed: list[str]


def find_prunable(study: Study, keep: Keep | None) -> Pruning:
    """Return what may be pruned of a study's results; `keep` counts in place of the config's."""
    artefacts = Artefacts(study)
    kinds = {state.path: state.kind for state in status(study).states}
    here = [path for path in prunable(artefacts, keep) if kinds[path] in CURRENT]
    whole = [path for path in here if kinds[path] != "pruned" or is_left(Path(study.results, path))]
    is_read = {path: all(kinds[of.path] in CURRENT for of in artefacts.readers[path]) for path in whole}
    store = store_of(study.results)
    return Pruning(
        results=study.results,
        freed={path: freed_by(Path(study.results, path), store) for path in whole if is_read[path]},
        needed=[path for path in whole if not is_read[path]],
    )


def prune_results(study: Study, keep: Keep | None, *, dry_run: bool) -> Pruning:
    """Prune what may be pruned of a study's results, and return it; raises UserError while Snakemake runs."""
    if not dry_run and LOCKS.is_dir() and any(LOCKS.iterdir()):
        raise UserError("snakemake is running here: wait until it ends; if it was killed: snakemake --unlock")
    found = find_prunable(study, keep)
    for path in () if dry_run else found.freed:
        prune(Path(study.results, path), store_of(study.results))
    return found


def format_pruning(found: Pruning, *, dry_run: bool) -> str:
    """Return what was pruned as text for a terminal: each model, then a summary."""
    lines = [f"  {path}  {size / 1e6:.1f} MB" for path, size in found.freed.items()]
    done = "to prune, which would free" if dry_run else "pruned, which freed"
    number = len(found.freed)
    said = f"{found.results}: {number} model{'s' * (number != 1)} {done} {sum(found.freed.values()) / 1e6:.1f} MB"
    if found.needed:
        said += f"; left for jobs that are not finished: {len(found.needed)}"
    if not found.freed and not found.needed:
        said += "; the study keeps what is there: --keep results or --keep attacked asks for less"
    return "\n".join([*lines, said])
