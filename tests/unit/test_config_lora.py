"""The DAG of models that are kept as adapters: who reads one reads all that it lies over."""

from __future__ import annotations

from typing import Any

from example_study import CONFIG, changed, folders, inputs

from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

RUN, SPLIT, BASE = "tofu/tiny/forget10/seed0", "tofu/splits/forget10", "tofu/tiny/base"
ORIGINAL_MODEL = f"{RUN}/original/model"


def with_lora(*methods: str, **more: Any) -> Study:
    config = changed(("models", "tiny", "lora"), {"rank": 4})
    block = {**config["blocks"][1], "methods": [*methods], "attacks": ["relearn-random", "quantise"], **more}
    return Study({**config, "attacks": {**config["attacks"], "quantise": {"kind": "quantise"}}, "blocks": [block]})


def test_who_reads_adapters_reads_all_that_they_lie_over() -> None:
    study, unlearned = with_lora("npo", "rkld", "task-vector"), f"{RUN}/unlearn/npo/default"
    over_base, over_original = {"model_over": [BASE]}, {"model_over": [ORIGINAL_MODEL, BASE]}
    assert inputs(study, ORIGINAL_MODEL) == {"base": BASE, "split": SPLIT}
    start = {"model": ORIGINAL_MODEL, **over_base}
    for path, wanted in {
        f"{RUN}/original/reference/plain": start | {"split": SPLIT},
        f"{RUN}/original/reinforced/model": start | {"split": SPLIT},
        f"{unlearned}/model": start | {"split": SPLIT, "reference": f"{RUN}/original/reference/plain"},
        f"{RUN}/unlearn/rkld/default/model": start
        | {"split": SPLIT, "reinforced": f"{RUN}/original/reinforced/model", "reinforced_over": [ORIGINAL_MODEL, BASE]},
        f"{RUN}/retrain/eval/tofu": {"model": f"{RUN}/retrain/model", **over_base, "split": SPLIT},
        f"{unlearned}/eval/tofu": {"model": f"{unlearned}/model", **over_original, "split": SPLIT},
        f"{unlearned}/attack/relearn-random": {"model": f"{unlearned}/model", **over_original, "split": SPLIT},
        f"{RUN}/retrain/attack/quantise": {"model": f"{RUN}/retrain/model", **over_base, "split": SPLIT},
        # What edits all weights saves all weights.
        f"{unlearned}/attack/quantise/eval/tofu": {"model": f"{unlearned}/attack/quantise", "split": SPLIT},
        f"{RUN}/unlearn/task-vector/default/eval/tofu": {"model": f"{RUN}/unlearn/task-vector/default/model", "split": SPLIT},
    }.items():
        assert inputs(study, path) == wanted, path
    labels = Artefacts(study).inputs(Artefacts(study).at(f"{unlearned}/eval/tofu"))
    assert {label: path.removeprefix("results/") for label, path in labels.items() if "over" in label} == {
        "model_over:1": f"{ORIGINAL_MODEL}/manifest.json",
        "model_over:2": f"{BASE}/manifest.json",
    }


def test_without_lora_no_stage_has_another_input() -> None:
    study = Study(CONFIG)
    assert not any("over" in name for path in folders(study) for name in inputs(study, path))
