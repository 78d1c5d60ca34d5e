"""What settings do: which trials make a map or a line, which number stands in a cell, and the paper's claim on normalisation."""

from itertools import product

import pytest
from question_example import answered, evidence, settings
from report_example import block, numbers, watched

from palimpsest.report.questions import ablation


def entry(training=None, **loss):
    return settings() | {"training": training or {}, "loss": loss}


def trial(qualities, utility=0.5):
    """Epochs of one seed."""
    return [{"forget_quality": quality, "model_utility": utility} for quality in qualities]


GRID = {f"b{beta}-g{gamma}": entry(beta=beta, gamma=gamma) for beta, gamma in product((1.0, 2.0), (0.0, 1.0))}
# Forget quality rises with beta, and falls with gamma; utility the other way round.
QUALITIES = {"b1.0-g0.0": 0.4, "b1.0-g1.0": 0.2, "b2.0-g0.0": 0.8, "b2.0-g1.0": 0.6}
UTILITIES = {"b1.0-g0.0": 0.5, "b1.0-g1.0": 0.6, "b2.0-g0.0": 0.3, "b2.0-g1.0": 0.4}


def grid_case(tmp_path, qualities=QUALITIES, finished=(), default=None):
    paths = watched({f"simnpo/{name}": {0: trial([0.01, value], UTILITIES[name])} for name, value in qualities.items()})
    of = {"simnpo": {"default": default}} if default else {}
    return evidence(tmp_path, [*paths, *finished], block(methods=of, trials={"simnpo": GRID}))


def said(study):
    return " ".join(answered(ablation.answer, study).findings)


def test_a_cell_is_the_last_epoch_of_its_trial(tmp_path):
    rows = answered(ablation.answer, grid_case(tmp_path)).numbers
    found = rows[rows["metric"] == "forget_quality"].set_index("variant")["value"].to_dict()
    assert found == pytest.approx(QUALITIES)


def test_a_finished_model_counts_before_its_trajectory_and_seeds_are_averaged(tmp_path):
    finished = numbers(
        {"simnpo/b1.0-g0.0": {seed: {"forget_quality": value, "model_utility": 0.5} for seed, value in ((0, 0.7), (1, 0.9))}}
    )
    rows = answered(ablation.answer, grid_case(tmp_path, finished=finished)).numbers
    cell = rows[(rows["variant"] == "b1.0-g0.0") & (rows["metric"] == "forget_quality")].iloc[0]
    assert (cell["value"], cell["seeds"], cell["settings"]) == (pytest.approx(0.8), 2, "beta=1, gamma=0")


def test_the_map_shows_each_number_and_outlines_the_default(tmp_path):
    study = grid_case(tmp_path, default=entry(beta=2.0, gamma=0.0))
    figure = answered(ablation.answer, study).figure
    quality, utility = figure.subfigs[0].subfigs[0].axes
    assert {(*text.get_position(), text.get_text()) for text in quality.texts} == {
        (0, 0, "0.40"),
        (1, 0, "0.80"),
        (0, 1, "0.20"),
        (1, 1, "0.60"),
    }
    assert {text.get_text() for text in utility.texts} == {"0.500", "0.300", "0.600", "0.400"}
    assert [patch.get_xy() for patch in quality.patches] == [(0.5, -0.5)]
    assert [tick.get_text() for tick in quality.get_xticklabels()] == ["1", "2"]


def test_sentences_follow_the_settings(tmp_path):
    text = said(grid_case(tmp_path))
    assert "forget quality lies between 0.20 (beta 1, gamma 1) and 0.80 (beta 2, gamma 0)" in text
    assert "From beta 1 to 2 SimNPO's forget quality rises at every gamma and model utility falls at every gamma." in text
    assert "From gamma 0 to 1 SimNPO's forget quality falls at every beta and model utility rises at every beta." in text
    assert "As in the paper, SimNPO's forget quality is highest at gamma 0." in text


def test_sentences_flip_with_the_numbers(tmp_path):
    flipped = dict(zip(QUALITIES, (0.6, 0.8, 0.2, 0.9), strict=True))
    text = said(grid_case(tmp_path, flipped))
    assert "From beta 1 to 2 SimNPO's forget quality rises at 1 of 2 and falls at 1 of 2 values of gamma" in text
    assert "Unlike in the paper, SimNPO's forget quality is highest at gamma 1." in text


def test_trials_that_are_all_alike_have_no_best(tmp_path):
    text = said(grid_case(tmp_path, dict.fromkeys(QUALITIES, 0.5)))
    assert "Over 4 trials of SimNPO forget quality is 0.50 throughout and model utility lies between" in text
    assert "From beta 1 to 2 SimNPO's forget quality stays the same and" in text
    assert "highest" not in text


def test_a_trend_at_one_value_names_it(tmp_path):
    text = said(grid_case(tmp_path, {name: QUALITIES[name] for name in ("b1.0-g0.0", "b1.0-g1.0", "b2.0-g0.0")}))
    assert "From beta 1 to 2 SimNPO's forget quality rises at gamma 0 and model utility falls at gamma 0." in text


def test_one_setting_is_a_line_and_more_than_two_are_skipped_with_a_sentence(tmp_path):
    trials = {
        "npo": {f"b{beta}": entry(beta=beta) for beta in (0.1, 0.2)},
        "idk": {str(i): entry({"epochs": i, "learning_rate": i / 10, "forget_weight": i / 2}) for i in (1, 2)},
    }
    rows = watched({f"{method}/{name}": {0: trial([0.1, 0.2])} for method, of in trials.items() for name in of})
    found = answered(ablation.answer, evidence(tmp_path, rows, block(methods={}, trials=trials)))
    assert (
        "The trials of IDK vary epochs, learning rate and forget weight: too much at once to say what each does."
        in found.findings
    )
    assert set(found.numbers["method"]) == {"npo"}


def test_trials_of_training_alone_are_shown_and_said_to_be_that(tmp_path):
    trials = {"ga": {f"lr{rate}": entry({"learning_rate": rate}) for rate in (0.1, 0.2)}}
    rows = watched({f"ga/{name}": {0: trial([0.1, 0.2])} for name in trials["ga"]})
    assert said(evidence(tmp_path, rows, block(methods={}, trials=trials))) == (
        "These models of GA differ in learning rate alone, in no setting of the loss."
    )


def neighbours(tmp_path, **qualities):
    """Finished models by method: forget qualities, one a seed."""
    rows = numbers(
        {
            method.replace("_", "-"): {seed: {"forget_quality": value, "model_utility": 0.5} for seed, value in enumerate(of)}
            for method, of in qualities.items()
        }
    )
    return evidence(tmp_path, rows, block(methods={method.replace("_", "-"): {"default": settings()} for method in qualities}))


@pytest.mark.parametrize(
    ("graddiff", "normalised", "simnpo", "texts"),
    [
        (
            (0.1, 0.2),
            (0.4, 0.5),
            (0.8, 0.9),
            (
                "W-GradDiff forgets better than GradDiff (length normalisation alone): forget quality 0.45 against 0.15",
                "SimNPO forgets better than W-GradDiff",
                "As in the paper, SimNPO forgets better than GradDiff",
            ),
        ),
        (
            (0.4, 0.5),
            (0.1, 0.2),
            (0.0, 0.1),
            (
                "W-GradDiff does not forget better than GradDiff",
                "SimNPO does not forget better than W-GradDiff",
                "Unlike in the paper, SimNPO does not forget better than GradDiff",
            ),
        ),
        (
            (0.4, 0.2),
            (0.3, 0.3),
            (0.9, 0.9),
            ("Whether W-GradDiff forgets better than GradDiff (length normalisation alone) is left",),
        ),
    ],
)
def test_whether_length_normalisation_helps(tmp_path, graddiff, normalised, simnpo, texts):
    text = said(neighbours(tmp_path, graddiff=graddiff, w_graddiff=normalised, simnpo=simnpo))
    assert [part for part in texts if part not in text] == []


def test_without_trials_and_neighbours_there_is_no_answer(tmp_path):
    assert ablation.answer(neighbours(tmp_path, npo=(0.1, 0.2), graddiff=(0.1, 0.2))) is None
    assert ablation.answer(neighbours(tmp_path / "other", npo=(0.1, 0.2), w_graddiff=(0.1, 0.2))) is None
