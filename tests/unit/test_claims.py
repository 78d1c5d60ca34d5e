"""The rule that decides a claim: how many seeds, which interval, which test; and what a verdict says."""

import pandas as pd
import pytest
from scipy.stats import ks_2samp

from palimpsest.report.claims import FAILS, FEWEST, HOLDS, UNDECIDED, Claim, Pair, decide, judge
from palimpsest.report.words import MINUS

CLAIM = Claim("SimNPO keeps more utility than NPO", "Table 1", "model_utility", "simnpo", "npo", (0.58, 0.57))
UP = [0.1, 0.2, 0.3, 0.2, 0.1]


def decided(differences, claim=CLAIM, **changes):
    than = pd.Series([0.5 + seed / 100 for seed in range(len(differences))], dtype=float)
    (found,) = decide([judge(claim, Pair("here", than + differences, than, **changes))])
    return found


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        (UP, HOLDS),
        ([-each for each in UP], FAILS),
        # All seeds agree, but one difference is far larger than the others.
        ([0.01, 0.01, 0.01, 0.01, 0.9], UNDECIDED),
        ([*UP, 0.2, 0.1, 0.2, -0.05], HOLDS),
        (UP[:4], UNDECIDED),
        (UP[:1], UNDECIDED),
        ([], UNDECIDED),
        ([0.0] * 8, UNDECIDED),
        ([0.3, -0.3, 0.2, -0.2, 0.1, -0.1], UNDECIDED),
        # What is left of a computation that gives the same twice is rounding, in however many seeds.
        ([1e-12] * 8, UNDECIDED),
    ],
)
def test_a_claim_is_decided_by_enough_seeds_that_agree(differences, word):
    assert decided(differences).word == word


def test_no_verdict_comes_from_fewer_seeds_than_the_paper_has():
    found = decided(UP[: FEWEST - 1])
    assert (found.word, found.seeds) == (UNDECIDED, FEWEST - 1)
    assert found.reason == "as claimed in 4 of 4 seeds; 5 are needed"


def test_only_seeds_that_both_have_are_paired():
    greater, than = pd.Series([0.9] * 6), pd.Series([0.1] * 6, index=range(3, 9))
    (found,) = decide([judge(CLAIM, Pair("here", greater, than))])
    assert (found.word, found.seeds, found.reason) == (
        UNDECIDED,
        3,
        "as claimed in 3 of 3 seeds that have both numbers; 6 seeds left out; 5 are needed",
    )


def test_no_seed_with_both_numbers_is_open():
    (found,) = decide([judge(CLAIM, Pair("here", pd.Series([0.5], index=[0]), pd.Series([0.4], index=[1])))])
    assert (found.word, found.reason, found.ours) == (UNDECIDED, "no seed has both numbers", "\N{EN DASH}")


def test_a_margin_must_be_exceeded():
    assert decided(UP, margin=0.05).word == HOLDS
    assert decided(UP, margin=0.35).word == FAILS
    assert decided([0.0] * 5, margin=-0.1).word == HOLDS


def test_what_forbids_a_verdict_is_its_reason():
    found = decided(UP, but="neither forgot anything")
    assert (found.word, found.reason) == (UNDECIDED, "neither forgot anything")


def test_a_verdict_has_the_numbers_of_the_paper_and_ours():
    found = decided([-each for each in UP])
    assert found.printed == "0.58 against 0.57"
    assert found.ours == "0.340 ± 0.085 against 0.520 ± 0.016"
    # By hand: a mean of 0.18 with an sd of 0.0837, t = 4.81 with 4 degrees of freedom.
    assert found.reason == (
        f"mean difference {MINUS}0.18 (95 % interval {MINUS}0.28 to {MINUS}0.076), p of the contrary = 0.0043, "
        "corrected 0.0043, as claimed in 0 of 5 seeds"
    )
    assert judge(Claim("x", "y"), Pair("here", pd.Series(UP), pd.Series(UP))).printed == "\N{EN DASH}"


def test_two_models_that_both_fail_are_called_so():
    claim = Claim("SimNPO forgets better than NPO", "Table 1")
    (low,) = decide([judge(claim, Pair("here", pd.Series([1e-3] * 5), pd.Series([1e-9] * 5)))])
    assert (low.word, low.reason.endswith("; both can be distinguished from Retrain")) == (HOLDS, True)
    assert "distinguished" not in judge(claim, Pair("here", pd.Series([0.5] * 5), pd.Series([1e-9] * 5))).reason


def test_a_study_with_many_claims_must_be_surer_of_each():
    one = judge(CLAIM, Pair("here", pd.Series(UP), pd.Series([0.0] * 5)))
    luck = judge(CLAIM, Pair("there", pd.Series([0.1, -0.1, 0.2, -0.2, 0.1]), pd.Series([0.0] * 5)))
    few = judge(CLAIM, Pair("few", pd.Series(UP[:3]), pd.Series([0.0] * 3)))
    assert [found.word for found in decide([one])] == [HOLDS]
    # 0.0043 times 12 is above 5 %; claims that no number of this study decides do not count.
    assert [found.word for found in decide([one, *[luck] * 11, few])] == [UNDECIDED] * 13
    assert [found.word for found in decide([one, luck, *[few] * 11])] == [HOLDS, *[UNDECIDED] * 12]
    first = decide([one, luck, few])[0]
    assert first.corrected[0] == pytest.approx(2 * first.found.p_higher)
    assert "p = 0.0043, corrected 0.0086, as claimed in 5 of 5 seeds" in first.reason


def test_what_is_corrected_again_is_the_same():
    once = decide([judge(CLAIM, Pair("here", pd.Series(UP), pd.Series([0.0] * 5)))] * 3)
    assert decide(once) == once


def test_forget_quality_is_compared_on_a_scale_on_which_distances_are_even():
    """A p-value of 1e-4 is far from one of 1e-21 in every seed, though its own spread is as large as its mean."""
    claim = Claim("NPO forgets better than GradDiff", "Table 1")
    npo, graddiff = pd.Series([1e-6, 1e-4, 3e-4, 1e-3, 5e-5]), pd.Series([1e-21] * 5)
    plain = judge(Claim("x", "y", "other"), Pair("here", npo, graddiff))
    (found,) = decide([judge(claim, Pair("here", npo, graddiff))])
    assert (plain.found.p_higher > 0.05, found.word) == (True, HOLDS)
    # The KS distance of large samples is proportional to the root of -log(p / 2).
    distances = [ks_2samp(range(100), range(k, 100 + k)).pvalue for k in (20, 40, 60)]
    roots = [judge(claim, Pair("here", pd.Series([p]), pd.Series([1.0]))).found.difference for p in distances]
    assert roots[1] / roots[0] == pytest.approx(2, rel=0.15)
    assert roots[2] / roots[0] == pytest.approx(3, rel=0.25)
