"""Trajectories: who is followed, what is drawn, and sentences that follow the numbers."""

import pandas as pd
import pytest
from question_example import answered, evidence, methods, settings
from report_example import PLAIN, block, numbers, watched

from palimpsest.report.drawing import quality_height
from palimpsest.report.questions import trajectory


def course(utility, **others):
    """Metrics after each epoch from model utility, and others that are lists as long."""
    return [
        {"model_utility": value, **{name: values[epoch] for name, values in others.items()}}
        for epoch, value in enumerate(utility)
    ]


def case(tmp_path, models, *blocks, finished=None, **changes):
    plain = methods(*(name for name in models if "/" not in name))
    study = blocks or [block(**({"methods": plain} | changes))]
    return evidence(tmp_path, watched(models) + numbers(finished or {}), *study)


def said(tmp_path, models, **changes):
    return " ".join(answered(trajectory.answer, case(tmp_path, models, **changes)).findings)


DIP, SLIDE, FLAT = [0.6, 0.3, 0.4, 0.5, 0.57], [0.6, 0.5, 0.45, 0.4, 0.3], [0.6, 0.59, 0.58, 0.58, 0.57]
STAYS_DOWN = [0.6, 0.3, 0.3, 0.3, 0.31]


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        (
            [DIP],
            "As in the paper, NPO's model utility drops in early epochs and then recovers: 50% of it is left after epoch 1",
        ),
        (
            [SLIDE],
            "Unlike in the paper, NPO's model utility keeps falling until late: 50% of it is left after epoch 4, 50% at the end",
        ),
        ([FLAT], "Unlike in the paper, NPO's model utility does not drop: 95% of it is left after epoch 4"),
        (
            [STAYS_DOWN],
            "Unlike in the paper, NPO's model utility drops in early epochs and does not recover: 50% of it is left",
        ),
        (
            [DIP, DIP, [0.6, 0.3, 0.3, 0.3, 0.2]],
            "left open: 50% of it is left after epoch 1, 74% at the end (mean over 3 seeds); not all seeds agree.",
        ),
        ([DIP[:3]], "Whether NPO's model utility drops and recovers is left open: 2 epochs are too few to tell."),
    ],
)
def test_whether_npo_drops_and_recovers(tmp_path, seeds, text):
    assert text in said(tmp_path, {"npo": dict(enumerate(map(course, seeds)))})


NEAR, FAR = [0.0, 0.1, 0.2, 0.2, 0.3], [0.0, 1.0, 2.0, 1.5, 1.0]


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (
            DIP,
            FLAT,
            "As in the paper, SimNPO keeps more model utility along the way than NPO: it never falls below 0.570, NPO's not",
        ),
        (FLAT, DIP, "Unlike in the paper, SimNPO keeps less model utility along the way than NPO"),
    ],
)
def test_who_keeps_more_utility(tmp_path, npo, simnpo, text):
    assert text in said(tmp_path, {"npo": dict.fromkeys((0, 1), course(npo)), "simnpo": dict.fromkeys((0, 1), course(simnpo))})


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (
            FAR,
            NEAR,
            "As in the paper, SimNPO stays nearer to its start on the retain set than NPO: its KL rises to 0.3 nats at most",
        ),
        (
            NEAR,
            FAR,
            "Unlike in the paper, SimNPO strays further from its start on the retain set than NPO: its KL rises to 2 nats",
        ),
    ],
)
def test_who_stays_nearer(tmp_path, npo, simnpo, text):
    seeds = {"npo": course(DIP, kl_retain=npo), "simnpo": course(FLAT, kl_retain=simnpo)}
    models = {method: dict.fromkeys((0, 1), of) for method, of in seeds.items()}
    assert text in said(tmp_path, models)


def test_seeds_that_disagree_leave_it_open(tmp_path):
    models = {"npo": {0: course(DIP), 1: course(FLAT)}, "simnpo": {0: course(FLAT), 1: course(DIP)}}
    assert "than NPO is left open: it never falls below 0.435, NPO's not below 0.435; it holds in 1 of 2" in said(
        tmp_path, models
    )


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (0.1, "As in the paper, GA collapses: 20% of Original's model utility is left after epoch 2 (one seed)."),
        (0.4, "Unlike in the paper, GA does not collapse: 80% of Original's model utility is left after epoch 2 (one seed)."),
    ],
)
def test_whether_ga_collapses_is_measured_by_original(tmp_path, end, text):
    finished = {"original": {0: {"model_utility": 0.5}}}
    assert text in said(tmp_path, {"ga": {0: course([0.6, 0.3, end])}}, finished=finished)


def test_without_an_original_ga_is_measured_by_its_start(tmp_path):
    assert "GA collapses: 25% of" in said(tmp_path, {"ga": {0: course([0.4, 0.3, 0.1])}})


def test_lines_are_means_bands_go_from_lowest_to_highest_and_levels_are_there(tmp_path):
    qualities = {0: [0.01, 0.2, 0.5], 1: [0.03, 0.4, 0.9]}
    models = {"npo": {seed: course([0.6, 0.4 + seed / 10, 0.5], forget_quality=of) for seed, of in qualities.items()}}
    found = answered(trajectory.answer, case(tmp_path, models, finished=PLAIN, methods=methods("npo")))
    quality, utility = found.figure.subfigs[0].axes
    retrain, original, line = utility.lines
    assert (retrain.get_ydata()[0], original.get_ydata()[0]) == (pytest.approx(0.61), pytest.approx(0.61))
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert list(line.get_ydata()) == pytest.approx([0.6, 0.45, 0.5])
    (band,) = utility.collections
    assert {0.4, 0.5} <= {round(float(y), 6) for x, y in band.get_paths()[0].vertices if x == 1}
    assert list(quality.lines[-1].get_ydata()) == pytest.approx([quality_height(mean, 1e-20) for mean in (0.02, 0.3, 0.7)])


def test_numbers_are_all_that_is_drawn(tmp_path):
    models = {"npo": {seed: course(DIP, kl_forget=FAR) for seed in (0, 1)}}
    found = answered(trajectory.answer, case(tmp_path, models))
    assert len(found.numbers) == 2 * 2 * len(DIP)
    rows = found.numbers.set_index(["metric", "seed", "epoch"])["value"]
    assert rows["kl_forget", 1, 2] == 2.0
    assert found.table["Model utility, lowest"].tolist() == ["0.300 (epoch 1)"]


def test_collapse_is_drawn(tmp_path):
    dead = course([0.6, 0.0, 0.0], forget_quality=[0.0] * 3, kl_forget=[0.0, 50.0, 50.0], kl_retain=[0.0, 50.0, 49.0])
    alive = course([0.6, 0.6, 0.6], forget_quality=[0.0, 0.5, 1.0], kl_forget=[0.0, 0.01, 0.02], kl_retain=[0.0, 0.0, 0.0])
    found = answered(trajectory.answer, case(tmp_path, {"ga": {0: dead}, "simnpo": {0: alive}}))
    scales = {axes.get_title(loc="left"): axes.get_yscale() for axes in found.figure.subfigs[0].axes}
    assert scales["KL to the start, forget set"] == "symlog"
    assert scales["Model utility"] == "linear"


def test_an_epoch_that_a_seed_has_not_is_no_gap(tmp_path):
    models = {"npo": {0: course(DIP, forget_quality=[0.5] * 5), 1: course(DIP[:4], forget_quality=[0.1] * 4)}}
    found = answered(trajectory.answer, case(tmp_path, models))
    assert "forget quality is 0.50 for NPO" in " ".join(found.findings)


def test_a_model_that_is_nothing_from_the_start(tmp_path):
    models = {name: {0: course([0.0] * 5)} for name in ("ga", "npo")}
    text = said(tmp_path, models)
    assert text.startswith("Whether NPO's model utility drops and recovers is left open: it has none to begin with.")
    assert "Whether GA collapses is left open: there is no model utility to lose." in text


def test_the_default_is_followed_and_trials_are_not(tmp_path):
    models = {"npo": {0: course(DIP)}, "npo/beta-1": {0: course(FLAT)}, "npo/weak": {0: course(FLAT)}}
    variants = {"default": settings(), "weak": settings(start="original-half")}
    found = answered(trajectory.answer, case(tmp_path, models, methods={"npo": variants}, trials={"npo": {"beta-1": settings()}}))
    assert set(found.numbers["variant"]) == {"default"}


def test_each_suite_has_its_panels_and_its_own_references(tmp_path):
    rows = watched({"npo": {0: course(DIP)}}) + watched({"npo": {0: course(DIP)}}, suite="short")
    rows += numbers({"original": {0: {"model_utility": 0.7}}})
    found = answered(trajectory.answer, evidence(tmp_path, rows, block(methods=methods("npo"))))
    titles = {part.get_suptitle(): len(part.axes[0].lines) for part in found.figure.subfigs}
    assert titles == {"tofu / forget05 / tiny": 2, "tofu / forget05 / tiny / short": 1}
    assert set(found.table["Block"]) == set(titles)


def test_a_trajectory_of_its_last_epoch_alone_is_none(tmp_path):
    rows = pd.DataFrame(watched({"npo": {0: course(DIP)}}))
    last = rows[rows["epoch"] == 4].to_dict("records")
    assert trajectory.answer(evidence(tmp_path, last, block(methods=methods("npo")))) is None


def test_finished_models_and_attacks_are_no_trajectory(tmp_path):
    attack = [row | {"attack": "relearn"} for row in watched({"npo": {0: course(DIP)}})]
    assert trajectory.answer(evidence(tmp_path, numbers(PLAIN) + attack)) is None
