"""Which answers are unlearned fast: numbers of each model as computed by hand, and verdicts that follow them."""

import math

import pytest
from question_example import answered, drawn, evidence, judged, losses, methods, panels, question, settings
from report_example import block, numbers

TOKENS = [10, 20, 40]
LONG, LESS = "NPO unlearns long answers faster", "The length matters less to SimNPO's speed"


def nlls(*speeds, epochs=4):
    """NLLs by epoch of answers that are half as probable after one over `speeds` epochs."""
    return [[2.0 + math.log(2) * speed * epoch for speed in speeds] for epoch in range(epochs)]


FAST, EVEN, REVERSED, NEVER = nlls(1, 2, 4), nlls(1, 1, 1), nlls(4, 2, 1), nlls(2, 1, 0)


def case(tmp_path, models, seeds=1, **changes):
    rows = [row for name, of in models.items() for seed in range(seeds) for row in losses(name, TOKENS, of, seed)]
    plain = methods(*(name for name in models if "/" not in name))
    return evidence(tmp_path, numbers({}), block(**({"methods": plain} | changes)), losses=rows)


def test_numbers_and_points_are_those_of_hand(tmp_path):
    of = case(tmp_path, {"npo": FAST, "simnpo": EVEN}, seeds=2)
    found = answered("speed", of)
    rows = found.numbers.set_index(["method", "seed"])
    npo = rows.loc[("npo", 1), ["answers", "halved", "median_epochs", "length_exponent"]]
    assert npo.tolist() == pytest.approx([3, 3, 0.5, 1])
    assert rows.loc[("simnpo", 0), "length_exponent"] == pytest.approx(0)
    data = panels(found)["NPO"].data
    assert (data["x"].tolist(), data["y"].tolist()) == (TOKENS, pytest.approx([1, 0.5, 0.25]))
    assert found.table["Answers that become half as probable"].tolist() == ["6 of 6", "6 of 6"]
    drawn("speed", of)


@pytest.mark.parametrize(
    ("npo", "simnpo", "long", "less"),
    [
        (FAST, EVEN, "holds", "holds"),
        (EVEN, FAST, "undecided", "does not hold"),
        (REVERSED, EVEN, "does not hold", "holds"),
        (FAST, FAST, "holds", "undecided"),
        # Two answers of three say nothing of the third.
        (NEVER, EVEN, "undecided", "undecided"),
    ],
)
def test_whether_length_matters(tmp_path, npo, simnpo, long, less):
    found = judged("speed", case(tmp_path, {"npo": npo, "simnpo": simnpo}, seeds=5))
    assert [[each.word for each in found[claim]] for claim in (LONG, LESS)] == [[long], [less]]
    assert {each.claim.source for of in found.values() for each in of} == {"App. G"}


def test_a_method_that_forgets_too_little_is_named(tmp_path):
    found = judged("speed", case(tmp_path, {"npo": NEVER, "simnpo": EVEN}, seeds=5))
    reason = "NPO left more than 10% of the answers above half their probability"
    assert [each.reason for claim in (LONG, LESS) for each in found[claim]] == [reason] * 2


def test_the_default_is_shown_and_no_trial_and_no_single_epoch(tmp_path):
    variants = {"default": settings(), "weak": settings(start="original-half")}
    trials = {"npo": {"beta-1": settings()}}
    models = {"npo": FAST, "npo/beta-1": EVEN, "npo/weak": EVEN, "ga": nlls(1, 1, 1, epochs=1)}
    found = answered("speed", case(tmp_path, models, methods={"npo": variants} | methods("ga"), trials=trials))
    assert set(zip(found.numbers["method"], found.numbers["variant"], strict=True)) == {("npo", "default")}


def test_without_trajectories_there_is_no_answer(tmp_path):
    assert question("speed").answer(case(tmp_path, {})) is None
