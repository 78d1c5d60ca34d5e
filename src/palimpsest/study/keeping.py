"""Which weights of a study stay once nothing more of it reads them."""

from __future__ import annotations

from functools import cache

from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.study.models import Keep
from palimpsest.study.stages import STAGES, Artefacts, Node, model_of, over


@cache
def prunable(artefacts: Artefacts, keep: Keep | None = None) -> dict[str, Node]:
    """Return by folder the artefacts whose weights go once all their readers are made; `keep` counts in place of the config's.

    Weights that nothing reads stay: they are what the study was asked for.
    """
    stay = _kept(artefacts, keep)
    return {path: artefacts.nodes[path] for path in artefacts.readers if path not in stay}


def priority(artefacts: Artefacts, node: Node, keep: Keep | None = None) -> int:
    """Return the priority of a job: what lets weights go is first, the last stages before all; then models; then the rest."""
    gone = prunable(artefacts, keep)
    if any(given.path in gone for given in artefacts.weights(node)):
        return list(STAGES).index(node.stage) + 1
    return int(STAGES[node.stage].has_weights or node.stage in ("alternatives", "reference"))


def _kept(artefacts: Artefacts, keep: Keep | None) -> set[str]:
    """Return the folders of the weights that stay; a model of several blocks stays if one of them keeps it."""
    study, found = artefacts.study, set[str]()
    attacks: dict[object, list[str]] = {}
    for of in study.subjects.attacked:
        attacks.setdefault(of.attacked(""), []).append(of.attack)
    for block in study.config.blocks:
        by = keep or block.keep or study.config.keep
        if by == "all" and block.judge:
            found |= {given.path for node in artefacts.of("judge") for given in artefacts.weights(node)}
        for of in study.named_by(block) if by != "results" else ():
            models = [of, *map(of.attacked, attacks.get(of, []))] if of in study.subjects else []
            nodes = [model_of(study, each) for each in models]
            if by == "all":
                for node in nodes:
                    _add(artefacts, node, found)
            elif of in attacks or of.method in (ORIGINAL, RETRAIN):
                # Adapters are of no use without the models that they change.
                found |= {each.path for node in nodes for each in (node, *over(study, node))}
    return found


def _add(artefacts: Artefacts, node: Node, found: set[str]) -> None:
    """Add a model and all models that it was made of."""
    if node.path not in found:
        found.add(node.path)
        for given in artefacts.weights(node):
            _add(artefacts, given, found)
