"""Models that others made: an Original and a Retrain per split, shared by all seeds, and checkpoints beside the methods."""

from typing import Any

import pytest
from example_study import CONFIG, folders, inputs, spec

from palimpsest.errors import UserError
from palimpsest.study.description import describe_study, resolve_config
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

REVISION = "a" * 40
ORIGINAL = {"name": "some/full", "revision": REVISION}
RETRAINS = {split: {"name": f"some/without-{split}", "revision": REVISION} for split in ("forget05", "forget10")}
LARGE = {"kind": "pretrained", "original": ORIGINAL, "retrain": RETRAINS}
CHECKPOINTS = {
    "authors": {"name": "some/simnpo", "revision": REVISION},
    "adapter": {"name": "some/lora", "revision": REVISION, "over": ORIGINAL},
}
BLOCK = {
    "benchmark": "tofu",
    "splits": ["forget10"],
    "models": ["large"],
    "seeds": [1, 2],
    "methods": ["npo"],
    "checkpoints": ["authors", "adapter"],
    "suites": ["tofu"],
    "attacks": ["relearn-shortest"],
}
RUN = "tofu/large/forget10/seed1"


def config(block: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    """Return a config with one block of a model whose Original and Retrains are given."""
    models = {**CONFIG["models"], "large": {**LARGE, **(model or {})}}
    return {**CONFIG, "models": models, "checkpoints": CHECKPOINTS, "blocks": [{**BLOCK, **(block or {})}], **sections}


def test_all_seeds_share_the_given_original_and_retrain() -> None:
    study = Study(config())
    given = [f"{RUN}/{name}/model" for name in ("adapter", "authors", "original", "retrain")]
    assert sorted(folders(study, "given")) == given
    assert not folders(study, "finetune", "base")
    other = "tofu/large/forget10/seed2"
    for seed in (RUN, other):
        read = inputs(study, f"{seed}/unlearn/npo/default/model")
        assert (read["model"], read["reference"]) == (f"{RUN}/original/model", f"{RUN}/original/reference/plain")
        assert inputs(study, f"{seed}/scores")["retrain"] == [f"{RUN}/retrain/eval/tofu"]
    assert inputs(study, f"{other}/scores")["eval"] == [f"{other}/unlearn/npo/default/eval/tofu"]
    # Retrain is attacked once, as the control of all seeds.
    assert [path for path in folders(study, "attack") if "/retrain/" in path] == [f"{RUN}/retrain/attack/relearn-shortest"]


def test_each_split_has_its_own_retrain() -> None:
    study = Study(config({"splits": ["forget05", "forget10"], "checkpoints": []}))
    for split, retrain in RETRAINS.items():
        assert spec(study, f"tofu/large/{split}/seed1/retrain/model")["model"]["name"] == retrain["name"]
        assert spec(study, f"tofu/large/{split}/seed1/original/model")["model"]["name"] == ORIGINAL["name"]


def test_a_checkpoint_is_evaluated_and_attacked_once_beside_the_methods() -> None:
    study = Study(config())
    model = spec(study, f"{RUN}/authors/model")["model"]
    assert (model["name"], model["revision"], model["over"], model["tokenizer"]) == ("some/simnpo", REVISION, None, None)
    assert spec(study, f"{RUN}/adapter/model")["model"]["over"] == ORIGINAL
    assert f"{RUN}/authors/eval/tofu" in inputs(study, f"{RUN}/scores")["eval"]
    attacked = [path for path in folders(study, "attack") if "/authors/" in path]
    assert attacked == [f"{RUN}/authors/attack/relearn-shortest"]
    assert inputs(study, attacked[0])["model"] == f"{RUN}/authors/model"


def test_a_checkpoint_of_a_model_that_is_trained_here() -> None:
    study = Study(config({"models": ["tiny"], "methods": []}))
    run = "tofu/tiny/forget10/seed1"
    assert sorted(folders(study, "given")) == [f"{run}/adapter/model", f"{run}/authors/model"]
    assert f"{run}/retrain/model" in folders(study, "finetune")
    assert not Artefacts(study).of("unlearn")


def test_the_tokenizer_is_the_models_if_it_has_one() -> None:
    tokenizer = {"name": "some/tokenizer", "revision": REVISION}
    study = Study(config(model={"tokenizer": tokenizer}))
    assert {spec(study, path)["model"]["tokenizer"]["name"] for path in folders(study, "given")} == {"some/tokenizer"}


def test_selections_judge_all_seeds_by_the_given_models() -> None:
    asked = {"tofu/*/*/npo": {"seeds": [1, 2], "suite": "tofu", "epochs": "all"}}
    study = Study(config({"methods": [{"npo": ["selected"]}]}, selections=asked))
    found = inputs(study, "tofu/large/forget10/selection/npo")
    assert found["retrain"] == [f"{RUN}/retrain/eval/tofu"] * 2
    assert found["original"] == [f"{RUN}/original/eval/tofu"] * 2


def test_the_resolved_config_is_the_same_study() -> None:
    study = Study(config())
    again = Study(resolve_config(study))
    assert describe_study(again) == describe_study(study)
    assert list(Artefacts(again).nodes) == list(Artefacts(study).nodes)
    assert "checkpoints" not in resolve_config(Study(CONFIG))


ELSEWHERE = {"tofu/*/*/npo": {"seeds": [1], "suite": "tofu", "epochs": "all", "split": "forget05"}}
HALF = {"tofu/*/*/npo": {"half": {"start": "original-half"}}}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            config(model={"retrain": None}),
            "models: large: retrain: null: original and retrain go together: give both or neither",
        ),
        (
            config(model={"retrain": {"forget05": RETRAINS["forget05"]}}),
            "models: large: retrain: no Retrain of forget10; given: forget05",
        ),
        # The trials of a selection need a Retrain too.
        (
            config({"methods": [{"npo": ["selected"]}]}, {"retrain": {"forget10": RETRAINS["forget10"]}}, selections=ELSEWHERE),
            "models: large: retrain: no Retrain of forget05; given: forget10",
        ),
        (
            config({"methods": [{"npo": ["selected"]}]}, {"retrain": RETRAINS["forget10"]}, selections=ELSEWHERE),
            "models: large: retrain: one Retrain for forget05, forget10; give one for each: {forget05: ..., forget10: ...}",
        ),
        (
            config({"splits": ["forget05", "forget10"], "checkpoints": []}, {"retrain": RETRAINS["forget10"]}),
            "models: large: retrain: one Retrain for forget05, forget10; give one for each: {forget05: ..., forget10: ...}",
        ),
        (
            config({"methods": [{"npo": ["half"]}]}, variants=HALF),
            "variants: tofu/forget10/large/npo: half: start: original-half: large has a given original, and no model that learnt "
            "half is given",
        ),
        (
            config({"splits": ["forget05", "forget10"]}),
            "blocks[0]: checkpoints: a checkpoint belongs to one split and one model; put it into a block of its own",
        ),
        (config({"suites": [], "attacks": []}), "blocks[0]: checkpoints: no suite evaluates them; name one under suites"),
        (config({"checkpoints": ["author"]}), "blocks[0]: checkpoints: unknown checkpoint 'author'; did you mean authors?"),
        (
            config(checkpoints={**CHECKPOINTS, "npo": ORIGINAL}),
            "checkpoints: npo: this is the name of a method or of a folder; choose another name",
        ),
        (
            config(checkpoints={**CHECKPOINTS, "unlearn": ORIGINAL}),
            "checkpoints: unlearn: this is the name of a method or of a folder; choose another name",
        ),
        (
            config(checkpoints={**CHECKPOINTS, "authors": {"name": "no/where"}}),
            "checkpoints: authors: name: there is no folder 'no/where'; for the Hub run `palimpsest pin FILE` once",
        ),
        (
            config(checkpoints={**CHECKPOINTS, "authors": {**ORIGINAL, "over": {"name": "no/where"}}}),
            "checkpoints: authors: over: name: there is no folder 'no/where'; for the Hub run `palimpsest pin FILE` once",
        ),
    ],
)
def test_one_line(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        Study(changed)
    assert str(caught.value).startswith(f"config: {line}")


def test_a_model_needs_a_name_or_an_original() -> None:
    for model in ({"kind": "pretrained"}, {"kind": "pretrained", "retrain": ORIGINAL, "name": "some/base", "revision": REVISION}):
        with pytest.raises(UserError, match="original"):
            Study({**config(), "models": {**CONFIG["models"], "large": model}})
