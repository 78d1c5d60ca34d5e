"""Kinds of suites: how their metrics are evaluated, and that no kind knows of another."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from palimpsest.benchmarks import kinds
from palimpsest.benchmarks.suites import SETTINGS, SHARED, AnySuite, load, module_name, scoring_modules
from palimpsest.evaluation.metric import Against, Metric, score
from palimpsest.metrics.intervals import Interval
from palimpsest.provenance.digest import code_closure
from palimpsest.selection.settings import AIMS, SelectionRule

KINDS = (*kinds.having("scores"), *SHARED)


def numbers(metrics: list[Metric], against: Against[Any] | None = None, **more: Any) -> dict[str, float]:
    return dict(score(metrics, [1.0, 2.0, 3.0], against or Against(), **more))


def test_a_metric_takes_what_it_needs_and_is_left_out_without() -> None:
    metrics = [
        Metric("total", sum),
        Metric("excess", lambda items, retrain: sum(items) - sum(retrain), needs="retrain"),
        Metric("floor", lambda items, others: min(map(sum, others)), needs="other_retrains"),
        Metric("against", lambda items, published: published.get("total"), needs="published"),
    ]
    assert numbers(metrics) == {"total": 6}
    assert numbers(metrics, Against([1.0])) == {"total": 6, "excess": 5}
    assert numbers(metrics, Against(other_retrains=[[5.0], [4.0]], published={"total": 7})) == {
        "total": 6,
        "floor": 4,
        "against": 7,
    }
    assert numbers(metrics, Against(published={"other": 7})) == {"total": 6}


def test_a_metric_may_have_several_numbers_or_an_interval() -> None:
    metrics = [
        Metric("half_", lambda items: {"first": items[0], "second": items[-1]}),
        Metric("mean", lambda items: 2.0, interval=lambda items: Interval(items[0], items[-1])),
    ]
    assert numbers(metrics) == {"half_first": 1, "half_second": 3, "mean": 2, "mean_low": 1, "mean_high": 3}
    # A selection reads a few scores many times, and no interval.
    assert numbers(metrics, only={"mean"}) == {"mean": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_is_given_twice(kind: str) -> None:
    names = [metric.name for metric in load(kind, "scores").METRICS]
    assert names and len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS)
def test_editing_a_kind_reruns_no_other(kind: str) -> None:
    """The code of a stage is its own, and of the kinds of suites that the job uses."""
    others = tuple(module_name(other, "") for other in KINDS if other != kind)
    stages = {"scores": scoring_modules(kind), "select": scoring_modules(kind), "evaluate": [module_name(kind, "suite")]}
    for stage, modules in stages.items():
        closure = code_closure(f"palimpsest.stages.{stage}", *modules)
        assert set(modules) <= set(closure)
        assert not [name for name in closure if f"{name}.".startswith(others)]


def test_scoring_is_nothing_to_the_evaluation_of_models() -> None:
    closure = code_closure("palimpsest.stages.evaluate", module_name("tofu", "suite"))
    assert not {module_name("tofu", "scores"), module_name("tofu", "metrics")} & set(closure)


def test_a_selection_judges_by_scores_that_its_suite_gives() -> None:
    for kind, suite in SETTINGS.items():
        metrics = load(kind, "scores").METRICS
        given = {metric.name for metric in metrics}
        assert {aim.metric for aim in suite.aims or ()} <= given
        assert {name for metric in metrics for name in metric.compares_with} - {"published"} == set(suite.compares_with)
    assert all(SelectionRule(maximise=name).aims is aims for name, aims in AIMS.items())


def test_a_suite_is_told_by_its_kind() -> None:
    suites = TypeAdapter(dict[str, AnySuite])
    few = {"kind": "tofu", "max_items": 4}
    assert suites.validate_python({"few": few})["few"] == SETTINGS["tofu"].model_validate(few)
    with pytest.raises(
        ValidationError,
        match="does not match any of the expected tags: 'documents', 'lume', 'muse', 'rwku', 'tofu', 'depth', 'lm-eval'",
    ):
        suites.validate_python({"few": {"kind": "none"}})
