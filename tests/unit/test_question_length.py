"""Short and long answers: who is compared, how the set is halved, and sentences that follow the numbers."""

import math

import pytest
from question_example import answered, evidence, methods, ratios, settings
from report_example import block, numbers

from palimpsest.report.questions import length

# Of two answers with 20 tokens the smaller id is the shorter: a and b are short, c and d long.
TOKENS = {"a": 20, "b": 5, "c": 20, "d": 90}


def case(tmp_path, models, **changes):
    """`models` maps "method" or "method/variant" to forget qualities of the shorter and the longer half, a pair a seed."""
    rows = numbers(
        {
            name: {
                seed: {"forget_quality_shortest": short, "forget_quality_longest": long} for seed, (short, long) in enumerate(of)
            }
            for name, of in models.items()
        }
    )
    items = []
    for seed in range(max(len(of) for of in models.values())):
        items += ratios("retrain", [(1, tokens, 1.0) for tokens in TOKENS.values()], seed=seed)
        for name in models:
            method, _, variant = name.partition("/")
            by_item = [(1, tokens, math.exp(place)) for place, tokens in enumerate(TOKENS.values())]
            items += ratios(method, by_item, variant or "default", seed)
    plain = methods(*(name for name in models if "/" not in name))
    return evidence(tmp_path, rows, block(**({"methods": plain} | changes)), truth_ratios=items)


def said(tmp_path, models):
    return " ".join(answered(length.answer, case(tmp_path, models)).findings)


def test_the_set_is_halved_by_length_then_id(tmp_path):
    rows = answered(length.answer, case(tmp_path, {"npo": [(0.2, 0.6)]})).numbers.set_index(["method", "half"])
    assert rows.loc[("npo", "shortest"), "shift"] == pytest.approx((0 + 1) / 2)
    assert rows.loc[("npo", "longest"), "shift"] == pytest.approx((2 + 3) / 2)
    assert rows.loc[("npo", "longest"), "forget_quality"] == 0.6


@pytest.mark.parametrize(
    ("npo", "text"),
    [
        ([(0.4, 0.7), (0.5, 0.8)], "As in the paper, NPO forgets short answers worse than long ones: forget quality 0.45 on the"),
        ([(0.7, 0.4), (0.8, 0.5)], "Unlike in the paper, NPO forgets long answers worse than short ones"),
        ([(0.4, 0.7), (0.8, 0.5)], "short answers worse than long ones is left open: forget quality 0.60 on the shorter half"),
    ],
)
def test_which_half_npo_forgets_worse_comes_first(tmp_path, npo, text):
    assert text in answered(length.answer, case(tmp_path, {"npo": npo})).findings[0]


def test_two_halves_that_both_fail_are_called_so(tmp_path):
    assert "1.0e-09 on the shorter half and 1.0e-05 on the longer, both told apart from Retrain (paper" in said(
        tmp_path, {"npo": [(1e-9, 1e-5)]}
    )


@pytest.mark.parametrize(
    ("simnpo", "text"),
    [
        ([(0.8, 0.7), (0.7, 0.9)], "As in the paper, NPO depends more on the length than SimNPO"),
        ([(0.1, 0.9), (0.2, 0.9)], "Unlike in the paper, NPO depends less on the length than SimNPO"),
        ([(0.1, 0.9), (0.9, 0.9)], "more on the length than SimNPO is left open"),
        ([(0.01, 0.001), (0.0, 0.0)], "is left open: both halves of SimNPO are told apart from Retrain"),
    ],
)
def test_who_depends_more_on_the_length(tmp_path, simnpo, text):
    assert text in said(tmp_path, {"npo": [(0.4, 0.7), (0.5, 0.8)], "simnpo": simnpo})


def test_the_chosen_variant_is_shown_and_no_odd_one(tmp_path):
    variants = {"default": settings(), "chosen": settings(), "noisy": settings(reference="noisy")}
    models = {"npo": [(0.1, 0.1)], "npo/chosen": [(0.3, 0.6)], "npo/noisy": [(0.2, 0.2)]}
    found = answered(length.answer, case(tmp_path, models, methods={"npo": variants}))
    assert set(zip(found.numbers["method"], found.numbers["variant"], strict=True)) == {("npo", "chosen"), ("retrain", "")}
    assert "NPO (chosen)" in found.caption
    assert found.table["Forget quality, shorter"].tolist() == ["0.30"]


def test_many_methods_have_all_their_names(tmp_path):
    names = ["ga", "graddiff", "w-graddiff", "idk", "dpo-idk", "npo", "simnpo", "rkld", "task-vector", "rmu"]
    found = answered(length.answer, case(tmp_path, {name: [(0.2, 0.6), (0.0, 1.0)] for name in names}))
    quality = found.figure.subfigs[0].axes[0]
    assert len({label.get_text() for label in quality.get_xticklabels()}) == len(names) == len(found.table)
    assert "RMU" not in found.findings[-1] and "SimNPO" in found.findings[-1]


def test_no_answer_without_the_halves(tmp_path):
    of = evidence(tmp_path, numbers({"npo": {0: {"forget_quality": 0.5}}}), block(methods=methods("npo")))
    assert length.answer(of) is None
