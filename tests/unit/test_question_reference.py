"""A reference that is partly random: which models are compared, and verdicts that follow the numbers."""

import pytest
from question_example import answered, evidence, judged, panels, question, settings
from report_example import block, numbers

from palimpsest.report.evidence import Evidence

SHARES = {"slight": {"random_share": 0.1}, "half-random": {"random_share": 0.5}}
PLAIN = [(0.7 + seed / 100, 0.56) for seed in range(5)]
WORSE, UNAFFECTED = "NPO forgets worse with a perturbed reference", "NPO's utility is largely unaffected by a perturbed reference"


def case(tmp_path, models, entries=None):
    """`models` maps "method/variant" to forget quality and model utility, a pair a seed."""
    scores = ("forget_quality", "model_utility")
    by_seed = {name: {seed: dict(zip(scores, pair, strict=True)) for seed, pair in enumerate(of)} for name, of in models.items()}
    npo = {"default": settings(), "slight": settings(reference="slight"), "half": settings(reference="half-random")}
    study = evidence(tmp_path, numbers(by_seed), block(methods={"npo": npo, "simnpo": {"default": settings()}} | (entries or {})))
    return Evidence(study.study.model_copy(update={"references": SHARES}), study.summary)


def test_models_stand_at_their_random_shares(tmp_path):
    models = {"npo": PLAIN[:2], "npo/half": [(0.2, 0.5), (0.4, 0.52)], "npo/slight": [(0.6, 0.55), (0.8, 0.57)]}
    found = answered("reference", case(tmp_path, models | {"simnpo": [(0.9, 0.6), (0.7, 0.58)]}))
    rows = found.numbers
    means = rows[rows["metric"] == "forget_quality"].groupby("random_share")["value"].mean()
    assert means.to_dict() == pytest.approx({0.0: 0.705, 0.1: 0.7, 0.5: 0.3})
    panel = panels(found)["Forget quality"]
    assert panel.x.names == ["0 %", "10 %", "50 %"]
    assert panel.data.groupby("x")["y"].mean().tolist() == pytest.approx([0.705, 0.7, 0.3])
    # SimNPO, which reads no reference, is the level.
    assert panel.levels == {"simnpo": pytest.approx(0.8)}


@pytest.mark.parametrize(
    ("changed", "worse", "unaffected"),
    [((0.3, 0.52), "holds", "holds"), ((0.9, 0.60), "does not hold", "holds"), ((0.3, 0.3), "holds", "does not hold")],
)
def test_whether_npo_depends_on_its_reference(tmp_path, changed, worse, unaffected):
    # The claims are about the largest share.
    found = judged("reference", case(tmp_path, {"npo": PLAIN, "npo/slight": PLAIN, "npo/half": [changed] * 5}))
    assert ([each.word for each in found[WORSE]], [each.word for each in found[UNAFFECTED]]) == ([worse], [unaffected])
    assert found[WORSE][0].printed == "0.79 against 0.27"


def test_a_changed_reference_is_compared_with_the_variant_that_else_is_the_same(tmp_path):
    warm = {"loss": {"beta": 0.2}}
    npo = {"default": settings(), "warm": settings() | warm, "warm-half": settings(reference="half-random") | warm}
    models = {"npo": [(0.9, 0.6)], "npo/warm": [(0.5, 0.5)], "npo/warm-half": [(0.4, 0.4)]}
    rows = answered("reference", case(tmp_path, models, entries={"npo": npo})).numbers
    assert set(rows.loc[rows["random_share"] == 0, "variant"]) == {"warm"}


def test_each_line_has_its_plain_variant_and_references_of_one_share_are_told_apart(tmp_path):
    cold = {"loss": {"beta": 0.2}}
    npo = {"default": settings(), "cold": settings() | cold, "cold-half": settings(reference="half-random") | cold}
    npo |= {"half": settings(reference="half-random"), "other": settings(reference="other")}
    values = {"npo": 0.8, "npo/half": 0.7, "npo/other": 0.3, "npo/cold": 0.2, "npo/cold-half": 0.1}
    of = case(tmp_path, {name: [(value, value)] * 5 for name, value in values.items()}, entries={"npo": npo})
    references = SHARES | {"other": {"random_share": 0.5, "seed": 1}}
    found = answered("reference", Evidence(of.study.model_copy(update={"references": references}), of.summary))
    assert dict(
        zip(found.table["Method"] + " " + found.table["Random share"], found.table["Model utility"].str[:3], strict=True)
    ) == {
        "NPO 0 %": "0.8",
        "NPO 50 %, seed 0": "0.7",
        "NPO 50 %, seed 1": "0.3",
        "NPO cold 0 %": "0.2",
        "NPO cold 50 %": "0.1",
    }
    lines = panels(found)["Model utility"].data.groupby(["variant", "x"])["y"].mean()
    assert lines.to_dict() == pytest.approx({("default", 0): 0.8, ("default", 1): 0.5, ("cold", 0): 0.2, ("cold", 1): 0.1})


def test_without_a_changed_reference_there_is_no_answer(tmp_path):
    assert question("reference").answer(case(tmp_path, {"npo": PLAIN})) is None
    assert question("reference").answer(case(tmp_path / "alone", {"npo/half": PLAIN})) is None
