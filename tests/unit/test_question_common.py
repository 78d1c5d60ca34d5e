"""Which variant stands for a method, and what is said of a difference between seeds."""

import pandas as pd
import pytest
from question_example import evidence, settings
from report_example import block, numbers

from palimpsest.reporting.questions.common import (
    against_paper,
    default_variant,
    finished,
    joined,
    places,
    standing,
    under_titles,
    watched_variant,
)


@pytest.mark.parametrize(
    ("names", "found"),
    [(["b", "default", "chosen"], "chosen"), (["b", "default"], "default"), (["b", "a"], "b"), ([], None)],
)
def test_the_chosen_variant_stands_before_the_default_and_that_before_all_others(names, found):
    assert standing(names) == found


def test_no_other_start_and_no_other_reference_stands_for_a_method():
    variants = {
        "chosen": settings(reference="noisy"),
        "default": settings(start="original-half"),
        "plain": {"training": {}, "loss": {}},
    }
    found = block(methods={"npo": variants})
    assert default_variant(found, "npo") == "plain"
    assert default_variant(found, "npo", start="original-half") == "default"
    assert default_variant(found, "simnpo") is None


def choice(variant: str, chosen: bool) -> dict:
    row = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "method": "npo", "variant": variant, "epoch": 1, "seeds": 1}
    return row | {
        "forget_quality": 0.5,
        "model_utility": 0.5,
        "utility_share": 1,
        "eligible": True,
        "chosen": chosen,
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
def test_the_default_is_followed_or_else_the_trial_that_was_chosen(tmp_path, watched, found):
    trials = {"npo": {"beta-1": settings(), "beta-2": settings(), "odd": settings(start="original-half")}}
    of = evidence(tmp_path, numbers({}), block(trials=trials), choices=[choice("beta-1", False), choice("beta-2", True)])
    assert watched_variant(of, of.study.blocks[0], "npo", watched) == found


def test_a_place_is_a_block_and_a_suite(tmp_path):
    models = {"npo": {1: {"model_utility": 0.5}, 0: {"model_utility": 0.4}}}
    of = evidence(tmp_path, numbers(models) + numbers(models, suite="short") + numbers(models, split="other"))
    found = list(places(of.study, finished(of.results)))
    assert [place.title for place in found] == ["tofu / forget05 / tiny / short", "tofu / forget05 / tiny"]
    assert found[0].by_seed("model_utility", "npo", "default").to_dict() == {0: 0.4, 1: 0.5}
    assert found[0].by_seed("forget_quality", "npo", "default").empty


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        ([0.1, 0.2, 0.1], "As in the paper, up: 1 to 2, in all 3 seeds."),
        ([-0.1, -0.2], "Unlike in the paper, down: 1 to 2, in both seeds."),
        ([0.3, -0.1, 0.2], "Whether up is left open: 1 to 2; it holds in 2 of 3 seeds, within their spread."),
        ([0.3, 0.0], "Whether up is left open: 1 to 2; it holds in 1 of 2 seeds, within their spread."),
        ([0.0], "Whether up is left open: 1 to 2, no difference in the only seed."),
        ([0.1], "As in the paper, up: 1 to 2, in the only seed, so that no spread is known."),
        ([], "Whether up cannot be said: no seed has both numbers."),
    ],
)
def test_the_paper_is_agreed_with_only_by_all_seeds(differences, text):
    assert against_paper(pd.Series(differences, dtype=float), "up", "down", "1 to 2") == text


def test_words():
    assert [joined(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert under_titles([("x", "One."), ("x", "Two.")]) == ["One.", "Two."]
    assert under_titles([("x", "One."), ("y", "Two.")]) == ["x: One.", "y: Two."]
