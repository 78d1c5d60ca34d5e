"""Sentences and figures that contradicted their numbers: each can no longer do so."""

import json
import math
from itertools import pairwise

import pandas as pd
import pytest
from question_example import answered, drawn_as, evidence, judged, methods, panels, settings, views
from report_example import block, numbers, told, watched
from text_example import rows, texts

from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel
from palimpsest.report.tables import main_tables
from palimpsest.report.vega import NEAR, nested_sizes, spec_of
from palimpsest.report.words import unbroken

SEEDS = range(5)
# After each epoch: the lowest is not the last.
COURSE = [1.0, 0.95, 0.9, 0.88, 0.85, 0.82, 0.79, 0.80, 0.82, 0.83, 0.84]


def test_a_utility_that_rises_at_the_end_does_not_keep_falling(tmp_path):
    course = [{"model_utility": value} for value in COURSE]
    of = evidence(tmp_path, watched({"npo": dict.fromkeys(SEEDS, course)}), block(methods=methods("npo")))
    answer = answered("trajectory", of)
    (row,) = answer.table.to_dict("records")
    assert (row["Model utility, lowest"], row["at the end"]) == ("0.790 (epoch 6)", "0.840")
    (verdict,) = judged("trajectory", of)["NPO's utility then recovers"]
    # Text and table have the same numbers: less than a quarter of what was lost is back.
    assert [number.partition(" ")[0] for number in verdict.numbers] == ["0.840", "0.790"]
    assert verdict.word == "does not hold"
    assert not any("keeps falling" in text for text in answer.facts)


def test_text_and_figure_on_a_reference_are_about_the_same_seeds(tmp_path):
    npo = {"default": settings(), "half": settings(reference="half-random")}
    models = {"npo": {0: {"forget_quality": 1.0}, 1: {"forget_quality": 0.16}}, "npo/half": {0: {"forget_quality": 0.99}}}
    study = evidence(tmp_path, numbers(models), block(methods={"npo": npo}))
    of = Evidence(study.study.model_copy(update={"references": {"half-random": {"random_share": 0.5}}}), study.summary)
    (verdict,) = judged("reference", of)["NPO forgets worse with a perturbed reference"]
    answer = answered("reference", of)
    shown = panels(answer)["Forget quality"].data.groupby("x")["y"].mean()
    assert verdict.numbers == ("1.00", "0.99") and shown.tolist() == [1.0, 0.99]
    assert answer.table["Forget quality"].tolist() == ["1.00", "0.99"]


def test_a_verdict_says_which_seeds_it_leaves_out(tmp_path):
    models = {"npo": {seed: {"forget_quality": 0.5} for seed in range(3)}, "simnpo": {0: {"forget_quality": 0.6}}}
    of = evidence(tmp_path, numbers(models), block(methods=methods("npo", "simnpo")))
    (verdict,) = judged("seeds", of)["SimNPO forgets better than NPO"]
    assert verdict.reason == "as claimed in 1 of 1 seed that have both numbers; 2 seeds left out; 5 are needed"


def test_an_interval_across_zero_is_not_called_remembered(tmp_path):
    ends = {"privleak_low": -73.7, "privleak_high": 126.3}
    found = rows({"ga": [(30.0, 30.0, 40.0, -15.9)]})
    found += [row | {"metric": name, "value": value} for row in found[:1] for name, value in ends.items()]
    facts = answered("muse", evidence(tmp_path, found, texts("ga"), data={"news": {"kind": "muse", "shape": "muse"}})).facts
    assert any(fact.startswith("Undecided by PrivLeak") and "GA" in fact for fact in facts)
    assert not any("remembered" in fact for fact in facts)


@pytest.mark.parametrize(("seeds", "shown"), [(2, False), (5, True)])
def test_two_seeds_have_no_bootstrap_interval(tmp_path, seeds, shown):
    models = {"npo": {seed: {"forget_quality": 0.3 + seed / 10, "model_utility": 0.5} for seed in range(seeds)}}
    answer = answered("seeds", evidence(tmp_path, numbers(models), block(methods=methods("npo"))))
    assert ("Forget quality, 95 % interval" in answer.table) == shown
    assert "of fewer than 5 seeds their range" in answer.caption


def test_an_sd_that_is_rounding_is_not_printed():
    models = {"npo": {0: {"forget_quality": 0.054}, 1: {"forget_quality": 0.054 + 7.8e-18 * 2}}}
    (table,) = main_tables(told(numbers(models)))
    assert table.rows[0].cells["forget_quality"].sd == 0.0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.003 ± 0.0033 of 5", ["0.003\xa0±\xa00.0033", "of", "5"]),
        ("mean (95 % interval", ["mean", "(95\xa0%", "interval"]),
        ("so p = 0.05, and", ["so", "p\xa0=\xa00.05,", "and"]),
    ],
)
def test_no_line_breaks_within_a_number(text, parts):
    assert unbroken(text).split(" ") == parts


def test_no_method_is_hidden_under_another_in_a_scatter():
    points = [(0.0, 0.0), (1.0, 1.0), (100.0, 0.0), (0.5, 0.0)]
    sizes = nested_sizes(points, [10.0] * 4, "abcd")
    for below in range(len(points)):
        for above in range(below + 1, len(points)):
            is_near = abs(points[below][0] - points[above][0]) + abs(points[below][1] - points[above][1]) < NEAR
            assert not is_near or sizes[below] >= sizes[above] + 3
    assert sizes[2] == 10.0
    # Of one method, whose trials may coincide, marks stay as they are.
    assert nested_sizes(points, [10.0] * 4, "aaaa") == [10.0] * 4


def test_an_axis_of_one_step_has_two_ticks():
    data = pd.DataFrame({"method": "npo", "variant": "default", "seed": 0, "x": [0, 1], "y": [0.4, 0.5]})
    (view,) = views(spec_of(Grid([("", [Panel("curves", data, x=Axis("Steps of int4"))])])))
    assert json.dumps(view).count('"values": [0, 1]') == 1


def test_coinciding_methods_are_all_seen():
    data = pd.DataFrame({"method": ["ga", "graddiff", "npo"], "variant": "default", "seed": 0, "x": 0.5, "y": 0.5})
    (view,) = views(spec_of(Grid([("", [Panel("scatter", data, x=Axis(zero=True), y=Axis(zero=True))])])))
    marks = [mark["size"] for mark in drawn_as(view, "point")]
    assert all(math.sqrt(below) > math.sqrt(above) + 2.9 for below, above in pairwise(marks))


def test_no_two_lines_have_one_style():
    variants = ["default", "kl", "noise", "warm"]
    data = pd.DataFrame(
        {"method": "npo", "variant": name, "main": name == "default", "seed": 0, "x": x, "y": 0.1 * place + 0.1 * x}
        for place, name in enumerate(variants)
        for x in range(3)
    )
    spec = spec_of(Grid([("", [Panel("curves", data, x=Axis("Epoch"))])]))
    (view,) = views(spec)
    styles = {row["line"]: (row["colour"], tuple(row["dash"])) for row in drawn_as(view, "line")}
    assert len(set(styles.values())) == len(variants)
    legend = [row["label"] for row in spec["vconcat"][-1]["data"]["values"]]
    assert legend == ["NPO", "NPO kl", "NPO noise", "NPO warm"]


def test_a_click_on_the_legend_hides_what_it_names():
    data = pd.DataFrame({"method": ["npo", "simnpo"], "variant": "default", "seed": 0, "x": 0.5, "y": [0.4, 0.5]})
    spec = spec_of(Grid([("", [Panel("scatter", data)])]))
    keys = {row["key"] for row in spec["vconcat"][-1]["data"]["values"]} - {None}
    hidden = {row["key"] for view in views(spec) for of in view["layer"] if "transform" in of for row in of["data"]["values"]}
    assert hidden == keys == {"NPO", "SimNPO"}
