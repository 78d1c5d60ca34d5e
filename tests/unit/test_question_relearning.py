"""Relearning: which of NPO and SimNPO keeps more of its forgetting, and to which attack, as the numbers have it."""

import pytest
from question_example import PLACE, answered, evidence, methods
from report_example import block, numbers

from palimpsest.report.evidence import Evidence
from palimpsest.report.questions import relearning

ATTACKS = {"relearn-shortest": {"select": "shortest"}, "relearn-random": {"select": "random"}}


def case(tmp_path, **attacks):
    """An attack's name to methods to seeds, each a forget quality before and after every epoch."""
    rows = [
        PLACE
        | {"seed": seed, "method": method, "variant": "default", "attack": f"relearn-{attack}", "epoch": epoch, "suite": "tofu"}
        | {"metric": metric, "value": value}
        for attack, by_method in attacks.items()
        for method, by_seed in by_method.items()
        for seed, qualities in enumerate(by_seed)
        for epoch, quality in enumerate(qualities)
        for metric, value in (("forget_quality", quality), ("forget_probability", 1 - quality))
    ]
    attacked = {method for by_method in attacks.values() for method in by_method}
    study = evidence(tmp_path, rows, block(methods=methods(*attacked), attacks=[f"relearn-{name}" for name in attacks]))
    return Evidence(study.study.model_copy(update={"attacks": ATTACKS}), study.summary)


def said(tmp_path, **attacks):
    return " ".join(answered(relearning.answer, case(tmp_path, **attacks)).findings)


WEAK, STRONG = [(0.6, 0.2, 0.1), (0.8, 0.4, 0.1)], [(0.7, 0.6, 0.5), (0.9, 0.8, 0.7)]


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (
            WEAK,
            STRONG,
            "As in the paper, SimNPO is more robust than NPO to relearn-random: SimNPO's forget quality (NPO's) is "
            "0.80 (0.70) before, 0.70 (0.30) after epoch 1 and 0.60 (0.10) after epoch 2, in both seeds.",
        ),
        (
            STRONG,
            WEAK,
            "Unlike in the paper, NPO is more robust than SimNPO to relearn-random: SimNPO's forget quality (NPO's) is 0.70",
        ),
        ([WEAK[0], STRONG[1]], [STRONG[0], WEAK[1]], "Whether SimNPO is more robust than NPO to relearn-random is left open"),
    ],
)
def test_who_is_more_robust(tmp_path, npo, simnpo, text):
    assert text in said(tmp_path, random={"npo": npo, "simnpo": simnpo})


def test_p_values_of_next_to_nothing_decide_nothing(tmp_path):
    npo, simnpo = [(0.6, 1e-9), (0.6, 1e-9)], [(0.6, 1e-5), (0.6, 1e-5)]
    text = said(tmp_path, random={"npo": npo, "simnpo": simnpo})
    assert text.startswith("Whether SimNPO is more robust than NPO to relearn-random is left open: SimNPO's")
    assert "both told apart from Retrain after every epoch." in text


@pytest.mark.parametrize(
    ("shortest", "text"),
    [
        # The mean lead over the epochs is 0.45 against the random answers.
        (
            [(0.6, 0.06, 0.06)] * 2,
            "As in the paper, SimNPO's lead is larger against relearn-shortest than against",
        ),
        (
            STRONG,
            "lead is smaller against relearn-shortest than against relearn-random: +0.000 and +0.450 of",
        ),
    ],
)
def test_against_which_attack_the_lead_is_larger(tmp_path, shortest, text):
    attacks = {"shortest": {"npo": shortest, "simnpo": STRONG}, "random": {"npo": WEAK, "simnpo": STRONG}}
    assert text in said(tmp_path, **attacks)


def test_one_method_alone_leaves_the_question_open(tmp_path):
    assert said(tmp_path, random={"npo": WEAK}) == (
        "Whether SimNPO is more robust than NPO to relearn-random is left open: not both were attacked with the same seed. "
        "After epoch 2 of relearn-random a mean forget quality above 0.05 is left to NPO (0.10)."
    )


def test_what_is_left_after_the_last_epoch(tmp_path):
    text = said(tmp_path, random={"npo": WEAK, "simnpo": STRONG, "ga": [(0.0, 0.0, 0.0)] * 2})
    assert (
        "After epoch 2 of relearn-random a mean forget quality above 0.05 is left to NPO (0.10) and SimNPO (0.60), of 3" in text
    )
    text = said(tmp_path / "none", random={"npo": [(0.6, 1e-3)], "ga": [(0.0, 0.0)]})
    assert "After epoch 1 of relearn-random no mean forget quality is above 0.05; the highest is NPO's, 0.001." in text


def test_the_table_has_every_model_and_epoch(tmp_path):
    table = answered(relearning.answer, case(tmp_path, random={"npo": WEAK, "simnpo": STRONG})).table
    assert table["Model"].tolist() == ["NPO", "SimNPO"]
    assert table["Forget quality, epoch\N{NO-BREAK SPACE}1"].tolist() == ["0.30 ± 0.14", "0.70 ± 0.14"]


@pytest.mark.parametrize(("others", "bands"), [(("ga",), 3), (("ga", "graddiff", "idk", "rkld"), 2)])
def test_of_many_methods_only_the_compared_have_bands(tmp_path, others, bands):
    attacked = dict.fromkeys(("npo", "simnpo", *others), WEAK)
    axes = answered(relearning.answer, case(tmp_path, random=attacked)).figure.axes[0]
    assert len(axes.collections) == bands
    # And the line of the level.
    assert len(axes.lines) == len(attacked) + 1


def test_without_attacks_there_is_no_answer(tmp_path):
    assert relearning.answer(evidence(tmp_path, numbers({"npo": {0: {"forget_quality": 0.5}}}))) is None
