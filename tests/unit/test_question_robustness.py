"""Robustness: what each attack leaves beside Retrain, R and Q and their symmetric forms, and curves over learning rates."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_example import PLACE, answered, drawn, drawn_as, evidence, methods, question, views
from report_example import attacked, block
from text_example import DATA

from palimpsest.metrics.robustness import Change, robustness, stability, symmetric_robustness, symmetric_stability
from palimpsest.report.evidence import Evidence

known = st.floats(0, 1, allow_subnormal=False)
changes = st.builds(Change, known, known)


@pytest.mark.parametrize(
    ("model", "retrain", "ratio", "symmetric"),
    [
        # min(d_ret / d, 1) and 1 - |d - d_ret| / (|d| + |d_ret|), by hand.
        ((0.1, 0.5), (0.1, 0.2), 0.25, 1 - 0.3 / 0.5),
        ((0.1, 0.2), (0.1, 0.5), 1.0, 1 - 0.3 / 0.5),
        ((0.1, 0.3), (0.2, 0.4), 1.0, 1.0),
        # Nothing is recovered, or only in the model.
        ((0.5, 0.4), (0.1, 0.2), 1.0, 0.0),
        ((0.1, 0.3), (0.2, 0.1), 0.0, 0.0),
        ((0.1, 0.1), (0.1, 0.1), 1.0, 1.0),
    ],
)
def test_robustness_by_hand(model, retrain, ratio, symmetric):
    assert robustness(Change(*model), Change(*retrain)) == pytest.approx(ratio)
    assert symmetric_robustness(Change(*model), Change(*retrain)) == pytest.approx(symmetric)


@pytest.mark.parametrize(
    ("change", "ratio", "symmetric"),
    [
        ((0.1, 0.4), 0.25, 1 - 0.3 / 0.5),
        ((0.4, 0.1), 1.0, 1 - 0.3 / 0.5),
        ((0.3, 0.3), 1.0, 1.0),
        ((0.0, 0.2), 0.0, 0.0),
        ((0.0, 0.0), 1.0, 1.0),
    ],
)
def test_stability_by_hand(change, ratio, symmetric):
    assert stability(Change(*change)) == pytest.approx(ratio)
    assert symmetric_stability(Change(*change)) == pytest.approx(symmetric)


@given(changes, changes, st.floats(0.1, 10))
def test_robustness_is_a_share_that_does_not_depend_on_the_scale(model, retrain, scale):
    larger = [Change(scale * of.before, scale * of.after) for of in (model, retrain)]
    for score in (robustness, symmetric_robustness):
        assert 0 <= score(model, retrain) <= 1
        assert score(*larger) == pytest.approx(score(model, retrain), abs=1e-6)
        assert score(retrain, retrain) == 1
    assert symmetric_robustness(model, retrain) == symmetric_robustness(retrain, model)
    assert 0 <= symmetric_stability(model) <= 1 and 0 <= stability(model) <= 1
    # Where the attack recovers more, both forms say the same on other scales.
    if 0 <= retrain.recovered < model.recovered:
        ratio = robustness(model, retrain)
        assert symmetric_robustness(model, retrain) == pytest.approx(2 * ratio / (1 + ratio))
    if model.recovered > 0:
        assert symmetric_stability(model) == pytest.approx(2 * stability(model) / (1 + stability(model)))


ATTACKS = {
    "relearn-random": {"select": "random", "draws": 2, "training": {"epochs": 2, "learning_rate": 1e-4}},
    "relearn-fast": {"select": "random", "draws": 2, "training": {"epochs": 2, "learning_rate": 1e-3}},
    "prune": {"share": 0.2},
}
# By attack and method: forget probability before and after each epoch or step.
LEFT = {
    "relearn-random": {"retrain": (0.1, 0.15, 0.2), "npo": (0.1, 0.3, 0.5), "simnpo": (0.05, 0.1, 0.15)},
    "relearn-fast": {"retrain": (0.1, 0.2, 0.3), "npo": (0.1, 0.5, 0.9), "simnpo": (0.05, 0.2, 0.45)},
    "prune": {"retrain": (0.1, 0.08), "npo": (0.1, 0.4), "simnpo": (0.05, 0.05)},
}


def case(tmp_path, left=LEFT, seeds=(0, 1)):
    """An attack's name to methods, each a forget probability before and after every epoch; seed 1 has as much and 0.02."""
    rows = [
        PLACE
        | {"seed": seed, "method": method, "variant": "" if method == "retrain" else "default"}
        | {"attack": attack, "epoch": epoch, "suite": "tofu", "metric": metric, "value": value}
        for attack, by_method in left.items()
        for method, probabilities in by_method.items()
        for seed in seeds
        for epoch, probability in enumerate(probabilities)
        for metric, value in (
            ("forget_probability", probability + 0.02 * seed * (epoch > 0)),
            ("forget_probability_sd", 0.01 * epoch),
            ("forget_quality", 0.5),
        )
        if not (metric.endswith("_sd") and attack == "prune")
    ]
    study = evidence(tmp_path, rows, block(methods=methods("npo", "simnpo"), attacks=[*left]))
    return Evidence(study.study.model_copy(update={"attacks": ATTACKS}), study.summary)


def test_the_tables_have_what_is_left_and_how_robust_each_method_is(tmp_path):
    after, ratio, symmetric = answered("robustness", case(tmp_path, seeds=(0,))).tables
    assert after.title == "tofu / forget05 / tiny: Forget probability, after the attack"
    assert [(column.group, column.head) for column in after.columns] == [
        ("Forget probability", "before"),
        *(("Forget probability, after the attack", attack) for attack in ("prune", "relearn-fast", "relearn-random")),
    ]

    def shown(table):
        return {row.label: [round(row.cells[column.key].mean, 6) for column in table.columns] for row in table.rows}

    assert shown(after) == {"Retrain": [0.1, 0.08, 0.3, 0.2], "NPO": [0.1, 0.4, 0.9, 0.5], "SimNPO": [0.05, 0.05, 0.45, 0.15]}
    assert shown(ratio) == {"Retrain": [1, 1, 1], "NPO": [0.25, 0.25, 0.25], "SimNPO": [1, 0.5, 1]}
    assert shown(symmetric) == {
        "Retrain": [round(1 - 0.02 / 0.18, 6), 1, 1],
        "NPO": [0.4, 0.4, 0.4],
        "SimNPO": [1, round(2 / 3, 6), 1],
    }
    # The sd goes over the draws; pruning has one.
    spread = {column.head: after.rows[1].cells[column.key].sd for column in after.columns}
    assert spread == {"before": None, "prune": None, "relearn-fast": pytest.approx(0.02), "relearn-random": pytest.approx(0.02)}
    assert after.best(after.columns[2]) == [after.rows[2]]
    assert ratio.best(ratio.columns[0]) == [ratio.rows[2]]


def test_each_seed_is_compared_with_its_own_retrain(tmp_path):
    _, ratio, _ = answered("robustness", case(tmp_path)).tables
    npo = ratio.rows[1].cells["robustness_forget_probability_relearn-random"]
    assert npo.values == pytest.approx({0: 0.1 / 0.4, 1: 0.12 / 0.42})


def of_one_retrain(of, models):
    """The evidence without Retrain of seed 1."""
    is_missing = (of.results["method"] == "retrain") & (of.results["seed"] == 1)
    again = Evidence(of.study.model_copy(update={"models": models}), of.summary)
    vars(again)["results"] = of.results[~is_missing]
    return again


def test_a_given_retrain_of_one_seed_is_that_of_all(tmp_path):
    of = of_one_retrain(case(tmp_path), {PLACE["model"]: {"original": {"name": "org/original"}}})
    _, ratio, _ = answered("robustness", of).tables
    npo = ratio.rows[1].cells["robustness_forget_probability_relearn-random"]
    assert npo.values == pytest.approx({0: 0.1 / 0.4, 1: 0.1 / 0.42})


def test_a_seed_without_its_retrain_has_no_r(tmp_path):
    _, ratio, _ = answered("robustness", of_one_retrain(case(tmp_path), {PLACE["model"]: {}})).tables
    npo = ratio.rows[1].cells["robustness_forget_probability_relearn-random"]
    assert npo.values == pytest.approx({0: 0.1 / 0.4})


def test_without_retrain_there_is_q_and_no_r(tmp_path):
    without = {attack: {name: of for name, of in by_method.items() if name != "retrain"} for attack, by_method in LEFT.items()}
    _, ratio, _ = answered("robustness", case(tmp_path / "q", without)).tables
    assert [column.head for column in ratio.columns] == ["prune"]
    trained = {attack: of for attack, of in without.items() if attack != "prune"}
    drawn("robustness", case(tmp_path / "r", trained))
    assert len(answered("robustness", case(tmp_path / "none", trained)).tables) == 1


def test_original_stands_in_the_column_before_as_what_could_come_back(tmp_path):
    of = case(tmp_path, seeds=(0,))
    finished = PLACE | {"seed": 0, "method": "original", "variant": "", "attack": "", "epoch": float("nan"), "suite": "tofu"}
    own = pd.DataFrame([finished | {"metric": "forget_probability", "value": 0.96, "folder": "x"}])
    vars(of)["results"] = pd.concat([of.results, own], ignore_index=True)
    after, ratio, _ = answered("robustness", of).tables
    row = next(row for row in after.rows if row.label == "Original")
    assert {column.head: row.cells[column.key].mean for column in after.columns if column.key in row.cells} == {"before": 0.96}
    assert "Original" not in {row.label for row in ratio.rows}


def test_hazards_are_measured_by_the_accuracy_on_their_task(tmp_path):
    of = {"benchmark": "bio", "split": "forget", "model": "tiny", "seed": 0, "suite": "hazards"}
    rows = [
        of | {"method": method, "variant": "default", "attack": attack, "epoch": epoch, "metric": metric, "value": value}
        for method, attack, values in (("rmu", "relearn-fast", (0.25, 0.6)), ("npo", "prune", (0.3, 0.4)))
        for epoch, value in enumerate(values)
        for metric, value in (("wmdp_bio/acc", value), ("mmlu/acc", 0.5))
    ]
    hazards = {"benchmark": "bio", "split": "forget", "suites": ["hazards"], "methods": methods("rmu", "npo"), "attacks": [*LEFT]}
    given = evidence(tmp_path, rows, block(**hazards), data=DATA)
    answer = answered("robustness", Evidence(given.study.model_copy(update={"attacks": ATTACKS}), given.summary))
    after, ratio, _ = answer.tables
    assert after.title == "bio / forget / tiny / hazards: Accuracy, wmdp_bio, after the attack"
    ends = answer.numbers.set_index("method")[["before", "after"]]
    assert ends.T.to_dict("list") == {"npo": [0.3, 0.4], "rmu": [0.25, 0.6]}
    # Without Retrain, an attack that trains has no R.
    assert [column.head for column in ratio.columns] == ["prune"]


def test_the_csv_has_a_row_per_model_attack_and_seed(tmp_path):
    numbers = answered("robustness", case(tmp_path)).numbers
    assert len(numbers) == 3 * 3 * 2
    assert {"benchmark", "suite", "method", "attack", "seed", "metric", "before", "after", "sd", "robustness", "symmetric"} <= {
        *numbers
    }


def test_attacks_that_differ_in_their_learning_rate_are_a_curve(tmp_path):
    first, *_, curve = views(drawn("robustness", case(tmp_path)))
    assert len(drawn_as(first, "rect")) == 3 * 4
    lines = {row["line"] for row in drawn_as(curve, "line")}
    assert len(lines) == 3


def test_retrain_alone_and_other_metrics_are_no_answer(tmp_path):
    retrain = {"prune": {"retrain": (0.1, 0.08)}}
    assert question("robustness").answer(case(tmp_path / "alone", retrain)) is None
    quality = [row for row in attacked() if row["metric"].startswith("forget_quality")]
    assert question("robustness").answer(evidence(tmp_path / "quality", quality)) is None
