"""SimNPO against NPO over seeds: means, intervals and tests as computed by hand."""

import math

import pytest
from question_example import answered, evidence, judged, methods, panels, question
from report_example import block, numbers


def case(tmp_path, models, *blocks, split="forget05"):
    """`models` maps a method to forget qualities, one a seed."""
    by_seed = {
        name: {seed: {"forget_quality": quality, "model_utility": 0.5} for seed, quality in enumerate(of)}
        for name, of in models.items()
    }
    return evidence(tmp_path, numbers(by_seed, split=split), *(blocks or [block(methods=methods(*models))]))


LOW, HIGH = (0.2, 0.3, 0.1, 0.2, 0.3, 0.1), (0.6, 0.9, 0.4, 0.5, 0.8, 0.7)
BETTER, KEEPS = "SimNPO forgets better than NPO", "SimNPO keeps more utility than NPO"


def test_means_and_spreads_are_those_of_the_seeds(tmp_path):
    rows = answered("seeds", case(tmp_path, {"npo": [0.1, 0.3], "simnpo": [0.5, 0.9]})).numbers
    rows = rows[rows["metric"] == "forget_quality"].set_index(["method", "less"])
    assert rows.loc[("npo", ""), ["mean", "sd", "low", "high"]].tolist() == pytest.approx([0.2, 0.02**0.5, 0.1, 0.3])
    # A t with one degree of freedom, whose p-value is an arctangent, of the roots of the decades as in the claims.
    paired = rows.loc[("simnpo", "npo"), ["mean", "sd", "p_higher", "p_lower", "higher"]].tolist()
    one, other = (math.sqrt(-math.log10(npo)) - math.sqrt(-math.log10(simnpo)) for npo, simnpo in ((0.1, 0.5), (0.3, 0.9)))
    p_value = 0.5 - math.atan((one + other) / abs(one - other)) / math.pi
    assert paired == pytest.approx([(one + other) / 2, abs(one - other) / 2**0.5, p_value, 1 - p_value, 2])


@pytest.mark.parametrize(
    ("npo", "simnpo", "word"),
    [(LOW, HIGH, "holds"), (HIGH, LOW, "does not hold"), (LOW[:3], HIGH[:3], "undecided"), (LOW, LOW, "undecided")],
)
def test_the_verdict_follows_the_seeds(tmp_path, npo, simnpo, word):
    found = judged("seeds", case(tmp_path, {"npo": npo, "simnpo": simnpo}))
    assert [each.word for each in found[BETTER]] == [word]
    assert [each.word for each in found[KEEPS]] == ["undecided"]


def test_the_reason_has_the_difference_and_its_test(tmp_path):
    (found,) = judged("seeds", case(tmp_path, {"npo": LOW, "simnpo": HIGH}))[BETTER]
    assert found.reason.startswith("mean difference +0.42 in the root of the decades (95 % interval +0.3 to +0.55), p = ")
    assert found.reason.endswith(", corrected 2.7e\N{MINUS SIGN}04, as claimed in 6 of 6 seeds")


def test_what_the_size_of_the_study_can_show_is_said(tmp_path):
    facts = answered("seeds", case(tmp_path, {"npo": LOW, "simnpo": HIGH})).facts
    assert any(
        "With 6 seeds, a claim holds in 80% of studies if the true difference is 1.2 times its sd" in fact for fact in facts
    )
    few = answered("seeds", case(tmp_path / "few", {"npo": LOW[:3], "simnpo": HIGH[:3]})).facts
    assert not any("seeds, a claim holds" in fact for fact in few)


def test_one_seed_says_nothing_and_has_no_interval(tmp_path):
    found = answered("seeds", case(tmp_path, {"npo": [0.2], "simnpo": [0.9]}))
    assert "Forget quality, 95 % interval" not in found.table
    assert "seed by seed" not in panels(found)


def test_fewer_than_five_seeds_have_a_range_and_no_interval(tmp_path):
    few, many = (answered("seeds", case(tmp_path / name, {"npo": of})) for name, of in (("few", LOW[:4]), ("many", LOW)))
    assert "Forget quality, 95 % interval" not in few.table
    assert few.numbers.iloc[0][["low", "high"]].tolist() == [0.1, 0.3]
    assert many.table["Forget quality, 95 % interval"].tolist()[0].startswith("0.1")
    assert many.numbers.iloc[0]["low"] > 0.1


def test_pairs_are_drawn_seed_by_seed(tmp_path):
    shown = panels(answered("seeds", case(tmp_path, {"npo": [0.2, 0.3], "simnpo": [0.9, 0.8], "ga": [0.0, 0.0]})))
    pairs = shown["seed by seed"].data.pivot_table(index="seed", columns="x", values="y")
    assert pairs.to_numpy().tolist() == [[0.2, 0.9], [0.3, 0.8]]
    assert set(shown["Forget quality"].data["method"]) == {"ga", "npo", "simnpo"}


def test_without_simnpo_the_others_are_shown_and_nothing_compared(tmp_path):
    of = case(tmp_path, {"npo": [0.2, 0.3], "ga": [0.0, 0.0]})
    assert judged("seeds", of) == {}
    assert set(answered("seeds", of).table["Method"]) == {"NPO", "GA"}


def test_each_block_has_a_verdict_under_its_title(tmp_path):
    both = methods("npo", "simnpo")
    models = {name: {seed: {"forget_quality": 0.1 * (seed + 1)} for seed in (0, 1)} for name in both}
    rows = numbers(models) + numbers(models, split="forget10")
    study = evidence(tmp_path, rows, block(methods=both), block(methods=both, split="forget10"))
    assert [each.title for each in judged("seeds", study)[BETTER]] == ["tofu / forget05 / tiny", "tofu / forget10 / tiny"]


def test_without_scores_there_is_no_answer(tmp_path):
    assert question("seeds").answer(evidence(tmp_path, numbers({"npo": {0: {"forget_rouge": 0.5}}}))) is None
