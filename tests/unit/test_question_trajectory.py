"""Trajectories: which are followed, what is drawn, and verdicts that follow the numbers."""

import pandas as pd
import pytest
from question_example import answered, evidence, judged, methods, panels, question, settings
from report_example import PLAIN, block, numbers, watched

DROPS, RECOVERS = "NPO's utility drops in early epochs", "NPO's utility then recovers"
DIP, SLIDE, FLAT = [0.6, 0.3, 0.4, 0.5, 0.57], [0.6, 0.58, 0.57, 0.4, 0.3], [0.6, 0.59, 0.58, 0.58, 0.57]
STAYS_DOWN = [0.6, 0.3, 0.3, 0.3, 0.31]
NEAR, FAR = [0.0, 0.1, 0.2, 0.2, 0.3], [0.0, 1.0, 2.0, 1.5, 1.0]


def course(utility, **others):
    """Metrics after each epoch from model utility, and others that are lists as long."""
    return [
        {"model_utility": value, **{name: values[epoch] for name, values in others.items()}}
        for epoch, value in enumerate(utility)
    ]


def case(tmp_path, models, finished=None, **changes):
    plain = methods(*(name for name in models if "/" not in name))
    return evidence(tmp_path, watched(models) + numbers(finished or {}), block(**({"methods": plain} | changes)))


def word(tmp_path, claim, **courses):
    """The verdict on courses that are the same in five seeds."""
    (found,) = judged("trajectory", case(tmp_path, {name: dict.fromkeys(range(5), of) for name, of in courses.items()}))[claim]
    return found.word


@pytest.mark.parametrize(
    ("utility", "drops", "recovers"),
    [
        (DIP, "holds", "holds"),
        (SLIDE, "does not hold", "does not hold"),
        (FLAT, "does not hold", "undecided"),
        (STAYS_DOWN, "holds", "does not hold"),
        (DIP[:3], "undecided", "undecided"),
    ],
)
def test_whether_npo_drops_and_recovers(tmp_path, utility, drops, recovers):
    assert word(tmp_path / "a", DROPS, npo=course(utility)) == drops
    assert word(tmp_path / "b", RECOVERS, npo=course(utility)) == recovers


def test_a_utility_that_never_fell_has_nothing_to_recover(tmp_path):
    rising = {seed: course([0.6, 0.61, 0.62, 0.63, 0.64] if seed < 4 else DIP) for seed in range(5)}
    (found,) = judged("trajectory", case(tmp_path, {"npo": rising}))[RECOVERS]
    assert (found.word, found.reason) == ("undecided", "it never fell by more than 10 % in 4 of 5 seeds")


@pytest.mark.parametrize(("npo", "simnpo", "expected"), [(DIP, FLAT, "holds"), (FLAT, DIP, "does not hold")])
def test_which_keeps_more_utility_along_the_way(tmp_path, npo, simnpo, expected):
    assert word(tmp_path, "SimNPO keeps more utility along the way than NPO", npo=course(npo), simnpo=course(simnpo)) == expected


def moved(**ends):
    """Courses that end at these divergences from their start."""
    return {name: course(DIP, kl_forget=[end * epoch / 4 for epoch in range(5)]) for name, end in ends.items()}


@pytest.mark.parametrize(("end", "expected"), [(2.5, "holds"), (1.9, "does not hold"), (0.3, "does not hold")])
@pytest.mark.parametrize("method", ["NPO", "SimNPO"])
def test_whether_ga_moves_far_faster(tmp_path, end, expected, method):
    courses = moved(ga=end, **{method.lower(): 1.0})
    assert word(tmp_path, f"GA moves away from its start far faster than {method}", **courses) == expected


@pytest.mark.parametrize(
    ("npo", "simnpo", "expected"),
    [
        (1.0, 1.0, "holds"),
        (1.0, 0.6, "holds"),
        (0.6, 1.0, "holds"),
        # The paper does not claim that SimNPO stays nearer to its start.
        (1.0, 0.3, "does not hold"),
        (0.3, 1.0, "does not hold"),
        (1.0, 0.0, "does not hold"),
        (0.0, 0.0, "undecided"),
    ],
)
def test_whether_npo_and_simnpo_move_at_the_same_rate(tmp_path, npo, simnpo, expected):
    claim = "NPO and SimNPO move away from their start at the same rate"
    models = {name: dict.fromkeys(range(5), of) for name, of in moved(npo=npo, simnpo=simnpo).items()}
    (found,) = judged("trajectory", case(tmp_path, models))[claim]
    assert found.word == expected


@pytest.mark.parametrize(("end", "expected"), [(0.1, "holds"), (0.4, "does not hold")])
def test_whether_ga_collapses(tmp_path, end, expected):
    assert word(tmp_path, "GA loses most of its utility", ga=course([0.6, 0.3, end])) == expected


def test_numbers_are_all_that_is_drawn_and_levels_are_there(tmp_path):
    models = {"npo": {seed: course(DIP, kl_forget=FAR) for seed in (0, 1)}}
    found = answered("trajectory", case(tmp_path, models, finished=PLAIN))
    assert len(found.numbers) == 2 * 2 * len(DIP)
    assert found.numbers.set_index(["metric", "seed", "epoch"])["value"]["kl_forget", 1, 2] == 2.0
    assert found.table["Model utility, lowest"].tolist() == ["0.300 (epoch 1)"]
    shown = panels(found)
    assert list(shown) == ["Model utility", "KL to the start, forget set"]
    assert shown["Model utility"].levels == {"retrain": pytest.approx(0.61), "original": pytest.approx(0.61)}
    assert shown["Model utility"].data.groupby("x")["y"].mean().tolist() == DIP


def test_a_wide_divergence_has_a_wide_scale(tmp_path):
    dead = course([0.6, 0.0, 0.0], forget_quality=[0.0] * 3, kl_forget=[0.0, 50.0, 50.0], kl_retain=[0.0, 0.5, 0.4])
    shown = panels(answered("trajectory", case(tmp_path, {"ga": {0: dead}})))
    assert [panel.y.scale for panel in shown.values()] == ["quality", "", "symlog", ""]


def test_an_epoch_that_a_seed_has_not_is_no_gap(tmp_path):
    models = {"npo": {0: course(DIP, forget_quality=[0.5] * 5), 1: course(DIP[:4], forget_quality=[0.1] * 4)}}
    assert answered("trajectory", case(tmp_path, models)).table["Forget quality, at the end"].tolist() == ["0.50"]


def test_the_default_is_followed_and_trials_are_not(tmp_path):
    models = {"npo": {0: course(DIP)}, "npo/beta-1": {0: course(FLAT)}, "npo/weak": {0: course(FLAT)}}
    variants = {"default": settings(), "weak": settings(start="original-half")}
    found = answered("trajectory", case(tmp_path, models, methods={"npo": variants}, trials={"npo": {"beta-1": settings()}}))
    assert set(found.numbers["variant"]) == {"default"}


def test_each_suite_has_its_panels_and_its_own_references(tmp_path):
    rows = watched({"npo": {0: course(DIP)}}) + watched({"npo": {0: course(DIP)}}, suite="short")
    rows += numbers({"original": {0: {"model_utility": 0.7}}})
    found = answered("trajectory", evidence(tmp_path, rows, block(methods=methods("npo"))))
    levels = {title: row[0].levels for title, row in found.figure.rows}
    assert levels == {"tofu / forget05 / tiny": {"original": 0.7}, "tofu / forget05 / tiny / short": {}}
    assert set(found.table["Block"]) == set(levels)


def test_the_last_epoch_alone_finished_models_and_attacks_are_no_trajectory(tmp_path):
    rows = pd.DataFrame(watched({"npo": {0: course(DIP)}}))
    answer = question("trajectory").answer
    assert answer(evidence(tmp_path / "last", rows[rows["epoch"] == 4].to_dict("records"), block(methods=methods("npo")))) is None
    attack = rows.assign(attack="relearn").to_dict("records")
    assert answer(evidence(tmp_path / "attack", numbers(PLAIN) + attack)) is None
