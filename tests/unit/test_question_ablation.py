"""What settings do: which trials make a map or a line, which number stands in a cell, and the paper's claims."""

from itertools import product

import pytest
from question_example import answered, drawn, drawn_as, evidence, judged, labels, panels, question, settings, views
from report_example import block, numbers, watched


def entry(training=None, **loss):
    return settings() | {"training": training or {}, "loss": loss}


def trial(qualities, utility=0.5):
    """Epochs of one seed."""
    return [{"forget_quality": quality, "model_utility": utility} for quality in qualities]


GRID = {f"b{beta}-g{gamma}": entry(beta=beta, gamma=gamma) for beta, gamma in product((1.0, 2.0), (0.0, 1.0))}
# Forget quality rises with beta, and falls with gamma; utility the other way round.
QUALITIES = {"b1.0-g0.0": 0.4, "b1.0-g1.0": 0.2, "b2.0-g0.0": 0.8, "b2.0-g1.0": 0.6}
UTILITIES = {"b1.0-g0.0": 0.5, "b1.0-g1.0": 0.6, "b2.0-g0.0": 0.3, "b2.0-g1.0": 0.4}
GAMMA, NORMALISED = "SimNPO forgets best at gamma 0", "W-GradDiff, which only normalises by length, forgets better than GradDiff"


def grid_case(tmp_path, qualities=QUALITIES, finished=(), default=None, seeds=(0,)):
    models = {
        f"simnpo/{name}": {seed: trial([0.01, value], UTILITIES[name]) for seed in seeds} for name, value in qualities.items()
    }
    of = {"simnpo": {"default": default}} if default else {}
    return evidence(tmp_path, [*watched(models), *finished], block(methods=of, trials={"simnpo": GRID}))


def test_a_cell_is_the_last_epoch_of_its_trial(tmp_path):
    rows = answered("ablation", grid_case(tmp_path)).numbers
    found = rows[rows["metric"] == "forget_quality"].set_index("variant")["value"].to_dict()
    assert found == pytest.approx(QUALITIES)


def test_a_draw_is_no_setting(tmp_path):
    variants = {
        "default": entry({"draw": 0}, beta=1.0),
        "draw-1": entry({"draw": 1}, beta=1.0),
        "b2": entry({"draw": 0}, beta=2.0),
    }
    models = {f"simnpo/{name}": {0: trial([value])} for name, value in (("default", 0.2), ("draw-1", 0.9), ("b2", 0.4))}
    rows = answered("ablation", evidence(tmp_path, watched(models), block(methods={"simnpo": variants}))).numbers
    found = rows[rows["metric"] == "forget_quality"].set_index("settings")["value"].to_dict()
    assert found == pytest.approx({"beta=1": 0.2, "beta=2": 0.4})


def test_a_finished_model_counts_before_its_trajectory_and_seeds_are_averaged(tmp_path):
    scores = {seed: {"forget_quality": value, "model_utility": 0.5} for seed, value in ((0, 0.7), (1, 0.9))}
    rows = answered("ablation", grid_case(tmp_path, finished=numbers({"simnpo/b1.0-g0.0": scores}))).numbers
    cell = rows[(rows["variant"] == "b1.0-g0.0") & (rows["metric"] == "forget_quality")].iloc[0]
    assert (cell["value"], cell["seeds"], cell["settings"]) == (pytest.approx(0.8), 2, "beta=1, gamma=0")


def test_the_map_shows_each_number_and_outlines_the_default(tmp_path):
    study = grid_case(tmp_path, default=entry(beta=2.0, gamma=0.0))
    quality, utility = views(drawn("ablation", study))
    found = {(cell["x"], cell["y"], cell["text"]) for cell in drawn_as(quality, "text") if cell}
    assert found == {(0, 0, "0.40"), (1, 0, "0.80"), (0, 1, "0.20"), (1, 1, "0.60")}
    assert {cell["text"] for cell in drawn_as(utility, "text") if cell} == {"0.500", "0.300", "0.600", "0.400"}
    assert [(ring["x"], ring["y"]) for ring in drawn_as(quality, "rect") if "text" not in ring] == [(0.5, -0.5)]
    assert labels(quality, "x") == ["1", "2"]


def test_the_table_has_the_extremes_with_their_settings(tmp_path):
    quality, utility = answered("ablation", grid_case(tmp_path)).table.to_dict("records")
    assert (quality["Lowest"], quality["Highest"]) == ("0.20 (beta=1, gamma=1)", "0.80 (beta=2, gamma=0)")
    assert (utility["Lowest"], utility["Trials"]) == ("0.300 (beta=2, gamma=0)", "4")


@pytest.mark.parametrize(
    ("qualities", "word"), [((0.4, 0.2, 0.8, 0.6), "holds"), ((0.6, 0.8, 0.2, 0.9), "does not hold"), ((0.5,) * 4, "undecided")]
)
def test_the_best_gamma(tmp_path, qualities, word):
    of = grid_case(tmp_path, dict(zip(QUALITIES, qualities, strict=True)), seeds=range(5))
    assert [each.word for each in judged("ablation", of)[GAMMA]] == [word]


def test_one_setting_is_a_line_and_more_than_two_are_skipped_with_a_sentence(tmp_path):
    trials = {
        "npo": {f"b{beta}": entry(beta=beta) for beta in (0.1, 0.2)},
        "idk": {str(i): entry({"epochs": i, "learning_rate": i / 10, "forget_weight": i / 2}) for i in (1, 2)},
    }
    rows = watched({f"{method}/{name}": {0: trial([0.1, 0.2])} for method, of in trials.items() for name in of})
    found = answered("ablation", evidence(tmp_path, rows, block(methods={}, trials=trials)))
    assert found.facts == ["The trials of IDK vary epochs, learning rate and forget weight: too many settings to draw."]
    assert set(found.numbers["method"]) == {"npo"}
    assert panels(found)["Forget quality"].x.names == ["0.1", "0.2"]


@pytest.mark.parametrize(("graddiff", "normalised", "word"), [(0.1, 0.4, "holds"), (0.4, 0.1, "does not hold")])
def test_whether_length_normalisation_helps(tmp_path, graddiff, normalised, word):
    models = {"graddiff": graddiff, "w-graddiff": normalised}
    rows = numbers({name: {seed: {"forget_quality": value} for seed in range(5)} for name, value in models.items()})
    of = evidence(tmp_path, rows, block(methods={name: {"default": settings()} for name in models}))
    # The paper claims it itself, not only that SimNPO beats GradDiff.
    assert [(each.word, each.claim.source) for each in judged("ablation", of)[NORMALISED]] == [(word, "App. F, Fig. A3")]
    assert set(panels(answered("ablation", of))["Forget quality"].data["method"]) == {*models}


@pytest.mark.parametrize("names", [("npo", "graddiff"), ("npo", "w-graddiff")])
def test_without_trials_and_neighbours_there_is_no_answer(tmp_path, names):
    rows = numbers({name: {0: {"forget_quality": 0.1}} for name in names})
    assert (
        question("ablation").answer(evidence(tmp_path, rows, block(methods={n: {"default": settings()} for n in names}))) is None
    )
