"""The numbers of the report's tables, against numbers computed by hand."""

import csv
import math

import pytest
from report_example import (
    PLAIN,
    SELECTED,
    UNLEARN,
    attacked,
    best_of,
    block,
    clean,
    numbers,
    published_of,
    told,
    watched,
)

from palimpsest.report.names import model_label, model_order
from palimpsest.report.rows import main_models
from palimpsest.report.tables import (
    Cell,
    Column,
    attacked_tables,
    lm_eval_tables,
    main_tables,
    numbers_of,
    score_tables,
    wide_numbers,
)
from palimpsest.report.words import MINUS, format_quality
from palimpsest.scores.remarks import as_table

PUBLISHED = {"tofu/forget05/tiny": {"simnpo": {"forget_quality": 0.99}, "original": {"model_utility": 0.62}}}


def test_table1_has_mean_and_sd_over_seeds():
    (table,) = main_tables(told(numbers(PLAIN)))
    assert [row.label for row in table.rows] == ["Original", "Retrain", "GA", "NPO", "SimNPO"]
    assert [column.key for column in table.columns] == ["forget_quality", "model_utility", "forget_probability"]
    cell = table.standing["npo"].cells["forget_quality"]
    assert cell.mean == pytest.approx(0.7, abs=1e-15)
    assert cell.sd == pytest.approx(math.sqrt(0.02), abs=1e-15)
    assert table.standing["original"].cells["forget_quality"].mean == pytest.approx(2e-20)
    assert table.value("retrain", "forget_quality_floor") == pytest.approx(0.85)


def test_the_best_is_the_highest_or_on_the_forget_set_the_nearest_to_retrain():
    (table,) = main_tables(told(numbers(PLAIN)))
    # Retrain's forget probability is 0.16; NPO's 0.11 and SimNPO's 0.21 are as near as each other but for rounding.
    assert best_of(table) >= {("NPO", "forget_quality"), ("SimNPO", "model_utility")}
    nearer = PLAIN | {"idk": {0: {"forget_probability": 0.17}}}
    (table,) = main_tables(told(numbers(nearer)))
    assert best_of(table) == {("NPO", "forget_quality"), ("SimNPO", "model_utility"), ("IDK", "forget_probability")}


def test_values_that_print_alike_are_marked_alike():
    models = {
        "npo": {0: {"model_utility": 0.50004}},
        "simnpo": {0: {"model_utility": 0.49996}},
        "ga": {0: {"model_utility": 0.1}},
    }
    (table,) = main_tables(told(numbers(models)))
    assert best_of(table) == {("NPO", "model_utility"), ("SimNPO", "model_utility")}


def test_original_and_retrain_never_compete():
    models = {"original": {0: {"model_utility": 0.9}}, "npo": {0: {"model_utility": 0.2}}, "ga": {0: {"model_utility": 0.1}}}
    (table,) = main_tables(told(numbers(models)))
    assert best_of(table) == {("NPO", "model_utility")}


@pytest.mark.parametrize(
    "models",
    [
        pytest.param({"npo": {0: {"model_utility": 0.2}}}, id="one model"),
        pytest.param({"npo": {0: {"forget_quality": 0.0}}, "ga": {0: {"forget_quality": 0.0}}}, id="all alike"),
        pytest.param({"npo": {0: {"forget_rouge": 0.1}}, "ga": {0: {"forget_rouge": 0.2}}}, id="no Retrain to be near to"),
    ],
)
def test_no_best_where_there_is_nothing_to_win(models):
    (table,) = main_tables(told(numbers(models)))
    assert best_of(table) == set()


def test_equal_winners_share():
    models = {name: {0: {"model_utility": value}} for name, value in (("ga", 0.1), ("npo", 0.5), ("simnpo", 0.5))}
    (table,) = main_tables(told(numbers(models)))
    assert best_of(table) == {("NPO", "model_utility"), ("SimNPO", "model_utility")}


def test_published_values_stand_only_where_benchmark_split_and_model_match():
    other = block(split="forget10")
    rows = numbers(PLAIN) + numbers(PLAIN, split="forget10")
    ours, others = main_tables(told(rows, block(), other, published=PUBLISHED))
    assert published_of(ours) == {("SimNPO", "forget_quality"): 0.99, ("Original", "model_utility"): 0.62}
    assert published_of(others) == {}


def test_published_values_stand_at_the_default_variant_or_the_only_one():
    metrics = {0: {"forget_quality": 0.5}}
    (table,) = main_tables(told(numbers({"simnpo/beta-1": metrics, "simnpo": metrics}), published=PUBLISHED))
    assert published_of(table) == {("SimNPO", "forget_quality"): 0.99}
    (table,) = main_tables(told(numbers({"simnpo/beta-1": metrics}), published=PUBLISHED))
    assert published_of(table) == {("SimNPO beta-1", "forget_quality"): 0.99}
    (table,) = main_tables(told(numbers({"simnpo/beta-1": metrics, "simnpo/beta-2": metrics}), published=PUBLISHED))
    assert published_of(table) == {}


def test_every_suite_has_its_own_table():
    rows = numbers(PLAIN) + numbers({"npo": {0: {"model_utility": 0.3}}}, suite="tofu-300")
    full, capped = main_tables(told(rows))
    assert (full.title, capped.title) == ("tofu / forget05 / tiny", "tofu / forget05 / tiny / tofu-300")
    assert capped.value("npo", "model_utility") == 0.3
    assert full.value("npo", "model_utility") == pytest.approx(0.52)


def test_a_suite_that_only_references_met_has_no_table_beside_another():
    quick = numbers({name: PLAIN[name] for name in ("original", "retrain")}, suite="quick")
    assert [table.suite for table in main_tables(told(numbers(PLAIN) + quick))] == ["tofu"]
    assert [table.suite for table in main_tables(told(quick))] == ["quick"]


def test_numbers_that_are_none_are_left_out():
    models = {"npo": {0: {"model_utility": math.nan, "forget_quality": 0.5}, 1: {"model_utility": math.inf}}}
    (table,) = main_tables(told(numbers(models)))
    assert [column.key for column in table.columns] == ["forget_quality"]
    assert table.rows[0].seeds == 1


def test_a_block_without_results_has_no_table():
    assert main_tables(told([], published=PUBLISHED)) == []
    assert attacked_tables(told([])) == []
    assert lm_eval_tables(told([])) == []


def test_only_models_that_start_alike_and_read_their_start_are_in_table1():
    metrics = {0: {"forget_quality": 0.5}}
    methods = {
        "npo": {"default": UNLEARN, "half": UNLEARN | {"start": "original-half"}, "odd": UNLEARN | {"reference": "random-20"}},
        "simnpo": {"default": UNLEARN | {"start": "original", "reference": "plain"}},
    }
    models = ("original", "original-half", "retrain", "npo", "npo/half", "npo/odd", "simnpo")
    summary = numbers(dict.fromkeys(models, metrics))
    (table,) = main_tables(told(summary, block(methods=methods)))
    assert [row.label for row in table.rows] == ["Original", "Retrain", "NPO", "SimNPO"]
    assert main_models(clean([]), block()).columns.equals(clean(summary).columns)


def test_a_trajectory_is_in_no_table():
    epochs = [{"forget_quality": 0.1, "world_facts/acc": 0.2}, {"forget_quality": 0.2, "world_facts/acc": 0.3}]
    rows = watched({"npo": {0: epochs}, "simnpo/trial": {0: epochs}})
    assert len(rows) == 8
    assert main_tables(told(rows)) == []
    assert lm_eval_tables(told(rows)) == []
    (table,) = main_tables(told(numbers(PLAIN) + rows))
    assert table.value("npo", "forget_quality") == pytest.approx(0.7)
    assert [row.label for row in table.rows] == ["Original", "Retrain", "GA", "NPO", "SimNPO"]


def test_the_selected_variant_stands_for_its_method_then_the_default():
    names = ("npo/beta-1", "npo", "npo/selected", "simnpo/beta-1", "simnpo", "ga/beta-1")
    summary = numbers({name: {0: {"forget_quality": place / 10}} for place, name in enumerate(names)})
    methods = {"npo": {"beta-1": UNLEARN, "default": UNLEARN, "selected": SELECTED}}
    (table,) = main_tables(
        told(summary, block(methods=methods), published={"tofu/forget05/tiny": {"npo": {"forget_quality": 0.79}}})
    )
    assert [row.label for row in table.rows] == ["GA beta-1", "NPO (selected)", "NPO", "NPO beta-1", "SimNPO", "SimNPO beta-1"]
    assert [row.label for row in table.standing.values()] == ["GA beta-1", "NPO (selected)", "SimNPO"]
    assert (table.value("npo", "forget_quality"), table.value("ga", "forget_quality")) == (0.2, 0.5)
    assert published_of(table) == {("NPO (selected)", "forget_quality"): 0.79}


def test_an_attacked_model_stands_below_itself_and_retrain_is_the_control():
    models = {name: {0: {"forget_quality": 0.25, "forget_extra": 1.0}} for name in ("retrain", "npo")}
    rows = numbers(PLAIN) + [row | {"attack": attack} for attack in ("quantise", "prune") for row in numbers(models)]
    (table,) = attacked_tables(told(rows + attacked()))
    assert [row.label for row in table.rows] == [
        *("Retrain", "Retrain, prune", "Retrain, quantise"),
        *("NPO", "NPO, prune", "NPO, quantise"),
    ]
    assert [row.cells["forget_quality"].mean for row in table.rows] == pytest.approx([1.0, 0.25, 0.25, 0.7, 0.25, 0.25])
    assert best_of(table) == set()
    assert wide_numbers([table])["attack"].tolist() == ["", "prune", "quantise"] * 2


def test_a_metric_that_is_called_published_is_no_published_value():
    rows = numbers({"npo": {0: {"privleak_published": 3.0, "privleak": 2.0}}}, suite="muse")
    (table,) = attacked_tables(told(rows + [row | {"attack": "quantise"} for row in rows]))
    found = wide_numbers([table])
    assert found[["privleak", "privleak_published"]].to_numpy().tolist() == [[2.0, 3.0], [2.0, 3.0]]


def test_lm_eval_of_an_attacked_model_has_its_columns():
    rows = numbers({"npo": {0: {"mmlu/acc": 0.5}}}, suite="x")
    (table,) = attacked_tables(told(rows + [row | {"attack": "quantise", "value": 0.25} for row in rows]))
    assert [column.head for column in table.columns] == ["acc"]
    assert [row.cells["mmlu/acc"].mean for row in table.rows] == [0.5, 0.25]


def test_an_attack_that_gives_no_model_has_no_such_table():
    assert attacked_tables(told(numbers(PLAIN) + attacked())) == []


def test_metrics_of_a_kind_that_the_study_has_not_have_no_column():
    assert main_tables(told(numbers(PLAIN), suites={"tofu": {"kind": "muse"}})) == []


@pytest.mark.parametrize(
    ("cell", "sd"),
    [
        (Cell({0: 0.5}), None),
        (Cell({0: 0.5}, (0.1,)), 0.1),
        (Cell({0: 0.5, 1: 0.5}), 0.0),
        # What is left of draws that are alike is rounding.
        (Cell({0: 0.054}, (7.8e-18,)), None),
        (Cell({0: 0.054, 1: 0.054}, (7.8e-18, 0.0)), 0.0),
        (Cell({0: 1.0, 1: 2.0, 2: 3.0}), 1.0),
    ],
)
def test_the_sd_is_that_of_one_trial(cell, sd):
    assert cell.sd == (None if sd is None else pytest.approx(sd))


def test_a_table_has_the_notes_on_its_rows_alone():
    of = told(numbers({"npo": {0: {"forget_quality": 0.5}}}) + numbers({"simnpo": {0: {"forget_quality": 0.5}}}, suite="quick"))
    note = block().identity | {"seed": 0, "variant": "default", "attack": "", "of": "evaluation", "kind": "unmoved", "text": "so"}
    vars(of)["remarks"] = as_table([note | {"method": "npo"}])
    assert {table.suite: [told.label for told in table.notes] for table in main_tables(of)} == {"tofu": ["NPO"], "quick": []}


def test_lm_eval_has_a_column_a_score():
    metrics = {0: {"world_facts/acc": 0.8, "world_facts/acc_stderr": 0.1, "mmlu/acc": 0.4}}
    # With a filter, whose name comes last.
    metrics[0] |= {"mmlu/em_stderr,strict-match": 0.1}
    (table,) = lm_eval_tables(told(numbers({"npo": metrics, "ga": metrics}, suite="lm-eval")))
    assert [(column.group, column.head) for column in table.columns] == [("mmlu", "acc"), ("world_facts", "acc")]
    assert table.title == "tofu / forget05 / tiny / lm-eval"
    assert best_of(table) == set()


@pytest.mark.parametrize(
    ("tasks", "columns"),
    [
        (["mmlu"], ["arc/acc", "mmlu/acc", "mmlux/acc"]),
        (["mmlu", "mmlu_law"], ["arc/acc", "mmlu/acc", "mmlu_law/acc", "mmlux/acc"]),
        ([{"group": "mmlu", "task": ["law", "virology"]}], ["arc/acc", "mmlu/acc", "mmlux/acc"]),
        ([{"task": "mmlu_law"}], ["arc/acc", "mmlu/acc", "mmlu_law/acc", "mmlux/acc"]),
        (["mm"], ["arc/acc", "mmlu/acc", "mmlu_law/acc", "mmlux/acc"]),
        ([], ["arc/acc", "mmlu/acc", "mmlu_law/acc", "mmlux/acc"]),
    ],
)
def test_parts_of_a_task_that_has_a_score_have_no_column(tasks, columns):
    metrics = {0: {f"{task}/acc": 0.5 for task in ("mmlu", "mmlu_law", "mmlux", "arc")}}
    found = lm_eval_tables(told(numbers({"npo": metrics}, suite="x"), suites={"x": {"tasks": tasks}}))
    assert [column.key for column in found[0].columns] == columns


def test_an_interval_is_of_one_seed_alone():
    ends = {"m": 0.5, "m_low": 0.4, "m_high": 0.7}
    models = {"npo": {0: ends}, "simnpo": {0: ends, 1: {"m": -0.1}}, "ga": {0: {"m": 0.3, "m_low": 0.1}}}
    of = told(numbers(models), published={"tofu/forget05/tiny": {"npo": {"m": 0.6}}})
    (table,) = score_tables(of, [Column("m", "", "M", "nearest 0")])
    cells = {row.method: row.cells["m"] for row in table.rows}
    assert [(name, cell.interval, cell.ends) for name, cell in cells.items()] == [
        ("ga", None, (0.3, 0.3)),
        ("npo", (0.4, 0.7), (0.4, 0.7)),
        ("simnpo", None, (-0.1, 0.5)),
    ]
    assert best_of(table) == {("SimNPO", "m")}
    assert published_of(table) == {("NPO", "m"): 0.6}
    found = numbers_of(table).set_index("method")
    assert found.loc["npo", ["seeds", "mean", "low", "high", "published"]].tolist() == [1, 0.5, 0.4, 0.7, 0.6]
    assert found.loc["simnpo", "mean"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.2e-5, f"1.2e{MINUS}05"),
        (3e-300, f"3.0e{MINUS}300"),
        (0.0013, "0.0013"),
        (0.012, "0.012"),
        (0.994, "0.99"),
        (1.0, "1.00"),
    ],
)
def test_forget_quality_can_be_read_at_every_size(value, text):
    assert format_quality(value) == text


def test_wide_numbers_are_whole_and_empty_where_there_is_none():
    models = {"retrain": {0: {"forget_quality": 1.0}}, "simnpo": {0: {"forget_quality": 0.1, "model_utility": 1 / 3}}}
    text = wide_numbers(main_tables(told(numbers(models), published=PUBLISHED))).to_csv(index=False)
    retrain, simnpo = csv.DictReader(text.splitlines())
    assert float(simnpo["model_utility"]) == 1 / 3
    assert (simnpo["forget_quality_published"], retrain["forget_quality_published"]) == ("0.99", "")
    assert (retrain["model_utility"], simnpo["model_utility_sd"], simnpo["seeds"]) == ("", "", "1")
    assert "model_utility_published" not in simnpo


def test_without_tables_wide_numbers_are_a_header():
    assert wide_numbers([]).to_csv(index=False) == "benchmark,split,model,suite,attack,method,variant,seeds\n"


def test_a_model_is_called_by_its_method_s_label_and_its_variant():
    assert model_label("task-vector", "default") == "Task Vector"
    assert model_label("simnpo", "beta-2.5") == "SimNPO beta-2.5"
    assert model_label("a-model-that-others-made", "default") == "a-model-that-others-made (given)"
    # What several models share, as a base, has no label.
    assert model_label("", "") == ""


def test_methods_stand_by_name_between_references_and_others_and_variants_by_their_numbers():
    variants = [("simnpo", "beta-10"), ("simnpo", "beta-2.5"), ("simnpo", "default")]
    models = [("a-model-of-others", "default"), *variants, ("npo", "a"), ("retrain", "")]
    assert sorted(models, key=lambda model: model_order(*model)) == [
        ("retrain", ""),
        ("npo", "a"),
        ("simnpo", "default"),
        ("simnpo", "beta-2.5"),
        ("simnpo", "beta-10"),
        ("a-model-of-others", "default"),
    ]
