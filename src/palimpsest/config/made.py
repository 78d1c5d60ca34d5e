"""What a study makes that settings by pattern apply to."""

from __future__ import annotations

from palimpsest.config.patterns import ANY
from palimpsest.config.study import Study
from palimpsest.names import RETRAIN
from palimpsest.objectives import load_objective

Key = tuple[str, ...]


def list_made(study: Study) -> dict[str, list[Key]]:
    """Return by section of the config what its patterns are matched with, each once."""
    trained = [subject for subject in study.subjects if not subject.variant and study.is_trained(subject)]
    shared = [s for s in trained if study.benchmark(s.run.benchmark).shares_retrain and s.method == RETRAIN]
    asked = list_asked(study)
    strengthened = [key[:3] for key in asked if load_objective(key[3]).needs_strengthened]
    made: dict[str, list[Key]] = {
        "finetuning": [
            *(subject.run.place for subject in trained if subject not in shared),
            *((subject.run.benchmark, ANY, subject.run.model) for subject in shared),
            *strengthened,
        ],
        "strengthening": [*strengthened],
        "methods": [*asked],
        "variants": [*asked],
        "grids": [key for key, variants in asked.items() if study.grid(*key) and variants & study.trials(*key).keys()],
        "selections": [choice.key for choice in study.choices],
        "published": [run.place for run in study.runs],
    }
    return {section: sorted(set(keys)) for section, keys in made.items()}


def list_asked(study: Study) -> dict[Key, set[str]]:
    """Return the variants that are made by benchmark, split, model and method."""
    asked: dict[Key, set[str]] = {}
    for subject in study.subjects:
        if subject.variant:
            asked.setdefault((*subject.run.place, subject.method), set()).add(subject.variant)
    return asked
