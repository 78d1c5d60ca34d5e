"""Finished small studies, and the command of each of their stages as Snakemake recorded it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from checkout import Checkout


@dataclass(frozen=True)
class Made:
    """An artefact of a finished study: its stage, its manifest below the checkout, and what `python` was given to make it."""

    stage: str
    path: str
    arguments: tuple[str, ...]


def made(checkout: Checkout) -> list[Made]:
    """Return the artefacts of a finished study, ordered by their paths."""
    found = {}
    for file in (checkout.path / ".snakemake" / "metadata").rglob("*"):
        if not file.is_file():
            continue
        words = shlex.split(json.loads(file.read_text())["shellcmd"])
        if "--out" in words and "palimpsest.report.cost" not in words:
            arguments = words[words.index("python") + 1 : words.index(">")]
            stage = next(word for word in words if ".stages." in word)
            path = words[words.index("--out") + 1]
            found[path] = Made(stage.rpartition(".")[2], path, tuple(arguments))
    return [found[path] for path in sorted(found)]
