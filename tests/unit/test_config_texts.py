"""Studies of texts: which splits share what, what requests start from, and what mistakes are told as."""

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from example_study import CONFIG

from palimpsest.config.description import describe_study, resolve_config
from palimpsest.config.jobs import Inputs, Names, Specs
from palimpsest.config.measured import list_measured
from palimpsest.config.study import Study
from palimpsest.config.texts import is_split, number, predecessor
from palimpsest.errors import UserError

REVISION = "0" * 40
TEXTS = yaml.safe_load(
    f"""
sources:
  texts: {{kind: muse-world, parts: 3}}
  hazards: {{kind: wmdp-world}}
  news: {{kind: muse-hub, repo: some/news, revision: "{REVISION}"}}
benchmarks:
  muse: {{kind: muse, source: texts}}
  news: {{kind: muse, source: news, retrain_auc: 0.4772}}
  wmdp: {{kind: wmdp, source: hazards, forget_task: hazards, utility_task: general}}
models:
  tiny: {{kind: tiny, piece_tokens: 512}}
  large:
    kind: pretrained
    name: some/base
    revision: "{REVISION}"
    original: {{name: some/target, revision: "{REVISION}"}}
    retrain: {{name: some/retrain, revision: "{REVISION}"}}
    piece_tokens: 1024
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
    """Return the example study with blocks of texts below its own, and some values set."""
    merged: dict[str, Any] = copy.deepcopy(CONFIG)
    for section, entries in copy.deepcopy(TEXTS).items():
        merged[section] = {**merged.get(section, {}), **entries}
    merged["blocks"] += blocks
    for keys, value in changes:
        node: Any = merged
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
    return merged


def job(benchmark: str = "muse", split: str = "forget", model: str = "tiny", **names: str) -> Any:
    return SimpleNamespace(**{"benchmark": benchmark, "split": split, "model": model, "seed": "0", "variant": "default", **names})


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
    folder = "results/muse/tiny/forget/seed0"
    roles = [path for path in study.models("original", "retrain") if "/muse/" in path]
    assert roles == [f"{folder}/original/model/manifest.json", f"{folder}/retrain/model/manifest.json"]
    evaluated = [path for path in study.evaluations() if "/muse/" in path]
    assert evaluated == [
        f"{folder}/original/eval/manifest.json",
        f"{folder}/retrain/eval/manifest.json",
        "results/muse/tiny/request2/seed0/unlearn/npo/default/eval/manifest.json",
        "results/muse/tiny/scale2/seed0/unlearn/npo/default/eval/manifest.json",
    ]
    inputs = Inputs(study)
    assert inputs.finetune(job(role="original")) == {
        "base": "results/muse/tiny/base/manifest.json",
        "split": "results/muse/data/manifest.json",
    }
    # What is trained on is the split's, what is evaluated on is the same for all of them.
    unlearn = inputs.unlearn(job(split="scale2", method="npo"))
    assert unlearn == {
        "model": f"{folder}/original/model/manifest.json",
        "reference": "results/muse/tiny/scale2/seed0/original/reference/plain/manifest.json",
        "split": "results/muse/splits/scale2/manifest.json",
    }
    assert inputs.evaluate(job(split="scale2", subject="unlearn/npo/default")) == {
        "model": "results/muse/tiny/scale2/seed0/unlearn/npo/default/model/manifest.json",
        "split": "results/muse/data/manifest.json",
    }


def test_a_request_starts_from_the_model_that_the_one_before_has_left() -> None:
    study = Study(config({**MUSE, "splits": ["request3"], "methods": ["npo", "task-vector"]}))
    made = [path for path in study.unlearned() if "/muse/" in path and "/npo/" in path]
    assert made == [
        f"results/muse/tiny/{split}/seed0/unlearn/npo/default/model/manifest.json" for split in ("forget", "request2", "request3")
    ]
    inputs, before = Inputs(study), "results/muse/tiny/request2/seed0/unlearn/{}/default/model/manifest.json"
    beside = "results/muse/tiny/request3/seed0/unlearn/{}/default"
    assert inputs.unlearn(job(split="request3", method="npo")) == {
        "model": before.format("npo"),
        "reference": beside.format("npo") + "/reference/plain/manifest.json",
        "split": "results/muse/splits/request3/manifest.json",
    }
    # Its reference is that same model, asked for the new request; and a task vector is taken from it too.
    assert inputs.reference(job(split="request3", start="unlearn/npo/default", reference="plain"))["model"] == before.format(
        "npo"
    )
    assert inputs.unlearn(job(split="request3", method="task-vector")) == {
        "model": before.format("task-vector"),
        "strengthened": beside.format("task-vector") + "/strengthened/model/manifest.json",
    }
    assert inputs.strengthen(job(split="request3", start="unlearn/task-vector/default"))["base"] == before.format("task-vector")
    assert re.fullmatch(Names(study).start, "unlearn/npo/default")
    # A model on the way is kept, and measured only where a block asks for it.
    assert not any("/request2/" in path for path in study.evaluations())


def test_every_split_is_scored_against_the_one_retrain() -> None:
    study = Study(config({**MUSE, "splits": ["forget", "request2"], "seeds": [0, 1]}))
    retrain = ["results/muse/tiny/forget/seed0/retrain/eval/manifest.json"]
    assert Inputs(study).scores(job())["retrain"] == Inputs(study).scores(job(split="request2"))["retrain"] == retrain
    assert json.loads(Specs(study).scores(job())).get("published") is None
    evaluations = json.loads(Specs(study).scores(job(split="request2")))["evaluations"]
    assert evaluations == [{"method": "npo", "variant": "default"}]


def test_the_base_that_knows_the_hazards_is_the_original_and_there_is_no_retrain() -> None:
    study = Study(config(WMDP))
    assert "results/wmdp/tiny/base/manifest.json" in study.models("original")
    assert not any("/wmdp/" in path for path in study.models("retrain"))
    inputs = Inputs(study)
    assert inputs.unlearn(job("wmdp", method="rmu"))["model"] == "results/wmdp/tiny/base/manifest.json"
    assert inputs.evaluate(job("wmdp", subject="original"))["model"] == "results/wmdp/tiny/base/manifest.json"
    assert "retrain" not in inputs.scores(job("wmdp"))
    measured = [entry for entry in list_measured(study)["jobs"] if entry["benchmark"] == "wmdp"]
    assert sorted(entry["stage"] for entry in measured) == ["base", *["evaluate"] * 3, "reference", *["unlearn"] * 2]


def test_an_original_that_learns_the_hazards_first() -> None:
    study = Study(config(WMDP, changes=[(("benchmarks", "wmdp", "original"), "finetuned")]))
    original = "results/wmdp/tiny/forget/seed0/original/model/manifest.json"
    assert original in study.models("original")
    assert Inputs(study).unlearn(job("wmdp", method="rmu"))["model"] == original


def test_finished_models_are_fetched_and_take_the_tokenizer_of_their_base() -> None:
    study = Study(config({**MUSE, "benchmark": "news", "models": ["large"]}))
    names = Names(study)
    assert (names.given, names.taught) == ("large", "tiny")
    spec = json.loads(Specs(study).given(job("news", model="large", role="retrain")))
    assert spec == {
        "model": {
            "kind": "pretrained",
            "name": "some/retrain",
            "revision": REVISION,
            "tokenizer": {"name": "some/base", "revision": REVISION},
        }
    }
    assert json.loads(Specs(study).scores(job("news", model="large")))["published"] == {"auc_min_k": 0.4772}
    # A base that nobody reads is not fetched, and what is fetched is not measured.
    assert {entry["stage"] for entry in list_measured(study)["jobs"] if entry["benchmark"] == "news"} == {
        "evaluate",
        "reference",
        "unlearn",
    }


def test_only_what_texts_are_cut_by_is_told_to_their_stages() -> None:
    study, specs = Study(config(MUSE)), Specs(Study(config(MUSE)))
    assert json.loads(specs.finetune(job(role="original")))["model"]["piece_tokens"] == 512
    assert "piece_tokens" not in json.loads(specs.finetune(job("tofu", "forget10", role="original")))["model"]
    assert "piece_tokens" in json.loads(specs.base(job()))["model"]
    assert "piece_tokens" not in json.loads(specs.base(job("tofu")))["model"]
    described = describe_study(study)
    assert described["data"]["muse"]["shape"] == "muse" and described["data"]["muse"]["kind"] == "muse-world"
    assert describe_study(Study(resolve_config(study))) == described


@pytest.mark.parametrize(
    ("block", "changes", "line"),
    [
        (
            {"splits": ["forget10"]},
            [],
            "splits: 'forget10' is no split of texts: forget, scale2, scale3 ..., request2, request3 ...",
        ),
        ({"splits": ["scale4"]}, [], "splits: scale4: source 'texts' has 3 parts"),
        ({"suites": ["tofu"]}, [], "suites: 'tofu' is of kind tofu: kind muse or lm-eval is wanted"),
        ({"attacks": ["relearn-shortest"]}, [], "attacks: muse is of kind muse, which takes none"),
        ({"methods": ["dpo-idk"]}, [], "methods: dpo-idk answers questions with refusals, and texts ask none"),
        ({"trajectories": {"suite": "tofu"}}, [], "trajectories: suite: 'tofu' is of kind tofu: kind muse is wanted"),
        (
            {"splits": ["scale2"], "trajectories": {"suite": "muse"}},
            [],
            "trajectories: of texts only split forget is watched, not scale2",
        ),
        (
            {"benchmark": "wmdp", "splits": ["scale2"], "suites": ["hazards"]},
            [],
            "splits: scale2: wmdp is of kind wmdp, whose one split is forget",
        ),
        (
            {"benchmark": "wmdp", "suites": ["hazards"], "trajectories": {"suite": "muse"}},
            [],
            "trajectories: suite: wmdp is of kind wmdp, which is not watched: no trajectories, and no choice",
        ),
        ({"benchmark": "wmdp", "suites": ["muse"]}, [], "suites: 'muse' is of kind muse: kind lm-eval is wanted"),
        (
            {"benchmark": "news", "models": ["tiny"]},
            [],
            "models: tiny is tiny, and source 'news' has nothing that its base could learn",
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
            "for kind muse allowed: muse-world, muse-folder, muse-hub, austen",
        ),
        (
            {"benchmark": "tofu", "splits": ["forget10"], "suites": ["tofu"], "models": ["large"]},
            [],
            "models: large: original: tofu is of kind tofu, where a split has its own: null",
        ),
        (
            {"benchmark": "news", "models": ["large"]},
            [(("models", "large", "retrain"), None)],
            "models: large: original: goes with retrain, and with benchmarks of kind muse alone",
        ),
        (
            {**WMDP, "models": ["large"]},
            [(("sources", "hazards"), {"kind": "wmdp-hub", "subject": "bio"})],
            "sources: hazards: gated_revision: missing: ask for access on the page of the data set cais/wmdp-bio-forget-corpus, "
            "and give the commit that is shown there",
        ),
        (
            {"splits": ["request2"], "methods": [{"simnpo": ["chosen"]}]},
            [],
            "selections: simnpo: split: request2: of texts only split forget is watched: set split: forget",
        ),
        (
            {"methods": [{"simnpo": ["chosen"]}]},
            [(("selections", "muse/*/tiny/simnpo", "maximise"), "forget_quality")],
            "selections: simnpo: maximise: forget_quality: suites of kind muse give privacy, knowmem_r",
        ),
        (
            {"trajectories": {"suite": "muse"}},
            [(("methods", "muse/*/*/npo"), {"max_steps": 100})],
            "blocks: muse/forget/tiny/npo: max_steps: 100: what is watched or chosen is trained by epochs: null",
        ),
        (
            {"methods": [{"npo": ["half"]}]},
            [(("variants", "muse/*/*/*"), {"half": {"start": "original-half"}})],
            "blocks: muse/forget/tiny/npo: half: start: original-half: of texts it is original",
        ),
        (
            {"benchmark": "muse"},
            [(("sources", "texts"), {"kind": "muse-folder", "path": "no/where"}), (("blocks", 2, "models"), ["large"])],
            "sources: texts: path: there is no folder 'no/where': it should hold the files of MUSE, laid out as on the hub",
        ),
    ],
)
def test_one_line(block: dict[str, Any], changes: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(config({**MUSE, **block}, changes=changes))
    assert str(caught.value) == f"config: {line}"
