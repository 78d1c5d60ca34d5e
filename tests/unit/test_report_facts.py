"""The sentences on a table say what its numbers say, whatever that is."""

from copy import deepcopy

import pytest
from report_example import PLAIN, SELECTED, SELECTION, block, numbers, told

from palimpsest.report.facts import facts, grouped, selections_made
from palimpsest.report.tables import Column, main_tables, score_tables


def said(models, **changes):
    (table,) = main_tables(told(numbers(models), block(**changes)))
    return " ".join(facts(table))


def with_value(method, metric, value):
    models = deepcopy(PLAIN)
    for metrics in models[method].values():
        metrics[metric] = value
    return models


def test_a_collapsed_model_is_called_by_name():
    assert "Less than half of Original's model utility (0.610) is left: GA (0.000)." in said(PLAIN)
    assert "Less than half" not in said(with_value("ga", "model_utility", 0.4))


@pytest.mark.parametrize(("npo", "names"), [(0.7, "NPO and SimNPO"), (0.01, "SimNPO")])
def test_which_models_cannot_be_distinguished_from_retrain(npo, names):
    assert f"(mean forget quality above 0.05): {names}." in said(with_value("npo", "forget_quality", npo))


def test_none_above_the_level():
    assert "above 0.05): none." in said({name: PLAIN[name] for name in ("original", "retrain", "ga")})


def test_many_variants_are_counted_not_listed():
    variants = {f"simnpo/beta-{i}": {0: {"forget_quality": 0.5 + i / 100}} for i in range(24)}
    text = said(PLAIN | variants)
    assert "above 0.05): 26 of 27 models." in text
    assert len(text) < 1000


def test_the_regime_of_the_paper_is_checked():
    assert "Original and Retrain stand where the paper's LLaMA-2-7B stands" in said(PLAIN)
    text = said(with_value("retrain", "forget_probability", 0.009))
    assert "Retrain's forget probability is 0.009 (there 0.1 to 0.3)" in text


def test_few_numbers_give_few_sentences():
    assert said({"npo": {0: {"forget_rouge": 0.5}}}) == ""


def test_a_group_takes_a_method_by_all_its_values_and_the_rest_is_open():
    models = {f"simnpo/{name}": dict(enumerate(of)) for name, of in {"a": ({"m": 0.2}, {"m": 0.4})}.items()}
    models |= {"npo": {0: {"m": 0.1}, 1: {"m": 0.2}}, "ga": {0: {"m": 0.4}}, "retrain": {0: {"m": 0.9}}}
    (table,) = score_tables(told(numbers(models)), [Column("m", "", "M")])
    found = grouped(table, "m", {"Above": lambda low, high: low > 0.3, "Below": lambda low, high: high < 0.3}, "Open")
    assert [*found] == ["Above: GA (0.400).", "Below: NPO (0.150).", "Open: SimNPO a (0.300)."]


@pytest.mark.parametrize(
    ("selection", "verdict"),
    [
        ({}, "the very questions that are scored here, and the seeds overlap"),
        ({"seeds": [7, 8]}, "the very questions that are scored here, with other seeds"),
        ({"split": "forget05"}, "the very questions that are scored here"),
        ({"split": "forget10"}, "another split than the one scored here"),
        ({"benchmarks": ["other"], "split": "forget05"}, "Nothing of that is scored here"),
    ],
)
def test_a_selection_made_on_what_is_scored_is_called_so(selection, verdict):
    (text,) = selections_made(block(methods={"npo": {"selected": SELECTED}}, selections={"npo": SELECTION | selection}))
    assert text.startswith(
        "NPO (selected) was selected for the highest forget quality among the trials and epochs that keep 95% "
    )
    assert verdict in text
    assert ("the best that a search found" in text) == ("very questions" in verdict)


def test_a_selection_among_trials_of_texts_is_called_by_its_scores():
    selections = {"npo": SELECTION | {"maximise": "privacy", "benchmark": "muse-news", "split": "forget"}}
    (text,) = selections_made(block(methods={"npo": {"selected": SELECTED}}, selections=selections))
    assert (
        "selected for the smallest |PrivLeak| among the trials and epochs that keep 95% of Original's KnowMem of the retain"
        in text
    )


def test_methods_selected_alike_share_a_sentence():
    methods = {name: {"selected": SELECTED} for name in ("simnpo", "npo", "ga")}
    selections = {"simnpo": SELECTION, "npo": SELECTION, "ga": SELECTION | {"epochs": "last", "maximise": "model_utility"}}
    texts = selections_made(block(methods=methods, selections=selections))
    assert [text.partition(" selected for")[0] for text in texts] == [
        "GA (selected) was",
        "NPO (selected) and SimNPO (selected) were",
    ]
    assert "the highest model utility among the trials that keep" in texts[0]


def test_a_selection_that_no_model_came_of_is_not_mentioned():
    assert selections_made(block(selections={"npo": SELECTION})) == []
