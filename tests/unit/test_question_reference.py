"""A reference that is partly random: whose models are compared with which, and sentences that follow the numbers."""

import pytest
from question_example import answered, evidence, settings
from report_example import block, numbers

from palimpsest.report.evidence import Evidence
from palimpsest.report.questions import reference

SHARES = {"slight": {"random_share": 0.1}, "half-random": {"random_share": 0.5}}
PLAIN = [(0.7, 0.56), (0.9, 0.58)]


def case(tmp_path, models, entries=None):
    """`models` maps "method/variant" to forget quality and model utility, a pair a seed."""
    by_seed = {
        name: {seed: {"forget_quality": quality, "model_utility": utility} for seed, (quality, utility) in enumerate(of)}
        for name, of in models.items()
    }
    npo = {"default": settings(), "slight": settings(reference="slight"), "half": settings(reference="half-random")}
    study = evidence(tmp_path, numbers(by_seed), block(methods={"npo": npo, "simnpo": {"default": settings()}} | (entries or {})))
    return Evidence(study.study.model_copy(update={"references": SHARES}), study.summary)


def said(tmp_path, models, **entries):
    return " ".join(answered(reference.answer, case(tmp_path, models, **entries)).findings)


def test_models_stand_at_their_random_shares(tmp_path):
    models = {"npo": PLAIN, "npo/half": [(0.2, 0.5), (0.4, 0.52)], "npo/slight": [(0.6, 0.55), (0.8, 0.57)]}
    rows = answered(reference.answer, case(tmp_path, models)).numbers
    means = rows[rows["metric"] == "forget_quality"].groupby("random_share")["value"].mean()
    assert means.to_dict() == pytest.approx({0.0: 0.8, 0.1: 0.7, 0.5: 0.3})


@pytest.mark.parametrize(
    ("changed", "texts"),
    [
        (
            [(0.2, 0.5), (0.4, 0.52)],
            (
                "As in the paper, NPO forgets worse where its reference is perturbed: with 50% of it random forget quality goes "
                "from 0.80 to 0.30 (paper: 0.79 to 0.27), in both seeds.",
                "As in the paper, NPO keeps less utility where its reference is perturbed: with 50% of it random model utility "
                "goes from 0.570 to 0.510 (paper: 0.57 to 0.52), in both seeds.",
            ),
        ),
        (
            [(0.9, 0.6), (0.95, 0.62)],
            ("Unlike in the paper, NPO forgets better where", "Unlike in the paper, NPO keeps more utility where"),
        ),
        (
            [(0.2, 0.5), (0.95, 0.62)],
            ("NPO forgets worse where its reference is perturbed is left open", "it holds in 1 of 2 seeds, within their spread"),
        ),
    ],
)
def test_whether_npo_depends_on_its_reference(tmp_path, changed, texts):
    text = said(tmp_path, {"npo": PLAIN, "npo/half": changed})
    assert [part for part in texts if part not in text] == []


def test_the_claim_is_about_the_largest_share_and_the_others_are_told_beside(tmp_path):
    text = said(tmp_path, {"npo": PLAIN, "npo/half": [(0.2, 0.5), (0.4, 0.52)], "npo/slight": [(0.6, 0.55), (0.94, 0.57)]})
    assert "with 50% of it random forget quality goes from 0.80 to 0.30" in text
    assert "With a reference that is 10% random, NPO's forget quality goes from 0.80 to 0.77 (in 1 of 2 seeds, within" in text


def test_where_nothing_was_forgotten_it_is_said(tmp_path):
    text = said(tmp_path, {"npo": [(1e-6, 0.5)], "npo/half": [(0.0, 0.4)]})
    assert "goes from 1.0e-06 to 0, both told apart from Retrain (paper" in text
    assert "is left open by one seed, in which it holds" in text


def test_simnpo_is_the_level_without_a_reference(tmp_path):
    text = said(tmp_path, {"npo": PLAIN, "npo/half": PLAIN, "simnpo": [(0.9, 0.6), (0.7, 0.58)]})
    assert "SimNPO, which reads no reference, has a forget quality of 0.80 and a model utility of 0.590." in text
    assert "SimNPO" not in said(tmp_path / "without", {"npo": PLAIN, "npo/half": PLAIN})


def test_a_changed_reference_is_compared_with_the_variant_that_else_is_the_same(tmp_path):
    warm = {"beta": 0.2}
    npo = {
        "default": settings(),
        "warm": settings() | {"loss": warm},
        "warm-half": settings(reference="half-random") | {"loss": warm},
    }
    models = {"npo": [(0.9, 0.6)], "npo/warm": [(0.5, 0.5)], "npo/warm-half": [(0.4, 0.4)]}
    rows = answered(reference.answer, case(tmp_path, models, entries={"npo": npo})).numbers
    assert set(rows.loc[rows["random_share"] == 0, "variant"]) == {"warm"}


def test_without_a_changed_reference_there_is_no_answer(tmp_path):
    assert reference.answer(case(tmp_path, {"npo": PLAIN})) is None
    assert reference.answer(case(tmp_path / "alone", {"npo/half": PLAIN})) is None


def test_a_suite_without_the_two_scores_is_no_place_of_the_question(tmp_path):
    of = case(tmp_path, {"npo": PLAIN, "npo/half": PLAIN})
    other = [row | {"suite": "lm-eval", "metric": "mmlu/acc"} for row in of.results.to_dict("records")]
    study = evidence(tmp_path / "both", of.results.to_dict("records") + other, *of.study.blocks)
    found = answered(reference.answer, Evidence(of.study, study.summary))
    assert set(found.numbers["suite"]) == {"tofu"}


def test_only_npo_answers_the_question(tmp_path):
    rkld = {"default": settings(), "half": settings(reference="half-random")}
    models = {"rkld": PLAIN, "rkld/half": [(0.2, 0.5), (0.4, 0.52)]}
    findings = answered(reference.answer, case(tmp_path, models, entries={"rkld": rkld})).findings
    assert findings[0] == "Whether NPO depends on its reference model is left open: it was run with one alone."
    assert findings[1].startswith(
        "With a reference that is 50% random, RKLD's forget quality goes from 0.80 to 0.30 (in both seeds)"
    )
