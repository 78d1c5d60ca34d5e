"""Selections: the data that decided, the trials that were eligible, and the one that was taken."""

import math

import pytest
from question_example import PLACE, answered, evidence, methods, panels, question
from report_example import block, numbers

from palimpsest.report.questions.selection import _score

RULE = {
    "maximise": "forget_quality",
    "keep": 0.9,
    "epochs": "all",
    "suite": "tofu",
    "benchmarks": [],
    "split": None,
    "trials": {},
}
# By trial, epoch by epoch: forget quality and model utility; Original has a utility of 0.5.
TRIALS = {"beta-1": [(0.1, 0.49), (0.4, 0.46)], "beta-2": [(0.3, 0.48), (0.9, 0.30)]}


def rows_of(method="npo", trials=TRIALS, selected=("beta-1", 2), keep=0.9):
    return [
        PLACE
        | {
            "method": method,
            "variant": variant,
            "epoch": epoch,
            "runs": 1,
            "lowest": quality,
            "highest": quality,
            "forget_quality": quality,
            "model_utility": utility,
        }
        | {
            "utility_share": utility / 0.5,
            "eligible": utility >= keep * 0.5,
            "selected": (variant, epoch) == selected,
            "reason": "So.",
        }
        for variant, epochs in trials.items()
        for epoch, (quality, utility) in enumerate(epochs, 1)
    ]


def case(tmp_path, selections, rules, scored=(0, 1)):
    """`rules` maps a method to its selection; its selected model is scored on the seeds `scored`."""
    rows = numbers({f"{method}/selected": {seed: {"forget_quality": 0.5} for seed in scored} for method in rules})
    here = block(methods=methods(*rules, variant="selected"), selections={method: RULE | rule for method, rule in rules.items()})
    return evidence(tmp_path, rows, here, selections=selections)


def told(tmp_path, selections, rules, **scored):
    return " ".join(answered("selection", case(tmp_path, selections, rules, **scored)).facts)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"seeds": [1, 7]}, "These are the very questions that are scored here, and the seeds overlap"),
        ({"seeds": [7, 8]}, "These are the very questions that are scored here, with other seeds"),
        ({"seeds": [1], "split": "forget01"}, "on tofu / forget01 with seed 1. That is another split"),
        (
            {"seeds": [1], "benchmarks": ["other", "more"]},
            "on other / forget05 and more / forget05 with seed 1. Nothing of that is scored here",
        ),
        ({"seeds": [0], "benchmarks": ["tofu"], "split": "forget05"}, "These are the very questions that are scored here"),
    ],
)
def test_on_what_the_selection_was_made(tmp_path, rule, text):
    assert text in told(tmp_path, rows_of(), {"npo": rule})


def test_the_selected_one_stands_in_the_table_with_its_scores(tmp_path):
    found = answered("selection", case(tmp_path, rows_of(), {"npo": {"seeds": [0]}}))
    assert found.table.to_dict("records") == [
        {
            "Method": "NPO",
            "Trials": "2",
            "Selected": "beta-1",
            "Epoch": "2",
            "Forget quality": "0.40",
            "Model utility": "0.460",
            "of Original's": "92.0%",
            "Eligible": "3 of 4 epochs",
            "At an edge": "",
        }
    ]
    assert len(found.numbers) == 4


def test_trials_of_one_epoch_each_are_counted_as_trials(tmp_path):
    last = {variant: epochs[-1:] for variant, epochs in TRIALS.items()}
    found = answered("selection", case(tmp_path, rows_of(trials=last, selected=("beta-1", 1)), {"npo": {"seeds": [0]}}))
    assert found.table["Eligible"].tolist() == ["1 of 2 trials"]


def test_the_figure_shows_all_trials_which_are_eligible_and_the_selected_one(tmp_path):
    panel = panels(answered("selection", case(tmp_path, rows_of(), {"npo": {"seeds": [0]}})))["NPO"]
    assert panel.data.loc[panel.data["open"], "x"].tolist() == [0.30]
    assert sorted(panel.data.loc[~panel.data["open"], "x"]) == [0.46, 0.48, 0.49]
    assert (panel.rings, panel.note) == ([(0.46, 0.4)], "2 trials")
    # What a trial must keep: 90 % of Original's 0.5.
    assert panel.least == pytest.approx(0.45)


def test_where_none_was_eligible_it_is_said(tmp_path):
    spoiled = {"beta-1": [(0.1, 0.2)], "beta-2": [(0.2, 0.3)]}
    text = told(tmp_path, rows_of(trials=spoiled, selected=("beta-2", 1)), {"npo": {"seeds": [0]}})
    assert "No trial of NPO kept enough model utility: the one with the most was taken." in text
    assert "kept enough" not in told(tmp_path / "other", rows_of(), {"npo": {"seeds": [0]}})


def test_unequal_numbers_of_trials_are_named(tmp_path):
    rules = {"npo": {"seeds": [0]}, "simnpo": {"seeds": [0]}}
    few = {"beta-1": TRIALS["beta-1"]}
    assert "Trials: NPO 1 and SimNPO 2;" in told(tmp_path, rows_of(trials=few) + rows_of("simnpo"), rules)
    assert "Trials:" not in told(tmp_path / "equal", rows_of() + rows_of("simnpo"), rules)


def test_a_trial_without_a_forget_quality_is_no_point_and_no_number_on_the_page(tmp_path):
    lost = {"beta-1": [(math.nan, 0.49)], "beta-2": [(math.nan, 0.48)]}
    found = answered("selection", case(tmp_path, rows_of(trials=lost, selected=("beta-1", 1)), {"npo": {"seeds": [0]}}))
    assert found.table["Forget quality"].tolist() == [""]
    assert panels(found)["NPO"].rings == []


def test_a_selection_among_trials_of_texts_shows_what_decided_it(tmp_path):
    # -|PrivLeak| and KnowMem; Original knows 50.
    trials = {"beta-1": [(-80.0, 49.0), (-20.25, 46.0)], "beta-2": [(-5.0, 20.0), (math.nan, 10.0)]}
    rows = [
        row
        | {"forget_quality": math.nan, "model_utility": math.nan}
        | {"privacy": row["forget_quality"], "knowmem_r": row["model_utility"]}
        | {"utility_share": row["model_utility"] / 50, "eligible": row["model_utility"] >= 45}
        for row in rows_of(trials=trials)
    ]
    found = answered("selection", case(tmp_path, rows, {"npo": {"seeds": [0], "maximise": "privacy"}}))
    (row,) = found.table.to_dict("records")
    assert (row["Selected"], row["Epoch"], row["|PrivLeak|"], row["KnowMem of the retain set"]) == ("beta-1", "2", "20.2", "46.0")
    assert (row["of Original's"], row["Eligible"]) == ("92.0%", "2 of 4 epochs")
    assert "Forget quality" not in row
    panel = panels(found)["NPO"]
    assert panel.data[["x", "y"]].to_numpy().tolist() == [[49.0, -80.0], [46.0, -20.25], [20.0, -5.0]]
    assert panel.rings == [(46.0, -20.25)]


def test_without_selections_there_is_no_answer(tmp_path):
    assert question("selection").answer(evidence(tmp_path, numbers({"npo": {0: {"forget_quality": 0.5}}}))) is None


@pytest.mark.parametrize(
    ("selected", "edge"), [("beta-1", "beta 1 of 1, 2 and 3"), ("beta-2", ""), ("beta-3", "beta 3 of 1, 2 and 3")]
)
def test_a_choice_at_an_edge_of_its_grid_is_named(tmp_path, selected, edge):
    trials = {name: [(0.1 if name != selected else 0.4, 0.49)] for name in ("beta-1", "beta-2", "beta-3")}
    points = {name: {"beta": float(name[-1]), "forget_weight": 0.5} for name in trials}
    asked = {"npo": {"seeds": [0], "trials": points}}
    found = answered("selection", case(tmp_path / "one", rows_of(trials=trials, selected=(selected, 1)), asked))
    assert found.table["At an edge"].tolist() == [edge]
    text = told(tmp_path, rows_of(trials=trials, selected=(selected, 1)), asked)
    assert ("Selected at an edge of the grid, so a better value may lie beyond: NPO (last column)." in text) == bool(edge)


def test_the_runs_of_the_selected_trial_say_how_many_others_are_as_good(tmp_path):
    trials = {"beta-1": [(0.40, 0.49)], "beta-2": [(0.25, 0.49)], "beta-3": [(0.10, 0.49)], "beta-4": [(0.39, 0.1)]}
    rows = rows_of(trials=trials, selected=("beta-1", 1))
    apart = [row | {"runs": 2, "lowest": row["forget_quality"] - 0.1, "highest": row["forget_quality"] + 0.1} for row in rows]
    text = told(tmp_path, apart, {"npo": {"seeds": [0, 1]}})
    # beta-3 reaches 0.2 at most, and beta-4 keeps too little utility.
    assert "(and how many eligible trials reach into it): NPO 0.30 to 0.50 (2 of 4)." in text
    assert "Range of" not in told(tmp_path / "one", rows, {"npo": {"seeds": [0]}})


@pytest.mark.parametrize(
    ("score", "value", "text"),
    [
        ("forget_quality", 0.012, "0.012"),
        ("privacy", -20.24, "20.2"),
        ("knowmem_r", 46.0, "46.0"),
        ("distance", -0.5, "0.500"),
        ("probability_retain", 0.9, "0.900"),
    ],
)
def test_a_score_is_written_as_in_the_tables_and_a_distance_without_a_sign(score, value, text):
    assert _score(score, value) == text
