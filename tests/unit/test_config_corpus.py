"""Studies of corpora: what splits share, what requests start from, and how mistakes are told."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_study import CONFIG, folders, inputs, spec

from palimpsest.benchmarks.muse.splits import is_split, number, predecessor
from palimpsest.errors import UserError
from palimpsest.study.description import describe_study, resolve_config
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

REVISION = "0" * 40
FIRST = "muse/tiny/forget/seed0"
CORPORA = yaml.safe_load(
    f"""
sources:
  corpus: {{kind: muse-world, parts: 3}}
  hazards: {{kind: wmdp-world}}
  news: {{kind: muse-hub, repo: some/news, revision: "{REVISION}"}}
benchmarks:
  muse: {{kind: muse, source: corpus}}
  news: {{kind: muse, source: news, retrain_auc: 0.4772}}
  wmdp: {{kind: wmdp, source: hazards, forget_task: hazards, utility_task: general}}
models:
  tiny: {{kind: tiny, chunk_tokens: 512}}
  large:
    kind: pretrained
    name: some/base
    revision: "{REVISION}"
    original: {{name: some/target, revision: "{REVISION}"}}
    retrain: {{name: some/retrain, revision: "{REVISION}"}}
    chunk_tokens: 1024
methods:
  "muse/*/tiny/simnpo": {{beta: 0.7}}
  "wmdp/*/*/rmu": {{layer: 1}}
suites:
  muse: {{kind: muse}}
  hazards: {{kind: lm-eval, tasks: [{{task: hazards}}, {{task: general}}]}}
selections:
  "muse/*/tiny/simnpo": {{suite: muse, maximise: privacy}}
"""
)
MUSE = {"benchmark": "muse", "splits": ["forget"], "models": ["tiny"], "seeds": [0], "methods": ["npo"], "suites": ["muse"]}
WMDP = {**MUSE, "benchmark": "wmdp", "methods": ["rmu", "npo"], "suites": ["hazards"]}


def config(*blocks: dict[str, Any], changes: Sequence[tuple[Sequence[str], Any]] = ()) -> dict[str, Any]:
    """Return the example study with blocks of corpora below its own, and some values set."""
    merged: dict[str, Any] = copy.deepcopy(CONFIG)
    for section, entries in copy.deepcopy(CORPORA).items():
        merged[section] = {**merged.get(section, {}), **entries}
    merged["blocks"] += blocks
    for keys, value in changes:
        node: Any = merged
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
    return merged


def measured(study: Study, benchmark: str) -> list[str]:
    return sorted(node.stage for node in Artefacts(study).measured() if node.of.benchmark == benchmark)


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study looks at what is made already: nothing, whatever lies in the folder that the tests are run in."""
    monkeypatch.chdir(tmp_path)


def test_names_of_splits() -> None:
    assert all(map(is_split, ("forget", "scale2", "scale10", "request2")))
    assert not any(map(is_split, ("forget05", "scale1", "scale", "request1", "request02", "retain")))
    assert [number(name) for name in ("forget", "scale4", "request3")] == [1, 4, 3]
    assert [predecessor(name) for name in ("forget", "scale2", "request2", "request3")] == [None, None, "forget", "request2"]


def test_all_splits_share_the_original_and_retrain_of_the_first() -> None:
    study = Study(config({**MUSE, "splits": ["scale2", "request2"]}))
    roles = [path for path in folders(study, "finetune") if path.startswith("muse/")]
    assert roles == [f"{FIRST}/original/model", f"{FIRST}/retrain/model"]
    evaluated = {path for path in folders(study, "evaluate") if path.startswith("muse/")}
    others = {f"muse/tiny/{split}/seed0/unlearn/npo/default/eval/muse" for split in ("request2", "scale2")}
    assert evaluated == {f"{FIRST}/original/eval/muse", f"{FIRST}/retrain/eval/muse"} | others
    assert inputs(study, f"{FIRST}/original/model") == {"base": "muse/tiny/base", "split": "muse/data"}
    # What is trained on is the split's, what is evaluated on is the same for all of them.
    assert inputs(study, "muse/tiny/scale2/seed0/unlearn/npo/default/model") == {
        "model": f"{FIRST}/original/model",
        "reference": "muse/tiny/scale2/seed0/original/reference/plain",
        "split": "muse/splits/scale2",
    }
    assert inputs(study, "muse/tiny/scale2/seed0/unlearn/npo/default/eval/muse") == {
        "model": "muse/tiny/scale2/seed0/unlearn/npo/default/model",
        "split": "muse/data",
    }


def test_a_request_starts_from_the_model_that_the_one_before_has_left() -> None:
    study = Study(config({**MUSE, "splits": ["request3"], "methods": ["npo", "task-vector"]}))
    model = "muse/tiny/{}/seed0/unlearn/{}/default/model"
    made = {path for path in folders(study, "unlearn") if path.startswith("muse/") and "/npo/" in path}
    assert made == {model.format(split, "npo") for split in ("forget", "request2", "request3")}
    beside = "muse/tiny/request3/seed0/unlearn/{}/default"
    assert inputs(study, model.format("request3", "npo")) == {
        "model": model.format("request2", "npo"),
        "reference": beside.format("npo") + "/reference/plain",
        "split": "muse/splits/request3",
    }
    # Its reference is that same model, asked for the new request; and a task vector is taken from it too.
    reference = inputs(study, beside.format("npo") + "/reference/plain")
    assert reference == {"model": model.format("request2", "npo"), "split": "muse/splits/request3"}
    reinforced = beside.format("task-vector") + "/reinforced/model"
    assert inputs(study, model.format("request3", "task-vector")) == {
        "model": model.format("request2", "task-vector"),
        "reinforced": reinforced,
    }
    assert inputs(study, reinforced)["model"] == model.format("request2", "task-vector")
    # A model on the way is kept, and measured only where a block asks for it.
    assert not any("/request2/" in path for path in folders(study, "evaluate"))


def test_variants_that_start_from_other_models_are_no_copies_of_each_other() -> None:
    """They have other settings for the first request, and the same for the second."""
    changes = [
        (["variants", "muse/*/tiny/npo"], {"fast": {"learning_rate": 5.0e-3}}),
        (["methods", "muse/request2/tiny/npo"], {"learning_rate": 5.0e-3}),
    ]
    study = Study(config({**MUSE, "splits": ["request2"], "methods": [{"npo": ["default", "fast"]}]}, changes=changes))
    for variant in ("default", "fast"):
        evaluated = inputs(study, f"muse/tiny/request2/seed0/unlearn/npo/{variant}/eval/muse")["model"]
        assert evaluated == f"muse/tiny/request2/seed0/unlearn/npo/{variant}/model"
        assert inputs(study, evaluated)["model"] == f"{FIRST}/unlearn/npo/{variant}/model"


def test_every_split_is_scored_against_the_one_retrain() -> None:
    study = Study(config({**MUSE, "splits": ["forget", "request2"], "seeds": [0, 1]}))
    first, second = "muse/tiny/forget/seed0/scores", "muse/tiny/request2/seed0/scores"
    assert inputs(study, first)["retrain"] == inputs(study, second)["retrain"] == [f"{FIRST}/retrain/eval/muse"]
    assert spec(study, first)["published"] == {}
    assert inputs(study, second)["eval"] == ["muse/tiny/request2/seed0/unlearn/npo/default/eval/muse"]


def test_the_base_that_knows_the_hazards_is_the_original_and_there_is_no_retrain() -> None:
    study = Study(config(WMDP))
    assert "results/wmdp/tiny/base/manifest.json" in Artefacts(study).models("original")
    assert not any("/wmdp/" in path for path in Artefacts(study).models("retrain"))
    run = "wmdp/tiny/forget/seed0"
    assert inputs(study, f"{run}/unlearn/rmu/default/model")["model"] == "wmdp/tiny/base"
    assert inputs(study, f"{run}/original/eval/hazards")["model"] == "wmdp/tiny/base"
    assert "retrain" not in inputs(study, f"{run}/scores")
    assert measured(study, "wmdp") == ["base", *["evaluate"] * 3, "reference", *["unlearn"] * 2]


def test_an_original_that_learns_the_hazards_first() -> None:
    study = Study(config(WMDP, changes=[(("benchmarks", "wmdp", "original"), "finetuned")]))
    original = "wmdp/tiny/forget/seed0/original/model"
    assert f"results/{original}/manifest.json" in Artefacts(study).models("original")
    assert inputs(study, "wmdp/tiny/forget/seed0/unlearn/rmu/default/model")["model"] == original


def test_an_attack_on_hazards_is_measured_by_their_tasks() -> None:
    attacks = {**WMDP, "attacks": ["relearn-shortest", "prune"]}
    study = Study(config(attacks, changes=[(("attacks", "prune"), {"kind": "prune", "share": 0.2})]))
    relearnt = "wmdp/tiny/forget/seed0/unlearn/npo/default/attack/relearn-shortest"
    of = spec(study, relearnt)
    assert (of["kind"], of["suite"]["kind"], of["sets"]) == ("wmdp", "lm-eval", ["forget"])
    scored = spec(study, "wmdp/tiny/forget/seed0/scores")["attacks"]
    assert {name: scored[name] for name in scored if "/npo/" in name} == {
        f"unlearn/npo/default/attack/{name}": ["hazards"] for name in ("relearn-shortest", "prune")
    }
    # A model that an attack leaves is evaluated; there is no Retrain to attack.
    assert "wmdp/tiny/forget/seed0/unlearn/npo/default/attack/prune/eval/hazards" in folders(study)
    assert not any("/retrain/" in path for path in folders(study) if path.startswith("wmdp/"))


def test_an_attack_reads_the_data_sets_of_its_suite_and_takes_one_suite() -> None:
    stock = {"kind": "lm-eval", "tasks": ["hazards"], "datasets": {"cais/wmdp": REVISION}}
    of_hub = [(("suites", "stock"), stock)]
    study = Study(config({**WMDP, "suites": ["stock"], "attacks": ["relearn-shortest"]}, changes=of_hub))
    relearnt = "wmdp/tiny/forget/seed0/unlearn/npo/default/attack/relearn-shortest"
    assert inputs(study, relearnt)["datasets"] == "datasets/stock"
    with pytest.raises(UserError, match="attacks: two suites measure them, hazards and stock; use one"):
        Study(config({**WMDP, "suites": ["stock", "hazards"], "attacks": ["relearn-shortest"]}, changes=of_hub))


def test_finished_models_are_fetched_and_take_the_tokenizer_of_their_base() -> None:
    study = Study(config({**MUSE, "benchmark": "news", "models": ["large"]}))
    run = "news/large/forget/seed0"
    assert folders(study, "given") == [f"{run}/original/model", f"{run}/retrain/model"]
    model = spec(study, f"{run}/retrain/model")["model"]
    assert (model["name"], model["revision"]) == ("some/retrain", REVISION)
    assert model["tokenizer"] == {"name": "some/base", "revision": REVISION}
    assert spec(study, f"{run}/scores")["published"] == {"auc_min_k": 0.4772}
    # A base that nobody reads is not fetched, and what is fetched is not measured.
    assert "news/large/base" not in folders(study)
    assert set(measured(study, "news")) == {"evaluate", "reference", "unlearn"}


def test_only_what_texts_are_cut_by_is_told_to_their_stages() -> None:
    study = Study(config(MUSE))
    cut = {path for path in folders(study, "finetune", "base") if "chunk_tokens" in spec(study, path)["model"]}
    assert cut == {path for path in folders(study, "finetune", "base") if path.startswith("muse/")}
    described = describe_study(study)
    assert described["data"]["muse"]["shape"] == "muse" and described["data"]["muse"]["kind"] == "muse-world"
    assert describe_study(Study(resolve_config(study))) == described


@pytest.mark.parametrize(
    ("block", "changes", "line"),
    [
        (
            {"splits": ["forget10"]},
            [],
            "splits: 'forget10' is not a split of muse, which is of kind muse: forget, scale2, scale3 ..., request2, "
            "request3 ...",
        ),
        ({"splits": ["scale4"]}, [], "splits: scale4: source 'corpus' has 3 parts"),
        ({"suites": ["tofu"]}, [], "suites: 'tofu' is of kind tofu; expected kind muse or depth or lm-eval"),
        (
            {"attacks": ["relearn-shortest"], "suites": ["lm-eval"]},
            [],
            "attacks: attacks are measured by a suite of kind muse: add one to suites",
        ),
        ({"attacks": ["relearn-shortest"], "splits": ["scale2"]}, [], "attacks: scale2 of muse has no attacks"),
        (
            {"attacks": ["benign-retain", "benign-other"]},
            [
                (("attacks", "benign-retain"), {"kind": "relearn", "data": "retain", "select": "random"}),
                (("attacks", "benign-other"), {"kind": "relearn", "data": "other", "select": "random"}),
            ],
            "attacks: benign-other: data: other: muse (kind muse) has no other set than forget and retain",
        ),
        ({"methods": ["dpo-idk"]}, [], "methods: dpo-idk needs questions with answers, but muse is a corpus"),
        ({"trajectories": {"suite": "tofu"}}, [], "trajectories: suite: 'tofu' is of kind tofu; expected kind muse"),
        (
            {"splits": ["scale2"], "trajectories": {"suite": "muse"}},
            [],
            "trajectories: scale2 of muse has no trajectories",
        ),
        (
            {"benchmark": "wmdp", "splits": ["scale2"], "suites": ["hazards"]},
            [],
            "splits: 'scale2' is not a split of wmdp, which is of kind wmdp: forget",
        ),
        (
            {"benchmark": "wmdp", "suites": ["hazards"], "trajectories": {"suite": "muse"}},
            [],
            "trajectories: suite: wmdp is of kind wmdp, which has no trajectories and no selections",
        ),
        ({"benchmark": "wmdp", "suites": ["muse"]}, [], "suites: 'muse' is of kind muse; expected kind lm-eval"),
        (
            {"benchmark": "news", "models": ["tiny"]},
            [],
            "models: tiny is tiny, but source 'news' has no base corpus",
        ),
    ],
)
def test_one_line_about_a_block(block: dict[str, Any], changes: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(config({**MUSE, **block}, changes=changes))
    assert str(caught.value) == f"config: blocks[2]: {line}"


@pytest.mark.parametrize(
    ("block", "changes", "line"),
    [
        (
            {},
            [(("benchmarks", "muse", "source"), "world")],
            "benchmarks: muse: source: 'world' is of kind world; "
            "allowed for kind muse: austen, muse-folder, muse-hub, muse-world",
        ),
        (
            {**WMDP, "models": ["large"]},
            [
                (("sources", "hazards"), {"kind": "wmdp-hub", "subject": "bio"}),
                (("models", "large", "original"), None),
                (("models", "large", "retrain"), None),
            ],
            "sources: hazards: gated_revision: null: request access on the page of the data set cais/wmdp-bio-forget-corpus, "
            "name it under gated_repo, and run `palimpsest pin FILE` once",
        ),
        (
            {"splits": ["request2"], "methods": [{"simnpo": ["selected"]}]},
            [],
            "selections: simnpo: split: request2 of muse has no trajectories; set another split",
        ),
        (
            {"methods": [{"simnpo": ["selected"]}]},
            [(("selections", "muse/*/tiny/simnpo", "maximise"), "forget_quality")],
            "selections: simnpo: maximise: forget_quality: suites of kind muse give privacy, knowmem_r",
        ),
        (
            {"trajectories": {"suite": "muse"}},
            [(("methods", "muse/*/*/npo"), {"max_steps": 100})],
            "blocks: muse/forget/tiny/npo: max_steps: 100: trajectories and selections need epochs; use null",
        ),
        (
            {"suites": ["muse", "few"], "attacks": ["relearn-shortest"]},
            [(("suites", "few"), {"kind": "muse"})],
            "blocks: muse/forget/tiny: attacks: two suites measure them, few and muse; use one",
        ),
        (
            {"methods": [{"npo": ["half"]}]},
            [(("variants", "muse/*/*/*"), {"half": {"start": "original-half"}})],
            "blocks: muse/forget/tiny/npo: half: start: original-half: on a corpus it must be original",
        ),
        (
            {"benchmark": "muse"},
            [(("sources", "corpus"), {"kind": "muse-folder", "path": "no/where"}), (("blocks", 2, "models"), ["large"])],
            "sources: corpus: path: there is no folder 'no/where': it should hold the files of MUSE, in the layout of the Hub",
        ),
    ],
)
def test_one_line(block: dict[str, Any], changes: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(config({**MUSE, **block}, changes=changes))
    assert str(caught.value) == f"config: {line}"


def test_a_setting_of_the_scores_alone_evaluates_no_model_again() -> None:
    block = {**MUSE, "methods": [{"simnpo": ["selected"]}]}
    studies = [Study(config(block, changes=[(("suites", "muse", "min_k"), share)])) for share in (0.4, 0.2)]
    changed = [path for path in folders(studies[0]) if spec(studies[0], path) != spec(studies[1], path)]
    # The report tells all settings.
    assert changed == ["muse/tiny/forget/selection/simnpo", f"{FIRST}/scores", "report"]
    assert [spec(study, f"{FIRST}/scores")["settings"] for study in studies] == [
        {"muse": {"min_k": 0.4}},
        {"muse": {"min_k": 0.2}},
    ]
