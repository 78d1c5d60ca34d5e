"""WMDP: what is forgotten and what is kept against numbers worked out by hand, with one suite or a suite a task."""

import random

import pytest
from question_example import answered, evidence
from report_example import CHOSEN, PLAIN, SELECTION, numbers
from text_example import DATA, TASKS, rows, texts

from palimpsest.reporting.questions import QUESTIONS, question_id, wmdp
from palimpsest.reporting.style import colour_of

WRONG = "1\N{NO-BREAK SPACE}-\N{NO-BREAK SPACE}accuracy"
KEEPS = "SimNPO keeps more accuracy on mmlu than NPO"
FORGETS = "SimNPO forgets more of wmdp_bio than RMU"
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


def models(seeds=2, **changes):
    return {"original": [ORIGINAL] * seeds, "rmu": [RMU] * seeds, "npo": [NPO] * seeds, "simnpo": [SIMNPO] * seeds} | changes


def test_the_numbers_of_the_paper_say_what_the_paper_says(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, models(), published=PUBLISHED))
    assert found.findings == [
        f"This run supports the paper's claim that {KEEPS}.",
        f"As in the paper, {KEEPS}: 0.480 against 0.440 (paper: 0.48 and 0.44), at a {WRONG} on wmdp_bio of 0.740 against 0.740, "
        "in both seeds.",
        f"As in the paper, {FORGETS}: 0.740 against 0.680 (paper: 0.74 and 0.68), at an accuracy on mmlu of 0.480 against 0.570, "
        "in both seeds.",
        f"Up to chance, a {WRONG} of 0.75 or within 0.02 of it, wmdp_bio is forgotten by NPO (0.740) and SimNPO (0.740), "
        "not by RMU (0.680); Original stands at 0.350.",
        "Of Original's accuracy on mmlu, 0.590, 75% is left to NPO, 97% to RMU and 81% to SimNPO.",
    ]


def test_the_table_has_what_is_forgotten_and_what_is_kept_with_published_values(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, models(npo=[NPO, (0.30, 0.40)]), published=PUBLISHED))
    (table,) = found.tables
    assert [row.label for row in table.rows] == ["Original", "NPO", "RMU", "SimNPO"]
    assert [(column.key, column.group) for column in table.columns] == [("one_minus_accuracy", "wmdp_bio"), ("accuracy", "mmlu")]
    cell = table.standing["npo"].cells["one_minus_accuracy"]
    assert (cell.mean, cell.sd, cell.published) == (pytest.approx(0.72), pytest.approx(0.04 / 2**0.5), 0.74)
    assert table.standing["original"].cells["accuracy"].published == 0.59
    # Beyond chance more is no gain, so that none is the best.
    assert {(row.method, key) for row in table.rows for key, each in row.cells.items() if each.is_best} == {("rmu", "accuracy")}
    assert found.numbers.set_index(["method", "metric"]).loc[("rmu", "one_minus_accuracy"), "mean"] == pytest.approx(0.68)


@pytest.mark.parametrize(
    ("npo", "simnpo", "first", "second"),
    [
        (
            [SIMNPO, SIMNPO],
            [NPO, NPO],
            f"This run contradicts the paper's claim that {KEEPS}.",
            f"Unlike in the paper, {KEEPS.replace('more', 'less')}: 0.440 against 0.480",
        ),
        (
            [NPO, SIMNPO],
            [SIMNPO, NPO],
            f"This run leaves open the paper's claim that {KEEPS}.",
            f"Whether {KEEPS} is left open: 0.460 against 0.460",
        ),
        (
            [NPO],
            [SIMNPO],
            f"This run leaves open the paper's claim that {KEEPS}.",
            f"Whether {KEEPS} is left open by one seed, in which it holds: 0.480 against 0.440",
        ),
    ],
)
def test_simnpo_against_npo(tmp_path, npo, simnpo, first, second):
    found = answered(wmdp.answer, case(tmp_path, models(npo=npo, simnpo=simnpo))).findings
    assert found[0] == first
    assert found[1].startswith(second)


def test_who_hardly_forgets_bears_out_nothing(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, models(simnpo=[(0.5, 0.58)] * 2))).findings
    assert found[:2] == [
        f"This run leaves open the paper's claim that {KEEPS}.",
        f"Whether {KEEPS} is left open: 0.580 against 0.440, at a {WRONG} on wmdp_bio of 0.500 against 0.740, but SimNPO (0.500) "
        f"went less than half the way from Original to chance ({WRONG} 0.350 to 0.750).",
    ]
    # Halfway is far enough.
    enough = answered(wmdp.answer, case(tmp_path / "enough", models(simnpo=[(0.45, 0.58)] * 2))).findings
    assert enough[0] == f"This run supports the paper's claim that {KEEPS}."


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ({"rmu": [RMU], "npo": [(0.5, 0.5)]}, "by none: NPO (0.500) and RMU (0.680)"),
        ({"npo": [(0.27, 0.44)], "ga": [(0.2, 0.2)]}, "by GA (0.800) and NPO (0.730)"),
    ],
)
def test_who_forgets_up_to_chance(tmp_path, left, text):
    found = answered(wmdp.answer, case(tmp_path, {"original": [ORIGINAL]} | left)).findings
    assert found[0].startswith("What the paper says of SimNPO and NPO is left open: SimNPO was not run.")
    assert found[1] == (
        f"Up to chance, a {WRONG} of 0.75 or within 0.02 of it, wmdp_bio is forgotten {text}; Original stands at 0.350."
    )


def test_without_original_nothing_is_said_of_it(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, {"npo": [NPO], "simnpo": [SIMNPO]}))
    assert not any("Original" in sentence for sentence in found.findings)


def test_original_alone_is_shown(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, {"original": [ORIGINAL]}))
    assert found.findings == ["What the paper says of SimNPO and NPO is left open: NPO and SimNPO were not run."]


def test_one_seed_has_an_interval_of_its_standard_error(tmp_path):
    metrics = (*TASKS, "wmdp_bio/acc_stderr", "mmlu/acc_stderr")
    one = {name: [(*seeds[0], 0.01, 0.5)] for name, seeds in models(1).items()}
    found = rows(one, benchmark="bio", metrics=metrics)
    told = answered(wmdp.answer, evidence(tmp_path, found, texts(benchmark="bio", seeds=[0]), data=DATA))
    cells = told.tables[0].standing["npo"].cells
    assert cells["one_minus_accuracy"].interval == pytest.approx((0.74 - 0.0196, 0.74 + 0.0196))
    # An accuracy is a share.
    assert cells["accuracy"].interval == (0.0, 1.0)
    assert "95 % intervals over the questions" in told.caption


def test_a_suite_a_task_is_joined(tmp_path):
    found = rows(models(), benchmark="bio", metrics=TASKS)
    apart = [row | {"suite": "utility"} if row["metric"] == TASKS[1] else row for row in found]
    told = answered(wmdp.answer, evidence(tmp_path, apart, texts(benchmark="bio"), data=DATA))
    assert told.tables[0].title == "bio / forget / tiny"
    assert told.findings[0] == f"This run supports the paper's claim that {KEEPS}."
    # A suite that asks both stands for itself.
    quick = [row | {"suite": "quick"} for row in found if row["metric"] == TASKS[0]]
    (table,) = answered(wmdp.answer, evidence(tmp_path / "quick", found + quick, texts(benchmark="bio"), data=DATA)).tables
    assert table.suite == "hazards"


def test_marks_stand_where_the_numbers_are_and_chance_is_a_line(tmp_path):
    found = answered(wmdp.answer, case(tmp_path, models(npo=[NPO, (0.30, 0.40)])))
    (axes,) = found.figure.axes
    chance, *_ = axes.lines
    assert list(chance.get_ydata()) == [0.75, 0.75]
    *_, mark = [line for line in axes.lines if line.get_color() == colour_of("npo")]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (pytest.approx(0.42), pytest.approx(0.72))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Accuracy, mmlu", f"{WRONG}, wmdp_bio")


def test_a_chosen_variant_stands_for_its_method_and_says_how_it_was_chosen(tmp_path):
    plain = texts("npo", "simnpo", benchmark="bio")
    variants = plain.methods | {"npo": plain.methods["npo"] | {"chosen": CHOSEN}}
    chosen = plain.model_copy(update={"methods": variants, "selections": {"npo": SELECTION}})
    told = answered(wmdp.answer, case(tmp_path, models() | {"npo/chosen": [SIMNPO, SIMNPO]}, chosen))
    assert told.findings[0] == f"This run leaves open the paper's claim that {KEEPS}."
    assert told.findings[-1].startswith("NPO (chosen) was chosen for the highest")
    assert told.caption.endswith("Variants shown: NPO (chosen).")


def test_rows_in_any_order_say_the_same(tmp_path):
    found = rows(models(npo=[NPO, SIMNPO]), benchmark="bio", metrics=TASKS)
    shuffled = random.Random(0).sample(found, len(found))
    first, second = (
        answered(wmdp.answer, evidence(tmp_path / name, of, texts(benchmark="bio"), data=DATA))
        for name, of in (("first", found), ("second", shuffled))
    )
    assert (first.findings, first.tables) == (second.findings, second.tables)


def test_without_both_tasks_there_is_no_answer(tmp_path):
    half = [row for row in rows(models(), benchmark="bio", metrics=TASKS) if row["metric"] == TASKS[0]]
    assert wmdp.answer(evidence(tmp_path / "half", half, texts(benchmark="bio"), data=DATA)) is None
    assert wmdp.answer(evidence(tmp_path / "tofu", numbers(PLAIN))) is None


def test_no_other_question_is_answered_from_hazards(tmp_path):
    of = case(tmp_path, models())
    assert {question_id(question) for question in QUESTIONS if question.answer(of)} == {"wmdp"}
