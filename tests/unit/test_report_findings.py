"""The sentences of the report say what the numbers say, whatever that is."""

from copy import deepcopy

import pytest
from report_example import CHOSEN, PLAIN, SELECTION, block, clean, numbers

from palimpsest.report.findings import choices_made, findings, models_compared
from palimpsest.report.tables import table1


def said(models, **changes):
    (table,) = table1(clean(numbers(models)), [block(**changes)], {})
    return " ".join(findings(table))


def with_value(method, metric, value):
    models = deepcopy(PLAIN)
    for metrics in models[method].values():
        metrics[metric] = value
    return models


def test_simnpo_below_npo_is_said():
    assert "Against NPO, SimNPO has a lower forget quality (0.45 against 0.70, in every seed)" in said(PLAIN)
    assert "and a higher model utility (0.560 against 0.520, in every seed)." in said(PLAIN)


def test_simnpo_above_npo_is_said():
    assert "Against NPO, SimNPO has a higher forget quality (0.90 against 0.70, in every seed)" in said(
        with_value("simnpo", "forget_quality", 0.9)
    )


def test_seeds_that_disagree_are_not_called_unanimous():
    models = with_value("simnpo", "forget_quality", 0.75)
    assert "a higher forget quality (0.75 against 0.70) and" in said(models)


def test_npo_alone_is_compared_with_nothing():
    assert "SimNPO" not in said({name: PLAIN[name] for name in ("original", "retrain", "npo", "ga")})


def test_the_best_are_named_with_what_they_cost():
    text = said(PLAIN)
    assert "The highest forget quality is that of NPO: 0.70, at a model utility of 0.520." in text
    assert "The highest model utility is that of SimNPO: 0.560, at a forget quality of 0.45." in text


def test_a_collapsed_model_is_called_by_name():
    assert "Less than half of Original's model utility of 0.610 is left to GA (0.000)." in said(PLAIN)
    assert "Less than half" not in said(with_value("ga", "model_utility", 0.4))


@pytest.mark.parametrize(
    ("npo", "text"),
    [
        (0.7, "A mean forget quality above 0.05, not told apart from Retrain at that level: NPO and SimNPO."),
        (0.01, "A mean forget quality above 0.05, not told apart from Retrain at that level: SimNPO."),
    ],
)
def test_who_is_told_apart_from_retrain(npo, text):
    assert text in said(with_value("npo", "forget_quality", npo))


def test_none_above_the_level():
    models = {name: PLAIN[name] for name in ("original", "retrain", "ga")}
    assert "No mean forget quality is above 0.05" in said(models)


def test_many_variants_are_counted_not_listed():
    variants = {f"simnpo/beta-{i}": {0: {"forget_quality": 0.5 + i / 100}} for i in range(24)}
    text = said(PLAIN | variants)
    assert "A mean forget quality above 0.05 is that of 26 of 27 unlearned models." in text
    assert len(text) < 1200


def test_the_regime_of_the_paper_is_checked():
    assert "Original and Retrain stand as LLaMA-2-7B does" in said(PLAIN)
    text = said(with_value("retrain", "forget_probability", 0.009))
    assert "not the regime of LLaMA-2-7B in the paper: Retrain's forget probability is 0.009 (there 0.1 to 0.3)" in text


def test_few_numbers_give_few_sentences():
    assert said({"npo": {0: {"forget_rouge": 0.5}}}) == ""


def test_what_was_compared():
    (table,) = table1(clean(numbers(PLAIN | {"npo/beta-1": {0: {"model_utility": 0.5}}})), [block()], {})
    assert models_compared(table) == "GA, NPO and SimNPO unlearned forget05 from tiny in 4 variants, over up to 2 seeds."
    (table,) = table1(clean(numbers(PLAIN)), [block()], {})
    assert models_compared(table) == "GA, NPO and SimNPO unlearned forget05 from tiny, over 2 seeds."
    (table,) = table1(clean(numbers({"npo": {0: {"model_utility": 0.5}}})), [block(seeds=[0])], {})
    assert models_compared(table) == "NPO unlearned forget05 from tiny, over 1 seed."


def test_the_chosen_variant_speaks_for_its_method():
    text = said(PLAIN | {"simnpo/chosen": {seed: {"forget_quality": 0.9, "model_utility": 0.5} for seed in (0, 1)}})
    assert "Against NPO, SimNPO (chosen) has a higher forget quality (0.90 against 0.70, in every seed)" in text


@pytest.mark.parametrize(
    ("selection", "verdict"),
    [
        ({}, "the very questions that are scored here, and the seeds overlap"),
        ({"seeds": [7, 8]}, "the very questions that are scored here, with other seeds"),
        ({"split": "forget05"}, "the very questions that are scored here"),
        ({"split": "forget10"}, "another split than the one scored here"),
        ({"benchmark": "other", "split": "forget05"}, "another benchmark than the one scored here"),
    ],
)
def test_a_choice_made_on_what_is_scored_is_called_so(selection, verdict):
    (text,) = choices_made(block(methods={"npo": {"chosen": CHOSEN}}, selections={"npo": SELECTION | selection}))
    assert text.startswith("NPO (chosen) was chosen for the highest forget quality among the trials and epochs that keep 95% ")
    assert verdict in text
    assert ("the best that a search found" in text) == ("very questions" in verdict)


def test_a_choice_among_trials_of_texts_is_called_by_its_scores():
    selections = {"npo": SELECTION | {"maximise": "privacy", "benchmark": "muse-news", "split": "forget"}}
    (text,) = choices_made(block(methods={"npo": {"chosen": CHOSEN}}, selections=selections))
    assert (
        "chosen for the smallest |PrivLeak| among the trials and epochs that keep 95% of Original's KnowMem of the retain" in text
    )


def test_methods_chosen_alike_share_a_sentence():
    methods = {name: {"chosen": CHOSEN} for name in ("simnpo", "npo", "ga")}
    selections = {"simnpo": SELECTION, "npo": SELECTION, "ga": SELECTION | {"epochs": "last", "maximise": "model_utility"}}
    texts = choices_made(block(methods=methods, selections=selections))
    assert [text.partition(" chosen for")[0] for text in texts] == ["GA (chosen) was", "NPO (chosen) and SimNPO (chosen) were"]
    assert "the highest model utility among the trials that keep" in texts[0]


def test_a_choice_that_no_model_came_of_is_not_mentioned():
    assert choices_made(block(selections={"npo": SELECTION})) == []
