"""A config for tests of the config: small, and independent of the default study's numbers."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import yaml

from palimpsest.study.specs import spec_of
from palimpsest.study.stages import STAGES, Artefacts, Node
from palimpsest.study.study import Study

CONFIG = yaml.safe_load(
    """
study: example
results: results
sources:
  world: {kind: world, authors: 40, base_authors: 10}
  hub: {kind: hub}
  folder: {kind: folder, path: data/tofu}
benchmarks:
  tofu: {kind: tofu, source: world}
models:
  tiny: {kind: tiny, resources: {threads: 1, gpu: 0, mem: 2GB, runtime: 60m}}
finetuning:
  "tofu/*/tiny": {learning_rate: 1.0e-3, epochs: 30}
methods:
  "tofu/*/tiny/*": {learning_rate: 5.0e-4, epochs: 10}
  "tofu/*/*/npo": {beta: 0.2}
  "tofu/*/*/simnpo": {beta: 2.5, forget_weight: 0.1375}
  "tofu/forget10/*/simnpo": {beta: 4.5}
variants:
  "tofu/*/*/simnpo":
    beta-2.5: {beta: 2.5}
    weak: {beta: 1.0, retain_weight: 2}
  "tofu/forget05/*/simnpo":
    weak: {beta: 0.5}
suites:
  tofu: {kind: tofu, max_new_tokens: 64}
  lm-eval: {kind: lm-eval, tasks: [{task: world_facts, doc_to_text: "{{question}}"}]}
attacks:
  relearn-shortest: {kind: relearn, select: shortest}
  relearn-random: {kind: relearn, select: random, draws: 5, training: {learning_rate: 1.0e-3, epochs: 3}}
published:
  tofu/forget05/llama2-7b-chat: [{source: a paper, scores: {simnpo: {forget_quality: 0.99, model_utility: 0.58}}}]
blocks:
  - benchmark: tofu
    splits: [forget10]
    models: [tiny]
    seeds: [0, 1]
    methods: [ga, npo, {simnpo: [beta-2.5, default]}]
    suites: [tofu, lm-eval]
  - benchmark: tofu
    splits: [forget10]
    models: [tiny]
    seeds: [0]
    methods: [npo, simnpo]
    suites: [tofu]
    attacks: [relearn-shortest, relearn-random]
"""
)


def changed(keys: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Return the config with one value set."""
    config = copy.deepcopy(CONFIG)
    node = config
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    return config


def spec(study: Study, folder: str) -> dict[str, Any]:
    """Return the spec of the artefact in a folder below the results."""
    artefacts = Artefacts(study)
    return dict(json.loads(spec_of(study, artefacts.at(folder))))


def inputs(study: Study, folder: str) -> dict[str, Any]:
    """Return the folders below the results of the inputs of an artefact by name: one, or the list of several."""
    artefacts = Artefacts(study)
    return {
        name: given.path if isinstance(given, Node) else [node.path for node in given.values()]
        for name, given in STAGES[artefacts.at(folder).stage].inputs(study, artefacts.at(folder)).items()
    }


def folders(study: Study, *stages: str) -> list[str]:
    """Return the folders below the results of the artefacts of some stages, or of all."""
    return [path for path, node in Artefacts(study).nodes.items() if not stages or node.stage in stages]
