"""Nothing in a config is without effect: what would be read by nobody, or fail after hours, is one line before any work."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config_corpus import MUSE, WMDP
from test_config_corpus import config as texts
from test_config_markov import config as chains

from palimpsest.errors import UserError
from palimpsest.names import ModelId
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

BASE = yaml.safe_load(
    """
study: effect
results: results
sources:
  world: {kind: world, authors: 40, base_authors: 10}
benchmarks:
  tofu: {kind: tofu, source: world}
models:
  tiny: {kind: tiny, architecture: {width: 32, heads: 2, layers: 2}}
finetuning:
  "tofu/*/tiny": {epochs: 3}
methods:
  "tofu/*/tiny/*": {epochs: 3}
  "tofu/*/tiny/rmu": {layer: 1}
suites:
  tofu: {kind: tofu}
  asked: {kind: lm-eval, tasks: [{task: facts, dataset_path: json, dataset_kwargs: {data_files: "{data}/world_facts.jsonl"}}]}
attacks:
  relearn: {kind: relearn, select: random}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga, npo, rmu, task-vector], suites: [tofu]}
"""
)
BLOCK = BASE["blocks"][0]
TINY = ("models", "tiny")
STOCK = {"kind": "lm-eval", "tasks": ["wmdp_bio", "mmlu"], "datasets": {"cais/wmdp": "1" * 40, "cais/mmlu": "2" * 40}}
GRID = {"tofu/*/tiny/npo": {"beta": [0.1, 0.2]}}


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(*changes: tuple[Sequence[str | int], Any]) -> dict[str, Any]:
    """Return the study with some values set."""
    config: dict[str, Any] = copy.deepcopy(BASE)
    for keys, value in changes:
        node: Any = config
        for key in keys[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        node[keys[-1]] = value
    return config


def refused(config: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        Study(config)
    line = str(caught.value)
    assert line.startswith("config: ") and "\n" not in line
    return line.removeprefix("config: ")


def test_the_study_itself_is_taken() -> None:
    assert Study(BASE).subjects


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        # Weights and losses.
        (
            ("methods", "tofu/*/tiny/npo"),
            {"forget_weight": 0, "retain_weight": 0.0},
            "variants: tofu/forget10/tiny/npo: default: forget_weight: 0.0: retain_weight is 0 too, so nothing is learnt",
        ),
        (
            ("methods", "tofu/*/tiny/ga"),
            {"forget_weight": 0.0},
            "variants: tofu/forget10/tiny/ga: default: forget_weight: 0.0: there is no retain loss, so nothing is learnt",
        ),
        (
            ("methods", "tofu/*/tiny/ga"),
            {"retain_weight": 2.0},
            "variants: tofu/forget10/tiny/ga: default: retain_weight: 2.0: there is no retain loss to weigh (retain_loss: none)",
        ),
        (
            ("methods", "tofu/*/tiny/*"),
            {"retain_loss": "none", "retain_weight": 2.0},
            "variants: tofu/forget10/tiny/ga: default: retain_weight: 2.0: there is no retain loss to weigh (retain_loss: none)",
        ),
        # Steps that cannot be what they say.
        (
            ("methods", "tofu/*/tiny/ga"),
            {"gradients": "projected"},
            "variants: tofu/forget10/tiny/ga: default: gradients: projected: there is no retain loss to heed (retain_loss: none)",
        ),
        (
            ("methods", "tofu/*/tiny/npo"),
            {"sharpness": 0.0},
            'methods: "tofu/*/tiny/npo": sharpness: 0.0: input should be greater',
        ),
        # A method that trains nothing.
        (
            ("methods", "tofu/*/*/task-vector"),
            {"learning_rate": 1.0e-3},
            'methods: "tofu/*/*/task-vector": learning_rate: task-vector trains nothing; its own settings: alpha',
        ),
        (
            ("variants", "tofu/*/*/task-vector"),
            {"slow": {"epochs": 2}},
            'variants: "tofu/*/*/task-vector": slow: epochs: task-vector trains nothing; its own settings: alpha',
        ),
        # Lists with an element twice.
        (("blocks", 0, "seeds"), [0, 1, 0], "blocks[0]: seeds: 0 is in the list twice"),
        (("blocks", 0, "splits"), ["forget10", "forget10"], "blocks[0]: splits: 'forget10' is in the list twice"),
        (("blocks", 0, "models"), ["tiny", "tiny"], "blocks[0]: models: 'tiny' is in the list twice"),
        (("blocks", 0, "suites"), ["tofu", "tofu"], "blocks[0]: suites: 'tofu' is in the list twice"),
        (("blocks", 0, "attacks"), ["relearn", "relearn"], "blocks[0]: attacks: 'relearn' is in the list twice"),
        (("blocks", 0, "methods"), ["npo", "npo"], "blocks[0]: methods: 'npo' is in the list twice"),
        (
            ("blocks", 0, "methods"),
            ["npo", {"npo": ["default"]}],
            "blocks[0]: methods: npo: variant 'default' is listed twice",
        ),
        (
            ("blocks", 0, "methods"),
            [{"npo": ["default", "default"]}],
            "blocks[0]: methods[0]: npo: 'default' is in the list twice",
        ),
        (("blocks", 0, "methods"), [{}], "blocks[0]: methods[0]: {}: at least one is needed"),
        (("grids", "tofu/*/*/npo"), {"beta": [1, 0.5, 1.0]}, 'grids: "tofu/*/*/npo": beta: 1.0 is in the list twice'),
        (("grids", "tofu/*/*/npo"), {}, 'grids: "tofu/*/*/npo": {}: at least one is needed'),
        (("selections", "tofu/*/*/npo"), {"seeds": [1, 1]}, 'selections: "tofu/*/*/npo": seeds: 1 is in the list twice'),
        (
            (*TINY, "lora"),
            {"target_modules": ["q_proj", "q_proj"]},
            "models: tiny: lora: target_modules: 'q_proj' is in the list twice (and 1 more)",
        ),
        # A block without what its settings are for.
        (
            ("blocks", 0),
            {**BLOCK, "methods": [], "attacks": ["relearn"]},
            "blocks[0]: attacks: the block has no methods, so it has no unlearned models",
        ),
        (
            ("blocks", 0),
            {**BLOCK, "methods": [], "trajectories": {"suite": "tofu"}},
            "blocks[0]: trajectories: the block has no methods, so it has no unlearned models",
        ),
        # Settings that others make void.
        (
            ("attacks", "relearn"),
            {"kind": "relearn", "select": "shortest", "draws": 3},
            "attacks: relearn: draws: 3: the shortest answers are the same in every draw; use 1, or select: random",
        ),
        (
            (*TINY, "prompt"),
            {"kind": "chat", "template": "Q: {question}"},
            "models: tiny: prompt: template: 'Q: {question}': kind chat uses only the tokenizer's chat template",
        ),
        (
            (*TINY, "prompt"),
            {"kind": "chat", "answer_prefix": " "},
            "models: tiny: prompt: answer_prefix: ' ': kind chat uses only the tokenizer's chat template",
        ),
        *(
            (
                (*TINY, "prompt"),
                {name: value},
                f"models: tiny: prompt: {name}: {value!r}: kind template has no chat template; use",
            )
            for name, value in (("system", ""), ("variables", {"tools": []}), ("date", "2024-07-26"))
        ),
        *(
            (
                (*TINY, "prompt"),
                {"kind": "chat", "variables": {"x": value}},
                f"models: tiny: prompt: variables: {{'x': {value!r}}}: a value is neither text, number, boolean, null, list nor",
            )
            for value in (math.nan, math.inf, {1: 2})
        ),
        (
            (*TINY, "prompt"),
            {"kind": "chat", "date": "2023-02-29"},
            "models: tiny: prompt: date: '2023-02-29' is not a day, YYYY-MM-DD",
        ),
        (
            (*TINY, "resources"),
            {"parallel": "offload"},
            "models: tiny: resources: parallel: offload: gpu is 0, so training is in the memory of the host anyway; use ddp",
        ),
        (
            (*TINY, "resources"),
            {"parallel": "fsdp", "gpu": 1},
            "models: tiny: resources: parallel: fsdp: gpu is 1, but sharding needs 2 ",
        ),
        (("references", "noise"), {"random_share": 0.0}, "references: noise: random_share: 0.0: input should be greater than"),
        (
            ("sources", "bio"),
            {"kind": "wmdp-hub", "subject": "cyber", "gated_revision": "0" * 40},
            "sources: bio: gated_revision: only the biology corpus is gated; leave it out",
        ),
        (
            ("suites", "asked", "packages"),
            {"own": "own==1"},
            "suites: asked: packages: own: no task reads {package:own}",
        ),
        # What only the end of a study would show.
        (
            ("methods", "tofu/*/tiny/rmu"),
            {"layer": 2},
            "variants: tofu/forget10/tiny/rmu: default: layer 2 does not exist: the layers of this model are 0 to 1",
        ),
        (
            (*TINY, "resources"),
            {"parallel": "fsdp", "gpu": 2},
            "variants: tofu/forget10/tiny/rmu: default: rmu needs all weights in every process: tiny has parallel: fsdp; use ddp",
        ),
        (
            (*TINY, "architecture"),
            {"width": 30, "heads": 2},
            "models: tiny: architecture: width: 30: with 2 heads it must be a multiple of 4",
        ),
        (
            ("suites", "asked", "tasks"),
            [{"task": "facts", "dataset_kwargs": {"data_files": {"test": "{data}/hazards.jsonl"}}}],
            None,
        ),
        (("methods", "tofu/*/tiny/npo"), {"beta": 0.0}, 'methods: "tofu/*/tiny/npo": beta: 0.0: input should be greater than'),
        (("methods", "tofu/*/tiny/npo"), {"beta": -0.1}, 'methods: "tofu/*/tiny/npo": beta: -0.1: input should be greater than'),
        (
            ("methods", "tofu/*/tiny/task-vector"),
            {"alpha": -1.0},
            'methods: "tofu/*/tiny/task-vector": alpha: -1.0: input should be greater than',
        ),
        (("grids", "tofu/*/*/npo"), {"beta": [0.1, 0.0]}, 'grids: "tofu/*/*/npo": beta: 0.0: input should be greater than'),
        ((*TINY, "resources"), {"mem": "0GB"}, "models: tiny: resources: mem: '0GB': string should match pattern"),
        ((*TINY, "resources"), {"runtime": "0.0h"}, "models: tiny: resources: runtime: '0.0h': string should match pattern"),
    ],
)
def test_one_line(keys: Sequence[str | int], value: Any, line: str | None) -> None:
    if line is None:
        Study(changed((keys, value)))
    else:
        assert refused(changed((keys, value))).startswith(line)


def test_a_weight_may_be_said_of_all_methods_or_of_a_loss_that_a_variant_leaves_out() -> None:
    general = changed((("methods", "tofu/*/tiny/*"), {"retain_weight": 2.0}))
    assert Study(general).variant(ModelId("tofu", "forget10", "tiny", 0, "ga", "default")).retain_loss == "none"
    left_out = changed(
        (("methods", "tofu/*/tiny/npo"), {"retain_weight": 2.0}),
        (("variants", "tofu/*/*/npo"), {"alone": {"retain_loss": "none"}, "both": {"retain_loss": "none", "retain_weight": 3.0}}),
    )
    study = Study(left_out)
    assert study.variant(ModelId("tofu", "forget10", "tiny", 0, "npo", "alone")).retain_loss == "none"
    with pytest.raises(UserError, match=r"npo: both: retain_weight: 3.0: there is no retain loss to weigh"):
        study.variant(ModelId("tofu", "forget10", "tiny", 0, "npo", "both"))


def test_a_variant_of_all_methods_that_changes_nothing_of_one_is_one_line() -> None:
    asked = {**BLOCK, "methods": [{"task-vector": ["kl"]}]}
    line = refused(changed((("variants", "tofu/*/*/*"), {"kl": {"retain_loss": "kl"}}), (("blocks", 0), asked)))
    assert line == (
        "variants: tofu/forget10/tiny/task-vector: kl: retain_loss: task-vector trains nothing, so this variant is its default"
    )


def test_lessons_on_facts_are_for_a_benchmark_that_has_facts() -> None:
    line = refused(texts(MUSE, changes=[(("finetuning", "muse/*/tiny"), {"fact_lessons": 1})]))
    assert line == "config: finetuning: muse/forget/tiny: fact_lessons: 1: kind muse has no facts; use 0".removeprefix("config: ")
    assert "kind markov has no facts" in refused(chains("finetuning", "markov/*/gpt2", value={"fact_lessons": 1}))
    assert Study(changed((("finetuning", "tofu/*/tiny"), {"fact_lessons": 1}))).subjects


def test_a_selection_is_among_several() -> None:
    block = {**BLOCK, "methods": [{"npo": ["selected"]}]}
    for grid in ({}, {"tofu/*/tiny/npo": {"beta": [0.2]}}):
        config = changed((("blocks", 0), block), (("selections", "tofu/*/*/npo"), {"epochs": "last"}), (("grids",), grid))
        assert "epochs: last: " in (line := refused(config)) and "is the only trial; use epochs: all, or more trials" in line
    assert Study(
        changed((("blocks", 0), block), (("selections", "tofu/*/*/npo"), {"epochs": "last"}), (("grids",), GRID))
    ).selections
    assert Study(changed((("blocks", 0), block), (("selections", "tofu/*/*/npo"), {"epochs": "all"}))).selections


def test_two_trials_never_share_a_name() -> None:
    betas = [0.1234561, 0.1234562, 1, 2.0]
    study = Study(changed((("grids", "tofu/*/*/npo"), {"beta": betas})))
    trials = study.trials("tofu", "forget10", "tiny", "npo")
    assert list(trials) == ["beta-0.1234561", "beta-0.1234562", "beta-1", "beta-2"]
    assert [trial["beta"] for trial in trials.values()] == betas


def test_a_trial_hides_no_variant_of_its_name() -> None:
    block = {**BLOCK, "methods": [{"npo": ["grid"]}], "trajectories": {"suite": "tofu"}}
    named = {"beta-0.1": {"beta": 0.1, "retain_weight": 2.0}}
    config = changed((("blocks", 0), block), (("grids",), GRID), (("variants", "tofu/*/*/npo"), named))
    assert refused(config) == "variants: tofu/forget10/tiny/npo: beta-0.1: a trial of the grid has this name too"
    Study(changed((("blocks", 0), block), (("grids",), GRID), (("variants", "tofu/*/*/npo"), {"beta-0.1": {"beta": 0.1}})))


@pytest.mark.parametrize(
    ("source", "file", "taken"),
    [
        ({"kind": "wmdp-world"}, "hazards.jsonl", True),
        ({"kind": "wmdp-world"}, "hazard.jsonl", False),
        ({"kind": "wmdp-world"}, "*.jsonl", True),
        ({"kind": "wmdp-folder", "path": "corpora"}, "hazards.jsonl", False),
        ({"kind": "wmdp-folder", "path": "corpora"}, "forget.jsonl", True),
        ({"kind": "wmdp-hub", "subject": "cyber"}, "general.jsonl", False),
    ],
)
def test_a_task_reads_sets_that_the_data_have(source: dict[str, Any], file: str, taken: bool) -> None:
    Path("corpora").mkdir()
    task = {"task": "hazards", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": f"{{data}}/{file}"}}}
    group = {"group": "of", "task": ["general"], "dataset_path": "json", "dataset_kwargs": {"data_files": "{data}/{task}.jsonl"}}
    changes = [
        (("sources", "hazards"), source),
        (("suites", "hazards", "tasks"), [task, {"task": "general"}]),
        (("models", "large", "original"), None),
        (("models", "large", "retrain"), None),
    ]
    config = texts({**WMDP, "models": ["large"]}, changes=changes)
    if taken:
        Study(config)
    else:
        line = refused(config)
        assert line.startswith(
            f"suites: hazards: tasks: a task reads {{data}}/{file}; source 'hazards' is of kind {source['kind']}"
        )
    config = texts({**WMDP, "models": ["large"]}, changes=[*changes[:1], (("suites", "hazards", "tasks"), [group]), *changes[2:]])
    if source["kind"] == "wmdp-world":
        assert "forget_task: unknown task 'hazards'" in refused(config)
    else:
        assert "a task reads {data}/general.jsonl" in refused(config)


def test_the_tasks_of_a_benchmark_of_hazards_are_asked() -> None:
    asked = [{"task": "hazards"}, {"task": "generl"}]
    line = refused(texts(WMDP, changes=[(("suites", "hazards", "tasks"), asked)]))
    assert line == ("benchmarks: wmdp: utility_task: unknown task 'general'; did you mean generl? allowed: hazards, generl")
    # What a stock task stands for is not known here.
    Study(texts(WMDP, changes=[(("suites", "hazards"), STOCK)]))


def test_the_data_of_stock_tasks_are_pinned() -> None:
    def line(**changed: Any) -> str:
        return refused(texts(WMDP, changes=[(("suites", "hazards"), STOCK | changed)]))

    missing = "suites: hazards: datasets: missing: name the data sets of the Hub that wmdp_bio reads, each with its commit"
    assert line(datasets={}) == missing
    assert line(datasets={"cais/wmdp": "main"}).startswith("suites: hazards: datasets: \"cais/wmdp\": 'main'")
    own = [{"task": "hazards"}, {"task": "general", "dataset_path": "cais/wmdp"}]
    assert line(tasks=own) == "suites: hazards: datasets: no task reads cais/mmlu"
    missing = "suites: hazards: datasets: missing: a task reads cais/wmdp of the Hub; name it with its commit"
    assert line(tasks=[*own, "mmlu"], datasets={"cais/mmlu": "2" * 40}) == missing

    artefacts = Artefacts(Study(texts(WMDP, changes=[(("suites", "hazards"), STOCK)])))
    (fetched,) = artefacts.of("fetch")
    for node in (node for node in artefacts.of("evaluate") if node.of.benchmark == "wmdp"):
        assert artefacts.inputs(node)["datasets"] == artefacts.manifest(fetched)


def test_an_original_is_taught_by_a_source_with_lessons() -> None:
    changes = [
        (("sources", "hazards"), {"kind": "wmdp-hub", "subject": "cyber"}),
        (("suites", "hazards"), STOCK),
        (("benchmarks", "wmdp", "original"), "finetuned"),
        (("models", "large", "original"), None),
        (("models", "large", "retrain"), None),
    ]
    line = refused(texts({**WMDP, "models": ["large"]}, changes=changes))
    assert line == "benchmarks: wmdp: original: finetuned: source 'hazards' has no lessons: base"


def test_a_tiny_base_has_something_to_learn_and_texts_fit_into_its_context() -> None:
    Path("data/austen").mkdir(parents=True)
    novels = {"kind": "austen", "retain": ["Emma", "Northanger Abbey"], "kept": ["Pride and Prejudice", "Sense and Sensibility"]}
    line = refused(texts(MUSE, changes=[(("sources", "corpus"), novels)]))
    assert line == "blocks[2]: models: tiny is tiny, but source 'corpus' has no base corpus"
    line = refused(texts(MUSE, changes=[(("models", "tiny", "chunk_tokens"), 513)]))
    assert line == "models: tiny: chunk_tokens: 513: its architecture has a context of 512 tokens"


def test_repositories_without_a_revision_are_folders() -> None:
    for key in ("tokenizer", "original", "retrain"):
        other = texts(
            {**MUSE, "benchmark": "news", "models": ["large"]}, changes=[(("models", "large", key), {"name": "some/own"})]
        )
        line = refused(other)
        assert line == f"models: large: {key}: name: there is no folder 'some/own'; for the Hub run `palimpsest pin FILE` once"


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        (
            ("methods", "markov/*/gpt2/*"),
            {"epochs": 1001, "batch_size": 8, "retain_loss": "none"},
            "blocks: markov/lengths/gpt2/npo: default: epochs: 1001: with a batch_size of 8 they need 8008 sequences, but the "
            "two forget chains have 8000 for training",
        ),
        (
            ("benchmarks", "markov", "forget_sequences"),
            5,
            "benchmarks: markov: forget_sequences: 5: a test_share of 0.2 leaves 4 to learn and 1 to test with, where 1 and 2 "
            "are needed",
        ),
        (("benchmarks", "markov", "splits"), {}, "benchmarks: markov: splits: {}: at least one is needed"),
        (("models", "gpt2", "width"), 130, "models: gpt2: width: 130: with 4 heads it must be a multiple of 4"),
        (
            ("finetuning", "markov/length/gpt2"),
            {},
            "finetuning: \"markov/length/gpt2\": 'length' is not a split; did you mean lengths?",
        ),
    ],
)
def test_one_line_about_chains(keys: Sequence[str | int], value: Any, line: str) -> None:
    assert refused(chains(*keys, value=value)).startswith(line)


def test_a_move_that_bf16_weights_round_away_is_refused() -> None:
    asked = (("methods", "tofu/*/tiny/npo"), {"sharpness": 0.01})
    assert refused(changed((("models", "tiny", "precision"), "bf16"), asked)) == (
        "variants: tofu/forget10/tiny/npo: default: sharpness: 0.01: so short a move is lost in rounding bf16 weights; "
        "use precision: bf16-mixed"
    )
    assert Study(changed((("models", "tiny", "precision"), "bf16-mixed"), asked)).subjects
