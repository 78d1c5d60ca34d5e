"""SimNPO against NPO over seeds: means, intervals and tests as computed by hand, sentences that follow them."""

import pytest
from question_example import answered, evidence, methods
from report_example import block, numbers

from palimpsest.report.questions import seeds


def case(tmp_path, models, *blocks, split="forget05"):
    """`models` maps a method to forget quality and model utility, a pair a seed."""
    by_seed = {
        name: {seed: {"forget_quality": quality, "model_utility": utility} for seed, (quality, utility) in enumerate(of)}
        for name, of in models.items()
    }
    return evidence(tmp_path, numbers(by_seed, split=split), *(blocks or [block(methods=methods(*models))]))


def said(tmp_path, models):
    return " ".join(answered(seeds.answer, case(tmp_path, models)).findings)


def by_seed(qualities, utility=0.5):
    return [(quality, utility) for quality in qualities]


LOW, HIGH = (0.2, 0.3, 0.1, 0.2, 0.3, 0.1), (0.6, 0.9, 0.4, 0.5, 0.8, 0.7)


def test_means_and_spreads_are_those_of_the_seeds(tmp_path):
    rows = answered(seeds.answer, case(tmp_path, {"npo": by_seed([0.1, 0.3]), "simnpo": by_seed([0.5, 0.9])})).numbers
    rows = rows[rows["metric"] == "forget_quality"].set_index(["method", "less"])
    assert rows.loc[("npo", ""), ["mean", "sd", "low", "high"]].tolist() == pytest.approx([0.2, 0.02**0.5, 0.1, 0.3])
    # Both differences are positive: of four ways to flip signs two are as far from 0. Differences 0.4 and 0.6.
    paired = rows.loc[("simnpo", "npo"), ["mean", "sd", "low", "high", "p_value", "higher"]].tolist()
    assert paired == pytest.approx([0.5, 0.02**0.5, 0.4, 0.6, 0.5, 2])


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (
            LOW,
            HIGH,
            "As in the paper, SimNPO's forget quality is above NPO's by more than the luck of seeds: 0.65 against 0.20, ",
        ),
        (HIGH, LOW, "Unlike in the paper, SimNPO's forget quality is below NPO's by more than the luck of seeds: 0.20 against"),
        (
            LOW[:3],
            HIGH[:3],
            "above NPO's in every seed, though 3 seeds are too few to be sure: 0.63 against 0.20, higher in 3 of 3",
        ),
        (HIGH[:3], LOW[:3], "Unlike in the paper, SimNPO's forget quality is below NPO's in every seed, though 3 seeds are"),
        (
            (0.2, 0.8),
            (0.6, 0.5),
            "Whether SimNPO's forget quality is above NPO's, as in the paper, is left open: 0.55 against 0.50",
        ),
    ],
)
def test_the_verdict_follows_the_seeds(tmp_path, npo, simnpo, text):
    assert text in said(tmp_path, {"npo": by_seed(npo), "simnpo": by_seed(simnpo)})


def test_six_seeds_that_agree_have_two_ways_of_64_to_flip_signs(tmp_path):
    text = said(tmp_path, {"npo": by_seed(LOW), "simnpo": by_seed(HIGH)})
    assert "higher in 6 of 6 seeds, mean difference +0.45 (95 % interval" in text
    assert f"sign-flip p = {2 / 64:.2g}" in text


def test_one_seed_says_nothing(tmp_path):
    text = said(tmp_path, {"npo": by_seed([0.2]), "simnpo": by_seed([0.9])})
    assert (
        "Whether SimNPO's forget quality is above NPO's by more than luck is left open: 0.90 against 0.20, in the only seed."
        in text
    )
    assert "As in the paper" not in text


def test_only_seeds_that_both_have_are_paired(tmp_path):
    assert "0.90 against 0.20, in the only seed" in said(tmp_path, {"npo": by_seed([0.2, 0.3]), "simnpo": by_seed([0.9])})


def test_without_simnpo_the_others_are_shown_and_nothing_compared(tmp_path):
    found = answered(seeds.answer, case(tmp_path, {"npo": by_seed([0.2, 0.3]), "ga": by_seed([0.0, 0.0], 0.0)}))
    assert found.findings[0] == "Whether SimNPO's forget quality is above NPO's is left open: no seed has both."
    assert set(found.table["Method"]) == {"NPO", "GA"}


def test_two_models_that_are_both_told_apart_are_called_so(tmp_path):
    assert "1.0e-04 against 5.5e-09, both told apart from Retrain, higher in 2 of 2" in said(
        tmp_path, {"npo": by_seed([1e-9, 1e-8]), "simnpo": by_seed([1e-4] * 2)}
    )


def test_each_block_is_told_under_its_title(tmp_path):
    both = methods("npo", "simnpo")
    models = {name: {seed: {"forget_quality": 0.1 * (seed + 1)} for seed in (0, 1)} for name in both}
    rows = numbers(models) + numbers(models, split="forget10")
    study = evidence(tmp_path, rows, block(methods=both), block(methods=both, split="forget10"))
    findings = answered(seeds.answer, study).findings
    assert [finding.partition(":")[0] for finding in findings] == ["tofu / forget05 / tiny", "tofu / forget10 / tiny"]


def test_without_scores_there_is_no_answer(tmp_path):
    assert seeds.answer(evidence(tmp_path, numbers({"npo": {0: {"forget_rouge": 0.5}}}))) is None
