"""Which variant stands for a method, whose trajectory is followed, and what a place is."""

import pytest
from question_example import evidence, settings
from report_example import block, numbers
from text_example import DATA, NPO, TASKS, rows, texts

from palimpsest.methods import list_methods
from palimpsest.names import ROLES
from palimpsest.report.names import method_name, standing_variant
from palimpsest.report.style import colour_of, marker_of


@pytest.mark.parametrize(
    ("names", "found"),
    [(["b", "default", "selected"], "selected"), (["b", "default"], "default"), (["b-10", "b-9"], "b-9"), ([], None)],
)
def test_the_selected_variant_stands_before_the_default_and_that_before_all_others(names, found):
    assert standing_variant(names) == found


def test_no_other_start_and_no_other_reference_stands_for_a_method():
    variants = {
        "selected": settings(reference="noisy"),
        "default": settings(start="original-half"),
        "plain": {"training": {}, "loss": {}},
    }
    found = block(methods={"npo": variants})
    assert found.standing("npo") == "plain"
    assert found.standing("npo", start="original-half") == "default"
    assert found.standing("simnpo") is None


def selection(variant: str, selected: bool) -> dict:
    row = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "method": "npo", "variant": variant, "epoch": 1, "runs": 1}
    return row | {
        "forget_quality": 0.5,
        "model_utility": 0.5,
        "utility_share": 1,
        "eligible": True,
        "selected": selected,
        "reason": "",
    }


@pytest.mark.parametrize(
    ("watched", "found"),
    [
        (["beta-1", "beta-2", "default"], "default"),
        (["beta-1", "beta-2"], "beta-2"),
        (["beta-3", "beta-1"], "beta-1"),
        (["odd"], None),
        ([], None),
    ],
)
def test_the_default_is_followed_or_else_the_trial_that_was_selected(tmp_path, watched, found):
    trials = {"npo": {"beta-1": settings(), "beta-2": settings(), "odd": settings(start="original-half")}}
    of = evidence(tmp_path, numbers({}), block(trials=trials), selections=[selection("beta-1", False), selection("beta-2", True)])
    assert of.watched_variant(of.study.blocks[0], "npo", watched) == found


def test_a_place_is_a_block_and_a_suite(tmp_path):
    models = {"npo": {1: {"model_utility": 0.5}, 0: {"model_utility": 0.4}}}
    of = evidence(tmp_path, numbers(models) + numbers(models, suite="short") + numbers(models, split="other"))
    found = of.finished()
    assert [place.title for place in found] == ["tofu / forget05 / tiny / short", "tofu / forget05 / tiny"]
    assert found[0].by_seed("model_utility", "npo", "default").to_dict() == {0: 0.4, 1: 0.5}
    assert found[0].by_seed("forget_quality", "npo", "default").empty


def test_places_are_found_by_their_metrics(tmp_path):
    found = numbers({"npo": {0: {"model_utility": 0.5}}}) + rows({"npo": [NPO]})
    found += rows({"npo": [(0.3, 0.5)]}, benchmark="bio", metrics=TASKS)
    of = evidence(
        tmp_path, found, block(), texts(), texts(benchmark="bio"), data=DATA, published={"news/forget/tiny": {"npo": {}}}
    )
    assert [place.title for place in of.finished("model_utility")] == ["tofu / forget05 / tiny"]
    assert [place.title for place in of.finished("verbmem_f", "knowmem_r")] == ["news / forget / tiny / muse"]
    assert len(of.finished()) == 3
    assert of.finished("kl_forget1") == []
    assert [of.published_for(each) for each in of.study.blocks] == [{}, {"npo": {}}, {}]


def test_every_model_has_a_look_of_its_own():
    models = [*ROLES, *list_methods()]
    for look in (colour_of, marker_of, method_name):
        assert len({look(model) for model in models} | {look("a-model-of-others")}) == len(models) + 1
