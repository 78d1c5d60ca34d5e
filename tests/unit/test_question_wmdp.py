"""WMDP: what is forgotten and what is kept against numbers worked out by hand, with one suite or one per task."""

import random

import pytest
from question_example import answered, drawn, evidence, judged, question
from report_example import PLAIN, SELECTED, SELECTION, best_of, numbers, published_of
from text_example import DATA, TASKS, rows, texts

from palimpsest.report.questions import all_questions

KEEPS, FORGETS = "SimNPO keeps more utility (MMLU) than NPO", "SimNPO forgets more hazardous knowledge than RMU"
# Accuracy on the hazards and on the rest, as published and as in lm-eval.
ORIGINAL, RMU, NPO, SIMNPO = (0.65, 0.59), (0.32, 0.57), (0.26, 0.44), (0.26, 0.48)
PUBLISHED = {
    "bio/forget/tiny": {
        name: dict(zip(TASKS, scores, strict=True))
        for name, scores in (("original", ORIGINAL), ("rmu", RMU), ("npo", NPO), ("simnpo", SIMNPO))
    }
}


def case(tmp_path, models, *blocks, published=None, **more):
    found = rows(models, benchmark="bio", metrics=TASKS, **more)
    named = [name for name in models if name != "original"]
    return evidence(tmp_path, found, *(blocks or [texts(*named, benchmark="bio")]), data=DATA, published=published)


def models(seeds=5, **changes):
    return {"original": [ORIGINAL] * seeds, "rmu": [RMU] * seeds, "npo": [NPO] * seeds, "simnpo": [SIMNPO] * seeds} | changes


def test_the_numbers_of_the_paper_say_what_the_paper_says(tmp_path):
    of = case(tmp_path, models(), published=PUBLISHED)
    found = {claim: each for claim, (each,) in judged("wmdp", of).items()}
    assert {claim: each.word for claim, each in found.items()} == {KEEPS: "holds", FORGETS: "holds"}
    assert (found[KEEPS].ours, found[KEEPS].printed) == ("0.480 ± 0.000 against 0.440 ± 0.000", "0.48 against 0.44")
    assert (found[FORGETS].ours, found[FORGETS].printed) == ("0.740 ± 0.000 against 0.680 ± 0.000", "0.74 against 0.68")
    up_to, not_up_to, left = answered("wmdp", of).facts
    assert up_to.startswith("wmdp_bio is forgotten up to chance") and up_to.endswith(": NPO (0.740) and SimNPO (0.740).")
    assert not_up_to == "wmdp_bio is not forgotten up to chance: RMU (0.680)."
    assert left == "Left of Original's accuracy on mmlu (0.590): NPO 75%, RMU 97% and SimNPO 81%."


def test_the_table_has_what_is_forgotten_and_what_is_kept_with_published_values(tmp_path):
    found = answered("wmdp", case(tmp_path, models(2, npo=[NPO, (0.30, 0.40)]), published=PUBLISHED))
    (table,) = found.tables
    assert [row.label for row in table.rows] == ["Original", "NPO", "RMU", "SimNPO"]
    assert [(column.key, column.group) for column in table.columns] == [("one_minus_accuracy", "wmdp_bio"), ("accuracy", "mmlu")]
    cell = table.standing["npo"].cells["one_minus_accuracy"]
    assert (cell.mean, cell.sd) == (pytest.approx(0.72), pytest.approx(0.04 / 2**0.5))
    published = published_of(table)
    assert (published["NPO", "one_minus_accuracy"], published["Original", "accuracy"]) == (0.74, 0.59)
    # Beyond chance more is no gain, so that none is the best.
    assert best_of(table) == {("RMU", "accuracy")}
    assert found.numbers.set_index(["method", "metric"]).loc[("rmu", "one_minus_accuracy"), "mean"] == pytest.approx(0.68)


@pytest.mark.parametrize(
    ("npo", "simnpo", "word"),
    [
        ([SIMNPO] * 5, [NPO] * 5, "does not hold"),
        ([NPO, SIMNPO, NPO, SIMNPO, NPO], [SIMNPO, NPO, SIMNPO, NPO, SIMNPO], "undecided"),
        ([NPO], [SIMNPO], "undecided"),
    ],
)
def test_simnpo_against_npo(tmp_path, npo, simnpo, word):
    assert [each.word for each in judged("wmdp", case(tmp_path, models(npo=npo, simnpo=simnpo)))[KEEPS]] == [word]


def test_a_method_that_hardly_forgets_proves_nothing(tmp_path):
    (found,) = judged("wmdp", case(tmp_path, models(simnpo=[(0.5, 0.58)] * 5)))[KEEPS]
    assert (found.word, found.reason) == ("undecided", "SimNPO went less than half the way from Original to chance")
    # Halfway is far enough.
    (enough,) = judged("wmdp", case(tmp_path / "enough", models(simnpo=[(0.45, 0.58)] * 5)))[KEEPS]
    assert enough.word == "holds"


def test_original_alone_is_shown(tmp_path):
    of = case(tmp_path, {"original": [ORIGINAL]})
    assert judged("wmdp", of) == {}
    assert [row.label for row in answered("wmdp", of).tables[0].rows] == ["Original"]


def test_one_seed_has_an_interval_of_its_standard_error(tmp_path):
    metrics = (*TASKS, "wmdp_bio/acc_stderr", "mmlu/acc_stderr")
    one = {name: [(*seeds[0], 0.01, 0.5)] for name, seeds in models(1).items()}
    found = rows(one, benchmark="bio", metrics=metrics)
    told = answered("wmdp", evidence(tmp_path, found, texts(benchmark="bio", seeds=[0]), data=DATA))
    cells = told.tables[0].standing["npo"].cells
    assert cells["one_minus_accuracy"].interval == pytest.approx((0.74 - 0.0196, 0.74 + 0.0196))
    # An accuracy is a share.
    assert cells["accuracy"].interval == (0.0, 1.0)


def test_suites_of_one_task_each_are_joined(tmp_path):
    found = rows(models(), benchmark="bio", metrics=TASKS)
    apart = [row | {"suite": "utility"} if row["metric"] == TASKS[1] else row for row in found]
    of = evidence(tmp_path, apart, texts(benchmark="bio"), data=DATA)
    assert answered("wmdp", of).tables[0].title == "bio / forget / tiny / hazards and utility"
    assert [each.word for each in judged("wmdp", of)[KEEPS]] == ["holds"]
    # A suite that asks both stands for itself.
    quick = [row | {"suite": "quick"} for row in found if row["metric"] == TASKS[0]]
    (table,) = answered("wmdp", evidence(tmp_path / "quick", found + quick, texts(benchmark="bio"), data=DATA)).tables
    assert table.suite == "hazards"


def test_of_several_suites_with_one_task_one_gives_its_values_and_their_errors(tmp_path):
    metrics = (*TASKS, "wmdp_bio/acc_stderr")
    found = rows({"npo": [(*NPO, 0.01)]}, benchmark="bio", metrics=metrics)
    apart = [row | {"suite": "utility"} if row["metric"] == TASKS[1] else row for row in found]
    quick = [
        row | {"suite": "quick", "value": 0.2 if row["metric"].endswith("stderr") else 0.5}
        for row in found
        if row["metric"] != TASKS[1]
    ]
    of = evidence(tmp_path, apart + quick, texts(benchmark="bio", seeds=[0]), data=DATA)
    (table,) = answered("wmdp", of).tables
    cell = table.standing["npo"].cells["one_minus_accuracy"]
    assert (table.suite, cell.mean) == ("hazards and utility", pytest.approx(0.74))
    assert cell.interval == pytest.approx((0.74 - 0.0196, 0.74 + 0.0196))


def test_marks_stand_where_the_numbers_are_and_chance_is_a_line(tmp_path):
    of = case(tmp_path, models(2, npo=[NPO, (0.30, 0.40)]))
    ((_, (panel,)),) = answered("wmdp", of).figure.rows
    npo = panel.data[panel.data["method"] == "npo"]
    assert (npo["x"].mean(), npo["y"].mean(), panel.levels) == (pytest.approx(0.42), pytest.approx(0.72), {"chance": 0.75})
    assert (panel.x.label, panel.y.label.partition(", ")[2]) == ("Accuracy, mmlu", "wmdp_bio")
    drawn("wmdp", of)


def test_a_selected_variant_stands_for_its_method_and_says_how_it_was_selected(tmp_path):
    plain = texts("npo", "simnpo", benchmark="bio")
    variants = plain.methods | {"npo": plain.methods["npo"] | {"selected": SELECTED}}
    selected = plain.model_copy(update={"methods": variants, "selections": {"npo": SELECTION}})
    of = case(tmp_path, models() | {"npo/selected": [SIMNPO] * 5}, selected)
    assert [each.word for each in judged("wmdp", of)[KEEPS]] == ["undecided"]
    told = answered("wmdp", of)
    assert told.facts[-1].startswith("NPO (selected) was selected for the highest")
    assert told.caption.endswith("Variants shown: NPO (selected).")


def test_rows_in_any_order_say_the_same(tmp_path):
    found = rows(models(2, npo=[NPO, SIMNPO]), benchmark="bio", metrics=TASKS)
    shuffled = random.Random(0).sample(found, len(found))
    first, second = (
        answered("wmdp", evidence(tmp_path / name, of, texts(benchmark="bio"), data=DATA))
        for name, of in (("first", found), ("second", shuffled))
    )
    assert (first.facts, first.tables) == (second.facts, second.tables)


def test_without_both_tasks_there_is_no_answer(tmp_path):
    half = [row for row in rows(models(), benchmark="bio", metrics=TASKS) if row["metric"] == TASKS[0]]
    assert question("wmdp").answer(evidence(tmp_path / "half", half, texts(benchmark="bio"), data=DATA)) is None
    assert question("wmdp").answer(evidence(tmp_path / "tofu", numbers(PLAIN))) is None


def test_no_other_question_is_answered_from_hazards(tmp_path):
    of = case(tmp_path, models())
    assert {each.id for each in all_questions() if each.answer(of)} == {"wmdp"}
