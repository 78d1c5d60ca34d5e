"""The check that every pattern in a study's own files applies to something in the study."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest import environment
from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.study.files import Layer
from palimpsest.study.made import Key, list_asked, list_made
from palimpsest.study.messages import one_line
from palimpsest.study.patterns import matches
from palimpsest.study.study import Study, read_gaps

# The resolved config beside a report; older versions wrote more settings into it than the study needs.
RESOLVED = "run_config.yaml"


def open_study(raw: Mapping[str, Any], layers: Sequence[Layer] = ()) -> Study:
    """Return the study of a Snakefile's config, given its layers.

    On a user error, print one line and exit Snakemake with code 2.
    """
    with one_line():
        environment.check()
        study = Study(raw, read_gaps())
        check_applied(study, layers)
        return study


def check_applied(study: Study, layers: Sequence[Layer]) -> None:
    """Raise UserError for a pattern or a variant in the study's own layers that applies to nothing.

    The study's own layers are the last one with blocks and all that follow; earlier layers, such as the defaults, may also serve
    other studies.
    """
    made = list_made(study)
    own = max((number for number, layer in enumerate(layers) if "blocks" in layer.config), default=0)
    for layer in layers[own:]:
        if Path(layer.name).name == RESOLVED:
            continue
        for section, keys in made.items():
            for pattern, settings in _mapping(layer.config.get(section)).items():
                if not any(matches(pattern, key) for key in keys):
                    raise UserError(f"{place(section, pattern)}: in {layer.name}: {_nothing(section, pattern, keys)}")
                if section == "variants":
                    _check_asked(study, layer.name, pattern, _mapping(settings))


def _check_asked(study: Study, layer: str, pattern: str, variants: Mapping[str, Any]) -> None:
    """Refuse a variant if no block that its pattern matches requests it."""
    asked = {name for key, names in list_asked(study).items() if matches(pattern, key) for name in names}
    for name in variants:
        if name not in asked:
            near = difflib.get_close_matches(name, sorted(asked), n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{place('variants', pattern, name)}: in {layer}: no block asks for this variant{guess}")


def _nothing(section: str, pattern: str, keys: Collection[Key]) -> str:
    near = difflib.get_close_matches(pattern, sorted({"/".join(key) for key in keys}), n=1, cutoff=0)
    return f"the pattern matches nothing in the study{f'; the nearest is {near[0]}' if near else f', which uses no {section}'}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
