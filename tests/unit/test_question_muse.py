"""MUSE: numbers and sentences against those worked out by hand, and what a study of texts says elsewhere."""

import random

import pytest
from question_example import answered, evidence
from report_example import CHOSEN, PLAIN, SELECTION, WATCHED, block, numbers, watched, weighed
from text_example import DATA, METRICS, NPO, REFERENCES, SIMNPO, rows, texts, with_intervals

from palimpsest.report.questions import QUESTIONS, muse, question_id
from palimpsest.report.style import GOOD, colour_of

NEARER = "SimNPO's PrivLeak is nearer to 0 than NPO's"
KEEPS = "SimNPO keeps more KnowMem on the retain set than NPO"
PUBLISHED = {"news/forget/tiny": {"npo": {"privleak": 108.91, "knowmem_r": 37.58}, "simnpo": {"privleak": 72.93}}}


def case(tmp_path, models, *blocks, **more):
    named = [name for name in models if name not in REFERENCES]
    return evidence(tmp_path, rows(models, **more), *(blocks or [texts(*named)]), data=DATA, published=PUBLISHED)


def both(npo, simnpo):
    return REFERENCES | {"npo": npo, "simnpo": simnpo}


def findings(tmp_path, models):
    return answered(muse.answer, case(tmp_path, models)).findings


@pytest.mark.parametrize(
    ("npo", "simnpo", "told"),
    [
        (
            [NPO, NPO],
            [SIMNPO, SIMNPO],
            [
                f"This run supports the paper's claims that {NEARER} and that {KEEPS}.",
                f"As in the paper, {NEARER}: -50.0 against +100.0 (paper: 72.93 and 108.91), in both seeds.",
                f"As in the paper, {KEEPS}: 40.0 against 30.0, in both seeds.",
            ],
        ),
        (
            [SIMNPO, SIMNPO],
            [NPO, NPO],
            [
                f"This run contradicts the paper's claims that {NEARER} and that {KEEPS}.",
                f"Unlike in the paper, {NEARER.replace('nearer to', 'further from')}: +100.0 against -50.0 "
                "(paper: 72.93 and 108.91), in both seeds.",
                f"Unlike in the paper, {KEEPS.replace('more', 'less')}: 30.0 against 40.0, in both seeds.",
            ],
        ),
        (
            [NPO, NPO],
            [SIMNPO, (30.0, 20.0, 20.0, -70.0)],
            [
                f"This run supports the paper's claim that {NEARER} and leaves open its claim that {KEEPS}.",
                f"As in the paper, {NEARER}: -60.0 against +100.0 (paper: 72.93 and 108.91), in both seeds.",
                f"Whether {KEEPS} is left open: 30.0 against 30.0; it holds in 1 of 2 seeds, within their spread.",
            ],
        ),
        (
            [NPO],
            [SIMNPO],
            [
                f"This run leaves open the paper's claims that {NEARER} and that {KEEPS}.",
                f"Whether {NEARER} is left open by one seed, in which it holds: -50.0 against +100.0 (paper: 72.93 and 108.91).",
                f"Whether {KEEPS} is left open by one seed, in which it holds: 40.0 against 30.0.",
            ],
        ),
        (
            [NPO, NPO, NPO],
            [SIMNPO],
            [
                f"This run leaves open the paper's claims that {NEARER} and that {KEEPS}.",
                f"Whether {NEARER} is left open by one seed, in which it holds: -50.0 against +100.0 (paper: 72.93 and 108.91).",
                f"Whether {KEEPS} is left open by one seed, in which it holds: 40.0 against 30.0.",
            ],
        ),
    ],
)
def test_what_the_paper_says_of_simnpo_and_npo(tmp_path, npo, simnpo, told):
    assert findings(tmp_path, both(npo, simnpo))[:3] == told


@pytest.mark.parametrize(
    ("recited", "text"),
    [
        ((41.0, 5.0), "SimNPO (41.0) went"),
        ((41.0, 60.0), "NPO (60.0) and SimNPO (41.0) went"),
        ((39.0, 0.0), ""),
    ],
)
def test_who_hardly_forgets_bears_out_nothing(tmp_path, recited, text):
    ours, theirs = ([(verbatim, *scores[1:])] * 2 for verbatim, scores in zip(recited, (SIMNPO, NPO), strict=True))
    told = findings(tmp_path, both(theirs, ours))
    assert told[0].startswith("This run leaves open the paper's claims" if text else "This run supports the paper's claims")
    assert told[2] == (
        f"Whether {KEEPS} is left open: 40.0 against 30.0, but {text} less than half the way from Original to Retrain "
        "(VerbMem 60.0 to 20.0)."
        if text
        else f"As in the paper, {KEEPS}: 40.0 against 30.0, in both seeds."
    )


def test_where_nothing_was_learnt_by_heart_nothing_can_be_forgotten(tmp_path):
    references = {"original": [(10.0, 60.0, 50.0, -99.0)], "retrain": REFERENCES["retrain"]}
    told = findings(tmp_path, references | {"npo": [NPO, NPO], "simnpo": [SIMNPO, SIMNPO]})
    assert told[0].startswith("This run supports the paper's claims")


def test_who_recites_knows_keeps_and_gives_away(tmp_path):
    others = {"ga": [(0.0, 0.0, 0.0, 3.0)], "task-vector": [(20.0, 60.0, 50.0, -97.0)]}
    assert findings(tmp_path, both([NPO], [SIMNPO]) | others)[3:] == [
        "Recited of the forget set (VerbMem): Original 60.0, Retrain 20.0; below Retrain: GA (0.0) and NPO (0.0); "
        "as Retrain: Task Vector (20.0); above Retrain: SimNPO (30.0).",
        "Known of the forget set (KnowMem): Original 60.0, Retrain 30.0; below Retrain: GA (0.0) and SimNPO (20.0); "
        "above Retrain: NPO (40.0) and Task Vector (60.0).",
        "Of Original's KnowMem on the retain set, 50.0, 0% is left to GA, 60% to NPO, 80% to SimNPO and 100% to Task Vector.",
        "By PrivLeak the forget set is over-forgotten by NPO (+100.0), still remembered by SimNPO (-50.0) and Task Vector "
        "(-97.0) and within 5 % of never learnt for GA (+3.0); Original stands at -99.0.",
    ]


def test_without_references_only_what_is_known_is_said(tmp_path):
    found = answered(muse.answer, case(tmp_path, {"npo": [NPO], "simnpo": [SIMNPO]}))
    assert found.findings[3:] == [
        "Recited of the forget set (VerbMem): NPO (0.0) and SimNPO (30.0).",
        "Known of the forget set (KnowMem): NPO (40.0) and SimNPO (20.0).",
        "By PrivLeak the forget set is over-forgotten by NPO (+100.0) and still remembered by SimNPO (-50.0).",
    ]


def test_without_retrain_the_published_one_serves(tmp_path):
    metrics = (*METRICS[:3], "privleak_published")
    models = {"npo": [NPO, NPO], "simnpo": [SIMNPO, SIMNPO]}
    found = answered(muse.answer, case(tmp_path, models, metrics=metrics))
    assert found.findings[0] == f"This run supports the paper's claims that {NEARER} and that {KEEPS}."
    assert found.findings[-1].startswith("By PrivLeak the forget set is over-forgotten by NPO (+100.0)")
    assert found.note.endswith("The published Retrain has an AUC of 0.4772.")


@pytest.mark.parametrize(
    ("models", "why"),
    [
        ({"npo": [NPO, NPO]}, "SimNPO was not run"),
        ({"rmu": [NPO, NPO]}, "NPO and SimNPO were not run"),
        ({}, "NPO and SimNPO were not run"),
        ({"npo": [(1.0,)], "simnpo": [(2.0,)]}, "there is no score that both have"),
    ],
)
def test_without_both_methods_the_claims_are_left_open(tmp_path, models, why):
    assert findings(tmp_path, REFERENCES | models)[0] == f"What the paper says of SimNPO and NPO is left open: {why}."


def test_the_table_has_means_spreads_and_published_values(tmp_path):
    npo = [NPO, (2.0, 42.0, 34.0, 90.0)]
    found = answered(muse.answer, case(tmp_path, both(npo, [SIMNPO, SIMNPO])))
    (table,) = found.tables
    assert table.caption == "news / forget / tiny / muse, mean ± sd over 2 seeds"
    assert [row.label for row in table.rows] == ["Original", "Retrain", "NPO", "SimNPO"]
    assert [column.key for column in table.columns] == list(METRICS)
    cell = table.standing["npo"].cells["privleak"]
    assert (cell.mean, cell.sd, cell.published, cell.interval) == (95.0, pytest.approx(50**0.5), 108.91, None)
    column = table.columns[3]
    assert (column.text(cell.mean), column.spread(cell.mean, cell.sd), column.text(-0.04)) == ("+95.0", "7.1", "0.0")
    # Nearest to 0 whichever side; nothing is best on the forget set.
    best = {(row.method, key) for row in table.rows for key, each in row.cells.items() if each.is_best}
    assert best == {("simnpo", "privleak"), ("simnpo", "knowmem_r")}
    numbers = found.numbers.set_index(["method", "metric"])
    assert numbers.loc[("npo", "knowmem_r"), ["seeds", "mean", "published"]].tolist() == [2, 32.0, 37.58]


def test_one_seed_has_an_interval_instead_of_a_spread(tmp_path):
    models = both([NPO], [SIMNPO])
    found = answered(muse.answer, evidence(tmp_path, with_intervals(rows(models), 2.5), texts(seeds=[0]), data=DATA))
    cell = found.tables[0].standing["simnpo"].cells["knowmem_r"]
    assert (cell.sd, cell.interval, cell.ends) == (None, (37.5, 42.5), (37.5, 42.5))
    assert "its 95 % interval over the items" in found.note
    assert "95 % bootstrap intervals" in found.caption
    assert found.tables[0].caption.endswith("one seed")
    several = case(tmp_path / "several", both([NPO] * 2, [SIMNPO] * 2))
    assert "interval" not in answered(muse.answer, several).note


def test_marks_lines_and_bands_stand_where_the_numbers_are(tmp_path):
    npo = [(10.0, 40.0, 30.0, 100.0), (20.0, 40.0, 34.0, 90.0)]
    found = answered(muse.answer, case(tmp_path, both(npo, [SIMNPO, SIMNPO])))
    (part,) = found.figure.subfigs
    panels = {axes.get_title(loc="left"): axes for axes in part.axes}
    assert list(panels) == ["VerbMem, forget set", "KnowMem, forget set", "KnowMem, retain set", "PrivLeak (%)"]
    verbatim = panels["VerbMem, forget set"]
    lines = [line for line in verbatim.lines if line.get_color() == colour_of("npo")]
    bar, mark, seeds = (list(line.get_xdata()) for line in lines)
    assert (bar, mark, seeds) == ([10.0, 20.0], [15.0], [10.0, 20.0])
    assert [label.get_text() for label in verbatim.get_yticklabels()] == ["Original", "Retrain", "NPO", "SimNPO"]
    assert lines[1].get_ydata()[0] == 2
    levels = {line.get_color(): line.get_xdata()[0] for line in verbatim.lines if line.get_linestyle() in ("--", ":")}
    assert levels == {colour_of("retrain"): 20.0, colour_of("original"): 60.0}
    bands = {name: [patch for patch in axes.patches if patch.get_facecolor()] for name, axes in panels.items()}
    spans = {name: (of[0].get_x(), of[0].get_x() + of[0].get_width()) for name, of in bands.items()}
    assert spans["VerbMem, forget set"] == (0.0, 20.0)
    assert spans["KnowMem, retain set"] == (50.0, panels["KnowMem, retain set"].get_xlim()[1])
    assert spans["PrivLeak (%)"] == (-5.0, 5.0)
    assert GOOD == "#e8efe8"


def test_all_variants_are_in_the_table_and_one_a_method_in_the_figure(tmp_path):
    found = REFERENCES | {"npo/chosen": [NPO], "npo": [SIMNPO], "npo/beta-1": [NPO], "simnpo": [SIMNPO]}
    chosen = texts("npo", "npo/beta-1", "simnpo")
    variants = chosen.methods | {"npo": chosen.methods["npo"] | {"chosen": CHOSEN}}
    selected = chosen.model_copy(update={"methods": variants, "selections": {"npo": SELECTION}})
    told = answered(muse.answer, case(tmp_path, found, selected))
    assert [row.label for row in told.tables[0].rows][2:] == ["NPO (chosen)", "NPO", "NPO beta-1", "SimNPO"]
    labels = [label.get_text() for label in told.figure.subfigs[0].axes[0].get_yticklabels()]
    assert labels == ["Original", "Retrain", "NPO", "SimNPO"]
    assert "NPO (chosen) (0.0)" in told.findings[3]
    assert told.findings[-1].startswith("NPO (chosen) was chosen for the highest")
    assert told.caption.endswith("Variants shown: NPO (chosen).")


def test_two_corpora_in_one_verdict(tmp_path):
    good, bad = both([NPO, NPO], [SIMNPO, SIMNPO]), both([SIMNPO, SIMNPO], [NPO, NPO])
    found = rows(good) + rows(bad, benchmark="books")
    of = evidence(tmp_path, found, texts(), texts(benchmark="books"), data=DATA)
    told = answered(muse.answer, of)
    assert told.findings[0] == f"This run leaves open the paper's claims that {NEARER} and that {KEEPS}."
    assert told.findings[1].startswith("news / forget / tiny / muse: As in the paper")
    assert [table.title for table in told.tables] == ["news / forget / tiny / muse", "books / forget / tiny / muse"]
    alike = evidence(tmp_path / "alike", rows(good) + rows(good, benchmark="books"), *of.study.blocks, data=DATA)
    assert answered(muse.answer, alike).findings[0] == f"This run supports the paper's claims that {NEARER} and that {KEEPS}."


def test_rows_in_any_order_say_the_same(tmp_path):
    found = with_intervals(rows(both([NPO, (1.0, 2.0, 3.0, 4.0)], [SIMNPO, NPO])), 1.0)
    first = answered(muse.answer, evidence(tmp_path / "first", found, texts(), data=DATA))
    shuffled = random.Random(0).sample(found, len(found))
    second = answered(muse.answer, evidence(tmp_path / "second", shuffled, texts(), data=DATA))
    assert first.findings == second.findings
    assert first.tables == second.tables


def test_a_suite_that_only_references_met_has_no_table(tmp_path):
    found = rows(both([NPO], [SIMNPO])) + rows(REFERENCES, suite="quick")
    (table,) = answered(muse.answer, evidence(tmp_path, found, texts(), data=DATA)).tables
    assert table.suite == "muse"


@pytest.mark.parametrize("models", [{"ga": [(0.0, 0.0, 0.0, 0.0)]}, {"npo": [(0.0,)]}, {"rmu": [(None, None, 1.0)] * 3}])
def test_odd_numbers_are_drawn(tmp_path, models):
    answered(muse.answer, case(tmp_path, models))
    answered(muse.answer, case(tmp_path / "beside", REFERENCES | models))


def test_no_answer_without_the_first_forget_set_of_texts(tmp_path):
    assert muse.answer(evidence(tmp_path / "tofu", numbers(PLAIN))) is None
    assert muse.answer(evidence(tmp_path / "scale", rows(REFERENCES, split="scale2"), texts(split="scale2"), data=DATA)) is None


def test_no_other_question_is_answered_from_texts(tmp_path):
    of_texts = {"benchmark": "news", "split": "forget", "suite": "muse"}
    found = rows(both([NPO, NPO], [SIMNPO, SIMNPO]))
    found += [row | of_texts for row in watched(WATCHED)]
    found += [row | of_texts | {"attack": "relearn", "epoch": 1} for row in rows({"npo": [NPO, NPO]})]
    weights = [row | {"benchmark": "news", "split": "forget"} for row in weighed("npo") + weighed("simnpo")]
    of = evidence(tmp_path, found, texts(), data=DATA, weights=weights)
    assert {question_id(question) for question in QUESTIONS if question.answer(of)} == {"muse"}


def test_texts_beside_a_benchmark_of_questions_change_no_answer_of_its_own(tmp_path):
    own = numbers(PLAIN) + watched(WATCHED)
    alone = evidence(tmp_path / "alone", own)
    mixed = evidence(tmp_path / "mixed", rows(both([NPO], [SIMNPO])) + own, texts(), block(), data=DATA)
    before = {question_id(question): found for question in QUESTIONS if (found := question.answer(alone))}
    after = {question_id(question): found for question in QUESTIONS if (found := question.answer(mixed))}
    assert after.keys() == {"muse", *before}
    for name, found in before.items():
        assert after[name].findings == found.findings
        assert after[name].numbers.equals(found.numbers)
