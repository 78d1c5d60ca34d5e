"""The parts of a study that settings by pattern apply to."""

from __future__ import annotations

from palimpsest.methods import load_method
from palimpsest.methods.base import Finetuned
from palimpsest.names import RETRAIN
from palimpsest.study.study import Study

Key = tuple[str, ...]


def list_made(study: Study) -> dict[str, list[Key]]:
    """Return, for each section of the config, the keys that its patterns are matched against, each once."""
    trained = [subject for subject in study.subjects if not subject.variant and study.is_trained(subject)]
    asked = list_asked(study)
    reinforced = [key[:3] for key in asked if load_method(key[3]).needs(Finetuned)]
    made: dict[str, list[Key]] = {
        "finetuning": [
            *((study.shared_retrain(subject) if subject.method == RETRAIN else subject).place for subject in trained),
            *reinforced,
        ],
        "reinforcing": [*reinforced],
        "alternatives": [key[:3] for key in asked if load_method(key[3]).reads_alternatives],
        "methods": [*asked],
        "variants": [*asked],
        "grids": [key for key, variants in asked.items() if study.grid(*key) and variants & study.trials(*key).keys()],
        "selections": [of.key for of in study.selections],
        "published": [run.place for run in study.runs],
    }
    return {section: sorted(set(keys)) for section, keys in made.items()}


def list_asked(study: Study) -> dict[Key, set[str]]:
    """Return the variants of the study, by benchmark, split, model and method."""
    asked: dict[Key, set[str]] = {}
    for subject in study.subjects:
        if subject.variant:
            asked.setdefault(subject.key, set()).add(subject.variant)
    return asked
