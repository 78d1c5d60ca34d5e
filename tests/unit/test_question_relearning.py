"""Relearning: which of NPO and SimNPO keeps more of its forgetting, and to which attack, as the numbers have it."""

import math

import pytest
from question_example import PLACE, answered, drawn, drawn_as, evidence, judged, methods, question, views
from report_example import attacked, block, numbers

from palimpsest.report.evidence import Evidence

ATTACKS = {
    "relearn-shortest": {"select": "shortest", "training": {}},
    "relearn-random": {"select": "random", "training": {}},
    "relearn-fast": {"select": "random", "draws": 5, "training": {"learning_rate": 1e-3}},
    "relearn-bits": {"bits": 4},
    "relearn-other": {"select": "random", "data": "retain", "training": {}},
}
ROBUST, HARDER = "SimNPO is more robust to relearning than NPO", "SimNPO's lead is larger when the shortest answers are relearnt"
WEAK, STRONG = (0.6, 0.2, 0.1), (0.7, 0.6, 0.5)


def case(tmp_path, **attacks):
    """An attack's name to methods, each a forget quality before and after every epoch, the same in five seeds but for a bit."""
    rows = [
        PLACE
        | {"seed": seed, "method": method, "variant": "default", "attack": f"relearn-{attack}", "epoch": epoch, "suite": "tofu"}
        | {"metric": metric, "value": value}
        for attack, by_method in attacks.items()
        for method, qualities in by_method.items()
        for seed in range(5)
        for epoch, quality in enumerate(qualities)
        for metric, value in (("forget_quality", quality * (1 + seed / 100)), ("forget_probability", 1 - quality))
    ]
    attacked = {method for by_method in attacks.values() for method in by_method}
    study = evidence(tmp_path, rows, block(methods=methods(*attacked), attacks=[f"relearn-{name}" for name in attacks]))
    return Evidence(study.study.model_copy(update={"attacks": ATTACKS}), study.summary)


@pytest.mark.parametrize(("npo", "simnpo", "word"), [(WEAK, STRONG, "holds"), (STRONG, WEAK, "does not hold")])
def test_which_is_more_robust(tmp_path, npo, simnpo, word):
    (found,) = judged("relearning", case(tmp_path, random={"npo": npo, "simnpo": simnpo}))[ROBUST]
    assert (found.word, found.title) == (word, "tofu / forget05 / tiny: relearn-random")


def test_the_mean_goes_over_the_epochs_that_can_tell(tmp_path):
    # After the second epoch both can be distinguished from Retrain: the first alone counts.
    (found,) = judged("relearning", case(tmp_path, random={"npo": (0.6, 0.2, 1e-9), "simnpo": (0.7, 0.6, 1e-5)}))[ROBUST]
    assert [number.partition(" ")[0] for number in found.numbers] == ["0.61", "0.20"]


def test_p_values_of_next_to_nothing_decide_nothing(tmp_path):
    (found,) = judged("relearning", case(tmp_path, random={"npo": (0.6, 1e-9), "simnpo": (0.6, 1e-5)}))[ROBUST]
    assert (found.word, found.reason) == ("undecided", "both can be distinguished from Retrain after every epoch")


@pytest.mark.parametrize(("shortest", "word"), [((0.6, 0.06, 0.06), "holds"), (STRONG, "does not hold")])
def test_against_which_attack_the_lead_is_larger(tmp_path, shortest, word):
    of = case(tmp_path, shortest={"npo": shortest, "simnpo": STRONG}, random={"npo": WEAK, "simnpo": STRONG})
    assert [found.word for found in judged("relearning", of)[HARDER]] == [word]


def test_the_lead_is_compared_with_the_attack_that_is_the_same_but_random(tmp_path):
    fast, strong = {"npo": STRONG, "simnpo": STRONG}, {"npo": WEAK, "simnpo": STRONG}
    both = case(tmp_path / "both", shortest=strong, fast=fast, random=strong)
    (found,) = judged("relearning", both)[HARDER]
    assert found.numbers[0] == found.numbers[1]
    assert HARDER not in judged("relearning", case(tmp_path / "fast", shortest=strong, fast=fast))


def test_a_lead_is_one_in_the_root_of_the_decades(tmp_path):
    # The first lead is the larger difference of p-values, the second the larger one in decades.
    first, second = {"npo": (0.6, 0.4), "simnpo": (0.6, 0.9)}, {"npo": (0.6, 0.01), "simnpo": (0.6, 0.4)}
    (found,) = judged("relearning", case(tmp_path, shortest=first, random=second))[HARDER]
    assert found.word == "does not hold"


def test_one_method_alone_is_compared_with_nothing(tmp_path):
    assert judged("relearning", case(tmp_path, random={"npo": WEAK})) == {}


def test_the_table_has_every_model_and_epoch(tmp_path):
    (table,) = answered("relearning", case(tmp_path, random={"npo": WEAK, "simnpo": STRONG})).tables
    assert table.caption == "tofu / forget05 / tiny: relearn-random, mean ± sd over 2 seeds"
    assert [row.label for row in table.rows] == ["NPO", "SimNPO"]
    assert [(column.group, column.head.replace("\N{NO-BREAK SPACE}", " ")) for column in table.columns] == [
        (group, head) for group in ("Forget quality", "Forget probability") for head in ("before", "epoch 1", "epoch 2")
    ]
    means = [row.cells["forget_quality_epoch_1"].mean for row in table.rows]
    assert means == pytest.approx([0.2 * 1.02, 0.6 * 1.02])


def test_an_sd_goes_over_seeds_and_draws(tmp_path):
    (table,) = answered("relearning", evidence(tmp_path, attacked())).tables
    quality = table.rows[0].cells["forget_quality_epoch_1"]
    assert quality.mean == pytest.approx(0.02)
    # Between the seeds 0.0002; within them the mean of 0.02 squared and 0.04 squared.
    assert quality.sd == pytest.approx(math.sqrt(0.0002 + (0.0004 + 0.0016) / 2))
    assert table.rows[0].cells["forget_probability_epoch_1"].sd == pytest.approx(math.sqrt(0.005))


def test_an_attack_that_trains_nothing_counts_steps_and_is_no_relearning(tmp_path):
    of = case(tmp_path, bits={"npo": WEAK[:2], "simnpo": STRONG[:2]}, random={"npo": WEAK[:2]})
    (steps, _), (epochs, _) = (row for _, row in answered("relearning", of).figure.rows)
    assert (steps.x.label, epochs.x.label) == ("Steps of relearn-bits", "Epochs of relearn-random")
    assert answered("relearning", of).tables[0].columns[1].head == "step\N{NO-BREAK SPACE}1"
    assert judged("relearning", of) == {}


def test_an_attack_of_one_step_has_a_table_and_no_curve_beside_one_of_several(tmp_path):
    of = answered("relearning", case(tmp_path, bits={"npo": WEAK[:2]}, random={"npo": WEAK}))
    ((curve, _),) = (row for _, row in of.figure.rows)
    assert curve.x.label == "Epochs of relearn-random"
    assert len(of.tables) == 2


def test_fine_tuning_on_other_data_is_no_relearning(tmp_path):
    of = case(tmp_path, other={"npo": WEAK, "simnpo": STRONG})
    assert len(answered("relearning", of).tables) == 1
    assert judged("relearning", of) == {}


def test_a_suite_that_only_retrain_was_attacked_for_has_no_row_beside_another(tmp_path):
    quick = [row | {"suite": "quick", "method": "retrain", "variant": ""} for row in attacked()]
    assert [table.suite for table in answered("relearning", evidence(tmp_path, attacked() + quick)).tables] == ["tofu"]
    assert [table.suite for table in answered("relearning", evidence(tmp_path / "alone", quick)).tables] == ["quick"]


def test_what_suites_say_of_an_attacked_model_and_other_metrics_are_no_epoch_of_an_attack(tmp_path):
    evaluated = [row | {"attack": "relearn-random"} for row in numbers({"npo": {0: {"forget_quality": 0.25}}})]
    others = [row | {"metric": "knowmem_r"} for row in attacked()]
    alone = answered("relearning", evidence(tmp_path / "alone", attacked())).tables
    found = answered("relearning", evidence(tmp_path / "more", attacked() + evaluated)).tables
    assert found == alone
    assert question("relearning").answer(evidence(tmp_path / "none", evaluated + others)) is None


@pytest.mark.parametrize(("others", "bands"), [(("ga",), 3), (("ga", "graddiff", "idk", "rkld"), 2)])
def test_of_many_methods_only_the_compared_have_bands(tmp_path, others, bands):
    view, *_ = views(drawn("relearning", case(tmp_path, random=dict.fromkeys(("npo", "simnpo", *others), WEAK))))
    assert len({row["line"] for row in drawn_as(view, "area")}) == bands
    assert len({row["line"] for row in drawn_as(view, "line")}) == 2 + len(others)


def test_without_attacks_there_is_no_answer(tmp_path):
    assert question("relearning").answer(evidence(tmp_path, numbers({"npo": {0: {"forget_quality": 0.5}}}))) is None
