"""The forget set in two halves: which models are compared, and numbers of each half as computed by hand."""

import math

import pandas as pd
import pytest
from question_example import answered, evidence, judged, methods, panels, ratios, settings
from report_example import block, numbers

from palimpsest.report.questions import halves

# Of two answers with 20 tokens the smaller id is the shorter: a and b are short, c and d long.
TOKENS = (20, 5, 20, 90)
HALF = methods("npo", "simnpo", variant="weak", start="original-half")
RETRAIN = [(1, 10, 1.0), (1, 10, 1.0), (2, 10, 1.0), (2, 10, 1.0)]
EVEN, UNEVEN = "NPO depends more on the length than SimNPO", "NPO forgets short answers worse than long ones"


def by_length(tmp_path, models, **changes):
    """`models` maps "method" or "method/variant" to forget qualities of the shorter and the longer half, a pair a seed."""
    names = ("forget_quality_shortest", "forget_quality_longest")
    rows = numbers(
        {name: {seed: dict(zip(names, of, strict=True)) for seed, of in enumerate(seeds)} for name, seeds in models.items()}
    )
    items = []
    for seed in range(max(map(len, models.values()))):
        items += ratios("retrain", [(1, tokens, 1.0) for tokens in TOKENS], seed=seed)
        for name in models:
            method, _, variant = name.partition("/")
            items += ratios(method, [(1, n, math.exp(place)) for place, n in enumerate(TOKENS)], variant or "default", seed)
    plain = methods(*(name for name in models if "/" not in name))
    return evidence(tmp_path, rows, block(**({"methods": plain} | changes)), truth_ratios=items)


def shifted(first, second):
    logs = [(1, first - 0.1), (1, first + 0.1), (2, second), (2, second)]
    return [(half, 10, math.exp(log) if log < 700 else math.inf) for half, log in logs]


def by_memory(tmp_path, shifts, seeds=1, scores=None):
    """`shifts` maps methods to the mean log truth ratio less Retrain's on the learnt and the unseen half.

    `scores` maps them to their forget quality on both and their utility.
    """
    names, scores = ("forget_quality_first_half", "forget_quality_second_half", "model_utility"), scores or {}
    metrics = {name: dict(zip(names, scores.get(name, (0.2, 0.6, 0.5)), strict=True)) for name in shifts}
    models = {f"{name}/weak": dict.fromkeys(range(seeds), metrics[name]) for name in shifts}
    items = [row for seed in range(seeds) for row in ratios("retrain", RETRAIN, seed=seed)]
    items += [row for seed in range(seeds) for name, of in shifts.items() for row in ratios(name, shifted(*of), "weak", seed)]
    return evidence(tmp_path, numbers(models), block(methods=HALF), truth_ratios=items)


def test_the_set_is_halved_by_length_then_id(tmp_path):
    rows = answered("length", by_length(tmp_path, {"npo": [(0.2, 0.6)]})).numbers.set_index(["method", "half"])
    assert rows.loc[("npo", "shortest"), "shift"] == pytest.approx((0 + 1) / 2)
    assert rows.loc[("npo", "longest"), "shift"] == pytest.approx((2 + 3) / 2)
    assert rows.loc[("npo", "longest"), "forget_quality"] == 0.6


def test_numbers_are_those_of_each_half_against_retrain(tmp_path):
    of = by_memory(tmp_path, {"npo": (-0.5, -1.0), "simnpo": (0.1, -0.2)})
    rows = answered("memorisation", of).numbers.set_index(["method", "half"])
    assert rows.loc[("npo", "first_half"), ["forget_quality", "shift"]].tolist() == pytest.approx([0.2, -0.5])
    assert rows.loc[("simnpo", "second_half"), "shift"] == pytest.approx(-0.2)
    assert rows.loc[("retrain", "second_half"), "shift"] == 0
    doubled = of.truth_ratios.assign(truth_ratio=lambda frame: frame["truth_ratio"] * (1 + (frame["method"] == "retrain")))
    doubled.to_parquet(of.summary / "truth_ratios.parquet")
    rows = answered("memorisation", type(of)(of.study, of.summary)).numbers.set_index(["method", "half"])
    assert rows.loc[("npo", "first_half"), "shift"] == pytest.approx(-0.5 - math.log(2))


def test_the_halves_are_apart_by_their_shifts_not_by_p_values(tmp_path):
    of = by_memory(tmp_path, {"npo": (-0.5, -1.0), "simnpo": (0.1, -0.2)}, seeds=5)
    (found,) = judged("memorisation", of)["NPO forgets strongly and weakly memorised data less evenly than SimNPO"]
    assert (found.word, found.numbers) == ("holds", ("0.500 ± 0.000", "0.300 ± 0.000"))
    (found,) = judged("memorisation", of)["NPO pushes weakly memorised data further from Retrain than SimNPO"]
    assert found.numbers == ("1.000 ± 0.000", "0.200 ± 0.000")


def test_a_given_retrain_of_one_seed_is_that_of_all(tmp_path):
    of = by_length(tmp_path, {"npo": [(0.2, 0.6)] * 5, "simnpo": [(0.3, 0.6)] * 5})
    ratios = of.truth_ratios
    ratios[(ratios["method"] != "retrain") | (ratios["seed"] == 0)].to_parquet(of.summary / "truth_ratios.parquet")
    given = of.study.model_copy(update={"models": {"tiny": {"original": {"name": "org/original"}}}})
    shared = type(of)(given, of.summary)
    assert [each.seeds for each in judged("length", shared)[EVEN]] == [5]
    pd.testing.assert_series_equal(*(answered("length", each).numbers.query("method == 'npo'")["shift"] for each in (shared, of)))


def test_halves_that_only_rounding_tells_apart_are_alike(tmp_path):
    of = by_memory(tmp_path, {"npo": (-0.3, -0.3), "simnpo": (0.1, 0.1)}, seeds=5)
    (found,) = judged("memorisation", of)["NPO forgets strongly and weakly memorised data less evenly than SimNPO"]
    assert (found.word, found.numbers) == ("undecided", ("0.000 ± 0.000", "0.000 ± 0.000"))


def test_a_p_value_that_is_the_level_has_no_spread(tmp_path):
    of = by_memory(tmp_path, {"npo": (-0.5, -1.0)}, seeds=3)
    (found,) = judged("memorisation", of)["NPO fails on strongly memorised data (FQ near 0)"]
    assert found.numbers == ("0.05 ± 0.000", "0.20 ± 0.00")


@pytest.mark.parametrize(
    ("npo", "simnpo", "words"),
    [
        # Table A2: NPO fails on the learnt half, SimNPO is better on both, and keeps more utility.
        ((0.001, 0.4, 0.5), (0.7, 0.6, 0.6), ["holds"] * 4),
        ((0.7, 0.4, 0.6), (0.2, 0.6, 0.5), ["does not hold", "does not hold", "holds", "does not hold"]),
        ((0.001, 0.6, 0.5), (0.002, 0.4, 0.5), ["holds", "holds", "does not hold", "undecided"]),
    ],
)
def test_the_four_claims_of_the_table_on_memorisation(tmp_path, npo, simnpo, words):
    of = by_memory(tmp_path, {"npo": (-0.5, -1.0), "simnpo": (0.1, -0.2)}, 5, {"npo": npo, "simnpo": simnpo})
    found = {text: each for text, (each,) in judged("memorisation", of).items() if each.claim.source == "Table A2"}
    assert list(found) == [
        "NPO fails on strongly memorised data (FQ near 0)",
        "SimNPO forgets strongly memorised data better than NPO",
        "SimNPO forgets weakly memorised data better than NPO",
        "SimNPO keeps more utility than NPO there",
    ]
    assert [each.word for each in found.values()] == words


def test_a_collapsed_model_has_numbers(tmp_path):
    found = answered("memorisation", by_memory(tmp_path, {"npo": (-800.0, 800.0)})).numbers
    # Ratios of 0 and infinity count as far out, on their side, not as none.
    assert found[found["method"] == "npo"]["log_truth_ratio"].round().tolist() == [-691, 691]


@pytest.mark.parametrize(("short", "long", "word"), [(0.4, 0.7, "holds"), (0.7, 0.4, "does not hold")])
def test_which_half_npo_forgets_worse(tmp_path, short, long, word):
    (found,) = judged("length", by_length(tmp_path, {"npo": [(short, long)] * 5}))[UNEVEN]
    assert found.word == word


def test_one_method_alone_is_compared_with_nothing(tmp_path):
    assert judged("length", by_length(tmp_path, {"npo": [(0.4, 0.7)]})).keys() == {UNEVEN}


def test_the_selected_variant_is_shown_and_no_odd_one(tmp_path):
    variants = {"default": settings(), "selected": settings(), "noisy": settings(reference="noisy")}
    models = {"npo": [(0.1, 0.1)], "npo/selected": [(0.3, 0.6)], "npo/noisy": [(0.2, 0.2)]}
    found = answered("length", by_length(tmp_path, models, methods={"npo": variants}))
    assert set(zip(found.numbers["method"], found.numbers["variant"], strict=True)) == {("npo", "selected"), ("retrain", "")}
    assert "NPO (selected)" in found.caption
    assert found.table["Forget quality, shorter"].tolist() == ["0.30"]
    assert set(panels(found)["The longer half"].data["variant"]) == {"selected", ""}


def test_no_answer_without_both_halves_or_without_such_a_start(tmp_path):
    of = evidence(tmp_path, numbers({"npo": {0: {"forget_quality": 0.5}}}), block(methods=methods("npo")))
    assert list(halves.halved(of, halves.LENGTHS)) == []
    plain = by_memory(tmp_path / "plain", {"npo": (0.0, 0.0)})
    blocks = [block(methods=methods("npo", variant="weak"))]
    assert (
        list(halves.halved(type(plain)(plain.study.model_copy(update={"blocks": blocks}), plain.summary), halves.MEMORISED)) == []
    )
