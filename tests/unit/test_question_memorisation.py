"""Unlearning data that was half learnt: the numbers are those of hand, and the sentences follow them."""

import math

import pandas as pd
import pytest
from question_example import answered, evidence, methods, ratios
from report_example import block, numbers

from palimpsest.report.drawing import quality_height
from palimpsest.report.questions import memorisation

HALF = methods("npo", "simnpo", variant="weak", start="original-half")
# Two items a half, all of 10 tokens; Retrain's truth ratios are all 1, so the shift is the mean of the logs.
RETRAIN = [(1, 10, 1.0), (1, 10, 1.0), (2, 10, 1.0), (2, 10, 1.0)]


def shifted(first, second):
    logs = [(1, first - 0.1), (1, first + 0.1), (2, second), (2, second)]
    return [(half, 10, math.exp(log) if log < 700 else math.inf) for half, log in logs]


def case(tmp_path, npo, simnpo, npo_shift=(-0.5, -1.0), simnpo_shift=(0.1, -0.2), **changes):
    """`npo` and `simnpo` are forget qualities of the first and the second half, a pair a seed."""
    models = {
        f"{name}/weak": {
            seed: {"forget_quality_first_half": first, "forget_quality_second_half": second}
            for seed, (first, second) in enumerate(pairs)
        }
        for name, pairs in (("npo", npo), ("simnpo", simnpo))
    }
    shifts = {("npo", "weak"): npo_shift, ("simnpo", "weak"): simnpo_shift, ("original-half", ""): (2.0, 0.0)}
    items = [
        row
        for seed in range(max(len(npo), len(simnpo)))
        for row in [
            *ratios("retrain", RETRAIN, seed=seed),
            *(row for (name, variant), of in shifts.items() for row in ratios(name, shifted(*of), variant, seed)),
        ]
    ]
    return evidence(tmp_path, numbers(models), block(methods=HALF, **changes), truth_ratios=items)


def said(*args, **kwargs):
    return " ".join(answered(memorisation.answer, case(*args, **kwargs)).findings)


def test_numbers_are_those_of_each_half(tmp_path):
    found = answered(memorisation.answer, case(tmp_path, [(0.2, 0.6), (0.4, 0.5)], [(0.5, 0.5), (0.6, 0.7)]))
    rows = found.numbers.set_index(["method", "half", "seed"])
    assert rows.loc[("npo", "first_half", 0), "forget_quality"] == 0.2
    assert rows.loc[("npo", "second_half", 1), "forget_quality"] == 0.5
    for (method, half), shift in {
        ("npo", "first_half"): -0.5,
        ("npo", "second_half"): -1.0,
        ("simnpo", "second_half"): -0.2,
        ("original-half", "first_half"): 2.0,
        ("retrain", "second_half"): 0.0,
    }.items():
        assert rows.loc[(method, half, 0), "shift"] == pytest.approx(shift)
    assert found.table.set_index("Method").loc["NPO", "Apart"] == "0.25 (0.10 to 0.40)"
    assert "-0.50 on the learnt and -1.00 on the unseen half for NPO and +0.10 on the learnt" in found.findings[3]
    assert "0.30 and 0.55 for NPO and 0.55 and 0.60 for SimNPO (mean over 2 seeds)" in found.findings[2]


def test_the_shift_is_against_retrain(tmp_path):
    of = case(tmp_path, [(0.2, 0.6)], [(0.5, 0.5)])
    doubled = of.truth_ratios.assign(truth_ratio=lambda frame: frame["truth_ratio"] * (1 + (frame["method"] == "retrain")))
    doubled.to_parquet(of.summary / "truth_ratios.parquet")
    found = answered(memorisation.answer, type(of)(of.study, of.summary))
    rows = found.numbers.set_index(["method", "half"])
    assert rows.loc[("npo", "first_half"), "shift"] == pytest.approx(-0.5 - math.log(2))


def test_the_seeds_counted_are_those_of_the_models_shown(tmp_path):
    of = case(tmp_path, [(0.2, 0.6)], [(0.5, 0.5)])
    retrain = of.truth_ratios[of.truth_ratios["method"] == "retrain"]
    pd.concat([of.truth_ratios, retrain.assign(seed=1)]).to_parquet(of.summary / "truth_ratios.parquet")
    found = answered(memorisation.answer, type(of)(of.study, of.summary))
    assert found.numbers["seed"].nunique() == 2
    assert found.findings[2].endswith("(one seed).")


UNEVEN, EVEN = [(0.1, 0.6), (0.1, 0.7)], [(0.5, 0.55), (0.6, 0.7)]


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (
            UNEVEN,
            EVEN,
            "As in the paper, NPO forgets the two halves less evenly than SimNPO: the halves' forget qualities are 0.55",
        ),
        (EVEN, UNEVEN, "Unlike in the paper, NPO forgets the two halves more evenly than SimNPO"),
        (
            [UNEVEN[0], EVEN[1]],
            [EVEN[0], UNEVEN[1]],
            "less evenly than SimNPO is left open: the halves' forget qualities are 0.30",
        ),
        (
            [UNEVEN[0]],
            [EVEN[0]],
            "is left open by one seed, in which it holds: the halves' forget qualities are 0.50 apart for NPO, 0.05",
        ),
        (
            [(0.0, 1e-9)] * 2,
            UNEVEN,
            "less evenly than SimNPO is left open: both halves of NPO are told apart from Retrain (below 0.05).",
        ),
    ],
)
def test_the_gap_is_judged_by_all_seeds_and_comes_first(tmp_path, npo, simnpo, text):
    assert text in answered(memorisation.answer, case(tmp_path, npo, simnpo)).findings[0]


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (-1.0, 0.2, "As in the paper, NPO pushes what was never memorised further from Retrain than SimNPO does"),
        (0.1, -0.2, "Unlike in the paper, NPO leaves what was never memorised nearer to Retrain than SimNPO does"),
    ],
)
def test_what_was_never_seen_is_judged_by_its_distance_to_retrain(tmp_path, npo, simnpo, text):
    assert text in said(tmp_path, EVEN, EVEN, npo_shift=(0.0, npo), simnpo_shift=(0.0, simnpo))


def test_means_stand_where_the_axis_has_them(tmp_path):
    found = answered(memorisation.answer, case(tmp_path, [(0.2, 0.6), (0.4, 0.4)], EVEN))
    heights = {round(float(y), 6) for line in found.figure.subfigs[0].axes[0].lines for y in line.get_ydata()}
    assert {round(quality_height(quality, 1e-3), 6) for quality in (0.3, 0.5, 0.2, 0.6, 0.4)} <= heights


def test_collapsed_models_are_drawn_and_have_numbers(tmp_path):
    found = answered(memorisation.answer, case(tmp_path, [(0.0, 0.0)], [(0.5, 0.5)], npo_shift=(-800.0, 800.0)))
    npo = found.numbers[found.numbers["method"] == "npo"]
    # Ratios of 0 and infinity count as far out, on their side, not as none.
    assert npo["log_truth_ratio"].round().tolist() == [-691, 691]


def test_one_of_the_two_is_not_compared(tmp_path):
    text = said(tmp_path, UNEVEN, [])
    assert "0.10 and 0.65 for NPO" in text
    assert text.startswith(
        "Whether NPO forgets the two halves less evenly than SimNPO is left open: not both were unlearned from this start."
    )


def test_two_blocks_have_a_panel_row_and_a_name_each(tmp_path):
    of = case(tmp_path, UNEVEN, EVEN)
    results, items = pd.read_parquet(of.summary / "summary.parquet"), of.truth_ratios
    pd.concat([results, results.assign(split="forget10")]).to_parquet(of.summary / "summary.parquet")
    pd.concat([items, items.assign(split="forget10")]).to_parquet(of.summary / "truth_ratios.parquet")
    blocks = [of.study.blocks[0], of.study.blocks[0].model_copy(update={"split": "forget10"})]
    found = answered(memorisation.answer, type(of)(of.study.model_copy(update={"blocks": blocks}), of.summary))
    assert [part.get_suptitle() for part in found.figure.subfigs] == ["tofu / forget05 / tiny", "tofu / forget10 / tiny"]
    assert all(sentence.startswith("tofu / forget") for sentence in found.findings)
    assert set(found.table["Block"]) == {"tofu / forget05 / tiny", "tofu / forget10 / tiny"}


def test_no_answer_without_a_model_that_started_so(tmp_path):
    of = case(tmp_path, UNEVEN, EVEN)
    plain = of.study.model_copy(update={"blocks": [block(methods=methods("npo", "simnpo", variant="weak"))]})
    assert memorisation.answer(type(of)(plain, of.summary)) is None


def test_no_answer_without_both_halves(tmp_path):
    rows = numbers({"npo/weak": {0: {"forget_quality_first_half": 0.5}, 1: {"forget_quality_second_half": 0.5}}})
    assert memorisation.answer(evidence(tmp_path, rows, block(methods=HALF))) is None
