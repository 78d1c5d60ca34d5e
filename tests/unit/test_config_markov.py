"""A study with Markov chains: what it asks for, what its jobs read, and what its mistakes are told as."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from example_study import CONFIG, folders, inputs, spec

from palimpsest.benchmarks.markov.settings import ChainModel, ChainSettings
from palimpsest.errors import UserError
from palimpsest.study.description import describe_study, resolve_config
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

CHAINS = yaml.safe_load(
    """
benchmarks:
  markov:
    kind: markov
    splits: {lengths: {forget2_length: 5}, memorisation: {forget2_learnt: false}}
models:
  gpt2: {kind: chain, architecture: gpt2}
finetuning:
  "markov/*/gpt2": {epochs: 5, batch_size: 128}
  "markov/lengths/gpt2": {epochs: 6}
methods:
  "markov/*/gpt2/*": {epochs: 50, batch_size: 4, retain_loss: none}
  "markov/lengths/gpt2/npo": {beta: 0.2}
grids:
  "markov/*/gpt2/simnpo": {beta: [1.0, 4.0]}
selections:
  "markov/*/gpt2/simnpo": {}
"""
)
BLOCK = {"benchmark": "markov", "splits": ["lengths", "memorisation"], "models": ["gpt2"], "seeds": [0, 1]}


def config(*keys: str | int, value: Any = None, **block: Any) -> dict[str, Any]:
    """Return the example study with a block of Markov chains below its own, and one value set."""
    merged: dict[str, Any] = copy.deepcopy(CONFIG)
    for section, entries in copy.deepcopy(CHAINS).items():
        merged[section] = {**merged.get(section, {}), **entries}
    merged["blocks"].append({**BLOCK, "methods": ["npo", {"simnpo": ["grid"]}], **block})
    node: Any = merged
    for key in keys[:-1]:
        node = node[key]
    if keys:
        node[keys[-1]] = value
    return merged


def test_the_defaults_are_the_paper_s() -> None:
    settings, model = ChainSettings(), ChainModel(kind="chain", architecture="gpt2")
    assert (settings.retain_sequences, settings.forget_sequences, settings.test_share) == (10_000, 5_000, 0.2)
    assert (settings.length, settings.leakage) == (20, 0.2)
    assert (model.layers, model.heads, model.width) == (4, 4, 128)


def test_what_the_splits_differ_in() -> None:
    study = Study(config())
    lengths, memorisation = (spec(study, f"markov/gpt2/{split}/seed0/original/model") for split in ("lengths", "memorisation"))
    assert lengths["learnt"] == {"retain": 20, "forget1": 20, "forget2": 5}
    assert memorisation["learnt"] == {"retain": 20, "forget1": 20}
    assert lengths["training"]["epochs"] == 6
    retrain = spec(study, "markov/gpt2/retain/seed0/retrain/model")
    assert retrain["learnt"] == {"retain": 20}
    # What is said of one split is nothing to what both share.
    assert retrain["training"]["epochs"] == 5
    assert spec(study, "markov/gpt2/memorisation/seed0/retrain/eval/markov") == {
        "lengths": {"retain": 20, "forget1": 20, "forget2": 20},
    }


def test_all_splits_share_one_retrain_a_seed() -> None:
    study = Study(config())
    assert [path for path in folders(study, "finetune") if "retrain" in path and "markov" in path] == [
        f"markov/gpt2/retain/seed{seed}/retrain/model" for seed in (0, 1)
    ]
    run = "markov/gpt2/lengths/seed0"
    assert inputs(study, f"{run}/retrain/eval/markov")["model"] == "markov/gpt2/retain/seed0/retrain/model"
    assert inputs(study, f"{run}/original/eval/markov") == {"model": f"{run}/original/model", "split": "markov/seed0/data"}


def test_methods_are_watched_and_leave_no_model() -> None:
    study, run = Study(config()), "markov/gpt2/lengths/seed0"
    assert not any(wanted.model for of, wanted in study.subjects.items() if of.benchmark == "markov" and of.variant)
    mine = {path for path in folders(study, "unlearn") if path.startswith(run)}
    assert mine == {f"{run}/unlearn/{name}/model" for name in ("npo/default", "simnpo/beta-1", "simnpo/beta-4")}
    told = spec(study, f"{run}/unlearn/npo/default/model")
    assert told["loss"] == {"beta": 0.2}
    assert told["training"]["retain_loss"] == "none"
    assert (told["lengths"]["forget2"], told["watched"]) == (5, 500)
    scores = inputs(study, f"{run}/scores")
    assert len(scores["eval"]) == 2
    assert len(scores["trajectory"]) == 3


def test_the_study_described_and_resolved() -> None:
    study = Study(config())
    described = describe_study(study)
    blocks = {(block["benchmark"], block["split"]): block for block in described["blocks"]}
    assert set(blocks[("markov", "lengths")]["methods"]) == {"npo", "simnpo"}
    assert blocks[("markov", "lengths")]["methods"]["npo"]["default"]["loss"] == {"beta": 0.2}
    assert described["data"]["markov"]["retain_sequences"] == 10_000
    assert described["models"]["gpt2"]["width"] == 128
    resolved = resolve_config(study)
    assert resolve_config(Study(json.loads(json.dumps(resolved)))) == resolved


def test_every_job_is_measured_where_its_rule_writes() -> None:
    files = {f"{node.path}.tsv" for node in Artefacts(Study(config())).measured() if node.of.benchmark == "markov"}
    assert "markov/gpt2/retain/seed0/retrain/model.tsv" in files
    assert "markov/gpt2/lengths/seed1/original/model.tsv" in files
    assert "markov/gpt2/lengths/seed0/retrain/eval/markov.tsv" in files
    assert "markov/gpt2/memorisation/seed0/unlearn/npo/default/model.tsv" in files
    assert not [file for file in files if "reference" in file]
    # A seed: Retrain; an original, two evaluations and three trajectories a split.
    assert len(files) == 2 * (1 + 2 * (1 + 2 + 3))


METHODS = ("methods", "markov/*/gpt2/*")


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        (
            ("blocks", 2, "splits"),
            ["length"],
            "blocks[2]: splits: unknown split 'length'; did you mean lengths? allowed: lengths, memorisation",
        ),
        (("blocks", 2, "models"), ["tiny"], "blocks[2]: models: unknown model of kind chain 'tiny'; allowed: gpt2"),
        (("blocks", 0, "models"), ["gpt2"], "blocks[0]: models: unknown model 'gpt2'; allowed: tiny"),
        (("blocks", 2, "suites"), ["tofu"], "blocks[2]: suites: markov is of kind markov, which measures itself and takes none"),
        (
            ("blocks", 2, "attacks"),
            ["relearn-shortest"],
            "blocks[2]: attacks: markov is of kind markov, which measures itself and takes none",
        ),
        (
            ("blocks", 2, "methods"),
            ["idk"],
            "blocks: markov/lengths/gpt2/idk: default: Markov chains allow only methods that need no more than "
            "log-probabilities of the forget sequences",
        ),
        *(
            (
                ("blocks", 2, "methods"),
                [method],
                f"blocks: markov/lengths/gpt2/{method}: default: Markov chains allow only methods that need no more than "
                "log-probabilities of the forget sequences",
            )
            for method in ("rkld", "rmu", "task-vector")
        ),
        (
            ("blocks", 2, "methods"),
            [{"simnpo": ["selected"]}],
            "blocks[2]: methods: simnpo: selected: a selection needs a suite that judges the trials, but markov measures itself",
        ),
        (
            (*METHODS, "retain_loss"),
            "ce",
            "blocks: markov/lengths/gpt2/npo: default: retain_loss: ce: on Markov chains it must be none",
        ),
        (
            ("benchmarks", "markov", "splits", "lengths", "forget2_length"),
            21,
            "benchmarks: markov: splits: lengths: forget2_length: 21: sequences have 20 states",
        ),
        (("models", "gpt2", "heads"), 3, "models: gpt2: width: 128: with 3 heads it must be a multiple of 3"),
        (("models", "gpt2", "architecture"), "official", "models: gpt2: heads: 4: the official architecture has 1"),
        (
            ("grids", "markov/*/gpt2/simnpo", "draw"),
            [0, 1],
            'grids: "markov/*/gpt2/simnpo": draw: a selection would take the luckiest; list draws under variants',
        ),
        (
            ("benchmarks", "markov", "kind"),
            "markow",
            "benchmarks: markov: unknown kind 'markow'; did you mean markov?"
            " allowed: documents, lume, markov, muse, rwku, tofu, wmdp",
        ),
        (
            ("benchmarks", "markov", "watchd"),
            3,
            "benchmarks: markov: unknown key 'watchd'; did you mean watched? allowed: kind, retain_sequences, forget_sequences, "
            "length, leakage, test_share, watched, splits",
        ),
        (
            ("benchmarks", "markov", "leakage"),
            1.0,
            "benchmarks: markov: leakage: 1.0: input should be less than 1",
        ),
    ],
)
def test_one_line(keys: Sequence[str | int], value: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(config(*keys, value=value))
    assert str(caught.value) == f"config: {line}"
