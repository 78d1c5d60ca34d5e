"""Where the settings of a config come from: the file and the line of each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.names import DEFAULT, SELECTED, ModelId
from palimpsest.study.applied import check_applied
from palimpsest.study.files import Key, Places, merge_layers, places_of, read_layers
from palimpsest.study.patterns import matching_patterns
from palimpsest.study.study import Study

# Where a setting that no file names comes from.
NOWHERE = "default"


def open_study(given: Iterable[Path]) -> tuple[Study, Places]:
    """Return the study of the given files, checked as by a run, and the places of its keys; an error names file and line."""
    layers = read_layers(given)
    places = places_of(layers)
    try:
        study = Study(merge_layers(layers))
        check_applied(study, layers)
        return study, places
    except UserError as error:
        raise UserError(locate(str(error), places)) from None


def locate(message: str, places: Places) -> str:
    """Return an error of a config with the file and line of the innermost key that it names."""
    named = [key for key in places if message.startswith(f"{place(*key)}:")]
    return f"{places[max(named, key=len)]}: {message.removeprefix('config: ')}" if named else message


def settings_of(study: Study, of: ModelId, places: Places) -> list[tuple[str, Any, str]]:
    """Return each resolved setting of a variant, or of the fine-tuning of a place without a method: name, value and origin."""
    if not of.method:
        values: dict[str, Any] = study.finetuning(*of.place).model_dump()
        layers: list[Key] = [("finetuning", pattern) for pattern in matching_patterns(study.config.finetuning, of.place)]
        return _with_origins(values, layers, places)
    variant = study.variant(of)
    values = {**(variant.settings["training"] or {}), **variant.loss, "start": variant.start, "reference": variant.reference}
    layers = [("methods", pattern) for pattern in matching_patterns(study.config.methods, of.key)]
    if of.variant not in (DEFAULT, SELECTED):
        layers += [("variants", pattern, of.variant) for pattern in matching_patterns(study.config.variants, of.key)]
        if of.variant not in study.variants(*of.key):
            layers += [("grids", pattern) for pattern in matching_patterns(study.config.grids, of.key)]
    return _with_origins(values, layers, places)


def _with_origins(values: dict[str, Any], layers: Iterable[Key], places: Places) -> list[tuple[str, Any, str]]:
    layers = list(layers)
    found = {name: [places[*layer, name] for layer in layers if (*layer, name) in places] for name in values}
    return [(name, value, found[name][-1] if found[name] else NOWHERE) for name, value in values.items()]
