"""Meta-evaluation: the scores of metrics by hand, and the report's map of them."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_example import PLACE, answered, drawn, evidence, methods, question
from report_example import block, numbers

from palimpsest.metrics.meta import faithfulness, rank_agreement
from palimpsest.metrics.summary import harmonic_mean
from palimpsest.report.evidence import Evidence

values = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def test_faithfulness_by_hand():
    assert faithfulness([0.9, 0.8], [0.1, 0.2]) == faithfulness([0.1, 0.2], [0.9, 0.8]) == 1
    # 3 of 4 pairs are in order, and of an equal pair one half.
    assert faithfulness([0.9, 0.2], [0.1, 0.5]) == 0.75 and faithfulness([0.5], [0.5]) == 0.5
    assert math.isnan(faithfulness([], [0.5])) and math.isnan(faithfulness([math.nan], [0.5]))


@given(values, values)
def test_faithfulness_does_not_depend_on_the_direction(knowing, others):
    found = faithfulness(knowing, others)
    assert 0.5 <= found <= 1 and found == pytest.approx(faithfulness([-value for value in knowing], [-value for value in others]))


def test_means_and_ranks_by_hand():
    assert harmonic_mean([1.0, 0.5]) == pytest.approx(2 / 3) and harmonic_mean([0.0, 1.0]) == 0
    assert math.isnan(harmonic_mean([0.5, math.nan]))
    before = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.9}
    assert rank_agreement(before, before, (0.0, 0.0)) == 1
    # The distances from 1 are in the contrary order.
    assert rank_agreement(before, before, (0.0, 1.0)) == -1
    assert math.isnan(rank_agreement({"a": 1.0}, {"a": 1.0}, (0.0, 0.0)))


SEEDS = range(5)
ATTACKS = {"relearn-random": {"select": "random", "training": {"epochs": 1, "learning_rate": 1e-4}}, "prune": {"share": 0.2}}
# By metric, of Original and Retrain in each seed. The truth ratio falls with knowledge, and seed 4 is the wrong way round.
FINISHED = {
    "original": {seed: {"forget_probability": 0.9, "forget_truth_ratio": 0.4 if seed < 4 else 0.8} for seed in SEEDS},
    "retrain": {seed: {"forget_probability": 0.1, "forget_truth_ratio": 0.7 if seed < 4 else 0.6} for seed in SEEDS},
}
# Forget probability before and after each attack.
LEFT = {
    "relearn-random": {"retrain": (0.1, 0.3), "npo": (0.2, 0.5), "simnpo": (0.1, 0.3)},
    "prune": {"retrain": (0.1, 0.1), "npo": (0.2, 0.6), "simnpo": (0.1, 0.1)},
}


def case(tmp_path, finished=FINISHED, left=LEFT):
    rows = [
        PLACE
        | {"seed": 0, "method": method, "variant": "" if method == "retrain" else "default"}
        | {"attack": attack, "epoch": epoch, "suite": "tofu", "metric": "forget_probability", "value": value}
        for attack, by_method in left.items()
        for method, probabilities in by_method.items()
        for epoch, value in enumerate(probabilities)
    ]
    shown = block(methods=methods("npo", "simnpo"), attacks=[*left], seeds=[*SEEDS])
    study = evidence(tmp_path, numbers(finished) + rows, shown)
    return Evidence(study.study.model_copy(update={"attacks": ATTACKS}), study.summary)


def test_the_table_has_the_scores_of_each_metric(tmp_path):
    answer = answered("meta", case(tmp_path))
    found = answer.numbers.set_index("metric")
    probability, ratio = found.loc["forget_probability"], found.loc["forget_truth_ratio"]
    # R: 1 - 0.1 / 0.5 of NPO and 1 of SimNPO; Q: 1 - 0.4 / 0.8 of NPO and 1 of SimNPO.
    relearning, editing = (0.8 + 1) / 2, (0.5 + 1) / 2
    assert (probability["faithfulness"], probability["relearning"], probability["editing"]) == pytest.approx(
        (1, relearning, editing)
    )
    robust = 2 / (1 / relearning + 1 / editing)
    assert (probability["robustness"], probability["overall"]) == pytest.approx((robust, 2 / (1 + 1 / robust)))
    # Of 25 pairs, the four of 0.8 above 0.7 are not in order, and the one of 0.8 above 0.6; nothing attacked it.
    assert ratio["faithfulness"] == pytest.approx(20 / 25) and math.isnan(ratio["robustness"])
    assert answer.facts[0].startswith("5 models that know the forget set (Original), 5 that never saw it")
    assert answer.facts[1] == "First overall: forget_probability (0.90)."
    assert drawn("meta", case(tmp_path / "again"))


def test_all_seeds_of_a_given_model_have_one_retrain(tmp_path):
    of = case(tmp_path, left={"relearn-random": LEFT["relearn-random"]})
    is_moved = of.results["method"].isin(["npo", "simnpo"])
    moved = of.results.assign(seed=of.results["seed"].where(~is_moved, 1))

    def relearning(models):
        again = Evidence(of.study.model_copy(update={"models": models}), of.summary)
        vars(again)["results"] = moved
        return answered("meta", again).numbers.set_index("metric").loc["forget_probability", "relearning"]

    assert relearning({PLACE["model"]: {"original": {"name": "org/original"}}}) == pytest.approx((0.8 + 1) / 2)
    assert math.isnan(relearning({PLACE["model"]: {}}))


def test_edited_retrains_are_models_that_never_saw_the_forget_set(tmp_path):
    of = case(tmp_path)
    pruned = of.results[(of.results["method"] == "retrain") & (of.results["attack"] == "")].assign(attack="prune")
    relearnt = pruned.assign(attack="relearn-random", value=0.9)
    vars(of)["results"] = pd.concat([of.results, pruned, relearnt])
    answer = answered("meta", of)
    assert answer.facts[0].startswith("5 models that know the forget set (Original), 10 that never saw it")
    assert answer.numbers.set_index("metric").loc["forget_probability", "faithfulness"] == 1


def test_a_model_that_an_attack_leaves_has_every_metric(tmp_path):
    of = case(tmp_path)
    alone = of.results[(of.results["attack"] == "") & (of.results["method"] == "retrain")]
    # The truth ratio, which falls with knowledge: before and after pruning of one model, and only after it of another.
    before = alone.assign(method="npo", variant="default", value=0.6)
    pruned = before.assign(attack="prune", value=0.2)
    lone = pruned.assign(method="simnpo")
    kept = pd.concat([before, pruned, lone])
    vars(of)["results"] = pd.concat([of.results, kept[(kept["metric"] == "forget_truth_ratio") & (kept["seed"] == 0)]])
    found = answered("meta", of).numbers.set_index("metric")
    # Q of what the model knows, 1 - ratio: 1 - (0.8 - 0.4) / (0.8 + 0.4).
    assert found.loc["forget_truth_ratio", "editing"] == pytest.approx(2 / 3)
    # The probability, which the suite did not measure, still comes from the attack's own steps.
    assert found.loc["forget_probability", "editing"] == pytest.approx((0.5 + 1) / 2)


def test_a_metric_that_compares_with_retrain_is_left_out(tmp_path):
    """The AUC by Retrain's losses tells Originals from Retrains by definition."""
    more = {
        name: {seed: of | {"forget_auc_reference": 0.5} for seed, of in by_seed.items()} for name, by_seed in FINISHED.items()
    }
    assert "forget_auc_reference" not in set(answered("meta", case(tmp_path, more)).numbers["metric"])


def test_fewer_models_are_no_answer(tmp_path):
    few = {name: {seed: of for seed, of in by_seed.items() if seed < 4} for name, by_seed in FINISHED.items()}
    assert question("meta").answer(case(tmp_path, few)) is None
