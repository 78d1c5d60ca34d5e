"""What a config comes to: settings by pattern, variants, specs, and that a change reaches its own stages only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_study import CONFIG, changed, folders, inputs, spec
from hypothesis import given
from hypothesis import strategies as st
from snakemake.io import regex_from_filepattern

from palimpsest.errors import UserError
from palimpsest.models.settings import Packaged
from palimpsest.names import ModelId
from palimpsest.provenance.canonical import canonical_json
from palimpsest.study.description import describe_study, resolve_config
from palimpsest.study.docs import REFERENCE, SCHEMA, make_schema, reference_text, schema_text
from palimpsest.study.patterns import matching, merge
from palimpsest.study.publish import list_measured
from palimpsest.study.rules import Rule, as_flags, before, multiplied, one_of, shell_prefix
from palimpsest.study.specs import source_files, spec_of
from palimpsest.study.stages import Artefacts, Node
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
RUN = "tofu/tiny/forget10/seed0"
KEY = ("tofu", "forget10", "tiny", "npo")

pattern = st.tuples(*(st.sampled_from([name, "*"]) for name in KEY)).map("/".join)


def of(method: str, variant: str = "default", split: str = "forget10") -> ModelId:
    return ModelId("tofu", split, "tiny", 0, method, variant)


# Settings by pattern.


def test_the_most_specific_pattern_wins() -> None:
    table = {
        "*/*/*/*": "nothing",
        "*/*/tiny/*": "model",
        "*/*/*/npo": "method",
        "tofu/forget10/*/*": "benchmark and split",
        "tofu/*/*/npo": "benchmark and method",
        "*/*/tiny/npo": "model and method",
        "tofu/forget10/tiny/*": "all but the method",
        "tofu/forget10/tiny/npo": "all",
        "tofu/forget10/tiny/simnpo": "another method",
        "tofu/forget10/tiny": "another length",
    }
    assert matching(table, KEY) == [
        "nothing",
        "model",
        "method",
        "benchmark and split",
        "benchmark and method",
        "model and method",
        "all but the method",
        "all",
    ]


@given(st.dictionaries(pattern, st.dictionaries(st.sampled_from("abc"), st.integers())), st.randoms(use_true_random=False))
def test_what_patterns_come_to_does_not_depend_on_their_order(table: dict[str, Any], random: Any) -> None:
    items = list(table.items())
    random.shuffle(items)
    assert merge(matching(dict(items), KEY)) == merge(matching(table, KEY))


@given(st.dictionaries(pattern, st.integers(), min_size=1))
def test_a_pattern_yields_only_to_one_with_as_many_names(table: dict[str, int]) -> None:
    ordered = matching({name: name for name in table}, KEY)
    names = [4 - name.count("*") for name in ordered]
    assert names == sorted(names)
    assert len(ordered) == len(table)


@given(st.dictionaries(pattern, st.dictionaries(st.sampled_from("abc"), st.integers())))
def test_every_key_is_that_of_the_last_pattern_that_has_it(table: dict[str, Any]) -> None:
    layers = matching(table, KEY)
    for key, value in merge(layers).items():
        assert value == [layer[key] for layer in layers if key in layer][-1]


# What a config comes to.


def test_settings_are_merged_over_the_method_s_defaults() -> None:
    study = Study(CONFIG)
    simnpo = study.variant(of("simnpo"))
    assert simnpo.loss == {"beta": 4.5, "gamma": 0.0}
    assert (simnpo.start, simnpo.reference) == ("original", "plain")
    training = simnpo.training
    assert (training.forget_weight, training.learning_rate, training.epochs, training.retain_loss) == (0.1375, 5e-4, 10, "ce")
    assert study.variant(of("simnpo", split="forget05")).loss["beta"] == 2.5
    assert study.variant(of("ga")).training.retain_loss == "none"


def test_variants_lie_on_top_and_are_merged_by_pattern_too() -> None:
    study = Study(CONFIG)
    weak = study.variant(of("simnpo", "weak"))
    assert (weak.loss["beta"], weak.training.retain_weight, weak.training.forget_weight) == (1.0, 2.0, 0.1375)
    weak = study.variant(of("simnpo", "weak", split="forget05"))
    assert (weak.loss["beta"], weak.training.retain_weight) == (0.5, 2.0)
    with pytest.raises(UserError, match=r"has no variant 'weak'; allowed: default, selected$"):
        study.variant(of("npo", "weak"))


def test_blocks_are_united() -> None:
    study = Study(CONFIG)
    artefacts = Artefacts(study)
    assert len(artefacts.models("original")) == len(artefacts.models("retrain")) == 2
    assert len(artefacts.models()) == len(folders(study, "unlearn")) == 2 * (1 + 1 + 2)
    assert len(study.subjects.evaluated) == 2 * (2 + 4)
    assert len(folders(study, "evaluate")) == 2 * (2 + 4) * len(("tofu", "lm-eval"))
    # Retrain is attacked too, as the control.
    assert set(folders(study, "attack")) == {
        f"{RUN}/{subject}/attack/{attack}"
        for subject in ("retrain", "unlearn/npo/default", "unlearn/simnpo/default")
        for attack in ("relearn-random", "relearn-shortest")
    }
    suites = {subject.path: wanted.suites for subject, wanted in study.subjects.items()}
    assert suites["tofu/tiny/forget10/seed0/unlearn/npo/default"] == {"tofu", "lm-eval"}


def test_suites_of_a_block_do_not_reach_the_methods_of_another() -> None:
    study = Study(changed(("blocks", 1), {**CONFIG["blocks"][1], "methods": ["idk"], "suites": ["tofu"]}))
    suites = {subject.path: wanted.suites for subject, wanted in study.subjects.items()}
    assert suites["tofu/tiny/forget10/seed0/unlearn/idk/default"] == {"tofu"}
    assert suites["tofu/tiny/forget10/seed0/retrain"] == {"tofu", "lm-eval"}


def test_the_study_described_has_one_block_a_model_and_split() -> None:
    (block,) = describe_study(Study(CONFIG))["blocks"]
    assert block["seeds"] == [0, 1]
    assert list(block["methods"]) == ["ga", "npo", "simnpo"]
    assert list(block["methods"]["simnpo"]) == ["default", "beta-2.5"]
    assert block["methods"]["simnpo"]["default"]["loss"]["beta"] == 4.5
    assert block["attacks"] == ["relearn-random", "relearn-shortest"]
    assert block["training"]["epochs"] == 30


def test_the_resolved_config_comes_to_the_same_and_is_its_own_resolution() -> None:
    resolved = resolve_config(Study(CONFIG))
    assert specs(resolved) == specs(CONFIG)
    assert resolve_config(Study(resolved)) == resolved
    assert yaml.safe_load(yaml.safe_dump(resolved)) == resolved


# Specs: what reaches which stage.


def specs(config: dict[str, Any]) -> dict[str, str]:
    """Return the spec of every job of a study but for its numbers and its report, by its folder."""
    artefacts = Artefacts(Study(config))
    told = ("scores", "summarise", "report")
    return {path: spec_of(artefacts.study, node) for path, node in artefacts.nodes.items() if node.stage not in told}


def differing(config: dict[str, Any]) -> set[str]:
    """Return the paths whose specs a changed config changes, of those that both have."""
    before, after = specs(CONFIG), specs(config)
    return {path for path in before.keys() & after.keys() if before[path] != after[path]}


UNLEARN = "tofu/tiny/forget10/seed{}/unlearn/{}/model"


@pytest.mark.parametrize(
    ("attack", "sets"),
    [
        ({"kind": "relearn", "select": "random"}, ["forget"]),
        ({"kind": "relearn", "select": "random", "data": "retain"}, ["retain"]),
        ({"kind": "relearn", "select": "random", "data": "other"}, ["real_authors", "world_facts"]),
        ({"kind": "prune"}, ["forget"]),
    ],
)
def test_an_attack_is_told_which_sets_the_attacker_has(attack: dict[str, Any], sets: list[str]) -> None:
    block = CONFIG["blocks"][0] | {"attacks": ["one"]}
    study = Study(CONFIG | {"attacks": {"one": attack}, "blocks": [block]})
    assert {tuple(spec(study, path)["sets"]) for path in folders(study, "attack")} == {tuple(sets)}


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (
            ("variants", "tofu/*/*/simnpo", "beta-2.5"),
            {"beta": 2.6},
            {UNLEARN.format(seed, "simnpo/beta-2.5") for seed in (0, 1)},
        ),
        (("methods", "tofu/forget10/*/simnpo"), {"beta": 4.6}, {UNLEARN.format(seed, "simnpo/default") for seed in (0, 1)}),
        (("methods", "tofu/*/*/simnpo", "beta"), 9.0, set()),
        (("methods", "tofu/*/*/npo", "beta"), 0.3, {UNLEARN.format(seed, "npo/default") for seed in (0, 1)}),
        (
            ("attacks", "relearn-random", "draws"),
            2,
            {
                f"tofu/tiny/forget10/seed0/{subject}/attack/relearn-random"
                for subject in ("retrain", "unlearn/npo/default", "unlearn/simnpo/default")
            },
        ),
        (("sources", "world", "seed"), 1, {"tofu/data"}),
        (("benchmarks", "tofu", "split"), {"retain_authors": 3}, {"tofu/splits/forget10"}),
        (("models", "tiny", "base_seed"), 1, {"tofu/tiny/base"}),
        (("models", "tiny", "base_training"), {"epochs": 9}, {"tofu/tiny/base"}),
        (
            ("finetuning", "tofu/*/tiny", "epochs"),
            31,
            {f"tofu/tiny/forget10/seed{seed}/{role}/model" for seed in (0, 1) for role in ("original", "retrain")},
        ),
        (
            ("finetuning", "tofu/*/tiny", "fact_lessons"),
            1,
            {f"tofu/tiny/forget10/seed{seed}/{role}/model" for seed in (0, 1) for role in ("original", "retrain")},
        ),
        # None of these is part of any result.
        (("models", "tiny", "resources"), {"threads": 8, "gpu": 1, "mem": "9GB", "runtime": "1d"}, set()),
        (("description",), "Another.", set()),
        (("published",), {}, set()),
        (("suites", "unused"), {"kind": "tofu"}, set()),
        (("sources", "hub"), {"kind": "hub", "base_authors": 7}, set()),
    ],
)
def test_a_change_reaches_what_reads_it(keys: tuple[str | int, ...], value: Any, expected: set[str]) -> None:
    assert differing(changed(keys, value)) == expected


def test_the_reinforced_model_is_trained_as_the_original_but_for_what_the_config_changes() -> None:
    (path,) = folders(Study(OTHERS), "reinforce")
    before, after = specs(OTHERS), specs(others(reinforcing={"tofu/*/tiny": {"epochs": 9}}))
    assert {name for name in before if before[name] != after[name]} == {path} == {f"{RUN}/original/reinforced/model"}
    finetuned = specs(others(finetuning={"tofu/*/tiny": {"epochs": 31}}))
    assert json.loads(finetuned[path])["training"]["epochs"] == 31


def test_what_a_model_is_trained_with_is_nothing_to_its_evaluation() -> None:
    lora = differing(changed(("models", "tiny", "lora"), {"rank": 4}))
    assert {path.rpartition("/")[2] for path in lora if "/attack/" not in path} == {"model"}
    prompt = differing(changed(("models", "tiny", "prompt"), {"template": "{question}"}))
    assert prompt == specs(CONFIG).keys() - {"tofu/data", "tofu/splits/forget10"}


def test_the_order_of_keys_is_nothing_and_specs_are_canonical() -> None:
    def reverse(value: Any) -> Any:
        return {key: reverse(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    assert specs(reverse(CONFIG)) == specs(CONFIG)
    for text in specs(CONFIG).values():
        assert canonical_json(json.loads(text)) == text


def test_the_inputs_of_a_run_s_scores_carry_what_they_are() -> None:
    study = Study(GRIDDED)
    told, artefacts = spec(study, f"{RUN}/scores"), Artefacts(study)
    given = artefacts.inputs(artefacts.at(f"{RUN}/scores"))
    for kind, end in (("eval", "/eval/{}"), ("attack", ""), ("trajectory", "/model")):
        own = {label.partition(":")[2]: path for label, path in given.items() if label.startswith(f"{kind}:")}
        assert own
        for each, path in own.items():
            subject, _, suite = each.rpartition("/") if kind == "eval" else (each, "", "")
            # A trial with the settings of the default is trained with it.
            made = study.made_as(study.runs[0].at(subject)).subject if kind == "trajectory" else subject
            assert path == study.path(f"{RUN}/{made}{end.format(suite)}")
            assert study.runs[0].at(subject).subject == subject
        wanted = {"attack": told["attacks"], "trajectory": told["trajectories"]}.get(kind, own)
        assert own.keys() == wanted.keys()
    suites = {0: ("lm-eval", "tofu"), 1: ("lm-eval", "tofu"), 3: ("tofu",), 4: ("tofu",)}
    retrains = {
        f"{'other_retrains' if seed else 'retrain'}:seed{seed}/{suite}": study.path(
            f"tofu/tiny/forget10/seed{seed}/retrain/eval/{suite}"
        )
        for seed, names in suites.items()
        for suite in names
    }
    assert {label: path for label, path in given.items() if "retrain" in label.partition(":")[0]} == retrains


# Grids, selections, starts and references.

SELECTED_FROM = {"seeds": [3, 4], "suite": "tofu", "epochs": "all"}
GRIDDED = {
    **CONFIG,
    "references": {"noisy": {"random_share": 0.2}},
    "grids": {"tofu/*/*/simnpo": {"beta": [2.0, 3.5], "gamma": [0, 1.0]}, "tofu/forget10/*/simnpo": {"beta": [4.5]}},
    "selections": {"tofu/*/*/*": SELECTED_FROM},
    "variants": {
        "tofu/*/*/*": {"half": {"start": "original-half"}},
        "tofu/*/*/npo": {"noisy": {"reference": "noisy"}},
        "tofu/*/*/simnpo": {"beta-2.5": {"beta": 2.5}},
    },
    "blocks": [
        *CONFIG["blocks"],
        {
            "benchmark": "tofu",
            "splits": ["forget10"],
            "models": ["tiny"],
            "seeds": [0],
            "methods": [{"simnpo": ["selected", "half"]}, {"npo": ["noisy", "half"]}],
            "suites": ["tofu"],
        },
        {
            "benchmark": "tofu",
            "splits": ["forget10"],
            "models": ["tiny"],
            "seeds": [0],
            "methods": ["npo", {"simnpo": ["grid"]}],
            "trajectories": {"suite": "tofu", "epochs": "last"},
        },
    ],
}
TRIALS = ["beta-4.5+gamma-0", "beta-4.5+gamma-1"]


def test_a_grid_is_the_product_of_what_its_patterns_come_to() -> None:
    study = Study(GRIDDED)
    assert list(study.trials("tofu", "forget10", "tiny", "simnpo")) == TRIALS
    assert len(study.trials("tofu", "forget05", "tiny", "simnpo")) == 4
    assert study.variant(of("simnpo", "beta-4.5+gamma-1")).loss == {"beta": 4.5, "gamma": 1.0}


def test_trials_are_watched_and_leave_no_model() -> None:
    study = Study(GRIDDED)
    trials = {subject for subject in study.subjects if subject.variant in TRIALS}
    assert len(trials) == 2 * 3
    assert trials <= set(study.subjects.watched)
    assert not any(study.subjects[trial].model or study.subjects[trial].suites for trial in trials)
    assert not any(spec(study, path)["keep"] for path in folders(study, "unlearn") if "gamma" in path)
    npo = next(subject for subject in study.subjects.watched if subject.method == "npo")
    assert study.subjects[npo].model


def test_the_summary_gets_scores_and_selections_by_the_names_that_it_reads() -> None:
    assert inputs(Study(GRIDDED), "summary").keys() == {"scores", "selection", "external"}


def test_variants_with_the_same_settings_are_trained_once() -> None:
    study = Study(GRIDDED)
    same = TRIALS[0]
    assert study.variant(of("simnpo", same)) == study.variant(of("simnpo", "default"))
    # On seed 0 the study wants the default too, on seeds 3 and 4 the trial alone.
    for seed, made, epochs, keep in ((0, "default", "last", True), (3, same, "all", False), (4, same, "all", False)):
        trial = replace(of("simnpo", same), seed=seed)
        assert study.made_as(trial) == trial.of("simnpo", made)
        told = spec(study, f"{trial.of('simnpo', made).path}/model")
        assert (told["watched"]["epochs"], told["keep"]) == (epochs, keep)


def test_seeds_that_only_a_selection_needs_are_not_those_of_the_block() -> None:
    study = Study(GRIDDED)
    assert {run.seed for run in study.runs} == {0, 1, 3, 4}
    assert [block["seeds"] for block in describe_study(study)["blocks"]] == [[0, 1]]


def test_a_selection_waits_for_all_trials_of_its_seeds_and_for_what_they_are_measured_by() -> None:
    study = Study(GRIDDED)
    selection = "tofu/tiny/forget10/selection/simnpo"
    told, given = spec(study, selection), inputs(study, selection)
    assert [(trial["variant"], trial["run"]) for trial in told["trials"]] == [
        (name, f"tofu/seed{seed}") for name in TRIALS for seed in (3, 4)
    ]
    for trial, path in zip(told["trials"], given["trajectory"], strict=True):
        assert path.endswith(f"/{trial['run'].partition('/')[2]}/unlearn/simnpo/{trial['variant']}/model")
    for role in ("original", "retrain"):
        assert given[role] == [f"tofu/tiny/forget10/seed{seed}/{role}/eval/tofu" for seed in (3, 4)]

    selected = f"{RUN}/unlearn/simnpo/selected/model"
    assert spec(study, selected)["training"] is spec(study, selected)["loss"] is None
    assert inputs(study, selected)["selection"] == selection


def test_a_selection_can_be_judged_on_benchmarks_that_are_not_scored() -> None:
    worlds = {f"world-{seed}": {"kind": "world", "seed": seed, "authors": 20} for seed in (1, 2)}
    others = {name: {"kind": "tofu", "source": name} for name in worlds}
    config = {**GRIDDED, "sources": {**GRIDDED["sources"], **worlds}, "benchmarks": {**GRIDDED["benchmarks"], **others}}
    config["selections"] = {"tofu/*/*/simnpo": {**SELECTED_FROM, "benchmarks": list(worlds)}}
    config["grids"] = {"*/forget10/*/simnpo": GRIDDED["grids"]["tofu/forget10/*/simnpo"]}
    study = Study(config)
    told, given = (of(study, "tofu/tiny/forget10/selection/simnpo") for of in (spec, inputs))
    assert told["runs"] == [f"{world}/seed{seed}" for world in worlds for seed in (3, 4)]
    assert {path.partition("/")[0] for path in (*given["trajectory"], *given["original"], *given["retrain"])} == {*worlds}
    assert [trial["variant"] for trial in told["trials"]] == ["beta-4.5"] * 4

    config["methods"] = {**config["methods"], "world-2/*/*/simnpo": {"learning_rate": 3e-5}}
    with pytest.raises(
        UserError, match=r"^config: selections: tofu/forget10/tiny/simnpo: benchmarks: .* other settings on world-2"
    ):
        Study(config)


def test_a_benchmark_that_only_a_selection_reads_is_checked_like_those_of_blocks() -> None:
    benchmarks = {**GRIDDED["benchmarks"], "other": {"kind": "tofu", "source": "moon"}}
    selections = {"tofu/*/*/simnpo": {**SELECTED_FROM, "benchmarks": ["other"]}}
    with pytest.raises(UserError, match=r"^config: benchmarks: other: source: unknown source 'moon'; "):
        Study({**GRIDDED, "benchmarks": benchmarks, "selections": selections})


def test_without_a_grid_a_selection_is_between_the_epochs_of_the_default() -> None:
    blocks = [{**CONFIG["blocks"][1], "methods": [{"npo": ["selected"]}]}]
    study = Study({**CONFIG, "selections": {"tofu/*/*/npo": SELECTED_FROM}, "blocks": blocks})
    assert study.candidates(study.selections[0]) == ["default"]


def test_refusals_are_scored_only_for_methods_that_read_them() -> None:
    block = {**CONFIG["blocks"][0], "methods": ["npo", "dpo-idk"]}
    study = Study({**CONFIG, "blocks": [block]})
    for method, name, scored in (("npo", "plain", False), ("dpo-idk", "plain,refusals", True)):
        reference = f"{RUN}/original/reference/{name}"
        assert inputs(study, f"{RUN}/unlearn/{method}/default/model")["reference"] == reference
        assert spec(study, reference)["refusals"] is scored


ASKED: dict[str, Any] = {**CONFIG, "blocks": [{**CONFIG["blocks"][0], "seeds": [0], "methods": ["npo", "dpo-idk", "altpo"]}]}


def test_another_number_of_alternatives_reaches_what_reads_them_and_nothing_else() -> None:
    before, artefacts = specs(ASKED), Artefacts(Study(ASKED))
    after = specs({**ASKED, "alternatives": {"tofu/*/tiny": {"number": 3}}})
    (path,) = (name for name in before if before[name] != after[name])
    assert path == f"{RUN}/original/alternatives" and json.loads(after[path])["asking"]["number"] == 3
    readers = {reader for reader, node in artefacts.nodes.items() if path in {of.path for of in artefacts.given(node).values()}}
    reference, unlearned = f"{RUN}/original/reference/plain,alternatives", f"{RUN}/unlearn/altpo/default/model"
    assert readers == {reference, unlearned}
    assert inputs(Study(ASKED), unlearned)["reference"] == reference and spec(Study(ASKED), reference)["refusals"] is False
    behind = {
        name for name, node in artefacts.nodes.items() if reference in {given.path for given in artefacts.given(node).values()}
    }
    assert behind == {unlearned}


def test_seeds_that_share_an_original_share_its_references_but_no_alternatives() -> None:
    weights = {"name": "org/model", "revision": "a" * 40}
    model = {"kind": "pretrained", **weights, "original": weights, "retrain": weights}
    blocks = [{**ASKED["blocks"][0], "models": ["given"], "seeds": [1, 2], "suites": [], "attacks": []}]
    study = Study({**ASKED, "models": {**CONFIG["models"], "given": model}, "blocks": blocks})
    assert {node.path.split("/")[3] for node in Artefacts(study).of("reference") if "," not in node.name} == {"seed1"}
    assert [json.loads(spec_of(study, node))["seed"] for node in Artefacts(study).of("alternatives")] == [1, 2]


def test_a_request_without_a_question_is_one_line() -> None:
    config = {**ASKED, "alternatives": {"tofu/*/tiny": {"request": "Say something else than {answer}"}}}
    with pytest.raises(UserError, match=r"alternatives: .*request: .*no \{question\}, in whose place the question is put"):
        Study(config)


def test_a_variant_that_starts_from_the_half_reads_the_half_s_reference() -> None:
    study = Study(GRIDDED)
    half = inputs(study, f"{RUN}/unlearn/npo/half/model")
    assert half["model"] == f"{RUN}/original-half/model"
    assert half["reference"] == f"{RUN}/original-half/reference/plain"
    noisy = inputs(study, f"{RUN}/unlearn/npo/noisy/model")
    assert noisy["model"] == f"{RUN}/original/model"
    assert noisy["reference"] == f"{RUN}/original/reference/noisy"
    assert f"{RUN}/original-half/eval/tofu" in folders(study, "evaluate")
    assert spec(study, f"{RUN}/original/reference/noisy")["random_share"] == 0.2


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("npo", {"reference"}),
        ("dpo-idk", {"reference"}),
        ("altpo", {"reference", "alternatives"}),
        ("rkld", {"reinforced"}),
        ("simnpo", set()),
        ("ga", set()),
        ("rmu", set()),
    ],
)
def test_a_method_waits_only_for_what_it_reads(method: str, extra: set[str]) -> None:
    config = changed(("methods", "tofu/*/tiny/rmu"), {"layer": 1})
    config["blocks"][0]["methods"] = [method]
    assert inputs(Study(config), f"{RUN}/unlearn/{method}/default/model").keys() == {"model", "split"} | extra


# A method that edits weights, and one that trains some layers.

BOTH = [{**CONFIG["blocks"][1], "methods": [{"task-vector": ["default", "twice"]}, "rmu"]}]
OTHERS: dict[str, Any] = {
    **CONFIG,
    "methods": {**CONFIG["methods"], "tofu/*/tiny/rmu": {"layer": 1}},
    "variants": {"tofu/*/*/task-vector": {"twice": {"alpha": 2.0}}},
    "blocks": BOTH,
}


def others(**changes: Any) -> dict[str, Any]:
    return {**OTHERS, **changes}


def test_a_task_vector_reads_two_models_and_no_data() -> None:
    study, path = Study(OTHERS), f"{RUN}/unlearn/task-vector/twice/model"
    assert inputs(study, path) == {"model": f"{RUN}/original/model", "reinforced": f"{RUN}/original/reinforced/model"}
    assert (spec(study, path)["training"], spec(study, path)["loss"]) == (None, {"alpha": 2.0})
    assert f"{RUN}/original/reinforced/model/environment.json" in {job["file"] for job in list_measured(Artefacts(study))["jobs"]}


def test_settings_of_training_are_nothing_to_a_task_vector() -> None:
    before = specs(OTHERS)
    trained = {"learning_rate": 1.0e-2, "epochs": 3, "retain_loss": "kl", "retain_weight": 2.0}
    after = specs(others(methods={"tofu/*/tiny/rmu": {"layer": 1, "retain_loss": "activations"}, "*/*/*/*": trained}))
    trained = {path for path in before if path.endswith("/model") and before[path] != after[path]}
    assert {path.split("/")[5] for path in trained} == {"rmu"}
    alpha = specs(others(methods={"tofu/*/tiny/rmu": {"layer": 1}, "tofu/*/*/task-vector": {"alpha": 0.5}}))
    vector = "tofu/tiny/forget10/seed0/unlearn/task-vector"
    assert alpha[f"{vector}/default/model"] != before[f"{vector}/default/model"]
    assert alpha[f"{vector}/twice/model"] == before[f"{vector}/twice/model"]


def test_the_layers_of_rmu_are_whole_numbers_and_its_retain_loss_its_own() -> None:
    rmu = Study(OTHERS).variant(of("rmu"))
    assert rmu.loss == {"layer": 1, "steering": 6.5} and isinstance(rmu.loss["layer"], int)
    assert rmu.retain_loss == "activations"


def test_what_they_resolve_to_is_its_own_resolution() -> None:
    resolved = resolve_config(Study(OTHERS))
    assert specs(resolved) == specs(OTHERS)
    assert resolve_config(Study(resolved)) == resolved
    methods = describe_study(Study(OTHERS))["blocks"][0]["methods"]
    assert methods["task-vector"]["twice"] == {"training": {}, "loss": {"alpha": 2.0}, "start": "original", "reference": "plain"}
    assert methods["rmu"]["default"]["training"]["retain_loss"] == "activations"


WITHOUT_EPOCHS = (
    "task-vector edits weights once and has no epochs: no trajectories, grid or selection; compare its settings as variants"
)
RMU = "variants: tofu/forget10/tiny/rmu: default"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"blocks": [{**BOTH[0], "trajectories": {"suite": "tofu"}}]}, f"blocks[0]: methods: {WITHOUT_EPOCHS}"),
        ({"blocks": [{**BOTH[0], "methods": [{"task-vector": ["grid"]}]}]}, f"blocks[0]: methods: {WITHOUT_EPOCHS}"),
        ({"blocks": [{**BOTH[0], "methods": [{"task-vector": ["selected"]}]}]}, f"blocks[0]: methods: {WITHOUT_EPOCHS}"),
        ({"grids": {"tofu/*/*/task-vector": {"alpha": [1.0]}}}, f'grids: "tofu/*/*/task-vector": {WITHOUT_EPOCHS}'),
        ({"selections": {"tofu/*/*/task-vector": {}}}, f'selections: "tofu/*/*/task-vector": {WITHOUT_EPOCHS}'),
        (
            {"methods": {"tofu/*/*/rmu": {"retain_loss": "kl"}}},
            f"{RMU}: retain_loss: kl: rmu does not take it; allowed: activations, none",
        ),
        (
            {
                "blocks": CONFIG["blocks"],
                "methods": {"tofu/*/*/simnpo": {"retain_loss": "activations"}},
                "variants": CONFIG["variants"],
            },
            "variants: tofu/forget10/tiny/simnpo: beta-2.5: retain_loss: activations: simnpo does not take it; "
            "allowed: ce, kl, none",
        ),
        (
            {"models": {"tiny": {"kind": "tiny", "lora": {"rank": 2}}}},
            f"{RMU}: rmu trains weights of the model, not adapters: tiny has lora",
        ),
        (
            {
                "variants": {"tofu/*/*/task-vector": {"twice": {"reference": "noisy"}}},
                "references": {"noisy": {"random_share": 0.5}},
            },
            "variants: tofu/forget10/tiny/task-vector: twice: reference: 'noisy': task-vector reads no reference",
        ),
    ],
)
def test_what_they_cannot_do_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(others(**changes))
    assert str(caught.value) == f"config: {line}"


def test_a_general_grid_or_selection_does_not_speak_of_a_method_without_epochs() -> None:
    general = {"grids": {"tofu/*/*/*": {"learning_rate": [1.0e-3]}}, "selections": {"tofu/*/*/*": {}}}
    assert len(folders(Study(others(**general)), "unlearn")) == 3


def test_what_a_gridded_study_resolves_to_is_its_own_resolution() -> None:
    resolved = resolve_config(Study(GRIDDED))
    assert specs(resolved) == specs(GRIDDED)
    assert resolve_config(Study(resolved)) == resolved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grids": {}, "selections": {}}, "variant 'selected' needs a pattern under selections"),
        ({"grids": {"tofu/*/*/npo": {"beta": [0.1]}}}, "variant 'grid' needs a pattern under grids"),
        ({"grids": {"tofu/*/*/simnpo": {"bta": [0.1]}}}, "did you mean beta?"),
        ({"grids": {"tofu/*/*/simnpo": {"beta": ["1e-5"]}}}, "'1e-5'"),
        ({"grids": {"tofu/*/*/ga": {"beta": [1.0]}}}, "unknown setting of ga 'beta'"),
        ({"references": {}}, "reference: 'noisy'; allowed: plain"),
        ({"references": {"plain": {"random_share": 0.5}}}, "plain is the start model itself"),
        ({"selections": {"tofu/*/*/*": {"suite": "lm-eval"}}}, "expected kind tofu"),
        ({"selections": {"tofu/*/*/*": {"split": "forget33"}}}, "not a whole number of authors"),
        (
            {"variants": {"tofu/*/*/simnpo": {"noisy": {"reference": "noisy"}, "half": {}, "beta-2.5": {}}}},
            "simnpo reads no reference",
        ),
        ({"variants": {"tofu/*/*/simnpo": {"selected": {}}}}, "the name is reserved"),
    ],
)
def test_a_mistake_in_grids_selections_and_references_is_one_line(changes: dict[str, Any], message: str) -> None:
    blocks = GRIDDED["blocks"]
    if "noisy" in str(changes.get("variants")):
        blocks = [{**blocks[2], "methods": [{"simnpo": ["noisy"]}]}]
    with pytest.raises(UserError) as caught:
        Study({**GRIDDED, "blocks": blocks, **changes})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_job_that_works_with_a_model_is_measured() -> None:
    costs, run = list_measured(Artefacts(Study(GRIDDED))), RUN
    files = {job["file"].removesuffix("/environment.json") for job in costs["jobs"]}
    assert costs["folder"] == "results"
    assert {
        "tofu/tiny/base",
        f"{run}/original/model",
        f"{run}/original/reference/noisy",
        f"{run}/original-half/reference/plain",
        f"{run}/unlearn/npo/noisy/model",
        f"{run}/unlearn/npo/default/attack/relearn-random",
        f"{run}/unlearn/simnpo/beta-4.5+gamma-1/model",
        f"{run}/unlearn/simnpo/selected/eval/tofu",
    } <= files
    assert len(files) == len(costs["jobs"])


def test_the_base_of_a_packaged_model_is_its_file_whatever_it_is_used_for() -> None:
    packaged = {"kind": "packaged", "package": "p", "file": "f.gguf", "sha256": "0" * 64, "requirement": "p==1"}
    models = {**CONFIG["models"], "smol": {**packaged, "prompt": {"kind": "chat"}, "precision": "bf16"}}
    block = {**CONFIG["blocks"][0], "models": ["smol"], "methods": ["ga"]}
    study = Study({**CONFIG, "models": models, "blocks": [block]})
    base = spec(study, "tofu/smol/base")["model"]
    assert base == {name: value for name, value in Packaged.model_validate(packaged).model_dump().items() if name in base}
    assert base.keys() >= packaged.keys()


# What rules take from the study.


def test_wildcards_match_the_names_of_the_study_alone() -> None:
    artefacts = Artefacts(Study(CONFIG))
    for stage in ("evaluate", "unlearn", "attack", "data"):
        pattern = regex_from_filepattern(Rule(artefacts, stage).outputs["manifest"])
        manifests = artefacts.made(stage)
        assert manifests and all(re.fullmatch(pattern, path) for path in manifests)
        assert not any(re.fullmatch(pattern, path.replace("tiny", "tinx").replace("tofu", "t.fu")) for path in manifests)
    assert not re.fullmatch(one_of([]), "")


def test_inputs_become_flags() -> None:
    assert as_flags({"model": "a", "eval:npo": "b", "eval:ga": "c d"}) == "--in model=a --in eval:npo=b --in eval:ga='c d'"


@pytest.mark.parametrize(("amount", "twice"), [("1.5GB", "3GB"), ("600000MB", "1200000MB"), ("0.1GB", "0.2GB"), ("45m", "90m")])
def test_twice_an_amount_is_written_without_an_exponent(amount: str, twice: str) -> None:
    assert multiplied(amount, 2) == twice


def test_the_prefix_of_jobs_survives_odd_paths() -> None:
    said = subprocess.run(
        ["bash", "-c", f'{shell_prefix({"PYTHONPATH": "/some where/{x}"}, deployed=False)} echo "$PYTHONPATH" "$PATH"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"/some where/{{x}} {Path(sys.executable).parent}:")
    assert "PATH=" not in shell_prefix({}, deployed=True)


def test_what_precedes_a_command_is_no_reason_to_run_a_job_again() -> None:
    """Snakemake does not compare parameters that depend on outputs."""
    from snakemake.rules import Rule as SnakemakeRule

    assert SnakemakeRule._is_deriving_function(before("export PALIMPSEST_RUN=1;"))
    assert before("export A=1;")(None, None) == "export A=1;"


# Schema and reference.


def test_schema_and_reference_are_in_step_with_the_code() -> None:
    advice = "run: python -m palimpsest.study write"
    assert (ROOT / SCHEMA).read_text(encoding="utf-8") == schema_text(), advice
    assert (ROOT / REFERENCE).read_text(encoding="utf-8") == reference_text(), advice


def test_every_key_is_documented() -> None:
    schema = make_schema()
    for name, node in {"Config": schema, **schema["$defs"]}.items():
        assert node["description"], name
        for key, value in node["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_the_schema_is_closed_and_accepts_the_shipped_configs() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = make_schema()
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)
    for name, node in schema["$defs"].items():
        assert node["additionalProperties"] is False, name
    with pytest.raises(jsonschema.ValidationError, match="'epohcs' was unexpected"):
        jsonschema.validate(changed(("finetuning", "tofu/*/tiny", "epohcs"), 3), schema)


def test_an_edit_in_a_data_folder_is_seen_and_a_lost_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "full.json").write_text("one")
    config = changed(("sources", "world"), {"kind": "folder", "path": "text", "base_authors": 5})
    node = Node("data", ModelId("tofu"))
    files = source_files(Study(config), node)
    (folder / "full.json").write_text("two")
    assert source_files(Study(config), node) != files

    data = tmp_path / "results/tofu/data"
    data.mkdir(parents=True)
    (data / "manifest.json").write_text("{}")
    (data / "source.json").write_text(json.dumps({"files": json.loads(files)}))
    (folder / "full.json").unlink()
    folder.rmdir()
    assert source_files(Study(config), node) == files
